#include "common/io/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/io/clock.h"
#include "common/io/file.h"

enum { READ_STEP = 16 * 1024, STANDARD_FDS = 3 };

void pen_proc_begin(void)
{
    sigset_t ends;
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGTERM);
    (void)sigaddset(&ends, SIGINT);
    CHECK(sigprocmask(SIG_BLOCK, &ends, NULL) == 0);
    for (int fd = 0; fd < STANDARD_FDS; fd++)
        if (fcntl(fd, F_GETFD) < 0) /* the lowest that is free, and this is */
            CHECK(open("/dev/null", O_RDWR) == fd);
}

/* A copy of fd, or of /dev/null for -1, above the standard ones, so that the child's three dup2
 * calls cannot overwrite each other's sources. */
static int fd_above_standard(int fd, int *ret_fd, struct pen_error *err)
{
    PEN_CLEANUP(pen_fd_close) int null_fd = -1;
    if (fd < 0) {
        int rc = pen_file_open("/dev/null", O_RDWR, 0, &null_fd, err);
        if (rc < 0)
            return rc;
        fd = null_fd;
    }
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, STANDARD_FDS);
    if (copy < 0)
        return pen_fail_errno(err, "cannot copy a descriptor for a child");
    *ret_fd = copy;
    return 0;
}

static void actions_fill(posix_spawn_file_actions_t *actions, const int fds[STANDARD_FDS],
                         const char *directory, int *ret_number)
{
    int number = posix_spawn_file_actions_init(actions);
    CHECK(number == 0);
    for (int i = 0; number == 0 && i < STANDARD_FDS; i++)
        number = posix_spawn_file_actions_adddup2(actions, fds[i], i);
    if (number == 0)
        number = posix_spawn_file_actions_addclosefrom_np(actions, STANDARD_FDS);
    if (number == 0 && directory != NULL)
        number = posix_spawn_file_actions_addchdir_np(actions, directory);
    *ret_number = number;
}

/* The child begins with no signal blocked and none ignored, whatever our libraries did. */
static void attributes_fill(posix_spawnattr_t *attributes)
{
    sigset_t none;
    sigset_t all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    CHECK(posix_spawnattr_init(attributes) == 0);
    CHECK(posix_spawnattr_setsigmask(attributes, &none) == 0);
    CHECK(posix_spawnattr_setsigdefault(attributes, &all) == 0);
    CHECK(posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                                   POSIX_SPAWN_SETSIGDEF) == 0);
}

static int spawn_with(const struct pen_proc_spec *spec, const int fds[STANDARD_FDS], pid_t *ret_pid,
                      struct pen_error *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int number = 0;
    pid_t pid = -1;
    actions_fill(&actions, fds, spec->directory, &number);
    attributes_fill(&attributes);
    char *const *environment =
        spec->environment == NULL ? environ : (char *const *)(uintptr_t)spec->environment;
    if (number == 0)
        number = posix_spawnp(&pid, spec->argv[0], &actions, &attributes,
                              (char *const *)(uintptr_t)spec->argv, environment);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    if (number != 0) {
        errno = number;
        return pen_fail_errno(err, "cannot start '%s'%s%s", spec->argv[0],
                              spec->directory == NULL ? "" : " in ",
                              spec->directory == NULL ? "" : spec->directory);
    }
    *ret_pid = pid;
    return 0;
}

