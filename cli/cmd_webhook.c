/* penstock webhook ...: URLs that start pipelines */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input.h"
#include "cli/show.h"
#include "cli/text.h"
#include "common/base/cleanup.h"

/* "PATH=VALUE" or "PATH", once for each time the option was given. */
static int filters_set(const struct pen_cli *cli, json_t *definition, struct pen_error *err)
{
    json_t *list = json_array();
    const char *given = NULL;
    for (size_t i = 0; (given = pen_cli_option_at(cli, "--filter", i)) != NULL; i++) {
        size_t size = strcspn(given, "=");
        if (size == 0) {
            json_decref(list);
            return pen_fail(err, PEN_EINVAL, "--filter '%.80s': expected PATH or PATH=VALUE",
                            given);
        }
        json_t *filter = json_pack("{s:s%}", "jsonPath", given, size);
        if (given[size] == '=')
            pen_input_set(filter, "matchEquals", given + size + 1);
        (void)json_array_append_new(list, filter);
    }
    (void)json_object_set_new(definition, "filters", list);
    return 0;
}

static int authentication_set(const struct pen_cli *cli, json_t *definition, struct pen_error *err)
{
    const char *path = pen_cli_option(cli, "--secret-file");
    const char *range = pen_cli_option(cli, "--allow");
    const char *open = pen_cli_option(cli, "--unauthenticated");
    if ((path != NULL) + (range != NULL) + (open != NULL) != 1)
        return pen_fail(err, PEN_EINVAL,
                        "webhook put needs one of --secret-file, --allow and --unauthenticated");
    pen_input_set(definition, "authentication",
                  path != NULL    ? "GITHUB_HMAC"
                  : range != NULL ? "IP"
                                  : "UNAUTHENTICATED");
    json_t *parameters = json_object();
    (void)json_object_set_new(definition, "authenticationConfiguration", parameters);
    pen_input_set(parameters, "AllowedIPRange", range);
    return pen_input_set_secret(parameters, "SecretToken", path, "webhook secret", err);
}

/* The URL alone, to be entered at the git server. */
int pen_cmd_webhook_put(struct pen_cli *cli, struct pen_error *err)
{
    const char *pipeline = pen_cli_option(cli, "--pipeline");
    const char *action = pen_cli_option(cli, "--action");
    if (pipeline == NULL || action == NULL)
        return pen_fail(err, PEN_EINVAL, "webhook put needs --pipeline and --action");
    const char *slash = strchr(action, '/'); /* of STAGE/ACTION; no two actions share a name */
    json_t *definition =
        json_pack("{s:s, s:s, s:s}", "name", pen_cli_argument(cli, 0), "targetPipeline", pipeline,
                  "targetAction", slash == NULL ? action : slash + 1);
    json_t *input = json_pack("{s:o}", "webhook", definition);
    int rc = filters_set(cli, definition, err);
    if (rc == 0)
        rc = authentication_set(cli, definition, err);
    if (rc < 0) {
        json_decref(input);
        return rc;
    }
    return pen_show_member(cli, PEN_SERVICE_CODEPIPELINE, "PutWebhook", input, "webhook", "url",
                           err);
}

/* All pages in one answer: this operation alone spells its members with capitals. */
static int pages(struct pen_cli *cli, json_t **ret_output, struct pen_error *err)
{
    json_t *list = json_array();
    PEN_CLEANUP(pen_buf_release) struct pen_buf token = {0};
    int rc = 0;
    do {
        json_t *output = NULL;
        json_t *input = json_object();
        pen_input_set(input, "NextToken", token.size > 0 ? pen_buf_text(&token) : NULL);
        rc = pen_cli_call(cli, PEN_SERVICE_CODEPIPELINE, "ListWebhooks", input, &output, err);
        pen_buf_clear(&token);
        if (rc == 0) {
            (void)json_array_extend(list, pen_json_list(output, "webhooks"));
            pen_buf_puts(&token, pen_json_text(output, "NextToken"));
            rc = pen_buf_ok(&token, err);
        }
        json_decref(output);
    } while (rc == 0 && token.size > 0);
    if (rc == 0)
        *ret_output = json_pack("{s:O}", "webhooks", list);
    json_decref(list);
    return rc;
}

static void webhook_row(const json_t *row, struct pen_table *table)
{
    const json_t *definition = json_object_get(row, "definition");
    pen_table_cell(table, pen_json_text(definition, "name"));
    pen_table_cell(table, pen_json_text(definition, "targetPipeline"));
    pen_table_cell(table, pen_json_text(definition, "authentication"));
    pen_table_time(table, pen_json_time_ms(row, "lastTriggered"));
    pen_table_cell(table, pen_json_text(row, "url"));
}

int pen_cmd_webhook_list(struct pen_cli *cli, struct pen_error *err)
{
    static const char *const headings[] = {"NAME", "PIPELINE", "CALLERS", "TRIGGERED", "URL", NULL};
    static const struct pen_listing listing = {
        PEN_SERVICE_CODEPIPELINE, "ListWebhooks", "webhooks", headings, 5, webhook_row};
    json_t *output = NULL;
    int rc = pages(cli, &output, err);
    if (rc < 0)
        return rc;
    pen_show_rows(cli, output, &listing);
    json_decref(output);
    return 0;
}

/* The API deletes what is not there, too; a person has mistyped the name. */
int pen_cmd_webhook_delete(struct pen_cli *cli, struct pen_error *err)
{
    const char *name = pen_cli_argument(cli, 0);
    json_t *output = NULL;
    int rc = pages(cli, &output, err);
    if (rc < 0)
        return rc;
    bool known = false;
    size_t index;
    json_t *row;
    json_array_foreach(pen_json_list(output, "webhooks"), index, row)
    {
        const json_t *definition = json_object_get(row, "definition");
        known = known || strcmp(pen_json_text(definition, "name"), name) == 0;
    }
    json_decref(output);
    if (!known)
        return pen_fail(err, PEN_ENOTFOUND, "no webhook '%.100s'", name);
    return pen_cli_call_done(cli, PEN_SERVICE_CODEPIPELINE, "DeleteWebhook",
                             json_pack("{s:s}", "name", name), err, "webhook '%s' deleted", name);
}
