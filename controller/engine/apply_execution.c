#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "controller/engine/apply.h"
#include "controller/engine/explain.h"
#include "controller/engine/planted.h"

static int find(struct pen_engine *engine, const Pen__Fact *fact, struct execution **ret_execution,
                struct pen_error *err)
{
    struct execution *execution = find_execution(engine, fact->execution_id);
    if (execution == NULL)
        return pen_fail(err, PEN_ECORRUPT, "fact %llu is about execution '%s', which is not there",
                        (unsigned long long)fact->seq, fact->execution_id);
    *ret_execution = execution;
    return 0;
}

/* The execution's row has changed: write it, and see what follows. */
static void changed(struct pen_engine *engine, const Pen__Fact *fact, struct execution *execution)
{
    SET(execution->row, updated_ms, fact->at_ms);
    entity_touch(engine, &execution->entity);
    execution_work(engine, execution);
}

/* A rollback begins with what its target had. */
static void take_over(Pen__ExecutionRow *row, const Pen__RollbackTarget *target)
{
    for (size_t i = 0; i < target->n_revisions; i++)
        APPEND(row, revisions, mem_copy(target->revisions[i]));
    for (size_t i = 0; i < target->n_artifacts; i++)
        APPEND(row, artifacts, mem_copy(target->artifacts[i]));
    for (size_t i = 0; i < target->n_values; i++)
        APPEND(row, inherited, mem_copy(target->values[i]));
}

static Pen__ExecutionRow *new_row(const Pen__Fact *fact)
{
    const Pen__ExecutionStarted *body = fact->execution_started;
    Pen__ExecutionRow *row = MAKE(Pen__ExecutionRow, pen__execution_row__init);
    row->id = mem_text(fact->execution_id);
    row->pipeline = mem_text(fact->pipeline);
    SET(row, pipeline_version, body->pipeline_version);
    SET(row, order, body->order);
    SET(row, status, PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS);
    row->mode = mem_text(body->mode);
    SET(row, trigger_type, body->trigger_type);
    row->trigger_detail = mem_text(body->trigger_detail);
    SET(row, started_ms, fact->at_ms);
    SET(row, stage_index, body->stage_index);
    row->rollback_target_id = mem_text(body->rollback_target_id);
    for (size_t i = 0; i < body->n_variables; i++)
        APPEND(row, variables, mem_copy(body->variables[i]));
    for (size_t i = 0; i < body->n_overrides; i++)
        APPEND(row, overrides, mem_copy(body->overrides[i]));
    if (body->rollback_target != NULL)
        take_over(row, body->rollback_target);
    row->origin = mem_copy(body->origin);
    return row;
}

int apply_execution_started(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__ExecutionStarted *body = fact->execution_started;
    if (fact->execution_id == NULL || find_execution(engine, fact->execution_id) != NULL)
        return pen_fail(err, PEN_ECORRUPT, "execution '%s' starts twice", fact->execution_id);
    SET(engine->setting->row, last_order, body->order);
    struct entity *entity = entity_add(engine, PEN__ROW_KIND__ROW_EXECUTION, new_row(fact));
    int rc = entity_link(engine, entity, err);
    if (rc < 0)
        return rc;
    if (body->request_token != NULL) {
        struct entity *token =
            entity_add(engine, PEN__ROW_KIND__ROW_REQUEST_TOKEN, mem_copy(body->request_token));
        CHECK(entity_link(engine, token, NULL) == 0);
        entity_touch(engine, token);
    }
    note_started(engine, ((struct execution *)entity)->pipeline, fact->at_ms);
    changed(engine, fact, (struct execution *)entity);
    return 0;
}

/* ---- the gate's queue */

