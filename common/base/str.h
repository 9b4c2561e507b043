/* common/base/str.h - the few string helpers that everybody needs */
#ifndef PEN_COMMON_BASE_STR_H
#define PEN_COMMON_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* Both NULL, or both the same text. */
bool pen_str_equal(const char *a, const char *b);
bool pen_str_starts_with(const char *text, const char *prefix);
bool pen_str_ends_with(const char *text, const char *suffix);

/* NULL or "". */
bool pen_str_empty(const char *text);

/* A formatted copy from malloc; NULL when out of memory. */
char *pen_strdup_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Free *destination, then make it a copy of text (NULL gives NULL). False when out of memory, and
 * *destination is then unchanged. */
bool pen_str_set(char **destination, const char *text);

/* Copy text into a buffer of size bytes, cut if it is too long, always with a zero at the end. True
 * when all of it fitted. */
bool pen_str_copy(char *destination, size_t size, const char *text);

/* Well-formed UTF-8 (shortest forms, no surrogates, at most U+10FFFF) without a zero byte. */
bool pen_utf8_valid(const void *bytes, size_t size);

#endif
