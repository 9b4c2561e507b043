/* penstock pipeline ... */
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/show.h"
#include "cli/text.h"
#include "common/base/units.h"

#include "common/base/cleanup.h"

static const char *name_in(const json_t *input)
{
    return pen_json_text(json_object_get(input, "pipeline"), "name");
}

/* Read the file, call the operation, say what was done. */
static int send_file(struct pen_cli *cli, enum pen_service service, const char *operation,
                     const char *done, struct pen_error *err)
{
    json_t *input = NULL;
    int rc = pen_input_pipeline(pen_cli_argument(cli, 0), &input, err);
    if (rc < 0)
        return rc;
    rc = pen_cli_call_done(cli, service, operation, json_incref(input), err, "pipeline '%s' %s",
                           name_in(input), done);
    json_decref(input);
    return rc;
}

int pen_cmd_pipeline_create(struct pen_cli *cli, struct pen_error *err)
{
    return send_file(cli, PEN_SERVICE_CODEPIPELINE, "CreatePipeline", "created", err);
}

int pen_cmd_pipeline_update(struct pen_cli *cli, struct pen_error *err)
{
    return send_file(cli, PEN_SERVICE_CODEPIPELINE, "UpdatePipeline", "updated", err);
}

int pen_cmd_pipeline_validate(struct pen_cli *cli, struct pen_error *err)
{
    return send_file(cli, PEN_SERVICE_PENSTOCK, "ValidatePipeline", "is valid", err);
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

/* The API deletes what is not there, too; a person has mistyped the name. */
int pen_cmd_pipeline_delete(struct pen_cli *cli, struct pen_error *err)
{
    const char *name = pen_cli_argument(cli, 0);
    json_t *output = NULL;
    int rc = pen_cli_call(cli, PEN_SERVICE_CODEPIPELINE, "GetPipeline",
                          json_pack("{s:s}", "name", name), &output, err);
    json_decref(output);
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
