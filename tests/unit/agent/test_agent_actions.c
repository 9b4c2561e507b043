/* What is prepared while its start is being synced: it waits, begins, or is killed before. */
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
#include <unistd.h>

#include "agent/actions/actions.h"
#include "common/base/cleanup.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "tests/unit/agent/guard.h"

enum { PATIENCE_MS = 30 * 1000, A_WHILE_MS = 50 };

struct world {
    int guard;
    char dir[64];
    char run[128];
    struct pen_actions *actions;
    Pen__Capsule capsule;
    char *command;
    size_t reports[PEN_ACTION_PACK_FAILED + 1];
};

static void on_report(void *context, const struct pen_action_report *report)
{
    struct world *world = context;
    world->reports[report->kind]++;
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
    (void)snprintf(world->dir, sizeof world->dir, "/tmp/pen-actions-XXXXXX");
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
    pen__capsule__init(&world->capsule);
    world->capsule.has_fence = true;
    world->capsule.fence = 7;
    world->command = (char *)(uintptr_t) "true";
    world->capsule.commands = &world->command;
    world->capsule.n_commands = 1;
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    pen_actions_destroy(&world->actions);
    (void)pen_dir_remove_tree(world->dir, NULL);
    assert_int_equal(chdir("/"), 0);
    guard_end(&world->guard);
    free(world);
    return 0;
}

static size_t count(const struct world *world)
{
    size_t reports = 0;
    for (size_t i = 0; i <= PEN_ACTION_PACK_FAILED; i++)
        reports += world->reports[i];
    return reports;
}

/* Turns, until there is such a report or the time is over. */
static void process(struct world *world, enum pen_action_report_kind wanted, int64_t limit_ms)
{
    int64_t end_ms = pen_clock_monotonic_ms() + limit_ms;
    while (world->reports[wanted] == 0 && pen_clock_monotonic_ms() < end_ms) {
        assert_int_equal(pen_actions_process(world->actions, NULL), 0);
        (void)poll(NULL, 0, 1);
    }
}

static void test_waits_for_its_start(void **state)
{
    struct world *world = *state;
    pen_actions_prepare(world->actions, &world->capsule);
    process(world, PEN_ACTION_EXITED, A_WHILE_MS);
    assert_int_equal(count(world), 0);
    pen_actions_start(world->actions, 7);
    process(world, PEN_ACTION_EXITED, PATIENCE_MS);
    assert_int_equal(world->reports[PEN_ACTION_EXITED], 1);
    assert_int_equal(world->reports[PEN_ACTION_BEGAN], 1);
}

/* A start and a cancel in one turn of the agent: the kill is performed first. */
static void test_killed_before_its_start(void **state)
{
    struct world *world = *state;
    pen_actions_prepare(world->actions, &world->capsule);
    pen_actions_kill(world->actions, 7, 0);
    pen_actions_start(world->actions, 7);
    process(world, PEN_ACTION_SETUP_FAILED, PATIENCE_MS);
    assert_int_equal(world->reports[PEN_ACTION_SETUP_FAILED], 1);
    process(world, PEN_ACTION_BEGAN, A_WHILE_MS);
    assert_int_equal(count(world), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_waits_for_its_start, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_killed_before_its_start, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
