/* Keeping and dropping: what is about to be used is renewed, what is old and unused goes.
 *
 * Both hold a lock on the folder, shared for renewing, for one blob at a time. So a blob that was
 * found and renewed is there for as long as its time says.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/blob/archive.h"
#include "common/blob/store_internal.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/wire/wire.h"

void pen_blob_lock(const struct pen_blob_store *self, int how)
{
    while (flock(self->folder_fd, how) < 0)
        CHECK(errno == EINTR);
}

void pen_blob_unlock(const struct pen_blob_store *self)
{
    CHECK(flock(self->folder_fd, LOCK_UN) == 0);
}

static int64_t modified_ms(const struct stat *status)
{
    return (int64_t)status->st_mtim.tv_sec * 1000 + status->st_mtim.tv_nsec / 1000000;
}

/* ---- renewing */

static bool renew(const struct pen_blob_store *self, const char *name)
{
    struct stat status;
    if (fstatat(self->folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    int64_t age_ms = pen_clock_wall_ms() - modified_ms(&status);
    if (age_ms >= 0 && age_ms < PEN_LIMIT_BLOB_RENEW_MS)
        return true; /* as good as new */
    return utimensat(self->folder_fd, name, NULL, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Read it once. Without memory nothing is known, and it stays what it was held for. */
static bool is_good(const struct pen_blob_store *self, const uint8_t sha256[PEN_SHA256_SIZE])
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf plain = {0};
    int rc = pen_blob_get(self, sha256, PEN_MANIFEST_MAX, &plain, NULL);
    return rc == 0 || rc == PEN_ENOMEM;
}

bool pen_blob_renew(struct pen_blob_store *self, const uint8_t sha256[PEN_SHA256_SIZE])
{
    CHECK(self->writable);
    if (pen_blob_pending_find(self, sha256))
        return true;
    char name[PEN_BLOB_NAME_SIZE];
    pen_blob_name(sha256, name);
    pen_blob_lock(self, LOCK_SH);
    bool there = renew(self, name);
    pen_blob_unlock(self);
    bool verified = pen_blob_is_verified(self, sha256);
    if (!there && verified)
        pen_blob_doubt(self); /* somebody has dropped it, maybe for damage */
    return there && (verified || is_good(self, sha256));
}

int pen_manifest_renew(struct pen_blob_store *store, const uint8_t manifest_sha256[PEN_SHA256_SIZE],
                       Pen__Manifest **ret_manifest, uint8_t ret_lacking[PEN_SHA256_SIZE],
                       struct pen_error *err)
{
    memcpy(ret_lacking, manifest_sha256, PEN_SHA256_SIZE);
    if (!pen_blob_renew(store, manifest_sha256))
        return pen_fail(err, PEN_ENOTFOUND, "the manifest is lacking");
    PEN_CLEANUP(pen_message_destroy) Pen__Manifest *manifest = NULL;
    int rc = pen_manifest_get(store, manifest_sha256, &manifest, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < manifest->n_chunks; i++) {
        if (pen_blob_renew(store, manifest->chunks[i]->sha256.data))
            continue;
        memcpy(ret_lacking, manifest->chunks[i]->sha256.data, PEN_SHA256_SIZE);
        return pen_fail(err, PEN_ENOTFOUND,
                        "chunk %zu of %zu is lacking; ask which ones are, and send them", i,
                        manifest->n_chunks);
    }
    if (ret_manifest != NULL)
        *ret_manifest = TAKE_PTR(manifest);
    return 0;
}

/* ---- dropping */

static bool digest_of(unsigned folder, const char *file, uint8_t ret_sha256[PEN_SHA256_SIZE])
{
    char hex[PEN_SHA256_HEX];
    if (strlen(file) != PEN_SHA256_HEX - 3)
        return false;
    (void)snprintf(hex, sizeof hex, "%02x%s", folder & 0xffu, file);
    return pen_hex_decode(hex, ret_sha256, PEN_SHA256_SIZE, NULL) == 0;
}

static int each_of(unsigned folder, DIR *stream, pen_blob_each *each, void *context,
                   struct pen_error *err)
{
    const struct dirent *entry;
    while ((entry = readdir(stream)) != NULL) {
        struct pen_blob_found found = {.modified_ms = 0};
        struct stat status;
        if (!digest_of(folder, entry->d_name, found.sha256) ||
            fstatat(dirfd(stream), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(status.st_mode))
            continue;
        found.modified_ms = modified_ms(&status);
        found.stored_size = (uint64_t)status.st_size;
        int rc = each(context, &found, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int pen_blob_list(const struct pen_blob_store *self, unsigned folder, pen_blob_each *each,
                  void *context, struct pen_error *err)
{
    CHECK(folder < PEN_BLOB_FOLDERS);
    char name[3];
    (void)snprintf(name, sizeof name, "%02x", folder & 0xffu);
    int fd = openat(self->folder_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (stream == NULL) {
        int rc = pen_fail_errno(err, "%s/%s", self->folder, name);
        pen_fd_close(&fd);
        return rc;
    }
    int rc = each_of(folder, stream, each, context, err);
    (void)closedir(stream);
    return rc < 0 ? rc : 0;
}

void pen_blob_drop_damaged(const struct pen_blob_store *self, const char *name,
                           const struct stat *file, const struct pen_error *why)
{
    struct stat status;
    pen_blob_lock(self, LOCK_EX); /* nobody puts a good one in its place meanwhile */
    if (fstatat(self->folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        status.st_dev == file->st_dev && status.st_ino == file->st_ino &&
        unlinkat(self->folder_fd, name, 0) == 0) {
        if (self->health->damaged++ == 0)
            (void)snprintf(self->health->first, sizeof self->health->first, "%s", why->message);
    }
    pen_blob_unlock(self);
    pen_blob_doubt(self); /* a disk seldom damages one block alone */
}

int pen_blob_drop(const struct pen_blob_store *self, const uint8_t sha256[PEN_SHA256_SIZE],
                  int64_t before_ms, bool *ret_dropped, struct pen_error *err)
{
    char name[PEN_BLOB_NAME_SIZE];
    pen_blob_name(sha256, name);
    struct stat status;
    int rc = 0;
    *ret_dropped = false;
    pen_blob_lock(self, LOCK_EX);
    if (fstatat(self->folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        modified_ms(&status) < before_ms) {
        if (unlinkat(self->folder_fd, name, 0) < 0)
            rc = pen_fail_errno(err, "blob %s in %s", name, self->folder);
        else
            *ret_dropped = true;
    }
    pen_blob_unlock(self);
    return rc;
}
