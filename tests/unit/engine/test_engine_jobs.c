/* Jobs: actions of custom types, and the workers that do them. */
#include "tests/unit/engine/jobs.h"

/* ---- one job */

static void test_succeeds(void **state)
{
    (void)state;
    struct world w;
    char *execution = begin(&w, "SUPERSEDED");
    assert_int_equal(world_status(&w, execution), RUNNING);
    struct given given = poll_one(&w);
    assert_non_null(given.id);
    assert_null(given.token);
    assert_int_equal(state_of(&w, given.id), PEN__JOB_STATE__JOB_DISPATCHED);
    assert_int_equal(poll_for(&w, "Build", 1, NULL, NULL), 0); /* it is somebody's now */
    assert_null(acknowledge(&w, &given));
    Pen__PutJobResult *result = result_of(&w, given.id, true);
    result->summary = mem_text("ground");
    result->external_execution_id = mem_text("run-7");
    SET(result, percent_complete, 100);
    result->revision = MAKE(Pen__JobRevision, pen__job_revision__init);
    result->revision->revision = mem_text("flour");
    Pen__NameValue *variable = MAKE(Pen__NameValue, pen__name_value__init);
    variable->name = mem_text("Bags");
    variable->value = mem_text("12");
    APPEND(result, output_variables, variable);
    assert_null(put_result(&w, result));
    Pen__ActionExecutionRow *action = world_action(&w, execution, "B");
    assert_int_equal(action->status, PEN__ACTION_STATUS__ACTION_SUCCEEDED);
    assert_string_equal(action->summary, "ground");
    assert_string_equal(action->external_execution_id, "run-7");
    assert_string_equal(action->external_execution_url, "http://mill/run-7");
    assert_int_equal(action->percent_complete, 100);
    assert_int_equal(action->n_output_variables, 1);
    assert_string_equal(action->current_revision->revision, "flour");
    mem_free_message(action);
    assert_int_equal(state_of(&w, given.id), PEN__JOB_STATE__JOB_SUCCEEDED);
    assert_int_equal(world_status(&w, execution), SUCCEEDED);
    assert_error(succeed(&w, given.id), "InvalidJobStateException");
    assert_error(acknowledge(&w, &given), "InvalidNonceException");
    given_release(&given);
    free(execution);
    world_end(&w);
}

static void test_fails(void **state)
{
    (void)state;
    struct world w;
    char *execution = begin(&w, "SUPERSEDED");
    struct given given = take(&w);
    assert_null(fail_job(&w, given.id));
    Pen__ActionExecutionRow *action = world_action(&w, execution, "B");
    assert_int_equal(action->status, PEN__ACTION_STATUS__ACTION_FAILED);
    assert_string_equal(action->error_code, "ConfigurationError");
    assert_string_equal(action->error_message, "no such mill");
    assert_int_equal(world_status(&w, execution), FAILED);

    Pen__RetryStage *retry = MAKE(Pen__RetryStage, pen__retry_stage__init);
    retry->pipeline = mem_text("p");
    retry->stage = mem_text("Build");
    retry->execution_id = mem_text(execution);
    world_post(&w, PEN__INPUT__WHAT_RETRY_STAGE, retry);
    assert_null(w.reply->error);
    struct given again = take(&w);
    assert_string_not_equal(again.id, given.id);
    assert_error(succeed(&w, given.id), "InvalidJobStateException");
    assert_null(succeed(&w, again.id));
    assert_int_equal(world_status(&w, execution), SUCCEEDED);
    mem_free_message(action);
    given_release(&given);
    given_release(&again);
    free(execution);
    world_end(&w);
}

static void test_race(void **state)
{
    (void)state;
    struct world w;
    char *execution = begin(&w, "SUPERSEDED");
    struct given slow = poll_one(&w);
    assert_error(succeed(&w, slow.id), "InvalidJobStateException"); /* not acknowledged */
    world_tick(&w, MINUTE - 1);
    assert_int_equal(poll_for(&w, "Build", 1, NULL, NULL), 0);
    world_tick(&w, 1);
    assert_int_equal(state_of(&w, slow.id), PEN__JOB_STATE__JOB_QUEUED);
    struct given quick = poll_one(&w); /* the same job, another nonce */
    assert_string_equal(quick.id, slow.id);
    assert_string_not_equal(quick.nonce, slow.nonce);
    assert_error(acknowledge(&w, &slow), "InvalidNonceException");
    assert_null(acknowledge(&w, &quick));
    assert_error(acknowledge(&w, &quick), "InvalidNonceException"); /* it was good for one */
    assert_error(acknowledge(&w, &slow), "InvalidNonceException");
    struct given nobody = {.id = mem_text("nobody"), .nonce = mem_text(quick.nonce)};
    assert_error(acknowledge(&w, &nobody), "JobNotFoundException");
    assert_error(succeed(&w, nobody.id), "JobNotFoundException");
    world_tick(&w, 10 * MINUTE); /* who has acknowledged keeps it */
    assert_int_equal(poll_for(&w, "Build", 1, NULL, NULL), 0);
    assert_null(succeed(&w, quick.id));
    assert_int_equal(world_status(&w, execution), SUCCEEDED);
    given_release(&slow);
    given_release(&quick);
    given_release(&nobody);
    free(execution);
    world_end(&w);
}

