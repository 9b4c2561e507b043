/* common/base/heap.h - a queue of timers: the earliest first
 *
 * Entries are embedded in what they belong to and know their place, so that arming, moving and
 * disarming take O(log n) and no memory beyond the heap's own array. Entries of the same time come
 * in the order in which they were armed.
 */
#ifndef PEN_COMMON_BASE_HEAP_H
#define PEN_COMMON_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

/* Zeroed memory is an entry that is not armed. */
struct pen_heap_entry {
    int64_t at;
    uint64_t turn; /* order of arming */
    size_t place;  /* 1 + index in the heap; 0: not armed */
};

/* Zeroed memory is an empty heap. */
struct pen_heap {
    struct pen_heap_entry **entries;
    size_t count;
    size_t capacity;
    uint64_t turn;
};

/* Forget all entries (they stay with their owners, marked as not armed). */
void pen_heap_release(struct pen_heap *self);

/* Arm the entry, or move it if it is armed. Errors: PEN_ENOMEM. */
int pen_heap_arm(struct pen_heap *self, struct pen_heap_entry *entry, int64_t at,
                 struct pen_error *err);

/* Does nothing to an entry that is not armed. */
void pen_heap_disarm(struct pen_heap *self, struct pen_heap_entry *entry);

static inline bool pen_heap_armed(const struct pen_heap_entry *entry)
{
    return entry->place != 0;
}

/* The earliest entry, NULL when there is none. */
struct pen_heap_entry *pen_heap_first(const struct pen_heap *self);

#endif
