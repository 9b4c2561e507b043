/* controller/engine/webhook.c - webhooks: URLs that start pipelines
 *
 * The door has checked who calls and what the filters say before a call comes here. Here it is
 * decided whether the webhook is still the one that was called, and whether it was this very
 * delivery that has started the pipeline before.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/id.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/named.h"
#include "controller/engine/planted.h"
#include "controller/model/webhook.h"

enum { URL_SECRET_BYTES = 32 };

static struct webhook *find_webhook(const struct pen_engine *engine, const char *name)
{
    return name == NULL ? NULL : pen_map_get(&engine->webhooks, pen_key_text(name));
}

bool delivery_known(size_t count, const ProtobufCBinaryData *known, size_t given_count,
                    const ProtobufCBinaryData *given)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < given_count; k++)
            if (mem_bytes_equal(known[i], given[k]))
                return true;
    return false;
}

int check_deliveries(size_t count, const ProtobufCBinaryData *given, struct pen_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (given[i].len != PEN_LIMIT_DELIVERY_DIGEST_BYTES)
            return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                                "a delivery is told by %d bytes", PEN_LIMIT_DELIVERY_DIGEST_BYTES);
    return count <= 2 ? 0
                      : pen_fail_api(err, PEN_EINVAL, "ValidationException",
                                     "a delivery is told by at most two digests");
}

/* ---- put and delete */

static int check_target(const struct pen_engine *engine, const Pen__WebhookRow *wanted,
                        struct pen_error *err)
{
    const struct pipeline *pipeline = find_pipeline(engine, wanted->pipeline);
    if (pipeline == NULL)
        return fail_no_pipeline(engine, wanted->pipeline, err);
    const Pen__StageDeclaration *first = pipeline->current->row->declaration->stages[0];
    int index = action_index(first, wanted->action);
    if (index < 0)
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "targetAction: the first stage of pipeline '%s' has no action '%s'",
                            wanted->pipeline, wanted->action != NULL ? wanted->action : "");
    for (size_t i = 0; i < wanted->n_filters; i++) {
        char *text = NULL;
        const char *pattern = wanted->filters[i]->match_equals;
        struct pen_error fault = {0};
        int rc =
            pattern == NULL ? 0 : pen_webhook_expand(pattern, first->actions[index], &text, &fault);
        free(text);
        CHECK(rc != PEN_ENOMEM);
        if (rc < 0)
            return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                                "filters[%zu].matchEquals: %s", i, fault.message);
    }
    return 0;
}

/* What is new begins now, with a URL that nobody knows; what is changed keeps its own. */
static Pen__WebhookRow *new_row(struct pen_engine *engine, const Pen__Input *input,
                                const struct webhook *former)
{
    const Pen__PutWebhook *request = input->put_webhook;
    Pen__WebhookRow *row = mem_copy(request->webhook);
    SET(row, updated_ms, engine->now_ms);
    SET(row, created_ms, former != NULL ? former->row->created_ms : engine->now_ms);
    mem_set_text(&row->created_by, former != NULL ? former->row->created_by : input->principal);
    if (former == NULL) {
        uint8_t bytes[URL_SECRET_BYTES];
        char hex[2 * URL_SECRET_BYTES + 1];
        pen_prng_bytes(&engine->prng, bytes, sizeof bytes);
        for (size_t i = 0; i < sizeof bytes; i++)
            (void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
        mem_set_text(&row->url_secret, hex);
        return row;
    }
    mem_set_text(&row->url_secret, former->row->url_secret);
    if (former->row->has_triggered_ms)
        SET(row, triggered_ms, former->row->triggered_ms);
    for (size_t i = 0; i < former->row->n_deliveries; i++)
        bytes_append(&row->deliveries, &row->n_deliveries, former->row->deliveries[i]);
    if (request->keep_secret) {
        free(row->sealed_secret.data);
        row->has_sealed_secret = 1;
        row->sealed_secret = mem_bytes(former->row->sealed_secret);
    }
    return row;
}

int handle_put_webhook(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                       struct pen_error *err)
{
    const Pen__PutWebhook *request = input->put_webhook;
    const Pen__WebhookRow *wanted = request->webhook;
    if (wanted == NULL || pen_str_empty(wanted->name) || pen_str_empty(wanted->authentication))
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "a webhook has a name and an authentication");
    int rc = check_target(engine, wanted, err);
    if (rc < 0)
        return rc;
    const struct webhook *former = find_webhook(engine, wanted->name);
    if (former == NULL && engine->webhooks.count >= engine->options.webhooks_max)
        return pen_fail_api(err, PEN_ELIMIT, "LimitExceededException",
                            "there are %zu webhooks, the most that an account may have "
                            "(webhooks-max)",
                            (size_t)engine->webhooks.count);
    if (request->keep_secret && (former == NULL || !former->row->has_sealed_secret))
        return pen_fail_api(err, PEN_EINVAL, "InvalidWebhookAuthenticationParametersException",
                            "SecretToken: webhook '%s' has none that could be kept", wanted->name);
    Pen__WebhookPut *body = MAKE(Pen__WebhookPut, pen__webhook_put__init);
    body->webhook = new_row(engine, input, former);
    reply->id = mem_text(wanted->name);
    SET(reply, at_ms, engine->now_ms);
    emit(engine, wanted->pipeline, NULL, PEN__FACT__WHAT_WEBHOOK_PUT, body);
    return 0;
}

