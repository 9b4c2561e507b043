/* tests/sim/fold.c - memory = rows = facts folded */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "tests/sim/sim.h"

struct comparison {
    struct sim *sim;
    const struct pen_map *store;
    size_t seen;
    const char *what;
};

static int compare_live(void *context, const struct pen_row *row)
{
    struct comparison *self = context;
    char *key = store_key(row);
    const struct stored *stored = pen_map_get(self->store, pen_key_text(key));
    if (stored == NULL || !stored->row.live || stored->row.deleted ||
        stored->row.body_size != row->body_size ||
        memcmp(stored->row.body, row->body, row->body_size) != 0)
        sim_fail(self->sim, "%s: row %s is %s", self->what, key,
                 stored == NULL ? "not in the store" : "another one in the store");
    free(key);
    self->seen++;
    return 0;
}

void core_check_memory(struct sim *sim, struct pen_engine *engine, const char *what)
{
    struct pen_error err;
    struct comparison comparison = {.sim = sim, .store = &sim->core.store, .what = what};
    if (pen_engine_rows(engine, compare_live, &comparison, &err) < 0)
        sim_fail(sim, "%s: %s", what, err.message);
    size_t live = 0;
    for (struct pen_map_node *node = pen_map_first(&sim->core.store); node != NULL;
         node = pen_map_next(node)) {
        const struct stored *stored = pen_map_value(node);
        live += stored->row.live && !stored->row.deleted ? 1 : 0;
    }
    if (live != comparison.seen)
        sim_fail(sim, "%s: %zu live rows in the store, %zu in memory", what, live, comparison.seen);
}

/* Its rows may be gone already: HistoryPurged has not been stated yet. */
static bool under_removal(struct sim *sim, const char *execution_id)
{
    for (struct pen_map_node *node = pen_map_from(&sim->core.store, pen_key_text("24"));
         node != NULL && execution_id != NULL; node = pen_map_next(node)) {
        const struct stored *stored = pen_map_value(node);
        if (stored->row.kind != PEN__ROW_KIND__ROW_REMOVAL)
            return false;
        Pen__RemovalRow *row =
            stored->row.deleted
                ? NULL
                : pen__removal_row__unpack(NULL, stored->row.body_size, stored->row.body);
        bool named = false;
        for (size_t i = 0; row != NULL && i < row->n_execution_ids; i++)
            named = named || pen_str_equal(row->execution_ids[i], execution_id);
        mem_free_message(row);
        if (named)
            return true;
    }
    return false;
}

/* What the fact means for who folds: all rows of these executions are gone. */
static void fold_purge(struct sim *sim, struct pen_map *folded, const Pen__Fact *fact)
{
    CHECK(fact->history_purged->removal <= sim->core.facts_count);
    const Pen__Fact *removed = sim->core.facts[fact->history_purged->removal - 1];
    for (struct pen_map_node *node = pen_map_first(folded); node != NULL;
         node = pen_map_next(node)) {
        struct stored *stored = pen_map_value(node);
        for (size_t i = 0; i < removed->history_removed->n_execution_ids; i++)
            if (stored_is_history_of(stored, removed->history_removed->execution_ids[i]))
                store_delete(stored);
    }
}

static void compare_stores(struct sim *sim, const struct pen_map *folded)
{
    for (struct pen_map_node *node = pen_map_first(&sim->core.store); node != NULL;
         node = pen_map_next(node)) {
        const struct stored *a = pen_map_value(node);
        const struct stored *b = pen_map_get(folded, pen_key_text(a->key));
        if (b != NULL && a->row.deleted && !b->row.deleted && under_removal(sim, a->row.execution))
            continue;
        if (b == NULL || a->row.live != b->row.live || a->row.deleted != b->row.deleted ||
            a->row.order != b->row.order || a->row.body_size != b->row.body_size ||
            (a->row.body_size > 0 && memcmp(a->row.body, b->row.body, a->row.body_size) != 0))
            sim_fail(sim, "REPLAY: row %s is not what the facts give", a->key);
    }
    if (folded->count != sim->core.store.count)
        sim_fail(sim, "REPLAY: the facts give %zu rows, the store has %zu", folded->count,
                 sim->core.store.count);
}

void core_check_fold(struct sim *sim)
{
    struct core *core = &sim->core;
    struct pen_error err;
    struct pen_engine *other = NULL;
    struct pen_map folded = {0};
    sim->counts[COUNT_FOLDS]++;
    auditor_check_log(sim);
    CHECK(pen_engine_create(&core->options, &other, &err) == 0);
    for (size_t i = 0; i < core->facts_count; i++) {
        struct pen_engine_out out = {0};
        if (pen_engine_fold(other, core->facts[i], &out, &err) < 0)
            sim_fail(sim, "REPLAY: %s", err.message);
        for (size_t k = 0; k < out.rows_count; k++)
            store_put(&folded, &out.rows[k]);
        pen_engine_out_release(&out);
        if (core->facts[i]->what_case == PEN__FACT__WHAT_HISTORY_PURGED)
            fold_purge(sim, &folded, core->facts[i]);
    }
    compare_stores(sim, &folded);
    core_check_memory(sim, other, "REPLAY");
    if (core->engine != NULL)
        core_check_memory(sim, core->engine, "MEMORY");
    store_release(&folded);
    pen_engine_destroy(&other);
}
