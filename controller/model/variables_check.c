/* Namespaces and references of a whole declaration. */
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/map.h"
#include "controller/model/places.h"
#include "controller/model/variables.h"

#define ACTION_ERROR "InvalidActionDeclarationException"

struct check {
    const Pen__PipelineDeclaration *declaration;
    struct pen_places *places;
    struct pen_map namespaces; /* name to struct pen_place */
    struct pen_map variables;  /* name to PipelineVariableDeclaration */
    struct pen_map artifacts;  /* name to OutputArtifact */
    struct pen_place *user;    /* place whose texts are being looked at */
    const char *what;          /* and their name: "action 'Build'" */
};

static int collect_variables(struct check *check, struct pen_error *err)
{
    const Pen__PipelineDeclaration *declaration = check->declaration;
    for (size_t i = 0; i < declaration->n_variables; i++) {
        Pen__PipelineVariableDeclaration *variable = declaration->variables[i];
        struct pen_key key = pen_key_text(variable->name);
        if (pen_map_get(&check->variables, key) != NULL)
            return pen_fail_api(err, PEN_EINVAL, "InvalidStructureException",
                                "Pipeline variable '%s' is declared more than once",
                                variable->name);
        int code = pen_map_put(&check->variables, key, variable, err);
        if (code < 0)
            return code;
    }
    return 0;
}

static int collect_artifacts(struct check *check, struct pen_error *err)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < check->places->count; i++) {
        const Pen__ActionDeclaration *action = check->places->items[i].action;
        for (size_t j = 0; code == 0 && j < action->n_output_artifacts; j++) {
            Pen__OutputArtifact *output = action->output_artifacts[j];
            code = pen_map_put(&check->artifacts, pen_key_text(output->name), output, err);
        }
    }
    return code;
}

static int collect_namespaces(struct check *check, struct pen_error *err)
{
    for (size_t i = 0; i < check->places->count; i++) {
        struct pen_place *place = &check->places->items[i];
        const char *name = place->action->namespace_;
        if (name == NULL)
            continue;
        if (strcmp(name, PEN_NAMESPACE_EXECUTION) == 0 || strcmp(name, PEN_NAMESPACE_PIPELINE) == 0)
            return pen_fail_api(err, PEN_EINVAL, ACTION_ERROR,
                                "Namespace '%s' of action '%s' in stage '%s' is reserved", name,
                                place->action->name, place->stage->name);
        struct pen_key key = pen_key_text(name);
        if (pen_map_get(&check->artifacts, key) != NULL)
            return pen_fail_api(err, PEN_EINVAL, ACTION_ERROR,
                                "Namespace '%s' of action '%s' in stage '%s' is also the name of "
                                "an artifact",
                                name, place->action->name, place->stage->name);
        if (pen_map_get(&check->namespaces, key) != NULL)
            return pen_fail_api(err, PEN_EINVAL, ACTION_ERROR,
                                "Namespaces must be unique across the pipeline definition. The "
                                "following occur more than once in the pipeline. StageName=[%s], "
                                "ActionName=[%s], Namespace=[%s]",
                                place->stage->name, place->action->name, name);
        int code = pen_map_put(&check->namespaces, key, place, err);
        if (code < 0)
            return code;
    }
    return 0;
}

static bool is_source(const Pen__ActionDeclaration *action)
{
    return action != NULL && action->action_type_id != NULL &&
           action->action_type_id->category != NULL &&
           strcmp(action->action_type_id->category, "Source") == 0;
}

static int check_reference(void *context, const char *namespace_name, const char *key,
                           struct pen_error *err)
{
    struct check *check = context;
    if (is_source(check->user->action)) /* what they bring begins the execution */
        return pen_fail(err, PEN_EINVAL,
                        "refers to '#{%s.%s}', but variables are not resolved in source actions",
                        namespace_name, key);
    if (strcmp(namespace_name, PEN_NAMESPACE_EXECUTION) == 0) {
        if (strcmp(key, "PipelineExecutionId") == 0)
            return 0;
        return pen_fail(err, PEN_EINVAL,
                        "refers to '#{%s.%s}', but the only key of this namespace is "
                        "PipelineExecutionId",
                        namespace_name, key);
    }
    if (strcmp(namespace_name, PEN_NAMESPACE_PIPELINE) == 0) {
        if (pen_map_get(&check->variables, pen_key_text(key)) != NULL)
            return 0;
        return pen_fail(err, PEN_EINVAL,
                        "refers to '#{%s.%s}', but the pipeline declares no variable '%s'",
                        namespace_name, key, key);
    }
    const struct pen_place *producer =
        pen_map_get(&check->namespaces, pen_key_text(namespace_name));
    if (producer == NULL)
        return pen_fail(err, PEN_EINVAL,
                        "refers to '#{%s.%s}', but no action has the namespace '%s'",
                        namespace_name, key, namespace_name);
    if (!pen_place_before(producer, check->user))
        return pen_fail(err, PEN_EINVAL,
                        "refers to '#{%s.%s}', but action '%s' in stage '%s', which has this "
                        "namespace, does not run before it",
                        namespace_name, key, producer->action->name, producer->stage->name);
    return 0;
}

