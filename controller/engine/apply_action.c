#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "controller/engine/apply.h"

static int find(struct pen_engine *engine, const Pen__Fact *fact, const char *id,
                struct action **ret_action, struct pen_error *err)
{
    struct action *action = find_action(engine, id);
    if (action == NULL || action->row->status != PEN__ACTION_STATUS__ACTION_IN_PROGRESS)
        return pen_fail(err, PEN_ECORRUPT,
                        "fact %llu is about action execution '%s', which is not in progress",
                        (unsigned long long)fact->seq, id);
    *ret_action = action;
    return 0;
}

static void changed(struct pen_engine *engine, const Pen__Fact *fact, struct action *action)
{
    SET(action->row, updated_ms, fact->at_ms);
    entity_touch(engine, &action->entity);
    execution_work(engine, action->run->execution);
}

static void remember_latest(struct pen_engine *engine, const struct action *action)
{
    const struct execution *execution = action->run->execution;
    struct stage_state *stage = find_stage(execution->pipeline, action->row->stage);
    if (stage == NULL || execution_parallel(execution))
        return;
    Pen__LatestAction *latest = NULL;
    for (size_t i = 0; i < stage->row->n_latest_actions && latest == NULL; i++)
        if (pen_str_equal(stage->row->latest_actions[i]->action, action->row->action))
            latest = stage->row->latest_actions[i];
    if (latest == NULL) {
        latest = MAKE(Pen__LatestAction, pen__latest_action__init);
        latest->action = mem_text(action->row->action);
        APPEND(stage->row, latest_actions, latest);
    }
    mem_set_text(&latest->action_execution_id, action->row->id);
    entity_touch(engine, &stage->entity);
}

int apply_action_started(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__ActionExecutionRow *row = fact->action_started->action;
    if (row == NULL || row->id == NULL || find_action(engine, row->id) != NULL)
        return pen_fail(err, PEN_ECORRUPT, "fact %llu starts an action twice",
                        (unsigned long long)fact->seq);
    SET(engine->setting->row, last_order, row->order);
    bool of_rule = row->rule_execution_id != NULL;
    struct entity *entity = entity_add(
        engine, of_rule ? PEN__ROW_KIND__ROW_RULE_WORK : PEN__ROW_KIND__ROW_ACTION_EXECUTION,
        mem_copy(row));
    int rc = entity_link(engine, entity, err);
    if (rc < 0)
        return rc;
    struct action *action = (struct action *)entity;
    if (!of_rule)
        remember_latest(engine, action);
    changed(engine, fact, action);
    return 0;
}

int apply_action_progress(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__ActionProgress *body = fact->action_progress;
    struct action *action;
    int rc = find(engine, fact, body->action_execution_id, &action, err);
    if (rc < 0)
        return rc;
    if (body->summary != NULL)
        mem_set_text(&action->row->summary, body->summary);
    if (body->has_percent_complete)
        SET(action->row, percent_complete, body->percent_complete);
    if (body->external_execution_id != NULL)
        mem_set_text(&action->row->external_execution_id, body->external_execution_id);
    if (body->external_execution_url != NULL)
        mem_set_text(&action->row->external_execution_url, body->external_execution_url);
    SET(action->row, updated_ms, fact->at_ms);
    entity_touch(engine, &action->entity);
    return 0;
}

/* What the action has made belongs to the execution from now on; a retry replaces it. */
static void hand_over_artifacts(struct execution *execution, const Pen__ActionEnded *body)
{
    for (size_t i = 0; i < body->n_outputs; i++) {
        const Pen__ProducedArtifact *made = body->outputs[i];
        bool replaced = false;
        for (size_t j = 0; j < execution->row->n_artifacts && !replaced; j++) {
            if (!pen_str_equal(execution->row->artifacts[j]->artifact->name, made->artifact->name))
                continue;
            mem_free_message(execution->row->artifacts[j]);
            execution->row->artifacts[j] = mem_copy(made);
            replaced = true;
        }
        if (!replaced)
            APPEND(execution->row, artifacts, mem_copy(made));
    }
}

