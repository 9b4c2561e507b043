#include "common/blob/chunker.h"

#include "common/blob/blob.h"

/* 2 bits more than log2(PEN_CHUNK_AVERAGE) before the average, 2 bits fewer behind it. The top bits
 * of the hash depend on the most bytes. */
static const uint64_t mask_hard = ((UINT64_C(1) << 18) - 1) << (64 - 18);
static const uint64_t mask_easy = ((UINT64_C(1) << 14) - 1) << (64 - 14);

/* The table is splitmix64 from a fixed start. */
void pen_chunker_init(struct pen_chunker *self)
{
    uint64_t state = UINT64_C(0x70656e73746f636b); /* "penstock" */
    for (size_t i = 0; i < 256; i++) {
        state += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t mixed = state;
        mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
        self->gear[i] = mixed ^ (mixed >> 31);
    }
}

size_t pen_chunker_cut(const struct pen_chunker *self, const uint8_t *bytes, size_t size)
{
    if (size <= PEN_CHUNK_MIN)
        return size;
    size_t end = size < PEN_CHUNK_MAX ? size : PEN_CHUNK_MAX;
    size_t middle = end < PEN_CHUNK_AVERAGE ? end : PEN_CHUNK_AVERAGE;
    uint64_t hash = 0;
    size_t i = PEN_CHUNK_MIN;
    for (; i < middle; i++) {
        hash = (hash << 1) + self->gear[bytes[i]];
        if (!(hash & mask_hard))
            return i + 1;
    }
    for (; i < end; i++) {
        hash = (hash << 1) + self->gear[bytes[i]];
        if (!(hash & mask_easy))
            return i + 1;
    }
    return end;
}
