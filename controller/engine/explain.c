#include "controller/engine/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/job.h"
#include "controller/model/cron.h"

/* ---- gates: may this execution enter this stage? */

static bool transition_open(const struct execution *execution, const struct stage_state *stage)
{
    (void)execution;
    return stage == NULL || !stage->row->disabled;
}

static bool stage_free(const struct execution *execution, const struct stage_state *stage)
{
    return stage == NULL || execution_parallel(execution) || stage->row->holder == NULL;
}

/* Place in the queue, from 1; who does not stand there yet would be last. */
static size_t queue_position(const struct execution *execution, const struct stage_state *stage)
{
    size_t i = 0;
    while (i < stage->row->n_waiting && !pen_str_equal(stage->row->waiting[i], execution->row->id))
        i++;
    if (i == stage->row->n_waiting && execution_rolls_back(execution))
        return 1; /* it arrives, and rollbacks go before all others */
    return i + 1;
}

static bool first_in_queue(const struct execution *execution, const struct stage_state *stage)
{
    return stage == NULL || execution_parallel(execution) || queue_position(execution, stage) == 1;
}

static void say_transition(const struct execution *execution, const struct stage_state *stage,
                           struct pen_buf *text)
{
    (void)execution;
    pen_buf_printf(text, "the transition into stage '%s' is disabled", stage->row->stage);
    if (stage->row->changed_by != NULL)
        pen_buf_printf(text, " by %s", stage->row->changed_by);
    if (stage->row->disabled_reason != NULL)
        pen_buf_printf(text, ": %s", stage->row->disabled_reason);
}

static bool not_rested(const struct execution *execution, const struct stage_state *stage)
{
    return stage == NULL || execution->row->order > stage->row->rested_order;
}

static void say_rested(const struct execution *execution, const struct stage_state *stage,
                       struct pen_buf *text)
{
    (void)execution;
    pen_buf_printf(text,
                   "the transition into stage '%s' was disabled for more than %d days: what waited "
                   "there does not go on by itself",
                   stage->row->stage, PEN_LIMIT_TRANSITION_REST_DAYS);
}

static void say_holder(const struct execution *execution, const struct stage_state *stage,
                       struct pen_buf *text)
{
    (void)execution;
    pen_buf_printf(text, "stage '%s' is held by execution %s", stage->row->stage,
                   stage->row->holder);
}

static void say_queue(const struct execution *execution, const struct stage_state *stage,
                      struct pen_buf *text)
{
    pen_buf_printf(text, "it is number %zu of %zu in the queue of stage '%s'",
                   queue_position(execution, stage), stage->row->n_waiting, stage->row->stage);
}

static const struct gate_predicate {
    const char *name;
    const char *clears;
    bool (*holds)(const struct execution *execution, const struct stage_state *stage);
    void (*say)(const struct execution *execution, const struct stage_state *stage,
                struct pen_buf *text);
} gate_predicates[] = {
    {"transition_disabled", "a person enables it", transition_open, say_transition},
    {"transition_rested", "a new change comes, or a person starts the pipeline", not_rested,
     say_rested},
    {"stage_held", "that execution leaves the stage, or is stopped", stage_free, say_holder},
    {"in_queue", "those before it enter, or are stopped", first_in_queue, say_queue},
};
enum {
    GATE_TRANSITION = 0, /* places in the table */
    GATE_RESTED = 1,
    GATE_HELD = 2,
    GATE_QUEUE = 3,
    GATE_PREDICATES = sizeof gate_predicates / sizeof gate_predicates[0],
};

bool gate_open(const struct pen_engine *engine, const struct execution *execution,
               const struct stage_state *stage)
{
    (void)engine;
    for (size_t i = 0; i < GATE_PREDICATES; i++)
        if (!gate_predicates[i].holds(execution, stage))
            return false;
    return true;
}

char *gate_summary(const struct execution *execution, const struct stage_state *stage)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    const char *name = execution->declaration->stages[execution->row->stage_index]->name;
    pen_buf_printf(&text, "Waiting to enter stage '%s'", name);
    size_t i = 0;
    while (i < GATE_PREDICATES && gate_predicates[i].holds(execution, stage))
        i++;
    if (i >= GATE_HELD && !first_in_queue(execution, stage)) {
        /* Without the number: it changes for all who wait whenever one enters. */
        pen_buf_puts(&text, ": others wait before it");
    } else if (i < GATE_PREDICATES) {
        pen_buf_puts(&text, ": ");
        gate_predicates[i].say(execution, stage, &text);
    }
    return mem_text(pen_buf_text(&text));
}

