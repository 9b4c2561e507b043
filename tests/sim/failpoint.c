/* tests/sim/failpoint.c - the table of points, counting their passes, and killing there */
#include "tests/sim/failpoint.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "tests/sim/sim.h"
#include "tests/sim/story.h"

#define FACT(name)   PEN__FACT__WHAT_##name
#define SENT(name)   PEN__TO_AGENT__BODY_##name
#define RECORD(name) PEN__JOURNAL_RECORD__WHAT_##name

/* A result is an EVENT record, and the permission to begin an ACKED record, like others. */
enum { RECORD_RESULT = 1000, RECORD_PERMISSION };

/* clang-format off */
const struct failpoint failpoints[] = {
    {"C1-request", PLACE_STEPPED, FACT(EXECUTION_STARTED), VICTIM_CONTROLLER, OUTCOME_SAME,
     "a start is received / committed"},
    {"C2-answer", PLACE_COMMITTED, FACT(EXECUTION_STARTED), VICTIM_CONTROLLER, OUTCOME_SAME,
     "a start is committed / answered"},
    {"C3-offer", PLACE_PERFORMED, SENT(OFFER), VICTIM_CONTROLLER, OUTCOME_SAME,
     "an offer is sent / accepted"},
    {"C3-accept", PLACE_STEPPED, FACT(ATTEMPT_GRANTED), VICTIM_CONTROLLER, OUTCOME_SAME,
     "an acceptance is received / the grant is committed"},
    {"C4-grant", PLACE_COMMITTED, FACT(ATTEMPT_GRANTED), VICTIM_CONTROLLER, OUTCOME_AGAIN,
     "a grant is committed / Start is sent"},
    {"C5-start", PLACE_PERFORMED, SENT(START), VICTIM_CONTROLLER, OUTCOME_AGAIN,
     "Start is sent / Started is received"},
    {"C5-started", PLACE_STEPPED, FACT(ATTEMPT_STARTED), VICTIM_CONTROLLER, OUTCOME_AGAIN,
     "Started is received / committed"},
    {"C5-began", PLACE_COMMITTED, FACT(ATTEMPT_STARTED), VICTIM_CONTROLLER, OUTCOME_AGAIN,
     "Started is committed / acknowledged"},
    {"C6-finished", PLACE_STEPPED, FACT(ATTEMPT_FINISHED), VICTIM_CONTROLLER, OUTCOME_SAME,
     "a result is received / committed"},
    {"C7-acknowledge", PLACE_COMMITTED, FACT(ATTEMPT_FINISHED), VICTIM_CONTROLLER, OUTCOME_SAME,
     "a result is committed / acknowledged"},
    {"C8-stage", PLACE_COMMITTED, FACT(STAGE_STARTED), VICTIM_CONTROLLER, OUTCOME_SAME,
     "the next stage is committed / its first work is handed out"},
    {"C8-action", PLACE_COMMITTED, FACT(ACTION_STARTED), VICTIM_CONTROLLER, OUTCOME_SAME,
     "an action is committed / handed out"},
    {"C8-action-end", PLACE_COMMITTED, FACT(ACTION_ENDED), VICTIM_CONTROLLER, OUTCOME_SAME,
     "an action's end is committed / told"},
    {"C8-end", PLACE_COMMITTED, FACT(EXECUTION_ENDED), VICTIM_CONTROLLER, OUTCOME_SAME,
     "an execution's end is committed / told"},
    {"C9-artifact", PLACE_BLOB, 0, VICTIM_CONTROLLER, OUTCOME_SAME,
     "an artifact is stored / its reference reaches the engine"},
    {"C9-reference", PLACE_STEPPED, FACT(ATTEMPT_STORED), VICTIM_CONTROLLER, OUTCOME_SAME,
     "a reference, or a log's size, is received / committed"},
    {"C10-log", PLACE_LOG, 0, VICTIM_CONTROLLER, OUTCOME_SAME,
     "log bytes are written / their offset is known"},
    {"A1-start", PLACE_RECORDING, RECORD(STARTED), VICTIM_AGENT, OUTCOME_AGAIN,
     "Start is received / journalled"},
    {"A2-journal", PLACE_SYNCED, RECORD(STARTED), VICTIM_AGENT, OUTCOME_AGAIN,
     "the start is journalled / the shim is forked, or the controller asked"},
    {"A2-permission", PLACE_RECORDING, RECORD_PERMISSION, VICTIM_AGENT, OUTCOME_AGAIN,
     "the controller permits a start of class once / the shim is forked"},
    {"A2-shim", PLACE_SPAWNED, 0, VICTIM_AGENT, OUTCOME_AGAIN,
     "the shim is forked / the commands begin"},
    {"A3-began", PLACE_BEGAN, 0, VICTIM_AGENT, OUTCOME_SAME,
     "the commands begin / that is journalled"},
    {"A3-shim", PLACE_BEGAN, 0, VICTIM_SHIM, OUTCOME_BROKEN,
     "the same, and the shim dies too"},
    {"A3-record", PLACE_RECORDING, RECORD(BEGAN), VICTIM_AGENT, OUTCOME_SAME,
     "the agent knows that they began / that is journalled"},
    {"A4-running", PLACE_ENDING, 0, VICTIM_AGENT, OUTCOME_SAME,
     "the commands run / their exit is written"},
    {"A4-shim", PLACE_ENDING, 0, VICTIM_SHIM, OUTCOME_BROKEN,
     "the same, and the shim dies too"},
    {"A5-exit", PLACE_EXITED, 0, VICTIM_AGENT, OUTCOME_SAME,
     "the exit is written / the agent knows"},
    {"A5-result", PLACE_RECORDING, RECORD_RESULT, VICTIM_AGENT, OUTCOME_SAME,
     "the agent has the result / it is journalled"},
    {"A5-sync", PLACE_WRITTEN, RECORD_RESULT, VICTIM_AGENT, OUTCOME_SAME,
     "the result is written / synced"},
    {"A5-sent", PLACE_SYNCED, RECORD_RESULT, VICTIM_AGENT, OUTCOME_GRANTED,
     "the result is synced / acknowledged"},
    {"A5-acked", PLACE_RECORDING, RECORD(ACKED), VICTIM_AGENT, OUTCOME_SAME,
     "an acknowledgement is received / journalled"},
    {"A6-start", PLACE_RECORDING, RECORD(STARTED), VICTIM_HOST, OUTCOME_BROKEN,
     "Start is received / journalled; the host loses power"},
    {"A6-journal", PLACE_WRITTEN, RECORD(STARTED), VICTIM_HOST, OUTCOME_BROKEN,
     "the start is written / synced; the host loses power"},
    {"A6-synced", PLACE_SYNCED, RECORD(STARTED), VICTIM_HOST, OUTCOME_BROKEN,
     "the start is synced / the shim is forked; the host loses power"},
    {"A6-permission", PLACE_RECORDING, RECORD_PERMISSION, VICTIM_HOST, OUTCOME_BROKEN,
     "the controller permits a start of class once / the shim is forked; the host loses power"},
    {"A6-began", PLACE_BEGAN, 0, VICTIM_HOST, OUTCOME_BROKEN,
     "the commands begin / that is journalled; the host loses power"},
    {"A6-running", PLACE_ENDING, 0, VICTIM_HOST, OUTCOME_BROKEN,
     "the commands run / their exit is written; the host loses power"},
    {"A6-exit", PLACE_EXITED, 0, VICTIM_HOST, OUTCOME_BROKEN,
     "the exit is written / the result is journalled; the host loses power"},
    {"A6-result", PLACE_WRITTEN, RECORD_RESULT, VICTIM_HOST, OUTCOME_BROKEN,
     "the result is written / synced; the host loses power"},
    {"A6-sent", PLACE_SYNCED, RECORD_RESULT, VICTIM_HOST, OUTCOME_BROKEN,
     "the result is synced / acknowledged; the host loses power"},
    {"A6-acked", PLACE_RECORDING, RECORD(ACKED), VICTIM_HOST, OUTCOME_BROKEN,
     "an acknowledgement is received / journalled; the host loses power"},
    {.name = NULL},
};
/* clang-format on */

