/* controller/http/guard.h - what a request head has to be, before its body is read
 *
 * The HTTP library is lenient where a proxy in front of us may read otherwise: two lengths, a
 * length and chunks, odd header names. Whatever two parsers could take differently is refused here,
 * and the connection is closed.
 */
#ifndef PEN_CONTROLLER_HTTP_GUARD_H
#define PEN_CONTROLLER_HTTP_GUARD_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "controller/auth/sigv4.h"

enum { PEN_HTTP_HEADERS_MAX = 100 };

struct pen_http_head {
    struct pen_sigv4_header headers[PEN_HTTP_HEADERS_MAX]; /* borrowed from the connection */
    size_t headers_count;
};

/* The headers of the request, as they came. Errors: PEN_ELIMIT (too many), PEN_EINVAL. */
int pen_http_head_read(struct MHD_Connection *connection, struct pen_http_head *ret_head,
                       struct pen_error *err);

/* Refuse what could be read in two ways. *ret_length is the Content-Length, 0 without one.
 * Errors: PEN_EINVAL, PEN_ELIMIT; a sentence for the client. */
int pen_http_head_check(const struct pen_http_head *head, const char *target, const char *version,
                        uint64_t *ret_length, struct pen_error *err);

/* The value of the only header of this name; NULL when there is none or several. */
const char *pen_http_head_get(const struct pen_http_head *head, const char *name);

#endif
