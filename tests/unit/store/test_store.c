/* The store: what is committed is there, in order, after any end of the process. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <sqlite3.h>

#include "common/base/cleanup.h"
#include "common/io/file.h"
#include "common/wire/wire.h"
#include "controller/store/store.h"

struct fixture {
    char dir[64];
    struct pen_store *store;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    (void)snprintf(fixture->dir, sizeof fixture->dir, "/tmp/pen-store-XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    struct pen_error err;
    int rc = pen_store_open(fixture->dir, &fixture->store, &err);
    if (rc < 0)
        fail_msg("%s", err.message);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    pen_store_close(&fixture->store);
    assert_int_equal(pen_dir_remove_tree(fixture->dir, NULL), 0);
    free(fixture);
    return 0;
}

/* An out of our own: facts and rows are in arrays of fixed size. */
struct batch {
    struct pen_engine_out out;
    Pen__Fact *facts[64];
    struct pen_row rows[64];
};

static void batch_release(struct batch *batch)
{
    for (size_t i = 0; i < batch->out.facts_count; i++)
        pen_message_destroy(&batch->facts[i]);
    for (size_t i = 0; i < batch->out.rows_count; i++) {
        free(batch->rows[i].key);
        free(batch->rows[i].pipeline);
        free(batch->rows[i].execution);
        free(batch->rows[i].body);
    }
    memset(batch, 0, sizeof *batch);
}

static void add_fact(struct batch *batch, uint64_t seq, const char *pipeline, const char *execution)
{
    Pen__Fact *fact = calloc(1, sizeof *fact);
    pen__fact__init(fact);
    fact->has_seq = true;
    fact->seq = seq;
    fact->has_at_ms = true;
    fact->at_ms = 1000 + (int64_t)seq;
    fact->pipeline = pipeline == NULL ? NULL : strdup(pipeline);
    fact->execution_id = execution == NULL ? NULL : strdup(execution);
    batch->facts[batch->out.facts_count++] = fact;
    batch->out.facts = batch->facts;
}

static struct pen_row *add_row(struct batch *batch, Pen__RowKind kind, const char *key)
{
    struct pen_row *row = &batch->rows[batch->out.rows_count++];
    batch->out.rows = batch->rows;
    row->kind = kind;
    row->key = strdup(key);
    return row;
}

static void set_body(struct pen_row *row, const void *message)
{
    struct pen_buf body = {0};
    assert_int_equal(pen_wire_pack(message, &body, NULL), 0);
    row->body_size = body.size;
    row->body = body.data;
}

static void add_execution(struct batch *batch, const char *id, const char *pipeline, uint64_t order,
                          bool live)
{
    Pen__ExecutionRow message = PEN__EXECUTION_ROW__INIT;
    message.id = (char *)id;
    message.pipeline = (char *)pipeline;
    message.has_order = true;
    message.order = order;
    struct pen_row *row = add_row(batch, PEN__ROW_KIND__ROW_EXECUTION, id);
    row->pipeline = strdup(pipeline);
    row->execution = strdup(id);
    row->order = order;
    row->live = live;
    set_body(row, &message);
}

static void add_pipeline(struct batch *batch, const char *name, int version)
{
    Pen__PipelineRow message = PEN__PIPELINE_ROW__INIT;
    message.name = (char *)name;
    message.has_version = true;
    message.version = version;
    struct pen_row *row = add_row(batch, PEN__ROW_KIND__ROW_PIPELINE, name);
    row->pipeline = strdup(name);
    row->live = true;
    set_body(row, &message);
}

static void commit(struct fixture *fixture, struct batch *batch)
{
    struct pen_error err;
    int rc = pen_store_commit(fixture->store, &batch->out, &err);
    if (rc < 0)
        fail_msg("%s", err.message);
    batch_release(batch);
}

static struct pen_reader *reader_of(struct fixture *fixture)
{
    struct pen_reader *reader = NULL;
    struct pen_error err;
    int rc = pen_reader_open(fixture->dir, &reader, &err);
    if (rc < 0)
        fail_msg("%s", err.message);
    return reader;
}

static int join_key(void *context, const char *key, const ProtobufCMessage *row,
                    struct pen_error *err)
{
    (void)err;
    assert_non_null(row);
    pen_buf_puts(context, key);
    pen_buf_putc(context, ' ');
    return 0;
}