int failpoints_count(void)
{
    int count = 0;
    while (failpoints[count].name != NULL)
        count++;
    CHECK(count <= FAILPOINTS_MAX);
    return count;
}

int failpoint_find(const char *name)
{
    for (int i = 0; failpoints[i].name != NULL; i++)
        if (strcmp(failpoints[i].name, name) == 0)
            return i;
    return -1;
}

/* ---- which points a turn passes */

static bool of_agent(const struct failpoint *point)
{
    return point->place == PLACE_RECORDING || point->place == PLACE_WRITTEN ||
           point->place == PLACE_SYNCED;
}

static bool turn_has(const struct sim *sim, const struct failpoint *point)
{
    const struct pen_engine_out *out = &sim->core.out;
    if (point->place == PLACE_STEPPED || point->place == PLACE_COMMITTED) {
        for (size_t i = 0; i < out->facts_count; i++)
            if ((int)out->facts[i]->what_case == point->what)
                return true;
        return false;
    }
    for (size_t i = 0; point->place == PLACE_PERFORMED && i < out->effects_count; i++)
        if (out->effects[i]->what_case == PEN__EFFECT__WHAT_AGENT_SEND &&
            (int)out->effects[i]->agent_send->message->body_case == point->what)
            return true;
    return false;
}

uint64_t failpoints_of_turn(const struct sim *sim)
{
    uint64_t set = 0;
    for (int i = 0; sim->story != NULL && failpoints[i].name != NULL; i++)
        if (turn_has(sim, &failpoints[i]))
            set |= UINT64_C(1) << i;
    return set;
}

