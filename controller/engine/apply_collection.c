#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/apply.h"

int apply_collection_started(struct pen_engine *engine, const Pen__Fact *fact,
                             struct pen_error *err)
{
    (void)err;
    const Pen__CollectionStarted *body = fact->collection_started;
    if (engine->collection == NULL)
        (void)entity_add(engine, PEN__ROW_KIND__ROW_COLLECTION,
                         MAKE(Pen__CollectionRow, pen__collection_row__init));
    Pen__CollectionRow *row = engine->collection->row;
    SET(row, number, body->number);
    SET(row, dry_run, body->dry_run);
    SET(row, started_ms, fact->at_ms);
    mem_set_text(&row->started_by, fact->by);
    row->has_ended_ms = 0;
    row->ended_ms = 0;
    mem_free_message(row->report);
    row->report = NULL;
    left_memory_clear(engine);
    entity_touch(engine, &engine->collection->entity);
    return 0;
}

int apply_collection_ended(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__CollectionEnded *body = fact->collection_ended;
    if (engine->collection == NULL || engine->collection->row->number != body->number ||
        engine->collection->row->has_ended_ms)
        return pen_fail(err, PEN_ECORRUPT, "fact %llu ends a collection that is not under way",
                        (unsigned long long)fact->seq);
    SET(engine->collection->row, ended_ms, fact->at_ms);
    engine->collection->row->report = mem_copy(body->report);
    left_memory_clear(engine);
    entity_touch(engine, &engine->collection->entity);
    return 0;
}

/* The row of an execution that is no longer in memory. */
static void delete_execution(struct pen_engine *engine, const Pen__Fact *fact, const char *id)
{
    Pen__ExecutionRow *row = MAKE(Pen__ExecutionRow, pen__execution_row__init);
    row->id = mem_text(id);
    row->pipeline = mem_text(fact->pipeline);
    struct entity *entity = entity_add(engine, PEN__ROW_KIND__ROW_EXECUTION, row);
    pen_map_remove(&engine->executions, pen_key_text(id));
    entity_retire(engine, entity, true);
}

int apply_history_removed(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__HistoryRemoved *body = fact->history_removed;
    Pen__RemovalRow *row = MAKE(Pen__RemovalRow, pen__removal_row__init);
    SET(row, number, fact->seq);
    row->pipeline = mem_text(fact->pipeline);
    SET(row, decided_ms, fact->at_ms);
    for (size_t i = 0; i < body->n_execution_ids; i++)
        APPEND(row, execution_ids, mem_text(body->execution_ids[i]));
    entity_touch(engine, entity_add(engine, PEN__ROW_KIND__ROW_REMOVAL, row));
    for (size_t i = 0; i < body->n_execution_ids; i++) {
        if (find_execution(engine, body->execution_ids[i]) != NULL)
            return pen_fail(err, PEN_ECORRUPT, "fact %llu removes execution '%s', which is needed",
                            (unsigned long long)fact->seq, body->execution_ids[i]);
        delete_execution(engine, fact, body->execution_ids[i]);
    }
    SET(engine->setting->row, last_removal_seq, fact->seq);
    return 0;
}

int apply_history_purged(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    struct removal *removal =
        pen_map_remove(&engine->removals, pen_key_number(fact->history_purged->removal));
    if (removal == NULL)
        return pen_fail(err, PEN_ECORRUPT, "fact %llu purges a removal that is not there",
                        (unsigned long long)fact->seq);
    entity_retire(engine, &removal->entity, true);
    return 0;
}

int apply_agent_removed(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    struct agent *agent = find_agent(engine, fact->agent_removed->agent_id);
    if (agent == NULL || agent->attempts.count > 0 || agent->indexed)
        return pen_fail(err, PEN_ECORRUPT, "fact %llu removes an agent that is in use",
                        (unsigned long long)fact->seq);
    timer_disarm(engine, &agent->timer);
    pen_map_remove(&engine->agents, pen_key_text(agent->row->id));
    entity_retire(engine, &agent->entity, true);
    return 0;
}

/* ---- ways back */

static void drop_way_back(Pen__StageStateRow *row, size_t place)
{
    free(row->ways_back[place]);
    row->n_ways_back--;
    for (size_t i = place; i < row->n_ways_back; i++)
        row->ways_back[i] = row->ways_back[i + 1];
}

void note_way_back(struct stage_state *stage, const Pen__ExecutionRow *succeeded)
{
    Pen__StageStateRow *row = stage->row;
    /* Who was rolled back to is in place again. */
    const char *id =
        succeeded->rollback_target_id != NULL ? succeeded->rollback_target_id : succeeded->id;
    for (size_t i = 0; i < row->n_ways_back; i++)
        if (pen_str_equal(row->ways_back[i], id)) {
            drop_way_back(row, i);
            break;
        }
    if (row->n_ways_back == PEN_LIMIT_WAYS_BACK)
        drop_way_back(row, row->n_ways_back - 1);
    APPEND(row, ways_back, mem_text(id));
    char *newest = row->ways_back[row->n_ways_back - 1];
    for (size_t i = row->n_ways_back - 1; i > 0; i--)
        row->ways_back[i] = row->ways_back[i - 1];
    row->ways_back[0] = newest;
}

void forget_ways_back(struct stage_state *stage)
{
    while (stage->row->n_ways_back > 0)
        drop_way_back(stage->row, stage->row->n_ways_back - 1);
    free(stage->row->ways_back);
    stage->row->ways_back = NULL;
}