int pen_proc_spawn(const struct pen_proc_spec *spec, pid_t *ret_pid, int *ret_pidfd,
                   struct pen_error *err)
{
    CHECK(spec->argv != NULL && spec->argv[0] != NULL);
    PEN_CLEANUP(pen_fd_close) int in = -1;
    PEN_CLEANUP(pen_fd_close) int out = -1;
    PEN_CLEANUP(pen_fd_close) int error = -1;
    pid_t pid = -1;
    int rc;
    if ((rc = fd_above_standard(spec->stdin_fd, &in, err)) < 0 ||
        (rc = fd_above_standard(spec->stdout_fd, &out, err)) < 0 ||
        (rc = fd_above_standard(spec->stderr_fd, &error, err)) < 0 ||
        (rc = spawn_with(spec, (const int[]){in, out, error}, &pid, err)) < 0)
        return rc;
    int pidfd = pidfd_open(pid, 0); /* close-on-exec by itself; pid is ours until we reap it */
    if (pidfd < 0) {
        rc = pen_fail_errno(err, "no descriptor for the process of '%s'", spec->argv[0]);
        pen_proc_kill_group(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return rc;
    }
    *ret_pid = pid;
    *ret_pidfd = pidfd;
    return 0;
}

void pen_proc_kill_group(pid_t pid, int signal_number)
{
    CHECK(pid > 1); /* 0, 1 and -1 would reach far more than one group */
    (void)kill(-pid, signal_number);
}

static int reap(pid_t pid, int *ret_status, struct pen_error *err)
{
    int status = 0;
    pid_t got;
    do {
        got = waitpid(pid, &status, 0);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return pen_fail_errno(err, "cannot wait for process %d", (int)pid);
    *ret_status = status;
    return 0;
}

/* What is left until the deadline, for poll(2): -1 for ever. */
static int poll_timeout(int64_t deadline_ms)
{
    if (deadline_ms < 0)
        return -1;
    int64_t left = deadline_ms - pen_clock_monotonic_ms();
    return left <= 0 ? 0 : left > 1000000 ? 1000000 : (int)left;
}

static int64_t deadline_of(int64_t timeout_ms)
{
    return timeout_ms < 0 ? -1 : pen_clock_monotonic_ms() + timeout_ms;
}

static bool is_over(int64_t deadline_ms)
{
    return deadline_ms >= 0 && pen_clock_monotonic_ms() >= deadline_ms;
}

int pen_proc_wait(pid_t pid, int pidfd, int64_t timeout_ms, int *ret_status, struct pen_error *err)
{
    int64_t deadline_ms = deadline_of(timeout_ms);
    struct pollfd watch = {.fd = pidfd, .events = POLLIN};
    for (;;) {
        int ready = poll(&watch, 1, poll_timeout(deadline_ms));
        if (ready > 0)
            return reap(pid, ret_status, err);
        if (ready < 0 && errno != EINTR)
            return pen_fail_errno(err, "cannot wait for process %d", (int)pid);
        if (ready == 0 && is_over(deadline_ms))
            return pen_fail(err, PEN_ETIMEOUT, "process %d did not end in time", (int)pid);
    }
}

/* One output of a child: the end we read, and what we keep of it. */
struct output {
    int read_fd;
    int write_fd;
    struct pen_buf kept;
};

static int output_open(struct output *self, struct pen_error *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return pen_fail_errno(err, "no pipe for a child's output");
    self->read_fd = fds[0];
    self->write_fd = fds[1];
    if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
        return pen_fail_errno(err, "cannot read a child's output without waiting");
    return 0;
}

static void output_close(struct output *self)
{
    pen_fd_close(&self->read_fd);
    pen_fd_close(&self->write_fd);
    pen_buf_release(&self->kept);
}

/* Read what is there; closes at the end of the output. */
static void output_drain(struct output *self, size_t output_max)
{
    uint8_t bytes[READ_STEP];
    while (self->read_fd >= 0) {
        ssize_t got = read(self->read_fd, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            pen_fd_close(&self->read_fd);
            return;
        }
        size_t room = output_max - self->kept.size;
        pen_buf_append(&self->kept, bytes, (size_t)got < room ? (size_t)got : room);
    }
}

/* Collect output until the child is over or the time is. The child is not reaped yet, so its group
 * number cannot have been given to anybody else. */
static int collect(int pidfd, struct output *out, struct output *error, int64_t deadline_ms,
                   size_t output_max, struct pen_error *err)
{
    for (;;) {
        struct pollfd watch[] = {
            {.fd = pidfd, .events = POLLIN},
            {.fd = out->read_fd, .events = POLLIN},
            {.fd = error->read_fd, .events = POLLIN},
        };
        int ready = poll(watch, 3, poll_timeout(deadline_ms));
        if (ready < 0 && errno != EINTR)
            return pen_fail_errno(err, "cannot wait for a child's output");
        if (ready > 0) {
            output_drain(out, output_max);
            output_drain(error, output_max);
            if (watch[0].revents != 0)
                return 0;
        }
        if (is_over(deadline_ms))
            return PEN_ETIMEOUT;
    }
}

static int run_with(const struct pen_proc_spec *spec, int64_t timeout_ms, size_t output_max,
                    struct output *out, struct output *error, int *ret_status,
                    struct pen_error *err)
{
    struct pen_proc_spec child = *spec;
    child.stdout_fd = out->write_fd >= 0 ? out->write_fd : spec->stdout_fd;
    child.stderr_fd = error->write_fd >= 0 ? error->write_fd : spec->stderr_fd;
    PEN_CLEANUP(pen_fd_close) int pidfd = -1;
    pid_t pid = -1;
    int64_t deadline_ms = deadline_of(timeout_ms);
    int rc = pen_proc_spawn(&child, &pid, &pidfd, err);
    if (rc < 0)
        return rc;
    pen_fd_close(&out->write_fd);
    pen_fd_close(&error->write_fd);
    rc = collect(pidfd, out, error, deadline_ms, output_max, err);
    pen_proc_kill_group(pid, SIGKILL); /* also what the child left behind in its group */
    int status = 0;
    int reaped = reap(pid, &status, rc == 0 ? err : NULL);
    output_drain(out, output_max);
    output_drain(error, output_max);
    if (rc == PEN_ETIMEOUT)
        return pen_fail(err, rc, "'%s' did not end in time and was killed", spec->argv[0]);
    if (rc == 0)
        rc = reaped;
    if (rc == 0)
        *ret_status = status;
    return rc;
}

int pen_proc_run(const struct pen_proc_spec *spec, int64_t timeout_ms, size_t output_max,
                 struct pen_buf *ret_out, struct pen_buf *ret_err, int *ret_status,
                 struct pen_error *err)
{
    struct output out = {.read_fd = -1, .write_fd = -1};
    struct output error = {.read_fd = -1, .write_fd = -1};
    int rc = 0;
    if (ret_out != NULL)
        rc = output_open(&out, err);
    if (rc == 0 && ret_err != NULL)
        rc = output_open(&error, err);
    if (rc == 0)
        rc = run_with(spec, timeout_ms, output_max, &out, &error, ret_status, err);
    if (rc == 0 && ret_out != NULL)
        pen_buf_append(ret_out, out.kept.data, out.kept.size);
    if (rc == 0 && ret_err != NULL)
        pen_buf_append(ret_err, error.kept.data, error.kept.size);
    output_close(&out);
    output_close(&error);
    return rc;
}
