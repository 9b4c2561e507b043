/* Conditions of a stage: before entry, on success, on failure. */
#include <stdbool.h>
#include <string.h>

#include "common/base/str.h"
#include "controller/model/rules.h"
#include "controller/model/validate.h"
#include "controller/model/validate_internal.h"

#define STAGE "InvalidStageDeclarationException"

static bool result_allowed(const char *result, const char *const allowed[2])
{
    return pen_str_equal(result, allowed[0]) || pen_str_equal(result, allowed[1]);
}

static int check_result(const Pen__StageDeclaration *stage, const char *kind, const char *result,
                        const char *const allowed[2], struct pen_error *err)
{
    if (result_allowed(result, allowed))
        return 0;
    return pen_fail_api(err, PEN_EINVAL, STAGE,
                        "Stage '%s': %s has the result '%.30s' and takes only %s or %s",
                        stage->name, kind, result == NULL ? "" : result, allowed[0], allowed[1]);
}

static int check_rules(const Pen__StageDeclaration *stage, const char *kind,
                       const Pen__Condition *condition, struct pen_error *err)
{
    if (condition->n_rules < 1 || condition->n_rules > PEN_RULES_PER_CONDITION_MAX)
        return pen_fail_api(err, PEN_EINVAL, STAGE,
                            "Stage '%s': the condition of %s has %zu rules and must have 1 to %d",
                            stage->name, kind, condition->n_rules, PEN_RULES_PER_CONDITION_MAX);
    for (size_t i = 0; i < condition->n_rules; i++) {
        if (pen_str_empty(condition->rules[i]->name))
            return pen_fail_api(err, PEN_EINVAL, STAGE, "Stage '%s': a rule of %s has no name",
                                stage->name, kind);
        for (size_t j = 0; j < i; j++) {
            if (pen_str_equal(condition->rules[i]->name, condition->rules[j]->name))
                return pen_fail_api(err, PEN_EINVAL, STAGE,
                                    "Stage '%s': rule name '%s' occurs more than once in %s",
                                    stage->name, condition->rules[i]->name, kind);
        }
    }
    return 0;
}

static int check_condition(const Pen__StageDeclaration *stage, const char *kind, size_t count,
                           Pen__Condition *const *conditions, const char *result,
                           const char *const allowed[2], struct pen_error *err)
{
    if (count != 1)
        return pen_fail_api(err, PEN_EINVAL, STAGE,
                            "Stage '%s': %s has %zu conditions and must have exactly 1",
                            stage->name, kind, count);
    int code = check_result(stage, kind, result, allowed, err);
    return code < 0 ? code : check_rules(stage, kind, conditions[0], err);
}

/* beforeEntry and onSuccess: each condition says its result. */
static int check_kind(const Pen__StageDeclaration *stage, const char *kind, size_t count,
                      Pen__Condition *const *conditions, const char *const allowed[2],
                      struct pen_error *err)
{
    const char *result = count > 0 ? conditions[0]->result : NULL;
    return check_condition(stage, kind, count, conditions, result, allowed, err);
}

static int check_on_failure(const Pen__StageDeclaration *stage, struct pen_error *err)
{
    static const char *const allowed[2] = {"ROLLBACK", "RETRY"};
    const Pen__FailureConditions *failure = stage->on_failure;
    const char *result = pen_failure_result(stage);
    int code = 0;
    if (failure->result != NULL)
        code = check_result(stage, "onFailure", failure->result, allowed, err);
    if (code == 0 && failure->n_conditions > 0)
        code = check_condition(stage, "onFailure", failure->n_conditions, failure->conditions,
                               result, allowed, err);
    if (code == 0 && failure->result != NULL && !pen_str_equal(failure->result, result))
        code = pen_fail_api(err, PEN_EINVAL, STAGE,
                            "Stage '%s': onFailure has the result %s, and its condition the result "
                            "%s: only one of them can follow",
                            stage->name, failure->result, result);
    if (code == 0 && failure->retry_configuration != NULL && !pen_str_equal(result, "RETRY"))
        code = pen_fail_api(err, PEN_EINVAL, STAGE,
                            "Stage '%s': onFailure has a retryConfiguration without the result "
                            "RETRY",
                            stage->name);
    return code;
}

static bool condition_rolls_back(size_t count, Pen__Condition *const *conditions)
{
    for (size_t i = 0; i < count; i++) {
        if (pen_str_equal(conditions[i]->result, "ROLLBACK"))
            return true;
    }
    return false;
}

static bool rolls_back(const Pen__StageDeclaration *stage)
{
    const Pen__SuccessConditions *success = stage->on_success;
    if (pen_str_equal(pen_failure_result(stage), "ROLLBACK"))
        return true;
    return success != NULL && condition_rolls_back(success->n_conditions, success->conditions);
}

int pen_validate_conditions(const Pen__PipelineDeclaration *declaration,
                            const Pen__StageDeclaration *stage, struct pen_error *err)
{
    static const char *const entry[2] = {"FAIL", "SKIP"};
    static const char *const success[2] = {"FAIL", "ROLLBACK"};
    int code = 0;
    if (stage->before_entry != NULL)
        code = check_kind(stage, "beforeEntry", stage->before_entry->n_conditions,
                          stage->before_entry->conditions, entry, err);
    if (code == 0 && stage->on_success != NULL)
        code = check_kind(stage, "onSuccess", stage->on_success->n_conditions,
                          stage->on_success->conditions, success, err);
    if (code == 0 && stage->on_failure != NULL)
        code = check_on_failure(stage, err);
    if (code < 0)
        return code;
    if (rolls_back(stage) && pen_str_equal(declaration->execution_mode, "PARALLEL"))
        return pen_fail_api(err, PEN_EINVAL, "InvalidStructureException",
                            "Stage '%s' has the result ROLLBACK, which executionMode PARALLEL "
                            "does not allow",
                            stage->name);
    if (rolls_back(stage) && stage == declaration->stages[0])
        return pen_fail_api(err, PEN_EINVAL, STAGE,
                            "Stage '%s' has the result ROLLBACK, which the source stage does not "
                            "allow",
                            stage->name);
    return 0;
}
