/* tests/unit/engine/world.h - a small world around the engine: virtual time, a store in memory,
 * agents that answer, sources that deliver
 *
 * world_post() steps the engine with one input, commits what came out, then lets the world react
 * until it is quiet. world_restart() throws the engine away and loads another from the live rows.
 * world_end() folds all facts and compares every row with the store's, byte for byte.
 *
 * Everything is static: each test program has a world of its own.
 */
#ifndef PEN_TESTS_UNIT_ENGINE_WORLD_H
#define PEN_TESTS_UNIT_ENGINE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef PEN_WORLD_SIMULATED
/* The simulator stops at the first thing that must not be; it says where it stood by itself. */
#define fail_msg(...)          (printf("\n" __VA_ARGS__), printf("\n"), fflush(stdout), abort())
#define assert_true(x)         ((x) ? (void)0 : (void)fail_msg("%s:%d: not true: " #x, __FILE__, __LINE__))
#define assert_null(x)         assert_true((x) == NULL)
#define assert_non_null(x)     assert_true((x) != NULL)
#define assert_int_equal(a, b) assert_true((long long)(a) == (long long)(b))
#define print_message          printf
#else
#include <cmocka.h>
#endif

#include "common/base/map.h"
#include "controller/engine/engine.h"
#include "controller/engine/memory.h"

#define UNUSED __attribute__((unused))

enum { WORLD_AGENTS = 4, WORLD_JOBS = 64 };

/* One attempt as its host knows it: this survives a restart of either side. */
struct job {
    uint64_t fence;
    char *action;
    Pen__Capsule *capsule;
    Pen__AttemptPhase phase;
    uint64_t last_seq;
    bool tomb;
    Pen__Event *events[3];
};

struct fake_agent {
    char *id;
    char *name;
    char *spool_id;
    char *run_id;
    uint64_t link;
    uint64_t session_no;
    uint64_t spool_seq;
    uint64_t max_fence;
    uint32_t slots;
    bool up;   /* says hello, answers */
    bool deaf; /* its messages get lost, both ways */
    struct job jobs[WORLD_JOBS];
    size_t jobs_count;
};

struct world {
    struct pen_engine *engine;
    struct pen_engine_options options;
    struct pen_engine_out out;
    int64_t now_ms;
    uint64_t lives;
    uint64_t correlation;
    struct pen_map store; /* "kind key" -> struct pen_row, as last written */
    Pen__Fact **facts;
    size_t facts_count;
    Pen__Effect **effects; /* to be performed */
    size_t effects_count;
    size_t effects_done;
    Pen__Reply *reply; /* the last one */
    struct fake_agent agents[WORLD_AGENTS];
    size_t agents_count;
    /* behaviour */
    const char *failing;  /* actions with this name exit with 3 */
    const char *holding;  /* actions with this name run until world_finish */
    const char *revision; /* what the branch points to */
    bool sources_hold;    /* source runs are not answered */
    const char *source_error;
    uint32_t begun; /* processes that began, of the action named below */
    const char *counted;
    uint64_t steps;
    uint64_t restart_at_step; /* restart right after this commit, effects lost; 0: never */
    size_t source_runs;
    char *last_source_revision;
    size_t watches;
    /* simulator: what is under way waits here until the simulator lets it arrive, or loses it */
    bool simulated;
    Pen__Input **inbox;
    size_t inbox_count;
    void (*begins)(struct world *w, struct fake_agent *a, const Pen__Capsule *capsule);
};

static void world_perform(struct world *w);
static void agent_hello(struct world *w, struct fake_agent *a);

/* ---- store */

static UNUSED char *store_key(const struct pen_row *row)
{
    return mem_format("%02d %s", (int)row->kind, row->key);
}

static void row_free(struct pen_row *row)
{
    free(row->key);
    free(row->pipeline);
    free(row->execution);
    free(row->body);
    free(row);
}

struct stored {
    char *key;
    struct pen_row *row;
};

static void store_put(struct pen_map *store, const struct pen_row *row)
{
    struct stored *stored = mem_zero(sizeof *stored);
    stored->key = store_key(row);
    struct stored *old = pen_map_remove(store, pen_key_text(stored->key));
    if (old != NULL) {
        row_free(old->row);
        free(old->key);
        free(old);
    }
    struct pen_row *copy = mem_zero(sizeof *copy);
    *copy = *row;
    copy->key = mem_text(row->key);
    copy->pipeline = mem_text(row->pipeline);
    copy->execution = mem_text(row->execution);
    if (row->body != NULL) {
        copy->body = mem_zero(row->body_size + 1);
        memcpy(copy->body, row->body, row->body_size);
    }
    stored->row = copy;
    mem_put(store, pen_key_text(stored->key), stored);
}

static void store_release(struct pen_map *store)
{
    for (struct pen_map_node *n = pen_map_first(store); n != NULL; n = pen_map_next(n)) {
        struct stored *stored = pen_map_value(n);
        row_free(stored->row);
        free(stored->key);
        free(stored);
    }
    pen_map_release(store);
}

