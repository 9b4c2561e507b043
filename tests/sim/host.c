/* tests/sim/host.c - a host with its agent: the real session, a journal on a disk, power
 *
 * A turn of the agent does what agent/app does: write the journal, perform, sync, perform what had
 * to wait. Between any two of these the process or the whole host may die.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "tests/sim/sim.h"
#include "tests/sim/story.h"

enum {
    JOURNAL_CAPACITY = 16 * 1024, /* of each file at first: compaction and growth are daily life */
    JOURNAL_MAX = 4 * 1024 * 1024,
    DIED = 1, /* ends of a turn */
    HELD = 2,
};

static int64_t local_ms(const struct sim *sim, const struct host *host)
{
    return host->clock_offset_ms + sim->now_ms + sim->now_ms * host->drift_pm / 1000;
}

bool host_serves(const struct host *host)
{
    return host->exists && host->session != NULL && host->agent_id != NULL && !host->denied;
}

/* ---- enrolment: a person makes a token, the agent spends it */

static void fire_enrol(struct sim *sim, struct sim_event *event)
{
    struct host *host = &sim->hosts[event->host];
    if (host->agent_id != NULL || !host->exists)
        return;
    Pen__CreateToken *request = MAKE(Pen__CreateToken, pen__create_token__init);
    host->enrolments++;
    request->has_public_key = 1;
    request->public_key.len = 32;
    request->public_key.data = mem_zero(32);
    request->public_key.data[0] = (uint8_t)(100 + host->index);
    memcpy(request->public_key.data + 1, &host->enrolments, sizeof host->enrolments);
    SET(request, slots, SIM_SLOTS);
    SET(request, ttl_ms, 3600000);
    Pen__Input *input = core_input(PEN__INPUT__WHAT_CREATE_TOKEN, request);
    input->principal = mem_text("arn:aws:iam::000000000000:user/root");
    SET(input, correlation, ++sim->correlation);
    sim->requests[sim->correlation % SIM_REQUESTS] =
        (struct request){.correlation = sim->correlation,
                         .what = PEN__INPUT__WHAT_CREATE_TOKEN,
                         .pipeline = host->index,
                         .number = host->enrolments};
    core_post(sim, input);
    sim_at(sim, 3000, fire_enrol)->host = host->index;
}

void host_enrol(struct sim *sim, struct host *host)
{
    sim_at(sim, (int64_t)sim_below(sim, 200), fire_enrol)->host = host->index;
}

void host_enrolled(struct sim *sim, struct host *host, const char *agent_id)
{
    if (host->agent_id != NULL)
        return;
    host->agent_id = mem_text(agent_id);
    sim_trace(sim, "%s is enrolled as %s", host->name, agent_id);
    host_start_agent(sim, host);
}

void host_init(struct sim *sim, int index)
{
    struct host *host = &sim->hosts[index];
    host->index = index;
    host->exists = host->powered = true;
    char *name = mem_format("h%d", index);
    (void)pen_str_copy(host->name, sizeof host->name, name);
    free(name);
    host->spool_id = mem_format("spool-%d-%" PRIu64, index, ++sim->stamps);
    host->machine_id = mem_format("machine-%d", index);
    host->clock_offset_ms = (int64_t)sim_below(sim, 1000000000);
    if (sim->mix.drift_pm > 0)
        host->drift_pm = (int64_t)sim_below(sim, 2 * sim->mix.drift_pm + 1) - sim->mix.drift_pm;
    host_power_on(sim, host);
    host_enrol(sim, host);
}

/* ---- the process */

static void arm_timer(struct sim *sim, struct host *host)
{
    int64_t deadline = pen_session_deadline_ms(host->session);
    if (deadline == INT64_MAX) {
        pen_heap_disarm(&sim->queue, &host->timer);
        return;
    }
    int64_t rate = 1000 + host->drift_pm;
    int64_t at = (deadline - host->clock_offset_ms) * 1000 / rate + 1;
    mem_arm(&sim->queue, &host->timer, at > sim->now_ms ? at : sim->now_ms + 1);
}

