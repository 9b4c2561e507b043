/* agent/link/resolve.h - the addresses behind a host's name, asked for without waiting
 *
 * The C library answers when it likes; so a thread of its own asks it, and says what it heard
 * through a socket. Nothing else is shared: who no longer wants the answer walks away.
 *
 *     pen_resolve_start(host, &resolve, err);
 *     when pen_resolve_fd(resolve) is readable:
 *         pen_resolve_take(resolve, &addresses, err), pen_resolve_destroy(&resolve)
 */
#ifndef PEN_AGENT_LINK_RESOLVE_H
#define PEN_AGENT_LINK_RESOLVE_H

#include <netinet/in.h>
#include <stddef.h>

#include "common/base/error.h"

enum { PEN_ADDRESSES_MAX = 8 };

struct pen_addresses {
    size_t count;
    char text[PEN_ADDRESSES_MAX][INET6_ADDRSTRLEN]; /* numeric, in the order to be tried */
};

struct pen_resolve;

/* Ask for the addresses of this name, or numeric address. Errors: PEN_ENOMEM, PEN_EIO. */
int pen_resolve_start(const char *host, struct pen_resolve **ret_resolve, struct pen_error *err);
void pen_resolve_destroy(struct pen_resolve **self_p);

int pen_resolve_fd(const struct pen_resolve *self);

/* The answer, once the descriptor is readable; at least one address. Errors: PEN_ENOTFOUND, with
 * the C library's reason. */
int pen_resolve_take(struct pen_resolve *self, struct pen_addresses *ret_addresses,
                     struct pen_error *err);

#endif
