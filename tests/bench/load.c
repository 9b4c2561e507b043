#include "tests/bench/load.h"

#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "controller/engine/memory.h"
#include "tests/bench/load_internal.h"

enum { BEAT_EVERY = 10 }; /* one of so many inputs is a heartbeat */

_Noreturn void load_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "bench_engine: ");
    (void)vfprintf(stderr, format, args);
    (void)fprintf(stderr, "\n");
    va_end(args);
    exit(1);
}

/* ---- what is measured with */

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t load_cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t load_wall_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

/* A counter of instructions in user mode; -1 where the kernel or the machine has none. */
static int open_counter(void)
{
    struct perf_event_attr attr = {.type = PERF_TYPE_HARDWARE,
                                   .size = sizeof attr,
                                   .config = PERF_COUNT_HW_INSTRUCTIONS,
                                   .exclude_kernel = 1,
                                   .exclude_hv = 1};
    return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static uint64_t read_counter(int counter)
{
    uint64_t value = 0;
    if (counter < 0 || read(counter, &value, sizeof value) != (ssize_t)sizeof value)
        return 0;
    return value;
}

/* ---- queues of inputs */

void load_queue_push(struct load_queue *self, Pen__Input *input)
{
    if (self->count == self->room) {
        size_t room = self->room == 0 ? 256 : 2 * self->room;
        Pen__Input **grown = mem_zero(room * sizeof *grown);
        for (size_t i = 0; i < self->count; i++)
            grown[i] = self->items[(self->first + i) % self->room];
        free(self->items);
        self->items = grown;
        self->room = room;
        self->first = 0;
    }
    self->items[(self->first + self->count++) % self->room] = input;
}

static Pen__Input *queue_pop(struct load_queue *self)
{
    if (self->count == 0)
        return NULL;
    Pen__Input *input = self->items[self->first];
    self->first = (self->first + 1) % self->room;
    self->count--;
    return input;
}

Pen__Input *load_input(struct load *self, Pen__Input__WhatCase what, void *body)
{
    Pen__Input *input = MAKE(Pen__Input, pen__input__init);
    SET(input, correlation, ++self->correlation);
    input->what_case = what;
    input->tick = body; /* a union of pointers */
    return input;
}

/* ---- steps */

static void take_out(struct load *self)
{
    if (self->options.commit != NULL && self->options.commit(self->options.context, &self->out) < 0)
        load_die("a commit failed");
    for (size_t i = 0; i < self->out.facts_count; i++)
        load_see_fact(self, self->out.facts[i]);
    for (size_t i = 0; i < self->out.effects_count; i++)
        load_perform(self, self->out.effects[i]);
}

static void step_batch(struct load *self, Pen__Input **inputs, size_t count, struct load_cost *cost)
{
    struct pen_error err;
    uint64_t begin_ns = load_cpu_ns();
    uint64_t begin_instructions = read_counter(self->counter);
    for (size_t i = 0; i < count; i++)
        if (pen_engine_take(self->engine, inputs[i], self->now_ms, &self->out, &err) < 0)
            load_die("step: %s", err.message);
    pen_engine_flush(self->engine, &self->out);
    cost->instructions += read_counter(self->counter) - begin_instructions;
    cost->cpu_ns += load_cpu_ns() - begin_ns;
    take_out(self);
    begin_ns = load_cpu_ns();
    begin_instructions = read_counter(self->counter);
    pen_engine_out_clear(&self->out);
    cost->instructions += read_counter(self->counter) - begin_instructions;
    cost->cpu_ns += load_cpu_ns() - begin_ns;
    cost->steps += count;
    self->steps += count;
}

/* One input outside of the measured run. */
void load_step(struct load *self, Pen__Input *input)
{
    struct load_cost ignored = {0};
    step_batch(self, &input, 1, &ignored);
    mem_free_message(input);
}

static Pen__Input *next_input(struct load *self)
{
    if (pen_engine_deadline(self->engine) <= self->now_ms && !self->ticked) {
        self->ticked = true;
        return load_input(self, PEN__INPUT__WHAT_TICK, MAKE(Pen__Tick, pen__tick__init));
    }
    if (++self->taken % BEAT_EVERY == 0 && !self->options.idle_agents) {
        size_t agent = self->next_beat++ % self->options.agents;
        return load_heartbeat(self, agent);
    }
    Pen__Input *input = queue_pop(&self->accepts);
    if (input == NULL)
        input = queue_pop(&self->answers);
    return input != NULL ? input : queue_pop(&self->wishes);
}

/* So much virtual time that every agent has its heartbeat each ten seconds. */
static void pass_time(struct load *self)
{
    uint64_t beats = self->next_beat;
    int64_t due_ms = LOAD_BEGIN_MS + (int64_t)(beats * LOAD_HEARTBEAT_MS / self->options.agents);
    if (due_ms > self->now_ms) {
        self->now_ms = due_ms;
        self->ticked = false;
    }
}

static size_t run_batch(struct load *self, struct load_cost *cost)
{
    Pen__Input *inputs[LOAD_BATCH_MAX];
    size_t count = 0;
    while (count < self->options.batch && (inputs[count] = next_input(self)) != NULL)
        count++;
    step_batch(self, inputs, count, cost);
    for (size_t i = 0; i < count; i++)
        mem_free_message(inputs[i]);
    pass_time(self);
    return count;
}

void load_run(struct load *self, uint64_t steps, struct load_cost *cost)
{
    uint64_t until = cost->steps + steps;
    while (cost->steps < until)
        if (run_batch(self, cost) == 0)
            load_die("nothing is left to do");
}

void load_run_until_ended(struct load *self, uint64_t executions)
{
    struct load_cost ignored = {0};
    while (self->ended < executions)
        if (run_batch(self, &ignored) == 0)
            load_die("nothing is left to do");
}

void load_fill(struct load *self)
{
    while (self->wishes.count > 0)
        load_step(self, queue_pop(&self->wishes));
    while (self->options.idle_agents && self->answers.count > 0)
        load_step(self, queue_pop(&self->answers));
}

uint64_t load_explain_ns(struct load *self, size_t pipeline, size_t *ret_reasons)
{
    Pen__ExplainRequest *request = MAKE(Pen__ExplainRequest, pen__explain_request__init);
    request->pipeline = load_pipeline_name(pipeline);
    Pen__Input *input = load_input(self, PEN__INPUT__WHAT_EXPLAIN, request);
    struct load_cost cost = {0};
    self->reasons = 0;
    step_batch(self, &input, 1, &cost);
    mem_free_message(input);
    *ret_reasons = self->reasons;
    return cost.cpu_ns;
}

/* ---- life */

struct load *load_create(const struct load_options *options)
{
    struct load *self = mem_zero(sizeof *self);
    self->options = *options;
    if (options->batch == 0 || options->batch > LOAD_BATCH_MAX || options->agents == 0)
        load_die("a batch has 1 to %d inputs, and there is an agent", LOAD_BATCH_MAX);
    self->now_ms = LOAD_BEGIN_MS;
    self->counter = open_counter();
    self->agents = mem_zero(options->agents * sizeof *self->agents);
    struct pen_engine_options engine;
    pen_engine_options_default(&engine);
    memset(engine.seed, 7, sizeof engine.seed);
    struct pen_error err;
    if (pen_engine_create(&engine, &self->engine, &err) < 0 ||
        pen_engine_plan(self->engine, self->now_ms, &self->out, &err) < 0)
        load_die("%s", err.message);
    take_out(self);
    pen_engine_out_clear(&self->out);
    for (size_t i = 0; i < options->agents; i++)
        load_add_agent(self, i);
    for (size_t i = 0; i < options->pipelines; i++)
        load_add_pipeline(self, i);
    for (size_t i = options->pipelines; i < options->active; i++)
        load_wish(self, i % options->pipelines);
    return self;
}

static void queue_release(struct load_queue *self)
{
    Pen__Input *input;
    while ((input = queue_pop(self)) != NULL)
        mem_free_message(input);
    free(self->items);
}

void load_destroy(struct load **self_p)
{
    struct load *self = *self_p;
    *self_p = NULL;
    if (self == NULL)
        return;
    pen_engine_out_release(&self->out);
    pen_engine_destroy(&self->engine);
    queue_release(&self->accepts);
    queue_release(&self->answers);
    queue_release(&self->wishes);
    for (size_t i = 0; i < self->options.agents; i++)
        free(self->agents[i].id);
    free(self->agents);
    free(self->token_id);
    if (self->counter >= 0)
        (void)close(self->counter);
    free(self);
}

uint64_t load_steps(const struct load *self)
{
    return self->steps;
}
