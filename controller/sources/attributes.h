/* controller/sources/attributes.h - what a checkout makes of a file: line ends, encoding, $Id$
 *
 * The same as `git clone` does on Linux without any configuration: attributes are those of the
 * commit's own .gitattributes. No filter is run; the name of one that a file asks for is given, so
 * that it can be reported.
 */
#ifndef PEN_CONTROLLER_SOURCES_ATTRIBUTES_H
#define PEN_CONTROLLER_SOURCES_ATTRIBUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "controller/sources/git2_internal.h"

enum { PEN_GIT_ATTRIBUTE_MAX = 64 };

/* What is to be done with one file. */
struct pen_git_checkout {
    bool crlf;                            /* lines end in CR LF */
    bool automatic;                       /* but only in what looks like text */
    bool ident;                           /* $Id$ gets the file's id */
    char encoding[PEN_GIT_ATTRIBUTE_MAX]; /* "": as it is stored */
    char filter[PEN_GIT_ATTRIBUTE_MAX];   /* asked for, and not run; "": none */
};

/* Whether a .gitattributes file speaks of any of this at all. */
bool pen_git_attributes_matter(const char *bytes, size_t size);

/* For one path of a commit. Errors: PEN_ECORRUPT, PEN_ENOMEM and those of the system. */
int pen_git_checkout_of(git_repository *repository, const git_oid *commit, const char *path,
                        struct pen_git_checkout *ret_checkout, struct pen_error *err);

/* Whether something is to be done. */
bool pen_git_checkout_changes(const struct pen_git_checkout *self);

/* Append the file's content as a checkout has it. ret_kept: it cannot be had in the encoding, and
 * is as it is stored. Errors: PEN_ENOMEM. */
int pen_git_checkout_convert(const struct pen_git_checkout *self, const git_oid *id,
                             const char *bytes, size_t size, struct pen_buf *ret_bytes,
                             bool *ret_kept, struct pen_error *err);

#endif