static UNUSED void *world_row(struct world *w, Pen__RowKind kind, const char *key,
                              const ProtobufCMessageDescriptor *type)
{
    char *full = mem_format("%02d %s", (int)kind, key);
    struct stored *stored = pen_map_get(&w->store, pen_key_text(full));
    free(full);
    if (stored == NULL || stored->row->deleted)
        return NULL;
    return protobuf_c_message_unpack(type, NULL, stored->row->body_size, stored->row->body);
}

/* ---- life of the engine */

static void world_commit(struct world *w)
{
    for (size_t i = 0; i < w->out.rows_count; i++) {
        for (size_t j = i + 1; j < w->out.rows_count; j++) /* each key once */
            if (w->out.rows[i].kind == w->out.rows[j].kind &&
                strcmp(w->out.rows[i].key, w->out.rows[j].key) == 0)
                fail_msg("row %s is written twice", w->out.rows[i].key);
        store_put(&w->store, &w->out.rows[i]);
    }
    for (size_t i = 0; i < w->out.facts_count; i++) {
        w->facts = mem_grow(w->facts, w->facts_count);
        w->facts[w->facts_count++] = mem_copy(w->out.facts[i]);
    }
}

static void world_take_effects(struct world *w)
{
    for (size_t i = 0; i < w->out.effects_count; i++) {
        w->effects = mem_grow(w->effects, w->effects_count);
        w->effects[w->effects_count++] = mem_copy(w->out.effects[i]);
    }
}

static void world_make_engine(struct world *w)
{
    struct pen_error err;
    w->lives++;
    memset(w->options.seed, (int)w->lives, sizeof w->options.seed);
    assert_int_equal(pen_engine_create(&w->options, &w->engine, &err), 0);
    for (struct pen_map_node *n = pen_map_first(&w->store); n != NULL; n = pen_map_next(n)) {
        const struct pen_row *row = ((struct stored *)pen_map_value(n))->row;
        if (!row->live || row->deleted)
            continue;
        if (pen_engine_load(w->engine, row->kind, row->body, row->body_size, &err) < 0)
            fail_msg("load: %s", err.message);
    }
    if (pen_engine_plan(w->engine, w->now_ms, &w->out, &err) < 0)
        fail_msg("plan: %s", err.message);
    world_commit(w);
    world_take_effects(w);
    pen_engine_out_clear(&w->out);
}

static UNUSED void world_begin(struct world *w)
{
    memset(w, 0, sizeof *w);
    pen_engine_options_default(&w->options);
    w->options.check_invariants = true;
    w->now_ms = 1000000;
    w->revision = "rev-1";
    world_make_engine(w);
    world_perform(w);
}

/* The controller dies and another takes over. Effects that were not performed are lost. */
static UNUSED void world_restart(struct world *w)
{
    for (size_t i = w->effects_done; i < w->effects_count; i++)
        mem_free_message(w->effects[i]);
    w->effects_count = w->effects_done = 0;
    pen_engine_destroy(&w->engine);
    world_make_engine(w);
    for (size_t i = 0; i < w->agents_count; i++)
        if (w->agents[i].up)
            agent_hello(w, &w->agents[i]);
}

/* One step with its commit. The input stays the caller's. */
static void world_step(struct world *w, Pen__Input *input)
{
    struct pen_error err;
    if (pen_engine_step(w->engine, input, w->now_ms, &w->out, &err) < 0)
        fail_msg("step: %s", err.message);
    world_commit(w);
    w->steps++;
    bool dies = w->steps == w->restart_at_step;
    if (!dies)
        world_take_effects(w);
    pen_engine_out_clear(&w->out);
    if (dies)
        world_restart(w);
}

/* ---- inputs */

static Pen__Input *input_new(Pen__Input__WhatCase what, void *body)
{
    Pen__Input *input = MAKE(Pen__Input, pen__input__init);
    input->what_case = what;
    input->tick = body;
    return input;
}

/* An input that the world makes by itself: at once, or when the simulator lets it. */
static void world_arrive(struct world *w, Pen__Input *input)
{
    if (w->simulated) {
        w->inbox = mem_grow(w->inbox, w->inbox_count);
        w->inbox[w->inbox_count++] = input;
        return;
    }
    world_step(w, input);
    mem_free_message(input);
}

/* Step, let the world react until it is quiet. Takes body. */
static UNUSED void world_post(struct world *w, Pen__Input__WhatCase what, void *body)
{
    Pen__Input *input = input_new(what, body);
    input->principal = mem_text("arn:aws:iam::000000000000:user/ada");
    SET(input, correlation, ++w->correlation);
    mem_free_message(w->reply);
    w->reply = NULL;
    world_step(w, input);
    mem_free_message(input);
    world_perform(w);
}

