/* controller/sources/git2_internal.h - what the files that use libgit2 share; not for others */
#ifndef PEN_CONTROLLER_SOURCES_GIT2_INTERNAL_H
#define PEN_CONTROLLER_SOURCES_GIT2_INTERNAL_H

#include <git2.h>
#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/error.h"

static inline void pen_git_repository_release(git_repository **repository)
{
    git_repository_free(*repository);
}

static inline void pen_git_commit_free(git_commit **commit)
{
    git_commit_free(*commit);
}

/* A copy of at most size_max bytes, UTF-8 for certain: each byte that is not becomes '?'. NULL: no
 * memory. */
char *pen_git_text(const char *text, size_t size_max);

/* The same of a text in another encoding (NULL: UTF-8), as a commit's header names it. One that is
 * not known, or that the text does not keep to, counts as UTF-8. */
char *pen_git_text_of(const char *text, const char *encoding, size_t size_max);

/* Append text in another encoding, by the C library. False: it knows one of them not, or the text
 * cannot be had in it; out is then as before. */
bool pen_git_recode(const char *to, const char *from, const char *text, size_t size,
                    struct pen_buf *out);

/* Fill err with "what path: libgit2's last message". Returns code, but when the system was to
 * blame: PEN_EUNAVAILABLE (no descriptors), PEN_ENOMEM, PEN_ENOSPACE, PEN_EIO. */
int pen_git_fail(struct pen_error *err, int code, const char *what, const char *path);

/* Open a bare repository, just there. Errors: PEN_ENOTFOUND, PEN_ECORRUPT (a folder that is none),
 * PEN_EDENIED (not ours), PEN_EIO. */
int pen_git_open(const char *path, git_repository **ret_repository, struct pen_error *err);

/* Errors: PEN_ENOTFOUND, PEN_ECORRUPT. */
int pen_git_commit_find(git_repository *repository, const char *id, git_commit **ret_commit,
                        struct pen_error *err);

#endif
