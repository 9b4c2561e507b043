/* controller/engine/window.c - when a deployment window opens
 *
 *     cron + fixed zone ----------------------------------> opens_ms in the row, as the rule starts
 *     cron + zone of the database --ZoneWanted, ZoneLoaded--> WindowFound: opens_ms in the row
 *
 * What is decided is stored: a later change of the database moves no window that is waited for.
 *
 * Windows are opened by the time of day: by the wall clock, when it was set back behind the
 * engine's time (ClockSet). What was found while the clock was wrong is found again, and holds when
 * it is earlier.
 */
#include <stdlib.h>

#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/planted.h"
#include "controller/model/cron.h"
#include "controller/model/zone.h"

enum { LATER_MAX = 3 /* openings after the next one, for who asks why */ };

const char *rule_value(const Pen__RuleExecutionRow *row, const char *key)
{
    for (size_t i = 0; i < row->n_resolved_configuration; i++)
        if (pen_str_equal(row->resolved_configuration[i]->key, key))
            return row->resolved_configuration[i]->value;
    return NULL;
}

struct openings {
    size_t count; /* 1 or more */
    int64_t at_ms[1 + LATER_MAX];
};

static int find_openings(const char *expression, const struct pen_zone *zone, int64_t now_ms,
                         struct openings *ret_openings, struct pen_error *err)
{
    struct pen_cron cron;
    int rc = pen_cron_parse(expression, &cron, err);
    if (rc < 0)
        return rc;
    ret_openings->count =
        pen_cron_openings(&cron, zone, now_ms, ret_openings->at_ms, NULL, 1 + LATER_MAX);
    return ret_openings->count > 0
               ? 0
               : pen_fail(err, PEN_EINVAL, "the window '%s' never opens again", expression);
}

static char *summary_of(const struct openings *openings, int64_t now_ms)
{
    if (openings->at_ms[0] <= now_ms)
        return NULL;
    char text[PEN_MOMENT_TEXT_SIZE];
    pen_time_say(openings->at_ms[0], text);
    return mem_format("Waiting for the window: it opens at %s", text);
}

/* ---- as the rule starts */

int window_prepare(const struct pen_engine *engine, Pen__RuleExecutionRow *row,
                   struct pen_error *err)
{
    struct pen_zone_change change = {0};
    const struct pen_zone zone = {&change, 1};
    struct pen_cron cron;
    const char *name = rule_value(row, "TimeZone");
    if (pen_zone_parse_fixed(name, &change.offset_s, NULL) < 0) {
        int rc = pen_zone_name_check(name, err);
        return rc < 0 ? rc : pen_cron_parse(rule_value(row, "Cron"), &cron, err);
    }
    struct openings openings;
    int rc = find_openings(rule_value(row, "Cron"), &zone, engine_day_ms(engine), &openings, err);
    if (rc < 0)
        return rc;
    SET(row, opens_ms, openings.at_ms[0]);
    for (size_t i = 1; i < openings.count; i++)
        rule_add_opening(row, openings.at_ms[i]);
    row->summary = summary_of(&openings, engine_day_ms(engine));
    return 0;
}

void rule_add_opening(Pen__RuleExecutionRow *row, int64_t at_ms)
{
    size_t count = row->n_later_openings_ms;
    int64_t *grown = mem_zero((count + 1) * sizeof grown[0]);
    for (size_t i = 0; i < count; i++)
        grown[i] = row->later_openings_ms[i];
    grown[count] = at_ms;
    free(row->later_openings_ms);
    row->later_openings_ms = grown;
    row->n_later_openings_ms = count + 1;
}

/* ---- when its zone is known */

void window_ask_zone(struct pen_engine *engine, const struct rule *rule)
{
    const Pen__RuleExecutionRow *row = rule->row;
    Pen__ZoneWanted *body = MAKE(Pen__ZoneWanted, pen__zone_wanted__init);
    body->execution_id = mem_text(row->execution_id);
    body->stage = mem_text(row->stage);
    body->rule_execution_id = mem_text(row->id);
    body->zone = mem_text(rule_value(row, "TimeZone"));
    SET(body, from_ms, engine_day_ms(engine));
    effect(engine, PEN__EFFECT__WHAT_ZONE_WANTED, body);
}

static struct rule *find_waiting(const struct pen_engine *engine, const Pen__ZoneLoaded *loaded)
{
    const struct execution *execution = find_execution(engine, loaded->execution_id);
    const struct stage_run *run = execution == NULL ? NULL : find_run(execution, loaded->stage);
    for (size_t i = 0; run != NULL && i < run->rules_count; i++) {
        const Pen__RuleExecutionRow *row = run->rules[i]->row;
        if (pen_str_equal(row->id, loaded->rule_execution_id) &&
            row->status == PEN__ACTION_STATUS__ACTION_IN_PROGRESS)
            return run->rules[i];
    }
    return NULL;
}

