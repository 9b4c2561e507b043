/* penstock rollback, override */
#include <string.h>

#include "cli/commands.h"
#include "cli/show.h"

int pen_cmd_rollback(struct pen_cli *cli, struct pen_error *err)
{
    json_t *input =
        json_pack("{s:s, s:s, s:s}", "pipelineName", pen_cli_argument(cli, 0), "stageName",
                  pen_cli_argument(cli, 1), "targetPipelineExecutionId", pen_cli_argument(cli, 2));
    return pen_show_member(cli, PEN_SERVICE_CODEPIPELINE, "RollbackStage", input, NULL,
                           "pipelineExecutionId", err);
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
