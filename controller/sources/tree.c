/* The files of a commit into an artifact. */
#include <git2.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/blob/archive.h"
#include "controller/sources/attributes.h"
#include "controller/sources/git2_internal.h"
#include "controller/sources/revision.h"

enum {
    DEPTH_MAX = 200,
    ENTRIES_MAX = 1000000,
    FOLDER_MODE = 0755,
    PROGRAM_MODE = 0755,
    FILE_MODE = 0644,
    ATTRIBUTES_SIZE_MAX = 1024 * 1024, /* each rule is held against each file */
    PATH_SHOWN_MAX = 128,
    LEFT_OUT_SIZE_MAX = 700,
};

/* A file is read as a whole, and packing one commit must not take the machine's memory or disk. */
static const uint64_t file_size_max = UINT64_C(512) << 20;
static const uint64_t tree_size_max = UINT64_C(8) << 30;

struct item {
    const git_tree_entry *entry; /* borrowed from the tree of its level */
    bool folder;
};

struct level {
    git_tree *tree;
    struct item *items;
    size_t count;
    size_t next;
    size_t path_size;
    bool attributes; /* a .gitattributes here or above asks for something */
};

/* Files that are not as a person may expect them, of one sort. */
struct left_out {
    uint64_t count;
    char first[PATH_SHOWN_MAX]; /* path of the first */
    char what[PEN_GIT_ATTRIBUTE_MAX];
};

struct tree_walk {
    git_repository *repository;
    git_odb *odb;
    struct pen_packer *packer;
    struct pen_buf path;
    uint64_t size;
    uint64_t entries;
    struct level levels[DEPTH_MAX];
    size_t depth;
    const git_oid *commit;
    struct left_out submodules;
    struct left_out filtered;
    struct left_out encodings;
};

/* One time for every file: that of the commit would make each commit's artifact another one. */
static struct pen_entry_facts facts_of(uint32_t mode)
{
    return (struct pen_entry_facts){.mode = mode, .mtime_s = PEN_ARCHIVE_FIXED_TIME_S};
}

static void walk_destroy(struct tree_walk **self_p)
{
    struct tree_walk *self = TAKE_PTR(*self_p);
    if (!self)
        return;
    while (self->depth > 0) {
        struct level *level = &self->levels[--self->depth];
        free(level->items);
        git_tree_free(level->tree);
    }
    git_odb_free(self->odb);
    pen_packer_destroy(&self->packer);
    pen_buf_release(&self->path);
    free(self);
}

static void path_cut(struct pen_buf *path, size_t size)
{
    if (path->size <= size)
        return;
    path->size = size;
    path->data[size] = '\0';
}

/* The packer's order: by name, a folder's ending in '/'. git's own differs for submodules, and a
 * hostile tree has any. */
static int compare_items(const void *a, const void *b)
{
    const struct item *one = a;
    const struct item *two = b;
    const unsigned char *p = (const unsigned char *)git_tree_entry_name(one->entry);
    const unsigned char *q = (const unsigned char *)git_tree_entry_name(two->entry);
    while (*p && *p == *q) {
        p++;
        q++;
    }
    int left = *p ? *p : one->folder ? '/' : 0;
    int right = *q ? *q : two->folder ? '/' : 0;
    return left - right;
}

static void blob_release(git_blob **blob)
{
    git_blob_free(*blob);
}

/* Attributes hold for a folder and all below it. Most files of them ask for nothing of ours. */
static int find_attributes(struct tree_walk *self, struct level *level, struct pen_error *err)
{
    level->attributes = self->depth > 1 && self->levels[self->depth - 2].attributes;
    const git_tree_entry *entry = git_tree_entry_byname(level->tree, ".gitattributes");
    if (level->attributes || !entry || git_tree_entry_type(entry) != GIT_OBJECT_BLOB)
        return 0;
    PEN_CLEANUP(blob_release) git_blob *blob = NULL;
    if (git_blob_lookup(&blob, self->repository, git_tree_entry_id(entry)) < 0)
        return pen_git_fail(err, PEN_ECORRUPT, "file", ".gitattributes");
    size_t size = (size_t)git_blob_rawsize(blob);
    if (size > ATTRIBUTES_SIZE_MAX)
        return pen_fail(err, PEN_ELIMIT, "'%.100s.gitattributes' has %zu bytes: it may have %d",
                        pen_buf_text(&self->path), size, ATTRIBUTES_SIZE_MAX);
    level->attributes = pen_git_attributes_matter(git_blob_rawcontent(blob), size);
    return 0;
}

