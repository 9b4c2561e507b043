/* controller/engine/approval.c - a person's yes or no */
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/named.h"
#include "controller/engine/planted.h"

static int find_names(const struct pen_engine *engine, const Pen__PutApproval *request,
                      struct pipeline **ret_pipeline, struct pen_error *err)
{
    struct pipeline *pipeline = NULL;
    int rc = named_pipeline(engine, request->pipeline, &pipeline, err);
    if (rc < 0)
        return rc;
    uint32_t place = 0;
    if ((rc = named_stage(pipeline, request->stage, &place, err)) < 0)
        return rc;
    const Pen__StageDeclaration *stage = pipeline->current->row->declaration->stages[place];
    int index = action_index(stage, request->action);
    if (index < 0 || !pen_str_equal(stage->actions[index]->action_type_id->category, "Approval"))
        return pen_fail_api(err, PEN_ENOTFOUND, "ActionNotFoundException",
                            "stage '%s' of pipeline '%s' has no approval action '%s'",
                            request->stage, request->pipeline, request->action);
    *ret_pipeline = pipeline;
    return 0;
}

/* The stage's latest execution of this action. ret_action: NULL when it is forgotten, or when there
 * was none. */
static bool find_latest(const struct pen_engine *engine, const struct pipeline *pipeline,
                        const Pen__PutApproval *request, const struct action **ret_action)
{
    const struct stage_state *stage = find_stage(pipeline, request->stage);
    for (size_t i = 0; stage != NULL && i < stage->row->n_latest_actions; i++) {
        const Pen__LatestAction *latest = stage->row->latest_actions[i];
        if (!pen_str_equal(latest->action, request->action))
            continue;
        *ret_action = find_action(engine, latest->action_execution_id);
        return true;
    }
    return false;
}

/* The action that had the token, in an execution that is still under way. In PARALLEL mode a stage
 * has no latest one. */
static const struct action *find_by_token(const struct pipeline *pipeline,
                                          const Pen__PutApproval *request)
{
    for (const struct pen_map_node *node = pen_map_first(&pipeline->executions); node != NULL;
         node = pen_map_next(node)) {
        const struct stage_run *run = find_run(pen_map_value(node), request->stage);
        int index = run == NULL ? -1 : action_index(run->declaration, request->action);
        const struct action *action = index < 0 ? NULL : run->current[index];
        if (action != NULL && request->token != NULL &&
            pen_str_equal(action->row->approval_token, request->token))
            return action;
    }
    return NULL;
}

/* No approval waits under this token: say which mistake that is. */
static int refuse(const struct pen_engine *engine, const struct pipeline *pipeline,
                  const Pen__PutApproval *request, struct pen_error *err)
{
    const struct action *latest = NULL;
    bool forgotten = find_latest(engine, pipeline, request, &latest) && latest == NULL;
    const struct action *action = find_by_token(pipeline, request);
    if (action != NULL && action->row->status == PEN__ACTION_STATUS__ACTION_ABANDONED)
        return pen_fail_api(err, PEN_EINVAL, "InvalidApprovalTokenException",
                            "approval '%s' of stage '%s' is not wanted any more: %s",
                            request->action, request->stage,
                            action->row->summary != NULL ? action->row->summary
                                                         : "it was given up");
    if (action != NULL && action->row->updated_by == NULL &&
        action->row->status == PEN__ACTION_STATUS__ACTION_FAILED)
        return pen_fail_api(err, PEN_EINVAL, "InvalidApprovalTokenException",
                            "the time to approve '%s' of stage '%s' is over", request->action,
                            request->stage);
    if (action != NULL || forgotten)
        return pen_fail_api(err, PEN_ECONFLICT, "ApprovalAlreadyCompletedException",
                            "approval '%s' of stage '%s' has already been decided", request->action,
                            request->stage);
    return pen_fail_api(err, PEN_EINVAL, "InvalidApprovalTokenException",
                        "the token is not that of the approval that waits at '%s' of stage '%s'",
                        request->action, request->stage);
}

/* Whether the execution still has exactly the artifacts that the approval was asked for: nothing
 * that the engine does changes them, somebody with the database could. One that came since, from
 * beside the approval, is none of them. */
bool approval_stands(const struct action *action)
{
    const Pen__ExecutionRow *now = action->run->execution->row;
    for (size_t i = 0; i < action->row->n_approves; i++) {
        const Pen__ArtifactRef *asked = action->row->approves[i]->artifact;
        bool found = false;
        for (size_t j = 0; j < now->n_artifacts && !found; j++)
            found = pen_str_equal(now->artifacts[j]->artifact->name, asked->name) &&
                    mem_bytes_equal(now->artifacts[j]->artifact->manifest_sha256,
                                    asked->manifest_sha256);
        if (!found)
            return false;
    }
    return true;
}