/* Rollbacks stand before all others. */
static void queue_add(struct pen_engine *engine, struct stage_state *stage,
                      const struct execution *execution)
{
    APPEND(stage->row, waiting, mem_text(execution->row->id));
    size_t place = stage->row->n_waiting - 1;
    char *own = stage->row->waiting[place];
    for (; execution_rolls_back(execution) && place > 0; place--) {
        const struct execution *other = find_execution(engine, stage->row->waiting[place - 1]);
        if (other != NULL && execution_rolls_back(other))
            break;
        stage->row->waiting[place] = stage->row->waiting[place - 1];
    }
    stage->row->waiting[place] = own;
    entity_touch(engine, &stage->entity);
}

static void queue_remove(struct pen_engine *engine, struct stage_state *stage, const char *id)
{
    for (size_t i = 0; i < stage->row->n_waiting; i++) {
        if (!pen_str_equal(stage->row->waiting[i], id))
            continue;
        free(stage->row->waiting[i]);
        stage->row->n_waiting--;
        memmove(&stage->row->waiting[i], &stage->row->waiting[i + 1],
                (stage->row->n_waiting - i) * sizeof(char *));
        if (stage->row->n_waiting == 0) {
            free(stage->row->waiting);
            stage->row->waiting = NULL;
        }
        entity_touch(engine, &stage->entity);
        return;
    }
}

/* What rested at the gate goes on. */
static void wake_gate(struct pen_engine *engine, struct stage_state *stage)
{
    if (!stage->row->has_rested_order)
        return;
    stage->row->has_rested_order = 0;
    stage->row->rested_order = 0;
    entity_touch(engine, &stage->entity);
}

void gate_retell(struct pen_engine *engine, const struct stage_state *stage)
{
    for (size_t i = 0; i < stage->row->n_waiting; i++) {
        struct execution *waiting = find_execution(engine, stage->row->waiting[i]);
        if (waiting == NULL || !waiting->row->waiting)
            continue;
        char *summary = gate_summary(waiting, stage);
        if (pen_str_equal(summary, waiting->row->status_summary)) {
            free(summary);
            continue;
        }
        free(waiting->row->status_summary);
        waiting->row->status_summary = summary;
        entity_touch(engine, &waiting->entity);
    }
}

/* The execution does not stand at the gate any more. */
static void leave_gate(struct pen_engine *engine, struct execution *execution)
{
    Pen__ExecutionRow *row = execution->row;
    if (!row->waiting)
        return;
    const char *name = execution->declaration->stages[row->stage_index]->name;
    struct stage_state *stage = find_stage(execution->pipeline, name);
    SET(row, waiting, 0);
    row->has_waiting_since_ms = 0;
    row->waiting_since_ms = 0;
    mem_set_text(&row->status_summary, NULL);
    if (stage != NULL) {
        queue_remove(engine, stage, row->id);
        gate_retell(engine, stage);
        gate_work(engine, stage);
        drop_stage_if_orphan(engine, execution->pipeline, name);
    }
}

int apply_execution_waiting(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    struct execution *execution;
    int rc = find(engine, fact, &execution, err);
    if (rc < 0)
        return rc;
    uint32_t index = fact->execution_waiting->stage_index;
    if (index >= execution->declaration->n_stages || execution->row->waiting)
        return pen_fail(err, PEN_ECORRUPT, "execution '%s' cannot wait there", fact->execution_id);
    const char *name = execution->declaration->stages[index]->name;
    SET(execution->row, stage_index, index);
    SET(execution->row, waiting, 1);
    SET(execution->row, waiting_since_ms, fact->at_ms);
    struct stage_state *stage = find_stage(execution->pipeline, name);
    if (stage != NULL) {
        if (execution->row->order > stage->row->rested_order && !execution_rolls_back(execution))
            wake_gate(engine, stage); /* a new change, or a person's start */
        queue_add(engine, stage, execution);
        gate_retell(engine, stage);
        gate_work(engine, stage);
    }
    changed(engine, fact, execution);
    return 0;
}

