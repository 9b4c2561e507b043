/* The store: what is committed is there, in order. */
#include <inttypes.h>
#include <sys/stat.h>

#include <sqlite3.h>

#include "tests/unit/store/store_fixture.h"

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
    query = (struct pen_list_query){
        .kind = executions, .pipeline = "web", .after_order = 4, .limit = 3};
    assert_list(reader, query, "e8 e7 e5 ");
    query.before_order = 7;
    assert_list(reader, query, "e5 ");
    query.before_order = 5;
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

/* History goes in slices; what is live, or of others, stays. */
static void test_history_is_purged_in_slices(void **state)
{
    struct fixture *fixture = *state;
    struct batch batch = {0};
    add_execution(&batch, "e1", "web", 1, false);
    add_execution(&batch, "e2", "web", 2, false);
    for (unsigned i = 0; i < 10; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "%020u", i);
        Pen__AttemptRow message = PEN__ATTEMPT_ROW__INIT;
        struct pen_row *row = add_row(&batch, PEN__ROW_KIND__ROW_ATTEMPT, key);
        row->pipeline = strdup("web");
        row->execution = strdup("e1");
        row->order = i + 1;
        row->live = i == 0;
        set_body(row, &message);
        add_fact(&batch, i + 1, "web", i % 2 == 0 ? "e1" : "e2");
    }
    commit(fixture, &batch);
    uint64_t rows = 0;
    uint64_t facts = 0;
    bool left = true;
    size_t slices = 0;
    for (; left; slices++)
        assert_int_equal(pen_store_purge(fixture->store, "e1", 4, &rows, &facts, &left, NULL), 0);
    assert_int_equal(slices, 3);
    assert_int_equal(rows, 10); /* nine attempts and the execution */
    assert_int_equal(facts, 5);
    struct pen_reader *reader = reader_of(fixture);
    assert_facts(reader, NULL, NULL, 0, 100, "2 4 6 8 10 ");
    PEN_CLEANUP(pen_message_destroy) ProtobufCMessage *row = NULL;
    assert_int_equal(pen_reader_get(reader, PEN__ROW_KIND__ROW_EXECUTION, "e1", &row, NULL),
                     PEN_ENOTFOUND);
    assert_int_equal(pen_reader_get(reader, PEN__ROW_KIND__ROW_EXECUTION, "e2", &row, NULL), 0);
    pen_message_destroy(&row);
    assert_int_equal(
        pen_reader_get(reader, PEN__ROW_KIND__ROW_ATTEMPT, "00000000000000000000", &row, NULL), 0);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rows_come_back),
        TEST(test_live_rows_are_loaded_in_order),
        TEST(test_lists_page),
        TEST(test_a_list_may_list_within),
        TEST(test_facts_by_whom),
        TEST(test_history_is_purged_in_slices),
        TEST(test_a_failed_commit_shows_nothing),
        TEST(test_one_state_over_several_reads),
        TEST(test_second_controller_is_refused),
        TEST(test_a_reader_needs_a_database),
        TEST(test_foreign_files_are_refused),
        TEST(test_a_damaged_body_is_named),
        TEST(test_database_is_private),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
