#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cli/tail.h"
#include "common/base/cleanup.h"

static void put(struct pen_tail *tail, const void *owner, const char *text, const char *part,
                const char *expected)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf lines = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf rest = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf out = {0};
    pen_buf_puts(&lines, text);
    pen_buf_puts(&rest, part);
    pen_tail_put(tail, owner, &lines, &rest, &out);
    assert_string_equal(pen_buf_text(&out), expected);
}

static void end(struct pen_tail *tail, const char *expected)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf out = {0};
    pen_tail_end(tail, &out);
    assert_string_equal(pen_buf_text(&out), expected);
}

static void a_line_grows(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_tail_release) struct pen_tail tail = {0};
    put(&tail, "a", "one\n", "", "one\n");
    put(&tail, "a", "", ".", ".");
    put(&tail, "a", "", "", ""); /* nothing new */
    put(&tail, "a", "", "..", ".");
    put(&tail, "a", "..done\ntwo\n", "th", "done\ntwo\nth");
    put(&tail, "a", "three\n", "", "ree\n");
    end(&tail, "");
}

static void a_line_that_starts_again_is_another(void **state)
{
    (void)state;
    for (int terminal = 0; terminal < 2; terminal++) {
        PEN_CLEANUP(pen_tail_release) struct pen_tail tail = {.terminal = terminal};
        put(&tail, "a", "", "10%", "10%");
        put(&tail, "a", "", "20%", terminal ? "\r\x1b[K20%" : "\n20%");
        put(&tail, "b", "other\n", "", "\nother\n"); /* never on top of another's line */
        put(&tail, "a", "", "20% and", "20% and");
        end(&tail, "\n");
        put(&tail, "a", "20% and more\n", "", "20% and more\n");
    }
}

static void pieces_of_a_long_line_are_joined(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_tail_release) struct pen_tail tail = {0};
    put(&tail, "a", "", "aa", "aa");
    put(&tail, "a", "aaaa", "b", "aab");
    put(&tail, "a", "bbbb", "", "bbb");
    put(&tail, "a", "c\n", "", "c\n");
    end(&tail, "");
}

static void the_same_text_of_another_is_not_joined(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_tail_release) struct pen_tail tail = {0};
    put(&tail, "a", "", "Build | .", "Build | .");
    put(&tail, "b", "", "Build | ..", "\nBuild | ..");
    end(&tail, "\n");
    end(&tail, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_grows),
        cmocka_unit_test(a_line_that_starts_again_is_another),
        cmocka_unit_test(pieces_of_a_long_line_are_joined),
        cmocka_unit_test(the_same_text_of_another_is_not_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
