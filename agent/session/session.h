/* agent/session/session.h - what an agent does next: a step function without I/O
 *
 * Inputs are what happened (a frame from the controller, a report of a shim, a timer); outputs are
 * records for the journal and effects to perform. One turn of the agent:
 *
 *     take what happened:  pen_session_step(session, &input, &out, err)   as often as needed
 *     write out.records to the journal
 *     perform the effects without after_sync        (a result is sent while it is being synced)
 *     sync the journal, if out.sync
 *     perform the effects with after_sync           (a start, the promise of a tomb)
 *     pen_session_turn_done(session, &out)
 *
 * The states of an attempt:
 *
 *     OFFER            START           began            exit               outputs made
 *   -------> ACCEPTED -------> STARTING ----> RUNNING ----> EXITED -> UPLOADING ------.
 *               |                 |  \            |           ^  \                     v
 *               | 10 s            |   '-> KILLING <           |   '-------------> FINISHED -> ACKED
 *               v                 |          '----------------'                   ^
 *             (gone)              '------------- never began, interrupted --------'
 *
 *   REVOKE or CANCEL for a fence that was never started: TOMB. ACKED and TOMB go when the
 *   controller releases them.
 *
 *   A start of class ONCE does not begin yet when it is journalled: its first event (STARTED, with
 * no time of beginning) asks, and only the acknowledgement of that event, in the same session, lets
 *   it begin. So the controller has committed who may begin before anything does, and a second
 *   process with the same key and spool - a copy of the machine - cannot begin it, too. Whatever
 *   comes between ends it as never begun.
 *
 * After a restart: pen_session_load() with each record of the journal, then pen_session_recover()
 * asks (ADOPT, UPLOAD) for what is left to do; the outside answers with the same inputs as ever.
 * Attempts of an earlier boot are not asked for: their shims are gone. Their result is numbered
 * when the controller has said (Welcome) which events it has, since the end of the journal may be
 * lost.
 *
 * Records and messages in `out` may share parts with the session; they live until turn_done.
 */
#ifndef PEN_AGENT_SESSION_SESSION_H
#define PEN_AGENT_SESSION_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "agent.pb-c.h"
#include "capsule.pb-c.h"
#include "spool.pb-c.h"

enum {
    PEN_ACCEPT_TTL_MS = 10 * 1000,  /* an accepted offer that is not granted is forgotten */
    PEN_ASK_DEFAULT_MS = 60 * 1000, /* a start of class once that is not confirmed is given up */
    PEN_HELLO_RETRY_MS = 5 * 1000,  /* Hello is repeated until Welcome */
    PEN_HEARTBEAT_DEFAULT_MS = 10 * 1000,
    PEN_GRACE_DEFAULT_MS = 10 * 1000,  /* between TERM and KILL, when nobody says */
    PEN_UNKILLABLE_MS = 60 * 1000,     /* still alive this long after a kill: take no new work */
    PEN_SESSION_ATTEMPTS_MAX = 100000, /* attempts and tombs in memory: about 30 MB */
    PEN_EVENTS_PER_ATTEMPT_MAX = 64,   /* unacknowledged; further progress is not reported */
    PEN_INVENTORY_MAX = 500,           /* items in a frame of at most 4,096 fields */
    PEN_VARIABLES_MAX = 122880,        /* bytes of output variables of an attempt, as in AWS */
    PEN_SLOTS_MAX = 1024,
};

enum pen_attempt_state {
    PEN_ATTEMPT_NONE = 0,
    PEN_ATTEMPT_ACCEPTED,
    PEN_ATTEMPT_STARTING,
    PEN_ATTEMPT_RUNNING,
    PEN_ATTEMPT_KILLING,
    PEN_ATTEMPT_EXITED,
    PEN_ATTEMPT_UPLOADING,
    PEN_ATTEMPT_FINISHED,
    PEN_ATTEMPT_ACKED,
    PEN_ATTEMPT_TOMB,
    PEN_ATTEMPT_STATES,
};

const char *pen_attempt_state_name(enum pen_attempt_state state);
/* The table of moves: whether an attempt may go from one state to the other. */
bool pen_attempt_may(enum pen_attempt_state from, enum pen_attempt_state to);

enum pen_session_input_kind {
    PEN_IN_CONNECTED,    /* the control link is up */
    PEN_IN_DISCONNECTED, /* it is down */
    PEN_IN_FRAME,        /* frame: a message of the controller; parts of it may be taken */
    PEN_IN_BEGAN,        /* fence, began: the shim has written `began` */
    PEN_IN_STEP,         /* fence, number: index of the command that runs now */
    PEN_IN_EXITED,       /* fence, exit: the shim has written `exit` and nothing is left of it */
    PEN_IN_VANISHED,     /* fence, flag (it had begun): no process is left, and no exit record */
    PEN_IN_SETUP_FAILED, /* fence, text: no command has run and none will */
    PEN_IN_PACKED,       /* fence, artifacts: the declared outputs are on this host's disk */
    PEN_IN_PACK_FAILED,  /* fence, text */
    PEN_IN_SETTLED,      /* fence: the controller says on the data plane that it is not ours */
    PEN_IN_LOG_SIZE,     /* fence, number: bytes captured */
    PEN_IN_DRAIN,        /* flag: take no new work (a local wish) */
    PEN_IN_DISK_FULL,    /* flag: no space: running work stays, no new work */
    PEN_IN_BYE,          /* this process is about to end */
    PEN_IN_TIMER,
};

