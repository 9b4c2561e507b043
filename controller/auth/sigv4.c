#include "controller/auth/sigv4.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/cleanup.h"
#include "common/base/units.h"
#include "common/keys/digest.h"
#include "controller/auth/sigv4_parts.h"

/* The work for an unknown key is done with this; its result is thrown away. */
static const char dummy_secret[] = "wJalrXUtnFEMIxK7MDENGxbPxRfiCYxNOxSUCHxKEY";

static int incomplete(struct pen_error *err, const char *why)
{
    return pen_fail_api(err, PEN_EDENIED, "IncompleteSignatureException", "%s.", why);
}

static int invalid(struct pen_error *err, const char *why)
{
    return pen_fail_api(err, PEN_EDENIED, "InvalidSignatureException", "%s.", why);
}

/* The claim of the one Authorization header. */
static int find_claim(const struct pen_sigv4_request *request, struct sigv4_claim *ret_claim,
                      struct pen_error *err)
{
    size_t count = 0;
    const char *authorization = sigv4_header(request, "authorization", &count);
    bool in_query = sigv4_query_is_signed(request->target);
    if (count == 0)
        return pen_fail_api(err, PEN_EDENIED, "MissingAuthenticationTokenException",
                            in_query ? "A signature in the query is not taken here; sign with the "
                                       "Authorization header."
                                     : "Missing Authentication Token: the request is not signed.");
    if (count > 1)
        return incomplete(err, "The request has more than one Authorization header");
    if (in_query)
        return incomplete(err, "A request is signed by header or by query, not by both");
    return sigv4_claim_parse(authorization, ret_claim, err);
}

/* Everything that changes what the request means has to be under the signature. */
static int check_signed(const struct pen_sigv4_request *request, const struct sigv4_claim *claim,
                        struct pen_error *err)
{
    if (!sigv4_claim_signs(claim, "host") || !sigv4_claim_signs(claim, "x-amz-date"))
        return incomplete(err, "host and x-amz-date must be signed");
    for (size_t i = 0; i < claim->signed_count; i++) {
        size_t count = 0;
        (void)sigv4_header(request, claim->signed_names[i], &count);
        if (count == 0)
            return pen_fail_api(err, PEN_EDENIED, "IncompleteSignatureException",
                                "Header %s is signed but not sent.", claim->signed_names[i]);
    }
    for (size_t i = 0; i < request->headers_count; i++) {
        const char *name = request->headers[i].name;
        if (strncasecmp(name, "x-amz-", strlen("x-amz-")) != 0)
            continue;
        bool is_signed = false;
        for (size_t k = 0; k < claim->signed_count && !is_signed; k++)
            is_signed = strcasecmp(claim->signed_names[k], name) == 0;
        if (!is_signed)
            return pen_fail_api(err, PEN_EDENIED, "IncompleteSignatureException",
                                "Header %.100s must be signed.", name);
    }
    return 0;
}

static int check_skew(const char *sent, int64_t sent_ms, int64_t now_ms, struct pen_error *err)
{
    char now[PEN_TIME_COMPACT_SIZE];
    char limit[PEN_TIME_COMPACT_SIZE];
    pen_time_format_compact(now_ms, now);
    if (sent_ms < now_ms - PEN_SIGV4_SKEW_MS) {
        pen_time_format_compact(now_ms - PEN_SIGV4_SKEW_MS, limit);
        return pen_fail_api(err, PEN_EDENIED, "InvalidSignatureException",
                            "Signature expired: %s is now earlier than %s (%s - 5 min.)", sent,
                            limit, now);
    }
    if (sent_ms > now_ms + PEN_SIGV4_SKEW_MS) {
        pen_time_format_compact(now_ms + PEN_SIGV4_SKEW_MS, limit);
        return pen_fail_api(err, PEN_EDENIED, "InvalidSignatureException",
                            "Signature not yet current: %s is still later than %s (%s + 5 min.)",
                            sent, limit, now);
    }
    return 0;
}

/* When, where and for what the signature is good. Hands out the text of x-amz-date. */
static int check_scope(const struct pen_sigv4_request *request, const struct sigv4_claim *claim,
                       const char **ret_sent, struct pen_error *err)
{
    size_t count = 0;
    const char *sent = sigv4_header(request, "x-amz-date", &count);
    int64_t sent_ms = 0;
    if (sent == NULL || pen_time_parse_compact(sent, &sent_ms, NULL) < 0)
        return incomplete(err, "x-amz-date must stand once, as yyyymmddThhmmssZ");
    if (strncmp(sent, claim->date, SIGV4_DATE_SIZE) != 0)
        return invalid(err, "The date in Credential is not that of x-amz-date");
    if (strcmp(claim->region, request->region) != 0)
        return pen_fail_api(err, PEN_EDENIED, "InvalidSignatureException",
                            "Credential should be scoped to region '%s'.", request->region);
    if (strcmp(claim->service, request->service) != 0)
        return pen_fail_api(err, PEN_EDENIED, "InvalidSignatureException",
                            "Credential should be scoped to service '%s'.", request->service);
    int rc = check_skew(sent, sent_ms, request->now_ms, err);
    if (rc < 0)
        return rc;
    *ret_sent = sent;
    return 0;
}

