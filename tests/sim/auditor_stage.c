/* tests/sim/auditor_stage.c - inside executions: stages, locks, queues, actions
 *
 * LOCK: outside PARALLEL a stage is held by at most one execution. QUEUE: first come, first served
 * in QUEUED mode; a closed transition lets nobody in. Stages in order, groups in order; what has
 * succeeded is not run again unless all actions are; conditions say what they check. ONE OUTCOME
 * (6) of actions.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "tests/sim/auditor.h"

static bool parallel(const struct seen_execution *execution)
{
    return pen_str_equal(execution->mode, "PARALLEL");
}

int auditor_stage_index(struct sim *sim, const struct seen_execution *execution, const char *stage)
{
    for (size_t i = 0; i < execution->declaration->n_stages; i++)
        if (pen_str_equal(execution->declaration->stages[i]->name, stage))
            return (int)i;
    sim_fail(sim, "LEGAL PATH: execution %s has no stage %s", execution->id, stage);
}

static struct seen_pipeline *pipeline_of(struct sim *sim, const struct seen_execution *execution)
{
    struct seen_pipeline *pipeline =
        pen_map_get(&sim->auditor->pipelines, pen_key_text(execution->pipeline));
    if (pipeline == NULL)
        sim_fail(sim, "LEGAL PATH: execution %s goes on without its pipeline", execution->id);
    return pipeline;
}

/* ---- in and out */

static void take_lock(struct sim *sim, struct seen_execution *execution, int index)
{
    struct seen_pipeline *pipeline = pipeline_of(sim, execution);
    if (execution->ended || execution->stopping || execution->stage >= 0)
        sim_fail(sim, "LEGAL PATH: execution %s enters stage %d though it %s", execution->id, index,
                 execution->ended      ? "has ended"
                 : execution->stopping ? "is to stop"
                                       : "is in another one");
    execution->stage = index;
    execution->stages[index].entered = execution->stages[index].under_way = true;
    if (parallel(execution))
        return;
    const struct seen_execution *holder = pipeline->holders[index];
    if (holder != NULL)
        sim_fail(sim, "LOCK: execution %s enters stage %d, which %s holds", execution->id, index,
                 holder->id);
    pipeline->holders[index] = execution;
}

/* Nobody who came before it still stands at the gate. */
static void check_queue(struct sim *sim, const struct seen_pipeline *pipeline,
                        const struct seen_execution *execution, int index)
{
    if (!pen_str_equal(execution->mode, "QUEUED") || execution->rollback)
        return;
    bool waited = execution->waits_at == index;
    for (struct pen_map_node *node = pen_map_first(&sim->auditor->executions); node != NULL;
         node = pen_map_next(node)) {
        const struct seen_execution *other = pen_map_value(node);
        if (other == execution || other->ended || other->stopping || other->waits_at != index ||
            other->version != pipeline->version || !pen_str_equal(other->mode, "QUEUED") ||
            !pen_str_equal(other->pipeline, execution->pipeline))
            continue;
        if (!waited || other->waits_from < execution->waits_from || other->rollback)
            sim_fail(sim, "QUEUE: execution %s enters stage %d before %s, which came first",
                     execution->id, index, other->id);
    }
}

void on_stage_started(struct sim *sim, const Pen__Fact *fact)
{
    struct seen_execution *execution = auditor_execution(sim, fact->execution_id);
    int index = auditor_stage_index(sim, execution, fact->stage_started->stage);
    const struct seen_pipeline *pipeline = pipeline_of(sim, execution);
    sim_trace(sim, "%s: %s enters %s", fact->pipeline, execution->id, fact->stage_started->stage);
    if (execution->stages[index].entered)
        sim_fail(sim, "ONE OUTCOME: execution %s enters stage %d twice", execution->id, index);
    if (pipeline->version == execution->version && pipeline->closed[index])
        sim_fail(sim, "GATE: execution %s enters stage %d, and its transition is closed",
                 execution->id, index);
    if (pipeline->version == execution->version && !execution->rollback &&
        execution->started_seq < pipeline->rested_seq[index])
        sim_fail(sim, "GATE: execution %s enters stage %d, and it rests there", execution->id,
                 index);
    if (index > 0 && !execution->rollback &&
        execution->stages[index - 1].status != PEN__STAGE_STATUS__STAGE_SUCCEEDED &&
        execution->stages[index - 1].status != PEN__STAGE_STATUS__STAGE_SKIPPED)
        sim_fail(sim, "APPROVAL: execution %s enters stage %d without having passed stage %d",
                 execution->id, index, index - 1);
    check_queue(sim, pipeline, execution, index);
    take_lock(sim, execution, index);
    execution->waits_at = -1;
}

