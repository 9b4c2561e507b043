/* Gates and people: supersede, queue, parallel, transitions, approvals, stop, update, delete. */
#include "tests/unit/engine/world.h"

#define SUCCEEDED  PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED
#define FAILED     PEN__EXECUTION_STATUS__EXECUTION_FAILED
#define RUNNING    PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS
#define STOPPED    PEN__EXECUTION_STATUS__EXECUTION_STOPPED
#define SUPERSEDED PEN__EXECUTION_STATUS__EXECUTION_SUPERSEDED
#define CANCELLED  PEN__EXECUTION_STATUS__EXECUTION_CANCELLED

#define STAGES "Source:S=source|Build:B=run"

static Pen__StageStateRow *stage_row(struct world *w, const char *key)
{
    return world_row(w, PEN__ROW_KIND__ROW_STAGE_STATE, key, &pen__stage_state_row__descriptor);
}

static void test_superseded(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 4, NULL, NULL);
    w.holding = "B";
    char *e1 = world_create(&w, declare("p", NULL, STAGES));
    char *e2 = world_start(&w, "p");
    assert_int_equal(world_status(&w, e2), RUNNING);
    assert_true(world_explains(&w, "p", "stage_held"));
    char *e3 = world_start(&w, "p");
    assert_int_equal(world_status(&w, e1), RUNNING);
    assert_int_equal(world_status(&w, e2), SUPERSEDED);
    assert_int_equal(world_status(&w, e3), RUNNING);
    Pen__ExecutionRow *row =
        world_row(&w, PEN__ROW_KIND__ROW_EXECUTION, e2, &pen__execution_row__descriptor);
    assert_string_equal(row->superseded_by, e3);
    mem_free_message(row);
    world_finish(&w, "B", 0);
    assert_int_equal(world_status(&w, e1), SUCCEEDED);
    Pen__StageStateRow *stage = stage_row(&w, "p/Build");
    assert_string_equal(stage->holder, e3);
    mem_free_message(stage);
    world_finish(&w, "B", 0);
    assert_int_equal(world_status(&w, e3), SUCCEEDED);
    free(e1);
    free(e2);
    free(e3);
    world_end(&w);
}

static void test_queued(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 4, NULL, NULL);
    w.holding = "B";
    char *ids[52];
    ids[0] = world_create(&w, declare("p", "QUEUED", STAGES));
    for (int i = 1; i < 50; i++) {
        ids[i] = world_start(&w, "p");
        assert_non_null(ids[i]);
    }
    assert_null(world_start(&w, "p"));
    assert_string_equal(w.reply->error, "ConcurrentPipelineExecutionsLimitExceededException");
    assert_true(world_explains(&w, "p", "in_queue"));
    Pen__StageStateRow *stage = stage_row(&w, "p/Build");
    assert_int_equal(stage->n_waiting, 49);
    assert_string_equal(stage->waiting[0], ids[1]);
    mem_free_message(stage);
    for (int i = 0; i < 50; i++) { /* in order, also past a failure */
        assert_int_equal(world_status(&w, ids[i]), RUNNING);
        world_finish(&w, "B", i == 3 ? 1 : 0);
        assert_int_equal(world_status(&w, ids[i]), i == 3 ? FAILED : SUCCEEDED);
        free(ids[i]);
    }
    world_end(&w);
}

static void test_parallel(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 20, NULL, NULL);
    w.holding = "B";
    char *e1 = world_create(&w, declare("p", "PARALLEL", STAGES));
    char *e2 = world_start(&w, "p");
    assert_int_equal(w.agents[0].jobs_count, 2); /* both inside */
    world_transition(&w, "p", "Build", true);
    char *e3 = world_start(&w, "p");
    char *e4 = world_start(&w, "p");
    assert_int_equal(world_status(&w, e3), RUNNING); /* held, but not superseded */
    assert_int_equal(w.agents[0].jobs_count, 2);
    world_transition(&w, "p", "Build", false);
    assert_int_equal(w.agents[0].jobs_count, 4);
    for (int i = 0; i < 4; i++)
        world_finish(&w, "B", 0);
    assert_int_equal(world_status(&w, e1), SUCCEEDED);
    assert_int_equal(world_status(&w, e4), SUCCEEDED);
    free(e1);
    free(e2);
    free(e3);
    free(e4);
    world_end(&w);
}

