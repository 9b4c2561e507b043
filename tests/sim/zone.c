/* tests/sim/zone.c - a database of time zones: the answers to ZoneWanted
 *
 * The one named zone is more crooked than any on earth: its offset changes each 50 minutes, by odd
 * numbers of seconds. Now and then the database is not there.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "tests/sim/sim.h"

/* Changes are told for so long after the answer: a controller that is stopped before it takes it
 * may be a month further on then. */
enum { STEP_S = 50 * 60, OFFSET_MAX_S = 14 * 3600, STEPS_TOLD = 33 * 24 * 3600 / STEP_S };

bool zone_named(const char *zone)
{
    return pen_str_equal(zone, SIM_ZONE);
}

int64_t zone_offset_s(const char *zone, int64_t at_s)
{
    int64_t step = at_s / STEP_S;
    return zone_named(zone) ? step * step * 6113 % OFFSET_MAX_S : 0;
}

static void fire_loaded(struct sim *sim, struct sim_event *event)
{
    if (event->stamp != sim->core.life || pause_defers_to_core(sim, event))
        return; /* the reading died with the controller, or is stopped with it */
    Pen__ZoneLoaded *loaded = MAKE(Pen__ZoneLoaded, pen__zone_loaded__init);
    char *rest = event->data; /* three words */
    loaded->execution_id = mem_text(strsep(&rest, " "));
    loaded->stage = mem_text(strsep(&rest, " "));
    loaded->rule_execution_id = mem_text(rest);
    if (event->flag) {
        auditor_no_zone(sim, loaded->execution_id, loaded->stage);
        loaded->error_message = mem_text("there is no database of zones");
    }
    SET(loaded, from_ms, (int64_t)event->number * 1000);
    int64_t first = (int64_t)event->number / STEP_S;
    int64_t now_step = core_wall_ms(sim) / 1000 / STEP_S;
    int64_t end = (first > now_step ? first : now_step) + STEPS_TOLD;
    for (int64_t step = first; !event->flag && step < end; step++) {
        Pen__ZoneChange *change = MAKE(Pen__ZoneChange, pen__zone_change__init);
        SET(change, from_ms, step * STEP_S * 1000);
        SET(change, offset_s, (int32_t)zone_offset_s(SIM_ZONE, step * STEP_S));
        APPEND(loaded, changes, change);
    }
    core_post(sim, core_input(PEN__INPUT__WHAT_ZONE_LOADED, loaded));
}

void zone_wanted(struct sim *sim, const Pen__ZoneWanted *wanted)
{
    bool slow = sim_chance(sim, 200);
    struct sim_event *event = sim_at(sim, 1 + sim_around(sim, slow ? 30000 : 100), fire_loaded);
    event->stamp = sim->core.life;
    event->number = (uint64_t)wanted->from_ms / 1000;
    event->flag = sim_chance(sim, 30);
    event->data =
        mem_format("%s %s %s", wanted->execution_id, wanted->stage, wanted->rule_execution_id);
}
