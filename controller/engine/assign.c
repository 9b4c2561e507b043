/* controller/engine/assign.c - queued actions to free agents
 *
 * Actions that ask for the same labels queue together (struct demand), oldest first; agents with
 * room are kept by load, then id. So that one finished attempt costs the number of different
 * demands, not the number of queued actions.
 */
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/explain.h"

/* The least loaded agent that serves the demand; NULL when none does now. */
static struct agent *find_free_agent(const struct pen_engine *engine, const struct demand *demand)
{
    for (struct pen_map_node *node = pen_map_first(&engine->free_agents); node != NULL;
         node = pen_map_next(node))
        if (agent_serves(engine, pen_map_value(node), demand))
            return pen_map_value(node);
    return NULL;
}

/* The first of the queue that may begin: what waits for abandoned work lets the others go on. */
static struct action *first_that_may(const struct pen_engine *engine, const struct demand *demand)
{
    for (struct pen_map_node *node = pen_map_first(&demand->queue); node != NULL;
         node = pen_map_next(node))
        if (abandoned_before(engine, pen_map_value(node)) == NULL)
            return pen_map_value(node);
    return NULL;
}

/* The action that has waited longest, of the demands that are not blocked. */
static struct action *next_action(const struct pen_engine *engine)
{
    struct action *oldest = NULL;
    for (struct pen_map_node *node = pen_map_first(&engine->demands); node != NULL;
         node = pen_map_next(node)) {
        const struct demand *demand = pen_map_value(node);
        struct action *action = demand->blocked ? NULL : first_that_may(engine, demand);
        if (action != NULL && (oldest == NULL || action->row->order < oldest->row->order))
            oldest = action;
    }
    return oldest;
}

static uint64_t next_candidate(struct pen_engine *engine)
{
    uint64_t fence = engine->setting->row->last_fence;
    if (fence < engine->last_candidate)
        fence = engine->last_candidate;
    engine->last_candidate = ++fence;
    return fence;
}

static void offer(struct pen_engine *engine, struct action *action, struct agent *agent)
{
    uint64_t fence = next_candidate(engine);
    offer_make(engine, action, agent, fence);
    Pen__Offer *body = MAKE(Pen__Offer, pen__offer__init);
    SET(body, fence, fence);
    body->summary =
        mem_format("%s/%s/%s", action->row->pipeline, action->row->stage, action->row->action);
    agent_send(engine, agent, PEN__TO_AGENT__BODY_OFFER, body);
}

/* An agent that said with its result that it would accept is not asked: what settles its attempt
 * grants the next one, in one commit. Work of class once is always offered first. */
static void hand_out(struct pen_engine *engine, struct action *action, struct agent *agent)
{
    if (agent == engine->ready && action->row->action_class == PEN__ACTION_CLASS__REPEATABLE)
        attempt_grant(engine, action, agent, next_candidate(engine), false);
    else
        offer(engine, action, agent);
}

void assign(struct pen_engine *engine)
{
    engine->assign_wanted = false;
    for (struct pen_map_node *node = pen_map_first(&engine->demands); node != NULL;
         node = pen_map_next(node))
        ((struct demand *)pen_map_value(node))->blocked = false;
    struct action *action;
    while (engine->free_agents.count > 0 && (action = next_action(engine)) != NULL) {
        struct agent *agent = find_free_agent(engine, action->demand);
        if (agent == NULL)
            action->demand->blocked = true;
        else
            hand_out(engine, action, agent);
    }
    engine->assign_wanted = false; /* offers have made less room, not more */
}

/* Why the demand's actions wait, as one sentence for all of them. True when it has changed. */
static bool find_sentence(const struct pen_engine *engine, struct demand *self)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    bool never = false;
    (void)demand_explain(engine, self, &text, &never);
    if (pen_str_equal(self->sentence, pen_buf_text(&text)))
        return false;
    mem_set_text(&self->sentence, pen_buf_text(&text));
    return true;
}

static void tell(struct pen_engine *engine, struct action *action, const char *sentence)
{
    const struct attempt *before = abandoned_before(engine, action);
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    if (before != NULL) {
        pen_buf_puts(&text, "Waiting: ");
        abandoned_say(before, &text);
        sentence = pen_buf_text(&text);
    }
    if (!pen_str_equal(action->row->summary, sentence))
        action_progress(engine, action, sentence);
}

/* While agents change, the sentence of those that have waited longer may be old; they are told all
 * at once a little later. The text of the demand is found once for all that come together. */
static void tell_anew(struct pen_engine *engine, struct action *action,
                      const struct demand **demand, struct pen_buf *text)
{
    if (*demand != action->demand) {
        bool never = false;
        pen_buf_clear(text);
        (void)demand_explain(engine, action->demand, text, &never);
        *demand = action->demand;
    }
    tell(engine, action, pen_buf_text(text));
}

void assign_tell_fresh(struct pen_engine *engine)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    const struct demand *demand = NULL;
    bool changing = pen_heap_armed(&engine->tell_timer.entry);
    while (engine->fresh.count > 0) {
        struct pen_map_node *node = pen_map_first(&engine->fresh);
        struct action *action = pen_map_value(node);
        pen_map_remove(&engine->fresh, pen_map_key(node));
        if (action->demand->sentence == NULL)
            (void)find_sentence(engine, action->demand);
        if (changing)
            tell_anew(engine, action, &demand, &text);
        else
            tell(engine, action, action->demand->sentence);
    }
}

void assign_tell_all(struct pen_engine *engine)
{
    for (struct pen_map_node *node = pen_map_first(&engine->demands); node != NULL;
         node = pen_map_next(node)) {
        struct demand *demand = pen_map_value(node);
        if (!find_sentence(engine, demand))
            continue;
        for (struct pen_map_node *item = pen_map_first(&demand->queue); item != NULL;
             item = pen_map_next(item))
            tell(engine, pen_map_value(item), demand->sentence);
    }
}

void offer_expire(struct pen_engine *engine, struct action *self)
{
    struct agent *agent = self->offered_to;
    CHECK(agent != NULL);
    offer_drop(engine, self);
    agent_pause(engine, agent, engine->options.accept_ttl_ms);
}