/* What the end says is what was there. */
static void check_outcome(struct sim *sim, const struct seen_execution *execution, int index,
                          Pen__StageStatus status)
{
    const struct seen_stage *stage = &execution->stages[index];
    const Pen__StageDeclaration *declared = execution->declaration->stages[index];
    bool good = true;
    for (size_t i = 0; i < declared->n_actions; i++) {
        const struct seen_action *action = stage->actions[i];
        if (action != NULL && !action->ended)
            sim_fail(sim, "LOCK: execution %s leaves stage %d, and action %s runs", execution->id,
                     index, action->id);
        good = good && action != NULL && action->status == PEN__ACTION_STATUS__ACTION_SUCCEEDED;
    }
    Pen__ConditionStatus after = stage->conditions[PEN__CONDITION_KIND__CONDITION_ON_SUCCESS];
    bool passed = declared->on_success == NULL ||
                  after == PEN__CONDITION_STATUS__CONDITION_SUCCEEDED ||
                  after == PEN__CONDITION_STATUS__CONDITION_OVERRIDDEN;
    if (status == PEN__STAGE_STATUS__STAGE_SUCCEEDED && !(good && passed))
        sim_fail(sim, "TRUTH: stage %d of execution %s succeeds, and %s", index, execution->id,
                 good ? "its condition has not" : "not all of its actions have");
    if (status == PEN__STAGE_STATUS__STAGE_SKIPPED &&
        stage->conditions[PEN__CONDITION_KIND__CONDITION_BEFORE_ENTRY] !=
            PEN__CONDITION_STATUS__CONDITION_FAILED)
        sim_fail(sim, "TRUTH: stage %d of execution %s is skipped without cause", index,
                 execution->id);
    if (status == PEN__STAGE_STATUS__STAGE_STOPPED && !execution->stopping)
        sim_fail(sim, "LEGAL PATH: stage %d of execution %s is stopped, and nobody asked", index,
                 execution->id);
}

void on_stage_ended(struct sim *sim, const Pen__Fact *fact)
{
    struct seen_execution *execution = auditor_execution(sim, fact->execution_id);
    int index = auditor_stage_index(sim, execution, fact->stage_ended->stage);
    Pen__StageStatus status = fact->stage_ended->status;
    sim_trace(sim, "%s: %s leaves %s: %s", fact->pipeline, execution->id, fact->stage_ended->stage,
              WORD(stage_status, status));
    if (execution->stage != index)
        sim_fail(sim, "LEGAL PATH: execution %s leaves stage %d, where it is not", execution->id,
                 index);
    check_outcome(sim, execution, index, status);
    execution->stages[index].status = status;
    execution->stages[index].under_way = false;
    execution->stage = -1;
    if (parallel(execution))
        return;
    struct seen_pipeline *pipeline = pipeline_of(sim, execution);
    if (pipeline->holders[index] != execution)
        sim_fail(sim, "LOCK: execution %s leaves stage %d without holding it", execution->id,
                 index);
    pipeline->holders[index] = NULL;
    if (status == PEN__STAGE_STATUS__STAGE_SUCCEEDED)
        auditor_way_back(pipeline, execution, index);
}

