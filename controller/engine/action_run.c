/* controller/engine/action_run.c - one action execution: what it starts with, how it ends */
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/id.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/job.h"
#include "controller/engine/planted.h"
#include "controller/model/action_types.h"
#include "controller/model/providers.h"
#include "controller/model/variables.h"

/* ---- variables */

struct scope {
    const struct execution *execution;
};

static const char *produced_value(const struct action *action, const char *key)
{
    for (size_t i = 0; i < action->row->n_output_variables; i++)
        if (pen_str_equal(action->row->output_variables[i]->name, key))
            return action->row->output_variables[i]->value;
    return NULL;
}

static const char *namespace_value(const struct execution *execution, const char *name,
                                   const char *key)
{
    for (size_t s = 0; s < execution->declaration->n_stages; s++) {
        const struct stage_run *run = execution->stages[s];
        for (size_t i = 0; run != NULL && i < run->declaration->n_actions; i++) {
            const struct action *action = run->current[i];
            if (action != NULL && pen_str_equal(action->row->namespace_, name) &&
                action->row->status == PEN__ACTION_STATUS__ACTION_SUCCEEDED)
                return produced_value(action, key);
        }
    }
    for (size_t i = 0; i < execution->row->n_inherited; i++) {
        const Pen__NamespaceValue *value = execution->row->inherited[i];
        if (pen_str_equal(value->namespace_, name) && pen_str_equal(value->name, key))
            return value->value;
    }
    return NULL;
}

static int look_up(void *context, const char *namespace_name, const char *key,
                   const char **ret_value, struct pen_error *err)
{
    const struct execution *execution = ((const struct scope *)context)->execution;
    const char *value = NULL;
    if (strcmp(namespace_name, PEN_NAMESPACE_EXECUTION) == 0) {
        if (strcmp(key, "PipelineExecutionId") == 0)
            value = execution->row->id;
    } else if (strcmp(namespace_name, PEN_NAMESPACE_PIPELINE) == 0) {
        for (size_t i = 0; i < execution->row->n_variables && value == NULL; i++)
            if (pen_str_equal(execution->row->variables[i]->name, key))
                value = execution->row->variables[i]->value;
    } else {
        value = namespace_value(execution, namespace_name, key);
    }
    if (value == NULL)
        return pen_fail(err, PEN_ENOTFOUND, "variable #{%s.%s} has no value", namespace_name, key);
    *ret_value = value;
    return 0;
}

int execution_expand(const struct execution *execution, const char *text, char **ret_text,
                     struct pen_error *err)
{
    if (text == NULL || !pen_variables_present(text)) {
        *ret_text = mem_text(text);
        return 0;
    }
    struct scope scope = {.execution = execution};
    struct pen_buf expanded = {0};
    int rc = pen_variables_expand(text, look_up, &scope, &expanded, err);
    if (rc == 0) {
        CHECK(!expanded.failed);
        *ret_text = mem_text(pen_buf_text(&expanded));
    }
    pen_buf_release(&expanded);
    return rc;
}

/* ---- what the action starts with */

static int resolve_configuration(const struct execution *execution,
                                 const Pen__ActionDeclaration *declaration,
                                 Pen__ActionExecutionRow *row, struct pen_error *err)
{
    bool source = pen_str_equal(declaration->action_type_id->category, "Source");
    for (size_t i = 0; i < declaration->n_configuration; i++) {
        Pen__ActionExecutionRow__ResolvedConfigurationEntry *entry =
            MAKE(Pen__ActionExecutionRow__ResolvedConfigurationEntry,
                 pen__action_execution_row__resolved_configuration_entry__init);
        APPEND(row, resolved_configuration, entry);
        entry->key = mem_text(declaration->configuration[i]->key);
        const char *value = declaration->configuration[i]->value;
        if (source) {
            entry->value = mem_text(value);
            continue;
        }
        int rc = execution_expand(execution, value, &entry->value, err);
        if (rc < 0)
            return pen_error_prefix(err, "configuration '%s'", entry->key);
    }
    return 0;
}

