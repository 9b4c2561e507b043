#include "controller/model/validate.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/map.h"
#include "controller/model/providers.h"
#include "controller/model/supported.h"
#include "controller/model/validate_internal.h"
#include "controller/model/variables.h"

#define STRUCTURE "InvalidStructureException"
#define STAGE     "InvalidStageDeclarationException"
#define ACTION    "InvalidActionDeclarationException"
#define VALUE     "ValidationException"

static const struct pen_structure_limits api_limits = {
    .stages = PEN_STAGES_MAX,
    .actions_per_stage = PEN_ACTIONS_PER_STAGE_MAX,
    .actions = PEN_ACTIONS_PER_PIPELINE_MAX,
};

static bool same(const char *a, const char *b)
{
    return a != NULL && strcmp(a, b) == 0;
}

static bool is_source(const Pen__ActionDeclaration *action)
{
    return action->action_type_id != NULL && same(action->action_type_id->category, "Source");
}

/* A name of 1 to size_max characters of [A-Za-z0-9_-] and those of `more`. */
static bool name_valid(const char *name, size_t size_max, const char *more)
{
    size_t size = name == NULL ? 0 : strlen(name);
    if (size < 1 || size > size_max)
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-' || strchr(more, c) != NULL))
            return false;
    }
    return true;
}

static int check_name(const char *what, const char *name, const char *more, struct pen_error *err)
{
    size_t size_max = PEN_NAME_MAX;
    if (same(what, "variable"))
        size_max = PEN_VARIABLE_KEY_MAX;
    if (name_valid(name, size_max, more))
        return 0;
    return pen_fail_api(err, PEN_EINVAL, VALUE,
                        "The %s name '%.120s' must have 1 to %zu characters of [A-Za-z0-9%s_-]",
                        what, name == NULL ? "" : name, size_max, more);
}

static bool region_valid(const char *region)
{
    size_t size = region == NULL ? 0 : strlen(region);
    if (size < 4 || size > 30)
        return false;
    return strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") == size;
}

/* ---- the pipeline as a whole */

static bool has_store(const Pen__PipelineDeclaration *declaration, const char *region)
{
    for (size_t i = 0; i < declaration->n_artifact_stores; i++) {
        if (same(declaration->artifact_stores[i]->key, region))
            return true;
    }
    return false;
}

/* own_region: the pipeline's; NULL when it is not known. */
static int check_artifact_stores(const Pen__PipelineDeclaration *declaration,
                                 const char *own_region, struct pen_error *err)
{
    bool one = declaration->artifact_store != NULL;
    bool many = declaration->n_artifact_stores > 0;
    if (one == many)
        return pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                            "Pipeline has %s: exactly one of artifactStore and artifactStores is "
                            "needed",
                            one ? "both artifactStore and artifactStores"
                                : "neither artifactStore nor artifactStores");
    for (size_t i = 0; i < declaration->n_artifact_stores; i++) {
        const char *region = declaration->artifact_stores[i]->key;
        if (!region_valid(region))
            return pen_fail_api(err, PEN_EINVAL, VALUE,
                                "The region %.60s specified in 'pipeline.artifactStores' is not a "
                                "valid AWS Region.",
                                region);
        if (declaration->artifact_stores[i]->value == NULL)
            return pen_fail_api(err, PEN_EINVAL, VALUE,
                                "'pipeline.artifactStores' has no store for region %s", region);
    }
    if (many && own_region != NULL && !has_store(declaration, own_region))
        return pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                            "Pipeline has no entry in artifactStores for its own region %s",
                            own_region);
    return 0;
}

