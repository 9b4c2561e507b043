#include "controller/dispatch/plane.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/keys/digest.h"
#include "common/log/log.h"
#include "common/wire/wire.h"
#include "controller/dispatch/zap.h"

enum {
    NAME_BYTES = 32,
    ENDPOINT_BYTES = 256,
    ROUTING_ID_SIZE = 5,   /* of those that the ROUTER makes: a zero, then 4 bytes */
    DENIED_GRACE_MS = 100, /* between a key's denial and the cut: the last answer still goes out */
    SWEEP_MS = 1000,
    BUSY_SWEEP_MS = 100, /* while somebody sends: a flood is to be seen before it is large */
    BACKLOG = 1024,
    RECEIVE_BUFFER_BYTES = 1024 * 1024,
};

struct pen_plane {
    char name[NAME_BYTES];
    char endpoint[ENDPOINT_BYTES];
    void *router;
    void *monitor;
    struct pen_socket messages, events; /* the same two, for waiting */
    struct pen_keyring *keys;
    bool tokens;
    uint64_t undelivered_bytes_max;
    size_t links_per_identity_max;
    struct pen_links links;
    zmq_msg_t body; /* of the message handed out last */
    int64_t last_sweep_ms;
    bool busy; /* much had come at the last sweep */
};

static int fail_zmq(const struct pen_plane *self, struct pen_error *err, const char *what)
{
    return pen_fail(err, PEN_EIO, "%s plane: %s: %s", self->name, what, zmq_strerror(zmq_errno()));
}

/* ---- set-up */

static int set_number(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value);
}

static int set_options(struct pen_plane *self, const struct pen_plane_options *options,
                       struct pen_error *err)
{
    void *router = self->router;
    const int64_t message_bytes_max = (int64_t)options->message_bytes_max;
    const uint64_t affinity = UINT64_C(1) << options->io_thread;
    const struct {
        int option;
        int value;
    } numbers[] = {
        {ZMQ_ROUTER_MANDATORY, 1}, /* a message to nobody is an error, not silence */
        {ZMQ_ROUTER_HANDOVER, 0},  /* or any peer could take another's routing id */
        {ZMQ_LINGER, 0},
        {ZMQ_RCVHWM, 0}, /* a connection must never stand still: plane.h says why */
        {ZMQ_SNDHWM, options->send_queue_max},
        {ZMQ_RCVBUF, RECEIVE_BUFFER_BYTES},
        {ZMQ_BACKLOG, BACKLOG},
        {ZMQ_IPV6, options->address[0] == '['},
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_TCP_KEEPALIVE_IDLE, 30},
        {ZMQ_TCP_KEEPALIVE_INTVL, 10},
        {ZMQ_TCP_KEEPALIVE_CNT, 3},
        {ZMQ_TCP_MAXRT, 60000},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (set_number(router, numbers[i].option, numbers[i].value) < 0)
            return fail_zmq(self, err, "cannot set a socket option");
    }
    if (zmq_setsockopt(router, ZMQ_MAXMSGSIZE, &message_bytes_max, sizeof message_bytes_max) < 0 ||
        zmq_setsockopt(router, ZMQ_AFFINITY, &affinity, sizeof affinity) < 0)
        return fail_zmq(self, err, "cannot set a socket option");
    return pen_zap_guard(router, options->server_keys, err);
}