static int resolve_commands(const struct execution *execution,
                            const Pen__ActionDeclaration *declaration, Pen__ActionExecutionRow *row,
                            struct pen_error *err)
{
    for (size_t i = 0; i < declaration->n_commands; i++) {
        char *text = NULL;
        int rc = execution_expand(execution, declaration->commands[i], &text, err);
        if (rc < 0)
            return pen_error_prefix(err, "command %zu", i + 1);
        APPEND(row, resolved_commands, text);
    }
    for (size_t i = 0; i < declaration->n_environment_variables; i++) {
        const Pen__EnvironmentVariable *variable = declaration->environment_variables[i];
        if (variable->type != NULL && strcmp(variable->type, "PLAINTEXT") != 0)
            return pen_fail(err, PEN_EUNSUPPORTED,
                            "environment variable '%s' is of type %s: only PLAINTEXT is available",
                            variable->name, variable->type);
        Pen__NameValue *value = MAKE(Pen__NameValue, pen__name_value__init);
        APPEND(row, resolved_environment, value);
        value->name = mem_text(variable->name);
        int rc = execution_expand(execution, variable->value, &value->value, err);
        if (rc < 0)
            return pen_error_prefix(err, "environment variable '%s'", variable->name);
    }
    return 0;
}

static int resolve_inputs(const struct execution *execution,
                          const Pen__ActionDeclaration *declaration, Pen__ActionExecutionRow *row,
                          struct pen_error *err)
{
    for (size_t i = 0; i < declaration->n_input_artifacts; i++) {
        const char *name = declaration->input_artifacts[i]->name;
        const Pen__ProducedArtifact *found = NULL;
        for (size_t j = 0; j < execution->row->n_artifacts && found == NULL; j++)
            if (pen_str_equal(execution->row->artifacts[j]->artifact->name, name))
                found = execution->row->artifacts[j];
        if (found == NULL)
            return pen_fail(err, PEN_ENOTFOUND, "input artifact '%s' was not made", name);
        APPEND(row, inputs, mem_copy(found));
    }
    return 0;
}

static size_t size_of(const char *text)
{
    return text == NULL ? 0 : strlen(text);
}

/* All that was resolved has to fit into one message to the agent, whatever the variables hold. */
static int check_resolved_size(const Pen__ActionExecutionRow *row, struct pen_error *err)
{
    size_t size = 0;
    for (size_t i = 0; i < row->n_resolved_configuration; i++)
        size += size_of(row->resolved_configuration[i]->value);
    for (size_t i = 0; i < row->n_resolved_commands; i++)
        size += size_of(row->resolved_commands[i]);
    for (size_t i = 0; i < row->n_resolved_environment; i++)
        size += size_of(row->resolved_environment[i]->value);
    return size <= PEN_VARIABLES_EXPANDED_MAX
               ? 0
               : pen_fail(err, PEN_ELIMIT,
                          "with the values of its variables, its configuration has %zu bytes: at "
                          "most %d are allowed",
                          size, PEN_VARIABLES_EXPANDED_MAX);
}

static int resolve(const struct execution *execution, const Pen__ActionDeclaration *declaration,
                   Pen__ActionExecutionRow *row, struct pen_error *err)
{
    int rc = resolve_configuration(execution, declaration, row, err);
    if (rc < 0 || (rc = resolve_commands(execution, declaration, row, err)) < 0 ||
        (rc = check_resolved_size(row, err)) < 0 ||
        (rc = resolve_inputs(execution, declaration, row, err)) < 0)
        return rc;
    struct pen_labels labels;
    return demand_labels(row, &labels, err);
}

/* Where the action begins. */
static Pen__ActionPhase first_phase(const Pen__ActionTypeId *type)
{
    if (pen_action_is_custom(type))
        return PEN__ACTION_PHASE__ACTION_JOB;
    if (pen_str_equal(type->category, "Source"))
        return PEN__ACTION_PHASE__ACTION_SOURCE;
    if (pen_str_equal(type->category, "Approval"))
        return PEN__ACTION_PHASE__ACTION_APPROVAL;
    return PEN__ACTION_PHASE__ACTION_QUEUED;
}

