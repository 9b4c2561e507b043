/* Collections: what leaves history, and what never does. */
#include "tests/unit/engine/world.h"

#define STAGES    "Source:S=source|Build:B=run|Deploy:D=run"
#define SUCCEEDED PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED

enum { DAY_MS = 24 * 3600 * 1000, EXECUTIONS_MAX = 16 };

static void begin(struct world *w, int64_t age_ms, uint32_t count)
{
    world_begin(w);
    w->options.history_age_ms = age_ms;
    w->options.history_count = count;
    w->options.suspect_ms = w->options.lost_ms = 1000 * (int64_t)DAY_MS; /* nobody beats here */
    world_restart(w);                                                    /* with these options */
    world_add_agent(w, "a", 4, NULL, NULL);
}

static void collect(struct world *w, bool dry_run)
{
    Pen__StartCollection *request = MAKE(Pen__StartCollection, pen__start_collection__init);
    SET(request, dry_run, dry_run);
    world_post(w, PEN__INPUT__WHAT_START_COLLECTION, request);
}

static Pen__CollectionRow *collection_row(struct world *w)
{
    return world_row(w, PEN__ROW_KIND__ROW_COLLECTION, "main", &pen__collection_row__descriptor);
}

/* Offer all that the store shows of the pipeline, as retention does. */
static void offer_all(struct world *w, const char *pipeline)
{
    Pen__CollectionRow *collection = collection_row(w);
    Pen__RemoveHistory *request = MAKE(Pen__RemoveHistory, pen__remove_history__init);
    SET(request, collection, collection->number);
    SET(request, batch, 1);
    request->pipeline = mem_text(pipeline);
    for (struct pen_map_node *n = pen_map_first(&w->store); n != NULL; n = pen_map_next(n)) {
        const struct pen_row *row = ((struct stored *)pen_map_value(n))->row;
        if (row->kind != PEN__ROW_KIND__ROW_EXECUTION || row->deleted ||
            !same(row->pipeline, pipeline))
            continue;
        Pen__ExecutionRow *execution = pen__execution_row__unpack(NULL, row->body_size, row->body);
        Pen__RemovalCandidate *candidate =
            MAKE(Pen__RemovalCandidate, pen__removal_candidate__init);
        candidate->execution_id = mem_text(execution->id);
        SET(candidate, order, execution->order);
        SET(candidate, started_ms, execution->started_ms);
        SET(candidate, updated_ms, execution->updated_ms);
        for (struct pen_map_node *m = pen_map_first(&w->store); m != NULL; m = pen_map_next(m)) {
            const struct pen_row *other = ((struct stored *)pen_map_value(m))->row;
            if (other->kind == PEN__ROW_KIND__ROW_EXECUTION && !other->deleted &&
                same(other->pipeline, pipeline) && other->order > row->order)
                SET(candidate, newer, candidate->newer + 1);
        }
        APPEND(request, candidates, candidate);
        mem_free_message(execution);
    }
    world_post(w, PEN__INPUT__WHAT_REMOVE_HISTORY, request);
    mem_free_message(collection);
}

static bool is_kept(struct world *w, const char *id)
{
    Pen__ExecutionRow *row =
        world_row(w, PEN__ROW_KIND__ROW_EXECUTION, id, &pen__execution_row__descriptor);
    bool kept = row != NULL;
    mem_free_message(row);
    return kept;
}

static const Pen__Fact *last_fact(const struct world *w, Pen__Fact__WhatCase what)
{
    for (size_t i = w->facts_count; i > 0; i--)
        if (w->facts[i - 1]->what_case == what)
            return w->facts[i - 1];
    return NULL;
}

static void purged(struct world *w)
{
    Pen__HistoryGone *gone = MAKE(Pen__HistoryGone, pen__history_gone__init);
    SET(gone, removal, last_fact(w, PEN__FACT__WHAT_HISTORY_REMOVED)->seq);
    SET(gone, rows, 7);
    world_post(w, PEN__INPUT__WHAT_HISTORY_GONE, gone);
}

static size_t removals(struct world *w)
{
    size_t count = 0;
    for (struct pen_map_node *n = pen_map_first(&w->store); n != NULL; n = pen_map_next(n)) {
        const struct pen_row *row = ((struct stored *)pen_map_value(n))->row;
        count += row->kind == PEN__ROW_KIND__ROW_REMOVAL && !row->deleted ? 1 : 0;
    }
    return count;
}

static void end_collection(struct world *w)
{
    Pen__CollectionRow *row = collection_row(w);
    Pen__CollectionDone *done = MAKE(Pen__CollectionDone, pen__collection_done__init);
    SET(done, collection, row->number);
    mem_free_message(row);
    world_post(w, PEN__INPUT__WHAT_COLLECTION_DONE, done);
}

