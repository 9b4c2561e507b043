/* penstock stop, retry: and what is left of an execution that was given up */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/confirm.h"
#include "cli/input.h"
#include "cli/text.h"
#include "cli/work.h"
#include "common/base/cleanup.h"

/* ---- what lives */

/* Add each piece of the execution's work that an agent has, with `before` before it: all of it, or
 * only what was given up and is not being ended. */
static size_t lines_of(const json_t *agents, const char *execution, bool left_only,
                       const char *before, struct pen_buf *text)
{
    size_t count = 0;
    size_t position = 0;
    struct pen_work each;
    while (pen_work_next(agents, &position, &each)) {
        if (strcmp(pen_json_text(each.work, "pipelineExecutionId"), execution) != 0)
            continue;
        const char *state = pen_json_text(each.work, "state");
        bool left = pen_json_flag(each.work, "abandoned") &&
                    (strcmp(state, "Running") == 0 || strcmp(state, "Indeterminate") == 0);
        if (left_only && !left)
            continue;
        count++;
        pen_buf_puts(text, before);
        pen_work_say(&each, text);
    }
    return count;
}

/* After an abandon: say what has not ended by it. Nobody has to be allowed to see that. */
static void tell_left(struct pen_cli *cli, const char *pipeline, const char *execution)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    json_t *output = NULL;
    struct pen_error ignored;
    if (pen_work_list(cli, &output, &ignored) == 0 &&
        lines_of(output, execution, true, "\n  ", &text) > 0)
        (void)fprintf(stderr, "given up, but not ended:%s\n'penstock stop %s %s --kill' ends it\n",
                      pen_buf_text(&text), pipeline, execution);
    json_decref(output);
}

/* ---- stop */

/* The execution that was named, or the one of the pipeline that has something left. */
static int execution_of(const struct pen_cli *cli, const json_t *agents, const char **ret_execution,
                        struct pen_error *err)
{
    const char *found = pen_cli_argument(cli, 1);
    size_t position = 0;
    struct pen_work each;
    while (pen_cli_argument(cli, 1) == NULL && pen_work_next(agents, &position, &each)) {
        const char *execution = pen_json_text(each.work, "pipelineExecutionId");
        if (strcmp(pen_json_text(each.work, "pipelineName"), pen_cli_argument(cli, 0)) != 0)
            continue;
        if (found != NULL && strcmp(found, execution) != 0)
            return pen_fail(err, PEN_EINVAL,
                            "several executions of '%.100s' have work on agents; name one: "
                            "'penstock agent work' lists them",
                            pen_cli_argument(cli, 0));
        found = execution;
    }
    if (found == NULL)
        return pen_fail(err, PEN_ENOTFOUND, "nothing of '%.100s' runs on any agent",
                        pen_cli_argument(cli, 0));
    *ret_execution = found;
    return 0;
}

static int kill_all(struct pen_cli *cli, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    const char *execution = "";
    json_t *agents = NULL;
    int rc = pen_work_list(cli, &agents, err);
    if (rc == 0)
        rc = execution_of(cli, agents, &execution, err);
    if (rc == 0) {
        pen_buf_printf(&text,
                       "this stops execution %.40s and breaks off all that runs of it, also "
                       "in the middle of a deployment: what is half done stays half done",
                       execution);
        if (lines_of(agents, execution, false, "; ", &text) > 0)
            pen_buf_puts(&text, "; work on an agent that is not heard counts as ended from now on, "
                                "and is ended when the agent comes back");
        else
            pen_buf_puts(&text, "; no agent has work of it now");
        rc = pen_confirm(cli, pen_buf_text(&text), err);
    }
    if (rc == 0) {
        json_t *input = json_pack("{s:s, s:s}", "pipelineName", pen_cli_argument(cli, 0),
                                  "pipelineExecutionId", execution);
        pen_input_set(input, "reason", pen_cli_option(cli, "--reason"));
        rc =
            pen_cli_call_done(cli, PEN_SERVICE_PENSTOCK, "KillExecution", input, err,
                              "stopping %s: all that runs is ended, whatever its class", execution);
    }
    json_decref(agents);
    return rc;
}

int pen_cmd_stop(struct pen_cli *cli, struct pen_error *err)
{
    if (pen_cli_option(cli, "--kill") != NULL)
        return kill_all(cli, err);
    bool abandon = pen_cli_option(cli, "--abandon") != NULL;
    const char *pipeline = pen_cli_argument(cli, 0);
    const char *execution = pen_cli_argument(cli, 1);
    json_t *input = json_pack("{s:s, s:s, s:b}", "pipelineName", pipeline, "pipelineExecutionId",
                              execution, "abandon", abandon);
    pen_input_set(input, "reason", pen_cli_option(cli, "--reason"));
    int rc = pen_cli_call_done(
        cli, PEN_SERVICE_CODEPIPELINE, "StopPipelineExecution", input, err,
        abandon ? "stopping %s: what runs is broken off, except work of class once"
                : "stopping %s: what runs is let to its end",
        execution);
    if (rc == 0 && abandon && !cli->json)
        tell_left(cli, pipeline, execution);
    return rc;
}

/* ---- retry */

int pen_cmd_retry(struct pen_cli *cli, struct pen_error *err)
{
    bool all = pen_cli_option(cli, "--all-actions") != NULL;
    bool beside = pen_cli_option(cli, "--beside-abandoned") != NULL;
    json_t *input =
        json_pack("{s:s, s:s, s:s, s:s}", "pipelineName", pen_cli_argument(cli, 0), "stageName",
                  pen_cli_argument(cli, 1), "pipelineExecutionId", pen_cli_argument(cli, 2),
                  "retryMode", all ? "ALL_ACTIONS" : "FAILED_ACTIONS");
    return pen_cli_call_done(cli, beside ? PEN_SERVICE_PENSTOCK : PEN_SERVICE_CODEPIPELINE,
                             beside ? "RetryBesideAbandoned" : "RetryStageExecution", input, err,
                             "%s of %s runs again: %s", pen_cli_argument(cli, 1),
                             pen_cli_argument(cli, 2), all ? "all its actions" : "what failed");
}
