/* controller/engine/agent_session.c - what agents say: hello, heartbeat, accept, events
 *
 *   no session --HELLO--> connected --silence--> suspect --more silence--> its attempts are lost
 *                            ^                      |
 *                            '------ any message ---'
 *
 * A session is memory only: after a restart of the controller every agent has to say HELLO again,
 * and its inventory is compared with the attempts that the rows name.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"

enum { PROTOCOL = 1 };

/* ---- timers and liveness */

void agent_arm_timer(struct pen_engine *engine, struct agent *self)
{
    int64_t at = INT64_MAX;
    if (self->connected && !self->suspect)
        at = self->seen_ms + engine->options.suspect_ms;
    else if (self->attempts.count > 0)
        at = self->seen_ms + engine->options.lost_ms;
    if (self->cool_until_ms > engine->now_ms && self->cool_until_ms < at)
        at = self->cool_until_ms;
    if (at == INT64_MAX)
        timer_disarm(engine, &self->timer);
    else
        timer_arm(engine, &self->timer, at > engine->now_ms ? at : engine->now_ms + 1);
}

void agent_pause(struct pen_engine *engine, struct agent *self, int64_t pause_ms)
{
    self->cool_until_ms = engine->now_ms + pause_ms;
    agent_reindex(engine, self);
    agent_arm_timer(engine, self);
}

void agent_drop_offers(struct pen_engine *engine, struct agent *self)
{
    for (struct pen_map_node *node = pen_map_first(&engine->offers);
         node != NULL && self->offers > 0;) {
        struct action *action = pen_map_value(node);
        node = pen_map_next(node);
        if (action->offered_to == self)
            offer_drop(engine, action);
    }
    CHECK(self->offers == 0);
}

void agent_disconnect(struct pen_engine *engine, struct agent *self)
{
    self->connected = false; /* its link stays: a Hello from an older one is of the past */
    agent_drop_offers(engine, self);
    agent_reindex(engine, self);
    agent_arm_timer(engine, self);
    agents_changed(engine);
}

void agent_lose_attempts(struct pen_engine *engine, struct agent *self, const char *why)
{
    for (struct pen_map_node *node = pen_map_first(&self->attempts); node != NULL;) {
        struct attempt *attempt = pen_map_value(node);
        node = pen_map_next(node);
        attempt_lose(engine, attempt, why);
    }
}

/* Attempts that wait for data have a time limit of their own. */
static void lose_silent(struct pen_engine *engine, struct agent *self)
{
    char *why = mem_format("Agent '%s' was not heard for %lld s", self->row->name,
                           (long long)((engine->now_ms - self->seen_ms) / 1000));
    for (struct pen_map_node *node = pen_map_first(&self->attempts); node != NULL;) {
        struct attempt *attempt = pen_map_value(node);
        node = pen_map_next(node);
        if (attempt->row->state != PEN__ATTEMPT_STATE__ATTEMPT_DRAINING)
            attempt_lose(engine, attempt, why);
    }
    free(why);
}

void agent_timer(struct pen_engine *engine, struct agent *self)
{
    int64_t silent_ms = engine->now_ms - self->seen_ms;
    if (self->connected && !self->suspect && silent_ms >= engine->options.suspect_ms) {
        self->suspect = true;
        agent_drop_offers(engine, self);
        agents_changed(engine);
    }
    if ((self->suspect || !self->connected) && silent_ms >= engine->options.lost_ms) {
        lose_silent(engine, self);
        self->connected = false;
        /* What is left is unproven, or waits for data: silence has nothing more to change. */
        timer_disarm(engine, &self->timer);
        agent_reindex(engine, self);
        return;
    }
    agent_reindex(engine, self);
    agent_arm_timer(engine, self);
}

static void heard(struct pen_engine *engine, struct agent *self)
{
    self->seen_ms = engine->now_ms;
    if (!self->suspect)
        return;
    self->suspect = false;
    agents_changed(engine);
    agent_reindex(engine, self);
    agent_arm_timer(engine, self);
}

