/* GetPipelineExecution, ListPipelineExecutions */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/wire/wire.h"
#include "controller/services/codepipeline/codepipeline.h"
#include "controller/services/codepipeline/names.h"
#include "controller/services/output.h"
#include "controller/services/page.h"
#include "controller/services/read.h"

enum {
    EXECUTIONS_PAGE_MAX = 100,
    EXECUTIONS_SCAN_MAX = 1000, /* rows that one request looks at for its filter */
};

static void put_trigger(struct pen_call *call, json_t *object, const Pen__ExecutionRow *row)
{
    if (!row->has_trigger_type)
        return;
    json_t *trigger = pen_put_object(call, object, "trigger");
    pen_put_string(call, trigger, "triggerType", pen_trigger_type_name(row->trigger_type));
    pen_put_string(call, trigger, "triggerDetail", row->trigger_detail);
}

/* What both operations show of an execution. */
static void put_common(struct pen_call *call, json_t *object, const Pen__ExecutionRow *row)
{
    pen_put_string(call, object, "pipelineExecutionId", row->id);
    pen_put_string(call, object, "status", pen_execution_status_name(row->status));
    pen_put_string(call, object, "statusSummary", row->status_summary);
    put_trigger(call, object, row);
    pen_put_string(call, object, "executionMode", row->mode);
    pen_put_string(call, object, "executionType",
                   row->rollback_target_id != NULL ? "ROLLBACK" : "STANDARD");
    if (row->rollback_target_id != NULL)
        pen_put_string(call, pen_put_object(call, object, "rollbackMetadata"),
                       "rollbackTargetPipelineExecutionId", row->rollback_target_id);
}

static void put_artifact_revisions(struct pen_call *call, json_t *object,
                                   const Pen__ExecutionRow *row)
{
    json_t *list = pen_put_list(call, object, "artifactRevisions");
    for (size_t i = 0; i < row->n_revisions; i++) {
        const Pen__SourceRevision *revision = row->revisions[i];
        json_t *item = pen_add_object(call, list);
        pen_put_string(call, item, "name", revision->artifact);
        pen_put_string(call, item, "revisionId", revision->revision_id);
        pen_put_string(call, item, "revisionSummary", revision->revision_summary);
        pen_put_time(call, item, "created", revision->created_ms);
        pen_put_string(call, item, "revisionUrl", revision->revision_url);
    }
}

static void put_variables(struct pen_call *call, json_t *object, const Pen__ExecutionRow *row)
{
    json_t *list = pen_put_list(call, object, "variables");
    for (size_t i = 0; i < row->n_variables; i++) {
        json_t *item = pen_add_object(call, list);
        pen_put_string(call, item, "name", row->variables[i]->name);
        pen_put_string(call, item, "resolvedValue", row->variables[i]->value);
    }
    pen_drop_empty(object, "variables");
}

int pen_get_pipeline_execution(struct pen_call *call, struct pen_error *err)
{
    const char *name = pen_in_string(call->input, "pipelineName");
    const char *id = pen_in_string(call->input, "pipelineExecutionId");
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineRow *pipeline = NULL;
    PEN_CLEANUP(pen_message_destroy) Pen__ExecutionRow *row = NULL;
    int rc = pen_read_pipeline(call, name, &pipeline, err);
    if (rc < 0 || (rc = pen_read_execution(call, pipeline, id, &row, err)) < 0)
        return rc;
    json_t *object = pen_put_object(call, pen_output(call), "pipelineExecution");
    pen_put_string(call, object, "pipelineName", row->pipeline);
    pen_put_integer(call, object, "pipelineVersion", row->pipeline_version);
    put_common(call, object, row);
    put_artifact_revisions(call, object, row);
    put_variables(call, object, row);
    return 0;
}

