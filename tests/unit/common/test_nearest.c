#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/nearest.h"

static void the_word_that_was_meant(void **state)
{
    (void)state;
    static const char *const known[] = {"status",   "start", "stop",         "pipeline create",
                                        "runOrder", "a",     "executionMode"};
    static const struct {
        const char *word, *meant;
    } cases[] = {
        {"statsu", "status"},
        {"stat", "start"},
        {"Stop", "stop"},
        {"stpo", "stop"},
        {"pipline create", "pipeline create"},
        {"runorder", "runOrder"},
        {"executionMod", "executionMode"},
        {"pipeline", "pipeline create"}, /* its beginning */
        {"EXEC", "executionMode"},
        {"pi", NULL},
        {"nonsense", NULL},
        {"b", NULL}, /* one of one */
        {"", NULL},
        {"xx", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pen_nearest nearest = {.word = cases[i].word};
        for (size_t j = 0; j < sizeof known / sizeof known[0]; j++)
            pen_nearest_try(&nearest, known[j]);
        if (cases[i].meant == NULL)
            assert_null(nearest.best);
        else
            assert_string_equal(nearest.best, cases[i].meant);
    }
}

static void long_words_are_near_to_nothing(void **state)
{
    (void)state;
    char longest[PEN_NEAREST_WORD_MAX + 2];
    memset(longest, 'x', sizeof longest);
    longest[PEN_NEAREST_WORD_MAX] = 0;
    struct pen_nearest nearest = {.word = longest};
    pen_nearest_try(&nearest, longest);
    assert_ptr_equal(nearest.best, longest);
    longest[PEN_NEAREST_WORD_MAX] = 'x';
    longest[PEN_NEAREST_WORD_MAX + 1] = 0;
    nearest = (struct pen_nearest){.word = longest};
    pen_nearest_try(&nearest, longest);
    assert_null(nearest.best);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_word_that_was_meant),
        cmocka_unit_test(long_words_are_near_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
