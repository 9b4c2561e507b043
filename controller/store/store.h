/* controller/store/store.h - durable state: rows, facts and outbox in one transaction
 *
 * One writer (the core thread) and any number of readers, each with a connection of its own.
 * Another database can stand behind this header: nothing here speaks of SQL.
 */
#ifndef PEN_CONTROLLER_STORE_STORE_H
#define PEN_CONTROLLER_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "controller/engine/engine.h"

struct pen_store;
struct pen_reader;

/* Open DIR/penstock.db for reading and writing, migrate it, and hold DIR/penstock.lock.
 * Errors: PEN_ECONFLICT (another controller runs on DIR), PEN_ECORRUPT, PEN_EUNSUPPORTED
 * (a newer release wrote it), PEN_ENOSPACE, PEN_EDENIED, PEN_EIO. */
int pen_store_open(const char *dir, struct pen_store **ret_store, struct pen_error *err);
void pen_store_close(struct pen_store **self_p);

/* Hand every live row to `each`, in order of kind and key. */
int pen_store_load_live(struct pen_store *self,
                        int (*each)(void *context, Pen__RowKind kind, const uint8_t *body,
                                    size_t size, struct pen_error *err),
                        void *context, struct pen_error *err);

/* Commit facts and rows of `out` in one synced transaction; nothing is visible on failure. Whether
 * a commit that failed with PEN_EIO will be there after a restart is not known: the process has to
 * end. An empty `out` costs nothing. Errors: PEN_ENOSPACE, PEN_EIO, PEN_ECORRUPT. */
int pen_store_commit(struct pen_store *self, const struct pen_engine_out *out,
                     struct pen_error *err);

/* Delete the rows and facts of an execution, those of live rows apart, in one synced transaction:
 * at most `limit` (1 or more) rows and as many facts. ret_rows and ret_facts are increased by what
 * was deleted; ret_left tells whether there may be more. Errors: as of a commit. */
int pen_store_purge(struct pen_store *self, const char *execution_id, size_t limit,
                    uint64_t *ret_rows, uint64_t *ret_facts, bool *ret_left, struct pen_error *err);

/* Move what the write-ahead log holds into the database file: for idle moments, free when there is
 * nothing to move. The log is bounded without it, by a move before a commit now and then.
 * Errors: PEN_ENOSPACE, PEN_EIO, PEN_ECORRUPT; none of them undoes a commit. */
int pen_store_checkpoint(struct pen_store *self, struct pen_error *err);

/* A read-only connection, for one thread. */
int pen_reader_open(const char *dir, struct pen_reader **ret_reader, struct pen_error *err);
void pen_reader_close(struct pen_reader **self_p);

/* Several reads that see one state of the store. End what was begun. */
int pen_reader_begin(struct pen_reader *self, struct pen_error *err);
void pen_reader_end(struct pen_reader *self);

/* One row, unpacked; free it with pen_message_destroy. Errors: PEN_ENOTFOUND, PEN_ECORRUPT. */
int pen_reader_get(struct pen_reader *self, Pen__RowKind kind, const char *key,
                   ProtobufCMessage **ret_row, struct pen_error *err);

/* Which rows a list shows. */
struct pen_list_query {
    Pen__RowKind kind;
    const char *pipeline;  /* only this pipeline's; NULL: any */
    const char *execution; /* only this execution's; NULL: any */
    uint64_t before_order; /* newest first, below this order; 0: from the newest */
    uint64_t after_order;  /* of one pipeline: above this order */
    const char *after_key; /* rows without order: by key, after this; NULL: from the first */
    size_t limit;          /* 1 to 10,000 */
};

/* Rows with an order come newest first, others by key; those of a kind all have an order or none
 * has. Within `each`, other reads of the same reader are allowed. `each` returns 0 to go on, 1 to
 * stop, or an error. The row is freed after the call. */
int pen_reader_list(struct pen_reader *self, const struct pen_list_query *query,
                    int (*each)(void *context, const char *key, const ProtobufCMessage *row,
                                struct pen_error *err),
                    void *context, struct pen_error *err);

/* Facts after `after_seq`, oldest first, at most `limit`; of one execution, pipeline, or all. */
int pen_reader_facts(struct pen_reader *self, const char *pipeline, const char *execution,
                     uint64_t after_seq, size_t limit,
                     int (*each)(void *context, const Pen__Fact *fact, struct pen_error *err),
                     void *context, struct pen_error *err);

#endif
