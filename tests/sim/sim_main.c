/* tests/sim/sim_main.c - penstock-sim: tells stories until their number or the time is up */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/check.h"
#include "tests/sim/sim.h"

static const char usage[] =
    "usage: penstock-sim [OPTION...]\n"
    "  --seed N      the first seed (default 1)\n"
    "  --seeds N     how many, one after the other (default 100)\n"
    "  --minutes N   as many as fit into N minutes of the wall clock\n"
    "  --seconds N   as many as fit into N seconds of it\n"
    "  --busy N      virtual seconds of the phase with faults (default 3600)\n"
    "  --steps N     end after N steps: for looking at a failure's eve\n"
    "  --twice       tell each story twice: both must be the same\n"
    "  --hosts N     so many hosts, of at most 8 (default: as the seed says)\n"
    "  --pipelines N so many pipelines, of at most 6 (default: as the seed says)\n"
    "  --calm        no faults\n"
    "  --without A,B without these kinds of faults; ? lists them\n"
    "  --shrink      a shorter story that fails as the first seed does: prints its command\n"
    "  --plant N     with planted bug N, to see it found; 0 lists them\n"
    "  --find        a violation within these seeds is wanted: ends with 0 when there is one\n"
    "  --trace       print the story\n";

static struct sim *current;

/* A failed check of the code under test is a violation like any other. */
static void on_abort(int number)
{
    (void)number;
    if (current != NULL)
        sim_fail(current, "a check of the code under test has failed (see above)");
}

struct totals {
    uint64_t seeds;
    uint64_t steps;
    int64_t virtual_ms;
    uint64_t counts[COUNTS];
};

void sim_tell(const struct sim_options *options)
{
    current = sim_create(options);
    sim_run(current);
    sim_destroy(&current);
}

