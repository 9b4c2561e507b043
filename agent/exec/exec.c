#include "agent/exec/exec.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/exec/exec_internal.h"
#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/wire/wire.h"

enum { EVENTS_MAX = 64, HINTS_A_TURN = 256, LOOK_AGAIN_MS = 100 };

static const uint64_t wake_starter = WAKE_HINTS - 1;

int exec_watch(struct pen_exec *self, int fd, uint64_t number, struct pen_error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = number};
    return epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0
               ? pen_fail_errno(err, "cannot watch a process")
               : 0;
}

/* ---- entries */

static struct entry *entry_get(const struct pen_exec *self, uint64_t fence)
{
    return pen_map_get(&self->entries, pen_key_number(fence));
}

static struct entry *entry_add(struct pen_exec *self, uint64_t fence)
{
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL || pen_map_put(&self->entries, pen_key_number(fence), entry, NULL) < 0) {
        free(entry);
        return NULL;
    }
    entry->fence = fence;
    entry->pidfd = -1;
    return entry;
}

static void entry_remove(struct pen_exec *self, struct entry *entry)
{
    (void)pen_map_remove(&self->entries, pen_key_number(entry->fence));
    pen_fd_close(&entry->pidfd); /* leaves the epoll set by itself */
    free(entry);
}

static void report(const struct pen_exec *self, const struct pen_exec_report *what)
{
    self->options.report(self->options.context, what);
}

static void report_began(struct pen_exec *self, struct entry *entry)
{
    if (entry->began)
        return;
    PEN_CLEANUP(pen_message_destroy) Pen__AttemptBegan *began = read_began(self, entry->fence);
    if (began == NULL)
        return;
    entry->began = true;
    report(self, &(struct pen_exec_report){
                     .kind = PEN_EXEC_BEGAN, .fence = entry->fence, .began = began});
}

/* Report the end if there is an exit record; the entry is gone then. */
static bool report_exit(struct pen_exec *self, struct entry *entry)
{
    PEN_CLEANUP(pen_message_destroy) Pen__ShimExit *record = read_exit(self, entry->fence);
    if (record == NULL)
        return false;
    uint64_t fence = entry->fence;
    report_began(self, entry);
    entry_remove(self, entry);
    report(self,
           &(struct pen_exec_report){.kind = PEN_EXEC_EXITED, .fence = fence, .exit = record});
    return true;
}

static void look_again(struct pen_exec *self, struct entry *entry)
{
    entry->look_again = true;
    int64_t at = pen_clock_monotonic_ms() + LOOK_AGAIN_MS;
    if (at < self->look_again_ms)
        self->look_again_ms = at;
}

/* Its shim is gone. */
static void conclude(struct pen_exec *self, struct entry *entry)
{
    if (report_exit(self, entry))
        return;
    (void)run_dir_keep(self, NULL); /* files that are not there may be lost */
    report_began(self, entry);
    if (!sweep(self, entry->fence)) { /* something of it is left: nothing is proven */
        pen_fd_close(&entry->pidfd);
        look_again(self, entry);
        return;
    }
    uint64_t fence = entry->fence;
    bool began = entry->began || entry->unproven;
    entry_remove(self, entry);
    report(self, &(struct pen_exec_report){
                     .kind = PEN_EXEC_VANISHED, .fence = fence, .began_once = began});
}

static void send_kill(struct entry *entry)
{
    siginfo_t info = {.si_signo = SIGTERM, .si_code = SI_QUEUE};
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_int = (int)entry->kill_grace_ms;
    if (entry->pidfd >= 0)
        (void)pidfd_send_signal(entry->pidfd, SIGTERM, &info, 0);
}

static int set_pidfd(struct pen_exec *self, struct entry *entry, int pidfd)
{
    entry->pidfd = pidfd;
    if (exec_watch(self, pidfd, entry->fence, NULL) < 0) {
        look_again(self, entry);
        return PEN_EIO;
    }
    if (entry->kill_wanted)
        send_kill(entry);
    return 0;
}

/* Find the state of an attempt from its files alone. */
static void examine(struct pen_exec *self, struct entry *entry)
{
    enum shim_life life = SHIM_ALIVE;
    entry->look_again = false;
    if (self->lost_until_ms != 0 && !has_lock(self, entry->fence)) {
        if (report_exit(self, entry))
            return;
        entry->unproven = true;
        if (pen_clock_monotonic_ms() < self->lost_until_ms) {
            look_again(self, entry); /* a living shim is about to make its files again */
            return;
        }
    }
    if (shim_life_find(self, entry->fence, &life, NULL) < 0) {
        look_again(self, entry);
        return;
    }
    if (life == SHIM_GONE) {
        conclude(self, entry);
        return;
    }
    PEN_CLEANUP(pen_message_destroy) Pen__AttemptBegan *began = read_began(self, entry->fence);
    int pidfd = began == NULL || began->shim_pid <= 0 ? -1 : pidfd_open((pid_t)began->shim_pid, 0);
    if (pidfd < 0) {
        look_again(self, entry); /* between its lock and its `began`, or just ending */
        return;
    }
    pid_t pid = 0;
    uint64_t start_time = 0;
    char name[32];
    (void)snprintf(name, sizeof name, "%" PRId64, began->shim_pid);
    if (pen_shim_process_facts(name, &pid, &start_time, NULL) < 0 ||
        start_time != began->shim_start_time) {
        (void)close(pidfd);
        look_again(self, entry);
        return;
    }
    report_began(self, entry);
    (void)set_pidfd(self, entry, pidfd);
}

