/* JSON as others send it: everything that RFC 8259 allows, kept readable where our texts and
 * numbers have no room for it. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/wire/wire.h"

enum {
    ANY_DEPTH_MAX = 512,  /* the parser's stack has room for that */
    INTEGER_DIGITS = 18,  /* of any integer that fits 64 bits with its sign */
    NUMBER_TEXT_MAX = 64, /* of a real number whose size is looked at */
};

struct scan {
    const char *text;
    size_t size;
    size_t at;
    unsigned depth, deepest;
    size_t values;
    size_t copied;  /* up to here the text stands in `copy` */
    bool rewritten; /* something does */
    struct pen_buf copy;
};

/* What stands in the text from copied to `from` goes as it is, then the replacement, and the text
 * goes on at `to`. */
static void replace(struct scan *self, size_t from, size_t to, const char *open, size_t kept,
                    const char *close)
{
    pen_buf_append(&self->copy, self->text + self->copied, from - self->copied);
    pen_buf_puts(&self->copy, open);
    pen_buf_append(&self->copy, self->text + from, kept);
    pen_buf_puts(&self->copy, close);
    self->copied = to;
    self->rewritten = true;
}

/* The unit of an escape \uXXXX that begins here; -1: there is none. */
static long unit_at(const struct scan *self, size_t at)
{
    char digits[5] = "";
    if (at + 6 > self->size || self->text[at] != '\\' || self->text[at + 1] != 'u')
        return -1;
    memcpy(digits, self->text + at + 2, 4);
    return strspn(digits, "0123456789abcdefABCDEF") == 4 ? strtol(digits, NULL, 16) : -1;
}

/* An escape: what a text of ours cannot hold becomes U+FFFD. */
static void scan_escape(struct scan *self)
{
    long unit = unit_at(self, self->at);
    long next = unit_at(self, self->at + 6);
    bool high = unit >= 0xd800 && unit <= 0xdbff;
    bool low = unit >= 0xdc00 && unit <= 0xdfff;
    if (high && next >= 0xdc00 && next <= 0xdfff) {
        self->at += 12;
        return;
    }
    if (unit == 0 || high || low)
        replace(self, self->at, self->at + 6, "\\ufffd", 0, "");
    self->at += unit >= 0 ? 6 : 2;
}

static void scan_string(struct scan *self)
{
    for (self->at++; self->at < self->size && self->text[self->at] != '"';) {
        if (self->text[self->at] == '\\')
            scan_escape(self);
        else
            self->at++;
    }
    self->at++;
    self->values++;
}

static size_t digits_at(const struct scan *self, size_t at)
{
    size_t count = 0;
    while (at + count < self->size && self->text[at + count] >= '0' &&
           self->text[at + count] <= '9')
        count++;
    return count;
}

static bool is_at(const struct scan *self, size_t at, const char *set)
{
    return at < self->size && self->text[at] != '\0' && strchr(set, self->text[at]) != NULL;
}

/* The size of the number that begins here, by the grammar of JSON; 0: it is none. */
static size_t number_size(const struct scan *self, size_t *ret_digits, bool *ret_real)
{
    size_t at = self->at + (self->text[self->at] == '-' ? 1 : 0);
    size_t whole = digits_at(self, at);
    if (whole == 0 || (whole > 1 && self->text[at] == '0'))
        return 0;
    *ret_digits = whole;
    at += whole;
    if (is_at(self, at, ".")) {
        size_t part = digits_at(self, at + 1);
        if (part == 0)
            return 0;
        *ret_real = true;
        at += 1 + part;
    }
    if (is_at(self, at, "eE")) {
        size_t sign = is_at(self, at + 1, "+-") ? 1 : 0;
        size_t part = digits_at(self, at + 1 + sign);
        if (part == 0)
            return 0;
        *ret_real = true;
        at += 1 + sign + part;
    }
    return at - self->at;
}

static bool real_fits(const char *text, size_t size)
{
    char copy[NUMBER_TEXT_MAX];
    if (size >= sizeof copy)
        return false;
    memcpy(copy, text, size);
    copy[size] = '\0';
    return isfinite(strtod(copy, NULL));
}

/* A number out of range becomes the string of its digits; what is no number is for the parser. */
static void scan_number(struct scan *self)
{
    size_t digits = 0;
    bool real = false;
    size_t size = number_size(self, &digits, &real);
    const char *text = self->text + self->at;
    self->values++;
    if (size == 0) {
        self->at++;
        return;
    }
    size_t next = self->at + size;
    while (is_at(self, next, " \t\r\n"))
        next++;
    bool name = is_at(self, next, ":"); /* of a member: no JSON, and stays none */
    if (!name && (real ? !real_fits(text, size) : digits > INTEGER_DIGITS))
        replace(self, self->at, self->at + size, "\"", size, "\"");
    self->at += size;
}

static void scan_all(struct scan *self)
{
    while (self->at < self->size) {
        char c = self->text[self->at];
        if (c == '"') {
            scan_string(self);
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            scan_number(self);
        } else {
            if (c == '{' || c == '[')
                self->deepest = ++self->depth > self->deepest ? self->depth : self->deepest;
            else if ((c == '}' || c == ']') && self->depth > 0)
                self->depth--;
            self->values += strchr("{[tfn", c) != NULL && c != '\0' ? 1 : 0;
            self->at++;
        }
    }
}

int pen_json_parse_any(const void *bytes, size_t size, json_t **ret_json, struct pen_error *err)
{
    if (size > PEN_LIMIT_HOOK_BODY_BYTES)
        return pen_fail(err, PEN_ELIMIT, "JSON of %zu bytes: at most %d are taken", size,
                        PEN_LIMIT_HOOK_BODY_BYTES);
    if (size == 0)
        return pen_fail(err, PEN_EINVAL, "no JSON: the text is empty");
    struct scan scan = {.text = bytes, .size = size};
    scan_all(&scan);
    PEN_CLEANUP(pen_buf_release) struct pen_buf copy = scan.copy;
    if (scan.deepest > ANY_DEPTH_MAX)
        return pen_fail(err, PEN_ELIMIT, "JSON nested deeper than %d", ANY_DEPTH_MAX);
    if (scan.values > PEN_LIMIT_HOOK_VALUES)
        return pen_fail(err, PEN_ELIMIT, "JSON of more than %d values", PEN_LIMIT_HOOK_VALUES);
    if (scan.rewritten)
        pen_buf_append(&copy, scan.text + scan.copied, size - scan.copied);
    int rc = pen_buf_ok(&copy, err);
    if (rc < 0)
        return rc;
    json_error_t error;
    json_t *json = json_loadb(scan.rewritten ? copy.data : bytes, scan.rewritten ? copy.size : size,
                              JSON_DECODE_ANY, &error);
    if (!json)
        return pen_fail(err, PEN_EINVAL, "not JSON: line %d, column %d: %s", error.line,
                        error.column, error.text);
    *ret_json = json;
    return 0;
}