struct pen_session_began {
    int64_t shim_pid;
    uint64_t shim_start_time;
    int64_t began_ms;
    const char *isolation;
};

struct pen_session_input {
    enum pen_session_input_kind kind;
    int64_t now_ms; /* monotonic */
    uint64_t fence;
    uint64_t number;
    bool flag;
    const char *text;
    Pen__ToAgent *frame;
    struct pen_session_began began;
    const Pen__ShimExit *exit;
    Pen__ArtifactRef **artifacts;
    size_t artifacts_count;
};

enum pen_session_effect_kind {
    PEN_OUT_SEND,       /* message */
    PEN_OUT_OPEN_DATA,  /* welcome: connect the data plane; credits are in it */
    PEN_OUT_START,      /* fence, capsule: make it run */
    PEN_OUT_KILL,       /* fence, grace_ms: TERM, wait, KILL, everything of it */
    PEN_OUT_ADOPT,      /* fence, capsule: find out what became of it */
    PEN_OUT_PACK,       /* fence, capsule: make the declared outputs */
    PEN_OUT_UPLOAD,     /* fence, artifact: bring it to the controller */
    PEN_OUT_LOG_DONE,   /* fence, number: size of the whole log */
    PEN_OUT_RELEASE,    /* fence: settled; its data may go */
    PEN_OUT_SUPERSEDED, /* text: a newer session, or refused for good; stop talking */
};

struct pen_session_effect {
    enum pen_session_effect_kind kind;
    bool after_sync; /* only once the records of this turn are durable */
    uint64_t fence;
    uint64_t number;
    uint32_t grace_ms;
    int refused_code; /* with SUPERSEDED: enum Pen__RefusedCode */
    char text[128];
    Pen__FromAgent *message;
    const Pen__Welcome *welcome;
    const Pen__Capsule *capsule;
    const Pen__ArtifactRef *artifact;
};

struct pen_session_out {
    Pen__JournalRecord **records; /* spool_seq is the journal's to set */
    size_t records_count, records_capacity;
    struct pen_session_effect *effects;
    size_t effects_count, effects_capacity;
    bool sync; /* the records have to become durable now */
};

struct pen_session_config {
    const char *spool_id;
    const char *boot_id;
    const char *run_id;
    const char *machine_id;
    const Pen__HostFacts *host;
    uint32_t slots;         /* up to PEN_SLOTS_MAX; 0: as the controller has it */
    uint32_t slots_default; /* 1.. PEN_SLOTS_MAX: until the controller says, if slots is 0 */
    bool once;              /* accept one job only */
};

struct pen_session;

/* Strings and host are copied. Errors: PEN_ENOMEM, PEN_EINVAL. */
int pen_session_create(const struct pen_session_config *config, struct pen_session **ret_session,
                       struct pen_error *err);
void pen_session_destroy(struct pen_session **self_p);

/* Fold one record of the journal; the session may take parts of it. Errors: PEN_ECORRUPT (a
 * record that cannot follow the ones before), PEN_ENOMEM. */
int pen_session_load(struct pen_session *self, Pen__JournalRecord *record, struct pen_error *err);

/* After the last record: ask for what is left to do. */
int pen_session_recover(struct pen_session *self, struct pen_session_out *out,
                        struct pen_error *err);

/* One input. Errors: PEN_ECONFLICT (a forbidden move, named), PEN_ENOTFOUND (no such attempt),
 * PEN_ELIMIT, PEN_EINVAL (a frame without its fields): the input has had no effect; PEN_ENOMEM. */
int pen_session_step(struct pen_session *self, const struct pen_session_input *input,
                     struct pen_session_out *out, struct pen_error *err);

/* Free what this turn put out, and what it dropped. */
void pen_session_turn_done(struct pen_session *self, struct pen_session_out *out);

/* When a PEN_IN_TIMER is wanted; INT64_MAX: never. */
int64_t pen_session_deadline_ms(const struct pen_session *self);

/* The records that make a journal with the same meaning and no history; for compaction. They go to
 * out->records and are valid until pen_session_turn_done(). */
int pen_session_snapshot(struct pen_session *self, struct pen_session_out *out,
                         struct pen_error *err);

/* Last record's number, for Hello; the journal tells it after each write. */
void pen_session_set_spool_seq(struct pen_session *self, uint64_t spool_seq);

enum pen_attempt_state pen_session_state(const struct pen_session *self, uint64_t fence);
/* The capsule of an attempt, or NULL. */
const Pen__Capsule *pen_session_capsule(const struct pen_session *self, uint64_t fence);
uint32_t pen_session_free_slots(const struct pen_session *self);
/* No attempt is started, running or being ended: none would be adopted after a restart. */
bool pen_session_is_idle(const struct pen_session *self);
bool pen_session_welcomed(const struct pen_session *self);

/* For --once: its job is finished, acknowledged, its log and artifacts are with the controller
 * (released); ret_good says whether it succeeded. */
bool pen_session_once_done(const struct pen_session *self, bool *ret_good);

/* 0 for an empty inventory, else 8 bytes over the sorted (fence, phase, last_seq): FNV-1a 64 of
 * each as little-endian 64-bit numbers, little-endian. */
uint64_t pen_session_inventory_digest(const struct pen_session *self);

#endif
