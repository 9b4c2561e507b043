#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/wire/wire.h"
#include "controller/post/post.h"
#include "controller/sources/state.h"
#include "controller/zones/zones.h"

static void destroy_input(void *body)
{
    Pen__Input *input = body;
    pen_message_destroy(&input);
}

/* Queue the input; it is taken only on success. */
static int queue(struct pen_sources_state *self, Pen__Input **input, struct pen_error *err)
{
    struct pen_outgoing *outgoing = calloc(1, sizeof *outgoing);
    if (!outgoing)
        return pen_fail(err, PEN_ENOMEM, "no memory for a report to the core");
    outgoing->post = (struct pen_post){.kind = PEN_POST_INPUT,
                                       .number = PEN_THREAD_SOURCES,
                                       .body = TAKE_PTR(*input),
                                       .destroy = destroy_input};
    *self->outgoing_end = outgoing;
    self->outgoing_end = &outgoing->next;
    return 0;
}

int pen_report_flush(struct pen_sources_state *self, struct pen_error *err)
{
    while (self->outgoing) {
        struct pen_outgoing *first = self->outgoing;
        int rc = pen_inbox_post(self->core, &first->post, err);
        if (rc == PEN_ELIMIT)
            return 0; /* the next turn tries again */
        if (rc < 0)
            return rc;
        self->outgoing = first->next;
        if (!self->outgoing)
            self->outgoing_end = &self->outgoing;
        free(first);
    }
    return 0;
}

static const struct {
    const char *word;
    Pen__TriggerType type; /* without triggers */
} kinds[] = {
    [PEN_NEWS_POLL] = {"poll", PEN__TRIGGER_TYPE__TRIGGER_POLL_FOR_SOURCE_CHANGES},
    [PEN_NEWS_PUSH] = {"push", PEN__TRIGGER_TYPE__TRIGGER_CLOUD_WATCH_EVENT},
    [PEN_NEWS_HOOK] = {"hook", PEN__TRIGGER_TYPE__TRIGGER_WEBHOOK_V2},
};

/* Fill in the place and the detail, and queue a copy. `more` ends the detail. */
static int report_found(struct pen_sources_state *self, const Pen__SourceWatch *watch,
                        Pen__RevisionFound *found, enum pen_news news, const char *more,
                        struct pen_error *err)
{
    const char *repository = "";
    for (size_t i = 0; i < watch->n_configuration; i++)
        if (pen_str_equal(watch->configuration[i]->key, "RepositoryName") ||
            pen_str_equal(watch->configuration[i]->key, "FullRepositoryId"))
            repository = watch->configuration[i]->value;
    PEN_CLEANUP(pen_free)
    char *detail = pen_strdup_printf("penstock:%s:%s%s", kinds[news].word, repository, more);
    found->pipeline = watch->pipeline;
    found->stage = watch->stage;
    found->action = watch->action;
    found->has_watch = 1;
    found->watch = watch->watch;
    found->has_trigger_type = 1;
    found->trigger_detail = detail;
    Pen__Input input = PEN__INPUT__INIT;
    input.what_case = PEN__INPUT__WHAT_REVISION_FOUND;
    input.revision_found = found;
    PEN_CLEANUP(pen_message_destroy) Pen__Input *copy = NULL;
    int rc = pen_wire_copy(&input, (ProtobufCMessage **)&copy, err);
    return rc < 0 ? rc : queue(self, &copy, err);
}

int pen_report_revision(struct pen_sources_state *self, const Pen__SourceWatch *watch,
                        const char *revision_id, enum pen_news news, struct pen_error *err)
{
    Pen__RevisionFound found = PEN__REVISION_FOUND__INIT;
    found.revision_id = (char *)(uintptr_t)revision_id;
    found.trigger_type = kinds[news].type;
    return report_found(self, watch, &found, news, "", err);
}

int pen_report_ref(struct pen_sources_state *self, const Pen__SourceWatch *watch,
                   const struct pen_git_ref *ref, const struct pen_git_files *files,
                   enum pen_news news, struct pen_error *err)
{
    PEN_CLEANUP(pen_free) char *more = pen_strdup_printf(":%s", ref->name);
    if (!more)
        return pen_fail(err, PEN_ENOMEM, "no memory for a report to the core");
    Pen__RevisionFound found = PEN__REVISION_FOUND__INIT;
    found.revision_id = (char *)(uintptr_t)ref->id;
    found.ref_name = ref->name;
    found.trigger_type = PEN__TRIGGER_TYPE__TRIGGER_WEBHOOK_V2;
    found.n_changed_files = files->count;
    found.changed_files = (char **)(uintptr_t)files->names;
    return report_found(self, watch, &found, news, more, err);
}

int pen_report_gone(struct pen_sources_state *self, const Pen__SourceWatch *watch, const char *ref,
                    struct pen_error *err)
{
    Pen__RevisionFound found = PEN__REVISION_FOUND__INIT;
    found.ref_name = (char *)(uintptr_t)ref;
    found.has_deleted = found.deleted = 1;
    found.trigger_type = kinds[PEN_NEWS_POLL].type;
    return report_found(self, watch, &found, PEN_NEWS_POLL, "", err);
}

