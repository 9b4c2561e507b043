/* Trigger globs, rule by rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "controller/model/glob.h"

struct match {
    const char *pattern;
    const char *text;
    bool matches;
};

static const struct match matches[] = {
    {"main", "main", true},
    {"main", "Main", false},
    {"main", "mai", false},
    {"main", "mainx", false},
    {"main*", "main", true},
    {"main*", "main-2", true},
    {"main*", "main/x", false},
    {"main**", "main/x/y", true},
    {"*", "main", true},
    {"*", "", true},
    {"*", "a/b", false},
    {"**", "a/b", true},
    {"**", "", true},
    {"?", "a", true},
    {"?", "", false},
    {"?", "/", false},
    {"?", "\xc3\xa4", true},
    {"??", "\xc3\xa4", false},
    {"release-??", "release-12", true},
    {"common/**/*.js", "common/app.js", true},
    {"common/**/*.js", "common/a/b/app.js", true},
    {"common/**/*.js", "commonapp.js", false},
    {"common/**/*.js", "common/a/app.ts", false},
    {"**/x", "x", true},
    {"**/x", "a/x", true},
    {"**/x", "ax", false},
    {"a**/x", "ab/c/x", true},
    {"a**/x", "x", false},
    {"src/**", "src/a/b", true},
    {"src/**", "src", false},
    {"[abc]", "b", true},
    {"[abc]", "d", false},
    {"[a-c]x", "bx", true},
    {"[!a-c]", "b", false},
    {"[!a-c]", "d", true},
    {"[!a-c]", "/", false},
    {"[-a]", "-", true},
    {"[a-]", "-", true},
    {"[]]", "]", true},
    {"[\\]]", "]", true},
    {"[*?]", "*", true},
    {"[*?]", "x", false},
    {"{a,b}", "a", true},
    {"{a,b}", "b", true},
    {"{a,b}", "ab", false},
    {"{a,b}", "a,b", false},
    {"x{a,bc,}y", "xy", true},
    {"x{a,bc,}y", "xbcy", true},
    {"x{a,bc,}y", "xbay", false},
    {"{feature,fix}/*", "fix/1", true},
    {"{**/a,b}", "x/y/a", true},
    {"{**/a,b}", "a", true},
    {"{x,**/}c", "c", true},
    {"a,b}", "a,b}", true},
    {"\\*", "*", true},
    {"\\*", "x", false},
    {"\\{a,b\\}", "{a,b}", true},
    {"v[0-9]*.{0,1}", "v1.0", true},
    {"v[0-9]*.{0,1}", "v12.3.1", true},
    {"v[0-9]*.{0,1}", "v12.2", false},
    {"[", "[", false}, /* malformed: matches nothing */
    {"{a", "{a", false},
};

static void test_matches(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof matches / sizeof matches[0]; i++) {
        if (pen_trigger_glob_match(matches[i].pattern, matches[i].text) != matches[i].matches)
            fail_msg("'%s' and '%s'", matches[i].pattern, matches[i].text);
    }
}

static void test_faults_are_named(void **state)
{
    (void)state;
    static const char *const faults[][2] = {
        {"[ab", "'[' without ']'"},          {"[]", "'[' without ']'"}, {"{a,b", "'{' without '}'"},
        {"{a,{b}}", "braces within braces"}, {"a\\", "lone backslash"}, {"", "empty"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct pen_error err;
        assert_int_equal(pen_trigger_glob_check(faults[i][0], &err), PEN_EINVAL);
        assert_non_null(strstr(err.message, faults[i][1]));
    }
    char pattern[PEN_TRIGGER_GLOB_SIZE_MAX + 2];
    memset(pattern, '*', sizeof pattern);
    pattern[sizeof pattern - 1] = '\0';
    struct pen_error err;
    assert_int_equal(pen_trigger_glob_check(pattern, &err), PEN_ELIMIT);
    pattern[sizeof pattern - 2] = '\0';
    assert_int_equal(pen_trigger_glob_check(pattern, &err), 0);
}

static void test_hostile_patterns_take_no_time(void **state)
{
    (void)state;
    char pattern[PEN_TRIGGER_GLOB_SIZE_MAX + 1];
    for (size_t i = 0; i + 1 < sizeof pattern; i++)
        pattern[i] = i % 2 == 0 ? '*' : 'a';
    pattern[sizeof pattern - 1] = '\0';
    char text[4096];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_true(pen_trigger_glob_match(pattern, text));
    text[sizeof text - 2] = 'b'; /* backtracking would not come back */
    pattern[sizeof pattern - 2] = 'c';
    assert_false(pen_trigger_glob_match(pattern, text));
}

static void test_exclude_wins(void **state)
{
    (void)state;
    char *includes[] = {(char *)"main", (char *)"release/*"};
    char *excludes[] = {(char *)"release/old*"};
    Pen__GitFilterCriteria criteria = PEN__GIT_FILTER_CRITERIA__INIT;
    assert_true(pen_trigger_criteria_match(NULL, "x"));
    assert_true(pen_trigger_criteria_match(&criteria, "x"));
    criteria.n_excludes = 1;
    criteria.excludes = excludes;
    assert_true(pen_trigger_criteria_match(&criteria, "x"));
    assert_false(pen_trigger_criteria_match(&criteria, "release/old1"));
    criteria.n_includes = 2;
    criteria.includes = includes;
    assert_false(pen_trigger_criteria_match(&criteria, "x"));
    assert_true(pen_trigger_criteria_match(&criteria, "release/new"));
    assert_false(pen_trigger_criteria_match(&criteria, "release/old1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_faults_are_named),
        cmocka_unit_test(test_hostile_patterns_take_no_time),
        cmocka_unit_test(test_exclude_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
