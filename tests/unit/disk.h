/* tests/unit/disk.h - a disk that loses, at a power cut, whatever was not synced
 *
 * Included once by a test program, it takes the place of the C library's fsync, fdatasync and
 * syncfs: each notes what is durable from then on, file by file and name by name. disk_cut() makes
 * the tree that a machine may find after the cut: of a name that was not synced nothing, of a file
 * whose bytes were not synced an empty one.
 */
#ifndef PEN_TESTS_UNIT_DISK_H
#define PEN_TESTS_UNIT_DISK_H

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/io/file.h"

static char disk_root[256];   /* what is watched; "": nothing */
static char disk_shadow[256]; /* FILE-<inode>: durable bytes; NAMES-<inode>: durable names */
static atomic_flag disk_lock = ATOMIC_FLAG_INIT;

static inline void disk_check(bool good, const char *what)
{
    if (!good) {
        (void)fprintf(stderr, "the simulated disk: %s\n", what);
        abort();
    }
}

static inline void disk_shadow_path(char kind, ino_t inode, char ret_path[512])
{
    (void)snprintf(ret_path, 512, "%s/%c%ju", disk_shadow, kind, (uintmax_t)inode);
}

static inline void disk_note_file(const char *path, ino_t inode)
{
    char shadow[512];
    struct pen_buf bytes = {0};
    disk_shadow_path('f', inode, shadow);
    disk_check(pen_file_read(path, SIZE_MAX / 2, &bytes, NULL) == 0 &&
                   pen_file_replace_unsynced(shadow, bytes.data, bytes.size, 0600, NULL) == 0,
               path);
    pen_buf_release(&bytes);
}

/* The names in one folder; deep: all that is below it, too. */
static inline void disk_note_folder(const char *path, ino_t inode, bool deep)
{
    char below[1024];
    char shadow[512];
    struct pen_buf names = {0};
    DIR *stream = opendir(path);
    if (stream == NULL)
        return; /* removed meanwhile */
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        struct stat status;
        (void)snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            lstat(below, &status) < 0)
            continue;
        pen_buf_printf(&names, "%c %ju %s\n", S_ISDIR(status.st_mode) ? 'd' : 'f',
                       (uintmax_t)status.st_ino, entry->d_name);
        if (deep && S_ISDIR(status.st_mode))
            disk_note_folder(below, status.st_ino, true);
        else if (deep && S_ISREG(status.st_mode))
            disk_note_file(below, status.st_ino);
    }
    (void)closedir(stream);
    disk_shadow_path('n', inode, shadow);
    disk_check(pen_file_replace_unsynced(shadow, names.data, names.size, 0600, NULL) == 0, path);
    pen_buf_release(&names);
}

static inline void disk_note(int fd, bool all)
{
    char link[64];
    char path[1024] = "";
    struct stat status;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (*disk_root == '\0' || readlink(link, path, sizeof path - 1) <= 0 ||
        strncmp(path, disk_root, strlen(disk_root)) != 0 || fstat(fd, &status) < 0)
        return;
    while (atomic_flag_test_and_set(&disk_lock))
        continue;
    if (all) {
        disk_check(stat(disk_root, &status) == 0, disk_root);
        disk_note_folder(disk_root, status.st_ino, true);
    } else if (S_ISDIR(status.st_mode)) {
        disk_note_folder(path, status.st_ino, false);
    } else {
        disk_note_file(path, status.st_ino);
    }
    atomic_flag_clear(&disk_lock);
}

int fsync(int fd)
{
    disk_note(fd, false);
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    disk_note(fd, false);
    return (int)syscall(SYS_fdatasync, fd);
}

int syncfs(int fd)
{
    disk_note(fd, true);
    return 0; /* the machine's disk has other users */
}

/* Watch the tree at root, all of which is durable now. */
static inline void disk_watch(const char *root)
{
    struct stat status;
    disk_check(realpath(root, disk_root) != NULL && stat(root, &status) == 0, root);
    (void)snprintf(disk_shadow, sizeof disk_shadow, "%.200s.shadow", disk_root);
    disk_check(mkdir(disk_shadow, 0700) == 0, disk_shadow);
    disk_note_folder(disk_root, status.st_ino, true);
}

static inline void disk_rebuild(const char *to, uintmax_t inode)
{
    char shadow[512];
    char path[1024];
    struct pen_buf names = {0};
    disk_check(mkdir(to, 0700) == 0, to);
    disk_shadow_path('n', (ino_t)inode, shadow);
    if (pen_file_read(shadow, SIZE_MAX / 2, &names, NULL) < 0)
        return; /* its names were never synced */
    char *next = NULL;
    for (char *line = (char *)names.data; line != NULL && *line != '\0'; line = next) {
        char kind = line[0];
        char *name = NULL;
        uintmax_t below = strtoumax(line + 2, &name, 10);
        next = strchr(line, '\n');
        *next++ = '\0';
        (void)snprintf(path, sizeof path, "%s/%s", to, name + 1);
        if (kind == 'd') {
            disk_rebuild(path, below);
            continue;
        }
        struct pen_buf bytes = {0};
        disk_shadow_path('f', (ino_t)below, shadow);
        (void)pen_file_read(shadow, SIZE_MAX / 2, &bytes, NULL);
        disk_check(pen_file_replace_unsynced(path, bytes.data, bytes.size, 0600, NULL) == 0, path);
        pen_buf_release(&bytes);
    }
    pen_buf_release(&names);
}

/* What a machine finds that lost its power now, as a new tree. */
static inline void disk_cut(const char *to)
{
    struct stat status;
    while (atomic_flag_test_and_set(&disk_lock))
        continue;
    disk_check(stat(disk_root, &status) == 0, disk_root);
    disk_rebuild(to, (uintmax_t)status.st_ino);
    atomic_flag_clear(&disk_lock);
}

/* Watch nothing any more. */
static inline void disk_forget(void)
{
    (void)pen_dir_remove_tree(disk_shadow, NULL);
    *disk_root = '\0';
}

#endif
