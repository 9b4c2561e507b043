/* SigV4: a request captured from Debian's AWS CLI is taken; whatever differs from it is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "controller/auth/authorize.h"
#include "controller/auth/sigv4.h"
#include "controller/auth/sigv4_parts.h"
#include "common/base/cleanup.h"
#include "common/keys/digest.h"

#define KEY_ID "AKIDEXAMPLE"
#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define ARN    "arn:aws:iam::000000000000:user/admin"

static const int64_t captured_ms = 1795376239000; /* 2026-11-22T19:37:19Z */

enum { HEADERS_MAX = 80, TEXT_MAX = 512 };

/* A request that may be written to. */
struct sample {
    char method[16];
    char target[TEXT_MAX];
    char body[TEXT_MAX];
    char names[HEADERS_MAX][64];
    char values[HEADERS_MAX][TEXT_MAX];
    size_t count;
    const char *service;
    const char *region;
    int64_t now_ms;
};

static void put(struct sample *sample, const char *name, const char *value)
{
    snprintf(sample->names[sample->count], 64, "%s", name);
    snprintf(sample->values[sample->count], TEXT_MAX, "%s", value);
    sample->count++;
}

static void captured(struct sample *ret)
{
    *ret = (struct sample){.method = "POST",
                           .target = "/",
                           .body = "{}",
                           .service = "codepipeline",
                           .region = "us-east-1",
                           .now_ms = captured_ms};
    put(ret, "Host", "127.0.0.1:7001");
    put(ret, "Content-Type", "application/x-amz-json-1.1");
    put(ret, "X-Amz-Date", "20261122T193719Z");
    put(ret, "X-Amz-Target", "CodePipeline_20150709.ListPipelines");
    put(ret, "Authorization",
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/us-east-1/codepipeline/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature="
        "8738d9ddefa8c4a3a052326211887c68f237653eeabd22b7b4f18ac0fae138aa");
}

static int setup(void **state)
{
    struct pen_access_keys *keys = NULL;
    if (pen_access_keys_create(&keys, NULL) < 0 ||
        pen_access_keys_put_plain(keys, "AKIDOTHER", "other", ARN, false, NULL) < 0 ||
        pen_access_keys_put_plain(keys, KEY_ID, SECRET, ARN, false, NULL) < 0)
        return -1;
    *state = keys;
    return 0;
}

static int teardown(void **state)
{
    struct pen_access_keys *keys = *state;
    pen_access_keys_destroy(&keys);
    return 0;
}

static int verify(void **state, const struct sample *sample, struct pen_error *err)
{
    struct pen_sigv4_header headers[HEADERS_MAX];
    for (size_t i = 0; i < sample->count; i++)
        headers[i] = (struct pen_sigv4_header){sample->names[i], sample->values[i]};
    struct pen_sigv4_request request = {
        .method = sample->method,
        .target = sample->target,
        .headers = headers,
        .headers_count = sample->count,
        .body = sample->body,
        .body_size = strlen(sample->body),
        .service = sample->service,
        .region = sample->region,
        .now_ms = sample->now_ms,
    };
    struct pen_principal principal = {.arn = "untouched"};
    *err = (struct pen_error){0};
    int rc = pen_sigv4_verify(*state, &request, &principal, err);
    if (rc == 0) {
        assert_string_equal(principal.arn, ARN);
        assert_string_equal(principal.access_key_id, KEY_ID);
    } else {
        assert_string_equal(principal.arn, "untouched");
        assert_non_null(err->api_name);
    }
    return rc;
}

static void refused(void **state, const struct sample *sample, const char *name)
{
    struct pen_error err;
    assert_int_equal(verify(state, sample, &err), PEN_EDENIED);
    assert_string_equal(err.api_name, name);
}

#define AUTHORIZATION                                                                              \
    "AWS4-HMAC-SHA256 Credential=" KEY_ID                                                          \
    "/20261122/us-east-1/codepipeline/aws4_request, SignedHeaders=%s, Signature=%s"

