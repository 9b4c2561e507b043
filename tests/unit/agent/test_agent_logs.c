/* Logs on their way: what one agent may have under way in all, and who sends when there is room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/logs/logs.h"
#include "common/base/limits.h"

enum {
    LOGS = 20,
    LOG_BYTES = 2 * 1024 * 1024,
};

struct world {
    char folder[64];
    struct pen_logs *logs;
    uint64_t sent[LOGS + 1]; /* by fence: where the next byte is expected */
    uint64_t acked[LOGS + 1];
    uint64_t in_flight;
};

static int take(void *context, uint64_t fence, uint64_t offset, const void *bytes, size_t size)
{
    struct world *self = context;
    (void)bytes;
    assert_int_equal(offset, self->sent[fence]);
    self->sent[fence] += size;
    self->in_flight += size;
    assert_true(self->in_flight <= PEN_LIMIT_LOG_LINK_BYTES);
    assert_true(self->sent[fence] - self->acked[fence] <= PEN_LIMIT_LOG_CREDIT_BYTES);
    return 0;
}

static int set_up(void **state)
{
    struct world *self = calloc(1, sizeof *self);
    (void)snprintf(self->folder, sizeof self->folder, "/tmp/test-agent-logs.XXXXXX");
    assert_non_null(mkdtemp(self->folder));
    assert_int_equal(pen_logs_open(self->folder, take, self, &self->logs, NULL), 0);
    for (uint64_t fence = 1; fence <= LOGS; fence++) {
        char *path = pen_logs_path(self->logs, fence);
        FILE *file = fopen(path, "we");
        assert_non_null(file);
        assert_int_equal(ftruncate(fileno(file), LOG_BYTES), 0);
        (void)fclose(file);
        free(path);
    }
    *state = self;
    return 0;
}

static void release(struct world *self, uint64_t fence)
{
    self->in_flight -= self->sent[fence] - self->acked[fence];
    self->acked[fence] = self->sent[fence];
    pen_logs_release(self->logs, fence);
}

static int tear_down(void **state)
{
    struct world *self = *state;
    for (uint64_t fence = 1; fence <= LOGS; fence++)
        release(self, fence);
    pen_logs_close(&self->logs);
    assert_int_equal(rmdir(self->folder), 0);
    free(self);
    return 0;
}

static void capture_all(struct world *self)
{
    for (uint64_t fence = 1; fence <= LOGS; fence++)
        assert_int_equal(pen_logs_captured(self->logs, fence, LOG_BYTES, true, false, NULL), 0);
}

/* The controller has stored all that this log has sent. */
static void acknowledge(struct world *self, uint64_t fence)
{
    self->in_flight -= self->sent[fence] - self->acked[fence];
    self->acked[fence] = self->sent[fence];
    pen_logs_acked(self->logs, fence, self->acked[fence], 0);
}

static void test_all_together_are_bounded_and_all_arrive(void **state)
{
    struct world *self = *state;
    capture_all(self);
    assert_int_equal(self->in_flight, PEN_LIMIT_LOG_LINK_BYTES);
    for (unsigned round = 0; round < 2 * LOGS; round++)
        for (uint64_t fence = 1; fence <= LOGS; fence++)
            acknowledge(self, fence);
    for (uint64_t fence = 1; fence <= LOGS; fence++) {
        assert_int_equal(self->acked[fence], LOG_BYTES);
        assert_true(pen_logs_is_acked(self->logs, fence));
    }
}

/* The room that a log leaves is for those that wait, not for more of its own. */
static void test_who_waits_is_next(void **state)
{
    struct world *self = *state;
    const uint64_t waits = 1 + PEN_LIMIT_LOG_LINK_BYTES / PEN_LIMIT_LOG_CREDIT_BYTES;
    capture_all(self);
    assert_int_equal(self->sent[waits], 0);
    acknowledge(self, 1);
    assert_int_equal(self->sent[1], self->acked[1]);
    assert_int_equal(self->sent[waits], PEN_LIMIT_LOG_CREDIT_BYTES);
    acknowledge(self, waits);
    assert_int_equal(self->sent[waits + 1], PEN_LIMIT_LOG_CREDIT_BYTES);
}

static void test_room_comes_back_with_a_connection_and_a_release(void **state)
{
    struct world *self = *state;
    capture_all(self);
    self->in_flight = 0; /* all of it is lost */
    memset(self->sent, 0, sizeof self->sent);
    pen_logs_connected(self->logs, 0);
    assert_true(self->sent[LOGS] > 0); /* each asks with one piece where to go on */
    for (uint64_t fence = 1; fence <= LOGS; fence++)
        acknowledge(self, fence);
    assert_int_equal(self->in_flight, PEN_LIMIT_LOG_LINK_BYTES);
    release(self, 1);
    assert_int_equal(self->in_flight, PEN_LIMIT_LOG_LINK_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_together_are_bounded_and_all_arrive, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_who_waits_is_next, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_room_comes_back_with_a_connection_and_a_release,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
