/* tests/unit/common/test_sockets.c - one sleep for sockets and descriptors, and no lost wake-up */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>
#include <zmq.h>

#include "common/sockets/sockets.h"

enum { LONG_MS = 60 * 1000 }; /* a lost wake-up shows as a wait of this length */

struct ends {
    void *context;
    void *peer;
    struct pen_socket ours;
};

static int open_ends(void **state)
{
    static struct ends ends;
    ends.context = zmq_ctx_new();
    ends.peer = zmq_socket(ends.context, ZMQ_PAIR);
    void *ours = zmq_socket(ends.context, ZMQ_PAIR);
    assert_int_equal(zmq_bind(ends.peer, "inproc://ends"), 0);
    assert_int_equal(zmq_connect(ours, "inproc://ends"), 0);
    assert_int_equal(pen_socket_set(&ends.ours, ours, NULL), 0);
    *state = &ends;
    return 0;
}

static int close_ends(void **state)
{
    struct ends *ends = *state;
    (void)zmq_close(ends->peer);
    (void)zmq_close(ends->ours.handle);
    return zmq_ctx_term(ends->context);
}

static void wait_for(struct ends *ends, long timeout_ms)
{
    struct pen_socket *sockets[] = {&ends->ours, &(struct pen_socket){0}};
    assert_int_equal(pen_sockets_wait(sockets, 2, NULL, 0, timeout_ms, NULL), 0);
}

static void peer_says(struct ends *ends, const char *text)
{
    assert_int_equal(zmq_send(ends->peer, text, 1, 0), 1);
}

static char receive(struct ends *ends)
{
    char text = 0;
    if (zmq_recv(ends->ours.handle, &text, 1, ZMQ_DONTWAIT) < 0)
        pen_socket_empty(&ends->ours);
    else
        pen_socket_used(&ends->ours);
    return text;
}

static void empty(struct ends *ends)
{
    while (receive(ends) != 0)
        continue;
}

static void test_time_passes(void **state)
{
    struct ends *ends = *state;
    assert_true(ends->ours.readable); /* nobody has looked yet */
    empty(ends);
    wait_for(ends, 1);
    assert_false(ends->ours.readable);
}

static void test_messages_are_found_one_by_one(void **state)
{
    struct ends *ends = *state;
    empty(ends);
    peer_says(ends, "1");
    peer_says(ends, "2");
    wait_for(ends, LONG_MS);
    assert_true(ends->ours.readable);
    assert_int_equal(receive(ends), '1');
    wait_for(ends, LONG_MS); /* the second one causes no new edge */
    assert_true(ends->ours.readable);
    assert_int_equal(receive(ends), '2');
    wait_for(ends, 0);
    assert_false(ends->ours.readable);
}

/* What a send does now and then: libzmq takes the wake-up, and the descriptor is silent. */
static void test_wake_up_taken_by_use(void **state)
{
    struct ends *ends = *state;
    empty(ends);
    peer_says(ends, "1");
    int events = 0;
    size_t size = sizeof events;
    assert_int_equal(zmq_getsockopt(ends->ours.handle, ZMQ_EVENTS, &events, &size), 0);
    assert_true((events & ZMQ_POLLIN) != 0);
    pen_socket_used(&ends->ours);
    wait_for(ends, LONG_MS);
    assert_true(ends->ours.readable);
    assert_int_equal(receive(ends), '1');
}

static void test_descriptors_wake_too(void **state)
{
    struct ends *ends = *state;
    empty(ends);
    int fd = eventfd(1, EFD_CLOEXEC);
    struct pollfd item = {.fd = fd, .events = POLLIN};
    struct pen_socket *sockets[] = {&ends->ours};
    assert_int_equal(pen_sockets_wait(sockets, 1, &item, 1, LONG_MS, NULL), 0);
    assert_int_equal(item.revents, POLLIN);
    assert_false(ends->ours.readable);
    (void)close(fd);
}

static void test_no_socket(void **state)
{
    struct ends *ends = *state;
    struct pen_error err = {0};
    struct pen_socket socket;
    (void)ends;
    assert_int_equal(pen_socket_set(&socket, NULL, &err), PEN_EIO);
    assert_string_not_equal(err.message, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_time_passes, open_ends, close_ends),
        cmocka_unit_test_setup_teardown(test_messages_are_found_one_by_one, open_ends, close_ends),
        cmocka_unit_test_setup_teardown(test_wake_up_taken_by_use, open_ends, close_ends),
        cmocka_unit_test_setup_teardown(test_descriptors_wake_too, open_ends, close_ends),
        cmocka_unit_test_setup_teardown(test_no_socket, open_ends, close_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
