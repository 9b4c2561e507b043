#include "cli/tail.h"

#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"

void pen_tail_release(struct pen_tail *self)
{
    pen_buf_release(&self->part);
}

void pen_tail_end(struct pen_tail *self, struct pen_buf *ret_out)
{
    if (self->open)
        pen_buf_putc(ret_out, '\n');
    self->open = false;
    pen_buf_clear(&self->part);
}

void pen_tail_put(struct pen_tail *self, const void *owner, const struct pen_buf *text,
                  const struct pen_buf *part, struct pen_buf *ret_out)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf all = {0};
    pen_buf_append(&all, text->data, text->size);
    pen_buf_append(&all, part->data, part->size);
    if (all.size == 0)
        return;
    size_t shown = self->part.size;
    bool same = self->owner == owner;
    if (same && pen_str_starts_with(pen_buf_text(&all), pen_buf_text(&self->part))) {
        pen_buf_append(ret_out, pen_buf_text(&all) + shown, all.size - shown);
    } else {
        if (self->open && same && self->terminal)
            pen_buf_puts(ret_out, "\r\x1b[K");
        else
            pen_tail_end(self, ret_out);
        pen_buf_append(ret_out, pen_buf_text(&all), all.size);
    }
    self->open = all.data[all.size - 1] != '\n';
    self->owner = owner;
    pen_buf_clear(&self->part);
    pen_buf_append(&self->part, part->data, part->size);
}
