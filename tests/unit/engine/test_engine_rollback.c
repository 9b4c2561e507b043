/* Rollback: asked for by a person, or by a stage that fails. */
#include "tests/unit/engine/world.h"

#define SUCCEEDED PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED
#define FAILED    PEN__EXECUTION_STATUS__EXECUTION_FAILED
#define RUNNING   PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS
#define CANCELLED PEN__EXECUTION_STATUS__EXECUTION_CANCELLED

#define STAGES "Source:S=source|Build:B=made|Deploy:D=run@1,E=run@2|Later:L=run"

/* Ask as the API does: with what the store knows of the target. Returns the new execution's id (to
 * be freed), or NULL and the reply says why not. */
static char *roll_back(struct world *w, const char *stage, const char *target)
{
    Pen__Rollback *request = MAKE(Pen__Rollback, pen__rollback__init);
    request->pipeline = mem_text("p");
    request->stage = mem_text(stage);
    request->target_execution_id = mem_text(target);
    request->target =
        world_row(w, PEN__ROW_KIND__ROW_EXECUTION, target, &pen__execution_row__descriptor);
    char *key = mem_format("%s/%s", target, stage);
    request->target_stage = world_row(w, PEN__ROW_KIND__ROW_STAGE_EXECUTION, key,
                                      &pen__stage_execution_row__descriptor);
    free(key);
    for (struct pen_map_node *n = pen_map_first(&w->store); n != NULL; n = pen_map_next(n)) {
        const struct pen_row *row = ((struct stored *)pen_map_value(n))->row;
        if (row->kind == PEN__ROW_KIND__ROW_ACTION_EXECUTION && !row->deleted &&
            same(row->execution, target))
            APPEND(request, target_actions,
                   pen__action_execution_row__unpack(NULL, row->body_size, row->body));
    }
    world_post(w, PEN__INPUT__WHAT_ROLLBACK, request);
    return mem_text(w->reply->execution_id);
}

static void assert_refused(struct world *w, const char *stage, const char *target,
                           const char *error, const char *why)
{
    assert_null(roll_back(w, stage, target));
    assert_string_equal(w->reply->error, error);
    if (why != NULL && strstr(w->reply->message, why) == NULL)
        fail_msg("'%s' does not say '%s'", w->reply->message, why);
}

static Pen__ExecutionRow *execution_row(struct world *w, const char *id)
{
    Pen__ExecutionRow *row =
        world_row(w, PEN__ROW_KIND__ROW_EXECUTION, id, &pen__execution_row__descriptor);
    assert_non_null(row);
    return row;
}

/* The id of the pipeline's newest execution; to be freed. */
static char *newest(struct world *w)
{
    Pen__ExecutionRow *found = NULL;
    for (struct pen_map_node *n = pen_map_first(&w->store); n != NULL; n = pen_map_next(n)) {
        const struct pen_row *row = ((struct stored *)pen_map_value(n))->row;
        if (row->kind != PEN__ROW_KIND__ROW_EXECUTION || row->deleted)
            continue;
        Pen__ExecutionRow *unpacked = pen__execution_row__unpack(NULL, row->body_size, row->body);
        if (found == NULL || unpacked->order > found->order) {
            mem_free_message(found);
            found = unpacked;
        } else {
            mem_free_message(unpacked);
        }
    }
    char *id = mem_text(found->id);
    mem_free_message(found);
    return id;
}

/* A pipeline whose deploy reads what build made, and the commit that the source found. */
static Pen__PipelineDeclaration *deploying(const char *mode)
{
    Pen__PipelineDeclaration *declaration = declare("p", mode, STAGES);
    Pen__ActionDeclaration *deploy = find_declared(declaration, "D");
    Pen__InputArtifact *input = MAKE(Pen__InputArtifact, pen__input_artifact__init);
    input->name = mem_text("B");
    APPEND(deploy, input_artifacts, input);
    APPEND(deploy, commands, mem_text("deploy #{Src.CommitId} to #{variables.Where}"));
    Pen__PipelineVariableDeclaration *variable =
        MAKE(Pen__PipelineVariableDeclaration, pen__pipeline_variable_declaration__init);
    variable->name = mem_text("Where");
    variable->default_value = mem_text("here");
    APPEND(declaration, variables, variable);
    return declaration;
}

