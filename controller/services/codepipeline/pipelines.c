/* CreatePipeline, GetPipeline, UpdatePipeline, DeletePipeline, ListPipelines */
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/wire/wire.h"
#include "controller/model/validate.h"
#include "controller/services/codepipeline/codepipeline.h"
#include "controller/services/codepipeline/declaration.h"
#include "controller/services/output.h"
#include "controller/services/page.h"
#include "controller/services/read.h"

enum { PIPELINES_PAGE_MAX = 1000 };

static int current_version(struct pen_call *call, const char *name,
                           Pen__PipelineVersionRow **ret_row, struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineRow *pipeline = NULL;
    int rc = pen_read_pipeline(call, name, &pipeline, err);
    return rc < 0 ? rc : pen_read_version(call, name, pipeline->version, ret_row, err);
}

static int declaration_made(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err)
{
    if (reply->declaration != NULL)
        return pen_declaration_put(call, pen_output(call), "pipeline", reply->declaration, err);
    const char *name = pen_in_string(json_object_get(call->input, "pipeline"), "name");
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineVersionRow *row = NULL;
    int rc = current_version(call, name, &row, err);
    if (rc < 0)
        return rc;
    return pen_declaration_put(call, pen_output(call), "pipeline", row->declaration, err);
}

int pen_create_pipeline(struct pen_call *call, struct pen_error *err)
{
    if (json_array_size(json_object_get(call->input, "tags")) > 0)
        return pen_fail_api(err, PEN_EUNSUPPORTED, "ValidationException",
                            "Tags are not available in this version of Penstock: leave 'tags' "
                            "out.");
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineDeclaration *declaration = NULL;
    int rc = pen_declaration_take(call, &declaration, err);
    if (rc < 0)
        return rc;
    Pen__CreatePipeline *create = NULL;
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_CREATE_PIPELINE, &pen__create_pipeline__descriptor, &create);
    if (input != NULL)
        create->declaration = TAKE_PTR(declaration);
    return pen_call_post(call, input, declaration_made, err);
}

/* A client that is older than pipelineType reads a pipeline of type V2 without it, and without the
 * triggers, variables and conditions that it does not know either. What it writes back would take
 * them away, without anybody having said so. */
static int check_type_is_meant(struct pen_call *call, const Pen__PipelineDeclaration *declaration,
                               struct pen_error *err)
{
    if (json_object_get(json_object_get(call->input, "pipeline"), "pipelineType") != NULL ||
        !pen_str_equal(declaration->pipeline_type, "V1"))
        return 0;
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineVersionRow *row = NULL;
    int rc = current_version(call, declaration->name, &row, err);
    if (rc < 0)
        return rc == PEN_ENOTFOUND ? 0 : rc; /* the engine says so */
    const char *member = pen_model_v2_member(row->declaration);
    if (member == NULL)
        return 0;
    return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                        "pipeline.pipelineType: pipeline '%s' is of type V2 and has %s, which this "
                        "update leaves out without naming a type, as clients do that are older "
                        "than these members. Name V1 to drop what only V2 has, or V2 to keep the "
                        "type.",
                        declaration->name, member);
}

int pen_update_pipeline(struct pen_call *call, struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineDeclaration *declaration = NULL;
    int rc = pen_declaration_take(call, &declaration, err);
    if (rc < 0 || (rc = check_type_is_meant(call, declaration, err)) < 0)
        return rc;
    Pen__UpdatePipeline *update = NULL;
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_UPDATE_PIPELINE, &pen__update_pipeline__descriptor, &update);
    if (input != NULL)
        update->declaration = TAKE_PTR(declaration);
    return pen_call_post(call, input, declaration_made, err);
}

int pen_delete_pipeline(struct pen_call *call, struct pen_error *err)
{
    Pen__DeletePipeline *delete = NULL;
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_DELETE_PIPELINE, &pen__delete_pipeline__descriptor, &delete);
    if (input != NULL && !pen_str_set(&delete->name, pen_in_string(call->input, "name")))
        pen_message_destroy(&input);
    return pen_call_post(call, input, pen_reply_nothing, err);
}

static void put_metadata(struct pen_call *call, const Pen__PipelineRow *pipeline)
{
    json_t *metadata = pen_put_object(call, pen_output(call), "metadata");
    PEN_CLEANUP(pen_free)
    char *arn = pen_strdup_printf("arn:aws:codepipeline:%s:%s:%s", call->services->region,
                                  call->services->account, pipeline->name);
    if (arn == NULL)
        call->out_of_memory = true;
    pen_put_string(call, metadata, "pipelineArn", arn);
    pen_put_time(call, metadata, "created", pipeline->created_ms);
    pen_put_time(call, metadata, "updated", pipeline->updated_ms);
    pen_put_time(call, metadata, "pollingDisabledAt", pipeline->polling_disabled_ms);
}

int pen_get_pipeline(struct pen_call *call, struct pen_error *err)
{
    const char *name = pen_in_string(call->input, "name");
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineRow *pipeline = NULL;
    int rc = pen_read_pipeline(call, name, &pipeline, err);
    if (rc < 0)
        return rc;
    int64_t version = pen_in_integer(call->input, "version", pipeline->version);
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineVersionRow *row = NULL;
    if (version > INT32_MAX)
        version = INT32_MAX; /* no pipeline gets that far: answered as any version it lacks */
    if ((rc = pen_read_version(call, name, (int32_t)version, &row, err)) < 0 ||
        (rc = pen_declaration_put(call, pen_output(call), "pipeline", row->declaration, err)) < 0)
        return rc;
    put_metadata(call, pipeline);
    return 0;
}

static int put_summary(struct pen_call *call, json_t *list, const Pen__PipelineRow *pipeline,
                       struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineVersionRow *row = NULL;
    int rc = pen_read_version(call, pipeline->name, pipeline->version, &row, err);
    if (rc < 0)
        return rc;
    json_t *summary = pen_add_object(call, list);
    pen_put_string(call, summary, "name", pipeline->name);
    pen_put_integer(call, summary, "version", pipeline->version);
    pen_put_string(call, summary, "pipelineType", row->declaration->pipeline_type);
    pen_put_string(call, summary, "executionMode", row->declaration->execution_mode);
    pen_put_time(call, summary, "created", pipeline->created_ms);
    pen_put_time(call, summary, "updated", pipeline->updated_ms);
    return 0;
}

int pen_list_pipelines(struct pen_call *call, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf after = {0};
    int rc = pen_page_get(call, "", &after, err);
    if (rc < 0)
        return rc;
    size_t size = pen_page_size(call, PIPELINES_PAGE_MAX);
    const struct pen_list_query query = {.kind = PEN__ROW_KIND__ROW_PIPELINE,
                                         .after_key = after.size > 0 ? pen_buf_text(&after) : NULL,
                                         .limit = size + 1};
    PEN_CLEANUP(pen_rows_release) struct pen_rows rows = {0};
    if ((rc = pen_read_list(call, &query, &rows, err)) < 0)
        return rc;
    json_t *list = pen_put_list(call, pen_output(call), "pipelines");
    for (size_t i = 0; i < rows.count && i < size; i++) {
        if ((rc = put_summary(call, list, (const Pen__PipelineRow *)rows.rows[i], err)) < 0)
            return rc;
    }
    if (rows.count > size)
        pen_page_put(call, "", ((const Pen__PipelineRow *)rows.rows[size - 1])->name);
    return 0;
}
