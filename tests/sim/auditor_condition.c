/* tests/sim/auditor_condition.c - conditions say what they check: variables, windows, commands
 *
 * Of a window in a named zone, all openings that are told are worked out again here, second by
 * second, from what zone.c says about the zone.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "tests/sim/auditor.h"

static const Pen__Condition *declared_condition(const Pen__StageDeclaration *stage,
                                                Pen__ConditionKind kind)
{
    if (kind == PEN__CONDITION_KIND__CONDITION_BEFORE_ENTRY)
        return stage->before_entry == NULL ? NULL : stage->before_entry->conditions[0];
    if (kind == PEN__CONDITION_KIND__CONDITION_ON_SUCCESS)
        return stage->on_success == NULL ? NULL : stage->on_success->conditions[0];
    return stage->on_failure == NULL || stage->on_failure->n_conditions == 0
               ? NULL
               : stage->on_failure->conditions[0];
}

/* The time of day of a fact of the present turn. */
static int64_t day_ms(const struct sim *sim, const Pen__Fact *fact)
{
    return fact->at_ms - sim->core.behind_ms;
}

void on_condition_started(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__ConditionStarted *body = fact->condition_started;
    struct seen_execution *execution = auditor_execution(sim, fact->execution_id);
    int index = auditor_stage_index(sim, execution, body->stage);
    struct seen_stage *stage = &execution->stages[index];
    const Pen__Condition *declared =
        declared_condition(execution->declaration->stages[index], body->kind);
    sim->counts[COUNT_CONDITIONS]++;
    if (execution->stage != index || declared == NULL || declared->n_rules != body->n_rules)
        sim_fail(sim, "LEGAL PATH: %s of stage %d of execution %s is checked",
                 WORD(condition_kind, body->kind), index, execution->id);
    stage->conditions[body->kind] = PEN__CONDITION_STATUS__CONDITION_IN_PROGRESS;
    stage->checked_ms[body->kind] = day_ms(sim, fact);
    stage->found_ms[body->kind] = stage->opens_ms[body->kind] = 0;
    stage->no_zone = false;
    (void)pen_str_copy(stage->rules[body->kind], sizeof stage->rules[body->kind],
                       body->rules[0]->id);
}

/* ---- windows */

/* The only windows of the simulation: each seventh minute of the hour, for a second. */
static bool window_open(const char *zone, int64_t at_s)
{
    enum { MINUTE_S = 60, HOUR_S = 60 * MINUTE_S };
    return (at_s + zone_offset_s(zone, at_s)) % HOUR_S % (7 * (int64_t)MINUTE_S) == 0;
}

/* The first moment in it from from_ms on, at most to_ms; INT64_MAX: none. */
static int64_t opening(const char *zone, int64_t from_ms, int64_t to_ms)
{
    for (int64_t at_s = from_ms / 1000; at_s * 1000 <= to_ms; at_s++)
        if (window_open(zone, at_s))
            return at_s * 1000 > from_ms ? at_s * 1000 : from_ms;
    return INT64_MAX;
}

static const char *value_of(const Pen__RuleDeclaration *rule, const char *key)
{
    for (size_t i = 0; i < rule->n_configuration; i++)
        if (pen_str_equal(rule->configuration[i]->key, key))
            return rule->configuration[i]->value;
    return NULL;
}

static const Pen__RuleDeclaration *rule_of(const struct seen_execution *execution, int index,
                                           Pen__ConditionKind kind)
{
    return declared_condition(execution->declaration->stages[index], kind)->rules[0];
}

void on_window_found(struct sim *sim, const Pen__Fact *fact)
{
    enum { FAR_MS = 24 * 3600 * 1000 };
    const Pen__WindowFound *body = fact->window_found;
    struct seen_execution *execution = auditor_execution(sim, fact->execution_id);
    int index = auditor_stage_index(sim, execution, body->stage);
    Pen__ConditionKind kind = PEN__CONDITION_KIND__CONDITION_BEFORE_ENTRY;
    struct seen_stage *stage = &execution->stages[index];
    const char *zone = value_of(rule_of(execution, index, kind), "TimeZone");
    sim_trace(sim, "%s: the window of %s of %s opens at %.3f", fact->pipeline, body->stage,
              execution->id, (double)body->opens_ms / 1000.0);
    int64_t now_ms = day_ms(sim, fact);
    bool again = stage->opens_ms[kind] != 0 || !zone_named(zone);
    if ((again && stage->opens_ms[kind] != 0 && body->opens_ms >= stage->opens_ms[kind]) ||
        (again && sim->core.behind_ms == 0) ||
        !pen_str_equal(body->rule_execution_id, stage->rules[kind]))
        sim_fail(sim, "LEGAL PATH: the window of stage %d of execution %s is found again", index,
                 execution->id);
    *(zone_named(zone) ? &stage->found_ms[kind] : &stage->checked_ms[kind]) = now_ms;
    stage->opens_ms[kind] = body->opens_ms;
    int64_t opens_ms = opening(zone, now_ms, now_ms + FAR_MS);
    bool right = body->opens_ms / 1000 == opens_ms / 1000;
    for (size_t i = 0; right && i < body->n_later_openings_ms; i++) {
        opens_ms = opening(zone, (opens_ms / 1000 + 1) * 1000, opens_ms + FAR_MS);
        right = body->later_openings_ms[i] == opens_ms;
    }
    if (!right)
        sim_fail(sim,
                 "TRUTH: the window of stage %d of execution %s is said to open at other times",
                 index, execution->id);
}

