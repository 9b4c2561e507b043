/* The door against bytes: heads, bodies, JSON, signatures. */
#include "tests/unit/http/fixture.h"

#include "common/base/limits.h"

static void expect(const struct fixture *f, const char *request, int status)
{
    struct response response;
    exchange_text(f, request, &response);
    if (response.status != status)
        fail_msg("status %d instead of %d for:\n%s\n%s", response.status, status, request,
                 pen_buf_text(&response.body));
    if (status != 0) {
        assert_non_null(strstr(pen_buf_text(&response.head), "x-amzn-RequestId: "));
        assert_non_null(response.json);
    }
    response_release(&response);
}

static void test_paths_and_methods(void **state)
{
    const struct fixture *f = *state;
    expect(f, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200);
    expect(f, "GET /readyz?x=1 HTTP/1.1\r\nHost: x\r\n\r\n", 200);
    expect(f, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 405);
    expect(f, "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405);
    expect(f, "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 404);
    expect(f, "GET /healthz/ HTTP/1.1\r\nHost: x\r\n\r\n", 404);
    expect(f, "GET /../healthz HTTP/1.1\r\nHost: x\r\n\r\n", 404);
    expect(f, "GET /%68ealthz HTTP/1.1\r\nHost: x\r\n\r\n", 404);
    expect(f, "BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 405);
    expect(f, "AVERYVERYVERYLONGMETHODPOST / HTTP/1.1\r\nHost: x\r\n\r\n", 405);
}

/* What two parsers could read in two ways is refused and the connection ends. */
static void test_smuggling(void **state)
{
    static const char *const heads[] = {
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: \vchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length : 5\r\n",
        "Foo : bar\r\n",
        "Content-Length: 1\r\n 0\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding: chun\r\n\tked\r\n",
        "Foo: a\r\n b\r\n",
        "Foo: a\r\n b\r\n c\r\n",
        "Foo\r\n",
        " Foo: bar\r\n",
        "F(oo): bar\r\n",
        "Foo: a\x01z\r\n",
        "Host: other\r\n",
        "Expect: the-unexpected\r\n",
        "Expect: 100-continue\r\nExpect: 100-continue\r\n",
    };
    const struct fixture *f = *state;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        char request[1024];
        snprintf(request, sizeof request,
                 "POST /healthz HTTP/1.1\r\nHost: x\r\n%s\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\n"
                 "Host: x\r\n\r\n",
                 heads[i]);
        int fd = open_connection(f);
        send_all(fd, request, strlen(request));
        struct response first;
        receive(fd, &first);
        if (first.status != 400 && first.status != 0 && first.status != 413)
            fail_msg("status %d for %s", first.status, heads[i]);
        struct response second;
        receive(fd, &second); /* the bytes behind it are no request */
        if (second.status != 0)
            fail_msg("a second answer, %d, after %s", second.status, heads[i]);
        close(fd);
        response_release(&first);
        response_release(&second);
    }
}

static void test_odd_heads(void **state)
{
    const struct fixture *f = *state;
    expect(f, "GET /healthz HTTP/1.1\r\nHost:x\r\nFoo:\r\nBar: \r\nBaz:\t \ta b \t\r\n\r\n", 200);
    struct response response;
    exchange_text(f, "GET /healthz HTTP/1.1\r\n\r\n", &response);
    assert_int_equal(response.status, 400); /* the library's own answer: no Host */
    response_release(&response);
    expect(f, "GET http://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    expect(f, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    expect(f, "POST /healthz HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
    static const char *const garbage[] = {"GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
                                          "GET / \r\n\r\n"};
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        exchange_text(f, garbage[i], &response);
        assert_true(response.status == 0 || response.status >= 400);
        response_release(&response);
    }
    /* What is not even a whole head may wait for the idle time-out: nobody else waits with it. */
    static const char *const pieces[] = {"\r\n\r\n\r\n", "\x16\x03\x01\x02", "G"};
    int fds[sizeof pieces / sizeof pieces[0]];
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        fds[i] = open_connection(f);
        send_all(fds[i], pieces[i], strlen(pieces[i]));
        shutdown(fds[i], SHUT_WR);
    }
    expect(f, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200);
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        close(fds[i]);
    PEN_CLEANUP(pen_buf_release) struct pen_buf many = {0};
    pen_buf_puts(&many, "GET /healthz HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 150; i++)
        pen_buf_printf(&many, "X-%d: y\r\n", i);
    pen_buf_puts(&many, "\r\n");
    expect(f, pen_buf_text(&many), 400);
    PEN_CLEANUP(pen_buf_release) struct pen_buf large = {0};
    pen_buf_puts(&large, "GET /healthz HTTP/1.1\r\nHost: x\r\nX: ");
    for (int i = 0; i < 64 * 1024; i++)
        pen_buf_putc(&large, 'a');
    pen_buf_puts(&large, "\r\n\r\n");
    exchange_raw(f, large.data, large.size, &response);
    assert_true(response.status == 431 || response.status == 0);
    response_release(&response);
}

static void test_body_limit(void **state)
{
    const struct fixture *f = *state;
    struct response response;
    exchange_text(f, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n", &response);
    assert_int_equal(response.status, 413);
    assert_string_equal(error_of(&response), "RequestEntityTooLargeException");
    response_release(&response);
    exchange_text(f,
                  "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                  "Content-Length: 2000000\r\n\r\n",
                  &response);
    assert_int_equal(response.status, 413); /* without a byte of the body */
    response_release(&response);

    PEN_CLEANUP(pen_buf_release) struct pen_buf chunked = {0};
    pen_buf_puts(&chunked, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    pen_buf_puts(&chunked, "180000\r\n");
    for (int i = 0; i < 0x180000; i++)
        pen_buf_putc(&chunked, ' ');
    pen_buf_puts(&chunked, "\r\n0\r\n\r\n");
    exchange_raw(f, chunked.data, chunked.size, &response);
    assert_int_equal(response.status, 413);
    response_release(&response);

    PEN_CLEANUP(pen_buf_release) struct pen_buf body = {0};
    pen_buf_puts(&body, "{\"name\":\"");
    while (body.size < PEN_LIMIT_HTTP_BODY_BYTES - 2)
        pen_buf_putc(&body, 'a');
    pen_buf_puts(&body, "\"}");
    call_bytes(f, PIPELINE_OP("GetPipeline"), body.data, body.size, &response);
    assert_int_equal(response.status, 400); /* all of it was read, and the name is too long */
    assert_string_equal(error_of(&response), "ValidationException");
    response_release(&response);
}

static void expect_error(const struct fixture *f, const char *target, const void *body, size_t size,
                         int status, const char *name)
{
    struct response response;
    call_bytes(f, target, body, size, &response);
    if (response.status != status || strcmp(error_of(&response), name) != 0)
        fail_msg("%d %s instead of %d %s for %.*s", response.status, pen_buf_text(&response.body),
                 status, name, (int)size, (const char *)body);
    char header[160];
    snprintf(header, sizeof header, "x-amzn-ErrorType: %s\r\n", name);
    assert_non_null(strstr(pen_buf_text(&response.head), header));
    assert_true(json_string_length(json_object_get(response.json, "message")) > 0);
    response_release(&response);
}

static void test_bad_json(void **state)
{
    static const char *const bodies[] = {
        "{",
        "[]",
        "null",
        "42",
        "\"x\"",
        "{\"name\":}",
        "{\"name\":\"a\",}",
        "{'name':'a'}",
        "{\"name\":\"a\"} x",
        "{\"name\":\"a\",\"name\":\"b\"}",
        "{\"name\":\"\xff\xfe\"}",
        "{\"name\":\"\xc0\x80\"}",
        "{\"name\":\"\xed\xa0\x80\"}",
        "{\"name\":\"\\ud800\"}",
        "{\"name\":17}",
        "{\"name\":[\"a\"]}",
        "{\"name\":\"a\",\"version\":\"1\"}",
        "{\"name\":\"a\",\"version\":1e400}",
    };
    const struct fixture *f = *state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        expect_error(f, PIPELINE_OP("GetPipeline"), bodies[i], strlen(bodies[i]), 400,
                     "SerializationException");
    char deep[4096];
    memset(deep, '[', sizeof deep);
    expect_error(f, PIPELINE_OP("GetPipeline"), deep, sizeof deep, 400, "SerializationException");
    expect_error(f, PIPELINE_OP("GetPipeline"), "{\"name\":\"a\\u0000b\"}", 18, 400,
                 "SerializationException");
    expect_error(f, PIPELINE_OP("GetPipeline"), "", 0, 400, "ValidationException");
    expect_error(f, PIPELINE_OP("GetPipeline"), "{}", 2, 400, "ValidationException");
    expect_error(f, PIPELINE_OP("GetPipeline"), "{\"name\":null}", 13, 400, "ValidationException");
    expect_error(f, PIPELINE_OP("GetPipeline"), "{\"name\":\"a b\"}", 14, 400,
                 "ValidationException");
    expect_error(f, PIPELINE_OP("GetPipeline"), "{\"name\":\"gone\"}", 15, 400,
                 "PipelineNotFoundException");
}

static void test_targets(void **state)
{
    const struct fixture *f = *state;
    expect_error(f, PIPELINE_OP("Nothing"), "{}", 2, 400, "UnknownOperationException");
    expect_error(f, "CodePipeline_20150709", "{}", 2, 400, "UnknownOperationException");
    expect_error(f, "Other_20150709.ListPipelines", "{}", 2, 400, "UnknownOperationException");
    struct response response;
    call(f, PIPELINE_OP("TagResource"), "{}", &response);
    assert_string_equal(error_of(&response), "UnknownOperationException");
    assert_string_equal(json_string_value(json_object_get(response.json, "message")),
                        "TagResource is not available in this version of Penstock.");
    response_release(&response);
    call(f, PIPELINE_OP("ListPipelines"), "{}", &response);
    assert_int_equal(response.status, 200);
    assert_string_equal(pen_buf_text(&response.body), "{\"pipelines\":[]}");
    assert_non_null(
        strstr(pen_buf_text(&response.head), "Content-Type: application/x-amz-json-1.1\r\n"));
    response_release(&response);
}

static void test_signatures(void **state)
{
    const struct fixture *f = *state;
    struct response response;
    exchange_text(f,
                  "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: CodePipeline_20150709."
                  "ListPipelines\r\nContent-Length: 2\r\n\r\n{}",
                  &response);
    assert_int_equal(response.status, 400);
    assert_string_equal(error_of(&response), "MissingAuthenticationTokenException");
    response_release(&response);
    PEN_CLEANUP(pen_buf_release) struct pen_buf request = {0};
    make_request(f, PIPELINE_OP("ListPipelines"), "{}", 2, "not the secret", &request);
    exchange_raw(f, request.data, request.size, &response);
    assert_string_equal(error_of(&response), "InvalidSignatureException");
    response_release(&response);
    pen_buf_clear(&request);
    make_request(f, PIPELINE_OP("ListPipelines"), "{}", 2, SECRET, &request);
    request.data[request.size - 1] = ' '; /* another body */
    exchange_raw(f, request.data, request.size, &response);
    assert_string_equal(error_of(&response), "InvalidSignatureException");
    response_release(&response);
    pen_buf_clear(&request);
    make_request(f, PENSTOCK_OP("ListRepositories"), "{}", 2, SECRET, &request);
    char *target = strstr((char *)request.data, "Penstock_20261101.ListR");
    memcpy(target, "Penstock_20261101.DropR", 23); /* another operation */
    exchange_raw(f, request.data, request.size, &response);
    assert_string_equal(error_of(&response), "InvalidSignatureException");
    response_release(&response);
}

static void test_keep_alive_and_pieces(void **state)
{
    const struct fixture *f = *state;
    PEN_CLEANUP(pen_buf_release) struct pen_buf request = {0};
    make_request(f, PIPELINE_OP("ListPipelines"), "{}", 2, SECRET, &request);
    int fd = open_connection(f);
    struct response response;
    for (int i = 0; i < 3; i++) { /* the connection is used again */
        send_all(fd, request.data, request.size);
        receive(fd, &response);
        assert_int_equal(response.status, 200);
        response_release(&response);
    }
    for (size_t i = 0; i < request.size; i++) /* byte by byte */
        send_all(fd, request.data + i, 1);
    receive(fd, &response);
    assert_int_equal(response.status, 200);
    response_release(&response);
    send_all(fd, request.data, request.size); /* two at once */
    send_all(fd, request.data, request.size);
    for (int i = 0; i < 2; i++) {
        receive(fd, &response);
        assert_int_equal(response.status, 200);
        response_release(&response);
    }
    close(fd);
    fd = open_connection(f); /* gone in the middle of a body */
    send_all(fd, request.data, request.size - 1);
    close(fd);
    expect(f, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200);
}

static void test_expect_continue(void **state)
{
    const struct fixture *f = *state;
    int fd = open_connection(f);
    const char *head = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                       "Content-Length: 2\r\n\r\n";
    send_all(fd, head, strlen(head));
    char go_on[25];
    assert_int_equal(recv(fd, go_on, sizeof go_on, MSG_WAITALL), (ssize_t)sizeof go_on);
    assert_memory_equal(go_on, "HTTP/1.1 100 Continue\r\n\r\n", sizeof go_on);
    send_all(fd, "{}", 2);
    struct response response;
    receive(fd, &response);
    assert_string_equal(error_of(&response), "MissingAuthenticationTokenException");
    response_release(&response);
    close(fd);
}

/* Clients of other services read XML only: they are told in it. */
static void test_clients_of_other_services(void **state)
{
    static const struct {
        const char *request;
        int status;
        const char *body;
    } cases[] = {
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
         "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"
         "Authorization: AWS4-HMAC-SHA256 "
         "Credential=AKIA/20261130/us-east-1/sts/aws4_request, SignedHeaders=host, Signature=0\r\n"
         "\r\n",
         400, "<Code>InvalidAction</Code><Message>There is no service 'sts'"},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 16\r\n"
         "Content-Type: application/x-www-form-urlencoded\r\n\r\nAction=ListUsers",
         400, "<Code>InvalidAction</Code>"},
        {"GET /bucket/key?x=1 HTTP/1.1\r\nHost: x\r\n"
         "Authorization: AWS4-HMAC-SHA256 "
         "Credential=AKIA/20261130/eu-west-1/s3/aws4_request\r\n\r\n",
         501, "<Error><Code>NotImplemented</Code><Message>There is no service 's3'"},
        {"PUT /b/k?X-Amz-Credential=AKIA%2F20261130%2Fus-east-1%2Fs3%2Faws4_request HTTP/1.1\r\n"
         "Host: x\r\nContent-Length: 0\r\n\r\n",
         501, "'s3'"},
        /* Names that are none, and our own, are nobody else's. */
        {"GET /b HTTP/1.1\r\nHost: x\r\nAuthorization: Credential=A/1/r/<s3>/aws4_request\r\n\r\n",
         404, "NotFoundException"},
        {"GET /b HTTP/1.1\r\nHost: x\r\nAuthorization: Credential=A/1/r/s3\r\n\r\n", 404,
         "NotFoundException"},
        {"GET /b HTTP/1.1\r\nHost: x\r\nAuthorization: Credential=A/1/r/codepipeline/x\r\n\r\n",
         404, "NotFoundException"},
    };
    const struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct response response;
        exchange_text(f, cases[i].request, &response);
        if (response.status != cases[i].status ||
            strstr(pen_buf_text(&response.body), cases[i].body) == NULL)
            fail_msg("case %zu: %d %s", i, response.status, pen_buf_text(&response.body));
        response_release(&response);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_and_methods), cmocka_unit_test(test_smuggling),
        cmocka_unit_test(test_odd_heads),         cmocka_unit_test(test_body_limit),
        cmocka_unit_test(test_bad_json),          cmocka_unit_test(test_targets),
        cmocka_unit_test(test_signatures),        cmocka_unit_test(test_keep_alive_and_pieces),
        cmocka_unit_test(test_expect_continue),   cmocka_unit_test(test_clients_of_other_services),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
