/* tests/sim/auditor.c - what must be true whatever happens, judged from facts and ground truth
 *
 * A model of its own; it asks neither engine nor session. Names in capitals are those of the
 * invariants, and this is where each is checked, after every commit, begin and message:
 *
 *      1 ONCE            auditor_attempt.c: begins of a once action <= what people granted
 *      2 ACK => DURABLE  auditor_agent.c, auditor_reply: told after the commit only
 *      3 NO LOSS         auditor_reloaded: each answered start is in the store, for ever
 *      4 TRUTH           auditor_attempt.c, auditor_stage.c: success has truly happened
 *      5 FENCE           auditor_attempt.c: fences grow, at the controller and on each host
 *      6 ONE OUTCOME     auditor_stage.c, auditor_attempt.c
 *      7 LEGAL PATH      the tables of moves in auditor_*.c
 *      8 REPLAY          core.c: facts folded = rows = memory, after reloads too
 *      9 LOG PREFIX      auditor_attempt.c: what is stored was written, and never shrinks
 *     10 BLOB            auditor_attempt.c: one name, one content, made by that attempt
 *     11 SESSION         auditor_agent.c
 *     12 BOUNDED         auditor_bound.c; core.c, host.c, net.c: turns, frames, journals
 *     13 APPROVAL        auditor_approval.c: a person's, in time, single, for what was seen
 *     15 AUDIT           auditor_reloaded: earlier checkpoints of the log of facts stay true
 *     16 LIVENESS        auditor_check_quiet, auditor_check_end
 *        BESIDE          auditor_abandoned.c: no second copy beside one that may live
 *     17 DETERMINISM     sim_main.c: --twice
 *        LOCK, QUEUE, GATE, SUPERSEDED: auditor_stage.c, auditor_execution.c; JOB: auditor_job.c
 *        HOOK: auditor_hook.c; HISTORY: auditor_history.c
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/str.h"
#include "common/wire/wire.h"
#include "tests/sim/auditor.h"

enum { CHECKPOINT_FACTS = 64 };

struct seen_once *auditor_once(struct auditor *self, const struct seen_action *action)
{
    char *key = mem_format("%s/%s/%s", action->execution_id, action->stage, action->name);
    struct seen_once *once = pen_map_get(&self->once, pen_key_text(key));
    if (once != NULL) {
        free(key);
        return once;
    }
    once = mem_zero(sizeof *once);
    once->key = key;
    once->granted = 1;
    mem_put(&self->once, pen_key_text(key), once);
    return once;
}

bool auditor_by_person(const Pen__Fact *fact)
{
    return fact->by != NULL && strncmp(fact->by, "arn:", 4) == 0;
}

/* ---- the log of facts */

static uint64_t chain(uint64_t hash, const Pen__Fact *fact)
{
    struct pen_buf bytes = {0};
    struct pen_error err;
    CHECK(pen_wire_pack(fact, &bytes, &err) == 0);
    for (size_t i = 0; i < bytes.size; i++)
        hash = (hash ^ bytes.data[i]) * UINT64_C(1099511628211);
    pen_buf_release(&bytes);
    return hash;
}

static void checkpoint(struct auditor *self, const Pen__Fact *fact)
{
    self->log_hash = chain(self->log_hash, fact);
    if (self->last_seq % CHECKPOINT_FACTS != 0)
        return;
    if (self->checkpoints_count == self->checkpoints_room) {
        self->checkpoints_room = self->checkpoints_room == 0 ? 64 : 2 * self->checkpoints_room;
        self->checkpoints =
            realloc(self->checkpoints, self->checkpoints_room * sizeof self->checkpoints[0]);
        CHECK(self->checkpoints != NULL);
    }
    self->checkpoints[self->checkpoints_count++] = self->log_hash;
}

/* All of it again: each checkpoint still stands for what comes before it. */
void auditor_check_log(struct sim *sim)
{
    const struct auditor *self = sim->auditor;
    uint64_t hash = 0;
    if (sim->core.facts_count != self->last_seq)
        sim_fail(sim, "AUDIT: the log has %zu facts, %" PRIu64 " were committed",
                 sim->core.facts_count, self->last_seq);
    for (size_t i = 0; i < sim->core.facts_count; i++) {
        hash = chain(hash, sim->core.facts[i]);
        if ((i + 1) % CHECKPOINT_FACTS == 0 && hash != self->checkpoints[i / CHECKPOINT_FACTS])
            sim_fail(sim, "AUDIT: the first %zu facts are not what they were", i + 1);
    }
    if (hash != self->log_hash)
        sim_fail(sim, "AUDIT: the log of facts is not what was committed");
}

