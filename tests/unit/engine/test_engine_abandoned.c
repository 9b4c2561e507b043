/* Work that outlives its action: seen, held apart from a second copy, ended by a person. */
#include "tests/unit/engine/world.h"

#define SUCCEEDED PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED
#define STOPPED   PEN__EXECUTION_STATUS__EXECUTION_STOPPED
#define RUNNING   PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS

static void stop(struct world *w, const char *id)
{
    Pen__StopExecution *request = MAKE(Pen__StopExecution, pen__stop_execution__init);
    request->pipeline = mem_text("p");
    request->execution_id = mem_text(id);
    SET(request, abandon, 1);
    world_post(w, PEN__INPUT__WHAT_STOP_EXECUTION, request);
}

static void retry(struct world *w, const char *id)
{
    Pen__RetryStage *request = MAKE(Pen__RetryStage, pen__retry_stage__init);
    request->pipeline = mem_text("p");
    request->stage = mem_text("Deploy");
    request->execution_id = mem_text(id);
    world_post(w, PEN__INPUT__WHAT_RETRY_STAGE, request);
}

/* A world with one agent, where D of class once runs; it counts how often D begins. */
static char *begin(struct world *w, const char *mode)
{
    world_begin(w);
    world_add_agent(w, "a", 3, NULL, NULL);
    w->holding = w->counted = "D";
    char *id = world_create(w, declare("p", mode, "Source:S=source|Deploy:D=once"));
    assert_int_equal(w->begun, 1);
    return id;
}

static void test_retry_beside_the_living(void **state)
{
    (void)state;
    struct world w;
    char *id = begin(&w, NULL);
    stop(&w, id);
    assert_null(w.reply->error);
    retry(&w, id);
    assert_non_null(w.reply->error);
    assert_string_equal(w.reply->error, "StageNotRetryableException");
    assert_int_equal(w.begun, 1);
    free(id);
    world_end(&w);
}

static void test_next_execution_beside_the_living(void **state)
{
    (void)state;
    struct world w;
    char *id = begin(&w, NULL);
    stop(&w, id);
    char *next = world_start(&w, "p");
    assert_int_equal(w.begun, 1);
    free(next);
    free(id);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retry_beside_the_living),
        cmocka_unit_test(test_next_execution_beside_the_living),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
