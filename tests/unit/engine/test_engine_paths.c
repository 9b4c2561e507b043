/* The main paths of an execution, on a healthy world. */
#include "tests/unit/engine/world.h"

#define SUCCEEDED PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED
#define FAILED    PEN__EXECUTION_STATUS__EXECUTION_FAILED
#define RUNNING   PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS

static void test_main_path(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "mill", 2, NULL, NULL);
    Pen__PipelineDeclaration *declaration =
        declare("p", NULL, "Source:S=source|Build:Compile=made|Test:Run=run");
    Pen__InputArtifact *input = MAKE(Pen__InputArtifact, pen__input_artifact__init);
    input->name = mem_text("S");
    APPEND(find_declared(declaration, "Compile"), input_artifacts, input);
    input = MAKE(Pen__InputArtifact, pen__input_artifact__init);
    input->name = mem_text("Compile");
    APPEND(find_declared(declaration, "Run"), input_artifacts, input);
    find_declared(declaration, "Compile")->namespace_ = mem_text("Made");
    APPEND(find_declared(declaration, "Run"), commands,
           mem_text("echo #{Src.CommitId} #{codepipeline.PipelineExecutionId} #{Made.WHO}"));
    char *id = world_create(&w, declaration);
    assert_int_equal(world_status(&w, id), SUCCEEDED);

    Pen__ActionExecutionRow *run = world_action(&w, id, "Run");
    assert_int_equal(run->status, PEN__ACTION_STATUS__ACTION_SUCCEEDED);
    assert_int_equal(run->n_inputs, 1);
    assert_string_equal(run->inputs[0]->artifact->name, "Compile");
    char *wanted = mem_format("echo rev-1 %s Compile", id);
    assert_string_equal(run->resolved_commands[1], wanted);
    free(wanted);
    mem_free_message(run);
    Pen__ExecutionRow *row =
        world_row(&w, PEN__ROW_KIND__ROW_EXECUTION, id, &pen__execution_row__descriptor);
    assert_int_equal(row->n_artifacts, 2);
    assert_int_equal(row->n_revisions, 1);
    assert_string_equal(row->revisions[0]->revision_id, "rev-1");
    mem_free_message(row);
    assert_int_equal(w.agents[0].jobs_count, 0); /* all released */
    free(id);
    world_end(&w);
}

static void test_parallel_group_spreads(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 2, NULL, NULL);
    world_add_agent(&w, "b", 2, NULL, NULL);
    w.holding = "Compile";
    char *id = world_create(
        &w, declare("p", NULL, "Source:S=source|Build:Compile=run,Lint=run,Last=run@2"));
    assert_int_equal(world_status(&w, id), RUNNING);
    Pen__ActionExecutionRow *lint = world_action(&w, id, "Lint");
    assert_int_equal(lint->status, PEN__ACTION_STATUS__ACTION_SUCCEEDED);
    assert_null(world_action(&w, id, "Last"));
    assert_true(world_explains(&w, "p", "earlier_group"));
    Pen__AttemptRow *attempts[2];
    for (int i = 0; i < 2; i++) {
        char *key = mem_format("%020d", i + 1);
        attempts[i] = world_row(&w, PEN__ROW_KIND__ROW_ATTEMPT, key, &pen__attempt_row__descriptor);
        free(key);
    }
    assert_string_not_equal(attempts[0]->agent_id, attempts[1]->agent_id);
    world_finish(&w, "Compile", 0);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    mem_free_message(attempts[0]);
    mem_free_message(attempts[1]);
    mem_free_message(lint);
    free(id);
    world_end(&w);
}

static void test_failure_stops_the_stage(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 4, NULL, NULL);
    w.holding = "Slow";
    w.failing = "Bad";
    char *id =
        world_create(&w, declare("p", NULL, "Source:S=source|Build:Bad=run,Slow=run,Next=run@2"));
    assert_int_equal(world_status(&w, id), RUNNING); /* Slow may end */
    world_finish(&w, "Slow", 0);
    assert_int_equal(world_status(&w, id), FAILED);
    assert_null(world_action(&w, id, "Next"));
    Pen__ActionExecutionRow *bad = world_action(&w, id, "Bad");
    assert_string_equal(bad->error_code, "JobFailed");
    assert_string_equal(bad->error_message, "Command 1 exited with status 3");
    mem_free_message(bad);

    /* A retry makes only the failed action again, and goes on. */
    w.failing = NULL;
    w.counted = "Slow";
    Pen__RetryStage *retry = MAKE(Pen__RetryStage, pen__retry_stage__init);
    retry->pipeline = mem_text("p");
    retry->stage = mem_text("Build");
    retry->execution_id = mem_text(id);
    world_post(&w, PEN__INPUT__WHAT_RETRY_STAGE, retry);
    assert_null(w.reply->error);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    assert_int_equal(w.begun, 0);
    free(id);
    world_end(&w);
}

