#include <stdio.h>
#include <stdlib.h>
void pen_print(const char *text)
{
    puts(text);
    exit(1);
}