int pen_report_looked(struct pen_sources_state *self, const char *pipeline, const char *action,
                      const Pen__SourceWatch *watch, const char *trouble,
                      const struct pen_git_refs *branches, struct pen_error *err)
{
    static const char prefix[] = "refs/heads/";
    char *names[PEN_LIMIT_BRANCHES_TOLD];
    Pen__SourceLooked looked = PEN__SOURCE_LOOKED__INIT;
    looked.pipeline = (char *)(uintptr_t)pipeline;
    looked.action = (char *)(uintptr_t)action;
    looked.has_watch = watch != NULL;
    looked.watch = watch ? watch->watch : 0;
    looked.trouble = (char *)(uintptr_t)trouble;
    looked.branches = names;
    looked.has_branches_more = 1;
    for (size_t i = 0; branches && i < branches->count; i++) {
        if (!pen_str_starts_with(branches->refs[i].name, prefix))
            continue;
        if (looked.n_branches == PEN_LIMIT_BRANCHES_TOLD)
            looked.branches_more++;
        else
            names[looked.n_branches++] = branches->refs[i].name + strlen(prefix);
    }
    Pen__Input input = PEN__INPUT__INIT;
    input.what_case = PEN__INPUT__WHAT_SOURCE_LOOKED;
    input.source_looked = &looked;
    PEN_CLEANUP(pen_message_destroy) Pen__Input *copy = NULL;
    int rc = pen_wire_copy(&input, (ProtobufCMessage **)&copy, err);
    return rc < 0 ? rc : queue(self, &copy, err);
}

/* Queue refs[from] to refs[to - 1]. */
static int report_part(struct pen_sources_state *self, const Pen__SourceWatch *watch,
                       const struct pen_git_refs *refs, size_t from, size_t to,
                       struct pen_error *err)
{
    Pen__SeenRef parts[PEN_LIMIT_REFS_TOLD];
    Pen__SeenRef *list[PEN_LIMIT_REFS_TOLD];
    Pen__RefsLooked looked = PEN__REFS_LOOKED__INIT;
    for (size_t i = from; i < to; i++) {
        pen__seen_ref__init(&parts[i - from]);
        parts[i - from].name = refs->refs[i].name;
        parts[i - from].revision_id = refs->refs[i].id;
        list[i - from] = &parts[i - from];
    }
    looked.pipeline = watch->pipeline;
    looked.stage = watch->stage;
    looked.action = watch->action;
    looked.has_watch = looked.has_begins = looked.has_complete = 1;
    looked.watch = watch->watch;
    looked.begins = from == 0;
    looked.complete = to == refs->count;
    looked.n_refs = to - from;
    looked.refs = list;
    Pen__Input input = PEN__INPUT__INIT;
    input.what_case = PEN__INPUT__WHAT_REFS_LOOKED;
    input.refs_looked = &looked;
    PEN_CLEANUP(pen_message_destroy) Pen__Input *copy = NULL;
    int rc = pen_wire_copy(&input, (ProtobufCMessage **)&copy, err);
    return rc < 0 ? rc : queue(self, &copy, err);
}

int pen_report_refs(struct pen_sources_state *self, const Pen__SourceWatch *watch,
                    const struct pen_git_refs *refs, struct pen_error *err)
{
    int rc = 0;
    size_t from = 0;
    do {
        size_t left = refs->count - from;
        size_t to = from + (left < PEN_LIMIT_REFS_TOLD ? left : PEN_LIMIT_REFS_TOLD);
        rc = report_part(self, watch, refs, from, to, err);
        from = to;
    } while (rc == 0 && from < refs->count);
    return rc;
}

int pen_report_pull_request(struct pen_sources_state *self, const Pen__PullRequestLook *order,
                            const char *head, const struct pen_git_files *files,
                            struct pen_error *err)
{
    Pen__PullRequestFound found = PEN__PULL_REQUEST_FOUND__INIT;
    found.pipeline = order->pipeline;
    found.has_event = 1;
    found.event = order->event->id;
    found.revision_id = (char *)(uintptr_t)head;
    found.n_changed_files = files->count;
    found.changed_files = (char **)(uintptr_t)files->names;
    Pen__Input input = PEN__INPUT__INIT;
    input.what_case = PEN__INPUT__WHAT_PULL_REQUEST_FOUND;
    input.pull_request_found = &found;
    PEN_CLEANUP(pen_message_destroy) Pen__Input *copy = NULL;
    int rc = pen_wire_copy(&input, (ProtobufCMessage **)&copy, err);
    return rc < 0 ? rc : queue(self, &copy, err);
}

