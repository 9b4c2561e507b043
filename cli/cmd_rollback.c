/* penstock rollback, override */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input.h"
#include "cli/text.h"
#include "common/base/cleanup.h"

int pen_cmd_rollback(struct pen_cli *cli, struct pen_error *err)
{
    json_t *output = NULL;
    json_t *input =
        json_pack("{s:s, s:s, s:s}", "pipelineName", pen_cli_argument(cli, 0), "stageName",
                  pen_cli_argument(cli, 1), "targetPipelineExecutionId", pen_cli_argument(cli, 2));
    int rc = pen_cli_call(cli, PEN_SERVICE_CODEPIPELINE, "RollbackStage", input, &output, err);
    if (rc < 0)
        return rc;
    if (cli->json) {
        pen_print_json(output);
    } else { /* like start: the id, for scripts */
        PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
        pen_text_clean(pen_json_text(output, "pipelineExecutionId"), &text);
        (void)puts(pen_buf_text(&text));
    }
    json_decref(output);
    return 0;
}

int pen_cmd_override(struct pen_cli *cli, struct pen_error *err)
{
    const char *which = pen_cli_argument(cli, 3);
    bool entry = which == NULL || strcmp(which, "before-entry") == 0;
    if (!entry && strcmp(which, "on-success") != 0)
        return pen_fail(err, PEN_EINVAL, "'%.40s' is neither before-entry nor on-success", which);
    json_t *input =
        json_pack("{s:s, s:s, s:s, s:s}", "pipelineName", pen_cli_argument(cli, 0), "stageName",
                  pen_cli_argument(cli, 1), "pipelineExecutionId", pen_cli_argument(cli, 2),
                  "conditionType", entry ? "BEFORE_ENTRY" : "ON_SUCCESS");
    return pen_cli_call_done(cli, PEN_SERVICE_CODEPIPELINE, "OverrideStageCondition", input, err,
                             "the condition of %s is overridden", pen_cli_argument(cli, 1));
}
