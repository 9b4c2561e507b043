/* cli/tail.h - growing text on an output whose last line may have no end yet
 *
 * What stands in that line is remembered: when it only grew, the rest is added to it; when it is
 * another one, or a '\r' of the log started it again, it is taken away (on a terminal) or ended.
 */
#ifndef PEN_CLI_TAIL_H
#define PEN_CLI_TAIL_H

#include <stdbool.h>

#include "common/base/buf.h"

struct pen_tail {
    bool terminal;       /* a line can be taken away again */
    bool open;           /* the last line has no end */
    const void *owner;   /* who has written it */
    struct pen_buf part; /* and what of it may still change */
};

void pen_tail_release(struct pen_tail *self);

/* Append to ret_out what has to be written so that text (lines, and perhaps a piece that is final)
 * and then part (the line that may still change) follow what the owner has shown before. */
void pen_tail_put(struct pen_tail *self, const void *owner, const struct pen_buf *text,
                  const struct pen_buf *part, struct pen_buf *ret_out);

/* End the last line, if it has no end, so that something else can be written. */
void pen_tail_end(struct pen_tail *self, struct pen_buf *ret_out);

#endif
