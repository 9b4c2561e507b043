/* File systems that the commands have mounted in their workspace. */
#include <stdlib.h>
#include <string.h>

#include "agent/shim/shim_internal.h"
#include "common/base/cleanup.h"
#include "common/io/file.h"

enum {
    MOUNTINFO_MAX = 4 * 1024 * 1024,
    MOUNT_POINT_FIELD = 4, /* of a line of mountinfo, counted from 0 */
};

/* The kernel writes blanks and the like as three octal digits behind a backslash. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from != 0; to++) {
        bool escaped = from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
                       from[2] <= '7' && from[3] >= '0' && from[3] <= '7';
        unsigned octal = escaped ? (unsigned)(from[1] - '0') << 6 | (unsigned)(from[2] - '0') << 3 |
                                       (unsigned)(from[3] - '0')
                                 : 0;
        *to = escaped ? (char)(uint8_t)octal : *from;
        from += escaped ? 4 : 1;
    }
    *to = 0;
}

static char *mount_point(char *line)
{
    for (int i = 0; i < MOUNT_POINT_FIELD && line != NULL; i++) {
        line = strchr(line, ' ');
        line = line == NULL ? NULL : line + 1;
    }
    if (line == NULL)
        return NULL;
    line[strcspn(line, " ")] = 0;
    unescape(line);
    return line;
}

size_t shim_mounts(const struct shim *self, struct pen_buf *ret_text,
                   ProtobufCBinaryData ret_paths[SHIM_MOUNTS_MAX])
{
    PEN_CLEANUP(pen_free) char *workspace = realpath(self->order->workspace, NULL);
    if (self->isolation < PEN_ISOLATION_FULL || workspace == NULL ||
        pen_file_read("/proc/self/mountinfo", MOUNTINFO_MAX, ret_text, NULL) < 0 ||
        ret_text->size == 0)
        return 0; /* without a mount namespace they stay, and are packed */
    size_t count = 0;
    size_t size = strlen(workspace);
    for (char *line = (char *)ret_text->data, *next; *line != 0; line = next) {
        next = line + strcspn(line, "\n");
        if (*next != 0)
            *next++ = 0;
        char *path = mount_point(line);
        if (path == NULL || strncmp(path, workspace, size) != 0 ||
            (path[size] != '/' && path[size] != 0))
            continue;
        if (count == SHIM_MOUNTS_MAX) {
            ret_paths[count - 1].len = 0; /* too many to tell apart: somewhere in the workspace */
            break;
        }
        path += size + (path[size] == '/');
        ret_paths[count++] = (ProtobufCBinaryData){.len = strlen(path), .data = (uint8_t *)path};
    }
    return count;
}
