/* controller/services/codepipeline/declaration.h - a pipeline declaration to and from its JSON */
#ifndef PEN_CONTROLLER_SERVICES_CODEPIPELINE_DECLARATION_H
#define PEN_CONTROLLER_SERVICES_CODEPIPELINE_DECLARATION_H

#include "controller/services/call.h"

/* The input's member "pipeline" as a message: checked as a whole, defaults filled. The caller frees
 * it with pen_message_destroy. Errors: those of pen_model_validate, PEN_ENOMEM. */
int pen_declaration_take(const struct pen_call *call, Pen__PipelineDeclaration **ret_declaration,
                         struct pen_error *err);

/* Put the declaration, as clients expect it back: configuration {}, inputArtifacts [] and
 * outputArtifacts [] where there are none, and runOrder 1. */
int pen_declaration_put(struct pen_call *call, json_t *object, const char *name,
                        const Pen__PipelineDeclaration *declaration, struct pen_error *err);

#endif
