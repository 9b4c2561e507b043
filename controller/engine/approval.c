/* controller/engine/approval.c - a person's yes or no */
#include "common/base/check.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"

static int find_names(const struct pen_engine *engine, const Pen__PutApproval *request,
                      struct pipeline **ret_pipeline, struct pen_error *err)
{
    struct pipeline *pipeline = find_pipeline(engine, request->pipeline);
    if (pipeline == NULL)
        return pen_fail_api(err, PEN_ENOTFOUND, "PipelineNotFoundException", "no pipeline '%s'",
                            request->pipeline);
    const Pen__PipelineDeclaration *declaration = pipeline->current->row->declaration;
    const Pen__StageDeclaration *stage = NULL;
    for (size_t i = 0; i < declaration->n_stages && stage == NULL; i++)
        if (pen_str_equal(declaration->stages[i]->name, request->stage))
            stage = declaration->stages[i];
    if (stage == NULL)
        return pen_fail_api(err, PEN_ENOTFOUND, "StageNotFoundException",
                            "pipeline '%s' has no stage '%s'", request->pipeline, request->stage);
    int index = action_index(stage, request->action);
    if (index < 0 || !pen_str_equal(stage->actions[index]->action_type_id->category, "Approval"))
        return pen_fail_api(err, PEN_ENOTFOUND, "ActionNotFoundException",
                            "stage '%s' of pipeline '%s' has no approval action '%s'",
                            request->stage, request->pipeline, request->action);
    *ret_pipeline = pipeline;
    return 0;
}

/* No approval waits under this token: say which mistake that is. */
static int refuse(const struct pen_engine *engine, const struct pipeline *pipeline,
                  const Pen__PutApproval *request, struct pen_error *err)
{
    const struct stage_state *stage = find_stage(pipeline, request->stage);
    const Pen__LatestAction *latest = NULL;
    for (size_t i = 0; stage != NULL && i < stage->row->n_latest_actions && latest == NULL; i++)
        if (pen_str_equal(stage->row->latest_actions[i]->action, request->action))
            latest = stage->row->latest_actions[i];
    const struct action *action =
        latest == NULL ? NULL : find_action(engine, latest->action_execution_id);
    bool decided = latest != NULL &&
                   (action == NULL || pen_str_equal(action->row->approval_token, request->token));
    if (decided)
        return pen_fail_api(err, PEN_ECONFLICT, "ApprovalAlreadyCompletedException",
                            "approval '%s' of stage '%s' has already been decided", request->action,
                            request->stage);
    return pen_fail_api(err, PEN_EINVAL, "InvalidApprovalTokenException",
                        "the token is not that of the approval that waits at '%s' of stage '%s'",
                        request->action, request->stage);
}

int handle_put_approval(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                        struct pen_error *err)
{
    const Pen__PutApproval *request = input->put_approval;
    struct action *action = request->token == NULL
                                ? NULL
                                : pen_map_get(&engine->approvals, pen_key_text(request->token));
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
