/* agent/exec/exec.h - the shims of this host: made, watched, adopted, ended
 *
 *     pen_exec_start() ... report BEGAN, LOG, STEP, EXITED     what a normal attempt gives
 *                          report VANISHED                    no process left, no exit record
 *     pen_exec_adopt()     the same reports, for an attempt that an earlier agent process started
 *
 * Each attempt gets exactly one of EXITED, VANISHED and START_FAILED, as its last report; BEGAN
 * comes before EXITED, always. Reports come from pen_exec_process(), when pen_exec_fd() is
 * readable.
 *
 * The run folder may go at any moment (a session's end takes $XDG_RUNTIME_DIR along). It is made
 * again, here and by each shim, and results find their way. RUN_DIR/whole tells a folder that has
 * been there all the time from one that was made again: what has no files in the latter is not
 * proven never to have begun, and is reported as having begun.
 */
#ifndef PEN_AGENT_EXEC_EXEC_H
#define PEN_AGENT_EXEC_EXEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "spool.pb-c.h"

struct pen_exec;

enum pen_exec_report_kind {
    PEN_EXEC_BEGAN,        /* began */
    PEN_EXEC_LOG,          /* number: bytes captured so far */
    PEN_EXEC_STEP,         /* number: index of the command that runs now */
    PEN_EXEC_EXITED,       /* exit */
    PEN_EXEC_VANISHED,     /* began_once: it had begun */
    PEN_EXEC_START_FAILED, /* text */
};

struct pen_exec_report {
    enum pen_exec_report_kind kind;
    uint64_t fence;
    uint64_t number;
    bool began_once;
    const Pen__AttemptBegan *began;
    const Pen__ShimExit *exit;
    const char *text;
};

typedef void (*pen_exec_report_f)(void *context, const struct pen_exec_report *report);

struct pen_exec_options {
    const char *run_dir;   /* absolute; best on a tmpfs; made with mode 0700 */
    const char *spare_dir; /* on the agent's disk: results that find no run folder; NULL: none */
    const char *spool_id;  /* marks our processes in their environment */
    const char *shim_path; /* the penstock-shim program */
    pen_exec_report_f report;
    /* Choose another run folder: the old one is gone and cannot be made. NULL: there is none. */
    int (*choose_run_dir)(void *context, char **ret_path, struct pen_error *err);
    void *context;
};

/* Make the run folder, start the starter, learn the isolation. Errors: PEN_ENOTFOUND (no shim
 * program), PEN_EDENIED, PEN_ELIMIT (run_dir too long for a socket's name), PEN_EIO. */
int pen_exec_create(const struct pen_exec_options *options, struct pen_exec **ret_exec,
                    struct pen_error *err);
/* Shims go on running. */
void pen_exec_destroy(struct pen_exec **self_p);

/* What attempts get here, for people. */
const char *pen_exec_isolation(const struct pen_exec *self);

/* Whether each attempt is a PID namespace: its end is then the end of all that it has started. */
bool pen_exec_has_pid_namespace(const struct pen_exec *self);

int pen_exec_fd(const struct pen_exec *self);
/* Take what happened, and report it. Errors: PEN_EIO (the starter cannot be started again). */
int pen_exec_process(struct pen_exec *self, struct pen_error *err);
/* When pen_exec_process() is wanted without the descriptor; INT64_MAX: never. */
int64_t pen_exec_deadline_ms(const struct pen_exec *self);

/* Start an attempt; run_dir of the order is set here and PENSTOCK_ATTEMPT is added to its
 * environment. Errors (nothing was started): PEN_EIO, PEN_ENOSPACE, PEN_ELIMIT, PEN_ECONFLICT. */
int pen_exec_start(struct pen_exec *self, Pen__ShimOrder *order, struct pen_error *err);

/* Find out what became of an attempt that was journalled on this boot; reports follow. */
void pen_exec_adopt(struct pen_exec *self, uint64_t fence);

/* TERM, then KILL after grace_ms, to everything of the attempt. Fine when it is gone. */
void pen_exec_kill(struct pen_exec *self, uint64_t fence, uint32_t grace_ms);

/* Remove its files. Only when it has ended. */
void pen_exec_release(struct pen_exec *self, uint64_t fence);

/* Remove the run folder, unless attempts run. Only when none is known that a later process would
 * adopt: it would not be proven never to have begun. */
void pen_exec_remove_run_dir(struct pen_exec *self);

/* Shims that are alive or being made. */
size_t pen_exec_count(const struct pen_exec *self);

/* The folder for run files: the first of $XDG_RUNTIME_DIR, /run, /dev/shm that is a tmpfs we can
 * write to, else fallback/run. Made with mode 0700, and checked to be ours. ret_tmpfs tells which.
 */
int pen_exec_choose_run_dir(const char *spool_id, const char *fallback, char **ret_path,
                            bool *ret_tmpfs, struct pen_error *err);

#endif
