/* penstock repo ..., connection ...: where revisions come from */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/confirm.h"
#include "cli/input.h"
#include "cli/show.h"
#include "cli/text.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"

/* The path alone, for git remote add. */
int pen_cmd_repo_create(struct pen_cli *cli, struct pen_error *err)
{
    return pen_show_member(cli, PEN_SERVICE_PENSTOCK, "CreateRepository",
                           json_pack("{s:s}", "name", pen_cli_argument(cli, 0)), "repository",
                           "path", err);
}

static void repository_row(const json_t *row, struct pen_table *table)
{
    pen_table_cell(table, pen_json_text(row, "name"));
    pen_table_cell(table, pen_json_text(row, "path"));
    pen_table_time(table, pen_json_time_ms(row, "createdAt"));
}

int pen_cmd_repo_list(struct pen_cli *cli, struct pen_error *err)
{
    static const char *const headings[] = {"NAME", "PATH", "CREATED", NULL};
    static const struct pen_listing listing = {
        PEN_SERVICE_PENSTOCK, "ListRepositories", "repositories", headings, 3, repository_row};
    return pen_show_listing(cli, &listing, err);
}

int pen_cmd_repo_delete(struct pen_cli *cli, struct pen_error *err)
{
    const char *name = pen_cli_argument(cli, 0);
    PEN_CLEANUP(pen_buf_release) struct pen_buf what = {0};
    pen_buf_printf(&what, "repository '%s' is deleted with all its commits", name);
    int rc = pen_confirm_unused(cli, "RepositoryName", name, pen_buf_text(&what), err);
    if (rc < 0)
        return rc;
    return pen_cli_call_done(cli, PEN_SERVICE_PENSTOCK, "DeleteRepository",
                             json_pack("{s:s}", "name", name), err, "repository '%s' deleted",
                             name);
}

/* The ARN alone, for the pipeline's ConnectionArn. */
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
    int rc = pen_input_set_secret(input, "secret", path, "password, token or key", err);
    if (rc == 0)
        rc = pen_input_set_secret(input, "hookSecret", hook_path, "webhook secret", err);
    if (rc < 0) {
        json_decref(input);
        return rc;
    }
    return pen_show_member(cli, PEN_SERVICE_PENSTOCK, "CreateConnection", input, NULL,
                           "connectionArn", err);
}

static void connection_row(const json_t *row, struct pen_table *table)
{
    pen_table_cell(table, pen_json_text(row, "connectionName"));
    pen_table_cell(table, pen_json_text(row, "baseUrl"));
    pen_table_cell(table, pen_json_text(row, "username"));
    pen_table_cell(table, pen_json_text(row, "connectionArn"));
    pen_table_time(table, pen_json_time_ms(row, "createdAt"));
}

int pen_cmd_connection_list(struct pen_cli *cli, struct pen_error *err)
{
    static const char *const headings[] = {"NAME", "URL", "USER", "ARN", "CREATED", NULL};
    static const struct pen_listing listing = {
        PEN_SERVICE_PENSTOCK, "ListConnections", "connections", headings, 5, connection_row};
    return pen_show_listing(cli, &listing, err);
}

/* The ARN of the one connection with this name. */
static int arn_find(struct pen_cli *cli, const char *name, char **ret_arn, struct pen_error *err)
{
    json_t *output = NULL;
    int rc = pen_cli_call_pages(cli, PEN_SERVICE_PENSTOCK, "ListConnections", json_object(),
                                "connections", &output, err);
    if (rc < 0)
        return rc;
    const char *arn = NULL;
    size_t index;
    json_t *row;
    json_array_foreach(pen_json_list(output, "connections"), index, row)
    {
        if (strcmp(pen_json_text(row, "connectionName"), name) != 0)
            continue;
        if (arn != NULL)
            rc = pen_fail(err, PEN_EINVAL,
                          "several connections are called '%.64s': give the ARN of one, which "
                          "'penstock connection list' shows",
                          name);
        arn = pen_json_text(row, "connectionArn");
    }
    if (arn == NULL)
        rc = pen_fail(err, PEN_ENOTFOUND, "no connection '%.64s'", name);
    if (rc == 0 && !pen_str_set(ret_arn, arn))
        rc = pen_fail(err, PEN_ENOMEM, "no memory for an ARN");
    json_decref(output);
    return rc;
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
    PEN_CLEANUP(pen_buf_release) struct pen_buf what = {0};
    const char *of = arn == NULL ? name : arn;
    pen_buf_printf(&what, "connection '%s' is deleted with its credentials", name);
    int rc = pen_confirm_unused(cli, "ConnectionArn", of, pen_buf_text(&what), err);
    if (rc < 0)
        return rc;
    return pen_cli_call_done(cli, PEN_SERVICE_PENSTOCK, "DeleteConnection",
                             json_pack("{s:s}", "connectionArn", of), err,
                             "connection '%s' deleted", name);
}
