/* controller/engine/invariant.c - what holds after every step */
#include "common/base/check.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/explain.h"
#include "controller/engine/job.h"

static void check_stage(const struct pen_engine *engine, const struct stage_state *stage)
{
    const Pen__StageStateRow *row = stage->row;
    if (row->holder != NULL) {
        const struct execution *holder = find_execution(engine, row->holder);
        CHECK(holder != NULL && !execution_ended(holder) && !execution_parallel(holder));
        const struct stage_run *run = current_run(holder);
        CHECK(run != NULL && pen_str_equal(run->row->stage, row->stage));
        CHECK(run->row->status == PEN__STAGE_STATUS__STAGE_IN_PROGRESS ||
              run->row->status == PEN__STAGE_STATUS__STAGE_STOPPING);
    }
    size_t superseding = 0;
    size_t rollbacks = 0;
    for (size_t i = 0; i < row->n_waiting; i++) {
        const struct execution *waiting = find_execution(engine, row->waiting[i]);
        CHECK(waiting != NULL && waiting->row->waiting && !execution_ended(waiting));
        CHECK(!gate_open(engine, waiting, stage)); /* else it would have entered */
        bool rollback = execution_rolls_back(waiting);
        CHECK(IMPLIES(rollback, rollbacks == i)); /* they go first */
        rollbacks += rollback ? 1 : 0;
        superseding += !rollback && pen_str_equal(waiting->row->mode, "SUPERSEDED") ? 1 : 0;
    }
    CHECK(superseding <= 1);
}

static void check_action(const struct action *action)
{
    bool in_progress = action->row->status == PEN__ACTION_STATUS__ACTION_IN_PROGRESS;
    CHECK(in_progress == (action->row->phase != PEN__ACTION_PHASE__ACTION_ENDED));
    CHECK((action->demand != NULL) == (action->row->phase == PEN__ACTION_PHASE__ACTION_QUEUED));
    bool has_attempt = action->row->phase == PEN__ACTION_PHASE__ACTION_ATTEMPT ||
                       action->row->phase == PEN__ACTION_PHASE__ACTION_INDETERMINATE;
    CHECK((action->attempt != NULL) == has_attempt);
    CHECK((action->job != NULL) == (action->row->phase == PEN__ACTION_PHASE__ACTION_JOB));
    CHECK(IMPLIES(action->attempt != NULL, action->attempt->row->fence == action->row->fence));
    CHECK(IMPLIES(action->row->phase == PEN__ACTION_PHASE__ACTION_INDETERMINATE,
                  action->row->action_class == PEN__ACTION_CLASS__ONCE));
}

/* What works for a rule ends with it, and is no action of the stage. */
static void check_rule(const struct stage_run *run, const struct rule *rule)
{
    const struct action *work = rule->work;
    bool in_progress = rule->row->status == PEN__ACTION_STATUS__ACTION_IN_PROGRESS;
    CHECK(rule->run == run);
    CHECK(IMPLIES(in_progress && pen_str_equal(rule->row->type->provider, PEN_RULE_COMMANDS),
                  work != NULL));
    if (work == NULL)
        return;
    CHECK(work->rule == rule && work->run == run && pen_str_equal(work->row->id, rule->row->id));
    CHECK(work->row->action_class == PEN__ACTION_CLASS__REPEATABLE);
    CHECK((work->row->status == PEN__ACTION_STATUS__ACTION_IN_PROGRESS) == in_progress);
    check_action(work);
}

static void check_run(const struct execution *execution, const struct stage_run *run,
                      uint32_t *ret_in_progress)
{
    bool under_way = run->row->status == PEN__STAGE_STATUS__STAGE_IN_PROGRESS ||
                     run->row->status == PEN__STAGE_STATUS__STAGE_STOPPING;
    size_t checking = 0;
    for (size_t i = 0; i < run->row->n_conditions; i++)
        checking +=
            run->row->conditions[i]->status == PEN__CONDITION_STATUS__CONDITION_IN_PROGRESS ? 1 : 0;
    CHECK(checking == (run->rules_count > 0 ? 1 : 0));
    CHECK(IMPLIES(checking > 0, under_way && execution->in_progress == 0));
    for (size_t i = 0; i < run->rules_count; i++)
        check_rule(run, run->rules[i]);
    for (size_t i = 0; i < run->declaration->n_actions; i++) {
        const struct action *action = run->current[i];
        if (action == NULL)
            continue;
        CHECK(action->run == run && action->run->execution == execution);
        bool in_progress = action->row->status == PEN__ACTION_STATUS__ACTION_IN_PROGRESS;
        CHECK(IMPLIES(in_progress, under_way));
        CHECK(action->rule == NULL);
        check_action(action);
        *ret_in_progress += in_progress ? 1 : 0;
    }
}

