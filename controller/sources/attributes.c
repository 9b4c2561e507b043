#include "controller/sources/attributes.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"

enum { ID_SIZE = 40 };

bool pen_git_attributes_matter(const char *bytes, size_t size)
{
    static const char *const words[] = {"eol", "crlf", "ident", "working-tree-encoding", "filter"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (memmem(bytes, size, words[i], strlen(words[i])))
            return true;
    return false;
}

/* ---- reading attributes */

static void set(char ret_text[PEN_GIT_ATTRIBUTE_MAX], const char *value)
{
    if (git_attr_value(value) == GIT_ATTR_VALUE_STRING)
        (void)pen_str_copy(ret_text, PEN_GIT_ATTRIBUTE_MAX, value);
}

static bool is_set(const char *value)
{
    return git_attr_value(value) == GIT_ATTR_VALUE_TRUE;
}

enum line_ends { LINES_UNKNOWN, LINES_TEXT, LINES_BINARY, LINES_AUTOMATIC };

static enum line_ends line_ends_of(const char *value)
{
    switch (git_attr_value(value)) {
    case GIT_ATTR_VALUE_TRUE:
        return LINES_TEXT;
    case GIT_ATTR_VALUE_FALSE:
        return LINES_BINARY;
    case GIT_ATTR_VALUE_STRING:
        return strcmp(value, "auto") == 0    ? LINES_AUTOMATIC
               : strcmp(value, "input") == 0 ? LINES_TEXT
                                             : LINES_UNKNOWN;
    default:
        return LINES_UNKNOWN;
    }
}

/* gitattributes(5): eol alone makes a file text; -text leaves it alone; crlf is text's old name. */
static void read_line_ends(const char *text, const char *crlf, const char *eol,
                           struct pen_git_checkout *ret_checkout)
{
    enum line_ends kind = line_ends_of(text);
    if (kind == LINES_UNKNOWN)
        kind = line_ends_of(crlf);
    ret_checkout->crlf = kind != LINES_BINARY && git_attr_value(eol) == GIT_ATTR_VALUE_STRING &&
                         strcmp(eol, "crlf") == 0;
    ret_checkout->automatic = kind == LINES_AUTOMATIC;
}

int pen_git_checkout_of(git_repository *repository, const git_oid *commit, const char *path,
                        struct pen_git_checkout *ret_checkout, struct pen_error *err)
{
    enum { TEXT, CRLF, EOL, IDENT, ENCODING, FILTER, COUNT };
    static const char *names[] = {"text",  "crlf", "eol", "ident", "working-tree-encoding",
                                  "filter"};
    const char *values[COUNT] = {NULL};
    git_attr_options options = {.version = GIT_ATTR_OPTIONS_VERSION,
                                .flags = GIT_ATTR_CHECK_NO_SYSTEM | GIT_ATTR_CHECK_INCLUDE_COMMIT,
                                .attr_commit_id = *commit};
    if (git_attr_get_many_ext(values, repository, &options, path, COUNT, names) < 0)
        return pen_git_fail(err, PEN_ECORRUPT, "attributes of", path);
    struct pen_git_checkout found = {.ident = is_set(values[IDENT])};
    read_line_ends(values[TEXT], values[CRLF], values[EOL], &found);
    set(found.encoding, values[ENCODING]);
    set(found.filter, values[FILTER]);
    if (strcasecmp(found.encoding, "UTF-8") == 0 || strcasecmp(found.encoding, "UTF8") == 0)
        found.encoding[0] = '\0';
    *ret_checkout = found;
    return 0;
}

bool pen_git_checkout_changes(const struct pen_git_checkout *self)
{
    return self->crlf || self->ident || self->encoding[0] != '\0';
}

/* ---- $Id$ */

/* The size of the keyword at a '$', with both of them; 0: there is none, or it belongs to another
 * version control system (it has more than one word). */
static size_t keyword_size(const char *at, size_t size)
{
    if (size < 4 || memcmp(at, "$Id", 3) != 0)
        return 0;
    if (at[3] == '$')
        return 4;
    const char *end = at[3] == ':' ? memchr(at + 4, '$', size - 4) : NULL;
    if (!end || memchr(at, '\n', (size_t)(end - at)))
        return 0;
    const char *words = at + 4 < end && at[4] == ' ' ? at + 5 : at + 4;
    const char *blank = words < end ? memchr(words, ' ', (size_t)(end - words)) : NULL;
    return blank && blank < end - 1 ? 0 : (size_t)(end + 1 - at);
}

static void put_ident(const git_oid *id, const char *bytes, size_t size, struct pen_buf *ret_bytes)
{
    char text[ID_SIZE + 1];
    (void)git_oid_tostr(text, sizeof text, id);
    const char *end = bytes + size;
    while (bytes < end) {
        const char *dollar = memchr(bytes, '$', (size_t)(end - bytes));
        const char *stop = dollar ? dollar : end;
        pen_buf_append(ret_bytes, bytes, (size_t)(stop - bytes));
        bytes = stop;
        size_t keyword = dollar ? keyword_size(dollar, (size_t)(end - dollar)) : 0;
        if (keyword > 0)
            pen_buf_printf(ret_bytes, "$Id: %s $", text);
        else if (dollar)
            pen_buf_putc(ret_bytes, '$');
        bytes += keyword > 0 ? keyword : dollar ? 1 : 0;
    }
}

/* ---- line ends */

/* What git takes for text when it has to guess: no zero byte, no CR alone, few other controls, and
 * no line end that is CR LF already. */
static bool looks_convertible(const char *bytes, size_t size)
{
    size_t printable = 0;
    size_t others = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '\r' || c == '\0')
            return false;
        if (c == '\n')
            continue;
        bool plain = (c >= 0x20 && c != 0x7f) || c == '\b' || c == '\t' || c == 0x1b || c == '\f';
        bool last_mark = c == 0x1a && i + 1 == size; /* an old end of file */
        printable += plain;
        others += !plain && !last_mark;
    }
    return printable / 128 >= others;
}

