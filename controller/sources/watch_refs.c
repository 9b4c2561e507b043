/* Watches for triggers: every branch and tag, compared with what the core was told of them last.
 *
 * The core has committed what it was told: a watch begins with that, so that what came while no
 * controller ran is found, and nothing that came before. The first look only says what is there.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/file.h"
#include "common/log/log.h"
#include "controller/sources/state.h"

enum { REFS_REPORTED_MAX = 200 }; /* at once; the rest when the core has taken them */

/* Where an older release has kept what it had seen; NULL: no memory. */
static char *former_path(const struct pen_sources_state *self, const struct pen_watch *watch)
{
    const Pen__SourceWatch *order = watch->order;
    struct pen_sha256_stream *stream = NULL;
    if (pen_sha256_stream_create(&stream, NULL) < 0)
        return NULL;
    const char *const parts[] = {order->pipeline, order->stage, order->action};
    for (size_t i = 0; i < 3; i++)
        pen_sha256_stream_add(stream, parts[i], strlen(parts[i]) + 1);
    for (size_t i = 0; i < order->n_configuration; i++) {
        const char *key = order->configuration[i]->key;
        const char *value = order->configuration[i]->value;
        if (pen_str_equal(key, "ConnectionArn") || pen_str_equal(key, "FullRepositoryId"))
            pen_sha256_stream_add(stream, value, strlen(value) + 1);
    }
    uint8_t digest[PEN_SHA256_SIZE];
    char name[PEN_SHA256_HEX];
    pen_sha256_stream_digest(stream, digest);
    pen_sha256_stream_destroy(&stream);
    pen_hex_encode(digest, sizeof digest, name);
    return pen_strdup_printf("%s/.refs/%s", self->mirrors_path, name);
}

/* A branch that is new has no changes to show, a tag never. */
static int report(struct pen_sources_state *self, struct pen_watch *watch, const char *path,
                  const struct pen_git_ref *now, const struct pen_git_ref *before,
                  enum pen_news news, struct pen_error *err)
{
    PEN_CLEANUP(pen_git_files_release) struct pen_git_files files = {.count = 0};
    struct pen_error reason = {0};
    if (before && pen_str_starts_with(now->name, "refs/heads/") &&
        pen_git_changed_files(path, before->id, now->id, &files, &reason) < 0)
        pen_log(PEN_LOG_WARNING, "the changed files are not known", "ref=%s reason=%s", now->name,
                reason.message);
    return pen_report_ref(self, watch->order, now, &files, news, err);
}

/* Report one that is there now, and remember the report; or, when enough is reported, remember what
 * was, so that it is found again. */
static int compare_one(struct pen_sources_state *self, struct pen_watch *watch, const char *path,
                       const struct pen_git_ref *now, const struct pen_git_ref *before,
                       size_t *reported, struct pen_git_refs *told, struct pen_error *err)
{
    CHECK(now || before);
    const struct pen_git_ref *is = now ? now : before;
    bool same = now && before && strcmp(now->id, before->id) == 0;
    if (!same && *reported == REFS_REPORTED_MAX) {
        watch->more = true;
        is = before;
    } else if (!same) {
        int rc = now ? report(self, watch, path, now, before, watch->news, err)
                     : pen_report_gone(self, watch->order, before->name, err);
        if (rc < 0)
            return rc;
        (*reported)++;
        is = now;
    }
    return is ? pen_git_refs_add(told, is->name, strlen(is->name), is->id, err) : 0;
}

/* Both are in order of the names. */
static int compare_all(struct pen_sources_state *self, struct pen_watch *watch, const char *path,
                       const struct pen_git_refs *now, struct pen_error *err)
{
    PEN_CLEANUP(pen_git_refs_release) struct pen_git_refs told = {0};
    const struct pen_git_refs *before = &watch->refs;
    size_t reported = 0;
    watch->more = false;
    for (size_t i = 0, k = 0; i < now->count || k < before->count;) {
        int order = i == now->count      ? 1
                    : k == before->count ? -1
                                         : strcmp(now->refs[i].name, before->refs[k].name);
        const struct pen_git_ref *a = order <= 0 ? &now->refs[i++] : NULL;
        const struct pen_git_ref *b = order >= 0 ? &before->refs[k++] : NULL;
        int rc = compare_one(self, watch, path, a, b, &reported, &told, err);
        if (rc < 0)
            return rc;
    }
    pen_git_refs_release(&watch->refs);
    watch->refs = told;
    told = (struct pen_git_refs){0};
    return 0;
}

