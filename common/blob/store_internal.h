/* common/blob/store_internal.h - what store.c and store_write.c share; not for others */
#ifndef PEN_COMMON_BLOB_STORE_INTERNAL_H
#define PEN_COMMON_BLOB_STORE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/blob/blob.h"

enum {
    PEN_BLOB_NAME_SIZE = 2 + 1 + 62 + 1, /* "ab/cdef...": relative to the folder */
    PEN_BLOB_TMP_SIZE = 4 + 16 + 1 + 20 + 1,
};

/* A blob that waits for sync, in tmp/WRITER-NUMBER. */
struct pen_blob_pending {
    uint8_t sha256[PEN_SHA256_SIZE];
    uint64_t number;
    bool visible; /* renamed by a sync that failed later on */
};

struct pen_blob_store {
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

/* Unpack one frame into ret_plain and check its digest. Errors: PEN_ECORRUPT, PEN_ELIMIT. */
int pen_blob_decompress(const struct pen_blob_store *self, const uint8_t sha256[PEN_SHA256_SIZE],
                        const void *bytes, size_t size, size_t plain_size_max,
                        struct pen_buf *ret_plain, struct pen_error *err);

#endif
