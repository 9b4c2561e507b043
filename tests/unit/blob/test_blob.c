/* common/blob/blob.h: what is visible is whole; what is not synced is not visible to others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include "common/base/cleanup.h"
#include "common/blob/archive.h"
#include "common/blob/blob.h"
#include "common/blob/chunker.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/wire/wire.h"

static char *root;

static int set_up(void **state)
{
    (void)state;
    char name[] = "/tmp/pen-test-blob-XXXXXX";
    assert_non_null(mkdtemp(name));
    root = strdup(name);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(pen_dir_remove_tree(root, NULL), 0);
    free(root);
    return 0;
}

static size_t entries_of(const char *folder)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", root, folder);
    DIR *stream = opendir(path);
    if (!stream)
        return 0;
    size_t count = 0;
    while (readdir(stream))
        count++;
    (void)closedir(stream);
    return count - 2;
}

static void fill(uint8_t *bytes, size_t size, uint64_t seed)
{
    for (size_t i = 0; i < size; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        bytes[i] = (uint8_t)(seed >> 56);
    }
}

static void test_put_sync_get(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_blob_store_close) struct pen_blob_store *writer = NULL;
    PEN_CLEANUP(pen_blob_store_close) struct pen_blob_store *reader = NULL;
    assert_int_equal(pen_blob_store_open(root, &writer, NULL), 0);
    assert_int_equal(pen_blob_store_open_readonly(root, &reader, NULL), 0);
    uint8_t name[PEN_SHA256_SIZE];
    uint8_t empty[PEN_SHA256_SIZE];
    assert_int_equal(pen_blob_put(writer, "some bytes", 10, name, NULL), 0);
    assert_int_equal(pen_blob_put(writer, "", 0, empty, NULL), 0);
    assert_int_equal(pen_blob_put(writer, "some bytes", 10, name, NULL), 0);
    assert_int_equal(entries_of("tmp"), 2);
    assert_true(pen_blob_has(writer, name));
    assert_false(pen_blob_has(reader, name));
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    assert_int_equal(pen_blob_get(writer, name, 10, &bytes, NULL), 0); /* while it waits, too */
    assert_int_equal(pen_blob_get(reader, name, 10, &bytes, NULL), PEN_ENOTFOUND);

    assert_int_equal(pen_blob_store_sync(writer, NULL), 0);
    assert_int_equal(entries_of("tmp"), 0);
    assert_true(pen_blob_has(reader, name));
    pen_buf_clear(&bytes);
    assert_int_equal(pen_blob_get(reader, name, 10, &bytes, NULL), 0);
    assert_memory_equal(bytes.data, "some bytes", 10);
    pen_buf_clear(&bytes);
    assert_int_equal(pen_blob_get(reader, empty, 10, &bytes, NULL), 0);
    assert_int_equal(bytes.size, 0);
    assert_int_equal(pen_blob_get(reader, name, 9, &bytes, NULL), PEN_ELIMIT);
}

static void test_two_writers_and_leftovers(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_blob_store_close) struct pen_blob_store *one = NULL;
    PEN_CLEANUP(pen_blob_store_close) struct pen_blob_store *two = NULL;
    assert_int_equal(pen_blob_store_open(root, &one, NULL), 0);
    assert_int_equal(pen_blob_store_open(root, &two, NULL), 0);
    uint8_t name[PEN_SHA256_SIZE];
    assert_int_equal(pen_blob_put(one, "same", 4, name, NULL), 0);
    assert_int_equal(pen_blob_put(two, "same", 4, name, NULL), 0);
    assert_int_equal(pen_blob_store_sync(one, NULL), 0);
    assert_int_equal(pen_blob_store_sync(two, NULL), 0);
    assert_true(pen_blob_has(one, name));
    assert_int_equal(entries_of("tmp"), 0);
    /* given up at close */
    assert_int_equal(pen_blob_put(two, "other", 5, name, NULL), 0);
    assert_int_equal(entries_of("tmp"), 1);
    pen_blob_store_close(&two);
    assert_int_equal(entries_of("tmp"), 0);
    assert_false(pen_blob_has(one, name));
    /* left by one that was killed */
    char path[512];
    (void)snprintf(path, sizeof path, "%s/tmp/killed-0", root);
    assert_int_equal(pen_file_replace_unsynced(path, "x", 1, 0600, NULL), 0);
    pen_blob_store_close(&one);
    assert_int_equal(pen_blob_store_clean(root, NULL), 0);
    assert_int_equal(entries_of("tmp"), 0);
    assert_int_equal(pen_blob_store_clean("/nonexistent/folder", NULL), 0);
}

