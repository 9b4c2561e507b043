/* Rules that run commands on an agent: as actions do, and shown as rules only. */
#include "tests/unit/engine/conditions.h"

#define ACTION_PROGRESS_WANTED "Waiting for an agent: none is enrolled"

static Pen__RuleDeclaration *commands(const char *name, const char *line)
{
    Pen__RuleDeclaration *rule = rule_new(name, "Commands");
    rule->rule_type_id->category = mem_text("Rule");
    rule->rule_type_id->owner = mem_text("AWS");
    rule->rule_type_id->version = mem_text("1");
    APPEND(rule, commands, mem_text(line));
    return rule;
}

static char *create(struct world *w, Pen__ConditionKind kind, Pen__RuleDeclaration *one,
                    Pen__RuleDeclaration *two)
{
    return world_create(w, with(declare("p", NULL, STAGES), kind, "FAIL", one, two));
}

/* The row of what works for the rule; to be freed. */
static Pen__ActionExecutionRow *work_of(struct world *w, const char *rule)
{
    Pen__RuleExecutionRow *row = rule_row(w, rule);
    Pen__ActionExecutionRow *work =
        world_row(w, PEN__ROW_KIND__ROW_RULE_WORK, row->id, &pen__action_execution_row__descriptor);
    mem_free_message(row);
    assert_non_null(work);
    return work;
}

static size_t live_attempts(struct world *w)
{
    size_t count = 0;
    for (struct pen_map_node *n = pen_map_first(&w->store); n != NULL; n = pen_map_next(n)) {
        const struct pen_row *row = ((struct stored *)pen_map_value(n))->row;
        count += row->kind == PEN__ROW_KIND__ROW_ATTEMPT && row->live ? 1 : 0;
    }
    return count;
}

static void test_succeeds(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    char *id = create(&w, ENTRY, commands("probe", "test -f #{Src.CommitId}"),
                      variable("v", "1", "EQ", "1"));
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    assert_rule(&w, "probe", PEN__ACTION_STATUS__ACTION_SUCCEEDED);
    assert_condition(&w, id, ENTRY, PEN__CONDITION_STATUS__CONDITION_SUCCEEDED,
                     PEN__STAGE_STATUS__STAGE_SUCCEEDED);
    Pen__ActionExecutionRow *work = work_of(&w, "probe");
    assert_string_equal(work->resolved_commands[0], "test -f rev-1");
    assert_true(work->fence > 0);
    assert_int_equal(work->action_class, PEN__ACTION_CLASS__REPEATABLE);
    mem_free_message(work);
    assert_null(world_action(&w, id, "probe")); /* no action of the stage */
    free(id);
    world_end(&w);
}

/* Whenever the controller dies, the end is the same. */
static void test_restarts(void **state)
{
    (void)state;
    for (unsigned long at = 2; at < 40; at++) { /* the first answers the creation */
        struct world w;
        begin(&w);
        w.restart_at_step = w.steps + at;
        char *id = create(&w, SUCCESS, commands("probe", "true"), NULL);
        world_tick(&w, 5 * 60 * 1000);
        assert_int_equal(world_status(&w, id), SUCCEEDED);
        assert_rule(&w, "probe", PEN__ACTION_STATUS__ACTION_SUCCEEDED);
        assert_int_equal(live_attempts(&w), 0);
        free(id);
        world_end(&w);
    }
}

static void test_fails(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    w.failing = "probe";
    char *id = create(&w, ENTRY, commands("probe", "false"), NULL);
    assert_int_equal(world_status(&w, id), FAILED);
    Pen__RuleExecutionRow *row = rule_row(&w, "probe");
    assert_int_equal(row->status, PEN__ACTION_STATUS__ACTION_FAILED);
    assert_string_equal(row->error_code, "JobFailed");
    assert_string_equal(row->summary, "Command 1 exited with status 3");
    mem_free_message(row);
    assert_null(world_action(&w, id, "D"));
    free(id);
    world_end(&w);
}

