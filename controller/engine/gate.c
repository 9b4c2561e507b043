/* controller/engine/gate.c - into a stage: transition, lock, waiting */
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/explain.h"
#include "controller/engine/named.h"
#include "controller/engine/planted.h"

void stage_enter(struct pen_engine *engine, struct execution *execution, uint32_t stage_index)
{
    Pen__StageStarted *body = MAKE(Pen__StageStarted, pen__stage_started__init);
    body->stage = mem_text(execution->declaration->stages[stage_index]->name);
    SET(body, stage_index, stage_index);
    if (execution_rolls_back(execution))
        SET(body, rollback, 1);
    emit_about(engine, execution, PEN__FACT__WHAT_STAGE_STARTED, body);
}

static bool may_be_superseded(const struct execution *execution)
{
    return execution != NULL && pen_str_equal(execution->row->mode, "SUPERSEDED") &&
           execution->row->status == PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS &&
           !execution_rolls_back(execution) && !execution_outdated(execution);
}

/* In SUPERSEDED mode the newest that waits replaces the others. */
static void supersede(struct pen_engine *engine, struct stage_state *self)
{
    struct execution *newest = NULL;
    for (size_t i = 0; i < self->row->n_waiting; i++) {
        struct execution *waiting = find_execution(engine, self->row->waiting[i]);
        if (may_be_superseded(waiting) &&
            (newest == NULL || waiting->row->order > newest->row->order))
            newest = waiting;
    }
    if (PLANTED(SUPERSEDE_INSIDE) && newest != NULL && self->row->holder != NULL &&
        may_be_superseded(find_execution(engine, self->row->holder)))
        execution_end(engine, find_execution(engine, self->row->holder),
                      PEN__EXECUTION_STATUS__EXECUTION_SUPERSEDED, NULL, newest->row->id);
    for (size_t i = 0; newest != NULL && i < self->row->n_waiting;) {
        struct execution *waiting = find_execution(engine, self->row->waiting[i]);
        if (waiting == newest || !may_be_superseded(waiting)) {
            i++;
            continue;
        }
        char *summary = mem_format("The newer execution %s took its place in front of stage '%s'",
                                   newest->row->id, self->row->stage);
        execution_end(engine, waiting, PEN__EXECUTION_STATUS__EXECUTION_SUPERSEDED, summary,
                      newest->row->id);
        free(summary);
    }
}

void gate_advance(struct pen_engine *engine, struct stage_state *self)
{
    if (self->entity.dead)
        return;
    supersede(engine, self);
    struct execution *holder = find_execution(engine, self->row->holder);
    if (holder != NULL && self->row->n_waiting > 0)
        execution_work(engine, holder); /* an approval in it may give way */
    for (size_t i = 0; i < self->row->n_waiting;) {
        struct execution *waiting = find_execution(engine, self->row->waiting[i]);
        CHECK(waiting != NULL && waiting->row->waiting);
        if (waiting->row->status == PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS &&
            !execution_outdated(waiting) && gate_open(engine, waiting, self))
            stage_enter(engine, waiting, waiting->row->stage_index); /* leaves the queue */
        else
            i++;
    }
}

/* ---- request: open or close a transition */

static int find_transition(const struct pipeline *pipeline, const Pen__ChangeTransition *request,
                           const char **ret_stage, struct pen_error *err)
{
    const Pen__PipelineDeclaration *declaration = pipeline->current->row->declaration;
    for (size_t i = 0; i < declaration->n_stages; i++) {
        if (!pen_str_equal(declaration->stages[i]->name, request->stage))
            continue;
        if (request->outbound)
            i++; /* leaving a stage is entering the next */
        if (i == declaration->n_stages)
            return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                                "stage '%s' is the last of pipeline '%s': it has no outbound "
                                "transition",
                                request->stage, pipeline->row->name);
        *ret_stage = declaration->stages[i]->name;
        return 0;
    }
    /* A stage that was taken away keeps its gate while PARALLEL executions wait in front of it. */
    const struct stage_state *kept = find_stage(pipeline, request->stage);
    if (!request->disable && !request->outbound && kept != NULL && kept->row->n_waiting > 0) {
        *ret_stage = request->stage;
        return 0;
    }
    return fail_no_stage(pipeline, request->stage, err);
}

int handle_change_transition(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                             struct pen_error *err)
{
    (void)reply;
    const Pen__ChangeTransition *request = input->change_transition;
    struct pipeline *pipeline = NULL;
    int rc = named_pipeline(engine, request->pipeline, &pipeline, err);
    if (rc < 0)
        return rc;
    const char *name = NULL;
    rc = find_transition(pipeline, request, &name, err);
    if (rc < 0)
        return rc;
    const struct stage_state *stage = find_stage(pipeline, name);
    CHECK(stage != NULL);
    bool same = stage->row->disabled == request->disable &&
                (!request->disable || pen_str_equal(stage->row->disabled_reason, request->reason));
    if (same)
        return 0; /* as it was: who closed it first stays on record */
    Pen__TransitionChanged *body = MAKE(Pen__TransitionChanged, pen__transition_changed__init);
    body->stage = mem_text(name);
    SET(body, disabled, request->disable);
    body->reason = mem_text(request->reason);
    emit(engine, pipeline->row->name, NULL, PEN__FACT__WHAT_TRANSITION_CHANGED, body);
    return 0;
}
