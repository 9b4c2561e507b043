/* Branches and tags: what they lead to, what was pushed. */
#include <git2.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/file.h"
#include "controller/sources/git2_internal.h"
#include "controller/sources/revision.h"

enum {
    REF_NAME_MAX = 1024,
    REFS_FILE_MAX = PEN_GIT_REFS_MAX * (PEN_GIT_ID_SIZE + REF_NAME_MAX + 1),
    FILE_NAME_MAX = 4096,
    ID_SIZE = PEN_GIT_ID_SIZE - 1,
    MERGE_SEARCH_MAX = 1000, /* commits of the destination: a call comes soon after a merge */
};

void pen_git_refs_release(struct pen_git_refs *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->refs[i].name);
    free(self->refs);
    *self = (struct pen_git_refs){0};
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct pen_git_ref *)a)->name, ((const struct pen_git_ref *)b)->name);
}

const struct pen_git_ref *pen_git_refs_find(const struct pen_git_refs *self, const char *name)
{
    struct pen_git_ref key = {.name = (char *)(uintptr_t)name};
    return self->count == 0 ? NULL
                            : bsearch(&key, self->refs, self->count, sizeof *self->refs, compare);
}

int pen_git_refs_add(struct pen_git_refs *self, const char *name, size_t size, const char *id,
                     struct pen_error *err)
{
    if ((self->count & (self->count - 1)) == 0) {
        size_t room = self->count == 0 ? 1 : 2 * self->count;
        struct pen_git_ref *refs = reallocarray(self->refs, room, sizeof *refs);
        if (!refs)
            return pen_fail(err, PEN_ENOMEM, "no memory for a branch");
        self->refs = refs;
    }
    struct pen_git_ref *ref = &self->refs[self->count];
    ref->name = strndup(name, size);
    if (!ref->name)
        return pen_fail(err, PEN_ENOMEM, "no memory for a branch");
    memcpy(ref->id, id, ID_SIZE);
    ref->id[ID_SIZE] = '\0';
    self->count++;
    return 0;
}

void pen_git_refs_sort(struct pen_git_refs *self)
{
    if (self->count > 0)
        qsort(self->refs, self->count, sizeof *self->refs, compare);
}

static int add_reference(struct pen_git_refs *self, git_reference *reference, struct pen_error *err)
{
    const char *name = git_reference_name(reference);
    size_t size = strlen(name);
    git_object *commit = NULL;
    char id[PEN_GIT_ID_SIZE];
    if ((!git_reference_is_branch(reference) && !git_reference_is_tag(reference)) ||
        size > REF_NAME_MAX || !pen_utf8_valid(name, size) ||
        git_reference_peel(&commit, reference, GIT_OBJECT_COMMIT) < 0)
        return 0;
    (void)git_oid_tostr(id, sizeof id, git_object_id(commit));
    git_object_free(commit);
    if (self->count == PEN_GIT_REFS_MAX)
        return pen_fail(err, PEN_ELIMIT, "more than %d branches and tags", PEN_GIT_REFS_MAX);
    return pen_git_refs_add(self, name, size, id, err);
}

int pen_git_refs_read(const char *path, struct pen_git_refs *ret_refs, struct pen_error *err)
{
    PEN_CLEANUP(pen_git_repository_release) git_repository *repository = NULL;
    PEN_CLEANUP(pen_git_refs_release) struct pen_git_refs found = {0};
    git_reference_iterator *iterator = NULL;
    int rc = pen_git_open(path, &repository, err);
    if (rc < 0)
        return rc;
    if (git_reference_iterator_new(&iterator, repository) < 0)
        return pen_git_fail(err, PEN_EIO, "branches of", path);
    git_reference *reference = NULL;
    int result = 0;
    while (rc == 0 && (result = git_reference_next(&reference, iterator)) == 0) {
        rc = add_reference(&found, reference, err);
        git_reference_free(reference);
    }
    git_reference_iterator_free(iterator);
    if (rc < 0)
        return rc;
    if (result != GIT_ITEROVER)
        return pen_git_fail(err, PEN_EIO, "branches of", path);
    pen_git_refs_sort(&found);
    *ret_refs = found;
    found = (struct pen_git_refs){0};
    return 0;
}

/* ---- kept in a file: lines of id, blank, name */

int pen_git_refs_load(const char *path, struct pen_git_refs *ret_refs, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    PEN_CLEANUP(pen_git_refs_release) struct pen_git_refs found = {0};
    int rc = pen_file_read(path, REFS_FILE_MAX, &text, err);
    const char *at = rc == 0 ? pen_buf_text(&text) : "";
    while (rc == 0 && *at != '\0') {
        size_t size = strcspn(at, "\n");
        if (at[size] != '\n' || size < PEN_GIT_ID_SIZE + 1 || at[ID_SIZE] != ' ' ||
            strspn(at, "0123456789abcdef") != ID_SIZE)
            return pen_fail(err, PEN_ECORRUPT, "%s is no list of branches", path);
        rc = pen_git_refs_add(&found, at + PEN_GIT_ID_SIZE, size - PEN_GIT_ID_SIZE, at, err);
        at += size + 1;
    }
    if (rc < 0)
        return rc;
    pen_git_refs_sort(&found);
    *ret_refs = found;
    found = (struct pen_git_refs){0};
    return 0;
}

/* ---- what was pushed */

void pen_git_files_release(struct pen_git_files *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->names[i]);
    self->count = 0;
}

