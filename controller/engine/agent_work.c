/* controller/engine/agent_work.c - attempts as agents tell of them, and what agents are told */
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/apply.h"
#include "controller/engine/decide.h"
#include "controller/engine/planted.h"

/* ---- to the agent */

static void send_to(struct pen_engine *engine, const char *agent_id, uint64_t link,
                    uint64_t session_no, Pen__ToAgent__BodyCase what, void *body)
{
    Pen__ToAgent *message = MAKE(Pen__ToAgent, pen__to_agent__init);
    if (session_no > 0)
        SET(message, session_no, session_no);
    message->body_case = what;
    message->enrolled = body; /* a union of pointers */
    Pen__AgentSend *send = MAKE(Pen__AgentSend, pen__agent_send__init);
    send->agent_id = mem_text(agent_id);
    SET(send, link, link);
    send->message = message;
    effect(engine, PEN__EFFECT__WHAT_AGENT_SEND, send);
}

void agent_send(struct pen_engine *engine, struct agent *self, Pen__ToAgent__BodyCase what,
                void *body)
{
    if (self->connected)
        send_to(engine, self->row->id, self->link, self->row->session_no, what, body);
    else
        mem_free_message(body); /* the next hello makes it again */
}

void agent_send_enrolled(struct pen_engine *engine, const char *token_id, uint64_t link,
                         const char *agent_id)
{
    Pen__Enrolled *body = MAKE(Pen__Enrolled, pen__enrolled__init);
    body->agent_id = mem_text(agent_id);
    send_to(engine, token_id, link, 0, PEN__TO_AGENT__BODY_ENROLLED, body);
}

void agent_send_refused(struct pen_engine *engine, const char *agent_id, uint64_t link,
                        uint64_t session_no, Pen__RefusedCode code, uint64_t fence,
                        const char *message)
{
    Pen__Refused *body = MAKE(Pen__Refused, pen__refused__init);
    SET(body, code, code);
    body->message = mem_text(message);
    if (fence > 0)
        SET(body, fence, fence);
    send_to(engine, agent_id, link, session_no, PEN__TO_AGENT__BODY_REFUSED, body);
}

void agent_send_start(struct pen_engine *engine, struct attempt *attempt, uint64_t offered_fence)
{
    Pen__Start *body = MAKE(Pen__Start, pen__start__init);
    SET(body, fence, attempt->row->fence);
    body->capsule = capsule_make(engine, attempt);
    SET(body, start_ttl_ms, (uint32_t)engine->options.start_ttl_ms);
    if (offered_fence > 0)
        SET(body, offer, offered_fence);
    agent_send(engine, attempt->agent, PEN__TO_AGENT__BODY_START, body);
}

void agent_send_kill(struct pen_engine *engine, struct attempt *attempt, const char *why)
{
    Pen__Cancel *body = MAKE(Pen__Cancel, pen__cancel__init);
    SET(body, fence, attempt->row->fence);
    body->reason = mem_text(why);
    SET(body, grace_ms, PEN_LIMIT_CANCEL_GRACE_MS);
    agent_send(engine, attempt->agent, PEN__TO_AGENT__BODY_CANCEL, body);
}

void agent_send_cancel(struct pen_engine *engine, struct attempt *attempt)
{
    agent_send_kill(engine, attempt, attempt->row->cancel_reason);
}

void agent_send_revoke(struct pen_engine *engine, struct attempt *attempt)
{
    Pen__Revoke *body = MAKE(Pen__Revoke, pen__revoke__init);
    SET(body, fence, attempt->row->fence);
    agent_send(engine, attempt->agent, PEN__TO_AGENT__BODY_REVOKE, body);
}

void agent_send_drain(struct pen_engine *engine, struct agent *self)
{
    Pen__Drain *body = MAKE(Pen__Drain, pen__drain__init);
    SET(body, on, self->row->draining);
    agent_send(engine, self, PEN__TO_AGENT__BODY_DRAIN, body);
}

void agent_send_release(struct pen_engine *engine, struct agent *self, uint64_t fence)
{
    if (!self->connected)
        return;
    Pen__Release *body = MAKE(Pen__Release, pen__release__init);
    body->n_fences = 1;
    body->fences = mem_zero(sizeof(uint64_t));
    body->fences[0] = fence;
    SET(body, gc_below, agent_gc_below(engine, self));
    agent_send(engine, self, PEN__TO_AGENT__BODY_RELEASE, body);
}

