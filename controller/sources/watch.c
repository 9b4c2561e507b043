#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/file.h"
#include "common/log/log.h"
#include "common/wire/wire.h"
#include "controller/sources/state.h"

static const char *setting(const Pen__SourceWatch *order, const char *key)
{
    for (size_t i = 0; i < order->n_configuration; i++)
        if (pen_str_equal(order->configuration[i]->key, key))
            return order->configuration[i]->value;
    return NULL;
}

static bool is_hosted(const struct pen_watch *watch)
{
    return pen_str_equal(watch->order->provider, "CodeCommit");
}

void pen_watch_destroy(struct pen_watch **watch_p)
{
    struct pen_watch *self = TAKE_PTR(*watch_p);
    if (!self)
        return;
    pen_message_destroy(&self->order);
    free(self->known_id);
    free(self->problem);
    pen_git_refs_release(&self->refs);
    free(self);
}

int pen_watch_note(struct pen_sources_state *self, struct pen_watch *watch, const char *problem,
                   const struct pen_git_refs *branches, struct pen_error *err)
{
    const Pen__SourceWatch *order = watch->order;
    if (!problem && !watch->problem)
        return 0;
    bool same = pen_str_equal(watch->problem, problem);
    if (problem && !same)
        pen_log(PEN_LOG_WARNING, "source cannot be watched",
                "pipeline=%s stage=%s action=%s reason=%s", order->pipeline, order->stage,
                order->action, problem);
    else if (!problem)
        pen_log(PEN_LOG_INFO, "source is watched again", "pipeline=%s stage=%s action=%s",
                order->pipeline, order->stage, order->action);
    if (same && !branches)
        return 0;
    (void)pen_str_set(&watch->problem, problem); /* without memory: told once more, no harm */
    return pen_report_looked(self, order->pipeline, order->action, order, problem, branches, err);
}

/* The branch is not in the repository: say which are. */
static int note_missing(struct pen_sources_state *self, struct pen_watch *watch, const char *path,
                        const char *branch, struct pen_error *err)
{
    PEN_CLEANUP(pen_git_refs_release) struct pen_git_refs there = {0};
    const char *name =
        setting(watch->order, is_hosted(watch) ? "RepositoryName" : "FullRepositoryId");
    PEN_CLEANUP(pen_free) char *text = NULL;
    if (pen_git_refs_read(path, &there, NULL) == 0 && there.count == 0)
        text = pen_strdup_printf("repository '%s' is empty: nothing was pushed to it",
                                 name ? name : "");
    else
        text = pen_strdup_printf("repository '%s' has no branch '%s'", name ? name : "", branch);
    if (!text)
        return pen_fail(err, PEN_ENOMEM, "no memory for a report to the core");
    return pen_watch_note(self, watch, text, &there, err);
}

/* When it comes back, that is news, even at the commit that it had. */
static int branch_gone(struct pen_sources_state *self, struct pen_watch *watch,
                       struct pen_error *err)
{
    if (!watch->known_id)
        return 0; /* none yet */
    free(TAKE_PTR(watch->known_id));
    return pen_report_gone(self, watch->order, NULL, err);
}

/* Compare the branch with what is known. A watch that began without a revision takes the head as it
 * is: creating a pipeline starts it by itself. A push is news in any case. */
static int check(struct pen_sources_state *self, struct pen_watch *watch, const char *path,
                 enum pen_news news, struct pen_error *err)
{
    char id[PEN_GIT_ID_SIZE];
    struct pen_error reason = {0};
    const char *branch = setting(watch->order, "BranchName");
    int rc = pen_git_head(path, branch ? branch : "", id, &reason);
    bool missing = rc == PEN_ENOTFOUND && pen_file_exists(path);
    if (rc < 0 && !missing)
        return pen_watch_note(self, watch, reason.message, NULL, err);
    int noted = missing ? note_missing(self, watch, path, branch ? branch : "", err)
                        : pen_watch_note(self, watch, NULL, NULL, err);
    if (noted < 0)
        return noted;
    bool report = watch->settled || news != PEN_NEWS_POLL;
    watch->settled = true;
    if (rc < 0)
        return branch_gone(self, watch, err);
    if (pen_str_equal(watch->known_id, id))
        return 0;
    if (report && (rc = pen_report_revision(self, watch->order, id, news, err)) < 0)
        return rc;
    return pen_str_set(&watch->known_id, id) ? 0 : pen_fail(err, PEN_ENOMEM, "no memory for an id");
}

