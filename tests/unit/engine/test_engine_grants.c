/* Work that is granted with the commit that settles an agent's last attempt, without an offer. */
#include "tests/unit/engine/world.h"

#define SUCCEEDED PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED

static int offers, starts, acknowledgements, releases;

static void count(struct world *w, const Pen__Effect *effect)
{
    (void)w;
    if (effect->what_case != PEN__EFFECT__WHAT_AGENT_SEND)
        return;
    offers += effect->agent_send->message->body_case == PEN__TO_AGENT__BODY_OFFER;
    starts += effect->agent_send->message->body_case == PEN__TO_AGENT__BODY_START;
    acknowledgements += effect->agent_send->message->body_case == PEN__TO_AGENT__BODY_EVENT_ACK;
    releases += effect->agent_send->message->body_case == PEN__TO_AGENT__BODY_RELEASE;
}

/* Run it on an agent with one slot, which is ready with each result or never; it succeeds. */
static void run(const char *pipeline, bool ready)
{
    struct world w;
    offers = starts = 0;
    world_begin(&w);
    w.observes = count;
    world_add_agent(&w, "a", 1, NULL, NULL);
    w.agents[0].ready = ready;
    char *id = world_create(&w, declare("p", NULL, pipeline));
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    free(id);
    world_end(&w);
}

static void test_ready_agent_is_not_asked(void **state)
{
    (void)state;
    run("Source:S=source|Build:A=run,B=run,C=run", true);
    assert_int_equal(offers, 1);
    assert_int_equal(starts, 3);
}

static void test_other_agents_are_asked(void **state)
{
    (void)state;
    run("Source:S=source|Build:A=run,B=run,C=run", false);
    assert_int_equal(offers, 3);
    assert_int_equal(starts, 3);
}

static void test_once_is_always_offered(void **state)
{
    (void)state;
    run("Source:S=source|Build:A=run|Deploy:D=once,E=once", true);
    assert_int_equal(offers, 3);
    assert_int_equal(starts, 3);
}

/* What it said with its result holds for the moment in which the result is taken, not later. */
static void test_readiness_does_not_last(void **state)
{
    (void)state;
    struct world w;
    offers = starts = 0;
    world_begin(&w);
    w.observes = count;
    world_add_agent(&w, "a", 1, NULL, NULL);
    w.agents[0].ready = true;
    char *first = world_create(&w, declare("p", NULL, "Source:S=source|Build:A=run"));
    assert_int_equal(world_status(&w, first), SUCCEEDED);
    char *second = world_create(&w, declare("q", NULL, "Source:S=source|Build:A=run"));
    assert_int_equal(world_status(&w, second), SUCCEEDED);
    assert_int_equal(offers, 2);
    free(first);
    free(second);
    world_end(&w);
}

/* The process was stopped, and the result may have waited for it: nobody knows what became of its
 * agent since. */
static void test_stopped_controller_asks(void **state)
{
    (void)state;
    for (int stopped = 0; stopped < 2; stopped++) {
        struct world w;
        offers = starts = 0;
        world_begin(&w);
        w.observes = count;
        world_add_agent(&w, "a", 1, NULL, NULL);
        w.agents[0].ready = true;
        w.holding = "A";
        char *id = world_create(&w, declare("p", NULL, "Source:S=source|Build:A=run,B=run"));
        if (stopped)
            world_leap(&w);
        world_finish(&w, "A", 0);
        assert_int_equal(starts, 2);
        assert_int_equal(offers, 1 + stopped);
        assert_int_equal(world_status(&w, id), SUCCEEDED);
        free(id);
        world_end(&w);
    }
}

/* A grant while another agent has an offer takes a number above it: that one is granted anew. */
static void test_grant_beside_an_open_offer(void **state)
{
    (void)state;
    struct world w;
    offers = starts = 0;
    world_begin(&w);
    w.observes = count;
    world_add_agent(&w, "a", 1, NULL, NULL);
    w.holding = "A";
    char *first = world_create(&w, declare("p", NULL, "Source:S=source|Build:A=run"));
    world_add_agent(&w, "b", 1, NULL, NULL);
    w.agents[0].ready = true;
    w.agents[1].deaf = true;
    char *second = world_create(&w, declare("q", NULL, "Source:S=source|Build:B=run,C=run"));
    w.agents[1].deaf = false;
    world_finish(&w, "A", 0); /* C is granted to a */
    assert_int_equal(starts, 2);
    Pen__Accept *accept = MAKE(Pen__Accept, pen__accept__init);
    SET(accept, fence, 2);
    world_send(&w, &w.agents[1], PEN__FROM_AGENT__BODY_ACCEPT, accept);
    world_perform(&w);
    assert_int_equal(starts, 3);
    assert_int_equal(offers, 2);
    assert_int_equal(world_status(&w, first), SUCCEEDED);
    assert_int_equal(world_status(&w, second), SUCCEEDED);
    free(first);
    free(second);
    world_end(&w);
}

/* What is settled at once is released; it needs no acknowledgement as well. */
static void test_release_acknowledges(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    w.observes = count;
    world_add_agent(&w, "a", 1, NULL, NULL);
    w.holding = "A";
    char *id = world_create(&w, declare("p", NULL, "Source:S=source|Build:A=run"));
    acknowledgements = releases = 0;
    Pen__Event *event = MAKE(Pen__Event, pen__event__init);
    SET(event, fence, 1);
    SET(event, seq, 2);
    event->what_case = PEN__EVENT__WHAT_FINISHED;
    event->finished = MAKE(Pen__Finished, pen__finished__init);
    SET(event->finished, kind, PEN__FINISH_KIND__EXITED);
    world_send(&w, &w.agents[0], PEN__FROM_AGENT__BODY_EVENT, event); /* no output: all is there */
    world_perform(&w);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    assert_int_equal(releases, 1);
    assert_int_equal(acknowledgements, 0);
    free(id);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ready_agent_is_not_asked),
        cmocka_unit_test(test_other_agents_are_asked),
        cmocka_unit_test(test_once_is_always_offered),
        cmocka_unit_test(test_readiness_does_not_last),
        cmocka_unit_test(test_stopped_controller_asks),
        cmocka_unit_test(test_grant_beside_an_open_offer),
        cmocka_unit_test(test_release_acknowledges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
