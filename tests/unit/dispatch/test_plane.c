/* A plane whose reader stands still, as that of a controller that was stopped, or waits for a disk.
 */
#include "tests/unit/dispatch/dealer.h"
#include "tests/unit/dispatch/wire.h"

#include <time.h>

#include "common/base/limits.h"
#include "controller/dispatch/plane.h"
#include "controller/dispatch/zap.h"

enum {
    HEARTBEAT_MS = 5,
    MESSAGES = 300, /* many more than a receive queue with a limit would hold */
    MESSAGE_BYTES = 8,
    STILL_MS = 100, /* ends a silence of the peer */
};

struct world {
    struct pen_curve_pair server, agent;
    void *context;
    struct pen_keyring *keys;
    struct pen_zap *zap;
    struct pen_plane *plane;
};

static int set_up(void **state)
{
    struct world *self = calloc(1, sizeof *self);
    assert_int_equal(pen_curve_pair_make(&self->server, NULL), 0);
    assert_int_equal(pen_curve_pair_make(&self->agent, NULL), 0);
    self->context = zmq_ctx_new();
    assert_int_equal(pen_keyring_create(&self->keys, NULL), 0);
    assert_int_equal(pen_keyring_allow(self->keys, self->agent.public_key, "a", false, NULL), 0);
    assert_int_equal(pen_zap_create(self->context, self->keys, &self->zap, NULL), 0);
    const struct pen_plane_options options = {
        .name = "test",
        .address = "127.0.0.1:0",
        .zmq_context = self->context,
        .server_keys = &self->server,
        .keys = self->keys,
        .message_bytes_max = PEN_LIMIT_CONTROL_MESSAGE_BYTES,
        .send_queue_max = PEN_LIMIT_CONTROL_SEND_QUEUE,
        .undelivered_bytes_max = PEN_LIMIT_CONTROL_UNDELIVERED_BYTES,
        .links_per_identity_max = PEN_LIMIT_LINKS_PER_IDENTITY,
    };
    assert_int_equal(pen_plane_create(&options, &self->plane, NULL), 0);
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    struct world *self = *state;
    pen_plane_destroy(&self->plane);
    pen_zap_destroy(&self->zap);
    pen_keyring_destroy(&self->keys);
    assert_return_code(zmq_ctx_term(self->context), 0);
    free(self);
    return 0;
}

static void sleep_ms(int64_t time_ms)
{
    const struct timespec time = {.tv_sec = time_ms / 1000,
                                  .tv_nsec = (long)(time_ms % 1000) * 1000000};
    (void)nanosleep(&time, NULL);
}

/* Pass on what has come, one way. Returns its size. */
static size_t pass(int from, int to)
{
    char bytes[65536];
    ssize_t size = recv(from, bytes, sizeof bytes, MSG_DONTWAIT);
    if (size > 0)
        assert_int_equal(send(to, bytes, (size_t)size, MSG_NOSIGNAL), size);
    return size > 0 ? (size_t)size : 0;
}

/* A dealer with ZMTP heartbeats, behind the wire; returns when it is connected. */
static void join(struct world *self, struct dealer *dealer, struct wire *wire)
{
    const int heartbeat_ms = HEARTBEAT_MS;
    dealer_open_with(dealer, wire->endpoint, self->server.public_key, &self->agent, NULL,
                     heartbeat_ms);
    wire_connect(wire, pen_plane_endpoint(self->plane));
    while (dealer_event(dealer, 1) != ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
        (void)pass(wire->peer, wire->server);
        (void)pass(wire->server, wire->peer);
        assert_int_equal(pen_plane_watch(self->plane, NULL), 0);
        assert_int_equal(pen_zap_answer(self->zap, 16, NULL), 0);
    }
}

/* Collect what the peer sends, messages and heartbeats mixed, and hand all of it over at once. */
static void hand_over_a_backlog(struct dealer *dealer, struct wire *wire)
{
    const uint8_t message[MESSAGE_BYTES] = {0};
    static char bytes[1 << 20];
    size_t size = 0;
    for (unsigned i = 0; i < MESSAGES; i++) {
        assert_return_code(zmq_send(dealer->socket, message, sizeof message, 0), 0);
        if (i % 10 == 0)
            sleep_ms(2);
    }
    struct pollfd item = {.fd = wire->peer, .events = POLLIN};
    int64_t until_ms = pen_clock_monotonic_ms() + STILL_MS;
    while (pen_clock_monotonic_ms() < until_ms && poll(&item, 1, STILL_MS) > 0) {
        ssize_t got = recv(wire->peer, bytes + size, sizeof bytes - size, 0);
        assert_true(got > 0);
        size += (size_t)got;
    }
    assert_int_equal(send(wire->server, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
}

static size_t read_all(struct world *self)
{
    struct pen_plane_message message;
    size_t count = 0;
    assert_int_equal(pen_plane_watch(self->plane, NULL), 0);
    while (pen_plane_receive(self->plane, &message)) {
        assert_int_equal(message.size, MESSAGE_BYTES);
        count++;
    }
    return count;
}

/* A backlog with heartbeats in it is handed over, nobody reads, and the connection is reset: libzmq
 * ended the process when it went on with a connection that had stood still (zeromq/libzmq#4364). */
static void test_connection_lost_behind_a_backlog(void **state)
{
    struct world *self = *state;
    struct wire wire;
    struct dealer dealer;
    wire_open(&wire);
    join(self, &dealer, &wire);
    hand_over_a_backlog(&dealer, &wire);
    sleep_ms(STILL_MS);
    const struct linger at_once = {.l_onoff = 1};
    assert_return_code(setsockopt(wire.server, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once),
                       errno);
    close(wire.server); /* a reset */
    wire.server = -1;
    sleep_ms(STILL_MS);
    size_t count = 0;
    for (unsigned i = 0; i < 10; i++) {
        count += read_all(self);
        sleep_ms(10);
    }
    assert_int_equal(count, MESSAGES); /* and nothing that had come is lost */
    dealer_close(&dealer);
    wire_close(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_connection_lost_behind_a_backlog, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
