/* The processes of an attempt: started, signalled, collected, ended for certain. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/shim/shim_internal.h"
#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/io/clock.h"
#include "common/io/file.h"

/* Without a PID namespace: our children, and what was reparented to us. Deeper ones follow when
 * their parents are gone. */
static void signal_children(int signal_number)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    if (pen_file_read(path, 1024 * 1024, &text, NULL) < 0)
        return;
    const char *at = pen_buf_text(&text);
    for (;;) {
        char *end = NULL;
        long pid = strtol(at, &end, 10);
        if (end == at)
            return;
        if (pid > 1) {
            (void)kill((pid_t)-pid, signal_number); /* its group, if it leads one */
            (void)kill((pid_t)pid, signal_number);
        }
        at = end;
    }
}

void shim_tree_signal(const struct shim *self, int signal_number)
{
    if (self->isolation >= PEN_ISOLATION_PID) {
        CHECK(getpid() == 1); /* -1 reaches our namespace only, and never its first process */
        (void)kill(-1, signal_number);
        return;
    }
    signal_children(signal_number);
}

static void note_end(struct shim *self, pid_t pid, int status)
{
    if (pid != self->command_pid || self->command_ended)
        return;
    self->command_ended = true;
    self->status = status;
    self->ended_ms = pen_clock_wall_ms();
}

void shim_tree_reap(struct shim *self)
{
    for (;;) {
        int status = 0;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid < 0) {
            self->tree_ended = true;
            return;
        }
        if (pid == 0)
            return;
        note_end(self, pid, status);
    }
}

void shim_tree_finish(struct shim *self)
{
    while (!self->tree_ended) {
        shim_tree_signal(self, SIGKILL);
        int status = 0;
        pid_t pid = waitpid(-1, &status, 0);
        if (pid > 0)
            note_end(self, pid, status);
        else if (errno != EINTR)
            self->tree_ended = true;
    }
}

static int spawn_failed(int number, const Pen__ShimOrder *order, struct pen_error *err)
{
    errno = number;
    return pen_fail_errno(err, "cannot start '%s' in '%s'", order->argv[0], order->workspace);
}

/* NULL-terminated, sharing the texts. */
static char **vector(char **texts, size_t count)
{
    char **result = calloc(count + 1, sizeof *result);
    for (size_t i = 0; result != NULL && i < count; i++)
        result[i] = texts[i];
    return result;
}

static int spawn_with(struct shim *self, posix_spawn_file_actions_t *actions,
                      posix_spawnattr_t *attributes, struct pen_error *err)
{
    const Pen__ShimOrder *order = self->order;
    PEN_CLEANUP(pen_free) char **argv = vector(order->argv, order->n_argv);
    PEN_CLEANUP(pen_free) char **environment = vector(order->environment, order->n_environment);
    if (argv == NULL || environment == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to start the commands");
    CHECK(argv[0] != NULL);
    int number = posix_spawn(&self->command_pid, argv[0], actions, attributes, argv, environment);
    return number == 0 ? 0 : spawn_failed(number, order, err);
}

int shim_spawn(struct shim *self, struct pen_error *err)
{
    int output[2];
    if (pipe2(output, O_CLOEXEC) < 0)
        return pen_fail_errno(err, "no pipe for the commands");
    PEN_CLEANUP(pen_fd_close) int output_end = output[1];
    self->output_fd = output[0];
    self->output_open = true;
    (void)fcntl(output[0], F_SETFL, O_NONBLOCK);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigset_t all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawnattr_init(&attributes) == 0);
    CHECK(posix_spawnattr_setsigmask(&attributes, &none) == 0);
    CHECK(posix_spawnattr_setsigdefault(&attributes, &all) == 0);
    CHECK(posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                                    POSIX_SPAWN_SETSIGDEF) == 0);
    /* 0, 1 and 2 are /dev/null here. */
    int number = posix_spawn_file_actions_adddup2(&actions, output_end, 1);
    if (number == 0)
        number = posix_spawn_file_actions_adddup2(&actions, output_end, 2);
    if (number == 0)
        number = posix_spawn_file_actions_addchdir_np(&actions, self->order->workspace);
    int rc = number == 0 ? spawn_with(self, &actions, &attributes, err)
                         : spawn_failed(number, self->order, err);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    return rc;
}
