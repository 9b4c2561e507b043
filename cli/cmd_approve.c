/* penstock approve, reject, resolve, transition ...: a person decides */
#include <string.h>

#include "cli/commands.h"
#include "cli/input.h"
#include "cli/state.h"
#include "cli/text.h"
#include "common/base/cleanup.h"

/* The one action of the state that waits for approval and has these names (NULL: any). */
static int approval_find(const json_t *state, const char *stage, const char *action,
                         struct pen_state_action *ret_found, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf names = {0};
    size_t position = 0;
    size_t count = 0;
    struct pen_state_action each;
    while (pen_state_next(state, &position, &each)) {
        if (!pen_state_is_approval(&each) ||
            (stage != NULL && strcmp(stage, each.stage_name) != 0) ||
            (action != NULL && strcmp(action, each.action_name) != 0))
            continue;
        pen_buf_printf(&names, "%s'%.100s %.100s'", count == 0 ? "" : ", ", each.stage_name,
                       each.action_name);
        *ret_found = each;
        count++;
    }
    if (count == 0)
        return pen_fail(err, PEN_ENOTFOUND, "nothing waits for an approval%s%s",
                        action == NULL ? "" : " under the name ", action == NULL ? "" : action);
    if (count > 1)
        return pen_fail(err, PEN_EINVAL, "several wait for an approval; name one: %s",
                        pen_buf_text(&names));
    return 0;
}

static int decide(struct pen_cli *cli, const char *status, const char *done, struct pen_error *err)
{
    const char *pipeline = pen_cli_argument(cli, 0);
    bool both = pen_cli_argument(cli, 2) != NULL; /* STAGE ACTION, or ACTION alone */
    const char *stage = both ? pen_cli_argument(cli, 1) : NULL;
    const char *action = pen_cli_argument(cli, both ? 2 : 1);
    const char *summary = pen_cli_option(cli, "--summary");
    json_t *state = NULL;
    struct pen_state_action found = {0};
    int rc = pen_state_get(cli, pipeline, &state, err);
    if (rc == 0)
        rc = approval_find(state, stage, action, &found, err);
    if (rc == 0) {
        json_t *input = json_pack("{s:s, s:s, s:s, s:{s:s, s:s}, s:s}", "pipelineName", pipeline,
                                  "stageName", found.stage_name, "actionName", found.action_name,
                                  "result", "summary", summary == NULL ? "" : summary, "status",
                                  status, "token", pen_json_text(found.latest, "token"));
        rc = pen_cli_call_done(cli, PEN_SERVICE_CODEPIPELINE, "PutApprovalResult", input, err,
                               "%s: %s/%s of '%s'", done, found.stage_name, found.action_name,
                               pipeline);
    }
    json_decref(state);
    return rc;
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
