/* controller/engine/named.h - what requests name: pipelines and stages, or the API's own refusal */
#ifndef PEN_CONTROLLER_ENGINE_NAMED_H
#define PEN_CONTROLLER_ENGINE_NAMED_H

#include "controller/engine/state.h"

/* Errors: PipelineNotFoundException. */
int named_pipeline(const struct pen_engine *engine, const char *name,
                   struct pipeline **ret_pipeline, struct pen_error *err);

/* Refuse by this error, where something else than the name decided. Returns its code. */
int fail_no_pipeline(const struct pen_engine *engine, const char *name, struct pen_error *err);
int fail_no_stage(const struct pipeline *pipeline, const char *stage, struct pen_error *err);

/* The place of the stage in the pipeline's declaration. Errors: StageNotFoundException. */
int named_stage(const struct pipeline *pipeline, const char *stage, uint32_t *ret_index,
                struct pen_error *err);

#endif
