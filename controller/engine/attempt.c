/* controller/engine/attempt.c - one try of an action on one agent
 *
 *                       .-----------------------------------------.
 *   GRANTED --started--> RUNNING --finished--> DRAINING --data--> SUCCEEDED FAILED CANCELED
 *      |  \                |  \                   ^
 *      |   cancel          |   cancel             | finished
 *      |      \            v      \               |
 *      |       '-------> CANCELING ---------------+   (a finish also ends REVOKING and
 *      v                                          |    INDETERMINATE: it is proof)
 *   REVOKING --proof that it never began--> CANCELED
 *
 *   agent lost, repeatable: LOST, and the action is queued again
 *   agent lost, once:       INDETERMINATE, until the agent proves something or a person decides
 *   time-out not kept:      CANCELING; when that does not end it either, the action has failed
 *
 * What its action has given up goes on by the same table: abandoned.c.
 * SUCCEEDED, FAILED, CANCELED and LOST absorb. What is not in the table is forbidden.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/apply.h"
#include "controller/engine/decide.h"
#include "controller/engine/planted.h"

#define GRANTED       PEN__ATTEMPT_STATE__ATTEMPT_GRANTED
#define RUNNING       PEN__ATTEMPT_STATE__ATTEMPT_RUNNING
#define CANCELING     PEN__ATTEMPT_STATE__ATTEMPT_CANCELING
#define DRAINING      PEN__ATTEMPT_STATE__ATTEMPT_DRAINING
#define SUCCEEDED     PEN__ATTEMPT_STATE__ATTEMPT_SUCCEEDED
#define FAILED        PEN__ATTEMPT_STATE__ATTEMPT_FAILED
#define CANCELED      PEN__ATTEMPT_STATE__ATTEMPT_CANCELED
#define LOST          PEN__ATTEMPT_STATE__ATTEMPT_LOST
#define INDETERMINATE PEN__ATTEMPT_STATE__ATTEMPT_INDETERMINATE
#define REVOKING      PEN__ATTEMPT_STATE__ATTEMPT_REVOKING

enum { STATES = PEN__ATTEMPT_STATE__ATTEMPT_REVOKING + 1 };

static const bool allowed[STATES][STATES] = {
    [GRANTED] = {[RUNNING] = 1,
                 [CANCELING] = 1,
                 [REVOKING] = 1,
                 [DRAINING] = 1,
                 [CANCELED] = 1,
                 [LOST] = 1,
                 [INDETERMINATE] = 1},
    [RUNNING] = {[CANCELING] = 1, [DRAINING] = 1, [LOST] = 1, [INDETERMINATE] = 1},
    [CANCELING] = {[DRAINING] = 1, [CANCELED] = 1, [LOST] = 1, [INDETERMINATE] = 1},
    [REVOKING] = {[RUNNING] = 1,
                  [CANCELING] = 1,
                  [DRAINING] = 1,
                  [CANCELED] = 1,
                  [LOST] = 1,
                  [INDETERMINATE] = 1},
    [DRAINING] = {[SUCCEEDED] = 1, [FAILED] = 1, [CANCELED] = 1},
    [INDETERMINATE] = {[RUNNING] = 1,
                       [DRAINING] = 1,
                       [CANCELED] = 1, /* by machine */
                       [SUCCEEDED] = 1,
                       [FAILED] = 1,
                       [LOST] = 1}, /* by a person */
};

bool attempt_may_move(Pen__AttemptState from, Pen__AttemptState to)
{
    return (unsigned)from < STATES && (unsigned)to < STATES && allowed[from][to];
}

static void emit_attempt(struct pen_engine *engine, const struct attempt *self,
                         Pen__Fact__WhatCase what, void *body)
{
    emit(engine, self->row->pipeline, self->row->execution_id, what, body);
}

