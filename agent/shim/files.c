/* The files of a shim in its run folder, which may go at any moment. */
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/shim/shim_internal.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/file.h"
#include "common/wire/wire.h"

static char *path_in(const struct shim *self, const char *name)
{
    return pen_strdup_printf("%s/%s", self->order->run_dir, name);
}

static int replace(const char *path, const void *message)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    if (path == NULL || pen_wire_pack(message, &bytes, NULL) < 0)
        return PEN_ENOMEM;
    return pen_file_replace_unsynced(path, bytes.data, bytes.size, 0600, NULL);
}

static int replace_in(const struct shim *self, const char *name, const void *message)
{
    PEN_CLEANUP(pen_free) char *path = path_in(self, name);
    return replace(path, message);
}

/* A locked lock file that is there now, or less than 0. */
static int lock_file(const struct shim *self)
{
    PEN_CLEANUP(pen_free) char *path = path_in(self, "lock");
    PEN_CLEANUP(pen_fd_close) int fd = -1;
    if (path == NULL || pen_file_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, &fd, NULL) < 0 ||
        flock(fd, LOCK_EX | LOCK_NB) < 0)
        return -1;
    int locked = fd;
    fd = -1;
    return locked;
}

static bool is_dead(const struct shim *self)
{
    PEN_CLEANUP(pen_free) char *path = path_in(self, "dead");
    return path == NULL || pen_file_exists(path);
}

int shim_files_lock(struct shim *self)
{
    self->lock_fd = lock_file(self);
    return self->lock_fd < 0 || is_dead(self) ? PEN_ECONFLICT : 0;
}

int shim_files_began(const struct shim *self)
{
    Pen__AttemptBegan began = PEN__ATTEMPT_BEGAN__INIT;
    began.has_fence = began.has_shim_pid = began.has_shim_start_time = began.has_began_ms = true;
    began.fence = self->order->fence;
    began.shim_pid = self->outer_pid;
    began.shim_start_time = self->start_time;
    began.began_ms = self->began_ms;
    began.isolation = (char *)(uintptr_t)pen_shim_isolation_text(self->isolation);
    return replace_in(self, "began", &began);
}

/* Whether the lock that others would find is the one that we hold. */
static bool is_whole(const struct shim *self)
{
    PEN_CLEANUP(pen_free) char *path = path_in(self, "lock");
    struct stat there;
    struct stat held;
    return path != NULL && lstat(path, &there) == 0 && fstat(self->lock_fd, &held) == 0 &&
           there.st_ino == held.st_ino && there.st_dev == held.st_dev;
}

bool shim_files_keep(struct shim *self, bool *ret_dead)
{
    *ret_dead = false;
    if (is_whole(self) || pen_dir_make(self->order->run_dir, 0700, NULL) < 0)
        return false;
    int locked = lock_file(self);
    if (locked < 0)
        return false; /* no space, or the agent looks just now: the next time, then */
    pen_fd_close(&self->lock_fd);
    self->lock_fd = locked;
    *ret_dead = is_dead(self);
    if (!*ret_dead)
        (void)shim_files_began(self);
    return true;
}

void shim_files_exit(struct shim *self, const Pen__ShimExit *record)
{
    for (;;) {
        bool dead = false;
        (void)shim_files_keep(self, &dead);
        if (replace_in(self, "exit", record) == 0 ||
            (self->order->spare_exit != NULL && replace(self->order->spare_exit, record) == 0))
            return;
        (void)poll(NULL, 0, PEN_SHIM_RETRY_MS); /* the disk is full, say: somebody makes room */
    }
}
