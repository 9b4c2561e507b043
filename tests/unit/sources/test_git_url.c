/* controller/sources/url.h: what may be fetched from, and what only looks like it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "controller/sources/url.h"

static void test_allowed(void **state)
{
    (void)state;
    static const struct {
        const char *base;
        const char *id;
        const char *text;
        enum pen_git_scheme scheme;
    } cases[] = {
        {"https://github.com", "o/r", "https://github.com/o/r", PEN_GIT_HTTPS},
        {"https://GitHub.com:8443/git/", "o/r.git", "https://GitHub.com:8443/git/o/r.git",
         PEN_GIT_HTTPS},
        {"http://127.0.0.1:81", "r", "http://127.0.0.1:81/r", PEN_GIT_HTTP},
        {"https://[2001:db8::1]:443", "r", "https://[2001:db8::1]:443/r", PEN_GIT_HTTPS},
        {"ssh://git@host.example:2222/srv", "a/b_c-d.git",
         "ssh://git@host.example:2222/srv/a/b_c-d.git", PEN_GIT_SSH},
        {"git://localhost", "~me/r", "git://localhost/~me/r", PEN_GIT_GIT},
        {"/srv/my repos/", "r", "/srv/my repos/r", PEN_GIT_LOCAL},
        {"file:///srv/git", "o/r", "/srv/git/o/r", PEN_GIT_LOCAL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pen_error err = {0};
        PEN_CLEANUP(pen_git_url_release) struct pen_git_url url = {0};
        if (pen_git_url_make(cases[i].base, cases[i].id, &url, &err) < 0)
            fail_msg("%s: %s", cases[i].base, err.message);
        assert_string_equal(url.text, cases[i].text);
        assert_int_equal(url.scheme, cases[i].scheme);
        assert_int_equal(url.loopback, strstr(cases[i].base, "127.0.0.1") != NULL ||
                                           strstr(cases[i].base, "localhost") != NULL);
    }
}

static const char *const bases[] = {
    "ext::sh -c touch% /tmp/x",
    "ext::https://host",
    "-oProxyCommand=x",
    "--upload-pack=x",
    "fd::3",
    "ftp://host/x",
    "HTTPS://host",
    "https:/host",
    "https://",
    "https:///path",
    "https://user:secret@host",
    "https://token@host",
    "ssh://git:secret@host/x",
    "ssh://-oProxyCommand=x/x",
    "ssh://-l@host/x",
    "ssh://git@-host/x",
    "https://-host",
    "https://host:port",
    "https://host:999999",
    "https://host:80:80",
    "https://ho st",
    "https://host\\@evil",
    "https://host/a/../b",
    "https://host/-x",
    "https://host/a?b",
    "https://host/a#b",
    "https://host//a",
    "https://host/$(x)",
    "https://host/a;b",
    "https://host/a\nb",
    "https://169.254.169.254",
    "http://[fe80::1]",
    "http://[::ffff:a9fe:a9fe]",
    "https://[x]",
    "git@host:path",
    "relative/path",
    "./x",
    "../x",
    "/",
    "/srv/../etc",
    "/srv/-x",
    "file://host/srv",
    "file:///../etc",
    "",
    "http://h%6fst",
    "https://host%00.example",
};
static const char *const ids[] = {"",     "/a",   "a//b", "a/",  "..",   "a/../b",  "-a",
                                  "a/-b", "a b",  "a;b",  "a?b", "a\nb", "a/.",     "a:b",
                                  "$x",   "a\\b", "a#b",  "a*",  "a/..", "\xc3\xbc"};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++) {
        struct pen_git_url url = {0};
        struct pen_error err = {0};
        if (pen_git_url_make(bases[i], "o/r", &url, &err) != PEN_EINVAL)
            fail_msg("base '%s' was taken", bases[i]);
        assert_null(url.text);
        assert_null(strstr(err.message, "secret"));
    }
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct pen_git_url url = {0};
        if (pen_git_url_make("https://host", ids[i], &url, NULL) != PEN_EINVAL)
            fail_msg("id '%s' was taken", ids[i]);
    }
    struct pen_git_url url = {0};
    assert_int_equal(pen_git_url_make(NULL, "r", &url, NULL), PEN_EINVAL);
    assert_int_equal(pen_git_url_make("https://h", NULL, &url, NULL), PEN_EINVAL);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "my-repo_2.x", "0"};
    static const char *const bad[] = {"", ".", "..", ".x", "-x", "a/b", "a.git", "a b", "a\n"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(pen_git_repository_name_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(pen_git_repository_name_valid(bad[i]));
    char name[102];
    memset(name, 'a', 101);
    name[101] = '\0';
    assert_false(pen_git_repository_name_valid(name));
    name[100] = '\0';
    assert_true(pen_git_repository_name_valid(name));
    assert_true(pen_git_id_valid("0123456789abcdef0123456789abcdef01234567"));
    assert_false(pen_git_id_valid("0123456789ABCDEF0123456789abcdef01234567"));
    assert_false(pen_git_id_valid("main"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_allowed),
                                       cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
