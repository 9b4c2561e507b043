/* controller/engine/source.c - revisions: which are new, and what a source action brought
 *
 * A branch that has moved starts an execution when the revision is not the one seen last. While a
 * source action is under way that will take the newest anyway, nothing is started: once it is done,
 * the watch is told what it found and reports again if the branch has moved on. With triggers every
 * branch and tag is reported, and the push filters of trigger.c decide.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/id.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/named.h"
#include "controller/engine/planted.h"
#include "controller/model/action_types.h"

static void plan_watch(struct pen_engine *engine, const struct pipeline *self,
                       const Pen__ActionDeclaration *action);

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

/* The source action that this is about; NULL: from a watch for what the pipeline was before. */
static const Pen__ActionDeclaration *watched_source(const struct pipeline *pipeline,
                                                    const char *stage, const char *action,
                                                    bool numbered, uint64_t watch)
{
    return numbered && watch != pipeline->watch ? NULL : find_source(pipeline, stage, action);
}

/* It is there no more: when it comes back, that is news, also at the commit that it had. */
static void revision_gone(struct pen_engine *engine, const struct pipeline *pipeline,
                          const Pen__RevisionFound *found)
{
    const char *seen = seen_revision(pipeline, found->stage, found->action, found->ref_name);
    if (!pen_str_empty(seen))
        mark_gone(engine, pipeline, found->stage, found->action, found->ref_name);
}

/* Whether what was found is new and wanted. What is new is seen from now on, wanted or not. */
static bool revision_starts(struct pen_engine *engine, const struct pipeline *pipeline,
                            const Pen__RevisionFound *found)
{
    const Pen__GitConfiguration *trigger = trigger_of(pipeline, found->action);
    const char *seen = seen_revision(pipeline, found->stage, found->action, found->ref_name);
    if (pen_str_equal(seen, found->revision_id))
        return false;
    if (trigger == NULL && newest_is_being_fetched(pipeline, found->stage, found->action))
        return false; /* not seen: it is reported again */
    bool came_back = seen != NULL && *seen == '\0';
    const char *put = seen_revision(pipeline, found->stage, found->action, put_revision_name);
    bool was_put = trigger == NULL && !came_back && pen_str_equal(put, found->revision_id);
    mark_seen(engine, pipeline, found->stage, found->action, found->ref_name, found->revision_id);
    return !was_put && (trigger == NULL || trigger_accepts_push(trigger, found));
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
        pen_str_empty(found->revision_id) != found->deleted)
        return pen_fail_api(err, PEN_ENOTFOUND, "ActionNotFoundException",
                            "pipeline '%s' has no source action '%s' in stage '%s'",
                            found->pipeline, found->action, found->stage);
    const Pen__GitConfiguration *trigger = trigger_of(pipeline, found->action);
    if ((trigger == NULL) != (found->ref_name == NULL) ||
        watched_source(pipeline, found->stage, found->action, found->has_watch, found->watch) ==
            NULL)
        return 0;
    if (found->deleted) {
        revision_gone(engine, pipeline, found);
        return 0;
    }
    if (!revision_starts(engine, pipeline, found))
        return 0;
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

int handle_refs_looked(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                       struct pen_error *err)
{
    (void)reply;
    (void)err;
    const Pen__RefsLooked *looked = input->refs_looked;
    const struct pipeline *pipeline = find_pipeline(engine, looked->pipeline);
    const Pen__ActionDeclaration *source =
        pipeline == NULL
            ? NULL
            : watched_source(pipeline, looked->stage, looked->action, true, looked->watch);
    if (source == NULL || trigger_of(pipeline, looked->action) == NULL)
        return 0; /* the pipeline is gone, or was changed */
    Pen__RefsRead *body = MAKE(Pen__RefsRead, pen__refs_read__init);
    body->stage = mem_text(looked->stage);
    body->action = mem_text(looked->action);
    body->connection_arn = mem_text(pen_action_configuration(source, "ConnectionArn"));
    body->repository_id = mem_text(pen_action_configuration(source, "FullRepositoryId"));
    SET(body, begins, looked->begins);
    SET(body, complete, looked->complete);
    for (size_t i = 0; i < looked->n_refs; i++)
        if (looked->refs[i]->name != NULL && ref_is_pushed(looked->refs[i]->name) &&
            !pen_str_empty(looked->refs[i]->revision_id))
            APPEND(body, refs, mem_copy(looked->refs[i]));
    emit(engine, pipeline->row->name, NULL, PEN__FACT__WHAT_REFS_READ, body);
    return 0;
}

/* The commit's first line, and what of the commit the artifact does not have. Owned. */
static char *source_summary(const Pen__SourceDone *done)
{
    const char *subject = done->revision != NULL ? done->revision->revision_summary : NULL;
    if (pen_str_empty(done->left_out))
        return mem_text(subject);
    return pen_str_empty(subject) ? mem_format("[%s]", done->left_out)
                                  : mem_format("%s [%s]", subject, done->left_out);
}

