/* penstock repo ..., connection ...: where revisions come from */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input.h"
#include "cli/text.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"

int pen_cmd_repo_create(struct pen_cli *cli, struct pen_error *err)
{
    json_t *output = NULL;
    int rc = pen_cli_call(cli, PEN_SERVICE_PENSTOCK, "CreateRepository",
                          json_pack("{s:s}", "name", pen_cli_argument(cli, 0)), &output, err);
    if (rc < 0)
        return rc;
    if (cli->json) {
        pen_print_json(output);
    } else {
        PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
        pen_text_clean(pen_json_text(json_object_get(output, "repository"), "path"), &path);
        (void)puts(pen_buf_text(&path)); /* alone, for git remote add */
    }
    json_decref(output);
    return 0;
}

/* List what an operation gives, as a table of text members and a time in the last column. */
static int list(struct pen_cli *cli, const char *operation, const char *member, size_t columns,
                const char *const *headings, const char *const *members, struct pen_error *err)
{
    json_t *output = NULL;
    int rc = pen_cli_call_pages(cli, PEN_SERVICE_PENSTOCK, operation, json_object(), member,
                                &output, err);
    if (rc < 0)
        return rc;
    if (cli->json) {
        pen_print_json(output);
    } else {
        PEN_CLEANUP(pen_table_release) struct pen_table table = {0};
        pen_table_begin(&table, columns, headings, columns, cli->color);
        size_t index;
        json_t *row;
        json_array_foreach(pen_json_list(output, member), index, row)
        {
            for (size_t i = 0; i + 1 < columns; i++)
                pen_table_cell(&table, pen_json_text(row, members[i]));
            pen_table_time(&table, pen_json_time_ms(row, members[columns - 1]));
        }
        pen_table_print(&table);
    }
    json_decref(output);
    return 0;
}

int pen_cmd_repo_list(struct pen_cli *cli, struct pen_error *err)
{
    return list(cli, "ListRepositories", "repositories", 3,
                (const char *const[]){"NAME", "PATH", "CREATED"},
                (const char *const[]){"name", "path", "createdAt"}, err);
}

int pen_cmd_repo_delete(struct pen_cli *cli, struct pen_error *err)
{
    const char *name = pen_cli_argument(cli, 0);
    return pen_cli_call_done(cli, PEN_SERVICE_PENSTOCK, "DeleteRepository",
                             json_pack("{s:s}", "name", name), err, "repository '%s' deleted",
                             name);
}

static int secret_set(const struct pen_cli *cli, const char *option, const char *what,
                      const char *member, json_t *input, struct pen_error *err)
{
    const char *path = pen_cli_option(cli, option);
    if (path == NULL)
        return 0;
    PEN_CLEANUP(pen_buf_release) struct pen_buf secret = {0};
    int rc = pen_input_secret(path, what, &secret, err);
    if (rc == 0 && json_object_set_new(input, member, json_string(pen_buf_text(&secret))) < 0)
        rc = pen_fail(err, PEN_EINVAL, "the %s is not UTF-8", what);
    if (secret.data != NULL)
        explicit_bzero(secret.data, secret.size);
    return rc;
}

int pen_cmd_connection_create(struct pen_cli *cli, struct pen_error *err)
{
    const char *url = pen_cli_option(cli, "--url");
    const char *path = pen_cli_option(cli, "--secret-file");
    const char *hook_path = pen_cli_option(cli, "--hook-secret-file");
    if (url == NULL)
        return pen_fail(err, PEN_EINVAL, "connection create needs --url");
    if (path != NULL && hook_path != NULL && strcmp(path, "-") == 0 && strcmp(hook_path, "-") == 0)
        return pen_fail(err, PEN_EINVAL, "only one secret can come from standard input");
    json_t *input =
        json_pack("{s:s, s:s}", "connectionName", pen_cli_argument(cli, 0), "baseUrl", url);
    pen_input_set(input, "username", pen_cli_option(cli, "--username"));
    int rc = secret_set(cli, "--secret-file", "password, token or key", "secret", input, err);
    if (rc == 0)
        rc = secret_set(cli, "--hook-secret-file", "webhook secret", "hookSecret", input, err);
    if (rc < 0) {
        json_decref(input);
        return rc;
    }
    json_t *output = NULL;
    rc = pen_cli_call(cli, PEN_SERVICE_PENSTOCK, "CreateConnection", input, &output, err);
    if (rc < 0)
        return rc;
    if (cli->json) {
        pen_print_json(output);
    } else {
        PEN_CLEANUP(pen_buf_release) struct pen_buf arn = {0};
        pen_text_clean(pen_json_text(output, "connectionArn"), &arn);
        (void)puts(pen_buf_text(&arn)); /* alone, for the pipeline's ConnectionArn */
    }
    json_decref(output);
    return 0;
}

int pen_cmd_connection_list(struct pen_cli *cli, struct pen_error *err)
{
    return list(cli, "ListConnections", "connections", 5,
                (const char *const[]){"NAME", "URL", "USER", "ARN", "CREATED"},
                (const char *const[]){"connectionName", "baseUrl", "username", "connectionArn",
                                      "createdAt"},
                err);
}

/* The ARN of the connection with this name. */
static int arn_find(struct pen_cli *cli, const char *name, char **ret_arn, struct pen_error *err)
{
    json_t *output = NULL;
    int rc = pen_cli_call_pages(cli, PEN_SERVICE_PENSTOCK, "ListConnections", json_object(),
                                "connections", &output, err);
    if (rc < 0)
        return rc;
    size_t index;
    json_t *row;
    json_array_foreach(pen_json_list(output, "connections"), index, row)
    {
        if (*ret_arn == NULL && strcmp(pen_json_text(row, "connectionName"), name) == 0)
            *ret_arn = strdup(pen_json_text(row, "connectionArn"));
    }
    json_decref(output);
    return *ret_arn == NULL ? pen_fail(err, PEN_ENOTFOUND, "no connection '%.64s'", name) : 0;
}

int pen_cmd_connection_delete(struct pen_cli *cli, struct pen_error *err)
{
    const char *name = pen_cli_argument(cli, 0);
    PEN_CLEANUP(pen_free) char *arn = NULL;
    if (!pen_str_starts_with(name, "arn:")) {
        int rc = arn_find(cli, name, &arn, err);
        if (rc < 0)
            return rc;
    }
    return pen_cli_call_done(cli, PEN_SERVICE_PENSTOCK, "DeleteConnection",
                             json_pack("{s:s}", "connectionArn", arn == NULL ? name : arn), err,
                             "connection '%s' deleted", name);
}