static void put_crlf(const char *bytes, size_t size, struct pen_buf *ret_bytes)
{
    for (size_t i = 0; i < size;) {
        const char *end = memchr(bytes + i, '\n', size - i);
        size_t length = end ? (size_t)(end - bytes) - i : size - i;
        pen_buf_append(ret_bytes, bytes + i, length);
        bool has_cr = length > 0 && bytes[i + length - 1] == '\r';
        if (end)
            pen_buf_puts(ret_bytes, has_cr ? "\n" : "\r\n");
        i += length + (end ? 1 : 0);
    }
}

/* ---- encoding */

/* git's own names for "with a mark of the byte order", which the C library does not know. */
static const struct {
    const char *name;
    const char *plain;
    const char *mark;
    size_t mark_size;
} marked[] = {
    {"UTF-16LE-BOM", "UTF-16LE", "\xff\xfe", 2},
    {"UTF-16BE-BOM", "UTF-16BE", "\xfe\xff", 2},
};

static bool put_encoded(const char *encoding, const char *bytes, size_t size,
                        struct pen_buf *ret_bytes)
{
    for (size_t i = 0; i < sizeof marked / sizeof marked[0]; i++) {
        if (strcasecmp(encoding, marked[i].name) != 0)
            continue;
        pen_buf_append(ret_bytes, marked[i].mark, marked[i].mark_size);
        encoding = marked[i].plain;
        break;
    }
    if (strpbrk(encoding, "/,")) /* would switch on what leaves characters out */
        return false;
    return pen_git_recode(encoding, "UTF-8", bytes, size, ret_bytes);
}

int pen_git_checkout_convert(const struct pen_git_checkout *self, const git_oid *id,
                             const char *bytes, size_t size, struct pen_buf *ret_bytes,
                             bool *ret_kept, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf ident = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf lines = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf encoded = {0};
    if (self->ident) {
        put_ident(id, bytes, size, &ident);
        bytes = pen_buf_text(&ident);
        size = ident.size;
    }
    if (self->crlf && (!self->automatic || looks_convertible(bytes, size))) {
        put_crlf(bytes, size, &lines);
        bytes = pen_buf_text(&lines);
        size = lines.size;
    }
    bool encodes = self->encoding[0] != '\0' && size > 0;
    bool kept = encodes && !put_encoded(self->encoding, bytes, size, &encoded);
    if (encodes && !kept) {
        bytes = pen_buf_text(&encoded);
        size = encoded.size;
    }
    pen_buf_append(ret_bytes, bytes, size);
    if (ident.failed || lines.failed || encoded.failed)
        return pen_fail(err, PEN_ENOMEM, "no memory to convert a file");
    *ret_kept = kept;
    return pen_buf_ok(ret_bytes, err);
}