int apply_execution_stopping(struct pen_engine *engine, const Pen__Fact *fact,
                             struct pen_error *err)
{
    struct execution *execution;
    int rc = find(engine, fact, &execution, err);
    if (rc < 0)
        return rc;
    const Pen__ExecutionStopping *body = fact->execution_stopping;
    SET(execution->row, status, PEN__EXECUTION_STATUS__EXECUTION_STOPPING);
    SET(execution->row, abandon, body->abandon);
    if (body->kill)
        SET(execution->row, kill, 1);
    mem_set_text(&execution->row->stop_reason, body->reason);
    struct stage_run *run = current_run(execution);
    if (run != NULL && run->row->status == PEN__STAGE_STATUS__STAGE_IN_PROGRESS) {
        SET(run->row, status, PEN__STAGE_STATUS__STAGE_STOPPING);
        entity_touch(engine, &run->entity);
    }
    changed(engine, fact, execution);
    return 0;
}

/* A failed or stopped execution can be retried as long as no other has entered its stage; in
 * PARALLEL mode as long as it is one of the newest. */
static bool retryable(const struct execution *execution)
{
    const struct stage_run *run = current_run(execution);
    if (run == NULL || execution_outdated(execution))
        return false;
    if (run->row->status != PEN__STAGE_STATUS__STAGE_FAILED &&
        run->row->status != PEN__STAGE_STATUS__STAGE_STOPPED)
        return false;
    if (execution_parallel(execution))
        return true;
    const struct stage_state *stage = find_stage(execution->pipeline, run->row->stage);
    return stage != NULL && pen_str_equal(stage->row->latest_execution_id, execution->row->id);
}

static void forget_oldest_parallel(struct pen_engine *engine, const struct pipeline *pipeline)
{
    struct execution *oldest = NULL;
    size_t count = 0;
    for (struct pen_map_node *node = pen_map_last(&pipeline->executions); node != NULL;
         node = pen_map_previous(node)) {
        struct execution *execution = pen_map_value(node);
        if (!execution_parallel(execution) || !execution_ended(execution))
            continue;
        oldest = execution;
        count++;
    }
    if (count > PEN_LIMIT_PARALLEL_RETRYABLE)
        execution_forget(engine, oldest);
}

int apply_execution_ended(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    struct execution *execution;
    int rc = find(engine, fact, &execution, err);
    if (rc < 0)
        return rc;
    if (execution_ended(execution) || execution->in_progress > 0)
        return pen_fail(err, PEN_ECORRUPT, "execution '%s' cannot end", fact->execution_id);
    const Pen__ExecutionEnded *body = fact->execution_ended;
    leave_gate(engine, execution);
    SET(execution->row, status, body->status);
    mem_set_text(&execution->row->status_summary, body->summary);
    mem_set_text(&execution->row->superseded_by, body->superseded_by);
    changed(engine, fact, execution);
    CHECK(execution->pipeline->running > 0);
    execution->pipeline->running--;
    if (!retryable(execution))
        execution_forget(engine, execution);
    else if (execution_parallel(execution))
        forget_oldest_parallel(engine, execution->pipeline);
    return 0;
}

/* ---- stages */

/* Whoever failed or was stopped here before cannot be retried from now on; one that got through
 * here and failed further on still can. */
static void forget_former(struct pen_engine *engine, const struct stage_state *stage)
{
    struct execution *former = find_execution(engine, stage->row->latest_execution_id);
    const struct stage_run *run = former == NULL ? NULL : current_run(former);
    if (run != NULL && execution_ended(former) && pen_str_equal(run->row->stage, stage->row->stage))
        execution_forget(engine, former);
}

