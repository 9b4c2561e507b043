#include "controller/engine/explain.h"

#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/job.h"
#include "controller/model/cron.h"

/* ---- agents: may this one get an offer? */

static bool is_enrolled(const struct pen_engine *engine, const struct agent *agent)
{
    (void)engine;
    return agent->row->status == PEN__AGENT_STATUS__AGENT_ENROLLED;
}

static bool is_connected(const struct pen_engine *engine, const struct agent *agent)
{
    (void)engine;
    return agent->connected;
}

static bool is_responding(const struct pen_engine *engine, const struct agent *agent)
{
    (void)engine;
    return !agent->suspect;
}

static bool takes_work(const struct pen_engine *engine, const struct agent *agent)
{
    (void)engine;
    return !agent->row->draining && !agent->session_draining &&
           !(agent->once && (agent->once_taken || agent->offers > 0));
}

static bool has_free_slot(const struct pen_engine *engine, const struct agent *agent)
{
    (void)engine;
    return agent->busy + agent->offers < agent->row->slots;
}

static bool is_not_pausing(const struct pen_engine *engine, const struct agent *agent)
{
    return agent->cool_until_ms <= engine->now_ms;
}

/* In the order in which they are worth telling. The labels come beside them (agent_serves). */
static const struct agent_predicate {
    const char *name;  /* of the reason, when it is this one that keeps the action waiting */
    const char *state; /* "2 of 3 agents with these labels are ..." */
    const char *clears;
    bool (*holds)(const struct pen_engine *engine, const struct agent *agent);
} agent_predicates[] = {
    {"agents_excluded", "revoked or quarantined", "enrol another agent", is_enrolled},
    {"agents_disconnected", "not connected", "start the agent, or mend its way to the controller",
     is_connected},
    {"agents_suspect", "silent", "the agent answers again, or counts as lost", is_responding},
    {"agents_draining", "draining", "end the drain: penstock agent drain --off", takes_work},
    {"slots_full", "busy in all slots", "an action on such an agent ends", has_free_slot},
    {"agents_pausing", "pausing after they declined or ignored an offer", "a moment passes",
     is_not_pausing},
};
enum { AGENT_PREDICATES = sizeof agent_predicates / sizeof agent_predicates[0] };

/* Index of the first predicate that does not hold; AGENT_PREDICATES when all do. */
static size_t first_miss(const struct pen_engine *engine, const struct agent *agent)
{
    size_t i = 0;
    while (i < AGENT_PREDICATES && agent_predicates[i].holds(engine, agent))
        i++;
    return i;
}

bool agent_available(const struct pen_engine *engine, const struct agent *agent)
{
    return first_miss(engine, agent) == AGENT_PREDICATES;
}

struct label_view {
    const struct pen_engine *engine;
    const struct agent *agent;
};

static const char *view_label(void *context, const char *key)
{
    const struct label_view *view = context;
    return agent_label(view->engine, view->agent, key);
}

bool agent_serves(const struct pen_engine *engine, const struct agent *agent,
                  const struct demand *demand)
{
    struct label_view view = {.engine = engine, .agent = agent};
    return pen_labels_match(&demand->labels, view_label, &view);
}

/* ---- why a demand waits */

struct census {
    size_t enrolled;
    size_t serving;                   /* enrolled, with the right labels */
    size_t missing[AGENT_PREDICATES]; /* serving agents by their first miss */
    const struct agent *nearest;      /* with the fewest wrong labels */
    size_t nearest_misses;
    size_t nearest_term;
};

static void take_census(const struct pen_engine *engine, const struct demand *demand,
                        struct census *ret_census)
{
    *ret_census = (struct census){0};
    for (struct pen_map_node *node = pen_map_first(&engine->agents); node != NULL;
         node = pen_map_next(node)) {
        const struct agent *agent = pen_map_value(node);
        if (!is_enrolled(engine, agent))
            continue;
        ret_census->enrolled++;
        struct label_view view = {.engine = engine, .agent = agent};
        size_t term = 0;
        size_t misses = pen_labels_misses(&demand->labels, view_label, &view, &term);
        if (misses == 0) {
            ret_census->serving++;
            size_t miss = first_miss(engine, agent);
            if (miss < AGENT_PREDICATES)
                ret_census->missing[miss]++;
        } else if (ret_census->nearest == NULL || misses < ret_census->nearest_misses) {
            ret_census->nearest = agent;
            ret_census->nearest_misses = misses;
            ret_census->nearest_term = term;
        }
    }
}

