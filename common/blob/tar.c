#include "common/blob/tar.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    NAME_AT = 0,
    NAME_SIZE = 100,
    MODE_AT = 100,
    OWNER_AT = 108,
    GROUP_AT = 116,
    SIZE_AT = 124,
    TIME_AT = 136,
    SUM_AT = 148,
    KIND_AT = 156,
    TARGET_AT = 157,
    MAGIC_AT = 257,
};

static const uint8_t magic[] = {'u', 's', 't', 'a', 'r', 0, '0', '0'};
static const uint64_t size_fits_max = UINT64_C(077777777777);

static bool fits(const char *text)
{
    size_t size = strlen(text);
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] >= 0x80)
            return false;
    return size <= NAME_SIZE;
}

/* The bytes up to NAME_SIZE; what is cut is in a pax record. */
static void put_name(uint8_t *field, const char *text)
{
    for (size_t i = 0; i < NAME_SIZE && text[i]; i++)
        field[i] = (uint8_t)text[i];
}

static void put_octal(uint8_t *field, size_t digits, uint64_t value)
{
    field[digits] = 0;
    for (size_t i = digits; i > 0; i--) {
        field[i - 1] = (uint8_t)('0' + (value & 7));
        value >>= 3;
    }
}

static void put_block(struct pen_buf *ret_bytes, char kind, const char *path, const char *target,
                      unsigned mode, uint64_t size)
{
    uint8_t block[PEN_TAR_BLOCK] = {0};
    put_name(block + NAME_AT, path);
    put_octal(block + MODE_AT, 7, mode);
    put_octal(block + OWNER_AT, 7, 0);
    put_octal(block + GROUP_AT, 7, 0);
    put_octal(block + SIZE_AT, 11, size);
    put_octal(block + TIME_AT, 11, 0);
    block[KIND_AT] = (uint8_t)kind;
    put_name(block + TARGET_AT, target);
    memcpy(block + MAGIC_AT, magic, sizeof magic);
    memset(block + SUM_AT, ' ', 8);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof block; i++)
        sum += block[i];
    put_octal(block + SUM_AT, 6, sum);
    pen_buf_append(ret_bytes, block, sizeof block);
}

/* "LENGTH key=value\n", where LENGTH counts its own digits. */
static void put_record(struct pen_buf *ret_records, const char *key, const char *value)
{
    size_t rest = strlen(key) + strlen(value) + 3;
    size_t digits = 1;
    for (size_t limit = 10; rest + digits >= limit; limit *= 10)
        digits++;
    pen_buf_printf(ret_records, "%zu %s=%s\n", rest + digits, key, value);
}

static void put_zeros(struct pen_buf *ret_bytes, uint64_t size)
{
    static const uint8_t zeros[PEN_TAR_BLOCK];
    pen_buf_append(ret_bytes, zeros, (size_t)size);
}

uint64_t pen_tar_padding(uint64_t size)
{
    return (PEN_TAR_BLOCK - size % PEN_TAR_BLOCK) % PEN_TAR_BLOCK;
}

void pen_tar_header(struct pen_buf *ret_bytes, enum pen_tar_kind kind, const char *path,
                    const char *target, bool executable, uint64_t size)
{
    struct pen_buf records = {0};
    bool long_path = !fits(path);
    bool long_target = !fits(target);
    if (long_path || long_target)
        put_record(&records, "hdrcharset", "BINARY"); /* readers keep the bytes as they are */
    if (long_path)
        put_record(&records, "path", path);
    if (long_target)
        put_record(&records, "linkpath", target);
    if (size > size_fits_max) {
        char digits[24];
        (void)snprintf(digits, sizeof digits, "%" PRIu64, size);
        put_record(&records, "size", digits);
    }
    if (records.failed)
        ret_bytes->failed = true;
    if (records.size > 0) {
        put_block(ret_bytes, 'x', "pax", "", 0644, records.size);
        pen_buf_append(ret_bytes, records.data, records.size);
        put_zeros(ret_bytes, pen_tar_padding(records.size));
    }
    pen_buf_release(&records);
    unsigned mode = kind == PEN_TAR_LINK                   ? 0777
                    : kind == PEN_TAR_FOLDER || executable ? 0755
                                                           : 0644;
    put_block(ret_bytes, (char)kind, path, target, mode, size > size_fits_max ? 0 : size);
}

/* Kind of the first `size` bytes as a part of a path. */
static bool part_is(const char *part, size_t size, const char *name)
{
    return size == strlen(name) && memcmp(part, name, size) == 0;
}

bool pen_tar_path_valid(const char *path)
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

bool pen_tar_link_stays_inside(const char *path, const char *target)
{
    size_t depth = 0;
    for (const char *at = path; *at; at++)
        depth += *at == '/';
    if (*target == '\0' || *target == '/')
        return false;
    bool down = false;
    for (const char *part = target; *part;) {
        size_t size = strcspn(part, "/");
        if (part_is(part, size, "..")) {
            /* "a/.." would leave through whatever a links to. */
            if (down || depth == 0)
                return false;
            depth--;
        } else if (size > 0 && !part_is(part, size, ".")) {
            down = true;
        }
        part += size + (part[size] == '/');
    }
    return true;
}