/* The hash is always our own; one that the client declares has to be the same. */
static int check_payload(const struct pen_sigv4_request *request, char ret_hash[PEN_SHA256_HEX],
                         struct pen_error *err)
{
    uint8_t digest[PEN_SHA256_SIZE];
    pen_sha256(request->body, request->body_size, digest);
    pen_hex_encode(digest, sizeof digest, ret_hash);
    size_t count = 0;
    const char *declared = sigv4_header(request, "x-amz-content-sha256", &count);
    if (count == 0)
        return 0;
    if (declared == NULL || strcmp(declared, ret_hash) != 0)
        return invalid(err, "x-amz-content-sha256 must be the SHA-256 of the body, in lower-case "
                            "hexadecimal; unsigned and streamed payloads are not taken");
    return 0;
}

static void sign(const char *secret, const struct sigv4_claim *claim, const char *text,
                 size_t text_size, char ret_signature[PEN_SHA256_HEX])
{
    char first[4 + PEN_ACCESS_KEY_SECRET_MAX + 1];
    int first_size = snprintf(first, sizeof first, "AWS4%s", secret);
    uint8_t key[PEN_SHA256_SIZE];
    uint8_t next[PEN_SHA256_SIZE];
    pen_hmac_sha256(first, (size_t)first_size, claim->date, SIGV4_DATE_SIZE, key);
    pen_hmac_sha256(key, sizeof key, claim->region, strlen(claim->region), next);
    pen_hmac_sha256(next, sizeof next, claim->service, strlen(claim->service), key);
    pen_hmac_sha256(key, sizeof key, "aws4_request", strlen("aws4_request"), next);
    pen_hmac_sha256(next, sizeof next, text, text_size, key);
    pen_hex_encode(key, sizeof key, ret_signature);
    explicit_bzero(first, sizeof first);
    explicit_bzero(next, sizeof next);
}

/* What is signed: algorithm, time, scope, hash of the canonical request. */
static int string_to_sign(const struct pen_sigv4_request *request, const struct sigv4_claim *claim,
                          const char *sent, const char *payload_hash, struct pen_buf *ret_text,
                          struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf canonical = {0};
    int rc = sigv4_canonical(request, claim, payload_hash, &canonical, err);
    if (rc < 0)
        return rc;
    uint8_t digest[PEN_SHA256_SIZE];
    char hash[PEN_SHA256_HEX];
    pen_sha256(canonical.data, canonical.size, digest);
    pen_hex_encode(digest, sizeof digest, hash);
    pen_buf_printf(ret_text, "AWS4-HMAC-SHA256\n%s\n%s/%s/%s/aws4_request\n%s", sent, claim->date,
                   claim->region, claim->service, hash);
    return pen_buf_ok(ret_text, err);
}

static int check_signature(const struct pen_access_keys *keys, const struct sigv4_claim *claim,
                           const struct pen_buf *text, const struct pen_access_key **ret_key,
                           struct pen_error *err)
{
    const struct pen_access_key *key = pen_access_keys_find(keys, claim->key_id);
    bool known = key != NULL && !key->disabled;
    char signature[PEN_SHA256_HEX];
    sign(known ? key->secret : dummy_secret, claim, pen_buf_text(text), text->size, signature);
    bool same = pen_equal_constant_time(signature, claim->signature, SIGV4_SIGNATURE_SIZE);
    if (!known)
        return pen_fail_api(err, PEN_EDENIED, "UnrecognizedClientException",
                            "The security token included in the request is invalid.");
    if (!same)
        return invalid(err, "The request signature we calculated does not match the signature you "
                            "provided. Check your secret access key and the signing method");
    *ret_key = key;
    return 0;
}

int pen_sigv4_verify(const struct pen_access_keys *keys, const struct pen_sigv4_request *request,
                     struct pen_principal *ret_principal, struct pen_error *err)
{
    struct sigv4_claim claim;
    int rc = find_claim(request, &claim, err);
    if (rc < 0 || (rc = check_signed(request, &claim, err)) < 0)
        return rc;
    const char *sent = NULL;
    char payload_hash[PEN_SHA256_HEX];
    if ((rc = check_scope(request, &claim, &sent, err)) < 0 ||
        (rc = check_payload(request, payload_hash, err)) < 0)
        return rc;
    size_t count = 0;
    (void)sigv4_header(request, "x-amz-security-token", &count);
    if (count > 0)
        return pen_fail_api(err, PEN_EDENIED, "UnrecognizedClientException",
                            "Session tokens are not issued by this controller.");
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    if ((rc = string_to_sign(request, &claim, sent, payload_hash, &text, err)) < 0)
        return rc;
    const struct pen_access_key *key = NULL;
    if ((rc = check_signature(keys, &claim, &text, &key, err)) < 0)
        return rc;
    (void)snprintf(ret_principal->arn, sizeof ret_principal->arn, "%s", key->principal_arn);
    (void)snprintf(ret_principal->access_key_id, sizeof ret_principal->access_key_id, "%s",
                   key->id);
    return 0;
}
