/* penstock window */
#include <string.h>

#include "cli/commands.h"
#include "cli/input.h"
#include "cli/text.h"
#include "common/base/cleanup.h"

/* A row for each opening; what has none says so in its place. */
static void print(struct pen_cli *cli, const json_t *output)
{
    static const char *const headings[] = {"STAGE",     "RULE",  "WINDOW",
                                           "TIME ZONE", "OPENS", "CLOSES"};
    PEN_CLEANUP(pen_table_release) struct pen_table table = {0};
    pen_table_begin(&table, 6, headings, 6, cli->color);
    size_t index;
    json_t *window;
    json_array_foreach(pen_json_list(output, "windows"), index, window)
    {
        const json_t *openings = pen_json_list(window, "openings");
        size_t count = json_array_size(openings);
        for (size_t i = 0; i == 0 || i < count; i++) {
            const json_t *opening = json_array_get(openings, i);
            pen_table_cell(&table, pen_json_text(window, "stageName"));
            pen_table_cell(&table, pen_json_text(window, "ruleName"));
            pen_table_cell(&table, pen_json_text(window, "cron"));
            pen_table_cell(&table, pen_json_text(window, "timeZone"));
            if (opening == NULL)
                pen_table_cell(&table, "never, or not known before it is asked for");
            else
                pen_table_time(&table, pen_json_time_ms(opening, "opens"));
            if (json_object_get(opening, "closes") == NULL)
                pen_table_cell(&table, "-");
            else
                pen_table_time(&table, pen_json_time_ms(opening, "closes"));
        }
    }
    pen_table_print(&table);
}

int pen_cmd_window(struct pen_cli *cli, struct pen_error *err)
{
    json_t *input = json_object();
    const char *word = pen_cli_argument(cli, 0);
    bool expression = strchr(word, ' ') != NULL; /* which a pipeline's name never has */
    pen_input_set(input, expression ? "cron" : "pipelineName", word);
    pen_input_set(input, "timeZone", pen_cli_option(cli, "--zone"));
    pen_input_set(input, "stageName", pen_cli_option(cli, "--stage"));
    json_t *output = NULL;
    int rc = pen_cli_call(cli, PEN_SERVICE_PENSTOCK, "ListDeploymentWindows", input, &output, err);
    if (rc < 0)
        return rc;
    if (cli->json)
        pen_print_json(output);
    else
        print(cli, output);
    json_decref(output);
    return 0;
}
