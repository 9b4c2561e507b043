/* The SQLite backend: reading. */
#include "common/base/check.h"
#include "controller/store/sqlite_internal.h"

/* Hand every row of the statement (number, key, body) to each. Returns 1 when each wanted to stop.
 * ret_count (may be NULL) is increased by the rows seen. */
static int each_item(struct pen_backend *self, sqlite3_stmt *statement, pen_backend_each *each,
                     void *context, size_t *ret_count, struct pen_error *err)
{
    for (;;) {
        int rc = sqlite3_step(statement);
        if (rc == SQLITE_DONE)
            return 0;
        if (rc != SQLITE_ROW)
            return pen_sqlite_fail(self, rc, err, "reading");
        struct pen_backend_item item = {
            .number = (uint64_t)sqlite3_column_int64(statement, 0),
            .key = (const char *)sqlite3_column_text(statement, 1),
            .body = sqlite3_column_blob(statement, 2),
            .body_size = (size_t)sqlite3_column_bytes(statement, 2),
        };
        if (ret_count != NULL)
            (*ret_count)++;
        int code = each(context, &item, err);
        if (code != 0)
            return code;
    }
}

int pen_backend_live(struct pen_backend *self, pen_backend_each *each, void *context,
                     struct pen_error *err)
{
    sqlite3_stmt *statement = NULL;
    int code = pen_sqlite_take(self, PEN_SQL_LIVE, &statement, err);
    if (code < 0)
        return code;
    code = each_item(self, statement, each, context, NULL, err);
    pen_sqlite_give(self, PEN_SQL_LIVE, statement);
    return code < 0 ? code : 0;
}

int pen_backend_get(struct pen_backend *self, int kind, const char *key, struct pen_buf *ret_body,
                    struct pen_error *err)
{
    sqlite3_stmt *statement = NULL;
    int code = pen_sqlite_take(self, PEN_SQL_GET, &statement, err);
    if (code < 0)
        return code;
    int rc = sqlite3_bind_int(statement, 1, kind);
    if (rc == SQLITE_OK)
        rc = pen_sqlite_bind_text(statement, 2, key);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        const void *body = sqlite3_column_blob(statement, 0);
        size_t size = (size_t)sqlite3_column_bytes(statement, 0);
        if (size > 0)
            pen_buf_append(ret_body, body, size);
        code = pen_buf_ok(ret_body, err);
    } else if (rc == SQLITE_DONE) {
        code = pen_fail(err, PEN_ENOTFOUND, "no row '%s' of kind %d", key, kind);
    } else {
        code = pen_sqlite_fail(self, rc, err, "reading a row");
    }
    pen_sqlite_give(self, PEN_SQL_GET, statement);
    return code;
}

/* A list of rows with an order, or without. Returns 1 when each wanted to stop. */
static int list_part(struct pen_backend *self, bool ordered, const struct pen_list_query *query,
                     size_t limit, pen_backend_each *each, void *context, size_t *ret_count,
                     struct pen_error *err)
{
    int shape = query->execution != NULL ? 2 : query->pipeline != NULL ? 1 : 0;
    enum pen_sql id = (enum pen_sql)((ordered ? PEN_SQL_LIST_ORDERED : PEN_SQL_LIST_KEYED) + shape);
    sqlite3_stmt *statement = NULL;
    int code = pen_sqlite_take(self, id, &statement, err);
    if (code < 0)
        return code;
    uint64_t before = query->before_order;
    if (before == 0 || before > INT64_MAX)
        before = INT64_MAX;
    int rc = sqlite3_bind_int(statement, 1, (int)query->kind);
    if (rc == SQLITE_OK && ordered)
        rc = sqlite3_bind_int64(statement, 2, (sqlite3_int64)before);
    else if (rc == SQLITE_OK)
        rc = pen_sqlite_bind_text(statement, 2, query->after_key == NULL ? "" : query->after_key);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(statement, 3, (sqlite3_int64)limit);
    if (rc == SQLITE_OK && shape >= 1)
        rc = pen_sqlite_bind_text(statement, 4, query->pipeline);
    if (rc == SQLITE_OK && shape == 1 && ordered)
        rc = sqlite3_bind_int64(statement, 6, (sqlite3_int64)query->after_order);
    if (rc == SQLITE_OK && shape == 2)
        rc = pen_sqlite_bind_text(statement, 5, query->execution);
    if (rc != SQLITE_OK)
        code = pen_sqlite_fail(self, rc, err, "binding a list");
    else
        code = each_item(self, statement, each, context, ret_count, err);
    pen_sqlite_give(self, id, statement);
    return code;
}

int pen_backend_list(struct pen_backend *self, const struct pen_list_query *query,
                     pen_backend_each *each, void *context, struct pen_error *err)
{
    size_t count = 0;
    int code = 0;
    if (query->after_key == NULL)
        code = list_part(self, true, query, query->limit, each, context, &count, err);
    /* Rows of a kind all have an order or none has: looking for the others would walk them all. */
    if (code == 0 && query->before_order == 0 && query->after_order == 0 && count == 0)
        code = list_part(self, false, query, query->limit, each, context, &count, err);
    return code < 0 ? code : 0;
}

int pen_backend_facts(struct pen_backend *self, const char *pipeline, const char *execution,
                      uint64_t after_seq, size_t limit, pen_backend_each *each, void *context,
                      struct pen_error *err)
{
    enum pen_sql id = execution != NULL  ? PEN_SQL_FACTS_EXECUTION
                      : pipeline != NULL ? PEN_SQL_FACTS_PIPELINE
                                         : PEN_SQL_FACTS;
    if (after_seq > INT64_MAX)
        return 0;
    sqlite3_stmt *statement = NULL;
    int code = pen_sqlite_take(self, id, &statement, err);
    if (code < 0)
        return code;
    int rc = sqlite3_bind_int64(statement, 1, (sqlite3_int64)after_seq);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(statement, 2, (sqlite3_int64)limit);
    if (rc == SQLITE_OK && id != PEN_SQL_FACTS)
        rc = pen_sqlite_bind_text(statement, 3, pipeline);
    if (rc == SQLITE_OK && id == PEN_SQL_FACTS_EXECUTION)
        rc = pen_sqlite_bind_text(statement, 4, execution);
    if (rc != SQLITE_OK)
        code = pen_sqlite_fail(self, rc, err, "binding a list of facts");
    else
        code = each_item(self, statement, each, context, NULL, err);
    pen_sqlite_give(self, id, statement);
    return code < 0 ? code : 0;
}
