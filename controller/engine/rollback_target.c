/* controller/engine/rollback_target.c - what a stage has to have to run again as it once ran */
#include "common/base/str.h"
#include "controller/engine/state.h"
#include "controller/model/rules.h"

bool execution_rolls_back(const struct execution *execution)
{
    return execution->row->rollback_target_id != NULL;
}

/* Artifacts of the stage itself and of later ones will be made anew, or are not wanted. */
static bool before(const Pen__PipelineDeclaration *declaration, const char *stage, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++)
        if (pen_str_equal(declaration->stages[i]->name, stage))
            return true;
    return false;
}

static void keep_values(Pen__RollbackTarget *target, const Pen__ActionExecutionRow *action)
{
    if (action->namespace_ == NULL || action->status != PEN__ACTION_STATUS__ACTION_SUCCEEDED)
        return;
    for (size_t i = 0; i < action->n_output_variables; i++) {
        Pen__NamespaceValue *value = MAKE(Pen__NamespaceValue, pen__namespace_value__init);
        value->namespace_ = mem_text(action->namespace_);
        value->name = mem_text(action->output_variables[i]->name);
        value->value = mem_text(action->output_variables[i]->value);
        APPEND(target, values, value);
    }
}

static Pen__RollbackTarget *target_new(const Pen__ExecutionRow *row,
                                       const Pen__PipelineDeclaration *declaration, uint32_t index)
{
    Pen__RollbackTarget *target = MAKE(Pen__RollbackTarget, pen__rollback_target__init);
    target->execution_id = mem_text(row->id);
    SET(target, pipeline_version, row->pipeline_version);
    for (size_t i = 0; i < row->n_revisions; i++)
        APPEND(target, revisions, mem_copy(row->revisions[i]));
    for (size_t i = 0; i < row->n_variables; i++)
        APPEND(target, variables, mem_copy(row->variables[i]));
    for (size_t i = 0; i < row->n_artifacts; i++)
        if (before(declaration, row->artifacts[i]->stage, index))
            APPEND(target, artifacts, mem_copy(row->artifacts[i]));
    return target;
}

Pen__RollbackTarget *rollback_target_of(const struct execution *execution, uint32_t index)
{
    Pen__RollbackTarget *target = target_new(execution->row, execution->declaration, index);
    for (uint32_t s = 0; s < index; s++) {
        const struct stage_run *run = execution->stages[s];
        for (size_t i = 0; run != NULL && i < run->declaration->n_actions; i++)
            if (run->current[i] != NULL)
                keep_values(target, run->current[i]->row);
    }
    return target;
}

/* A retry has made the action once more: the newest counts. */
static bool newest(const Pen__Rollback *request, const Pen__ActionExecutionRow *action)
{
    for (size_t i = 0; i < request->n_target_actions; i++) {
        const Pen__ActionExecutionRow *other = request->target_actions[i];
        if (other->order > action->order && pen_str_equal(other->stage, action->stage) &&
            pen_str_equal(other->action, action->action))
            return false;
    }
    return true;
}

Pen__RollbackTarget *rollback_target_from(const Pen__Rollback *request,
                                          const Pen__PipelineDeclaration *declaration,
                                          uint32_t index)
{
    Pen__RollbackTarget *target = target_new(request->target, declaration, index);
    for (size_t i = 0; i < request->n_target_actions; i++) {
        const Pen__ActionExecutionRow *action = request->target_actions[i];
        if (before(declaration, action->stage, index) && newest(request, action))
            keep_values(target, action);
    }
    return target;
}

bool stage_rolls_back_by_itself(const Pen__StageDeclaration *stage)
{
    const Pen__Condition *success =
        condition_declared(stage, PEN__CONDITION_KIND__CONDITION_ON_SUCCESS);
    return (success != NULL && pen_str_equal(success->result, "ROLLBACK")) ||
           pen_str_equal(pen_failure_result(stage), "ROLLBACK");
}

void remember_rollback_target(struct stage_state *stage, const struct stage_run *run,
                              uint32_t index)
{
    if (execution_rolls_back(run->execution) || !stage_rolls_back_by_itself(run->declaration))
        return;
    mem_free_message(stage->row->rollback_target);
    stage->row->rollback_target = rollback_target_of(run->execution, index);
}
