/* controller/engine/index.c - queues, offers, timers: what is derived from rows */
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "controller/engine/explain.h"
#include "controller/engine/planted.h"
#include "controller/engine/state.h"
#include "controller/model/action_types.h"

void timer_arm(struct pen_engine *engine, struct timer *self, int64_t at_ms)
{
    mem_arm(&engine->timers, &self->entry, at_ms);
}

void timer_disarm(struct pen_engine *engine, struct timer *self)
{
    pen_heap_disarm(&engine->timers, &self->entry);
}

/* How soon a changed set of agents shows in the summaries of what is queued: soon for a person, and
 * seldom enough that a thousand agents that come back at once cost one look. */
enum { TELL_DELAY_MS = 500 };

void agents_changed(struct pen_engine *engine)
{
    if (!engine->folding && !pen_heap_armed(&engine->tell_timer.entry))
        timer_arm(engine, &engine->tell_timer, engine->now_ms + TELL_DELAY_MS);
}

void execution_work(struct pen_engine *engine, struct execution *self)
{
    if (engine->folding || self->in_work)
        return;
    self->in_work = true;
    self->next_work = NULL;
    if (engine->work == NULL)
        engine->work = self;
    else
        engine->last_work->next_work = self;
    engine->last_work = self;
}

void gate_work(struct pen_engine *engine, struct stage_state *self)
{
    if (engine->folding || self->in_work)
        return;
    self->in_work = true;
    self->next_work = NULL;
    if (engine->gate_work == NULL)
        engine->gate_work = self;
    else
        engine->last_gate_work->next_work = self;
    engine->last_gate_work = self;
}

/* ---- demands */

static const char *configuration(const Pen__ActionExecutionRow *row, const char *key)
{
    for (size_t i = 0; i < row->n_resolved_configuration; i++)
        if (pen_str_equal(row->resolved_configuration[i]->key, key))
            return row->resolved_configuration[i]->value;
    return NULL;
}

int demand_labels(const Pen__ActionExecutionRow *row, struct pen_labels *ret_labels,
                  struct pen_error *err)
{
    struct pen_labels labels = {0};
    if (pen_action_is_custom(row->type)) { /* no agent does it, whatever its keys are called */
        *ret_labels = labels;
        return 0;
    }
    int rc = pen_labels_parse(configuration(row, "RunsOn"), &labels, err);
    if (rc < 0)
        return rc;
    if (!pen_str_empty(row->region)) {
        if (labels.terms_count == PEN_LABEL_TERMS_MAX)
            return pen_fail(err, PEN_EINVAL, "RunsOn has too many terms beside the region");
        struct pen_label_term *term = &labels.terms[labels.terms_count++];
        *term = (struct pen_label_term){.test = PEN_LABEL_EQUAL, .key = "region"};
        if (!pen_str_copy(term->value, sizeof term->value, row->region))
            return pen_fail(err, PEN_EINVAL, "region '%.80s' is too long", row->region);
    }
    *ret_labels = labels;
    return 0;
}

const char *agent_label(const struct pen_engine *engine, const struct agent *agent, const char *key)
{
    for (size_t i = 0; i < agent->row->n_labels; i++)
        if (pen_str_equal(agent->row->labels[i]->key, key))
            return agent->row->labels[i]->value;
    if (strcmp(key, "region") == 0)
        return engine->setting->row->region;
    if (strcmp(key, "name") == 0)
        return agent->row->name;
    return NULL;
}

static struct demand *demand_enter(struct pen_engine *engine, const struct action *action)
{
    const char *runs_on = configuration(action->row, "RunsOn");
    char *text = mem_format("%s;%s", action->row->region != NULL ? action->row->region : "",
                            runs_on != NULL ? runs_on : "");
    struct demand *demand = pen_map_get(&engine->demands, pen_key_text(text));
    if (demand != NULL) {
        free(text);
    } else {
        demand = mem_zero(sizeof *demand);
        demand->text = text;
        CHECK(demand_labels(action->row, &demand->labels, NULL) == 0);
        mem_put(&engine->demands, pen_key_text(text), demand);
    }
    demand->users++;
    return demand;
}

static void demand_leave(struct pen_engine *engine, struct demand *self)
{
    CHECK(self->users > 0);
    if (--self->users > 0)
        return;
    CHECK(self->queue.count == 0);
    pen_map_remove(&engine->demands, pen_key_text(self->text));
    free(self->sentence);
    free(self->text);
    free(self);
}

