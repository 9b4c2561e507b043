#include "common/base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"

enum { CAPACITY_FIRST = 64 };

void pen_buf_release(struct pen_buf *self)
{
    free(self->data);
    *self = (struct pen_buf){0};
}

void pen_buf_clear(struct pen_buf *self)
{
    self->size = 0;
    if (self->data != NULL)
        self->data[0] = 0;
}

uint8_t *pen_buf_reserve(struct pen_buf *self, size_t size)
{
    if (self->failed)
        return NULL;
    if (size >= SIZE_MAX / 2 || self->size >= SIZE_MAX / 2 - size) {
        self->failed = true;
        return NULL;
    }
    size_t needed = self->size + size + 1;
    if (needed > self->capacity) {
        size_t capacity = self->capacity < CAPACITY_FIRST ? CAPACITY_FIRST : self->capacity * 2;
        if (capacity < needed)
            capacity = needed;
        uint8_t *data = realloc(self->data, capacity);
        if (data == NULL) {
            self->failed = true;
            return NULL;
        }
        self->data = data;
        self->capacity = capacity;
        data[self->size] = 0;
    }
    return self->data + self->size;
}

void pen_buf_added(struct pen_buf *self, size_t size)
{
    if (self->failed)
        return;
    CHECK(size < self->capacity - self->size);
    self->size += size;
    self->data[self->size] = 0;
}

void pen_buf_append(struct pen_buf *self, const void *bytes, size_t size)
{
    if (size == 0)
        return;
    uint8_t *room = pen_buf_reserve(self, size);
    if (room == NULL)
        return;
    memcpy(room, bytes, size);
    pen_buf_added(self, size);
}

void pen_buf_puts(struct pen_buf *self, const char *text)
{
    pen_buf_append(self, text, strlen(text));
}

void pen_buf_putc(struct pen_buf *self, char byte)
{
    pen_buf_append(self, &byte, 1);
}

void pen_buf_vprintf(struct pen_buf *self, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    if (length < 0) {
        self->failed = true;
    } else {
        uint8_t *room = pen_buf_reserve(self, (size_t)length);
        if (room != NULL) {
            (void)vsnprintf((char *)room, (size_t)length + 1, format, again);
            pen_buf_added(self, (size_t)length);
        }
    }
    va_end(again);
}

void pen_buf_printf(struct pen_buf *self, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pen_buf_vprintf(self, format, args);
    va_end(args);
}

void pen_buf_consume(struct pen_buf *self, size_t size)
{
    CHECK(size <= self->size);
    if (size == 0)
        return;
    self->size -= size;
    memmove(self->data, self->data + size, self->size);
    self->data[self->size] = 0;
}

const char *pen_buf_text(const struct pen_buf *self)
{
    return self->data == NULL ? "" : (const char *)self->data;
}

char *pen_buf_take_text(struct pen_buf *self)
{
    if (pen_buf_reserve(self, 0) == NULL) {
        pen_buf_release(self);
        return NULL;
    }
    char *text = (char *)self->data;
    *self = (struct pen_buf){0};
    return text;
}

int pen_buf_ok(const struct pen_buf *self, struct pen_error *err)
{
    if (self->failed)
        return pen_fail(err, PEN_ENOMEM, "out of memory");
    return 0;
}
