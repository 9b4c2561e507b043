#include <string.h>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/apply.h"
#include "controller/engine/planted.h"

/* A gate, a lock and a queue for each stage of the current version that has none yet. */
static void add_stages(struct pen_engine *engine, struct pipeline *pipeline)
{
    const Pen__PipelineDeclaration *declaration = pipeline->current->row->declaration;
    for (size_t i = 0; i < declaration->n_stages; i++) {
        if (find_stage(pipeline, declaration->stages[i]->name) != NULL)
            continue;
        Pen__StageStateRow *row = MAKE(Pen__StageStateRow, pen__stage_state_row__init);
        row->pipeline = mem_text(pipeline->row->name);
        row->stage = mem_text(declaration->stages[i]->name);
        struct entity *entity = entity_add(engine, PEN__ROW_KIND__ROW_STAGE_STATE, row);
        CHECK(entity_link(engine, entity, NULL) == 0);
        entity_touch(engine, entity);
    }
}

static void add_version(struct pen_engine *engine, const Pen__Fact *fact,
                        const Pen__PipelineDeclaration *declaration)
{
    Pen__PipelineVersionRow *row = MAKE(Pen__PipelineVersionRow, pen__pipeline_version_row__init);
    row->declaration = mem_copy(declaration);
    SET(row, created_ms, fact->at_ms);
    row->created_by = mem_text(fact->by);
    struct entity *entity = entity_add(engine, PEN__ROW_KIND__ROW_PIPELINE_VERSION, row);
    CHECK(entity_link(engine, entity, NULL) == 0);
    entity_touch(engine, entity);
}

int apply_pipeline_created(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__PipelineDeclaration *declaration = fact->pipeline_created->declaration;
    if (declaration == NULL || find_pipeline(engine, declaration->name) != NULL)
        return pen_fail(err, PEN_ECORRUPT, "pipeline '%s' is created twice", fact->pipeline);
    Pen__PipelineRow *row = MAKE(Pen__PipelineRow, pen__pipeline_row__init);
    row->name = mem_text(declaration->name);
    SET(row, version, declaration->version);
    SET(row, created_ms, fact->at_ms);
    SET(row, updated_ms, fact->at_ms);
    row->created_by = mem_text(fact->by);
    row->account = mem_text(engine->setting->row->account);
    row->region = mem_text(engine->setting->row->region);
    SET(row, created_order, engine->setting->row->last_order);
    struct entity *entity = entity_add(engine, PEN__ROW_KIND__ROW_PIPELINE, row);
    entity_touch(engine, entity);
    add_version(engine, fact, declaration);
    add_stages(engine, (struct pipeline *)entity);
    return 0;
}

/* A stage that is not declared any more goes once nobody holds it or waits for it. */
static void drop_orphan(struct pen_engine *engine, struct pipeline *pipeline,
                        struct stage_state *stage)
{
    const Pen__PipelineDeclaration *declaration = pipeline->current->row->declaration;
    if (stage->row->holder != NULL || stage->row->n_waiting > 0)
        return;
    for (size_t i = 0; i < declaration->n_stages; i++)
        if (pen_str_equal(declaration->stages[i]->name, stage->row->stage))
            return;
    pen_map_remove(&pipeline->stages, pen_key_text(stage->row->stage));
    entity_retire(engine, &stage->entity, true);
}

void drop_stage_if_orphan(struct pen_engine *engine, struct pipeline *pipeline, const char *name)
{
    struct stage_state *stage = find_stage(pipeline, name);
    if (stage != NULL)
        drop_orphan(engine, pipeline, stage);
}

int apply_pipeline_updated(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__PipelineDeclaration *declaration = fact->pipeline_updated->declaration;
    struct pipeline *pipeline = find_pipeline(engine, fact->pipeline);
    if (pipeline == NULL || declaration == NULL ||
        declaration->version != pipeline->row->version + 1)
        return pen_fail(err, PEN_ECORRUPT, "pipeline '%s' does not go to this version",
                        fact->pipeline);
    struct version *former = pipeline->current;
    SET(pipeline->row, version, declaration->version);
    SET(pipeline->row, updated_ms, fact->at_ms);
    entity_touch(engine, &pipeline->entity);
    add_version(engine, fact, declaration);
    add_stages(engine, pipeline);

    /* What had ended cannot be retried in a changed structure; what runs is told to look again. */
    former->executions++; /* hold it while its executions go */
    for (struct pen_map_node *node = pen_map_first(&pipeline->executions); node != NULL;) {
        struct execution *execution = pen_map_value(node);
        node = pen_map_next(node);
        if (execution_ended(execution))
            execution_forget(engine, execution);
        else
            execution_work(engine, execution);
    }
    if (--former->executions == 0) {
        pen_map_remove(&pipeline->versions,
                       pen_key_number((uint64_t)former->row->declaration->version));
        entity_retire(engine, &former->entity, false);
    }
    for (struct pen_map_node *node = pen_map_first(&pipeline->stages); node != NULL;) {
        struct stage_state *stage = pen_map_value(node);
        node = pen_map_next(node);
        if (stage->row->rollback_target != NULL) { /* of the former version: no way back */
            mem_free_message(stage->row->rollback_target);
            stage->row->rollback_target = NULL;
            entity_touch(engine, &stage->entity);
        }
        if (stage->row->n_ways_back > 0) {
            forget_ways_back(stage);
            entity_touch(engine, &stage->entity);
        }
        drop_orphan(engine, pipeline, stage);
    }
    drop_foreign_refs(engine, pipeline);
    return 0;
}

