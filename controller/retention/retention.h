/* controller/retention/retention.h - what is not needed any more is found and deleted
 *
 *     every collect-interval --StartCollection--> core --CollectionRun--> here
 *
 *     history.c    executions that may go, in batches to the core, which decides
 *     marks.c      what the rows that are left name: manifests, their chunks, logs
 *     sweep.c      files that nothing names
 *     mirrors.c    repositories that nobody fetches any more
 *
 * A thread of its own with a reader of the store. It owns no file: logs and blobs of others are
 * unlinked by rules that need no agreement (decision 0023). The core says with an effect that a
 * collection begins, and is told how it ended; a restart begins it anew.
 */
#ifndef PEN_CONTROLLER_RETENTION_RETENTION_H
#define PEN_CONTROLLER_RETENTION_RETENTION_H

#include <stdint.h>

#include "common/base/error.h"
#include "common/io/inbox.h"

struct pen_retention;

struct pen_retention_options {
    const char *dir;        /* the controller's data folder */
    int64_t interval_ms;    /* between two collections by itself, above 0 */
    struct pen_inbox *core; /* borrowed */
};

/* Run the thread; the database and the folder of blobs have to exist. Errors: of opening them,
 * PEN_ENOMEM. */
int pen_retention_start(const struct pen_retention_options *options,
                        struct pen_retention **ret_retention, struct pen_error *err);
struct pen_inbox *pen_retention_inbox(struct pen_retention *self);
void pen_retention_stop(struct pen_retention **self_p);

#endif
