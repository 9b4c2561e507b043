#include "common/base/prng.h"

#include <string.h>

#include "common/base/check.h"

static uint32_t load32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static uint32_t rotate(uint32_t word, unsigned bits)
{
    return word << bits | word >> (32 - bits);
}

static void quarter_round(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
    *a += *b;
    *d = rotate(*d ^ *a, 16);
    *c += *d;
    *b = rotate(*b ^ *c, 12);
    *a += *b;
    *d = rotate(*d ^ *a, 8);
    *c += *d;
    *b = rotate(*b ^ *c, 7);
}

/* The next block of the keystream, by RFC 8439 section 2.3 with a zero nonce. */
static void refill(struct pen_prng *self)
{
    uint32_t x[16];
    memcpy(x, self->state, sizeof x);
    for (int round = 0; round < 10; round++) {
        quarter_round(&x[0], &x[4], &x[8], &x[12]);
        quarter_round(&x[1], &x[5], &x[9], &x[13]);
        quarter_round(&x[2], &x[6], &x[10], &x[14]);
        quarter_round(&x[3], &x[7], &x[11], &x[15]);
        quarter_round(&x[0], &x[5], &x[10], &x[15]);
        quarter_round(&x[1], &x[6], &x[11], &x[12]);
        quarter_round(&x[2], &x[7], &x[8], &x[13]);
        quarter_round(&x[3], &x[4], &x[9], &x[14]);
    }
    for (size_t i = 0; i < 16; i++) {
        uint32_t word = x[i] + self->state[i];
        self->block[4 * i] = (uint8_t)word;
        self->block[4 * i + 1] = (uint8_t)(word >> 8);
        self->block[4 * i + 2] = (uint8_t)(word >> 16);
        self->block[4 * i + 3] = (uint8_t)(word >> 24);
    }
    if (++self->state[12] == 0)
        self->state[13]++; /* 256 GiB in: go on into the nonce rather than repeat */
    self->used = 0;
}

void pen_prng_init(struct pen_prng *self, const uint8_t seed[PEN_PRNG_SEED_SIZE])
{
    memset(self, 0, sizeof *self);
    self->state[0] = 0x61707865;
    self->state[1] = 0x3320646e;
    self->state[2] = 0x79622d32;
    self->state[3] = 0x6b206574;
    for (size_t i = 0; i < 8; i++)
        self->state[4 + i] = load32(seed + 4 * i);
    self->used = PEN_PRNG_BLOCK_SIZE;
}

void pen_prng_bytes(struct pen_prng *self, void *ret_bytes, size_t size)
{
    uint8_t *bytes = ret_bytes;
    while (size > 0) {
        if (self->used == PEN_PRNG_BLOCK_SIZE)
            refill(self);
        size_t part = PEN_PRNG_BLOCK_SIZE - self->used;
        if (part > size)
            part = size;
        memcpy(bytes, self->block + self->used, part);
        self->used += part;
        bytes += part;
        size -= part;
    }
}

uint64_t pen_prng_u64(struct pen_prng *self)
{
    uint64_t number;
    pen_prng_bytes(self, &number, sizeof number);
    return number;
}

uint64_t pen_prng_below(struct pen_prng *self, uint64_t bound)
{
    CHECK(bound > 0);
    uint64_t excess =
        UINT64_MAX % bound + 1; /* how many of the highest numbers would favour some */
    uint64_t highest = excess == bound ? UINT64_MAX : UINT64_MAX - excess;
    uint64_t number;
    do {
        number = pen_prng_u64(self);
    } while (number > highest);
    return number % bound;
}
