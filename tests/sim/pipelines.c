/* tests/sim/pipelines.c - the pipelines of the simulation, from a line of text each
 *
 *     Stage<what=result>:Action=kind@runOrder,...|...
 *
 * kinds: source, pull (a source that starts by pull requests), approve, expire (an approval with
 * five minutes), run, made (has an output artifact), once, job (for a worker). Of a stage: entry,
 * success and onfail are conditions that check the pipeline's variable "mood" (entry and success
 * want "good", onfail wants "bad"); window is a condition before entry that waits for the clock,
 * zone one that waits for the clock of another zone, runs one whose commands run on an agent;
 * failure is a result without conditions, again one that makes all actions once more.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "tests/sim/sim.h"

static const struct {
    const char *name;
    const char *mode;
    const char *stages;
} templates[SIM_PIPELINES] = {
    {"fast", "SUPERSEDED", "Source:S=source|Build:A=made,B=run,C=run@2|Deploy:D=once"},
    {"line", "QUEUED",
     "Source:S=source|Build:A=made|Ok:P=approve|Deploy<failure=ROLLBACK>:D=once,E=once@2"},
    {"wide", "PARALLEL", "Source:S=source|Build<entry=SKIP>:A=run,B=run|Deploy<zone=FAIL>:D=once"},
    {"twin", "SUPERSEDED",
     "Source:S=source|Ok<again=RETRY>:P=approve,A=made,C=run@2|Deploy:D=once"},
    {"gate", "SUPERSEDED", "Source:S=source|Ok:P=approve|Deploy:D=once|After<zone=SKIP>:Z=run"},
    {"cond", "QUEUED",
     "Source:S=source|Build<failure=RETRY>:A=made,B=run@2|Deploy<window=FAIL><success=ROLLBACK>:"
     "D=once|After<entry=SKIP>:Z=run"},
    {"judge", "SUPERSEDED",
     "Source:S=source|Build<entry=FAIL><onfail=RETRY>:A=run,B=run|Deploy<onfail=ROLLBACK>:"
     "D=once,E=run@2|After<success=FAIL>:Z=run"},
    {"pulls", "SUPERSEDED", "Source:S=pull|Build:A=run|Deploy:D=once"},
    {"jobs", "SUPERSEDED", "Source:S=source|Build:A=job,B=run|Deploy<runs=FAIL>:D=job,E=once@2"},
};

const char *pipeline_name(int pipeline)
{
    return templates[pipeline].name;
}

static Pen__RuleDeclaration *make_rule(const char *provider)
{
    Pen__RuleDeclaration *rule = MAKE(Pen__RuleDeclaration, pen__rule_declaration__init);
    rule->name = mem_text("R");
    rule->rule_type_id = MAKE(Pen__RuleTypeId, pen__rule_type_id__init);
    rule->rule_type_id->category = mem_text("Rule");
    rule->rule_type_id->owner = mem_text("AWS");
    rule->rule_type_id->version = mem_text("1");
    rule->rule_type_id->provider = mem_text(provider);
    return rule;
}

static void configure_rule(Pen__RuleDeclaration *rule, const char *key, const char *value)
{
    Pen__RuleDeclaration__ConfigurationEntry *entry = MAKE(
        Pen__RuleDeclaration__ConfigurationEntry, pen__rule_declaration__configuration_entry__init);
    entry->key = mem_text(key);
    entry->value = mem_text(value);
    APPEND(rule, configuration, entry);
}

static Pen__Condition *make_condition(const char *result, const char *mood, const char *zone)
{
    Pen__Condition *condition = MAKE(Pen__Condition, pen__condition__init);
    condition->result = mem_text(result);
    Pen__RuleDeclaration *rule = make_rule(mood == NULL ? "DeploymentWindow" : "VariableCheck");
    if (mood == NULL) {
        configure_rule(rule, "Cron", "0 0/7 * * * ?");
        configure_rule(rule, "TimeZone", zone);
    } else {
        configure_rule(rule, "Variable", "#{variables.mood}");
        configure_rule(rule, "Value", mood);
        configure_rule(rule, "Operator", "EQ");
    }
    APPEND(condition, rules, rule);
    return condition;
}

static void add_option(Pen__StageDeclaration *stage, const char *what, const char *result)
{
    if (strcmp(what, "entry") == 0 || strcmp(what, "window") == 0 || strcmp(what, "zone") == 0) {
        stage->before_entry = MAKE(Pen__BeforeEntryConditions, pen__before_entry_conditions__init);
        APPEND(stage->before_entry, conditions,
               make_condition(result, what[0] == 'e' ? "good" : NULL,
                              what[0] == 'z' ? SIM_ZONE : "UTC"));
    } else if (strcmp(what, "runs") == 0) {
        stage->before_entry = MAKE(Pen__BeforeEntryConditions, pen__before_entry_conditions__init);
        Pen__Condition *condition = MAKE(Pen__Condition, pen__condition__init);
        condition->result = mem_text(result);
        APPEND(condition, rules, make_rule("Commands"));
        APPEND(condition->rules[0], commands, mem_text("make check"));
        APPEND(stage->before_entry, conditions, condition);
    } else if (strcmp(what, "success") == 0) {
        stage->on_success = MAKE(Pen__SuccessConditions, pen__success_conditions__init);
        APPEND(stage->on_success, conditions, make_condition(result, "good", NULL));
    } else {
        stage->on_failure = MAKE(Pen__FailureConditions, pen__failure_conditions__init);
        bool again = strcmp(what, "again") == 0;
        if (again || strcmp(what, "failure") == 0)
            stage->on_failure->result = mem_text(result);
        else
            APPEND(stage->on_failure, conditions, make_condition(result, "bad", NULL));
        if (again) {
            stage->on_failure->retry_configuration =
                MAKE(Pen__RetryConfiguration, pen__retry_configuration__init);
            stage->on_failure->retry_configuration->retry_mode = mem_text("ALL_ACTIONS");
        }
    }
}

static void configure_once(Pen__ActionDeclaration *action)
{
    Pen__ActionDeclaration__ConfigurationEntry *entry =
        MAKE(Pen__ActionDeclaration__ConfigurationEntry,
             pen__action_declaration__configuration_entry__init);
    entry->key = mem_text("Class");
    entry->value = mem_text("once");
    APPEND(action, configuration, entry);
}

static Pen__ActionDeclaration *make_action(char *text)
{
    char *kind = strchr(text, '=');
    CHECK(kind != NULL);
    *kind++ = '\0';
    char *at = strchr(kind, '@');
    int32_t order = at == NULL ? 1 : at[1] - '0';
    if (at != NULL)
        *at = '\0';
    bool pull = strcmp(kind, "pull") == 0;
    bool source = pull || strcmp(kind, "source") == 0;
    bool expire = strcmp(kind, "expire") == 0;
    bool approve = expire || strcmp(kind, "approve") == 0;
    bool job = strcmp(kind, "job") == 0;
    Pen__ActionDeclaration *action = MAKE(Pen__ActionDeclaration, pen__action_declaration__init);
    action->name = mem_text(text);
    SET(action, run_order, order);
    action->action_type_id = MAKE(Pen__ActionTypeId, pen__action_type_id__init);
    Pen__ActionTypeId *type = action->action_type_id;
    type->owner = mem_text(job ? "Custom" : "AWS");
    type->version = mem_text("1");
    type->category = mem_text(source ? "Source" : approve ? "Approval" : job ? "Build" : "Compute");
    type->provider = mem_text(pull      ? "CodeStarSourceConnection"
                              : source  ? "CodeCommit"
                              : approve ? "Manual"
                              : job     ? "Robot"
                                        : "Commands");
    if (expire)
        SET(action, timeout_in_minutes, 5);
    if (source || strcmp(kind, "made") == 0) {
        Pen__OutputArtifact *output = MAKE(Pen__OutputArtifact, pen__output_artifact__init);
        output->name = mem_text(text);
        APPEND(action, output_artifacts, output);
    }
    if (!source && !approve && !job)
        APPEND(action, commands, mem_text("make"));
    if (strcmp(kind, "once") == 0)
        configure_once(action);
    return action;
}

/* "Name<a=x><b=y>": cuts the options off. */
static void take_options(char *text, Pen__StageDeclaration *stage)
{
    char *rest = strchr(text, '<');
    while (rest != NULL && *rest == '<') {
        *rest++ = '\0';
        char *equals = strchr(rest, '=');
        char *end = strchr(rest, '>');
        CHECK(equals != NULL && end != NULL);
        *equals = *end = '\0';
        add_option(stage, rest, equals + 1);
        rest = end + 1;
    }
}

