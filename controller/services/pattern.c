#include "controller/services/pattern.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"

struct pen_pattern {
    regex_t compiled;
    bool ready;
};

/* What a set has for an escape; NULL: the character itself. */
static const char *set_of(char escaped)
{
    switch (escaped) {
    case 'w':
        return "A-Za-z0-9_";
    case 'd':
        return "0-9";
    case 's':
        return " \t\n\r\f\v";
    default:
        return NULL;
    }
}

/* A set in brackets: POSIX knows no escapes there, wants ']' first and a literal '-' last. Returns
 * where the set ends, behind its ']'. */
static const char *translate_set(const char *at, struct pen_buf *ret_posix)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf members = {0};
    bool negated = *at == '^';
    bool bracket = false;
    bool hyphen = false;
    if (negated)
        at++;
    for (bool first = true; *at != '\0' && (*at != ']' || first); at++, first = false) {
        char c = *at;
        if (c == '\\' && at[1] != '\0') {
            c = *++at;
            const char *set = set_of(c);
            if (set != NULL) {
                pen_buf_puts(&members, set);
                continue;
            }
            hyphen = hyphen || c == '-';
        } else if (c == '-' && (first || at[1] == ']')) {
            hyphen = true;
        } else if (c == '-') {
            pen_buf_putc(&members, c); /* of a range */
            continue;
        }
        bracket = bracket || c == ']';
        if (c != '-' && c != ']')
            pen_buf_putc(&members, c);
    }
    pen_buf_printf(ret_posix, "[%s%s%s%s]", negated ? "^" : "", bracket ? "]" : "",
                   pen_buf_text(&members), hyphen ? "-" : "");
    return *at == ']' ? at + 1 : NULL;
}

int pen_pattern_translate(const char *pattern, struct pen_buf *ret_posix, struct pen_error *err)
{
    pen_buf_puts(ret_posix, "^(");
    for (const char *at = pattern; *at != '\0';) {
        if (*at == '[') {
            at = translate_set(at + 1, ret_posix);
            if (at == NULL)
                return pen_fail(err, PEN_EINVAL, "pattern '%s' has a '[' without ']'", pattern);
        } else if (*at == '\\' && at[1] != '\0') {
            const char *set = set_of(at[1]);
            if (set != NULL)
                pen_buf_printf(ret_posix, "[%s]", set);
            else if (strchr("^$.*+?()[]{}|\\", at[1]) != NULL)
                pen_buf_append(ret_posix, at, 2);
            else
                pen_buf_putc(ret_posix, at[1]);
            at += 2;
        } else if (*at == '.') {
            pen_buf_puts(ret_posix, "[^\n\r]");
            at++;
        } else if (*at == '(' && at[1] == '?') {
            return pen_fail(err, PEN_EINVAL, "pattern '%s' has a group that is not supported",
                            pattern);
        } else {
            pen_buf_putc(ret_posix, *at++);
        }
    }
    pen_buf_puts(ret_posix, ")$");
    return pen_buf_ok(ret_posix, err);
}

int pen_pattern_compile(const char *pattern, struct pen_pattern **ret_pattern,
                        struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf posix = {0};
    int code = pen_pattern_translate(pattern, &posix, err);
    if (code < 0)
        return code;
    PEN_CLEANUP(pen_pattern_destroy) struct pen_pattern *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a pattern");
    int rc = regcomp(&self->compiled, pen_buf_text(&posix), REG_EXTENDED | REG_NOSUB);
    if (rc != 0) {
        char text[100];
        (void)regerror(rc, &self->compiled, text, sizeof text);
        return pen_fail(err, rc == REG_ESPACE ? PEN_ENOMEM : PEN_EINVAL, "pattern '%s': %s",
                        pattern, text);
    }
    self->ready = true;
    *ret_pattern = TAKE_PTR(self);
    return 0;
}

void pen_pattern_destroy(struct pen_pattern **self_p)
{
    struct pen_pattern *self = *self_p;
    *self_p = NULL;
    if (self == NULL)
        return;
    if (self->ready)
        regfree(&self->compiled);
    free(self);
}

bool pen_pattern_match(const struct pen_pattern *self, const char *text)
{
    return regexec(&self->compiled, text, 0, NULL, 0) == 0;
}
