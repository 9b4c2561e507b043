#include "controller/sources/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <git2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/file.h"
#include "controller/sources/git2_internal.h"
#include "controller/sources/revision.h"

static void odb_release(git_odb **odb)
{
    git_odb_free(*odb);
}

/* ---- names, sorted */

struct names {
    struct pen_buf bytes; /* each with its \0 */
    const char **sorted;  /* into bytes */
    size_t count;
};

static void names_release(struct names *self)
{
    pen_buf_release(&self->bytes);
    free(self->sorted);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int sort(const struct pen_buf *bytes, const char ***ret_sorted, size_t *ret_count,
                struct pen_error *err)
{
    int rc = pen_buf_ok(bytes, err);
    if (rc < 0)
        return rc;
    const char *at = pen_buf_text(bytes);
    const char *end = at + bytes->size;
    size_t count = 0;
    for (const char *name = at; name < end; name += strlen(name) + 1)
        count++;
    const char **sorted = calloc(count + 1, sizeof *sorted);
    if (!sorted)
        return pen_fail(err, PEN_ENOMEM, "no memory for the names of %zu refs", count);
    count = 0;
    for (const char *name = at; name < end; name += strlen(name) + 1)
        sorted[count++] = name;
    qsort(sorted, count, sizeof *sorted, compare);
    *ret_sorted = sorted;
    *ret_count = count;
    return 0;
}

/* Of another space than branches and tags: heads of pull requests, which are fetched when somebody
 * asks for them. */
static bool is_other(const char *shorter)
{
    return pen_str_starts_with(shorter, "refs/penstock/");
}

/* As git shortens it for people. A branch and a tag may have the same short name. */
static const char *short_name(const char *name)
{
    static const char *const spaces[] = {"refs/heads/", "refs/tags/"};
    for (size_t i = 0; i < sizeof spaces / sizeof spaces[0]; i++)
        if (pen_str_starts_with(name, spaces[i]))
            return name + strlen(spaces[i]);
    return is_other(name) ? name : NULL;
}

static int read_names(const char *path, struct names *ret_names, struct pen_error *err)
{
    PEN_CLEANUP(pen_git_repository_release) git_repository *repository = NULL;
    git_reference_iterator *iterator = NULL;
    int rc = pen_git_open(path, &repository, err);
    if (rc < 0)
        return rc;
    if (git_reference_iterator_new(&iterator, repository) < 0)
        return pen_git_fail(err, PEN_EIO, "branches of", path);
    const char *name = NULL;
    int result;
    while ((result = git_reference_next_name(&name, iterator)) == 0) {
        const char *shorter = short_name(name);
        if (shorter)
            pen_buf_append(&ret_names->bytes, shorter, strlen(shorter) + 1);
    }
    git_reference_iterator_free(iterator);
    if (result != GIT_ITEROVER)
        return pen_git_fail(err, PEN_EIO, "branches of", path);
    return sort(&ret_names->bytes, &ret_names->sorted, &ret_names->count, err);
}

int pen_git_check_told(const char *path, const struct pen_buf *told, struct pen_error *err)
{
    PEN_CLEANUP(names_release) struct names there = {.count = 0};
    PEN_CLEANUP(pen_free) const char **reported = NULL;
    size_t count = 0;
    int rc = read_names(path, &there, err);
    if (rc < 0 || (rc = sort(told, &reported, &count, err)) < 0)
        return rc;
    size_t at = 0;
    size_t i = 0;
    while (i < there.count || at < count) {
        int order = i == there.count ? 1 : at == count ? -1 : strcmp(there.sorted[i], reported[at]);
        if (order > 0)
            return pen_fail(err, PEN_ECORRUPT, "the ref '%.300s' cannot be read", reported[at]);
        if (order < 0 && !is_other(there.sorted[i]))
            return pen_fail(err, PEN_ECORRUPT, "git has passed over '%.300s'", there.sorted[i]);
        i++;
        at += order == 0;
    }
    return 0;
}

/* ---- files as git writes them */

enum {
    REF_FILE_MAX = 4096,
    REFS_DEPTH_MAX = 200,
    PACK_HEADER = 12,
    INDEX_MIN = 8 + 256 * 4 + 40, /* header, fan-out, checksums */
    CHECKSUM = 20,
    SHALLOW_MAX = 64 * 1024 * 1024,
};

static bool is_id(const char *text)
{
    return strspn(text, "0123456789abcdef") == PEN_GIT_ID_SIZE - 1 &&
           (text[PEN_GIT_ID_SIZE - 1] == '\n' || text[PEN_GIT_ID_SIZE - 1] == '\0');
}

/* HEAD, and each ref that has a file of its own. */
static int check_ref_file(const char *path, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    int rc = pen_file_read(path, REF_FILE_MAX, &bytes, err);
    if (rc < 0)
        return rc;
    const char *text = pen_buf_text(&bytes);
    return is_id(text) || pen_str_starts_with(text, "ref: refs/")
               ? 0
               : pen_fail(err, PEN_ECORRUPT, "%s leads nowhere", path);
}

static int check_ref_files(const char *path, unsigned depth, struct pen_error *err)
{
    if (depth == REFS_DEPTH_MAX)
        return pen_fail(err, PEN_ELIMIT, "refs nested deeper than %d", REFS_DEPTH_MAX);
    DIR *stream = opendir(path);
    if (!stream)
        return pen_fail_errno(err, "%s", path);
    int rc = 0;
    const struct dirent *entry;
    while (rc == 0 && (entry = readdir(stream))) {
        struct stat status;
        if (entry->d_name[0] == '.' || pen_str_ends_with(entry->d_name, ".lock"))
            continue;
        PEN_CLEANUP(pen_free) char *below = pen_strdup_printf("%s/%s", path, entry->d_name);
        if (!below)
            rc = pen_fail(err, PEN_ENOMEM, "no memory for a path");
        else if (lstat(below, &status) < 0)
            continue; /* it has gone meanwhile */
        else if (S_ISDIR(status.st_mode))
            rc = check_ref_files(below, depth + 1, err);
        else
            rc = check_ref_file(below, err);
    }
    (void)closedir(stream);
    return rc;
}

static bool read_at(int fd, off_t offset, uint8_t *bytes, size_t size)
{
    return offset >= 0 && pread(fd, bytes, size, offset) == (ssize_t)size;
}

/* A pack ends in a checksum, which its index repeats. */
static int check_pack(const char *folder, const char *name, struct pen_error *err)
{
    static const uint8_t magic[] = {'P', 'A', 'C', 'K'};
    uint8_t header[PACK_HEADER];
    uint8_t pack_sum[CHECKSUM];
    uint8_t index_sum[CHECKSUM];
    struct stat pack;
    struct stat index;
    size_t stem = strlen(name) - strlen(".pack");
    PEN_CLEANUP(pen_free) char *path = pen_strdup_printf("%s/%s", folder, name);
    PEN_CLEANUP(pen_free) char *other = pen_strdup_printf("%s/%.*s.idx", folder, (int)stem, name);
    PEN_CLEANUP(pen_fd_close) int fd = -1;
    PEN_CLEANUP(pen_fd_close) int index_fd = -1;
    if (!path || !other)
        return pen_fail(err, PEN_ENOMEM, "no memory for a path");
    int rc = pen_file_open(path, O_RDONLY, 0, &fd, err);
    if (rc < 0 || (rc = pen_file_open(other, O_RDONLY, 0, &index_fd, err)) < 0)
        return rc == PEN_ENOTFOUND ? pen_fail(err, PEN_ECORRUPT, "%s has no index", path) : rc;
    if (fstat(fd, &pack) < 0 || fstat(index_fd, &index) < 0)
        return pen_fail_errno(err, "%s", path);
    bool whole = index.st_size >= INDEX_MIN && read_at(fd, 0, header, sizeof header) &&
                 memcmp(header, magic, sizeof magic) == 0 &&
                 read_at(fd, pack.st_size - CHECKSUM, pack_sum, CHECKSUM) &&
                 read_at(index_fd, index.st_size - 2 * CHECKSUM, index_sum, CHECKSUM) &&
                 memcmp(pack_sum, index_sum, CHECKSUM) == 0;
    return whole ? 0 : pen_fail(err, PEN_ECORRUPT, "%s and its index do not fit", path);
}

static int check_packs(const char *path, struct pen_error *err)
{
    PEN_CLEANUP(pen_free) char *folder = pen_strdup_printf("%s/objects/pack", path);
    if (!folder)
        return pen_fail(err, PEN_ENOMEM, "no memory for a path");
    DIR *stream = opendir(folder);
    if (!stream)
        return errno == ENOENT ? 0 : pen_fail_errno(err, "%s", folder);
    int rc = 0;
    const struct dirent *entry;
    while (rc == 0 && (entry = readdir(stream)))
        if (pen_str_starts_with(entry->d_name, "pack-") &&
            pen_str_ends_with(entry->d_name, ".pack"))
            rc = check_pack(folder, entry->d_name, err);
    (void)closedir(stream);
    return rc;
}

/* Lines of ids, or no file. */
static int check_shallow(const char *path, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    PEN_CLEANUP(pen_free) char *name = pen_strdup_printf("%s/shallow", path);
    if (!name)
        return pen_fail(err, PEN_ENOMEM, "no memory for a path");
    int rc = pen_file_read(name, SHALLOW_MAX, &bytes, err);
    if (rc == PEN_ENOTFOUND)
        return 0;
    if (rc == 0 && bytes.size % PEN_GIT_ID_SIZE != 0)
        rc = pen_fail(err, PEN_ECORRUPT, "%s is cut", name);
    for (size_t i = 0; rc == 0 && i < bytes.size; i += PEN_GIT_ID_SIZE)
        if (!is_id(pen_buf_text(&bytes) + i))
            rc = pen_fail(err, PEN_ECORRUPT, "%s is no list of commits", name);
    return rc;
}

/* What the refs lead to is there. */
static int check_targets(git_repository *repository, const char *path, struct pen_error *err)
{
    git_reference_iterator *iterator = NULL;
    git_reference *reference = NULL;
    PEN_CLEANUP(odb_release) git_odb *odb = NULL;
    if (git_repository_odb(&odb, repository) < 0)
        return pen_git_fail(err, PEN_ECORRUPT, "objects of", path);
    if (git_reference_iterator_new(&iterator, repository) < 0)
        return pen_git_fail(err, PEN_ECORRUPT, "refs of", path);
    int rc = 0;
    int result = 0;
    while (rc == 0 && (result = git_reference_next(&reference, iterator)) == 0) {
        const git_oid *id = git_reference_target(reference);
        if (id && !git_odb_exists(odb, id))
            rc = pen_fail(err, PEN_ECORRUPT, "%s: '%.300s' leads to an object that is not there",
                          path, git_reference_name(reference));
        git_reference_free(reference);
    }
    git_reference_iterator_free(iterator);
    if (rc == 0 && result != GIT_ITEROVER)
        rc = pen_git_fail(err, PEN_ECORRUPT, "refs of", path);
    return rc;
}

int pen_git_check(const char *path, struct pen_error *err)
{
    PEN_CLEANUP(pen_git_repository_release) git_repository *repository = NULL;
    PEN_CLEANUP(pen_free) char *head = pen_strdup_printf("%s/HEAD", path);
    PEN_CLEANUP(pen_free) char *refs = pen_strdup_printf("%s/refs", path);
    if (!head || !refs)
        return pen_fail(err, PEN_ENOMEM, "no memory for a path");
    int rc;
    if ((rc = pen_git_open(path, &repository, err)) < 0 || (rc = check_ref_file(head, err)) < 0 ||
        (rc = check_ref_files(refs, 0, err)) < 0 || (rc = check_packs(path, err)) < 0 ||
        (rc = check_shallow(path, err)) < 0)
        return rc;
    return check_targets(repository, path, err);
}

bool pen_git_is_shallow(const char *path)
{
    struct stat status;
    PEN_CLEANUP(pen_free) char *name = pen_strdup_printf("%s/shallow", path);
    return name && stat(name, &status) == 0 && status.st_size > 0;
}
