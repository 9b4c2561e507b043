/* ListActionExecutions */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/wire/wire.h"
#include "controller/model/action_types.h"
#include "controller/services/codepipeline/codepipeline.h"
#include "controller/services/codepipeline/names.h"
#include "controller/services/output.h"
#include "controller/services/page.h"
#include "controller/services/read.h"

enum {
    ACTIONS_PAGE_MAX = 100,
    ACTIONS_OF_EXECUTION_MAX = 10000, /* rows that the "Latest" filter looks at */
};

/* The request, taken apart. */
struct asked {
    const char *pipeline;
    const char *execution; /* NULL: of any */
    bool latest;           /* of each action only the newest */
    struct pen_buf scope;  /* the filter as text, for the page token */
    uint64_t before;
    size_t size;
};

static void put_names(struct pen_call *call, json_t *object, const char *name,
                      Pen__ProducedArtifact **artifacts, size_t count)
{
    json_t *list = pen_put_list(call, object, name);
    for (size_t i = 0; i < count; i++) {
        if (artifacts[i]->artifact != NULL)
            pen_put_string(call, pen_add_object(call, list), "name", artifacts[i]->artifact->name);
    }
}

static const Pen__ActionDeclaration *declared(const Pen__PipelineVersionRow *version,
                                              const Pen__ActionExecutionRow *row)
{
    for (size_t i = 0; version != NULL && i < version->declaration->n_stages; i++) {
        const Pen__StageDeclaration *stage = version->declaration->stages[i];
        for (size_t k = 0; pen_str_equal(stage->name, row->stage) && k < stage->n_actions; k++) {
            if (pen_str_equal(stage->actions[k]->name, row->action))
                return stage->actions[k];
        }
    }
    return NULL;
}

static void put_type(struct pen_call *call, json_t *object, const Pen__ActionTypeId *type)
{
    if (type == NULL)
        return;
    json_t *id = pen_put_object(call, object, "actionTypeId");
    pen_put_string(call, id, "category", type->category);
    pen_put_string(call, id, "owner", type->owner);
    pen_put_string(call, id, "provider", type->provider);
    pen_put_string(call, id, "version", type->version);
}

static void put_input(struct pen_call *call, json_t *detail, const Pen__PipelineVersionRow *version,
                      const Pen__ActionExecutionRow *row)
{
    const Pen__ActionDeclaration *action = declared(version, row);
    json_t *input = pen_put_object(call, detail, "input");
    put_type(call, input, row->type != NULL || action == NULL ? row->type : action->action_type_id);
    json_t *configuration = pen_put_object(call, input, "configuration");
    for (size_t i = 0; action != NULL && i < action->n_configuration; i++)
        pen_put_string(call, configuration, action->configuration[i]->key,
                       pen_configuration_shown(action->configuration[i]->value));
    json_t *resolved = pen_put_object(call, input, "resolvedConfiguration");
    for (size_t i = 0; i < row->n_resolved_configuration; i++)
        pen_put_string(call, resolved, row->resolved_configuration[i]->key,
                       pen_configuration_shown(row->resolved_configuration[i]->value));
    pen_put_string(call, input, "roleArn", action == NULL ? NULL : action->role_arn);
    pen_put_string(call, input, "region",
                   row->region != NULL ? row->region : call->services->region);
    put_names(call, input, "inputArtifacts", row->inputs, row->n_inputs);
    pen_put_string(call, input, "namespace", row->namespace_);
}

static void put_result(struct pen_call *call, json_t *output, const Pen__ActionExecutionRow *row)
{
    json_t *result = pen_put_object(call, output, "executionResult");
    const char *external = row->external_execution_id;
    if (external == NULL && row->has_phase && row->phase == PEN__ACTION_PHASE__ACTION_APPROVAL)
        external = row->approval_token;
    pen_put_string(call, result, "externalExecutionId", external);
    pen_put_string(call, result, "externalExecutionSummary", row->summary);
    pen_put_string(call, result, "externalExecutionUrl", row->external_execution_url);
    if (row->error_code != NULL || row->error_message != NULL) {
        json_t *details = pen_put_object(call, result, "errorDetails");
        pen_put_string(call, details, "code", row->error_code);
        pen_put_string(call, details, "message", row->error_message);
    }
    pen_drop_empty(output, "executionResult");
}

