#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/keys/digest.h"

static void check_hex(const uint8_t digest[PEN_SHA256_SIZE], const char *expected)
{
    char text[PEN_SHA256_HEX];
    pen_hex_encode(digest, PEN_SHA256_SIZE, text);
    assert_string_equal(text, expected);
}

static const char abc_digest[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char empty_digest[] =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

static void digests(void **state)
{
    (void)state;
    uint8_t digest[PEN_SHA256_SIZE];
    pen_sha256("abc", 3, digest);
    check_hex(digest, abc_digest);
    pen_sha256(NULL, 0, digest);
    check_hex(digest, empty_digest);
}

static void digests_in_pieces(void **state)
{
    (void)state;
    uint8_t digest[PEN_SHA256_SIZE];
    PEN_CLEANUP(pen_sha256_stream_destroy) struct pen_sha256_stream *stream = NULL;
    assert_int_equal(pen_sha256_stream_create(&stream, NULL), 0);
    pen_sha256_stream_digest(stream, digest);
    check_hex(digest, empty_digest);
    pen_sha256_stream_add(stream, "a", 1);
    pen_sha256_stream_digest(stream, digest);
    pen_sha256_stream_add(stream, NULL, 0);
    pen_sha256_stream_add(stream, "bc", 2);
    pen_sha256_stream_digest(stream, digest);
    check_hex(digest, abc_digest);
    pen_sha256_stream_digest(stream, digest); /* asking changes nothing */
    check_hex(digest, abc_digest);
}

static void authenticates(void **state)
{
    (void)state;
    uint8_t digest[PEN_SHA256_SIZE];
    pen_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, digest); /* RFC 4231, case 2 */
    check_hex(digest, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    uint8_t older[PEN_SHA1_SIZE];
    char hex[2 * PEN_SHA1_SIZE + 1];
    pen_hmac_sha1("Jefe", 4, "what do ya want for nothing?", 28, older); /* RFC 2202, case 2 */
    pen_hex_encode(older, sizeof older, hex);
    assert_string_equal(hex, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    pen_hmac_sha256(NULL, 0, NULL, 0, digest);
    check_hex(digest, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    assert_true(pen_equal_constant_time("abc", "abc", 3));
    assert_false(pen_equal_constant_time("abc", "abd", 3));
    assert_true(pen_equal_constant_time("abc", "abd", 2));
    assert_true(pen_equal_constant_time(NULL, NULL, 0));
}

static void hex(void **state)
{
    (void)state;
    uint8_t bytes[3] = {1, 2, 3};
    struct pen_error err;
    assert_int_equal(pen_hex_decode("00fFa5", bytes, 3, &err), 0);
    assert_memory_equal(bytes, "\x00\xff\xa5", 3);
    static const char *const bad[] = {"", "00ffa", "00ffa55", "00ffg5", "00 fa5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(pen_hex_decode(bad[i], bytes, 3, &err), PEN_EINVAL);
    assert_memory_equal(bytes, "\x00\xff\xa5", 3);
}

static void base64(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *plain, *url;
    } known[] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff\xfe", "+//+", "-__-"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        PEN_CLEANUP(pen_buf_release) struct pen_buf plain = {0};
        PEN_CLEANUP(pen_buf_release) struct pen_buf url = {0};
        PEN_CLEANUP(pen_buf_release) struct pen_buf back = {0};
        size_t size = strlen(known[i].bytes);
        pen_base64_encode(known[i].bytes, size, &plain);
        pen_base64url_encode(known[i].bytes, size, &url);
        assert_string_equal(pen_buf_text(&plain), known[i].plain);
        assert_string_equal(pen_buf_text(&url), known[i].url);
        assert_int_equal(pen_base64_decode(known[i].plain, &back, NULL), 0);
        assert_int_equal(pen_base64url_decode(known[i].url, &back, NULL), 0);
        assert_int_equal(back.size, 2 * size);
        assert_memory_equal(pen_buf_text(&back), known[i].bytes, size);
        assert_memory_equal(pen_buf_text(&back) + size, known[i].bytes, size);
    }
    PEN_CLEANUP(pen_buf_release) struct pen_buf out = {0};
    static const char *const bad_plain[] = {
        "Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm\n8=", "-__-", "=", "====", "Z==="};
    for (size_t i = 0; i < sizeof bad_plain / sizeof bad_plain[0]; i++)
        assert_int_equal(pen_base64_decode(bad_plain[i], &out, NULL), PEN_EINVAL);
    static const char *const bad_url[] = {"Z", "A", "AAAAA", "Zg==", "Zh", "Zm9", "+//+", "Zm8 "};
    for (size_t i = 0; i < sizeof bad_url / sizeof bad_url[0]; i++)
        assert_int_equal(pen_base64url_decode(bad_url[i], &out, NULL), PEN_EINVAL);
    assert_int_equal(out.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests),       cmocka_unit_test(digests_in_pieces),
        cmocka_unit_test(authenticates), cmocka_unit_test(hex),
        cmocka_unit_test(base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
