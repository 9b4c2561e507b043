/* controller/model/validate.h - what a pipeline declaration has to be, beyond its member limits
 *
 * The members' own limits (required, length, pattern) are checked before, from the API's catalogue
 * (controller/services/validate_input.h). Here is what takes the whole declaration to judge, in
 * this order: pipeline, stages, actions, artifacts, variables, triggers. The first fault is the
 * answer; it carries the API's error name and names stage, action and member.
 */
#ifndef PEN_CONTROLLER_MODEL_VALIDATE_H
#define PEN_CONTROLLER_MODEL_VALIDATE_H

#include <stdint.h>

#include "common/base/error.h"
#include "common/base/limits.h"
#include "controller/model/action_types.h"
#include "pipeline.pb-c.h"

/* Errors: PEN_EINVAL with InvalidStructureException, InvalidStageDeclarationException,
 * InvalidActionDeclarationException, InvalidBlockerDeclarationException or ValidationException;
 * PEN_ENOMEM. Does not change the declaration, and works with and without its defaults. */
int pen_model_validate(const Pen__PipelineDeclaration *declaration, struct pen_error *err);

/* What an operator may allow; limits.h says the API's numbers. */
struct pen_structure_limits {
    uint32_t stages;
    uint32_t actions_per_stage;
    uint32_t actions; /* of a pipeline */
};

/* The same, where there are custom action types and a region, and with other limits than the API's.
 * Both may be NULL. */
int pen_model_validate_with(const Pen__PipelineDeclaration *declaration,
                            const struct pen_custom_types *types,
                            const struct pen_structure_limits *limits, struct pen_error *err);

/* Fill what may be left out: runOrder 1, executionMode SUPERSEDED, version 1 (if there is none),
 * and pipelineType: V2 when a member needs it, else V1. The declaration is one whose strings are
 * from malloc. Errors: PEN_ENOMEM (some defaults may be filled). */
int pen_model_fill_defaults(Pen__PipelineDeclaration *declaration, struct pen_error *err);

/* Name the first member that only V2 pipelines may have ("triggers", "executionMode QUEUED"...),
 * NULL when there is none. A Commands action also needs V2. */
const char *pen_model_v2_member(const Pen__PipelineDeclaration *declaration);

#endif
