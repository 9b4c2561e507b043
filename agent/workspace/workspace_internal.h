/* agent/workspace/workspace_internal.h - what a new workspace has in it */
#ifndef PEN_AGENT_WORKSPACE_WORKSPACE_INTERNAL_H
#define PEN_AGENT_WORKSPACE_WORKSPACE_INTERNAL_H

#include "agent/workspace/workspace.h"

enum { PEN_WORKSPACE_PARTS = 3 };
extern const char *const pen_workspace_parts[PEN_WORKSPACE_PARTS];

/* Tell the file system that the workspaces in this folder have nothing to do with each other: ext4
 * then keeps them apart, and looks for a free inode where few were freed just now. */
void pen_workspaces_spread(const char *path);

#endif
