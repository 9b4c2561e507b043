/* POST /hooks/webhook/NAME/SECRET: a webhook is called.
 *
 *     unknown name or secret: 404     not proven: 403     a filter does not pass: 200 "filtered"
 *     repeated delivery: 200 "repeated"                   else: 200 "started" with the execution's
 * id
 *
 * The proof is looked at before anything of the body is, over its bytes as they came. Filters see
 * the body only when there are any: a webhook without filters takes every body, or none.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/keys/digest.h"
#include "common/wire/wire.h"
#include "controller/http/door.h"
#include "controller/services/cidr.h"
#include "controller/services/codepipeline/codepipeline.h"
#include "controller/services/output.h"
#include "controller/services/read.h"

static const char webhook_path[] = "/hooks/webhook/";

enum { NAME_SIZE_MAX = 100, SECRET_SIZE_MAX = 100 };

size_t http_target_shown(const char *target)
{
    size_t size = strlen(target);
    if (!pen_str_starts_with(target, webhook_path))
        return size;
    return strlen(webhook_path) + strcspn(target + strlen(webhook_path), "/?");
}

/* ---- who calls what */

/* Two parts and nothing else. */
static bool read_target(const char *target, char ret_name[NAME_SIZE_MAX + 1],
                        char ret_secret[SECRET_SIZE_MAX + 1])
{
    const char *name = target + strlen(webhook_path);
    size_t size = strcspn(name, "/?%");
    if (size == 0 || size > NAME_SIZE_MAX || name[size] != '/')
        return false;
    memcpy(ret_name, name, size);
    ret_name[size] = '\0';
    const char *secret = name + size + 1;
    return secret[0] != '\0' && secret[strcspn(secret, "/?%")] == '\0' &&
           pen_str_copy(ret_secret, SECRET_SIZE_MAX + 1, secret);
}

static bool same_text(const char *a, const char *b)
{
    uint8_t of_a[PEN_SHA256_SIZE];
    uint8_t of_b[PEN_SHA256_SIZE];
    pen_sha256(a, strlen(a), of_a);
    pen_sha256(b, strlen(b), of_b);
    return pen_equal_constant_time(of_a, of_b, sizeof of_a);
}

static int not_found(struct pen_error *err)
{
    return pen_fail_api(err, PEN_ENOTFOUND, "NotFoundException", "There is nothing at this path.");
}

static int read_webhook(struct exchange *self, Pen__WebhookRow **ret_row, struct pen_error *err)
{
    char name[NAME_SIZE_MAX + 1];
    char secret[SECRET_SIZE_MAX + 1];
    if (!read_target(self->target, name, secret))
        return not_found(err);
    PEN_CLEANUP(pen_message_destroy) Pen__WebhookRow *row = NULL;
    int rc = pen_read_optional(&self->call, PEN__ROW_KIND__ROW_WEBHOOK, name, &row, err);
    bool same = rc == 0 && same_text(row == NULL ? "" : row->url_secret, secret);
    if (rc < 0)
        return rc;
    if (row == NULL || !same)
        return not_found(err);
    *ret_row = TAKE_PTR(row);
    return 0;
}

static int prove_by_secret(struct exchange *self, const struct pen_http_head *head,
                           const Pen__WebhookRow *row, enum http_proof *ret_proof,
                           struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf secret = {0};
    int rc = pen_unseal(self->door->services.sealer, PEN_WEBHOOK_SEAL_CONTEXT,
                        row->sealed_secret.data, row->sealed_secret.len, &secret, err);
    if (rc == 0 && secret.size > 0)
        *ret_proof = http_prove(head, &secret, &self->body, true);
    if (secret.size > 0)
        explicit_bzero(secret.data, secret.size);
    return rc;
}

static int prove(struct exchange *self, const struct pen_http_head *head,
                 const Pen__WebhookRow *row, enum http_proof *ret_proof, struct pen_error *err)
{
    int rc = 0;
    if (pen_str_equal(row->authentication, "GITHUB_HMAC")) {
        rc = prove_by_secret(self, head, row, ret_proof, err);
    } else if (pen_str_equal(row->authentication, "IP")) {
        struct pen_cidr range;
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(self->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        if (info != NULL && pen_cidr_parse(row->allowed_ip_range, &range, NULL) == 0 &&
            pen_cidr_contains(&range, info->client_addr))
            *ret_proof = HTTP_PROVEN_CALLER;
    } else if (pen_str_equal(row->authentication, "UNAUTHENTICATED")) {
        *ret_proof = HTTP_PROVEN_CALLER;
    }
    if (rc == 0 && *ret_proof == HTTP_UNPROVEN)
        return pen_fail_api(err, PEN_EDENIED, "AccessDeniedException",
                            "The call does not prove itself.");
    return rc;
}

/* ---- the call */

static int called(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err)
{
    (void)err;
    pen_put_string(call, pen_output(call), "outcome", reply->new_revision ? "started" : "repeated");
    pen_put_string(call, pen_output(call), "pipelineExecutionId", reply->execution_id);
    return 0;
}

static int post(struct exchange *self, const struct pen_http_head *head, const Pen__WebhookRow *row,
                enum http_proof proof, struct pen_error *err)
{
    Pen__WebhookCalled *body = NULL;
    PEN_CLEANUP(pen_message_destroy)
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_WEBHOOK_CALLED, &pen__webhook_called__descriptor, &body);
    if (input == NULL || !pen_str_set(&body->name, row->name) ||
        !pen_str_set(&body->url_secret, row->url_secret))
        return pen_fail(err, PEN_ENOMEM, "no memory for a call");
    bool unnamed = false;
    int rc = http_delivery(head, &self->body, proof, &body->deliveries, &body->n_deliveries,
                           &unnamed, err);
    body->has_only_compare = true;
    body->only_compare = unnamed;
    return rc < 0 ? rc : pen_call_post(&self->call, TAKE_PTR(input), called, err);
}

static int handle(struct exchange *self, const struct pen_http_head *head, struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__WebhookRow *row = NULL;
    enum http_proof proof = HTTP_UNPROVEN;
    size_t failed = 0;
    int rc = read_webhook(self, &row, err);
    if (rc < 0 || (rc = prove(self, head, row, &proof, err)) < 0 ||
        (rc = pen_webhook_filter(&self->call, row, self->body.data, self->body.size, &failed,
                                 err)) < 0)
        return rc;
    if (failed == 0)
        return post(self, head, row, proof, err);
    pen_put_string(&self->call, pen_output(&self->call), "outcome", "filtered");
    pen_put_integer(&self->call, pen_output(&self->call), "filter", (int64_t)failed);
    pen_put_string(&self->call, pen_output(&self->call), "jsonPath",
                   row->filters[failed - 1]->json_path);
    return 0;
}

void http_webhook(struct exchange *self, const struct pen_http_head *head)
{
    struct pen_error *err = &self->err;
    struct pen_reader *reader = self->door->services.reader;
    self->operation_name = "Webhook";
    self->call.services = &self->door->services;
    int rc = pen_reader_begin(reader, err);
    if (rc == 0)
        rc = handle(self, head, err);
    pen_reader_end(reader);
    if (rc == 0)
        rc = http_go_on(self, err);
    if (rc < 0)
        exchange_answer_failure(self, err);
    if (rc == PEN_EDENIED)
        self->status = MHD_HTTP_FORBIDDEN;
}