static void retry(struct world *w, const char *id)
{
    Pen__RetryStage *request = MAKE(Pen__RetryStage, pen__retry_stage__init);
    request->pipeline = mem_text("p");
    request->stage = mem_text("Build");
    request->execution_id = mem_text(id);
    world_post(w, PEN__INPUT__WHAT_RETRY_STAGE, request);
}

/* At most 50 are under way, however they came: by hand, by a push or by a retry. */
static void test_room_for_executions(void **state)
{
    (void)state;
    static const char *const modes[] = {"PARALLEL", "QUEUED"};
    for (int m = 0; m < 2; m++) {
        struct world w;
        world_begin(&w);
        world_add_agent(&w, "a", 1, NULL, NULL);
        w.failing = "B";
        char *first = world_create(&w, declare("p", modes[m], STAGES));
        assert_int_equal(world_status(&w, first), FAILED);
        world_transition(&w, "p", "Build", true);
        for (int i = 0; i < 50; i++)
            free(world_start(&w, "p"));
        assert_null(w.reply->error);
        assert_null(world_start(&w, "p"));
        assert_string_equal(w.reply->error, "ConcurrentPipelineExecutionsLimitExceededException");
        Pen__RevisionFound *found = MAKE(Pen__RevisionFound, pen__revision_found__init);
        found->pipeline = mem_text("p");
        found->stage = mem_text("Source");
        found->action = mem_text("S");
        found->revision_id = mem_text("rev-2");
        world_post(&w, PEN__INPUT__WHAT_REVISION_FOUND, found);
        assert_string_equal(w.reply->error, "ConcurrentPipelineExecutionsLimitExceededException");
        retry(&w, first);
        assert_string_equal(w.reply->error, "ConcurrentPipelineExecutionsLimitExceededException");
        free(first);
        world_end(&w);
    }
}

static void test_parallel_runs_five_actions_at_once(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 20, NULL, NULL);
    w.holding = "B1";
    char *id = world_create(
        &w, declare("p", "PARALLEL",
                    "Source:S=source|Build:B1=approve,B2=approve,B3=approve,B4=approve,"
                    "B5=approve,B6=approve"));
    assert_null(world_action(&w, id, "B6"));
    assert_true(world_explains(&w, "p", "parallel_limit"));
    Pen__ActionExecutionRow *b1 = world_action(&w, id, "B1");
    assert_string_equal(b1->external_execution_id, b1->approval_token);
    world_approve(&w, "p", "Build", "B1", b1->approval_token, true);
    assert_null(w.reply->error);
    Pen__ActionExecutionRow *b6 = world_action(&w, id, "B6");
    assert_non_null(b6);
    mem_free_message(b1);
    mem_free_message(b6);
    free(id);
    world_end(&w);
}

