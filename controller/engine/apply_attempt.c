#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "controller/engine/apply.h"

static int find(struct pen_engine *engine, const Pen__Fact *fact, uint64_t fence,
                struct attempt **ret_attempt, struct pen_error *err)
{
    struct attempt *attempt = find_attempt(engine, fence);
    if (attempt == NULL)
        return pen_fail(err, PEN_ECORRUPT, "fact %llu is about attempt %llu, which is not there",
                        (unsigned long long)fact->seq, (unsigned long long)fence);
    *ret_attempt = attempt;
    return 0;
}

/* The action follows its attempt: a move that proves something ends INDETERMINATE. */
static void action_follows(struct pen_engine *engine, const Pen__Fact *fact,
                           struct attempt *attempt)
{
    struct action *action = attempt->action;
    if (action == NULL)
        return;
    bool resolved = attempt->row->state == PEN__ATTEMPT_STATE__ATTEMPT_RUNNING ||
                    attempt->row->state == PEN__ATTEMPT_STATE__ATTEMPT_DRAINING;
    if (resolved && action->row->phase == PEN__ACTION_PHASE__ACTION_INDETERMINATE) {
        action_enter_phase(engine, action, PEN__ACTION_PHASE__ACTION_ATTEMPT);
        SET(action->row, phase_since_ms, fact->at_ms);
        mem_set_text(&action->row->summary, NULL);
        mem_set_text(&action->row->error_code, NULL);
        mem_set_text(&action->row->error_message, NULL);
        SET(action->row, updated_ms, fact->at_ms);
        entity_touch(engine, &action->entity);
    }
}

static int move(struct pen_engine *engine, const Pen__Fact *fact, struct attempt *attempt,
                Pen__AttemptState to, struct pen_error *err)
{
    Pen__AttemptState from = attempt->row->state;
    if (!attempt_may_move(from, to))
        return pen_fail(err, PEN_ECORRUPT, "fact %llu moves attempt %llu from state %d to %d",
                        (unsigned long long)fact->seq, (unsigned long long)attempt->row->fence,
                        (int)from, (int)to);
    SET(attempt->row, state, to);
    if (to == PEN__ATTEMPT_STATE__ATTEMPT_CANCELING)
        SET(attempt->row, canceling_ms, fact->at_ms);
    entity_touch(engine, &attempt->entity);
    if (attempt_takes_slot(from) != attempt_takes_slot(to)) {
        attempt->agent->busy += attempt_takes_slot(to) ? 1 : UINT32_MAX; /* plus or minus one */
        agent_reindex(engine, attempt->agent);
    }
    action_follows(engine, fact, attempt);
    if (!attempt_state_ended(to)) {
        abandoned_update(engine, attempt);
        return 0;
    }
    SET(attempt->row, ended_ms, fact->at_ms);
    if (attempt->action != NULL)
        attempt->action->attempt = NULL;
    timer_disarm(engine, &attempt->timer);
    pen_map_remove(&engine->attempts, pen_key_number(attempt->row->fence));
    pen_map_remove(&attempt->agent->attempts, pen_key_number(attempt->row->fence));
    abandoned_update(engine, attempt);
    entity_retire(engine, &attempt->entity, false);
    return 0;
}

int apply_attempt_granted(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__AttemptGranted *body = fact->attempt_granted;
    struct action *action = find_action(engine, body->action_execution_id);
    struct agent *agent = find_agent(engine, body->agent_id);
    if (action == NULL || agent == NULL || action->attempt != NULL ||
        action->row->phase != PEN__ACTION_PHASE__ACTION_QUEUED ||
        body->fence <= engine->setting->row->last_fence)
        return pen_fail(err, PEN_ECORRUPT, "fact %llu grants an attempt that cannot be",
                        (unsigned long long)fact->seq);
    SET(engine->setting->row, last_fence, body->fence);
    Pen__AttemptRow *row = MAKE(Pen__AttemptRow, pen__attempt_row__init);
    SET(row, fence, body->fence);
    row->action_execution_id = mem_text(action->row->id);
    row->execution_id = mem_text(action->row->execution_id);
    row->pipeline = mem_text(action->row->pipeline);
    row->agent_id = mem_text(body->agent_id);
    SET(row, session_no, body->session_no);
    row->spool_id = mem_text(body->spool_id);
    row->boot_id = mem_text(body->boot_id);
    row->stage = mem_text(action->row->stage);
    row->action = mem_text(action->row->action);
    if (action->rule != NULL)
        SET(row, of_rule, 1);
    if (body->has_timeout_ms)
        SET(row, timeout_ms, body->timeout_ms);
    SET(row, state, PEN__ATTEMPT_STATE__ATTEMPT_GRANTED);
    SET(row, granted_ms, fact->at_ms);
    SET(row, action_class, body->action_class);
    SET(row, last_seq, 0);
    struct entity *entity = entity_add(engine, PEN__ROW_KIND__ROW_ATTEMPT, row);
    entity_touch(engine, entity);

    action_enter_phase(engine, action, PEN__ACTION_PHASE__ACTION_ATTEMPT);
    SET(action->row, phase_since_ms, fact->at_ms);
    SET(action->row, fence, body->fence);
    SET(action->row, attempts, action->row->attempts + 1);
    mem_set_text(&action->row->summary, NULL);
    SET(action->row, updated_ms, fact->at_ms);
    entity_touch(engine, &action->entity);
    attempt_link(engine, (struct attempt *)entity, agent, action);
    return 0;
}

