#include "controller/engine/apply.h"

#include "common/base/check.h"

static apply_f *const table[] = {
    [PEN__FACT__WHAT_PIPELINE_CREATED] = apply_pipeline_created,
    [PEN__FACT__WHAT_PIPELINE_UPDATED] = apply_pipeline_updated,
    [PEN__FACT__WHAT_PIPELINE_DELETED] = apply_pipeline_deleted,
    [PEN__FACT__WHAT_TRANSITION_CHANGED] = apply_transition_changed,
    [PEN__FACT__WHAT_REVISION_SEEN] = apply_revision_seen,
    [PEN__FACT__WHAT_REFS_READ] = apply_refs_read,
    [PEN__FACT__WHAT_SOURCE_TROUBLED] = apply_source_troubled,
    [PEN__FACT__WHAT_EXECUTION_STARTED] = apply_execution_started,
    [PEN__FACT__WHAT_EXECUTION_WAITING] = apply_execution_waiting,
    [PEN__FACT__WHAT_EXECUTION_STOPPING] = apply_execution_stopping,
    [PEN__FACT__WHAT_EXECUTION_ENDED] = apply_execution_ended,
    [PEN__FACT__WHAT_STAGE_STARTED] = apply_stage_started,
    [PEN__FACT__WHAT_STAGE_GROUP_STARTED] = apply_stage_group_started,
    [PEN__FACT__WHAT_STAGE_ENDED] = apply_stage_ended,
    [PEN__FACT__WHAT_STAGE_RETRIED] = apply_stage_retried,
    [PEN__FACT__WHAT_CONDITION_STARTED] = apply_condition_started,
    [PEN__FACT__WHAT_RULE_ENDED] = apply_rule_ended,
    [PEN__FACT__WHAT_CONDITION_ENDED] = apply_condition_ended,
    [PEN__FACT__WHAT_WINDOW_FOUND] = apply_window_found,
    [PEN__FACT__WHAT_ACTION_STARTED] = apply_action_started,
    [PEN__FACT__WHAT_ACTION_PROGRESS] = apply_action_progress,
    [PEN__FACT__WHAT_ACTION_ENDED] = apply_action_ended,
    [PEN__FACT__WHAT_ACTION_REQUEUED] = apply_action_requeued,
    [PEN__FACT__WHAT_ATTEMPT_GRANTED] = apply_attempt_granted,
    [PEN__FACT__WHAT_ATTEMPT_STARTED] = apply_attempt_started,
    [PEN__FACT__WHAT_ATTEMPT_STEP] = apply_attempt_step,
    [PEN__FACT__WHAT_ATTEMPT_FINISHED] = apply_attempt_finished,
    [PEN__FACT__WHAT_ATTEMPT_STORED] = apply_attempt_stored,
    [PEN__FACT__WHAT_ATTEMPT_MOVED] = apply_attempt_moved,
    [PEN__FACT__WHAT_JOB_QUEUED] = apply_job_queued,
    [PEN__FACT__WHAT_JOB_MOVED] = apply_job_moved,
    [PEN__FACT__WHAT_ACTION_TYPE_CREATED] = apply_action_type_created,
    [PEN__FACT__WHAT_ACTION_TYPE_DELETED] = apply_action_type_deleted,
    [PEN__FACT__WHAT_TOKEN_CREATED] = apply_token_created,
    [PEN__FACT__WHAT_AGENT_ENROLLED] = apply_agent_enrolled,
    [PEN__FACT__WHAT_AGENT_SESSION] = apply_agent_session,
    [PEN__FACT__WHAT_AGENT_CHANGED] = apply_agent_changed,
    [PEN__FACT__WHAT_REPOSITORY_CREATED] = apply_repository_created,
    [PEN__FACT__WHAT_REPOSITORY_DELETED] = apply_repository_deleted,
    [PEN__FACT__WHAT_CONNECTION_CREATED] = apply_connection_created,
    [PEN__FACT__WHAT_CONNECTION_DELETED] = apply_connection_deleted,
    [PEN__FACT__WHAT_ACCESS_KEY_CREATED] = apply_access_key_created,
    [PEN__FACT__WHAT_DATABASE_CREATED] = apply_database_created,
    [PEN__FACT__WHAT_WEBHOOK_PUT] = apply_webhook_put,
    [PEN__FACT__WHAT_WEBHOOK_DELETED] = apply_webhook_deleted,
    [PEN__FACT__WHAT_WEBHOOK_TRIGGERED] = apply_webhook_triggered,
    [PEN__FACT__WHAT_PULL_REQUEST_NOTICED] = apply_pull_request_noticed,
    [PEN__FACT__WHAT_POLLING_STOPPED] = apply_polling_stopped,
    [PEN__FACT__WHAT_COLLECTION_STARTED] = apply_collection_started,
    [PEN__FACT__WHAT_COLLECTION_ENDED] = apply_collection_ended,
    [PEN__FACT__WHAT_HISTORY_REMOVED] = apply_history_removed,
    [PEN__FACT__WHAT_HISTORY_PURGED] = apply_history_purged,
    [PEN__FACT__WHAT_AGENT_REMOVED] = apply_agent_removed,
};

int apply(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    size_t what = (size_t)fact->what_case;
    if (what >= sizeof table / sizeof table[0] || table[what] == NULL)
        return pen_fail(err, PEN_ECORRUPT, "fact %llu is of kind %zu, which is not known",
                        (unsigned long long)fact->seq, what);
    bool first = fact->what_case == PEN__FACT__WHAT_DATABASE_CREATED;
    if (first != (engine->setting == NULL))
        return pen_fail(err, PEN_ECORRUPT, "fact %llu: a database is created once, and first",
                        (unsigned long long)fact->seq);
    if (!first && fact->seq != engine->setting->row->last_fact_seq + 1)
        return pen_fail(err, PEN_ECORRUPT, "fact %llu does not follow fact %llu",
                        (unsigned long long)fact->seq,
                        (unsigned long long)engine->setting->row->last_fact_seq);
    apply_expiry(engine); /* before: the fact may make the same key anew */
    int rc = table[what](engine, fact, err);
    if (rc < 0)
        return rc;
    SET(engine->setting->row, last_fact_seq, fact->seq);
    SET(engine->setting->row, last_fact_ms, fact->at_ms);
    entity_touch(engine, &engine->setting->entity);
    return 0;
}
