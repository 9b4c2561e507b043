/* tests/sim/core.c - the controller: the real engine, a store that keeps commits, and its crashes
 *
 * A turn takes what is in the inbox, steps, commits, performs. It can end before the commit, after
 * it, or in the middle of the effects: what was committed stays, all else is forgotten.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "common/wire/wire.h"
#include "tests/sim/sim.h"
#include "tests/sim/story.h"

/* Read the controller's clocks; its wall clock is set by somebody now and then. True: time has
 * leapt.
 */
static bool read_clocks(struct sim *sim)
{
    bool leapt = pen_steady_read(&sim->core.clock, core_wall_ms(sim), core_interval_ms(sim),
                                 sim->core.planned_ms);
    sim->core.planned_ms = INT64_MAX;
    return leapt;
}

int64_t core_interval_ms(const struct sim *sim)
{
    return sim->now_ms + sim->core.asleep_ms;
}

int64_t core_wall_ms(const struct sim *sim)
{
    return core_interval_ms(sim) + sim->core.clock_ahead_ms;
}

/* As controller/app/core.c does. */
static void tell_clock(struct sim *sim)
{
    enum { CLOCK_CHANGE_MS = 1000 };
    struct core *core = &sim->core;
    int64_t behind_ms = pen_steady_behind_ms(&core->clock);
    behind_ms = behind_ms < CLOCK_CHANGE_MS ? 0 : behind_ms;
    int64_t change_ms = behind_ms - core->behind_ms;
    if (change_ms == 0 || (behind_ms > 0 && llabs(change_ms) < CLOCK_CHANGE_MS))
        return;
    core->behind_ms = behind_ms;
    struct pen_error err;
    Pen__ClockSet *clock_set = MAKE(Pen__ClockSet, pen__clock_set__init);
    SET(clock_set, behind_ms, behind_ms);
    Pen__Input *input = core_input(PEN__INPUT__WHAT_CLOCK_SET, clock_set);
    if (pen_engine_take(core->engine, input, core->clock.now_ms, &core->out, &err) < 0)
        sim_fail(sim, "step: %s", err.message);
    mem_free_message(input);
}

/* ---- the store */

char *store_key(const struct pen_row *row)
{
    return mem_format("%02d %s", (int)row->kind, row->key);
}

static void stored_free(struct stored *stored)
{
    free(stored->key);
    free(stored->row.key);
    free(stored->row.execution);
    free(stored->row.body);
    mem_free_message(stored->message);
    free(stored);
}

void store_put(struct pen_map *store, const struct pen_row *row)
{
    struct stored *stored = mem_zero(sizeof *stored);
    stored->key = store_key(row);
    struct stored *old = pen_map_remove(store, pen_key_text(stored->key));
    if (old != NULL)
        stored_free(old);
    stored->row = *row;
    stored->row.key = mem_text(row->key);
    stored->row.pipeline = NULL;
    stored->row.execution = mem_text(row->execution);
    if (row->body != NULL)
        stored->row.body = mem_bytes((ProtobufCBinaryData){row->body_size, row->body}).data;
    mem_put(store, pen_key_text(stored->key), stored);
}

void store_delete(struct stored *stored)
{
    free(stored->row.body);
    mem_free_message(stored->message);
    stored->message = NULL;
    stored->row.body = NULL;
    stored->row.body_size = 0;
    stored->row.deleted = true;
}

bool stored_is_history_of(const struct stored *stored, const char *execution_id)
{
    return !stored->row.deleted && !stored->row.live &&
           pen_str_equal(stored->row.execution, execution_id);
}

bool core_purge(struct sim *sim, const char *execution_id, uint64_t limit)
{
    for (struct pen_map_node *node = pen_map_first(&sim->core.store); node != NULL;
         node = pen_map_next(node)) {
        struct stored *stored = pen_map_value(node);
        if (!stored_is_history_of(stored, execution_id))
            continue;
        if (limit-- == 0)
            return true;
        store_delete(stored);
    }
    return false;
}