void attempt_grant(struct pen_engine *engine, struct action *action, struct agent *agent,
                   uint64_t candidate, bool offered)
{
    uint64_t last = engine->setting->row->last_fence;
    uint64_t fence = candidate > last ? candidate : last + 1;
    if (engine->last_candidate < fence)
        engine->last_candidate = fence;
    Pen__AttemptGranted *body = MAKE(Pen__AttemptGranted, pen__attempt_granted__init);
    SET(body, fence, fence);
    body->action_execution_id = mem_text(action->row->id);
    body->agent_id = mem_text(agent->row->id);
    SET(body, session_no, agent->row->session_no);
    body->spool_id = mem_text(agent->row->spool_id);
    body->boot_id = mem_text(agent->row->boot_id);
    SET(body, action_class, action->row->action_class);
    SET(body, timeout_ms, action_time_ms(engine, action));
    emit_about(engine, action->run->execution, PEN__FACT__WHAT_ATTEMPT_GRANTED, body);
    struct attempt *attempt = action->attempt;
    CHECK(attempt != NULL && attempt->row->fence == fence);
    attempt_arm(engine, attempt);
    plan_attempt(engine, attempt);
    agent_send_start(engine, attempt, offered ? candidate : 0);
    agent_arm_timer(engine, agent);
}

void attempt_move(struct pen_engine *engine, struct attempt *self, Pen__AttemptState to,
                  const char *why)
{
    Pen__AttemptMoved *body = MAKE(Pen__AttemptMoved, pen__attempt_moved__init);
    SET(body, fence, self->row->fence);
    SET(body, state, to);
    body->reason = mem_text(why);
    attempt_move_by(engine, self, body);
}

void attempt_move_by(struct pen_engine *engine, struct attempt *self, Pen__AttemptMoved *body)
{
    struct agent *agent = self->agent;
    uint64_t fence = self->row->fence;
    Pen__AttemptState from = self->row->state;
    Pen__AttemptState to = body->state;
    emit_attempt(engine, self, PEN__FACT__WHAT_ATTEMPT_MOVED, body);
    if (!attempt_state_ended(to)) {
        attempt_arm(engine, self);
        return;
    }
    Pen__AttemptClose *close = MAKE(Pen__AttemptClose, pen__attempt_close__init);
    SET(close, fence, fence);
    if (PLANTED(DATA_LEFT_OPEN) && fence % 16 == 0)
        mem_free_message(close);
    else
        effect(engine, PEN__EFFECT__WHAT_ATTEMPT_CLOSE, close);
    if (to != LOST && from != INDETERMINATE) /* else it is told to stop when it shows up */
        agent_send_release(engine, agent, fence);
}

/* ---- how a finish is to be read */

/* Its time was over: by its agent, or by us. */
static bool timed_out(const struct attempt *self)
{
    const Pen__Finished *finished = self->row->finished;
    return finished->timed_out ||
           (self->row->overdue && finished->kind == PEN__FINISH_KIND__KILLED);
}

static bool was_canceled(const struct attempt *self)
{
    const Pen__Finished *finished = self->row->finished;
    return finished->kind == PEN__FINISH_KIND__KILLED && !timed_out(self) &&
           !finished->out_of_memory;
}

static char *describe_exit(const struct attempt *self)
{
    const Pen__Finished *finished = self->row->finished;
    if (timed_out(self))
        return mem_text("It ran longer than its time-out and was ended");
    if (finished->out_of_memory)
        return mem_text("It was killed because memory ran out");
    if (finished->kind == PEN__FINISH_KIND__KILLED)
        return mem_format("It was ended: %s",
                          finished->reason != NULL ? finished->reason : "no reason was given");
    if (finished->signal != 0)
        return mem_format("Command %u was killed by signal %d", finished->failed_command + 1,
                          finished->signal);
    return mem_format("Command %u exited with status %d", finished->failed_command + 1,
                      finished->exit_code);
}

static bool exited_well(const Pen__Finished *finished)
{
    return finished->kind == PEN__FINISH_KIND__EXITED && finished->exit_code == 0 &&
           finished->signal == 0 && !finished->timed_out && !finished->out_of_memory;
}

static const Pen__ArtifactRef *find_ref(size_t count, Pen__ArtifactRef **refs, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (pen_str_equal(refs[i]->name, name))
            return refs[i];
    return NULL;
}