static Pen__ActionExecutionRow *new_row(struct pen_engine *engine, const struct stage_run *run,
                                        const Pen__ActionDeclaration *declaration,
                                        const char *rule_id)
{
    const struct execution *execution = run->execution;
    Pen__ActionExecutionRow *row = MAKE(Pen__ActionExecutionRow, pen__action_execution_row__init);
    if (rule_id != NULL) { /* one id for both: the log of the rule is found by it */
        row->id = mem_text(rule_id);
        row->rule_execution_id = mem_text(rule_id);
    } else {
        char id[PEN_UUID_TEXT_SIZE];
        pen_uuid(&engine->prng, id);
        row->id = mem_text(id);
    }
    row->execution_id = mem_text(execution->row->id);
    row->pipeline = mem_text(execution->row->pipeline);
    SET(row, pipeline_version, execution->row->pipeline_version);
    row->stage = mem_text(run->row->stage);
    row->action = mem_text(declaration->name);
    SET(row, order, engine->setting->row->last_order + 1);
    SET(row, status, PEN__ACTION_STATUS__ACTION_IN_PROGRESS);
    SET(row, started_ms, engine->now_ms);
    SET(row, updated_ms, engine->now_ms);
    SET(row, phase_since_ms, engine->now_ms);
    SET(row, action_class, pen_action_class(declaration));
    SET(row, attempts, 0);
    row->type = mem_copy(declaration->action_type_id);
    SET(row, stage_attempt, run->row->attempt);
    row->namespace_ = mem_text(declaration->namespace_);
    row->region = mem_text(declaration->region);
    return row;
}

/* A retry of the whole stage makes its artifacts again: the former ones are none to approve. */
static bool is_made(const struct stage_run *run, const Pen__ProducedArtifact *artifact)
{
    if (!pen_str_equal(artifact->stage, run->row->stage) || PLANTED(APPROVAL_REMADE))
        return true;
    int index = action_index(run->declaration, artifact->action);
    return index < 0 || (run->current[index] != NULL &&
                         run->current[index]->row->status == PEN__ACTION_STATUS__ACTION_SUCCEEDED);
}

static void prepare_approval(struct pen_engine *engine, const struct stage_run *run,
                             const Pen__ActionDeclaration *declaration,
                             Pen__ActionExecutionRow *row)
{
    const struct execution *execution = run->execution;
    char token[PEN_UUID_TEXT_SIZE];
    pen_uuid(&engine->prng, token);
    row->approval_token = mem_text(token);
    for (size_t i = 0; i < execution->row->n_artifacts; i++)
        if (is_made(run, execution->row->artifacts[i]))
            APPEND(row, approves, mem_copy(execution->row->artifacts[i]));
    for (size_t i = 0; i < execution->row->n_revisions; i++)
        APPEND(row, approves_revisions, mem_copy(execution->row->revisions[i]));
    if (execution_parallel(execution))
        row->external_execution_id = mem_text(token); /* the only place where clients find it */
    int64_t timeout_ms = declaration->has_timeout_in_minutes
                             ? (int64_t)declaration->timeout_in_minutes * 60 * 1000
                             : engine->options.approval_timeout_ms;
    SET(row, deadline_ms, engine->now_ms + timeout_ms);
    row->summary = mem_text("Waiting for approval");
}

static void start(struct pen_engine *engine, const struct stage_run *run,
                  const Pen__ActionDeclaration *declaration, const char *rule_id)
{
    Pen__ActionExecutionRow *row = new_row(engine, run, declaration, rule_id);
    char id[PEN_UUID_TEXT_SIZE];
    CHECK(pen_str_copy(id, sizeof id, row->id));
    struct pen_error err;
    int rc = resolve(run->execution, declaration, row, &err);
    if (rc == 0 && pen_action_is_custom(row->type))
        rc = job_check(engine, row, &err);
    SET(row, phase,
        rc < 0 ? PEN__ACTION_PHASE__ACTION_ENDED : first_phase(declaration->action_type_id));
    if (row->phase == PEN__ACTION_PHASE__ACTION_APPROVAL)
        prepare_approval(engine, run, declaration, row);
    else if (row->phase == PEN__ACTION_PHASE__ACTION_SOURCE)
        row->summary = mem_text("Fetching the source");
    else if (row->phase == PEN__ACTION_PHASE__ACTION_JOB)
        SET(row, deadline_ms, engine->now_ms + engine->options.job_timeout_ms);
    Pen__ActionStarted *body = MAKE(Pen__ActionStarted, pen__action_started__init);
    body->action = row;
    emit_about(engine, run->execution, PEN__FACT__WHAT_ACTION_STARTED, body);
    struct action *action = find_action(engine, id);
    CHECK(action != NULL);
    if (rc < 0)
        action_fail(engine, action, "ConfigurationError", err.message);
    else if (action->row->phase == PEN__ACTION_PHASE__ACTION_JOB)
        job_start(engine, action);
    else
        plan_action(engine, action);
}