static double wall_seconds(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t tell(const struct sim_options *options, struct totals *totals)
{
    current = sim_create(options);
    sim_run(current);
    uint64_t hash = current->hash;
    totals->seeds++;
    totals->steps += current->steps;
    totals->virtual_ms += current->now_ms;
    for (int i = 0; i < COUNTS; i++)
        totals->counts[i] += current->counts[i];
    sim_destroy(&current);
    return hash;
}

static void print_figures(const struct totals *totals, double seconds)
{
    printf("%" PRIu64 " seeds, %.1f simulated hours, %" PRIu64 " events, %.0f times real time",
           totals->seeds, (double)totals->virtual_ms / 3.6e6, totals->steps,
           (double)totals->virtual_ms / 1000.0 / (seconds > 0 ? seconds : 1));
    for (int i = 0; i < COUNTS; i++)
        if (totals->counts[i] > 0)
            printf(", %" PRIu64 " %s", totals->counts[i], sim_count_name((enum sim_count)i));
    printf(", 0 violations in %.0f s\n", seconds);
}

struct arguments {
    struct sim_options options;
    uint64_t seeds;
    double seconds; /* of the wall clock; 0: no limit */
    bool twice;
    bool shrink;
};

static int list_plants(void)
{
    for (int i = 1; i < PLANT_COUNT; i++)
        printf("%2d  %s\n", i, sim_plant_name((enum sim_plant)i));
    return 0;
}

static uint64_t without_of(const char *text)
{
    uint64_t without = 0;
    for (const char *at = text == NULL ? "?" : text; *at != '\0';) {
        size_t size = strcspn(at, ",");
        int kind = faults_kind(at, size);
        if (kind < 0) {
            for (size_t i = 0; faults_name(i) != NULL; i++)
                printf("%s\n", faults_name(i));
            exit(*at == '?' ? 0 : 2);
        }
        without |= UINT64_C(1) << kind;
        at += size + (at[size] == ',' ? 1 : 0);
    }
    return without;
}

static int at_most(uint64_t number, int most)
{
    return number > (uint64_t)most ? most : (int)number;
}

/* The number behind an option. */
static uint64_t number_of(char **argv, int *index)
{
    char *end = NULL;
    const char *text = argv[++*index];
    uint64_t number = text == NULL ? 0 : strtoull(text, &end, 10);
    if (text == NULL || *text == '\0' || *end != '\0') {
        fprintf(stderr, "penstock-sim: %s wants a number\n%s", argv[*index - 1], usage);
        exit(2);
    }
    return number;
}

static void parse(char **argv, struct arguments *ret)
{
    for (int i = 1; argv[i] != NULL; i++) {
        const char *option = argv[i];
        if (strcmp(option, "--trace") == 0)
            ret->options.trace = true;
        else if (strcmp(option, "--calm") == 0)
            ret->options.calm = true;
        else if (strcmp(option, "--find") == 0)
            ret->options.find = true;
        else if (strcmp(option, "--twice") == 0)
            ret->twice = true;
        else if (strcmp(option, "--shrink") == 0)
            ret->shrink = true;
        else if (strcmp(option, "--seed") == 0) {
            ret->options.seed = number_of(argv, &i);
            ret->seeds = ret->seeds == 100 ? 1 : ret->seeds;
        } else if (strcmp(option, "--seeds") == 0)
            ret->seeds = number_of(argv, &i);
        else if (strcmp(option, "--minutes") == 0)
            ret->seconds = 60 * (double)number_of(argv, &i);
        else if (strcmp(option, "--seconds") == 0)
            ret->seconds = (double)number_of(argv, &i);
        else if (strcmp(option, "--hosts") == 0)
            ret->options.hosts = at_most(number_of(argv, &i), SIM_HOSTS);
        else if (strcmp(option, "--pipelines") == 0)
            ret->options.pipelines = at_most(number_of(argv, &i), SIM_PIPELINES);
        else if (strcmp(option, "--without") == 0)
            ret->options.without = without_of(argv[++i]);
        else if (strcmp(option, "--busy") == 0)
            ret->options.busy_ms = (int64_t)number_of(argv, &i) * 1000;
        else if (strcmp(option, "--steps") == 0)
            ret->options.steps_max = number_of(argv, &i);
        else if (strcmp(option, "--plant") == 0) {
            uint64_t plant = number_of(argv, &i);
            if (plant == 0)
                exit(list_plants());
            ret->options.plant = (enum sim_plant)(plant < PLANT_COUNT ? plant : 0);
        } else {
            fprintf(stderr, "%s", usage);
            exit(strcmp(option, "--help") == 0 ? 0 : 2);
        }
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    struct arguments arguments = {.options = {.seed = 1, .busy_ms = 3600 * 1000}, .seeds = 100};
    parse(argv, &arguments);
    arguments.options.first_seed = arguments.options.seed;
    struct sigaction action = {.sa_handler = on_abort};
    CHECK(sigaction(SIGABRT, &action, NULL) == 0);
    if (arguments.shrink)
        return shrink(&arguments.options);
    struct totals totals = {0};
    double begin = wall_seconds();
    double shown = begin;
    for (uint64_t i = 0; arguments.seconds > 0 || i < arguments.seeds; i++) {
        uint64_t hash = tell(&arguments.options, &totals);
        if (arguments.twice && tell(&arguments.options, &totals) != hash) {
            fprintf(stderr, "DETERMINISM: seed %" PRIu64 " tells two stories\n",
                    arguments.options.seed);
            return SIM_FAILED;
        }
        arguments.options.seed++;
        double now = wall_seconds();
        if (arguments.seconds > 0 && now - begin >= arguments.seconds)
            break;
        if (now - shown >= 30 && !arguments.options.trace) {
            shown = now;
            fprintf(stderr, "%" PRIu64 " seeds, %.0f s\n", totals.seeds, now - begin);
        }
    }
    print_figures(&totals, wall_seconds() - begin);
    return arguments.options.find ? 1 : 0;
}