static int open_monitor(struct pen_plane *self, void *zmq_context, struct pen_error *err)
{
    PEN_CLEANUP(pen_free)
    char *address = pen_strdup_printf("inproc://penstock.monitor.%s", self->name);
    if (address == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a monitor's address");
    self->monitor = zmq_socket(zmq_context, ZMQ_PAIR);
    if (self->monitor == NULL ||
        zmq_socket_monitor(self->router, address, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED) <
            0 ||
        zmq_connect(self->monitor, address) < 0)
        return fail_zmq(self, err, "cannot watch its connections");
    return 0;
}

int pen_plane_create(const struct pen_plane_options *options, struct pen_plane **ret_plane,
                     struct pen_error *err)
{
    PEN_CLEANUP(pen_plane_destroy) struct pen_plane *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the %s plane", options->name);
    CHECK(zmq_msg_init(&self->body) == 0);
    CHECK(pen_str_copy(self->name, sizeof self->name, options->name));
    self->keys = options->keys;
    self->tokens = options->tokens;
    self->undelivered_bytes_max = options->undelivered_bytes_max;
    self->links_per_identity_max = options->links_per_identity_max;
    self->router = zmq_socket(options->zmq_context, ZMQ_ROUTER);
    if (self->router == NULL)
        return fail_zmq(self, err, "no socket");
    int rc = set_options(self, options, err);
    if (rc < 0 || (rc = open_monitor(self, options->zmq_context, err)) < 0)
        return rc;
    PEN_CLEANUP(pen_free) char *address = pen_strdup_printf("tcp://%s", options->address);
    if (address == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for an address");
    if (zmq_bind(self->router, address) < 0)
        return pen_fail(err, PEN_EIO, "%s plane: cannot bind %s: %s", self->name, address,
                        zmq_strerror(zmq_errno()));
    size_t size = sizeof self->endpoint;
    if (zmq_getsockopt(self->router, ZMQ_LAST_ENDPOINT, self->endpoint, &size) < 0)
        return fail_zmq(self, err, "no endpoint");
    if ((rc = pen_socket_set(&self->messages, self->router, err)) < 0 ||
        (rc = pen_socket_set(&self->events, self->monitor, err)) < 0)
        return rc;
    *ret_plane = TAKE_PTR(self);
    return 0;
}

void pen_plane_destroy(struct pen_plane **self_p)
{
    struct pen_plane *self = TAKE_PTR(*self_p);
    if (self == NULL)
        return;
    CHECK(zmq_msg_close(&self->body) == 0);
    /* The monitor stops before its reader closes: the other way round, libzmq hangs. */
    if (self->router != NULL)
        (void)zmq_socket_monitor(self->router, NULL, 0);
    if (self->monitor != NULL)
        CHECK(zmq_close(self->monitor) == 0);
    if (self->router != NULL)
        CHECK(zmq_close(self->router) == 0);
    pen_links_release(&self->links);
    free(self);
}

const char *pen_plane_endpoint(const struct pen_plane *self)
{
    return self->endpoint;
}

void pen_plane_sockets(struct pen_plane *self, struct pen_socket *ret_sockets[PEN_PLANE_SOCKETS])
{
    ret_sockets[0] = &self->events;
    ret_sockets[1] = &self->messages;
}

/* When to sweep next: soon while somebody sends much. */
static int64_t sweep_due_ms(const struct pen_plane *self)
{
    bool busy = self->busy || self->links.unswept_bytes > PEN_LINKS_BUSY_BYTES;
    return self->last_sweep_ms + (busy ? BUSY_SWEEP_MS : SWEEP_MS);
}

long pen_plane_timeout_ms(const struct pen_plane *self)
{
    if (self->links.open_count == 0 && self->links.by_routing.count == 0)
        return -1;
    int64_t due_ms = sweep_due_ms(self);
    if (self->links.cut_due_ms != 0 && self->links.cut_due_ms < due_ms)
        due_ms = self->links.cut_due_ms;
    int64_t left_ms = due_ms - pen_clock_monotonic_ms();
    return left_ms < 0 ? 0 : (long)left_ms;
}

/* ---- events */

/* A receive has failed: only EAGAIN says that all has been looked at. */
static void receive_failed(struct pen_socket *socket)
{
    if (zmq_errno() == EAGAIN)
        pen_socket_empty(socket);
    else
        pen_socket_used(socket);
}

/* An event is two frames: its number (16 bits) and value (32 bits), then the address. */
static bool next_event(struct pen_plane *self, uint16_t *ret_event, int32_t *ret_value)
{
    zmq_msg_t frame;
    CHECK(zmq_msg_init(&frame) == 0);
    bool found = false;
    int size = zmq_msg_recv(&frame, self->monitor, ZMQ_DONTWAIT);
    if (size < 0)
        receive_failed(&self->events);
    else
        pen_socket_used(&self->events);
    if (size >= (int)(sizeof *ret_event + sizeof *ret_value)) {
        const uint8_t *bytes = zmq_msg_data(&frame);
        memcpy(ret_event, bytes, sizeof *ret_event);
        memcpy(ret_value, bytes + sizeof *ret_event, sizeof *ret_value);
        found = true;
    }
    while (size >= 0 && zmq_msg_more(&frame))
        size = zmq_msg_recv(&frame, self->monitor, ZMQ_DONTWAIT);
    CHECK(zmq_msg_close(&frame) == 0);
    return found;
}

int pen_plane_watch(struct pen_plane *self, struct pen_error *err)
{
    const int64_t now_ms = pen_clock_monotonic_ms();
    uint16_t event;
    int32_t value;
    /* Messages wait: what happened before them is to be known first. */
    bool look = self->events.readable || self->messages.readable;
    while (look && next_event(self, &event, &value)) {
        self->messages.readable = true; /* a peer that is gone has perhaps left some */
        if (event == ZMQ_EVENT_ACCEPTED) {
            int rc = pen_links_accepted(&self->links, value, now_ms, err);
            if (rc < 0)
                return rc;
        } else if (event == ZMQ_EVENT_DISCONNECTED) {
            pen_links_disconnected(&self->links, value, now_ms);
        }
    }
    pen_links_cut_condemned(&self->links, now_ms);
    if (now_ms < sweep_due_ms(self))
        return 0;
    size_t cut = pen_links_sweep(&self->links, self->undelivered_bytes_max, now_ms, &self->busy);
    if (cut > 0)
        pen_log(PEN_LOG_WARNING, "connections cut", "plane=%s count=%zu reason=\"%s\"", self->name,
                cut, "more bytes are under way than a peer may send");
    self->last_sweep_ms = now_ms;
    return 0;
}

/* ---- messages in */

static void cut_stranger(struct pen_plane *self, int fd, const char *reason)
{
    pen_links_cut_descriptor(&self->links, fd);
    pen_log(PEN_LOG_WARNING, "connection cut", "plane=%s reason=\"%s\"", self->name, reason);
}

void pen_plane_cut(struct pen_plane *self, struct pen_link *link, const char *reason)
{
    pen_log(PEN_LOG_WARNING, "connection cut", "plane=%s %s=%s link=%" PRIu64 " reason=\"%s\"",
            self->name, link->who.token ? "token" : "agent", link->who.id, link->number, reason);
    pen_links_cut(&self->links, link, pen_clock_monotonic_ms());
}

static void cut_key(struct pen_plane *self, const char *key_text)
{
    pen_links_condemn_key(&self->links, key_text, pen_clock_monotonic_ms() + DENIED_GRACE_MS);
}

void pen_plane_allow(struct pen_plane *self, const Pen__KeyAllow *effect)
{
    struct pen_error err;
    char key_text[PEN_KEY_TEXT];
    CHECK(effect->has_public_key && effect->public_key.len == PEN_CURVE_KEY_SIZE);
    pen_hex_encode(effect->public_key.data, PEN_CURVE_KEY_SIZE, key_text);
    const struct pen_identity *who = pen_keyring_find(self->keys, key_text);
    bool token = effect->has_token && effect->token;
    bool other = who != NULL && (who->token != token || !pen_str_equal(who->id, effect->id));
    if (pen_keyring_allow(self->keys, effect->public_key.data, effect->id, token, &err) < 0)
        pen_log(PEN_LOG_ERROR, "a key cannot be allowed", "plane=%s reason=\"%s\"", self->name,
                err.message);
    else if (other)
        cut_key(self, key_text);
}

void pen_plane_deny(struct pen_plane *self, const Pen__KeyDeny *effect)
{
    char key_text[PEN_KEY_TEXT];
    CHECK(effect->has_public_key && effect->public_key.len == PEN_CURVE_KEY_SIZE);
    pen_hex_encode(effect->public_key.data, PEN_CURVE_KEY_SIZE, key_text);
    (void)pen_keyring_deny(self->keys, effect->public_key.data);
    cut_key(self, key_text);
}

/* Whether user_id ("a:ID" or "t:ID") is who the key ring says. */
static bool same_identity(const struct pen_identity *who, const char *user_id)
{
    return user_id[0] == (who->token ? 't' : 'a') && user_id[1] == ':' &&
           strcmp(user_id + 2, who->id) == 0;
}

/* Who sent this frame, by its connection's properties and today's key ring; NULL: nobody who may.
 */
static const struct pen_identity *sender_of(const struct pen_plane *self, zmq_msg_t *frame)
{
    const char *user_id = zmq_msg_gets(frame, "User-Id");
    const char *key_text = zmq_msg_gets(frame, "X-Key");
    if (user_id == NULL || key_text == NULL)
        return NULL;
    const struct pen_identity *who = pen_keyring_find(self->keys, key_text);
    if (who == NULL || !same_identity(who, user_id) || (who->token && !self->tokens))
        return NULL;
    return who;
}

/* The link may still speak: it carries the same key as ever, and that is on the ring. */
static bool still_allowed(const struct pen_plane *self, struct pen_link *link, zmq_msg_t *frame)
{
    const char *user_id = zmq_msg_gets(frame, "User-Id");
    const char *key_text = zmq_msg_gets(frame, "X-Key");
    if (user_id == NULL || key_text == NULL || strcmp(key_text, link->who.key_text) != 0 ||
        !same_identity(&link->who, user_id))
        return false;
    uint64_t generation = pen_keyring_generation(self->keys);
    if (link->checked_generation == generation)
        return true;
    if (sender_of(self, frame) == NULL)
        return false;
    link->checked_generation = generation;
    return true;
}

static struct pen_link *new_link(struct pen_plane *self, uint32_t routing, int fd, zmq_msg_t *frame)
{
    const struct pen_identity *who = sender_of(self, frame);
    if (who == NULL) {
        cut_stranger(self, fd, "its key is not, or no longer, allowed");
        return NULL;
    }
    struct pen_error err;
    struct pen_link *link = NULL;
    if (pen_links_open(&self->links, routing, fd, who, self->links_per_identity_max,
                       pen_clock_monotonic_ms(), &link, &err) < 0) {
        cut_stranger(self, fd, err.message);
        return NULL;
    }
    link->checked_generation = pen_keyring_generation(self->keys);
    pen_log(PEN_LOG_DEBUG, "connected", "plane=%s %s=%s link=%" PRIu64, self->name,
            who->token ? "token" : "agent", who->id, link->number);
    return link;
}

/* The sender's link, made at its first message. NULL: the message is to be dropped. */
static struct pen_link *judge(struct pen_plane *self, zmq_msg_t *routing_id, bool one_frame)
{
    zmq_msg_t *frame = &self->body;
    const int fd = zmq_msg_get(frame, ZMQ_SRCFD);
    pen_links_delivered(&self->links, fd, zmq_msg_size(frame));
    const uint8_t *id = zmq_msg_data(routing_id);
    if (zmq_msg_size(routing_id) != ROUTING_ID_SIZE || id[0] != 0) {
        cut_stranger(self, fd, "it has chosen a routing id of its own");
        return NULL;
    }
    const uint32_t routing =
        (uint32_t)id[1] << 24 | (uint32_t)id[2] << 16 | (uint32_t)id[3] << 8 | (uint32_t)id[4];
    struct pen_link *link = pen_links_by_routing(&self->links, routing);
    if (link == NULL && (link = new_link(self, routing, fd, frame)) == NULL)
        return NULL;
    if (link->state != PEN_LINK_LIVE && link->state != PEN_LINK_CLOSING) {
        pen_links_cut_descriptor(&self->links, fd); /* or it would speak to the wall for ever */
        return NULL;
    }
    if (!still_allowed(self, link, frame)) {
        pen_plane_cut(self, link, "its key is no longer allowed");
        return NULL;
    }
    if (!one_frame) {
        pen_plane_cut(self, link, "a message is not exactly one frame");
        return NULL;
    }
    return link;
}

/* Read one whole message; the first frame after the routing id stays in self->body. */
static bool read_message(struct pen_plane *self, zmq_msg_t *routing_id, bool *ret_one_frame)
{
    if (!self->messages.readable)
        return false;
    if (zmq_msg_recv(routing_id, self->router, ZMQ_DONTWAIT) < 0) {
        receive_failed(&self->messages);
        return false;
    }
    pen_socket_used(&self->messages);
    CHECK(zmq_msg_close(&self->body) == 0);
    CHECK(zmq_msg_init(&self->body) == 0);
    size_t frames = 0;
    bool more = zmq_msg_more(routing_id) != 0;
    while (more) {
        zmq_msg_t frame;
        CHECK(zmq_msg_init(&frame) == 0);
        if (zmq_msg_recv(&frame, self->router, ZMQ_DONTWAIT) < 0) {
            CHECK(zmq_msg_close(&frame) == 0);
            break;
        }
        more = zmq_msg_more(&frame) != 0;
        if (frames == 0)
            CHECK(zmq_msg_move(&self->body, &frame) == 0);
        else
            pen_links_delivered(&self->links, zmq_msg_get(&frame, ZMQ_SRCFD), zmq_msg_size(&frame));
        frames++;
        CHECK(zmq_msg_close(&frame) == 0);
    }
    *ret_one_frame = frames == 1;
    return true;
}

bool pen_plane_receive(struct pen_plane *self, struct pen_plane_message *ret_message)
{
    for (;;) {
        zmq_msg_t routing_id;
        CHECK(zmq_msg_init(&routing_id) == 0);
        bool one_frame = false;
        bool some = read_message(self, &routing_id, &one_frame);
        struct pen_link *link = some ? judge(self, &routing_id, one_frame) : NULL;
        CHECK(zmq_msg_close(&routing_id) == 0);
        if (!some) {
            pen_links_settle(&self->links, pen_clock_monotonic_ms());
            return false;
        }
        if (link != NULL) {
            *ret_message = (struct pen_plane_message){.link = link,
                                                      .bytes = zmq_msg_data(&self->body),
                                                      .size = zmq_msg_size(&self->body)};
            return true;
        }
    }
}

/* ---- messages out */

bool pen_plane_send(struct pen_plane *self, const struct pen_link *link, const void *bytes,
                    size_t size)
{
    if (link->state != PEN_LINK_LIVE && link->state != PEN_LINK_CLOSING)
        return false;
    const uint8_t routing_id[ROUTING_ID_SIZE] = {
        0, (uint8_t)(link->routing >> 24), (uint8_t)(link->routing >> 16),
        (uint8_t)(link->routing >> 8), (uint8_t)link->routing};
    pen_socket_used(&self->messages);
    if (zmq_send(self->router, routing_id, sizeof routing_id, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return false;
    return zmq_send(self->router, bytes, size, ZMQ_DONTWAIT) >= 0;
}

bool pen_plane_send_message(struct pen_plane *self, const struct pen_link *link,
                            const void *message, struct pen_buf *scratch)
{
    pen_buf_clear(scratch);
    return pen_wire_pack(message, scratch, NULL) == 0 &&
           pen_plane_send(self, link, scratch->data, scratch->size);
}

struct pen_link *pen_plane_link(const struct pen_plane *self, uint64_t number, const char *id)
{
    if (number != 0) {
        struct pen_link *link = pen_links_by_number(&self->links, number);
        return link != NULL && pen_str_equal(link->who.id, id) ? link : NULL;
    }
    if (id == NULL)
        return NULL;
    struct pen_link *agent = pen_links_newest(&self->links, id, false);
    return agent != NULL ? agent : pen_links_newest(&self->links, id, true);
}

struct pen_link *pen_plane_by_number(const struct pen_plane *self, uint64_t number)
{
    return pen_links_by_number(&self->links, number);
}

struct pen_link *pen_plane_next_gone(struct pen_plane *self)
{
    return pen_links_next_gone(&self->links);
}

void pen_plane_told(struct pen_plane *self, struct pen_link *link)
{
    pen_log(PEN_LOG_DEBUG, "disconnected", "plane=%s %s=%s link=%" PRIu64, self->name,
            link->who.token ? "token" : "agent", link->who.id, link->number);
    pen_links_told(&self->links, link);
}
