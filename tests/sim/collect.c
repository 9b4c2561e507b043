/* tests/sim/collect.c - retention in small: it offers history, and drops the logs that no row names
 *
 * What it offers is worse than what the real one does: executions of any age and state, read a
 * while before the engine takes them. What it drops follows the real rule: first history, then,
 * from the rows that are left, files.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "tests/sim/sim.h"

enum {
    MEAN_S = 240,          /* between two collections */
    BATCHES_MAX = 8,       /* of one collection */
    BATCH_MAX = 64,        /* executions */
    ANSWER_MS = 60 * 1000, /* a full disk swallows what is asked: then it gives up */
};

/* Chance of its own, so that stories without it stay as they were told. */
static uint64_t below(struct sim *sim, uint64_t bound)
{
    uint64_t *state = &sim->collect.random;
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*state >> 33) % bound;
}

static struct sim_event *at(struct sim *sim, int64_t in_ms, sim_fire_f fire)
{
    struct sim_event *event = sim_at(sim, in_ms, fire);
    event->stamp = sim->core.life;
    event->number = sim->collect.step;
    return event;
}

static bool is_over(struct sim *sim, const struct sim_event *event)
{
    return !sim->core.up || event->stamp != sim->core.life || event->number != sim->collect.step;
}

/* ---- history */

struct offer {
    const char *pipeline; /* of the first one that was taken */
    Pen__RemoveHistory *request;
    uint64_t skip;
};

/* How many the store shows that are newer. */
struct newer {
    const Pen__ExecutionRow *row;
    uint32_t count;
};

static void count_newer(struct sim *sim, void *message, void *context)
{
    (void)sim;
    const Pen__ExecutionRow *row = message;
    struct newer *newer = context;
    newer->count +=
        pen_str_equal(row->pipeline, newer->row->pipeline) && row->order > newer->row->order ? 1
                                                                                             : 0;
}

static void offer_one(struct sim *sim, void *message, void *context)
{
    const Pen__ExecutionRow *row = message;
    struct offer *offer = context;
    Pen__RemoveHistory *request = offer->request;
    if (offer->skip > 0 && offer->skip-- > 0)
        return;
    if (request->n_candidates == BATCH_MAX || below(sim, 10) == 0 ||
        (request->pipeline != NULL && !pen_str_equal(request->pipeline, row->pipeline)))
        return;
    if (request->pipeline == NULL)
        request->pipeline = mem_text(row->pipeline);
    struct newer newer = {.row = row};
    core_each(sim, PEN__ROW_KIND__ROW_EXECUTION, &pen__execution_row__descriptor, count_newer,
              &newer);
    Pen__RemovalCandidate *candidate = MAKE(Pen__RemovalCandidate, pen__removal_candidate__init);
    candidate->execution_id = mem_text(row->id);
    SET(candidate, order, row->order);
    SET(candidate, started_ms, row->started_ms);
    SET(candidate, updated_ms, row->updated_ms);
    SET(candidate, newer, newer.count);
    APPEND(request, candidates, candidate);
}

static void finish(struct sim *sim, const char *error);

static void fire_give_up(struct sim *sim, struct sim_event *event)
{
    if (!is_over(sim, event))
        finish(sim, "the controller does not answer");
}

static void fire_offer(struct sim *sim, struct sim_event *event)
{
    if (event->stamp != sim->core.life || !sim->core.up)
        mem_free_message(event->data);
    else
        core_post(sim, core_input(PEN__INPUT__WHAT_REMOVE_HISTORY, event->data));
    event->data = NULL;
}

static void count_rows(struct sim *sim, void *message, void *context)
{
    (void)sim;
    (void)message;
    (*(uint64_t *)context)++;
}

static void offer_some(struct sim *sim)
{
    uint64_t rows = 0;
    core_each(sim, PEN__ROW_KIND__ROW_EXECUTION, &pen__execution_row__descriptor, count_rows,
              &rows);
    struct offer offer = {
        .request = MAKE(Pen__RemoveHistory, pen__remove_history__init),
        .skip = rows == 0 ? 0 : below(sim, rows),
    };
    SET(offer.request, collection, sim->collect.number);
    SET(offer.request, batch, ++sim->collect.batch);
    core_each(sim, PEN__ROW_KIND__ROW_EXECUTION, &pen__execution_row__descriptor, offer_one,
              &offer);
    at(sim, (int64_t)below(sim, 2000), fire_offer)->data = offer.request;
    at(sim, ANSWER_MS, fire_give_up);
}