Pen__PipelineDeclaration *pipeline_declare(int pipeline)
{
    return pipeline_parse(templates[pipeline].name, templates[pipeline].mode,
                          templates[pipeline].stages);
}

Pen__PipelineDeclaration *pipeline_parse(const char *name, const char *mode, const char *stages)
{
    Pen__PipelineDeclaration *declaration =
        MAKE(Pen__PipelineDeclaration, pen__pipeline_declaration__init);
    declaration->name = mem_text(name);
    declaration->execution_mode = mem_text(mode);
    Pen__PipelineVariableDeclaration *mood =
        MAKE(Pen__PipelineVariableDeclaration, pen__pipeline_variable_declaration__init);
    mood->name = mem_text("mood");
    mood->default_value = mem_text("good");
    APPEND(declaration, variables, mood);
    char *copy = mem_text(stages);
    char *rest = copy;
    char *text;
    while ((text = strsep(&rest, "|")) != NULL) {
        Pen__StageDeclaration *stage = MAKE(Pen__StageDeclaration, pen__stage_declaration__init);
        char *actions = strchr(text, ':');
        CHECK(actions != NULL);
        *actions++ = '\0';
        take_options(text, stage);
        stage->name = mem_text(text);
        char *action;
        while ((action = strsep(&actions, ",")) != NULL)
            APPEND(stage, actions, make_action(action));
        APPEND(declaration, stages, stage);
    }
    free(copy);
    return declaration;
}

bool pipeline_has_stage(int pipeline, const char *stage)
{
    return strstr(templates[pipeline].stages, stage) != NULL;
}

const char *pipeline_some_stage(struct sim *sim, int pipeline)
{
    static const char *const stages[] = {"Build", "Ok", "Deploy", "After", "Deploy"};
    for (;;) {
        const char *stage = stages[sim_below(sim, sizeof stages / sizeof stages[0])];
        if (pipeline_has_stage(pipeline, stage))
            return stage;
    }
}

char *pipeline_stage(int pipeline, uint32_t index)
{
    const char *stage = templates[pipeline].stages;
    for (; index > 0 && stage != NULL; index--) {
        stage = strchr(stage, '|');
        stage += stage != NULL ? 1 : 0;
    }
    return stage == NULL ? NULL : mem_format("%.*s", (int)strcspn(stage, "<:"), stage);
}

const char *pipeline_some_mode(struct sim *sim)
{
    static const char *const modes[] = {"SUPERSEDED", "QUEUED", "PARALLEL"};
    return modes[sim_below(sim, 3)];
}