static void test_missing_variable_is_a_configuration_error(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 1, NULL, NULL);
    Pen__PipelineDeclaration *declaration = declare("p", NULL, "Source:S=source|Build:B=run");
    APPEND(find_declared(declaration, "B"), commands, mem_text("echo #{Src.Nothing}"));
    char *id = world_create(&w, declaration);
    assert_int_equal(world_status(&w, id), FAILED);
    Pen__ActionExecutionRow *row = world_action(&w, id, "B");
    assert_string_equal(row->error_code, "ConfigurationError");
    assert_non_null(strstr(row->error_message, "#{Src.Nothing}"));
    mem_free_message(row);
    free(id);
    world_end(&w);
}

/* What an action is resolved to travels to its agent in one message. */
static void test_resolved_texts_together_are_limited(void **state)
{
    (void)state;
    enum { VALUE_SIZE = 40000, TIMES_FIT = 2, TIMES_MORE = 3 };
    char value[VALUE_SIZE + 1];
    memset(value, 'a', VALUE_SIZE);
    value[VALUE_SIZE] = '\0';
    for (int times = TIMES_FIT; times <= TIMES_MORE; times++) {
        struct world w;
        world_begin(&w);
        w.revision = value;
        world_add_agent(&w, "a", 1, NULL, NULL);
        Pen__PipelineDeclaration *declaration = declare("p", NULL, "Source:S=source|Build:B=run");
        for (int i = 0; i < times; i++)
            APPEND(find_declared(declaration, "B"), commands, mem_text("echo #{Src.CommitId}"));
        char *id = world_create(&w, declaration);
        assert_int_equal(world_status(&w, id), times == TIMES_FIT ? SUCCEEDED : FAILED);
        Pen__ActionExecutionRow *row = world_action(&w, id, "B");
        if (times == TIMES_MORE) {
            assert_string_equal(row->error_code, "ConfigurationError");
            assert_non_null(strstr(row->error_message, "at most 102400 are allowed"));
            assert_int_equal(w.begun, 0);
        }
        mem_free_message(row);
        free(id);
        world_end(&w);
    }
}

static void test_source_failure_and_new_revision(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 1, NULL, NULL);
    w.source_error = "no such branch";
    char *id = world_create(&w, declare("p", NULL, "Source:S=source|Build:B=run"));
    assert_int_equal(world_status(&w, id), FAILED);
    w.source_error = NULL;

    for (int i = 0; i < 2; i++) { /* the second time it is known */
        Pen__RevisionFound *found = MAKE(Pen__RevisionFound, pen__revision_found__init);
        found->pipeline = mem_text("p");
        found->stage = mem_text("Source");
        found->action = mem_text("S");
        found->revision_id = mem_text("rev-7");
        SET(found, trigger_type, PEN__TRIGGER_TYPE__TRIGGER_CLOUD_WATCH_EVENT);
        world_post(&w, PEN__INPUT__WHAT_REVISION_FOUND, found);
        assert_int_equal(w.reply->new_revision, i == 0);
        if (i == 0) {
            assert_int_equal(world_status(&w, w.reply->execution_id), SUCCEEDED);
            assert_string_equal(w.last_source_revision, "rev-7");
        }
    }
    free(id);
    world_end(&w);
}

static void test_revision_found_while_fetching_starts_nothing(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    w.sources_hold = true;
    char *id = world_create(&w, declare("p", NULL, "Source:S=source|Build:B=run"));
    size_t watches = w.watches;
    Pen__RevisionFound *found = MAKE(Pen__RevisionFound, pen__revision_found__init);
    found->pipeline = mem_text("p");
    found->stage = mem_text("Source");
    found->action = mem_text("S");
    found->revision_id = mem_text("rev-1");
    world_post(&w, PEN__INPUT__WHAT_REVISION_FOUND, found);
    assert_false(w.reply->new_revision);
    assert_true(world_explains(&w, "p", "source_fetched"));
    w.sources_hold = false;
    world_restart(&w); /* asks for the run again */
    world_perform(&w);
    assert_true(w.watches > watches); /* and tells the watch what was found */
    Pen__ActionExecutionRow *row = world_action(&w, id, "S");
    assert_int_equal(row->status, PEN__ACTION_STATUS__ACTION_SUCCEEDED);
    mem_free_message(row);
    free(id);
    world_end(&w);
}

static void test_request_token(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    w.sources_hold = true;
    free(world_create(&w, declare("p", NULL, "Source:S=source|Build:B=run")));
    char *first = NULL;
    for (int i = 0; i < 4; i++) {
        Pen__StartExecution *request = MAKE(Pen__StartExecution, pen__start_execution__init);
        request->pipeline = mem_text("p");
        request->client_request_token = mem_text("token");
        request->has_body_sha256 = 1;
        request->body_sha256.len = 1;
        request->body_sha256.data = mem_zero(1);
        request->body_sha256.data[0] = i == 2 ? 9 : 1;
        if (i == 3)
            w.now_ms += 24 * 3600 * 1000 + 1;
        world_post(&w, PEN__INPUT__WHAT_START_EXECUTION, request);
        if (i == 0)
            first = mem_text(w.reply->execution_id);
        if (i == 1)
            assert_string_equal(w.reply->execution_id, first);
        if (i == 2)
            assert_string_equal(w.reply->error, "ConflictException");
        if (i == 3) /* over: a new start */
            assert_string_not_equal(w.reply->execution_id, first);
    }
    free(first);
    world_end(&w);
}

