#include "controller/model/rules.h"

#include <string.h>

#include "common/base/str.h"
#include "controller/model/cron.h"
#include "controller/model/labels.h"
#include "controller/model/regex.h"
#include "controller/model/variables.h"
#include "controller/model/zone.h"

const char *pen_rule_configuration(const Pen__RuleDeclaration *rule, const char *name)
{
    for (size_t i = 0; i < rule->n_configuration; i++)
        if (pen_str_equal(rule->configuration[i]->key, name))
            return rule->configuration[i]->value;
    return NULL;
}

const char *pen_failure_result(const Pen__StageDeclaration *stage)
{
    const Pen__FailureConditions *failure = stage->on_failure;
    if (failure == NULL)
        return NULL;
    if (failure->n_conditions > 0 && failure->conditions[0]->result != NULL)
        return failure->conditions[0]->result;
    return failure->result;
}

/* ---- one rule */

static int check_keys(const Pen__RuleDeclaration *rule, const struct pen_rule_type *type,
                      struct pen_error *err)
{
    for (size_t i = 0; i < type->keys_count; i++)
        if (type->keys[i].required &&
            pen_str_empty(pen_rule_configuration(rule, type->keys[i].name)))
            return pen_fail(err, PEN_EINVAL, "its configuration lacks '%s'", type->keys[i].name);
    for (size_t i = 0; i < rule->n_configuration; i++) {
        bool found = false;
        for (size_t k = 0; k < type->keys_count && !found; k++)
            found = pen_str_equal(rule->configuration[i]->key, type->keys[k].name);
        if (!found)
            return pen_fail(err, PEN_EINVAL, "its configuration has no '%.50s'",
                            rule->configuration[i]->key);
    }
    return 0;
}

static int check_commands(const Pen__RuleDeclaration *rule, struct pen_error *err)
{
    if (rule->n_commands == 0 || rule->n_commands > PEN_RULE_COMMANDS_MAX)
        return pen_fail(err, PEN_EINVAL, "it has %zu commands and must have 1 to %d",
                        rule->n_commands, PEN_RULE_COMMANDS_MAX);
    const char *runs_on = pen_rule_configuration(rule, "RunsOn");
    struct pen_labels labels;
    if (runs_on == NULL || pen_variables_present(runs_on))
        return 0;
    int rc = pen_labels_parse(runs_on, &labels, err);
    return rc < 0 ? pen_error_prefix(err, "RunsOn") : 0;
}

static int check_variable(const Pen__RuleDeclaration *rule, struct pen_error *err)
{
    const char *how = pen_rule_configuration(rule, "Operator");
    const char *value = pen_rule_configuration(rule, "Value");
    if (strcmp(how, "MATCHES") == 0 && !pen_variables_present(value)) {
        struct pen_regex *regex = NULL;
        int rc = pen_regex_parse(value, &regex, err);
        pen_regex_destroy(&regex);
        return rc;
    }
    if (strcmp(how, "MATCHES") != 0 && strcmp(how, "EQ") != 0 && strcmp(how, "NE") != 0 &&
        strcmp(how, "CONTAINS") != 0)
        return pen_fail(err, PEN_EINVAL,
                        "its Operator is '%.30s' and takes only EQ, NE, CONTAINS or MATCHES", how);
    return 0;
}

static int check_window(const Pen__RuleDeclaration *rule, struct pen_error *err)
{
    struct pen_cron cron;
    int32_t offset_s = 0;
    const char *text = pen_rule_configuration(rule, "Cron");
    const char *zone = pen_rule_configuration(rule, "TimeZone");
    int rc = pen_variables_present(text) ? 0 : pen_cron_parse(text, &cron, err);
    if (rc == 0 && zone != NULL && !pen_variables_present(zone) &&
        pen_zone_parse_fixed(zone, &offset_s, NULL) < 0)
        rc = pen_zone_name_check(zone, err);
    return rc;
}