int handle_put_approval(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                        struct pen_error *err)
{
    const Pen__PutApproval *request = input->put_approval;
    struct action *action = request->token == NULL
                                ? NULL
                                : pen_map_get(&engine->approvals, pen_key_text(request->token));
    if (PLANTED(APPROVAL_TOKEN) && action == NULL)
        action = pen_map_first_value(&engine->approvals);
    /* By the token first: a PARALLEL execution may wait in a stage that the pipeline has lost
     * since. */
    if (action == NULL || !pen_str_equal(action->row->pipeline, request->pipeline) ||
        !pen_str_equal(action->row->stage, request->stage) ||
        !pen_str_equal(action->row->action, request->action)) {
        struct pipeline *pipeline;
        int rc = find_names(engine, request, &pipeline, err);
        return rc < 0 ? rc : refuse(engine, pipeline, request, err);
    }
    if (action->row->deadline_ms <= engine->now_ms)
        return pen_fail_api(err, PEN_EINVAL, "InvalidApprovalTokenException",
                            "the time to approve '%s' of stage '%s' is over", request->action,
                            request->stage);
    if (request->approved && !approval_stands(action))
        return pen_fail_api(err, PEN_EINVAL, "InvalidApprovalTokenException",
                            "what '%s' of stage '%s' was asked for has changed since",
                            request->action, request->stage);
    Pen__ActionEnded *body = action_ended(action,
                                          request->approved ? PEN__ACTION_STATUS__ACTION_SUCCEEDED
                                                            : PEN__ACTION_STATUS__ACTION_FAILED,
                                          request->summary);
    body->updated_by = mem_text(input->principal);
    if (!request->approved) {
        body->error_code = mem_text("JobFailed");
        body->error_message = pen_str_empty(request->summary)
                                  ? mem_text("The approval was rejected")
                                  : mem_format("The approval was rejected: %s", request->summary);
    }
    reply->id = mem_text(action->row->id);
    SET(reply, at_ms, engine->now_ms);
    action_end(engine, action, body);
    return 0;
}

void approval_expire(struct pen_engine *engine, struct action *self)
{
    CHECK(self->row->phase == PEN__ACTION_PHASE__ACTION_APPROVAL);
    action_fail(engine, self, "JobFailed", "Nobody approved or rejected it in time");
}

/* ---- giving way */

/* Whether it is an approval that gives way to a newer execution. */
static bool gives_way(const struct action *action)
{
    if (action->row->phase != PEN__ACTION_PHASE__ACTION_APPROVAL)
        return false;
    for (size_t i = 0; i < action->row->n_resolved_configuration; i++)
        if (pen_str_equal(action->row->resolved_configuration[i]->key, "WhenNewerWaits"))
            return pen_str_equal(action->row->resolved_configuration[i]->value, "Supersede");
    return false;
}

static bool only_yielding_approvals(const struct stage_run *run)
{
    bool any = false;
    for (size_t i = 0; i < run->declaration->n_actions; i++) {
        const struct action *action = run->current[i];
        if (action == NULL || action->row->status != PEN__ACTION_STATUS__ACTION_IN_PROGRESS)
            continue;
        if (!gives_way(action))
            return false;
        any = true;
    }
    return any;
}

/* The newest execution that would enter if the stage were free; NULL when there is none. */
static const struct execution *newest_behind(const struct pen_engine *engine,
                                             const struct execution *execution,
                                             const struct stage_state *stage)
{
    const struct execution *newest = NULL;
    for (size_t i = 0; i < stage->row->n_waiting; i++) {
        const struct execution *other = find_execution(engine, stage->row->waiting[i]);
        if (other != NULL && other->row->order > execution->row->order &&
            other->row->order > stage->row->rested_order && !execution_rolls_back(other) &&
            !execution_outdated(other) &&
            other->row->status == PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS &&
            (newest == NULL || other->row->order > newest->row->order))
            newest = other;
    }
    return newest;
}

bool approval_yields(struct pen_engine *engine, struct stage_run *run)
{
    struct execution *execution = run->execution;
    const struct stage_state *stage = find_stage(execution->pipeline, run->row->stage);
    if (stage == NULL || stage->row->n_waiting == 0 || stage->row->disabled ||
        !pen_str_equal(execution->row->mode, "SUPERSEDED") || execution_rolls_back(execution) ||
        !only_yielding_approvals(run))
        return false;
    const struct execution *newer = newest_behind(engine, execution, stage);
    if (newer == NULL)
        return false;
    char *why = mem_format("The newer execution %s took its place while it waited for approval",
                           newer->row->id);
    stage_abandon(engine, run, true, why);
    stage_end(engine, run, PEN__STAGE_STATUS__STAGE_CANCELLED);
    execution_end(engine, execution, PEN__EXECUTION_STATUS__EXECUTION_SUPERSEDED, why,
                  newer->row->id);
    free(why);
    return true;
}
