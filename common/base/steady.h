/* common/base/steady.h - a time that never goes back, never stands still, and believes no glitch
 *
 * Made of two clocks that the driver reads: the wall clock, which people and daemons set, and a
 * clock of intervals, which nobody sets.
 *
 *     wall clock                         the time
 *     a little ahead (corrections)       follows at once
 *     set forward, for a moment          goes on by the intervals
 *     set forward, and stays there       follows once that is proven (pen_steady_proof_ms)
 *     behind (it was set back)           goes on a little slower until the wall clock has caught up
 *
 * A clock that was wrong for a moment is not taken for the truth, since the time could not go back
 * afterwards. While the wall clock is behind, pen_steady_behind_ms says how far: what is to happen
 * at a time of day asks for both.
 *
 * It also notices time in which its process cannot have heard anything: the time has leapt, or the
 * process, or the whole machine, did not run. Whoever judges silence must not count such time.
 */
#ifndef PEN_COMMON_BASE_STEADY_H
#define PEN_COMMON_BASE_STEADY_H

#include <stdbool.h>
#include <stdint.h>

enum {
    PEN_STEADY_LEAP_MS =
        5000, /* more than a loaded machine delays a thread, less than two heartbeats */
    PEN_STEADY_SLOW_PART = 20,       /* of each interval is left out while the clock is behind */
    PEN_STEADY_PROOF_PART = 24,      /* of a step is how long it has to stand */
    PEN_STEADY_PROOF_MIN_MS = 60000, /* as long as a time daemon may take to correct itself */
    PEN_STEADY_PROOF_MAX_MS = 86400000,
};

struct pen_steady {
    int64_t now_ms;           /* the time, in milliseconds since the epoch */
    int64_t interval_ms;      /* the clock of intervals when it was read last */
    int64_t wall_ms;          /* the wall clock then */
    int64_t slowed_ms;        /* run since one was left out, less than PEN_STEADY_SLOW_PART */
    bool doubted;             /* the wall clock is ahead, which is not proven yet */
    int64_t doubted_since_ms; /* by the clock of intervals */
};

void pen_steady_start(struct pen_steady *self, int64_t wall_ms, int64_t interval_ms);

/* Both clocks as they are now. planned_ms: how long the driver meant to wait at most since the last
 * reading; INT64_MAX: for ever. True: time has leapt by more than PEN_STEADY_LEAP_MS. */
bool pen_steady_read(struct pen_steady *self, int64_t wall_ms, int64_t interval_ms,
                     int64_t planned_ms);

/* How long a wall clock that is so far ahead has to stay there before it is followed. */
int64_t pen_steady_proof_ms(int64_t ahead_ms);

/* When to read the clocks again at the latest, by the clock of intervals: a doubted wall clock will
 * be proven then. INT64_MAX: there is no need. */
int64_t pen_steady_due_ms(const struct pen_steady *self);

/* How far the wall clock is behind the time; 0 when it is not. */
int64_t pen_steady_behind_ms(const struct pen_steady *self);

#endif
