/* Effects on their way to the threads that perform them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/io/inbox.h"
#include "common/wire/wire.h"
#include "controller/app/route.h"

/* A message to an agent, without its fields. */
static Pen__Effect *to_agent(Pen__ToAgent__BodyCase what, void *body)
{
    Pen__ToAgent message = PEN__TO_AGENT__INIT;
    message.body_case = what;
    message.start = body;
    Pen__AgentSend send = PEN__AGENT_SEND__INIT;
    send.message = &message;
    Pen__Effect effect = PEN__EFFECT__INIT;
    effect.what_case = PEN__EFFECT__WHAT_AGENT_SEND;
    effect.agent_send = &send;
    ProtobufCMessage *copy = NULL;
    assert_int_equal(pen_wire_copy(&effect, &copy, NULL), 0);
    return (Pen__Effect *)copy;
}

static void test_starts_before_releases(void **state)
{
    (void)state;
    Pen__Release release = PEN__RELEASE__INIT;
    Pen__EventAck ack = PEN__EVENT_ACK__INIT;
    Pen__Start start = PEN__START__INIT;
    Pen__Effect *effects[] = {to_agent(PEN__TO_AGENT__BODY_RELEASE, &release),
                              to_agent(PEN__TO_AGENT__BODY_EVENT_ACK, &ack),
                              to_agent(PEN__TO_AGENT__BODY_START, &start)};
    struct pen_engine_out out = {.effects = effects, .effects_count = 3};
    PEN_CLEANUP(pen_inbox_destroy) struct pen_inbox *inbox = NULL;
    assert_int_equal(pen_inbox_create(4, &inbox, NULL), 0);
    const struct pen_routes routes = {.dispatch = inbox};
    assert_int_equal(pen_route_effects(&routes, &out, NULL), 0);
    assert_int_equal(out.effects_count, 0);
    static const Pen__ToAgent__BodyCase order[] = {
        PEN__TO_AGENT__BODY_EVENT_ACK, PEN__TO_AGENT__BODY_START, PEN__TO_AGENT__BODY_RELEASE};
    for (size_t i = 0; i < 3; i++) {
        struct pen_post post;
        assert_int_equal(pen_inbox_take(inbox, &post, 1), 1);
        const Pen__Effect *effect = post.body;
        assert_int_equal(effect->agent_send->message->body_case, order[i]);
        pen_post_release(&post);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starts_before_releases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
