/* controller/engine/trigger.c - what starts an execution by itself: pushes and pull requests that
 * pass the filters of a trigger, and revisions that are announced
 *
 *     hook --PullRequestNotified--> noticed, kept with the pipeline --PullRequestLook--> sources
 *     sources --PullRequestFound--> judged by the filters, and not kept any more
 *
 * A pull request is known by its number. What was seen of it last is "OPEN commit" or "CLOSED
 * commit": told again it is no news, and closed or opened again it is.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/id.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/named.h"
#include "controller/engine/planted.h"
#include "controller/model/glob.h"
#include "controller/model/providers.h"

/* ---- what was seen */

static Pen__RevisionSeen *seen_new(const char *stage, const char *action, const char *ref_name,
                                   const char *revision_id)
{
    Pen__RevisionSeen *body = MAKE(Pen__RevisionSeen, pen__revision_seen__init);
    body->stage = mem_text(stage);
    body->action = mem_text(action);
    body->ref_name = mem_text(ref_name);
    body->revision_id = mem_text(revision_id);
    return body;
}

void mark_seen(struct pen_engine *engine, const struct pipeline *pipeline, const char *stage,
               const char *action, const char *ref_name, const char *revision_id)
{
    emit(engine, pipeline->row->name, NULL, PEN__FACT__WHAT_REVISION_SEEN,
         seen_new(stage, action, ref_name, revision_id));
}

void mark_gone(struct pen_engine *engine, const struct pipeline *pipeline, const char *stage,
               const char *action, const char *ref_name)
{
    Pen__RevisionSeen *body = seen_new(stage, action, ref_name, NULL);
    SET(body, deleted, 1);
    emit(engine, pipeline->row->name, NULL, PEN__FACT__WHAT_REVISION_SEEN, body);
}

int start_with_revision(struct pen_engine *engine, struct pipeline *pipeline, const char *action,
                        const char *revision_id, struct start *start, char ret_id[37],
                        struct pen_error *err)
{
    Pen__SourceOverride override = PEN__SOURCE_OVERRIDE__INIT;
    override.action = (char *)(uintptr_t)action;
    override.revision_type = (char[]){"COMMIT_ID"};
    override.revision_value = (char *)(uintptr_t)revision_id;
    start->overrides = (Pen__SourceOverride *[]){&override};
    start->overrides_count = 1;
    int rc = execution_start_by_event(engine, pipeline, start, ret_id, err);
    start->overrides = NULL;
    start->overrides_count = 0;
    return rc;
}

/* ---- triggers */

static const char *behind(const char *text, const char *prefix)
{
    return pen_str_starts_with(text, prefix) ? text + strlen(prefix) : NULL;
}

/* Each file is judged alone; one that passes is enough. */
static bool files_accepted(const Pen__GitFilterCriteria *criteria, size_t count, char *const *files)
{
    for (size_t i = 0; i < count; i++)
        if (pen_trigger_criteria_match(criteria, files[i]))
            return true;
    return criteria == NULL;
}

static bool push_accepted(const Pen__GitPushFilter *filter, const Pen__RevisionFound *found)
{
    const char *branch = behind(found->ref_name, "refs/heads/");
    const char *tag = behind(found->ref_name, "refs/tags/");
    if (filter->tags != NULL)
        return tag != NULL && pen_trigger_criteria_match(filter->tags, tag);
    return branch != NULL && pen_trigger_criteria_match(filter->branches, branch) &&
           files_accepted(filter->file_paths, found->n_changed_files, found->changed_files);
}

bool trigger_accepts_push(const Pen__GitConfiguration *trigger, const Pen__RevisionFound *found)
{
    for (size_t i = 0; i < trigger->n_push; i++)
        if (push_accepted(trigger->push[i], found))
            return true;
    return false;
}

static const char *change_word(Pen__PullRequestChange change)
{
    switch (change) {
    case PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_OPEN:
        return "OPEN";
    case PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_UPDATED:
        return "UPDATED";
    case PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_CLOSED:
        return "CLOSED";
    default:
        return NULL;
    }
}

/* Event and destination; the files are another question. */
static bool asks_for(const Pen__GitPullRequestFilter *filter, const Pen__PullRequest *pull_request)
{
    bool of_event = filter->n_events == 0; /* all of them */
    for (size_t i = 0; i < filter->n_events; i++)
        of_event = of_event || pen_str_equal(filter->events[i], change_word(pull_request->change));
    return of_event &&
           pen_trigger_criteria_match(filter->branches, pull_request->destination_branch);
}

