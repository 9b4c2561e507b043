#include "common/blob/archive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/blob/chunker.h"
#include "common/blob/tar.h"
#include "common/wire/wire.h"

enum {
    WINDOW_SIZE = 4 * PEN_CHUNK_MAX, /* bytes held before they are cut */
    PATH_SIZE_MAX = 4095,            /* PATH_MAX without its zero */
};

struct chunk {
    uint8_t sha256[PEN_SHA256_SIZE];
    uint32_t size;
};

struct pen_packer {
    struct pen_blob_store *store;
    struct pen_chunker chunker;
    struct pen_sha256_stream *digest; /* of the whole stream */
    uint8_t *window;
    size_t window_used;
    struct chunk *chunks;
    size_t chunks_count;
    size_t chunks_capacity;
    uint64_t size;
    uint64_t entries;
    struct pen_buf last_path; /* as sorted: a folder ends in '/' */
    struct pen_buf header;
    bool broken; /* an entry is only half in the stream */
};

int pen_packer_create(struct pen_blob_store *store, struct pen_packer **ret_packer,
                      struct pen_error *err)
{
    PEN_CLEANUP(pen_packer_destroy) struct pen_packer *self = calloc(1, sizeof *self);
    if (!self || !(self->window = malloc(WINDOW_SIZE)))
        return pen_fail(err, PEN_ENOMEM, "no memory for an artifact");
    self->store = store;
    pen_chunker_init(&self->chunker);
    int rc = pen_sha256_stream_create(&self->digest, err);
    if (rc < 0)
        return rc;
    *ret_packer = TAKE_PTR(self);
    return 0;
}

void pen_packer_destroy(struct pen_packer **self_p)
{
    struct pen_packer *self = TAKE_PTR(*self_p);
    if (!self)
        return;
    pen_sha256_stream_destroy(&self->digest);
    pen_buf_release(&self->last_path);
    pen_buf_release(&self->header);
    free(self->chunks);
    free(self->window);
    free(self);
}

static int chunk_add(struct pen_packer *self, const uint8_t *bytes, size_t size,
                     struct pen_error *err)
{
    if (self->chunks_count == self->chunks_capacity) {
        size_t capacity = self->chunks_capacity ? self->chunks_capacity * 2 : 64;
        struct chunk *chunks = realloc(self->chunks, capacity * sizeof *chunks);
        if (!chunks)
            return pen_fail(err, PEN_ENOMEM, "no memory for %zu chunks", capacity);
        self->chunks = chunks;
        self->chunks_capacity = capacity;
    }
    struct chunk *chunk = &self->chunks[self->chunks_count];
    int rc = pen_blob_put(self->store, bytes, size, chunk->sha256, err);
    if (rc < 0)
        return rc;
    chunk->size = (uint32_t)size;
    self->chunks_count++;
    return 0;
}

/* Cut chunks off the window while what is left is enough for the cut not to depend on what follows,
 * or to the end of it. */
static int cut_window(struct pen_packer *self, bool last, struct pen_error *err)
{
    size_t start = 0;
    while (self->window_used - start >= (last ? 1 : PEN_CHUNK_MAX)) {
        size_t size =
            pen_chunker_cut(&self->chunker, self->window + start, self->window_used - start);
        int rc = chunk_add(self, self->window + start, size, err);
        if (rc < 0)
            return rc;
        start += size;
    }
    self->window_used -= start;
    memmove(self->window, self->window + start, self->window_used);
    return 0;
}

/* Bytes were written at the end of the window. */
static int window_added(struct pen_packer *self, size_t size, struct pen_error *err)
{
    pen_sha256_stream_add(self->digest, self->window + self->window_used, size);
    self->window_used += size;
    self->size += size;
    return self->window_used == WINDOW_SIZE ? cut_window(self, false, err) : 0;
}

static int stream_add(struct pen_packer *self, const void *bytes, size_t size,
                      struct pen_error *err)
{
    const uint8_t *from = bytes;
    while (size > 0) {
        size_t part = WINDOW_SIZE - self->window_used;
        part = part < size ? part : size;
        memcpy(self->window + self->window_used, from, part);
        int rc = window_added(self, part, err);
        if (rc < 0)
            return rc;
        from += part;
        size -= part;
    }
    return 0;
}

