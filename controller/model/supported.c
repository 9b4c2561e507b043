#include "controller/model/supported.h"

#include <stdbool.h>
#include <string.h>

#include "controller/model/action_types.h"
#include "controller/model/providers.h"
#include "controller/model/rules.h"

/* Each function: whether the declaration, stage or action asks for it. */

static bool wants_secrets(const Pen__ActionDeclaration *action)
{
    for (size_t i = 0; i < action->n_environment_variables; i++) {
        const char *type = action->environment_variables[i]->type;
        if (type != NULL && strcmp(type, "PLAINTEXT") != 0)
            return true;
    }
    return false;
}

static bool wants_notification(const Pen__ActionDeclaration *action)
{
    return !pen_action_is_custom(action->action_type_id) &&
           pen_action_configuration(action, "NotificationArn") != NULL;
}

/* Job workers deliver artifacts through S3, which is not served. */
static bool wants_custom_outputs(const Pen__ActionDeclaration *action)
{
    return pen_action_is_custom(action->action_type_id) && action->n_output_artifacts > 0;
}

static const struct {
    bool (*wants)(const Pen__ActionDeclaration *action);
    const char *what;
} action_members[] = {
    {wants_secrets, "environmentVariables of type SECRETS_MANAGER"},
    {wants_custom_outputs, "output artifacts of custom actions: there is no place yet where a job "
                           "worker could put them; remove outputArtifacts"},
    {wants_notification, "NotificationArn: remove it and watch the approval instead"},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int check_action(const Pen__StageDeclaration *stage, const Pen__ActionDeclaration *action,
                        struct pen_error *err)
{
    for (size_t i = 0; i < COUNT(action_members); i++) {
        if (action_members[i].wants(action))
            return pen_fail_api(err, PEN_EUNSUPPORTED, "InvalidActionDeclarationException",
                                "Action '%s' in stage '%s': this release of Penstock does not "
                                "support %s",
                                action->name, stage->name, action_members[i].what);
    }
    return 0;
}

static int check_stage(const Pen__StageDeclaration *stage, struct pen_error *err)
{
    int code = pen_rules_check(stage, err);
    for (size_t i = 0; code == 0 && i < stage->n_actions; i++)
        code = check_action(stage, stage->actions[i], err);
    return code;
}

int pen_model_check_supported(const Pen__PipelineDeclaration *declaration, struct pen_error *err)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < declaration->n_stages; i++)
        code = check_stage(declaration->stages[i], err);
    return code;
}
