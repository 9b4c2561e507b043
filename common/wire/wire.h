/* common/wire/wire.h - checked protobuf and JSON for any message of proto/
 *
 * Unpacking scans before it allocates: size, depth, number of fields. JSON follows the descriptor:
 * field `run_order` is member "runOrder", a map entry list is an object, bytes are base64, absent
 * stays absent.
 */
#ifndef PEN_COMMON_WIRE_WIRE_H
#define PEN_COMMON_WIRE_WIRE_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"

/* Limits for bytes that come from outside. */
struct pen_wire_limits {
    size_t size_max;   /* bytes */
    size_t fields_max; /* fields in all, at any depth */
    unsigned depth_max;
};

extern const struct pen_wire_limits
    pen_wire_control; /* a control frame: 256 KiB, 4,096 fields, depth 8 */
extern const struct pen_wire_limits pen_wire_bulk; /* a data frame: 1 MiB, 8,192 fields, depth 8 */
extern const struct pen_wire_limits pen_wire_stored; /* what we wrote ourselves: 64 MiB */

/* Scan, then unpack. The caller frees *ret_message with pen_message_destroy.
 * Errors: PEN_ELIMIT, PEN_EINVAL (not a message of this type), PEN_ENOMEM. */
int pen_wire_unpack(const ProtobufCMessageDescriptor *type, const void *bytes, size_t size,
                    const struct pen_wire_limits *limits, ProtobufCMessage **ret_message,
                    struct pen_error *err);

/* Append the packed message. Errors: PEN_ENOMEM. */
int pen_wire_pack(const void *message, struct pen_buf *ret_bytes, struct pen_error *err);

/* A deep copy. Errors: PEN_ENOMEM. */
int pen_wire_copy(const void *message, ProtobufCMessage **ret_copy, struct pen_error *err);

/* Free any message made by unpack, copy or from_json, or built by hand from malloc and strdup.
 * Usable with PEN_CLEANUP on a pointer to any message type. */
void pen_message_destroy(void *message_p);

/* Message to JSON (a new reference) and back. In from_json an unknown member is ignored, a member
 * of the wrong kind is PEN_EINVAL with its path: "pipeline.stages[0].name: expected a string". */
int pen_wire_to_json(const void *message, json_t **ret_json, struct pen_error *err);
int pen_wire_from_json(const ProtobufCMessageDescriptor *type, json_t *json, const char *path,
                       ProtobufCMessage **ret_message, struct pen_error *err);

/* Parse JSON text from outside: at most size_max bytes, depth 32, no duplicate member, valid UTF-8.
 * Errors: PEN_ELIMIT, PEN_EINVAL (with line and column). */
int pen_json_parse(const void *bytes, size_t size, size_t size_max, json_t **ret_json,
                   struct pen_error *err);
/* Parse any JSON text that RFC 8259 allows, as git servers send it: at most
 * PEN_LIMIT_HOOK_BODY_BYTES with PEN_LIMIT_HOOK_VALUES values, depth 512. What our texts cannot
 * hold is kept readable: NUL and half a surrogate become U+FFFD, and a number out of range becomes
 * the string of its digits. Of a member that comes twice the last one counts. Errors: as above. */
int pen_json_parse_any(const void *bytes, size_t size, json_t **ret_json, struct pen_error *err);

#endif
