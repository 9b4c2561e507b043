/* The agent's link against a bare server: which address it finds the controller at, and what it
 * says meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>
#include <zmq.h>

#include "agent/link/link.h"
#include "common/io/clock.h"

enum { PATIENCE_MS = 20000 };

struct world {
    struct pen_curve_pair server, agent;
    void *context, *socket;
    uint16_t port;
    struct pen_link *link;
};

/* A CURVE server that lets anybody in, at this address; port 0 picks one. */
static void serve(struct world *self, const char *address)
{
    const int yes = 1, zero = 0;
    self->socket = zmq_socket(self->context, ZMQ_ROUTER);
    assert_return_code(zmq_setsockopt(self->socket, ZMQ_LINGER, &zero, sizeof zero), 0);
    assert_return_code(zmq_setsockopt(self->socket, ZMQ_IPV6, &yes, sizeof yes), 0);
    assert_return_code(zmq_setsockopt(self->socket, ZMQ_CURVE_SERVER, &yes, sizeof yes), 0);
    assert_return_code(zmq_setsockopt(self->socket, ZMQ_CURVE_SECRETKEY, self->server.secret_key,
                                      PEN_CURVE_KEY_SIZE),
                       0);
    char endpoint[128];
    (void)snprintf(endpoint, sizeof endpoint, "tcp://%s:%u", address, (unsigned)self->port);
    assert_return_code(zmq_bind(self->socket, endpoint), 0);
    size_t size = sizeof endpoint;
    assert_return_code(zmq_getsockopt(self->socket, ZMQ_LAST_ENDPOINT, endpoint, &size), 0);
    self->port = (uint16_t)strtoul(strrchr(endpoint, ':') + 1, NULL, 10);
}

static void stop_serving(struct world *self)
{
    assert_return_code(zmq_close(self->socket), 0);
    self->socket = NULL;
}

static int set_up(void **state)
{
    struct world *self = calloc(1, sizeof *self);
    assert_int_equal(pen_curve_pair_make(&self->server, NULL), 0);
    assert_int_equal(pen_curve_pair_make(&self->agent, NULL), 0);
    self->context = zmq_ctx_new();
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    struct world *self = *state;
    pen_link_destroy(&self->link);
    if (self->socket != NULL)
        stop_serving(self);
    assert_return_code(zmq_ctx_term(self->context), 0);
    free(self);
    return 0;
}

static void join(struct world *self, const char *host)
{
    struct pen_link_options options = {.host = host, .port = self->port, .pair = self->agent};
    memcpy(options.server_public_key, self->server.public_key, PEN_CURVE_KEY_SIZE);
    struct pen_error err;
    if (pen_link_create(&options, &self->link, &err) < 0)
        fail_msg("%s", err.message);
}

/* The next event of this kind; how many others came before it is returned. */
static unsigned expect(struct world *self, enum pen_link_event_kind kind,
                       struct pen_link_event *ret_event)
{
    unsigned others = 0;
    int64_t until_ms = pen_clock_monotonic_ms() + PATIENCE_MS;
    while (pen_clock_monotonic_ms() < until_ms) {
        if (!pen_link_next(self->link, ret_event)) {
            assert_int_equal(pen_link_wait(self->link, NULL, 0, 1000, NULL, NULL), 0);
            continue;
        }
        if (ret_event->kind == kind)
            return others;
        others++;
    }
    fail_msg("no event of kind %d", (int)kind);
    return 0;
}

static void test_each_address_of_a_name_is_tried(void **state)
{
    struct world *self = *state;
    static const char *const addresses[] = {"127.0.0.1", "[::1]"};
    static const char *const hosts[][3] = {{"localhost", "127.0.0.1", NULL},
                                           {"[::1]", "::1", NULL}};
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; hosts[i][k] != NULL; k++) {
            struct pen_link_event event;
            self->port = 0;
            serve(self, addresses[i]);
            join(self, hosts[i][k]);
            (void)expect(self, PEN_LINK_UP, &event);
            assert_int_equal(pen_link_send(self->link, PEN_PLANE_CONTROL, "x", 1, NULL), 0);
            pen_link_destroy(&self->link);
            stop_serving(self);
        }
    }
}

static void test_a_name_without_an_address_is_told(void **state)
{
    struct world *self = *state;
    struct pen_link_event event;
    self->port = 7420;
    join(self, "no..host");
    (void)expect(self, PEN_LINK_UNREACHABLE, &event);
    assert_string_equal(event.address, "no..host");
    assert_non_null(event.reason);
    assert_int_equal(event.failures, 1);
    (void)expect(self, PEN_LINK_UNREACHABLE, &event); /* it is asked for again */
    assert_int_equal(event.failures, 2);
}

static void test_a_controller_that_comes_later_is_found(void **state)
{
    struct world *self = *state;
    struct pen_link_event event;
    serve(self, "127.0.0.1");
    stop_serving(self); /* nobody listens at this port */
    join(self, "127.0.0.1");
    (void)expect(self, PEN_LINK_UNREACHABLE, &event);
    assert_string_equal(event.address, "127.0.0.1");
    assert_null(event.reason);
    (void)expect(self, PEN_LINK_UNREACHABLE, &event);
    serve(self, "127.0.0.1");
    (void)expect(self, PEN_LINK_UP, &event);
    stop_serving(self);
    assert_int_equal(expect(self, PEN_LINK_DOWN, &event), 0);
    (void)expect(self, PEN_LINK_UNREACHABLE, &event);
    serve(self, "127.0.0.1");
    (void)expect(self, PEN_LINK_UP, &event);
}

/* A host of which localhost has both addresses, and IPv6 comes first: Debian's. In a mount
 * namespace of this process, as root or as root of a user namespace. */
static int set_up_hosts(void **state)
{
    (void)state;
    char path[] = "/tmp/test-agent-link.XXXXXX";
    int fd = mkstemp(path);
    static const char text[] = "::1 localhost\n127.0.0.1 localhost\n";
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    (void)close(fd);
    assert_return_code(unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER), 0);
    assert_return_code(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    assert_return_code(mount(path, "/etc/hosts", NULL, MS_BIND, NULL), 0);
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_address_of_a_name_is_tried, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_name_without_an_address_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_controller_that_comes_later_is_found, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, set_up_hosts, NULL);
}
