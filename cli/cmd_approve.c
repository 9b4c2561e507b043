/* penstock approve, reject, resolve, transition ...: a person decides */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input.h"
#include "cli/state.h"
#include "cli/text.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"

enum { PAGES_MAX = 10 }; /* of 100 executions: no more than 1,000 may be under way */

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

static int execution_actions(struct pen_cli *cli, const char *execution, json_t **ret_output,
                             struct pen_error *err)
{
    json_t *input = json_pack("{s:s, s:{s:s}}", "pipelineName", pen_cli_argument(cli, 0), "filter",
                              "pipelineExecutionId", execution);
    return pen_cli_call_pages(cli, PEN_SERVICE_CODEPIPELINE, "ListActionExecutions", input,
                              "actionExecutionDetails", ret_output, err);
}

static int search_execution(struct pen_cli *cli, const char *execution, struct waiting *self,
                            struct pen_error *err)
{
    json_t *output = NULL;
    int rc = execution_actions(cli, execution, &output, err);
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

static void ids_collect(const json_t *output, json_t *ids)
{
    size_t index;
    json_t *row;
    json_array_foreach(pen_json_list(output, "pipelineExecutionSummaries"), index, row)
    {
        const char *status = pen_json_text(row, "status");
        if (strcmp(status, "InProgress") == 0 || strcmp(status, "Stopping") == 0)
            (void)json_array_append(ids, json_object_get(row, "pipelineExecutionId"));
    }
}

/* Ids of the executions that are under way, among the newest: as many as may be under way. */
static int executions_list(struct pen_cli *cli, json_t **ret_ids, struct pen_error *err)
{
    json_t *ids = json_array();
    json_t *token = NULL;
    int rc = 0;
    for (int page = 0; rc == 0 && page < PAGES_MAX && (page == 0 || token != NULL); page++) {
        json_t *output = NULL;
        json_t *input =
            json_pack("{s:s, s:i}", "pipelineName", pen_cli_argument(cli, 0), "maxResults", 100);
        if (token != NULL)
            (void)json_object_set_new(input, "nextToken", token);
        rc = pen_cli_call(cli, PEN_SERVICE_CODEPIPELINE, "ListPipelineExecutions", input, &output,
                          err);
        ids_collect(output, ids);
        token = json_incref(json_object_get(output, "nextToken"));
        json_decref(output);
    }
    json_decref(token);
    if (rc == 0)
        *ret_ids = ids;
    else
        json_decref(ids);
    return rc;
}

/* The pipeline's state shows neither PARALLEL executions nor what waits in a stage that an edit has
 * renamed or taken away: look at those that are under way. */
static int search_executions(struct pen_cli *cli, struct waiting *self, struct pen_error *err)
{
    json_t *ids = NULL;
    int rc = executions_list(cli, &ids, err);
    size_t index;
    json_t *id;
    json_array_foreach(ids, index, id)
    {
        if (rc == 0)
            rc = search_execution(cli, json_string_value(id), self, err);
    }
    json_decref(ids);
    return rc;
}

/* The one approval that was meant. */
static int approval_find(struct pen_cli *cli, struct waiting *self, struct pen_error *err)
{
    const char *execution = pen_cli_option(cli, "--execution");
    int rc = execution != NULL ? search_execution(cli, execution, self, err)
                               : search_state(cli, self, err);
    if (rc == 0 && self->count == 0 && execution == NULL)
        rc = search_executions(cli, self, err);
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

/* The action executions of this name that are under way, of one execution. */
struct under_way {
    const char *stage;
    const char *action;
    size_t count;
    char *id; /* of the last one */
};

static int under_way_add(struct under_way *self, const json_t *row, struct pen_error *err)
{
    if (strcmp(pen_json_text(row, "status"), "InProgress") != 0 ||
        strcmp(pen_json_text(row, "stageName"), self->stage) != 0 ||
        strcmp(pen_json_text(row, "actionName"), self->action) != 0)
        return 0;
    self->count++;
    return pen_str_set(&self->id, pen_json_text(row, "actionExecutionId"))
               ? 0
               : pen_fail(err, PEN_ENOMEM, "no memory for an action");
}

static int under_way_search(struct pen_cli *cli, const char *execution, struct under_way *self,
                            struct pen_error *err)
{
    json_t *output = NULL;
    int rc = execution_actions(cli, execution, &output, err);
    size_t index;
    json_t *row;
    json_array_foreach(pen_json_list(output, "actionExecutionDetails"), index, row)
    {
        if (rc == 0)
            rc = under_way_add(self, row, err);
    }
    json_decref(output);
    return rc;
}

static int under_way_in_state(struct pen_cli *cli, struct under_way *self, struct pen_error *err)
{
    json_t *state = NULL;
    size_t position = 0;
    struct pen_state_action each;
    int rc = pen_state_get(cli, pen_cli_argument(cli, 0), &state, err);
    while (rc == 0 && pen_state_next(state, &position, &each)) {
        if (strcmp(self->stage, each.stage_name) == 0 &&
            strcmp(self->action, each.action_name) == 0 &&
            strcmp(pen_json_text(each.latest, "status"), "InProgress") == 0 &&
            !pen_str_set(&self->id, pen_json_text(each.latest, "actionExecutionId")))
            rc = pen_fail(err, PEN_ENOMEM, "no memory for an action");
    }
    self->count = self->id == NULL ? 0 : 1;
    json_decref(state);
    return rc;
}

/* Of the named execution; else of the pipeline's state, or of what that does not show. */
static int action_execution_find(struct pen_cli *cli, struct under_way *self, struct pen_error *err)
{
    const char *execution = pen_cli_option(cli, "--execution");
    int rc = execution != NULL ? under_way_search(cli, execution, self, err)
                               : under_way_in_state(cli, self, err);
    json_t *ids = NULL;
    if (rc == 0 && self->count == 0 && execution == NULL)
        rc = executions_list(cli, &ids, err);
    size_t index;
    json_t *id;
    json_array_foreach(ids, index, id)
    {
        if (rc == 0)
            rc = under_way_search(cli, json_string_value(id), self, err);
    }
    json_decref(ids);
    if (rc < 0)
        return rc;
    if (self->count > 1)
        return pen_fail(err, PEN_EINVAL,
                        "%.64s/%.64s is under way in several executions; name one: --execution ID",
                        self->stage, self->action);
    return self->count == 1 ? 0
                            : pen_fail(err, PEN_ENOTFOUND, "no action %.64s/%.64s is under way",
                                       self->stage, self->action);
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
    struct under_way found = {.stage = stage, .action = action};
    int rc = action_execution_find(cli, &found, err);
    if (rc == 0)
        rc = pen_cli_call_done(cli, PEN_SERVICE_PENSTOCK, "ResolveAction",
                               json_pack("{s:s, s:s, s:s}", "actionExecutionId", found.id,
                                         "resolution", resolution, "reason", reason),
                               err, "resolved as %s: %s/%s", resolution, stage, action);
    free(found.id);
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