uint64_t agent_gc_below(const struct pen_engine *engine, const struct agent *self)
{
    const struct pen_map_node *oldest = pen_map_first(&self->attempts);
    return oldest != NULL ? pen_map_key(oldest).number : engine->setting->row->last_fence + 1;
}

/* ---- events */

static void emit_event(struct pen_engine *engine, const struct attempt *attempt,
                       Pen__Fact__WhatCase what, void *body)
{
    emit(engine, attempt->row->pipeline, attempt->row->execution_id, what, body);
}

static void acknowledge(struct pen_engine *engine, struct agent *self, uint64_t fence, uint64_t seq)
{
    Pen__EventAck *body = MAKE(Pen__EventAck, pen__event_ack__init);
    SET(body, fence, fence);
    SET(body, seq, seq);
    agent_send(engine, self, PEN__TO_AGENT__BODY_EVENT_ACK, body);
}

static void send_resend(struct pen_engine *engine, struct agent *self,
                        const struct attempt *attempt)
{
    Pen__Resend *body = MAKE(Pen__Resend, pen__resend__init);
    SET(body, fence, attempt->row->fence);
    SET(body, from_seq, attempt->row->last_seq + 1);
    agent_send(engine, self, PEN__TO_AGENT__BODY_RESEND, body);
}

/* Reject what would be too big to keep; the message was within the frame's limits otherwise. */
static bool variables_fit(const Pen__Finished *finished)
{
    size_t bytes = 0;
    for (size_t i = 0; i < finished->n_output_variables; i++) {
        const Pen__Finished__OutputVariablesEntry *entry = finished->output_variables[i];
        bytes += (entry->key != NULL ? strlen(entry->key) : 0) +
                 (entry->value != NULL ? strlen(entry->value) : 0);
    }
    return bytes <= PEN_LIMIT_OUTPUT_VARIABLES_BYTES;
}

static void finished(struct pen_engine *engine, struct agent *self, struct attempt *attempt,
                     const Pen__Event *event, bool ready)
{
    uint64_t fence = event->fence;
    engine->ready = ready && engine->now_ms >= engine->unsure_until_ms ? self : NULL;
    Pen__AttemptFinished *body = MAKE(Pen__AttemptFinished, pen__attempt_finished__init);
    SET(body, fence, fence);
    SET(body, seq, event->seq);
    body->finished = mem_copy(event->finished);
    if (!variables_fit(event->finished)) {
        SET(body->finished, kind, PEN__FINISH_KIND__FAILED_OUTPUT);
        mem_set_text(&body->finished->reason, "the output variables are larger than 122880 bytes");
    }
    emit_event(engine, attempt, PEN__FACT__WHAT_ATTEMPT_FINISHED, body);
    attempt_arm(engine, attempt);
    attempt_settle(engine, attempt, false);
    if (attempt->entity.dead)
        return; /* Release says more than an acknowledgement */
    acknowledge(engine, self, fence, event->seq);
    plan_attempt(engine, attempt); /* asks data to tell when the log is complete */
}

static void apply_event(struct pen_engine *engine, struct agent *self, struct attempt *attempt,
                        const Pen__Event *event, bool ready)
{
    switch ((int)event->what_case) {
    case PEN__EVENT__WHAT_STARTED: {
        Pen__AttemptStarted *body = MAKE(Pen__AttemptStarted, pen__attempt_started__init);
        SET(body, fence, event->fence);
        SET(body, seq, event->seq);
        body->started = mem_copy(event->started);
        emit_event(engine, attempt, PEN__FACT__WHAT_ATTEMPT_STARTED, body);
        attempt_arm(engine, attempt);
        acknowledge(engine, self, event->fence, event->seq);
        break;
    }
    case PEN__EVENT__WHAT_STEP: {
        Pen__AttemptStep *body = MAKE(Pen__AttemptStep, pen__attempt_step__init);
        SET(body, fence, event->fence);
        SET(body, seq, event->seq);
        body->step = mem_copy(event->step);
        emit_event(engine, attempt, PEN__FACT__WHAT_ATTEMPT_STEP, body);
        acknowledge(engine, self, event->fence, event->seq);
        break;
    }
    case PEN__EVENT__WHAT_FINISHED:
        finished(engine, self, attempt, event, ready);
        break;
    default:
        agent_send_refused(engine, self->row->id, self->link, self->row->session_no,
                           PEN__REFUSED_CODE__UNSUPPORTED, event->fence,
                           "an event of unknown kind");
        break;
    }
}

