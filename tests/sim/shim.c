/* tests/sim/shim.c - what truly runs on hosts, and the data plane
 *
 * The run's state is the ground truth. Its files (began, exit, lock) outlive the agent's process
 * and vanish with the boot, as on a tmpfs.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "tests/sim/sim.h"
#include "tests/sim/story.h"

static uint64_t run_key(const struct host *host, uint64_t fence)
{
    return fence * SIM_HOSTS_MAX + (uint64_t)host->index;
}

struct run *shim_run(struct sim *sim, const struct host *host, uint64_t fence)
{
    return pen_map_get(&sim->runs, pen_key_number(run_key(host, fence)));
}

/* ---- reports: to the process that is there when they arrive */

static void report(struct sim *sim, struct host *host, const struct run *run,
                   enum pen_session_input_kind kind)
{
    Pen__ShimExit shim_exit;
    pen__shim_exit__init(&shim_exit);
    struct pen_session_input input = {
        .kind = kind, .fence = run->fence, .flag = run->began && !run->lost_files};
    if (kind == PEN_IN_BEGAN)
        input.began = (struct pen_session_began){1, 1, sim->now_ms, "namespaces"};
    if (kind == PEN_IN_EXITED) {
        int32_t code =
            sim->options.plant == PLANT_WRONG_EXIT && sim_chance(sim, 100) ? 0 : run->exit_code;
        if (run->killed)
            SET(&shim_exit, killed, true);
        else
            SET(&shim_exit, exit_code, code);
        SET(&shim_exit, log_size, run->log_size);
        input.exit = &shim_exit;
    }
    if (kind == PEN_IN_SETUP_FAILED)
        input.text = "no workspace could be made";
    host_feed(sim, host, &input);
}

static void fire_report(struct sim *sim, struct sim_event *event)
{
    struct host *host = &sim->hosts[event->host];
    const struct run *run = shim_run(sim, host, event->number);
    if (host->session != NULL && host->process == event->stamp && run != NULL &&
        !pause_defers(sim, host, event))
        report(sim, host, run, (enum pen_session_input_kind)event->link);
}

static void report_soon(struct sim *sim, struct host *host, uint64_t fence,
                        enum pen_session_input_kind kind, int64_t in_ms)
{
    struct sim_event *event = sim_at(sim, in_ms, fire_report);
    event->host = host->index;
    event->stamp = host->process;
    event->number = fence;
    event->link = (uint64_t)kind;
}

/* ---- a run */

static int64_t story_runs_ms(const struct run *run)
{
    return run->lasts ? STORY_LONG_MS : STORY_RUNS_MS;
}

static void run_end(struct sim *sim, struct host *host, struct run *run, bool killed)
{
    if (run->state != RUN_BEGAN)
        return;
    run->state = RUN_EXITED;
    run->killed = killed;
    sim_trace(sim, "%s: fence %" PRIu64 " ends, %s %d", host->name, run->fence,
              killed ? "killed" : "status", (int)run->exit_code);
    report_soon(sim, host, run->fence, PEN_IN_EXITED, 2);
}

static void fire_end(struct sim *sim, struct sim_event *event)
{
    struct host *host = &sim->hosts[event->host];
    struct run *run = shim_run(sim, host, event->number);
    if (run == NULL || run->boot != event->stamp || run->state != RUN_BEGAN)
        return;
    if (failpoint_run(sim, host, run, PLACE_ENDING) && run->state != RUN_BEGAN)
        return;
    run_end(sim, host, run, event->flag);
    (void)failpoint_run(sim, host, run, PLACE_EXITED);
}

