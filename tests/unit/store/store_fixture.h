/* What the tests of the store share: a store in a folder of its own, and commits made by hand. */
#ifndef PEN_TESTS_STORE_FIXTURE_H
#define PEN_TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/io/file.h"
#include "common/wire/wire.h"
#include "controller/store/store.h"

struct fixture {
    char dir[64];
    struct pen_store *store;
};

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
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

static inline void batch_release(struct batch *batch)
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

static inline void add_fact(struct batch *batch, uint64_t seq, const char *pipeline,
                            const char *execution)
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

static inline struct pen_row *add_row(struct batch *batch, Pen__RowKind kind, const char *key)
{
    struct pen_row *row = &batch->rows[batch->out.rows_count++];
    batch->out.rows = batch->rows;
    row->kind = kind;
    row->key = strdup(key);
    return row;
}

static inline void set_body(struct pen_row *row, const void *message)
{
    struct pen_buf body = {0};
    assert_int_equal(pen_wire_pack(message, &body, NULL), 0);
    row->body_size = body.size;
    row->body = body.data;
}

static inline void add_execution(struct batch *batch, const char *id, const char *pipeline,
                                 uint64_t order, bool live)
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

static inline void add_pipeline(struct batch *batch, const char *name, int version)
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

static inline void commit(struct fixture *fixture, struct batch *batch)
{
    struct pen_error err;
    int rc = pen_store_commit(fixture->store, &batch->out, &err);
    if (rc < 0)
        fail_msg("%s", err.message);
    batch_release(batch);
}

static inline struct pen_reader *reader_of(struct fixture *fixture)
{
    struct pen_reader *reader = NULL;
    struct pen_error err;
    int rc = pen_reader_open(fixture->dir, &reader, &err);
    if (rc < 0)
        fail_msg("%s", err.message);
    return reader;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
