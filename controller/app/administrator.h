/* controller/app/administrator.h - the first access key, made at the first start */
#ifndef PEN_CONTROLLER_APP_ADMINISTRATOR_H
#define PEN_CONTROLLER_APP_ADMINISTRATOR_H

#include "common/base/error.h"
#include "common/keys/seal.h"
#include "controller/app/core.h"

/* All borrowed. */
struct pen_administrator {
    const char *dir;
    const char *account;
    const char *region;
    const char *endpoint;
    const struct pen_sealer *sealer;
};

/* Make the key, write DIR/admin.credentials (mode 0600, profile "penstock"), then commit the key.
 * In this order: a crash in between leaves a file with a key that is unknown, and the next start
 * writes it anew; the other order could lock the administrator out. */
int pen_administrator_make(const struct pen_administrator *with, struct pen_core *core,
                           struct pen_error *err);

#endif
