#include <string.h>
#include <strings.h>

#include "controller/auth/sigv4_parts.h"

static const char scheme[] = "AWS4-HMAC-SHA256 ";

static int incomplete(struct pen_error *err, const char *why)
{
    return pen_fail_api(err, PEN_EDENIED, "IncompleteSignatureException",
                        "The Authorization header is not a complete signature: %s.", why);
}

static bool only_of(const char *text, const char *allowed)
{
    return text[0] != '\0' && text[strspn(text, allowed)] == '\0';
}

/* Copy size characters to ret_text, which holds max and a zero. */
static bool take(const char *from, size_t size, size_t max, char *ret_text)
{
    if (size == 0 || size > max)
        return false;
    memcpy(ret_text, from, size);
    ret_text[size] = '\0';
    return true;
}

/* KEY/yyyymmdd/region/service/aws4_request */
static int parse_credential(const char *text, size_t size, struct sigv4_claim *claim,
                            struct pen_error *err)
{
    const char *part[5];
    size_t length[5];
    const char *end = text + size;
    for (size_t i = 0; i < 5; i++) {
        const char *stop = memchr(text, '/', (size_t)(end - text));
        if ((stop == NULL) != (i == 4))
            return incomplete(err, "Credential needs five parts between slashes");
        part[i] = text;
        length[i] = (size_t)((stop == NULL ? end : stop) - text);
        text = stop == NULL ? end : stop + 1;
    }
    static const char word[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    if (!take(part[0], length[0], PEN_ACCESS_KEY_ID_MAX, claim->key_id) ||
        !only_of(claim->key_id, word))
        return incomplete(err, "the access key id in Credential is not one");
    if (!take(part[1], length[1], SIGV4_DATE_SIZE, claim->date) || length[1] != SIGV4_DATE_SIZE ||
        !only_of(claim->date, "0123456789"))
        return incomplete(err, "the date in Credential is not yyyymmdd");
    if (!take(part[2], length[2], SIGV4_SCOPE_WORD_MAX, claim->region) ||
        !only_of(claim->region, word))
        return incomplete(err, "the region in Credential is not one");
    if (!take(part[3], length[3], SIGV4_SCOPE_WORD_MAX, claim->service) ||
        !only_of(claim->service, word))
        return incomplete(err, "the service in Credential is not one");
    if (length[4] != strlen("aws4_request") || memcmp(part[4], "aws4_request", length[4]) != 0)
        return incomplete(err, "Credential must end in aws4_request");
    return 0;
}

/* a;b;c: lower case, ascending, each once. */
static int parse_signed(const char *text, size_t size, struct sigv4_claim *claim,
                        struct pen_error *err)
{
    if (!take(text, size, SIGV4_SIGNED_MAX, claim->signed_list) ||
        !only_of(claim->signed_list, "abcdefghijklmnopqrstuvwxyz0123456789-_.;"))
        return incomplete(err, "SignedHeaders must be header names in lower case");
    memcpy(claim->signed_split, claim->signed_list, size + 1);
    char *name = claim->signed_split;
    for (;;) {
        char *stop = strchr(name, ';');
        if (stop != NULL)
            *stop = '\0';
        if (name[0] == '\0')
            return incomplete(err, "SignedHeaders has an empty name");
        if (claim->signed_count == PEN_SIGV4_HEADERS_MAX)
            return incomplete(err, "SignedHeaders names too many headers");
        if (claim->signed_count > 0 &&
            strcmp(claim->signed_names[claim->signed_count - 1], name) >= 0)
            return incomplete(err, "SignedHeaders must be sorted, each name once");
        claim->signed_names[claim->signed_count++] = name;
        if (stop == NULL)
            return 0;
        name = stop + 1;
    }
}

static int parse_signature(const char *text, size_t size, struct sigv4_claim *claim,
                           struct pen_error *err)
{
    if (size != SIGV4_SIGNATURE_SIZE || !take(text, size, SIGV4_SIGNATURE_SIZE, claim->signature) ||
        !only_of(claim->signature, "0123456789abcdef"))
        return incomplete(err, "Signature must be 64 lower-case hexadecimal digits");
    return 0;
}

typedef int parser(const char *text, size_t size, struct sigv4_claim *claim, struct pen_error *err);

static const struct {
    const char *name;
    parser *parse;
} fields[] = {
    {"Credential=", parse_credential},
    {"SignedHeaders=", parse_signed},
    {"Signature=", parse_signature},
};
enum { FIELDS = sizeof fields / sizeof fields[0], ALL_FIELDS = (1 << FIELDS) - 1 };

/* One "name=value"; sets its bit in *seen. */
static int parse_field(const char *text, size_t size, unsigned *seen, struct sigv4_claim *claim,
                       struct pen_error *err)
{
    for (size_t i = 0; i < FIELDS; i++) {
        size_t prefix = strlen(fields[i].name);
        if (size < prefix || memcmp(text, fields[i].name, prefix) != 0)
            continue;
        if ((*seen & (1u << i)) != 0)
            return incomplete(err, "a parameter is given twice");
        *seen |= 1u << i;
        return fields[i].parse(text + prefix, size - prefix, claim, err);
    }
    return incomplete(err, "only Credential, SignedHeaders and Signature may stand in it");
}

int sigv4_claim_parse(const char *authorization, struct sigv4_claim *ret_claim,
                      struct pen_error *err)
{
    *ret_claim = (struct sigv4_claim){0};
    if (strncmp(authorization, scheme, strlen(scheme)) != 0)
        return incomplete(err, "it must begin with AWS4-HMAC-SHA256");
    unsigned seen = 0;
    const char *at = authorization + strlen(scheme);
    while (at != NULL) {
        at += strspn(at, " ");
        const char *stop = strchr(at, ',');
        size_t size = stop == NULL ? strlen(at) : (size_t)(stop - at);
        while (size > 0 && at[size - 1] == ' ')
            size--;
        int rc = parse_field(at, size, &seen, ret_claim, err);
        if (rc < 0)
            return rc;
        at = stop == NULL ? NULL : stop + 1;
    }
    if (seen != ALL_FIELDS)
        return incomplete(err, "it needs Credential, SignedHeaders and Signature");
    return 0;
}

bool sigv4_claim_signs(const struct sigv4_claim *claim, const char *lower_name)
{
    for (size_t i = 0; i < claim->signed_count; i++) {
        if (strcmp(claim->signed_names[i], lower_name) == 0)
            return true;
    }
    return false;
}

const char *sigv4_header(const struct pen_sigv4_request *request, const char *lower_name,
                         size_t *ret_count)
{
    const char *value = NULL;
    size_t count = 0;
    for (size_t i = 0; i < request->headers_count; i++) {
        if (strcasecmp(request->headers[i].name, lower_name) == 0) {
            value = request->headers[i].value;
            count++;
        }
    }
    *ret_count = count;
    return count == 1 ? value : NULL;
}
