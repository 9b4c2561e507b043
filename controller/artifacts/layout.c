#include "controller/artifacts/layout.h"

#include <inttypes.h>

enum { FENCES_PER_FOLDER = 1000 };

void pen_layout_path(const char *dir, const char *name, struct pen_buf *ret_path)
{
    pen_buf_printf(ret_path, "%s/%s", dir, name);
}

void pen_layout_log_folder(const char *dir, uint64_t fence, struct pen_buf *ret_path)
{
    pen_buf_printf(ret_path, "%s/logs/%" PRIu64, dir, fence / FENCES_PER_FOLDER);
}

void pen_layout_log(const char *dir, uint64_t fence, struct pen_buf *ret_path)
{
    pen_layout_log_folder(dir, fence, ret_path);
    pen_buf_printf(ret_path, "/%" PRIu64 ".log", fence);
}

void pen_layout_repository(const char *dir, const char *name, struct pen_buf *ret_path)
{
    pen_buf_printf(ret_path, "%s/repos/%s.git", dir, name);
}
