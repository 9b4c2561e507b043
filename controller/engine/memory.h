/* controller/engine/memory.h - memory and message helpers that cannot fail
 *
 * The engine holds nothing that the store does not hold. When memory runs out in the middle of a
 * step, the one right answer is to end the process and load the state again, so these functions
 * end it; everything above them stays free of half-done states.
 */
#ifndef PEN_CONTROLLER_ENGINE_MEMORY_H
#define PEN_CONTROLLER_ENGINE_MEMORY_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/heap.h"
#include "common/base/map.h"

/* size is above 0. mem_take leaves the bytes as they are. */
void *mem_take(size_t size);
void *mem_zero(size_t size);

/* A copy; NULL gives NULL. */
char *mem_text(const char *text);
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Replace *destination by a copy of text. */
void mem_set_text(char **destination, const char *text);

/* A deep copy of any message; NULL gives NULL. */
void *mem_copy(const void *message);

/* Free any message; NULL is fine. */
void mem_free_message(void *message);

/* The array with room for one pointer more. */
void *mem_grow(void *array, size_t count);

/* bytes of a protobuf field, copied. */
ProtobufCBinaryData mem_bytes(ProtobufCBinaryData bytes);

bool mem_bytes_equal(ProtobufCBinaryData a, ProtobufCBinaryData b);

void mem_put(struct pen_map *map, struct pen_key key, void *value);
void mem_arm(struct pen_heap *heap, struct pen_heap_entry *entry, int64_t at);

/* A new message, initialised. */
#define MAKE(type, init)                                                                           \
    ({                                                                                             \
        type *made_ = mem_zero(sizeof(type));                                                      \
        init(made_);                                                                               \
        made_;                                                                                     \
    })

/* Set an optional number of a message. */
#define SET(message, field, value)                                                                 \
    do {                                                                                           \
        (message)->has_##field = 1;                                                                \
        (message)->field = (value);                                                                \
    } while (0)

/* Append to a repeated field of pointers. */
#define APPEND(message, field, item)                                                               \
    do {                                                                                           \
        (message)->field = mem_grow((message)->field, (message)->n_##field);                       \
        (message)->field[(message)->n_##field++] = (item);                                         \
    } while (0)

#endif