static int check_mode_and_type(const Pen__PipelineDeclaration *declaration, struct pen_error *err)
{
    const char *mode = declaration->execution_mode;
    if (mode != NULL && !same(mode, "SUPERSEDED") && !same(mode, "QUEUED") &&
        !same(mode, "PARALLEL"))
        return pen_fail_api(err, PEN_EINVAL, VALUE,
                            "executionMode '%.60s' is none of SUPERSEDED, QUEUED, PARALLEL", mode);
    const char *type = declaration->pipeline_type;
    if (type != NULL && !same(type, "V1") && !same(type, "V2"))
        return pen_fail_api(err, PEN_EINVAL, VALUE, "pipelineType '%.60s' is none of V1, V2", type);
    const char *member = pen_model_v2_member(declaration);
    if (same(type, "V1") && member != NULL)
        return pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                            "Pipeline of type V1 has %s: set pipelineType to V2 for it", member);
    return 0;
}

static int check_source_stage(const Pen__PipelineDeclaration *declaration, struct pen_error *err)
{
    const Pen__StageDeclaration *first = declaration->stages[0];
    bool sources = first->n_actions > 0;
    for (size_t i = 0; i < first->n_actions; i++)
        sources = sources && is_source(first->actions[i]);
    if (!sources)
        return pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                            "Pipeline should start with a stage that only contains source actions");
    for (size_t i = 1; i < declaration->n_stages; i++) {
        const Pen__StageDeclaration *stage = declaration->stages[i];
        for (size_t j = 0; j < stage->n_actions; j++) {
            if (is_source(stage->actions[j]))
                return pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                                    "Source action '%s' is in stage '%s': only the first stage "
                                    "takes source actions",
                                    stage->actions[j]->name, stage->name);
        }
    }
    return 0;
}

static int check_counts(const Pen__PipelineDeclaration *declaration,
                        const struct pen_structure_limits *limits, struct pen_error *err)
{
    size_t stages = declaration->n_stages;
    if (stages < PEN_STAGES_MIN)
        return pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                            "Pipeline has only %zu stage(s). There should be a minimum of %d "
                            "stages in a pipeline",
                            stages, PEN_STAGES_MIN);
    if (stages > limits->stages)
        return pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                            "Pipeline has %zu stages. There should be a maximum of %u stages in a "
                            "pipeline (stages-max)",
                            stages, limits->stages);
    size_t actions = 0;
    for (size_t i = 0; i < stages; i++)
        actions += declaration->stages[i]->n_actions;
    if (actions > limits->actions)
        return pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                            "Pipeline has %zu actions. There should be a maximum of %u actions in "
                            "a pipeline (pipeline-actions-max)",
                            actions, limits->actions);
    if (declaration->n_variables > PEN_VARIABLES_MAX)
        return pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                            "Pipeline has %zu variables. There should be a maximum of %d",
                            declaration->n_variables, PEN_VARIABLES_MAX);
    int code = 0;
    for (size_t i = 0; code == 0 && i < declaration->n_variables; i++)
        code = check_name("variable", declaration->variables[i]->name, "@", err);
    return code;
}

/* ---- stages */

static int check_stage(const Pen__PipelineDeclaration *declaration,
                       const Pen__StageDeclaration *stage,
                       const struct pen_structure_limits *limits, struct pen_error *err)
{
    int code = check_name("stage", stage->name, ".@", err);
    if (code < 0)
        return code;
    if (stage->n_blockers > 0)
        return pen_fail_api(err, PEN_EINVAL, "InvalidBlockerDeclarationException",
                            "Stage '%s' has blockers: the member is reserved and must be empty",
                            stage->name);
    if (stage->n_actions < 1)
        return pen_fail_api(err, PEN_EINVAL, STAGE,
                            "Stage '%s' has no actions. There should be a minimum of 1 action in "
                            "a stage",
                            stage->name);
    if (stage->n_actions > limits->actions_per_stage)
        return pen_fail_api(err, PEN_EINVAL, STAGE,
                            "Stage '%s' has %zu actions. There should be a maximum of %u actions "
                            "in a stage (stage-actions-max)",
                            stage->name, stage->n_actions, limits->actions_per_stage);
    return pen_validate_conditions(declaration, stage, err);
}

