/* Watches for triggers: every branch and tag, compared with what it was.
 *
 * What a watch has seen is kept in a file, so that pushes made while no controller ran are found.
 * It is written when the next look is taken: by then the core has the reports. After a crash in
 * between they are reported once more, and the engine, which remembers revisions, starts nothing.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/file.h"
#include "common/log/log.h"
#include "controller/sources/state.h"

enum { REFS_REPORTED_MAX = 200 }; /* of one look; the next one goes on */

char *pen_watch_refs_path(const struct pen_sources_state *self, const struct pen_watch *watch)
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

static void save(const struct pen_sources_state *self, struct pen_watch *watch)
{
    struct pen_error reason = {0};
    PEN_CLEANUP(pen_free) char *path = pen_watch_refs_path(self, watch);
    watch->refs_unsaved = false;
    if (path && pen_git_refs_save(&watch->refs, path, &reason) < 0)
        pen_log(PEN_LOG_WARNING, "cannot keep what was seen of a repository", "path=%s reason=%s",
                path, reason.message);
}

/* What an earlier life has seen. A new pipeline begins with the branches as they are. */
static void load(const struct pen_sources_state *self, struct pen_watch *watch)
{
    PEN_CLEANUP(pen_free) char *path = pen_watch_refs_path(self, watch);
    struct pen_error reason = {0};
    int rc =
        path && watch->settled ? pen_git_refs_load(path, &watch->refs, &reason) : PEN_ENOTFOUND;
    watch->refs_known = rc == 0;
    if (rc < 0 && rc != PEN_ENOTFOUND)
        pen_log(PEN_LOG_WARNING, "what was seen of a repository is lost", "path=%s reason=%s", path,
                reason.message);
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

/* Put back what was: the next look finds it again. */
static void defer(struct pen_git_refs *refs, size_t *index, const struct pen_git_ref *before)
{
    struct pen_git_ref *ref = &refs->refs[*index];
    if (before) {
        memcpy(ref->id, before->id, sizeof ref->id);
        return;
    }
    free(ref->name);
    refs->count--;
    memmove(ref, ref + 1, (refs->count - *index) * sizeof *ref);
    (*index)--; /* may wrap: the loop's step takes it back */
}

int pen_watch_check_refs(struct pen_sources_state *self, struct pen_watch *watch, const char *path,
                         enum pen_news news, struct pen_error *err)
{
    PEN_CLEANUP(pen_git_refs_release) struct pen_git_refs now = {0};
    struct pen_error reason = {0};
    int rc = pen_git_refs_read(path, &now, &reason);
    pen_watch_note(watch, rc < 0 ? reason.message : NULL);
    if (rc < 0)
        return rc == PEN_ENOMEM ? pen_fail(err, rc, "%s", reason.message) : 0;
    if (!watch->refs_known)
        load(self, watch);
    else if (watch->refs_unsaved && !self->outgoing)
        save(self, watch);
    bool first = !watch->refs_known;
    size_t reported = 0;
    for (size_t i = 0; !first && i < now.count; i++) {
        const struct pen_git_ref *before = pen_git_refs_find(&watch->refs, now.refs[i].name);
        if (before && strcmp(before->id, now.refs[i].id) == 0)
            continue;
        if (reported == REFS_REPORTED_MAX) {
            defer(&now, &i, before);
            continue;
        }
        if ((rc = report(self, watch, path, &now.refs[i], before, news, err)) < 0)
            return rc;
        reported++;
    }
    pen_git_refs_release(&watch->refs);
    watch->refs = now;
    now = (struct pen_git_refs){0};
    watch->refs_known = true;
    watch->refs_unsaved = watch->refs_unsaved || reported > 0;
    if (first)
        save(self, watch);
    return 0;
}

void pen_watch_refs_begin(struct pen_sources_state *self, struct pen_watch *watch,
                          struct pen_watch *old)
{
    PEN_CLEANUP(pen_free) char *path = pen_watch_refs_path(self, watch);
    PEN_CLEANUP(pen_free) char *old_path = old ? pen_watch_refs_path(self, old) : NULL;
    bool same = path && pen_str_equal(path, old_path);
    if (old && same && watch->order->all_refs && old->refs_known) {
        watch->refs = old->refs;
        watch->refs_known = true;
        watch->refs_unsaved = old->refs_unsaved;
        old->refs = (struct pen_git_refs){0};
    } else if (path && (!watch->order->all_refs || !watch->settled)) {
        (void)unlink(path); /* of a former pipeline, or of former triggers */
    }
}
