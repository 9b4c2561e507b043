/* tests/sim/sim.h - a whole installation in one process, on virtual time, from one seed
 *
 *     people, sources --inputs--> core (real engine, store in memory) --effects--> network
 *                                   ^                                                 |
 *     auditor <--facts, begins--    '---- real codec ---- hosts (real sessions) <-----'
 *
 * One queue of events decides what happens next; every random choice comes from the seed, so a seed
 * tells one story and tells it again. World.c holds clock and queue, core.c the controller, net.c
 * the network, host.c and shim.c the hosts, people.c who asks for things, faults.c what goes wrong,
 * auditor.c what must be true whatever happens. The auditor reads committed facts and what truly
 * ran; it asks neither engine nor session.
 *
 * A violation prints the story's seed, step and command, and ends the process with status 3.
 */
#ifndef PEN_TESTS_SIM_SIM_H
#define PEN_TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "agent/session/session.h"
#include "agent/spool/journal.h"
#include "common/base/heap.h"
#include "common/base/map.h"
#include "common/base/steady.h"
#include "controller/engine/engine.h"
#include "controller/engine/memory.h"
#include "tests/sim/disk.h"

enum {
    SIM_HOSTS = 8,           /* hosts of the installation, at most */
    SIM_HOSTS_MAX = 10,      /* with the copies of hosts */
    SIM_PIPELINES = 9,       /* at most */
    SIM_PULLS = 4,           /* pull requests */
    SIM_REFS = 320,          /* branches and tags of the repository behind the connection */
    SIM_REFS_WANTED = 24,    /* tags that a trigger asks for; the first ones */
    SIM_SLOTS = 3,           /* of each agent */
    SIM_STAGES = 8,          /* of a pipeline, at most */
    SIM_ACTIONS = 8,         /* of a stage, at most */
    SIM_LINKS_MAX = 4096,    /* remembered links; older ones are dead */
    SIM_REQUESTS = 8192,     /* remembered: an answer may wait for as long as a disk is full */
    SIM_FAILED = 3,          /* exit status of a violation */
    SIM_RUN_MS = 500 * 1000, /* the longest run that ends by itself */
    SIM_TIMEOUT_MS = 12 * 60 * 1000, /* of actions: longer, and within the quiet phase */
};

/* The named time zone of the simulation. */
#define SIM_ZONE "Far/Crooked"

/* Bugs that the simulator's own seams can have, to show that it finds them: --plant N. */
enum sim_plant {
    PLANT_NONE = 0,
    PLANT_ACK_BEFORE_COMMIT, /* effects are performed, then the commit is lost */
    PLANT_ACT_BEFORE_SYNC,   /* the agent acts before its journal is durable */
    PLANT_BEGAN_NOT_FOUND,   /* a run is adopted as if it had never begun */
    PLANT_LOST_EVENT_RECORD, /* results are not journalled */
    PLANT_FORGOTTEN_ROW,     /* the store forgets some rows of attempts */
    PLANT_STALE_ROW,         /* the store keeps the older body of a row now and then */
    PLANT_LOST_PLAN,         /* what is under way is not planned again after a restart */
    PLANT_DOUBLE_BEGIN,      /* an adopted start that had not begun is begun, and proven not to */
    PLANT_WRONG_EXIT,        /* a failed exit is reported as 0 */
    PLANT_EARLY_LOG,         /* data says that a log is stored before it is */
    PLANT_FENCE_REUSED,      /* the fence counter goes back at a restart */
    PLANT_COUNT,
};

/* What may go wrong in this seed; 0 switches a fault off. Every *_s is a mean in virtual seconds.
 */
