/* GetPipelineState
 *
 * An action that waits for an agent, and an execution that stands at a gate, say why: when there is
 * such a thing, the core is asked to explain, and its sentences fill the summaries that are empty.
 */
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/wire/wire.h"
#include "controller/services/codepipeline/codepipeline.h"
#include "controller/services/codepipeline/custom.h"
#include "controller/services/codepipeline/names.h"
#include "controller/services/output.h"
#include "controller/services/read.h"

static const char *execution_type(const Pen__StageExecutionRow *row)
{
    return row->has_rollback && row->rollback ? "ROLLBACK" : "STANDARD";
}

/* An execution at the gate, with its own status: a stage execution it has none yet. */
static int put_inbound(struct pen_call *call, json_t *list, const char *id, struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__ExecutionRow *row = NULL;
    int rc = pen_read_optional(call, PEN__ROW_KIND__ROW_EXECUTION, id, &row, err);
    if (rc < 0 || row == NULL)
        return rc;
    json_t *inbound = pen_add_object(call, list);
    pen_put_string(call, inbound, "pipelineExecutionId", row->id);
    pen_put_string(call, inbound, "status", pen_execution_status_name(row->status));
    pen_put_string(call, inbound, "type",
                   row->rollback_target_id != NULL ? "ROLLBACK" : "STANDARD");
    return 0;
}

static int put_inbounds(struct pen_call *call, json_t *stage, const Pen__StageStateRow *state,
                        struct pen_error *err)
{
    json_t *list = pen_put_list(call, stage, "inboundExecutions");
    for (size_t i = 0; i < state->n_waiting; i++) {
        int rc = put_inbound(call, list, state->waiting[i], err);
        if (rc < 0)
            return rc;
    }
    if (json_array_size(list) > 0) /* the older member has room for the next one only */
        pen_put_json(call, stage, "inboundExecution", json_copy(json_array_get(list, 0)));
    pen_drop_empty(stage, "inboundExecutions");
    return 0;
}

static void put_transition(struct pen_call *call, json_t *stage, const Pen__StageStateRow *state)
{
    json_t *transition = pen_put_object(call, stage, "inboundTransitionState");
    bool disabled = state != NULL && state->has_disabled && state->disabled;
    pen_put_boolean(call, transition, "enabled", !disabled);
    if (state == NULL)
        return;
    pen_put_string(call, transition, "lastChangedBy", state->changed_by);
    pen_put_time(call, transition, "lastChangedAt", state->changed_ms);
    if (disabled)
        pen_put_string(call, transition, "disabledReason", state->disabled_reason);
}

static void put_retries(struct pen_call *call, json_t *stage, const Pen__StageExecutionRow *row)
{
    if (row->automatic_retries == 0 && row->manual_retries == 0)
        return;
    json_t *retries = pen_put_object(call, stage, "retryStageMetadata");
    if (row->automatic_retries > 0) /* the API counts from 1: none is no number */
        pen_put_integer(call, retries, "autoStageRetryAttempt", row->automatic_retries);
    if (row->manual_retries > 0)
        pen_put_integer(call, retries, "manualStageRetryAttempt", row->manual_retries);
    /* Rows of an older controller do not say which was the latest. */
    bool automatic = row->has_retried_by_itself ? row->retried_by_itself : row->manual_retries == 0;
    pen_put_string(call, retries, "latestRetryTrigger",
                   automatic ? "AutomatedStageRetry" : "ManualStageRetry");
}

static int put_latest_stage(struct pen_call *call, json_t *stage, const Pen__StageStateRow *state,
                            struct pen_error *err)
{
    if (state->latest_execution_id == NULL)
        return 0;
    PEN_CLEANUP(pen_message_destroy) Pen__StageExecutionRow *row = NULL;
    int rc = pen_read_stage_execution(call, state->latest_execution_id, state->stage, &row, err);
    if (rc < 0 || row == NULL)
        return rc;
    json_t *latest = pen_put_object(call, stage, "latestExecution");
    pen_put_string(call, latest, "pipelineExecutionId", row->execution_id);
    pen_put_string(call, latest, "status", pen_stage_status_name(row->status));
    pen_put_string(call, latest, "type", execution_type(row));
    put_retries(call, stage, row);
    return pen_put_condition_states(call, stage, row, err);
}