static bool trigger_asks_for(const Pen__GitConfiguration *trigger,
                             const Pen__PullRequest *pull_request)
{
    for (size_t i = 0; i < trigger->n_pull_request; i++)
        if (asks_for(trigger->pull_request[i], pull_request))
            return true;
    return false;
}

static bool trigger_accepts_pull_request(const Pen__GitConfiguration *trigger,
                                         const Pen__PullRequest *pull_request,
                                         const Pen__PullRequestFound *found)
{
    for (size_t i = 0; i < trigger->n_pull_request; i++)
        if (asks_for(trigger->pull_request[i], pull_request) &&
            files_accepted(trigger->pull_request[i]->file_paths, found->n_changed_files,
                           found->changed_files))
            return true;
    return false;
}

/* ---- a pull request is noticed */

static char *pull_request_name(const Pen__PullRequest *pull_request)
{
    return mem_format("refs/%s/%llu/head", pull_request->merge_request ? "merge-requests" : "pull",
                      (unsigned long long)pull_request->number);
}

static char small(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* A server names a repository with all of its path; the connection's URL may hold a part of it. The
 * servers tell names apart by more than case. */
static bool is_repository(const char *named, const char *configured)
{
    size_t size = named == NULL ? 0 : strlen(named);
    size_t end = configured == NULL ? 0 : strlen(configured);
    if (end == 0 || size < end || (size > end && named[size - end - 1] != '/'))
        return false;
    for (size_t i = 0; i < end; i++)
        if (small(named[size - end + i]) != small(configured[i]))
            return false;
    return true;
}

/* Whether the trigger's source may have to run for this. One that was seen before is followed, so
 * that it is news when it is opened again. */
static bool may_want(const struct pen_engine *engine, const struct pipeline *pipeline,
                     const Pen__GitConfiguration *trigger, const Pen__PullRequestNotified *notified)
{
    const char *stage = pipeline->current->row->declaration->stages[0]->name;
    const Pen__ActionDeclaration *source =
        find_source(pipeline, stage, trigger->source_action_name);
    const struct connection *connection =
        pen_map_get(&engine->connections, pen_key_text(notified->connection_id));
    if (source == NULL || trigger->n_pull_request == 0 ||
        !pen_str_equal(pen_action_configuration(source, "ConnectionArn"), connection->row->arn) ||
        !is_repository(notified->repository, pen_action_configuration(source, "FullRepositoryId")))
        return false;
    char *name = pull_request_name(notified->pull_request);
    bool known = seen_revision(pipeline, stage, source->name, name) != NULL;
    free(name);
    return known || trigger_asks_for(trigger, notified->pull_request);
}

static void notice(struct pen_engine *engine, struct pipeline *pipeline, const char *action,
                   const Pen__PullRequestNotified *notified, bool first)
{
    Pen__PullRequestNoticed *body = MAKE(Pen__PullRequestNoticed, pen__pull_request_noticed__init);
    body->event = MAKE(Pen__PullRequestEvent, pen__pull_request_event__init);
    SET(body->event, id, pipeline->row->last_event + 1);
    body->event->action = mem_text(action);
    body->event->pull_request = mem_copy(notified->pull_request);
    SET(body->event, noticed_ms, engine->now_ms);
    for (size_t i = 0; first && i < notified->n_deliveries; i++)
        bytes_append(&body->deliveries, &body->n_deliveries, notified->deliveries[i]);
    emit(engine, pipeline->row->name, NULL, PEN__FACT__WHAT_PULL_REQUEST_NOTICED, body);
    const Pen__PipelineRow *row = pipeline->row;
    plan_pull_request(engine, pipeline, row->pull_requests[row->n_pull_requests - 1]);
}

/* Notice it in one pipeline, or (dry) only see whether there is room for that. */
static int notice_in(struct pen_engine *engine, struct pipeline *pipeline,
                     const Pen__PullRequestNotified *notified, bool dry, bool *any,
                     struct pen_error *err)
{
    const Pen__PipelineDeclaration *declaration = pipeline->current->row->declaration;
    if (delivery_known(pipeline->row->n_deliveries, pipeline->row->deliveries,
                       notified->n_deliveries, notified->deliveries))
        return 0;
    size_t count = 0;
    for (size_t i = 0; i < declaration->n_triggers; i++) {
        const Pen__GitConfiguration *trigger = declaration->triggers[i]->git_configuration;
        if (trigger == NULL || !may_want(engine, pipeline, trigger, notified))
            continue;
        if (!dry)
            notice(engine, pipeline, trigger->source_action_name, notified, count == 0);
        count++;
        *any = true;
    }
    if (dry && pipeline->row->n_pull_requests + count > PEN_LIMIT_PULL_REQUESTS_NOTICED)
        return pen_fail_api(err, PEN_ELIMIT, "ThrottlingException",
                            "pipeline '%s' has %zu pull requests to look at: try again later",
                            pipeline->row->name, pipeline->row->n_pull_requests);
    return 0;
}

int handle_pull_request_notified(struct pen_engine *engine, const Pen__Input *input,
                                 Pen__Reply *reply, struct pen_error *err)
{
    const Pen__PullRequestNotified *notified = input->pull_request_notified;
    const Pen__PullRequest *pull_request = notified->pull_request;
    const char *id = notified->connection_id;
    if (id == NULL || pen_map_get(&engine->connections, pen_key_text(id)) == NULL)
        return pen_fail_api(err, PEN_ENOTFOUND, "ResourceNotFoundException", "no connection '%s'",
                            id == NULL ? "" : id);
    if (pull_request == NULL || pull_request->number == 0 ||
        change_word(pull_request->change) == NULL || pull_request->destination_branch == NULL)
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "a pull request has a number, a change and a destination branch");
    int rc = check_deliveries(notified->n_deliveries, notified->deliveries, err);
    bool any = false;
    for (int dry = 1; rc == 0 && dry >= 0; dry--)
        for (struct pen_map_node *node = pen_map_first(&engine->pipelines); rc == 0 && node != NULL;
             node = pen_map_next(node))
            rc = notice_in(engine, pen_map_value(node), notified, dry == 1, &any, err);
    SET(reply, new_revision, any);
    return rc;
}

