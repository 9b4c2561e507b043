#include "agent/app/identity.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/app/host.h"
#include "agent/link/link.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/keys/digest.h"
#include "common/log/log.h"
#include "common/wire/wire.h"

enum {
    AGENT_JSON_MAX = 64 * 1024,
    TOKEN_FILE_MAX = 4096,
    ENROLL_RETRY_MS = 5000,
    OWN_KEY_WAIT_MS = 5000
};

int pen_address_parse(const char *text, char *ret_host, size_t host_size, uint16_t *ret_port,
                      struct pen_error *err)
{
    const char *start = pen_str_starts_with(text, "tcp://") ? text + strlen("tcp://") : text;
    const char *colon = strrchr(start, ':');
    char *end = NULL;
    unsigned long port = colon == NULL ? 0 : strtoul(colon + 1, &end, 10);
    if (colon == NULL || colon == start || end == colon + 1 || *end != 0 || port == 0 ||
        port > UINT16_MAX || (size_t)(colon - start) >= host_size)
        return pen_fail(err, PEN_EINVAL, "controller: '%s' is not HOST:PORT", text);
    memcpy(ret_host, start, (size_t)(colon - start));
    ret_host[colon - start] = 0;
    *ret_port = (uint16_t)port;
    return 0;
}

static char *path_of(const struct pen_agent_options *options, const char *name)
{
    return pen_strdup_printf("%s/%s", options->data, name);
}

static int load(struct pen_identity *self, const char *path, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    int rc = pen_file_read(path, AGENT_JSON_MAX, &bytes, err);
    if (rc < 0)
        return rc;
    json_t *json = NULL;
    if ((rc = pen_json_parse(bytes.data, bytes.size, AGENT_JSON_MAX, &json, err)) < 0)
        return pen_error_prefix(err, "%s", path);
    const char *controller = json_string_value(json_object_get(json, "controller"));
    const char *key = json_string_value(json_object_get(json, "serverPublicKey"));
    const char *agent_id = json_string_value(json_object_get(json, "agentId"));
    if (controller == NULL || key == NULL ||
        pen_hex_decode(key, self->server_public_key, PEN_CURVE_KEY_SIZE, err) < 0 ||
        pen_address_parse(controller, self->host, sizeof self->host, &self->port, err) < 0)
        rc = pen_fail(err, PEN_ECORRUPT, "'%s' does not name a controller and its key", path);
    else
        (void)pen_str_copy(self->agent_id, sizeof self->agent_id, agent_id == NULL ? "" : agent_id);
    json_decref(json);
    self->enrolled = rc == 0;
    return rc;
}

