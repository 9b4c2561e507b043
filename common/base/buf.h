/* common/base/buf.h - growing bytes; the only doubling allocator
 *
 *     PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
 *     pen_buf_printf(&text, "fence %" PRIu64, fence);
 *
 * Appending never fails visibly: running out of memory sets `failed`, and further appends do
 * nothing. Check once, at the end, with pen_buf_ok().
 */
#ifndef PEN_COMMON_BASE_BUF_H
#define PEN_COMMON_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

struct pen_buf {
    uint8_t *data; /* followed by a zero byte that size does not count; NULL while empty */
    size_t size;
    size_t capacity;
    bool failed;
};

void pen_buf_release(struct pen_buf *self);

/* Forget the bytes, keep the memory. */
void pen_buf_clear(struct pen_buf *self);

void pen_buf_append(struct pen_buf *self, const void *bytes, size_t size);
void pen_buf_puts(struct pen_buf *self, const char *text);
void pen_buf_putc(struct pen_buf *self, char byte);
void pen_buf_printf(struct pen_buf *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void pen_buf_vprintf(struct pen_buf *self, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Make room for `size` more bytes and return where to write them, NULL when out of memory.
 * pen_buf_added() then says how many were written. */
uint8_t *pen_buf_reserve(struct pen_buf *self, size_t size);
void pen_buf_added(struct pen_buf *self, size_t size);

/* Drop the first `size` bytes. */
void pen_buf_consume(struct pen_buf *self, size_t size);

/* The bytes as a C string, never NULL: "" while empty. Valid until the next change. */
const char *pen_buf_text(const struct pen_buf *self);

/* Hand the memory over as a C string (malloc); self is empty afterwards. NULL if it had failed. */
char *pen_buf_take_text(struct pen_buf *self);

/* 0, or PEN_ENOMEM when some append has failed. */
int pen_buf_ok(const struct pen_buf *self, struct pen_error *err);

#endif
