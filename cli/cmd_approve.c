/* penstock approve, reject, resolve, transition ...: a person decides */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input.h"
#include "cli/state.h"
#include "cli/text.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"

/* What waits for an approval, and has the names that were given (NULL: any). */
struct waiting {
    const char *stage;
    const char *action;
    struct pen_buf names; /* of all that were found, for a sentence */
    size_t count;
    char *found_stage; /* of the last one */
    char *found_action;
    char *token;
};

static void waiting_release(struct waiting *self)
{
    pen_buf_release(&self->names);
    free(self->found_stage);
    free(self->found_action);
    free(self->token);
}

static int waiting_add(struct waiting *self, const char *stage, const char *action,
                       const char *token, struct pen_error *err)
{
    if (token[0] == 0 || (self->stage != NULL && strcmp(self->stage, stage) != 0) ||
        (self->action != NULL && strcmp(self->action, action) != 0))
        return 0;
    pen_buf_printf(&self->names, "%s'%.100s %.100s'", self->count == 0 ? "" : ", ", stage, action);
    self->count++;
    if (!pen_str_set(&self->found_stage, stage) || !pen_str_set(&self->found_action, action) ||
        !pen_str_set(&self->token, token))
        return pen_fail(err, PEN_ENOMEM, "no memory for an approval");
    return 0;
}

static int search_state(struct pen_cli *cli, struct waiting *self, struct pen_error *err)
{
    json_t *state = NULL;
    size_t position = 0;
    struct pen_state_action each;
    int rc = pen_state_get(cli, pen_cli_argument(cli, 0), &state, err);
    while (rc == 0 && pen_state_next(state, &position, &each)) {
        if (pen_state_is_approval(&each))
            rc = waiting_add(self, each.stage_name, each.action_name,
                             pen_json_text(each.latest, "token"), err);
    }
    json_decref(state);
    return rc;
}

static int search_execution(struct pen_cli *cli, const char *execution, struct waiting *self,
                            struct pen_error *err)
{
    json_t *output = NULL;
    json_t *input = json_pack("{s:s, s:{s:s}}", "pipelineName", pen_cli_argument(cli, 0), "filter",
                              "pipelineExecutionId", execution);
    int rc = pen_cli_call_pages(cli, PEN_SERVICE_CODEPIPELINE, "ListActionExecutions", input,
                                "actionExecutionDetails", &output, err);
    size_t index;
    json_t *row;
    json_array_foreach(pen_json_list(output, "actionExecutionDetails"), index, row)
    {
        const json_t *type = json_object_get(json_object_get(row, "input"), "actionTypeId");
        const json_t *result = json_object_get(json_object_get(row, "output"), "executionResult");
        if (rc == 0 && strcmp(pen_json_text(type, "category"), "Approval") == 0 &&
            strcmp(pen_json_text(row, "status"), "InProgress") == 0)
            rc =
                waiting_add(self, pen_json_text(row, "stageName"), pen_json_text(row, "actionName"),
                            pen_json_text(result, "externalExecutionId"), err);
    }
    json_decref(output);
    return rc;
}

/* PARALLEL executions are not in the pipeline's state: look at those that run. At most 50 do, so
 * they are on the first page. */
static int search_parallel(struct pen_cli *cli, struct waiting *self, struct pen_error *err)
{
    json_t *output = NULL;
    int rc =
        pen_cli_call(cli, PEN_SERVICE_CODEPIPELINE, "ListPipelineExecutions",
                     json_pack("{s:s}", "pipelineName", pen_cli_argument(cli, 0)), &output, err);
    size_t index;
    json_t *row;
    json_array_foreach(pen_json_list(output, "pipelineExecutionSummaries"), index, row)
    {
        if (rc == 0 && strcmp(pen_json_text(row, "executionMode"), "PARALLEL") == 0 &&
            strcmp(pen_json_text(row, "status"), "InProgress") == 0)
            rc = search_execution(cli, pen_json_text(row, "pipelineExecutionId"), self, err);
    }
    json_decref(output);
    return rc;
}

/* The one approval that was meant. */
static int approval_find(struct pen_cli *cli, struct waiting *self, struct pen_error *err)
{
    const char *execution = pen_cli_option(cli, "--execution");
    int rc = execution != NULL ? search_execution(cli, execution, self, err)
                               : search_state(cli, self, err);
    if (rc == 0 && self->count == 0 && execution == NULL)
        rc = search_parallel(cli, self, err);
    if (rc < 0)
        return rc;
    if (self->count == 0)
        return pen_fail(err, PEN_ENOTFOUND, "nothing waits for an approval%s%s",
                        self->action == NULL ? "" : " under the name ",
                        self->action == NULL ? "" : self->action);
    if (self->count > 1)
        return pen_fail(err, PEN_EINVAL,
                        "several wait for an approval; name one, or its --execution: %s",
                        pen_buf_text(&self->names));
    return 0;
}

