/* Real shims: exit codes, signals, time-outs, what daemonises, what is killed, adoption, logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/actions/command.h"
#include "agent/exec/exec.h"
#include "agent/exec/exec_internal.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/keys/digest.h"
#include "common/wire/wire.h"
#include "tests/unit/agent/guard.h"

enum { PATIENCE_MS = 30 * 1000 };

struct seen {
    bool began, exited, vanished, start_failed;
    bool began_once;
    int began_count;
    int64_t shim_pid;
    uint64_t log_size;
    uint64_t step;
    Pen__ShimExit *exit;
};

struct world {
    int guard;
    char dir[64];
    char run[128];
    char spare[128];
    char other[128]; /* where the run folder goes when it cannot stay */
    char log[128];
    struct pen_exec *exec;
    struct seen seen;
};

static void on_report(void *context, const struct pen_exec_report *what)
{
    struct seen *seen = context;
    ProtobufCMessage *copy = NULL;
    switch (what->kind) {
    case PEN_EXEC_BEGAN:
        seen->began = true;
        seen->began_count++;
        seen->shim_pid = what->began->shim_pid;
        break;
    case PEN_EXEC_LOG:
        seen->log_size = what->number;
        break;
    case PEN_EXEC_STEP:
        seen->step = what->number;
        break;
    case PEN_EXEC_EXITED:
        assert_true(seen->began);
        seen->exited = true;
        assert_int_equal(pen_wire_copy(what->exit, &copy, NULL), 0);
        seen->exit = (Pen__ShimExit *)copy;
        break;
    case PEN_EXEC_VANISHED:
        seen->vanished = true;
        seen->began_once = what->began_once;
        break;
    case PEN_EXEC_START_FAILED:
        seen->start_failed = true;
        break;
    }
}

static int choose_other(void *context, char **ret_path, struct pen_error *err)
{
    struct seen *seen = context;
    struct world *world = (struct world *)(uintptr_t)((char *)seen - offsetof(struct world, seen));
    (void)err;
    *ret_path = strdup(world->other);
    return 0;
}