void agent_quarantine(struct pen_engine *engine, struct agent *self, const char *why)
{
    Pen__AgentChanged *body = MAKE(Pen__AgentChanged, pen__agent_changed__init);
    body->agent_id = mem_text(self->row->id);
    SET(body, status, PEN__AGENT_STATUS__AGENT_QUARANTINED);
    body->reason = mem_text(why);
    emit(engine, NULL, NULL, PEN__FACT__WHAT_AGENT_CHANGED, body);
    agent_disconnect(engine, self);
    agent_lose_attempts(engine, self, why);
}

/* ---- HELLO */

/* Why this hello cannot come from the one agent that has this key; NULL when it can. */
static const char *find_clash(struct pen_engine *engine, struct agent *self,
                              const Pen__Hello *hello)
{
    const Pen__AgentRow *row = self->row;
    if (pen_str_equal(row->spool_id, hello->spool_id)) {
        uint64_t known = row->max_fence;
        for (struct pen_map_node *node = pen_map_first(&self->attempts); node != NULL;
             node = pen_map_next(node)) {
            const struct attempt *attempt = pen_map_value(node);
            if (attempt->row->last_seq > 0 && attempt->row->fence > known)
                known = attempt->row->fence;
        }
        if (hello->spool_seq < row->spool_seq || hello->max_fence < known)
            return "Its spool is older than what it has reported before: a copy or a restored "
                   "snapshot of the machine";
        if (row->machine_id != NULL && !pen_str_equal(row->machine_id, hello->machine_id))
            return "Its spool shows up on another machine: a copy";
    }
    bool returned = self->former_run_id != NULL &&
                    pen_str_equal(self->former_run_id, hello->run_id) &&
                    !pen_str_equal(row->run_id, hello->run_id);
    if (!returned)
        return NULL;
    memmove(&self->clash_ms[1], &self->clash_ms[0], 2 * sizeof self->clash_ms[0]);
    self->clash_ms[0] = engine->now_ms;
    if (self->clash_ms[PEN_LIMIT_CLASH_COUNT - 1] != 0 &&
        engine->now_ms - self->clash_ms[PEN_LIMIT_CLASH_COUNT - 1] <= PEN_LIMIT_CLASH_MS)
        return "Two live processes use its key in turns";
    return NULL;
}

static void emit_session(struct pen_engine *engine, struct agent *self, const Pen__Hello *hello)
{
    Pen__AgentSession *body = MAKE(Pen__AgentSession, pen__agent_session__init);
    body->agent_id = mem_text(self->row->id);
    SET(body, session_no, engine->setting->row->last_session_no + 1);
    body->spool_id = mem_text(hello->spool_id);
    body->boot_id = mem_text(hello->boot_id);
    body->run_id = mem_text(hello->run_id);
    body->machine_id = mem_text(hello->machine_id);
    SET(body, spool_seq, hello->spool_seq);
    SET(body, max_fence, hello->max_fence);
    body->host = mem_copy(hello->host);
    if (hello->slots > 0)
        SET(body, slots,
            hello->slots < PEN_LIMIT_AGENT_SLOTS ? hello->slots : PEN_LIMIT_AGENT_SLOTS);
    emit(engine, NULL, NULL, PEN__FACT__WHAT_AGENT_SESSION, body);
}

static void send_welcome(struct pen_engine *engine, struct agent *self)
{
    Pen__Welcome *body = MAKE(Pen__Welcome, pen__welcome__init);
    SET(body, session_no, self->row->session_no);
    SET(body, proto, PROTOCOL);
    body->db_incarnation = mem_text(engine->setting->row->db_incarnation);
    SET(body, heartbeat_ms, (uint32_t)engine->options.heartbeat_ms);
    SET(body, lease_ms, (uint32_t)engine->options.lost_ms);
    SET(body, log_credit_bytes, PEN_LIMIT_LOG_CREDIT_BYTES);
    SET(body, blob_credit, PEN_LIMIT_BLOB_CREDIT);
    SET(body, gc_below, agent_gc_below(engine, self));
    SET(body, slots, self->row->slots);
    for (struct pen_map_node *node = pen_map_first(&self->attempts); node != NULL;
         node = pen_map_next(node)) {
        const struct attempt *attempt = pen_map_value(node);
        Pen__KnownAttempt *known = MAKE(Pen__KnownAttempt, pen__known_attempt__init);
        SET(known, fence, attempt->row->fence);
        SET(known, last_seq, attempt->row->last_seq);
        APPEND(body, known, known);
    }
    body->agent_id = mem_text(self->row->id);
    SET(body, bulk_port, engine->options.bulk_port);
    agent_send(engine, self, PEN__TO_AGENT__BODY_WELCOME, body);
}