struct sim_mix {
    uint32_t loss_pm, duplicate_pm, late_pm; /* per mille of messages */
    uint32_t delay_ms;                       /* mean */
    bool disorder;                           /* delays overtake each other */
    uint32_t clog_s, swizzle_s, cut_s;
    uint32_t late_s;        /* how much later a late copy comes, mean */
    uint32_t core_crash_pm; /* per mille of core turns */
    uint32_t core_stop_s;
    uint32_t core_disk_full_s, commit_error_pm, clock_jump_s;
    uint32_t agent_crash_pm; /* per mille of turns that write */
    uint32_t agent_stop_s, reboot_s, shim_death_s;
    uint32_t disk_full_s, disk_error_pm; /* of hosts; per mille of turns that write */
    uint32_t wipe_s, roll_back_s, clone_s;
    uint32_t drift_pm; /* clocks of hosts run fast or slow by up to this */
    uint32_t action_fails_pm;
    uint32_t month_s; /* transitions are closed, and a month passes on the controller's clock */
    uint32_t agent_pause_s, agent_pause_pm; /* the latter: per mille of turns that sync */
    uint32_t core_pause_s, core_pause_pm;   /* ... of commits */
    uint32_t people_s;
};

struct sim;
struct sim_event;
typedef void (*sim_fire_f)(struct sim *sim, struct sim_event *event);

/* Owned by the queue; freed once fired. */
struct sim_event {
    struct pen_heap_entry entry;
    sim_fire_f fire;
    int host;
    uint64_t stamp; /* of the process, boot or controller life that it belongs to */
    uint64_t number;
    uint64_t link;
    void *data; /* owned: malloc */
    size_t size;
    bool flag;
};

/* What waits for a process that is stopped. */
struct deferred {
    struct sim_event *events;
    size_t count, room;
};

/* ---- the controller */

struct core {
    struct pen_engine *engine;
    struct pen_engine_options options;
    struct pen_engine_out out;
    struct pen_map store; /* "kind key" -> struct stored */
    Pen__Fact **facts;    /* all that were ever committed */
    size_t facts_count, facts_room;
    Pen__Input **inbox;
    size_t inbox_count, inbox_room;
    bool up;
    bool turn_armed;
    uint64_t life;
    struct pen_heap_entry tick; /* armed by the engine's deadline */
    struct pen_map opened;      /* fence -> struct data_attempt: the data plane's memory */
    struct pen_map logs;        /* fence -> uint64_t: bytes of log on the controller's disk */
    int64_t clock_ahead_ms;     /* of virtual time: its wall clock was set; negative: behind */
    int64_t asleep_ms;          /* that its host has slept: both its clocks went on meanwhile */
    int64_t behind_ms;          /* as the engine was told last */
    struct pen_steady clock;
    int64_t decided_ms; /* when the facts of this commit were: it may have waited for space since */
    int64_t disk_full_until_ms; /* 0: it is not */
    bool disk_full_at_once;     /* seen by a commit only, not by the reserve before it */
    bool commit_held, refused;  /* as in controller/app/core.c */
    int64_t heard_since_ms;     /* it has run since then, and turned nothing away */
    int64_t stopped_until_ms;   /* 0: it runs */
    struct deferred deferred;   /* messages that wait until then */
    int64_t planned_ms;         /* that may pass until its clocks are read next */
    bool effects_held;          /* it is stopped behind its commit */
    Pen__HistoryPurge **purges; /* under way; the first one is at execution purge_place */
    size_t purges_count, purge_place;
};

/* The thread that retains: of the collection under way. */
struct collect {
    uint64_t random;
    uint64_t step; /* goes on with each answer */
    uint64_t number, batch;
    uint64_t removal; /* whose purge it waits for; 0: none */
    bool dry_run;
};

struct stored {
    char *key;
    struct pen_row row;
    void *message; /* the body, unpacked by who looked first; NULL: nobody has */
};

struct data_attempt {
    char *agent_id;
    uint64_t wanted;
};

/* ---- hosts */

enum run_state { RUN_SPAWNED = 1, RUN_BEGAN, RUN_EXITED, RUN_GONE };

/* What truly happened to one start on one host. */
struct run {
    uint64_t fence;
    int host;
    uint64_t boot;
    enum run_state state;
    bool began;
    bool killed;
    bool once;
    bool lasts;    /* in a story: it runs for long */
    bool may_hang; /* its time-out lies within the quiet phase: the commands of rules have longer */
    bool lost_files; /* planted: it looks as if it had not begun */
    char *action_execution_id;
    int32_t exit_code;
    uint64_t log_size;
    size_t outputs;
    char **output_names;
};