static void hand_over_revision(struct execution *execution, struct action *action,
                               const Pen__SourceRevision *revision)
{
    if (revision == NULL)
        return;
    if (action->row->external_execution_id == NULL || action->row->job_id == NULL) {
        mem_set_text(&action->row->external_execution_id, revision->revision_id);
        mem_set_text(&action->row->external_execution_url, revision->revision_url);
    }
    for (size_t i = 0; i < execution->row->n_revisions; i++) {
        if (!pen_str_equal(execution->row->revisions[i]->action, revision->action))
            continue;
        mem_free_message(execution->row->revisions[i]);
        execution->row->revisions[i] = mem_copy(revision);
        return;
    }
    APPEND(execution->row, revisions, mem_copy(revision));
}

int apply_action_ended(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__ActionEnded *body = fact->action_ended;
    struct action *action;
    int rc = find(engine, fact, body->action_execution_id, &action, err);
    if (rc < 0)
        return rc;
    if (action->job != NULL)
        return pen_fail(err, PEN_ECORRUPT, "fact %llu ends an action whose job has not ended",
                        (unsigned long long)fact->seq);
    struct execution *execution = action->run->execution;
    if (body->status == PEN__ACTION_STATUS__ACTION_SUCCEEDED)
        history_action_succeeded(engine, action, fact->at_ms);
    action_enter_phase(engine, action, PEN__ACTION_PHASE__ACTION_ENDED);
    SET(action->row, phase_since_ms, fact->at_ms);
    SET(action->row, status, body->status);
    if (body->status == PEN__ACTION_STATUS__ACTION_SUCCEEDED && action->row->has_fence &&
        action->row->has_percent_complete)
        SET(action->row, percent_complete, 100); /* the last step told where it began */
    mem_set_text(&action->row->summary, body->summary);
    mem_set_text(&action->row->error_code, body->error_code);
    mem_set_text(&action->row->error_message, body->error_message);
    if (body->updated_by != NULL)
        mem_set_text(&action->row->updated_by, body->updated_by);
    for (size_t i = 0; i < body->n_outputs; i++)
        APPEND(action->row, outputs, mem_copy(body->outputs[i]));
    for (size_t i = 0; i < body->n_output_variables; i++)
        APPEND(action->row, output_variables, mem_copy(body->output_variables[i]));
    if (action->attempt != NULL) { /* what it still does is its own matter from now on */
        struct attempt *attempt = action->attempt;
        attempt->action = NULL;
        action->attempt = NULL;
        abandoned_update(engine, attempt);
    }
    if (action->rule == NULL) {
        CHECK(execution->in_progress > 0);
        execution->in_progress--;
    }
    if (body->n_outputs > 0 || body->revision != NULL) {
        hand_over_artifacts(execution, body);
        hand_over_revision(execution, action, body->revision);
        SET(execution->row, updated_ms, fact->at_ms);
        entity_touch(engine, &execution->entity);
    }
    changed(engine, fact, action);
    return 0;
}

int apply_action_requeued(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__ActionRequeued *body = fact->action_requeued;
    struct action *action;
    int rc = find(engine, fact, body->action_execution_id, &action, err);
    if (rc < 0)
        return rc;
    if (body->phase != PEN__ACTION_PHASE__ACTION_QUEUED &&
        body->phase != PEN__ACTION_PHASE__ACTION_INDETERMINATE)
        return pen_fail(err, PEN_ECORRUPT, "fact %llu requeues an action into phase %d",
                        (unsigned long long)fact->seq, (int)body->phase);
    action_enter_phase(engine, action, body->phase);
    SET(action->row, phase_since_ms, fact->at_ms);
    mem_set_text(&action->row->summary, body->reason);
    bool unproven = body->phase == PEN__ACTION_PHASE__ACTION_INDETERMINATE;
    mem_set_text(&action->row->error_code, unproven ? "Indeterminate" : NULL);
    mem_set_text(&action->row->error_message, unproven ? body->reason : NULL);
    changed(engine, fact, action);
    return 0;
}
