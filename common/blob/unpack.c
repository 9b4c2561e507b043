/* Artifacts of format 2, written below a folder: folders and files first, then, when no content is
 * written any more, links, and the modes and times of folders. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/blob/crc32.h"
#include "common/blob/entry.h"
#include "common/blob/unpack_internal.h"
#include "common/io/file.h"
#include "common/io/nest.h"
#include "common/wire/wire.h"

const struct pen_unpack_limits pen_unpack_default = {.bytes_max = UINT64_C(64) << 30,
                                                     .entries_max = 1000000};

/* A folder that the unpacker is in. */
struct folder {
    size_t path_size; /* with its '/' */
    mode_t mode;
    struct timespec mtime;
};

struct unpacker {
    const Pen__Manifest *manifest;
    struct pen_chunks entries;
    struct pen_chunks contents;
    uint64_t contents_left;
    const struct pen_unpack_limits *limits;
    uint64_t bytes; /* of entries and of files, so far */
    uint64_t entries_count;
    bool last_pass;
    struct pen_nest *nest;
    struct pen_buf place; /* path of the folder at hand; ends in '/', or is "" */
    struct folder *folders;
    size_t folders_count;
    size_t folders_capacity;
    struct pen_buf last_path; /* of the entry before, as sorted */
    struct pen_buf packed;    /* scratch */
};

/* ---- chunks as a stream */

void pen_chunks_release(struct pen_chunks *self)
{
    pen_buf_release(&self->bytes);
}

static int load_chunk(struct pen_chunks *self, struct pen_error *err)
{
    const Pen__ManifestChunk *chunk = self->manifest->chunks[self->next++];
    pen_buf_clear(&self->bytes);
    self->used = 0;
    int rc = pen_blob_get(self->store, chunk->sha256.data, PEN_CHUNK_MAX, &self->bytes, err);
    if (rc == 0 && self->bytes.size != chunk->size)
        return pen_fail(err, PEN_ECORRUPT, "chunk %zu has not the size it should", self->next - 1);
    return rc;
}

int pen_chunks_read(struct pen_chunks *self, size_t size_max, const uint8_t **ret_bytes,
                    size_t *ret_size, struct pen_error *err)
{
    if (self->used == self->bytes.size && self->next < self->end) {
        int rc = load_chunk(self, err);
        if (rc < 0)
            return rc;
    }
    size_t left = self->bytes.size - self->used;
    *ret_size = left < size_max ? left : size_max;
    *ret_bytes = self->bytes.data + self->used;
    self->used += *ret_size;
    return 0;
}

/* Exactly size bytes into ret_bytes; 1: the stream has ended before the first one. */
static int read_exactly(struct pen_chunks *chunks, size_t size, struct pen_buf *ret_bytes,
                        struct pen_error *err)
{
    pen_buf_clear(ret_bytes);
    while (ret_bytes->size < size) {
        const uint8_t *bytes = NULL;
        size_t got = 0;
        int rc = pen_chunks_read(chunks, size - ret_bytes->size, &bytes, &got, err);
        if (rc < 0)
            return rc;
        if (got == 0 && ret_bytes->size == 0)
            return 1;
        if (got == 0)
            return pen_fail(err, PEN_ECORRUPT, "the entries of the artifact are cut off");
        pen_buf_append(ret_bytes, bytes, got);
        if ((rc = pen_buf_ok(ret_bytes, err)) < 0)
            return rc;
    }
    return 0;
}

/* ---- entries */

