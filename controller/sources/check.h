/* controller/sources/check.h - whether a mirror can be believed
 *
 * All paths are those of bare repositories. For the thread that uses libgit2.
 */
#ifndef PEN_CONTROLLER_SOURCES_CHECK_H
#define PEN_CONTROLLER_SOURCES_CHECK_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/error.h"

/* Whether every branch and tag of a mirror was reported by the fetch that has just ended: told has
 * their short names, each with its \0. One that was not is older than what the other side has.
 * Errors: PEN_ECORRUPT (names the ref), PEN_EIO (unreadable), PEN_ENOMEM. */
int pen_git_check_told(const char *path, const struct pen_buf *told, struct pen_error *err);

/* Whether a mirror lacks a part of its history, because its source did. */
bool pen_git_is_shallow(const char *path);

#endif
