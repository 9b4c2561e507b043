/* The log file of an attempt: made at the first byte, cut visibly at its limit.
 *
 *     beginning  [the log is cut here...]  [... bytes are left out]  end
 *
 * What is above the limit is the middle: how something ended stands at the end. The file only
 * grows, so its end is kept in memory until the commands are over.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/shim/shim_internal.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/io/file.h"

enum {
    CUT_MARK_MAX = 128,
    PARTIAL_LINE_MAX = 64 * 1024, /* the end begins with a whole line, unless lines are longer */
};

/* Write what waits, as far as the disk takes it. */
static void flush(struct shim_log *self)
{
    if (self->fd < 0 && pen_file_open(self->path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600,
                                      &self->fd, NULL) < 0) {
        self->blocked = true;
        return;
    }
    while (self->waiting.size > 0) {
        ssize_t put = write(self->fd, self->waiting.data, self->waiting.size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            self->blocked = true;
            return;
        }
        pen_sha256_stream_add(self->digest, self->waiting.data, (size_t)put);
        self->size += (uint64_t)put;
        pen_buf_consume(&self->waiting, (size_t)put);
    }
    self->blocked = false;
}

/* Of the limit, for the end: half of a small one. */
static size_t end_max(const struct shim_log *self)
{
    uint64_t half = self->size_max / 2;
    return half < PEN_LIMIT_LOG_END_BYTES ? (size_t)half : PEN_LIMIT_LOG_END_BYTES;
}

/* Where the end begins to be kept: it has to fit below the limit, and both marks. */
static uint64_t beginning_max(const struct shim_log *self)
{
    uint64_t others = end_max(self) + 2 * CUT_MARK_MAX;
    return self->size_max > others ? self->size_max - others : 0;
}

/* Keep the last bytes, in a ring. */
static void end_add(struct shim_log *self, const uint8_t *bytes, size_t size)
{
    size_t room = end_max(self);
    if (self->end == NULL && (self->end = malloc(room > 0 ? room : 1)) == NULL)
        _exit(1);
    if (self->end_total + size > room && !self->cut) {
        pen_buf_printf(&self->waiting,
                       "\n[penstock: the log is cut here, at %" PRIu64
                       " bytes; its end follows when the commands are over]\n",
                       self->size_max);
        self->cut = true;
    }
    size_t skipped = size > room ? size - room : 0;
    self->end_total += skipped;
    for (size_t done = skipped; room > 0 && done < size;) {
        size_t at = (size_t)(self->end_total % room);
        size_t part = size - done < room - at ? size - done : room - at;
        memcpy(self->end + at, bytes + done, part);
        self->end_total += part;
        done += part;
    }
}

void shim_log_add(struct shim_log *self, const void *bytes, size_t size)
{
    if (size == 0)
        return;
    if (self->digest == NULL && pen_sha256_stream_create(&self->digest, NULL) < 0)
        _exit(1); /* without memory there is no honest result */
    uint64_t used = self->size + self->waiting.size;
    uint64_t limit = beginning_max(self);
    uint64_t room = limit > used && self->end == NULL ? limit - used : 0;
    size_t first = self->size_max > 0 && size > room ? (size_t)room : size;
    pen_buf_append(&self->waiting, bytes, first);
    if (first < size)
        end_add(self, (const uint8_t *)bytes + first, size - first);
    if (pen_buf_ok(&self->waiting, NULL) < 0)
        _exit(1);
    flush(self);
}

/* Bytes up to the end of the first line, which is a part of one; 0 when that is far. */
static size_t partial_line(const struct shim_log *self, size_t from, size_t size)
{
    for (size_t i = 0; i < size / 2 && i < PARTIAL_LINE_MAX; i++)
        if (self->end[(from + i) % size] == '\n')
            return i + 1;
    return 0;
}

void shim_log_end(struct shim_log *self)
{
    size_t room = end_max(self);
    if (self->end == NULL || room == 0)
        return;
    size_t size = self->end_total < room ? (size_t)self->end_total : room;
    size_t from = self->end_total > room ? (size_t)(self->end_total % room) : 0;
    if (self->cut) {
        size_t skipped = partial_line(self, from, room);
        pen_buf_printf(&self->waiting, "[penstock: %" PRIu64 " bytes are left out]\n",
                       self->end_total - (size - skipped));
        from = (from + skipped) % room;
        size -= skipped;
    }
    size_t first = size < room - from ? size : room - from;
    pen_buf_append(&self->waiting, self->end + from, first);
    pen_buf_append(&self->waiting, self->end, size - first);
    free(TAKE_PTR(self->end));
    if (pen_buf_ok(&self->waiting, NULL) < 0)
        _exit(1);
    flush(self);
}

void shim_log_retry(struct shim_log *self)
{
    if (self->blocked)
        flush(self);
}
