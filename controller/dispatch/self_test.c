/* controller/dispatch/self_test.c - a stranger knocks: part of zap.h */
#include "controller/dispatch/zap.h"

#include <string.h>
#include <zmq.h>

#include "common/base/check.h"
#include "common/io/clock.h"

enum { SELF_TEST_MS = 10000 };

#define MONITOR_ENDPOINT "inproc://penstock.self-test"

struct stranger {
    void *socket;
    void *monitor;
};

static int fail_zmq(struct pen_error *err, const char *what)
{
    return pen_fail(err, PEN_EIO, "self-test: %s: %s", what, zmq_strerror(zmq_errno()));
}

static int stranger_init(struct stranger *self, void *zmq_context, const char *endpoint,
                         const uint8_t server_public_key[PEN_CURVE_KEY_SIZE], struct pen_error *err)
{
    struct pen_curve_pair pair;
    int rc = pen_curve_pair_make(&pair, err);
    if (rc < 0)
        return rc;
    const int no_linger = 0;
    const int ipv6 = strchr(endpoint, '[') != NULL;
    const int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    self->socket = zmq_socket(zmq_context, ZMQ_DEALER);
    self->monitor = zmq_socket(zmq_context, ZMQ_PAIR);
    if (self->socket == NULL || self->monitor == NULL ||
        zmq_setsockopt(self->socket, ZMQ_LINGER, &no_linger, sizeof no_linger) < 0 ||
        zmq_setsockopt(self->socket, ZMQ_IPV6, &ipv6, sizeof ipv6) < 0 ||
        zmq_setsockopt(self->socket, ZMQ_CURVE_SERVERKEY, server_public_key, PEN_CURVE_KEY_SIZE) <
            0 ||
        zmq_setsockopt(self->socket, ZMQ_CURVE_PUBLICKEY, pair.public_key, PEN_CURVE_KEY_SIZE) <
            0 ||
        zmq_setsockopt(self->socket, ZMQ_CURVE_SECRETKEY, pair.secret_key, PEN_CURVE_KEY_SIZE) <
            0 ||
        zmq_socket_monitor(self->socket, MONITOR_ENDPOINT, events) < 0 ||
        zmq_connect(self->monitor, MONITOR_ENDPOINT) < 0 || zmq_connect(self->socket, endpoint) < 0)
        return fail_zmq(err, "cannot connect");
    return 0;
}

static void stranger_release(struct stranger *self)
{
    /* The monitor stops before its reader closes: the other way round, libzmq hangs. */
    if (self->socket != NULL)
        (void)zmq_socket_monitor(self->socket, NULL, 0);
    if (self->monitor != NULL)
        CHECK(zmq_close(self->monitor) == 0);
    if (self->socket != NULL)
        CHECK(zmq_close(self->socket) == 0);
}

/* The number of a waiting monitor event, 0 for none. */
static int next_event(void *monitor)
{
    uint16_t event = 0;
    zmq_msg_t frame;
    CHECK(zmq_msg_init(&frame) == 0);
    if (zmq_msg_recv(&frame, monitor, ZMQ_DONTWAIT) >= (int)sizeof event) {
        memcpy(&event, zmq_msg_data(&frame), sizeof event);
        while (zmq_msg_more(&frame) && zmq_msg_recv(&frame, monitor, ZMQ_DONTWAIT) >= 0)
            continue; /* the address */
    }
    CHECK(zmq_msg_close(&frame) == 0);
    return event;
}

static int watch(const struct stranger *self, struct pen_zap *zap, struct pen_error *err)
{
    const int64_t deadline_ms = pen_clock_monotonic_ms() + SELF_TEST_MS;
    for (;;) {
        int64_t left_ms = deadline_ms - pen_clock_monotonic_ms();
        if (left_ms <= 0)
            return pen_fail(err, PEN_EDENIED,
                            "self-test: a connection with an unknown key was not refused in time");
        zmq_pollitem_t items[] = {
            {.socket = self->monitor, .events = ZMQ_POLLIN},
            {.socket = zap != NULL ? pen_zap_socket(zap) : NULL, .events = ZMQ_POLLIN},
        };
        if (zmq_poll(items, zap != NULL ? 2 : 1, left_ms) < 0 && zmq_errno() != EINTR)
            return fail_zmq(err, "cannot wait");
        int rc = zap != NULL ? pen_zap_answer(zap, 16, err) : 0;
        if (rc < 0)
            return rc;
        int event = next_event(self->monitor);
        if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
            return pen_fail(err, PEN_EDENIED,
                            "self-test: a connection with an unknown key was let in");
        if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
            return 0;
    }
}

int pen_zap_self_test(void *zmq_context, const char *endpoint,
                      const uint8_t server_public_key[PEN_CURVE_KEY_SIZE], struct pen_zap *zap,
                      struct pen_error *err)
{
    struct stranger stranger = {0};
    int rc = stranger_init(&stranger, zmq_context, endpoint, server_public_key, err);
    if (rc == 0)
        rc = watch(&stranger, zap, err);
    stranger_release(&stranger);
    return rc;
}
