#include "controller/dispatch/dispatch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/io/clock.h"
#include "common/log/log.h"
#include "common/wire/wire.h"
#include "controller/dispatch/keyring.h"
#include "controller/dispatch/plane.h"
#include "controller/dispatch/zap.h"
#include "controller/post/actor.h"
#include "core.pb-c.h"

enum {
    IO_THREADS = 2, /* of libzmq: one for each plane, so that bulk never delays a heartbeat */
    CONTROL_IO_THREAD = 0,
    ZAP_REQUESTS_A_TURN = 64,
    MESSAGES_A_TURN = 256,
    POSTS_A_TURN = 256,
    INBOX_POSTS_MAX = 16384,
    RETRY_MS = 20,           /* when the core could not take that an agent is gone */
    LOG_INTERVAL_MS = 60000, /* a core that is too busy is told of once in this time */
};

struct pen_dispatch {
    void *zmq_context;
    struct pen_keyring *keys;
    struct pen_zap *zap;
    struct pen_socket zap_socket; /* the same, for waiting */
    struct pen_plane *plane;
    struct pen_actor actor;
    bool closed;           /* handshakes wait for PEN_POST_SERVE */
    bool posts_pending;    /* the core was full: an AgentGone waits */
    struct pen_buf packed; /* scratch */
    int64_t busy_logged_ms;
    uint64_t dropped_count; /* messages that the core could not take, since last logged */
};

/* ---- toward the core */

static void destroy_input(void *body)
{
    Pen__Input *input = body;
    pen_message_destroy(&input);
}

static int post_input(struct pen_dispatch *self, Pen__Input **input, struct pen_error *err)
{
    struct pen_post post = {.kind = PEN_POST_INPUT,
                            .number = PEN_THREAD_DISPATCH,
                            .body = *input,
                            .destroy = destroy_input};
    int rc = pen_inbox_post(self->actor.core, &post, err);
    if (rc == 0)
        *input = NULL;
    return rc;
}

/* On success the input owns *message. */
static int make_agent_message(const struct pen_link *link, Pen__FromAgent **message,
                              Pen__Input **ret_input, struct pen_error *err)
{
    Pen__Input *input = malloc(sizeof *input);
    Pen__AgentMessage *body = malloc(sizeof *body);
    char *id = strdup(link->who.id);
    if (input == NULL || body == NULL || id == NULL) {
        free(input);
        free(body);
        free(id);
        return pen_fail(err, PEN_ENOMEM, "no memory for a message of '%s'", link->who.id);
    }
    pen__input__init(input);
    pen__agent_message__init(body);
    body->agent_id = id;
    body->has_from_token = true;
    body->from_token = link->who.token;
    body->has_link = true;
    body->link = link->number;
    body->message = TAKE_PTR(*message);
    input->what_case = PEN__INPUT__WHAT_AGENT_MESSAGE;
    input->agent_message = body;
    *ret_input = input;
    return 0;
}

static int make_agent_gone(const struct pen_link *link, Pen__Input **ret_input,
                           struct pen_error *err)
{
    Pen__Input *input = malloc(sizeof *input);
    Pen__AgentGone *body = malloc(sizeof *body);
    char *id = strdup(link->who.id);
    if (input == NULL || body == NULL || id == NULL) {
        free(input);
        free(body);
        free(id);
        return pen_fail(err, PEN_ENOMEM, "no memory to say that '%s' is gone", link->who.id);
    }
    pen__input__init(input);
    pen__agent_gone__init(body);
    body->agent_id = id;
    body->has_link = true;
    body->link = link->number;
    input->what_case = PEN__INPUT__WHAT_AGENT_GONE;
    input->agent_gone = body;
    *ret_input = input;
    return 0;
}

/* The agent sends again what it gets no answer to, so a message that the core cannot take is
 * dropped. */
static void note_dropped(struct pen_dispatch *self, const struct pen_error *err)
{
    self->dropped_count++;
    int64_t now_ms = pen_clock_monotonic_ms();
    if (self->busy_logged_ms != 0 && now_ms - self->busy_logged_ms < LOG_INTERVAL_MS)
        return;
    pen_log(PEN_LOG_WARNING, "messages of agents dropped", "count=%" PRIu64 " reason=\"%s\"",
            self->dropped_count, err->message);
    self->busy_logged_ms = now_ms;
    self->dropped_count = 0;
}

/* ---- from agents */

static void refuse(struct pen_dispatch *self, const struct pen_link *link, Pen__RefusedCode code,
                   char *message)
{
    Pen__Refused refused = PEN__REFUSED__INIT;
    refused.has_code = true;
    refused.code = code;
    refused.message = message;
    Pen__ToAgent answer = PEN__TO_AGENT__INIT;
    answer.body_case = PEN__TO_AGENT__BODY_REFUSED;
    answer.refused = &refused;
    (void)pen_plane_send_message(self->plane, link, &answer, &self->packed);
}

