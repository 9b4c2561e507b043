/* controller/auth/sigv4_parts.h - the pieces of pen_sigv4_verify: taking the Authorization header
 * apart, and the canonical form of a request. Inside this folder only. */
#ifndef PEN_CONTROLLER_AUTH_SIGV4_PARTS_H
#define PEN_CONTROLLER_AUTH_SIGV4_PARTS_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "controller/auth/sigv4.h"

enum {
    SIGV4_DATE_SIZE = 8,       /* yyyymmdd */
    SIGV4_SIGNATURE_SIZE = 64, /* lower-case hex */
    SIGV4_SCOPE_WORD_MAX = 63, /* region, service */
    SIGV4_SIGNED_MAX = 2048,   /* characters of the list of signed headers */
};

/* The Authorization header, taken apart. */
struct sigv4_claim {
    char key_id[PEN_ACCESS_KEY_ID_MAX + 1];
    char date[SIGV4_DATE_SIZE + 1];
    char region[SIGV4_SCOPE_WORD_MAX + 1];
    char service[SIGV4_SCOPE_WORD_MAX + 1];
    char signature[SIGV4_SIGNATURE_SIZE + 1];
    char signed_list[SIGV4_SIGNED_MAX + 1]; /* as sent: "a;b;c" */
    char signed_split[SIGV4_SIGNED_MAX + 1];
    const char *signed_names[PEN_SIGV4_HEADERS_MAX]; /* into signed_split; ascending */
    size_t signed_count;
};

/* Errors: PEN_EDENIED with IncompleteSignatureException. */
int sigv4_claim_parse(const char *authorization, struct sigv4_claim *ret_claim,
                      struct pen_error *err);

/* Whether this header (in lower case) is signed. */
bool sigv4_claim_signs(const struct sigv4_claim *claim, const char *lower_name);

/* The value of the only header of this name (given in lower case). *ret_count says how many there
 * are; NULL unless exactly one. */
const char *sigv4_header(const struct pen_sigv4_request *request, const char *lower_name,
                         size_t *ret_count);

/* Whether the query carries a member of a presigned request. */
bool sigv4_query_is_signed(const char *target);

/* Append the canonical request; payload_hash is lower-case hex. Errors: PEN_EDENIED with
 * IncompleteSignatureException (bad escape, too many parameters), PEN_ENOMEM. */
int sigv4_canonical(const struct pen_sigv4_request *request, const struct sigv4_claim *claim,
                    const char *payload_hash, struct pen_buf *ret_text, struct pen_error *err);

#endif