/* Several steps before one commit: each row once, and as it is in the end. */
static void test_steps_share_one_commit(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct pen_error err;
    for (int i = 0; i < 12; i++) {
        Pen__Input *input;
        if (i % 4 == 0) {
            Pen__CreatePipeline *create = MAKE(Pen__CreatePipeline, pen__create_pipeline__init);
            create->declaration = declare("p", NULL, "Source:S=source|Build:B=run");
            input = input_new(PEN__INPUT__WHAT_CREATE_PIPELINE, create);
        } else if (i % 4 == 3) {
            Pen__DeletePipeline *delete = MAKE(Pen__DeletePipeline, pen__delete_pipeline__init);
            delete->name = mem_text("p");
            input = input_new(PEN__INPUT__WHAT_DELETE_PIPELINE, delete);
        } else {
            Pen__StartExecution *start = MAKE(Pen__StartExecution, pen__start_execution__init);
            start->pipeline = mem_text("p");
            start->client_request_token = mem_text("again");
            input = input_new(PEN__INPUT__WHAT_START_EXECUTION, start);
        }
        w.now_ms++;
        assert_int_equal(pen_engine_step(w.engine, input, w.now_ms, &w.out, &err), 0);
        mem_free_message(input);
    }
    world_commit(&w); /* checks that each key is there once */
    pen_engine_out_clear(&w.out);
    world_end(&w); /* and that memory and the fold agree with it */
}

/* The last step tells where it began: what has succeeded is complete, what has failed stays there.
 */
static void test_success_is_complete(void **state)
{
    (void)state;
    for (int code = 0; code < 2; code++) {
        struct world w;
        world_begin(&w);
        struct fake_agent *a = world_add_agent(&w, "a", 1, NULL, NULL);
        w.holding = "B";
        char *id = world_create(&w, declare("p", NULL, "Source:S=source|Build:B=run"));
        struct job *job = agent_job(a, 1);
        Pen__Step *step = MAKE(Pen__Step, pen__step__init);
        SET(step, command_index, 1);
        SET(step, percent_complete, 50);
        job_event(a, job, PEN__EVENT__WHAT_STEP, step);
        agent_send_event(&w, a, job, job->last_seq);
        world_perform(&w);
        Pen__ActionExecutionRow *row = world_action(&w, id, "B");
        assert_int_equal(row->percent_complete, 50);
        mem_free_message(row);
        world_finish(&w, "B", code);
        row = world_action(&w, id, "B");
        assert_int_equal(row->percent_complete, code == 0 ? 100 : 50);
        mem_free_message(row);
        free(id);
        world_end(&w);
    }
}

/* A second stop without a reason keeps the first one's; one with a reason replaces it. */
static void test_reason_of_a_stop(void **state)
{
    (void)state;
    static const char *const later[] = {NULL, "", "at once"};
    for (size_t i = 0; i < 3; i++) {
        struct world w;
        world_begin(&w);
        world_add_agent(&w, "a", 1, NULL, NULL);
        w.holding = "B";
        char *id = world_create(&w, declare("p", NULL, "Source:S=source|Build:B=run"));
        for (int turn = 0; turn < 2; turn++) {
            Pen__StopExecution *request = MAKE(Pen__StopExecution, pen__stop_execution__init);
            request->pipeline = mem_text("p");
            request->execution_id = mem_text(id);
            SET(request, abandon, turn == 1);
            request->reason = mem_text(turn == 0 ? "wrong branch" : later[i]);
            world_post(&w, PEN__INPUT__WHAT_STOP_EXECUTION, request);
            assert_null(w.reply->error);
        }
        Pen__ExecutionRow *row =
            world_row(&w, PEN__ROW_KIND__ROW_EXECUTION, id, &pen__execution_row__descriptor);
        assert_string_equal(row->stop_reason, i == 2 ? "at once" : "wrong branch");
        mem_free_message(row);
        free(id);
        world_end(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_success_is_complete),
        cmocka_unit_test(test_reason_of_a_stop),
        cmocka_unit_test(test_main_path),
        cmocka_unit_test(test_parallel_group_spreads),
        cmocka_unit_test(test_failure_stops_the_stage),
        cmocka_unit_test(test_missing_variable_is_a_configuration_error),
        cmocka_unit_test(test_resolved_texts_together_are_limited),
        cmocka_unit_test(test_source_failure_and_new_revision),
        cmocka_unit_test(test_revision_found_while_fetching_starts_nothing),
        cmocka_unit_test(test_request_token),
        cmocka_unit_test(test_steps_share_one_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
