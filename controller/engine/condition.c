/* controller/engine/condition.c - the rules before, after and instead of a stage's actions
 *
 *     not checked -> InProgress -> Succeeded, Failed
 *                        |             |
 *                        +-> Abandoned +-> Overridden (Failed before the stage, or after it, only)
 *                        +-> Overridden
 *
 * Only a condition in progress has rules in memory. What a verdict means for the stage is decided
 * in stage_run.c.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/id.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/named.h"
#include "controller/model/regex.h"

/* ---- start */

static int resolve(const struct execution *execution, const Pen__RuleDeclaration *declaration,
                   Pen__RuleExecutionRow *row, struct pen_error *err)
{
    for (size_t i = 0; i < declaration->n_configuration; i++) {
        Pen__RuleExecutionRow__ResolvedConfigurationEntry *entry =
            MAKE(Pen__RuleExecutionRow__ResolvedConfigurationEntry,
                 pen__rule_execution_row__resolved_configuration_entry__init);
        APPEND(row, resolved_configuration, entry);
        entry->key = mem_text(declaration->configuration[i]->key);
        int rc =
            execution_expand(execution, declaration->configuration[i]->value, &entry->value, err);
        if (rc < 0)
            return pen_error_prefix(err, "configuration '%s'", entry->key);
    }
    return 0;
}

static Pen__RuleExecutionRow *new_row(struct pen_engine *engine, const struct stage_run *run,
                                      Pen__ConditionKind kind,
                                      const Pen__RuleDeclaration *declaration, uint64_t order)
{
    const struct execution *execution = run->execution;
    Pen__RuleExecutionRow *row = MAKE(Pen__RuleExecutionRow, pen__rule_execution_row__init);
    char id[PEN_UUID_TEXT_SIZE];
    pen_uuid(&engine->prng, id);
    row->id = mem_text(id);
    row->execution_id = mem_text(execution->row->id);
    row->pipeline = mem_text(execution->row->pipeline);
    SET(row, pipeline_version, execution->row->pipeline_version);
    row->stage = mem_text(run->row->stage);
    row->rule = mem_text(declaration->name);
    SET(row, kind, kind);
    SET(row, order, order);
    SET(row, status, PEN__ACTION_STATUS__ACTION_IN_PROGRESS);
    SET(row, started_ms, engine->now_ms);
    SET(row, updated_ms, engine->now_ms);
    row->type = mem_copy(declaration->rule_type_id);
    int64_t minutes = declaration->has_timeout_in_minutes ? declaration->timeout_in_minutes
                                                          : PEN_RULE_TIMEOUT_MINUTES_DEFAULT;
    SET(row, deadline_ms, engine->now_ms + minutes * 60 * 1000);
    struct pen_error err;
    int rc = resolve(execution, declaration, row, &err);
    if (rc == 0 && pen_str_equal(row->type->provider, PEN_RULE_DEPLOYMENT_WINDOW))
        rc = window_prepare(engine, row, &err);
    if (rc < 0) { /* it ends by this as soon as it is looked at */
        row->error_code = mem_text("ConfigurationError");
        row->error_message = mem_text(err.message);
    }
    return row;
}

static void start(struct pen_engine *engine, struct stage_run *run, Pen__ConditionKind kind,
                  const Pen__Condition *declared)
{
    Pen__ConditionStarted *body = MAKE(Pen__ConditionStarted, pen__condition_started__init);
    body->stage = mem_text(run->row->stage);
    SET(body, kind, kind);
    for (size_t i = 0; i < declared->n_rules; i++)
        APPEND(body, rules,
               new_row(engine, run, kind, declared->rules[i],
                       engine->setting->row->last_order + 1 + i));
    emit_about(engine, run->execution, PEN__FACT__WHAT_CONDITION_STARTED, body);
    for (size_t i = 0; i < run->rules_count; i++) {
        const struct rule *rule = run->rules[i];
        if (pen_str_equal(rule->row->type->provider, PEN_RULE_COMMANDS) &&
            rule->row->error_code == NULL)
            rule_work_start(engine, rule);
        plan_rule(engine, rule);
    }
}

/* ---- end */

