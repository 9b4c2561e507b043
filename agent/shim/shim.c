/* One attempt, from its lock to its exit record. */
#include "agent/shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/shim/shim_internal.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/wire/wire.h"

enum { READ_SIZE = 64 * 1024, READS_A_TURN = 16, COMMANDS_UMASK = 022 };

/* ---- hints */

void shim_hint(struct shim *self, enum pen_shim_hint_kind kind, uint64_t number)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *slash = strrchr(self->order->run_dir, '/');
    int size = slash == NULL
                   ? -1
                   : snprintf(address.sun_path, sizeof address.sun_path, "%.*s/agent.sock",
                              (int)(slash - self->order->run_dir), self->order->run_dir);
    if (size < 0 || (size_t)size >= sizeof address.sun_path)
        return;
    struct pen_shim_hint hint = {PEN_SHIM_HINT_MAGIC, (uint32_t)kind, self->order->fence, number};
    ssize_t sent = sendto(self->hint_fd, &hint, sizeof hint, MSG_DONTWAIT | MSG_NOSIGNAL,
                          (struct sockaddr *)&address, sizeof address);
    if (sent >= 0)
        return;
    /* It is busy, or away, or its socket is: the timer tells it again. */
    int64_t at = pen_clock_monotonic_ms() +
                 (errno == EAGAIN ? PEN_SHIM_HINT_GAP_MS : (int64_t)PEN_SHIM_LOOK_MS);
    if (at < self->hint_at)
        self->hint_at = at;
}

static void hint_log(struct shim *self)
{
    if (self->log.size == self->hinted_size)
        return;
    int64_t now = pen_clock_monotonic_ms();
    if (now < self->last_hint_ms + PEN_SHIM_HINT_GAP_MS) {
        self->hint_at = self->last_hint_ms + PEN_SHIM_HINT_GAP_MS;
        return;
    }
    self->hint_at = INT64_MAX;
    self->hinted_size = self->log.size;
    self->last_hint_ms = now;
    shim_hint(self, PEN_HINT_LOG, self->log.size);
}

/* ---- the loop */

