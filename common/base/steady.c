#include "common/base/steady.h"

#include "common/base/check.h"

void pen_steady_start(struct pen_steady *self, int64_t wall_ms, int64_t interval_ms)
{
    *self = (struct pen_steady){.now_ms = wall_ms, .interval_ms = interval_ms, .wall_ms = wall_ms};
}

int64_t pen_steady_proof_ms(int64_t ahead_ms)
{
    int64_t proof_ms = ahead_ms / PEN_STEADY_PROOF_PART;
    if (proof_ms < PEN_STEADY_PROOF_MIN_MS)
        return PEN_STEADY_PROOF_MIN_MS;
    return proof_ms < PEN_STEADY_PROOF_MAX_MS ? proof_ms : PEN_STEADY_PROOF_MAX_MS;
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

/* Whether a wall clock that is so far ahead of the intervals is to be followed. */
static bool is_proven(struct pen_steady *self, int64_t ahead_ms)
{
    if (ahead_ms <= PEN_STEADY_LEAP_MS) {
        self->doubted = false;
        return true;
    }
    if (!self->doubted)
        self->doubted_since_ms = self->interval_ms;
    self->doubted = self->interval_ms - self->doubted_since_ms < pen_steady_proof_ms(ahead_ms);
    return !self->doubted;
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
    self->wall_ms = wall_ms;
    if (ahead_ms < 0) {
        self->doubted = false;
        self->now_ms += slowed(self, elapsed_ms, -ahead_ms);
        return late;
    }
    bool proven = is_proven(self, ahead_ms);
    self->now_ms = proven ? wall_ms : self->now_ms + elapsed_ms;
    return late || (proven && ahead_ms > PEN_STEADY_LEAP_MS);
}

int64_t pen_steady_due_ms(const struct pen_steady *self)
{
    return self->doubted
               ? self->doubted_since_ms + pen_steady_proof_ms(self->wall_ms - self->now_ms)
               : INT64_MAX;
}

int64_t pen_steady_behind_ms(const struct pen_steady *self)
{
    return self->now_ms > self->wall_ms ? self->now_ms - self->wall_ms : 0;
}
