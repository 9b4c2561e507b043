/* Numbers, durations and sizes; times are in time.c. */
#include "common/base/units.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first: pen_duration_parse wants them in this order. */
static const struct unit durations[] = {
    {"w", 604800000}, {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};
enum { DURATIONS = sizeof durations / sizeof durations[0] };

static const struct unit sizes[] = {
    {"TiB", UINT64_C(1) << 40},
    {"GiB", UINT64_C(1) << 30},
    {"MiB", UINT64_C(1) << 20},
    {"KiB", UINT64_C(1) << 10},
    {"TB", UINT64_C(1000000000000)},
    {"GB", 1000000000},
    {"MB", 1000000},
    {"kB", 1000},
    {"B", 1},
    {"", 1},
};
enum { SIZES = sizeof sizes / sizeof sizes[0], SIZES_BINARY = 4 };

/* Read digits at *at into *ret_number and move *at behind them. */
static int digits_take(const char **at, uint64_t *ret_number)
{
    const char *p = *at;
    uint64_t number = 0;
    if (*p < '0' || *p > '9')
        return PEN_EINVAL;
    for (; *p >= '0' && *p <= '9'; p++) {
        unsigned digit = (unsigned)(*p - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return PEN_ELIMIT;
        number = number * 10 + digit;
    }
    *at = p;
    *ret_number = number;
    return 0;
}

int pen_integer_parse(const char *text, int64_t minimum, int64_t maximum, int64_t *ret_number,
                      struct pen_error *err)
{
    bool negative = text[0] == '-';
    const char *at = text + (negative ? 1 : 0);
    uint64_t magnitude = 0;
    int rc = digits_take(&at, &magnitude);
    if (rc == PEN_EINVAL || (rc == 0 && *at != 0))
        return pen_fail(err, PEN_EINVAL, "'%.64s' is not a whole number", text);
    uint64_t magnitude_max = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    int64_t number = 0;
    if (rc == 0 && magnitude <= magnitude_max)
        number = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    else
        rc = PEN_ELIMIT;
    if (rc < 0 || number < minimum || number > maximum)
        return pen_fail(err, PEN_ELIMIT, "%.64s is not between %" PRId64 " and %" PRId64, text,
                        minimum, maximum);
    *ret_number = number;
    return 0;
}

/* Index of the duration unit at *at, from index first on; -1 when none is there. */
static int duration_unit_take(const char **at, int first)
{
    size_t length = strspn(*at, "wdhms");
    for (int i = first; i < DURATIONS; i++) {
        if (strlen(durations[i].name) == length && strncmp(*at, durations[i].name, length) == 0) {
            *at += length;
            return i;
        }
    }
    return -1;
}

int pen_duration_parse(const char *text, int64_t *ret_ms, struct pen_error *err)
{
    if (strcmp(text, "0") == 0) {
        *ret_ms = 0;
        return 0;
    }
    const char *at = text;
    uint64_t sum = 0;
    int next_unit = 0;
    do {
        uint64_t number = 0;
        int rc = digits_take(&at, &number);
        int unit = rc == 0 ? duration_unit_take(&at, next_unit) : -1;
        if (rc != PEN_ELIMIT && unit < 0)
            return pen_fail(err, PEN_EINVAL,
                            "'%.64s' is not a duration; write one like 500ms, 30s, 1h30m or 7d",
                            text);
        if (rc == PEN_ELIMIT || number > (uint64_t)INT64_MAX / durations[unit].factor ||
            number * durations[unit].factor > (uint64_t)INT64_MAX - sum)
            return pen_fail(err, PEN_ELIMIT, "duration '%.64s' is too long", text);
        sum += number * durations[unit].factor;
        next_unit = unit + 1;
    } while (*at != 0);
    *ret_ms = (int64_t)sum;
    return 0;
}

/* Append to a text of PEN_DURATION_TEXT_SIZE bytes that holds `length`; returns the new length. */
static size_t duration_add(char *text, size_t length, uint64_t number, const char *unit)
{
    int added =
        snprintf(text + length, PEN_DURATION_TEXT_SIZE - length, "%" PRIu64 "%s", number, unit);
    return length + (size_t)added;
}

void pen_duration_format(int64_t ms, char ret_text[PEN_DURATION_TEXT_SIZE])
{
    uint64_t left = ms < 0 ? 0 : (uint64_t)ms;
    size_t length = 0;
    for (int i = 1; i < DURATIONS; i++) { /* days, not weeks: 7d is plainer than 1w */
        uint64_t number = left / durations[i].factor;
        left %= durations[i].factor;
        if (number > 0)
            length = duration_add(ret_text, length, number, durations[i].name);
    }
    if (length == 0)
        (void)duration_add(ret_text, 0, 0, "s");
}

void pen_duration_format_brief(int64_t ms, char ret_text[PEN_DURATION_TEXT_SIZE])
{
    uint64_t left = ms < 0 ? 0 : (uint64_t)ms;
    if (left < 1000) {
        (void)duration_add(ret_text, 0, left, "ms");
    } else if (left < 60000) {
        (void)snprintf(ret_text, PEN_DURATION_TEXT_SIZE, "%" PRIu64 ".%" PRIu64 "s", left / 1000,
                       left % 1000 / 100);
    } else {
        int unit = left >= durations[1].factor ? 1 : left >= durations[2].factor ? 2 : 3;
        size_t length =
            duration_add(ret_text, 0, left / durations[unit].factor, durations[unit].name);
        uint64_t rest = left % durations[unit].factor / durations[unit + 1].factor;
        if (rest > 0)
            (void)duration_add(ret_text, length, rest, durations[unit + 1].name);
    }
}

int pen_size_parse(const char *text, uint64_t *ret_bytes, struct pen_error *err)
{
    const char *at = text;
    uint64_t number = 0;
    int rc = digits_take(&at, &number);
    const struct unit *unit = NULL;
    for (int i = 0; rc == 0 && i < SIZES && unit == NULL; i++) {
        if (strcmp(at, sizes[i].name) == 0)
            unit = &sizes[i];
    }
    if (rc != PEN_ELIMIT && unit == NULL)
        return pen_fail(err, PEN_EINVAL,
                        "'%.64s' is not a size; write one like 4096, 64KiB, 10MB or 1GiB", text);
    if (rc == PEN_ELIMIT || number > UINT64_MAX / unit->factor)
        return pen_fail(err, PEN_ELIMIT, "size '%.64s' is too large", text);
    *ret_bytes = number * unit->factor;
    return 0;
}

void pen_size_format(uint64_t bytes, char ret_text[PEN_SIZE_TEXT_SIZE])
{
    uint64_t factor = 1;
    const char *name = "";
    for (int i = SIZES_BINARY - 1; bytes != 0 && i >= 0; i--) {
        if (bytes % sizes[i].factor == 0) {
            factor = sizes[i].factor;
            name = sizes[i].name;
        }
    }
    (void)snprintf(ret_text, PEN_SIZE_TEXT_SIZE, "%" PRIu64 "%s", bytes / factor, name);
}

void pen_size_format_brief(uint64_t bytes, char ret_text[PEN_SIZE_TEXT_SIZE])
{
    for (int i = 0; i < SIZES_BINARY; i++) {
        uint64_t factor = sizes[i].factor;
        if (bytes >= factor) {
            (void)snprintf(ret_text, PEN_SIZE_TEXT_SIZE, "%" PRIu64 ".%" PRIu64 " %s",
                           bytes / factor, bytes % factor * 10 / factor % 10, sizes[i].name);
            return;
        }
    }
    (void)snprintf(ret_text, PEN_SIZE_TEXT_SIZE, "%" PRIu64 " B", bytes);
}
