/* References in texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "controller/model/variables.h"

/* A.x is "1", A.nested is text that looks like a reference, A.big is long; nothing else exists. */
static int lookup(void *context, const char *namespace_name, const char *key,
                  const char **ret_value, struct pen_error *err)
{
    if (strcmp(namespace_name, "A") == 0 && strcmp(key, "x") == 0)
        *ret_value = "1";
    else if (strcmp(key, "nested") == 0)
        *ret_value = "#{A.x}";
    else if (strcmp(key, "big") == 0)
        *ret_value = context;
    else
        return pen_fail(err, PEN_ENOTFOUND, "no %s.%s", namespace_name, key);
    return 0;
}

static void test_expansion(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"plain # ${x} #x {A.x}", "plain # ${x} #x {A.x}"},
        {"#{A.x}", "1"},
        {"a#{A.x}b#{A.x}c", "a1b1c"},
        {"#{A.nested}", "#{A.x}"},
        {"##{A.x}}", "#1}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
        assert_int_equal(pen_variables_expand(cases[i][0], lookup, NULL, &text, NULL), 0);
        assert_string_equal(pen_buf_text(&text), cases[i][1]);
    }
}

static void test_faults_leave_the_text_alone(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "x#{",          "x#{}",      "x#{A}",    "x#{A.}",    "x#{.x}",
        "x#{A.x",       "x#{A.x y}", "x#{A .x}", "x#{A.x.y}", "x#{A.x:-fallback}",
        "x#{#{A.x}.y}", "x#{A.\n}",
    };
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_buf_puts(&text, "before");
    struct pen_error err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(pen_variables_expand(cases[i], lookup, NULL, &text, &err), PEN_EINVAL);
        assert_string_equal(pen_buf_text(&text), "before");
        assert_non_null(strstr(err.message, "'#{"));
    }
    assert_int_equal(pen_variables_expand("y#{A.x}#{B.y}", lookup, NULL, &text, &err),
                     PEN_ENOTFOUND);
    assert_string_equal(err.message, "no B.y");
    assert_string_equal(pen_buf_text(&text), "before");
}

static void test_limits(void **state)
{
    (void)state;
    static char big[60 * 1024];
    memset(big, 'a', sizeof big - 1);
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    struct pen_error err;
    assert_int_equal(pen_variables_expand("#{A.big}", lookup, big, &text, &err), 0);
    size_t size = text.size;
    assert_int_equal(pen_variables_expand("#{A.big}", lookup, big, &text, &err), PEN_ELIMIT);
    assert_int_equal(text.size, size);
    char reference[PEN_VARIABLE_NAMESPACE_MAX + 8] = "#{";
    memset(reference + 2, 'n', PEN_VARIABLE_NAMESPACE_MAX + 1);
    memcpy(reference + 2 + PEN_VARIABLE_NAMESPACE_MAX + 1, ".k}", 4);
    assert_int_equal(pen_variables_expand(reference, lookup, big, &text, &err), PEN_EINVAL);
}

static int join(void *context, const char *namespace_name, const char *key, struct pen_error *err)
{
    (void)err;
    pen_buf_printf(context, "%s/%s ", namespace_name, key);
    return 0;
}

static void test_each(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_buf_release) struct pen_buf seen = {0};
    assert_int_equal(pen_variables_each("a#{A.x} #{b-@_1.K}", join, &seen, NULL), 0);
    assert_string_equal(pen_buf_text(&seen), "A/x b-@_1/K ");
    assert_int_equal(pen_variables_each("#{A.x}#{", join, &seen, NULL), PEN_EINVAL);
    assert_true(pen_variables_present("x#{"));
    assert_false(pen_variables_present("x#"));
    assert_false(pen_variables_present(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expansion),
        cmocka_unit_test(test_faults_leave_the_text_alone),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