void auditor_reloaded(struct sim *sim)
{
    const struct auditor *self = sim->auditor;
    if (sim->core.facts_count != self->last_seq)
        sim_fail(sim, "AUDIT: the log has %zu facts after a restart, %" PRIu64 " were committed",
                 sim->core.facts_count, self->last_seq);
    for (struct pen_map_node *node = pen_map_first(&self->answered); node != NULL;
         node = pen_map_next(node)) {
        const struct seen_execution *execution = pen_map_value(node);
        if (!execution->removed && !auditor_in_store(sim, execution))
            sim_fail(sim, "NO LOSS: execution %s was answered, and is not in the store",
                     execution->id);
    }
}

/* ---- everything that was committed */

void auditor_fact(struct sim *sim, const Pen__Fact *fact)
{
    static const auditor_on_f on[] = {
        [PEN__FACT__WHAT_PIPELINE_CREATED] = on_pipeline,
        [PEN__FACT__WHAT_PIPELINE_UPDATED] = on_pipeline,
        [PEN__FACT__WHAT_PIPELINE_DELETED] = on_pipeline_deleted,
        [PEN__FACT__WHAT_TRANSITION_CHANGED] = on_transition,
        [PEN__FACT__WHAT_EXECUTION_STARTED] = on_execution_started,
        [PEN__FACT__WHAT_EXECUTION_WAITING] = on_execution_waiting,
        [PEN__FACT__WHAT_EXECUTION_STOPPING] = on_execution_stopping,
        [PEN__FACT__WHAT_EXECUTION_ENDED] = on_execution_ended,
        [PEN__FACT__WHAT_STAGE_STARTED] = on_stage_started,
        [PEN__FACT__WHAT_STAGE_ENDED] = on_stage_ended,
        [PEN__FACT__WHAT_STAGE_RETRIED] = on_stage_retried,
        [PEN__FACT__WHAT_CONDITION_STARTED] = on_condition_started,
        [PEN__FACT__WHAT_WINDOW_FOUND] = on_window_found,
        [PEN__FACT__WHAT_CONDITION_ENDED] = on_condition_ended,
        [PEN__FACT__WHAT_ACTION_STARTED] = on_action_started,
        [PEN__FACT__WHAT_ACTION_ENDED] = on_action_ended,
        [PEN__FACT__WHAT_JOB_QUEUED] = on_job_queued,
        [PEN__FACT__WHAT_JOB_MOVED] = on_job_moved,
        [PEN__FACT__WHAT_ACTION_REQUEUED] = on_action_requeued,
        [PEN__FACT__WHAT_ATTEMPT_GRANTED] = on_granted,
        [PEN__FACT__WHAT_ATTEMPT_STARTED] = on_attempt_started,
        [PEN__FACT__WHAT_ATTEMPT_STEP] = on_attempt_step,
        [PEN__FACT__WHAT_ATTEMPT_FINISHED] = on_attempt_finished,
        [PEN__FACT__WHAT_ATTEMPT_STORED] = on_attempt_stored,
        [PEN__FACT__WHAT_ATTEMPT_MOVED] = on_attempt_moved,
        [PEN__FACT__WHAT_PULL_REQUEST_NOTICED] = on_pull_noticed,
        [PEN__FACT__WHAT_REVISION_SEEN] = on_revision_seen,
        [PEN__FACT__WHAT_WEBHOOK_PUT] = on_webhook_put,
        [PEN__FACT__WHAT_WEBHOOK_DELETED] = on_webhook_deleted,
        [PEN__FACT__WHAT_WEBHOOK_TRIGGERED] = on_webhook_triggered,
        [PEN__FACT__WHAT_AGENT_ENROLLED] = on_agent_enrolled,
        [PEN__FACT__WHAT_AGENT_SESSION] = on_session,
        [PEN__FACT__WHAT_AGENT_CHANGED] = on_agent_changed,
        [PEN__FACT__WHAT_HISTORY_REMOVED] = on_history_removed,
        [PEN__FACT__WHAT_AGENT_REMOVED] = on_agent_removed,
    };
    struct auditor *self = sim->auditor;
    if (fact->seq != self->last_seq + 1)
        sim_fail(sim, "REPLAY: fact %" PRIu64 " is committed after %" PRIu64, fact->seq,
                 self->last_seq);
    self->last_seq = fact->seq;
    checkpoint(self, fact);
    auditor_check_told(sim, fact);
    if ((size_t)fact->what_case < sizeof on / sizeof on[0] && on[fact->what_case] != NULL)
        on[fact->what_case](sim, fact);
}

