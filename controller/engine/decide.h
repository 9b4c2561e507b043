/* controller/engine/decide.h - what happens: requests into facts, and what follows from state
 *
 * A handler checks one input completely, then states facts. An advance function looks at one entity
 * and makes the one next move that its state asks for, or none; the step repeats them until nothing
 * is left to do, so that no rule has to know who triggers it.
 */
#ifndef PEN_CONTROLLER_ENGINE_DECIDE_H
#define PEN_CONTROLLER_ENGINE_DECIDE_H

#include "common/base/buf.h"
#include "controller/engine/state.h"

/* Validate, then emit. On error nothing was emitted. `reply` may be filled. */
typedef int handler_f(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                      struct pen_error *err);

handler_f handle_create_pipeline, handle_update_pipeline, handle_delete_pipeline,
    handle_change_transition;
handler_f handle_start_execution, handle_stop_execution, handle_retry_stage, handle_rollback;
handler_f handle_override_condition, handle_put_approval, handle_resolve_attempt, handle_explain,
    handle_get_health;
handler_f handle_create_token, handle_change_agent, handle_list_agents, handle_create_repository,
    handle_delete_repository, handle_repository_made, handle_create_connection,
    handle_delete_connection, handle_create_access_key;
handler_f handle_put_webhook, handle_delete_webhook, handle_webhook_called,
    handle_pull_request_notified, handle_pull_request_found, handle_put_action_revision;
handler_f handle_agent_message, handle_agent_gone, handle_log_stored, handle_artifact_arrived;
handler_f handle_zone_loaded, handle_clock_set;
handler_f handle_refs_looked, handle_source_looked, handle_revision_found, handle_source_done,
    handle_push_notified;

handler_f handle_create_action_type, handle_delete_action_type;
handler_f handle_poll_jobs, handle_acknowledge_job, handle_put_job_result;
handler_f handle_start_collection, handle_remove_history, handle_history_gone, handle_sweep_mirrors,
    handle_mirrors_swept, handle_collection_done;

/* The types of the custom actions that a declaration names are there, and masks become the secrets
 * that `pipeline` (NULL: a new one) has stored. Errors: InvalidActionDeclarationException. */
int settle_custom_actions(const struct pen_engine *engine, const struct pipeline *pipeline,
                          Pen__PipelineDeclaration *declaration, struct pen_error *err);

/* ---- executions and stages */

/* What makes an execution start. Strings are borrowed. */
struct start {
    Pen__TriggerType trigger_type;
    const char *trigger_detail;
    Pen__NameValue **variables; /* resolved; taken */
    size_t variables_count;
    Pen__SourceOverride **overrides; /* borrowed */
    size_t overrides_count;
    Pen__RequestTokenRow *request_token; /* taken; its execution_id is filled in */
    Pen__RollbackTarget *rollback;       /* taken; NULL: a STANDARD execution */
    uint32_t stage_index;                /* where a rollback begins */
    const Pen__ExecutionOrigin *origin;  /* of a trigger; NULL: none */
};

/* Start an execution and say its id. Errors: ConcurrentPipelineExecutionsLimitExceededException;
 * what start would hand over stays the caller's then. */
int execution_start(struct pen_engine *engine, struct pipeline *pipeline, struct start *start,
                    char ret_id[37], struct pen_error *err);

/* The same without the limit. */
void execution_start_unlimited(struct pen_engine *engine, struct pipeline *pipeline,
                               struct start *start, char ret_id[37]);

/* The same for what nobody asked for by hand: the variables have their defaults. */
int execution_start_by_event(struct pen_engine *engine, struct pipeline *pipeline,
                             struct start *start, char ret_id[37], struct pen_error *err);

/* Its first variable without a default, for which nothing but a person's start can give a value;
 * NULL: whatever happens can start the pipeline. */
const char *variable_without_default(const struct pipeline *pipeline);

void execution_advance(struct pen_engine *engine, struct execution *self);
void execution_end(struct pen_engine *engine, struct execution *self, Pen__ExecutionStatus status,
                   const char *summary, const char *superseded_by);
void stage_end(struct pen_engine *engine, struct stage_run *self, Pen__StageStatus status);
void stage_advance(struct pen_engine *engine, struct stage_run *self);
void stage_enter(struct pen_engine *engine, struct execution *execution, uint32_t stage_index);
void gate_advance(struct pen_engine *engine, struct stage_state *self);

/* ---- triggers */