/* The row of a version that is no longer in memory. */
static void delete_old_version(struct pen_engine *engine, const struct pipeline *pipeline,
                               int32_t number)
{
    Pen__PipelineVersionRow *row = MAKE(Pen__PipelineVersionRow, pen__pipeline_version_row__init);
    row->declaration = MAKE(Pen__PipelineDeclaration, pen__pipeline_declaration__init);
    row->declaration->name = mem_text(pipeline->row->name);
    SET(row->declaration, version, number);
    entity_retire(engine, entity_add(engine, PEN__ROW_KIND__ROW_PIPELINE_VERSION, row), true);
}

int apply_pipeline_deleted(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    struct pipeline *pipeline = find_pipeline(engine, fact->pipeline);
    if (pipeline == NULL || pipeline->running > 0)
        return pen_fail(err, PEN_ECORRUPT, "pipeline '%s' cannot be deleted", fact->pipeline);
    for (struct pen_map_node *node = pen_map_first(&pipeline->executions); node != NULL;) {
        struct execution *execution = pen_map_value(node);
        node = pen_map_next(node);
        execution_forget(engine, execution);
    }
    for (struct pen_map_node *node = pen_map_first(&pipeline->stages); node != NULL;
         node = pen_map_next(node))
        entity_retire(engine, pen_map_value(node), true);
    for (int32_t number = 1; number <= pipeline->row->version; number++) {
        struct version *version =
            pen_map_get(&pipeline->versions, pen_key_number((uint64_t)number));
        if (version != NULL)
            entity_retire(engine, &version->entity, true);
        else
            delete_old_version(engine, pipeline, number);
    }
    timer_disarm(engine, &pipeline->timer);
    drop_all_refs(engine, pipeline);
    drop_requests(engine, pipeline->row->name);
    pen_map_remove(&engine->pipelines, pen_key_text(pipeline->row->name));
    entity_retire(engine, &pipeline->entity, true);
    return 0;
}

/* It is enabled after a long time: what waits there does not go on by itself. */
static void rest_if_closed_long(const struct pen_engine *engine, const Pen__Fact *fact,
                                struct stage_state *stage)
{
    int64_t rest_ms = (int64_t)PEN_LIMIT_TRANSITION_REST_DAYS * 24 * 3600 * 1000;
    if (!PLANTED(REST_FORGOTTEN) && stage->row->disabled && stage->row->n_waiting > 0 &&
        fact->at_ms - stage->row->disabled_since_ms > rest_ms)
        SET(stage->row, rested_order, engine->setting->row->last_order);
    stage->row->has_disabled_since_ms = 0;
    stage->row->disabled_since_ms = 0;
}

int apply_transition_changed(struct pen_engine *engine, const Pen__Fact *fact,
                             struct pen_error *err)
{
    const Pen__TransitionChanged *body = fact->transition_changed;
    struct pipeline *pipeline = find_pipeline(engine, fact->pipeline);
    struct stage_state *stage = pipeline == NULL ? NULL : find_stage(pipeline, body->stage);
    if (stage == NULL)
        return pen_fail(err, PEN_ECORRUPT, "no stage '%s' in '%s'", body->stage, fact->pipeline);
    if (body->disabled && !stage->row->disabled)
        SET(stage->row, disabled_since_ms, fact->at_ms);
    else if (!body->disabled)
        rest_if_closed_long(engine, fact, stage);
    SET(stage->row, disabled, body->disabled);
    mem_set_text(&stage->row->disabled_reason, body->disabled ? body->reason : NULL);
    mem_set_text(&stage->row->changed_by, fact->by);
    SET(stage->row, changed_ms, fact->at_ms);
    entity_touch(engine, &stage->entity);
    gate_retell(engine, stage);
    gate_work(engine, stage);
    return 0;
}
