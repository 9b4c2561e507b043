#include "common/wire/wire_internal.h"

#include "common/base/check.h"
#include "common/base/str.h"

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct level {
    const ProtobufCMessageDescriptor *type;
    const uint8_t *end;
};

struct scan {
    const uint8_t *start;
    const uint8_t *cursor;
    const struct pen_wire_limits *limits;
    size_t fields;
    unsigned depth; /* levels in use */
    struct level levels[PEN_WIRE_DEPTH_MAX];
};

static const struct level *top_of(const struct scan *self)
{
    return &self->levels[self->depth - 1];
}

static size_t left_of(const struct scan *self)
{
    return (size_t)(top_of(self)->end - self->cursor);
}

static int fail_at(const struct scan *self, struct pen_error *err, const char *reason)
{
    return pen_fail(err, PEN_EINVAL, "%s: %s at byte %zu", top_of(self)->type->name, reason,
                    (size_t)(self->cursor - self->start));
}

static int read_varint(struct scan *self, uint64_t *ret_value, struct pen_error *err)
{
    uint64_t value = 0;
    size_t left = left_of(self);
    for (unsigned i = 0; i < 10; i++) {
        if (i >= left)
            return fail_at(self, err, "a number is cut off");
        uint8_t byte = self->cursor[i];
        if (i == 9 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80)) {
            self->cursor += i + 1;
            *ret_value = value;
            return 0;
        }
    }
    return fail_at(self, err, "a number is longer than 64 bits");
}

static int count_field(struct scan *self, struct pen_error *err)
{
    if (++self->fields > self->limits->fields_max)
        return pen_fail(err, PEN_ELIMIT, "%s: more than %zu fields", self->levels[0].type->name,
                        self->limits->fields_max);
    return 0;
}

static enum wire_type wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_32;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_BYTES;
    default:
        return WIRE_VARINT;
    }
}

/* Repeated numbers may come packed: each of them counts as a field. */
static int scan_packed(struct scan *self, const ProtobufCFieldDescriptor *field, size_t size,
                       struct pen_error *err)
{
    const uint8_t *end = self->cursor + size;
    enum wire_type type = wire_type_of(field->type);
    size_t fixed = type == WIRE_32 ? 4 : type == WIRE_64 ? 8 : 0;
    if (fixed && size % fixed != 0)
        return fail_at(self, err, "a packed list has a broken length");
    while (self->cursor < end) {
        int rc = count_field(self, err);
        if (rc < 0)
            return rc;
        uint64_t ignored;
        if (fixed)
            self->cursor += fixed;
        else if ((rc = read_varint(self, &ignored, err)) < 0)
            return rc;
        if (self->cursor > end)
            return fail_at(self, err, "a packed number passes the end of its list");
    }
    return 0;
}

/* A length and what it announces; a known message is entered, not skipped. */
static int scan_bytes(struct scan *self, const ProtobufCFieldDescriptor *field,
                      struct pen_error *err)
{
    uint64_t size = 0;
    int rc = read_varint(self, &size, err);
    if (rc < 0)
        return rc;
    if (size > left_of(self))
        return fail_at(self, err, "a length passes the end");
    const uint8_t *start = self->cursor;
    if (field && field->type == PROTOBUF_C_TYPE_MESSAGE) {
        if (self->depth >= self->limits->depth_max)
            return pen_fail(err, PEN_ELIMIT, "%s: nested deeper than %u",
                            self->levels[0].type->name, self->limits->depth_max);
        self->levels[self->depth++] = (struct level){
            .type = (const ProtobufCMessageDescriptor *)field->descriptor, .end = start + size};
        return 0;
    }
    if (field && wire_type_of(field->type) != WIRE_BYTES)
        return scan_packed(self, field, (size_t)size, err);
    if (field && field->type == PROTOBUF_C_TYPE_STRING && !pen_utf8_valid(start, (size_t)size))
        return pen_fail(err, PEN_EINVAL, "%s.%s: not UTF-8 text without zero bytes",
                        top_of(self)->type->name, field->name);
    self->cursor += size;
    return 0;
}

static int scan_field(struct scan *self, struct pen_error *err)
{
    uint64_t tag = 0;
    int rc = count_field(self, err);
    if (rc < 0 || (rc = read_varint(self, &tag, err)) < 0)
        return rc;
    uint64_t number = tag >> 3;
    unsigned type = (unsigned)(tag & 7);
    if (number == 0 || number > 0x1fffffff)
        return fail_at(self, err, "no such field number");
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(top_of(self)->type, (unsigned)number);
    bool packed = field && type == WIRE_BYTES && field->label == PROTOBUF_C_LABEL_REPEATED;
    if (field && type != (unsigned)wire_type_of(field->type) && !packed)
        return pen_fail(err, PEN_EINVAL, "%s.%s: wire type %u does not fit",
                        top_of(self)->type->name, field->name, type);
    uint64_t ignored;
    switch (type) {
    case WIRE_VARINT:
        return read_varint(self, &ignored, err);
    case WIRE_BYTES:
        return scan_bytes(self, field, err);
    case WIRE_64:
    case WIRE_32: {
        size_t size = type == WIRE_64 ? 8 : 4;
        if (left_of(self) < size)
            return fail_at(self, err, "a number is cut off");
        self->cursor += size;
        return 0;
    }
    default:
        return fail_at(self, err, "an unknown wire type");
    }
}

int pen_wire_scan(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t size,
                  const struct pen_wire_limits *limits, struct pen_error *err)
{
    CHECK(limits->depth_max >= 1);
    CHECK(limits->depth_max <= PEN_WIRE_DEPTH_MAX);
    if (size > limits->size_max)
        return pen_fail(err, PEN_ELIMIT, "%s: %zu bytes are more than %zu", type->name, size,
                        limits->size_max);
    if (size == 0)
        return 0;
    struct scan scan = {.start = bytes, .cursor = bytes, .limits = limits, .depth = 1};
    scan.levels[0] = (struct level){.type = type, .end = bytes + size};
    while (scan.depth > 0) {
        if (left_of(&scan) == 0) {
            scan.depth--;
            continue;
        }
        int rc = scan_field(&scan, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}