/* ---- what was answered */

void auditor_reply(struct sim *sim, const struct request *request, const Pen__Reply *reply)
{
    struct auditor *self = sim->auditor;
    if (reply->error == NULL && reply->execution_id != NULL &&
        (request->what == PEN__INPUT__WHAT_START_EXECUTION ||
         request->what == PEN__INPUT__WHAT_WEBHOOK_CALLED ||
         request->what == PEN__INPUT__WHAT_PUT_ACTION_REVISION)) {
        struct seen_execution *execution =
            pen_map_get(&self->executions, pen_key_text(reply->execution_id));
        if (execution == NULL)
            sim_fail(sim, "ACK => DURABLE: the start of %s is answered, but not committed",
                     reply->execution_id);
        if (pen_map_get(&self->answered, pen_key_text(execution->id)) == NULL)
            mem_put(&self->answered, pen_key_text(execution->id), execution);
    }
    if (request->what == PEN__INPUT__WHAT_CREATE_PIPELINE && reply->error == NULL &&
        (reply->execution_id == NULL ||
         pen_map_get(&self->executions, pen_key_text(reply->execution_id)) == NULL))
        sim_fail(sim, "ACK => DURABLE: a pipeline is created, but its execution not committed");
    if (request->what == PEN__INPUT__WHAT_WEBHOOK_CALLED && reply->error == NULL)
        auditor_hook_reply(sim, request, reply);
    if (request->what == PEN__INPUT__WHAT_PUT_APPROVAL && request->number == 1 &&
        reply->error == NULL)
        sim_fail(sim, "APPROVAL: a wrong token is accepted");
    bool answer = request->what == PEN__INPUT__WHAT_EXPLAIN;
    for (size_t i = 0; answer && i < reply->n_reasons; i++)
        if (pen_str_empty(reply->reasons[i]->predicate) ||
            pen_str_empty(reply->reasons[i]->sentence))
            sim_fail(sim, "EXPLAIN: a reason without a sentence");
}

/* ---- the ends of the phases */

void auditor_quiet(struct sim *sim)
{
    struct auditor *self = sim->auditor;
    for (struct pen_map_node *node = pen_map_first(&self->actions); node != NULL;
         node = pen_map_next(node)) {
        struct seen_action *action = pen_map_value(node);
        if (!action->ended)
            mem_put(&self->pending, pen_key_text(action->id), action);
    }
}

static bool unproven(struct sim *sim, const struct seen_action *action)
{
    if (action->fence == 0)
        return false;
    const struct seen_attempt *attempt = auditor_attempt(sim, action->fence);
    if (attempt->state != PEN__ATTEMPT_STATE__ATTEMPT_INDETERMINATE)
        return false;
    for (int i = 0; i < SIM_HOSTS; i++)
        if (pen_str_equal(sim->hosts[i].agent_id, attempt->agent_id) && !sim->hosts[i].tainted)
            sim_fail(sim,
                     "LIVENESS: fence %" PRIu64 " is unproven though %s serves with the "
                     "same spool",
                     attempt->fence, sim->hosts[i].name);
    return true;
}

uint64_t auditor_pending(const struct sim *sim)
{
    uint64_t pending = 0;
    for (struct pen_map_node *node = pen_map_first(&sim->auditor->pending); node != NULL;
         node = pen_map_next(node)) {
        const struct seen_action *action = pen_map_value(node);
        pending += action->ended ? 0 : 1;
    }
    return pending;
}

