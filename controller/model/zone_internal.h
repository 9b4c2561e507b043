/* controller/model/zone_internal.h - what the files about time zones share; not for others */
#ifndef PEN_CONTROLLER_MODEL_ZONE_INTERNAL_H
#define PEN_CONTROLLER_MODEL_ZONE_INTERNAL_H

#include "controller/model/zone.h"

/* A day of the year and the local time on it, as the rule of a zone has it. */
struct pen_zone_day {
    enum { PEN_ZONE_DAY_LEAPLESS = 1, PEN_ZONE_DAY_COUNTED, PEN_ZONE_DAY_WEEKDAY } kind;
    int32_t day;   /* 1 to 365 without Feb 29; or 0 to 365; or 0 = Sunday to 6 */
    int32_t week;  /* 1 to 4; 5 is the last */
    int32_t month; /* 1 to 12 */
    int32_t time_s;
};

/* The rule behind the last change of a file. */
struct pen_zone_rule {
    int32_t standard_s;
    bool daylight; /* it has summer time, and the rest is filled */
    int32_t daylight_s;
    struct pen_zone_day begin;
    struct pen_zone_day end;
};

/* Read a rule: "EST5EDT,M3.2.0,M11.1.0", "<+0330>-3:30". Errors: PEN_ECORRUPT. */
int pen_zone_rule_parse(const char *text, size_t size, struct pen_zone_rule *ret_rule,
                        struct pen_error *err);

/* Seconds since 1970 of the year's two changes; of a rule with summer time. */
void pen_zone_rule_year(const struct pen_zone_rule *self, int32_t year, int64_t *ret_begin_s,
                        int64_t *ret_end_s);

#endif
