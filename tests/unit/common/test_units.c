#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/units.h"

static void integers(void **state)
{
    (void)state;
    struct pen_error err;
    int64_t n = 7;
    assert_int_equal(pen_integer_parse("0", 0, 10, &n, &err), 0);
    assert_int_equal(n, 0);
    assert_int_equal(pen_integer_parse("-9223372036854775808", INT64_MIN, 0, &n, &err), 0);
    assert_true(n == INT64_MIN);
    assert_int_equal(pen_integer_parse("9223372036854775807", 0, INT64_MAX, &n, &err), 0);
    assert_true(n == INT64_MAX);
    n = 7;
    static const char *const bad[] = {"", "-", "+1", " 1", "1 ", "1x", "0x10", "1.0", "--1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(pen_integer_parse(bad[i], 0, 10, &n, &err), PEN_EINVAL);
    static const char *const far[] = {"11", "-1", "9223372036854775808", "18446744073709551616"};
    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) {
        assert_int_equal(pen_integer_parse(far[i], 0, 10, &n, &err), PEN_ELIMIT);
        assert_non_null(strstr(err.message, "between 0 and 10"));
    }
    assert_int_equal(n, 7); /* untouched on failure */
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
        const char *again;
        const char *brief;
    } good[] = {
        {"0", 0, "0s", "0ms"},
        {"500ms", 500, "500ms", "500ms"},
        {"30s", 30000, "30s", "30.0s"},
        {"90s", 90000, "1m30s", "1m30s"},
        {"1h", 3600000, "1h", "1h"},
        {"1h30m", 5400000, "1h30m", "1h30m"},
        {"2w", 1209600000, "14d", "14d"},
        {"1d2h3m4s5ms", 93784005, "1d2h3m4s5ms", "1d2h"},
    };
    char text[PEN_DURATION_TEXT_SIZE];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t ms = -1;
        assert_int_equal(pen_duration_parse(good[i].text, &ms, NULL), 0);
        assert_true(ms == good[i].ms);
        pen_duration_format(ms, text);
        assert_string_equal(text, good[i].again);
        pen_duration_format_brief(ms, text);
        assert_string_equal(text, good[i].brief);
    }
    static const char *const bad[] = {"",   "5",    "s",    "-1s",  "1 s",  "1s ",
                                      "1S", "1m1h", "1s1s", "1h30", "1.5h", "1y"};
    int64_t ms = 7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(pen_duration_parse(bad[i], &ms, NULL), PEN_EINVAL);
    assert_int_equal(pen_duration_parse("9223372036854775808ms", &ms, NULL), PEN_ELIMIT);
    assert_int_equal(pen_duration_parse("99999999999999999999ms", &ms, NULL), PEN_ELIMIT);
    assert_int_equal(pen_duration_parse("9223372036854775s808ms", &ms, NULL), PEN_ELIMIT);
    assert_true(ms == 7);
    pen_duration_format(INT64_MAX, text);
    assert_int_equal(pen_duration_parse(text, &ms, NULL), 0);
    assert_true(ms == INT64_MAX);
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
        const char *again;
        const char *brief;
    } good[] = {
        {"0", 0, "0", "0 B"},
        {"4096", 4096, "4KiB", "4.0 KiB"},
        {"1000B", 1000, "1000", "1000 B"},
        {"64KiB", 65536, "64KiB", "64.0 KiB"},
        {"10MB", 10000000, "10000000", "9.5 MiB"},
        {"1536KiB", 1572864, "1536KiB", "1.5 MiB"},
        {"3GiB", UINT64_C(3) << 30, "3GiB", "3.0 GiB"},
        {"2TiB", UINT64_C(2) << 40, "2TiB", "2.0 TiB"},
    };
    char text[PEN_SIZE_TEXT_SIZE];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t bytes = 1;
        assert_int_equal(pen_size_parse(good[i].text, &bytes, NULL), 0);
        assert_true(bytes == good[i].bytes);
        pen_size_format(bytes, text);
        assert_string_equal(text, good[i].again);
        pen_size_format_brief(bytes, text);
        assert_string_equal(text, good[i].brief);
    }
    uint64_t bytes = 7;
    static const char *const bad[] = {"", "KiB", "-1", "1 KiB", "1k", "1.5MiB", "1KiBx"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(pen_size_parse(bad[i], &bytes, NULL), PEN_EINVAL);
    assert_int_equal(pen_size_parse("16777216TiB", &bytes, NULL), PEN_ELIMIT);
    assert_int_equal(pen_size_parse("18446744073709551616", &bytes, NULL), PEN_ELIMIT);
    assert_true(bytes == 7);
}

static void times(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } known[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {1795394394123, "2026-11-23T00:39:54.123Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
        {-62167219200000, "0000-01-01T00:00:00.000Z"},
        {4107542400000, "2100-03-01T00:00:00.000Z"},
    };
    char text[PEN_TIME_TEXT_SIZE];
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        pen_time_format(known[i].ms, text);
        assert_string_equal(text, known[i].text);
        int64_t ms = 1;
        assert_int_equal(pen_time_parse(text, &ms, NULL), 0);
        assert_true(ms == known[i].ms);
    }
    pen_time_format(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    pen_time_format(INT64_MIN, text);
    assert_string_equal(text, "0000-01-01T00:00:00.000Z");
}

static void times_in_other_shapes(void **state)
{
    (void)state;
    int64_t ms = 0;
    assert_int_equal(pen_time_parse("2026-11-23 01:39:54.1239+01:00", &ms, NULL), 0);
    assert_true(ms == 1795394394123);
    assert_int_equal(pen_time_parse("2026-11-22t23:39:54-01:00", &ms, NULL), 0);
    assert_true(ms == 1795394394000);
    assert_int_equal(pen_time_parse_compact("20261123T003954Z", &ms, NULL), 0);
    assert_true(ms == 1795394394000);
    char compact[PEN_TIME_COMPACT_SIZE];
    pen_time_format_compact(1795394394123, compact);
    assert_string_equal(compact, "20261123T003954Z");
    ms = 0;
    assert_int_equal(pen_time_parse_http("Mon, 23 Nov 2026 00:39:54 GMT", &ms, NULL), 0);
    assert_true(ms == 1795394394000);
    static const char *const bad[] = {
        "",
        "2026-11-23",
        "2026-11-23T00:39:54",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-11-00T00:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T00:60:00Z",
        "2026-11-23T00:00:00.Z",
        "2026-11-23T00:00:00Zx",
        "2026-11-23T00:00:00+1:00",
        "20261123T003954",
        "Mon, 23 Nov 2026 00:39:54",
    };
    ms = 7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(pen_time_parse(bad[i], &ms, NULL), PEN_EINVAL);
        assert_int_equal(pen_time_parse_compact(bad[i], &ms, NULL), PEN_EINVAL);
        assert_int_equal(pen_time_parse_http(bad[i], &ms, NULL), PEN_EINVAL);
    }
    assert_true(ms == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),
        cmocka_unit_test(durations),
        cmocka_unit_test(sizes),
        cmocka_unit_test(times),
        cmocka_unit_test(times_in_other_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
