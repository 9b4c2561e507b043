/* The control plane as real peers meet it: CURVE over loopback, the core is an inbox. */
#include "tests/unit/dispatch/dealer.h"
#include "tests/unit/dispatch/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/limits.h"
#include "controller/dispatch/dispatch.h"
#include "controller/dispatch/links.h"
#include "controller/dispatch/zap.h"

struct world {
    struct pen_curve_pair server;
    struct pen_curve_pair agent;
    struct pen_curve_pair other;
    struct pen_inbox *core;
    struct pen_dispatch *dispatch;
    struct pen_inbox *effects;
};

static void start(struct world *self, size_t core_posts_max)
{
    struct pen_error err;
    assert_int_equal(pen_curve_pair_make(&self->server, NULL), 0);
    assert_int_equal(pen_curve_pair_make(&self->agent, NULL), 0);
    assert_int_equal(pen_curve_pair_make(&self->other, NULL), 0);
    assert_int_equal(pen_inbox_create(core_posts_max, &self->core, NULL), 0);
    const struct pen_dispatch_options options = {
        .address = "127.0.0.1:0", .server_keys = &self->server, .core = self->core};
    if (pen_dispatch_start(&options, &self->dispatch, &err) < 0)
        fail_msg("%s", err.message);
    self->effects = pen_dispatch_inbox(self->dispatch);
}

static int set_up(void **state)
{
    struct world *self = calloc(1, sizeof *self);
    start(self, 1024);
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    struct world *self = *state;
    pen_dispatch_stop(&self->dispatch);
    pen_inbox_destroy(&self->core);
    free(self);
    return 0;
}

static void join(struct world *self, struct dealer *dealer, const struct pen_curve_pair *keys)
{
    dealer_open(dealer, pen_dispatch_endpoint(self->dispatch), self->server.public_key, keys, NULL);
}

static void send_heartbeat(struct dealer *dealer, uint64_t number)
{
    Pen__Heartbeat heartbeat = PEN__HEARTBEAT__INIT;
    heartbeat.has_number = true;
    heartbeat.number = number;
    Pen__FromAgent message = PEN__FROM_AGENT__INIT;
    message.body_case = PEN__FROM_AGENT__BODY_HEARTBEAT;
    message.heartbeat = &heartbeat;
    dealer_send(dealer, &message);
}

/* Expect a heartbeat of this agent; returns the link. */
static uint64_t expect_heartbeat(struct world *self, const char *id, uint64_t number)
{
    Pen__Input *input = core_take(self->core, PATIENCE_MS);
    assert_non_null(input);
    assert_int_equal(input->what_case, PEN__INPUT__WHAT_AGENT_MESSAGE);
    assert_string_equal(input->agent_message->agent_id, id);
    assert_int_equal(input->agent_message->message->body_case, PEN__FROM_AGENT__BODY_HEARTBEAT);
    assert_int_equal(input->agent_message->message->heartbeat->number, number);
    uint64_t link = input->agent_message->link;
    assert_true(link > 0);
    pen_message_destroy(&input);
    return link;
}

static void expect_gone(struct world *self, const char *id, uint64_t link)
{
    Pen__Input *input = core_take(self->core, PATIENCE_MS);
    assert_non_null(input);
    assert_int_equal(input->what_case, PEN__INPUT__WHAT_AGENT_GONE);
    assert_string_equal(input->agent_gone->agent_id, id);
    assert_int_equal(input->agent_gone->link, link);
    pen_message_destroy(&input);
}

static void expect_refused(struct dealer *dealer, Pen__RefusedCode code)
{
    Pen__ToAgent *answer = dealer_take(dealer, &pen__to_agent__descriptor, PATIENCE_MS);
    assert_non_null(answer);
    assert_int_equal(answer->body_case, PEN__TO_AGENT__BODY_REFUSED);
    assert_int_equal(answer->refused->code, code);
    assert_non_null(answer->refused->message);
    pen_message_destroy(&answer);
}

static void post_ack(struct world *self, char *id, uint64_t link, uint64_t number)
{
    Pen__HeartbeatAck ack = PEN__HEARTBEAT_ACK__INIT;
    ack.has_number = true;
    ack.number = number;
    Pen__ToAgent message = PEN__TO_AGENT__INIT;
    message.body_case = PEN__TO_AGENT__BODY_HEARTBEAT_ACK;
    message.heartbeat_ack = &ack;
    Pen__AgentSend send = PEN__AGENT_SEND__INIT;
    send.agent_id = id;
    send.has_link = true;
    send.link = link;
    send.message = &message;
    Pen__Effect effect = PEN__EFFECT__INIT;
    effect.what_case = PEN__EFFECT__WHAT_AGENT_SEND;
    effect.agent_send = &send;
    core_post(self->effects, &effect);
}

