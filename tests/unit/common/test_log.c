#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "common/base/limits.h"
#include "common/base/units.h"
#include "common/log/log.h"

static char captured[3 * PEN_LIMIT_LOG_LINE_BYTES];
static int pipe_fds[2];
static int old_stderr;

static void capture_begin(void)
{
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    old_stderr = dup(STDERR_FILENO);
    assert_true(dup2(pipe_fds[1], STDERR_FILENO) >= 0);
}

static void capture_end(void)
{
    assert_true(dup2(old_stderr, STDERR_FILENO) >= 0);
    close(old_stderr);
    close(pipe_fds[1]);
    size_t size = 0;
    ssize_t got;
    while ((got = read(pipe_fds[0], captured + size, sizeof captured - 1 - size)) > 0)
        size += (size_t)got;
    captured[size] = 0;
    close(pipe_fds[0]);
}

static void one_line_an_event(void **state)
{
    (void)state;
    pen_log_init("penstock-test", PEN_LOG_INFO);
    capture_begin();
    pen_log(PEN_LOG_DEBUG, "not shown", NULL);
    pen_log(PEN_LOG_WARNING, "agent lost", "agent=%s link=%d", "a1", 7);
    capture_end();
    char *rest = strchr(captured, ' ');
    assert_non_null(rest);
    assert_string_equal(rest, " warning penstock-test agent lost agent=a1 link=7\n");
    *rest = 0;
    int64_t ms = 0;
    assert_int_equal(pen_time_parse(captured, &ms, NULL), 0);
}

static void values_cannot_forge_lines(void **state)
{
    (void)state;
    pen_log_init("p", PEN_LOG_DEBUG);
    capture_begin();
    pen_log(PEN_LOG_DEBUG, "x", "value=%s", "a\nb\x1b[31m\x7f\xc2\x9b\xc3\xa9");
    capture_end();
    assert_non_null(strstr(captured, " debug p x value=a\\nb\\x1b[31m\\x7f\\x9b\xc3\xa9\n"));
    assert_ptr_equal(strchr(captured, '\n'), captured + strlen(captured) - 1);
}

static void long_lines_are_cut(void **state)
{
    (void)state;
    static char text[2 * PEN_LIMIT_LOG_LINE_BYTES];
    memset(text, 'y', sizeof text - 1);
    capture_begin();
    pen_log(PEN_LOG_ERROR, "x", "value=%s", text);
    capture_end();
    size_t size = strlen(captured);
    assert_in_range(size, PEN_LIMIT_LOG_LINE_BYTES - 8, PEN_LIMIT_LOG_LINE_BYTES);
    assert_string_equal(captured + size - 11, "yyyy [cut]\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_line_an_event),
        cmocka_unit_test(values_cannot_forge_lines),
        cmocka_unit_test(long_lines_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
