/* The SQLite backend: statements and writing. */
#include "common/base/check.h"
#include "controller/store/sqlite_internal.h"

/* A list is of rows with an order or of rows without, each with an index that fits. `+` keeps a
 * column from choosing the index: keys are sorted within one pipeline or execution. */
#define ORDERED "SELECT kind, key, body FROM row WHERE kind = ?1 AND ord > 0 AND ord < ?2"
#define BETWEEN "SELECT kind, key, body FROM row WHERE kind = ?1 AND ord > ?6 AND ord < ?2"
#define KEYED   "SELECT kind, key, body FROM row WHERE kind = ?1 AND ord = 0 AND key > ?2"
#define WITHIN  "SELECT kind, key, body FROM row WHERE kind = ?1 AND ord = 0 AND +key > ?2"
#define NEWEST  " ORDER BY ord DESC LIMIT ?3"
#define BY_KEY  " ORDER BY key LIMIT ?3"
#define FACTS   "SELECT seq, NULL, body FROM fact WHERE seq > ?1"
#define OLDEST  " ORDER BY seq LIMIT ?2"

static const char *const statements[PEN_SQL_COUNT] = {
    [PEN_SQL_BEGIN] = "BEGIN",
    [PEN_SQL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [PEN_SQL_COMMIT] = "COMMIT",
    [PEN_SQL_ROLLBACK] = "ROLLBACK",
    /* Most changes are to the body alone, and then no index needs to be touched. */
    [PEN_SQL_ROW_BODY] = "UPDATE row SET body = ?7 WHERE kind = ?1 AND key = ?2 AND pipeline IS ?3"
                         " AND execution IS ?4 AND ord = ?5 AND live = ?6",
    [PEN_SQL_ROW_PUT] = "INSERT INTO row (kind, key, pipeline, execution, ord, live, body)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (kind, key) DO UPDATE SET"
                        " pipeline = ?3, execution = ?4, ord = ?5, live = ?6, body = ?7",
    [PEN_SQL_ROW_DELETE] = "DELETE FROM row WHERE kind = ?1 AND key = ?2",
    [PEN_SQL_FACT_PUT] = "INSERT INTO fact (seq, at_ms, pipeline, execution, body)"
                         " VALUES (?1, ?2, ?3, ?4, ?5)",
    [PEN_SQL_ROW_PURGE] = "DELETE FROM row WHERE rowid IN (SELECT rowid FROM row"
                          " WHERE kind = ?1 AND execution = ?2 AND +live = 0 LIMIT ?3)",
    [PEN_SQL_FACT_PURGE] = "DELETE FROM fact WHERE seq IN (SELECT seq FROM fact"
                           " WHERE execution = ?2 LIMIT ?3)",
    [PEN_SQL_LIVE] = "SELECT kind, key, body FROM row WHERE live = 1 ORDER BY kind, key",
    [PEN_SQL_GET] = "SELECT body FROM row WHERE kind = ?1 AND key = ?2",
    [PEN_SQL_LIST_ORDERED] = ORDERED NEWEST,
    [PEN_SQL_LIST_ORDERED_PIPELINE] = BETWEEN " AND pipeline = ?4" NEWEST,
    [PEN_SQL_LIST_ORDERED_EXECUTION] =
        ORDERED " AND execution = ?5 AND (?4 IS NULL OR +pipeline = ?4)" NEWEST,
    [PEN_SQL_LIST_KEYED] = KEYED BY_KEY,
    [PEN_SQL_LIST_KEYED_PIPELINE] = WITHIN " AND pipeline = ?4" BY_KEY,
    [PEN_SQL_LIST_KEYED_EXECUTION] =
        WITHIN " AND execution = ?5 AND (?4 IS NULL OR +pipeline = ?4)" BY_KEY,
    [PEN_SQL_FACTS] = FACTS OLDEST,
    [PEN_SQL_FACTS_PIPELINE] = FACTS " AND pipeline = ?3" OLDEST,
    [PEN_SQL_FACTS_EXECUTION] =
        FACTS " AND execution = ?4 AND (?3 IS NULL OR +pipeline = ?3)" OLDEST,
};

int pen_sqlite_take(struct pen_backend *self, enum pen_sql id, sqlite3_stmt **ret_statement,
                    struct pen_error *err)
{
    if (self->statements[id] != NULL && !self->busy[id]) {
        self->busy[id] = true;
        *ret_statement = self->statements[id];
        return 0;
    }
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v3(self->db, statements[id], -1, SQLITE_PREPARE_PERSISTENT, &statement,
                                NULL);
    if (rc != SQLITE_OK)
        return pen_sqlite_fail(self, rc, err, statements[id]);
    if (self->statements[id] == NULL) {
        self->statements[id] = statement;
        self->busy[id] = true;
    }
    *ret_statement = statement;
    return 0;
}

void pen_sqlite_give(struct pen_backend *self, enum pen_sql id, sqlite3_stmt *statement)
{
    if (statement != self->statements[id]) {
        sqlite3_finalize(statement);
        return;
    }
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    self->busy[id] = false;
}

int pen_sqlite_run(struct pen_backend *self, enum pen_sql id, struct pen_error *err)
{
    sqlite3_stmt *statement = NULL;
    int code = pen_sqlite_take(self, id, &statement, err);
    if (code < 0)
        return code;
    int rc = sqlite3_step(statement);
    if (rc != SQLITE_DONE)
        code = pen_sqlite_fail(self, rc, err, statements[id]);
    pen_sqlite_give(self, id, statement);
    return code;
}

int pen_backend_begin(struct pen_backend *self, struct pen_error *err)
{
    CHECK(!self->transaction);
    if (self->writer)
        pen_sqlite_bound_log(self);
    int code = pen_sqlite_run(self, self->writer ? PEN_SQL_BEGIN_WRITE : PEN_SQL_BEGIN, err);
    if (code == 0)
        self->transaction = true;
    return code;
}

int pen_backend_commit(struct pen_backend *self, struct pen_error *err)
{
    CHECK(self->transaction);
    int code = pen_sqlite_run(self, PEN_SQL_COMMIT, err);
    if (code < 0)
        pen_backend_rollback(self);
    self->transaction = false;
    return code;
}

void pen_backend_rollback(struct pen_backend *self)
{
    /* SQLite has rolled back by itself after some errors; then there is nothing to do. */
    if (self->transaction && sqlite3_get_autocommit(self->db) == 0)
        (void)pen_sqlite_run(self, PEN_SQL_ROLLBACK, NULL);
    self->transaction = false;
}

int pen_sqlite_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    if (text == NULL)
        return sqlite3_bind_null(statement, index);
    return sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

static int bind_body(sqlite3_stmt *statement, int index, const uint8_t *body, size_t size)
{
    if (size == 0)
        return sqlite3_bind_zeroblob(statement, index, 0);
    return sqlite3_bind_blob64(statement, index, body, size, SQLITE_STATIC);
}

/* Bind, step and give back one statement about a row; ret_changes (may be NULL): rows it changed.
 */
static int write_row(struct pen_backend *self, enum pen_sql id, const struct pen_row *row,
                     int *ret_changes, struct pen_error *err)
{
    sqlite3_stmt *statement = NULL;
    int code = pen_sqlite_take(self, id, &statement, err);
    if (code < 0)
        return code;
    int rc = sqlite3_bind_int(statement, 1, (int)row->kind);
    if (rc == SQLITE_OK)
        rc = pen_sqlite_bind_text(statement, 2, row->key);
    if (rc == SQLITE_OK && id != PEN_SQL_ROW_DELETE) {
        rc = pen_sqlite_bind_text(statement, 3, row->pipeline);
        if (rc == SQLITE_OK)
            rc = pen_sqlite_bind_text(statement, 4, row->execution);
        if (rc == SQLITE_OK)
            rc = sqlite3_bind_int64(statement, 5, (sqlite3_int64)row->order);
        if (rc == SQLITE_OK)
            rc = sqlite3_bind_int(statement, 6, row->live);
        if (rc == SQLITE_OK)
            rc = bind_body(statement, 7, row->body, row->body_size);
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc != SQLITE_DONE)
        code = pen_sqlite_fail(self, rc, err, statements[id]);
    else if (ret_changes != NULL)
        *ret_changes = sqlite3_changes(self->db);
    pen_sqlite_give(self, id, statement);
    return code;
}

int pen_backend_put_row(struct pen_backend *self, const struct pen_row *row, struct pen_error *err)
{
    CHECK(self->transaction && self->writer);
    CHECK(row->order <= INT64_MAX);
    if (row->deleted)
        return write_row(self, PEN_SQL_ROW_DELETE, row, NULL, err);
    int changes = 0;
    int code = write_row(self, PEN_SQL_ROW_BODY, row, &changes, err);
    if (code < 0 || changes == 1)
        return code;
    return write_row(self, PEN_SQL_ROW_PUT, row, NULL, err);
}

int pen_backend_put_fact(struct pen_backend *self, const struct pen_backend_fact *fact,
                         struct pen_error *err)
{
    CHECK(self->transaction && self->writer);
    CHECK(fact->seq >= 1 && fact->seq <= INT64_MAX);
    sqlite3_stmt *statement = NULL;
    int code = pen_sqlite_take(self, PEN_SQL_FACT_PUT, &statement, err);
    if (code < 0)
        return code;
    int rc = sqlite3_bind_int64(statement, 1, (sqlite3_int64)fact->seq);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(statement, 2, fact->at_ms);
    if (rc == SQLITE_OK)
        rc = pen_sqlite_bind_text(statement, 3, fact->pipeline);
    if (rc == SQLITE_OK)
        rc = pen_sqlite_bind_text(statement, 4, fact->execution);
    if (rc == SQLITE_OK)
        rc = bind_body(statement, 5, fact->body, fact->body_size);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if ((rc & 0xff) == SQLITE_CONSTRAINT)
        code = pen_fail(err, PEN_ECONFLICT, "database: fact %lld exists already",
                        (long long)fact->seq);
    else if (rc != SQLITE_DONE)
        code = pen_sqlite_fail(self, rc, err, "appending a fact");
    pen_sqlite_give(self, PEN_SQL_FACT_PUT, statement);
    return code;
}

int pen_backend_purge(struct pen_backend *self, int kind, const char *execution, size_t limit,
                      size_t *ret_count, struct pen_error *err)
{
    CHECK(self->transaction && self->writer);
    enum pen_sql id = kind == 0 ? PEN_SQL_FACT_PURGE : PEN_SQL_ROW_PURGE;
    sqlite3_stmt *statement = NULL;
    int code = pen_sqlite_take(self, id, &statement, err);
    if (code < 0)
        return code;
    int rc = kind == 0 ? SQLITE_OK : sqlite3_bind_int(statement, 1, kind);
    if (rc == SQLITE_OK)
        rc = pen_sqlite_bind_text(statement, 2, execution);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(statement, 3, (sqlite3_int64)limit);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc != SQLITE_DONE)
        code = pen_sqlite_fail(self, rc, err, "deleting history");
    else
        *ret_count = (size_t)sqlite3_changes(self->db);
    pen_sqlite_give(self, id, statement);
    return code;
}
