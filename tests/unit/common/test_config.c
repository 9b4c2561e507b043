#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/config/config.h"
#include "common/io/file.h"

static const struct pen_config_key keys[] = {
    {"http", PEN_CONFIG_ADDRESS, "127.0.0.1:7480", 0, 0, "Where the API is served."},
    {"name", PEN_CONFIG_TEXT, "", 0, 0, "What to call it."},
    {"strict", PEN_CONFIG_FLAG, "true", 0, 0, "Be strict."},
    {"slots", PEN_CONFIG_INTEGER, "2", 1, 512, "How many actions run at once."},
    {"poll-interval", PEN_CONFIG_DURATION, "60s", 1000, 86400000,
     "How often a source is looked at when nobody tells of a push, which is a sentence that is "
     "long enough to be wrapped."},
    {"cache-size", PEN_CONFIG_SIZE, "1GiB", 0, INT64_C(1) << 40, "Room for chunks."},
    {0},
};

#define TEXT_64   "0123456789012345678901234567890123456789012345678901234567890123"
#define TEXT_512  TEXT_64 TEXT_64 TEXT_64 TEXT_64 TEXT_64 TEXT_64 TEXT_64 TEXT_64
#define TEXT_4097 TEXT_512 TEXT_512 TEXT_512 TEXT_512 TEXT_512 TEXT_512 TEXT_512 TEXT_512 "4"

static char path[] = "/tmp/pen-test-config-XXXXXX";
static struct pen_config *config;
static struct pen_error err;

static int setup(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/pen-test-config-XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0)
        return -1;
    close(fd);
    return pen_config_create(keys, &config, NULL);
}

static int teardown(void **state)
{
    (void)state;
    pen_config_destroy(&config);
    return unlink(path);
}

static int load(const char *text)
{
    assert_int_equal(pen_file_replace_unsynced(path, text, strlen(text), 0600, NULL), 0);
    return pen_config_load(config, path, &err);
}

static void defaults_file_and_flags(void **state)
{
    (void)state;
    assert_string_equal(pen_config_text(config, "http"), "127.0.0.1:7480");
    assert_true(pen_config_flag(config, "strict"));
    assert_true(pen_config_number(config, "poll-interval") == 60000);
    assert_true(pen_config_number(config, "cache-size") == INT64_C(1) << 30);
    assert_string_equal(pen_config_origin(config, "slots"), "default");
    assert_int_equal(load("# comment\nslots: 7\nname: 'a: b'\nstrict: off\npoll-interval: 1h30m\n"),
                     0);
    assert_true(pen_config_number(config, "slots") == 7);
    assert_string_equal(pen_config_text(config, "name"), "a: b");
    assert_false(pen_config_flag(config, "strict"));
    assert_true(pen_config_number(config, "poll-interval") == 5400000);
    assert_non_null(strstr(pen_config_origin(config, "name"), ":3"));
    assert_int_equal(pen_config_set(config, "slots", "9", "--slots", &err), 0);
    assert_true(pen_config_number(config, "slots") == 9);
    assert_string_equal(pen_config_origin(config, "slots"), "--slots");
}

static void empty_files_are_fine(void **state)
{
    (void)state;
    assert_int_equal(load(""), 0);
    assert_int_equal(load("# nothing\n"), 0);
    assert_int_equal(load("---\n"), 0);
    assert_true(pen_config_number(config, "slots") == 2);
}

