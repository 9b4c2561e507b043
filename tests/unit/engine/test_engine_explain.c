/* Why it waits: every reason, who clears it, how long it may take; and that work which no agent
 * could ever run says so within a second. */
#include "common/base/str.h"
#include "tests/unit/engine/world.h"

#define STAGES "Source:S=source|Build:B=run"

static void explain(struct world *w, const char *pipeline, const char *execution_id)
{
    Pen__ExplainRequest *request = MAKE(Pen__ExplainRequest, pen__explain_request__init);
    request->pipeline = mem_text(pipeline);
    request->execution_id = mem_text(execution_id);
    world_post(w, PEN__INPUT__WHAT_EXPLAIN, request);
    assert_null(w->reply->error);
}

/* The reason of this predicate in the last reply; its sentence has to hold these words. */
static const Pen__Reason *reason(struct world *w, const char *predicate, const char *words)
{
    for (size_t i = 0; i < w->reply->n_reasons; i++) {
        const Pen__Reason *one = w->reply->reasons[i];
        if (!same(one->predicate, predicate))
            continue;
        if (strstr(one->sentence, words) == NULL)
            fail_msg("%s: '%s' lacks '%s'", predicate, one->sentence, words);
        assert_non_null(one->clears);
        assert_true(one->has_since_ms && one->since_ms > 0);
        return one;
    }
    for (size_t i = 0; i < w->reply->n_reasons; i++)
        print_message("reason: %s: %s\n", w->reply->reasons[i]->predicate,
                      w->reply->reasons[i]->sentence);
    fail_msg("no reason %s", predicate);
    return NULL;
}

static bool has(const struct world *w, const char *predicate)
{
    for (size_t i = 0; i < w->reply->n_reasons; i++)
        if (same(w->reply->reasons[i]->predicate, predicate))
            return true;
    return false;
}

/* The reason's first command; %s in it is the execution. */
static void assert_advice(const Pen__Reason *reason, const char *format, const char *execution_id)
{
    const char *cut = strstr(format, "%s");
    char *command =
        cut == NULL ? mem_text(format)
                    : mem_format("%.*s%s%s", (int)(cut - format), format, execution_id, cut + 2);
    assert_true(reason->n_commands > 0);
    assert_string_equal(reason->commands[0], command);
    free(command);
}

static Pen__PipelineDeclaration *declare_on(const char *name, const char *runs_on)
{
    Pen__PipelineDeclaration *declaration = declare(name, "SUPERSEDED", STAGES);
    action_configure(find_declared(declaration, "B"), "RunsOn", runs_on);
    return declaration;
}

static void change_agent(struct world *w, const struct fake_agent *agent, Pen__AgentChange change)
{
    Pen__ChangeAgent *request = MAKE(Pen__ChangeAgent, pen__change_agent__init);
    request->agent_id = mem_text(agent->id);
    SET(request, change, change);
    world_post(w, PEN__INPUT__WHAT_CHANGE_AGENT, request);
    assert_null(w->reply->error);
}

static void assert_summary(struct world *w, const char *execution_id, const char *action,
                           const char *words)
{
    Pen__ActionExecutionRow *row = world_action(w, execution_id, action);
    assert_non_null(row);
    if (row->summary == NULL || strstr(row->summary, words) == NULL)
        fail_msg("summary '%s' lacks '%s'", row->summary, words);
    mem_free_message(row);
}

/* ---- all reasons of a queued action */