static void test_many_at_once(void **state)
{
    (void)state;
    enum { COUNT = 700 };
    static uint8_t names[COUNT][PEN_SHA256_SIZE];
    PEN_CLEANUP(pen_blob_store_close) struct pen_blob_store *store = NULL;
    assert_int_equal(pen_blob_store_open(root, &store, NULL), 0);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(pen_blob_put(store, &i, sizeof i, names[i], NULL), 0);
    assert_int_equal(pen_blob_store_sync(store, NULL), 0);
    pen_blob_store_close(&store);
    assert_int_equal(pen_blob_store_open_readonly(root, &store, NULL), 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
        assert_int_equal(pen_blob_get(store, names[i], 4, &bytes, NULL), 0);
        assert_memory_equal(bytes.data, &i, sizeof i);
    }
}

static void path_of(const uint8_t name[PEN_SHA256_SIZE], char ret_path[512])
{
    char hex[PEN_SHA256_HEX];
    pen_hex_encode(name, PEN_SHA256_SIZE, hex);
    (void)snprintf(ret_path, 512, "%s/%.2s/%s", root, hex, hex + 2);
}

/* Bytes that no longer fit their name are never given out: they are dropped, and that is said. */
static void test_corruption(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_blob_store_close) struct pen_blob_store *store = NULL;
    assert_int_equal(pen_blob_store_open(root, &store, NULL), 0);
    static uint8_t plain[50000];
    fill(plain, sizeof plain, 7);
    uint8_t name[PEN_SHA256_SIZE];
    char path[512];
    char text[PEN_ERROR_MESSAGE_MAX];
    assert_int_equal(pen_blob_put(store, plain, sizeof plain, name, NULL), 0);
    assert_int_equal(pen_blob_store_sync(store, NULL), 0);
    assert_false(pen_blob_store_damage(store, text));
    path_of(name, path);
    PEN_CLEANUP(pen_buf_release) struct pen_buf stored = {0};
    assert_int_equal(pen_file_read(path, 1 << 20, &stored, NULL), 0);
    for (size_t i = 0; i < stored.size + 499; i += 499) { /* one bit, at many places; cut at last */
        bool cut = i >= stored.size;
        size_t size = cut ? stored.size / 2 : stored.size;
        stored.data[cut ? 0 : i] ^= cut ? 0 : 0x10;
        assert_int_equal(pen_file_replace_unsynced(path, stored.data, size, 0600, NULL), 0);
        PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
        int rc = i % 2 == 0 ? pen_blob_get(store, name, sizeof plain, &bytes, NULL)
                            : pen_blob_get_compressed(store, name, &bytes, NULL);
        assert_int_equal(rc, PEN_ECORRUPT);
        assert_false(pen_blob_has(store, name));
        assert_int_equal(pen_blob_get(store, name, sizeof plain, &bytes, NULL), PEN_ENOTFOUND);
        assert_true(pen_blob_store_damage(store, text));
        assert_non_null(strstr(text, "1 dropped from"));
        assert_false(pen_blob_store_damage(store, text));
        stored.data[cut ? 0 : i] ^= cut ? 0 : 0x10;
    }
    /* an empty file, and one beyond what a blob may be */
    assert_int_equal(pen_file_replace_unsynced(path, "", 0, 0600, NULL), 0);
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    assert_int_equal(pen_blob_get(store, name, sizeof plain, &bytes, NULL), PEN_ECORRUPT);
    assert_int_equal(pen_file_replace_unsynced(path, "", 0, 0600, NULL), 0);
    assert_int_equal(truncate(path, 64 << 20), 0);
    assert_int_equal(pen_blob_get(store, name, sizeof plain, &bytes, NULL), PEN_ECORRUPT);
    assert_false(pen_blob_has(store, name));
}