static void test_disabled_transition(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 4, NULL, NULL);
    char *e1 = world_create(&w, declare("p", NULL, STAGES));
    assert_int_equal(world_status(&w, e1), SUCCEEDED);
    Pen__ChangeTransition *outbound = MAKE(Pen__ChangeTransition, pen__change_transition__init);
    outbound->pipeline = mem_text("p");
    outbound->stage = mem_text("Source"); /* out of Source is into Build */
    SET(outbound, outbound, 1);
    SET(outbound, disable, 1);
    outbound->reason = mem_text("freeze");
    world_post(&w, PEN__INPUT__WHAT_CHANGE_TRANSITION, outbound);
    assert_null(w.reply->error);
    Pen__StageStateRow *stage = stage_row(&w, "p/Build");
    assert_true(stage->disabled);
    assert_string_equal(stage->disabled_reason, "freeze");
    assert_string_equal(stage->changed_by, "arn:aws:iam::000000000000:user/ada");
    assert_int_equal(stage->changed_ms, w.now_ms);
    mem_free_message(stage);
    char *e2 = world_start(&w, "p");
    char *e3 = world_start(&w, "p");
    assert_int_equal(world_status(&w, e2), SUPERSEDED);
    assert_int_equal(world_status(&w, e3), RUNNING);
    assert_true(world_explains(&w, "p", "transition_disabled"));
    assert_non_null(strstr(w.reply->reasons[0]->sentence, "freeze"));
    world_restart(&w);
    world_perform(&w);
    world_transition(&w, "p", "Build", false);
    assert_int_equal(world_status(&w, e3), SUCCEEDED);
    world_transition(&w, "p", "Nowhere", false);
    assert_string_equal(w.reply->error, "StageNotFoundException");
    free(e1);
    free(e2);
    free(e3);
    world_end(&w);
}

static void test_approval(void **state)
{
    (void)state;
    for (int approved = 0; approved < 2; approved++) {
        struct world w;
        world_begin(&w);
        char *id = world_create(
            &w, declare("p", NULL, "Source:S=source|Ok:Approve=approve|Late:Other=approve"));
        Pen__ActionExecutionRow *row = world_action(&w, id, "Approve");
        assert_int_equal(row->phase, PEN__ACTION_PHASE__ACTION_APPROVAL);
        assert_true(world_explains(&w, "p", "approval_wanted"));
        for (size_t i = 0; i < w.reply->n_reasons; i++)
            assert_null(strstr(w.reply->reasons[i]->sentence, row->approval_token));
        world_approve(&w, "p", "Ok", "Approve", "00000000-0000-4000-8000-000000000000", true);
        assert_string_equal(w.reply->error, "InvalidApprovalTokenException");
        world_approve(&w, "p", "Ok", "S", row->approval_token, true);
        assert_string_equal(w.reply->error, "ActionNotFoundException");
        world_approve(&w, "p", "Late", "Other", row->approval_token, true);
        assert_string_equal(w.reply->error, "InvalidApprovalTokenException");
        world_restart(&w);
        world_perform(&w);
        world_approve(&w, "p", "Ok", "Approve", row->approval_token, approved == 1);
        assert_null(w.reply->error);
        assert_int_equal(w.reply->at_ms, w.now_ms);
        assert_int_equal(world_status(&w, id), approved ? RUNNING : FAILED);
        world_approve(&w, "p", "Ok", "Approve", row->approval_token, true);
        assert_string_equal(w.reply->error, "ApprovalAlreadyCompletedException");
        mem_free_message(row);
        row = world_action(&w, id, "Approve");
        assert_string_equal(row->summary, "looked at it");
        assert_string_equal(row->updated_by, "arn:aws:iam::000000000000:user/ada");
        mem_free_message(row);
        free(id);
        world_end(&w);
    }
}

/* The last byte of the source's artifact in the stored row of the execution. */
static uint8_t *stored_digest_end(struct world *w, const char *id)
{
    static const uint8_t digest[32]; /* of what the world's sources bring */
    char *key = mem_format("%02d %s", (int)PEN__ROW_KIND__ROW_EXECUTION, id);
    struct stored *stored = pen_map_get(&w->store, pen_key_text(key));
    free(key);
    assert_non_null(stored);
    const uint8_t *body = stored->row->body;
    for (size_t i = 0; i + sizeof digest <= stored->row->body_size; i++)
        if (memcmp(body + i, digest, sizeof digest) == 0)
            return (uint8_t *)(uintptr_t)(body + i + sizeof digest - 1);
    fail_msg("the execution has no artifact");
    return NULL;
}