static void test_every_predicate_is_told(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "busy", 1, "pool", "big");
    struct fake_agent *gone = world_add_agent(&w, "gone", 1, "pool", "big");
    struct fake_agent *resting = world_add_agent(&w, "resting", 1, "pool", "big");
    world_add_agent(&w, "other", 1, "pool", "small");
    w.holding = "B";
    change_agent(&w, resting, PEN__AGENT_CHANGE__AGENT_DRAIN);
    gone->up = false;
    Pen__AgentGone *left = MAKE(Pen__AgentGone, pen__agent_gone__init);
    left->agent_id = mem_text(gone->id);
    SET(left, link, gone->link);
    world_post(&w, PEN__INPUT__WHAT_AGENT_GONE, left);
    char *e1 = world_create(&w, declare_on("first", "pool=big"));
    world_tick(&w, 1000);
    char *e2 = world_create(&w, declare_on("second", "pool=big"));
    char *e3 = world_create(&w, declare_on("third", "pool=big"));
    explain(&w, "second", NULL);
    const Pen__Reason *slots = reason(&w, "slots_full", "busy in all slots");
    assert_non_null(strstr(slots->sentence, "of 4 enrolled agents 3 match"));
    assert_string_equal(slots->subject, "second/Build/B");
    assert_false(slots->has_estimate_ms); /* nothing has ever ended */
    reason(&w, "agents_disconnected", "1 of 3 agents with these labels is not connected");
    reason(&w, "agents_draining", "1 of 3 agents with these labels is draining");
    reason(&w, "labels_differ", "1 of 4 enrolled agents has other labels; nearest is 'other'");
    assert_false(has(&w, "queued_behind"));
    explain(&w, "third", NULL);
    reason(&w, "queued_behind", "1 other action that asks for the same agents waits longer");
    explain(&w, NULL, e3); /* an execution says which pipeline it is of */
    assert_true(has(&w, "queued_behind"));
    free(e1);
    free(e2);
    free(e3);
    world_end(&w);
}

/* ---- work that no agent could ever run: within a second of becoming so */

static void assert_never_soon(struct world *w, const char *pipeline, const char *execution_id,
                              const char *words)
{
    world_tick(w, 1000);
    assert_summary(w, execution_id, "B", words);
    explain(w, pipeline, NULL);
    for (size_t i = 0; i < w->reply->n_reasons; i++)
        if (w->reply->reasons[i]->never)
            return;
    fail_msg("nobody says that it can never run");
}

/* An execution that waits for an agent which could run it, and cannot now. */
static char *wait_for_drained(struct world *w, struct fake_agent **ret_agent)
{
    *ret_agent = world_add_agent(w, "only", 1, "gpu", "yes");
    world_add_agent(w, "plain", 1, NULL, NULL);
    change_agent(w, *ret_agent, PEN__AGENT_CHANGE__AGENT_DRAIN);
    char *execution = world_create(w, declare_on("p", "gpu=yes"));
    world_tick(w, 1000);
    assert_summary(w, execution, "B", "is draining");
    explain(w, "p", NULL);
    assert_false(reason(w, "agents_draining", "draining")->never);
    return execution;
}

static void test_never_after_revocation(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *agent;
    char *execution = wait_for_drained(&w, &agent);
    change_agent(&w, agent, PEN__AGENT_CHANGE__AGENT_REVOKE);
    assert_never_soon(&w, "p", execution, "no agent with gpu=yes: 1 enrolled, none matches");
    free(execution);
    world_end(&w);
}

/* A copy of the agent shows up: the key is shut out. */
static void test_never_after_quarantine(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *agent;
    char *execution = wait_for_drained(&w, &agent);
    mem_set_text(&agent->name, "another machine"); /* hello names it as the machine */
    agent_hello(&w, agent);
    world_perform(&w);
    assert_never_soon(&w, "p", execution, "no agent with gpu=yes: 1 enrolled, none matches");
    reason(&w, "agents_excluded", "1 agent with these labels is quarantined");
    free(execution);
    world_end(&w);
}

/* Between two stages of an execution the pipeline is edited: what starts by it asks for a label
 * that nobody has. */
static void test_never_after_an_edit(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "plain", 1, NULL, NULL);
    char *e1 = world_create(&w, declare("p", "SUPERSEDED", STAGES));
    Pen__UpdatePipeline *request = MAKE(Pen__UpdatePipeline, pen__update_pipeline__init);
    request->declaration = declare_on("p", "gpu=yes");
    world_post(&w, PEN__INPUT__WHAT_UPDATE_PIPELINE, request);
    assert_null(w.reply->error);
    char *e2 = world_start(&w, "p");
    assert_never_soon(&w, "p", e2, "nearest is 'plain', which lacks gpu=yes");
    free(e1);
    free(e2);
    world_end(&w);
}

static void test_never_without_agents(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    char *execution = world_create(&w, declare("p", "SUPERSEDED", STAGES));
    assert_never_soon(&w, "p", execution, "none is enrolled");
    world_add_agent(&w, "new", 1, NULL, NULL);
    world_tick(&w, 1000);
    assert_int_equal(world_status(&w, execution), PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED);
    free(execution);
    world_end(&w);
}

/* ---- estimates */

