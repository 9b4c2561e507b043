/* controller/services/read.h - rows by name, with the API's own "not found" errors
 *
 * Rows are the caller's, to be freed with pen_message_destroy (PEN_CLEANUP works).
 */
#ifndef PEN_CONTROLLER_SERVICES_READ_H
#define PEN_CONTROLLER_SERVICES_READ_H

#include "controller/services/call.h"

/* Errors: PipelineNotFoundException. */
int pen_read_pipeline(const struct pen_call *call, const char *name, Pen__PipelineRow **ret_row,
                      struct pen_error *err);

/* Errors: PipelineVersionNotFoundException. */
int pen_read_version(const struct pen_call *call, const char *name, int32_t version,
                     Pen__PipelineVersionRow **ret_row, struct pen_error *err);

/* Whether it ran by this pipeline, and not by a deleted one that had the same name. */
bool pen_execution_is_of(const Pen__PipelineRow *pipeline, const Pen__ExecutionRow *row);

/* An execution of this pipeline. Errors: PipelineExecutionNotFoundException. */
int pen_read_execution(const struct pen_call *call, const Pen__PipelineRow *pipeline,
                       const char *id, Pen__ExecutionRow **ret_row, struct pen_error *err);

/* A row that need not be there: *ret_row (pointer to a row pointer) is then NULL. */
int pen_read_optional(const struct pen_call *call, Pen__RowKind kind, const char *key,
                      void *ret_row, struct pen_error *err);

/* What ran or is to run on an agent under this id: an action execution, or the work of a rule
 * execution. NULL when there is neither. */
int pen_read_work(const struct pen_call *call, const char *id, Pen__ActionExecutionRow **ret_row,
                  struct pen_error *err);

int pen_read_stage_state(const struct pen_call *call, const char *pipeline, const char *stage,
                         Pen__StageStateRow **ret_row, struct pen_error *err);
int pen_read_stage_execution(const struct pen_call *call, const char *execution_id,
                             const char *stage, Pen__StageExecutionRow **ret_row,
                             struct pen_error *err);

/* The pipeline's latest execution: PipelineExecutionNotFoundException when it has none. */
int pen_read_latest_execution(const struct pen_call *call, const Pen__PipelineRow *pipeline,
                              Pen__ExecutionRow **ret_row, struct pen_error *err);

/* Copies of rows, as many as a list query finds. */
struct pen_rows {
    ProtobufCMessage **rows;
    size_t count;
    size_t capacity;
};
void pen_rows_release(struct pen_rows *self);

/* Keeps what fits into one page: at most limit rows, and at least one when there are any. True when
 * more follow. */
bool pen_rows_keep_page(struct pen_rows *self, size_t limit);

/* Errors: as pen_reader_list. */
int pen_read_list(const struct pen_call *call, const struct pen_list_query *query,
                  struct pen_rows *ret_rows, struct pen_error *err);

#endif