static void perform(struct sim *sim, struct host *host, const struct pen_session_effect *effect)
{
    switch (effect->kind) {
    case PEN_OUT_SEND:
        net_to_core(sim, host, effect->message);
        break;
    case PEN_OUT_OPEN_DATA:
        break;
    case PEN_OUT_START:
        shim_start(sim, host, effect->capsule);
        break;
    case PEN_OUT_KILL:
        shim_kill(sim, host, effect->fence, effect->grace_ms);
        break;
    case PEN_OUT_ADOPT:
        shim_adopt(sim, host, effect->fence);
        break;
    case PEN_OUT_PACK:
        shim_pack(sim, host, effect->capsule);
        break;
    case PEN_OUT_UPLOAD:
        data_upload(sim, host, effect->fence, effect->artifact);
        break;
    case PEN_OUT_LOG_DONE:
        data_log(sim, host, effect->fence, effect->number);
        break;
    case PEN_OUT_RELEASE:
        data_release(sim, host, effect->fence);
        break;
    case PEN_OUT_SUPERSEDED:
        sim_trace(sim, "%s is told: %s", host->name, effect->text);
        if (effect->refused_code == PEN__REFUSED_CODE__SUPERSEDED) {
            if (!host->rival)
                sim_fail(sim,
                         "SESSION: %s is alone with its key and is told that another process "
                         "serves with it: its agent would end",
                         host->name);
            host->crashed = true;
        }
        break;
    }
}

/* At a boundary of the turn: maybe the end of the process, or of the host. */
static bool dies_for_certain(struct sim *sim, struct host *host, struct pen_session_out *out,
                             const char *where)
{
    pen_session_turn_done(host->session, out);
    if (sim->mix.reboot_s > 0 && sim_chance(sim, 300))
        host_power_off(sim, host, where);
    else
        host_crash_agent(sim, host, where);
    return true;
}

static bool dies(struct sim *sim, struct host *host, struct pen_session_out *out, const char *where)
{
    return sim_chance(sim, sim->mix.agent_crash_pm) && dies_for_certain(sim, host, out, where);
}

static int write_records(struct sim *sim, struct host *host, const struct pen_session_out *out,
                         struct pen_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < out->records_count; i++) {
        bool event = out->records[i]->what_case == PEN__JOURNAL_RECORD__WHAT_EVENT &&
                     out->records[i]->event->event->what_case == PEN__EVENT__WHAT_FINISHED;
        if (!event || sim->options.plant != PLANT_LOST_EVENT_RECORD)
            rc = pen_journal_append(host->journal, out->records[i], err);
    }
    return rc < 0 ? rc : pen_journal_write(host->journal, err);
}

static void perform_all(struct sim *sim, struct host *host, const struct pen_session_out *out,
                        bool after_sync)
{
    bool early = sim->options.plant == PLANT_ACT_BEFORE_SYNC;
    for (size_t i = 0; i < out->effects_count; i++) {
        bool later = out->effects[i].after_sync && !early;
        if (later == after_sync)
            perform(sim, host, &out->effects[i]);
    }
}

static int compact(struct sim *sim, struct host *host, struct pen_error *err)
{
    struct pen_session_out out = {0};
    if (pen_session_snapshot(host->session, &out, err) < 0)
        sim_fail(sim, "snapshot: %s", err->message);
    int rc = pen_journal_compact(host->journal, out.records, out.records_count, err);
    pen_session_turn_done(host->session, &out);
    return rc;
}

/* What an agent does whose journal fails: nothing more. The next process begins from the disk. */
static void journal_failed(struct sim *sim, struct host *host, const struct pen_error *err)
{
    sim->counts[COUNT_DISK_ERRORS]++;
    sim_trace(sim, "%s: %s", host->name, err->message);
    host->disk.limited = false;
    host_crash_agent(sim, host, "for its journal cannot be written");
}

/* As in agent/app: write, perform what may be repeated, sync, perform the rest. Negative: the
 * journal has failed; DIED: the process has died on the way; HELD: it is stopped before the last.
 */