static void assert_overdue(const Pen__Reason *reason, int64_t usual_ms, int64_t overdue_ms)
{
    assert_false(reason->has_estimate_ms);
    assert_int_equal(reason->usual_ms, usual_ms);
    assert_int_equal(reason->overdue_ms, overdue_ms);
}

static void test_estimates_survive_a_restart(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 1, NULL, NULL);
    w.holding = "B";
    char *e1 = world_create(&w, declare("p", "QUEUED", STAGES));
    explain(&w, "p", NULL);
    assert_false(reason(&w, "running", "It runs on agent 'a'")->has_estimate_ms);
    world_tick(&w, 20000);
    world_finish(&w, "B", 0);
    char *e2 = world_start(&w, "p");
    char *e3 = world_start(&w, "p");
    char *e4 = world_start(&w, "p");
    world_tick(&w, 5000);
    for (int round = 0; round < 2; round++) {
        explain(&w, "p", e2);
        assert_int_equal(reason(&w, "running", "agent 'a'")->estimate_ms, 15000);
        explain(&w, "p", e3);
        assert_int_equal(reason(&w, "stage_held", e2)->estimate_ms, 15000);
        explain(&w, "p", e4);
        assert_int_equal(reason(&w, "in_queue", "number 2 of 2")->estimate_ms, 35000);
        world_restart(&w);
        world_perform(&w);
    }
    /* The slot is taken by what is expected to end in 15 s. */
    char *e5 = world_create(&w, declare("q", "QUEUED", STAGES));
    explain(&w, "q", NULL);
    assert_int_equal(reason(&w, "slots_full", "busy")->estimate_ms, 15000);
    world_tick(&w, 20000); /* it takes longer than ever: by 5 s, of usually 20 */
    explain(&w, "q", NULL);
    assert_overdue(reason(&w, "slots_full", "busy"), 20000, 5000);
    explain(&w, "p", e3);
    assert_overdue(reason(&w, "stage_held", e2), 20000, 5000);
    explain(&w, "p", e4);
    assert_overdue(reason(&w, "in_queue", "number 2 of 2"), 20000, 5000);
    explain(&w, "p", e2);
    const Pen__Reason *running = reason(&w, "running", "agent 'a'");
    assert_overdue(running, 20000, 5000);
    assert_advice(running, "penstock stop p %s --abandon", e2);
    assert_int_equal(running->ends_ms, running->since_ms + w.options.action_timeout_ms);
    free(e1);
    free(e2);
    free(e3);
    free(e4);
    free(e5);
    world_end(&w);
}

/* ---- commands, as a shell takes them */

static void test_names_that_look_like_options(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    char *e1 = world_create(&w, declare("-p", NULL, "Source:S=source|-Ok:--all=approve"));
    explain(&w, "-p", NULL);
    const Pen__Reason *wanted = reason(&w, "approval_wanted", "approve it");
    assert_advice(wanted, "penstock approve --execution %s -- -p -Ok --all", e1);
    assert_int_equal(wanted->n_commands, 2);
    assert_string_equal(wanted->acts, "a person who may approve");
    free(e1);
    world_end(&w);
}

/* Enrolled, no two have one. */
static void test_two_agents_of_one_name(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *agent = world_add_agent(&w, "a", 1, NULL, NULL);
    struct fake_agent *other = world_add_agent(&w, "a", 1, NULL, NULL);
    change_agent(&w, agent, PEN__AGENT_CHANGE__AGENT_DRAIN);
    change_agent(&w, other, PEN__AGENT_CHANGE__AGENT_DRAIN);
    char *e1 = world_create(&w, declare("p", NULL, STAGES));
    explain(&w, "p", NULL);
    const Pen__Reason *draining = reason(&w, "agents_draining", "is draining");
    assert_int_equal(draining->n_commands, 2);
    assert_string_not_equal(draining->commands[0], draining->commands[1]);
    for (size_t i = 0; i < 2; i++)
        assert_true(same(draining->commands[i], "penstock agent undrain a") ||
                    same(draining->commands[i], "penstock agent undrain a-2"));
    free(e1);
    world_end(&w);
}

/* ---- an agent that refuses work says why */

