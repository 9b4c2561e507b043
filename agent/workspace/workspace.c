#include "agent/workspace/workspace.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/workspace/workspace_internal.h"
#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/file.h"
#include "common/io/random.h"

const char *const pen_workspace_parts[PEN_WORKSPACE_PARTS] = {"src", "home", "tmp"};

struct pen_workspaces {
    char *folder;
    bool recycle;
    char *spares[PEN_WORKSPACE_SPARES_MAX];
    size_t spares_count;
    size_t cleaning_count; /* given out to be cleaned, not back yet */
    char **trash;
    size_t trash_count;
    uint64_t next_name; /* of trash; starts at random: names are never used again */
};

char *pen_workspace_path(const struct pen_workspaces *self, uint64_t fence, const char *below)
{
    return pen_strdup_printf("%s/%" PRIu64 "%s%s", self->folder, fence, *below == 0 ? "" : "/",
                             below);
}

int pen_workspaces_open(const char *folder, bool recycle, struct pen_workspaces **ret_workspaces,
                        struct pen_error *err)
{
    PEN_CLEANUP(pen_workspaces_close) struct pen_workspaces *self = calloc(1, sizeof *self);
    if (self == NULL || (self->folder = strdup(folder)) == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for workspaces");
    int rc = pen_dir_make(folder, 0700, err);
    if (rc == 0)
        rc = pen_random_bytes(&self->next_name, sizeof self->next_name, err);
    if (rc < 0)
        return rc;
    pen_workspaces_spread(folder);
    self->next_name >>= 16;
    self->recycle = recycle;
    *ret_workspaces = TAKE_PTR(self);
    return 0;
}

void pen_workspaces_close(struct pen_workspaces **self_p)
{
    struct pen_workspaces *self = *self_p;
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->spares_count; i++)
        free(self->spares[i]);
    for (size_t i = 0; i < self->trash_count; i++)
        free(self->trash[i]);
    free(self->trash);
    free(self->folder);
    free(self);
    *self_p = NULL;
}

static int make_parts(const char *folder, struct pen_error *err)
{
    int rc = pen_dir_make(folder, 0700, err);
    for (size_t i = 0; rc == 0 && i < PEN_WORKSPACE_PARTS; i++) {
        PEN_CLEANUP(pen_free)
        char *path = pen_strdup_printf("%s/%s", folder, pen_workspace_parts[i]);
        rc = path == NULL ? pen_fail(err, PEN_ENOMEM, "no memory for a workspace")
                          : pen_dir_make(path, 0700, err);
    }
    return rc;
}

int pen_workspace_make(struct pen_workspaces *self, uint64_t fence, struct pen_error *err)
{
    PEN_CLEANUP(pen_free) char *folder = pen_workspace_path(self, fence, "");
    if (folder == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a workspace");
    while (self->spares_count > 0) {
        PEN_CLEANUP(pen_free) char *spare = self->spares[--self->spares_count];
        if (rename(spare, folder) == 0)
            return 0;
    }
    return make_parts(folder, err);
}

static void add_trash(struct pen_workspaces *self, char *path)
{
    char **grown = realloc(self->trash, (self->trash_count + 1) * sizeof *grown);
    if (grown == NULL) {
        free(path); /* found again at the next start */
        return;
    }
    self->trash = grown;
    self->trash[self->trash_count++] = path;
}

static void retire(struct pen_workspaces *self, const char *folder)
{
    char *name = pen_strdup_printf("%s/trash-%" PRIu64, self->folder, self->next_name++);
    if (name != NULL && rename(folder, name) == 0) {
        add_trash(self, name);
        return;
    }
    bool missing = name != NULL && errno == ENOENT;
    free(name);
    char *as_it_is = missing ? NULL : strdup(folder); /* chattr +i forbids to move it, too */
    if (as_it_is != NULL)
        add_trash(self, as_it_is);
}

void pen_workspace_done(struct pen_workspaces *self, uint64_t fence)
{
    PEN_CLEANUP(pen_free) char *folder = pen_workspace_path(self, fence, "");
    if (folder != NULL)
        retire(self, folder);
}

char *pen_workspaces_next_trash(struct pen_workspaces *self, bool *ret_recycle)
{
    if (self->trash_count == 0)
        return NULL;
    *ret_recycle =
        self->recycle && self->spares_count + self->cleaning_count < PEN_WORKSPACE_SPARES_MAX;
    self->cleaning_count += *ret_recycle ? 1 : 0;
    return self->trash[--self->trash_count];
}

void pen_workspaces_cleaned(struct pen_workspaces *self, char *path)
{
    CHECK(self->cleaning_count > 0);
    self->cleaning_count--;
    if (path != NULL)
        self->spares[self->spares_count++] = path;
}

int pen_workspaces_sweep(struct pen_workspaces *self, int (*keep)(void *context, uint64_t fence),
                         void *context, struct pen_error *err)
{
    DIR *folder = opendir(self->folder);
    if (folder == NULL)
        return pen_fail_errno(err, "cannot list '%s'", self->folder);
    for (const struct dirent *item; (item = readdir(folder)) != NULL;) {
        if (item->d_name[0] == '.')
            continue;
        char *end = NULL;
        errno = 0;
        uint64_t fence = strtoull(item->d_name, &end, 10);
        bool number = *end == 0 && errno == 0;
        if (number && keep(context, fence))
            continue;
        char *path = pen_strdup_printf("%s/%s", self->folder, item->d_name);
        if (path != NULL)
            add_trash(self, path);
    }
    (void)closedir(folder);
    return 0;
}
