/* Members of an answer: what comes from outside must not make it unreadable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>

#include "controller/services/output.h"

static double time_of(int64_t at_ms)
{
    struct pen_call call = {0};
    json_t *object = json_object();
    pen_put_time(&call, object, "created", at_ms);
    assert_false(call.out_of_memory);
    json_t *value = json_object_get(object, "created");
    double seconds = value != NULL ? json_real_value(value) : -1;
    json_decref(object);
    return seconds;
}

/* Clients lose the whole answer when one time in it has a year that they cannot show, in their own
 * time zone: up to 14 hours ahead and 12 behind. */
static void test_times_can_be_shown_everywhere(void **state)
{
    (void)state;
    const double year_1 = -62135596800.0;
    const double year_10000 = 253402300800.0;
    static const int64_t times[] = {
        INT64_C(253402300800000),    INT64_C(253402300799999),
        INT64_C(100000000000000000), INT64_C(-62135596800001),
        INT64_C(-62167219200000),    INT64_MAX,
        INT64_C(-100000000000000),   INT64_MIN,
    };
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        assert_true(time_of(times[i]) >= year_1 + 14 * 3600);
        assert_true(time_of(times[i]) < year_10000 - 14 * 3600);
    }
    /* what is inside stays as it is */
    assert_true(time_of(INT64_C(1795395724123)) == 1795395724.123);
    assert_true(time_of(-1500) == -1.5);
    assert_true(time_of(INT64_C(253402214399999)) == 253402214399.999);
    assert_true(time_of(0) == -1); /* absent */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_can_be_shown_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
