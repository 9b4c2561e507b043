/* penstock pipeline ... */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/confirm.h"
#include "cli/input.h"
#include "cli/show.h"
#include "cli/text.h"
#include "common/base/cleanup.h"
#include "common/base/units.h"

/* The controller lists the members that it does not know; a person has mistyped them. */
static int members_check(struct pen_cli *cli, const struct pen_pipeline_file *file,
                         struct pen_error *err)
{
    json_t *input = json_copy(file->input);
    json_t *output = NULL;
    (void)json_object_set_new(input, "strict", json_true());
    int rc = pen_cli_call(cli, PEN_SERVICE_PENSTOCK, "ValidatePipeline", input, &output, err);
    const json_t *unknown = pen_json_list(output, "unknownMembers");
    if (rc == 0 && json_array_size(unknown) > 0)
        rc = pen_input_unknown_members(file, unknown, err);
    json_decref(output);
    return rc;
}

/* Read the file, and have the controller check it. */
static int file_take(struct pen_cli *cli, struct pen_pipeline_file *ret_file, struct pen_error *err)
{
    int rc = pen_input_pipeline(pen_cli_argument(cli, 0), ret_file, err);
    return rc < 0 ? rc : members_check(cli, ret_file, err);
}

/* Read the file, call the operation, say what was done. */
static int send_file(struct pen_cli *cli, const char *operation, const char *done,
                     struct pen_error *err)
{
    PEN_CLEANUP(pen_pipeline_file_release) struct pen_pipeline_file file = {0};
    int rc = file_take(cli, &file, err);
    if (rc < 0)
        return rc;
    if (strcmp(operation, "UpdatePipeline") == 0 && json_object_get(file.input, "tags") != NULL)
        return pen_fail(err, PEN_EINVAL, "%s: an update takes no 'tags', only 'pipeline'",
                        file.path);
    const json_t *pipeline = json_object_get(file.input, "pipeline");
    return pen_cli_call_done(cli, PEN_SERVICE_CODEPIPELINE, operation, json_incref(file.input), err,
                             "pipeline '%s' %s", pen_json_text(pipeline, "name"), done);
}

int pen_cmd_pipeline_create(struct pen_cli *cli, struct pen_error *err)
{
    return send_file(cli, "CreatePipeline", "created", err);
}

int pen_cmd_pipeline_update(struct pen_cli *cli, struct pen_error *err)
{
    return send_file(cli, "UpdatePipeline", "updated", err);
}

int pen_cmd_pipeline_validate(struct pen_cli *cli, struct pen_error *err)
{
    PEN_CLEANUP(pen_pipeline_file_release) struct pen_pipeline_file file = {0};
    int rc = file_take(cli, &file, err);
    if (rc < 0)
        return rc;
    PEN_CLEANUP(pen_buf_release) struct pen_buf name = {0};
    pen_text_clean(pen_json_text(json_object_get(file.input, "pipeline"), "name"), &name);
    (void)printf(cli->json ? "{}\n" : "pipeline '%s' is valid\n", pen_buf_text(&name));
    return 0;
}

int pen_cmd_pipeline_get(struct pen_cli *cli, struct pen_error *err)
{
    int64_t version = 0;
    int rc = pen_input_number(cli, "--version", INT32_MAX, 0, &version, err);
    if (rc < 0)
        return rc;
    json_t *input = json_pack("{s:s}", "name", pen_cli_argument(cli, 0));
    if (version > 0)
        (void)json_object_set_new(input, "version", json_integer(version));
    json_t *output = NULL;
    rc = pen_cli_call(cli, PEN_SERVICE_CODEPIPELINE, "GetPipeline", input, &output, err);
    if (rc < 0)
        return rc;
    pen_print_json(output);
    json_decref(output);
    return 0;
}

/* Whether to delete a pipeline that is running. */
static int deletion_confirm(struct pen_cli *cli, const char *name, struct pen_error *err)
{
    json_t *output = NULL;
    int rc = pen_cli_call(cli, PEN_SERVICE_CODEPIPELINE, "ListPipelineExecutions",
                          json_pack("{s:s}", "pipelineName", name), &output, err);
    size_t running = 0;
    size_t index;
    json_t *row;
    json_array_foreach(pen_json_list(output, "pipelineExecutionSummaries"), index, row)
    {
        const char *status = pen_json_text(row, "status");
        running += strcmp(status, "InProgress") == 0 || strcmp(status, "Stopping") == 0 ? 1 : 0;
    }
    json_decref(output);
    if (rc < 0 || running == 0)
        return rc;
    PEN_CLEANUP(pen_buf_release) struct pen_buf what = {0};
    pen_buf_printf(&what,
                   "pipeline '%s' is deleted with its history, while %zu of its executions %s "
                   "in progress",
                   name, running, running == 1 ? "is" : "are");
    return pen_confirm(cli, pen_buf_text(&what), err);
}

/* The API deletes what is not there, too; a person has mistyped the name. */
int pen_cmd_pipeline_delete(struct pen_cli *cli, struct pen_error *err)
{
    const char *name = pen_cli_argument(cli, 0);
    json_t *output = NULL;
    int rc = pen_cli_call(cli, PEN_SERVICE_CODEPIPELINE, "GetPipeline",
                          json_pack("{s:s}", "name", name), &output, err);
    json_decref(output);
    if (rc == 0)
        rc = deletion_confirm(cli, name, err);
    if (rc < 0)
        return rc;
    return pen_cli_call_done(cli, PEN_SERVICE_CODEPIPELINE, "DeletePipeline",
                             json_pack("{s:s}", "name", name), err, "pipeline '%s' deleted", name);
}

static void pipeline_row(const json_t *row, struct pen_table *table)
{
    pen_table_cell(table, pen_json_text(row, "name"));
    pen_table_number(table, pen_json_number(row, "version"));
    pen_table_cell(table, pen_json_text(row, "pipelineType"));
    pen_table_cell(table, pen_json_text(row, "executionMode"));
    pen_table_time(table, pen_json_time_ms(row, "updated"));
}

int pen_cmd_pipeline_list(struct pen_cli *cli, struct pen_error *err)
{
    static const char *const headings[] = {"NAME", "VERSION", "TYPE", "MODE", "UPDATED", NULL};
    static const struct pen_listing listing = {
        PEN_SERVICE_CODEPIPELINE, "ListPipelines", "pipelines", headings, 5, pipeline_row};
    return pen_show_listing(cli, &listing, err);
}
