#include "cli/show.h"

#include <stdio.h>

#include "common/base/cleanup.h"

void pen_show_rows(const struct pen_cli *cli, const json_t *output,
                   const struct pen_listing *listing)
{
    if (cli->json) {
        pen_print_json(output);
        return;
    }
    PEN_CLEANUP(pen_table_release) struct pen_table table = {0};
    size_t columns = 0;
    while (listing->headings[columns] != NULL)
        columns++;
    pen_table_begin(&table, columns, listing->headings, listing->status_column, cli->color);
    size_t index;
    json_t *row;
    json_array_foreach(pen_json_list(output, listing->member), index, row)
        listing->row(row, &table);
    pen_table_print(&table);
}

int pen_show_listing(struct pen_cli *cli, const struct pen_listing *listing, struct pen_error *err)
{
    json_t *output = NULL;
    int rc = pen_cli_call_pages(cli, listing->service, listing->operation, json_object(),
                                listing->member, &output, err);
    if (rc < 0)
        return rc;
    pen_show_rows(cli, output, listing);
    json_decref(output);
    return 0;
}

void pen_show_word(const struct pen_cli *cli, const json_t *output, const char *word)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    if (cli->json) {
        pen_print_json(output);
        return;
    }
    pen_text_clean(word, &text);
    if (text.size > 0)
        (void)puts(pen_buf_text(&text));
}

int pen_show_member(struct pen_cli *cli, enum pen_service service, const char *operation,
                    json_t *input, const char *of, const char *member, struct pen_error *err)
{
    json_t *output = NULL;
    int rc = pen_cli_call(cli, service, operation, input, &output, err);
    if (rc < 0)
        return rc;
    pen_show_word(cli, output,
                  pen_json_text(of == NULL ? output : json_object_get(output, of), member));
    json_decref(output);
    return 0;
}
