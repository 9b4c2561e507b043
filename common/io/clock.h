/* common/io/clock.h - the only caller of clock_gettime */
#ifndef PEN_COMMON_IO_CLOCK_H
#define PEN_COMMON_IO_CLOCK_H

#include <stdint.h>

/* Milliseconds since the epoch, for display and signatures. May jump. */
int64_t pen_clock_wall_ms(void);

/* Milliseconds on a clock that never goes back, for intervals. Goes on during suspend. */
int64_t pen_clock_monotonic_ms(void);
int64_t pen_clock_monotonic_us(void);

#endif
