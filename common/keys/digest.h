/* common/keys/digest.h - SHA-256, HMAC, hex and base64, constant-time compare */
#ifndef PEN_COMMON_KEYS_DIGEST_H
#define PEN_COMMON_KEYS_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"

enum { PEN_SHA256_SIZE = 32, PEN_SHA256_HEX = 65 };

void pen_sha256(const void *bytes, size_t size, uint8_t ret_digest[PEN_SHA256_SIZE]);

struct pen_sha256_stream; /* a digest over bytes that come in pieces */
int pen_sha256_stream_create(struct pen_sha256_stream **ret_stream, struct pen_error *err);
void pen_sha256_stream_destroy(struct pen_sha256_stream **self_p);
void pen_sha256_stream_add(struct pen_sha256_stream *self, const void *bytes, size_t size);
/* The digest of what was added so far; more may be added afterwards. */
void pen_sha256_stream_digest(const struct pen_sha256_stream *self,
                              uint8_t ret_digest[PEN_SHA256_SIZE]);

void pen_hmac_sha256(const void *key, size_t key_size, const void *bytes, size_t size,
                     uint8_t ret_digest[PEN_SHA256_SIZE]);

/* For callers that know nothing better: GitHub's older signature. */
enum { PEN_SHA1_SIZE = 20 };
void pen_hmac_sha1(const void *key, size_t key_size, const void *bytes, size_t size,
                   uint8_t ret_digest[PEN_SHA1_SIZE]);

/* Lower-case hex with a zero at the end; ret_text holds 2 * size + 1. */
void pen_hex_encode(const void *bytes, size_t size, char *ret_text);
/* Errors: PEN_EINVAL when text is not exactly 2 * size hex digits. */
int pen_hex_decode(const char *text, void *ret_bytes, size_t size, struct pen_error *err);

/* base64url without padding. */
void pen_base64url_encode(const void *bytes, size_t size, struct pen_buf *ret_text);
int pen_base64url_decode(const char *text, struct pen_buf *ret_bytes, struct pen_error *err);

/* base64 as MIME, JSON and HTTP have it, with padding. Decoding is strict: no blanks, no missing
 * padding, no stray bits. Decoders append to ret_bytes. Errors: PEN_EINVAL, PEN_ENOMEM. */
void pen_base64_encode(const void *bytes, size_t size, struct pen_buf *ret_text);
int pen_base64_decode(const char *text, struct pen_buf *ret_bytes, struct pen_error *err);

/* Equal, in time that depends on size only. */
bool pen_equal_constant_time(const void *a, const void *b, size_t size);

#endif