void rule_end(struct pen_engine *engine, const struct rule *rule, Pen__ActionStatus status,
              const char *code, const char *text)
{
    struct action *work = rule->work;
    if (work != NULL && work->row->status == PEN__ACTION_STATUS__ACTION_IN_PROGRESS)
        action_abandon(engine, work, text);
    Pen__RuleEnded *body = MAKE(Pen__RuleEnded, pen__rule_ended__init);
    body->stage = mem_text(rule->row->stage);
    body->rule_execution_id = mem_text(rule->row->id);
    body->rule = mem_text(rule->row->rule);
    SET(body, status, status);
    body->summary = mem_text(text);
    body->error_code = mem_text(code);
    body->error_message = code != NULL ? mem_text(text) : NULL;
    emit_about(engine, rule->run->execution, PEN__FACT__WHAT_RULE_ENDED, body);
}

static void end_condition(struct pen_engine *engine, const struct stage_run *run,
                          Pen__ConditionKind kind, Pen__ConditionStatus status, const char *summary)
{
    Pen__ConditionEnded *body = MAKE(Pen__ConditionEnded, pen__condition_ended__init);
    body->stage = mem_text(run->row->stage);
    SET(body, kind, kind);
    SET(body, status, status);
    body->summary = mem_text(summary);
    emit_about(engine, run->execution, PEN__FACT__WHAT_CONDITION_ENDED, body);
}

static void abandon_rules(struct pen_engine *engine, const struct stage_run *run, const char *why)
{
    for (size_t i = 0; i < run->rules_count; i++)
        if (run->rules[i]->row->status == PEN__ACTION_STATUS__ACTION_IN_PROGRESS)
            rule_end(engine, run->rules[i], PEN__ACTION_STATUS__ACTION_ABANDONED, NULL, why);
}

void condition_abandon(struct pen_engine *engine, struct stage_run *run, const char *why)
{
    if (run->rules_count == 0)
        return;
    Pen__ConditionKind kind = run->rules[0]->row->kind;
    abandon_rules(engine, run, why);
    bool stopped = run->execution->row->status == PEN__EXECUTION_STATUS__EXECUTION_STOPPING;
    end_condition(engine, run, kind,
                  stopped ? PEN__CONDITION_STATUS__CONDITION_ABANDONED
                          : PEN__CONDITION_STATUS__CONDITION_CANCELLED,
                  why);
}

/* ---- check */

static const char *text_of(const Pen__RuleExecutionRow *row, const char *key)
{
    const char *value = rule_value(row, key);
    return value != NULL ? value : "";
}

static int compare(const Pen__RuleExecutionRow *row, bool *ret_holds, struct pen_error *err)
{
    const char *variable = text_of(row, "Variable");
    const char *value = text_of(row, "Value");
    const char *how = text_of(row, "Operator");
    if (strcmp(how, "MATCHES") == 0) {
        struct pen_regex *regex = NULL;
        int rc = pen_regex_parse(value, &regex, err);
        if (rc == 0)
            rc = pen_regex_matches(regex, variable, ret_holds, err);
        pen_regex_destroy(&regex);
        return rc;
    }
    if (strcmp(how, "CONTAINS") == 0)
        *ret_holds = strstr(variable, value) != NULL;
    else
        *ret_holds = (strcmp(variable, value) == 0) == (strcmp(how, "NE") != 0);
    return 0;
}

static void check_variable(struct pen_engine *engine, const struct rule *rule)
{
    const Pen__RuleExecutionRow *row = rule->row;
    bool holds = false;
    struct pen_error err = {0};
    if (compare(row, &holds, &err) < 0) {
        rule_end(engine, rule, PEN__ACTION_STATUS__ACTION_FAILED, "ConfigurationError",
                 err.message);
        return;
    }
    const char *how = text_of(row, "Operator");
    char *text = strcmp(how, "MATCHES") == 0
                     ? mem_format("'%.200s' %s '%.200s'", text_of(row, "Variable"),
                                  holds ? "matches" : "does not match", text_of(row, "Value"))
                     : mem_format("'%.200s' %s %s '%.200s'", text_of(row, "Variable"),
                                  holds ? "is" : "is not", how, text_of(row, "Value"));
    rule_end(engine, rule,
             holds ? PEN__ACTION_STATUS__ACTION_SUCCEEDED : PEN__ACTION_STATUS__ACTION_FAILED, NULL,
             text);
    free(text);
}

