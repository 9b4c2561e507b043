/* common/wire/wire_internal.h - what the files of this folder share; not for others */
#ifndef PEN_COMMON_WIRE_WIRE_INTERNAL_H
#define PEN_COMMON_WIRE_WIRE_INTERNAL_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/wire/wire.h"

enum {
    PEN_WIRE_DEPTH_MAX = 32, /* of any message of proto/; the deepest is 9 */
    PEN_WIRE_NAME_MAX = 96,  /* of a field name, with its zero */
};

/* Walk the bytes as protobuf_c would, without allocating anything. Errors: PEN_EINVAL, PEN_ELIMIT.
 */
int pen_wire_scan(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t size,
                  const struct pen_wire_limits *limits, struct pen_error *err);

/* run_order -> runOrder. */
void pen_wire_member_name(const char *field_name, char ret_name[PEN_WIRE_NAME_MAX]);

/* The field is a protobuf map: a repeated message named ...Entry with a string key 1 and a value 2.
 */
bool pen_wire_field_is_map(const ProtobufCFieldDescriptor *field);

/* base64 with padding, as the JSON mapping of protobuf and the AWS API have it. */
void pen_wire_base64_encode(const uint8_t *bytes, size_t size, struct pen_buf *ret_text);
int pen_wire_base64_decode(const char *text, size_t size, struct pen_buf *ret_bytes,
                           struct pen_error *err);

#endif
