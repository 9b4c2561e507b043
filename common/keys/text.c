/* Bytes as text: hex and base64, of the interface in digest.h. */
#include "common/keys/digest.h"

#include <string.h>

#include "common/base/cleanup.h"

static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char plain_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void pen_hex_encode(const void *bytes, size_t size, char *ret_text)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size; i++) {
        ret_text[2 * i] = digits[at[i] >> 4];
        ret_text[2 * i + 1] = digits[at[i] & 15];
    }
    ret_text[2 * size] = 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int pen_hex_decode(const char *text, void *ret_bytes, size_t size, struct pen_error *err)
{
    uint8_t *bytes = ret_bytes;
    bool good = strlen(text) == 2 * size;
    for (size_t i = 0; good && i < 2 * size; i++)
        good = hex_value(text[i]) >= 0;
    if (!good)
        return pen_fail(err, PEN_EINVAL, "expected %zu hexadecimal digits", 2 * size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(hex_value(text[2 * i]) * 16 + hex_value(text[2 * i + 1]));
    return 0;
}

static void base64_encode(const uint8_t *at, size_t size, const char *digits, bool pad,
                          struct pen_buf *ret_text)
{
    if (size > SIZE_MAX / 4 * 3 - 4) {
        ret_text->failed = true;
        return;
    }
    char *out = (char *)pen_buf_reserve(ret_text, (size + 2) / 3 * 4);
    if (out == NULL)
        return;
    size_t written = 0;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        unsigned bits = (unsigned)at[i] << 16;
        bits |= left > 1 ? (unsigned)at[i + 1] << 8 : 0;
        bits |= left > 2 ? (unsigned)at[i + 2] : 0;
        out[written++] = digits[bits >> 18];
        out[written++] = digits[bits >> 12 & 63];
        if (left > 1 || pad)
            out[written++] = left > 1 ? digits[bits >> 6 & 63] : '=';
        if (left > 2 || pad)
            out[written++] = left > 2 ? digits[bits & 63] : '=';
    }
    pen_buf_added(ret_text, written);
}

/* Decode `length` digits without padding. Bits that the last digit has too many must be zero, so
 * that one value has one text. */
static int base64_decode(const char *text, size_t length, const char *digits,
                         struct pen_buf *ret_bytes, struct pen_error *err)
{
    unsigned bits = 0;
    unsigned held = 0;
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    uint8_t *out = pen_buf_reserve(&bytes, length / 4 * 3 + 3);
    if (out == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to decode base64");
    uint8_t values[256];
    memset(values, 0xFF, sizeof values);
    for (uint8_t i = 0; i < 64; i++)
        values[(uint8_t)digits[i]] = i;
    size_t written = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned value = values[(uint8_t)text[i]];
        if (value == 0xFF)
            return pen_fail(err, PEN_EINVAL, "not base64 at character %zu", i + 1);
        bits = (bits << 6 | value) & 0xFFFF;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[written++] = (uint8_t)(bits >> held & 0xFF);
        }
    }
    if (length % 4 == 1 || (bits & ((1U << held) - 1)) != 0)
        return pen_fail(err, PEN_EINVAL, "base64 that ends too early");
    pen_buf_append(ret_bytes, out, written);
    return pen_buf_ok(ret_bytes, err);
}

void pen_base64url_encode(const void *bytes, size_t size, struct pen_buf *ret_text)
{
    base64_encode(bytes, size, url_digits, false, ret_text);
}

int pen_base64url_decode(const char *text, struct pen_buf *ret_bytes, struct pen_error *err)
{
    return base64_decode(text, strlen(text), url_digits, ret_bytes, err);
}

void pen_base64_encode(const void *bytes, size_t size, struct pen_buf *ret_text)
{
    base64_encode(bytes, size, plain_digits, true, ret_text);
}

int pen_base64_decode(const char *text, struct pen_buf *ret_bytes, struct pen_error *err)
{
    size_t length = strlen(text);
    if (length % 4 != 0)
        return pen_fail(err, PEN_EINVAL, "base64 comes in groups of four characters");
    for (int i = 0; i < 2 && length > 0 && text[length - 1] == '='; i++)
        length--;
    return base64_decode(text, length, plain_digits, ret_bytes, err);
}
