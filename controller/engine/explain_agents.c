/* controller/engine/explain_agents.c - which agents may take an action, and why none does */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/explain.h"

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

static const char agent_keeper[] = "who looks after the agent's host";

/* In the order in which they are worth telling. The labels come beside them (agent_serves). */
static const struct agent_predicate {
    const char *name;  /* of the reason, when it is this one that keeps the action waiting */
    const char *state; /* "2 of 3 agents with these labels are ..." */
    const char *clears;
    bool (*holds)(const struct pen_engine *engine, const struct agent *agent);
    const char *acts; /* who has to act; NULL: nobody */
} agent_predicates[] = {
    {"agents_excluded", "revoked or quarantined", "another agent is enrolled", is_enrolled, NULL},
    {"agents_disconnected", "not connected",
     "the agent connects again: look at penstock-agent on its host", is_connected, agent_keeper},
    {"agents_suspect", "silent", "the agent answers again, or counts as lost", is_responding,
     agent_keeper},
    {"agents_draining", "draining", "a person ends the drain, or the agent starts again",
     takes_work, "who drained the agent"},
    {"slots_full", "busy in all slots", "an action on such an agent ends", has_free_slot, NULL},
    {"agents_pausing", "pausing after they declined or ignored an offer",
     "the agent accepts an offer: it is asked again in a moment", is_not_pausing, agent_keeper},
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
    size_t excluded;                  /* with the right labels, but quarantined */
    size_t missing[AGENT_PREDICATES]; /* serving agents by their first miss */
    struct expectation slot;          /* when a busy one of them has a slot */
    const struct agent *refuses;      /* a pausing one that has said why; NULL: none */
    const struct agent *nearest;      /* with the fewest wrong labels */
    size_t nearest_misses;
    size_t lacking[PEN_LABEL_TERMS_MAX]; /* enrolled agents for which the term does not hold */
};

enum { MISS_DRAINING = 3, MISS_SLOT = 4, MISS_PAUSING = 5 }; /* their places in the table above */

/* Whether a is the one to hope for: the first that has time left, else the one least overdue. */
static bool is_sooner(const struct expectation *a, const struct expectation *b)
{
    if (b->usual_ms < 0 || (a->left_ms >= 0) != (b->left_ms >= 0))
        return b->usual_ms < 0 || a->left_ms >= 0;
    return a->left_ms >= 0 ? a->left_ms < b->left_ms : a->left_ms > b->left_ms;
}

/* Which of the agent's attempts is expected to end first, and when. */
static void expect_slot(const struct pen_engine *engine, const struct agent *agent,
                        struct expectation *expectation)
{
    for (struct pen_map_node *node = pen_map_first(&agent->attempts); node != NULL;
         node = pen_map_next(node)) {
        const struct attempt *attempt = pen_map_value(node);
        if (attempt->action == NULL || !attempt_takes_slot(attempt->row->state))
            continue;
        struct expectation one = history_action(engine, attempt->action);
        if (one.usual_ms >= 0 && is_sooner(&one, expectation))
            *expectation = one;
    }
}

static void count_miss(const struct pen_engine *engine, const struct agent *agent,
                       struct census *census)
{
    size_t miss = first_miss(engine, agent);
    if (miss == AGENT_PREDICATES)
        return;
    census->missing[miss]++;
    if (miss == MISS_SLOT)
        expect_slot(engine, agent, &census->slot);
    if (miss == MISS_PAUSING && agent->refusal != NULL)
        census->refuses = agent;
}

static void count_lacking(const struct pen_labels *labels, struct label_view *view,
                          struct census *census)
{
    for (size_t i = 0; i < labels->terms_count; i++)
        if (!pen_label_term_holds(&labels->terms[i], view_label(view, labels->terms[i].key)))
            census->lacking[i]++;
}

