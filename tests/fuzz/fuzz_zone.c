/* Files of the time zone database, as bytes from anywhere.
 *
 * Whatever comes, the changes that are taken are in order, begin with one that is valid from the
 * moment asked for, and a search through them ends.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "controller/model/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const uint8_t *data, size_t size, int64_t from_ms, struct pen_zone_changes *zone)
{
    struct pen_error err = {0};
    struct pen_cron cron;
    int64_t opens_ms = 0;
    int rc = pen_zone_parse(data, size, from_ms, zone, &err);
    CHECK(rc == 0 || rc == PEN_ECORRUPT || rc == PEN_ELIMIT);
    if (rc < 0)
        return;
    CHECK(zone->count >= 1 && zone->count <= PEN_ZONE_CHANGES_MAX);
    for (size_t i = 1; i < zone->count; i++) {
        CHECK(zone->changes[i].from_ms > zone->changes[i - 1].from_ms);
        CHECK(zone->changes[i].from_ms > from_ms);
    }
    const struct pen_zone found = {zone->changes, zone->count};
    CHECK(pen_cron_parse("0 30 2 * * ?", &cron, &err) == 0);
    CHECK(pen_cron_next(&cron, &found, from_ms, &opens_ms) && opens_ms >= from_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pen_zone_changes *zone = malloc(sizeof *zone);
    if (zone == NULL)
        return 0;
    check(data, size, 0, zone);
    check(data, size, INT64_C(1795600000000), zone);
    free(zone);
    return 0;
}
