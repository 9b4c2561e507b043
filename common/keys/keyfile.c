#include "common/keys/keyfile.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/io/file.h"
#include "common/keys/digest.h"

static void wipe(struct pen_buf *buf)
{
    if (buf->data != NULL)
        OPENSSL_cleanse(buf->data, buf->capacity);
    pen_buf_release(buf);
}

int pen_keyfile_load(const char *path, const char *kind, void *ret_key, size_t size,
                     struct pen_error *err)
{
    PEN_CLEANUP(wipe) struct pen_buf text = {0};
    struct stat info;
    if (stat(path, &info) < 0)
        return pen_fail_errno(err, "cannot read key file '%s'", path);
    if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return pen_fail(err, PEN_EDENIED,
                        "key file '%s' is open to others (mode %03o); run: chmod 600 '%s'", path,
                        (unsigned)(info.st_mode & 0777), path);
    int rc = pen_file_read(path, PEN_LIMIT_KEY_FILE_BYTES, &text, err);
    if (rc == PEN_ELIMIT)
        return pen_fail(err, PEN_ECORRUPT, "'%s' is not a key file: it is too large", path);
    if (rc < 0)
        return rc;
    if (text.size > 0 && text.data[text.size - 1] == '\n')
        text.data[--text.size] = 0;
    const char *at = pen_buf_text(&text);
    size_t kind_size = strlen(kind);
    if (!pen_str_starts_with(at, kind) || at[kind_size] != ' ' ||
        pen_hex_decode(at + kind_size + 1, ret_key, size, NULL) < 0)
        return pen_fail(err, PEN_ECORRUPT,
                        "'%s' is not a key file of kind %s; restore it from a backup", path, kind);
    return 0;
}

int pen_keyfile_save(const char *path, const char *kind, const void *key, size_t size,
                     struct pen_error *err)
{
    PEN_CLEANUP(wipe) struct pen_buf text = {0};
    pen_buf_puts(&text, kind);
    pen_buf_putc(&text, ' ');
    char *hex = (char *)pen_buf_reserve(&text, 2 * size + 1);
    if (hex == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to write '%s'", path);
    pen_hex_encode(key, size, hex);
    pen_buf_added(&text, 2 * size);
    pen_buf_putc(&text, '\n');
    int rc = pen_buf_ok(&text, err);
    return rc < 0 ? rc : pen_file_replace(path, text.data, text.size, 0600, err);
}