void store_release(struct pen_map *store)
{
    struct stored *stored;
    while ((stored = pen_map_first_value(store)) != NULL) {
        pen_map_remove(store, pen_key_text(stored->key));
        stored_free(stored);
    }
    pen_map_release(store);
}

/* A planted disk: some rows do not arrive. */
static bool store_loses(struct sim *sim, const struct pen_row *row)
{
    bool attempt = row->kind == PEN__ROW_KIND__ROW_ATTEMPT;
    if (sim->options.plant == PLANT_FORGOTTEN_ROW && attempt)
        return sim_chance(sim, 20);
    if (sim->options.plant == PLANT_STALE_ROW && row->kind == PEN__ROW_KIND__ROW_STAGE_STATE)
        return sim_chance(sim, 10);
    return false;
}

static void commit(struct sim *sim)
{
    struct core *core = &sim->core;
    if (core->out.facts_count == 0 && core->out.rows_count == 0)
        return;
    sim->counts[COUNT_COMMITS]++;
    for (size_t i = 0; i < core->out.rows_count; i++) {
        const struct pen_row *row = &core->out.rows[i];
        sim_hash(sim, row->body, row->body_size);
        if (!store_loses(sim, row))
            store_put(&core->store, row);
    }
    for (size_t i = 0; i < core->out.facts_count; i++) {
        if (core->facts_count == core->facts_room) {
            core->facts_room = core->facts_room == 0 ? 1024 : 2 * core->facts_room;
            core->facts = realloc(core->facts, core->facts_room * sizeof core->facts[0]);
            CHECK(core->facts != NULL);
        }
        Pen__Fact *fact = core->out.facts[i];
        core->out.facts[i] = NULL;
        core->facts[core->facts_count++] = fact;
        sim->counts[COUNT_FACTS]++;
        auditor_fact(sim, fact);
    }
    core->out.facts_count = 0;
}

void core_each(struct sim *sim, Pen__RowKind kind, const ProtobufCMessageDescriptor *type,
               void (*each)(struct sim *sim, void *row, void *context), void *context)
{
    char from[8];
    (void)pen_str_copy(from, sizeof from, "");
    from[0] = (char)('0' + (int)kind / 10);
    from[1] = (char)('0' + (int)kind % 10);
    from[2] = '\0';
    for (struct pen_map_node *node = pen_map_from(&sim->core.store, pen_key_text(from));
         node != NULL; node = pen_map_next(node)) {
        struct stored *stored = pen_map_value(node);
        if (stored->row.kind != kind)
            break;
        if (stored->row.deleted)
            continue;
        if (stored->message == NULL)
            stored->message =
                protobuf_c_message_unpack(type, NULL, stored->row.body_size, stored->row.body);
        CHECK(stored->message != NULL);
        each(sim, stored->message, context);
    }
}

void *core_row(struct sim *sim, Pen__RowKind kind, const char *key,
               const ProtobufCMessageDescriptor *type)
{
    char *full = mem_format("%02d %s", (int)kind, key);
    const struct stored *stored = pen_map_get(&sim->core.store, pen_key_text(full));
    free(full);
    if (stored == NULL || stored->row.deleted)
        return NULL;
    return protobuf_c_message_unpack(type, NULL, stored->row.body_size, stored->row.body);
}

/* ---- effects */

