/* How a call that is not signed proves itself, and how one delivery is told from all others. */
#include <stdlib.h>
#include <string.h>

#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/keys/digest.h"
#include "controller/http/door.h"

/* The hex digest that a header gives is that of the body. */
static bool digest_proves(const char *hex, const struct pen_buf *secret, const struct pen_buf *body)
{
    uint8_t given[PEN_SHA256_SIZE];
    uint8_t wanted[PEN_SHA256_SIZE];
    if (pen_hex_decode(hex, given, sizeof given, NULL) < 0)
        return false;
    pen_hmac_sha256(secret->data, secret->size, body->data, body->size, wanted);
    return pen_equal_constant_time(given, wanted, sizeof wanted);
}

static bool sha1_proves(const char *text, const struct pen_buf *secret, const struct pen_buf *body)
{
    static const char prefix[] = "sha1=";
    uint8_t given[PEN_SHA1_SIZE];
    uint8_t wanted[PEN_SHA1_SIZE];
    if (!pen_str_starts_with(text, prefix) ||
        pen_hex_decode(text + strlen(prefix), given, sizeof given, NULL) < 0)
        return false;
    pen_hmac_sha1(secret->data, secret->size, body->data, body->size, wanted);
    return pen_equal_constant_time(given, wanted, sizeof wanted);
}

/* The texts are compared by their digests: the time tells nothing, not even a length. */
static bool text_proves(const char *text, const struct pen_buf *secret)
{
    uint8_t given[PEN_SHA256_SIZE];
    uint8_t wanted[PEN_SHA256_SIZE];
    pen_sha256(text, strlen(text), given);
    pen_sha256(secret->data, secret->size, wanted);
    return pen_equal_constant_time(given, wanted, sizeof wanted);
}

static enum http_proof proof_of(bool proven, enum http_proof kind)
{
    return proven ? kind : HTTP_UNPROVEN;
}

enum http_proof http_prove(const struct pen_http_head *head, const struct pen_buf *secret,
                           const struct pen_buf *body, bool sha1_too)
{
    static const char prefix[] = "sha256=";
    const char *github = pen_http_head_get(head, "x-hub-signature-256");
    if (github != NULL)
        return proof_of(pen_str_starts_with(github, prefix) &&
                            digest_proves(github + strlen(prefix), secret, body),
                        HTTP_PROVEN_BODY);
    const char *gitea = pen_http_head_get(head, "x-gitea-signature");
    if (gitea != NULL)
        return proof_of(digest_proves(gitea, secret, body), HTTP_PROVEN_BODY);
    const char *older = pen_http_head_get(head, "x-hub-signature");
    if (older != NULL && sha1_too)
        return proof_of(sha1_proves(older, secret, body), HTTP_PROVEN_BODY);
    const char *gitlab = pen_http_head_get(head, "x-gitlab-token");
    return proof_of(gitlab != NULL && text_proves(gitlab, secret), HTTP_PROVEN_CALLER);
}

static bool add_digest(char kind, const void *bytes, size_t size, ProtobufCBinaryData **list,
                       size_t *count)
{
    uint8_t digest[PEN_SHA256_SIZE];
    struct pen_sha256_stream *stream = NULL;
    uint8_t *kept = malloc(PEN_LIMIT_DELIVERY_DIGEST_BYTES);
    if (kept == NULL || pen_sha256_stream_create(&stream, NULL) < 0) {
        free(kept);
        return false;
    }
    pen_sha256_stream_add(stream, &kind, 1);
    pen_sha256_stream_add(stream, bytes, size);
    pen_sha256_stream_digest(stream, digest);
    pen_sha256_stream_destroy(&stream);
    memcpy(kept, digest, PEN_LIMIT_DELIVERY_DIGEST_BYTES);
    (*list)[(*count)++] =
        (ProtobufCBinaryData){.len = PEN_LIMIT_DELIVERY_DIGEST_BYTES, .data = kept};
    return true;
}

int http_delivery(const struct pen_http_head *head, const struct pen_buf *body,
                  enum http_proof proof, ProtobufCBinaryData **ret_digests, size_t *ret_count,
                  bool *ret_unnamed, struct pen_error *err)
{
    static const char *const headers[] = {"x-github-delivery", "x-gitlab-event-uuid",
                                          "x-gitea-delivery"};
    const char *id = NULL;
    for (size_t i = 0; id == NULL && i < sizeof headers / sizeof headers[0]; i++)
        id = pen_http_head_get(head, headers[i]);
    if (id == NULL && !(proof == HTTP_PROVEN_BODY && ret_unnamed != NULL))
        return 0;
    if (ret_unnamed != NULL)
        *ret_unnamed = id == NULL;
    *ret_digests = calloc(2, sizeof **ret_digests);
    if (*ret_digests == NULL ||
        (id != NULL && !add_digest('i', id, strlen(id), ret_digests, ret_count)) ||
        (proof == HTTP_PROVEN_BODY &&
         !add_digest('b', body->data, body->size, ret_digests, ret_count)))
        return pen_fail(err, PEN_ENOMEM, "no memory for a delivery");
    return 0;
}