struct upload {
    uint64_t fence;
    char *name; /* NULL: the log */
    uint8_t sha[32];
    uint64_t size;
    bool done;
};

struct host {
    int index;
    bool exists;
    bool copy;    /* a clone of another host */
    bool powered; /* false: off until switched on */
    bool crashed; /* agent process is down until started */
    char name[16];
    char *agent_id;
    char *spool_id;
    char *machine_id;
    char boot_id[24];
    uint64_t boot; /* number of the boot, unique */
    struct disk disk;
    struct disk snapshot;          /* an image taken earlier */
    uint64_t turns, snapshot_turn; /* with something to keep: now, and when it was taken */
    struct pen_journal *journal;   /* of the process */
    char *snapshot_spool_id;
    struct pen_session *session; /* NULL: no agent process */
    struct pen_session_out out;
    struct pen_session_out held; /* synced and not performed: it is stopped in between */
    bool holds;
    int64_t stopped_until_ms; /* 0: it runs */
    struct deferred deferred; /* events that wait until then */
    uint64_t process;         /* stamp, unique */
    bool turn_armed;
    bool data_armed;
    uint64_t link; /* 0: not connected */
    struct pen_heap_entry timer;
    int64_t clock_offset_ms;
    int64_t drift_pm;
    bool cut_in, cut_out; /* partitions: to the host, from the host */
    int64_t clogged_until_ms;
    int64_t last_in_ms, last_out_ms; /* latest delivery, for links that keep the order */
    struct upload *uploads;
    size_t uploads_count, uploads_room;
    bool tainted; /* wiped, rolled back, copied or revoked: proof may be gone for good */
    bool rival;   /* another process may use its key */
    bool denied;  /* its key */
    uint64_t enrolments;
    uint64_t max_started; /* fence, since its disk was wiped or rolled back */
    uint64_t max_before;  /* the same, of the processes before this one */
};

/* ---- people */

struct pipeline_facts {
    char name[8];
    uint64_t pushes;
    char *token; /* of the last start, to be repeated */
    char *token_execution_id;
    bool token_answered;
    char *hook_secret; /* of its webhook's URL, as callers know it */
    uint64_t delivery; /* the last by this URL, to be repeated; 0: none */
    uint64_t revision; /* that was announced last, to be repeated; 0: none */
    char *revision_execution_id;
};

struct request {
    uint64_t correlation;
    Pen__Input__WhatCase what;
    int pipeline;
    uint64_t number;
    char job_id[40]; /* that a worker acknowledges */
};

enum sim_count {
    COUNT_MESSAGES,
    COUNT_LOST,
    COUNT_DUPLICATED,
    COUNT_LATE,
    COUNT_CLOGS,
    COUNT_SWIZZLES,
    COUNT_CUTS,
    COUNT_CORE_CRASHES,
    COUNT_CORE_DISK_FULL,
    COUNT_COMMIT_ERRORS,
    COUNT_CLOCK_JUMPS,
    COUNT_AGENT_CRASHES,
    COUNT_AGENT_PAUSES,
    COUNT_CORE_PAUSES,
    COUNT_REBOOTS,
    COUNT_SHIM_DEATHS,
    COUNT_TORN,
    COUNT_DISKS_FULL,
    COUNT_DISK_ERRORS,
    COUNT_WIPES,
    COUNT_ROLL_BACKS,
    COUNT_CLONES,
    COUNT_REQUESTS,
    COUNT_COMMITS,
    COUNT_FACTS,
    COUNT_GRANTS,
    COUNT_BEGINS,
    COUNT_EXECUTIONS,
    COUNT_ROLLBACKS,
    COUNT_CONDITIONS,
    COUNT_JOBS,
    COUNT_MONTHS,
    COUNT_RESTS,
    COUNT_HOOKS,
    COUNT_REVISIONS,
    COUNT_PULLS,
    COUNT_REFS,
    COUNT_UNPROVEN,
    COUNT_HANGS,
    COUNT_FOLDS,
    COUNT_REMOVED,
    COUNT_LOGS_DROPPED,
    COUNTS,
};

