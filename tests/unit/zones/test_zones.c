/* Time zones: of this host's database, of files made here, and names that lead nowhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controller/model/calendar.h"
#include "controller/zones/zones.h"

static int64_t utc(int32_t year, int32_t month, int32_t day, int32_t hour, int32_t minute)
{
    return (pen_days_of(year, month, day) * PEN_DAY_S + hour * 3600 + minute * 60) * 1000;
}

static struct pen_zone_changes *load(const char *name, int64_t from_ms)
{
    struct pen_zone_changes *zone = calloc(1, sizeof *zone);
    struct pen_error err = {0};
    assert_non_null(zone);
    if (pen_zones_load(name, from_ms, zone, &err) < 0)
        fail_msg("%s", err.message);
    return zone;
}

static int32_t offset_at(const struct pen_zone_changes *zone, int64_t at_ms)
{
    int32_t offset_s = zone->changes[0].offset_s;
    for (size_t i = 0; i < zone->count && zone->changes[i].from_ms <= at_ms; i++)
        offset_s = zone->changes[i].offset_s;
    return offset_s;
}

static void test_offsets(void **state)
{
    (void)state;
    static const struct {
        const char *zone;
        int32_t year, month, day, hour, minute; /* UTC */
        int32_t offset_minutes;
    } table[] = {
        {"Europe/Berlin", 2026, 3, 29, 0, 59, 60}, /* summer time begins at 01:00 UTC */
        {"Europe/Berlin", 2026, 3, 29, 1, 0, 120},
        {"Europe/Berlin", 2026, 10, 25, 0, 59, 120},
        {"Europe/Berlin", 2026, 10, 25, 1, 0, 60},
        {"Europe/Berlin", 2150, 7, 1, 0, 0, 120}, /* by the rule, not the table */
        {"Europe/Berlin", 2150, 1, 1, 0, 0, 60},
        {"America/New_York", 2026, 3, 8, 6, 59, -300},
        {"America/New_York", 2026, 3, 8, 7, 0, -240},
        {"America/New_York", 2026, 11, 1, 5, 59, -240},
        {"America/New_York", 2026, 11, 1, 6, 0, -300},
        {"America/New_York", 2099, 7, 4, 12, 0, -240},
        {"Asia/Kolkata", 2026, 7, 1, 0, 0, 330},
        {"Asia/Kolkata", 2199, 12, 31, 0, 0, 330},
        {"Australia/Lord_Howe", 2026, 4, 4, 14, 59, 660}, /* half an hour, and in the south */
        {"Australia/Lord_Howe", 2026, 4, 4, 15, 0, 630},
        {"Australia/Lord_Howe", 2026, 10, 3, 15, 29, 630},
        {"Australia/Lord_Howe", 2026, 10, 3, 15, 30, 660},
        {"Australia/Lord_Howe", 2120, 1, 1, 0, 0, 660},
        {"CET", 2026, 7, 1, 0, 0, 120},
        {"EST", 2026, 7, 1, 0, 0, -300},
        {"UTC+05:45", 2026, 7, 1, 0, 0, 345},
        {"Etc/GMT+8", 2026, 7, 1, 0, 0, -480},
    };
    static const int64_t froms[] = {0, 946684800000, 1772000000000};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        for (size_t k = 0; k < sizeof froms / sizeof froms[0]; k++) {
            struct pen_zone_changes *zone = load(table[i].zone, froms[k]);
            int64_t at_ms =
                utc(table[i].year, table[i].month, table[i].day, table[i].hour, table[i].minute);
            if (offset_at(zone, at_ms) != table[i].offset_minutes * 60)
                fail_msg("row %zu: %s has offset %d", i, table[i].zone, offset_at(zone, at_ms));
            free(zone);
        }
    }
}