static int check_hosted(struct pen_sources_state *self, struct pen_watch *watch, enum pen_news news,
                        struct pen_error *err)
{
    const char *name = setting(watch->order, "RepositoryName");
    PEN_CLEANUP(pen_free) char *path = pen_hosted_path(self, name);
    if (!path) {
        return pen_watch_note(self, watch, "the name cannot be that of a repository", NULL, err);
    }
    return check(self, watch, path, news, err);
}

int pen_watch_mirror_of(struct pen_sources_state *self, const struct pen_watch *watch,
                        struct pen_mirror **ret_mirror, struct pen_error *err)
{
    return pen_mirror_find(self, setting(watch->order, "ConnectionArn"),
                           setting(watch->order, "FullRepositoryId"), ret_mirror, err);
}

/* Ask for news: a hosted repository answers now, one behind a connection when it is fetched. */
static int ask(struct pen_sources_state *self, struct pen_watch *watch, struct pen_error *err)
{
    if (is_hosted(watch))
        return check_hosted(self, watch, PEN_NEWS_POLL, err);
    struct pen_mirror *mirror = NULL;
    struct pen_error reason = {0};
    int rc = pen_watch_mirror_of(self, watch, &mirror, &reason);
    if (rc == PEN_ENOMEM)
        return pen_fail(err, rc, "%s", reason.message);
    if (rc < 0)
        return pen_watch_note(self, watch, reason.message, NULL, err);
    (void)pen_mirror_want(mirror);
    return 0;
}

static bool same_place(const struct pen_watch *watch, const char *pipeline, const char *stage,
                       const char *action)
{
    return pen_str_equal(watch->order->pipeline, pipeline) &&
           pen_str_equal(watch->order->stage, stage) && pen_str_equal(watch->order->action, action);
}

/* Watches begin with a push that nobody watched for when it came, and with what was missed while no
 * controller ran. */
static int begin(struct pen_sources_state *self, struct pen_watch *watch, struct pen_error *err)
{
    if (!is_hosted(watch))
        return watch->order->poll ? ask(self, watch, err) : 0;
    const char *name = setting(watch->order, "RepositoryName");
    bool pushed = name && pen_git_repository_name_valid(name) && pen_hosted_take_push(self, name);
    if (pushed)
        return pen_watch_pushed(self, name, err);
    return check_hosted(self, watch, watch->settled ? PEN_NEWS_PUSH : PEN_NEWS_POLL, err);
}

int pen_watch_add(struct pen_sources_state *self, Pen__SourceWatch *order, struct pen_error *err)
{
    PEN_CLEANUP(pen_watch_destroy) struct pen_watch *watch = calloc(1, sizeof *watch);
    if (!watch) {
        pen_message_destroy(&order);
        return pen_fail(err, PEN_ENOMEM, "no memory to watch a source");
    }
    watch->order = order;
    watch->settled = !pen_str_empty(order->seen_revision_id) || order->branch_gone;
    if (!order->branch_gone && watch->settled &&
        !pen_str_set(&watch->known_id, order->seen_revision_id))
        return pen_fail(err, PEN_ENOMEM, "no memory to watch a source");
    int rc = pen_watch_refs_begin(self, watch, err);
    if (rc < 0)
        return rc;
    (void)pen_str_set(&watch->problem, order->trouble); /* so that its end is told */
    for (struct pen_watch **at = &self->watches; *at; at = &(*at)->next) {
        struct pen_watch *old = *at;
        if (!same_place(old, order->pipeline, order->stage, order->action))
            continue;
        *at = old->next;
        watch->poked = old->poked; /* what a hook has asked for is still to come */
        pen_watch_destroy(&old);
        break;
    }
    struct pen_watch *added = TAKE_PTR(watch);
    added->next = self->watches;
    self->watches = added;
    return begin(self, added, err);
}

