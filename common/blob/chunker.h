/* common/blob/chunker.h - where a stream is cut: FastCDC, so that an insertion moves few cuts
 *
 * A rolling "gear" hash over the bytes decides; no cut comes before PEN_CHUNK_MIN or after
 * PEN_CHUNK_MAX, and cutting is harder before PEN_CHUNK_AVERAGE than behind it. The table and the
 * masks are part of the format: changing them makes every old chunk useless for deduplication.
 */
#ifndef PEN_COMMON_BLOB_CHUNKER_H
#define PEN_COMMON_BLOB_CHUNKER_H

#include <stddef.h>
#include <stdint.h>

struct pen_chunker {
    uint64_t gear[256];
};

void pen_chunker_init(struct pen_chunker *self);

/* Size of the first chunk of these bytes. There have to be PEN_CHUNK_MAX of them, or all that are
 * left of the stream; then it is size at most, and 0 only for no bytes. */
size_t pen_chunker_cut(const struct pen_chunker *self, const uint8_t *bytes, size_t size);

#endif
