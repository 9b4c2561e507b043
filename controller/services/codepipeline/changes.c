/* Start, Stop, Retry, PutApprovalResult, Enable- and DisableStageTransition: all are the core's to
 * decide; here the input becomes a message. */
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/keys/digest.h"
#include "common/wire/wire.h"
#include "controller/services/codepipeline/codepipeline.h"
#include "controller/services/output.h"
#include "controller/services/read.h"

/* Set a member from the input; false when out of memory. */
static bool take(const struct pen_call *call, const char *name, char **ret_text)
{
    return pen_str_set(ret_text, pen_in_string(call->input, name));
}

static int execution_id(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err)
{
    (void)err;
    const char *id = reply->execution_id != NULL
                         ? reply->execution_id
                         : pen_in_string(call->input, "pipelineExecutionId");
    pen_put_string(call, pen_output(call), "pipelineExecutionId", id);
    return 0;
}

/* What a repeated clientRequestToken has to agree with: everything but the token. */
static bool put_body_digest(const struct pen_call *call, Pen__StartExecution *start)
{
    json_t *rest = json_copy(call->input);
    if (rest == NULL)
        return false;
    (void)json_object_del(rest, "clientRequestToken");
    char *text = json_dumps(rest, JSON_SORT_KEYS | JSON_COMPACT);
    json_decref(rest);
    uint8_t *digest = malloc(PEN_SHA256_SIZE);
    bool made = text != NULL && digest != NULL;
    if (made) {
        pen_sha256(text, strlen(text), digest);
        start->has_body_sha256 = true;
        start->body_sha256 = (ProtobufCBinaryData){.len = PEN_SHA256_SIZE, .data = digest};
    } else {
        free(digest);
    }
    free(text);
    return made;
}

static bool put_variables(const struct pen_call *call, Pen__StartExecution *start)
{
    const json_t *list = json_object_get(call->input, "variables");
    size_t count = json_array_size(list);
    if (count == 0)
        return true;
    start->variables = calloc(count, sizeof(Pen__NameValue *));
    if (start->variables == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);
        Pen__NameValue *variable = malloc(sizeof *variable);
        if (variable == NULL)
            return false;
        pen__name_value__init(variable);
        start->variables[start->n_variables++] = variable;
        if (!pen_str_set(&variable->name, pen_in_string(item, "name")) ||
            !pen_str_set(&variable->value, pen_in_string(item, "value")))
            return false;
    }
    return true;
}

static bool put_overrides(const struct pen_call *call, Pen__StartExecution *start)
{
    const json_t *list = json_object_get(call->input, "sourceRevisions");
    size_t count = json_array_size(list);
    if (count == 0)
        return true;
    start->overrides = calloc(count, sizeof(Pen__SourceOverride *));
    if (start->overrides == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);
        Pen__SourceOverride *override = malloc(sizeof *override);
        if (override == NULL)
            return false;
        pen__source_override__init(override);
        start->overrides[start->n_overrides++] = override;
        if (!pen_str_set(&override->action, pen_in_string(item, "actionName")) ||
            !pen_str_set(&override->revision_type, pen_in_string(item, "revisionType")) ||
            !pen_str_set(&override->revision_value, pen_in_string(item, "revisionValue")))
            return false;
    }
    return true;
}

/* Whether a commit's id, in full, as git prints it. */
static bool is_commit_id(const char *text)
{
    size_t size = text == NULL ? 0 : strlen(text);
    return (size == 40 || size == 64) && strspn(text, "0123456789abcdef") == size;
}

/* An execution of a commit that nobody can find would start, and fail. */
static int check_overrides(const struct pen_call *call, struct pen_error *err)
{
    size_t index;
    const json_t *item;
    json_array_foreach(json_object_get(call->input, "sourceRevisions"), index, item)
    {
        if (pen_str_equal(pen_in_string(item, "revisionType"), "COMMIT_ID") &&
            !is_commit_id(pen_in_string(item, "revisionValue")))
            return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                                "sourceRevisions[%zu].revisionValue: source action '%s' takes the "
                                "full id of a commit: 40 hexadecimal digits in lower case",
                                index, pen_in_string(item, "actionName"));
    }
    return 0;
}

