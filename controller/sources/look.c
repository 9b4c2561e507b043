/* Pull requests: their heads are fetched when a hook has told of them, and compared with where they
 * want to go. Nothing but numbers and branch names comes from the hook. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
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

int pen_looks_ask(struct pen_sources_state *self, struct pen_error *err)
{
    static const struct pen_git_files none = {.count = 0};
    int rc = 0;
    for (struct pen_look *at = self->looks, *next; rc == 0 && at; at = next) {
        next = at->next;
        struct pen_mirror *mirror = NULL;
        struct pen_error reason = {0};
        if (at->fetch != 0)
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

static int report(struct pen_sources_state *self, const struct pen_look *look, const char *path,
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
    if (rc == 0)
        rc = pen_git_pull_request_files(path, head, pull_request->destination_branch, &files,
                                        &reason);
    if (rc < 0)
        pen_log(PEN_LOG_WARNING, "a pull request cannot be looked at",
                "pipeline=%s number=%" PRIu64 " reason=%s", look->order->pipeline,
                pull_request->number, reason.message);
    return pen_report_pull_request(self, look->order, rc == 0 ? head : NULL, &files, err);
}

int pen_looks_mirror(struct pen_sources_state *self, struct pen_mirror *mirror, bool fetched,
                     struct pen_error *err)
{
    int rc = 0;
    for (struct pen_look *at = self->looks, *next; rc == 0 && at; at = next) {
        next = at->next;
        struct pen_mirror *its = NULL;
        if (mirror_of(self, at, &its, NULL) < 0 || its != mirror)
            continue;
        if (at->fetch == 0 && fetched) {
            (void)pen_mirror_want(mirror); /* it came while this one ran */
        } else if (!fetched) {
            at->fetch = 0; /* the next poll asks again */
        } else {
            rc = report(self, at, mirror->path, err);
            look_remove(self, at);
        }
    }
    return rc;
}
