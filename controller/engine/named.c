#include "controller/engine/named.h"

#include "common/base/str.h"

int fail_no_pipeline(const struct pen_engine *engine, const char *name, struct pen_error *err)
{
    return pen_fail_api(err, PEN_ENOTFOUND, "PipelineNotFoundException",
                        "Account '%s' does not have a pipeline with name '%s'",
                        engine->setting->row->account, name != NULL ? name : "");
}

int fail_no_stage(const struct pipeline *pipeline, const char *stage, struct pen_error *err)
{
    return pen_fail_api(err, PEN_ENOTFOUND, "StageNotFoundException",
                        "pipeline '%s' has no stage '%s'", pipeline->row->name,
                        stage != NULL ? stage : "");
}

int named_pipeline(const struct pen_engine *engine, const char *name,
                   struct pipeline **ret_pipeline, struct pen_error *err)
{
    struct pipeline *pipeline = find_pipeline(engine, name);
    if (pipeline == NULL)
        return fail_no_pipeline(engine, name, err);
    *ret_pipeline = pipeline;
    return 0;
}

int named_stage(const struct pipeline *pipeline, const char *stage, uint32_t *ret_index,
                struct pen_error *err)
{
    const Pen__PipelineDeclaration *declaration = pipeline->current->row->declaration;
    uint32_t index = 0;
    while (index < declaration->n_stages && !pen_str_equal(declaration->stages[index]->name, stage))
        index++;
    if (index == declaration->n_stages)
        return fail_no_stage(pipeline, stage, err);
    *ret_index = index;
    return 0;
}