static void roll_back_by_itself(Pen__PipelineDeclaration *declaration, const char *stage)
{
    for (size_t i = 0; i < declaration->n_stages; i++) {
        if (!same(declaration->stages[i]->name, stage))
            continue;
        declaration->stages[i]->on_failure =
            MAKE(Pen__FailureConditions, pen__failure_conditions__init);
        declaration->stages[i]->on_failure->result = mem_text("ROLLBACK");
    }
}

/* The stage runs again with revision, variables, artifacts and output variables of the target; no
 * other stage runs; the target has left memory long ago. */
static void test_rolls_back(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 4, NULL, NULL);
    char *old = world_create(&w, deploying(NULL));
    w.revision = "rev-2";
    char *new = world_start(&w, "p");
    assert_int_equal(world_status(&w, new), SUCCEEDED);
    world_restart(&w);

    size_t runs = w.source_runs;
    char *id = roll_back(&w, "Deploy", old);
    assert_non_null(id);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    assert_int_equal(w.source_runs, runs);
    Pen__ExecutionRow *row = execution_row(&w, id);
    Pen__ExecutionRow *target = execution_row(&w, old);
    assert_string_equal(row->rollback_target_id, old);
    assert_int_equal(row->trigger_type, PEN__TRIGGER_TYPE__TRIGGER_MANUAL_ROLLBACK);
    assert_string_equal(row->trigger_detail, "arn:aws:iam::000000000000:user/ada");
    assert_int_equal(row->n_revisions, 1);
    assert_string_equal(row->revisions[0]->revision_id, "rev-1");
    assert_int_equal(row->n_variables, 1);
    assert_string_equal(row->variables[0]->value, "here");
    Pen__ActionExecutionRow *deploy = world_action(&w, id, "D");
    assert_string_equal(deploy->resolved_commands[1], "deploy rev-1 to here");
    assert_int_equal(deploy->n_inputs, 1);
    Pen__ActionExecutionRow *former = world_action(&w, old, "D");
    assert_true(mem_bytes_equal(deploy->inputs[0]->artifact->manifest_sha256,
                                former->inputs[0]->artifact->manifest_sha256));
    assert_null(world_action(&w, id, "L"));
    assert_null(world_action(&w, id, "B"));
    mem_free_message(world_action(&w, id, "E"));
    char *key = mem_format("%s/Deploy", id);
    Pen__StageExecutionRow *run = world_row(&w, PEN__ROW_KIND__ROW_STAGE_EXECUTION, key,
                                            &pen__stage_execution_row__descriptor);
    assert_true(run->rollback);
    assert_int_equal(run->status, PEN__STAGE_STATUS__STAGE_SUCCEEDED);
    mem_free_message(run);
    free(key);
    mem_free_message(row);
    mem_free_message(target);
    mem_free_message(deploy);
    mem_free_message(former);
    free(old);
    free(new);
    free(id);
    world_end(&w);
}

static void test_refusals(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 4, NULL, NULL);
    w.failing = "L";
    char *failed = world_create(&w, deploying(NULL)); /* Deploy succeeded, Later failed */
    assert_int_equal(world_status(&w, failed), FAILED);
    assert_refused(&w, "Deploy", "none", "PipelineExecutionNotFoundException", NULL);
    assert_refused(&w, "Nowhere", failed, "StageNotFoundException", NULL);
    assert_refused(&w, "Source", failed, "UnableToRollbackStageException", "source stage");
    assert_refused(&w, "Later", failed, "UnableToRollbackStageException", "not succeeded there");
    char *id = roll_back(&w, "Deploy", failed); /* it is the stage that counts */
    assert_non_null(id);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    assert_refused(&w, "Deploy", id, "UnableToRollbackStageException", "a rollback itself");
    free(id);

    w.holding = "D";
    char *inside = world_start(&w, "p");
    assert_refused(&w, "Deploy", failed, "UnableToRollbackStageException", "is in the stage");
    world_finish(&w, "D", 0);
    assert_int_equal(world_status(&w, inside), FAILED);
    free(inside);
    w.holding = NULL;

    world_transition(&w, "p", "Deploy", true);
    id = roll_back(&w, "Deploy", failed);
    assert_int_equal(world_status(&w, id), RUNNING);
    assert_true(world_explains(&w, "p", "transition_disabled"));
    assert_refused(&w, "Deploy", failed, "UnableToRollbackStageException", "waits to enter");

    Pen__UpdatePipeline *update = MAKE(Pen__UpdatePipeline, pen__update_pipeline__init);
    update->declaration = deploying(NULL);
    world_post(&w, PEN__INPUT__WHAT_UPDATE_PIPELINE, update);
    assert_int_equal(world_status(&w, id), CANCELLED);
    assert_refused(&w, "Deploy", failed, "PipelineExecutionOutdatedException", NULL);
    free(id);
    free(failed);
    world_end(&w);
}