static void examine_pending(struct pen_exec *self)
{
    if (pen_clock_monotonic_ms() < self->look_again_ms)
        return;
    self->look_again_ms = INT64_MAX;
    struct pen_map_node *next;
    for (struct pen_map_node *node = pen_map_first(&self->entries); node != NULL; node = next) {
        next = pen_map_next(node);
        struct entry *entry = pen_map_value(node);
        if (entry->look_again)
            examine(self, entry);
    }
}

/* ---- what wakes us */

static void take_hints(struct pen_exec *self)
{
    struct pen_shim_hint hint;
    for (int i = 0; i < HINTS_A_TURN; i++) {
        ssize_t got = recv(self->hint_fd, &hint, sizeof hint, MSG_DONTWAIT);
        if (got < 0)
            return;
        struct entry *entry = got == (ssize_t)sizeof hint && hint.magic == PEN_SHIM_HINT_MAGIC
                                  ? entry_get(self, hint.fence)
                                  : NULL;
        if (entry == NULL)
            continue;
        if (hint.kind == PEN_HINT_EXIT && report_exit(self, entry))
            continue;
        report_began(self, entry);
        if (hint.kind == PEN_HINT_LOG)
            report(self, &(struct pen_exec_report){
                             .kind = PEN_EXEC_LOG, .fence = hint.fence, .number = hint.number});
        else if (hint.kind == PEN_HINT_STEP && entry->began)
            report(self, &(struct pen_exec_report){
                             .kind = PEN_EXEC_STEP, .fence = hint.fence, .number = hint.number});
    }
}

/* Orders that the old starter may or may not have taken are found out like any adopted attempt. */
static int restart_starter(struct pen_exec *self, struct pen_error *err)
{
    starter_close(self);
    int rc = starter_spawn(self, err);
    if (rc == 0)
        rc = exec_watch(self, self->starter_fd, wake_starter, err);
    struct pen_map_node *next;
    for (struct pen_map_node *node = pen_map_first(&self->entries); node != NULL; node = next) {
        next = pen_map_next(node);
        struct entry *entry = pen_map_value(node);
        if (entry->pidfd < 0)
            examine(self, entry);
    }
    return rc;
}

static int take_replies(struct pen_exec *self, struct pen_error *err)
{
    for (;;) {
        struct pen_starter_reply reply;
        int pidfd = -1;
        int rc = starter_receive(self, false, &reply, &pidfd, err);
        if (rc == PEN_EUNAVAILABLE)
            return 0;
        if (rc < 0)
            return restart_starter(self, err);
        struct entry *entry = entry_get(self, reply.fence);
        if (entry == NULL || entry->pidfd >= 0) {
            pen_fd_close(&pidfd); /* it has ended meanwhile */
        } else if (pidfd >= 0) {
            (void)set_pidfd(self, entry, pidfd);
        } else {
            char text[128];
            errno = reply.error_number;
            (void)snprintf(text, sizeof text, "no process could be made: %s", strerror(errno));
            uint64_t fence = entry->fence;
            entry_remove(self, entry);
            report(self, &(struct pen_exec_report){
                             .kind = PEN_EXEC_START_FAILED, .fence = fence, .text = text});
        }
    }
}

int pen_exec_process(struct pen_exec *self, struct pen_error *err)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(self->epoll_fd, events, EVENTS_MAX, 0);
    int rc = 0;
    for (int i = 0; rc == 0 && i < count; i++) {
        uint64_t number = events[i].data.u64;
        if (number == WAKE_HINTS) {
            take_hints(self);
        } else if (number == wake_starter) {
            rc = take_replies(self, err);
        } else {
            struct entry *entry = entry_get(self, number);
            if (entry != NULL && entry->pidfd >= 0 && !entry->look_again)
                conclude(self, entry);
        }
    }
    examine_pending(self);
    if (self->entries.count > 0 && pen_clock_monotonic_ms() >= self->look_ms)
        (void)run_dir_keep(self, NULL); /* tried again, and said when something has to begin */
    return rc;
}

int64_t pen_exec_deadline_ms(const struct pen_exec *self)
{
    return self->entries.count == 0 || self->look_again_ms < self->look_ms ? self->look_again_ms
                                                                           : self->look_ms;
}

/* ---- commands */

