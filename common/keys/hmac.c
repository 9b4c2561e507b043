/* Keyed digests, and the comparison that goes with them, of the interface in digest.h. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/base/check.h"
#include "common/keys/digest.h"

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
