/* controller/engine/explain_pipeline.c - Explain: what is wrong with a pipeline or an execution
 *
 * What keeps changes from starting anything, why executions stand where they stand (explain.c), and
 * how what is over has ended.
 */
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/explain.h"
#include "controller/engine/named.h"

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

static void explain_ended(const struct pen_engine *engine, const Pen__ExecutionRow *row,
                          const struct execution *execution, Pen__Reply *reply)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    const char *clears = NULL;
    if (execution != NULL && condition_may_be_overridden(engine, current_run(execution)))
        clears = "a person overrides the condition (penstock override), or has the stage run "
                 "again (penstock retry)";
    else if (execution != NULL && may_be_retried(engine, execution))
        clears = "a person has the stage run again: penstock retry";
    pen_buf_printf(&text, "Execution %s %s", row->id, say_end(row->status));
    if (!pen_str_empty(row->status_summary))
        pen_buf_printf(&text, ": %s", row->status_summary);
    reason_add(reply, row, mem_text(row->pipeline), "execution_ended", &text, row->updated_ms,
               clears, false);
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
    if (execution == NULL || execution_ended(execution)) {
        explain_ended(engine, row, execution, reply);
        return 0;
    }
    struct explaining *explaining = explaining_create(engine);
    explain_execution(explaining, engine, execution, reply);
    explaining_destroy(&explaining);
    return 0;
}

/* Pushes, and its own creation, start nothing, and nobody is there to be told. */
static void explain_variable(const struct pipeline *pipeline, Pen__Reply *reply)
{
    const char *variable = variable_without_default(pipeline);
    if (variable == NULL)
        return;
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_buf_printf(&text, "No change starts it by itself: variable '%s' has no default", variable);
    reason_add(reply, NULL, mem_text(pipeline->row->name), "variable_lacking", &text,
               pipeline->row->updated_ms,
               "a person starts it and gives a value (penstock start --variable), or an edit gives "
               "the variable a default",
               true);
}

static void explain_polling(const struct pipeline *pipeline, Pen__Reply *reply)
{
    if (!pipeline->row->has_polling_disabled_ms)
        return;
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_buf_puts(&text, "It is not polled for changes any more: nothing has run for 30 days");
    reason_add(reply, NULL, mem_text(pipeline->row->name), "polling_stopped", &text,
               pipeline->row->polling_disabled_ms,
               "an execution starts: penstock start, or a webhook of the server", false);
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
    explain_start(engine, pipeline, reply);
    struct explaining *explaining = explaining_create(engine);
    for (const struct pen_map_node *node = pen_map_first(&pipeline->executions); node != NULL;
         node = pen_map_next(node))
        explain_execution(explaining, engine, pen_map_value(node), reply);
    explaining_destroy(&explaining);
    return 0;
}