static bool starts(const struct pen_session_out *out)
{
    for (size_t i = 0; i < out->effects_count; i++)
        if (out->effects[i].kind == PEN_OUT_START)
            return true;
    return false;
}

static int kind_of(const struct pen_session_out *out, const Pen__JournalRecord *record)
{
    if (record->what_case == RECORD(ACKED) && starts(out))
        return (int)RECORD_PERMISSION;
    bool result = record->what_case == RECORD(EVENT) &&
                  record->event->event->what_case == PEN__EVENT__WHAT_FINISHED;
    return result ? (int)RECORD_RESULT : (int)record->what_case;
}

uint64_t failpoints_of_agent_turn(const struct sim *sim, const struct pen_session_out *out)
{
    uint64_t set = 0;
    for (int i = 0; sim->story != NULL && failpoints[i].name != NULL; i++)
        for (size_t k = 0; of_agent(&failpoints[i]) && k < out->records_count; k++)
            if (kind_of(out, out->records[k]) == failpoints[i].what)
                set |= UINT64_C(1) << i;
    return set;
}

/* ---- passing them */

/* Pass all points of the place that are in the set; the row that is to fail, NULL: none. */
static const struct failpoint *pass(struct sim *sim, enum place place, uint64_t set)
{
    struct story *story = sim->story;
    const struct failpoint *fails = NULL;
    for (int i = 0; story != NULL && failpoints[i].name != NULL; i++) {
        if (failpoints[i].place != place || (set >> i & 1) == 0)
            continue;
        story->passes[i]++;
        for (int k = 0; k < story->armed_count; k++) {
            struct arming *armed = &story->armed[k];
            if (armed->point != i || armed->nth != story->passes[i] || fails != NULL)
                continue;
            armed->hit = true;
            uint64_t cost = story_cost(sim, failpoints[i].outcome);
            story->may_cost += cost;
            story->may_break += failpoints[i].outcome == OUTCOME_BROKEN ? cost : 0;
            fails = &failpoints[i];
            sim_trace(sim, "FAILPOINT %s, pass %" PRIu64 ": between: %s", fails->name, armed->nth,
                      fails->between);
        }
    }
    return fails;
}

bool failpoint_core(struct sim *sim, enum place place, uint64_t set)
{
    const struct failpoint *fails = pass(sim, place, set);
    if (fails == NULL)
        return false;
    core_crash(sim, fails->name);
    return true;
}

bool failpoint_data(struct sim *sim, enum place place)
{
    return failpoint_core(sim, place, UINT64_MAX);
}

static void kill_at(struct sim *sim, struct host *host, const struct failpoint *point)
{
    if (point->victim == VICTIM_HOST)
        host_power_off(sim, host, point->name);
    else
        host_crash_agent(sim, host, point->name);
}

bool failpoint_agent(struct sim *sim, struct host *host, struct pen_session_out *out,
                     enum place place, uint64_t set)
{
    const struct failpoint *fails = pass(sim, place, set);
    if (fails == NULL)
        return false;
    pen_session_turn_done(host->session, out);
    kill_at(sim, host, fails);
    return true;
}

bool failpoint_run(struct sim *sim, struct host *host, struct run *run, enum place place)
{
    const struct failpoint *fails = pass(sim, place, UINT64_MAX);
    if (fails == NULL)
        return false;
    if (fails->victim == VICTIM_SHIM)
        run->state = RUN_GONE;
    kill_at(sim, host, fails);
    return true;
}