void action_start(struct pen_engine *engine, struct stage_run *run, size_t index)
{
    start(engine, run, run->declaration->actions[index], NULL);
}

void action_start_for_rule(struct pen_engine *engine, const struct rule *rule,
                           const Pen__ActionDeclaration *declaration)
{
    start(engine, rule->run, declaration, rule->row->id);
}

/* ---- how it ends */

Pen__ActionEnded *action_ended(const struct action *self, Pen__ActionStatus status,
                               const char *summary)
{
    Pen__ActionEnded *body = MAKE(Pen__ActionEnded, pen__action_ended__init);
    body->action_execution_id = mem_text(self->row->id);
    SET(body, status, status);
    body->summary = mem_text(summary);
    return body;
}

void action_end(struct pen_engine *engine, struct action *self, Pen__ActionEnded *body)
{
    if (self->job != NULL)
        job_close(engine, self->job, PEN__JOB_STATE__JOB_ABANDONED, body->summary);
    emit_about(engine, self->run->execution, PEN__FACT__WHAT_ACTION_ENDED, body);
}

void action_fail(struct pen_engine *engine, struct action *self, const char *code,
                 const char *message)
{
    Pen__ActionEnded *body = action_ended(self, PEN__ACTION_STATUS__ACTION_FAILED, message);
    body->error_code = mem_text(code);
    body->error_message = mem_text(message);
    action_end(engine, self, body);
}

/* What becomes of what runs for it. The caller owns it. */
static char *say_abandoned(const struct action *self, const char *why, bool kill)
{
    const struct attempt *attempt = self->attempt;
    bool lives_on = attempt != NULL && !kill &&
                    attempt->row->action_class == PEN__ACTION_CLASS__ONCE &&
                    (attempt->row->state == PEN__ATTEMPT_STATE__ATTEMPT_RUNNING ||
                     attempt->row->state == PEN__ATTEMPT_STATE__ATTEMPT_INDETERMINATE);
    if (!lives_on)
        return mem_text(why);
    return mem_format("%s. It is of class once, and was not broken off: it %s agent '%s'", why,
                      attempt->row->state == PEN__ATTEMPT_STATE__ATTEMPT_RUNNING
                          ? "runs on to its end on"
                          : "may still run on",
                      attempt->agent->row->name);
}

void action_abandon(struct pen_engine *engine, struct action *self, const char *why)
{
    struct attempt *attempt = self->attempt;
    bool kill = self->run->execution->row->kill;
    bool fetching = self->row->phase == PEN__ACTION_PHASE__ACTION_SOURCE;
    char *text = say_abandoned(self, why, kill);
    action_end(engine, self, action_ended(self, PEN__ACTION_STATUS__ACTION_ABANDONED, text));
    free(text);
    if (attempt != NULL)
        attempt_cancel(engine, attempt, why, kill);
    if (!fetching)
        return;
    Pen__SourceCancel *cancel = MAKE(Pen__SourceCancel, pen__source_cancel__init);
    cancel->action_execution_id = mem_text(self->row->id);
    effect(engine, PEN__EFFECT__WHAT_SOURCE_CANCEL, cancel);
}

void action_progress(struct pen_engine *engine, const struct action *self, const char *summary)
{
    Pen__ActionProgress *body = MAKE(Pen__ActionProgress, pen__action_progress__init);
    body->action_execution_id = mem_text(self->row->id);
    body->summary = mem_text(summary);
    emit_about(engine, self->run->execution, PEN__FACT__WHAT_ACTION_PROGRESS, body);
}

void action_try_again(struct pen_engine *engine, struct action *self, const char *why)
{
    if (self->row->attempts > engine->options.repeatable_attempts_max) {
        char *message = mem_format("%s; that was attempt %u of %u", why, self->row->attempts,
                                   engine->options.repeatable_attempts_max + 1);
        action_fail(engine, self, "SystemUnavailable", message);
        free(message);
        return;
    }
    Pen__ActionRequeued *body = MAKE(Pen__ActionRequeued, pen__action_requeued__init);
    body->action_execution_id = mem_text(self->row->id);
    SET(body, phase, PEN__ACTION_PHASE__ACTION_QUEUED);
    body->reason = mem_text(why);
    emit_about(engine, self->run->execution, PEN__FACT__WHAT_ACTION_REQUEUED, body);
}