static void a_bad_file_names_line_and_key_and_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } bad[] = {
        {"slots: 3\nslotz: 4\n", ":2: there is no key 'slotz'"},
        {"slots: 3\nslots: 4\n", ":2: key 'slots' is given a second time"},
        {"slots: 3\npoll-interval: 5\n", ":2: poll-interval: '5' is not a duration"},
        {"slots: 3\npoll-interval: 5ms\n", ":2: poll-interval: 5ms is not between 1s and 1d"},
        {"slots: 3\ncache-size: 2000GiB\n", ":2: cache-size: 2000GiB is not between 0 and 1TiB"},
        {"slots: 3\nstrict: maybe\n", ":2: strict: 'maybe' is neither true nor false"},
        {"slots: 3\nname: [a, b]\n", ":2: name: lists"},
        {"slots: 3\nname: \"" TEXT_4097 "\"\n", ":2: name: the text has 4097 bytes; 0 to 4096"},
        {"slots: 3\nhttp: ''\n", ":2: http: '' is no address and port"},
        {"slots: 3\nhttp: 127.0.0.1\n", ":2: http: '127.0.0.1' is no address and port"},
        {"slots: 3\nhttp: ':7480'\n", ":2: http: ':7480' is no address and port"},
        {"slots: 3\nhttp: 127.0.0.1:65536\n", "127.0.0.1:65536' is no address and port such as"},
        {"slots: 3\nhttp: 127.0.0.1:-1\n", "the port 0 to 65535"},
        {"slots: 3\nhttp: 127.0.0.1:99999999999999999999\n", "the port 0 to 65535"},
        {"slots: 3\nname: {a: b}\n", ":2: name: lists"},
        {"slots: 3\n? [a]\n: b\n", ":2: lists"},
        {"slots: 3\nname: \"a\\0b\"\n", ":2: name: a zero byte"},
        {"slots: 1000\n", ":1: slots: 1000 is not between 1 and 512"},
        {"- slots\n", ":1: expected lines of 'key: value'"},
        {"just text\n", ":1: expected lines of 'key: value'"},
        {"slots: 3\n  x: [\n", "not YAML"},
        {"slots: 3\nname: \xff\xfe\n", "not YAML"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int rc = load(bad[i].text);
        assert_true(rc == PEN_EINVAL || rc == PEN_ELIMIT);
        assert_non_null(strstr(err.message, path));
        if (strstr(err.message, bad[i].expected) == NULL)
            fail_msg("expected \"%s\" in \"%s\"", bad[i].expected, err.message);
    }
    assert_true(pen_config_number(config, "slots") == 2);
    assert_int_equal(pen_config_set(config, "slotz", "9", "--slotz", &err), PEN_ENOTFOUND);
    assert_string_equal(err.message, "--slotz: there is no key 'slotz'");
    assert_int_equal(pen_config_load(config, "/no/such/file", &err), PEN_ENOTFOUND);
}

static void prints_what_it_reads_back(void **state)
{
    (void)state;
    assert_int_equal(pen_config_set(config, "name", "it's # odd", "test", &err), 0);
    assert_int_equal(pen_config_set(config, "cache-size", "5MB", "test", &err), 0);
    assert_int_equal(pen_config_set(config, "http", "[::1]:0", "test", &err), 0);
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_config_print(config, &text);
    assert_non_null(strstr(pen_buf_text(&text), "cache-size: 5MB # test\n"));
    pen_config_destroy(&config);
    assert_int_equal(pen_config_create(keys, &config, NULL), 0);
    assert_int_equal(load(pen_buf_text(&text)), 0);
    assert_string_equal(pen_config_text(config, "name"), "it's # odd");
    assert_string_equal(pen_config_text(config, "http"), "[::1]:0");
    assert_true(pen_config_number(config, "cache-size") == 5000000);
}

static void the_manual_lists_every_key(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_config_manual(keys, &text);
    assert_non_null(strstr(pen_buf_text(&text), "poll-interval: duration, 1s to 1d, default 60s\n"
                                                "    How often"));
    assert_non_null(strstr(pen_buf_text(&text), "name: text, no default\n    What to call it.\n"));
    assert_non_null(strstr(pen_buf_text(&text), "slots: number, 1 to 512, default 2\n"));
    const char *line = pen_buf_text(&text);
    while (*line != 0) {
        size_t length = strcspn(line, "\n");
        assert_in_range(length, 1, 80);
        line += length + 1;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_file_and_flags, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_files_are_fine, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_file_names_line_and_key_and_changes_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(prints_what_it_reads_back, setup, teardown),
        cmocka_unit_test_setup_teardown(the_manual_lists_every_key, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
