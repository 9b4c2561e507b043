/* common/blob/glob: which paths a glob takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/blob/glob.h"
#include "common/io/clock.h"

static void test_table(void **state)
{
    (void)state;
    static const struct {
        const char *glob;
        const char *path;
        bool match;
    } cases[] = {
        {"a.txt", "a.txt", true},
        {"a.txt", "b/a.txt", false},
        {"./a.txt", "a.txt", true},
        {"dir/", "dir", true},
        {"*", "a", true},
        {"*", "a/b", false},
        {"*.o", ".o", true},
        {"*.o", "a.o", true},
        {"*.o", "a.o.o", true},
        {"*.o", "a.oo", false},
        {"a*b*c", "aXbYbZc", true},
        {"a*b*c", "aXbYbZ", false},
        {"src/*/x", "src/a/x", true},
        {"src/*/x", "src/a/b/x", false},
        {"?", "a", true},
        {"?", "/", false},
        {"a?c", "a/c", false},
        {"**", "a/b/c", true},
        {"**/*", "a", true},
        {"**/*", "a/b/c", true},
        {"**/x", "x", true},
        {"**/x", "a/b/x", true},
        {"**/x", "a/bx", false},
        {"a/**", "a/b/c", true},
        {"a/**", "b/a/c", false},
        {"a/**/z", "a/z", true},
        {"a/**/z", "a/b/c/z", true},
        {"a/**/z", "a/b/cz", false},
        {"**/*.c", "x/y/z.c", true},
        {"**/*.c", "z.c", true},
        {"**/*.c", "z.h", false},
        {"**.js", "a/b.js", true},
        {"**/a*/**/b", "x/ab/c/d/b", true},
        {"**/a*/**/b", "x/b/c/d/b", false},
        {"**/a/**/a/b", "a/x/a/c/a/b", true},
        {"**/*x/y", "ax/bx/y", true},
        {"[a]", "a", false},
        {"[a]", "[a]", true},
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (pen_glob_match(cases[i].glob, cases[i].path) != cases[i].match)
            fail_msg("'%s' against '%s' is not %d", cases[i].glob, cases[i].path, cases[i].match);
}

/* What makes a recursive matcher run for years takes no time here. */
static void test_hostile(void **state)
{
    (void)state;
    char path[4001];
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    int64_t start = pen_clock_monotonic_ms();
    assert_false(pen_glob_match("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", path));
    assert_false(pen_glob_match("**a**a**a**a**a**a**a**a**a**a**a**a**a**b", path));
    for (size_t i = 1; i < sizeof path - 1; i += 2)
        path[i] = '/';
    assert_false(pen_glob_match("**/a/**/a/**/a/**/a/**/a/**/*/**/*b*/**/c", path));
    assert_true(pen_clock_monotonic_ms() - start < 2000);
}

static void test_concern(void **state)
{
    (void)state;
    char *globs[] = {"build", "out/*.o", "**/deep/x"};
    assert_true(pen_globs_concern(NULL, 0, "anything"));
    assert_true(pen_globs_concern(globs, 1, ""));
    assert_true(pen_globs_concern(globs, 1, "build"));
    assert_true(pen_globs_concern(globs, 1, "build/a/b")); /* below what is taken */
    assert_false(pen_globs_concern(globs, 1, "builds"));
    assert_false(pen_globs_concern(globs, 2, "other"));
    assert_true(pen_globs_concern(globs, 2, "out")); /* above what may be taken */
    assert_true(pen_globs_concern(globs, 2, "out/a.o"));
    assert_false(pen_globs_concern(globs, 2, "out/a.c"));
    assert_true(pen_globs_concern(globs, 3, "any/where"));
}

/* Whatever is matched below a folder, the folder is reached; and what cannot match is not. */
static void test_reach(void **state)
{
    (void)state;
    static const struct {
        const char *glob;
        const char *folder;
        bool reached;
    } cases[] = {
        {"top", "a/", false},     {"a", "a/", false},        {"a/", "a/", false},
        {"a/b", "a/", true},      {"./a/b", "a/", true},     {"a/b", "ab/", false},
        {"a/b", "a/b/", false},   {"a/b/c", "a/b/", true},   {"*/b", "a/", true},
        {"*/b", "a/b/", false},   {"*", "a/", false},        {"**", "a/", true},
        {"**/x", "a/b/c/", true}, {"a/**", "b/", false},     {"a/**/x", "a/b/", true},
        {"a*c/x", "abc/", true},  {"a*c/x", "abcd/", false}, {"a?c/x", "abc/", true},
        {"a?c/x", "a/", false},   {"a**c", "abd/e/", true},  {"", "a/", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (pen_glob_reaches(cases[i].glob, cases[i].folder) != cases[i].reached)
            fail_msg("'%s' and '%s' is not %d", cases[i].glob, cases[i].folder, cases[i].reached);
    static const char letters[] = {'a', 'b', '/', '*', '*', '?'};
    uint64_t seed = 7;
    for (unsigned round = 0; round < 200000; round++) {
        char glob[9] = "";
        char path[9] = "";
        for (size_t i = 0; i < 8; i++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            glob[i] = letters[(seed >> 40) % sizeof letters];
            path[i] = letters[(seed >> 50) % 3];
        }
        glob[seed >> 60 & 7] = '\0';
        path[seed >> 57 & 7] = '\0';
        if (!pen_glob_match(glob, path))
            continue;
        for (char *slash = strrchr(path, '/'); slash; slash = strrchr(path, '/')) {
            slash[1] = '\0';
            if (slash > path && !pen_glob_reaches(glob, path))
                fail_msg("'%s' does not reach '%s'", glob, path);
            *slash = '\0';
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_hostile),
                                       cmocka_unit_test(test_reach),
                                       cmocka_unit_test(test_concern)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