/* State what was seen of a source action last, by the names of seen_revision. */
void mark_seen(struct pen_engine *engine, const struct pipeline *pipeline, const char *stage,
               const char *action, const char *ref_name, const char *revision_id);
extern const char put_revision_name[];

/* The same of a ref that is there no more. */
void mark_gone(struct pen_engine *engine, const struct pipeline *pipeline, const char *stage,
               const char *action, const char *ref_name);

/* execution_start_by_event with exactly this revision of the source action. */
int start_with_revision(struct pen_engine *engine, struct pipeline *pipeline, const char *action,
                        const char *revision_id, struct start *start, char ret_id[37],
                        struct pen_error *err);
bool trigger_accepts_push(const Pen__GitConfiguration *trigger, const Pen__RevisionFound *found);

/* Whether one of the digests is known. */
bool delivery_known(size_t count, const ProtobufCBinaryData *known, size_t given_count,
                    const ProtobufCBinaryData *given);
/* Errors: ValidationException (not digests, or too many). */
int check_deliveries(size_t count, const ProtobufCBinaryData *given, struct pen_error *err);

/* Whether a push to the source's own branch starts the pipeline. */
bool source_detects(const Pen__ActionDeclaration *action);

/* Whether a pipeline may be polled by this declaration.
 * Errors: LimitExceededException (too many others are). */
int check_polling(const struct pen_engine *engine, const Pen__PipelineDeclaration *declaration,
                  struct pen_error *err);
/* The declaration or the time of the last execution has changed. */
void polling_arm(struct pen_engine *engine, struct pipeline *self);
void polling_stop(struct pen_engine *engine, struct pipeline *self);
void polling_started(struct pen_engine *engine, struct pipeline *self, bool was_stopped);

/* ---- conditions */

/* Whether a person can have an execution that has ended go on: by running the stage again in which
 * it ended, or by overriding the condition by which that stage ended (NULL: it was in none). */
bool may_be_retried(const struct pen_engine *engine, const struct execution *execution);
/* The condition that has made the stage fail, where it can be overridden; 0: none has. */
Pen__ConditionKind condition_failed(const struct stage_run *run);
bool condition_may_be_overridden(const struct pen_engine *engine, const struct stage_run *run);

enum verdict { CONDITION_PASSED = 1, CONDITION_MISSED, CONDITION_WAITS };

/* Check the stage's condition of this kind, as far as that goes now. */
enum verdict condition_check(struct pen_engine *engine, struct stage_run *run,
                             Pen__ConditionKind kind);

/* A rule that runs on an agent: start its work, and end the rule when the work has ended or its
 * time is over. */
void rule_work_start(struct pen_engine *engine, const struct rule *rule);
void rule_work_check(struct pen_engine *engine, const struct rule *rule);

/* A rule that waits for a window: find when it opens, at once or when the time zone is known (the
 * row is a new one); and end the rule when it is open or its time is over. Errors: PEN_EINVAL. */
int window_prepare(const struct pen_engine *engine, Pen__RuleExecutionRow *row,
                   struct pen_error *err);
void window_check(struct pen_engine *engine, const struct rule *rule);
/* Ask for the time zone of a rule's window. */
void window_ask_zone(struct pen_engine *engine, const struct rule *rule);

/* The value of a rule's resolved configuration, NULL when it is not given. */
const char *rule_value(const Pen__RuleExecutionRow *row, const char *key);

/* End a rule in progress, and its work. `code` NULL: it has not failed by an error. */
void rule_end(struct pen_engine *engine, const struct rule *rule, Pen__ActionStatus status,
              const char *code, const char *text);

/* The stage is to end: so does a condition in progress. Abandoned by a stop, else cancelled. */
void condition_abandon(struct pen_engine *engine, struct stage_run *run, const char *why);

/* Whether one more execution may be under way.
 * Errors: ConcurrentPipelineExecutionsLimitExceededException. */
int check_room(const struct pen_engine *engine, const struct pipeline *pipeline, const char *mode,
               struct pen_error *err);

/* The execution has failed in this stage: go back to the last success, if the stage wants that. */
void rollback_by_itself(struct pen_engine *engine, const struct execution *failed,
                        const struct stage_run *run);

/* Whether the execution still has the artifacts that the approval was asked for. */
bool approval_stands(const struct action *action);

/* Whether a rollback is next to enter the stage. */
bool rollback_waits(const struct pen_engine *engine, const struct stage_state *stage);

