/* tests/sim/auditor_attempt.c - attempts, and what truly ran on the hosts
 *
 * ONCE (1), TRUTH (4), FENCE (5), ONE OUTCOME (6) and LEGAL PATH (7) of attempts, LOG PREFIX (9),
 * BLOB (10). Ground truth are the runs of shim.c.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "tests/sim/auditor.h"

struct seen_attempt *auditor_attempt(struct sim *sim, uint64_t fence)
{
    struct seen_attempt *attempt = pen_map_get(&sim->auditor->attempts, pen_key_number(fence));
    if (attempt == NULL)
        sim_fail(sim, "FENCE: a fact about fence %" PRIu64 ", which was never granted", fence);
    return attempt;
}

bool auditor_terminal(Pen__AttemptState state)
{
    return state == PEN__ATTEMPT_STATE__ATTEMPT_SUCCEEDED ||
           state == PEN__ATTEMPT_STATE__ATTEMPT_FAILED ||
           state == PEN__ATTEMPT_STATE__ATTEMPT_CANCELED ||
           state == PEN__ATTEMPT_STATE__ATTEMPT_LOST;
}

/* Every artifact that the action declares is stored, with what was made for it. */
static void check_outputs(struct sim *sim, const struct seen_action *action,
                          const Pen__ActionEnded *body)
{
    const struct seen_attempt *attempt = auditor_attempt(sim, action->fence);
    for (size_t i = 0; i < body->n_outputs; i++) {
        const Pen__ArtifactRef *output = body->outputs[i]->artifact;
        const Pen__ArtifactRef *stored = attempt->stored;
        if (stored == NULL || !pen_str_equal(stored->name, output->name) ||
            !mem_bytes_equal(stored->manifest_sha256, output->manifest_sha256))
            sim_fail(sim, "BLOB: artifact %s of fence %" PRIu64 " is not what was stored",
                     output->name, action->fence);
    }
    size_t declared = strcmp(action->name, "A") == 0 && attempt->stored == NULL ? 1 : 0;
    const struct seen_execution *execution = auditor_execution(sim, action->execution_id);
    for (size_t s = 0; declared > 0 && s < execution->declaration->n_stages; s++)
        for (size_t i = 0; i < execution->declaration->stages[s]->n_actions; i++)
            if (execution->stages[s].actions[i] == action &&
                execution->declaration->stages[s]->actions[i]->n_output_artifacts > 0)
                sim_fail(sim, "TRUTH: fence %" PRIu64 " succeeds without its artifact",
                         action->fence);
}

