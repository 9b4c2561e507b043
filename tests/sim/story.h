/* tests/sim/story.h - small stories without chance: one pipeline, two hosts, a person with a list
 *
 * A random run asks what a long day brings; a story is told again and again with one fault more, at
 * one named point (failpoint.h) or at two. Without a fault it ends as its table says. With one it
 * has to end the same way, with no attempt more than the point's outcome allows.
 *
 *     stories.c    the table of stories
 *     story.c      one telling: the person, and how it has to end
 *     enumerate.c  all tellings: every point at every pass, and pairs of them
 */
#ifndef PEN_TESTS_SIM_STORY_H
#define PEN_TESTS_SIM_STORY_H

#include "tests/sim/failpoint.h"
#include "tests/sim/sim.h"

enum {
    STORY_STEPS_MAX = 6,
    STORY_EXECUTIONS_MAX = 4,
    STORY_HOSTS = 2,
    STORY_RUNS_MS = 8000,       /* how long the commands of an action run */
    STORY_PART_MS = 340 * 1000, /* a part of the network: an agent counts as lost before it ends */
    STORY_LONG_MS = 400 * 1000, /* how long action L runs: longer than that */
    STORY_DOWN_MS = 1500,       /* until what has died is started again */
};

/* What the person does. */
enum deed {
    DEED_NONE = 0,
    DEED_START,
    DEED_PUSH,
    DEED_APPROVE,
    DEED_STOP,
    DEED_ABANDON,
    DEED_KILL,
    DEED_RETRY,     /* stage `where` */
    DEED_ROLL_BACK, /* stage `where`, to execution 0 */
    DEED_FREEZE,    /* the transition into `where` */
    DEED_THAW,
    DEED_CUT,  /* not a person: the connections of all agents end */
    DEED_PART, /* likewise: where something runs, nothing passes until it has counted as lost */
};

/* And when: as soon as ... */
enum moment {
    WHEN_EXISTS = 1, /* the execution has started */
    WHEN_STATUS,     /* it has the status */
    WHEN_WAITS,      /* it waits in front of a stage */
    WHEN_RUNS,       /* action `action` is known to run */
    WHEN_APPROVAL,   /* an approval waits */
};

struct story_step {
    enum moment when;
    int execution; /* by the order of their starts */
    int status;
    const char *action;
    enum deed deed;
    const char *where;
};

/* One row of the table. */
struct story_plan {
    const char *name;
    const char *mode;
    const char *stages; /* as pipelines.c reads them */
    struct story_step steps[STORY_STEPS_MAX];
    int ends[STORY_EXECUTIONS_MAX]; /* status of each execution; 0: there is none */
};

extern const struct story_plan story_plans[]; /* ended by a name of NULL */

/* One telling. */
struct story {
    const struct story_plan *plan;
    struct arming armed[FAILPOINTS_ARMED_MAX];
    int armed_count;
    uint64_t passes[FAILPOINTS_MAX];
    uint64_t grants_usual; /* of the telling without a fault; 0: this is it */

    int step;       /* that is next */
    uint64_t asked; /* correlation of the request under way; 0: none */
    int64_t asked_ms;
    uint64_t asks; /* of this step */
    bool answered;
    bool created;
    uint64_t may_cost;  /* attempts that its faults may cost */
    uint64_t may_break; /* of them, those that may have been interrupted */
    bool retried;       /* what fails at first succeeds from now on */
    uint64_t helps;     /* retries for what was interrupted */
    int helping;        /* execution that is being retried, plus 1; 0: none */
    int64_t helped_ms;
};

/* Tell it to its end; a violation when it does not end as it has to. */
void story_run(struct sim *sim);
void story_reply(struct sim *sim, const struct request *request, const Pen__Reply *reply);

/* How long something is down, and how an action exits: not by chance in a story. */
int64_t story_down_ms(const struct sim *sim, int64_t otherwise_ms);
int32_t story_exit_code(const struct sim *sim, const Pen__Capsule *capsule, int32_t otherwise);

/* How many attempts a fault with this outcome may cost now, by those that are under way: those that
 * have not begun may be made again after any death. */
uint64_t story_cost(struct sim *sim, enum outcome outcome);

const struct story_plan *story_find(const char *name);

/* All single points of this story (NULL: of every story), then so many pairs. Returns the process's
 * status. */
int enumerate(const struct sim_options *options, const struct story_plan *only, uint64_t pairs);

#endif
