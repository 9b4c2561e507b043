/* tests/sim/auditor.h - the auditor's model of the installation: what its files share
 *
 * It is fed by committed facts (auditor_fact), by what truly ran on the hosts (auditor_start,
 * auditor_began), by what was told to agents and people, and by nothing else.
 */
#ifndef PEN_TESTS_SIM_AUDITOR_H
#define PEN_TESTS_SIM_AUDITOR_H

#include "tests/sim/sim.h"

enum {
    SEEN_STAGES = SIM_STAGES,
    SEEN_ACTIONS = SIM_ACTIONS,
    SEEN_KINDS = 4,
    SEEN_VIEWS = 16,
    SEEN_WAYS = 3
};

/* One try, as the facts tell it. */
struct seen_attempt {
    uint64_t fence;
    Pen__AttemptState state;
    bool once;
    bool good; /* finished: exited with 0 */
    bool finished;
    uint64_t last_seq;
    uint64_t log_stored;
    bool beside;    /* a person has said that others of its action may run beside it */
    bool by_person; /* its end */
    char *agent_id;
    char *action_id;
    Pen__ArtifactRef *stored; /* the last one that arrived; owned */
};

/* What a job worker does for an action. */
struct seen_job {
    char *id;
    Pen__JobState state;
    bool owned;                          /* an acknowledgement was answered well */
    bool said_good, said_done, said_bad; /* by some worker, at some time */
};

struct seen_action {
    char *id;
    char *execution_id;
    char *stage;
    char *name;
    char *token;                /* of an approval */
    struct seen_view asked;     /* what there was when it was asked for */
    const struct seen_job *job; /* the newest */
    int64_t deadline_ms;
    bool ended;
    Pen__ActionStatus status;
    uint64_t fence; /* of the attempt that is current; 0: none */
};

/* A stage of one execution. */
struct seen_stage {
    bool entered, under_way;
    Pen__StageStatus status;                   /* of the last end; 0: none */
    struct seen_action *actions[SEEN_ACTIONS]; /* the newest of each */
    Pen__ConditionStatus conditions[SEEN_KINDS];
    int64_t checked_ms[SEEN_KINDS]; /* since when */
    int64_t found_ms[SEEN_KINDS];   /* when its window was found in a named zone; 0: not yet */
    int64_t opens_ms[SEEN_KINDS];   /* as it was found last; 0: it was not */
    bool no_zone;                   /* it was said that there is no such zone */
    char rules[SEEN_KINDS][40];     /* id of its rule */
};

struct seen_execution {
    char *id;
    char *pipeline;
    char *mode;
    char *mood;
    char *revision; /* that it has to run; NULL: any */
    const Pen__PipelineDeclaration *declaration;
    int32_t version;
    uint64_t order;
    uint64_t started_seq; /* number of the fact */
    bool rollback;
    const struct seen_execution *target; /* of a rollback */
    int64_t ended_ms;
    bool removed;        /* from history */
    int stage;           /* that is under way; -1: none */
    int waits_at;        /* stage at whose gate it stands; -1: none */
    uint64_t waits_from; /* number of the fact */
    bool stopping;
    bool ended;
    Pen__ExecutionStatus status;
    struct seen_stage stages[SEEN_STAGES];
    struct seen_view made;
};

struct seen_pipeline {
    char *name;
    int32_t version;
    const Pen__PipelineDeclaration *declaration;
    bool closed[SEEN_STAGES];
    int64_t closed_ms[SEEN_STAGES];   /* since when */
    uint64_t rested_seq[SEEN_STAGES]; /* what started before this fact rests there; 0: nothing */
    const struct seen_execution *holders[SEEN_STAGES];
    uint64_t created_seq;
    const struct seen_execution *ways[SEEN_STAGES][SEEN_WAYS]; /* newest first */
};