int apply_stage_started(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    struct execution *execution;
    int rc = find(engine, fact, &execution, err);
    if (rc < 0)
        return rc;
    const Pen__StageStarted *body = fact->stage_started;
    if (body->stage_index >= execution->declaration->n_stages ||
        execution->stages[body->stage_index] != NULL)
        return pen_fail(err, PEN_ECORRUPT, "execution '%s' cannot enter stage '%s'",
                        fact->execution_id, body->stage);
    leave_gate(engine, execution);
    SET(execution->row, stage_index, body->stage_index);

    Pen__StageExecutionRow *row = MAKE(Pen__StageExecutionRow, pen__stage_execution_row__init);
    row->execution_id = mem_text(execution->row->id);
    row->pipeline = mem_text(execution->row->pipeline);
    row->stage = mem_text(body->stage);
    SET(row, status, PEN__STAGE_STATUS__STAGE_IN_PROGRESS);
    SET(row, started_ms, fact->at_ms);
    SET(row, attempt, 1);
    if (body->rollback)
        SET(row, rollback, 1);
    struct entity *run = entity_add(engine, PEN__ROW_KIND__ROW_STAGE_EXECUTION, row);
    rc = entity_link(engine, run, err);
    if (rc < 0)
        return rc;
    entity_touch(engine, run);

    struct stage_state *stage = find_stage(execution->pipeline, body->stage);
    if (stage != NULL && !execution_parallel(execution)) {
        if (stage->row->holder != NULL)
            return pen_fail(err, PEN_ECORRUPT, "stage '%s' is held by '%s'", body->stage,
                            stage->row->holder);
        forget_former(engine, stage);
        mem_set_text(&stage->row->holder, execution->row->id);
        mem_set_text(&stage->row->latest_execution_id, execution->row->id);
        entity_touch(engine, &stage->entity);
        gate_retell(engine, stage);
    }
    changed(engine, fact, execution);
    return 0;
}

/* A planted bug. */
static void release_early(struct pen_engine *engine, struct stage_state *stage)
{
    if (stage == NULL)
        return;
    mem_set_text(&stage->row->holder, NULL);
    entity_touch(engine, &stage->entity);
    gate_work(engine, stage);
}

int apply_stage_group_started(struct pen_engine *engine, const Pen__Fact *fact,
                              struct pen_error *err)
{
    struct execution *execution;
    int rc = find(engine, fact, &execution, err);
    if (rc < 0)
        return rc;
    struct stage_run *run = find_run(execution, fact->stage_group_started->stage);
    if (run == NULL)
        return pen_fail(err, PEN_ECORRUPT, "execution '%s' is not in that stage",
                        fact->execution_id);
    SET(run->row, run_order, fact->stage_group_started->run_order);
    entity_touch(engine, &run->entity);
    if (PLANTED(LOCK_RELEASED_EARLY) && run->row->run_order > 1)
        release_early(engine, find_stage(execution->pipeline, run->row->stage));
    execution_work(engine, execution);
    return 0;
}

int apply_stage_ended(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    struct execution *execution;
    int rc = find(engine, fact, &execution, err);
    if (rc < 0)
        return rc;
    const Pen__StageEnded *body = fact->stage_ended;
    struct stage_run *run = find_run(execution, body->stage);
    if (run == NULL || (run->row->status != PEN__STAGE_STATUS__STAGE_IN_PROGRESS &&
                        run->row->status != PEN__STAGE_STATUS__STAGE_STOPPING))
        return pen_fail(err, PEN_ECORRUPT, "stage '%s' of '%s' ends, but it is not under way",
                        body->stage, fact->execution_id);
    SET(run->row, status, body->status);
    SET(run->row, ended_ms, fact->at_ms);
    entity_touch(engine, &run->entity);
    struct stage_state *stage = find_stage(execution->pipeline, body->stage);
    if (stage != NULL && body->status == PEN__STAGE_STATUS__STAGE_SUCCEEDED)
        history_stage_succeeded(engine, stage, run, fact->at_ms);
    if (stage != NULL && pen_str_equal(stage->row->holder, execution->row->id)) {
        mem_set_text(&stage->row->holder, NULL);
        if (body->status == PEN__STAGE_STATUS__STAGE_SUCCEEDED) {
            mem_set_text(&stage->row->last_succeeded_execution_id, execution->row->id);
            remember_rollback_target(stage, run, execution->row->stage_index);
            if (!execution_outdated(execution))
                note_way_back(stage, execution->row);
        }
        entity_touch(engine, &stage->entity);
        gate_retell(engine, stage);
        gate_work(engine, stage);
        drop_stage_if_orphan(engine, execution->pipeline, body->stage);
    }
    changed(engine, fact, execution);
    return 0;
}

