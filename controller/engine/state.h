/* controller/engine/state.h - what the engine holds in memory: entities and their indexes
 *
 *     pipeline --- version (declaration)          agent --- session, offers
 *        |  \                                       |
 *        |   stage_state (gate, lock, queue)        |
 *        |                                          |
 *     execution --- stage_run --- action ------- attempt
 *
 * Every entity is a row (its message) with indexes around it. Rows are written by apply_*.c alone;
 * what stands beside the row is derived from rows (indexes) or lives only as long as the process
 * (sessions, offers, timers), because it can be made again from nothing.
 */
#ifndef PEN_CONTROLLER_ENGINE_STATE_H
#define PEN_CONTROLLER_ENGINE_STATE_H

#include "common/base/heap.h"
#include "common/base/map.h"
#include "common/base/prng.h"
#include "controller/engine/engine.h"
#include "controller/engine/memory.h"
#include "controller/engine/pack.h"
#include "controller/model/labels.h"
#include "controller/model/rules.h"

/* The head of every entity. */
struct entity {
    Pen__RowKind kind;
    bool live;    /* its row is loaded at restart */
    bool dirty;   /* in the list of rows to write */
    bool dead;    /* has left the indexes: freed once its last row is written */
    bool deleted; /* the row is to be deleted */
    struct entity *next_dirty;
    size_t out_index; /* its row in the `out` of this generation */
    uint64_t out_generation;
    char *key;
    const char *pipeline;  /* borrowed from the message */
    const char *execution; /* borrowed from the message */
    uint64_t order;
    ProtobufCMessage *message; /* owned */
};

struct setting {
    struct entity entity;
    Pen__SettingRow *row;
};

struct version {
    struct entity entity;
    Pen__PipelineVersionRow *row;
    size_t executions; /* in memory, that run by it */
};

enum timer_kind {
    TIMER_ACTION = 1,
    TIMER_AGENT,
    TIMER_ATTEMPT,
    TIMER_TELL,
    TIMER_RULE,
    TIMER_JOB,
    TIMER_POLLING,
};

/* Embedded; `owner` is the entity that `kind` says. */
struct timer {
    struct pen_heap_entry entry;
    enum timer_kind kind;
    void *owner;
};

/* The gate in front of a stage, its lock and its queue. */
struct stage_state {
    struct entity entity;
    Pen__StageStateRow *row;
    struct pipeline *owner;
    bool in_work;
    struct stage_state *next_work;
};

struct pipeline {
    struct entity entity;
    Pen__PipelineRow *row;
    struct version *current;
    struct pen_map versions;   /* number -> version, those in memory */
    struct pen_map stages;     /* name -> stage_state */
    struct pen_map executions; /* order -> execution, those in memory */
    struct pen_map refs;       /* key -> seen_refs */
    size_t running;            /* of them, not ended */
    uint64_t watch;            /* number of the latest orders to watch its sources */
    struct timer timer;        /* while its connections are polled: when that ends */
};

/* What was seen of some refs of a source action. */
struct seen_refs {
    struct entity entity;
    Pen__SeenRefsRow *row;
};

struct execution {
    struct entity entity;
    Pen__ExecutionRow *row;
    struct pipeline *pipeline;
    struct version *version;
    const Pen__PipelineDeclaration *declaration;
    struct stage_run **stages; /* by stage index; NULL where it was never */
    uint32_t in_progress;      /* actions */
    bool in_work;
    struct execution *next_work;
};

struct stage_run {
    struct entity entity;
    Pen__StageExecutionRow *row;
    struct execution *execution;
    const Pen__StageDeclaration *declaration;
    struct action **current; /* by index of the action; NULL where none counts */
    struct rule *rules[PEN_RULES_PER_CONDITION_MAX]; /* of the condition in progress */
    size_t rules_count;
};

struct action {
    struct entity entity;
    Pen__ActionExecutionRow *row;
    struct stage_run *run;
    const Pen__ActionDeclaration *declaration;
    size_t index;                 /* in the stage */
    struct rule *rule;            /* set: it is this rule's work, and no action of the stage */
    Pen__ActionDeclaration *made; /* of a rule's work: `declaration`, owned */
    struct attempt *attempt;      /* the live one */
    struct job *job;              /* in phase JOB: the one that has not ended */
    struct demand *demand;        /* while it is queued */
    struct agent *offered_to;
    uint64_t offered_fence; /* candidate */
    struct timer timer;     /* deadline of an approval or of a job's action, or the offer's */
};

