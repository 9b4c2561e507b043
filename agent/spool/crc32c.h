/* agent/spool/crc32c.h - the checksum of journal records (Castagnoli) */
#ifndef PEN_AGENT_SPOOL_CRC32C_H
#define PEN_AGENT_SPOOL_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Begin with 0; the result of one piece is the beginning of the next. */
uint32_t pen_crc32c(uint32_t crc, const void *bytes, size_t size);

#endif