static void perform_one(struct sim *sim, const Pen__Effect *effect)
{
    switch ((int)effect->what_case) {
    case PEN__EFFECT__WHAT_REPLY:
        people_reply(sim, effect->reply);
        break;
    case PEN__EFFECT__WHAT_AGENT_SEND:
        auditor_told(sim, effect->agent_send);
        net_to_agent(sim, effect->agent_send);
        break;
    case PEN__EFFECT__WHAT_KEY_DENY:
        break; /* the host of a revoked agent is found by its id, see people.c */
    case PEN__EFFECT__WHAT_ATTEMPT_OPEN:
        data_open(sim, effect->attempt_open);
        break;
    case PEN__EFFECT__WHAT_ATTEMPT_CLOSE: {
        struct data_attempt *open =
            pen_map_remove(&sim->core.opened, pen_key_number(effect->attempt_close->fence));
        if (open != NULL)
            free(open->agent_id);
        free(open);
        break;
    }
    case PEN__EFFECT__WHAT_ARTIFACT_ACCEPTED:
        auditor_accepted(sim, effect->artifact_accepted);
        data_accepted(sim, effect->artifact_accepted);
        break;
    case PEN__EFFECT__WHAT_SOURCE_RUN:
        source_run(sim, effect->source_run);
        break;
    case PEN__EFFECT__WHAT_PULL_REQUEST_LOOK:
        hooks_look(sim, effect->pull_request_look);
        break;
    case PEN__EFFECT__WHAT_ZONE_WANTED:
        zone_wanted(sim, effect->zone_wanted);
        break;
    case PEN__EFFECT__WHAT_COLLECTION_RUN:
        collect_run(sim, effect->collection_run);
        break;
    case PEN__EFFECT__WHAT_HISTORY_ANSWER:
        collect_answer(sim, effect->history_answer);
        break;
    case PEN__EFFECT__WHAT_HISTORY_PURGE:
        collect_purge(sim, effect->history_purge);
        break;
    case PEN__EFFECT__WHAT_SOURCE_WATCH:
        source_watch(sim, effect->source_watch);
        break;
    default:
        break;
    }
}

/* False: the controller has died on the way. */
static bool perform(struct sim *sim, bool may_die)
{
    struct core *core = &sim->core;
    size_t count = core->out.effects_count;
    if (count > 20000)
        sim_fail(sim, "BOUNDED: one turn wants %zu effects", count);
    size_t dies_at = may_die && sim_chance(sim, sim->mix.core_crash_pm)
                         ? (size_t)sim_below(sim, count + 1)
                         : SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        if (i == dies_at) {
            core_crash(sim, "in the middle of the effects");
            return false;
        }
        perform_one(sim, core->out.effects[i]);
    }
    return true;
}

/* ---- life */

static void forget_memory(struct sim *sim)
{
    struct core *core = &sim->core;
    pause_forget(&core->deferred);
    collect_forget(core);
    struct data_attempt *open;
    while ((open = pen_map_first_value(&core->opened)) != NULL) {
        pen_map_remove(&core->opened, pen_map_key(pen_map_first(&core->opened)));
        free(open->agent_id);
        free(open);
    }
    for (size_t i = 0; i < core->inbox_count; i++)
        mem_free_message(core->inbox[i]);
    core->inbox_count = 0;
    pen_engine_out_release(&core->out);
    core->out = (struct pen_engine_out){0};
    pen_engine_destroy(&core->engine);
    pen_heap_disarm(&sim->queue, &core->tick);
}

static void arm_tick(struct sim *sim)
{
    int64_t deadline = pen_engine_deadline(sim->core.engine);
    int64_t proof = pen_steady_due_ms(&sim->core.clock);
    if (deadline == INT64_MAX && proof == INT64_MAX) {
        pen_heap_disarm(&sim->queue, &sim->core.tick);
        return;
    }
    int64_t in_ms = deadline == INT64_MAX ? INT64_MAX : deadline - sim->core.clock.now_ms;
    if (proof != INT64_MAX && proof - core_interval_ms(sim) < in_ms)
        in_ms = proof - core_interval_ms(sim);
    mem_arm(&sim->queue, &sim->core.tick, sim->now_ms + (in_ms > 1 ? in_ms : 1));
}

static void plan(struct sim *sim)
{
    struct core *core = &sim->core;
    struct pen_error err;
    if (pen_engine_plan(core->engine, core->clock.now_ms, &core->out, &err) < 0)
        sim_fail(sim, "RELOAD: %s", err.message);
    if (core->facts_count > 0 && core->out.facts_count > 0)
        sim_fail(sim, "RELOAD: planning stated %zu facts", core->out.facts_count);
}

