/* controller/engine/abandoned.c - work that outlives its action
 *
 * An action is given up when its execution is stopped at once, when its pipeline is deleted, or
 * when its time is over and its agent does not end it. What runs for it on an agent may live on:
 * work of class once runs to its end unless a person wants it ended, and an agent may be out of
 * reach. The attempt stays an entity until it is known to be over. As long as it may live
 *
 *   - it holds its slot, and everybody can see it (ListAgents, Explain);
 *   - the same action of the same stage is not begun beside it: by its own execution, and, when it
 *     is of class once, by no later execution either, unless executions run in PARALLEL mode;
 *   - a person ends it (stop with kill), or lets others run beside it (retry with beside).
 *
 * Work of class repeatable is told to end when it is given up; who does that within the usual time
 * is waited for, and no longer: it may be done twice.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/explain.h"
#include "controller/engine/planted.h"

#define ONCE          PEN__ACTION_CLASS__ONCE
#define CANCELING     PEN__ATTEMPT_STATE__ATTEMPT_CANCELING
#define RUNNING       PEN__ATTEMPT_STATE__ATTEMPT_RUNNING
#define INDETERMINATE PEN__ATTEMPT_STATE__ATTEMPT_INDETERMINATE

bool attempt_may_live(Pen__AttemptState state)
{
    return attempt_takes_slot(state) || state == INDETERMINATE;
}

/* ---- the index: by pipeline, stage and action, then by fence */

static char *make_key(const char *pipeline, const char *stage, const char *action, bool of_rule)
{
    return mem_format("%s/%s/%s%s/", pipeline, stage, of_rule ? "rule " : "", action);
}

/* Rows of an older controller do not name stage and action: their action may still be known. */
static char *key_of(const struct pen_engine *engine, const Pen__AttemptRow *row)
{
    const struct action *action =
        row->stage == NULL ? find_action(engine, row->action_execution_id) : NULL;
    const char *stage = action != NULL ? action->row->stage : row->stage;
    const char *name = action != NULL ? action->row->action : row->action;
    bool of_rule = action != NULL ? action->rule != NULL : row->of_rule;
    char *place =
        make_key(row->pipeline, stage == NULL ? "" : stage, name == NULL ? "" : name, of_rule);
    char *key = mem_format("%s%020llu", place, (unsigned long long)row->fence);
    free(place);
    return key;
}

void abandoned_update(struct pen_engine *engine, struct attempt *self)
{
    bool is = self->action == NULL && !self->entity.dead && attempt_may_live(self->row->state);
    if (!is && self->abandoned_key == NULL)
        return;
    if (is && self->abandoned_key == NULL) {
        self->abandoned_key = key_of(engine, self->row);
        mem_put(&engine->abandoned, pen_key_text(self->abandoned_key), self);
    } else if (!is) {
        pen_map_remove(&engine->abandoned, pen_key_text(self->abandoned_key));
        free(self->abandoned_key);
        self->abandoned_key = NULL;
    }
    abandoned_changed(engine, self);
}

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* ---- what it holds back */

int64_t attempt_grace_until_ms(const struct attempt *self)
{
    return self->row->canceling_ms + PEN_LIMIT_CANCEL_GRACE_MS + PEN_LIMIT_TIMEOUT_SLACK_MS;
}

static bool holds_back(const struct pen_engine *engine, const struct attempt *self,
                       const struct execution *execution)
{
    if (self->row->beside || PLANTED(BESIDE_ABANDONED))
        return false;
    bool same = pen_str_equal(self->row->execution_id, execution->row->id);
    if (self->row->action_class == ONCE)
        return same || !execution_parallel(execution);
    return same && self->row->state == CANCELING && engine->now_ms < attempt_grace_until_ms(self);
}

