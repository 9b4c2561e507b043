#include "controller/services/codepipeline/codepipeline.h"

static const struct pen_operation operations[] = {
    {"AcknowledgeJob", "codepipeline:AcknowledgeJob", pen_acknowledge_job},
    {"CreateCustomActionType", "codepipeline:CreateCustomActionType",
     pen_create_custom_action_type},
    {"CreatePipeline", "codepipeline:CreatePipeline", pen_create_pipeline},
    {"DeleteCustomActionType", "codepipeline:DeleteCustomActionType",
     pen_delete_custom_action_type},
    {"DeletePipeline", "codepipeline:DeletePipeline", pen_delete_pipeline},
    {"DisableStageTransition", "codepipeline:DisableStageTransition", pen_disable_stage_transition},
    {"EnableStageTransition", "codepipeline:EnableStageTransition", pen_enable_stage_transition},
    {"GetJobDetails", "codepipeline:GetJobDetails", pen_get_job_details},
    {"GetPipeline", "codepipeline:GetPipeline", pen_get_pipeline},
    {"GetPipelineExecution", "codepipeline:GetPipelineExecution", pen_get_pipeline_execution},
    {"GetPipelineState", "codepipeline:GetPipelineState", pen_get_pipeline_state},
    {"ListActionExecutions", "codepipeline:ListActionExecutions", pen_list_action_executions},
    {"ListActionTypes", "codepipeline:ListActionTypes", pen_list_action_types},
    {"ListPipelineExecutions", "codepipeline:ListPipelineExecutions", pen_list_pipeline_executions},
    {"ListRuleExecutions", "codepipeline:ListRuleExecutions", pen_list_rule_executions},
    {"ListRuleTypes", "codepipeline:ListRuleTypes", pen_list_rule_types},
    {"OverrideStageCondition", "codepipeline:OverrideStageCondition", pen_override_stage_condition},
    {"ListPipelines", "codepipeline:ListPipelines", pen_list_pipelines},
    {"PollForJobs", "codepipeline:PollForJobs", pen_poll_for_jobs},
    {"PutJobFailureResult", "codepipeline:PutJobFailureResult", pen_put_job_failure_result},
    {"PutJobSuccessResult", "codepipeline:PutJobSuccessResult", pen_put_job_success_result},
    {"PutApprovalResult", "codepipeline:PutApprovalResult", pen_put_approval_result},
    {"RetryStageExecution", "codepipeline:RetryStageExecution", pen_retry_stage_execution},
    {"RollbackStage", "codepipeline:RollbackStage", pen_rollback_stage},
    {"StartPipelineExecution", "codepipeline:StartPipelineExecution", pen_start_pipeline_execution},
    {"StopPipelineExecution", "codepipeline:StopPipelineExecution", pen_stop_pipeline_execution},
    {"UpdatePipeline", "codepipeline:UpdatePipeline", pen_update_pipeline},
};

const struct pen_service pen_codepipeline = {
    .catalog = &pen_codepipeline_catalog,
    .operations = operations,
    .operations_count = sizeof operations / sizeof operations[0],
};
