/* Facts about webhooks, pull requests that triggers may want, and polling. */
#include <stdlib.h>
#include <string.h>

#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/apply.h"

void bytes_append(ProtobufCBinaryData **list, size_t *count, ProtobufCBinaryData bytes)
{
    ProtobufCBinaryData *longer = mem_zero((*count + 1) * sizeof *longer);
    if (*count > 0)
        memcpy(longer, *list, *count * sizeof *longer);
    free(*list);
    longer[*count] = mem_bytes(bytes);
    *list = longer;
    (*count)++;
}

/* Add what tells a delivery; the oldest go, so that a row never grows without end. */
static void remember_deliveries(ProtobufCBinaryData **list, size_t *count, size_t new_count,
                                const ProtobufCBinaryData *new_ones)
{
    for (size_t i = 0; i < new_count; i++) {
        if (*count == PEN_LIMIT_DELIVERIES_REMEMBERED) {
            free((*list)[0].data);
            (*count)--;
            memmove(*list, *list + 1, *count * sizeof **list);
        }
        bytes_append(list, count, new_ones[i]);
    }
}

static int corrupt(struct pen_error *err, const Pen__Fact *fact, const char *why)
{
    return pen_fail(err, PEN_ECORRUPT, "fact %llu: %s", (unsigned long long)fact->seq, why);
}

/* ---- webhooks */

int apply_webhook_put(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__WebhookRow *row = fact->webhook_put->webhook;
    if (row == NULL || row->name == NULL)
        return corrupt(err, fact, "a webhook without a name");
    struct webhook *webhook = pen_map_get(&engine->webhooks, pen_key_text(row->name));
    if (webhook == NULL) {
        entity_touch(engine, entity_add(engine, PEN__ROW_KIND__ROW_WEBHOOK, mem_copy(row)));
        return 0;
    }
    mem_free_message(webhook->row);
    webhook->row = mem_copy(row);
    webhook->entity.message = (ProtobufCMessage *)webhook->row;
    entity_touch(engine, &webhook->entity);
    return 0;
}

int apply_webhook_deleted(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const char *name = fact->webhook_deleted->name;
    struct webhook *webhook =
        name == NULL ? NULL : pen_map_remove(&engine->webhooks, pen_key_text(name));
    if (webhook == NULL)
        return corrupt(err, fact, "a webhook is deleted that is not there");
    entity_retire(engine, &webhook->entity, true);
    return 0;
}

int apply_webhook_triggered(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__WebhookTriggered *body = fact->webhook_triggered;
    struct webhook *webhook =
        body->name == NULL ? NULL : pen_map_get(&engine->webhooks, pen_key_text(body->name));
    if (webhook == NULL)
        return corrupt(err, fact, "a webhook triggers that is not there");
    SET(webhook->row, triggered_ms, fact->at_ms);
    remember_deliveries(&webhook->row->deliveries, &webhook->row->n_deliveries, body->n_deliveries,
                        body->deliveries);
    entity_touch(engine, &webhook->entity);
    return 0;
}

/* ---- pull requests */

int apply_pull_request_noticed(struct pen_engine *engine, const Pen__Fact *fact,
                               struct pen_error *err)
{
    const Pen__PullRequestNoticed *body = fact->pull_request_noticed;
    struct pipeline *pipeline = find_pipeline(engine, fact->pipeline);
    if (pipeline == NULL || body->event == NULL || body->event->pull_request == NULL ||
        body->event->id != pipeline->row->last_event + 1)
        return corrupt(err, fact, "a pull request that no pipeline can take");
    SET(pipeline->row, last_event, body->event->id);
    APPEND(pipeline->row, pull_requests, mem_copy(body->event));
    remember_deliveries(&pipeline->row->deliveries, &pipeline->row->n_deliveries,
                        body->n_deliveries, body->deliveries);
    entity_touch(engine, &pipeline->entity);
    return 0;
}

void drop_pull_request(struct pipeline *pipeline, uint64_t event)
{
    Pen__PipelineRow *row = pipeline->row;
    for (size_t i = 0; i < row->n_pull_requests; i++) {
        if (row->pull_requests[i]->id != event)
            continue;
        mem_free_message(row->pull_requests[i]);
        row->n_pull_requests--;
        memmove(&row->pull_requests[i], &row->pull_requests[i + 1],
                (row->n_pull_requests - i) * sizeof *row->pull_requests);
        if (row->n_pull_requests == 0) {
            free(row->pull_requests);
            row->pull_requests = NULL;
        }
        return;
    }
}

/* ---- polling */

int apply_polling_stopped(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    struct pipeline *pipeline = find_pipeline(engine, fact->pipeline);
    if (pipeline == NULL)
        return corrupt(err, fact, "polling stops for a pipeline that is not there");
    SET(pipeline->row, polling_disabled_ms, fact->at_ms);
    entity_touch(engine, &pipeline->entity);
    return 0;
}

void note_started(struct pen_engine *engine, struct pipeline *pipeline, int64_t at_ms)
{
    Pen__PipelineRow *row = pipeline->row;
    bool stopped = row->has_polling_disabled_ms;
    if (!stopped && row->has_started_ms && at_ms - row->started_ms < PEN_LIMIT_STARTED_NOTE_MS)
        return;
    SET(row, started_ms, at_ms);
    row->has_polling_disabled_ms = 0;
    row->polling_disabled_ms = 0;
    entity_touch(engine, &pipeline->entity);
}
