#include "common/base/text.h"
#include <string.h>
size_t pen_text_size(const char *text)
{
    return strlen(text) + strlen("strcpy(a, b)");
}
