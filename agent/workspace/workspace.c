#include "agent/workspace/workspace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/file.h"
#include "common/io/random.h"

static const char *const parts[] = {"src", "home", "tmp"};
enum { PARTS = 3 };

struct pen_workspaces {
    char *folder;
    char *spares[PEN_WORKSPACE_SPARES_MAX];
    size_t spares_count;
    char **trash;
    size_t trash_count;
    uint64_t next_name; /* of spares and trash; starts at random: names are never used again */
};

char *pen_workspace_path(const struct pen_workspaces *self, uint64_t fence, const char *below)
{
    return pen_strdup_printf("%s/%" PRIu64 "%s%s", self->folder, fence, *below == 0 ? "" : "/",
                             below);
}

int pen_workspaces_open(const char *folder, struct pen_workspaces **ret_workspaces,
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
    self->next_name >>= 16;
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
    for (size_t i = 0; rc == 0 && i < PARTS; i++) {
        PEN_CLEANUP(pen_free) char *path = pen_strdup_printf("%s/%s", folder, parts[i]);
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

/* A private folder of ours with exactly `expected` entries. */
static bool is_plain(const char *path, unsigned expected)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return false;
    struct stat facts;
    unsigned found = 0;
    bool plain = fstat(dirfd(folder), &facts) == 0 && facts.st_uid == geteuid() &&
                 (facts.st_mode & 07777) == 0700;
    for (const struct dirent *item; plain && (item = readdir(folder)) != NULL;)
        if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0)
            plain = ++found <= expected;
    (void)closedir(folder);
    return plain && found == expected;
}

static bool is_unused(const char *folder)
{
    if (!is_plain(folder, PARTS))
        return false;
    for (size_t i = 0; i < PARTS; i++) {
        char path[4096];
        int size = snprintf(path, sizeof path, "%s/%s", folder, parts[i]);
        if (size < 0 || (size_t)size >= sizeof path || !is_plain(path, 0))
            return false;
    }
    return true;
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
    bool spare = self->spares_count < PEN_WORKSPACE_SPARES_MAX && is_unused(folder);
    char *name = pen_strdup_printf("%s/%s-%" PRIu64, self->folder, spare ? "spare" : "trash",
                                   self->next_name++);
    if (name == NULL || rename(folder, name) < 0) {
        free(name);
        return;
    }
    if (spare)
        self->spares[self->spares_count++] = name;
    else
        add_trash(self, name);
}

void pen_workspace_done(struct pen_workspaces *self, uint64_t fence)
{
    PEN_CLEANUP(pen_free) char *folder = pen_workspace_path(self, fence, "");
    if (folder != NULL)
        retire(self, folder);
}

char *pen_workspaces_next_trash(struct pen_workspaces *self)
{
    return self->trash_count == 0 ? NULL : self->trash[--self->trash_count];
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
