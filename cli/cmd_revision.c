/* penstock revision put: somebody else has seen a revision */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/show.h"
#include "common/io/clock.h"

int pen_cmd_revision_put(struct pen_cli *cli, struct pen_error *err)
{
    const char *revision = pen_cli_argument(cli, 3);
    const char *change = pen_cli_option(cli, "--change");
    json_t *input = json_pack(
        "{s:s, s:s, s:s, s:{s:s, s:s, s:f}}", "pipelineName", pen_cli_argument(cli, 0), "stageName",
        pen_cli_argument(cli, 1), "actionName", pen_cli_argument(cli, 2), "actionRevision",
        "revisionId", revision, "revisionChangeId", change != NULL ? change : revision, "created",
        (double)pen_clock_wall_ms() / 1000);
    json_t *output = NULL;
    int rc = pen_cli_call(cli, PEN_SERVICE_CODEPIPELINE, "PutActionRevision", input, &output, err);
    if (rc < 0)
        return rc;
    pen_show_word(cli, output, pen_json_text(output, "pipelineExecutionId"));
    if (!cli->json && !json_is_true(json_object_get(output, "newRevision")))
        (void)fputs("This revision is known already: nothing was started.\n", stderr);
    json_decref(output);
    return 0;
}