/* A result is sent while it is being synced. A host that loses power in between has forgotten it,
 * and reports after the boot that the attempt was interrupted: what it said first stands. */
static bool is_interruption(const Pen__Event *event)
{
    return event->what_case == PEN__EVENT__WHAT_FINISHED &&
           event->finished->kind == PEN__FINISH_KIND__INTERRUPTED;
}

/* A planted bug: what it takes for the attempt of a stale fence. */
static struct attempt *successor(const struct agent *self, const Pen__Event *event)
{
    struct attempt *attempt = pen_map_first_value(&self->attempts);
    if (attempt != NULL)
        ((Pen__Event *)(uintptr_t)event)->fence = attempt->row->fence;
    return attempt;
}

void agent_event(struct pen_engine *engine, struct agent *self, const Pen__Event *event, bool ready)
{
    struct attempt *attempt = find_attempt(engine, event->fence);
    if (PLANTED(FENCE_NOT_COMPARED) && attempt == NULL)
        attempt = successor(self, event);
    if (attempt == NULL || (attempt->agent != self && !PLANTED(WORD_OF_ANOTHER))) {
        agent_send_refused(engine, self->row->id, self->link, self->row->session_no,
                           PEN__REFUSED_CODE__FENCED, event->fence,
                           "this attempt is not yours, or is no longer current");
        if (attempt == NULL && event->what_case == PEN__EVENT__WHAT_FINISHED &&
            event->fence <= engine->setting->row->last_fence)
            agent_send_release(engine, self, event->fence); /* over and settled: forget it */
        return;
    }
    if (event->seq <= attempt->row->last_seq) {
        acknowledge(engine, self, event->fence, attempt->row->last_seq);
        return;
    }
    if (event->seq != attempt->row->last_seq + 1 && !PLANTED(EVENT_GAP)) {
        send_resend(engine, self, attempt);
        return;
    }
    if (attempt->row->finished != NULL && is_interruption(event)) {
        acknowledge(engine, self, event->fence, event->seq);
        return;
    }
    if (attempt->row->finished != NULL) {
        agent_quarantine(engine, self, "It reports events of an attempt that it said had ended");
        return;
    }
    apply_event(engine, self, attempt, event, ready);
}

static void reconcile_present(struct pen_engine *engine, struct agent *self,
                              struct attempt *attempt, const Pen__InventoryItem *item, bool opening)
{
    Pen__AttemptState state = attempt->row->state;
    attempt->phase = item->phase;
    if (item->phase == PEN__ATTEMPT_PHASE__PHASE_TOMB) {
        if (attempt->row->last_seq == 0 &&
            attempt_may_move(state, PEN__ATTEMPT_STATE__ATTEMPT_CANCELED) &&
            state != PEN__ATTEMPT_STATE__ATTEMPT_DRAINING)
            attempt_never_began(engine, attempt, "The agent has proven that it never began");
        return;
    }
    if (opening && attempt->action == NULL && item->last_seq == 0 &&
        state == PEN__ATTEMPT_STATE__ATTEMPT_INDETERMINATE) {
        agent_send_revoke(engine, attempt); /* given up: stops it only if it has not begun */
        return;
    }
    bool under_way = state == PEN__ATTEMPT_STATE__ATTEMPT_REVOKING ||
                     state == PEN__ATTEMPT_STATE__ATTEMPT_INDETERMINATE;
    if (under_way)
        attempt_move(engine, attempt, PEN__ATTEMPT_STATE__ATTEMPT_RUNNING, NULL);
    if (under_way && attempt->row->kill && attempt->action == NULL)
        (void)abandoned_kill(engine, attempt, "A person has had it ended");
    else if (state == PEN__ATTEMPT_STATE__ATTEMPT_CANCELING)
        agent_send_cancel(engine, attempt);
    if (!opening && item->last_seq > attempt->row->last_seq)
        send_resend(engine, self, attempt);
}

