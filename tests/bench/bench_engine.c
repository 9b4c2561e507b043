/* What the engine costs: one table a section.
 *
 *     bench_engine [SECTION...]     speed, growth, memory, explain, reload; default: all
 *     bench_engine reload FOLDER    keep the generated stores there, for the next run
 *
 * Each figure is the best of some rounds, in processor time: other programs on the machine make it
 * worse, never better. The yardstick, hashing bytes one by one, is measured in the same run, so
 * that figures of different machines compare as ratios.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/load.h"
#include "tests/bench/reload.h"

enum { ROUNDS = 5, HASHED_BYTES = 8 << 20, EXPLAIN_ALONE = 1000 };

static const struct load_options usual = {
    .pipelines = 100, .agents = 50, .slots = 2, .active = 400, .batch = 32};

/* ---- the yardstick */

static double hash_ns_per_byte(void)
{
    static uint8_t bytes[HASHED_BYTES];
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t begin_ns = load_cpu_ns();
        uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
        for (size_t i = 0; i < sizeof bytes; i++)
            hash = (hash ^ bytes[i]) * 0x100000001b3u;
        bytes[hash % sizeof bytes] ^= 1; /* the result is used */
        double ns = (double)(load_cpu_ns() - begin_ns) / (double)sizeof bytes;
        best = round == 0 || ns < best ? ns : best;
    }
    return best;
}

/* ---- speed */

struct figures {
    double ns; /* a step */
    double instructions;
};

static struct figures measure(const struct load_options *options, uint64_t steps)
{
    struct load *load = load_create(options);
    struct load_cost cost = {0};
    load_run(load, 2 * options->active * 20,
             &cost); /* until executions are in all of their parts */
    struct figures best = {0};
    for (int round = 0; round < ROUNDS; round++) {
        cost = (struct load_cost){0};
        load_run(load, steps, &cost);
        double ns = (double)cost.cpu_ns / (double)cost.steps;
        if (round == 0 || ns < best.ns)
            best = (struct figures){ns, (double)cost.instructions / (double)cost.steps};
    }
    load_destroy(&load);
    return best;
}

static void bench_speed(void)
{
    double byte_ns = hash_ns_per_byte();
    (void)printf(
        "\nsteps: complete executions, %zu under way, %zu pipelines, %zu agents; one core\n",
        usual.active, usual.pipelines, usual.agents);
    (void)printf("%-24s %12s %12s %14s %18s\n", "inputs in one commit", "steps/s", "ns/step",
                 "instructions", "= bytes hashed");
    static const size_t batches[] = {1, 32, 256};
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        struct load_options options = usual;
        options.batch = batches[i];
        struct figures figures = measure(&options, 200000);
        (void)printf("%-24zu %12.0f %12.0f %14.0f %18.0f\n", batches[i], 1e9 / figures.ns,
                     figures.ns, figures.instructions, figures.ns / byte_ns);
    }
}

/* A short run for a profiler, which counts what is inside of the steps. */
static void bench_profile(void)
{
    struct load *load = load_create(&usual);
    struct load_cost cost = {0};
    load_run(load, 30000, &cost);
    (void)printf("%llu steps in all\n", (unsigned long long)load_steps(load));
    load_destroy(&load);
}

/* ---- growth */

static void growth_row(const char *what, const struct load_options *options)
{
    struct figures figures = measure(options, 100000);
    (void)printf("%-12s %10zu %12zu %8zu %12.0f %14.0f\n", what, options->pipelines,
                 options->active, options->agents, figures.ns, figures.instructions);
    (void)fflush(stdout);
}

static void bench_growth(void)
{
    (void)printf("\ngrowth: what one step costs as each of them grows tenfold\n");
    (void)printf("%-12s %10s %12s %8s %12s %14s\n", "grows", "pipelines", "executions", "agents",
                 "ns/step", "instructions");
    static const size_t factors[] = {1, 10, 100};
    for (size_t i = 0; i < 3; i++) {
        struct load_options options = usual;
        options.pipelines = 10 * factors[i];
        options.active = 1000;
        growth_row("pipelines", &options);
    }
    for (size_t i = 0; i < 3; i++) {
        struct load_options options = usual;
        options.pipelines = 400;
        options.active = 100 * factors[i];
        growth_row("executions", &options);
    }
    for (size_t i = 0; i < 3; i++) {
        struct load_options options = usual;
        options.agents = 10 * factors[i];
        options.active = 1000;
        growth_row("agents", &options);
    }
}

/* ---- memory */

/* Resident memory of this process; the allocator's own share is in it. */
static double resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    char line[128] = "";
    if (file == NULL || fgets(line, sizeof line, file) == NULL)
        load_die("no /proc/self/statm");
    (void)fclose(file);
    const char *second = strchr(line, ' ');
    return (double)strtoull(second != NULL ? second : "0", NULL, 10) * (double)getpagesize();
}

