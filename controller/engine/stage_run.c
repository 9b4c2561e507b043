/* controller/engine/stage_run.c - inside a stage: groups of equal runOrder, and how it ends */
#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/job.h"
#include "controller/model/rules.h"

void stage_end(struct pen_engine *engine, struct stage_run *self, Pen__StageStatus status)
{
    Pen__StageEnded *body = MAKE(Pen__StageEnded, pen__stage_ended__init);
    body->stage = mem_text(self->row->stage);
    SET(body, status, status);
    emit_about(engine, self->execution, PEN__FACT__WHAT_STAGE_ENDED, body);
}

static uint32_t run_order(const Pen__ActionDeclaration *action)
{
    return action->has_run_order && action->run_order > 0 ? (uint32_t)action->run_order : 1;
}

/* The lowest group with an action that was not made yet; 0 when there is none. */
static uint32_t next_group(const struct stage_run *self)
{
    uint32_t lowest = 0;
    for (size_t i = 0; i < self->declaration->n_actions; i++) {
        uint32_t order = run_order(self->declaration->actions[i]);
        if (self->current[i] == NULL && (lowest == 0 || order < lowest))
            lowest = order;
    }
    return lowest;
}

static bool any_failed(const struct stage_run *self)
{
    for (size_t i = 0; i < self->declaration->n_actions; i++)
        if (self->current[i] != NULL &&
            (self->current[i]->row->status == PEN__ACTION_STATUS__ACTION_FAILED ||
             self->current[i]->row->status == PEN__ACTION_STATUS__ACTION_ABANDONED))
            return true;
    return false;
}

/* A stage that asks for it is retried once by itself. */
static bool retry_by_itself(struct pen_engine *engine, struct stage_run *self)
{
    const Pen__FailureConditions *on_failure = self->declaration->on_failure;
    if (self->row->automatic_retries > 0 ||
        !pen_str_equal(pen_failure_result(self->declaration), "RETRY"))
        return false;
    const char *mode = on_failure->retry_configuration != NULL
                           ? on_failure->retry_configuration->retry_mode
                           : NULL;
    Pen__StageRetried *body = MAKE(Pen__StageRetried, pen__stage_retried__init);
    body->stage = mem_text(self->row->stage);
    body->mode = mem_text(mode != NULL ? mode : "FAILED_ACTIONS");
    SET(body, automatic, 1);
    emit_about(engine, self->execution, PEN__FACT__WHAT_STAGE_RETRIED, body);
    return true;
}

/* Start what the current group still lacks. True when there was something to start. */
static bool start_group(struct pen_engine *engine, struct stage_run *self)
{
    bool parallel = execution_parallel(self->execution);
    bool lacking = false;
    for (size_t i = 0; i < self->declaration->n_actions; i++) {
        if (self->current[i] != NULL ||
            run_order(self->declaration->actions[i]) != self->row->run_order)
            continue;
        lacking = true;
        if (parallel && self->execution->in_progress >= engine->options.parallel_actions_max)
            break;
        action_start(engine, self, i);
    }
    return lacking;
}

/* Before the first action. True: it may go on. */
static bool enter(struct pen_engine *engine, struct stage_run *self)
{
    enum verdict verdict =
        condition_check(engine, self, PEN__CONDITION_KIND__CONDITION_BEFORE_ENTRY);
    if (verdict == CONDITION_MISSED)
        stage_end(engine, self,
                  pen_str_equal(self->declaration->before_entry->conditions[0]->result, "SKIP")
                      ? PEN__STAGE_STATUS__STAGE_SKIPPED
                      : PEN__STAGE_STATUS__STAGE_FAILED);
    return verdict == CONDITION_PASSED;
}

/* All actions have succeeded. */
static void leave(struct pen_engine *engine, struct stage_run *self)
{
    enum verdict verdict = condition_check(engine, self, PEN__CONDITION_KIND__CONDITION_ON_SUCCESS);
    if (verdict != CONDITION_WAITS)
        stage_end(engine, self,
                  verdict == CONDITION_PASSED ? PEN__STAGE_STATUS__STAGE_SUCCEEDED
                                              : PEN__STAGE_STATUS__STAGE_FAILED);
}

/* An action has failed, and nothing runs any more. */
static void fail(struct pen_engine *engine, struct stage_run *self)
{
    enum verdict verdict = condition_check(engine, self, PEN__CONDITION_KIND__CONDITION_ON_FAILURE);
    if (verdict == CONDITION_WAITS)
        return;
    if (verdict == CONDITION_MISSED || !retry_by_itself(engine, self))
        stage_end(engine, self, PEN__STAGE_STATUS__STAGE_FAILED);
}

void stage_advance(struct pen_engine *engine, struct stage_run *self)
{
    const struct execution *execution = self->execution;
    if (!enter(engine, self))
        return;
    if (approval_yields(engine, self))
        return;
    if (any_failed(self)) {
        if (execution->in_progress == 0)
            fail(engine, self);
        return;
    }
    if (self->row->run_order > 0 && start_group(engine, self))
        return;
    if (execution->in_progress > 0)
        return;
    uint32_t group = next_group(self);
    if (group == 0) {
        leave(engine, self);
        return;
    }
    Pen__StageGroupStarted *body = MAKE(Pen__StageGroupStarted, pen__stage_group_started__init);
    body->stage = mem_text(self->row->stage);
    SET(body, run_order, group);
    emit_about(engine, execution, PEN__FACT__WHAT_STAGE_GROUP_STARTED, body);
}

void stage_abandon(struct pen_engine *engine, struct stage_run *self, bool all, const char *why)
{
    condition_abandon(engine, self, why);
    for (size_t i = 0; i < self->declaration->n_actions; i++) {
        struct action *action = self->current[i];
        if (action == NULL || action->row->status != PEN__ACTION_STATUS__ACTION_IN_PROGRESS)
            continue;
        bool untouched = action->row->phase == PEN__ACTION_PHASE__ACTION_QUEUED ||
                         (action->job != NULL && job_untouched(action->job));
        if (!all && !untouched)
            continue;
        action_abandon(engine, action, why);
    }
}
