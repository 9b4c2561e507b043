/* controller/app/route.h - which thread performs which effect: one table
 *
 * Posting waits for room: every receiver drains its inbox without waiting for the core.
 */
#ifndef PEN_CONTROLLER_APP_ROUTE_H
#define PEN_CONTROLLER_APP_ROUTE_H

#include <stdint.h>

#include "common/base/error.h"
#include "common/io/inbox.h"
#include "controller/engine/engine.h"

struct pen_routes {
    struct pen_inbox *dispatch;
    struct pen_inbox *data;
    struct pen_inbox *http;
    struct pen_inbox *sources;
    struct pen_inbox *retention;
};

/* Hand every effect of `out` to its threads; `out` keeps the emptied list. Errors: PEN_ENOMEM. */
int pen_route_effects(const struct pen_routes *routes, struct pen_engine_out *out,
                      struct pen_error *err);

/* Tell http which executions have new facts, if any. Errors: PEN_ENOMEM. */
int pen_route_committed(const struct pen_routes *routes, const struct pen_engine_out *out,
                        struct pen_error *err);

/* Answer one request without the engine. Takes the reply. */
int pen_route_reply(struct pen_inbox *http, Pen__Reply *reply, struct pen_error *err);

/* Answer a request that the engine never saw. error_name: an API error. Errors: PEN_ENOMEM. */
int pen_route_refusal(struct pen_inbox *http, uint64_t correlation, const char *error_name,
                      const char *message, struct pen_error *err);

#endif
