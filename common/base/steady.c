#include "common/base/steady.h"

#include "common/base/check.h"

void pen_steady_start(struct pen_steady *self, int64_t wall_ms, int64_t interval_ms)
{
    *self = (struct pen_steady){.now_ms = wall_ms, .interval_ms = interval_ms};
}

/* How much of the interval the time goes on by, when the wall clock is behind_ms behind after it.
 */
static int64_t slowed(struct pen_steady *self, int64_t elapsed_ms, int64_t behind_ms)
{
    self->slowed_ms += elapsed_ms;
    int64_t left_out_ms = self->slowed_ms / PEN_STEADY_SLOW_PART;
    self->slowed_ms %= PEN_STEADY_SLOW_PART;
    return elapsed_ms - (left_out_ms < behind_ms ? left_out_ms : behind_ms);
}

bool pen_steady_read(struct pen_steady *self, int64_t wall_ms, int64_t interval_ms,
                     int64_t planned_ms)
{
    CHECK(interval_ms >= self->interval_ms);
    CHECK(planned_ms >= 0);
    int64_t elapsed_ms = interval_ms - self->interval_ms;
    int64_t ahead_ms = wall_ms - (self->now_ms + elapsed_ms);
    bool late =
        planned_ms < INT64_MAX - PEN_STEADY_LEAP_MS && elapsed_ms > planned_ms + PEN_STEADY_LEAP_MS;
    self->interval_ms = interval_ms;
    self->now_ms = ahead_ms >= 0 ? wall_ms : self->now_ms + slowed(self, elapsed_ms, -ahead_ms);
    return late || ahead_ms > PEN_STEADY_LEAP_MS;
}
