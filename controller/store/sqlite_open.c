/* The SQLite backend: connections, pragmas, migrations and the write-ahead log. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/io/file.h"
#include "controller/store/migrations.h"
#include "controller/store/sqlite_internal.h"

enum {
    APPLICATION_ID = 0x50454e53, /* "PENS": what file(1) and we know the database by */
    BUSY_TIMEOUT_MS = 5000,      /* only start, stop and recovery ever make anyone wait */
    CACHE_KIB_WRITER = 8192,     /* holds the interior and the newest pages of every index */
    CACHE_KIB_READER = 2048,
    /* The log is moved when it holds so many pages (16 MiB). A page that was written often is moved
     * once, so a longer log costs less: tests/bench/bench_store ends 2,800 actions/s at 1,000
     * pages, 10,200 at 4,096 and 10,600 at 16,384; more is memory and a longer pause. */
    WAL_PAGES_BOUND = 4096,
    WAL_KEPT_BYTES = 64 * 1024 * 1024, /* the file is cut back to this once it was longer */
};

static int code_of(struct pen_backend *self, int rc)
{
    int number = self->db == NULL ? 0 : sqlite3_system_errno(self->db);
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return PEN_ENOSPACE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return PEN_ECORRUPT;
    case SQLITE_NOMEM:
        return PEN_ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return PEN_ECONFLICT;
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
        return PEN_EDENIED;
    case SQLITE_CANTOPEN:
        return number == ENOENT ? PEN_ENOTFOUND : PEN_EIO;
    case SQLITE_IOERR:
        return number == ENOSPC || number == EDQUOT ? PEN_ENOSPACE : PEN_EIO;
    case SQLITE_TOOBIG:
        return PEN_ELIMIT;
    default:
        return PEN_EIO;
    }
}

int pen_sqlite_fail(struct pen_backend *self, int rc, struct pen_error *err, const char *what)
{
    const char *text = self->db == NULL ? sqlite3_errstr(rc) : sqlite3_errmsg(self->db);
    return pen_fail(err, code_of(self, rc), "database: %s: %s (SQLite code %d)", what, text, rc);
}

static int on_wal(void *context, sqlite3 *db, const char *schema, int pages)
{
    (void)db;
    (void)schema;
    struct pen_backend *self = context;
    self->wal_pages = pages;
    return SQLITE_OK;
}

