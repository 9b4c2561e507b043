/* PutWebhook, DeleteWebhook, ListWebhooks, RegisterWebhookWithThirdParty,
 * DeregisterWebhookWithThirdParty
 *
 * The secret token is sealed here, before anything else sees it, and is never shown again.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/wire/json_path.h"
#include "common/wire/wire.h"
#include "controller/services/cidr.h"
#include "controller/services/codepipeline/codepipeline.h"
#include "controller/services/output.h"
#include "controller/services/page.h"
#include "controller/services/read.h"

#define MASK "****"

enum { WEBHOOKS_PAGE_MAX = 100, MASK_STARS_MIN = 4 };

/* ---- what a caller gives */

/* Four asterisks or more, blanks aside: what we show in place of a secret. */
static bool is_mask(const char *text)
{
    size_t stars = 0;
    for (; *text == '*' || *text == ' '; text++)
        stars += *text == '*';
    return *text == '\0' && stars >= MASK_STARS_MIN;
}

static int bad_parameters(struct pen_error *err, const char *why)
{
    return pen_fail_api(err, PEN_EINVAL, "InvalidWebhookAuthenticationParametersException", "%s",
                        why);
}

static int check_authentication(const char *kind, const char *token, const char *range,
                                struct pen_error *err)
{
    struct pen_cidr cidr;
    struct pen_error fault = {0};
    if (pen_str_equal(kind, "GITHUB_HMAC"))
        return token != NULL && range == NULL
                   ? 0
                   : bad_parameters(err, "GITHUB_HMAC takes a SecretToken, and only that");
    if (pen_str_equal(kind, "UNAUTHENTICATED"))
        return token == NULL && range == NULL
                   ? 0
                   : bad_parameters(err, "UNAUTHENTICATED takes neither SecretToken nor "
                                         "AllowedIPRange");
    if (range == NULL || token != NULL)
        return bad_parameters(err, "IP takes an AllowedIPRange, and only that");
    return pen_cidr_parse(range, &cidr, &fault) < 0 ? bad_parameters(err, fault.message) : 0;
}

