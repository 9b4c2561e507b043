#include "common/wire/json_path.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"

/* ---- parsing */

enum { ELEMENT_DIGITS_MAX = 9 };

struct reader {
    const char *text;
    const char *at;
    struct pen_json_path *path;
    size_t names_size;
};

static int bad(const struct reader *self, struct pen_error *err, const char *why)
{
    return pen_fail(err, PEN_EINVAL, "%s at character %zu", why,
                    (size_t)(self->at - self->text) + 1);
}

static int add(struct reader *self, struct pen_json_step step, const char *name, size_t size,
               struct pen_error *err)
{
    if (self->path->steps_count == PEN_JSON_PATH_STEPS_MAX)
        return pen_fail(err, PEN_ELIMIT, "more than %d steps", PEN_JSON_PATH_STEPS_MAX);
    step.name_at = self->names_size;
    step.name_size = size;
    if (size > 0)
        memcpy(self->path->names + self->names_size, name, size);
    self->names_size += size;
    self->path->names[self->names_size++] = '\0';
    self->path->steps[self->path->steps_count++] = step;
    return 0;
}

static int read_dotted(struct reader *self, bool deep, struct pen_error *err)
{
    if (*self->at == '*') {
        self->at++;
        return add(self, (struct pen_json_step){.kind = PEN_JSON_STEP_ANY, .deep = deep}, NULL, 0,
                   err);
    }
    size_t size = strcspn(self->at, ".[]()?@$*,:'\" \t\r\n");
    if (size == 0)
        return bad(self, err, "a name is missing");
    const char *name = self->at;
    self->at += size;
    if (*self->at == '(')
        return bad(self, err, "functions are not supported");
    return add(self, (struct pen_json_step){.kind = PEN_JSON_STEP_MEMBER, .deep = deep}, name, size,
               err);
}

/* 'name' or "name", with \ before the character that it protects. */
static int read_quoted(struct reader *self, bool deep, struct pen_error *err)
{
    char name[PEN_JSON_PATH_SIZE_MAX + 1];
    size_t size = 0;
    char quote = *self->at++;
    while (*self->at != quote) {
        if (*self->at == '\\' && self->at[1] != '\0')
            self->at++;
        if (*self->at == '\0')
            return bad(self, err, "a quote is not closed");
        name[size++] = *self->at++;
    }
    self->at++;
    return add(self, (struct pen_json_step){.kind = PEN_JSON_STEP_MEMBER, .deep = deep}, name, size,
               err);
}

static int read_element(struct reader *self, bool deep, struct pen_error *err)
{
    bool negative = *self->at == '-';
    const char *digits = self->at + negative;
    size_t size = strspn(digits, "0123456789");
    if (size == 0 && (*self->at == '?' || *self->at == '('))
        return bad(self, err, "filters and expressions are not supported");
    if (size == 0 || size > ELEMENT_DIGITS_MAX)
        return bad(self, err, "expected *, a quoted name or a number");
    long long number = strtoll(digits, NULL, 10);
    self->at = digits + size;
    return add(self,
               (struct pen_json_step){.kind = PEN_JSON_STEP_ELEMENT,
                                      .deep = deep,
                                      .element = negative ? -number : number},
               NULL, 0, err);
}

static int read_bracketed(struct reader *self, bool deep, struct pen_error *err)
{
    int rc = 0;
    self->at++;
    if (*self->at == '\'' || *self->at == '"') {
        rc = read_quoted(self, deep, err);
    } else if (*self->at == '*') {
        self->at++;
        rc = add(self, (struct pen_json_step){.kind = PEN_JSON_STEP_ANY, .deep = deep}, NULL, 0,
                 err);
    } else {
        rc = read_element(self, deep, err);
    }
    if (rc < 0)
        return rc;
    if (*self->at != ']')
        return bad(self, err, "expected ]: lists, slices and expressions are not supported");
    self->at++;
    return 0;
}

