/* tests/sim/net.c - messages between hosts and the controller, through the real codec
 *
 * A link is one connection of one agent process with one life of the controller. Messages on it can
 * be lost, doubled (the copy may come hours later, while the link lasts), overtaken, or held up. A
 * Hello and its answers, Welcome and Refused, are neither copied nor overtaken by one another: no
 * transport does that to the first messages of a connection.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/wire/wire.h"
#include "tests/sim/sim.h"

/* What was sent before the connection ended still arrives: the controller's end drains. */
static bool link_drains(const struct sim *sim, uint64_t number)
{
    size_t slot = number % SIM_LINKS_MAX;
    return sim->core.up && sim->link[slot].number == number &&
           sim->link[slot].core_life == sim->core.life;
}

bool net_open(struct sim *sim, const struct host *host)
{
    return sim->core.up && !pause_core(sim) && !pause_host(sim, host) && !host->cut_in &&
           !host->cut_out && host->clogged_until_ms <= sim->now_ms;
}

/* ---- connecting */

static void fire_connect(struct sim *sim, struct sim_event *event)
{
    struct host *host = &sim->hosts[event->host];
    if (host->session == NULL || host->process != event->stamp || pause_defers(sim, host, event) ||
        host->link != 0)
        return;
    if (!net_open(sim, host) || host->denied) {
        net_connect_later(sim, host, 1000 + sim_around(sim, 4000));
        return;
    }
    host->link = ++sim->links;
    size_t slot = host->link % SIM_LINKS_MAX;
    sim->link[slot].number = host->link;
    sim->link[slot].host = host->index;
    sim->link[slot].core_life = sim->core.life;
    sim->link[slot].process = host->process;
    sim->link[slot].closed = false;
    host->last_in_ms = host->last_out_ms = sim->now_ms;
    struct pen_session_input input = {.kind = PEN_IN_CONNECTED};
    host_feed(sim, host, &input);
}

void net_connect_later(struct sim *sim, struct host *host, int64_t in_ms)
{
    struct sim_event *event = sim_at(sim, in_ms, fire_connect);
    event->host = host->index;
    event->stamp = host->process;
}

static void fire_gone(struct sim *sim, struct sim_event *event)
{
    const struct host *host = &sim->hosts[event->host];
    if (event->stamp != sim->core.life || host->agent_id == NULL)
        return;
    Pen__AgentGone *gone = MAKE(Pen__AgentGone, pen__agent_gone__init);
    gone->agent_id = mem_text(host->agent_id);
    SET(gone, link, event->link);
    core_post(sim, core_input(PEN__INPUT__WHAT_AGENT_GONE, gone));
}

void net_drop_link(struct sim *sim, struct host *host, bool tell_agent, bool tell_core)
{
    if (host->link == 0)
        return;
    sim->link[host->link % SIM_LINKS_MAX].closed = true;
    if (tell_core) {
        struct sim_event *event = sim_at(sim, sim_around(sim, 50), fire_gone);
        event->host = host->index;
        event->stamp = sim->core.life;
        event->link = host->link;
    }
    host->link = 0;
    if (tell_agent && host->session != NULL) {
        struct pen_session_input input = {.kind = PEN_IN_DISCONNECTED};
        host_feed(sim, host, &input);
        net_connect_later(sim, host, 500 + sim_around(sim, 2000));
    }
}

void net_drop_all(struct sim *sim)
{
    for (int i = 0; i < SIM_HOSTS_MAX; i++)
        if (sim->hosts[i].session != NULL)
            net_drop_link(sim, &sim->hosts[i], true, false);
}

/* ---- carrying */

static void fire_to_core(struct sim *sim, struct sim_event *event)
{
    const struct host *host = &sim->hosts[event->host];
    if (!link_drains(sim, event->link) ||
        (event->flag && sim->link[event->link % SIM_LINKS_MAX].closed) ||
        pause_defers_to_core(sim, event))
        return;
    if (host->cut_out) {
        sim->counts[COUNT_LOST]++;
        return;
    }
    ProtobufCMessage *message;
    struct pen_error err;
    if (pen_wire_unpack(&pen__from_agent__descriptor, event->data, event->size, &pen_wire_control,
                        &message, &err) < 0)
        sim_fail(sim, "BOUNDED: the controller cannot read what %s sent: %s", host->name,
                 err.message);
    Pen__AgentMessage *body = MAKE(Pen__AgentMessage, pen__agent_message__init);
    body->agent_id = mem_text(host->agent_id);
    SET(body, link, event->link);
    body->message = (Pen__FromAgent *)message;
    auditor_heard(sim, host->agent_id, body->message->session_no);
    core_post(sim, core_input(PEN__INPUT__WHAT_AGENT_MESSAGE, body));
}

static void fire_to_agent(struct sim *sim, struct sim_event *event)
{
    struct host *host = &sim->hosts[event->host];
    if (host->session == NULL || host->process != event->stamp || host->link != event->link ||
        pause_defers(sim, host, event))
        return;
    if (host->cut_in) {
        sim->counts[COUNT_LOST]++;
        return;
    }
    ProtobufCMessage *message;
    struct pen_error err;
    if (pen_wire_unpack(&pen__to_agent__descriptor, event->data, event->size, &pen_wire_control,
                        &message, &err) < 0)
        sim_fail(sim, "BOUNDED: %s cannot read what the controller sent: %s", host->name,
                 err.message);
    struct pen_session_input input = {.kind = PEN_IN_FRAME, .frame = (Pen__ToAgent *)message};
    host_feed(sim, host, &input);
    mem_free_message(message);
}