static void load(struct sim *sim)
{
    struct core *core = &sim->core;
    struct pen_error err;
    for (struct pen_map_node *node = pen_map_first(&core->store); node != NULL;
         node = pen_map_next(node)) {
        const struct pen_row *row = &((struct stored *)pen_map_value(node))->row;
        if (row->live && !row->deleted &&
            pen_engine_load(core->engine, row->kind, row->body, row->body_size, &err) < 0)
            sim_fail(sim, "RELOAD: %s", err.message);
    }
    int64_t wall_ms = core_wall_ms(sim);
    int64_t last_ms = pen_engine_time(core->engine);
    core->behind_ms = 0;
    pen_steady_start(&core->clock, last_ms > wall_ms ? last_ms : wall_ms, core_interval_ms(sim));
    plan(sim);
}

void core_start(struct sim *sim)
{
    struct core *core = &sim->core;
    if (core->up)
        return;
    struct pen_error err;
    core->life++;
    pen_engine_options_default(&core->options);
    /* With a bug planted into the engine, it is for the auditor to find it. */
    core->options.check_invariants = sim->options.plant < PLANT_COUNT;
    core->options.job_timeout_ms = 10 * 60 * 1000; /* within the quiet phase */
    core->options.action_timeout_ms = SIM_TIMEOUT_MS;
    core->options.history_age_ms = 10 * 60 * 1000; /* within the busy one */
    core->options.history_count = 2;
    memset(core->options.seed, (int)core->life, sizeof core->options.seed);
    memcpy(core->options.seed, &sim->options.seed, sizeof sim->options.seed);
    CHECK(pen_engine_create(&core->options, &core->engine, &err) == 0);
    core->up = true;
    core->turn_armed = core->commit_held = core->refused = false;
    core->heard_since_ms = sim->now_ms;
    core->stopped_until_ms = 0;
    core->planned_ms = INT64_MAX;
    core->effects_held = false;
    sim_trace(sim, "controller starts, life %" PRIu64, core->life);
    load(sim);
    commit(sim);
    core_check_memory(sim, core->engine, "RELOAD");
    auditor_reloaded(sim);
    if (sim->options.plant != PLANT_LOST_PLAN)
        (void)perform(sim, false);
    pen_engine_out_clear(&core->out);
    arm_tick(sim);
}

static void fire_start(struct sim *sim, struct sim_event *event)
{
    (void)event;
    core_start(sim);
}

void core_crash(struct sim *sim, const char *where)
{
    struct core *core = &sim->core;
    if (!core->up)
        return;
    sim->counts[COUNT_CORE_CRASHES]++;
    sim_trace(sim, "controller dies %s", where);
    core->up = false;
    core->stopped_until_ms = 0;
    if (core->out.facts_count == 0 && core->out.rows_count == 0)
        core_check_memory(sim, core->engine, "MEMORY");
    forget_memory(sim);
    net_drop_all(sim);
    if (sim->options.plant == PLANT_FENCE_REUSED && sim_chance(sim, 500)) {
        struct stored *stored = pen_map_get(&core->store, pen_key_text("01 main"));
        Pen__SettingRow *row =
            pen__setting_row__unpack(NULL, stored->row.body_size, stored->row.body);
        row->last_fence = row->last_fence > 2 ? row->last_fence - 2 : row->last_fence;
        stored->row.body_size = pen__setting_row__pack(row, stored->row.body);
        pen__setting_row__free_unpacked(row, NULL);
    }
    int64_t down_ms = 1 + sim_around(sim, sim_chance(sim, 900) ? 3000 : 120000);
    sim_at(sim, story_down_ms(sim, down_ms), fire_start);
}

/* ---- a full disk, as controller/app/core.c lives with it */

static void fire_retry(struct sim *sim, struct sim_event *event)
{
    if (sim->core.up && event->stamp == sim->core.life)
        core_tick(sim);
}

static void retry_later(struct sim *sim)
{
    sim_at(sim, 1000, fire_retry)->stamp = sim->core.life;
}

