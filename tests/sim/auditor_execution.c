/* tests/sim/auditor_execution.c - executions from their start to their one end
 *
 * NO LOSS (3), LEGAL PATH (7) of executions; supersession happens between stages only, to the older
 * of two that wait at one gate; rollbacks go to what has succeeded and lead to no rollback.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "tests/sim/auditor.h"

struct seen_execution *auditor_execution(struct sim *sim, const char *id)
{
    struct seen_execution *execution =
        id == NULL ? NULL : pen_map_get(&sim->auditor->executions, pen_key_text(id));
    if (execution == NULL)
        sim_fail(sim, "LEGAL PATH: a fact about execution %s, which never started",
                 id != NULL ? id : "(none)");
    return execution;
}

/* ---- pipelines */

void on_pipeline(struct sim *sim, const Pen__Fact *fact)
{
    struct auditor *self = sim->auditor;
    const Pen__PipelineDeclaration *declaration =
        fact->what_case == PEN__FACT__WHAT_PIPELINE_CREATED ? fact->pipeline_created->declaration
                                                            : fact->pipeline_updated->declaration;
    struct seen_pipeline *pipeline = pen_map_get(&self->pipelines, pen_key_text(fact->pipeline));
    if (pipeline == NULL) {
        pipeline = mem_zero(sizeof *pipeline);
        pipeline->name = mem_text(fact->pipeline);
        pipeline->created_seq = fact->seq;
        mem_put(&self->pipelines, pen_key_text(pipeline->name), pipeline);
    }
    CHECK(declaration->n_stages <= SEEN_STAGES);
    Pen__PipelineDeclaration *copy = mem_copy(declaration);
    self->declarations = mem_grow(self->declarations, self->declarations_count);
    self->declarations[self->declarations_count++] = copy;
    pipeline->declaration = copy;
    pipeline->version = declaration->version;
    memset(pipeline->ways, 0, sizeof pipeline->ways); /* no rollback goes to a former version */
}

void on_pipeline_deleted(struct sim *sim, const Pen__Fact *fact)
{
    struct seen_pipeline *pipeline =
        pen_map_remove(&sim->auditor->pipelines, pen_key_text(fact->pipeline));
    if (pipeline == NULL)
        sim_fail(sim, "LEGAL PATH: pipeline %s is deleted, and there is none", fact->pipeline);
    for (struct pen_map_node *node = pen_map_first(&sim->auditor->executions); node != NULL;
         node = pen_map_next(node)) {
        const struct seen_execution *execution = pen_map_value(node);
        if (!execution->ended && pen_str_equal(execution->pipeline, fact->pipeline))
            sim_fail(sim, "LEGAL PATH: pipeline %s is deleted, and execution %s goes on",
                     fact->pipeline, execution->id);
    }
    sim_trace(sim, "%s is deleted", fact->pipeline);
    if (pen_str_equal(fact->pipeline, "pulls"))
        auditor_forget_pulls(sim->auditor);
    free(pipeline->name);
    free(pipeline);
}

static bool somebody_waits(const struct auditor *self, const char *pipeline, int index)
{
    for (struct pen_map_node *node = pen_map_first(&self->executions); node != NULL;
         node = pen_map_next(node)) {
        const struct seen_execution *execution = pen_map_value(node);
        if (!execution->ended && execution->waits_at == index &&
            pen_str_equal(execution->pipeline, pipeline))
            return true;
    }
    return false;
}

/* What waits at a gate that opens after more than 30 days rests there. */
static void move_gate(struct sim *sim, struct seen_pipeline *pipeline, int index,
                      const Pen__Fact *fact)
{
    const int64_t long_ms = INT64_C(30) * 24 * 3600 * 1000;
    bool closed = fact->transition_changed->disabled;
    if (closed && !pipeline->closed[index])
        pipeline->closed_ms[index] = fact->at_ms;
    if (!closed && pipeline->closed[index] && fact->at_ms - pipeline->closed_ms[index] > long_ms &&
        somebody_waits(sim->auditor, pipeline->name, index)) {
        pipeline->rested_seq[index] = fact->seq;
        sim->counts[COUNT_RESTS]++;
        sim_trace(sim, "%s: what waits for stage %d rests", fact->pipeline, index);
    }
    pipeline->closed[index] = closed;
}

