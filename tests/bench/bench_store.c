/* What a commit costs: one line a case.
 *
 *     bench_store [FOLDER]     in a fresh folder under FOLDER, /tmp by default
 *
 * The last case writes what a small action writes over its life: its rows several times, facts with
 * each, in as many commits as a batch of actions that go on together takes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "controller/store/store.h"

enum { ROWS_MAX = 4096, BODY_SIZE = 300 };

static struct pen_row rows[ROWS_MAX];
static Pen__Fact fact_memory[ROWS_MAX];
static Pen__Fact *facts[ROWS_MAX];
static char keys[ROWS_MAX][40];
static uint8_t body[BODY_SIZE];
static struct pen_engine_out out;
static uint64_t seq;

static void commit(struct pen_store *store)
{
    struct pen_error err;
    if (pen_store_commit(store, &out, &err) < 0) {
        (void)fprintf(stderr, "bench_store: %s\n", err.message);
        exit(1);
    }
    out.rows_count = 0;
    out.facts_count = 0;
}

/* A key that looks like a UUID: random order, as the real ones. */
static const char *key_of(uint64_t number, unsigned salt)
{
    uint64_t mixed = (number + salt) * 0x9e3779b97f4a7c15u;
    mixed ^= mixed >> 31;
    char *key = keys[out.rows_count];
    (void)snprintf(key, sizeof keys[0], "%08x-0000-4000-%04x-%012" PRIx64, (unsigned)(mixed >> 32),
                   salt, number);
    return key;
}

static void add_row(Pen__RowKind kind, uint64_t number, const char *execution, uint64_t order,
                    bool live)
{
    struct pen_row *row = &rows[out.rows_count];
    memset(row, 0, sizeof *row);
    row->kind = kind;
    row->key = (char *)key_of(number, (unsigned)kind);
    row->pipeline = (char *)"bench";
    row->execution = (char *)execution;
    row->order = order;
    row->live = live;
    row->body = body;
    row->body_size = sizeof body;
    out.rows_count++;
}

static void add_fact(const char *execution)
{
    Pen__Fact *fact = &fact_memory[out.facts_count];
    pen__fact__init(fact);
    fact->has_seq = true;
    fact->seq = ++seq;
    fact->has_at_ms = true;
    fact->pipeline = (char *)"bench";
    fact->execution_id = (char *)execution;
    facts[out.facts_count++] = fact;
}

static void bench_rows(struct pen_store *store, int per_commit, int commits)
{
    static uint64_t number;
    int64_t start_us = pen_clock_monotonic_us();
    for (int i = 0; i < commits; i++) {
        for (int j = 0; j < per_commit; j++)
            add_row(PEN__ROW_KIND__ROW_ATTEMPT, ++number, NULL, 0, false);
        commit(store);
    }
    double seconds = (double)(pen_clock_monotonic_us() - start_us) / 1e6;
    (void)printf("new rows, %4d a commit: %8.0f commits/s %9.0f rows/s\n", per_commit,
                 commits / seconds, commits * (double)per_commit / seconds);
}

/* Four turns an action: started, running, finished, ended; `batch` actions share each turn. */
static void bench_actions(struct pen_store *store, int batch, int actions)
{
    static uint64_t base = 1;
    char execution[40];
    (void)snprintf(execution, sizeof execution, "11111111-0000-4000-8000-%012" PRIx64, base);
    int64_t start_us = pen_clock_monotonic_us();
    int commits = 0;
    for (int done = 0; done < actions; done += batch) {
        for (int turn = 0; turn < 4; turn++) {
            for (int i = 0; i < batch; i++) {
                uint64_t number = base + (uint64_t)(done + i);
                bool live = turn < 3;
                add_row(PEN__ROW_KIND__ROW_ACTION_EXECUTION, number, execution, number, live);
                add_row(PEN__ROW_KIND__ROW_ATTEMPT, number, execution, 0, live);
                add_fact(execution);
                add_fact(execution);
            }
            add_row(PEN__ROW_KIND__ROW_EXECUTION, 1, execution, base, true);
            add_row(PEN__ROW_KIND__ROW_SETTING, 1, NULL, 0, true);
            commit(store);
            commits++;
        }
    }
    base += (uint64_t)actions;
    double seconds = (double)(pen_clock_monotonic_us() - start_us) / 1e6;
    (void)printf("actions, %2d at once:      %8.0f commits/s %9.0f actions/s\n", batch,
                 commits / seconds, actions / seconds);
}

