/* tests/unit/engine/conditions.h - declarations with conditions, and what became of them */
#ifndef PEN_TESTS_UNIT_ENGINE_CONDITIONS_H
#define PEN_TESTS_UNIT_ENGINE_CONDITIONS_H

#include "tests/unit/engine/world.h"

#define SUCCEEDED PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED
#define FAILED    PEN__EXECUTION_STATUS__EXECUTION_FAILED
#define RUNNING   PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS
#define STOPPED   PEN__EXECUTION_STATUS__EXECUTION_STOPPED

#define ENTRY   PEN__CONDITION_KIND__CONDITION_BEFORE_ENTRY
#define SUCCESS PEN__CONDITION_KIND__CONDITION_ON_SUCCESS
#define FAILURE PEN__CONDITION_KIND__CONDITION_ON_FAILURE

#define STAGES "Source:S=source|Deploy:D=run@1,E=run@2|Later:L=run"

static UNUSED void configure(Pen__RuleDeclaration *rule, const char *key, const char *value)
{
    Pen__RuleDeclaration__ConfigurationEntry *entry = MAKE(
        Pen__RuleDeclaration__ConfigurationEntry, pen__rule_declaration__configuration_entry__init);
    entry->key = mem_text(key);
    entry->value = mem_text(value);
    APPEND(rule, configuration, entry);
}

static UNUSED Pen__RuleDeclaration *rule_new(const char *name, const char *provider)
{
    Pen__RuleDeclaration *rule = MAKE(Pen__RuleDeclaration, pen__rule_declaration__init);
    rule->name = mem_text(name);
    rule->rule_type_id = MAKE(Pen__RuleTypeId, pen__rule_type_id__init);
    rule->rule_type_id->provider = mem_text(provider);
    return rule;
}

static UNUSED Pen__RuleDeclaration *variable(const char *name, const char *text, const char *how,
                                             const char *value)
{
    Pen__RuleDeclaration *rule = rule_new(name, "VariableCheck");
    configure(rule, "Variable", text);
    configure(rule, "Operator", how);
    configure(rule, "Value", value);
    return rule;
}

static UNUSED Pen__RuleDeclaration *window(const char *name, const char *cron, int32_t minutes)
{
    Pen__RuleDeclaration *rule = rule_new(name, "DeploymentWindow");
    configure(rule, "Cron", cron);
    if (minutes > 0)
        SET(rule, timeout_in_minutes, minutes);
    return rule;
}

/* Give the stage Deploy a condition; takes the rules, the second of which may be NULL. */
static UNUSED Pen__PipelineDeclaration *with(Pen__PipelineDeclaration *declaration,
                                             Pen__ConditionKind kind, const char *result,
                                             Pen__RuleDeclaration *one, Pen__RuleDeclaration *two)
{
    Pen__StageDeclaration *stage = declaration->stages[1];
    Pen__Condition *condition = MAKE(Pen__Condition, pen__condition__init);
    condition->result = mem_text(result);
    APPEND(condition, rules, one);
    if (two != NULL)
        APPEND(condition, rules, two);
    if (kind == ENTRY) {
        stage->before_entry = MAKE(Pen__BeforeEntryConditions, pen__before_entry_conditions__init);
        APPEND(stage->before_entry, conditions, condition);
    } else if (kind == SUCCESS) {
        stage->on_success = MAKE(Pen__SuccessConditions, pen__success_conditions__init);
        APPEND(stage->on_success, conditions, condition);
    } else {
        stage->on_failure = MAKE(Pen__FailureConditions, pen__failure_conditions__init);
        APPEND(stage->on_failure, conditions, condition);
    }
    return declaration;
}

static UNUSED Pen__StageExecutionRow *stage_of(struct world *w, const char *id)
{
    char *key = mem_format("%s/Deploy", id);
    Pen__StageExecutionRow *row = world_row(w, PEN__ROW_KIND__ROW_STAGE_EXECUTION, key,
                                            &pen__stage_execution_row__descriptor);
    free(key);
    assert_non_null(row);
    return row;
}

static UNUSED void assert_condition(struct world *w, const char *id, Pen__ConditionKind kind,
                                    Pen__ConditionStatus status, Pen__StageStatus stage)
{
    Pen__StageExecutionRow *row = stage_of(w, id);
    const Pen__ConditionRun *found = NULL;
    for (size_t i = 0; i < row->n_conditions; i++)
        if (row->conditions[i]->kind == kind)
            found = row->conditions[i];
    assert_non_null(found);
    assert_int_equal(found->status, status);
    assert_int_equal(row->status, stage);
    mem_free_message(row);
}

/* The newest execution of this rule; to be freed. */
static UNUSED Pen__RuleExecutionRow *rule_row(struct world *w, const char *rule)
{
    Pen__RuleExecutionRow *found = NULL;
    for (struct pen_map_node *n = pen_map_first(&w->store); n != NULL; n = pen_map_next(n)) {
        const struct pen_row *row = ((struct stored *)pen_map_value(n))->row;
        if (row->kind != PEN__ROW_KIND__ROW_RULE_EXECUTION)
            continue;
        Pen__RuleExecutionRow *unpacked =
            pen__rule_execution_row__unpack(NULL, row->body_size, row->body);
        assert_true(row->live || unpacked->status != PEN__ACTION_STATUS__ACTION_IN_PROGRESS);
        if (same(unpacked->rule, rule) && (found == NULL || unpacked->order > found->order)) {
            mem_free_message(found);
            found = unpacked;
        } else {
            mem_free_message(unpacked);
        }
    }
    assert_non_null(found);
    return found;
}

static UNUSED void assert_rule(struct world *w, const char *rule, Pen__ActionStatus status)
{
    Pen__RuleExecutionRow *row = rule_row(w, rule);
    assert_int_equal(row->status, status);
    mem_free_message(row);
}

static UNUSED void override(struct world *w, const char *id, Pen__ConditionKind kind)
{
    Pen__OverrideCondition *request = MAKE(Pen__OverrideCondition, pen__override_condition__init);
    request->pipeline = mem_text("p");
    request->stage = mem_text("Deploy");
    request->execution_id = mem_text(id);
    SET(request, kind, kind);
    world_post(w, PEN__INPUT__WHAT_OVERRIDE_CONDITION, request);
}

static UNUSED void stop(struct world *w, const char *id)
{
    Pen__StopExecution *request = MAKE(Pen__StopExecution, pen__stop_execution__init);
    request->pipeline = mem_text("p");
    request->execution_id = mem_text(id);
    world_post(w, PEN__INPUT__WHAT_STOP_EXECUTION, request);
}

static UNUSED void retry(struct world *w, const char *id)
{
    Pen__RetryStage *request = MAKE(Pen__RetryStage, pen__retry_stage__init);
    request->pipeline = mem_text("p");
    request->stage = mem_text("Deploy");
    request->execution_id = mem_text(id);
    world_post(w, PEN__INPUT__WHAT_RETRY_STAGE, request);
    assert_null(w->reply->error);
}

/* Hours later: the agent, which was not heard meanwhile, says hello. */
static UNUSED void wait_hours(struct world *w, int hours)
{
    world_tick(w, hours * INT64_C(3600000));
    agent_hello(w, &w->agents[0]);
    world_perform(w);
}

static UNUSED void begin(struct world *w)
{
    world_begin(w);
    world_add_agent(w, "a", 4, NULL, NULL);
}

#endif