/* What an execution has, by stage and action: a digest of revision and artifacts; 0: nothing. */
struct seen_view {
    uint64_t of[SIM_STAGES][SIM_ACTIONS];
};

struct auditor;
struct story;

struct sim_options {
    uint64_t seed;
    uint64_t first_seed;
    bool find;          /* a violation is what is wanted: status 0 */
    uint64_t steps_max; /* 0: no limit */
    int64_t busy_ms;    /* length of the safety phase */
    bool trace;
    bool calm;            /* no faults */
    uint64_t without;     /* kinds of faults that are switched off: bits by their number */
    int hosts, pipelines; /* 0: as the seed says */
    enum sim_plant plant;
    struct story *story; /* borrowed; tell this story instead of a random one */
};

/* A git server's branches and tags, and the watch that looks at them. */
struct sim_refs {
    uint64_t commits[SIM_REFS]; /* 0: there is none of this number */
    uint64_t former[SIM_REFS];  /* before it was deleted; 0: it never was */
    uint64_t told[SIM_REFS];    /* what the watch began with, and has reported since */
    bool known;                 /* told is no first look */
    uint64_t watch;             /* number of the order to watch */
    char *pipeline;             /* NULL: nothing is watched yet */
};

struct sim {
    struct sim_options options;
    struct story *story; /* NULL: what happens is random */
    struct sim_mix mix;
    uint64_t random[2];
    int64_t now_ms;
    uint64_t steps;
    uint64_t stamps;
    uint64_t hash;
    struct pen_heap queue;
    int hosts_count, pipelines_count; /* of this seed */
    bool quiet;                       /* no more faults, and nobody starts anything */
    bool over;
    struct core core;
    struct collect collect;
    struct host hosts[SIM_HOSTS_MAX];
    struct pen_map runs; /* fence * SIM_HOSTS_MAX + host -> struct run */
    struct pipeline_facts pipelines[SIM_PIPELINES];
    struct request requests[SIM_REQUESTS];
    char *connection_id, *connection_arn; /* through which pull requests are told; NULL: not yet */
    uint64_t pull_delivery, pull_heads[SIM_PULLS];
    Pen__PullRequest *pull; /* of the last delivery, to be repeated */
    struct sim_refs refs;
    uint64_t correlation;
    uint64_t links;
    struct {
        uint64_t number;
        int host;
        uint64_t core_life;
        uint64_t process;
        bool closed;
    } link[SIM_LINKS_MAX];
    struct auditor *auditor;
    uint64_t counts[COUNTS];
};

