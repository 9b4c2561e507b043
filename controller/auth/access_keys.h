/* controller/auth/access_keys.h - who may sign: access key id to secret and principal
 *
 * Filled from the rows that the core announces (KeyLoaded); secrets are opened once and live in
 * this table only. Used by one thread.
 */
#ifndef PEN_CONTROLLER_AUTH_ACCESS_KEYS_H
#define PEN_CONTROLLER_AUTH_ACCESS_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"
#include "common/keys/seal.h"
#include "row.pb-c.h"

enum {
    PEN_ACCESS_KEY_ID_MAX = 128,      /* characters, as in the AWS API */
    PEN_ACCESS_KEY_SECRET_MAX = 256,  /* bytes */
    PEN_PRINCIPAL_ARN_MAX = 256,      /* characters */
    PEN_ACCESS_KEYS_MAX = 100 * 1000, /* keys that one controller holds in memory */
};

/* What the sealed secret of an access key is bound to (pen_seal's context). */
#define PEN_ACCESS_KEY_SEAL_CONTEXT "access-key"

struct pen_access_key {
    char *id;
    char *secret;
    char *principal_arn;
    bool disabled;
};

struct pen_access_keys;

/* Errors: PEN_ENOMEM. */
int pen_access_keys_create(struct pen_access_keys **ret_keys, struct pen_error *err);
/* Wipes the secrets. */
void pen_access_keys_destroy(struct pen_access_keys **self_p);

/* Add the key of this row, or replace the one with its id. Errors: PEN_EINVAL (a member is missing
 * or too long), PEN_ECORRUPT (the secret cannot be opened), PEN_ELIMIT, PEN_ENOMEM. */
int pen_access_keys_put(struct pen_access_keys *self, const Pen__AccessKeyRow *row,
                        const struct pen_sealer *sealer, struct pen_error *err);

/* As above with the secret in the clear. */
int pen_access_keys_put_plain(struct pen_access_keys *self, const char *id, const char *secret,
                              const char *principal_arn, bool disabled, struct pen_error *err);

/* The key of this id, NULL when there is none. Valid until the next put. */
const struct pen_access_key *pen_access_keys_find(const struct pen_access_keys *self,
                                                  const char *id);

size_t pen_access_keys_count(const struct pen_access_keys *self);

#endif
