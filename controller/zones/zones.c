#include "controller/zones/zones.h"

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/io/file.h"

static int read_file(const char *name, struct pen_buf *ret_bytes, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    pen_buf_printf(&path, "%s/%s", PEN_ZONES_DIR, name);
    int rc = pen_buf_ok(&path, err);
    if (rc == 0)
        rc = pen_file_read(pen_buf_text(&path), PEN_ZONE_FILE_BYTES_MAX, ret_bytes, err);
    if (rc == PEN_ENOTFOUND)
        return pen_fail(err, PEN_ENOTFOUND,
                        "time zone '%s' is not in this host's database, " PEN_ZONES_DIR
                        " (package tzdata)",
                        name);
    return rc < 0 ? pen_error_prefix(err, "time zone '%s'", name) : 0;
}

int pen_zones_load(const char *name, int64_t from_ms, struct pen_zone_changes *ret_zone,
                   struct pen_error *err)
{
    int32_t offset_s = 0;
    if (pen_zone_parse_fixed(name, &offset_s, NULL) == 0) {
        ret_zone->count = 1;
        ret_zone->changes[0] = (struct pen_zone_change){.from_ms = 0, .offset_s = offset_s};
        return 0;
    }
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    int rc = pen_zone_name_check(name, err);
    if (rc < 0 || (rc = read_file(name, &bytes, err)) < 0)
        return rc;
    rc = pen_zone_parse(bytes.data, bytes.size, from_ms, ret_zone, err);
    return rc < 0 ? pen_error_prefix(err, "time zone '%s'", name) : 0;
}