/* The next entry, or NULL at the end. */
static int next_entry(struct unpacker *self, Pen__ArtifactEntry **ret_entry, struct pen_error *err)
{
    size_t size = 0;
    int rc = read_exactly(&self->entries, PEN_ENTRY_FRAME, &self->packed, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    if ((rc = pen_entry_frame_size(self->packed.data, &size, err)) < 0 ||
        (rc = read_exactly(&self->entries, size, &self->packed, err)) < 0)
        return rc;
    if (rc == 1)
        return pen_fail(err, PEN_ECORRUPT, "the entries of the artifact are cut off");
    return pen_entry_parse(self->packed.data, self->packed.size, ret_entry, err);
}

static int check_limits(struct unpacker *self, const Pen__ArtifactEntry *entry,
                        struct pen_error *err)
{
    if (++self->entries_count > self->limits->entries_max)
        return pen_fail(err, PEN_ELIMIT, "the artifact has more than %" PRIu64 " entries",
                        self->limits->entries_max);
    uint64_t more = self->packed.size;
    if (more > self->limits->bytes_max - self->bytes ||
        entry->size > self->limits->bytes_max - self->bytes - more)
        return pen_fail(err, PEN_ELIMIT, "the artifact unpacks to more than %" PRIu64 " bytes",
                        self->limits->bytes_max);
    self->bytes += more + entry->size;
    return 0;
}

/* Entries come sorted: so none comes twice, and a folder's are together. */
static int check_order(struct unpacker *self, const Pen__ArtifactEntry *entry,
                       struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf name = {0};
    pen_buf_append(&name, entry->path.data, entry->path.len);
    if (entry->kind == PEN__ENTRY_KIND__ENTRY_FOLDER)
        pen_buf_putc(&name, '/');
    int rc = pen_buf_ok(&name, err);
    if (rc == 0 && self->last_path.size > 0 &&
        strcmp(pen_buf_text(&self->last_path), pen_buf_text(&name)) >= 0)
        return pen_fail(err, PEN_EDENIED, "'%.200s' comes after '%.200s', out of order",
                        pen_buf_text(&name), pen_buf_text(&self->last_path));
    pen_buf_release(&self->last_path);
    self->last_path = name;
    name = (struct pen_buf){0};
    return rc;
}

/* ---- places */

static int set_facts(int fd, mode_t mode, struct timespec mtime, const char *path,
                     struct pen_error *err)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, mtime};
    return fchmod(fd, mode) < 0 || futimens(fd, times) < 0 ? pen_fail_errno(err, "%s", path) : 0;
}

static struct timespec time_of(const Pen__ArtifactEntry *entry)
{
    return entry->has_mtime_s
               ? (struct timespec){.tv_sec = entry->mtime_s, .tv_nsec = (long)entry->mtime_ns}
               : (struct timespec){.tv_sec = PEN_ARCHIVE_FIXED_TIME_S};
}

static int leave(struct unpacker *self, struct pen_error *err)
{
    PEN_CLEANUP(pen_fd_close) int fd = -1;
    int rc = pen_nest_leave(self->nest, &fd, err);
    if (rc < 0)
        return rc;
    CHECK(self->folders_count > 0);
    const struct folder *left = &self->folders[--self->folders_count];
    if (self->last_pass)
        rc = set_facts(fd, left->mode, left->mtime, pen_buf_text(&self->place), err);
    self->place.size = self->folders_count == 0 ? 0 : (left - 1)->path_size;
    self->place.data[self->place.size] = '\0';
    return rc;
}

/* Go to the folder that the entry is in; ret_name is its name there. Going up is enough: the folder
 * has to be an entry before it. */
static int go_to(struct unpacker *self, const char *path, const char **ret_name,
                 struct pen_error *err)
{
    while (self->folders_count > 0 &&
           strncmp(path, pen_buf_text(&self->place), self->place.size) != 0) {
        int rc = leave(self, err);
        if (rc < 0)
            return rc;
    }
    *ret_name = path + self->place.size;
    if (strchr(*ret_name, '/'))
        return pen_fail(err, PEN_EDENIED, "'%.200s' passes through what is no folder", path);
    return 0;
}

