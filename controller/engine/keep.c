/* controller/engine/keep.c - what history has to keep, whatever its age
 *
 * Of the executions that a collection offers, those that are needed are taken out. Each reason is
 * one function here; another (a pin, say) is one more.
 */
#include "common/base/str.h"
#include "controller/engine/collect.h"
#include "controller/engine/planted.h"

static void keep(struct pen_map *offered, const char *id)
{
    if (id != NULL)
        pen_map_remove(offered, pen_key_text(id));
}

/* What runs, what can be retried, and what is being rolled back to. */
static void keep_remembered(const struct pen_engine *engine, struct pen_map *offered)
{
    for (struct pen_map_node *node = pen_map_first(&engine->executions); node != NULL;
         node = pen_map_next(node)) {
        const struct execution *execution = pen_map_value(node);
        keep(offered, execution->row->id);
        keep(offered, execution->row->rollback_target_id);
    }
}

/* What has ended since the collection began: what is offered may be older than that. */
static void keep_left(const struct pen_engine *engine, struct pen_map *offered)
{
    for (struct pen_map_node *node = pen_map_first(&engine->left_memory); node != NULL;
         node = pen_map_next(node))
        keep(offered, pen_map_value(node));
}

/* A once attempt may live on when its execution was abandoned. */
static void keep_attempted(const struct pen_engine *engine, struct pen_map *offered)
{
    for (struct pen_map_node *node = pen_map_first(&engine->attempts); node != NULL;
         node = pen_map_next(node))
        keep(offered, ((const struct attempt *)pen_map_value(node))->row->execution_id);
}

/* A start that is repeated with its token is answered with its execution. */
static void keep_requested(const struct pen_engine *engine, struct pen_map *offered)
{
    for (struct pen_map_node *node = pen_map_first(&engine->requests); node != NULL;
         node = pen_map_next(node))
        keep(offered, ((const struct request_token *)pen_map_value(node))->row->execution_id);
}

static void keep_removed(const struct pen_engine *engine, struct pen_map *offered)
{
    for (struct pen_map_node *node = pen_map_first(&engine->removals); node != NULL;
         node = pen_map_next(node)) {
        const struct removal *removal = pen_map_value(node);
        for (size_t i = 0; i < removal->row->n_execution_ids; i++)
            keep(offered, removal->row->execution_ids[i]);
    }
}

static void keep_stage(const Pen__StageStateRow *row, struct pen_map *offered)
{
    keep(offered, row->holder);
    keep(offered, row->latest_execution_id);
    for (size_t i = 0; i < row->n_waiting; i++)
        keep(offered, row->waiting[i]);
    if (PLANTED(WAY_BACK_FORGOTTEN))
        return;
    keep(offered, row->last_succeeded_execution_id);
    if (row->rollback_target != NULL)
        keep(offered, row->rollback_target->execution_id);
    for (size_t i = 0; i < row->n_ways_back; i++)
        keep(offered, row->ways_back[i]);
}

/* What the pipeline's rows name. */
static void keep_named(const struct pipeline *pipeline, struct pen_map *offered)
{
    for (struct pen_map_node *node = pen_map_first(&pipeline->stages); node != NULL;
         node = pen_map_next(node))
        keep_stage(((const struct stage_state *)pen_map_value(node))->row, offered);
    for (size_t i = 0; i < pipeline->row->n_seen; i++)
        keep(offered, pipeline->row->seen[i]->execution_id);
}

/* Whether age and count let it go. For one pipeline other numbers would be looked up here. */
static bool is_due(const struct pen_engine *engine, const struct pipeline *pipeline,
                   const Pen__RemovalCandidate *candidate)
{
    Pen__ExecutionRow row = PEN__EXECUTION_ROW__INIT;
    row.order = candidate->order;
    row.started_ms = candidate->started_ms;
    if (pipeline == NULL || execution_of_former(pipeline, &row))
        return true;
    return candidate->newer >= engine->options.history_count &&
           candidate->updated_ms <= engine->now_ms - engine->options.history_age_ms;
}

void keep_needed(const struct pen_engine *engine, const struct pipeline *pipeline,
                 struct pen_map *offered)
{
    for (struct pen_map_node *node = pen_map_first(offered); node != NULL;) {
        const Pen__RemovalCandidate *candidate = pen_map_value(node);
        node = pen_map_next(node);
        if (!is_due(engine, pipeline, candidate))
            keep(offered, candidate->execution_id);
    }
    keep_remembered(engine, offered);
    keep_left(engine, offered);
    keep_attempted(engine, offered);
    keep_requested(engine, offered);
    keep_removed(engine, offered);
    if (pipeline != NULL)
        keep_named(pipeline, offered);
}
