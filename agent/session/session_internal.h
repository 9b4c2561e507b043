/* agent/session/session_internal.h - what the files of this room share */
#ifndef PEN_AGENT_SESSION_SESSION_INTERNAL_H
#define PEN_AGENT_SESSION_SESSION_INTERNAL_H

#include "agent/session/session.h"
#include "common/base/map.h"

struct attempt {
    uint64_t fence;
    enum pen_attempt_state state;
    int64_t accepted_ms;
    int64_t killing_ms; /* 0: no kill asked for */
    int64_t sent_ms;    /* when its events were last sent */
    char *kill_reason;
    char *boot_id; /* of the start */
    bool began;
    bool other_boot; /* started before a reboot and without a result: waits for Welcome */
    bool forget;     /* settled while it still ran: released as soon as it has ended */
    bool good;       /* exited with 0 */
    bool asking;     /* class once: begins when the controller has acknowledged its first event */
    int64_t ask_until_ms;
    Pen__Capsule *capsule;
    Pen__Finished *finishing; /* made at the exit, sent when the outputs are made */
    Pen__Event **events;      /* unacknowledged, in order; the result stays until the release */
    size_t events_count, events_capacity;
    uint64_t last_seq;
    uint64_t acked_seq;
    uint64_t log_size;
    Pen__AttemptBegan began_record;
};

struct pen_session {
    char *spool_id, *boot_id, *run_id, *machine_id;
    Pen__HostFacts *host;
    uint32_t slots;
    uint32_t slots_said; /* to the controller; 0: it says */
    bool once;
    uint64_t once_fence; /* the one job */
    bool once_good;

    struct pen_map attempts; /* fence to attempt */
    uint32_t busy;           /* attempts that hold a slot */
    uint64_t max_fence;
    uint64_t gc_below;
    uint64_t spool_seq;

    bool connected;
    bool welcomed;
    uint64_t session_no;
    bool hello_open;     /* said on this link, not answered yet */
    bool hello_repeated; /* on this link: one of the two sessions is superseded by the other */
    int64_t hello_ms;
    int64_t heard_ms;
    int64_t heartbeat_ms;
    int64_t next_heartbeat_ms;
    uint64_t heartbeat_number;
    uint64_t inventory_number; /* of the last heartbeat with an inventory: one is enough */
    int64_t attempts_deadline_ms;
    bool drain_local, drain_remote, unkillable, disk_full;

    bool out_of_memory; /* sticky within a step */
    void **buried;      /* messages dropped in this turn */
    size_t buried_count, buried_capacity;
    Pen__Welcome *welcome;
};

/* ---- attempts (session.c) */
struct attempt *attempt_get(const struct pen_session *self, uint64_t fence);
struct attempt *attempt_add(struct pen_session *self, uint64_t fence);
/* Only from a state without a process. */
void attempt_remove(struct pen_session *self, struct attempt *attempt);
int session_attempt_move(struct pen_session *self, struct attempt *attempt,
                         enum pen_attempt_state to, struct pen_error *err);
void attempt_set_state(struct pen_session *self, struct attempt *attempt,
                       enum pen_attempt_state to);
void wake_at(struct pen_session *self, int64_t deadline_ms);
/* Free message at the end of the turn. */
void bury(struct pen_session *self, void *message);
void *new_message(struct pen_session *self, size_t size, void (*init)(void *));
char *new_text(struct pen_session *self, const char *text);

#define NEW(self, type, init) ((type *)new_message((self), sizeof(type), (void (*)(void *))(init)))

/* ---- what goes out (output.c) */
struct pen_session_effect *effect_add(struct pen_session *self, struct pen_session_out *out,
                                      enum pen_session_effect_kind kind, uint64_t fence);
/* A message with session_no set; the caller fills its body. May be NULL. */
Pen__FromAgent *message_add(struct pen_session *self, struct pen_session_out *out, bool after_sync);
void record_started(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt);
void record_began(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt);
void record_killing(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt);
void record_event(struct pen_session *self, struct pen_session_out *out, Pen__Event *event);
void record_acked(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt);
void record_tomb(struct pen_session *self, struct pen_session_out *out, uint64_t fence);
void record_released(struct pen_session *self, struct pen_session_out *out, uint64_t fence,
                     uint64_t gc_below);
void send_event(struct pen_session *self, struct pen_session_out *out, Pen__Event *event);
void send_hello(struct pen_session *self, struct pen_session_out *out, int64_t now_ms);
void send_heartbeat(struct pen_session *self, struct pen_session_out *out, bool with_inventory,
                    int64_t now_ms);
void send_bye(struct pen_session *self, struct pen_session_out *out);
void send_revoked(struct pen_session *self, struct pen_session_out *out, uint64_t fence,
                  const struct attempt *attempt);
void send_unacked(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt,
                  uint64_t from_seq, int64_t now_ms);

/* ---- attempts live (attempt.c) */
/* A numbered event of the attempt, owned by it; NULL when out of memory. */
Pen__Event *event_add(struct pen_session *self, struct attempt *attempt, uint64_t seq);
/* Record and send the result; takes finished. */
int attempt_finish(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt,
                   Pen__Finished *finished, int64_t now_ms, struct pen_error *err);
Pen__Finished *finished_make(struct pen_session *self, Pen__FinishKind kind, const char *reason);
void attempt_ack(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt,
                 uint64_t seq);
/* Class once, started and journalled: ask the controller whether it may begin, for ttl_ms. */
void attempt_ask(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt,
                 uint32_t ttl_ms, int64_t now_ms);
/* The controller has committed that it may begin. */
void attempt_permit(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt);
/* It has not begun, and never will. */
int attempt_give_up(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt,
                    const char *reason, int64_t now_ms, struct pen_error *err);
int attempt_kill(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt,
                 const char *reason, uint32_t grace_ms, int64_t now_ms, struct pen_error *err);
/* The controller needs nothing more of it. */
void session_attempt_settle(struct pen_session *self, struct pen_session_out *out,
                            struct attempt *attempt, int64_t now_ms);
int step_report(struct pen_session *self, const struct pen_session_input *input,
                struct pen_session_out *out, struct pen_error *err);

/* ---- frames (frame.c) */
int step_frame(struct pen_session *self, const struct pen_session_input *input,
               struct pen_session_out *out, struct pen_error *err);
/* Whether an offer of a new fence would be accepted now. */
bool takes_work(const struct pen_session *self);
void settle_below(struct pen_session *self, struct pen_session_out *out, uint64_t gc_below,
                  int64_t now_ms);

/* ---- results (result.c) */
Pen__Finished *finished_from_exit(struct pen_session *self, const struct attempt *attempt,
                                  const Pen__ShimExit *shim_exit);

#endif