static bool artifact_stored(const struct attempt *self, const Pen__ArtifactRef *made)
{
    const Pen__ArtifactRef *stored = find_ref(self->row->n_stored, self->row->stored, made->name);
    return stored != NULL && mem_bytes_equal(stored->manifest_sha256, made->manifest_sha256);
}

/* A declared output that is not there: because the agent does not name it, or it has not arrived.
 */
static const char *missing_output(const struct attempt *self, bool *ret_unnamed)
{
    const struct action *action = self->action;
    const Pen__Finished *finished = self->row->finished;
    for (size_t i = 0; action != NULL && i < action->declaration->n_output_artifacts; i++) {
        const char *name = action->declaration->output_artifacts[i]->name;
        const Pen__ArtifactRef *made = find_ref(finished->n_artifacts, finished->artifacts, name);
        *ret_unnamed = made == NULL;
        if (made == NULL || !artifact_stored(self, made))
            return name;
    }
    return NULL;
}

static bool log_stored(const struct attempt *self)
{
    return self->row->log_stored >= self->row->finished->log_size || PLANTED(LOG_NOT_AWAITED);
}

/* ---- ending attempt and action together */

/* The log is not there in whole, and nobody waits for the rest: said, never hidden. */
static char *describe_cut_log(const struct attempt *self)
{
    return mem_format("Exited with status 0; of its log of %llu bytes, the end did not arrive",
                      (unsigned long long)self->row->finished->log_size);
}

/* The agent may have something to add: what it had to leave out of an output. */
static char *describe_success(const struct attempt *self)
{
    const char *note = self->row->finished->reason;
    return note == NULL || *note == 0 ? mem_text("Exited with status 0")
                                      : mem_format("Exited with status 0; %s", note);
}

static void hand_in(Pen__ActionEnded *body, const struct attempt *self)
{
    const struct action *action = self->action;
    const Pen__Finished *finished = self->row->finished;
    for (size_t i = 0; i < action->declaration->n_output_artifacts; i++) {
        const Pen__ArtifactRef *made = find_ref(finished->n_artifacts, finished->artifacts,
                                                action->declaration->output_artifacts[i]->name);
        Pen__ProducedArtifact *output = MAKE(Pen__ProducedArtifact, pen__produced_artifact__init);
        output->artifact = mem_copy(made);
        output->stage = mem_text(action->row->stage);
        output->action = mem_text(action->row->action);
        APPEND(body, outputs, output);
    }
    for (size_t i = 0; i < finished->n_output_variables; i++) {
        Pen__NameValue *value = MAKE(Pen__NameValue, pen__name_value__init);
        value->name = mem_text(finished->output_variables[i]->key);
        value->value = mem_text(finished->output_variables[i]->value);
        APPEND(body, output_variables, value);
    }
}

static void succeed(struct pen_engine *engine, struct attempt *self)
{
    struct action *action = self->action;
    Pen__ActionEnded *body = NULL;
    if (action != NULL) {
        char *text = log_stored(self) ? describe_success(self) : describe_cut_log(self);
        body = action_ended(action, PEN__ACTION_STATUS__ACTION_SUCCEEDED, text);
        free(text);
        hand_in(body, self);
    }
    attempt_move(engine, self, SUCCEEDED, NULL);
    if (body != NULL)
        action_end(engine, action, body);
}

static void fail(struct pen_engine *engine, struct attempt *self, Pen__AttemptState state,
                 const char *message)
{
    struct action *action = self->action;
    attempt_move(engine, self, state, NULL);
    if (action != NULL)
        action_fail(engine, action, "JobFailed", message);
}

static void again(struct pen_engine *engine, struct attempt *self, Pen__AttemptState state,
                  const char *why)
{
    struct action *action = self->action;
    attempt_move(engine, self, state, why);
    if (action != NULL)
        action_try_again(engine, action, why);
}

