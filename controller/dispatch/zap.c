#include "controller/dispatch/zap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/keys/digest.h"

/* Stands in the draft part of zmq.h; the library honours it all the same, which we check. */
#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"
#define ZAP_DOMAIN   "penstock"

enum {
    REQUEST_FRAMES = 7, /* version, request, domain, address, identity, mechanism, key */
    FRAME_BYTES_MAX = 256,
    HANDSHAKE_MS = 4000, /* a slot held by a peer that says nothing is free again after this */
};

struct pen_zap {
    void *socket;
    const struct pen_keyring *keys;
};

struct frame {
    char bytes[FRAME_BYTES_MAX];
    size_t size;
};

static int fail_zmq(struct pen_error *err, const char *what)
{
    return pen_fail(err, PEN_EIO, "%s: %s", what, zmq_strerror(zmq_errno()));
}

int pen_zap_create(void *zmq_context, const struct pen_keyring *keys, struct pen_zap **ret_zap,
                   struct pen_error *err)
{
    PEN_CLEANUP(pen_zap_destroy) struct pen_zap *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the ZAP handler");
    self->keys = keys;
    /* A ROUTER, not a REP: one lost reply must not leave the handler waiting for ever. */
    self->socket = zmq_socket(zmq_context, ZMQ_ROUTER);
    if (self->socket == NULL)
        return fail_zmq(err, "no socket for the ZAP handler");
    int no_linger = 0;
    if (zmq_setsockopt(self->socket, ZMQ_LINGER, &no_linger, sizeof no_linger) < 0 ||
        zmq_bind(self->socket, ZAP_ENDPOINT) < 0)
        return fail_zmq(err, "cannot bind the ZAP handler");
    *ret_zap = TAKE_PTR(self);
    return 0;
}

void pen_zap_destroy(struct pen_zap **self_p)
{
    struct pen_zap *self = TAKE_PTR(*self_p);
    if (self == NULL)
        return;
    if (self->socket != NULL)
        CHECK(zmq_close(self->socket) == 0);
    free(self);
}

void *pen_zap_socket(const struct pen_zap *self)
{
    return self->socket;
}

/* Read all frames of one request: routing id, empty frame, then REQUEST_FRAMES. Returns how many
 * there were, 0 when no request waits; frames beyond the array are read and dropped. */
static size_t read_request(void *socket, struct frame *frames, size_t frames_max)
{
    size_t count = 0;
    int more = 1;
    while (more) {
        struct frame spare;
        /* cppcheck-suppress uninitvar ; only its address is taken: zmq_recv writes it */
        struct frame *frame = count < frames_max ? &frames[count] : &spare;
        int size = zmq_recv(socket, frame->bytes, sizeof frame->bytes, ZMQ_DONTWAIT);
        if (size < 0)
            return 0;
        /* zmq_recv tells the true size of a frame that it had to cut; no honest one is so long. */
        frame->size = (size_t)size <= sizeof frame->bytes ? (size_t)size : 0;
        count++;
        size_t more_size = sizeof more;
        if (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &more_size) < 0)
            return 0;
    }
    return count;
}

static bool frame_is(const struct frame *frame, const char *text)
{
    return frame->size == strlen(text) && memcmp(frame->bytes, text, frame->size) == 0;
}

/* One property in ZMTP form: length and name, then length (4 bytes, network order) and value. */
static size_t put_property(char *to, const char *name, const char *value)
{
    size_t name_size = strlen(name);
    size_t value_size = strlen(value);
    to[0] = (char)name_size;
    memcpy(to + 1, name, name_size);
    char *at = to + 1 + name_size;
    for (int i = 0; i < 4; i++)
        at[i] = (char)(value_size >> (8 * (3 - i)) & 0xff);
    memcpy(at + 4, value, value_size);
    return 1 + name_size + 4 + value_size;
}

