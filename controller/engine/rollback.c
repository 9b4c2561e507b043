/* controller/engine/rollback.c - a stage runs once more with what an earlier execution had
 *
 * The rollback is an execution of its own. It begins at the stage, goes before those that wait
 * there, and ends with the stage. It never leads to another rollback.
 */
#include <stdlib.h>

#include "common/base/id.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/named.h"
#include "controller/model/rules.h"

/* Takes target. */
static void start_rollback(struct pen_engine *engine, struct pipeline *pipeline,
                           Pen__TriggerType trigger, const char *detail, uint32_t stage_index,
                           Pen__RollbackTarget *target, char ret_id[37])
{
    struct start start = {.trigger_type = trigger,
                          .trigger_detail = detail,
                          .variables = target->variables,
                          .variables_count = target->n_variables,
                          .rollback = target,
                          .stage_index = stage_index};
    target->variables = NULL; /* the execution's own from now on */
    target->n_variables = 0;
    execution_start_unlimited(engine, pipeline, &start, ret_id);
}

/* ---- a person asks for it */

static int unable(struct pen_error *err, const Pen__Rollback *request, const char *why)
{
    return pen_fail_api(err, PEN_ECONFLICT, "UnableToRollbackStageException",
                        "stage '%s' of pipeline '%s' cannot be rolled back to execution '%s': %s",
                        request->stage, request->pipeline, request->target_execution_id, why);
}

static int check_target(const struct pipeline *pipeline, const Pen__Rollback *request,
                        struct pen_error *err)
{
    const Pen__ExecutionRow *target = request->target;
    if (target == NULL || !pen_str_equal(target->id, request->target_execution_id) ||
        !pen_str_equal(target->pipeline, request->pipeline) ||
        execution_of_former(pipeline, target))
        return pen_fail_api(err, PEN_ENOTFOUND, "PipelineExecutionNotFoundException",
                            "pipeline '%s' has no execution '%s'", request->pipeline,
                            request->target_execution_id);
    if (target->pipeline_version != pipeline->row->version)
        return pen_fail_api(err, PEN_ECONFLICT, "PipelineExecutionOutdatedException",
                            "execution '%s' ran by version %d of pipeline '%s', which is at "
                            "version %d now",
                            target->id, target->pipeline_version, request->pipeline,
                            pipeline->row->version);
    if (target->rollback_target_id != NULL)
        return unable(err, request, "that execution is a rollback itself");
    const Pen__StageExecutionRow *run = request->target_stage;
    if (run == NULL || !pen_str_equal(run->execution_id, target->id) ||
        !pen_str_equal(run->stage, request->stage) ||
        run->status != PEN__STAGE_STATUS__STAGE_SUCCEEDED)
        return unable(err, request, "it has not succeeded there");
    return 0;
}

bool rollback_waits(const struct pen_engine *engine, const struct stage_state *stage)
{
    const struct execution *first =
        stage->row->n_waiting == 0 ? NULL : find_execution(engine, stage->row->waiting[0]);
    return first != NULL && execution_rolls_back(first);
}

static int check_stage(const struct pen_engine *engine, const struct pipeline *pipeline,
                       const Pen__Rollback *request, uint32_t index, struct pen_error *err)
{
    const Pen__PipelineDeclaration *declaration = pipeline->current->row->declaration;
    if (index == 0)
        return unable(err, request, "it is the source stage");
    if (pen_str_equal(declaration->execution_mode, "PARALLEL"))
        return unable(err, request, "executions of the mode PARALLEL have no order to go back in");
    const struct stage_state *stage = find_stage(pipeline, request->stage);
    if (stage != NULL && stage->row->holder != NULL)
        return unable(err, request, "an execution is in the stage");
    if (stage != NULL && rollback_waits(engine, stage))
        return unable(err, request, "another rollback waits to enter the stage");
    return 0;
}

int handle_rollback(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                    struct pen_error *err)
{
    const Pen__Rollback *request = input->rollback;
    struct pipeline *pipeline = NULL;
    int rc = named_pipeline(engine, request->pipeline, &pipeline, err);
    if (rc < 0)
        return rc;
    /* The target was read from history before; what was removed since may have been it. */
    if (request->has_as_of_seq && request->as_of_seq < engine->setting->row->last_removal_seq)
        return pen_fail_api(err, PEN_ECONFLICT, "ConflictException",
                            "history of pipelines was removed just now; try again");
    uint32_t index = 0;
    if ((rc = named_stage(pipeline, request->stage, &index, err)) < 0 ||
        (rc = check_target(pipeline, request, err)) < 0 ||
        (rc = check_stage(engine, pipeline, request, index, err)) < 0)
        return rc;
    const Pen__PipelineDeclaration *declaration = pipeline->current->row->declaration;
    char id[PEN_UUID_TEXT_SIZE];
    start_rollback(engine, pipeline, PEN__TRIGGER_TYPE__TRIGGER_MANUAL_ROLLBACK, input->principal,
                   index, rollback_target_from(request, declaration, index), id);
    reply->execution_id = mem_text(id);
    return 0;
}

/* ---- a failure asks for it */

static bool has_ended(const struct stage_run *run, Pen__ConditionKind kind,
                      Pen__ConditionStatus status)
{
    const Pen__ConditionRun *condition = condition_run(run, kind);
    return condition != NULL && condition->status == status;
}

/* What has failed decides: actions, or a condition, which says itself what follows. */
static bool wants_rollback(const struct stage_run *run)
{
    const Pen__StageDeclaration *stage = run->declaration;
    if (has_ended(run, PEN__CONDITION_KIND__CONDITION_BEFORE_ENTRY,
                  PEN__CONDITION_STATUS__CONDITION_FAILED))
        return false; /* nothing has been done here */
    if (has_ended(run, PEN__CONDITION_KIND__CONDITION_ON_SUCCESS,
                  PEN__CONDITION_STATUS__CONDITION_FAILED))
        return pen_str_equal(stage->on_success->conditions[0]->result, "ROLLBACK");
    if (!pen_str_equal(pen_failure_result(stage), "ROLLBACK"))
        return false;
    return stage->on_failure->n_conditions == 0 ||
           has_ended(run, PEN__CONDITION_KIND__CONDITION_ON_FAILURE,
                     PEN__CONDITION_STATUS__CONDITION_SUCCEEDED);
}

void rollback_by_itself(struct pen_engine *engine, const struct execution *failed,
                        const struct stage_run *run)
{
    if (execution_rolls_back(failed) || execution_parallel(failed) || execution_outdated(failed) ||
        !wants_rollback(run))
        return;
    const struct stage_state *stage = find_stage(failed->pipeline, run->row->stage);
    const Pen__RollbackTarget *target = stage == NULL ? NULL : stage->row->rollback_target;
    if (target == NULL || target->pipeline_version != failed->pipeline->row->version)
        return; /* nothing to go back to: it stays failed */
    char id[PEN_UUID_TEXT_SIZE];
    start_rollback(engine, failed->pipeline, PEN__TRIGGER_TYPE__TRIGGER_AUTOMATED_ROLLBACK,
                   failed->row->id, failed->row->stage_index, mem_copy(target), id);
}
