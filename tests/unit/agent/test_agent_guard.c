/* What a test has started in its folder ends with the test, by whatever the test ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "tests/unit/agent/guard.h"

enum { PATIENCE_MS = 30 * 1000 };

/* The test that is killed: it has left a process that is nobody's child any more. */
_Noreturn static void be_a_test(const char *folder)
{
    int guard = guard_start(folder);
    if (guard < 0 || chdir(folder) < 0)
        _exit(1);
    if (fork() == 0) {
        guard_end(&guard); /* programs that a test starts have no copy of it */
        (void)setsid();
        int fd = -1;
        if (pen_file_open("pid", O_WRONLY | O_CREAT, 0600, &fd, NULL) < 0 ||
            dprintf(fd, "%d\n", (int)getpid()) < 0)
            _exit(1);
        for (;;)
            (void)pause();
    }
    for (;;)
        (void)pause();
}

static pid_t left_behind(const char *folder)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/pid", folder);
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    if (pen_file_read(path, 64, &text, NULL) < 0)
        return 0;
    return (pid_t)strtol(pen_buf_text(&text), NULL, 10);
}

static void test_the_killed_leave_nothing(void **state)
{
    (void)state;
    char folder[] = "/tmp/pen-guard-XXXXXX";
    assert_non_null(mkdtemp(folder));
    pid_t pid = fork();
    if (pid == 0)
        be_a_test(folder);
    int64_t until = pen_clock_monotonic_ms() + PATIENCE_MS;
    while (left_behind(folder) == 0) {
        assert_true(pen_clock_monotonic_ms() < until);
        (void)poll(NULL, 0, 5);
    }
    pid_t left = left_behind(folder);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/cwd", (int)left);
    char where[PATH_MAX];
    while (readlink(path, where, sizeof where) >= 0) { /* a zombie works nowhere */
        assert_true(pen_clock_monotonic_ms() < until);
        (void)poll(NULL, 0, 5);
    }
    assert_int_equal(pen_dir_remove_tree(folder, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_killed_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