static void test_an_agent_that_refuses_says_why(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *agent = world_add_agent(&w, "a", 1, NULL, NULL);
    agent->declines = "the agent's disk is full";
    char *e1 = world_create(&w, declare("p", NULL, STAGES));
    explain(&w, "p", NULL);
    const Pen__Reason *pausing = reason(&w, "agents_pausing", "'a' says: the agent's disk is full");
    assert_string_equal(pausing->acts, "who looks after the agent's host");
    /* Whatever it says: a sentence of it, whole characters. */
    char long_text[1000];
    for (size_t i = 0; i + 3 < sizeof long_text; i += 3)
        memcpy(long_text + i, "\xe2\x82\xac", 3);
    long_text[999] = '\0';
    agent->declines = long_text;
    world_tick(&w, 1500); /* it is asked again */
    explain(&w, "p", NULL);
    pausing = reason(&w, "agents_pausing", "'a' says: \xe2\x82\xac");
    assert_true(strlen(pausing->sentence) < 400);
    assert_true(pen_utf8_valid(pausing->sentence, strlen(pausing->sentence)));
    agent->declines = NULL;
    world_tick(&w, 1500);
    assert_int_equal(world_status(&w, e1), PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED);
    free(e1);
    world_end(&w);
}

/* ---- what the execution's row says */

static void assert_status_summary(struct world *w, const char *execution_id, const char *words)
{
    Pen__ExecutionRow *row =
        world_row(w, PEN__ROW_KIND__ROW_EXECUTION, execution_id, &pen__execution_row__descriptor);
    if (row->status_summary == NULL || strstr(row->status_summary, words) == NULL)
        fail_msg("status summary '%s' lacks '%s'", row->status_summary, words);
    mem_free_message(row);
}

static void test_the_row_says_what_the_gate_is(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 2, NULL, NULL);
    w.holding = "B";
    char *e1 = world_create(&w, declare("p", "QUEUED", STAGES));
    char *e2 = world_start(&w, "p");
    char *e3 = world_start(&w, "p");
    assert_status_summary(&w, e2, e1); /* held by it */
    assert_status_summary(&w, e3, "others wait before it");
    world_transition(&w, "p", "Build", true);
    assert_status_summary(&w, e2, "disabled by arn:aws:iam::000000000000:user/ada: freeze");
    assert_status_summary(&w, e3, "disabled by arn:aws:iam::000000000000:user/ada: freeze");
    explain(&w, "p", e3);
    reason(&w, "transition_disabled", "freeze");
    reason(&w, "stage_held", e1);
    reason(&w, "in_queue", "number 2 of 2");
    world_transition(&w, "p", "Build", false);
    world_finish(&w, "B", 0);
    assert_status_summary(&w, e3, e2); /* it is first now, and the next one holds the stage */
    free(e1);
    free(e2);
    free(e3);
    world_end(&w);
}

/* ---- people, and agents that are gone */

static void test_approval_and_silence(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *agent = world_add_agent(&w, "a", 1, NULL, NULL);
    w.holding = "Ship";
    char *e1 = world_create(&w, declare("p", NULL, "Source:S=source|Ok:Ask=approve@1,Ship=once@2"));
    explain(&w, "p", NULL);
    reason(&w, "approval_wanted", "when nobody does, it fails at ");
    reason(&w, "earlier_group", "Group 1");
    Pen__ActionExecutionRow *ask = world_action(&w, e1, "Ask");
    world_approve(&w, "p", "Ok", "Ask", ask->approval_token, true);
    mem_free_message(ask);
    agent->deaf = true;
    world_tick(&w, 40000);
    explain(&w, "p", NULL);
    reason(&w, "agent_silent", "Agent 'a', which runs it, is not heard");
    assert_false(has(&w, "running"));
    world_tick(&w, 400000);
    explain(&w, "p", NULL);
    reason(&w, "indeterminate", "agent 'a'");
    free(e1);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_predicate_is_told),
        cmocka_unit_test(test_never_after_revocation),
        cmocka_unit_test(test_never_after_quarantine),
        cmocka_unit_test(test_never_after_an_edit),
        cmocka_unit_test(test_never_without_agents),
        cmocka_unit_test(test_estimates_survive_a_restart),
        cmocka_unit_test(test_names_that_look_like_options),
        cmocka_unit_test(test_two_agents_of_one_name),
        cmocka_unit_test(test_an_agent_that_refuses_says_why),
        cmocka_unit_test(test_the_row_says_what_the_gate_is),
        cmocka_unit_test(test_approval_and_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
