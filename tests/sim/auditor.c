/* tests/sim/auditor.c - what must be true whatever happens, judged from facts and ground truth
 *
 * A model of its own, fed by committed facts: executions, stage locks, actions, attempts, agents.
 * Names in capitals are those of the invariants that docs and issues use.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "tests/sim/sim.h"

/* One try, as the facts tell it. */
struct seen_attempt {
    uint64_t fence;
    Pen__AttemptState state;
    bool once;
    bool good; /* finished: exited with 0 */
    bool finished;
    uint64_t last_seq;
    char *agent_id;
    char *action_id;
};

struct seen_action {
    char *id;
    char *execution_id;
    char *stage;
    char *name;
    bool ended;
    uint64_t fence; /* of the attempt that is current; 0: none */
};

struct seen_execution {
    char *id;
    char *pipeline;
    char *mode;
    char *stage; /* that is under way; NULL between stages */
    bool stopping;
    bool ended;
    Pen__ExecutionStatus status;
};

/* Starts of one once action of one execution: how many there were, and how many people granted. */
struct seen_once {
    char *key;
    uint64_t begun;
    uint64_t granted;
};

struct seen_agent {
    char *id;
    uint64_t session_no;
    bool enrolled;
};

struct seen_lock {
    char *key;
    char *holder;
};

struct auditor {
    struct pen_map attempts, actions, executions, once, agents, locks, answered;
    uint64_t last_fence;
    uint64_t last_seq;
    struct pen_map pending; /* actions under way when it became quiet */
};

/* ---- small helpers */

static char *key_of(const char *a, const char *b, const char *c)
{
    return mem_format("%s/%s/%s", a, b == NULL ? "" : b, c == NULL ? "" : c);
}

