#include "common/blob/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/blob/store_internal.h"
#include "common/io/file.h"
#include "common/io/random.h"

/* No stored file is larger than the worst compression of the largest blob. */
static const size_t stored_size_max = ZSTD_COMPRESSBOUND(PEN_MANIFEST_MAX);

void pen_blob_name(const uint8_t sha256[PEN_SHA256_SIZE], char ret_name[PEN_BLOB_NAME_SIZE])
{
    char hex[PEN_SHA256_HEX];
    pen_hex_encode(sha256, PEN_SHA256_SIZE, hex);
    memcpy(ret_name, hex, 2);
    ret_name[2] = '/';
    memcpy(ret_name + 3, hex + 2, sizeof hex - 2);
}

void pen_blob_tmp_name(const struct pen_blob_store *self, uint64_t number,
                       char ret_name[PEN_BLOB_TMP_SIZE])
{
    (void)snprintf(ret_name, PEN_BLOB_TMP_SIZE, "tmp/%s-%" PRIu64, self->writer, number);
}

static int store_make(const char *folder, struct pen_blob_store **ret_store, struct pen_error *err)
{
    PEN_CLEANUP(pen_blob_store_close) struct pen_blob_store *store = calloc(1, sizeof *store);
    if (!store || !(store->folder = strdup(folder)))
        return pen_fail(err, PEN_ENOMEM, "no memory for the blob store %s", folder);
    store->folder_fd = -1;
    store->health = calloc(1, sizeof *store->health);
    if (!store->health)
        return pen_fail(err, PEN_ENOMEM, "no memory for the blob store %s", folder);
    store->decompressor = ZSTD_createDCtx();
    if (!store->decompressor)
        return pen_fail(err, PEN_ENOMEM, "no memory for a decompressor");
    int rc = pen_file_open(folder, O_RDONLY | O_DIRECTORY, 0, &store->folder_fd, err);
    if (rc < 0)
        return rc;
    *ret_store = TAKE_PTR(store);
    return 0;
}

int pen_blob_store_open_readonly(const char *folder, struct pen_blob_store **ret_store,
                                 struct pen_error *err)
{
    return store_make(folder, ret_store, err);
}

int pen_blob_store_open(const char *folder, struct pen_blob_store **ret_store,
                        struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf tmp = {0};
    pen_buf_printf(&tmp, "%s/tmp", folder);
    PEN_CLEANUP(pen_blob_store_close) struct pen_blob_store *store = NULL;
    int rc = pen_buf_ok(&tmp, err);
    if (rc < 0 || (rc = pen_dir_make(pen_buf_text(&tmp), 0700, err)) < 0 ||
        (rc = store_make(folder, &store, err)) < 0)
        return rc;
    CHECK(store != NULL);
    uint8_t random[8];
    rc = pen_random_bytes(random, sizeof random, err);
    if (rc < 0)
        return rc;
    pen_hex_encode(random, sizeof random, store->writer);
    store->compressor = ZSTD_createCCtx();
    store->health->verified = calloc(PEN_BLOB_VERIFIED_SLOTS, sizeof *store->health->verified);
    if (!store->compressor || !store->health->verified)
        return pen_fail(err, PEN_ENOMEM, "no memory for a compressor");
    store->writable = true;
    *ret_store = TAKE_PTR(store);
    return 0;
}

void pen_blob_store_close(struct pen_blob_store **self_p)
{
    struct pen_blob_store *self = TAKE_PTR(*self_p);
    if (!self)
        return;
    for (size_t i = 0; i < self->pending_count; i++) {
        char name[PEN_BLOB_TMP_SIZE];
        pen_blob_tmp_name(self, self->pending[i].number, name);
        if (!self->pending[i].visible)
            (void)unlinkat(self->folder_fd, name, 0);
    }
    ZSTD_freeCCtx(self->compressor);
    ZSTD_freeDCtx(self->decompressor);
    pen_buf_release(&self->scratch);
    pen_fd_close(&self->folder_fd);
    if (self->health)
        free(self->health->verified);
    free(self->health);
    free(self->pending);
    free(self->index);
    free(self->folder);
    free(self);
}