static void assert_list(struct pen_reader *reader, struct pen_list_query query,
                        const char *expected)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf keys = {0};
    struct pen_error err;
    int rc = pen_reader_list(reader, &query, join_key, &keys, &err);
    if (rc < 0)
        fail_msg("%s", err.message);
    assert_string_equal(pen_buf_text(&keys), expected);
}

static int join_seq(void *context, const Pen__Fact *fact, struct pen_error *err)
{
    (void)err;
    assert_int_equal(fact->at_ms, 1000 + (int64_t)fact->seq);
    pen_buf_printf(context, "%" PRIu64 " ", fact->seq);
    return 0;
}

static void assert_facts(struct pen_reader *reader, const char *pipeline, const char *execution,
                         uint64_t after, size_t limit, const char *expected)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf seqs = {0};
    assert_int_equal(
        pen_reader_facts(reader, pipeline, execution, after, limit, join_seq, &seqs, NULL), 0);
    assert_string_equal(pen_buf_text(&seqs), expected);
}

static int join_live(void *context, Pen__RowKind kind, const uint8_t *body, size_t size,
                     struct pen_error *err)
{
    (void)err;
    assert_non_null(body);
    pen_buf_printf(context, "%d:%zu ", (int)kind, size);
    return 0;
}

static void test_rows_come_back(void **state)
{
    struct fixture *fixture = *state;
    struct batch batch = {0};
    add_pipeline(&batch, "web", 1);
    add_execution(&batch, "e1", "web", 1, true);
    commit(fixture, &batch);
    add_pipeline(&batch, "web", 2);
    commit(fixture, &batch);

    struct pen_reader *reader = reader_of(fixture);
    ProtobufCMessage *row = NULL;
    assert_int_equal(pen_reader_get(reader, PEN__ROW_KIND__ROW_PIPELINE, "web", &row, NULL), 0);
    assert_int_equal(((Pen__PipelineRow *)row)->version, 2);
    pen_message_destroy(&row);
    struct pen_error err;
    assert_int_equal(pen_reader_get(reader, PEN__ROW_KIND__ROW_PIPELINE, "Web", &row, &err),
                     PEN_ENOTFOUND);

    struct pen_row *gone = add_row(&batch, PEN__ROW_KIND__ROW_PIPELINE, "web");
    gone->deleted = true;
    gone = add_row(&batch, PEN__ROW_KIND__ROW_PIPELINE, "never was");
    gone->deleted = true;
    commit(fixture, &batch);
    assert_int_equal(pen_reader_get(reader, PEN__ROW_KIND__ROW_PIPELINE, "web", &row, &err),
                     PEN_ENOTFOUND);
    assert_null(row);
    pen_reader_close(&reader);
}

static void test_live_rows_are_loaded_in_order(void **state)
{
    struct fixture *fixture = *state;
    struct batch batch = {0};
    add_execution(&batch, "b-long", "web", 1, true);
    add_execution(&batch, "a", "web", 2, true);
    add_execution(&batch, "c", "web", 3, true);
    add_pipeline(&batch, "web", 1);
    commit(fixture, &batch);
    add_execution(&batch, "c", "web", 3, false); /* finished: leaves memory, stays in history */
    commit(fixture, &batch);

    pen_store_close(&fixture->store);
    assert_int_equal(pen_store_open(fixture->dir, &fixture->store, NULL), 0);
    PEN_CLEANUP(pen_buf_release) struct pen_buf seen = {0};
    assert_int_equal(pen_store_load_live(fixture->store, join_live, &seen, NULL), 0);
    assert_string_equal(pen_buf_text(&seen), "2:7 5:10 5:15 ");
    struct pen_reader *reader = reader_of(fixture);
    assert_list(reader, (struct pen_list_query){.kind = PEN__ROW_KIND__ROW_EXECUTION, .limit = 10},
                "c a b-long ");
    pen_reader_close(&reader);
}