static double bytes_of_load(size_t active, size_t group)
{
    struct load_options options = {
        .pipelines = 1000, .agents = 1, .slots = 1, .batch = 1, .idle_agents = true};
    options.group = group;
    options.active = active;
    options.mode = "PARALLEL";
    double before = resident_bytes();
    struct load *load = load_create(&options);
    load_fill(load);
    double bytes = resident_bytes() - before;
    load_destroy(&load);
    return bytes;
}

/* What executions take that each wait with `group` queued actions. In a process of its own: what
 * others have left free would be taken again, and not be seen. */
static double bytes_with(size_t active, size_t group)
{
    double bytes = 0;
    int ends[2];
    if (pipe(ends) < 0)
        load_die("no pipe");
    pid_t child = fork();
    if (child == 0) {
        bytes = bytes_of_load(active, group);
        _exit(write(ends[1], &bytes, sizeof bytes) == (ssize_t)sizeof bytes ? 0 : 1);
    }
    int status = 0;
    if (child < 0 || read(ends[0], &bytes, sizeof bytes) != (ssize_t)sizeof bytes ||
        waitpid(child, &status, 0) != child || status != 0)
        load_die("a process to measure memory in failed");
    (void)close(ends[0]);
    (void)close(ends[1]);
    return bytes;
}

static void bench_memory(void)
{
    double few = 2000, many = 12000, more = many - few;
    double one = (bytes_with((size_t)many, 1) - bytes_with((size_t)few, 1)) / more;
    double five = (bytes_with((size_t)many, 5) - bytes_with((size_t)few, 5)) / more;
    double action = (five - one) / 4;
    (void)printf("\nmemory of the engine, resident\n");
    (void)printf("%-44s %8.0f bytes\n", "an active execution, its source fetched", one - action);
    (void)printf("%-44s %8.0f bytes\n", "an action of it that waits for an agent", action);
}

/* ---- explain */

static int compare_ns(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void explain_row(size_t pipelines, size_t agents)
{
    bool one_each = pipelines == EXPLAIN_ALONE;
    enum { QUEUED = 10000, ASKS = 500 };
    static uint64_t times[ASKS];
    struct load_options options = {.pipelines = pipelines,
                                   .agents = agents,
                                   .slots = 1,
                                   .active = one_each ? QUEUED / 10 : QUEUED / 5,
                                   .batch = 1,
                                   .idle_agents = true,
                                   .group = one_each ? 10 : 5,
                                   .mode = one_each ? "SUPERSEDED" : "PARALLEL"};
    struct load *load = load_create(&options);
    load_fill(load);
    size_t reasons = 0;
    for (size_t i = 0; i < ASKS; i++)
        times[i] = load_explain_ns(load, i % pipelines, &reasons);
    qsort(times, ASKS, sizeof times[0], compare_ns);
    (void)printf("%-12zu %8zu %10zu %10.3f ms %10.3f ms\n", pipelines, agents, reasons,
                 (double)times[ASKS / 2] / 1e6, (double)times[ASKS * 99 / 100] / 1e6);
    load_destroy(&load);
}

static void bench_explain(void)
{
    (void)printf("\nexplain a pipeline, 10,000 actions queued in all\n");
    (void)printf("%-12s %8s %10s %13s %13s\n", "pipelines", "agents", "reasons", "p50", "p99");
    explain_row(EXPLAIN_ALONE, 1000);
    explain_row(100, 1000);
    explain_row(EXPLAIN_ALONE, 100);
}

/* ---- all */

enum { PROFILE = 4, RELOAD, SECTIONS };
static const char *const names[SECTIONS] = {"speed",   "growth",  "memory",
                                            "explain", "profile", "reload"};
static void (*const sections[RELOAD])(void) = {bench_speed, bench_growth, bench_memory,
                                               bench_explain, bench_profile};

int main(int argc, char **argv)
{
    const char *folder = "build/bench";
    bool all = true;
    bool wanted[SECTIONS] = {false};
    for (int i = 1; i < argc; i++) {
        size_t k = 0;
        while (k < SECTIONS && strcmp(names[k], argv[i]) != 0)
            k++;
        if (k < SECTIONS) {
            wanted[k] = true;
            all = false;
        } else if (argv[i][0] != '-') {
            folder = argv[i];
        } else {
            (void)fprintf(stderr, "usage: bench_engine [speed|growth|memory|explain|reload]... "
                                  "[FOLDER]\n");
            return 2;
        }
    }
    for (size_t k = 0; k < RELOAD; k++)
        if (wanted[k] || (all && k != PROFILE))
            sections[k]();
    if (all || wanted[RELOAD])
        bench_reload(folder);
    return 0;
}
