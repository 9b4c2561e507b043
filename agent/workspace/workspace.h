/* agent/workspace/workspace.h - folders of attempts: fresh for each, made again only when used
 *
 *     FOLDER/17/src    working directory, first input       $CODEBUILD_SRC_DIR
 *     FOLDER/17/in/1   second input                         $CODEBUILD_SRC_DIR_<name>
 *     FOLDER/17/home   $HOME
 *     FOLDER/17/tmp    $TMPDIR
 *
 * An attempt that has left nothing behind gives its empty folders to the next one: they are
 * renamed, not made. Whatever is not empty is moved to FOLDER/trash-N and removed by whoever has
 * the time.
 */
#ifndef PEN_AGENT_WORKSPACE_WORKSPACE_H
#define PEN_AGENT_WORKSPACE_WORKSPACE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

enum { PEN_WORKSPACE_SPARES_MAX = 64 }; /* empty folders kept for reuse */

struct pen_workspaces;

/* Open the folder (made with its parents); what earlier processes left as spares or trash is listed
 * by pen_workspaces_next_trash(). Errors: PEN_EIO, PEN_ENOSPACE, PEN_EDENIED. */
int pen_workspaces_open(const char *folder, struct pen_workspaces **ret_workspaces,
                        struct pen_error *err);
void pen_workspaces_close(struct pen_workspaces **self_p);

/* Make the empty folders of an attempt. Errors: PEN_ENOSPACE, PEN_EIO. */
int pen_workspace_make(struct pen_workspaces *self, uint64_t fence, struct pen_error *err);

/* Path below the attempt's folder ("src", "in/1"; "" is the folder itself); free it. NULL when out
 * of memory. */
char *pen_workspace_path(const struct pen_workspaces *self, uint64_t fence, const char *below);

/* The attempt needs its folders no more; fine when it has none. */
void pen_workspace_done(struct pen_workspaces *self, uint64_t fence);

/* A folder that somebody has to remove (pen_dir_remove_tree), or NULL; free the path. Each is given
 * out once. */
char *pen_workspaces_next_trash(struct pen_workspaces *self);

/* Give every folder of an attempt that keep() does not want to the trash: at start. */
int pen_workspaces_sweep(struct pen_workspaces *self, int (*keep)(void *context, uint64_t fence),
                         void *context, struct pen_error *err);

#endif