void plan_pull_request(struct pen_engine *engine, const struct pipeline *self,
                       const Pen__PullRequestEvent *event)
{
    const char *stage = self->current->row->declaration->stages[0]->name;
    const Pen__ActionDeclaration *source = find_source(self, stage, event->action);
    Pen__PullRequestLook *body = MAKE(Pen__PullRequestLook, pen__pull_request_look__init);
    body->pipeline = mem_text(self->row->name);
    if (source != NULL) { /* else sources answers that there is no such connection */
        body->connection_arn = mem_text(pen_action_configuration(source, "ConnectionArn"));
        body->repository_id = mem_text(pen_action_configuration(source, "FullRepositoryId"));
    }
    body->event = mem_copy(event);
    effect(engine, PEN__EFFECT__WHAT_PULL_REQUEST_LOOK, body);
}

/* ---- and found */

static const Pen__PullRequestEvent *find_event(const struct pipeline *pipeline, uint64_t id)
{
    for (size_t i = 0; i < pipeline->row->n_pull_requests; i++)
        if (pipeline->row->pull_requests[i]->id == id)
            return pipeline->row->pull_requests[i];
    return NULL;
}

static int start_for(struct pen_engine *engine, struct pipeline *pipeline,
                     const Pen__ActionDeclaration *source, const Pen__PullRequest *pull_request,
                     const Pen__PullRequestFound *found, Pen__Reply *reply, struct pen_error *err)
{
    char *name = pull_request_name(pull_request);
    char *detail =
        mem_format("penstock:hook:%s:%s:%s", pen_action_configuration(source, "FullRepositoryId"),
                   name, change_word(pull_request->change));
    Pen__ExecutionOrigin origin = PEN__EXECUTION_ORIGIN__INIT;
    origin.action = source->name;
    origin.pull_request = (Pen__PullRequest *)(uintptr_t)pull_request;
    struct start start = {.trigger_type = PEN__TRIGGER_TYPE__TRIGGER_WEBHOOK_V2,
                          .trigger_detail = detail,
                          .origin = &origin};
    char id[PEN_UUID_TEXT_SIZE];
    int rc =
        start_with_revision(engine, pipeline, source->name, found->revision_id, &start, id, err);
    free(name);
    free(detail);
    if (rc < 0)
        return rc; /* seen, but lost: as with a push */
    SET(reply, new_revision, 1);
    reply->execution_id = mem_text(id);
    return 0;
}

