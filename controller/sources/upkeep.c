/* Merging the packs of mirrors, in the background.
 *
 * Each fetch with news leaves one pack. Nothing else merges them, and whoever looks for an object
 * asks one pack after the other, each with a descriptor of its own. A git child merges them, one at
 * a time for all mirrors, beside fetches and readers: git puts the new pack in place before it
 * takes the old ones away, and readers look again for what is not where it was. A child that is
 * killed, or a power cut, leaves temporary files at worst.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/log/log.h"
#include "controller/sources/state.h"

enum {
    PACKS_MAX = 20,           /* more than at the end of the last merge: then merge */
    TIMEOUT_MS = 3600 * 1000, /* for a merge; then the child is ended */
    PAUSE_MS = 3600 * 1000,   /* after a merge that failed */
    WHOLE_S = 7 * 24 * 3600,  /* between merges of everything */
    LEFTOVER_S = 24 * 3600,   /* no child of ours runs that long: nobody writes to this file */
};

/* As long as git itself keeps what no ref leads to. */
static const char unreachable_kept[] = "--cruft-expiration=2.weeks.ago";

static bool is_pack(const char *name)
{
    return pen_str_starts_with(name, "pack-") && pen_str_ends_with(name, ".pack");
}

static bool is_temporary(const char *name)
{
    return pen_str_starts_with(name, "tmp_") || pen_str_starts_with(name, ".tmp-");
}