/* A Hello that an agent repeats for want of an answer, or that the network doubles, opens no other
 * session: what the agent says in the one that it knows would be refused as of an older one. */
static bool is_open(const struct agent *self, const Pen__Hello *hello, uint64_t link)
{
    return self->connected && link == self->link &&
           pen_str_equal(self->row->run_id, hello->run_id) &&
           pen_str_equal(self->row->spool_id, hello->spool_id);
}

static void open_session(struct pen_engine *engine, struct agent *self, const Pen__Hello *hello,
                         uint64_t link)
{
    bool wiped =
        self->row->spool_id != NULL && !pen_str_equal(self->row->spool_id, hello->spool_id);
    if (self->offers > 0)
        agent_drop_offers(engine, self);
    bool other_process = !pen_str_equal(self->row->run_id, hello->run_id);
    if (other_process) {
        mem_set_text(&self->former_run_id, self->row->run_id);
        self->once_taken = false;
    }
    if (!is_open(self, hello, link))
        emit_session(engine, self, hello);
    self->connected = true;
    self->suspect = false;
    self->session_draining = hello->draining;
    self->once = hello->once;
    self->link = link;
    self->seen_ms = engine->now_ms;
    self->cool_until_ms = 0;
    self->reconciled_digest = 0;
    self->inventory_wanted = false;
    agents_changed(engine);
    if (wiped)
        agent_lose_attempts(engine, self, "The agent came back with an empty spool");
    send_welcome(engine, self);
    if (self->row->draining)
        agent_send_drain(engine, self);
    if (other_process)
        agent_drop_unbegun(engine, self, hello->n_inventory, hello->inventory);
    agent_reconcile(engine, self, true, hello->n_inventory, hello->inventory);
    agent_reindex(engine, self);
    agent_arm_timer(engine, self);
}

static void hello(struct pen_engine *engine, struct agent *self, const Pen__AgentMessage *message)
{
    const Pen__Hello *request = message->message->hello;
    const char *id = self->row->id;
    if (request->proto_min > PROTOCOL || request->proto_max < PROTOCOL) {
        agent_send_refused(engine, id, message->link, 0, PEN__REFUSED_CODE__UNSUPPORTED, 0,
                           "this controller speaks version 1 of the protocol");
        return;
    }
    if (pen_str_empty(request->spool_id) || pen_str_empty(request->run_id)) {
        agent_send_refused(engine, id, message->link, 0, PEN__REFUSED_CODE__UNSUPPORTED, 0,
                           "a hello without spool_id or run_id");
        return;
    }
    if (message->link < self->link) {
        /* Links are numbered as they are made. What comes late from an older one tells of a past
         * that looks like a copy's: no ground to suspect the agent. */
        agent_send_refused(engine, id, message->link, 0, PEN__REFUSED_CODE__SUPERSEDED, 0,
                           "a newer connection has opened a session");
        return;
    }
    const char *clash = find_clash(engine, self, request);
    if (clash != NULL) {
        agent_quarantine(engine, self, clash);
        agent_send_refused(engine, id, message->link, 0, PEN__REFUSED_CODE__QUARANTINED, 0, clash);
        return;
    }
    open_session(engine, self, request, message->link);
}

/* ---- the rest of the session */

