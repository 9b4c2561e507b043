/* Cron expressions: what they mean, by table; what is refused; zones whose offset changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "controller/model/cron.h"

static int64_t ms_of(const char *text)
{
    struct tm tm = {0};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M:%S", &tm));
    return (int64_t)timegm(&tm) * 1000;
}

static void say(int64_t ms, char text[32])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    (void)gmtime_r(&seconds, &tm);
    (void)strftime(text, 32, "%Y-%m-%d %H:%M:%S", &tm);
}

/* 2026-11-23 is a Monday. */
static const struct {
    const char *cron;
    const char *zone;
    const char *from;
    const char *opens;  /* NULL: never */
    const char *closes; /* NULL: not asked */
} openings[] = {
    /* fields, lists, ranges, steps */
    {"* * * ? * *", NULL, "2026-11-23 02:03:04", "2026-11-23 02:03:04", NULL},
    {"0 0 12 * * ?", NULL, "2026-11-23 02:00:00", "2026-11-23 12:00:00", "2026-11-23 12:00:01"},
    {"0 0 12 * * ?", NULL, "2026-11-23 12:00:01", "2026-11-24 12:00:00", NULL},
    {"30 15 10 * * ? *", NULL, "2026-12-31 10:15:31", "2027-01-01 10:15:30", NULL},
    {"* 0/20 * * * ?", NULL, "2026-11-23 02:21:00", "2026-11-23 02:40:00", "2026-11-23 02:41:00"},
    {"* 10-12,50 9 * * ?", NULL, "2026-11-23 09:13:00", "2026-11-23 09:50:00", NULL},
    {"* 10-12,50 9 * * ?", NULL, "2026-11-23 00:00:00", "2026-11-23 09:10:00",
     "2026-11-23 09:13:00"},
    {"* * 9-17 ? * MON-FRI", NULL, "2026-11-23 08:59:59", "2026-11-23 09:00:00",
     "2026-11-23 18:00:00"},
    {"* * 9-17 ? * mon-fri", NULL, "2026-11-27 18:00:00", "2026-11-30 09:00:00", NULL},
    {"* * 22-2 ? * *", NULL, "2026-11-23 12:00:00", "2026-11-23 22:00:00", "2026-11-24 03:00:00"},
    {"* * * ? * FRI-MON", NULL, "2026-11-24 00:00:00", "2026-11-27 00:00:00",
     "2026-12-01 00:00:00"},
    {"* * */6 ? * *", NULL, "2026-11-23 01:00:00", "2026-11-23 06:00:00", "2026-11-23 07:00:00"},
    {"* * 8-18/5 ? * *", NULL, "2026-11-23 09:00:00", "2026-11-23 13:00:00", NULL},
    {"* * * 1,15 * ?", NULL, "2026-11-23 00:00:00", "2026-12-01 00:00:00", "2026-12-02 00:00:00"},
    {"* * * 1 JAN,jul ?", NULL, "2026-11-23 00:00:00", "2027-01-01 00:00:00", NULL},
    {"* * * 1 11-2 ?", NULL, "2027-02-02 00:00:00", "2027-11-01 00:00:00", NULL},
    {"* * * 31 * ?", NULL, "2027-02-01 00:00:00", "2027-03-31 00:00:00", NULL},
    {"* * * ? * 1", NULL, "2026-11-23 00:00:00", "2026-11-29 00:00:00", NULL}, /* 1 is Sunday */
    {"* * * ? * 2", NULL, "2026-11-23 00:00:00", "2026-11-23 00:00:00", NULL},
    {"* * * ? * L", NULL, "2026-11-23 00:00:00", "2026-11-28 00:00:00", NULL},
    /* years */
    {"0 0 0 1 1 ? 2028", NULL, "2026-11-23 00:00:00", "2028-01-01 00:00:00", NULL},
    {"0 0 0 1 1 ? 2025", NULL, "2026-11-23 00:00:00", NULL, NULL},
    {"0 0 0 1 1 ? 2020/5", NULL, "2026-11-23 00:00:00", "2030-01-01 00:00:00", NULL},
    {"0 0 0 29 2 ?", NULL, "2026-11-23 00:00:00", "2028-02-29 00:00:00", NULL},
    {"0 0 0 29 2 ?", NULL, "2096-03-01 00:00:00", "2104-02-29 00:00:00", NULL}, /* not 2100 */
    {"0 0 0 30 2 ?", NULL, "2026-11-23 00:00:00", NULL, NULL},
    /* L, W, # */
    {"0 0 0 L * ?", NULL, "2027-02-01 00:00:00", "2027-02-28 00:00:00", NULL},
    {"0 0 0 L * ?", NULL, "2028-02-01 00:00:00", "2028-02-29 00:00:00", NULL},
    {"0 0 0 L-3 * ?", NULL, "2026-11-23 00:00:00", "2026-11-27 00:00:00", NULL},
    {"0 0 0 LW * ?", NULL, "2027-01-01 00:00:00", "2027-01-29 00:00:00", NULL}, /* 31st: Sunday */
    {"0 0 0 lw * ?", NULL, "2026-11-01 00:00:00", "2026-11-30 00:00:00", NULL}, /* a Monday */
    {"0 0 0 L-2W 11 ?", NULL, "2026-11-01 00:00:00", "2026-11-27 00:00:00", NULL}, /* 28th: Sat */
    {"0 0 0 15W * ?", NULL, "2026-11-01 00:00:00", "2026-11-16 00:00:00", NULL},   /* Sunday */
    {"0 0 0 14W * ?", NULL, "2026-11-01 00:00:00", "2026-11-13 00:00:00", NULL},   /* Saturday */
    {"0 0 0 1W 8 ?", NULL, "2026-08-01 00:00:00", "2026-08-03 00:00:00", NULL},    /* Saturday */
    {"0 0 0 31W 1 ?", NULL, "2027-01-01 00:00:00", "2027-01-29 00:00:00", NULL},   /* Sunday */
    {"0 0 0 31W * ?", NULL, "2026-11-01 00:00:00", "2026-12-31 00:00:00", NULL},
    {"0 0 0 ? * 6#3", NULL, "2026-11-01 00:00:00", "2026-11-20 00:00:00", NULL},
    {"0 0 0 ? * fri#5", NULL, "2026-11-01 00:00:00", "2027-01-29 00:00:00", NULL},
    {"0 0 0 ? * 6L", NULL, "2026-11-01 00:00:00", "2026-11-27 00:00:00", NULL},
    {"0 0 0 ? * MONL", NULL, "2026-11-01 00:00:00", "2026-11-30 00:00:00", NULL},
    /* offsets */
    {"* * 9 ? * *", "UTC+05:30", "2026-11-23 00:00:00", "2026-11-23 03:30:00",
     "2026-11-23 04:30:00"},
    {"* * 9 ? * MON", "UTC-08:00", "2026-11-23 00:00:00", "2026-11-23 17:00:00", NULL},
    {"* * * ? * MON", "UTC+01:00", "2026-11-22 12:00:00", "2026-11-22 23:00:00",
     "2026-11-23 23:00:00"},
};

