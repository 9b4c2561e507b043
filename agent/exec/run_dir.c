/* The run folder as a whole: made, looked after, made again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/exec/exec_internal.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/log/log.h"

enum {
    LOOK_MS = 1000,                                   /* one lstat */
    COME_BACK_MS = 3 * PEN_SHIM_LOOK_MS + LOOK_MS / 2 /* a shim looks, and the host is busy */
};

static char *path_in(const struct pen_exec *self, const char *name)
{
    return pen_strdup_printf("%s/%s", self->run_dir, name);
}

static int bind_hints(struct pen_exec *self, struct pen_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat facts;
    int size = snprintf(address.sun_path, sizeof address.sun_path, "%s/agent.sock", self->run_dir);
    if (size < 0 || (size_t)size >= sizeof address.sun_path)
        return pen_fail(err, PEN_ELIMIT, "the run folder's name is too long for a socket: '%s'",
                        self->run_dir);
    (void)unlink(address.sun_path); /* of an earlier process; the journal's lock keeps out others */
    pen_fd_close(&self->hint_fd);   /* leaves the epoll set by itself */
    self->hint_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self->hint_fd < 0 ||
        bind(self->hint_fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
        lstat(address.sun_path, &facts) < 0)
        return pen_fail_errno(err, "cannot bind '%s'", address.sun_path);
    self->socket_device = facts.st_dev;
    self->socket_inode = facts.st_ino;
    return exec_watch(self, self->hint_fd, WAKE_HINTS, err);
}

/* A folder without this file was made just now: whatever an earlier one held is lost. */
static int mark_whole(struct pen_exec *self, struct pen_error *err)
{
    PEN_CLEANUP(pen_free) char *whole = path_in(self, "whole");
    if (whole == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the run folder");
    if (pen_file_exists(whole))
        return 0;
    self->lost_until_ms = pen_clock_monotonic_ms() + COME_BACK_MS;
    return pen_file_replace_unsynced(whole, "", 0, 0600, err);
}

int run_dir_open(struct pen_exec *self, struct pen_error *err)
{
    int rc = pen_dir_make(self->run_dir, 0700, err);
    if (rc == 0)
        rc = bind_hints(self, err);
    if (rc == 0)
        rc = mark_whole(self, err);
    self->look_ms = pen_clock_monotonic_ms() + LOOK_MS;
    return rc;
}

static bool is_whole(const struct pen_exec *self)
{
    PEN_CLEANUP(pen_free) char *path = path_in(self, "agent.sock");
    struct stat facts;
    return path != NULL && lstat(path, &facts) == 0 && facts.st_dev == self->socket_device &&
           facts.st_ino == self->socket_inode;
}

/* The folder cannot be made where it was: its file system is gone, or no longer ours. */
static int move_on(struct pen_exec *self, struct pen_error *err)
{
    char *path = NULL;
    int rc = self->options.choose_run_dir(self->options.context, &path, err);
    if (rc < 0)
        return rc;
    free(self->run_dir);
    self->run_dir = path;
    return run_dir_open(self, err);
}

int run_dir_keep(struct pen_exec *self, struct pen_error *err)
{
    self->look_ms = pen_clock_monotonic_ms() + LOOK_MS;
    if (is_whole(self))
        return 0;
    int rc = run_dir_open(self, err);
    if (rc < 0 && self->options.choose_run_dir != NULL)
        rc = move_on(self, err);
    for (struct pen_map_node *node = pen_map_first(&self->entries); node != NULL;
         node = pen_map_next(node)) {
        struct entry *entry = pen_map_value(node);
        entry->unproven = true;
    }
    if (rc == 0)
        pen_log(PEN_LOG_WARNING, "the run folder was removed, and is made again", "run=%s",
                self->run_dir);
    return rc;
}

void pen_exec_remove_run_dir(struct pen_exec *self)
{
    if (self->entries.count == 0)
        (void)pen_dir_remove_tree(self->run_dir, NULL);
}
