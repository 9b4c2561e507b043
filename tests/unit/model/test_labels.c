/* RunsOn expressions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "controller/model/labels.h"

/* An agent with os=linux, arch=amd64 and gpu. */
static const char *lookup(void *context, const char *key)
{
    (void)context;
    if (strcmp(key, "os") == 0)
        return "linux";
    if (strcmp(key, "arch") == 0)
        return "amd64";
    return strcmp(key, "gpu") == 0 ? "" : NULL;
}

static void test_matches(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t misses;
        size_t first;
    } cases[] = {
        {"", 0, 0},
        {"  ", 0, 0},
        {"os=linux", 0, 0},
        {"os=linu", 1, 0},
        {"os=linux,arch=arm64", 1, 1},
        {"os!=linux", 1, 0},
        {"os!=darwin,pool!=blue", 0, 0},
        {"gpu", 0, 0},
        {"!gpu", 1, 0},
        {"!spot , gpu", 0, 0},
        {"spot,os=linux,pool=blue", 2, 0},
        {"os=linux,pool=blue,spot", 2, 1},
        {"zone/a.b_c-d!=x", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pen_labels labels;
        assert_int_equal(pen_labels_parse(cases[i].text, &labels, NULL), 0);
        size_t first = 0;
        assert_int_equal(pen_labels_misses(&labels, lookup, NULL, &first), cases[i].misses);
        assert_int_equal(first, cases[i].first);
        assert_int_equal(pen_labels_match(&labels, lookup, NULL), cases[i].misses == 0);
    }
    struct pen_labels labels;
    assert_int_equal(pen_labels_parse(NULL, &labels, NULL), 0);
    assert_int_equal(labels.terms_count, 0);
}

static void test_faults_name_the_term(void **state)
{
    (void)state;
    static const char *const faults[][2] = {
        {"os=linux,,gpu", "''"},
        {"os=", "'os='"},
        {"=linux", "'=linux'"},
        {"os==linux", "'os==linux'"},
        {"!os=linux", "'!os=linux'"},
        {"os!linux", "'os!linux'"},
        {"a b", "'a b'"},
        {"os=linux,", "''"},
        {"gpu,o$", "'o$'"},
        {"!", "'!'"},
        {"os=a\nb", "os=a"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct pen_error err;
        struct pen_labels labels = {.terms_count = 7};
        assert_int_equal(pen_labels_parse(faults[i][0], &labels, &err), PEN_EINVAL);
        assert_non_null(strstr(err.message, faults[i][1]));
        assert_int_equal(labels.terms_count, 7);
    }
}

static void test_limits(void **state)
{
    (void)state;
    struct pen_labels labels;
    assert_int_equal(pen_labels_parse("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p", &labels, NULL), 0);
    assert_int_equal(pen_labels_parse("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", &labels, NULL),
                     PEN_ELIMIT);
    char word[65];
    memset(word, 'a', 64);
    word[64] = '\0';
    assert_int_equal(pen_labels_parse(word, &labels, NULL), PEN_EINVAL);
    assert_false(pen_label_word_valid(word));
    assert_int_equal(pen_labels_parse(word + 1, &labels, NULL), 0);
    assert_true(pen_label_word_valid(word + 1));
    assert_false(pen_label_word_valid(""));
    assert_false(pen_label_word_valid("a b"));
    assert_false(pen_label_word_valid(NULL));
}

static void test_terms_are_written_as_read(void **state)
{
    (void)state;
    struct pen_labels labels;
    assert_int_equal(pen_labels_parse("os=linux, arch!=arm64,gpu,!spot", &labels, NULL), 0);
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    for (size_t i = 0; i < labels.terms_count; i++) {
        pen_label_term_format(&labels.terms[i], &text);
        pen_buf_putc(&text, ';');
    }
    assert_string_equal(pen_buf_text(&text), "os=linux;arch!=arm64;gpu;!spot;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_faults_name_the_term),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_terms_are_written_as_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
