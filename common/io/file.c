/* Files; folders are in dir.c. */
#include "common/io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/random.h"

/* Most files that are read whole are small: a first step that the heap has at hand. */
enum { READ_FIRST = 4 * 1024, READ_STEP = 64 * 1024 };

void pen_fd_close(int *fd)
{
    if (*fd >= 0) {
        int number = errno; /* a clean-up must not hide the error that led to it */
        (void)close(*fd);
        errno = number;
    }
    *fd = -1;
}

int pen_file_open(const char *path, int flags, mode_t mode, int *ret_fd, struct pen_error *err)
{
    int fd;
    do {
        fd = open(path, flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return pen_fail_errno(err, "cannot open '%s'", path);
    *ret_fd = fd;
    return 0;
}

int pen_file_read(const char *path, size_t size_max, struct pen_buf *ret_bytes,
                  struct pen_error *err)
{
    PEN_CLEANUP(pen_fd_close) int fd = -1;
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    int rc = pen_file_open(path, O_RDONLY, 0, &fd, err);
    if (rc < 0)
        return rc;
    for (;;) {
        size_t step = bytes.size < READ_FIRST ? READ_FIRST - bytes.size : READ_STEP;
        uint8_t *room = pen_buf_reserve(&bytes, step);
        if (room == NULL)
            return pen_fail(err, PEN_ENOMEM, "no memory to read '%s'", path);
        ssize_t got = read(fd, room, step);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return pen_fail_errno(err, "cannot read '%s'", path);
        if (got == 0)
            break;
        pen_buf_added(&bytes, (size_t)got);
        if (bytes.size > size_max)
            return pen_fail(err, PEN_ELIMIT, "'%s' is larger than %zu bytes", path, size_max);
    }
    pen_buf_append(ret_bytes, bytes.data, bytes.size);
    return pen_buf_ok(ret_bytes, err);
}

int pen_file_write_all(int fd, const void *bytes, size_t size, struct pen_error *err)
{
    const uint8_t *at = bytes;
    while (size > 0) {
        ssize_t put = write(fd, at, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return pen_fail_errno(err, "cannot write");
        at += put;
        size -= (size_t)put;
    }
    return 0;
}

/* Write the new content to a file beside path; its name goes to temporary. */
static int write_beside(const char *path, const void *bytes, size_t size, mode_t mode, bool sync,
                        char **ret_temporary, struct pen_error *err)
{
    uint64_t number = 0;
    int rc = pen_random_bytes(&number, sizeof number, err);
    if (rc < 0)
        return rc;
    PEN_CLEANUP(pen_free)
    char *temporary = pen_strdup_printf("%s.%016llx.tmp", path, (unsigned long long)number);
    if (temporary == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to write '%s'", path);
    PEN_CLEANUP(pen_fd_close) int fd = -1;
    rc = pen_file_open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, &fd, err);
    if (rc < 0)
        return rc;
    rc = pen_file_write_all(fd, bytes, size, err);
    if (rc == 0 && fchmod(fd, mode) < 0)
        rc = pen_fail_errno(err, "cannot set the mode");
    if (rc == 0 && sync && fsync(fd) < 0)
        rc = pen_fail_errno(err, "cannot sync");
    if (rc < 0) {
        pen_error_prefix(err, "'%s'", path);
        (void)unlink(temporary);
        return rc;
    }
    *ret_temporary = TAKE_PTR(temporary);
    return 0;
}

static int sync_parent(const char *path, struct pen_error *err)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return pen_dir_sync(".", err);
    if (slash == path)
        return pen_dir_sync("/", err);
    PEN_CLEANUP(pen_free) char *parent = pen_strdup_printf("%.*s", (int)(slash - path), path);
    if (parent == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to sync the folder of '%s'", path);
    return pen_dir_sync(parent, err);
}

static int replace(const char *path, const void *bytes, size_t size, mode_t mode, bool sync,
                   struct pen_error *err)
{
    PEN_CLEANUP(pen_free) char *temporary = NULL;
    int rc = write_beside(path, bytes, size, mode, sync, &temporary, err);
    if (rc < 0)
        return rc;
    if (rename(temporary, path) < 0) {
        rc = pen_fail_errno(err, "cannot replace '%s'", path);
        (void)unlink(temporary);
        return rc;
    }
    return sync ? sync_parent(path, err) : 0;
}

int pen_file_replace(const char *path, const void *bytes, size_t size, mode_t mode,
                     struct pen_error *err)
{
    return replace(path, bytes, size, mode, true, err);
}

int pen_file_replace_unsynced(const char *path, const void *bytes, size_t size, mode_t mode,
                              struct pen_error *err)
{
    return replace(path, bytes, size, mode, false, err);
}

bool pen_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}
