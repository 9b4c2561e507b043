#include "agent/logs/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/io/file.h"

enum {
    SEND_RETRY_MS = 50,
    ACK_TIMEOUT_MS = 5000, /* many times the 200 ms that the controller gathers before it syncs */
};

struct log {
    uint64_t fence;
    uint64_t captured, sent, acked;
    uint64_t credit;
    bool complete;
    bool probing; /* a first message after a connection is out: its answer tells where to go on */
    int fd;
    int64_t paused_until_ms; /* 0: no */
    int64_t pause_ms;
    int64_t acked_by_ms; /* in flight: send again when nothing was acknowledged by then */
};

struct pen_logs {
    char *folder;
    pen_logs_send_f send;
    void *context;
    struct pen_map logs; /* fence to log */
    uint64_t credit;
    uint64_t in_flight; /* of all logs: sent - acked */
    uint64_t turn;      /* the fence that goes first when there is room again */
    bool starved;       /* a log waits for room on the link */
    int64_t deadline_ms;
    uint8_t bytes[PEN_LOG_PIECE_BYTES];
};

int pen_logs_open(const char *folder, pen_logs_send_f send, void *context,
                  struct pen_logs **ret_logs, struct pen_error *err)
{
    PEN_CLEANUP(pen_logs_close) struct pen_logs *self = calloc(1, sizeof *self);
    if (self == NULL || (self->folder = strdup(folder)) == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for logs");
    self->send = send;
    self->context = context;
    self->credit = PEN_LOG_CREDIT_DEFAULT_BYTES;
    self->deadline_ms = INT64_MAX;
    int rc = pen_dir_make(folder, 0700, err);
    if (rc < 0)
        return rc;
    *ret_logs = TAKE_PTR(self);
    return 0;
}

static void log_remove(struct pen_logs *self, struct log *log)
{
    (void)pen_map_remove(&self->logs, pen_key_number(log->fence));
    self->in_flight -= log->sent - log->acked;
    pen_fd_close(&log->fd);
    free(log);
}

void pen_logs_close(struct pen_logs **self_p)
{
    struct pen_logs *self = *self_p;
    if (self == NULL)
        return;
    struct log *log;
    while ((log = pen_map_first_value(&self->logs)) != NULL)
        log_remove(self, log);
    pen_map_release(&self->logs);
    free(self->folder);
    free(self);
    *self_p = NULL;
}

char *pen_logs_path(const struct pen_logs *self, uint64_t fence)
{
    return pen_strdup_printf("%s/%" PRIu64 ".log", self->folder, fence);
}

static struct log *log_get(const struct pen_logs *self, uint64_t fence)
{
    return pen_map_get(&self->logs, pen_key_number(fence));
}

static bool open_log(struct pen_logs *self, struct log *log)
{
    if (log->fd >= 0)
        return true;
    PEN_CLEANUP(pen_free) char *path = pen_logs_path(self, log->fence);
    return path != NULL && pen_file_open(path, O_RDONLY | O_NOFOLLOW, 0, &log->fd, NULL) == 0;
}

static void wake_at(struct pen_logs *self, int64_t at_ms)
{
    if (at_ms < self->deadline_ms)
        self->deadline_ms = at_ms;
}

/* The only writer of acked and sent. */
static void mark(struct pen_logs *self, struct log *log, uint64_t acked, uint64_t sent)
{
    self->in_flight -= log->sent - log->acked;
    log->acked = acked;
    log->sent = sent;
    self->in_flight += log->sent - log->acked;
}

static uint64_t left(uint64_t limit, uint64_t used)
{
    return limit > used ? limit - used : 0;
}

/* How much this log may send now. One that waits for the others is the first to be asked again. */
static uint64_t room_of(struct pen_logs *self, const struct log *log)
{
    uint64_t own = left(log->credit, log->sent - log->acked);
    uint64_t link = left(PEN_LIMIT_LOG_LINK_BYTES, self->in_flight);
    if (own > 0 && link == 0 && !self->starved) {
        self->starved = true;
        self->turn = log->fence;
    }
    return own < link ? own : link;
}

static void pump(struct pen_logs *self, struct log *log)
{
    while (log->sent < log->captured && log->paused_until_ms == 0) {
        uint64_t in_flight = log->sent - log->acked;
        uint64_t wanted = log->captured - log->sent;
        size_t size = wanted < sizeof self->bytes ? (size_t)wanted : sizeof self->bytes;
        if (log->probing && in_flight > 0)
            return;
        uint64_t room = room_of(self, log);
        if (size > room)
            size = (size_t)room;
        if (size == 0 || !open_log(self, log))
            return;
        ssize_t got = pread(log->fd, self->bytes, size, (off_t)log->sent);
        if (got <= 0)
            return;
        int rc = self->send(self->context, log->fence, log->sent, self->bytes, (size_t)got);
        if (rc < 0) {
            wake_at(self, pen_clock_monotonic_ms() + SEND_RETRY_MS);
            return;
        }
        mark(self, log, log->acked, log->sent + (uint64_t)got);
        log->acked_by_ms = pen_clock_monotonic_ms() + ACK_TIMEOUT_MS;
        wake_at(self, log->acked_by_ms);
    }
}

/* There may be room on the link again: for those that wait, in turns. */
static void pump_starved(struct pen_logs *self)
{
    self->starved = false;
    uint64_t first = self->turn;
    struct pen_map_node *node = pen_map_from(&self->logs, pen_key_number(first));
    for (; node != NULL && !self->starved; node = pen_map_next(node))
        pump(self, pen_map_value(node));
    node = pen_map_first(&self->logs);
    for (; node != NULL && !self->starved; node = pen_map_next(node)) {
        struct log *log = pen_map_value(node);
        if (log->fence >= first)
            return;
        pump(self, log);
    }
}

/* This log may have more to send, or has left room to others, who are first then. */
static void pump_in_turn(struct pen_logs *self, struct log *log)
{
    if (self->starved)
        pump_starved(self);
    else
        pump(self, log);
}

int pen_logs_captured(struct pen_logs *self, uint64_t fence, uint64_t size, bool complete,
                      bool adopted, struct pen_error *err)
{
    struct log *log = log_get(self, fence);
    if (log == NULL && size == 0)
        return 0; /* most attempts say nothing */
    if (log == NULL) {
        log = calloc(1, sizeof *log);
        if (log == NULL || pen_map_put(&self->logs, pen_key_number(fence), log, err) < 0) {
            free(log);
            return pen_fail(err, PEN_ENOMEM, "no memory for a log");
        }
        log->fence = fence;
        log->probing = adopted; /* an earlier process may have sent some of it */
        log->fd = -1;
        log->credit = self->credit;
    }
    if (size > log->captured)
        log->captured = size;
    log->complete = log->complete || complete;
    pump(self, log);
    return 0;
}

uint64_t pen_logs_file_size(const struct pen_logs *self, uint64_t fence)
{
    PEN_CLEANUP(pen_free) char *path = pen_logs_path(self, fence);
    struct stat facts;
    return path != NULL && lstat(path, &facts) == 0 && S_ISREG(facts.st_mode)
               ? (uint64_t)facts.st_size
               : 0;
}

void pen_logs_acked(struct pen_logs *self, uint64_t fence, uint64_t offset, uint64_t credit_bytes)
{
    struct log *log = log_get(self, fence);
    if (log == NULL || offset > log->captured)
        return;
    log->pause_ms = 0;
    if (credit_bytes > 0)
        log->credit = credit_bytes;
    uint64_t acked = log->acked;
    if (offset > acked) {
        acked = offset;
        log->acked_by_ms = pen_clock_monotonic_ms() + ACK_TIMEOUT_MS;
    }
    /* The controller drops a message that begins below what it has, with all that is in it. */
    mark(self, log, acked, log->sent < acked || log->probing ? acked : log->sent);
    log->probing = false;
    if (log->complete && log->acked == log->captured)
        pen_fd_close(&log->fd);
    pump_in_turn(self, log);
}

void pen_logs_resend(struct pen_logs *self, uint64_t fence, uint64_t offset)
{
    struct log *log = log_get(self, fence);
    if (log == NULL || offset > log->captured)
        return;
    log->pause_ms = 0;
    log->probing = false;
    /* Below acked: the controller was restored to an earlier time. */
    mark(self, log, log->acked > offset ? offset : log->acked, offset);
    pump_in_turn(self, log);
}

void pen_logs_refused(struct pen_logs *self, uint64_t fence)
{
    struct log *log = log_get(self, fence);
    if (log == NULL || log->paused_until_ms != 0)
        return;
    log->pause_ms = log->pause_ms == 0 ? PEN_LOG_REFUSED_FIRST_MS : 2 * log->pause_ms;
    if (log->pause_ms > PEN_LOG_REFUSED_LAST_MS)
        log->pause_ms = PEN_LOG_REFUSED_LAST_MS;
    mark(self, log, log->acked, log->acked);
    log->paused_until_ms = pen_clock_monotonic_ms() + log->pause_ms;
    wake_at(self, log->paused_until_ms);
    if (self->starved)
        pump_starved(self);
}

void pen_logs_connected(struct pen_logs *self, uint64_t credit_bytes)
{
    if (credit_bytes > 0)
        self->credit = credit_bytes;
    struct pen_map_node *node = pen_map_first(&self->logs);
    for (; node != NULL; node = pen_map_next(node)) { /* nothing is under way any more */
        struct log *log = pen_map_value(node);
        mark(self, log, log->acked, log->acked);
    }
    for (node = pen_map_first(&self->logs); node != NULL; node = pen_map_next(node)) {
        struct log *log = pen_map_value(node);
        log->credit = self->credit;
        log->probing = true;
        log->paused_until_ms = log->pause_ms = 0;
        pump(self, log);
    }
}

void pen_logs_on_time(struct pen_logs *self)
{
    int64_t now = pen_clock_monotonic_ms();
    if (now < self->deadline_ms)
        return;
    self->deadline_ms = INT64_MAX;
    for (struct pen_map_node *node = pen_map_first(&self->logs); node != NULL;
         node = pen_map_next(node)) {
        struct log *log = pen_map_value(node);
        if (log->paused_until_ms > now) {
            wake_at(self, log->paused_until_ms);
            continue;
        }
        log->paused_until_ms = 0;
        if (log->sent > log->acked && log->acked_by_ms <= now)
            mark(self, log, log->acked, log->acked); /* lost on the way, or its answer was */
        pump(self, log);
        if (log->sent > log->acked)
            wake_at(self, log->acked_by_ms);
    }
}

int64_t pen_logs_deadline_ms(const struct pen_logs *self)
{
    return self->deadline_ms;
}

bool pen_logs_is_acked(const struct pen_logs *self, uint64_t fence)
{
    const struct log *log = log_get(self, fence);
    return log == NULL || (log->complete && log->acked >= log->captured);
}

void pen_logs_release(struct pen_logs *self, uint64_t fence)
{
    struct log *log = log_get(self, fence);
    if (log == NULL)
        return;
    log_remove(self, log);
    if (self->starved)
        pump_starved(self);
    PEN_CLEANUP(pen_free) char *path = pen_logs_path(self, fence);
    if (path != NULL)
        (void)unlink(path);
}