/* An execution of a pipeline that was deleted is no target for another of the same name. */
static void test_namesake(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 4, NULL, NULL);
    char *old = world_create(&w, deploying(NULL));
    Pen__DeletePipeline *gone = MAKE(Pen__DeletePipeline, pen__delete_pipeline__init);
    gone->name = mem_text("p");
    world_post(&w, PEN__INPUT__WHAT_DELETE_PIPELINE, gone);
    world_tick(&w, 1000);
    free(world_create(&w, deploying(NULL)));
    assert_refused(&w, "Deploy", old, "PipelineExecutionNotFoundException", NULL);
    free(old);
    world_end(&w);
}

static void test_parallel(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 4, NULL, NULL);
    char *old = world_create(&w, deploying("PARALLEL"));
    assert_refused(&w, "Deploy", old, "UnableToRollbackStageException", "PARALLEL");
    free(old);
    world_end(&w);
}

/* What waits in front of the stage is neither replaced by the rollback nor goes before it. */
static void test_goes_first(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 4, NULL, NULL);
    char *old = world_create(&w, deploying(NULL));
    world_transition(&w, "p", "Deploy", true);
    char *waiting = world_start(&w, "p");
    char *id = roll_back(&w, "Deploy", old);
    char *newer = world_start(&w, "p");
    assert_int_equal(world_status(&w, waiting), PEN__EXECUTION_STATUS__EXECUTION_SUPERSEDED);
    assert_int_equal(world_status(&w, id), RUNNING);
    world_restart(&w);
    w.holding = "D";
    world_transition(&w, "p", "Deploy", false);
    Pen__StageStateRow *stage = world_row(&w, PEN__ROW_KIND__ROW_STAGE_STATE, "p/Deploy",
                                          &pen__stage_state_row__descriptor);
    assert_string_equal(stage->holder, id);
    assert_int_equal(stage->n_waiting, 1);
    assert_string_equal(stage->waiting[0], newer);
    mem_free_message(stage);
    world_finish(&w, "D", 0);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    world_finish(&w, "D", 0);
    assert_int_equal(world_status(&w, newer), SUCCEEDED);
    free(old);
    free(waiting);
    free(id);
    free(newer);
    world_end(&w);
}

/* A stage that wants it goes back to its last success, also after a restart; never twice, and not
 * when there is nothing to go back to. */
static void test_by_itself(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 4, NULL, NULL);
    Pen__PipelineDeclaration *declaration = deploying("QUEUED");
    roll_back_by_itself(declaration, "Deploy");
    w.failing = "D";
    char *first = world_create(&w, declaration);
    assert_int_equal(world_status(&w, first), FAILED);
    char *latest = newest(&w);
    assert_string_equal(latest, first);
    free(latest);

    w.failing = NULL;
    w.revision = "rev-2";
    char *good = world_start(&w, "p");
    assert_int_equal(world_status(&w, good), SUCCEEDED);
    world_restart(&w);
    w.revision = "rev-3";
    w.failing = "D";
    char *bad = world_start(&w, "p");
    assert_int_equal(world_status(&w, bad), FAILED);
    char *rollback = newest(&w);
    Pen__ExecutionRow *row = execution_row(&w, rollback);
    assert_string_equal(row->rollback_target_id, good);
    assert_int_equal(row->trigger_type, PEN__TRIGGER_TYPE__TRIGGER_AUTOMATED_ROLLBACK);
    assert_string_equal(row->trigger_detail, bad);
    assert_string_equal(row->revisions[0]->revision_id, "rev-2");
    assert_int_equal(row->status, FAILED); /* D fails here, too, and that was the end of it */
    Pen__ActionExecutionRow *deploy = world_action(&w, rollback, "D");
    assert_string_equal(deploy->resolved_commands[1], "deploy rev-2 to here");
    mem_free_message(deploy);
    mem_free_message(row);
    free(rollback);

    w.failing = "E"; /* the second group: the rollback makes the whole stage again */
    char *worse = world_start(&w, "p");
    assert_int_equal(world_status(&w, worse), FAILED);
    rollback = newest(&w);
    assert_string_not_equal(rollback, worse);
    deploy = world_action(&w, rollback, "D");
    assert_int_equal(deploy->status, PEN__ACTION_STATUS__ACTION_SUCCEEDED);
    mem_free_message(deploy);
    free(rollback);
    free(first);
    free(good);
    free(bad);
    free(worse);
    world_end(&w);
}

