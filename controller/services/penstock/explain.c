/* Explain, ResolveAction, ValidatePipeline */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/wire/wire.h"
#include "controller/artifacts/layout.h"
#include "controller/services/codepipeline/declaration.h"
#include "controller/services/output.h"
#include "controller/services/penstock/penstock.h"
#include "controller/services/read.h"
#include "controller/services/unknown_members.h"

enum {
    LOOK_BACK = 200,    /* executions among which the latest that is over is looked for */
    ACTIONS_MAX = 1000, /* of one execution that are looked at */
    CULPRITS_MAX = 8,   /* actions that made it fail, of which one answer tells */
};

/* When what runs has written to its log last: of the file, which alone knows. */
static void put_last_output(struct pen_call *call, json_t *item, uint64_t fence)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    struct stat facts;
    pen_layout_log(call->services->dir, fence, &path);
    if (stat(pen_buf_text(&path), &facts) == 0)
        pen_put_time(call, item, "lastOutput",
                     (int64_t)facts.st_mtim.tv_sec * 1000 + facts.st_mtim.tv_nsec / 1000000);
}

static void put_seconds(struct pen_call *call, json_t *item, const char *name, int64_t ms)
{
    pen_put_integer(call, item, name, (ms + 999) / 1000);
}

void pen_put_reasons(struct pen_call *call, const Pen__Reply *reply)
{
    json_t *list = pen_put_list(call, pen_output(call), "reasons");
    for (size_t i = 0; i < reply->n_reasons; i++) {
        const Pen__Reason *reason = reply->reasons[i];
        json_t *item = pen_add_object(call, list);
        pen_put_string(call, item, "subject", reason->subject);
        pen_put_string(call, item, "executionId", reason->execution_id);
        pen_put_string(call, item, "predicate", reason->predicate);
        pen_put_string(call, item, "sentence", reason->sentence);
        pen_put_time(call, item, "since", reason->since_ms);
        pen_put_string(call, item, "clears", reason->clears);
        json_t *commands = pen_put_list(call, item, "commands");
        for (size_t j = 0; j < reason->n_commands; j++)
            pen_add_string(call, commands, reason->commands[j]);
        pen_put_string(call, item, "see", reason->see);
        pen_put_string(call, item, "acts", reason->acts);
        if (reason->has_estimate_ms)
            put_seconds(call, item, "estimateSeconds", reason->estimate_ms);
        if (reason->has_usual_ms)
            put_seconds(call, item, "usualSeconds", reason->usual_ms);
        if (reason->has_overdue_ms)
            put_seconds(call, item, "overdueSeconds", reason->overdue_ms);
        pen_put_time(call, item, "ends", reason->ends_ms);
        if (reason->has_fence)
            put_last_output(call, item, reason->fence);
        pen_put_boolean(call, item, "never", reason->has_never && reason->never);
    }
}

static int explained(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err)
{
    (void)err;
    pen_put_reasons(call, reply);
    return 0;
}

/* Those that count: of each name the last one, in the stage in which the execution ended. */
static bool is_culprit(const struct pen_rows *rows, size_t index)
{
    const Pen__ActionExecutionRow *last = (const Pen__ActionExecutionRow *)rows->rows[0];
    const Pen__ActionExecutionRow *row = (const Pen__ActionExecutionRow *)rows->rows[index];
    for (size_t i = 0; i < index; i++)
        if (pen_str_equal(((const Pen__ActionExecutionRow *)rows->rows[i])->action, row->action))
            return false;
    return pen_str_equal(row->stage, last->stage) &&
           (row->status == PEN__ACTION_STATUS__ACTION_FAILED ||
            row->status == PEN__ACTION_STATUS__ACTION_ABANDONED);
}