/* ---- reasons, for Explain */

/* When the gate may be open for it: once the stage is free, and those before it went through. */
static struct expectation gate_expectation(const struct pen_engine *engine,
                                           const struct execution *execution,
                                           const struct stage_state *stage, bool with_queue)
{
    const struct execution *holder = find_execution(engine, stage->row->holder);
    int64_t each_ms = history_stage_ms(stage);
    struct expectation expectation = {.usual_ms = each_ms};
    if (holder != NULL)
        expectation = history_stage(engine, holder);
    if (with_queue && each_ms >= 0 && expectation.usual_ms >= 0 && expectation.left_ms >= 0)
        expectation.left_ms += each_ms * (int64_t)(queue_position(execution, stage) - 1);
    return expectation;
}

/* What a person can do about a gate. */
static void advise_gate(const struct pen_engine *engine, const struct execution *execution,
                        const struct stage_state *stage, size_t predicate, Pen__Reason *reason)
{
    const char *pipeline = execution->row->pipeline;
    if (predicate == GATE_TRANSITION) {
        reason_advise(reason, "transition enable", NULL, pipeline, stage->row->stage, NULL);
        reason_acts(reason, stage->row->changed_by);
    } else if (predicate == GATE_RESTED && variable_without_default(execution->pipeline) == NULL) {
        reason_advise(reason, "start", NULL, pipeline, NULL);
        reason_acts(reason, "who wants it to go on");
    } else if (predicate == GATE_HELD) {
        const struct execution *holder = find_execution(engine, stage->row->holder);
        if (holder != NULL && holder->row->status == PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS)
            reason_advise(reason, "stop", NULL, pipeline, holder->row->id, NULL);
    }
}

static void explain_gate(const struct pen_engine *engine, const struct execution *execution,
                         Pen__Reply *reply)
{
    const char *name = execution->declaration->stages[execution->row->stage_index]->name;
    const struct stage_state *stage = find_stage(execution->pipeline, name);
    for (size_t i = 0; stage != NULL && i < GATE_PREDICATES; i++) {
        if (gate_predicates[i].holds(execution, stage))
            continue;
        PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
        pen_buf_printf(&text, "Execution %s waits: ", execution->row->id);
        gate_predicates[i].say(execution, stage, &text);
        int64_t since_ms = execution->row->waiting_since_ms;
        if (i == GATE_TRANSITION && stage->row->changed_ms > 0)
            since_ms = stage->row->changed_ms;
        Pen__Reason *reason =
            reason_add(reply, execution->row, mem_format("%s/%s", execution->row->pipeline, name),
                       gate_predicates[i].name, &text, since_ms, gate_predicates[i].clears, false);
        advise_gate(engine, execution, stage, i, reason);
        if (i >= GATE_HELD) {
            struct expectation expectation =
                gate_expectation(engine, execution, stage, i == GATE_QUEUE);
            reason_expect(reason, &expectation);
        }
    }
}

static char *subject_of(const struct action *action)
{
    return mem_format("%s/%s/%s", action->row->pipeline, action->row->stage, action->row->action);
}

const char *attempt_say(const struct attempt *attempt, struct pen_buf *text,
                        const char **ret_clears)
{
    const char *name = attempt->agent->row->name;
    switch ((int)attempt->row->state) {
    case PEN__ATTEMPT_STATE__ATTEMPT_GRANTED:
        *ret_clears = "the agent starts it";
        pen_buf_printf(text, "Agent '%s' was told to start it, and has not said that it began",
                       name);
        return "starting";
    case PEN__ATTEMPT_STATE__ATTEMPT_REVOKING:
        *ret_clears = "the agent answers";
        pen_buf_printf(text, "Agent '%s' was asked for proof that it never began", name);
        return "proof_wanted";
    case PEN__ATTEMPT_STATE__ATTEMPT_CANCELING:
        *ret_clears = "its process ends";
        pen_buf_printf(text, "%s is being ended on agent '%s'",
                       attempt->row->overdue ? "It ran longer than its time-out, and" : "It", name);
        return "canceling";
    case PEN__ATTEMPT_STATE__ATTEMPT_DRAINING:
        *ret_clears = "log and artifacts arrive";
        pen_buf_printf(text, "It has ended on agent '%s'; its log or artifacts are on their way",
                       name);
        return "draining";
    default:
        *ret_clears = "the attempt ends";
        pen_buf_printf(text, "It runs on agent '%s'", name);
        return "running";
    }
}