static int check_members(const Pen__RuleDeclaration *rule, const struct pen_rule_type *type,
                         struct pen_error *err)
{
    if (!type->commands && rule->n_commands > 0)
        return pen_fail(err, PEN_EINVAL, "provider %s takes no commands", type->provider);
    if (rule->n_input_artifacts > type->inputs_max)
        return pen_fail(err, PEN_EINVAL, "it has %zu inputArtifacts, and provider %s takes %zu%s",
                        rule->n_input_artifacts, type->provider, type->inputs_max,
                        type->inputs_max > 0 ? " at most" : "");
    if (rule->has_timeout_in_minutes && (rule->timeout_in_minutes < PEN_RULE_TIMEOUT_MINUTES_MIN ||
                                         rule->timeout_in_minutes > PEN_RULE_TIMEOUT_MINUTES_MAX))
        return pen_fail(err, PEN_EINVAL, "its timeoutInMinutes is %d and must be %d to %d",
                        rule->timeout_in_minutes, PEN_RULE_TIMEOUT_MINUTES_MIN,
                        PEN_RULE_TIMEOUT_MINUTES_MAX);
    return 0;
}

static int check_rule(const Pen__RuleDeclaration *rule, const char *result, struct pen_error *err)
{
    const struct pen_rule_type *type = pen_rule_type_find(rule->rule_type_id);
    const Pen__RuleTypeId *id = rule->rule_type_id;
    if (type == NULL)
        return pen_fail(err, PEN_EUNSUPPORTED,
                        "this release of Penstock does not support the provider '%.50s' "
                        "(category '%.20s', owner '%.20s', version '%.20s'): it has %s, of "
                        "category Rule, owner AWS and version 1",
                        id == NULL || id->provider == NULL ? "" : id->provider,
                        id == NULL || id->category == NULL ? "" : id->category,
                        id == NULL || id->owner == NULL ? "" : id->owner,
                        id == NULL || id->version == NULL ? "" : id->version,
                        pen_rule_types_text());
    if (!type->skips && pen_str_equal(result, "SKIP"))
        return pen_fail(err, PEN_EINVAL, "the result SKIP takes rules of VariableCheck only");
    int rc = check_members(rule, type, err);
    if (rc < 0 || (rc = check_keys(rule, type, err)) < 0)
        return rc;
    switch (type->kind) {
    case PEN_RULE_KIND_COMMANDS:
        return check_commands(rule, err);
    case PEN_RULE_KIND_WINDOW:
        return check_window(rule, err);
    case PEN_RULE_KIND_VARIABLE:
        return check_variable(rule, err);
    }
    return 0;
}

/* ---- all of a stage */

static int each_of(const Pen__StageDeclaration *stage, const char *kind, size_t count,
                   Pen__Condition *const *conditions, pen_rule_f *each, void *context,
                   struct pen_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        for (size_t k = 0; rc == 0 && k < conditions[i]->n_rules; k++)
            rc = each(context, stage, kind, conditions[i], conditions[i]->rules[k], err);
    return rc;
}

int pen_rules_each(const Pen__StageDeclaration *stage, pen_rule_f *each, void *context,
                   struct pen_error *err)
{
    int rc = 0;
    if (stage->before_entry != NULL)
        rc = each_of(stage, "beforeEntry", stage->before_entry->n_conditions,
                     stage->before_entry->conditions, each, context, err);
    if (rc == 0 && stage->on_success != NULL)
        rc = each_of(stage, "onSuccess", stage->on_success->n_conditions,
                     stage->on_success->conditions, each, context, err);
    if (rc == 0 && stage->on_failure != NULL)
        rc = each_of(stage, "onFailure", stage->on_failure->n_conditions,
                     stage->on_failure->conditions, each, context, err);
    return rc;
}

static int check_one(void *context, const Pen__StageDeclaration *stage, const char *kind,
                     const Pen__Condition *condition, const Pen__RuleDeclaration *rule,
                     struct pen_error *err)
{
    (void)context;
    struct pen_error why = {0};
    int rc = check_rule(rule, condition->result, &why);
    if (rc < 0)
        return pen_fail_api(err, rc, "InvalidStageDeclarationException",
                            "Stage '%s': rule '%s' of %s: %s", stage->name, rule->name, kind,
                            why.message);
    return 0;
}

int pen_rules_check(const Pen__StageDeclaration *stage, struct pen_error *err)
{
    return pen_rules_each(stage, check_one, NULL, err);
}