/* Of two rules one fails: what the other has running is given up. */
static void test_other_is_given_up(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    w.holding = "slow";
    w.failing = "probe";
    char *id = create(&w, ENTRY, commands("slow", "sleep 9"), commands("probe", "false"));
    assert_int_equal(world_status(&w, id), FAILED);
    assert_rule(&w, "slow", PEN__ACTION_STATUS__ACTION_ABANDONED);
    Pen__ActionExecutionRow *work = work_of(&w, "slow");
    assert_int_equal(work->status, PEN__ACTION_STATUS__ACTION_ABANDONED);
    mem_free_message(work);
    assert_int_equal(live_attempts(&w), 0); /* its process was ended */
    free(id);
    world_end(&w);
}

static void test_overridden_and_stopped(void **state)
{
    (void)state;
    for (int how = 0; how < 2; how++) {
        struct world w;
        begin(&w);
        w.holding = "probe";
        char *id = create(&w, ENTRY, commands("probe", "sleep 9"), NULL);
        assert_int_equal(world_status(&w, id), RUNNING);
        assert_true(world_explains(&w, "p", "running"));
        assert_int_equal(live_attempts(&w), 1);
        if (how == 0)
            override(&w, id, ENTRY);
        else
            stop(&w, id);
        assert_null(w.reply->error);
        assert_rule(&w, "probe", PEN__ACTION_STATUS__ACTION_ABANDONED);
        assert_int_equal(live_attempts(&w), 0);
        assert_int_equal(world_status(&w, id), how == 0 ? SUCCEEDED : STOPPED);
        free(id);
        world_end(&w);
    }
}

/* No agent: the reason is told, and the rule's time ends the wait. */
static void test_times_out_in_the_queue(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    Pen__RuleDeclaration *rule = commands("probe", "true");
    SET(rule, timeout_in_minutes, 30);
    char *id = create(&w, ENTRY, rule, NULL);
    assert_true(world_explains(&w, "p", "no_agent_enrolled"));
    assert_string_equal(w.reply->reasons[0]->subject, "p/Deploy/probe");
    Pen__ActionExecutionRow *work = work_of(&w, "probe");
    assert_string_equal(work->summary, ACTION_PROGRESS_WANTED);
    mem_free_message(work);
    world_restart(&w);
    world_tick(&w, 29 * 60 * 1000);
    assert_int_equal(world_status(&w, id), RUNNING);
    world_tick(&w, 60 * 1000);
    assert_int_equal(world_status(&w, id), FAILED);
    Pen__RuleExecutionRow *row = rule_row(&w, "probe");
    assert_string_equal(row->error_code, "TimedOut");
    mem_free_message(row);
    free(id);
    world_end(&w);
}

/* An agent is lost with it: another attempt, as for every repeatable action. */
static void test_agent_is_lost(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    w.holding = "probe";
    char *id = create(&w, ENTRY, commands("probe", "sleep 9"), NULL);
    Pen__ActionExecutionRow *work = work_of(&w, "probe");
    uint64_t first = work->fence;
    mem_free_message(work);
    w.agents[0].up = false;
    w.agents[0].deaf = true;
    world_tick(&w, w.options.lost_ms + 60 * 1000);
    work = work_of(&w, "probe");
    assert_int_equal(work->phase, PEN__ACTION_PHASE__ACTION_QUEUED);
    mem_free_message(work);
    world_add_agent(&w, "b", 1, NULL, NULL);
    work = work_of(&w, "probe");
    agent_end_job(&w, &w.agents[1], work->fence, PEN__FINISH_KIND__EXITED, 0);
    mem_free_message(work);
    world_perform(&w);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    work = work_of(&w, "probe");
    assert_true(work->fence > first);
    assert_int_equal(work->attempts, 2);
    mem_free_message(work);
    free(id);
    world_end(&w);
}

