/* controller/retention/internal.h - what the files of this folder share; not for others */
#ifndef PEN_CONTROLLER_RETENTION_INTERNAL_H
#define PEN_CONTROLLER_RETENTION_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/map.h"
#include "common/blob/blob.h"
#include "controller/post/actor.h"
#include "controller/retention/marks.h"
#include "controller/store/store.h"
#include "core.pb-c.h"

enum {
    RETENTION_STOPPED = 1, /* returned when the thread is to end: the work begins anew one day */
};

struct pen_retention {
    char *dir;
    struct pen_actor actor;
    struct pen_reader *reader;
    struct pen_blob_store *store;
    int64_t interval_ms;
    int64_t next_ms; /* monotonic: when it asks for a collection by itself */

    Pen__CollectionRun *order;   /* the collection under way; NULL: none */
    Pen__HistoryAnswer *decided; /* the latest of each sort */
    Pen__HistoryAnswer *purged;
    Pen__MirrorsSwept *swept;
    uint64_t batch;
    struct pen_map gone; /* ids of executions that go, or would go: "" as value */
    struct pen_marks marks;
    Pen__CollectionReport *report;
};

/* ---- retention.c */

/* Take what waits in the inbox. Returns 0, or RETENTION_STOPPED. */
int retention_listen(struct pen_retention *self);

/* Wait for news, until this moment. Returns 0, RETENTION_STOPPED, or PEN_EUNAVAILABLE. */
int retention_wait(struct pen_retention *self, int64_t deadline_ms, struct pen_error *err);

/* Post to the core. Takes *input, also on failure. */
int retention_post(struct pen_retention *self, Pen__Input **input, struct pen_error *err);

/* ---- history.c */

/* Offer what may go, and count what goes. Returns 0, RETENTION_STOPPED or an error. */
int retention_history(struct pen_retention *self, struct pen_error *err);

/* ---- mirrors.c */

/* Have mirrors that nobody needs moved aside, and delete them. Returns 0, RETENTION_STOPPED or an
 * error. */
int retention_mirrors(struct pen_retention *self, struct pen_error *err);

/* ---- sweep.c */

/* Size of a log; false: there is none. */
bool retention_log_size(const struct pen_retention *self, uint64_t fence, uint64_t *ret_size);

/* Mark what is named, then drop the rest. Returns 0, RETENTION_STOPPED or an error. */
int retention_files(struct pen_retention *self, struct pen_error *err);

#endif
