/* tests/sim/auditor_bound.c - BOUNDED (12): what is kept does not grow with outages, nor stay
 * behind
 *
 * While it goes on: executions of a pipeline, attempts of an agent, sizes of rows. At the end of
 * the quiet phase: nothing is left of the work in the controller, its data plane and the agents but
 * what people may still retry or roll back to.
 */
#include <inttypes.h>
#include <string.h>

#include "common/base/str.h"
#include "tests/sim/auditor.h"

enum {
    SEEN_PARTS = 64,    /* PEN_LIMIT_SEEN_PARTS */
    KINDS = 64,         /* more than there are kinds of rows */
    PARALLEL_KEPT = 20, /* PEN_LIMIT_PARALLEL_RETRYABLE */
};

/* ---- while it goes on */

/* Outside SUPERSEDED mode, only so many executions of a pipeline are there at a time. */
void auditor_bound_executions(struct sim *sim, const struct seen_execution *execution)
{
    size_t running = 0;
    if (pen_str_equal(execution->mode, "SUPERSEDED") || execution->rollback)
        return;
    for (struct pen_map_node *node = pen_map_first(&sim->auditor->executions); node != NULL;
         node = pen_map_next(node)) {
        const struct seen_execution *other = pen_map_value(node);
        running += !other->ended && pen_str_equal(other->pipeline, execution->pipeline) ? 1 : 0;
    }
    if (running > sim->core.options.executions_max)
        sim_fail(sim, "BOUNDED: execution %s is the %zu. of %s at a time", execution->id, running,
                 execution->pipeline);
}

/* An agent is given no more than it has slots for. */
void auditor_bound_attempts(struct sim *sim, const struct seen_attempt *attempt)
{
    size_t busy = 0;
    for (struct pen_map_node *node = pen_map_first(&sim->auditor->attempts); node != NULL;
         node = pen_map_next(node)) {
        const struct seen_attempt *other = pen_map_value(node);
        bool runs = other->state == PEN__ATTEMPT_STATE__ATTEMPT_GRANTED ||
                    other->state == PEN__ATTEMPT_STATE__ATTEMPT_RUNNING ||
                    other->state == PEN__ATTEMPT_STATE__ATTEMPT_CANCELING ||
                    other->state == PEN__ATTEMPT_STATE__ATTEMPT_REVOKING;
        busy += runs && pen_str_equal(other->agent_id, attempt->agent_id) ? 1 : 0;
    }
    if (busy > SIM_SLOTS)
        sim_fail(sim, "BOUNDED: fence %" PRIu64 " is the %zu. of agent %s at a time",
                 attempt->fence, busy, attempt->agent_id);
}

/* ---- at the end */

/* Attempts of abandoned actions may be unproven for ever: their hosts are gone. */
static size_t unproven(const struct auditor *self, const char *agent_id)
{
    size_t count = 0;
    for (struct pen_map_node *node = pen_map_first(&self->attempts); node != NULL;
         node = pen_map_next(node)) {
        const struct seen_attempt *attempt = pen_map_value(node);
        if (!auditor_terminal(attempt->state) &&
            (agent_id == NULL || pen_str_equal(agent_id, attempt->agent_id)))
            count++;
    }
    return count;
}

static void count_live(const struct sim *sim, size_t live[KINDS])
{
    for (struct pen_map_node *node = pen_map_first(&sim->core.store); node != NULL;
         node = pen_map_next(node)) {
        const struct stored *stored = pen_map_value(node);
        if ((size_t)stored->row.kind < KINDS && stored->row.live && !stored->row.deleted)
            live[stored->row.kind]++;
    }
}

static void at_most(struct sim *sim, const size_t live[KINDS], Pen__RowKind kind, size_t most)
{
    if (live[kind] > most)
        sim_fail(sim, "BOUNDED: at the end %zu live rows are %s, and %zu are accounted for",
                 live[kind], WORD(row_kind, kind), most);
}

/* Of each stage its latest execution may be retried there, with all that it has; in PARALLEL mode
 * the newest that have failed. */
static void check_controller(struct sim *sim)
{
    size_t live[KINDS] = {0};
    size_t left = unproven(sim->auditor, NULL);
    count_live(sim, live);
    size_t stages = live[PEN__ROW_KIND__ROW_STAGE_STATE];
    size_t executions = stages + left + (size_t)sim->pipelines_count * PARALLEL_KEPT;
    at_most(sim, live, PEN__ROW_KIND__ROW_PIPELINE, (size_t)sim->pipelines_count);
    at_most(sim, live, PEN__ROW_KIND__ROW_STAGE_STATE, (size_t)sim->pipelines_count * SIM_STAGES);
    at_most(sim, live, PEN__ROW_KIND__ROW_EXECUTION, executions);
    at_most(sim, live, PEN__ROW_KIND__ROW_STAGE_EXECUTION, executions * SIM_STAGES);
    at_most(sim, live, PEN__ROW_KIND__ROW_ACTION_EXECUTION, 2 * executions * SIM_STAGES);
    at_most(sim, live, PEN__ROW_KIND__ROW_PIPELINE_VERSION,
            live[PEN__ROW_KIND__ROW_PIPELINE] + live[PEN__ROW_KIND__ROW_EXECUTION]);
    at_most(sim, live, PEN__ROW_KIND__ROW_ATTEMPT, left);
    at_most(sim, live, PEN__ROW_KIND__ROW_JOB, 0);
    at_most(sim, live, PEN__ROW_KIND__ROW_SEEN_REFS, SEEN_PARTS);
    refs_check(sim);
    at_most(sim, live, PEN__ROW_KIND__ROW_RULE_EXECUTION, 0);
    at_most(sim, live, PEN__ROW_KIND__ROW_RULE_WORK, 0);
    if (sim->auditor->unjudged > 0)
        sim_fail(sim, "BOUNDED: at the end %" PRIu64 " pull requests are noticed and not judged",
                 sim->auditor->unjudged);
    if (sim->core.opened.count > left)
        sim_fail(sim, "BOUNDED: at the end %zu attempts are open for data, and %zu are left",
                 (size_t)sim->core.opened.count, left);
}

static void check_agent(struct sim *sim, const struct host *host)
{
    if (!host_serves(host) || host->rival || unproven(sim->auditor, host->agent_id) > 0)
        return;
    unsigned slots = (unsigned)pen_session_free_slots(host->session);
    bool drained = slots == 0; /* by a late copy of that word: the next offer tells it better */
    if ((slots != SIM_SLOTS && !drained) || host->uploads_count > 0)
        sim_fail(sim, "BOUNDED: at the end %s has %u free slots of %d, and %zu uploads", host->name,
                 slots, (int)SIM_SLOTS, host->uploads_count);
}

void auditor_check_bounds(struct sim *sim)
{
    check_controller(sim);
    for (int i = 0; i < SIM_HOSTS && sim->story == NULL;
         i++) /* stories end before agents are back */
        check_agent(sim, &sim->hosts[i]);
}
