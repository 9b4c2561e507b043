#include "controller/services/validate_input.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "controller/services/pattern.h"

enum {
    PATH_SIZE = 512, /* of the longest member path; keys of maps in it are cut */
    KEY_SHOWN = 60,
    MESSAGE_ROOM = 40, /* for the count in front of the sentences */
};

/* A container that is being walked. */
struct frame {
    json_t *value;
    const struct pen_api_shape *shape;
    size_t index;     /* of the next member or element */
    void *entry;      /* of the next entry of a map */
    size_t path_size; /* of the container's own path */
};

struct walk {
    const struct pen_api_catalog *catalog;
    struct frame frames[PEN_API_DEPTH_MAX];
    size_t depth;
    char path[PATH_SIZE];
    size_t errors; /* all that were found */
    bool full;     /* no more sentences go into text */
    char text[PEN_ERROR_MESSAGE_MAX - MESSAGE_ROOM];
    size_t text_size;
};

/* ---- catalogues */

int pen_api_catalog_start(const struct pen_api_catalog *self, struct pen_error *err)
{
    for (size_t i = 0; i < self->patterns_count; i++) {
        if (self->compiled[i] != NULL)
            continue;
        struct pen_pattern *pattern = NULL;
        int code = pen_pattern_compile(self->patterns[i], &pattern, err);
        if (code < 0) {
            pen_api_catalog_stop(self);
            return code;
        }
        self->compiled[i] = pattern;
    }
    return 0;
}

void pen_api_catalog_stop(const struct pen_api_catalog *self)
{
    for (size_t i = 0; i < self->patterns_count; i++) {
        struct pen_pattern *pattern = self->compiled[i];
        pen_pattern_destroy(&pattern);
        self->compiled[i] = NULL;
    }
}

static int compare_operation(const void *name, const void *operation)
{
    return strcmp(name, ((const struct pen_api_operation *)operation)->name);
}

const struct pen_api_operation *pen_api_operation_find(const struct pen_api_catalog *catalog,
                                                       const char *name)
{
    return bsearch(name, catalog->operations, catalog->operations_count,
                   sizeof catalog->operations[0], compare_operation);
}

/* ---- sentences */

/* Bytes of text to show: at most max, not ending within a character. */
static int shown_size(const char *text, size_t max)
{
    size_t size = strnlen(text, max + 1);
    if (size <= max)
        return (int)size;
    size = max;
    while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
        size--;
    return (int)size;
}