static void say_labels(const struct demand *demand, struct pen_buf *text)
{
    if (demand->labels.terms_count == 0)
        return;
    pen_buf_puts(text, " with ");
    for (size_t i = 0; i < demand->labels.terms_count; i++) {
        if (i > 0)
            pen_buf_putc(text, ',');
        pen_label_term_format(&demand->labels.terms[i], text);
    }
}

static void say_nearest(const struct pen_engine *engine, const struct demand *demand,
                        const struct census *census, struct pen_buf *text)
{
    pen_buf_puts(text, "no agent");
    say_labels(demand, text);
    const struct pen_label_term *term = &demand->labels.terms[census->nearest_term];
    const char *value = agent_label(engine, census->nearest, term->key);
    pen_buf_printf(text, ": %zu enrolled, none matches; nearest is '%s', which lacks ",
                   census->enrolled, census->nearest->row->name);
    pen_label_term_format(term, text);
    if (value != NULL)
        pen_buf_printf(text, " (it has %s=%s)", term->key, value);
    if (census->nearest_misses > 1)
        pen_buf_printf(text, " and %zu more", census->nearest_misses - 1);
}

const char *demand_explain(const struct pen_engine *engine, const struct demand *demand,
                           struct pen_buf *ret_sentence, bool *ret_never)
{
    struct census census;
    take_census(engine, demand, &census);
    pen_buf_puts(ret_sentence, "Waiting for an agent: ");
    *ret_never = census.serving == 0;
    if (census.enrolled == 0) {
        pen_buf_puts(ret_sentence, "none is enrolled");
        return "no_agent_enrolled";
    }
    if (census.serving == 0) {
        say_nearest(engine, demand, &census, ret_sentence);
        return "labels_unmatched";
    }
    /* Busy agents become free by themselves, so they are the best of the reasons; then the others.
     */
    static const size_t telling[] = {4, 5, 3, 2, 1, 0};
    size_t told = AGENT_PREDICATES;
    for (size_t i = 0; i < sizeof telling / sizeof telling[0] && told == AGENT_PREDICATES; i++)
        if (census.missing[telling[i]] > 0)
            told = telling[i];
    if (told == AGENT_PREDICATES) {
        pen_buf_puts(ret_sentence, "an offer is on its way");
        return "being_offered";
    }
    if (census.missing[told] == census.serving)
        pen_buf_puts(ret_sentence, "every agent");
    else
        pen_buf_puts(ret_sentence, "no agent is free: an agent");
    say_labels(demand, ret_sentence);
    pen_buf_printf(ret_sentence, " is %s", agent_predicates[told].state);
    return agent_predicates[told].name;
}

/* The same with numbers, for who asks at this moment. */
static void count_agents(const struct pen_engine *engine, const struct demand *demand,
                         struct pen_buf *text, const char **ret_clears)
{
    struct census census;
    take_census(engine, demand, &census);
    *ret_clears = "enrol an agent with these labels: penstock agent token";
    if (census.serving == 0)
        return;
    pen_buf_printf(text, " (of %zu enrolled agents %zu match", census.enrolled, census.serving);
    for (size_t i = 0; i < AGENT_PREDICATES; i++) {
        if (census.missing[i] == 0)
            continue;
        pen_buf_printf(text, ", %zu %s", census.missing[i], agent_predicates[i].state);
        *ret_clears = agent_predicates[i].clears;
    }
    pen_buf_puts(text, ")");
}

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
    {"transition_disabled", "enable it: penstock transition enable", transition_open,
     say_transition},
    {"transition_rested", "a new change comes, or a person starts the pipeline", not_rested,
     say_rested},
    {"stage_held", "that execution leaves the stage, or is stopped", stage_free, say_holder},
    {"in_queue", "those before it enter, or are stopped", first_in_queue, say_queue},
};
enum { GATE_PREDICATES = sizeof gate_predicates / sizeof gate_predicates[0] };

