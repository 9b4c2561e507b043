#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"

static void appends_and_keeps_a_zero_behind(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_buf_release) struct pen_buf buf = {0};
    assert_string_equal(pen_buf_text(&buf), "");
    pen_buf_puts(&buf, "fence ");
    pen_buf_printf(&buf, "%d", 42);
    pen_buf_putc(&buf, '!');
    assert_int_equal(buf.size, 9);
    assert_string_equal(pen_buf_text(&buf), "fence 42!");
    pen_buf_append(&buf, "\0x", 2);
    assert_int_equal(buf.size, 11);
    assert_int_equal(buf.data[11], 0);
    assert_int_equal(pen_buf_ok(&buf, NULL), 0);
}

static void grows_over_many_appends(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_buf_release) struct pen_buf buf = {0};
    for (int i = 0; i < 10000; i++)
        pen_buf_printf(&buf, "%04d", i);
    assert_int_equal(buf.size, 40000);
    assert_memory_equal(buf.data + 4 * 9999, "9999", 5);
}

static void consumes_from_the_front(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_buf_release) struct pen_buf buf = {0};
    pen_buf_consume(&buf, 0);
    pen_buf_puts(&buf, "abcdef");
    pen_buf_consume(&buf, 2);
    assert_string_equal(pen_buf_text(&buf), "cdef");
    pen_buf_consume(&buf, 4);
    assert_int_equal(buf.size, 0);
    assert_string_equal(pen_buf_text(&buf), "");
    pen_buf_puts(&buf, "x");
    pen_buf_clear(&buf);
    assert_string_equal(pen_buf_text(&buf), "");
}

static void takes_the_memory_over(void **state)
{
    (void)state;
    struct pen_buf buf = {0};
    PEN_CLEANUP(pen_free) char *empty = pen_buf_take_text(&buf);
    assert_string_equal(empty, "");
    pen_buf_puts(&buf, "mine");
    PEN_CLEANUP(pen_free) char *text = pen_buf_take_text(&buf);
    assert_string_equal(text, "mine");
    assert_null(buf.data);
    assert_int_equal(buf.capacity, 0);
}

static void remembers_that_memory_ran_out(void **state)
{
    (void)state;
    struct pen_buf buf = {0};
    pen_buf_puts(&buf, "before");
    assert_null(pen_buf_reserve(&buf, SIZE_MAX - 4));
    pen_buf_puts(&buf, "after");
    assert_string_equal(pen_buf_text(&buf), "before");
    struct pen_error err;
    assert_int_equal(pen_buf_ok(&buf, &err), PEN_ENOMEM);
    assert_null(pen_buf_take_text(&buf));
    assert_false(buf.failed);
}

static void strings(void **state)
{
    (void)state;
    assert_true(pen_str_equal(NULL, NULL));
    assert_false(pen_str_equal(NULL, ""));
    assert_true(pen_str_equal("a", "a"));
    assert_true(pen_str_starts_with("pen1_x", "pen1_"));
    assert_false(pen_str_starts_with("pe", "pen1_"));
    assert_true(pen_str_ends_with("a.json", ".json"));
    assert_false(pen_str_ends_with("json", ".json"));
    assert_true(pen_str_empty(NULL));
    assert_true(pen_str_empty(""));
    assert_false(pen_str_empty("x"));
    char small[4];
    assert_true(pen_str_copy(small, sizeof small, "abc"));
    assert_string_equal(small, "abc");
    assert_false(pen_str_copy(small, sizeof small, "abcd"));
    assert_string_equal(small, "abc");
    PEN_CLEANUP(pen_free) char *text = pen_strdup_printf("%s-%d", "a", 1);
    assert_string_equal(text, "a-1");
    assert_true(pen_str_set(&text, "b"));
    assert_string_equal(text, "b");
    assert_true(pen_str_set(&text, NULL));
    assert_null(text);
}

static void utf8(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "a",
                                       "\xC2\x80",
                                       "\xDF\xBF",
                                       "\xE0\xA0\x80",
                                       "\xED\x9F\xBF",
                                       "\xEE\x80\x80",
                                       "\xF0\x90\x80\x80",
                                       "\xF4\x8F\xBF\xBF",
                                       "z\xE2\x82\xACz"};
    static const char *const bad[] = {"\x80",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xC2",
                                      "\xC2g",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xE2\x82",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xFF"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(pen_utf8_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(pen_utf8_valid(bad[i], strlen(bad[i])));
    assert_false(pen_utf8_valid("a\0b", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_and_keeps_a_zero_behind),
        cmocka_unit_test(grows_over_many_appends),
        cmocka_unit_test(consumes_from_the_front),
        cmocka_unit_test(takes_the_memory_over),
        cmocka_unit_test(remembers_that_memory_ran_out),
        cmocka_unit_test(strings),
        cmocka_unit_test(utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