/* Go down into a tree; path is "" or ends in '/'. */
static int descend(struct tree_walk *self, const git_oid *id, struct pen_error *err)
{
    const char *path = pen_buf_text(&self->path);
    if (self->depth == DEPTH_MAX)
        return pen_fail(err, PEN_ELIMIT, "folders nested deeper than %d: %.100s...", DEPTH_MAX,
                        path);
    git_tree *tree = NULL;
    if (git_tree_lookup(&tree, self->repository, id) < 0)
        return pen_git_fail(err, PEN_ECORRUPT, "folder", path);
    struct level *level = &self->levels[self->depth++];
    size_t count = git_tree_entrycount(tree);
    *level = (struct level){.tree = tree, .path_size = self->path.size};
    self->entries += count;
    if (self->entries > ENTRIES_MAX)
        return pen_fail(err, PEN_ELIMIT, "more than %d files and folders", ENTRIES_MAX);
    level->items = calloc(count ? count : 1, sizeof *level->items);
    if (!level->items)
        return pen_fail(err, PEN_ENOMEM, "no memory for a folder of %zu entries", count);
    for (size_t i = 0; i < count; i++) {
        const git_tree_entry *entry = git_tree_entry_byindex(tree, i);
        git_filemode_t mode = git_tree_entry_filemode(entry);
        level->items[i] = (struct item){
            .entry = entry, .folder = mode == GIT_FILEMODE_TREE || mode == GIT_FILEMODE_COMMIT};
    }
    level->count = count;
    qsort(level->items, count, sizeof *level->items, compare_items);
    return find_attributes(self, level, err);
}

/* The size is known from the object's header, before its content is unpacked. */
static int check_size(struct tree_walk *self, const git_oid *id, const char *path,
                      struct pen_error *err)
{
    size_t size = 0;
    git_object_t type = GIT_OBJECT_INVALID;
    if (git_odb_read_header(&size, &type, self->odb, id) < 0)
        return pen_git_fail(err, PEN_ECORRUPT, "file", path);
    if (size > file_size_max)
        return pen_fail(err, PEN_ELIMIT, "'%s' has %zu bytes: a file of a source may have %" PRIu64,
                        path, size, file_size_max);
    self->size += size;
    if (self->size > tree_size_max)
        return pen_fail(err, PEN_ELIMIT, "the files of the commit have more than %" PRIu64 " bytes",
                        tree_size_max);
    return 0;
}

static int add_link(struct tree_walk *self, git_blob *blob, const char *path, struct pen_error *err)
{
    git_object_size_t size = git_blob_rawsize(blob);
    if (size == 0 || size > PEN_ARCHIVE_TARGET_MAX ||
        memchr(git_blob_rawcontent(blob), 0, (size_t)size))
        return pen_fail(err, PEN_EDENIED, "the link '%s' has no path as its target", path);
    PEN_CLEANUP(pen_free) char *target = strndup(git_blob_rawcontent(blob), (size_t)size);
    if (!target)
        return pen_fail(err, PEN_ENOMEM, "no memory for a link");
    const struct pen_entry_facts facts = facts_of(0);
    return pen_packer_add_link(self->packer, path, &facts, target, err);
}

static void leave_out(struct left_out *self, const char *path, const char *what)
{
    if (self->count++ > 0)
        return;
    (void)snprintf(self->first, sizeof self->first, "%s", path);
    (void)snprintf(self->what, sizeof self->what, "%s", what);
}

/* As a checkout has it. */
static int add_content(struct tree_walk *self, git_blob *blob, const char *path, bool executable,
                       struct pen_error *err)
{
    const char *bytes = git_blob_rawcontent(blob);
    size_t size = (size_t)git_blob_rawsize(blob);
    PEN_CLEANUP(pen_buf_release) struct pen_buf converted = {0};
    struct pen_git_checkout checkout = {.crlf = false};
    bool kept = false;
    int rc = 0;
    if (self->levels[self->depth - 1].attributes)
        rc = pen_git_checkout_of(self->repository, self->commit, path, &checkout, err);
    if (rc == 0 && pen_git_checkout_changes(&checkout)) {
        rc = pen_git_checkout_convert(&checkout, git_blob_id(blob), bytes, size, &converted, &kept,
                                      err);
        bytes = pen_buf_text(&converted);
        size = converted.size;
    }
    if (rc < 0)
        return rc;
    if (checkout.filter[0] != '\0')
        leave_out(&self->filtered, path, checkout.filter);
    if (kept)
        leave_out(&self->encodings, path, checkout.encoding);
    const struct pen_entry_facts facts = facts_of(executable ? PROGRAM_MODE : FILE_MODE);
    return pen_packer_add_bytes(self->packer, path, &facts, bytes, size, err);
}

static int add_file(struct tree_walk *self, const git_tree_entry *entry, const char *path,
                    struct pen_error *err)
{
    const git_oid *id = git_tree_entry_id(entry);
    int rc = check_size(self, id, path, err);
    if (rc < 0)
        return rc;
    PEN_CLEANUP(blob_release) git_blob *blob = NULL;
    if (git_blob_lookup(&blob, self->repository, id) < 0)
        return pen_git_fail(err, PEN_ECORRUPT, "file", path);
    git_filemode_t mode = git_tree_entry_filemode(entry);
    if (mode == GIT_FILEMODE_LINK)
        return add_link(self, blob, path, err);
    return add_content(self, blob, path, mode == GIT_FILEMODE_BLOB_EXECUTABLE, err);
}

