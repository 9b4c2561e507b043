/* common/base/field.h - the fields of a protobuf message, by its descriptor
 *
 * What copying, freeing, packing and JSON ask of every field of every message: so it is inlined.
 */
#ifndef PEN_COMMON_BASE_FIELD_H
#define PEN_COMMON_BASE_FIELD_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that one value of the type takes in a message or in an array. */
static inline size_t pen_field_value_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4; /* whole numbers of 32 bits, enums, float */
    }
}

/* Whether a field that is not repeated has a value. */
static inline bool pen_field_is_set(const ProtobufCFieldDescriptor *field, const char *message)
{
    const void *value = message + field->offset;
    const void *quantifier = message + field->quantifier_offset;
    bool one_of = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    if (one_of && *(const uint32_t *)quantifier != field->id)
        return false;
    if (field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(const void *const *)value != NULL &&
               *(const void *const *)value != field->default_value;
    if (one_of || field->label != PROTOBUF_C_LABEL_OPTIONAL)
        return true;
    return *(const protobuf_c_boolean *)quantifier != 0;
}

#endif