void on_transition(struct sim *sim, const Pen__Fact *fact)
{
    struct seen_pipeline *pipeline =
        pen_map_get(&sim->auditor->pipelines, pen_key_text(fact->pipeline));
    if (pipeline == NULL)
        sim_fail(sim, "LEGAL PATH: a transition of pipeline %s changes", fact->pipeline);
    sim_trace(sim, "%s: the transition into %s is %s", fact->pipeline,
              fact->transition_changed->stage,
              fact->transition_changed->disabled ? "closed" : "opened");
    for (size_t i = 0; i < pipeline->declaration->n_stages; i++)
        if (pen_str_equal(pipeline->declaration->stages[i]->name, fact->transition_changed->stage))
            move_gate(sim, pipeline, (int)i, fact);
}

/* ---- executions */

static const char *mood_of(const Pen__ExecutionStarted *body)
{
    for (size_t i = 0; i < body->n_variables; i++)
        if (pen_str_equal(body->variables[i]->name, "mood"))
            return body->variables[i]->value;
    return NULL;
}

static void check_rollback(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__ExecutionStarted *body = fact->execution_started;
    const struct seen_execution *target = auditor_execution(sim, body->rollback_target_id);
    if (body->stage_index == 0 || body->stage_index >= SEEN_STAGES || target->rollback ||
        target->version != body->pipeline_version ||
        !pen_str_equal(target->pipeline, fact->pipeline) ||
        target->stages[body->stage_index].status != PEN__STAGE_STATUS__STAGE_SUCCEEDED)
        sim_fail(sim, "LEGAL PATH: %s rolls back to %s, which has not succeeded in stage %u",
                 fact->execution_id, target->id, body->stage_index);
    if (body->trigger_type != PEN__TRIGGER_TYPE__TRIGGER_AUTOMATED_ROLLBACK)
        return;
    const struct seen_execution *failed = auditor_execution(sim, body->trigger_detail);
    if (failed->rollback || failed->status != PEN__EXECUTION_STATUS__EXECUTION_FAILED)
        sim_fail(sim, "LEGAL PATH: %s rolls back by itself for %s, which %s", fact->execution_id,
                 failed->id, failed->rollback ? "is a rollback" : "has not failed");
}

void on_execution_started(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__ExecutionStarted *body = fact->execution_started;
    const struct seen_pipeline *pipeline =
        pen_map_get(&sim->auditor->pipelines, pen_key_text(fact->pipeline));
    if (pipeline == NULL || pipeline->version != body->pipeline_version)
        sim_fail(sim, "LEGAL PATH: execution %s of %s runs by another version than the current one",
                 fact->execution_id, fact->pipeline);
    if (pen_map_get(&sim->auditor->executions, pen_key_text(fact->execution_id)) != NULL)
        sim_fail(sim, "NO LOSS: execution %s starts twice", fact->execution_id);
    if (body->rollback_target_id != NULL) {
        sim->counts[COUNT_ROLLBACKS]++;
        check_rollback(sim, fact);
    }
    struct seen_execution *execution = mem_zero(sizeof *execution);
    execution->id = mem_text(fact->execution_id);
    execution->pipeline = mem_text(fact->pipeline);
    execution->mode = mem_text(body->mode);
    execution->mood = mem_text(mood_of(body));
    if (body->n_overrides > 0)
        execution->revision = mem_text(body->overrides[0]->revision_value);
    execution->declaration = pipeline->declaration;
    execution->version = body->pipeline_version;
    execution->order = body->order;
    execution->started_seq = fact->seq;
    execution->rollback = body->rollback_target_id != NULL;
    if (execution->rollback)
        execution->target = auditor_execution(sim, body->rollback_target_id);
    execution->stage = execution->waits_at = -1;
    sim->counts[COUNT_EXECUTIONS]++;
    mem_put(&sim->auditor->executions, pen_key_text(execution->id), execution);
    auditor_bound_executions(sim, execution);
    auditor_check_origin(sim, fact);
    sim_trace(sim, "%s: execution %s starts%s", fact->pipeline, fact->execution_id,
              execution->rollback ? " to roll back" : "");
}