/* The first look: takes what is there now. An older release may have looked before: then it was not
 * the first. */
static int begin(struct pen_sources_state *self, struct pen_watch *watch, struct pen_git_refs *now,
                 bool *ret_taken, struct pen_error *err)
{
    PEN_CLEANUP(pen_free) char *path = former_path(self, watch);
    PEN_CLEANUP(pen_git_refs_release) struct pen_git_refs former = {0};
    struct pen_error reason = {0};
    int rc = path && watch->settled ? pen_git_refs_load(path, &former, &reason) : PEN_ENOTFOUND;
    if (rc < 0 && rc != PEN_ENOTFOUND)
        pen_log(PEN_LOG_WARNING, "what was seen of a repository is lost", "path=%s reason=%s", path,
                reason.message);
    struct pen_git_refs *first = rc == 0 ? &former : now;
    *ret_taken = first == now;
    if ((rc = pen_report_refs(self, watch->order, first, err)) < 0)
        return rc;
    watch->refs = *first;
    *first = (struct pen_git_refs){0};
    watch->refs_known = true;
    return 0;
}

int pen_watch_check_refs(struct pen_sources_state *self, struct pen_watch *watch, const char *path,
                         enum pen_news news, struct pen_error *err)
{
    PEN_CLEANUP(pen_git_refs_release) struct pen_git_refs now = {0};
    struct pen_error reason = {0};
    int rc = pen_git_refs_read(path, &now, &reason);
    if (rc == PEN_ENOMEM)
        return pen_fail(err, rc, "%s", reason.message);
    int noted = pen_watch_note(self, watch, rc < 0 ? reason.message : NULL, NULL, err);
    if (rc < 0 || noted < 0)
        return noted;
    watch->news = news;
    bool taken = false;
    if (!watch->refs_known && (rc = begin(self, watch, &now, &taken, err)) < 0)
        return rc;
    return taken ? 0 : compare_all(self, watch, path, &now, err);
}

bool pen_watch_refs_wait(const struct pen_sources_state *self)
{
    for (const struct pen_watch *at = self->watches; at; at = at->next)
        if (at->more)
            return true;
    return false;
}

int pen_watch_refs_go_on(struct pen_sources_state *self, struct pen_error *err)
{
    int rc = 0;
    for (struct pen_watch *at = self->watches; rc == 0 && !self->outgoing && at; at = at->next) {
        struct pen_mirror *mirror = NULL;
        if (!at->more)
            continue;
        at->more = false;
        if (pen_watch_mirror_of(self, at, &mirror, NULL) == 0)
            rc = pen_watch_check_refs(self, at, mirror->path, at->news, err);
    }
    return rc;
}

/* The order's copy of the refs goes: there may be very many. */
static void release_refs(Pen__SourceWatch *order)
{
    for (size_t i = 0; i < order->n_refs; i++)
        pen__seen_ref__free_unpacked(order->refs[i], NULL);
    free(order->refs);
    order->refs = NULL;
    order->n_refs = 0;
}

int pen_watch_refs_begin(struct pen_sources_state *self, struct pen_watch *watch,
                         struct pen_error *err)
{
    Pen__SourceWatch *order = watch->order;
    PEN_CLEANUP(pen_free) char *path = former_path(self, watch);
    if (path && (!order->all_refs || order->refs_known || !watch->settled))
        (void)unlink(path); /* the core has it, or it is of a former pipeline */
    for (size_t i = 0; order->refs_known && i < order->n_refs; i++) {
        const Pen__SeenRef *ref = order->refs[i];
        if (strlen(ref->revision_id) != PEN_GIT_ID_SIZE - 1)
            continue; /* no commit of git's: it is reported anew */
        int rc =
            pen_git_refs_add(&watch->refs, ref->name, strlen(ref->name), ref->revision_id, err);
        if (rc < 0)
            return rc;
    }
    pen_git_refs_sort(&watch->refs);
    watch->refs_known = order->refs_known;
    release_refs(order);
    return 0;
}