static struct sim_event *queue_one(struct sim *sim, struct host *host, sim_fire_f fire,
                                   const struct pen_buf *bytes, uint64_t link, int64_t at_ms)
{
    struct sim_event *event = sim_at(sim, at_ms - sim->now_ms, fire);
    event->host = host->index;
    event->stamp = host->process;
    event->link = link;
    event->data = mem_bytes((ProtobufCBinaryData){bytes->size, bytes->data}).data;
    event->size = bytes->size;
    return event;
}

static void carry(struct sim *sim, struct host *host, bool to_agent, bool opening,
                  const void *message, uint64_t link)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    struct pen_error err;
    CHECK(pen_wire_pack(message, &bytes, &err) == 0);
    sim_hash(sim, bytes.data, bytes.size);
    sim_fire_f fire = to_agent ? fire_to_agent : fire_to_core;
    int64_t *last = to_agent ? &host->last_in_ms : &host->last_out_ms;
    sim->counts[COUNT_MESSAGES]++;
    if (sim_chance(sim, sim->mix.loss_pm)) {
        sim->counts[COUNT_LOST]++;
        return;
    }
    int64_t at = sim->now_ms + 1 + sim_around(sim, sim->mix.delay_ms);
    if (at < host->clogged_until_ms)
        at = host->clogged_until_ms + (int64_t)sim_below(sim, 20);
    at = at > *last ? at : *last; /* nothing overtakes what opens a session */
    if (opening || !sim->mix.disorder)
        *last = at;
    queue_one(sim, host, fire, &bytes, link, at);
    if (opening)
        return;
    if (sim_chance(sim, sim->mix.duplicate_pm)) {
        sim->counts[COUNT_DUPLICATED]++;
        queue_one(sim, host, fire, &bytes, link, at + sim_around(sim, 500));
    }
    if (sim_chance(sim, sim->mix.late_pm)) {
        sim->counts[COUNT_LATE]++;
        queue_one(sim, host, fire, &bytes, link,
                  at + sim_around(sim, (int64_t)sim->mix.late_s * 1000))
            ->flag = true;
    }
}

static void trace_from_agent(struct sim *sim, const struct host *host,
                             const Pen__FromAgent *message)
{
    if (!sim->options.trace)
        return;
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(
        &pen__from_agent__descriptor, (unsigned)message->body_case);
    bool hello = message->body_case == PEN__FROM_AGENT__BODY_HELLO;
    bool beat = message->body_case == PEN__FROM_AGENT__BODY_HEARTBEAT;
    size_t count = hello ? message->hello->n_inventory : beat ? message->heartbeat->n_inventory : 0;
    char list[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < count && used < sizeof list - 64; i++) {
        const Pen__InventoryItem *item =
            hello ? message->hello->inventory[i] : message->heartbeat->inventory[i];
        used += (size_t)snprintf(list + used, sizeof list - used, " %" PRIu64 ":%s/%" PRIu64,
                                 item->fence, WORD(attempt_phase, item->phase), item->last_seq);
    }
    bool declines = message->body_case == PEN__FROM_AGENT__BODY_DECLINE;
    sim_trace(sim, "%s -> %s session %" PRIu64 "%s%s", host->name,
              field == NULL ? "?" : field->name, message->session_no, list,
              declines ? message->decline->reason : "");
}

void net_to_core(struct sim *sim, struct host *host, const Pen__FromAgent *message)
{
    trace_from_agent(sim, host, message);
    if (host->link != 0)
        carry(sim, host, false, message->body_case == PEN__FROM_AGENT__BODY_HELLO, message,
              host->link);
}

static const char *to_agent_name(const Pen__ToAgent *message)
{
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(
        &pen__to_agent__descriptor, (unsigned)message->body_case);
    return field == NULL ? "?" : field->name;
}

static uint64_t session_of(const Pen__ToAgent *message)
{
    return message->body_case == PEN__TO_AGENT__BODY_WELCOME ? message->welcome->session_no
                                                             : message->session_no;
}

void net_to_agent(struct sim *sim, const Pen__AgentSend *send)
{
    if (send->message->body_case == PEN__TO_AGENT__BODY_ENROLLED) {
        host_enrolled(sim, &sim->hosts[send->link % SIM_HOSTS_MAX],
                      send->message->enrolled->agent_id);
        return;
    }
    const Pen__Refused *refused =
        send->message->body_case == PEN__TO_AGENT__BODY_REFUSED ? send->message->refused : NULL;
    for (int i = 0; i < SIM_HOSTS_MAX; i++) {
        struct host *host = &sim->hosts[i];
        if (host->session == NULL || host->link == 0 ||
            !pen_str_equal(host->agent_id, send->agent_id) ||
            (send->link != 0 && send->link != host->link))
            continue;
        sim_trace(
            sim, "controller -> %s %s%s%s session %" PRIu64 " fence %" PRIu64, host->name,
            to_agent_name(send->message), refused == NULL ? "" : ", ",
            refused == NULL ? "" : WORD(refused_code, refused->code), session_of(send->message),
            send->message->body_case == PEN__TO_AGENT__BODY_START ? send->message->start->fence
            : send->message->body_case == PEN__TO_AGENT__BODY_EVENT_ACK
                ? send->message->event_ack->fence
                : 0);
        bool session = send->message->body_case == PEN__TO_AGENT__BODY_WELCOME ||
                       send->message->body_case == PEN__TO_AGENT__BODY_REFUSED;
        carry(sim, host, true, session, send->message, host->link);
    }
}
