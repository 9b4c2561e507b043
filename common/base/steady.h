/* common/base/steady.h - a time of day that never goes back and never stands still
 *
 * Made of two clocks that the driver reads: the wall clock, which people and daemons set, and a
 * clock of intervals, which nobody sets. While the wall clock is ahead it is the time. When it was
 * set back, the time goes on a little slower than the intervals until the wall clock has caught up.
 *
 * It also notices time in which its process cannot have heard anything: the wall clock was set
 * forward, or the process, or the whole machine, did not run. Whoever judges silence must not count
 * such time.
 */
#ifndef PEN_COMMON_BASE_STEADY_H
#define PEN_COMMON_BASE_STEADY_H

#include <stdbool.h>
#include <stdint.h>

enum {
    PEN_STEADY_LEAP_MS =
        5000, /* more than a loaded machine delays a thread, less than two heartbeats */
    PEN_STEADY_SLOW_PART = 20, /* of each interval is left out while the wall clock is behind */
};

struct pen_steady {
    int64_t now_ms;      /* the time, in milliseconds since the epoch */
    int64_t interval_ms; /* the clock of intervals when it was read last */
    int64_t slowed_ms;   /* run since one was left out, less than PEN_STEADY_SLOW_PART */
};

void pen_steady_start(struct pen_steady *self, int64_t wall_ms, int64_t interval_ms);

/* Both clocks as they are now. planned_ms: how long the driver meant to wait at most since the last
 * reading; INT64_MAX: for ever. True: time has leapt by more than PEN_STEADY_LEAP_MS. */
bool pen_steady_read(struct pen_steady *self, int64_t wall_ms, int64_t interval_ms,
                     int64_t planned_ms);

#endif