/* Whether it is the same trouble: git's words may count milliseconds or name another port. */
static bool same_words(const char *a, const char *b)
{
    static const char digits[] = "0123456789";
    if (a == NULL || b == NULL)
        return a == b;
    for (;; a++, b++) {
        a += strspn(a, digits);
        b += strspn(b, digits);
        if (*a != *b || *a == '\0')
            return *a == *b;
    }
}

static bool same_branches(const Pen__WatchedSource *watched, const Pen__SourceLooked *looked)
{
    bool same = watched->n_branches == looked->n_branches &&
                watched->branches_more == looked->branches_more;
    for (size_t i = 0; same && i < looked->n_branches; i++)
        same = pen_str_equal(watched->branches[i], looked->branches[i]);
    return same;
}

int handle_source_looked(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                         struct pen_error *err)
{
    (void)reply;
    (void)err;
    const Pen__SourceLooked *looked = input->source_looked;
    const struct pipeline *pipeline = find_pipeline(engine, looked->pipeline);
    const char *stage =
        pipeline == NULL ? NULL : pipeline->current->row->declaration->stages[0]->name;
    if (pipeline == NULL ||
        watched_source(pipeline, stage, looked->action, looked->has_watch, looked->watch) == NULL)
        return 0; /* the pipeline is gone, or was changed */
    const Pen__WatchedSource *watched = find_watched(pipeline, stage, looked->action);
    const char *before = watched == NULL ? NULL : watched->trouble;
    if (same_words(before, looked->trouble) && (before == NULL || same_branches(watched, looked)))
        return 0;
    Pen__SourceTroubled *body = MAKE(Pen__SourceTroubled, pen__source_troubled__init);
    body->stage = mem_text(stage);
    body->action = mem_text(looked->action);
    body->trouble = mem_text(looked->trouble);
    for (size_t i = 0; looked->trouble != NULL && i < looked->n_branches; i++)
        APPEND(body, branches, mem_text(looked->branches[i]));
    SET(body, branches_more, looked->trouble != NULL ? looked->branches_more : 0);
    emit(engine, pipeline->row->name, NULL, PEN__FACT__WHAT_SOURCE_TROUBLED, body);
    return 0;
}

static void source_succeeded(struct pen_engine *engine, struct action *action,
                             const Pen__SourceDone *done)
{
    struct execution *execution = action->run->execution;
    const struct pipeline *pipeline = execution->pipeline;
    char *summary = source_summary(done);
    Pen__ActionEnded *body = action_ended(action, PEN__ACTION_STATUS__ACTION_SUCCEEDED, summary);
    free(summary);
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
        if (source != NULL && trigger_of(pipeline, name) == NULL)
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

/* All that the engine has committed of a repository: a look is compared with this. */
static void tell_refs(const struct pipeline *pipeline, const char *stage, const char *action,
                      Pen__SourceWatch *ret_body)
{
    const Pen__WatchedSource *watched = find_watched(pipeline, stage, action);
    SET(ret_body, all_refs, 1);
    SET(ret_body, refs_known,
        watched != NULL && watched->refs_known && source_is_of(pipeline, watched));
    for (struct pen_map_node *node = pen_map_first(&pipeline->refs);
         node != NULL && ret_body->refs_known; node = pen_map_next(node)) {
        const struct seen_refs *part = pen_map_value(node);
        if (!pen_str_equal(part->row->stage, stage) || !pen_str_equal(part->row->action, action))
            continue;
        for (size_t i = 0; i < part->row->n_refs; i++)
            if (ref_is_pushed(part->row->refs[i]->name))
                APPEND(ret_body, refs, mem_copy(part->row->refs[i]));
    }
}

static void plan_watch(struct pen_engine *engine, const struct pipeline *self,
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
    const char *seen = seen_revision(self, stage, action->name, NULL);
    body->seen_revision_id = mem_text(pen_str_empty(seen) ? NULL : seen);
    SET(body, branch_gone, seen != NULL && *seen == '\0');
    SET(body, poll, hosted || !self->row->has_polling_disabled_ms);
    SET(body, watch, self->watch);
    const Pen__WatchedSource *watched = find_watched(self, stage, action->name);
    body->trouble = mem_text(watched == NULL ? NULL : watched->trouble);
    if (trigger != NULL)
        tell_refs(self, stage, action->name, body);
    effect(engine, PEN__EFFECT__WHAT_SOURCE_WATCH, body);
}

void plan_watches(struct pen_engine *engine, struct pipeline *self)
{
    const Pen__StageDeclaration *stage = self->current->row->declaration->stages[0];
    self->watch = ++engine->last_watch;
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
