#include "common/base/id.h"

#include <string.h>

static bool dash_at(size_t position)
{
    return position == 8 || position == 13 || position == 18 || position == 23;
}

void pen_uuid(struct pen_prng *prng, char ret_text[PEN_UUID_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[16];
    pen_prng_bytes(prng, bytes, sizeof bytes);
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    size_t position = 0;
    for (size_t i = 0; i < sizeof bytes; i++) {
        if (dash_at(position))
            ret_text[position++] = '-';
        ret_text[position++] = digits[bytes[i] >> 4];
        ret_text[position++] = digits[bytes[i] & 0x0f];
    }
    ret_text[position] = '\0';
}

bool pen_uuid_valid(const char *text)
{
    if (text == NULL || strlen(text) != PEN_UUID_TEXT_SIZE - 1)
        return false;
    for (size_t i = 0; text[i] != '\0'; i++) {
        bool hex = strchr("0123456789abcdefABCDEF", text[i]) != NULL;
        if (dash_at(i) ? text[i] != '-' : !hex)
            return false;
    }
    return true;
}