/* What is over does not come along, and changes are in order. */
static void test_only_what_matters(void **state)
{
    (void)state;
    int64_t now_ms = utc(2026, 11, 25, 0, 0);
    struct pen_zone_changes *zone = load("Europe/Berlin", now_ms);
    assert_true(zone->changes[0].from_ms <= now_ms && zone->changes[1].from_ms > now_ms);
    assert_true(zone->changes[zone->count - 1].from_ms > utc(2199, 1, 1, 0, 0));
    for (size_t i = 1; i < zone->count; i++) {
        assert_true(zone->changes[i].from_ms > zone->changes[i - 1].from_ms);
        assert_int_not_equal(zone->changes[i].offset_s, zone->changes[i - 1].offset_s);
    }
    free(zone);
}

/* Local times that are left out do not open a window; those that come twice open it twice. */
static void test_windows_over_changes(void **state)
{
    (void)state;
    static const struct {
        const char *zone, *cron;
        int64_t from[5];
        const char *opens[3];
    } table[] = {
        {"Europe/Berlin",
         "0 30 2 * * ?",
         {2026, 3, 28, 0, 0},
         {"2026-03-28 01:30:00 UTC", "2026-03-30 00:30:00 UTC", "2026-03-31 00:30:00 UTC"}},
        {"Europe/Berlin",
         "0 30 2 * * ?",
         {2026, 10, 24, 0, 0},
         {"2026-10-24 00:30:00 UTC", "2026-10-25 00:30:00 UTC", "2026-10-25 01:30:00 UTC"}},
        {"Europe/Berlin",
         "0 0 9 * * ?",
         {2026, 3, 28, 0, 0},
         {"2026-03-28 08:00:00 UTC", "2026-03-29 07:00:00 UTC", "2026-03-30 07:00:00 UTC"}},
        {"America/New_York",
         "0 30 2 ? * SUN",
         {2026, 3, 1, 0, 0},
         {"2026-03-01 07:30:00 UTC", "2026-03-15 06:30:00 UTC", "2026-03-22 06:30:00 UTC"}},
        {"America/New_York",
         "0 30 1 * * ?",
         {2026, 10, 31, 0, 0},
         {"2026-10-31 05:30:00 UTC", "2026-11-01 05:30:00 UTC", "2026-11-01 06:30:00 UTC"}},
        {"Asia/Kolkata",
         "0 0 9 ? * MON-FRI",
         {2026, 11, 27, 0, 0},
         {"2026-11-27 03:30:00 UTC", "2026-11-30 03:30:00 UTC", "2026-12-01 03:30:00 UTC"}},
        {"Australia/Lord_Howe",
         "0 15 2 * * ?",
         {2026, 10, 2, 16, 0},
         {"2026-10-04 15:15:00 UTC", "2026-10-05 15:15:00 UTC", "2026-10-06 15:15:00 UTC"}},
        {"Australia/Lord_Howe",
         "0 45 1 * * ?",
         {2026, 4, 4, 0, 0},
         {"2026-04-04 14:45:00 UTC", "2026-04-04 15:15:00 UTC", "2026-04-05 15:15:00 UTC"}},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const int64_t *from = table[i].from;
        int64_t from_ms = utc((int32_t)from[0], (int32_t)from[1], (int32_t)from[2],
                              (int32_t)from[3], (int32_t)from[4]);
        struct pen_zone_changes *changes = load(table[i].zone, from_ms);
        const struct pen_zone zone = {changes->changes, changes->count};
        struct pen_cron cron;
        struct pen_error err = {0};
        assert_int_equal(pen_cron_parse(table[i].cron, &cron, &err), 0);
        int64_t opens_ms[3] = {0};
        int64_t closes_ms[3] = {0};
        assert_int_equal(pen_cron_openings(&cron, &zone, from_ms, opens_ms, closes_ms, 3), 3);
        for (size_t k = 0; k < 3; k++) {
            char text[PEN_MOMENT_TEXT_SIZE];
            pen_time_say(opens_ms[k], text);
            if (strcmp(text, table[i].opens[k]) != 0)
                fail_msg("row %zu, opening %zu: %s", i, k, text);
            assert_int_equal(closes_ms[k], opens_ms[k] + 1000);
        }
        free(changes);
    }
}

