/* tests/golden/tell.c - facts, replies and rows as lines of the trace */
#include "tests/golden/golden.h"

enum { BEGIN_MS = 1000000 }; /* when a world begins: 0:00:00 of the trace */

/* ---- names instead of ids */

void tell_alias(struct story *self, const char *id, char *name)
{
    for (size_t i = 0; i < self->aliases_count; i++)
        if (same(self->aliases[i].id, id)) {
            free(name);
            return;
        }
    struct alias *grown = realloc(self->aliases, (self->aliases_count + 1) * sizeof *grown);
    assert_non_null(grown);
    self->aliases = grown;
    self->aliases[self->aliases_count++] = (struct alias){.id = mem_text(id), .name = name};
}

const char *tell_id(const struct story *self, const char *name)
{
    for (size_t i = 0; i < self->aliases_count; i++)
        if (same(self->aliases[i].name, name))
            return self->aliases[i].id;
    return name;
}

static const char *name_of(const struct story *self, const char *id)
{
    for (size_t i = 0; i < self->aliases_count; i++)
        if (same(self->aliases[i].id, id))
            return self->aliases[i].name;
    return id != NULL ? id : "nobody";
}

/* The text with every id in it replaced. */
static void put_named(struct story *self, const char *text)
{
    while (*text != '\0') {
        const struct alias *found = NULL;
        for (size_t i = 0; i < self->aliases_count && found == NULL; i++)
            if (strncmp(text, self->aliases[i].id, strlen(self->aliases[i].id)) == 0)
                found = &self->aliases[i];
        if (found != NULL) {
            pen_buf_puts(&self->trace, found->name);
            text += strlen(found->id);
        } else {
            pen_buf_putc(&self->trace, *text++);
        }
    }
}

static void put_time(struct pen_buf *to, int64_t ms)
{
    ms -= BEGIN_MS;
    int64_t days = ms / 86400000;
    int64_t seconds = ms / 1000 % 86400;
    if (days > 0)
        pen_buf_printf(to, "%lldd ", (long long)days);
    pen_buf_printf(to, "%lld:%02lld:%02lld", (long long)(seconds / 3600),
                   (long long)(seconds / 60 % 60), (long long)(seconds % 60));
    if (ms % 1000 != 0)
        pen_buf_printf(to, ".%03lld", (long long)(ms % 1000));
}

void tell(struct story *self, int64_t at_ms, const char *format, ...)
{
    struct pen_buf line = {0};
    va_list args;
    va_start(args, format);
    pen_buf_vprintf(&line, format, args);
    va_end(args);
    pen_buf_puts(&self->trace, "    ");
    put_time(&self->trace, at_ms);
    pen_buf_puts(&self->trace, "  ");
    put_named(self, pen_buf_text(&line));
    pen_buf_putc(&self->trace, '\n');
    pen_buf_release(&line);
}

/* ---- words */

#define WORD(list, value)                                                                          \
    ((size_t)(value) < sizeof(list) / sizeof(list)[0] && (list)[value] != NULL ? (list)[value]     \
                                                                               : "?")

static const char *const execution_words[] = {NULL,        "InProgress", "Stopping", "Stopped",
                                              "Succeeded", "Superseded", "Failed",   "Cancelled"};
static const char *const stage_words[] = {NULL,        "InProgress", "Stopping",  "Stopped",
                                          "Succeeded", "Failed",     "Cancelled", "Skipped"};
static const char *const action_words[] = {NULL, "InProgress", "Succeeded", "Failed", "Abandoned"};
static const char *const phase_words[] = {NULL,
                                          "queued",
                                          "running",
                                          "fetches its source",
                                          "waits for approval",
                                          "indeterminate",
                                          "ended",
                                          "waits for a job worker"};
static const char *const condition_words[] = {NULL,        "InProgress", "Succeeded", "Failed",
                                              "Abandoned", "Overridden", "Cancelled"};
