#include "common/wire/wire.h"

#include <string.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/field.h"
#include "common/wire/wire_internal.h"

/* One message on its way to JSON: the next field, and where in a list field. */
struct frame {
    const ProtobufCMessage *message;
    json_t *object; /* borrowed: its parent, or the root, owns it */
    unsigned field;
    size_t element;
};

struct writer {
    struct frame frames[PEN_WIRE_DEPTH_MAX];
    unsigned depth;
};

static void json_release(json_t **json)
{
    json_decref(*json);
    *json = NULL;
}

static const void *member_at(const ProtobufCMessage *message, unsigned offset)
{
    return (const uint8_t *)message + offset;
}

/* Elements of the field: 0 or 1 unless it is repeated. */
static size_t count_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)member_at(message, field->quantifier_offset);
    return pen_field_is_set(field, (const char *)message) ? 1 : 0;
}

static const void *element_at(const ProtobufCMessage *message,
                              const ProtobufCFieldDescriptor *field, size_t index)
{
    const void *member = member_at(message, field->offset);
    if (field->label != PROTOBUF_C_LABEL_REPEATED)
        return member;
    return *(const uint8_t *const *)member + index * pen_field_value_size(field->type);
}

static json_t *json_of_bytes(const ProtobufCBinaryData *bytes)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_wire_base64_encode(bytes->data, bytes->len, &text);
    return json_string(pen_buf_text(&text));
}

static json_t *json_of_enum(const ProtobufCEnumDescriptor *type, int number)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(type, number);
    return value ? json_string(value->name) : json_integer(number);
}

/* Anything but a message. NULL: not text, too large a number, or no memory. */
static json_t *json_of_scalar(const ProtobufCFieldDescriptor *field, const void *element)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return json_integer(*(const int32_t *)element);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return json_integer(*(const uint32_t *)element);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return json_integer(*(const int64_t *)element);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64: {
        uint64_t number = *(const uint64_t *)element;
        return number <= INT64_MAX ? json_integer((json_int_t)number) : NULL;
    }
    case PROTOBUF_C_TYPE_FLOAT:
        return json_real((double)*(const float *)element);
    case PROTOBUF_C_TYPE_DOUBLE:
        return json_real(*(const double *)element);
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(*(const protobuf_c_boolean *)element);
    case PROTOBUF_C_TYPE_ENUM:
        return json_of_enum(field->descriptor, *(const int *)element);
    case PROTOBUF_C_TYPE_STRING:
        return json_string(*(const char *const *)element);
    case PROTOBUF_C_TYPE_BYTES:
        return json_of_bytes(element);
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    UNREACHABLE("a message is no scalar");
}

/* The JSON value of one element; a message becomes an empty object and a frame that fills it. */
static int element_to_json(struct writer *self, const ProtobufCFieldDescriptor *field,
                           const void *element, json_t **ret_json, struct pen_error *err)
{
    bool nested = field->type == PROTOBUF_C_TYPE_MESSAGE;
    if (nested && self->depth == PEN_WIRE_DEPTH_MAX)
        return pen_fail(err, PEN_ELIMIT, "%s: nested deeper than %d", field->name,
                        PEN_WIRE_DEPTH_MAX);
    json_t *json = nested ? json_object() : json_of_scalar(field, element);
    if (!json)
        return pen_fail(err, PEN_EINVAL,
                        "%s: no JSON value for it (not UTF-8, above 2^63, or no memory)",
                        field->name);
    if (nested)
        self->frames[self->depth++] =
            (struct frame){.message = *(const ProtobufCMessage *const *)element, .object = json};
    *ret_json = json;
    return 0;
}

/* Put a map entry into its object. An entry without value has the empty one. */
static int entry_to_json(struct writer *self, const ProtobufCMessage *entry, json_t *object,
                         struct pen_error *err)
{
    const ProtobufCFieldDescriptor *fields = entry->descriptor->fields;
    const char *key = *(const char *const *)member_at(entry, fields[0].offset);
    json_t *value = NULL;
    int rc = 0;
    if (count_of(entry, &fields[1]) == 0)
        value = fields[1].type == PROTOBUF_C_TYPE_MESSAGE ? json_object() : json_string("");
    else
        rc = element_to_json(self, &fields[1], member_at(entry, fields[1].offset), &value, err);
    if (rc < 0)
        return rc;
    if (json_object_set_new(object, key ? key : "", value) < 0)
        return pen_fail(err, PEN_EINVAL, "%s: a key that is not UTF-8, or no memory",
                        entry->descriptor->name);
    return 0;
}

/* One element of the frame's current field into JSON; the frame moves on. */
static int step(struct writer *self, struct pen_error *err)
{
    struct frame *frame = &self->frames[self->depth - 1];
    const ProtobufCMessageDescriptor *type = frame->message->descriptor;
    if (frame->field == type->n_fields) {
        self->depth--;
        return 0;
    }
    const ProtobufCFieldDescriptor *field = &type->fields[frame->field];
    if (frame->element == count_of(frame->message, field)) {
        frame->field++;
        frame->element = 0;
        return 0;
    }
    char name[PEN_WIRE_NAME_MAX];
    pen_wire_member_name(field->name, name);
    json_t *object = frame->object;
    json_t *list = NULL;
    bool map = pen_wire_field_is_map(field);
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        if (frame->element == 0 &&
            json_object_set_new(object, name, map ? json_object() : json_array()) < 0)
            return pen_fail(err, PEN_ENOMEM, "no memory for %s", name);
        list = json_object_get(object, name);
    }
    const void *element = element_at(frame->message, field, frame->element++);
    if (map)
        return entry_to_json(self, *(const ProtobufCMessage *const *)element, list, err);
    json_t *json = NULL;
    int rc = element_to_json(self, field, element, &json, err);
    if (rc < 0)
        return rc;
    rc = list ? json_array_append_new(list, json) : json_object_set_new(object, name, json);
    return rc < 0 ? pen_fail(err, PEN_ENOMEM, "no memory for %s", name) : 0;
}

int pen_wire_to_json(const void *message, json_t **ret_json, struct pen_error *err)
{
    PEN_CLEANUP(json_release) json_t *root = json_object();
    if (!root)
        return pen_fail(err, PEN_ENOMEM, "no memory for JSON");
    struct writer writer = {.depth = 1};
    writer.frames[0] = (struct frame){.message = message, .object = root};
    while (writer.depth > 0) {
        int rc = step(&writer, err);
        if (rc < 0)
            return rc;
    }
    *ret_json = TAKE_PTR(root);
    return 0;
}
