/* common/base/id.h - ids as text */
#ifndef PEN_COMMON_BASE_ID_H
#define PEN_COMMON_BASE_ID_H

#include <stdbool.h>

#include "common/base/prng.h"

enum { PEN_UUID_TEXT_SIZE = 37 }; /* 36 characters and a zero */

/* A random UUID (version 4), in small letters. */
void pen_uuid(struct pen_prng *prng, char ret_text[PEN_UUID_TEXT_SIZE]);

/* Whether text is a UUID: 8-4-4-4-12 hexadecimal digits. */
bool pen_uuid_valid(const char *text);

#endif