static const char *const kind_words[] = {NULL, "beforeEntry", "onSuccess", "onFailure"};
static const char *const attempt_words[] = {NULL,       "GRANTED",       "RUNNING", "CANCELING",
                                            "DRAINING", "SUCCEEDED",     "FAILED",  "CANCELED",
                                            "LOST",     "INDETERMINATE", "REVOKING"};
static const char *const trigger_words[] = {NULL,
                                            "CreatePipeline",
                                            "StartPipelineExecution",
                                            "PollForSourceChanges",
                                            "Webhook",
                                            "CloudWatchEvent",
                                            "PutActionRevision",
                                            "WebhookV2",
                                            "ManualRollback",
                                            "AutomatedRollback"};

/* ": text", or nothing. */
static const char *colon(const char *text)
{
    return text == NULL || *text == '\0' ? "" : ": ";
}

static const char *or_nothing(const char *text)
{
    return text == NULL ? "" : text;
}

/* The name of a stage, by its index in this version of the pipeline; to be freed. */
static char *stage_name(struct story *self, const char *execution_id, uint32_t index)
{
    Pen__ExecutionRow *execution = world_row(&self->world, PEN__ROW_KIND__ROW_EXECUTION,
                                             execution_id, &pen__execution_row__descriptor);
    if (execution == NULL)
        return mem_text("?");
    char *key = mem_format("%s/%d", execution->pipeline, execution->pipeline_version);
    Pen__PipelineVersionRow *version = world_row(&self->world, PEN__ROW_KIND__ROW_PIPELINE_VERSION,
                                                 key, &pen__pipeline_version_row__descriptor);
    char *name = mem_text(version == NULL ? "?" : version->declaration->stages[index]->name);
    free(key);
    mem_free_message(version);
    mem_free_message(execution);
    return name;
}

/* ---- facts about executions and stages */

static void tell_started(struct story *self, const Pen__Fact *fact)
{
    const Pen__ExecutionStarted *body = fact->execution_started;
    tell_alias(self, fact->execution_id, mem_format("e%zu", ++self->executions));
    struct pen_buf more = {0};
    for (size_t i = 0; i < body->n_variables; i++)
        pen_buf_printf(&more, ", %s=%s", body->variables[i]->name, body->variables[i]->value);
    for (size_t i = 0; i < body->n_overrides; i++)
        pen_buf_printf(&more, ", %s at %s", body->overrides[i]->action,
                       body->overrides[i]->revision_value);
    if (body->rollback_target_id != NULL)
        pen_buf_printf(&more, ", rolls back to %s", body->rollback_target_id);
    tell(self, fact->at_ms, "%s of %s starts: version %d, %s, %s %s%s", fact->execution_id,
         fact->pipeline, body->pipeline_version, body->mode,
         WORD(trigger_words, body->trigger_type), or_nothing(body->trigger_detail),
         pen_buf_text(&more));
    pen_buf_release(&more);
}

static void tell_waiting(struct story *self, const Pen__Fact *fact)
{
    char *name = stage_name(self, fact->execution_id, fact->execution_waiting->stage_index);
    tell(self, fact->at_ms, "%s waits in front of %s", fact->execution_id, name);
    free(name);
}

static void tell_stopping(struct story *self, const Pen__Fact *fact)
{
    const Pen__ExecutionStopping *body = fact->execution_stopping;
    tell(self, fact->at_ms, "%s Stopping%s%s%s", fact->execution_id,
         body->kill      ? " (kill)"
         : body->abandon ? " (abandon)"
                         : "",
         colon(body->reason), or_nothing(body->reason));
}

static void tell_ended(struct story *self, const Pen__Fact *fact)
{
    const Pen__ExecutionEnded *body = fact->execution_ended;
    tell(self, fact->at_ms, "%s %s%s%s%s%s", fact->execution_id,
         WORD(execution_words, body->status), body->superseded_by != NULL ? " by " : "",
         or_nothing(body->superseded_by), colon(body->summary), or_nothing(body->summary));
}

