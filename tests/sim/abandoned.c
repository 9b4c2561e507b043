/* tests/sim/abandoned.c - people look after what was given up and may still run */
#include "common/base/str.h"
#include "tests/sim/sim.h"

struct left {
    char *pipeline, *execution_id; /* of the one that was picked; NULL: none */
    bool unknown_only;
    uint64_t seen;
};

static void pick_left(struct sim *sim, void *message, void *context)
{
    const Pen__AttemptRow *row = message;
    struct left *left = context;
    bool unknown = row->state == PEN__ATTEMPT_STATE__ATTEMPT_INDETERMINATE;
    if (!unknown && (left->unknown_only || row->state != PEN__ATTEMPT_STATE__ATTEMPT_RUNNING))
        return;
    Pen__ActionExecutionRow *action =
        core_row(sim, PEN__ROW_KIND__ROW_ACTION_EXECUTION, row->action_execution_id,
                 &pen__action_execution_row__descriptor);
    bool given_up = action != NULL && action->phase == PEN__ACTION_PHASE__ACTION_ENDED;
    mem_free_message(action);
    if (!given_up || sim_below(sim, ++left->seen) != 0)
        return;
    mem_set_text(&left->pipeline, row->pipeline);
    mem_set_text(&left->execution_id, row->execution_id);
}

void abandoned_kill_some(struct sim *sim, bool unknown_only)
{
    struct left left = {.unknown_only = unknown_only};
    core_each(sim, PEN__ROW_KIND__ROW_ATTEMPT, &pen__attempt_row__descriptor, pick_left, &left);
    if (left.execution_id == NULL)
        return;
    int pipeline = 0;
    while (pipeline + 1 < sim->pipelines_count &&
           !pen_str_equal(sim->pipelines[pipeline].name, left.pipeline))
        pipeline++;
    Pen__StopExecution *request = MAKE(Pen__StopExecution, pen__stop_execution__init);
    request->pipeline = left.pipeline;
    request->execution_id = left.execution_id;
    SET(request, kill, 1);
    people_ask(sim, PEN__INPUT__WHAT_STOP_EXECUTION, request, pipeline, 0);
}
