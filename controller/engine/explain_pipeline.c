/* controller/engine/explain_pipeline.c - Explain: what is wrong with a pipeline or an execution
 *
 * What keeps changes from starting anything, why executions stand where they stand (explain.c), and
 * how what is over has ended.
 */
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/explain.h"
#include "controller/engine/named.h"
#include "controller/model/providers.h"

/* ---- what is over */

static const char *say_end(Pen__ExecutionStatus status)
{
    switch ((int)status) {
    case PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED:
        return "has succeeded";
    case PEN__EXECUTION_STATUS__EXECUTION_FAILED:
        return "has failed";
    case PEN__EXECUTION_STATUS__EXECUTION_STOPPED:
        return "was stopped";
    case PEN__EXECUTION_STATUS__EXECUTION_SUPERSEDED:
        return "was superseded";
    case PEN__EXECUTION_STATUS__EXECUTION_CANCELLED:
        return "was cancelled";
    default:
        return "is over";
    }
}

/* How it can go on: past a condition, again in its stage, or from the beginning. */
static const char *advise_ended(const struct pen_engine *engine, const Pen__ExecutionRow *row,
                                const struct execution *execution, Pen__Reason *reason)
{
    const struct stage_run *run = execution == NULL ? NULL : current_run(execution);
    bool override = run != NULL && condition_may_be_overridden(engine, run);
    bool again = run != NULL && may_be_retried(engine, execution);
    if (override)
        reason_advise(reason, "override", NULL, row->pipeline, run->row->stage, row->id,
                      condition_failed(run) == PEN__CONDITION_KIND__CONDITION_ON_SUCCESS
                          ? "on-success"
                          : NULL,
                      NULL);
    if (again)
        reason_advise(reason, "retry", NULL, row->pipeline, run->row->stage, row->id, NULL);
    if (override || again)
        reason_acts(reason, "who looks after the pipeline");
    if (override)
        return again ? "a person overrides the condition, or has the stage run again"
                     : "a person overrides the condition";
    return again ? "a person has the stage run again" : NULL;
}

static bool has_failed(const Pen__ExecutionRow *row)
{
    return row->status == PEN__EXECUTION_STATUS__EXECUTION_FAILED ||
           row->status == PEN__EXECUTION_STATUS__EXECUTION_STOPPED;
}

/* What is known of an action that made its execution fail: of a person's no, whose it was. */
static void explain_culprit(const Pen__ExecutionRow *execution, const Pen__ActionExecutionRow *row,
                            Pen__Reply *reply)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    const char *said = !pen_str_empty(row->error_message) ? row->error_message : row->summary;
    bool failed = row->status == PEN__ACTION_STATUS__ACTION_FAILED;
    pen_buf_puts(&text, failed ? "It failed" : "It was given up");
    if (!pen_str_empty(said))
        pen_buf_printf(&text, ": %s", said);
    if (!pen_str_empty(row->updated_by))
        pen_buf_printf(&text, " (by %s)", row->updated_by);
    Pen__Reason *reason = reason_add(
        reply, execution, mem_format("%s/%s/%s", row->pipeline, row->stage, row->action),
        failed ? "action_has_failed" : "action_given_up", &text, row->updated_ms, NULL, false);
    if (row->fence != 0) {
        char *options = mem_format("--stage %s --execution %s", row->stage, row->execution_id);
        reason_see(reason, "logs", options, row->pipeline, row->action, NULL);
        free(options);
    }
}

static void explain_ended(const struct pen_engine *engine, const Pen__ExecutionRow *row,
                          const struct execution *execution, const Pen__ExplainRequest *request,
                          Pen__Reply *reply)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_buf_printf(&text, "Execution %s %s", row->id, say_end(row->status));
    if (!pen_str_empty(row->status_summary))
        pen_buf_printf(&text, ": %s", row->status_summary);
    if (row->status == PEN__EXECUTION_STATUS__EXECUTION_STOPPED &&
        !pen_str_empty(row->stop_reason) && !pen_str_equal(row->stop_reason, row->status_summary))
        pen_buf_printf(&text, " (reason: %s)", row->stop_reason);
    Pen__Reason *reason = reason_add(reply, row, mem_text(row->pipeline), "execution_ended", &text,
                                     row->updated_ms, NULL, false);
    reason->clears = mem_text(advise_ended(engine, row, execution, reason));
    if (has_failed(row))
        for (size_t i = 0; i < request->n_ended_badly; i++)
            if (pen_str_equal(request->ended_badly[i]->execution_id, row->id))
                explain_culprit(row, request->ended_badly[i], reply);
}