void pen_watch_drop(struct pen_sources_state *self, const char *pipeline)
{
    for (struct pen_watch **at = &self->watches; *at;) {
        struct pen_watch *watch = *at;
        if (!pen_str_equal(watch->order->pipeline, pipeline)) {
            at = &watch->next;
            continue;
        }
        *at = watch->next;
        pen_watch_destroy(&watch);
    }
}

int pen_watch_pushed(struct pen_sources_state *self, const char *name, struct pen_error *err)
{
    int rc = 0;
    bool taken = false;
    for (struct pen_watch *at = self->watches; rc == 0 && at; at = at->next) {
        if (!is_hosted(at) || !pen_str_equal(setting(at->order, "RepositoryName"), name))
            continue;
        /* Before the branch is read: a push after this announces itself again. */
        if (!taken)
            (void)pen_hosted_take_push(self, name);
        taken = true;
        rc = check_hosted(self, at, PEN_NEWS_PUSH, err);
    }
    return rc;
}

int pen_watch_poke(struct pen_sources_state *self, const char *connection_id, struct pen_error *err)
{
    const struct pen_connection *connection = pen_connection_find(self, connection_id);
    for (struct pen_watch *at = self->watches; connection && at; at = at->next) {
        struct pen_mirror *mirror = NULL;
        struct pen_error reason = {0};
        if (is_hosted(at) ||
            !pen_str_equal(setting(at->order, "ConnectionArn"), connection->row->arn))
            continue;
        int rc = pen_watch_mirror_of(self, at, &mirror, &reason);
        if (rc == PEN_ENOMEM)
            return pen_fail(err, rc, "%s", reason.message);
        if (rc == 0)
            at->poked = pen_mirror_want(mirror);
        else if ((rc = pen_watch_note(self, at, reason.message, NULL, err)) < 0)
            return rc;
    }
    return 0;
}

int pen_watch_poll(struct pen_sources_state *self, struct pen_error *err)
{
    int rc = 0;
    for (struct pen_watch *at = self->watches; rc == 0 && at; at = at->next)
        if (at->order->poll)
            rc = ask(self, at, err);
    return rc;
}

int pen_watch_mirror(struct pen_sources_state *self, const struct pen_mirror *mirror,
                     const char *why, struct pen_error *err)
{
    int rc = 0;
    for (struct pen_watch *at = self->watches; rc == 0 && at; at = at->next) {
        struct pen_mirror *its = NULL;
        if (is_hosted(at) || (!at->order->poll && at->poked == 0) ||
            pen_watch_mirror_of(self, at, &its, NULL) < 0 || its != mirror)
            continue;
        enum pen_news news = at->poked > 0 ? PEN_NEWS_HOOK : PEN_NEWS_POLL;
        if (mirror->started >= at->poked)
            at->poked = 0;
        if (why)
            rc = pen_watch_note(self, at, why, NULL, err);
        else if (at->order->all_refs)
            rc = pen_watch_check_refs(self, at, mirror->path, news, err);
        else
            rc = check(self, at, mirror->path, news, err);
    }
    return rc;
}

int pen_watch_connection(struct pen_sources_state *self, const Pen__ConnectionRow *row,
                         struct pen_error *err)
{
    int rc = 0;
    for (struct pen_watch *at = self->watches; rc == 0 && at; at = at->next)
        if (!is_hosted(at) && at->order->poll &&
            pen_str_equal(setting(at->order, "ConnectionArn"), row->arn))
            rc = ask(self, at, err);
    return rc;
}

void pen_watch_learn(struct pen_sources_state *self, const Pen__SourceRun *run, const char *id)
{
    for (struct pen_watch *at = self->watches; at; at = at->next) {
        if (!same_place(at, run->pipeline, run->stage, run->action))
            continue;
        (void)pen_str_set(&at->known_id, id); /* without memory: reported once more, no harm */
        at->settled = true;
    }
}