int pen_start_pipeline_execution(struct pen_call *call, struct pen_error *err)
{
    int rc = check_overrides(call, err);
    if (rc < 0)
        return rc;
    Pen__StartExecution *start = NULL;
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_START_EXECUTION, &pen__start_execution__descriptor, &start);
    if (input != NULL &&
        !(take(call, "name", &start->pipeline) &&
          take(call, "clientRequestToken", &start->client_request_token) &&
          put_body_digest(call, start) && put_variables(call, start) && put_overrides(call, start)))
        pen_message_destroy(&input);
    return pen_call_post(call, input, execution_id, err);
}

int pen_stop_pipeline_execution(struct pen_call *call, struct pen_error *err)
{
    Pen__StopExecution *stop = NULL;
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_STOP_EXECUTION, &pen__stop_execution__descriptor, &stop);
    if (input != NULL) {
        stop->has_abandon = true;
        stop->abandon = pen_in_boolean(call->input, "abandon", false);
        if (!(take(call, "pipelineName", &stop->pipeline) &&
              take(call, "pipelineExecutionId", &stop->execution_id) &&
              take(call, "reason", &stop->reason)))
            pen_message_destroy(&input);
    }
    return pen_call_post(call, input, execution_id, err);
}

/* What cannot be retried is answered with the reason, also of an execution that is history. */
int pen_retry_stage(struct pen_call *call, bool beside, struct pen_error *err)
{
    Pen__RetryStage *retry = NULL;
    PEN_CLEANUP(pen_message_destroy)
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_RETRY_STAGE, &pen__retry_stage__descriptor, &retry);
    if (input == NULL || !take(call, "pipelineName", &retry->pipeline) ||
        !take(call, "stageName", &retry->stage) ||
        !take(call, "pipelineExecutionId", &retry->execution_id))
        return pen_fail(err, PEN_ENOMEM, "no memory for a retry");
    retry->has_beside = true;
    retry->beside = beside;
    retry->has_all_actions = true;
    retry->all_actions = pen_str_equal(pen_in_string(call->input, "retryMode"), "ALL_ACTIONS");
    int rc = pen_read_optional(call, PEN__ROW_KIND__ROW_EXECUTION, retry->execution_id,
                               &retry->execution, err);
    if (rc < 0 || (rc = pen_read_stage_execution(call, retry->execution_id, retry->stage,
                                                 &retry->stage_execution, err)) < 0)
        return rc;
    return pen_call_post(call, TAKE_PTR(input), execution_id, err);
}

int pen_retry_stage_execution(struct pen_call *call, struct pen_error *err)
{
    return pen_retry_stage(call, false, err);
}

static int approved_at(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err)
{
    (void)err;
    pen_put_time(call, pen_output(call), "approvedAt",
                 reply->has_at_ms ? reply->at_ms : call->now_ms);
    return 0;
}

int pen_put_approval_result(struct pen_call *call, struct pen_error *err)
{
    const json_t *result = json_object_get(call->input, "result");
    Pen__PutApproval *put = NULL;
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_PUT_APPROVAL, &pen__put_approval__descriptor, &put);
    if (input != NULL) {
        put->has_approved = true;
        put->approved = pen_str_equal(pen_in_string(result, "status"), "Approved");
        if (!(take(call, "pipelineName", &put->pipeline) && take(call, "stageName", &put->stage) &&
              take(call, "actionName", &put->action) && take(call, "token", &put->token) &&
              pen_str_set(&put->summary, pen_in_string(result, "summary"))))
            pen_message_destroy(&input);
    }
    return pen_call_post(call, input, approved_at, err);
}

static int change_transition(struct pen_call *call, bool disable, struct pen_error *err)
{
    Pen__ChangeTransition *change = NULL;
    Pen__Input *input = pen_input_new(PEN__INPUT__WHAT_CHANGE_TRANSITION,
                                      &pen__change_transition__descriptor, &change);
    if (input != NULL) {
        change->has_disable = true;
        change->disable = disable;
        change->has_outbound = true;
        change->outbound = pen_str_equal(pen_in_string(call->input, "transitionType"), "Outbound");
        if (!(take(call, "pipelineName", &change->pipeline) &&
              take(call, "stageName", &change->stage) && take(call, "reason", &change->reason)))
            pen_message_destroy(&input);
    }
    return pen_call_post(call, input, pen_reply_nothing, err);
}

int pen_enable_stage_transition(struct pen_call *call, struct pen_error *err)
{
    return change_transition(call, false, err);
}

int pen_disable_stage_transition(struct pen_call *call, struct pen_error *err)
{
    return change_transition(call, true, err);
}
