/* A controller that restarts after every step of a scenario, with the effects of that step lost. */
#include "tests/unit/engine/world.h"

#define SUCCEEDED PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED

/* What a person would see in the end. */
static char *outcome(struct world *w, const char *id)
{
    char *text = mem_format("%d", (int)world_status(w, id));
    static const char *const actions[] = {"S", "Compile", "Lint", "Approve", "Deploy"};
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        Pen__ActionExecutionRow *row = world_action(w, id, actions[i]);
        char *longer = mem_format("%s %s=%d", text, actions[i], row == NULL ? 0 : (int)row->status);
        mem_free_message(row);
        free(text);
        text = longer;
    }
    return text;
}

static char *play(uint64_t restart_at_step, uint64_t *ret_steps, bool *ret_doubled)
{
    struct world w;
    world_begin(&w);
    w.counted = "Deploy";
    world_add_agent(&w, "a", 1, NULL, NULL);
    world_add_agent(&w, "b", 1, NULL, NULL);
    uint64_t before = w.steps;
    w.restart_at_step = restart_at_step == 0 ? 0 : before + restart_at_step;
    Pen__PipelineDeclaration *declaration =
        declare("p", NULL,
                "Source:S=source|Build:Compile=made,Lint=run|Ok:Approve=approve|Out:Deploy=once");
    Pen__CreatePipeline *request = MAKE(Pen__CreatePipeline, pen__create_pipeline__init);
    request->declaration = declaration;
    world_post(&w, PEN__INPUT__WHAT_CREATE_PIPELINE, request);
    char *id = NULL;
    for (struct pen_map_node *n = pen_map_first(&w.store); n != NULL && id == NULL;
         n = pen_map_next(n)) {
        const struct pen_row *row = ((struct stored *)pen_map_value(n))->row;
        if (row->kind == PEN__ROW_KIND__ROW_EXECUTION)
            id = mem_text(row->key);
    }
    world_tick(&w, 15 * 1000); /* offers that were lost with the controller run out */
    Pen__ActionExecutionRow *approve = world_action(&w, id, "Approve");
    assert_non_null(approve);
    if (approve->phase == PEN__ACTION_PHASE__ACTION_APPROVAL)
        world_approve(&w, "p", "Ok", "Approve", approve->approval_token, true);
    mem_free_message(approve);
    world_tick(&w, 15 * 1000);
    *ret_steps = w.steps - before;
    *ret_doubled = w.begun > 1;
    char *text = outcome(&w, id);
    free(id);
    world_end(&w);
    return text;
}

static void test_restart_after_every_step(void **state)
{
    (void)state;
    uint64_t steps = 0;
    bool doubled = false;
    char *wanted = play(0, &steps, &doubled);
    assert_true(steps >= 18);
    assert_string_equal(wanted, "4 S=2 Compile=2 Lint=2 Approve=2 Deploy=2");
    for (uint64_t at = 1; at <= steps; at++) {
        uint64_t ignored;
        char *got = play(at, &ignored, &doubled);
        if (strcmp(got, wanted) != 0)
            fail_msg("restarted after step %d: %s", (int)at, got);
        assert_false(doubled);
        free(got);
    }
    free(wanted);
}

/* A controller whose clock was set back while it was down goes on from where it was. */
static void test_time_of_the_last_fact_is_kept(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 1, NULL, NULL);
    free(world_create(&w, declare("p", NULL, "Source:S=source|Build:A=run")));
    int64_t last_ms = pen_engine_time(w.engine);
    assert_int_equal(last_ms, w.now_ms);
    w.now_ms += 60000;
    w.agents[0].up = false; /* its hello would be a fact */
    world_restart(&w);
    assert_int_equal(pen_engine_time(w.engine), last_ms);
    world_perform(&w);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restart_after_every_step),
        cmocka_unit_test(test_time_of_the_last_fact_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