static void see_log(const Pen__ActionExecutionRow *row, Pen__Reason *reason)
{
    char *options = mem_format("--stage %s --execution %s", row->stage, row->execution_id);
    reason_see(reason, "logs", options, row->pipeline, row->action, NULL);
    free(options);
}

/* When what runs is over: by itself, as far as history tells, or because its time is. */
static void expect_end(const struct pen_engine *engine, const struct action *action,
                       Pen__Reason *reason)
{
    struct expectation expectation = history_action(engine, action);
    reason_expect(reason, &expectation);
    if (action->attempt->row->has_started_ms)
        SET(reason, ends_ms, action->attempt->row->started_ms + action_time_ms(engine, action));
    const Pen__ExecutionRow *execution = action->run->execution->row;
    /* Of class once it would go on all the same. */
    if (reason->has_overdue_ms && !execution->abandon &&
        action->row->action_class == PEN__ACTION_CLASS__REPEATABLE)
        reason_advise(reason, "stop", "--abandon", execution->pipeline, execution->id, NULL);
}

static void explain_attempt(const struct pen_engine *engine, const struct action *action,
                            Pen__Reply *reply)
{
    const struct attempt *attempt = action->attempt;
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    const char *clears = NULL;
    const char *predicate = attempt_say(attempt, &text, &clears);
    int64_t since_ms = action->row->phase_since_ms;
    bool heard = attempt->agent->connected && !attempt->agent->suspect;
    if (!heard && attempt->row->state != PEN__ATTEMPT_STATE__ATTEMPT_DRAINING) {
        predicate = "agent_silent";
        clears = "the agent answers again, or counts as lost";
        since_ms = attempt->agent->seen_ms > since_ms ? attempt->agent->seen_ms : since_ms;
        pen_buf_clear(&text);
        pen_buf_printf(&text, "Agent '%s', which runs it, is not heard", attempt->agent->row->name);
    }
    Pen__Reason *reason = reason_add(reply, action->run->execution->row, subject_of(action),
                                     predicate, &text, since_ms, clears, false);
    SET(reason, fence, attempt->row->fence);
    see_log(action->row, reason);
    if (!heard)
        reason_acts(reason, "who looks after the agent's host");
    else if (attempt->row->state == PEN__ATTEMPT_STATE__ATTEMPT_RUNNING)
        expect_end(engine, action, reason);
}

/* What a person is asked for: the revisions that stand behind it. */
static void say_approval(const struct action *action, struct pen_buf *text)
{
    pen_buf_puts(text, "It waits for a person to approve it");
    for (size_t i = 0; i < action->row->n_approves_revisions; i++) {
        const Pen__SourceRevision *revision = action->row->approves_revisions[i];
        pen_buf_printf(text, "%s %s at %s", i == 0 ? ":" : ",", revision->action,
                       revision->revision_id);
    }
    if (action->row->deadline_ms != 0) {
        char deadline[PEN_MOMENT_TEXT_SIZE];
        pen_time_say(action->row->deadline_ms, deadline);
        pen_buf_printf(text, "; when nobody does, it fails at %s", deadline);
    }
    if (!approval_stands(action))
        pen_buf_puts(text, "; what it was asked for has changed since, so that it can only "
                           "be rejected, and asked anew by a retry");
}

/* What is fetched: as the action's configuration names it. */
static void say_source(const struct action *action, struct pen_buf *text)
{
    const char *repository = NULL;
    const char *branch = NULL;
    for (size_t i = 0; i < action->row->n_resolved_configuration; i++) {
        const char *key = action->row->resolved_configuration[i]->key;
        const char *value = action->row->resolved_configuration[i]->value;
        if (pen_str_equal(key, "RepositoryName") || pen_str_equal(key, "FullRepositoryId"))
            repository = value;
        if (pen_str_equal(key, "BranchName"))
            branch = value;
    }
    pen_buf_puts(text, "Its source is being fetched");
    if (repository != NULL)
        pen_buf_printf(text, ": repository '%s'", repository);
    if (repository != NULL && branch != NULL)
        pen_buf_printf(text, ", branch '%s'", branch);
}

