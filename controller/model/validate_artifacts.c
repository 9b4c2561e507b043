/* Artifacts: every output has a name of its own, every input was made before. */
#include <stdbool.h>
#include <string.h>

#include "common/base/map.h"
#include "controller/model/places.h"
#include "controller/model/rules.h"
#include "controller/model/validate_internal.h"

#define ACTION "InvalidActionDeclarationException"

static int collect_outputs(struct pen_places *places, struct pen_map *outputs,
                           struct pen_error *err)
{
    for (size_t i = 0; i < places->count; i++) {
        struct pen_place *place = &places->items[i];
        for (size_t j = 0; j < place->action->n_output_artifacts; j++) {
            const char *name = place->action->output_artifacts[j]->name;
            struct pen_key key = pen_key_text(name);
            const struct pen_place *other = pen_map_get(outputs, key);
            if (other != NULL)
                return pen_fail_api(err, PEN_EINVAL, ACTION,
                                    "Output Artifact Bundle %s in action %s is declared by action "
                                    "%s, too: names of output artifacts must be unique within a "
                                    "pipeline",
                                    name, place->action->name, other->action->name);
            int code = pen_map_put(outputs, key, place, err);
            if (code < 0)
                return code;
        }
    }
    return 0;
}

static int check_inputs(const struct pen_place *place, const struct pen_map *outputs,
                        struct pen_error *err)
{
    const Pen__ActionDeclaration *action = place->action;
    for (size_t i = 0; i < action->n_input_artifacts; i++) {
        const char *name = action->input_artifacts[i]->name;
        const struct pen_place *producer = pen_map_get(outputs, pen_key_text(name));
        if (producer == NULL || !pen_place_before(producer, place))
            return pen_fail_api(err, PEN_EINVAL, ACTION,
                                "Input Artifact Bundle %s in action %s is not declared as Output "
                                "Artifact Bundle in any of the preceding actions",
                                name, action->name);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(action->input_artifacts[j]->name, name) == 0)
                return pen_fail_api(err, PEN_EINVAL, ACTION,
                                    "Input Artifact Bundle %s occurs more than once in action %s",
                                    name, action->name);
        }
    }
    return 0;
}

/* What rules look at. */
struct rule_check {
    const struct pen_map *outputs;
    size_t stage_index;
};

/* A rule stands before all actions of its stage, or behind them. */
static int check_rule_inputs(void *context, const Pen__StageDeclaration *stage, const char *kind,
                             const Pen__Condition *condition, const Pen__RuleDeclaration *rule,
                             struct pen_error *err)
{
    (void)condition;
    const struct rule_check *check = context;
    const struct pen_place place = {.stage = stage,
                                    .stage_index = check->stage_index,
                                    .run_order = strcmp(kind, "beforeEntry") == 0 ? 0 : INT32_MAX};
    for (size_t i = 0; i < rule->n_input_artifacts; i++) {
        const char *name = rule->input_artifacts[i]->name;
        const struct pen_place *producer = pen_map_get(check->outputs, pen_key_text(name));
        if (producer == NULL || !pen_place_before(producer, &place))
            return pen_fail_api(err, PEN_EINVAL, "InvalidStageDeclarationException",
                                "Stage '%s': input artifact '%s' of rule '%s' of %s is no output "
                                "of an action before it",
                                stage->name, name, rule->name, kind);
        for (size_t j = 0; j < i; j++)
            if (strcmp(rule->input_artifacts[j]->name, name) == 0)
                return pen_fail_api(err, PEN_EINVAL, "InvalidStageDeclarationException",
                                    "Stage '%s': input artifact '%s' occurs more than once in "
                                    "rule '%s' of %s",
                                    stage->name, name, rule->name, kind);
    }
    return 0;
}

int pen_validate_artifacts(const Pen__PipelineDeclaration *declaration, struct pen_error *err)
{
    struct pen_places *places = NULL;
    int code = pen_places_create(declaration, &places, err);
    if (code < 0)
        return code;
    struct pen_map outputs = {0};
    code = collect_outputs(places, &outputs, err);
    for (size_t i = 0; code == 0 && i < places->count; i++)
        code = check_inputs(&places->items[i], &outputs, err);
    for (size_t i = 0; code == 0 && i < declaration->n_stages; i++) {
        struct rule_check check = {.outputs = &outputs, .stage_index = i};
        code = pen_rules_each(declaration->stages[i], check_rule_inputs, &check, err);
    }
    pen_map_release(&outputs);
    pen_places_destroy(&places);
    return code;
}
