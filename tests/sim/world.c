/* tests/sim/world.c - virtual time, chance, the story's phases, and how a violation is told */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "tests/sim/sim.h"
#include "tests/sim/story.h"

/* ---- chance: xorshift128+, seeded by splitmix64 */

static uint64_t mix_bits(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t sim_random(struct sim *sim)
{
    uint64_t a = sim->random[0];
    uint64_t b = sim->random[1];
    sim->random[0] = b;
    a ^= a << 23;
    sim->random[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
    return sim->random[1] + b;
}

uint64_t sim_below(struct sim *sim, uint64_t bound)
{
    return bound == 0 ? 0 : sim_random(sim) % bound;
}

bool sim_chance(struct sim *sim, uint32_t per_mille)
{
    return per_mille > 0 && sim_below(sim, 1000) < per_mille;
}

int64_t sim_around(struct sim *sim, int64_t mean)
{
    double part = (double)(sim_random(sim) >> 11) / 9007199254740992.0; /* 0 <= part < 1 */
    return (int64_t)(-log(1.0 - part) * (double)mean);
}

void sim_hash(struct sim *sim, const void *bytes, size_t size)
{
    const uint8_t *byte = bytes;
    for (size_t i = 0; i < size; i++)
        sim->hash = (sim->hash ^ byte[i]) * UINT64_C(1099511628211);
}

/* ---- telling */

void sim_trace(struct sim *sim, const char *format, ...)
{
    if (!sim->options.trace)
        return;
    va_list arguments;
    va_start(arguments, format);
    printf("[%10.3f] ", (double)sim->now_ms / 1000.0);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
}

const char *sim_word(const ProtobufCEnumDescriptor *type, int value)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(type, value);
    return found == NULL ? "(none)" : found->name;
}

static void print_story(FILE *stream, const struct story *story)
{
    fprintf(stream, " --story %s", story->plan->name);
    for (int i = 0; i < story->armed_count; i++)
        fprintf(stream, " --fail %s:%" PRIu64, failpoints[story->armed[i].point].name,
                story->armed[i].nth);
}

void sim_print_command(FILE *stream, const struct sim_options *options)
{
    fprintf(stream, " penstock-sim%s --seed %" PRIu64,
            options->plant < PLANT_COUNT ? "" : "-planted", options->seed);
    if (options->story != NULL)
        print_story(stream, options->story);
    else
        fprintf(stream, " --busy %" PRId64, options->busy_ms / 1000);
    if (options->hosts > 0)
        fprintf(stream, " --hosts %d", options->hosts);
    if (options->pipelines > 0)
        fprintf(stream, " --pipelines %d", options->pipelines);
    if (options->plant != PLANT_NONE)
        fprintf(stream, " --plant %d", (int)options->plant);
    if (options->calm || options->without == UINT64_MAX)
        fprintf(stream, " --calm");
    for (size_t kind = 0, told = 0;
         !options->calm && options->without != UINT64_MAX && faults_name(kind) != NULL; kind++)
        if ((options->without >> kind & 1) != 0)
            fprintf(stream, "%s%s", told++ == 0 ? " --without " : ",", faults_name(kind));
    fprintf(stream, " --trace\n");
}

void sim_fail(struct sim *sim, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout);
    fprintf(stderr, "VIOLATION at %.3f s, step %" PRIu64 ": ", (double)sim->now_ms / 1000.0,
            sim->steps);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nrepeat:");
    sim_print_command(stderr, &sim->options);
    if (sim->options.find) {
        fprintf(stderr, "found after %" PRIu64 " seeds\n",
                sim->options.seed - sim->options.first_seed + 1);
        _Exit(0);
    }
    _Exit(SIM_FAILED);
}

