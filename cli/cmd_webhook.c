/* penstock webhook ...: URLs that start pipelines */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input.h"
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
    if (path == NULL)
        return 0;
    PEN_CLEANUP(pen_buf_release) struct pen_buf secret = {0};
    int rc = pen_input_secret(path, "webhook secret", &secret, err);
    if (rc == 0 &&
        json_object_set_new(parameters, "SecretToken", json_string(pen_buf_text(&secret))) < 0)
        rc = pen_fail(err, PEN_EINVAL, "the webhook secret is not UTF-8");
    if (secret.data != NULL)
        explicit_bzero(secret.data, secret.size);
    return rc;
}

int pen_cmd_webhook_put(struct pen_cli *cli, struct pen_error *err)
{
    const char *pipeline = pen_cli_option(cli, "--pipeline");
    const char *action = pen_cli_option(cli, "--action");
    if (pipeline == NULL || action == NULL)
        return pen_fail(err, PEN_EINVAL, "webhook put needs --pipeline and --action");
    json_t *definition = json_pack("{s:s, s:s, s:s}", "name", pen_cli_argument(cli, 0),
                                   "targetPipeline", pipeline, "targetAction", action);
    json_t *input = json_pack("{s:o}", "webhook", definition);
    int rc = filters_set(cli, definition, err);
    if (rc == 0)
        rc = authentication_set(cli, definition, err);
    if (rc < 0) {
        json_decref(input);
        return rc;
    }
    json_t *output = NULL;
    rc = pen_cli_call(cli, PEN_SERVICE_CODEPIPELINE, "PutWebhook", input, &output, err);
    if (rc < 0)
        return rc;
    if (cli->json) {
        pen_print_json(output);
    } else {
        PEN_CLEANUP(pen_buf_release) struct pen_buf url = {0};
        pen_text_clean(pen_json_text(json_object_get(output, "webhook"), "url"), &url);
        (void)puts(pen_buf_text(&url)); /* alone, to be entered at the git server */
    }
    json_decref(output);
    return 0;
}

/* All pages in one: this operation alone spells its members with capitals. */
static int pages(struct pen_cli *cli, json_t **ret_list, struct pen_error *err)
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
    if (rc < 0)
        json_decref(list);
    else
        *ret_list = list;
    return rc;
}

int pen_cmd_webhook_list(struct pen_cli *cli, struct pen_error *err)
{
    static const char *const headings[] = {"NAME", "PIPELINE", "CALLERS", "TRIGGERED", "URL"};
    json_t *list = NULL;
    int rc = pages(cli, &list, err);
    if (rc < 0)
        return rc;
    if (cli->json) {
        json_t *output = json_pack("{s:O}", "webhooks", list);
        pen_print_json(output);
        json_decref(output);
    } else {
        PEN_CLEANUP(pen_table_release) struct pen_table table = {0};
        pen_table_begin(&table, 5, headings, 5, cli->color);
        size_t index;
        json_t *row;
        json_array_foreach(list, index, row)
        {
            const json_t *definition = json_object_get(row, "definition");
            pen_table_cell(&table, pen_json_text(definition, "name"));
            pen_table_cell(&table, pen_json_text(definition, "targetPipeline"));
            pen_table_cell(&table, pen_json_text(definition, "authentication"));
            pen_table_time(&table, pen_json_time_ms(row, "lastTriggered"));
            pen_table_cell(&table, pen_json_text(row, "url"));
        }
        pen_table_print(&table);
    }
    json_decref(list);
    return 0;
}

int pen_cmd_webhook_delete(struct pen_cli *cli, struct pen_error *err)
{
    const char *name = pen_cli_argument(cli, 0);
    return pen_cli_call_done(cli, PEN_SERVICE_CODEPIPELINE, "DeleteWebhook",
                             json_pack("{s:s}", "name", name), err, "webhook '%s' deleted", name);
}