static int exec(struct pen_backend *self, const char *sql, struct pen_error *err)
{
    int rc = sqlite3_exec(self->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : pen_sqlite_fail(self, rc, err, sql);
}

/* The first column of the first row of a pragma, as a number. */
static int query_number(struct pen_backend *self, const char *sql, int64_t *ret_number,
                        struct pen_error *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(self->db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    int code = 0;
    if (rc == SQLITE_ROW)
        *ret_number = sqlite3_column_int64(statement, 0);
    else
        code = pen_sqlite_fail(self, rc, err, sql);
    sqlite3_finalize(statement);
    return code;
}

/* SQLite answers the mode that it took, and keeps the old one where the log cannot work. */
static int use_log(struct pen_backend *self, struct pen_error *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(self->db, "PRAGMA journal_mode = WAL", -1, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    int code = 0;
    if (rc != SQLITE_ROW)
        code = pen_sqlite_fail(self, rc, err, "starting the write-ahead log");
    else if (sqlite3_stricmp((const char *)sqlite3_column_text(statement, 0), "wal") != 0)
        code = pen_fail(err, PEN_EIO,
                        "database: this file system cannot share memory, which the write-ahead "
                        "log needs; use a local one");
    sqlite3_finalize(statement);
    return code;
}

static int open_connection(struct pen_backend *self, const char *path, struct pen_error *err)
{
    int flags = self->writer ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
    int rc = sqlite3_open_v2(path, &self->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return pen_sqlite_fail(self, rc, err, path);
    sqlite3_extended_result_codes(self->db, 1);
    sqlite3_busy_timeout(self->db, BUSY_TIMEOUT_MS);
    (void)sqlite3_db_config(self->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(self->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    char sql[256];
    (void)snprintf(sql, sizeof sql, "PRAGMA cache_size = -%d; PRAGMA temp_store = MEMORY;",
                   self->writer ? CACHE_KIB_WRITER : CACHE_KIB_READER);
    int code = exec(self, sql, err);
    if (code < 0 || self->writer)
        return code;
    return exec(self, "PRAGMA query_only = 1;", err);
}

/* Refuse a file that is not ours or that a newer release has changed. */
static int check_origin(struct pen_backend *self, int64_t *ret_version, struct pen_error *err)
{
    int64_t application = 0;
    int64_t version = 0;
    int code = query_number(self, "PRAGMA application_id", &application, err);
    if (code < 0)
        return code;
    code = query_number(self, "PRAGMA user_version", &version, err);
    if (code < 0)
        return code;
    if (application != APPLICATION_ID && !(self->writer && application == 0 && version == 0))
        return pen_fail(err, PEN_ECORRUPT,
                        "database: this is not a Penstock database (application id %lld)",
                        (long long)application);
    if (version > pen_migrations_count)
        return pen_fail(err, PEN_EUNSUPPORTED,
                        "database: its schema version %lld is newer than this program's %d; "
                        "run the release that wrote it, or a newer one",
                        (long long)version, pen_migrations_count);
    *ret_version = version;
    return 0;
}

static int migrate(struct pen_backend *self, int64_t version, struct pen_error *err)
{
    for (int i = (int)version; i < pen_migrations_count; i++) {
        const struct pen_migration *step = &pen_migrations[i];
        char sql[128];
        (void)snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d;",
                       APPLICATION_ID, step->version);
        int code = exec(self, "BEGIN IMMEDIATE", err);
        if (code == 0)
            code = exec(self, step->sql, err);
        if (code == 0)
            code = exec(self, sql, err);
        if (code == 0)
            code = exec(self, "COMMIT", err);
        if (code < 0) {
            if (sqlite3_get_autocommit(self->db) == 0)
                (void)sqlite3_exec(self->db, "ROLLBACK", NULL, NULL, NULL);
            (void)pen_error_prefix(err, "migration %04d-%s", step->version, step->name);
            return code;
        }
    }
    return 0;
}

static int open_writer(struct pen_backend *self, struct pen_error *err)
{
    int64_t version = 0;
    int code = check_origin(self, &version, err);
    if (code < 0)
        return code;
    char sql[256];
    (void)snprintf(sql, sizeof sql,
                   "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;"
                   "PRAGMA journal_size_limit = %d;",
                   WAL_KEPT_BYTES);
    code = use_log(self, err);
    if (code == 0)
        code = exec(self, sql, err);
    if (code < 0)
        return code;
    int64_t synchronous = 0;
    code = query_number(self, "PRAGMA synchronous", &synchronous, err);
    if (code < 0)
        return code;
    CHECK(synchronous == 2);
    (void)sqlite3_wal_hook(self->db, on_wal, self);
    return migrate(self, version, err);
}

int pen_backend_open(const char *dir, bool writer, struct pen_backend **ret_backend,
                     struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    pen_buf_printf(&path, "%s/penstock.db", dir);
    int code = pen_buf_ok(&path, err);
    if (code < 0)
        return code;
    if (writer) {
        /* Made here and not by SQLite, for the mode: the log and its index get the same. */
        PEN_CLEANUP(pen_fd_close) int fd = -1;
        code = pen_file_open(pen_buf_text(&path), O_RDWR | O_CREAT, 0600, &fd, err);
        if (code < 0)
            return code;
    }
    PEN_CLEANUP(pen_backend_close) struct pen_backend *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "database: no memory");
    self->writer = writer;
    code = open_connection(self, pen_buf_text(&path), err);
    if (code == 0 && writer) {
        code = open_writer(self, err);
    } else if (code == 0) {
        int64_t version = 0;
        code = check_origin(self, &version, err);
    }
    if (code < 0)
        return code;
    *ret_backend = TAKE_PTR(self);
    return 0;
}

void pen_backend_close(struct pen_backend **self_p)
{
    struct pen_backend *self = *self_p;
    *self_p = NULL;
    if (self == NULL)
        return;
    for (int i = 0; i < PEN_SQL_COUNT; i++) {
        CHECK(!self->busy[i]);
        sqlite3_finalize(self->statements[i]);
    }
    if (self->db != NULL) {
        int rc = sqlite3_close(self->db);
        CHECK(rc == SQLITE_OK);
    }
    free(self);
}

int pen_backend_checkpoint(struct pen_backend *self, struct pen_error *err)
{
    CHECK(self->writer && !self->transaction);
    if (self->wal_pages == 0)
        return 0;
    int in_log = 0;
    int moved = 0;
    int rc = sqlite3_wal_checkpoint_v2(self->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_log, &moved);
    if (rc == SQLITE_BUSY)
        return 0;
    if (rc != SQLITE_OK)
        return pen_sqlite_fail(self, rc, err, "moving the log");
    if (moved >= in_log)
        self->wal_pages = 0;
    self->wal_pages_retry = moved >= in_log ? 0 : in_log + WAL_PAGES_BOUND / 4;
    return 0;
}

void pen_sqlite_bound_log(struct pen_backend *self)
{
    if (self->wal_pages < WAL_PAGES_BOUND || self->wal_pages < self->wal_pages_retry)
        return;
    /* A reader or a full disk can hold the move up; the commit that comes next does not depend on
     * it, so it is tried again when the log has grown by another quarter. */
    if (pen_backend_checkpoint(self, NULL) < 0)
        self->wal_pages_retry = self->wal_pages + WAL_PAGES_BOUND / 4;
}