static int perform_turn(struct sim *sim, struct host *host, struct pen_session_out *out,
                        uint64_t points, struct pen_error *err)
{
    bool writes = out->records_count > 0;
    bool torn = writes && sim_chance(sim, sim->mix.agent_crash_pm);
    if (torn || (writes && sim_chance(sim, sim->mix.disk_error_pm))) {
        host->disk.limited = true;
        host->disk.write_left = (size_t)sim_below(sim, torn ? 200 : 2000);
    }
    host->disk.fails_sync = out->sync && sim_chance(sim, sim->mix.disk_error_pm);
    int rc = write_records(sim, host, out, err);
    if (torn) {
        host->disk.limited = false;
        return dies_for_certain(sim, host, out, "while it writes the journal");
    }
    if (rc < 0 || (writes && dies(sim, host, out, "before its first effects")))
        return rc < 0 ? rc : 1;
    if (failpoint_agent(sim, host, out, PLACE_WRITTEN, points))
        return 1;
    perform_all(sim, host, out, false);
    if (out->sync && dies(sim, host, out, "before the sync"))
        return 1;
    rc = out->sync ? pen_journal_sync(host->journal, err) : 0;
    host->disk.limited = host->disk.fails_sync = false;
    if (rc < 0)
        return rc;
    if (out->sync && dies(sim, host, out, "after the sync"))
        return 1;
    if (out->sync && failpoint_agent(sim, host, out, PLACE_SYNCED, points))
        return 1;
    if (out->sync && sim_chance(sim, sim->mix.agent_pause_pm))
        return HELD;
    perform_all(sim, host, out, true);
    return 0;
}

static void finish_turn(struct sim *sim, struct host *host, struct pen_session_out *out, int rc,
                        struct pen_error *err)
{
    pen_session_turn_done(host->session, out);
    pen_session_set_spool_seq(host->session, pen_journal_seq(host->journal));
    if (rc == 0 && (pen_journal_is_full(host->journal) || sim_below(sim, 400) == 0))
        rc = compact(sim, host, err);
    if (rc < 0) {
        journal_failed(sim, host, err);
        return;
    }
    if (host->disk.files[0].size + host->disk.files[1].size > JOURNAL_MAX)
        sim_fail(sim, "BOUNDED: the journal of %s has grown to %zu bytes", host->name,
                 host->disk.files[0].size + host->disk.files[1].size);
    if (host->crashed)
        host_crash_agent(sim, host, "for it was told to");
    else
        arm_timer(sim, host);
}

static void agent_turn(struct sim *sim, struct host *host)
{
    struct pen_error err;
    struct pen_session_out out = host->out;
    host->out = (struct pen_session_out){0};
    if (out.effects_count > 10000)
        sim_fail(sim, "BOUNDED: one turn of %s wants %zu effects", host->name, out.effects_count);
    host->turns += out.sync ? 1 : 0;
    uint64_t points = failpoints_of_agent_turn(sim, &out);
    if (failpoint_agent(sim, host, &out, PLACE_RECORDING, points))
        return;
    int rc = perform_turn(sim, host, &out, points, &err);
    if (rc == HELD) {
        host->held = out;
        host->holds = true;
        pause_agent(sim, host, "behind its sync");
    }
    if (rc > 0)
        return;
    finish_turn(sim, host, &out, rc, &err);
}

static void fire_turn(struct sim *sim, struct sim_event *event)
{
    struct host *host = &sim->hosts[event->host];
    if (host->session == NULL || host->process != event->stamp || pause_defers(sim, host, event))
        return;
    host->turn_armed = false;
    agent_turn(sim, host);
}

static void fire_late(struct sim *sim, struct sim_event *event);

void host_feed(struct sim *sim, struct host *host, struct pen_session_input *input)
{
    if (host->session == NULL)
        return;
    if (pause_host(sim, host)) {
        CHECK(input->kind == PEN_IN_DISCONNECTED || input->kind == PEN_IN_DISK_FULL);
        struct sim_event *late = pause_later(host);
        late->fire = fire_late;
        late->host = host->index;
        late->stamp = host->process;
        late->link = (uint64_t)input->kind;
        late->flag = input->flag;
        return;
    }
    struct pen_error err = {0};
    input->now_ms = local_ms(sim, host);
    int rc = pen_session_step(host->session, input, &host->out, &err);
    if (rc == PEN_ECONFLICT || rc == PEN_ECORRUPT || rc == PEN_EINVAL)
        sim_fail(sim, "the session of %s: %s", host->name, err.message);
    arm_timer(sim, host);
    if (host->turn_armed)
        return;
    host->turn_armed = true;
    struct sim_event *event = sim_at(sim, (int64_t)sim_below(sim, 2), fire_turn);
    event->host = host->index;
    event->stamp = host->process;
}

void host_go_on(struct sim *sim, struct host *host)
{
    struct pen_error err;
    if (host->holds) {
        host->holds = false;
        struct pen_session_out out = host->held;
        host->held = (struct pen_session_out){0};
        perform_all(sim, host, &out, true);
        finish_turn(sim, host, &out, 0, &err);
    }
    data_go_on(sim, host);
    if (host->session != NULL)
        host_timer(sim, host);
}