int handle_pull_request_found(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                              struct pen_error *err)
{
    const Pen__PullRequestFound *found = input->pull_request_found;
    struct pipeline *pipeline = find_pipeline(engine, found->pipeline);
    const Pen__PullRequestEvent *event =
        pipeline == NULL ? NULL : find_event(pipeline, found->event);
    SET(reply, new_revision, 0);
    if (event == NULL)
        return 0; /* told twice, or the pipeline is gone */
    const char *stage = pipeline->current->row->declaration->stages[0]->name;
    const Pen__ActionDeclaration *source = find_source(pipeline, stage, event->action);
    const Pen__GitConfiguration *trigger = trigger_of(pipeline, event->action);
    Pen__PullRequest *pull_request = mem_copy(event->pull_request);
    char *name = pull_request_name(pull_request);
    bool closed = pull_request->change == PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_CLOSED;
    char *state = pen_str_empty(found->revision_id)
                      ? NULL
                      : mem_format("%s %s", closed ? "CLOSED" : "OPEN", found->revision_id);
    const char *before = seen_revision(pipeline, stage, event->action, name);
    bool news = state != NULL && source != NULL && !pen_str_equal(before, state);
    bool accepted =
        news && trigger != NULL && trigger_accepts_pull_request(trigger, pull_request, found);
    Pen__RevisionSeen *body =
        seen_new(stage, event->action, name, accepted || (news && before != NULL) ? state : NULL);
    SET(body, event, event->id);
    emit(engine, pipeline->row->name, NULL, PEN__FACT__WHAT_REVISION_SEEN, body);
    int rc = accepted ? start_for(engine, pipeline, source, pull_request, found, reply, err) : 0;
    mem_free_message(pull_request);
    free(name);
    free(state);
    return rc;
}

/* ---- PutActionRevision */

const char put_revision_name[] = "PutActionRevision";

static int check_revision(const struct pipeline *pipeline, const Pen__PutActionRevision *request,
                          const Pen__ActionDeclaration **ret_source, struct pen_error *err)
{
    uint32_t place = 0;
    int rc = named_stage(pipeline, request->stage, &place, err);
    if (rc < 0)
        return rc;
    const Pen__StageDeclaration *stage = pipeline->current->row->declaration->stages[place];
    int index = action_index(stage, request->action);
    if (index < 0)
        return pen_fail_api(err, PEN_ENOTFOUND, "ActionNotFoundException",
                            "Stage '%s' of pipeline '%s' has no action '%s'", request->stage,
                            pipeline->row->name, request->action);
    const Pen__ActionDeclaration *source = stage->actions[index];
    if (!pen_str_equal(source->action_type_id->category, "Source"))
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "Action '%s' is no source action: it takes no revision",
                            request->action);
    bool custom = pen_str_equal(source->action_type_id->owner, "Custom");
    if (!custom && (strlen(request->revision_id) != 40 ||
                    strspn(request->revision_id, "0123456789abcdef") != 40))
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "actionRevision.revisionId: source action '%s' takes the full id of a "
                            "commit, 40 hexadecimal digits in lower case",
                            request->action);
    *ret_source = source;
    return 0;
}

int handle_put_action_revision(struct pen_engine *engine, const Pen__Input *input,
                               Pen__Reply *reply, struct pen_error *err)
{
    const Pen__PutActionRevision *request = input->put_action_revision;
    struct pipeline *pipeline = NULL;
    int rc = named_pipeline(engine, request->pipeline, &pipeline, err);
    if (rc < 0)
        return rc;
    if (pen_str_empty(request->stage) || pen_str_empty(request->action) ||
        pen_str_empty(request->revision_id))
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "a revision is of a stage's action, and has an id");
    const Pen__ActionDeclaration *source = NULL;
    rc = check_revision(pipeline, request, &source, err);
    if (rc < 0)
        return rc;
    SET(reply, new_revision, 0);
    const Pen__SeenRevision *put =
        find_seen(pipeline, request->stage, request->action, put_revision_name);
    bool was_put = !PLANTED(REVISION_FORGOTTEN) && put != NULL &&
                   pen_str_equal(put->revision_id, request->revision_id);
    if (was_put || pen_str_equal(seen_revision(pipeline, request->stage, request->action, NULL),
                                 request->revision_id)) {
        reply->execution_id = was_put ? mem_text(put->execution_id) : NULL;
        return 0;
    }
    struct start start = {.trigger_type = PEN__TRIGGER_TYPE__TRIGGER_PUT_ACTION_REVISION,
                          .trigger_detail = input->principal};
    char id[PEN_UUID_TEXT_SIZE];
    rc = start_with_revision(engine, pipeline, request->action, request->revision_id, &start, id,
                             err);
    if (rc < 0)
        return rc; /* not seen: it may be put again */
    Pen__RevisionSeen *body =
        seen_new(request->stage, request->action, put_revision_name, request->revision_id);
    body->change_id = mem_text(request->revision_change_id);
    body->execution_id = mem_text(id);
    emit(engine, pipeline->row->name, NULL, PEN__FACT__WHAT_REVISION_SEEN, body);
    SET(reply, new_revision, 1);
    reply->execution_id = mem_text(id);
    return 0;
}
