/* common/blob/entry.h - entries of an artifact as bytes, and the rules for their paths */
#ifndef PEN_COMMON_BLOB_ENTRY_H
#define PEN_COMMON_BLOB_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/limits.h"
#include "common/blob/archive.h"
#include "manifest.pb-c.h"

enum {
    PEN_ENTRY_FRAME = 4, /* bytes in front of each entry: its packed size, the lowest first */
    PEN_ENTRY_SIZE_MAX = PEN_LIMIT_ARTIFACT_PATH_BYTES + PEN_ARCHIVE_TARGET_MAX + 1024,
    PEN_ENTRY_NANOSECONDS = 1000000000,
};

/* Whether the path is relative and has no empty, "." or ".." part. */
bool pen_entry_path_valid(const char *path);

/* Append a frame and the packed entry. Errors: PEN_ENOMEM. */
int pen_entry_append(struct pen_buf *ret_bytes, const Pen__ArtifactEntry *entry,
                     struct pen_error *err);

/* The size in a frame, checked. Errors: PEN_ECORRUPT. */
int pen_entry_frame_size(const uint8_t frame[PEN_ENTRY_FRAME], size_t *ret_size,
                         struct pen_error *err);

/* Unpack one entry and check all that can be checked of it alone. Its path and target end in a zero
 * byte. Free it with pen_message_destroy. Errors: PEN_ECORRUPT, PEN_EDENIED (a path that would
 * escape), PEN_ENOMEM. */
int pen_entry_parse(const uint8_t *bytes, size_t size, Pen__ArtifactEntry **ret_entry,
                    struct pen_error *err);

/* The path of a parsed entry as text. */
const char *pen_entry_path(const Pen__ArtifactEntry *entry);

#endif
