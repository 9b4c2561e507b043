#include "common/wire/wire.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/wire/wire_internal.h"

const struct pen_wire_limits pen_wire_control = {
    .size_max = 256 * 1024, .fields_max = 4096, .depth_max = 8};
const struct pen_wire_limits pen_wire_bulk = {
    .size_max = 1024 * 1024, .fields_max = 8192, .depth_max = 8};
/* Fields: a manifest of the largest size has 1.2 million. */
const struct pen_wire_limits pen_wire_stored = {
    .size_max = 64 * 1024 * 1024, .fields_max = 4 * 1024 * 1024, .depth_max = 16};

/* An unpacked message may take this many times its bytes, and this much besides: real messages take
 * below 20 times, lists of empty messages could take 100 times. */
enum { GROWTH_RATIO_MAX = 32, GROWTH_FREE = 64 * 1024 };

struct budget {
    size_t left;
    bool spent;
};

static void *budget_allocate(void *data, size_t size)
{
    struct budget *budget = data;
    if (size > budget->left) {
        budget->spent = true;
        return NULL;
    }
    budget->left -= size;
    return malloc(size ? size : 1);
}

static void budget_free(void *data, void *memory)
{
    (void)data;
    free(memory);
}

int pen_wire_unpack(const ProtobufCMessageDescriptor *type, const void *bytes, size_t size,
                    const struct pen_wire_limits *limits, ProtobufCMessage **ret_message,
                    struct pen_error *err)
{
    static const uint8_t nothing[1];
    const uint8_t *start = size ? bytes : nothing;
    int rc = pen_wire_scan(type, start, size, limits, err);
    if (rc < 0)
        return rc;
    struct budget budget = {.left = size * GROWTH_RATIO_MAX + GROWTH_FREE};
    ProtobufCAllocator allocator = {
        .alloc = budget_allocate, .free = budget_free, .allocator_data = &budget};
    ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, size, start);
    if (!message && budget.spent)
        return pen_fail(err, PEN_ELIMIT, "%s: %zu bytes would take more than %d times that memory",
                        type->name, size, GROWTH_RATIO_MAX);
    if (!message)
        return pen_fail(err, PEN_EINVAL, "%s: cannot be unpacked", type->name);
    *ret_message = message;
    return 0;
}

int pen_wire_pack(const void *message, struct pen_buf *ret_bytes, struct pen_error *err)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *room = pen_buf_reserve(ret_bytes, size);
    if (!room)
        return pen_fail(err, PEN_ENOMEM, "no memory for %zu bytes of a message", size);
    pen_buf_added(ret_bytes, protobuf_c_message_pack(message, room));
    return 0;
}

int pen_wire_copy(const void *message, ProtobufCMessage **ret_copy, struct pen_error *err)
{
    const ProtobufCMessage *original = message;
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    int rc = pen_wire_pack(message, &bytes, err);
    if (rc < 0)
        return rc;
    static const uint8_t nothing[1];
    ProtobufCMessage *copy = protobuf_c_message_unpack(original->descriptor, NULL, bytes.size,
                                                       bytes.size ? bytes.data : nothing);
    if (!copy)
        return pen_fail(err, PEN_ENOMEM, "no memory to copy a %s", original->descriptor->name);
    *ret_copy = copy;
    return 0;
}

void pen_message_destroy(void *message_p)
{
    ProtobufCMessage *message;
    memcpy(&message, message_p, sizeof message);
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
    memset(message_p, 0, sizeof message);
}
