/* tests/sim/auditor_job.c - jobs: one worker owns each, and its word is what counts
 *
 * JOB: an action has at most one job that has not ended; of all workers that were given a job, one
 * acknowledgement is answered well. TRUTH: what a job ends with is what a worker has said.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "tests/sim/auditor.h"

static struct seen_job *job_of(struct sim *sim, const char *id)
{
    struct seen_job *job = id == NULL ? NULL : pen_map_get(&sim->auditor->jobs, pen_key_text(id));
    if (job == NULL)
        sim_fail(sim, "ACK => DURABLE: job %s is known outside, and was never committed",
                 id != NULL ? id : "(none)");
    return job;
}

static bool ended(Pen__JobState state)
{
    return state == PEN__JOB_STATE__JOB_SUCCEEDED || state == PEN__JOB_STATE__JOB_FAILED ||
           state == PEN__JOB_STATE__JOB_TIMED_OUT || state == PEN__JOB_STATE__JOB_ABANDONED;
}

void on_job_queued(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__JobRow *row = fact->job_queued->job;
    struct seen_action *action = auditor_action(sim, row->action_execution_id);
    sim->counts[COUNT_JOBS]++;
    if (action->ended || (action->job != NULL && !ended(action->job->state)))
        sim_fail(sim, "JOB: action %s gets job %s while it %s", action->id, row->id,
                 action->ended ? "has ended" : "has another one");
    struct seen_job *job = mem_zero(sizeof *job);
    job->id = mem_text(row->id);
    job->state = row->state;
    mem_put(&sim->auditor->jobs, pen_key_text(job->id), job);
    action->job = job;
    sim_trace(sim, "action %s of %s gets job %s", action->name, action->execution_id, job->id);
}

#define STATE(name) (1u << PEN__JOB_STATE__JOB_##name)

void on_job_moved(struct sim *sim, const Pen__Fact *fact)
{
    static const unsigned legal[PEN__JOB_STATE__JOB_ABANDONED + 1] = {
        [PEN__JOB_STATE__JOB_CREATED] = STATE(QUEUED) | STATE(TIMED_OUT) | STATE(ABANDONED),
        [PEN__JOB_STATE__JOB_QUEUED] = STATE(DISPATCHED) | STATE(TIMED_OUT) | STATE(ABANDONED),
        [PEN__JOB_STATE__JOB_DISPATCHED] =
            STATE(QUEUED) | STATE(IN_PROGRESS) | STATE(TIMED_OUT) | STATE(ABANDONED),
        [PEN__JOB_STATE__JOB_IN_PROGRESS] =
            STATE(SUCCEEDED) | STATE(FAILED) | STATE(TIMED_OUT) | STATE(ABANDONED),
    };
    const Pen__JobMoved *body = fact->job_moved;
    struct seen_job *job = job_of(sim, body->job_id);
    sim_trace(sim, "job %s moves from %s to %s", job->id, WORD(job_state, job->state),
              WORD(job_state, body->state));
    if ((legal[job->state] & (1u << body->state)) == 0)
        sim_fail(sim, "LEGAL PATH: job %s moves from %s to %s", job->id,
                 WORD(job_state, job->state), WORD(job_state, body->state));
    if ((body->state == PEN__JOB_STATE__JOB_SUCCEEDED && !job->said_good) ||
        (body->state == PEN__JOB_STATE__JOB_FAILED && !job->said_bad))
        sim_fail(sim, "TRUTH: job %s ends, %s, and no worker has said so", job->id,
                 WORD(job_state, body->state));
    job->state = body->state;
}

void auditor_polled(struct sim *sim, const Pen__JobRow *row)
{
    (void)job_of(sim, row->id);
}

void auditor_acknowledged(struct sim *sim, const char *id)
{
    struct seen_job *job = job_of(sim, id);
    if (job->state != PEN__JOB_STATE__JOB_IN_PROGRESS && !ended(job->state))
        sim_fail(sim, "ACK => DURABLE: the acknowledgement of job %s is answered, not committed",
                 id);
    if (job->owned)
        sim_fail(sim, "JOB: two acknowledgements of job %s are answered well", id);
    job->owned = true;
}

void auditor_result(struct sim *sim, const char *id, bool good, bool more)
{
    struct seen_job *job = job_of(sim, id);
    job->said_good = job->said_good || good;
    job->said_done = job->said_done || (good && !more);
    job->said_bad = job->said_bad || !good;
}

void auditor_check_job(struct sim *sim, const struct seen_action *action)
{
    if (!ended(action->job->state))
        sim_fail(sim, "JOB: action %s ends before its job %s", action->id, action->job->id);
    if (action->status == PEN__ACTION_STATUS__ACTION_SUCCEEDED && !action->job->said_done)
        sim_fail(sim, "TRUTH: action %s succeeds, and no worker has said so of job %s", action->id,
                 action->job->id);
}
