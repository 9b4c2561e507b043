/* Tokens and the keys that they let in: once, in time, and one agent for each key. */
#include "tests/unit/engine/world.h"

enum { TTL_MS = 1000 };

/* A token that is good for a second; its id. Free it. */
static char *make_token(struct world *w, uint8_t key)
{
    Pen__CreateToken *request = MAKE(Pen__CreateToken, pen__create_token__init);
    request->has_public_key = 1;
    request->public_key.len = 32;
    request->public_key.data = mem_zero(32);
    request->public_key.data[0] = key;
    SET(request, ttl_ms, TTL_MS);
    world_post(w, PEN__INPUT__WHAT_CREATE_TOKEN, request);
    assert_null(w->reply->error);
    return mem_text(w->reply->id);
}

static const Pen__ToAgent *answer_of(const struct world *w)
{
    for (size_t i = w->effects_done; i < w->effects_count; i++)
        if (w->effects[i]->what_case == PEN__EFFECT__WHAT_AGENT_SEND)
            return w->effects[i]->agent_send->message;
    fail_msg("no answer");
    return NULL;
}

/* Enrol this key; NULL when it was let in, else why not: valid until the next call. */
static const char *enrol(struct world *w, const char *token, uint8_t key)
{
    static char why[200];
    Pen__Enroll *enroll = MAKE(Pen__Enroll, pen__enroll__init);
    enroll->has_public_key = 1;
    enroll->public_key.len = 32;
    enroll->public_key.data = mem_zero(32);
    enroll->public_key.data[0] = key;
    enroll->name = mem_text("host");
    Pen__AgentMessage *m = MAKE(Pen__AgentMessage, pen__agent_message__init);
    m->agent_id = mem_text(token);
    SET(m, from_token, 1);
    SET(m, link, 7);
    m->message = MAKE(Pen__FromAgent, pen__from_agent__init);
    m->message->body_case = PEN__FROM_AGENT__BODY_ENROLL;
    m->message->enroll = enroll;
    Pen__Input *input = input_new(PEN__INPUT__WHAT_AGENT_MESSAGE, m);
    world_perform(w);
    world_step(w, input);
    mem_free_message(input);
    const Pen__ToAgent *answer = answer_of(w);
    bool refused = answer->body_case == PEN__TO_AGENT__BODY_REFUSED;
    if (refused) {
        assert_int_equal(answer->refused->code, PEN__REFUSED_CODE__DENIED);
        (void)snprintf(why, sizeof why, "%s", answer->refused->message);
    } else {
        assert_int_equal(answer->body_case, PEN__TO_AGENT__BODY_ENROLLED);
    }
    world_perform(w);
    return refused ? why : NULL;
}

static void test_a_token_lets_one_key_in_and_no_second(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    char *token = make_token(&w, 100);
    assert_null(enrol(&w, token, 1));
    assert_string_equal(enrol(&w, token, 2), "the token is spent or has expired");
    free(token);
    world_end(&w);
}

static void test_an_expired_token_lets_nobody_in(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    char *token = make_token(&w, 100);
    world_tick(&w, TTL_MS);
    assert_string_equal(enrol(&w, token, 1), "the token is spent or has expired");
    free(token);
    world_end(&w);
}

static void test_a_key_is_one_agent(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    char *first = make_token(&w, 100);
    char *second = make_token(&w, 101);
    assert_null(enrol(&w, first, 1));
    assert_non_null(strstr(enrol(&w, second, 1), "in use"));
    assert_null(enrol(&w, second, 2)); /* the token was not spent by that */
    free(first);
    free(second);
    world_end(&w);
}

/* An agent that does not say how many slots it has gets what its token says, and is told so. */
static void test_slots_by_the_token(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *a = world_add_agent(&w, "a", 3, NULL, NULL);
    a->slots = 0;
    agent_hello(&w, a);
    const Pen__Welcome *welcome = w.effects[w.effects_count - 1]->agent_send->message->welcome;
    assert_int_equal(welcome->slots, 3);
    world_perform(&w);
    a->slots = 2;
    agent_hello(&w, a);
    welcome = w.effects[w.effects_count - 1]->agent_send->message->welcome;
    assert_int_equal(welcome->slots, 2);
    world_perform(&w);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_token_lets_one_key_in_and_no_second),
        cmocka_unit_test(test_an_expired_token_lets_nobody_in),
        cmocka_unit_test(test_a_key_is_one_agent),
        cmocka_unit_test(test_slots_by_the_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
