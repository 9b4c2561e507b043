#include "common/blob/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/blob/store_internal.h"
#include "common/io/file.h"

enum {
    COMPRESSION_LEVEL = 1, /* 490 MB/s; higher levels gain a few per cent */
    SYNC_EACH_MAX = 16,    /* more files or folders than this: one syncfs for all of them */
    PENDING_MAX = 4 << 20, /* 256 GiB of chunks: far above what a manifest can list */
};

static size_t slot_of(const struct pen_blob_store *self, const uint8_t sha256[PEN_SHA256_SIZE])
{
    uint64_t hash;
    memcpy(&hash, sha256, sizeof hash);
    return (size_t)hash & (self->index_size - 1);
}

struct pen_blob_pending *pen_blob_pending_find(const struct pen_blob_store *self,
                                               const uint8_t sha256[PEN_SHA256_SIZE])
{
    if (self->pending_count == 0)
        return NULL;
    for (size_t i = slot_of(self, sha256); self->index[i]; i = (i + 1) & (self->index_size - 1)) {
        struct pen_blob_pending *pending = &self->pending[self->index[i] - 1];
        if (memcmp(pending->sha256, sha256, PEN_SHA256_SIZE) == 0)
            return pending;
    }
    return NULL;
}

static void index_put(struct pen_blob_store *self, size_t position)
{
    size_t i = slot_of(self, self->pending[position].sha256);
    while (self->index[i])
        i = (i + 1) & (self->index_size - 1);
    self->index[i] = (uint32_t)position + 1;
}

/* Room for one more pending blob; the index stays at most half full. */
static int pending_reserve(struct pen_blob_store *self, struct pen_error *err)
{
    if (self->pending_count < self->pending_capacity)
        return 0;
    size_t capacity = self->pending_capacity ? self->pending_capacity * 2 : 64;
    if (capacity > PENDING_MAX)
        return pen_fail(err, PEN_ELIMIT, "more than %d blobs without a sync", PENDING_MAX / 2);
    struct pen_blob_pending *pending = realloc(self->pending, capacity * sizeof *self->pending);
    if (pending)
        self->pending = pending;
    uint32_t *index = calloc(capacity * 2, sizeof *index);
    if (!pending || !index) {
        free(index);
        return pen_fail(err, PEN_ENOMEM, "no memory for %zu blobs", capacity);
    }
    free(self->index);
    self->index = index;
    self->index_size = capacity * 2;
    self->pending_capacity = capacity;
    for (size_t i = 0; i < self->pending_count; i++)
        index_put(self, i);
    return 0;
}

