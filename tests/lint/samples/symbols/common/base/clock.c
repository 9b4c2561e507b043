#include <string.h>
int getpid(void);
long pen_sneaky(const char *text)
{
    return getpid() + (long)strlen(text);
}
