/* Frames as agents send them: the first byte says on which plane, the rest is the frame.
 *
 * Whatever comes, unpacking ends with a message or an error of its contract; and a message that was
 * taken survives being packed and unpacked once more, and has a JSON form.
 */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "agent.pb-c.h"
#include "common/base/check.h"
#include "common/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const ProtobufCMessage *message, const struct pen_wire_limits *limits)
{
    struct pen_buf packed = {0};
    ProtobufCMessage *copy = NULL;
    json_t *json = NULL;
    CHECK(pen_wire_pack(message, &packed, NULL) == 0);
    if (packed.size <= limits->size_max)
        CHECK(pen_wire_unpack(message->descriptor, packed.data, packed.size, limits, &copy, NULL) ==
              0);
    pen_message_destroy(&copy);
    pen_buf_release(&packed);
    if (pen_wire_to_json(message, &json, NULL) == 0)
        json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const bool bulk = data[0] == 'd';
    const struct pen_wire_limits *limits = bulk ? &pen_wire_bulk : &pen_wire_control;
    const ProtobufCMessageDescriptor *type =
        bulk ? &pen__data_from_agent__descriptor : &pen__from_agent__descriptor;
    struct pen_error err;
    ProtobufCMessage *message = NULL;
    int rc = pen_wire_unpack(type, data + 1, size - 1, limits, &message, &err);
    CHECK(rc == 0 || rc == PEN_ELIMIT || rc == PEN_EINVAL || rc == PEN_ENOMEM);
    CHECK((rc == 0) == (message != NULL));
    if (message != NULL)
        again(message, limits);
    pen_message_destroy(&message);
    return 0;
}