static void tell_stage_started(struct story *self, const Pen__Fact *fact)
{
    tell(self, fact->at_ms, "%s enters %s", fact->execution_id, fact->stage_started->stage);
}

static void tell_group(struct story *self, const Pen__Fact *fact)
{
    if (fact->stage_group_started->run_order > 1)
        tell(self, fact->at_ms, "%s %s: runOrder %u", fact->execution_id,
             fact->stage_group_started->stage, fact->stage_group_started->run_order);
}

static void tell_stage_ended(struct story *self, const Pen__Fact *fact)
{
    tell(self, fact->at_ms, "%s %s %s", fact->execution_id, fact->stage_ended->stage,
         WORD(stage_words, fact->stage_ended->status));
}

static void tell_retried(struct story *self, const Pen__Fact *fact)
{
    const Pen__StageRetried *body = fact->stage_retried;
    tell(self, fact->at_ms, "%s %s %s%s%s%s", fact->execution_id, body->stage,
         body->overridden ? "goes on" : "is retried: ",
         body->overridden ? "" : or_nothing(body->mode), body->automatic ? ", automatically" : "",
         body->beside ? ", beside what was given up" : "");
}

static void tell_condition_started(struct story *self, const Pen__Fact *fact)
{
    const Pen__ConditionStarted *body = fact->condition_started;
    for (size_t i = 0; i < body->n_rules; i++)
        tell_alias(self, body->rules[i]->id, mem_text(body->rules[i]->rule));
    tell(self, fact->at_ms, "%s %s: %s is checked", fact->execution_id, body->stage,
         WORD(kind_words, body->kind));
}

static void tell_rule(struct story *self, const Pen__Fact *fact)
{
    const Pen__RuleEnded *body = fact->rule_ended;
    tell(self, fact->at_ms, "%s %s: rule %s %s%s%s", fact->execution_id, body->stage,
         body->rule_execution_id, WORD(action_words, body->status), colon(body->summary),
         or_nothing(body->summary));
}

static void tell_window(struct story *self, const Pen__Fact *fact)
{
    const Pen__WindowFound *body = fact->window_found;
    tell(self, fact->at_ms, "%s %s: rule %s%s%s", fact->execution_id, body->stage,
         body->rule_execution_id, colon(body->summary), or_nothing(body->summary));
}

static void tell_condition_ended(struct story *self, const Pen__Fact *fact)
{
    const Pen__ConditionEnded *body = fact->condition_ended;
    tell(self, fact->at_ms, "%s %s: %s %s%s%s", fact->execution_id, body->stage,
         WORD(kind_words, body->kind), WORD(condition_words, body->status), colon(body->summary),
         or_nothing(body->summary));
}

/* ---- facts about actions and attempts */

static void put_resolved(struct pen_buf *to, const Pen__ActionExecutionRow *row)
{
    for (size_t i = 0; i < row->n_resolved_commands; i++)
        if (!same(row->resolved_commands[i], "make"))
            pen_buf_printf(to, "; runs: %s", row->resolved_commands[i]);
    for (size_t i = 0; i < row->n_resolved_environment; i++)
        pen_buf_printf(to, "; env %s=%s", row->resolved_environment[i]->name,
                       row->resolved_environment[i]->value);
    for (size_t i = 0; i < row->n_resolved_configuration; i++)
        if (!same(row->type->category, "Source"))
            pen_buf_printf(to, "; %s=%s", row->resolved_configuration[i]->key,
                           row->resolved_configuration[i]->value);
    for (size_t i = 0; i < row->n_inputs; i++)
        if (i > 0 || !same(row->inputs[i]->stage, "Source"))
            pen_buf_printf(to, "; reads %s of %s/%s", row->inputs[i]->artifact->name,
                           row->inputs[i]->stage, row->inputs[i]->action);
}

