/* common/io/random.h - entropy from the kernel; seeds everything pure */
#ifndef PEN_COMMON_IO_RANDOM_H
#define PEN_COMMON_IO_RANDOM_H

#include <stddef.h>

#include "common/base/error.h"

/* Fill with random bytes from getrandom(2). Errors: PEN_EIO. */
int pen_random_bytes(void *ret_bytes, size_t size, struct pen_error *err);

/* Write a random UUID (36 characters and a zero) to ret_text. Errors: PEN_EIO. */
int pen_random_uuid(char ret_text[37], struct pen_error *err);

#endif
