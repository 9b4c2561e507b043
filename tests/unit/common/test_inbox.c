#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>

#include "common/base/cleanup.h"
#include "common/io/inbox.h"

static int released;

static void body_destroy(void *body)
{
    released++;
    free(body);
}

static bool is_readable(struct pen_inbox *inbox)
{
    struct pollfd watch = {.fd = pen_inbox_fd(inbox), .events = POLLIN};
    return poll(&watch, 1, 0) == 1;
}

static void keeps_order_and_wakes(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_inbox_destroy) struct pen_inbox *inbox = NULL;
    assert_int_equal(pen_inbox_create(3, &inbox, NULL), 0);
    struct pen_post posts[3];
    for (uint64_t round = 0; round < 5; round++) { /* the ring goes round */
        assert_false(is_readable(inbox));
        assert_int_equal(pen_inbox_take(inbox, posts, 3), 0);
        for (int i = 0; i < 3; i++) {
            struct pen_post post = {.kind = i, .number = round};
            assert_int_equal(pen_inbox_post(inbox, &post, NULL), 0);
        }
        assert_true(is_readable(inbox));
        assert_int_equal(pen_inbox_take(inbox, posts, 2), 2);
        assert_int_equal(posts[0].kind, 0);
        assert_int_equal(posts[1].kind, 1);
        assert_true(is_readable(inbox)); /* one is left */
        assert_int_equal(pen_inbox_take(inbox, posts, 3), 1);
        assert_int_equal(posts[0].kind, 2);
        assert_true(posts[0].number == round);
    }
}

static void refuses_when_full(void **state)
{
    (void)state;
    released = 0;
    PEN_CLEANUP(pen_inbox_destroy) struct pen_inbox *inbox = NULL;
    assert_int_equal(pen_inbox_create(1, &inbox, NULL), 0);
    struct pen_post post = {.body = malloc(4), .destroy = body_destroy};
    assert_int_equal(pen_inbox_post(inbox, &post, NULL), 0);
    struct pen_post second = {.body = malloc(4), .destroy = body_destroy};
    struct pen_error err;
    assert_int_equal(pen_inbox_post(inbox, &second, &err), PEN_ELIMIT);
    assert_non_null(strstr(err.message, "try again"));
    assert_int_equal(released, 0);
    pen_post_release(&second); /* still the poster's */
    assert_int_equal(released, 1);
    pen_inbox_destroy(&inbox); /* frees the waiting one */
    assert_int_equal(released, 2);
    assert_null(inbox);
}

enum { POSTERS = 3, POSTS = 2000 };

struct poster {
    struct pen_inbox *inbox;
    int kind;
};

static void *poster_main(void *argument)
{
    struct poster *self = argument;
    for (uint64_t i = 0; i < POSTS; i++) {
        struct pen_post post = {.kind = self->kind, .number = i};
        if (pen_inbox_post_wait(self->inbox, &post, NULL) < 0)
            abort();
    }
    return NULL;
}

static void carries_from_many_threads(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_inbox_destroy) struct pen_inbox *inbox = NULL;
    assert_int_equal(pen_inbox_create(16, &inbox, NULL), 0);
    pthread_t threads[POSTERS];
    struct poster posters[POSTERS];
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.inbox = inbox, .kind = i};
        assert_int_equal(pthread_create(&threads[i], NULL, poster_main, &posters[i]), 0);
    }
    uint64_t next[POSTERS] = {0};
    size_t seen = 0;
    while (seen < POSTERS * POSTS) {
        struct pollfd watch = {.fd = pen_inbox_fd(inbox), .events = POLLIN};
        assert_int_equal(poll(&watch, 1, 30000), 1);
        struct pen_post posts[8];
        size_t count = pen_inbox_take(inbox, posts, 8);
        for (size_t i = 0; i < count; i++) {
            assert_true(posts[i].number == next[posts[i].kind]); /* each poster's order holds */
            next[posts[i].kind]++;
        }
        seen += count;
    }
    for (int i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_false(is_readable(inbox));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_order_and_wakes),
        cmocka_unit_test(refuses_when_full),
        cmocka_unit_test(carries_from_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