void on_execution_waiting(struct sim *sim, const Pen__Fact *fact)
{
    struct seen_execution *execution = auditor_execution(sim, fact->execution_id);
    uint32_t index = fact->execution_waiting->stage_index;
    if (execution->ended || execution->stage >= 0 || execution->waits_at >= 0 ||
        index >= execution->declaration->n_stages)
        sim_fail(sim, "LEGAL PATH: execution %s waits for stage %u from elsewhere", execution->id,
                 index);
    execution->waits_at = (int)index;
    execution->waits_from = fact->seq;
    struct seen_pipeline *pipeline =
        pen_map_get(&sim->auditor->pipelines, pen_key_text(execution->pipeline));
    if (pipeline != NULL && !execution->rollback &&
        execution->started_seq > pipeline->rested_seq[index])
        pipeline->rested_seq[index] = 0; /* a new change, or a person's start */
    sim_trace(sim, "%s: %s waits for %s", fact->pipeline, execution->id,
              execution->declaration->stages[index]->name);
}

void on_execution_stopping(struct sim *sim, const Pen__Fact *fact)
{
    struct seen_execution *execution = auditor_execution(sim, fact->execution_id);
    if (execution->ended)
        sim_fail(sim, "LEGAL PATH: execution %s is to stop after its end", execution->id);
    execution->stopping = true;
    sim_trace(sim, "%s: %s is to stop%s", fact->pipeline, execution->id,
              fact->execution_stopping->abandon ? " at once" : "");
}

/* Only between stages, for a newer one that waits at the same gate. */
static void check_superseded(struct sim *sim, const struct seen_execution *execution,
                             const char *by)
{
    const struct seen_execution *newer = auditor_execution(sim, by);
    if (execution->waits_at < 0 || execution->rollback || newer->rollback || newer->ended ||
        newer->waits_at != execution->waits_at || newer->order <= execution->order ||
        !pen_str_equal(execution->mode, "SUPERSEDED") ||
        !pen_str_equal(newer->mode, "SUPERSEDED") ||
        !pen_str_equal(newer->pipeline, execution->pipeline))
        sim_fail(sim,
                 "SUPERSEDED: execution %s (order %" PRIu64 ", at gate %d) by %s (order %" PRIu64
                 ", at gate %d)",
                 execution->id, execution->order, execution->waits_at, by, newer->order,
                 newer->waits_at);
}

void on_execution_ended(struct sim *sim, const Pen__Fact *fact)
{
    struct seen_execution *execution = auditor_execution(sim, fact->execution_id);
    Pen__ExecutionStatus status = fact->execution_ended->status;
    sim_trace(sim, "%s: execution %s ends: %s", fact->pipeline, execution->id,
              WORD(execution_status, status));
    if (execution->ended)
        sim_fail(sim, "LEGAL PATH: execution %s ends twice", execution->id);
    if (execution->stage >= 0)
        sim_fail(sim, "LOCK: execution %s ends inside stage %d: %s", execution->id,
                 execution->stage, WORD(execution_status, status));
    if (status == PEN__EXECUTION_STATUS__EXECUTION_SUPERSEDED)
        check_superseded(sim, execution, fact->execution_ended->superseded_by);
    if (status == PEN__EXECUTION_STATUS__EXECUTION_STOPPED && !execution->stopping)
        sim_fail(sim, "LEGAL PATH: execution %s is stopped, and nobody asked", execution->id);
    for (size_t i = 0; status == PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED &&
                       !execution->rollback && i < execution->declaration->n_stages;
         i++)
        if (execution->stages[i].status != PEN__STAGE_STATUS__STAGE_SUCCEEDED &&
            execution->stages[i].status != PEN__STAGE_STATUS__STAGE_SKIPPED)
            sim_fail(sim, "TRUTH: execution %s succeeds without stage %zu", execution->id, i);
    execution->status = status;
    execution->ended = true;
    execution->ended_ms = fact->at_ms;
    execution->waits_at = -1;
}