static int count_live(void *context, Pen__RowKind kind, const uint8_t *bytes, size_t size,
                      struct pen_error *err)
{
    (void)kind;
    (void)bytes;
    (void)size;
    (void)err;
    ++*(size_t *)context;
    return 0;
}

/* Closes the store, then does what a restart does. */
static void bench_restart(const char *dir, struct pen_store **store)
{
    pen_store_close(store);
    struct pen_error err;
    size_t live = 0;
    int64_t start_us = pen_clock_monotonic_us();
    if (pen_store_open(dir, store, &err) < 0 ||
        pen_store_load_live(*store, count_live, &live, &err) < 0) {
        (void)fprintf(stderr, "bench_store: %s\n", err.message);
        exit(1);
    }
    (void)printf("restart: %zu live rows in %.1f ms\n", live,
                 (double)(pen_clock_monotonic_us() - start_us) / 1e3);
}

/* One page of what happened in an execution, from the middle of its history. */
static int count_fact(void *context, const Pen__Fact *fact, struct pen_error *err)
{
    (void)fact;
    (void)err;
    ++*(size_t *)context;
    return 0;
}

static void bench_facts(const char *dir)
{
    struct pen_reader *reader = NULL;
    struct pen_error err;
    size_t count = 0;
    if (pen_reader_open(dir, &reader, &err) < 0) {
        (void)fprintf(stderr, "bench_store: %s\n", err.message);
        exit(1);
    }
    int64_t start_us = pen_clock_monotonic_us();
    for (int i = 0; i < 100; i++)
        (void)pen_reader_facts(reader, "bench", NULL, seq / 2, 100, count_fact, &count, NULL);
    (void)printf("a page of 100 facts of %llu: %.0f us\n", (unsigned long long)seq,
                 (double)(pen_clock_monotonic_us() - start_us) / 100);
    pen_reader_close(&reader);
}

int main(int argc, char **argv)
{
    char dir[512];
    (void)snprintf(dir, sizeof dir, "%s/pen-bench-store-XXXXXX", argc > 1 ? argv[1] : "/tmp");
    struct pen_store *store = NULL;
    struct pen_error err;
    if (mkdtemp(dir) == NULL || pen_store_open(dir, &store, &err) < 0) {
        (void)fprintf(stderr, "bench_store: cannot open a store in %s\n", dir);
        return 1;
    }
    uint32_t noise = 1;
    for (size_t i = 0; i < sizeof body; i++) {
        noise = noise * 1664525u + 1013904223u;
        body[i] = (uint8_t)(noise >> 24);
    }
    out.rows = rows;
    out.facts = facts;
    bench_rows(store, 1, 4000);
    bench_rows(store, 10, 2000);
    bench_rows(store, 100, 1000);
    bench_actions(store, 1, 1000);
    bench_actions(store, 4, 4000);
    bench_actions(store, 32, 20000);
    int64_t start_us = pen_clock_monotonic_us();
    (void)pen_store_checkpoint(store, NULL);
    (void)printf("moving the rest of the log: %.1f ms\n",
                 (double)(pen_clock_monotonic_us() - start_us) / 1e3);
    bench_restart(dir, &store);
    bench_facts(dir);
    pen_store_close(&store);
    char path[600];
    struct pen_buf size = {0};
    (void)snprintf(path, sizeof path, "%s/penstock.db", dir);
    if (pen_file_read(path, (size_t)1 << 30, &size, &err) == 0)
        (void)printf("database: %.1f MB\n", (double)size.size / 1e6);
    pen_buf_release(&size);
    return pen_dir_remove_tree(dir, NULL) < 0;
}
