/* The data plane as agents meet it: logs, bad peers, a full disk. */
#include "tests/unit/data/world.h"

/* ---- logs */

static void test_log_offsets(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    open_attempt(self, (struct opening){.fence = 1001, .agent = "a"});
    join(self, &dealer, &self->agent);
    send_text(&dealer, 1001, 0, "hello ");
    expect_log_ack(&dealer, 1001, 6);
    send_text(&dealer, 1001, 6, "world\n");
    expect_log_ack(&dealer, 1001, 12);
    send_text(&dealer, 1001, 6, "twice"); /* seen already: acknowledged, not written */
    expect_log_ack(&dealer, 1001, 12);
    send_text(&dealer, 1001, 20, "gap");
    Pen__DataToAgent *answer = expect(&dealer, PEN__DATA_TO_AGENT__BODY_LOG_RESEND);
    assert_int_equal(answer->log_resend->fence, 1001);
    assert_int_equal(answer->log_resend->offset, 12);
    pen_message_destroy(&answer);
    send_text(&dealer, 1001, UINT64_MAX - 1, "x");
    expect_refused(&dealer, PEN__REFUSED_CODE__LIMIT, 1001);
    send_text(&dealer, 1001, INT64_MAX, "x");
    expect_refused(&dealer, PEN__REFUSED_CODE__LIMIT, 1001);
    expect_log_file(self, 1001, "hello world\n");

    struct pen_post post;
    assert_int_equal(pen_inbox_take(self->http, &post, 1), 1);
    assert_int_equal(post.kind, PEN_POST_LOG_GREW);
    assert_int_equal(post.number, 1001);
    dealer_close(&dealer);
}

static void test_log_of_others_is_fenced(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    open_attempt(self, (struct opening){.fence = 7, .agent = "a"});
    join(self, &dealer, &self->other);
    send_text(&dealer, 7, 0, "mine"); /* another agent's */
    expect_refused(&dealer, PEN__REFUSED_CODE__FENCED, 7);
    send_text(&dealer, 8, 0, "mine"); /* nobody's */
    expect_refused(&dealer, PEN__REFUSED_CODE__FENCED, 8);
    dealer_close(&dealer);

    join(self, &dealer, &self->agent);
    send_text(&dealer, 7, 0, "good");
    expect_log_ack(&dealer, 7, 4);
    close_attempt(self, 7);
    send_text(&dealer, 7, 4, "late");
    expect_refused(&dealer, PEN__REFUSED_CODE__FENCED, 7);
    expect_log_file(self, 7, "good");
    dealer_close(&dealer);
}

static void test_log_limits(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    const size_t piece = PEN_LIMIT_PIECE_BYTES;
    char *bytes = calloc(1, piece + 1);
    open_attempt(self, (struct opening){.fence = 1, .agent = "a", .log_bytes_max = piece});
    join(self, &dealer, &self->agent);
    send_log(&dealer, 1, 0, bytes, piece + 1);
    expect_refused(&dealer, PEN__REFUSED_CODE__LIMIT, 1);
    send_log(&dealer, 1, 0, bytes, piece);
    expect_log_ack(&dealer, 1, piece);
    send_log(&dealer, 1, piece, bytes, PEN_LIMIT_LOG_CUT_NOTICE_BYTES); /* "cut here" may follow */
    expect_log_ack(&dealer, 1, piece + PEN_LIMIT_LOG_CUT_NOTICE_BYTES);
    send_log(&dealer, 1, piece + PEN_LIMIT_LOG_CUT_NOTICE_BYTES, bytes, 1);
    expect_refused(&dealer, PEN__REFUSED_CODE__LIMIT, 1);
    dealer_close(&dealer);
    free(bytes);
}