struct rule {
    struct entity entity;
    Pen__RuleExecutionRow *row;
    struct stage_run *run;
    struct action *work; /* of a rule that runs on an agent */
    struct timer timer;  /* its window opens, or its time is over */
};

struct attempt {
    struct entity entity;
    Pen__AttemptRow *row;
    struct action *action; /* NULL once the action has gone its own way */
    struct agent *agent;
    char *abandoned_key;     /* in the engine's `abandoned`; NULL: not there */
    int64_t leapt_ms;        /* by which time has leapt since it began: no time that it ran */
    Pen__AttemptPhase phase; /* on the agent, as its last inventory said; 0: it has not */
    struct timer timer; /* it has to end, to hand in its data, or to be given up: attempt_arm */
};

struct agent {
    struct entity entity;
    Pen__AgentRow *row;
    struct pen_map attempts; /* fence -> attempt, live ones */
    uint32_t busy;           /* slots taken by attempts */
    uint32_t offers;         /* slots promised */
    /* of the session; not kept */
    bool connected;
    bool suspect;
    bool session_draining;
    bool once;
    bool once_taken;
    uint64_t link;
    int64_t seen_ms;
    int64_t cool_until_ms;      /* declined or ignored an offer: not asked again before */
    uint64_t reconciled_digest; /* of the inventory that was compared last */
    bool inventory_wanted;      /* the next heartbeat brings it */
    char *refusal;              /* why it declined an offer last; NULL: it has accepted since */
    char *former_run_id;        /* the one before row->run_id */
    int64_t clash_ms[3];        /* when a former run_id came back, newest first */
    bool indexed;               /* in free_agents, under indexed_load */
    uint32_t indexed_load;
    struct timer timer;
};

/* Queued actions that ask for the same labels. */
struct demand {
    char *text;
    struct pen_labels labels;
    struct pen_map queue; /* order -> action, those without an offer */
    size_t users;         /* queued actions, with or without an offer */
    bool blocked;         /* no agent found in this round of assigning */
    char *sentence;       /* why it waits, as the actions' summaries say; NULL: not known yet */
};

/* A custom action type, deleted ones too: one of them can be made again. */
struct action_type {
    struct entity entity;
    Pen__ActionTypeRow *row;
    int64_t polled_ms; /* last time that a job worker asked for its jobs; 0: not in this life */
};

struct job {
    struct entity entity;
    Pen__JobRow *row;
    struct action *action;
    struct job_queue *queue; /* while it is QUEUED */
    struct timer timer;      /* its pause or its visibility is over */
};

/* Queued jobs of one type, and of one value that workers poll by. */
struct job_queue {
    char *text;
    struct pen_map jobs; /* order -> job; never empty */
    int64_t polled_ms;   /* last time that a job worker asked for just these */
};

struct token {
    struct entity entity;
    Pen__TokenRow *row;
};

struct request_token {
    struct entity entity;
    Pen__RequestTokenRow *row;
};

struct repository {
    struct entity entity;
    Pen__RepositoryRow *row;
};

struct connection {
    struct entity entity;
    Pen__ConnectionRow *row;
};

struct webhook {
    struct entity entity;
    Pen__WebhookRow *row;
};

struct access_key {
    struct entity entity;
    Pen__AccessKeyRow *row;
};

/* Executions whose other rows and facts are being deleted. */
struct removal {
    struct entity entity;
    Pen__RemovalRow *row;
};

/* The latest one, of any kind. */
struct collection {
    struct entity entity;
    Pen__CollectionRow *row;
};

