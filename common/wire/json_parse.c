#include "common/wire/wire.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/field.h"
#include "common/wire/wire_internal.h"

enum { JSON_DEPTH_MAX = 32 };

/* One message being filled from one JSON object. The message belongs to its parent already. */
struct frame {
    ProtobufCMessage *message;
    json_t *object;
    unsigned field;
    size_t element;   /* next element of a list or map field */
    void *map_cursor; /* jansson's place in the object of a map field */
    size_t path_size; /* of the path to this message */
};

struct reader {
    struct frame frames[PEN_WIRE_DEPTH_MAX];
    unsigned depth;
    struct pen_buf path;
};

static void *member_at(ProtobufCMessage *message, unsigned offset)
{
    return (uint8_t *)message + offset;
}

static int fail_kind(struct reader *self, struct pen_error *err, const char *expected)
{
    return pen_fail(err, PEN_EINVAL, "%s: expected %s", pen_buf_text(&self->path), expected);
}

static int fail_memory(struct pen_error *err)
{
    return pen_fail(err, PEN_ENOMEM, "no memory for a message from JSON");
}

static void path_cut(struct reader *self, size_t size)
{
    if (self->path.size <= size)
        return;
    self->path.size = size;
    self->path.data[size] = '\0';
}

static ProtobufCMessage *message_make(const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = malloc(type->sizeof_message);
    if (message)
        type->message_init(message);
    return message;
}

static int set_integer(struct reader *self, const ProtobufCFieldDescriptor *field, void *member,
                       json_t *json, struct pen_error *err)
{
    if (!json_is_integer(json))
        return fail_kind(self, err, "an integer");
    int64_t number = json_integer_value(json);
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        if (number < INT32_MIN || number > INT32_MAX)
            return fail_kind(self, err, "a 32-bit integer");
        *(int32_t *)member = (int32_t)number;
        return 0;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        if (number < 0 || number > UINT32_MAX)
            return fail_kind(self, err, "an unsigned 32-bit integer");
        *(uint32_t *)member = (uint32_t)number;
        return 0;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        if (number < 0)
            return fail_kind(self, err, "an unsigned integer");
        *(uint64_t *)member = (uint64_t)number;
        return 0;
    default:
        *(int64_t *)member = number;
        return 0;
    }
}

static int set_enum(struct reader *self, const ProtobufCEnumDescriptor *type, void *member,
                    json_t *json, struct pen_error *err)
{
    if (json_is_integer(json)) {
        json_int_t number = json_integer_value(json);
        if (number < INT32_MIN || number > INT32_MAX)
            return fail_kind(self, err, "a 32-bit integer");
        *(int *)member = (int)number;
        return 0;
    }
    const char *name = json_string_value(json);
    const ProtobufCEnumValue *value =
        name ? protobuf_c_enum_descriptor_get_value_by_name(type, name) : NULL;
    if (!value)
        return pen_fail(err, PEN_EINVAL, "%s: expected a value of %s", pen_buf_text(&self->path),
                        type->short_name);
    *(int *)member = value->value;
    return 0;
}

static int set_bytes(struct reader *self, ProtobufCBinaryData *member, json_t *json,
                     struct pen_error *err)
{
    if (!json_is_string(json))
        return fail_kind(self, err, "a string of base64");
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    if (pen_wire_base64_decode(json_string_value(json), json_string_length(json), &bytes, NULL) < 0)
        return fail_kind(self, err, "base64");
    if (pen_buf_ok(&bytes, NULL) < 0)
        return fail_memory(err);
    member->len = bytes.size;
    member->data = TAKE_PTR(bytes.data);
    return 0;
}

static int set_string(struct reader *self, char **member, json_t *json, struct pen_error *err)
{
    if (!json_is_string(json))
        return fail_kind(self, err, "a string");
    if (strlen(json_string_value(json)) != json_string_length(json))
        return fail_kind(self, err, "a string without zero bytes");
    *member = strdup(json_string_value(json));
    return *member ? 0 : fail_memory(err);
}

/* Set one element, which holds nothing yet. A message is attached and gets a frame. */
static int set_element(struct reader *self, const ProtobufCFieldDescriptor *field, void *member,
                       json_t *json, struct pen_error *err)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        if (!json_is_number(json))
            return fail_kind(self, err, "a number");
        if (field->type == PROTOBUF_C_TYPE_FLOAT)
            *(float *)member = (float)json_number_value(json);
        else
            *(double *)member = json_number_value(json);
        return 0;
    case PROTOBUF_C_TYPE_BOOL:
        if (!json_is_boolean(json))
            return fail_kind(self, err, "true or false");
        *(protobuf_c_boolean *)member = json_is_true(json);
        return 0;
    case PROTOBUF_C_TYPE_ENUM:
        return set_enum(self, field->descriptor, member, json, err);
    case PROTOBUF_C_TYPE_STRING:
        return set_string(self, member, json, err);
    case PROTOBUF_C_TYPE_BYTES:
        return set_bytes(self, member, json, err);
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    default:
        return set_integer(self, field, member, json, err);
    }
    if (!json_is_object(json))
        return fail_kind(self, err, "an object");
    CHECK(self->depth < PEN_WIRE_DEPTH_MAX); /* the schema is not recursive */
    ProtobufCMessage *message = message_make(field->descriptor);
    if (!message)
        return fail_memory(err);
    *(ProtobufCMessage **)member = message;
    self->frames[self->depth++] =
        (struct frame){.message = message, .object = json, .path_size = self->path.size};
    return 0;
}

