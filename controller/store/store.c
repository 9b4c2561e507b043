#include "controller/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/io/file.h"
#include "common/wire/wire.h"
#include "controller/store/backend.h"

struct pen_store {
    int lock_fd;
    struct pen_backend *backend;
    struct pen_buf body; /* of the fact that is being packed; kept for its memory */
};

/* The lock belongs to the open file, so it ends with the process and refuses a second open in the
 * same process, too. */
static int lock_folder(const char *dir, int *ret_fd, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    pen_buf_printf(&path, "%s/penstock.lock", dir);
    int code = pen_buf_ok(&path, err);
    if (code < 0)
        return code;
    PEN_CLEANUP(pen_fd_close) int fd = -1;
    code = pen_file_open(pen_buf_text(&path), O_RDWR | O_CREAT, 0600, &fd, err);
    if (code < 0)
        return code;
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EINTR)
            continue;
        if (errno == EWOULDBLOCK)
            return pen_fail(err, PEN_ECONFLICT, "another controller runs on '%s'", dir);
        return pen_fail_errno(err, "cannot lock '%s'", pen_buf_text(&path));
    }
    *ret_fd = fd;
    fd = -1;
    return 0;
}

int pen_store_open(const char *dir, struct pen_store **ret_store, struct pen_error *err)
{
    PEN_CLEANUP(pen_store_close) struct pen_store *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "store: no memory");
    self->lock_fd = -1;
    int code = lock_folder(dir, &self->lock_fd, err);
    if (code < 0)
        return code;
    code = pen_backend_open(dir, true, &self->backend, err);
    if (code < 0)
        return code;
    *ret_store = TAKE_PTR(self);
    return 0;
}

void pen_store_close(struct pen_store **self_p)
{
    struct pen_store *self = *self_p;
    *self_p = NULL;
    if (self == NULL)
        return;
    pen_backend_close(&self->backend);
    pen_fd_close(&self->lock_fd); /* last: nobody may open the database before it is closed */
    pen_buf_release(&self->body);
    free(self);
}

struct load {
    int (*each)(void *context, Pen__RowKind kind, const uint8_t *body, size_t size,
                struct pen_error *err);
    void *context;
};

static int load_one(void *context, const struct pen_backend_item *item, struct pen_error *err)
{
    const struct load *load = context;
    return load->each(load->context, (Pen__RowKind)item->number, item->body, item->body_size, err);
}

int pen_store_load_live(struct pen_store *self,
                        int (*each)(void *context, Pen__RowKind kind, const uint8_t *body,
                                    size_t size, struct pen_error *err),
                        void *context, struct pen_error *err)
{
    struct load load = {each, context};
    return pen_backend_live(self->backend, load_one, &load, err);
}

static int put_fact(struct pen_store *self, const Pen__Fact *fact, struct pen_error *err)
{
    pen_buf_clear(&self->body);
    int code = pen_wire_pack(fact, &self->body, err);
    if (code < 0)
        return code;
    struct pen_backend_fact columns = {
        .seq = fact->seq,
        .at_ms = fact->at_ms,
        .pipeline = fact->pipeline,
        .execution = fact->execution_id,
        .body = self->body.data,
        .body_size = self->body.size,
    };
    return pen_backend_put_fact(self->backend, &columns, err);
}

int pen_store_commit(struct pen_store *self, const struct pen_engine_out *out,
                     struct pen_error *err)
{
    if (out->facts_count == 0 && out->rows_count == 0)
        return 0;
    int code = pen_backend_begin(self->backend, err);
    for (size_t i = 0; code == 0 && i < out->facts_count; i++)
        code = put_fact(self, out->facts[i], err);
    for (size_t i = 0; code == 0 && i < out->rows_count; i++)
        code = pen_backend_put_row(self->backend, &out->rows[i], err);
    if (code < 0) {
        pen_backend_rollback(self->backend);
        return code;
    }
    return pen_backend_commit(self->backend, err);
}

/* Every kind of row that belongs to an execution. */
static const Pen__RowKind parts_of_execution[] = {
    PEN__ROW_KIND__ROW_STAGE_EXECUTION, PEN__ROW_KIND__ROW_ACTION_EXECUTION,
    PEN__ROW_KIND__ROW_ATTEMPT,         PEN__ROW_KIND__ROW_RULE_EXECUTION,
    PEN__ROW_KIND__ROW_RULE_WORK,       PEN__ROW_KIND__ROW_JOB,
    PEN__ROW_KIND__ROW_EXECUTION,
};

static int purge_rows(struct pen_store *self, const char *execution_id, size_t limit,
                      size_t *ret_count, struct pen_error *err)
{
    size_t done = 0;
    size_t kinds = sizeof parts_of_execution / sizeof parts_of_execution[0];
    for (size_t i = 0; i < kinds && done < limit; i++) {
        size_t count = 0;
        int code = pen_backend_purge(self->backend, (int)parts_of_execution[i], execution_id,
                                     limit - done, &count, err);
        if (code < 0)
            return code;
        done += count;
    }
    *ret_count = done;
    return 0;
}

int pen_store_purge(struct pen_store *self, const char *execution_id, size_t limit,
                    uint64_t *ret_rows, uint64_t *ret_facts, bool *ret_left, struct pen_error *err)
{
    CHECK(limit >= 1);
    size_t rows = 0;
    size_t facts = 0;
    int code = pen_backend_begin(self->backend, err);
    if (code == 0)
        code = purge_rows(self, execution_id, limit, &rows, err);
    if (code == 0)
        code = pen_backend_purge(self->backend, 0, execution_id, limit, &facts, err);
    if (code < 0) {
        pen_backend_rollback(self->backend);
        return code;
    }
    if ((code = pen_backend_commit(self->backend, err)) < 0)
        return code;
    *ret_rows += rows;
    *ret_facts += facts;
    *ret_left = rows == limit || facts == limit;
    return 0;
}

int pen_store_checkpoint(struct pen_store *self, struct pen_error *err)
{
    return pen_backend_checkpoint(self->backend, err);
}