const char *sim_count_name(enum sim_count count)
{
    static const char *const names[COUNTS] = {
        [COUNT_MESSAGES] = "messages",
        [COUNT_LOST] = "lost",
        [COUNT_DUPLICATED] = "duplicated",
        [COUNT_LATE] = "late copies",
        [COUNT_CLOGS] = "clogs",
        [COUNT_SWIZZLES] = "swizzled clogs",
        [COUNT_CUTS] = "partitions",
        [COUNT_CORE_CRASHES] = "controller crashes",
        [COUNT_CORE_DISK_FULL] = "full disks of the controller",
        [COUNT_COMMIT_ERRORS] = "refused commits",
        [COUNT_CLOCK_JUMPS] = "clock jumps of the controller",
        [COUNT_AGENT_CRASHES] = "agent crashes",
        [COUNT_AGENT_PAUSES] = "stopped agents",
        [COUNT_CORE_PAUSES] = "stopped controllers",
        [COUNT_REBOOTS] = "reboots",
        [COUNT_SHIM_DEATHS] = "shim deaths",
        [COUNT_TORN] = "torn journals",
        [COUNT_DISKS_FULL] = "full disks of hosts",
        [COUNT_DISK_ERRORS] = "disk errors of hosts",
        [COUNT_WIPES] = "wiped spools",
        [COUNT_ROLL_BACKS] = "rolled-back spools",
        [COUNT_CLONES] = "cloned hosts",
        [COUNT_REQUESTS] = "requests of people",
        [COUNT_COMMITS] = "commits",
        [COUNT_FACTS] = "facts",
        [COUNT_GRANTS] = "grants",
        [COUNT_BEGINS] = "begins",
        [COUNT_EXECUTIONS] = "executions",
        [COUNT_ROLLBACKS] = "rollbacks",
        [COUNT_CONDITIONS] = "conditions checked",
        [COUNT_JOBS] = "jobs",
        [COUNT_MONTHS] = "months",
        [COUNT_RESTS] = "gates with what rests",
        [COUNT_HOOKS] = "calls of webhooks",
        [COUNT_PULLS] = "pull requests told",
        [COUNT_REFS] = "refs pushed",
        [COUNT_REVISIONS] = "announced revisions",
        [COUNT_UNPROVEN] = "unproven attempts",
        [COUNT_HANGS] = "runs that hang",
        [COUNT_FOLDS] = "folds compared",
        [COUNT_REMOVED] = "executions removed from history",
        [COUNT_LOGS_DROPPED] = "logs dropped",
    };
    return names[count];
}

const char *sim_plant_name(enum sim_plant plant)
{
    static const char *const names[PLANT_COUNT] = {
        [PLANT_NONE] = "none",
        [PLANT_ACK_BEFORE_COMMIT] = "acknowledge before commit",
        [PLANT_ACT_BEFORE_SYNC] = "act before the journal is durable",
        [PLANT_BEGAN_NOT_FOUND] = "an adopted run is said never to have begun",
        [PLANT_LOST_EVENT_RECORD] = "results not journalled",
        [PLANT_FORGOTTEN_ROW] = "a row of an attempt lost",
        [PLANT_STALE_ROW] = "an old body of a row kept",
        [PLANT_LOST_PLAN] = "nothing is planned again after a restart",
        [PLANT_DOUBLE_BEGIN] = "begun after the proof that it never began",
        [PLANT_WRONG_EXIT] = "a failure reported as success",
        [PLANT_EARLY_LOG] = "a log reported before it is stored",
        [PLANT_FENCE_REUSED] = "the fence counter goes back at a restart",
    };
    return names[plant];
}

/* ---- the queue */

struct sim_event *sim_at(struct sim *sim, int64_t in_ms, sim_fire_f fire)
{
    struct sim_event *event = mem_zero(sizeof *event);
    event->fire = fire;
    mem_arm(&sim->queue, &event->entry, sim->now_ms + (in_ms > 0 ? in_ms : 0));
    return event;
}

static void event_free(struct sim_event *event)
{
    free(event->data);
    free(event);
}

/* The host whose timer this is, NULL when it is an event. */
static struct host *timer_of(struct sim *sim, const struct pen_heap_entry *entry)
{
    for (int i = 0; i < SIM_HOSTS_MAX; i++)
        if (entry == &sim->hosts[i].timer)
            return &sim->hosts[i];
    return NULL;
}

static void fire(struct sim *sim, struct pen_heap_entry *entry)
{
    if (entry->at > sim->now_ms)
        sim->now_ms = entry->at;
    sim->steps++;
    sim_hash(sim, &sim->now_ms, sizeof sim->now_ms);
    pen_heap_disarm(&sim->queue, entry);
    struct host *host = timer_of(sim, entry);
    if (host != NULL) {
        host_timer(sim, host);
    } else if (entry == &sim->core.tick) {
        core_tick(sim);
    } else {
        struct sim_event *event = (struct sim_event *)entry;
        event->fire(sim, event);
        event_free(event);
    }
}

void sim_run_until(struct sim *sim, int64_t until_ms)
{
    for (;;) {
        struct pen_heap_entry *entry = pen_heap_first(&sim->queue);
        if (entry == NULL || entry->at > until_ms)
            break;
        if (sim->options.steps_max > 0 && sim->steps >= sim->options.steps_max)
            _Exit(0); /* seen as far as was asked for */
        fire(sim, entry);
    }
    sim->now_ms = until_ms;
}

/* ---- the story */

