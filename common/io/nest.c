#include "common/io/nest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/io/file.h"

static const int folder_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

struct level {
    int fd; /* -1: closed, to be opened again from below */
    dev_t device;
    ino_t inode;
};

struct pen_nest {
    struct level *levels; /* [0] is the root */
    size_t count;
    size_t capacity;
};

/* Takes fd. */
static int push(struct pen_nest *self, int fd, struct pen_error *err)
{
    struct stat facts;
    if (fstat(fd, &facts) < 0) {
        int rc = pen_fail_errno(err, "a folder");
        pen_fd_close(&fd);
        return rc;
    }
    if (self->count == self->capacity) {
        size_t capacity = self->capacity == 0 ? 16 : self->capacity * 2;
        struct level *levels = reallocarray(self->levels, capacity, sizeof levels[0]);
        if (levels == NULL) {
            pen_fd_close(&fd);
            return pen_fail(err, PEN_ENOMEM, "no memory for %zu nested folders", capacity);
        }
        self->levels = levels;
        self->capacity = capacity;
    }
    /* The root stays open: what is above it is nobody's business. */
    if (self->count >= PEN_NEST_OPEN_MAX)
        pen_fd_close(&self->levels[self->count - PEN_NEST_OPEN_MAX + 1].fd);
    self->levels[self->count++] =
        (struct level){.fd = fd, .device = facts.st_dev, .inode = facts.st_ino};
    return 0;
}

int pen_nest_create(int root_fd, struct pen_nest **ret_nest, struct pen_error *err)
{
    PEN_CLEANUP(pen_nest_destroy) struct pen_nest *self = calloc(1, sizeof *self);
    if (self == NULL) {
        pen_fd_close(&root_fd);
        return pen_fail(err, PEN_ENOMEM, "no memory for a place in a tree");
    }
    int rc = push(self, root_fd, err);
    if (rc < 0)
        return rc;
    *ret_nest = TAKE_PTR(self);
    return 0;
}

void pen_nest_destroy(struct pen_nest **self_p)
{
    struct pen_nest *self = TAKE_PTR(*self_p);
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->count; i++)
        pen_fd_close(&self->levels[i].fd);
    free(self->levels);
    free(self);
}

size_t pen_nest_depth(const struct pen_nest *self)
{
    return self->count - 1;
}

int pen_nest_fd(const struct pen_nest *self)
{
    return self->levels[self->count - 1].fd;
}

int pen_nest_enter(struct pen_nest *self, const char *name, struct pen_error *err)
{
    int fd = openat(pen_nest_fd(self), name, folder_flags);
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
        return pen_fail(err, PEN_ECONFLICT, "'%s' is no folder", name);
    return fd < 0 ? pen_fail_errno(err, "folder '%s'", name) : push(self, fd, err);
}

/* Open the closed parent of the deepest folder. It is proven to be the one that was entered: ".."
 * of a folder that somebody has moved leads elsewhere. */
static int reopen(const struct pen_nest *self, struct level *parent, struct pen_error *err)
{
    PEN_CLEANUP(pen_fd_close) int fd = openat(pen_nest_fd(self), "..", folder_flags);
    struct stat facts;
    if (fd < 0 || fstat(fd, &facts) < 0)
        return pen_fail_errno(err, "the folder above");
    if (facts.st_dev != parent->device || facts.st_ino != parent->inode)
        return pen_fail(err, PEN_ECONFLICT, "a folder was moved while it was visited");
    parent->fd = fd;
    fd = -1;
    return 0;
}

int pen_nest_leave(struct pen_nest *self, int *ret_fd, struct pen_error *err)
{
    CHECK(self->count > 1);
    struct level *parent = &self->levels[self->count - 2];
    int rc = parent->fd >= 0 ? 0 : reopen(self, parent, err);
    if (rc < 0)
        return rc;
    struct level *left = &self->levels[--self->count];
    if (ret_fd != NULL)
        *ret_fd = left->fd;
    else
        pen_fd_close(&left->fd);
    return 0;
}
