/* controller/model/glob.h - patterns of triggers: branches, tags, file paths
 *
 *     *      any characters of one path segment      **     any characters, '/' too
 *     ?      one character but '/'                    **<slash>  also nothing: a**<slash>b has a/b
 *     [a-c]  one of a set, [!a-c] one not of it       {x,y}  one of the words, not nested
 *     \      the next character as it is
 *
 * (<slash> stands for '/', which would end this comment.) Case matters. Matching takes time
 * proportional to pattern times text, for any pattern: no backtracking.
 */
#ifndef PEN_CONTROLLER_MODEL_GLOB_H
#define PEN_CONTROLLER_MODEL_GLOB_H

#include <stdbool.h>

#include "common/base/error.h"
#include "common/base/limits.h"
#include "pipeline.pb-c.h"

/* 0 when pattern is well-formed. Errors: PEN_EINVAL (says what is wrong), PEN_ELIMIT. */
int pen_trigger_glob_check(const char *pattern, struct pen_error *err);

/* Whether the whole text matches. A malformed pattern matches nothing. */
bool pen_trigger_glob_match(const char *pattern, const char *text);

/* Some include (or there are none) and no exclude matches; NULL criteria accept everything. */
bool pen_trigger_criteria_match(const Pen__GitFilterCriteria *criteria, const char *text);

#endif