int handle_delete_webhook(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                          struct pen_error *err)
{
    (void)reply;
    (void)err;
    const struct webhook *webhook = find_webhook(engine, input->delete_webhook->name);
    if (webhook == NULL)
        return 0; /* gone is gone */
    Pen__WebhookDeleted *body = MAKE(Pen__WebhookDeleted, pen__webhook_deleted__init);
    body->name = mem_text(webhook->row->name);
    emit(engine, webhook->row->pipeline, NULL, PEN__FACT__WHAT_WEBHOOK_DELETED, body);
    return 0;
}

/* ---- called */

int handle_webhook_called(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                          struct pen_error *err)
{
    const Pen__WebhookCalled *call = input->webhook_called;
    const struct webhook *webhook = find_webhook(engine, call->name);
    if (webhook == NULL || !pen_str_equal(webhook->row->url_secret, call->url_secret))
        return pen_fail_api(err, PEN_ENOTFOUND, "NotFoundException",
                            "There is nothing at this path.");
    int rc = check_deliveries(call->n_deliveries, call->deliveries, err);
    if (rc < 0)
        return rc;
    SET(reply, new_revision, 0);
    if (!PLANTED(DELIVERY_FORGOTTEN) &&
        delivery_known(webhook->row->n_deliveries, webhook->row->deliveries, call->n_deliveries,
                       call->deliveries))
        return 0;
    struct pipeline *pipeline = find_pipeline(engine, webhook->row->pipeline);
    if (pipeline == NULL)
        return fail_no_pipeline(engine, webhook->row->pipeline, err);
    char *arn = mem_format("arn:aws:codepipeline:%s:%s:webhook:%s", engine->setting->row->region,
                           engine->setting->row->account, webhook->row->name);
    struct start start = {.trigger_type = PEN__TRIGGER_TYPE__TRIGGER_WEBHOOK,
                          .trigger_detail = arn};
    char id[PEN_UUID_TEXT_SIZE];
    rc = execution_start_by_event(engine, pipeline, &start, id, err);
    free(arn);
    if (rc < 0)
        return rc;
    Pen__WebhookTriggered *body = MAKE(Pen__WebhookTriggered, pen__webhook_triggered__init);
    body->name = mem_text(call->name);
    for (size_t i = 0; !call->only_compare && i < call->n_deliveries; i++)
        bytes_append(&body->deliveries, &body->n_deliveries, call->deliveries[i]);
    emit(engine, pipeline->row->name, NULL, PEN__FACT__WHAT_WEBHOOK_TRIGGERED, body);
    SET(reply, new_revision, 1);
    reply->execution_id = mem_text(id);
    return 0;
}
