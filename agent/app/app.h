/* agent/app/app.h - the agent's process: one loop over links, shims, worker and signals
 *
 *   OPEN (journal, fold) -> RECOVER (adopt) -> SERVE -> end
 *
 * At its end commands go on running; the next start adopts them.
 */
#ifndef PEN_AGENT_APP_APP_H
#define PEN_AGENT_APP_APP_H

#include "agent/app/identity.h"
#include "agent/app/options.h"
#include "common/base/error.h"

struct pen_app;

int pen_app_open(const struct pen_agent_options *options, const struct pen_identity *identity,
                 struct pen_app **ret_app, struct pen_error *err);
void pen_app_close(struct pen_app **self_p);

/* Serve until stop_fd is readable or, with --once, until the one job is delivered. Returns 0, 1
 * (the one job has failed), or a negative code: the process has to be started again. */
int pen_app_run(struct pen_app *self, int stop_fd, struct pen_error *err);

#endif
