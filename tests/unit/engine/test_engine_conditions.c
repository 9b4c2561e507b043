/* Conditions of a stage: before entry, on success, on failure; windows, overrides. */
#include "tests/unit/engine/conditions.h"

static void test_operators(void **state)
{
    (void)state;
    static const struct {
        const char *variable, *how, *value;
        bool holds;
    } table[] = {
        {"#{Src.CommitId}", "EQ", "rev-1", true},
        {"#{Src.CommitId}", "EQ", "rev", false},
        {"#{Src.CommitId}", "NE", "rev", true},
        {"#{Src.CommitId}", "NE", "rev-1", false},
        {"#{Src.CommitId}", "CONTAINS", "v-", true},
        {"#{Src.CommitId}", "CONTAINS", "x", false},
        {"a #{Src.CommitId}", "EQ", "a rev-1", true},
        {"x", "EQ", "#{Src.CommitId}", false},
        {"#{Src.CommitId}", "MATCHES", "rev-\\d", true},
        {"#{Src.CommitId}", "MATCHES", "rev", false}, /* the whole text */
        {"(((", "MATCHES", "#{Src.CommitId}", false},
        {"a", "MATCHES", "(", false}, /* an error of the rule, not of the engine */
        {"#{Src.Nothing}", "NE", "rev", false},
        {"#{Nobody.Nothing}", "NE", "rev", false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct world w;
        begin(&w);
        char *id = world_create(
            &w, with(declare("p", NULL, STAGES), ENTRY, "FAIL",
                     variable("r", table[i].variable, table[i].how, table[i].value), NULL));
        assert_int_equal(world_status(&w, id), table[i].holds ? SUCCEEDED : FAILED);
        assert_rule(&w, "r",
                    table[i].holds ? PEN__ACTION_STATUS__ACTION_SUCCEEDED
                                   : PEN__ACTION_STATUS__ACTION_FAILED);
        Pen__ActionExecutionRow *first = world_action(&w, id, "D");
        assert_true((first != NULL) == table[i].holds);
        mem_free_message(first);
        free(id);
        world_end(&w);
    }
}

static void test_entry_fails_and_is_overridden(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    char *id =
        world_create(&w, with(declare("p", NULL, STAGES), ENTRY, "FAIL",
                              variable("good", "1", "EQ", "1"), variable("bad", "1", "EQ", "2")));
    assert_int_equal(world_status(&w, id), FAILED);
    assert_condition(&w, id, ENTRY, PEN__CONDITION_STATUS__CONDITION_FAILED,
                     PEN__STAGE_STATUS__STAGE_FAILED);
    Pen__ExecutionRow *row =
        world_row(&w, PEN__ROW_KIND__ROW_EXECUTION, id, &pen__execution_row__descriptor);
    assert_string_equal(row->status_summary,
                        "Stage 'Deploy' failed: Rule 'bad' failed: '1' is not EQ '2'");
    mem_free_message(row);
    retry(&w, id); /* a retry checks it again */
    assert_int_equal(world_status(&w, id), FAILED);
    override(&w, id, SUCCESS);
    assert_string_equal(w.reply->error, "ConditionNotOverridableException");
    world_restart(&w);
    override(&w, id, ENTRY);
    assert_null(w.reply->error);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    assert_condition(&w, id, ENTRY, PEN__CONDITION_STATUS__CONDITION_OVERRIDDEN,
                     PEN__STAGE_STATUS__STAGE_SUCCEEDED);
    Pen__StageExecutionRow *stage = stage_of(&w, id);
    assert_int_equal(stage->manual_retries, 1); /* an override is no retry */
    mem_free_message(stage);
    override(&w, id, ENTRY);
    assert_string_equal(w.reply->error, "ConditionNotOverridableException");
    free(id);
    world_end(&w);
}

static void test_entry_skips(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    w.holding = "L";
    char *id = world_create(
        &w, with(declare("p", NULL, STAGES), ENTRY, "SKIP", variable("r", "1", "EQ", "2"), NULL));
    assert_null(world_action(&w, id, "D"));
    assert_condition(&w, id, ENTRY, PEN__CONDITION_STATUS__CONDITION_FAILED,
                     PEN__STAGE_STATUS__STAGE_SKIPPED);
    override(&w, id, ENTRY);
    assert_string_equal(w.reply->error, "ConditionNotOverridableException");
    world_finish(&w, "L", 0);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    free(id);
    world_end(&w);
}

/* The world begins at 00:16:40 on the first day. */
/* What the execution says of itself while it is under way; NULL: nothing. */
static void assert_summary(struct world *w, const char *id, const char *text)
{
    Pen__ExecutionRow *row =
        world_row(w, PEN__ROW_KIND__ROW_EXECUTION, id, &pen__execution_row__descriptor);
    if (text == NULL)
        assert_null(row->status_summary);
    else
        assert_string_equal(row->status_summary, text);
    mem_free_message(row);
}

static void test_window_opens(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    char *id = world_create(&w, with(declare("p", NULL, STAGES), ENTRY, "FAIL",
                                     window("w", "0 0 3 * * ?", 0), variable("v", "1", "EQ", "1")));
    assert_int_equal(world_status(&w, id), RUNNING);
    assert_rule(&w, "w", PEN__ACTION_STATUS__ACTION_IN_PROGRESS);
    assert_true(world_explains(&w, "p", "window_closed"));
    assert_non_null(strstr(w.reply->reasons[0]->sentence, "1970-01-01 03:00:00 UTC"));
    assert_summary(
        &w, id,
        "Stage 'Deploy' waits for rule 'w' of its beforeEntry condition: Waiting for the "
        "window: it opens at 1970-01-01 03:00:00 UTC");
    world_restart(&w);
    w.holding = "D";
    wait_hours(&w, 2);
    assert_null(world_action(&w, id, "D"));
    wait_hours(&w, 1);
    Pen__ActionExecutionRow *first = world_action(&w, id, "D");
    assert_non_null(first);
    assert_int_equal(first->started_ms, 3 * 3600 * 1000);
    mem_free_message(first);
    assert_summary(&w, id, NULL);
    assert_condition(&w, id, ENTRY, PEN__CONDITION_STATUS__CONDITION_SUCCEEDED,
                     PEN__STAGE_STATUS__STAGE_IN_PROGRESS);
    world_finish(&w, "D", 0);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    free(id);
    world_end(&w);
}

static void do_nothing(struct world *w)
{
    Pen__Input *tick = input_new(PEN__INPUT__WHAT_TICK, MAKE(Pen__Tick, pen__tick__init));
    world_step(w, tick);
    mem_free_message(tick);
    world_perform(w);
}

static Pen__RuleDeclaration *window_in(const char *zone)
{
    Pen__RuleDeclaration *rule = window("w", "0 0 3 * * ?", 0);
    configure(rule, "TimeZone", zone);
    return rule;
}

/* The zone comes from outside; whenever the controller dies, it is asked for again. */
static void test_window_in_a_zone(void **state)
{
    (void)state;
    for (unsigned long at = 2; at < 16; at++) {
        struct world w;
        begin(&w);
        w.restart_at_step = w.steps + at;
        char *id = world_create(
            &w, with(declare("p", NULL, STAGES), ENTRY, "FAIL", window_in("Europe/Berlin"), NULL));
        assert_int_equal(world_status(&w, id), RUNNING);
        while (w.steps <
               w.restart_at_step) /* the controller dies by doing nothing, at the latest */
            do_nothing(&w);
        assert_true(world_explains(&w, "p", "window_closed"));
        assert_non_null(strstr(w.reply->reasons[0]->sentence, "opens at 1970-01-01 02:00:00 UTC"));
        assert_non_null(strstr(w.reply->reasons[0]->sentence, "then at 1970-01-02 02:00:00 UTC"));
        wait_hours(&w, 1);
        assert_int_equal(world_status(&w, id), RUNNING);
        wait_hours(&w, 1);
        assert_int_equal(world_status(&w, id), SUCCEEDED);
        Pen__RuleExecutionRow *row = rule_row(&w, "w");
        assert_int_equal(row->opens_ms, 2 * 3600 * 1000);
        assert_int_equal(row->updated_ms, 2 * 3600 * 1000);
        mem_free_message(row);
        free(id);
        world_end(&w);
    }
}

static void set_clock_behind(struct world *w, int64_t behind_ms)
{
    Pen__ClockSet *clock = MAKE(Pen__ClockSet, pen__clock_set__init);
    SET(clock, behind_ms, behind_ms);
    Pen__Input *input = input_new(PEN__INPUT__WHAT_CLOCK_SET, clock);
    world_step(w, input);
    mem_free_message(input);
    world_perform(w);
}

/* A wrong clock was believed until four o'clock; it is one o'clock, and the window opens at three
 * of this day by the clock, not at the next that was seen, in a fixed zone as in one of the
 * database. */
static void test_window_of_a_clock_that_is_set_back(void **state)
{
    (void)state;
    const char *const zones[] = {"UTC", "Europe/Berlin"};
    const int64_t opens_h[] = {3, 2};
    for (size_t i = 0; i < 2; i++) {
        struct world w;
        begin(&w);
        wait_hours(&w, 4);
        char *id = world_create(
            &w, with(declare("p", NULL, STAGES), ENTRY, "FAIL", window_in(zones[i]), NULL));
        Pen__RuleExecutionRow *row = rule_row(&w, "w");
        assert_int_equal(row->opens_ms, (24 + opens_h[i]) * 3600 * 1000);
        mem_free_message(row);
        set_clock_behind(&w, 3 * 3600 * 1000);
        row = rule_row(&w, "w");
        assert_int_equal(row->opens_ms, opens_h[i] * 3600 * 1000);
        assert_int_equal(row->later_openings_ms[0], (24 + opens_h[i]) * 3600 * 1000);
        mem_free_message(row);
        wait_hours(&w, (int)opens_h[i] - 1);
        assert_int_equal(world_status(&w, id), SUCCEEDED);
        free(id);
        world_end(&w);
    }
}

/* What was found while the clock was right holds, and opens by the clock. */
static void test_window_waits_for_a_clock_that_is_behind(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    char *id =
        world_create(&w, with(declare("p", NULL, STAGES), ENTRY, "FAIL", window_in("UTC"), NULL));
    wait_hours(&w, 1);
    set_clock_behind(&w, 3600 * 1000);
    wait_hours(&w, 2);
    assert_int_equal(world_status(&w, id), RUNNING);
    set_clock_behind(&w, 1800 * 1000); /* it has come closer: 02:46:40 */
    world_tick(&w, 13 * 60 * 1000);
    assert_null(world_action(&w, id, "D"));
    world_tick(&w, 60 * 1000);
    agent_hello(&w, &w.agents[0]);
    world_perform(&w);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    free(id);
    world_end(&w);
}

/* A name that a variable has made, and that is none. */
static void test_window_without_a_zone(void **state)
{
    (void)state;
    static const char *const zones[] = {"Europe/#{Src.CommitId}", "../#{Src.CommitId}"};
    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
        struct world w;
        begin(&w);
        char *id = world_create(
            &w, with(declare("p", NULL, STAGES), ENTRY, "FAIL", window_in(zones[i]), NULL));
        assert_int_equal(world_status(&w, id), FAILED);
        Pen__RuleExecutionRow *row = rule_row(&w, "w");
        assert_string_equal(row->error_code, "ConfigurationError");
        assert_non_null(strstr(row->error_message, "rev-1"));
        mem_free_message(row);
        free(id);
        world_end(&w);
    }
}

