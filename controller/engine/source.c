/* controller/engine/source.c - revisions: which are new, and what a source action brought
 *
 * A branch that has moved starts an execution when the revision is not the one seen last. While a
 * source action is under way that will take the newest anyway, nothing is started: once it is done,
 * the watch is told what it found and reports again if the branch has moved on. With triggers every
 * branch and tag is reported, and the push filters of trigger.c decide.
 */
#include <string.h>

#include "common/base/id.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/named.h"
#include "controller/engine/planted.h"
#include "controller/model/action_types.h"

static const char *override_of(const struct execution *execution, const char *action)
{
    for (size_t i = 0; i < execution->row->n_overrides; i++)
        if (pen_str_equal(execution->row->overrides[i]->action, action))
            return execution->row->overrides[i]->revision_value;
    return NULL;
}

/* Whether some execution's source action is about to take the newest revision. */
static bool newest_is_being_fetched(const struct pipeline *pipeline, const char *stage,
                                    const char *action)
{
    for (const struct pen_map_node *node = pen_map_first(&pipeline->executions); node != NULL;
         node = pen_map_next(node)) {
        const struct execution *execution = pen_map_value(node);
        if (execution_ended(execution) || execution_outdated(execution) ||
            override_of(execution, action) != NULL)
            continue;
        const struct stage_run *run = find_run(execution, stage);
        int index = run == NULL ? -1 : action_index(run->declaration, action);
        const struct action *current = index < 0 ? NULL : run->current[index];
        if (current != NULL && current->row->phase == PEN__ACTION_PHASE__ACTION_SOURCE)
            return true;
    }
    return false;
}

int handle_revision_found(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                          struct pen_error *err)
{
    const Pen__RevisionFound *found = input->revision_found;
    SET(reply, new_revision, 0);
    struct pipeline *pipeline = NULL;
    int rc = named_pipeline(engine, found->pipeline, &pipeline, err);
    if (rc < 0)
        return rc;
    if (find_source(pipeline, found->stage, found->action) == NULL ||
        pen_str_empty(found->revision_id))
        return pen_fail_api(err, PEN_ENOTFOUND, "ActionNotFoundException",
                            "pipeline '%s' has no source action '%s' in stage '%s'",
                            found->pipeline, found->action, found->stage);
    const Pen__GitConfiguration *trigger = trigger_of(pipeline, found->action);
    if ((trigger == NULL) != (found->ref_name == NULL))
        return 0; /* from a watch for what the pipeline was before it was changed */
    const char *seen = seen_revision(pipeline, found->stage, found->action, found->ref_name);
    if (pen_str_equal(seen, found->revision_id))
        return 0;
    if (trigger == NULL &&
        pen_str_equal(seen_revision(pipeline, found->stage, found->action, put_revision_name),
                      found->revision_id)) {
        mark_seen(engine, pipeline, found->stage, found->action, NULL, found->revision_id);
        return 0; /* PutActionRevision has started it */
    }
    if (trigger != NULL ? !trigger_accepts_push(trigger, found)
                        : newest_is_being_fetched(pipeline, found->stage, found->action))
        return 0;
    mark_seen(engine, pipeline, found->stage, found->action, found->ref_name, found->revision_id);
    SET(reply, new_revision, 1);

    Pen__ExecutionOrigin origin = PEN__EXECUTION_ORIGIN__INIT;
    origin.action = found->action;
    origin.ref_name = found->ref_name;
    struct start start = {.trigger_type = found->trigger_type,
                          .trigger_detail = found->trigger_detail,
                          .origin = found->ref_name != NULL ? &origin : NULL};
    char id[PEN_UUID_TEXT_SIZE];
    rc = start_with_revision(engine, pipeline, found->action, found->revision_id, &start, id, err);
    if (rc < 0)
        return rc; /* seen, but lost: at the limit of executions, or a variable has no default */
    reply->execution_id = mem_text(id);
    return 0;
}

static void source_succeeded(struct pen_engine *engine, struct action *action,
                             const Pen__SourceDone *done)
{
    struct execution *execution = action->run->execution;
    const struct pipeline *pipeline = execution->pipeline;
    Pen__ActionEnded *body =
        action_ended(action, PEN__ACTION_STATUS__ACTION_SUCCEEDED,
                     done->revision != NULL ? done->revision->revision_summary : NULL);
    if (done->artifact != NULL && action->declaration->n_output_artifacts > 0) {
        Pen__ProducedArtifact *output = MAKE(Pen__ProducedArtifact, pen__produced_artifact__init);
        output->artifact = mem_copy(done->artifact);
        mem_set_text(&output->artifact->name, action->declaration->output_artifacts[0]->name);
        output->stage = mem_text(action->row->stage);
        output->action = mem_text(action->row->action);
        APPEND(body, outputs, output);
    }
    for (size_t i = 0; i < done->n_output_variables; i++)
        APPEND(body, output_variables, mem_copy(done->output_variables[i]));
    if (done->revision != NULL) {
        body->revision = mem_copy(done->revision);
        mem_set_text(&body->revision->action, action->row->action);
        if (action->declaration->n_output_artifacts > 0)
            mem_set_text(&body->revision->artifact, action->declaration->output_artifacts[0]->name);
        if (!body->revision->has_created_ms)
            SET(body->revision, created_ms, engine->now_ms);
    }
    const char *revision = done->revision != NULL ? done->revision->revision_id : NULL;
    const char *stage = action->row->stage;
    const char *name = action->row->action;
    bool newest = override_of(execution, name) == NULL;
    if (newest && revision != NULL && !execution_outdated(execution) &&
        !pen_str_equal(seen_revision(pipeline, stage, name, NULL), revision)) {
        mark_seen(engine, pipeline, stage, name, NULL, revision);
        const Pen__ActionDeclaration *source = find_source(pipeline, stage, name);
        if (source != NULL)
            plan_watch(engine, pipeline, source);
    }
    action_end(engine, action, body);
}

