/* A door over a store of its own, with a core that answers as the test says. */
#ifndef PEN_TESTS_UNIT_HTTP_FIXTURE_H
#define PEN_TESTS_UNIT_HTTP_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/base/units.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/keys/digest.h"
#include "common/log/log.h"
#include "common/wire/wire.h"
#include "controller/artifacts/layout.h"
#include "controller/auth/access_keys.h"
#include "controller/http/http.h"
#include "controller/post/post.h"
#include "controller/store/store.h"

#define KEY_ID  "AKIATESTTESTTESTTEST"
#define SECRET  "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define ACCOUNT "000000000000"
#define ARN     "arn:aws:iam::" ACCOUNT ":user/admin"

struct fixture;
/* Fills the reply; returns false to stay silent. */
typedef bool core_answer(struct fixture *fixture, const Pen__Input *input, Pen__Reply *reply);

struct fixture {
    char dir[64];
    struct pen_store *store;
    struct pen_sealer *sealer;
    struct pen_curve_pair keys;
    struct pen_inbox *core;
    struct pen_http *http;
    pthread_t thread;
    core_answer *answer;
    core_answer *health; /* what it says when /readyz asks it; NULL: nothing is wrong */
    pthread_mutex_t mutex;
    pthread_cond_t seen;
    unsigned health_inputs; /* taken by the core so far, of /readyz */
    unsigned inputs;        /* taken by the core so far */
    Pen__Input *last_input; /* copy of the latest */
    int port;
};

struct response {
    int status; /* 0: the connection ended without an answer */
    struct pen_buf head;
    struct pen_buf body;
    json_t *json;
};

static inline void response_release(struct response *self)
{
    pen_buf_release(&self->head);
    pen_buf_release(&self->body);
    json_decref(self->json);
    self->json = NULL;
}

static inline void destroy_message(void *body)
{
    pen_message_destroy(&body);
}

static inline void post_effect(struct fixture *f, const Pen__Effect *effect)
{
    ProtobufCMessage *copy = NULL;
    assert_int_equal(pen_wire_copy(effect, &copy, NULL), 0);
    const struct pen_post post = {
        .kind = PEN_POST_EFFECT, .body = copy, .destroy = destroy_message};
    assert_int_equal(pen_inbox_post(pen_http_inbox(f->http), &post, NULL), 0);
}

static inline void core_reply(struct fixture *f, const Pen__Input *input, core_answer *answer)
{
    Pen__Reply reply = PEN__REPLY__INIT;
    reply.has_correlation = true;
    reply.correlation = input->correlation;
    Pen__Effect effect = PEN__EFFECT__INIT;
    effect.what_case = PEN__EFFECT__WHAT_REPLY;
    effect.reply = &reply;
    if (answer == NULL || answer(f, input, &reply))
        post_effect(f, &effect);
}

static inline void core_take(struct fixture *f, const Pen__Input *input)
{
    bool asks = input->what_case == PEN__INPUT__WHAT_GET_HEALTH; /* for /readyz: none of a test's */
    pthread_mutex_lock(&f->mutex);
    if (asks) {
        f->health_inputs++;
        pthread_mutex_unlock(&f->mutex);
        core_reply(f, input, f->health);
        return;
    }
    pen_message_destroy(&f->last_input);
    assert_int_equal(pen_wire_copy(input, (ProtobufCMessage **)&f->last_input, NULL), 0);
    f->inputs++;
    pthread_cond_broadcast(&f->seen);
    pthread_mutex_unlock(&f->mutex);
    core_reply(f, input, f->answer);
}

static inline void *core_run(void *context)
{
    struct fixture *f = context;
    for (;;) {
        struct pollfd source = {.fd = pen_inbox_fd(f->core), .events = POLLIN};
        (void)poll(&source, 1, -1);
        struct pen_post post;
        while (pen_inbox_take(f->core, &post, 1) == 1) {
            bool stop = post.kind == PEN_POST_STOP;
            if (post.kind == PEN_POST_INPUT)
                core_take(f, post.body);
            pen_post_release(&post);
            if (stop)
                return NULL;
        }
    }
}

static inline int open_connection(const struct fixture *f)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    const struct timeval limit = {.tv_sec = 40};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
}

static inline void send_all(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent < 0)
            return; /* refused meanwhile: the answer tells */
        at += sent;
        size -= (size_t)sent;
    }
}

