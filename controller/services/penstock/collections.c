/* StartCollection, GetCollection */
#include <inttypes.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/wire/wire.h"
#include "controller/services/output.h"
#include "controller/services/penstock/penstock.h"
#include "controller/services/read.h"

static int started(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err)
{
    (void)err;
    pen_put_string(call, pen_output(call), "collectionId", reply->id);
    return 0;
}

int pen_start_collection(struct pen_call *call, struct pen_error *err)
{
    Pen__StartCollection *start = NULL;
    Pen__Input *input = pen_input_new(PEN__INPUT__WHAT_START_COLLECTION,
                                      &pen__start_collection__descriptor, &start);
    if (input != NULL) {
        start->has_dry_run = true;
        start->dry_run = pen_in_boolean(call->input, "dryRun", false);
    }
    return pen_call_post(call, input, started, err);
}

static void put_pipelines(struct pen_call *call, json_t *object,
                          const Pen__CollectionReport *report)
{
    json_t *list = pen_put_list(call, object, "pipelines");
    for (size_t i = 0; i < report->n_pipelines; i++) {
        const Pen__CollectedPipeline *line = report->pipelines[i];
        json_t *pipeline = pen_add_object(call, list);
        pen_put_string(call, pipeline, "pipelineName", line->pipeline);
        pen_put_boolean(call, pipeline, "deleted", line->deleted);
        pen_put_integer(call, pipeline, "executions", (int64_t)line->executions);
        pen_put_integer(call, pipeline, "logs", (int64_t)line->logs);
        pen_put_integer(call, pipeline, "logBytes", (int64_t)line->log_bytes);
        pen_put_integer(call, pipeline, "artifacts", (int64_t)line->artifacts);
    }
}

static void put_report(struct pen_call *call, json_t *object, const Pen__CollectionReport *report)
{
    pen_put_integer(call, object, "executions", (int64_t)report->executions);
    pen_put_integer(call, object, "logs", (int64_t)report->logs);
    pen_put_integer(call, object, "logBytes", (int64_t)report->log_bytes);
    pen_put_integer(call, object, "artifacts", (int64_t)report->artifacts);
    pen_put_integer(call, object, "blobs", (int64_t)report->blobs);
    pen_put_integer(call, object, "blobBytes", (int64_t)report->blob_bytes);
    pen_put_integer(call, object, "youngBlobs", (int64_t)report->blobs_young);
    pen_put_integer(call, object, "mirrors", (int64_t)report->mirrors);
    pen_put_integer(call, object, "mirrorBytes", (int64_t)report->mirror_bytes);
    pen_put_integer(call, object, "agents", (int64_t)report->agents);
    pen_put_boolean(call, object, "more", report->more);
    pen_put_string(call, object, "error", report->error);
    put_pipelines(call, object, report);
}

static void put_collection(struct pen_call *call, const Pen__CollectionRow *row)
{
    char id[24];
    (void)snprintf(id, sizeof id, "%" PRIu64, row->number);
    json_t *object = pen_put_object(call, pen_output(call), "collection");
    const char *status = !row->has_ended_ms                                  ? "InProgress"
                         : row->report != NULL && row->report->error != NULL ? "Failed"
                                                                             : "Succeeded";
    pen_put_string(call, object, "collectionId", id);
    pen_put_boolean(call, object, "dryRun", row->dry_run);
    pen_put_string(call, object, "status", status);
    pen_put_time(call, object, "startedAt", row->started_ms);
    pen_put_time(call, object, "endedAt", row->ended_ms);
    pen_put_string(call, object, "startedBy", row->started_by);
    if (row->report != NULL)
        put_report(call, object, row->report);
}

/* Only the latest is known. */
static int find(struct pen_call *call, Pen__CollectionRow **ret_row, struct pen_error *err)
{
    const char *id = pen_in_string(call->input, "collectionId");
    PEN_CLEANUP(pen_message_destroy) Pen__CollectionRow *row = NULL;
    int rc = pen_read_optional(call, PEN__ROW_KIND__ROW_COLLECTION, "main", &row, err);
    if (rc < 0)
        return rc;
    if (row == NULL)
        return pen_fail_api(err, PEN_ENOTFOUND, "ResourceNotFoundException",
                            "There was no collection yet.");
    if (id != NULL && strtoull(id, NULL, 10) != row->number)
        return pen_fail_api(err, PEN_ENOTFOUND, "ResourceNotFoundException",
                            "Collection '%s' is not known; the latest one is '%" PRIu64 "'.", id,
                            row->number);
    *ret_row = TAKE_PTR(row);
    return 0;
}

int pen_get_collection(struct pen_call *call, struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__CollectionRow *row = NULL;
    int rc = find(call, &row, err);
    if (rc < 0)
        return rc;
    CHECK(row != NULL);
    int64_t wait_s = pen_in_integer(call->input, "waitSeconds", 0);
    if (!row->has_ended_ms && wait_s > 0 && !call->waited_out) {
        call->wait_ms = wait_s * 1000;
        call->wait.wanted = true; /* for any commit */
        return 0;
    }
    put_collection(call, row);
    return 0;
}