struct sim *sim_create(const struct sim_options *options)
{
    struct sim *sim = mem_zero(sizeof *sim);
    sim->options = *options;
    uint64_t state = options->seed;
    sim->random[0] = mix_bits(&state);
    sim->random[1] = mix_bits(&state) | 1;
    sim->hash = UINT64_C(14695981039346656037);
    sim->now_ms = 1000;
    sim->hosts_count = 2 + (int)sim_below(sim, SIM_HOSTS - 1);
    sim->pipelines_count =
        sim_chance(sim, 300) ? SIM_PIPELINES : 3 + (int)sim_below(sim, SIM_PIPELINES - 3);
    if (options->hosts > 0)
        sim->hosts_count = options->hosts;
    if (options->pipelines > 0)
        sim->pipelines_count = options->pipelines;
    disk_attach(sim);
    faults_draw(sim);
    sim->story = options->story;
    if (sim->story != NULL) {
        sim->mix = (struct sim_mix){.delay_ms = 5};
        sim->hosts_count = STORY_HOSTS;
        sim->pipelines_count = 1;
    }
    auditor_create(sim);
    core_start(sim);
    for (int i = 0; i < sim->hosts_count; i++)
        host_init(sim, i);
    return sim;
}

void sim_destroy(struct sim **self_p)
{
    struct sim *sim = *self_p;
    if (sim == NULL)
        return;
    for (int i = 0; i < SIM_HOSTS_MAX; i++) {
        pen_heap_disarm(&sim->queue, &sim->hosts[i].timer);
        host_release(sim, &sim->hosts[i]);
    }
    pen_heap_disarm(&sim->queue, &sim->core.tick);
    core_release(sim);
    struct pen_heap_entry *entry;
    while ((entry = pen_heap_first(&sim->queue)) != NULL) {
        pen_heap_disarm(&sim->queue, entry);
        event_free((struct sim_event *)entry);
    }
    pen_heap_release(&sim->queue);
    struct run *run;
    while ((run = pen_map_first_value(&sim->runs)) != NULL) {
        pen_map_remove(&sim->runs, pen_map_key(pen_map_first(&sim->runs)));
        for (size_t i = 0; i < run->outputs; i++)
            free(run->output_names[i]);
        free(run->output_names);
        free(run->action_execution_id);
        free(run);
    }
    pen_map_release(&sim->runs);
    for (int i = 0; i < SIM_PIPELINES; i++) {
        free(sim->pipelines[i].token);
        free(sim->pipelines[i].token_execution_id);
        free(sim->pipelines[i].hook_secret);
        free(sim->pipelines[i].revision_execution_id);
    }
    free(sim->connection_id);
    free(sim->connection_arn);
    free(sim->refs.pipeline);
    mem_free_message(sim->pull);
    auditor_destroy(sim);
    free(sim);
    *self_p = NULL;
}

void sim_run(struct sim *sim)
{
    enum { LOST_MS = 300 * 1000, MINUTE_MS = 60 * 1000 };
    people_begin(sim);
    collect_begin(sim);
    if (!sim->options.calm)
        faults_begin(sim);
    sim_run_until(sim, sim->now_ms + sim->options.busy_ms);
    sim_trace(sim, "-- quiet: no more faults, nobody starts anything");
    sim->quiet = true;
    faults_end(sim);
    people_quiet(sim);
    auditor_quiet(sim);
    /* A long queue may take its time, as long as it moves. */
    uint64_t pending = auditor_pending(sim);
    for (int64_t end = sim->now_ms + LOST_MS + 10 * MINUTE_MS; sim->now_ms < end;) {
        sim_run_until(sim, sim->now_ms + 5000);
        people_decide_all(sim, false);
        if (auditor_pending(sim) < pending)
            end = sim->now_ms + LOST_MS + 10 * MINUTE_MS;
        pending = auditor_pending(sim);
    }
    auditor_check_quiet(sim);
    core_check_fold(sim);
    uint64_t left = auditor_left(sim);
    for (int64_t end = sim->now_ms + 60 * MINUTE_MS; left > 0 && sim->now_ms < end;) {
        people_decide_all(sim, true);
        sim_run_until(sim, sim->now_ms + MINUTE_MS / 2);
        if (auditor_left(sim) < left)
            end = sim->now_ms + 60 * MINUTE_MS;
        left = auditor_left(sim);
    }
    sim_run_until(sim, sim->now_ms + 10 * MINUTE_MS); /* what was abandoned ends, too */
    collect_ask(sim, false);
    sim_run_until(sim,
                  sim->now_ms + 2 * MINUTE_MS); /* perhaps it was a preview that was under way */
    collect_ask(sim, false);
    sim_run_until(sim, sim->now_ms + 5 * MINUTE_MS);
    auditor_check_history(sim);
    auditor_check_end(sim);
    core_check_fold(sim);
    sim->over = true;
}
