/* common/blob/blob.h - content by digest: chunks and manifests, each stored once
 *
 * A blob is named by the SHA-256 of its plain bytes and kept zstd-compressed under
 * FOLDER/ab/cdef... A visible blob is whole, synced, and hashes to its name. New blobs are
 * written aside and become visible together, at pen_blob_store_sync().
 *
 * Disks change bytes. A blob that is read and does not hash to its name is dropped at once, so that
 * who has or can make a good one is asked for it; the owner of the store hears of it by
 * pen_blob_store_damage(). What somebody is about to rely on without reading it (pen_blob_renew) is
 * read, too: once in the life of a store, and again when damage was found.
 *
 * A store belongs to one thread, but any number of stores, in any process, may have the same folder
 * open and write to it: the same blob written twice is the same file.
 */
#ifndef PEN_COMMON_BLOB_BLOB_H
#define PEN_COMMON_BLOB_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/keys/digest.h"

enum {
    PEN_CHUNK_MIN = 16 * 1024,
    PEN_CHUNK_AVERAGE = 64 * 1024,
    PEN_CHUNK_MAX = 256 * 1024,
    PEN_MANIFEST_MAX =
        16 * 1024 * 1024, /* plain bytes of a packed manifest: about 400,000 chunks */
    PEN_BLOB_FOLDERS = 256,
};

struct pen_blob_store;

int pen_blob_store_open(const char *folder, struct pen_blob_store **ret_store,
                        struct pen_error *err);
/* Only has and get; nothing is made or written. Errors: PEN_ENOTFOUND when the folder is missing.
 */
int pen_blob_store_open_readonly(const char *folder, struct pen_blob_store **ret_store,
                                 struct pen_error *err);
/* What was put since the last sync is given up. */
void pen_blob_store_close(struct pen_blob_store **self_p);

/* Remove what writers that were killed have left in FOLDER/tmp. Only while no store has the folder
 * open for writing: once, at the start of the program that owns it. Fine when it is missing. */
int pen_blob_store_clean(const char *folder, struct pen_error *err);

/* Whether the blob is there, visible or waiting for sync. Who is going to rely on it asks
 * pen_blob_renew instead. */
bool pen_blob_has(const struct pen_blob_store *self, const uint8_t sha256[PEN_SHA256_SIZE]);

/* The same, and if it is there its bytes have been verified in the life of this store, and its time
 * is now (to within PEN_LIMIT_BLOB_RENEW_MS), so that nobody drops it as unused while it is about
 * to be used. A damaged one is dropped: false. */
bool pen_blob_renew(struct pen_blob_store *self, const uint8_t sha256[PEN_SHA256_SIZE]);

/* Store plain bytes; ret_sha256 is their name. Cheap when they are there already; they are renewed
 * then. */
int pen_blob_put(struct pen_blob_store *self, const void *bytes, size_t size,
                 uint8_t ret_sha256[PEN_SHA256_SIZE], struct pen_error *err);

/* Store a blob that came compressed, or renew it. plain_size_max bounds what it may unpack to.
 * Errors: PEN_ECORRUPT when it does not hash to sha256, PEN_ELIMIT. */
int pen_blob_put_compressed(struct pen_blob_store *self, const uint8_t sha256[PEN_SHA256_SIZE],
                            const void *bytes, size_t size, size_t plain_size_max,
                            struct pen_error *err);

/* The compressed bytes, as stored, verified. Errors: PEN_ENOTFOUND, PEN_ECORRUPT (dropped). */
int pen_blob_get_compressed(const struct pen_blob_store *self,
                            const uint8_t sha256[PEN_SHA256_SIZE], struct pen_buf *ret_bytes,
                            struct pen_error *err);

/* The plain bytes, verified. Errors: PEN_ENOTFOUND, PEN_ECORRUPT (dropped), PEN_ELIMIT (more than
 * plain_size_max). */
int pen_blob_get(const struct pen_blob_store *self, const uint8_t sha256[PEN_SHA256_SIZE],
                 size_t plain_size_max, struct pen_buf *ret_bytes, struct pen_error *err);

/* Make everything put since the last call durable and visible: one sync for all. After an error it
 * may be called again. Errors: PEN_ENOSPACE, PEN_EIO. */
int pen_blob_store_sync(struct pen_blob_store *self, struct pen_error *err);

/* What was found damaged and dropped since this was asked last: true, with one sentence for a log.
 */
bool pen_blob_store_damage(struct pen_blob_store *self, char ret_text[PEN_ERROR_MESSAGE_MAX]);

/* ---- dropping what nobody uses; with a read-only store, too */

struct pen_blob_found {
    uint8_t sha256[PEN_SHA256_SIZE];
    int64_t modified_ms;  /* written or renewed last */
    uint64_t stored_size; /* of its file */
};

/* Return 0 to go on, 1 to stop, or an error. */
typedef int pen_blob_each(void *context, const struct pen_blob_found *found, struct pen_error *err);

/* Every visible blob of one of the PEN_BLOB_FOLDERS folders, in no order. pen_blob_drop may be
 * called from within. */
int pen_blob_list(const struct pen_blob_store *self, unsigned folder, pen_blob_each *each,
                  void *context, struct pen_error *err);

/* Remove a visible blob that was neither written nor renewed at before_ms or later. ret_dropped:
 * false when it is younger, or was not there. Errors: PEN_EIO, PEN_EDENIED. */
int pen_blob_drop(const struct pen_blob_store *self, const uint8_t sha256[PEN_SHA256_SIZE],
                  int64_t before_ms, bool *ret_dropped, struct pen_error *err);

#endif