/* Neither a retry nor somebody with the database can put another artifact under a yes. */
static void test_approval_is_for_what_it_was_asked(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    char *id = world_create(&w, declare("p", NULL, "Source:S=source|Ok:Approve=approve"));
    Pen__ActionExecutionRow *row = world_action(&w, id, "Approve");
    uint8_t *byte = stored_digest_end(&w, id);
    *byte = 1;
    world_restart(&w);
    world_approve(&w, "p", "Ok", "Approve", row->approval_token, true);
    assert_string_equal(w.reply->error, "InvalidApprovalTokenException");
    assert_int_equal(world_status(&w, id), RUNNING);
    *byte = 0;
    world_restart(&w);
    world_approve(&w, "p", "Ok", "Approve", row->approval_token, true);
    assert_null(w.reply->error);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    mem_free_message(row);
    free(id);
    world_end(&w);
}

static void test_approval_times_out(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    Pen__PipelineDeclaration *declaration =
        declare("p", NULL, "Source:S=source|Ok:Approve=approve");
    SET(find_declared(declaration, "Approve"), timeout_in_minutes, 5);
    char *id = world_create(&w, declaration);
    world_tick(&w, 4 * 60 * 1000);
    assert_int_equal(world_status(&w, id), RUNNING);
    world_restart(&w);
    world_perform(&w);
    world_tick(&w, 61 * 1000);
    assert_int_equal(world_status(&w, id), FAILED);
    free(id);
    world_end(&w);
}

static void stop(struct world *w, const char *id, bool abandon)
{
    Pen__StopExecution *request = MAKE(Pen__StopExecution, pen__stop_execution__init);
    request->pipeline = mem_text("p");
    request->execution_id = mem_text(id);
    SET(request, abandon, abandon);
    request->reason = mem_text("enough");
    world_post(w, PEN__INPUT__WHAT_STOP_EXECUTION, request);
}

static void test_stop(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 4, NULL, NULL);
    w.holding = "B";
    char *e1 = world_create(&w, declare("p", NULL, STAGES "|Test:T=run"));
    char *e2 = world_start(&w, "p");
    stop(&w, e2, false); /* waits at the gate */
    assert_int_equal(world_status(&w, e2), STOPPED);
    stop(&w, e2, false);
    assert_string_equal(w.reply->error, "PipelineExecutionNotStoppableException");

    stop(&w, e1, false);
    assert_int_equal(world_status(&w, e1), PEN__EXECUTION_STATUS__EXECUTION_STOPPING);
    assert_true(world_explains(&w, "p", "winding_up"));
    stop(&w, e1, false);
    assert_string_equal(w.reply->error, "DuplicatedStopRequestException");
    world_finish(&w, "B", 0);
    assert_int_equal(world_status(&w, e1), STOPPED);
    assert_null(world_action(&w, e1, "T"));

    char *e3 = world_start(&w, "p");
    stop(&w, e3, true);
    assert_int_equal(world_status(&w, e3), STOPPED);
    Pen__ActionExecutionRow *row = world_action(&w, e3, "B");
    assert_int_equal(row->status, PEN__ACTION_STATUS__ACTION_ABANDONED);
    mem_free_message(row);
    assert_int_equal(w.agents[0].jobs_count, 0); /* cancelled, and released */
    free(e1);
    free(e2);
    free(e3);
    world_end(&w);
}

static void test_update_cancels(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 4, NULL, NULL);
    w.holding = "B";
    char *e1 = world_create(&w, declare("p", NULL, STAGES));
    char *e2 = world_start(&w, "p");
    Pen__UpdatePipeline *update = MAKE(Pen__UpdatePipeline, pen__update_pipeline__init);
    update->declaration = declare("p", "QUEUED", "Source:S=source|Other:B=run");
    world_post(&w, PEN__INPUT__WHAT_UPDATE_PIPELINE, update);
    assert_null(w.reply->error);
    assert_int_equal(w.reply->declaration->version, 2);
    assert_int_equal(world_status(&w, e2), CANCELLED);
    assert_int_equal(world_status(&w, e1), RUNNING);
    world_finish(&w, "B", 0);
    assert_int_equal(world_status(&w, e1), CANCELLED);
    assert_null(stage_row(&w, "p/Build")); /* gone with its last execution */
    free(e1);
    free(e2);
    world_end(&w);
}