void on_stage_retried(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__StageRetried *body = fact->stage_retried;
    struct seen_execution *execution = auditor_execution(sim, fact->execution_id);
    int index = auditor_stage_index(sim, execution, body->stage);
    struct seen_stage *stage = &execution->stages[index];
    sim_trace(sim, "%s: %s retries %s, %s%s", fact->pipeline, execution->id, body->stage,
              body->mode,
              body->automatic    ? " by itself"
              : body->overridden ? " overridden"
                                 : "");
    bool inside = execution->stage == index;
    if (!stage->entered || (!inside && stage->status != PEN__STAGE_STATUS__STAGE_FAILED &&
                            stage->status != PEN__STAGE_STATUS__STAGE_STOPPED))
        sim_fail(sim, "LEGAL PATH: execution %s retries stage %d, which has not failed",
                 execution->id, index);
    if (!body->automatic && !inside) {
        execution->ended = execution->stopping = false;
        take_lock(sim, execution, index);
    } else if (!inside || execution->stopping) {
        sim_fail(sim, "LEGAL PATH: execution %s retries stage %d by itself from elsewhere",
                 execution->id, index);
    }
    if (body->beside)
        auditor_let_beside(sim, execution, body->stage);
    bool all = pen_str_equal(body->mode, "ALL_ACTIONS");
    for (size_t i = 0; i < SEEN_ACTIONS && !body->overridden; i++) {
        const struct seen_action *action = stage->actions[i];
        if (action == NULL || (!all && action->status == PEN__ACTION_STATUS__ACTION_SUCCEEDED))
            continue;
        if (!action->ended && (all || !inside))
            sim_fail(sim, "LEGAL PATH: execution %s retries stage %d while %s runs", execution->id,
                     index, action->id);
        if (!action->ended)
            continue; /* its siblings are made again beside it */
        struct seen_once *once = auditor_once(sim->auditor, action);
        if (!body->automatic)
            once->granted = once->begun + 1;
        stage->actions[i] = NULL;
        execution->made.of[index][i] = 0;
    }
}

/* ---- actions */

struct seen_action *auditor_action(struct sim *sim, const char *id)
{
    struct seen_action *action = pen_map_get(&sim->auditor->actions, pen_key_text(id));
    if (action == NULL)
        sim_fail(sim, "LEGAL PATH: a fact about action %s, which never started", id);
    return action;
}

static int order_of(const Pen__ActionDeclaration *action)
{
    return action->has_run_order && action->run_order > 0 ? action->run_order : 1;
}

/* It is its turn: the stage is held, the condition passed, all earlier groups have succeeded. */
static size_t check_turn(struct sim *sim, const struct seen_execution *execution, int index,
                         const char *name)
{
    const Pen__StageDeclaration *declared = execution->declaration->stages[index];
    const struct seen_stage *stage = &execution->stages[index];
    if (execution->ended || execution->stopping || execution->stage != index)
        sim_fail(sim, "LEGAL PATH: execution %s starts action %s though it %s", execution->id, name,
                 execution->ended      ? "has ended"
                 : execution->stopping ? "is to stop"
                                       : "is not in that stage");
    Pen__ConditionStatus entry = stage->conditions[PEN__CONDITION_KIND__CONDITION_BEFORE_ENTRY];
    if (declared->before_entry != NULL && entry != PEN__CONDITION_STATUS__CONDITION_SUCCEEDED &&
        entry != PEN__CONDITION_STATUS__CONDITION_OVERRIDDEN)
        sim_fail(sim, "GATE: execution %s starts action %s before its condition holds",
                 execution->id, name);
    size_t at = 0;
    while (at < declared->n_actions && !pen_str_equal(declared->actions[at]->name, name))
        at++;
    if (at == declared->n_actions || stage->actions[at] != NULL)
        sim_fail(sim, "ONE OUTCOME: execution %s starts action %s %s", execution->id, name,
                 at == declared->n_actions ? "which is not declared" : "again");
    size_t running = 0;
    for (size_t i = 0; i < declared->n_actions; i++) {
        const struct seen_action *other = stage->actions[i];
        running += other != NULL && !other->ended ? 1 : 0;
        if (order_of(declared->actions[i]) < order_of(declared->actions[at]) &&
            (other == NULL || other->status != PEN__ACTION_STATUS__ACTION_SUCCEEDED))
            sim_fail(sim, "LEGAL PATH: execution %s starts action %s before action %s", //
                     execution->id, name, declared->actions[i]->name);
    }
    if (parallel(execution) && running >= 5)
        sim_fail(sim, "BOUNDED: execution %s has %zu actions under way", execution->id,
                 running + 1);
    return at;
}

