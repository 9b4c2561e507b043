#include "common/keys/curve.h"

#include <openssl/crypto.h>
#include <string.h>
#include <zmq.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/keys/digest.h"
#include "common/keys/keyfile.h"

enum { Z85_SIZE = 41 }; /* 40 characters and a zero */

static const char key_kind[] = "penstock-curve-1";
static const char token_prefix[] = "pen1_";

int pen_curve_pair_make(struct pen_curve_pair *ret_pair, struct pen_error *err)
{
    char public_text[Z85_SIZE];
    char secret_text[Z85_SIZE];
    if (zmq_curve_keypair(public_text, secret_text) != 0)
        return pen_fail(err, PEN_EUNSUPPORTED, "no CURVE keys: %s", zmq_strerror(zmq_errno()));
    int rc = 0;
    if (zmq_z85_decode(ret_pair->public_key, public_text) == NULL ||
        zmq_z85_decode(ret_pair->secret_key, secret_text) == NULL)
        rc = pen_fail(err, PEN_EIO, "cannot read the CURVE key that was just made");
    OPENSSL_cleanse(secret_text, sizeof secret_text);
    return rc;
}

/* The public key that belongs to pair's secret key. */
static int public_from_secret(struct pen_curve_pair *pair, struct pen_error *err)
{
    char public_text[Z85_SIZE];
    char secret_text[Z85_SIZE];
    int rc = 0;
    if (zmq_z85_encode(secret_text, pair->secret_key, PEN_CURVE_KEY_SIZE) == NULL ||
        zmq_curve_public(public_text, secret_text) != 0 ||
        zmq_z85_decode(pair->public_key, public_text) == NULL)
        rc = pen_fail(err, PEN_EUNSUPPORTED, "no CURVE keys: %s", zmq_strerror(zmq_errno()));
    OPENSSL_cleanse(secret_text, sizeof secret_text);
    return rc;
}

int pen_curve_pair_load_or_make(const char *path, struct pen_curve_pair *ret_pair,
                                struct pen_error *err)
{
    struct pen_curve_pair pair;
    int rc = pen_keyfile_load(path, key_kind, pair.secret_key, sizeof pair.secret_key, err);
    if (rc == 0)
        rc = public_from_secret(&pair, err);
    if (rc == PEN_ENOTFOUND) {
        rc = pen_curve_pair_make(&pair, err);
        if (rc == 0)
            rc = pen_keyfile_save(path, key_kind, pair.secret_key, sizeof pair.secret_key, err);
    }
    if (rc == 0)
        *ret_pair = pair;
    OPENSSL_cleanse(&pair, sizeof pair);
    return rc;
}

void pen_token_format(const struct pen_token *token, struct pen_buf *ret_text)
{
    uint8_t bytes[2 * PEN_CURVE_KEY_SIZE];
    memcpy(bytes, token->server_public_key, PEN_CURVE_KEY_SIZE);
    memcpy(bytes + PEN_CURVE_KEY_SIZE, token->pair.secret_key, PEN_CURVE_KEY_SIZE);
    pen_buf_puts(ret_text, token_prefix);
    pen_base64url_encode(bytes, sizeof bytes, ret_text);
    OPENSSL_cleanse(bytes, sizeof bytes);
}

int pen_token_parse(const char *text, struct pen_token *ret_token, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    if (!pen_str_starts_with(text, token_prefix))
        return pen_fail(err, PEN_EINVAL, "a token begins with '%s'", token_prefix);
    if (pen_base64url_decode(text + strlen(token_prefix), &bytes, NULL) < 0 ||
        bytes.size != 2 * PEN_CURVE_KEY_SIZE)
        return pen_fail(err, PEN_EINVAL, "the token is cut short or mistyped");
    struct pen_token token;
    memcpy(token.server_public_key, bytes.data, PEN_CURVE_KEY_SIZE);
    memcpy(token.pair.secret_key, bytes.data + PEN_CURVE_KEY_SIZE, PEN_CURVE_KEY_SIZE);
    OPENSSL_cleanse(bytes.data, bytes.size);
    int rc = public_from_secret(&token.pair, err);
    if (rc == 0)
        *ret_token = token;
    OPENSSL_cleanse(&token, sizeof token);
    return rc;
}
