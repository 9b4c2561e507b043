#include "agent/link/link.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "agent/link/resolve.h"
#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/io/random.h"
#include "common/sockets/sockets.h"

enum {
    RECONNECT_FIRST_MS = 100,
    RECONNECT_LAST_MS = 32 * 1000,
    DENIED_FIRST_MS = 1000,
    HANDSHAKE_MS = 4000,
    CONNECT_MS = 5000,
    KEEPALIVE_S = 5, /* of silence before the kernel asks, and between its questions */
    KEEPALIVES = 3,
    UNACKNOWLEDGED_MS = 30 * 1000, /* what the other host's kernel does not take in this time */
    QUEUE_MAX = 1000,
    LAST_WORD_MS = 100,
};

struct plane {
    void *socket;
    void *monitor;
    struct pen_socket frames, events; /* the same two, for waiting */
    uint16_t port;                    /* 0: not wanted */
    int frame_max;
    bool up;
    size_t at;            /* the address that is tried, or is connected to */
    int64_t reopen_at_ms; /* INT64_MAX: no need */
    int64_t backoff_ms;
    unsigned failures; /* in a row */
    bool unresolved;   /* the host's name has no address: to be told */
};

struct pen_link {
    void *context;
    char *host;
    struct pen_addresses addresses; /* of the host; none: they are being asked for */
    struct pen_resolve *resolve;    /* NULL: nothing is asked */
    struct pen_error unresolved;    /* why there are none; code 0: not known */
    uint8_t server_public_key[PEN_CURVE_KEY_SIZE];
    struct pen_curve_pair pair;
    struct plane planes[2];
    unsigned monitors; /* made so far: each needs a name of its own */
    zmq_msg_t frame;
};

static int fail_zmq(struct pen_error *err, const char *what)
{
    return pen_fail(err, PEN_EIO, "%s: %s", what, zmq_strerror(zmq_errno()));
}

static int set_number(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value);
}