static void world_send(struct world *w, struct fake_agent *a, Pen__FromAgent__BodyCase what,
                       void *body)
{
    if (a->deaf) {
        mem_free_message(body);
        return;
    }
    Pen__FromAgent *message = MAKE(Pen__FromAgent, pen__from_agent__init);
    SET(message, session_no, a->session_no);
    message->body_case = what;
    message->enroll = body;
    Pen__AgentMessage *m = MAKE(Pen__AgentMessage, pen__agent_message__init);
    m->agent_id = mem_text(a->id);
    SET(m, link, a->link);
    m->message = message;
    world_arrive(w, input_new(PEN__INPUT__WHAT_AGENT_MESSAGE, m));
}

static UNUSED void world_tick(struct world *w, int64_t ms)
{
    int64_t until = w->now_ms + ms;
    for (;;) {
        int64_t next = pen_engine_deadline(w->engine);
        if (next > until)
            break;
        if (next > w->now_ms)
            w->now_ms = next;
        Pen__Input *input = input_new(PEN__INPUT__WHAT_TICK, MAKE(Pen__Tick, pen__tick__init));
        world_step(w, input);
        mem_free_message(input);
        world_perform(w);
    }
    w->now_ms = until;
}

/* ---- agents */

static Pen__InventoryItem *job_item(const struct job *job)
{
    Pen__InventoryItem *item = MAKE(Pen__InventoryItem, pen__inventory_item__init);
    SET(item, fence, job->fence);
    SET(item, phase, job->tomb ? PEN__ATTEMPT_PHASE__PHASE_TOMB : job->phase);
    SET(item, last_seq, job->last_seq);
    return item;
}

static void agent_hello(struct world *w, struct fake_agent *a)
{
    Pen__Hello *hello = MAKE(Pen__Hello, pen__hello__init);
    SET(hello, proto_min, 1);
    SET(hello, proto_max, 1);
    hello->spool_id = mem_text(a->spool_id);
    hello->boot_id = mem_text("boot");
    hello->run_id = mem_text(a->run_id);
    hello->machine_id = mem_text(a->name);
    SET(hello, spool_seq, a->spool_seq);
    SET(hello, max_fence, a->max_fence);
    SET(hello, slots, a->slots);
    for (size_t i = 0; i < a->jobs_count; i++)
        APPEND(hello, inventory, job_item(&a->jobs[i]));
    a->link++;
    a->session_no = 0;
    world_send(w, a, PEN__FROM_AGENT__BODY_HELLO, hello);
}

static struct job *agent_job(struct fake_agent *a, uint64_t fence)
{
    for (size_t i = 0; i < a->jobs_count; i++)
        if (a->jobs[i].fence == fence)
            return &a->jobs[i];
    return NULL;
}

static struct job *agent_new_job(struct fake_agent *a, uint64_t fence)
{
    assert_true(a->jobs_count < WORLD_JOBS);
    struct job *job = &a->jobs[a->jobs_count++];
    *job = (struct job){.fence = fence, .phase = PEN__ATTEMPT_PHASE__PHASE_STARTING};
    a->spool_seq++;
    if (fence > a->max_fence)
        a->max_fence = fence;
    return job;
}

static void agent_forget(struct fake_agent *a, uint64_t fence)
{
    struct job *job = agent_job(a, fence);
    if (job == NULL)
        return;
    for (size_t i = 0; i < 3; i++)
        mem_free_message(job->events[i]);
    mem_free_message(job->capsule);
    free(job->action);
    *job = a->jobs[--a->jobs_count];
}

static void agent_send_event(struct world *w, struct fake_agent *a, const struct job *job,
                             uint64_t seq)
{
    world_send(w, a, PEN__FROM_AGENT__BODY_EVENT, mem_copy(job->events[seq - 1]));
}

static Pen__Event *job_event(struct fake_agent *a, struct job *job, Pen__Event__WhatCase what,
                             void *body)
{
    Pen__Event *event = MAKE(Pen__Event, pen__event__init);
    SET(event, fence, job->fence);
    SET(event, seq, ++job->last_seq);
    event->what_case = what;
    event->started = body;
    job->events[job->last_seq - 1] = event;
    a->spool_seq++;
    return event;
}

static void data_deliver(struct world *w, const struct job *job, const Pen__ArtifactRef *made)
{
    Pen__ArtifactArrived *arrived = MAKE(Pen__ArtifactArrived, pen__artifact_arrived__init);
    SET(arrived, fence, job->fence);
    arrived->artifact = mem_copy(made);
    world_arrive(w, input_new(PEN__INPUT__WHAT_ARTIFACT_ARRIVED, arrived));
}

