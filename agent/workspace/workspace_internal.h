/* agent/workspace/workspace_internal.h - what a new workspace has in it */
#ifndef PEN_AGENT_WORKSPACE_WORKSPACE_INTERNAL_H
#define PEN_AGENT_WORKSPACE_WORKSPACE_INTERNAL_H

#include "agent/workspace/workspace.h"

enum { PEN_WORKSPACE_PARTS = 3 };
extern const char *const pen_workspace_parts[PEN_WORKSPACE_PARTS];

#endif
