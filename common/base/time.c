/* Times as text, by arithmetic alone: no time zone, no clock, no locale. */
#include "common/base/units.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SECONDS_MIN INT64_C(-62167219200) /* 0000-01-01T00:00:00Z */
#define SECONDS_MAX INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

struct moment {
    int year, month, day, hour, minute, second;
};

/* Days since 1970-01-01 in the Gregorian calendar. Years begin in March here, so that the leap day
 * is the last of its year; 400 years have 146,097 days. */
static int64_t days_of_date(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t month_from_march = (month + 9) % 12;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void date_of_days(int64_t days, struct moment *ret_moment)
{
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    ret_moment->day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    ret_moment->month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    ret_moment->year = (int)(year_of_era + era * 400 + (ret_moment->month <= 2 ? 1 : 0));
}

/* Splits ms, first brought into the years 0000 to 9999; returns the milliseconds of the second. */
static int moment_of_ms(int64_t ms, struct moment *ret_moment)
{
    int64_t low = SECONDS_MIN * 1000;
    int64_t high = SECONDS_MAX * 1000 + 999;
    int64_t inside = ms < low ? low : ms > high ? high : ms;
    int64_t seconds = inside >= 0 ? inside / 1000 : (inside - 999) / 1000;
    int64_t days = seconds >= 0 ? seconds / 86400 : (seconds - 86399) / 86400;
    int64_t second_of_day = seconds - days * 86400;
    date_of_days(days, ret_moment);
    ret_moment->hour = (int)(second_of_day / 3600);
    ret_moment->minute = (int)(second_of_day % 3600 / 60);
    ret_moment->second = (int)(second_of_day % 60);
    return (int)(inside - seconds * 1000);
}

static bool moment_to_ms(const struct moment *m, int64_t *ret_ms)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (m->month < 1 || m->month > 12 || m->day < 1 || m->hour > 23 || m->minute > 59 ||
        m->second > 60)
        return false;
    bool leap = (m->year % 4 == 0 && m->year % 100 != 0) || m->year % 400 == 0;
    if (m->day > month_days[m->month - 1] + (leap && m->month == 2 ? 1 : 0))
        return false;
    int64_t days = days_of_date(m->year, m->month, m->day);
    *ret_ms = (((days * 24 + m->hour) * 60 + m->minute) * 60 + m->second) * 1000;
    return true;
}

void pen_time_format(int64_t ms, char ret_text[PEN_TIME_TEXT_SIZE])
{
    struct moment m;
    int fraction = moment_of_ms(ms, &m);
    (void)snprintf(ret_text, PEN_TIME_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                   m.year % 10000, m.month % 100, m.day % 100, m.hour, m.minute, m.second,
                   fraction);
}

void pen_time_format_compact(int64_t ms, char ret_text[PEN_TIME_COMPACT_SIZE])
{
    struct moment m;
    (void)moment_of_ms(ms, &m);
    (void)snprintf(ret_text, PEN_TIME_COMPACT_SIZE, "%04d%02d%02dT%02d%02d%02dZ", m.year % 10000,
                   m.month % 100, m.day % 100, m.hour % 100, m.minute % 100, m.second % 100);
}

/* Read exactly `count` digits. */
static bool number_take(const char **at, int count, int *ret_number)
{
    int number = 0;
    for (int i = 0; i < count; i++) {
        char c = (*at)[i];
        if (c < '0' || c > '9')
            return false;
        number = number * 10 + (c - '0');
    }
    *at += count;
    *ret_number = number;
    return true;
}

/* One character out of a set. */
static bool one_of_take(const char **at, const char *set)
{
    if (**at == 0 || strchr(set, **at) == NULL)
        return false;
    *at += 1;
    return true;
}

