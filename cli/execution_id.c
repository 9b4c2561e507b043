#include "cli/execution_id.h"

#include <string.h>

#include "cli/text.h"
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

int pen_execution_id_complete(struct pen_cli *cli, struct pen_error *err)
{
    const char **place = place_of(cli);
    if (place == NULL)
        return 0;
    size_t length = strlen(*place);
    if (length < BEGINNING_MIN || length > ID_LENGTH ||
        strspn(*place, "0123456789abcdef-") != length)
        return pen_fail(err, PEN_EINVAL,
                        "'%.64s' is not the id of an execution, nor its first digits; 'penstock "
                        "history %.100s' lists them",
                        *place, cli->arguments[0]);
    if (length == ID_LENGTH)
        return 0;
    json_t *output = NULL;
    int rc = pen_cli_call(
        cli, PEN_SERVICE_CODEPIPELINE, "ListPipelineExecutions",
        json_pack("{s:s, s:i}", "pipelineName", cli->arguments[0], "maxResults", EXECUTIONS_MAX),
        &output, err);
    if (rc == 0)
        rc = find(cli, pen_json_list(output, "pipelineExecutionSummaries"), *place, err);
    json_decref(output);
    if (rc == 0)
        *place = cli->execution_id;
    return rc;
}
