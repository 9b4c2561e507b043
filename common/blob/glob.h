/* common/blob/glob.h - which files an artifact takes
 *
 *     *      any bytes but '/'
 *     ?      one byte but '/'
 *     **     any bytes, '/' too; as a whole part of the path: any number of folders, none as well
 *
 * All other bytes stand for themselves. A leading "./" and trailing slashes do not count.
 */
#ifndef PEN_COMMON_BLOB_GLOB_H
#define PEN_COMMON_BLOB_GLOB_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the glob matches the whole relative path. Time: at most the product of the lengths, twice
 * over; memory: none. */
bool pen_glob_match(const char *glob, const char *path);

/* Whether it may match something below the folder, whose path ends in '/'. Never wrongly false. */
bool pen_glob_reaches(const char *glob, const char *folder);

/* Whether an output of these globs (none: everything) would hold the path, or something below it.
 * The path "" is the folder that is packed. */
bool pen_globs_concern(char *const *globs, size_t count, const char *path);

#endif
