/* tests/sim/disk.c - files in memory that forget what was not synced, fill up and break */
#include "tests/sim/disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/error.h"
#include "tests/sim/sim.h"

enum { FD_BASE = 100000 }; /* no descriptor of this process is that large */

static struct sim *installation;

void disk_attach(struct sim *sim)
{
    installation = sim;
}

/* ---- content */

void disk_clear(struct disk *self)
{
    for (size_t i = 0; i < self->writes_count; i++)
        free(self->writes[i].before);
    free(self->writes);
    for (int i = 0; i < DISK_FILES; i++)
        free(self->files[i].bytes);
    *self = (struct disk){0};
}

static void revert(struct disk *self, const struct disk_write *write, size_t from, size_t to)
{
    memcpy(self->files[write->file].bytes + from, write->before + (from - write->offset),
           to - from);
}

void disk_copy(struct disk *self, const struct disk *from)
{
    disk_clear(self);
    for (int i = 0; i < DISK_FILES; i++) {
        self->files[i].size = from->files[i].size;
        self->files[i].bytes = mem_zero(from->files[i].size + 1);
        if (from->files[i].size > 0)
            memcpy(self->files[i].bytes, from->files[i].bytes, from->files[i].size);
    }
    for (size_t i = from->writes_count; i > 0; i--) {
        const struct disk_write *write = &from->writes[i - 1];
        revert(self, write, write->offset, write->offset + write->size);
    }
}

static void forget_writes(struct disk *self, int file)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->writes_count; i++) {
        if (self->writes[i].file == file)
            free(self->writes[i].before);
        else
            self->writes[kept++] = self->writes[i];
    }
    self->writes_count = kept;
}

/* How many of the unsynced writes have reached this sector. */
static size_t reached(uint64_t chance, const struct disk_write *write, size_t sector, size_t count)
{
    uint64_t mixed =
        (chance ^ ((uint64_t)write->file << 40) ^ sector) * UINT64_C(0x9e3779b97f4a7c15);
    mixed ^= mixed >> 29;
    switch (mixed % 3) {
    case 0:
        return 0;
    case 1:
        return count;
    default:
        return (size_t)((mixed >> 8) % (count + 1));
    }
}

void disk_lose_power(struct disk *self, uint64_t chance)
{
    for (size_t i = self->writes_count; i > 0; i--) {
        const struct disk_write *write = &self->writes[i - 1];
        size_t end = write->offset + write->size;
        for (size_t at = write->offset; at < end;) {
            size_t sector = at / DISK_SECTOR;
            size_t to = (sector + 1) * DISK_SECTOR < end ? (sector + 1) * DISK_SECTOR : end;
            if (i > reached(chance, write, sector, self->writes_count))
                revert(self, write, at, to);
            at = to;
        }
    }
    for (int i = 0; i < DISK_FILES; i++)
        forget_writes(self, i);
    self->limited = self->fails_sync = false;
}

/* ---- the calls that the journal makes */

static struct disk *disk_of(int fd, int *ret_file)
{
    CHECK(fd >= FD_BASE && fd < FD_BASE + SIM_HOSTS_MAX * DISK_FILES);
    *ret_file = (fd - FD_BASE) % DISK_FILES;
    return &installation->hosts[(fd - FD_BASE) / DISK_FILES].disk;
}

int __wrap_pen_file_open(const char *path, int flags, mode_t mode, int *ret_fd,
                         struct pen_error *err);
int __wrap_pen_file_read(const char *path, size_t size_max, struct pen_buf *ret_bytes,
                         struct pen_error *err);
int __wrap_pen_dir_sync(const char *path, struct pen_error *err);
void __wrap_pen_fd_close(int *fd);
int __wrap_flock(int fd, int operation);
int __wrap_fstat(int fd, struct stat *facts);
int __wrap_fdatasync(int fd);
ssize_t __wrap_pread(int fd, void *bytes, size_t size, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t offset);

