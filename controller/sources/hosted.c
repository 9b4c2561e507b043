#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/file.h"
#include "controller/artifacts/layout.h"
#include "controller/sources/state.h"

/* Runs in the repository, as who pushed. The paths are relative, so that the data folder can be
 * moved; the name appears whole or not at all. Its failure does not undo the push: polling is left.
 */
static const char hook_format[] =
    "#!/bin/sh\n"
    "# Tells the controller that something was pushed. Written by penstock-controller.\n"
    "cat >/dev/null\n"
    "mark=../../pushes/.%s.$$\n"
    ": >\"$mark\" && mv -f \"$mark\" ../../pushes/%s\n"
    "exit 0\n";

char *pen_hosted_path(const struct pen_sources_state *self, const char *name)
{
    if (!name || !pen_git_repository_name_valid(name))
        return NULL;
    struct pen_buf path = {0};
    pen_layout_repository(self->dir, name, &path);
    return pen_buf_take_text(&path);
}

static int check_name(const char *name, struct pen_error *err)
{
    if (name && pen_git_repository_name_valid(name))
        return 0;
    return pen_fail(err, PEN_EINVAL, "'%.100s' is no name for a repository", name ? name : "");
}

int pen_hosted_make(struct pen_sources_state *self, const char *name, struct pen_error *err)
{
    int rc = check_name(name, err);
    if (rc < 0)
        return rc;
    PEN_CLEANUP(pen_free) char *path = pen_hosted_path(self, name);
    PEN_CLEANUP(pen_free)
    char *hook_path = path ? pen_strdup_printf("%s/hooks/post-receive", path) : NULL;
    PEN_CLEANUP(pen_free) char *hook = pen_strdup_printf(hook_format, name, name);
    if (!hook_path || !hook)
        return pen_fail(err, PEN_ENOMEM, "no memory for a repository");
    /* libgit2 makes what is missing and leaves the rest, so this may be cut off anywhere. */
    rc = pen_git_make_bare(path, err);
    return rc < 0 ? rc : pen_file_replace(hook_path, hook, strlen(hook), 0755, err);
}

int pen_hosted_drop(struct pen_sources_state *self, const char *name, struct pen_error *err)
{
    int rc = check_name(name, err);
    if (rc < 0)
        return rc;
    PEN_CLEANUP(pen_free) char *path = pen_hosted_path(self, name);
    PEN_CLEANUP(pen_free)
    char *dropped = pen_strdup_printf("%s/repos/.dropped-%s", self->dir, name);
    if (!path || !dropped)
        return pen_fail(err, PEN_ENOMEM, "no memory for a repository");
    (void)pen_hosted_take_push(self, name);
    /* Gone at once for who pushes, then at leisure from the disk. */
    if ((rc = pen_dir_remove_tree(dropped, err)) < 0)
        return rc;
    if (rename(path, dropped) < 0 && errno != ENOENT)
        return pen_fail_errno(err, "repository %s", path);
    return pen_dir_remove_tree(dropped, err);
}

bool pen_hosted_take_push(struct pen_sources_state *self, const char *name)
{
    PEN_CLEANUP(pen_free) char *path = pen_strdup_printf("%s/%s", self->pushes_path, name);
    return path && unlink(path) == 0;
}
