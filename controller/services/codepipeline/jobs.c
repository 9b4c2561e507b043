/* PollForJobs, AcknowledgeJob, GetJobDetails, PutJobSuccessResult, PutJobFailureResult
 *
 * The states of jobs are the core's (controller/engine/job.h). What a job worker is told of its job
 * comes from the rows of the action, which are committed before the core answers. There is no place
 * yet where a worker could read or write artifacts: so they come with name and revision, without
 * location, and there are no credentials for them.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/wire/wire.h"
#include "controller/services/codepipeline/codepipeline.h"
#include "controller/services/codepipeline/custom.h"
#include "controller/services/codepipeline/names.h"
#include "controller/services/output.h"
#include "controller/services/read.h"

/* ---- what a worker is told */

static int put_configuration(struct pen_call *call, json_t *data,
                             const Pen__ActionExecutionRow *action, struct pen_error *err)
{
    json_t *object = pen_put_object(call, data, "actionConfiguration");
    json_t *configuration = pen_put_object(call, object, "configuration");
    for (size_t i = 0; i < action->n_resolved_configuration; i++) {
        const char *key = action->resolved_configuration[i]->key;
        PEN_CLEANUP(pen_buf_release) struct pen_buf value = {0};
        int rc = pen_custom_open(call, action, key, action->resolved_configuration[i]->value,
                                 &value, err);
        if (rc < 0)
            return rc;
        pen_put_string(call, configuration, key, pen_buf_text(&value));
    }
    return 0;
}

static void put_context(struct pen_call *call, json_t *data, const Pen__ActionExecutionRow *action)
{
    json_t *context = pen_put_object(call, data, "pipelineContext");
    pen_put_string(call, context, "pipelineName", action->pipeline);
    PEN_CLEANUP(pen_free)
    char *arn = pen_strdup_printf("arn:aws:codepipeline:%s:%s:%s", call->services->region,
                                  call->services->account, action->pipeline);
    if (arn == NULL)
        call->out_of_memory = true;
    pen_put_string(call, context, "pipelineArn", arn);
    pen_put_string(call, context, "pipelineExecutionId", action->execution_id);
    pen_put_string(call, pen_put_object(call, context, "stage"), "name", action->stage);
    json_t *own = pen_put_object(call, context, "action");
    pen_put_string(call, own, "name", action->action);
    pen_put_string(call, own, "actionExecutionId", action->id);
}

static int put_artifacts(struct pen_call *call, json_t *data, const Pen__ActionExecutionRow *action,
                         struct pen_error *err)
{
    json_t *inputs = pen_put_list(call, data, "inputArtifacts");
    (void)pen_put_list(call, data, "outputArtifacts"); /* refused in the declaration */
    if (action->n_inputs == 0)
        return 0;
    PEN_CLEANUP(pen_message_destroy) Pen__ExecutionRow *execution = NULL;
    int rc = pen_read_optional(call, PEN__ROW_KIND__ROW_EXECUTION, action->execution_id, &execution,
                               err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < action->n_inputs; i++) {
        const char *name = action->inputs[i]->artifact->name;
        json_t *artifact = pen_add_object(call, inputs);
        pen_put_string(call, artifact, "name", name);
        for (size_t k = 0; execution != NULL && k < execution->n_revisions; k++)
            if (pen_str_equal(execution->revisions[k]->artifact, name))
                pen_put_string(call, artifact, "revision", execution->revisions[k]->revision_id);
    }
    return 0;
}

/* Id, account and data of a job into `object`. */
static int put_job(struct pen_call *call, json_t *object, const Pen__JobRow *job,
                   struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__ActionExecutionRow *action = NULL;
    int rc = pen_read_optional(call, PEN__ROW_KIND__ROW_ACTION_EXECUTION, job->action_execution_id,
                               &action, err);
    if (rc < 0)
        return rc;
    if (action == NULL)
        return pen_fail(err, PEN_ECORRUPT, "job '%s' has no action", job->id);
    pen_put_string(call, object, "id", job->id);
    pen_put_string(call, object, "accountId", call->services->account);
    json_t *data = pen_put_object(call, object, "data");
    json_t *type = pen_put_object(call, data, "actionTypeId");
    pen_put_string(call, type, "category", job->type->category);
    pen_put_string(call, type, "owner", job->type->owner);
    pen_put_string(call, type, "provider", job->type->provider);
    pen_put_string(call, type, "version", job->type->version);
    put_context(call, data, action);
    pen_put_string(call, data, "continuationToken", job->continuation_token);
    if ((rc = put_configuration(call, data, action, err)) < 0)
        return rc;
    return put_artifacts(call, data, action, err);
}

