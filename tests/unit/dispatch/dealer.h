/* tests/unit/dispatch/dealer.h - an agent's end of a connection, and an inbox as the core */
#ifndef PEN_TESTS_UNIT_DISPATCH_DEALER_H
#define PEN_TESTS_UNIT_DISPATCH_DEALER_H

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zmq.h>

#include "common/base/buf.h"
#include "common/io/clock.h"
#include "common/io/inbox.h"
#include "common/keys/curve.h"
#include "common/wire/wire.h"
#include "controller/post/post.h"
#include "core.pb-c.h"

enum { PATIENCE_MS = 10000 }; /* longer than anything takes that works */

struct dealer {
    void *context; /* one of its own: nothing is shared with the controller but the network */
    void *socket;
    void *monitor;
};

/* heartbeat_ms: of ZMTP's own heartbeats, 0: none. */
static inline void dealer_open_with(struct dealer *self, const char *endpoint,
                                    const uint8_t *server_public_key,
                                    const struct pen_curve_pair *keys, const char *routing_id,
                                    int heartbeat_ms)
{
    const int zero = 0, patience_ms = PATIENCE_MS;
    const int receive_buffer_bytes = 65536; /* so that not reading is soon felt */
    self->context = zmq_ctx_new();
    self->socket = zmq_socket(self->context, ZMQ_DEALER);
    self->monitor = zmq_socket(self->context, ZMQ_PAIR);
    assert_return_code(zmq_setsockopt(self->socket, ZMQ_LINGER, &zero, sizeof zero), 0);
    assert_return_code(zmq_setsockopt(self->socket, ZMQ_RCVBUF, &receive_buffer_bytes,
                                      sizeof receive_buffer_bytes),
                       0);
    assert_return_code(
        zmq_setsockopt(self->socket, ZMQ_CURVE_SERVERKEY, server_public_key, PEN_CURVE_KEY_SIZE),
        0);
    assert_return_code(
        zmq_setsockopt(self->socket, ZMQ_CURVE_PUBLICKEY, keys->public_key, PEN_CURVE_KEY_SIZE), 0);
    assert_return_code(
        zmq_setsockopt(self->socket, ZMQ_CURVE_SECRETKEY, keys->secret_key, PEN_CURVE_KEY_SIZE), 0);
    assert_return_code(
        zmq_setsockopt(self->socket, ZMQ_HEARTBEAT_IVL, &heartbeat_ms, sizeof heartbeat_ms), 0);
    assert_return_code(
        zmq_setsockopt(self->socket, ZMQ_HEARTBEAT_TIMEOUT, &patience_ms, sizeof patience_ms), 0);
    if (routing_id != NULL)
        assert_return_code(
            zmq_setsockopt(self->socket, ZMQ_ROUTING_ID, routing_id, strlen(routing_id)), 0);
    assert_return_code(zmq_socket_monitor(self->socket, "inproc://monitor",
                                          ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
                                              ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                                              ZMQ_EVENT_DISCONNECTED),
                       0);
    assert_return_code(zmq_connect(self->monitor, "inproc://monitor"), 0);
    assert_return_code(zmq_connect(self->socket, endpoint), 0);
}

static inline void dealer_open(struct dealer *self, const char *endpoint,
                               const uint8_t *server_public_key, const struct pen_curve_pair *keys,
                               const char *routing_id)
{
    dealer_open_with(self, endpoint, server_public_key, keys, routing_id, 0);
}

static inline void dealer_close(struct dealer *self)
{
    (void)zmq_socket_monitor(self->socket, NULL, 0);
    assert_return_code(zmq_close(self->monitor), 0);
    assert_return_code(zmq_close(self->socket), 0);
    assert_return_code(zmq_ctx_term(self->context), 0);
}

