/* controller/auth/sigv4.h - the one function that says who sends a request
 *
 *     raw target, headers, body --> pen_sigv4_verify --> principal, or a named refusal
 *
 * Signature Version 4 in its header form. There is one path through the checks and none may be
 * skipped: host, x-amz-date and every x-amz-* header must be signed; the body is always hashed here
 * and a declared hash has to agree; unsigned and streamed payloads, signatures in the query, and
 * scopes of another day, region or service are refused; the clock may differ by 5 minutes. An
 * unknown key costs the same work as a known one.
 */
#ifndef PEN_CONTROLLER_AUTH_SIGV4_H
#define PEN_CONTROLLER_AUTH_SIGV4_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "controller/auth/access_keys.h"

enum {
    PEN_SIGV4_SKEW_MS =
        5 * 60 * 1000, /* the services of AWS allow 15: a captured request lives shorter here */
    PEN_SIGV4_HEADERS_MAX = 64, /* signed headers */
    PEN_SIGV4_QUERY_MAX = 64,   /* query parameters */
};

struct pen_sigv4_header {
    const char *name; /* in any case */
    const char *value;
};

/* All borrowed. */
struct pen_sigv4_request {
    const char *method;
    const char *target; /* raw, as it stood in the request line: path and query */
    const struct pen_sigv4_header *headers;
    size_t headers_count;
    const void *body;
    size_t body_size;
    const char *service; /* that the scope must name */
    const char *region;
    int64_t now_ms; /* wall clock */
};

struct pen_principal {
    char arn[PEN_PRINCIPAL_ARN_MAX + 1]; /* arn:aws:iam::ACCOUNT:user/NAME */
    char access_key_id[PEN_ACCESS_KEY_ID_MAX + 1];
};

/* *ret_principal is untouched on failure. Errors, all PEN_EDENIED but the last:
 * MissingAuthenticationTokenException, IncompleteSignatureException, UnrecognizedClientException,
 * InvalidSignatureException; PEN_ENOMEM. */
int pen_sigv4_verify(const struct pen_access_keys *keys, const struct pen_sigv4_request *request,
                     struct pen_principal *ret_principal, struct pen_error *err);

#endif
