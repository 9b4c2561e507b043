/* controller/model/calendar.h - days by the proleptic Gregorian calendar, counted from 1970 */
#ifndef PEN_CONTROLLER_MODEL_CALENDAR_H
#define PEN_CONTROLLER_MODEL_CALENDAR_H

#include <stdint.h>

enum { PEN_DAY_S = 24 * 3600 };

struct pen_date {
    int32_t year;
    int32_t month; /* 1 to 12 */
    int32_t day;   /* 1 to 31 */
};

/* Days from 1970-01-01 to a date, and back. */
int64_t pen_days_of(int32_t year, int32_t month, int32_t day);
struct pen_date pen_date_of(int64_t days);

int32_t pen_month_length(int32_t year, int32_t month);

/* 1 = Sunday to 7 = Saturday. */
int32_t pen_weekday_of(int32_t year, int32_t month, int32_t day);

#endif
