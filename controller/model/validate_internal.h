/* controller/model/validate_internal.h - the parts of pen_model_validate, a file each */
#ifndef PEN_CONTROLLER_MODEL_VALIDATE_INTERNAL_H
#define PEN_CONTROLLER_MODEL_VALIDATE_INTERNAL_H

#include "common/base/error.h"
#include "pipeline.pb-c.h"

/* Artifacts: names of outputs are unique, every input is an output of an earlier action. */
int pen_validate_artifacts(const Pen__PipelineDeclaration *declaration, struct pen_error *err);

/* Conditions of one stage: how many, results, rules. */
int pen_validate_conditions(const Pen__PipelineDeclaration *declaration,
                            const Pen__StageDeclaration *stage, struct pen_error *err);

int pen_validate_triggers(const Pen__PipelineDeclaration *declaration, struct pen_error *err);

#endif
