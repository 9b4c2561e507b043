/* Mirrors that sources has moved aside, or would: their sizes, and their end. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/wire/wire.h"
#include "controller/artifacts/layout.h"
#include "controller/retention/internal.h"

enum {
    ANSWER_MS = 300 * 1000, /* sources may be packing a large commit */
    DEPTH_MAX = 16,         /* of a bare repository, which has four */
};

static uint64_t size_below(int folder_fd, const char *name, int depth)
{
    int fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *stream = fd < 0 || depth == DEPTH_MAX ? NULL : fdopendir(fd);
    if (stream == NULL) {
        pen_fd_close(&fd);
        return 0;
    }
    uint64_t size = 0;
    const struct dirent *entry;
    while ((entry = readdir(stream)) != NULL) {
        struct stat status;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(dirfd(stream), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        size += S_ISDIR(status.st_mode) ? size_below(dirfd(stream), entry->d_name, depth + 1)
                                        : (uint64_t)status.st_size;
    }
    (void)closedir(stream);
    return size;
}

static int ask(struct pen_retention *self, struct pen_error *err)
{
    Pen__SweepMirrors sweep = PEN__SWEEP_MIRRORS__INIT;
    sweep.has_collection = true;
    sweep.collection = self->order->number;
    Pen__Input input = PEN__INPUT__INIT;
    input.what_case = PEN__INPUT__WHAT_SWEEP_MIRRORS;
    input.sweep_mirrors = &sweep;
    Pen__Input *copy = NULL;
    int rc = pen_wire_copy(&input, (ProtobufCMessage **)&copy, err);
    return rc < 0 ? rc : retention_post(self, &copy, err);
}

static void count_one(struct pen_retention *self, const char *folder)
{
    self->report->mirrors++;
    self->report->mirror_bytes += size_below(AT_FDCWD, folder, 0);
}

/* All that lies aside, also what a former life has left there. */
static int remove_aside(struct pen_retention *self, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    pen_layout_path(self->dir, "mirrors/.gone", &path);
    int rc = pen_buf_ok(&path, err);
    DIR *stream = rc < 0 ? NULL : opendir(pen_buf_text(&path));
    if (stream == NULL)
        return rc; /* nothing was ever moved aside */
    const struct dirent *entry;
    while (rc == 0 && (entry = readdir(stream)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        PEN_CLEANUP(pen_buf_release) struct pen_buf folder = {0};
        pen_buf_printf(&folder, "%s/%s", pen_buf_text(&path), entry->d_name);
        if ((rc = pen_buf_ok(&folder, err)) < 0 || (rc = retention_listen(self)) != 0)
            break;
        count_one(self, pen_buf_text(&folder));
        rc = pen_dir_remove_tree(pen_buf_text(&folder), err);
    }
    (void)closedir(stream);
    return rc;
}

static int weigh_named(struct pen_retention *self, struct pen_error *err)
{
    for (size_t i = 0; i < self->swept->n_names; i++) {
        PEN_CLEANUP(pen_buf_release) struct pen_buf folder = {0};
        pen_buf_printf(&folder, "%s/mirrors/%s", self->dir, self->swept->names[i]);
        int rc = pen_buf_ok(&folder, err);
        if (rc < 0 || (rc = retention_listen(self)) != 0)
            return rc;
        count_one(self, pen_buf_text(&folder));
    }
    return 0;
}

int retention_mirrors(struct pen_retention *self, struct pen_error *err)
{
    self->report->has_mirrors = self->report->has_mirror_bytes = true;
    pen_message_destroy(&self->swept);
    int rc = ask(self, err);
    int64_t deadline_ms = pen_clock_monotonic_ms() + ANSWER_MS;
    while (rc == 0 && (self->swept == NULL || self->swept->collection != self->order->number))
        rc = retention_wait(self, deadline_ms, err);
    if (rc != 0)
        return rc;
    return self->order->dry_run ? weigh_named(self, err) : remove_aside(self, err);
}