/* The process ends: kind and code as given. */
static void agent_end_job(struct world *w, struct fake_agent *a, uint64_t fence,
                          Pen__FinishKind kind, int32_t code)
{
    struct job *job = agent_job(a, fence);
    if (job == NULL || job->phase == PEN__ATTEMPT_PHASE__PHASE_FINISHED)
        return;
    Pen__Finished *finished = MAKE(Pen__Finished, pen__finished__init);
    SET(finished, kind, kind);
    SET(finished, exit_code, code);
    SET(finished, log_size, 100);
    if (kind == PEN__FINISH_KIND__EXITED && code == 0)
        for (size_t i = 0; job->capsule != NULL && i < job->capsule->n_outputs; i++) {
            Pen__ArtifactRef *made = MAKE(Pen__ArtifactRef, pen__artifact_ref__init);
            made->name = mem_text(job->capsule->outputs[i]->name);
            made->has_manifest_sha256 = 1;
            made->manifest_sha256.len = 32;
            made->manifest_sha256.data = mem_zero(32);
            memcpy(made->manifest_sha256.data, &fence, sizeof fence);
            APPEND(finished, artifacts, made);
        }
    Pen__Finished__OutputVariablesEntry *variable =
        MAKE(Pen__Finished__OutputVariablesEntry, pen__finished__output_variables_entry__init);
    variable->key = mem_text("WHO");
    variable->value = mem_text(job->action != NULL ? job->action : "nobody");
    APPEND(finished, output_variables, variable);
    job->phase = PEN__ATTEMPT_PHASE__PHASE_FINISHED;
    Pen__Event *event = job_event(a, job, PEN__EVENT__WHAT_FINISHED, finished);
    uint64_t seq = event->seq;
    Pen__Finished *copy = mem_copy(finished);
    agent_send_event(w, a, job, seq);
    for (size_t i = 0; i < copy->n_artifacts && agent_job(a, fence) != NULL; i++)
        data_deliver(w, agent_job(a, fence), copy->artifacts[i]);
    mem_free_message(copy);
}

static bool same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static void agent_start(struct world *w, struct fake_agent *a, const Pen__Start *start)
{
    if (agent_job(a, start->fence) != NULL)
        return; /* has it, or has sworn not to begin it */
    bool stale = start->fence <= a->max_fence;
    if (stale && !w->simulated)
        fail_msg("agent %s is told to start fence %llu after %llu", a->name,
                 (unsigned long long)start->fence, (unsigned long long)a->max_fence);
    struct job *job = agent_new_job(a, start->fence);
    if (stale) { /* overtaken on the way */
        agent_end_job(w, a, start->fence, PEN__FINISH_KIND__REFUSED_START, 0);
        return;
    }
    job->capsule = mem_copy(start->capsule);
    job->action = mem_text(start->capsule->action);
    job->phase = PEN__ATTEMPT_PHASE__PHASE_RUNNING;
    if (same(job->action, w->counted))
        w->begun++;
    if (w->begins != NULL)
        w->begins(w, a, start->capsule);
    Pen__Started *started = MAKE(Pen__Started, pen__started__init);
    started->isolation = mem_text("namespaces");
    job_event(a, job, PEN__EVENT__WHAT_STARTED, started);
    agent_send_event(w, a, job, 1);
    job = agent_job(a, start->fence);
    if (job != NULL && !w->simulated && !same(job->action, w->holding))
        agent_end_job(w, a, start->fence, PEN__FINISH_KIND__EXITED,
                      same(job->action, w->failing) ? 3 : 0);
}

static void agent_revoke(struct world *w, struct fake_agent *a, uint64_t fence)
{
    struct job *job = agent_job(a, fence);
    if (job == NULL) {
        job = agent_new_job(a, fence);
        job->tomb = true;
    }
    Pen__Revoked *revoked = MAKE(Pen__Revoked, pen__revoked__init);
    SET(revoked, fence, fence);
    SET(revoked, never_began, job->tomb);
    if (!job->tomb)
        revoked->item = job_item(job);
    world_send(w, a, PEN__FROM_AGENT__BODY_REVOKED, revoked);
}

static void agent_cancel(struct world *w, struct fake_agent *a, uint64_t fence)
{
    struct job *job = agent_job(a, fence);
    if (job == NULL || job->tomb)
        agent_revoke(w, a, fence);
    else
        agent_end_job(w, a, fence, PEN__FINISH_KIND__KILLED, 0);
}

static void agent_welcome(struct world *w, struct fake_agent *a, const Pen__Welcome *welcome)
{
    if (welcome->session_no > a->session_no)
        a->session_no = welcome->session_no;
    for (size_t i = 0; i < welcome->n_known; i++) {
        struct job *job = agent_job(a, welcome->known[i]->fence);
        for (uint64_t seq = welcome->known[i]->last_seq + 1; job != NULL && seq <= job->last_seq;
             seq++) {
            agent_send_event(w, a, job, seq);
            job = agent_job(a, welcome->known[i]->fence);
        }
        /* Artifacts whose arrival was not confirmed are sent again. */
        if (job != NULL && job->phase == PEN__ATTEMPT_PHASE__PHASE_FINISHED) {
            Pen__Finished *copy = mem_copy(job->events[job->last_seq - 1]->finished);
            for (size_t k = 0; k < copy->n_artifacts; k++)
                data_deliver(w, job, copy->artifacts[k]);
            mem_free_message(copy);
        }
    }
}