void auditor_check_truth(struct sim *sim, const struct seen_action *action,
                         const Pen__ActionEnded *body)
{
    const char *summary = body->summary;
    check_outputs(sim, action, body);
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

void on_granted(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__AttemptGranted *body = fact->attempt_granted;
    struct auditor *self = sim->auditor;
    sim->counts[COUNT_GRANTS]++;
    sim_trace(sim, "fence %" PRIu64 " is granted to %s", body->fence, body->agent_id);
    if (body->fence <= self->last_fence)
        sim_fail(sim, "FENCE: %" PRIu64 " is granted after %" PRIu64, body->fence,
                 self->last_fence);
    self->last_fence = body->fence;
    auditor_check_grant(sim, body);
    struct seen_action *action = auditor_action(sim, body->action_execution_id);
    const struct seen_attempt *former =
        action->fence == 0 ? NULL : auditor_attempt(sim, action->fence);
    if (action->ended || (former != NULL && !auditor_terminal(former->state)))
        sim_fail(sim, "ONCE: action %s is granted fence %" PRIu64 " while %s", action->id,
                 body->fence, action->ended ? "it has ended" : "another attempt is current");
    if (auditor_execution(sim, action->execution_id)->stopping)
        sim_fail(sim, "LEGAL PATH: fence %" PRIu64 " is granted to execution %s, which is to stop",
                 body->fence, action->execution_id);
    struct seen_attempt *attempt = mem_zero(sizeof *attempt);
    attempt->fence = body->fence;
    attempt->state = PEN__ATTEMPT_STATE__ATTEMPT_GRANTED;
    attempt->once = body->action_class == PEN__ACTION_CLASS__ONCE;
    attempt->agent_id = mem_text(body->agent_id);
    attempt->action_id = mem_text(body->action_execution_id);
    if (attempt->once)
        auditor_check_beside(sim, action, body->fence);
    action->fence = body->fence;
    mem_put(&self->attempts, pen_key_number(attempt->fence), attempt);
    auditor_bound_attempts(sim, attempt);
}

static struct seen_attempt *next_event(struct sim *sim, uint64_t fence, uint64_t seq)
{
    struct seen_attempt *attempt = auditor_attempt(sim, fence);
    if (auditor_terminal(attempt->state))
        sim_fail(sim, "FENCE: an event of fence %" PRIu64 " is accepted after its end", fence);
    if (seq != attempt->last_seq + 1)
        sim_fail(sim, "FENCE: event %" PRIu64 " of fence %" PRIu64 " is accepted after %" PRIu64,
                 seq, fence, attempt->last_seq);
    attempt->last_seq = seq;
    return attempt;
}

void on_attempt_started(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__AttemptStarted *body = fact->attempt_started;
    struct seen_attempt *attempt = next_event(sim, body->fence, body->seq);
    if (attempt->finished)
        sim_fail(sim, "LEGAL PATH: fence %" PRIu64 " starts after it has finished", body->fence);
    if (attempt->state != PEN__ATTEMPT_STATE__ATTEMPT_CANCELING)
        attempt->state = PEN__ATTEMPT_STATE__ATTEMPT_RUNNING;
}

void on_attempt_finished(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__AttemptFinished *body = fact->attempt_finished;
    struct seen_attempt *attempt = next_event(sim, body->fence, body->seq);
    if (attempt->finished)
        sim_fail(sim, "ONE OUTCOME: fence %" PRIu64 " finishes twice", body->fence);
    attempt->finished = true;
    attempt->good =
        body->finished->kind == PEN__FINISH_KIND__EXITED && body->finished->exit_code == 0;
    attempt->state = PEN__ATTEMPT_STATE__ATTEMPT_DRAINING;
    sim_trace(sim, "fence %" PRIu64 " finished, %s, status %d", body->fence,
              WORD(finish_kind, body->finished->kind), (int)body->finished->exit_code);
    bool proof = body->finished->kind == PEN__FINISH_KIND__NEVER_BEGAN ||
                 body->finished->kind == PEN__FINISH_KIND__REFUSED_START;
    for (int i = 0; proof && i < SIM_HOSTS_MAX; i++) {
        const struct run *run = shim_run(sim, &sim->hosts[i], body->fence);
        if (run != NULL && run->began && !sim->hosts[i].rival)
            sim_fail(sim, "TRUTH: fence %" PRIu64 " is said never to have begun, but it has",
                     body->fence);
    }
}

void on_attempt_step(struct sim *sim, const Pen__Fact *fact)
{
    (void)next_event(sim, fact->attempt_step->fence, fact->attempt_step->seq);
}

/* What is said to be stored was made, and stays. */
void on_attempt_stored(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__AttemptStored *body = fact->attempt_stored;
    struct seen_attempt *attempt = auditor_attempt(sim, body->fence);
    if (body->reference != NULL) {
        uint64_t made = 0;
        if (body->reference->manifest_sha256.len == 32)
            memcpy(&made, body->reference->manifest_sha256.data, sizeof made);
        if (made != body->fence)
            sim_fail(sim, "BLOB: what is stored for fence %" PRIu64 " was made by fence %" PRIu64,
                     body->fence, made);
        if (attempt->stored != NULL &&
            (!pen_str_equal(attempt->stored->name, body->artifact) ||
             !mem_bytes_equal(attempt->stored->manifest_sha256, body->reference->manifest_sha256)))
            sim_fail(sim, "BLOB: artifact %s of fence %" PRIu64 " changes", body->artifact,
                     body->fence);
        mem_free_message(attempt->stored);
        attempt->stored = mem_copy(body->reference);
        return;
    }
    uint64_t produced = 0;
    for (int i = 0; i < SIM_HOSTS_MAX; i++) {
        const struct run *run = shim_run(sim, &sim->hosts[i], body->fence);
        produced = run != NULL && run->log_size > produced ? run->log_size : produced;
    }
    if (body->log_size < attempt->log_stored || body->log_size > produced)
        sim_fail(sim,
                 "LOG PREFIX: %" PRIu64 " bytes are stored of fence %" PRIu64 " after %" PRIu64
                 ", of %" PRIu64 " that were written",
                 body->log_size, body->fence, attempt->log_stored, produced);
    attempt->log_stored = body->log_size;
}

#define STATE(name) (1u << PEN__ATTEMPT_STATE__ATTEMPT_##name)

void on_attempt_moved(struct sim *sim, const Pen__Fact *fact)
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
    struct seen_attempt *attempt = auditor_attempt(sim, body->fence);
    sim_trace(sim, "fence %" PRIu64 " moves from %s to %s: %s", body->fence,
              WORD(attempt_state, attempt->state), WORD(attempt_state, body->state),
              body->reason != NULL ? body->reason : "");
    if ((legal[attempt->state] & (1u << body->state)) == 0)
        sim_fail(sim, "LEGAL PATH: fence %" PRIu64 " moves from %s to %s", body->fence,
                 WORD(attempt_state, attempt->state), WORD(attempt_state, body->state));
    if (body->state == PEN__ATTEMPT_STATE__ATTEMPT_SUCCEEDED && !auditor_by_person(fact) &&
        !attempt->good)
        sim_fail(sim, "TRUTH: fence %" PRIu64 " succeeds without a good exit", body->fence);
    if (body->state == PEN__ATTEMPT_STATE__ATTEMPT_INDETERMINATE && !attempt->once)
        sim_fail(sim, "LEGAL PATH: repeatable fence %" PRIu64 " is unproven", body->fence);
    if (body->reason != NULL && strstr(body->reason, "was not heard") != NULL)
        auditor_check_silence(sim, attempt->agent_id);
    attempt->state = body->state;
    if (auditor_terminal(body->state) && auditor_by_person(fact))
        attempt->by_person = true;
}