static void say_unproven(const struct action *action, struct pen_buf *text)
{
    pen_buf_puts(text, action->row->error_message != NULL ? action->row->error_message
                                                          : "It may or may not have run");
    if (action->attempt != NULL)
        pen_buf_printf(text, " (agent '%s')", action->attempt->agent->row->name);
}

/* Decide it: only that is left of an approval whose artifacts have changed. */
static void advise_approval(const struct action *action, Pen__Reason *reason)
{
    const Pen__ActionExecutionRow *row = action->row;
    char *options = mem_format("--execution %s", row->execution_id);
    if (approval_stands(action))
        reason_advise(reason, "approve", options, row->pipeline, row->stage, row->action, NULL);
    reason_advise(reason, "reject", options, row->pipeline, row->stage, row->action, NULL);
    reason_acts(reason, "a person who may approve");
    free(options);
}

/* Say what is true at the target. */
static void advise_unproven(const struct action *action, Pen__Reason *reason)
{
    static const char *const words[] = {"failed", "retry", "succeeded"};
    const Pen__ActionExecutionRow *row = action->row;
    char *options = mem_format("--execution %s --reason 'looked at the target'", row->execution_id);
    size_t count = action->declaration->n_output_artifacts > 0 ? 2 : 3; /* as resolving checks */
    for (size_t i = 0; i < count; i++)
        reason_advise(reason, "resolve", options, row->pipeline, row->stage, row->action, words[i],
                      NULL);
    reason_acts(reason, "a person who has looked at what it was to change");
    see_log(row, reason);
    free(options);
}

void explain_job(const struct pen_engine *engine, const struct action *action, Pen__Reply *reply)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    const char *clears = NULL;
    const char *predicate = job_explain(engine, action->job, &text, &clears);
    bool never = !job_may_be_polled(engine, action->job);
    Pen__Reason *reason =
        reason_add(reply, action->run->execution->row, subject_of(action), predicate, &text,
                   action->job->row->state_since_ms, clears, never);
    const Pen__ExecutionRow *execution = action->run->execution->row;
    if (never && !execution->abandon)
        reason_advise(reason, "stop", "--abandon", execution->pipeline, execution->id, NULL);
    reason_acts(reason, action->job->row->worker != NULL ? action->job->row->worker
                                                         : "who runs the job workers");
    struct expectation expectation = history_action(engine, action);
    reason_expect(reason, &expectation);
}

static void explain_source(const struct pen_engine *engine, const struct action *action,
                           Pen__Reply *reply)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    say_source(action, &text);
    Pen__Reason *reason =
        reason_add(reply, action->run->execution->row, subject_of(action), "source_fetched", &text,
                   action->row->phase_since_ms,
                   "the repository answers, or the fetch runs out of time (fetch-timeout)", false);
    struct expectation expectation = history_action(engine, action);
    reason_expect(reason, &expectation);
}

/* Who has to decide it is a person. */
static void explain_decision(const struct action *action, Pen__Reply *reply)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    bool approval = action->row->phase == PEN__ACTION_PHASE__ACTION_APPROVAL;
    const char *clears = "the agent returns with proof, or a person decides";
    if (approval)
        clears = approval_stands(action) ? "a person approves or rejects" : "a person rejects";
    if (approval)
        say_approval(action, &text);
    else
        say_unproven(action, &text);
    Pen__Reason *reason = reason_add(reply, action->run->execution->row, subject_of(action),
                                     approval ? "approval_wanted" : "indeterminate", &text,
                                     action->row->phase_since_ms, clears, false);
    if (approval)
        advise_approval(action, reason);
    else
        advise_unproven(action, reason);
}