void agent_revoked(struct pen_engine *engine, struct agent *self, const Pen__Revoked *revoked)
{
    struct attempt *attempt = find_attempt(engine, revoked->fence);
    if (attempt == NULL || (attempt->agent != self && !PLANTED(WORD_OF_ANOTHER))) {
        agent_send_release(engine, self, revoked->fence);
        return;
    }
    Pen__AttemptState state = attempt->row->state;
    if (revoked->never_began) {
        if (attempt_may_move(state, PEN__ATTEMPT_STATE__ATTEMPT_CANCELED) &&
            state != PEN__ATTEMPT_STATE__ATTEMPT_DRAINING)
            attempt_never_began(engine, attempt, "The agent has proven that it never began");
        return;
    }
    if (revoked->item != NULL)
        reconcile_present(engine, self, attempt, revoked->item, false);
}

/* ---- data arrives */

int handle_log_stored(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                      struct pen_error *err)
{
    (void)reply;
    (void)err;
    const Pen__LogStored *stored = input->log_stored;
    struct attempt *attempt = find_attempt(engine, stored->fence);
    if (attempt == NULL || attempt->row->finished == NULL ||
        stored->size < attempt->row->finished->log_size ||
        attempt->row->log_stored >= attempt->row->finished->log_size)
        return 0;
    Pen__AttemptStored *body = MAKE(Pen__AttemptStored, pen__attempt_stored__init);
    SET(body, fence, stored->fence);
    SET(body, log_size, stored->size);
    emit_event(engine, attempt, PEN__FACT__WHAT_ATTEMPT_STORED, body);
    attempt_settle(engine, attempt, false);
    return 0;
}

static void accepted(struct pen_engine *engine, const struct attempt *attempt, const char *name)
{
    Pen__ArtifactAccepted *body = MAKE(Pen__ArtifactAccepted, pen__artifact_accepted__init);
    SET(body, fence, attempt->row->fence);
    body->agent_id = mem_text(attempt->row->agent_id);
    body->name = mem_text(name);
    effect(engine, PEN__EFFECT__WHAT_ARTIFACT_ACCEPTED, body);
}

static bool stored_before(const struct attempt *attempt, const Pen__ArtifactRef *artifact)
{
    for (size_t i = 0; i < attempt->row->n_stored; i++) {
        const Pen__ArtifactRef *stored = attempt->row->stored[i];
        if (pen_str_equal(stored->name, artifact->name) &&
            mem_bytes_equal(stored->manifest_sha256, artifact->manifest_sha256))
            return true;
    }
    return false;
}

static bool output_declared(const struct attempt *attempt, const char *name)
{
    const struct action *action = attempt->action;
    for (size_t i = 0; action != NULL && i < action->declaration->n_output_artifacts; i++)
        if (pen_str_equal(action->declaration->output_artifacts[i]->name, name))
            return true;
    return false;
}

int handle_artifact_arrived(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                            struct pen_error *err)
{
    (void)reply;
    (void)err;
    const Pen__ArtifactArrived *arrived = input->artifact_arrived;
    struct attempt *attempt = find_attempt(engine, arrived->fence);
    if (attempt == NULL || arrived->artifact == NULL ||
        !output_declared(attempt, arrived->artifact->name))
        return 0; /* nobody wants it any more; its chunks go with the next collection */
    if (!stored_before(attempt, arrived->artifact)) {
        Pen__AttemptStored *body = MAKE(Pen__AttemptStored, pen__attempt_stored__init);
        SET(body, fence, arrived->fence);
        body->artifact = mem_text(arrived->artifact->name);
        body->reference = mem_copy(arrived->artifact);
        emit_event(engine, attempt, PEN__FACT__WHAT_ATTEMPT_STORED, body);
    }
    accepted(engine, attempt, arrived->artifact->name);
    if (attempt->row->state == PEN__ATTEMPT_STATE__ATTEMPT_DRAINING)
        attempt_settle(engine, attempt, false);
    return 0;
}

/* ---- the agent's inventory against the rows */

static const Pen__InventoryItem *find_item(size_t count, Pen__InventoryItem **inventory,
                                           uint64_t fence)
{
    for (size_t i = 0; i < count; i++)
        if (inventory[i]->fence == fence)
            return inventory[i];
    return NULL;
}