/* Who has good bytes replaces damaged ones, whether somebody has read these before or not. */
static void test_damage_is_replaced(void **state)
{
    (void)state;
    static uint8_t plain[50000];
    fill(plain, sizeof plain, 9);
    uint8_t name[PEN_SHA256_SIZE];
    char path[512];
    char text[PEN_ERROR_MESSAGE_MAX];
    PEN_CLEANUP(pen_buf_release) struct pen_buf good = {0};
    for (int how = 0; how < 3; how++) {
        PEN_CLEANUP(pen_blob_store_close) struct pen_blob_store *store = NULL;
        assert_int_equal(pen_blob_store_open(root, &store, NULL), 0);
        assert_int_equal(pen_blob_put(store, plain, sizeof plain, name, NULL), 0);
        assert_int_equal(pen_blob_store_sync(store, NULL), 0);
        path_of(name, path);
        pen_buf_clear(&good);
        assert_int_equal(pen_file_read(path, 1 << 20, &good, NULL), 0);
        good.data[good.size / 2] ^= 1;
        assert_int_equal(pen_file_replace_unsynced(path, good.data, good.size, 0600, NULL), 0);
        good.data[good.size / 2] ^= 1;
        /* a store that has not seen the bytes itself */
        pen_blob_store_close(&store);
        assert_int_equal(pen_blob_store_open(root, &store, NULL), 0);
        assert_true(pen_blob_has(store, name));
        if (how == 0)
            assert_int_equal(pen_blob_put(store, plain, sizeof plain, name, NULL), 0);
        else if (how == 1)
            assert_int_equal(
                pen_blob_put_compressed(store, name, good.data, good.size, sizeof plain, NULL), 0);
        else
            assert_false(pen_blob_renew(store, name));
        assert_true(pen_blob_store_damage(store, text));
        if (how == 2)
            assert_int_equal(pen_blob_put(store, plain, sizeof plain, name, NULL), 0);
        assert_int_equal(pen_blob_store_sync(store, NULL), 0);
        assert_true(pen_blob_renew(store, name));
        PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
        assert_int_equal(pen_blob_get(store, name, sizeof plain, &bytes, NULL), 0);
        assert_memory_equal(bytes.data, plain, sizeof plain);
    }
}

static void test_compressed_from_outside(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_blob_store_close) struct pen_blob_store *store = NULL;
    assert_int_equal(pen_blob_store_open(root, &store, NULL), 0);
    /* a bomb: 64 MiB of zeros in some kilobytes */
    size_t plain_size = 64 << 20;
    PEN_CLEANUP(pen_free) uint8_t *plain = calloc(1, plain_size);
    size_t bound = ZSTD_compressBound(plain_size);
    PEN_CLEANUP(pen_free) uint8_t *packed = malloc(bound);
    size_t size = ZSTD_compress(packed, bound, plain, plain_size, 1);
    uint8_t name[PEN_SHA256_SIZE];
    pen_sha256(plain, plain_size, name);
    assert_true(size < 100000);
    assert_int_equal(pen_blob_put_compressed(store, name, packed, size, PEN_CHUNK_MAX, NULL),
                     PEN_ELIMIT);
    /* a true one, then with a second frame, cut off, under a false name */
    size = ZSTD_compress(packed, bound, plain, PEN_CHUNK_MAX, 1);
    pen_sha256(plain, PEN_CHUNK_MAX, name);
    memcpy(packed + size, packed, size);
    assert_int_equal(pen_blob_put_compressed(store, name, packed, 2 * size, PEN_CHUNK_MAX, NULL),
                     PEN_ECORRUPT);
    assert_int_equal(pen_blob_put_compressed(store, name, packed, size - 1, PEN_CHUNK_MAX, NULL),
                     PEN_ECORRUPT);
    name[0] ^= 1;
    assert_int_equal(pen_blob_put_compressed(store, name, packed, size, PEN_CHUNK_MAX, NULL),
                     PEN_ECORRUPT);
    assert_false(pen_blob_has(store, name));
    name[0] ^= 1;
    assert_int_equal(pen_blob_put_compressed(store, name, packed, size, PEN_CHUNK_MAX, NULL), 0);
    assert_int_equal(pen_blob_put_compressed(store, name, packed, size, PEN_CHUNK_MAX, NULL), 0);
    assert_int_equal(pen_blob_store_sync(store, NULL), 0);
    PEN_CLEANUP(pen_buf_release) struct pen_buf stored = {0};
    assert_int_equal(pen_blob_get_compressed(store, name, &stored, NULL), 0);
    assert_int_equal(stored.size, size);
    assert_memory_equal(stored.data, packed, size);
}

