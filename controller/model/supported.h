/* controller/model/supported.h - members that are known but not acted on yet
 *
 * A declaration that asks for something this release does not do is refused, by name: never kept
 * and silently not done. A later release that does it removes its line from the table.
 */
#ifndef PEN_CONTROLLER_MODEL_SUPPORTED_H
#define PEN_CONTROLLER_MODEL_SUPPORTED_H

#include "common/base/error.h"
#include "pipeline.pb-c.h"

/* Errors: PEN_EUNSUPPORTED with InvalidStructureException, InvalidStageDeclarationException or
 * InvalidActionDeclarationException. pen_model_validate calls it last. */
int pen_model_check_supported(const Pen__PipelineDeclaration *declaration, struct pen_error *err);

#endif
