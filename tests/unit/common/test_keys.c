#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <stdio.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"
#include "common/io/file.h"
#include "common/keys/curve.h"
#include "common/keys/seal.h"

static char folder[64];
static char path[128];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/pen-test-keys-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/key", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return pen_dir_remove_tree(folder, NULL);
}

static void a_pair_is_made_once(void **state)
{
    (void)state;
    struct pen_error err;
    struct pen_curve_pair first;
    struct pen_curve_pair again;
    struct pen_curve_pair other;
    assert_int_equal(pen_curve_pair_load_or_make(path, &first, &err), 0);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(pen_curve_pair_load_or_make(path, &again, &err), 0);
    assert_memory_equal(&first, &again, sizeof first);
    assert_int_equal(pen_curve_pair_make(&other, &err), 0);
    assert_memory_not_equal(first.secret_key, other.secret_key, PEN_CURVE_KEY_SIZE);
    assert_memory_not_equal(first.public_key, first.secret_key, PEN_CURVE_KEY_SIZE);
}

static void a_bad_key_file_is_refused_and_kept(void **state)
{
    (void)state;
    struct pen_error err;
    struct pen_curve_pair pair;
    memset(&pair, 7, sizeof pair);
    struct pen_curve_pair before = pair;
    assert_int_equal(pen_curve_pair_load_or_make(path, &before, &err), 0);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(pen_curve_pair_load_or_make(path, &pair, &err), PEN_EDENIED);
    assert_non_null(strstr(err.message, "chmod 600"));
    static const char *const bad[] = {"", "x", "penstock-curve-1", "penstock-curve-1 00ff\n",
                                      "penstock-curve-2 00\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(pen_file_replace(path, bad[i], strlen(bad[i]), 0600, &err), 0);
        assert_int_equal(pen_curve_pair_load_or_make(path, &pair, &err), PEN_ECORRUPT);
        PEN_CLEANUP(pen_buf_release) struct pen_buf kept = {0};
        assert_int_equal(pen_file_read(path, 100, &kept, &err), 0);
        assert_string_equal(pen_buf_text(&kept), bad[i]);
    }
    assert_int_equal(pair.public_key[0], 7); /* untouched */
    (void)snprintf(path, sizeof path, "%s/none/key", folder);
    assert_int_equal(pen_curve_pair_load_or_make(path, &pair, &err), PEN_ENOTFOUND);
}

static void tokens_go_there_and_back(void **state)
{
    (void)state;
    struct pen_error err;
    struct pen_token token;
    struct pen_curve_pair server;
    assert_int_equal(pen_curve_pair_make(&server, &err), 0);
    assert_int_equal(pen_curve_pair_make(&token.pair, &err), 0);
    memcpy(token.server_public_key, server.public_key, PEN_CURVE_KEY_SIZE);
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_token_format(&token, &text);
    assert_int_equal(text.size, 5 + 86);
    struct pen_token back;
    assert_int_equal(pen_token_parse(pen_buf_text(&text), &back, &err), 0);
    assert_memory_equal(&token, &back, sizeof token); /* with the public key computed */
    text.data[text.size - 1] = 0;
    assert_int_equal(pen_token_parse(pen_buf_text(&text), &back, &err), PEN_EINVAL);
    static const char *const bad[] = {"", "pen1_", "pen2_AAAA", "pen1_AAAA", "pen1_!!!!"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(pen_token_parse(bad[i], &back, &err), PEN_EINVAL);
    assert_memory_equal(&token, &back, sizeof token);
}

static void secrets_are_sealed_and_opened(void **state)
{
    (void)state;
    struct pen_error err;
    PEN_CLEANUP(pen_sealer_destroy) struct pen_sealer *sealer = NULL;
    assert_int_equal(pen_sealer_create(path, &sealer, &err), 0);
    PEN_CLEANUP(pen_buf_release) struct pen_buf sealed = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf empty = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf open = {0};
    assert_int_equal(pen_seal(sealer, "connection/1", "hunter2", 7, &sealed, &err), 0);
    assert_int_equal(pen_seal(sealer, "", NULL, 0, &empty, &err), 0);
    assert_null(memmem(sealed.data, sealed.size, "hunter2", 7));

    PEN_CLEANUP(pen_sealer_destroy) struct pen_sealer *again = NULL; /* the key is in the file */
    assert_int_equal(pen_sealer_create(path, &again, &err), 0);
    assert_int_equal(pen_unseal(again, "", empty.data, empty.size, &open, &err), 0);
    assert_int_equal(open.size, 0);
    assert_int_equal(pen_unseal(again, "connection/1", sealed.data, sealed.size, &open, &err), 0);
    assert_string_equal(pen_buf_text(&open), "hunter2");
}

static void a_changed_seal_does_not_open(void **state)
{
    (void)state;
    struct pen_error err;
    PEN_CLEANUP(pen_sealer_destroy) struct pen_sealer *sealer = NULL;
    assert_int_equal(pen_sealer_create(path, &sealer, &err), 0);
    PEN_CLEANUP(pen_buf_release) struct pen_buf sealed = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf twice = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf open = {0};
    assert_int_equal(pen_seal(sealer, "a", "hunter2", 7, &sealed, &err), 0);
    assert_int_equal(pen_seal(sealer, "a", "hunter2", 7, &twice, &err), 0);
    assert_memory_not_equal(sealed.data, twice.data, sealed.size);
    for (size_t i = 0; i < sealed.size; i++) {
        sealed.data[i] ^= 1;
        assert_int_equal(pen_unseal(sealer, "a", sealed.data, sealed.size, &open, &err),
                         PEN_ECORRUPT);
        sealed.data[i] ^= 1;
    }
    for (size_t size = 0; size < sealed.size; size++)
        assert_int_equal(pen_unseal(sealer, "a", sealed.data, size, &open, &err), PEN_ECORRUPT);
    assert_int_equal(pen_unseal(sealer, "b", sealed.data, sealed.size, &open, &err), PEN_ECORRUPT);
    assert_int_equal(open.size, 0);
    assert_int_equal(pen_unseal(sealer, "a", sealed.data, sealed.size, &open, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pair_is_made_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_key_file_is_refused_and_kept, setup, teardown),
        cmocka_unit_test(tokens_go_there_and_back),
        cmocka_unit_test_setup_teardown(secrets_are_sealed_and_opened, setup, teardown),
        cmocka_unit_test_setup_teardown(a_changed_seal_does_not_open, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