static void agent_receive(struct world *w, struct fake_agent *a, const Pen__ToAgent *message)
{
    switch ((int)message->body_case) {
    case PEN__TO_AGENT__BODY_WELCOME:
        agent_welcome(w, a, message->welcome);
        break;
    case PEN__TO_AGENT__BODY_OFFER: {
        Pen__Accept *accept = MAKE(Pen__Accept, pen__accept__init);
        SET(accept, fence, message->offer->fence);
        world_send(w, a, PEN__FROM_AGENT__BODY_ACCEPT, accept);
        break;
    }
    case PEN__TO_AGENT__BODY_START:
        agent_start(w, a, message->start);
        break;
    case PEN__TO_AGENT__BODY_CANCEL:
        agent_cancel(w, a, message->cancel->fence);
        break;
    case PEN__TO_AGENT__BODY_REVOKE:
        agent_revoke(w, a, message->revoke->fence);
        break;
    case PEN__TO_AGENT__BODY_RELEASE:
        for (size_t i = 0; i < message->release->n_fences; i++)
            agent_forget(a, message->release->fences[i]);
        break;
    case PEN__TO_AGENT__BODY_RESEND: {
        struct job *job = agent_job(a, message->resend->fence);
        for (uint64_t seq = message->resend->from_seq; job != NULL && seq <= job->last_seq; seq++)
            agent_send_event(w, a, job, seq);
        break;
    }
    case PEN__TO_AGENT__BODY_REFUSED:
        if (w->simulated && (message->refused->code == PEN__REFUSED_CODE__NO_SESSION ||
                             message->refused->code == PEN__REFUSED_CODE__SUPERSEDED))
            a->session_no = 0; /* says hello at its next heartbeat */
        else if (message->refused->code == PEN__REFUSED_CODE__NO_SESSION)
            agent_hello(w, a);
        break;
    default:
        break;
    }
}

/* ---- the rest of the world */

static void source_answer(struct world *w, const Pen__SourceRun *run)
{
    w->source_runs++;
    mem_set_text(&w->last_source_revision, run->revision_id);
    if (w->sources_hold)
        return;
    Pen__SourceDone *done = MAKE(Pen__SourceDone, pen__source_done__init);
    done->action_execution_id = mem_text(run->action_execution_id);
    SET(done, ok, w->source_error == NULL);
    if (w->source_error != NULL) {
        done->error_code = mem_text("JobFailed");
        done->error_message = mem_text(w->source_error);
    } else {
        done->revision = MAKE(Pen__SourceRevision, pen__source_revision__init);
        done->revision->revision_id =
            mem_text(run->revision_id != NULL ? run->revision_id : w->revision);
        done->revision->revision_summary = mem_text("a commit");
        done->artifact = MAKE(Pen__ArtifactRef, pen__artifact_ref__init);
        done->artifact->name = mem_text(run->artifact);
        done->artifact->has_manifest_sha256 = 1;
        done->artifact->manifest_sha256.len = 32;
        done->artifact->manifest_sha256.data = mem_zero(32);
        Pen__NameValue *value = MAKE(Pen__NameValue, pen__name_value__init);
        value->name = mem_text("CommitId");
        value->value = mem_text(done->revision->revision_id);
        APPEND(done, output_variables, value);
    }
    world_arrive(w, input_new(PEN__INPUT__WHAT_SOURCE_DONE, done));
}

static void data_open(struct world *w, const Pen__AttemptOpen *open)
{
    if (open->wanted_log_size == 0)
        return;
    Pen__LogStored *stored = MAKE(Pen__LogStored, pen__log_stored__init);
    SET(stored, fence, open->fence);
    SET(stored, size, open->wanted_log_size);
    world_arrive(w, input_new(PEN__INPUT__WHAT_LOG_STORED, stored));
}

static void world_perform_one(struct world *w, Pen__Effect *effect)
{
    switch ((int)effect->what_case) {
    case PEN__EFFECT__WHAT_REPLY:
        mem_free_message(w->reply);
        w->reply = mem_copy(effect->reply);
        break;
    case PEN__EFFECT__WHAT_AGENT_SEND:
        for (size_t i = 0; i < w->agents_count; i++) {
            struct fake_agent *a = &w->agents[i];
            if (a->up && !a->deaf && same(a->id, effect->agent_send->agent_id) &&
                (effect->agent_send->link == 0 || effect->agent_send->link == a->link))
                agent_receive(w, a, effect->agent_send->message);
        }
        break;
    case PEN__EFFECT__WHAT_SOURCE_RUN:
        source_answer(w, effect->source_run);
        break;
    case PEN__EFFECT__WHAT_ATTEMPT_OPEN:
        data_open(w, effect->attempt_open);
        break;
    case PEN__EFFECT__WHAT_SOURCE_WATCH:
        w->watches++;
        break;
    default:
        break;
    }
}

static void world_perform(struct world *w)
{
    while (w->effects_done < w->effects_count) {
        Pen__Effect *effect = w->effects[w->effects_done++];
        world_perform_one(w, effect);
        mem_free_message(effect);
    }
    w->effects_done = w->effects_count = 0;
}

