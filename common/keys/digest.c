/* SHA-256; keyed digests are in hmac.c, the text forms in text.c.
 *
 * By the functions of OpenSSL that look up no provider: they cost nothing to begin, and a program
 * that needs nothing else stays small when it is linked from archives, as the shim is. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "common/keys/digest.h"

#include <openssl/sha.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"

struct pen_sha256_stream {
    SHA256_CTX context;
};

void pen_sha256(const void *bytes, size_t size, uint8_t ret_digest[PEN_SHA256_SIZE])
{
    SHA256_CTX context;
    CHECK(SHA256_Init(&context) == 1);
    if (size > 0)
        CHECK(SHA256_Update(&context, bytes, size) == 1);
    CHECK(SHA256_Final(ret_digest, &context) == 1);
}

int pen_sha256_stream_create(struct pen_sha256_stream **ret_stream, struct pen_error *err)
{
    struct pen_sha256_stream *self = malloc(sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a digest");
    CHECK(SHA256_Init(&self->context) == 1);
    *ret_stream = self;
    return 0;
}

void pen_sha256_stream_destroy(struct pen_sha256_stream **self_p)
{
    free(TAKE_PTR(*self_p));
}

void pen_sha256_stream_add(struct pen_sha256_stream *self, const void *bytes, size_t size)
{
    if (size > 0)
        CHECK(SHA256_Update(&self->context, bytes, size) == 1);
}

void pen_sha256_stream_digest(const struct pen_sha256_stream *self,
                              uint8_t ret_digest[PEN_SHA256_SIZE])
{
    SHA256_CTX context = self->context; /* more may be added to the stream */
    CHECK(SHA256_Final(ret_digest, &context) == 1);
}
