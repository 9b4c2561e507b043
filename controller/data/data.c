#include "controller/data/data.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/io/file.h"
#include "common/log/log.h"
#include "common/wire/wire.h"
#include "controller/artifacts/layout.h"
#include "controller/data/internal.h"
#include "controller/dispatch/dispatch.h"
#include "controller/post/post.h"

enum {
    DATA_IO_THREAD = 1,
    MESSAGES_A_TURN = 256,
    POSTS_A_TURN = 256,
    INBOX_POSTS_MAX = 16384,
    RETRY_MS = 20, /* when an inbox had no room */
    PUMP_MS = 5,   /* when a peer's queue had no room: libzmq says so for all peers or none */
};

/* ---- answers */

void pen_data_answer(struct pen_data *self, const struct pen_link *link, Pen__DataToAgent *answer)
{
    pen_buf_clear(&self->packed);
    if (pen_wire_pack(answer, &self->packed, NULL) == 0) /* else no memory: it will ask again */
        pen_data_send(self, link, self->packed.data, self->packed.size);
}

void pen_data_refuse(struct pen_data *self, const struct pen_link *link, Pen__RefusedCode code,
                     const struct refusal *about, const char *reason)
{
    char message[PEN_ERROR_MESSAGE_MAX];
    uint8_t sha256[PEN_SHA256_SIZE];
    (void)pen_str_copy(message, sizeof message, reason);
    Pen__Refused refused = PEN__REFUSED__INIT;
    refused.has_code = true;
    refused.code = code;
    refused.message = message;
    refused.has_fence = about->fence != 0;
    refused.fence = about->fence;
    if (about->sha256 != NULL) {
        memcpy(sha256, about->sha256, sizeof sha256);
        refused.has_sha256 = true;
        refused.sha256 = (ProtobufCBinaryData){.len = sizeof sha256, .data = sha256};
    }
    Pen__DataToAgent answer = PEN__DATA_TO_AGENT__INIT;
    answer.body_case = PEN__DATA_TO_AGENT__BODY_REFUSED;
    answer.refused = &refused;
    pen_data_answer(self, link, &answer);
}

static Pen__RefusedCode code_of(const struct pen_error *err)
{
    switch (err->code) {
    case PEN_ECORRUPT:
    case PEN_ENOTFOUND:
        return PEN__REFUSED_CODE__DIGEST;
    case PEN_EDENIED:
        return PEN__REFUSED_CODE__DENIED;
    case PEN_ELIMIT:
    case PEN_EINVAL:
        return PEN__REFUSED_CODE__LIMIT;
    default:
        return PEN__REFUSED_CODE__FULL; /* no disk, no memory: try again later */
    }
}

void pen_data_refuse_error(struct pen_data *self, const struct pen_link *link,
                           const struct refusal *about, const struct pen_error *err)
{
    pen_data_refuse(self, link, code_of(err), about, err->message);
}

static void destroy_input(void *body)
{
    Pen__Input *input = body;
    pen_message_destroy(&input);
}

bool pen_data_post(struct pen_data *self, Pen__Input **input)
{
    struct pen_post post = {.kind = PEN_POST_INPUT,
                            .number = PEN_THREAD_DATA,
                            .body = *input,
                            .destroy = destroy_input};
    if (pen_inbox_post(self->actor.core, &post, NULL) < 0) {
        self->posts_wait = true;
        return false;
    }
    *input = NULL;
    return true;
}

/* ---- from agents */

static void refuse_malformed(struct pen_data *self, struct pen_link *link,
                             const struct pen_error *err)
{
    pen_log(link->malformed_in_a_row == 0 ? PEN_LOG_WARNING : PEN_LOG_DEBUG, "malformed message",
            "plane=data agent=%s link=%" PRIu64 " reason=\"%s\"", link->who.id, link->number,
            err->message);
    pen_data_refuse(self, link,
                    err->code == PEN_ELIMIT ? PEN__REFUSED_CODE__LIMIT
                                            : PEN__REFUSED_CODE__UNSUPPORTED,
                    &(struct refusal){0}, err->message);
    link->malformed_in_a_row++;
    if (link->malformed_in_a_row >= PEN_LIMIT_MALFORMED_IN_A_ROW)
        pen_plane_cut(self->plane, link, "too many malformed messages in a row");
}