static size_t cut_all(const struct pen_chunker *chunker, const uint8_t *bytes, size_t size,
                      uint64_t *ret_names, size_t names_max)
{
    size_t count = 0;
    for (size_t at = 0; at < size; count++) {
        size_t part = pen_chunker_cut(chunker, bytes + at, size - at);
        assert_true(part > 0 && part <= PEN_CHUNK_MAX);
        assert_true(part >= PEN_CHUNK_MIN || at + part == size);
        uint8_t digest[PEN_SHA256_SIZE];
        pen_sha256(bytes + at, part, digest);
        assert_true(count < names_max);
        memcpy(&ret_names[count], digest, sizeof ret_names[count]);
        at += part;
    }
    return count;
}

static void test_cuts(void **state)
{
    (void)state;
    enum { SIZE = 8 << 20, NAMES_MAX = 600 };
    struct pen_chunker chunker;
    pen_chunker_init(&chunker);
    /* The table is part of the format. */
    uint8_t digest[PEN_SHA256_SIZE];
    char hex[PEN_SHA256_HEX];
    pen_sha256(chunker.gear, sizeof chunker.gear, digest);
    pen_hex_encode(digest, sizeof digest, hex);
    assert_string_equal(hex, "90d66af3dd5d00251846e4c43fb707db5f2b705251553a8264327382100ef4c0");
    PEN_CLEANUP(pen_free) uint8_t *bytes = malloc(SIZE + 1);
    static uint64_t before[NAMES_MAX];
    static uint64_t after[NAMES_MAX];
    fill(bytes, SIZE, 42);
    size_t before_count = cut_all(&chunker, bytes, SIZE, before, NAMES_MAX);
    size_t average = SIZE / before_count;
    print_message("average chunk of random bytes: %zu\n", average);
    assert_true(average > 48 * 1024 && average < 96 * 1024);
    /* one byte put in near the start moves one or two chunks, not all */
    memmove(bytes + 100001, bytes + 100000, SIZE - 100000);
    size_t after_count = cut_all(&chunker, bytes, SIZE + 1, after, NAMES_MAX);
    size_t new_count = 0;
    for (size_t i = 0; i < after_count; i++) {
        bool found = false;
        for (size_t k = 0; k < before_count; k++)
            found = found || before[k] == after[i];
        new_count += !found;
    }
    assert_true(new_count >= 1 && new_count <= 4);
    /* constant bytes have no cut by content */
    memset(bytes, 0, SIZE);
    size_t first = pen_chunker_cut(&chunker, bytes, SIZE);
    assert_true(first == PEN_CHUNK_MAX);
    assert_int_equal(pen_chunker_cut(&chunker, bytes, 0), 0);
}

/* ---- keeping and dropping */

