/* agent/exec/exec_internal.h - shared by the files of this room */
#ifndef PEN_AGENT_EXEC_EXEC_INTERNAL_H
#define PEN_AGENT_EXEC_EXEC_INTERNAL_H

#include "agent/exec/exec.h"
#include "agent/shim/shim.h"
#include "common/base/map.h"

struct entry {
    uint64_t fence;
    int pidfd; /* -1: not known yet */
    bool began;
    bool kill_wanted;
    uint32_t kill_grace_ms;
    bool unproven;   /* its files are lost: that there are none says nothing */
    bool look_again; /* its shim is alive, but has not said who it is; or cannot be killed */
};

struct pen_exec {
    struct pen_exec_options options;
    char *run_dir, *spare_dir, *spool_id, *shim_path;
    uint64_t socket_device, socket_inode; /* of RUN_DIR/agent.sock, by which we know the folder */
    int64_t look_ms;                      /* when to look after the run folder */
    int64_t lost_until_ms; /* the folder was made again: its shims have time to come back */
    int epoll_fd, hint_fd, starter_fd, starter_pidfd;
    pid_t starter_pid;
    enum pen_shim_isolation isolation;
    bool user_namespace;
    char isolation_text[160];
    struct pen_map entries; /* fence to entry */
    int64_t look_again_ms;
};

/* ---- run folder (run_dir.c) */
/* Make it, with its socket for hints; the socket is watched. Errors: as pen_exec_create. */
int run_dir_open(struct pen_exec *self, struct pen_error *err);
/* Make it again when it has gone. Errors: as run_dir_open. */
int run_dir_keep(struct pen_exec *self, struct pen_error *err);
int exec_watch(struct pen_exec *self, int fd, uint64_t number, struct pen_error *err);
#define WAKE_HINTS UINT64_MAX /* what the epoll set says woke us: the hints, else a fence */

/* ---- starter link (starter_link.c) */
int starter_spawn(struct pen_exec *self, struct pen_error *err);
void starter_close(struct pen_exec *self);
int starter_send(struct pen_exec *self, const Pen__ShimOrder *order, struct pen_error *err);
/* One reply. Errors: PEN_EUNAVAILABLE (none now), PEN_EIO (the starter is gone). */
int starter_receive(struct pen_exec *self, bool wait, struct pen_starter_reply *ret_reply,
                    int *ret_pidfd, struct pen_error *err);

/* ---- files (run_files.c) */
char *run_path(const struct pen_exec *self, uint64_t fence, const char *name);
/* NULL when it is not there or not readable. Free with pen_message_destroy. */
Pen__AttemptBegan *read_began(const struct pen_exec *self, uint64_t fence);
/* From the run folder, or from where shims put it when that is gone. */
Pen__ShimExit *read_exit(const struct pen_exec *self, uint64_t fence);
char *spare_exit_path(const struct pen_exec *self, uint64_t fence);
/* Whether there is a lock file, held or not. */
bool has_lock(const struct pen_exec *self, uint64_t fence);
enum shim_life { SHIM_ALIVE, SHIM_GONE };
/* Whether a shim holds the lock; when none does, none ever will: the attempt is marked dead. */
int shim_life_find(const struct pen_exec *self, uint64_t fence, enum shim_life *ret_life,
                   struct pen_error *err);

/* ---- sweep.c */
/* Kill every process that carries the attempt's mark; true when none is left. */
bool sweep(const struct pen_exec *self, uint64_t fence);
void sweep_mark(const struct pen_exec *self, uint64_t fence, char *ret_text, size_t size);

#endif