static void test_continues(void **state)
{
    (void)state;
    struct world w;
    char *execution = begin(&w, "SUPERSEDED");
    struct given first = take(&w);
    Pen__PutJobResult *both = result_of(&w, first.id, true);
    both->continuation_token = mem_text("half");
    Pen__NameValue *variable = MAKE(Pen__NameValue, pen__name_value__init);
    variable->name = mem_text("Bags");
    variable->value = mem_text("6");
    APPEND(both, output_variables, variable);
    assert_error(put_result(&w, both), "ValidationException");
    assert_null(go_on(&w, first.id, "half"));
    assert_int_equal(state_of(&w, first.id), PEN__JOB_STATE__JOB_SUCCEEDED);
    assert_error(succeed(&w, first.id), "InvalidJobStateException");
    assert_true(world_explains(&w, "p", "job_continues"));
    world_tick(&w, 30 * SECOND - 1);
    assert_int_equal(poll_for(&w, "Build", 1, NULL, NULL), 0);
    world_tick(&w, 1);
    struct given second = take(&w);
    assert_string_not_equal(second.id, first.id);
    assert_string_equal(second.token, "half");
    assert_int_equal(world_status(&w, execution), RUNNING);
    assert_null(succeed(&w, second.id));
    Pen__ActionExecutionRow *action = world_action(&w, execution, "B");
    assert_int_equal(action->jobs, 2);
    assert_int_equal(world_status(&w, execution), SUCCEEDED);
    mem_free_message(action);
    given_release(&first);
    given_release(&second);
    free(execution);
    world_end(&w);
}

/* The time is that of the action: jobs that continue each other do not make it longer. */
static void test_times_out(void **state)
{
    (void)state;
    struct world w;
    char *execution = begin(&w, "SUPERSEDED");
    world_tick(&w, 23 * HOUR);
    struct given first = take(&w);
    assert_null(go_on(&w, first.id, "half"));
    world_tick(&w, MINUTE);
    struct given second = take(&w);
    world_tick(&w, HOUR - MINUTE - 1);
    assert_int_equal(world_status(&w, execution), RUNNING);
    world_tick(&w, 1);
    assert_int_equal(world_status(&w, execution), FAILED);
    assert_int_equal(state_of(&w, second.id), PEN__JOB_STATE__JOB_TIMED_OUT);
    assert_error(succeed(&w, second.id), "InvalidJobStateException");
    Pen__ActionExecutionRow *action = world_action(&w, execution, "B");
    assert_string_equal(action->error_message, "Its job worker has sent no result within 24 hours");
    mem_free_message(action);
    given_release(&first);
    given_release(&second);
    free(execution);
    world_end(&w);
}

static void test_too_many_variables(void **state)
{
    (void)state;
    struct world w;
    char *execution = begin(&w, "SUPERSEDED");
    struct given given = take(&w);
    for (size_t excess = 0; excess < 2; excess++) {
        Pen__PutJobResult *result = result_of(&w, given.id, true);
        Pen__NameValue *variable = MAKE(Pen__NameValue, pen__name_value__init);
        variable->name = mem_text("V");
        size_t size = 122880 - excess; /* with the name: one more than the limit, then just it */
        variable->value = mem_zero(size + 1);
        memset(variable->value, 'x', size);
        APPEND(result, output_variables, variable);
        if (excess == 0)
            assert_error(put_result(&w, result), "OutputVariablesSizeExceededException");
        else
            assert_null(put_result(&w, result));
    }
    assert_int_equal(world_status(&w, execution), SUCCEEDED);
    given_release(&given);
    free(execution);
    world_end(&w);
}

/* ---- the execution has other plans */

static void test_stop_waits(void **state)
{
    (void)state;
    struct world w;
    char *execution = begin(&w, "SUPERSEDED");
    struct given given = take(&w);
    stop(&w, execution, false);
    assert_int_equal(world_status(&w, execution), PEN__EXECUTION_STATUS__EXECUTION_STOPPING);
    assert_null(go_on(&w, given.id, "half")); /* what runs may end, in several jobs too */
    world_tick(&w, 30 * SECOND);
    struct given second = take(&w);
    assert_null(succeed(&w, second.id));
    assert_int_equal(world_status(&w, execution), STOPPED);
    Pen__ActionExecutionRow *action = world_action(&w, execution, "B");
    assert_int_equal(action->status, PEN__ACTION_STATUS__ACTION_SUCCEEDED);
    mem_free_message(action);
    given_release(&given);
    given_release(&second);
    free(execution);
    world_end(&w);
}

