/* A start of class once: journalled, asked for, and begun only when the controller has acknowledged
 * the question in the same session. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "agent/session/session.h"
#include "common/wire/wire.h"

enum { FENCE = 7, TTL_MS = 20000 };

struct world {
    struct pen_session *session;
    struct pen_session_out out;
    int64_t now_ms;
    uint64_t session_no;
    /* of the last step */
    bool starts, asks, asks_after_sync, sync;
    int finish_kind; /* of the result that was sent; 0: none */
    uint64_t finish_seq;
};

static void look_at(struct world *world, const struct pen_session_effect *effect)
{
    world->starts |= effect->kind == PEN_OUT_START;
    if (effect->kind != PEN_OUT_SEND || effect->message->body_case != PEN__FROM_AGENT__BODY_EVENT)
        return;
    const Pen__Event *event = effect->message->event;
    if (event->what_case == PEN__EVENT__WHAT_STARTED && !event->started->has_began_ms) {
        world->asks = true;
        world->asks_after_sync = effect->after_sync;
    }
    if (event->what_case == PEN__EVENT__WHAT_FINISHED) {
        world->finish_kind = (int)event->finished->kind;
        world->finish_seq = event->seq;
    }
}

static void step(struct world *world, struct pen_session_input *input)
{
    struct pen_error err = {0};
    input->now_ms = world->now_ms;
    world->starts = world->asks = world->asks_after_sync = false;
    world->finish_kind = 0;
    assert_int_equal(pen_session_step(world->session, input, &world->out, &err), 0);
    for (size_t i = 0; i < world->out.effects_count; i++)
        look_at(world, &world->out.effects[i]);
    world->sync = world->out.sync;
    pen_session_turn_done(world->session, &world->out);
}

static void frame(struct world *world, Pen__ToAgent__BodyCase kind, void *body)
{
    Pen__ToAgent message = PEN__TO_AGENT__INIT;
    message.has_session_no = true;
    message.session_no = world->session_no;
    message.body_case = kind;
    message.welcome = body; /* a union of pointers */
    ProtobufCMessage *copy = NULL;
    assert_int_equal(pen_wire_copy(&message, &copy, NULL), 0);
    struct pen_session_input input = {.kind = PEN_IN_FRAME, .frame = (Pen__ToAgent *)copy};
    step(world, &input);
    pen_message_destroy(&copy);
}

static void welcome(struct world *world, uint64_t known_seq)
{
    Pen__Welcome body = PEN__WELCOME__INIT;
    Pen__KnownAttempt known = PEN__KNOWN_ATTEMPT__INIT;
    Pen__KnownAttempt *list[] = {&known};
    known.has_fence = known.has_last_seq = true;
    known.fence = FENCE;
    known.last_seq = known_seq;
    body.has_session_no = true;
    body.session_no = ++world->session_no;
    body.known = list;
    body.n_known = 1;
    frame(world, PEN__TO_AGENT__BODY_WELCOME, &body);
}

static void start(struct world *world)
{
    Pen__Start body = PEN__START__INIT;
    Pen__Capsule capsule = PEN__CAPSULE__INIT;
    char provider[] = "Commands";
    char command[] = "true";
    char *commands[] = {command};
    capsule.has_fence = body.has_fence = true;
    capsule.fence = body.fence = FENCE;
    capsule.provider = provider;
    capsule.commands = commands;
    capsule.n_commands = 1;
    capsule.has_action_class = true;
    capsule.action_class = PEN__ACTION_CLASS__ONCE;
    body.capsule = &capsule;
    body.has_start_ttl_ms = true;
    body.start_ttl_ms = TTL_MS;
    frame(world, PEN__TO_AGENT__BODY_START, &body);
}

static void ack(struct world *world, uint64_t seq)
{
    Pen__EventAck body = PEN__EVENT_ACK__INIT;
    body.has_fence = body.has_seq = true;
    body.fence = FENCE;
    body.seq = seq;
    frame(world, PEN__TO_AGENT__BODY_EVENT_ACK, &body);
}

