/* Digests; the text forms are in text.c. */
#include "common/keys/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"

struct pen_sha256_stream {
    EVP_MD_CTX *context;
    EVP_MD_CTX *copy; /* finishing a digest ends its context, so a copy is finished instead */
};

void pen_sha256(const void *bytes, size_t size, uint8_t ret_digest[PEN_SHA256_SIZE])
{
    CHECK(SHA256(bytes == NULL ? (const uint8_t *)"" : bytes, size, ret_digest) != NULL);
}

int pen_sha256_stream_create(struct pen_sha256_stream **ret_stream, struct pen_error *err)
{
    PEN_CLEANUP(pen_sha256_stream_destroy)
    struct pen_sha256_stream *self = calloc(1, sizeof *self);
    if (self != NULL) {
        self->context = EVP_MD_CTX_new();
        self->copy = EVP_MD_CTX_new();
    }
    if (self == NULL || self->context == NULL || self->copy == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a digest");
    CHECK(EVP_DigestInit_ex(self->context, EVP_sha256(), NULL) == 1);
    *ret_stream = TAKE_PTR(self);
    return 0;
}

void pen_sha256_stream_destroy(struct pen_sha256_stream **self_p)
{
    struct pen_sha256_stream *self = TAKE_PTR(*self_p);
    if (self == NULL)
        return;
    EVP_MD_CTX_free(self->context);
    EVP_MD_CTX_free(self->copy);
    free(self);
}

void pen_sha256_stream_add(struct pen_sha256_stream *self, const void *bytes, size_t size)
{
    if (size > 0)
        CHECK(EVP_DigestUpdate(self->context, bytes, size) == 1);
}

void pen_sha256_stream_digest(const struct pen_sha256_stream *self,
                              uint8_t ret_digest[PEN_SHA256_SIZE])
{
    CHECK(EVP_MD_CTX_copy_ex(self->copy, self->context) == 1);
    CHECK(EVP_DigestFinal_ex(self->copy, ret_digest, NULL) == 1);
}

static void hmac(const EVP_MD *digest, const void *key, size_t key_size, const void *bytes,
                 size_t size, uint8_t *ret_digest)
{
    CHECK(key_size <= INT32_MAX);
    unsigned digest_size = 0;
    CHECK(HMAC(digest, key == NULL ? "" : key, (int)key_size,
               bytes == NULL ? (const uint8_t *)"" : bytes, size, ret_digest,
               &digest_size) != NULL);
}

void pen_hmac_sha256(const void *key, size_t key_size, const void *bytes, size_t size,
                     uint8_t ret_digest[PEN_SHA256_SIZE])
{
    hmac(EVP_sha256(), key, key_size, bytes, size, ret_digest);
}

void pen_hmac_sha1(const void *key, size_t key_size, const void *bytes, size_t size,
                   uint8_t ret_digest[PEN_SHA1_SIZE])
{
    hmac(EVP_sha1(), key, key_size, bytes, size, ret_digest);
}

bool pen_equal_constant_time(const void *a, const void *b, size_t size)
{
    return size == 0 || CRYPTO_memcmp(a, b, size) == 0;
}
