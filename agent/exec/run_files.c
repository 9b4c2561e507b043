/* The files that shims leave under the run folder. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/exec/exec_internal.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/file.h"
#include "common/wire/wire.h"

char *run_path(const struct pen_exec *self, uint64_t fence, const char *name)
{
    if (name == NULL)
        return pen_strdup_printf("%s/%" PRIu64, self->run_dir, fence);
    return pen_strdup_printf("%s/%" PRIu64 "/%s", self->run_dir, fence, name);
}

char *spare_exit_path(const struct pen_exec *self, uint64_t fence)
{
    return self->spare_dir == NULL ? NULL
                                   : pen_strdup_printf("%s/%" PRIu64, self->spare_dir, fence);
}

bool has_lock(const struct pen_exec *self, uint64_t fence)
{
    PEN_CLEANUP(pen_free) char *path = run_path(self, fence, "lock");
    return path != NULL && pen_file_exists(path);
}

static ProtobufCMessage *read_message(const char *path, const ProtobufCMessageDescriptor *type)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    ProtobufCMessage *message = NULL;
    if (path == NULL || pen_file_read(path, PEN_SHIM_ORDER_MAX, &bytes, NULL) < 0 ||
        pen_wire_unpack(type, bytes.data, bytes.size, &pen_wire_stored, &message, NULL) < 0)
        return NULL;
    return message;
}

Pen__AttemptBegan *read_began(const struct pen_exec *self, uint64_t fence)
{
    PEN_CLEANUP(pen_free) char *path = run_path(self, fence, "began");
    return (Pen__AttemptBegan *)read_message(path, &pen__attempt_began__descriptor);
}

Pen__ShimExit *read_exit(const struct pen_exec *self, uint64_t fence)
{
    PEN_CLEANUP(pen_free) char *path = run_path(self, fence, "exit");
    PEN_CLEANUP(pen_free) char *spare = spare_exit_path(self, fence);
    ProtobufCMessage *found = read_message(path, &pen__shim_exit__descriptor);
    return (Pen__ShimExit *)(found != NULL ? found
                                           : read_message(spare, &pen__shim_exit__descriptor));
}

int shim_life_find(const struct pen_exec *self, uint64_t fence, enum shim_life *ret_life,
                   struct pen_error *err)
{
    PEN_CLEANUP(pen_free) char *folder = run_path(self, fence, NULL);
    PEN_CLEANUP(pen_free) char *lock = run_path(self, fence, "lock");
    PEN_CLEANUP(pen_free) char *dead = run_path(self, fence, "dead");
    PEN_CLEANUP(pen_fd_close) int lock_fd = -1;
    PEN_CLEANUP(pen_fd_close) int dead_fd = -1;
    if (folder == NULL || lock == NULL || dead == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to adopt attempt %" PRIu64, fence);
    int rc = pen_dir_make(folder, 0700, err);
    if (rc == 0)
        rc = pen_file_open(lock, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, &lock_fd, err);
    if (rc < 0)
        return rc;
    if (flock(lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return pen_fail_errno(err, "cannot lock '%s'", lock);
        *ret_life = SHIM_ALIVE;
        return 0;
    }
    /* A shim that comes late finds this, under the same lock, and does not begin. */
    rc = pen_file_open(dead, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600, &dead_fd, err);
    if (rc == 0)
        *ret_life = SHIM_GONE;
    return rc;
}

/* A folder of ours on a tmpfs below base, or NULL. */
static char *folder_below(const char *base, const char *spool_id)
{
    struct statfs facts;
    struct stat status;
    if (base == NULL || base[0] != '/' || statfs(base, &facts) < 0 || facts.f_type != TMPFS_MAGIC)
        return NULL;
    PEN_CLEANUP(pen_free) char *path = pen_strdup_printf("%s/penstock-agent-%s", base, spool_id);
    if (path == NULL || pen_dir_make(path, 0700, NULL) < 0 || lstat(path, &status) < 0)
        return NULL;
    /* Others can write to /dev/shm: a folder made beforehand by somebody else is not for us. */
    if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 0077) != 0)
        return NULL;
    return TAKE_PTR(path);
}

int pen_exec_choose_run_dir(const char *spool_id, const char *fallback, char **ret_path,
                            bool *ret_tmpfs, struct pen_error *err)
{
    const char *bases[] = {getenv("XDG_RUNTIME_DIR"), "/run", "/dev/shm"};
    char *path = NULL;
    for (size_t i = 0; path == NULL && i < sizeof bases / sizeof bases[0]; i++)
        path = folder_below(bases[i], spool_id);
    bool tmpfs = path != NULL;
    if (path == NULL && (path = pen_strdup_printf("%s/run", fallback)) == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the run folder");
    int rc = tmpfs ? 0 : pen_dir_make(path, 0700, err);
    if (rc < 0) {
        free(path);
        return rc;
    }
    *ret_path = path;
    *ret_tmpfs = tmpfs;
    return 0;
}
