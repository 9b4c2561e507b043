/* tests/sim/faults.c - each seed draws its own mix of faults; the quiet phase repairs everything */
#include <stddef.h>
#include <string.h>

#include "common/base/check.h"
#include "tests/sim/sim.h"

/* Half of the seeds go without. */
static uint32_t maybe(struct sim *sim, uint32_t low, uint32_t high)
{
    uint32_t value = low + (uint32_t)sim_below(sim, high - low + 1);
    return sim_chance(sim, 500) ? value : 0;
}

/* What --without can switch off. */
static const struct {
    const char *name;
    size_t at; /* of its number in the mix */
} kinds[] = {
    {"loss", offsetof(struct sim_mix, loss_pm)},
    {"duplicates", offsetof(struct sim_mix, duplicate_pm)},
    {"late-copies", offsetof(struct sim_mix, late_pm)},
    {"delays", offsetof(struct sim_mix, delay_ms)},
    {"clogs", offsetof(struct sim_mix, clog_s)},
    {"swizzles", offsetof(struct sim_mix, swizzle_s)},
    {"partitions", offsetof(struct sim_mix, cut_s)},
    {"controller-crashes", offsetof(struct sim_mix, core_crash_pm)},
    {"controller-stops", offsetof(struct sim_mix, core_stop_s)},
    {"controller-disk", offsetof(struct sim_mix, core_disk_full_s)},
    {"refused-commits", offsetof(struct sim_mix, commit_error_pm)},
    {"clock-jumps", offsetof(struct sim_mix, clock_jump_s)},
    {"agent-crashes", offsetof(struct sim_mix, agent_crash_pm)},
    {"agent-stops", offsetof(struct sim_mix, agent_stop_s)},
    {"reboots", offsetof(struct sim_mix, reboot_s)},
    {"shim-deaths", offsetof(struct sim_mix, shim_death_s)},
    {"disk-full", offsetof(struct sim_mix, disk_full_s)},
    {"disk-errors", offsetof(struct sim_mix, disk_error_pm)},
    {"wipes", offsetof(struct sim_mix, wipe_s)},
    {"roll-backs", offsetof(struct sim_mix, roll_back_s)},
    {"clones", offsetof(struct sim_mix, clone_s)},
    {"agent-pauses", offsetof(struct sim_mix, agent_pause_s)},
    {"agent-pauses-at-work", offsetof(struct sim_mix, agent_pause_pm)},
    {"controller-pauses", offsetof(struct sim_mix, core_pause_s)},
    {"controller-pauses-at-work", offsetof(struct sim_mix, core_pause_pm)},
    {"months", offsetof(struct sim_mix, month_s)},
    {"drift", offsetof(struct sim_mix, drift_pm)},
    {"failing-actions", offsetof(struct sim_mix, action_fails_pm)},
};

const char *faults_name(size_t kind)
{
    return kind < sizeof kinds / sizeof kinds[0] ? kinds[kind].name : NULL;
}

int faults_kind(const char *name, size_t size)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strlen(kinds[i].name) == size && memcmp(kinds[i].name, name, size) == 0)
            return (int)i;
    return -1;
}

static void switch_off(struct sim_mix *mix, uint64_t without)
{
    const uint32_t none = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if ((without >> i & 1) != 0)
            memcpy((uint8_t *)mix + kinds[i].at, &none, sizeof none);
}

void faults_draw(struct sim *sim)
{
    struct sim_mix *mix = &sim->mix;
    *mix = (struct sim_mix){
        .loss_pm = maybe(sim, 1, 300),
        .duplicate_pm = maybe(sim, 1, 300),
        .late_pm = maybe(sim, 1, 50),
        .late_s = 600 + (uint32_t)sim_below(sim, 10000),
        .delay_ms = maybe(sim, 1, 800),
        .disorder = sim_chance(sim, 500),
        .clog_s = maybe(sim, 20, 300),
        .swizzle_s = maybe(sim, 120, 1200),
        .cut_s = maybe(sim, 30, 600),
        .core_crash_pm = maybe(sim, 1, 20),
        .core_stop_s = maybe(sim, 60, 1200),
        .core_disk_full_s = maybe(sim, 120, 1800),
        .commit_error_pm = maybe(sim, 1, 10),
        .clock_jump_s = maybe(sim, 300, 3000),
        .agent_crash_pm = maybe(sim, 1, 60),
        .agent_stop_s = maybe(sim, 60, 600),
        .reboot_s = maybe(sim, 120, 1200),
        .shim_death_s = maybe(sim, 10, 200),
        .disk_full_s = maybe(sim, 60, 1200),
        .disk_error_pm = maybe(sim, 1, 20),
        .agent_pause_s = maybe(sim, 60, 1200),
        .agent_pause_pm = maybe(sim, 1, 10),
        .core_pause_s = maybe(sim, 120, 2400),
        .core_pause_pm = maybe(sim, 1, 3),
        .drift_pm = maybe(sim, 1, 10),
        .action_fails_pm = maybe(sim, 10, 300),
        .people_s = 5 + (uint32_t)sim_below(sim, 40),
    };
    if (sim_chance(sim, 300)) { /* rare in life, and hiding: what they break cannot be proven */
        mix->wipe_s = maybe(sim, 600, 3600);
        mix->roll_back_s = maybe(sim, 300, 1800);
        mix->clone_s = maybe(sim, 600, 3600);
    }
    if (sim_chance(sim, 400))
        mix->month_s = maybe(sim, 900, 3600);
    if (sim->options.plant == PLANT_ACT_BEFORE_SYNC ||
        sim->options.plant == PLANT_DOUBLE_BEGIN) { /* seen only by agents that die at work */
        mix->agent_crash_pm = 60;
        mix->reboot_s = 300;
    }
    switch_off(mix, sim->options.without);
    if (sim->options.calm)
        *mix = (struct sim_mix){.people_s = mix->people_s};
}

