#include "controller/model/rules.h"

#include <string.h>

#include "common/base/str.h"
#include "controller/model/cron.h"
#include "controller/model/variables.h"

static const char *value_of(const Pen__RuleDeclaration *rule, const char *key)
{
    for (size_t i = 0; i < rule->n_configuration; i++)
        if (pen_str_equal(rule->configuration[i]->key, key))
            return rule->configuration[i]->value;
    return NULL;
}

static int check_keys(const Pen__RuleDeclaration *rule, const char *const *known, size_t count,
                      size_t required, struct pen_error *err)
{
    for (size_t i = 0; i < required; i++)
        if (pen_str_empty(value_of(rule, known[i])))
            return pen_fail(err, PEN_EINVAL, "its configuration lacks '%s'", known[i]);
    for (size_t i = 0; i < rule->n_configuration; i++) {
        bool found = false;
        for (size_t k = 0; k < count && !found; k++)
            found = pen_str_equal(rule->configuration[i]->key, known[k]);
        if (!found)
            return pen_fail(err, PEN_EINVAL, "its configuration has no '%.50s'",
                            rule->configuration[i]->key);
    }
    return 0;
}

static int check_variable(const Pen__RuleDeclaration *rule, struct pen_error *err)
{
    static const char *const keys[] = {"Variable", "Operator", "Value"};
    int rc = check_keys(rule, keys, 3, 3, err);
    if (rc < 0)
        return rc;
    const char *how = value_of(rule, "Operator");
    if (strcmp(how, "MATCHES") == 0)
        return pen_fail(err, PEN_EUNSUPPORTED,
                        "this release of Penstock does not support the operator MATCHES");
    if (strcmp(how, "EQ") != 0 && strcmp(how, "NE") != 0 && strcmp(how, "CONTAINS") != 0)
        return pen_fail(err, PEN_EINVAL,
                        "its Operator is '%.30s' and takes only EQ, NE or CONTAINS", how);
    return 0;
}

static int check_window(const Pen__RuleDeclaration *rule, struct pen_error *err)
{
    static const char *const keys[] = {"Cron", "TimeZone"};
    int rc = check_keys(rule, keys, 2, 1, err);
    struct pen_cron cron;
    int32_t offset_s = 0;
    if (rc == 0 && !pen_variables_present(value_of(rule, "Cron")))
        rc = pen_cron_parse(value_of(rule, "Cron"), &cron, err);
    const char *zone = value_of(rule, "TimeZone");
    if (rc == 0 && (zone == NULL || !pen_variables_present(zone)))
        rc = pen_zone_parse_fixed(zone, &offset_s, err);
    return rc;
}

static int check_rule(const Pen__RuleDeclaration *rule, const char *result, struct pen_error *err)
{
    const char *provider = rule->rule_type_id == NULL ? NULL : rule->rule_type_id->provider;
    bool window = pen_str_equal(provider, PEN_RULE_DEPLOYMENT_WINDOW);
    if (!window && !pen_str_equal(provider, PEN_RULE_VARIABLE_CHECK))
        return pen_fail(err, PEN_EUNSUPPORTED,
                        "this release of Penstock does not support the provider '%.50s': it has "
                        "VariableCheck and DeploymentWindow",
                        provider == NULL ? "" : provider);
    if (window && pen_str_equal(result, "SKIP"))
        return pen_fail(err, PEN_EINVAL, "the result SKIP takes rules of VariableCheck only");
    if (rule->n_commands > 0 || rule->n_input_artifacts > 0)
        return pen_fail(err, PEN_EINVAL, "provider %s takes no commands and no inputArtifacts",
                        provider);
    if (rule->has_timeout_in_minutes && (rule->timeout_in_minutes < PEN_RULE_TIMEOUT_MINUTES_MIN ||
                                         rule->timeout_in_minutes > PEN_RULE_TIMEOUT_MINUTES_MAX))
        return pen_fail(err, PEN_EINVAL, "its timeoutInMinutes is %d and must be %d to %d",
                        rule->timeout_in_minutes, PEN_RULE_TIMEOUT_MINUTES_MIN,
                        PEN_RULE_TIMEOUT_MINUTES_MAX);
    return window ? check_window(rule, err) : check_variable(rule, err);
}

static int check_conditions(const Pen__StageDeclaration *stage, const char *kind, size_t count,
                            Pen__Condition *const *conditions, struct pen_error *err)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < conditions[i]->n_rules; k++) {
            struct pen_error why = {0};
            int rc = check_rule(conditions[i]->rules[k], conditions[i]->result, &why);
            if (rc < 0)
                return pen_fail_api(err, rc, "InvalidStageDeclarationException",
                                    "Stage '%s': rule '%s' of %s: %s", stage->name,
                                    conditions[i]->rules[k]->name, kind, why.message);
        }
    }
    return 0;
}

int pen_rules_check(const Pen__StageDeclaration *stage, struct pen_error *err)
{
    int rc = 0;
    if (stage->before_entry != NULL)
        rc = check_conditions(stage, "beforeEntry", stage->before_entry->n_conditions,
                              stage->before_entry->conditions, err);
    if (rc == 0 && stage->on_success != NULL)
        rc = check_conditions(stage, "onSuccess", stage->on_success->n_conditions,
                              stage->on_success->conditions, err);
    if (rc == 0 && stage->on_failure != NULL)
        rc = check_conditions(stage, "onFailure", stage->on_failure->n_conditions,
                              stage->on_failure->conditions, err);
    return rc;
}
