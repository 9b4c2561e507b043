#include "cli/execution_id.h"

#include <string.h>

#include "cli/text.h"
#include "common/base/check.h"
#include "common/base/str.h"

enum {
    ID_LENGTH = 36,
    BEGINNING_MIN = 4,   /* shorter ones soon name several */
    EXECUTIONS_MAX = 100 /* one page of the API */
};

/* Where the command takes an id: among its arguments, or as an option. NULL: nowhere, or not given.
 */
static const char **place_of(struct pen_cli *cli)
{
    size_t position = 0;
    const char *word = cli->command->arguments;
    while (*word != 0) {
        word += strspn(word, " []");
        size_t length = strcspn(word, " []");
        if (length == strlen("EXECUTION") && strncmp(word, "EXECUTION", length) == 0)
            return position < cli->arguments_count ? &cli->arguments[position] : NULL;
        word += length;
        position += length > 0;
    }
    for (size_t i = cli->given_count; i > 0; i--)
        if (strcmp(cli->given[i - 1].option->name, "--execution") == 0)
            return &cli->given[i - 1].value;
    return NULL;
}

/* Into cli->execution_id. */
static int find(struct pen_cli *cli, const json_t *executions, const char *beginning,
                struct pen_error *err)
{
    size_t found = 0;
    size_t index;
    json_t *row;
    json_array_foreach(executions, index, row)
    {
        const char *id = pen_json_text(row, "pipelineExecutionId");
        if (!pen_str_starts_with(id, beginning))
            continue;
        found++;
        if (!pen_str_copy(cli->execution_id, sizeof cli->execution_id, id))
            return pen_fail(err, PEN_EUNAVAILABLE, "the controller gave '%.64s' as an id", id);
    }
    if (found == 0)
        return pen_fail(err, PEN_ENOTFOUND,
                        "none of the newest %d executions of '%.100s' begins with '%s'; 'penstock "
                        "history %.100s' lists them",
                        EXECUTIONS_MAX, cli->arguments[0], beginning, cli->arguments[0]);
    if (found > 1)
        return pen_fail(err, PEN_EINVAL,
                        "%zu executions of '%.100s' begin with '%s'; give more of it", found,
                        cli->arguments[0], beginning);
    return 0;
}

static bool may_be_id(const char *word)
{
    size_t length = strlen(word);
    return length >= BEGINNING_MIN && length <= ID_LENGTH &&
           strspn(word, "0123456789abcdef-") == length;
}

static int list(struct pen_cli *cli, const char *pipeline, json_t **ret_output,
                struct pen_error *err)
{
    return pen_cli_call(
        cli, PEN_SERVICE_CODEPIPELINE, "ListPipelineExecutions",
        json_pack("{s:s, s:i}", "pipelineName", pipeline, "maxResults", EXECUTIONS_MAX), ret_output,
        err);
}

/* Add the executions of a pipeline that begin so. */
static int collect(struct pen_cli *cli, const char *pipeline, const char *beginning,
                   json_t *ret_found, struct pen_error *err)
{
    json_t *output = NULL;
    int rc = list(cli, pipeline, &output, err);
    if (rc < 0)
        return rc == PEN_ENOTFOUND ? 0 : rc; /* deleted since it was listed */
    size_t index;
    json_t *row;
    json_array_foreach(pen_json_list(output, "pipelineExecutionSummaries"), index, row)
    {
        if (pen_str_starts_with(pen_json_text(row, "pipelineExecutionId"), beginning))
            (void)json_array_append(ret_found, json_object_get(row, "pipelineExecutionId"));
    }
    json_decref(output);
    return 0;
}

/* NAME|EXECUTION: the name of a pipeline comes first; what else looks like an id is looked for
 * among the executions of all pipelines. What is not found stays as it is. */
static int complete_alone(struct pen_cli *cli, struct pen_error *err)
{
    CHECK(cli->arguments != NULL && cli->arguments_count > 0); /* the command takes one at least */
    const char *word = cli->arguments[0];
    if (!may_be_id(word) || strlen(word) == ID_LENGTH)
        return 0;
    json_t *output = NULL;
    json_t *found = json_array();
    bool is_name = false;
    int rc = pen_cli_call_pages(cli, PEN_SERVICE_CODEPIPELINE, "ListPipelines", json_object(),
                                "pipelines", &output, err);
    size_t index;
    json_t *row;
    json_array_foreach(pen_json_list(output, "pipelines"), index, row) is_name =
        is_name || strcmp(pen_json_text(row, "name"), word) == 0;
    json_array_foreach(pen_json_list(output, "pipelines"), index, row)
    {
        if (rc == 0 && !is_name)
            rc = collect(cli, pen_json_text(row, "name"), word, found, err);
    }
    size_t count = json_array_size(found);
    if (rc == 0 && count > 1)
        rc = pen_fail(err, PEN_EINVAL, "%zu executions begin with '%s'; give more of it", count,
                      word);
    if (rc == 0 && count == 1) {
        const char *id = json_string_value(json_array_get(found, 0));
        if (pen_str_copy(cli->execution_id, sizeof cli->execution_id, id))
            cli->arguments[0] = cli->execution_id;
    }
    json_decref(found);
    json_decref(output);
    return rc;
}

int pen_execution_id_complete(struct pen_cli *cli, struct pen_error *err)
{
    const char **place = place_of(cli);
    if (place == NULL && strcmp(cli->command->arguments, "NAME|EXECUTION") == 0)
        return complete_alone(cli, err);
    if (place == NULL)
        return 0;
    if (!may_be_id(*place))
        return pen_fail(err, PEN_EINVAL,
                        "'%.64s' is not the id of an execution, nor its first digits; 'penstock "
                        "history %.100s' lists them",
                        *place, cli->arguments[0]);
    if (strlen(*place) == ID_LENGTH)
        return 0;
    json_t *output = NULL;
    int rc = list(cli, cli->arguments[0], &output, err);
    if (rc == 0)
        rc = find(cli, pen_json_list(output, "pipelineExecutionSummaries"), *place, err);
    json_decref(output);
    if (rc == 0)
        *place = cli->execution_id;
    return rc;
}
