/* The door before all is loaded: what is not known yet is not called unknown. */
#include "tests/unit/http/fixture.h"

static void expect_later(const struct fixture *f, const char *request)
{
    struct response response;
    exchange_text(f, request, &response);
    assert_int_equal(response.status, 503);
    assert_non_null(strstr((const char *)response.head.data, "Retry-After: 1"));
    response_release(&response);
}

static void test_early_requests_are_told_to_come_again(void **state)
{
    struct fixture *f = *state;
    struct response response;
    call(f, "CodePipeline_20150709.ListPipelines", "{}", &response);
    assert_int_equal(response.status, 503);
    assert_string_equal(error_of(&response), "ServiceUnavailableException");
    response_release(&response);
    expect_later(f, "POST /hooks/webhook/w/secret HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                    "\r\n{}");
    expect_later(f, "POST /hooks/connection/c HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
    expect_later(f, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
    exchange_text(f, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", &response);
    assert_int_equal(response.status, 200);
    response_release(&response);

    fixture_serve(f);
    call(f, "CodePipeline_20150709.ListPipelines", "{}", &response);
    assert_int_equal(response.status, 200);
    response_release(&response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_early_requests_are_told_to_come_again),
    };
    return cmocka_run_group_tests(tests, fixture_start_closed, fixture_stop);
}