static int set_options(const struct pen_link *self, const struct plane *plane,
                       struct pen_error *err)
{
    static const struct {
        int option;
        int value;
    } options[] = {
        {ZMQ_LINGER, 0},
        {ZMQ_IMMEDIATE, 1},
        {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
        {ZMQ_CONNECT_TIMEOUT, CONNECT_MS},
        {ZMQ_RECONNECT_IVL, RECONNECT_FIRST_MS},
        {ZMQ_RECONNECT_IVL_MAX, RECONNECT_LAST_MS},
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_S},
        {ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_S},
        {ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVES},
        {ZMQ_TCP_MAXRT, UNACKNOWLEDGED_MS},
        {ZMQ_SNDHWM, QUEUE_MAX},
        {ZMQ_RCVHWM, QUEUE_MAX},
        {ZMQ_IPV6, 1},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (set_number(plane->socket, options[i].option, options[i].value) < 0)
            return fail_zmq(err, "cannot set up the connection");
    int64_t frame_max = plane->frame_max;
    if (zmq_setsockopt(plane->socket, ZMQ_MAXMSGSIZE, &frame_max, sizeof frame_max) < 0 ||
        zmq_setsockopt(plane->socket, ZMQ_CURVE_SERVERKEY, self->server_public_key,
                       PEN_CURVE_KEY_SIZE) < 0 ||
        zmq_setsockopt(plane->socket, ZMQ_CURVE_PUBLICKEY, self->pair.public_key,
                       PEN_CURVE_KEY_SIZE) < 0 ||
        zmq_setsockopt(plane->socket, ZMQ_CURVE_SECRETKEY, self->pair.secret_key,
                       PEN_CURVE_KEY_SIZE) < 0)
        return fail_zmq(err, "cannot set the keys of the connection");
    return 0;
}

static int open_monitor(struct pen_link *self, struct plane *plane, struct pen_error *err)
{
    char name[64];
    (void)snprintf(name, sizeof name, "inproc://monitor-%u", self->monitors++);
    int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                 ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_DISCONNECTED |
                 ZMQ_EVENT_CONNECT_RETRIED;
    if (zmq_socket_monitor(plane->socket, name, events) < 0)
        return fail_zmq(err, "cannot watch the connection");
    plane->monitor = zmq_socket(self->context, ZMQ_PAIR);
    if (plane->monitor == NULL || set_number(plane->monitor, ZMQ_LINGER, 0) < 0 ||
        set_number(plane->monitor, ZMQ_RCVHWM, 0) < 0 || zmq_connect(plane->monitor, name) < 0)
        return fail_zmq(err, "cannot watch the connection");
    return 0;
}

/* The monitor has to be stopped before its reader is closed: libzmq's I/O thread would wait for the
 * reader for ever. */
static void close_plane(struct plane *plane)
{
    if (plane->socket != NULL)
        (void)zmq_socket_monitor(plane->socket, NULL, 0);
    if (plane->monitor != NULL)
        (void)zmq_close(plane->monitor);
    if (plane->socket != NULL)
        (void)zmq_close(plane->socket);
    plane->socket = plane->monitor = NULL;
    plane->frames = plane->events = (struct pen_socket){0};
    plane->up = false;
}

static int open_plane(struct pen_link *self, struct plane *plane, struct pen_error *err)
{
    close_plane(plane);
    plane->reopen_at_ms = INT64_MAX;
    if (self->addresses.count == 0) /* take_addresses opens it */
        return self->resolve != NULL ? 0 : pen_resolve_start(self->host, &self->resolve, err);
    plane->at %= self->addresses.count;
    plane->socket = zmq_socket(self->context, ZMQ_DEALER);
    if (plane->socket == NULL)
        return fail_zmq(err, "no socket");
    int rc = set_options(self, plane, err);
    if (rc == 0)
        rc = open_monitor(self, plane, err);
    if (rc < 0)
        return rc;
    const char *address = self->addresses.text[plane->at];
    PEN_CLEANUP(pen_free)
    char *endpoint =
        pen_strdup_printf(strchr(address, ':') != NULL ? "tcp://[%s]:%u" : "tcp://%s:%u", address,
                          (unsigned)plane->port);
    if (endpoint == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to connect");
    if (zmq_connect(plane->socket, endpoint) < 0)
        return pen_fail(err, PEN_EINVAL, "cannot connect to '%s': %s", endpoint,
                        zmq_strerror(zmq_errno()));
    rc = pen_socket_set(&plane->frames, plane->socket, err);
    return rc < 0 ? rc : pen_socket_set(&plane->events, plane->monitor, err);
}

int pen_link_create(const struct pen_link_options *options, struct pen_link **ret_link,
                    struct pen_error *err)
{
    PEN_CLEANUP(pen_link_destroy) struct pen_link *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the link");
    (void)zmq_msg_init(&self->frame);
    for (size_t i = 0; i < 2; i++) {
        self->planes[i].reopen_at_ms = INT64_MAX;
        self->planes[i].backoff_ms = RECONNECT_FIRST_MS;
    }
    self->planes[PEN_PLANE_CONTROL].frame_max = PEN_LINK_CONTROL_FRAME_MAX;
    self->planes[PEN_PLANE_DATA].frame_max = PEN_LINK_DATA_FRAME_MAX;
    self->planes[PEN_PLANE_CONTROL].port = options->port;
    memcpy(self->server_public_key, options->server_public_key, PEN_CURVE_KEY_SIZE);
    self->pair = options->pair;
    size_t bracket = options->host[0] == '[' ? 1 : 0; /* "[::1]" */
    self->host = strndup(options->host + bracket, strcspn(options->host + bracket, "]"));
    self->context = zmq_ctx_new();
    if (self->host == NULL || self->context == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the link");
    int rc = open_plane(self, &self->planes[PEN_PLANE_CONTROL], err);
    if (rc < 0)
        return rc;
    *ret_link = TAKE_PTR(self);
    return 0;
}

void pen_link_destroy(struct pen_link **self_p)
{
    struct pen_link *self = *self_p;
    if (self == NULL)
        return;
    (void)zmq_msg_close(&self->frame);
    if (self->planes[PEN_PLANE_CONTROL].socket != NULL) /* a last word, if it goes out at once */
        (void)set_number(self->planes[PEN_PLANE_CONTROL].socket, ZMQ_LINGER, LAST_WORD_MS);
    close_plane(&self->planes[0]);
    close_plane(&self->planes[1]);
    if (self->context != NULL)
        (void)zmq_ctx_term(self->context);
    pen_resolve_destroy(&self->resolve);
    free(self->host);
    explicit_bzero(&self->pair, sizeof self->pair);
    free(self);
    *self_p = NULL;
}

int pen_link_open_data(struct pen_link *self, uint16_t port, struct pen_error *err)
{
    struct plane *plane = &self->planes[PEN_PLANE_DATA];
    if (port == 0)
        return pen_fail(err, PEN_EINVAL, "the controller names no data port");
    if (plane->port == port && (plane->socket != NULL || plane->reopen_at_ms != INT64_MAX))
        return 0;
    plane->port = port;
    plane->at = self->planes[PEN_PLANE_CONTROL].at; /* where the controller answers */
    return open_plane(self, plane, err);
}

int pen_link_reopen(struct pen_link *self, struct pen_error *err)
{
    return open_plane(self, &self->planes[PEN_PLANE_CONTROL], err);
}

bool pen_link_is_up(const struct pen_link *self, enum pen_plane plane)
{
    return self->planes[plane].up;
}

/* ---- waiting */

/* The host's addresses have come, or not; the planes that waited for them are opened. */
static void take_addresses(struct pen_link *self)
{
    struct pen_resolve *resolve = TAKE_PTR(self->resolve);
    int rc = pen_resolve_take(resolve, &self->addresses, &self->unresolved);
    pen_resolve_destroy(&resolve);
    for (size_t i = 0; i < 2; i++) {
        struct plane *plane = &self->planes[i];
        if (plane->port == 0 || plane->socket != NULL || plane->reopen_at_ms != INT64_MAX)
            continue;
        plane->unresolved = rc < 0;
        plane->reopen_at_ms = 0;
    }
}

static int64_t until_reopen(const struct pen_link *self, int64_t timeout_ms)
{
    int64_t now = pen_clock_monotonic_ms();
    for (size_t i = 0; i < 2; i++) {
        int64_t at = self->planes[i].reopen_at_ms;
        if (at == INT64_MAX)
            continue;
        int64_t left = at > now ? at - now : 0;
        if (timeout_ms < 0 || left < timeout_ms)
            timeout_ms = left;
    }
    return timeout_ms;
}

int pen_link_wait(struct pen_link *self, const int *fds, size_t count, int64_t timeout_ms,
                  bool *ret_ready, struct pen_error *err)
{
    CHECK(count <= PEN_LINK_WAIT_FDS_MAX);
    struct pen_socket *sockets[] = {&self->planes[0].events, &self->planes[0].frames,
                                    &self->planes[1].events, &self->planes[1].frames};
    struct pollfd items[PEN_LINK_WAIT_FDS_MAX + 1];
    for (size_t i = 0; i < count; i++)
        items[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    items[count] = (struct pollfd){.fd = self->resolve == NULL ? -1 : pen_resolve_fd(self->resolve),
                                   .events = POLLIN};
    int rc = pen_sockets_wait(sockets, sizeof sockets / sizeof sockets[0], items, count + 1,
                              (long)until_reopen(self, timeout_ms), err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        ret_ready[i] = (items[i].revents & POLLIN) != 0;
    if (rc == 0 && (items[count].revents & (POLLIN | POLLHUP)) != 0)
        take_addresses(self);
    return rc;
}

/* ---- what happened */

/* A time between half of it and all of it, so that many agents do not come back at once. */
static int64_t jitter(int64_t time_ms)
{
    uint32_t random = 0;
    (void)pen_random_bytes(&random, sizeof random, NULL);
    return time_ms / 2 + (int64_t)(random % (uint32_t)(time_ms / 2 + 1));
}

static void give_up(struct plane *plane)
{
    close_plane(plane);
    plane->reopen_at_ms = pen_clock_monotonic_ms() + jitter(plane->backoff_ms);
    plane->backoff_ms =
        2 * plane->backoff_ms < RECONNECT_LAST_MS ? 2 * plane->backoff_ms : RECONNECT_LAST_MS;
}

/* No connection was made to this address: on to the next one. After the last one, some time passes,
 * and the name is asked for again. */
static void try_next(struct pen_link *self, struct plane *plane)
{
    plane->failures++;
    if (plane->at + 1 < self->addresses.count) {
        close_plane(plane);
        plane->at++;
        plane->reopen_at_ms = 0;
        return;
    }
    give_up(plane);
    plane->at = 0;
    bool other_up = self->planes[PEN_PLANE_CONTROL].up || self->planes[PEN_PLANE_DATA].up;
    if (!other_up)
        self->addresses.count = 0;
}

/* libzmq says that a connection has ended, or could not be made. */
static void ended(struct pen_link *self, struct plane *plane)
{
    if (plane->up)
        plane->up = false; /* libzmq connects to the same address again */
    else
        try_next(self, plane);
}

/* Nothing there: but only EAGAIN says that all has been looked at. */
static void receive_failed(struct pen_socket *socket)
{
    if (zmq_errno() == EAGAIN)
        pen_socket_empty(socket);
    else
        pen_socket_used(socket);
}

/* One event of the monitor: a frame with number and value, and one with the address. */
static bool monitor_next(struct pen_link *self, struct plane *plane,
                         struct pen_link_event *ret_event)
{
    uint8_t head[8];
    uint8_t address[256];
    if (!plane->events.readable)
        return false;
    if (zmq_recv(plane->monitor, head, sizeof head, ZMQ_DONTWAIT) < 0) {
        receive_failed(&plane->events);
        return false;
    }
    pen_socket_used(&plane->events);
    (void)zmq_recv(plane->monitor, address, sizeof address, ZMQ_DONTWAIT);
    uint16_t number = 0;
    memcpy(&number, head, sizeof number);
    switch (number) {
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        plane->up = true;
        plane->failures = 0;
        plane->backoff_ms = RECONNECT_FIRST_MS;
        ret_event->kind = PEN_LINK_UP;
        return true;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        if (plane->backoff_ms < DENIED_FIRST_MS)
            plane->backoff_ms = DENIED_FIRST_MS;
        give_up(plane);
        ret_event->kind = PEN_LINK_DENIED;
        return true;
    default: /* disconnected, or not connected */
        ret_event->kind = plane->up ? PEN_LINK_DOWN : PEN_LINK_UNREACHABLE;
        ret_event->address = self->addresses.text[plane->at];
        ended(self, plane);
        ret_event->failures = plane->failures;
        return true;
    }
}

static bool frame_next(struct pen_link *self, struct plane *plane, struct pen_link_event *ret_event)
{
    while (plane->frames.readable) {
        (void)zmq_msg_close(&self->frame);
        (void)zmq_msg_init(&self->frame);
        if (zmq_msg_recv(&self->frame, plane->socket, ZMQ_DONTWAIT) < 0) {
            receive_failed(&plane->frames);
            return false;
        }
        pen_socket_used(&plane->frames);
        bool single = zmq_msg_more(&self->frame) == 0;
        while (zmq_msg_more(&self->frame)) {
            (void)zmq_msg_close(&self->frame);
            (void)zmq_msg_init(&self->frame);
            if (zmq_msg_recv(&self->frame, plane->socket, ZMQ_DONTWAIT) < 0)
                return false;
        }
        if (!single)
            continue; /* never of several parts: not ours */
        ret_event->kind = PEN_LINK_FRAME;
        ret_event->bytes = zmq_msg_data(&self->frame);
        ret_event->size = zmq_msg_size(&self->frame);
        return true;
    }
    return false;
}

static void unresolved(struct pen_link *self, struct plane *plane, struct pen_link_event *ret_event)
{
    plane->unresolved = false;
    plane->failures++;
    give_up(plane);
    ret_event->kind = PEN_LINK_UNREACHABLE;
    ret_event->address = self->host;
    ret_event->reason = self->unresolved.message;
    ret_event->failures = plane->failures;
}

bool pen_link_next(struct pen_link *self, struct pen_link_event *ret_event)
{
    struct pen_link_event event = {0};
    for (int i = PEN_PLANE_CONTROL; i <= PEN_PLANE_DATA; i++) {
        struct plane *plane = &self->planes[i];
        event.plane = (enum pen_plane)i;
        if (plane->unresolved) {
            unresolved(self, plane, &event);
            *ret_event = event;
            return true;
        }
        if (plane->socket == NULL && pen_clock_monotonic_ms() >= plane->reopen_at_ms &&
            open_plane(self, plane, NULL) < 0)
            give_up(plane);
        /* The monitor first: one that nobody reads stops the whole context. */
        if (monitor_next(self, plane, &event) || frame_next(self, plane, &event)) {
            *ret_event = event;
            return true;
        }
    }
    return false;
}

int pen_link_send(struct pen_link *self, enum pen_plane plane, const void *bytes, size_t size,
                  struct pen_error *err)
{
    void *socket = self->planes[plane].socket;
    if (socket == NULL || !self->planes[plane].up)
        return pen_fail(err, PEN_EUNAVAILABLE, "not connected");
    int sent = zmq_send(socket, bytes, size, ZMQ_DONTWAIT);
    pen_socket_used(&self->planes[plane].frames);
    if (sent >= 0)
        return 0;
    if (zmq_errno() == EAGAIN || zmq_errno() == EINTR)
        return pen_fail(err, PEN_EUNAVAILABLE, "the connection takes nothing now");
    return fail_zmq(err, "cannot send");
}
