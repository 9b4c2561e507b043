/* agent/shim/shim_internal.h - the state of one shim, shared by the files of this room */
#ifndef PEN_AGENT_SHIM_SHIM_INTERNAL_H
#define PEN_AGENT_SHIM_SHIM_INTERNAL_H

#include <stdbool.h>

#include "agent/shim/shim.h"
#include "common/base/buf.h"
#include "common/keys/digest.h"

struct shim_log {
    const char *path;
    int fd; /* -1 until the first byte of output */
    uint64_t size, size_max;
    bool cut;           /* bytes between its beginning and its end are left out */
    uint8_t *end;       /* a ring of the last bytes, once the beginning is full; NULL before */
    uint64_t end_total; /* bytes that went into it */
    bool blocked;       /* no space: the pipe waits, nothing is lost */
    struct pen_buf waiting;
    struct pen_sha256_stream *digest;
};

/* Take output of the commands: append it, or keep it while the disk is full. */
void shim_log_add(struct shim_log *self, const void *bytes, size_t size);
/* No more will come: append the end of what was too much. */
void shim_log_end(struct shim_log *self);
/* Try again what waits. */
void shim_log_retry(struct shim_log *self);

/* What the command shell says by files. */
struct shim_shell {
    int folder_fd; /* -1: it has nothing to say */
    int turn_fd;   /* the FIFO that wakes us */
    uint32_t command_index;
};

struct shim {
    const Pen__ShimOrder *order;
    enum pen_shim_isolation isolation;
    pid_t command_pid;
    int lock_fd, output_fd, signal_fd, timer_fd, hint_fd;
    bool output_open;

    bool command_ended, tree_ended;
    int status; /* of the command shell */
    bool killed, timed_out, kill_sent;
    pid_t outer_pid;                      /* ours, as the agent knows it */
    uint64_t start_time;                  /* of that pid, as the agent knows it */
    int64_t began_ms, ended_ms;           /* wall clock */
    int64_t timeout_at, kill_at, hint_at; /* boot-time clock; INT64_MAX: none */
    int64_t look_at;                      /* after the run folder */
    int64_t linger_at; /* until then processes that outlive the shell may go on; INT64_MAX: none */
    int64_t armed_at;
    uint64_t hinted_size;
    int64_t last_hint_ms;
    struct shim_shell shell;
    struct shim_log log;
};

/* Signal every process of the attempt but the shim itself. */
void shim_tree_signal(const struct shim *self, int signal_number);
/* Collect what has ended; sets command_ended and tree_ended. */
void shim_tree_reap(struct shim *self);
/* Kill all that is left and wait for its end. */
void shim_tree_finish(struct shim *self);

/* Take the lock for life. Errors: PEN_ECONFLICT: the agent has given the attempt up. */
int shim_files_lock(struct shim *self);
/* Write `began`. Errors: PEN_EIO, PEN_ENOSPACE. */
int shim_files_began(const struct shim *self);
/* Make the run folder again when it is gone; true when that was needed. ret_dead: the agent has
 * found us dead in the meantime. */
bool shim_files_keep(struct shim *self, bool *ret_dead);
/* Write `exit` to where the agent finds it; as long as it takes. */
void shim_files_exit(struct shim *self, const Pen__ShimExit *record);

/* What is mounted below the workspace in our mount namespace, and so gone when we are: paths from
 * there, at most SHIM_MOUNTS_MAX, in memory of *ret_text. Returns how many. */
enum { SHIM_MOUNTS_MAX = 16 };
size_t shim_mounts(const struct shim *self, struct pen_buf *ret_text,
                   ProtobufCBinaryData ret_paths[SHIM_MOUNTS_MAX]);

void shim_hint(struct shim *self, enum pen_shim_hint_kind kind, uint64_t number);
/* Start the command shell. Errors: as posix_spawn. */
int shim_spawn(struct shim *self, struct pen_error *err);

/* Make the shell's folder; fine when the order names none. Errors: PEN_EIO, PEN_ENOSPACE. */
int shim_shell_open(struct shim_shell *self, const char *folder, struct pen_error *err);
/* Find out which command runs; true when that is news. */
bool shim_shell_look(struct shim_shell *self);
/* The output variables that the shell has left; false: none, not even that there are none. */
bool shim_shell_variables(const struct shim_shell *self, struct pen_buf *ret_bytes);

#endif
