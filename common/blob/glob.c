#include "common/blob/glob.h"

#include <stddef.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"

/* Places to go back to when a byte does not fit. Only the last star of each kind is needed: what an
 * earlier one could give up, the later one can take. */
struct retry {
    const char *star_glob;
    const char *star_path;
    const char *folders_glob; /* after "**" */
    const char *folders_path;
    bool whole; /* the "**" stands for whole folders */
};

/* Let the last star, else the last "**", take more. */
static bool go_back(struct retry *self, const char **glob, const char **path)
{
    if (self->star_glob && *self->star_path != '/') {
        *path = ++self->star_path;
        *glob = self->star_glob;
        return true;
    }
    if (!self->folders_glob)
        return false;
    const char *next = self->folders_path;
    if (self->whole)
        next = strchr(next, '/');
    if (!next || !*next)
        return false;
    self->folders_path = next + 1;
    self->star_glob = NULL;
    *path = self->folders_path;
    *glob = self->folders_glob;
    return true;
}

/* The part of the glob that counts. */
static void trim(const char **glob, const char **ret_end)
{
    while (strncmp(*glob, "./", 2) == 0)
        *glob += 2;
    const char *end = *glob + strlen(*glob);
    while (end > *glob && end[-1] == '/')
        end--;
    *ret_end = end;
}

bool pen_glob_match(const char *glob, const char *path)
{
    const char *end;
    trim(&glob, &end);
    const char *start = glob;
    struct retry retry = {0};
    while (*path) {
        if (end - glob >= 2 && glob[0] == '*' && glob[1] == '*') {
            bool whole = (glob == start || glob[-1] == '/') && end - glob >= 3 && glob[2] == '/';
            glob += whole ? 3 : 2;
            retry = (struct retry){.folders_glob = glob, .folders_path = path, .whole = whole};
        } else if (glob < end && *glob == '*') {
            retry.star_glob = ++glob;
            retry.star_path = path;
        } else if (glob < end && (*glob == '?' ? *path != '/' : *glob == *path)) {
            glob++;
            path++;
        } else if (!go_back(&retry, &glob, &path)) {
            return false;
        }
    }
    while (glob < end && *glob == '*')
        glob++;
    return glob == end;
}

bool pen_glob_reaches(const char *glob, const char *folder)
{
    const char *end;
    trim(&glob, &end);
    struct retry retry = {0};
    for (const char *path = folder; *path;) {
        if (end - glob >= 2 && glob[0] == '*' && glob[1] == '*')
            return true; /* it takes the rest of the folder, and whatever comes */
        if (glob < end && *glob == '*') {
            retry.star_glob = ++glob;
            retry.star_path = path;
        } else if (glob < end && (*glob == '?' ? *path != '/' : *glob == *path)) {
            glob++;
            path++;
        } else if (!go_back(&retry, &glob, &path)) {
            return false;
        }
    }
    return glob < end;
}

/* The path or a folder above it is taken, or something below it may be. */
static bool concerns(const char *glob, const struct pen_buf *path)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf above = {0};
    for (size_t i = 0; i < path->size; i++) {
        if (path->data[i] == '/' && pen_glob_match(glob, pen_buf_text(&above)))
            return true;
        pen_buf_putc(&above, (char)path->data[i]);
    }
    if (pen_glob_match(glob, pen_buf_text(&above)))
        return true;
    pen_buf_putc(&above, '/');
    return above.failed || pen_glob_reaches(glob, pen_buf_text(&above));
}

bool pen_globs_concern(char *const *globs, size_t count, const char *path)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_buf_puts(&text, path);
    bool concerned = count == 0 || *path == '\0' || text.failed;
    for (size_t i = 0; i < count && !concerned; i++)
        concerned = concerns(globs[i], &text);
    return concerned;
}