static void tell_action_started(struct story *self, const Pen__Fact *fact)
{
    const Pen__ActionExecutionRow *row = fact->action_started->action;
    size_t before = 0;
    for (size_t i = 0; i < self->facts_told; i++)
        before += self->world.facts[i]->what_case == PEN__FACT__WHAT_ACTION_STARTED &&
                  same(self->world.facts[i]->execution_id, fact->execution_id) &&
                  same(self->world.facts[i]->action_started->action->stage, row->stage) &&
                  same(self->world.facts[i]->action_started->action->action, row->action);
    const char *name = name_of(self, fact->execution_id);
    if (row->rule_execution_id == NULL) /* else the rule has its name already */
        tell_alias(self, row->id,
                   before == 0
                       ? mem_format("%s %s/%s", name, row->stage, row->action)
                       : mem_format("%s %s/%s#%zu", name, row->stage, row->action, before + 1));
    if (row->approval_token != NULL)
        tell_alias(self, row->approval_token, mem_format("<token of %s>", row->action));
    struct pen_buf more = {0};
    put_resolved(&more, row);
    tell(self, fact->at_ms, "%s starts: %s%s", row->id, WORD(phase_words, row->phase),
         pen_buf_text(&more));
    pen_buf_release(&more);
}

static void tell_progress(struct story *self, const Pen__Fact *fact)
{
    const Pen__ActionProgress *body = fact->action_progress;
    if (self->with_progress)
        tell(self, fact->at_ms, "%s says: %s", body->action_execution_id,
             or_nothing(body->summary));
}

static void tell_action_ended(struct story *self, const Pen__Fact *fact)
{
    const Pen__ActionEnded *body = fact->action_ended;
    const char *text = body->error_message != NULL ? body->error_message : body->summary;
    const char *by = body->updated_by != NULL ? " by " : "";
    tell(self, fact->at_ms, "%s %s%s%s%s%s%s%s", body->action_execution_id,
         WORD(action_words, body->status), by, or_nothing(body->updated_by),
         body->error_code != NULL ? " " : "", or_nothing(body->error_code), colon(text),
         or_nothing(text));
}

static void tell_requeued(struct story *self, const Pen__Fact *fact)
{
    const Pen__ActionRequeued *body = fact->action_requeued;
    tell(self, fact->at_ms, "%s is %s: %s", body->action_execution_id,
         body->phase == PEN__ACTION_PHASE__ACTION_QUEUED ? "queued again" : "indeterminate",
         or_nothing(body->reason));
}

static char *fence_text(uint64_t fence)
{
    return mem_format("fence-%llu;", (unsigned long long)fence);
}

static void tell_granted(struct story *self, const Pen__Fact *fact)
{
    const Pen__AttemptGranted *body = fact->attempt_granted;
    size_t number = 1;
    for (size_t i = 0; i < self->facts_told; i++)
        number += self->world.facts[i]->what_case == PEN__FACT__WHAT_ATTEMPT_GRANTED &&
                  same(self->world.facts[i]->attempt_granted->action_execution_id,
                       body->action_execution_id);
    char *fence = fence_text(body->fence);
    tell_alias(self, fence,
               mem_format("%s: attempt %zu", name_of(self, body->action_execution_id), number));
    if (self->with_attempts)
        tell(self, fact->at_ms, "%s is granted to %s", fence, body->agent_id);
    free(fence);
}

static void tell_attempt(struct story *self, const Pen__Fact *fact, uint64_t fence,
                         const char *what, const char *why)
{
    char *text = fence_text(fence);
    if (self->with_attempts)
        tell(self, fact->at_ms, "%s %s%s%s", text, what, colon(why), or_nothing(why));
    free(text);
}

static void tell_attempt_started(struct story *self, const Pen__Fact *fact)
{
    tell_attempt(self, fact, fact->attempt_started->fence, "begins", NULL);
}

static void tell_moved(struct story *self, const Pen__Fact *fact)
{
    const Pen__AttemptMoved *body = fact->attempt_moved;
    tell_attempt(self, fact, body->fence, WORD(attempt_words, body->state), body->reason);
}

/* ---- facts about pipelines and agents */