static void check_execution(const struct execution *execution)
{
    uint32_t in_progress = 0;
    for (size_t i = 0; i < execution->declaration->n_stages; i++)
        if (execution->stages[i] != NULL) {
            check_run(execution, execution->stages[i], &in_progress);
            CHECK(IMPLIES(execution_rolls_back(execution), i == execution->row->stage_index));
        }
    CHECK(IMPLIES(execution_rolls_back(execution),
                  execution->row->stage_index > 0 && !execution_parallel(execution)));
    CHECK(in_progress == execution->in_progress);
    CHECK(IMPLIES(execution_ended(execution), in_progress == 0 && !execution->row->waiting));
    CHECK(IMPLIES(execution_parallel(execution), in_progress <= 5));
    const struct stage_run *run = current_run(execution);
    bool inside = run != NULL && !execution->row->waiting &&
                  (run->row->status == PEN__STAGE_STATUS__STAGE_IN_PROGRESS ||
                   run->row->status == PEN__STAGE_STATUS__STAGE_STOPPING);
    CHECK(IMPLIES(!execution_ended(execution), inside || execution->row->waiting));
    const struct stage_state *stage =
        run == NULL ? NULL : find_stage(execution->pipeline, run->row->stage);
    CHECK(IMPLIES(inside && !execution_parallel(execution),
                  stage != NULL && pen_str_equal(stage->row->holder, execution->row->id)));
}

static void check_agent(const struct pen_engine *engine, const struct agent *agent)
{
    uint32_t busy = 0;
    for (const struct pen_map_node *node = pen_map_first(&agent->attempts); node != NULL;
         node = pen_map_next(node)) {
        const struct attempt *attempt = pen_map_value(node);
        CHECK(attempt->agent == agent && !attempt_state_ended(attempt->row->state));
        CHECK(attempt->row->fence <= engine->setting->row->last_fence);
        CHECK(IMPLIES(attempt->action != NULL, attempt->action->attempt == attempt));
        CHECK(IMPLIES(attempt->row->state == PEN__ATTEMPT_STATE__ATTEMPT_DRAINING,
                      attempt->row->finished != NULL));
        CHECK(IMPLIES(attempt->row->state == PEN__ATTEMPT_STATE__ATTEMPT_INDETERMINATE,
                      attempt->row->action_class == PEN__ACTION_CLASS__ONCE));
        bool abandoned = attempt->action == NULL && attempt_may_live(attempt->row->state);
        CHECK(abandoned == (attempt->abandoned_key != NULL));
        CHECK(IMPLIES(abandoned, pen_map_get(&engine->abandoned,
                                             pen_key_text(attempt->abandoned_key)) == attempt));
        busy += attempt_takes_slot(attempt->row->state) ? 1 : 0;
    }
    CHECK(busy == agent->busy);
    bool available = agent_available(engine, agent);
    bool pause_over = pen_heap_armed(&agent->timer.entry) &&
                      agent->timer.entry.at <= engine->now_ms; /* the next tick sees to it */
    CHECK(IMPLIES(agent->indexed, available));
    CHECK(IMPLIES(available, agent->indexed || pause_over));
    CHECK(IMPLIES(agent->row->status != PEN__AGENT_STATUS__AGENT_ENROLLED, !agent->connected));
    CHECK(IMPLIES(agent->offers > 0, agent->connected && !agent->suspect));
}

void check_invariants(const struct pen_engine *engine)
{
    CHECK(engine->work == NULL && engine->gate_work == NULL);
    for (const struct pen_map_node *node = pen_map_first(&engine->pipelines); node != NULL;
         node = pen_map_next(node)) {
        const struct pipeline *pipeline = pen_map_value(node);
        size_t running = 0;
        for (const struct pen_map_node *e = pen_map_first(&pipeline->executions); e != NULL;
             e = pen_map_next(e)) {
            const struct execution *execution = pen_map_value(e);
            check_execution(execution);
            running += execution_ended(execution) ? 0 : 1;
        }
        CHECK(running == pipeline->running);
        for (const struct pen_map_node *s = pen_map_first(&pipeline->stages); s != NULL;
             s = pen_map_next(s))
            check_stage(engine, pen_map_value(s));
    }
    for (const struct pen_map_node *node = pen_map_first(&engine->agents); node != NULL;
         node = pen_map_next(node))
        check_agent(engine, pen_map_value(node));
    check_jobs(engine);
    for (const struct pen_map_node *node = pen_map_first(&engine->demands); node != NULL;
         node = pen_map_next(node)) {
        const struct demand *demand = pen_map_value(node);
        CHECK(demand->users > 0 && demand->queue.count <= demand->users);
    }
}
