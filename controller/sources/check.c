#include "controller/sources/check.h"

#include <git2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "controller/sources/git2_internal.h"

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

/* As git shortens it for people. A branch and a tag may have the same short name. */
static const char *short_name(const char *name)
{
    static const char *const spaces[] = {"refs/heads/", "refs/tags/"};
    for (size_t i = 0; i < sizeof spaces / sizeof spaces[0]; i++)
        if (pen_str_starts_with(name, spaces[i]))
            return name + strlen(spaces[i]);
    return NULL;
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
    /* Every name that is there has one among the reported that is its own. */
    size_t at = 0;
    for (size_t i = 0; i < there.count; i++) {
        while (at < count && strcmp(reported[at], there.sorted[i]) < 0)
            at++;
        if (at == count || strcmp(reported[at], there.sorted[i]) != 0)
            return pen_fail(err, PEN_ECORRUPT, "git has passed over '%.300s'", there.sorted[i]);
        at++;
    }
    return 0;
}

bool pen_git_is_shallow(const char *path)
{
    struct stat status;
    PEN_CLEANUP(pen_free) char *name = pen_strdup_printf("%s/shallow", path);
    return name && stat(name, &status) == 0 && status.st_size > 0;
}
