/* agent/actions/actions.h - attempts on this host: inputs, commands, log, outputs
 *
 *     pen_actions_prepare()          pen_actions_start()
 *        inputs fetched and unpacked -> commands -> EXITED -> pen_actions_pack() -> PACKED
 *        SETUP_FAILED                   VANISHED                                   PACK_FAILED
 *
 * Everything of an attempt but the decisions, which are the session's. Reports come from
 * pen_actions_process() only, never from within another call.
 */
#ifndef PEN_AGENT_ACTIONS_ACTIONS_H
#define PEN_AGENT_ACTIONS_ACTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "agent.pb-c.h"
#include "capsule.pb-c.h"
#include "spool.pb-c.h"

struct pen_actions;

enum pen_action_report_kind {
    PEN_ACTION_BEGAN,        /* began */
    PEN_ACTION_STEP,         /* number: index of the command */
    PEN_ACTION_LOG,          /* number: bytes captured */
    PEN_ACTION_EXITED,       /* exit */
    PEN_ACTION_VANISHED,     /* began_once */
    PEN_ACTION_SETUP_FAILED, /* text */
    PEN_ACTION_PACKED,       /* artifacts */
    PEN_ACTION_PACK_FAILED,  /* text */
};

struct pen_action_report {
    enum pen_action_report_kind kind;
    uint64_t fence;
    uint64_t number;
    bool began_once;
    const char *text;
    const Pen__AttemptBegan *began;
    const Pen__ShimExit *exit;
    Pen__ArtifactRef **artifacts;
    size_t artifacts_count;
};

typedef void (*pen_action_report_f)(void *context, const struct pen_action_report *report);
/* Send on the data plane; PEN_EUNAVAILABLE: not now. */
typedef int (*pen_action_send_f)(void *context, const Pen__DataFromAgent *message);

struct pen_actions_options {
    const char *data_dir; /* work, logs and blobs go below it */
    const char *run_dir;
    const char *spool_id;
    const char *shim_path;
    pen_action_report_f report;
    pen_action_send_f send;
    /* As in agent/exec/exec.h; may be NULL. */
    int (*choose_run_dir)(void *context, char **ret_path, struct pen_error *err);
    void *context;
};

int pen_actions_create(const struct pen_actions_options *options, struct pen_actions **ret_actions,
                       struct pen_error *err);
/* Commands go on running. */
void pen_actions_destroy(struct pen_actions **self_p);

/* Before the end: no attempt runs, nor is there one to adopt later. The run folder goes. */
void pen_actions_leave_nothing(struct pen_actions *self);

const char *pen_actions_isolation(const struct pen_actions *self);

/* Descriptors to wait for; returns how many (at most 4). */
size_t pen_actions_fds(const struct pen_actions *self, int *ret_fds);
int64_t pen_actions_deadline_ms(const struct pen_actions *self);
/* Take what happened. Errors: PEN_EIO (no attempt can be started any more). */
int pen_actions_process(struct pen_actions *self, struct pen_error *err);

/* Make the workspace and fetch the inputs. The capsule has to live until pen_actions_release(). */
void pen_actions_prepare(struct pen_actions *self, const Pen__Capsule *capsule);
/* What was prepared may begin: at once, or when its inputs are there. Unless it was killed. */
void pen_actions_start(struct pen_actions *self, uint64_t fence);
void pen_actions_adopt(struct pen_actions *self, const Pen__Capsule *capsule);
void pen_actions_kill(struct pen_actions *self, uint64_t fence, uint32_t grace_ms);
void pen_actions_pack(struct pen_actions *self, const Pen__Capsule *capsule);
/* Bring an output to the controller, and try again until it has it. The name and digest are copied.
 */
void pen_actions_upload(struct pen_actions *self, uint64_t fence, const Pen__ArtifactRef *artifact);
/* No process of the attempt runs, and its outputs are packed: the workspace may go. */
void pen_actions_ended(struct pen_actions *self, uint64_t fence, uint64_t log_size);
/* The controller has all: log, outputs, run files go. */
void pen_actions_release(struct pen_actions *self, uint64_t fence);
/* At start, when all adopted attempts are known: remove what belongs to nobody. */
int pen_actions_sweep(struct pen_actions *self, int (*keep)(void *context, uint64_t fence),
                      void *context, struct pen_error *err);

/* The data plane is there, with these credits (0: the default). */
void pen_actions_connected(struct pen_actions *self, uint64_t log_credit_bytes,
                           uint32_t blob_credit);
void pen_actions_disconnected(struct pen_actions *self);
void pen_actions_on_message(struct pen_actions *self, Pen__DataToAgent *message);

/* The controller has acknowledged the whole log and all outputs. */
bool pen_actions_is_delivered(const struct pen_actions *self, uint64_t fence);

#endif
