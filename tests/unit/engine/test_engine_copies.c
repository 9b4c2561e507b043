/* Copies of a machine: a second process with the same key and the same spool gets nothing that was
 * granted to the first, and a plain restart of an agent still goes on. */
#include "tests/unit/engine/world.h"

#define SUCCEEDED PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED

static Pen__AttemptState state_of(struct world *w, uint64_t fence)
{
    char *key = mem_format("%020llu", (unsigned long long)fence);
    Pen__AttemptRow *row =
        world_row(w, PEN__ROW_KIND__ROW_ATTEMPT, key, &pen__attempt_row__descriptor);
    free(key);
    assert_non_null(row);
    Pen__AttemptState state = row->state;
    mem_free_message(row);
    return state;
}

/* The action of class once is granted, and its start is lost on the way to the agent. */
static char *world_with_lost_start(struct world *w, const char *kind)
{
    world_begin(w);
    struct fake_agent *a = world_add_agent(w, "a", 1, NULL, NULL);
    w->counted = "D";
    a->loses_starts = true;
    char *stages = mem_format("Source:S=source|Deploy:D=%s", kind);
    char *id = world_create(w, declare("p", NULL, stages));
    free(stages);
    assert_int_equal(a->jobs_count, 0);
    assert_int_equal(state_of(w, 1), PEN__ATTEMPT_STATE__ATTEMPT_GRANTED);
    a->loses_starts = false;
    return id;
}

static void test_start_goes_to_no_other_process(void **state)
{
    (void)state;
    struct world w;
    char *id = world_with_lost_start(&w, "once");
    struct fake_agent *a = &w.agents[0];
    mem_set_text(&a->run_id, "another");
    agent_hello(&w, a);
    world_perform(&w);
    assert_int_equal(state_of(&w, 1), PEN__ATTEMPT_STATE__ATTEMPT_CANCELED);
    assert_int_equal(w.begun, 1);
    assert_true(a->max_fence > 1); /* a fence of its own, which the first process never saw */
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    free(id);
    world_end(&w);
}

static void test_start_is_sent_again_to_the_same_process(void **state)
{
    (void)state;
    struct world w;
    char *id = world_with_lost_start(&w, "once");
    agent_hello(&w, &w.agents[0]);
    world_perform(&w);
    assert_int_equal(state_of(&w, 1), PEN__ATTEMPT_STATE__ATTEMPT_SUCCEEDED);
    assert_int_equal(w.begun, 1);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    free(id);
    world_end(&w);
}

/* What both would write under one fence, its log and its artifacts, would be a mixture. */
static void test_repeatable_start_goes_to_no_other_process(void **state)
{
    (void)state;
    struct world w;
    char *id = world_with_lost_start(&w, "run");
    mem_set_text(&w.agents[0].run_id, "another");
    agent_hello(&w, &w.agents[0]);
    world_perform(&w);
    assert_int_equal(state_of(&w, 1), PEN__ATTEMPT_STATE__ATTEMPT_LOST);
    assert_true(w.agents[0].max_fence > 1);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    free(id);
    world_end(&w);
}

/* The first process speaks again after the second has come: it gets no permission to begin. */
static void test_former_process_is_not_acknowledged(void **state)
{
    (void)state;
    struct world w;
    char *id = world_with_lost_start(&w, "once");
    struct fake_agent *a = &w.agents[0];
    uint64_t link = a->link;
    uint64_t session_no = a->session_no;
    w.holding = "D";
    mem_set_text(&a->run_id, "another");
    agent_hello(&w, a);
    world_perform(&w);
    assert_int_equal(w.begun, 1);
    Pen__Event *event = MAKE(Pen__Event, pen__event__init);
    SET(event, fence, 1);
    SET(event, seq, 1);
    event->what_case = PEN__EVENT__WHAT_STARTED;
    event->started = MAKE(Pen__Started, pen__started__init);
    uint64_t current = a->link;
    uint64_t current_session = a->session_no;
    a->link = link;
    a->session_no = session_no;
    world_send(&w, a, PEN__FROM_AGENT__BODY_EVENT, event);
    for (size_t i = w.effects_done; i < w.effects_count; i++)
        assert_false(w.effects[i]->what_case == PEN__EFFECT__WHAT_AGENT_SEND &&
                     w.effects[i]->agent_send->message->body_case == PEN__TO_AGENT__BODY_EVENT_ACK);
    a->link = current;
    a->session_no = current_session;
    world_perform(&w);
    assert_int_equal(state_of(&w, 1), PEN__ATTEMPT_STATE__ATTEMPT_CANCELED);
    free(id);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_goes_to_no_other_process),
        cmocka_unit_test(test_start_is_sent_again_to_the_same_process),
        cmocka_unit_test(test_repeatable_start_goes_to_no_other_process),
        cmocka_unit_test(test_former_process_is_not_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