/* "HOST/lock", "HOST/journal.0", "HOST/journal.1" */
static int fd_of(const char *path)
{
    char *end = NULL;
    long host = strtol(path, &end, 10);
    CHECK(host >= 0 && host < SIM_HOSTS_MAX && *end == '/');
    size_t size = strlen(path);
    int file = path[size - 1] == '0' ? 0 : path[size - 1] == '1' ? 1 : 2;
    return FD_BASE + (int)host * DISK_FILES + file;
}

int __wrap_pen_file_open(const char *path, int flags, mode_t mode, int *ret_fd,
                         struct pen_error *err)
{
    (void)flags;
    (void)mode;
    (void)err;
    *ret_fd = fd_of(path);
    return 0;
}

int __wrap_pen_file_read(const char *path, size_t size_max, struct pen_buf *ret_bytes,
                         struct pen_error *err)
{
    (void)err;
    int file;
    const struct disk *disk = disk_of(fd_of(path), &file);
    CHECK(disk->files[file].size <= size_max);
    pen_buf_append(ret_bytes, disk->files[file].bytes, disk->files[file].size);
    return 0;
}

int __wrap_pen_dir_sync(const char *path, struct pen_error *err)
{
    (void)path;
    (void)err;
    return 0;
}

void __wrap_pen_fd_close(int *fd)
{
    *fd = -1;
}

int __wrap_flock(int fd, int operation)
{
    (void)fd;
    (void)operation;
    return 0;
}

int __wrap_fstat(int fd, struct stat *facts)
{
    int file;
    const struct disk *disk = disk_of(fd, &file);
    *facts = (struct stat){.st_size = (off_t)disk->files[file].size};
    return 0;
}

ssize_t __wrap_pread(int fd, void *bytes, size_t size, off_t offset)
{
    int file;
    const struct disk *disk = disk_of(fd, &file);
    size_t from = (size_t)offset;
    if (from >= disk->files[file].size)
        return 0;
    size_t there = disk->files[file].size - from;
    memcpy(bytes, disk->files[file].bytes + from, size < there ? size : there);
    return (ssize_t)(size < there ? size : there);
}

static void put(struct disk *disk, int file, const void *bytes, size_t size, size_t offset)
{
    struct disk_file *into = &disk->files[file];
    if (offset + size > into->size) {
        into->bytes = realloc(into->bytes, offset + size);
        CHECK(into->bytes != NULL);
        memset(into->bytes + into->size, 0, offset + size - into->size);
        into->size = offset + size;
    }
    if (disk->writes_count == disk->writes_room) {
        disk->writes_room = disk->writes_room == 0 ? 16 : 2 * disk->writes_room;
        disk->writes = realloc(disk->writes, disk->writes_room * sizeof disk->writes[0]);
        CHECK(disk->writes != NULL);
    }
    struct disk_write *write = &disk->writes[disk->writes_count++];
    *write = (struct disk_write){file, offset, size, mem_zero(size)};
    memcpy(write->before, into->bytes + offset, size);
    memcpy(into->bytes + offset, bytes, size);
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    int file;
    struct disk *disk = disk_of(fd, &file);
    if (disk->full && (size_t)offset + size > disk->files[file].size) {
        errno = ENOSPC;
        return -1;
    }
    size_t can = disk->limited && disk->write_left < size ? disk->write_left : size;
    if (can == 0 && size > 0) {
        errno = EIO;
        return -1;
    }
    put(disk, file, bytes, can, (size_t)offset);
    if (disk->limited)
        disk->write_left -= can;
    return (ssize_t)can;
}

int __wrap_fdatasync(int fd)
{
    int file;
    struct disk *disk = disk_of(fd, &file);
    if (disk->fails_sync || disk->limited) {
        disk->fails_sync = false;
        errno = EIO;
        return -1;
    }
    forget_writes(disk, file);
    return 0;
}
