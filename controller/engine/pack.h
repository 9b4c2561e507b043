/* controller/engine/pack.h - messages as bytes, written in one walk from the end
 *
 *     room:  [ free ............ | tag length ( fields of a part ) | later fields ]
 *                                 <- grows to the left
 *
 * What stands before a part is its length, known once the part is written; so writing from the end
 * needs no walk beforehand to find the lengths. The bytes are those of protobuf_c_message_pack, to
 * the last one: stored rows do not change (a test compares).
 */
#ifndef PEN_CONTROLLER_ENGINE_PACK_H
#define PEN_CONTROLLER_ENGINE_PACK_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

/* All zero to begin with. Keeps its room from one message to the next: as much as the largest one
 * took. */
struct packer {
    uint8_t *room;
    size_t size;
    uint8_t *first; /* of the bytes that are written, up to the end of `room` */
};

/* The message's bytes, valid until the next call. */
ProtobufCBinaryData packer_pack(struct packer *self, const ProtobufCMessage *message);

void packer_release(struct packer *self);

#endif
