/* controller/store/sqlite_internal.h - shared by the files of the SQLite backend
 *
 * One connection with its prepared statements. A statement is prepared when first used and kept;
 * one that is in use (a list whose callback lists again) is prepared a second time for that use.
 */
#ifndef PEN_CONTROLLER_STORE_SQLITE_INTERNAL_H
#define PEN_CONTROLLER_STORE_SQLITE_INTERNAL_H

#include <sqlite3.h>
#include <stdbool.h>

#include "controller/store/backend.h"

enum pen_sql {
    PEN_SQL_BEGIN,
    PEN_SQL_BEGIN_WRITE,
    PEN_SQL_COMMIT,
    PEN_SQL_ROLLBACK,
    PEN_SQL_ROW_BODY,
    PEN_SQL_ROW_PUT,
    PEN_SQL_ROW_DELETE,
    PEN_SQL_FACT_PUT,
    PEN_SQL_ROW_PURGE,
    PEN_SQL_FACT_PURGE,
    PEN_SQL_LIVE,
    PEN_SQL_GET,
    PEN_SQL_LIST_ORDERED,
    PEN_SQL_LIST_ORDERED_PIPELINE,
    PEN_SQL_LIST_ORDERED_EXECUTION,
    PEN_SQL_LIST_KEYED,
    PEN_SQL_LIST_KEYED_PIPELINE,
    PEN_SQL_LIST_KEYED_EXECUTION,
    PEN_SQL_FACTS,
    PEN_SQL_FACTS_PIPELINE,
    PEN_SQL_FACTS_EXECUTION,
    PEN_SQL_COUNT,
};

struct pen_backend {
    sqlite3 *db;
    bool writer;
    bool transaction;
    int wal_pages;       /* in the log after the last commit; 0: all moved */
    int wal_pages_retry; /* no automatic move below this: the last one was held up */
    sqlite3_stmt *statements[PEN_SQL_COUNT];
    bool busy[PEN_SQL_COUNT];
};

/* Fill err from the connection's last error; `what` says what was being done. */
int pen_sqlite_fail(struct pen_backend *self, int rc, struct pen_error *err, const char *what);

/* Take the statement for one use, and give it back. */
int pen_sqlite_take(struct pen_backend *self, enum pen_sql id, sqlite3_stmt **ret_statement,
                    struct pen_error *err);
void pen_sqlite_give(struct pen_backend *self, enum pen_sql id, sqlite3_stmt *statement);

/* Bind text that outlives the use of the statement; NULL binds NULL. */
int pen_sqlite_bind_text(sqlite3_stmt *statement, int index, const char *text);

/* Run a statement without parameters and rows. */
int pen_sqlite_run(struct pen_backend *self, enum pen_sql id, struct pen_error *err);

/* Move the log if it has outgrown its bound; never fails a commit. */
void pen_sqlite_bound_log(struct pen_backend *self);

#endif
