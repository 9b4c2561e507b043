/* tests/bench/reload.c - the store of a long life, and how soon it serves again
 *
 * The engine runs 1,000 executions to their end and 1,000 that stay under way; all that it says
 * goes into a real store. Then the finished ones are multiplied inside of the database: rows and
 * facts of the same bytes under other keys. What restarts is the real thing: open, load the live
 * rows, plan, and commit a first request.
 */
#include "tests/bench/reload.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/store/store.h"
#include "tests/bench/load.h"

enum { ACTIVE = 1000, TEMPLATE = 1000, ROUNDS = 5 };

static int commit(void *context, const struct pen_engine_out *out)
{
    struct pen_error err;
    if (pen_store_commit(context, out, &err) == 0)
        return 0;
    load_die("%s", err.message);
}

/* ---- making the store */

static void make_real_part(const char *dir)
{
    struct pen_store *store = NULL;
    struct pen_error err;
    if (pen_store_open(dir, &store, &err) < 0)
        load_die("%s", err.message);
    struct load_options options = {.pipelines = 100,
                                   .agents = 50,
                                   .slots = 2,
                                   .active = ACTIVE,
                                   .batch = 256,
                                   .short_ones = true,
                                   .commit = commit,
                                   .context = store};
    struct load *load = load_create(&options);
    load_run_until_ended(load, TEMPLATE);
    load_fill(load); /* those that have ended have successors */
    load_destroy(&load);
    pen_store_close(&store);
}

static void execute(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        load_die("%s: %s", sql, message);
}

/* Rows and facts of what has ended, as often as it takes. Keys stay unique, and the numbers of the
 * copied facts are far above those that the engine gives next. */
static void multiply(const char *path, size_t finished)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        load_die("%s: %s", path, sqlite3_errmsg(db));
    execute(db, "PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF;"
                "PRAGMA cache_size = -400000; PRAGMA temp_store = MEMORY; BEGIN;"
                "DROP INDEX row_by_pipeline; DROP INDEX row_by_execution; DROP INDEX row_by_order;"
                "DROP INDEX fact_by_execution; DROP INDEX fact_by_pipeline;"
                "CREATE TEMP TABLE ended AS SELECT key AS id FROM row WHERE kind = 5 AND live = 0;"
                "CREATE TEMP TABLE old_row AS SELECT * FROM row WHERE live = 0 AND"
                " execution IN (SELECT id FROM ended);"
                "CREATE TEMP TABLE old_fact AS SELECT * FROM fact WHERE"
                " execution IN (SELECT id FROM ended);");
    char sql[1024];
    (void)snprintf(
        sql, sizeof sql,
        "CREATE TEMP TABLE copy AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        " WHERE i < %zu / (SELECT count(*) FROM ended)) SELECT printf('%%07x', i) AS i FROM n;"
        "INSERT INTO row SELECT kind, copy.i || key, pipeline, copy.i || execution, ord, live, body"
        " FROM old_row, copy ORDER BY 1, 2;"
        "INSERT INTO fact (seq, at_ms, pipeline, execution, body) SELECT NULL, at_ms, pipeline,"
        " copy.i || execution, body FROM copy, old_fact;",
        finished);
    execute(db, "INSERT INTO fact (seq, at_ms, body) VALUES (1000000000000, 0, x'')");
    execute(db, sql);
    execute(db, "CREATE INDEX row_by_pipeline ON row (kind, pipeline, ord)"
                " WHERE pipeline IS NOT NULL;"
                "CREATE INDEX row_by_execution ON row (kind, execution, ord)"
                " WHERE execution IS NOT NULL;"
                "CREATE INDEX row_by_order ON row (kind, ord) WHERE ord > 0;"
                "CREATE INDEX fact_by_execution ON fact (execution) WHERE execution IS NOT NULL;"
                "CREATE INDEX fact_by_pipeline ON fact (pipeline) WHERE pipeline IS NOT NULL;"
                "COMMIT; PRAGMA journal_mode = WAL;");
    if (sqlite3_close(db) != SQLITE_OK)
        load_die("closing %s", path);
}

/* Made under another name, so that what is there is complete. */
static void make_store(const char *folder, const char *dir, size_t finished)
{
    char draft[512];
    char path[600];
    (void)snprintf(draft, sizeof draft, "%s/draft.%ld", folder, (long)getpid());
    (void)snprintf(path, sizeof path, "%s/penstock.db", draft);
    if (mkdir(draft, 0700) < 0)
        load_die("mkdir %s: error %d", draft, errno);
    uint64_t begin_ns = load_wall_ns();
    make_real_part(draft);
    multiply(path, finished);
    if (rename(draft, dir) < 0)
        load_die("rename %s to %s: error %d", draft, dir, errno);
    (void)printf("(made the store with %zu finished executions in %.0f s)\n", finished,
                 (double)(load_wall_ns() - begin_ns) / 1e9);
}