const struct attempt *abandoned_before(const struct pen_engine *engine, const struct action *action)
{
    if (engine->abandoned.count == 0)
        return NULL;
    char *place = make_key(action->row->pipeline, action->row->stage, action->row->action,
                           action->rule != NULL);
    const struct attempt *found = NULL;
    for (struct pen_map_node *node = pen_map_from(&engine->abandoned, pen_key_text(place));
         node != NULL && found == NULL && begins_with(pen_map_key(node).text, place);
         node = pen_map_next(node)) {
        const struct attempt *attempt = pen_map_value(node);
        if (holds_back(engine, attempt, action->run->execution))
            found = attempt;
    }
    free(place);
    return found;
}

/* The first of the stage's that lives, as far as is known, and holds the execution's action back;
 * what is being ended already is only waited for. */
const struct attempt *abandoned_in_stage(const struct pen_engine *engine,
                                         const struct execution *execution, const char *stage)
{
    char *place = mem_format("%s/%s/", execution->row->pipeline, stage);
    const struct attempt *found = NULL;
    for (struct pen_map_node *node = pen_map_from(&engine->abandoned, pen_key_text(place));
         node != NULL && found == NULL && begins_with(pen_map_key(node).text, place);
         node = pen_map_next(node)) {
        const struct attempt *attempt = pen_map_value(node);
        if ((attempt->row->state == RUNNING || attempt->row->state == INDETERMINATE) &&
            holds_back(engine, attempt, execution))
            found = attempt;
    }
    free(place);
    return found;
}

void abandoned_let_beside(struct pen_engine *engine, const struct execution *execution,
                          const char *stage)
{
    char *place = mem_format("%s/%s/", execution->row->pipeline, stage);
    for (struct pen_map_node *node = pen_map_from(&engine->abandoned, pen_key_text(place));
         node != NULL && begins_with(pen_map_key(node).text, place); node = pen_map_next(node)) {
        struct attempt *attempt = pen_map_value(node);
        SET(attempt->row, beside, 1);
        entity_touch(engine, &attempt->entity);
        abandoned_changed(engine, attempt);
    }
    free(place);
}

void abandoned_changed(struct pen_engine *engine, const struct attempt *self)
{
    engine->assign_wanted = true;
    const struct pipeline *pipeline = find_pipeline(engine, self->row->pipeline);
    if (engine->folding || pipeline == NULL || self->row->stage == NULL)
        return;
    for (struct pen_map_node *node = pen_map_first(&pipeline->executions); node != NULL;
         node = pen_map_next(node)) {
        const struct stage_run *run = find_run(pen_map_value(node), self->row->stage);
        int index = run == NULL ? -1 : action_index(run->declaration, self->row->action);
        struct action *action = index < 0 ? NULL : run->current[index];
        if (action != NULL && action->demand != NULL && action->offered_to == NULL)
            mem_put(&engine->fresh, pen_key_number(action->row->order), action);
    }
}

/* ---- what is said of it */

void abandoned_say(const struct attempt *self, struct pen_buf *text)
{
    const Pen__AttemptRow *row = self->row;
    const char *agent = self->agent->row->name;
    pen_buf_printf(text, "Action '%s' of execution %s was given up, and ",
                   row->action != NULL ? row->action : "?", row->execution_id);
    switch ((int)row->state) {
    case RUNNING:
        pen_buf_printf(text, "still runs on agent '%s'", agent);
        break;
    case CANCELING:
        pen_buf_printf(text, "is being ended on agent '%s'", agent);
        break;
    case INDETERMINATE:
        pen_buf_printf(text, "may still run on agent '%s', which has not said that it has ended",
                       agent);
        break;
    default:
        pen_buf_printf(text, "agent '%s' has not said yet whether it has begun", agent);
        break;
    }
}

/* Who or what ends it. */
static const char *say_clears(const struct pen_engine *engine, const struct attempt *self)
{
    switch ((int)self->row->state) {
    case CANCELING:
        return engine->now_ms < attempt_grace_until_ms(self)
                   ? "its process ends"
                   : "its process ends, or a person shuts the agent out and then has it ended";
    case RUNNING:
        return "it ends, or a person has it ended";
    case INDETERMINATE:
        return "the agent returns and says how it is, or a person has it ended";
    default:
        return "the agent answers";
    }
}

