/* common/blob/store_internal.h - what store.c and store_write.c share; not for others */
#ifndef PEN_COMMON_BLOB_STORE_INTERNAL_H
#define PEN_COMMON_BLOB_STORE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/blob/blob.h"

enum {
    PEN_BLOB_VERIFIED_SLOTS = 64 * 1024, /* 512 KiB; who shares a slot is verified again */
    PEN_BLOB_NAME_SIZE = 2 + 1 + 62 + 1, /* "ab/cdef...": relative to the folder */
    PEN_BLOB_TMP_SIZE = 4 + 16 + 1 + 20 + 1,
};

/* A blob that waits for sync, in tmp/WRITER-NUMBER. */
struct pen_blob_pending {
    uint8_t sha256[PEN_SHA256_SIZE];
    uint64_t number;
    bool visible; /* renamed by a sync that failed later on */
};

/* What is known of the bytes on disk; reading adds to it. */
struct pen_blob_health {
    uint64_t *verified; /* beginnings of digests; of stores that are written to */
    uint64_t damaged;   /* dropped since the owner was told */
    char first[PEN_ERROR_MESSAGE_MAX];
};

struct pen_blob_store {
    struct pen_blob_health *health;
    char *folder;
    int folder_fd;
    bool writable;
    char writer[17]; /* random: no two writers share a temporary name */
    uint64_t next_number;
    bool known[256]; /* folder ab is there for sure: synced since this store was opened */

    struct pen_blob_pending *pending;
    size_t pending_count;
    size_t pending_capacity;
    uint32_t *index; /* open addressing over pending: position + 1, 0 free */
    size_t index_size;

    struct ZSTD_CCtx_s *compressor;
    struct ZSTD_DCtx_s *decompressor; /* kept: to make one asks the processor, slow in a guest */
    struct pen_buf scratch;
};

void pen_blob_name(const uint8_t sha256[PEN_SHA256_SIZE], char ret_name[PEN_BLOB_NAME_SIZE]);
void pen_blob_tmp_name(const struct pen_blob_store *self, uint64_t number,
                       char ret_name[PEN_BLOB_TMP_SIZE]);

/* The blob's place among the pending ones, or NULL. */
struct pen_blob_pending *pen_blob_pending_find(const struct pen_blob_store *self,
                                               const uint8_t sha256[PEN_SHA256_SIZE]);

/* Whether this store has seen the right bytes under the name. */
bool pen_blob_is_verified(const struct pen_blob_store *self, const uint8_t sha256[PEN_SHA256_SIZE]);
void pen_blob_set_verified(const struct pen_blob_store *self,
                           const uint8_t sha256[PEN_SHA256_SIZE]);

/* Nothing counts as verified any more. */
void pen_blob_doubt(const struct pen_blob_store *self);

/* Drop the visible blob if it is still this file, which is damaged, and note it. */
void pen_blob_drop_damaged(const struct pen_blob_store *self, const char *name,
                           const struct stat *file, const struct pen_error *why);

/* One lock on the folder for all processes: shared for what must not be dropped meanwhile. */
void pen_blob_lock(const struct pen_blob_store *self, int how);
void pen_blob_unlock(const struct pen_blob_store *self);

/* Unpack one frame into ret_plain and check its digest. Errors: PEN_ECORRUPT, PEN_ELIMIT. */
int pen_blob_decompress(const struct pen_blob_store *self, const uint8_t sha256[PEN_SHA256_SIZE],
                        const void *bytes, size_t size, size_t plain_size_max,
                        struct pen_buf *ret_plain, struct pen_error *err);

#endif