static void put_output(struct pen_call *call, json_t *detail, const Pen__ActionExecutionRow *row)
{
    json_t *output = pen_put_object(call, detail, "output");
    put_names(call, output, "outputArtifacts", row->outputs, row->n_outputs);
    put_result(call, output, row);
    json_t *variables = pen_put_object(call, output, "outputVariables");
    for (size_t i = 0; i < row->n_output_variables; i++)
        pen_put_string(call, variables, row->output_variables[i]->name,
                       row->output_variables[i]->value);
}

static void put_detail(struct pen_call *call, json_t *list, const Pen__PipelineVersionRow *version,
                       const Pen__ActionExecutionRow *row)
{
    json_t *detail = pen_add_object(call, list);
    pen_put_string(call, detail, "pipelineExecutionId", row->execution_id);
    pen_put_string(call, detail, "actionExecutionId", row->id);
    pen_put_integer(call, detail, "pipelineVersion", row->pipeline_version);
    pen_put_string(call, detail, "stageName", row->stage);
    pen_put_string(call, detail, "actionName", row->action);
    pen_put_time(call, detail, "startTime", row->started_ms);
    pen_put_time(call, detail, "lastUpdateTime", row->updated_ms);
    pen_put_string(call, detail, "updatedBy", row->updated_by);
    pen_put_string(call, detail, "status", pen_action_status_name(row->status));
    put_input(call, detail, version, row);
    put_output(call, detail, row);
}

static int take_request(struct pen_call *call, struct asked *ret, struct pen_error *err)
{
    const json_t *filter = json_object_get(call->input, "filter");
    const json_t *latest = json_object_get(filter, "latestInPipelineExecution");
    ret->pipeline = pen_in_string(call->input, "pipelineName");
    ret->execution = pen_in_string(filter, "pipelineExecutionId");
    const char *of_latest = pen_in_string(latest, "pipelineExecutionId");
    if (ret->execution != NULL && of_latest != NULL && strcmp(ret->execution, of_latest) != 0)
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "filter.pipelineExecutionId and filter.latestInPipelineExecution name "
                            "different executions: give one of them.");
    if (of_latest != NULL)
        ret->execution = of_latest;
    const char *range = pen_in_string(latest, "startTimeRange");
    ret->latest = range != NULL && strcmp(range, "Latest") == 0;
    ret->size = pen_page_size(call, ACTIONS_PAGE_MAX);
    pen_buf_printf(&ret->scope, "%s/%s/%d", ret->pipeline,
                   ret->execution == NULL ? "" : ret->execution, ret->latest);
    int rc = pen_buf_ok(&ret->scope, err);
    return rc < 0 ? rc : pen_page_get_number(call, pen_buf_text(&ret->scope), &ret->before, err);
}

static int compare_places(const void *a, const void *b)
{
    const Pen__ActionExecutionRow *left = *(Pen__ActionExecutionRow *const *)a;
    const Pen__ActionExecutionRow *right = *(Pen__ActionExecutionRow *const *)b;
    int order = strcmp(left->stage, right->stage);
    if (order == 0)
        order = strcmp(left->action, right->action);
    if (order != 0)
        return order;
    return left->order > right->order ? -1 : left->order < right->order;
}

static int compare_newest(const void *a, const void *b)
{
    const Pen__ActionExecutionRow *left = *(Pen__ActionExecutionRow *const *)a;
    const Pen__ActionExecutionRow *right = *(Pen__ActionExecutionRow *const *)b;
    return left->order > right->order ? -1 : left->order < right->order;
}

