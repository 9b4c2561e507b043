#include "controller/app/purge.h"

#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/wire/wire.h"

/* One removal. */
struct item {
    struct item *next;
    Pen__HistoryPurge *order;
    size_t place; /* in order->execution_ids: the one that is being purged */
    uint64_t rows;
    uint64_t facts;
};

struct pen_purge {
    struct item *first;
    struct item **end;
};

int pen_purge_create(struct pen_purge **ret_purge, struct pen_error *err)
{
    struct pen_purge *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to purge history");
    self->end = &self->first;
    *ret_purge = self;
    return 0;
}

static void drop_first(struct pen_purge *self)
{
    struct item *first = self->first;
    self->first = first->next;
    if (self->first == NULL)
        self->end = &self->first;
    pen_message_destroy(&first->order);
    free(first);
}

void pen_purge_destroy(struct pen_purge **self_p)
{
    struct pen_purge *self = TAKE_PTR(*self_p);
    if (self == NULL)
        return;
    while (self->first != NULL)
        drop_first(self);
    free(self);
}

static bool is_waiting(const struct pen_purge *self, uint64_t removal)
{
    for (const struct item *at = self->first; at != NULL; at = at->next)
        if (at->order->removal == removal)
            return true;
    return false;
}

static int add(struct pen_purge *self, Pen__HistoryPurge **order, struct pen_error *err)
{
    if (is_waiting(self, (*order)->removal))
        return 0;
    struct item *item = calloc(1, sizeof *item);
    if (item == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to purge history");
    item->order = TAKE_PTR(*order);
    *self->end = item;
    self->end = &item->next;
    return 0;
}

int pen_purge_take(struct pen_purge *self, struct pen_engine_out *out, struct pen_error *err)
{
    for (size_t i = 0; i < out->effects_count; i++) {
        if (out->effects[i] == NULL ||
            out->effects[i]->what_case != PEN__EFFECT__WHAT_HISTORY_PURGE)
            continue;
        int rc = add(self, &out->effects[i]->history_purge, err);
        if (rc < 0)
            return rc;
        pen_message_destroy(&out->effects[i]);
    }
    return 0;
}

bool pen_purge_due(const struct pen_purge *self)
{
    return self->first != NULL;
}

static Pen__Input *make_gone(const struct item *item)
{
    Pen__HistoryGone gone = PEN__HISTORY_GONE__INIT;
    gone.has_removal = gone.has_rows = gone.has_facts = true;
    gone.removal = item->order->removal;
    gone.rows = item->rows;
    gone.facts = item->facts;
    Pen__Input input = PEN__INPUT__INIT;
    input.what_case = PEN__INPUT__WHAT_HISTORY_GONE;
    input.history_gone = &gone;
    ProtobufCMessage *copy = NULL;
    return pen_wire_copy(&input, &copy, NULL) < 0 ? NULL : (Pen__Input *)copy;
}

int pen_purge_slice(struct pen_purge *self, struct pen_store *store, Pen__Input **ret_gone,
                    struct pen_error *err)
{
    struct item *item = self->first;
    *ret_gone = NULL;
    if (item->place < item->order->n_execution_ids) {
        bool left = false;
        int rc = pen_store_purge(store, item->order->execution_ids[item->place],
                                 PEN_LIMIT_PURGE_ROWS, &item->rows, &item->facts, &left, err);
        if (rc < 0)
            return rc;
        item->place += left ? 0 : 1;
    }
    if (item->place < item->order->n_execution_ids)
        return 0;
    *ret_gone = make_gone(item);
    if (*ret_gone == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to tell of purged history");
    drop_first(self);
    return 0;
}
