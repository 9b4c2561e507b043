#include "controller/engine/collect.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/planted.h"

static bool under_way(const struct pen_engine *engine)
{
    return engine->collection != NULL && !engine->collection->row->has_ended_ms;
}

/* ---- effects */

static void plan_collection(struct pen_engine *engine)
{
    const Pen__CollectionRow *row = engine->collection->row;
    Pen__CollectionRun *body = MAKE(Pen__CollectionRun, pen__collection_run__init);
    SET(body, number, row->number);
    SET(body, dry_run, row->dry_run);
    SET(body, now_ms, engine->now_ms);
    SET(body, history_age_ms, engine->options.history_age_ms);
    SET(body, history_count, engine->options.history_count);
    effect(engine, PEN__EFFECT__WHAT_COLLECTION_RUN, body);
}

static void plan_removal(struct pen_engine *engine, const Pen__RemovalRow *row)
{
    Pen__HistoryPurge *body = MAKE(Pen__HistoryPurge, pen__history_purge__init);
    SET(body, removal, row->number);
    for (size_t i = 0; i < row->n_execution_ids; i++)
        APPEND(body, execution_ids, mem_text(row->execution_ids[i]));
    effect(engine, PEN__EFFECT__WHAT_HISTORY_PURGE, body);
}

void plan_collections(struct pen_engine *engine)
{
    for (struct pen_map_node *node = pen_map_first(&engine->removals); node != NULL;
         node = pen_map_next(node))
        if (!PLANTED(PURGE_FORGOTTEN))
            plan_removal(engine, ((const struct removal *)pen_map_value(node))->row);
    if (under_way(engine))
        plan_collection(engine);
}

/* ---- requests */

int handle_start_collection(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                            struct pen_error *err)
{
    bool dry_run = input->start_collection->dry_run;
    if (under_way(engine) && engine->collection->row->dry_run != dry_run)
        return pen_fail_api(err, PEN_ECONFLICT, "ConflictException",
                            "%s is under way; try again when it has ended",
                            dry_run ? "a collection" : "a preview of a collection");
    if (!under_way(engine)) {
        Pen__CollectionStarted *body = MAKE(Pen__CollectionStarted, pen__collection_started__init);
        SET(body, number, engine->collection == NULL ? 1 : engine->collection->row->number + 1);
        SET(body, dry_run, dry_run);
        emit(engine, NULL, NULL, PEN__FACT__WHAT_COLLECTION_STARTED, body);
        plan_collection(engine);
    }
    reply->id = mem_format("%" PRIu64, engine->collection->row->number);
    return 0;
}

/* ---- from retention */

static void answer(struct pen_engine *engine, const Pen__RemoveHistory *request,
                   const struct pen_map *gone, uint64_t removal)
{
    Pen__HistoryAnswer *body = MAKE(Pen__HistoryAnswer, pen__history_answer__init);
    SET(body, collection, request->collection);
    SET(body, batch, request->batch);
    SET(body, removal, removal);
    for (struct pen_map_node *node = pen_map_first(gone); node != NULL; node = pen_map_next(node))
        APPEND(body, execution_ids, mem_text(pen_map_key(node).text));
    effect(engine, PEN__EFFECT__WHAT_HISTORY_ANSWER, body);
}

/* Returns the number of the removal. */
static uint64_t remove_all(struct pen_engine *engine, const char *pipeline,
                           const struct pen_map *gone)
{
    Pen__HistoryRemoved *body = MAKE(Pen__HistoryRemoved, pen__history_removed__init);
    for (struct pen_map_node *node = pen_map_first(gone); node != NULL; node = pen_map_next(node))
        APPEND(body, execution_ids, mem_text(pen_map_key(node).text));
    emit(engine, pipeline, NULL, PEN__FACT__WHAT_HISTORY_REMOVED, body);
    const struct removal *removal = pen_map_value(pen_map_last(&engine->removals));
    plan_removal(engine, removal->row);
    return removal->row->number;
}

int handle_remove_history(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                          struct pen_error *err)
{
    (void)reply;
    (void)err;
    const Pen__RemoveHistory *request = input->remove_history;
    if (!under_way(engine) || engine->collection->row->number != request->collection ||
        request->n_candidates > PEN_LIMIT_REMOVAL_BATCH)
        return 0; /* of a collection that is over */
    struct pen_map offered = {0};
    for (size_t i = 0; i < request->n_candidates; i++)
        if (request->candidates[i]->execution_id != NULL)
            mem_put(&offered, pen_key_text(request->candidates[i]->execution_id),
                    request->candidates[i]);
    keep_needed(engine, find_pipeline(engine, request->pipeline), &offered);
    uint64_t removal = 0;
    if (offered.count > 0 && !engine->collection->row->dry_run)
        removal = remove_all(engine, request->pipeline, &offered);
    answer(engine, request, &offered, removal);
    pen_map_release(&offered);
    return 0;
}