static int set_up(void **state)
{
    static const struct pen_session_config config = {.spool_id = "spool",
                                                     .boot_id = "boot",
                                                     .run_id = "run",
                                                     .machine_id = "machine",
                                                     .slots = 2};
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    assert_int_equal(pen_session_create(&config, &world->session, NULL), 0);
    struct pen_session_input connected = {.kind = PEN_IN_CONNECTED};
    step(world, &connected);
    welcome(world, 0);
    start(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    pen_session_destroy(&world->session);
    free(world);
    return 0;
}

static void check_never_begins(struct world *world)
{
    assert_int_equal(world->finish_kind, PEN__FINISH_KIND__NEVER_BEGAN);
    assert_int_equal(world->finish_seq, 2);
    assert_int_equal(pen_session_state(world->session, FENCE), PEN_ATTEMPT_FINISHED);
    assert_true(world->sync);
    ack(world, 1); /* late */
    assert_false(world->starts);
}

static void test_asks_first(void **state)
{
    struct world *world = *state;
    assert_false(world->starts);
    assert_true(world->asks);
    assert_true(world->asks_after_sync); /* what is not durable is not told */
    assert_true(world->sync);
    ack(world, 1);
    assert_true(world->starts);
    ack(world, 1);
    assert_false(world->starts);
    struct pen_session_input began = {.kind = PEN_IN_BEGAN, .fence = FENCE};
    began.began.began_ms = 1;
    step(world, &began);
    assert_int_equal(pen_session_state(world->session, FENCE), PEN_ATTEMPT_RUNNING);
}

static void test_start_that_comes_again_asks_again(void **state)
{
    struct world *world = *state;
    start(world);
    assert_true(world->asks);
    assert_false(world->starts);
    ack(world, 1);
    assert_true(world->starts);
}

/* The acknowledgement was lost with the session: another process may have come in between. */
static void test_a_new_session_does_not_let_it_begin(void **state)
{
    struct world *world = *state;
    welcome(world, 1);
    assert_false(world->starts);
    check_never_begins(world);
}

static void test_no_answer(void **state)
{
    struct world *world = *state;
    struct pen_session_input timer = {.kind = PEN_IN_TIMER};
    world->now_ms = TTL_MS - 1;
    step(world, &timer);
    assert_int_equal(world->finish_kind, 0);
    assert_true(pen_session_deadline_ms(world->session) <= TTL_MS);
    world->now_ms = TTL_MS;
    step(world, &timer);
    check_never_begins(world);
}

static void test_revoked_while_it_asks(void **state)
{
    struct world *world = *state;
    Pen__Revoke body = PEN__REVOKE__INIT;
    body.has_fence = true;
    body.fence = FENCE;
    frame(world, PEN__TO_AGENT__BODY_REVOKE, &body);
    check_never_begins(world);
}

static void test_canceled_while_it_asks(void **state)
{
    struct world *world = *state;
    Pen__Cancel body = PEN__CANCEL__INIT;
    body.has_fence = true;
    body.fence = FENCE;
    frame(world, PEN__TO_AGENT__BODY_CANCEL, &body);
    check_never_begins(world);
}

static void test_given_up_while_it_asks(void **state)
{
    struct world *world = *state;
    Pen__Release body = PEN__RELEASE__INIT;
    uint64_t fence = FENCE;
    body.fences = &fence;
    body.n_fences = 1;
    frame(world, PEN__TO_AGENT__BODY_RELEASE, &body);
    assert_int_equal(pen_session_state(world->session, FENCE), PEN_ATTEMPT_NONE);
    assert_int_equal(pen_session_free_slots(world->session), 2);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(test_asks_first),
        ROW(test_start_that_comes_again_asks_again),
        ROW(test_a_new_session_does_not_let_it_begin),
        ROW(test_no_answer),
        ROW(test_revoked_while_it_asks),
        ROW(test_canceled_while_it_asks),
        ROW(test_given_up_while_it_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
