#include "controller/services/read.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/wire/wire.h"
#include "controller/services/page.h"

int pen_read_optional(const struct pen_call *call, Pen__RowKind kind, const char *key,
                      void *ret_row, struct pen_error *err)
{
    ProtobufCMessage *row = NULL;
    int rc = pen_reader_get(call->services->reader, kind, key, &row, err);
    if (rc < 0 && rc != PEN_ENOTFOUND)
        return rc;
    memcpy(ret_row, &row, sizeof row);
    return 0;
}

int pen_read_work(const struct pen_call *call, const char *id, Pen__ActionExecutionRow **ret_row,
                  struct pen_error *err)
{
    Pen__ActionExecutionRow *row = NULL;
    int rc = pen_read_optional(call, PEN__ROW_KIND__ROW_ACTION_EXECUTION, id, &row, err);
    if (rc == 0 && row == NULL)
        rc = pen_read_optional(call, PEN__ROW_KIND__ROW_RULE_WORK, id, &row, err);
    if (rc == 0)
        *ret_row = row;
    return rc;
}

int pen_read_pipeline(const struct pen_call *call, const char *name, Pen__PipelineRow **ret_row,
                      struct pen_error *err)
{
    int rc = pen_read_optional(call, PEN__ROW_KIND__ROW_PIPELINE, name, ret_row, err);
    if (rc == 0 && *ret_row == NULL)
        return pen_fail_api(err, PEN_ENOTFOUND, "PipelineNotFoundException",
                            "Account '%s' does not have a pipeline with name '%s'",
                            call->services->account, name);
    return rc;
}

int pen_read_version(const struct pen_call *call, const char *name, int32_t version,
                     Pen__PipelineVersionRow **ret_row, struct pen_error *err)
{
    PEN_CLEANUP(pen_free) char *key = pen_strdup_printf("%s/%" PRId32, name, version);
    if (key == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a key");
    int rc = pen_read_optional(call, PEN__ROW_KIND__ROW_PIPELINE_VERSION, key, ret_row, err);
    if (rc == 0 && (*ret_row == NULL || (*ret_row)->declaration == NULL))
        return pen_fail_api(err, PEN_ENOTFOUND, "PipelineVersionNotFoundException",
                            "Pipeline '%s' has no version %" PRId32, name, version);
    return rc;
}

static int no_execution(struct pen_error *err, const char *pipeline, const char *id)
{
    return pen_fail_api(err, PEN_ENOTFOUND, "PipelineExecutionNotFoundException",
                        "Pipeline '%s' has no execution with id '%s'", pipeline, id);
}

bool pen_execution_is_of(const Pen__PipelineRow *pipeline, const Pen__ExecutionRow *row)
{
    return pen_str_equal(row->pipeline, pipeline->name) && row->order > pipeline->created_order &&
           row->started_ms >= pipeline->created_ms;
}

int pen_read_execution(const struct pen_call *call, const Pen__PipelineRow *pipeline,
                       const char *id, Pen__ExecutionRow **ret_row, struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__ExecutionRow *row = NULL;
    int rc = pen_read_optional(call, PEN__ROW_KIND__ROW_EXECUTION, id, &row, err);
    if (rc < 0)
        return rc;
    if (row == NULL || !pen_execution_is_of(pipeline, row))
        return no_execution(err, pipeline->name, id);
    *ret_row = TAKE_PTR(row);
    return 0;
}

static int read_pair(const struct pen_call *call, Pen__RowKind kind, const char *first,
                     const char *second, void *ret_row, struct pen_error *err)
{
    PEN_CLEANUP(pen_free) char *key = pen_strdup_printf("%s/%s", first, second);
    if (key == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a key");
    return pen_read_optional(call, kind, key, ret_row, err);
}

int pen_read_stage_state(const struct pen_call *call, const char *pipeline, const char *stage,
                         Pen__StageStateRow **ret_row, struct pen_error *err)
{
    return read_pair(call, PEN__ROW_KIND__ROW_STAGE_STATE, pipeline, stage, ret_row, err);
}

int pen_read_stage_execution(const struct pen_call *call, const char *execution_id,
                             const char *stage, Pen__StageExecutionRow **ret_row,
                             struct pen_error *err)
{
    return read_pair(call, PEN__ROW_KIND__ROW_STAGE_EXECUTION, execution_id, stage, ret_row, err);
}

int pen_read_latest_execution(const struct pen_call *call, const Pen__PipelineRow *pipeline,
                              Pen__ExecutionRow **ret_row, struct pen_error *err)
{
    const struct pen_list_query query = {.kind = PEN__ROW_KIND__ROW_EXECUTION,
                                         .pipeline = pipeline->name,
                                         .after_order = pipeline->created_order,
                                         .limit = 1};
    PEN_CLEANUP(pen_rows_release) struct pen_rows rows = {0};
    int rc = pen_read_list(call, &query, &rows, err);
    if (rc < 0)
        return rc;
    if (rows.count == 0)
        return pen_fail_api(err, PEN_ENOTFOUND, "PipelineExecutionNotFoundException",
                            "Pipeline '%s' has not run yet", pipeline->name);
    *ret_row = (Pen__ExecutionRow *)TAKE_PTR(rows.rows[0]);
    return 0;
}

void pen_rows_release(struct pen_rows *self)
{
    for (size_t i = 0; i < self->count; i++)
        pen_message_destroy(&self->rows[i]);
    free(self->rows);
    *self = (struct pen_rows){0};
}

bool pen_rows_keep_page(struct pen_rows *self, size_t limit)
{
    size_t bytes = 0;
    size_t count = 0;
    while (count < self->count && count < limit) {
        bytes += protobuf_c_message_get_packed_size(self->rows[count]);
        if (count > 0 && bytes > PEN_PAGE_ROWS_BYTES)
            break;
        count++;
    }
    bool more = self->count > count;
    while (self->count > count)
        pen_message_destroy(&self->rows[--self->count]);
    return more;
}

static int keep(void *context, const char *key, const ProtobufCMessage *row, struct pen_error *err)
{
    (void)key;
    struct pen_rows *rows = context;
    if (rows->count == rows->capacity) {
        size_t capacity = rows->capacity == 0 ? 16 : rows->capacity * 2;
        ProtobufCMessage **larger = realloc(rows->rows, capacity * sizeof(ProtobufCMessage *));
        if (larger == NULL)
            return pen_fail(err, PEN_ENOMEM, "no memory for %zu rows", capacity);
        rows->rows = larger;
        rows->capacity = capacity;
    }
    int rc = pen_wire_copy(row, &rows->rows[rows->count], err);
    if (rc == 0)
        rows->count++;
    return rc;
}

int pen_read_list(const struct pen_call *call, const struct pen_list_query *query,
                  struct pen_rows *ret_rows, struct pen_error *err)
{
    return pen_reader_list(call->services->reader, query, keep, ret_rows, err);
}
