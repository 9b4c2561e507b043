/* Paths into JSON: what is taken, what is refused, what they lead to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "common/wire/json_path.h"

static const char document_text[] =
    "{\"ref\":\"refs/heads/main\",\"n\":7,\"r\":1.5,\"t\":true,\"f\":false,\"z\":null,\"e\":\"\","
    "\"a.b\":\"dotted\",\"it's\":\"quoted\",\"list\":[\"x\",\"y\",{\"ref\":\"inner\"}],"
    "\"deep\":{\"er\":{\"ref\":\"deepest\"}},\"repo\":{\"name\":\"app\"}}";

static const struct {
    const char *path;
    const char *wanted; /* NULL: anything */
    bool matches;
} table[] = {
    {"$", NULL, true},
    {"$.ref", "refs/heads/main", true},
    {"$.ref", "refs/heads/mai", false},
    {"$.ref", NULL, true},
    {"$.REF", NULL, false},
    {"$['ref']", "refs/heads/main", true},
    {"$[\"ref\"]", "refs/heads/main", true},
    {"$['a.b']", "dotted", true},
    {"$.a.b", NULL, false},
    {"$['it\\'s']", "quoted", true},
    {"$.repo.name", "app", true},
    {"$.repo['name']", "app", true},
    {"$.repo", "app", false},
    {"$.repo", NULL, true},
    {"$.list[0]", "x", true},
    {"$.list[1]", "x", false},
    {"$.list[-1].ref", "inner", true},
    {"$.list[-3]", "x", true},
    {"$.list[-4]", NULL, false},
    {"$.list[3]", NULL, false},
    {"$.list[*]", "y", true},
    {"$.list.*", "y", true},
    {"$.repo[0]", NULL, false},
    {"$.list.ref", NULL, false},
    {"$.*.name", "app", true},
    {"$..ref", "deepest", true},
    {"$..ref", "inner", true},
    {"$..ref", "refs/heads/main", true},
    {"$.deep..ref", "inner", false},
    {"$..*", "y", true},
    {"$..[1]", "y", true},
    {"$..['name']", "app", true},
    {"$..nothing", NULL, false},
    {"$.n", "7", true},
    {"$.n", "7.0", false},
    {"$.r", "1.5", true},
    {"$.t", "true", true},
    {"$.f", "false", true},
    {"$.z", "null", true},
    {"$.z", NULL, true},
    {"$.e", "", true},
    {"$.list", "x", false},
};

static void test_matches(void **state)
{
    (void)state;
    json_t *document = json_loads(document_text, 0, NULL);
    assert_non_null(document);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct pen_json_path path;
        struct pen_error err;
        if (pen_json_path_parse(table[i].path, &path, &err) < 0)
            fail_msg("%s: %s", table[i].path, err.message);
        if (pen_json_path_matches(&path, document, table[i].wanted) != table[i].matches)
            fail_msg("%s = %s", table[i].path, table[i].wanted);
    }
    json_decref(document);
}

static void test_refuses(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "",           "ref",    "@.ref",         "$ref",       "$.",        "$..",
        "$...a",      "$[",     "$[]",           "$[0",        "$['a",      "$['a'",
        "$['a\\",     "$[0:1]", "$[0,1]",        "$['a','b']", "$[?(@.a)]", "$[(@.length-1)]",
        "$.length()", "$.a b",  "$[1234567890]", "$[a]",       "$.a[]",     "$.a]",
        "$[-]",       " $.a",   "$.a ",          "$.a$",       "$[\"a']",
    };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct pen_json_path path;
        struct pen_error err;
        if (pen_json_path_parse(paths[i], &path, &err) != PEN_EINVAL)
            fail_msg("'%s' is taken", paths[i]);
    }
    char longer[PEN_JSON_PATH_SIZE_MAX + 2] = "$";
    struct pen_json_path path;
    memset(longer + 1, '.', sizeof longer - 2);
    assert_int_equal(pen_json_path_parse(longer, &path, NULL), PEN_ELIMIT);
    char steps[2 * (PEN_JSON_PATH_STEPS_MAX + 1) + 2] = "$";
    for (size_t i = 0; i <= PEN_JSON_PATH_STEPS_MAX; i++)
        memcpy(steps + 1 + 2 * i, ".a", 3);
    assert_int_equal(pen_json_path_parse(steps, &path, NULL), PEN_ELIMIT);
    steps[strlen(steps) - 2] = '\0';
    assert_int_equal(pen_json_path_parse(steps, &path, NULL), 0);
}

/* Deep steps over a deep document of equal names: one walk, not one for each way to choose. */
static void test_deep_steps_cost_no_more_than_one_walk(void **state)
{
    (void)state;
    json_t *document = json_integer(1);
    for (int i = 0; i < 31; i++) {
        json_t *above = json_object();
        json_object_set_new(above, "a", document);
        document = above;
    }
    struct pen_json_path path;
    assert_int_equal(
        pen_json_path_parse("$..a..a..a..a..a..a..a..a..a..a..a..a..a..a..a..b", &path, NULL), 0);
    clock_t began = clock();
    for (int i = 0; i < 1000; i++)
        assert_false(pen_json_path_matches(&path, document, NULL));
    assert_true(clock() - began < 20 * CLOCKS_PER_SEC); /* by choosing: years */
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_deep_steps_cost_no_more_than_one_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
