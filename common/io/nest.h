/* common/io/nest.h - a place in a tree of folders, held by descriptors
 *
 * One goes down by name and up again, and never through a symbolic link. The depth is bounded by
 * memory alone: of a deep place only the last folders are open, and one that was closed is opened
 * again from its child and has to be the same.
 *
 *     PEN_CLEANUP(pen_nest_destroy) struct pen_nest *nest = NULL;
 *     rc = pen_nest_create(root_fd, &nest, err);
 *     rc = pen_nest_enter(nest, "a", &err);
 *     fd = openat(pen_nest_fd(nest), "file", ...);
 *     rc = pen_nest_leave(nest, NULL, err);
 */
#ifndef PEN_COMMON_IO_NEST_H
#define PEN_COMMON_IO_NEST_H

#include <stddef.h>

#include "common/base/error.h"

enum { PEN_NEST_OPEN_MAX = 64 }; /* descriptors that one nest uses */

struct pen_nest;

/* root_fd is a folder that was opened for reading; the nest takes it in any case. Errors:
 * PEN_ENOMEM, PEN_EIO. */
int pen_nest_create(int root_fd, struct pen_nest **ret_nest, struct pen_error *err);
void pen_nest_destroy(struct pen_nest **self_p);

/* Folders below the root. */
size_t pen_nest_depth(const struct pen_nest *self);

/* The folder of this place; borrowed, and good until the next enter or leave. */
int pen_nest_fd(const struct pen_nest *self);

/* Go down into a folder. Errors: PEN_ENOTFOUND, PEN_ECONFLICT (a link, a file), PEN_EDENIED (no
 * right to), PEN_ENOMEM, PEN_EIO. */
int pen_nest_enter(struct pen_nest *self, const char *name, struct pen_error *err);

/* Go up. ret_fd, if it is not NULL, gets the folder that was left, for the caller to close. Not at
 * the root. Errors: PEN_ECONFLICT (the folder has been moved meanwhile), PEN_EDENIED, PEN_EIO;
 * then the place is as before. */
int pen_nest_leave(struct pen_nest *self, int *ret_fd, struct pen_error *err);

#endif
