/* agent/link/link.h - the agent's two connections to the controller
 *
 * Two DEALER sockets with CURVE, the server's key pinned: control, and data beside it so that bulk
 * never delays a heartbeat. Nothing is queued while a plane is down: pen_link_send() says so, and
 * what is to be sent again follows from the session's state.
 *
 * Whether the controller answers is the session's question, by its own heartbeats; whether its host
 * is there is the kernel's, by TCP. ZMTP's heartbeats are off: they end the connection of a
 * controller that only stands still, and its libzmq dies of what is left of it
 * (controller/dispatch/plane.h).
 *
 *     pen_link_wait(link, fds, count, timeout_ms, ready);
 *     while (pen_link_next(link, &event))
 *         ...
 *
 * All addresses of the controller's name are tried, one after the other; after the last one the
 * name is asked for again, 0.1 to 32 s later, with jitter. A connection that was there and is lost
 * is made again by libzmq, to the same address; when that fails, the others are tried. libzmq never
 * asks again once the controller has denied a key, so such a socket is made anew here, too.
 */
#ifndef PEN_AGENT_LINK_LINK_H
#define PEN_AGENT_LINK_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/keys/curve.h"

enum {
    PEN_LINK_CONTROL_FRAME_MAX = 1024 * 1024,
    PEN_LINK_DATA_FRAME_MAX = 1024 * 1024,
    PEN_LINK_WAIT_FDS_MAX = 8,
};

enum pen_plane { PEN_PLANE_CONTROL, PEN_PLANE_DATA };

enum pen_link_event_kind {
    PEN_LINK_UP,          /* the handshake is done */
    PEN_LINK_DOWN,        /* the connection is lost, or is given up */
    PEN_LINK_DENIED,      /* the controller does not let this key in; it is asked again later */
    PEN_LINK_UNREACHABLE, /* no connection to address: another, or the same later */
    PEN_LINK_FRAME,       /* bytes, size: valid until the next call */
};

struct pen_link_event {
    enum pen_link_event_kind kind;
    enum pen_plane plane;
    const void *bytes;
    size_t size;
    const char *address; /* of UNREACHABLE, valid until the next call; the name: it has none */
    const char *reason;  /* why the name has none; NULL: it has */
    unsigned failures;   /* in a row, this one included */
};

struct pen_link;

struct pen_link_options {
    const char *host; /* name, or address, also as "[::1]" */
    uint16_t port;    /* of the control plane */
    uint8_t server_public_key[PEN_CURVE_KEY_SIZE];
    struct pen_curve_pair pair;
};

/* Begin to connect the control plane. Errors: PEN_EINVAL (no such address), PEN_EIO. */
int pen_link_create(const struct pen_link_options *options, struct pen_link **ret_link,
                    struct pen_error *err);
void pen_link_destroy(struct pen_link **self_p);

/* Connect the data plane to this port of the same host; nothing happens when it is so already. */
int pen_link_open_data(struct pen_link *self, uint16_t port, struct pen_error *err);

/* Give the control connection up and make it again, at once. */
int pen_link_reopen(struct pen_link *self, struct pen_error *err);

bool pen_link_is_up(const struct pen_link *self, enum pen_plane plane);

/* Sleep until something is there on a plane, on one of the descriptors (ret_ready tells which), or
 * until timeout_ms (-1: for ever). Errors: PEN_EIO. */
int pen_link_wait(struct pen_link *self, const int *fds, size_t count, int64_t timeout_ms,
                  bool *ret_ready, struct pen_error *err);

/* The next thing that happened; false when there is nothing now. */
bool pen_link_next(struct pen_link *self, struct pen_link_event *ret_event);

/* Send one frame. Errors: PEN_EUNAVAILABLE (the plane is down or full), PEN_EIO. */
int pen_link_send(struct pen_link *self, enum pen_plane plane, const void *bytes, size_t size,
                  struct pen_error *err);

#endif
