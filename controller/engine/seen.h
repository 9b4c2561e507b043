/* controller/engine/seen.h - where what was seen of refs is kept; for seen.c and apply_seen.c
 *
 *     pipeline --- seen_refs (part 0) --- refs in order of their names
 *              \-- seen_refs (part 7) ...
 *
 * A ref's part follows from its name. A part without refs is not there.
 */
#ifndef PEN_CONTROLLER_ENGINE_SEEN_H
#define PEN_CONTROLLER_ENGINE_SEEN_H

#include "common/base/limits.h"
#include "controller/engine/state.h"

/* 0 to PEN_LIMIT_SEEN_PARTS - 1. */
uint32_t seen_part(const char *name);

/* The part that has this ref, or would have it; NULL: it is not there. */
struct seen_refs *find_part(const struct pipeline *pipeline, const char *stage, const char *action,
                            const char *ref_name);

/* Index of the ref in the part, or where it belongs. */
size_t seen_place(const Pen__SeenRefsRow *row, const char *name, bool *ret_found);

#endif