bool gate_open(const struct pen_engine *engine, const struct execution *execution,
               const struct stage_state *stage)
{
    (void)engine;
    for (size_t i = 0; i < GATE_PREDICATES; i++)
        if (!gate_predicates[i].holds(execution, stage))
            return false;
    return true;
}

/* ---- reasons, for Explain */

static void add_reason(Pen__Reply *reply, const struct execution *execution, char *subject,
                       const char *predicate, const struct pen_buf *sentence, int64_t since_ms,
                       const char *clears, bool never)
{
    Pen__Reason *reason = MAKE(Pen__Reason, pen__reason__init);
    reason->subject = subject;
    reason->execution_id = mem_text(execution->row->id);
    reason->predicate = mem_text(predicate);
    reason->sentence = mem_text(pen_buf_text(sentence));
    SET(reason, since_ms, since_ms);
    reason->clears = mem_text(clears);
    if (never)
        SET(reason, never, 1);
    APPEND(reply, reasons, reason);
}

static void explain_gate(const struct execution *execution, Pen__Reply *reply)
{
    const char *name = execution->declaration->stages[execution->row->stage_index]->name;
    const struct stage_state *stage = find_stage(execution->pipeline, name);
    for (size_t i = 0; stage != NULL && i < GATE_PREDICATES; i++) {
        if (gate_predicates[i].holds(execution, stage))
            continue;
        PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
        pen_buf_printf(&text, "Execution %s waits: ", execution->row->id);
        gate_predicates[i].say(execution, stage, &text);
        int64_t since_ms = i == 0 ? stage->row->changed_ms : execution->row->waiting_since_ms;
        add_reason(reply, execution, mem_format("%s/%s", execution->row->pipeline, name),
                   gate_predicates[i].name, &text, since_ms, gate_predicates[i].clears, false);
    }
}

static char *subject_of(const struct action *action)
{
    return mem_format("%s/%s/%s", action->row->pipeline, action->row->stage, action->row->action);
}

static void explain_queued(const struct pen_engine *engine, const struct action *action,
                           Pen__Reply *reply)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    bool never = false;
    const char *predicate;
    const char *clears = NULL;
    if (action->offered_to != NULL) {
        predicate = "being_offered";
        clears = "the agent accepts";
        pen_buf_printf(&text, "Offered to agent '%s', which has not answered yet",
                       action->offered_to->row->name);
    } else {
        predicate = demand_explain(engine, action->demand, &text, &never);
        count_agents(engine, action->demand, &text, &clears);
    }
    add_reason(reply, action->run->execution, subject_of(action), predicate, &text,
               action->row->phase_since_ms, clears, never);
}

static void explain_attempt(const struct action *action, Pen__Reply *reply)
{
    const struct attempt *attempt = action->attempt;
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    const char *predicate = "running";
    const char *clears = "the attempt ends";
    const char *name = attempt->agent->row->name;
    if (attempt->row->state == PEN__ATTEMPT_STATE__ATTEMPT_DRAINING) {
        predicate = "draining";
        clears = "log and artifacts arrive";
        pen_buf_printf(&text, "It has ended on agent '%s'; its log or artifacts are on their way",
                       name);
    } else if (!attempt->agent->connected || attempt->agent->suspect) {
        predicate = "agent_silent";
        clears = "the agent answers again, or counts as lost";
        pen_buf_printf(&text, "Agent '%s', which runs it, is not heard", name);
    } else {
        pen_buf_printf(&text, "It runs on agent '%s'", name);
    }
    add_reason(reply, action->run->execution, subject_of(action), predicate, &text,
               action->row->phase_since_ms, clears, false);
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
}