static int read_step(struct reader *self, struct pen_error *err)
{
    if (*self->at == '[')
        return read_bracketed(self, false, err);
    if (*self->at != '.')
        return bad(self, err, "expected . or [");
    self->at++;
    bool deep = *self->at == '.';
    self->at += deep;
    return deep && *self->at == '[' ? read_bracketed(self, true, err)
                                    : read_dotted(self, deep, err);
}

int pen_json_path_parse(const char *text, struct pen_json_path *ret_path, struct pen_error *err)
{
    if (strlen(text) > PEN_JSON_PATH_SIZE_MAX)
        return pen_fail(err, PEN_ELIMIT, "longer than %d bytes", PEN_JSON_PATH_SIZE_MAX);
    struct pen_json_path path = {.steps_count = 0};
    struct reader reader = {.text = text, .at = text, .path = &path};
    if (*reader.at != '$')
        return bad(&reader, err, "a path begins with $, which is missing");
    reader.at++;
    while (*reader.at != '\0') {
        int rc = read_step(&reader, err);
        if (rc < 0)
            return rc;
    }
    *ret_path = path;
    return 0;
}

/* ---- matching: a node is reached by a set of beginnings of the path, bit n for its first n steps
 */

struct walk {
    const struct pen_json_path *path;
    const char *wanted;
};

static bool is_wanted(const json_t *value, const char *wanted)
{
    char text[64];
    if (wanted == NULL)
        return true;
    switch (json_typeof(value)) {
    case JSON_STRING:
        return json_string_length(value) == strlen(wanted) &&
               strcmp(json_string_value(value), wanted) == 0;
    case JSON_INTEGER:
        (void)snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return strcmp(text, wanted) == 0;
    case JSON_REAL:
        (void)snprintf(text, sizeof text, "%.17g", json_real_value(value));
        return strcmp(text, wanted) == 0 || json_real_value(value) == strtod(wanted, NULL);
    case JSON_TRUE:
        return strcmp(wanted, "true") == 0;
    case JSON_FALSE:
        return strcmp(wanted, "false") == 0;
    case JSON_NULL:
        return strcmp(wanted, "null") == 0;
    default:
        return false; /* no text stands for an object or a list */
    }
}

/* name NULL: an element of a list of `count`. */
static bool step_takes(const struct walk *self, const struct pen_json_step *step, const char *name,
                       size_t index, size_t count)
{
    switch (step->kind) {
    case PEN_JSON_STEP_MEMBER:
        return name != NULL && strcmp(name, self->path->names + step->name_at) == 0;
    case PEN_JSON_STEP_ELEMENT:
        return name == NULL &&
               (long long)index ==
                   (step->element < 0 ? (long long)count + step->element : step->element);
    case PEN_JSON_STEP_ANY:
        return true;
    }
    return false;
}

static uint64_t child_set(const struct walk *self, uint64_t set, const char *name, size_t index,
                          size_t count)
{
    uint64_t child = 0;
    for (size_t i = 0; i < self->path->steps_count; i++) {
        if ((set & (UINT64_C(1) << i)) == 0)
            continue;
        const struct pen_json_step *step = &self->path->steps[i];
        if (step_takes(self, step, name, index, count))
            child |= UINT64_C(1) << (i + 1);
        if (step->deep)
            child |= UINT64_C(1) << i;
    }
    return child;
}

static bool visit(const struct walk *self, const json_t *value, uint64_t set)
{
    uint64_t whole = UINT64_C(1) << self->path->steps_count;
    if ((set & whole) != 0 && is_wanted(value, self->wanted))
        return true;
    if ((set & (whole - 1)) == 0)
        return false;
    const char *name = NULL;
    const json_t *child = NULL;
    json_object_foreach((json_t *)(uintptr_t)value, name, child)
    {
        if (visit(self, child, child_set(self, set, name, 0, 0)))
            return true;
    }
    size_t count = json_array_size(value);
    for (size_t i = 0; i < count; i++)
        if (visit(self, json_array_get(value, i), child_set(self, set, NULL, i, count)))
            return true;
    return false;
}

bool pen_json_path_matches(const struct pen_json_path *self, const json_t *document,
                           const char *wanted)
{
    struct walk walk = {.path = self, .wanted = wanted};
    return visit(&walk, document, 1);
}
