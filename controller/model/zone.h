/* controller/model/zone.h - time zones: their names, and their data as the database has it (TZif)
 *
 *     "Europe/Berlin" --file, read elsewhere--> bytes --pen_zone_parse--> changes of offset
 *
 * The changes in the file come first; behind them the file's rule for the future
 * ("CET-1CEST,M3.5.0, M10.5.0/3") is written out as changes, up to the last year that a cron
 * expression can name.
 */
#ifndef PEN_CONTROLLER_MODEL_ZONE_H
#define PEN_CONTROLLER_MODEL_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/limits.h"
#include "controller/model/cron.h"

enum {
    /* those of the file, and two a year behind them */
    PEN_ZONE_CHANGES_MAX =
        PEN_ZONE_FILE_CHANGES_MAX + 2 * (PEN_CRON_YEAR_MAX + 1 - PEN_CRON_YEAR_MIN + 1),
};

/* Offsets from some moment on. A pen_zone can be made of it. */
struct pen_zone_changes {
    size_t count; /* 1 or more */
    struct pen_zone_change changes[PEN_ZONE_CHANGES_MAX];
};

/* Whether a zone of this name may be looked for in the database: Region/City, of letters, digits,
 * '_', '-' and '+' between slashes, or an abbreviation of 3 to 5 letters. Such a name never leads
 * out of the database's folder. Errors: PEN_EINVAL. */
int pen_zone_name_check(const char *name, struct pen_error *err);

/* Read a file of the database: the changes that matter from from_ms on. Errors: PEN_ECORRUPT (no
 * such file, or broken), PEN_ELIMIT. */
int pen_zone_parse(const uint8_t *bytes, size_t size, int64_t from_ms,
                   struct pen_zone_changes *ret_zone, struct pen_error *err);

#endif