static void test_names_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int code;
    } table[] = {
        {"../../etc/passwd", PEN_EINVAL},
        {"/etc/localtime", PEN_EINVAL},
        {"Europe/../Europe/Berlin", PEN_EINVAL},
        {"Europe//Berlin", PEN_EINVAL},
        {"Europe/Berlin/", PEN_EINVAL},
        {"Europe/Ber lin", PEN_EINVAL},
        {"Europe/Berlin\n", PEN_EINVAL},
        {".", PEN_EINVAL},
        {"EU", PEN_EINVAL},
        {"zone.tab", PEN_EINVAL},
        {"localtime", PEN_EINVAL},
        {"UTC+25:00", PEN_EINVAL},
        {"Europe/Atlantis", PEN_ENOTFOUND},
        {"PST", PEN_ENOTFOUND},
        {"XYZ", PEN_ENOTFOUND},
        {"A/0123456789012345678901234567890123456789012345678901234567890123456789", PEN_EINVAL},
    };
    struct pen_zone_changes *zone = calloc(1, sizeof *zone);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct pen_error err = {0};
        int rc = pen_zones_load(table[i].name, 0, zone, &err);
        if (rc != table[i].code)
            fail_msg("'%s' gives %d: %s", table[i].name, rc, err.message);
    }
    struct pen_error err = {0};
    assert_true(pen_zones_load("Asia", 0, zone, &err) < 0); /* a folder */
    free(zone);
}

/* ---- files made here */

struct file {
    uint8_t bytes[4096];
    size_t size;
};

static void put_32(struct file *self, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        self->bytes[self->size++] = (uint8_t)(value >> shift);
}

static void put_text(struct file *self, const char *text)
{
    memcpy(self->bytes + self->size, text, strlen(text));
    self->size += strlen(text);
}

static void put_header(struct file *self, uint32_t leaps, uint32_t times, uint32_t types,
                       uint32_t chars)
{
    put_text(self, "TZif2");
    memset(self->bytes + self->size, 0, 15);
    self->size += 15;
    put_32(self, 0);
    put_32(self, 0);
    put_32(self, leaps);
    put_32(self, times);
    put_32(self, types);
    put_32(self, chars);
}

static void put_type(struct file *self, int32_t offset_s)
{
    put_32(self, (uint32_t)offset_s);
    self->bytes[self->size++] = 0;
    self->bytes[self->size++] = 0;
}

/* No change at all, but a rule. */
static void make(struct file *self, const char *rule)
{
    self->size = 0;
    put_header(self, 0, 0, 1, 4);
    put_type(self, 3600);
    put_text(self, "CET");
    self->bytes[self->size++] = 0;
    put_header(self, 0, 0, 1, 4);
    put_type(self, 3600);
    put_text(self, "CET");
    self->bytes[self->size++] = 0;
    put_text(self, "\n");
    put_text(self, rule);
    put_text(self, "\n");
}

static int parse(const struct file *file, struct pen_zone_changes *zone, struct pen_error *err)
{
    uint8_t *exact = malloc(file->size + 1); /* so that a byte too far is seen */
    assert_non_null(exact);
    memcpy(exact, file->bytes, file->size);
    int rc = pen_zone_parse(exact, file->size, 0, zone, err);
    free(exact);
    return rc;
}

