/* controller/store/backend.h - what the store asks of a database
 *
 * store.c and reader.c speak of facts, rows and messages; a backend speaks of columns and bytes.
 * sqlite_*.c implement it. Another database implements the same functions.
 *
 * A writer is used by one thread and is the only one of its database; readers belong to one thread
 * each and never see a transaction in part.
 */
#ifndef PEN_CONTROLLER_STORE_BACKEND_H
#define PEN_CONTROLLER_STORE_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "controller/engine/engine.h"
#include "controller/store/store.h"

struct pen_backend;

struct pen_backend_fact {
    uint64_t seq;
    int64_t at_ms;
    const char *pipeline;  /* NULL when it belongs to none */
    const char *execution; /* NULL when it belongs to none */
    const uint8_t *body;
    size_t body_size;
};

/* A row or fact that was read; valid during the call only. */
struct pen_backend_item {
    uint64_t number; /* kind of a row, seq of a fact */
    const char *key; /* of a row; NULL for a fact */
    const uint8_t *body;
    size_t body_size;
};

/* Return 0 to go on, 1 to stop, or an error. */
typedef int pen_backend_each(void *context, const struct pen_backend_item *item,
                             struct pen_error *err);

/* Open the database of folder dir. A writer creates it and brings its schema up to date; a reader
 * needs one that exists. Errors: PEN_ENOTFOUND, PEN_ECORRUPT, PEN_EUNSUPPORTED (made by a newer
 * release), PEN_ENOSPACE, PEN_EDENIED, PEN_EIO, PEN_ENOMEM. */
int pen_backend_open(const char *dir, bool writer, struct pen_backend **ret_backend,
                     struct pen_error *err);
void pen_backend_close(struct pen_backend **self_p);

/* A transaction; between begin and commit, put. A failed commit has rolled back. After commit
 * returned 0 the changes survive a crash of the host. Readers use begin and rollback for one state
 * over several reads. */
int pen_backend_begin(struct pen_backend *self, struct pen_error *err);
int pen_backend_commit(struct pen_backend *self, struct pen_error *err);
void pen_backend_rollback(struct pen_backend *self);

/* Insert, replace or (row->deleted) remove. */
int pen_backend_put_row(struct pen_backend *self, const struct pen_row *row, struct pen_error *err);
/* Append a fact. Errors: PEN_ECONFLICT when its seq is taken. */
int pen_backend_put_fact(struct pen_backend *self, const struct pen_backend_fact *fact,
                         struct pen_error *err);

/* Within a transaction, delete at most `limit` rows of this kind and execution that are not live,
 * or (kind 0) as many facts of the execution. ret_count: how many there were, up to the limit. */
int pen_backend_purge(struct pen_backend *self, int kind, const char *execution, size_t limit,
                      size_t *ret_count, struct pen_error *err);

/* Every live row, by kind and key. */
int pen_backend_live(struct pen_backend *self, pen_backend_each *each, void *context,
                     struct pen_error *err);

/* Append the body of one row. Errors: PEN_ENOTFOUND. */
int pen_backend_get(struct pen_backend *self, int kind, const char *key, struct pen_buf *ret_body,
                    struct pen_error *err);

/* Rows with an order newest first; if there are none, those without by key. From within `each`,
 * other reads of the same backend are allowed. */
int pen_backend_list(struct pen_backend *self, const struct pen_list_query *query,
                     pen_backend_each *each, void *context, struct pen_error *err);
int pen_backend_facts(struct pen_backend *self, const char *pipeline, const char *execution,
                      uint64_t after_seq, size_t limit, pen_backend_each *each, void *context,
                      struct pen_error *err);

/* Move the log into the database file as far as readers allow; free when there is nothing to move.
 * Errors: PEN_ENOSPACE, PEN_EIO, PEN_ECORRUPT. */
int pen_backend_checkpoint(struct pen_backend *self, struct pen_error *err);

#endif