static void expect_ack(struct dealer *dealer, uint64_t number)
{
    Pen__ToAgent *answer = dealer_take(dealer, &pen__to_agent__descriptor, PATIENCE_MS);
    assert_non_null(answer);
    assert_int_equal(answer->body_case, PEN__TO_AGENT__BODY_HEARTBEAT_ACK);
    assert_int_equal(answer->heartbeat_ack->number, number);
    pen_message_destroy(&answer);
}

static void test_unknown_key_is_refused(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    join(self, &dealer, &self->agent);
    send_heartbeat(&dealer, 1);
    assert_int_equal(dealer_event(&dealer, PATIENCE_MS), ZMQ_EVENT_HANDSHAKE_FAILED_AUTH);
    dealer_close(&dealer);

    core_allow(self->effects, &self->other, "b", false);
    join(self, &dealer, &self->other);
    send_heartbeat(&dealer, 2);
    expect_heartbeat(self, "b", 2); /* and nothing of the stranger before it */
    dealer_close(&dealer);
}

static void test_message_carries_identity_and_answer_comes_back(void **state)
{
    struct world *self = *state;
    struct dealer first, second;
    core_allow(self->effects, &self->agent, "a", false);
    core_allow(self->effects, &self->other, "b", false);
    join(self, &first, &self->agent);
    send_heartbeat(&first, 1);
    uint64_t link_first = expect_heartbeat(self, "a", 1);
    join(self, &second, &self->other);
    send_heartbeat(&second, 2);
    uint64_t link_second = expect_heartbeat(self, "b", 2);
    assert_true(link_first != link_second);

    char a[] = "a", b[] = "b";
    post_ack(self, a, link_first, 11);
    expect_ack(&first, 11);
    post_ack(self, b, 0, 12); /* whatever link is the latest */
    expect_ack(&second, 12);
    post_ack(self, b, link_first, 13); /* another agent's link: not sent */
    post_ack(self, b, 999, 14);        /* no such link: not sent */
    post_ack(self, b, link_second, 15);
    expect_ack(&second, 15);

    dealer_close(&first);
    expect_gone(self, "a", link_first);
    post_ack(self, a, link_first, 16); /* gone: not sent, and nothing breaks */
    post_ack(self, a, 0, 17);
    send_heartbeat(&second, 3);
    expect_heartbeat(self, "b", 3);
    dealer_close(&second);
    expect_gone(self, "b", link_second);
}

static void test_token_is_told_from_agent(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    core_allow(self->effects, &self->agent, "token-1", true);
    join(self, &dealer, &self->agent);
    Pen__Enroll enroll = PEN__ENROLL__INIT;
    Pen__FromAgent message = PEN__FROM_AGENT__INIT;
    message.body_case = PEN__FROM_AGENT__BODY_ENROLL;
    message.enroll = &enroll;
    dealer_send(&dealer, &message);
    Pen__Input *input = core_take(self->core, PATIENCE_MS);
    assert_non_null(input);
    assert_int_equal(input->what_case, PEN__INPUT__WHAT_AGENT_MESSAGE);
    assert_string_equal(input->agent_message->agent_id, "token-1");
    assert_true(input->agent_message->from_token);
    char id[] = "token-1";
    post_ack(self, id, input->agent_message->link, 5);
    expect_ack(&dealer, 5);
    pen_message_destroy(&input);
    dealer_close(&dealer);
}

