/* controller/http/listener.h - the listening socket */
#ifndef PEN_CONTROLLER_HTTP_LISTENER_H
#define PEN_CONTROLLER_HTTP_LISTENER_H

#include "common/base/buf.h"
#include "common/base/error.h"

/* Bind "127.0.0.1:7480" or "[::1]:7480" (numeric; port 0 picks a free one) and listen. The endpoint
 * is "http://127.0.0.1:7480" with the real port. Errors: PEN_EINVAL, PEN_EDENIED, PEN_EIO. */
int pen_listener_open(const char *address, int *ret_fd, struct pen_buf *ret_endpoint,
                      struct pen_error *err);

#endif