int pen_report_done(struct pen_sources_state *self, const char *action_execution_id,
                    Pen__SourceDone *done, struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__Input *input = malloc(sizeof *input);
    if (!input)
        return pen_fail(err, PEN_ENOMEM, "no memory for a report to the core");
    pen__input__init(input);
    if (!pen_str_set(&done->action_execution_id, action_execution_id))
        return pen_fail(err, PEN_ENOMEM, "no memory for a report to the core");
    Pen__SourceDone *taken = malloc(sizeof *taken);
    if (!taken)
        return pen_fail(err, PEN_ENOMEM, "no memory for a report to the core");
    *taken = *done;
    pen__source_done__init(done);
    input->what_case = PEN__INPUT__WHAT_SOURCE_DONE;
    input->source_done = taken;
    return queue(self, &input, err);
}

int pen_report_failed(struct pen_sources_state *self, const char *action_execution_id,
                      const char *error_code, const char *sentence, struct pen_error *err)
{
    Pen__SourceDone done = PEN__SOURCE_DONE__INIT;
    done.has_ok = 1;
    done.error_code = strdup(error_code);
    done.error_message = strdup(sentence);
    int rc = 0;
    if (!done.error_code || !done.error_message)
        rc = pen_fail(err, PEN_ENOMEM, "no memory for a report to the core");
    if (rc == 0)
        rc = pen_report_done(self, action_execution_id, &done, err);
    free(done.action_execution_id);
    free(done.error_code);
    free(done.error_message);
    return rc;
}

int pen_report_repository(struct pen_sources_state *self, const Pen__RepositoryMake *order,
                          const char *reason, struct pen_error *err)
{
    Pen__RepositoryMade made = PEN__REPOSITORY_MADE__INIT;
    made.name = order->name;
    made.has_correlation = 1;
    made.correlation = order->correlation;
    made.error_message = (char *)(uintptr_t)reason;
    Pen__Input input = PEN__INPUT__INIT;
    input.what_case = PEN__INPUT__WHAT_REPOSITORY_MADE;
    input.repository_made = &made;
    PEN_CLEANUP(pen_message_destroy) Pen__Input *copy = NULL;
    int rc = pen_wire_copy(&input, (ProtobufCMessage **)&copy, err);
    return rc < 0 ? rc : queue(self, &copy, err);
}

/* Queue the changes of a zone, or the reason why there are none. `answer` is borrowed from. */
static int report_changes(struct pen_sources_state *self, Pen__ZoneLoaded *answer,
                          const struct pen_zone_changes *zone, struct pen_error *err)
{
    PEN_CLEANUP(pen_free) Pen__ZoneChange *changes = calloc(zone->count + 1, sizeof *changes);
    PEN_CLEANUP(pen_free) Pen__ZoneChange **list = calloc(zone->count + 1, sizeof(void *));
    if (!changes || !list)
        return pen_fail(err, PEN_ENOMEM, "no memory for a time zone");
    for (size_t i = 0; i < zone->count; i++) {
        pen__zone_change__init(&changes[i]);
        changes[i].has_from_ms = 1;
        changes[i].from_ms = zone->changes[i].from_ms;
        changes[i].has_offset_s = 1;
        changes[i].offset_s = zone->changes[i].offset_s;
        list[i] = &changes[i];
    }
    answer->n_changes = zone->count;
    answer->changes = list;
    Pen__Input input = PEN__INPUT__INIT;
    input.what_case = PEN__INPUT__WHAT_ZONE_LOADED;
    input.zone_loaded = answer;
    PEN_CLEANUP(pen_message_destroy) Pen__Input *copy = NULL;
    int rc = pen_wire_copy(&input, (ProtobufCMessage **)&copy, err);
    return rc < 0 ? rc : queue(self, &copy, err);
}

int pen_report_zone(struct pen_sources_state *self, const Pen__ZoneWanted *wanted,
                    struct pen_error *err)
{
    PEN_CLEANUP(pen_free) struct pen_zone_changes *zone = calloc(1, sizeof *zone);
    if (!zone)
        return pen_fail(err, PEN_ENOMEM, "no memory for a time zone");
    struct pen_error why = {0};
    Pen__ZoneLoaded answer = PEN__ZONE_LOADED__INIT;
    answer.execution_id = wanted->execution_id;
    answer.stage = wanted->stage;
    answer.rule_execution_id = wanted->rule_execution_id;
    answer.has_from_ms = wanted->has_from_ms;
    answer.from_ms = wanted->from_ms;
    if (pen_zones_load(wanted->zone, wanted->from_ms, zone, &why) < 0) {
        zone->count = 0;
        answer.error_message = why.message;
    }
    return report_changes(self, &answer, zone, err);
}

int pen_report_swept(struct pen_sources_state *self, Pen__MirrorsSwept *swept,
                     struct pen_error *err)
{
    Pen__Input input = PEN__INPUT__INIT;
    input.what_case = PEN__INPUT__WHAT_MIRRORS_SWEPT;
    input.mirrors_swept = swept;
    PEN_CLEANUP(pen_message_destroy) Pen__Input *copy = NULL;
    int rc = pen_wire_copy(&input, (ProtobufCMessage **)&copy, err);
    return rc < 0 ? rc : queue(self, &copy, err);
}

const char *pen_configuration_get(Pen__SourceRun__ConfigurationEntry *const *entries, size_t count,
                                  const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (pen_str_equal(entries[i]->key, key))
            return entries[i]->value;
    return NULL;
}
