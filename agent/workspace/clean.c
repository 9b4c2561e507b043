/* Used folders made like new, of the interface in workspace.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/workspace/workspace_internal.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/file.h"

enum {
    SIZE_MAX_BYTES = 64 * 1024, /* some file systems never shrink a folder: a huge one stays slow */
    NAMES_MAX = 256,            /* bytes of names of extended attributes */
};

static void dir_close(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

static DIR *open_folder(const char *path)
{
    int fd = -1;
    if (pen_file_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd, NULL) < 0)
        return NULL;
    DIR *dir = fdopendir(fd);
    if (dir == NULL)
        pen_fd_close(&fd);
    return dir;
}

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Attributes are inherited by what is made in a folder, as default rights are. Those named
 * security.* are the host's own. */
static bool has_attributes(int fd)
{
    char names[NAMES_MAX];
    ssize_t size = flistxattr(fd, names, sizeof names);
    if (size < 0)
        return errno != ENOTSUP;
    for (const char *name = names; name < names + size; name += strlen(name) + 1)
        if (!pen_str_starts_with(name, "security."))
            return true;
    return false;
}

/* Flags as of chattr, but for how the file system happens to store the folder. */
static int flags_of(int fd)
{
    int flags = 0;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        return 0; /* this file system has none */
    return flags & ~(FS_EXTENT_FL | FS_INDEX_FL | FS_INLINE_DATA_FL | FS_TOPDIR_FL);
}

/* A private folder of ours with nothing special about it. */
static bool is_plain(const char *path, int flags)
{
    PEN_CLEANUP(pen_fd_close) int fd = -1;
    struct stat facts;
    return pen_file_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd, NULL) == 0 &&
           fstat(fd, &facts) == 0 && facts.st_uid == geteuid() && (facts.st_mode & 07777) == 0700 &&
           facts.st_size <= SIZE_MAX_BYTES && !has_attributes(fd) && flags_of(fd) == flags;
}

static bool is_part(const char *name)
{
    for (size_t i = 0; i < PEN_WORKSPACE_PARTS; i++)
        if (strcmp(name, pen_workspace_parts[i]) == 0)
            return true;
    return false;
}

/* Remove what does not belong to a new workspace, and empty what does. */
static bool empty_all(const char *path, DIR *folder)
{
    for (const struct dirent *item; (item = readdir(folder)) != NULL;) {
        if (is_dot(item->d_name))
            continue;
        PEN_CLEANUP(pen_free) char *below = pen_strdup_printf("%s/%s", path, item->d_name);
        if (below == NULL)
            return false;
        if (is_part(item->d_name) ? pen_dir_empty(below, NULL) < 0
                                  : unlink(below) < 0 && pen_dir_remove_tree(below, NULL) < 0)
            return false;
    }
    return true;
}

/* Flags of the folder that holds all workspaces: what a new one inherits. */
static int flags_above(const char *path)
{
    const char *slash = strrchr(path, '/');
    PEN_CLEANUP(pen_free)
    char *above = slash == NULL ? NULL : pen_strdup_printf("%.*s", (int)(slash - path), path);
    PEN_CLEANUP(dir_close) DIR *folder = above == NULL ? NULL : open_folder(above);
    return folder == NULL ? -1 : flags_of(dirfd(folder));
}

/* Whether nothing but its content, which is gone, tells it from a new one. */
static bool is_new(const char *path, int flags)
{
    if (!is_plain(path, flags))
        return false;
    for (size_t i = 0; i < PEN_WORKSPACE_PARTS; i++) {
        PEN_CLEANUP(pen_free) char *part = pen_strdup_printf("%s/%s", path, pen_workspace_parts[i]);
        if (part == NULL || !is_plain(part, flags))
            return false;
    }
    return true;
}

void pen_workspaces_spread(const char *path)
{
    PEN_CLEANUP(dir_close) DIR *folder = open_folder(path);
    int flags = 0;
    if (folder == NULL || ioctl(dirfd(folder), FS_IOC_GETFLAGS, &flags) < 0)
        return;
    flags |= FS_TOPDIR_FL;
    (void)ioctl(dirfd(folder), FS_IOC_SETFLAGS, &flags);
}

bool pen_workspace_clean(const char *path, struct pen_error *err)
{
    PEN_CLEANUP(dir_close) DIR *folder = open_folder(path);
    if (folder != NULL && empty_all(path, folder) && is_new(path, flags_above(path)))
        return true;
    (void)pen_dir_remove_tree(path, err);
    return false;
}
