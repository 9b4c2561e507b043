#include "cli/screen.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void pen_screen_begin(struct pen_screen *self, bool live)
{
    *self = (struct pen_screen){.live = live};
}

void pen_screen_clear(struct pen_screen *self)
{
    if (self->drawn_lines > 0)
        (void)printf("\x1b[%zuA\x1b[J", self->drawn_lines);
    self->drawn_lines = 0;
    (void)fflush(stdout);
}

void pen_screen_print(struct pen_screen *self, const char *text)
{
    pen_screen_clear(self);
    (void)fputs(text, stdout);
    (void)fflush(stdout);
}

/* Bytes of the first `width` characters of a line of `size` bytes. */
static size_t cut(const char *line, size_t size, size_t width)
{
    size_t at = 0;
    size_t columns = 0;
    while (at < size) {
        bool begins = ((uint8_t)line[at] & 0xC0) != 0x80;
        if (begins && columns == width)
            break;
        columns += begins ? 1 : 0;
        at++;
    }
    return at;
}

void pen_screen_draw(struct pen_screen *self, const char *text)
{
    if (!self->live)
        return;
    struct winsize size = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 2 || size.ws_row < 3)
        size = (struct winsize){.ws_row = 24, .ws_col = 80};
    pen_screen_clear(self);
    while (*text != 0 && self->drawn_lines < size.ws_row / 3u) {
        size_t length = strcspn(text, "\n");
        (void)printf("%.*s\n", (int)cut(text, length, size.ws_col - 1u), text);
        self->drawn_lines++;
        text += length + (text[length] == '\n' ? 1 : 0);
    }
    (void)fflush(stdout);
}