static int enter(struct unpacker *self, const Pen__ArtifactEntry *entry, const char *name,
                 struct pen_error *err)
{
    const char *path = pen_entry_path(entry);
    if (self->folders_count == self->folders_capacity) {
        size_t capacity = self->folders_capacity ? self->folders_capacity * 2 : 32;
        struct folder *folders = reallocarray(self->folders, capacity, sizeof *folders);
        if (!folders)
            return pen_fail(err, PEN_ENOMEM, "no memory for %zu nested folders", capacity);
        self->folders = folders;
        self->folders_capacity = capacity;
    }
    if (!self->last_pass && mkdirat(pen_nest_fd(self->nest), name, 0700) < 0 && errno != EEXIST)
        return pen_fail_errno(err, "%s", path);
    int rc = pen_nest_enter(self->nest, name, err);
    if (rc == PEN_ECONFLICT)
        return pen_fail(err, PEN_EDENIED, "'%.200s' is there already, and no folder", path);
    if (rc < 0)
        return pen_error_prefix(err, "%.200s", path);
    self->folders[self->folders_count++] = (struct folder){
        .path_size = entry->path.len + 1, .mode = entry->mode, .mtime = time_of(entry)};
    pen_buf_clear(&self->place);
    pen_buf_append(&self->place, entry->path.data, entry->path.len);
    pen_buf_putc(&self->place, '/');
    return pen_buf_ok(&self->place, err);
}

/* Remove what an older tree has there. */
static int make_room(const struct unpacker *self, const char *name, const char *path,
                     struct pen_error *err)
{
    if (unlinkat(pen_nest_fd(self->nest), name, 0) == 0 || errno == ENOENT)
        return 0;
    return errno == EISDIR || errno == EPERM
               ? pen_fail(err, PEN_EDENIED, "'%.200s' is there already, and a folder", path)
               : pen_fail_errno(err, "%s", path);
}

/* ---- files and links */

static int write_content(struct unpacker *self, const Pen__ArtifactEntry *entry, int fd,
                         struct pen_error *err)
{
    const char *path = pen_entry_path(entry);
    if (entry->size > self->contents_left)
        return pen_fail(err, PEN_ECORRUPT, "'%.200s' is longer than what is there of it", path);
    self->contents_left -= entry->size;
    uint32_t crc = 0;
    for (uint64_t left = entry->size; left > 0;) {
        const uint8_t *bytes = NULL;
        size_t got = 0;
        int rc = pen_chunks_read(&self->contents, left < SIZE_MAX ? (size_t)left : SIZE_MAX, &bytes,
                                 &got, err);
        if (rc < 0)
            return rc;
        CHECK(got > 0); /* contents_left is the sum of the chunks */
        crc = pen_crc32(crc, bytes, got);
        if ((rc = pen_file_write_all(fd, bytes, got, err)) < 0)
            return pen_error_prefix(err, "%.200s", path);
        left -= got;
    }
    if (crc != entry->crc32)
        return pen_fail(err, PEN_ECORRUPT, "'%.200s' does not fit its CRC-32", path);
    return 0;
}

static int write_file(struct unpacker *self, const Pen__ArtifactEntry *entry, const char *name,
                      struct pen_error *err)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    const char *path = pen_entry_path(entry);
    int folder = pen_nest_fd(self->nest);
    PEN_CLEANUP(pen_fd_close) int fd = openat(folder, name, flags, 0600);
    if (fd < 0 && errno == EEXIST) {
        int rc = make_room(self, name, path, err);
        if (rc < 0)
            return rc;
        fd = openat(folder, name, flags, 0600);
    }
    if (fd < 0)
        return pen_fail_errno(err, "%s", path);
    int rc = write_content(self, entry, fd, err);
    return rc < 0 ? rc : set_facts(fd, entry->mode, time_of(entry), path, err);
}

