/* Artifacts of format 1: a tar stream, written below a folder. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/blob/entry.h"
#include "common/blob/unpack_internal.h"
#include "common/io/file.h"

/* libarchive only parses. Everything is written by name relative to a folder that was opened part
 * by part without following any link: there is no path that could lead out, wherever links point.
 */
struct unpacker {
    struct pen_chunks chunks;
    struct pen_error chunk_error; /* code 0: none */

    int root_fd;
    int parent_fd;              /* of parent_path; -1: none is open */
    struct pen_buf parent_path; /* "" is the root */

    const struct pen_unpack_limits *limits;
    uint64_t bytes;
    uint64_t entries;
};

static la_ssize_t next_chunk(struct archive *archive, void *data, const void **ret_bytes)
{
    struct unpacker *self = data;
    const uint8_t *bytes = NULL;
    size_t size = 0;
    if (pen_chunks_read(&self->chunks, PEN_CHUNK_MAX, &bytes, &size, &self->chunk_error) < 0) {
        archive_set_error(archive, EIO, "%s", self->chunk_error.message);
        return ARCHIVE_FATAL;
    }
    *ret_bytes = bytes;
    return (la_ssize_t)size;
}

static int fail_archive(const struct unpacker *self, struct archive *archive, struct pen_error *err)
{
    if (self->chunk_error.code < 0)
        return pen_fail(err, self->chunk_error.code, "%s", self->chunk_error.message);
    const char *text = archive_error_string(archive);
    return pen_fail(err, PEN_ECORRUPT, "the artifact's tar stream: %s", text ? text : "unreadable");
}

/* Open one more folder below fd, and make it when it is missing. */
static int enter(int fd, const char *name, const char *path, int *ret_fd, struct pen_error *err)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int next = openat(fd, name, flags);
    if (next < 0 && errno == ENOENT) {
        if (mkdirat(fd, name, 0755) < 0 && errno != EEXIST)
            return pen_fail_errno(err, "%s", path);
        next = openat(fd, name, flags);
    }
    if (next < 0 && (errno == ELOOP || errno == ENOTDIR))
        return pen_fail(err, PEN_EDENIED, "'%s' passes through '%s', which is no folder", path,
                        name);
    if (next < 0)
        return pen_fail_errno(err, "%s", path);
    *ret_fd = next;
    return 0;
}

/* Walk to a folder. path has been checked. */
static int walk(int root_fd, const char *path, int *ret_fd, struct pen_error *err)
{
    PEN_CLEANUP(pen_fd_close) int fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return pen_fail_errno(err, "%s", path);
    for (const char *part = path; *part;) {
        size_t size = strcspn(part, "/");
        char name[NAME_MAX + 1];
        if (size >= sizeof name)
            return pen_fail(err, PEN_EDENIED, "'%s' has a part of more than %d bytes", path,
                            NAME_MAX);
        memcpy(name, part, size);
        name[size] = '\0';
        int next = -1;
        int rc = enter(fd, name, path, &next, err);
        if (rc < 0)
            return rc;
        pen_fd_close(&fd);
        fd = next;
        part += size + (part[size] == '/');
    }
    *ret_fd = fd;
    fd = -1;
    return 0;
}

/* Have parent_fd be the folder of path; entries come sorted, so it mostly is. */
static int parent_of(struct unpacker *self, const char *path, const char **ret_name,
                     struct pen_error *err)
{
    const char *slash = strrchr(path, '/');
    size_t size = slash ? (size_t)(slash - path) : 0;
    *ret_name = slash ? slash + 1 : path;
    if (self->parent_fd >= 0 && self->parent_path.size == size &&
        memcmp(pen_buf_text(&self->parent_path), path, size) == 0)
        return 0;
    pen_fd_close(&self->parent_fd);
    pen_buf_clear(&self->parent_path);
    pen_buf_append(&self->parent_path, path, size);
    int rc = pen_buf_ok(&self->parent_path, err);
    if (rc < 0)
        return rc;
    return walk(self->root_fd, pen_buf_text(&self->parent_path), &self->parent_fd, err);
}

static int write_data(struct unpacker *self, struct archive *archive, const char *path,
                      uint64_t size, int fd, struct pen_error *err)
{
    uint64_t written = 0;
    for (;;) {
        const void *bytes = NULL;
        size_t part = 0;
        la_int64_t offset = 0;
        int result = archive_read_data_block(archive, &bytes, &part, &offset);
        if (result == ARCHIVE_EOF)
            break;
        if (result != ARCHIVE_OK)
            return fail_archive(self, archive, err);
        if ((uint64_t)offset != written || part > size - written)
            return pen_fail(err, PEN_ECORRUPT, "'%s' has holes or another size than it says", path);
        int rc = pen_file_write_all(fd, bytes, part, err);
        if (rc < 0)
            return pen_error_prefix(err, "%s", path);
        written += part;
    }
    if (written != size)
        return pen_fail(err, PEN_ECORRUPT, "'%s' is shorter than it says", path);
    return 0;
}

/* Format 1 knows no times: the one for all. */
static int set_time(int fd, const char *path, struct pen_error *err)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                      {.tv_sec = PEN_ARCHIVE_FIXED_TIME_S}};
    return futimens(fd, times) < 0 ? pen_fail_errno(err, "%s", path) : 0;
}