static void set_age(const uint8_t sha256[PEN_SHA256_SIZE], int64_t age_s)
{
    char hex[PEN_SHA256_HEX];
    char path[512];
    pen_hex_encode(sha256, PEN_SHA256_SIZE, hex);
    (void)snprintf(path, sizeof path, "%s/%.2s/%s", root, hex, hex + 2);
    struct timespec times[2] = {{.tv_sec = time(NULL) - age_s}, {.tv_sec = time(NULL) - age_s}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool drop_older(const struct pen_blob_store *store, const uint8_t sha256[PEN_SHA256_SIZE],
                       int64_t age_s)
{
    bool dropped = false;
    int64_t before_ms = pen_clock_wall_ms() - age_s * 1000;
    assert_int_equal(pen_blob_drop(store, sha256, before_ms, &dropped, NULL), 0);
    return dropped;
}

static int note_found(void *context, const struct pen_blob_found *found, struct pen_error *err)
{
    (void)err;
    *(struct pen_blob_found *)context = *found;
    return 0;
}

static void test_old_blobs_are_dropped(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_blob_store_close) struct pen_blob_store *writer = NULL;
    PEN_CLEANUP(pen_blob_store_close) struct pen_blob_store *collector = NULL;
    assert_int_equal(pen_blob_store_open(root, &writer, NULL), 0);
    assert_int_equal(pen_blob_store_open_readonly(root, &collector, NULL), 0);
    uint8_t name[PEN_SHA256_SIZE];
    assert_int_equal(pen_blob_put(writer, "seldom", 6, name, NULL), 0);
    assert_true(pen_blob_renew(writer, name)); /* it waits for the sync */
    assert_false(drop_older(collector, name, 0));
    assert_int_equal(pen_blob_store_sync(writer, NULL), 0);

    struct pen_blob_found found = {.stored_size = 0};
    assert_int_equal(pen_blob_list(collector, name[0], note_found, &found, NULL), 0);
    assert_memory_equal(found.sha256, name, sizeof name);
    assert_true(found.stored_size > 0);
    assert_false(drop_older(collector, name, 3600)); /* too young */
    set_age(name, 7200);
    assert_true(pen_blob_renew(writer, name));
    assert_false(drop_older(collector, name, 3600)); /* somebody is about to use it */
    set_age(name, 7200);
    assert_int_equal(pen_blob_put(writer, "seldom", 6, name, NULL), 0);
    assert_false(drop_older(collector, name, 3600)); /* put again */
    set_age(name, 7200);
    assert_true(pen_blob_has(writer, name)); /* to look at it is not to use it */
    assert_true(drop_older(collector, name, 3600));
    assert_false(pen_blob_has(writer, name));
    assert_false(pen_blob_renew(writer, name));
    assert_false(drop_older(collector, name, 3600)); /* gone: fine */
    assert_int_equal(pen_blob_put(writer, "seldom", 6, name, NULL), 0);
    assert_int_equal(pen_blob_store_sync(writer, NULL), 0);
    assert_true(pen_blob_has(collector, name));
}

static void test_renewing_an_artifact_finds_what_lacks(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_blob_store_close) struct pen_blob_store *store = NULL;
    assert_int_equal(pen_blob_store_open(root, &store, NULL), 0);
    PEN_CLEANUP(pen_packer_destroy) struct pen_packer *packer = NULL;
    assert_int_equal(pen_packer_create(store, &packer, NULL), 0);
    static uint8_t bytes[4 * PEN_CHUNK_MAX];
    static const struct pen_entry_facts facts = {.mode = 0644};
    fill(bytes, sizeof bytes, 7);
    assert_int_equal(pen_packer_add_bytes(packer, "big", &facts, bytes, sizeof bytes, NULL), 0);
    Pen__ArtifactRef ref = PEN__ARTIFACT_REF__INIT;
    assert_int_equal(pen_packer_finish(packer, &ref, NULL), 0);

    uint8_t lacking[PEN_SHA256_SIZE];
    PEN_CLEANUP(pen_message_destroy) Pen__Manifest *manifest = NULL;
    assert_int_equal(pen_manifest_renew(store, ref.manifest_sha256.data, &manifest, lacking, NULL),
                     0);
    assert_true(manifest->n_chunks > 2);
    const uint8_t *chunk = manifest->chunks[1]->sha256.data;
    set_age(chunk, 7200);
    assert_int_equal(pen_manifest_renew(store, ref.manifest_sha256.data, NULL, lacking, NULL), 0);
    assert_false(drop_older(store, chunk, 3600));
    set_age(chunk, 7200);
    assert_true(drop_older(store, chunk, 3600));
    assert_int_equal(pen_manifest_renew(store, ref.manifest_sha256.data, NULL, lacking, NULL),
                     PEN_ENOTFOUND);
    assert_memory_equal(lacking, chunk, PEN_SHA256_SIZE);
    free(ref.manifest_sha256.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_put_sync_get, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_writers_and_leftovers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_corruption, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_compressed_from_outside, set_up, tear_down),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test_setup_teardown(test_old_blobs_are_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_renewing_an_artifact_finds_what_lacks, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