static int decide(struct pen_cli *cli, const char *status, const char *done, struct pen_error *err)
{
    const char *pipeline = pen_cli_argument(cli, 0);
    bool both = pen_cli_argument(cli, 2) != NULL; /* STAGE ACTION, or ACTION alone */
    const char *summary = pen_cli_option(cli, "--summary");
    PEN_CLEANUP(waiting_release)
    struct waiting waiting = {.stage = both ? pen_cli_argument(cli, 1) : NULL,
                              .action = pen_cli_argument(cli, both ? 2 : 1)};
    int rc = approval_find(cli, &waiting, err);
    if (rc < 0)
        return rc;
    json_t *input =
        json_pack("{s:s, s:s, s:s, s:{s:s, s:s}, s:s}", "pipelineName", pipeline, "stageName",
                  waiting.found_stage, "actionName", waiting.found_action, "result", "summary",
                  summary == NULL ? "" : summary, "status", status, "token", waiting.token);
    return pen_cli_call_done(cli, PEN_SERVICE_CODEPIPELINE, "PutApprovalResult", input, err,
                             "%s: %s/%s of '%s'", done, waiting.found_stage, waiting.found_action,
                             pipeline);
}

int pen_cmd_approve(struct pen_cli *cli, struct pen_error *err)
{
    return decide(cli, "Approved", "approved", err);
}

int pen_cmd_reject(struct pen_cli *cli, struct pen_error *err)
{
    return decide(cli, "Rejected", "rejected", err);
}

/* ---- an outcome that nobody knows */

static const char *resolution_name(const char *word)
{
    static const char *const words[] = {"failed", "succeeded", "retry"};
    static const char *const names[] = {"Failed", "Succeeded", "Retry"};
    for (int i = 0; i < 3; i++) {
        if (strcasecmp(word, words[i]) == 0)
            return names[i];
    }
    return NULL;
}

static int action_execution_find(const json_t *state, const char *stage, const char *action,
                                 const char **ret_id, struct pen_error *err)
{
    size_t position = 0;
    struct pen_state_action each;
    while (pen_state_next(state, &position, &each)) {
        if (strcmp(stage, each.stage_name) == 0 && strcmp(action, each.action_name) == 0) {
            *ret_id = pen_json_text(each.latest, "actionExecutionId");
            if ((*ret_id)[0] == 0)
                return pen_fail(err, PEN_ECONFLICT, "%.64s/%.64s has not run yet", stage, action);
            return 0;
        }
    }
    return pen_fail(err, PEN_ENOTFOUND, "there is no action %.64s/%.64s", stage, action);
}

int pen_cmd_resolve(struct pen_cli *cli, struct pen_error *err)
{
    const char *stage = pen_cli_argument(cli, 1);
    const char *action = pen_cli_argument(cli, 2);
    const char *resolution = resolution_name(pen_cli_argument(cli, 3));
    const char *reason = pen_cli_option(cli, "--reason");
    if (resolution == NULL)
        return pen_fail(err, PEN_EINVAL, "'%.32s' is none of failed, succeeded, retry",
                        pen_cli_argument(cli, 3));
    if (reason == NULL)
        return pen_fail(err, PEN_EINVAL, "resolve needs --reason: it stays in the history");
    json_t *state = NULL;
    const char *id = NULL;
    int rc = pen_state_get(cli, pen_cli_argument(cli, 0), &state, err);
    if (rc == 0)
        rc = action_execution_find(state, stage, action, &id, err);
    if (rc == 0)
        rc = pen_cli_call_done(cli, PEN_SERVICE_PENSTOCK, "ResolveAction",
                               json_pack("{s:s, s:s, s:s}", "actionExecutionId", id, "resolution",
                                         resolution, "reason", reason),
                               err, "resolved as %s: %s/%s", resolution, stage, action);
    json_decref(state);
    return rc;
}

/* ---- transitions */

static json_t *transition_input(const struct pen_cli *cli)
{
    return json_pack("{s:s, s:s, s:s}", "pipelineName", pen_cli_argument(cli, 0), "stageName",
                     pen_cli_argument(cli, 1), "transitionType",
                     pen_cli_option(cli, "--outbound") == NULL ? "Inbound" : "Outbound");
}

int pen_cmd_transition_enable(struct pen_cli *cli, struct pen_error *err)
{
    return pen_cli_call_done(cli, PEN_SERVICE_CODEPIPELINE, "EnableStageTransition",
                             transition_input(cli), err, "stage '%s' is open",
                             pen_cli_argument(cli, 1));
}

int pen_cmd_transition_disable(struct pen_cli *cli, struct pen_error *err)
{
    const char *reason = pen_cli_option(cli, "--reason");
    if (reason == NULL)
        return pen_fail(err, PEN_EINVAL,
                        "transition disable needs --reason: everybody who waits will read it");
    json_t *input = transition_input(cli);
    pen_input_set(input, "reason", reason);
    return pen_cli_call_done(cli, PEN_SERVICE_CODEPIPELINE, "DisableStageTransition", input, err,
                             "stage '%s' is closed", pen_cli_argument(cli, 1));
}