static void test_window_times_out(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    char *id = world_create(
        &w, with(declare("p", NULL, STAGES), ENTRY, "FAIL", window("w", "0 0 3 * * ?", 30), NULL));
    world_tick(&w, 29 * 60 * 1000);
    assert_int_equal(world_status(&w, id), RUNNING);
    world_tick(&w, 60 * 1000);
    assert_int_equal(world_status(&w, id), FAILED);
    Pen__RuleExecutionRow *row = rule_row(&w, "w");
    assert_string_equal(row->error_code, "TimedOut");
    mem_free_message(row);
    free(id);
    world_end(&w);
}

static void test_window_overridden(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    char *id = world_create(
        &w, with(declare("p", NULL, STAGES), ENTRY, "FAIL", window("w", "0 0 3 * * ?", 0), NULL));
    override(&w, "another", ENTRY);
    assert_string_equal(w.reply->error, "NotLatestPipelineExecutionException");
    override(&w, id, ENTRY);
    assert_null(w.reply->error);
    assert_rule(&w, "w", PEN__ACTION_STATUS__ACTION_ABANDONED);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    free(id);
    world_end(&w);
}

/* A stop, a change and a deletion of the pipeline end what waits for a window. */
static void test_window_given_up(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct world w;
        begin(&w);
        char *id = world_create(&w, with(declare("p", NULL, STAGES), ENTRY, "FAIL",
                                         window("w", "0 0 3 * * ?", 0), NULL));
        if (how == 0) {
            stop(&w, id);
        } else if (how == 1) {
            Pen__UpdatePipeline *update = MAKE(Pen__UpdatePipeline, pen__update_pipeline__init);
            update->declaration = declare("p", NULL, STAGES);
            world_post(&w, PEN__INPUT__WHAT_UPDATE_PIPELINE, update);
        } else {
            Pen__DeletePipeline *gone = MAKE(Pen__DeletePipeline, pen__delete_pipeline__init);
            gone->name = mem_text("p");
            world_post(&w, PEN__INPUT__WHAT_DELETE_PIPELINE, gone);
        }
        assert_int_equal(world_status(&w, id),
                         how == 0 ? STOPPED : PEN__EXECUTION_STATUS__EXECUTION_CANCELLED);
        assert_rule(&w, "w", PEN__ACTION_STATUS__ACTION_ABANDONED);
        if (how == 0) { /* and a retry waits once more */
            retry(&w, id);
            assert_rule(&w, "w", PEN__ACTION_STATUS__ACTION_IN_PROGRESS);
        }
        wait_hours(&w, 3);
        assert_int_equal(world_status(&w, id),
                         how == 0 ? SUCCEEDED : PEN__EXECUTION_STATUS__EXECUTION_CANCELLED);
        free(id);
        world_end(&w);
    }
}

