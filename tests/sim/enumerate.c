/* tests/sim/enumerate.c - every story with a fault at every point, and with pairs of faults */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "tests/sim/story.h"

enum { STORIES_MAX = 16 };

struct enumeration {
    const struct sim_options *options;
    int stories;
    uint64_t passes[STORIES_MAX][FAILPOINTS_MAX]; /* without a fault */
    uint64_t grants[STORIES_MAX];
    uint64_t tellings, pairs, both_hit;
};

/* Tell a story with these faults. */
static void tell(struct enumeration *self, int index, const struct arming *armed, int count,
                 struct story *ret_story, uint64_t *ret_grants)
{
    *ret_story = (struct story){
        .plan = &story_plans[index], .armed_count = count, .grants_usual = self->grants[index]};
    for (int i = 0; i < count; i++)
        ret_story->armed[i] = armed[i];
    struct sim_options options = *self->options;
    options.story = ret_story;
    struct sim *sim = sim_tell(&options);
    *ret_grants = sim->counts[COUNT_GRANTS];
    sim_destroy(&sim);
    self->tellings++;
}

static void tell_without(struct enumeration *self, int index)
{
    struct story story;
    tell(self, index, NULL, 0, &story, &self->grants[index]);
    for (int i = 0; i < failpoints_count(); i++)
        self->passes[index][i] = story.passes[i];
}

static void tell_singles(struct enumeration *self, int index)
{
    struct story story;
    uint64_t grants;
    for (int i = 0; i < failpoints_count(); i++)
        for (uint64_t nth = 1; nth <= self->passes[index][i]; nth++) {
            struct arming armed = {.point = i, .nth = nth};
            tell(self, index, &armed, 1, &story, &grants);
            if (!story.armed[0].hit) {
                fprintf(stderr, "story %s: point %s is not passed %" PRIu64 " times\n",
                        story_plans[index].name, failpoints[i].name, nth);
                exit(SIM_FAILED);
            }
        }
}

/* xorshift64: which pairs, by the seed alone. */
static uint64_t draw(uint64_t *state, uint64_t bound)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state % bound;
}

static struct arming draw_point(const struct enumeration *self, int index, uint64_t *state)
{
    uint64_t all = 0;
    for (int i = 0; i < failpoints_count(); i++)
        all += self->passes[index][i];
    CHECK(all > 0);
    uint64_t number = draw(state, all);
    int point = 0;
    while (number >= self->passes[index][point])
        number -= self->passes[index][point++];
    return (struct arming){.point = point, .nth = number + 1};
}

static void tell_pairs(struct enumeration *self, const struct story_plan *only, uint64_t pairs)
{
    uint64_t state = self->options->seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    struct story story;
    uint64_t grants;
    for (uint64_t i = 0; i < pairs; i++) {
        int index =
            only != NULL ? (int)(only - story_plans) : (int)draw(&state, (uint64_t)self->stories);
        struct arming armed[2] = {draw_point(self, index, &state), draw_point(self, index, &state)};
        tell(self, index, armed, 2, &story, &grants);
        self->pairs++;
        self->both_hit += story.armed[0].hit && story.armed[1].hit ? 1 : 0;
    }
}

static void print_table(const struct enumeration *self)
{
    printf("%-16s", "tellings of:");
    for (int s = 0; s < self->stories; s++)
        printf(" %.8s", story_plans[s].name);
    printf("\n");
    for (int i = 0; i < failpoints_count(); i++) {
        printf("%-16s", failpoints[i].name);
        for (int s = 0; s < self->stories; s++) {
            int width = (int)strlen(story_plans[s].name);
            printf(" %*" PRIu64, width > 8 ? 8 : width, self->passes[s][i]);
        }
        printf("   %s\n", failpoints[i].between);
    }
}

/* Every point is passed in some story. */
static bool all_reached(const struct enumeration *self)
{
    bool all = true;
    for (int i = 0; i < failpoints_count(); i++) {
        uint64_t passes = 0;
        for (int s = 0; s < self->stories; s++)
            passes += self->passes[s][i];
        if (passes == 0)
            fprintf(stderr, "no story passes point %s\n", failpoints[i].name);
        all &= passes > 0;
    }
    return all;
}

int enumerate(const struct sim_options *options, const struct story_plan *only, uint64_t pairs)
{
    struct enumeration self = {.options = options};
    while (story_plans[self.stories].name != NULL)
        self.stories++;
    CHECK(self.stories <= STORIES_MAX);
    for (int s = 0; s < self.stories; s++) {
        if (only != NULL && only != &story_plans[s])
            continue;
        tell_without(&self, s);
        tell_singles(&self, s);
    }
    uint64_t singles = self.tellings - (only != NULL ? 1 : (uint64_t)self.stories);
    tell_pairs(&self, only, pairs);
    print_table(&self);
    printf("%d stories, %d points, %" PRIu64 " tellings with one fault, %" PRIu64
           " with two (both came in %" PRIu64 "), 0 violations\n",
           self.stories, failpoints_count(), singles, self.pairs, self.both_hit);
    if (options->find)
        return 1; /* a violation was wanted */
    return only != NULL || all_reached(&self) ? 0 : SIM_FAILED;
}