/* One answer; the connection may stay open. */
static inline void receive(int fd, struct response *ret)
{
    *ret = (struct response){.status = 0};
    char bytes[4096];
    char *end = NULL;
    while ((end = strstr(pen_buf_text(&ret->head), "\r\n\r\n")) == NULL) {
        ssize_t got = recv(fd, bytes, 1, 0);
        if (got <= 0)
            return;
        pen_buf_append(&ret->head, bytes, (size_t)got);
        if (ret->head.size > 4 &&
            strcmp(pen_buf_text(&ret->head), "HTTP/1.1 100 Continue\r\n\r\n") == 0)
            pen_buf_clear(&ret->head);
    }
    ret->status = (int)strtol(pen_buf_text(&ret->head) + strlen("HTTP/1.1 "), NULL, 10);
    const char *length = strstr(pen_buf_text(&ret->head), "Content-Length: ");
    size_t size = length == NULL ? 0 : strtoul(length + strlen("Content-Length: "), NULL, 10);
    while (ret->body.size < size) {
        size_t wanted = size - ret->body.size < sizeof bytes ? size - ret->body.size : sizeof bytes;
        ssize_t got = recv(fd, bytes, wanted, 0);
        if (got <= 0)
            return;
        pen_buf_append(&ret->body, bytes, (size_t)got);
    }
    ret->json = json_loads(pen_buf_text(&ret->body), 0, NULL);
}

static inline void exchange_raw(const struct fixture *f, const void *bytes, size_t size,
                                struct response *ret)
{
    int fd = open_connection(f);
    send_all(fd, bytes, size);
    receive(fd, ret);
    close(fd);
}

static inline void exchange_text(const struct fixture *f, const char *text, struct response *ret)
{
    exchange_raw(f, text, strlen(text), ret);
}

static inline void hash_hex(const void *bytes, size_t size, char ret_text[65])
{
    uint8_t digest[32];
    pen_sha256(bytes, size, digest);
    pen_hex_encode(digest, 32, ret_text);
}

/* A signed request as bytes. */
static inline void make_request(const struct fixture *f, const char *target, const void *body,
                                size_t size, const char *secret, struct pen_buf *ret)
{
    const char *service = strncmp(target, "Penstock", 8) == 0 ? "penstock" : "codepipeline";
    char date[PEN_TIME_COMPACT_SIZE];
    pen_time_format_compact(pen_clock_wall_ms(), date);
    char body_hash[65];
    hash_hex(body, size, body_hash);
    PEN_CLEANUP(pen_buf_release) struct pen_buf canonical = {0};
    pen_buf_printf(
        &canonical,
        "POST\n/\n\ncontent-type:application/x-amz-json-1.1\nhost:127.0.0.1:%d\n"
        "x-amz-date:%s\nx-amz-target:%s\n\ncontent-type;host;x-amz-date;x-amz-target\n%s",
        f->port, date, target, body_hash);
    char hash[65];
    hash_hex(canonical.data, canonical.size, hash);
    char text[512];
    snprintf(text, sizeof text, "AWS4-HMAC-SHA256\n%s\n%.8s/us-east-1/%s/aws4_request\n%s", date,
             date, service, hash);
    char first[128];
    snprintf(first, sizeof first, "AWS4%s", secret);
    uint8_t key[32];
    uint8_t next[32];
    pen_hmac_sha256(first, strlen(first), date, 8, key);
    pen_hmac_sha256(key, 32, "us-east-1", 9, next);
    pen_hmac_sha256(next, 32, service, strlen(service), key);
    pen_hmac_sha256(key, 32, "aws4_request", 12, next);
    pen_hmac_sha256(next, 32, text, strlen(text), key);
    pen_hex_encode(key, 32, hash);
    pen_buf_printf(ret,
                   "POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                   "Content-Type: application/x-amz-json-1.1\r\nX-Amz-Date: %s\r\n"
                   "X-Amz-Target: %s\r\nAuthorization: AWS4-HMAC-SHA256 Credential=%s/%.8s/"
                   "us-east-1/%s/aws4_request, SignedHeaders=content-type;host;x-amz-date;"
                   "x-amz-target, Signature=%s\r\nContent-Length: %zu\r\n\r\n",
                   f->port, date, target, KEY_ID, date, service, hash, size);
    pen_buf_append(ret, body, size);
}

static inline void call_bytes(const struct fixture *f, const char *target, const void *body,
                              size_t size, struct response *ret)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf request = {0};
    make_request(f, target, body, size, SECRET, &request);
    exchange_raw(f, request.data, request.size, ret);
}

static inline void call(const struct fixture *f, const char *target, const char *body,
                        struct response *ret)
{
    call_bytes(f, target, body, strlen(body), ret);
}

#define PIPELINE_OP(name) "CodePipeline_20150709." name
#define PENSTOCK_OP(name) "Penstock_20261101." name

static inline const char *error_of(const struct response *response)
{
    const char *name = json_string_value(json_object_get(response->json, "__type"));
    return name == NULL ? "" : name;
}

