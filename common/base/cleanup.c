#include "common/base/cleanup.h"

#include <stdlib.h>
#include <string.h>

void pen_free(void *pointer_to_pointer)
{
    void *memory;
    memcpy(&memory, pointer_to_pointer, sizeof memory);
    free(memory);
    memset(pointer_to_pointer, 0, sizeof memory);
}
