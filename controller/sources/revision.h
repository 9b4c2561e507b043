/* controller/sources/revision.h - reading repositories with libgit2: heads, commits, trees
 *
 * Never fetches, never checks out, runs nothing: objects are read and packed as they are. All paths
 * are those of bare repositories. For one thread.
 */
#ifndef PEN_CONTROLLER_SOURCES_REVISION_H
#define PEN_CONTROLLER_SOURCES_REVISION_H

#include <stdint.h>

#include "capsule.pb-c.h"
#include "common/base/error.h"
#include "common/blob/blob.h"

enum { PEN_GIT_ID_SIZE = 41 };

/* Once, before anything else: no configuration but the repository's own is read. */
int pen_git_library_start(struct pen_error *err);
void pen_git_library_stop(void);

/* Make a bare repository with initial branch main; fine when there is one. */
int pen_git_make_bare(const char *path, struct pen_error *err);

/* The commit a branch points to. Errors: PEN_ENOTFOUND (no such branch), PEN_EIO (unreadable). */
int pen_git_head(const char *path, const char *branch, char ret_id[PEN_GIT_ID_SIZE],
                 struct pen_error *err);

struct pen_git_commit {
    char id[PEN_GIT_ID_SIZE];
    char *message; /* all texts are UTF-8, whatever the commit holds */
    char *summary; /* first line */
    char *author_name;
    char *author_email;
    int64_t author_ms;
    int64_t committer_ms;
};

/* Read a commit by its full id. Errors: PEN_ENOTFOUND, PEN_EIO, PEN_ENOMEM. */
int pen_git_commit_read(const char *path, const char *id, struct pen_git_commit *ret_commit,
                        struct pen_error *err);
void pen_git_commit_release(struct pen_git_commit *self);

/* Pack the files of a commit: modes and links as they are, a submodule as an empty folder. Fills
 * ret_ref as pen_packer_finish does. Errors: PEN_EDENIED (a path or a link that would lead out),
 * PEN_ELIMIT, PEN_ECORRUPT, and those of the packer. */
int pen_git_commit_pack(const char *path, const char *id, struct pen_blob_store *store,
                        Pen__ArtifactRef *ret_ref, struct pen_error *err);

#endif