int apply_attempt_started(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__AttemptStarted *body = fact->attempt_started;
    struct attempt *attempt;
    int rc = find(engine, fact, body->fence, &attempt, err);
    if (rc < 0)
        return rc;
    SET(attempt->row, last_seq, body->seq);
    SET(attempt->row, started_ms, fact->at_ms);
    attempt->leapt_ms = 0; /* its time counts from here */
    if (body->started != NULL)
        mem_set_text(&attempt->row->isolation, body->started->isolation);
    entity_touch(engine, &attempt->entity);
    if (attempt->row->state == PEN__ATTEMPT_STATE__ATTEMPT_CANCELING ||
        attempt->row->state == PEN__ATTEMPT_STATE__ATTEMPT_RUNNING)
        return 0; /* it began, and is to end all the same */
    return move(engine, fact, attempt, PEN__ATTEMPT_STATE__ATTEMPT_RUNNING, err);
}

int apply_attempt_step(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__AttemptStep *body = fact->attempt_step;
    struct attempt *attempt;
    int rc = find(engine, fact, body->fence, &attempt, err);
    if (rc < 0)
        return rc;
    SET(attempt->row, last_seq, body->seq);
    entity_touch(engine, &attempt->entity);
    struct action *action = attempt->action;
    if (action == NULL || body->step == NULL)
        return 0;
    if (body->step->has_percent_complete)
        SET(action->row, percent_complete, body->step->percent_complete);
    if (body->step->summary != NULL)
        mem_set_text(&action->row->summary, body->step->summary);
    SET(action->row, updated_ms, fact->at_ms);
    entity_touch(engine, &action->entity);
    return 0;
}

int apply_attempt_finished(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__AttemptFinished *body = fact->attempt_finished;
    struct attempt *attempt;
    int rc = find(engine, fact, body->fence, &attempt, err);
    if (rc < 0)
        return rc;
    if (attempt->row->finished != NULL || body->finished == NULL)
        return pen_fail(err, PEN_ECORRUPT, "attempt %llu finishes twice",
                        (unsigned long long)body->fence);
    SET(attempt->row, last_seq, body->seq);
    attempt->row->finished = mem_copy(body->finished);
    return move(engine, fact, attempt, PEN__ATTEMPT_STATE__ATTEMPT_DRAINING, err);
}

int apply_attempt_stored(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__AttemptStored *body = fact->attempt_stored;
    struct attempt *attempt;
    int rc = find(engine, fact, body->fence, &attempt, err);
    if (rc < 0)
        return rc;
    if (body->has_log_size)
        SET(attempt->row, log_stored, body->log_size);
    if (body->artifact != NULL && body->reference != NULL) {
        size_t at = 0;
        while (at < attempt->row->n_stored &&
               !pen_str_equal(attempt->row->stored[at]->name, body->artifact))
            at++;
        if (at < attempt->row->n_stored) {
            mem_free_message(attempt->row->stored[at]);
            attempt->row->stored[at] = mem_copy(body->reference);
        } else {
            APPEND(attempt->row, stored, mem_copy(body->reference));
            APPEND(attempt->row, artifacts_stored, mem_text(body->artifact));
        }
    }
    entity_touch(engine, &attempt->entity);
    return 0;
}

int apply_attempt_moved(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__AttemptMoved *body = fact->attempt_moved;
    struct attempt *attempt;
    int rc = find(engine, fact, body->fence, &attempt, err);
    if (rc < 0)
        return rc;
    Pen__AttemptState from = attempt->row->state;
    if (body->reason != NULL)
        mem_set_text(&attempt->row->cancel_reason, body->reason);
    if (body->kill)
        SET(attempt->row, kill, 1);
    if (body->overdue)
        SET(attempt->row, overdue, 1);
    if (from == PEN__ATTEMPT_STATE__ATTEMPT_INDETERMINATE && attempt_state_ended(body->state))
        mem_set_text(&attempt->row->resolved_by, fact->by);
    return move(engine, fact, attempt, body->state, err);
}
