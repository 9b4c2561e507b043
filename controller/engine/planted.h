/* controller/engine/planted.h - bugs that tests plant, to see that the simulator finds them
 *
 * In the library that ships, PLANTED() is the constant false and the compiler leaves nothing of
 * what hangs on it. tests/sim builds the engine once more with PEN_PLANTED_BUGS; there, one bug at
 * a time can be switched on. Each stands for a mistake that a change of the engine could make.
 */
#ifndef PEN_CONTROLLER_ENGINE_PLANTED_H
#define PEN_CONTROLLER_ENGINE_PLANTED_H

enum pen_planted {
    PLANTED_NONE = 0,
    PLANTED_FENCE_NOT_COMPARED, /* events of an attempt that was given up count for its successor */
    PLANTED_SECOND_START,       /* a once action is made again when its agent is silent */
    PLANTED_INTERRUPTED_AGAIN,  /* a once action is made again when it was interrupted */
    PLANTED_SUPERSEDE_INSIDE,   /* a newer execution ends the one inside the stage */
    PLANTED_LOCK_RELEASED_EARLY, /* a stage's lock goes with its first group of actions */
    PLANTED_LOST_EFFECT,         /* now and then a fetch is not handed out */
    PLANTED_RETRY_RERUNS,        /* a retry of failed actions makes all of them again */
    PLANTED_TIMER_LOST,          /* approvals have no deadline after a restart */
    PLANTED_APPROVAL_TOKEN,      /* any token approves */
    PLANTED_EVENT_GAP,           /* an event counts though the one before is missing */
    PLANTED_LOG_NOT_AWAITED,     /* an action succeeds before its log is stored */
    PLANTED_TOKEN_FORGOTTEN,     /* a start repeated with its token starts again */
    PLANTED_APPROVAL_REMADE,     /* an approval is asked for what is made again beside it */
    PLANTED_ZONE_FORGOTTEN,      /* the zone of a window is not asked for again after a restart */
    PLANTED_DELIVERY_FORGOTTEN,  /* a webhook's call that is repeated starts again */
    PLANTED_REVISION_FORGOTTEN,  /* a revision that is announced again starts again */
    PLANTED_SILENCE_COUNTED,     /* an agent's silence counts while the controller was stopped */
    PLANTED_REST_FORGOTTEN,      /* what waited behind a gate for a month goes on by itself */
    PLANTED_DATA_LEFT_OPEN,      /* the data plane is not told of some ends of attempts */
    PLANTED_PULL_FORGOTTEN,      /* pull requests are not looked at again after a restart */
    PLANTED_WAY_BACK_FORGOTTEN,  /* history goes that a rollback could take */
    PLANTED_PURGE_FORGOTTEN,     /* removed history is not purged after a restart */
    PLANTED_REF_FORGOTTEN,       /* what was seen of some refs is not kept */
    PLANTED_BESIDE_ABANDONED,    /* a once action is begun beside abandoned work of its own */
    PLANTED_ABANDONED_FORGOTTEN, /* abandoned once work whose agent is silent is taken as over */
    PLANTED_TIMEOUT_UNKEPT,      /* the controller leaves time-outs to the agents */
    PLANTED_WORD_OF_ANOTHER,     /* what an agent says of another's attempt counts */
    PLANTED_CLOCK_BELIEVED,      /* a window opens though the clock is behind it */
    PLANTED_COUNT,
};

#ifdef PEN_PLANTED_BUGS
extern enum pen_planted pen_planted; /* the test's */
#define PLANTED(bug) (pen_planted == PLANTED_##bug)
#else
#define PLANTED(bug) 0
#endif

#endif
