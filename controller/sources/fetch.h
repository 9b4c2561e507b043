/* controller/sources/fetch.h - one `git fetch` into a mirror, as a child that can be killed
 *
 * Only the one protocol is allowed, and no redirect is followed. Secrets go through the environment
 * or a file of mode 0600, never through arguments or the URL.
 *
 * git calls a fetch a success although it has passed over a ref, so its exit status alone proves
 * nothing: it also reports each ref that is now as the other side has it, and what the mirror has
 * besides these was passed over (decision 0021).
 */
#ifndef PEN_CONTROLLER_SOURCES_FETCH_H
#define PEN_CONTROLLER_SOURCES_FETCH_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "controller/sources/child.h"
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
    bool shallow; /* the mirror lacks a part of its history: ask for what is there by now */
};

struct pen_fetch {
    struct pen_git_child child;
    struct pen_buf line; /* of its words: begun, without an end yet */
    struct pen_buf told; /* short names of refs that are as the other side has them, each with \0 */
    struct pen_buf passed; /* the first line that says that a ref was passed over */
    char *key_path;        /* of the ssh key, while it runs */
};

#define PEN_FETCH_NONE ((struct pen_fetch){.child = PEN_GIT_CHILD_NONE})

/* Errors: PEN_EDENIED (credentials that this scheme must not carry), PEN_EUNSUPPORTED (a password
 * for ssh), and those of starting a child. */
int pen_fetch_start(const struct pen_fetch_order *order, struct pen_fetch *ret_fetch,
                    struct pen_error *err);

/* Take what it has said so far. */
void pen_fetch_listen(struct pen_fetch *self);

/* The child has ended: take its last words, reap it, forget the key. */
int pen_fetch_finish(struct pen_fetch *self, int *ret_status, struct pen_error *err);

/* Release a fetch that is over or was never started. */
void pen_fetch_release(struct pen_fetch *self);

/* What went wrong, as an API failure type (a literal) and one sentence in ret_reason. */
const char *pen_fetch_judge(const struct pen_fetch *self, struct pen_buf *ret_reason);

/* Whether the words of a fetch that failed tell of the mirror's own files, and not of the other
 * side. */
bool pen_fetch_blames_mirror(const struct pen_fetch *self);

#endif