static int find_in_zone(const struct pen_engine *engine, const Pen__ZoneLoaded *loaded,
                        const struct rule *rule, struct openings *ret_openings,
                        struct pen_error *err)
{
    if (loaded->error_message != NULL || loaded->n_changes == 0)
        return pen_fail(err, PEN_EINVAL, "%s",
                        loaded->error_message != NULL ? loaded->error_message
                                                      : "its time zone has no offset");
    struct pen_zone_change *changes = mem_zero(loaded->n_changes * sizeof *changes);
    for (size_t i = 0; i < loaded->n_changes; i++)
        changes[i] =
            (struct pen_zone_change){loaded->changes[i]->from_ms, loaded->changes[i]->offset_s};
    const struct pen_zone zone = {changes, loaded->n_changes};
    int rc = find_openings(rule_value(rule->row, "Cron"), &zone, engine_day_ms(engine),
                           ret_openings, err);
    free(changes);
    return rc;
}

/* What was found before holds, unless it opens earlier by now: the clock was wrong then. */
static void say_found(struct pen_engine *engine, const struct rule *rule,
                      const struct openings *openings)
{
    if (rule->row->has_opens_ms && rule->row->opens_ms <= openings->at_ms[0])
        return;
    Pen__WindowFound *body = MAKE(Pen__WindowFound, pen__window_found__init);
    body->stage = mem_text(rule->row->stage);
    body->rule_execution_id = mem_text(rule->row->id);
    SET(body, opens_ms, openings->at_ms[0]);
    body->later_openings_ms = mem_zero(openings->count * sizeof(int64_t));
    for (size_t i = 1; i < openings->count; i++)
        body->later_openings_ms[body->n_later_openings_ms++] = openings->at_ms[i];
    body->summary = summary_of(openings, engine_day_ms(engine));
    emit_about(engine, rule->run->execution, PEN__FACT__WHAT_WINDOW_FOUND, body);
}

int handle_zone_loaded(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                       struct pen_error *err)
{
    (void)reply;
    (void)err;
    const Pen__ZoneLoaded *loaded = input->zone_loaded;
    const struct rule *rule = find_waiting(engine, loaded);
    if (rule == NULL)
        return 0; /* it was given up meanwhile */
    if (loaded->has_from_ms && loaded->from_ms > engine_day_ms(engine)) {
        window_ask_zone(engine, rule); /* the clock was set back meanwhile */
        return 0;
    }
    struct openings openings;
    struct pen_error why = {0};
    if (find_in_zone(engine, loaded, rule, &openings, &why) < 0) {
        if (rule->row->has_opens_ms)
            return 0; /* it was there when the window was found */
        rule_end(engine, rule, PEN__ACTION_STATUS__ACTION_FAILED, "ConfigurationError",
                 why.message);
        return 0;
    }
    say_found(engine, rule, &openings);
    return 0;
}

/* ---- as time passes */

void window_check(struct pen_engine *engine, const struct rule *rule)
{
    if (rule->row->has_opens_ms && rule->row->opens_ms <= engine_day_ms(engine))
        rule_end(engine, rule, PEN__ACTION_STATUS__ACTION_SUCCEEDED, NULL, "The window is open");
    else if (rule->row->deadline_ms <= engine->now_ms)
        rule_end(engine, rule, PEN__ACTION_STATUS__ACTION_FAILED, "TimedOut",
                 "The window did not open before the rule's time was over");
}

/* ---- as the clock is set */

static bool is_window(const Pen__RuleExecutionRow *row)
{
    return row->status == PEN__ACTION_STATUS__ACTION_IN_PROGRESS && row->error_code == NULL &&
           pen_str_equal(row->type->provider, PEN_RULE_DEPLOYMENT_WINDOW);
}

static void find_again(struct pen_engine *engine, struct rule *rule)
{
    struct pen_zone_change change = {0};
    const struct pen_zone zone = {&change, 1};
    struct openings openings;
    if (pen_zone_parse_fixed(rule_value(rule->row, "TimeZone"), &change.offset_s, NULL) < 0)
        window_ask_zone(engine, rule);
    else if (find_openings(rule_value(rule->row, "Cron"), &zone, engine_day_ms(engine), &openings,
                           NULL) == 0)
        say_found(engine, rule, &openings);
    rule_arm(engine, rule);
}

int handle_clock_set(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                     struct pen_error *err)
{
    (void)reply;
    (void)err;
    engine->clock_behind_ms = PLANTED(CLOCK_BELIEVED) ? 0 : input->clock_set->behind_ms;
    struct pen_map_node *node = pen_map_first(&engine->executions);
    for (; node != NULL; node = pen_map_next(node)) {
        const struct execution *execution = pen_map_value(node);
        for (size_t i = 0; i < execution->declaration->n_stages; i++) {
            const struct stage_run *run = execution->stages[i];
            for (size_t k = 0; run != NULL && k < run->rules_count; k++)
                if (is_window(run->rules[k]->row))
                    find_again(engine, run->rules[k]);
        }
    }
    return 0;
}
