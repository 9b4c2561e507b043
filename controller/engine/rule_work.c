/* controller/engine/rule_work.c - rules that run commands on an agent
 *
 * Such a rule has work: a row like that of an action, with the rule's id, so that queue, offer,
 * attempt, log and cancel are those of actions. It is no action of the stage: it is not counted
 * among those in progress, and only the rule looks at how it ends.
 */
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"

static Pen__ActionTypeId *type_of(const Pen__RuleTypeId *rule)
{
    Pen__ActionTypeId *type = MAKE(Pen__ActionTypeId, pen__action_type_id__init);
    type->category = mem_text(rule->category);
    type->owner = mem_text(rule->owner);
    type->provider = mem_text(rule->provider);
    type->version = mem_text(rule->version);
    return type;
}

Pen__ActionDeclaration *rule_work_declaration(const Pen__RuleDeclaration *rule)
{
    Pen__ActionDeclaration *self = MAKE(Pen__ActionDeclaration, pen__action_declaration__init);
    self->name = mem_text(rule->name);
    self->action_type_id = type_of(rule->rule_type_id);
    for (size_t i = 0; i < rule->n_configuration; i++) {
        Pen__ActionDeclaration__ConfigurationEntry *entry =
            MAKE(Pen__ActionDeclaration__ConfigurationEntry,
                 pen__action_declaration__configuration_entry__init);
        entry->key = mem_text(rule->configuration[i]->key);
        entry->value = mem_text(rule->configuration[i]->value);
        APPEND(self, configuration, entry);
    }
    for (size_t i = 0; i < rule->n_commands; i++)
        APPEND(self, commands, mem_text(rule->commands[i]));
    for (size_t i = 0; i < rule->n_input_artifacts; i++)
        APPEND(self, input_artifacts, mem_copy(rule->input_artifacts[i]));
    self->region = mem_text(rule->region);
    int32_t minutes = PEN_RULE_COMMANDS_MINUTES_MAX;
    if (rule->has_timeout_in_minutes && rule->timeout_in_minutes < minutes)
        minutes = rule->timeout_in_minutes;
    SET(self, timeout_in_minutes, minutes);
    return self;
}

const Pen__RuleDeclaration *rule_declared(const struct rule *rule)
{
    const Pen__Condition *condition = condition_declared(rule->run->declaration, rule->row->kind);
    for (size_t i = 0; condition != NULL && i < condition->n_rules; i++)
        if (pen_str_equal(condition->rules[i]->name, rule->row->rule))
            return condition->rules[i];
    return NULL;
}

void rule_work_start(struct pen_engine *engine, const struct rule *rule)
{
    const Pen__RuleDeclaration *declared = rule_declared(rule);
    CHECK(declared != NULL);
    Pen__ActionDeclaration *declaration = rule_work_declaration(declared);
    action_start_for_rule(engine, rule, declaration);
    mem_free_message(declaration);
    CHECK(rule->work != NULL);
}

void rule_work_check(struct pen_engine *engine, const struct rule *rule)
{
    const Pen__ActionExecutionRow *row = rule->work->row;
    if (row->status != PEN__ACTION_STATUS__ACTION_IN_PROGRESS)
        rule_end(engine, rule, row->status, row->error_code, row->summary);
    else if (rule->row->deadline_ms <= engine->now_ms)
        rule_end(engine, rule, PEN__ACTION_STATUS__ACTION_FAILED, "TimedOut",
                 "Its commands had not ended when the rule's time was over");
}
