/* tests/sim/auditor_agent.c - agents: their sessions, what they may be granted, what they are told
 *
 * ACK => DURABLE (2): whatever an agent is told is committed. SESSION (11): at most one live
 * session an agent; no grant to one that is silent, replaced, draining, quarantined or revoked.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "tests/sim/auditor.h"

static struct seen_agent *agent_of(struct sim *sim, const char *id)
{
    struct seen_agent *agent = pen_map_get(&sim->auditor->agents, pen_key_text(id));
    if (agent == NULL)
        sim_fail(sim, "SESSION: a fact about agent %s, which was never enrolled", id);
    return agent;
}

void on_agent_enrolled(struct sim *sim, const Pen__Fact *fact)
{
    struct seen_agent *agent = mem_zero(sizeof *agent);
    agent->id = mem_text(fact->agent_enrolled->agent->id);
    agent->enrolled = true;
    mem_put(&sim->auditor->agents, pen_key_text(agent->id), agent);
}

void on_agent_changed(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__AgentChanged *body = fact->agent_changed;
    struct seen_agent *agent = agent_of(sim, body->agent_id);
    if (body->has_status)
        agent->enrolled = body->status == PEN__AGENT_STATUS__AGENT_ENROLLED;
    if (body->has_draining)
        agent->draining = body->draining;
    sim_trace(sim, "agent %s: %s, %s", body->agent_id, WORD(agent_status, body->status),
              body->reason != NULL ? body->reason : "");
    for (int i = 0; i < SIM_HOSTS && body->has_status; i++)
        if (body->status == PEN__AGENT_STATUS__AGENT_QUARANTINED &&
            pen_str_equal(sim->hosts[i].agent_id, body->agent_id) && !sim->hosts[i].tainted)
            sim_fail(sim, "SESSION: %s is quarantined without cause: %s", sim->hosts[i].name,
                     body->reason);
}

/* Revoked, and nothing of it under way. Whatever comes of it from now on has never been. */
void on_agent_removed(struct sim *sim, const Pen__Fact *fact)
{
    struct seen_agent *agent = agent_of(sim, fact->agent_removed->agent_id);
    if (agent->enrolled)
        sim_fail(sim, "HISTORY: agent %s is removed, and was not revoked", agent->id);
    for (struct pen_map_node *node = pen_map_first(&sim->auditor->attempts); node != NULL;
         node = pen_map_next(node)) {
        const struct seen_attempt *attempt = pen_map_value(node);
        if (!auditor_terminal(attempt->state) && pen_str_equal(attempt->agent_id, agent->id))
            sim_fail(sim, "HISTORY: agent %s is removed, and fence %" PRIu64 " of it is not over",
                     agent->id, attempt->fence);
    }
    sim_trace(sim, "agent %s is removed", agent->id);
}

void on_session(struct sim *sim, const Pen__Fact *fact)
{
    struct seen_agent *agent = agent_of(sim, fact->agent_session->agent_id);
    if (!agent->enrolled || fact->agent_session->session_no <= agent->session_no)
        sim_fail(sim, "SESSION: session %" PRIu64 " of agent %s after %" PRIu64,
                 fact->agent_session->session_no, agent->id, agent->session_no);
    agent->session_no = fact->agent_session->session_no;
}

/* ---- grants */

void auditor_heard(struct sim *sim, const char *agent_id, uint64_t session_no)
{
    struct seen_agent *agent = pen_map_get(&sim->auditor->agents, pen_key_text(agent_id));
    if (agent == NULL)
        return;
    agent->heard_ms = sim->now_ms;
    if (session_no == agent->session_no)
        agent->spoke_ms = sim->now_ms;
}

/* It has been silent for long, while the controller could have heard it. */
void auditor_check_silence(struct sim *sim, const char *agent_id)
{
    enum { SLACK_MS = 60 * 1000 }; /* clocks of the controller are set a little, too */
    const struct core *core = &sim->core;
    int64_t from_ms = agent_of(sim, agent_id)->spoke_ms;
    if (from_ms < core->heard_since_ms)
        from_ms = core->heard_since_ms;
    if (core->decided_ms - from_ms < core->options.lost_ms - SLACK_MS)
        sim_fail(
            sim,
            "SESSION: agent %s counts as lost, which the controller could not hear for %" PRId64
            " ms",
            agent_id, core->decided_ms - from_ms);
}

void auditor_check_grant(struct sim *sim, const Pen__AttemptGranted *body)
{
    const struct seen_agent *agent = agent_of(sim, body->agent_id);
    if (!agent->enrolled || agent->session_no != body->session_no)
        sim_fail(sim, "SESSION: fence %" PRIu64 " is granted to an agent without a live session",
                 body->fence);
    if (agent->draining)
        sim_fail(sim, "SESSION: fence %" PRIu64 " is granted to agent %s, which is to drain",
                 body->fence, agent->id);
    int64_t silent_ms = sim->core.decided_ms - agent->heard_ms;
    if (silent_ms > sim->core.options.suspect_ms + 1000)
        sim_fail(sim,
                 "SESSION: fence %" PRIu64
                 " is granted to agent %s, which has been silent for %" PRId64 " ms",
                 body->fence, agent->id, silent_ms);
}

/* ---- telling */

static void check_event_ack(struct sim *sim, const Pen__AgentSend *send)
{
    const Pen__EventAck *ack = send->message->event_ack;
    const struct seen_attempt *attempt =
        pen_map_get(&sim->auditor->attempts, pen_key_number(ack->fence));
    /* Of a finished attempt, a host that has forgotten it says again that it was interrupted. */
    if (attempt == NULL ||
        (ack->seq > attempt->last_seq && !attempt->finished && !auditor_terminal(attempt->state)))
        sim_fail(sim,
                 "ACK => DURABLE: event %" PRIu64 " of fence %" PRIu64
                 " is acknowledged, and not committed",
                 ack->seq, ack->fence);
}

void auditor_told(struct sim *sim, const Pen__AgentSend *send)
{
    const Pen__ToAgent *message = send->message;
    if (message->body_case == PEN__TO_AGENT__BODY_EVENT_ACK)
        check_event_ack(sim, send);
    if (message->body_case == PEN__TO_AGENT__BODY_WELCOME &&
        agent_of(sim, send->agent_id)->session_no < message->welcome->session_no)
        sim_fail(sim, "ACK => DURABLE: session %" PRIu64 " is welcomed, and not committed",
                 message->welcome->session_no);
    if (message->body_case == PEN__TO_AGENT__BODY_START) {
        const struct seen_attempt *attempt = auditor_attempt(sim, message->start->fence);
        if (!pen_str_equal(attempt->agent_id, send->agent_id))
            sim_fail(sim, "FENCE: agent %s is to start fence %" PRIu64 " of agent %s",
                     send->agent_id, attempt->fence, attempt->agent_id);
    }
}

/* An artifact is settled for the agent only when the reference to it is committed. */
void auditor_accepted(struct sim *sim, const Pen__ArtifactAccepted *accepted)
{
    const struct seen_attempt *attempt = auditor_attempt(sim, accepted->fence);
    if (!auditor_terminal(attempt->state) &&
        (attempt->stored == NULL || !pen_str_equal(attempt->stored->name, accepted->name)))
        sim_fail(sim,
                 "ACK => DURABLE: artifact %s of fence %" PRIu64 " is accepted, and not committed",
                 accepted->name, accepted->fence);
}