/* ---- restarting */

struct loaded {
    struct pen_engine *engine;
    size_t rows;
    size_t executions; /* of the rows */
};

static int load_row(void *context, Pen__RowKind kind, const uint8_t *body, size_t size,
                    struct pen_error *err)
{
    struct loaded *self = context;
    self->rows++;
    self->executions += kind == PEN__ROW_KIND__ROW_EXECUTION;
    return pen_engine_load(self->engine, kind, body, size, err);
}

/* The first request is answered: so the restart is over. */
static void first_request(struct pen_engine *engine, struct pen_store *store, int64_t now_ms)
{
    Pen__CreateRepository create = PEN__CREATE_REPOSITORY__INIT;
    char name[64];
    (void)snprintf(name, sizeof name, "first-%llu", (unsigned long long)load_wall_ns());
    create.name = name;
    Pen__Input input = PEN__INPUT__INIT;
    input.what_case = PEN__INPUT__WHAT_CREATE_REPOSITORY;
    input.create_repository = &create;
    struct pen_engine_out out = {0};
    struct pen_error err;
    if (pen_engine_step(engine, &input, now_ms, &out, &err) < 0)
        load_die("%s", err.message);
    (void)commit(store, &out);
    pen_engine_out_release(&out);
}

struct restart {
    double open_ms, load_ms, plan_ms, serve_ms;
    size_t rows, effects;
};

static double since_ms(uint64_t *begin_ns)
{
    uint64_t now_ns = load_wall_ns();
    double ms = (double)(now_ns - *begin_ns) / 1e6;
    *begin_ns = now_ns;
    return ms;
}

static struct restart restart_once(const char *dir)
{
    struct restart self = {0};
    struct pen_store *store = NULL;
    struct pen_error err;
    struct loaded loaded = {0};
    struct pen_engine_options options;
    pen_engine_options_default(&options);
    struct pen_engine_out out = {0};
    int64_t now_ms = INT64_C(1800000000000);
    uint64_t begin_ns = load_wall_ns();
    if (pen_store_open(dir, &store, &err) < 0)
        load_die("%s", err.message);
    self.open_ms = since_ms(&begin_ns);
    if (pen_engine_create(&options, &loaded.engine, &err) < 0 ||
        pen_store_load_live(store, load_row, &loaded, &err) < 0)
        load_die("%s", err.message);
    self.load_ms = since_ms(&begin_ns);
    if (loaded.executions != ACTIVE)
        load_die("%s has %zu executions under way instead of %d", dir, loaded.executions, ACTIVE);
    if (pen_engine_plan(loaded.engine, now_ms, &out, &err) < 0)
        load_die("%s", err.message);
    (void)commit(store, &out);
    self.plan_ms = since_ms(&begin_ns);
    self.effects = out.effects_count;
    first_request(loaded.engine, store, now_ms);
    self.serve_ms = since_ms(&begin_ns);
    self.rows = loaded.rows;
    pen_engine_out_release(&out);
    pen_engine_destroy(&loaded.engine);
    pen_store_close(&store);
    return self;
}

static double total_ms(const struct restart *self)
{
    return self->open_ms + self->load_ms + self->plan_ms + self->serve_ms;
}

static void bench_size(const char *folder, size_t finished)
{
    char dir[256];
    char path[300];
    (void)snprintf(dir, sizeof dir, "%s/store-%zu", folder, finished);
    (void)snprintf(path, sizeof path, "%s/penstock.db", dir);
    struct stat info;
    if (stat(path, &info) < 0)
        make_store(folder, dir, finished);
    if (stat(path, &info) < 0)
        load_die("no %s", path);
    struct restart best = {0};
    for (int round = 0; round < ROUNDS; round++) {
        struct restart one = restart_once(dir);
        if (round == 0 || total_ms(&one) < total_ms(&best))
            best = one;
    }
    (void)printf("%10zu %8.0f MB %8zu %8.1f %8.1f %8.1f %8.1f %10.1f ms\n", finished,
                 (double)info.st_size / 1e6, best.rows, best.open_ms, best.load_ms, best.plan_ms,
                 best.serve_ms, total_ms(&best));
    (void)fflush(stdout);
}

void bench_reload(const char *folder)
{
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        load_die("mkdir %s: error %d", folder, errno);
    (void)printf(
        "\nreload: %d executions under way; ms to open, load, plan, and commit a request\n",
        ACTIVE);
    (void)printf("%10s %11s %8s %8s %8s %8s %8s %13s\n", "finished", "database", "rows", "open",
                 "load", "plan", "request", "in all");
    bench_size(folder, 100000);
    bench_size(folder, 1000000);
}
