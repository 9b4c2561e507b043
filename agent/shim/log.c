/* The log file of an attempt: made at the first byte, cut visibly at its limit. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <errno.h>
#include <unistd.h>

#include "agent/shim/shim_internal.h"
#include "common/base/check.h"
#include "common/io/file.h"

enum { CUT_MARK_MAX = 128 };

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

static void add_cut_mark(struct shim_log *self)
{
    char mark[CUT_MARK_MAX];
    int size = snprintf(mark, sizeof mark, "\n[penstock: the log is cut here, at %llu bytes]\n",
                        (unsigned long long)self->size_max);
    CHECK(size > 0 && size < CUT_MARK_MAX);
    pen_buf_append(&self->waiting, mark, (size_t)size);
    self->cut = true;
}

void shim_log_add(struct shim_log *self, const void *bytes, size_t size)
{
    if (self->cut || size == 0)
        return;
    if (self->digest == NULL && pen_sha256_stream_create(&self->digest, NULL) < 0)
        _exit(1); /* without memory there is no honest result */
    /* The mark has to fit below the limit, too. */
    uint64_t limit = self->size_max > CUT_MARK_MAX ? self->size_max - CUT_MARK_MAX : 0;
    uint64_t used = self->size + self->waiting.size;
    uint64_t room = limit > used ? limit - used : 0;
    bool over = self->size_max > 0 && size > room;
    pen_buf_append(&self->waiting, bytes, over ? (size_t)room : size);
    if (over)
        add_cut_mark(self);
    if (pen_buf_ok(&self->waiting, NULL) < 0)
        _exit(1);
    flush(self);
}

void shim_log_retry(struct shim_log *self)
{
    if (self->blocked)
        flush(self);
}
