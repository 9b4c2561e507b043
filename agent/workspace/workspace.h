/* agent/workspace/workspace.h - folders of attempts: fresh for each, made again only when used
 *
 *     FOLDER/17/src    working directory, first input       $CODEBUILD_SRC_DIR
 *     FOLDER/17/in/1   second input                         $CODEBUILD_SRC_DIR_<name>
 *     FOLDER/17/home   $HOME
 *     FOLDER/17/tmp    $TMPDIR
 *
 * An attempt's folders are given to a later one, since making and removing them costs a file system
 * more than emptying them: they move to FOLDER/trash-N, where whoever has the time cleans them, and
 * from there to the next attempt. What cannot be proven to be like new is removed.
 *
 *     17 --done--> trash-N --pen_workspace_clean()--> spare (still named so) --make--> 18
 */
#ifndef PEN_AGENT_WORKSPACE_WORKSPACE_H
#define PEN_AGENT_WORKSPACE_WORKSPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

enum { PEN_WORKSPACE_SPARES_MAX = 64 }; /* empty folders kept for reuse */

struct pen_workspaces;

/* Open the folder (made with its parents). recycle: the end of an attempt is proven to be the end
 * of all its processes, so that none can reach into what a later one is given. What earlier
 * processes left as spares or trash is listed by pen_workspaces_next_trash(). Errors: PEN_EIO,
 * PEN_ENOSPACE, PEN_EDENIED. */
int pen_workspaces_open(const char *folder, bool recycle, struct pen_workspaces **ret_workspaces,
                        struct pen_error *err);
void pen_workspaces_close(struct pen_workspaces **self_p);

/* Make the empty folders of an attempt. Errors: PEN_ENOSPACE, PEN_EIO. */
int pen_workspace_make(struct pen_workspaces *self, uint64_t fence, struct pen_error *err);

/* Path below the attempt's folder ("src", "in/1"; "" is the folder itself); free it. NULL when out
 * of memory. */
char *pen_workspace_path(const struct pen_workspaces *self, uint64_t fence, const char *below);

/* The attempt needs its folders no more; fine when it has none. */
void pen_workspace_done(struct pen_workspaces *self, uint64_t fence);

/* A folder that somebody has to clean (ret_recycle: pen_workspace_clean, then
 * pen_workspaces_cleaned) or to remove (pen_dir_remove_tree), or NULL; free the path. Each is given
 * out once. */
char *pen_workspaces_next_trash(struct pen_workspaces *self, bool *ret_recycle);

/* Make a folder like new: empty, of our own, with no rights, attributes or size that an attempt has
 * left on it. False: that was not possible, and it was removed; with an error, it could not even
 * be removed. From any thread; it knows nothing but the path. */
bool pen_workspace_clean(const char *path, struct pen_error *err);

/* A folder that was given out to be cleaned is back: path is a spare now, and taken; NULL: it is
 * gone. */
void pen_workspaces_cleaned(struct pen_workspaces *self, char *path);

/* Give every folder of an attempt that keep() does not want to the trash: at start. */
int pen_workspaces_sweep(struct pen_workspaces *self, int (*keep)(void *context, uint64_t fence),
                         void *context, struct pen_error *err);

#endif
