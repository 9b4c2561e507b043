/* common/base/map.h - an ordered map: keys are a number, then a text
 *
 *     struct pen_map by_name = {0};
 *     pen_map_put(&by_name, pen_key_text(row->name), entity);
 *     for (struct pen_map_node *n = pen_map_first(&by_name); n != NULL; n = pen_map_next(n))
 *         visit(pen_map_value(n));
 *
 * A balanced tree (treap) whose shape follows from the order of the calls alone, so that walking it
 * is the same in every run. Use the number for numeric keys, the text for names, both for "ordered
 * by load, then by id". Keys without text sort before those with one. Find, put and remove take
 * O(log n). The map owns neither the values nor the texts of its keys: a text has to outlive its
 * entry, which is easy when it is part of the value.
 */
#ifndef PEN_COMMON_BASE_MAP_H
#define PEN_COMMON_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

struct pen_map_node;

/* Zeroed memory is an empty map. */
struct pen_map {
    struct pen_map_node *root;
    size_t count;
    uint64_t priority; /* state of the generator that balances the tree */
};

struct pen_key {
    uint64_t number;
    const char *text; /* borrowed; may be NULL */
};

static inline struct pen_key pen_key_text(const char *text)
{
    return (struct pen_key){.number = 0, .text = text};
}

static inline struct pen_key pen_key_number(uint64_t number)
{
    return (struct pen_key){.number = number, .text = NULL};
}

/* -1, 0 or 1. */
int pen_key_compare(struct pen_key a, struct pen_key b);

/* Forget all entries. */
void pen_map_release(struct pen_map *self);

/* Add or replace. value must not be NULL. Errors: PEN_ENOMEM. */
int pen_map_put(struct pen_map *self, struct pen_key key, void *value, struct pen_error *err);

/* The value, NULL when the key is not there. */
void *pen_map_get(const struct pen_map *self, struct pen_key key);

/* Remove the entry and return its value, NULL when the key was not there. */
void *pen_map_remove(struct pen_map *self, struct pen_key key);

/* In order. NULL at the end. Removing the node at hand invalidates it: take its next first. */
struct pen_map_node *pen_map_first(const struct pen_map *self);
struct pen_map_node *pen_map_last(const struct pen_map *self);
struct pen_map_node *pen_map_next(const struct pen_map_node *node);
struct pen_map_node *pen_map_previous(const struct pen_map_node *node);

/* The first entry whose key is not below `key`. */
struct pen_map_node *pen_map_from(const struct pen_map *self, struct pen_key key);

void *pen_map_value(const struct pen_map_node *node);
struct pen_key pen_map_key(const struct pen_map_node *node);

/* Value of the first entry, NULL when there is none. */
void *pen_map_first_value(const struct pen_map *self);

#endif
