/* controller/dispatch/zap.h - who may connect: the ZAP handler, and the proof that it is asked
 *
 * libzmq fails open: without a handler at inproc://zeromq.zap.01, a CURVE server may let anybody
 * in. So the handler is bound before any ROUTER, each ROUTER insists on it (guarded, below), and at
 * start a connection with a key that nobody knows has to be refused.
 *
 * A connection that is let in carries on each of its messages the properties "User-Id", which is
 * "a:ID" for an agent and "t:ID" for a token, and "X-Key", its public key in hexadecimal.
 */
#ifndef PEN_CONTROLLER_DISPATCH_ZAP_H
#define PEN_CONTROLLER_DISPATCH_ZAP_H

#include <stdint.h>

#include "common/base/error.h"
#include "common/keys/curve.h"
#include "controller/dispatch/keyring.h"

struct pen_zap;

/* Bind the handler in this ZeroMQ context; it answers from the borrowed key ring. Errors: PEN_EIO
 * (there is a handler already). */
int pen_zap_create(void *zmq_context, const struct pen_keyring *keys, struct pen_zap **ret_zap,
                   struct pen_error *err);
void pen_zap_destroy(struct pen_zap **self_p);

/* The socket, for a poll set; readable while requests wait. */
void *pen_zap_socket(const struct pen_zap *self);

/* Answer up to requests_max waiting requests. Errors: PEN_EIO. */
int pen_zap_answer(struct pen_zap *self, unsigned requests_max, struct pen_error *err);

/* Make a ROUTER or other bindable socket a CURVE server that no key passes but by the handler.
 * Errors: PEN_EUNSUPPORTED (a libzmq too old, or one that cannot enforce). */
int pen_zap_guard(void *zmq_socket, const struct pen_curve_pair *server_keys,
                  struct pen_error *err);

/* Connect to endpoint with a fresh random key; `zap` (may be NULL) is answered meanwhile. 0 when
 * refused. Errors: PEN_EDENIED (let in, or not refused in time). */
int pen_zap_self_test(void *zmq_context, const char *endpoint,
                      const uint8_t server_public_key[PEN_CURVE_KEY_SIZE], struct pen_zap *zap,
                      struct pen_error *err);

#endif