/* End what is in progress: all of it, or only what no agent, person or source works on. */
void stage_abandon(struct pen_engine *engine, struct stage_run *self, bool all, const char *why);

/* ---- actions and attempts */

/* The text with its variables' values. The caller owns it. Errors: PEN_EINVAL, PEN_ENOTFOUND. */
int execution_expand(const struct execution *execution, const char *text, char **ret_text,
                     struct pen_error *err);

void action_start(struct pen_engine *engine, struct stage_run *run, size_t index);

/* The same for the work of a rule in progress, by a declaration that is made for it. */
void action_start_for_rule(struct pen_engine *engine, const struct rule *rule,
                           const Pen__ActionDeclaration *declaration);

/* It is wanted no more: end it, and whatever agent or source works on it. */
void action_abandon(struct pen_engine *engine, struct action *self, const char *why);

/* An ActionEnded to be filled further and given to emit_about. */
Pen__ActionEnded *action_ended(const struct action *self, Pen__ActionStatus status,
                               const char *summary);
void action_end(struct pen_engine *engine, struct action *self, Pen__ActionEnded *body);

/* It failed: `code` is one of the API's error codes. */
void action_fail(struct pen_engine *engine, struct action *self, const char *code,
                 const char *message);
void action_progress(struct pen_engine *engine, const struct action *self, const char *summary);

/* Ask for another attempt, unless there were too many. */
void action_try_again(struct pen_engine *engine, struct action *self, const char *why);

void approval_expire(struct pen_engine *engine, struct action *self);

/* A newer execution waits in front of the stage, and what is in progress in it are approvals that
 * give way to one: end the execution as Superseded. True when that was done. */
bool approval_yields(struct pen_engine *engine, struct stage_run *run);

/* The candidate becomes the fence, unless a higher one was granted since it was chosen. */
void attempt_grant(struct pen_engine *engine, struct action *action, struct agent *agent,
                   uint64_t candidate, bool offered);
void attempt_move(struct pen_engine *engine, struct attempt *self, Pen__AttemptState to,
                  const char *why);

/* Whatever DRAINING waits for may be there: end the attempt and its action if so. */
void attempt_settle(struct pen_engine *engine, struct attempt *self, bool give_up_data);

/* Nothing more is to be expected from the agent: lost, or unproven, by class. */
void attempt_lose(struct pen_engine *engine, struct attempt *self, const char *why);

/* The agent has proven that it never began and never will. */
void attempt_never_began(struct pen_engine *engine, struct attempt *self, const char *why);

/* The action was given up: end the process too, if its class allows to break it off, or a person
 * wants that (kill). */
void attempt_cancel(struct pen_engine *engine, struct attempt *self, const char *why, bool kill);

/* The same as attempt_move, by a body that says more; takes it. */
void attempt_move_by(struct pen_engine *engine, struct attempt *self, Pen__AttemptMoved *body);

/* Set the timer as the state asks for: the time-out of what runs, the grace of what is being ended,
 * the data of what has ended. `attempt_timer` is what it does. */
void attempt_arm(struct pen_engine *engine, struct attempt *self);
void attempt_timer(struct pen_engine *engine, struct attempt *self);

/* What is being ended should be over by then. */
int64_t attempt_grace_until_ms(const struct attempt *self);

/* ---- work that outlives its action: abandoned.c */

/* The abandoned work beside which the action must not begin; NULL: it may. */
const struct attempt *abandoned_before(const struct pen_engine *engine,
                                       const struct action *action);

/* Abandoned work of this stage that a retry of the execution would have to wait for, although
 * nobody ends it; NULL: there is none. */
const struct attempt *abandoned_in_stage(const struct pen_engine *engine,
                                         const struct execution *execution, const char *stage);

/* "Action 'D' of execution 12.. was given up, and still runs on agent 'a'" */
void abandoned_say(const struct attempt *self, struct pen_buf *text);

/* Reasons: why the action waits for abandoned work; and all such work of a pipeline or, unless
 * execution_id is NULL, of one execution. */
void abandoned_explain_held(const struct pen_engine *engine, const struct action *action,
                            const struct attempt *before, Pen__Reply *reply);
void abandoned_explain(const struct pen_engine *engine, const char *pipeline,
                       const char *execution_id, Pen__Reply *reply);

/* A person has abandoned work ended, whatever its class: its agent is told to. Of what no agent can
 * tell any more the person's word is the end. False: it is being ended already. */
bool abandoned_kill(struct pen_engine *engine, struct attempt *self, const char *why);

