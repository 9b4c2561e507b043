/* tests/sim/auditor_abandoned.c - work that outlives its action
 *
 * BESIDE: a once action begins beside no work of the same action that may live, of its own
 * execution or of an earlier one, unless a person has said so: by the facts, and by what truly
 * runs. Executions of PARALLEL mode mind no others, and no others mind them: one that was started
 * before the mode was changed goes on beside those that came later.
 */
#include <inttypes.h>

#include "common/base/str.h"
#include "tests/sim/auditor.h"

/* Whether the one has to wait for the other: both of class once. */
static bool is_same_work(struct sim *sim, const struct seen_action *one,
                         const struct seen_action *other)
{
    const struct seen_execution *execution = auditor_execution(sim, one->execution_id);
    const struct seen_execution *former = auditor_execution(sim, other->execution_id);
    if (!pen_str_equal(one->stage, other->stage) || !pen_str_equal(one->name, other->name) ||
        !pen_str_equal(execution->pipeline, former->pipeline))
        return false;
    return execution == former || (!pen_str_equal(execution->mode, "PARALLEL") &&
                                   !pen_str_equal(former->mode, "PARALLEL"));
}

void auditor_check_beside(struct sim *sim, const struct seen_action *action, uint64_t fence)
{
    for (struct pen_map_node *node = pen_map_first(&sim->auditor->attempts); node != NULL;
         node = pen_map_next(node)) {
        const struct seen_attempt *other = pen_map_value(node);
        if (!other->once || other->beside || auditor_terminal(other->state) ||
            other->state == PEN__ATTEMPT_STATE__ATTEMPT_DRAINING)
            continue;
        const struct seen_action *former = auditor_action(sim, other->action_id);
        if (former != action && is_same_work(sim, action, former))
            sim_fail(sim,
                     "BESIDE: fence %" PRIu64 " of %s is granted, while fence %" PRIu64
                     " of the same action is %s",
                     fence, action->name, other->fence, WORD(attempt_state, other->state));
    }
}

void auditor_check_alone(struct sim *sim, const struct run *run, const struct seen_action *action)
{
    for (struct pen_map_node *node = pen_map_first(&sim->runs); node != NULL;
         node = pen_map_next(node)) {
        const struct run *other = pen_map_value(node);
        if (other->state != RUN_BEGAN || !other->once || other->fence == run->fence ||
            sim->hosts[other->host].rival)
            continue;
        const struct seen_attempt *attempt =
            pen_map_get(&sim->auditor->attempts, pen_key_number(other->fence));
        if (attempt == NULL || attempt->beside || attempt->by_person)
            continue;
        if (is_same_work(sim, action, auditor_action(sim, attempt->action_id)))
            sim_fail(sim,
                     "BESIDE: fence %" PRIu64 " of %s begins while fence %" PRIu64
                     " of the same action runs on %s, and no person has said that it may",
                     run->fence, action->name, other->fence, sim->hosts[other->host].name);
    }
}

/* A person lets the stage run beside what lives there. */
void auditor_let_beside(struct sim *sim, const struct seen_execution *execution, const char *stage)
{
    for (struct pen_map_node *node = pen_map_first(&sim->auditor->attempts); node != NULL;
         node = pen_map_next(node)) {
        struct seen_attempt *attempt = pen_map_value(node);
        if (auditor_terminal(attempt->state))
            continue;
        const struct seen_action *action = auditor_action(sim, attempt->action_id);
        const struct seen_execution *former = auditor_execution(sim, action->execution_id);
        if (action->ended && pen_str_equal(action->stage, stage) &&
            pen_str_equal(former->pipeline, execution->pipeline))
            attempt->beside = true;
    }
}
