#include <stddef.h>
size_t pen_text_size(const char *text); /* strcpy(a, b) in a comment is no call */
