/* controller/services/pull_request.h - pull requests, as git servers tell of them */
#ifndef PEN_CONTROLLER_SERVICES_PULL_REQUEST_H
#define PEN_CONTROLLER_SERVICES_PULL_REQUEST_H

#include <jansson.h>

#include "common/base/error.h"
#include "core.pb-c.h"

enum pen_git_server { PEN_GIT_SERVER_GITHUB = 1, PEN_GIT_SERVER_GITLAB, PEN_GIT_SERVER_GITEA };

/* Read the body of the event "pull_request" of GitHub and Gitea, or "Merge Request Hook" of GitLab,
 * into repository and pull_request of ret_notified (to be freed with the message, also on failure).
 *
 * Returns 1 for a change that triggers know: opened or reopened, new commits, closed or merged. 0:
 * none of these, or from a repository that is not the destination's own: what strangers propose is
 * never run. Texts are cut to limits; branch names that cannot be refs are an error.
 * Errors: PEN_EINVAL (names the member), PEN_ENOMEM. */
int pen_pull_request_read(enum pen_git_server server, const json_t *body,
                          Pen__PullRequestNotified *ret_notified, struct pen_error *err);

#endif
