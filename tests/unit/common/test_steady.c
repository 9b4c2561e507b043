#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/steady.h"

enum { START_MS = 1000000, DAY_MS = 86400000 };

static void test_follows_the_wall_clock(void **state)
{
    (void)state;
    struct pen_steady clock;
    pen_steady_start(&clock, START_MS, 7);
    assert_int_equal(clock.now_ms, START_MS);
    assert_false(pen_steady_read(&clock, START_MS + 10, 17, 0));
    assert_int_equal(clock.now_ms, START_MS + 10);
    /* A little faster than the intervals: that is how clocks are brought together. */
    assert_false(pen_steady_read(&clock, START_MS + 2012, 2017, 2000));
    assert_int_equal(clock.now_ms, START_MS + 2012);
    /* A long wait that was meant to be is no leap. */
    assert_false(pen_steady_read(&clock, START_MS + DAY_MS, 7 + DAY_MS, DAY_MS));
    assert_false(
        pen_steady_read(&clock, START_MS + 2 * DAY_MS, 7 + 2 * (int64_t)DAY_MS, INT64_MAX));
    assert_int_equal(clock.now_ms, START_MS + 2 * DAY_MS);
}

static void test_goes_on_slower_when_the_wall_clock_is_set_back(void **state)
{
    (void)state;
    struct pen_steady clock;
    int64_t interval_ms = 0;
    int64_t wall_ms = START_MS - 3600000; /* an hour back */
    pen_steady_start(&clock, START_MS, 0);
    int64_t before_ms = clock.now_ms;
    for (int i = 1; i <= 20 * 3600; i++) {
        assert_false(pen_steady_read(&clock, wall_ms += 1000, interval_ms += 1000, 1000));
        assert_true(clock.now_ms - before_ms == 950);
        before_ms = clock.now_ms;
    }
    /* 20 hours, a twentieth left out: caught up. */
    assert_int_equal(clock.now_ms, wall_ms);
    assert_false(pen_steady_read(&clock, wall_ms + 1000, interval_ms + 1000, 1000));
    assert_int_equal(clock.now_ms, wall_ms + 1000);
}

static void test_small_steps_never_go_back(void **state)
{
    (void)state;
    struct pen_steady clock;
    pen_steady_start(&clock, START_MS, 0);
    int64_t before_ms = START_MS;
    for (int64_t at = 0; at < 4000; at++) {
        assert_false(pen_steady_read(&clock, START_MS - DAY_MS + at, at, 0));
        assert_in_range(clock.now_ms - before_ms, 0, 1);
        before_ms = clock.now_ms;
    }
    assert_int_equal(clock.now_ms, START_MS + 3999 - 3999 / PEN_STEADY_SLOW_PART);
}

static void test_tells_leaps(void **state)
{
    (void)state;
    struct pen_steady clock;
    pen_steady_start(&clock, START_MS, 0);
    assert_false(pen_steady_read(&clock, START_MS + PEN_STEADY_LEAP_MS, 0, 0));
    assert_int_equal(clock.now_ms, START_MS + PEN_STEADY_LEAP_MS);
    /* The process did not run for ten minutes, and was to wait for one second. */
    pen_steady_start(&clock, START_MS, 0);
    assert_true(pen_steady_read(&clock, START_MS + 600000, 600000, 1000));
    assert_int_equal(clock.now_ms, START_MS + 600000);
    assert_false(pen_steady_read(&clock, START_MS + 601000, 601000, 1000));
}

/* The wall clock is wrong for a while by ahead_ms; the time goes on by the intervals. */
static void check_glitch(int64_t ahead_ms, int64_t for_ms)
{
    struct pen_steady clock;
    pen_steady_start(&clock, START_MS, 0);
    int64_t at_ms = 0;
    for (; at_ms < for_ms; at_ms += 1000) {
        assert_false(pen_steady_read(&clock, START_MS + ahead_ms + at_ms, at_ms, 1000));
        assert_int_equal(clock.now_ms, START_MS + at_ms);
        assert_int_equal(pen_steady_behind_ms(&clock), 0);
        assert_true(pen_steady_due_ms(&clock) > at_ms);
    }
    assert_false(pen_steady_read(&clock, START_MS + at_ms, at_ms, 1000));
    assert_int_equal(clock.now_ms, START_MS + at_ms);
    assert_int_equal(pen_steady_due_ms(&clock), INT64_MAX);
}

static void test_a_glitch_is_not_believed(void **state)
{
    (void)state;
    check_glitch(2 * 3600000, 12000);
    check_glitch(INT64_C(3652) * DAY_MS, 3000);
    check_glitch(INT64_C(3652) * DAY_MS, DAY_MS);
    check_glitch(6000, 60000);
}

static void test_a_step_that_stays_is_followed(void **state)
{
    (void)state;
    struct pen_steady clock;
    pen_steady_start(&clock, START_MS, 0);
    const int64_t ahead_ms = 2 * 3600000;
    assert_false(pen_steady_read(&clock, START_MS + ahead_ms, 0, 0));
    int64_t due_ms = pen_steady_due_ms(&clock);
    assert_int_equal(due_ms, ahead_ms / PEN_STEADY_PROOF_PART);
    assert_false(pen_steady_read(&clock, START_MS + ahead_ms + due_ms - 1, due_ms - 1, INT64_MAX));
    assert_int_equal(clock.now_ms, START_MS + due_ms - 1);
    assert_true(pen_steady_read(&clock, START_MS + ahead_ms + due_ms, due_ms, INT64_MAX));
    assert_int_equal(clock.now_ms, START_MS + ahead_ms + due_ms);
    assert_int_equal(pen_steady_due_ms(&clock), INT64_MAX);
    /* And when it was wrong all the same, it is known how far. */
    assert_false(pen_steady_read(&clock, START_MS + due_ms + 1000, due_ms + 1000, INT64_MAX));
    assert_int_equal(pen_steady_behind_ms(&clock), ahead_ms - 1000 / PEN_STEADY_SLOW_PART);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follows_the_wall_clock),
        cmocka_unit_test(test_goes_on_slower_when_the_wall_clock_is_set_back),
        cmocka_unit_test(test_small_steps_never_go_back),
        cmocka_unit_test(test_tells_leaps),
        cmocka_unit_test(test_a_glitch_is_not_believed),
        cmocka_unit_test(test_a_step_that_stays_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
