/* Ranges of addresses: which texts are one, and who is in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "controller/services/cidr.h"

static bool contains(const char *range, const char *peer)
{
    struct pen_cidr cidr;
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    assert_int_equal(pen_cidr_parse(range, &cidr, NULL), 0);
    if (inet_pton(AF_INET, peer, &v4.sin_addr) == 1)
        return pen_cidr_contains(&cidr, (struct sockaddr *)&v4);
    assert_int_equal(inet_pton(AF_INET6, peer, &v6.sin6_addr), 1);
    return pen_cidr_contains(&cidr, (struct sockaddr *)&v6);
}

static void test_contains(void **state)
{
    (void)state;
    assert_true(contains("10.0.0.0/8", "10.255.0.1"));
    assert_false(contains("10.0.0.0/8", "11.0.0.1"));
    assert_true(contains("192.0.2.128/25", "192.0.2.200"));
    assert_false(contains("192.0.2.128/25", "192.0.2.127"));
    assert_true(contains("192.0.2.7/32", "::ffff:192.0.2.7")); /* one peer, two spellings */
    assert_false(contains("192.0.2.7/32", "::192.0.2.7"));
    assert_true(contains("0.0.0.0/0", "203.0.113.9"));
    assert_false(contains("0.0.0.0/0", "2001:db8::1"));
    assert_true(contains("2001:db8::/32", "2001:db8:ffff::1"));
    assert_false(contains("2001:db8::/33", "2001:db8:8000::1"));
    assert_true(contains("::/0", "127.0.0.1"));
    struct pen_cidr cidr;
    assert_int_equal(pen_cidr_parse("::/0", &cidr, NULL), 0);
    assert_false(pen_cidr_contains(&cidr, NULL));
    assert_false(pen_cidr_contains(&cidr, &(struct sockaddr){.sa_family = AF_UNIX}));
}

static void test_refuses(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "10.0.0.1",
                                        "10.0.0.0/",
                                        "/8",
                                        "10.0.0/8",
                                        "10.0.0.0/33",
                                        "10.0.0.0/-1",
                                        "10.0.0.0/8x",
                                        "10.0.0.0/08",
                                        "::/129",
                                        "host/8",
                                        "10.0.0.0/ 8",
                                        "1:2/8",
                                        "10.0.0.0/1000"};
    struct pen_cidr cidr;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (pen_cidr_parse(texts[i], &cidr, NULL) != PEN_EINVAL)
            fail_msg("'%s' is taken", texts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contains),
        cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
