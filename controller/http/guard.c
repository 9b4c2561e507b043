#include "controller/http/guard.h"

#include <string.h>
#include <strings.h>

#include "common/base/str.h"

struct reading {
    struct pen_http_head *head;
    int code;
    struct pen_error *err;
};

static int bad(struct pen_error *err, const char *why)
{
    return pen_fail(err, PEN_EINVAL, "The request head is refused: %s.", why);
}

/* A token of HTTP: no blank, no separator, no control character. */
static bool is_token(const char *text, size_t size)
{
    static const char separators[] = "()<>@,;:\\\"/[]?={} \t";
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte <= ' ' || byte >= 0x7f || strchr(separators, (char)byte) != NULL)
            return false;
    }
    return size > 0;
}

static bool is_clean_value(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];
        if ((byte < ' ' && byte != '\t') || byte == 0x7f)
            return false;
    }
    return true;
}

/* Whether the header was continued on a further line. The library joins such lines without a word,
 * and to the wrong end: "Content-Length: 1" and " 0" become a header Content-Length0, so that the
 * body is taken for a second request. It leaves name and value where they were received, one right
 * behind the other, except when it had to join lines. */
static bool is_folded(const char *name, size_t name_size, const char *value)
{
    enum { BLANKS_MAX = 256 }; /* between the colon and the value */
    uintptr_t end = (uintptr_t)name + name_size;
    uintptr_t start = (uintptr_t)value;
    return start <= end || start - end > BLANKS_MAX + 1;
}

static enum MHD_Result take_header(void *context, enum MHD_ValueKind kind, const char *name,
                                   size_t name_size, const char *value, size_t value_size)
{
    (void)kind;
    struct reading *reading = context;
    struct pen_http_head *head = reading->head;
    if (head->headers_count == PEN_HTTP_HEADERS_MAX) {
        reading->code = pen_fail(reading->err, PEN_ELIMIT, "The request has more than %d headers.",
                                 PEN_HTTP_HEADERS_MAX);
        return MHD_NO;
    }
    if (!is_token(name, name_size)) {
        reading->code = bad(reading->err, "a header name is not a token");
        return MHD_NO;
    }
    if (!is_clean_value(value == NULL ? "" : value, value == NULL ? 0 : value_size)) {
        reading->code = bad(reading->err, "a header value holds a control character");
        return MHD_NO;
    }
    if (value != NULL && is_folded(name, name_size, value)) {
        reading->code = bad(reading->err, "a header is continued on a further line");
        return MHD_NO;
    }
    head->headers[head->headers_count++] =
        (struct pen_sigv4_header){.name = name, .value = value == NULL ? "" : value};
    return MHD_YES;
}

int pen_http_head_read(struct MHD_Connection *connection, struct pen_http_head *ret_head,
                       struct pen_error *err)
{
    ret_head->headers_count = 0;
    struct reading reading = {.head = ret_head, .err = err};
    (void)MHD_get_connection_values_n(connection, MHD_HEADER_KIND, take_header, &reading);
    return reading.code;
}

static size_t count_of(const struct pen_http_head *head, const char *name, const char **ret_value)
{
    size_t count = 0;
    for (size_t i = 0; i < head->headers_count; i++) {
        if (strcasecmp(head->headers[i].name, name) == 0) {
            *ret_value = head->headers[i].value;
            count++;
        }
    }
    return count;
}

const char *pen_http_head_get(const struct pen_http_head *head, const char *name)
{
    const char *value = NULL;
    return count_of(head, name, &value) == 1 ? value : NULL;
}

static int check_length(const char *text, uint64_t *ret_length, struct pen_error *err)
{
    size_t size = strlen(text);
    if (size == 0 || size > 18 || text[strspn(text, "0123456789")] != '\0')
        return bad(err, "Content-Length is not a number");
    uint64_t length = 0;
    for (; *text != '\0'; text++)
        length = length * 10 + (uint64_t)(*text - '0');
    *ret_length = length;
    return 0;
}

/* How long the body is must have one answer only. */
static int check_framing(const struct pen_http_head *head, bool is_http_1_1, uint64_t *ret_length,
                         struct pen_error *err)
{
    const char *length = NULL;
    const char *encoding = NULL;
    size_t lengths = count_of(head, "content-length", &length);
    size_t encodings = count_of(head, "transfer-encoding", &encoding);
    if (lengths > 1)
        return bad(err, "there is more than one Content-Length");
    if (encodings > 1 || (encodings == 1 && strcasecmp(encoding, "chunked") != 0))
        return bad(err, "the only Transfer-Encoding taken is chunked");
    if (lengths == 1 && encodings == 1)
        return bad(err, "it has both Content-Length and Transfer-Encoding");
    if (encodings == 1 && !is_http_1_1)
        return bad(err, "HTTP/1.0 knows no Transfer-Encoding");
    return lengths == 1 ? check_length(length, ret_length, err) : 0;
}

int pen_http_head_check(const struct pen_http_head *head, const char *target, const char *version,
                        uint64_t *ret_length, struct pen_error *err)
{
    *ret_length = 0;
    bool is_http_1_1 = pen_str_equal(version, "HTTP/1.1");
    if (!is_http_1_1 && !pen_str_equal(version, "HTTP/1.0"))
        return bad(err, "the version is neither HTTP/1.1 nor HTTP/1.0");
    if (target[0] != '/')
        return bad(err, "the request target does not begin with /");
    if (!is_clean_value(target, strlen(target)))
        return bad(err, "the request target holds a control character");
    int rc = check_framing(head, is_http_1_1, ret_length, err);
    if (rc < 0)
        return rc;
    const char *value = NULL;
    size_t hosts = count_of(head, "host", &value);
    if (hosts > 1 || (hosts == 0 && is_http_1_1))
        return bad(err, "it needs one Host");
    size_t expects = count_of(head, "expect", &value);
    if (expects > 1 || (expects == 1 && strcasecmp(value, "100-continue") != 0))
        return bad(err, "Expect asks for something other than 100-continue");
    return 0;
}