/* The start of the pipeline and so many more; they all succeed. */
static void run_some(struct world *w, const char *ids[EXECUTIONS_MAX], size_t count)
{
    ids[0] = world_create(w, declare("p", NULL, STAGES));
    for (size_t i = 1; i < count; i++) {
        world_tick(w, DAY_MS);
        ids[i] = world_start(w, "p");
        assert_int_equal(world_status(w, ids[i]), SUCCEEDED);
    }
}

static void free_all(const char *ids[EXECUTIONS_MAX], size_t count)
{
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)ids[i]);
}

static void test_old_ones_beyond_the_count_go(void **state)
{
    (void)state;
    struct world w;
    const char *ids[EXECUTIONS_MAX];
    begin(&w, 5 * DAY_MS, 4);
    run_some(&w, ids, 10);
    world_tick(&w, 2 * DAY_MS); /* 0 is 11 days old, 9 two; request tokens are over */
    collect(&w, true);
    assert_string_equal(w.reply->id, "1");
    offer_all(&w, "p");
    assert_null(last_fact(&w, PEN__FACT__WHAT_HISTORY_REMOVED)); /* it only looks */
    end_collection(&w);
    collect(&w, false);
    assert_string_equal(w.reply->id, "2");
    offer_all(&w, "p");
    for (size_t i = 0; i < 10; i++) /* 6 is five days old, and one of four */
        assert_int_equal(is_kept(&w, ids[i]), i >= 6);
    assert_int_equal(
        last_fact(&w, PEN__FACT__WHAT_HISTORY_REMOVED)->history_removed->n_execution_ids, 6);
    assert_int_equal(removals(&w), 1);
    purged(&w);
    assert_int_equal(removals(&w), 0);
    end_collection(&w);
    Pen__CollectionRow *row = collection_row(&w);
    assert_true(row->has_ended_ms && !row->dry_run);
    mem_free_message(row);
    free_all(ids, 10);
    world_end(&w);
}

/* The three latest successes of a stage stay, however old they are, and whoever failed since. */
static void test_ways_back_stay(void **state)
{
    (void)state;
    struct world w;
    const char *ids[EXECUTIONS_MAX];
    begin(&w, 5 * DAY_MS, 1);
    run_some(&w, ids, 5);
    w.failing = "D";
    for (size_t i = 5; i < 8; i++) {
        world_tick(&w, DAY_MS);
        ids[i] = world_start(&w, "p");
    }
    world_tick(&w, 30 * (int64_t)DAY_MS);
    collect(&w, false);
    offer_all(&w, "p");
    /* 2 to 4 have succeeded in Deploy; 5 to 7 in the stages before it. */
    static const bool kept[] = {false, false, true, true, true, true, true, true};
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(is_kept(&w, ids[i]), kept[i]);

    /* A changed pipeline does not go back to what ran before the change. */
    Pen__UpdatePipeline *update = MAKE(Pen__UpdatePipeline, pen__update_pipeline__init);
    update->declaration = declare("p", NULL, STAGES);
    world_post(&w, PEN__INPUT__WHAT_UPDATE_PIPELINE, update);
    offer_all(&w, "p");
    for (size_t i = 0; i < 8; i++) /* the latest success and the latest of each stage are named */
        assert_int_equal(is_kept(&w, ids[i]), i == 4 || i == 7);
    free_all(ids, 8);
    world_end(&w);
}

static void test_what_runs_stays(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 0, 0);
    char *done = world_create(&w, declare("p", NULL, STAGES));
    w.holding = "B";
    char *running = world_start(&w, "p");
    char *waiting = world_start(&w, "p");
    collect(&w, false);
    offer_all(&w, "p");
    assert_true(is_kept(&w, running) && is_kept(&w, waiting));
    assert_true(is_kept(&w, done)); /* the way back */
    free(done);
    free(running);
    free(waiting);
    world_end(&w);
}

/* All history of a deleted pipeline goes, and that of another of its name stays. */
static void test_a_deleted_pipeline_loses_all(void **state)
{
    (void)state;
    struct world w;
    const char *ids[EXECUTIONS_MAX];
    begin(&w, 400 * (int64_t)DAY_MS, 50);
    run_some(&w, ids, 3);
    Pen__DeletePipeline *request = MAKE(Pen__DeletePipeline, pen__delete_pipeline__init);
    request->name = mem_text("p");
    world_post(&w, PEN__INPUT__WHAT_DELETE_PIPELINE, request);
    char *again = world_create(&w, declare("p", NULL, STAGES));
    collect(&w, false);
    offer_all(&w, "p");
    for (size_t i = 0; i < 3; i++)
        assert_false(is_kept(&w, ids[i]));
    assert_true(is_kept(&w, again));
    free(again);
    free_all(ids, 3);
    world_end(&w);
}