/* The actions that made it fail. */
static int take_culprits(struct pen_call *call, Pen__ExplainRequest *explain, struct pen_error *err)
{
    if (explain->execution == NULL ||
        (explain->execution->status != PEN__EXECUTION_STATUS__EXECUTION_FAILED &&
         explain->execution->status != PEN__EXECUTION_STATUS__EXECUTION_STOPPED))
        return 0;
    const struct pen_list_query query = {.kind = PEN__ROW_KIND__ROW_ACTION_EXECUTION,
                                         .execution = explain->execution->id,
                                         .limit = ACTIONS_MAX};
    PEN_CLEANUP(pen_rows_release) struct pen_rows rows = {0};
    int rc = pen_read_list(call, &query, &rows, err);
    if (rc < 0)
        return rc;
    explain->ended_badly = calloc(CULPRITS_MAX, sizeof(Pen__ActionExecutionRow *));
    if (explain->ended_badly == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for an explanation");
    bool culprit[ACTIONS_MAX];
    for (size_t i = 0; i < rows.count; i++)
        culprit[i] = is_culprit(&rows, i);
    for (size_t i = 0; i < rows.count && explain->n_ended_badly < CULPRITS_MAX; i++)
        if (culprit[i])
            explain->ended_badly[explain->n_ended_badly++] =
                (Pen__ActionExecutionRow *)TAKE_PTR(rows.rows[i]);
    return 0;
}

static bool is_over(const Pen__ExecutionRow *row)
{
    return row->status == PEN__EXECUTION_STATUS__EXECUTION_FAILED ||
           row->status == PEN__EXECUTION_STATUS__EXECUTION_STOPPED ||
           row->status == PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED;
}

/* The latest of the pipeline that has come to an end of its own, and not made way. */
static int take_latest(struct pen_call *call, Pen__ExplainRequest *explain, struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineRow *pipeline = NULL;
    int rc =
        pen_read_optional(call, PEN__ROW_KIND__ROW_PIPELINE, explain->pipeline, &pipeline, err);
    if (rc < 0 || pipeline == NULL)
        return rc; /* the core has the words for it */
    const struct pen_list_query query = {.kind = PEN__ROW_KIND__ROW_EXECUTION,
                                         .pipeline = pipeline->name,
                                         .after_order = pipeline->created_order,
                                         .limit = LOOK_BACK};
    PEN_CLEANUP(pen_rows_release) struct pen_rows rows = {0};
    rc = pen_read_list(call, &query, &rows, err);
    size_t latest = rows.count;
    for (size_t i = 0; rc == 0 && i < rows.count; i++) {
        const Pen__ExecutionRow *row = (const Pen__ExecutionRow *)rows.rows[i];
        /* By when it ended: in PARALLEL mode an older one may end after a newer one. */
        if (is_over(row) &&
            (latest == rows.count ||
             row->updated_ms > ((const Pen__ExecutionRow *)rows.rows[latest])->updated_ms))
            latest = i;
    }
    if (latest < rows.count)
        explain->execution = (Pen__ExecutionRow *)TAKE_PTR(rows.rows[latest]);
    return rc;
}

int pen_explain(struct pen_call *call, struct pen_error *err)
{
    if (pen_in_string(call->input, "pipelineName") == NULL &&
        pen_in_string(call->input, "executionId") == NULL)
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "Explain takes a pipelineName, an executionId, or both");
    Pen__ExplainRequest *explain = NULL;
    PEN_CLEANUP(pen_message_destroy)
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_EXPLAIN, &pen__explain_request__descriptor, &explain);
    if (input == NULL ||
        !(pen_str_set(&explain->pipeline, pen_in_string(call->input, "pipelineName")) &&
          pen_str_set(&explain->execution_id, pen_in_string(call->input, "executionId"))))
        return pen_fail(err, PEN_ENOMEM, "no memory for an explanation");
    int rc = explain->execution_id == NULL
                 ? take_latest(call, explain, err)
                 : pen_read_optional(call, PEN__ROW_KIND__ROW_EXECUTION, explain->execution_id,
                                     &explain->execution, err);
    if (rc == 0)
        rc = take_culprits(call, explain, err);
    return rc < 0 ? rc : pen_call_post(call, TAKE_PTR(input), explained, err);
}

static Pen__AttemptResolution resolution_of(const char *word)
{
    if (strcmp(word, "Succeeded") == 0)
        return PEN__ATTEMPT_RESOLUTION__RESOLVE_SUCCEEDED;
    if (strcmp(word, "Retry") == 0)
        return PEN__ATTEMPT_RESOLUTION__RESOLVE_RETRY;
    return PEN__ATTEMPT_RESOLUTION__RESOLVE_FAILED;
}

int pen_resolve_action(struct pen_call *call, struct pen_error *err)
{
    Pen__ResolveAttempt *resolve = NULL;
    Pen__Input *input = pen_input_new(PEN__INPUT__WHAT_RESOLVE_ATTEMPT,
                                      &pen__resolve_attempt__descriptor, &resolve);
    if (input != NULL) {
        resolve->has_resolution = true;
        resolve->resolution = resolution_of(pen_in_string(call->input, "resolution"));
        if (!(pen_str_set(&resolve->action_execution_id,
                          pen_in_string(call->input, "actionExecutionId")) &&
              pen_str_set(&resolve->reason, pen_in_string(call->input, "reason"))))
            pen_message_destroy(&input);
    }
    return pen_call_post(call, input, pen_reply_nothing, err);
}

/* Misspelt members, of which CreatePipeline would know nothing: a list in the answer. */
static int list_unknown(struct pen_call *call, const struct pen_api_operation *create,
                        bool *ret_any, struct pen_error *err)
{
    json_t *input = json_copy(call->input);
    json_t *list = json_array();
    (void)json_object_del(input, "strict");
    int rc = input == NULL || list == NULL
                 ? pen_fail(err, PEN_ENOMEM, "no memory to list unknown members")
                 : pen_api_unknown_members(create, input, list, err);
    json_decref(input);
    *ret_any = json_array_size(list) > 0;
    if (rc == 0 && *ret_any)
        pen_put_json(call, pen_output(call), "unknownMembers", json_incref(list));
    json_decref(list);
    return rc;
}

/* All that CreatePipeline checks before it asks the core. When strict is asked for, members that
 * the API does not know are listed, and nothing else is checked while there are any. */
int pen_validate_pipeline(struct pen_call *call, struct pen_error *err)
{
    const struct pen_api_operation *create =
        pen_api_operation_find(&pen_codepipeline_catalog, "CreatePipeline");
    bool unknown = false;
    int rc = json_is_true(json_object_get(call->input, "strict"))
                 ? list_unknown(call, create, &unknown, err)
                 : 0;
    if (rc == 0 && !unknown)
        rc = pen_api_validate(create, call->input, err);
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineDeclaration *declaration = NULL;
    return rc < 0 || unknown ? rc : pen_declaration_take(call, &declaration, err);
}
