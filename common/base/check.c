#include "common/base/check.h"

#include <stdio.h>
#include <stdlib.h>

void pen_check_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "penstock: internal check failed: %s at %s:%d\n", condition, file, line);
    abort();
}