/* What it finds in its sockets when it goes on. */
static void fire_late(struct sim *sim, struct sim_event *event)
{
    struct host *host = &sim->hosts[event->host];
    struct pen_session_input input = {.kind = (enum pen_session_input_kind)event->link,
                                      .flag = event->flag};
    if (host->process == event->stamp && !pause_defers(sim, host, event))
        host_feed(sim, host, &input);
}

void host_timer(struct sim *sim, struct host *host)
{
    if (pause_host(sim, host))
        return; /* see host_go_on */
    struct pen_session_input input = {.kind = PEN_IN_TIMER};
    host_feed(sim, host, &input);
}

static int load_record(void *context, Pen__JournalRecord *record, struct pen_error *err)
{
    return pen_session_load(context, record, err);
}

static int open_journal(struct host *host, struct pen_error *err)
{
    char *folder = mem_format("%d", host->index);
    int rc = pen_journal_open(folder, host->spool_id, host->machine_id, JOURNAL_CAPACITY,
                              load_record, host->session, &host->journal, err);
    free(folder);
    return rc;
}

/* What the agent sees when it looks at the file system's free space. */
static void tell_disk(struct sim *sim, struct host *host)
{
    struct pen_session_input input = {.kind = PEN_IN_DISK_FULL, .flag = host->disk.full};
    host_feed(sim, host, &input);
}

void host_fill_disk(struct sim *sim, struct host *host, bool full)
{
    if (host->disk.full == full)
        return;
    sim->counts[COUNT_DISKS_FULL] += full ? 1 : 0;
    sim_trace(sim, "%s: its disk %s", host->name, full ? "is full" : "has space again");
    host->disk.full = full;
    tell_disk(sim, host);
}

void host_start_agent(struct sim *sim, struct host *host)
{
    if (host->session != NULL || !host->powered || host->agent_id == NULL)
        return;
    host->crashed = false;
    host->max_before = host->max_started;
    host->process = ++sim->stamps;
    host->link = 0;
    host->turn_armed = false;
    char *run_id = mem_format("run-%" PRIu64, host->process);
    struct pen_session_config config = {.spool_id = host->spool_id,
                                        .boot_id = host->boot_id,
                                        .run_id = run_id,
                                        .machine_id = host->machine_id,
                                        .slots = SIM_SLOTS};
    struct pen_error err;
    if (pen_session_create(&config, &host->session, &err) < 0)
        sim_fail(sim, "%s cannot start: %s", host->name, err.message);
    free(run_id);
    int rc = open_journal(host, &err);
    if (rc == PEN_ENOSPACE || rc == PEN_EIO) {
        journal_failed(sim, host, &err);
        return;
    }
    if (rc < 0)
        sim_fail(sim, "ACK => DURABLE: the journal of %s is lost: %s", host->name, err.message);
    pen_session_set_spool_seq(host->session, pen_journal_seq(host->journal));
    if (host->disk.full)
        tell_disk(sim, host);
    sim_trace(sim, "%s: agent starts", host->name);
    if (pen_session_recover(host->session, &host->out, &err) < 0)
        sim_fail(sim, "%s cannot recover: %s", host->name, err.message);
    agent_turn(sim, host);
    if (host->session != NULL)
        net_connect_later(sim, host, 1 + sim_around(sim, 100));
}

static void release_out(struct host *host)
{
    if (host->session != NULL)
        pen_session_turn_done(host->session, &host->out);
    if (host->session != NULL && host->holds)
        pen_session_turn_done(host->session, &host->held);
    host->holds = false;
    host->stopped_until_ms = 0;
    pause_forget(&host->deferred);
}

static void end_process(struct sim *sim, struct host *host)
{
    net_drop_link(sim, host, false, sim_chance(sim, 800));
    release_out(host);
    pen_session_destroy(&host->session);
    pen_journal_close(&host->journal);
    pen_heap_disarm(&sim->queue, &host->timer);
    data_release(sim, host, 0);
}

static void fire_start(struct sim *sim, struct sim_event *event)
{
    struct host *host = &sim->hosts[event->host];
    if (host->process == event->stamp)
        host_start_agent(sim, host);
}

void host_crash_agent(struct sim *sim, struct host *host, const char *where)
{
    if (host->session == NULL)
        return;
    sim->counts[COUNT_AGENT_CRASHES]++;
    sim_trace(sim, "%s: agent dies %s", host->name, where);
    end_process(sim, host);
    int64_t down_ms = story_down_ms(sim, 1 + sim_around(sim, 3000));
    struct sim_event *event = sim_at(sim, down_ms, fire_start);
    event->host = host->index;
    event->stamp = host->process;
}

