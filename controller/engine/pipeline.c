/* controller/engine/pipeline.c - requests that create, change and delete pipelines */
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/id.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/named.h"

/* What the engine relies on, whoever has checked the rest. */
static int check_declaration(const Pen__PipelineDeclaration *declaration, struct pen_error *err)
{
    if (declaration == NULL || pen_str_empty(declaration->name) || declaration->n_stages < 1)
        return pen_fail_api(err, PEN_EINVAL, "InvalidStructureException",
                            "a pipeline has a name and stages");
    for (size_t s = 0; s < declaration->n_stages; s++) {
        const Pen__StageDeclaration *stage = declaration->stages[s];
        if (pen_str_empty(stage->name) || stage->n_actions < 1)
            return pen_fail_api(err, PEN_EINVAL, "InvalidStageDeclarationException",
                                "stage %zu has no name or no action", s + 1);
        for (size_t i = 0; i < stage->n_actions; i++)
            if (pen_str_empty(stage->actions[i]->name) || stage->actions[i]->action_type_id == NULL)
                return pen_fail_api(err, PEN_EINVAL, "InvalidActionDeclarationException",
                                    "action %zu of stage '%s' has no name or no type", i + 1,
                                    stage->name);
    }
    return 0;
}

int handle_create_pipeline(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                           struct pen_error *err)
{
    const Pen__PipelineDeclaration *declaration = input->create_pipeline->declaration;
    int rc = check_declaration(declaration, err);
    if (rc < 0)
        return rc;
    if (find_pipeline(engine, declaration->name) != NULL)
        return pen_fail_api(err, PEN_ECONFLICT, "PipelineNameInUseException",
                            "A pipeline with the name '%s' already exists in account '%s'",
                            declaration->name, engine->setting->row->account);
    if (engine->pipelines.count >= engine->options.pipelines_max)
        return pen_fail_api(err, PEN_ELIMIT, "LimitExceededException",
                            "there are %zu pipelines, as many as there may be (pipelines-max)",
                            engine->pipelines.count);
    if ((rc = check_polling(engine, declaration, err)) < 0)
        return rc;
    Pen__PipelineDeclaration *settled = mem_copy(declaration);
    rc = settle_custom_actions(engine, NULL, settled, err);
    if (rc < 0) {
        mem_free_message(settled);
        return rc;
    }
    Pen__PipelineCreated *body = MAKE(Pen__PipelineCreated, pen__pipeline_created__init);
    body->declaration = settled;
    SET(body->declaration, version, 1);
    reply->declaration = mem_copy(body->declaration);
    SET(reply, at_ms, engine->now_ms);
    emit(engine, declaration->name, NULL, PEN__FACT__WHAT_PIPELINE_CREATED, body);

    struct pipeline *pipeline = find_pipeline(engine, declaration->name);
    plan_watches(engine, pipeline);
    polling_arm(engine, pipeline);
    struct start start = {.trigger_type = PEN__TRIGGER_TYPE__TRIGGER_CREATE_PIPELINE,
                          .trigger_detail = input->principal};
    char id[PEN_UUID_TEXT_SIZE];
    if (execution_start_by_event(engine, pipeline, &start, id, NULL) == 0)
        reply->execution_id = mem_text(id);
    return 0; /* a pipeline whose variables lack defaults waits for its first manual start */
}

int handle_update_pipeline(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                           struct pen_error *err)
{
    const Pen__PipelineDeclaration *declaration = input->update_pipeline->declaration;
    int rc = check_declaration(declaration, err);
    if (rc < 0)
        return rc;
    struct pipeline *pipeline = find_pipeline(engine, declaration->name);
    if (pipeline == NULL) /* the API declares no PipelineNotFoundException for it */
        return pen_fail_api(err, PEN_ENOTFOUND, "ResourceNotFoundException",
                            "The account with id '%s' does not include a pipeline with the name "
                            "'%s'",
                            engine->account, declaration->name);
    if ((rc = check_polling(engine, declaration, err)) < 0)
        return rc;
    Pen__PipelineDeclaration *settled = mem_copy(declaration);
    rc = settle_custom_actions(engine, pipeline, settled, err);
    if (rc < 0) {
        mem_free_message(settled);
        return rc;
    }
    Pen__PipelineUpdated *body = MAKE(Pen__PipelineUpdated, pen__pipeline_updated__init);
    body->declaration = settled;
    SET(body->declaration, version, pipeline->row->version + 1);
    reply->declaration = mem_copy(body->declaration);
    SET(reply, at_ms, engine->now_ms);
    Pen__SourceUnwatch *unwatch = MAKE(Pen__SourceUnwatch, pen__source_unwatch__init);
    unwatch->pipeline = mem_text(declaration->name);
    effect(engine, PEN__EFFECT__WHAT_SOURCE_UNWATCH, unwatch);
    emit(engine, declaration->name, NULL, PEN__FACT__WHAT_PIPELINE_UPDATED, body);
    plan_watches(engine, pipeline);
    polling_arm(engine, pipeline);
    return 0;
}

/* The pipeline goes, and what runs with it: there will be nothing left to report to. */
static void end_at_once(struct pen_engine *engine, struct execution *execution)
{
    static const char why[] = "The pipeline was deleted";
    struct stage_run *run = current_run(execution);
    if (!execution->row->waiting && run != NULL &&
        (run->row->status == PEN__STAGE_STATUS__STAGE_IN_PROGRESS ||
         run->row->status == PEN__STAGE_STATUS__STAGE_STOPPING)) {
        stage_abandon(engine, run, true, why);
        stage_end(engine, run, PEN__STAGE_STATUS__STAGE_CANCELLED);
    }
    execution_end(engine, execution, PEN__EXECUTION_STATUS__EXECUTION_CANCELLED, why, NULL);
}

int handle_delete_pipeline(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                           struct pen_error *err)
{
    (void)reply;
    (void)err;
    const char *name = input->delete_pipeline->name;
    struct pipeline *pipeline = find_pipeline(engine, name);
    if (pipeline == NULL)
        return 0; /* gone is gone: the API has no error for it */
    for (struct pen_map_node *node = pen_map_first(&pipeline->executions); node != NULL;) {
        struct execution *execution = pen_map_value(node);
        node = pen_map_next(node);
        if (!execution_ended(execution))
            end_at_once(engine, execution);
    }
    Pen__SourceUnwatch *unwatch = MAKE(Pen__SourceUnwatch, pen__source_unwatch__init);
    unwatch->pipeline = mem_text(name);
    effect(engine, PEN__EFFECT__WHAT_SOURCE_UNWATCH, unwatch);
    emit(engine, name, NULL, PEN__FACT__WHAT_PIPELINE_DELETED,
         MAKE(Pen__PipelineDeleted, pen__pipeline_deleted__init));
    return 0;
}