static size_t effects_of(const struct world *w, Pen__Effect__WhatCase what)
{
    size_t count = 0;
    for (size_t i = w->effects_done; i < w->effects_count; i++)
        count += w->effects[i]->what_case == what ? 1 : 0;
    return count;
}

/* Both are live rows: whoever comes next goes on. */
static void test_a_restart_goes_on(void **state)
{
    (void)state;
    struct world w;
    const char *ids[EXECUTIONS_MAX];
    begin(&w, DAY_MS, 1);
    run_some(&w, ids, 6);
    world_tick(&w, 30 * (int64_t)DAY_MS);
    collect(&w, false);
    offer_all(&w, "p");
    assert_int_equal(removals(&w), 1);
    world_restart(&w);
    assert_int_equal(effects_of(&w, PEN__EFFECT__WHAT_HISTORY_PURGE), 1);
    assert_int_equal(effects_of(&w, PEN__EFFECT__WHAT_COLLECTION_RUN), 1);
    world_perform(&w);
    collect(&w, false); /* it is the same one */
    assert_string_equal(w.reply->id, "1");
    collect(&w, true);
    assert_string_equal(w.reply->error, "ConflictException");
    purged(&w);
    end_collection(&w);
    world_restart(&w);
    assert_int_equal(effects_of(&w, PEN__EFFECT__WHAT_HISTORY_PURGE), 0);
    assert_int_equal(effects_of(&w, PEN__EFFECT__WHAT_COLLECTION_RUN), 0);
    free_all(ids, 6);
    world_end(&w);
}

/* Who read its target just before it was removed cannot bring it back. */
static void test_a_stale_rollback_is_refused(void **state)
{
    (void)state;
    struct world w;
    const char *ids[EXECUTIONS_MAX];
    begin(&w, DAY_MS, 1);
    run_some(&w, ids, 6);
    world_tick(&w, 30 * (int64_t)DAY_MS);
    Pen__Rollback *request = MAKE(Pen__Rollback, pen__rollback__init);
    request->pipeline = mem_text("p");
    request->stage = mem_text("Deploy");
    request->target_execution_id = mem_text(ids[0]);
    request->target =
        world_row(&w, PEN__ROW_KIND__ROW_EXECUTION, ids[0], &pen__execution_row__descriptor);
    char *key = mem_format("%s/Deploy", ids[0]);
    request->target_stage = world_row(&w, PEN__ROW_KIND__ROW_STAGE_EXECUTION, key,
                                      &pen__stage_execution_row__descriptor);
    free(key);
    SET(request, as_of_seq, w.facts_count);
    collect(&w, false);
    offer_all(&w, "p");
    assert_false(is_kept(&w, ids[0]));
    world_post(&w, PEN__INPUT__WHAT_ROLLBACK, request);
    assert_string_equal(w.reply->error, "ConflictException");
    free_all(ids, 6);
    world_end(&w);
}

static void test_revoked_agents_are_forgotten(void **state)
{
    (void)state;
    struct world w;
    begin(&w, DAY_MS, 1);
    world_add_agent(&w, "b", 1, NULL, NULL);
    Pen__ChangeAgent *revoke = MAKE(Pen__ChangeAgent, pen__change_agent__init);
    revoke->agent_id = mem_text("b");
    SET(revoke, change, PEN__AGENT_CHANGE__AGENT_REVOKE);
    world_post(&w, PEN__INPUT__WHAT_CHANGE_AGENT, revoke);
    world_tick(&w, 6 * DAY_MS);
    collect(&w, false);
    end_collection(&w);
    assert_null(last_fact(&w, PEN__FACT__WHAT_AGENT_REMOVED));
    world_tick(&w, DAY_MS);
    collect(&w, true);
    end_collection(&w);
    assert_null(last_fact(&w, PEN__FACT__WHAT_AGENT_REMOVED));
    Pen__CollectionRow *row = collection_row(&w);
    assert_int_equal(row->report->agents, 1);
    mem_free_message(row);
    collect(&w, false);
    end_collection(&w);
    assert_non_null(last_fact(&w, PEN__FACT__WHAT_AGENT_REMOVED));
    world_post(&w, PEN__INPUT__WHAT_LIST_AGENTS, MAKE(Pen__ListAgents, pen__list_agents__init));
    assert_int_equal(w.reply->n_agents, 1);
    assert_string_equal(w.reply->agents[0]->row->name, "a");
    world_restart(&w);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_old_ones_beyond_the_count_go),
        cmocka_unit_test(test_ways_back_stay),
        cmocka_unit_test(test_what_runs_stays),
        cmocka_unit_test(test_a_deleted_pipeline_loses_all),
        cmocka_unit_test(test_a_restart_goes_on),
        cmocka_unit_test(test_a_stale_rollback_is_refused),
        cmocka_unit_test(test_revoked_agents_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
