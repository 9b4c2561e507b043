/* cli/show.h - an answer on standard output: the API's own JSON, or what a person wants of it */
#ifndef PEN_CLI_SHOW_H
#define PEN_CLI_SHOW_H

#include <jansson.h>

#include "cli/cli.h"
#include "cli/text.h"
#include "common/base/error.h"

/* A list that an operation gives, as a table. */
struct pen_listing {
    enum pen_service service;
    const char *operation;
    const char *member;                                      /* the list's name in the answer */
    const char *const *headings;                             /* ends with NULL */
    size_t status_column;                                    /* as of pen_table_begin */
    void (*row)(const json_t *row, struct pen_table *table); /* puts a cell for each heading */
};

/* Call the operation, page by page, and show all it gives. Errors: as pen_cli_call_pages. */
int pen_show_listing(struct pen_cli *cli, const struct pen_listing *listing, struct pen_error *err);

/* Show an answer that is there already. */
void pen_show_rows(const struct pen_cli *cli, const json_t *output,
                   const struct pen_listing *listing);

/* Show one word of the answer alone on its line, so that scripts can take it; "": no line. */
void pen_show_word(const struct pen_cli *cli, const json_t *output, const char *word);

/* Call an operation and show this member of its answer, or of the object `of` in it (NULL: the
 * answer itself). Takes over the reference to input. Errors: as pen_cli_call. */
int pen_show_member(struct pen_cli *cli, enum pen_service service, const char *operation,
                    json_t *input, const char *of, const char *member, struct pen_error *err);

#endif
