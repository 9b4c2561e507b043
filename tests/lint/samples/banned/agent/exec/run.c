#include <fcntl.h>
#include <unistd.h>
int pen_run(struct link *link)
{
    link->open(link);
    return fork() + open("/", 0) + socket(1, 2, 3) + pipe(0);
}
