/* tests/sim/shrink.c - a failing story told shorter: less goes wrong, fewer take part, it ends
 * sooner
 *
 * Each try is a process of its own, since a violation ends it. A try counts when it ends with a
 * violation of the same name. Leaving something out changes what chance brings afterwards, so a
 * shorter story may need another seed: some neighbours are tried.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "tests/sim/sim.h"

enum { NEIGHBOURS = 4, TEXT_MAX = 4096 };

struct outcome {
    bool failed;
    double at_s;
    char name[32]; /* "LIVENESS", or the beginning of what was said */
    char text[TEXT_MAX];
};

static void read_outcome(int fd, struct outcome *ret)
{
    size_t used = 0;
    ssize_t got;
    while (used < sizeof ret->text - 1 &&
           (got = read(fd, ret->text + used, sizeof ret->text - 1 - used)) > 0)
        used += (size_t)got;
    ret->text[used] = '\0';
    const char *violation = strstr(ret->text, "VIOLATION at ");
    const char *step = violation == NULL ? NULL : strstr(violation, "step ");
    const char *colon = step == NULL ? NULL : strchr(step, ':');
    if (colon == NULL)
        return;
    ret->at_s = strtod(violation + strlen("VIOLATION at "), NULL);
    size_t size = strcspn(colon + 2, ":\n");
    size = size < sizeof ret->name ? size : sizeof ret->name - 1;
    memcpy(ret->name, colon + 2, size);
    ret->name[size] = '\0';
}

static void tell(const struct sim_options *options, struct outcome *ret)
{
    int ends[2];
    *ret = (struct outcome){0};
    fflush(NULL);
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(dup2(ends[1], STDERR_FILENO) >= 0 && close(ends[0]) == 0);
        struct sim *sim = sim_tell(options);
        sim_destroy(&sim);
        _Exit(0);
    }
    CHECK(close(ends[1]) == 0);
    read_outcome(ends[0], ret);
    CHECK(close(ends[0]) == 0);
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    ret->failed = WIFEXITED(status) && WEXITSTATUS(status) == SIM_FAILED;
}

/* The candidate, or a neighbour of it, fails alike: it becomes the best. */
static bool try_out(struct sim_options *best, struct sim_options candidate, struct outcome *known)
{
    uint64_t seed = candidate.seed;
    for (uint64_t i = 0; i <= NEIGHBOURS; i++) {
        struct outcome outcome;
        candidate.seed = seed + i;
        tell(&candidate, &outcome);
        if (!outcome.failed || strcmp(outcome.name, known->name) != 0)
            continue;
        *best = candidate;
        *known = outcome;
        fprintf(stderr, "still fails:");
        sim_print_command(stderr, best);
        return true;
    }
    return false;
}

/* The phase with faults need not last longer than until shortly after the violation. */
static void shorten(struct sim_options *best, struct outcome *known)
{
    struct sim_options candidate = *best;
    int64_t at_ms = (int64_t)(known->at_s * 1000) + 1000;
    candidate.busy_ms = (at_ms / 1000 + 1) * 1000;
    if (candidate.busy_ms < best->busy_ms)
        (void)try_out(best, candidate, known);
    for (;;) {
        candidate = *best;
        candidate.busy_ms = best->busy_ms / 2000 * 1000;
        if (candidate.busy_ms < 10000 || !try_out(best, candidate, known))
            return;
    }
}

static void fewer(struct sim_options *best, struct outcome *known)
{
    for (int hosts = 1; hosts < SIM_HOSTS; hosts++) {
        struct sim_options candidate = *best;
        candidate.hosts = hosts;
        if ((best->hosts > 0 && hosts >= best->hosts) || try_out(best, candidate, known))
            break;
    }
    for (int pipelines = 1; pipelines < SIM_PIPELINES; pipelines++) {
        struct sim_options candidate = *best;
        candidate.pipelines = pipelines;
        if ((best->pipelines > 0 && pipelines >= best->pipelines) ||
            try_out(best, candidate, known))
            break;
    }
}

static void calmer(struct sim_options *best, struct outcome *known)
{
    struct sim_options candidate = *best;
    candidate.without = UINT64_MAX;
    if (try_out(best, candidate, known))
        return;
    for (size_t kind = 0; faults_name(kind) != NULL; kind++) {
        candidate = *best;
        candidate.without |= UINT64_C(1) << kind;
        if (candidate.without != best->without)
            (void)try_out(best, candidate, known);
    }
}

int shrink(const struct sim_options *options)
{
    struct sim_options best = *options;
    best.find = best.trace = false;
    struct outcome known;
    tell(&best, &known);
    if (!known.failed) {
        fprintf(stderr, "penstock-sim: seed %" PRIu64 " does not fail\n", best.seed);
        return 1;
    }
    shorten(&best, &known);
    calmer(&best, &known);
    fewer(&best, &known);
    shorten(&best, &known);
    printf("%s", known.text);
    return SIM_FAILED;
}
