/* controller/sources/url.h - which repositories may be fetched from, and by what URL
 *
 * A connection has a base URL, set by an administrator; the pipeline adds "owner/name". Both are
 * checked here, by what is allowed, before they come near a `git` command:
 *
 *     /folder            file:///folder      repositories on this machine
 *     https://host[:port]/path               credentials go by header
 *     http://host[:port]/path                never with credentials, but to loopback
 *     ssh://[user@]host[:port]/path          host key has to be known
 *     git://host[:port]/path                 never with credentials
 *
 * No other scheme or transport helper, no password in a URL, no option in disguise, no "..".
 */
#ifndef PEN_CONTROLLER_SOURCES_URL_H
#define PEN_CONTROLLER_SOURCES_URL_H

#include <stdbool.h>

#include "common/base/error.h"

enum pen_git_scheme {
    PEN_GIT_LOCAL = 1, /* a path, or file:// */
    PEN_GIT_HTTPS,
    PEN_GIT_HTTP,
    PEN_GIT_SSH,
    PEN_GIT_GIT,
};

struct pen_git_url {
    enum pen_git_scheme scheme;
    char *text; /* for `git fetch`; a plain path for local ones. Holds no secret */
    char *host; /* lower case as given, without port; "" for local ones */
    bool loopback;
    bool has_user; /* ssh://user@... */
};

/* Join and check. Errors: PEN_EINVAL, with a sentence that names the part and the rule; PEN_ENOMEM.
 */
int pen_git_url_make(const char *base_url, const char *repository_id, struct pen_git_url *ret_url,
                     struct pen_error *err);
void pen_git_url_release(struct pen_git_url *self);

/* Whether the name can be that of a hosted repository, which becomes a file name: 1 to 100 of
 * letters, digits, '.', '_' and '-', beginning with a letter or digit, not ending in ".git". */
bool pen_git_repository_name_valid(const char *name);

/* Whether the text is a full commit id: 40 lower-case hex digits. */
bool pen_git_id_valid(const char *id);

#endif
