/* controller/engine/history.c - how long successes took, and when what runs now may end
 *
 * A stage's row keeps a moving average for each of its actions and for itself: bounded, and a part
 * of the row, so that it survives restarts and folds like all else. What a stage takes includes the
 * time that its approvals took.
 */
#include <string.h>

#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/apply.h"
#include "controller/engine/explain.h"

/* The last successes count for this many: long enough that one slow run is not the rule, short
 * enough to follow a pipeline that has become faster. */
enum { WINDOW = 8 };

static int64_t blend(int64_t average_ms, uint32_t successes, int64_t ms)
{
    int64_t weight = successes < WINDOW ? (int64_t)successes + 1 : WINDOW;
    return average_ms + (ms - average_ms) / weight;
}

static Pen__ActionHistory *find_history(const Pen__StageStateRow *row, const char *action)
{
    for (size_t i = 0; i < row->n_history; i++)
        if (pen_str_equal(row->history[i]->action, action))
            return row->history[i];
    return NULL;
}

/* Actions that were renamed leave their entries behind: the oldest goes when there are too many. */
static Pen__ActionHistory *add_history(Pen__StageStateRow *row, const char *action)
{
    if (row->n_history == PEN_LIMIT_STAGE_HISTORIES) {
        mem_free_message(row->history[0]);
        row->n_history--;
        memmove(&row->history[0], &row->history[1], row->n_history * sizeof row->history[0]);
    }
    Pen__ActionHistory *history = MAKE(Pen__ActionHistory, pen__action_history__init);
    history->action = mem_text(action);
    APPEND(row, history, history);
    return history;
}

/* Time that machines took: people and queues have another measure. */
static bool is_timed(const struct action *action)
{
    return action->rule == NULL && (action->row->phase == PEN__ACTION_PHASE__ACTION_ATTEMPT ||
                                    action->row->phase == PEN__ACTION_PHASE__ACTION_SOURCE ||
                                    action->row->phase == PEN__ACTION_PHASE__ACTION_JOB);
}

void history_action_succeeded(struct pen_engine *engine, const struct action *action, int64_t at_ms)
{
    struct stage_state *stage = find_stage(action->run->execution->pipeline, action->row->stage);
    if (stage == NULL || !is_timed(action))
        return;
    Pen__ActionHistory *history = find_history(stage->row, action->row->action);
    if (history == NULL)
        history = add_history(stage->row, action->row->action);
    SET(history, average_ms,
        blend(history->average_ms, history->successes, at_ms - action->row->phase_since_ms));
    SET(history, successes, history->successes < WINDOW ? history->successes + 1 : WINDOW);
    entity_touch(engine, &stage->entity);
}

void history_stage_succeeded(struct pen_engine *engine, struct stage_state *stage,
                             const struct stage_run *run, int64_t at_ms)
{
    if (run->row->attempt > 1)
        return; /* the time between the attempts is nobody's work */
    Pen__StageStateRow *row = stage->row;
    SET(row, average_ms, blend(row->average_ms, row->successes, at_ms - run->row->started_ms));
    SET(row, successes, row->successes < WINDOW ? row->successes + 1 : WINDOW);
    entity_touch(engine, &stage->entity);
}

/* ---- estimates */

static const struct expectation unknown = {.usual_ms = -1};

static struct expectation expect(const struct pen_engine *engine, int64_t average_ms,
                                 int64_t since_ms)
{
    return (struct expectation){.usual_ms = average_ms,
                                .left_ms = since_ms + average_ms - engine->now_ms};
}

struct expectation history_action(const struct pen_engine *engine, const struct action *action)
{
    const struct stage_state *stage =
        find_stage(action->run->execution->pipeline, action->row->stage);
    const Pen__ActionHistory *history =
        stage == NULL || !is_timed(action) ? NULL : find_history(stage->row, action->row->action);
    return history == NULL ? unknown
                           : expect(engine, history->average_ms, action->row->phase_since_ms);
}

int64_t history_stage_ms(const struct stage_state *stage)
{
    return stage->row->successes == 0 ? -1 : stage->row->average_ms;
}

struct expectation history_stage(const struct pen_engine *engine, const struct execution *execution)
{
    const struct stage_run *run = current_run(execution);
    const struct stage_state *stage =
        run == NULL ? NULL : find_stage(execution->pipeline, run->row->stage);
    if (stage == NULL || stage->row->successes == 0)
        return unknown;
    return expect(engine, stage->row->average_ms, run->row->started_ms);
}