static void check_rule(struct pen_engine *engine, const struct rule *rule)
{
    if (rule->row->status != PEN__ACTION_STATUS__ACTION_IN_PROGRESS)
        return;
    if (rule->row->error_code != NULL) {
        char *text = mem_text(rule->row->error_message);
        rule_end(engine, rule, PEN__ACTION_STATUS__ACTION_FAILED, "ConfigurationError", text);
        free(text);
    } else if (pen_str_equal(rule->row->type->provider, PEN_RULE_DEPLOYMENT_WINDOW)) {
        window_check(engine, rule);
    } else if (rule->work != NULL) {
        rule_work_check(engine, rule);
    } else {
        check_variable(engine, rule);
    }
}

static void check_rules(struct pen_engine *engine, const struct stage_run *run,
                        Pen__ConditionKind kind)
{
    const struct rule *failed = NULL;
    size_t succeeded = 0;
    for (size_t i = 0; i < run->rules_count; i++) {
        const struct rule *rule = run->rules[i];
        check_rule(engine, rule);
        succeeded += rule->row->status == PEN__ACTION_STATUS__ACTION_SUCCEEDED ? 1 : 0;
        if (failed == NULL && rule->row->status == PEN__ACTION_STATUS__ACTION_FAILED)
            failed = rule;
    }
    if (failed != NULL) {
        char *text = mem_format("Rule '%s' failed: %s", failed->row->rule, failed->row->summary);
        abandon_rules(engine, run, "Another rule of the condition has failed");
        end_condition(engine, run, kind, PEN__CONDITION_STATUS__CONDITION_FAILED, text);
        free(text);
    } else if (succeeded == run->rules_count) {
        end_condition(engine, run, kind, PEN__CONDITION_STATUS__CONDITION_SUCCEEDED,
                      "All rules succeeded");
    }
}

enum verdict condition_check(struct pen_engine *engine, struct stage_run *run,
                             Pen__ConditionKind kind)
{
    const Pen__Condition *declared = condition_declared(run->declaration, kind);
    if (declared == NULL)
        return CONDITION_PASSED;
    if (condition_run(run, kind) == NULL)
        start(engine, run, kind, declared);
    const Pen__ConditionRun *condition = condition_run(run, kind);
    if (condition->status == PEN__CONDITION_STATUS__CONDITION_IN_PROGRESS)
        check_rules(engine, run, kind);
    switch ((int)condition->status) {
    case PEN__CONDITION_STATUS__CONDITION_IN_PROGRESS:
        return CONDITION_WAITS;
    case PEN__CONDITION_STATUS__CONDITION_SUCCEEDED:
    case PEN__CONDITION_STATUS__CONDITION_OVERRIDDEN:
        return CONDITION_PASSED;
    default:
        return CONDITION_MISSED;
    }
}

/* ---- override */

static int not_overridable(struct pen_error *err, const Pen__OverrideCondition *request,
                           const char *why)
{
    return pen_fail_api(err, PEN_ECONFLICT, "ConditionNotOverridableException",
                        "the condition of stage '%s' of execution '%s' cannot be overridden: %s",
                        request->stage, request->execution_id, why);
}

/* By memory, or by the row of one that the engine has forgotten. */
static bool was_skipped(const Pen__OverrideCondition *request, const struct stage_run *run)
{
    const Pen__StageExecutionRow *row = run != NULL ? run->row : request->stage_execution;
    return row != NULL && row->status == PEN__STAGE_STATUS__STAGE_SKIPPED &&
           pen_str_equal(row->pipeline, request->pipeline) &&
           pen_str_equal(row->execution_id, request->execution_id) &&
           pen_str_equal(row->stage, request->stage);
}

/* Whether the stage has ended by this condition, and not by what it asks for. */
static bool has_failed_by(const struct stage_run *run, Pen__ConditionKind kind)
{
    const Pen__ConditionRun *condition = condition_run(run, kind);
    return condition != NULL && condition->status == PEN__CONDITION_STATUS__CONDITION_FAILED &&
           pen_str_equal(condition_declared(run->declaration, kind)->result, "FAIL") &&
           run->row->status == PEN__STAGE_STATUS__STAGE_FAILED;
}

/* Whether others keep the execution of this run out of the stage. */
static bool is_occupied(const struct pen_engine *engine, const struct stage_state *stage,
                        const struct stage_run *run)
{
    return !execution_parallel(run->execution) &&
           (stage->row->holder != NULL || rollback_waits(engine, stage));
}

