#include "controller/engine/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"

enum { FORMATTED_MOST = 256 }; /* bytes of nearly every formatted text: keys, summaries */

static void *must(void *memory)
{
    if (memory == NULL)
        UNREACHABLE("out of memory; the store has the truth, a restart loads it");
    return memory;
}

/* Not inlined: together with memset, the compiler would make a calloc of it. */
__attribute__((noinline)) void *mem_take(size_t size)
{
    return must(malloc(size));
}

/* The C library serves calloc from its slow path only, past the cache of the thread. */
void *mem_zero(size_t size)
{
    return memset(mem_take(size), 0, size);
}

char *mem_text(const char *text)
{
    if (text == NULL)
        return NULL;
    size_t size = strlen(text) + 1;
    return memcpy(mem_take(size), text, size);
}

char *mem_format(const char *format, ...)
{
    char brief[FORMATTED_MOST];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(brief, sizeof brief, format, args);
    va_end(args);
    CHECK(length >= 0);
    size_t size = (size_t)length + 1;
    char *text = mem_take(size);
    if (size <= sizeof brief)
        return memcpy(text, brief, size);
    va_start(args, format);
    (void)vsnprintf(text, size, format, args);
    va_end(args);
    return text;
}

void mem_set_text(char **destination, const char *text)
{
    char *copy = mem_text(text);
    free(*destination);
    *destination = copy;
}

void *mem_grow(void *array, size_t count)
{
    return must(realloc(array, (count + 1) * sizeof(void *)));
}

ProtobufCBinaryData mem_bytes(ProtobufCBinaryData bytes)
{
    ProtobufCBinaryData copy = {.len = bytes.len, .data = NULL};
    if (bytes.len > 0)
        copy.data = memcpy(must(malloc(bytes.len)), bytes.data, bytes.len);
    return copy;
}

bool mem_bytes_equal(ProtobufCBinaryData a, ProtobufCBinaryData b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

void mem_put(struct pen_map *map, struct pen_key key, void *value)
{
    if (pen_map_put(map, key, value, NULL) < 0)
        must(NULL);
}

void mem_arm(struct pen_heap *heap, struct pen_heap_entry *entry, int64_t at)
{
    if (pen_heap_arm(heap, entry, at, NULL) < 0)
        must(NULL);
}