int pen_blob_store_clean(const char *folder, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf tmp = {0};
    pen_buf_printf(&tmp, "%s/tmp", folder);
    int rc = pen_buf_ok(&tmp, err);
    return rc < 0 ? rc : pen_dir_remove_tree(pen_buf_text(&tmp), err);
}

bool pen_blob_has(const struct pen_blob_store *self, const uint8_t sha256[PEN_SHA256_SIZE])
{
    if (pen_blob_pending_find(self, sha256))
        return true;
    char name[PEN_BLOB_NAME_SIZE];
    pen_blob_name(sha256, name);
    return faccessat(self->folder_fd, name, F_OK, 0) == 0;
}

static size_t verified_slot(const uint8_t sha256[PEN_SHA256_SIZE])
{
    return ((size_t)sha256[8] | (size_t)sha256[9] << 8) % PEN_BLOB_VERIFIED_SLOTS;
}

bool pen_blob_is_verified(const struct pen_blob_store *self, const uint8_t sha256[PEN_SHA256_SIZE])
{
    uint64_t beginning;
    memcpy(&beginning, sha256, sizeof beginning);
    return self->health->verified && self->health->verified[verified_slot(sha256)] == beginning;
}

void pen_blob_set_verified(const struct pen_blob_store *self, const uint8_t sha256[PEN_SHA256_SIZE])
{
    uint64_t beginning;
    memcpy(&beginning, sha256, sizeof beginning);
    if (self->health->verified)
        self->health->verified[verified_slot(sha256)] = beginning;
}

void pen_blob_doubt(const struct pen_blob_store *self)
{
    if (self->health->verified)
        memset(self->health->verified, 0, PEN_BLOB_VERIFIED_SLOTS * sizeof *self->health->verified);
}

bool pen_blob_store_damage(struct pen_blob_store *self, char ret_text[PEN_ERROR_MESSAGE_MAX])
{
    struct pen_blob_health *health = self->health;
    if (health->damaged == 0)
        return false;
    (void)snprintf(ret_text, PEN_ERROR_MESSAGE_MAX,
                   "%" PRIu64 " dropped from %.128s, to be had again from where a good one is; "
                   "first: %.256s",
                   health->damaged, self->folder, health->first);
    health->damaged = 0;
    return true;
}

static int read_all(int fd, const char *name, struct pen_buf *ret_bytes, struct pen_error *err)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return pen_fail_errno(err, "blob %s", name);
    if (status.st_size < 0 || (size_t)status.st_size > stored_size_max)
        return pen_fail(err, PEN_ECORRUPT, "blob %s: its file has %jd bytes", name,
                        (intmax_t)status.st_size);
    size_t size = (size_t)status.st_size;
    uint8_t *room = pen_buf_reserve(ret_bytes, size);
    if (!room)
        return pen_fail(err, PEN_ENOMEM, "no memory for blob %s", name);
    size_t done = 0;
    while (done < size) {
        ssize_t got = read(fd, room + done, size - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return pen_fail_errno(err, "blob %s", name);
        if (got == 0)
            return pen_fail(err, PEN_ECORRUPT, "blob %s: its file is cut off", name);
        done += (size_t)got;
    }
    pen_buf_added(ret_bytes, size);
    return 0;
}

