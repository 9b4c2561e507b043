#include "controller/model/calendar.h"

enum { DAYS_PER_ERA = 146097, DAYS_0000_TO_1970 = 719468 };

/* Years begin in March here, so that the leap day is the last. */
int64_t pen_days_of(int32_t year, int32_t month, int32_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * DAYS_PER_ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year -
           DAYS_0000_TO_1970;
}

struct pen_date pen_date_of(int64_t days)
{
    days += DAYS_0000_TO_1970;
    int64_t era = (days >= 0 ? days : days - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    int64_t of_era = days - era * DAYS_PER_ERA;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    struct pen_date date = {.day = (int32_t)(of_year - (153 * month + 2) / 5 + 1),
                            .month = (int32_t)(month < 10 ? month + 3 : month - 9)};
    date.year = (int32_t)(year + era * 400 + (date.month <= 2 ? 1 : 0));
    return date;
}

int32_t pen_month_length(int32_t year, int32_t month)
{
    return (int32_t)(month == 12 ? 31
                                 : pen_days_of(year, month + 1, 1) - pen_days_of(year, month, 1));
}

/* 1970 began on a Thursday. */
int32_t pen_weekday_of(int32_t year, int32_t month, int32_t day)
{
    int64_t days = pen_days_of(year, month, day) + 4;
    return (int32_t)((days % 7 + 7) % 7) + 1;
}
