/* controller/sources/check.h - whether a mirror can be believed
 *
 * All paths are those of bare repositories. For the thread that uses libgit2.
 */
#ifndef PEN_CONTROLLER_SOURCES_CHECK_H
#define PEN_CONTROLLER_SOURCES_CHECK_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/error.h"

/* Whether the branches and tags of a mirror are those that the fetch which has just ended has
 * reported: told has their short names, each with its \0. One that was not reported is older than
 * what the other side has; one that is not there cannot be read. Heads of pull requests may be
 * there from before. Errors: PEN_ECORRUPT (names the ref), PEN_EIO (unreadable), PEN_ENOMEM. */
int pen_git_check_told(const char *path, const struct pen_buf *told, struct pen_error *err);

/* Whether its files are such as git writes them, as far as that can be told without reading all: a
 * power cut empties files, cuts them, fills them with zeros or takes them away. Not while a fetch
 * or a merge runs in it. Errors: PEN_ECORRUPT (says which file), PEN_ENOTFOUND (no such folder),
 * PEN_EIO, PEN_ENOMEM. */
int pen_git_check(const char *path, struct pen_error *err);

/* Whether a mirror lacks a part of its history, because its source did. */
bool pen_git_is_shallow(const char *path);

#endif