static void tell_pipeline(struct story *self, const Pen__Fact *fact)
{
    tell(self, fact->at_ms, "%s %s", fact->pipeline,
         fact->what_case == PEN__FACT__WHAT_PIPELINE_CREATED   ? "is created"
         : fact->what_case == PEN__FACT__WHAT_PIPELINE_DELETED ? "is deleted"
                                                               : "is changed");
}

static void tell_transition(struct story *self, const Pen__Fact *fact)
{
    const Pen__TransitionChanged *body = fact->transition_changed;
    tell(self, fact->at_ms, "the transition into %s is %s by %s%s%s", body->stage,
         body->disabled ? "disabled" : "enabled", or_nothing(fact->by),
         body->disabled ? colon(body->reason) : "", body->disabled ? or_nothing(body->reason) : "");
}

static void tell_seen(struct story *self, const Pen__Fact *fact)
{
    const Pen__RevisionSeen *body = fact->revision_seen;
    if (body->deleted) {
        tell(self, fact->at_ms, "%s/%s: %s is gone", body->stage, body->action,
             body->ref_name != NULL ? body->ref_name : "the branch");
        return;
    }
    if (body->revision_id == NULL) { /* of a pull request */
        tell(self, fact->at_ms, "%s/%s: %s starts nothing", body->stage, body->action,
             body->ref_name);
        return;
    }
    tell(self, fact->at_ms, "%s/%s: revision %s is seen%s%s", body->stage, body->action,
         body->revision_id, body->ref_name != NULL ? " at " : "", or_nothing(body->ref_name));
}

static void tell_agent(struct story *self, const Pen__Fact *fact)
{
    const Pen__AgentChanged *body = fact->agent_changed;
    const char *what = body->status == PEN__AGENT_STATUS__AGENT_REVOKED       ? "is revoked"
                       : body->status == PEN__AGENT_STATUS__AGENT_QUARANTINED ? "is quarantined"
                       : body->draining                                       ? "drains"
                                                                              : "takes work again";
    tell(self, fact->at_ms, "agent %s %s%s%s", body->agent_id, what, colon(body->reason),
         or_nothing(body->reason));
}

static void tell_enrolled(struct story *self, const Pen__Fact *fact)
{
    tell_alias(self, fact->agent_enrolled->agent->id, mem_text(fact->agent_enrolled->agent->name));
}

/* Facts that are not here are not worth a line. */
static const struct {
    Pen__Fact__WhatCase what;
    void (*tell)(struct story *self, const Pen__Fact *fact);
} tellers[] = {
    {PEN__FACT__WHAT_PIPELINE_CREATED, tell_pipeline},
    {PEN__FACT__WHAT_PIPELINE_UPDATED, tell_pipeline},
    {PEN__FACT__WHAT_PIPELINE_DELETED, tell_pipeline},
    {PEN__FACT__WHAT_TRANSITION_CHANGED, tell_transition},
    {PEN__FACT__WHAT_REVISION_SEEN, tell_seen},
    {PEN__FACT__WHAT_WEBHOOK_PUT, tell_hook},
    {PEN__FACT__WHAT_WEBHOOK_DELETED, tell_hook},
    {PEN__FACT__WHAT_WEBHOOK_TRIGGERED, tell_hook},
    {PEN__FACT__WHAT_POLLING_STOPPED, tell_hook},
    {PEN__FACT__WHAT_PULL_REQUEST_NOTICED, tell_hook},
    {PEN__FACT__WHAT_EXECUTION_STARTED, tell_started},
    {PEN__FACT__WHAT_EXECUTION_WAITING, tell_waiting},
    {PEN__FACT__WHAT_EXECUTION_STOPPING, tell_stopping},
    {PEN__FACT__WHAT_EXECUTION_ENDED, tell_ended},
    {PEN__FACT__WHAT_STAGE_STARTED, tell_stage_started},
    {PEN__FACT__WHAT_STAGE_GROUP_STARTED, tell_group},
    {PEN__FACT__WHAT_STAGE_ENDED, tell_stage_ended},
    {PEN__FACT__WHAT_STAGE_RETRIED, tell_retried},
    {PEN__FACT__WHAT_CONDITION_STARTED, tell_condition_started},
    {PEN__FACT__WHAT_WINDOW_FOUND, tell_window},
    {PEN__FACT__WHAT_RULE_ENDED, tell_rule},
    {PEN__FACT__WHAT_CONDITION_ENDED, tell_condition_ended},
    {PEN__FACT__WHAT_ACTION_STARTED, tell_action_started},
    {PEN__FACT__WHAT_ACTION_PROGRESS, tell_progress},
    {PEN__FACT__WHAT_ACTION_ENDED, tell_action_ended},
    {PEN__FACT__WHAT_ACTION_REQUEUED, tell_requeued},
    {PEN__FACT__WHAT_ATTEMPT_GRANTED, tell_granted},
    {PEN__FACT__WHAT_ATTEMPT_STARTED, tell_attempt_started},
    {PEN__FACT__WHAT_ATTEMPT_MOVED, tell_moved},
    {PEN__FACT__WHAT_JOB_QUEUED, tell_job},
    {PEN__FACT__WHAT_JOB_MOVED, tell_job},
    {PEN__FACT__WHAT_AGENT_CHANGED, tell_agent},
    {PEN__FACT__WHAT_AGENT_ENROLLED, tell_enrolled},
};