/* Whether the agent's word about its attempts may differ from what the rows say. */
static bool has_unsettled(const struct agent *self)
{
    for (struct pen_map_node *node = pen_map_first(&self->attempts); node != NULL;
         node = pen_map_next(node)) {
        const struct attempt *attempt = pen_map_value(node);
        if (attempt->row->state != PEN__ATTEMPT_STATE__ATTEMPT_RUNNING &&
            attempt->row->state != PEN__ATTEMPT_STATE__ATTEMPT_DRAINING)
            return true;
    }
    return false;
}

static void heartbeat(struct pen_engine *engine, struct agent *self, const Pen__Heartbeat *beat)
{
    uint64_t digest = 0;
    if (beat->inventory_digest.len >= sizeof digest)
        memcpy(&digest, beat->inventory_digest.data, sizeof digest);
    bool want = false;
    if (beat->n_inventory > 0 || self->inventory_wanted) {
        agent_reconcile(engine, self, false, beat->n_inventory, beat->inventory);
        self->reconciled_digest = digest;
    } else {
        want = digest != self->reconciled_digest || has_unsettled(self);
    }
    self->inventory_wanted = want;
    Pen__HeartbeatAck *body = MAKE(Pen__HeartbeatAck, pen__heartbeat_ack__init);
    SET(body, number, beat->number);
    SET(body, lease_ms, (uint32_t)engine->options.lost_ms);
    if (want)
        SET(body, want_inventory, 1);
    SET(body, gc_below, agent_gc_below(engine, self));
    agent_send(engine, self, PEN__TO_AGENT__BODY_HEARTBEAT_ACK, body);
}

static void refuse_fence(struct pen_engine *engine, struct agent *self, uint64_t fence,
                         const char *why)
{
    agent_send_refused(engine, self->row->id, self->link, self->row->session_no,
                       PEN__REFUSED_CODE__FENCED, fence, why);
}

/* Another grant came in between, so this one has a higher number than its offer had. The agent
 * still keeps a slot for the number that it accepted: have it buried. (If that very number was
 * granted to it meanwhile, for another action, the place is taken in earnest.) */
static void drop_reservation(struct pen_engine *engine, struct agent *self, uint64_t fence)
{
    const struct attempt *granted = find_attempt(engine, fence);
    if (granted != NULL && granted->agent == self)
        return;
    Pen__Revoke *body = MAKE(Pen__Revoke, pen__revoke__init);
    SET(body, fence, fence);
    agent_send(engine, self, PEN__TO_AGENT__BODY_REVOKE, body);
}

static void accept(struct pen_engine *engine, struct agent *self, uint64_t fence)
{
    const struct attempt *granted = find_attempt(engine, fence);
    if (granted != NULL && granted->agent == self)
        return; /* said before; a refusal would end what it was granted for */
    struct action *action = pen_map_get(&engine->offers, pen_key_number(fence));
    /* A controller that was stopped takes what waited for it before its timers. */
    if (action == NULL || action->offered_to != self || action->timer.entry.at <= engine->now_ms) {
        refuse_fence(engine, self, fence, "the offer was withdrawn");
        return;
    }
    self->once_taken = self->once;
    free(TAKE_PTR(self->refusal));
    attempt_grant(engine, action, self, fence, true);
    if (action->row->fence != fence)
        drop_reservation(engine, self, fence);
}

/* For people who ask why it gets no work. It is the agent's own text: so much of it, by characters.
 */
static void note_refusal(struct agent *self, const char *reason)
{
    free(TAKE_PTR(self->refusal));
    if (pen_str_empty(reason))
        return;
    size_t size = strnlen(reason, PEN_LIMIT_REFUSAL_BYTES);
    while (!pen_utf8_valid(reason, size))
        size--;
    self->refusal = mem_format("%.*s", (int)size, reason);
}

static void decline(struct pen_engine *engine, struct agent *self, const Pen__Decline *body)
{
    struct action *action = pen_map_get(&engine->offers, pen_key_number(body->fence));
    if (action == NULL || action->offered_to != self)
        return; /* withdrawn already */
    offer_drop(engine, action);
    note_refusal(self, body->reason);
    if (!self->row->draining && !self->session_draining)
        agent_send_drain(engine, self); /* perhaps it has missed that it may work again */
    agent_pause(engine, self, PEN_LIMIT_DECLINE_PAUSE_MS);
}