static void refuse_malformed(struct pen_dispatch *self, struct pen_link *link,
                             struct pen_error *err)
{
    pen_log(link->malformed_in_a_row == 0 ? PEN_LOG_WARNING : PEN_LOG_DEBUG, "malformed message",
            "agent=%s link=%" PRIu64 " reason=\"%s\"", link->who.id, link->number, err->message);
    refuse(self, link,
           err->code == PEN_ELIMIT ? PEN__REFUSED_CODE__LIMIT : PEN__REFUSED_CODE__UNSUPPORTED,
           err->message);
    link->malformed_in_a_row++;
    if (link->malformed_in_a_row >= PEN_LIMIT_MALFORMED_IN_A_ROW)
        pen_plane_cut(self->plane, link, "too many malformed messages in a row");
}

static void handle_message(struct pen_dispatch *self, const struct pen_plane_message *message)
{
    struct pen_error err;
    struct pen_link *link = message->link;
    PEN_CLEANUP(pen_message_destroy) Pen__FromAgent *body = NULL;
    int rc = pen_wire_unpack(&pen__from_agent__descriptor, message->bytes, message->size,
                             &pen_wire_control, (ProtobufCMessage **)&body, &err);
    if (rc == PEN_ENOMEM) {
        note_dropped(self, &err);
        return;
    }
    if (rc < 0) {
        refuse_malformed(self, link, &err);
        return;
    }
    link->malformed_in_a_row = 0;
    if (body->body_case == PEN__FROM_AGENT__BODY__NOT_SET) {
        char text[] = "this controller does not know that kind of message";
        refuse(self, link, PEN__REFUSED_CODE__UNSUPPORTED, text);
        return;
    }
    PEN_CLEANUP(pen_message_destroy) Pen__Input *input = NULL;
    rc = make_agent_message(link, &body, &input, &err);
    if (rc < 0 || post_input(self, &input, &err) < 0)
        note_dropped(self, &err);
}

/* An agent that is gone says so no second time: the core has to learn of it, if later. */
static void tell_gone(struct pen_dispatch *self)
{
    struct pen_link *link;
    self->posts_pending = false;
    while ((link = pen_plane_next_gone(self->plane)) != NULL) {
        struct pen_error err;
        PEN_CLEANUP(pen_message_destroy) Pen__Input *input = NULL;
        if (!link->who.token &&
            (make_agent_gone(link, &input, &err) < 0 || post_input(self, &input, &err) < 0)) {
            self->posts_pending = true;
            return;
        }
        pen_plane_told(self->plane, link);
    }
}

/* ---- effects */

static void send_to_agent(struct pen_dispatch *self, const Pen__AgentSend *effect)
{
    const struct pen_link *link = pen_plane_link(self->plane, effect->link, effect->agent_id);
    if (link == NULL || effect->message == NULL ||
        !pen_plane_send_message(self->plane, link, effect->message, &self->packed))
        pen_log(PEN_LOG_DEBUG, "not sent", "agent=%s link=%" PRIu64,
                effect->agent_id == NULL ? "" : effect->agent_id, effect->link);
}

static void perform(struct pen_dispatch *self, const Pen__Effect *effect)
{
    switch ((int)effect->what_case) {
    case PEN__EFFECT__WHAT_AGENT_SEND:
        send_to_agent(self, effect->agent_send);
        break;
    case PEN__EFFECT__WHAT_KEY_ALLOW:
        pen_plane_allow(self->plane, effect->key_allow);
        break;
    case PEN__EFFECT__WHAT_KEY_DENY:
        pen_plane_deny(self->plane, effect->key_deny);
        break;
    default:
        UNREACHABLE("an effect that the control plane does not perform");
    }
}

static void take_posts(struct pen_dispatch *self)
{
    struct pen_post posts[POSTS_A_TURN];
    size_t count = pen_inbox_take(self->actor.inbox, posts, POSTS_A_TURN);
    for (size_t i = 0; i < count; i++) {
        if (posts[i].kind == PEN_POST_EFFECT)
            perform(self, posts[i].body);
        else if (posts[i].kind == PEN_POST_STOP)
            self->actor.stopping = true;
        else if (posts[i].kind == PEN_POST_SERVE)
            self->closed = false;
        pen_post_release(&posts[i]);
    }
}

/* ---- the thread */

static int answer_knocks(struct pen_dispatch *self, struct pen_error *err)
{
    if (self->closed || !self->zap_socket.readable)
        return 0;
    pen_socket_used(&self->zap_socket);
    return pen_zap_answer(self->zap, ZAP_REQUESTS_A_TURN, err);
}