/* A tree that names ".git" would plant a repository, with its configuration, into the workspace. */
static bool is_dot_git(const char *name)
{
    return name[0] == '.' && (name[1] | 0x20) == 'g' && (name[2] | 0x20) == 'i' &&
           (name[3] | 0x20) == 't' && name[4] == '\0';
}

/* The next entry of the deepest level. */
static int visit(struct tree_walk *self, struct pen_error *err)
{
    struct level *level = &self->levels[self->depth - 1];
    path_cut(&self->path, level->path_size);
    if (level->next == level->count) {
        free(level->items);
        git_tree_free(level->tree);
        self->depth--;
        return 0;
    }
    const git_tree_entry *entry = level->items[level->next++].entry;
    const char *name = git_tree_entry_name(entry);
    if (is_dot_git(name) || strchr(name, '/'))
        return pen_fail(err, PEN_EDENIED, "the commit has an entry named '%.100s'", name);
    pen_buf_puts(&self->path, name);
    int rc = pen_buf_ok(&self->path, err);
    if (rc < 0)
        return rc;
    const struct pen_entry_facts facts = facts_of(FOLDER_MODE);
    switch (git_tree_entry_filemode(entry)) {
    case GIT_FILEMODE_TREE:
        rc = pen_packer_add_folder(self->packer, pen_buf_text(&self->path), &facts, err);
        pen_buf_putc(&self->path, '/');
        return rc < 0 ? rc : descend(self, git_tree_entry_id(entry), err);
    case GIT_FILEMODE_COMMIT: /* a submodule: its files belong to another repository */
        leave_out(&self->submodules, pen_buf_text(&self->path), "");
        return pen_packer_add_folder(self->packer, pen_buf_text(&self->path), &facts, err);
    default:
        return add_file(self, entry, pen_buf_text(&self->path), err);
    }
}

/* "2 submodules are empty (the first: 'lib')". */
static void put_left_out(struct pen_buf *text, const struct left_out *left, const char *one,
                         const char *many)
{
    if (left->count == 0)
        return;
    pen_buf_puts(text, text->size > 0 ? "; " : "");
    if (left->count == 1)
        pen_buf_printf(text, "%s: '%s'", one, left->first);
    else
        pen_buf_printf(text, "%" PRIu64 " %s, the first: '%s'", left->count, many, left->first);
    if (left->what[0] != '\0')
        pen_buf_printf(text, " (%s)", left->what);
}

static int tell_left_out(const struct tree_walk *self, char **ret_left_out, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    put_left_out(&text, &self->submodules, "a submodule is left empty",
                 "submodules are left empty");
    put_left_out(&text, &self->filtered, "a file is as it is stored, without its filter",
                 "files are as they are stored, without their filter");
    put_left_out(&text, &self->encodings, "a file cannot be had in its working-tree-encoding",
                 "files cannot be had in their working-tree-encoding");
    if (text.size == 0)
        return 0;
    char *left_out = pen_git_text(pen_buf_text(&text), LEFT_OUT_SIZE_MAX);
    if (!left_out)
        return pen_fail(err, PEN_ENOMEM, "no memory for a summary");
    *ret_left_out = left_out;
    return 0;
}

int pen_git_commit_pack(const char *path, const char *id, struct pen_blob_store *store,
                        Pen__ArtifactRef *ret_ref, char **ret_left_out, struct pen_error *err)
{
    PEN_CLEANUP(pen_git_repository_release) git_repository *repository = NULL;
    PEN_CLEANUP(pen_git_commit_free) git_commit *commit = NULL;
    int rc = pen_git_open(path, &repository, err);
    if (rc < 0 || (rc = pen_git_commit_find(repository, id, &commit, err)) < 0)
        return rc;
    PEN_CLEANUP(walk_destroy) struct tree_walk *walk = calloc(1, sizeof *walk);
    if (!walk)
        return pen_fail(err, PEN_ENOMEM, "no memory to pack a commit");
    walk->repository = repository;
    walk->commit = git_commit_id(commit);
    if (git_repository_odb(&walk->odb, repository) < 0)
        return pen_git_fail(err, PEN_EIO, "objects of", path);
    rc = pen_packer_create(store, &walk->packer, err);
    if (rc == 0)
        rc = descend(walk, git_commit_tree_id(commit), err);
    while (rc == 0 && walk->depth > 0)
        rc = visit(walk, err);
    if (rc == 0)
        rc = pen_packer_finish(walk->packer, ret_ref, err);
    return rc < 0 ? rc : tell_left_out(walk, ret_left_out, err);
}