static void advise(const struct pen_engine *engine, const struct attempt *self, Pen__Reason *reason)
{
    const Pen__AttemptRow *row = self->row;
    if (row->state == CANCELING && engine->now_ms >= attempt_grace_until_ms(self))
        reason_advise(reason, "agent revoke", NULL, self->agent->row->name, NULL);
    else if (row->state == RUNNING || row->state == INDETERMINATE)
        reason_advise(reason, "stop", "--kill", row->pipeline, row->execution_id, NULL);
}

void abandoned_explain_held(const struct pen_engine *engine, const struct action *action,
                            const struct attempt *before, Pen__Reply *reply)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    abandoned_say(before, &text);
    pen_buf_puts(&text, ": it is not begun beside that");
    Pen__Reason *reason = reason_add(
        reply, action->run->execution->row,
        mem_format("%s/%s/%s", action->row->pipeline, action->row->stage, action->row->action),
        "abandoned_runs", &text, action->row->phase_since_ms, say_clears(engine, before), false);
    advise(engine, before, reason);
}

void abandoned_explain(const struct pen_engine *engine, const char *pipeline,
                       const char *execution_id, Pen__Reply *reply)
{
    char *place = mem_format("%s/", pipeline);
    for (struct pen_map_node *node = pen_map_from(&engine->abandoned, pen_key_text(place));
         node != NULL && begins_with(pen_map_key(node).text, place); node = pen_map_next(node)) {
        const struct attempt *attempt = pen_map_value(node);
        const Pen__AttemptRow *row = attempt->row;
        if (execution_id != NULL && !pen_str_equal(row->execution_id, execution_id))
            continue;
        PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
        abandoned_say(attempt, &text);
        Pen__Reason *reason = reason_add(
            reply, NULL,
            mem_format("%s/%s/%s", row->pipeline, row->stage != NULL ? row->stage : "?",
                       row->action != NULL ? row->action : "?"),
            "work_abandoned", &text, row->started_ms != 0 ? row->started_ms : row->granted_ms,
            say_clears(engine, attempt), false);
        reason->execution_id = mem_text(row->execution_id);
        advise(engine, attempt, reason);
    }
    free(place);
}

/* ---- a person has it ended */

static void kill_one(struct pen_engine *engine, struct attempt *self, const char *why)
{
    Pen__AttemptMoved *body = MAKE(Pen__AttemptMoved, pen__attempt_moved__init);
    SET(body, fence, self->row->fence);
    SET(body, kill, 1);
    body->reason = mem_text(why);
    bool unknown = self->row->state == INDETERMINATE;
    SET(body, state, unknown ? PEN__ATTEMPT_STATE__ATTEMPT_LOST : CANCELING);
    agent_send_kill(engine, self, why);
    attempt_move_by(engine, self, body);
}

bool abandoned_kill(struct pen_engine *engine, struct attempt *self, const char *why)
{
    CHECK(self->action == NULL);
    if (!attempt_may_live(self->row->state) || self->row->state == CANCELING)
        return false;
    kill_one(engine, self, why);
    return true;
}

size_t abandoned_kill_all(struct pen_engine *engine, const char *pipeline, const char *execution_id,
                          const char *why, bool *ret_ending)
{
    size_t killed = 0;
    *ret_ending = false;
    for (struct pen_map_node *node = pen_map_first(&engine->abandoned); node != NULL;) {
        struct attempt *attempt = pen_map_value(node);
        node = pen_map_next(node);
        if (!pen_str_equal(attempt->row->pipeline, pipeline) ||
            !pen_str_equal(attempt->row->execution_id, execution_id))
            continue;
        if (abandoned_kill(engine, attempt, why))
            killed++;
        else
            *ret_ending = true;
    }
    return killed;
}
