#include "cli/confirm.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/text.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"

enum { NAMES_SHOWN = 5 };

int pen_confirm(const struct pen_cli *cli, const char *what, struct pen_error *err)
{
    if (pen_cli_option(cli, "--yes") != NULL)
        return 0;
    PEN_CLEANUP(pen_buf_release) struct pen_buf clean = {0};
    pen_text_clean(what, &clean);
    if (cli->json || isatty(STDIN_FILENO) != 1 || isatty(STDERR_FILENO) != 1)
        return pen_fail(err, PEN_EINVAL, "%s; nothing was done: give --yes to do it",
                        pen_buf_text(&clean));
    (void)fprintf(stderr, "%s. Go on? [y/N] ", pen_buf_text(&clean));
    (void)fflush(stderr);
    char answer[16] = "";
    if (fgets(answer, sizeof answer, stdin) == NULL)
        (void)fputc('\n', stderr);
    answer[strcspn(answer, "\r\n")] = 0;
    if (strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0)
        return 0;
    return pen_fail(err, PEN_ECONFLICT, "nothing was done");
}

/* ---- what pipelines refer to */

struct users {
    struct pen_buf names; /* of the first ones */
    size_t count;
};

static void users_release(struct users *self)
{
    pen_buf_release(&self->names);
}

static bool refers(const json_t *pipeline, const char *key, const char *value)
{
    size_t s;
    json_t *stage;
    json_array_foreach(pen_json_list(pipeline, "stages"), s, stage)
    {
        size_t a;
        json_t *action;
        json_array_foreach(pen_json_list(stage, "actions"), a, action)
        {
            const json_t *configuration = json_object_get(action, "configuration");
            if (strcmp(pen_json_text(configuration, key), value) == 0)
                return true;
        }
    }
    return false;
}

static int look_at(struct pen_cli *cli, const char *name, const char *key, const char *value,
                   struct users *users, struct pen_error *err)
{
    json_t *output = NULL;
    int rc = pen_cli_call(cli, PEN_SERVICE_CODEPIPELINE, "GetPipeline",
                          json_pack("{s:s}", "name", name), &output, err);
    if (rc < 0)
        return rc == PEN_ENOTFOUND ? 0 : rc; /* deleted since it was listed */
    if (refers(json_object_get(output, "pipeline"), key, value)) {
        if (users->count++ < NAMES_SHOWN)
            pen_buf_printf(&users->names, "%s%s", users->count == 1 ? "" : ", ", name);
    }
    json_decref(output);
    return 0;
}

int pen_confirm_unused(struct pen_cli *cli, const char *key, const char *value, const char *what,
                       struct pen_error *err)
{
    PEN_CLEANUP(users_release) struct users users = {0};
    json_t *output = NULL;
    if (pen_cli_option(cli, "--yes") != NULL)
        return 0;
    int rc = pen_cli_call_pages(cli, PEN_SERVICE_CODEPIPELINE, "ListPipelines", json_object(),
                                "pipelines", &output, err);
    size_t index;
    json_t *row;
    json_array_foreach(pen_json_list(output, "pipelines"), index, row)
    {
        if (rc == 0)
            rc = look_at(cli, pen_json_text(row, "name"), key, value, &users, err);
    }
    json_decref(output);
    if (rc < 0 || users.count == 0)
        return rc;
    PEN_CLEANUP(pen_buf_release) struct pen_buf sentence = {0};
    pen_buf_printf(&sentence, "%s; it is in use by the pipeline%s %s%s", what,
                   users.count == 1 ? "" : "s", pen_buf_text(&users.names),
                   users.count > NAMES_SHOWN ? " and others" : "");
    return pen_confirm(cli, pen_buf_text(&sentence), err);
}