static void settle_failure(struct pen_engine *engine, struct attempt *self)
{
    const Pen__Finished *finished = self->row->finished;
    char *text = NULL;
    switch ((int)finished->kind) {
    case PEN__FINISH_KIND__NEVER_BEGAN:
        again(engine, self, CANCELED, "The attempt never began on its agent");
        return;
    case PEN__FINISH_KIND__REFUSED_START:
        text = mem_format("The agent did not start it: %s",
                          finished->reason != NULL ? finished->reason : "no reason was given");
        again(engine, self, CANCELED, text);
        break;
    case PEN__FINISH_KIND__INTERRUPTED:
        if (self->row->action_class != PEN__ACTION_CLASS__ONCE || PLANTED(INTERRUPTED_AGAIN)) {
            again(engine, self, FAILED, "The attempt was interrupted on its agent");
            return;
        }
        fail(engine, self, FAILED,
             "It began and was interrupted; what it has done by then is unknown. An action of "
             "class once is not repeated by itself");
        return;
    case PEN__FINISH_KIND__FAILED_SETUP:
    case PEN__FINISH_KIND__FAILED_OUTPUT:
        text = mem_format("%s: %s",
                          finished->kind == PEN__FINISH_KIND__FAILED_SETUP
                              ? "Its workspace could not be made, no command has run"
                              : "The commands succeeded, but an output could not be made",
                          finished->reason != NULL ? finished->reason : "no reason was given");
        fail(engine, self, FAILED, text);
        break;
    default:
        text = describe_exit(self);
        fail(engine, self, was_canceled(self) ? CANCELED : FAILED, text);
        break;
    }
    free(text);
}

void attempt_settle(struct pen_engine *engine, struct attempt *self, bool give_up_data)
{
    CHECK(self->row->state == DRAINING && self->row->finished != NULL);
    if (!log_stored(self) && !give_up_data)
        return; /* AttemptOpen asks to be told */
    if (!exited_well(self->row->finished)) {
        settle_failure(engine, self);
        return;
    }
    bool unnamed = false;
    const char *missing = missing_output(self, &unnamed);
    if (missing == NULL) {
        succeed(engine, self);
        return;
    }
    if (!unnamed && !give_up_data)
        return; /* it is on its way */
    char *text = unnamed
                     ? mem_format("It ended well, but did not make output artifact '%s'", missing)
                     : mem_format("It ended well, but output artifact '%s' was lost before it "
                                  "arrived",
                                  missing);
    fail(engine, self, FAILED, text);
    free(text);
}

/* ---- no word from the agent, or proof */

/* Whether it can be told to be over: begun, or never to begin, without proof of the agent. A once
 * action begins only when its first event is committed (agent/session/session.h), so that one that
 * was given up before never does. */
static bool may_be_lost(const struct attempt *self)
{
    if (self->row->action_class != PEN__ACTION_CLASS__ONCE || PLANTED(SECOND_START))
        return true;
    return self->action == NULL && (self->row->last_seq == 0 || PLANTED(ABANDONED_FORGOTTEN));
}

static void lose_for_good(struct pen_engine *engine, struct attempt *self, const char *why)
{
    struct action *action = self->action;
    bool overdue = self->row->overdue;
    attempt_move(engine, self, LOST, why);
    if (action == NULL)
        return;
    if (!overdue) {
        action_try_again(engine, action, why);
        return;
    }
    char *text = mem_format("It ran longer than its time-out and was told to end: %s", why);
    action_fail(engine, action, "JobFailed", text);
    free(text);
}

void attempt_lose(struct pen_engine *engine, struct attempt *self, const char *why)
{
    if (self->row->state == DRAINING) {
        attempt_settle(engine, self, true);
        return;
    }
    if (self->row->state == INDETERMINATE)
        return;
    if (may_be_lost(self)) {
        lose_for_good(engine, self, why);
        return;
    }
    struct action *action = self->action;
    attempt_move(engine, self, INDETERMINATE, why);
    if (action == NULL)
        return; /* it stays in sight: abandoned.c */
    Pen__ActionRequeued *body = MAKE(Pen__ActionRequeued, pen__action_requeued__init);
    body->action_execution_id = mem_text(action->row->id);
    SET(body, phase, PEN__ACTION_PHASE__ACTION_INDETERMINATE);
    body->reason = mem_format("%s. It may or may not have run: it goes on when the agent proves "
                              "which, or when a person decides",
                              why);
    emit_about(engine, action->run->execution, PEN__FACT__WHAT_ACTION_REQUEUED, body);
}