static void test_lists_page(void **state)
{
    struct fixture *fixture = *state;
    struct batch batch = {0};
    for (uint64_t i = 1; i <= 9; i++) {
        char id[8];
        (void)snprintf(id, sizeof id, "e%" PRIu64, i);
        add_execution(&batch, id, i % 3 == 0 ? "api" : "web", i, false);
    }
    add_pipeline(&batch, "web", 1);
    add_pipeline(&batch, "api", 1);
    add_pipeline(&batch, "db", 1);
    commit(fixture, &batch);
    struct pen_reader *reader = reader_of(fixture);
    Pen__RowKind executions = PEN__ROW_KIND__ROW_EXECUTION;
    struct pen_list_query query = {.kind = executions, .limit = 4};
    assert_list(reader, query, "e9 e8 e7 e6 ");
    query.before_order = 6;
    assert_list(reader, query, "e5 e4 e3 e2 ");
    query.before_order = 2;
    assert_list(reader, query, "e1 ");
    query = (struct pen_list_query){.kind = executions, .pipeline = "api", .limit = 2};
    assert_list(reader, query, "e9 e6 ");
    query.before_order = 6;
    assert_list(reader, query, "e3 ");
    query.before_order = 3;
    assert_list(reader, query, "");
    query = (struct pen_list_query){.kind = executions, .execution = "e4", .limit = 5};
    assert_list(reader, query, "e4 ");
    query.pipeline = "api"; /* both have to fit */
    assert_list(reader, query, "");
    query = (struct pen_list_query){.kind = PEN__ROW_KIND__ROW_PIPELINE, .limit = 2};
    assert_list(reader, query, "api db ");
    query.after_key = "db";
    assert_list(reader, query, "web ");
    query.after_key = "web";
    assert_list(reader, query, "");
    pen_reader_close(&reader);
}

static int list_within(void *context, const char *key, const ProtobufCMessage *row,
                       struct pen_error *err)
{
    (void)row;
    (void)err;
    struct pen_reader *reader = context;
    assert_list(reader, (struct pen_list_query){.kind = PEN__ROW_KIND__ROW_EXECUTION, .limit = 1},
                "e2 ");
    return strcmp(key, "e1") == 0; /* stop here */
}

static void test_a_list_may_list_within(void **state)
{
    struct fixture *fixture = *state;
    struct batch batch = {0};
    add_execution(&batch, "e1", "web", 1, false);
    add_execution(&batch, "e2", "web", 2, false);
    commit(fixture, &batch);
    struct pen_reader *reader = reader_of(fixture);
    struct pen_list_query query = {.kind = PEN__ROW_KIND__ROW_EXECUTION, .limit = 10};
    assert_int_equal(pen_reader_list(reader, &query, list_within, reader, NULL), 0);
    pen_reader_close(&reader);
}

static void test_facts_by_whom(void **state)
{
    struct fixture *fixture = *state;
    struct batch batch = {0};
    add_fact(&batch, 1, NULL, NULL);
    add_fact(&batch, 2, "web", NULL);
    add_fact(&batch, 3, "web", "e1");
    add_fact(&batch, 4, "api", "e2");
    add_fact(&batch, 5, "web", "e1");
    commit(fixture, &batch);
    struct pen_reader *reader = reader_of(fixture);
    assert_facts(reader, NULL, NULL, 0, 100, "1 2 3 4 5 ");
    assert_facts(reader, NULL, NULL, 2, 2, "3 4 ");
    assert_facts(reader, "web", NULL, 0, 100, "2 3 5 ");
    assert_facts(reader, "web", NULL, 2, 1, "3 ");
    assert_facts(reader, NULL, "e1", 3, 100, "5 ");
    assert_facts(reader, "api", "e1", 0, 100, "");
    assert_facts(reader, NULL, NULL, UINT64_MAX, 100, "");
    pen_reader_close(&reader);
}

static void test_a_failed_commit_shows_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct batch batch = {0};
    add_fact(&batch, 1, "web", "e1");
    commit(fixture, &batch);
    add_fact(&batch, 2, "web", "e2");
    add_fact(&batch, 1, "web", "e2"); /* taken */
    add_pipeline(&batch, "web", 1);
    struct pen_error err;
    assert_int_equal(pen_store_commit(fixture->store, &batch.out, &err), PEN_ECONFLICT);
    batch_release(&batch);
    struct pen_reader *reader = reader_of(fixture);
    assert_facts(reader, NULL, NULL, 0, 100, "1 ");
    ProtobufCMessage *row = NULL;
    assert_int_equal(pen_reader_get(reader, PEN__ROW_KIND__ROW_PIPELINE, "web", &row, NULL),
                     PEN_ENOTFOUND);
    add_fact(&batch, 2, "web", "e2"); /* and the store goes on */
    commit(fixture, &batch);
    assert_facts(reader, NULL, NULL, 0, 100, "1 2 ");
    pen_reader_close(&reader);
}

