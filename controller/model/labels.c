#include "controller/model/labels.h"

#include <string.h>

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '/' || c == '-' || c == '@' || c == ':' || c == '+';
}

static size_t word_span(const char *text)
{
    size_t size = 0;
    while (word_char(text[size]))
        size++;
    return size;
}

bool pen_label_word_valid(const char *text)
{
    if (text == NULL)
        return false;
    size_t size = word_span(text);
    return size >= 1 && size <= PEN_LABEL_SIZE_MAX && text[size] == '\0';
}

/* Read a word at *at into word and move *at behind it. */
static bool take_word(const char **at, const char *end, char word[PEN_LABEL_SIZE_MAX + 1])
{
    size_t size = word_span(*at);
    if (size > (size_t)(end - *at))
        size = (size_t)(end - *at);
    if (size < 1 || size > PEN_LABEL_SIZE_MAX)
        return false;
    memcpy(word, *at, size);
    word[size] = '\0';
    *at += size;
    return true;
}

static bool parse_term(const char *at, const char *end, struct pen_label_term *term)
{
    memset(term, 0, sizeof *term);
    term->test = PEN_LABEL_PRESENT;
    if (at < end && *at == '!') {
        term->test = PEN_LABEL_ABSENT;
        at++;
    }
    if (!take_word(&at, end, term->key))
        return false;
    if (at == end)
        return true;
    if (term->test == PEN_LABEL_ABSENT)
        return false;
    term->test = PEN_LABEL_EQUAL;
    if (*at == '!') {
        term->test = PEN_LABEL_NOT_EQUAL;
        at++;
    }
    if (at == end || *at != '=')
        return false;
    at++;
    return take_word(&at, end, term->value) && at == end;
}

int pen_labels_parse(const char *text, struct pen_labels *ret_labels, struct pen_error *err)
{
    struct pen_labels labels = {0};
    const char *at = text == NULL ? "" : text;
    if (at[strspn(at, " ")] == '\0') {
        *ret_labels = labels;
        return 0;
    }
    for (;;) {
        at += strspn(at, " ");
        const char *comma = at + strcspn(at, ",");
        const char *end = comma;
        while (end > at && end[-1] == ' ')
            end--;
        if (labels.terms_count == PEN_LABEL_TERMS_MAX)
            return pen_fail(err, PEN_ELIMIT, "label expression has more than %d terms",
                            PEN_LABEL_TERMS_MAX);
        if (!parse_term(at, end, &labels.terms[labels.terms_count]))
            return pen_fail(err, PEN_EINVAL,
                            "label expression: '%.*s' is not key=value, key!=value, key or !key "
                            "with words of 1 to %d characters of [A-Za-z0-9._/@:+-]",
                            end - at > 130 ? 130 : (int)(end - at), at, PEN_LABEL_SIZE_MAX);
        labels.terms_count++;
        if (*comma == '\0')
            break;
        at = comma + 1;
    }
    *ret_labels = labels;
    return 0;
}

bool pen_label_term_holds(const struct pen_label_term *term, const char *value)
{
    switch (term->test) {
    case PEN_LABEL_EQUAL:
        return value != NULL && strcmp(value, term->value) == 0;
    case PEN_LABEL_NOT_EQUAL:
        return value == NULL || strcmp(value, term->value) != 0;
    case PEN_LABEL_PRESENT:
        return value != NULL;
    case PEN_LABEL_ABSENT:
        return value == NULL;
    }
    return false;
}

size_t pen_labels_misses(const struct pen_labels *self, pen_label_lookup *lookup, void *context,
                         size_t *ret_first)
{
    size_t misses = 0;
    for (size_t i = 0; i < self->terms_count; i++) {
        if (pen_label_term_holds(&self->terms[i], lookup(context, self->terms[i].key)))
            continue;
        if (misses == 0 && ret_first != NULL)
            *ret_first = i;
        misses++;
    }
    return misses;
}

bool pen_labels_match(const struct pen_labels *self, pen_label_lookup *lookup, void *context)
{
    for (size_t i = 0; i < self->terms_count; i++) {
        if (!pen_label_term_holds(&self->terms[i], lookup(context, self->terms[i].key)))
            return false;
    }
    return true;
}

void pen_label_term_format(const struct pen_label_term *term, struct pen_buf *ret_text)
{
    if (term->test == PEN_LABEL_ABSENT)
        pen_buf_putc(ret_text, '!');
    pen_buf_puts(ret_text, term->key);
    if (term->test == PEN_LABEL_EQUAL)
        pen_buf_puts(ret_text, "=");
    else if (term->test == PEN_LABEL_NOT_EQUAL)
        pen_buf_puts(ret_text, "!=");
    pen_buf_puts(ret_text, term->value);
}
