/* GET /readyz: what is said, to whom, and how often the core is asked for it. */
#include "tests/unit/http/fixture.h"

#define READYZ "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"

static char *names[8];
static size_t names_count;
static uint64_t held; /* correlation of a question that is not answered yet */

static bool with_names(struct fixture *f, const Pen__Input *input, Pen__Reply *reply)
{
    (void)f;
    (void)input;
    static Pen__Reason reasons[8];
    static Pen__Reason *list[8];
    for (size_t i = 0; i < names_count; i++) {
        reasons[i] = (Pen__Reason)PEN__REASON__INIT;
        reasons[i].subject = (char *)"secret-pipeline/Stage/Action";
        reasons[i].sentence = (char *)"secret-pipeline waits";
        reasons[i].predicate = names[i];
        list[i] = &reasons[i];
    }
    reply->reasons = list;
    reply->n_reasons = names_count;
    return true;
}

static bool hold(struct fixture *f, const Pen__Input *input, Pen__Reply *reply)
{
    (void)reply;
    pthread_mutex_lock(&f->mutex);
    held = input->correlation;
    pthread_mutex_unlock(&f->mutex);
    return false;
}

static unsigned asked(struct fixture *f)
{
    pthread_mutex_lock(&f->mutex);
    unsigned count = f->health_inputs;
    pthread_mutex_unlock(&f->mutex);
    return count;
}

/* Until what was said last is old. */
static void forget(void)
{
    (void)poll(NULL, 0, 1100);
}

static void assert_readyz(struct fixture *f, int status, const char *words)
{
    struct response response;
    exchange_text(f, READYZ, &response);
    assert_int_equal(response.status, status);
    if (strstr(pen_buf_text(&response.body), words) == NULL)
        fail_msg("%s lacks %s", pen_buf_text(&response.body), words);
    assert_null(strstr(pen_buf_text(&response.body), "secret"));
    response_release(&response);
}

static void test_names_of_what_is_wrong_and_no_more(void **state)
{
    struct fixture *f = *state;
    f->health = with_names;
    names[0] = names[2] = (char *)"labels_unmatched";
    names[1] = (char *)"agent_refuses";
    names_count = 3;
    forget();
    assert_readyz(f, 200, "[\"labels_unmatched\",\"agent_refuses\"]");
    assert_readyz(f, 200, "\"status\":\"ready\"");
}

static void test_a_full_disk_is_not_ready(void **state)
{
    struct fixture *f = *state;
    f->health = with_names;
    names[0] = (char *)"disk_full";
    names_count = 1;
    forget();
    assert_readyz(f, 503, "disk is full");
    names_count = 0;
    forget();
    assert_readyz(f, 200, "\"problems\":[]");
}

static void test_one_question_a_second(void **state)
{
    struct fixture *f = *state;
    f->health = NULL;
    forget();
    unsigned before = asked(f);
    for (int i = 0; i < 50; i++)
        assert_readyz(f, 200, "ready");
    assert_in_range(asked(f) - before, 1, 10); /* more than one only when this took seconds */
}

static void test_one_question_for_all_that_wait(void **state)
{
    struct fixture *f = *state;
    enum { CALLERS = 20 };
    int fds[CALLERS];
    f->health = hold;
    held = 0;
    forget();
    unsigned before = asked(f);
    for (int i = 0; i < CALLERS; i++) {
        fds[i] = open_connection(f);
        send_all(fds[i], READYZ, strlen(READYZ));
    }
    close(fds[0]); /* who asked first does not wait for the answer */
    struct pollfd last = {.fd = fds[CALLERS - 1], .events = POLLIN};
    assert_int_equal(poll(&last, 1, 500), 0); /* and nobody is answered yet */
    assert_int_equal(asked(f) - before, 1);
    Pen__Reply reply = PEN__REPLY__INIT;
    reply.has_correlation = true;
    reply.correlation = held;
    Pen__Effect effect = PEN__EFFECT__INIT;
    effect.what_case = PEN__EFFECT__WHAT_REPLY;
    effect.reply = &reply;
    post_effect(f, &effect);
    for (int i = 1; i < CALLERS; i++) {
        struct response response;
        receive(fds[i], &response);
        assert_int_equal(response.status, 200);
        response_release(&response);
        close(fds[i]);
    }
    f->health = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_of_what_is_wrong_and_no_more),
        cmocka_unit_test(test_a_full_disk_is_not_ready),
        cmocka_unit_test(test_one_question_a_second),
        cmocka_unit_test(test_one_question_for_all_that_wait),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