/* ---- what truly ran */

void auditor_start(struct sim *sim, struct host *host, const Pen__Capsule *capsule)
{
    const struct seen_attempt *attempt =
        pen_map_get(&sim->auditor->attempts, pen_key_number(capsule->fence));
    if (attempt == NULL || !pen_str_equal(attempt->agent_id, host->agent_id))
        sim_fail(sim, "FENCE: %s starts fence %" PRIu64 ", which was %s", host->name,
                 capsule->fence, attempt == NULL ? "never granted" : "granted to another agent");
    /* Within one process starts may overtake each other: their offers were accepted. */
    if (capsule->fence <= host->max_before)
        sim_fail(sim, "FENCE: %s starts fence %" PRIu64 ", a former process has started %" PRIu64,
                 host->name, capsule->fence, host->max_before);
    if (capsule->fence > host->max_started)
        host->max_started = capsule->fence;
}

void auditor_began(struct sim *sim, const struct run *run)
{
    struct auditor *self = sim->auditor;
    const struct seen_attempt *attempt = pen_map_get(&self->attempts, pen_key_number(run->fence));
    if (attempt == NULL)
        sim_fail(sim, "ACK => DURABLE: fence %" PRIu64 " begins, but its grant is not committed",
                 run->fence);
    /* A live copy of a host with the same identity looks like the host itself until it has said
     * something that the host could not have said: what may be repeated may run on both. */
    if (sim->hosts[run->host].rival && !run->once)
        return;
    for (int i = 0; i < SIM_HOSTS_MAX; i++) {
        const struct run *other = shim_run(sim, &sim->hosts[i], run->fence);
        if (other != NULL && other != run && other->began)
            sim_fail(sim, "ONCE: fence %" PRIu64 " begins on two hosts", run->fence);
    }
    const struct seen_action *action = auditor_action(sim, attempt->action_id);
    if (!pen_str_equal(action->id, run->action_execution_id))
        sim_fail(sim, "FENCE: fence %" PRIu64 " begins for another action than it was granted for",
                 run->fence);
    if (!run->once)
        return;
    auditor_check_alone(sim, run, action);
    struct seen_once *once = auditor_once(self, action);
    if (++once->begun > once->granted)
        sim_fail(sim, "ONCE: %s begins for the %" PRIu64 ". time, people have granted %" PRIu64,
                 once->key, once->begun, once->granted);
}
