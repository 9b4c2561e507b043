/* controller/sources/child.h - a git child: what it may see, what it says, and its end
 *
 *     spawn ---> running ---> over (exit status, words)
 *                   |  kill: TERM to its group, KILL when that did not help
 *
 * The child gets an environment made for it alone: no configuration of the machine or the user, no
 * prompt, no hook.
 */
#ifndef PEN_CONTROLLER_SOURCES_CHILD_H
#define PEN_CONTROLLER_SOURCES_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/error.h"

enum {
    PEN_GIT_WORDS_SIZE_MAX = 16 * 1024, /* of a child's words that are kept */
    PEN_GIT_ENVIRONMENT_MAX = 80,
};

/* A growing environment whose strings it owns. Zeroed memory is an empty one. */
struct pen_git_environment {
    char *entries[PEN_GIT_ENVIRONMENT_MAX];
    size_t count;
    unsigned configuration; /* GIT_CONFIG_COUNT */
    bool failed;            /* no memory or no room: pen_git_child_spawn says so */
};

void pen_git_environment_set(struct pen_git_environment *self, const char *name, const char *value);
/* Configuration that outranks every file. */
void pen_git_environment_configure(struct pen_git_environment *self, const char *key,
                                   const char *value);
/* What every child gets. mirrors: the folder of mirrors, where .home is. */
void pen_git_environment_fill(struct pen_git_environment *self, const char *mirrors);
/* Wipes it: there may be secrets in it. */
void pen_git_environment_release(struct pen_git_environment *self);

struct pen_git_child {
    pid_t pid;
    int pidfd;            /* readable once the child has ended; -1: no child */
    int words_fd;         /* its standard error; -1 when closed */
    struct pen_buf words; /* the first of what it said: at most PEN_GIT_WORDS_SIZE_MAX bytes */
};

/* No child. */
#define PEN_GIT_CHILD_NONE ((struct pen_git_child){.pid = -1, .pidfd = -1, .words_fd = -1})

/* Start argv in a folder. GIT_CONFIG_COUNT is added to the environment. Errors: PEN_ENOMEM, and
 * those of starting a child. */
int pen_git_child_spawn(const char *const *argv, struct pen_git_environment *environment,
                        const char *directory, struct pen_git_child *ret_child,
                        struct pen_error *err);

/* Hand over what it has said since the last call. */
void pen_git_child_listen(struct pen_git_child *self,
                          void (*take)(void *context, const char *bytes, size_t size),
                          void *context);
/* Append to the words, as far as there is room. */
void pen_git_child_keep(struct pen_git_child *self, const char *bytes, size_t size);

void pen_git_child_kill(struct pen_git_child *self, int signal_number);

/* The child has ended, or was killed: reap it, end what it left in its group. Waits for it. */
int pen_git_child_finish(struct pen_git_child *self, int *ret_status, struct pen_error *err);

/* Release one that is over or was never started. */
void pen_git_child_release(struct pen_git_child *self);

#endif