static void check_time(const char *cron, const char *what, const char *wanted, bool found,
                       int64_t got)
{
    char text[32] = "never";
    if (found)
        say(got, text);
    if (strcmp(text, wanted == NULL ? "never" : wanted) != 0)
        fail_msg("'%s' %s at %s, not %s", cron, what, text, wanted == NULL ? "never" : wanted);
}

static void test_openings(void **state)
{
    (void)state;
    struct pen_error err;
    for (size_t i = 0; i < sizeof openings / sizeof openings[0]; i++) {
        struct pen_cron cron;
        struct pen_zone_change change = {0};
        const struct pen_zone zone = {&change, 1};
        if (pen_cron_parse(openings[i].cron, &cron, &err) < 0)
            fail_msg("'%s': %s", openings[i].cron, err.message);
        assert_int_equal(pen_zone_parse_fixed(openings[i].zone, &change.offset_s, &err), 0);
        int64_t at = 0;
        int64_t end = 0;
        bool found = pen_cron_next(&cron, &zone, ms_of(openings[i].from), &at);
        check_time(openings[i].cron, "opens", openings[i].opens, found, at);
        if (openings[i].closes == NULL)
            continue;
        found = pen_cron_close(&cron, &zone, at, &end);
        check_time(openings[i].cron, "closes", openings[i].closes, found, end);
    }
}

static void test_within_a_second(void **state)
{
    (void)state;
    struct pen_cron cron;
    struct pen_zone_change change = {0};
    const struct pen_zone zone = {&change, 1};
    int64_t at = 0;
    assert_int_equal(pen_cron_parse("30 0 0 * * ?", &cron, NULL), 0);
    assert_true(pen_cron_next(&cron, &zone, 30999, &at));
    assert_int_equal(at, 30999); /* it is open now */
    assert_true(pen_cron_next(&cron, &zone, 29001, &at));
    assert_int_equal(at, 30000);
    assert_int_equal(pen_cron_parse("* * * * * ?", &cron, NULL), 0);
    assert_false(pen_cron_close(&cron, &zone, 0, &at));
}

