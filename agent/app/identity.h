/* agent/app/identity.h - who this agent is, and to whom it belongs
 *
 *     DIR/keys         its CURVE key pair, made at the first start: the identity itself
 *     DIR/agent.json   controller's address and public key, agent id, slots; written when enrolled
 */
#ifndef PEN_AGENT_APP_IDENTITY_H
#define PEN_AGENT_APP_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/app/options.h"
#include "common/base/error.h"
#include "common/keys/curve.h"

struct pen_identity {
    char host[256];
    uint16_t port;
    uint8_t server_public_key[PEN_CURVE_KEY_SIZE];
    struct pen_curve_pair pair;
    char agent_id[128]; /* "" when the controller has not told it */
    bool enrolled;
};

/* "HOST:PORT" or "[v6]:PORT", also with "tcp://" before it. Errors: PEN_EINVAL. */
int pen_address_parse(const char *text, char *ret_host, size_t host_size, uint16_t *ret_port,
                      struct pen_error *err);

/* Load or make the keys; load agent.json if it is there. --controller overrides the address.
 * Errors: PEN_EINVAL (no token at the first start), PEN_ECORRUPT, PEN_EDENIED, PEN_EIO. */
int pen_identity_open(const struct pen_agent_options *options, struct pen_identity *ret_identity,
                      struct pen_error *err);

/* Spend the token: connect with its key, offer our public key, and store what comes of it. Waits
 * for the controller as long as it takes. stop_fd: readable when it should be given up
 * (PEN_ETIMEOUT). Errors: PEN_EDENIED (spent, expired or revoked), PEN_EINVAL, PEN_EIO. */
int pen_identity_enroll(struct pen_identity *self, const struct pen_agent_options *options,
                        int stop_fd, struct pen_error *err);

#endif
