/* Pull requests: their heads are fetched when a hook has told of them, and compared with where they
 * want to go. Nothing but numbers and branch names comes from the hook; and the head that it tells,
 * which says no more than that git does not show it yet: then there is another look soon. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/log/log.h"
#include "common/wire/wire.h"
#include "controller/sources/state.h"

void pen_look_destroy(struct pen_look **look_p)
{
    struct pen_look *self = TAKE_PTR(*look_p);
    if (!self)
        return;
    pen_message_destroy(&self->order);
    free(self);
}

int pen_look_add(struct pen_sources_state *self, Pen__PullRequestLook *order, struct pen_error *err)
{
    struct pen_look **end = &self->looks;
    for (; *end; end = &(*end)->next) {
        if (!pen_str_equal((*end)->order->pipeline, order->pipeline) ||
            (*end)->order->event->id != order->event->id)
            continue;
        pen_message_destroy(&order); /* the core repeats itself */
        return 0;
    }
    struct pen_look *look = calloc(1, sizeof *look);
    if (!look) {
        pen_message_destroy(&order);
        return pen_fail(err, PEN_ENOMEM, "no memory for a pull request");
    }
    look->order = order;
    *end = look;
    return 0;
}

static void look_remove(struct pen_sources_state *self, struct pen_look *look)
{
    struct pen_look **at = &self->looks;
    while (*at != look)
        at = &(*at)->next;
    *at = look->next;
    pen_look_destroy(&look);
}

void pen_looks_drop(struct pen_sources_state *self, const char *pipeline)
{
    for (struct pen_look *at = self->looks, *next; at; at = next) {
        next = at->next;
        if (pen_str_equal(at->order->pipeline, pipeline))
            look_remove(self, at);
    }
}

static int mirror_of(struct pen_sources_state *self, const struct pen_look *look,
                     struct pen_mirror **ret_mirror, struct pen_error *err)
{
    return pen_mirror_find(self, look->order->connection_arn, look->order->repository_id,
                           ret_mirror, err);
}

/* ---- refspecs */

static char *ref_of(const Pen__PullRequest *pull_request, const char *space, const char *end)
{
    return pen_strdup_printf("refs/%s%s/%" PRIu64 "/%s", space,
                             pull_request->merge_request ? "merge-requests" : "pull",
                             pull_request->number, end);
}

/* A pattern, although it means one ref: a pattern that nothing matches is no failure of the fetch,
 * and takes away what is there from before. */
bool pen_refspecs_add(struct pen_refspecs *self, const Pen__PullRequest *pull_request)
{
    if (self->count == PEN_FETCH_REFSPECS_MAX)
        return false;
    PEN_CLEANUP(pen_free) char *from = ref_of(pull_request, "", "hea*");
    PEN_CLEANUP(pen_free) char *to = ref_of(pull_request, "penstock/", "hea*");
    PEN_CLEANUP(pen_free) char *text = from && to ? pen_strdup_printf("+%s:%s", from, to) : NULL;
    for (size_t i = 0; text && i < self->count; i++)
        if (strcmp(self->texts[i], text) == 0)
            return true;
    if (!text)
        return false;
    self->texts[self->count++] = TAKE_PTR(text);
    return true;
}

void pen_refspecs_release(struct pen_refspecs *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->texts[i]);
    self->count = 0;
}

/* ---- asked for, fetched, reported */

enum {
    LOOK_TRIES_MAX =
        6, /* together a minute: a server that takes longer tells again, or never will */
    LOOK_PAUSE_MS = 1000, /* after the first; each one is twice as long */
};

static bool is_due(const struct pen_look *look, int64_t now_ms)
{
    return look->fetch == 0 && now_ms >= look->again_ms;
}

int64_t pen_looks_deadline_ms(const struct pen_sources_state *self)
{
    int64_t deadline_ms = INT64_MAX;
    for (const struct pen_look *at = self->looks; at; at = at->next)
        if (at->fetch == 0 && at->tries > 0 && at->again_ms < deadline_ms)
            deadline_ms = at->again_ms;
    return deadline_ms;
}

int pen_looks_ask(struct pen_sources_state *self, struct pen_error *err)
{
    static const struct pen_git_files none = {.count = 0};
    int64_t now_ms = pen_clock_monotonic_ms();
    int rc = 0;
    for (struct pen_look *at = self->looks, *next; rc == 0 && at; at = next) {
        next = at->next;
        struct pen_mirror *mirror = NULL;
        struct pen_error reason = {0};
        if (!is_due(at, now_ms))
            continue;
        rc = mirror_of(self, at, &mirror, &reason);
        if (rc == PEN_ENOMEM)
            return pen_fail(err, rc, "%s", reason.message);
        if (rc == 0) {
            (void)pen_mirror_want(mirror);
            continue;
        }
        pen_log(PEN_LOG_WARNING, "a pull request cannot be looked at", "pipeline=%s reason=%s",
                at->order->pipeline, reason.message);
        rc = pen_report_pull_request(self, at->order, NULL, &none, err);
        look_remove(self, at);
    }
    return rc;
}