int pen_exec_start(struct pen_exec *self, Pen__ShimOrder *order, struct pen_error *err)
{
    if (entry_get(self, order->fence) != NULL)
        return pen_fail(err, PEN_ECONFLICT, "attempt %" PRIu64 " runs already", order->fence);
    int rc = run_dir_keep(self, err);
    if (rc < 0)
        return rc;
    PEN_CLEANUP(pen_free) char *folder = run_path(self, order->fence, NULL);
    char mark[128];
    sweep_mark(self, order->fence, mark, sizeof mark);
    char **environment =
        realloc(order->environment, (order->n_environment + 1) * sizeof *environment);
    if (folder == NULL || environment == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to start attempt %" PRIu64, order->fence);
    order->environment = environment;
    environment[order->n_environment] = strdup(mark);
    if (environment[order->n_environment] == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to start attempt %" PRIu64, order->fence);
    order->n_environment++;
    rc = pen_dir_make(folder, 0700, err);
    if (rc < 0)
        return rc;
    free(order->spare_exit);
    order->spare_exit = spare_exit_path(self, order->fence);
    free(order->run_dir);
    order->run_dir = TAKE_PTR(folder);
    struct entry *entry = entry_add(self, order->fence);
    if (entry == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to start attempt %" PRIu64, order->fence);
    rc = starter_send(self, order, err);
    if (rc == PEN_ELIMIT || rc == PEN_ENOMEM) {
        entry_remove(self, entry);
        return rc;
    }
    return 0; /* a broken socket shows itself as the starter's end, which examines this entry */
}

void pen_exec_adopt(struct pen_exec *self, uint64_t fence)
{
    struct entry *entry = entry_get(self, fence);
    if (entry == NULL)
        entry = entry_add(self, fence);
    if (entry == NULL || entry->pidfd >= 0)
        return;
    entry->look_again = true;
    self->look_again_ms = 0;
}

void pen_exec_kill(struct pen_exec *self, uint64_t fence, uint32_t grace_ms)
{
    struct entry *entry = entry_get(self, fence);
    if (entry == NULL)
        return;
    entry->kill_wanted = true;
    entry->kill_grace_ms = grace_ms > INT_MAX ? INT_MAX : grace_ms;
    send_kill(entry);
}

void pen_exec_release(struct pen_exec *self, uint64_t fence)
{
    CHECK(entry_get(self, fence) == NULL);
    static const char *const names[] = {"lock", "dead", "began", "exit"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        PEN_CLEANUP(pen_free) char *path = run_path(self, fence, names[i]);
        if (path != NULL)
            (void)unlink(path);
    }
    PEN_CLEANUP(pen_free) char *spare = spare_exit_path(self, fence);
    if (spare != NULL)
        (void)unlink(spare);
    PEN_CLEANUP(pen_free) char *folder = run_path(self, fence, NULL);
    if (folder != NULL && rmdir(folder) < 0 && errno != ENOENT)
        (void)pen_dir_remove_tree(folder, NULL);
}

size_t pen_exec_count(const struct pen_exec *self)
{
    return self->entries.count;
}

const char *pen_exec_isolation(const struct pen_exec *self)
{
    return self->isolation_text;
}

bool pen_exec_has_pid_namespace(const struct pen_exec *self)
{
    return self->isolation >= PEN_ISOLATION_PID;
}

int pen_exec_fd(const struct pen_exec *self)
{
    return self->epoll_fd;
}

/* ---- life */

int pen_exec_create(const struct pen_exec_options *options, struct pen_exec **ret_exec,
                    struct pen_error *err)
{
    PEN_CLEANUP(pen_exec_destroy) struct pen_exec *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the shims");
    self->hint_fd = self->starter_fd = self->starter_pidfd = -1;
    self->look_again_ms = INT64_MAX;
    self->options = *options;
    self->run_dir = strdup(options->run_dir);
    self->spare_dir = options->spare_dir == NULL ? NULL : strdup(options->spare_dir);
    self->spool_id = strdup(options->spool_id);
    self->shim_path = strdup(options->shim_path);
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (self->run_dir == NULL || self->spool_id == NULL || self->shim_path == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the shims");
    if (self->epoll_fd < 0)
        return pen_fail_errno(err, "no epoll descriptor");
    int rc;
    if (self->spare_dir != NULL && (rc = pen_dir_make(self->spare_dir, 0700, err)) < 0)
        return rc;
    if ((rc = run_dir_open(self, err)) < 0 || (rc = starter_spawn(self, err)) < 0 ||
        (rc = exec_watch(self, self->starter_fd, wake_starter, err)) < 0)
        return rc;
    (void)snprintf(self->isolation_text, sizeof self->isolation_text, "%s%s",
                   self->user_namespace ? "own user namespace, " : "",
                   pen_shim_isolation_text(self->isolation));
    *ret_exec = TAKE_PTR(self);
    return 0;
}

void pen_exec_destroy(struct pen_exec **self_p)
{
    struct pen_exec *self = *self_p;
    if (self == NULL)
        return;
    struct entry *entry;
    while ((entry = pen_map_first_value(&self->entries)) != NULL)
        entry_remove(self, entry);
    pen_map_release(&self->entries);
    starter_close(self);
    pen_fd_close(&self->hint_fd);
    pen_fd_close(&self->epoll_fd);
    free(self->run_dir);
    free(self->spare_dir);
    free(self->spool_id);
    free(self->shim_path);
    free(self);
    *self_p = NULL;
}
