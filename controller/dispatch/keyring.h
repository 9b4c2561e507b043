/* controller/dispatch/keyring.h - which public keys may connect, and as whom
 *
 * Each plane has a ring of its own, filled by KeyAllow and KeyDeny effects; ZAP asks the control
 * plane's. Connections are let in by it, and every single message is checked against it again.
 */
#ifndef PEN_CONTROLLER_DISPATCH_KEYRING_H
#define PEN_CONTROLLER_DISPATCH_KEYRING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/keys/curve.h"

enum {
    PEN_KEY_ID_MAX = 127,                      /* characters of an agent's or token's id */
    PEN_KEY_TEXT = 2 * PEN_CURVE_KEY_SIZE + 1, /* a public key in hexadecimal, and a zero */
};

struct pen_identity {
    char key_text[PEN_KEY_TEXT]; /* the public key in hexadecimal */
    char id[PEN_KEY_ID_MAX + 1];
    bool token; /* a single-use token's key, not an agent's */
};

struct pen_keyring;

int pen_keyring_create(struct pen_keyring **ret_keyring, struct pen_error *err);
void pen_keyring_destroy(struct pen_keyring **self_p);

/* Let this key in as id; an entry of the same key is replaced. Errors: PEN_EINVAL (an id that is
 * empty, too long, or not printable ASCII), PEN_ENOMEM. */
int pen_keyring_allow(struct pen_keyring *self, const uint8_t public_key[PEN_CURVE_KEY_SIZE],
                      const char *id, bool token, struct pen_error *err);

/* No longer; whether it was let in until now. */
bool pen_keyring_deny(struct pen_keyring *self, const uint8_t public_key[PEN_CURVE_KEY_SIZE]);

/* Who this is, or NULL. key_text is what pen_hex_encode makes of the public key. Valid until the
 * next allow or deny. */
const struct pen_identity *pen_keyring_find(const struct pen_keyring *self, const char *key_text);

/* Changes with each allow and deny: a check made at the same generation still holds. */
uint64_t pen_keyring_generation(const struct pen_keyring *self);

#endif
