/* controller/dispatch/plane.h - one guarded ROUTER: messages of proven senders, and nothing else
 *
 *     for (;;) {
 *         pen_sockets_wait(...pen_plane_sockets..., pen_plane_timeout_ms(plane));
 *         pen_plane_watch(plane, err);               // events first
 *         while (pen_plane_receive(plane, &message)) // then messages
 *             ...
 *         while ((link = pen_plane_next_gone(plane)) != NULL)
 *             ...
 *     }
 *
 * Both planes are made of this. Each message is exactly one frame after the routing id; its sender
 * is the CURVE key of its connection, which has to be on the key ring at that very moment. A peer
 * that breaks one of these rules, or that has chosen a routing id of its own, is cut. Cuts are
 * logged.
 *
 * What a peer sends is always taken, and counted in bytes (undelivered_bytes_max); there is no
 * limit in messages. libzmq 4.3 stops to read a connection whose queue is full, and when such a
 * connection is lost and its queue is then read, a heartbeat in what is left ends the process
 * (zeromq/libzmq#4364). So the queue is never full; a peer that keeps to its credits has little
 * under way, and one that does not is cut.
 */
#ifndef PEN_CONTROLLER_DISPATCH_PLANE_H
#define PEN_CONTROLLER_DISPATCH_PLANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/keys/curve.h"
#include "common/sockets/sockets.h"
#include "controller/dispatch/keyring.h"
#include "controller/dispatch/links.h"
#include "core.pb-c.h"

struct pen_plane;

struct pen_plane_options {
    const char *name;                         /* in logs: "control", "data" */
    const char *address;                      /* "127.0.0.1:7420" */
    void *zmq_context;                        /* borrowed */
    unsigned io_thread;                       /* of that context, from 0 */
    const struct pen_curve_pair *server_keys; /* borrowed during create */
    struct pen_keyring *keys;                 /* borrowed; who may speak */
    bool tokens;                              /* whether tokens may speak, too */
    size_t message_bytes_max;
    int send_queue_max; /* messages to one peer that wait to be sent */
    uint64_t undelivered_bytes_max;
    size_t links_per_identity_max;
};

/* Bind; pen_zap_create comes first. Errors: PEN_EIO (the address is in use), PEN_EUNSUPPORTED. */
int pen_plane_create(const struct pen_plane_options *options, struct pen_plane **ret_plane,
                     struct pen_error *err);
void pen_plane_destroy(struct pen_plane **self_p);

/* "tcp://127.0.0.1:7420", with the real port. */
const char *pen_plane_endpoint(const struct pen_plane *self);

/* What to wait for. */
enum { PEN_PLANE_SOCKETS = 2 };
void pen_plane_sockets(struct pen_plane *self, struct pen_socket *ret_sockets[PEN_PLANE_SOCKETS]);

/* Longest time to wait: -1 for ever while nobody is connected, else until the next sweep. */
long pen_plane_timeout_ms(const struct pen_plane *self);

/* Read the monitor's events, sweep when it is time. To be called first in each turn: libzmq stops
 * when nobody reads them. Errors: PEN_EIO. */
int pen_plane_watch(struct pen_plane *self, struct pen_error *err);

struct pen_plane_message {
    struct pen_link *link; /* LIVE or CLOSING; its malformed_in_a_row is the reader's to count */
    const uint8_t *bytes;  /* valid until the next receive */
    size_t size;
};

/* The next message of a sender who may speak; false when none is left. Others are cut meanwhile. */
bool pen_plane_receive(struct pen_plane *self, struct pen_plane_message *ret_message);

/* Send one frame without ever waiting. False: not sent, since the peer is gone or its queue full.
 */
bool pen_plane_send(struct pen_plane *self, const struct pen_link *link, const void *bytes,
                    size_t size);

/* The message in buf, which serves as scratch and is cleared first. False also when out of memory.
 */
bool pen_plane_send_message(struct pen_plane *self, const struct pen_link *link,
                            const void *message, struct pen_buf *scratch);

/* Where to send to: the link with this number, or for 0 the newest of this agent or token. NULL:
 * not connected. */
struct pen_link *pen_plane_link(const struct pen_plane *self, uint64_t number, const char *id);

/* The link with this number, whoever it is; NULL when it has ended. */
struct pen_link *pen_plane_by_number(const struct pen_plane *self, uint64_t number);

/* End a connection for this reason. */
void pen_plane_cut(struct pen_plane *self, struct pen_link *link, const char *reason);

/* Let this key in, as the effect says. Connections that were made with it as somebody else end, as
 * by a denial. A key that cannot be allowed is logged. */
void pen_plane_allow(struct pen_plane *self, const Pen__KeyAllow *effect);

/* Let this key in no more: nothing is taken from its connections, and they end, also silent ones,
 * after a moment in which an answer that was sent before can still go out. */
void pen_plane_deny(struct pen_plane *self, const Pen__KeyDeny *effect);

/* A link that has ended, until it is told of; NULL when there is none. */
struct pen_link *pen_plane_next_gone(struct pen_plane *self);
void pen_plane_told(struct pen_plane *self, struct pen_link *link);

#endif
