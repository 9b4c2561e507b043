/* Repositories that the controller keeps: a request is answered once the repository is there. */
#include "tests/unit/engine/world.h"

static void create(struct world *w, const char *name)
{
    Pen__CreateRepository *request = MAKE(Pen__CreateRepository, pen__create_repository__init);
    request->name = mem_text(name);
    world_post(w, PEN__INPUT__WHAT_CREATE_REPOSITORY, request);
}

/* What the sources say. */
static void made(struct world *w, const char *name, uint64_t correlation, const char *problem)
{
    Pen__RepositoryMade *body = MAKE(Pen__RepositoryMade, pen__repository_made__init);
    body->name = mem_text(name);
    SET(body, correlation, correlation);
    body->error_message = mem_text(problem);
    world_arrive(w, input_new(PEN__INPUT__WHAT_REPOSITORY_MADE, body));
    world_perform(w);
}

static void test_the_answer_comes_after_the_deed(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    create(&w, "r");
    uint64_t first = w.correlation;
    assert_null(w.reply);
    /* a second one is refused at once, and has no part in the first */
    create(&w, "r");
    assert_string_equal(w.reply->error, "RepositoryNameExistsException");
    made(&w, "r", first, NULL);
    assert_null(w.reply->error);
    assert_int_equal(w.reply->correlation, first);
    assert_string_equal(w.reply->id, "r");
    world_end(&w);
}

static void test_one_that_cannot_be_made(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    create(&w, "r");
    made(&w, "r", w.correlation, "no space left");
    assert_string_equal(w.reply->error, "ServiceUnavailableException");
    assert_non_null(strstr(w.reply->message, "'r' cannot be made: no space left"));
    /* it is not listed any more, so the same request can be repeated */
    create(&w, "r");
    assert_null(w.reply);
    made(&w, "r", w.correlation, NULL);
    assert_null(w.reply->error);
    /* one that was deleted meanwhile */
    create(&w, "s");
    uint64_t waits = w.correlation;
    Pen__DeleteRepository *request = MAKE(Pen__DeleteRepository, pen__delete_repository__init);
    request->name = mem_text("s");
    world_post(&w, PEN__INPUT__WHAT_DELETE_REPOSITORY, request);
    assert_null(w.reply->error);
    made(&w, "s", waits, "in the way");
    assert_int_equal(w.reply->correlation, waits);
    assert_non_null(w.reply->error);
    world_end(&w);
}

/* After a restart it is made again, and nobody is answered. */
static void test_a_restart_makes_it_without_an_answer(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    create(&w, "r");
    assert_null(w.reply);
    world_restart(&w);
    world_perform(&w);
    assert_null(w.reply);
    create(&w, "r");
    assert_string_equal(w.reply->error, "RepositoryNameExistsException");
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_answer_comes_after_the_deed),
        cmocka_unit_test(test_one_that_cannot_be_made),
        cmocka_unit_test(test_a_restart_makes_it_without_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