static const Pen__Capsule *capsule_of(struct world *w, const char *action)
{
    for (size_t j = 0; j < w->agents[0].jobs_count; j++)
        if (same(w->agents[0].jobs[j].action, action))
            return w->agents[0].jobs[j].capsule;
    fail_msg("no agent runs %s", action);
    return NULL;
}

static Pen__RuleDeclaration *with_input(Pen__RuleDeclaration *rule, const char *artifact)
{
    Pen__InputArtifact *input = MAKE(Pen__InputArtifact, pen__input_artifact__init);
    input->name = mem_text(artifact);
    APPEND(rule, input_artifacts, input);
    return rule;
}

/* What the agent is given: inputs, labels, and never longer than rules may run. */
static void test_capsule(void **state)
{
    (void)state;
    static const struct {
        int32_t minutes, expected;
    } times[] = {{0, 55}, {10, 10}, {600, 55}};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        struct world w;
        world_begin(&w);
        world_add_agent(&w, "a", 4, "pool", "fast");
        w.holding = "probe";
        Pen__RuleDeclaration *rule = with_input(commands("probe", "ls"), "S");
        configure(rule, "RunsOn", "pool=fast");
        if (times[i].minutes > 0)
            SET(rule, timeout_in_minutes, times[i].minutes);
        free(create(&w, ENTRY, rule, NULL));
        const Pen__Capsule *capsule = capsule_of(&w, "probe");
        assert_string_equal(capsule->provider, "Commands");
        assert_int_equal(capsule->n_inputs, 1);
        assert_int_equal(capsule->timeout_ms, times[i].expected * 60 * 1000);
        world_finish(&w, "probe", 0);
        world_end(&w);
    }
}

/* An input that was not made, an expression that cannot be read: the rule fails and says so. */
static void test_configuration_errors(void **state)
{
    (void)state;
    for (int how = 0; how < 2; how++) {
        struct world w;
        begin(&w);
        Pen__RuleDeclaration *rule = commands("probe", "ls");
        if (how == 0)
            with_input(rule, "nothing");
        else
            configure(rule, "RunsOn", "=");
        char *id = create(&w, ENTRY, rule, NULL);
        assert_int_equal(world_status(&w, id), FAILED);
        Pen__RuleExecutionRow *row = rule_row(&w, "probe");
        assert_string_equal(row->error_code, "ConfigurationError");
        mem_free_message(row);
        free(id);
        world_end(&w);
    }
}

/* The same of an action: labels that a variable has spoilt end it, and nothing else. */
static void test_labels_of_an_action(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    Pen__PipelineDeclaration *declaration = declare("p", NULL, STAGES);
    Pen__ActionDeclaration__ConfigurationEntry *entry =
        MAKE(Pen__ActionDeclaration__ConfigurationEntry,
             pen__action_declaration__configuration_entry__init);
    entry->key = mem_text("RunsOn");
    entry->value = mem_text("=#{Src.CommitId}");
    APPEND(declaration->stages[1]->actions[0], configuration, entry);
    char *id = world_create(&w, declaration);
    assert_int_equal(world_status(&w, id), FAILED);
    Pen__ActionExecutionRow *row = world_action(&w, id, "D");
    assert_string_equal(row->error_code, "ConfigurationError");
    mem_free_message(row);
    world_restart(&w);
    free(id);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_succeeds),
        cmocka_unit_test(test_restarts),
        cmocka_unit_test(test_fails),
        cmocka_unit_test(test_other_is_given_up),
        cmocka_unit_test(test_overridden_and_stopped),
        cmocka_unit_test(test_times_out_in_the_queue),
        cmocka_unit_test(test_agent_is_lost),
        cmocka_unit_test(test_capsule),
        cmocka_unit_test(test_configuration_errors),
        cmocka_unit_test(test_labels_of_an_action),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
