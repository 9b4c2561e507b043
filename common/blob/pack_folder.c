#include "common/blob/archive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/blob/glob.h"
#include "common/io/file.h"

enum { FOLDERS_DEPTH_MAX = 200 }; /* one descriptor each */

/* One folder on the way down. */
struct level {
    int fd;
    char **names; /* sorted; folders end in '/' */
    size_t count;
    size_t next;
    size_t path_size; /* of the path to this folder with its '/' */
    bool included;    /* a glob took this folder, so it takes all below */
};

struct walker {
    struct pen_packer *packer;
    char *const *globs;
    size_t globs_count;
    bool *globs_used;
    struct pen_buf path;
    struct level levels[FOLDERS_DEPTH_MAX];
    size_t depth;
};

static void level_release(struct level *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->names[i]);
    free(self->names);
    pen_fd_close(&self->fd);
    *self = (struct level){.fd = -1};
}

static void walker_destroy(struct walker **self_p)
{
    struct walker *self = TAKE_PTR(*self_p);
    if (!self)
        return;
    while (self->depth > 0)
        level_release(&self->levels[--self->depth]);
    pen_buf_release(&self->path);
    pen_packer_destroy(&self->packer);
    free(self->globs_used);
    free(self);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void path_cut(struct pen_buf *path, size_t size)
{
    if (path->size <= size)
        return;
    path->size = size;
    path->data[size] = '\0';
}

static bool is_folder(int fd, const struct dirent *entry)
{
    struct stat status;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

static int level_add(struct level *self, size_t *capacity, const struct dirent *entry,
                     struct pen_error *err)
{
    if (self->count == *capacity) {
        size_t grown = *capacity ? *capacity * 2 : 32;
        char **names = realloc(self->names, grown * sizeof *names);
        if (!names)
            return pen_fail(err, PEN_ENOMEM, "no memory for a list of files");
        self->names = names;
        *capacity = grown;
    }
    size_t size = strlen(entry->d_name);
    char *name = malloc(size + 2);
    if (!name)
        return pen_fail(err, PEN_ENOMEM, "no memory for a list of files");
    memcpy(name, entry->d_name, size + 1);
    if (is_folder(self->fd, entry))
        memcpy(name + size, "/", 2);
    self->names[self->count++] = name;
    return 0;
}

/* Read the names of the folder, sorted as the packer wants them. */
static int level_read(struct level *self, const char *path, struct pen_error *err)
{
    int fd = openat(self->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (!stream) {
        int rc = pen_fail_errno(err, "%s", path);
        pen_fd_close(&fd);
        return rc;
    }
    size_t capacity = 0;
    int rc = 0;
    while (rc == 0) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (!entry && errno != 0)
            rc = pen_fail_errno(err, "%s", path);
        if (!entry)
            break;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = level_add(self, &capacity, entry, err);
    }
    (void)closedir(stream);
    if (rc == 0 && self->count > 1)
        qsort(self->names, self->count, sizeof *self->names, compare_names);
    return rc;
}

/* Go down into the folder at path, which ends in '/' or is "". Takes fd in any case. */
static int descend(struct walker *self, int fd, bool included, struct pen_error *err)
{
    if (self->depth == FOLDERS_DEPTH_MAX) {
        pen_fd_close(&fd);
        return pen_fail(err, PEN_ELIMIT, "'%s': folders nested deeper than %d",
                        pen_buf_text(&self->path), FOLDERS_DEPTH_MAX);
    }
    struct level *level = &self->levels[self->depth++];
    *level = (struct level){.fd = fd, .path_size = self->path.size, .included = included};
    return level_read(level, pen_buf_text(&self->path), err);
}

/* Whether some glob takes this path; all that do have been of use. */
static bool globs_take(struct walker *self, const char *path)
{
    bool taken = self->globs_count == 0;
    for (size_t i = 0; i < self->globs_count; i++) {
        if (!pen_glob_match(self->globs[i], path))
            continue;
        self->globs_used[i] = true;
        taken = true;
    }
    return taken;
}

static int add_file(struct walker *self, int folder_fd, const char *name, const char *path,
                    struct pen_error *err)
{
    PEN_CLEANUP(pen_fd_close)
    int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        return pen_fail_errno(err, "%s", path);
    if (!S_ISREG(status.st_mode))
        return pen_fail(err, PEN_EIO, "%s was replaced while it was packed", path);
    return pen_packer_add_file(self->packer, path, status.st_mode & 0100, fd,
                               (uint64_t)status.st_size, err);
}

static int add_link(struct walker *self, int folder_fd, const char *name, const char *path,
                    struct pen_error *err)
{
    char target[PATH_MAX];
    ssize_t size = readlinkat(folder_fd, name, target, sizeof target);
    if (size < 0)
        return pen_fail_errno(err, "%s", path);
    if ((size_t)size == sizeof target)
        return pen_fail(err, PEN_EINVAL, "%s: the link's target is too long", path);
    target[size] = '\0';
    return pen_packer_add_link(self->packer, path, target, err);
}

static int visit_folder(struct walker *self, const struct level *level, const char *name,
                        struct pen_error *err)
{
    PEN_CLEANUP(pen_fd_close)
    int fd = openat(level->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return pen_fail_errno(err, "%s", pen_buf_text(&self->path));
    path_cut(&self->path, self->path.size - 1);
    bool included = globs_take(self, pen_buf_text(&self->path)) || level->included;
    if (included) {
        int rc = pen_packer_add_folder(self->packer, pen_buf_text(&self->path), err);
        if (rc < 0)
            return rc;
    }
    pen_buf_putc(&self->path, '/');
    int taken = fd;
    fd = -1;
    return descend(self, taken, included, err);
}

/* The next name of the deepest folder. */
static int visit(struct walker *self, struct pen_error *err)
{
    struct level *level = &self->levels[self->depth - 1];
    path_cut(&self->path, level->path_size);
    if (level->next == level->count) {
        level_release(level);
        self->depth--;
        return 0;
    }
    const char *name = level->names[level->next++];
    pen_buf_puts(&self->path, name);
    int rc = pen_buf_ok(&self->path, err);
    if (rc < 0)
        return rc;
    const char *path = pen_buf_text(&self->path);
    if (path[self->path.size - 1] == '/')
        return visit_folder(self, level, name, err);
    if (!globs_take(self, path) && !level->included)
        return 0;
    struct stat status;
    if (fstatat(level->fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return pen_fail_errno(err, "%s", path);
    if (S_ISREG(status.st_mode))
        return add_file(self, level->fd, name, path, err);
    if (S_ISLNK(status.st_mode))
        return add_link(self, level->fd, name, path, err);
    return pen_fail(err, PEN_EINVAL,
                    "'%s' is a socket, a pipe or a device: an artifact holds files, folders and "
                    "links only",
                    path);
}

int pen_archive_pack(struct pen_blob_store *store, const char *folder, char *const *globs,
                     size_t globs_count, Pen__ArtifactRef *ret_ref, struct pen_error *err)
{
    PEN_CLEANUP(walker_destroy) struct walker *self = calloc(1, sizeof *self);
    if (!self || !(self->globs_used = calloc(globs_count + 1, sizeof *self->globs_used)))
        return pen_fail(err, PEN_ENOMEM, "no memory to pack %s", folder);
    self->globs = globs;
    self->globs_count = globs_count;
    int fd = -1;
    int rc = pen_packer_create(store, &self->packer, err);
    if (rc < 0 || (rc = pen_file_open(folder, O_RDONLY | O_DIRECTORY, 0, &fd, err)) < 0 ||
        (rc = descend(self, fd, false, err)) < 0)
        return rc;
    while (rc == 0 && self->depth > 0)
        rc = visit(self, err);
    for (size_t i = 0; rc == 0 && i < globs_count; i++)
        if (!self->globs_used[i])
            rc = pen_fail(err, PEN_ENOTFOUND, "no file matches '%s'", globs[i]);
    return rc < 0 ? rc : pen_packer_finish(self->packer, ret_ref, err);
}