static void explain_action(struct explaining *self, const struct pen_engine *engine,
                           const struct action *action, Pen__Reply *reply)
{
    switch ((int)action->row->phase) {
    case PEN__ACTION_PHASE__ACTION_QUEUED:
        explain_queued(self, action, reply);
        break;
    case PEN__ACTION_PHASE__ACTION_ATTEMPT:
        explain_attempt(engine, action, reply);
        break;
    case PEN__ACTION_PHASE__ACTION_SOURCE:
        explain_source(engine, action, reply);
        break;
    case PEN__ACTION_PHASE__ACTION_APPROVAL:
    case PEN__ACTION_PHASE__ACTION_INDETERMINATE:
        explain_decision(action, reply);
        break;
    case PEN__ACTION_PHASE__ACTION_JOB:
        explain_job(engine, action, reply);
        break;
    default:
        break;
    }
}

/* A person lets the execution pass the condition: those of onFailure cannot be. */
static void advise_override(const Pen__ExecutionRow *execution, const char *stage,
                            Pen__ConditionKind kind, Pen__Reason *reason)
{
    if (kind == PEN__CONDITION_KIND__CONDITION_BEFORE_ENTRY)
        reason_advise(reason, "override", NULL, execution->pipeline, stage, execution->id, NULL);
    else if (kind == PEN__CONDITION_KIND__CONDITION_ON_SUCCESS)
        reason_advise(reason, "override", NULL, execution->pipeline, stage, execution->id,
                      "on-success", NULL);
}

/* As an action waits; and a person may go on without it. */
static void explain_rule_work(struct explaining *self, const struct pen_engine *engine,
                              const struct rule *rule, Pen__Reply *reply)
{
    size_t first = reply->n_reasons;
    explain_action(self, engine, rule->work, reply);
    if (rule->row->kind == PEN__CONDITION_KIND__CONDITION_ON_FAILURE)
        return;
    for (size_t i = first; i < reply->n_reasons; i++) {
        Pen__Reason *reason = reply->reasons[i];
        char *clears = mem_format("%s; or a person overrides the condition", reason->clears);
        free(reason->clears);
        reason->clears = clears;
        advise_override(rule->run->execution->row, rule->row->stage, rule->row->kind, reason);
    }
}

/* A rule waits for its window, or for its work on an agent. */
static void explain_rule(struct explaining *self, const struct pen_engine *engine,
                         const struct rule *rule, Pen__Reply *reply)
{
    if (rule->row->status != PEN__ACTION_STATUS__ACTION_IN_PROGRESS)
        return;
    if (rule->work != NULL) {
        explain_rule_work(self, engine, rule, reply);
        return;
    }
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    char opens[PEN_MOMENT_TEXT_SIZE];
    if (!rule->row->has_opens_ms) {
        pen_buf_printf(&text, "Rule '%s' waits for its time zone to be read", rule->row->rule);
        reason_add(reply, rule->run->execution->row,
                   mem_format("%s/%s", rule->row->pipeline, rule->row->stage), "zone_wanted", &text,
                   rule->row->started_ms, "the file is read", false);
        return;
    }
    pen_time_say(rule->row->opens_ms, opens);
    pen_buf_printf(&text, "Rule '%s' waits for its window, which opens at %s", rule->row->rule,
                   opens);
    for (size_t i = 0; i < rule->row->n_later_openings_ms; i++) {
        pen_time_say(rule->row->later_openings_ms[i], opens);
        pen_buf_printf(&text, "%s%s", i == 0 ? " (and then at " : ", ", opens);
    }
    if (rule->row->n_later_openings_ms > 0)
        pen_buf_puts(&text, ")");
    if (rule->row->deadline_ms < rule->row->opens_ms) {
        pen_time_say(rule->row->deadline_ms, opens);
        pen_buf_printf(&text, "; its time is over before, at %s", opens);
    }
    bool final = rule->row->kind == PEN__CONDITION_KIND__CONDITION_ON_FAILURE;
    const Pen__ExecutionRow *execution = rule->run->execution->row;
    Pen__Reason *reason =
        reason_add(reply, execution, mem_format("%s/%s", rule->row->pipeline, rule->row->stage),
                   "window_closed", &text, rule->row->started_ms,
                   final ? "the window opens, or a person stops the execution"
                         : "the window opens, or a person overrides it",
                   false);
    SET(reason, estimate_ms,
        rule->row->opens_ms > engine->now_ms ? rule->row->opens_ms - engine->now_ms : 0);
    if (!final)
        advise_override(execution, rule->row->stage, rule->row->kind, reason);
    else if (execution->status == PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS)
        reason_advise(reason, "stop", NULL, execution->pipeline, execution->id, NULL);
}