/* ---- PollForJobs */

static int polled(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err)
{
    json_t *list = pen_put_list(call, pen_output(call), "jobs");
    for (size_t i = 0; i < reply->n_jobs; i++) {
        json_t *job = pen_add_object(call, list);
        pen_put_string(call, job, "nonce", reply->jobs[i]->nonce);
        int rc = put_job(call, job, reply->jobs[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int pen_poll_for_jobs(struct pen_call *call, struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) ProtobufCMessage *type = NULL;
    int rc = pen_wire_from_json(&pen__action_type_id__descriptor,
                                json_object_get(call->input, "actionTypeId"), "actionTypeId", &type,
                                err);
    if (rc < 0)
        return rc;
    Pen__PollJobs *poll = NULL;
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_POLL_JOBS, &pen__poll_jobs__descriptor, &poll);
    if (input == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a poll");
    poll->type = (Pen__ActionTypeId *)TAKE_PTR(type);
    int64_t max = pen_in_integer(call->input, "maxBatchSize", 1);
    poll->has_max = true;
    poll->max = max > UINT32_MAX ? UINT32_MAX : (uint32_t)max;
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(json_object_get(call->input, "queryParam"), key, value)
    {
        if (!pen_str_set(&poll->query_key, key) ||
            !pen_str_set(&poll->query_value, json_string_value(value)))
            pen_message_destroy(&input);
        break; /* the catalogue allows one */
    }
    return pen_call_post(call, input, polled, err);
}

/* ---- AcknowledgeJob */

static int acknowledged(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err)
{
    (void)err;
    pen_put_string(call, pen_output(call), "status", pen_job_state_name(reply->job_state));
    return 0;
}

int pen_acknowledge_job(struct pen_call *call, struct pen_error *err)
{
    const char *id = pen_in_string(call->input, "jobId");
    PEN_CLEANUP(pen_message_destroy) Pen__JobRow *row = NULL;
    int rc = pen_read_optional(call, PEN__ROW_KIND__ROW_JOB, id, &row, err);
    if (rc < 0)
        return rc;
    Pen__AcknowledgeJob *acknowledge = NULL;
    Pen__Input *input = pen_input_new(PEN__INPUT__WHAT_ACKNOWLEDGE_JOB,
                                      &pen__acknowledge_job__descriptor, &acknowledge);
    if (input != NULL) {
        acknowledge->has_known = true;
        acknowledge->known = row != NULL;
        if (!pen_str_set(&acknowledge->job_id, id) ||
            !pen_str_set(&acknowledge->nonce, pen_in_string(call->input, "nonce")))
            pen_message_destroy(&input);
    }
    return pen_call_post(call, input, acknowledged, err);
}

/* ---- GetJobDetails */

static bool is_over(Pen__JobState state)
{
    return state == PEN__JOB_STATE__JOB_SUCCEEDED || state == PEN__JOB_STATE__JOB_FAILED ||
           state == PEN__JOB_STATE__JOB_TIMED_OUT || state == PEN__JOB_STATE__JOB_ABANDONED;
}

/* The details hold secrets: they are told as long as somebody may work with them. */
int pen_get_job_details(struct pen_call *call, struct pen_error *err)
{
    const char *id = pen_in_string(call->input, "jobId");
    PEN_CLEANUP(pen_message_destroy) Pen__JobRow *row = NULL;
    int rc = pen_read_optional(call, PEN__ROW_KIND__ROW_JOB, id, &row, err);
    if (rc < 0)
        return rc;
    if (row == NULL)
        return pen_fail_api(err, PEN_ENOTFOUND, "JobNotFoundException", "there is no job '%s'", id);
    if (is_over(row->state))
        return pen_fail_api(err, PEN_ENOTFOUND, "JobNotFoundException", "job '%s' has ended", id);
    return put_job(call, pen_put_object(call, pen_output(call), "jobDetails"), row, err);
}

/* ---- results */

/* An input with a result that is to be filled; NULL: *ret_code says why. */
static Pen__Input *new_result(struct pen_call *call, bool success, Pen__PutJobResult **ret_result,
                              int *ret_code, struct pen_error *err)
{
    const char *id = pen_in_string(call->input, "jobId");
    PEN_CLEANUP(pen_message_destroy) Pen__JobRow *row = NULL;
    *ret_code = pen_read_optional(call, PEN__ROW_KIND__ROW_JOB, id, &row, err);
    if (*ret_code < 0)
        return NULL;
    Pen__PutJobResult *result = NULL;
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_PUT_JOB_RESULT, &pen__put_job_result__descriptor, &result);
    if (input == NULL || !pen_str_set(&result->job_id, id)) {
        pen_message_destroy(&input);
        *ret_code = pen_fail(err, PEN_ENOMEM, "no memory for a job's result");
        return NULL;
    }
    result->has_known = true;
    result->known = row != NULL;
    result->has_success = true;
    result->success = success;
    *ret_result = result;
    return input;
}

static bool put_variables(const struct pen_call *call, Pen__PutJobResult *result)
{
    json_t *variables = json_object_get(call->input, "outputVariables");
    size_t count = json_object_size(variables);
    if (count == 0)
        return true;
    result->output_variables = calloc(count, sizeof(Pen__NameValue *));
    if (result->output_variables == NULL)
        return false;
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(variables, name, value)
    {
        Pen__NameValue *variable = malloc(sizeof *variable);
        if (variable == NULL)
            return false;
        pen__name_value__init(variable);
        result->output_variables[result->n_output_variables++] = variable;
        if (!pen_str_set(&variable->name, name) ||
            !pen_str_set(&variable->value, json_string_value(value)))
            return false;
    }
    return true;
}

static bool put_revision(const struct pen_call *call, Pen__PutJobResult *result)
{
    const json_t *current = json_object_get(call->input, "currentRevision");
    if (current == NULL)
        return true;
    Pen__JobRevision *revision = malloc(sizeof *revision);
    if (revision == NULL)
        return false;
    pen__job_revision__init(revision);
    result->revision = revision;
    const json_t *created = json_object_get(current, "created");
    if (json_is_number(created)) {
        double seconds = json_number_value(created);
        revision->has_created_ms = seconds > 0 && seconds < 1e11;
        revision->created_ms = revision->has_created_ms ? (int64_t)(seconds * 1000) : 0;
    }
    return pen_str_set(&revision->revision, pen_in_string(current, "revision")) &&
           pen_str_set(&revision->change_identifier, pen_in_string(current, "changeIdentifier")) &&
           pen_str_set(&revision->summary, pen_in_string(current, "revisionSummary"));
}

static bool put_details(const json_t *details, Pen__PutJobResult *result)
{
    if (json_object_get(details, "percentComplete") != NULL) {
        result->has_percent_complete = true;
        result->percent_complete = (uint32_t)pen_in_integer(details, "percentComplete", 0);
    }
    return pen_str_set(&result->summary, pen_in_string(details, "summary")) &&
           pen_str_set(&result->external_execution_id,
                       pen_in_string(details, "externalExecutionId"));
}

int pen_put_job_success_result(struct pen_call *call, struct pen_error *err)
{
    Pen__PutJobResult *result = NULL;
    int rc = 0;
    Pen__Input *input = new_result(call, true, &result, &rc, err);
    if (input == NULL || result == NULL)
        return rc;
    if (!pen_str_set(&result->continuation_token,
                     pen_in_string(call->input, "continuationToken")) ||
        !put_details(json_object_get(call->input, "executionDetails"), result) ||
        !put_variables(call, result) || !put_revision(call, result))
        pen_message_destroy(&input);
    return pen_call_post(call, input, pen_reply_nothing, err);
}

int pen_put_job_failure_result(struct pen_call *call, struct pen_error *err)
{
    Pen__PutJobResult *result = NULL;
    int rc = 0;
    Pen__Input *input = new_result(call, false, &result, &rc, err);
    if (input == NULL || result == NULL)
        return rc;
    const json_t *details = json_object_get(call->input, "failureDetails");
    if (!pen_str_set(&result->error_code, pen_in_string(details, "type")) ||
        !pen_str_set(&result->error_message, pen_in_string(details, "message")) ||
        !pen_str_set(&result->external_execution_id, pen_in_string(details, "externalExecutionId")))
        pen_message_destroy(&input);
    return pen_call_post(call, input, pen_reply_nothing, err);
}
