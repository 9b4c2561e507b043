/* controller/services/codepipeline/custom.h - custom action types and their secrets, for handlers
 *
 * A secret value of a configuration is sealed here before anything else sees it: facts and rows
 * hold the sealed text alone. It is bound to pipeline, stage, action and key, is shown as `****`,
 * and is opened only for a job worker that is given the job.
 */
#ifndef PEN_CONTROLLER_SERVICES_CODEPIPELINE_CUSTOM_H
#define PEN_CONTROLLER_SERVICES_CODEPIPELINE_CUSTOM_H

#include "controller/model/action_types.h"
#include "controller/services/call.h"
#include "controller/services/read.h"

/* The types that are not deleted, as the store has them. */
struct pen_custom_read {
    struct pen_rows rows;
    const Pen__ActionType **list;
    struct pen_custom_types types;
};

int pen_custom_read(const struct pen_call *call, struct pen_custom_read *ret_read,
                    struct pen_error *err);
void pen_custom_read_release(struct pen_custom_read *self);

/* Seal the secret values of a declaration in place; masks stay, for the core to settle.
 * Errors: PEN_EINVAL with ValidationException when any value looks sealed already. */
int pen_custom_seal(const struct pen_call *call, const struct pen_custom_types *types,
                    Pen__PipelineDeclaration *declaration, struct pen_error *err);

/* Append the value of this action's configuration key as a job worker needs it. */
int pen_custom_open(const struct pen_call *call, const Pen__ActionExecutionRow *action,
                    const char *key, const char *value, struct pen_buf *ret_value,
                    struct pen_error *err);

/* Put entityUrl and revisionUrl of an action of a custom type into its state, as far as the
 * templates of the type give them. */
int pen_custom_put_urls(struct pen_call *call, json_t *state, const Pen__ActionExecutionRow *action,
                        struct pen_error *err);

#endif
