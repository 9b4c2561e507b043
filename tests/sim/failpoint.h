/* tests/sim/failpoint.h - the instants at which a controller, an agent or a host may die
 *
 * Every place where something becomes durable or visible is a named point. In a run of a story
 * (story.h) each pass of a point is counted; a point that is armed for its n-th pass kills there:
 *
 *     request -> step ->[C1]-> commit ->[C2]-> answer      offer ->[C3]-> accept -> grant ...
 *
 * The table in failpoint.c names for each point what dies, between which two things, and what has
 * to come of it. Random runs (without a story) pass no points.
 */
#ifndef PEN_TESTS_SIM_FAILPOINT_H
#define PEN_TESTS_SIM_FAILPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/session/session.h"

struct sim;
struct host;
struct run;

enum {
    FAILPOINTS_MAX = 64, /* rows of the table: their sets are bits of a uint64_t */
    FAILPOINTS_ARMED_MAX = 4,
};

/* Where in the code: the first part of a point's place. */
enum place {
    PLACE_STEPPED = 1, /* controller: before the commit, what: a fact of this turn */
    PLACE_COMMITTED,   /* controller: after the commit, before its effects; what: a fact */
    PLACE_PERFORMED,   /* controller: after the effects; what: a message that was sent */
    PLACE_BLOB,        /* controller: an artifact is stored, its reference is not committed */
    PLACE_LOG,         /* controller: log bytes are written, the engine does not know */
    PLACE_RECORDING,   /* agent: before its journal is written; what: a record of this turn */
    PLACE_WRITTEN,     /* agent: after the journal is written, before it is synced */
    PLACE_SYNCED,      /* agent: after the sync, before what had to wait for it */
    PLACE_SPAWNED,     /* host: the shim is there, nothing has begun */
    PLACE_BEGAN,       /* host: the commands run, nobody knows */
    PLACE_ENDING,      /* host: about to end */
    PLACE_EXITED,      /* host: ended, nobody knows */
};

enum victim { VICTIM_CONTROLLER = 1, VICTIM_AGENT, VICTIM_SHIM, VICTIM_HOST };

/* What has to come of it, of an action that is under way there. */
enum outcome {
    OUTCOME_SAME = 1, /* it goes on: no attempt more than without the fault */
    OUTCOME_GRANTED,  /* it goes on; what its result brought may be granted to nobody: one more */
    OUTCOME_AGAIN,    /* each attempt under way there may have to be made once more */
    OUTCOME_BROKEN,   /* interrupted: repeatable made again, once waits for a person */
};

struct failpoint {
    const char *name;
    enum place place;
    int what; /* see enum place; 0: any */
    enum victim victim;
    enum outcome outcome;
    const char *between;
};

/* One point, to fail at its n-th pass. */
struct arming {
    int point; /* row of the table */
    uint64_t nth;
    bool hit;
};

/* The rows; ended by a name of NULL. */
extern const struct failpoint failpoints[];
int failpoints_count(void);
/* The row of this name, -1: none. */
int failpoint_find(const char *name);

/* The points that what is in the controller's (agent's) `out` makes this turn pass. */
uint64_t failpoints_of_turn(const struct sim *sim);
uint64_t failpoints_of_agent_turn(const struct sim *sim, const struct pen_session_out *out);

/* Pass the points of this place that are in the set. True: the controller has died. */
bool failpoint_core(struct sim *sim, enum place place, uint64_t set);

/* The same for an agent. True: the agent, or its host, has died; `out` is done with. */
bool failpoint_agent(struct sim *sim, struct host *host, struct pen_session_out *out,
                     enum place place, uint64_t set);

/* The same where a run is under way. True: something has died; run->state says whether the run has,
 * too. */
bool failpoint_run(struct sim *sim, struct host *host, struct run *run, enum place place);

/* The same where the data plane works for an agent. True: the controller has died. */
bool failpoint_data(struct sim *sim, enum place place);

#endif
