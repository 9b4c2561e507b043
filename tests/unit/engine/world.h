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
#include "controller/zones/zones.h"

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
    bool loses_starts;
    const char *declines; /* declines every offer, and says this; NULL: accepts */
    bool ready;           /* says with each result that it takes more work */
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
    const char *failing;  /* actions with these names exit with 3: "A" or "A,B" */
    const char *holding;  /* actions with these names run until world_finish */
    const char *defying;  /* actions with these names do not end when they are told to */
    const char *revision; /* what the branch points to */
    bool sources_hold;    /* source runs are not answered */
    const char *source_error;
    const char *source_left_out; /* of every commit, from its artifact */
    uint32_t begun;              /* processes that began, of the action named below */
    const char *counted;
    bool timing_out; /* a process that ends now has run out of its time */
    uint64_t steps;
    uint64_t restart_at_step; /* restart right after this commit, effects lost; 0: never */
    bool restart_always;      /* the same after every commit of facts, but replies are not lost */
    bool restarting;
    void (*observes)(struct world *w, const Pen__Effect *effect); /* each, as it is performed */
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
static void world_perform_one(struct world *w, Pen__Effect *effect);
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

/* The engine looks at all of it anew: after it was loaded, or when the process was stopped. */
static UNUSED void world_leap(struct world *w)
{
    struct pen_error err;
    if (pen_engine_plan(w->engine, w->now_ms, &w->out, &err) < 0)
        fail_msg("plan: %s", err.message);
    world_commit(w);
    world_take_effects(w);
    pen_engine_out_clear(&w->out);
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
    world_leap(w);
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
    bool always = w->restart_always && !w->restarting && w->out.facts_count > 0;
    bool dies = always || w->steps == w->restart_at_step;
    if (!dies)
        world_take_effects(w);
    for (size_t i = 0; always && i < w->out.effects_count; i++)
        if (w->out.effects[i]->what_case == PEN__EFFECT__WHAT_REPLY)
            world_perform_one(w, w->out.effects[i]);
    pen_engine_out_clear(&w->out);
    if (dies) {
        w->restarting = true;
        world_restart(w);
        w->restarting = false;
    }
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
    if (a->ready && what == PEN__FROM_AGENT__BODY_EVENT &&
        message->event->what_case == PEN__EVENT__WHAT_FINISHED)
        SET(message, ready, 1);
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

#include "tests/unit/engine/world_hosts.h"

#include "tests/unit/engine/world_helpers.h"

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
    for (size_t i = w->effects_done; i < w->effects_count; i++)
        mem_free_message(w->effects[i]);
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
