/* JSON as git servers send it: everything that RFC 8259 allows is read, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/wire/wire.h"

static char *parsed(const char *text, size_t size)
{
    json_t *json = NULL;
    struct pen_error err = {0};
    if (pen_json_parse_any(text, size, &json, &err) < 0)
        return NULL;
    char *dumped = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
    json_decref(json);
    return dumped;
}

static void test_what_is_read(void **state)
{
    static const struct {
        const char *text;
        const char *is; /* as it is kept */
    } table[] = {
        {"{\"msg\":\"a\\u0000b\"}", "{\"msg\":\"a\xef\xbf\xbd"
                                    "b\"}"},
        {"{\"a\\u0000b\":1}", "{\"a\xef\xbf\xbd"
                              "b\":1}"},
        {"\"\\ud800\"", "\"\xef\xbf\xbd\""},
        {"\"x\\udc00y\"", "\"x\xef\xbf\xbdy\""},
        {"\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\""},
        {"\"\\ud83d\\ud83d\\ude00\"", "\"\xef\xbf\xbd\xf0\x9f\x98\x80\""},
        {"\"\\\\u0000\"", "\"\\\\u0000\""}, /* a backslash, and no escape */
        {"\"\\\"\\u0000\\\"\"", "\"\\\"\xef\xbf\xbd\\\"\""},
        {"{\"id\":18446744073709551615}", "{\"id\":\"18446744073709551615\"}"},
        {"[-9223372036854775809,9]", "[\"-9223372036854775809\",9]"},
        {"[1e400,-1E+999]", "[\"1e400\",\"-1E+999\"]"},
        {"[1e4]", "[10000.0]"},
        {"{\"a\":1,\"a\":2}", "{\"a\":2}"},
        {"null", "null"},
        {" \t\r\n42 ", "42"},
        {"\"text\"", "\"text\""},
        {"{\"ref\":\"refs/heads/main\",\"id\":123456789012345678}",
         "{\"ref\":\"refs/heads/main\",\"id\":123456789012345678}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char *is = parsed(table[i].text, strlen(table[i].text));
        if (is == NULL)
            fail_msg("%s: refused", table[i].text);
        assert_string_equal(is, table[i].is);
        free(is);
    }
}

static void test_what_is_no_json(void **state)
{
    static const char *const table[] = {
        "{",
        "{\"a\":}",
        "[1,]",
        "01",
        "-",
        "1.",
        "1e",
        "+1",
        "NaN",
        "{'a':1}",
        "\"\\u12\"",
        "\"\\ud80",
        "\"\\",
        "{12345678901234567890123:1}",
        "[00000000000000000000000]",
        "\"\xff\"",
        "a",
        "[1] 2",
        "\"a\nb\"",
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char *is = parsed(table[i], strlen(table[i]));
        if (is != NULL)
            fail_msg("%s: taken as %s", table[i], is);
    }
    assert_null(parsed("", 0));
    assert_null(parsed("\"a\0b\"", 5)); /* not escaped */
}

static void test_limits(void **state)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    json_t *json = NULL;
    struct pen_error err = {0};
    (void)state;
    for (int i = 0; i < 500; i++)
        pen_buf_putc(&text, '[');
    for (int i = 0; i < 500; i++)
        pen_buf_putc(&text, ']');
    assert_int_equal(pen_json_parse_any(text.data, text.size, &json, &err), 0);
    json_decref(json);
    pen_buf_clear(&text);
    for (int i = 0; i < 100000; i++)
        pen_buf_putc(&text, '[');
    assert_int_equal(pen_json_parse_any(text.data, text.size, &json, &err), PEN_ELIMIT);
    pen_buf_clear(&text);
    pen_buf_puts(&text, "[0");
    for (int i = 0; i < PEN_LIMIT_HOOK_VALUES; i++)
        pen_buf_puts(&text, ",0");
    pen_buf_puts(&text, "]");
    assert_int_equal(pen_json_parse_any(text.data, text.size, &json, &err), PEN_ELIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_read),
        cmocka_unit_test(test_what_is_no_json),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
