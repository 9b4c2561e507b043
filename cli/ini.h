/* cli/ini.h - lines of `key = value` in [sections], as AWS credentials files have them */
#ifndef PEN_CLI_INI_H
#define PEN_CLI_INI_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"

struct pen_ini;

/* Errors: PEN_ENOTFOUND, PEN_EDENIED, PEN_ELIMIT, PEN_EINVAL (with line), PEN_EIO. */
int pen_ini_load(const char *path, struct pen_ini **ret_ini, struct pen_error *err);
void pen_ini_destroy(struct pen_ini **self_p);

/* Value of a key; NULL when it is missing. Section "" is what stands before the first section; a
 * section `[profile x]` is also found as `x`. */
const char *pen_ini_get(const struct pen_ini *self, const char *section, const char *key);
/* The first section or key that is none of these keys outside of sections; NULL: there is none. */
const char *pen_ini_unknown(const struct pen_ini *self, const char *const *keys);
bool pen_ini_has_section(const struct pen_ini *self, const char *section);

#endif