/* Starts of one once action of one execution: how many there were, and how many people granted. */
struct seen_once {
    char *key;
    uint64_t begun;
    uint64_t granted;
};

struct seen_agent {
    char *id;
    uint64_t session_no;
    bool enrolled;
    bool draining;
    int64_t heard_ms; /* when the controller last got a word of it */
    int64_t spoke_ms; /* the same, in the session that counts */
};

/* What people have said about an approval's token. */
struct seen_token {
    char *token;
    bool yes, no, used;
    struct seen_view views[SEEN_VIEWS]; /* that a yes was said to; the latest */
    size_t views_count;
};

struct seen_hook {
    char *name;
    char secret[80]; /* of its URL */
};

/* One delivery to a webhook. */
struct seen_call {
    char *name;
    char secret[80];
    bool started;
};

/* A commit that a wanted ref was made or moved to. */
struct seen_push {
    char *name;
    uint64_t pushed, started;
};

struct auditor {
    struct pen_map attempts, actions, executions, once, agents, pipelines, tokens, jobs;
    struct pen_map hooks, calls, pulls;
    struct pen_map pushes;  /* commit of a wanted ref -> how often it was pushed, and has started */
    uint64_t unjudged;      /* pull requests that were noticed; one pipeline follows them */
    struct pen_map pending; /* actions under way when it became quiet */
    struct pen_map answered;                 /* executions whose start was answered */
    Pen__PipelineDeclaration **declarations; /* all that ever were; owned */
    size_t declarations_count;
    uint64_t last_fence;
    uint64_t last_seq;
    uint64_t log_hash;     /* over all facts so far */
    uint64_t *checkpoints; /* of log_hash, one for each CHECKPOINT_FACTS facts */
    size_t checkpoints_count, checkpoints_room;
};

/* Violations when there is none. */
struct seen_attempt *auditor_attempt(struct sim *sim, uint64_t fence);
struct seen_action *auditor_action(struct sim *sim, const char *id);
struct seen_execution *auditor_execution(struct sim *sim, const char *id);

struct seen_once *auditor_once(struct auditor *self, const struct seen_action *action);
bool auditor_by_person(const Pen__Fact *fact);
bool auditor_terminal(Pen__AttemptState state);

typedef void (*auditor_on_f)(struct sim *sim, const Pen__Fact *fact);

/* ---- auditor_execution.c: pipelines and executions */
void on_pipeline(struct sim *sim, const Pen__Fact *fact);
void on_pipeline_deleted(struct sim *sim, const Pen__Fact *fact);
void on_transition(struct sim *sim, const Pen__Fact *fact);
void on_execution_started(struct sim *sim, const Pen__Fact *fact);
void on_execution_waiting(struct sim *sim, const Pen__Fact *fact);
void on_execution_stopping(struct sim *sim, const Pen__Fact *fact);
void on_execution_ended(struct sim *sim, const Pen__Fact *fact);

/* ---- auditor_condition.c: conditions, and windows in named zones */
void on_condition_started(struct sim *sim, const Pen__Fact *fact);
void on_window_found(struct sim *sim, const Pen__Fact *fact);
void on_condition_ended(struct sim *sim, const Pen__Fact *fact);

/* ---- auditor_stage.c: stages, their locks, queues and actions */
/* Its place in the execution's declaration; a violation when there is none. */
int auditor_stage_index(struct sim *sim, const struct seen_execution *execution, const char *stage);
void on_stage_started(struct sim *sim, const Pen__Fact *fact);
void on_stage_ended(struct sim *sim, const Pen__Fact *fact);
void on_stage_retried(struct sim *sim, const Pen__Fact *fact);
void on_action_started(struct sim *sim, const Pen__Fact *fact);
void on_action_ended(struct sim *sim, const Pen__Fact *fact);
void on_action_requeued(struct sim *sim, const Pen__Fact *fact);

