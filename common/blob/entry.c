#include "common/blob/entry.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/wire/wire.h"

static bool part_is(const char *part, size_t size, const char *name)
{
    return size == strlen(name) && memcmp(part, name, size) == 0;
}

bool pen_entry_path_valid(const char *path)
{
    for (const char *part = path;;) {
        size_t size = strcspn(part, "/");
        if (size == 0 || part_is(part, size, ".") || part_is(part, size, ".."))
            return false;
        if (part[size] == '\0')
            return true;
        part += size + 1;
    }
}

int pen_entry_append(struct pen_buf *ret_bytes, const Pen__ArtifactEntry *entry,
                     struct pen_error *err)
{
    uint32_t size = (uint32_t)protobuf_c_message_get_packed_size(&entry->base);
    const uint8_t frame[PEN_ENTRY_FRAME] = {(uint8_t)size, (uint8_t)(size >> 8),
                                            (uint8_t)(size >> 16), (uint8_t)(size >> 24)};
    pen_buf_append(ret_bytes, frame, sizeof frame);
    return pen_wire_pack(entry, ret_bytes, err);
}

int pen_entry_frame_size(const uint8_t frame[PEN_ENTRY_FRAME], size_t *ret_size,
                         struct pen_error *err)
{
    uint32_t size = (uint32_t)frame[0] | (uint32_t)frame[1] << 8 | (uint32_t)frame[2] << 16 |
                    (uint32_t)frame[3] << 24;
    if (size == 0 || size > PEN_ENTRY_SIZE_MAX)
        return pen_fail(err, PEN_ECORRUPT, "an entry of %u bytes: 1 to %d are possible", size,
                        PEN_ENTRY_SIZE_MAX);
    *ret_size = size;
    return 0;
}

/* Give the bytes a zero at their end, which size does not count. */
static int terminate(ProtobufCBinaryData *bytes, struct pen_error *err)
{
    uint8_t *grown = realloc(bytes->data, bytes->len + 1);
    if (!grown)
        return pen_fail(err, PEN_ENOMEM, "no memory for an entry");
    grown[bytes->len] = 0;
    bytes->data = grown;
    return 0;
}

static int check_target(const Pen__ArtifactEntry *entry, struct pen_error *err)
{
    size_t size = entry->target.len;
    if (size == 0 || size > PEN_ARCHIVE_TARGET_MAX || memchr(entry->target.data, 0, size))
        return pen_fail(err, PEN_ECORRUPT, "the link '%.200s' has no path as its target",
                        pen_entry_path(entry));
    return 0;
}

static int check(const Pen__ArtifactEntry *entry, struct pen_error *err)
{
    const char *path = pen_entry_path(entry);
    if (!entry->has_kind)
        return pen_fail(err, PEN_ECORRUPT, "an entry without a kind");
    if (memchr(entry->path.data, 0, entry->path.len) ||
        entry->path.len > PEN_LIMIT_ARTIFACT_PATH_BYTES || !pen_entry_path_valid(path))
        return pen_fail(err, PEN_EDENIED, "'%.200s' is no path inside an artifact", path);
    if (entry->mtime_ns >= PEN_ENTRY_NANOSECONDS)
        return pen_fail(err, PEN_ECORRUPT, "'%.200s': its time is out of range", path);
    if (entry->mode > 0777)
        return pen_fail(err, PEN_EDENIED, "'%.200s' has the mode %o: at most 0777 is allowed", path,
                        entry->mode);
    switch ((int)entry->kind) {
    case PEN__ENTRY_KIND__ENTRY_FILE:
    case PEN__ENTRY_KIND__ENTRY_FOLDER:
        return 0;
    case PEN__ENTRY_KIND__ENTRY_LINK:
        return check_target(entry, err);
    default:
        return pen_fail(err, PEN_EDENIED, "'%.200s' is neither file nor folder nor link", path);
    }
}

int pen_entry_parse(const uint8_t *bytes, size_t size, Pen__ArtifactEntry **ret_entry,
                    struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__ArtifactEntry *entry = NULL;
    int rc = pen_wire_unpack(&pen__artifact_entry__descriptor, bytes, size, &pen_wire_control,
                             (ProtobufCMessage **)&entry, err);
    if (rc == PEN_ENOMEM)
        return rc;
    if (rc < 0)
        return pen_fail(err, PEN_ECORRUPT, "an entry cannot be read");
    if ((rc = terminate(&entry->path, err)) < 0 || (rc = terminate(&entry->target, err)) < 0 ||
        (rc = check(entry, err)) < 0)
        return rc;
    *ret_entry = TAKE_PTR(entry);
    return 0;
}

const char *pen_entry_path(const Pen__ArtifactEntry *entry)
{
    return (const char *)entry->path.data;
}