static int reply(struct pen_zap *self, const struct frame *request, const struct pen_identity *who,
                 struct pen_error *err)
{
    char user[PEN_KEY_ID_MAX + 3] = "";
    char metadata[16 + PEN_KEY_TEXT] = "";
    size_t metadata_size = 0;
    if (who != NULL) {
        user[0] = who->token ? 't' : 'a';
        user[1] = ':';
        CHECK(pen_str_copy(user + 2, sizeof user - 2, who->id));
        metadata_size = put_property(metadata, "X-Key", who->key_text);
    }
    const char *status = who != NULL ? "200" : "400";
    const char *text = who != NULL ? "OK" : "unknown key";
    const struct {
        const void *bytes;
        size_t size;
    } frames[] = {{request[0].bytes, request[0].size},
                  {"", 0},
                  {"1.0", 3},
                  {request[3].bytes, request[3].size},
                  {status, 3},
                  {text, strlen(text)},
                  {user, strlen(user)},
                  {metadata, metadata_size}};
    size_t count = sizeof frames / sizeof frames[0];
    for (size_t i = 0; i < count; i++) {
        int flags = ZMQ_DONTWAIT | (i + 1 < count ? ZMQ_SNDMORE : 0);
        if (zmq_send(self->socket, frames[i].bytes, frames[i].size, flags) < 0)
            return fail_zmq(err, "the ZAP handler cannot reply");
    }
    return 0;
}

int pen_zap_answer(struct pen_zap *self, unsigned requests_max, struct pen_error *err)
{
    for (unsigned i = 0; i < requests_max; i++) {
        struct frame frames[2 + REQUEST_FRAMES];
        size_t count = read_request(self->socket, frames, 2 + REQUEST_FRAMES);
        if (count == 0)
            return 0;
        if (count < 4)
            continue; /* no request id to answer to; the peer's handshake times out */
        const struct pen_identity *who = NULL;
        if (count == 2 + REQUEST_FRAMES && frame_is(&frames[2], "1.0") &&
            frame_is(&frames[4], ZAP_DOMAIN) && frame_is(&frames[7], "CURVE") &&
            frames[8].size == PEN_CURVE_KEY_SIZE) {
            char key_text[PEN_KEY_TEXT];
            pen_hex_encode(frames[8].bytes, PEN_CURVE_KEY_SIZE, key_text);
            who = pen_keyring_find(self->keys, key_text);
        }
        int rc = reply(self, frames, who, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int pen_zap_guard(void *zmq_socket, const struct pen_curve_pair *server_keys, struct pen_error *err)
{
    int major, minor, patch;
    zmq_version(&major, &minor, &patch);
    if (major < 4 || (major == 4 && (minor < 3 || (minor == 3 && patch < 4))))
        return pen_fail(err, PEN_EUNSUPPORTED,
                        "libzmq %d.%d.%d has known holes; 4.3.4 or newer is needed", major, minor,
                        patch);
    const int yes = 1;
    const int handshake_ms = HANDSHAKE_MS;
    if (zmq_setsockopt(zmq_socket, ZMQ_CURVE_SERVER, &yes, sizeof yes) < 0 ||
        zmq_setsockopt(zmq_socket, ZMQ_CURVE_SECRETKEY, server_keys->secret_key,
                       PEN_CURVE_KEY_SIZE) < 0 ||
        zmq_setsockopt(zmq_socket, ZMQ_ZAP_DOMAIN, ZAP_DOMAIN, strlen(ZAP_DOMAIN)) < 0 ||
        zmq_setsockopt(zmq_socket, ZMQ_HANDSHAKE_IVL, &handshake_ms, sizeof handshake_ms) < 0)
        return fail_zmq(err, "cannot make the socket a CURVE server");
    if (zmq_setsockopt(zmq_socket, ZMQ_ZAP_ENFORCE_DOMAIN, &yes, sizeof yes) < 0)
        return pen_fail(err, PEN_EUNSUPPORTED, "this libzmq cannot insist on a ZAP handler: %s",
                        zmq_strerror(zmq_errno()));
    return 0;
}