/* ---- auditor_approval.c: what people saw, and said */
void auditor_made(struct sim *sim, const struct seen_action *action, const Pen__ActionEnded *body);
/* An approval starts, and has ended. */
void auditor_check_question(struct sim *sim, const struct seen_execution *execution,
                            const Pen__ActionExecutionRow *row);
void auditor_check_approval(struct sim *sim, const Pen__Fact *fact,
                            const struct seen_action *action);

/* ---- auditor_hook.c: webhooks, and what their callers deliver */
void on_webhook_put(struct sim *sim, const Pen__Fact *fact);
void on_webhook_deleted(struct sim *sim, const Pen__Fact *fact);
void on_webhook_triggered(struct sim *sim, const Pen__Fact *fact);
void on_pull_noticed(struct sim *sim, const Pen__Fact *fact);
void on_revision_seen(struct sim *sim, const Pen__Fact *fact);
void auditor_check_origin(struct sim *sim, const Pen__Fact *fact);
/* The pipeline that follows them is deleted. */
void auditor_forget_pulls(struct auditor *self);
/* A call is answered well. */
void auditor_hook_reply(struct sim *sim, const struct request *request, const Pen__Reply *reply);

/* ---- auditor_bound.c: what is kept */
void auditor_bound_executions(struct sim *sim, const struct seen_execution *execution);
void auditor_bound_attempts(struct sim *sim, const struct seen_attempt *attempt);
/* At the end. */
void auditor_check_bounds(struct sim *sim);

/* ---- auditor_history.c: what leaves history */
void on_history_removed(struct sim *sim, const Pen__Fact *fact);
/* The stage was left with success. */
void auditor_way_back(struct seen_pipeline *pipeline, const struct seen_execution *execution,
                      int index);
/* Nothing is told of what was removed. */
void auditor_check_told(struct sim *sim, const Pen__Fact *fact);
bool auditor_in_store(const struct sim *sim, const struct seen_execution *execution);

/* ---- auditor_job.c: jobs of custom actions */
void on_job_queued(struct sim *sim, const Pen__Fact *fact);
void on_job_moved(struct sim *sim, const Pen__Fact *fact);
/* An action with a job has ended. */
void auditor_check_job(struct sim *sim, const struct seen_action *action);

/* ---- auditor_abandoned.c: work that outlives its action */
/* A once action is granted this fence; a run of one begins. */
void auditor_check_beside(struct sim *sim, const struct seen_action *action, uint64_t fence);
void auditor_check_alone(struct sim *sim, const struct run *run, const struct seen_action *action);
void auditor_let_beside(struct sim *sim, const struct seen_execution *execution, const char *stage);

/* ---- auditor_attempt.c: attempts, and what truly ran */
void on_granted(struct sim *sim, const Pen__Fact *fact);
void on_attempt_started(struct sim *sim, const Pen__Fact *fact);
void on_attempt_step(struct sim *sim, const Pen__Fact *fact);
void on_attempt_finished(struct sim *sim, const Pen__Fact *fact);
void on_attempt_stored(struct sim *sim, const Pen__Fact *fact);
void on_attempt_moved(struct sim *sim, const Pen__Fact *fact);
/* The action counts as succeeded: it has, and all that it made is here. */
void auditor_check_truth(struct sim *sim, const struct seen_action *action,
                         const Pen__ActionEnded *body);

/* ---- auditor_agent.c: agents, sessions, and what agents are told */
void on_agent_enrolled(struct sim *sim, const Pen__Fact *fact);
void on_agent_changed(struct sim *sim, const Pen__Fact *fact);
void on_session(struct sim *sim, const Pen__Fact *fact);
void on_agent_removed(struct sim *sim, const Pen__Fact *fact);
/* What it does is given up because it is silent. */
void auditor_check_silence(struct sim *sim, const char *agent_id);
/* May be granted something now. */
void auditor_check_grant(struct sim *sim, const Pen__AttemptGranted *body);

#endif
