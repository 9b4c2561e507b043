/* controller/sources/fetch.h - one `git fetch` into a mirror, as a child that can be killed
 *
 *     start ---> running ---> over (exit status, last words)
 *                   |  kill: TERM to its group, KILL when that did not help
 *
 * The child gets an environment made for it alone: no configuration of the machine or the user, no
 * prompt, no hook, only the one protocol, no redirect. Secrets go through that environment or a
 * file of mode 0600, never through arguments or the URL.
 */
#ifndef PEN_CONTROLLER_SOURCES_FETCH_H
#define PEN_CONTROLLER_SOURCES_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "controller/sources/url.h"

/* Refspecs of one fetch besides those of branches and tags. */
enum { PEN_FETCH_REFSPECS_MAX = 64 };

struct pen_fetch_order {
    const char *mirrors; /* folder of mirrors; its parent may hold known_hosts */
    const char *name;    /* of the mirror's folder in it */
    const struct pen_git_url *url;
    const char *username;  /* NULL: none */
    const char *secret;    /* password, token or private ssh key; NULL: none */
    char *const *refspecs; /* fetched besides all branches and tags */
    size_t refspecs_count;
};

struct pen_fetch {
    pid_t pid;
    int pidfd;            /* readable once the child has ended; -1: no child */
    int words_fd;         /* its standard error; -1 when closed */
    struct pen_buf words; /* the first of what it said */
    char *key_path;       /* of the ssh key, while it runs */
};

/* Errors: PEN_EDENIED (credentials that this scheme must not carry), PEN_EUNSUPPORTED (a password
 * for ssh), and those of starting a child. */
int pen_fetch_start(const struct pen_fetch_order *order, struct pen_fetch *ret_fetch,
                    struct pen_error *err);

/* Take what it has said so far. */
void pen_fetch_listen(struct pen_fetch *self);

void pen_fetch_kill(struct pen_fetch *self, int signal_number);

/* The child has ended: reap it, end what it left in its group, forget the key. */
int pen_fetch_finish(struct pen_fetch *self, int *ret_status, struct pen_error *err);

/* Release a fetch that is over or was never started. */
void pen_fetch_release(struct pen_fetch *self);

/* What went wrong, as an API failure type (a literal) and one sentence in ret_reason. */
const char *pen_fetch_judge(const struct pen_fetch *self, struct pen_buf *ret_reason);

#endif