static void fire_begin(struct sim *sim, struct sim_event *event)
{
    struct host *host = &sim->hosts[event->host];
    struct run *run = shim_run(sim, host, event->number);
    if (run == NULL || run->boot != event->stamp || run->state != RUN_SPAWNED)
        return;
    if (failpoint_run(sim, host, run, PLACE_SPAWNED)) { /* still to begin when the agent is back */
        struct sim_event *later = sim_at(sim, 2 * STORY_DOWN_MS, fire_begin);
        later->host = event->host;
        later->number = event->number;
        later->stamp = event->stamp;
        return;
    }
    run->state = RUN_BEGAN;
    run->began = true;
    sim->counts[COUNT_BEGINS]++;
    sim_trace(sim, "%s: fence %" PRIu64 " begins", host->name, run->fence);
    auditor_began(sim, run);
    if (failpoint_run(sim, host, run, PLACE_BEGAN) && run->state != RUN_BEGAN)
        return;
    report_soon(sim, host, run->fence, PEN_IN_BEGAN, 1);
    if (sim->story == NULL && sim_below(sim, 300) == 0 && run->may_hang) {
        sim->counts[COUNT_HANGS]++;
        return; /* it hangs, and nothing on its host minds: whoever tells it to ends it */
    }
    int64_t runs_ms =
        sim_chance(sim, 850) ? sim_around(sim, 15000) : (int64_t)sim_below(sim, SIM_RUN_MS);
    struct sim_event *end =
        sim_at(sim, sim->story != NULL ? story_runs_ms(run) : 5 + runs_ms, fire_end);
    end->host = host->index;
    end->number = run->fence;
    end->stamp = run->boot;
}

void shim_start(struct sim *sim, struct host *host, const Pen__Capsule *capsule)
{
    struct run *run = shim_run(sim, host, capsule->fence);
    auditor_start(sim, host, capsule);
    if (run != NULL && run->began)
        sim_fail(sim, "ONCE: %s is told by its session to start fence %" PRIu64 " again",
                 host->name, capsule->fence);
    if (run == NULL) { /* else its journal was lost with the power before anything began */
        run = mem_zero(sizeof *run);
        mem_put(&sim->runs, pen_key_number(run_key(host, capsule->fence)), run);
    }
    run->fence = capsule->fence;
    run->host = host->index;
    run->boot = host->boot;
    run->once = capsule->action_class == PEN__ACTION_CLASS__ONCE;
    run->may_hang = capsule->timeout_ms <= SIM_TIMEOUT_MS;
    run->lasts = pen_str_equal(capsule->action, "L");
    mem_set_text(&run->action_execution_id, capsule->action_execution_id);
    run->exit_code =
        story_exit_code(sim, capsule, sim_chance(sim, sim->mix.action_fails_pm) ? 1 : 0);
    run->log_size = 1 + sim_below(sim, 5000);
    run->state = RUN_SPAWNED;
    if (sim_below(sim, 200) == 0 && sim->story == NULL) {
        run->state = RUN_GONE;
        run->log_size = 0;
        report_soon(sim, host, run->fence, PEN_IN_SETUP_FAILED, 3);
        return;
    }
    struct sim_event *event =
        sim_at(sim, 1 + sim_around(sim, sim_chance(sim, 100) ? 2000 : 10), fire_begin);
    event->host = host->index;
    event->number = run->fence;
    event->stamp = run->boot;
}

void shim_adopt(struct sim *sim, struct host *host, uint64_t fence)
{
    struct run *run = shim_run(sim, host, fence);
    if (run == NULL) { /* the process died between its journal and the shim */
        run = mem_zero(sizeof *run);
        run->fence = fence;
        run->host = host->index;
        run->boot = host->boot;
        run->state = RUN_GONE;
        mem_put(&sim->runs, pen_key_number(run_key(host, fence)), run);
    }
    switch (run->state) {
    case RUN_SPAWNED: /* who takes the lock first decides */
        if (sim_chance(sim, 500))
            return;
        if (sim->options.plant != PLANT_DOUBLE_BEGIN)
            run->state = RUN_GONE;
        report_soon(sim, host, fence, PEN_IN_VANISHED, 1);
        return;
    case RUN_BEGAN:
        if (sim->options.plant == PLANT_BEGAN_NOT_FOUND) {
            run->state = RUN_GONE;
            run->lost_files = true;
            report_soon(sim, host, fence, PEN_IN_VANISHED, 1);
        } else {
            report_soon(sim, host, fence, PEN_IN_BEGAN, 1);
        }
        return;
    case RUN_EXITED:
        report_soon(sim, host, fence, PEN_IN_BEGAN, 1);
        report_soon(sim, host, fence, PEN_IN_EXITED, 2);
        return;
    case RUN_GONE:
        report_soon(sim, host, fence, PEN_IN_VANISHED, 1);
        return;
    }
}

