/* cli/screen.h - lines that stay, above a few lines that change
 *
 * Without a terminal there are only lines that stay.
 */
#ifndef PEN_CLI_SCREEN_H
#define PEN_CLI_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"

struct pen_screen {
    bool live;          /* lines at the bottom are drawn again and again */
    size_t drawn_lines; /* of them stand there now */
};

/* live: standard output is a terminal that can move its cursor. */
void pen_screen_begin(struct pen_screen *self, bool live);

/* Print text (whole lines) above the changing ones; they are gone until the next draw. */
void pen_screen_print(struct pen_screen *self, const char *text);

/* Draw the changing lines: text of whole lines without escape codes, each cut to the terminal's
 * width; at most a third of its height. */
void pen_screen_draw(struct pen_screen *self, const char *text);

/* Take the changing lines away. */
void pen_screen_clear(struct pen_screen *self);

#endif