static void test_wanted_log_size_is_reported(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    const uint64_t none = 0, five = 5, ten = 10;
    open_attempt(self, (struct opening){.fence = 5, .agent = "a"});
    open_attempt(self, (struct opening){.fence = 6, .agent = "a", .wanted_size = &none});
    expect_stored(self, 6, 0); /* no output at all */
    join(self, &dealer, &self->agent);
    send_text(&dealer, 5, 0, "12345");
    expect_log_ack(&dealer, 5, 5);
    open_attempt(self, (struct opening){.fence = 5, .agent = "a", .wanted_size = &five});
    expect_stored(self, 5, 5); /* was there before */
    open_attempt(self, (struct opening){.fence = 5, .agent = "a", .wanted_size = &ten});
    send_text(&dealer, 5, 5, "678");
    expect_log_ack(&dealer, 5, 8);
    send_text(&dealer, 5, 8, "90");
    expect_log_ack(&dealer, 5, 10);
    expect_stored(self, 5, 10); /* and not before */
    dealer_close(&dealer);
}

static void test_log_goes_on_after_restart(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    const uint64_t nine = 9;
    start(self);
    open_attempt(self, (struct opening){.fence = 12, .agent = "a"});
    join(self, &dealer, &self->agent);
    send_text(&dealer, 12, 0, "before ");
    expect_log_ack(&dealer, 12, 7);
    dealer_close(&dealer);
    stop(self);

    start(self);
    open_attempt(self, (struct opening){.fence = 12, .agent = "a", .wanted_size = &nine});
    join(self, &dealer, &self->agent);
    send_text(&dealer, 12, 0, "before "); /* sent again, as after any reconnect */
    expect_log_ack(&dealer, 12, 7);
    send_text(&dealer, 12, 7, "ok");
    expect_log_ack(&dealer, 12, 9);
    expect_stored(self, 12, 9);
    expect_log_file(self, 12, "before ok");
    dealer_close(&dealer);
}

static void test_more_logs_than_open_files(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    const uint64_t logs = PEN_LIMIT_LOG_FILES_OPEN + 20;
    join(self, &dealer, &self->agent);
    for (uint64_t round = 0; round < 2; round++) {
        for (uint64_t fence = 1; fence <= logs; fence++) {
            if (round == 0)
                open_attempt(self, (struct opening){.fence = fence, .agent = "a"});
            send_text(&dealer, fence, round * 3, "abc");
        }
        for (uint64_t fence = 1; fence <= logs; fence++) {
            Pen__DataToAgent *answer = expect(&dealer, PEN__DATA_TO_AGENT__BODY_LOG_ACK);
            assert_int_equal(answer->log_ack->offset, round * 3 + 3);
            pen_message_destroy(&answer);
        }
    }
    expect_log_file(self, 1, "abcabc");
    expect_log_file(self, logs, "abcabc");
    dealer_close(&dealer);
}

static void test_unknown_and_malformed_messages(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    join(self, &dealer, &self->agent);
    Pen__DataFromAgent unknown = PEN__DATA_FROM_AGENT__INIT;
    dealer_send(&dealer, &unknown);
    expect_refused(&dealer, PEN__REFUSED_CODE__UNSUPPORTED, 0);
    assert_return_code(zmq_send(dealer.socket, "\xff\xff", 2, 0), 0);
    expect_refused(&dealer, PEN__REFUSED_CODE__UNSUPPORTED, 0);
    dealer_close(&dealer);
}

/* libzmq notices the end of a connection only when it has room to read. */
static void read_until_disconnected(struct dealer *dealer)
{
    int event = 0;
    while (event == 0) {
        Pen__DataToAgent *answer = dealer_take(dealer, &pen__data_to_agent__descriptor, 10);
        event = dealer_event(dealer, answer == NULL ? PATIENCE_MS : 0);
        assert_true(answer != NULL || event != 0);
        pen_message_destroy(&answer);
    }
    assert_int_equal(event, ZMQ_EVENT_DISCONNECTED);
}

