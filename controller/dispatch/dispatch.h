/* controller/dispatch/dispatch.h - the control plane: one ROUTER for all agents, and ZAP
 *
 * A thread of its own. Frames from agents become AgentMessage inputs to the core; AgentSend,
 * KeyAllow and KeyDeny effects come back. The identity of a sender is the CURVE key of its
 * connection, as ZAP's User-Id on that very message. This room knows nothing of the engine and can
 * become a process of its own.
 */
#ifndef PEN_CONTROLLER_DISPATCH_DISPATCH_H
#define PEN_CONTROLLER_DISPATCH_DISPATCH_H

#include <stdbool.h>

#include "common/base/error.h"
#include "common/io/inbox.h"
#include "common/keys/curve.h"

struct pen_dispatch;

struct pen_dispatch_options {
    const char *address; /* "127.0.0.1:7420"; port 0 picks a free one */
    const struct pen_curve_pair *server_keys;
    struct pen_inbox *core; /* borrowed; outlives the thread */
    bool closed_at_first;   /* leave handshakes unanswered until PEN_POST_SERVE: a key that is not
                             * known yet must not be refused, for a refused peer does not retry */
};

/* Bind the ZAP handler, then the ROUTER; test that an unknown key is refused; then run the thread.
 * Start it before pen_data: one ZAP handler serves both planes. Errors: PEN_EIO (address in use),
 * PEN_EDENIED (the self-test let an unknown key in). */
int pen_dispatch_start(const struct pen_dispatch_options *options,
                       struct pen_dispatch **ret_dispatch, struct pen_error *err);

/* "tcp://127.0.0.1:7420", with the real port. */
const char *pen_dispatch_endpoint(const struct pen_dispatch *self);

/* Where the core posts effects. */
struct pen_inbox *pen_dispatch_inbox(struct pen_dispatch *self);

/* The ZeroMQ context, to be shared by the data plane: the ZAP handler serves the sockets of its own
 * context only. */
void *pen_dispatch_context(struct pen_dispatch *self);

/* Post PEN_POST_STOP, join, free. Stop the data plane first: its sockets live in our context. */
void pen_dispatch_stop(struct pen_dispatch **self_p);

#endif
