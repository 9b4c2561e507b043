#include "controller/model/variables.h"

#include <string.h>

struct reference {
    char namespace_name[PEN_VARIABLE_NAMESPACE_MAX + 1];
    char key[PEN_VARIABLE_KEY_MAX + 1];
};

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '@';
}

/* Copy the word at *at and move *at behind it. */
static bool take_word(const char **at, char *word, size_t size_max)
{
    size_t size = 0;
    while (name_char((*at)[size]))
        size++;
    if (size == 0 || size > size_max)
        return false;
    memcpy(word, *at, size);
    word[size] = '\0';
    *at += size;
    return true;
}

/* Read the reference that begins at `at` ("#{"). ret_end: behind its "}". */
static int take_reference(const char *at, struct reference *ret_reference, const char **ret_end,
                          struct pen_error *err)
{
    const char *start = at;
    at += 2;
    if (take_word(&at, ret_reference->namespace_name, PEN_VARIABLE_NAMESPACE_MAX) && *at == '.') {
        at++;
        if (take_word(&at, ret_reference->key, PEN_VARIABLE_KEY_MAX) && *at == '}') {
            *ret_end = at + 1;
            return 0;
        }
    }
    size_t size = strcspn(start, "}");
    size += start[size] == '}';
    return pen_fail(err, PEN_EINVAL,
                    "'%.*s' is not a variable reference of the form #{namespace.key}",
                    size > 120 ? 120 : (int)size, start);
}

bool pen_variables_present(const char *text)
{
    return text != NULL && strstr(text, "#{") != NULL;
}

int pen_variables_each(const char *text,
                       int (*each)(void *context, const char *namespace_name, const char *key,
                                   struct pen_error *err),
                       void *context, struct pen_error *err)
{
    for (const char *at = strstr(text, "#{"); at != NULL; at = strstr(at, "#{")) {
        struct reference reference;
        int code = take_reference(at, &reference, &at, err);
        if (code == 0)
            code = each(context, reference.namespace_name, reference.key, err);
        if (code < 0)
            return code;
    }
    return 0;
}

static int expand(const char *text, pen_variable_lookup *lookup, void *context,
                  struct pen_buf *ret_text, struct pen_error *err)
{
    for (;;) {
        const char *at = strstr(text, "#{");
        pen_buf_append(ret_text, text, at == NULL ? strlen(text) : (size_t)(at - text));
        if (at != NULL) {
            struct reference reference;
            const char *value = NULL;
            int code = take_reference(at, &reference, &text, err);
            if (code == 0)
                code = lookup(context, reference.namespace_name, reference.key, &value, err);
            if (code < 0)
                return code;
            pen_buf_puts(ret_text, value);
        }
        if (ret_text->size > PEN_VARIABLES_EXPANDED_MAX)
            return pen_fail(err, PEN_ELIMIT, "the resolved configuration exceeds %d bytes",
                            PEN_VARIABLES_EXPANDED_MAX);
        if (at == NULL)
            return pen_buf_ok(ret_text, err);
    }
}

int pen_variables_expand(const char *text, pen_variable_lookup *lookup, void *context,
                         struct pen_buf *ret_text, struct pen_error *err)
{
    size_t size = ret_text->size;
    int code = expand(text, lookup, context, ret_text, err);
    if (code < 0 && ret_text->data != NULL) {
        ret_text->size = size;
        ret_text->data[size] = 0;
    }
    return code;
}