/* ---- set-up helpers */

/* Enrol an agent by a token of its own and have it say hello. labels: "k=v" or NULL. */
static UNUSED struct fake_agent *world_add_agent(struct world *w, const char *name, uint32_t slots,
                                                 const char *label_key, const char *label_value)
{
    Pen__CreateToken *request = MAKE(Pen__CreateToken, pen__create_token__init);
    request->has_public_key = 1;
    request->public_key.len = 32;
    request->public_key.data = mem_zero(32);
    request->public_key.data[0] = (uint8_t)(100 + w->agents_count);
    SET(request, slots, slots);
    SET(request, ttl_ms, 3600000);
    if (label_key != NULL) {
        Pen__CreateToken__LabelsEntry *label =
            MAKE(Pen__CreateToken__LabelsEntry, pen__create_token__labels_entry__init);
        label->key = mem_text(label_key);
        label->value = mem_text(label_value);
        APPEND(request, labels, label);
    }
    world_post(w, PEN__INPUT__WHAT_CREATE_TOKEN, request);
    assert_null(w->reply->error);
    char *token = mem_text(w->reply->id);

    Pen__Enroll *enroll = MAKE(Pen__Enroll, pen__enroll__init);
    enroll->has_public_key = 1;
    enroll->public_key.len = 32;
    enroll->public_key.data = mem_zero(32);
    enroll->public_key.data[0] = (uint8_t)(1 + w->agents_count);
    enroll->name = mem_text(name);
    Pen__AgentMessage *m = MAKE(Pen__AgentMessage, pen__agent_message__init);
    m->agent_id = token;
    SET(m, from_token, 1);
    SET(m, link, 7);
    m->message = MAKE(Pen__FromAgent, pen__from_agent__init);
    m->message->body_case = PEN__FROM_AGENT__BODY_ENROLL;
    m->message->enroll = enroll;
    Pen__Input *input = input_new(PEN__INPUT__WHAT_AGENT_MESSAGE, m);
    world_step(w, input);
    mem_free_message(input);

    struct fake_agent *a = &w->agents[w->agents_count++];
    for (size_t i = w->effects_done; i < w->effects_count; i++)
        if (w->effects[i]->what_case == PEN__EFFECT__WHAT_AGENT_SEND &&
            w->effects[i]->agent_send->message->body_case == PEN__TO_AGENT__BODY_ENROLLED)
            a->id = mem_text(w->effects[i]->agent_send->message->enrolled->agent_id);
    assert_non_null(a->id);
    a->name = mem_text(name);
    a->spool_id = mem_format("spool-%s", name);
    a->run_id = mem_format("run-%s", name);
    a->slots = slots;
    a->up = true;
    a->link = 100 * w->agents_count;
    agent_hello(w, a);
    world_perform(w);
    assert_true(a->session_no > 0);
    return a;
}

static UNUSED struct fake_agent *world_agent_of(struct world *w, const char *action)
{
    for (size_t i = 0; i < w->agents_count; i++)
        for (size_t j = 0; j < w->agents[i].jobs_count; j++)
            if (same(w->agents[i].jobs[j].action, action))
                return &w->agents[i];
    return NULL;
}

/* End the process of an action that holds. */
static UNUSED void world_finish(struct world *w, const char *action, int32_t code)
{
    for (size_t i = 0; i < w->agents_count; i++)
        for (size_t j = 0; j < w->agents[i].jobs_count; j++)
            if (same(w->agents[i].jobs[j].action, action) &&
                w->agents[i].jobs[j].phase == PEN__ATTEMPT_PHASE__PHASE_RUNNING) {
                agent_end_job(w, &w->agents[i], w->agents[i].jobs[j].fence,
                              PEN__FINISH_KIND__EXITED, code);
                world_perform(w);
                return;
            }
    fail_msg("no agent runs %s", action);
}

/* ---- declarations: "Source:S=source | Build:Compile=run@1,Lint=run@1 | Ok:Approve=approve" */

static Pen__ActionDeclaration *action_new(const char *name, const char *kind, int32_t order)
{
    Pen__ActionDeclaration *action = MAKE(Pen__ActionDeclaration, pen__action_declaration__init);
    action->name = mem_text(name);
    SET(action, run_order, order);
    action->action_type_id = MAKE(Pen__ActionTypeId, pen__action_type_id__init);
    Pen__ActionTypeId *type = action->action_type_id;
    type->owner = mem_text("AWS");
    type->version = mem_text("1");
    bool source = strcmp(kind, "source") == 0;
    bool approve = strcmp(kind, "approve") == 0;
    type->category = mem_text(source ? "Source" : approve ? "Approval" : "Compute");
    type->provider = mem_text(source ? "CodeCommit" : approve ? "Manual" : "Commands");
    if (source) {
        Pen__OutputArtifact *output = MAKE(Pen__OutputArtifact, pen__output_artifact__init);
        output->name = mem_text(name);
        APPEND(action, output_artifacts, output);
        action->namespace_ = mem_text("Src");
    } else if (!approve) {
        APPEND(action, commands, mem_text("make"));
    }
    return action;
}

