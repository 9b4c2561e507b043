#include "common/blob/archive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/blob/glob.h"
#include "common/io/file.h"
#include "common/io/nest.h"

/* One folder on the way down. */
struct level {
    char **names; /* sorted; folders end in '/' */
    size_t count;
    size_t next;
    size_t path_size; /* of the path to this folder with its '/' */
    bool included;    /* a glob took this folder, so it takes all below */
    bool packed;      /* it is an entry already */
    struct pen_entry_facts facts;
};

struct walker {
    struct pen_packer *packer;
    char *const *globs;
    size_t globs_count;
    bool *globs_used;
    struct pen_pack_skipped *skipped;
    struct pen_buf path;
    struct pen_nest *nest; /* at the deepest level */
    struct level *levels;  /* [0] is the folder that is packed, which is no entry */
    size_t depth;
    size_t capacity;
};

static void level_release(struct level *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->names[i]);
    free(self->names);
    *self = (struct level){0};
}

static void walker_destroy(struct walker **self_p)
{
    struct walker *self = TAKE_PTR(*self_p);
    if (!self)
        return;
    while (self->depth > 0)
        level_release(&self->levels[--self->depth]);
    free(self->levels);
    pen_buf_release(&self->path);
    pen_nest_destroy(&self->nest);
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

/* ---- names in a folder */

static bool is_folder(int fd, const struct dirent *entry)
{
    struct stat status;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

static int level_add(struct level *self, size_t *capacity, int fd, const struct dirent *entry,
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
    if (is_folder(fd, entry))
        memcpy(name + size, "/", 2);
    self->names[self->count++] = name;
    return 0;
}

/* Read the names of the folder at hand, sorted as the packer wants them. */
static int level_read(struct level *self, int folder_fd, const char *path, struct pen_error *err)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
            rc = level_add(self, &capacity, folder_fd, entry, err);
    }
    (void)closedir(stream);
    if (rc == 0 && self->count > 1)
        qsort(self->names, self->count, sizeof *self->names, compare_names);
    return rc;
}

static struct pen_entry_facts facts_of(const struct stat *status)
{
    return (struct pen_entry_facts){.mode = status->st_mode & 0777,
                                    .mtime_s = status->st_mtim.tv_sec,
                                    .mtime_ns = (uint32_t)status->st_mtim.tv_nsec};
}

/* The nest has come to the folder at path, which ends in '/' or is "". */
static int level_push(struct walker *self, bool included, struct pen_error *err)
{
    if (self->depth == self->capacity) {
        size_t capacity = self->capacity ? self->capacity * 2 : 32;
        struct level *levels = reallocarray(self->levels, capacity, sizeof *levels);
        if (!levels)
            return pen_fail(err, PEN_ENOMEM, "no memory for %zu nested folders", capacity);
        self->levels = levels;
        self->capacity = capacity;
    }
    struct stat status;
    if (fstat(pen_nest_fd(self->nest), &status) < 0)
        return pen_fail_errno(err, "%s", pen_buf_text(&self->path));
    struct level *level = &self->levels[self->depth++];
    *level = (struct level){.path_size = self->path.size,
                            .included = included,
                            .packed = self->depth == 1,
                            .facts = facts_of(&status)};
    return level_read(level, pen_nest_fd(self->nest), pen_buf_text(&self->path), err);
}

/* ---- what is taken */

/* Whether some glob takes this path. */
static bool globs_take(const struct walker *self, const char *path)
{
    bool taken = self->globs_count == 0;
    for (size_t i = 0; i < self->globs_count && !taken; i++)
        taken = pen_glob_match(self->globs[i], path);
    return taken;
}

/* All globs that take this path, which is packed, have been of use. */
static void globs_use(const struct walker *self, const char *path)
{
    for (size_t i = 0; i < self->globs_count; i++)
        self->globs_used[i] = self->globs_used[i] || pen_glob_match(self->globs[i], path);
}

static bool globs_reach(const struct walker *self, const char *folder)
{
    bool reached = self->globs_count == 0;
    for (size_t i = 0; i < self->globs_count && !reached; i++)
        reached = pen_glob_reaches(self->globs[i], folder);
    return reached;
}

/* Something in the deepest folder is packed: so are the folders it is in. */
static int pack_folders(struct walker *self, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    for (size_t i = 0; i < self->depth; i++) {
        struct level *level = &self->levels[i];
        if (level->packed)
            continue;
        pen_buf_clear(&path);
        pen_buf_append(&path, self->path.data, level->path_size - 1);
        int rc = pen_buf_ok(&path, err);
        if (rc < 0 ||
            (rc = pen_packer_add_folder(self->packer, pen_buf_text(&path), &level->facts, err)) < 0)
            return rc;
        level->packed = true;
    }
    return 0;
}