Pen__ConditionKind condition_failed(const struct stage_run *run)
{
    static const Pen__ConditionKind kinds[] = {PEN__CONDITION_KIND__CONDITION_BEFORE_ENTRY,
                                               PEN__CONDITION_KIND__CONDITION_ON_SUCCESS};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (has_failed_by(run, kinds[i]))
            return kinds[i];
    return 0;
}

bool condition_may_be_overridden(const struct pen_engine *engine, const struct stage_run *run)
{
    const struct stage_state *stage =
        run == NULL ? NULL : find_stage(run->execution->pipeline, run->row->stage);
    return stage != NULL && !is_occupied(engine, stage, run) &&
           (execution_parallel(run->execution) ||
            pen_str_equal(stage->row->latest_execution_id, run->row->execution_id)) &&
           condition_failed(run) != 0;
}

static int check_override(const struct pen_engine *engine, const struct stage_state *stage,
                          const Pen__OverrideCondition *request, const struct stage_run *run,
                          struct pen_error *err)
{
    if (request->kind != PEN__CONDITION_KIND__CONDITION_BEFORE_ENTRY &&
        request->kind != PEN__CONDITION_KIND__CONDITION_ON_SUCCESS)
        return not_overridable(err, request, "only beforeEntry and onSuccess can be");
    if (was_skipped(request, run))
        return not_overridable(err, request, "a skipped stage cannot be overridden");
    const Pen__ConditionRun *condition = run == NULL ? NULL : condition_run(run, request->kind);
    if (condition == NULL)
        return not_overridable(err, request, "it has not been checked");
    const char *result = condition_declared(run->declaration, request->kind)->result;
    if (pen_str_equal(result, "SKIP"))
        return not_overridable(err, request, "its result is SKIP");
    if (condition->status == PEN__CONDITION_STATUS__CONDITION_IN_PROGRESS)
        return run->execution->row->status == PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS
                   ? 0
                   : not_overridable(err, request, "the execution is being stopped");
    if (!has_failed_by(run, request->kind))
        return not_overridable(err, request, "it does not hold the stage up");
    if (is_occupied(engine, stage, run))
        return not_overridable(err, request, "another execution is in the stage");
    return check_room(engine, run->execution->pipeline, run->execution->row->mode, err);
}

int handle_override_condition(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                              struct pen_error *err)
{
    (void)reply;
    const Pen__OverrideCondition *request = input->override_condition;
    struct pipeline *pipeline = NULL;
    int rc = named_pipeline(engine, request->pipeline, &pipeline, err);
    if (rc < 0)
        return rc;
    const struct stage_state *stage = find_stage(pipeline, request->stage);
    if (stage == NULL)
        return fail_no_stage(pipeline, request->stage, err);
    struct execution *execution = find_execution(engine, request->execution_id);
    bool parallel = execution != NULL && execution_parallel(execution);
    if (execution == NULL &&
        pen_str_equal(pipeline->current->row->declaration->execution_mode, "PARALLEL"))
        return not_overridable(err, request,
                               "it is neither under way nor among the newest that have failed");
    if (!parallel && !pen_str_equal(stage->row->latest_execution_id, request->execution_id))
        return pen_fail_api(err, PEN_ECONFLICT, "NotLatestPipelineExecutionException",
                            "execution '%s' is not the latest that has entered stage '%s'",
                            request->execution_id, request->stage);
    struct stage_run *run = execution == NULL || execution->pipeline != pipeline
                                ? NULL
                                : find_run(execution, request->stage);
    rc = check_override(engine, stage, request, run, err);
    if (rc < 0)
        return rc;
    bool ended = run->row->status == PEN__STAGE_STATUS__STAGE_FAILED;
    abandon_rules(engine, run, "The condition was overridden");
    char *text =
        mem_format("Overridden by %s", input->principal != NULL ? input->principal : "the system");
    end_condition(engine, run, request->kind, PEN__CONDITION_STATUS__CONDITION_OVERRIDDEN, text);
    free(text);
    if (!ended)
        return 0;
    Pen__StageRetried *body = MAKE(Pen__StageRetried, pen__stage_retried__init);
    body->stage = mem_text(request->stage);
    body->mode = mem_text("FAILED_ACTIONS");
    SET(body, overridden, 1);
    emit_about(engine, execution, PEN__FACT__WHAT_STAGE_RETRIED, body);
    return 0;
}