void tell_facts(struct story *self)
{
    for (; self->facts_told < self->world.facts_count; self->facts_told++) {
        const Pen__Fact *fact = self->world.facts[self->facts_told];
        for (size_t i = 0; i < sizeof tellers / sizeof tellers[0]; i++)
            if (tellers[i].what == fact->what_case)
                tellers[i].tell(self, fact);
    }
}

/* ---- effects and replies */

/* What is told to the world beside the facts; a restart may tell it twice, so that it is shown only
 * where attempts are shown. */
void tell_effect(struct story *self, const Pen__Effect *effect)
{
    tell_facts(self);
    if (!self->with_attempts || self->world.restart_always)
        return;
    int64_t now_ms = self->world.now_ms;
    if (effect->what_case == PEN__EFFECT__WHAT_SOURCE_CANCEL)
        tell(self, now_ms, "-> sources: cancel %s", effect->source_cancel->action_execution_id);
    if (effect->what_case != PEN__EFFECT__WHAT_AGENT_SEND)
        return;
    const Pen__ToAgent *message = effect->agent_send->message;
    char *fence = NULL;
    if (message->body_case == PEN__TO_AGENT__BODY_CANCEL)
        fence = fence_text(message->cancel->fence);
    else if (message->body_case == PEN__TO_AGENT__BODY_REVOKE)
        fence = fence_text(message->revoke->fence);
    if (fence != NULL)
        tell(self, now_ms, "-> agent %s: %s %s", effect->agent_send->agent_id,
             message->body_case == PEN__TO_AGENT__BODY_CANCEL ? "cancel" : "revoke", fence);
    free(fence);
}

void tell_reply(struct story *self)
{
    tell_facts(self);
    const Pen__Reply *reply = self->world.reply;
    if (reply == NULL)
        return;
    if (reply->error != NULL)
        tell(self, self->world.now_ms, "refused: %s: %s", reply->error, reply->message);
    else if (reply->execution_id != NULL)
        tell(self, self->world.now_ms, "answer: %s", reply->execution_id);
}

void tell_reasons(struct story *self)
{
    tell_facts(self);
    const Pen__Reply *reply = self->world.reply;
    if (reply->error != NULL) {
        tell_reply(self);
        return;
    }
    for (size_t i = 0; i < reply->n_reasons; i++) {
        const Pen__Reason *reason = reply->reasons[i];
        struct pen_buf since = {0};
        put_time(&since, reason->since_ms);
        tell(self, self->world.now_ms, "why %s: %s%s: %s (since %s)", reason->subject,
             reason->predicate, reason->never ? ", never" : "", reason->sentence,
             pen_buf_text(&since));
        if (reason->clears != NULL)
            tell(self, self->world.now_ms, "    until %s", reason->clears);
        for (size_t j = 0; j < reason->n_commands; j++)
            tell(self, self->world.now_ms, "    $ %s", reason->commands[j]);
        pen_buf_release(&since);
    }
    if (reply->n_reasons == 0)
        tell(self, self->world.now_ms, "why: nothing waits");
}