static int write_file(struct unpacker *self, struct archive *archive, struct archive_entry *entry,
                      const char *path, struct pen_error *err)
{
    la_int64_t said = archive_entry_size(entry);
    uint64_t size = said < 0 ? UINT64_MAX : (uint64_t)said;
    if (size > self->limits->bytes_max - self->bytes)
        return pen_fail(err, PEN_ELIMIT, "the artifact unpacks to more than %" PRIu64 " bytes",
                        self->limits->bytes_max);
    self->bytes += size;
    const char *name;
    int rc = parent_of(self, path, &name, err);
    if (rc < 0)
        return rc;
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    /* Nothing but these bits: no setuid, no setgid, no sticky. */
    mode_t mode = archive_entry_mode(entry) & 0100 ? 0755 : 0644;
    PEN_CLEANUP(pen_fd_close) int fd = openat(self->parent_fd, name, flags, mode);
    if (fd < 0 && errno == EEXIST && unlinkat(self->parent_fd, name, 0) == 0)
        fd = openat(self->parent_fd, name, flags, mode);
    if (fd < 0)
        return pen_fail_errno(err, "%s", path);
    int rc_data = write_data(self, archive, path, size, fd, err);
    return rc_data < 0 ? rc_data : set_time(fd, path, err);
}

static int write_link(struct unpacker *self, struct archive_entry *entry, const char *path,
                      struct pen_error *err)
{
    const char *target = archive_entry_symlink(entry);
    if (!target || !*target)
        return pen_fail(err, PEN_ECORRUPT, "the link '%s' has no target", path);
    const char *name;
    int rc = parent_of(self, path, &name, err);
    if (rc < 0)
        return rc;
    int result = symlinkat(target, self->parent_fd, name);
    if (result < 0 && errno == EEXIST && unlinkat(self->parent_fd, name, 0) == 0)
        result = symlinkat(target, self->parent_fd, name);
    return result < 0 ? pen_fail_errno(err, "%s", path) : 0;
}

static int write_folder(struct unpacker *self, const char *path, struct pen_error *err)
{
    PEN_CLEANUP(pen_fd_close) int fd = -1;
    return walk(self->root_fd, path, &fd, err);
}

static int write_entry(struct unpacker *self, struct archive *archive, struct archive_entry *entry,
                       struct pen_error *err)
{
    if (++self->entries > self->limits->entries_max)
        return pen_fail(err, PEN_ELIMIT, "the artifact has more than %" PRIu64 " entries",
                        self->limits->entries_max);
    const char *said = archive_entry_pathname(entry);
    PEN_CLEANUP(pen_free) char *path = strdup(said ? said : "");
    if (!path)
        return pen_fail(err, PEN_ENOMEM, "no memory for a path");
    unsigned type = archive_entry_filetype(entry);
    size_t size = strlen(path);
    if (type == AE_IFDIR && size > 1 && path[size - 1] == '/')
        path[size - 1] = '\0';
    if (!pen_entry_path_valid(path))
        return pen_fail(err, PEN_EDENIED, "'%s' is no path inside an artifact", path);
    if (archive_entry_hardlink(entry))
        return pen_fail(err, PEN_EDENIED, "'%s' is a hard link: not allowed in an artifact", path);
    switch (type) {
    case AE_IFREG:
        return write_file(self, archive, entry, path, err);
    case AE_IFDIR:
        return write_folder(self, path, err);
    case AE_IFLNK:
        return write_link(self, entry, path, err);
    default:
        return pen_fail(err, PEN_EDENIED,
                        "'%s' is a device or another special file: not allowed in an artifact",
                        path);
    }
}

static void archive_release(struct archive **archive)
{
    if (*archive)
        (void)archive_read_free(*archive);
    *archive = NULL;
}

static int unpack_stream(struct unpacker *self, struct pen_error *err)
{
    PEN_CLEANUP(archive_release) struct archive *archive = archive_read_new();
    if (!archive)
        return pen_fail(err, PEN_ENOMEM, "no memory to read an artifact");
    /* Only tar, and no compression: the chunks carry their own. */
    if (archive_read_support_format_tar(archive) != ARCHIVE_OK ||
        archive_read_open(archive, self, NULL, next_chunk, NULL) != ARCHIVE_OK)
        return fail_archive(self, archive, err);
    for (;;) {
        struct archive_entry *entry = NULL;
        int result = archive_read_next_header(archive, &entry);
        if (result == ARCHIVE_EOF)
            return 0;
        if (result != ARCHIVE_OK)
            return fail_archive(self, archive, err);
        int rc = write_entry(self, archive, entry, err);
        if (rc < 0)
            return rc;
    }
}

int pen_unpack_tar(const struct pen_blob_store *store, const Pen__Manifest *manifest, int root_fd,
                   const struct pen_unpack_limits *limits, struct pen_error *err)
{
    struct unpacker unpacker = {
        .chunks = {.store = store, .manifest = manifest, .end = manifest->n_chunks},
        .root_fd = root_fd,
        .parent_fd = -1,
        .limits = limits};
    int rc = unpack_stream(&unpacker, err);
    pen_chunks_release(&unpacker.chunks);
    pen_buf_release(&unpacker.parent_path);
    pen_fd_close(&unpacker.parent_fd);
    return rc;
}