/* The file's bytes, unverified. ret_visible: it is no pending one. */
static int read_stored(const struct pen_blob_store *self, const uint8_t sha256[PEN_SHA256_SIZE],
                       struct pen_buf *ret_bytes, struct stat *ret_file, bool *ret_visible,
                       struct pen_error *err)
{
    char name[PEN_BLOB_NAME_SIZE];
    pen_blob_name(sha256, name);
    char tmp[PEN_BLOB_TMP_SIZE];
    const struct pen_blob_pending *pending = pen_blob_pending_find(self, sha256);
    const char *path = name;
    *ret_visible = !pending || pending->visible;
    if (!*ret_visible) {
        pen_blob_tmp_name(self, pending->number, tmp);
        path = tmp;
    }
    PEN_CLEANUP(pen_fd_close) int fd = openat(self->folder_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return pen_fail(err, PEN_ENOTFOUND, "no blob %s in %s", name, self->folder);
    if (fd < 0 || fstat(fd, ret_file) < 0)
        return pen_fail_errno(err, "blob %s in %s", name, self->folder);
    return read_all(fd, name, ret_bytes, err);
}

int pen_blob_decompress(const struct pen_blob_store *self, const uint8_t sha256[PEN_SHA256_SIZE],
                        const void *bytes, size_t size, size_t plain_size_max,
                        struct pen_buf *ret_plain, struct pen_error *err)
{
    char name[PEN_BLOB_NAME_SIZE];
    pen_blob_name(sha256, name);
    /* One frame that says how much it holds: known before anything is unpacked. */
    unsigned long long plain_size = ZSTD_getFrameContentSize(bytes, size);
    if (plain_size == ZSTD_CONTENTSIZE_UNKNOWN || plain_size == ZSTD_CONTENTSIZE_ERROR ||
        ZSTD_findFrameCompressedSize(bytes, size) != size)
        return pen_fail(err, PEN_ECORRUPT, "blob %s: not one zstd frame of a known size", name);
    if (plain_size > plain_size_max)
        return pen_fail(err, PEN_ELIMIT, "blob %s: unpacks to %llu bytes, more than %zu", name,
                        plain_size, plain_size_max);
    uint8_t *room = pen_buf_reserve(ret_plain, plain_size ? (size_t)plain_size : 1);
    if (!room)
        return pen_fail(err, PEN_ENOMEM, "no memory for blob %s", name);
    size_t got = ZSTD_decompressDCtx(self->decompressor, room, (size_t)plain_size, bytes, size);
    if (ZSTD_isError(got) || got != plain_size)
        return pen_fail(err, PEN_ECORRUPT, "blob %s: zstd: %s", name,
                        ZSTD_isError(got) ? ZSTD_getErrorName(got) : "cut off");
    uint8_t digest[PEN_SHA256_SIZE];
    pen_sha256(room, got, digest);
    if (memcmp(digest, sha256, sizeof digest) != 0)
        return pen_fail(err, PEN_ECORRUPT, "blob %s: its bytes do not hash to its name", name);
    pen_buf_added(ret_plain, got);
    return 0;
}

/* Read and verify: a damaged blob is dropped. A caller's limit below what a blob may have is no
 * damage, but a frame that says more than it holds is. */
static int read_verified(const struct pen_blob_store *self, const uint8_t sha256[PEN_SHA256_SIZE],
                         size_t plain_size_max, struct pen_buf *ret_stored,
                         struct pen_buf *ret_plain, struct pen_error *err)
{
    struct pen_error why = {0};
    struct stat file = {0};
    bool visible = false;
    size_t before = ret_plain->size;
    int rc = read_stored(self, sha256, ret_stored, &file, &visible, &why);
    if (rc == 0)
        rc = pen_blob_decompress(self, sha256, ret_stored->data, ret_stored->size, PEN_MANIFEST_MAX,
                                 ret_plain, &why);
    char name[PEN_BLOB_NAME_SIZE];
    pen_blob_name(sha256, name);
    if (rc == PEN_ELIMIT)
        rc = pen_fail(&why, PEN_ECORRUPT, "blob %s: larger than any blob can be", name);
    if (rc == PEN_ECORRUPT && visible)
        pen_blob_drop_damaged(self, name, &file, &why);
    if (rc < 0)
        return pen_fail(err, rc, "%s", why.message);
    if (visible)
        pen_blob_set_verified(self, sha256);
    if (ret_plain->size - before <= plain_size_max)
        return 0;
    rc = pen_fail(err, PEN_ELIMIT, "blob %s: unpacks to %zu bytes, more than %zu", name,
                  ret_plain->size - before, plain_size_max);
    ret_plain->size = before;
    return rc;
}

int pen_blob_get(const struct pen_blob_store *self, const uint8_t sha256[PEN_SHA256_SIZE],
                 size_t plain_size_max, struct pen_buf *ret_bytes, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf stored = {0};
    return read_verified(self, sha256, plain_size_max, &stored, ret_bytes, err);
}

int pen_blob_get_compressed(const struct pen_blob_store *self,
                            const uint8_t sha256[PEN_SHA256_SIZE], struct pen_buf *ret_bytes,
                            struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf plain = {0};
    return read_verified(self, sha256, PEN_MANIFEST_MAX, ret_bytes, &plain, err);
}