struct pen_engine {
    struct pen_engine_options options;
    char *account;
    char *region;
    struct pen_prng prng;
    struct setting *setting;
    struct pen_map pipelines;      /* name */
    struct pen_map executions;     /* id */
    struct pen_map actions;        /* action execution id */
    struct pen_map attempts;       /* fence */
    struct pen_map agents;         /* id */
    struct pen_map tokens;         /* id */
    struct pen_map token_ends;     /* expires_ms, id */
    struct pen_map requests;       /* pipeline/token */
    struct pen_map request_ends;   /* expires_ms, pipeline/token */
    struct pen_map repositories;   /* name */
    struct pen_map connections;    /* id */
    struct pen_map access_keys;    /* id */
    struct pen_map action_types;   /* category/provider/version */
    struct pen_map jobs;           /* id */
    struct pen_map job_queues;     /* category/provider/version/value */
    struct pen_map webhooks;       /* name */
    struct pen_map removals;       /* number */
    struct collection *collection; /* NULL: there never was one */
    struct pen_map left_memory;    /* id -> the same: executions since the collection began */
    struct pen_map approvals;      /* token -> action that waits for a person */
    struct pen_map offers;         /* candidate fence -> action */
    struct pen_map abandoned; /* pipeline/stage/action/fence -> attempt that outlives its action */
    struct pen_map demands;   /* text */
    struct pen_map free_agents; /* load, id */
    struct pen_heap timers;
    struct timer
        tell_timer; /* armed: agents have changed, queued actions may wait for other reasons */
    struct entity *loading; /* loaded, not yet linked */
    int64_t planned_ms;     /* when this life began */
    bool linked;
    bool folding; /* a fact is being replayed: nothing follows from it */
    uint64_t last_candidate;
    uint64_t last_watch;
    uint64_t last_generation;
    struct packer packer;        /* of rows */
    struct pen_map written_dead; /* kind, key -> 1 + place in `out` of rows whose entity is gone */
    uint64_t written_generation; /* of the `out` that these places are in */

    int64_t unsure_until_ms; /* time has leapt: what agents have said may be old */
    int64_t clock_behind_ms; /* how far the wall clock is behind now_ms (ClockSet) */

    /* of the current step */
    int64_t now_ms;
    const char *by;
    struct pen_engine_out *out;
    struct entity *dirty_first;
    struct entity *dirty_last;
    struct execution *work; /* what is to be looked at, first come, first served */
    struct execution *last_work;
    struct stage_state *gate_work;
    struct stage_state *last_gate_work;
    bool reply_later; /* the input that is being taken is answered by a later one */
    bool assign_wanted;
    struct agent *ready;  /* whose attempt has ended just now, and who would accept an offer */
    struct pen_map fresh; /* order -> action: queued, its summary does not say yet why it waits */
};

/* The time of day: what the wall clock says, as far as it is to be believed. */
static inline int64_t engine_day_ms(const struct pen_engine *engine)
{
    return engine->now_ms - engine->clock_behind_ms;
}

/* ---- entities */

/* Make the head of an entity; takes key and message. */
void entity_init(struct entity *self, Pen__RowKind kind, char *key, void *message);

/* The row has changed: write it at the end of the step. */
void entity_touch(struct pen_engine *engine, struct entity *self);

/* The entity leaves memory: write its last row as history, or delete the row. */
void entity_retire(struct pen_engine *engine, struct entity *self, bool delete_row);

void entity_destroy(struct entity *self);

/* The message type of a row; NULL for a kind that the engine does not hold. */
const ProtobufCMessageDescriptor *row_type(Pen__RowKind kind);

/* Whether a row that was read has the fields that every use of it relies on. */
bool row_complete(Pen__RowKind kind, const ProtobufCMessage *message);

/* Make an entity from its row (takes it) and put it into its map; links come separately. */
struct entity *entity_add(struct pen_engine *engine, Pen__RowKind kind, void *message);

/* Connect a loaded entity with those that it names. Errors: PEN_ECORRUPT. */
int entity_link(struct pen_engine *engine, struct entity *self, struct pen_error *err);

/* Append a copy of the bytes to a repeated field. */
void bytes_append(ProtobufCBinaryData **list, size_t *count, ProtobufCBinaryData bytes);

/* ---- finding */

struct pipeline *find_pipeline(const struct pen_engine *engine, const char *name);
struct stage_state *find_stage(const struct pipeline *pipeline, const char *stage);
struct execution *find_execution(const struct pen_engine *engine, const char *id);
struct stage_run *find_run(const struct execution *execution, const char *stage);
struct action *find_action(const struct pen_engine *engine, const char *id);
struct attempt *find_attempt(const struct pen_engine *engine, uint64_t fence);
struct agent *find_agent(const struct pen_engine *engine, const char *id);

