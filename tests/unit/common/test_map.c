#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/heap.h"
#include "common/base/id.h"
#include "common/base/map.h"
#include "common/base/prng.h"

enum { KEYS = 500 };

static void test_keys_are_ordered(void **state)
{
    (void)state;
    assert_int_equal(pen_key_compare(pen_key_number(1), pen_key_number(2)), -1);
    assert_int_equal(pen_key_compare((struct pen_key){2, NULL}, (struct pen_key){1, "a"}), 1);
    assert_int_equal(pen_key_compare((struct pen_key){1, NULL}, (struct pen_key){1, "a"}), -1);
    assert_int_equal(pen_key_compare((struct pen_key){1, "b"}, (struct pen_key){1, "a"}), 1);
    char text[] = "a";
    assert_int_equal(pen_key_compare(pen_key_text(text), pen_key_text("a")), 0);
}

/* Against an array of flags: the same contents and the same order after every change. */
static void test_map_against_a_model(void **state)
{
    (void)state;
    static int values[KEYS];
    bool present[KEYS] = {false};
    size_t count = 0;
    struct pen_map map = {0};
    struct pen_prng prng;
    uint8_t seed[PEN_PRNG_SEED_SIZE] = {7};
    pen_prng_init(&prng, seed);
    for (int i = 0; i < 20000; i++) {
        uint64_t key = pen_prng_below(&prng, KEYS);
        if (pen_prng_below(&prng, 2) == 0) {
            assert_int_equal(pen_map_put(&map, pen_key_number(key), &values[key], NULL), 0);
            count += present[key] ? 0 : 1;
            present[key] = true;
        } else {
            void *removed = pen_map_remove(&map, pen_key_number(key));
            assert_ptr_equal(removed, present[key] ? &values[key] : NULL);
            count -= present[key] ? 1 : 0;
            present[key] = false;
        }
        assert_int_equal(map.count, count);
        if (i % 500 != 0)
            continue;
        struct pen_map_node *node = pen_map_first(&map);
        for (uint64_t k = 0; k < KEYS; k++) {
            assert_ptr_equal(pen_map_get(&map, pen_key_number(k)), present[k] ? &values[k] : NULL);
            struct pen_map_node *from = pen_map_from(&map, pen_key_number(k));
            assert_ptr_equal(from, node); /* the first that is not below k */
            if (!present[k])
                continue;
            assert_ptr_equal(pen_map_value(node), &values[k]);
            struct pen_map_node *next = pen_map_next(node);
            if (next != NULL)
                assert_ptr_equal(pen_map_previous(next), node);
            else
                assert_ptr_equal(pen_map_last(&map), node);
            node = next;
        }
        assert_null(node);
    }
    pen_map_release(&map);
    assert_null(pen_map_first(&map));
}

static void test_heap_gives_the_earliest(void **state)
{
    (void)state;
    static struct pen_heap_entry entries[KEYS];
    struct pen_heap heap = {0};
    struct pen_prng prng;
    uint8_t seed[PEN_PRNG_SEED_SIZE] = {9};
    pen_prng_init(&prng, seed);
    for (int i = 0; i < 20000; i++) {
        struct pen_heap_entry *entry = &entries[pen_prng_below(&prng, KEYS)];
        if (pen_prng_below(&prng, 3) == 0) {
            pen_heap_disarm(&heap, entry);
            assert_false(pen_heap_armed(entry));
        } else {
            int64_t at = (int64_t)pen_prng_below(&prng, 50);
            assert_int_equal(pen_heap_arm(&heap, entry, at, NULL), 0);
        }
        if (i % 100 != 0)
            continue;
        const struct pen_heap_entry *first = pen_heap_first(&heap);
        for (size_t k = 0; k < KEYS; k++) {
            if (!pen_heap_armed(&entries[k]))
                continue;
            bool not_before = entries[k].at > first->at ||
                              (entries[k].at == first->at && entries[k].turn >= first->turn);
            assert_true(not_before);
        }
    }
    int64_t last = 0;
    while (heap.count > 0) {
        struct pen_heap_entry *entry = pen_heap_first(&heap);
        assert_true(entry->at >= last);
        last = entry->at;
        pen_heap_disarm(&heap, entry);
    }
    pen_heap_release(&heap);
}

/* RFC 8439, appendix A.1, test vectors 1 and 2: zero key, zero nonce, blocks 0 and 1. */
static void test_prng_is_chacha20(void **state)
{
    (void)state;
    static const uint8_t block_0[] = {0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90,
                                      0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28};
    static const uint8_t block_1[] = {0x9f, 0x07, 0xe7, 0xbe, 0x55, 0x51, 0x38, 0x7a,
                                      0x98, 0xba, 0x97, 0x7c, 0x73, 0x2d, 0x08, 0x0d};
    struct pen_prng prng;
    uint8_t seed[PEN_PRNG_SEED_SIZE] = {0};
    uint8_t bytes[80];
    pen_prng_init(&prng, seed);
    pen_prng_bytes(&prng, bytes, 3); /* in odd pieces: the stream is one */
    pen_prng_bytes(&prng, bytes + 3, sizeof bytes - 3);
    assert_memory_equal(bytes, block_0, sizeof block_0);
    assert_memory_equal(bytes + 64, block_1, sizeof block_1);
}

static void test_below_reaches_all_and_no_more(void **state)
{
    (void)state;
    struct pen_prng prng;
    uint8_t seed[PEN_PRNG_SEED_SIZE] = {1};
    size_t hits[3] = {0};
    pen_prng_init(&prng, seed);
    for (int i = 0; i < 3000; i++) {
        uint64_t number = pen_prng_below(&prng, 3);
        assert_true(number < 3);
        hits[number]++;
    }
    for (int i = 0; i < 3; i++)
        assert_in_range(hits[i], 900, 1100);
    assert_int_equal(pen_prng_below(&prng, 1), 0);
}

static void test_uuid(void **state)
{
    (void)state;
    struct pen_prng prng;
    uint8_t seed[PEN_PRNG_SEED_SIZE] = {3};
    char a[PEN_UUID_TEXT_SIZE];
    char b[PEN_UUID_TEXT_SIZE];
    pen_prng_init(&prng, seed);
    pen_uuid(&prng, a);
    pen_uuid(&prng, b);
    assert_true(pen_uuid_valid(a));
    assert_int_equal(a[14], '4');
    assert_non_null(strchr("89ab", a[19]));
    assert_string_not_equal(a, b);
    a[8] = '0';
    assert_false(pen_uuid_valid(a));
    assert_false(pen_uuid_valid(NULL));
    assert_false(pen_uuid_valid("00000000-0000-4000-8000-00000000000g"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_are_ordered),
        cmocka_unit_test(test_map_against_a_model),
        cmocka_unit_test(test_heap_gives_the_earliest),
        cmocka_unit_test(test_prng_is_chacha20),
        cmocka_unit_test(test_below_reaches_all_and_no_more),
        cmocka_unit_test(test_uuid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