static void handle_message(struct pen_data *self, const struct pen_plane_message *message)
{
    struct pen_error err;
    struct pen_link *link = message->link;
    PEN_CLEANUP(pen_message_destroy) Pen__DataFromAgent *body = NULL;
    int rc = pen_wire_unpack(&pen__data_from_agent__descriptor, message->bytes, message->size,
                             &pen_wire_bulk, (ProtobufCMessage **)&body, &err);
    if (rc == PEN_ENOMEM) {
        pen_data_refuse_error(self, link, &(struct refusal){0}, &err);
        return;
    }
    if (rc < 0) {
        refuse_malformed(self, link, &err);
        return;
    }
    link->malformed_in_a_row = 0;
    switch ((int)body->body_case) {
    case PEN__DATA_FROM_AGENT__BODY_LOG:
        pen_data_log(self, link, body->log);
        break;
    case PEN__DATA_FROM_AGENT__BODY_BLOB_QUERY:
        pen_data_blob_query(self, link, body->blob_query);
        break;
    case PEN__DATA_FROM_AGENT__BODY_BLOB_DATA:
        pen_data_blob_piece(self, link, body->blob_data);
        break;
    case PEN__DATA_FROM_AGENT__BODY_ARTIFACT_COMMIT:
        pen_data_artifact_commit(self, link, body->artifact_commit);
        break;
    case PEN__DATA_FROM_AGENT__BODY_BLOB_GET:
        pen_data_blob_wanted(self, link, body->blob_get);
        break;
    default:
        pen_data_refuse(self, link, PEN__REFUSED_CODE__UNSUPPORTED, &(struct refusal){0},
                        "this controller does not know that kind of message");
        break;
    }
}

/* ---- effects */

static int perform(struct pen_data *self, Pen__Effect *effect, struct pen_error *err)
{
    switch ((int)effect->what_case) {
    case PEN__EFFECT__WHAT_KEY_ALLOW:
        pen_plane_allow(self->plane, effect->key_allow);
        return 0;
    case PEN__EFFECT__WHAT_KEY_DENY:
        pen_plane_deny(self->plane, effect->key_deny);
        return 0;
    case PEN__EFFECT__WHAT_ATTEMPT_OPEN: {
        PEN_CLEANUP(pen_message_destroy) Pen__AttemptOpen *open = TAKE_PTR(effect->attempt_open);
        effect->what_case = PEN__EFFECT__WHAT__NOT_SET;
        return pen_data_attempt_open(self, &open, err);
    }
    case PEN__EFFECT__WHAT_ATTEMPT_CLOSE:
        pen_data_attempt_close(self, effect->attempt_close->fence);
        return 0;
    case PEN__EFFECT__WHAT_ARTIFACT_ACCEPTED:
        pen_data_artifact_accepted(self, effect->artifact_accepted);
        return 0;
    default:
        UNREACHABLE("an effect that the data plane does not perform");
    }
}

void pen_data_take_posts(struct pen_data *self)
{
    struct pen_post posts[POSTS_A_TURN];
    size_t count = pen_inbox_take(self->actor.inbox, posts, POSTS_A_TURN);
    for (size_t i = 0; i < count; i++) {
        struct pen_error err;
        if (posts[i].kind == PEN_POST_EFFECT && self->failure.code == PEN_OK &&
            perform(self, posts[i].body, &err) < 0)
            self->failure = err;
        else if (posts[i].kind == PEN_POST_STOP)
            self->actor.stopping = true;
        pen_post_release(&posts[i]);
    }
}

/* ---- the thread */

static long timeout_ms(const struct pen_data *self)
{
    long wait_ms = pen_plane_timeout_ms(self->plane);
    if (self->posts_wait && (wait_ms < 0 || wait_ms > RETRY_MS))
        wait_ms = RETRY_MS;
    if (self->downloads.count > 0 && (wait_ms < 0 || wait_ms > PUMP_MS))
        wait_ms = PUMP_MS;
    if (self->dirty_count > 0)
        wait_ms = 0; /* look once more for messages, then sync */
    return wait_ms;
}

/* Returns whether all that had come was read. */
static bool take_messages(struct pen_data *self)
{
    struct pen_plane_message message;
    for (unsigned i = 0; i < MESSAGES_A_TURN; i++) {
        if (!pen_plane_receive(self->plane, &message))
            return true;
        handle_message(self, &message);
    }
    return false;
}

static void tell_damage(struct pen_data *self)
{
    char text[PEN_ERROR_MESSAGE_MAX];
    if (pen_blob_store_damage(self->store, text))
        pen_log(PEN_LOG_ERROR, "damaged blobs", "what=\"%s\"", text);
}

