#include "common/base/map.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"

/* Ordered by key from left to right, by priority from the root down. */
struct pen_map_node {
    struct pen_key key;
    void *value;
    struct pen_map_node *left;
    struct pen_map_node *right;
    struct pen_map_node *parent;
    uint64_t priority;
};

int pen_key_compare(struct pen_key a, struct pen_key b)
{
    if (a.number != b.number)
        return a.number < b.number ? -1 : 1;
    if (a.text == b.text)
        return 0;
    if (a.text == NULL || b.text == NULL)
        return a.text == NULL ? -1 : 1;
    int order = strcmp(a.text, b.text);
    return (order > 0) - (order < 0);
}

/* splitmix64: spreads well, and needs no secrecy: keys are made by us, not by an adversary. */
static uint64_t next_priority(struct pen_map *self)
{
    self->priority += 0x9e3779b97f4a7c15u;
    uint64_t mixed = self->priority;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

/* Where the tree points at `node`. */
static struct pen_map_node **link_of(struct pen_map *self, struct pen_map_node *node)
{
    if (node->parent == NULL)
        return &self->root;
    return node->parent->left == node ? &node->parent->left : &node->parent->right;
}

/* Lift `node` above its parent, keeping the order of the keys. */
static void rotate_up(struct pen_map *self, struct pen_map_node *node)
{
    struct pen_map_node *parent = node->parent;
    *link_of(self, parent) = node;
    node->parent = parent->parent;
    struct pen_map_node *moved;
    if (parent->left == node) {
        moved = node->right;
        parent->left = moved;
        node->right = parent;
    } else {
        moved = node->left;
        parent->right = moved;
        node->left = parent;
    }
    if (moved != NULL)
        moved->parent = parent;
    parent->parent = node;
}

void pen_map_release(struct pen_map *self)
{
    struct pen_map_node *node = self->root;
    while (node != NULL) {
        struct pen_map_node *child = node->left != NULL ? node->left : node->right;
        if (child != NULL) {
            node = child;
            continue;
        }
        struct pen_map_node *parent = node->parent;
        if (parent != NULL)
            *(parent->left == node ? &parent->left : &parent->right) = NULL;
        free(node);
        node = parent;
    }
    *self = (struct pen_map){0};
}

static struct pen_map_node *find(const struct pen_map *self, struct pen_key key)
{
    struct pen_map_node *node = self->root;
    while (node != NULL) {
        int order = pen_key_compare(key, node->key);
        if (order == 0)
            break;
        node = order < 0 ? node->left : node->right;
    }
    return node;
}

int pen_map_put(struct pen_map *self, struct pen_key key, void *value, struct pen_error *err)
{
    CHECK(value != NULL);
    struct pen_map_node **link = &self->root;
    struct pen_map_node *parent = NULL;
    while (*link != NULL) {
        int order = pen_key_compare(key, (*link)->key);
        if (order == 0) {
            (*link)->key = key; /* the old text may go with the old value */
            (*link)->value = value;
            return 0;
        }
        parent = *link;
        link = order < 0 ? &parent->left : &parent->right;
    }
    struct pen_map_node *node = malloc(sizeof *node);
    if (node == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a map entry");
    *node = (struct pen_map_node){
        .key = key, .value = value, .parent = parent, .priority = next_priority(self)};
    *link = node;
    while (node->parent != NULL && node->parent->priority < node->priority)
        rotate_up(self, node);
    self->count++;
    return 0;
}

void *pen_map_get(const struct pen_map *self, struct pen_key key)
{
    struct pen_map_node *node = find(self, key);
    return node != NULL ? node->value : NULL;
}

void *pen_map_remove(struct pen_map *self, struct pen_key key)
{
    struct pen_map_node *node = find(self, key);
    if (node == NULL)
        return NULL;
    while (node->left != NULL || node->right != NULL) {
        struct pen_map_node *up = node->left;
        if (up == NULL || (node->right != NULL && node->right->priority > up->priority))
            up = node->right;
        rotate_up(self, up);
    }
    *link_of(self, node) = NULL;
    void *value = node->value;
    free(node);
    self->count--;
    return value;
}

struct pen_map_node *pen_map_first(const struct pen_map *self)
{
    struct pen_map_node *node = self->root;
    while (node != NULL && node->left != NULL)
        node = node->left;
    return node;
}

struct pen_map_node *pen_map_last(const struct pen_map *self)
{
    struct pen_map_node *node = self->root;
    while (node != NULL && node->right != NULL)
        node = node->right;
    return node;
}

struct pen_map_node *pen_map_next(const struct pen_map_node *node)
{
    if (node->right != NULL) {
        struct pen_map_node *next = node->right;
        while (next->left != NULL)
            next = next->left;
        return next;
    }
    while (node->parent != NULL && node->parent->right == node)
        node = node->parent;
    return node->parent;
}

struct pen_map_node *pen_map_previous(const struct pen_map_node *node)
{
    if (node->left != NULL) {
        struct pen_map_node *previous = node->left;
        while (previous->right != NULL)
            previous = previous->right;
        return previous;
    }
    while (node->parent != NULL && node->parent->left == node)
        node = node->parent;
    return node->parent;
}

struct pen_map_node *pen_map_from(const struct pen_map *self, struct pen_key key)
{
    struct pen_map_node *node = self->root;
    struct pen_map_node *found = NULL;
    while (node != NULL) {
        if (pen_key_compare(node->key, key) < 0) {
            node = node->right;
        } else {
            found = node;
            node = node->left;
        }
    }
    return found;
}

void *pen_map_value(const struct pen_map_node *node)
{
    return node->value;
}

struct pen_key pen_map_key(const struct pen_map_node *node)
{
    return node->key;
}

void *pen_map_first_value(const struct pen_map *self)
{
    struct pen_map_node *node = pen_map_first(self);
    return node != NULL ? node->value : NULL;
}