/* The custom action type of this id, deleted or not; NULL: there never was one. */
struct action_type *find_action_type(const struct pen_engine *engine, const Pen__ActionTypeId *id);

/* The same, NULL when it was deleted. */
struct action_type *usable_action_type(const struct pen_engine *engine,
                                       const Pen__ActionTypeId *id);

/* Those that wait to be polled; NULL: none. */
struct job_queue *job_queue_find(const struct pen_engine *engine, const Pen__ActionTypeId *type,
                                 const char *query_value);

/* The stage run at row->stage_index, NULL before the first entry. */
struct stage_run *current_run(const struct execution *execution);
bool execution_ended(const struct execution *execution);

/* It ran by a pipeline of the same name that has been deleted since. */
bool execution_of_former(const struct pipeline *pipeline, const Pen__ExecutionRow *row);

bool execution_parallel(const struct execution *execution);

/* Whether it is a ROLLBACK execution. */
bool execution_rolls_back(const struct execution *execution);

/* The condition of this kind, as it was checked last; NULL: it was not. */
Pen__ConditionRun *condition_run(const struct stage_run *run, Pen__ConditionKind kind);

/* What the stage declares of this kind; NULL: nothing. */
const Pen__Condition *condition_declared(const Pen__StageDeclaration *stage,
                                         Pen__ConditionKind kind);

/* The pipeline has been changed since the execution began, and it is of a kind that minds. */
bool execution_outdated(const struct execution *execution);

/* Index of an action in its stage; -1 when there is none of this name. */
int action_index(const Pen__StageDeclaration *stage, const char *name);

/* The source action of this name; NULL: there is none. */
const Pen__ActionDeclaration *find_source(const struct pipeline *pipeline, const char *stage,
                                          const char *action);

/* The filters of the trigger of a source action; NULL: it has none. */
const Pen__GitConfiguration *trigger_of(const struct pipeline *pipeline, const char *action);

/* Whether a trigger of the pipeline, as it is now, looks at just this repository. */
bool source_is_of(const struct pipeline *pipeline, const Pen__WatchedSource *watched);

/* What was seen of a source action's own branch (ref_name NULL), or put by PutActionRevision
 * (put_revision_name). NULL: nothing yet. */
Pen__SeenRevision *find_seen(const struct pipeline *pipeline, const char *stage, const char *action,
                             const char *ref_name);

/* The revision seen last: as above, or of a branch, a tag or a pull request by the name of its ref.
 * NULL: nothing yet, or the ref is there no more; "": the action's own branch is there no more. */
const char *seen_revision(const struct pipeline *pipeline, const char *stage, const char *action,
                          const char *ref_name);

/* What looking at this source has given; NULL: nothing yet. */
Pen__WatchedSource *find_watched(const struct pipeline *pipeline, const char *stage,
                                 const char *action);

/* Take out one of what is kept in the row under a ref_name. */
void seen_drop(struct pipeline *pipeline, const Pen__SeenRevision *seen);

/* Whether the name is that of a branch or a tag, and not that of a pull request. */
bool ref_is_pushed(const char *name);

/* ---- rollback */

/* What the stage of this index has to have to run again as it ran in this execution: from memory,
 * and from the rows that a request brings along. The caller owns it. */
Pen__RollbackTarget *rollback_target_of(const struct execution *execution, uint32_t index);
Pen__RollbackTarget *rollback_target_from(const Pen__Rollback *request,
                                          const Pen__PipelineDeclaration *declaration,
                                          uint32_t index);

/* Whether the stage may ask for a rollback without anybody else asking. */
bool stage_rolls_back_by_itself(const Pen__StageDeclaration *stage);

/* The run has succeeded: later failures go back to it, if they ever do and it is no rollback. */
void remember_rollback_target(struct stage_state *stage, const struct stage_run *run,
                              uint32_t index);

/* ---- indexes */

void execution_link(struct pen_engine *engine, struct execution *self, struct pipeline *pipeline,
                    struct version *version);