static int take_filters(const json_t *list, Pen__WebhookRow *row, struct pen_error *err)
{
    size_t count = json_array_size(list);
    row->filters = count == 0 ? NULL : calloc(count, sizeof(Pen__WebhookFilter *));
    if (count > 0 && row->filters == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a webhook");
    for (size_t i = 0; i < count; i++) {
        const char *text = pen_in_string(json_array_get(list, i), "jsonPath");
        struct pen_json_path path;
        struct pen_error fault = {0};
        if (pen_json_path_parse(text, &path, &fault) < 0)
            return pen_fail_api(err, PEN_EINVAL, "InvalidWebhookFilterPatternException",
                                "filters[%zu].jsonPath '%s': %s", i, text, fault.message);
        Pen__WebhookFilter *filter = malloc(sizeof *filter);
        if (filter == NULL)
            return pen_fail(err, PEN_ENOMEM, "no memory for a webhook");
        pen__webhook_filter__init(filter);
        row->filters[row->n_filters++] = filter;
        if (!pen_str_set(&filter->json_path, text) ||
            !pen_str_set(&filter->match_equals,
                         pen_in_string(json_array_get(list, i), "matchEquals")))
            return pen_fail(err, PEN_ENOMEM, "no memory for a webhook");
    }
    return 0;
}

static int seal_token(const struct pen_call *call, const char *token, Pen__WebhookRow *row,
                      struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf sealed = {0};
    int rc = pen_seal(call->services->sealer, PEN_WEBHOOK_SEAL_CONTEXT, token, strlen(token),
                      &sealed, err);
    if (rc < 0 || (rc = pen_buf_ok(&sealed, err)) < 0)
        return rc;
    row->sealed_secret.len = sealed.size;
    row->sealed_secret.data = (uint8_t *)pen_buf_take_text(&sealed);
    row->has_sealed_secret = true;
    return 0;
}

static int take_definition(const struct pen_call *call, const json_t *definition,
                           Pen__PutWebhook *put, struct pen_error *err)
{
    const json_t *parameters = json_object_get(definition, "authenticationConfiguration");
    const char *kind = pen_in_string(definition, "authentication");
    const char *token = pen_in_string(parameters, "SecretToken");
    const char *range = pen_in_string(parameters, "AllowedIPRange");
    Pen__WebhookRow *row = put->webhook;
    int rc = check_authentication(kind, token, range, err);
    if (rc < 0 || (rc = take_filters(json_object_get(definition, "filters"), row, err)) < 0)
        return rc;
    if (!pen_str_set(&row->name, pen_in_string(definition, "name")) ||
        !pen_str_set(&row->pipeline, pen_in_string(definition, "targetPipeline")) ||
        !pen_str_set(&row->action, pen_in_string(definition, "targetAction")) ||
        !pen_str_set(&row->authentication, kind) || !pen_str_set(&row->allowed_ip_range, range))
        return pen_fail(err, PEN_ENOMEM, "no memory for a webhook");
    put->has_keep_secret = true;
    put->keep_secret = token != NULL && is_mask(token);
    return token == NULL || put->keep_secret ? 0 : seal_token(call, token, row, err);
}

/* ---- what is shown */

static void put_definition(struct pen_call *call, json_t *item, const Pen__WebhookRow *row)
{
    json_t *definition = pen_put_object(call, item, "definition");
    pen_put_string(call, definition, "name", row->name);
    pen_put_string(call, definition, "targetPipeline", row->pipeline);
    pen_put_string(call, definition, "targetAction", row->action);
    json_t *filters = pen_put_list(call, definition, "filters");
    for (size_t i = 0; i < row->n_filters; i++) {
        json_t *filter = pen_add_object(call, filters);
        pen_put_string(call, filter, "jsonPath", row->filters[i]->json_path);
        pen_put_string(call, filter, "matchEquals", row->filters[i]->match_equals);
    }
    pen_put_string(call, definition, "authentication", row->authentication);
    json_t *parameters = pen_put_object(call, definition, "authenticationConfiguration");
    pen_put_string(call, parameters, "AllowedIPRange", row->allowed_ip_range);
    if (row->has_sealed_secret)
        pen_put_string(call, parameters, "SecretToken", MASK);
}

static int put_webhook(struct pen_call *call, json_t *item, const Pen__WebhookRow *row,
                       struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineRow *pipeline = NULL;
    int rc = pen_read_optional(call, PEN__ROW_KIND__ROW_PIPELINE, row->pipeline, &pipeline, err);
    if (rc < 0)
        return rc;
    const char *public_url = call->services->public_url;
    bool told = public_url != NULL && public_url[0] != '\0';
    PEN_CLEANUP(pen_free)
    char *url = pen_strdup_printf("%s%s/hooks/webhook/%s/%s", told ? "" : "http://",
                                  told ? public_url : call->host, row->name, row->url_secret);
    PEN_CLEANUP(pen_free)
    char *arn = pen_strdup_printf("arn:aws:codepipeline:%s:%s:webhook:%s", call->services->region,
                                  call->services->account, row->name);
    if (url == NULL || arn == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a webhook");
    put_definition(call, item, row);
    pen_put_string(call, item, "url", url);
    pen_put_string(call, item, "arn", arn);
    pen_put_time(call, item, "lastTriggered", row->triggered_ms);
    if (pipeline == NULL) {
        pen_put_string(call, item, "errorCode", "PipelineNotFoundException");
        pen_put_string(call, item, "errorMessage", "The pipeline that it starts is gone.");
    }
    return 0;
}

/* ---- operations */

static int webhook_made(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__WebhookRow *row = NULL;
    int rc = pen_read_optional(call, PEN__ROW_KIND__ROW_WEBHOOK, reply->id, &row, err);
    if (rc < 0)
        return rc;
    if (row == NULL)
        return pen_fail_api(err, PEN_ENOTFOUND, "ConcurrentModificationException",
                            "The webhook was deleted while it was put.");
    return put_webhook(call, pen_put_object(call, pen_output(call), "webhook"), row, err);
}

int pen_put_webhook(struct pen_call *call, struct pen_error *err)
{
    if (json_array_size(json_object_get(call->input, "tags")) > 0)
        return pen_fail_api(err, PEN_EUNSUPPORTED, "ValidationException",
                            "Tags are not available in this version of Penstock: leave 'tags' "
                            "out.");
    Pen__PutWebhook *put = NULL;
    PEN_CLEANUP(pen_message_destroy)
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_PUT_WEBHOOK, &pen__put_webhook__descriptor, &put);
    Pen__WebhookRow *row = malloc(sizeof *row);
    if (input == NULL || row == NULL) {
        free(row);
        return pen_fail(err, PEN_ENOMEM, "no memory for a webhook");
    }
    pen__webhook_row__init(row);
    put->webhook = row;
    int rc = take_definition(call, json_object_get(call->input, "webhook"), put, err);
    return rc < 0 ? rc : pen_call_post(call, TAKE_PTR(input), webhook_made, err);
}

int pen_delete_webhook(struct pen_call *call, struct pen_error *err)
{
    Pen__DeleteWebhook *delete = NULL;
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_DELETE_WEBHOOK, &pen__delete_webhook__descriptor, &delete);
    if (input != NULL && !pen_str_set(&delete->name, pen_in_string(call->input, "name")))
        pen_message_destroy(&input);
    return pen_call_post(call, input, pen_reply_nothing, err);
}

