/* agent/shim/shim.h - the process that owns one attempt, and the starter that makes it
 *
 *     agent --spawn--> starter --clone--> shim (1 of its PID namespace) --> sh -c COMMANDS
 *
 * The starter (`penstock-shim starter`) is one small process with one thread, so that making a shim
 * costs a clone and no exec. It ends with the agent; shims do not: they belong to nobody but their
 * files under the run folder (tmpfs):
 *
 *     lock    held (flock) while the shim lives
 *     dead    made by the agent under that lock: this attempt must not begin any more
 *     began   packed AttemptBegan, before the commands start
 *     exit    packed ShimExit, when no process of the attempt is left
 *
 * The folder may go at any moment: a session's end takes $XDG_RUNTIME_DIR along. The shim looks
 * after it every PEN_SHIM_LOOK_MS, makes it again with `lock` and `began`, and ends when it finds
 * `dead` there. When it cannot, its result goes to ShimOrder.spare_exit, on the agent's disk. It
 * never ends without having written it to one of them.
 *
 * Where rights allow the shim is process 1 of a PID namespace of its own: its death, by whatever
 * signal, is the death of all that it started. Otherwise it is a subreaper, and the agent sweeps
 * for what is left (agent/exec). These files, the order and the hints are frozen: an old shim
 * outlives an upgrade of the agent.
 *
 * The command shell has 0, 1 and 2 and nothing of ours. What it reports (agent/actions/command.c
 * writes the lines) are files below ShimOrder.shell_dir, which its own user may write to:
 *
 *     1, 2, ...   made before command 1, 2, ... (counted from 0) begins
 *     turn        a FIFO of the shim's, opened and closed after each of them: that wakes it
 *     variables   NAME=value and a zero for each output variable that is set, when all is done;
 *                 written by `penstock-shim variables`, an interface as frozen as the order
 *
 * When the shell has ended, processes of it may be left. While one of them holds the log open, they
 * have PEN_SHIM_LINGER_MS: a filter (tee, sed) writes its last lines then. What is left after that
 * gets TERM, and KILL PEN_SHIM_LEFTOVER_MS later.
 */
#ifndef PEN_AGENT_SHIM_SHIM_H
#define PEN_AGENT_SHIM_SHIM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "spool.pb-c.h"

enum {
    PEN_SHIM_ORDER_MAX = 1024 * 1024, /* bytes of a packed order: a control frame and some more */
    PEN_SHIM_VARIABLES_MAX = 128 * 1024, /* bytes read of output variables */
    PEN_SHIM_STEPS_MAX = 10 * 1000,      /* commands looked for in the shell's folder */
    PEN_SHIM_GRACE_DEFAULT_MS = 10 * 1000,
    PEN_SHIM_LINGER_MS = 2000,   /* many times what a filter needs on a busy host */
    PEN_SHIM_LEFTOVER_MS = 2000, /* a server writes its state; the action waits for it */
    PEN_SHIM_HINT_GAP_MS = 20,   /* at most 50 hints about a growing log in a second */
    PEN_SHIM_BEGAN_HOLD_MS = 5,  /* commands that end sooner are told of once: begun and ended */
    PEN_SHIM_LOOK_MS = 1000,     /* between looks at the run folder; one lstat */
    PEN_SHIM_RETRY_MS = 1000,    /* between attempts to write to a full disk */
};

/* What a shim tells the agent, as a datagram to RUN_DIR/../agent.sock. Only a hint: what counts is
 * in the files, and a hint that gets lost loses nothing but time. */
enum pen_shim_hint_kind {
    PEN_HINT_BEGAN = 1,
    PEN_HINT_LOG = 2,  /* number: bytes in the log file */
    PEN_HINT_STEP = 3, /* number: index of the command that runs now */
    PEN_HINT_EXIT = 4,
};

struct pen_shim_hint {
    uint32_t magic; /* PEN_SHIM_HINT_MAGIC */
    uint32_t kind;
    uint64_t fence;
    uint64_t number;
};
#define PEN_SHIM_HINT_MAGIC UINT32_C(0x70656e31)

/* How far this host lets us isolate. */
enum pen_shim_isolation {
    PEN_ISOLATION_NONE = 0, /* process groups and a subreaper */
    PEN_ISOLATION_PID,      /* own PID namespace */
    PEN_ISOLATION_FULL,     /* own PID, mount and IPC namespace, and /proc of its own */
};
const char *pen_shim_isolation_text(enum pen_shim_isolation isolation);

/* ---- between agent and starter: one stream socket
 * to the starter: uint32 size of what follows, uint64 fence, packed ShimOrder. From it: struct
 * pen_starter_reply, with the pidfd of the shim as SCM_RIGHTS when pid > 0. The first reply has
 * fence 0 and tells the isolation. */
struct pen_starter_reply {
    uint64_t fence;
    int32_t pid;
    int32_t error_number; /* errno of clone */
    int32_t isolation;    /* enum pen_shim_isolation */
    int32_t user_namespace;
};

/* Serve orders from the socket until its other end closes. Returns the exit status. */
int pen_starter_run(int socket_fd);

/* Be the shim of this order; in a process of its own. Never returns. */
_Noreturn void pen_shim_run(const Pen__ShimOrder *order, enum pen_shim_isolation isolation);

/* The program that command shells start as `penstock-shim variables FOLDER NAME...`: write
 * FOLDER/variables from the environment, where PENSTOCK_VALUE_<i> is the value of the i-th name;
 * names that are empty have none. Returns the exit status. */
int pen_shim_variables(const char *folder, char *const *names);

/* The pid as /proc sees it and the start time in ticks of a process ("self" or a number). Errors:
 * PEN_ENOTFOUND, PEN_EIO. */
int pen_shim_process_facts(const char *process, pid_t *ret_pid, uint64_t *ret_start_time,
                           struct pen_error *err);

#endif