/* Who waits for the stage enters after the rollback, not in its place. */
static void test_by_itself_goes_first(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 4, NULL, NULL);
    Pen__PipelineDeclaration *declaration = deploying(NULL);
    roll_back_by_itself(declaration, "Deploy");
    char *good = world_create(&w, declaration);
    w.holding = "D";
    char *bad = world_start(&w, "p");
    char *next = world_start(&w, "p");
    world_finish(&w, "D", 1);
    assert_int_equal(world_status(&w, bad), FAILED);
    assert_int_equal(world_status(&w, next), RUNNING);
    char *rollback = newest(&w);
    Pen__StageStateRow *stage = world_row(&w, PEN__ROW_KIND__ROW_STAGE_STATE, "p/Deploy",
                                          &pen__stage_state_row__descriptor);
    assert_string_equal(stage->holder, rollback);
    assert_string_equal(stage->waiting[0], next);
    mem_free_message(stage);
    world_finish(&w, "D", 0);
    world_finish(&w, "D", 0);
    assert_int_equal(world_status(&w, rollback), SUCCEEDED);
    assert_int_equal(world_status(&w, next), SUCCEEDED);
    free(good);
    free(bad);
    free(next);
    free(rollback);
    world_end(&w);
}

/* A changed pipeline has no way back to what ran by its former version. */
static void test_by_itself_outdated(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 4, NULL, NULL);
    Pen__PipelineDeclaration *declaration = deploying(NULL);
    roll_back_by_itself(declaration, "Deploy");
    free(world_create(&w, declaration));
    Pen__UpdatePipeline *update = MAKE(Pen__UpdatePipeline, pen__update_pipeline__init);
    update->declaration = deploying(NULL);
    roll_back_by_itself(update->declaration, "Deploy");
    world_post(&w, PEN__INPUT__WHAT_UPDATE_PIPELINE, update);
    w.failing = "D";
    char *bad = world_start(&w, "p");
    assert_int_equal(world_status(&w, bad), FAILED);
    char *latest = newest(&w);
    assert_string_equal(latest, bad);
    free(latest);
    free(bad);
    world_end(&w);
}

/* While a rollback waits, what failed is not tried again: the rollback would undo it. */
static void test_no_retry_before_it(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 4, NULL, NULL);
    Pen__PipelineDeclaration *declaration = deploying(NULL);
    roll_back_by_itself(declaration, "Deploy");
    free(world_create(&w, declaration));
    w.holding = "D";
    char *bad = world_start(&w, "p");
    world_transition(&w, "p", "Deploy", true);
    world_finish(&w, "D", 1);
    Pen__RetryStage *retry = MAKE(Pen__RetryStage, pen__retry_stage__init);
    retry->pipeline = mem_text("p");
    retry->stage = mem_text("Deploy");
    retry->execution_id = mem_text(bad);
    world_post(&w, PEN__INPUT__WHAT_RETRY_STAGE, retry);
    assert_string_equal(w.reply->error, "StageNotRetryableException");
    w.holding = NULL;
    world_transition(&w, "p", "Deploy", false);
    char *rollback = newest(&w);
    assert_int_equal(world_status(&w, rollback), SUCCEEDED);
    free(rollback);
    free(bad);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rolls_back),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_namesake),
        cmocka_unit_test(test_parallel),
        cmocka_unit_test(test_goes_first),
        cmocka_unit_test(test_by_itself),
        cmocka_unit_test(test_by_itself_goes_first),
        cmocka_unit_test(test_by_itself_outdated),
        cmocka_unit_test(test_no_retry_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