static void test_update_leaves_parallel_alone(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 4, NULL, NULL);
    w.holding = "B";
    char *e1 = world_create(&w, declare("p", "PARALLEL", STAGES "|Gone:G=run"));
    Pen__UpdatePipeline *update = MAKE(Pen__UpdatePipeline, pen__update_pipeline__init);
    update->declaration = declare("p", NULL, STAGES);
    world_post(&w, PEN__INPUT__WHAT_UPDATE_PIPELINE, update);
    world_restart(&w);
    world_perform(&w);
    world_finish(&w, "B", 0);
    assert_int_equal(world_status(&w, e1), SUCCEEDED); /* through a stage that is no more */
    Pen__ActionExecutionRow *row = world_action(&w, e1, "G");
    assert_int_equal(row->status, PEN__ACTION_STATUS__ACTION_SUCCEEDED);
    mem_free_message(row);
    free(e1);
    world_end(&w);
}

static void test_delete(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 4, NULL, NULL);
    w.holding = "B";
    char *e1 = world_create(&w, declare("p", NULL, STAGES));
    char *e2 = world_start(&w, "p");
    for (int i = 0; i < 2; i++) { /* the second time there is nothing to do */
        Pen__DeletePipeline *request = MAKE(Pen__DeletePipeline, pen__delete_pipeline__init);
        request->name = mem_text("p");
        world_post(&w, PEN__INPUT__WHAT_DELETE_PIPELINE, request);
        assert_null(w.reply->error);
    }
    assert_int_equal(world_status(&w, e1), CANCELLED);
    assert_int_equal(world_status(&w, e2), CANCELLED);
    assert_null(stage_row(&w, "p/Build"));
    assert_int_equal(w.agents[0].jobs_count, 0);
    w.holding = NULL;
    char *e3 = world_create(&w, declare("p", NULL, STAGES));
    assert_int_equal(world_status(&w, e3), SUCCEEDED);
    free(e1);
    free(e2);
    free(e3);
    world_end(&w);
}

static void test_retry_is_lost_to_a_newer_execution(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 4, NULL, NULL);
    w.failing = "B";
    char *e1 = world_create(&w, declare("p", NULL, STAGES));
    assert_int_equal(world_status(&w, e1), FAILED);
    world_restart(&w); /* a failed execution can be retried after a restart too */
    world_perform(&w);
    w.failing = NULL;
    w.holding = "B";
    char *e2 = world_start(&w, "p");
    Pen__RetryStage *retry = MAKE(Pen__RetryStage, pen__retry_stage__init);
    retry->pipeline = mem_text("p");
    retry->stage = mem_text("Build");
    retry->execution_id = mem_text(e1);
    world_post(&w, PEN__INPUT__WHAT_RETRY_STAGE, retry);
    assert_string_equal(w.reply->error, "NotLatestPipelineExecutionException");
    world_finish(&w, "B", 1);
    assert_int_equal(world_status(&w, e2), FAILED);
    world_restart(&w);
    world_perform(&w);
    retry = MAKE(Pen__RetryStage, pen__retry_stage__init);
    retry->pipeline = mem_text("p");
    retry->stage = mem_text("Build");
    retry->execution_id = mem_text(e2);
    SET(retry, all_actions, 1);
    world_post(&w, PEN__INPUT__WHAT_RETRY_STAGE, retry);
    assert_null(w.reply->error);
    world_finish(&w, "B", 0);
    assert_int_equal(world_status(&w, e2), SUCCEEDED);
    free(e1);
    free(e2);
    world_end(&w);
}

