/* common/base/prng.h - unpredictable bytes from a seed
 *
 * The keystream of ChaCha20 (RFC 8439) under the seed. Who does not know the seed cannot foretell
 * the bytes, so ids and approval tokens can be drawn from it; who knows it can replay a run.
 */
#ifndef PEN_COMMON_BASE_PRNG_H
#define PEN_COMMON_BASE_PRNG_H

#include <stddef.h>
#include <stdint.h>

enum { PEN_PRNG_SEED_SIZE = 32, PEN_PRNG_BLOCK_SIZE = 64 };

struct pen_prng {
    uint32_t state[16];
    uint8_t block[PEN_PRNG_BLOCK_SIZE];
    size_t used; /* bytes of block that were handed out */
};

void pen_prng_init(struct pen_prng *self, const uint8_t seed[PEN_PRNG_SEED_SIZE]);

/* The next `size` bytes of the stream. */
void pen_prng_bytes(struct pen_prng *self, void *ret_bytes, size_t size);

uint64_t pen_prng_u64(struct pen_prng *self);

/* A number below `bound` (at least 1), all equally likely. */
uint64_t pen_prng_below(struct pen_prng *self, uint64_t bound);

#endif