/* Drop an ended execution with its stage runs and actions from memory. */
void execution_forget(struct pen_engine *engine, struct execution *self);
/* Nobody looks for history any more, or somebody begins to: who has left memory before is told by
 * its row. */
void left_memory_clear(struct pen_engine *engine);

/* The action of this index does not count any more: a retry makes it again. */
void run_drop_action(struct pen_engine *engine, struct stage_run *self, size_t index);

/* Drop the rules of a condition that has ended, with their work. */
void run_drop_rules(struct pen_engine *engine, struct stage_run *self);

/* Have advance look at it. Does nothing while folding. */
void execution_work(struct pen_engine *engine, struct execution *self);
void gate_work(struct pen_engine *engine, struct stage_state *self);

/* Write the action's phase and keep queue, approvals and timers in step with it. */
void action_enter_phase(struct pen_engine *engine, struct action *self, Pen__ActionPhase phase);
void action_leave_phase(struct pen_engine *engine, struct action *self);

/* Remember or forget that the action's slot was promised by an agent. */
void offer_make(struct pen_engine *engine, struct action *self, struct agent *agent,
                uint64_t fence);
void offer_drop(struct pen_engine *engine, struct action *self);

/* Add to the row's later_openings_ms. */
void rule_add_opening(Pen__RuleExecutionRow *row, int64_t at_ms);

/* Set the rule's timer: its window opens, or its time is over. */
void rule_arm(struct pen_engine *engine, struct rule *self);

/* What a rule asks of an agent, as if it were an action. The caller owns it. */
Pen__ActionDeclaration *rule_work_declaration(const Pen__RuleDeclaration *rule);

/* What the stage declares of a rule execution; NULL: nothing. */
const Pen__RuleDeclaration *rule_declared(const struct rule *rule);

/* Attempt and agent, both ways. */
void attempt_link(struct pen_engine *engine, struct attempt *self, struct agent *agent,
                  struct action *action);
bool attempt_takes_slot(Pen__AttemptState state);
bool attempt_state_ended(Pen__AttemptState state);

/* Not known to be over: its process may run, or may still begin. */
bool attempt_may_live(Pen__AttemptState state);

/* Keep the index of abandoned work in step, when the attempt's state or its action has changed. */
void abandoned_update(struct pen_engine *engine, struct attempt *self);

/* It holds back less than before: who waits for it may go on, and say another reason. */
void abandoned_changed(struct pen_engine *engine, const struct attempt *self);

/* A person lets the execution's actions of this stage run beside what lives there. Writes rows. */
void abandoned_let_beside(struct pen_engine *engine, const struct execution *execution,
                          const char *stage);

/* Whether the agent may get an offer has perhaps changed. */
void agent_reindex(struct pen_engine *engine, struct agent *self);

/* Queued actions may wait for another reason than their summaries say: look soon. */
void agents_changed(struct pen_engine *engine);

void timer_arm(struct pen_engine *engine, struct timer *self, int64_t at_ms);
void timer_disarm(struct pen_engine *engine, struct timer *self);

/* The labels that an action asks for. Errors: PEN_EINVAL. */
int demand_labels(const Pen__ActionExecutionRow *row, struct pen_labels *ret_labels,
                  struct pen_error *err);

/* The agent's label of this key, NULL without; every agent has name, and region by default. */
const char *agent_label(const struct pen_engine *engine, const struct agent *agent,
                        const char *key);

/* ---- the step's results */

/* State what happened: number it, apply it, hand it out. Takes body. `pipeline` and `execution_id`
 * may be NULL. */
void emit(struct pen_engine *engine, const char *pipeline, const char *execution_id,
          Pen__Fact__WhatCase what, void *body);

/* The same, about an execution. */
void emit_about(struct pen_engine *engine, const struct execution *execution,
                Pen__Fact__WhatCase what, void *body);

/* Takes body. */
void effect(struct pen_engine *engine, Pen__Effect__WhatCase what, void *body);

/* Write the rows of dirty entities to out, and free the dead. */
void flush_rows(struct pen_engine *engine, struct pen_engine_out *out);

/* Pack one row. The caller frees what ret_row owns with row_release. */
void row_pack(struct packer *packer, const struct entity *self, struct pen_row *ret_row);
void row_release(struct pen_row *self);

#endif