static void test_success_fails(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    char *id = world_create(
        &w, with(declare("p", NULL, STAGES), SUCCESS, "FAIL", variable("r", "1", "EQ", "2"), NULL));
    assert_int_equal(world_status(&w, id), FAILED);
    mem_free_message(world_action(&w, id, "E"));
    assert_null(world_action(&w, id, "L"));
    override(&w, id, SUCCESS);
    assert_null(w.reply->error);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    assert_condition(&w, id, SUCCESS, PEN__CONDITION_STATUS__CONDITION_OVERRIDDEN,
                     PEN__STAGE_STATUS__STAGE_SUCCEEDED);
    free(id);
    world_end(&w);
}

/* How many executions of this trigger there are. */
static size_t count_of(struct world *w, Pen__TriggerType trigger)
{
    size_t count = 0;
    for (struct pen_map_node *n = pen_map_first(&w->store); n != NULL; n = pen_map_next(n)) {
        const struct pen_row *row = ((struct stored *)pen_map_value(n))->row;
        if (row->kind != PEN__ROW_KIND__ROW_EXECUTION)
            continue;
        Pen__ExecutionRow *unpacked = pen__execution_row__unpack(NULL, row->body_size, row->body);
        count += unpacked->trigger_type == trigger ? 1 : 0;
        mem_free_message(unpacked);
    }
    return count;
}

