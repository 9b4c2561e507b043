#include <fcntl.h>
#include <stdlib.h>
int pen_open(const char *path)
{
    return open(path, atoi(path));
}