static void take_census(const struct pen_engine *engine, const struct demand *demand,
                        struct census *ret_census)
{
    *ret_census = (struct census){.slot = {.usual_ms = -1}};
    for (struct pen_map_node *node = pen_map_first(&engine->agents); node != NULL;
         node = pen_map_next(node)) {
        const struct agent *agent = pen_map_value(node);
        if (agent->row->status == PEN__AGENT_STATUS__AGENT_REVOKED)
            continue;
        struct label_view view = {.engine = engine, .agent = agent};
        size_t misses = pen_labels_misses(&demand->labels, view_label, &view, NULL);
        if (!is_enrolled(engine, agent)) {
            ret_census->excluded += misses == 0 ? 1 : 0;
            continue;
        }
        ret_census->enrolled++;
        if (misses > 0)
            count_lacking(&demand->labels, &view, ret_census);
        if (misses == 0) {
            ret_census->serving++;
            count_miss(engine, agent, ret_census);
        } else if (ret_census->nearest == NULL || misses < ret_census->nearest_misses) {
            ret_census->nearest = agent;
            ret_census->nearest_misses = misses;
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
    const char *before = " ";
    pen_buf_printf(text, "nearest is '%s', which lacks", census->nearest->row->name);
    for (size_t i = 0; i < demand->labels.terms_count; i++) {
        const struct pen_label_term *term = &demand->labels.terms[i];
        const char *value = agent_label(engine, census->nearest, term->key);
        if (pen_label_term_holds(term, value))
            continue;
        pen_buf_puts(text, before);
        pen_label_term_format(term, text);
        if (value != NULL)
            pen_buf_printf(text, " (it has %s=%s)", term->key, value);
        before = ", ";
    }
}

/* How many agents lack what. */
static void say_lacking(const struct demand *demand, const struct census *census,
                        struct pen_buf *text)
{
    const char *before = "; ";
    for (size_t i = 0; i < demand->labels.terms_count; i++) {
        if (census->lacking[i] == 0)
            continue;
        pen_buf_printf(text, "%s%zu of %zu lack ", before, census->lacking[i], census->enrolled);
        pen_label_term_format(&demand->labels.terms[i], text);
        before = ", ";
    }
}

/* The first reason of all. ret_told: the predicate of the table that it is, or AGENT_PREDICATES. */
static const char *first_reason(const struct pen_engine *engine, const struct demand *demand,
                                const struct census *census, struct pen_buf *ret_sentence,
                                size_t *ret_told)
{
    pen_buf_puts(ret_sentence, "Waiting for an agent: ");
    *ret_told = AGENT_PREDICATES;
    if (census->enrolled == 0) {
        pen_buf_puts(ret_sentence, "none is enrolled");
        return "no_agent_enrolled";
    }
    if (census->serving == 0) {
        pen_buf_puts(ret_sentence, "no agent");
        say_labels(demand, ret_sentence);
        pen_buf_printf(ret_sentence, ": %zu enrolled, none matches; ", census->enrolled);
        say_nearest(engine, demand, census, ret_sentence);
        return "labels_unmatched";
    }
    /* Busy agents become free by themselves, so they are the best of the reasons; then the others.
     */
    static const size_t telling[] = {4, 5, 3, 2, 1, 0};
    size_t told = AGENT_PREDICATES;
    for (size_t i = 0; i < sizeof telling / sizeof telling[0] && told == AGENT_PREDICATES; i++)
        if (census->missing[telling[i]] > 0)
            told = telling[i];
    if (told == AGENT_PREDICATES) {
        pen_buf_puts(ret_sentence, "an offer is on its way");
        return "being_offered";
    }
    if (census->missing[told] == census->serving)
        pen_buf_puts(ret_sentence, "every agent");
    else
        pen_buf_puts(ret_sentence, "no agent is free: an agent");
    say_labels(demand, ret_sentence);
    pen_buf_printf(ret_sentence, " is %s", agent_predicates[told].state);
    *ret_told = told;
    return agent_predicates[told].name;
}

const char *demand_explain(const struct pen_engine *engine, const struct demand *demand,
                           struct pen_buf *ret_sentence, bool *ret_never)
{
    struct census census;
    take_census(engine, demand, &census);
    *ret_never = census.serving == 0;
    size_t told;
    return first_reason(engine, demand, &census, ret_sentence, &told);
}

/* ---- all reasons, for who asks at this moment */

enum {
    VIEWS = 8,              /* different demands of one request whose agents are counted once */
    QUEUE_COUNT_MAX = 1000, /* more that wait longer are not counted one by one */
    COMMANDS_MAX = 8,       /* agents whose drain one reason tells how to end */
};

struct demand_view {
    const struct demand *demand;
    struct census census;
};

struct explaining {
    const struct pen_engine *engine;
    struct demand_view views[VIEWS];
    size_t next; /* of the views, in turns */
};

struct explaining *explaining_create(const struct pen_engine *engine)
{
    struct explaining *self = mem_zero(sizeof *self);
    self->engine = engine;
    return self;
}

void explaining_destroy(struct explaining **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

static const struct census *view_census(struct explaining *self, const struct demand *demand)
{
    for (size_t i = 0; i < VIEWS; i++)
        if (self->views[i].demand == demand)
            return &self->views[i].census;
    struct demand_view *view = &self->views[self->next++ % VIEWS];
    view->demand = demand;
    take_census(self->engine, demand, &view->census);
    return &view->census;
}

static Pen__Reason *add(Pen__Reply *reply, const struct action *action, const char *predicate,
                        const struct pen_buf *text, int64_t since_ms, const char *clears)
{
    return reason_add(
        reply, action->run->execution->row,
        mem_format("%s/%s/%s", action->row->pipeline, action->row->stage, action->row->action),
        predicate, text, since_ms, clears, false);
}

/* For each agent that a person has drained; one that ends by itself is beyond that command. */
static void advise_undrain(const struct pen_engine *engine, const struct demand *demand,
                           Pen__Reason *reason)
{
    for (struct pen_map_node *node = pen_map_first(&engine->agents); node != NULL;
         node = pen_map_next(node)) {
        const struct agent *agent = pen_map_value(node);
        if (first_miss(engine, agent) == MISS_DRAINING && agent->row->draining &&
            agent_serves(engine, agent, demand) && reason->n_commands < COMMANDS_MAX)
            reason_advise(reason, "agent undrain", NULL, agent->row->name, NULL);
    }
}

/* A token for an agent that the demand wants. What the host itself says, and what an agent must
 * not have, is left out. */
static void advise_enrol(const struct demand *demand, Pen__Reason *reason)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf labels = {0};
    for (size_t i = 0; i < demand->labels.terms_count; i++) {
        const struct pen_label_term *term = &demand->labels.terms[i];
        bool wanted = term->test == PEN_LABEL_EQUAL || term->test == PEN_LABEL_PRESENT;
        if (!wanted || pen_str_equal(term->key, "os") || pen_str_equal(term->key, "arch") ||
            pen_str_equal(term->key, "name"))
            continue;
        pen_buf_printf(&labels, "%s%s=%s", labels.size == 0 ? "--labels " : ",", term->key,
                       term->test == PEN_LABEL_EQUAL ? term->value : "yes");
    }
    reason_advise(reason, "agent token", labels.size == 0 ? NULL : pen_buf_text(&labels), NULL);
    reason_acts(reason, "who has a host for such an agent");
}

/* An agent predicate that keeps some of the agents with the right labels away. */
static void add_predicate(const struct explaining *self, Pen__Reply *reply,
                          const struct action *action, const struct census *census, size_t index,
                          const struct pen_buf *text)
{
    Pen__Reason *reason = add(reply, action, agent_predicates[index].name, text,
                              action->row->phase_since_ms, agent_predicates[index].clears);
    reason_acts(reason, agent_predicates[index].acts);
    if (index == MISS_PAUSING && census->refuses != NULL) {
        free(reason->sentence);
        reason->sentence = mem_format("%s; '%s' says: %s", pen_buf_text(text),
                                      census->refuses->row->name, census->refuses->refusal);
    }
    if (index == MISS_SLOT)
        reason_expect(reason, &census->slot);
    if (index == MISS_DRAINING)
        advise_undrain(self->engine, action->demand, reason);
}

static void add_first(const struct explaining *self, Pen__Reply *reply, const struct action *action,
                      const struct census *census, size_t *ret_told)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    const char *predicate = first_reason(self->engine, action->demand, census, &text, ret_told);
    if (census->serving > 0)
        pen_buf_printf(&text, " (of %zu enrolled agents %zu match)", census->enrolled,
                       census->serving);
    else if (action->demand->labels.terms_count > 1)
        say_lacking(action->demand, census, &text);
    if (*ret_told < AGENT_PREDICATES) {
        add_predicate(self, reply, action, census, *ret_told, &text);
        return;
    }
    bool offered = census->serving > 0;
    Pen__Reason *reason =
        add(reply, action, predicate, &text, action->row->phase_since_ms,
            offered ? "the agent accepts" : "an agent with these labels is enrolled");
    if (offered)
        return;
    SET(reason, never, 1);
    advise_enrol(action->demand, reason);
}

static void add_excluded(Pen__Reply *reply, const struct action *action,
                         const struct census *census)
{
    if (census->excluded == 0)
        return;
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_buf_printf(&text, "%zu agent%s with these labels %s quarantined", census->excluded,
                   census->excluded == 1 ? "" : "s", census->excluded == 1 ? "is" : "are");
    Pen__Reason *reason = add(reply, action, "agents_excluded", &text, action->row->phase_since_ms,
                              "a person looks at the agent, and enrols it anew");
    advise_enrol(action->demand, reason);
}

static void add_others(const struct explaining *self, Pen__Reply *reply,
                       const struct action *action, const struct census *census, size_t told)
{
    for (size_t i = 0; i < AGENT_PREDICATES; i++) {
        if (i == told || census->missing[i] == 0)
            continue;
        PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
        pen_buf_printf(&text, "%zu of %zu agents with these labels %s %s", census->missing[i],
                       census->serving, census->missing[i] == 1 ? "is" : "are",
                       agent_predicates[i].state);
        add_predicate(self, reply, action, census, i, &text);
    }
    add_excluded(reply, action, census);
    if (census->serving == 0 || census->serving == census->enrolled)
        return;
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    size_t others = census->enrolled - census->serving;
    pen_buf_printf(&text, "%zu of %zu enrolled agents %s other labels; ", others, census->enrolled,
                   others == 1 ? "has" : "have");
    say_nearest(self->engine, action->demand, census, &text);
    Pen__Reason *reason = add(reply, action, "labels_differ", &text, action->row->phase_since_ms,
                              "another agent with these labels is enrolled");
    advise_enrol(action->demand, reason);
}

static void add_queue(Pen__Reply *reply, const struct action *action)
{
    size_t before = 0;
    for (const struct pen_map_node *node = pen_map_first(&action->demand->queue);
         node != NULL && pen_map_key(node).number < action->row->order && before < QUEUE_COUNT_MAX;
         node = pen_map_next(node))
        before++;
    if (before == 0)
        return;
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_buf_printf(&text, "%s%zu other action%s that ask%s for the same agents wait%s longer",
                   before == QUEUE_COUNT_MAX ? "more than " : "", before, before == 1 ? "" : "s",
                   before == 1 ? "s" : "", before == 1 ? "s" : "");
    add(reply, action, "queued_behind", &text, action->row->phase_since_ms,
        "they get their agents, or are stopped");
}

void explain_stuck(struct explaining *self, const struct demand *demand, Pen__Reply *reply)
{
    const struct pen_map_node *first = pen_map_first(&demand->queue);
    const struct census *census = view_census(self, demand);
    if (first == NULL || census->serving > 0)
        return;
    size_t told;
    add_first(self, reply, pen_map_value(first), census, &told);
    if (demand->queue.count == 1)
        return;
    Pen__Reason *reason = reply->reasons[reply->n_reasons - 1];
    char *sentence =
        mem_format("%s; %zu more action%s for the same", reason->sentence, demand->queue.count - 1,
                   demand->queue.count == 2 ? " waits" : "s wait");
    free(reason->sentence);
    reason->sentence = sentence;
}

void explain_queued(struct explaining *self, const struct action *action, Pen__Reply *reply)
{
    if (action->offered_to != NULL) {
        PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
        pen_buf_printf(&text, "Offered to agent '%s', which has not answered yet",
                       action->offered_to->row->name);
        if (action->offered_to->refusal != NULL)
            pen_buf_printf(&text, "; it has declined the last offer: %s",
                           action->offered_to->refusal);
        add(reply, action, "being_offered", &text, action->row->phase_since_ms,
            "the agent accepts");
        return;
    }
    const struct attempt *before = abandoned_before(self->engine, action);
    if (before != NULL) {
        abandoned_explain_held(self->engine, action, before, reply);
        return;
    }
    const struct census *census = view_census(self, action->demand);
    size_t told;
    add_first(self, reply, action, census, &told);
    add_others(self, reply, action, census, told);
    add_queue(reply, action);
}