/* This operation alone spells its paging with capitals. */
static void rename_member(struct pen_call *call, json_t *object, const char *from, const char *to)
{
    json_t *value = json_object_get(object, from);
    if (value != NULL && json_object_set(object, to, value) < 0)
        call->out_of_memory = true;
    (void)json_object_del(object, from);
}

int pen_list_webhooks(struct pen_call *call, struct pen_error *err)
{
    rename_member(call, call->input, "NextToken", "nextToken");
    rename_member(call, call->input, "MaxResults", "maxResults");
    PEN_CLEANUP(pen_buf_release) struct pen_buf after = {0};
    int rc = pen_page_get(call, "", &after, err);
    if (rc < 0)
        return rc;
    size_t size = pen_page_size(call, WEBHOOKS_PAGE_MAX);
    const struct pen_list_query query = {.kind = PEN__ROW_KIND__ROW_WEBHOOK,
                                         .after_key = after.size > 0 ? pen_buf_text(&after) : NULL,
                                         .limit = size + 1};
    PEN_CLEANUP(pen_rows_release) struct pen_rows rows = {0};
    if ((rc = pen_read_list(call, &query, &rows, err)) < 0)
        return rc;
    json_t *list = pen_put_list(call, pen_output(call), "webhooks");
    for (size_t i = 0; i < rows.count && i < size; i++) {
        rc = put_webhook(call, pen_add_object(call, list), (const Pen__WebhookRow *)rows.rows[i],
                         err);
        if (rc < 0)
            return rc;
    }
    if (rows.count > size)
        pen_page_put(call, "", ((const Pen__WebhookRow *)rows.rows[size - 1])->name);
    rename_member(call, pen_output(call), "nextToken", "NextToken");
    return 0;
}

/* Whether there is a webhook of the name that the call may give. */
static int check_named(struct pen_call *call, struct pen_error *err)
{
    const char *name = pen_in_string(call->input, "webhookName");
    PEN_CLEANUP(pen_message_destroy) Pen__WebhookRow *row = NULL;
    int rc =
        name == NULL ? 0 : pen_read_optional(call, PEN__ROW_KIND__ROW_WEBHOOK, name, &row, err);
    if (rc < 0)
        return rc;
    if (row == NULL)
        return pen_fail_api(err, PEN_ENOTFOUND, "WebhookNotFoundException", "no webhook '%s'",
                            name == NULL ? "" : name);
    return 0;
}

/* It would change settings of github.com by an OAuth token that only the old GitHub source had. */
int pen_register_webhook(struct pen_call *call, struct pen_error *err)
{
    int rc = check_named(call, err);
    return rc < 0 ? rc
                  : pen_fail_api(err, PEN_EUNSUPPORTED, "ValidationException",
                                 "Penstock changes no settings of a git server: enter the "
                                 "webhook's URL and secret there by hand. ListWebhooks shows the "
                                 "URL.");
}

/* No webhook is ever registered by us, so none is left to take back: who deletes a webhook calls
 * this first, as the API asks for. */
int pen_deregister_webhook(struct pen_call *call, struct pen_error *err)
{
    (void)pen_output(call);
    return check_named(call, err);
}