/* Put name into names; *ret_known says whether it was there. */
static int note_name(struct pen_map *names, const char *name, bool *ret_known,
                     struct pen_error *err)
{
    struct pen_key key = pen_key_text(name);
    *ret_known = pen_map_get(names, key) != NULL;
    return *ret_known ? 0 : pen_map_put(names, key, names, err);
}

static int check_stages(const Pen__PipelineDeclaration *declaration,
                        const struct pen_structure_limits *limits, struct pen_error *err)
{
    struct pen_map names = {0};
    int code = 0;
    for (size_t i = 0; code == 0 && i < declaration->n_stages; i++) {
        const Pen__StageDeclaration *stage = declaration->stages[i];
        bool known = false;
        code = check_stage(declaration, stage, limits, err);
        if (code == 0)
            code = note_name(&names, stage->name, &known, err);
        if (code == 0 && known)
            code = pen_fail_api(err, PEN_EINVAL, STAGE,
                                "Stage name '%s' occurs more than once: stage names must be "
                                "unique within a pipeline",
                                stage->name);
    }
    pen_map_release(&names);
    return code;
}

/* ---- actions */

static int check_configuration_sizes(const Pen__ActionDeclaration *action, struct pen_error *err)
{
    for (size_t i = 0; i < action->n_configuration; i++) {
        const char *key = action->configuration[i]->key;
        const char *value = action->configuration[i]->value;
        size_t key_size = key == NULL ? 0 : strlen(key);
        if (key_size < 1 || key_size > PEN_CONFIGURATION_KEY_MAX)
            return pen_fail_api(err, PEN_EINVAL, VALUE,
                                "Action '%s': configuration key '%.60s' must have 1 to %d "
                                "characters",
                                action->name, key == NULL ? "" : key, PEN_CONFIGURATION_KEY_MAX);
        size_t characters = 0;
        for (const char *at = value == NULL ? "" : value; *at != '\0'; at++)
            characters += ((unsigned char)*at & 0xc0) != 0x80;
        if (characters < 1 || characters > PEN_CONFIGURATION_VALUE_MAX)
            return pen_fail_api(err, PEN_EINVAL, VALUE,
                                "Action '%s': the value of configuration '%s' has %zu characters "
                                "and must have 1 to %d",
                                action->name, key, characters, PEN_CONFIGURATION_VALUE_MAX);
    }
    return 0;
}

static int check_ranges(const Pen__ActionDeclaration *action, struct pen_error *err)
{
    if (action->has_run_order && (action->run_order < 1 || action->run_order > PEN_RUN_ORDER_MAX))
        return pen_fail_api(err, PEN_EINVAL, VALUE,
                            "Action '%s': runOrder is %d and must be 1 to %d", action->name,
                            (int)action->run_order, PEN_RUN_ORDER_MAX);
    if (action->has_timeout_in_minutes &&
        (action->timeout_in_minutes < PEN_APPROVAL_TIMEOUT_MIN_MINUTES ||
         action->timeout_in_minutes > PEN_APPROVAL_TIMEOUT_MAX_MINUTES))
        return pen_fail_api(err, PEN_EINVAL, VALUE,
                            "Action '%s': timeoutInMinutes is %d and must be %d to %d",
                            action->name, (int)action->timeout_in_minutes,
                            PEN_APPROVAL_TIMEOUT_MIN_MINUTES, PEN_APPROVAL_TIMEOUT_MAX_MINUTES);
    return 0;
}

/* own_region: the pipeline's; NULL lets every other one pass. Actions of custom types are judged by
 * pen_custom_action_check, which says what is particular to them. */
