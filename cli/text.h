/* cli/text.h - what comes from the controller, made fit for a person's terminal
 *
 * Names, messages and log lines are outside input: none of their control characters reaches the
 * terminal, unless a log is asked for with --raw.
 */
#ifndef PEN_CLI_TEXT_H
#define PEN_CLI_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"

/* ---- members of JSON objects; a missing one, or one of another kind, is "", 0, false, NULL */

const char *pen_json_text(const json_t *object, const char *name);
int64_t pen_json_number(const json_t *object, const char *name);
bool pen_json_flag(const json_t *object, const char *name);
json_t *pen_json_list(const json_t *object, const char *name); /* borrowed; NULL has no elements */

/* A time member (seconds with a fraction) in milliseconds; 0 when it is missing. */
int64_t pen_json_time_ms(const json_t *object, const char *name);

/* ---- text */

/* Append text in one line: control characters become blanks, bytes that are not UTF-8 '?'. */
void pen_text_clean(const char *text, struct pen_buf *ret_text);

/* Append a line of a log (without its newline) as a terminal would end up showing it: escape
 * sequences and control characters are left out, '\r' starts the line anew, tabs stay. */
void pen_text_clean_log(const char *bytes, size_t size, struct pen_buf *ret_text);

/* How many of the first bytes of a line read the same whatever follows: less than size when it ends
 * in the middle of a character or of an escape sequence. */
size_t pen_text_log_settled(const char *bytes, size_t size);

/* Columns that valid UTF-8 text takes, one a character. */
size_t pen_text_width(const char *text);

/* "2026-11-23T00:39:54Z", or "-" for 0. */
void pen_text_time(int64_t ms, struct pen_buf *ret_text);

/* "3m12s ago", or "-" for 0. */
void pen_text_age(int64_t ms, int64_t now_ms, struct pen_buf *ret_text);

/* Append text in the colour of a status (Succeeded green, Failed red, InProgress yellow...). */
void pen_text_status(const char *status, bool color, struct pen_buf *ret_text);

/* ---- tables: columns under headings, as wide as they have to be */

struct pen_table {
    size_t columns;
    size_t status_column; /* this one is coloured; columns or more: none */
    bool color;
    char **cells; /* heading first */
    size_t count;
    size_t capacity;
    bool failed;
};

/* headings: as many as columns. */
void pen_table_begin(struct pen_table *self, size_t columns, const char *const *headings,
                     size_t status_column, bool color);

/* Add the next cell, cleaned; "" and NULL show as "-". */
void pen_table_cell(struct pen_table *self, const char *text);
void pen_table_number(struct pen_table *self, int64_t number);
void pen_table_time(struct pen_table *self, int64_t ms);

/* Print to standard output what was added; complete rows only. */
void pen_table_print(const struct pen_table *self);
void pen_table_release(struct pen_table *self);

/* Print JSON to standard output, as it came. */
void pen_print_json(const json_t *json);

#endif