static int add_file(struct walker *self, const char *name, const char *path, struct pen_error *err)
{
    PEN_CLEANUP(pen_fd_close)
    int fd = openat(pen_nest_fd(self->nest), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        return pen_fail_errno(err, "%s", path);
    if (!S_ISREG(status.st_mode))
        return pen_fail(err, PEN_EIO, "%s was replaced while it was packed", path);
    struct pen_entry_facts facts = facts_of(&status);
    return pen_packer_add_file(self->packer, path, &facts, fd, (uint64_t)status.st_size, err);
}

static int add_link(struct walker *self, const char *name, const char *path,
                    const struct stat *status, struct pen_error *err)
{
    char target[PEN_ARCHIVE_TARGET_MAX + 1];
    ssize_t size = readlinkat(pen_nest_fd(self->nest), name, target, sizeof target);
    if (size < 0)
        return pen_fail_errno(err, "%s", path);
    if ((size_t)size == sizeof target)
        return pen_fail(err, PEN_EINVAL, "%s: the link's target is too long", path);
    target[size] = '\0';
    struct pen_entry_facts facts = facts_of(status);
    return pen_packer_add_link(self->packer, path, &facts, target, err);
}

static void skip(struct walker *self, const char *path, const struct stat *status)
{
    const char *what = S_ISSOCK(status->st_mode)   ? "socket"
                       : S_ISFIFO(status->st_mode) ? "pipe"
                                                   : "device";
    if (self->skipped->count++ == 0)
        (void)snprintf(self->skipped->first, sizeof self->skipped->first, "'%.200s', a %s", path,
                       what);
}

/* A folder, whose name ends in '/'. It is opened by its bare name: a '/' behind it would follow a
 * link that somebody has put in its place. */
static int visit_folder(struct walker *self, const struct level *level, const char *name,
                        struct pen_error *err)
{
    bool reached = level->included || globs_reach(self, pen_buf_text(&self->path));
    PEN_CLEANUP(pen_free) char *bare = strndup(name, strlen(name) - 1);
    if (!bare)
        return pen_fail(err, PEN_ENOMEM, "no memory for a path");
    path_cut(&self->path, self->path.size - 1);
    const char *path = pen_buf_text(&self->path);
    bool included = level->included || globs_take(self, path);
    if (!included && !reached)
        return 0; /* whatever it is, it is none of ours */
    int rc = pen_nest_enter(self->nest, bare, err);
    if (rc < 0)
        return pen_error_prefix(err, "%s", path);
    globs_use(self, path);
    pen_buf_putc(&self->path, '/');
    rc = pen_buf_ok(&self->path, err);
    if (rc < 0 || (rc = level_push(self, included, err)) < 0)
        return rc;
    return included ? pack_folders(self, err) : 0;
}

static int visit_file(struct walker *self, const struct level *level, const char *name,
                      struct pen_error *err)
{
    const char *path = pen_buf_text(&self->path);
    struct stat status;
    if (!level->included && !globs_take(self, path))
        return 0;
    if (fstatat(pen_nest_fd(self->nest), name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return pen_fail_errno(err, "%s", path);
    if (!S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode)) {
        skip(self, path, &status);
        return 0;
    }
    int rc = pack_folders(self, err);
    if (rc < 0)
        return rc;
    globs_use(self, path);
    return S_ISREG(status.st_mode) ? add_file(self, name, path, err)
                                   : add_link(self, name, path, &status, err);
}

/* The next name of the deepest folder. */
static int visit(struct walker *self, struct pen_error *err)
{
    struct level *level = &self->levels[self->depth - 1];
    path_cut(&self->path, level->path_size);
    if (level->next == level->count) {
        level_release(level);
        self->depth--;
        return self->depth == 0 ? 0 : pen_nest_leave(self->nest, NULL, err);
    }
    const char *name = level->names[level->next++];
    pen_buf_puts(&self->path, name);
    int rc = pen_buf_ok(&self->path, err);
    if (rc < 0)
        return rc;
    return pen_buf_text(&self->path)[self->path.size - 1] == '/'
               ? visit_folder(self, level, name, err)
               : visit_file(self, level, name, err);
}

/* Every glob has to be of use: what somebody names and does not get is a failure. */
static int check_globs(const struct walker *self, struct pen_error *err)
{
    for (size_t i = 0; i < self->globs_count; i++) {
        if (self->globs_used[i])
            continue;
        return self->skipped->count == 0
                   ? pen_fail(err, PEN_ENOTFOUND, "no file matches '%s'", self->globs[i])
                   : pen_fail(err, PEN_ENOTFOUND,
                              "no file matches '%s'; sockets, pipes and devices do not count: %s",
                              self->globs[i], self->skipped->first);
    }
    return 0;
}

int pen_archive_pack(struct pen_blob_store *store, const char *folder, char *const *globs,
                     size_t globs_count, struct pen_pack_skipped *ret_skipped,
                     Pen__ArtifactRef *ret_ref, struct pen_error *err)
{
    struct pen_pack_skipped skipped = {0};
    PEN_CLEANUP(walker_destroy) struct walker *self = calloc(1, sizeof *self);
    if (!self || !(self->globs_used = calloc(globs_count + 1, sizeof *self->globs_used)))
        return pen_fail(err, PEN_ENOMEM, "no memory to pack %s", folder);
    self->globs = globs;
    self->globs_count = globs_count;
    self->skipped = &skipped;
    int fd = -1;
    int rc = pen_packer_create(store, &self->packer, err);
    if (rc < 0 || (rc = pen_file_open(folder, O_RDONLY | O_DIRECTORY, 0, &fd, err)) < 0 ||
        (rc = pen_nest_create(fd, &self->nest, err)) < 0 || (rc = level_push(self, false, err)) < 0)
        return rc;
    while (rc == 0 && self->depth > 0)
        rc = visit(self, err);
    if (rc < 0 || (rc = check_globs(self, err)) < 0 ||
        (rc = pen_packer_finish(self->packer, ret_ref, err)) < 0)
        return rc;
    if (ret_skipped)
        *ret_skipped = skipped;
    return 0;
}
