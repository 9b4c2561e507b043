/* common/base/units.h - durations, sizes, numbers and times as text, checked
 *
 * Parsers take the whole text or fail: no blanks, no sign where none makes sense, no overflow. A
 * bare number is a size in bytes, but never a duration: "30" of what?
 */
#ifndef PEN_COMMON_BASE_UNITS_H
#define PEN_COMMON_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

enum {
    PEN_DURATION_TEXT_SIZE = 48, /* "106751991167d7h12m55s807ms" and a zero */
    PEN_SIZE_TEXT_SIZE = 32,     /* "18446744073709551615" and a zero */
    PEN_TIME_TEXT_SIZE = 40,     /* "2026-11-23T00:39:54.123Z" and a zero */
    PEN_TIME_COMPACT_SIZE = 24,  /* "20261123T003954Z" and a zero */
};

/* A decimal number with an optional '-'. Errors: PEN_EINVAL (no number), PEN_ELIMIT (outside
 * minimum..maximum; the message names them). */
int pen_integer_parse(const char *text, int64_t minimum, int64_t maximum, int64_t *ret_number,
                      struct pen_error *err);

/* "500ms", "30s", "5m", "1h", "7d", "2w", or several, largest first: "1h30m". Also "0".
 * Errors: PEN_EINVAL, PEN_ELIMIT. */
int pen_duration_parse(const char *text, int64_t *ret_ms, struct pen_error *err);

/* The shortest exact text that pen_duration_parse reads back: "1h30m", "1s500ms", "0s". ms >= 0. */
void pen_duration_format(int64_t ms, char ret_text[PEN_DURATION_TEXT_SIZE]);

/* For people: the two largest units, rounded down: "3d4h", "1h30m", "12.3s", "340ms". Negative
 * counts as 0. */
void pen_duration_format_brief(int64_t ms, char ret_text[PEN_DURATION_TEXT_SIZE]);

/* Bytes: "4096", "64KiB", "1MiB", "2GiB", "1TiB" (powers of 1024) or "10kB", "5MB", "1GB", "1TB"
 * (powers of 1000). Errors: PEN_EINVAL, PEN_ELIMIT. */
int pen_size_parse(const char *text, uint64_t *ret_bytes, struct pen_error *err);

/* Exact text that pen_size_parse reads back: "64KiB", "1000". */
void pen_size_format(uint64_t bytes, char ret_text[PEN_SIZE_TEXT_SIZE]);

/* For people: "1.5 MiB", "12 B". */
void pen_size_format_brief(uint64_t bytes, char ret_text[PEN_SIZE_TEXT_SIZE]);

/* Milliseconds since the epoch, years 0000 to 9999, as "2026-11-23T00:39:54.123Z". A time outside
 * those years is shown as the nearest one inside. */
void pen_time_format(int64_t ms, char ret_text[PEN_TIME_TEXT_SIZE]);

/* As AWS signatures write it, without fractions: "20261123T003954Z". */
void pen_time_format_compact(int64_t ms, char ret_text[PEN_TIME_COMPACT_SIZE]);

/* RFC 3339: "2026-11-23T00:39:54Z", with fractions of a second (cut to milliseconds) and offsets
 * "+01:00"; 't', 'z' and a blank for the 'T' are fine. Errors: PEN_EINVAL. */
int pen_time_parse(const char *text, int64_t *ret_ms, struct pen_error *err);

/* "20261123T003954Z", exactly. Errors: PEN_EINVAL. */
int pen_time_parse_compact(const char *text, int64_t *ret_ms, struct pen_error *err);

/* The Date of an HTTP message: "Mon, 23 Nov 2026 00:39:54 GMT". Errors: PEN_EINVAL. */
int pen_time_parse_http(const char *text, int64_t *ret_ms, struct pen_error *err);

#endif