static void bye(struct pen_engine *engine, struct agent *self, const Pen__Bye *body)
{
    if (!body->drain) {
        agent_disconnect(engine, self);
        return;
    }
    self->session_draining = true;
    agent_drop_offers(engine, self);
    agent_reindex(engine, self);
    agents_changed(engine);
}

static void in_session(struct pen_engine *engine, struct agent *self, const Pen__FromAgent *message)
{
    switch ((int)message->body_case) {
    case PEN__FROM_AGENT__BODY_HEARTBEAT:
        heartbeat(engine, self, message->heartbeat);
        break;
    case PEN__FROM_AGENT__BODY_ACCEPT:
        accept(engine, self, message->accept->fence);
        break;
    case PEN__FROM_AGENT__BODY_DECLINE:
        decline(engine, self, message->decline);
        break;
    case PEN__FROM_AGENT__BODY_EVENT:
        agent_event(engine, self, message->event, message->ready);
        break;
    case PEN__FROM_AGENT__BODY_REVOKED:
        agent_revoked(engine, self, message->revoked);
        break;
    case PEN__FROM_AGENT__BODY_BYE:
        bye(engine, self, message->bye);
        break;
    default:
        agent_send_refused(engine, self->row->id, self->link, self->row->session_no,
                           PEN__REFUSED_CODE__UNSUPPORTED, 0, "a message of unknown kind");
        break;
    }
}

static void from_agent(struct pen_engine *engine, struct agent *self,
                       const Pen__AgentMessage *message)
{
    const Pen__FromAgent *content = message->message;
    if (self->row->status != PEN__AGENT_STATUS__AGENT_ENROLLED) {
        bool revoked = self->row->status == PEN__AGENT_STATUS__AGENT_REVOKED;
        agent_send_refused(engine, self->row->id, message->link, 0,
                           revoked ? PEN__REFUSED_CODE__DENIED : PEN__REFUSED_CODE__QUARANTINED, 0,
                           self->row->status_reason);
        return;
    }
    if (content->body_case == PEN__FROM_AGENT__BODY_HELLO) {
        hello(engine, self, message);
        return;
    }
    if (content->session_no != 0 && content->session_no < self->row->session_no) {
        agent_send_refused(engine, self->row->id, message->link, content->session_no,
                           PEN__REFUSED_CODE__SUPERSEDED, 0, "a newer session was opened");
        return;
    }
    if (!self->connected || content->session_no != self->row->session_no ||
        message->link != self->link) {
        agent_send_refused(engine, self->row->id, message->link, content->session_no,
                           PEN__REFUSED_CODE__NO_SESSION, 0, "say hello first");
        return;
    }
    heard(engine, self);
    in_session(engine, self, content);
}

int handle_agent_message(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                         struct pen_error *err)
{
    (void)reply;
    (void)err;
    const Pen__AgentMessage *message = input->agent_message;
    if (message->message == NULL || message->agent_id == NULL)
        return 0; /* dispatch has named nobody, or nothing was said */
    if (message->from_token) {
        agent_enrol(engine, message);
        return 0;
    }
    struct agent *agent = find_agent(engine, message->agent_id);
    if (agent == NULL) {
        agent_send_refused(engine, message->agent_id, message->link, 0, PEN__REFUSED_CODE__DENIED,
                           0, "no such agent is enrolled");
        return 0;
    }
    engine->by = agent->row->id;
    from_agent(engine, agent, message);
    return 0;
}

int handle_agent_gone(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                      struct pen_error *err)
{
    (void)reply;
    (void)err;
    const Pen__AgentGone *gone = input->agent_gone;
    struct agent *agent = find_agent(engine, gone->agent_id);
    if (agent != NULL && agent->connected && agent->link == gone->link)
        agent_disconnect(engine, agent);
    return 0;
}
