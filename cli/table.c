/* Tables, of the interface in text.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/text.h"
#include "common/base/check.h"
#include "common/base/cleanup.h"

enum { COLUMNS_MAX = 16 };

void pen_table_begin(struct pen_table *self, size_t columns, const char *const *headings,
                     size_t status_column, bool color)
{
    CHECK(columns > 0 && columns <= COLUMNS_MAX);
    *self = (struct pen_table){.columns = columns, .status_column = status_column, .color = color};
    for (size_t i = 0; i < columns; i++)
        pen_table_cell(self, headings[i]);
}

void pen_table_cell(struct pen_table *self, const char *text)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf clean = {0};
    pen_text_clean(text == NULL || text[0] == 0 ? "-" : text, &clean);
    if (self->count == self->capacity && !self->failed) {
        size_t capacity = self->capacity == 0 ? 64 : self->capacity * 2;
        char **cells = reallocarray(self->cells, capacity, sizeof *cells);
        if (cells != NULL) {
            self->cells = cells;
            self->capacity = capacity;
        }
        self->failed = cells == NULL;
    }
    char *cell = self->failed ? NULL : pen_buf_take_text(&clean);
    self->failed = cell == NULL;
    if (cell != NULL)
        self->cells[self->count++] = cell;
}

void pen_table_number(struct pen_table *self, int64_t number)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, number);
    pen_table_cell(self, text);
}

void pen_table_time(struct pen_table *self, int64_t ms)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_text_time(ms, &text);
    pen_table_cell(self, pen_buf_text(&text));
}

static void row_print(const struct pen_table *self, size_t row, const size_t *widths)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf line = {0};
    for (size_t i = 0; i < self->columns; i++) {
        const char *cell = self->cells[row * self->columns + i];
        size_t used = pen_text_width(cell);
        pen_text_status(cell, self->color && row > 0 && i == self->status_column, &line);
        for (; i + 1 < self->columns && used < widths[i] + 2; used++)
            pen_buf_putc(&line, ' ');
    }
    (void)puts(pen_buf_text(&line));
}

void pen_table_print(const struct pen_table *self)
{
    size_t widths[COLUMNS_MAX] = {0};
    size_t rows = self->count / self->columns;
    for (size_t i = 0; i < rows * self->columns; i++) {
        size_t width = pen_text_width(self->cells[i]);
        if (width > widths[i % self->columns])
            widths[i % self->columns] = width;
    }
    for (size_t row = 0; row < rows; row++)
        row_print(self, row, widths);
}

void pen_table_release(struct pen_table *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->cells[i]);
    free(self->cells);
    *self = (struct pen_table){0};
}