/* ---- power */

static void fire_power_on(struct sim *sim, struct sim_event *event)
{
    struct host *host = &sim->hosts[event->host];
    if (host->boot == event->stamp && !host->powered)
        host_power_on(sim, host);
}

void host_power_off(struct sim *sim, struct host *host, const char *why)
{
    if (!host->powered)
        return;
    sim->counts[COUNT_REBOOTS]++;
    sim_trace(sim, "%s: loses power %s", host->name, why);
    end_process(sim, host);
    host->powered = false;
    shim_power_off(sim, host);
    if (host->disk.writes_count > 0)
        sim->counts[COUNT_TORN]++;
    disk_lose_power(&host->disk, sim_random(sim));
    int64_t off_ms = 1000 + sim_around(sim, sim_chance(sim, 800) ? 20000 : 600000);
    struct sim_event *event = sim_at(sim, story_down_ms(sim, off_ms), fire_power_on);
    event->host = host->index;
    event->stamp = host->boot;
}

void host_power_on(struct sim *sim, struct host *host)
{
    host->powered = true;
    host->boot = ++sim->stamps;
    char *boot = mem_format("boot-%" PRIu64, host->boot);
    (void)pen_str_copy(host->boot_id, sizeof host->boot_id, boot);
    free(boot);
    host_start_agent(sim, host);
}

/* ---- spools that are not what they were */

void host_wipe(struct sim *sim, struct host *host)
{
    if (!host->powered)
        return;
    sim->counts[COUNT_WIPES]++;
    host->tainted = true;
    host_power_off(sim, host, "and its spool is wiped");
    host->max_started = 0;
    disk_clear(&host->disk);
    disk_clear(&host->snapshot);
    free(host->snapshot_spool_id);
    host->snapshot_spool_id = NULL;
    free(host->spool_id);
    host->spool_id = mem_format("spool-%d-%" PRIu64, host->index, ++sim->stamps);
}

void host_roll_back(struct sim *sim, struct host *host)
{
    if (!host->powered)
        return;
    if (host->snapshot_spool_id == NULL || sim_chance(sim, 300)) {
        disk_copy(&host->snapshot, &host->disk);
        host->snapshot_turn = host->turns;
        mem_set_text(&host->snapshot_spool_id, host->spool_id);
        return;
    }
    if (host->snapshot_turn == host->turns)
        return; /* nothing has happened since */
    sim->counts[COUNT_ROLL_BACKS]++;
    host->tainted = true;
    host_power_off(sim, host, "and its disk is rolled back");
    host->max_started = 0;
    disk_copy(&host->disk, &host->snapshot);
    mem_set_text(&host->spool_id, host->snapshot_spool_id);
}

void host_clone(struct sim *sim, struct host *host)
{
    for (int i = SIM_HOSTS; i < SIM_HOSTS_MAX; i++) {
        struct host *copy = &sim->hosts[i];
        if (copy->exists || host->agent_id == NULL || host->copy)
            continue;
        sim->counts[COUNT_CLONES]++;
        copy->index = i;
        copy->exists = copy->copy = copy->tainted = copy->rival = true;
        host->tainted = host->rival = true;
        char *name = mem_format("h%d", i);
        (void)pen_str_copy(copy->name, sizeof copy->name, name);
        free(name);
        copy->agent_id = mem_text(host->agent_id);
        copy->spool_id = mem_text(host->spool_id);
        copy->machine_id =
            sim_chance(sim, 500) ? mem_text(host->machine_id) : mem_format("machine-%d", i);
        disk_copy(&copy->disk, &host->disk);
        sim_trace(sim, "%s is a copy of %s", copy->name, host->name);
        host_power_on(sim, copy);
        return;
    }
}

void host_release(struct sim *sim, struct host *host)
{
    (void)sim;
    release_out(host);
    pen_session_destroy(&host->session);
    pen_journal_close(&host->journal);
    disk_clear(&host->disk);
    disk_clear(&host->snapshot);
    for (size_t i = 0; i < host->uploads_count; i++)
        free(host->uploads[i].name);
    free(host->uploads);
    free(host->agent_id);
    free(host->spool_id);
    free(host->machine_id);
    free(host->snapshot_spool_id);
}