int handle_history_gone(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                        struct pen_error *err)
{
    (void)reply;
    (void)err;
    const Pen__HistoryGone *gone = input->history_gone;
    const struct removal *removal = pen_map_get(&engine->removals, pen_key_number(gone->removal));
    if (removal == NULL)
        return 0;
    char *pipeline = mem_text(removal->row->pipeline);
    Pen__HistoryPurged *body = MAKE(Pen__HistoryPurged, pen__history_purged__init);
    SET(body, removal, gone->removal);
    SET(body, rows, gone->rows);
    SET(body, facts, gone->facts);
    emit(engine, pipeline, NULL, PEN__FACT__WHAT_HISTORY_PURGED, body);
    free(pipeline);
    if (!under_way(engine))
        return 0;
    Pen__HistoryAnswer *told = MAKE(Pen__HistoryAnswer, pen__history_answer__init);
    SET(told, collection, engine->collection->row->number);
    SET(told, removal, gone->removal);
    SET(told, purged, 1);
    effect(engine, PEN__EFFECT__WHAT_HISTORY_ANSWER, told);
    return 0;
}

/* ---- mirrors */

static const char *configured(const Pen__ActionDeclaration *action, const char *key)
{
    for (size_t i = 0; i < action->n_configuration; i++)
        if (pen_str_equal(action->configuration[i]->key, key))
            return action->configuration[i]->value;
    return NULL;
}

/* Sources are in the first stage alone, and name their repository without variables. */
static void add_needed(Pen__MirrorsSweep *body, const Pen__PipelineDeclaration *declaration)
{
    const Pen__StageDeclaration *stage = declaration->stages[0];
    for (size_t i = 0; i < stage->n_actions; i++) {
        const char *connection = configured(stage->actions[i], "ConnectionArn");
        const char *repository = configured(stage->actions[i], "FullRepositoryId");
        if (connection == NULL || repository == NULL)
            continue;
        Pen__MirrorNeeded *needed = MAKE(Pen__MirrorNeeded, pen__mirror_needed__init);
        needed->connection_arn = mem_text(connection);
        needed->repository_id = mem_text(repository);
        APPEND(body, needed, needed);
    }
}

int handle_sweep_mirrors(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                         struct pen_error *err)
{
    (void)reply;
    (void)err;
    if (!under_way(engine) || engine->collection->row->number != input->sweep_mirrors->collection)
        return 0;
    Pen__MirrorsSweep *body = MAKE(Pen__MirrorsSweep, pen__mirrors_sweep__init);
    SET(body, collection, engine->collection->row->number);
    SET(body, dry_run, engine->collection->row->dry_run);
    for (struct pen_map_node *node = pen_map_first(&engine->pipelines); node != NULL;
         node = pen_map_next(node)) { /* with the versions that something still runs by */
        const struct pipeline *pipeline = pen_map_value(node);
        for (struct pen_map_node *at = pen_map_first(&pipeline->versions); at != NULL;
             at = pen_map_next(at))
            add_needed(body, ((const struct version *)pen_map_value(at))->row->declaration);
    }
    effect(engine, PEN__EFFECT__WHAT_MIRRORS_SWEEP, body);
    return 0;
}

int handle_mirrors_swept(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                         struct pen_error *err)
{
    (void)reply;
    (void)err;
    effect(engine, PEN__EFFECT__WHAT_MIRRORS_SWEPT, mem_copy(input->mirrors_swept));
    return 0;
}

/* ---- the end */

/* An older release has not noted when it was revoked. */
static bool is_forgettable(const struct pen_engine *engine, const struct agent *agent)
{
    const Pen__AgentRow *row = agent->row;
    int64_t since_ms = row->has_revoked_ms   ? row->revoked_ms
                       : row->has_session_ms ? row->session_ms
                                             : row->enrolled_ms;
    return row->status == PEN__AGENT_STATUS__AGENT_REVOKED && agent->attempts.count == 0 &&
           since_ms <= engine->now_ms - PEN_LIMIT_REVOKED_AGENT_MS;
}

/* Returns how many; in a dry run they stay. */
static uint64_t forget_agents(struct pen_engine *engine, bool dry_run)
{
    uint64_t count = 0;
    for (struct pen_map_node *node = pen_map_first(&engine->agents);
         node != NULL && count < PEN_LIMIT_REMOVAL_BATCH;) {
        const struct agent *agent = pen_map_value(node);
        node = pen_map_next(node);
        if (!is_forgettable(engine, agent))
            continue;
        count++;
        if (dry_run)
            continue;
        Pen__AgentRemoved *body = MAKE(Pen__AgentRemoved, pen__agent_removed__init);
        body->agent_id = mem_text(agent->row->id);
        emit(engine, NULL, NULL, PEN__FACT__WHAT_AGENT_REMOVED, body);
    }
    return count;
}

int handle_collection_done(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                           struct pen_error *err)
{
    (void)reply;
    (void)err;
    const Pen__CollectionDone *done = input->collection_done;
    if (!under_way(engine) || engine->collection->row->number != done->collection)
        return 0;
    Pen__CollectionEnded *body = MAKE(Pen__CollectionEnded, pen__collection_ended__init);
    SET(body, number, done->collection);
    body->report = done->report != NULL ? mem_copy(done->report)
                                        : MAKE(Pen__CollectionReport, pen__collection_report__init);
    if (body->report->error == NULL)
        SET(body->report, agents, forget_agents(engine, engine->collection->row->dry_run));
    emit(engine, NULL, NULL, PEN__FACT__WHAT_COLLECTION_ENDED, body);
    return 0;
}
