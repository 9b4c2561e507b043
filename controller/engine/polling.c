/* controller/engine/polling.c - which pipelines are polled, and for how long
 *
 *     polled --30 days without an execution--> not polled, polling_disabled_ms says since when
 *       ^                                          |
 *       +------------- an execution starts --------+
 *
 * Only repositories behind connections are polled. Those that the controller keeps announce a push
 * by themselves, which costs nothing and never stops; so do the webhooks of connections.
 */
#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/model/providers.h"

bool source_detects(const Pen__ActionDeclaration *action)
{
    return pen_str_equal(action->action_type_id->owner, "AWS") &&
           !pen_str_equal(pen_action_configuration(action, "DetectChanges"), "false") &&
           !pen_str_equal(pen_action_configuration(action, "PollForSourceChanges"), "false");
}

static const Pen__GitConfiguration *declared_trigger(const Pen__PipelineDeclaration *declaration,
                                                     const char *action)
{
    for (size_t i = 0; i < declaration->n_triggers; i++) {
        const Pen__GitConfiguration *git = declaration->triggers[i]->git_configuration;
        if (git != NULL && pen_str_equal(git->source_action_name, action))
            return git;
    }
    return NULL;
}

static bool polls(const Pen__PipelineDeclaration *declaration)
{
    const Pen__StageDeclaration *first = declaration->stages[0];
    for (size_t i = 0; i < first->n_actions; i++) {
        const Pen__ActionDeclaration *action = first->actions[i];
        const Pen__GitConfiguration *trigger = declared_trigger(declaration, action->name);
        if (pen_str_equal(action->action_type_id->provider, "CodeStarSourceConnection") &&
            (trigger != NULL ? trigger->n_push > 0 : source_detects(action)))
            return true;
    }
    return false;
}

int check_polling(const struct pen_engine *engine, const Pen__PipelineDeclaration *declaration,
                  struct pen_error *err)
{
    if (!polls(declaration))
        return 0;
    size_t others = 0;
    for (const struct pen_map_node *node = pen_map_first(&engine->pipelines); node != NULL;
         node = pen_map_next(node)) {
        const struct pipeline *pipeline = pen_map_value(node);
        if (!pen_str_equal(pipeline->row->name, declaration->name) &&
            polls(pipeline->current->row->declaration))
            others++;
    }
    if (others < engine->options.polling_pipelines_max)
        return 0;
    return pen_fail_api(err, PEN_ELIMIT, "LimitExceededException",
                        "%zu pipelines poll connections for changes, the most that an account may "
                        "have (polling-pipelines-max): set DetectChanges to \"false\" and start "
                        "this one by a webhook",
                        others);
}

void polling_arm(struct pen_engine *engine, struct pipeline *self)
{
    const Pen__PipelineRow *row = self->row;
    if (row->has_polling_disabled_ms || !polls(self->current->row->declaration)) {
        timer_disarm(engine, &self->timer);
        return;
    }
    /* Rows of an older release do not say when an execution started: time counts from now. */
    int64_t since_ms = row->has_started_ms ? row->started_ms : engine->now_ms;
    timer_arm(engine, &self->timer,
              since_ms + PEN_LIMIT_POLLING_IDLE_MS + PEN_LIMIT_STARTED_NOTE_MS);
}

void polling_stop(struct pen_engine *engine, struct pipeline *self)
{
    emit(engine, self->row->name, NULL, PEN__FACT__WHAT_POLLING_STOPPED,
         MAKE(Pen__PollingStopped, pen__polling_stopped__init));
    plan_watches(engine, self);
}

void polling_started(struct pen_engine *engine, struct pipeline *self, bool was_stopped)
{
    polling_arm(engine, self);
    if (was_stopped)
        plan_watches(engine, self);
}