/* Write a compressed blob into tmp and remember it. */
static int pending_add(struct pen_blob_store *self, const uint8_t sha256[PEN_SHA256_SIZE],
                       const void *bytes, size_t size, struct pen_error *err)
{
    int rc = pending_reserve(self, err);
    if (rc < 0)
        return rc;
    char name[PEN_BLOB_TMP_SIZE];
    pen_blob_tmp_name(self, self->next_number, name);
    PEN_CLEANUP(pen_fd_close)
    int fd = openat(self->folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return pen_fail_errno(err, "%s/%s", self->folder, name);
    rc = pen_file_write_all(fd, bytes, size, err);
    if (rc < 0) {
        (void)unlinkat(self->folder_fd, name, 0);
        return pen_error_prefix(err, "%s/%s", self->folder, name);
    }
    struct pen_blob_pending *pending = &self->pending[self->pending_count];
    *pending = (struct pen_blob_pending){.number = self->next_number++};
    memcpy(pending->sha256, sha256, PEN_SHA256_SIZE);
    index_put(self, self->pending_count++);
    return 0;
}

int pen_blob_put(struct pen_blob_store *self, const void *bytes, size_t size,
                 uint8_t ret_sha256[PEN_SHA256_SIZE], struct pen_error *err)
{
    CHECK(self->writable);
    if (size > PEN_MANIFEST_MAX)
        return pen_fail(err, PEN_ELIMIT, "a blob of %zu bytes: at most %d", size, PEN_MANIFEST_MAX);
    uint8_t sha256[PEN_SHA256_SIZE];
    pen_sha256(bytes, size, sha256);
    if (!pen_blob_renew(self, sha256)) {
        size_t bound = ZSTD_compressBound(size);
        pen_buf_clear(&self->scratch);
        uint8_t *room = pen_buf_reserve(&self->scratch, bound);
        if (!room)
            return pen_fail(err, PEN_ENOMEM, "no memory to compress %zu bytes", size);
        size_t packed =
            ZSTD_compressCCtx(self->compressor, room, bound, bytes, size, COMPRESSION_LEVEL);
        if (ZSTD_isError(packed))
            return pen_fail(err, PEN_ENOMEM, "zstd: %s", ZSTD_getErrorName(packed));
        int rc = pending_add(self, sha256, room, packed, err);
        if (rc < 0)
            return rc;
    }
    memcpy(ret_sha256, sha256, sizeof sha256);
    return 0;
}

int pen_blob_put_compressed(struct pen_blob_store *self, const uint8_t sha256[PEN_SHA256_SIZE],
                            const void *bytes, size_t size, size_t plain_size_max,
                            struct pen_error *err)
{
    CHECK(self->writable);
    pen_buf_clear(&self->scratch);
    int rc = pen_blob_decompress(self, sha256, bytes, size, plain_size_max, &self->scratch, err);
    if (rc < 0 || pen_blob_renew(self, sha256))
        return rc;
    return pending_add(self, sha256, bytes, size, err);
}

/* The bytes of all pending files to disk. */
static int sync_files(struct pen_blob_store *self, struct pen_error *err)
{
    if (self->pending_count > SYNC_EACH_MAX)
        return syncfs(self->folder_fd) < 0 ? pen_fail_errno(err, "sync of %s", self->folder) : 0;
    for (size_t i = 0; i < self->pending_count; i++) {
        if (self->pending[i].visible)
            continue;
        char name[PEN_BLOB_TMP_SIZE];
        pen_blob_tmp_name(self, self->pending[i].number, name);
        PEN_CLEANUP(pen_fd_close) int fd = openat(self->folder_fd, name, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fdatasync(fd) < 0)
            return pen_fail_errno(err, "sync of %s/%s", self->folder, name);
    }
    return 0;
}

static int make_visible(struct pen_blob_store *self, struct pen_blob_pending *pending,
                        struct pen_error *err)
{
    char tmp[PEN_BLOB_TMP_SIZE];
    char name[PEN_BLOB_NAME_SIZE];
    pen_blob_tmp_name(self, pending->number, tmp);
    pen_blob_name(pending->sha256, name);
    if (renameat(self->folder_fd, tmp, self->folder_fd, name) < 0) {
        const char folder[3] = {name[0], name[1], '\0'};
        if (errno != ENOENT)
            return pen_fail_errno(err, "blob %s in %s", name, self->folder);
        if (mkdirat(self->folder_fd, folder, 0700) < 0 && errno != EEXIST)
            return pen_fail_errno(err, "%s/%s", self->folder, folder);
        if (renameat(self->folder_fd, tmp, self->folder_fd, name) < 0)
            return pen_fail_errno(err, "blob %s in %s", name, self->folder);
    }
    pending->visible = true;
    pen_blob_set_verified(self, pending->sha256);
    return 0;
}

/* The names to disk: those in the touched folders, and those of folders that may be new. */
static int sync_folders(struct pen_blob_store *self, const bool touched[256], size_t count,
                        struct pen_error *err)
{
    bool all_known = true;
    if (count > SYNC_EACH_MAX)
        return syncfs(self->folder_fd) < 0 ? pen_fail_errno(err, "sync of %s", self->folder) : 0;
    for (unsigned i = 0; i < 256; i++) {
        if (!touched[i])
            continue;
        all_known = all_known && self->known[i];
        char name[3];
        (void)snprintf(name, sizeof name, "%02x", i & 0xffu);
        PEN_CLEANUP(pen_fd_close)
        int fd = openat(self->folder_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
            return pen_fail_errno(err, "sync of %s/%s", self->folder, name);
    }
    if (!all_known && fsync(self->folder_fd) < 0)
        return pen_fail_errno(err, "sync of %s", self->folder);
    for (unsigned i = 0; i < 256; i++)
        self->known[i] = self->known[i] || touched[i];
    return 0;
}

int pen_blob_store_sync(struct pen_blob_store *self, struct pen_error *err)
{
    CHECK(self->writable);
    if (self->pending_count == 0)
        return 0;
    int rc = sync_files(self, err);
    if (rc < 0)
        return rc;
    bool touched[256] = {false};
    size_t touched_count = 0;
    pen_blob_lock(self, LOCK_SH);
    for (size_t i = 0; rc == 0 && i < self->pending_count; i++) {
        struct pen_blob_pending *pending = &self->pending[i];
        if (!pending->visible)
            rc = make_visible(self, pending, err);
        touched_count += !touched[pending->sha256[0]];
        touched[pending->sha256[0]] = true;
    }
    pen_blob_unlock(self);
    if (rc < 0 || (rc = sync_folders(self, touched, touched_count, err)) < 0)
        return rc;
    memset(self->index, 0, self->index_size * sizeof *self->index);
    self->pending_count = 0;
    return 0;
}