static void take_output(struct shim *self)
{
    static uint8_t bytes[READ_SIZE];
    /* Not for ever: commands that never stop writing must not outrun their time-out. */
    for (int turn = 0; !self->log.blocked && (turn < READS_A_TURN || self->tree_ended); turn++) {
        ssize_t got = read(self->output_fd, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            self->output_open = false;
        if (got <= 0)
            break;
        shim_log_add(&self->log, bytes, (size_t)got);
        if ((size_t)got < sizeof bytes && !self->tree_ended)
            break; /* the pipe is empty; poll says when there is more */
    }
}

static void take_step(struct shim *self)
{
    if (shim_shell_look(&self->shell))
        shim_hint(self, PEN_HINT_STEP, self->shell.command_index);
}

static void begin_kill(struct shim *self, int64_t grace_ms)
{
    int64_t kill_at = pen_clock_monotonic_ms() + grace_ms;
    if (kill_at < self->kill_at)
        self->kill_at = kill_at;
    if (self->kill_sent)
        return;
    self->kill_sent = true;
    if (grace_ms > 0)
        shim_tree_signal(self, SIGTERM);
}

static void take_signal(struct shim *self)
{
    struct signalfd_siginfo info;
    while (read(self->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD) {
            shim_tree_reap(self);
            continue;
        }
        /* SIGTERM: the agent wants it ended; a queued one brings the grace in milliseconds. */
        int64_t grace_ms = info.ssi_code == SI_QUEUE && info.ssi_int >= 0
                               ? info.ssi_int
                               : (int64_t)self->order->kill_grace_ms;
        if (!self->command_ended)
            self->killed = true;
        begin_kill(self, grace_ms);
    }
}

static void look_after_files(struct shim *self, int64_t now)
{
    bool dead = false;
    self->look_at = now + PEN_SHIM_LOOK_MS;
    if (!shim_files_keep(self, &dead))
        return;
    if (dead) {
        self->killed = true;
        begin_kill(self, 0);
    }
    self->hint_at = now; /* what was told there is lost as well */
}

static void on_time(struct shim *self)
{
    int64_t now = pen_clock_monotonic_ms();
    if (now >= self->timeout_at) {
        self->timeout_at = INT64_MAX;
        if (!self->command_ended && !self->killed) {
            self->timed_out = true;
            begin_kill(self, (int64_t)self->order->kill_grace_ms);
        }
    }
    if (now >= self->kill_at) {
        self->kill_at = INT64_MAX;
        shim_tree_finish(self);
    }
    if (now >= self->look_at)
        look_after_files(self, now);
    if (now >= self->hint_at && !self->tree_ended) { /* else the end says it all */
        self->hint_at = INT64_MAX;
        self->hinted_size = UINT64_MAX; /* tell again whatever was told last */
        self->last_hint_ms = 0;
        shim_hint(self, PEN_HINT_BEGAN, 0);
        hint_log(self);
    }
    shim_log_retry(&self->log);
}

static int64_t next_time(const struct shim *self)
{
    int64_t at = self->timeout_at < self->kill_at ? self->timeout_at : self->kill_at;
    if (self->hint_at < at)
        at = self->hint_at;
    if (self->linger_at < at)
        at = self->linger_at;
    if (self->look_at < at)
        at = self->look_at;
    int64_t retry_at = pen_clock_monotonic_ms() + PEN_SHIM_RETRY_MS;
    return self->log.blocked && retry_at < at ? retry_at : at;
}

/* The boot-time clock goes on while the host sleeps, and this timer with it. */
static void arm(struct shim *self)
{
    int64_t at = next_time(self);
    if (at == self->armed_at)
        return;
    self->armed_at = at;
    struct itimerspec when = {0};
    if (at != INT64_MAX) {
        when.it_value.tv_sec = (time_t)(at / 1000);
        when.it_value.tv_nsec = (long)(at % 1000) * 1000000 + 1;
    }
    (void)timerfd_settime(self->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* The end of the command shell is the end of the attempt. What it has left may finish by itself for
 * a moment while it holds the log open, since a filter has the last lines; then it has to go. */
static void end_leftovers(struct shim *self)
{
    int64_t now = pen_clock_monotonic_ms();
    if (self->linger_at == INT64_MAX)
        self->linger_at = now + PEN_SHIM_LINGER_MS;
    if (self->output_open && now < self->linger_at)
        return;
    self->linger_at = INT64_MAX;
    begin_kill(self, PEN_SHIM_LEFTOVER_MS);
}

static void loop(struct shim *self)
{
    while (!self->tree_ended) {
        arm(self);
        struct pollfd fds[] = {
            {.fd = self->signal_fd, .events = POLLIN},
            {.fd = self->timer_fd, .events = POLLIN},
            {.fd = self->output_open && !self->log.blocked ? self->output_fd : -1,
             .events = POLLIN},
            {.fd = self->shell.turn_fd}, /* POLLHUP: it was opened and closed */
        };
        if (poll(fds, sizeof fds / sizeof fds[0], -1) < 0)
            continue;
        if (fds[2].revents != 0)
            take_output(self);
        if (fds[3].revents != 0)
            take_step(self);
        if (fds[0].revents != 0)
            take_signal(self);
        if (fds[1].revents != 0) {
            uint64_t expirations;
            (void)!read(self->timer_fd, &expirations, sizeof expirations);
            self->armed_at = INT64_MAX;
            on_time(self);
        }
        if (self->command_ended && !self->tree_ended && self->kill_at == INT64_MAX)
            end_leftovers(self);
        if (!self->tree_ended)
            hint_log(self);
    }
}

/* ---- beginning and end */

static int begin(struct shim *self)
{
    /* Before our own /proc: the agent knows us by the outer number. */
    if (pen_shim_process_facts("self", &self->outer_pid, &self->start_time, NULL) < 0)
        return PEN_EIO;
    if (self->isolation >= PEN_ISOLATION_FULL &&
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return PEN_EIO;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return PEN_EIO;
    self->began_ms = pen_clock_wall_ms();
    return shim_files_began(self);
}

static int open_descriptors(struct shim *self)
{
    sigset_t wanted;
    (void)sigemptyset(&wanted);
    (void)sigaddset(&wanted, SIGCHLD);
    (void)sigaddset(&wanted, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &wanted, NULL);
    self->signal_fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    self->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    self->hint_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return self->signal_fd < 0 || self->timer_fd < 0 || self->hint_fd < 0 ? PEN_EIO : 0;
}

static void write_exit(struct shim *self, const char *reason)
{
    Pen__ShimExit record = PEN__SHIM_EXIT__INIT;
    uint8_t digest[PEN_SHA256_SIZE];
    if (self->log.digest != NULL)
        pen_sha256_stream_digest(self->log.digest, digest);
    else
        pen_sha256("", 0, digest);
    record.has_log_size = record.has_log_sha256 = record.has_log_cut = true;
    record.log_size = self->log.size;
    record.log_sha256 = (ProtobufCBinaryData){.len = sizeof digest, .data = digest};
    record.log_cut = self->log.cut;
    record.has_killed = record.has_timed_out = record.has_began_ms = record.has_ended_ms = true;
    record.killed = self->killed;
    record.timed_out = self->timed_out;
    record.began_ms = self->began_ms;
    record.ended_ms = self->ended_ms != 0 ? self->ended_ms : pen_clock_wall_ms();
    record.reason = (char *)(uintptr_t)reason;
    bool exited = self->command_ended && WIFEXITED(self->status);
    record.has_exit_code = exited;
    record.exit_code = exited ? WEXITSTATUS(self->status) : 0;
    record.has_signal = self->command_ended && WIFSIGNALED(self->status);
    record.signal = record.has_signal ? WTERMSIG(self->status) : 0;
    record.has_failed_command = self->command_ended && (!exited || record.exit_code != 0);
    record.failed_command = self->shell.command_index;
    PEN_CLEANUP(pen_buf_release) struct pen_buf variables = {0};
    record.has_variables = shim_shell_variables(&self->shell, &variables);
    record.variables = (ProtobufCBinaryData){.len = variables.size, .data = variables.data};
    PEN_CLEANUP(pen_buf_release) struct pen_buf mounts = {0};
    ProtobufCBinaryData mount_paths[SHIM_MOUNTS_MAX];
    record.n_mounts = shim_mounts(self, &mounts, mount_paths);
    record.mounts = mount_paths;
    shim_files_exit(self, &record);
    shim_hint(self, PEN_HINT_EXIT, self->log.size);
}

/* All writers are gone: what the pipes still hold is the end of it. */
static void drain(struct shim *self)
{
    (void)shim_shell_look(&self->shell);
    while (self->output_open) {
        take_output(self);
        if (!self->log.blocked)
            break;
        (void)poll(NULL, 0, PEN_SHIM_RETRY_MS);
        shim_log_retry(&self->log);
    }
    shim_log_end(&self->log);
    while (self->log.blocked) {
        (void)poll(NULL, 0, PEN_SHIM_RETRY_MS);
        shim_log_retry(&self->log);
    }
}

_Noreturn void pen_shim_run(const Pen__ShimOrder *order, enum pen_shim_isolation isolation)
{
    struct shim self = {
        .order = order,
        .isolation = isolation,
        .lock_fd = -1,
        .output_fd = -1,
        .timeout_at = INT64_MAX,
        .kill_at = INT64_MAX,
        .hint_at = INT64_MAX,
        .look_at = INT64_MAX,
        .linger_at = INT64_MAX,
        .armed_at = INT64_MAX,
        .shell = {.folder_fd = -1, .turn_fd = -1},
        .log = {.path = order->log_path, .fd = -1, .size_max = (uint64_t)order->log_bytes_max},
    };
    (void)prctl(PR_SET_NAME, "penstock-shim");
    if (order->run_dir == NULL || order->workspace == NULL || order->n_argv == 0 ||
        order->log_path == NULL || order->n_masks > 0 || shim_files_lock(&self) < 0)
        _exit(1);
    if (open_descriptors(&self) < 0 || begin(&self) < 0)
        _exit(1);
    if (order->timeout_ms > 0)
        self.timeout_at = pen_clock_monotonic_ms() + order->timeout_ms;
    struct pen_error err = {0};
    const char *reason = NULL;
    (void)umask(COMMANDS_UMASK); /* our own files name their modes */
    if (shim_shell_open(&self.shell, order->shell_dir, &err) < 0 || shim_spawn(&self, &err) < 0) {
        reason = err.message;
    } else {
        self.hint_at = pen_clock_monotonic_ms() + PEN_SHIM_BEGAN_HOLD_MS;
        self.look_at = pen_clock_monotonic_ms() + PEN_SHIM_LOOK_MS;
        loop(&self);
        drain(&self);
    }
    write_exit(&self, reason);
    _exit(0);
}