static void test_rules(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        int64_t begin[5]; /* of the first change after 2026 has begun */
        int32_t offset_minutes;
    } table[] = {
        {"CET-1CEST,M3.5.0,M10.5.0/3", {2026, 3, 29, 1, 0}, 120},
        {"CET-1CEST,J60,J300", {2026, 3, 1, 1, 0}, 120},
        {"CET-1CEST,59,299/1:30", {2026, 3, 1, 1, 0}, 120},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", {2026, 3, 29, 1, 0}, -60},
        {"IST-2IDT,M3.4.4/26,M10.5.0", {2026, 3, 27, 0, 0}, 180},
        {"XYZ3XXX2:30:30,M1.1.1/5,M12.5.6", {2026, 1, 5, 8, 0}, -150},
    };
    struct pen_zone_changes *zone = calloc(1, sizeof *zone);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct file file;
        struct pen_error err = {0};
        make(&file, table[i].rule);
        if (parse(&file, zone, &err) < 0)
            fail_msg("'%s': %s", table[i].rule, err.message);
        const int64_t *begin = table[i].begin;
        int64_t at_ms = utc((int32_t)begin[0], (int32_t)begin[1], (int32_t)begin[2],
                            (int32_t)begin[3], (int32_t)begin[4]);
        size_t k = 0;
        while (k < zone->count && zone->changes[k].from_ms < utc(2026, 1, 1, 0, 0))
            k++;
        if (zone->changes[k].from_ms != at_ms ||
            zone->changes[k].offset_s / 60 != table[i].offset_minutes)
            fail_msg("'%s': %lld, %d", table[i].rule, (long long)zone->changes[k].from_ms,
                     zone->changes[k].offset_s);
    }
    free(zone);
}

static void test_broken_rules(void **state)
{
    (void)state;
    static const char *const rules[] = {
        "C",
        "CET",
        "CET-",
        "CET-1CEST",
        "CET-1CEST,M3.5.0",
        "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,J0,J300",
        "CET-1CEST,J1,J366",
        "CET-1CEST,1,366",
        "CET-25",
        "CET-1:60",
        "<+01",
        "CET-1CEST,M3.5.0/168,M10.5.0",
        "CET-1CEST,M3.5.0,M10.5.0x",
        "CET-99999999999999999999",
        "CET-1CEST,M3-5-0,M10.5.0",
    };
    struct pen_zone_changes *zone = calloc(1, sizeof *zone);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        struct file file;
        struct pen_error err = {0};
        make(&file, rules[i]);
        if (parse(&file, zone, &err) != PEN_ECORRUPT)
            fail_msg("'%s' is taken", rules[i]);
    }
    free(zone);
}

/* Cut anywhere, it is refused. */
static void test_broken_files(void **state)
{
    (void)state;
    struct pen_zone_changes *zone = calloc(1, sizeof *zone);
    struct pen_error err = {0};
    struct file file;
    make(&file, "CET-1CEST,M3.5.0,M10.5.0/3");
    size_t whole = file.size;
    for (file.size = 0; file.size < whole; file.size++)
        assert_int_equal(parse(&file, zone, &err), PEN_ECORRUPT);
    assert_int_equal(parse(&file, zone, &err), 0);

    file.bytes[0] = 't';
    assert_int_equal(parse(&file, zone, &err), PEN_ECORRUPT);
    make(&file, "");
    assert_int_equal(parse(&file, zone, &err), 0); /* the future is not known: as it is */
    file.bytes[28] = 0xff;                         /* leap seconds without end */
    assert_int_equal(parse(&file, zone, &err), PEN_ELIMIT);
    file.size = 0;
    put_header(&file, 0, 2, 1, 0); /* two changes, the second before the first */
    file.bytes[4] = 0;
    put_32(&file, 2000);
    put_32(&file, 1000);
    put_text(&file, "\1\1");
    file.bytes[file.size - 2] = file.bytes[file.size - 1] = 0;
    put_type(&file, 3600);
    assert_int_equal(parse(&file, zone, &err), PEN_ECORRUPT);
    assert_non_null(strstr(err.message, "order"));
    file.bytes[44 + 7] = 0;
    file.bytes[44 + 6] = 0xff; /* now in order, but of a type that is not there */
    file.bytes[44 + 8] = 1;
    assert_int_equal(parse(&file, zone, &err), PEN_ECORRUPT);
    assert_non_null(strstr(err.message, "type"));
    free(zone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_only_what_matters),
        cmocka_unit_test(test_windows_over_changes),
        cmocka_unit_test(test_names_refused),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_broken_rules),
        cmocka_unit_test(test_broken_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