static int turn(void *context, struct pen_error *err)
{
    struct pen_dispatch *self = context;
    struct pen_socket *sockets[PEN_PLANE_SOCKETS + 1];
    pen_plane_sockets(self->plane, sockets);
    sockets[PEN_PLANE_SOCKETS] = &self->zap_socket;
    size_t count = PEN_PLANE_SOCKETS + (self->closed ? 0 : 1);
    struct pollfd inbox = {.fd = pen_inbox_fd(self->actor.inbox), .events = POLLIN};
    long timeout_ms = self->posts_pending ? RETRY_MS : pen_plane_timeout_ms(self->plane);
    int rc = pen_sockets_wait(sockets, count, &inbox, 1, timeout_ms, err);
    if (rc < 0 || (rc = pen_plane_watch(self->plane, err)) < 0)
        return rc;
    take_posts(self);
    if ((rc = answer_knocks(self, err)) < 0)
        return rc;
    struct pen_plane_message message;
    for (unsigned i = 0; i < MESSAGES_A_TURN && pen_plane_receive(self->plane, &message); i++)
        handle_message(self, &message);
    tell_gone(self);
    return 0;
}

/* ---- start and stop */

static int open_sockets(struct pen_dispatch *self, const struct pen_dispatch_options *options,
                        struct pen_error *err)
{
    self->zmq_context = zmq_ctx_new();
    if (self->zmq_context == NULL || zmq_ctx_set(self->zmq_context, ZMQ_IO_THREADS, IO_THREADS) < 0)
        return pen_fail(err, PEN_EIO, "no ZeroMQ context: %s", zmq_strerror(zmq_errno()));
    int rc = pen_keyring_create(&self->keys, err);
    if (rc < 0 || (rc = pen_zap_create(self->zmq_context, self->keys, &self->zap, err)) < 0)
        return rc;
    const struct pen_plane_options plane = {
        .name = "control",
        .address = options->address,
        .zmq_context = self->zmq_context,
        .io_thread = CONTROL_IO_THREAD,
        .server_keys = options->server_keys,
        .keys = self->keys,
        .tokens = true,
        .message_bytes_max = PEN_LIMIT_CONTROL_MESSAGE_BYTES,
        .send_queue_max = PEN_LIMIT_CONTROL_SEND_QUEUE,
        .undelivered_bytes_max = PEN_LIMIT_CONTROL_UNDELIVERED_BYTES,
        .links_per_identity_max = PEN_LIMIT_LINKS_PER_IDENTITY,
    };
    if ((rc = pen_plane_create(&plane, &self->plane, err)) < 0)
        return rc;
    rc = pen_zap_self_test(self->zmq_context, pen_plane_endpoint(self->plane),
                           options->server_keys->public_key, self->zap, err);
    return rc < 0 ? rc : pen_socket_set(&self->zap_socket, pen_zap_socket(self->zap), err);
}

int pen_dispatch_start(const struct pen_dispatch_options *options,
                       struct pen_dispatch **ret_dispatch, struct pen_error *err)
{
    PEN_CLEANUP(pen_dispatch_stop) struct pen_dispatch *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the control plane");
    self->closed = options->closed_at_first;
    self->actor = (struct pen_actor){.who = PEN_THREAD_DISPATCH,
                                     .name = "dispatch",
                                     .turn = turn,
                                     .context = self,
                                     .core = options->core};
    int rc = pen_actor_open(&self->actor, INBOX_POSTS_MAX, err);
    if (rc < 0 || (rc = open_sockets(self, options, err)) < 0 ||
        (rc = pen_actor_start(&self->actor, err)) < 0)
        return rc;
    *ret_dispatch = TAKE_PTR(self);
    return 0;
}

const char *pen_dispatch_endpoint(const struct pen_dispatch *self)
{
    return pen_plane_endpoint(self->plane);
}

struct pen_inbox *pen_dispatch_inbox(struct pen_dispatch *self)
{
    return self->actor.inbox;
}

void *pen_dispatch_context(struct pen_dispatch *self)
{
    return self->zmq_context;
}

void pen_dispatch_stop(struct pen_dispatch **self_p)
{
    struct pen_dispatch *self = TAKE_PTR(*self_p);
    if (self == NULL)
        return;
    pen_actor_stop(&self->actor);
    pen_plane_destroy(&self->plane);
    pen_zap_destroy(&self->zap);
    pen_keyring_destroy(&self->keys);
    pen_buf_release(&self->packed);
    while (self->zmq_context != NULL && zmq_ctx_term(self->zmq_context) < 0)
        CHECK(zmq_errno() == EINTR);
    free(self);
}