/* Commit one row. */
static inline void put_row(struct fixture *f, Pen__RowKind kind, const char *key,
                           const char *pipeline, const char *execution, uint64_t order,
                           const void *message)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf body = {0};
    assert_int_equal(pen_wire_pack(message, &body, NULL), 0);
    struct pen_row row = {.kind = kind,
                          .key = (char *)(uintptr_t)key,
                          .pipeline = (char *)(uintptr_t)pipeline,
                          .execution = (char *)(uintptr_t)execution,
                          .order = order,
                          .live = true,
                          .body = body.data,
                          .body_size = body.size};
    struct pen_engine_out out = {.rows = &row, .rows_count = 1, .rows_capacity = 1};
    struct pen_error err;
    if (pen_store_commit(f->store, &out, &err) < 0)
        fail_msg("%s", err.message);
}

static inline void load_key(struct fixture *f)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf sealed = {0};
    assert_int_equal(
        pen_seal(f->sealer, PEN_ACCESS_KEY_SEAL_CONTEXT, SECRET, strlen(SECRET), &sealed, NULL), 0);
    Pen__AccessKeyRow row = PEN__ACCESS_KEY_ROW__INIT;
    row.id = (char *)(uintptr_t)KEY_ID;
    row.principal_arn = (char *)(uintptr_t)ARN;
    row.has_sealed_secret = true;
    row.sealed_secret = (ProtobufCBinaryData){.len = sealed.size, .data = sealed.data};
    Pen__KeyLoaded loaded = PEN__KEY_LOADED__INIT;
    loaded.access_key = &row;
    Pen__Effect effect = PEN__EFFECT__INIT;
    effect.what_case = PEN__EFFECT__WHAT_KEY_LOADED;
    effect.key_loaded = &loaded;
    post_effect(f, &effect);
}

/* All is loaded; returns when the door knows. */
static inline void fixture_serve(struct fixture *f)
{
    const struct pen_post serve = {.kind = PEN_POST_SERVE};
    assert_int_equal(pen_inbox_post(pen_http_inbox(f->http), &serve, NULL), 0);
    for (int i = 0; i < 1000; i++) {
        struct response response;
        exchange_text(f, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", &response);
        int status = response.status;
        response_release(&response);
        if (status == 200)
            return;
        assert_int_equal(status, 503);
    }
    fail_msg("never ready");
}

/* A controller that has not loaded everything yet. */
static inline int fixture_start_closed(void **state)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    pen_log_init("test", PEN_LOG_ERROR);
    *f = (struct fixture){.mutex = PTHREAD_MUTEX_INITIALIZER, .seen = PTHREAD_COND_INITIALIZER};
    snprintf(f->dir, sizeof f->dir, "/tmp/pen-http-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    char path[512];
    snprintf(path, sizeof path, "%s/seal.key", f->dir);
    struct pen_error err = {0};
    if (pen_store_open(f->dir, &f->store, &err) < 0 ||
        pen_sealer_create(path, &f->sealer, &err) < 0 || pen_curve_pair_make(&f->keys, &err) < 0 ||
        pen_inbox_create(1024, &f->core, &err) < 0)
        fail_msg("%s", err.message);
    const struct pen_http_options options = {.dir = f->dir,
                                             .address = "127.0.0.1:0",
                                             .account = ACCOUNT,
                                             .region = "us-east-1",
                                             .sealer = f->sealer,
                                             .server_keys = &f->keys,
                                             .core = f->core};
    if (pen_http_start(&options, &f->http, &err) < 0)
        fail_msg("%s", err.message);
    f->port = (int)strtol(strrchr(pen_http_endpoint(f->http), ':') + 1, NULL, 10);
    assert_int_equal(pthread_create(&f->thread, NULL, core_run, f), 0);
    load_key(f);
    *state = f;
    return 0;
}

static inline int fixture_start(void **state)
{
    int rc = fixture_start_closed(state);
    fixture_serve(*state);
    return rc;
}

static inline int fixture_stop(void **state)
{
    struct fixture *f = *state;
    pen_http_stop(&f->http);
    const struct pen_post stop = {.kind = PEN_POST_STOP};
    assert_int_equal(pen_inbox_post(f->core, &stop, NULL), 0);
    pthread_join(f->thread, NULL);
    pen_inbox_destroy(&f->core);
    pen_store_close(&f->store);
    pen_sealer_destroy(&f->sealer);
    pen_message_destroy(&f->last_input);
    return pen_dir_remove_tree(f->dir, NULL);
}

/* Until the core has taken this many inputs. */
static inline void wait_for_inputs(struct fixture *f, unsigned count)
{
    pthread_mutex_lock(&f->mutex);
    while (f->inputs < count)
        pthread_cond_wait(&f->seen, &f->mutex);
    pthread_mutex_unlock(&f->mutex);
}

#endif