static int make_link(struct unpacker *self, const Pen__ArtifactEntry *entry, const char *name,
                     struct pen_error *err)
{
    const char *path = pen_entry_path(entry);
    const char *target = (const char *)entry->target.data;
    int folder = pen_nest_fd(self->nest);
    int result = symlinkat(target, folder, name);
    if (result < 0 && errno == EEXIST) {
        int rc = make_room(self, name, path, err);
        if (rc < 0)
            return rc;
        result = symlinkat(target, folder, name);
    }
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time_of(entry)};
    if (result < 0 || utimensat(folder, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return pen_fail_errno(err, "%s", path);
    return 0;
}

/* ---- passes */

static int unpack_entry(struct unpacker *self, const Pen__ArtifactEntry *entry,
                        struct pen_error *err)
{
    const char *name = NULL;
    int rc = check_order(self, entry, err);
    if (rc == 0 && !self->last_pass)
        rc = check_limits(self, entry, err);
    if (rc < 0 || (rc = go_to(self, pen_entry_path(entry), &name, err)) < 0)
        return rc;
    if (entry->kind == PEN__ENTRY_KIND__ENTRY_FOLDER)
        return enter(self, entry, name, err);
    bool link = entry->kind == PEN__ENTRY_KIND__ENTRY_LINK;
    if (link != self->last_pass)
        return 0;
    return link ? make_link(self, entry, name, err) : write_file(self, entry, name, err);
}

static int pass(struct unpacker *self, struct pen_error *err)
{
    self->entries.next = self->entries.used = 0;
    pen_buf_clear(&self->entries.bytes);
    pen_buf_clear(&self->last_path);
    for (;;) {
        PEN_CLEANUP(pen_message_destroy) Pen__ArtifactEntry *entry = NULL;
        int rc = next_entry(self, &entry, err);
        if (rc < 0 || (entry && (rc = unpack_entry(self, entry, err)) < 0))
            return rc;
        if (!entry)
            break;
    }
    while (self->folders_count > 0) {
        int rc = leave(self, err);
        if (rc < 0)
            return rc;
    }
    if (self->contents_left > 0)
        return pen_fail(err, PEN_ECORRUPT, "%" PRIu64 " bytes of the artifact belong to no file",
                        self->contents_left);
    return 0;
}

static int unpack_entries(const struct pen_blob_store *store, const Pen__Manifest *manifest,
                          int root_fd, const struct pen_unpack_limits *limits,
                          struct pen_error *err)
{
    struct unpacker self = {
        .manifest = manifest,
        .entries = {.store = store, .manifest = manifest},
        .contents = {.store = store, .manifest = manifest, .end = manifest->n_chunks},
        .contents_left = manifest->size - manifest->entries_size,
        .limits = limits};
    for (uint64_t size = 0; size < manifest->entries_size; self.entries.end++)
        size += manifest->chunks[self.entries.end]->size;
    self.contents.next = self.entries.end;
    int rc = pen_nest_create(root_fd, &self.nest, err);
    if (rc == 0)
        rc = pass(&self, err);
    self.last_pass = true;
    if (rc == 0)
        rc = pass(&self, err);
    pen_nest_destroy(&self.nest);
    pen_chunks_release(&self.entries);
    pen_chunks_release(&self.contents);
    pen_buf_release(&self.place);
    pen_buf_release(&self.last_path);
    pen_buf_release(&self.packed);
    free(self.folders);
    return rc;
}

int pen_archive_unpack(const struct pen_blob_store *store,
                       const uint8_t manifest_sha256[PEN_SHA256_SIZE], const char *folder,
                       const struct pen_unpack_limits *limits, struct pen_error *err)
{
    PEN_CLEANUP(pen_fd_close) int root_fd = -1;
    PEN_CLEANUP(pen_message_destroy) Pen__Manifest *manifest = NULL;
    int rc = pen_manifest_get(store, manifest_sha256, &manifest, err);
    if (rc < 0 || (rc = pen_file_open(folder, O_RDONLY | O_DIRECTORY, 0, &root_fd, err)) < 0)
        return rc;
    if (manifest->format == 1)
        return pen_unpack_tar(store, manifest, root_fd, limits, err);
    int taken = root_fd;
    root_fd = -1;
    return unpack_entries(store, manifest, taken, limits, err);
}
