/* controller/services/cidr.h - ranges of addresses: 10.0.0.0/8, 2001:db8::/32 */
#ifndef PEN_CONTROLLER_SERVICES_CIDR_H
#define PEN_CONTROLLER_SERVICES_CIDR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/base/error.h"

/* IPv4 is kept as IPv6 has it (::ffff:10.0.0.0/104), so that both ways to write it are one. */
struct pen_cidr {
    uint8_t address[16];
    unsigned bits;
};

/* Errors: PEN_EINVAL. */
int pen_cidr_parse(const char *text, struct pen_cidr *ret_cidr, struct pen_error *err);

/* Whether a peer is in the range; one that has no IP address is in none. */
bool pen_cidr_contains(const struct pen_cidr *self, const struct sockaddr *peer);

#endif
