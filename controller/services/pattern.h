/* controller/services/pattern.h - regular expressions of an API's catalogue, as POSIX has them */
#ifndef PEN_CONTROLLER_SERVICES_PATTERN_H
#define PEN_CONTROLLER_SERVICES_PATTERN_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/error.h"

struct pen_pattern;

/* Compile; the whole of a text has to match. Takes the syntax that catalogues use: sets with \w, \d
 * and escapes, groups, alternatives, repetition; '.' is any character but a line's end.
 * Errors: PEN_EINVAL (names the pattern), PEN_ENOMEM. */
int pen_pattern_compile(const char *pattern, struct pen_pattern **ret_pattern,
                        struct pen_error *err);
void pen_pattern_destroy(struct pen_pattern **self_p);

/* Safe from several threads. */
bool pen_pattern_match(const struct pen_pattern *self, const char *text);

/* Append the POSIX extended expression for a pattern; for tests. Errors: PEN_EINVAL. */
int pen_pattern_translate(const char *pattern, struct pen_buf *ret_posix, struct pen_error *err);

#endif
