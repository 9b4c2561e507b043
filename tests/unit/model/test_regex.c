/* Regular expressions: what matches, what is refused, and that hostile ones cost no time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controller/model/regex.h"

static bool matches(const char *expression, const char *text)
{
    struct pen_regex *regex = NULL;
    struct pen_error err = {0};
    bool found = false;
    if (pen_regex_parse(expression, &regex, &err) < 0)
        fail_msg("'%s' is refused: %s", expression, err.message);
    assert_int_equal(pen_regex_matches(regex, text, &found, &err), 0);
    pen_regex_destroy(&regex);
    assert_null(regex);
    return found;
}

static const struct {
    const char *expression, *text;
    bool found;
} table[] = {
    {"abc", "abc", true},
    {"abc", "xabc", false}, /* the whole text */
    {"abc", "abcx", false},
    {"", "", true},
    {"", "a", false},
    {"a|bc|", "a", true},
    {"a|bc|", "bc", true},
    {"a|bc|", "", true},
    {"a|bc|", "abc", false},
    {"(a|b)*c", "abbac", true},
    {"(a|b)*c", "abdac", false},
    {"(?:ab)+", "ababab", true},
    {"(?:ab)+", "aba", false},
    {"(?:ab)+", "", false},
    {"x?y", "y", true},
    {"x?y", "xxy", false},
    {"a{3}", "aaa", true},
    {"a{3}", "aa", false},
    {"a{3}", "aaaa", false},
    {"a{2,}", "a", false},
    {"a{2,}", "aaaaa", true},
    {"a{2,4}", "aaaa", true},
    {"a{2,4}", "aaaaa", false},
    {"a{0,2}b", "b", true},
    {"a{0}b", "b", true},
    {"a{0}b", "ab", false},
    {"(ab|c){2}", "abc", true},
    {"(ab|c){2}", "c", false},
    {"((a|b){2}|c)*", "abcba", true},
    {"((a|b){2}|c)*", "abca", false},
    {"a*?b+?", "aabb", true},
    {"(a*)*b", "aaab", true},
    {"()*", "", true},
    {"(|a)+", "aaa", true},
    {"[abc]+", "cab", true},
    {"[^abc]+", "xyz", true},
    {"[^abc]+", "xaz", false},
    {"[a-c0-9_]+", "b7_", true},
    {"[a-c0-9_]+", "d", false},
    {"[]x]+", "]x", true},
    {"[^]]", "]", false},
    {"[a-]+", "-a", true},
    {"[-a]+", "-a", true},
    {"[\\]\\\\]+", "]\\", true},
    {"[\\w.-]+@[\\w.-]+", "ada@example.org", true},
    {"[\\D]", "5", false},
    {"[^\\d]", "5", false},
    {"\\d+\\.\\d+", "1.25", true},
    {"\\d+\\.\\d+", "1x25", false},
    {"\\w+\\s\\W", "a_1 \t!", false},
    {"\\w+\\s+\\W", "a_1 \t!", true},
    {"\\S\\D", "a ", true},
    {"\\t\\n\\r\\f", "\t\n\r\f", true},
    {"\\$\\{x\\}", "${x}", true},
    {".*", "", true},
    {"a.c", "a\nc", false}, /* the end of a line */
    {"a[\\s\\S]c", "a\nc", true},
    {"^abc$", "abc", true},
    {"a^b", "ab", false},
    {"a$b", "ab", false},
    {"^*a", "a", true},
    {"(^a|b$)+", "ab", true},
    {"a}]", "a}]", true},
    {"release/v[0-9]+(\\.[0-9]+){2}", "release/v1.2.3", true},
    {"release/v[0-9]+(\\.[0-9]+){2}", "release/v1.2", false},
    {".", "\xc3\xa9", true}, /* one character, two bytes */
    {"..", "\xc3\xa9", false},
    {"\xc3\xa9+", "\xc3\xa9\xc3\xa9", true},
    {"[\xc3\xa0-\xc3\xbf]", "\xc3\xa9", true},
    {"[^a]", "\xf0\x9f\x8c\x8a", true},
    {".", "\xff", true},
    {"\xe2\x80\xa8", "\xe2\x80\xa8", true},
    {".", "\xe2\x80\xa8", false}, /* a line's end, too */
};

