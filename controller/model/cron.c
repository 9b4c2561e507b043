/* When a cron expression is open. */
#include "controller/model/cron.h"

#include <stdio.h>

#include "common/base/check.h"
#include "controller/model/calendar.h"

static bool has(uint64_t set, int32_t value)
{
    return (set >> value & 1) != 0;
}

/* The weekday nearest to a day, without leaving the month. */
static int32_t nearest_weekday(int32_t year, int32_t month, int32_t day)
{
    int32_t weekday = pen_weekday_of(year, month, day);
    if (weekday == 7)
        return day > 1 ? day - 1 : day + 2;
    if (weekday == 1)
        return day < pen_month_length(year, month) ? day + 1 : day - 2;
    return day;
}

static bool day_matches(const struct pen_cron *self, const struct pen_date *date)
{
    int32_t length = pen_month_length(date->year, date->month);
    int32_t weekday = pen_weekday_of(date->year, date->month, date->day);
    switch (self->day_rule) {
    case PEN_CRON_DAYS_OF_MONTH:
        return has(self->days, date->day);
    case PEN_CRON_LAST_DAY:
        return date->day == length - self->offset;
    case PEN_CRON_NEAR_DAY:
        return self->day <= length &&
               date->day == nearest_weekday(date->year, date->month, self->day);
    case PEN_CRON_NEAR_LAST_DAY:
        return self->offset < length &&
               date->day == nearest_weekday(date->year, date->month, length - self->offset);
    case PEN_CRON_DAYS_OF_WEEK:
        return has(self->days, weekday);
    case PEN_CRON_NTH_WEEKDAY:
        return weekday == self->day && (date->day - 1) / 7 + 1 == self->nth;
    case PEN_CRON_LAST_WEEKDAY:
        return weekday == self->day && date->day > length - 7;
    }
    UNREACHABLE("a rule for days that is not in the table");
}

static bool year_matches(const struct pen_cron *self, int32_t year)
{
    int32_t bit = year - PEN_CRON_YEAR_MIN;
    return bit >= 0 && year <= PEN_CRON_YEAR_MAX && has(self->years[bit / 64], bit % 64);
}

/* The first day from `days` on that matches; false when there is none. */
static bool next_day(const struct pen_cron *self, int64_t *days)
{
    struct pen_date date = pen_date_of(*days);
    if (date.year < PEN_CRON_YEAR_MIN)
        date = (struct pen_date){PEN_CRON_YEAR_MIN, 1, 1};
    while (date.year <= PEN_CRON_YEAR_MAX) {
        bool month_fits = year_matches(self, date.year) && has(self->months, date.month);
        int32_t length = pen_month_length(date.year, date.month);
        for (; month_fits && date.day <= length; date.day++) {
            if (day_matches(self, &date)) {
                *days = pen_days_of(date.year, date.month, date.day);
                return true;
            }
        }
        date.day = 1;
        if (++date.month > 12) {
            date.month = 1;
            date.year++;
        }
    }
    return false;
}

/* The smallest member from `from` on, -1 when there is none. */
static int32_t next_of(uint64_t set, int32_t from)
{
    for (int32_t value = from; value < 60; value++)
        if (has(set, value))
            return value;
    return -1;
}

/* The first second of a day, from `from` on, that matches; -1 when there is none. */
static int32_t next_second(const struct pen_cron *self, int32_t from)
{
    int32_t second = next_of(self->seconds, from % 60);
    int32_t minute = from / 60 % 60;
    int32_t hour = from / 3600;
    if (second < 0 || !has(self->minutes, minute) || !has(self->hours, hour)) {
        bool same_minute = second >= 0;
        second = next_of(self->seconds, 0);
        minute = next_of(self->minutes, same_minute ? minute : minute + 1);
        bool same_hour = minute >= 0 && has(self->hours, hour);
        if (!same_hour) {
            minute = next_of(self->minutes, 0);
            hour = next_of(self->hours, hour + 1);
            if (hour < 0)
                return -1;
        }
    }
    return hour * 3600 + minute * 60 + second;
}

/* The same in seconds of local time since 1970. */
static bool next_local(const struct pen_cron *self, int64_t *local_s)
{
    int64_t days = *local_s / PEN_DAY_S - (*local_s % PEN_DAY_S < 0 ? 1 : 0);
    int32_t of_day = (int32_t)(*local_s - days * PEN_DAY_S);
    for (;;) {
        int64_t found = days;
        if (!next_day(self, &found))
            return false;
        int32_t second = next_second(self, found == days ? of_day : 0);
        if (second >= 0) {
            *local_s = found * PEN_DAY_S + second;
            return true;
        }
        days = found + 1;
        of_day = 0;
    }
}