void shim_kill(struct sim *sim, struct host *host, uint64_t fence, uint32_t grace_ms)
{
    struct run *run = shim_run(sim, host, fence);
    if (run == NULL)
        return;
    if (run->state == RUN_SPAWNED) {
        run->state = RUN_GONE;
        report_soon(sim, host, fence, PEN_IN_VANISHED, 1);
        return;
    }
    struct sim_event *event = sim_at(sim, (int64_t)sim_below(sim, grace_ms + 1), fire_end);
    event->host = host->index;
    event->number = fence;
    event->stamp = run->boot;
    event->flag = true;
}

/* One shim of this host is killed, and what it keeps with it. */
void shim_die(struct sim *sim, struct host *host)
{
    for (struct pen_map_node *node = pen_map_first(&sim->runs); node != NULL;
         node = pen_map_next(node)) {
        struct run *run = pen_map_value(node);
        if (run->host != host->index || run->boot != host->boot ||
            (run->state != RUN_BEGAN && run->state != RUN_SPAWNED))
            continue;
        run->state = RUN_GONE;
        sim->counts[COUNT_SHIM_DEATHS]++;
        sim_trace(sim, "%s: the shim of fence %" PRIu64 " is killed", host->name, run->fence);
        report_soon(sim, host, run->fence, PEN_IN_VANISHED, 2);
        return;
    }
}

void shim_power_off(struct sim *sim, struct host *host)
{
    for (struct pen_map_node *node = pen_map_first(&sim->runs); node != NULL;
         node = pen_map_next(node)) {
        struct run *run = pen_map_value(node);
        if (run->host == host->index && (run->state == RUN_BEGAN || run->state == RUN_SPAWNED))
            run->state = RUN_GONE;
    }
}

/* ---- outputs */

static void fire_packed(struct sim *sim, struct sim_event *event)
{
    struct host *host = &sim->hosts[event->host];
    if (host->session == NULL || host->process != event->stamp || pause_defers(sim, host, event))
        return;
    const Pen__Capsule *capsule = pen_session_capsule(host->session, event->number);
    if (capsule == NULL)
        return;
    if (sim_below(sim, 100) == 0 && sim->story == NULL) {
        struct pen_session_input failed = {
            .kind = PEN_IN_PACK_FAILED, .fence = event->number, .text = "no file matches"};
        host_feed(sim, host, &failed);
        return;
    }
    Pen__ArtifactRef refs[8];
    Pen__ArtifactRef *pointers[8];
    uint8_t sha[32] = {0};
    memcpy(sha, &event->number, sizeof event->number);
    CHECK(capsule->n_outputs <= 8);
    for (size_t i = 0; i < capsule->n_outputs; i++) {
        pen__artifact_ref__init(&refs[i]);
        refs[i].name = capsule->outputs[i]->name;
        refs[i].has_manifest_sha256 = refs[i].has_size = 1;
        refs[i].manifest_sha256 = (ProtobufCBinaryData){sizeof sha, sha};
        refs[i].size = 1000;
        pointers[i] = &refs[i];
    }
    struct pen_session_input input = {.kind = PEN_IN_PACKED,
                                      .fence = event->number,
                                      .artifacts = pointers,
                                      .artifacts_count = capsule->n_outputs};
    host_feed(sim, host, &input);
}

void shim_pack(struct sim *sim, struct host *host, const Pen__Capsule *capsule)
{
    struct sim_event *event = sim_at(sim, 5 + sim_around(sim, 200), fire_packed);
    event->host = host->index;
    event->stamp = host->process;
    event->number = capsule->fence;
}
