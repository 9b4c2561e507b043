#include "cli/suggest.h"

#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/state.h"
#include "cli/text.h"
#include "common/base/cleanup.h"
#include "common/base/nearest.h"
#include "common/base/str.h"

enum { COMMAND_SIZE = 80 };

const char *pen_suggest_command(const char *first, const char *second)
{
    char both[COMMAND_SIZE];
    (void)snprintf(both, sizeof both, "%.36s%s%.36s", first, second == NULL ? "" : " ",
                   second == NULL ? "" : second);
    struct pen_nearest alone = {.word = first};
    struct pen_nearest together = {.word = both};
    for (const struct pen_cli_command *row = pen_cli_commands; row->name != NULL; row++) {
        pen_nearest_try(&together, row->name);
        if (strchr(row->name, ' ') == NULL)
            pen_nearest_try(&alone, row->name);
    }
    return together.best != NULL ? together.best : alone.best;
}

const char *pen_suggest_option(const struct pen_cli_command *command, const char *name,
                               size_t length)
{
    PEN_CLEANUP(pen_free) char *word = strndup(name, length);
    if (word == NULL || length < 3)
        return NULL;
    const struct pen_cli_option *const tables[] = {command == NULL ? NULL : command->options,
                                                   pen_cli_global_options};
    struct pen_nearest nearest = {.word = word + 2}; /* behind the "--" */
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        for (const struct pen_cli_option *row = tables[i]; row != NULL && row->name != NULL; row++)
            pen_nearest_try(&nearest, row->name + 2);
    }
    return nearest.best == NULL ? NULL : nearest.best - 2;
}

/* ---- names */

/* Where the first argument's names are listed, by the beginning of the command. */
static const struct {
    const char *command, *operation, *list, *member, *of;
    enum pen_service service;
} kinds[] = {
    {"agent ", "ListAgents", "agents", "name", NULL, PEN_SERVICE_PENSTOCK},
    {"repo ", "ListRepositories", "repositories", "name", NULL, PEN_SERVICE_PENSTOCK},
    {"connection ", "ListConnections", "connections", "connectionName", NULL, PEN_SERVICE_PENSTOCK},
    {"webhook ", "ListWebhooks", "webhooks", "name", "definition", PEN_SERVICE_CODEPIPELINE},
    {"", "ListPipelines", "pipelines", "name", NULL, PEN_SERVICE_CODEPIPELINE},
};

static void suggest(struct pen_error *err, const char *word, const char *best)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf clean = {0};
    if (best == NULL || strcmp(best, word) == 0)
        return;
    pen_text_clean(best, &clean);
    size_t size = strlen(err->message);
    (void)snprintf(err->message + size, sizeof err->message - size, "; did you mean '%s'?",
                   pen_buf_text(&clean));
}

/* True when the word is one of them; otherwise the nearest is added to err. */
static bool try_list(const json_t *rows, const char *of, const char *member, const char *word,
                     struct pen_error *err)
{
    struct pen_nearest nearest = {.word = word};
    size_t index;
    json_t *row;
    json_array_foreach(rows, index, row)
    {
        const char *name = pen_json_text(of == NULL ? row : json_object_get(row, of), member);
        if (strcmp(name, word) == 0)
            return true;
        pen_nearest_try(&nearest, name);
    }
    suggest(err, word, nearest.best);
    return false;
}

/* The command's STAGE and ACTION, or --stage and ACTION: both names are in the state. */
static void try_stage(struct pen_cli *cli, struct pen_error *err)
{
    json_t *state = NULL;
    const char *arguments = cli->command->arguments;
    const char *stage = strstr(arguments, "STAGE") != NULL ? pen_cli_argument(cli, 1)
                                                           : pen_cli_option(cli, "--stage");
    const char *action = strstr(arguments, "STAGE ACTION") != NULL ? pen_cli_argument(cli, 2)
                         : strstr(arguments, "[ACTION") != NULL    ? pen_cli_argument(cli, 1)
                                                                   : NULL;
    if (strstr(arguments, "[STAGE ACTION]") != NULL && action == NULL) { /* ACTION alone */
        action = stage;
        stage = NULL;
    }
    const char *slash = action == NULL ? NULL : strchr(action, '/');
    if (slash != NULL) {
        stage = pen_cli_keep(cli, action, (size_t)(slash - action), NULL);
        action = slash + 1;
    }
    if ((stage == NULL && action == NULL) ||
        pen_state_get(cli, cli->arguments[0], &state, NULL) < 0)
        return;
    const json_t *stages = pen_json_list(state, "stageStates");
    bool known = stage == NULL || try_list(stages, NULL, "stageName", stage, err);
    struct pen_nearest nearest = {.word = action == NULL ? "" : action};
    struct pen_state_action each;
    for (size_t position = 0; known && pen_state_next(state, &position, &each);) {
        if (stage == NULL || strcmp(stage, each.stage_name) == 0)
            pen_nearest_try(&nearest, each.action_name);
    }
    if (known && action != NULL)
        suggest(err, action, nearest.best);
    json_decref(state);
}

void pen_suggest_name(struct pen_cli *cli, struct pen_error *err)
{
    const char *word = pen_cli_argument(cli, 0);
    size_t i = 0;
    while (!pen_str_starts_with(cli->command->name, kinds[i].command))
        i++;
    static const char *const takes_name[] = {"NAME", "[NAME]", "AGENT", "ARN|NAME", "PIPELINE"};
    bool named = false;
    for (size_t k = 0; k < sizeof takes_name / sizeof takes_name[0]; k++)
        named = named || pen_str_starts_with(cli->command->arguments, takes_name[k]);
    json_t *output = NULL;
    if (word == NULL || !named || cli->client == NULL ||
        pen_cli_call_pages(cli, kinds[i].service, kinds[i].operation, json_object(), kinds[i].list,
                           &output, NULL) < 0)
        return;
    bool known =
        try_list(pen_json_list(output, kinds[i].list), kinds[i].of, kinds[i].member, word, err);
    json_decref(output);
    if (known && kinds[i].command[0] == 0)
        try_stage(cli, err);
}