/* People are told; agents and sources are not heard. */
static void refuse_inbox(struct sim *sim)
{
    struct core *core = &sim->core;
    for (size_t i = 0; i < core->inbox_count; i++) {
        Pen__Reply reply = PEN__REPLY__INIT;
        char error[] = "ServiceUnavailableException";
        if (core->inbox[i]->correlation != 0) {
            SET(&reply, correlation, core->inbox[i]->correlation);
            reply.error = error;
            people_reply(sim, &reply);
        }
        mem_free_message(core->inbox[i]);
    }
    core->inbox_count = 0;
    core->refused = true;
}

/* False: nothing more can be done in this turn. */
static bool has_space(struct sim *sim)
{
    struct core *core = &sim->core;
    bool full = core->disk_full_until_ms > sim->now_ms;
    if (full && (core->commit_held || !core->disk_full_at_once)) {
        refuse_inbox(sim);
        retry_later(sim);
        return false;
    }
    if (full || !(core->commit_held || core->refused))
        return true;
    sim_trace(sim, "controller: its disk has space again");
    bool plan_due = core->refused;
    core->commit_held = core->refused = false;
    commit(sim);
    if (plan_due)
        core->heard_since_ms = sim->now_ms;
    if (!perform(sim, true))
        return false;
    pen_engine_out_clear(&core->out);
    if (plan_due)
        plan(sim);
    return true;
}

/* False: the commit waits for space. */
static bool hold_commit(struct sim *sim)
{
    struct core *core = &sim->core;
    if (core->disk_full_until_ms <= sim->now_ms || core->out.facts_count == 0)
        return true;
    sim_trace(sim, "controller: a commit of %zu facts waits for space", core->out.facts_count);
    core->commit_held = true;
    retry_later(sim);
    return false;
}

void core_set_clock(struct sim *sim, int64_t ahead_ms)
{
    if (core_wall_ms(sim) + ahead_ms < 0) /* the story begins at the epoch, and so do windows */
        ahead_ms = -core_wall_ms(sim);
    sim->counts[COUNT_CLOCK_JUMPS]++;
    sim_trace(sim, "controller: its clock jumps by %" PRId64 " ms", ahead_ms);
    sim->core.clock_ahead_ms += ahead_ms;
    core_tick(sim);
}

void core_sleep(struct sim *sim, int64_t for_ms)
{
    sim_trace(sim, "controller: its host sleeps for %" PRId64 " ms", for_ms);
    sim->core.asleep_ms += for_ms;
    sim->core.planned_ms = 0; /* it did not mean to */
    core_tick(sim);
}

void core_fill_disk(struct sim *sim, int64_t for_ms, bool at_once)
{
    struct core *core = &sim->core;
    sim->counts[COUNT_CORE_DISK_FULL]++;
    sim_trace(sim, "controller: its disk is full%s", at_once ? " in the middle of a commit" : "");
    core->disk_full_until_ms = sim->now_ms + for_ms;
    core->disk_full_at_once = at_once && !core->refused; /* else it was full, and is known to be */
}

/* The disk refuses the commit: the process ends. Whether it took it all the same, nobody knows. */
static bool commit_fails(struct sim *sim)
{
    if (!sim_chance(sim, sim->mix.commit_error_pm))
        return false;
    sim->counts[COUNT_COMMIT_ERRORS]++;
    if (sim_chance(sim, 300))
        commit(sim);
    core_crash(sim, "for the disk has refused a commit");
    return true;
}