void tell_work(struct story *self)
{
    tell_facts(self);
    const Pen__Reply *reply = self->world.reply;
    for (size_t i = 0; i < reply->n_agents; i++) {
        const Pen__AgentView *view = reply->agents[i];
        tell(self, self->world.now_ms, "agent %s: %u of %u slots are taken", view->row->name,
             view->busy_slots, view->row->slots);
        for (size_t k = 0; k < view->n_work; k++) {
            const Pen__WorkView *work = view->work[k];
            struct pen_buf since = {0};
            put_time(&since, work->since_ms);
            tell(self, self->world.now_ms, "    %s %s/%s %s%s: %s (since %s)", work->execution_id,
                 work->stage, work->action,
                 work->has_state ? WORD(attempt_words, work->state) : "OFFERED",
                 work->abandoned ? ", given up" : "", work->sentence, pen_buf_text(&since));
            pen_buf_release(&since);
        }
    }
}

/* ---- states */

static void put_action(struct story *self, const char *id, struct pen_buf *to)
{
    Pen__ActionExecutionRow *row = world_row(&self->world, PEN__ROW_KIND__ROW_ACTION_EXECUTION, id,
                                             &pen__action_execution_row__descriptor);
    if (row == NULL)
        return;
    pen_buf_printf(to, "%s: %s (%s)", row->action, WORD(action_words, row->status),
                   name_of(self, row->execution_id));
    if (row->error_code != NULL)
        pen_buf_printf(to, " %s: %s", row->error_code, or_nothing(row->error_message));
    else if (row->summary != NULL && row->status != PEN__ACTION_STATUS__ACTION_IN_PROGRESS)
        pen_buf_printf(to, ": %s", row->summary);
    mem_free_message(row);
}

static const char *stage_status(struct story *self, const char *execution_id, const char *stage,
                                struct pen_buf *retries)
{
    char *key = mem_format("%s/%s", execution_id, stage);
    Pen__StageExecutionRow *row = world_row(&self->world, PEN__ROW_KIND__ROW_STAGE_EXECUTION, key,
                                            &pen__stage_execution_row__descriptor);
    free(key);
    if (row == NULL)
        return "?";
    if (row->rollback)
        pen_buf_puts(retries, ", type ROLLBACK");
    if (row->automatic_retries > 0 || row->manual_retries > 0)
        pen_buf_printf(retries, ", retries: %u automatic, %u manual%s", row->automatic_retries,
                       row->manual_retries,
                       row->automatic_retries == 0 || row->manual_retries == 0 ? ""
                       : row->retried_by_itself ? ", the last automatic"
                                                : ", the last manual");
    const char *word = WORD(stage_words, row->status);
    mem_free_message(row);
    return word;
}

static void tell_stage(struct story *self, const Pen__StageStateRow *row)
{
    struct pen_buf line = {0};
    struct pen_buf retries = {0};
    if (row->latest_execution_id != NULL)
        pen_buf_printf(&line, " %s %s", name_of(self, row->latest_execution_id),
                       stage_status(self, row->latest_execution_id, row->stage, &retries));
    else
        pen_buf_puts(&line, " no execution yet");
    pen_buf_puts(&line, pen_buf_text(&retries));
    for (size_t i = 0; i < row->n_waiting; i++)
        pen_buf_printf(&line, "%s %s", i == 0 ? "; inbound" : ",", name_of(self, row->waiting[i]));
    if (row->disabled)
        pen_buf_printf(&line, "; transition disabled by %s%s%s", or_nothing(row->changed_by),
                       colon(row->disabled_reason), or_nothing(row->disabled_reason));
    tell(self, self->world.now_ms, "  %s:%s", row->stage, pen_buf_text(&line));
    for (size_t i = 0; i < row->n_latest_actions; i++) {
        pen_buf_clear(&line);
        put_action(self, row->latest_actions[i]->action_execution_id, &line);
        tell(self, self->world.now_ms, "    %s", pen_buf_text(&line));
    }
    pen_buf_release(&line);
    pen_buf_release(&retries);
}

