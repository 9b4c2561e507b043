/* tests/sim/pause.c - processes that are stopped, and go on later with what they knew (SIGSTOP)
 *
 * The world goes on meanwhile: what is sent to them waits in their sockets, what they have started
 * runs. An agent stops between turns, or when its journal is synced and nothing is done yet; the
 * controller between turns, or when it has committed and nothing is told yet.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "tests/sim/sim.h"

static int64_t stopped_for_ms(struct sim *sim)
{
    static const int64_t means_ms[] = {3000, 20000, 20000, 400000};
    return 1 + sim_around(sim, means_ms[sim_below(sim, 4)]);
}

/* ---- what waits in sockets */

static struct sim_event *append(struct deferred *list)
{
    if (list->count == list->room) {
        list->room = list->room == 0 ? 16 : 2 * list->room;
        list->events = realloc(list->events, list->room * sizeof(struct sim_event));
        CHECK(list->events != NULL);
    }
    struct sim_event *event = &list->events[list->count++];
    *event = (struct sim_event){0};
    return event;
}

static void defer(struct deferred *list, struct sim_event *event)
{
    struct sim_event *later = append(list);
    *later = *event;
    later->entry = (struct pen_heap_entry){0};
    event->data = NULL;
}

void pause_forget(struct deferred *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->events[i].data);
    free(list->events);
    *list = (struct deferred){0};
}

/* In the order in which it came; whoever is stopped again on the way defers the rest anew. */
static void deliver(struct sim *sim, struct deferred *list)
{
    struct deferred now = *list;
    *list = (struct deferred){0};
    for (size_t i = 0; i < now.count; i++)
        now.events[i].fire(sim, &now.events[i]);
    pause_forget(&now);
}

/* ---- agents */

bool pause_host(const struct sim *sim, const struct host *host)
{
    return host->stopped_until_ms > sim->now_ms;
}

static void wake_host(struct sim *sim, struct host *host)
{
    if (host->stopped_until_ms == 0)
        return;
    sim_trace(sim, "%s: agent goes on", host->name);
    host->stopped_until_ms = 0;
    host_go_on(sim, host);
    deliver(sim, &host->deferred);
    if (sim_chance(sim, 300)) /* keep-alive has ended the connection meanwhile */
        net_drop_link(sim, host, true, sim_chance(sim, 500));
}

static void fire_wake_host(struct sim *sim, struct sim_event *event)
{
    struct host *host = &sim->hosts[event->host];
    if (host->session != NULL && host->process == event->stamp && !pause_host(sim, host))
        wake_host(sim, host);
}

void pause_agent(struct sim *sim, struct host *host, const char *where)
{
    if (host->session == NULL || host->stopped_until_ms != 0)
        return;
    int64_t for_ms = stopped_for_ms(sim);
    sim->counts[COUNT_AGENT_PAUSES]++;
    sim_trace(sim, "%s: agent is stopped %s for %" PRId64 " ms", host->name, where, for_ms);
    host->stopped_until_ms = sim->now_ms + for_ms;
    struct sim_event *event = sim_at(sim, for_ms, fire_wake_host);
    event->host = host->index;
    event->stamp = host->process;
}

bool pause_defers(struct sim *sim, struct host *host, struct sim_event *event)
{
    bool stopped = pause_host(sim, host);
    if (stopped)
        defer(&host->deferred, event);
    return stopped;
}

struct sim_event *pause_later(struct host *host)
{
    return append(&host->deferred);
}

/* ---- the controller */

bool pause_core(const struct sim *sim)
{
    return sim->core.stopped_until_ms > sim->now_ms;
}

static void fire_wake_core(struct sim *sim, struct sim_event *event)
{
    struct core *core = &sim->core;
    if (!core->up || core->life != event->stamp || core->stopped_until_ms == 0 || pause_core(sim))
        return;
    sim_trace(sim, "controller goes on");
    core->stopped_until_ms = 0;
    core_go_on(sim);
    deliver(sim, &core->deferred);
}

void pause_controller(struct sim *sim, const char *where)
{
    struct core *core = &sim->core;
    if (!core->up || core->stopped_until_ms != 0)
        return;
    int64_t for_ms = stopped_for_ms(sim);
    sim->counts[COUNT_CORE_PAUSES]++;
    sim_trace(sim, "controller is stopped %s for %" PRId64 " ms", where, for_ms);
    if (core->planned_ms == INT64_MAX) /* what passed before was meant */
        core->planned_ms = core_interval_ms(sim) - core->clock.interval_ms;
    core->stopped_until_ms = sim->now_ms + for_ms;
    sim_at(sim, for_ms, fire_wake_core)->stamp = core->life;
}

bool pause_defers_to_core(struct sim *sim, struct sim_event *event)
{
    bool stopped = pause_core(sim);
    if (stopped)
        defer(&sim->core.deferred, event);
    return stopped;
}

/* ---- everything goes on */

void pause_end(struct sim *sim)
{
    struct sim_event wake = {.stamp = sim->core.life};
    if (sim->core.stopped_until_ms > sim->now_ms)
        sim->core.stopped_until_ms = sim->now_ms;
    fire_wake_core(sim, &wake);
    for (int i = 0; i < SIM_HOSTS_MAX; i++)
        if (sim->hosts[i].session != NULL)
            wake_host(sim, &sim->hosts[i]);
}