/* Which actions a retry makes again: those that have ended without success, or all. */
static void drop_actions(struct pen_engine *engine, struct stage_run *run, bool all)
{
    for (size_t i = 0; i < run->declaration->n_actions; i++) {
        struct action *action = run->current[i];
        if (action != NULL && (all || action->row->status == PEN__ACTION_STATUS__ACTION_FAILED ||
                               action->row->status == PEN__ACTION_STATUS__ACTION_ABANDONED))
            run_drop_action(engine, run, i);
    }
}

/* What was passed stays so; the rest is checked again when it is due. */
static void drop_conditions(struct stage_run *run)
{
    size_t kept = 0;
    for (size_t i = 0; i < run->row->n_conditions; i++) {
        Pen__ConditionRun *condition = run->row->conditions[i];
        if (condition->status == PEN__CONDITION_STATUS__CONDITION_OVERRIDDEN ||
            (condition->status == PEN__CONDITION_STATUS__CONDITION_SUCCEEDED &&
             condition->kind == PEN__CONDITION_KIND__CONDITION_BEFORE_ENTRY))
            run->row->conditions[kept++] = condition;
        else
            mem_free_message(condition);
    }
    run->row->n_conditions = kept;
}

static void count_retry(Pen__StageExecutionRow *row, bool automatic)
{
    SET(row, attempt, row->attempt + 1);
    SET(row, retried_by_itself, automatic);
    if (automatic)
        SET(row, automatic_retries, row->automatic_retries + 1);
    else
        SET(row, manual_retries, row->manual_retries + 1);
}

int apply_stage_retried(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    struct execution *execution;
    int rc = find(engine, fact, &execution, err);
    if (rc < 0)
        return rc;
    const Pen__StageRetried *body = fact->stage_retried;
    struct stage_run *run = find_run(execution, body->stage);
    struct stage_state *stage = find_stage(execution->pipeline, body->stage);
    bool all = pen_str_equal(body->mode, "ALL_ACTIONS");
    if (run == NULL || (all && execution->in_progress > 0) ||
        (stage != NULL && stage->row->holder != NULL && !execution_parallel(execution) &&
         !pen_str_equal(stage->row->holder, execution->row->id)))
        return pen_fail(err, PEN_ECORRUPT, "stage '%s' of '%s' cannot be retried", body->stage,
                        fact->execution_id);
    if (body->beside)
        abandoned_let_beside(engine, execution, body->stage);
    drop_actions(engine, run, all || PLANTED(RETRY_RERUNS));
    drop_conditions(run);
    SET(run->row, status, PEN__STAGE_STATUS__STAGE_IN_PROGRESS);
    run->row->has_ended_ms = 0;
    run->row->ended_ms = 0;
    if (execution->in_progress == 0)
        SET(run->row, run_order, 0); /* else its group goes on, and those made again join it */
    if (!body->overridden)           /* else the same try goes on */
        count_retry(run->row, body->automatic);
    entity_touch(engine, &run->entity);
    if (execution_ended(execution))
        execution->pipeline->running++;
    SET(execution->row, status, PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS);
    execution->row->has_abandon = 0;
    execution->row->abandon = 0;
    execution->row->has_kill = 0;
    execution->row->kill = 0;
    mem_set_text(&execution->row->stop_reason, NULL);
    mem_set_text(&execution->row->status_summary, NULL);
    if (stage != NULL && !execution_parallel(execution)) {
        mem_set_text(&stage->row->holder, execution->row->id);
        entity_touch(engine, &stage->entity);
        gate_retell(engine, stage);
    }
    changed(engine, fact, execution);
    return 0;
}