/* The pipeline's latest execution that is over, when it ended badly: nothing waits then, and yet
 * something is wrong. */
static void explain_latest(const struct pen_engine *engine, const struct pipeline *pipeline,
                           const Pen__ExplainRequest *request, Pen__Reply *reply)
{
    const Pen__ExecutionRow *row = request->execution;
    if (row == NULL || !pen_str_equal(row->pipeline, pipeline->row->name) ||
        execution_of_former(pipeline, row))
        return;
    const struct execution *execution = find_execution(engine, row->id);
    if (execution != NULL && execution_ended(execution))
        row = execution->row; /* newer than what was read */
    else if (execution != NULL)
        return; /* it runs again */
    if (has_failed(row))
        explain_ended(engine, row, execution, request, reply);
}

/* ---- what waits, and what does not start */

/* pipeline: NULL for one of any. */
static int explain_one(const struct pen_engine *engine, const struct pipeline *pipeline,
                       const Pen__ExplainRequest *request, Pen__Reply *reply, struct pen_error *err)
{
    const struct execution *execution = find_execution(engine, request->execution_id);
    const Pen__ExecutionRow *row = execution != NULL ? execution->row : request->execution;
    if (row == NULL || !pen_str_equal(row->id, request->execution_id) ||
        (pipeline != NULL && (!pen_str_equal(row->pipeline, pipeline->row->name) ||
                              execution_of_former(pipeline, row))))
        return pen_fail_api(err, PEN_ENOTFOUND, "PipelineExecutionNotFoundException",
                            "no execution '%s'", request->execution_id);
    abandoned_explain(engine, row->pipeline, row->id, reply);
    if (execution == NULL || execution_ended(execution)) {
        explain_ended(engine, row, execution, request, reply);
        return 0;
    }
    explain_host(engine, request->host, reply);
    struct explaining *explaining = explaining_create(engine);
    explain_execution(explaining, engine, execution, reply);
    explaining_destroy(&explaining);
    return 0;
}

static void advise_start(const struct pipeline *pipeline, Pen__Reason *reason)
{
    if (variable_without_default(pipeline) == NULL)
        reason_advise(reason, "start", NULL, pipeline->row->name, NULL);
    reason_acts(reason, "who wants it to run");
}

/* Pushes, and its own creation, start nothing, and nobody is there to be told. */
static void explain_variable(const struct pipeline *pipeline, Pen__Reply *reply)
{
    const char *variable = variable_without_default(pipeline);
    if (variable == NULL)
        return;
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_buf_printf(&text, "No change starts it by itself: variable '%s' has no default", variable);
    Pen__Reason *reason = reason_add(
        reply, NULL, mem_text(pipeline->row->name), "variable_lacking", &text,
        pipeline->row->updated_ms,
        "a person starts it and gives a value, or an edit gives the variable a default", true);
    reason_acts(reason, "who wants it to run");
}

static void explain_polling(const struct pipeline *pipeline, Pen__Reply *reply)
{
    if (!pipeline->row->has_polling_disabled_ms)
        return;
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_buf_puts(&text, "It is not polled for changes any more: nothing has run for 30 days");
    Pen__Reason *reason =
        reason_add(reply, NULL, mem_text(pipeline->row->name), "polling_stopped", &text,
                   pipeline->row->polling_disabled_ms,
                   "an execution starts: by a person, or a webhook of the server", false);
    advise_start(pipeline, reason);
}

/* Sources that cannot be looked at: what is pushed there starts nothing. */
void explain_troubles(const struct pipeline *pipeline, Pen__Reply *reply)
{
    for (size_t i = 0; i < pipeline->row->n_watched; i++) {
        const Pen__WatchedSource *watched = pipeline->row->watched[i];
        if (watched->trouble == NULL)
            continue;
        PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
        pen_buf_printf(&text, "It cannot be looked at for changes: %s", watched->trouble);
        for (size_t k = 0; k < watched->n_branches; k++)
            pen_buf_printf(&text, "%s%s", k == 0 ? "; the branches there are: " : ", ",
                           watched->branches[k]);
        if (watched->branches_more > 0)
            pen_buf_printf(&text, " and %u more", watched->branches_more);
        const char *clears = watched->n_branches > 0
                                 ? "the branch is pushed, or an edit names one that is there"
                                 : "the cause is removed: it is looked at again by itself";
        Pen__Reason *reason =
            reason_add(reply, NULL,
                       mem_format("%s/%s/%s", pipeline->row->name, watched->stage, watched->action),
                       "source_troubled", &text, watched->trouble_since_ms, clears, false);
        reason_acts(reason, "who looks after the pipeline");
    }
}

