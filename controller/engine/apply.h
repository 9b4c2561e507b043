/* controller/engine/apply.h - facts into state: the only writer of rows
 *
 * Each function takes one fact and changes rows and the indexes that follow from them. It decides
 * nothing, asks nobody and has no other effect, so that folding the stored facts gives the same
 * rows. A fact that does not fit the state is PEN_ECORRUPT, and the state may be half changed:
 * live, that is a mistake of ours; in a replay it is a damaged log.
 */
#ifndef PEN_CONTROLLER_ENGINE_APPLY_H
#define PEN_CONTROLLER_ENGINE_APPLY_H

#include "controller/engine/state.h"

int apply(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err);

typedef int apply_f(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err);

apply_f apply_pipeline_created, apply_pipeline_updated, apply_pipeline_deleted,
    apply_transition_changed, apply_revision_seen, apply_refs_read, apply_source_troubled;
apply_f apply_execution_started, apply_execution_waiting, apply_execution_stopping,
    apply_execution_ended, apply_stage_started, apply_stage_group_started, apply_stage_ended,
    apply_stage_retried;
apply_f apply_condition_started, apply_window_found, apply_rule_ended, apply_condition_ended;
apply_f apply_action_started, apply_action_progress, apply_action_ended, apply_action_requeued;
apply_f apply_attempt_granted, apply_attempt_started, apply_attempt_step, apply_attempt_finished,
    apply_attempt_stored, apply_attempt_moved;
apply_f apply_action_type_created, apply_action_type_deleted, apply_job_queued, apply_job_moved;
apply_f apply_token_created, apply_agent_enrolled, apply_agent_session, apply_agent_changed,
    apply_repository_created, apply_repository_deleted, apply_connection_created,
    apply_connection_deleted, apply_access_key_created, apply_database_created;
apply_f apply_webhook_put, apply_webhook_deleted, apply_webhook_triggered,
    apply_pull_request_noticed, apply_polling_stopped;
apply_f apply_collection_started, apply_collection_ended, apply_history_removed,
    apply_history_purged, apply_agent_removed;

/* An execution of the pipeline starts: its row says when, to within PEN_LIMIT_STARTED_NOTE_MS, and
 * it is polled again. */
void note_started(struct pen_engine *engine, struct pipeline *pipeline, int64_t at_ms);

/* The execution has succeeded in the stage: it is a way back, or who it rolled back to. */
void note_way_back(struct stage_state *stage, const Pen__ExecutionRow *succeeded);

/* The pipeline was changed: no rollback goes to a former version. */
void forget_ways_back(struct stage_state *stage);

/* A changed pipeline: what was seen of repositories that its triggers look at no more is void. */
void drop_foreign_refs(struct pen_engine *engine, struct pipeline *pipeline);

/* Of a pipeline that is deleted. */
void drop_all_refs(struct pen_engine *engine, struct pipeline *pipeline);

/* The event was looked at. */
void drop_pull_request(struct pipeline *pipeline, uint64_t event);

/* Drop tokens and request tokens whose time is over at the time of the fact. */
void apply_expiry(struct pen_engine *engine);

/* Drop the request tokens of a pipeline that is deleted: one of the same name knows nothing of
 * them. */
void drop_requests(struct pen_engine *engine, const char *pipeline);

/* Drop the state of a stage that no declaration names any more, once nobody holds or awaits it. */
void drop_stage_if_orphan(struct pen_engine *engine, struct pipeline *pipeline, const char *name);

/* Remember how long it took: before the action leaves its phase, and when the stage ends. */
void history_action_succeeded(struct pen_engine *engine, const struct action *action,
                              int64_t at_ms);
void history_stage_succeeded(struct pen_engine *engine, struct stage_state *stage,
                             const struct stage_run *run, int64_t at_ms);

/* The gate has changed: say in the rows of those who wait what they wait for. */
void gate_retell(struct pen_engine *engine, const struct stage_state *stage);

/* Whether an attempt may go from one state to another: the table of attempt.c. */
bool attempt_may_move(Pen__AttemptState from, Pen__AttemptState to);

#endif
