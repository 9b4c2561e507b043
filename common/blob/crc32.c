#include "common/blob/crc32.h"

#include <pthread.h>
#include <string.h>

enum { POLYNOMIAL_BITS = 8, SLICES = 8 };

static const uint32_t polynomial = UINT32_C(0xedb88320); /* bits reversed */
static uint32_t tables[SLICES][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

/* tables[n][b]: what byte b, followed by n zero bytes, adds to the sum. */
static void make_tables(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < POLYNOMIAL_BITS; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? polynomial : 0);
        tables[0][byte] = crc;
    }
    for (uint32_t byte = 0; byte < 256; byte++)
        for (size_t slice = 1; slice < SLICES; slice++)
            tables[slice][byte] =
                (tables[slice - 1][byte] >> 8) ^ tables[0][tables[slice - 1][byte] & 0xff];
}

uint32_t pen_crc32(uint32_t so_far, const void *bytes, size_t size)
{
    (void)pthread_once(&tables_once, make_tables);
    const uint8_t *at = bytes;
    uint32_t crc = ~so_far;
    for (; size >= SLICES; at += SLICES, size -= SLICES) {
        uint32_t low = crc ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
                              (uint32_t)at[3] << 24);
        crc = tables[7][low & 0xff] ^ tables[6][low >> 8 & 0xff] ^ tables[5][low >> 16 & 0xff] ^
              tables[4][low >> 24] ^ tables[3][at[4]] ^ tables[2][at[5]] ^ tables[1][at[6]] ^
              tables[0][at[7]];
    }
    for (; size > 0; at++, size--)
        crc = (crc >> 8) ^ tables[0][(crc ^ *at) & 0xff];
    return ~crc;
}