/* ".123456": milliseconds, the rest cut. No point: 0. */
static bool fraction_take(const char **at, int *ret_ms)
{
    int ms = 0;
    if (**at == '.') {
        *at += 1;
        if (**at < '0' || **at > '9')
            return false;
        int scale = 100;
        for (; **at >= '0' && **at <= '9'; *at += 1) {
            ms += (**at - '0') * scale;
            scale /= 10;
        }
    }
    *ret_ms = ms;
    return true;
}

/* "Z" or "+01:00", in minutes east. */
static bool offset_take(const char **at, int *ret_minutes)
{
    if (one_of_take(at, "Zz")) {
        *ret_minutes = 0;
        return true;
    }
    bool west = **at == '-';
    int hours = 0;
    int minutes = 0;
    if (!one_of_take(at, "+-") || !number_take(at, 2, &hours) || !one_of_take(at, ":") ||
        !number_take(at, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *ret_minutes = (hours * 60 + minutes) * (west ? -1 : 1);
    return true;
}

int pen_time_parse(const char *text, int64_t *ret_ms, struct pen_error *err)
{
    const char *at = text;
    struct moment m = {0};
    int fraction = 0;
    int offset = 0;
    int64_t ms = 0;
    if (!number_take(&at, 4, &m.year) || !one_of_take(&at, "-") || !number_take(&at, 2, &m.month) ||
        !one_of_take(&at, "-") || !number_take(&at, 2, &m.day) || !one_of_take(&at, "Tt ") ||
        !number_take(&at, 2, &m.hour) || !one_of_take(&at, ":") ||
        !number_take(&at, 2, &m.minute) || !one_of_take(&at, ":") ||
        !number_take(&at, 2, &m.second) || !fraction_take(&at, &fraction) ||
        !offset_take(&at, &offset) || *at != 0 || !moment_to_ms(&m, &ms))
        return pen_fail(err, PEN_EINVAL,
                        "'%.64s' is not a time; write one like 2026-11-23T00:39:54Z", text);
    *ret_ms = ms + fraction - (int64_t)offset * 60000;
    return 0;
}

int pen_time_parse_compact(const char *text, int64_t *ret_ms, struct pen_error *err)
{
    const char *at = text;
    struct moment m = {0};
    int64_t ms = 0;
    if (!number_take(&at, 4, &m.year) || !number_take(&at, 2, &m.month) ||
        !number_take(&at, 2, &m.day) || !one_of_take(&at, "T") || !number_take(&at, 2, &m.hour) ||
        !number_take(&at, 2, &m.minute) || !number_take(&at, 2, &m.second) ||
        !one_of_take(&at, "Z") || *at != 0 || !moment_to_ms(&m, &ms))
        return pen_fail(err, PEN_EINVAL, "'%.64s' is not a time like 20261123T003954Z", text);
    *ret_ms = ms;
    return 0;
}

static bool month_take(const char **at, int *ret_month)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12; i++) {
        if (strncmp(*at, names + (size_t)i * 3, 3) == 0) {
            *at += 3;
            *ret_month = i + 1;
            return true;
        }
    }
    return false;
}

int pen_time_parse_http(const char *text, int64_t *ret_ms, struct pen_error *err)
{
    struct moment m = {0};
    int64_t ms = 0;
    const char *at = strchr(text, ',');
    at = at == NULL ? "" : at + 1;
    if (!one_of_take(&at, " ") || !number_take(&at, 2, &m.day) || !one_of_take(&at, " ") ||
        !month_take(&at, &m.month) || !one_of_take(&at, " ") || !number_take(&at, 4, &m.year) ||
        !one_of_take(&at, " ") || !number_take(&at, 2, &m.hour) || !one_of_take(&at, ":") ||
        !number_take(&at, 2, &m.minute) || !one_of_take(&at, ":") ||
        !number_take(&at, 2, &m.second) || strcmp(at, " GMT") != 0 || !moment_to_ms(&m, &ms))
        return pen_fail(err, PEN_EINVAL, "'%.64s' is not an HTTP date", text);
    *ret_ms = ms;
    return 0;
}