/* Count an error of `value` (NULL: it is missing) at `path`, and add its sentence if it fits. */
__attribute__((format(printf, 5, 6))) static void add_error(struct walk *walk, const char *path,
                                                            const struct pen_api_shape *shape,
                                                            const json_t *value, const char *format,
                                                            ...)
{
    walk->errors++;
    if (walk->full)
        return;
    char what[PEN_API_VALUE_SHOWN + 32] = "Value";
    if (value == NULL) {
        (void)snprintf(what, sizeof what, "Value null");
    } else if (shape->sensitive) {
        ; /* its value is nobody's to read */
    } else if (json_is_string(value)) {
        const char *text = json_string_value(value);
        int size = shown_size(text, PEN_API_VALUE_SHOWN);
        (void)snprintf(what, sizeof what, "Value '%.*s%s'", size, text,
                       text[size] == '\0' ? "" : "...");
    } else if (json_is_integer(value)) {
        (void)snprintf(what, sizeof what, "Value '%" JSON_INTEGER_FORMAT "'",
                       json_integer_value(value));
    }
    char constraint[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(constraint, sizeof constraint, format, args);
    va_end(args);
    size_t room = sizeof walk->text - walk->text_size;
    int size = snprintf(walk->text + walk->text_size, room,
                        "%s%s at '%s' failed to satisfy constraint: %s",
                        walk->text_size == 0 ? "" : "; ", what, path, constraint);
    if ((size_t)size >= room) {
        walk->full = true;
        if (walk->text_size == 0)
            walk->text_size = sizeof walk->text - 1; /* the only one is shown as far as it goes */
        walk->text[walk->text_size] = '\0';
        return;
    }
    walk->text_size += (size_t)size;
}

static int fail_type(const struct walk *walk, const char *expected, struct pen_error *err)
{
    return pen_fail_api(err, PEN_EINVAL, "SerializationException", "The member '%s' has to be %s",
                        walk->path, expected);
}

/* ---- values */

static int64_t count_characters(const char *text)
{
    int64_t count = 0;
    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

/* `prefix` and `suffix` go around each constraint: for keys of maps. */
static void check_length(struct walk *walk, const struct pen_api_shape *shape, const json_t *value,
                         int64_t length, const char *prefix, const char *suffix)
{
    if (shape->has_max && length > shape->max)
        add_error(walk, walk->path, shape, value,
                  "%sMember must have length less than or equal to %" PRId64 "%s", prefix,
                  shape->max, suffix);
    if (shape->has_min && length < shape->min)
        add_error(walk, walk->path, shape, value,
                  "%sMember must have length greater than or equal to %" PRId64 "%s", prefix,
                  shape->min, suffix);
}

static bool enum_has(const char *const *values, const char *text)
{
    for (size_t i = 0; values[i] != NULL; i++) {
        if (strcmp(values[i], text) == 0)
            return true;
    }
    return false;
}

static void check_string(struct walk *walk, const struct pen_api_shape *shape, const json_t *value,
                         const char *prefix, const char *suffix)
{
    const char *text = json_string_value(value);
    int64_t length = count_characters(text);
    check_length(walk, shape, value, length, prefix, suffix);
    if (shape->values != NULL && !enum_has(shape->values, text)) {
        char set[200];
        size_t size = 0;
        for (size_t i = 0; shape->values[i] != NULL && size < sizeof set; i++)
            size += (size_t)snprintf(set + size, sizeof set - size, "%s%s", i == 0 ? "" : ", ",
                                     shape->values[i]);
        add_error(walk, walk->path, shape, value, "%sMember must satisfy enum value set: [%s]%s",
                  prefix, set, suffix);
    }
    /* A text that is too long has its error already, and would take its time. */
    if (shape->pattern == NULL || (shape->has_max && length > shape->max))
        return;
    const struct pen_pattern *pattern = walk->catalog->compiled[shape->pattern_index];
    CHECK(pattern != NULL); /* pen_api_catalog_start */
    if (!pen_pattern_match(pattern, text))
        add_error(walk, walk->path, shape, value,
                  "%sMember must satisfy regular expression pattern: %s%s", prefix, shape->pattern,
                  suffix);
}

static void check_integer(struct walk *walk, const struct pen_api_shape *shape, const json_t *value)
{
    int64_t number = json_integer_value(value);
    if (shape->has_max && number > shape->max)
        add_error(walk, walk->path, shape, value,
                  "Member must have value less than or equal to %" PRId64, shape->max);
    if (shape->has_min && number < shape->min)
        add_error(walk, walk->path, shape, value,
                  "Member must have value greater than or equal to %" PRId64, shape->min);
}

/* ---- the walk */

static void push(struct walk *walk, const struct pen_api_shape *shape, json_t *value)
{
    CHECK(walk->depth < PEN_API_DEPTH_MAX); /* make_catalog.py has measured the shapes */
    struct frame *frame = &walk->frames[walk->depth++];
    *frame = (struct frame){.value = value, .shape = shape, .path_size = strlen(walk->path)};
    if (shape->type == PEN_API_MAP)
        frame->entry = json_object_iter(value);
}

/* Check the value at walk->path; a container's inside is left for later. */
static int visit(struct walk *walk, const struct pen_api_shape *shape, json_t *value,
                 struct pen_error *err)
{
    switch (shape->type) {
    case PEN_API_STRUCTURE:
        if (!json_is_object(value))
            return fail_type(walk, "an object", err);
        push(walk, shape, value);
        return 0;
    case PEN_API_MAP:
        if (!json_is_object(value))
            return fail_type(walk, "an object", err);
        check_length(walk, shape, value, (int64_t)json_object_size(value), "", "");
        push(walk, shape, value);
        return 0;
    case PEN_API_LIST:
        if (!json_is_array(value))
            return fail_type(walk, "a list", err);
        check_length(walk, shape, value, (int64_t)json_array_size(value), "", "");
        push(walk, shape, value);
        return 0;
    case PEN_API_STRING:
        if (!json_is_string(value))
            return fail_type(walk, "a string", err);
        check_string(walk, shape, value, "", "");
        return 0;
    case PEN_API_INTEGER:
        if (!json_is_integer(value))
            return fail_type(walk, "an integer", err);
        check_integer(walk, shape, value);
        return 0;
    case PEN_API_BOOLEAN:
        return json_is_boolean(value) ? 0 : fail_type(walk, "true or false", err);
    case PEN_API_TIMESTAMP:
        return json_is_number(value) ? 0
                                     : fail_type(walk, "a number of seconds since the epoch", err);
    }
    UNREACHABLE("a shape of no known type");
}

/* Go on with the structure on top. Returns 1 when it is done. */
static int next_member(struct walk *walk, struct frame *frame, struct pen_error *err)
{
    if (frame->index == frame->shape->members_count)
        return 1;
    const struct pen_api_member *member = &frame->shape->members[frame->index++];
    json_t *value = json_object_get(frame->value, member->name);
    bool absent = value == NULL || json_is_null(value);
    if (absent && !member->required)
        return 0;
    (void)snprintf(walk->path + frame->path_size, PATH_SIZE - frame->path_size, "%s%s",
                   frame->path_size == 0 ? "" : ".", member->name);
    if (!absent)
        return visit(walk, member->shape, value, err);
    add_error(walk, walk->path, member->shape, NULL, "Member must not be null");
    return 0;
}

static int next_element(struct walk *walk, struct frame *frame, struct pen_error *err)
{
    if (frame->index == json_array_size(frame->value))
        return 1;
    json_t *value = json_array_get(frame->value, frame->index++);
    (void)snprintf(walk->path + frame->path_size, PATH_SIZE - frame->path_size, ".%zu.member",
                   frame->index);
    if (!json_is_null(value))
        return visit(walk, frame->shape->element, value, err);
    add_error(walk, walk->path, frame->shape->element, NULL, "Member must not be null");
    return 0;
}

static int next_entry(struct walk *walk, struct frame *frame, struct pen_error *err)
{
    if (frame->entry == NULL)
        return 1;
    const char *key = json_object_iter_key(frame->entry);
    json_t *value = json_object_iter_value(frame->entry);
    frame->entry = json_object_iter_next(frame->value, frame->entry);
    walk->path[frame->path_size] = '\0';
    json_t *key_text = json_string(key);
    if (key_text == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to check a request");
    check_string(walk, frame->shape->key, key_text, "Map keys must satisfy constraint: [", "]");
    json_decref(key_text);
    (void)snprintf(walk->path + frame->path_size, PATH_SIZE - frame->path_size, ".%.*s.member",
                   shown_size(key, KEY_SHOWN), key);
    if (!json_is_null(value))
        return visit(walk, frame->shape->element, value, err);
    add_error(walk, walk->path, frame->shape->element, NULL, "Member must not be null");
    return 0;
}

static int run(struct walk *walk, struct pen_error *err)
{
    while (walk->depth > 0) {
        struct frame *frame = &walk->frames[walk->depth - 1];
        int code = frame->shape->type == PEN_API_STRUCTURE ? next_member(walk, frame, err)
                   : frame->shape->type == PEN_API_LIST    ? next_element(walk, frame, err)
                                                           : next_entry(walk, frame, err);
        if (code < 0)
            return code;
        if (code == 1)
            walk->depth--;
    }
    return 0;
}

int pen_api_validate(const struct pen_api_operation *operation, json_t *body, struct pen_error *err)
{
    if (!json_is_object(body))
        return pen_fail_api(err, PEN_EINVAL, "SerializationException",
                            "The request body has to be a JSON object");
    if (operation->input == NULL)
        return 0;
    struct walk walk = {.catalog = operation->catalog};
    push(&walk, operation->input, body);
    int code = run(&walk, err);
    if (code < 0 || walk.errors == 0)
        return code;
    return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                        "%zu validation error%s detected: %s", walk.errors,
                        walk.errors == 1 ? "" : "s", walk.text);
}