/* How many packs there are. Temporary files that killed children have left are removed. */
static size_t packs_count(const struct pen_mirror *mirror)
{
    PEN_CLEANUP(pen_free) char *path = pen_strdup_printf("%s/objects/pack", mirror->path);
    DIR *stream = path ? opendir(path) : NULL;
    size_t count = 0;
    const struct dirent *entry;
    while (stream && (entry = readdir(stream))) {
        struct stat status;
        count += is_pack(entry->d_name);
        if (is_temporary(entry->d_name) &&
            fstatat(dirfd(stream), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            status.st_mtime < pen_clock_wall_ms() / 1000 - LEFTOVER_S)
            (void)unlinkat(dirfd(stream), entry->d_name, 0);
    }
    if (stream)
        (void)closedir(stream);
    return count;
}

void pen_upkeep_consider(struct pen_mirror *mirror)
{
    size_t count = packs_count(mirror);
    if (count < mirror->packs_left)
        mirror->packs_left = count; /* the mirror is a new one */
    mirror->upkeep_due = count >= mirror->packs_left + PACKS_MAX;
}

/* Whether everything is to be merged, so that what no ref leads to can go. A mark in the mirror
 * tells when that was done last; the first merge makes it. */
static bool is_whole_due(const char *mark)
{
    struct stat status;
    if (stat(mark, &status) == 0)
        return status.st_mtime < pen_clock_wall_ms() / 1000 - WHOLE_S;
    (void)pen_file_replace_unsynced(mark, "", 0, 0600, NULL);
    return false;
}

static char *mark_path(const struct pen_mirror *mirror)
{
    return pen_strdup_printf("%s/penstock-merged", mirror->path);
}

static int start(struct pen_sources_state *self, struct pen_mirror *mirror, struct pen_error *err)
{
    PEN_CLEANUP(pen_git_environment_release) struct pen_git_environment environment = {0};
    PEN_CLEANUP(pen_free) char *git_dir = pen_strdup_printf("--git-dir=%s", mirror->name);
    PEN_CLEANUP(pen_free) char *mark = mark_path(mirror);
    if (!git_dir || !mark)
        return pen_fail(err, PEN_ENOMEM, "no memory to start git");
    pen_git_environment_fill(&environment, self->mirrors_path);
    pen_git_environment_set(&environment, "GIT_ALLOW_PROTOCOL", "none");
    /* It may take long, but not all of the machine. */
    pen_git_environment_configure(&environment, "pack.threads", "1");
    pen_git_environment_configure(&environment, "pack.windowMemory", "64m");
    pen_git_environment_configure(&environment, "repack.writeBitmaps", "false");
    pen_git_environment_configure(&environment, "pack.writeReverseIndex", "false");
    const char *const few[] = {"git", git_dir, "repack", "-q", "-d", "--geometric=2", NULL};
    const char *const whole[] = {"git", git_dir,   "repack",         "-q",
                                 "-d",  "--cruft", unreachable_kept, NULL};
    self->upkeep.whole = is_whole_due(mark);
    return pen_git_child_spawn(self->upkeep.whole ? whole : few, &environment, self->mirrors_path,
                               &self->upkeep.child, err);
}

/* Not before the pause is over. */
static void put_off(struct pen_mirror *mirror, const char *reason)
{
    mirror->upkeep_after_ms = pen_clock_monotonic_ms() + PAUSE_MS;
    pen_log(PEN_LOG_WARNING, "cannot merge the packs of a mirror", "url=%s reason=%.300s",
            mirror->url.text, reason);
}

void pen_upkeep_start(struct pen_sources_state *self, int64_t now_ms)
{
    struct pen_upkeep *upkeep = &self->upkeep;
    for (struct pen_mirror *at = self->mirrors; at && !upkeep->mirror; at = at->next) {
        struct pen_error reason = {0};
        if (!at->upkeep_due || now_ms < at->upkeep_after_ms)
            continue;
        at->upkeep_due = false;
        if (start(self, at, &reason) < 0) {
            put_off(at, reason.message);
            continue;
        }
        upkeep->mirror = at;
        upkeep->late = false;
        upkeep->deadline_ms = now_ms + TIMEOUT_MS;
    }
}

static void keep(void *context, const char *bytes, size_t size)
{
    pen_git_child_keep(context, bytes, size);
}

void pen_upkeep_listen(struct pen_upkeep *self)
{
    pen_git_child_listen(&self->child, keep, &self->child);
}

/* Reap the child; the place is free for the next. */
static int finish(struct pen_upkeep *self, int *ret_status, struct pen_error *err)
{
    pen_upkeep_listen(self);
    int rc = pen_git_child_finish(&self->child, ret_status, err);
    self->mirror = NULL;
    return rc;
}

int pen_upkeep_ended(struct pen_sources_state *self, struct pen_error *err)
{
    struct pen_mirror *mirror = self->upkeep.mirror;
    int status = 0;
    int rc = finish(&self->upkeep, &status, err);
    PEN_CLEANUP(pen_free) char *mark = mark_path(mirror);
    if (rc == 0 && status == 0) {
        mirror->packs_left = packs_count(mirror);
        if (self->upkeep.whole && mark)
            (void)pen_file_replace_unsynced(mark, "", 0, 0600, NULL);
    } else if (rc == 0) {
        const char *words = pen_buf_text(&self->upkeep.child.words);
        put_off(mirror, *words ? words : "git ended without a reason, or took too long");
    }
    pen_git_child_release(&self->upkeep.child);
    self->upkeep.child = PEN_GIT_CHILD_NONE;
    return rc;
}

void pen_upkeep_check(struct pen_upkeep *self, int64_t now_ms)
{
    if (!self->mirror || now_ms < self->deadline_ms)
        return;
    pen_git_child_kill(&self->child, self->late ? SIGKILL : SIGTERM);
    self->late = true;
    self->deadline_ms = now_ms + PEN_FETCH_GRACE_MS;
}

void pen_upkeep_stop(struct pen_sources_state *self, const struct pen_mirror *mirror)
{
    int status;
    if (!self->upkeep.mirror || (mirror && self->upkeep.mirror != mirror))
        return;
    pen_git_child_kill(&self->upkeep.child, SIGKILL);
    (void)finish(&self->upkeep, &status, NULL);
    pen_git_child_release(&self->upkeep.child);
    self->upkeep.child = PEN_GIT_CHILD_NONE;
}
