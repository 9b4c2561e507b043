/* WatchExecution: the facts of one execution after a sequence, now or when there are some */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/wire/wire.h"
#include "controller/services/codepipeline/names.h"
#include "controller/services/output.h"
#include "controller/services/penstock/fact_text.h"
#include "controller/services/penstock/penstock.h"
#include "controller/services/read.h"

enum { FACTS_MAX = 500 }; /* in one answer */

struct facts {
    Pen__Fact *items[FACTS_MAX];
    size_t count;
};

static void facts_release(struct facts *self)
{
    for (size_t i = 0; i < self->count; i++)
        pen_message_destroy(&self->items[i]);
}

static int keep(void *context, const Pen__Fact *fact, struct pen_error *err)
{
    struct facts *facts = context;
    if (facts->count == FACTS_MAX)
        return 1;
    ProtobufCMessage *copy = NULL;
    int rc = pen_wire_copy(fact, &copy, err);
    if (rc == 0)
        facts->items[facts->count++] = (Pen__Fact *)copy;
    return rc;
}

/* The names behind an id or fence, which the fact does not repeat. */
static int find_action(struct pen_call *call, const struct pen_fact_subject *subject,
                       Pen__ActionExecutionRow **ret_row, struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__AttemptRow *attempt = NULL;
    const char *id = subject->action_execution_id;
    if (subject->fence != 0) {
        char key[24];
        (void)snprintf(key, sizeof key, "%020" PRIu64, subject->fence);
        int rc = pen_read_optional(call, PEN__ROW_KIND__ROW_ATTEMPT, key, &attempt, err);
        if (rc < 0)
            return rc;
        id = attempt == NULL ? NULL : attempt->action_execution_id;
    }
    return id == NULL ? 0 : pen_read_work(call, id, ret_row, err);
}

/* The stage at whose gate it waits: by its name, which the fact tells by position only. */
static int name_gate(struct pen_call *call, const Pen__ExecutionRow *execution,
                     const Pen__Fact *fact, struct pen_buf *text, struct pen_error *err)
{
    if (fact->what_case != PEN__FACT__WHAT_EXECUTION_WAITING)
        return 0;
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineVersionRow *version = NULL;
    int rc =
        pen_read_version(call, execution->pipeline, execution->pipeline_version, &version, err);
    uint32_t index = fact->execution_waiting->stage_index;
    if (rc == 0 && index < version->declaration->n_stages)
        pen_buf_printf(text, " of stage %s", version->declaration->stages[index]->name);
    return rc == PEN_ENOTFOUND ? 0 : rc; /* deleted while it is watched */
}

static int put_fact(struct pen_call *call, json_t *list, const Pen__ExecutionRow *execution,
                    const Pen__Fact *fact, struct pen_error *err)
{
    struct pen_fact_subject subject;
    pen_fact_subject(fact, &subject);
    PEN_CLEANUP(pen_message_destroy) Pen__ActionExecutionRow *row = NULL;
    int rc = find_action(call, &subject, &row, err);
    if (rc < 0)
        return rc;
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_fact_text(fact, &text);
    if ((rc = name_gate(call, execution, fact, &text, err)) < 0)
        return rc;
    if ((rc = pen_buf_ok(&text, err)) < 0)
        return rc;
    json_t *item = pen_add_object(call, list);
    pen_put_integer(call, item, "sequence", (int64_t)fact->seq);
    pen_put_time(call, item, "time", fact->at_ms);
    pen_put_string(call, item, "kind", pen_fact_kind(fact));
    pen_put_string(call, item, "stage", row != NULL ? row->stage : subject.stage);
    pen_put_string(call, item, "action", row != NULL ? row->action : subject.action);
    pen_put_string(call, item, "text", pen_buf_text(&text));
    return 0;
}

static bool has_ended(const Pen__ExecutionRow *row)
{
    return row->status != PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS &&
           row->status != PEN__EXECUTION_STATUS__EXECUTION_STOPPING;
}

/* Stand by for a commit that changes this execution, or any ("" ). False: the time is over. */
static bool wait_for(struct pen_call *call, const char *execution_id)
{
    int64_t wait_s = pen_in_integer(call->input, "waitSeconds", 0);
    if (wait_s == 0 || call->waited_out)
        return false;
    call->wait_ms = wait_s * 1000;
    call->wait.wanted = true;
    (void)pen_str_copy(call->wait.execution_id, sizeof call->wait.execution_id, execution_id);
    return true;
}

static int put_view(struct pen_call *call, const Pen__ExecutionRow *row, uint64_t after,
                    const struct facts *facts, struct pen_error *err)
{
    json_t *output = pen_output(call);
    pen_put_string(call, output, "executionId", row->id);
    pen_put_string(call, output, "status", pen_execution_status_name(row->status));
    uint64_t last = facts->count > 0 ? facts->items[facts->count - 1]->seq : after;
    pen_put_integer(call, output, "lastSequence", (int64_t)last);
    json_t *list = pen_put_list(call, output, "facts");
    for (size_t i = 0; i < facts->count; i++) {
        int rc = put_fact(call, list, row, facts->items[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int find_execution(struct pen_call *call, Pen__ExecutionRow **ret_row, struct pen_error *err)
{
    const char *name = pen_in_string(call->input, "pipelineName");
    const char *id = pen_in_string(call->input, "executionId");
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineRow *pipeline = NULL;
    int rc = pen_read_pipeline(call, name, &pipeline, err);
    if (rc < 0)
        return rc;
    if (id != NULL)
        return pen_read_execution(call, pipeline, id, ret_row, err);
    rc = pen_read_latest_execution(call, pipeline, ret_row, err);
    return rc == PEN_ENOTFOUND && wait_for(call, "") ? 0 : rc;
}

int pen_watch_execution(struct pen_call *call, struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__ExecutionRow *row = NULL;
    int rc = find_execution(call, &row, err);
    if (rc < 0 || row == NULL)
        return rc;
    uint64_t after = (uint64_t)pen_in_integer(call->input, "afterSequence", 0);
    PEN_CLEANUP(facts_release) struct facts facts = {.count = 0};
    rc = pen_reader_facts(call->services->reader, row->pipeline, row->id, after, FACTS_MAX, keep,
                          &facts, err);
    if (rc < 0)
        return rc;
    if (facts.count == 0 && !has_ended(row) && wait_for(call, row->id))
        return 0;
    return put_view(call, row, after, &facts, err);
}
