/* Sealed bytes: version (1), nonce (12, random), ciphertext, tag (16). The version, a zero and the
 * context are authenticated with them. Random nonces are safe for some four thousand million seals
 * under one key; a controller makes a handful a day. */
#include "common/keys/seal.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/io/random.h"
#include "common/keys/keyfile.h"

enum { VERSION = 1, KEY_SIZE = 32, NONCE_SIZE = 12, TAG_SIZE = 16 };
enum { OVERHEAD = 1 + NONCE_SIZE + TAG_SIZE, BYTES_MAX = INT_MAX / 2 };

static const char key_kind[] = "penstock-seal-1";

struct pen_sealer {
    uint8_t key[KEY_SIZE];
};

int pen_sealer_create(const char *path, struct pen_sealer **ret_sealer, struct pen_error *err)
{
    PEN_CLEANUP(pen_sealer_destroy) struct pen_sealer *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a key");
    int rc = pen_keyfile_load(path, key_kind, self->key, sizeof self->key, err);
    if (rc == PEN_ENOTFOUND) {
        rc = pen_random_bytes(self->key, sizeof self->key, err);
        if (rc == 0)
            rc = pen_keyfile_save(path, key_kind, self->key, sizeof self->key, err);
    }
    if (rc < 0)
        return rc;
    *ret_sealer = TAKE_PTR(self);
    return 0;
}

void pen_sealer_destroy(struct pen_sealer **self_p)
{
    struct pen_sealer *self = TAKE_PTR(*self_p);
    if (self == NULL)
        return;
    OPENSSL_cleanse(self->key, sizeof self->key);
    free(self);
}

static void cipher_destroy(EVP_CIPHER_CTX **cipher)
{
    EVP_CIPHER_CTX_free(*cipher);
    *cipher = NULL;
}

/* A cipher with key, nonce and context set; encrypting for direction 1, decrypting for 0. */
static int cipher_begin(const struct pen_sealer *self, int direction, const uint8_t *nonce,
                        const char *context, EVP_CIPHER_CTX **ret_cipher, struct pen_error *err)
{
    PEN_CLEANUP(cipher_destroy) EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    const uint8_t head[] = {VERSION, 0};
    size_t context_size = strlen(context);
    int out_size = 0;
    if (context_size > BYTES_MAX)
        return pen_fail(err, PEN_ELIMIT, "the context of a secret is too long");
    if (cipher == NULL ||
        EVP_CipherInit_ex(cipher, EVP_aes_256_gcm(), NULL, self->key, nonce, direction) != 1 ||
        EVP_CipherUpdate(cipher, NULL, &out_size, head, sizeof head) != 1 ||
        EVP_CipherUpdate(cipher, NULL, &out_size, (const uint8_t *)context, (int)context_size) != 1)
        return pen_fail(err, PEN_EIO, "AES-256-GCM is not available");
    *ret_cipher = TAKE_PTR(cipher);
    return 0;
}

int pen_seal(const struct pen_sealer *self, const char *context, const void *bytes, size_t size,
             struct pen_buf *ret_sealed, struct pen_error *err)
{
    if (size > BYTES_MAX)
        return pen_fail(err, PEN_ELIMIT, "a secret of %zu bytes is too large", size);
    uint8_t nonce[NONCE_SIZE];
    PEN_CLEANUP(cipher_destroy) EVP_CIPHER_CTX *cipher = NULL;
    int rc = pen_random_bytes(nonce, sizeof nonce, err);
    if (rc == 0)
        rc = cipher_begin(self, 1, nonce, context, &cipher, err);
    if (rc < 0)
        return rc;
    uint8_t *out = pen_buf_reserve(ret_sealed, size + OVERHEAD);
    if (out == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to seal a secret");
    out[0] = VERSION;
    memcpy(out + 1, nonce, NONCE_SIZE);
    uint8_t *text = out + 1 + NONCE_SIZE;
    int text_size = 0;
    int rest = 0;
    if ((size > 0 && EVP_CipherUpdate(cipher, text, &text_size, bytes, (int)size) != 1) ||
        EVP_CipherFinal_ex(cipher, text + text_size, &rest) != 1 ||
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, text + size) != 1)
        return pen_fail(err, PEN_EIO, "cannot seal a secret");
    pen_buf_added(ret_sealed, size + OVERHEAD);
    return 0;
}

int pen_unseal(const struct pen_sealer *self, const char *context, const void *sealed, size_t size,
               struct pen_buf *ret_bytes, struct pen_error *err)
{
    const uint8_t *in = sealed;
    if (size < OVERHEAD || size > BYTES_MAX || in[0] != VERSION)
        return pen_fail(err, PEN_ECORRUPT, "a stored secret is damaged");
    PEN_CLEANUP(cipher_destroy) EVP_CIPHER_CTX *cipher = NULL;
    int rc = cipher_begin(self, 0, in + 1, context, &cipher, err);
    if (rc < 0)
        return rc;
    size_t text_size = size - OVERHEAD;
    uint8_t *out = pen_buf_reserve(ret_bytes, text_size);
    if (out == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to open a secret");
    const uint8_t *text = in + 1 + NONCE_SIZE;
    uint8_t tag[TAG_SIZE];
    memcpy(tag, text + text_size, TAG_SIZE);
    int done = 0;
    int rest = 0;
    bool good =
        (text_size == 0 || EVP_CipherUpdate(cipher, out, &done, text, (int)text_size) == 1) &&
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag) == 1 &&
        EVP_CipherFinal_ex(cipher, out + done, &rest) == 1;
    if (!good) {
        OPENSSL_cleanse(out, text_size); /* unauthenticated bytes stay nowhere */
        out[0] = 0;
        return pen_fail(err, PEN_ECORRUPT,
                        "a stored secret is damaged, or was sealed with another key");
    }
    pen_buf_added(ret_bytes, text_size);
    return 0;
}
