#include <fcntl.h>
#include <zmq.h>
#include "common/base/text.h"
int pen_file(const char *path)
{
    return open(path, O_CLOEXEC);
}