void auditor_no_zone(struct sim *sim, const char *execution_id, const char *stage)
{
    struct seen_execution *execution = auditor_execution(sim, execution_id);
    int index = auditor_stage_index(sim, execution, stage);
    execution->stages[index].no_zone = true;
}

/* A window was never found: its zone is not known, or nobody could hear which it is. */
static void check_not_found(struct sim *sim, const struct seen_execution *execution, int index,
                            Pen__ConditionStatus status)
{
    enum { SOON_MS = 10 * 60 * 1000 };
    if (status == PEN__CONDITION_STATUS__CONDITION_SUCCEEDED)
        sim_fail(sim, "TRUTH: the window of stage %d of execution %s opens in an unknown zone",
                 index, execution->id);
    if (!execution->stages[index].no_zone && sim->now_ms - sim->core.heard_since_ms > SOON_MS)
        sim_fail(sim, "LIVENESS: the window of stage %d of execution %s was never found", index,
                 execution->id);
}

/* What the only rule of a condition of the simulation says. */
static bool rule_holds(const struct seen_execution *execution, const Pen__RuleDeclaration *rule,
                       int64_t from_ms, int64_t to_ms)
{
    const char *mood = value_of(rule, "Value");
    if (mood != NULL)
        return pen_str_equal(mood, execution->mood);
    return opening(value_of(rule, "TimeZone"), from_ms, to_ms) <= to_ms;
}

void on_condition_ended(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__ConditionEnded *body = fact->condition_ended;
    struct seen_execution *execution = auditor_execution(sim, fact->execution_id);
    int index = auditor_stage_index(sim, execution, body->stage);
    struct seen_stage *stage = &execution->stages[index];
    const Pen__Condition *declared =
        declared_condition(execution->declaration->stages[index], body->kind);
    sim_trace(sim, "%s: %s of stage %s of %s ends: %s", fact->pipeline,
              WORD(condition_kind, body->kind), body->stage, execution->id,
              WORD(condition_status, body->status));
    Pen__ConditionStatus before = stage->conditions[body->kind];
    bool overridden = body->status == PEN__CONDITION_STATUS__CONDITION_OVERRIDDEN;
    if (before != PEN__CONDITION_STATUS__CONDITION_IN_PROGRESS &&
        !(overridden && before == PEN__CONDITION_STATUS__CONDITION_FAILED))
        sim_fail(sim, "LEGAL PATH: %s of stage %d of execution %s ends after %s",
                 WORD(condition_kind, body->kind), index, execution->id,
                 WORD(condition_status, before));
    if (overridden && !auditor_by_person(fact))
        sim_fail(sim, "APPROVAL: nobody has overridden %s of execution %s",
                 WORD(condition_kind, body->kind), execution->id);
    stage->conditions[body->kind] = body->status;
    if (body->status != PEN__CONDITION_STATUS__CONDITION_SUCCEEDED &&
        body->status != PEN__CONDITION_STATUS__CONDITION_FAILED)
        return;
    const struct seen_action *ran =
        pen_map_get(&sim->auditor->actions, pen_key_text(stage->rules[body->kind]));
    if (pen_str_equal(declared->rules[0]->rule_type_id->provider, "Commands")) {
        bool good = ran != NULL && ran->status == PEN__ACTION_STATUS__ACTION_SUCCEEDED;
        if (body->status == PEN__CONDITION_STATUS__CONDITION_SUCCEEDED && !good)
            sim_fail(sim,
                     "TRUTH: %s of stage %d of execution %s holds, but its commands "
                     "have not succeeded",
                     WORD(condition_kind, body->kind), index, execution->id);
        return;
    }
    int64_t from_ms = stage->checked_ms[body->kind];
    const char *zone = value_of(declared->rules[0], "TimeZone");
    if (zone != NULL && zone_named(zone)) {
        from_ms = stage->found_ms[body->kind];
        if (from_ms == 0) {
            check_not_found(sim, execution, index, body->status);
            return;
        }
    }
    bool holds = rule_holds(execution, declared->rules[0], from_ms, day_ms(sim, fact));
    if (holds != (body->status == PEN__CONDITION_STATUS__CONDITION_SUCCEEDED))
        sim_fail(sim, "TRUTH: %s of stage %d of execution %s is said to %s",
                 WORD(condition_kind, body->kind), index, execution->id, holds ? "fail" : "hold");
}