/* A fault that comes again and again: number is the mean in ms, flag is not used. */
static void again(struct sim *sim, uint32_t mean_s, sim_fire_f fire)
{
    if (mean_s > 0 && !sim->quiet)
        sim_at(sim, sim_around(sim, (int64_t)mean_s * 1000), fire);
}

static struct host *some_host(struct sim *sim)
{
    struct host *host = &sim->hosts[sim_below(sim, SIM_HOSTS_MAX)];
    return host->exists ? host : &sim->hosts[0];
}

static void fire_core_stop(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (!sim->quiet)
        core_crash(sim, "between turns");
    again(sim, sim->mix.core_stop_s, fire_core_stop);
}

static void fire_agent_stop(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (!sim->quiet)
        host_crash_agent(sim, some_host(sim), "between turns");
    again(sim, sim->mix.agent_stop_s, fire_agent_stop);
}

static void fire_agent_pause(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (!sim->quiet)
        pause_agent(sim, some_host(sim), "between turns");
    again(sim, sim->mix.agent_pause_s, fire_agent_pause);
}

static void fire_core_pause(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (!sim->quiet)
        pause_controller(sim, "between turns");
    again(sim, sim->mix.core_pause_s, fire_core_pause);
}

static void fire_reboot(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (!sim->quiet)
        host_power_off(sim, some_host(sim), "between turns");
    again(sim, sim->mix.reboot_s, fire_reboot);
}

static void fire_shim_death(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (!sim->quiet)
        shim_die(sim, some_host(sim));
    again(sim, sim->mix.shim_death_s, fire_shim_death);
}

static void fire_wipe(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (!sim->quiet)
        host_wipe(sim, some_host(sim));
    again(sim, sim->mix.wipe_s, fire_wipe);
}

static void fire_roll_back(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (!sim->quiet)
        host_roll_back(sim, some_host(sim));
    again(sim, sim->mix.roll_back_s, fire_roll_back);
}

static void fire_clone(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (!sim->quiet)
        host_clone(sim, some_host(sim));
    again(sim, sim->mix.clone_s, fire_clone);
}

static void fire_clog(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (!sim->quiet) {
        sim->counts[COUNT_CLOGS]++;
        some_host(sim)->clogged_until_ms = sim->now_ms + (int64_t)sim_below(sim, 15000);
    }
    again(sim, sim->mix.clog_s, fire_clog);
}

static void fire_clog_one(struct sim *sim, struct sim_event *event)
{
    sim->hosts[event->host].clogged_until_ms = (int64_t)event->number;
}

/* Every link stops, one after the other, and they come back in another order. */
static void fire_swizzle(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (!sim->quiet) {
        sim->counts[COUNT_SWIZZLES]++;
        sim_trace(sim, "the links of all hosts stop, one after the other");
        int64_t stopped_ms = 1000 + (int64_t)sim_below(sim, 20000);
        for (int i = 0; i < SIM_HOSTS_MAX; i++) {
            struct sim_event *one =
                sim_at(sim, (int64_t)sim_below(sim, (uint64_t)stopped_ms), fire_clog_one);
            one->host = i;
            one->number = (uint64_t)(sim->now_ms + stopped_ms + (int64_t)sim_below(sim, 20000));
        }
    }
    again(sim, sim->mix.swizzle_s, fire_swizzle);
}

static void fire_space(struct sim *sim, struct sim_event *event)
{
    host_fill_disk(sim, &sim->hosts[event->host], false);
}

static void fire_disk(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (!sim->quiet) {
        struct host *host = some_host(sim);
        host_fill_disk(sim, host, true);
        int64_t for_ms = 100 + sim_around(sim, sim_chance(sim, 800) ? 60000 : 900000);
        sim_at(sim, for_ms, fire_space)->host = host->index;
    }
    again(sim, sim->mix.disk_full_s, fire_disk);
}

