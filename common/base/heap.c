#include "common/base/heap.h"

#include <stdlib.h>

#include "common/base/check.h"

static bool before(const struct pen_heap_entry *a, const struct pen_heap_entry *b)
{
    return a->at != b->at ? a->at < b->at : a->turn < b->turn;
}

static void place(struct pen_heap *self, size_t index, struct pen_heap_entry *entry)
{
    self->entries[index] = entry;
    entry->place = index + 1;
}

static void sift_up(struct pen_heap *self, size_t index)
{
    struct pen_heap_entry *entry = self->entries[index];
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (!before(entry, self->entries[parent]))
            break;
        place(self, index, self->entries[parent]);
        index = parent;
    }
    place(self, index, entry);
}

static void sift_down(struct pen_heap *self, size_t index)
{
    struct pen_heap_entry *entry = self->entries[index];
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= self->count)
            break;
        if (child + 1 < self->count && before(self->entries[child + 1], self->entries[child]))
            child++;
        if (!before(self->entries[child], entry))
            break;
        place(self, index, self->entries[child]);
        index = child;
    }
    place(self, index, entry);
}

void pen_heap_release(struct pen_heap *self)
{
    for (size_t i = 0; i < self->count; i++)
        self->entries[i]->place = 0;
    free(self->entries);
    *self = (struct pen_heap){0};
}

int pen_heap_arm(struct pen_heap *self, struct pen_heap_entry *entry, int64_t at,
                 struct pen_error *err)
{
    pen_heap_disarm(self, entry);
    if (self->count == self->capacity) {
        size_t capacity = self->capacity == 0 ? 64 : self->capacity * 2;
        struct pen_heap_entry **entries =
            realloc(self->entries, capacity * sizeof(struct pen_heap_entry *));
        if (entries == NULL)
            return pen_fail(err, PEN_ENOMEM, "no memory for a timer");
        self->entries = entries;
        self->capacity = capacity;
    }
    entry->at = at;
    entry->turn = ++self->turn;
    self->count++;
    place(self, self->count - 1, entry);
    sift_up(self, self->count - 1);
    return 0;
}

void pen_heap_disarm(struct pen_heap *self, struct pen_heap_entry *entry)
{
    if (entry->place == 0)
        return;
    size_t index = entry->place - 1;
    CHECK(index < self->count && self->entries[index] == entry);
    entry->place = 0;
    self->count--;
    if (index == self->count)
        return;
    place(self, index, self->entries[self->count]);
    sift_up(self, index);
    sift_down(self, self->entries[index]->place - 1);
}

struct pen_heap_entry *pen_heap_first(const struct pen_heap *self)
{
    return self->count > 0 ? self->entries[0] : NULL;
}