int handle_source_done(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                       struct pen_error *err)
{
    (void)reply;
    (void)err;
    const Pen__SourceDone *done = input->source_done;
    struct action *action = find_action(engine, done->action_execution_id);
    if (action == NULL || action->row->phase != PEN__ACTION_PHASE__ACTION_SOURCE)
        return 0; /* a run that was asked for twice, or given up */
    if (!done->ok) {
        action_fail(engine, action,
                    pen_str_empty(done->error_code) ? "JobFailed" : done->error_code,
                    pen_str_empty(done->error_message) ? "The source could not be fetched"
                                                       : done->error_message);
        return 0;
    }
    source_succeeded(engine, action, done);
    return 0;
}

int handle_push_notified(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                         struct pen_error *err)
{
    (void)reply;
    const char *id = input->push_notified->connection_id;
    if (id == NULL || pen_map_get(&engine->connections, pen_key_text(id)) == NULL)
        return pen_fail_api(err, PEN_ENOTFOUND, "ResourceNotFoundException", "no connection '%s'",
                            id == NULL ? "" : id);
    Pen__SourcePoke *body = MAKE(Pen__SourcePoke, pen__source_poke__init);
    body->connection_id = mem_text(id);
    effect(engine, PEN__EFFECT__WHAT_SOURCE_POKE, body);
    return 0;
}

/* ---- effects */

void plan_watch(struct pen_engine *engine, const struct pipeline *self,
                const Pen__ActionDeclaration *action)
{
    const char *stage = self->current->row->declaration->stages[0]->name;
    const Pen__GitConfiguration *trigger = trigger_of(self, action->name);
    bool hosted = pen_str_equal(action->action_type_id->provider, "CodeCommit");
    if (trigger != NULL ? trigger->n_push == 0 : !source_detects(action))
        return;
    Pen__SourceWatch *body = MAKE(Pen__SourceWatch, pen__source_watch__init);
    body->pipeline = mem_text(self->row->name);
    body->stage = mem_text(stage);
    body->action = mem_text(action->name);
    body->provider = mem_text(action->action_type_id->provider);
    for (size_t i = 0; i < action->n_configuration; i++) {
        Pen__SourceWatch__ConfigurationEntry *entry = MAKE(
            Pen__SourceWatch__ConfigurationEntry, pen__source_watch__configuration_entry__init);
        entry->key = mem_text(action->configuration[i]->key);
        entry->value = mem_text(action->configuration[i]->value);
        APPEND(body, configuration, entry);
    }
    body->seen_revision_id = mem_text(seen_revision(self, stage, action->name, NULL));
    SET(body, poll, hosted || !self->row->has_polling_disabled_ms);
    if (trigger != NULL)
        SET(body, all_refs, 1);
    effect(engine, PEN__EFFECT__WHAT_SOURCE_WATCH, body);
}

void plan_watches(struct pen_engine *engine, const struct pipeline *self)
{
    const Pen__StageDeclaration *stage = self->current->row->declaration->stages[0];
    for (size_t i = 0; i < stage->n_actions; i++) /* of custom sources, others tell revisions */
        if (pen_str_equal(stage->actions[i]->action_type_id->category, "Source") &&
            !pen_action_is_custom(stage->actions[i]->action_type_id))
            plan_watch(engine, self, stage->actions[i]);
    for (size_t i = 0; i < self->row->n_pull_requests; i++)
        if (!PLANTED(PULL_FORGOTTEN))
            plan_pull_request(engine, self, self->row->pull_requests[i]);
}

void plan_source_run(struct pen_engine *engine, const struct action *action)
{
    const Pen__ActionExecutionRow *row = action->row;
    if (PLANTED(LOST_EFFECT) && row->order % 5 == 0)
        return;
    Pen__SourceRun *body = MAKE(Pen__SourceRun, pen__source_run__init);
    body->action_execution_id = mem_text(row->id);
    body->pipeline = mem_text(row->pipeline);
    body->stage = mem_text(row->stage);
    body->action = mem_text(row->action);
    body->provider = mem_text(row->type->provider);
    for (size_t i = 0; i < row->n_resolved_configuration; i++) {
        Pen__SourceRun__ConfigurationEntry *entry =
            MAKE(Pen__SourceRun__ConfigurationEntry, pen__source_run__configuration_entry__init);
        entry->key = mem_text(row->resolved_configuration[i]->key);
        entry->value = mem_text(row->resolved_configuration[i]->value);
        APPEND(body, configuration, entry);
    }
    body->revision_id = mem_text(override_of(action->run->execution, row->action));
    if (action->declaration->n_output_artifacts > 0)
        body->artifact = mem_text(action->declaration->output_artifacts[0]->name);
    const Pen__ExecutionOrigin *origin = action->run->execution->row->origin;
    if (origin != NULL && pen_str_equal(origin->action, row->action))
        body->origin = mem_copy(origin);
    effect(engine, PEN__EFFECT__WHAT_SOURCE_RUN, body);
}
