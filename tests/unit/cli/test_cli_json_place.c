#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cli/json_place.h"
#include "common/base/cleanup.h"

static const char text[] = " {\n"
                           "  \"a\": [1, -2.5e3,\"x,]}\\\"\", {\"b\" : [[], {}, null, true]} ],\n"
                           "  \"\xe2\x82\xac\": {\"\\u0061\\/~\": 1}, \"\": 2,\n"
                           "\t\"end\":{}\n"
                           "}\n";

static void places_of_members_and_elements(void **state)
{
    (void)state;
    static const struct {
        const char *pointer, *name;
        int line, column; /* 0: there is none */
    } cases[] = {
        {"", "", 1, 1},
        {"/a", "a", 2, 3},
        {"/a/0", "0", 2, 9},
        {"/a/1", "1", 2, 12},
        {"/a/2", "2", 2, 19},
        {"/a/3", "3", 2, 29},
        {"/a/3/b", "b", 2, 30},
        {"/a/3/b/0", "0", 2, 37},
        {"/a/3/b/3", "3", 2, 51},
        {"/\xe2\x82\xac", "\xe2\x82\xac", 3, 3},
        {"/\xe2\x82\xac/a~1~0", "a/~", 3, 9},
        {"/", "", 3, 26},
        {"/end", "end", 4, 2},
        {"/a/4", "4", 0, 0},
        {"/a/x", "x", 0, 0},
        {"/b", "b", 0, 0},
        {"/end/a", "a", 0, 0},
        {"/a/0/b", "b", 0, 0},
        {"/a/3/b/0/0", "0", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        PEN_CLEANUP(pen_buf_release) struct pen_buf name = {0};
        struct pen_json_place place = {0};
        bool there = pen_json_place_find(text, sizeof text - 1, cases[i].pointer, &place, &name);
        assert_int_equal(there, cases[i].line > 0);
        assert_string_equal(pen_buf_text(&name), cases[i].name);
        assert_int_equal(place.line, cases[i].line);
        assert_int_equal(place.column, cases[i].column);
    }
}

/* What was cut off anywhere is no JSON any more, but is not read over its end. */
static void nothing_is_read_over_the_end(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof text; size++) {
        PEN_CLEANUP(pen_buf_release) struct pen_buf name = {0};
        struct pen_json_place place = {0};
        char *copy = malloc(size + 1);
        memcpy(copy, text, size);
        (void)pen_json_place_find(copy, size, "/nowhere/3/b", &place, &name);
        (void)pen_json_place_find(copy, size, "/a/3/b/9", &place, &name);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_of_members_and_elements),
        cmocka_unit_test(nothing_is_read_over_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
