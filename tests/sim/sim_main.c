/* tests/sim/sim_main.c - penstock-sim: tells stories until their number or the time is up */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/check.h"
#include "tests/sim/planted.h"
#include "tests/sim/sim.h"
#include "tests/sim/story.h"

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
    "  --pipelines N so many pipelines, of at most 9 (default: as the seed says)\n"
    "  --calm        no faults\n"
    "  --without A,B without these kinds of faults; ? lists them\n"
    "  --shrink      a shorter story that fails as the first seed does: prints its command\n"
    "  --plant N     with planted bug N, to see it found; 0 lists them\n"
    "  --find        a violation within these seeds is wanted: ends with 0 when there is one\n"
    "  --failpoints  tell each story with a fault at every point, and with pairs of faults\n"
    "  --pairs N     so many pairs (default 300); which ones, --seed decides\n"
    "  --story NAME  tell this story once; 0 lists them\n"
    "  --fail P:N    in the story, fail at the N-th pass of point P, up to 4 times; 0 lists them\n"
    "  --trace       print what happens\n";

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

static double wall_seconds(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct sim *sim_tell(const struct sim_options *options)
{
    current = sim_create(options);
    if (options->story != NULL)
        story_run(current);
    else
        sim_run(current);
    struct sim *sim = current;
    current = NULL;
    return sim;
}

static uint64_t tell(const struct sim_options *options, struct totals *totals)
{
    struct sim *sim = sim_tell(options);
    uint64_t hash = sim->hash;
    totals->seeds++;
    totals->steps += sim->steps;
    totals->virtual_ms += sim->now_ms;
    for (int i = 0; i < COUNTS; i++)
        totals->counts[i] += sim->counts[i];
    sim_destroy(&sim);
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
    bool failpoints;
    uint64_t pairs;
    struct story story;
};

static _Noreturn void refuse(const char *option, const char *wants)
{
    fprintf(stderr, "penstock-sim: %s wants %s\n%s", option, wants, usage);
    exit(2);
}

static int list_plants(void)
{
    for (int i = 1; planted_name(i) != NULL; i++)
        printf("%2d  %s%s\n", i, planted_name(i),
               i < PLANT_COUNT ? "" : " (in the engine: penstock-sim-planted)");
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

static enum sim_plant plant_of(uint64_t number)
{
    if (number == 0)
        exit(list_plants());
    if (number > 1000 || !planted_select((int)number))
        refuse("--plant", "the number of a bug that this program has (0 lists them)");
    return (enum sim_plant)number;
}

static int list_stories(void)
{
    for (const struct story_plan *plan = story_plans; plan->name != NULL; plan++)
        printf("%-16s %-10s %s\n", plan->name, plan->mode, plan->stages);
    return 0;
}

static int list_failpoints(void)
{
    for (int i = 0; i < failpoints_count(); i++)
        printf("%-16s between: %s\n", failpoints[i].name, failpoints[i].between);
    return 0;
}

static void parse_story(const char *text, struct story *ret_story)
{
    if (text != NULL && strcmp(text, "0") == 0)
        exit(list_stories());
    ret_story->plan = story_find(text);
    if (ret_story->plan == NULL)
        refuse("--story", "the name of a story (0 lists them)");
}

static void parse_fail(const char *text, struct story *ret_story)
{
    if (text != NULL && strcmp(text, "0") == 0)
        exit(list_failpoints());
    char name[32];
    const char *colon = text == NULL ? NULL : strchr(text, ':');
    size_t size = colon == NULL ? sizeof name : (size_t)(colon - text);
    if (size >= sizeof name || ret_story->armed_count == FAILPOINTS_ARMED_MAX)
        refuse("--fail", "POINT:N, at most 4 times (0 lists the points)");
    memcpy(name, text, size);
    name[size] = '\0';
    struct arming *armed = &ret_story->armed[ret_story->armed_count++];
    armed->point = failpoint_find(name);
    armed->nth = strtoull(colon + 1, NULL, 10);
    if (armed->point < 0 || armed->nth == 0)
        refuse("--fail", "POINT:N (0 lists the points)");
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
        else if (strcmp(option, "--failpoints") == 0)
            ret->failpoints = true;
        else if (strcmp(option, "--pairs") == 0)
            ret->pairs = number_of(argv, &i);
        else if (strcmp(option, "--story") == 0)
            parse_story(argv[++i], &ret->story);
        else if (strcmp(option, "--fail") == 0)
            parse_fail(argv[++i], &ret->story);
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
            ret->options.plant = plant_of(number_of(argv, &i));
        } else {
            fprintf(stderr, "%s", usage);
            exit(strcmp(option, "--help") == 0 ? 0 : 2);
        }
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    struct arguments arguments = {
        .options = {.seed = 1, .busy_ms = 3600 * 1000}, .seeds = 100, .pairs = 300};
    parse(argv, &arguments);
    arguments.options.first_seed = arguments.options.seed;
    struct sigaction action = {.sa_handler = on_abort};
    CHECK(sigaction(SIGABRT, &action, NULL) == 0);
    if (arguments.shrink)
        return shrink(&arguments.options);
    if (arguments.failpoints)
        return enumerate(&arguments.options, arguments.story.plan, arguments.pairs);
    if (arguments.story.plan != NULL) {
        arguments.options.story = &arguments.story;
        arguments.seeds = 1;
    }
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