/* Whether the core could say more about it than its row does. */
static bool wants_explaining(const Pen__ActionExecutionRow *row)
{
    return row->status == PEN__ACTION_STATUS__ACTION_IN_PROGRESS && row->summary == NULL &&
           (row->phase == PEN__ACTION_PHASE__ACTION_QUEUED ||
            row->phase == PEN__ACTION_PHASE__ACTION_JOB ||
            row->phase == PEN__ACTION_PHASE__ACTION_INDETERMINATE);
}

static void put_action_execution(struct pen_call *call, json_t *action,
                                 const Pen__ActionExecutionRow *row)
{
    bool in_progress = row->status == PEN__ACTION_STATUS__ACTION_IN_PROGRESS;
    json_t *latest = pen_put_object(call, action, "latestExecution");
    pen_put_string(call, latest, "actionExecutionId", row->id);
    pen_put_string(call, latest, "status", pen_action_status_name(row->status));
    pen_put_text(call, latest, "summary", row->summary);
    pen_put_time(call, latest, "lastStatusChange",
                 row->has_updated_ms ? row->updated_ms : row->started_ms);
    if (in_progress && row->phase == PEN__ACTION_PHASE__ACTION_APPROVAL)
        pen_put_string(call, latest, "token", row->approval_token);
    pen_put_string(call, latest, "lastUpdatedBy", row->updated_by);
    pen_put_string(call, latest, "externalExecutionId", row->external_execution_id);
    pen_put_string(call, latest, "externalExecutionUrl", row->external_execution_url);
    if (row->has_percent_complete)
        pen_put_integer(call, latest, "percentComplete", row->percent_complete);
    if (row->error_code != NULL || row->error_message != NULL) {
        json_t *details = pen_put_object(call, latest, "errorDetails");
        pen_put_string(call, details, "code", row->error_code);
        pen_put_string(call, details, "message", row->error_message);
    }
}

/* What a job worker has told. */
static void put_worker_revision(struct pen_call *call, json_t *action, const Pen__JobRevision *told)
{
    json_t *revision = pen_put_object(call, action, "currentRevision");
    pen_put_string(call, revision, "revisionId", told->revision);
    pen_put_string(call, revision, "revisionChangeId", told->change_identifier);
    pen_put_time(call, revision, "created", told->created_ms);
}

/* What a source action has found in this execution. */
static int put_revision(struct pen_call *call, json_t *action, const Pen__ActionExecutionRow *row,
                        struct pen_error *err)
{
    if (row->current_revision != NULL) {
        put_worker_revision(call, action, row->current_revision);
        return 0;
    }
    if (row->type == NULL || !pen_str_equal(row->type->category, "Source"))
        return 0;
    PEN_CLEANUP(pen_message_destroy) Pen__ExecutionRow *execution = NULL;
    int rc =
        pen_read_optional(call, PEN__ROW_KIND__ROW_EXECUTION, row->execution_id, &execution, err);
    if (rc < 0 || execution == NULL)
        return rc;
    for (size_t i = 0; i < execution->n_revisions; i++) {
        const Pen__SourceRevision *found = execution->revisions[i];
        if (!pen_str_equal(found->action, row->action))
            continue;
        json_t *revision = pen_put_object(call, action, "currentRevision");
        pen_put_string(call, revision, "revisionId", found->revision_id);
        pen_put_string(call, revision, "revisionChangeId", found->revision_id);
        pen_put_time(call, revision, "created", found->created_ms);
        pen_put_string(call, action, "revisionUrl", found->revision_url);
    }
    return 0;
}

static int put_action(struct pen_call *call, json_t *list, const char *name,
                      const Pen__StageStateRow *state, bool *unexplained, struct pen_error *err)
{
    json_t *action = pen_add_object(call, list);
    pen_put_string(call, action, "actionName", name);
    for (size_t i = 0; state != NULL && i < state->n_latest_actions; i++) {
        const Pen__LatestAction *latest = state->latest_actions[i];
        if (!pen_str_equal(latest->action, name) || latest->action_execution_id == NULL)
            continue;
        PEN_CLEANUP(pen_message_destroy) Pen__ActionExecutionRow *row = NULL;
        int rc = pen_read_optional(call, PEN__ROW_KIND__ROW_ACTION_EXECUTION,
                                   latest->action_execution_id, &row, err);
        if (rc < 0 || row == NULL)
            return rc;
        if (!pen_str_equal(row->execution_id, state->latest_execution_id))
            return 0; /* the execution that is in the stage now has not come to it */
        put_action_execution(call, action, row);
        *unexplained |= wants_explaining(row);
        if ((rc = put_revision(call, action, row, err)) < 0 ||
            (rc = pen_custom_put_urls(call, action, row, err)) < 0)
            return rc;
    }
    return 0;
}

