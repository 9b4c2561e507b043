/* CreateRepository, ListRepositories, DeleteRepository */
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/wire/wire.h"
#include "controller/artifacts/layout.h"
#include "controller/services/output.h"
#include "controller/services/page.h"
#include "controller/services/penstock/penstock.h"
#include "controller/services/read.h"

enum { REPOSITORIES_PAGE_MAX = 1000 };

static void put_repository(struct pen_call *call, json_t *repository, const char *name,
                           int64_t created_ms)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    pen_layout_repository(call->services->dir, name, &path);
    if (pen_buf_ok(&path, NULL) < 0)
        call->out_of_memory = true;
    pen_put_string(call, repository, "name", name);
    pen_put_string(call, repository, "path", pen_buf_text(&path));
    pen_put_time(call, repository, "createdAt", created_ms);
}

static int repository_made(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err)
{
    (void)err;
    put_repository(call, pen_put_object(call, pen_output(call), "repository"),
                   pen_in_string(call->input, "name"),
                   reply->has_at_ms ? reply->at_ms : call->now_ms);
    return 0;
}

int pen_create_repository(struct pen_call *call, struct pen_error *err)
{
    const char *name = pen_in_string(call->input, "name");
    if (pen_str_ends_with(name, ".git"))
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "Repository name '%s' must not end in .git", name);
    Pen__CreateRepository *create = NULL;
    Pen__Input *input = pen_input_new(PEN__INPUT__WHAT_CREATE_REPOSITORY,
                                      &pen__create_repository__descriptor, &create);
    if (input != NULL && !pen_str_set(&create->name, name))
        pen_message_destroy(&input);
    return pen_call_post(call, input, repository_made, err);
}

int pen_delete_repository(struct pen_call *call, struct pen_error *err)
{
    Pen__DeleteRepository *delete = NULL;
    Pen__Input *input = pen_input_new(PEN__INPUT__WHAT_DELETE_REPOSITORY,
                                      &pen__delete_repository__descriptor, &delete);
    if (input != NULL && !pen_str_set(&delete->name, pen_in_string(call->input, "name")))
        pen_message_destroy(&input);
    return pen_call_post(call, input, pen_reply_nothing, err);
}

int pen_list_repositories(struct pen_call *call, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf after = {0};
    int rc = pen_page_get(call, "", &after, err);
    if (rc < 0)
        return rc;
    size_t size = pen_page_size(call, REPOSITORIES_PAGE_MAX);
    const struct pen_list_query query = {.kind = PEN__ROW_KIND__ROW_REPOSITORY,
                                         .after_key = after.size > 0 ? pen_buf_text(&after) : NULL,
                                         .limit = size + 1};
    PEN_CLEANUP(pen_rows_release) struct pen_rows rows = {0};
    if ((rc = pen_read_list(call, &query, &rows, err)) < 0)
        return rc;
    json_t *list = pen_put_list(call, pen_output(call), "repositories");
    for (size_t i = 0; i < rows.count && i < size; i++) {
        const Pen__RepositoryRow *row = (const Pen__RepositoryRow *)rows.rows[i];
        put_repository(call, pen_add_object(call, list), row->name, row->created_ms);
    }
    if (rows.count > size)
        pen_page_put(call, "", ((const Pen__RepositoryRow *)rows.rows[size - 1])->name);
    return 0;
}