static void test_one_state_over_several_reads(void **state)
{
    struct fixture *fixture = *state;
    struct batch batch = {0};
    add_fact(&batch, 1, "web", NULL);
    commit(fixture, &batch);
    struct pen_reader *reader = reader_of(fixture);
    assert_int_equal(pen_reader_begin(reader, NULL), 0);
    assert_facts(reader, NULL, NULL, 0, 100, "1 ");
    add_fact(&batch, 2, "web", NULL);
    commit(fixture, &batch);
    assert_facts(reader, NULL, NULL, 0, 100, "1 ");
    assert_int_equal(pen_store_checkpoint(fixture->store, NULL), 0); /* does not wait for readers */
    pen_reader_end(reader);
    assert_facts(reader, NULL, NULL, 0, 100, "1 2 ");
    pen_reader_close(&reader);
}

static void test_second_controller_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct pen_store *second = NULL;
    struct pen_error err;
    assert_int_equal(pen_store_open(fixture->dir, &second, &err), PEN_ECONFLICT);
    assert_null(second);
    assert_non_null(strstr(err.message, fixture->dir));
    pen_store_close(&fixture->store);
    assert_int_equal(pen_store_open(fixture->dir, &second, &err), 0);
    pen_store_close(&second);
}

static void test_a_reader_needs_a_database(void **state)
{
    (void)state;
    struct pen_reader *reader = NULL;
    struct pen_error err;
    assert_int_equal(pen_reader_open("/tmp/pen-store-none", &reader, &err), PEN_ENOTFOUND);
    assert_null(reader);
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(pen_file_replace(path, text, strlen(text), 0600, NULL), 0);
}

static void run_sql(const char *dir, const char *sql)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/penstock.db", dir);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_foreign_files_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct pen_error err;
    pen_store_close(&fixture->store);
    run_sql(fixture->dir, "PRAGMA user_version = 99");
    assert_int_equal(pen_store_open(fixture->dir, &fixture->store, &err), PEN_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "99"));
    run_sql(fixture->dir, "PRAGMA user_version = 1; PRAGMA application_id = 7");
    assert_int_equal(pen_store_open(fixture->dir, &fixture->store, &err), PEN_ECORRUPT);
    write_file(fixture->dir, "penstock.db",
               "this is no database, but it is long enough to be looked at by anyone who tries to "
               "read the header of a hundred bytes");
    assert_int_equal(pen_store_open(fixture->dir, &fixture->store, &err), PEN_ECORRUPT);
    assert_null(fixture->store);
}

static void test_a_damaged_body_is_named(void **state)
{
    struct fixture *fixture = *state;
    struct batch batch = {0};
    struct pen_row *row = add_row(&batch, PEN__ROW_KIND__ROW_PIPELINE, "web");
    row->body = (uint8_t *)strdup("\xff\xff\xff");
    row->body_size = 3;
    commit(fixture, &batch);
    struct pen_reader *reader = reader_of(fixture);
    ProtobufCMessage *message = NULL;
    struct pen_error err;
    assert_int_equal(pen_reader_get(reader, PEN__ROW_KIND__ROW_PIPELINE, "web", &message, &err),
                     PEN_ECORRUPT);
    assert_int_equal(err.code, PEN_ECORRUPT);
    assert_non_null(strstr(err.message, "web"));
    pen_reader_close(&reader);
}