/* Of each action keep the newest, and of those what comes after the page before. */
static void keep_latest(struct pen_rows *rows, uint64_t before)
{
    qsort(rows->rows, rows->count, sizeof rows->rows[0], compare_places);
    size_t kept = 0;
    for (size_t i = 0; i < rows->count; i++) {
        const Pen__ActionExecutionRow *row = (const Pen__ActionExecutionRow *)rows->rows[i];
        const Pen__ActionExecutionRow *last =
            kept == 0 ? NULL : (const Pen__ActionExecutionRow *)rows->rows[kept - 1];
        bool same = last != NULL && strcmp(last->stage, row->stage) == 0 &&
                    strcmp(last->action, row->action) == 0;
        ProtobufCMessage *moved = TAKE_PTR(rows->rows[i]);
        if (same)
            pen_message_destroy(&moved);
        else
            rows->rows[kept++] = moved;
    }
    rows->count = kept;
    qsort(rows->rows, rows->count, sizeof rows->rows[0], compare_newest);
    kept = 0;
    for (size_t i = 0; i < rows->count; i++) {
        ProtobufCMessage *moved = TAKE_PTR(rows->rows[i]);
        if (before != 0 && ((const Pen__ActionExecutionRow *)moved)->order >= before)
            pen_message_destroy(&moved);
        else
            rows->rows[kept++] = moved;
    }
    rows->count = kept;
}

static int read_rows(struct pen_call *call, const Pen__PipelineRow *pipeline,
                     const struct asked *asked, struct pen_rows *ret_rows, struct pen_error *err)
{
    struct pen_list_query query = {.kind = PEN__ROW_KIND__ROW_ACTION_EXECUTION,
                                   .pipeline = asked->pipeline,
                                   .execution = asked->execution,
                                   .before_order = asked->before,
                                   .after_order = pipeline->created_order,
                                   .limit = asked->size + 1};
    if (asked->latest) {
        query.before_order = 0;
        query.limit = ACTIONS_OF_EXECUTION_MAX;
    }
    int rc = pen_read_list(call, &query, ret_rows, err);
    if (rc == 0 && asked->latest)
        keep_latest(ret_rows, asked->before);
    return rc;
}

/* Rows of one page mostly share a version: it is read once. */
static int put_rows(struct pen_call *call, const struct pen_rows *rows, struct pen_error *err)
{
    json_t *list = pen_put_list(call, pen_output(call), "actionExecutionDetails");
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineVersionRow *version = NULL;
    int32_t known = 0;
    for (size_t i = 0; i < rows->count; i++) {
        const Pen__ActionExecutionRow *row = (const Pen__ActionExecutionRow *)rows->rows[i];
        if (version == NULL || row->pipeline_version != known) {
            pen_message_destroy(&version);
            int rc = pen_read_version(call, row->pipeline, row->pipeline_version, &version, err);
            if (rc < 0 && rc != PEN_ENOTFOUND)
                return rc;
            known = row->pipeline_version;
        }
        put_detail(call, list, version, row);
    }
    return 0;
}

static int list_actions(struct pen_call *call, struct asked *asked, struct pen_error *err)
{
    int rc = take_request(call, asked, err);
    if (rc < 0)
        return rc;
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineRow *pipeline = NULL;
    PEN_CLEANUP(pen_message_destroy) Pen__ExecutionRow *execution = NULL;
    if ((rc = pen_read_pipeline(call, asked->pipeline, &pipeline, err)) < 0)
        return rc;
    if (asked->execution != NULL &&
        (rc = pen_read_execution(call, pipeline, asked->execution, &execution, err)) < 0)
        return rc;
    PEN_CLEANUP(pen_rows_release) struct pen_rows rows = {0};
    if ((rc = read_rows(call, pipeline, asked, &rows, err)) < 0)
        return rc;
    bool more = pen_rows_keep_page(&rows, asked->size);
    if ((rc = put_rows(call, &rows, err)) < 0)
        return rc;
    if (more) {
        char place[24];
        (void)snprintf(place, sizeof place, "%" PRIu64,
                       ((const Pen__ActionExecutionRow *)rows.rows[rows.count - 1])->order);
        pen_page_put(call, pen_buf_text(&asked->scope), place);
    }
    return 0;
}

int pen_list_action_executions(struct pen_call *call, struct pen_error *err)
{
    struct asked asked = {0};
    int rc = list_actions(call, &asked, err);
    pen_buf_release(&asked.scope);
    return rc;
}