static int stream_add_file(struct pen_packer *self, const char *path, int fd, uint64_t size,
                           struct pen_error *err)
{
    while (size > 0) {
        size_t room = WINDOW_SIZE - self->window_used;
        ssize_t got = read(fd, self->window + self->window_used, room < size ? room : (size_t)size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return pen_fail_errno(err, "%s", path);
        if (got == 0)
            return pen_fail(err, PEN_EIO, "%s became shorter while it was read", path);
        int rc = window_added(self, (size_t)got, err);
        if (rc < 0)
            return rc;
        size -= (uint64_t)got;
    }
    return 0;
}

static int stream_pad(struct pen_packer *self, uint64_t size, struct pen_error *err)
{
    static const uint8_t zeros[2 * PEN_TAR_BLOCK];
    CHECK(size <= sizeof zeros);
    return stream_add(self, zeros, (size_t)size, err);
}

/* Check the path and write the header. From here on a failure leaves half an entry behind. */
static int entry_begin(struct pen_packer *self, enum pen_tar_kind kind, const char *path,
                       const char *target, bool executable, uint64_t size, struct pen_error *err)
{
    if (self->broken)
        return pen_fail(err, PEN_ECONFLICT, "the artifact has failed before");
    if (strlen(path) > PATH_SIZE_MAX || strlen(target) > PATH_SIZE_MAX)
        return pen_fail(err, PEN_EINVAL, "a path of more than %d bytes: %.100s...", PATH_SIZE_MAX,
                        path);
    if (!pen_tar_path_valid(path))
        return pen_fail(err, PEN_EINVAL, "'%s' is no path inside an artifact", path);
    PEN_CLEANUP(pen_buf_release) struct pen_buf name = {0};
    pen_buf_puts(&name, path);
    if (kind == PEN_TAR_FOLDER)
        pen_buf_putc(&name, '/');
    if (self->entries > 0 && strcmp(pen_buf_text(&self->last_path), pen_buf_text(&name)) >= 0)
        return pen_fail(err, PEN_EINVAL, "'%s' does not come after '%s'", pen_buf_text(&name),
                        pen_buf_text(&self->last_path));
    pen_buf_clear(&self->header);
    pen_tar_header(&self->header, kind, pen_buf_text(&name), target, executable, size);
    int rc = pen_buf_ok(&name, err);
    if (rc < 0 || (rc = pen_buf_ok(&self->header, err)) < 0)
        return rc;
    self->broken = true;
    rc = stream_add(self, self->header.data, self->header.size, err);
    if (rc < 0)
        return rc;
    pen_buf_release(&self->last_path);
    self->last_path = name;
    name = (struct pen_buf){0};
    self->entries++;
    return 0;
}

static int entry_end(struct pen_packer *self, uint64_t size, struct pen_error *err)
{
    int rc = stream_pad(self, pen_tar_padding(size), err);
    self->broken = rc < 0;
    return rc;
}

int pen_packer_add_folder(struct pen_packer *self, const char *path, struct pen_error *err)
{
    int rc = entry_begin(self, PEN_TAR_FOLDER, path, "", false, 0, err);
    return rc < 0 ? rc : entry_end(self, 0, err);
}

int pen_packer_add_bytes(struct pen_packer *self, const char *path, bool executable,
                         const void *bytes, size_t size, struct pen_error *err)
{
    int rc = entry_begin(self, PEN_TAR_FILE, path, "", executable, size, err);
    if (rc < 0 || (rc = stream_add(self, bytes, size, err)) < 0)
        return rc;
    return entry_end(self, size, err);
}

int pen_packer_add_file(struct pen_packer *self, const char *path, bool executable, int fd,
                        uint64_t size, struct pen_error *err)
{
    int rc = entry_begin(self, PEN_TAR_FILE, path, "", executable, size, err);
    if (rc < 0 || (rc = stream_add_file(self, path, fd, size, err)) < 0)
        return rc;
    return entry_end(self, size, err);
}

int pen_packer_add_link(struct pen_packer *self, const char *path, const char *target,
                        struct pen_error *err)
{
    if (!pen_tar_link_stays_inside(path, target))
        return pen_fail(err, PEN_EDENIED,
                        "the link '%s' to '%s' leads out of the artifact: links have to be "
                        "relative, and go up only at their start",
                        path, target);
    int rc = entry_begin(self, PEN_TAR_LINK, path, target, false, 0, err);
    return rc < 0 ? rc : entry_end(self, 0, err);
}

/* Pack the manifest from arrays that it only borrows. */
static int manifest_pack(const struct pen_packer *self, struct pen_buf *ret_bytes,
                         struct pen_error *err)
{
    PEN_CLEANUP(pen_free)
    Pen__ManifestChunk *chunks = calloc(self->chunks_count, sizeof *chunks);
    PEN_CLEANUP(pen_free)
    Pen__ManifestChunk **list = calloc(self->chunks_count, sizeof *list);
    if (!chunks || !list)
        return pen_fail(err, PEN_ENOMEM, "no memory for a manifest of %zu chunks",
                        self->chunks_count);
    for (size_t i = 0; i < self->chunks_count; i++) {
        pen__manifest_chunk__init(&chunks[i]);
        chunks[i].has_sha256 = 1;
        chunks[i].sha256.data = self->chunks[i].sha256;
        chunks[i].sha256.len = PEN_SHA256_SIZE;
        chunks[i].has_size = 1;
        chunks[i].size = self->chunks[i].size;
        list[i] = &chunks[i];
    }
    uint8_t digest[PEN_SHA256_SIZE];
    pen_sha256_stream_digest(self->digest, digest);
    Pen__Manifest manifest = PEN__MANIFEST__INIT;
    manifest.has_format = manifest.has_size = manifest.has_sha256 = manifest.has_files = 1;
    manifest.format = 1;
    manifest.size = self->size;
    manifest.sha256.data = digest;
    manifest.sha256.len = sizeof digest;
    manifest.files = self->entries;
    manifest.n_chunks = self->chunks_count;
    manifest.chunks = list;
    return pen_wire_pack(&manifest, ret_bytes, err);
}

int pen_packer_finish(struct pen_packer *self, Pen__ArtifactRef *ret_ref, struct pen_error *err)
{
    if (self->broken)
        return pen_fail(err, PEN_ECONFLICT, "the artifact has failed before");
    self->broken = true; /* nothing can be added any more */
    int rc = stream_pad(self, (uint64_t)2 * PEN_TAR_BLOCK, err);
    if (rc < 0 || (rc = cut_window(self, true, err)) < 0)
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
    ret_ref->size = self->size;
    return 0;
}