static int turn(void *context, struct pen_error *err)
{
    struct pen_data *self = context;
    struct pen_socket *sockets[PEN_PLANE_SOCKETS];
    pen_plane_sockets(self->plane, sockets);
    struct pollfd inbox = {.fd = pen_inbox_fd(self->actor.inbox), .events = POLLIN};
    int rc = pen_sockets_wait(sockets, PEN_PLANE_SOCKETS, &inbox, 1, timeout_ms(self), err);
    if (rc < 0 || (rc = pen_plane_watch(self->plane, err)) < 0)
        return rc;
    self->posts_wait = false;
    pen_data_take_posts(self);
    bool idle = take_messages(self);
    if (self->failure.code != PEN_OK) {
        *err = self->failure;
        return err->code;
    }
    pen_data_artifacts_settle(self);
    if ((rc = pen_data_logs_sync(self, idle, err)) < 0)
        return rc;
    pen_data_downloads_pump(self);
    tell_damage(self);
    struct pen_link *link;
    while ((link = pen_plane_next_gone(self->plane)) != NULL) {
        pen_data_downloads_drop(self, link->number);
        pen_plane_told(self->plane, link);
    }
    return 0;
}

/* ---- start and stop */

static int open_store(struct pen_data *self, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf blobs = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf logs = {0};
    pen_layout_path(self->dir, "blobs", &blobs);
    pen_layout_path(self->dir, "logs", &logs);
    int rc = pen_buf_ok(&blobs, err);
    if (rc < 0 || (rc = pen_buf_ok(&logs, err)) < 0 ||
        (rc = pen_dir_make(pen_buf_text(&blobs), 0700, err)) < 0 ||
        (rc = pen_dir_make(pen_buf_text(&logs), 0700, err)) < 0 ||
        (rc = pen_dir_sync(self->dir, err)) < 0) /* what is synced below needs their names, too */
        return rc;
    return pen_blob_store_open(pen_buf_text(&blobs), &self->store, err);
}

static int open_plane(struct pen_data *self, const struct pen_data_options *options,
                      struct pen_error *err)
{
    int rc = pen_keyring_create(&self->keys, err);
    if (rc < 0)
        return rc;
    const struct pen_plane_options plane = {
        .name = "data",
        .address = options->address,
        .zmq_context = pen_dispatch_context(options->dispatch),
        .io_thread = DATA_IO_THREAD,
        .server_keys = options->server_keys,
        .keys = self->keys,
        .tokens = false,
        .message_bytes_max = PEN_LIMIT_DATA_MESSAGE_BYTES,
        .send_queue_max = PEN_LIMIT_DATA_SEND_QUEUE,
        .undelivered_bytes_max = PEN_LIMIT_DATA_UNDELIVERED_BYTES,
        .links_per_identity_max = PEN_LIMIT_LINKS_PER_IDENTITY,
    };
    return pen_plane_create(&plane, &self->plane, err);
}

int pen_data_start(const struct pen_data_options *options, struct pen_data **ret_data,
                   struct pen_error *err)
{
    if (options->dispatch == NULL)
        return pen_fail(err, PEN_EINVAL, "the data plane needs the control plane's ZAP handler");
    PEN_CLEANUP(pen_data_stop) struct pen_data *self = calloc(1, sizeof *self);
    if (self == NULL || !pen_str_set(&self->dir, options->dir))
        return pen_fail(err, PEN_ENOMEM, "no memory for the data plane");
    self->http = options->http;
    self->actor = (struct pen_actor){.who = PEN_THREAD_DATA,
                                     .name = "data",
                                     .turn = turn,
                                     .context = self,
                                     .core = options->core};
    int rc = pen_actor_open(&self->actor, INBOX_POSTS_MAX, err);
    if (rc < 0 || (rc = open_store(self, err)) < 0 || (rc = open_plane(self, options, err)) < 0 ||
        (rc = pen_actor_start(&self->actor, err)) < 0)
        return rc;
    *ret_data = TAKE_PTR(self);
    return 0;
}

const char *pen_data_endpoint(const struct pen_data *self)
{
    return pen_plane_endpoint(self->plane);
}

struct pen_inbox *pen_data_inbox(struct pen_data *self)
{
    return self->actor.inbox;
}

void pen_data_stop(struct pen_data **self_p)
{
    struct pen_data *self = TAKE_PTR(*self_p);
    if (self == NULL)
        return;
    pen_actor_stop(&self->actor);
    pen_data_downloads_release(self);
    pen_data_attempts_release(self);
    pen_plane_destroy(&self->plane);
    pen_keyring_destroy(&self->keys);
    pen_blob_store_close(&self->store);
    pen_buf_release(&self->packed);
    free(self->dir);
    free(self);
}