void auditor_check_quiet(struct sim *sim)
{
    struct auditor *self = sim->auditor;
    for (struct pen_map_node *node = pen_map_first(&self->pending); node != NULL;
         node = pen_map_next(node)) {
        const struct seen_action *action = pen_map_value(node);
        if (!action->ended && !unproven(sim, action))
            sim_fail(sim,
                     "LIVENESS: action %s of stage %s, execution %s (fence %" PRIu64
                     ") neither ended nor is it unproven",
                     action->name, action->stage, action->execution_id, action->fence);
    }
}

uint64_t auditor_left(const struct sim *sim)
{
    uint64_t left = 0;
    for (struct pen_map_node *node = pen_map_first(&sim->auditor->executions); node != NULL;
         node = pen_map_next(node)) {
        const struct seen_execution *execution = pen_map_value(node);
        left += execution->ended ? 0 : 1;
    }
    return left;
}

void auditor_check_end(struct sim *sim)
{
    struct auditor *self = sim->auditor;
    for (struct pen_map_node *node = pen_map_first(&self->executions); node != NULL;
         node = pen_map_next(node)) {
        const struct seen_execution *execution = pen_map_value(node);
        if (execution->removed == auditor_in_store(sim, execution))
            sim_fail(sim, "NO LOSS: execution %s is %s the store", execution->id,
                     execution->removed ? "removed, and in" : "not in");
        if (!execution->ended)
            sim_fail(sim, "LIVENESS: execution %s of %s has not ended; it is in stage %d",
                     execution->id, execution->pipeline, execution->stage);
    }
    for (struct pen_map_node *node = pen_map_first(&self->attempts); node != NULL;
         node = pen_map_next(node)) {
        const struct seen_attempt *attempt = pen_map_value(node);
        if (!auditor_terminal(attempt->state) && attempt->once)
            continue; /* of an abandoned action: its host may be gone */
        if (!auditor_terminal(attempt->state))
            sim_fail(sim, "LIVENESS: fence %" PRIu64 " is still %s", attempt->fence,
                     WORD(attempt_state, attempt->state));
    }
    auditor_check_bounds(sim);
}

/* ---- life */

void auditor_create(struct sim *sim)
{
    sim->auditor = mem_zero(sizeof *sim->auditor);
}

static void release(struct pen_map *map, void (*drop)(void *))
{
    void *value;
    while ((value = pen_map_first_value(map)) != NULL) {
        pen_map_remove(map, pen_map_key(pen_map_first(map)));
        drop(value);
    }
    pen_map_release(map);
}

static void drop_attempt(void *value)
{
    struct seen_attempt *attempt = value;
    free(attempt->agent_id);
    free(attempt->action_id);
    mem_free_message(attempt->stored);
    free(attempt);
}

static void drop_action(void *value)
{
    struct seen_action *action = value;
    free(action->id);
    free(action->execution_id);
    free(action->stage);
    free(action->name);
    free(action->token);
    free(action);
}

static void drop_execution(void *value)
{
    struct seen_execution *execution = value;
    free(execution->id);
    free(execution->pipeline);
    free(execution->mode);
    free(execution->mood);
    free(execution->revision);
    free(execution);
}

/* Of the rest, the first member is the text that is its key. */
static void drop_named(void *value)
{
    char *key;
    memcpy(&key, value, sizeof key);
    free(key);
    free(value);
}

void auditor_destroy(struct sim *sim)
{
    struct auditor *self = sim->auditor;
    pen_map_release(&self->pending);
    pen_map_release(&self->answered);
    release(&self->attempts, drop_attempt);
    release(&self->actions, drop_action);
    release(&self->executions, drop_execution);
    release(&self->once, drop_named);
    release(&self->agents, drop_named);
    release(&self->pipelines, drop_named);
    release(&self->tokens, drop_named);
    release(&self->jobs, drop_named);
    release(&self->hooks, drop_named);
    release(&self->calls, drop_named);
    release(&self->pulls, drop_named);
    release(&self->pushes, drop_named);
    for (size_t i = 0; i < self->declarations_count; i++)
        mem_free_message(self->declarations[i]);
    free(self->declarations);
    free(self->checkpoints);
    free(self);
}