/* The agent does not know an attempt that was granted to it. */
static void reconcile_absent(struct pen_engine *engine, struct agent *self, struct attempt *attempt,
                             bool opening)
{
    int64_t age_ms = engine->now_ms - attempt->row->granted_ms;
    switch ((int)attempt->row->state) {
    case PEN__ATTEMPT_STATE__ATTEMPT_GRANTED:
        if (!opening && age_ms < engine->options.heartbeat_ms)
            break; /* the start may still be on its way */
        if (attempt->action != NULL && age_ms < engine->options.start_ttl_ms) {
            agent_send_start(engine, attempt, 0);
            break;
        }
        attempt_move(engine, attempt, PEN__ATTEMPT_STATE__ATTEMPT_REVOKING,
                     "The start was too long under way");
        agent_send_revoke(engine, attempt);
        break;
    case PEN__ATTEMPT_STATE__ATTEMPT_REVOKING:
        agent_send_revoke(engine, attempt);
        break;
    case PEN__ATTEMPT_STATE__ATTEMPT_INDETERMINATE:
        if (pen_str_equal(attempt->row->spool_id, self->row->spool_id))
            agent_send_revoke(engine, attempt); /* the same spool can prove that it never began */
        break;
    case PEN__ATTEMPT_STATE__ATTEMPT_CANCELING:
        if (attempt->row->last_seq == 0) {
            agent_send_cancel(engine, attempt);
            break;
        }
        /* fall through */
    default:
        if (opening) /* a heartbeat may have been sent before the attempt was made */
            attempt_lose(engine, attempt, "The agent does not know the attempt any more");
        break;
    }
}

/* The agent has something that the rows do not have. */
static void reconcile_unknown(struct pen_engine *engine, struct agent *self,
                              const Pen__InventoryItem *item)
{
    if (item->fence > engine->setting->row->last_fence) {
        agent_send_refused(engine, self->row->id, self->link, self->row->session_no,
                           PEN__REFUSED_CODE__FENCED, item->fence,
                           "this fence was never granted here");
        return; /* perhaps of a database that was restored: nothing for us to kill */
    }
    bool over = item->phase == PEN__ATTEMPT_PHASE__PHASE_FINISHED ||
                item->phase == PEN__ATTEMPT_PHASE__PHASE_TOMB;
    if (over) {
        agent_send_release(engine, self, item->fence);
        return;
    }
    Pen__Cancel *body = MAKE(Pen__Cancel, pen__cancel__init);
    SET(body, fence, item->fence);
    body->reason = mem_text("The attempt was given up");
    SET(body, grace_ms, PEN_LIMIT_CANCEL_GRACE_MS);
    agent_send(engine, self, PEN__TO_AGENT__BODY_CANCEL, body);
}

/* Another process of this agent has come, and does not know what was granted to the former one,
 * which never reported it. To send the start again would hand it to a process that has not accepted
 * it; if that is a copy of the machine, the former one may live, and both would do the work under
 * one fence. A once action begins only when its STARTED is committed in a session of the process
 * that accepted it (agent/session/session.h): this one never begins. A repeatable one may have. */
void agent_drop_unbegun(struct pen_engine *engine, struct agent *self, size_t count,
                        Pen__InventoryItem **inventory)
{
    for (struct pen_map_node *node = pen_map_first(&self->attempts); node != NULL;) {
        struct attempt *attempt = pen_map_value(node);
        node = pen_map_next(node);
        if (attempt->row->state != PEN__ATTEMPT_STATE__ATTEMPT_GRANTED ||
            attempt->row->last_seq != 0 || find_item(count, inventory, attempt->row->fence) != NULL)
            continue;
        static const char why[] = "The agent was started anew before it reported the attempt";
        if (attempt->row->action_class == PEN__ACTION_CLASS__ONCE)
            attempt_never_began(engine, attempt, why);
        else
            attempt_lose(engine, attempt, why);
    }
}

void agent_reconcile(struct pen_engine *engine, struct agent *self, bool opening, size_t count,
                     Pen__InventoryItem **inventory)
{
    for (struct pen_map_node *node = pen_map_first(&self->attempts); node != NULL;) {
        struct attempt *attempt = pen_map_value(node);
        node = pen_map_next(node);
        const Pen__InventoryItem *item = find_item(count, inventory, attempt->row->fence);
        if (item != NULL)
            reconcile_present(engine, self, attempt, item, opening);
        else
            reconcile_absent(engine, self, attempt, opening);
    }
    for (size_t i = 0; i < count; i++) {
        const struct attempt *attempt = find_attempt(engine, inventory[i]->fence);
        if (attempt == NULL || attempt->agent != self)
            reconcile_unknown(engine, self, inventory[i]);
    }
}
