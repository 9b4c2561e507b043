#include "controller/services/codepipeline/names.h"

#include <stddef.h>

#define NAME_OF(table, number)                                                                     \
    ((size_t)(number) < sizeof(table) / sizeof((table)[0]) ? (table)[(size_t)(number)] : NULL)

const char *pen_execution_status_name(Pen__ExecutionStatus status)
{
    static const char *const names[] = {
        [PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS] = "InProgress",
        [PEN__EXECUTION_STATUS__EXECUTION_STOPPING] = "Stopping",
        [PEN__EXECUTION_STATUS__EXECUTION_STOPPED] = "Stopped",
        [PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED] = "Succeeded",
        [PEN__EXECUTION_STATUS__EXECUTION_SUPERSEDED] = "Superseded",
        [PEN__EXECUTION_STATUS__EXECUTION_FAILED] = "Failed",
        [PEN__EXECUTION_STATUS__EXECUTION_CANCELLED] = "Cancelled",
    };
    return NAME_OF(names, status);
}

const char *pen_stage_status_name(Pen__StageStatus status)
{
    static const char *const names[] = {
        [PEN__STAGE_STATUS__STAGE_IN_PROGRESS] = "InProgress",
        [PEN__STAGE_STATUS__STAGE_STOPPING] = "Stopping",
        [PEN__STAGE_STATUS__STAGE_STOPPED] = "Stopped",
        [PEN__STAGE_STATUS__STAGE_SUCCEEDED] = "Succeeded",
        [PEN__STAGE_STATUS__STAGE_FAILED] = "Failed",
        [PEN__STAGE_STATUS__STAGE_CANCELLED] = "Cancelled",
        [PEN__STAGE_STATUS__STAGE_SKIPPED] = "Skipped",
    };
    return NAME_OF(names, status);
}

const char *pen_action_status_name(Pen__ActionStatus status)
{
    static const char *const names[] = {
        [PEN__ACTION_STATUS__ACTION_IN_PROGRESS] = "InProgress",
        [PEN__ACTION_STATUS__ACTION_SUCCEEDED] = "Succeeded",
        [PEN__ACTION_STATUS__ACTION_FAILED] = "Failed",
        [PEN__ACTION_STATUS__ACTION_ABANDONED] = "Abandoned",
    };
    return NAME_OF(names, status);
}

const char *pen_condition_status_name(Pen__ConditionStatus status)
{
    static const char *const names[] = {
        [PEN__CONDITION_STATUS__CONDITION_IN_PROGRESS] = "InProgress",
        [PEN__CONDITION_STATUS__CONDITION_SUCCEEDED] = "Succeeded",
        [PEN__CONDITION_STATUS__CONDITION_FAILED] = "Failed",
        [PEN__CONDITION_STATUS__CONDITION_ABANDONED] = "Abandoned",
        [PEN__CONDITION_STATUS__CONDITION_OVERRIDDEN] = "Overridden",
        [PEN__CONDITION_STATUS__CONDITION_CANCELLED] = "Cancelled",
    };
    return NAME_OF(names, status);
}

const char *pen_job_state_name(Pen__JobState state)
{
    static const char *const names[] = {
        [PEN__JOB_STATE__JOB_CREATED] = "Created",
        [PEN__JOB_STATE__JOB_QUEUED] = "Queued",
        [PEN__JOB_STATE__JOB_DISPATCHED] = "Dispatched",
        [PEN__JOB_STATE__JOB_IN_PROGRESS] = "InProgress",
        [PEN__JOB_STATE__JOB_SUCCEEDED] = "Succeeded",
        [PEN__JOB_STATE__JOB_FAILED] = "Failed",
        [PEN__JOB_STATE__JOB_TIMED_OUT] = "TimedOut",
    };
    return NAME_OF(names, state);
}

const char *pen_trigger_type_name(Pen__TriggerType type)
{
    static const char *const names[] = {
        [PEN__TRIGGER_TYPE__TRIGGER_CREATE_PIPELINE] = "CreatePipeline",
        [PEN__TRIGGER_TYPE__TRIGGER_START_PIPELINE_EXECUTION] = "StartPipelineExecution",
        [PEN__TRIGGER_TYPE__TRIGGER_POLL_FOR_SOURCE_CHANGES] = "PollForSourceChanges",
        [PEN__TRIGGER_TYPE__TRIGGER_WEBHOOK] = "Webhook",
        [PEN__TRIGGER_TYPE__TRIGGER_CLOUD_WATCH_EVENT] = "CloudWatchEvent",
        [PEN__TRIGGER_TYPE__TRIGGER_PUT_ACTION_REVISION] = "PutActionRevision",
        [PEN__TRIGGER_TYPE__TRIGGER_WEBHOOK_V2] = "WebhookV2",
        [PEN__TRIGGER_TYPE__TRIGGER_MANUAL_ROLLBACK] = "ManualRollback",
        [PEN__TRIGGER_TYPE__TRIGGER_AUTOMATED_ROLLBACK] = "AutomatedRollback",
    };
    return NAME_OF(names, type);
}