void on_action_started(struct sim *sim, const Pen__Fact *fact)
{
    struct seen_execution *execution = auditor_execution(sim, fact->execution_id);
    const Pen__ActionExecutionRow *row = fact->action_started->action;
    int index = auditor_stage_index(sim, execution, row->stage);
    bool of_rule = row->rule_execution_id != NULL;
    if (of_rule && (execution->stage != index || execution->stopping))
        sim_fail(sim, "LEGAL PATH: execution %s checks rule %s in a stage where it is not",
                 execution->id, row->action);
    size_t at = of_rule ? 0 : check_turn(sim, execution, index, row->action);
    CHECK(at < SEEN_ACTIONS);
    struct seen_action *action = mem_zero(sizeof *action);
    action->id = mem_text(row->id);
    action->execution_id = mem_text(row->execution_id);
    action->stage = mem_text(row->stage);
    action->name = mem_text(row->action);
    if (row->phase == PEN__ACTION_PHASE__ACTION_APPROVAL) {
        action->token = mem_text(row->approval_token);
        action->deadline_ms = row->deadline_ms;
        auditor_view(sim, row->execution_id, &action->asked);
        auditor_check_question(sim, execution, row);
    }
    if (pen_map_get(&sim->auditor->actions, pen_key_text(row->id)) != NULL)
        sim_fail(sim, "ONE OUTCOME: action %s starts twice", row->id);
    if (!of_rule)
        execution->stages[index].actions[at] = action;
    mem_put(&sim->auditor->actions, pen_key_text(action->id), action);
}

void on_action_ended(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__ActionEnded *body = fact->action_ended;
    struct seen_action *action = auditor_action(sim, body->action_execution_id);
    if (action->ended)
        sim_fail(sim, "ONE OUTCOME: action %s has two outcomes", action->id);
    action->ended = true;
    action->status = body->status;
    sim_trace(sim, "action %s of %s ends, %s: %s", action->name, action->execution_id,
              WORD(action_status, body->status),
              body->error_message != NULL ? body->error_message : "");
    if (action->token != NULL)
        auditor_check_approval(sim, fact, action);
    auditor_made(sim, action, body);
    const char *wanted = auditor_execution(sim, action->execution_id)->revision;
    if (wanted != NULL && body->revision != NULL &&
        !pen_str_equal(wanted, body->revision->revision_id))
        sim_fail(sim, "TRUTH: execution %s runs revision %s, and was started with %s",
                 action->execution_id, body->revision->revision_id, wanted);
    if (action->job != NULL)
        auditor_check_job(sim, action);
    if (body->status == PEN__ACTION_STATUS__ACTION_SUCCEEDED && action->fence != 0 &&
        !auditor_by_person(fact))
        auditor_check_truth(sim, action, body);
}

void on_action_requeued(struct sim *sim, const Pen__Fact *fact)
{
    struct seen_action *action = auditor_action(sim, fact->action_requeued->action_execution_id);
    sim_trace(sim, "action %s of %s goes to %s: %s", action->name, action->execution_id,
              WORD(action_phase, fact->action_requeued->phase), fact->action_requeued->reason);
    if (action->ended)
        sim_fail(sim, "ONE OUTCOME: action %s is queued again after its end", action->id);
    if (fact->action_requeued->phase == PEN__ACTION_PHASE__ACTION_INDETERMINATE) {
        sim->counts[COUNT_UNPROVEN]++;
    } else if (auditor_by_person(fact)) {
        struct seen_once *once = auditor_once(sim->auditor, action);
        once->granted = once->begun + 1;
    }
}