static void test_chosen_routing_id_is_cut(void **state)
{
    struct world *self = *state;
    struct dealer thief, honest;
    core_allow(self->effects, &self->agent, "a", false);
    core_allow(self->effects, &self->other, "b", false);
    /* Two keys with one routing id: neither speaks, and no answer can reach the wrong one. */
    for (int i = 0; i < 2; i++) {
        dealer_open(&thief, pen_dispatch_endpoint(self->dispatch), self->server.public_key,
                    i == 0 ? &self->agent : &self->other, "same");
        send_heartbeat(&thief, 1);
        assert_int_equal(dealer_event(&thief, PATIENCE_MS), ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
        assert_int_equal(dealer_event(&thief, PATIENCE_MS), ZMQ_EVENT_DISCONNECTED);
        dealer_close(&thief);
    }
    join(self, &honest, &self->other);
    send_heartbeat(&honest, 2);
    expect_heartbeat(self, "b", 2);
    dealer_close(&honest);
}

static void test_revoked_key_is_cut_though_silent(void **state)
{
    struct world *self = *state;
    struct dealer dealer, other;
    core_allow(self->effects, &self->agent, "a", false);
    core_allow(self->effects, &self->other, "b", false);
    join(self, &dealer, &self->agent);
    send_heartbeat(&dealer, 1);
    uint64_t link = expect_heartbeat(self, "a", 1);
    join(self, &other, &self->other);
    send_heartbeat(&other, 1);
    expect_heartbeat(self, "b", 1);
    assert_int_equal(dealer_event(&dealer, PATIENCE_MS), ZMQ_EVENT_HANDSHAKE_SUCCEEDED);

    int64_t denied_ms = pen_clock_monotonic_ms();
    core_deny(self->effects, &self->agent);
    assert_int_equal(dealer_event(&dealer, PATIENCE_MS), ZMQ_EVENT_DISCONNECTED);
    assert_true(pen_clock_monotonic_ms() - denied_ms < 1000);
    expect_gone(self, "a", link);
    assert_int_equal(dealer_event(&dealer, PATIENCE_MS), ZMQ_EVENT_HANDSHAKE_FAILED_AUTH);

    char b[] = "b";
    post_ack(self, b, 0, 3); /* the other one has noticed nothing */
    expect_ack(&other, 3);
    dealer_close(&dealer);
    dealer_close(&other);
}

static void test_key_of_another_id_does_not_keep_speaking(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    core_allow(self->effects, &self->agent, "token-1", true);
    join(self, &dealer, &self->agent);
    send_heartbeat(&dealer, 1);
    expect_heartbeat(self, "token-1", 1);
    assert_int_equal(dealer_event(&dealer, PATIENCE_MS), ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    core_allow(self->effects, &self->agent, "a", false); /* the same key, now somebody else */
    /* The connection was made as the token: it ends, though nothing is sent on it, and the next one
     * is the agent's. */
    assert_int_equal(dealer_event(&dealer, PATIENCE_MS), ZMQ_EVENT_DISCONNECTED);
    assert_int_equal(dealer_event(&dealer, PATIENCE_MS), ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    send_heartbeat(&dealer, 3);
    expect_heartbeat(self, "a", 3);
    dealer_close(&dealer);
}

static void test_malformed_messages_are_refused_then_cut(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    core_allow(self->effects, &self->agent, "a", false);
    join(self, &dealer, &self->agent);
    assert_int_equal(dealer_event(&dealer, PATIENCE_MS), ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    for (int i = 0; i < PEN_LIMIT_MALFORMED_IN_A_ROW - 1; i++)
        assert_return_code(zmq_send(dealer.socket, "\xff\xff\xff", 3, 0), 0);
    for (int i = 0; i < PEN_LIMIT_MALFORMED_IN_A_ROW - 1; i++)
        expect_refused(&dealer, PEN__REFUSED_CODE__UNSUPPORTED);
    send_heartbeat(&dealer, 1); /* a good one starts the count anew */
    uint64_t link = expect_heartbeat(self, "a", 1);

    Pen__FromAgent unknown = PEN__FROM_AGENT__INIT; /* well-formed, but of no known kind */
    dealer_send(&dealer, &unknown);
    expect_refused(&dealer, PEN__REFUSED_CODE__UNSUPPORTED);

    uint8_t fields[2 * 5000]; /* more fields than any message of ours has */
    for (size_t i = 0; i < sizeof fields; i += 2) {
        fields[i] = 0x08;
        fields[i + 1] = 0x01;
    }
    assert_return_code(zmq_send(dealer.socket, fields, sizeof fields, 0), 0);
    expect_refused(&dealer, PEN__REFUSED_CODE__LIMIT);

    for (int i = 0; i < PEN_LIMIT_MALFORMED_IN_A_ROW - 1; i++)
        assert_return_code(zmq_send(dealer.socket, "\xff\xff\xff", 3, 0), 0);
    assert_int_equal(dealer_event(&dealer, PATIENCE_MS), ZMQ_EVENT_DISCONNECTED);
    expect_gone(self, "a", link);
    dealer_close(&dealer);
}

static void test_multipart_and_oversized_messages_are_cut(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    core_allow(self->effects, &self->agent, "a", false);
    join(self, &dealer, &self->agent);
    assert_int_equal(dealer_event(&dealer, PATIENCE_MS), ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    assert_return_code(zmq_send(dealer.socket, "", 0, ZMQ_SNDMORE), 0);
    assert_return_code(zmq_send(dealer.socket, "", 0, 0), 0);
    assert_int_equal(dealer_event(&dealer, PATIENCE_MS), ZMQ_EVENT_DISCONNECTED);
    Pen__Input *input = core_take(self->core, PATIENCE_MS);
    assert_non_null(input);
    assert_int_equal(input->what_case, PEN__INPUT__WHAT_AGENT_GONE);
    pen_message_destroy(&input);

    assert_int_equal(dealer_event(&dealer, PATIENCE_MS), ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    void *large = calloc(1, PEN_LIMIT_CONTROL_MESSAGE_BYTES + 1);
    assert_return_code(zmq_send(dealer.socket, large, PEN_LIMIT_CONTROL_MESSAGE_BYTES + 1, 0), 0);
    free(large);
    assert_int_equal(dealer_event(&dealer, PATIENCE_MS), ZMQ_EVENT_DISCONNECTED);

    assert_int_equal(dealer_event(&dealer, PATIENCE_MS), ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    send_heartbeat(&dealer, 9); /* and still serving */
    expect_heartbeat(self, "a", 9);
    dealer_close(&dealer);
}

static void test_oldest_of_too_many_links_is_cut(void **state)
{
    struct world *self = *state;
    struct dealer dealers[PEN_LIMIT_LINKS_PER_IDENTITY + 1];
    uint64_t links[PEN_LIMIT_LINKS_PER_IDENTITY + 1];
    core_allow(self->effects, &self->agent, "a", false);
    for (size_t i = 0; i < PEN_LIMIT_LINKS_PER_IDENTITY + 1; i++) {
        join(self, &dealers[i], &self->agent);
        send_heartbeat(&dealers[i], i);
        links[i] = expect_heartbeat(self, "a", i);
    }
    expect_gone(self, "a", links[0]);
    char a[] = "a";
    post_ack(self, a, links[1], 7);
    expect_ack(&dealers[1], 7);
    for (size_t i = 0; i < PEN_LIMIT_LINKS_PER_IDENTITY + 1; i++)
        dealer_close(&dealers[i]);
}

static void test_busy_core_loses_messages_but_not_ends(void **state)
{
    (void)state;
    struct world self = {0};
    start(&self, 2);
    struct dealer dealer;
    core_allow(self.effects, &self.agent, "a", false);
    join(&self, &dealer, &self.agent);
    for (uint64_t i = 0; i < 5; i++)
        send_heartbeat(&dealer, i);
    Pen__FromAgent unknown = PEN__FROM_AGENT__INIT;
    dealer_send(&dealer, &unknown);
    expect_refused(&dealer, PEN__REFUSED_CODE__UNSUPPORTED); /* all five were dealt with */
    dealer_close(&dealer);
    uint64_t link = expect_heartbeat(&self, "a", 0);
    expect_heartbeat(&self, "a", 1);
    expect_gone(&self, "a", link);
    pen_dispatch_stop(&self.dispatch);
    pen_inbox_destroy(&self.core);
}

static void test_address_in_use(void **state)
{
    struct world *self = *state;
    struct pen_error err;
    struct pen_dispatch *second = NULL;
    const struct pen_dispatch_options options = {.address = pen_dispatch_endpoint(self->dispatch) +
                                                            strlen("tcp://"),
                                                 .server_keys = &self->server,
                                                 .core = self->core};
    assert_int_equal(pen_dispatch_start(&options, &second, &err), PEN_EIO);
    assert_null(second);
    assert_non_null(strstr(err.message, options.address));
}

static void *open_server(void *context, const struct pen_curve_pair *keys, char endpoint[128])
{
    const int yes = 1, zero = 0;
    void *router = zmq_socket(context, ZMQ_ROUTER);
    assert_return_code(zmq_setsockopt(router, ZMQ_LINGER, &zero, sizeof zero), 0);
    assert_return_code(zmq_setsockopt(router, ZMQ_CURVE_SERVER, &yes, sizeof yes), 0);
    assert_return_code(
        zmq_setsockopt(router, ZMQ_CURVE_SECRETKEY, keys->secret_key, PEN_CURVE_KEY_SIZE), 0);
    assert_return_code(zmq_bind(router, "tcp://127.0.0.1:0"), 0);
    size_t size = 128;
    assert_return_code(zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &size), 0);
    return router;
}

static void test_self_test_finds_an_open_door(void **state)
{
    (void)state;
    struct pen_error err;
    struct pen_curve_pair server;
    char endpoint[128];
    void *context = zmq_ctx_new();
    assert_int_equal(pen_curve_pair_make(&server, NULL), 0);
    void *router = open_server(context, &server, endpoint);
    /* A CURVE server as libzmq makes it, with no handler: it lets anybody in. */
    assert_int_equal(pen_zap_self_test(context, endpoint, server.public_key, NULL, &err),
                     PEN_EDENIED);
    assert_non_null(strstr(err.message, "let in"));
    assert_return_code(zmq_close(router), 0);
    assert_return_code(zmq_ctx_term(context), 0);
}

static void test_second_handler_is_an_error(void **state)
{
    struct world *self = *state;
    struct pen_zap *zap = NULL;
    assert_int_equal(pen_zap_create(pen_dispatch_context(self->dispatch), NULL, &zap, NULL),
                     PEN_EIO);
    assert_null(zap);
}

/* A peer whose bytes are read and never make a message, as in an endless multi-part message. */
static void test_undelivered_bytes_are_bounded(void **state)
{
    (void)state;
    struct pen_links links = {0};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_return_code(bind(listener, (struct sockaddr *)&address, sizeof address), errno);
    assert_return_code(listen(listener, 1), errno);
    assert_return_code(getsockname(listener, (struct sockaddr *)&address, &size), errno);
    int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_return_code(connect(peer, (struct sockaddr *)&address, sizeof address), errno);
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    assert_int_equal(pen_links_accepted(&links, fd, 0, NULL), 0);

    char bytes[4096] = {0};
    bool busy = false;
    for (int i = 0; i < 100; i++) { /* delivered in full: never cut */
        assert_int_equal(write(peer, bytes, sizeof bytes), sizeof bytes);
        assert_int_equal(recv(fd, bytes, sizeof bytes, MSG_WAITALL), sizeof bytes);
        pen_links_delivered(&links, fd, sizeof bytes);
    }
    assert_int_equal(pen_links_sweep(&links, 65536, 1, &busy), 0);
    assert_true(busy);
    assert_int_equal(pen_links_sweep(&links, 65536, 2, &busy), 0);
    assert_false(busy);
    for (int i = 0; i < 32; i++) { /* not delivered */
        assert_int_equal(write(peer, bytes, sizeof bytes), sizeof bytes);
        assert_int_equal(recv(fd, bytes, sizeof bytes, MSG_WAITALL), sizeof bytes);
    }
    assert_int_equal(pen_links_sweep(&links, 65536, 3, &busy), 1);
    assert_int_equal(recv(peer, bytes, 1, 0), 0); /* the end */
    pen_links_disconnected(&links, fd, 4);
    assert_int_equal(links.open_count, 0);
    pen_links_release(&links);
    close(fd);
    close(peer);
    close(listener);
}

/* Authenticated, each frame within its limit, and never the last one: no high-water mark counts
 * that. */
static void test_endless_multipart_is_cut(void **state)
{
    struct world *self = *state;
    struct wire wire;
    struct dealer dealer, honest;
    const size_t frame_size = 200 * 1000, frames = 100;
    core_allow(self->effects, &self->agent, "a", false);
    core_allow(self->effects, &self->other, "b", false);
    wire_open(&wire);
    dealer_open(&dealer, wire.endpoint, self->server.public_key, &self->agent, NULL);
    char *frame = calloc(1, frame_size);
    for (size_t i = 0; i < frames; i++)
        assert_return_code(
            zmq_send(dealer.socket, frame, frame_size, i + 1 < frames ? ZMQ_SNDMORE : 0), 0);
    free(frame);
    wire_connect(&wire, pen_dispatch_endpoint(self->dispatch));
    size_t carried = wire_carry(&wire, PEN_LIMIT_CONTROL_UNDELIVERED_BYTES + 2 * 1024 * 1024);
    assert_true(carried > PEN_LIMIT_CONTROL_UNDELIVERED_BYTES);
    assert_true(carried < frames * frame_size);

    join(self, &honest, &self->other);
    send_heartbeat(&honest, 2);
    expect_heartbeat(self, "b", 2);
    dealer_close(&honest);
    wire_close(&wire);
    dealer_close(&dealer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_unknown_key_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_message_carries_identity_and_answer_comes_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_token_is_told_from_agent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_chosen_routing_id_is_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_revoked_key_is_cut_though_silent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_key_of_another_id_does_not_keep_speaking, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_malformed_messages_are_refused_then_cut, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_multipart_and_oversized_messages_are_cut, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_oldest_of_too_many_links_is_cut, set_up, tear_down),
        cmocka_unit_test(test_busy_core_loses_messages_but_not_ends),
        cmocka_unit_test_setup_teardown(test_address_in_use, set_up, tear_down),
        cmocka_unit_test(test_self_test_finds_an_open_door),
        cmocka_unit_test_setup_teardown(test_second_handler_is_an_error, set_up, tear_down),
        cmocka_unit_test(test_undelivered_bytes_are_bounded),
        cmocka_unit_test_setup_teardown(test_endless_multipart_is_cut, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