/* Nobody has acknowledged it: there is nothing to wait for. */
static void test_stop_unacknowledged(void **state)
{
    (void)state;
    struct world w;
    char *execution = begin(&w, "SUPERSEDED");
    struct given given = poll_one(&w);
    stop(&w, execution, false);
    assert_int_equal(world_status(&w, execution), STOPPED);
    assert_int_equal(state_of(&w, given.id), PEN__JOB_STATE__JOB_ABANDONED);
    assert_error(acknowledge(&w, &given), "InvalidNonceException");
    given_release(&given);
    free(execution);
    world_end(&w);
}

static void test_abandon(void **state)
{
    (void)state;
    struct world w;
    char *execution = begin(&w, "SUPERSEDED");
    struct given given = take(&w);
    stop(&w, execution, true);
    assert_int_equal(world_status(&w, execution), STOPPED);
    Pen__ActionExecutionRow *action = world_action(&w, execution, "B");
    assert_int_equal(action->status, PEN__ACTION_STATUS__ACTION_ABANDONED);
    assert_error(succeed(&w, given.id), "InvalidJobStateException");
    assert_error(fail_job(&w, given.id), "InvalidJobStateException");
    world_tick(&w, 25 * HOUR); /* no timer is left over */
    mem_free_message(action);
    given_release(&given);
    free(execution);
    world_end(&w);
}

static void test_edit_and_delete(void **state)
{
    (void)state;
    struct world w;
    char *execution = begin(&w, "SUPERSEDED");
    struct given given = take(&w);
    Pen__UpdatePipeline *update = MAKE(Pen__UpdatePipeline, pen__update_pipeline__init);
    update->declaration = declare("p", "SUPERSEDED", "Source:S=source|Build:B=run|End:E=run");
    make_custom(update->declaration, "B", "Build");
    world_post(&w, PEN__INPUT__WHAT_UPDATE_PIPELINE, update);
    assert_null(w.reply->error);
    assert_int_equal(world_status(&w, execution), RUNNING); /* what runs may end */
    assert_null(succeed(&w, given.id));
    assert_int_equal(world_status(&w, execution), CANCELLED);
    char *other = world_start(&w, "p");
    struct given second = take(&w);
    Pen__DeletePipeline *request = MAKE(Pen__DeletePipeline, pen__delete_pipeline__init);
    request->name = mem_text("p");
    world_post(&w, PEN__INPUT__WHAT_DELETE_PIPELINE, request);
    assert_int_equal(state_of(&w, second.id), PEN__JOB_STATE__JOB_ABANDONED);
    assert_error(succeed(&w, second.id), "InvalidJobStateException");
    given_release(&given);
    given_release(&second);
    free(other);
    free(execution);
    world_end(&w);
}

/* ---- a restart in every state */

static void test_restart(void **state)
{
    (void)state;
    struct world w;
    char *execution = begin(&w, "SUPERSEDED");
    world_restart(&w); /* queued */
    struct given lost = poll_one(&w);
    assert_non_null(lost.id);
    world_restart(&w); /* dispatched */
    world_tick(&w, MINUTE);
    struct given given = poll_one(&w);
    assert_string_equal(given.id, lost.id);
    world_restart(&w); /* dispatched: the nonce is still good */
    assert_error(acknowledge(&w, &lost), "InvalidNonceException");
    assert_null(acknowledge(&w, &given));
    world_restart(&w); /* in progress */
    assert_null(go_on(&w, given.id, "half"));
    world_restart(&w); /* created */
    world_tick(&w, 30 * SECOND);
    struct given second = take(&w);
    assert_string_equal(second.token, "half");
    world_restart(&w);
    world_tick(&w, 24 * HOUR); /* the action's own time */
    assert_int_equal(world_status(&w, execution), FAILED);
    world_restart(&w);
    assert_error(succeed(&w, second.id), "InvalidJobStateException");
    given_release(&lost);
    given_release(&given);
    given_release(&second);
    free(execution);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_succeeds),   cmocka_unit_test(test_fails),
        cmocka_unit_test(test_race),       cmocka_unit_test(test_continues),
        cmocka_unit_test(test_times_out),  cmocka_unit_test(test_too_many_variables),
        cmocka_unit_test(test_stop_waits), cmocka_unit_test(test_stop_unacknowledged),
        cmocka_unit_test(test_abandon),    cmocka_unit_test(test_edit_and_delete),
        cmocka_unit_test(test_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
