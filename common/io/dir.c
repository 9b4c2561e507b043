/* Folders, of the interface in file.h. */
#include "common/io/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"

/* A pass over the tree's root that removes all it sees; more passes than this mean that somebody
 * keeps putting things in. */
enum { REMOVE_PASSES_MAX = 100000 };

int pen_dir_sync(const char *path, struct pen_error *err)
{
    PEN_CLEANUP(pen_fd_close) int fd = -1;
    int rc = pen_file_open(path, O_RDONLY | O_DIRECTORY, 0, &fd, err);
    if (rc < 0)
        return rc;
    if (fsync(fd) < 0)
        return pen_fail_errno(err, "cannot sync folder '%s'", path);
    return 0;
}

static int check_folder(const char *path, struct pen_error *err)
{
    struct stat info;
    if (stat(path, &info) < 0)
        return pen_fail_errno(err, "cannot make folder '%s'", path);
    return S_ISDIR(info.st_mode) ? 0 : pen_fail(err, PEN_EINVAL, "'%s' is not a folder", path);
}

/* One after the other, from the root. */
static int make_parents(const char *path, mode_t mode, struct pen_error *err)
{
    PEN_CLEANUP(pen_free) char *part = strdup(path);
    if (part == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to make folder '%s'", path);
    size_t length = strlen(part);
    for (size_t i = 1; i <= length; i++) {
        if (part[i] != '/' && part[i] != 0)
            continue;
        char end = part[i];
        part[i] = 0;
        /* Some parents answer EROFS or EACCES although they exist: what counts is the last one. */
        if (mkdir(part, mode) < 0 && errno != EEXIST) {
            int number = errno;
            struct stat info;
            if (stat(part, &info) < 0) {
                errno = number;
                return pen_fail_errno(err, "cannot make folder '%s'", part);
            }
        }
        part[i] = end;
    }
    return 0;
}

int pen_dir_make(const char *path, mode_t mode, struct pen_error *err)
{
    if (path[0] == 0)
        return pen_fail(err, PEN_EINVAL, "a folder needs a name");
    if (mkdir(path, mode) == 0) /* mostly its parent is there */
        return 0;
    if (errno != EEXIST) {
        int rc = make_parents(path, mode, err);
        if (rc < 0)
            return rc;
    }
    return check_folder(path, err);
}

/* Whether a folder that is given to us is in use for something else. */
static bool is_known(const char *name, const char *const *known)
{
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "lost+found") == 0)
        return true;
    for (; *known != NULL; known++)
        if (strcmp(name, *known) == 0)
            return true;
    return false;
}

int pen_dir_claim(const char *path, mode_t mode, const char *mark, const char *const *known,
                  struct pen_error *err)
{
    int rc = pen_dir_make(path, mode, err);
    if (rc < 0)
        return rc;
    DIR *folder = opendir(path);
    if (folder == NULL)
        return pen_fail_errno(err, "cannot read folder '%s'", path);
    PEN_CLEANUP(pen_free) char *foreign = NULL;
    bool marked = false;
    for (const struct dirent *entry; !marked && (entry = readdir(folder)) != NULL;) {
        marked = strcmp(entry->d_name, mark) == 0;
        if (foreign == NULL && !is_known(entry->d_name, known))
            foreign = strdup(entry->d_name);
    }
    (void)closedir(folder);
    if (marked || foreign == NULL)
        return 0;
    return pen_fail(err, PEN_EINVAL,
                    "'%s' holds something else ('%.64s'): name a folder that is empty or does not "
                    "exist yet",
                    path, foreign);
}

static void dir_close(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
    *dir = NULL;
}

/* Open a folder at parent_fd/name for reading its entries, never through a symbolic link. A folder
 * without rights is given them first: it is about to go. */
static int dir_open(int parent_fd, const char *name, DIR **ret_dir, struct pen_error *err)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    PEN_CLEANUP(pen_fd_close) int fd = openat(parent_fd, name, flags);
    if (fd < 0 && errno == EACCES && fchmodat(parent_fd, name, S_IRWXU, AT_SYMLINK_NOFOLLOW) == 0)
        fd = openat(parent_fd, name, flags);
    if (fd < 0)
        return pen_fail_errno(err, "cannot open folder '%s'", name);
    struct stat info;
    if (fstat(fd, &info) == 0 && (info.st_mode & S_IRWXU) != S_IRWXU)
        (void)fchmod(fd, S_IRWXU);
    DIR *dir = fdopendir(fd);
    if (dir == NULL)
        return pen_fail_errno(err, "cannot read folder '%s'", name);
    fd = -1; /* the DIR owns it now */
    *ret_dir = dir;
    return 0;
}

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* The next entry that is not "." or ".."; NULL at the end, or when rc < 0. */
static const char *next_name(DIR *dir, int *ret_rc, struct pen_error *err)
{
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            *ret_rc = errno == 0 ? 0 : pen_fail_errno(err, "cannot read a folder");
            return NULL;
        }
        if (!is_dot(entry->d_name))
            return entry->d_name;
    }
}

