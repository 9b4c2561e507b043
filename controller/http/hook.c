/* POST /hooks/connection/ID: a git server announces a push.
 *
 * The call carries no SigV4 signature: it proves itself by the connection's hook secret. The answer
 * tells nothing but whether it was taken (202), not believed (403) or sent to nobody (404). Nothing
 * of the body is used: it is a hint to fetch now, so a repeated call does no harm.
 */
#include <string.h>
#include <strings.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/keys/digest.h"
#include "common/log/log.h"
#include "common/wire/wire.h"
#include "controller/http/door.h"
#include "controller/post/post.h"
#include "controller/services/penstock/penstock.h"

static const char hooks_path[] = "/hooks/connection/";

enum { CONNECTION_ID_MAX = 64 };

static void refuse(struct exchange *self, unsigned status)
{
    bool unknown = status == MHD_HTTP_NOT_FOUND;
    exchange_answer_error(self, unknown ? "NotFoundException" : "AccessDeniedException",
                          unknown ? "There is nothing at this path."
                                  : "The call does not prove itself.");
    self->status = status;
}

/* The hex digest that a header gives is that of the body. */
static bool digest_proves(const char *hex, const struct pen_buf *secret, const struct pen_buf *body)
{
    uint8_t given[PEN_SHA256_SIZE];
    uint8_t wanted[PEN_SHA256_SIZE];
    if (pen_hex_decode(hex, given, sizeof given, NULL) < 0)
        return false;
    pen_hmac_sha256(secret->data, secret->size, body->data, body->size, wanted);
    return pen_equal_constant_time(given, wanted, sizeof wanted);
}

/* The texts are compared by their digests: the time tells nothing, not even a length. */
static bool text_proves(const char *text, const struct pen_buf *secret)
{
    uint8_t given[PEN_SHA256_SIZE];
    uint8_t wanted[PEN_SHA256_SIZE];
    pen_sha256(text, strlen(text), given);
    pen_sha256(secret->data, secret->size, wanted);
    return pen_equal_constant_time(given, wanted, sizeof wanted);
}

/* By the strongest header that is there: a wrong one is not made good by another. */
static bool is_proven(const struct exchange *self, const struct pen_http_head *head,
                      const struct pen_buf *secret)
{
    static const char prefix[] = "sha256=";
    const char *github = pen_http_head_get(head, "x-hub-signature-256");
    if (github != NULL)
        return pen_str_starts_with(github, prefix) &&
               digest_proves(github + strlen(prefix), secret, &self->body);
    const char *gitea = pen_http_head_get(head, "x-gitea-signature");
    if (gitea != NULL)
        return digest_proves(gitea, secret, &self->body);
    const char *gitlab = pen_http_head_get(head, "x-gitlab-token");
    return gitlab != NULL && text_proves(gitlab, secret);
}

/* Whether it is about a push. Servers call for much else, and a call that does not say is taken. */
static bool is_push(const struct pen_http_head *head)
{
    static const char *const headers[] = {"x-github-event", "x-gitea-event", "x-gitlab-event"};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        const char *event = pen_http_head_get(head, headers[i]);
        if (event != NULL)
            return strcasestr(event, "push") != NULL;
    }
    return true;
}

static void destroy_input(void *body)
{
    Pen__Input *input = body;
    pen_message_destroy(&input);
}

static int post(struct exchange *self, const char *id, struct pen_error *err)
{
    Pen__PushNotified *body = NULL;
    PEN_CLEANUP(pen_message_destroy)
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_PUSH_NOTIFIED, &pen__push_notified__descriptor, &body);
    if (input == NULL || !pen_str_set(&body->connection_id, id))
        return pen_fail(err, PEN_ENOMEM, "no memory for a push");
    const struct pen_post post = {
        .kind = PEN_POST_INPUT, .number = PEN_THREAD_HTTP, .body = input, .destroy = destroy_input};
    int rc = pen_inbox_post(self->door->actor.core, &post, err);
    if (rc == PEN_ELIMIT)
        return pen_fail(err, PEN_EUNAVAILABLE, "too many requests at once: try again");
    if (rc == 0)
        input = NULL; /* the core's now */
    return rc;
}

static int check(struct exchange *self, const struct pen_http_head *head, const char *id,
                 unsigned *ret_status, struct pen_error *err)
{
    struct pen_http *door = self->door;
    PEN_CLEANUP(pen_message_destroy) Pen__ConnectionRow *row = NULL;
    int rc = pen_reader_get(door->services.reader, PEN__ROW_KIND__ROW_CONNECTION, id,
                            (ProtobufCMessage **)&row, err);
    *ret_status = MHD_HTTP_NOT_FOUND;
    if (rc < 0)
        return rc == PEN_ENOTFOUND ? 0 : rc;
    *ret_status = MHD_HTTP_FORBIDDEN;
    if (!row->has_sealed_hook_secret)
        return 0;
    PEN_CLEANUP(pen_buf_release) struct pen_buf secret = {0};
    rc = pen_unseal(door->services.sealer, PEN_CONNECTION_HOOK_SEAL_CONTEXT,
                    row->sealed_hook_secret.data, row->sealed_hook_secret.len, &secret, err);
    if (rc == 0 && secret.size > 0 && is_proven(self, head, &secret))
        *ret_status = MHD_HTTP_ACCEPTED;
    if (secret.size > 0)
        explicit_bzero(secret.data, secret.size);
    return rc;
}

void http_connection_hook(struct exchange *self, const struct pen_http_head *head)
{
    struct pen_error *err = &self->err;
    char id[CONNECTION_ID_MAX];
    unsigned status = MHD_HTTP_NOT_FOUND;
    const char *given = self->target + strlen(hooks_path);
    int rc = 0;
    self->operation_name = "ConnectionHook";
    if (given[strcspn(given, "/?%")] == '\0' && pen_str_copy(id, sizeof id, given))
        rc = check(self, head, id, &status, err);
    if (rc == 0 && status == MHD_HTTP_ACCEPTED && is_push(head))
        rc = post(self, id, err);
    if (rc < 0) {
        exchange_answer_failure(self, err);
    } else if (status == MHD_HTTP_ACCEPTED) {
        exchange_answer_output(self, NULL);
        self->status = MHD_HTTP_ACCEPTED;
    } else {
        refuse(self, status);
    }
}
