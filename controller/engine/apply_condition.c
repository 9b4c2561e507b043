#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "controller/engine/apply.h"

static int find(struct pen_engine *engine, const Pen__Fact *fact, const char *stage,
                struct stage_run **ret_run, struct pen_error *err)
{
    const struct execution *execution = find_execution(engine, fact->execution_id);
    struct stage_run *run = execution == NULL ? NULL : find_run(execution, stage);
    if (run == NULL)
        return pen_fail(err, PEN_ECORRUPT, "fact %llu is about stage '%s', which is not there",
                        (unsigned long long)fact->seq, stage);
    *ret_run = run;
    return 0;
}

/* What the condition waits for, as the execution's status summary: many clients know no conditions.
 * A rule whose work waits is told by the work. */
static void summarize(struct pen_engine *engine, const struct stage_run *run)
{
    static const char *const kinds[] = {
        [PEN__CONDITION_KIND__CONDITION_BEFORE_ENTRY] = "beforeEntry",
        [PEN__CONDITION_KIND__CONDITION_ON_SUCCESS] = "onSuccess",
        [PEN__CONDITION_KIND__CONDITION_ON_FAILURE] = "onFailure",
    };
    Pen__ExecutionRow *row = run->execution->row;
    char *summary = NULL;
    if (execution_ended(run->execution))
        return; /* it says how it ended */
    for (size_t i = 0; i < run->rules_count && summary == NULL; i++) {
        const Pen__RuleExecutionRow *rule = run->rules[i]->row;
        if (rule->status == PEN__ACTION_STATUS__ACTION_IN_PROGRESS &&
            (size_t)rule->kind < sizeof kinds / sizeof kinds[0])
            summary = mem_format("Stage '%s' waits for rule '%s' of its %s condition%s%s",
                                 run->row->stage, rule->rule, kinds[rule->kind],
                                 rule->summary != NULL ? ": " : "",
                                 rule->summary != NULL ? rule->summary : "");
    }
    if (!pen_str_equal(summary, row->status_summary)) {
        mem_set_text(&row->status_summary, summary);
        entity_touch(engine, &run->execution->entity);
    }
    free(summary);
}

static void changed(struct pen_engine *engine, struct stage_run *run)
{
    summarize(engine, run);
    entity_touch(engine, &run->entity);
    execution_work(engine, run->execution);
}

int apply_condition_started(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__ConditionStarted *body = fact->condition_started;
    struct stage_run *run;
    int rc = find(engine, fact, body->stage, &run, err);
    if (rc < 0)
        return rc;
    if (run->rules_count > 0 || body->n_rules == 0 || body->n_rules > PEN_RULES_PER_CONDITION_MAX ||
        condition_run(run, body->kind) != NULL)
        return pen_fail(err, PEN_ECORRUPT, "fact %llu starts a condition that cannot start",
                        (unsigned long long)fact->seq);
    Pen__ConditionRun *condition = MAKE(Pen__ConditionRun, pen__condition_run__init);
    SET(condition, kind, body->kind);
    SET(condition, status, PEN__CONDITION_STATUS__CONDITION_IN_PROGRESS);
    SET(condition, changed_ms, fact->at_ms);
    APPEND(run->row, conditions, condition);
    for (size_t i = 0; i < body->n_rules; i++) {
        APPEND(condition, rule_execution_ids, mem_text(body->rules[i]->id));
        SET(engine->setting->row, last_order, body->rules[i]->order);
        struct entity *rule =
            entity_add(engine, PEN__ROW_KIND__ROW_RULE_EXECUTION, mem_copy(body->rules[i]));
        if ((rc = entity_link(engine, rule, err)) < 0)
            return rc;
        entity_touch(engine, rule);
    }
    changed(engine, run);
    return 0;
}

static int find_rule(const struct stage_run *run, const Pen__Fact *fact, const char *id,
                     struct rule **ret_rule, struct pen_error *err)
{
    for (size_t i = 0; i < run->rules_count; i++) {
        struct rule *rule = run->rules[i];
        if (!pen_str_equal(rule->row->id, id) ||
            rule->row->status != PEN__ACTION_STATUS__ACTION_IN_PROGRESS)
            continue;
        *ret_rule = rule;
        return 0;
    }
    return pen_fail(err, PEN_ECORRUPT, "fact %llu is about rule '%s', which is not in progress",
                    (unsigned long long)fact->seq, id);
}

int apply_window_found(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__WindowFound *body = fact->window_found;
    struct stage_run *run;
    struct rule *rule = NULL;
    int rc = find(engine, fact, body->stage, &run, err);
    if (rc < 0 || (rc = find_rule(run, fact, body->rule_execution_id, &rule, err)) < 0)
        return rc;
    SET(rule->row, opens_ms, body->opens_ms);
    free(rule->row->later_openings_ms); /* of an earlier find */
    rule->row->later_openings_ms = NULL;
    rule->row->n_later_openings_ms = 0;
    for (size_t i = 0; i < body->n_later_openings_ms; i++)
        rule_add_opening(rule->row, body->later_openings_ms[i]);
    SET(rule->row, updated_ms, fact->at_ms);
    mem_set_text(&rule->row->summary, body->summary);
    rule_arm(engine, rule);
    entity_touch(engine, &rule->entity);
    changed(engine, run);
    return 0;
}

int apply_rule_ended(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__RuleEnded *body = fact->rule_ended;
    struct stage_run *run;
    struct rule *rule = NULL;
    int rc = find(engine, fact, body->stage, &run, err);
    if (rc < 0 || (rc = find_rule(run, fact, body->rule_execution_id, &rule, err)) < 0)
        return rc;
    timer_disarm(engine, &rule->timer);
    SET(rule->row, status, body->status);
    SET(rule->row, updated_ms, fact->at_ms);
    mem_set_text(&rule->row->updated_by, fact->by);
    mem_set_text(&rule->row->summary, body->summary);
    mem_set_text(&rule->row->error_code, body->error_code);
    mem_set_text(&rule->row->error_message, body->error_message);
    entity_touch(engine, &rule->entity);
    changed(engine, run);
    return 0;
}

int apply_condition_ended(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__ConditionEnded *body = fact->condition_ended;
    struct stage_run *run;
    int rc = find(engine, fact, body->stage, &run, err);
    if (rc < 0)
        return rc;
    Pen__ConditionRun *condition = condition_run(run, body->kind);
    bool ends =
        condition != NULL && condition->status == PEN__CONDITION_STATUS__CONDITION_IN_PROGRESS;
    for (size_t i = 0; ends && i < run->rules_count; i++)
        ends = run->rules[i]->row->status != PEN__ACTION_STATUS__ACTION_IN_PROGRESS;
    bool overridden = condition != NULL && run->rules_count == 0 &&
                      condition->status == PEN__CONDITION_STATUS__CONDITION_FAILED &&
                      body->status == PEN__CONDITION_STATUS__CONDITION_OVERRIDDEN;
    if (!ends && !overridden)
        return pen_fail(err, PEN_ECORRUPT, "fact %llu ends a condition that cannot end",
                        (unsigned long long)fact->seq);
    SET(condition, status, body->status);
    SET(condition, changed_ms, fact->at_ms);
    mem_set_text(&condition->summary, body->summary);
    run_drop_rules(engine, run);
    changed(engine, run);
    return 0;
}
