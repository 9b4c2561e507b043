/* The rule of a zone for the future, as POSIX writes it in the variable TZ. */
#include <string.h>

#include "controller/model/calendar.h"
#include "controller/model/zone_internal.h"

enum { HOURS_MAX = 167 /* of a time on a day: a week, as newer files have it */ };

struct reader {
    const char *at;
    const char *end;
    bool bad;
};

static char peek(const struct reader *self)
{
    return self->at < self->end ? *self->at : 0;
}

static bool skip(struct reader *self, char c)
{
    if (peek(self) != c || c == 0)
        return false;
    self->at++;
    return true;
}

static int32_t number(struct reader *self, int32_t least, int32_t most)
{
    int32_t value = 0;
    bool digits = false;
    while (peek(self) >= '0' && peek(self) <= '9' && value <= most) {
        value = value * 10 + (*self->at++ - '0');
        digits = true;
    }
    if (!digits || value < least || value > most)
        self->bad = true;
    return value;
}

/* "CET" or "<+03>": what it says does not matter here. */
static void name(struct reader *self)
{
    const char *begin = self->at;
    if (skip(self, '<')) {
        while (peek(self) != '>' && peek(self) != 0)
            self->at++;
        if (!skip(self, '>'))
            self->bad = true;
        return;
    }
    while ((peek(self) >= 'A' && peek(self) <= 'Z') || (peek(self) >= 'a' && peek(self) <= 'z'))
        self->at++;
    if (self->at - begin < 3)
        self->bad = true;
}

/* [+-]hours[:minutes[:seconds]] */
static int32_t time_of(struct reader *self, int32_t hours_max)
{
    bool minus = skip(self, '-');
    if (!minus)
        (void)skip(self, '+');
    int32_t seconds = number(self, 0, hours_max) * 3600;
    if (skip(self, ':'))
        seconds += number(self, 0, 59) * 60;
    if (skip(self, ':'))
        seconds += number(self, 0, 59);
    return minus ? -seconds : seconds;
}

static struct pen_zone_day day_of(struct reader *self)
{
    struct pen_zone_day day = {.time_s = 2 * 3600};
    if (!skip(self, ','))
        self->bad = true;
    if (skip(self, 'M')) {
        day.kind = PEN_ZONE_DAY_WEEKDAY;
        day.month = number(self, 1, 12);
        self->bad = !skip(self, '.') || self->bad;
        day.week = number(self, 1, 5);
        self->bad = !skip(self, '.') || self->bad;
        day.day = number(self, 0, 6);
    } else if (skip(self, 'J')) {
        day.kind = PEN_ZONE_DAY_LEAPLESS;
        day.day = number(self, 1, 365);
    } else {
        day.kind = PEN_ZONE_DAY_COUNTED;
        day.day = number(self, 0, 365);
    }
    if (skip(self, '/'))
        day.time_s = time_of(self, HOURS_MAX);
    return day;
}

int pen_zone_rule_parse(const char *text, size_t size, struct pen_zone_rule *ret_rule,
                        struct pen_error *err)
{
    struct reader reader = {.at = text, .end = text + size};
    struct pen_zone_rule rule = {0};
    name(&reader);
    rule.standard_s = -time_of(&reader, 24); /* west of Greenwich is positive there */
    if (!reader.bad && reader.at < reader.end) {
        rule.daylight = true;
        name(&reader);
        rule.daylight_s = rule.standard_s + 3600;
        if (peek(&reader) != ',')
            rule.daylight_s = -time_of(&reader, 24);
        rule.begin = day_of(&reader);
        rule.end = day_of(&reader);
    }
    if (reader.bad || reader.at != reader.end)
        return pen_fail(err, PEN_ECORRUPT, "its rule '%.*s' cannot be read",
                        size > 100 ? 100 : (int)size, text);
    *ret_rule = rule;
    return 0;
}

/* Days since 1970. */
static int64_t day_in(const struct pen_zone_day *self, int32_t year)
{
    if (self->kind == PEN_ZONE_DAY_COUNTED)
        return pen_days_of(year, 1, 1) + self->day;
    if (self->kind == PEN_ZONE_DAY_LEAPLESS) {
        bool leap = pen_month_length(year, 2) == 29;
        return pen_days_of(year, 1, 1) + self->day - 1 + (leap && self->day >= 60 ? 1 : 0);
    }
    int32_t first = pen_weekday_of(year, self->month, 1) - 1;
    int32_t day = 1 + (self->day - first + 7) % 7 + (self->week - 1) * 7;
    if (day > pen_month_length(year, self->month))
        day -= 7;
    return pen_days_of(year, self->month, day);
}

void pen_zone_rule_year(const struct pen_zone_rule *self, int32_t year, int64_t *ret_begin_s,
                        int64_t *ret_end_s)
{
    *ret_begin_s = day_in(&self->begin, year) * PEN_DAY_S + self->begin.time_s - self->standard_s;
    *ret_end_s = day_in(&self->end, year) * PEN_DAY_S + self->end.time_s - self->daylight_s;
}