static int check_region(const Pen__PipelineDeclaration *declaration,
                        const Pen__ActionDeclaration *action, const char *own_region,
                        struct pen_error *err)
{
    if (action->region == NULL)
        return 0;
    if (!region_valid(action->region))
        return pen_fail_api(err, PEN_EINVAL, VALUE,
                            "The region %.60s specified in action '%s' is not a valid AWS Region.",
                            action->region, action->name);
    if (pen_action_is_custom(action->action_type_id))
        return 0;
    bool elsewhere = own_region != NULL && !same(own_region, action->region);
    if (elsewhere && is_source(action))
        return pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                            "Source action '%s' cannot be in another region (%s) than the pipeline "
                            "(%s)",
                            action->name, action->region, own_region);
    if (declaration->n_artifact_stores > 0 && !has_store(declaration, action->region))
        return pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                            "Action '%s' runs in region %s, which has no entry in artifactStores",
                            action->name, action->region);
    if (elsewhere && declaration->n_artifact_stores == 0)
        return pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                            "Action '%s' runs in another region (%s) than the pipeline (%s): give "
                            "artifactStores with both regions in place of artifactStore",
                            action->name, action->region, own_region);
    return 0;
}

static int check_action(const Pen__PipelineDeclaration *declaration,
                        const struct pen_custom_types *types, const Pen__ActionDeclaration *action,
                        struct pen_error *err)
{
    int code = check_name("action", action->name, ".@", err);
    if (code == 0 && action->namespace_ != NULL)
        code = check_name("namespace", action->namespace_, "@", err);
    for (size_t i = 0; code == 0 && i < action->n_output_artifacts; i++)
        code = check_name("artifact", action->output_artifacts[i]->name, "", err);
    for (size_t i = 0; code == 0 && i < action->n_input_artifacts; i++)
        code = check_name("artifact", action->input_artifacts[i]->name, "", err);
    if (code == 0)
        code = check_ranges(action, err);
    if (code == 0)
        code = check_configuration_sizes(action, err);
    if (code == 0)
        code = check_region(declaration, action, types == NULL ? NULL : types->region, err);
    if (code == 0)
        code = pen_provider_check(action, types, err);
    return code;
}

static int check_actions(const Pen__PipelineDeclaration *declaration,
                         const struct pen_custom_types *types, const Pen__StageDeclaration *stage,
                         struct pen_error *err)
{
    struct pen_map names = {0};
    int code = 0;
    for (size_t i = 0; code == 0 && i < stage->n_actions; i++) {
        const Pen__ActionDeclaration *action = stage->actions[i];
        bool known = false;
        code = check_action(declaration, types, action, err);
        if (code == 0)
            code = note_name(&names, action->name, &known, err);
        if (code == 0 && known)
            code = pen_fail_api(err, PEN_EINVAL, ACTION,
                                "Action name '%s' occurs more than once in stage '%s': action "
                                "names must be unique within a stage",
                                action->name, stage->name);
    }
    pen_map_release(&names);
    return code;
}

int pen_model_validate(const Pen__PipelineDeclaration *declaration, struct pen_error *err)
{
    return pen_model_validate_with(declaration, NULL, NULL, err);
}

int pen_model_validate_with(const Pen__PipelineDeclaration *declaration,
                            const struct pen_custom_types *types,
                            const struct pen_structure_limits *limits, struct pen_error *err)
{
    if (limits == NULL)
        limits = &api_limits;
    int code = check_name("pipeline", declaration->name, ".@", err);
    if (code == 0)
        code = check_counts(declaration, limits, err);
    if (code == 0)
        code = check_artifact_stores(declaration, types == NULL ? NULL : types->region, err);
    if (code == 0)
        code = check_mode_and_type(declaration, err);
    if (code == 0)
        code = check_stages(declaration, limits, err);
    if (code == 0)
        code = check_source_stage(declaration, err);
    for (size_t i = 0; code == 0 && i < declaration->n_stages; i++)
        code = check_actions(declaration, types, declaration->stages[i], err);
    if (code == 0)
        code = pen_validate_artifacts(declaration, err);
    if (code == 0)
        code = pen_variables_check(declaration, err);
    if (code == 0)
        code = pen_validate_triggers(declaration, err);
    if (code == 0)
        code = pen_model_check_supported(declaration, err);
    return code;
}
