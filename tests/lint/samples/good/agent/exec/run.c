#include <unistd.h>
#include "common/io/file.h"
int pen_run(void)
{
    return fork();
}