/* Sign what the sample holds, with these headers signed, as a client would. */
static void sign(struct sample *sample, const char *signed_list, const char *secret)
{
    struct sigv4_claim claim;
    char authorization[TEXT_MAX];
    char signature[PEN_SHA256_HEX];
    memset(signature, 'a', 64);
    signature[64] = '\0';
    snprintf(authorization, sizeof authorization, AUTHORIZATION, signed_list, signature);
    assert_int_equal(sigv4_claim_parse(authorization, &claim, NULL), 0);
    struct pen_sigv4_header headers[HEADERS_MAX];
    for (size_t i = 0; i < sample->count; i++)
        headers[i] = (struct pen_sigv4_header){sample->names[i], sample->values[i]};
    struct pen_sigv4_request request = {.method = sample->method,
                                        .target = sample->target,
                                        .headers = headers,
                                        .headers_count = sample->count};
    uint8_t digest[32];
    char hash[PEN_SHA256_HEX];
    pen_sha256(sample->body, strlen(sample->body), digest);
    pen_hex_encode(digest, 32, hash);
    PEN_CLEANUP(pen_buf_release) struct pen_buf canonical = {0};
    assert_int_equal(sigv4_canonical(&request, &claim, hash, &canonical, NULL), 0);
    pen_sha256(canonical.data, canonical.size, digest);
    pen_hex_encode(digest, 32, hash);
    char text[2 * TEXT_MAX];
    snprintf(text, sizeof text,
             "AWS4-HMAC-SHA256\n%s\n20261122/us-east-1/codepipeline/aws4_request\n%s",
             sample->values[2], hash);
    char first[TEXT_MAX];
    snprintf(first, sizeof first, "AWS4%s", secret);
    uint8_t key[32];
    uint8_t next[32];
    pen_hmac_sha256(first, strlen(first), "20261122", 8, key);
    pen_hmac_sha256(key, 32, "us-east-1", 9, next);
    pen_hmac_sha256(next, 32, "codepipeline", 12, key);
    pen_hmac_sha256(key, 32, "aws4_request", 12, next);
    pen_hmac_sha256(next, 32, text, strlen(text), key);
    pen_hex_encode(key, 32, signature);
    for (size_t i = 0; i < sample->count; i++) {
        if (strcmp(sample->names[i], "Authorization") == 0)
            snprintf(sample->values[i], TEXT_MAX, AUTHORIZATION, signed_list, signature);
    }
}

#define FOUR "content-type;host;x-amz-date;x-amz-target"

static void test_capture_is_taken(void **state)
{
    struct sample sample;
    struct pen_error err;
    captured(&sample);
    assert_int_equal(verify(state, &sample, &err), 0);
    sign(&sample, FOUR, SECRET); /* the test's own signer agrees with the capture */
    struct sample again;
    captured(&again);
    assert_string_equal(sample.values[4], again.values[4]);
}

/* Another character of the same kind, so that the form stays good and the value differs. */
static char another(char old)
{
    if (old >= '0' && old <= '9')
        return old == '9' ? '0' : (char)(old + 1);
    if (old >= 'a' && old <= 'z')
        return old == 'f' ? 'a' : old == 'z' ? 'y' : (char)(old + 1);
    if (old >= 'A' && old <= 'Z')
        return old == 'Z' ? 'Y' : (char)(old + 1);
    return old == '.' ? ',' : '.';
}

static size_t mutate_text(void **state, struct sample *sample, char *text)
{
    size_t tried = 0;
    for (char *at = text; *at != '\0'; at++) {
        char old = *at;
        const char tries[] = {another(old), '\x01', 'Z', '0'};
        for (size_t i = 0; i < sizeof tries; i++) {
            if (tries[i] == old)
                continue;
            *at = tries[i];
            struct pen_error err;
            if (verify(state, sample, &err) == 0)
                fail_msg("taken with '%s'", text);
            tried++;
        }
        *at = old;
    }
    struct pen_error err;
    assert_int_equal(verify(state, sample, &err), 0); /* the mutations were the only reason */
    return tried;
}

static void test_single_field_mutations(void **state)
{
    struct sample sample;
    captured(&sample);
    size_t tried = 0;
    for (size_t i = 0; i < sample.count; i++)
        tried += mutate_text(state, &sample, sample.values[i]);
    tried += mutate_text(state, &sample, sample.method);
    tried += mutate_text(state, &sample, sample.target);
    tried += mutate_text(state, &sample, sample.body);
    for (size_t i = 0; i < sample.count; i++) { /* each header gone */
        struct sample without = sample;
        snprintf(without.names[i], 64, "X-Other");
        struct pen_error err;
        assert_int_equal(verify(state, &without, &err), PEN_EDENIED);
        tried++;
    }
    for (size_t i = 0; i < 5; i++) { /* each header twice */
        struct sample twice = sample;
        put(&twice, sample.names[i], sample.values[i]);
        struct pen_error err;
        assert_int_equal(verify(state, &twice, &err), PEN_EDENIED);
        tried++;
    }
    assert_true(tried > 1000);
}