/* The next event of the connection; 0 when none came within the time. */
static inline int dealer_event(struct dealer *self, long wait_ms)
{
    zmq_pollitem_t item = {.socket = self->monitor, .events = ZMQ_POLLIN};
    if (zmq_poll(&item, 1, wait_ms) <= 0)
        return 0;
    uint8_t frame[512];
    uint16_t event = 0;
    assert_true(zmq_recv(self->monitor, frame, sizeof frame, 0) >= 6);
    memcpy(&event, frame, sizeof event);
    assert_true(zmq_recv(self->monitor, frame, sizeof frame, 0) >= 0);
    return event;
}

static inline void dealer_send(struct dealer *self, const void *message)
{
    struct pen_buf bytes = {0};
    assert_int_equal(pen_wire_pack(message, &bytes, NULL), 0);
    assert_return_code(
        zmq_send(self->socket, bytes.data == NULL ? "" : (const void *)bytes.data, bytes.size, 0),
        0);
    pen_buf_release(&bytes);
}

/* The next message; NULL when none came within the time. */
static inline void *dealer_take(struct dealer *self, const ProtobufCMessageDescriptor *type,
                                long wait_ms)
{
    zmq_pollitem_t item = {.socket = self->socket, .events = ZMQ_POLLIN};
    if (zmq_poll(&item, 1, wait_ms) <= 0)
        return NULL;
    zmq_msg_t frame;
    assert_return_code(zmq_msg_init(&frame), 0);
    assert_true(zmq_msg_recv(&frame, self->socket, 0) >= 0);
    ProtobufCMessage *message = NULL;
    assert_int_equal(pen_wire_unpack(type, zmq_msg_data(&frame), zmq_msg_size(&frame),
                                     &pen_wire_stored, &message, NULL),
                     0);
    assert_return_code(zmq_msg_close(&frame), 0);
    return message;
}

static inline void destroy_message(void *body)
{
    pen_message_destroy(&body);
}

/* The next input that was posted to the core; NULL when none came within the time. */
static inline Pen__Input *core_take(struct pen_inbox *core, int wait_ms)
{
    struct pollfd item = {.fd = pen_inbox_fd(core), .events = POLLIN};
    struct pen_post post;
    if (poll(&item, 1, wait_ms) <= 0 || pen_inbox_take(core, &post, 1) == 0)
        return NULL;
    assert_int_equal(post.kind, PEN_POST_INPUT);
    return post.body;
}

static inline void core_post(struct pen_inbox *inbox, const Pen__Effect *effect)
{
    ProtobufCMessage *copy = NULL;
    assert_int_equal(pen_wire_copy(effect, &copy, NULL), 0);
    const struct pen_post post = {
        .kind = PEN_POST_EFFECT, .body = copy, .destroy = destroy_message};
    assert_int_equal(pen_inbox_post(inbox, &post, NULL), 0);
}

static inline void core_allow(struct pen_inbox *inbox, const struct pen_curve_pair *keys,
                              const char *id, bool token)
{
    struct pen_curve_pair copy = *keys;
    char id_copy[64];
    strncpy(id_copy, id, sizeof id_copy - 1);
    id_copy[sizeof id_copy - 1] = '\0';
    Pen__KeyAllow allow = PEN__KEY_ALLOW__INIT;
    allow.has_public_key = true;
    allow.public_key.data = copy.public_key;
    allow.public_key.len = PEN_CURVE_KEY_SIZE;
    allow.id = id_copy;
    allow.has_token = token;
    allow.token = token;
    Pen__Effect effect = PEN__EFFECT__INIT;
    effect.what_case = PEN__EFFECT__WHAT_KEY_ALLOW;
    effect.key_allow = &allow;
    core_post(inbox, &effect);
}

static inline void core_deny(struct pen_inbox *inbox, const struct pen_curve_pair *keys)
{
    struct pen_curve_pair copy = *keys;
    Pen__KeyDeny deny = PEN__KEY_DENY__INIT;
    deny.has_public_key = true;
    deny.public_key.data = copy.public_key;
    deny.public_key.len = PEN_CURVE_KEY_SIZE;
    Pen__Effect effect = PEN__EFFECT__INIT;
    effect.what_case = PEN__EFFECT__WHAT_KEY_DENY;
    effect.key_deny = &deny;
    core_post(inbox, &effect);
}

#endif