static void fire_clock(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (!sim->quiet)
        core_set_clock(sim, sim_around(sim, sim_chance(sim, 700) ? 5000 : 900000) *
                                (sim_chance(sim, 300) ? -1 : 1));
    again(sim, sim->mix.clock_jump_s, fire_clock);
}

/* 30 days, a little more or a little less. */
static void fire_month_over(struct sim *sim, struct sim_event *event)
{
    (void)event;
    const int64_t day_ms = INT64_C(24) * 3600 * 1000;
    if (sim->quiet)
        return;
    sim->counts[COUNT_MONTHS]++;
    people_forget(sim);
    core_sleep(sim, 30 * day_ms + sim_around(sim, day_ms) - (sim_chance(sim, 200) ? day_ms : 0));
}

static void fire_month(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (!sim->quiet) {
        people_freeze(sim);
        sim_at(sim, 60000 + sim_around(sim, 120000), fire_month_over);
    }
    again(sim, sim->mix.month_s, fire_month);
}

static void fire_core_disk(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (!sim->quiet)
        core_fill_disk(sim, sim_around(sim, sim_chance(sim, 800) ? 20000 : 600000),
                       sim_chance(sim, 500));
    again(sim, sim->mix.core_disk_full_s, fire_core_disk);
}

static void heal(struct sim *sim, struct host *host)
{
    if (!host->cut_in && !host->cut_out)
        return;
    host->cut_in = host->cut_out = false;
    sim_trace(sim, "%s is connected again", host->name);
    if (sim_chance(sim, 500)) /* keep-alive has ended the connection meanwhile */
        net_drop_link(sim, host, true, sim_chance(sim, 500));
}

static void fire_heal(struct sim *sim, struct sim_event *event)
{
    heal(sim, &sim->hosts[event->host]);
}

static void cut(struct sim *sim, struct host *host, uint64_t kind, int64_t for_ms)
{
    if (!host->exists)
        return;
    host->cut_in = kind != 0;
    host->cut_out = kind != 1;
    sim->counts[COUNT_CUTS]++;
    sim_trace(sim, "%s is cut off%s%s", host->name, host->cut_in ? " in" : "",
              host->cut_out ? " out" : "");
    sim_at(sim, for_ms, fire_heal)->host = host->index;
}

/* One way or both, one host or all of them. */
static void fire_cut(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (!sim->quiet) {
        static const int64_t means_ms[] = {10000, 60000, 600000, 3600000};
        int64_t for_ms = 100 + sim_around(sim, means_ms[sim_below(sim, 4)]);
        uint64_t kind = sim_below(sim, 3);
        bool all = sim_chance(sim, 100);
        for (int i = 0; all && i < SIM_HOSTS_MAX; i++)
            cut(sim, &sim->hosts[i], kind, for_ms);
        if (!all)
            cut(sim, some_host(sim), kind, for_ms);
    }
    again(sim, sim->mix.cut_s, fire_cut);
}

void faults_begin(struct sim *sim)
{
    const struct sim_mix *mix = &sim->mix;
    again(sim, mix->core_stop_s, fire_core_stop);
    again(sim, mix->agent_stop_s, fire_agent_stop);
    again(sim, mix->agent_pause_s, fire_agent_pause);
    again(sim, mix->core_pause_s, fire_core_pause);
    again(sim, mix->reboot_s, fire_reboot);
    again(sim, mix->shim_death_s, fire_shim_death);
    again(sim, mix->wipe_s, fire_wipe);
    again(sim, mix->roll_back_s, fire_roll_back);
    again(sim, mix->clone_s, fire_clone);
    again(sim, mix->clog_s, fire_clog);
    again(sim, mix->swizzle_s, fire_swizzle);
    again(sim, mix->cut_s, fire_cut);
    again(sim, mix->core_disk_full_s, fire_core_disk);
    again(sim, mix->clock_jump_s, fire_clock);
    again(sim, mix->month_s, fire_month);
    again(sim, mix->disk_full_s, fire_disk);
}

void faults_end(struct sim *sim)
{
    uint32_t fails = sim->mix.action_fails_pm;
    sim->mix = (struct sim_mix){.delay_ms = 5, .action_fails_pm = fails, .people_s = 0};
    core_start(sim);
    pause_end(sim);
    sim->core.disk_full_until_ms = 0;
    for (int i = 0; i < SIM_HOSTS_MAX; i++) {
        struct host *host = &sim->hosts[i];
        if (!host->exists)
            continue;
        heal(sim, host);
        host_fill_disk(sim, host, false);
        host->clogged_until_ms = sim->now_ms;
        if (!host->powered)
            host_power_on(sim, host);
        host_start_agent(sim, host);
    }
}