static void test_database_is_private(void **state)
{
    struct fixture *fixture = *state;
    struct batch batch = {0};
    add_fact(&batch, 1, NULL, NULL);
    commit(fixture, &batch);
    static const char *const names[] = {"penstock.db", "penstock.db-wal", "penstock.db-shm",
                                        "penstock.lock"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", fixture->dir, names[i]);
        struct stat status;
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
}

static void test_log_stays_bounded(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/penstock.db-wal", fixture->dir);
    off_t largest = 0;
    uint64_t seq = 0;
    for (int i = 0; i < 400; i++) {
        struct batch batch = {0};
        for (int j = 0; j < 40; j++) {
            char key[24];
            seq++;
            (void)snprintf(key, sizeof key, "%016" PRIx64, seq * 0x9e3779b97f4a7c15u);
            struct pen_row *row = add_row(&batch, PEN__ROW_KIND__ROW_ATTEMPT, key);
            row->body = calloc(1, 3000);
            row->body_size = 3000;
        }
        commit(fixture, &batch);
        struct stat status;
        assert_int_equal(stat(path, &status), 0);
        largest = status.st_size > largest ? status.st_size : largest;
    }
    assert_in_range(largest, 8 << 20, 24 << 20); /* 48 MB of bodies went through it */
    assert_int_equal(pen_store_checkpoint(fixture->store, NULL), 0);
    assert_int_equal(pen_store_checkpoint(fixture->store, NULL), 0);
}

/* A reader's thread: as many live rows as facts in every state that it sees. */
struct watcher {
    struct pen_reader *reader;
    atomic_bool stop;
    uint64_t states;
    uint64_t faults;
};

static int count_row(void *context, const char *key, const ProtobufCMessage *row,
                     struct pen_error *err)
{
    (void)key;
    (void)row;
    (void)err;
    ++*(uint64_t *)context;
    return 0;
}

static int count_fact(void *context, const Pen__Fact *fact, struct pen_error *err)
{
    (void)fact;
    (void)err;
    ++*(uint64_t *)context;
    return 0;
}

static void *watch(void *context)
{
    struct watcher *self = context;
    struct pen_list_query query = {.kind = PEN__ROW_KIND__ROW_EXECUTION, .limit = 10000};
    while (!atomic_load(&self->stop)) {
        uint64_t rows = 0;
        uint64_t facts = 0;
        int rc = pen_reader_begin(self->reader, NULL);
        if (rc == 0)
            rc = pen_reader_list(self->reader, &query, count_row, &rows, NULL);
        if (rc == 0)
            rc = pen_reader_facts(self->reader, NULL, NULL, 0, 10000, count_fact, &facts, NULL);
        pen_reader_end(self->reader);
        self->states++;
        self->faults += rc != 0 || rows != facts;
    }
    return NULL;
}

static void test_readers_see_whole_commits(void **state)
{
    struct fixture *fixture = *state;
    struct watcher watcher = {.reader = reader_of(fixture)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, watch, &watcher), 0);
    for (uint64_t seq = 1; seq <= 2000; seq++) {
        struct batch batch = {0};
        char key[24];
        (void)snprintf(key, sizeof key, "%" PRIu64, seq);
        add_fact(&batch, seq, "web", key);
        add_execution(&batch, key, "web", seq, true);
        commit(fixture, &batch);
        if (seq % 100 == 0)
            assert_int_equal(pen_store_checkpoint(fixture->store, NULL), 0);
    }
    atomic_store(&watcher.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(watcher.states > 0);
    assert_int_equal(watcher.faults, 0);
    pen_reader_close(&watcher.reader);
}

/* The child commits facts one by one and writes each number to the pipe after the commit. */
_Noreturn static void commit_for_ever(const char *dir, int acknowledge_fd, uint64_t first)
{
    struct pen_store *store = NULL;
    if (pen_store_open(dir, &store, NULL) < 0)
        _exit(1);
    for (uint64_t seq = first;; seq++) {
        struct batch batch = {0};
        char key[24];
        (void)snprintf(key, sizeof key, "%020" PRIu64, seq);
        add_fact(&batch, seq, "web", "e1");
        add_execution(&batch, key, "web", seq, true);
        if (pen_store_commit(store, &batch.out, NULL) < 0)
            _exit(2);
        batch_release(&batch);
        if (write(acknowledge_fd, &seq, sizeof seq) != (ssize_t)sizeof seq)
            _exit(3);
    }
}

static int last_seq(void *context, const Pen__Fact *fact, struct pen_error *err)
{
    (void)err;
    uint64_t *last = context;
    assert_int_equal(fact->seq, *last + 1); /* no gap: a prefix */
    *last = fact->seq;
    return 0;
}

static int count_live(void *context, Pen__RowKind kind, const uint8_t *body, size_t size,
                      struct pen_error *err)
{
    (void)kind;
    (void)body;
    (void)size;
    (void)err;
    ++*(uint64_t *)context;
    return 0;
}

static void test_kill_loses_nothing_acknowledged(void **state)
{
    struct fixture *fixture = *state;
    pen_store_close(&fixture->store);
    uint64_t last = 0;
    for (int round = 0; round < 8; round++) {
        int pipe_fds[2];
        assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            commit_for_ever(fixture->dir, pipe_fds[1], last + 1);
        close(pipe_fds[1]);
        uint64_t acknowledged = last;
        int wanted = 20 + round * 37;
        for (int i = 0; i < wanted; i++)
            assert_int_equal(read(pipe_fds[0], &acknowledged, sizeof acknowledged),
                             sizeof acknowledged);
        assert_int_equal(kill(child, SIGKILL), 0);
        while (read(pipe_fds[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged)
            ;
        close(pipe_fds[0]);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));

        struct pen_store *store = NULL;
        assert_int_equal(pen_store_open(fixture->dir, &store, NULL), 0);
        struct pen_reader *reader = reader_of(fixture);
        last = 0;
        assert_int_equal(pen_reader_facts(reader, NULL, NULL, 0, 1000000, last_seq, &last, NULL),
                         0);
        assert_in_range(last, acknowledged, acknowledged + 1);
        uint64_t live = 0;
        assert_int_equal(pen_store_load_live(store, count_live, &live, NULL), 0);
        assert_int_equal(live, last); /* facts and rows of a commit come together */
        pen_reader_close(&reader);
        pen_store_close(&store);
    }
}

/* In a child with a mount namespace of its own: a disk of 1 MiB. Exit status 0: all as it should
 * be, 77: no right to mount. */
static int fill_disk(const char *dir)
{
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", dir, "tmpfs", 0, "size=1m") < 0)
        return 77;
    struct pen_store *store = NULL;
    if (pen_store_open(dir, &store, NULL) < 0)
        return 1;
    uint64_t seq = 0;
    int rc = 0;
    while (rc == 0 && seq < 1000) {
        struct batch batch = {0};
        add_fact(&batch, ++seq, "web", NULL);
        struct pen_row *row = add_row(&batch, PEN__ROW_KIND__ROW_EXECUTION, "e");
        row->body = calloc(1, 20000);
        row->body_size = 20000;
        rc = pen_store_commit(store, &batch.out, NULL);
        batch_release(&batch);
    }
    if (rc != PEN_ENOSPACE || seq < 5)
        return 2;
    pen_store_close(&store);
    if (pen_store_open(dir, &store, NULL) < 0)
        return 3;
    struct pen_reader *reader = NULL;
    if (pen_reader_open(dir, &reader, NULL) < 0)
        return 4;
    uint64_t last = 0;
    if (pen_reader_facts(reader, NULL, NULL, 0, 100000, last_seq, &last, NULL) < 0)
        return 5;
    pen_reader_close(&reader);
    pen_store_close(&store);
    return last == seq - 1 ? 0 : 6;
}

static void test_full_disk(void **state)
{
    struct fixture *fixture = *state;
    pen_store_close(&fixture->store);
    assert_int_equal(pen_dir_remove_tree(fixture->dir, NULL), 0);
    assert_int_equal(mkdir(fixture->dir, 0700), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(fill_disk(fixture->dir));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rows_come_back),
        TEST(test_live_rows_are_loaded_in_order),
        TEST(test_lists_page),
        TEST(test_a_list_may_list_within),
        TEST(test_facts_by_whom),
        TEST(test_a_failed_commit_shows_nothing),
        TEST(test_one_state_over_several_reads),
        TEST(test_second_controller_is_refused),
        TEST(test_a_reader_needs_a_database),
        TEST(test_foreign_files_are_refused),
        TEST(test_a_damaged_body_is_named),
        TEST(test_database_is_private),
        TEST(test_log_stays_bounded),
        TEST(test_readers_see_whole_commits),
        TEST(test_kill_loses_nothing_acknowledged),
        TEST(test_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
