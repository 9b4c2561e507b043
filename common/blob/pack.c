#include "common/blob/archive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/blob/chunker.h"
#include "common/blob/crc32.h"
#include "common/blob/entry.h"
#include "common/wire/wire.h"

enum { WINDOW_SIZE = 4 * PEN_CHUNK_MAX }; /* bytes held before they are cut */

struct chunk {
    uint8_t sha256[PEN_SHA256_SIZE];
    uint32_t size;
};

/* A stream on its way into chunks. */
struct stream {
    uint8_t *window;
    size_t window_used;
    struct chunk *chunks;
    size_t chunks_count;
    size_t chunks_capacity;
    uint64_t size;
};

struct pen_packer {
    struct pen_blob_store *store;
    struct pen_chunker chunker;
    struct stream entries;
    struct stream contents;
    uint64_t entries_count;
    struct pen_buf last_path; /* as sorted: a folder ends in '/' */
    struct pen_buf folder;    /* the one that the next entry is in, or in one above; ends in '/' */
    struct pen_buf packed;    /* scratch */
    bool broken;              /* a content is only half in its stream */
};

int pen_packer_create(struct pen_blob_store *store, struct pen_packer **ret_packer,
                      struct pen_error *err)
{
    PEN_CLEANUP(pen_packer_destroy) struct pen_packer *self = calloc(1, sizeof *self);
    if (!self || !(self->entries.window = malloc(WINDOW_SIZE)) ||
        !(self->contents.window = malloc(WINDOW_SIZE)))
        return pen_fail(err, PEN_ENOMEM, "no memory for an artifact");
    self->store = store;
    pen_chunker_init(&self->chunker);
    *ret_packer = TAKE_PTR(self);
    return 0;
}

static void stream_release(struct stream *self)
{
    free(self->window);
    free(self->chunks);
}

void pen_packer_destroy(struct pen_packer **self_p)
{
    struct pen_packer *self = TAKE_PTR(*self_p);
    if (!self)
        return;
    pen_buf_release(&self->last_path);
    pen_buf_release(&self->folder);
    pen_buf_release(&self->packed);
    stream_release(&self->entries);
    stream_release(&self->contents);
    free(self);
}

/* ---- a stream */

static int chunk_add(struct pen_packer *self, struct stream *stream, const uint8_t *bytes,
                     size_t size, struct pen_error *err)
{
    if (stream->chunks_count == stream->chunks_capacity) {
        size_t capacity = stream->chunks_capacity ? stream->chunks_capacity * 2 : 64;
        struct chunk *chunks = realloc(stream->chunks, capacity * sizeof *chunks);
        if (!chunks)
            return pen_fail(err, PEN_ENOMEM, "no memory for %zu chunks", capacity);
        stream->chunks = chunks;
        stream->chunks_capacity = capacity;
    }
    struct chunk *chunk = &stream->chunks[stream->chunks_count];
    int rc = pen_blob_put(self->store, bytes, size, chunk->sha256, err);
    if (rc < 0)
        return rc;
    chunk->size = (uint32_t)size;
    stream->chunks_count++;
    return 0;
}

/* Cut chunks off the window while what is left is enough for the cut not to depend on what follows,
 * or to the end of it. */
static int cut_window(struct pen_packer *self, struct stream *stream, bool last,
                      struct pen_error *err)
{
    size_t start = 0;
    while (stream->window_used - start >= (last ? 1 : PEN_CHUNK_MAX)) {
        size_t size =
            pen_chunker_cut(&self->chunker, stream->window + start, stream->window_used - start);
        int rc = chunk_add(self, stream, stream->window + start, size, err);
        if (rc < 0)
            return rc;
        start += size;
    }
    stream->window_used -= start;
    memmove(stream->window, stream->window + start, stream->window_used);
    return 0;
}

/* Bytes were written at the end of the window. */
static int window_added(struct pen_packer *self, struct stream *stream, size_t size,
                        struct pen_error *err)
{
    stream->window_used += size;
    stream->size += size;
    return stream->window_used == WINDOW_SIZE ? cut_window(self, stream, false, err) : 0;
}

static int stream_add(struct pen_packer *self, struct stream *stream, const void *bytes,
                      size_t size, struct pen_error *err)
{
    const uint8_t *from = bytes;
    while (size > 0) {
        size_t part = WINDOW_SIZE - stream->window_used;
        part = part < size ? part : size;
        memcpy(stream->window + stream->window_used, from, part);
        int rc = window_added(self, stream, part, err);
        if (rc < 0)
            return rc;
        from += part;
        size -= part;
    }
    return 0;
}

