#include "common/wire/wire_internal.h"

#include <string.h>

#include "common/base/check.h"

void pen_wire_member_name(const char *field_name, char ret_name[PEN_WIRE_NAME_MAX])
{
    size_t out = 0;
    bool upper = false;
    for (const char *in = field_name; *in; in++) {
        if (*in == '_') {
            upper = true;
            continue;
        }
        CHECK(out + 1 < PEN_WIRE_NAME_MAX);
        ret_name[out++] = upper && *in >= 'a' && *in <= 'z' ? (char)(*in - 'a' + 'A') : *in;
        upper = false;
    }
    ret_name[out] = '\0';
}

bool pen_wire_field_is_map(const ProtobufCFieldDescriptor *field)
{
    if (field->label != PROTOBUF_C_LABEL_REPEATED || field->type != PROTOBUF_C_TYPE_MESSAGE)
        return false;
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    size_t size = strlen(entry->name);
    if (size < 5 || strcmp(entry->name + size - 5, "Entry") != 0 || entry->n_fields != 2)
        return false;
    return entry->fields[0].id == 1 && entry->fields[1].id == 2 &&
           entry->fields[0].type == PROTOBUF_C_TYPE_STRING &&
           strcmp(entry->fields[0].name, "key") == 0 && strcmp(entry->fields[1].name, "value") == 0;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void pen_wire_base64_encode(const uint8_t *bytes, size_t size, struct pen_buf *ret_text)
{
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t group = (uint32_t)bytes[i] << 16;
        if (left > 1)
            group |= (uint32_t)bytes[i + 1] << 8;
        if (left > 2)
            group |= bytes[i + 2];
        const char text[4] = {base64_digits[group >> 18], base64_digits[group >> 12 & 63],
                              left > 1 ? base64_digits[group >> 6 & 63] : '=',
                              left > 2 ? base64_digits[group & 63] : '='};
        pen_buf_append(ret_text, text, sizeof text);
    }
}

static int digit_of(char c)
{
    const char *at = c ? strchr(base64_digits, c) : NULL;
    return at ? (int)(at - base64_digits) : -1;
}

int pen_wire_base64_decode(const char *text, size_t size, struct pen_buf *ret_bytes,
                           struct pen_error *err)
{
    if (size % 4 != 0)
        return pen_fail(err, PEN_EINVAL, "base64 of a broken length");
    for (size_t i = 0; i < size; i += 4) {
        size_t padding = 0;
        if (i + 4 == size && text[i + 3] == '=')
            padding = text[i + 2] == '=' ? 2 : 1;
        uint32_t group = 0;
        for (size_t k = 0; k < 4; k++) {
            int digit = k >= 4 - padding ? 0 : digit_of(text[i + k]);
            if (digit < 0)
                return pen_fail(err, PEN_EINVAL, "not base64");
            group = group << 6 | (uint32_t)digit;
        }
        const uint8_t bytes[3] = {(uint8_t)(group >> 16), (uint8_t)(group >> 8), (uint8_t)group};
        if ((padding == 1 && bytes[2]) || (padding == 2 && (bytes[1] || bytes[2])))
            return pen_fail(err, PEN_EINVAL, "not base64");
        pen_buf_append(ret_bytes, bytes, 3 - padding);
    }
    return 0;
}