static void test_missing_and_incomplete(void **state)
{
    static const char *const bad[] = {
        "",
        "Basic YTpi",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 ",
        "AWS4-HMAC-SHA256 Credential=",
        "AWS4-HMAC-SHA512 Credential=a/20261122/r/s/aws4_request, SignedHeaders=host, Signature=aa",
        "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=aa",
        "AWS4-HMAC-SHA256 Credential=a/20261122/r/s/aws4_request, SignedHeaders=host",
        "AWS4-HMAC-SHA256 Credential=a/20261122/r/s/aws4_request/x, SignedHeaders=host,",
        "AWS4-HMAC-SHA256 Credential=a/20261122/r/s/aws4_request, SignedHeaders=;host,",
        "AWS4-HMAC-SHA256 Credential=a/20261122/r/s/aws4_request, SignedHeaders=host;host,",
        "AWS4-HMAC-SHA256 Credential=a/20261122/r/s/aws4_request, SignedHeaders=x;host,",
        "AWS4-HMAC-SHA256 Credential=a/20261122/r/s/aws4_request, Credential=a, SignedHeaders=a",
        ",,,,,,",
        "AWS4-HMAC-SHA256 =,=,=",
        "AWS4-HMAC-SHA256 Signature=",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sample sample;
        captured(&sample);
        snprintf(sample.values[4], TEXT_MAX, "%s", bad[i]);
        refused(state, &sample, "IncompleteSignatureException");
    }
    struct sample sample;
    captured(&sample);
    sample.count = 4;
    refused(state, &sample, "MissingAuthenticationTokenException");
}

static void test_what_must_be_signed(void **state)
{
    struct sample sample;
    captured(&sample);
    sign(&sample, "content-type;x-amz-date;x-amz-target", SECRET);
    refused(state, &sample, "IncompleteSignatureException"); /* host */
    captured(&sample);
    sign(&sample, "content-type;host;x-amz-target", SECRET);
    refused(state, &sample, "IncompleteSignatureException"); /* date */
    captured(&sample);
    sign(&sample, "content-type;host;x-amz-date", SECRET);
    refused(state, &sample, "IncompleteSignatureException"); /* target */
    captured(&sample);
    put(&sample, "X-Amz-Anything", "1");
    refused(state, &sample, "IncompleteSignatureException");
    captured(&sample);
    put(&sample, "amz-sdk-request", "attempt=1"); /* may stay unsigned */
    put(&sample, "User-Agent", "aws-cli");
    struct pen_error err;
    assert_int_equal(verify(state, &sample, &err), 0);
    captured(&sample);
    sign(&sample, "content-type;host;x-amz-date;x-amz-target;x-not-sent", SECRET);
    refused(state, &sample, "IncompleteSignatureException");
}

static void test_payload_hash(void **state)
{
    static const char *const refused_hashes[] = {
        "UNSIGNED-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "",
        "44136FA355B3678A1146AD16F7E8649E94FB4FC21FE77E8310C060F61CAAFF8A",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    };
    const char *five = "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target";
    struct sample sample;
    for (size_t i = 0; i < sizeof refused_hashes / sizeof refused_hashes[0]; i++) {
        captured(&sample);
        put(&sample, "x-amz-content-sha256", refused_hashes[i]);
        sign(&sample, five, SECRET);
        refused(state, &sample, "InvalidSignatureException");
    }
    captured(&sample);
    put(&sample, "x-amz-content-sha256",
        "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    sign(&sample, five, SECRET);
    struct pen_error err;
    assert_int_equal(verify(state, &sample, &err), 0);
}

static void test_keys(void **state)
{
    struct sample sample;
    captured(&sample);
    sign(&sample, FOUR, "another secret");
    refused(state, &sample, "InvalidSignatureException");
    captured(&sample);
    memcpy(strstr(sample.values[4], KEY_ID), "AKIDUNKNOWN", strlen(KEY_ID));
    refused(state, &sample, "UnrecognizedClientException");
    /* The dummy secret opens nothing. */
    captured(&sample);
    sign(&sample, FOUR, "wJalrXUtnFEMIxK7MDENGxbPxRfiCYxNOxSUCHxKEY");
    memcpy(strstr(sample.values[4], KEY_ID), "AKIDUNKNOWN", strlen(KEY_ID));
    refused(state, &sample, "UnrecognizedClientException");
    assert_int_equal(pen_access_keys_put_plain(*state, KEY_ID, SECRET, ARN, true, NULL), 0);
    captured(&sample);
    refused(state, &sample, "UnrecognizedClientException");
    assert_int_equal(pen_access_keys_put_plain(*state, KEY_ID, SECRET, ARN, false, NULL), 0);
    captured(&sample);
    put(&sample, "x-amz-security-token", "t");
    sign(&sample, "content-type;host;x-amz-date;x-amz-security-token;x-amz-target", SECRET);
    refused(state, &sample, "UnrecognizedClientException");
}

static void test_scope_and_skew(void **state)
{
    static const int64_t offsets_ms[] = {-300001, -3600000, 300001, 3600000, 86400000};
    struct sample sample;
    struct pen_error err;
    for (size_t i = 0; i < sizeof offsets_ms / sizeof offsets_ms[0]; i++) {
        captured(&sample);
        sample.now_ms += offsets_ms[i];
        refused(state, &sample, "InvalidSignatureException");
    }
    captured(&sample);
    sample.now_ms += 300001;
    assert_true(verify(state, &sample, &err) < 0);
    assert_string_equal(err.message, "Signature expired: 20261122T193719Z is now earlier than "
                                     "20261122T193719Z (20261122T194219Z - 5 min.)");
    for (int sign_of = -1; sign_of <= 1; sign_of++) {
        captured(&sample);
        sample.now_ms += sign_of * 300000;
        assert_int_equal(verify(state, &sample, &err), 0);
    }
    captured(&sample); /* a minute after midnight, with the key of the day before */
    sample.now_ms += ((4 * 60 + 23) * 60 + 41) * 1000;
    snprintf(sample.values[2], TEXT_MAX, "20261123T000100Z");
    sign(&sample, FOUR, SECRET);
    assert_true(verify(state, &sample, &err) < 0);
    assert_non_null(strstr(err.message, "The date in Credential"));
    captured(&sample);
    sample.region = "eu-west-1";
    refused(state, &sample, "InvalidSignatureException");
    captured(&sample);
    sample.service = "penstock";
    refused(state, &sample, "InvalidSignatureException");
    static const char *const times[] = {"",
                                        "20261122",
                                        "20261322T193719Z",
                                        "20261122T243719Z",
                                        "20261122T196019Z",
                                        "20261100T193719Z",
                                        "20261122t193719z",
                                        "20261122T193719Z0",
                                        "2026-11-22T19:37:19Z"};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        captured(&sample);
        snprintf(sample.values[2], TEXT_MAX, "%s", times[i]);
        sign(&sample, FOUR, SECRET);
        refused(state, &sample, "IncompleteSignatureException");
    }
}