void attempt_never_began(struct pen_engine *engine, struct attempt *self, const char *why)
{
    again(engine, self, CANCELED, why);
}

void attempt_cancel(struct pen_engine *engine, struct attempt *self, const char *why, bool kill)
{
    CHECK(self->action == NULL);
    if (kill) {
        (void)abandoned_kill(engine, self, why);
        return;
    }
    if (self->row->state == INDETERMINATE)
        return; /* if it did begin it is not broken off either: the agent's proof ends it */
    if (self->row->action_class == PEN__ACTION_CLASS__ONCE && self->row->state != GRANTED &&
        self->row->state != REVOKING)
        return; /* half a deployment is worse than one that nobody awaits */
    if (self->row->state != GRANTED && self->row->state != RUNNING)
        return;
    if (self->row->action_class == PEN__ACTION_CLASS__ONCE) {
        attempt_move(engine, self, REVOKING, why); /* stops it only if it has not begun */
        agent_send_revoke(engine, self);
        return;
    }
    attempt_move(engine, self, CANCELING, why);
    agent_send_cancel(engine, self);
}

/* ---- its time */

static int64_t timeout_of(const struct pen_engine *engine, const struct attempt *self)
{
    if (self->row->has_timeout_ms)
        return self->row->timeout_ms;
    return self->action != NULL ? action_time_ms(engine, self->action)
                                : engine->options.action_timeout_ms;
}

/* Agents end what runs for too long by themselves; INT64_MAX: there is nothing to wait for. */
static int64_t deadline_of(const struct pen_engine *engine, const struct attempt *self)
{
    int64_t begun_ms = self->row->started_ms != 0 ? self->row->started_ms
                                                  : self->row->granted_ms + PEN_LIMIT_SETUP_MS;
    begun_ms += self->leapt_ms;
    int64_t grace_ms = attempt_grace_until_ms(self);
    switch ((int)self->row->state) {
    case GRANTED:
    case REVOKING:
    case RUNNING:
        return PLANTED(TIMEOUT_UNKEPT)
                   ? INT64_MAX
                   : begun_ms + timeout_of(engine, self) + PEN_LIMIT_TIMEOUT_SLACK_MS;
    case CANCELING:
        if (self->action != NULL)
            return grace_ms;
        return grace_ms > engine->now_ms ? grace_ms : INT64_MAX; /* what waits for it goes on */
    default:
        return INT64_MAX;
    }
}

void attempt_arm(struct pen_engine *engine, struct attempt *self)
{
    /* cppcheck-suppress nullPointerRedundantCheck ; it does not know that CHECK ends the process */
    int64_t at_ms = self->row->state == DRAINING ? engine->now_ms + PEN_LIMIT_DRAIN_MS
                                                 : deadline_of(engine, self);
    if (at_ms == INT64_MAX)
        timer_disarm(engine, &self->timer);
    else
        timer_arm(engine, &self->timer, at_ms);
}

/* Whether the agent had the time to say what has become of it: it may be on its way back. */
static bool is_heard(const struct pen_engine *engine, const struct agent *agent)
{
    return agent->connected && !agent->suspect && engine->now_ms >= engine->unsure_until_ms &&
           engine->now_ms - agent->row->session_ms >= PEN_LIMIT_TIMEOUT_SLACK_MS;
}

/* Its commands have ended, and its outputs are being packed: that takes as long as it takes. */
static bool is_packing(const struct attempt *self)
{
    return self->phase == PEN__ATTEMPT_PHASE__PHASE_EXITED ||
           self->phase == PEN__ATTEMPT_PHASE__PHASE_UPLOADING ||
           self->phase == PEN__ATTEMPT_PHASE__PHASE_FINISHED;
}

static void call_overdue(struct pen_engine *engine, struct attempt *self)
{
    Pen__AttemptMoved *body = MAKE(Pen__AttemptMoved, pen__attempt_moved__init);
    SET(body, fence, self->row->fence);
    SET(body, state, CANCELING);
    SET(body, overdue, 1);
    body->reason = mem_text("It ran longer than its time-out");
    attempt_move_by(engine, self, body);
    agent_send_cancel(engine, self);
}

