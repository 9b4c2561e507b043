/* tests/sim/auditor_history.c - what leaves history, and that all of it does
 *
 * HISTORY: never what runs, nor what a rollback could take, nor the newest of a pipeline, nor what
 * is young, unless the pipeline is deleted; nothing is told of it afterwards; at the end no row and
 * no log of it is left, and no row without its log.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/base/str.h"
#include "tests/sim/auditor.h"

/* ---- ways back */

static void drop_way(struct seen_pipeline *pipeline, int index, int place)
{
    for (int i = place; i < SEEN_WAYS - 1; i++)
        pipeline->ways[index][i] = pipeline->ways[index][i + 1];
    pipeline->ways[index][SEEN_WAYS - 1] = NULL;
}

void auditor_way_back(struct seen_pipeline *pipeline, const struct seen_execution *execution,
                      int index)
{
    const struct seen_execution *way = execution->target != NULL ? execution->target : execution;
    if (execution->version != pipeline->version)
        return;
    for (int i = 0; i < SEEN_WAYS; i++)
        if (pipeline->ways[index][i] == way)
            drop_way(pipeline, index, i);
    for (int i = SEEN_WAYS - 1; i > 0; i--)
        pipeline->ways[index][i] = pipeline->ways[index][i - 1];
    pipeline->ways[index][0] = way;
}

/* ---- removals */

static void fail(struct sim *sim, const struct seen_execution *execution, const char *why)
{
    sim_fail(sim, "HISTORY: execution %s of %s is removed, %s", execution->id, execution->pipeline,
             why);
}

static void check_unused(struct sim *sim, const struct seen_execution *execution)
{
    if (!execution->ended)
        fail(sim, execution, "and it has not ended");
    for (struct pen_map_node *node = pen_map_first(&sim->auditor->attempts); node != NULL;
         node = pen_map_next(node)) {
        const struct seen_attempt *attempt = pen_map_value(node);
        if (!auditor_terminal(attempt->state) &&
            pen_str_equal(auditor_action(sim, attempt->action_id)->execution_id, execution->id))
            fail(sim, execution, "and an attempt of it has not ended");
    }
    for (struct pen_map_node *node = pen_map_first(&sim->auditor->executions); node != NULL;
         node = pen_map_next(node)) {
        const struct seen_execution *other = pen_map_value(node);
        if (!other->ended && other->target == execution)
            fail(sim, execution, "and a rollback to it is under way");
    }
}

static void check_due(struct sim *sim, const struct seen_execution *execution,
                      const struct seen_pipeline *pipeline, const Pen__Fact *fact)
{
    uint32_t newer = 0;
    for (struct pen_map_node *node = pen_map_first(&sim->auditor->executions); node != NULL;
         node = pen_map_next(node)) {
        const struct seen_execution *other = pen_map_value(node);
        newer += pen_str_equal(other->pipeline, execution->pipeline) && !other->removed &&
                         other->order > execution->order
                     ? 1
                     : 0;
    }
    if (newer < sim->core.options.history_count)
        fail(sim, execution, "and it is one of the newest");
    if (fact->at_ms - execution->ended_ms < sim->core.options.history_age_ms)
        fail(sim, execution, "and it is young");
    for (int i = 0; i < SEEN_STAGES; i++)
        for (int k = 0; k < SEEN_WAYS; k++)
            if (pipeline->ways[i][k] == execution)
                fail(sim, execution, "and a rollback could take it");
}

void on_history_removed(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__HistoryRemoved *body = fact->history_removed;
    const struct seen_pipeline *pipeline =
        pen_map_get(&sim->auditor->pipelines, pen_key_text(fact->pipeline));
    for (size_t i = 0; i < body->n_execution_ids; i++) {
        struct seen_execution *execution = auditor_execution(sim, body->execution_ids[i]);
        if (execution->removed || !pen_str_equal(execution->pipeline, fact->pipeline))
            fail(sim, execution, "again, or with another pipeline");
        check_unused(sim, execution);
        if (pipeline != NULL && execution->started_seq > pipeline->created_seq)
            check_due(sim, execution, pipeline, fact);
        sim_trace(sim, "%s: execution %s leaves history", fact->pipeline, execution->id);
    }
    for (size_t i = 0; i < body->n_execution_ids; i++)
        auditor_execution(sim, body->execution_ids[i])->removed = true;
}

void auditor_check_told(struct sim *sim, const Pen__Fact *fact)
{
    const struct seen_execution *execution =
        fact->execution_id == NULL
            ? NULL
            : pen_map_get(&sim->auditor->executions, pen_key_text(fact->execution_id));
    if (execution != NULL && execution->removed)
        sim_fail(sim, "HISTORY: fact %" PRIu64 " is about execution %s, which was removed",
                 fact->seq, execution->id);
}

/* ---- what is left */

bool auditor_in_store(const struct sim *sim, const struct seen_execution *execution)
{
    char *key = mem_format("05 %s", execution->id);
    const struct stored *stored = pen_map_get(&sim->core.store, pen_key_text(key));
    free(key);
    return stored != NULL && !stored->row.deleted;
}

static void check_rows(struct sim *sim)
{
    for (struct pen_map_node *node = pen_map_first(&sim->core.store); node != NULL;
         node = pen_map_next(node)) {
        const struct stored *stored = pen_map_value(node);
        if (stored->row.deleted)
            continue;
        if (stored->row.kind == PEN__ROW_KIND__ROW_REMOVAL)
            sim_fail(sim, "HISTORY: removal %s is not finished", stored->row.key);
        const struct seen_execution *execution =
            stored->row.execution == NULL
                ? NULL
                : pen_map_get(&sim->auditor->executions, pen_key_text(stored->row.execution));
        if (execution != NULL && execution->removed)
            sim_fail(sim, "HISTORY: row %s of execution %s, which was removed, is left",
                     stored->key, execution->id);
    }
}

static void check_log(struct sim *sim, void *message, void *context)
{
    const Pen__AttemptRow *row = message;
    const uint64_t *size = pen_map_get(&sim->core.logs, pen_key_number(row->fence));
    if (row->log_stored > 0 && (size == NULL || *size < row->log_stored))
        sim_fail(sim, "HISTORY: the log of fence %" PRIu64 " is gone, and its row is not",
                 row->fence);
    *(size_t *)context += size != NULL ? 1 : 0;
}

void auditor_check_history(struct sim *sim)
{
    size_t logs = 0;
    check_rows(sim);
    core_each(sim, PEN__ROW_KIND__ROW_ATTEMPT, &pen__attempt_row__descriptor, check_log, &logs);
    if (logs != sim->core.logs.count)
        sim_fail(sim, "HISTORY: %zu logs are left, and %zu have a row",
                 (size_t)sim->core.logs.count, logs);
}