static struct seen_once *once_of(struct auditor *self, const struct seen_action *action)
{
    char *key = key_of(action->execution_id, action->stage, action->name);
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

static struct seen_lock *lock_of(struct auditor *self, const char *pipeline, const char *stage)
{
    char *key = key_of(pipeline, stage, NULL);
    struct seen_lock *lock = pen_map_get(&self->locks, pen_key_text(key));
    if (lock != NULL) {
        free(key);
        return lock;
    }
    lock = mem_zero(sizeof *lock);
    lock->key = key;
    mem_put(&self->locks, pen_key_text(key), lock);
    return lock;
}

static struct seen_attempt *attempt_of(struct sim *sim, uint64_t fence)
{
    struct seen_attempt *attempt = pen_map_get(&sim->auditor->attempts, pen_key_number(fence));
    if (attempt == NULL)
        sim_fail(sim, "FENCE: a fact about fence %" PRIu64 ", which was never granted", fence);
    return attempt;
}

static struct seen_action *action_of(struct sim *sim, const char *id)
{
    struct seen_action *action = pen_map_get(&sim->auditor->actions, pen_key_text(id));
    if (action == NULL)
        sim_fail(sim, "LEGAL PATH: a fact about action %s, which never started", id);
    return action;
}

static struct seen_execution *execution_of(struct sim *sim, const Pen__Fact *fact)
{
    struct seen_execution *execution =
        fact->execution_id == NULL
            ? NULL
            : pen_map_get(&sim->auditor->executions, pen_key_text(fact->execution_id));
    if (execution == NULL)
        sim_fail(sim, "LEGAL PATH: fact %" PRIu64 " is about no execution", fact->seq);
    return execution;
}

static bool by_person(const Pen__Fact *fact)
{
    return fact->by != NULL && strncmp(fact->by, "arn:", 4) == 0;
}

/* ---- executions and stages */

static void on_execution_started(struct sim *sim, const Pen__Fact *fact)
{
    struct seen_execution *execution = mem_zero(sizeof *execution);
    execution->id = mem_text(fact->execution_id);
    execution->pipeline = mem_text(fact->pipeline);
    execution->mode = mem_text(fact->execution_started->mode);
    sim->counts[COUNT_EXECUTIONS]++;
    if (pen_map_get(&sim->auditor->executions, pen_key_text(execution->id)) != NULL)
        sim_fail(sim, "NO LOSS: execution %s starts twice", execution->id);
    mem_put(&sim->auditor->executions, pen_key_text(execution->id), execution);
    sim_trace(sim, "%s: execution %s starts", fact->pipeline, fact->execution_id);
}

static void on_execution_ended(struct sim *sim, const Pen__Fact *fact)
{
    struct seen_execution *execution = execution_of(sim, fact);
    execution->status = fact->execution_ended->status;
    sim_trace(sim, "%s: execution %s ends with status %d", fact->pipeline, fact->execution_id,
              (int)execution->status);
    if (execution->ended)
        sim_fail(sim, "LEGAL PATH: execution %s ends twice", execution->id);
    if (execution->stage != NULL)
        sim_fail(sim, "LOCK: execution %s ends inside stage %s, with status %d", execution->id,
                 execution->stage, (int)execution->status);
    execution->ended = true;
}

static void enter_stage(struct sim *sim, const Pen__Fact *fact, const char *stage)
{
    struct seen_execution *execution = execution_of(sim, fact);
    if (execution->stopping)
        sim_fail(sim, "LEGAL PATH: execution %s enters %s while it is to stop", execution->id,
                 stage);
    if (execution->stage != NULL)
        sim_fail(sim, "LEGAL PATH: execution %s enters %s inside %s", execution->id, stage,
                 execution->stage);
    mem_set_text(&execution->stage, stage);
    if (pen_str_equal(execution->mode, "PARALLEL"))
        return;
    struct seen_lock *lock = lock_of(sim->auditor, execution->pipeline, stage);
    if (lock->holder != NULL)
        sim_fail(sim, "LOCK: execution %s enters %s, which %s holds", execution->id, stage,
                 lock->holder);
    mem_set_text(&lock->holder, execution->id);
}

static void on_stage_started(struct sim *sim, const Pen__Fact *fact)
{
    const struct seen_execution *execution = execution_of(sim, fact);
    if (execution->ended)
        sim_fail(sim, "LEGAL PATH: execution %s enters a stage after its end", execution->id);
    sim_trace(sim, "%s: %s enters %s", fact->pipeline, fact->execution_id,
              fact->stage_started->stage);
    enter_stage(sim, fact, fact->stage_started->stage);
}

static void on_stage_ended(struct sim *sim, const Pen__Fact *fact)
{
    struct seen_execution *execution = execution_of(sim, fact);
    sim_trace(sim, "%s: %s leaves %s with status %d", fact->pipeline, fact->execution_id,
              fact->stage_ended->stage, (int)fact->stage_ended->status);
    if (!pen_str_equal(execution->stage, fact->stage_ended->stage))
        sim_fail(sim, "LEGAL PATH: execution %s leaves %s, where it is not", execution->id,
                 fact->stage_ended->stage);
    mem_set_text(&execution->stage, NULL);
    if (pen_str_equal(execution->mode, "PARALLEL"))
        return;
    struct seen_lock *lock = lock_of(sim->auditor, execution->pipeline, fact->stage_ended->stage);
    if (!pen_str_equal(lock->holder, execution->id))
        sim_fail(sim, "LOCK: execution %s leaves %s without holding it", execution->id, lock->key);
    mem_set_text(&lock->holder, NULL);
}

static void on_stage_retried(struct sim *sim, const Pen__Fact *fact)
{
    struct seen_execution *execution = execution_of(sim, fact);
    sim_trace(sim, "%s: %s retries %s", fact->pipeline, fact->execution_id,
              fact->stage_retried->stage);
    execution->ended = execution->stopping = false;
    enter_stage(sim, fact, fact->stage_retried->stage);
    struct auditor *self = sim->auditor;
    for (struct pen_map_node *node = pen_map_first(&self->actions); node != NULL;
         node = pen_map_next(node)) {
        const struct seen_action *action = pen_map_value(node);
        if (pen_str_equal(action->execution_id, execution->id) &&
            pen_str_equal(action->stage, fact->stage_retried->stage) && action->ended &&
            !fact->stage_retried->automatic) {
            struct seen_once *once = once_of(self, action);
            once->granted = once->begun + 1;
        }
    }
}

/* ---- actions */

static void on_action_started(struct sim *sim, const Pen__Fact *fact)
{
    const struct seen_execution *execution = execution_of(sim, fact);
    const Pen__ActionExecutionRow *row = fact->action_started->action;
    if (execution->ended || execution->stopping)
        sim_fail(sim, "LEGAL PATH: execution %s starts action %s though it %s", execution->id,
                 row->action, execution->ended ? "has ended" : "is to stop");
    if (!pen_str_equal(execution->stage, row->stage))
        sim_fail(sim, "LOCK: execution %s starts %s/%s without being in that stage", execution->id,
                 row->stage, row->action);
    struct seen_action *action = mem_zero(sizeof *action);
    action->id = mem_text(row->id);
    action->execution_id = mem_text(row->execution_id);
    action->stage = mem_text(row->stage);
    action->name = mem_text(row->action);
    if (pen_map_get(&sim->auditor->actions, pen_key_text(row->id)) != NULL)
        sim_fail(sim, "ONE OUTCOME: action %s starts twice", row->id);
    mem_put(&sim->auditor->actions, pen_key_text(action->id), action);
}

/* What counts as success has truly exited with 0, and its log and artifacts are here. */
static void check_truth(struct sim *sim, const struct seen_action *action, const char *summary)
{
    const struct run *good = NULL;
    for (int i = 0; i < SIM_HOSTS_MAX && good == NULL; i++) {
        const struct run *run = shim_run(sim, &sim->hosts[i], action->fence);
        if (run != NULL && run->began && run->state == RUN_EXITED && !run->killed &&
            run->exit_code == 0)
            good = run;
    }
    if (good == NULL)
        sim_fail(sim,
                 "TRUTH: action %s (fence %" PRIu64 ") succeeded, but no process of it has "
                 "exited with 0",
                 action->name, action->fence);
    const uint64_t *log = pen_map_get(&sim->core.logs, pen_key_number(action->fence));
    uint64_t size = log == NULL ? 0 : *log;
    if (size < good->log_size && strstr(summary == NULL ? "" : summary, "of its log") == NULL)
        sim_fail(sim,
                 "TRUTH: fence %" PRIu64 " succeeded with %" PRIu64 " of %" PRIu64
                 " bytes of its log, and no word about it",
                 action->fence, size, good->log_size);
}

static void on_action_ended(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__ActionEnded *body = fact->action_ended;
    struct seen_action *action = action_of(sim, body->action_execution_id);
    if (action->ended)
        sim_fail(sim, "ONE OUTCOME: action %s has two outcomes", action->id);
    action->ended = true;
    sim_trace(sim, "action %s of %s ends with status %d: %s", action->name, action->execution_id,
              (int)body->status, body->error_message != NULL ? body->error_message : "");
    if (body->status == PEN__ACTION_STATUS__ACTION_SUCCEEDED && action->fence != 0 &&
        !by_person(fact))
        check_truth(sim, action, body->summary);
}

static void on_action_requeued(struct sim *sim, const Pen__Fact *fact)
{
    struct seen_action *action = action_of(sim, fact->action_requeued->action_execution_id);
    sim_trace(sim, "action %s of %s goes to phase %d: %s", action->name, action->execution_id,
              (int)fact->action_requeued->phase, fact->action_requeued->reason);
    if (action->ended)
        sim_fail(sim, "ONE OUTCOME: action %s is queued again after its end", action->id);
    if (fact->action_requeued->phase == PEN__ACTION_PHASE__ACTION_INDETERMINATE)
        sim->counts[COUNT_UNPROVEN]++;
    else if (by_person(fact)) {
        struct seen_once *once = once_of(sim->auditor, action);
        once->granted = once->begun + 1;
    }
}

/* ---- attempts */

static bool terminal(Pen__AttemptState state)
{
    return state == PEN__ATTEMPT_STATE__ATTEMPT_SUCCEEDED ||
           state == PEN__ATTEMPT_STATE__ATTEMPT_FAILED ||
           state == PEN__ATTEMPT_STATE__ATTEMPT_CANCELED ||
           state == PEN__ATTEMPT_STATE__ATTEMPT_LOST;
}

static void on_granted(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__AttemptGranted *body = fact->attempt_granted;
    struct auditor *self = sim->auditor;
    sim->counts[COUNT_GRANTS]++;
    sim_trace(sim, "fence %" PRIu64 " is granted to %s", body->fence, body->agent_id);
    if (body->fence <= self->last_fence)
        sim_fail(sim, "FENCE: %" PRIu64 " is granted after %" PRIu64, body->fence,
                 self->last_fence);
    self->last_fence = body->fence;
    const struct seen_agent *agent = pen_map_get(&self->agents, pen_key_text(body->agent_id));
    if (agent == NULL || !agent->enrolled || agent->session_no != body->session_no)
        sim_fail(sim, "SESSION: fence %" PRIu64 " is granted to an agent without a live session",
                 body->fence);
    struct seen_action *action = action_of(sim, body->action_execution_id);
    const struct seen_attempt *former = action->fence == 0 ? NULL : attempt_of(sim, action->fence);
    if (action->ended || (former != NULL && !terminal(former->state)))
        sim_fail(sim, "ONCE: action %s is granted fence %" PRIu64 " while %s", action->id,
                 body->fence, action->ended ? "it has ended" : "another attempt is current");
    struct seen_attempt *attempt = mem_zero(sizeof *attempt);
    attempt->fence = body->fence;
    attempt->state = PEN__ATTEMPT_STATE__ATTEMPT_GRANTED;
    attempt->once = body->action_class == PEN__ACTION_CLASS__ONCE;
    attempt->agent_id = mem_text(body->agent_id);
    attempt->action_id = mem_text(body->action_execution_id);
    action->fence = body->fence;
    mem_put(&self->attempts, pen_key_number(attempt->fence), attempt);
}

static struct seen_attempt *next_event(struct sim *sim, uint64_t fence, uint64_t seq)
{
    struct seen_attempt *attempt = attempt_of(sim, fence);
    if (terminal(attempt->state))
        sim_fail(sim, "FENCE: an event of fence %" PRIu64 " is accepted after its end", fence);
    if (seq != attempt->last_seq + 1)
        sim_fail(sim, "FENCE: event %" PRIu64 " of fence %" PRIu64 " is accepted after %" PRIu64,
                 seq, fence, attempt->last_seq);
    attempt->last_seq = seq;
    return attempt;
}

static void on_attempt_started(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__AttemptStarted *body = fact->attempt_started;
    struct seen_attempt *attempt = next_event(sim, body->fence, body->seq);
    if (attempt->finished)
        sim_fail(sim, "LEGAL PATH: fence %" PRIu64 " starts after it has finished", body->fence);
    if (attempt->state != PEN__ATTEMPT_STATE__ATTEMPT_CANCELING)
        attempt->state = PEN__ATTEMPT_STATE__ATTEMPT_RUNNING;
}

static void on_attempt_finished(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__AttemptFinished *body = fact->attempt_finished;
    struct seen_attempt *attempt = next_event(sim, body->fence, body->seq);
    if (attempt->finished)
        sim_fail(sim, "ONE OUTCOME: fence %" PRIu64 " finishes twice", body->fence);
    attempt->finished = true;
    attempt->good =
        body->finished->kind == PEN__FINISH_KIND__EXITED && body->finished->exit_code == 0;
    attempt->state = PEN__ATTEMPT_STATE__ATTEMPT_DRAINING;
    sim_trace(sim, "fence %" PRIu64 " finished, kind %d, status %d", body->fence,
              (int)body->finished->kind, (int)body->finished->exit_code);
    bool proof = body->finished->kind == PEN__FINISH_KIND__NEVER_BEGAN ||
                 body->finished->kind == PEN__FINISH_KIND__REFUSED_START;
    for (int i = 0; proof && i < SIM_HOSTS_MAX; i++) {
        const struct run *run = shim_run(sim, &sim->hosts[i], body->fence);
        if (run != NULL && run->began && !sim->hosts[i].rival)
            sim_fail(sim, "TRUTH: fence %" PRIu64 " is said never to have begun, but it has",
                     body->fence);
    }
}

#define STATE(name) (1u << PEN__ATTEMPT_STATE__ATTEMPT_##name)

static void on_attempt_moved(struct sim *sim, const Pen__Fact *fact)
{
    static const unsigned legal[PEN__ATTEMPT_STATE__ATTEMPT_REVOKING + 1] = {
        [PEN__ATTEMPT_STATE__ATTEMPT_GRANTED] = STATE(CANCELING) | STATE(REVOKING) |
                                                STATE(CANCELED) | STATE(LOST) |
                                                STATE(INDETERMINATE),
        [PEN__ATTEMPT_STATE__ATTEMPT_RUNNING] =
            STATE(CANCELING) | STATE(LOST) | STATE(INDETERMINATE),
        [PEN__ATTEMPT_STATE__ATTEMPT_CANCELING] =
            STATE(CANCELED) | STATE(LOST) | STATE(INDETERMINATE),
        [PEN__ATTEMPT_STATE__ATTEMPT_REVOKING] = STATE(RUNNING) | STATE(CANCELING) |
                                                 STATE(CANCELED) | STATE(LOST) |
                                                 STATE(INDETERMINATE),
        [PEN__ATTEMPT_STATE__ATTEMPT_DRAINING] = STATE(SUCCEEDED) | STATE(FAILED) | STATE(CANCELED),
        [PEN__ATTEMPT_STATE__ATTEMPT_INDETERMINATE] =
            STATE(RUNNING) | STATE(CANCELED) | STATE(SUCCEEDED) | STATE(FAILED) | STATE(LOST),
    };
    const Pen__AttemptMoved *body = fact->attempt_moved;
    struct seen_attempt *attempt = attempt_of(sim, body->fence);
    sim_trace(sim, "fence %" PRIu64 " moves from state %d to %d: %s", body->fence,
              (int)attempt->state, (int)body->state, body->reason != NULL ? body->reason : "");
    if ((legal[attempt->state] & (1u << body->state)) == 0)
        sim_fail(sim, "LEGAL PATH: fence %" PRIu64 " moves from state %d to %d", body->fence,
                 (int)attempt->state, (int)body->state);
    if (body->state == PEN__ATTEMPT_STATE__ATTEMPT_SUCCEEDED && !by_person(fact) && !attempt->good)
        sim_fail(sim, "TRUTH: fence %" PRIu64 " succeeds without a good exit", body->fence);
    if (body->state == PEN__ATTEMPT_STATE__ATTEMPT_INDETERMINATE && !attempt->once)
        sim_fail(sim, "LEGAL PATH: repeatable fence %" PRIu64 " is unproven", body->fence);
    attempt->state = body->state;
}

/* ---- agents */

static struct seen_agent *agent_of(struct sim *sim, const char *id)
{
    struct seen_agent *agent = pen_map_get(&sim->auditor->agents, pen_key_text(id));
    if (agent == NULL)
        sim_fail(sim, "SESSION: a fact about agent %s, which was never enrolled", id);
    return agent;
}

static void on_agent_enrolled(struct sim *sim, const Pen__Fact *fact)
{
    struct seen_agent *agent = mem_zero(sizeof *agent);
    agent->id = mem_text(fact->agent_enrolled->agent->id);
    agent->enrolled = true;
    mem_put(&sim->auditor->agents, pen_key_text(agent->id), agent);
}

static void on_agent_changed(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__AgentChanged *body = fact->agent_changed;
    struct seen_agent *agent = agent_of(sim, body->agent_id);
    if (body->has_status)
        agent->enrolled = body->status == PEN__AGENT_STATUS__AGENT_ENROLLED;
    sim_trace(sim, "agent %s: status %d, %s", body->agent_id, (int)body->status,
              body->reason != NULL ? body->reason : "");
    for (int i = 0; i < SIM_HOSTS && body->has_status; i++)
        if (body->status == PEN__AGENT_STATUS__AGENT_QUARANTINED &&
            pen_str_equal(sim->hosts[i].agent_id, body->agent_id) && !sim->hosts[i].tainted)
            sim_fail(sim, "SESSION: %s is quarantined without cause: %s", sim->hosts[i].name,
                     body->reason);
}

static void on_session(struct sim *sim, const Pen__Fact *fact)
{
    struct seen_agent *agent = agent_of(sim, fact->agent_session->agent_id);
    if (!agent->enrolled || fact->agent_session->session_no <= agent->session_no)
        sim_fail(sim, "SESSION: session %" PRIu64 " of agent %s after %" PRIu64,
                 fact->agent_session->session_no, agent->id, agent->session_no);
    agent->session_no = fact->agent_session->session_no;
}

/* ---- everything that was committed */

void auditor_fact(struct sim *sim, const Pen__Fact *fact)
{
    static void (*const on[])(struct sim *, const Pen__Fact *) = {
        [PEN__FACT__WHAT_EXECUTION_STARTED] = on_execution_started,
        [PEN__FACT__WHAT_EXECUTION_ENDED] = on_execution_ended,
        [PEN__FACT__WHAT_STAGE_STARTED] = on_stage_started,
        [PEN__FACT__WHAT_STAGE_ENDED] = on_stage_ended,
        [PEN__FACT__WHAT_STAGE_RETRIED] = on_stage_retried,
        [PEN__FACT__WHAT_ACTION_STARTED] = on_action_started,
        [PEN__FACT__WHAT_ACTION_ENDED] = on_action_ended,
        [PEN__FACT__WHAT_ACTION_REQUEUED] = on_action_requeued,
        [PEN__FACT__WHAT_ATTEMPT_GRANTED] = on_granted,
        [PEN__FACT__WHAT_ATTEMPT_STARTED] = on_attempt_started,
        [PEN__FACT__WHAT_ATTEMPT_FINISHED] = on_attempt_finished,
        [PEN__FACT__WHAT_ATTEMPT_MOVED] = on_attempt_moved,
        [PEN__FACT__WHAT_AGENT_ENROLLED] = on_agent_enrolled,
        [PEN__FACT__WHAT_AGENT_SESSION] = on_session,
        [PEN__FACT__WHAT_AGENT_CHANGED] = on_agent_changed,
    };
    struct auditor *self = sim->auditor;
    if (fact->seq != self->last_seq + 1)
        sim_fail(sim, "REPLAY: fact %" PRIu64 " is committed after %" PRIu64, fact->seq,
                 self->last_seq);
    self->last_seq = fact->seq;
    if (fact->what_case == PEN__FACT__WHAT_EXECUTION_STOPPING)
        execution_of(sim, fact)->stopping = true;
    if (fact->what_case == PEN__FACT__WHAT_ATTEMPT_STEP)
        (void)next_event(sim, fact->attempt_step->fence, fact->attempt_step->seq);
    if ((size_t)fact->what_case < sizeof on / sizeof on[0] && on[fact->what_case] != NULL)
        on[fact->what_case](sim, fact);
}

/* ---- what truly ran */

void auditor_began(struct sim *sim, const struct run *run)
{
    struct auditor *self = sim->auditor;
    const struct seen_attempt *attempt = pen_map_get(&self->attempts, pen_key_number(run->fence));
    if (attempt == NULL)
        sim_fail(sim, "ACK => DURABLE: fence %" PRIu64 " begins, but its grant is not committed",
                 run->fence);
    /* A live copy of a host with the same identity looks like the host itself until it has said
     * something that the host could not have said: nothing can be promised for these two. */
    if (sim->hosts[run->host].rival)
        return;
    for (int i = 0; i < SIM_HOSTS_MAX; i++) {
        const struct run *other = shim_run(sim, &sim->hosts[i], run->fence);
        if (other != NULL && other != run && other->began)
            sim_fail(sim, "ONCE: fence %" PRIu64 " begins on two hosts", run->fence);
    }
    const struct seen_action *action = action_of(sim, attempt->action_id);
    if (!pen_str_equal(action->id, run->action_execution_id))
        sim_fail(sim, "FENCE: fence %" PRIu64 " begins for another action than it was granted for",
                 run->fence);
    if (!run->once)
        return;
    struct seen_once *once = once_of(self, action);
    if (++once->begun > once->granted)
        sim_fail(sim, "ONCE: %s begins for the %" PRIu64 ". time, people have granted %" PRIu64,
                 once->key, once->begun, once->granted);
}

/* ---- what was answered */

void auditor_reply(struct sim *sim, const struct request *request, const Pen__Reply *reply)
{
    bool starts = request->what == PEN__INPUT__WHAT_START_EXECUTION ||
                  request->what == PEN__INPUT__WHAT_CREATE_PIPELINE;
    if (starts && reply->error == NULL) {
        if (reply->execution_id == NULL ||
            pen_map_get(&sim->auditor->executions, pen_key_text(reply->execution_id)) == NULL)
            sim_fail(sim, "ACK => DURABLE: the start of %s is answered, but not committed",
                     reply->execution_id != NULL ? reply->execution_id : "nothing");
    }
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
    const struct seen_attempt *attempt = attempt_of(sim, action->fence);
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

void auditor_check_end(struct sim *sim)
{
    struct auditor *self = sim->auditor;
    for (struct pen_map_node *node = pen_map_first(&self->executions); node != NULL;
         node = pen_map_next(node)) {
        const struct seen_execution *execution = pen_map_value(node);
        char *key = mem_format("05 %s", execution->id);
        if (pen_map_get(&sim->core.store, pen_key_text(key)) == NULL)
            sim_fail(sim, "NO LOSS: execution %s is not in the store", execution->id);
        free(key);
        if (!execution->ended)
            sim_fail(sim, "LIVENESS: execution %s of %s has not ended; it is in stage %s",
                     execution->id, execution->pipeline,
                     execution->stage != NULL ? execution->stage : "none");
    }
    for (struct pen_map_node *node = pen_map_first(&self->attempts); node != NULL;
         node = pen_map_next(node)) {
        const struct seen_attempt *attempt = pen_map_value(node);
        if (!terminal(attempt->state) && attempt->once)
            continue; /* of an abandoned action: its host may be gone */
        if (!terminal(attempt->state))
            sim_fail(sim, "LIVENESS: fence %" PRIu64 " is still in state %d", attempt->fence,
                     (int)attempt->state);
    }
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
    free(attempt);
}

static void drop_action(void *value)
{
    struct seen_action *action = value;
    free(action->id);
    free(action->execution_id);
    free(action->stage);
    free(action->name);
    free(action);
}

static void drop_execution(void *value)
{
    struct seen_execution *execution = value;
    free(execution->id);
    free(execution->pipeline);
    free(execution->mode);
    free(execution->stage);
    free(execution);
}

static void drop_once(void *value)
{
    struct seen_once *once = value;
    free(once->key);
    free(once);
}

static void drop_agent(void *value)
{
    struct seen_agent *agent = value;
    free(agent->id);
    free(agent);
}

static void drop_lock(void *value)
{
    struct seen_lock *lock = value;
    free(lock->key);
    free(lock->holder);
    free(lock);
}

void auditor_destroy(struct sim *sim)
{
    struct auditor *self = sim->auditor;
    pen_map_release(&self->pending);
    release(&self->attempts, drop_attempt);
    release(&self->actions, drop_action);
    release(&self->executions, drop_execution);
    release(&self->once, drop_once);
    release(&self->agents, drop_agent);
    release(&self->locks, drop_lock);
    free(self);
}