/* An action that has ended without success: no other is started then, unless it is retried. */
static const struct action *first_ended_badly(const struct stage_run *run)
{
    for (size_t i = 0; i < run->declaration->n_actions; i++)
        if (run->current[i] != NULL &&
            (run->current[i]->row->status == PEN__ACTION_STATUS__ACTION_FAILED ||
             run->current[i]->row->status == PEN__ACTION_STATUS__ACTION_ABANDONED))
            return run->current[i];
    return NULL;
}

/* What keeps an action from being started. */
static void explain_unstarted_action(const struct stage_run *run,
                                     const Pen__ActionDeclaration *declaration,
                                     const struct action *failed, Pen__Reply *reply)
{
    bool same_group =
        declaration->has_run_order && (uint32_t)declaration->run_order == run->row->run_order;
    const char *predicate = same_group ? "parallel_limit" : "earlier_group";
    const char *clears = "the actions before it end";
    int64_t since_ms = run->row->started_ms;
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    if (failed != NULL) {
        predicate = "action_failed";
        clears = "a person has what failed run again";
        since_ms = failed->row->updated_ms;
        pen_buf_printf(&text, "It is not started, because action '%s' has failed",
                       failed->row->action);
    } else if (same_group) {
        pen_buf_printf(&text,
                       "%u actions of this execution are under way, as many as may be "
                       "(parallel-actions-max)",
                       run->execution->in_progress);
    } else {
        pen_buf_printf(&text, "Group %u of the stage has not ended yet", run->row->run_order);
    }
    Pen__Reason *reason =
        reason_add(reply, run->execution->row,
                   mem_format("%s/%s/%s", run->row->pipeline, run->row->stage, declaration->name),
                   predicate, &text, since_ms, clears, false);
    if (failed != NULL && failed->row->status == PEN__ACTION_STATUS__ACTION_FAILED &&
        run->execution->in_progress > 0)
        reason_advise(reason, "retry", NULL, run->row->pipeline, run->row->stage,
                      run->row->execution_id, NULL);
}

/* Actions of the stage that were not started yet. */
static void explain_unstarted(const struct stage_run *run, Pen__Reply *reply)
{
    if (execution_outdated(run->execution))
        return; /* they wait for nothing: they will not be started */
    const struct action *failed = first_ended_badly(run);
    for (size_t i = 0; i < run->declaration->n_actions; i++)
        if (run->current[i] == NULL)
            explain_unstarted_action(run, run->declaration->actions[i], failed, reply);
}

void explain_execution(struct explaining *self, const struct pen_engine *engine,
                       const struct execution *execution, Pen__Reply *reply)
{
    if (execution_ended(execution))
        return;
    if (execution->row->waiting) {
        explain_gate(engine, execution, reply);
        return;
    }
    const struct stage_run *run = current_run(execution);
    if (run == NULL)
        return;
    if (execution->row->status == PEN__EXECUTION_STATUS__EXECUTION_STOPPING ||
        execution_outdated(execution)) {
        PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
        pen_buf_puts(&text, execution_outdated(execution)
                                ? "The pipeline was changed: what runs may end, then it is over"
                                : "It is being stopped: what runs may end, then it is over");
        Pen__Reason *reason = reason_add(
            reply, execution->row, mem_format("%s/%s", run->row->pipeline, run->row->stage),
            "winding_up", &text, execution->row->updated_ms,
            execution->row->abandon ? "what runs ends"
                                    : "what runs ends, or a person breaks it off",
            false);
        if (!execution->row->abandon)
            reason_advise(reason, "stop", "--abandon", execution->row->pipeline, execution->row->id,
                          NULL);
    }
    for (size_t i = 0; i < run->declaration->n_actions; i++)
        if (run->current[i] != NULL)
            explain_action(self, engine, run->current[i], reply);
    for (size_t i = 0; i < run->rules_count; i++)
        explain_rule(self, engine, run->rules[i], reply);
    if (execution->row->status == PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS &&
        run->rules_count == 0)
        explain_unstarted(run, reply);
}