static void test_peer_that_does_not_read_is_cut(void **state)
{
    struct world *self = *state;
    struct dealer dealer, honest;
    const int zero = 0;
    open_attempt(self, (struct opening){.fence = 1, .agent = "b"});
    join(self, &dealer, &self->agent);
    assert_int_equal(dealer_event(&dealer, PATIENCE_MS), ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    /* Each is refused, in some words, until nothing is taken any more. */
    assert_return_code(zmq_setsockopt(dealer.socket, ZMQ_SNDTIMEO, &zero, sizeof zero), 0);
    zmq_pollitem_t item = {.socket = dealer.socket, .events = ZMQ_POLLOUT};
    int sent = 0;
    while (sent < 1000 * 1000 && zmq_poll(&item, 1, 2000) > 0)
        sent += zmq_send(dealer.socket, "", 0, 0) == 0;
    assert_true(sent < 1000 * 1000);
    read_until_disconnected(&dealer);
    dealer_close(&dealer);
    join(self, &honest, &self->other);
    send_text(&honest, 1, 0, "x");
    expect_log_ack(&honest, 1, 1);
    dealer_close(&honest);
}

/* ---- a full disk */

/* Make DIR a file system of this size of its own, where we may; else say so. */
static bool limit_disk(const char *dir, const char *size)
{
    char options[64];
    (void)snprintf(options, sizeof options, "size=%s", size);
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", dir, "tmpfs", 0, options) == 0;
}

static void test_full_disk(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    const size_t piece = 100 * 1000;
    char path[128];
    bool own_disk = limit_disk(self->dir, "1m");
    if (!own_disk) { /* without rights: files may not grow beyond this */
        const struct rlimit limit = {.rlim_cur = 550 * 1000, .rlim_max = RLIM_INFINITY};
        assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
        assert_return_code(setrlimit(RLIMIT_FSIZE, &limit), 0);
    }
    start(self);
    char *bytes = malloc(piece);
    memset(bytes, 'x', piece);
    if (own_disk)
        write_file(self->dir, "ballast", bytes, piece);
    open_attempt(self, (struct opening){.fence = 1, .agent = "a"});
    open_attempt(self, (struct opening){.fence = 2, .agent = "a"});
    join(self, &dealer, &self->agent);

    uint64_t size = 0;
    Pen__RefusedCode code = 0;
    while (code == 0 && size < 4 * 1000 * 1000) {
        send_log(&dealer, 1, size, bytes, piece);
        Pen__DataToAgent *answer =
            dealer_take(&dealer, &pen__data_to_agent__descriptor, PATIENCE_MS);
        assert_non_null(answer);
        if (answer->body_case == PEN__DATA_TO_AGENT__BODY_REFUSED)
            code = answer->refused->code;
        else
            size = answer->log_ack->offset;
        pen_message_destroy(&answer);
    }
    assert_int_equal(code, PEN__REFUSED_CODE__FULL);
    assert_true(size > 0);
    assert_int_equal(size % piece, 0);
    struct stat status;
    struct pen_buf log = {0};
    pen_layout_log(self->dir, 1, &log);
    assert_return_code(stat(pen_buf_text(&log), &status), 0);
    pen_buf_release(&log);
    assert_int_equal(status.st_size, size); /* no half piece stays */

    if (own_disk) {
        (void)snprintf(path, sizeof path, "%s/ballast", self->dir);
        assert_return_code(unlink(path), 0);
    } else {
        const struct rlimit none = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
        assert_return_code(setrlimit(RLIMIT_FSIZE, &none), 0);
    }
    send_log(&dealer, 1, size, bytes, piece); /* the attempt is still open, and goes on */
    expect_log_ack(&dealer, 1, size + piece);
    dealer_close(&dealer);
    free(bytes);
    if (own_disk) {
        stop(self);
        assert_return_code(umount(self->dir), 0);
    }
}

static void test_start_needs_dispatch(void **state)
{
    struct world *self = *state;
    struct pen_error err;
    struct pen_data *data = NULL;
    const struct pen_data_options options = {
        .dir = self->dir, .address = "127.0.0.1:0", .server_keys = &self->server};
    assert_int_equal(pen_data_start(&options, &data, &err), PEN_EINVAL);
    assert_null(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_log_offsets, set_up_and_start, tear_down),
        cmocka_unit_test_setup_teardown(test_log_of_others_is_fenced, set_up_and_start, tear_down),
        cmocka_unit_test_setup_teardown(test_log_limits, set_up_and_start, tear_down),
        cmocka_unit_test_setup_teardown(test_wanted_log_size_is_reported, set_up_and_start,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_log_goes_on_after_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_more_logs_than_open_files, set_up_and_start,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_unknown_and_malformed_messages, set_up_and_start,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_peer_that_does_not_read_is_cut, set_up_and_start,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_start_needs_dispatch, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