void tell_state(struct story *self, const char *pipeline)
{
    tell_facts(self);
    Pen__PipelineRow *row = world_row(&self->world, PEN__ROW_KIND__ROW_PIPELINE, pipeline,
                                      &pen__pipeline_row__descriptor);
    if (row == NULL) {
        tell(self, self->world.now_ms, "state: no pipeline %s", pipeline);
        return;
    }
    char *key = mem_format("%s/%d", pipeline, row->version);
    Pen__PipelineVersionRow *version = world_row(&self->world, PEN__ROW_KIND__ROW_PIPELINE_VERSION,
                                                 key, &pen__pipeline_version_row__descriptor);
    free(key);
    tell(self, self->world.now_ms, "state of %s: version %d%s", pipeline, row->version,
         row->has_polling_disabled_ms ? ", not polled" : "");
    for (size_t i = 0; i < version->declaration->n_stages; i++) {
        key = mem_format("%s/%s", pipeline, version->declaration->stages[i]->name);
        Pen__StageStateRow *stage = world_row(&self->world, PEN__ROW_KIND__ROW_STAGE_STATE, key,
                                              &pen__stage_state_row__descriptor);
        if (stage != NULL)
            tell_stage(self, stage);
        mem_free_message(stage);
        free(key);
    }
    mem_free_message(version);
    mem_free_message(row);
}

static void put_execution(const Pen__ExecutionRow *row, struct pen_buf *line)
{
    pen_buf_printf(line, "%s %s, version %d", row->id, WORD(execution_words, row->status),
                   row->pipeline_version);
    if (row->rollback_target_id != NULL)
        pen_buf_printf(line, ", rolls back to %s", row->rollback_target_id);
    for (size_t i = 0; i < row->n_revisions; i++)
        pen_buf_printf(line, ", %s at %s", row->revisions[i]->action,
                       row->revisions[i]->revision_id);
    for (size_t i = 0; i < row->n_variables; i++)
        pen_buf_printf(line, ", %s=%s", row->variables[i]->name, row->variables[i]->value);
    if (row->status_summary != NULL)
        pen_buf_printf(line, ": %s", row->status_summary);
}

/* The actions of the execution, in the order of their start. */
static void tell_actions(struct story *self, const char *id)
{
    for (size_t i = 0; i < self->facts_told; i++) {
        const Pen__Fact *fact = self->world.facts[i];
        if (fact->what_case != PEN__FACT__WHAT_ACTION_STARTED || !same(fact->execution_id, id) ||
            fact->action_started->action->rule_execution_id != NULL)
            continue; /* a rule's work is no action */
        struct pen_buf line = {0};
        put_action(self, fact->action_started->action->id, &line);
        tell(self, self->world.now_ms, "    %s/%s", fact->action_started->action->stage,
             pen_buf_text(&line));
        pen_buf_release(&line);
    }
}

void tell_execution(struct story *self, const char *id)
{
    tell_facts(self);
    Pen__ExecutionRow *row =
        world_row(&self->world, PEN__ROW_KIND__ROW_EXECUTION, id, &pen__execution_row__descriptor);
    if (row == NULL)
        story_wrong(self, "no execution %s", id);
    struct pen_buf line = {0};
    put_execution(row, &line);
    tell(self, self->world.now_ms, "%s", pen_buf_text(&line));
    pen_buf_release(&line);
    mem_free_message(row);
    tell_actions(self, id);
}
