/* POST /hooks/connection/ID: a git server announces a push or a pull request.
 *
 * The call carries no SigV4 signature: it proves itself by the connection's hook secret. The answer
 * to a push tells nothing but whether it was taken (202), not believed (403) or sent to nobody
 * (404). Nothing of its body is used: it is a hint to fetch now, so a repeated call does no harm.
 * Of a pull request the body says which one and what was done to it; it is answered (200) once that
 * is kept, and says whether any trigger may want it.
 */
#include <string.h>
#include <strings.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/base/limits.h"
#include "common/wire/wire.h"
#include "controller/http/door.h"
#include "controller/post/post.h"
#include "controller/services/output.h"
#include "controller/services/penstock/penstock.h"
#include "controller/services/pull_request.h"

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

enum event { EVENT_OTHER = 0, EVENT_PUSH, EVENT_PULL_REQUEST };

/* Servers call for much else, and a call that does not say what for is taken for a push. Gitea also
 * sends GitHub's header: its own says who it is. */
static enum event event_of(const struct pen_http_head *head, enum pen_git_server *ret_server)
{
    static const struct {
        const char *header;
        enum pen_git_server server;
        const char *pull_request; /* as the header says it */
    } servers[] = {
        {"x-gitea-event", PEN_GIT_SERVER_GITEA, "pull_request"},
        {"x-gitlab-event", PEN_GIT_SERVER_GITLAB, "Merge Request Hook"},
        {"x-github-event", PEN_GIT_SERVER_GITHUB, "pull_request"},
    };
    for (size_t i = 0; i < sizeof servers / sizeof servers[0]; i++) {
        const char *event = pen_http_head_get(head, servers[i].header);
        if (event == NULL)
            continue;
        *ret_server = servers[i].server;
        if (strcasecmp(event, servers[i].pull_request) == 0)
            return EVENT_PULL_REQUEST;
        return strcasestr(event, "push") != NULL ? EVENT_PUSH : EVENT_OTHER;
    }
    return EVENT_PUSH;
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

static int pull_request_noticed(struct pen_call *call, const Pen__Reply *reply,
                                struct pen_error *err)
{
    (void)err;
    pen_put_string(call, pen_output(call), "outcome", reply->new_revision ? "noticed" : "filtered");
    return 0;
}

/* Here the body is read, and answered only when the event is kept: git alone does not tell later
 * that a pull request was opened. */
static int pull_request(struct exchange *self, const struct pen_http_head *head, const char *id,
                        enum pen_git_server server, enum http_proof proof, struct pen_error *err)
{
    Pen__PullRequestNotified *body = NULL;
    PEN_CLEANUP(pen_message_destroy)
    Pen__Input *input = pen_input_new(PEN__INPUT__WHAT_PULL_REQUEST_NOTIFIED,
                                      &pen__pull_request_notified__descriptor, &body);
    if (input == NULL || !pen_str_set(&body->connection_id, id))
        return pen_fail(err, PEN_ENOMEM, "no memory for a pull request");
    int rc = pen_json_parse_any(self->body.data, self->body.size, &self->input, err);
    if (rc == PEN_EINVAL || rc == PEN_ELIMIT)
        err->api_name = "ValidationException";
    if (rc == 0)
        rc = pen_pull_request_read(server, self->input, body, err);
    if (rc < 0)
        return rc;
    self->call.services = &self->door->services;
    if (rc == 0) {
        pen_put_string(&self->call, pen_output(&self->call), "outcome", "filtered");
        return http_go_on(self, err);
    }
    rc = http_delivery(head, &self->body, proof, &body->deliveries, &body->n_deliveries, NULL, err);
    if (rc == 0)
        rc = pen_call_post(&self->call, TAKE_PTR(input), pull_request_noticed, err);
    return rc < 0 ? rc : http_go_on(self, err);
}

static int check(struct exchange *self, const struct pen_http_head *head, const char *id,
                 unsigned *ret_status, enum http_proof *ret_proof, struct pen_error *err)
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
    if (rc == 0 && secret.size > 0)
        *ret_proof = http_prove(head, &secret, &self->body, false);
    if (*ret_proof != HTTP_UNPROVEN)
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
    enum http_proof proof = HTTP_UNPROVEN;
    enum pen_git_server server = PEN_GIT_SERVER_GITHUB;
    if (given[strcspn(given, "/?%")] == '\0' && pen_str_copy(id, sizeof id, given))
        rc = check(self, head, id, &status, &proof, err);
    enum event event = event_of(head, &server);
    if (rc == 0 && status == MHD_HTTP_ACCEPTED && event == EVENT_PULL_REQUEST) {
        rc = pull_request(self, head, id, server, proof, err);
        if (rc == 0)
            return; /* answered, or when the core has it */
    }
    if (rc == 0 && status == MHD_HTTP_ACCEPTED && event == EVENT_PUSH)
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