static void explain_action(const struct pen_engine *engine, const struct action *action,
                           Pen__Reply *reply)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    const char *predicate = NULL;
    const char *clears = NULL;
    switch ((int)action->row->phase) {
    case PEN__ACTION_PHASE__ACTION_QUEUED:
        explain_queued(engine, action, reply);
        return;
    case PEN__ACTION_PHASE__ACTION_ATTEMPT:
        explain_attempt(action, reply);
        return;
    case PEN__ACTION_PHASE__ACTION_SOURCE:
        predicate = "source_fetched";
        clears = "the repository answers";
        pen_buf_puts(&text, "Its source is being fetched");
        break;
    case PEN__ACTION_PHASE__ACTION_APPROVAL:
        predicate = "approval_wanted";
        clears = "a person approves or rejects: penstock approve, penstock reject";
        say_approval(action, &text);
        break;
    case PEN__ACTION_PHASE__ACTION_JOB:
        predicate = job_explain(engine, action->job, &text, &clears);
        break;
    case PEN__ACTION_PHASE__ACTION_INDETERMINATE:
        predicate = "indeterminate";
        clears = "the agent returns with proof, or a person decides";
        pen_buf_puts(&text, action->row->error_message != NULL ? action->row->error_message
                                                               : "It may or may not have run");
        break;
    default:
        return;
    }
    add_reason(reply, action->run->execution, subject_of(action), predicate, &text,
               action->job != NULL ? action->job->row->state_since_ms : action->row->phase_since_ms,
               clears, false);
}

/* A rule waits for its window, or for its work on an agent. */
static void explain_rule(const struct pen_engine *engine, const struct rule *rule,
                         Pen__Reply *reply)
{
    if (rule->row->status != PEN__ACTION_STATUS__ACTION_IN_PROGRESS)
        return;
    if (rule->work != NULL) {
        explain_action(engine, rule->work, reply);
        return;
    }
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    char opens[PEN_MOMENT_TEXT_SIZE];
    if (!rule->row->has_opens_ms) {
        pen_buf_printf(&text, "Rule '%s' waits for its time zone to be read", rule->row->rule);
        add_reason(reply, rule->run->execution,
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
    add_reason(reply, rule->run->execution,
               mem_format("%s/%s", rule->row->pipeline, rule->row->stage), "window_closed", &text,
               rule->row->started_ms,
               rule->row->kind == PEN__CONDITION_KIND__CONDITION_ON_FAILURE
                   ? "the window opens"
                   : "the window opens, or a person overrides it: penstock override",
               false);
}

/* Whether an action has ended without success: no other is started then, unless it is retried. */
static bool any_ended_badly(const struct stage_run *run)
{
    for (size_t i = 0; i < run->declaration->n_actions; i++)
        if (run->current[i] != NULL &&
            (run->current[i]->row->status == PEN__ACTION_STATUS__ACTION_FAILED ||
             run->current[i]->row->status == PEN__ACTION_STATUS__ACTION_ABANDONED))
            return true;
    return false;
}

/* Actions of the stage that were not started yet wait for those before them. */
static void explain_unstarted(const struct stage_run *run, Pen__Reply *reply)
{
    if (any_ended_badly(run) || execution_outdated(run->execution))
        return; /* they wait for nothing: they will not be started */
    for (size_t i = 0; i < run->declaration->n_actions; i++) {
        if (run->current[i] != NULL)
            continue;
        const Pen__ActionDeclaration *declaration = run->declaration->actions[i];
        bool same_group =
            declaration->has_run_order && (uint32_t)declaration->run_order == run->row->run_order;
        PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
        if (same_group)
            pen_buf_puts(&text, "As many actions of this execution run at once as may");
        else
            pen_buf_printf(&text, "Group %u of the stage has not ended yet", run->row->run_order);
        add_reason(reply, run->execution,
                   mem_format("%s/%s/%s", run->row->pipeline, run->row->stage, declaration->name),
                   same_group ? "parallel_limit" : "earlier_group", &text, run->row->started_ms,
                   "the actions before it end", false);
    }
}

void explain_execution(const struct pen_engine *engine, const struct execution *execution,
                       Pen__Reply *reply)
{
    if (execution_ended(execution))
        return;
    if (execution->row->waiting) {
        explain_gate(execution, reply);
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
        add_reason(reply, execution, mem_format("%s/%s", run->row->pipeline, run->row->stage),
                   "winding_up", &text, execution->row->updated_ms, "what runs ends", false);
    }
    for (size_t i = 0; i < run->declaration->n_actions; i++)
        if (run->current[i] != NULL)
            explain_action(engine, run->current[i], reply);
    for (size_t i = 0; i < run->rules_count; i++)
        explain_rule(engine, run->rules[i], reply);
    if (execution->row->status == PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS &&
        run->rules_count == 0)
        explain_unstarted(run, reply);
}