void collect_answer(struct sim *sim, const Pen__HistoryAnswer *answer)
{
    if (answer->collection != sim->collect.number)
        return;
    bool awaited = answer->purged ? answer->removal == sim->collect.removal
                                  : answer->batch == sim->collect.batch;
    if (!awaited)
        return;
    sim->collect.removal = answer->purged ? 0 : answer->removal;
    sim->counts[COUNT_REMOVED] += answer->removal == 0 ? 0 : answer->n_execution_ids;
    if (sim->collect.removal != 0)
        return; /* until it is purged */
    sim->collect.step++;
    if (sim->collect.batch < BATCHES_MAX)
        offer_some(sim);
    else
        finish(sim, NULL);
}

/* ---- files */

/* No row, and not of a fence that is still to come. */
static void drop_logs(struct sim *sim)
{
    Pen__SettingRow *setting =
        core_row(sim, PEN__ROW_KIND__ROW_SETTING, "main", &pen__setting_row__descriptor);
    CHECK(setting != NULL);
    for (struct pen_map_node *node = pen_map_first(&sim->core.logs); node != NULL;) {
        uint64_t fence = pen_map_key(node).number;
        uint64_t *size = pen_map_value(node);
        node = pen_map_next(node);
        char key[24];
        (void)snprintf(key, sizeof key, "%020" PRIu64, fence);
        void *row = core_row(sim, PEN__ROW_KIND__ROW_ATTEMPT, key, &pen__attempt_row__descriptor);
        if (row == NULL && fence <= setting->last_fence) {
            pen_map_remove(&sim->core.logs, pen_key_number(fence));
            free(size);
            sim->counts[COUNT_LOGS_DROPPED]++;
        }
        mem_free_message(row);
    }
    mem_free_message(setting);
}

static void finish(struct sim *sim, const char *error)
{
    sim->collect.step++;
    Pen__CollectionDone *done = MAKE(Pen__CollectionDone, pen__collection_done__init);
    SET(done, collection, sim->collect.number);
    done->report = MAKE(Pen__CollectionReport, pen__collection_report__init);
    done->report->error = mem_text(error);
    if (!sim->collect.dry_run && error == NULL)
        drop_logs(sim);
    core_post(sim, core_input(PEN__INPUT__WHAT_COLLECTION_DONE, done));
}

/* ---- collections */

static void fire_begin(struct sim *sim, struct sim_event *event)
{
    if (!is_over(sim, event))
        offer_some(sim);
}

void collect_run(struct sim *sim, const Pen__CollectionRun *order)
{
    sim->collect.step++;
    sim->collect.number = order->number;
    sim->collect.dry_run = order->dry_run;
    sim->collect.batch = sim->collect.removal = 0;
    at(sim, 1 + (int64_t)below(sim, 3000), fire_begin);
}

void collect_ask(struct sim *sim, bool dry_run)
{
    Pen__StartCollection *request = MAKE(Pen__StartCollection, pen__start_collection__init);
    SET(request, dry_run, dry_run);
    core_post(sim, core_input(PEN__INPUT__WHAT_START_COLLECTION, request));
}

static void fire_ask(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (sim->quiet)
        return;
    collect_ask(sim, below(sim, 5) == 0);
    sim_at(sim, 1 + (int64_t)below(sim, 2 * MEAN_S * 1000), fire_ask);
}

void collect_begin(struct sim *sim)
{
    sim->collect.random = sim->options.seed * 2 + 1;
    sim_at(sim, 1 + (int64_t)below(sim, 2 * MEAN_S * 1000), fire_ask);
}

/* ---- the purge, as controller/app/purge.c does it */

void collect_purge(struct sim *sim, const Pen__HistoryPurge *order)
{
    struct core *core = &sim->core;
    for (size_t i = 0; i < core->purges_count; i++)
        if (core->purges[i]->removal == order->removal)
            return;
    core->purges = mem_grow(core->purges, core->purges_count);
    core->purges[core->purges_count++] = mem_copy(order);
}

void collect_forget(struct core *core)
{
    for (size_t i = 0; i < core->purges_count; i++)
        mem_free_message(core->purges[i]);
    free(core->purges);
    core->purges = NULL;
    core->purges_count = core->purge_place = 0;
}

/* A few rows, in a commit of their own. */
Pen__Input *collect_slice(struct sim *sim)
{
    struct core *core = &sim->core;
    if (core->purges_count == 0)
        return NULL;
    Pen__HistoryPurge *order = core->purges[0];
    if (core->purge_place < order->n_execution_ids &&
        core_purge(sim, order->execution_ids[core->purge_place], 1 + below(sim, 8)))
        return NULL; /* there is more */
    if (++core->purge_place < order->n_execution_ids)
        return NULL;
    Pen__HistoryGone *gone = MAKE(Pen__HistoryGone, pen__history_gone__init);
    SET(gone, removal, order->removal);
    mem_free_message(order);
    core->purge_place = 0;
    core->purges_count--;
    for (size_t i = 0; i < core->purges_count; i++)
        core->purges[i] = core->purges[i + 1];
    return core_input(PEN__INPUT__WHAT_HISTORY_GONE, gone);
}
