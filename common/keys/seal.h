/* common/keys/seal.h - secrets at rest: AES-256-GCM with a key file of the controller */
#ifndef PEN_COMMON_KEYS_SEAL_H
#define PEN_COMMON_KEYS_SEAL_H

#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/error.h"

struct pen_sealer;

/* Load the key from path (mode 0600), or make it. */
int pen_sealer_create(const char *path, struct pen_sealer **ret_sealer, struct pen_error *err);
void pen_sealer_destroy(struct pen_sealer **self_p);

/* Seal bytes; context (what the secret is for) is authenticated with them and has to be the same
 * when they are opened. Safe from several threads. */
int pen_seal(const struct pen_sealer *self, const char *context, const void *bytes, size_t size,
             struct pen_buf *ret_sealed, struct pen_error *err);
/* Errors: PEN_ECORRUPT. */
int pen_unseal(const struct pen_sealer *self, const char *context, const void *sealed, size_t size,
               struct pen_buf *ret_bytes, struct pen_error *err);

#endif