/* Take what chattr +i and +a forbid off a file or folder; true when there was something. */
static bool clear_flags(int fd)
{
    int flags = 0;
    if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 ||
        (flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)) == 0)
        return false;
    flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
    return ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
}

/* A file whose removal is not permitted, or that of all in its folder. */
static bool make_removable(int parent_fd, const char *name)
{
    struct stat info;
    PEN_CLEANUP(pen_fd_close) int fd = -1;
    if (fstatat(parent_fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode))) /* to open others may do something */
        fd = openat(parent_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool file = clear_flags(fd);
    bool folder = clear_flags(parent_fd);
    return file || folder;
}

/* Remove a file or an empty folder. 1: it is a folder with something in it. */
static int remove_simple(int parent_fd, const char *name, struct pen_error *err)
{
    if (unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    int number = errno;
    if (number == EISDIR || number == EPERM) {
        if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            return 0;
        if (errno == ENOTEMPTY || errno == EEXIST)
            return 1;
        if ((number == EPERM || errno == EPERM) && make_removable(parent_fd, name))
            return remove_simple(parent_fd, name, err); /* the next time nothing is cleared */
    }
    errno = number == EISDIR ? errno : number;
    return pen_fail_errno(err, "cannot remove '%s'", name);
}

/* Empty the folder root_fd/name: files go, folders with something in them move up into the root,
 * where a later pass finds them. So a tree of any depth needs two descriptors and no recursion.
 * A mount point is neither removed nor moved: that is an error, and nothing below it is touched. */
static int flatten(int root_fd, const char *name, uint64_t *number, struct pen_error *err)
{
    PEN_CLEANUP(dir_close) DIR *dir = NULL;
    int rc = dir_open(root_fd, name, &dir, err);
    const char *child;
    while (rc == 0 && (child = next_name(dir, &rc, err)) != NULL) {
        rc = remove_simple(dirfd(dir), child, err);
        if (rc != 1)
            continue;
        char moved[48];
        (void)snprintf(moved, sizeof moved, ".penstock-remove-%" PRIu64, *number);
        /* Moving a folder needs the right to write to it, for its "..". */
        if (fchmodat(dirfd(dir), child, S_IRWXU, AT_SYMLINK_NOFOLLOW) < 0)
            errno = 0; /* the rename tells whether that mattered */
        int moving = renameat2(dirfd(dir), child, root_fd, moved, RENAME_NOREPLACE);
        if (moving < 0 && errno == EPERM && make_removable(dirfd(dir), child))
            moving = renameat2(dirfd(dir), child, root_fd, moved, RENAME_NOREPLACE);
        if (moving == 0)
            rc = 0;
        else if (errno == EEXIST || errno == ENOENT)
            rc = 0; /* the name is taken: the next pass tries the next number */
        else
            rc = pen_fail_errno(err, "cannot move '%s' to remove it", child);
        *number += 1;
    }
    return rc;
}

/* One look at everything in the root; *ret_seen says whether there was anything. */
static int remove_pass(DIR *root, uint64_t *number, bool *ret_seen, struct pen_error *err)
{
    *ret_seen = false;
    rewinddir(root);
    int rc = 0;
    const char *name;
    while (rc == 0 && (name = next_name(root, &rc, err)) != NULL) {
        *ret_seen = true;
        rc = remove_simple(dirfd(root), name, err);
        if (rc == 1)
            rc = flatten(dirfd(root), name, number, err);
    }
    return rc;
}

int pen_dir_empty(const char *path, struct pen_error *err)
{
    PEN_CLEANUP(dir_close) DIR *root = NULL;
    int rc = dir_open(AT_FDCWD, path, &root, err);
    bool seen = true;
    uint64_t number = 0;
    for (int pass = 0; rc == 0 && seen; pass++) {
        if (pass == REMOVE_PASSES_MAX)
            return pen_fail(err, PEN_ELIMIT, "'%s' fills up while it is being removed", path);
        rc = remove_pass(root, &number, &seen, err);
    }
    if (rc < 0)
        pen_error_prefix(err, "removing '%s'", path);
    return rc;
}

int pen_dir_remove_tree(const char *path, struct pen_error *err)
{
    struct stat info;
    if (lstat(path, &info) < 0 && errno == ENOENT)
        return 0;
    int rc = pen_dir_empty(path, err);
    if (rc < 0)
        return rc;
    if (rmdir(path) == 0 || errno == ENOENT ||
        (errno == EPERM && make_removable(AT_FDCWD, path) && rmdir(path) == 0))
        return 0;
    if (errno != ENOENT)
        return pen_fail_errno(err, "cannot remove folder '%s'", path);
    return 0;
}