static int contents_add_file(struct pen_packer *self, const char *path, int fd, uint64_t size,
                             uint32_t *ret_crc, struct pen_error *err)
{
    struct stream *stream = &self->contents;
    while (size > 0) {
        size_t room = WINDOW_SIZE - stream->window_used;
        uint8_t *into = stream->window + stream->window_used;
        ssize_t got = read(fd, into, room < size ? room : (size_t)size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return pen_fail_errno(err, "%s", path);
        if (got == 0)
            return pen_fail(err, PEN_EIO, "%s became shorter while it was read", path);
        *ret_crc = pen_crc32(*ret_crc, into, (size_t)got);
        int rc = window_added(self, stream, (size_t)got, err);
        if (rc < 0)
            return rc;
        size -= (uint64_t)got;
    }
    return 0;
}

/* ---- entries */

/* The folder of the entry has to have come before: it is the folder at hand, or one above it. */
static bool folder_is_known(struct pen_packer *self, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t size = slash ? (size_t)(slash - path) + 1 : 0;
    if (size > self->folder.size || memcmp(pen_buf_text(&self->folder), path, size) != 0)
        return false;
    if (size < self->folder.size) {
        self->folder.size = size;
        self->folder.data[size] = '\0';
    }
    return true;
}

/* Check the path, and that it comes in its turn. */
static int check_path(struct pen_packer *self, const char *path, bool folder, struct pen_error *err)
{
    if (self->broken)
        return pen_fail(err, PEN_ECONFLICT, "the artifact has failed before");
    if (strlen(path) > PEN_LIMIT_ARTIFACT_PATH_BYTES)
        return pen_fail(err, PEN_ELIMIT, "a path of more than %d bytes: %.100s...",
                        PEN_LIMIT_ARTIFACT_PATH_BYTES, path);
    if (!pen_entry_path_valid(path))
        return pen_fail(err, PEN_EINVAL, "'%s' is no path inside an artifact", path);
    PEN_CLEANUP(pen_buf_release) struct pen_buf name = {0};
    pen_buf_puts(&name, path);
    if (folder)
        pen_buf_putc(&name, '/');
    int rc = pen_buf_ok(&name, err);
    if (rc < 0)
        return rc;
    if (self->entries_count > 0 && strcmp(pen_buf_text(&self->last_path), pen_buf_text(&name)) >= 0)
        return pen_fail(err, PEN_EINVAL, "'%s' does not come after '%s'", pen_buf_text(&name),
                        pen_buf_text(&self->last_path));
    if (!folder_is_known(self, path))
        return pen_fail(err, PEN_EINVAL, "'%s' comes without the folder it is in", path);
    if (folder) {
        pen_buf_clear(&self->folder);
        pen_buf_append(&self->folder, name.data, name.size);
    }
    pen_buf_release(&self->last_path);
    self->last_path = name;
    name = (struct pen_buf){0};
    return pen_buf_ok(&self->folder, err);
}

static Pen__ArtifactEntry entry_of(Pen__EntryKind kind, const char *path,
                                   const struct pen_entry_facts *facts)
{
    Pen__ArtifactEntry entry = PEN__ARTIFACT_ENTRY__INIT;
    entry.has_kind = entry.has_path = entry.has_mtime_s = true;
    entry.kind = kind;
    entry.path = (ProtobufCBinaryData){strlen(path), (uint8_t *)(uintptr_t)path};
    entry.has_mode = kind != PEN__ENTRY_KIND__ENTRY_LINK;
    entry.mode = facts->mode & 0777;
    entry.mtime_s = facts->mtime_s;
    entry.has_mtime_ns = facts->mtime_ns != 0;
    entry.mtime_ns = facts->mtime_ns;
    return entry;
}

static int entry_add(struct pen_packer *self, const Pen__ArtifactEntry *entry,
                     struct pen_error *err)
{
    pen_buf_clear(&self->packed);
    int rc = pen_entry_append(&self->packed, entry, err);
    if (rc == 0)
        rc = stream_add(self, &self->entries, self->packed.data, self->packed.size, err);
    self->broken = rc < 0;
    self->entries_count++;
    return rc;
}

static int file_add(struct pen_packer *self, const char *path, const struct pen_entry_facts *facts,
                    uint64_t size, uint32_t crc, struct pen_error *err)
{
    Pen__ArtifactEntry entry = entry_of(PEN__ENTRY_KIND__ENTRY_FILE, path, facts);
    entry.has_size = true;
    entry.size = size;
    entry.has_crc32 = size > 0;
    entry.crc32 = crc;
    return entry_add(self, &entry, err);
}

int pen_packer_add_folder(struct pen_packer *self, const char *path,
                          const struct pen_entry_facts *facts, struct pen_error *err)
{
    Pen__ArtifactEntry entry = entry_of(PEN__ENTRY_KIND__ENTRY_FOLDER, path, facts);
    int rc = check_path(self, path, true, err);
    return rc < 0 ? rc : entry_add(self, &entry, err);
}

int pen_packer_add_bytes(struct pen_packer *self, const char *path,
                         const struct pen_entry_facts *facts, const void *bytes, size_t size,
                         struct pen_error *err)
{
    int rc = check_path(self, path, false, err);
    if (rc < 0)
        return rc;
    self->broken = true;
    rc = stream_add(self, &self->contents, bytes, size, err);
    return rc < 0 ? rc : file_add(self, path, facts, size, pen_crc32(0, bytes, size), err);
}

int pen_packer_add_file(struct pen_packer *self, const char *path,
                        const struct pen_entry_facts *facts, int fd, uint64_t size,
                        struct pen_error *err)
{
    uint32_t crc = 0;
    int rc = check_path(self, path, false, err);
    if (rc < 0)
        return rc;
    self->broken = true;
    rc = contents_add_file(self, path, fd, size, &crc, err);
    return rc < 0 ? rc : file_add(self, path, facts, size, crc, err);
}

int pen_packer_add_link(struct pen_packer *self, const char *path,
                        const struct pen_entry_facts *facts, const char *target,
                        struct pen_error *err)
{
    size_t size = strlen(target);
    if (size == 0 || size > PEN_ARCHIVE_TARGET_MAX)
        return pen_fail(err, PEN_EINVAL,
                        "the link '%s' has a target of %zu bytes: 1 to %d are possible", path, size,
                        PEN_ARCHIVE_TARGET_MAX);
    Pen__ArtifactEntry entry = entry_of(PEN__ENTRY_KIND__ENTRY_LINK, path, facts);
    entry.has_target = true;
    entry.target = (ProtobufCBinaryData){size, (uint8_t *)(uintptr_t)target};
    int rc = check_path(self, path, false, err);
    return rc < 0 ? rc : entry_add(self, &entry, err);
}

/* ---- the manifest */

static void list_chunks(const struct stream *stream, Pen__ManifestChunk *chunks,
                        Pen__ManifestChunk **list)
{
    for (size_t i = 0; i < stream->chunks_count; i++) {
        pen__manifest_chunk__init(&chunks[i]);
        chunks[i].has_sha256 = chunks[i].has_size = true;
        chunks[i].sha256.data = stream->chunks[i].sha256;
        chunks[i].sha256.len = PEN_SHA256_SIZE;
        chunks[i].size = stream->chunks[i].size;
        list[i] = &chunks[i];
    }
}

/* Pack the manifest from arrays that it only borrows. */
static int manifest_pack(const struct pen_packer *self, struct pen_buf *ret_bytes,
                         struct pen_error *err)
{
    size_t first = self->entries.chunks_count;
    size_t count = first + self->contents.chunks_count;
    PEN_CLEANUP(pen_free) Pen__ManifestChunk *chunks = calloc(count + 1, sizeof *chunks);
    PEN_CLEANUP(pen_free) Pen__ManifestChunk **list = calloc(count + 1, sizeof *list);
    if (!chunks || !list)
        return pen_fail(err, PEN_ENOMEM, "no memory for a manifest of %zu chunks", count);
    list_chunks(&self->entries, chunks, list);
    list_chunks(&self->contents, chunks + first, list + first);
    Pen__Manifest manifest = PEN__MANIFEST__INIT;
    manifest.has_format = manifest.has_size = manifest.has_files = manifest.has_entries_size = true;
    manifest.format = 2;
    manifest.size = self->entries.size + self->contents.size;
    manifest.files = self->entries_count;
    manifest.entries_size = self->entries.size;
    manifest.n_chunks = count;
    manifest.chunks = list;
    return pen_wire_pack(&manifest, ret_bytes, err);
}

int pen_packer_finish(struct pen_packer *self, Pen__ArtifactRef *ret_ref, struct pen_error *err)
{
    if (self->broken)
        return pen_fail(err, PEN_ECONFLICT, "the artifact has failed before");
    self->broken = true; /* nothing can be added any more */
    int rc = cut_window(self, &self->entries, true, err);
    if (rc < 0 || (rc = cut_window(self, &self->contents, true, err)) < 0)
        return rc;
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    uint8_t sha256[PEN_SHA256_SIZE];
    rc = manifest_pack(self, &bytes, err);
    if (rc < 0 || (rc = pen_blob_put(self->store, bytes.data, bytes.size, sha256, err)) < 0 ||
        (rc = pen_blob_store_sync(self->store, err)) < 0)
        return rc;
    uint8_t *copy = malloc(sizeof sha256);
    if (!copy)
        return pen_fail(err, PEN_ENOMEM, "no memory for a reference");
    memcpy(copy, sha256, sizeof sha256);
    ret_ref->has_manifest_sha256 = 1;
    ret_ref->manifest_sha256.data = copy;
    ret_ref->manifest_sha256.len = sizeof sha256;
    ret_ref->has_size = 1;
    ret_ref->size = self->entries.size + self->contents.size;
    return 0;
}