static void put_summary(struct pen_call *call, json_t *list, const Pen__ExecutionRow *row)
{
    json_t *object = pen_add_object(call, list);
    put_common(call, object, row);
    pen_put_time(call, object, "startTime", row->started_ms);
    pen_put_time(call, object, "lastUpdateTime", row->updated_ms);
    json_t *revisions = pen_put_list(call, object, "sourceRevisions");
    for (size_t i = 0; i < row->n_revisions; i++) {
        json_t *item = pen_add_object(call, revisions);
        pen_put_string(call, item, "actionName", row->revisions[i]->action);
        pen_put_string(call, item, "revisionId", row->revisions[i]->revision_id);
        pen_put_string(call, item, "revisionSummary", row->revisions[i]->revision_summary);
        pen_put_string(call, item, "revisionUrl", row->revisions[i]->revision_url);
    }
    if (row->stop_reason != NULL)
        pen_put_string(call, pen_put_object(call, object, "stopTrigger"), "reason",
                       row->stop_reason);
}

/* Whether the execution succeeded in this stage, by the pipeline as it is now; true when no stage
 * is asked for. */
static int passes(struct pen_call *call, const Pen__PipelineRow *pipeline,
                  const Pen__ExecutionRow *row, const char *stage, bool *ret_passes,
                  struct pen_error *err)
{
    *ret_passes = stage == NULL;
    if (stage == NULL || row->pipeline_version != pipeline->version ||
        !pen_execution_is_of(pipeline, row))
        return 0;
    PEN_CLEANUP(pen_message_destroy) Pen__StageExecutionRow *of_stage = NULL;
    int rc = pen_read_stage_execution(call, row->id, stage, &of_stage, err);
    *ret_passes =
        rc == 0 && of_stage != NULL && of_stage->status == PEN__STAGE_STATUS__STAGE_SUCCEEDED;
    return rc;
}

int pen_list_pipeline_executions(struct pen_call *call, struct pen_error *err)
{
    const char *name = pen_in_string(call->input, "pipelineName");
    const json_t *filter =
        json_object_get(json_object_get(call->input, "filter"), "succeededInStage");
    const char *stage = pen_in_string(filter, "stageName");
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineRow *pipeline = NULL;
    PEN_CLEANUP(pen_buf_release) struct pen_buf scope = {0};
    pen_buf_printf(&scope, "%s/%s", name, stage == NULL ? "" : stage);
    uint64_t before = 0;
    int rc = pen_buf_ok(&scope, err);
    if (rc < 0 || (rc = pen_read_pipeline(call, name, &pipeline, err)) < 0 ||
        (rc = pen_page_get_number(call, pen_buf_text(&scope), &before, err)) < 0)
        return rc;
    size_t size = pen_page_size(call, EXECUTIONS_PAGE_MAX);
    const struct pen_list_query query = {.kind = PEN__ROW_KIND__ROW_EXECUTION,
                                         .pipeline = name,
                                         .before_order = before,
                                         .after_order = pipeline->created_order,
                                         .limit = stage == NULL ? size + 1 : EXECUTIONS_SCAN_MAX};
    PEN_CLEANUP(pen_rows_release) struct pen_rows rows = {0};
    if ((rc = pen_read_list(call, &query, &rows, err)) < 0)
        return rc;
    json_t *list = pen_put_list(call, pen_output(call), "pipelineExecutionSummaries");
    size_t i = 0;
    for (; i < rows.count && json_array_size(list) < size; i++) {
        const Pen__ExecutionRow *row = (const Pen__ExecutionRow *)rows.rows[i];
        bool shown = false;
        if ((rc = passes(call, pipeline, row, stage, &shown, err)) < 0)
            return rc;
        if (shown)
            put_summary(call, list, row);
    }
    if (i > 0 && (i < rows.count || rows.count == query.limit)) {
        char place[24];
        (void)snprintf(place, sizeof place, "%" PRIu64,
                       ((const Pen__ExecutionRow *)rows.rows[i - 1])->order);
        pen_page_put(call, pen_buf_text(&scope), place);
    }
    return 0;
}