static void test_matches(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (matches(table[i].expression, table[i].text) != table[i].found)
            fail_msg("'%s' and '%s'", table[i].expression, table[i].text);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *expression, *word;
        int code;
    } faults[] = {
        {"a(b", "without its ')'", PEN_EINVAL},
        {"a)b", "without its '('", PEN_EINVAL},
        {"[ab", "without its ']'", PEN_EINVAL},
        {"[", "without its ']'", PEN_EINVAL},
        {"[^", "without its ']'", PEN_EINVAL},
        {"[a-", "without its ']'", PEN_EINVAL},
        {"[z-a]", "end comes before", PEN_EINVAL},
        {"[\\d-z]", "begins with a set", PEN_EINVAL},
        {"[a-\\d]", "ends with a set", PEN_EINVAL},
        {"*a", "nothing before", PEN_EINVAL},
        {"a|*", "nothing before", PEN_EINVAL},
        {"(+)", "nothing before", PEN_EINVAL},
        {"a**", "behind another", PEN_EINVAL},
        {"a{2}{3}", "behind another", PEN_EINVAL},
        {"a{", "number is missing", PEN_EINVAL},
        {"a{,3}", "number is missing", PEN_EINVAL},
        {"a{2", "without its '}'", PEN_EINVAL},
        {"a{3,2}", "wrong way", PEN_EINVAL},
        {"a{256}", "255", PEN_EINVAL},
        {"a{99999999999}", "255", PEN_EINVAL},
        {"a\\", "backslash", PEN_EINVAL},
        {"(a{200}){200}", "too large", PEN_EINVAL},
        {"((((a{9}){9}){9}){9}){9}", "too large", PEN_EINVAL},
        {"(a)\\1", "back references", PEN_EUNSUPPORTED},
        {"a(?=b)", "look-around", PEN_EUNSUPPORTED},
        {"a(?<!b)", "look-around", PEN_EUNSUPPORTED},
        {"(?<name>a)", "named groups", PEN_EUNSUPPORTED},
        {"(?i)a", "flags", PEN_EUNSUPPORTED},
        {"(?>a)", "atomic", PEN_EUNSUPPORTED},
        {"a++", "possessive", PEN_EUNSUPPORTED},
        {"a{2}+", "possessive", PEN_EUNSUPPORTED},
        {"\\bword", "\\b", PEN_EUNSUPPORTED},
        {"\\p{L}", "\\p", PEN_EUNSUPPORTED},
        {"\\Qa", "\\Q", PEN_EUNSUPPORTED},
        {"[\\b]", "\\b", PEN_EUNSUPPORTED},
        {"[a[b]]", "'[' within", PEN_EUNSUPPORTED},
        {"[a-z&&b]", "intersections", PEN_EUNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct pen_regex *regex = NULL;
        struct pen_error err = {0};
        int rc = pen_regex_parse(faults[i].expression, &regex, &err);
        if (rc != faults[i].code || regex != NULL || strstr(err.message, faults[i].word) == NULL)
            fail_msg("'%s' gives %d: %s", faults[i].expression, rc, err.message);
    }
}

static char *filled(const char *part, size_t count)
{
    char *text = calloc(1, strlen(part) * count + 8);
    assert_non_null(text);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * strlen(part), part, strlen(part));
    return text;
}

/* What takes other engines longer than the universe lasts. */
static void test_hostile(void **state)
{
    (void)state;
    char *many = filled("a", PEN_REGEX_SUBJECT_MAX);
    many[PEN_REGEX_SUBJECT_MAX - 1] = '!';
    static const char *const expressions[] = {
        "(a*)*b",           "(a+)+b",
        "(a|a)*b",          "(a|aa)+b",
        "((a*)*)*b",        "(.*)(.*)(.*)(.*)(.*)b",
        "(a?){255}a{255}b", "([a-z]*[a-z]*[a-z]*)*\\d",
        "(x+x+)+y",         "(([a-z])+.)+[A-Z]([a-z])+b",
    };
    for (size_t i = 0; i < sizeof expressions / sizeof expressions[0]; i++)
        assert_false(matches(expressions[i], many));
    free(many);
}

/* Every limit, one step before and behind it. */
static void test_limits(void **state)
{
    (void)state;
    struct pen_regex *regex = NULL;
    struct pen_error err = {0};
    bool found = false;
    char *longest = filled(".", PEN_REGEX_PROGRAM_MAX - 1);
    assert_int_equal(pen_regex_parse(longest, &regex, &err), 0);
    pen_regex_destroy(&regex);
    longest[PEN_REGEX_PROGRAM_MAX - 1] = '.';
    assert_int_equal(pen_regex_parse(longest, &regex, &err), PEN_EINVAL);
    longest[PEN_REGEX_TEXT_MAX] = '.';
    assert_int_equal(pen_regex_parse(longest, &regex, &err), PEN_EINVAL);
    free(longest);
    char *sets = filled("\\W", PEN_REGEX_TEXT_MAX / 2);
    assert_int_equal(pen_regex_parse(sets, &regex, &err), 0);
    pen_regex_destroy(&regex);
    free(sets);
    char *open = filled("(", PEN_REGEX_DEPTH_MAX + 1);
    assert_int_equal(pen_regex_parse(open, &regex, &err), PEN_EINVAL);
    assert_non_null(strstr(err.message, "too deep"));
    free(open);
    char *text = filled("a", PEN_REGEX_SUBJECT_MAX + 1);
    assert_int_equal(pen_regex_parse("a*", &regex, &err), 0);
    assert_int_equal(pen_regex_matches(regex, text, &found, &err), PEN_EINVAL);
    text[PEN_REGEX_SUBJECT_MAX] = 0;
    assert_int_equal(pen_regex_matches(regex, text, &found, &err), 0);
    assert_true(found);
    pen_regex_destroy(&regex);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
