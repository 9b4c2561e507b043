/* tests/sim/stray.c - an agent that speaks of another's work: none of it may count */
#include <inttypes.h>

#include "common/base/str.h"
#include "tests/sim/sim.h"

struct other {
    const char *agent_id; /* who speaks */
    uint64_t fence;       /* of another's attempt; 0: there is none */
    uint64_t last_seq;
    uint64_t seen;
};

static void pick_other(struct sim *sim, void *message, void *context)
{
    const Pen__AttemptRow *row = message;
    struct other *other = context;
    bool over = row->has_ended_ms || row->state == PEN__ATTEMPT_STATE__ATTEMPT_DRAINING;
    if (over || pen_str_equal(row->agent_id, other->agent_id) || sim_below(sim, ++other->seen) != 0)
        return;
    other->fence = row->fence;
    other->last_seq = row->last_seq;
}

static void say_finished(Pen__FromAgent *message, const struct other *other)
{
    Pen__Event *event = MAKE(Pen__Event, pen__event__init);
    SET(event, fence, other->fence);
    SET(event, seq, other->last_seq + 1);
    event->what_case = PEN__EVENT__WHAT_FINISHED;
    event->finished = MAKE(Pen__Finished, pen__finished__init);
    SET(event->finished, kind, PEN__FINISH_KIND__EXITED);
    SET(event->finished, exit_code, 0);
    message->body_case = PEN__FROM_AGENT__BODY_EVENT;
    message->event = event;
}

static void say(struct sim *sim, Pen__FromAgent *message, const struct other *other)
{
    switch (sim_below(sim, 4)) {
    case 0:
        message->body_case = PEN__FROM_AGENT__BODY_REVOKED;
        message->revoked = MAKE(Pen__Revoked, pen__revoked__init);
        SET(message->revoked, fence, other->fence);
        SET(message->revoked, never_began, 1);
        break;
    case 1:
        message->body_case = PEN__FROM_AGENT__BODY_ACCEPT;
        message->accept = MAKE(Pen__Accept, pen__accept__init);
        SET(message->accept, fence, other->fence);
        break;
    case 2:
        message->body_case = PEN__FROM_AGENT__BODY_DECLINE;
        message->decline = MAKE(Pen__Decline, pen__decline__init);
        SET(message->decline, fence, other->fence);
        break;
    default:
        say_finished(message, other);
        break;
    }
}

void stray_word(struct sim *sim)
{
    struct host *host = &sim->hosts[sim_below(sim, (uint64_t)sim->hosts_count)];
    struct other other = {.agent_id = host->agent_id};
    if (host->agent_id == NULL || host->session == NULL || host->link == 0 || pause_host(sim, host))
        return;
    core_each(sim, PEN__ROW_KIND__ROW_ATTEMPT, &pen__attempt_row__descriptor, pick_other, &other);
    Pen__AgentRow *row =
        core_row(sim, PEN__ROW_KIND__ROW_AGENT, host->agent_id, &pen__agent_row__descriptor);
    if (other.fence > 0 && row != NULL) {
        Pen__FromAgent *message = MAKE(Pen__FromAgent, pen__from_agent__init);
        SET(message, session_no, row->session_no);
        say(sim, message, &other);
        sim_trace(sim, "%s speaks of fence %" PRIu64 ", which is another's", host->name,
                  other.fence);
        net_to_core(sim, host, message);
        mem_free_message(message);
    }
    mem_free_message(row);
}