static void test_success_rolls_back(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    char *good = world_create(&w, with(declare("p", NULL, STAGES), SUCCESS, "ROLLBACK",
                                       variable("r", "#{Src.CommitId}", "EQ", "rev-1"), NULL));
    assert_int_equal(world_status(&w, good), SUCCEEDED);
    w.revision = "rev-2";
    char *bad = world_start(&w, "p");
    assert_int_equal(world_status(&w, bad), FAILED);
    assert_int_equal(count_of(&w, PEN__TRIGGER_TYPE__TRIGGER_AUTOMATED_ROLLBACK), 1);
    free(good);
    free(bad);
    world_end(&w);
}

/* On failure the result follows when the rules hold: once for a retry. */
static void test_failure(void **state)
{
    (void)state;
    static const struct {
        const char *result;
        bool holds;
        uint32_t retries;
        size_t rollbacks;
    } table[] = {
        {"RETRY", true, 1, 0},
        {"RETRY", false, 0, 0},
        {"ROLLBACK", true, 0, 1},
        {"ROLLBACK", false, 0, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct world w;
        begin(&w);
        free(world_create(&w, with(declare("p", NULL, STAGES), FAILURE, table[i].result,
                                   variable("r", "1", table[i].holds ? "EQ" : "NE", "1"), NULL)));
        w.failing = "E";
        char *id = world_start(&w, "p");
        assert_int_equal(world_status(&w, id), FAILED);
        Pen__StageExecutionRow *row = stage_of(&w, id);
        assert_int_equal(row->automatic_retries, table[i].retries);
        mem_free_message(row);
        assert_int_equal(count_of(&w, PEN__TRIGGER_TYPE__TRIGGER_AUTOMATED_ROLLBACK),
                         table[i].rollbacks);
        assert_condition(&w, id, FAILURE,
                         table[i].holds ? PEN__CONDITION_STATUS__CONDITION_SUCCEEDED
                                        : PEN__CONDITION_STATUS__CONDITION_FAILED,
                         PEN__STAGE_STATUS__STAGE_FAILED);
        override(&w, id, FAILURE);
        assert_non_null(w.reply->error);
        free(id);
        world_end(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operators),
        cmocka_unit_test(test_entry_fails_and_is_overridden),
        cmocka_unit_test(test_entry_skips),
        cmocka_unit_test(test_window_opens),
        cmocka_unit_test(test_window_in_a_zone),
        cmocka_unit_test(test_window_of_a_clock_that_is_set_back),
        cmocka_unit_test(test_window_waits_for_a_clock_that_is_behind),
        cmocka_unit_test(test_window_without_a_zone),
        cmocka_unit_test(test_window_times_out),
        cmocka_unit_test(test_window_overridden),
        cmocka_unit_test(test_window_given_up),
        cmocka_unit_test(test_success_fails),
        cmocka_unit_test(test_success_rolls_back),
        cmocka_unit_test(test_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
