/* penstock revision put: somebody else has seen a revision */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/meant.h"
#include "cli/show.h"
#include "cli/text.h"
#include "common/io/clock.h"

/* Whether a job worker outside gives the action its revisions: then they may look like anything. */
static int find_custom(struct pen_cli *cli, bool *ret_custom, struct pen_error *err)
{
    json_t *output = NULL;
    int rc = pen_cli_call(cli, PEN_SERVICE_CODEPIPELINE, "GetPipeline",
                          json_pack("{s:s}", "name", pen_cli_argument(cli, 0)), &output, err);
    size_t s;
    json_t *stage;
    *ret_custom = false;
    json_array_foreach(pen_json_list(json_object_get(output, "pipeline"), "stages"), s, stage)
    {
        size_t a;
        json_t *action;
        json_array_foreach(pen_json_list(stage, "actions"), a, action)
        {
            const json_t *type = json_object_get(action, "actionTypeId");
            if (strcmp(pen_json_text(action, "name"), pen_cli_argument(cli, 2)) == 0)
                *ret_custom = strcmp(pen_json_text(type, "owner"), "Custom") == 0;
        }
    }
    json_decref(output);
    return rc;
}

int pen_cmd_revision_put(struct pen_cli *cli, struct pen_error *err)
{
    const char *revision = pen_cli_argument(cli, 3);
    bool whole = pen_meant_is_commit(revision);
    int rc = whole ? 0 : find_custom(cli, &whole, err);
    if (rc == 0 && !whole)
        rc = pen_meant_revision(cli, pen_cli_argument(cli, 2), revision, &revision, err);
    if (rc < 0)
        return rc;
    const char *change = pen_cli_option(cli, "--change");
    json_t *input = json_pack(
        "{s:s, s:s, s:s, s:{s:s, s:s, s:f}}", "pipelineName", pen_cli_argument(cli, 0), "stageName",
        pen_cli_argument(cli, 1), "actionName", pen_cli_argument(cli, 2), "actionRevision",
        "revisionId", revision, "revisionChangeId", change != NULL ? change : revision, "created",
        (double)pen_clock_wall_ms() / 1000);
    json_t *output = NULL;
    rc = pen_cli_call(cli, PEN_SERVICE_CODEPIPELINE, "PutActionRevision", input, &output, err);
    if (rc < 0)
        return rc;
    pen_show_word(cli, output, pen_json_text(output, "pipelineExecutionId"));
    if (!cli->json && !json_is_true(json_object_get(output, "newRevision")))
        (void)fputs("This revision is known already: nothing was started.\n", stderr);
    json_decref(output);
    return 0;
}
