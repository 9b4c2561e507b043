/* tests/bench/load.h - an installation under load around one engine, for measuring the engine alone
 *
 *     people --start, approve--> inbox --> engine --> effects --> agents, sources, data --> inbox
 *
 * Executions are kept at a number: when one ends, its pipeline starts the next. Every execution is
 * complete: source, two builds at once (one hands on an artifact), an approval, a deploy of class
 * once that takes the artifact and a variable. Agents accept, start, report a step, finish; data
 * says that log and artifact are stored; every agent says a heartbeat each ten virtual seconds.
 *
 * Only the engine is measured: making inputs and reading effects is outside of the clock, freeing
 * what the engine made is inside. The clock is the processor time of this thread, so that
 * neighbours on the machine disturb little.
 */
#ifndef PEN_TESTS_BENCH_LOAD_H
#define PEN_TESTS_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/engine/engine.h"

struct load_options {
    size_t pipelines;
    size_t agents;
    uint32_t slots;   /* of each agent */
    size_t active;    /* executions under way */
    size_t batch;     /* inputs in one commit */
    bool idle_agents; /* agents are enrolled, but none is connected: everything queues */
    size_t group;     /* actions of the build stage; 0: two */
    const char *mode; /* of the pipelines; NULL: QUEUED and PARALLEL in turns */
    bool short_ones;  /* source and one action only: a small history */
    int (*commit)(void *context, const struct pen_engine_out *out); /* NULL: nothing is kept */
    void *context;
};

struct load_cost {
    uint64_t steps;
    uint64_t cpu_ns;
    uint64_t instructions; /* in user mode; 0: this machine does not say */
};

struct load;

/* Ends the program with a message when something cannot be. */
struct load *load_create(const struct load_options *options);
void load_destroy(struct load **self_p);

/* Go on for so many steps; adds what they cost. */
void load_run(struct load *self, uint64_t steps, struct load_cost *cost);

/* Start executions without having anything done about them, until `active` are under way. */
void load_fill(struct load *self);

/* Start no further executions, and go on until as many have ended as were asked for. */
void load_run_until_ended(struct load *self, uint64_t executions);

/* Steps since it was made, set-up included. */
uint64_t load_steps(const struct load *self);

/* One Explain of a pipeline: what it cost, and how many reasons came. */
uint64_t load_explain_ns(struct load *self, size_t pipeline, size_t *ret_reasons);

uint64_t load_cpu_ns(void);
uint64_t load_wall_ns(void);
_Noreturn void load_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
