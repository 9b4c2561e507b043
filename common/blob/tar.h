/* common/blob/tar.h - headers of a deterministic tar stream
 *
 * POSIX ustar, with pax records for what does not fit: paths and link targets above 100 bytes or
 * outside ASCII, files of 8 GiB or more. No owner, no time, mode 0644 or 0755 only.
 */
#ifndef PEN_COMMON_BLOB_TAR_H
#define PEN_COMMON_BLOB_TAR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"

enum { PEN_TAR_BLOCK = 512 };

enum pen_tar_kind { PEN_TAR_FILE = '0', PEN_TAR_LINK = '2', PEN_TAR_FOLDER = '5' };

/* Append the header blocks of one entry. target is for links; a folder's path ends in '/'. */
void pen_tar_header(struct pen_buf *ret_bytes, enum pen_tar_kind kind, const char *path,
                    const char *target, bool executable, uint64_t size);

/* Zeros that fill the last block of a file of this size: 0 to 511. */
uint64_t pen_tar_padding(uint64_t size);

/* Whether the path is relative and has no empty, "." or ".." part. */
bool pen_tar_path_valid(const char *path);

/* Whether a link at path with this target stays inside whatever else is there: "up" parts only come
 * first, and do not lead above the top. */
bool pen_tar_link_stays_inside(const char *path, const char *target);

#endif
