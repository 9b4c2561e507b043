#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/io/proc.h"

static struct pen_proc_spec shell(const char *script, const char *argv[4])
{
    argv[0] = "sh";
    argv[1] = "-c";
    argv[2] = script;
    argv[3] = NULL;
    return (struct pen_proc_spec){.argv = argv, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
}

static int run(const char *script, int64_t timeout_ms, size_t output_max, struct pen_buf *out,
               struct pen_buf *error, int *status, struct pen_error *err)
{
    const char *argv[4];
    struct pen_proc_spec spec = shell(script, argv);
    return pen_proc_run(&spec, timeout_ms, output_max, out, error, status, err);
}

static void runs_and_collects(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_buf_release) struct pen_buf out = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf error = {0};
    int status = -1;
    assert_int_equal(
        run("echo to out; echo to err >&2; exit 7", 30000, 4096, &out, &error, &status, NULL), 0);
    assert_string_equal(pen_buf_text(&out), "to out\n");
    assert_string_equal(pen_buf_text(&error), "to err\n");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

static void keeps_no_more_than_asked(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_buf_release) struct pen_buf out = {0};
    int status = -1;
    assert_int_equal(run("i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done", 30000,
                         1000, &out, NULL, &status, NULL),
                     0);
    assert_int_equal(out.size, 1000);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0); /* it could write it all */
}

static void kills_at_the_deadline(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_buf_release) struct pen_buf out = {0};
    struct pen_error err;
    int status = 12345;
    int64_t begin = pen_clock_monotonic_ms();
    assert_int_equal(
        run("trap '' TERM; sleep 600 & sleep 600", 100, 100, &out, NULL, &status, &err),
        PEN_ETIMEOUT);
    assert_true(pen_clock_monotonic_ms() - begin < 30000);
    assert_int_equal(status, 12345);
}

static void ends_what_the_child_left_behind(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_buf_release) struct pen_buf out = {0};
    int status = -1;
    /* The background process holds our pipe; waiting for its end would take ten minutes. */
    assert_int_equal(run("sleep 600 & echo $!", 30000, 100, &out, NULL, &status, NULL), 0);
    assert_true(out.size > 1);
    char path[64];
    int64_t deadline = pen_clock_monotonic_ms() + 10000;
    bool gone = false;
    while (!gone && pen_clock_monotonic_ms() < deadline) {
        (void)snprintf(path, sizeof path, "/proc/%.*s/stat", (int)out.size - 1, pen_buf_text(&out));
        PEN_CLEANUP(pen_buf_release) struct pen_buf info = {0};
        gone = pen_file_read(path, 4096, &info, NULL) < 0 ||
               strstr(pen_buf_text(&info), ") Z") != NULL;
    }
    assert_true(gone);
}

static void gives_only_three_descriptors(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_buf_release) struct pen_buf out = {0};
    PEN_CLEANUP(pen_fd_close) int leaked = open("/dev/null", O_RDONLY); /* without close-on-exec */
    assert_true(leaked >= 0);
    int status = -1;
    /* The shell's glob opens one descriptor of its own, after ours. */
    assert_int_equal(run("for f in /proc/$$/fd/*; do case ${f##*/} in [012]) ;; *) readlink $f;; "
                         "esac; done; true",
                         30000, 4096, &out, NULL, &status, NULL),
                     0);
    assert_null(strstr(pen_buf_text(&out), "/dev/null"));
}

static void leads_its_own_session(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_buf_release) struct pen_buf out = {0};
    int status = -1;
    assert_int_equal(
        run("set -- $(cat /proc/$$/stat); echo $1 $5 $6", 30000, 100, &out, NULL, &status, NULL),
        0);
    char *rest = NULL; /* pid, group, session */
    long pid = strtol(pen_buf_text(&out), &rest, 10);
    assert_true(pid > 1);
    assert_int_equal(strtol(rest, &rest, 10), pid);
    assert_int_equal(strtol(rest, &rest, 10), pid);
    assert_string_equal(rest, "\n");
}

static void sets_folder_environment_and_signals(void **state)
{
    (void)state;
    const char *argv[4];
    struct pen_proc_spec spec = shell("pwd; echo $ONE; echo ${HOME:-none}; kill -PIPE $$", argv);
    spec.directory = "/";
    spec.environment = (const char *const[]){"ONE=1", "PATH=/usr/bin:/bin", NULL};
    void (*before)(int) = signal(SIGPIPE, SIG_IGN); /* must not be inherited */
    PEN_CLEANUP(pen_buf_release) struct pen_buf out = {0};
    int status = -1;
    assert_int_equal(pen_proc_run(&spec, 30000, 100, &out, NULL, &status, NULL), 0);
    (void)signal(SIGPIPE, before);
    assert_string_equal(pen_buf_text(&out), "/\n1\nnone\n");
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGPIPE);
}

static void names_what_cannot_start(void **state)
{
    (void)state;
    struct pen_error err;
    pid_t pid = 77;
    int pidfd = 77;
    struct pen_proc_spec spec = {.argv = (const char *const[]){"no-such-program-here", NULL},
                                 .stdin_fd = -1,
                                 .stdout_fd = -1,
                                 .stderr_fd = -1};
    assert_int_equal(pen_proc_spawn(&spec, &pid, &pidfd, &err), PEN_ENOTFOUND);
    assert_non_null(strstr(err.message, "no-such-program-here"));
    assert_int_equal(pid, 77);
    assert_int_equal(pidfd, 77);
    const char *argv[4];
    spec = shell("true", argv);
    spec.directory = "/no/such/folder";
    assert_int_equal(pen_proc_spawn(&spec, &pid, &pidfd, &err), PEN_ENOTFOUND);
    assert_non_null(strstr(err.message, "/no/such/folder"));
}

static void waits_with_a_limit(void **state)
{
    (void)state;
    int in[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    const char *argv[4];
    struct pen_proc_spec spec = shell("read line; exit 3", argv);
    spec.stdin_fd = in[0];
    pid_t pid = 0;
    PEN_CLEANUP(pen_fd_close) int pidfd = -1;
    assert_int_equal(pen_proc_spawn(&spec, &pid, &pidfd, NULL), 0);
    close(in[0]);
    int status = -1;
    assert_int_equal(pen_proc_wait(pid, pidfd, 0, &status, NULL), PEN_ETIMEOUT);
    assert_int_equal(pen_proc_wait(pid, pidfd, 50, &status, NULL), PEN_ETIMEOUT);
    assert_int_equal(write(in[1], "x\n", 2), 2);
    assert_int_equal(pen_proc_wait(pid, pidfd, -1, &status, NULL), 0);
    assert_int_equal(WEXITSTATUS(status), 3);
    close(in[1]);
    pen_proc_kill_group(pid, SIGTERM); /* fine when it is gone */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_and_collects),
        cmocka_unit_test(keeps_no_more_than_asked),
        cmocka_unit_test(kills_at_the_deadline),
        cmocka_unit_test(ends_what_the_child_left_behind),
        cmocka_unit_test(gives_only_three_descriptors),
        cmocka_unit_test(leads_its_own_session),
        cmocka_unit_test(sets_folder_environment_and_signals),
        cmocka_unit_test(names_what_cannot_start),
        cmocka_unit_test(waits_with_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