static UNUSED void action_configure(Pen__ActionDeclaration *action, const char *key,
                                    const char *value)
{
    Pen__ActionDeclaration__ConfigurationEntry *entry =
        MAKE(Pen__ActionDeclaration__ConfigurationEntry,
             pen__action_declaration__configuration_entry__init);
    entry->key = mem_text(key);
    entry->value = mem_text(value);
    APPEND(action, configuration, entry);
}

static UNUSED Pen__ActionDeclaration *find_declared(Pen__PipelineDeclaration *declaration,
                                                    const char *name)
{
    for (size_t s = 0; s < declaration->n_stages; s++)
        for (size_t i = 0; i < declaration->stages[s]->n_actions; i++)
            if (strcmp(declaration->stages[s]->actions[i]->name, name) == 0)
                return declaration->stages[s]->actions[i];
    fail_msg("no action %s", name);
    return NULL;
}

/* kind "once" is a Commands action of class once; "made" makes an artifact of its own name. */
static void add_action(Pen__StageDeclaration *stage, char *text)
{
    char *kind = strchr(text, '=');
    assert_non_null(kind);
    *kind++ = '\0';
    char *at = strchr(kind, '@');
    int32_t order = 1;
    if (at != NULL) {
        *at = '\0';
        order = (int32_t)strtol(at + 1, NULL, 10);
    }
    Pen__ActionDeclaration *action = action_new(text, kind, order);
    if (strcmp(kind, "once") == 0)
        action_configure(action, "Class", "once");
    if (strcmp(kind, "made") == 0) {
        Pen__OutputArtifact *output = MAKE(Pen__OutputArtifact, pen__output_artifact__init);
        output->name = mem_text(text);
        APPEND(action, output_artifacts, output);
    }
    APPEND(stage, actions, action);
}

static UNUSED Pen__PipelineDeclaration *declare(const char *name, const char *mode,
                                                const char *stages)
{
    Pen__PipelineDeclaration *declaration =
        MAKE(Pen__PipelineDeclaration, pen__pipeline_declaration__init);
    declaration->name = mem_text(name);
    declaration->execution_mode = mem_text(mode);
    char *copy = mem_text(stages);
    char *rest_stages = copy;
    char *stage_text;
    while ((stage_text = strsep(&rest_stages, "|")) != NULL) {
        Pen__StageDeclaration *stage = MAKE(Pen__StageDeclaration, pen__stage_declaration__init);
        char *actions = strchr(stage_text, ':');
        assert_non_null(actions);
        *actions++ = '\0';
        stage->name = mem_text(stage_text);
        char *action_text;
        while ((action_text = strsep(&actions, ",")) != NULL)
            add_action(stage, action_text);
        APPEND(declaration, stages, stage);
    }
    free(copy);
    return declaration;
}

/* Create the pipeline; returns the first execution's id (to be freed). */
static UNUSED char *world_create(struct world *w, Pen__PipelineDeclaration *declaration)
{
    Pen__CreatePipeline *request = MAKE(Pen__CreatePipeline, pen__create_pipeline__init);
    request->declaration = declaration;
    world_post(w, PEN__INPUT__WHAT_CREATE_PIPELINE, request);
    if (w->reply->error != NULL)
        fail_msg("create: %s", w->reply->message);
    return mem_text(w->reply->execution_id);
}

/* Start an execution; returns its id (to be freed), or NULL and the reply says why not. */
static UNUSED char *world_start(struct world *w, const char *pipeline)
{
    Pen__StartExecution *request = MAKE(Pen__StartExecution, pen__start_execution__init);
    request->pipeline = mem_text(pipeline);
    world_post(w, PEN__INPUT__WHAT_START_EXECUTION, request);
    return mem_text(w->reply->execution_id);
}

static UNUSED Pen__ExecutionStatus world_status(struct world *w, const char *execution_id)
{
    Pen__ExecutionRow *row =
        world_row(w, PEN__ROW_KIND__ROW_EXECUTION, execution_id, &pen__execution_row__descriptor);
    assert_non_null(row);
    Pen__ExecutionStatus status = row->status;
    mem_free_message(row);
    return status;
}

/* The newest execution of this action, of this pipeline execution; to be freed. */
static UNUSED Pen__ActionExecutionRow *world_action(struct world *w, const char *execution_id,
                                                    const char *action)
{
    Pen__ActionExecutionRow *found = NULL;
    for (struct pen_map_node *n = pen_map_first(&w->store); n != NULL; n = pen_map_next(n)) {
        const struct pen_row *row = ((struct stored *)pen_map_value(n))->row;
        if (row->kind != PEN__ROW_KIND__ROW_ACTION_EXECUTION || row->deleted ||
            !same(row->execution, execution_id))
            continue;
        Pen__ActionExecutionRow *unpacked =
            pen__action_execution_row__unpack(NULL, row->body_size, row->body);
        if (same(unpacked->action, action) && (found == NULL || unpacked->order > found->order)) {
            mem_free_message(found);
            found = unpacked;
        } else {
            mem_free_message(unpacked);
        }
    }
    return found;
}

