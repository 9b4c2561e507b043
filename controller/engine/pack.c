#include "controller/engine/pack.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/field.h"

/* SHORT: what a number, a length or a tag takes at most, and a few of them together. */
enum { FIRST_ROOM = 4096, SHORT = 32, VARINT_MORE = 0x80, VARINT_BITS = 7, WIRE_TYPE_BITS = 3 };

/* ---- bytes, from the end */

static size_t used(const struct packer *self)
{
    return (size_t)(self->room + self->size - self->first);
}

static void grow(struct packer *self, size_t count)
{
    size_t kept = self->size == 0 ? 0 : used(self);
    size_t size = self->size == 0 ? FIRST_ROOM : 2 * self->size;
    while (size - kept < count)
        size *= 2;
    uint8_t *room = malloc(size);
    if (room == NULL)
        UNREACHABLE("out of memory; the store has the truth, a restart loads it");
    if (kept > 0)
        memcpy(room + size - kept, self->first, kept);
    free(self->room);
    self->room = room;
    self->size = size;
    self->first = room + size - kept;
}

/* Make room for so many bytes before the first. */
static inline void reserve(struct packer *self, size_t count)
{
    if ((size_t)(self->first - self->room) < count)
        grow(self, count);
}

static void put_bytes(struct packer *self, const void *bytes, size_t size)
{
    if (size == 0)
        return;
    reserve(self, size);
    CHECK(self->first != NULL);
    self->first -= size;
    memcpy(self->first, bytes, size);
}

/* There is room. */
static inline void put_varint(struct packer *self, uint64_t value)
{
    if (value < VARINT_MORE) {
        *--self->first = (uint8_t)value;
        return;
    }
    unsigned bits = 64 - (unsigned)__builtin_clzll(value);
    self->first -= (bits + VARINT_BITS - 1) / VARINT_BITS;
    uint8_t *place = self->first;
    for (; value >= VARINT_MORE; value >>= VARINT_BITS)
        *place++ = (uint8_t)(value | VARINT_MORE);
    *place = (uint8_t)value;
}

/* There is room. */
static inline void put_tag(struct packer *self, uint32_t id, unsigned wire)
{
    put_varint(self, (uint64_t)id << WIRE_TYPE_BITS | wire);
}

/* There is room. */
static void put_little_endian(struct packer *self, uint64_t value, size_t size)
{
    self->first -= size;
    for (size_t i = 0; i < size; i++)
        self->first[i] = (uint8_t)(value >> (8 * i));
}

/* ---- values */

static void put_message(struct packer *self, const ProtobufCMessage *message);

static uint32_t read_32(const void *value)
{
    return *(const uint32_t *)value;
}

static uint64_t read_64(const void *value)
{
    return *(const uint64_t *)value;
}

/* Most of a row is texts. */
static inline void put_text(struct packer *self, const char *text)
{
    size_t size = text == NULL ? 0 : strlen(text);
    reserve(self, size + SHORT);
    self->first -= size;
    if (size > 0)
        memcpy(self->first, text, size);
    put_varint(self, size);
}

/* What stands behind its length. */
static void put_counted(struct packer *self, ProtobufCType type, const void *value)
{
    size_t end = used(self);
    if (type == PROTOBUF_C_TYPE_BYTES) {
        const ProtobufCBinaryData *bytes = value;
        put_bytes(self, bytes->data, bytes->len);
    } else {
        const ProtobufCMessage *part = *(const ProtobufCMessage *const *)value;
        if (part != NULL)
            put_message(self, part);
    }
    reserve(self, SHORT);
    put_varint(self, used(self) - end);
}

/* The value alone; says how it is written. There is room for its tag. */
static inline ProtobufCWireType put_value(struct packer *self, ProtobufCType type,
                                          const void *value)
{
    reserve(self, SHORT);
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
        put_text(self, *(const char *const *)value);
        return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        put_counted(self, type, value);
        return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM: /* below zero: as if it had 64 bits */
        put_varint(self, (uint64_t)(int64_t)(int32_t)read_32(value));
        return PROTOBUF_C_WIRE_TYPE_VARINT;
    case PROTOBUF_C_TYPE_UINT32:
        put_varint(self, read_32(value));
        return PROTOBUF_C_WIRE_TYPE_VARINT;
    case PROTOBUF_C_TYPE_SINT32:
        put_varint(self, (read_32(value) << 1) ^ (0 - (read_32(value) >> 31)));
        return PROTOBUF_C_WIRE_TYPE_VARINT;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        put_varint(self, read_64(value));
        return PROTOBUF_C_WIRE_TYPE_VARINT;
    case PROTOBUF_C_TYPE_SINT64:
        put_varint(self, (read_64(value) << 1) ^ (0 - (read_64(value) >> 63)));
        return PROTOBUF_C_WIRE_TYPE_VARINT;
    case PROTOBUF_C_TYPE_BOOL:
        put_varint(self, *(const protobuf_c_boolean *)value != 0);
        return PROTOBUF_C_WIRE_TYPE_VARINT;
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        put_little_endian(self, read_32(value), 4);
        return PROTOBUF_C_WIRE_TYPE_32BIT;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        put_little_endian(self, read_64(value), 8);
        return PROTOBUF_C_WIRE_TYPE_64BIT;
    }
    UNREACHABLE("a field of no known type");
}

/* ---- fields */

static inline void put_tagged(struct packer *self, const ProtobufCFieldDescriptor *field,
                              const void *value)
{
    ProtobufCWireType wire = put_value(self, field->type, value);
    put_tag(self, field->id, wire);
}

/* There is one at least. */
static void put_repeated(struct packer *self, const ProtobufCFieldDescriptor *field,
                         const char *message)
{
    size_t count = *(const size_t *)(const void *)(message + field->quantifier_offset);
    const char *array = *(const char *const *)(const void *)(message + field->offset);
    size_t size = pen_field_value_size(field->type);
    bool together = (field->flags & PROTOBUF_C_FIELD_FLAG_PACKED) != 0;
    size_t end = used(self);
    for (size_t i = count; i-- > 0;)
        if (together)
            (void)put_value(self, field->type, array + i * size);
        else
            put_tagged(self, field, array + i * size);
    if (together) {
        reserve(self, SHORT);
        put_varint(self, used(self) - end);
        put_tag(self, field->id, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED);
    }
}

/* Fields that this release does not know stand behind all others, as they were read. */
static inline void put_unknown(struct packer *self, const ProtobufCMessage *message)
{
    for (unsigned i = message->n_unknown_fields; i-- > 0;) {
        const ProtobufCMessageUnknownField *field = &message->unknown_fields[i];
        put_bytes(self, field->data, field->len);
        reserve(self, SHORT);
        put_tag(self, field->tag, field->wire_type);
    }
}

static void put_message(struct packer *self, const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    const char *bytes = (const char *)message;
    put_unknown(self, message);
    for (unsigned i = type->n_fields; i-- > 0;) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            if (*(const size_t *)(const void *)(bytes + field->quantifier_offset) > 0)
                put_repeated(self, field, bytes);
        } else if (pen_field_is_set(field, bytes)) {
            put_tagged(self, field, bytes + field->offset);
        }
    }
}

ProtobufCBinaryData packer_pack(struct packer *self, const ProtobufCMessage *message)
{
    self->first = self->size == 0 ? NULL : self->room + self->size;
    reserve(self, SHORT);
    put_message(self, message);
    return (ProtobufCBinaryData){.len = used(self), .data = self->first};
}

void packer_release(struct packer *self)
{
    free(self->room);
    *self = (struct packer){0};
}
