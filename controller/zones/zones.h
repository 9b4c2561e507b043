/* controller/zones/zones.h - time zones from this host's database
 *
 * The engine and the model read no files: who may read one asks here, and hands the changes on.
 */
#ifndef PEN_CONTROLLER_ZONES_ZONES_H
#define PEN_CONTROLLER_ZONES_ZONES_H

#include "common/base/error.h"
#include "controller/model/zone.h"

/* Where Debian's package tzdata puts the database. */
#define PEN_ZONES_DIR "/usr/share/zoneinfo"

/* The changes of offset that matter from from_ms on, of a zone of the database or a fixed one
 * (NULL, "UTC", "UTC+01:00"). Reads one small file; the file's name is made of checked names only.
 * Errors: PEN_EINVAL (no such name can be), PEN_ENOTFOUND (not in the database), PEN_ECORRUPT,
 * PEN_ELIMIT and those of reading, each naming the zone. */
int pen_zones_load(const char *name, int64_t from_ms, struct pen_zone_changes *ret_zone,
                   struct pen_error *err);

#endif