/* An hour that is left out opens nothing; an hour that comes twice opens twice. */
static void test_changing_offset(void **state)
{
    (void)state;
    const struct pen_zone_change changes[] = {
        {0, 3600},
        {ms_of("2027-03-28 01:00:00"), 7200}, /* 02:00 becomes 03:00 */
        {ms_of("2027-10-31 01:00:00"), 3600}, /* 03:00 becomes 02:00 */
    };
    const struct pen_zone zone = {changes, 3};
    struct pen_cron cron;
    int64_t at = 0;
    assert_int_equal(pen_cron_parse("0 30 2 * * ?", &cron, NULL), 0);
    assert_true(pen_cron_next(&cron, &zone, ms_of("2027-03-27 01:30:01"), &at));
    check_time("in spring", "opens", "2027-03-29 00:30:00", true, at);
    assert_true(pen_cron_next(&cron, &zone, ms_of("2027-10-31 00:00:00"), &at));
    check_time("in autumn", "opens", "2027-10-31 00:30:00", true, at);
    assert_true(pen_cron_next(&cron, &zone, at + 1000, &at));
    check_time("in autumn", "opens", "2027-10-31 01:30:00", true, at);
    assert_true(pen_cron_next(&cron, &zone, at + 1000, &at));
    check_time("in autumn", "opens", "2027-11-01 01:30:00", true, at);
    assert_int_equal(pen_cron_parse("0 0 0 * * ? 2027", &cron, NULL), 0);
    assert_false(pen_cron_next(&cron, &zone, ms_of("2028-01-01 00:00:00"), &at));
}

static const struct {
    const char *cron;
    const char *word; /* of the message */
} refused[] = {
    {"", "6 or 7 fields"},
    {"* * * * *", "6 or 7 fields"},
    {"* * * * * ? * *", "6 or 7 fields"},
    {"0/5 * * * * ?", "seconds"},
    {"0,30 * * * * ?", "seconds"},
    {"60 * * * * ?", "seconds"},
    {"* 60 * * * ?", "minutes"},
    {"* a * * * ?", "minutes"},
    {"* 1- * * * ?", "minutes"},
    {"* 1,,2 * * * ?", "minutes"},
    {"* 1, * * * ?", "minutes"},
    {"* */0 * * * ?", "minutes"},
    {"* */60 * * * ?", "minutes"},
    {"* 99999999999 * * * ?", "minutes"},
    {"* ? * * * ?", "minutes"},
    {"* * 24 * * ?", "hours"},
    {"* * * 0 * ?", "day-of-month"},
    {"* * * 32 * ?", "day-of-month"},
    {"* * * 32W * ?", "day-of-month"},
    {"* * * 1W,2 * ?", "day-of-month"},
    {"* * * L,2 * ?", "day-of-month"},
    {"* * * L-31 * ?", "day-of-month"},
    {"* * * L- * ?", "day-of-month"},
    {"* * * * 13 ?", "month"},
    {"* * * * JANUARY ?", "month"},
    {"* * * ? * 8", "day-of-week"},
    {"* * * ? * 0", "day-of-week"},
    {"* * * ? * 6#6", "day-of-week"},
    {"* * * ? * 6#", "day-of-week"},
    {"* * * ? * 6L,2", "day-of-week"},
    {"* * * ? * F", "day-of-week"},
    {"* * * * * *", "exactly one"},
    {"* * * ? * ?", "exactly one"},
    {"* * * * * ? 1969", "year"},
    {"* * * * * ? 2200", "year"},
    {"* * * * * ? 2030-2020", "year"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct pen_cron cron;
        struct pen_error err = {0};
        if (pen_cron_parse(refused[i].cron, &cron, &err) == 0)
            fail_msg("'%s' was taken", refused[i].cron);
        if (strstr(err.message, refused[i].word) == NULL)
            fail_msg("'%s': %s", refused[i].cron, err.message);
    }
    char text[PEN_CRON_TEXT_MAX + 2];
    memset(text, ' ', sizeof text);
    memcpy(text, "* * * * * ?", 11);
    text[sizeof text - 1] = '\0';
    struct pen_cron cron;
    assert_true(pen_cron_parse(text, &cron, NULL) < 0);
    text[sizeof text - 2] = '\0';
    assert_int_equal(pen_cron_parse(text, &cron, NULL), 0);
    assert_true(pen_cron_parse(NULL, &cron, NULL) < 0);
}

static void test_zones(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t offset_s;
    } taken[] = {{NULL, 0},
                 {"", 0},
                 {"UTC", 0},
                 {"GMT", 0},
                 {"UTC+00:00", 0},
                 {"UTC+05:45", 20700},
                 {"UTC-03:30", -12600},
                 {"UTC+18:00", 64800}};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        int32_t offset_s = -1;
        assert_int_equal(pen_zone_parse_fixed(taken[i].text, &offset_s, NULL), 0);
        assert_int_equal(offset_s, taken[i].offset_s);
    }
    static const char *const others[] = {"Europe/Berlin", "CET",       "UTC+1",     "UTC+18:01",
                                         "UTC+01:60",     "UTC+01:0x", "UTC 01:00", "utc"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        int32_t offset_s = 7;
        assert_true(pen_zone_parse_fixed(others[i], &offset_s, NULL) < 0);
        assert_int_equal(offset_s, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_openings),        cmocka_unit_test(test_within_a_second),
        cmocka_unit_test(test_changing_offset), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_zones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