void pen_looks_join(struct pen_sources_state *self, struct pen_mirror *mirror,
                    struct pen_refspecs *refspecs)
{
    for (struct pen_look *at = self->looks; at; at = at->next) {
        struct pen_mirror *its = NULL;
        if (at->fetch == 0 && mirror_of(self, at, &its, NULL) == 0 && its == mirror &&
            pen_refspecs_add(refspecs, at->order->event->pull_request))
            at->fetch = mirror->started;
    }
}

/* Whether git does not show yet what the event has told: neither as the head nor below it. */
static bool is_early(const struct pen_look *look, const char *path, const char *head)
{
    const char *told = look->order->event->pull_request->told_head;
    return look->tries < LOOK_TRIES_MAX && !pen_str_empty(told) && !pen_str_equal(told, head) &&
           (!head || !pen_git_is_below(path, told, head));
}

static void look_later(struct pen_look *look)
{
    int64_t now_ms = pen_clock_monotonic_ms();
    look->fetch = 0;
    if (now_ms < look->again_ms)
        return; /* a fetch for others has brought it: that was none of its tries */
    look->again_ms = now_ms + ((int64_t)LOOK_PAUSE_MS << look->tries);
    look->tries++;
}

/* Report what a fetch has brought, or look again. */
static int report(struct pen_sources_state *self, struct pen_look *look, const char *path,
                  struct pen_error *err)
{
    const Pen__PullRequest *pull_request = look->order->event->pull_request;
    PEN_CLEANUP(pen_git_files_release) struct pen_git_files files = {.count = 0};
    PEN_CLEANUP(pen_free) char *name = ref_of(pull_request, "penstock/", "head");
    struct pen_error reason = {0};
    char head[PEN_GIT_ID_SIZE];
    if (!name)
        return pen_fail(err, PEN_ENOMEM, "no memory for a pull request");
    int rc = pen_git_ref_id(path, name, head, &reason);
    if ((rc == 0 || rc == PEN_ENOTFOUND) && is_early(look, path, rc == 0 ? head : NULL)) {
        look_later(look);
        return 0;
    }
    if (rc == 0)
        rc = pen_git_pull_request_files(path, head, pull_request->destination_branch, &files,
                                        &reason);
    if (rc < 0)
        pen_log(PEN_LOG_WARNING, "a pull request cannot be looked at",
                "pipeline=%s number=%" PRIu64 " reason=%s", look->order->pipeline,
                pull_request->number, reason.message);
    rc = pen_report_pull_request(self, look->order, rc == 0 ? head : NULL, &files, err);
    look_remove(self, look);
    return rc;
}

/* A source that pull requests alone start has no watch that tells how it does. */
static int tell_looked(struct pen_sources_state *self, const struct pen_look *look,
                       const char *trouble, struct pen_error *err)
{
    const char *action = look->order->event->action;
    for (const struct pen_watch *at = self->watches; at; at = at->next)
        if (pen_str_equal(at->order->pipeline, look->order->pipeline) &&
            pen_str_equal(at->order->action, action))
            return 0;
    return pen_report_looked(self, look->order->pipeline, action, NULL, trouble, NULL, err);
}

int pen_looks_mirror(struct pen_sources_state *self, struct pen_mirror *mirror, bool fetched,
                     const char *why, struct pen_error *err)
{
    int rc = 0;
    for (struct pen_look *at = self->looks, *next; rc == 0 && at; at = next) {
        next = at->next;
        struct pen_mirror *its = NULL;
        if (mirror_of(self, at, &its, NULL) < 0 || its != mirror)
            continue;
        if (at->fetch == 0 && fetched) {
            if (is_due(at, pen_clock_monotonic_ms()))
                (void)pen_mirror_want(mirror); /* it came while this one ran */
        } else if (!fetched) {
            at->fetch = 0; /* the next poll asks again */
            rc = why ? tell_looked(self, at, why, err) : 0;
        } else {
            rc = tell_looked(self, at, NULL, err);
            if (rc == 0)
                rc = report(self, at, mirror->path, err);
        }
    }
    return rc;
}