/* Check one text of the user; `member` names it. */
static int check_text(struct check *check, const char *text, const char *member, const char *name,
                      struct pen_error *err)
{
    if (!pen_variables_present(text))
        return 0;
    struct pen_error fault = {0};
    int code = pen_variables_each(text, check_reference, check, &fault);
    if (code == 0)
        return 0;
    const char *quote = name == NULL ? "" : "'";
    return pen_fail_api(err, code, ACTION_ERROR, "%s in stage '%s': %s%s%s%s%s %s", check->what,
                        check->user->stage->name, member, name == NULL ? "" : " ", quote,
                        name == NULL ? "" : name, quote, fault.message);
}

static int check_action(struct check *check, struct pen_place *place, struct pen_error *err)
{
    const Pen__ActionDeclaration *action = place->action;
    char what[128];
    (void)snprintf(what, sizeof what, "Action '%.100s'", action->name);
    check->user = place;
    check->what = what;
    int code = 0;
    for (size_t i = 0; code == 0 && i < action->n_configuration; i++)
        code = check_text(check, action->configuration[i]->value, "configuration",
                          action->configuration[i]->key, err);
    for (size_t i = 0; code == 0 && i < action->n_commands; i++)
        code = check_text(check, action->commands[i], "a command", NULL, err);
    for (size_t i = 0; code == 0 && i < action->n_environment_variables; i++)
        code = check_text(check, action->environment_variables[i]->value, "environment variable",
                          action->environment_variables[i]->name, err);
    check->what = NULL;
    return code;
}

/* Rules of the conditions of one kind, which stand at `place`. */
static int check_conditions(struct check *check, struct pen_place *place, size_t count,
                            Pen__Condition *const *conditions, struct pen_error *err)
{
    int code = 0;
    check->user = place;
    for (size_t i = 0; code == 0 && i < count; i++) {
        for (size_t j = 0; code == 0 && j < conditions[i]->n_rules; j++) {
            const Pen__RuleDeclaration *rule = conditions[i]->rules[j];
            char what[128];
            (void)snprintf(what, sizeof what, "Rule '%.100s'", rule->name);
            check->what = what;
            for (size_t k = 0; code == 0 && k < rule->n_configuration; k++)
                code = check_text(check, rule->configuration[k]->value, "configuration",
                                  rule->configuration[k]->key, err);
            for (size_t k = 0; code == 0 && k < rule->n_commands; k++)
                code = check_text(check, rule->commands[k], "a command", NULL, err);
            check->what = NULL;
        }
    }
    return code;
}

static int check_stage(struct check *check, size_t index, struct pen_error *err)
{
    const Pen__StageDeclaration *stage = check->declaration->stages[index];
    struct pen_place before = {.stage = stage, .stage_index = index, .run_order = 0};
    struct pen_place behind = {.stage = stage, .stage_index = index, .run_order = INT32_MAX};
    int code = 0;
    if (stage->before_entry != NULL)
        code = check_conditions(check, &before, stage->before_entry->n_conditions,
                                stage->before_entry->conditions, err);
    if (code == 0 && stage->on_success != NULL)
        code = check_conditions(check, &behind, stage->on_success->n_conditions,
                                stage->on_success->conditions, err);
    if (code == 0 && stage->on_failure != NULL)
        code = check_conditions(check, &behind, stage->on_failure->n_conditions,
                                stage->on_failure->conditions, err);
    check->user = NULL;
    return code;
}

static int run_checks(struct check *check, struct pen_error *err)
{
    int code = pen_places_create(check->declaration, &check->places, err);
    if (code == 0)
        code = collect_variables(check, err);
    if (code == 0)
        code = collect_artifacts(check, err);
    if (code == 0)
        code = collect_namespaces(check, err);
    for (size_t i = 0; code == 0 && i < check->places->count; i++)
        code = check_action(check, &check->places->items[i], err);
    for (size_t i = 0; code == 0 && i < check->declaration->n_stages; i++)
        code = check_stage(check, i, err);
    return code;
}

int pen_variables_check(const Pen__PipelineDeclaration *declaration, struct pen_error *err)
{
    struct check check = {.declaration = declaration};
    int code = run_checks(&check, err);
    pen_map_release(&check.namespaces);
    pen_map_release(&check.variables);
    pen_map_release(&check.artifacts);
    pen_places_destroy(&check.places);
    return code;
}