/* Whether a webhook starts the pipeline through this source action. */
static bool has_webhook(const struct pen_engine *engine, const struct pipeline *pipeline,
                        const char *action)
{
    for (const struct pen_map_node *node = pen_map_first(&engine->webhooks); node != NULL;
         node = pen_map_next(node)) {
        const struct webhook *webhook = pen_map_value(node);
        if (pen_str_equal(webhook->row->pipeline, pipeline->row->name) &&
            pen_str_equal(webhook->row->action, action))
            return true;
    }
    return false;
}

/* Changes of a source that start nothing, because its configuration says so and nothing else does.
 */
static void explain_detection(const struct pen_engine *engine, const struct pipeline *pipeline,
                              Pen__Reply *reply)
{
    const Pen__PipelineDeclaration *declaration = pipeline->current->row->declaration;
    const Pen__StageDeclaration *first = declaration->stages[0];
    for (size_t i = 0; i < first->n_actions; i++) {
        const Pen__ActionDeclaration *action = first->actions[i];
        if (!pen_str_equal(action->action_type_id->owner, "AWS") || source_detects(action) ||
            trigger_of(pipeline, action->name) != NULL ||
            has_webhook(engine, pipeline, action->name))
            continue;
        PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
        const char *key = pen_str_equal(pen_action_configuration(action, "DetectChanges"), "false")
                              ? "DetectChanges"
                              : "PollForSourceChanges";
        pen_buf_printf(&text,
                       "Its changes start nothing: %s is \"false\", and no trigger or webhook "
                       "names it",
                       key);
        Pen__Reason *reason = reason_add(
            reply, NULL, mem_format("%s/%s/%s", declaration->name, first->name, action->name),
            "detection_off", &text, pipeline->row->updated_ms,
            "a person starts it, or an edit or a webhook has changes start it", true);
        advise_start(pipeline, reason);
    }
}

static void explain_room(const struct pen_engine *engine, const struct pipeline *pipeline,
                         Pen__Reply *reply)
{
    const char *mode = pipeline->current->row->declaration->execution_mode;
    struct pen_error full = {0};
    if (mode == NULL || check_room(engine, pipeline, mode, &full) == 0)
        return;
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    const struct pen_map_node *newest = pen_map_last(&pipeline->executions);
    const struct execution *execution = newest == NULL ? NULL : pen_map_value(newest);
    pen_buf_printf(&text, "Changes that come now are lost: %s", full.message);
    reason_add(reply, NULL, mem_text(pipeline->row->name), "executions_full", &text,
               execution == NULL ? engine->now_ms : execution->row->started_ms,
               "an execution ends, or is stopped", false);
}

/* What keeps changes from starting anything. */
static void explain_start(const struct pen_engine *engine, const struct pipeline *pipeline,
                          Pen__Reply *reply)
{
    explain_variable(pipeline, reply);
    explain_polling(pipeline, reply);
    explain_troubles(pipeline, reply);
    explain_detection(engine, pipeline, reply);
    explain_room(engine, pipeline, reply);
}

int handle_explain(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                   struct pen_error *err)
{
    const Pen__ExplainRequest *request = input->explain;
    struct pipeline *pipeline = find_pipeline(engine, request->pipeline);
    if (pipeline == NULL && (request->pipeline != NULL || request->execution_id == NULL))
        return fail_no_pipeline(engine, request->pipeline != NULL ? request->pipeline : "", err);
    if (request->execution_id != NULL)
        return explain_one(engine, pipeline, request, reply, err);
    explain_host(engine, request->host, reply);
    explain_start(engine, pipeline, reply);
    struct explaining *explaining = explaining_create(engine);
    for (const struct pen_map_node *node = pen_map_first(&pipeline->executions); node != NULL;
         node = pen_map_next(node))
        explain_execution(explaining, engine, pen_map_value(node), reply);
    abandoned_explain(engine, pipeline->row->name, NULL, reply);
    explaining_destroy(&explaining);
    explain_latest(engine, pipeline, request, reply);
    return 0;
}