/* ---- phases */

void action_leave_phase(struct pen_engine *engine, struct action *self)
{
    if (self->offered_to != NULL)
        offer_drop(engine, self);
    if (self->demand != NULL) {
        pen_map_remove(&self->demand->queue, pen_key_number(self->row->order));
        pen_map_remove(&engine->fresh, pen_key_number(self->row->order));
        demand_leave(engine, self->demand);
        self->demand = NULL;
    }
    if (self->row->approval_token != NULL)
        pen_map_remove(&engine->approvals, pen_key_text(self->row->approval_token));
    timer_disarm(engine, &self->timer);
}

static void queue_enter(struct pen_engine *engine, struct action *self)
{
    mem_put(&self->demand->queue, pen_key_number(self->row->order), self);
    if (!engine->folding)
        mem_put(&engine->fresh, pen_key_number(self->row->order), self);
    engine->assign_wanted = true;
}

void action_enter_phase(struct pen_engine *engine, struct action *self, Pen__ActionPhase phase)
{
    action_leave_phase(engine, self);
    SET(self->row, phase, phase);
    if (phase == PEN__ACTION_PHASE__ACTION_QUEUED) {
        self->demand = demand_enter(engine, self);
        queue_enter(engine, self);
    } else if (phase == PEN__ACTION_PHASE__ACTION_APPROVAL) {
        mem_put(&engine->approvals, pen_key_text(self->row->approval_token), self);
        bool lost = PLANTED(TIMER_LOST) && engine->loading != NULL;
        if (self->row->deadline_ms > 0 && !lost)
            timer_arm(engine, &self->timer, self->row->deadline_ms);
    } else if (phase == PEN__ACTION_PHASE__ACTION_JOB) {
        timer_arm(engine, &self->timer, self->row->deadline_ms);
    }
}

/* ---- offers */

void offer_make(struct pen_engine *engine, struct action *self, struct agent *agent, uint64_t fence)
{
    CHECK(self->demand != NULL && self->offered_to == NULL);
    pen_map_remove(&self->demand->queue, pen_key_number(self->row->order));
    pen_map_remove(&engine->fresh, pen_key_number(self->row->order));
    self->offered_to = agent;
    self->offered_fence = fence;
    mem_put(&engine->offers, pen_key_number(fence), self);
    timer_arm(engine, &self->timer, engine->now_ms + engine->options.accept_ttl_ms);
    agent->offers++;
    agent_reindex(engine, agent);
}

void offer_drop(struct pen_engine *engine, struct action *self)
{
    struct agent *agent = self->offered_to;
    CHECK(agent != NULL && agent->offers > 0);
    pen_map_remove(&engine->offers, pen_key_number(self->offered_fence));
    timer_disarm(engine, &self->timer);
    self->offered_to = NULL;
    self->offered_fence = 0;
    if (self->demand != NULL)
        queue_enter(engine, self);
    agent->offers--;
    agent_reindex(engine, agent);
}

/* ---- agents */

bool attempt_takes_slot(Pen__AttemptState state)
{
    return state == PEN__ATTEMPT_STATE__ATTEMPT_GRANTED ||
           state == PEN__ATTEMPT_STATE__ATTEMPT_RUNNING ||
           state == PEN__ATTEMPT_STATE__ATTEMPT_CANCELING ||
           state == PEN__ATTEMPT_STATE__ATTEMPT_REVOKING;
}

bool attempt_state_ended(Pen__AttemptState state)
{
    return state == PEN__ATTEMPT_STATE__ATTEMPT_SUCCEEDED ||
           state == PEN__ATTEMPT_STATE__ATTEMPT_FAILED ||
           state == PEN__ATTEMPT_STATE__ATTEMPT_CANCELED ||
           state == PEN__ATTEMPT_STATE__ATTEMPT_LOST;
}

void agent_reindex(struct pen_engine *engine, struct agent *self)
{
    uint32_t load = self->busy + self->offers;
    bool free_now = agent_available(engine, self);
    if (self->indexed == free_now && (!free_now || self->indexed_load == load))
        return;
    if (self->indexed)
        pen_map_remove(&engine->free_agents, (struct pen_key){self->indexed_load, self->row->id});
    self->indexed = free_now;
    self->indexed_load = load;
    if (free_now) {
        mem_put(&engine->free_agents, (struct pen_key){load, self->row->id}, self);
        engine->assign_wanted = true;
    }
}