void attempt_timer(struct pen_engine *engine, struct attempt *self)
{
    if (self->row->state == DRAINING) {
        attempt_settle(engine, self, true);
        return;
    }
    if (self->row->state == CANCELING && self->action == NULL) {
        abandoned_changed(engine, self); /* it is not waited for any longer, or by other words */
        return;
    }
    if (!is_heard(engine, self->agent)) {
        timer_arm(engine, &self->timer, engine->now_ms + PEN_LIMIT_TIMEOUT_SLACK_MS);
        return;
    }
    if (self->row->state != CANCELING) {
        call_overdue(engine, self);
        return;
    }
    int64_t packed_ms = self->row->canceling_ms + PEN_LIMIT_DRAIN_MS;
    if (is_packing(self) && engine->now_ms < packed_ms) {
        timer_arm(engine, &self->timer, packed_ms);
        return;
    }
    char *text =
        mem_format("It ran longer than its time-out, and agent '%s' was told to end it and "
                   "has not said that it has ended: it may still run there",
                   self->agent->row->name);
    action_fail(engine, self->action, "JobFailed", text);
    free(text);
}

/* ---- request: a person decides what nobody can prove */

static int check_resolvable(const struct action *action, const Pen__ResolveAttempt *request,
                            struct pen_error *err)
{
    if (action == NULL)
        return pen_fail_api(err, PEN_ENOTFOUND, "ActionExecutionNotFoundException",
                            "no action execution '%s' is under way", request->action_execution_id);
    if (action->row->phase != PEN__ACTION_PHASE__ACTION_INDETERMINATE || action->attempt == NULL)
        return pen_fail_api(err, PEN_ECONFLICT, "ConflictException",
                            "action execution '%s' is not indeterminate: there is nothing to "
                            "decide",
                            request->action_execution_id);
    if (request->resolution == PEN__ATTEMPT_RESOLUTION__RESOLVE_SUCCEEDED &&
        action->declaration->n_output_artifacts > 0)
        return pen_fail_api(err, PEN_ECONFLICT, "ConflictException",
                            "action '%s' declares output artifacts, which nobody has: declare it "
                            "failed, or have it retried",
                            action->row->action);
    return 0;
}

int handle_resolve_attempt(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                           struct pen_error *err)
{
    const Pen__ResolveAttempt *request = input->resolve_attempt;
    struct action *action = find_action(engine, request->action_execution_id);
    int rc = check_resolvable(action, request, err);
    if (rc < 0)
        return rc;
    struct attempt *attempt = action->attempt;
    const char *why = pen_str_empty(request->reason) ? "A person decided" : request->reason;
    reply->id = mem_text(action->row->id);
    if (request->resolution == PEN__ATTEMPT_RESOLUTION__RESOLVE_RETRY) {
        attempt_move(engine, attempt, LOST, why);
        Pen__ActionRequeued *body = MAKE(Pen__ActionRequeued, pen__action_requeued__init);
        body->action_execution_id = mem_text(action->row->id);
        SET(body, phase, PEN__ACTION_PHASE__ACTION_QUEUED);
        body->reason = mem_text(why);
        emit_about(engine, action->run->execution, PEN__FACT__WHAT_ACTION_REQUEUED, body);
        return 0;
    }
    bool done = request->resolution == PEN__ATTEMPT_RESOLUTION__RESOLVE_SUCCEEDED;
    attempt_move(engine, attempt, done ? SUCCEEDED : FAILED, why);
    Pen__ActionEnded *body = action_ended(
        action, done ? PEN__ACTION_STATUS__ACTION_SUCCEEDED : PEN__ACTION_STATUS__ACTION_FAILED,
        why);
    body->updated_by = mem_text(input->principal);
    if (!done) {
        body->error_code = mem_text("JobFailed");
        body->error_message = mem_format("Declared failed by a person: %s", why);
    }
    action_end(engine, action, body);
    return 0;
}