static int set_single(struct reader *self, ProtobufCMessage *message,
                      const ProtobufCFieldDescriptor *field, json_t *json, struct pen_error *err)
{
    uint32_t *quantifier = member_at(message, field->quantifier_offset);
    bool choice = field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
    if (choice && *quantifier != 0)
        return pen_fail(err, PEN_EINVAL, "%s: excludes another member that is present",
                        pen_buf_text(&self->path));
    int rc = set_element(self, field, member_at(message, field->offset), json, err);
    if (rc < 0)
        return rc;
    bool pointer = field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE;
    if (choice)
        *quantifier = field->id;
    else if (!pointer && field->label == PROTOBUF_C_LABEL_OPTIONAL)
        *(protobuf_c_boolean *)quantifier = 1;
    return 0;
}

/* The next entry of a map field; no further ones: the map cursor is NULL and the field is done. */
static int step_map(struct reader *self, struct frame *frame, const ProtobufCFieldDescriptor *field,
                    json_t *json, uint8_t *slot, struct pen_error *err)
{
    void *cursor = frame->map_cursor ? frame->map_cursor : json_object_iter(json);
    const char *key = json_object_iter_key(cursor);
    json_t *value = json_object_iter_value(cursor);
    frame->map_cursor = json_object_iter_next(json, cursor);
    pen_buf_printf(&self->path, "['%s']", key);
    ProtobufCMessage *entry = message_make(field->descriptor);
    char *copy = strdup(key);
    if (!entry || !copy) {
        free(entry);
        free(copy);
        return fail_memory(err);
    }
    const ProtobufCFieldDescriptor *fields = entry->descriptor->fields;
    *(char **)member_at(entry, fields[0].offset) = copy;
    *(ProtobufCMessage **)(void *)slot = entry;
    return set_single(self, entry, &fields[1], value, err);
}

/* The next element of a list or map field. The count grows first, so that a message that is only
 * half made is freed with its parent. */
static int step_repeated(struct reader *self, struct frame *frame,
                         const ProtobufCFieldDescriptor *field, json_t *json, struct pen_error *err)
{
    bool map = pen_wire_field_is_map(field);
    if (map ? !json_is_object(json) : !json_is_array(json))
        return fail_kind(self, err, map ? "an object" : "an array");
    size_t count = map ? json_object_size(json) : json_array_size(json);
    if (frame->element == count) {
        frame->field++;
        frame->element = 0;
        frame->map_cursor = NULL;
        return 0;
    }
    uint8_t **list = member_at(frame->message, field->offset);
    size_t *list_count = member_at(frame->message, field->quantifier_offset);
    if (!*list && !(*list = calloc(count, pen_field_value_size(field->type))))
        return fail_memory(err);
    size_t index = frame->element++;
    uint8_t *slot = *list + index * pen_field_value_size(field->type);
    *list_count = index + 1;
    if (map)
        return step_map(self, frame, field, json, slot, err);
    pen_buf_printf(&self->path, "[%zu]", index);
    return set_element(self, field, slot, json_array_get(json, index), err);
}

static int step(struct reader *self, struct pen_error *err)
{
    struct frame *frame = &self->frames[self->depth - 1];
    const ProtobufCMessageDescriptor *type = frame->message->descriptor;
    if (frame->field == type->n_fields) {
        self->depth--;
        return 0;
    }
    const ProtobufCFieldDescriptor *field = &type->fields[frame->field];
    char name[PEN_WIRE_NAME_MAX];
    pen_wire_member_name(field->name, name);
    json_t *json = json_object_get(frame->object, name);
    if (!json || json_is_null(json)) {
        frame->field++;
        return 0;
    }
    path_cut(self, frame->path_size);
    pen_buf_printf(&self->path, "%s%s", frame->path_size ? "." : "", name);
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return step_repeated(self, frame, field, json, err);
    frame->field++;
    return set_single(self, frame->message, field, json, err);
}

int pen_wire_from_json(const ProtobufCMessageDescriptor *type, json_t *json, const char *path,
                       ProtobufCMessage **ret_message, struct pen_error *err)
{
    if (!json_is_object(json))
        return pen_fail(err, PEN_EINVAL, "%s: expected an object",
                        path && *path ? path : type->short_name);
    PEN_CLEANUP(pen_message_destroy) ProtobufCMessage *root = message_make(type);
    if (!root)
        return fail_memory(err);
    struct reader reader = {.depth = 1};
    pen_buf_puts(&reader.path, path ? path : "");
    reader.frames[0] =
        (struct frame){.message = root, .object = json, .path_size = reader.path.size};
    int rc = 0;
    while (rc == 0 && reader.depth > 0)
        rc = step(&reader, err);
    pen_buf_release(&reader.path);
    if (rc < 0)
        return rc;
    *ret_message = TAKE_PTR(root);
    return 0;
}

/* Nesting of arrays and objects, without regard to what else is wrong. */
static unsigned depth_of(const char *text, size_t size)
{
    unsigned depth = 0;
    unsigned deepest = 0;
    bool quoted = false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            deepest = ++depth > deepest ? depth : deepest;
        else if (!quoted && (c == '}' || c == ']') && depth > 0)
            depth--;
    }
    return deepest;
}

int pen_json_parse(const void *bytes, size_t size, size_t size_max, json_t **ret_json,
                   struct pen_error *err)
{
    if (size > size_max)
        return pen_fail(err, PEN_ELIMIT, "JSON of %zu bytes: at most %zu are taken", size,
                        size_max);
    if (size == 0)
        return pen_fail(err, PEN_EINVAL, "no JSON: the text is empty");
    if (depth_of(bytes, size) > JSON_DEPTH_MAX)
        return pen_fail(err, PEN_ELIMIT, "JSON nested deeper than %d", JSON_DEPTH_MAX);
    json_error_t error;
    json_t *json = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        return pen_fail(err, PEN_EINVAL, "not JSON: line %d, column %d: %s", error.line,
                        error.column, error.text);
    *ret_json = json;
    return 0;
}