static UNUSED void world_approve(struct world *w, const char *pipeline, const char *stage,
                                 const char *action, const char *token, bool approved)
{
    Pen__PutApproval *request = MAKE(Pen__PutApproval, pen__put_approval__init);
    request->pipeline = mem_text(pipeline);
    request->stage = mem_text(stage);
    request->action = mem_text(action);
    request->token = mem_text(token);
    SET(request, approved, approved);
    request->summary = mem_text("looked at it");
    world_post(w, PEN__INPUT__WHAT_PUT_APPROVAL, request);
}

static UNUSED void world_transition(struct world *w, const char *pipeline, const char *stage,
                                    bool disable)
{
    Pen__ChangeTransition *request = MAKE(Pen__ChangeTransition, pen__change_transition__init);
    request->pipeline = mem_text(pipeline);
    request->stage = mem_text(stage);
    SET(request, disable, disable);
    request->reason = mem_text("freeze");
    world_post(w, PEN__INPUT__WHAT_CHANGE_TRANSITION, request);
}

/* Every reason why the pipeline waits; true when one has this predicate. */
static UNUSED bool world_explains(struct world *w, const char *pipeline, const char *predicate)
{
    Pen__ExplainRequest *request = MAKE(Pen__ExplainRequest, pen__explain_request__init);
    request->pipeline = mem_text(pipeline);
    world_post(w, PEN__INPUT__WHAT_EXPLAIN, request);
    assert_null(w->reply->error);
    for (size_t i = 0; i < w->reply->n_reasons; i++)
        if (same(w->reply->reasons[i]->predicate, predicate))
            return true;
    for (size_t i = 0; i < w->reply->n_reasons; i++)
        print_message("reason: %s: %s\n", w->reply->reasons[i]->predicate,
                      w->reply->reasons[i]->sentence);
    return false;
}

/* ---- the end: folding all facts gives all rows */

static int compare_live(void *context, const struct pen_row *row)
{
    struct world *w = context;
    char *key = store_key(row);
    struct stored *stored = pen_map_get(&w->store, pen_key_text(key));
    if (stored == NULL || !stored->row->live || stored->row->deleted ||
        stored->row->body_size != row->body_size ||
        memcmp(stored->row->body, row->body, row->body_size) != 0)
        fail_msg("row %s in memory is not the one in the store", key);
    free(key);
    return 0;
}

static UNUSED void world_check_fold(struct world *w)
{
    struct pen_error err;
    struct pen_engine *other = NULL;
    struct pen_map folded = {0};
    assert_int_equal(pen_engine_create(&w->options, &other, &err), 0);
    for (size_t i = 0; i < w->facts_count; i++) {
        struct pen_engine_out out = {0};
        if (pen_engine_fold(other, w->facts[i], &out, &err) < 0)
            fail_msg("fold: %s", err.message);
        for (size_t j = 0; j < out.rows_count; j++)
            store_put(&folded, &out.rows[j]);
        pen_engine_out_release(&out);
    }
    assert_int_equal(folded.count, w->store.count);
    for (struct pen_map_node *n = pen_map_first(&w->store); n != NULL; n = pen_map_next(n)) {
        struct stored *a = pen_map_value(n);
        struct stored *b = pen_map_get(&folded, pen_key_text(a->key));
        if (b == NULL || a->row->live != b->row->live || a->row->deleted != b->row->deleted ||
            a->row->order != b->row->order || a->row->body_size != b->row->body_size ||
            (a->row->body_size > 0 && memcmp(a->row->body, b->row->body, a->row->body_size) != 0))
            fail_msg("row %s is not what the facts give", a->key);
    }
    assert_int_equal(pen_engine_rows(other, compare_live, w, &err), 0);
    assert_int_equal(pen_engine_rows(w->engine, compare_live, w, &err), 0);
    store_release(&folded);
    pen_engine_destroy(&other);
}

static UNUSED void world_end(struct world *w)
{
    world_check_fold(w);
    pen_engine_destroy(&w->engine);
    pen_engine_out_release(&w->out);
    store_release(&w->store);
    for (size_t i = 0; i < w->facts_count; i++)
        mem_free_message(w->facts[i]);
    free(w->facts);
    free(w->effects);
    free(w->inbox);
    mem_free_message(w->reply);
    free(w->last_source_revision);
    for (size_t i = 0; i < w->agents_count; i++) {
        struct fake_agent *a = &w->agents[i];
        while (a->jobs_count > 0)
            agent_forget(a, a->jobs[0].fence);
        free(a->id);
        free(a->name);
        free(a->spool_id);
        free(a->run_id);
    }
}

#endif
