/* Cron expressions from text. */
#include <string.h>

#include "common/base/str.h"
#include "controller/model/cron.h"

struct field {
    const char *name;
    int32_t min;
    int32_t max;
    const char *const *names; /* of min, min + 1...; NULL: none */
    bool wraps;
};

static const char *const month_names[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                          "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
static const char *const day_names[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

static const struct field minutes = {"minutes", 0, 59, NULL, true};
static const struct field hours = {"hours", 0, 23, NULL, true};
static const struct field days_of_month = {"day-of-month", 1, 31, NULL, true};
static const struct field months = {"month", 1, 12, month_names, true};
static const struct field days_of_week = {"day-of-week", 1, 7, day_names, true};
static const struct field years = {"year", PEN_CRON_YEAR_MIN, PEN_CRON_YEAR_MAX, NULL, false};

static int bad(struct pen_error *err, const struct field *field, const char *text)
{
    return pen_fail(err, PEN_EINVAL, "cron: the field %s cannot be '%.40s'", field->name, text);
}

static char upper(char c)
{
    return (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
}

/* A number or name at *text, which is moved on. */
static bool take_value(const struct field *field, const char **text, int32_t *ret_value)
{
    const char *at = *text;
    int32_t count = field->max - field->min + 1;
    for (int32_t i = 0; field->names != NULL && i < count; i++) {
        const char *name = field->names[i];
        if (upper(at[0]) == name[0] && upper(at[1]) == name[1] && upper(at[2]) == name[2]) {
            *ret_value = field->min + i;
            *text = at + 3;
            return true;
        }
        if (at[0] == '\0' || at[1] == '\0')
            break; /* too short for a name */
    }
    int32_t value = 0;
    size_t digits = 0;
    for (; at[digits] >= '0' && at[digits] <= '9'; digits++) {
        if (digits == 4)
            return false;
        value = value * 10 + (at[digits] - '0');
    }
    if (digits == 0)
        return false;
    *ret_value = value;
    *text = at + digits;
    return true;
}

static bool in_range(const struct field *field, int32_t value)
{
    return value >= field->min && value <= field->max;
}

static void add(const struct field *field, uint64_t *set, int32_t value)
{
    int32_t bit = field->max > 63 ? value - field->min : value;
    set[bit / 64] |= UINT64_C(1) << (bit % 64);
}

/* One element of a list: *, a, a-b, with /n. Moves *text behind it. */
static bool take_element(const struct field *field, const char **text, uint64_t *set)
{
    int32_t first = field->min;
    int32_t last = field->max;
    bool single = false;
    if (**text == '*') {
        (*text)++;
    } else {
        if (!take_value(field, text, &first) || !in_range(field, first))
            return false;
        single = **text != '-';
        if (!single) {
            (*text)++;
            if (!take_value(field, text, &last) || !in_range(field, last))
                return false;
        }
    }
    int32_t step = 1;
    if (**text == '/') {
        (*text)++;
        const struct field steps = {field->name, 1, field->max, NULL, false};
        if (!take_value(&steps, text, &step) || !in_range(&steps, step))
            return false;
    } else if (single) {
        last = first;
    }
    int32_t count = field->max - field->min + 1;
    if (last < first && !field->wraps)
        return false;
    int32_t length = last < first ? last + count - first : last - first;
    for (int32_t i = 0; i <= length; i += step)
        add(field, set, field->min + (first - field->min + i) % count);
    return true;
}

static int parse_set(const struct field *field, const char *text, uint64_t *set,
                     struct pen_error *err)
{
    const char *at = text;
    for (;;) {
        if (!take_element(field, &at, set))
            return bad(err, field, text);
        if (*at == '\0')
            return 0;
        if (*at++ != ',')
            return bad(err, field, text);
    }
}

static int parse_seconds(const char *text, uint64_t *set, struct pen_error *err)
{
    static const struct field seconds = {"seconds", 0, 59, NULL, false};
    if (strcmp(text, "*") != 0 && (text[0] == '\0' || strspn(text, "0123456789") != strlen(text)))
        return pen_fail(err, PEN_EINVAL,
                        "cron: the field seconds is '*' or one number, not '%.40s'", text);
    return parse_set(&seconds, text, set, err);
}

/* L, L-n, LW, L-nW, nW; everything else is a list. */
static int parse_day_of_month(const char *text, struct pen_cron *cron, struct pen_error *err)
{
    const char *at = text;
    bool last = upper(*at) == 'L';
    int32_t value = 0;
    if (last) {
        at++;
        static const struct field offsets = {"day-of-month", 0, 30, NULL, false};
        if (*at == '-') {
            at++;
            if (!take_value(&offsets, &at, &value) || !in_range(&offsets, value))
                return bad(err, &days_of_month, text);
        }
        cron->offset = value;
        cron->day_rule = PEN_CRON_LAST_DAY;
    } else if (!take_value(&days_of_month, &at, &value) || upper(*at) != 'W') {
        cron->day_rule = PEN_CRON_DAYS_OF_MONTH;
        return parse_set(&days_of_month, text, &cron->days, err);
    }
    if (upper(*at) == 'W') {
        at++;
        cron->day_rule = last ? PEN_CRON_NEAR_LAST_DAY : PEN_CRON_NEAR_DAY;
        cron->day = value;
    }
    if (*at != '\0' || (!last && !in_range(&days_of_month, value)))
        return bad(err, &days_of_month, text);
    return 0;
}

/* L, dL, d#n; everything else is a list. */
static int parse_day_of_week(const char *text, struct pen_cron *cron, struct pen_error *err)
{
    const char *at = text;
    int32_t day = 0;
    cron->day_rule = PEN_CRON_DAYS_OF_WEEK;
    if (upper(text[0]) == 'L' && text[1] == '\0') {
        add(&days_of_week, &cron->days, 7);
        return 0;
    }
    if (!take_value(&days_of_week, &at, &day) || (upper(*at) != 'L' && *at != '#'))
        return parse_set(&days_of_week, text, &cron->days, err);
    bool nth = *at++ == '#';
    static const struct field numbers = {"day-of-week", 1, 5, NULL, false};
    if (!in_range(&days_of_week, day) ||
        (nth && (!take_value(&numbers, &at, &cron->nth) || !in_range(&numbers, cron->nth))))
        return bad(err, &days_of_week, text);
    cron->day_rule = nth ? PEN_CRON_NTH_WEEKDAY : PEN_CRON_LAST_WEEKDAY;
    cron->day = day;
    return *at == '\0' ? 0 : bad(err, &days_of_week, text);
}

static int parse_days(const char *of_month, const char *of_week, struct pen_cron *cron,
                      struct pen_error *err)
{
    bool any_of_month = strcmp(of_month, "?") == 0;
    bool any_of_week = strcmp(of_week, "?") == 0;
    if (any_of_month == any_of_week)
        return pen_fail(err, PEN_EINVAL,
                        "cron: exactly one of the fields day-of-month and day-of-week is '?'");
    return any_of_month ? parse_day_of_week(of_week, cron, err)
                        : parse_day_of_month(of_month, cron, err);
}

enum { FIELDS_MIN = 6, FIELDS_MAX = 7 };

/* Cut the copy at its blanks. */
static size_t split(char *copy, char *ret_fields[FIELDS_MAX + 1])
{
    size_t count = 0;
    for (char *at = copy; count <= FIELDS_MAX;) {
        at += strspn(at, " \t");
        if (*at == '\0')
            break;
        ret_fields[count++] = at;
        at += strcspn(at, " \t");
        if (*at != '\0')
            *at++ = '\0';
    }
    return count;
}

int pen_cron_parse(const char *text, struct pen_cron *ret_cron, struct pen_error *err)
{
    char copy[PEN_CRON_TEXT_MAX + 1];
    size_t size = text == NULL ? 0 : strnlen(text, sizeof copy);
    if (size == sizeof copy)
        return pen_fail(err, PEN_EINVAL, "cron: longer than %d bytes", PEN_CRON_TEXT_MAX);
    if (size > 0)
        memcpy(copy, text, size);
    copy[size] = '\0';
    char *fields[FIELDS_MAX + 1];
    size_t count = split(copy, fields);
    if (count < FIELDS_MIN || count > FIELDS_MAX)
        return pen_fail(err, PEN_EINVAL, "cron: '%.80s' has not 6 or 7 fields",
                        text == NULL ? "" : text);
    struct pen_cron cron = {0};
    int rc = parse_seconds(fields[0], &cron.seconds, err);
    if (rc < 0 || (rc = parse_set(&minutes, fields[1], &cron.minutes, err)) < 0 ||
        (rc = parse_set(&hours, fields[2], &cron.hours, err)) < 0 ||
        (rc = parse_days(fields[3], fields[5], &cron, err)) < 0 ||
        (rc = parse_set(&months, fields[4], &cron.months, err)) < 0 ||
        (rc = parse_set(&years, count == FIELDS_MAX ? fields[6] : "*", cron.years, err)) < 0)
        return rc;
    *ret_cron = cron;
    return 0;
}

int pen_zone_parse_fixed(const char *text, int32_t *ret_offset_s, struct pen_error *err)
{
    if (pen_str_empty(text) || strcmp(text, "UTC") == 0 || strcmp(text, "GMT") == 0 ||
        strcmp(text, "Etc/UTC") == 0) {
        *ret_offset_s = 0;
        return 0;
    }
    bool shaped = strlen(text) == 9 && strncmp(text, "UTC", 3) == 0 &&
                  (text[3] == '+' || text[3] == '-') && text[6] == ':';
    for (size_t i = 4; shaped && i < 9; i++)
        shaped = i == 6 || (text[i] >= '0' && text[i] <= '9');
    if (shaped) {
        int32_t hour = (text[4] - '0') * 10 + text[5] - '0';
        int32_t minute = (text[7] - '0') * 10 + text[8] - '0';
        if (minute < 60 && hour * 60 + minute <= 18 * 60) {
            *ret_offset_s = (hour * 3600 + minute * 60) * (text[3] == '-' ? -1 : 1);
            return 0;
        }
    }
    return pen_fail(err, PEN_EUNSUPPORTED,
                    "time zone '%.40s' is not available: use UTC, or an offset as UTC+01:00", text);
}
