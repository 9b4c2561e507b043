#include "cli/json_place.h"

#include <jansson.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"

struct scan {
    const char *at;
    const char *end;
};

static void blanks(struct scan *self)
{
    while (self->at < self->end && strchr(" \t\r\n", *self->at) != NULL && *self->at != 0)
        self->at++;
}

/* Over a string, from quote to quote. */
static void string_skip(struct scan *self)
{
    for (self->at++; self->at < self->end && *self->at != '"'; self->at++)
        self->at += *self->at == '\\' ? 1 : 0;
    self->at = self->at < self->end ? self->at + 1 : self->end;
}

/* Over a value, whatever is in it. */
static void value_skip(struct scan *self)
{
    size_t depth = 0;
    while (self->at < self->end) {
        char byte = *self->at;
        if (byte == '"') {
            string_skip(self);
        } else if (depth == 0 && strchr(",]} \t\r\n", byte) != NULL) {
            return;
        } else {
            depth += byte == '{' || byte == '[' ? 1 : 0;
            depth -= byte == '}' || byte == ']' ? 1 : 0;
            self->at++;
        }
        if (depth == 0 && strchr("\"]}", byte) != NULL)
            return;
    }
}

/* Whether the string from quote to quote is this text, whatever escapes it is written with. */
static bool string_is(const char *quoted, size_t size, const char *text)
{
    json_t *string = json_loadb(quoted, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    const char *value = json_string_value(string);
    bool same = value != NULL && strcmp(value, text) == 0;
    json_decref(string);
    return same;
}

/* Move to the value of this name, or with this number, in the container that begins here;
 * *ret_place is where a person looks for it. */
static bool enter(struct scan *self, const char *token, const char **ret_place)
{
    if (self->at >= self->end || (*self->at != '{' && *self->at != '['))
        return false;
    bool object = *self->at == '{';
    size_t index = 0;
    char number[24];
    for (self->at++;; self->at++) {
        blanks(self);
        if (self->at >= self->end || *self->at == '}' || *self->at == ']')
            return false;
        const char *begin = self->at;
        bool found;
        if (object) {
            string_skip(self);
            found = string_is(begin, (size_t)(self->at - begin), token);
            blanks(self);
            self->at++; /* ':' */
            blanks(self);
        } else {
            (void)snprintf(number, sizeof number, "%zu", index++);
            found = strcmp(number, token) == 0;
        }
        *ret_place = begin;
        if (found)
            return true;
        value_skip(self);
        blanks(self);
        if (self->at >= self->end || *self->at != ',')
            return false;
    }
}

/* The pointer's next token, with its ~0 and ~1 resolved; NULL behind the last. */
static const char *token_take(const char *pointer, struct pen_buf *ret_token)
{
    pen_buf_clear(ret_token);
    if (*pointer != '/')
        return NULL;
    for (pointer++; *pointer != 0 && *pointer != '/'; pointer++) {
        bool escaped = *pointer == '~' && (pointer[1] == '0' || pointer[1] == '1');
        pen_buf_putc(ret_token, !escaped ? *pointer : pointer[1] == '0' ? '~' : '/');
        pointer += escaped ? 1 : 0;
    }
    return pointer;
}

bool pen_json_place_find(const char *text, size_t size, const char *pointer,
                         struct pen_json_place *ret_place, struct pen_buf *ret_name)
{
    struct scan scan = {.at = text, .end = text + size};
    PEN_CLEANUP(pen_buf_release) struct pen_buf token = {0};
    const char *place = text;
    bool there = true;
    blanks(&scan);
    for (const char *rest; (rest = token_take(pointer, &token)) != NULL; pointer = rest) {
        there = there && enter(&scan, pen_buf_text(&token), &place);
        if (*rest == 0)
            pen_buf_puts(ret_name, pen_buf_text(&token));
    }
    struct pen_json_place found = {.line = 1, .column = 1};
    for (const char *at = text; at < place; at++) {
        found.column += ((unsigned char)*at & 0xC0) != 0x80 ? 1 : 0;
        if (*at == '\n')
            found = (struct pen_json_place){.line = found.line + 1, .column = 1};
    }
    if (there)
        *ret_place = found;
    return there;
}
