/* controller/services/codepipeline/codepipeline.h - the CodePipeline API: what of it is served */
#ifndef PEN_CONTROLLER_SERVICES_CODEPIPELINE_CODEPIPELINE_H
#define PEN_CONTROLLER_SERVICES_CODEPIPELINE_CODEPIPELINE_H

#include "controller/services/call.h"

extern const struct pen_service pen_codepipeline;

/* The most that ArtifactDetails can say, though Commands take up to 10. */
enum { PEN_ARTIFACT_DETAILS_MAX = 5 };

/* pipelines.c */
pen_handler pen_create_pipeline;
pen_handler pen_get_pipeline;
pen_handler pen_update_pipeline;
pen_handler pen_delete_pipeline;
pen_handler pen_list_pipelines;
/* state.c */
pen_handler pen_get_pipeline_state;
/* executions.c */
pen_handler pen_get_pipeline_execution;
pen_handler pen_list_pipeline_executions;
/* actions.c */
pen_handler pen_list_action_executions;
/* changes.c */
pen_handler pen_start_pipeline_execution;
pen_handler pen_stop_pipeline_execution;
pen_handler pen_retry_stage_execution;
/* The same; beside: also beside abandoned work of the stage that may live. */
int pen_retry_stage(struct pen_call *call, bool beside, struct pen_error *err);
pen_handler pen_put_approval_result;
pen_handler pen_enable_stage_transition;
pen_handler pen_disable_stage_transition;
/* conditions.c */
pen_handler pen_list_rule_executions;
pen_handler pen_list_rule_types;
pen_handler pen_override_stage_condition;
/* Put the states of the stage execution's conditions into a stage of GetPipelineState. */
int pen_put_condition_states(struct pen_call *call, json_t *stage,
                             const Pen__StageExecutionRow *row, struct pen_error *err);
/* action_types.c */
pen_handler pen_create_custom_action_type;
pen_handler pen_delete_custom_action_type;
pen_handler pen_list_action_types;
/* jobs.c */
pen_handler pen_poll_for_jobs;
pen_handler pen_acknowledge_job;
pen_handler pen_get_job_details;
pen_handler pen_put_job_success_result;
pen_handler pen_put_job_failure_result;
/* rollback.c */
pen_handler pen_rollback_stage;
/* revisions.c */
pen_handler pen_put_action_revision;
/* webhooks.c */
pen_handler pen_put_webhook;
pen_handler pen_delete_webhook;
pen_handler pen_list_webhooks;
pen_handler pen_register_webhook;
pen_handler pen_deregister_webhook;

/* webhook_filters.c */
/* *ret_failed: number of the first filter that the body does not pass, from 1; 0: it passes all.
 * Without filters the body is not looked at. Errors: ValidationException (the body is no JSON, or a
 * filter cannot be compared), PipelineNotFoundException. */
int pen_webhook_filter(struct pen_call *call, const Pen__WebhookRow *row, const void *bytes,
                       size_t size, size_t *ret_failed, struct pen_error *err);

/* What the sealed secret token of a webhook is bound to. */
#define PEN_WEBHOOK_SEAL_CONTEXT "webhook secret token"

#endif