static void open_exec(struct world *world)
{
    char shim[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", shim, sizeof shim - 32);
    assert_true(size > 0);
    shim[size] = 0;
    (void)snprintf(strrchr(shim, (int)'/'), 32, "/penstock-shim");
    struct pen_exec_options options = {.run_dir = world->run,
                                       .spare_dir = world->spare,
                                       .choose_run_dir = choose_other,
                                       .spool_id = world->dir,
                                       .shim_path = shim,
                                       .report = on_report,
                                       .context = &world->seen};
    struct pen_error err = {0};
    if (pen_exec_create(&options, &world->exec, &err) < 0)
        fail_msg("%s", err.message);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    (void)snprintf(world->dir, sizeof world->dir, "/tmp/pen-exec-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    world->guard = guard_start(world->dir);
    assert_true(world->guard >= 0);
    assert_int_equal(chdir(world->dir), 0);
    (void)snprintf(world->run, sizeof world->run, "%s/run", world->dir);
    (void)snprintf(world->spare, sizeof world->spare, "%s/spare", world->dir);
    (void)snprintf(world->other, sizeof world->other, "%s/other", world->dir);
    (void)snprintf(world->log, sizeof world->log, "%s/log", world->dir);
    open_exec(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    pen_exec_destroy(&world->exec);
    pen_message_destroy(&world->seen.exit);
    assert_int_equal(pen_dir_remove_tree(world->dir, NULL), 0);
    assert_int_equal(chdir("/"), 0);
    guard_end(&world->guard);
    free(world);
    return 0;
}

static void start(struct world *world, const char *script, int64_t timeout_ms, int64_t log_max)
{
    PEN_CLEANUP(pen_message_destroy) Pen__ShimOrder *order = malloc(sizeof *order);
    assert_non_null(order);
    pen__shim_order__init(order);
    order->has_fence = true;
    order->fence = 7;
    order->log_path = strdup(world->log);
    order->workspace = strdup(world->dir);
    order->timeout_ms = timeout_ms;
    order->has_timeout_ms = order->has_log_bytes_max = order->has_kill_grace_ms = true;
    order->log_bytes_max = log_max;
    order->kill_grace_ms = 100;
    const char *argv[] = {"/bin/sh", "-c", script};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pen_texts_add(&order->argv, &order->n_argv, argv[i], NULL), 0);
    assert_int_equal(
        pen_texts_add(&order->environment, &order->n_environment, "PATH=/usr/bin:/bin", NULL), 0);
    struct pen_error err = {0};
    if (pen_exec_start(world->exec, order, &err) < 0)
        fail_msg("%s", err.message);
}

static bool ended(const struct seen *seen)
{
    return seen->exited || seen->vanished || seen->start_failed;
}

/* Turn the loop until this is true. */
static void wait_for(struct world *world, bool (*done)(const struct seen *seen))
{
    int64_t until = pen_clock_monotonic_ms() + PATIENCE_MS;
    while (!done(&world->seen)) {
        int64_t now = pen_clock_monotonic_ms();
        assert_true(now < until);
        int64_t at = pen_exec_deadline_ms(world->exec);
        int64_t wait = at < until ? at - now : until - now;
        struct pollfd item = {.fd = pen_exec_fd(world->exec), .events = POLLIN};
        (void)poll(&item, 1, wait < 0 ? 0 : (int)wait);
        assert_int_equal(pen_exec_process(world->exec, NULL), 0);
    }
}

static bool has_begun(const struct seen *seen)
{
    return seen->began;
}

static char *read_text(const char *path)
{
    struct pen_buf bytes = {0};
    assert_int_equal(pen_file_read(path, 16 * 1024 * 1024, &bytes, NULL), 0);
    return pen_buf_take_text(&bytes);
}

static void wait_for_file(const char *path)
{
    int64_t until = pen_clock_monotonic_ms() + PATIENCE_MS;
    while (!pen_file_exists(path)) {
        assert_true(pen_clock_monotonic_ms() < until);
        (void)poll(NULL, 0, 2);
    }
}

/* ---- */

static void test_success(void **state)
{
    struct world *world = *state;
    start(world, "true", 0, 0);
    wait_for(world, ended);
    assert_true(world->seen.exited);
    assert_true(world->seen.exit->has_exit_code);
    assert_int_equal(world->seen.exit->exit_code, 0);
    assert_int_equal(world->seen.began_count, 1);
    assert_int_equal(world->seen.exit->log_size, 0);
    assert_false(pen_file_exists(world->log)); /* no output, no file */
    assert_int_equal(pen_exec_count(world->exec), 0);
    pen_exec_release(world->exec, 7);
}

static void test_exit_code(void **state)
{
    struct world *world = *state;
    start(world, "exit 42", 0, 0);
    wait_for(world, ended);
    assert_int_equal(world->seen.exit->exit_code, 42);
    assert_int_equal(world->seen.exit->failed_command, 0);
    assert_false(world->seen.exit->killed);
}

static void test_signal(void **state)
{
    struct world *world = *state;
    start(world, "kill -SEGV $$", 0, 0);
    wait_for(world, ended);
    assert_false(world->seen.exit->has_exit_code);
    assert_int_equal(world->seen.exit->signal, SIGSEGV);
}

static void test_no_such_program(void **state)
{
    struct world *world = *state;
    start(world, "exec /no/such/program", 0, 0);
    wait_for(world, ended);
    assert_int_equal(world->seen.exit->exit_code, 127);
}

static void test_log(void **state)
{
    struct world *world = *state;
    start(world, "echo out; echo err >&2; printf end", 0, 0);
    wait_for(world, ended);
    PEN_CLEANUP(pen_free) char *log = read_text(world->log);
    assert_string_equal(log, "out\nerr\nend");
    uint8_t digest[PEN_SHA256_SIZE];
    pen_sha256(log, strlen(log), digest);
    assert_int_equal(world->seen.exit->log_size, strlen(log));
    assert_memory_equal(world->seen.exit->log_sha256.data, digest, sizeof digest);
    assert_false(world->seen.exit->log_cut);
}

static void test_log_is_cut(void **state)
{
    struct world *world = *state;
    start(world, "head -c 1000000 /dev/zero | tr '\\0' x; echo last", 0, 10000);
    wait_for(world, ended);
    PEN_CLEANUP(pen_free) char *log = read_text(world->log);
    assert_int_equal(world->seen.exit->exit_code, 0); /* the commands do not notice */
    assert_true(world->seen.exit->log_cut);
    assert_in_range(strlen(log), 4500, 10000);
    assert_int_equal(world->seen.exit->log_size, strlen(log));
    assert_non_null(strstr(log, "the log is cut here"));
    const char *end = strstr(log, "bytes are left out]\n");
    assert_true(end != NULL && strstr(end, "xlast\n") != NULL); /* how it ended */
    assert_string_equal(log + strlen(log) - strlen("last\n"), "last\n");
    uint8_t digest[PEN_SHA256_SIZE];
    pen_sha256(log, strlen(log), digest);
    assert_memory_equal(world->seen.exit->log_sha256.data, digest, sizeof digest);
}

/* Beginning and end, whole lines; and how much between them is left out. */
static void test_log_keeps_its_end(void **state)
{
    struct world *world = *state;
    start(world, "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done", 0, 20000);
    wait_for(world, ended);
    PEN_CLEANUP(pen_free) char *log = read_text(world->log);
    assert_true(world->seen.exit->log_cut);
    assert_memory_equal(log, "line 0\nline 1\n", 14);
    const char *mark = strstr(log, "\n[penstock: the log is cut here, at 20000 bytes; ");
    const char *left = strstr(log, "]\n[penstock: ");
    assert_true(mark != NULL && left != NULL && left > mark);
    unsigned long bytes = strtoul(left + strlen("]\n[penstock: "), NULL, 10);
    const char *rest = strstr(left, " bytes are left out]\nline ");
    assert_non_null(rest);
    rest += strlen(" bytes are left out]\n");
    assert_string_equal(rest + strlen(rest) - strlen("line 4999\n"), "line 4999\n");
    size_t all = 0;
    for (int i = 0; i < 5000; i++)
        all += (size_t)snprintf(NULL, 0, "line %d\n", i);
    assert_int_equal((size_t)(mark - log) + bytes + strlen(rest), all);
    assert_int_equal(world->seen.exit->log_size, strlen(log));
    assert_in_range(strlen(log), 15000, 20000);
}

/* What fits is there, all of it, without a word of ours. */
static void test_log_that_just_fits(void **state)
{
    struct world *world = *state;
    start(world, "head -c 19000 /dev/zero | tr '\\0' x; echo; echo last", 0, 20000);
    wait_for(world, ended);
    PEN_CLEANUP(pen_free) char *log = read_text(world->log);
    assert_false(world->seen.exit->log_cut);
    assert_int_equal(strlen(log), 19000 + strlen("\nlast\n"));
    assert_null(strstr(log, "penstock"));
    assert_int_equal(world->seen.exit->log_size, strlen(log));
}

static void test_timeout(void **state)
{
    struct world *world = *state;
    int64_t before = pen_clock_monotonic_ms();
    start(world, "trap '' TERM; echo armed; while :; do sleep 1000; done", 200, 0);
    wait_for(world, ended);
    assert_true(world->seen.exit->timed_out);
    assert_int_equal(world->seen.exit->signal, SIGKILL);
    assert_in_range(pen_clock_monotonic_ms() - before, 300, 10000);
}

/* Commands that never stop writing do not outrun their time-out. */
static void test_timeout_while_writing(void **state)
{
    struct world *world = *state;
    start(world, "exec yes", 200, 100000);
    wait_for(world, ended);
    assert_true(world->seen.exit->timed_out);
    assert_true(world->seen.exit->log_cut);
}

static void test_kill_with_grace(void **state)
{
    struct world *world = *state;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/armed", world->dir);
    start(world, "trap 'echo bye; exit 3' TERM; : > armed; while :; do sleep 0.05; done", 0, 0);
    wait_for(world, has_begun);
    wait_for_file(path);
    pen_exec_kill(world->exec, 7, 10000);
    wait_for(world, ended);
    assert_true(world->seen.exit->killed);
    assert_int_equal(world->seen.exit->exit_code, 3);
    PEN_CLEANUP(pen_free) char *log = read_text(world->log);
    assert_non_null(strstr(log, "bye"));
}

static void test_kill_at_once(void **state)
{
    struct world *world = *state;
    start(world, "trap '' TERM; sleep 1000", 0, 0);
    pen_exec_kill(world->exec, 7, 0); /* before anything is known of the shim */
    wait_for(world, ended);
    assert_true(world->seen.vanished || world->seen.exit->killed);
}

/* Whatever the commands leave behind ends with them, before the exit is reported. */
static void test_daemon_is_killed(void **state)
{
    struct world *world = *state;
    start(world,
          "(setsid sh -c 'echo up > daemon; while :; do date > beat; sleep 0.02; done' &) ; "
          "while ! [ -s daemon ]; do sleep 0.01; done; exit 5",
          0, 0);
    wait_for(world, ended);
    assert_int_equal(world->seen.exit->exit_code, 5);
    assert_true(sweep(world->exec, 7));
    char path[128];
    (void)snprintf(path, sizeof path, "%s/beat", world->dir);
    (void)unlink(path);
    (void)poll(NULL, 0, 100);
    assert_false(pen_file_exists(path));
}

/* kill -9 of the shim: all below it dies, and that is what is reported. */
static void test_shim_is_killed(void **state)
{
    struct world *world = *state;
    char beat[128];
    (void)snprintf(beat, sizeof beat, "%s/beat", world->dir);
    start(world, "(setsid sh -c 'while :; do date > beat; sleep 0.02; done' &) ; sleep 1000", 0, 0);
    wait_for(world, has_begun);
    wait_for_file(beat);
    assert_true(world->seen.shim_pid > 1);
    assert_int_equal(kill((pid_t)world->seen.shim_pid, SIGKILL), 0);
    wait_for(world, ended);
    assert_true(world->seen.vanished);
    assert_true(world->seen.began_once);
    (void)unlink(beat);
    (void)poll(NULL, 0, 100);
    assert_false(pen_file_exists(beat));
}

/* The agent goes and comes back while the commands run. */
static void test_adoption_alive(void **state)
{
    struct world *world = *state;
    char go[128];
    (void)snprintf(go, sizeof go, "%s/go", world->dir);
    start(world, "echo one; while ! [ -e go ]; do sleep 0.01; done; echo two; exit 9", 0, 0);
    wait_for(world, has_begun);
    pen_exec_destroy(&world->exec);
    world->seen = (struct seen){0};
    open_exec(world);
    pen_exec_adopt(world->exec, 7);
    wait_for(world, has_begun);
    assert_false(ended(&world->seen));
    assert_int_equal(pen_file_replace_unsynced(go, "", 0, 0600, NULL), 0);
    wait_for(world, ended);
    assert_int_equal(world->seen.exit->exit_code, 9);
    PEN_CLEANUP(pen_free) char *log = read_text(world->log);
    assert_string_equal(log, "one\ntwo\n");
}

static void test_adoption_of_the_ended(void **state)
{
    struct world *world = *state;
    char exit_path[160];
    (void)snprintf(exit_path, sizeof exit_path, "%s/7/exit", world->run);
    start(world, "exit 4", 0, 0);
    wait_for_file(exit_path);
    pen_exec_destroy(&world->exec);
    world->seen = (struct seen){0};
    open_exec(world);
    pen_exec_adopt(world->exec, 7);
    wait_for(world, ended);
    assert_int_equal(world->seen.began_count, 1);
    assert_int_equal(world->seen.exit->exit_code, 4);
}

static void test_adoption_of_the_killed(void **state)
{
    struct world *world = *state;
    start(world, "sleep 1000", 0, 0);
    wait_for(world, has_begun);
    pid_t pid = (pid_t)world->seen.shim_pid;
    pen_exec_destroy(&world->exec);
    world->seen = (struct seen){0};
    assert_int_equal(kill(pid, SIGKILL), 0);
    open_exec(world);
    pen_exec_adopt(world->exec, 7);
    wait_for(world, ended);
    assert_true(world->seen.vanished);
    assert_true(world->seen.began_once);
}

/* An order that was never taken: found dead, and dead it stays even if the order comes late. */
static void test_adoption_of_the_unborn(void **state)
{
    struct world *world = *state;
    pen_exec_destroy(&world->exec);
    open_exec(world);
    pen_exec_adopt(world->exec, 7);
    wait_for(world, ended);
    assert_true(world->seen.vanished);
    assert_false(world->seen.began_once);
    world->seen = (struct seen){0};
    start(world, "echo ran > ran", 0, 0);
    wait_for(world, ended);
    assert_true(world->seen.vanished);
    char ran[128];
    (void)snprintf(ran, sizeof ran, "%s/ran", world->dir);
    assert_false(pen_file_exists(ran));
}

static void test_starter_is_killed(void **state)
{
    struct world *world = *state;
    start(world, "sleep 0.2; exit 6", 0, 0);
    wait_for(world, has_begun);
    assert_int_equal(kill(world->exec->starter_pid, SIGKILL), 0);
    wait_for(world, ended);
    assert_int_equal(world->seen.exit->exit_code, 6);
    pen_exec_release(world->exec, 7);
    pen_message_destroy(&world->seen.exit);
    world->seen = (struct seen){0};
    start(world, "exit 8", 0, 0); /* whichever notices first, the order is not lost silently */
    wait_for(world, ended);
    assert_true(world->seen.vanished || world->seen.exit->exit_code == 8);
}

/* ---- the run folder goes */

static void touch(const struct world *world, const char *name)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", world->dir, name);
    assert_int_equal(pen_file_replace_unsynced(path, "", 0, 0600, NULL), 0);
}

static bool has_log(const struct seen *seen)
{
    return seen->log_size >= 8; /* one, two */
}

static void remove_run(const struct world *world)
{
    assert_int_equal(pen_dir_remove_tree(world->run, NULL), 0);
}

/* The result comes once, and what is written until then is heard of before it. */
static void test_run_folder_goes(void **state)
{
    struct world *world = *state;
    start(world,
          "echo one; until [ -e go ]; do sleep 0.02; done; echo two; until [ -e end ]; do sleep "
          "0.02; done; exit 9",
          0, 0);
    wait_for(world, has_begun);
    remove_run(world);
    touch(world, "go");
    wait_for(world, has_log);
    touch(world, "end");
    wait_for(world, ended);
    assert_true(world->seen.exited);
    assert_int_equal(world->seen.exit->exit_code, 9);
    assert_int_equal(world->seen.began_count, 1);
    pen_exec_release(world->exec, 7);
}

static void test_run_folder_goes_just_before_the_end(void **state)
{
    struct world *world = *state;
    start(world, "until [ -e go ]; do sleep 0.02; done; exit 9", 0, 0);
    wait_for(world, has_begun);
    remove_run(world);
    touch(world, "go");
    wait_for(world, ended);
    assert_true(world->seen.exited);
    assert_int_equal(world->seen.exit->exit_code, 9);
}

static void test_one_folder_goes(void **state)
{
    struct world *world = *state;
    char path[160];
    (void)snprintf(path, sizeof path, "%s/7", world->run);
    start(world, "until [ -e go ]; do sleep 0.02; done; exit 9", 0, 0);
    wait_for(world, has_begun);
    assert_int_equal(pen_dir_remove_tree(path, NULL), 0);
    touch(world, "go");
    wait_for(world, ended);
    assert_int_equal(world->seen.exit->exit_code, 9);
}

/* Its file system is gone: the agent chooses another folder, the shim uses the agent's disk. */
static void test_run_folder_cannot_be_made(void **state)
{
    struct world *world = *state;
    start(world, "until [ -e go ]; do sleep 0.02; done; exit 9", 0, 0);
    wait_for(world, has_begun);
    remove_run(world);
    touch(world, "run"); /* a file in its place */
    touch(world, "go");
    wait_for(world, ended);
    assert_true(world->seen.exited);
    assert_int_equal(world->seen.exit->exit_code, 9);
    pen_exec_release(world->exec, 7);
    pen_message_destroy(&world->seen.exit);
    world->seen = (struct seen){0};
    start(world, "exit 5", 0, 0);
    wait_for(world, ended);
    assert_int_equal(world->seen.exit->exit_code, 5);
}

/* Folder and agent go together: the next agent waits until the shim has made its files again. */
static void test_adoption_after_the_folder_went(void **state)
{
    struct world *world = *state;
    start(world, "until [ -e go ]; do sleep 0.02; done; exit 9", 0, 0);
    wait_for(world, has_begun);
    pen_exec_destroy(&world->exec);
    remove_run(world);
    world->seen = (struct seen){0};
    open_exec(world);
    pen_exec_adopt(world->exec, 7);
    wait_for(world, has_begun);
    assert_false(ended(&world->seen));
    touch(world, "go");
    wait_for(world, ended);
    assert_int_equal(world->seen.exit->exit_code, 9);
}

/* No file says that it began, and none is there to say so: nothing is proven. */
static void test_lost_is_not_unborn(void **state)
{
    struct world *world = *state;
    start(world, "sleep 1000", 0, 0);
    wait_for(world, has_begun);
    pid_t pid = (pid_t)world->seen.shim_pid;
    pen_exec_destroy(&world->exec);
    assert_int_equal(kill(pid, SIGKILL), 0);
    remove_run(world);
    world->seen = (struct seen){0};
    open_exec(world);
    pen_exec_adopt(world->exec, 7);
    wait_for(world, ended);
    assert_true(world->seen.vanished);
    assert_true(world->seen.began_once);
}

static void test_run_folder_is_removed_at_the_end(void **state)
{
    struct world *world = *state;
    start(world, "exit 4", 0, 0);
    wait_for(world, ended);
    pen_exec_release(world->exec, 7);
    pen_exec_remove_run_dir(world->exec);
    assert_false(pen_file_exists(world->run));
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(test_success),
        ROW(test_exit_code),
        ROW(test_signal),
        ROW(test_no_such_program),
        ROW(test_log),
        ROW(test_log_is_cut),
        ROW(test_log_keeps_its_end),
        ROW(test_log_that_just_fits),
        ROW(test_timeout),
        ROW(test_timeout_while_writing),
        ROW(test_kill_with_grace),
        ROW(test_kill_at_once),
        ROW(test_daemon_is_killed),
        ROW(test_shim_is_killed),
        ROW(test_adoption_alive),
        ROW(test_adoption_of_the_ended),
        ROW(test_adoption_of_the_killed),
        ROW(test_adoption_of_the_unborn),
        ROW(test_starter_is_killed),
        ROW(test_run_folder_goes),
        ROW(test_run_folder_goes_just_before_the_end),
        ROW(test_one_folder_goes),
        ROW(test_run_folder_cannot_be_made),
        ROW(test_adoption_after_the_folder_went),
        ROW(test_lost_is_not_unborn),
        ROW(test_run_folder_is_removed_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