/* All of an execution; says how many were told to end now, and whether others are ending. */
size_t abandoned_kill_all(struct pen_engine *engine, const char *pipeline, const char *execution_id,
                          const char *why, bool *ret_ending);

Pen__Capsule *capsule_make(const struct pen_engine *engine, const struct attempt *attempt);

/* How long its commands may run, in milliseconds. */
int64_t action_time_ms(const struct pen_engine *engine, const struct action *action);

/* ---- agents */

/* Offer queued actions to free agents. */
void assign(struct pen_engine *engine);

/* Say in the summaries of queued actions why they wait: of the new ones, or of all whose reason is
 * another than before. */
void assign_tell_fresh(struct pen_engine *engine);
void assign_tell_all(struct pen_engine *engine);
void offer_expire(struct pen_engine *engine, struct action *self);

/* No offers to this agent for a while. */
void agent_pause(struct pen_engine *engine, struct agent *self, int64_t pause_ms);

/* Takes body. To the agent's latest link; nothing when it has none. */
void agent_send(struct pen_engine *engine, struct agent *self, Pen__ToAgent__BodyCase what,
                void *body);
void agent_send_start(struct pen_engine *engine, struct attempt *attempt, uint64_t offered_fence);
void agent_send_cancel(struct pen_engine *engine, struct attempt *attempt);
/* The same, before the attempt's row says why. */
void agent_send_kill(struct pen_engine *engine, struct attempt *attempt, const char *why);
void agent_send_revoke(struct pen_engine *engine, struct attempt *attempt);
/* Say whether a person has drained the agent. */
void agent_send_drain(struct pen_engine *engine, struct agent *self);
void agent_send_release(struct pen_engine *engine, struct agent *self, uint64_t fence);
void agent_send_refused(struct pen_engine *engine, const char *agent_id, uint64_t link,
                        uint64_t session_no, Pen__RefusedCode code, uint64_t fence,
                        const char *message);
void agent_timer(struct pen_engine *engine, struct agent *self);
void agent_arm_timer(struct pen_engine *engine, struct agent *self);
/* What it was offered and has not been granted goes to others. */
void agent_drop_offers(struct pen_engine *engine, struct agent *self);
void agent_disconnect(struct pen_engine *engine, struct agent *self);
void agent_lose_attempts(struct pen_engine *engine, struct agent *self, const char *why);
void agent_quarantine(struct pen_engine *engine, struct agent *self, const char *why);
void agent_drop_unbegun(struct pen_engine *engine, struct agent *self, size_t count,
                        Pen__InventoryItem **inventory);
void agent_reconcile(struct pen_engine *engine, struct agent *self, bool opening, size_t count,
                     Pen__InventoryItem **inventory);
void agent_event(struct pen_engine *engine, struct agent *self, const Pen__Event *event,
                 bool ready);
void agent_revoked(struct pen_engine *engine, struct agent *self, const Pen__Revoked *revoked);
void agent_enrol(struct pen_engine *engine, const Pen__AgentMessage *message);
void agent_send_enrolled(struct pen_engine *engine, const char *token_id, uint64_t link,
                         const char *agent_id);
uint64_t agent_gc_below(const struct pen_engine *engine, const struct agent *self);

/* ---- effects that follow from one entity's state: in the step that changed it, and in plan */

void plan_action(struct pen_engine *engine, const struct action *self);
void plan_attempt(struct pen_engine *engine, const struct attempt *self);
void plan_rule(struct pen_engine *engine, const struct rule *self);
void plan_watches(struct pen_engine *engine, struct pipeline *self);
void plan_key(struct pen_engine *engine, ProtobufCBinaryData public_key, const char *id,
              bool token);
void plan_key_denied(struct pen_engine *engine, ProtobufCBinaryData public_key);
/* correlation: of the request that waits for it; 0: nobody does. */
void plan_repository(struct pen_engine *engine, const char *name, uint64_t correlation);
void plan_connection(struct pen_engine *engine, const Pen__ConnectionRow *row);
void plan_access_key(struct pen_engine *engine, const Pen__AccessKeyRow *row);
void plan_pull_request(struct pen_engine *engine, const struct pipeline *self,
                       const Pen__PullRequestEvent *event);
void plan_source_run(struct pen_engine *engine, const struct action *action);
void plan_all(struct pen_engine *engine);

/* Stop at the first rule of the state that does not hold (CHECK). */
void check_invariants(const struct pen_engine *engine);

#endif
