#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cli/commands.h"
#include "cli/text.h"
#include "common/base/cleanup.h"

static void text_of_outside_stays_in_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain", "plain"},
        {"a\nb\rc\td", "a b c d"},
        {"\x1b[31mred", " [31mred"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"c1 \xc2\x9b"
         "31m",
         "c1  31m"},
        {"cut \xe2\x82", "cut ??"},
        {"bare \x9b", "bare ?"},
        {"\x7f", " "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
        pen_text_clean(cases[i].in, &text);
        assert_string_equal(pen_buf_text(&text), cases[i].out);
    }
}

static void log_lines_look_as_on_a_terminal(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain", "plain"},
        {"tab\there", "tab\there"},
        {"\x1b[1;31mred\x1b[0m!", "red!"},
        {"\x1b[?25l\x1b[2Kx", "x"},
        {"\x1b]0;title\x07y", "y"},
        {"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"},
        {"\x1bP1;2qdata\x1b\\z", "z"},
        {"\x1b(Bw", "w"},
        {"\x1b"
         "c\x1b=v",
         "v"},
        {"cut \x1b[1;3", "cut "},
        {"cut \x1b", "cut "},
        {"cut \x1b]0;never ends", "cut "},
        {"10%\r50%\r100%", "100%"},
        {"dos\r", "dos"},
        {"\r\r\r", ""},
        {"bell\x07 back\x08", "bell back"},
        {"c1 \xc2\x9b"
         "31m",
         "c1 31m"},
        {"\xff", "?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
        pen_buf_puts(&text, "before ");
        pen_text_clean_log(cases[i].in, strlen(cases[i].in), &text);
        assert_string_equal(pen_buf_text(&text) + 7, cases[i].out);
    }
    PEN_CLEANUP(pen_buf_release) struct pen_buf zero = {0};
    pen_text_clean_log("a\0b\x1b\0c", 6, &zero);
    assert_string_equal(pen_buf_text(&zero), "abc");
}

static void what_may_go_on_is_not_settled(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t size;
    } cases[] = {
        {"", 0},
        {"plain", 5},
        {"caf\xc3", 3},
        {"caf\xc3\xa9", 5},
        {"x\xe2", 1},
        {"x\xe2\x82", 1},
        {"x\xe2\x82\xac", 4},
        {"x\xf0\x9f\x98", 1},
        {"x\xf4\x8f", 1},
        {"x\xed\x9f", 1},
        {"x\xed\xa0", 3}, /* a surrogate: never a character */
        {"x\xf4\x90", 3},
        {"x\xe0\x80", 3},
        {"x\xc0", 2},
        {"x\xff", 2},
        {"x\x80", 2},
        {"x\xc2", 1}, /* perhaps a control character */
        {"x\x1b", 1},
        {"x\x1b[", 1},
        {"x\x1b[1;3", 1},
        {"x\x1b[1;31m", 8},
        {"x\x1b[1\ny", 6},
        {"x\x1b]0;title", 1},
        {"x\x1b]0;title\x1b", 1},
        {"x\x1b]0;title\x1b\\", 12},
        {"x\x1b]0;title\x07", 11},
        {"x\x1b]0;t\x1b[1", 6},
        {"x\x1b(", 1},
        {"x\x1b(B", 4},
        {"10%\r", 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(pen_text_log_settled(cases[i].in, strlen(cases[i].in)), cases[i].size);
}

/* However a line is cut, what its settled beginning shows is the beginning of what all of it shows,
 * as long as nothing starts it again. */
static void a_settled_beginning_shows_the_beginning(void **state)
{
    (void)state;
    static const char line[] = "caf\xc3\xa9 \x1b[1;31mred\x1b[0m \xff\xe2\x82\xac \x1b]0;t\x1b\\ "
                               "\xf0\x9f\x98\x80 \xc2\x9b \x1b(B end \xe2\x82";
    PEN_CLEANUP(pen_buf_release) struct pen_buf whole = {0};
    pen_text_clean_log(line, sizeof line - 1, &whole);
    for (size_t cut = 0; cut < sizeof line; cut++) {
        PEN_CLEANUP(pen_buf_release) struct pen_buf part = {0};
        pen_text_clean_log(line, pen_text_log_settled(line, cut), &part);
        assert_memory_equal(pen_buf_text(&whole), pen_buf_text(&part), part.size);
    }
}

static void times_of_json(void **state)
{
    (void)state;
    json_t *object = json_pack("{s:f, s:i, s:s, s:f, s:n}", "fraction", 1700000000.123, "whole",
                               1700000000, "text", "1700000000", "far", 1e300, "null");
    assert_true(pen_json_time_ms(object, "fraction") == 1700000000123);
    assert_true(pen_json_time_ms(object, "whole") == 1700000000000);
    assert_true(pen_json_time_ms(object, "text") == 0);
    assert_true(pen_json_time_ms(object, "far") == 0);
    assert_true(pen_json_time_ms(object, "null") == 0);
    assert_string_equal(pen_json_text(object, "whole"), "");
    assert_string_equal(pen_json_text(NULL, "x"), "");
    assert_null(pen_json_list(object, "text"));
    json_decref(object);
}

static void every_row_of_the_table_can_be_called(void **state)
{
    (void)state;
    size_t rows = 0;
    for (const struct pen_cli_command *row = pen_cli_commands; row->name != NULL; row++, rows++) {
        char first[32] = "";
        const char *blank = strchr(row->name, ' ');
        size_t length = blank == NULL ? strlen(row->name) : (size_t)(blank - row->name);
        memcpy(first, row->name, length);
        size_t words = 0;
        assert_ptr_equal(pen_cli_find(first, blank == NULL ? "x" : blank + 1, &words), row);
        assert_int_equal(words, blank == NULL ? 1 : 2);
        assert_non_null(row->run);
        assert_non_null(row->example);
        assert_true(row->arguments_min <= row->arguments_max);
        assert_true(row->arguments_max == 0 ? row->arguments[0] == 0 : row->arguments[0] != 0);
        assert_true(row->summary[strlen(row->summary) - 1] != '.');
        const struct pen_cli_option *option = row->options;
        for (; option != NULL && option->name != NULL; option++) {
            assert_memory_equal(option->name, "--", 2);
            for (const struct pen_cli_option *other = pen_cli_global_options; other->name != NULL;
                 other++) { /* an own option would hide a global one */
                assert_string_not_equal(option->name, other->name);
                assert_true(option->letter == 0 || option->letter != other->letter);
            }
        }
    }
    assert_true(rows > 30);
    size_t words = 0;
    assert_null(pen_cli_find("pipeline", NULL, &words));
    assert_null(pen_cli_find("pipe", "line", &words));
    assert_null(pen_cli_find("", NULL, &words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_of_outside_stays_in_one_line),
        cmocka_unit_test(log_lines_look_as_on_a_terminal),
        cmocka_unit_test(what_may_go_on_is_not_settled),
        cmocka_unit_test(a_settled_beginning_shows_the_beginning),
        cmocka_unit_test(times_of_json),
        cmocka_unit_test(every_row_of_the_table_can_be_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