/* Take the name and keep nothing in the diff; end it when there are enough. */
static int take_file(const git_diff *diff, const git_diff_delta *delta, const char *matched,
                     void *payload)
{
    (void)diff;
    (void)matched;
    struct pen_git_files *files = payload;
    if (files->count == PEN_TRIGGER_CHANGED_FILES_MAX)
        return GIT_EUSER;
    const char *name = delta->new_file.path ? delta->new_file.path : delta->old_file.path;
    files->names[files->count] = pen_git_text(name, FILE_NAME_MAX);
    if (!files->names[files->count])
        return -1;
    files->count++;
    return 1;
}

static int tree_before(git_repository *repository, const char *old_id, const git_commit *commit,
                       git_tree **ret_tree)
{
    PEN_CLEANUP(pen_git_commit_free) git_commit *before = NULL;
    if (pen_git_commit_find(repository, old_id, &before, NULL) < 0 &&
        git_commit_parent(&before, commit, 0) < 0)
        return -1;
    return git_commit_tree(ret_tree, before);
}

/* The trees' difference; NULL trees have no files. */
static int compare_trees(git_repository *repository, git_commit *before, git_commit *after,
                         const char *path, struct pen_git_files *ret_files, struct pen_error *err)
{
    git_tree *old_tree = NULL;
    git_tree *new_tree = NULL;
    git_diff *diff = NULL;
    git_diff_options options;
    (void)git_diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION);
    options.notify_cb = take_file;
    options.payload = ret_files;
    int result = git_commit_tree(&old_tree, before);
    if (result == 0 && (result = git_commit_tree(&new_tree, after)) == 0)
        result = git_diff_tree_to_tree(&diff, repository, old_tree, new_tree, &options);
    git_diff_free(diff);
    git_tree_free(new_tree);
    git_tree_free(old_tree);
    if (result == 0 || result == GIT_EUSER)
        return 0;
    pen_git_files_release(ret_files);
    return pen_git_fail(err, PEN_EIO, "changes of", path);
}

/* Where the destination was before it took the head in by a merge commit; else where it is. */
static void before_the_merge(git_repository *repository, const git_oid *head, git_oid *destination)
{
    git_oid at = *destination;
    for (unsigned i = 0; i < MERGE_SEARCH_MAX; i++) {
        PEN_CLEANUP(pen_git_commit_free) git_commit *commit = NULL;
        if (git_commit_lookup(&commit, repository, &at) < 0 || git_commit_parentcount(commit) == 0)
            return;
        at = *git_commit_parent_id(commit, 0);
        for (unsigned k = 1; k < git_commit_parentcount(commit); k++) {
            if (!git_oid_equal(git_commit_parent_id(commit, k), head))
                continue;
            *destination = at;
            return;
        }
    }
}

int pen_git_pull_request_files(const char *path, const char *head_id, const char *destination,
                               struct pen_git_files *ret_files, struct pen_error *err)
{
    char destination_id[PEN_GIT_ID_SIZE];
    PEN_CLEANUP(pen_git_repository_release) git_repository *repository = NULL;
    PEN_CLEANUP(pen_git_commit_free) git_commit *head = NULL;
    PEN_CLEANUP(pen_git_commit_free) git_commit *left = NULL;
    ret_files->count = 0;
    int rc = pen_git_head(path, destination, destination_id, err);
    if (rc < 0)
        return rc == PEN_ENOTFOUND ? 0 : rc;
    git_oid other;
    git_oid base;
    if ((rc = pen_git_open(path, &repository, err)) < 0 ||
        (rc = pen_git_commit_find(repository, head_id, &head, err)) < 0)
        return rc;
    if (git_oid_fromstr(&other, destination_id) < 0)
        return pen_git_fail(err, PEN_EIO, "branch", destination);
    before_the_merge(repository, git_commit_id(head), &other);
    if (git_merge_base(&base, repository, git_commit_id(head), &other) < 0 ||
        git_commit_lookup(&left, repository, &base) < 0)
        return 0; /* nothing in common */
    return compare_trees(repository, left, head, path, ret_files, err);
}

bool pen_git_is_below(const char *path, const char *ancestor_id, const char *id)
{
    PEN_CLEANUP(pen_git_repository_release) git_repository *repository = NULL;
    git_oid ancestor;
    git_oid commit;
    return pen_git_open(path, &repository, NULL) == 0 &&
           git_oid_fromstr(&ancestor, ancestor_id) == 0 && git_oid_fromstr(&commit, id) == 0 &&
           git_graph_descendant_of(repository, &commit, &ancestor) == 1;
}

int pen_git_changed_files(const char *path, const char *old_id, const char *new_id,
                          struct pen_git_files *ret_files, struct pen_error *err)
{
    PEN_CLEANUP(pen_git_repository_release) git_repository *repository = NULL;
    PEN_CLEANUP(pen_git_commit_free) git_commit *commit = NULL;
    ret_files->count = 0;
    int rc = pen_git_open(path, &repository, err);
    if (rc < 0 || (rc = pen_git_commit_find(repository, new_id, &commit, err)) < 0)
        return rc;
    git_tree *before = NULL;
    git_tree *after = NULL;
    git_diff *diff = NULL;
    git_diff_options options;
    (void)git_diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION);
    options.notify_cb = take_file;
    options.payload = ret_files;
    int result = tree_before(repository, old_id, commit, &before);
    if (result == 0 && (result = git_commit_tree(&after, commit)) == 0)
        result = git_diff_tree_to_tree(&diff, repository, before, after, &options);
    git_diff_free(diff);
    git_tree_free(after);
    git_tree_free(before);
    if (before && result < 0 && result != GIT_EUSER) {
        pen_git_files_release(ret_files);
        return pen_git_fail(err, PEN_EIO, "changes of", path);
    }
    return 0;
}
