/* Files of the time zone database, RFC 8536: a block with times of 32 bits, a second one with 64
 * bits, and a line with the rule for what comes after. */
#include "controller/model/zone.h"

#include <string.h>

#include "controller/model/calendar.h"
#include "controller/model/zone_internal.h"

enum {
    HEADER_SIZE = 44,
    TYPES_MAX = 256, /* their index is a byte */
    OFFSET_MAX_S = 26 * 3600,
    RULE_SIZE_MAX = 256, /* the longest that exists has 45 bytes */
};

/* ---- names */

static bool is_name_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '+';
}

int pen_zone_name_check(const char *name, struct pen_error *err)
{
    size_t size = strlen(name);
    size_t slashes = 0;
    bool good = size >= 3 && size <= PEN_ZONE_NAME_MAX;
    for (size_t i = 0; good && i < size; i++) {
        bool slash = name[i] == '/';
        slashes += slash ? 1 : 0;
        good = slash ? i > 0 && i + 1 < size && name[i - 1] != '/' : is_name_letter(name[i]);
    }
    if (good && slashes == 0) {
        good = size <= 5;
        for (size_t i = 0; good && i < size; i++)
            good = (name[i] >= 'A' && name[i] <= 'Z') || (name[i] >= 'a' && name[i] <= 'z');
    }
    if (good)
        return 0;
    return pen_fail(err, PEN_EINVAL,
                    "time zone '%.64s' is neither a Region/City, as Europe/Berlin, nor an "
                    "abbreviation, as CET, nor an offset, as UTC+01:00",
                    name);
}

/* ---- blocks */

struct block {
    uint32_t is_ut_count, is_std_count, leap_count, time_count, type_count, char_count;
    const uint8_t *body;
    size_t body_size;
    size_t time_size; /* 4 or 8 */
};

static uint32_t read_32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static int64_t read_time(const struct block *self, size_t index)
{
    const uint8_t *bytes = self->body + index * self->time_size;
    if (self->time_size == 4)
        return (int32_t)read_32(bytes);
    return (int64_t)((uint64_t)read_32(bytes) << 32 | read_32(bytes + 4));
}

static int corrupt(struct pen_error *err, const char *what)
{
    return pen_fail(err, PEN_ECORRUPT, "not a file of the time zone database: %s", what);
}

static int read_block(const uint8_t *bytes, size_t size, size_t time_size, struct block *ret_block,
                      struct pen_error *err)
{
    if (size < HEADER_SIZE || memcmp(bytes, "TZif", 4) != 0)
        return corrupt(err, "it does not begin as one");
    struct block block = {.is_ut_count = read_32(bytes + 20),
                          .is_std_count = read_32(bytes + 24),
                          .leap_count = read_32(bytes + 28),
                          .time_count = read_32(bytes + 32),
                          .type_count = read_32(bytes + 36),
                          .char_count = read_32(bytes + 40),
                          .body = bytes + HEADER_SIZE,
                          .time_size = time_size};
    if (block.time_count > PEN_ZONE_FILE_CHANGES_MAX || block.type_count > TYPES_MAX ||
        block.char_count > size || block.leap_count > size || block.is_std_count > TYPES_MAX ||
        block.is_ut_count > TYPES_MAX)
        return pen_fail(err, PEN_ELIMIT, "a file of the time zone database with too large counts");
    if (block.type_count == 0)
        return corrupt(err, "it has no type of local time");
    block.body_size = block.time_count * (time_size + 1) + block.type_count * (size_t)6 +
                      block.char_count + block.leap_count * (time_size + 4) + block.is_std_count +
                      block.is_ut_count;
    if (block.body_size > size - HEADER_SIZE)
        return corrupt(err, "it is cut off");
    *ret_block = block;
    return 0;
}

/* ---- changes */

#define AT_S_MAX (INT64_C(1) << 40) /* beyond the year 30000, and far from where sums overflow */
#define AT_S_MIN (-AT_S_MAX)

static int add(struct pen_zone_changes *zone, int64_t from_ms, int64_t at_s, int32_t offset_s,
               struct pen_error *err)
{
    if (zone->count > 0 && at_s * 1000 <= from_ms)
        zone->count = 0; /* what was before does not matter any more */
    if (zone->count > 0 && zone->changes[zone->count - 1].offset_s == offset_s)
        return 0; /* only the name has changed */
    if (zone->count == PEN_ZONE_CHANGES_MAX)
        return pen_fail(err, PEN_ELIMIT, "a time zone with too many changes");
    zone->changes[zone->count++] = (struct pen_zone_change){at_s * 1000, offset_s};
    return 0;
}

static int read_offset(const struct block *block, size_t type, int32_t *ret_offset_s,
                       struct pen_error *err)
{
    if (type >= block->type_count)
        return corrupt(err, "a change is of a type that it does not have");
    const uint8_t *bytes = block->body + block->time_count * (block->time_size + 1) + type * 6;
    int32_t offset_s = (int32_t)read_32(bytes);
    if (offset_s < -OFFSET_MAX_S || offset_s > OFFSET_MAX_S)
        return corrupt(err, "an offset of more than a day");
    *ret_offset_s = offset_s;
    return 0;
}