static void test_automatic_retry(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 4, NULL, NULL);
    w.failing = w.counted = "B";
    Pen__PipelineDeclaration *declaration = declare("p", NULL, STAGES);
    declaration->stages[1]->on_failure =
        MAKE(Pen__FailureConditions, pen__failure_conditions__init);
    declaration->stages[1]->on_failure->result = mem_text("RETRY");
    char *id = world_create(&w, declaration);
    assert_int_equal(world_status(&w, id), FAILED);
    assert_int_equal(w.begun, 2); /* exactly once again */
    free(id);
    world_end(&w);
}

/* An execution of the time in which the pipeline was PARALLEL holds no lock, and minds none. */
static void test_automatic_retry_beside_a_holder(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 4, NULL, NULL);
    w.holding = w.counted = "B";
    Pen__PipelineDeclaration *declaration = declare("p", "PARALLEL", STAGES);
    declaration->stages[1]->on_failure =
        MAKE(Pen__FailureConditions, pen__failure_conditions__init);
    declaration->stages[1]->on_failure->result = mem_text("RETRY");
    Pen__UpdatePipeline *update = MAKE(Pen__UpdatePipeline, pen__update_pipeline__init);
    update->declaration = mem_copy(declaration);
    mem_set_text(&update->declaration->execution_mode, "QUEUED");
    char *parallel = world_create(&w, declaration);
    world_post(&w, PEN__INPUT__WHAT_UPDATE_PIPELINE, update);
    char *holder = world_start(&w, "p");
    assert_int_equal(w.begun, 2); /* both are in the stage */
    world_finish(&w, "B", 1);
    assert_int_equal(w.begun, 3);
    assert_int_equal(world_status(&w, parallel), RUNNING);
    for (int i = 0; i < 2; i++)
        world_finish(&w, "B", 0);
    assert_int_equal(world_status(&w, parallel), SUCCEEDED);
    assert_int_equal(world_status(&w, holder), SUCCEEDED);
    free(parallel);
    free(holder);
    world_end(&w);
}

static void test_start_checks_variables(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 4, NULL, NULL);
    Pen__PipelineDeclaration *declaration = declare("p", NULL, STAGES);
    Pen__PipelineVariableDeclaration *variable =
        MAKE(Pen__PipelineVariableDeclaration, pen__pipeline_variable_declaration__init);
    variable->name = mem_text("Level");
    APPEND(declaration, variables, variable);
    APPEND(find_declared(declaration, "B"), commands, mem_text("echo #{variables.Level}"));
    assert_null(world_create(&w, declaration)); /* created, but nothing can start by itself */
    assert_null(world_start(&w, "p"));
    assert_string_equal(w.reply->error, "ValidationException");
    Pen__StartExecution *request = MAKE(Pen__StartExecution, pen__start_execution__init);
    request->pipeline = mem_text("p");
    Pen__NameValue *value = MAKE(Pen__NameValue, pen__name_value__init);
    value->name = mem_text("Level");
    value->value = mem_text("high");
    APPEND(request, variables, value);
    world_post(&w, PEN__INPUT__WHAT_START_EXECUTION, request);
    assert_null(w.reply->error);
    Pen__ActionExecutionRow *row = world_action(&w, w.reply->execution_id, "B");
    assert_string_equal(row->resolved_commands[1], "echo high");
    mem_free_message(row);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_superseded),
        cmocka_unit_test(test_queued),
        cmocka_unit_test(test_parallel),
        cmocka_unit_test(test_room_for_executions),
        cmocka_unit_test(test_parallel_runs_five_actions_at_once),
        cmocka_unit_test(test_disabled_transition),
        cmocka_unit_test(test_approval),
        cmocka_unit_test(test_approval_is_for_what_it_was_asked),
        cmocka_unit_test(test_approval_times_out),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_update_cancels),
        cmocka_unit_test(test_update_leaves_parallel_alone),
        cmocka_unit_test(test_delete),
        cmocka_unit_test(test_retry_is_lost_to_a_newer_execution),
        cmocka_unit_test(test_automatic_retry),
        cmocka_unit_test(test_automatic_retry_beside_a_holder),
        cmocka_unit_test(test_start_checks_variables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
