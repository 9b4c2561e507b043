/* Mirrors that nobody needs any more: moved aside here, where they belong, and deleted by
 * retention, which has the time.
 *
 * A mirror is a cache: one that is wanted again a moment later is fetched again.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/file.h"
#include "common/log/log.h"
#include "common/wire/wire.h"
#include "controller/sources/state.h"

static bool is_mirror_name(const char *name)
{
    size_t digits = strspn(name, "0123456789abcdef");
    return digits == PEN_SHA256_HEX - 1 && strcmp(name + digits, ".git") == 0;
}

static struct pen_mirror *by_name(struct pen_sources_state *self, const char *name)
{
    for (struct pen_mirror *at = self->mirrors; at; at = at->next)
        if (strcmp(at->name, name) == 0)
            return at;
    return NULL;
}

/* Errors: PEN_ENOMEM; what cannot be a mirror needs none. */
static int mark_needed(struct pen_sources_state *self, const Pen__MirrorsSweep *order,
                       struct pen_error *err)
{
    for (struct pen_mirror *at = self->mirrors; at; at = at->next)
        at->needed = at->fetching || at->wanted || pen_runs_wait_for(self, at);
    for (size_t i = 0; i < order->n_needed; i++) {
        const Pen__MirrorNeeded *needed = order->needed[i];
        struct pen_mirror *mirror = NULL;
        int rc = pen_mirror_find(self, needed->connection_arn, needed->repository_id, &mirror, err);
        if (rc == PEN_ENOMEM)
            return rc;
        if (rc == 0)
            mirror->needed = true;
    }
    return 0;
}

static void forget(struct pen_sources_state *self, struct pen_mirror *mirror)
{
    for (struct pen_mirror **at = &self->mirrors; *at; at = &(*at)->next) {
        if (*at != mirror)
            continue;
        *at = mirror->next;
        pen_upkeep_stop(self, mirror);
        pen_mirror_destroy(&mirror);
        return;
    }
}

/* Move the folder aside. False: it stays, and is looked at again one day. */
static bool move_aside(struct pen_sources_state *self, const char *name)
{
    PEN_CLEANUP(pen_free) char *from = pen_strdup_printf("%s/%s", self->mirrors_path, name);
    PEN_CLEANUP(pen_free) char *folder = pen_strdup_printf("%s/.gone", self->mirrors_path);
    PEN_CLEANUP(pen_free) char *to = pen_strdup_printf("%s/.gone/%s", self->mirrors_path, name);
    struct pen_error why = {0};
    if (!from || !folder || !to || pen_dir_make(folder, 0700, &why) < 0)
        return false;
    struct pen_mirror *mirror = by_name(self, name);
    if (mirror)
        forget(self, mirror);
    if (rename(from, to) == 0)
        return true;
    pen_log(PEN_LOG_WARNING, "cannot move a mirror aside", "path=%s errno=%d", from, errno);
    return false;
}

static int add_name(Pen__MirrorsSwept *swept, const char *name, struct pen_error *err)
{
    char **names = reallocarray(swept->names, swept->n_names + 1, sizeof names[0]);
    if (names)
        swept->names = names;
    char *copy = strdup(name);
    if (!names || !copy) {
        free(copy);
        return pen_fail(err, PEN_ENOMEM, "no memory for the names of mirrors");
    }
    swept->names[swept->n_names++] = copy;
    return 0;
}

static int sweep_mirrors(struct pen_sources_state *self, bool dry_run, Pen__MirrorsSwept *swept,
                         struct pen_error *err)
{
    DIR *stream = opendir(self->mirrors_path);
    if (!stream)
        return pen_fail_errno(err, "%s", self->mirrors_path);
    int rc = 0;
    const struct dirent *entry;
    while (rc == 0 && (entry = readdir(stream))) {
        if (!is_mirror_name(entry->d_name))
            continue;
        const struct pen_mirror *mirror = by_name(self, entry->d_name);
        if (mirror && mirror->needed)
            continue;
        if (dry_run || move_aside(self, entry->d_name))
            rc = add_name(swept, entry->d_name, err);
    }
    (void)closedir(stream);
    return rc;
}

int pen_mirrors_sweep(struct pen_sources_state *self, const Pen__MirrorsSweep *order,
                      struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__MirrorsSwept *swept = malloc(sizeof *swept);
    if (!swept)
        return pen_fail(err, PEN_ENOMEM, "no memory to sweep mirrors");
    pen__mirrors_swept__init(swept);
    swept->has_collection = 1;
    swept->collection = order->collection;
    int rc = mark_needed(self, order, err);
    if (rc == 0)
        rc = sweep_mirrors(self, order->dry_run, swept, err);
    if (rc < 0)
        return rc;
    return pen_report_swept(self, swept, err);
}
