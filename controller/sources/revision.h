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
#include "common/base/limits.h"
#include "common/blob/blob.h"

enum { PEN_GIT_ID_SIZE = 41 };

/* Once, before anything else: no configuration but the repository's own is read. */
int pen_git_library_start(struct pen_error *err);
void pen_git_library_stop(void);

/* Make a bare repository with initial branch main; fine when there is one. Errors: PEN_ECORRUPT
 * (what is there is damaged), PEN_EIO and others (the system refuses). */
int pen_git_make_bare(const char *path, struct pen_error *err);

/* The commit a branch points to. Errors: PEN_ENOTFOUND (no such branch), PEN_ECORRUPT (the
 * repository is damaged), PEN_EIO and others (the system refuses). */
int pen_git_head(const char *path, const char *branch, char ret_id[PEN_GIT_ID_SIZE],
                 struct pen_error *err);

/* The commit a ref of any name points to. Errors: as pen_git_head. */
int pen_git_ref_id(const char *path, const char *name, char ret_id[PEN_GIT_ID_SIZE],
                   struct pen_error *err);

/* Whether a commit is another one's ancestor; false also when either is not there. */
bool pen_git_is_below(const char *path, const char *ancestor_id, const char *id);

struct pen_git_commit {
    char id[PEN_GIT_ID_SIZE];
    char *message; /* all texts are UTF-8, whatever the commit holds */
    char *summary; /* first line */
    char *author_name;
    char *author_email;
    int64_t author_ms; /* both within the years 1 to 9999, whatever the commit holds */
    int64_t committer_ms;
};

/* Read a commit by its full id. Errors: PEN_ENOTFOUND, PEN_ECORRUPT, PEN_EIO, PEN_ENOMEM. */
int pen_git_commit_read(const char *path, const char *id, struct pen_git_commit *ret_commit,
                        struct pen_error *err);
void pen_git_commit_release(struct pen_git_commit *self);

/* One branch or tag and the commit it leads to. */
struct pen_git_ref {
    char *name; /* "refs/heads/main" */
    char id[PEN_GIT_ID_SIZE];
};

/* In order of the names. Release with pen_git_refs_release, also when it is empty. */
struct pen_git_refs {
    struct pen_git_ref *refs;
    size_t count;
};

enum { PEN_GIT_REFS_MAX = 50000 };

/* All branches and tags; left out are those whose name is not UTF-8 and tags of what is no commit.
 * Errors: PEN_ELIMIT (more than PEN_GIT_REFS_MAX), PEN_ENOTFOUND, PEN_EIO, PEN_ENOMEM. */
int pen_git_refs_read(const char *path, struct pen_git_refs *ret_refs, struct pen_error *err);
void pen_git_refs_release(struct pen_git_refs *self);
/* NULL: there is none of this name. */
const struct pen_git_ref *pen_git_refs_find(const struct pen_git_refs *self, const char *name);

/* Add one; sort before they are used when the names do not come in order. Errors: PEN_ENOMEM. */
int pen_git_refs_add(struct pen_git_refs *self, const char *name, size_t name_size, const char *id,
                     struct pen_error *err);
void pen_git_refs_sort(struct pen_git_refs *self);

/* Read them from a file of an older release. Errors: those of the file, PEN_ECORRUPT. */
int pen_git_refs_load(const char *path, struct pen_git_refs *ret_refs, struct pen_error *err);

/* Files that differ between two commits, at most PEN_TRIGGER_CHANGED_FILES_MAX of them. When the
 * old one is there no more, the new one's first parent stands in; without either there are none. */
struct pen_git_files {
    char *names[PEN_TRIGGER_CHANGED_FILES_MAX]; /* UTF-8 */
    size_t count;
};
int pen_git_changed_files(const char *path, const char *old_id, const char *new_id,
                          struct pen_git_files *ret_files, struct pen_error *err);
/* Files that a pull request changes: from where its head has left the destination branch, also when
 * that has taken it in by a merge commit since. None when the branch is not there, or when the head
 * became a part of it without a merge commit. Errors: as above. */
int pen_git_pull_request_files(const char *path, const char *head_id, const char *destination,
                               struct pen_git_files *ret_files, struct pen_error *err);
void pen_git_files_release(struct pen_git_files *self);

/* Pack the files of a commit as `git clone` checks them out: modes and links as they are, line
 * ends, encodings and $Id$ as its attributes say. A submodule is an empty folder, and no filter is
 * run: ret_left_out then has a text for people that says so (malloc), else it is left alone. Fills
 * ret_ref as pen_packer_finish does. Errors: PEN_EDENIED (a path that would lead out),
 * PEN_ELIMIT, PEN_ECORRUPT, and those of the packer. */
int pen_git_commit_pack(const char *path, const char *id, struct pen_blob_store *store,
                        Pen__ArtifactRef *ret_ref, char **ret_left_out, struct pen_error *err);

#endif