static void test_query(void **state)
{
    static const char *const presigned[] = {"/?X-Amz-Signature=aa", "/?a=b&x-amz-signature=aa",
                                            "/?%58-Amz-Algorithm=AWS4-HMAC-SHA256", "/?%zz"};
    struct sample sample;
    struct pen_error err;
    for (size_t i = 0; i < sizeof presigned / sizeof presigned[0]; i++) {
        captured(&sample);
        snprintf(sample.target, TEXT_MAX, "%s", presigned[i]);
        if (strstr(presigned[i], "%z") == NULL) /* what cannot be made canonical cannot be signed */
            sign(&sample, FOUR, SECRET);
        refused(state, &sample, "IncompleteSignatureException");
        sample.count = 4;
        refused(state, &sample, "MissingAuthenticationTokenException");
    }
    captured(&sample);
    snprintf(sample.target, TEXT_MAX, "/?b=2&a=1&uploads&a=0&c=%%7e%%2f+");
    struct pen_sigv4_request request = {.method = "GET", .target = sample.target};
    struct sigv4_claim claim = {.signed_count = 0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf canonical = {0};
    assert_int_equal(sigv4_canonical(&request, &claim, "h", &canonical, &err), 0);
    assert_string_equal(pen_buf_text(&canonical), "GET\n/\na=0&a=1&b=2&c=~%2F%2B&uploads=\n\n\nh");
    sign(&sample, FOUR, SECRET);
    assert_int_equal(verify(state, &sample, &err), 0);
}

static void test_values_are_folded(void **state)
{
    struct sample sample;
    struct pen_error err;
    captured(&sample);
    snprintf(sample.values[1], TEXT_MAX, "  application/x-amz-json-1.1 \t");
    assert_int_equal(verify(state, &sample, &err), 0);
    snprintf(sample.names[1], 64, "CONTENT-TYPE");
    assert_int_equal(verify(state, &sample, &err), 0);
}

static void test_authorize(void **state)
{
    (void)state;
    struct pen_error err;
    struct pen_principal own = {.arn = ARN};
    struct pen_principal foreign = {.arn = "arn:aws:iam::111111111111:user/admin"};
    assert_int_equal(pen_authorize(&own, "000000000000", "codepipeline:GetPipeline", &err), 0);
    assert_int_equal(pen_authorize(&own, "000000000000", NULL, &err), PEN_EDENIED);
    assert_int_equal(pen_authorize(&foreign, "000000000000", "codepipeline:GetPipeline", &err),
                     PEN_EDENIED);
    assert_string_equal(err.api_name, "AccessDeniedException");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_capture_is_taken),
        cmocka_unit_test(test_single_field_mutations),
        cmocka_unit_test(test_missing_and_incomplete),
        cmocka_unit_test(test_what_must_be_signed),
        cmocka_unit_test(test_payload_hash),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_scope_and_skew),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_values_are_folded),
        cmocka_unit_test(test_authorize),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
