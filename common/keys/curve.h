/* common/keys/curve.h - CURVE key pairs, key files and enrolment tokens */
#ifndef PEN_COMMON_KEYS_CURVE_H
#define PEN_COMMON_KEYS_CURVE_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"

enum { PEN_CURVE_KEY_SIZE = 32 };

struct pen_curve_pair {
    uint8_t public_key[PEN_CURVE_KEY_SIZE];
    uint8_t secret_key[PEN_CURVE_KEY_SIZE];
};

int pen_curve_pair_make(struct pen_curve_pair *ret_pair, struct pen_error *err);

/* Load the pair from path (mode 0600), or make one and write it. Errors: PEN_ECORRUPT, PEN_EDENIED
 * (readable by others), PEN_EIO. */
int pen_curve_pair_load_or_make(const char *path, struct pen_curve_pair *ret_pair,
                                struct pen_error *err);

/* What `penstock agent token` prints and `penstock-agent --token` takes: the controller's public
 * key, so that the agent knows whom to trust, and the secret key of a key pair that is let in once.
 */
struct pen_token {
    uint8_t server_public_key[PEN_CURVE_KEY_SIZE];
    struct pen_curve_pair pair;
};

/* "pen1_" and base64url of server public key and token secret key. */
void pen_token_format(const struct pen_token *token, struct pen_buf *ret_text);
/* Errors: PEN_EINVAL. The public key is computed from the secret. */
int pen_token_parse(const char *text, struct pen_token *ret_token, struct pen_error *err);

#endif
