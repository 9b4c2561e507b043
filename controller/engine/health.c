/* controller/engine/health.c - GetHealth: what is wrong with the installation, whoever's pipeline
 * it is
 *
 * Told are things that do not pass by themselves: a host that cannot work, agents that decline what
 * they are offered, work that no agent or job worker could ever do, sources that cannot be looked
 * at. What passes is for Explain.
 */
#include <inttypes.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/units.h"
#include "controller/engine/decide.h"
#include "controller/engine/explain.h"
#include "controller/engine/job.h"

enum { CLOCK_OFF_MS = 5000 }; /* hosts that keep their clocks by NTP are closer by far */

static void explain_disk(const Pen__HostState *host, int64_t now_ms, Pen__Reply *reply)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    char left[PEN_SIZE_TEXT_SIZE];
    char reserve[PEN_SIZE_TEXT_SIZE];
    pen_size_format_brief(host->free_bytes > 0 ? (uint64_t)host->free_bytes : 0, left);
    pen_size_format_brief(host->reserve_bytes > 0 ? (uint64_t)host->reserve_bytes : 0, reserve);
    pen_buf_printf(&text,
                   "The controller's disk is full: %s are free under %s, and %s have to be "
                   "(disk-reserve). Nothing goes on, and nothing new is taken",
                   left, host->dir != NULL ? host->dir : "its data folder", reserve);
    Pen__Reason *reason = reason_add(reply, NULL, mem_text("controller"), "disk_full", &text,
                                     now_ms, "there is space again: it goes on by itself", false);
    reason_acts(reason, "who looks after the controller's host");
}

static void explain_clock(const Pen__HostState *host, int64_t now_ms, Pen__Reply *reply)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    char off[PEN_DURATION_TEXT_SIZE];
    bool back = host->ahead_ms > 0;
    pen_duration_format_brief(back ? host->ahead_ms : -host->ahead_ms, off);
    if (back)
        pen_buf_printf(&text,
                       "The host's clock is %s behind what the controller has recorded: it was set "
                       "back, or was wrong before",
                       off);
    else
        pen_buf_printf(&text,
                       "The host's clock is %s ahead of the controller's time: it was set forward, "
                       "which is not believed before it has stood for a while",
                       off);
    Pen__Reason *reason =
        reason_add(reply, NULL, mem_text("controller"), "clock_wrong", &text, now_ms,
                   "the clock is right, and the controller's time and it have met", false);
    reason_acts(reason, "who looks after the controller's host");
}

void pen_engine_explain_host(const Pen__HostState *host, int64_t now_ms, Pen__Reply *reply)
{
    if (host == NULL)
        return;
    if (host->disk_full)
        explain_disk(host, now_ms, reply);
    if (host->ahead_ms >= CLOCK_OFF_MS || host->ahead_ms <= -CLOCK_OFF_MS)
        explain_clock(host, now_ms, reply);
}

void explain_host(const struct pen_engine *engine, const Pen__HostState *host, Pen__Reply *reply)
{
    pen_engine_explain_host(host, engine->now_ms, reply);
}

static void explain_refusal(const struct pen_engine *engine, const struct agent *agent,
                            Pen__Reply *reply)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_buf_printf(&text, "Agent '%s' has declined the last offer: %s", agent->row->name,
                   agent->refusal);
    Pen__Reason *reason =
        reason_add(reply, NULL, mem_text(agent->row->name), "agent_refuses", &text, engine->now_ms,
                   "the agent accepts an offer again", false);
    reason_acts(reason, "who looks after the agent's host");
}

static void explain_agents(const struct pen_engine *engine, Pen__Reply *reply)
{
    uint32_t enrolled = 0;
    uint32_t connected = 0;
    for (const struct pen_map_node *node = pen_map_first(&engine->agents); node != NULL;
         node = pen_map_next(node)) {
        const struct agent *agent = pen_map_value(node);
        if (agent->row->status != PEN__AGENT_STATUS__AGENT_ENROLLED)
            continue;
        enrolled++;
        connected += agent->connected ? 1 : 0;
        if (agent->connected && agent->refusal != NULL &&
            reply->n_reasons < PEN_LIMIT_HEALTH_REASONS)
            explain_refusal(engine, agent, reply);
    }
    SET(reply->health, agents, enrolled);
    SET(reply->health, connected_agents, connected);
}

static void explain_work(const struct pen_engine *engine, Pen__Reply *reply)
{
    uint32_t queued = 0;
    struct explaining *explaining = explaining_create(engine);
    for (const struct pen_map_node *node = pen_map_first(&engine->demands); node != NULL;
         node = pen_map_next(node)) {
        const struct demand *demand = pen_map_value(node);
        queued += (uint32_t)demand->users;
        if (reply->n_reasons < PEN_LIMIT_HEALTH_REASONS)
            explain_stuck(explaining, demand, reply);
    }
    explaining_destroy(&explaining);
    for (const struct pen_map_node *node = pen_map_first(&engine->jobs); node != NULL;
         node = pen_map_next(node)) {
        const struct job *job = pen_map_value(node);
        if (job->action != NULL && !job_may_be_polled(engine, job) &&
            reply->n_reasons < PEN_LIMIT_HEALTH_REASONS)
            explain_job(engine, job->action, reply);
    }
    SET(reply->health, queued_actions, queued);
}

static void explain_sources(const struct pen_engine *engine, Pen__Reply *reply)
{
    for (const struct pen_map_node *node = pen_map_first(&engine->pipelines);
         node != NULL && reply->n_reasons < PEN_LIMIT_HEALTH_REASONS; node = pen_map_next(node))
        explain_troubles(pen_map_value(node), reply);
}

int handle_get_health(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                      struct pen_error *err)
{
    (void)err;
    reply->health = MAKE(Pen__HealthView, pen__health_view__init);
    explain_host(engine, input->get_health->host, reply);
    explain_agents(engine, reply);
    explain_work(engine, reply);
    explain_sources(engine, reply);
    return 0;
}

bool pen_engine_only_asks(const Pen__Input *input)
{
    return input->what_case == PEN__INPUT__WHAT_EXPLAIN ||
           input->what_case == PEN__INPUT__WHAT_LIST_AGENTS ||
           input->what_case == PEN__INPUT__WHAT_GET_HEALTH;
}
