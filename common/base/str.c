#include "common/base/str.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"

bool pen_str_equal(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return strcmp(a, b) == 0;
}

bool pen_str_starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool pen_str_ends_with(const char *text, const char *suffix)
{
    size_t text_size = strlen(text);
    size_t suffix_size = strlen(suffix);
    return suffix_size <= text_size && strcmp(text + text_size - suffix_size, suffix) == 0;
}

bool pen_str_empty(const char *text)
{
    return text == NULL || text[0] == 0;
}

char *pen_strdup_printf(const char *format, ...)
{
    struct pen_buf text = {0};
    va_list args;
    va_start(args, format);
    pen_buf_vprintf(&text, format, args);
    va_end(args);
    return pen_buf_take_text(&text);
}

bool pen_str_set(char **destination, const char *text)
{
    char *copy = NULL;
    if (text != NULL && (copy = strdup(text)) == NULL)
        return false;
    free(*destination);
    *destination = copy;
    return true;
}

bool pen_str_copy(char *destination, size_t size, const char *text)
{
    size_t length = strlen(text);
    bool fits = length < size;
    if (size == 0)
        return false;
    size_t kept = fits ? length : size - 1;
    memcpy(destination, text, kept);
    destination[kept] = 0;
    return fits;
}

/* Bytes of the sequence at the start of bytes, 0 when it is not well formed. */
static size_t sequence_size(const uint8_t *bytes, size_t left)
{
    uint8_t first = bytes[0];
    if (first == 0)
        return 0;
    if (first < 0x80)
        return 1;
    size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || size > left)
        return 0;
    uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (bytes[1] < low || bytes[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++) {
        if (bytes[i] < 0x80 || bytes[i] > 0xBF)
            return 0;
    }
    return size;
}

bool pen_utf8_valid(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    while (size > 0) {
        size_t step = sequence_size(at, size);
        if (step == 0)
            return false;
        at += step;
        size -= step;
    }
    return true;
}
