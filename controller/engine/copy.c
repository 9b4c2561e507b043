/* controller/engine/copy.c - deep copies of messages, and their end, field by field
 *
 * A copy is what packing and unpacking would give, at a third of the cost; copying and freeing are
 * most of what a step does beside packing its rows.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/field.h"
#include "controller/engine/memory.h"

static void *copy_by_bytes(const ProtobufCMessage *original)
{
    size_t size = protobuf_c_message_get_packed_size(original);
    uint8_t *bytes = mem_zero(size > 0 ? size : 1);
    protobuf_c_message_pack(original, bytes);
    void *copy = protobuf_c_message_unpack(original->descriptor, NULL, size, bytes);
    CHECK(copy != NULL);
    free(bytes);
    return copy;
}

/* One value; `to` has room for it. */
static void copy_value(ProtobufCType type, const void *from, void *to)
{
    if (type == PROTOBUF_C_TYPE_STRING)
        *(char **)to = mem_text(*(char *const *)from);
    else if (type == PROTOBUF_C_TYPE_MESSAGE)
        *(void **)to = mem_copy(*(void *const *)from);
    else if (type == PROTOBUF_C_TYPE_BYTES)
        *(ProtobufCBinaryData *)to = mem_bytes(*(const ProtobufCBinaryData *)from);
    else
        memcpy(to, from, pen_field_value_size(type));
}

static void copy_repeated(const ProtobufCFieldDescriptor *field, const char *from, char *to)
{
    size_t count = *(const size_t *)(const void *)(from + field->quantifier_offset);
    if (count == 0)
        return;
    size_t size = pen_field_value_size(field->type);
    const char *source = *(const char *const *)(const void *)(from + field->offset);
    char *array = mem_zero(count * size);
    for (size_t i = 0; i < count; i++)
        copy_value(field->type, source + i * size, array + i * size);
    *(size_t *)(void *)(to + field->quantifier_offset) = count;
    *(char **)(void *)(to + field->offset) = array;
}

static void copy_single(const ProtobufCFieldDescriptor *field, const char *from, char *to)
{
    if (!pen_field_is_set(field, from))
        return;
    copy_value(field->type, from + field->offset, to + field->offset);
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
        *(uint32_t *)(void *)(to + field->quantifier_offset) = field->id;
    else if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE)
        *(protobuf_c_boolean *)(void *)(to + field->quantifier_offset) = 1;
}

void *mem_copy(const void *message)
{
    if (message == NULL)
        return NULL;
    const ProtobufCMessage *original = message;
    if (original->n_unknown_fields > 0)
        return copy_by_bytes(original); /* of a newer release: kept as they are */
    const ProtobufCMessageDescriptor *type = original->descriptor;
    void *copy = mem_take(type->sizeof_message);
    type->message_init(copy); /* all of it */
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            copy_repeated(field, message, copy);
        else
            copy_single(field, message, copy);
    }
    return copy;
}

/* ---- the end */

static bool owns_memory(ProtobufCType type)
{
    return type == PROTOBUF_C_TYPE_STRING || type == PROTOBUF_C_TYPE_MESSAGE ||
           type == PROTOBUF_C_TYPE_BYTES;
}

/* Their memory is theirs whether or not they are marked as set. */
static bool is_plain_bytes(const ProtobufCFieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_BYTES &&
           (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0;
}

static void free_value(ProtobufCType type, void *value)
{
    if (type == PROTOBUF_C_TYPE_STRING)
        free(*(char **)value);
    else if (type == PROTOBUF_C_TYPE_MESSAGE)
        mem_free_message(*(void **)value);
    else
        free(((ProtobufCBinaryData *)value)->data);
}

static void free_repeated(const ProtobufCFieldDescriptor *field, char *message)
{
    char *array = *(char **)(void *)(message + field->offset);
    if (array == NULL)
        return;
    size_t count = *(const size_t *)(void *)(message + field->quantifier_offset);
    size_t size = pen_field_value_size(field->type);
    for (size_t i = 0; i < count && owns_memory(field->type); i++)
        free_value(field->type, array + i * size);
    free(array);
}

void mem_free_message(void *message)
{
    if (message == NULL)
        return;
    const ProtobufCMessageDescriptor *type = ((ProtobufCMessage *)message)->descriptor;
    const ProtobufCFieldDescriptor *end = type->fields + type->n_fields;
    for (const ProtobufCFieldDescriptor *field = type->fields; field < end; field++) {
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            free_repeated(field, message);
        else if (owns_memory(field->type) &&
                 (is_plain_bytes(field) || pen_field_is_set(field, message)))
            free_value(field->type, (char *)message + field->offset);
    }
    ProtobufCMessage *base = message;
    for (unsigned i = 0; i < base->n_unknown_fields; i++)
        free(base->unknown_fields[i].data);
    free(base->unknown_fields);
    free(message);
}
