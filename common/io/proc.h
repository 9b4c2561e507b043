/* common/io/proc.h - child processes in their own group, ended for certain */
#ifndef PEN_COMMON_IO_PROC_H
#define PEN_COMMON_IO_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/error.h"

/* First thing in a program that serves: no descriptor that it opens is taken for 0, 1 or 2, which
 * somebody may have closed (its log would go to a socket or a journal), and no SIGTERM or SIGINT
 * ends it before it waits for them. Children begin without what is blocked here. */
void pen_proc_begin(void);

struct pen_proc_spec {
    const char *const *argv;        /* NULL-terminated; argv[0] is looked up in PATH */
    const char *const *environment; /* NULL-terminated NAME=value; NULL: this process's own */
    const char *directory;          /* working directory; NULL: this process's own */
    int stdin_fd;                   /* -1: /dev/null */
    int stdout_fd;                  /* -1: /dev/null */
    int stderr_fd;                  /* -1: /dev/null */
};

/* Start a child in a process group (and session) of its own, with no descriptor but 0, 1, 2.
 * The caller owns *ret_pidfd. Errors: PEN_ENOTFOUND (no such program), PEN_EIO. */
int pen_proc_spawn(const struct pen_proc_spec *spec, pid_t *ret_pid, int *ret_pidfd,
                   struct pen_error *err);

/* Signal the whole group; fine when it is gone. */
void pen_proc_kill_group(pid_t pid, int signal_number);

/* Wait up to timeout_ms (-1: for ever) and reap. ret_status as waitpid(2). Errors: PEN_ETIMEOUT. */
int pen_proc_wait(pid_t pid, int pidfd, int64_t timeout_ms, int *ret_status, struct pen_error *err);

/* Run to the end, or kill the group at timeout_ms. Output is kept up to output_max bytes each.
 * ret_out and ret_err may be NULL. Errors: as spawn, PEN_ETIMEOUT. The exit status is the
 * caller's to judge. */
int pen_proc_run(const struct pen_proc_spec *spec, int64_t timeout_ms, size_t output_max,
                 struct pen_buf *ret_out, struct pen_buf *ret_err, int *ret_status,
                 struct pen_error *err);

#endif