static int put_stage(struct pen_call *call, json_t *list, const char *pipeline,
                     const Pen__StageDeclaration *declared, bool *unexplained,
                     struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__StageStateRow *state = NULL;
    int rc = pen_read_stage_state(call, pipeline, declared->name, &state, err);
    if (rc < 0)
        return rc;
    json_t *stage = pen_add_object(call, list);
    pen_put_string(call, stage, "stageName", declared->name);
    if (state != NULL && (rc = put_inbounds(call, stage, state, err)) < 0)
        return rc;
    put_transition(call, stage, state);
    json_t *actions = pen_put_list(call, stage, "actionStates");
    for (size_t i = 0; i < declared->n_actions; i++) {
        if ((rc = put_action(call, actions, declared->actions[i]->name, state, unexplained, err)) <
            0)
            return rc;
    }
    return state == NULL ? 0 : put_latest_stage(call, stage, state, err);
}

/* An action in progress without a summary may have something to say. */
static bool is_silent(const json_t *action)
{
    const json_t *latest = json_object_get(action, "latestExecution");
    return pen_str_equal(pen_in_string(latest, "status"), "InProgress") &&
           pen_in_string(latest, "summary") == NULL;
}

/* The sentence about PIPELINE/STAGE/ACTION, NULL when there is none. */
static const char *sentence_about(const Pen__Reply *reply, const char *pipeline, const char *stage,
                                  const char *action)
{
    PEN_CLEANUP(pen_free) char *subject = pen_strdup_printf("%s/%s/%s", pipeline, stage, action);
    for (size_t i = 0; subject != NULL && i < reply->n_reasons; i++) {
        if (pen_str_equal(reply->reasons[i]->subject, subject))
            return reply->reasons[i]->sentence;
    }
    return NULL;
}

/* A refusal to explain takes nothing from the state itself, which is complete. */
static int explained(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err)
{
    (void)err;
    const char *pipeline = pen_in_string(call->output, "pipelineName");
    size_t i = 0;
    json_t *stage = NULL;
    json_array_foreach(json_object_get(call->output, "stageStates"), i, stage)
    {
        size_t k = 0;
        json_t *action = NULL;
        json_array_foreach(json_object_get(stage, "actionStates"), k, action)
        {
            if (is_silent(action))
                pen_put_text(call, json_object_get(action, "latestExecution"), "summary",
                             sentence_about(reply, pipeline, pen_in_string(stage, "stageName"),
                                            pen_in_string(action, "actionName")));
        }
    }
    return 0;
}

static int ask_why(struct pen_call *call, const char *pipeline, struct pen_error *err)
{
    Pen__ExplainRequest *explain = NULL;
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_EXPLAIN, &pen__explain_request__descriptor, &explain);
    if (input != NULL && !pen_str_set(&explain->pipeline, pipeline))
        pen_message_destroy(&input);
    call->takes_refusal = true;
    return pen_call_post(call, input, explained, err);
}

int pen_get_pipeline_state(struct pen_call *call, struct pen_error *err)
{
    const char *name = pen_in_string(call->input, "name");
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineRow *pipeline = NULL;
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineVersionRow *version = NULL;
    int rc = pen_read_pipeline(call, name, &pipeline, err);
    if (rc < 0 || (rc = pen_read_version(call, name, pipeline->version, &version, err)) < 0)
        return rc;
    json_t *output = pen_output(call);
    pen_put_string(call, output, "pipelineName", pipeline->name);
    pen_put_integer(call, output, "pipelineVersion", pipeline->version);
    json_t *stages = pen_put_list(call, output, "stageStates");
    bool unexplained = false;
    for (size_t i = 0; i < version->declaration->n_stages; i++) {
        if ((rc = put_stage(call, stages, name, version->declaration->stages[i], &unexplained,
                            err)) < 0)
            return rc;
    }
    pen_put_time(call, output, "created", pipeline->created_ms);
    pen_put_time(call, output, "updated", pipeline->updated_ms);
    return unexplained ? ask_why(call, name, err) : 0;
}
