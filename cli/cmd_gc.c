/* penstock gc */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/text.h"
#include "common/base/cleanup.h"
#include "common/base/units.h"

enum { WAIT_S = 20 }; /* of one poll; the collection goes on without us, too */

static uint64_t count(const json_t *object, const char *name)
{
    int64_t number = pen_json_number(object, name);
    return number < 0 ? 0 : (uint64_t)number;
}

static void put_size(struct pen_table *table, const json_t *object, const char *name)
{
    char text[PEN_SIZE_TEXT_SIZE];
    pen_size_format_brief(count(object, name), text);
    pen_table_cell(table, text);
}

static void print_pipelines(const struct pen_cli *cli, const json_t *collection)
{
    static const char *const headings[] = {"PIPELINE", "EXECUTIONS", "LOGS", "LOG SIZE",
                                           "ARTIFACTS"};
    json_t *list = pen_json_list(collection, "pipelines");
    if (json_array_size(list) == 0)
        return;
    PEN_CLEANUP(pen_table_release) struct pen_table table = {0};
    pen_table_begin(&table, 5, headings, 5, cli->color);
    size_t index;
    json_t *pipeline;
    json_array_foreach(list, index, pipeline)
    {
        PEN_CLEANUP(pen_buf_release) struct pen_buf name = {0};
        pen_buf_printf(&name, "%s%s", pen_json_text(pipeline, "pipelineName"),
                       pen_json_flag(pipeline, "deleted") ? " (deleted)" : "");
        pen_table_cell(&table, pen_buf_text(&name));
        pen_table_number(&table, pen_json_number(pipeline, "executions"));
        pen_table_number(&table, pen_json_number(pipeline, "logs"));
        put_size(&table, pipeline, "logBytes");
        pen_table_number(&table, pen_json_number(pipeline, "artifacts"));
    }
    pen_table_print(&table);
    (void)puts("");
}

/* Of all pipelines, and of what belongs to none any more. */
static void print_sums(const struct pen_cli *cli, const json_t *collection)
{
    static const struct {
        const char *what, *number, *bytes;
    } sums[] = {{"executions", "executions", NULL},
                {"logs", "logs", "logBytes"},
                {"parts of artifacts", "blobs", "blobBytes"},
                {"mirrors", "mirrors", "mirrorBytes"},
                {"revoked agents", "agents", NULL}};
    static const char *const headings[] = {"WHAT", "COUNT", "SIZE"};
    PEN_CLEANUP(pen_table_release) struct pen_table table = {0};
    pen_table_begin(&table, 3, headings, 3, cli->color);
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++) {
        pen_table_cell(&table, sums[i].what);
        pen_table_number(&table, pen_json_number(collection, sums[i].number));
        if (sums[i].bytes == NULL)
            pen_table_cell(&table, "-");
        else
            put_size(&table, collection, sums[i].bytes);
    }
    pen_table_print(&table);
}

static void print(const struct pen_cli *cli, const json_t *collection)
{
    char text[PEN_SIZE_TEXT_SIZE];
    bool dry_run = pen_json_flag(collection, "dryRun");
    print_pipelines(cli, collection);
    print_sums(cli, collection);
    uint64_t bytes = count(collection, "logBytes") + count(collection, "blobBytes") +
                     count(collection, "mirrorBytes");
    pen_size_format_brief(bytes, text);
    (void)printf("\n%s %s\n", text, dry_run ? "would be freed" : "freed");
    uint64_t young = count(collection, "youngBlobs");
    if (young > 0)
        (void)printf("%" PRIu64 " unused parts of artifacts are younger than an hour and stay for "
                     "now\n",
                     young);
    if (pen_json_flag(collection, "more"))
        (void)puts("there is more than one collection takes: run it again");
}

/* Ask until it has ended; *ret_output is then its answer. */
static int follow(struct pen_cli *cli, const char *id, json_t **ret_output, struct pen_error *err)
{
    for (;;) {
        json_t *output = NULL;
        int rc = pen_cli_call(cli, PEN_SERVICE_PENSTOCK, "GetCollection",
                              json_pack("{s:s,s:i}", "collectionId", id, "waitSeconds", WAIT_S),
                              &output, err);
        if (rc < 0)
            return rc;
        const json_t *collection = json_object_get(output, "collection");
        if (strcmp(pen_json_text(collection, "status"), "InProgress") != 0) {
            *ret_output = output;
            return 0;
        }
        json_decref(output);
    }
}

int pen_cmd_gc(struct pen_cli *cli, struct pen_error *err)
{
    bool dry_run = pen_cli_option(cli, "--dry-run") != NULL;
    json_t *output = NULL;
    int rc = pen_cli_call(cli, PEN_SERVICE_PENSTOCK, "StartCollection",
                          json_pack("{s:b}", "dryRun", dry_run), &output, err);
    if (rc < 0)
        return rc;
    PEN_CLEANUP(pen_buf_release) struct pen_buf id = {0};
    pen_buf_puts(&id, pen_json_text(output, "collectionId"));
    json_decref(output);
    if ((rc = pen_buf_ok(&id, err)) < 0 || (rc = follow(cli, pen_buf_text(&id), &output, err)) < 0)
        return rc;
    const json_t *collection = json_object_get(output, "collection");
    const char *error = pen_json_text(collection, "error");
    if (cli->json)
        pen_print_json(output);
    else
        print(cli, collection);
    if (error[0] != '\0') {
        rc = pen_fail(err, PEN_EUNAVAILABLE, "the collection ended before its end: %s", error);
        cli->exit_code = PEN_EXIT_FAILED;
    }
    json_decref(output);
    return rc;
}
