#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/cleanup.h"
#include "controller/auth/sigv4_parts.h"

static int incomplete(struct pen_error *err, const char *why)
{
    return pen_fail_api(err, PEN_EDENIED, "IncompleteSignatureException",
                        "The request cannot be brought into canonical form: %s.", why);
}

static bool is_unreserved(unsigned char byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           (byte >= '0' && byte <= '9') || byte == '-' || byte == '_' || byte == '.' || byte == '~';
}

static void put_escaped(struct pen_buf *out, unsigned char byte)
{
    static const char digits[] = "0123456789ABCDEF";
    if (is_unreserved(byte)) {
        pen_buf_putc(out, (char)byte);
        return;
    }
    pen_buf_putc(out, '%');
    pen_buf_putc(out, digits[byte >> 4]);
    pen_buf_putc(out, digits[byte & 15]);
}

/* The client has escaped the path once; the canonical form has it escaped twice. */
static void put_path(struct pen_buf *out, const char *target, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (target[i] == '/')
            pen_buf_putc(out, '/');
        else
            put_escaped(out, (unsigned char)target[i]);
    }
    if (size == 0)
        pen_buf_putc(out, '/');
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* Unescape, then escape in the one canonical way; false for a bad escape. */
static bool put_query_word(struct pen_buf *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte == '%') {
            if (size - i < 3)
                return false;
            int first = hex_value(text[i + 1]);
            int second = hex_value(text[i + 2]);
            if (first < 0 || second < 0)
                return false;
            byte = (unsigned char)(first * 16 + second);
            i += 2;
        }
        put_escaped(out, byte);
    }
    return true;
}

struct parameter {
    char *name;  /* canonical */
    char *value; /* canonical */
};

struct query {
    struct parameter parameters[PEN_SIGV4_QUERY_MAX];
    size_t count;
};

static void query_release(struct query *self)
{
    for (size_t i = 0; i < self->count; i++) {
        free(self->parameters[i].name);
        free(self->parameters[i].value);
    }
    self->count = 0;
}

static int compare_parameters(const void *a, const void *b)
{
    const struct parameter *left = a;
    const struct parameter *right = b;
    int order = strcmp(left->name, right->name);
    return order != 0 ? order : strcmp(left->value, right->value);
}

static char *canonical_word(const char *text, size_t size, bool *bad)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf word = {0};
    pen_buf_puts(&word, "");
    if (!put_query_word(&word, text, size))
        *bad = true;
    return word.size == 0 ? strdup("") : pen_buf_take_text(&word);
}

static int query_add(struct query *self, const char *text, size_t size, struct pen_error *err)
{
    if (self->count == PEN_SIGV4_QUERY_MAX)
        return incomplete(err, "too many query parameters");
    const char *equals = memchr(text, '=', size);
    size_t name_size = equals == NULL ? size : (size_t)(equals - text);
    bool bad = false;
    struct parameter *parameter = &self->parameters[self->count++];
    parameter->name = canonical_word(text, name_size, &bad);
    parameter->value =
        equals == NULL ? strdup("") : canonical_word(equals + 1, size - name_size - 1, &bad);
    if (parameter->name == NULL || parameter->value == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a query");
    return bad ? incomplete(err, "a bad escape in the query") : 0;
}

static int put_query(struct pen_buf *out, const char *text, struct pen_error *err)
{
    PEN_CLEANUP(query_release) struct query query = {.count = 0};
    while (*text != '\0') {
        size_t size = strcspn(text, "&");
        if (size > 0) {
            int rc = query_add(&query, text, size, err);
            if (rc < 0)
                return rc;
        }
        text += size;
        text += *text == '&';
    }
    qsort(query.parameters, query.count, sizeof query.parameters[0], compare_parameters);
    for (size_t i = 0; i < query.count; i++)
        pen_buf_printf(out, "%s%s=%s", i > 0 ? "&" : "", query.parameters[i].name,
                       query.parameters[i].value);
    return 0;
}

bool sigv4_query_is_signed(const char *target)
{
    const char *text = strchr(target, '?');
    while (text != NULL) {
        text++;
        PEN_CLEANUP(pen_buf_release) struct pen_buf name = {0};
        if (!put_query_word(&name, text, strcspn(text, "=&")))
            return true; /* what cannot be read is not trusted to be harmless */
        if (strncasecmp(pen_buf_text(&name), "X-Amz-", strlen("X-Amz-")) == 0)
            return true;
        text = strchr(text, '&');
    }
    return false;
}

/* Outer blanks gone, inner runs of blanks made one space. */
static void put_value(struct pen_buf *out, const char *value)
{
    bool pending = false;
    bool any = false;
    for (; *value != '\0'; value++) {
        if (*value == ' ' || *value == '\t') {
            pending = any;
            continue;
        }
        if (pending)
            pen_buf_putc(out, ' ');
        pending = false;
        any = true;
        pen_buf_putc(out, *value);
    }
}

/* A signed name that the request lacks is refused by the caller. */
static void put_header(struct pen_buf *out, const struct pen_sigv4_request *request,
                       const char *lower_name)
{
    pen_buf_printf(out, "%s:", lower_name);
    bool first = true;
    for (size_t i = 0; i < request->headers_count; i++) {
        if (strcasecmp(request->headers[i].name, lower_name) != 0)
            continue;
        if (!first)
            pen_buf_putc(out, ',');
        first = false;
        put_value(out, request->headers[i].value);
    }
    pen_buf_putc(out, '\n');
}

int sigv4_canonical(const struct pen_sigv4_request *request, const struct sigv4_claim *claim,
                    const char *payload_hash, struct pen_buf *ret_text, struct pen_error *err)
{
    const char *query = strchr(request->target, '?');
    size_t path_size = query == NULL ? strlen(request->target) : (size_t)(query - request->target);
    pen_buf_printf(ret_text, "%s\n", request->method);
    put_path(ret_text, request->target, path_size);
    pen_buf_putc(ret_text, '\n');
    if (query != NULL) {
        int rc = put_query(ret_text, query + 1, err);
        if (rc < 0)
            return rc;
    }
    pen_buf_putc(ret_text, '\n');
    for (size_t i = 0; i < claim->signed_count; i++)
        put_header(ret_text, request, claim->signed_names[i]);
    pen_buf_printf(ret_text, "\n%s\n%s", claim->signed_list, payload_hash);
    return pen_buf_ok(ret_text, err);
}