/* The first second from `local_s` on that does not match; false: it always does. */
static bool close_local(const struct pen_cron *self, int64_t *local_s)
{
    bool whole_minutes = self->seconds == (UINT64_C(1) << 60) - 1;
    bool whole_hours = whole_minutes && self->minutes == (UINT64_C(1) << 60) - 1;
    bool whole_days = whole_hours && self->hours == (UINT64_C(1) << 24) - 1;
    int64_t step = whole_days ? PEN_DAY_S : whole_hours ? 3600 : whole_minutes ? 60 : 1;
    int64_t last = pen_days_of(PEN_CRON_YEAR_MAX + 1, 1, 1) * PEN_DAY_S;
    for (int64_t at = *local_s; at < last; at += step - at % step) {
        int64_t open = at;
        if (!next_local(self, &open) || open != at) {
            *local_s = at;
            return true;
        }
    }
    return false;
}

static int64_t floor_seconds(int64_t ms)
{
    return ms / 1000 - (ms % 1000 < 0 ? 1 : 0);
}

/* What the last search over local time gave: for every begin in between it is the same. */
struct answer {
    bool known;
    bool found;
    int64_t from_s;
    int64_t found_s;
};

typedef bool search_f(const struct pen_cron *self, int64_t *local_s);

static bool ask(const struct pen_cron *self, search_f *next, struct answer *last, int64_t *local_s)
{
    bool same =
        last->known && *local_s >= last->from_s && (!last->found || *local_s <= last->found_s);
    if (!same) {
        *last = (struct answer){.known = true, .from_s = *local_s, .found_s = *local_s};
        last->found = next(self, &last->found_s);
    }
    *local_s = last->found_s;
    return last->found;
}

/* Search from from_ms on, from one change of offset to the next. */
static bool search(const struct pen_cron *self, const struct pen_zone *zone, int64_t from_ms,
                   search_f *next, int64_t *ret_ms)
{
    CHECK(zone->count > 0);
    struct answer last_answer = {0};
    for (size_t i = 0; i < zone->count; i++) {
        const struct pen_zone_change *change = &zone->changes[i];
        bool last = i + 1 == zone->count;
        int64_t until_ms = last ? INT64_MAX : change[1].from_ms;
        int64_t begin_ms = i == 0 || change->from_ms < from_ms ? from_ms : change->from_ms;
        if (begin_ms >= until_ms)
            continue;
        int64_t begin_s = floor_seconds(begin_ms);
        int64_t local_s = begin_s + change->offset_s;
        if (!ask(self, next, &last_answer, &local_s))
            continue; /* with another offset there may be a last one */
        int64_t found_s = local_s - change->offset_s;
        int64_t found_ms = found_s == begin_s ? begin_ms : found_s * 1000;
        if (found_ms < until_ms) {
            *ret_ms = found_ms;
            return true;
        }
    }
    return false;
}

bool pen_cron_next(const struct pen_cron *self, const struct pen_zone *zone, int64_t from_ms,
                   int64_t *ret_ms)
{
    return search(self, zone, from_ms, next_local, ret_ms);
}

bool pen_cron_close(const struct pen_cron *self, const struct pen_zone *zone, int64_t open_ms,
                    int64_t *ret_ms)
{
    return search(self, zone, open_ms, close_local, ret_ms);
}

size_t pen_cron_openings(const struct pen_cron *self, const struct pen_zone *zone, int64_t from_ms,
                         int64_t *ret_opens_ms, int64_t *ret_closes_ms, size_t max)
{
    size_t count = 0;
    int64_t at_ms = from_ms;
    while (count < max && pen_cron_next(self, zone, at_ms, &at_ms)) {
        int64_t closes_ms = INT64_MAX;
        bool closes = pen_cron_close(self, zone, at_ms, &closes_ms);
        ret_opens_ms[count] = at_ms;
        if (ret_closes_ms != NULL)
            ret_closes_ms[count] = closes_ms;
        count++;
        if (!closes)
            break;
        at_ms = closes_ms;
    }
    return count;
}

void pen_time_say(int64_t ms, char ret_text[PEN_MOMENT_TEXT_SIZE])
{
    int64_t seconds = floor_seconds(ms);
    int64_t days = seconds / PEN_DAY_S - (seconds % PEN_DAY_S < 0 ? 1 : 0);
    int of_day = (int)(seconds - days * PEN_DAY_S);
    struct pen_date date = pen_date_of(days);
    (void)snprintf(ret_text, PEN_MOMENT_TEXT_SIZE, "%04d-%02d-%02d %02d:%02d:%02d UTC",
                   (int)date.year % 10000, (int)date.month, (int)date.day, of_day / 3600 % 24,
                   of_day / 60 % 60, of_day % 60);
}