static void turn(struct sim *sim)
{
    struct core *core = &sim->core;
    struct pen_error err;
    bool leapt = read_clocks(sim);
    if (!has_space(sim))
        return;
    core->decided_ms = sim->now_ms;
    if (leapt) {
        core->heard_since_ms = sim->now_ms;
        plan(sim);
    }
    tell_clock(sim);
    size_t batch = 1 + (size_t)sim_below(sim, 16);
    if (batch > core->inbox_count)
        batch = core->inbox_count;
    for (size_t i = 0; i < batch; i++) {
        if (pen_engine_take(core->engine, core->inbox[i], core->clock.now_ms, &core->out, &err) < 0)
            sim_fail(sim, "step: %s", err.message);
        mem_free_message(core->inbox[i]);
    }
    Pen__Input *gone = collect_slice(sim);
    if (gone != NULL &&
        pen_engine_take(core->engine, gone, core->clock.now_ms, &core->out, &err) < 0)
        sim_fail(sim, "step: %s", err.message);
    mem_free_message(gone);
    pen_engine_flush(core->engine, &core->out);
    core->inbox_count -= batch;
    memmove(core->inbox, core->inbox + batch, core->inbox_count * sizeof core->inbox[0]);
    bool dies_before = sim_chance(sim, sim->mix.core_crash_pm);
    if (dies_before && sim->options.plant == PLANT_ACK_BEFORE_COMMIT)
        (void)perform(sim, false);
    if (dies_before) {
        core_crash(sim, "before the commit");
        return;
    }
    if (!hold_commit(sim) || commit_fails(sim))
        return;
    uint64_t points = failpoints_of_turn(sim);
    if (failpoint_core(sim, PLACE_STEPPED, points))
        return;
    commit(sim);
    if (sim_chance(sim, sim->mix.core_pause_pm)) {
        core->effects_held = true;
        pause_controller(sim, "behind its commit");
        return;
    }
    if (failpoint_core(sim, PLACE_COMMITTED, points) || !perform(sim, true) ||
        failpoint_core(sim, PLACE_PERFORMED, points))
        return;
    pen_engine_out_clear(&core->out);
    arm_tick(sim);
    if (sim_below(sim, 20000) == 0)
        core_check_fold(sim);
}

static void arm_turn(struct sim *sim);

static void fire_turn(struct sim *sim, struct sim_event *event)
{
    if (!sim->core.up || event->stamp != sim->core.life)
        return;
    sim->core.turn_armed = false;
    if (pause_core(sim))
        return; /* see core_go_on */
    turn(sim);
    if (sim->core.up && (sim->core.inbox_count > 0 || sim->core.purges_count > 0))
        arm_turn(sim);
}

static void arm_turn(struct sim *sim)
{
    if (sim->core.turn_armed || pause_core(sim))
        return;
    sim->core.turn_armed = true;
    sim_at(sim, (int64_t)sim_below(sim, 3), fire_turn)->stamp = sim->core.life;
}

void core_go_on(struct sim *sim)
{
    struct core *core = &sim->core;
    if (core->effects_held) {
        core->effects_held = false;
        if (!perform(sim, true))
            return;
        pen_engine_out_clear(&core->out);
        arm_tick(sim);
    }
    core_tick(sim);
}

/* ---- inputs */

Pen__Input *core_input(Pen__Input__WhatCase what, void *body)
{
    Pen__Input *input = MAKE(Pen__Input, pen__input__init);
    input->what_case = what;
    input->tick = body; /* a union of pointers */
    return input;
}

bool core_post(struct sim *sim, Pen__Input *input)
{
    struct core *core = &sim->core;
    if (!core->up) {
        mem_free_message(input);
        return false;
    }
    if (core->inbox_count == core->inbox_room) {
        core->inbox_room = core->inbox_room == 0 ? 64 : 2 * core->inbox_room;
        core->inbox = realloc(core->inbox, core->inbox_room * sizeof core->inbox[0]);
        CHECK(core->inbox != NULL);
    }
    core->inbox[core->inbox_count++] = input;
    arm_turn(sim);
    return true;
}

void core_tick(struct sim *sim)
{
    core_post(sim, core_input(PEN__INPUT__WHAT_TICK, MAKE(Pen__Tick, pen__tick__init)));
}

void core_release(struct sim *sim)
{
    struct core *core = &sim->core;
    forget_memory(sim);
    pen_map_release(&core->opened);
    store_release(&core->store);
    for (size_t i = 0; i < core->facts_count; i++)
        mem_free_message(core->facts[i]);
    free(core->facts);
    free(core->inbox);
    void *value;
    while ((value = pen_map_first_value(&core->logs)) != NULL) {
        pen_map_remove(&core->logs, pen_map_key(pen_map_first(&core->logs)));
        free(value);
    }
    pen_map_release(&core->logs);
}
