/* The shell contract (docs/builds.md): what a command can count on, each sentence with a test. Real
 * shims run whole capsules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/actions/actions.h"
#include "agent/actions/command.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/wire/wire.h"
#include "tests/unit/agent/guard.h"

enum { PATIENCE_MS = 30 * 1000, COMMANDS_MAX = 8, LOG_MAX = 1024 * 1024 };

struct world {
    int guard;
    char dir[64];
    char run[128];
    struct pen_actions *actions;
    Pen__Capsule *capsule;
    Pen__ShimExit *exit;
    char *setup_failure;
    char *log;
    uint64_t steps_seen;
    uint64_t last_step;
    int64_t took_ms;
};

static void on_report(void *context, const struct pen_action_report *report)
{
    struct world *world = context;
    ProtobufCMessage *copy = NULL;
    if (report->kind == PEN_ACTION_STEP) {
        world->steps_seen++;
        world->last_step = report->number;
    }
    if (report->kind == PEN_ACTION_SETUP_FAILED)
        world->setup_failure = strdup(report->text);
    if (report->kind != PEN_ACTION_EXITED)
        return;
    assert_int_equal(pen_wire_copy(report->exit, &copy, NULL), 0);
    world->exit = (Pen__ShimExit *)copy;
}

static int send_nothing(void *context, const Pen__DataFromAgent *message)
{
    (void)context;
    (void)message;
    return PEN_EUNAVAILABLE;
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    /* Quotes and blanks in a path are nothing special, either. */
    (void)snprintf(world->dir, sizeof world->dir, "/tmp/pen it's \"XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    world->guard = guard_start(world->dir);
    assert_true(world->guard >= 0);
    assert_int_equal(chdir(world->dir), 0);
    (void)snprintf(world->run, sizeof world->run, "%s/run", world->dir);
    char shim[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", shim, sizeof shim - 32);
    assert_true(size > 0);
    shim[size] = 0;
    (void)snprintf(strrchr(shim, (int)'/'), 32, "/penstock-shim");
    struct pen_actions_options options = {.data_dir = world->dir,
                                          .run_dir = world->run,
                                          .spool_id = world->dir,
                                          .shim_path = shim,
                                          .report = on_report,
                                          .send = send_nothing,
                                          .context = world};
    assert_int_equal(pen_actions_create(&options, &world->actions, NULL), 0);
    world->capsule = malloc(sizeof *world->capsule);
    assert_non_null(world->capsule);
    pen__capsule__init(world->capsule);
    world->capsule->has_fence = true;
    world->capsule->fence = 7;
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    pen_actions_destroy(&world->actions);
    pen_message_destroy(&world->capsule);
    pen_message_destroy(&world->exit);
    free(world->setup_failure);
    free(world->log);
    assert_int_equal(pen_dir_remove_tree(world->dir, NULL), 0);
    assert_int_equal(chdir("/"), 0);
    guard_end(&world->guard);
    free(world);
    return 0;
}

static void add_command(struct world *world, const char *text)
{
    assert_int_equal(
        pen_texts_add(&world->capsule->commands, &world->capsule->n_commands, text, NULL), 0);
}

static void add_variable(struct world *world, const char *name)
{
    assert_int_equal(pen_texts_add(&world->capsule->output_variables,
                                   &world->capsule->n_output_variables, name, NULL),
                     0);
}

static void configure(struct world *world, const char *key, const char *value)
{
    Pen__Capsule *capsule = world->capsule;
    Pen__Capsule__ConfigurationEntry *entry = malloc(sizeof *entry);
    assert_non_null(entry);
    pen__capsule__configuration_entry__init(entry);
    entry->key = strdup(key);
    entry->value = strdup(value);
    capsule->configuration = realloc(capsule->configuration, (capsule->n_configuration + 1) *
                                                                 sizeof *capsule->configuration);
    assert_non_null(capsule->configuration);
    capsule->configuration[capsule->n_configuration++] = entry;
}

static void run(struct world *world)
{
    char path[128];
    int64_t begin_ms = pen_clock_monotonic_ms();
    pen_actions_prepare(world->actions, world->capsule);
    pen_actions_start(world->actions, 7);
    while (world->exit == NULL && world->setup_failure == NULL) {
        assert_true(pen_clock_monotonic_ms() < begin_ms + PATIENCE_MS);
        int fds[4];
        struct pollfd items[4];
        size_t count = pen_actions_fds(world->actions, fds);
        for (size_t i = 0; i < count; i++)
            items[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
        (void)poll(items, (nfds_t)count, 20);
        assert_int_equal(pen_actions_process(world->actions, NULL), 0);
    }
    world->took_ms = pen_clock_monotonic_ms() - begin_ms;
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    (void)snprintf(path, sizeof path, "%s/logs/7.log", world->dir);
    if (pen_file_exists(path))
        assert_int_equal(pen_file_read(path, LOG_MAX, &bytes, NULL), 0);
    world->log = strdup(pen_buf_text(&bytes));
}

/* One action: commands up to NULL. */
static void run_commands(struct world *world, const char *const *commands)
{
    for (size_t i = 0; commands[i] != NULL; i++)
        add_command(world, commands[i]);
    run(world);
    assert_null(world->setup_failure);
}

#define RUN(world, ...) run_commands(world, (const char *const[]){__VA_ARGS__, NULL})

static void assert_status(const struct world *world, int status)
{
    if (!world->exit->has_exit_code || world->exit->exit_code != status)
        fail_msg("status %d, signal %d (failed command %u); log:\n%s", world->exit->exit_code,
                 world->exit->signal, world->exit->failed_command, world->log);
}

static void assert_variable(const struct world *world, const char *text)
{
    assert_true(world->exit->has_variables);
    assert_int_equal(world->exit->variables.len, strlen(text) + 1);
    assert_memory_equal(world->exit->variables.data, text, strlen(text) + 1);
}

/* ---- descriptors */

static void test_standard_input_is_empty(void **state)
{
    struct world *world = *state;
    RUN(world, "exec 3<&0 </dev/null; echo status $?",
        "[ \"$(readlink /proc/self/fd/3)\" = /dev/null ]", "cat <&3; echo cat $?",
        "sort <&3; echo sort $?", "grep x <&3; echo grep $?", "xargs echo <&3; echo xargs $?");
    assert_status(world, 0);
    assert_string_equal(world->log, "status 0\ncat 0\nsort 0\ngrep 1\n\nxargs 0\n");
}

/* ls itself opens 3. */
static void test_no_other_descriptor_is_open(void **state)
{
    struct world *world = *state;
    RUN(world, "true", "ls /proc/self/fd", "ls /proc/$$/fd; true");
    assert_status(world, 0);
    assert_string_equal(world->log, "0\n1\n2\n3\n0\n1\n2\n");
}

static void test_descriptors_are_the_users(void **state)
{
    struct world *world = *state;
    add_variable(world, "VER");
    RUN(world, "exec 3>three 4>four 5>five 6>six 7>seven 8>eight 9>lock; flock -n 9", "VER=1.2.3",
        "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-", "cat three four five six seven eight lock");
    assert_status(world, 0);
    assert_string_equal(world->log, "");
    assert_variable(world, "VER=1.2.3");
}

static void test_output_may_be_closed(void **state)
{
    struct world *world = *state;
    add_variable(world, "VER");
    RUN(world, "echo before; exec >&- 2>&-", "VER=1.2.3", "true");
    assert_status(world, 0);
    assert_string_equal(world->log, "before\n");
    assert_variable(world, "VER=1.2.3");
}

/* ---- one shell, commands in order */

static void test_one_shell_runs_them_all(void **state)
{
    struct world *world = *state;
    RUN(world, "cd /; X=1; say() { echo \"said $1\"; }; alias hi='echo hi'", "pwd; say $X; hi");
    assert_status(world, 0);
    assert_string_equal(world->log, "/\nsaid 1\nhi\n");
}

static void test_steps_are_told(void **state)
{
    struct world *world = *state;
    RUN(world, "true", "true", "true", "exit 9", "true");
    assert_status(world, 9);
    assert_int_equal(world->exit->failed_command, 3);
    assert_int_equal(world->last_step, 3);
}

static void test_first_failure_ends(void **state)
{
    struct world *world = *state;
    RUN(world, "echo one", "(exit 3)", "echo three");
    assert_status(world, 3);
    assert_int_equal(world->exit->failed_command, 1);
    assert_string_equal(world->log, "one\n");
}

static void test_syntax_error_is_its_own(void **state)
{
    struct world *world = *state;
    RUN(world, "echo one", "echo 'unfinished", "echo it's");
    assert_int_equal(world->exit->failed_command, 1);
    assert_int_not_equal(world->exit->exit_code, 0);
    assert_true(pen_str_starts_with(world->log, "one\n"));
}

static void test_a_command_may_look_like_an_option(void **state)
{
    struct world *world = *state;
    RUN(world, "-x true || echo none");
    assert_status(world, 0);
    assert_non_null(strstr(world->log, "none"));
}

static void test_exec_ends_with_the_programs_status(void **state)
{
    struct world *world = *state;
    RUN(world, "exec sh -c 'exit 12'", "echo never");
    assert_status(world, 12);
    assert_string_equal(world->log, "");
}

static void test_exit_is_the_end(void **state)
{
    struct world *world = *state;
    RUN(world, "true", "echo done; exit 0", "echo never");
    assert_status(world, 0);
    assert_string_equal(world->log, "done\n");
}

static void test_killed_shell(void **state)
{
    struct world *world = *state;
    RUN(world, "true", "kill -9 $$", "true");
    assert_false(world->exit->has_exit_code);
    assert_int_equal(world->exit->signal, 9);
    assert_int_equal(world->exit->failed_command, 1);
}

/* ---- variables, whatever the commands do with their shell */

static void test_variable_beside_a_trap(void **state)
{
    struct world *world = *state;
    add_variable(world, "VER");
    RUN(world, "trap 'rm -f tmpfile; echo bye >&2' EXIT", ": >tmpfile; VER=1.2.3");
    assert_status(world, 0);
    assert_string_equal(world->log, "bye\n");
    assert_variable(world, "VER=1.2.3");
}

static void test_variable_beside_ifs(void **state)
{
    struct world *world = *state;
    add_variable(world, "VER");
    RUN(world, "IFS=0123456789/. ; VER=1.2.3", "true");
    assert_status(world, 0);
    assert_variable(world, "VER=1.2.3");
}

static void test_variable_beside_options(void **state)
{
    struct world *world = *state;
    add_variable(world, "VER");
    add_variable(world, "UNSET");
    RUN(world, "set -eufC", "VER=1.2.3", "readonly VER", "true");
    assert_status(world, 0);
    assert_variable(world, "VER=1.2.3");
    assert_string_equal(world->log, "");
}

static void test_trace_is_the_users(void **state)
{
    struct world *world = *state;
    add_variable(world, "VER");
    RUN(world, "set -x; echo one", "VER=1.2.3", "echo two");
    assert_status(world, 0);
    assert_string_equal(world->log, "+ echo one\none\n+ VER=1.2.3\n+ echo two\ntwo\n");
    assert_variable(world, "VER=1.2.3");
}

/* Functions and aliases with the names of what a wrapper would like to call. */
static void test_variable_beside_functions(void **state)
{
    struct world *world = *state;
    add_variable(world, "VER");
    RUN(world,
        "printf() { echo my printf; }; echo() { command echo mine \"$@\"; }; "
        "test() { false; }; true() { false; }; cat() { false; }; kill() { false; }; "
        "command() { false; }; alias exit=false eval=false trap=false set=false case=false",
        "VER=1.2.3; :", "VER=${VER}4");
    assert_status(world, 0);
    assert_variable(world, "VER=1.2.34");
}

static void test_variable_with_everything_in_it(void **state)
{
    struct world *world = *state;
    add_variable(world, "VER");
    RUN(world, "VER=\"a 'quoted' * \\$HOME\nsecond line\n\n\"");
    assert_status(world, 0);
    assert_variable(world, "VER=a 'quoted' * $HOME\nsecond line\n\n");
}

static void test_variable_at_an_exit(void **state)
{
    struct world *world = *state;
    add_variable(world, "VER");
    RUN(world, "VER=1.2.3; if :; then exit 0; fi", "echo never");
    assert_status(world, 0);
    assert_string_equal(world->log, "");
    assert_variable(world, "VER=1.2.3");
}

/* Nothing can see the variables of a shell that is gone: no value, and has_variables says so. */
static void test_variables_that_are_lost(void **state)
{
    struct world *world = *state;
    add_variable(world, "VER");
    RUN(world, "VER=1.2.3", "exec true", "true");
    assert_status(world, 0);
    assert_false(world->exit->has_variables);
}

/* An exit that no command shows, or behind a trap of the user's. */
static void test_variables_lost_by_an_exit(void **state)
{
    struct world *world = *state;
    add_variable(world, "VER");
    RUN(world, "echo 'exit 0' >ends.sh; trap 'echo mine' EXIT", "VER=1.2.3; . ./ends.sh");
    assert_status(world, 0);
    assert_string_equal(world->log, "mine\n");
    assert_false(world->exit->has_variables);
}

static void test_unset_is_not_lost(void **state)
{
    struct world *world = *state;
    add_variable(world, "NOWHERE");
    RUN(world, "true");
    assert_status(world, 0);
    assert_true(world->exit->has_variables);
    assert_int_equal(world->exit->variables.len, 0);
}

static void test_nothing_of_ours_is_in_the_shell(void **state)
{
    struct world *world = *state;
    add_variable(world, "VER");
    RUN(world, "true",
        "trap; alias; set | grep -v ^PENSTOCK_ | grep -i penstock | grep -v '^[A-Z_]*=./tmp/'",
        "true");
    assert_string_equal(world->log, "");
}

/* ---- how it ends */

static void test_traps_run_at_a_failure(void **state)
{
    struct world *world = *state;
    RUN(world, "trap 'echo \"bye $?\" >&2' EXIT", "(exit 5)", "echo never");
    assert_status(world, 5);
    assert_string_equal(world->log, "bye 5\n");
}

static void test_output_behind_a_filter_is_whole(void **state)
{
    struct world *world = *state;
    RUN(world, "bash -c 'exec 2> >(sleep 0.3; sed s/^/x/ >&2); seq 1 2000 >&2; echo FATAL >&2; "
               "exit 3'");
    assert_status(world, 3);
    assert_non_null(strstr(world->log, "x2000\nxFATAL\n"));
}

static void test_output_behind_tee_is_whole(void **state)
{
    struct world *world = *state;
    RUN(world, "mkfifo pipe; { sleep 0.2; tee copy <pipe; } & exec >pipe 2>&1", "seq 1 20000",
        "echo LAST; exit 4");
    assert_status(world, 4);
    assert_non_null(strstr(world->log, "\n20000\nLAST\n"));
}

static void test_background_gets_term_then_kill(void **state)
{
    struct world *world = *state;
    RUN(world,
        "sh -c 'trap \"echo cleaned >cleaned; exit\" TERM; : >up; while :; do sleep 0.05; done' "
        ">/dev/null 2>&1 &",
        "sh -c 'trap \"\" TERM; : >up2; while :; do sleep 0.05; done' >/dev/null 2>&1 &",
        "until [ -e up ] && [ -e up2 ]; do sleep 0.01; done; exit 6");
    assert_status(world, 6);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/work/7/src/cleaned", world->dir);
    assert_true(pen_file_exists(path));
    assert_in_range(world->took_ms, 1000, 15000);
}

/* One that keeps the log open is not waited for for ever. */
static void test_background_that_keeps_the_log(void **state)
{
    struct world *world = *state;
    RUN(world, "while :; do sleep 0.05; done & exit 0");
    assert_status(world, 0);
    assert_in_range(world->took_ms, 1500, 15000);
}

static void test_background_without_the_log_costs_nothing(void **state)
{
    struct world *world = *state;
    RUN(world, "sleep 1000 >/dev/null 2>&1 &");
    assert_status(world, 0);
    assert_in_range(world->took_ms, 0, 1800);
}

/* ---- surroundings */

static void test_surroundings(void **state)
{
    struct world *world = *state;
    (void)umask(077);
    RUN(world, "umask", "echo $TERM $LANG $CI $SHELL",
        "[ \"$USER\" = \"$(id -un)\" ] && [ \"$LOGNAME\" = \"$USER\" ]",
        "[ \"$(pwd)\" = \"$CODEBUILD_SRC_DIR\" ] && [ \"$PWD\" = \"$CODEBUILD_SRC_DIR\" ]",
        "[ -d \"$HOME\" ] && [ -z \"$(ls -A \"$HOME\")\" ] && [ -d \"$TMPDIR\" ]",
        "[ \"$(mktemp -u | cut -c1-${#TMPDIR})\" = \"$TMPDIR\" ]", "locale charmap",
        "! tty -s && ! (: </dev/tty) 2>/dev/null");
    (void)umask(022);
    assert_status(world, 0);
    assert_string_equal(world->log, "0022\ndumb C.UTF-8 true /bin/sh\nUTF-8\n");
}

static void set_environment(struct world *world, const char *key, const char *value)
{
    Pen__Capsule *capsule = world->capsule;
    Pen__Capsule__EnvironmentEntry *entry = malloc(sizeof *entry);
    assert_non_null(entry);
    pen__capsule__environment_entry__init(entry);
    entry->key = strdup(key);
    entry->value = strdup(value);
    capsule->environment =
        realloc(capsule->environment, (capsule->n_environment + 1) * sizeof *capsule->environment);
    assert_non_null(capsule->environment);
    capsule->environment[capsule->n_environment++] = entry;
}

static void test_environment(void **state)
{
    struct world *world = *state;
    assert_int_equal(setenv("LEFT_OVER", "of the agent", 1), 0);
    set_environment(world, "TERM", "xterm");
    set_environment(world, "MINE", "two  words");
    world->capsule->region = strdup("eu-west-1");
    world->capsule->pipeline = strdup("mill");
    world->capsule->action_execution_id = strdup("id-1");
    RUN(world, "echo \"$TERM,$MINE,${LEFT_OVER-none}\"",
        "echo $AWS_REGION $AWS_DEFAULT_REGION $PENSTOCK_PIPELINE $PENSTOCK_IDEMPOTENCY_KEY",
        "echo $PENSTOCK_FENCE ${PENSTOCK_ATTEMPT##*/} $PATH");
    assert_status(world, 0);
    assert_string_equal(world->log,
                        "xterm,two  words,none\neu-west-1 eu-west-1 mill id-1\n"
                        "7 7 /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n");
}

static void test_environment_refused(void **state)
{
    struct world *world = *state;
    set_environment(world, "PENSTOCK_FENCE", "8");
    add_command(world, "true");
    run(world);
    assert_string_equal(world->setup_failure, "environmentVariables: 'PENSTOCK_FENCE' begins with "
                                              "PENSTOCK_, which is reserved");
}

static void test_environment_without_a_name(void **state)
{
    struct world *world = *state;
    set_environment(world, "1A", "8");
    add_command(world, "true");
    run(world);
    assert_string_equal(world->setup_failure,
                        "environmentVariables: '1A' is no name of a variable");
}

/* 1 to 28; the C library ignores two of its own above. */
static void test_signals_are_as_new(void **state)
{
    struct world *world = *state;
    RUN(world, "sed -nE 's/^(Sig(Blk|Ign):).*(.{7})$/\\1\\3/p' /proc/self/status",
        "yes | head -n 1; (yes; echo \"yes $?\" >&2) | head -n 1 >yes");
    assert_status(world, 0);
    assert_string_equal(world->log, "SigBlk:0000000\nSigIgn:0000000\ny\nyes 141\n");
}

static void test_shell_and_pipefail_by_configuration(void **state)
{
    struct world *world = *state;
    add_variable(world, "VER");
    configure(world, "Shell", "bash");
    configure(world, "Pipefail", "true");
    RUN(world, "echo \"${BASH_VERSION:+bash} $SHELL\"; a=(1 2); VER=${a[1]}", "set -x; echo traced",
        "set +x; false | true", "echo never");
    assert_status(world, 1);
    assert_int_equal(world->exit->failed_command, 2);
    assert_string_equal(world->log, "bash /bin/bash\n++ echo traced\ntraced\n++ set +x\n");
}

static void test_bash_variable(void **state)
{
    struct world *world = *state;
    add_variable(world, "VER");
    configure(world, "Shell", "bash");
    RUN(world,
        "function echo { return 1; }; function exit { builtin exit \"$@\"; }; set -euo pipefail",
        "IFS=.; VER=1.2.3; trap 'rm -f x' EXIT", "true");
    assert_status(world, 0);
    assert_variable(world, "VER=1.2.3");
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(test_standard_input_is_empty),
        ROW(test_no_other_descriptor_is_open),
        ROW(test_descriptors_are_the_users),
        ROW(test_output_may_be_closed),
        ROW(test_one_shell_runs_them_all),
        ROW(test_steps_are_told),
        ROW(test_first_failure_ends),
        ROW(test_syntax_error_is_its_own),
        ROW(test_a_command_may_look_like_an_option),
        ROW(test_exec_ends_with_the_programs_status),
        ROW(test_exit_is_the_end),
        ROW(test_killed_shell),
        ROW(test_variable_beside_a_trap),
        ROW(test_variable_beside_ifs),
        ROW(test_variable_beside_options),
        ROW(test_trace_is_the_users),
        ROW(test_variable_beside_functions),
        ROW(test_variable_with_everything_in_it),
        ROW(test_variable_at_an_exit),
        ROW(test_variables_that_are_lost),
        ROW(test_variables_lost_by_an_exit),
        ROW(test_unset_is_not_lost),
        ROW(test_nothing_of_ours_is_in_the_shell),
        ROW(test_traps_run_at_a_failure),
        ROW(test_output_behind_a_filter_is_whole),
        ROW(test_output_behind_tee_is_whole),
        ROW(test_background_gets_term_then_kill),
        ROW(test_background_that_keeps_the_log),
        ROW(test_background_without_the_log_costs_nothing),
        ROW(test_surroundings),
        ROW(test_environment),
        ROW(test_environment_refused),
        ROW(test_environment_without_a_name),
        ROW(test_signals_are_as_new),
        ROW(test_shell_and_pipefail_by_configuration),
        ROW(test_bash_variable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
