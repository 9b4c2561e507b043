/* What a declaration may leave out, and which type of pipeline it is. */
#include <stdbool.h>
#include <string.h>

#include "common/base/str.h"
#include "controller/model/validate.h"

const char *pen_model_v2_member(const Pen__PipelineDeclaration *declaration)
{
    const char *mode = declaration->execution_mode;
    if (pen_str_equal(mode, "QUEUED"))
        return "executionMode QUEUED";
    if (pen_str_equal(mode, "PARALLEL"))
        return "executionMode PARALLEL";
    if (declaration->n_variables > 0)
        return "variables";
    if (declaration->n_triggers > 0)
        return "triggers";
    for (size_t i = 0; i < declaration->n_stages; i++) {
        const Pen__StageDeclaration *stage = declaration->stages[i];
        if (stage->before_entry != NULL)
            return "a stage with beforeEntry";
        if (stage->on_success != NULL)
            return "a stage with onSuccess";
        if (stage->on_failure != NULL)
            return "a stage with onFailure";
        for (size_t j = 0; j < stage->n_actions; j++) {
            const Pen__ActionTypeId *type = stage->actions[j]->action_type_id;
            if (type != NULL && pen_str_equal(type->category, "Compute"))
                return "a Commands action";
        }
    }
    return NULL;
}

static int set_default(char **text, const char *value, struct pen_error *err)
{
    if (*text != NULL && (*text)[0] != '\0')
        return 0;
    return pen_str_set(text, value) ? 0 : pen_fail(err, PEN_ENOMEM, "no memory for defaults");
}

int pen_model_fill_defaults(Pen__PipelineDeclaration *declaration, struct pen_error *err)
{
    for (size_t i = 0; i < declaration->n_stages; i++) {
        for (size_t j = 0; j < declaration->stages[i]->n_actions; j++) {
            Pen__ActionDeclaration *action = declaration->stages[i]->actions[j];
            if (!action->has_run_order) {
                action->has_run_order = true;
                action->run_order = 1;
            }
        }
    }
    if (!declaration->has_version) {
        declaration->has_version = true;
        declaration->version = 1;
    }
    int code = set_default(&declaration->execution_mode, "SUPERSEDED", err);
    if (code == 0)
        code = set_default(&declaration->pipeline_type,
                           pen_model_v2_member(declaration) != NULL ? "V2" : "V1", err);
    return code;
}
