#include <string.h>
int pen_copy(char *to, const char *from, const char *secret)
{
    strcpy(to, from);
    system(from);
    return memcmp(to, secret, 8);
}
