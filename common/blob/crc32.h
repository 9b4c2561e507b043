/* common/blob/crc32.h - the CRC-32 of IEEE 802.3, as zip and gzip have it
 *
 *     uint32_t crc = 0;
 *     crc = pen_crc32(crc, bytes, size);      // and so on, piece by piece
 */
#ifndef PEN_COMMON_BLOB_CRC32_H
#define PEN_COMMON_BLOB_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* The sum of what went before and these bytes; 0 is the sum of nothing. */
uint32_t pen_crc32(uint32_t so_far, const void *bytes, size_t size);

#endif