int pen_identity_open(const struct pen_agent_options *options, struct pen_identity *ret_identity,
                      struct pen_error *err)
{
    struct pen_identity self = {0};
    PEN_CLEANUP(pen_free) char *keys = path_of(options, "keys");
    PEN_CLEANUP(pen_free) char *json = path_of(options, "agent.json");
    if (keys == NULL || json == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the agent's identity");
    static const char *const known[] = {"keys", "spool", "run-folder", "run",
                                        "work", "blobs", "logs",       NULL};
    int rc = pen_dir_claim(options->data, 0700, "agent.json", known, err);
    if (rc == 0)
        rc = pen_curve_pair_load_or_make(keys, &self.pair, err);
    if (rc == 0 && pen_file_exists(json))
        rc = load(&self, json, err);
    if (rc == 0 && options->controller != NULL)
        rc = pen_address_parse(options->controller, self.host, sizeof self.host, &self.port, err);
    if (rc < 0)
        return rc;
    if (!self.enrolled && options->token == NULL)
        return pen_fail(err, PEN_EINVAL,
                        "this agent is not enrolled: give it --token, which "
                        "`penstock agent token` prints");
    if (self.port == 0)
        return pen_fail(err, PEN_EINVAL, "the first start needs --controller HOST:PORT");
    *ret_identity = self;
    return 0;
}

static int store(const struct pen_identity *self, const struct pen_agent_options *options,
                 struct pen_error *err)
{
    char key[2 * PEN_CURVE_KEY_SIZE + 1];
    pen_hex_encode(self->server_public_key, PEN_CURVE_KEY_SIZE, key);
    PEN_CLEANUP(pen_free)
    char *controller = pen_strdup_printf("%s:%u", self->host, (unsigned)self->port);
    PEN_CLEANUP(pen_free) char *path = path_of(options, "agent.json");
    json_t *json = json_pack("{s:s, s:s, s:s}", "controller", controller, "serverPublicKey", key,
                             "agentId", self->agent_id);
    PEN_CLEANUP(pen_free) char *text = json == NULL ? NULL : json_dumps(json, JSON_INDENT(2));
    json_decref(json);
    if (path == NULL || text == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to store the agent's identity");
    return pen_file_replace(path, text, strlen(text), 0600, err);
}

/* ---- enrolment */

static int send_enroll(const struct pen_identity *self, const struct pen_agent_options *options,
                       struct pen_link *link, struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__HostFacts *facts = NULL;
    int rc = pen_host_facts(NULL, &facts, err);
    if (rc < 0)
        return rc;
    Pen__Enroll enroll = PEN__ENROLL__INIT;
    enroll.has_public_key = true;
    enroll.public_key = (ProtobufCBinaryData){.len = PEN_CURVE_KEY_SIZE,
                                              .data = (uint8_t *)(uintptr_t)self->pair.public_key};
    enroll.name = options->name != NULL ? (char *)(uintptr_t)options->name : facts->hostname;
    enroll.host = facts;
    enroll.has_slots = options->slots > 0;
    enroll.slots = options->slots;
    Pen__FromAgent message = PEN__FROM_AGENT__INIT;
    message.body_case = PEN__FROM_AGENT__BODY_ENROLL;
    message.enroll = &enroll;
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    rc = pen_wire_pack(&message, &bytes, err);
    if (rc == 0)
        rc = pen_link_send(link, PEN_PLANE_CONTROL, bytes.data, bytes.size, err);
    return rc == PEN_EUNAVAILABLE ? 0 : rc; /* the next connection sends it again */
}

/* Returns 1 when enrolled, 0 when there is more to wait for. */
static int on_answer(struct pen_identity *self, const struct pen_link_event *event,
                     struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__ToAgent *message = NULL;
    int rc = pen_wire_unpack(&pen__to_agent__descriptor, event->bytes, event->size,
                             &pen_wire_control, (ProtobufCMessage **)&message, err);
    if (rc < 0)
        return rc;
    if (message->body_case == PEN__TO_AGENT__BODY_ENROLLED) {
        const char *id = message->enrolled->agent_id;
        (void)pen_str_copy(self->agent_id, sizeof self->agent_id, id == NULL ? "" : id);
        return 1;
    }
    if (message->body_case == PEN__TO_AGENT__BODY_REFUSED)
        return pen_fail(err, PEN_EDENIED, "the controller refuses to enrol this agent: %s",
                        message->refused->message == NULL ? "no reason given"
                                                          : message->refused->message);
    return 0;
}

/* Everything that is there now. Returns 1 when enrolled. */
static int take_events(struct pen_identity *self, const struct pen_agent_options *options,
                       struct pen_link *link, struct pen_error *err)
{
    struct pen_link_event event;
    int rc = 0;
    while (rc == 0 && pen_link_next(link, &event)) {
        if (event.kind == PEN_LINK_UP)
            rc = send_enroll(self, options, link, err);
        else if (event.kind == PEN_LINK_DENIED)
            rc = pen_fail(err, PEN_EDENIED,
                          "the token is not let in: it is spent, expired or "
                          "revoked");
        else if (event.kind == PEN_LINK_FRAME)
            rc = on_answer(self, &event, err);
    }
    return rc;
}

/* Whether the controller lets our own key in: it took the token, but we stopped before its answer.
 */
static bool own_key_is_known(const struct pen_identity *self, int stop_fd)
{
    struct pen_link_options options = {.host = self->host, .port = self->port, .pair = self->pair};
    memcpy(options.server_public_key, self->server_public_key, PEN_CURVE_KEY_SIZE);
    PEN_CLEANUP(pen_link_destroy) struct pen_link *link = NULL;
    if (pen_link_create(&options, &link, NULL) < 0)
        return false;
    int64_t until = pen_clock_monotonic_ms() + OWN_KEY_WAIT_MS;
    for (int64_t now; (now = pen_clock_monotonic_ms()) < until;) {
        struct pen_link_event event;
        bool stop = false;
        if (pen_link_wait(link, &stop_fd, 1, until - now, &stop, NULL) < 0 || stop)
            return false;
        while (pen_link_next(link, &event)) {
            if (event.kind == PEN_LINK_UP)
                return true;
            if (event.kind == PEN_LINK_DENIED)
                return false;
        }
    }
    return false;
}

static int spend(struct pen_identity *self, const struct pen_agent_options *options,
                 const struct pen_token *token, int stop_fd, struct pen_error *err)
{
    struct pen_link_options wanted = {.host = self->host, .port = self->port, .pair = token->pair};
    memcpy(wanted.server_public_key, token->server_public_key, PEN_CURVE_KEY_SIZE);
    PEN_CLEANUP(pen_link_destroy) struct pen_link *link = NULL;
    int rc = pen_link_create(&wanted, &link, err);
    int64_t resend_at = INT64_MAX;
    while (rc == 0) {
        bool stop = false;
        rc = pen_link_wait(link, &stop_fd, 1, ENROLL_RETRY_MS, &stop, err);
        if (rc == 0 && stop)
            rc = pen_fail(err, PEN_ETIMEOUT, "stopped before it was enrolled");
        if (rc == 0)
            rc = take_events(self, options, link, err);
        int64_t now = pen_clock_monotonic_ms();
        if (!pen_link_is_up(link, PEN_PLANE_CONTROL)) {
            resend_at = INT64_MAX;
        } else if (resend_at == INT64_MAX) {
            resend_at = now + ENROLL_RETRY_MS;
        } else if (rc == 0 && now >= resend_at) {
            resend_at = now + ENROLL_RETRY_MS;
            rc = send_enroll(self, options, link, err);
        }
    }
    return rc == 1 ? 0 : rc;
}

/* The token itself, or what the file holds that it names. */
static int read_token(const char *text, struct pen_token *ret_token, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    if (text[0] != '@')
        return pen_token_parse(text, ret_token, err);
    int rc = pen_file_read(text + 1, TOKEN_FILE_MAX, &bytes, err);
    if (rc < 0)
        return rc;
    PEN_CLEANUP(pen_free)
    char *word = strndup(pen_buf_text(&bytes), strcspn(pen_buf_text(&bytes), " \t\r\n"));
    if (word == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the token");
    rc = pen_token_parse(word, ret_token, err);
    explicit_bzero(word, strlen(word));
    return rc;
}

int pen_identity_enroll(struct pen_identity *self, const struct pen_agent_options *options,
                        int stop_fd, struct pen_error *err)
{
    struct pen_token token;
    int rc = read_token(options->token, &token, err);
    if (rc < 0)
        return rc;
    memcpy(self->server_public_key, token.server_public_key, PEN_CURVE_KEY_SIZE);
    rc = spend(self, options, &token, stop_fd, err);
    explicit_bzero(&token, sizeof token);
    if (rc == PEN_EDENIED && own_key_is_known(self, stop_fd))
        rc = 0;
    if (rc == 0)
        rc = store(self, options, err);
    if (rc < 0)
        return rc;
    self->enrolled = true;
    pen_log(PEN_LOG_INFO, "enrolled", "agent=%s controller=%s:%u", self->agent_id, self->host,
            (unsigned)self->port);
    return 0;
}
