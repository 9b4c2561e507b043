/* common/keys/keyfile.h - a secret in a file that nobody else may read
 *
 * One line of text: the kind of the key, a blank, the key in hex. The kind names format and
 * version, so that a wrong file is told from a damaged one.
 */
#ifndef PEN_COMMON_KEYS_KEYFILE_H
#define PEN_COMMON_KEYS_KEYFILE_H

#include <stddef.h>

#include "common/base/error.h"

/* Read a key of exactly size bytes. Errors: PEN_ENOTFOUND, PEN_EDENIED (also when group or others
 * have any right to the file), PEN_ECORRUPT, PEN_EIO. */
int pen_keyfile_load(const char *path, const char *kind, void *ret_key, size_t size,
                     struct pen_error *err);

/* Write it with mode 0600, durably. */
int pen_keyfile_save(const char *path, const char *kind, const void *key, size_t size,
                     struct pen_error *err);

#endif