/* The changes that are in the file. */
static int read_changes(const struct block *block, int64_t from_ms, struct pen_zone_changes *zone,
                        int64_t *ret_last_s, struct pen_error *err)
{
    int32_t offset_s = 0;
    int64_t last_s = AT_S_MIN;
    int rc = read_offset(block, 0, &offset_s, err);
    if (rc == 0)
        rc = add(zone, from_ms, last_s, offset_s, err);
    for (size_t i = 0; rc == 0 && i < block->time_count; i++) {
        int64_t at_s = read_time(block, i);
        if (at_s < AT_S_MIN) /* "the Big Bang" of some files */
            at_s = AT_S_MIN;
        if (at_s > AT_S_MAX || (at_s <= last_s && i > 0))
            return corrupt(err, "its changes are not in order");
        last_s = at_s;
        rc = read_offset(block, block->body[block->time_count * block->time_size + i], &offset_s,
                         err);
        if (rc == 0)
            rc = add(zone, from_ms, at_s, offset_s, err);
    }
    *ret_last_s = last_s;
    return rc;
}

static int32_t year_of(int64_t seconds)
{
    int64_t least_s = pen_days_of(PEN_CRON_YEAR_MIN, 1, 1) * PEN_DAY_S;
    int64_t most_s = pen_days_of(PEN_CRON_YEAR_MAX, 12, 31) * PEN_DAY_S;
    int64_t within_s = seconds < least_s ? least_s : seconds > most_s ? most_s : seconds;
    return pen_date_of(within_s / PEN_DAY_S).year;
}

/* The changes that the rule makes behind the last one of the file. */
static int write_out(const struct pen_zone_rule *rule, int64_t from_ms, int64_t last_s,
                     struct pen_zone_changes *zone, struct pen_error *err)
{
    if (!rule->daylight)
        return add(zone, from_ms, last_s + 1, rule->standard_s, err);
    int64_t begin_at_s = from_ms / 1000 > last_s ? from_ms / 1000 : last_s;
    int rc = 0;
    for (int32_t year = year_of(begin_at_s) - 1; rc == 0 && year <= PEN_CRON_YEAR_MAX; year++) {
        int64_t begin_s = 0;
        int64_t end_s = 0;
        pen_zone_rule_year(rule, year, &begin_s, &end_s);
        bool north = begin_s < end_s;
        int64_t first_s = north ? begin_s : end_s;
        int64_t second_s = north ? end_s : begin_s;
        if (first_s > last_s)
            rc = add(zone, from_ms, first_s, north ? rule->daylight_s : rule->standard_s, err);
        last_s = first_s > last_s ? first_s : last_s;
        if (rc == 0 && second_s > last_s)
            rc = add(zone, from_ms, second_s, north ? rule->standard_s : rule->daylight_s, err);
        last_s = second_s > last_s ? second_s : last_s;
    }
    return rc;
}

/* "\nRULE\n"; an empty rule says nothing about the future. */
static int read_footer(const uint8_t *bytes, size_t size, int64_t from_ms, int64_t last_s,
                       struct pen_zone_changes *zone, struct pen_error *err)
{
    const uint8_t *end = size < 2 || bytes[0] != '\n' ? NULL : memchr(bytes + 1, '\n', size - 1);
    if (end == NULL || end - bytes > RULE_SIZE_MAX)
        return corrupt(err, "it has no last line");
    size_t length = (size_t)(end - bytes) - 1;
    if (length == 0)
        return 0;
    struct pen_zone_rule rule;
    int rc = pen_zone_rule_parse((const char *)bytes + 1, length, &rule, err);
    return rc < 0 ? rc : write_out(&rule, from_ms, last_s, zone, err);
}

int pen_zone_parse(const uint8_t *bytes, size_t size, int64_t from_ms,
                   struct pen_zone_changes *ret_zone, struct pen_error *err)
{
    struct block block;
    int64_t last_s = 0;
    if (size > PEN_ZONE_FILE_BYTES_MAX)
        return pen_fail(err, PEN_ELIMIT, "a file of %zu bytes: no time zone has as many", size);
    int rc = read_block(bytes, size, 4, &block, err);
    if (rc < 0)
        return rc;
    bool wide = bytes[4] >= '2';
    if (wide) {
        size_t skipped = HEADER_SIZE + block.body_size;
        bytes += skipped;
        size -= skipped;
        if ((rc = read_block(bytes, size, 8, &block, err)) < 0)
            return rc;
    }
    if (block.leap_count > 0)
        return corrupt(err, "it counts leap seconds, which no clock here does");
    ret_zone->count = 0;
    rc = read_changes(&block, from_ms, ret_zone, &last_s, err);
    size_t read = HEADER_SIZE + block.body_size;
    if (rc == 0 && wide)
        rc = read_footer(bytes + read, size - read, from_ms, last_s, ret_zone, err);
    return rc;
}
