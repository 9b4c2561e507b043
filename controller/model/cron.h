/* controller/model/cron.h - Quartz cron expressions: when a deployment window is open
 *
 *     seconds minutes hours day-of-month month day-of-week [year]
 *        0     0,30   9-17       ?        *     MON-FRI
 *
 *     *       any                  a-b    a range; 22-2 and FRI-MON go past the end
 *     a,b     a list               a/n    from a on, every nth
 *     ?       no condition: stands in exactly one of the two fields for days
 *     L       day-of-month: the last day; L-3: three days before it; day-of-week: Saturday
 *     15W     the weekday (MON-FRI) nearest to the 15th in its month; LW: the last weekday
 *     6L      the last Friday of the month
 *     6#3     the third Friday of the month
 *
 * Days of the week are 1 = SUN to 7 = SAT; names of days and months in any case. Seconds are `*` or
 * one number. Years are 1970 to 2199. An expression describes seconds of local time; each second
 * that matches is open.
 */
#ifndef PEN_CONTROLLER_MODEL_CRON_H
#define PEN_CONTROLLER_MODEL_CRON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/limits.h"

enum pen_cron_day_rule {
    PEN_CRON_DAYS_OF_MONTH = 1, /* those in `days` */
    PEN_CRON_LAST_DAY,          /* the last but `offset` */
    PEN_CRON_NEAR_DAY,          /* the weekday nearest to `day` */
    PEN_CRON_NEAR_LAST_DAY,     /* the weekday nearest to the last but `offset` */
    PEN_CRON_DAYS_OF_WEEK,      /* those in `days` */
    PEN_CRON_NTH_WEEKDAY,       /* the `nth` `day` of the month */
    PEN_CRON_LAST_WEEKDAY,      /* the last `day` of the month */
};

/* A parsed expression. Sets are bits: bit n is the value n. */
struct pen_cron {
    uint64_t seconds;
    uint64_t minutes;
    uint64_t hours;
    uint64_t months;                                                  /* 1 to 12 */
    uint64_t years[(PEN_CRON_YEAR_MAX - PEN_CRON_YEAR_MIN) / 64 + 1]; /* bit 0 is 1970 */
    enum pen_cron_day_rule day_rule;
    uint64_t days; /* 1 to 31, or 1 = SUN to 7 */
    int32_t day;
    int32_t offset;
    int32_t nth;
};

/* Where local time comes from: offsets to UTC in seconds, each valid from its moment on, ascending;
 * the first is valid before its moment, too. The pure part of the program cannot read the time zone
 * database: who can, hands the changes of some decades in. */
struct pen_zone_change {
    int64_t from_ms;
    int32_t offset_s;
};

struct pen_zone {
    const struct pen_zone_change *changes;
    size_t count; /* 1 or more */
};

/* Errors: PEN_EINVAL, naming the field and what is wrong with it. */
int pen_cron_parse(const char *text, struct pen_cron *ret_cron, struct pen_error *err);

/* The first moment at or after from_ms (UTC) that is open: from_ms itself when it is. False: never
 * again, as far as years go. Local times that a change of offset leaves out do not occur. */
bool pen_cron_next(const struct pen_cron *self, const struct pen_zone *zone, int64_t from_ms,
                   int64_t *ret_ms);

/* The first moment after open_ms, which is open, that is not open any more. False: never. With it
 * and pen_cron_next all windows can be listed. */
bool pen_cron_close(const struct pen_cron *self, const struct pen_zone *zone, int64_t open_ms,
                    int64_t *ret_ms);

/* The next openings from from_ms on, at most `max`: when each begins, and, unless ret_closes_ms is
 * NULL, when it ends (INT64_MAX: never). The number of them; the first is from_ms itself when it is
 * open then. */
size_t pen_cron_openings(const struct pen_cron *self, const struct pen_zone *zone, int64_t from_ms,
                         int64_t *ret_opens_ms, int64_t *ret_closes_ms, size_t max);

/* "2026-11-23 09:00:00 UTC"; the year as many digits as it has, within the range of years. */
enum { PEN_MOMENT_TEXT_SIZE = 32 };
void pen_time_say(int64_t ms, char ret_text[PEN_MOMENT_TEXT_SIZE]);

/* The zones that need no database: NULL, "", "UTC", "GMT", "Etc/UTC" and "UTC+HH:MM", "UTC-HH:MM",
 * up to 18 hours. Errors: PEN_EUNSUPPORTED for any other name. */
int pen_zone_parse_fixed(const char *text, int32_t *ret_offset_s, struct pen_error *err);

#endif