/* ---- world.c */
struct sim *sim_create(const struct sim_options *options);
void sim_destroy(struct sim **self_p);
/* Run to the end of the story. */
void sim_run(struct sim *sim);
void sim_run_until(struct sim *sim, int64_t until_ms);
/* Queue an event; fill in what it needs. */
struct sim_event *sim_at(struct sim *sim, int64_t in_ms, sim_fire_f fire);
uint64_t sim_random(struct sim *sim);
uint64_t sim_below(struct sim *sim, uint64_t bound);
bool sim_chance(struct sim *sim, uint32_t per_mille);
/* Exponential with this mean. */
int64_t sim_around(struct sim *sim, int64_t mean);
void sim_hash(struct sim *sim, const void *bytes, size_t size);
void sim_trace(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The name of a value of an enum of the protocol. */
const char *sim_word(const ProtobufCEnumDescriptor *type, int value);
#define WORD(type, value) sim_word(&pen__##type##__descriptor, (int)(value))
_Noreturn void sim_fail(struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* " penstock-sim --seed ..." and a newline: the command that tells this story again. */
void sim_print_command(FILE *stream, const struct sim_options *options);
const char *sim_count_name(enum sim_count count);
const char *sim_plant_name(enum sim_plant plant);

/* ---- core.c */
void core_start(struct sim *sim);
void core_crash(struct sim *sim, const char *where);
/* Takes the input; drops it when the controller is down. False: dropped. */
bool core_post(struct sim *sim, Pen__Input *input);
void core_tick(struct sim *sim);
/* It was stopped. */
void core_go_on(struct sim *sim);
void core_set_clock(struct sim *sim, int64_t ahead_ms);
/* Its host sleeps: both its clocks go on meanwhile, nothing else does. */
void core_sleep(struct sim *sim, int64_t for_ms);
/* The clocks of its host. */
int64_t core_interval_ms(const struct sim *sim);
int64_t core_wall_ms(const struct sim *sim);
void core_fill_disk(struct sim *sim, int64_t for_ms, bool at_once);
Pen__Input *core_input(Pen__Input__WhatCase what, void *body);
/* A store of rows, by "kind key"; deleted rows keep their place. */
char *store_key(const struct pen_row *row);
void store_put(struct pen_map *store, const struct pen_row *row);
void store_delete(struct stored *stored);
void store_release(struct pen_map *store);
bool stored_is_history_of(const struct stored *stored, const char *execution_id);
void core_release(struct sim *sim);
/* Delete at most so many rows of an execution's history; true: there may be more. */
bool core_purge(struct sim *sim, const char *execution_id, uint64_t limit);
/* Visit rows of one kind. */
void core_each(struct sim *sim, Pen__RowKind kind, const ProtobufCMessageDescriptor *type,
               void (*each)(struct sim *sim, void *row, void *context), void *context);

/* A copy of one row of the store, NULL when there is none; the caller frees it. */
void *core_row(struct sim *sim, Pen__RowKind kind, const char *key,
               const ProtobufCMessageDescriptor *type);

/* ---- fold.c */
/* Facts folded = rows of the store = memory. */
void core_check_fold(struct sim *sim);
/* Live rows of the store = memory. */
void core_check_memory(struct sim *sim, struct pen_engine *engine, const char *what);

/* ---- collect.c */
void collect_begin(struct sim *sim);
/* Ask for a collection. */
void collect_ask(struct sim *sim, bool dry_run);
/* Effects, as they come. */
void collect_run(struct sim *sim, const Pen__CollectionRun *order);
void collect_answer(struct sim *sim, const Pen__HistoryAnswer *answer);
void collect_purge(struct sim *sim, const Pen__HistoryPurge *order);
/* Purge a little; what the engine is to be told then, or NULL. */
Pen__Input *collect_slice(struct sim *sim);
/* The controller has died. */
void collect_forget(struct core *core);

/* ---- pipelines.c */
const char *pipeline_name(int pipeline);
Pen__PipelineDeclaration *pipeline_declare(int pipeline);
/* Of a name, a mode and a line of text as at the head of pipelines.c. */
Pen__PipelineDeclaration *pipeline_parse(const char *name, const char *mode, const char *stages);
bool pipeline_has_stage(int pipeline, const char *stage);
const char *pipeline_some_stage(struct sim *sim, int pipeline);
/* The stage at this place, to be freed; NULL: there is none. */
char *pipeline_stage(int pipeline, uint32_t index);
const char *pipeline_some_mode(struct sim *sim);

/* ---- source.c, the branches that pipelines watch */
void source_run(struct sim *sim, const Pen__SourceRun *run);
void source_watch(struct sim *sim, const Pen__SourceWatch *watch);
void source_push(struct sim *sim, int pipeline);

/* ---- zone.c, the time zones that this installation knows */
void zone_wanted(struct sim *sim, const Pen__ZoneWanted *wanted);
/* Whether the zone has to be looked up; offset to UTC at a moment, 0 or more (NULL, "UTC": 0). */
bool zone_named(const char *zone);
int64_t zone_offset_s(const char *zone, int64_t at_s);

/* ---- net.c */
/* Connect the host's agent, when both ends can be reached; else try again later. */
void net_connect_later(struct sim *sim, struct host *host, int64_t in_ms);
void net_drop_link(struct sim *sim, struct host *host, bool tell_agent, bool tell_core);
void net_drop_all(struct sim *sim);
void net_to_core(struct sim *sim, struct host *host, const Pen__FromAgent *message);
void net_to_agent(struct sim *sim, const Pen__AgentSend *send);
bool net_open(struct sim *sim, const struct host *host); /* both ways, now */

/* ---- host.c */
void host_init(struct sim *sim, int index);
void host_enrol(struct sim *sim, struct host *host);
void host_enrolled(struct sim *sim, struct host *host, const char *agent_id);
void host_start_agent(struct sim *sim, struct host *host);
void host_crash_agent(struct sim *sim, struct host *host, const char *where);
void host_power_off(struct sim *sim, struct host *host, const char *why);
void host_power_on(struct sim *sim, struct host *host);
void host_wipe(struct sim *sim, struct host *host);
void host_roll_back(struct sim *sim, struct host *host);
void host_clone(struct sim *sim, struct host *host);
void host_feed(struct sim *sim, struct host *host, struct pen_session_input *input);
void host_timer(struct sim *sim, struct host *host);
/* It was stopped. */
void host_go_on(struct sim *sim, struct host *host);
void host_release(struct sim *sim, struct host *host);
void host_fill_disk(struct sim *sim, struct host *host, bool full);
bool host_serves(const struct host *host);

/* ---- shim.c: what runs on hosts, and the data that it leaves */
void shim_start(struct sim *sim, struct host *host, const Pen__Capsule *capsule);
void shim_adopt(struct sim *sim, struct host *host, uint64_t fence);
void shim_kill(struct sim *sim, struct host *host, uint64_t fence, uint32_t grace_ms);
void shim_die(struct sim *sim, struct host *host);
void shim_pack(struct sim *sim, struct host *host, const Pen__Capsule *capsule);
void shim_power_off(struct sim *sim, struct host *host);
struct run *shim_run(struct sim *sim, const struct host *host, uint64_t fence);
void data_upload(struct sim *sim, struct host *host, uint64_t fence,
                 const Pen__ArtifactRef *artifact);
void data_log(struct sim *sim, struct host *host, uint64_t fence, uint64_t size);
/* Its agent was stopped. */
void data_go_on(struct sim *sim, struct host *host);
void data_release(struct sim *sim, struct host *host, uint64_t fence);
void data_accepted(struct sim *sim, const Pen__ArtifactAccepted *accepted);
void data_open(struct sim *sim, const Pen__AttemptOpen *open);

/* ---- people.c */
void people_begin(struct sim *sim);
void people_reply(struct sim *sim, const Pen__Reply *reply);
void people_quiet(struct sim *sim);
/* Close some transitions, for long; what people remember of a month ago. */
void people_freeze(struct sim *sim);
void people_forget(struct sim *sim);
/* What people do in the quiet phase about all that waits for them. */
void people_decide_all(struct sim *sim, bool unproven_too);

/* A person or a worker asks; takes body. What was asked, to be looked at when the answer comes. */
struct request *people_ask(struct sim *sim, Pen__Input__WhatCase what, void *body, int pipeline,
                           uint64_t number);

/* ---- abandoned.c */
/* A person has work ended that was given up and may live: some, or some of which nobody knows. */
void abandoned_kill_some(struct sim *sim, bool unknown_only);

/* ---- stray.c */
/* An agent says something of work that is another's. */
void stray_word(struct sim *sim);

/* ---- workers.c */
void workers_begin(struct sim *sim);
void workers_reply(struct sim *sim, const struct request *request, const Pen__Reply *reply);

/* ---- hooks.c */
void hooks_put(struct sim *sim, int pipeline);
void hooks_delete(struct sim *sim, int pipeline);
void hooks_call(struct sim *sim, int pipeline);
void hooks_announce(struct sim *sim, int pipeline);
void hooks_pull(struct sim *sim, int pipeline);
/* Sources are to look at a pull request. */
void hooks_look(struct sim *sim, const Pen__PullRequestLook *look);
/* Name the connection in what a pipeline of pull requests declares; false: there is none yet. */
bool hooks_bind(struct sim *sim, Pen__PipelineDeclaration *declaration);
void hooks_reply(struct sim *sim, const struct request *request, const Pen__Reply *reply);

/* ---- refs.c, branches and tags that a trigger looks at */
void refs_watch(struct sim *sim, const Pen__SourceWatch *watch);
void refs_push(struct sim *sim, int pipeline);
/* At the end the engine knows them as they are. */
void refs_check(struct sim *sim);

/* ---- pause.c */
/* Whether it is stopped now. */
bool pause_host(const struct sim *sim, const struct host *host);
bool pause_core(const struct sim *sim);
void pause_agent(struct sim *sim, struct host *host, const char *where);
void pause_controller(struct sim *sim, const char *where);
/* True: this event of it waits until it goes on. */
bool pause_defers(struct sim *sim, struct host *host, struct sim_event *event);
/* An event to be filled in, for when it goes on. */
struct sim_event *pause_later(struct host *host);
void pause_forget(struct deferred *list);
bool pause_defers_to_core(struct sim *sim, struct sim_event *event);
void pause_end(struct sim *sim);

/* ---- faults.c */
void faults_draw(struct sim *sim);
void faults_begin(struct sim *sim);
void faults_end(struct sim *sim);
/* Kinds of faults, from 0: the name of one, NULL behind the last; the number of a name, -1. */
const char *faults_name(size_t kind);
int faults_kind(const char *name, size_t size);

/* ---- sim_main.c */
/* One story from beginning to end, to be destroyed; ends the process at a violation. */
struct sim *sim_tell(const struct sim_options *options);

/* ---- shrink.c: the smallest story that fails alike; prints it. Status of the process. */
int shrink(const struct sim_options *options);

/* ---- auditor*.c */
void auditor_create(struct sim *sim);
void auditor_destroy(struct sim *sim);
void auditor_fact(struct sim *sim, const Pen__Fact *fact);
/* The controller has loaded the store again. */
void auditor_reloaded(struct sim *sim);
/* All facts of the log, against the checkpoints. */
void auditor_check_log(struct sim *sim);
void auditor_start(struct sim *sim, struct host *host, const Pen__Capsule *capsule);
void auditor_began(struct sim *sim, const struct run *run);
/* A word of this agent has reached the controller. */
void auditor_heard(struct sim *sim, const char *agent_id, uint64_t session_no);
/* The controller has told an agent, after its commit. */
void auditor_told(struct sim *sim, const Pen__AgentSend *send);
void auditor_accepted(struct sim *sim, const Pen__ArtifactAccepted *accepted);
/* A person looks at this execution, and later decides about the approval of this token. */
void auditor_view(struct sim *sim, const char *execution_id, struct seen_view *ret_view);
void auditor_asked(struct sim *sim, const char *token, bool approve, const struct seen_view *view);
/* Somebody calls a webhook by the URL with this secret. */
void auditor_called(struct sim *sim, const char *name, const char *secret, uint64_t delivery);
/* A git server tells of a pull request. */
void auditor_pulled(struct sim *sim, uint64_t delivery);
void auditor_ref_pushed(struct sim *sim, int ref, uint64_t commit);
/* A worker was given a job, owns it, says how it went (more: it goes on with another job). */
void auditor_polled(struct sim *sim, const Pen__JobRow *row);
void auditor_acknowledged(struct sim *sim, const char *id);
void auditor_result(struct sim *sim, const char *id, bool good, bool more);
/* It was answered that there is no zone as the stage's window names it. */
void auditor_no_zone(struct sim *sim, const char *execution_id, const char *stage);
void auditor_reply(struct sim *sim, const struct request *request, const Pen__Reply *reply);
/* At the end of the phase with faults: remember what is under way. */
void auditor_quiet(struct sim *sim);
/* What was under way then has ended, or is truly unproven. */
void auditor_check_quiet(struct sim *sim);
/* How many of these are under way still. */
uint64_t auditor_pending(const struct sim *sim);
/* How many executions have not ended. */
uint64_t auditor_left(const struct sim *sim);
/* Everything has ended. */
void auditor_check_end(struct sim *sim);
/* After a last collection. */
void auditor_check_history(struct sim *sim);

#endif
