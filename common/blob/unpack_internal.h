/* common/blob/unpack_internal.h - what the two readers of artifacts share; not for others
 *
 *     unpack.c       manifests of format 2: entries, then contents
 *     unpack_tar.c   manifests of format 1: one tar stream
 */
#ifndef PEN_COMMON_BLOB_UNPACK_INTERNAL_H
#define PEN_COMMON_BLOB_UNPACK_INTERNAL_H

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/blob/archive.h"
#include "manifest.pb-c.h"

/* Chunks first to end - 1 of a manifest as one stream. */
struct pen_chunks {
    const struct pen_blob_store *store;
    const Pen__Manifest *manifest;
    size_t next;
    size_t end;
    struct pen_buf bytes; /* of the chunk at hand */
    size_t used;          /* of these */
};

void pen_chunks_release(struct pen_chunks *self);

/* The next bytes, at most size_max and at least one; valid until the next call. *ret_size is 0 at
 * the end. Every chunk is verified. Errors: PEN_ENOTFOUND, PEN_ECORRUPT. */
int pen_chunks_read(struct pen_chunks *self, size_t size_max, const uint8_t **ret_bytes,
                    size_t *ret_size, struct pen_error *err);

/* Unpack format 1 below root_fd, which is borrowed. Errors as of pen_archive_unpack. */
int pen_unpack_tar(const struct pen_blob_store *store, const Pen__Manifest *manifest, int root_fd,
                   const struct pen_unpack_limits *limits, struct pen_error *err);

#endif
