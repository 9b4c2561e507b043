/* tests/bench/load_internal.h - what load.c and load_world.c share; not for others */
#ifndef PEN_TESTS_BENCH_LOAD_INTERNAL_H
#define PEN_TESTS_BENCH_LOAD_INTERNAL_H

#include "core.pb-c.h"
#include "tests/bench/load.h"

enum { LOAD_BATCH_MAX = 256, LOAD_HEARTBEAT_MS = 10000 };
#define LOAD_BEGIN_MS INT64_C(1700000000000)

/* A ring that grows. */
struct load_queue {
    Pen__Input **items;
    size_t first, count, room;
};

struct load_agent {
    char *id;
    uint64_t link;
    uint64_t session_no;
    uint64_t beats;
};

struct load {
    struct load_options options;
    struct pen_engine *engine;
    struct pen_engine_out out;
    int64_t now_ms;
    uint64_t correlation;
    uint64_t steps;
    uint64_t taken; /* inputs so far */
    uint64_t ended; /* executions */
    size_t next_beat;
    bool ticked;               /* at this virtual time */
    struct load_queue accepts; /* of offers: they expire, so they come first */
    struct load_queue answers; /* of agents, sources, data and people: before the wishes */
    struct load_queue wishes;  /* executions to start */
    struct load_agent *agents;
    char *token_id; /* of the last reply */
    size_t reasons; /* of the last reply */
    int counter;    /* of instructions; -1: none */
};

void load_queue_push(struct load_queue *self, Pen__Input *input);
Pen__Input *load_input(struct load *self, Pen__Input__WhatCase what, void *body);
void load_step(struct load *self, Pen__Input *input);

/* ---- load_world.c: what happens outside of the engine */
char *load_pipeline_name(size_t index); /* owned by the caller */
void load_add_agent(struct load *self, size_t index);
void load_add_pipeline(struct load *self, size_t index);
void load_wish(struct load *self, size_t pipeline);
void load_perform(struct load *self, const Pen__Effect *effect);
void load_see_fact(struct load *self, const Pen__Fact *fact);
Pen__Input *load_heartbeat(struct load *self, size_t agent);

#endif
