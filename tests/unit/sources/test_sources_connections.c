/* controller/sources: repositories behind connections, and servers that mean no good. */
#include "tests/unit/sources/fixture.h"

/* ---- connections */

static void test_local_connection_is_polled(void **state)
{
    (void)state;
    work_make();
    git("clone", "-q", "--bare", at("work"), at("upstream/app.git"), NULL);
    start(50, 60000);
    connect_to(at("upstream"), NULL);
    run_connection("one", "app"); /* without its ".git" */
    PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_done();
    const Pen__SourceDone *done = input->source_done;
    if (!done->ok)
        fail_msg("%s", done->error_message);
    assert_string_equal(done->revision->revision_id, head_of("work/.git", "main"));
    assert_string_equal(variable(done, "AuthorDisplayName"), "Ann Author");
    assert_string_equal(variable(done, "AuthorEmail"), "ann@example.com");
    assert_string_equal(variable(done, "FullRepositoryName"), "app");
    assert_string_equal(variable(done, "ConnectionArn"), "arn:c");
    unpack_to_out(done->artifact);
    assert_file("out/file", "one\n");

    post("{\"sourceWatch\":{\"pipeline\":\"p\",\"stage\":\"s\",\"action\":\"a\",\"provider\":"
         "\"CodeStarSourceConnection\",\"configuration\":{\"ConnectionArn\":\"arn:c\","
         "\"FullRepositoryId\":\"app\",\"BranchName\":\"main\"},\"seenRevisionId\":\"%s\","
         "\"poll\":true}}",
         done->revision->revision_id);
    work_commit("two\n");
    git("-C", at("work"), "push", "-q", at("upstream/app.git"), "main", NULL);
    expect_found(head_of("work/.git", "main"), PEN__TRIGGER_TYPE__TRIGGER_POLL_FOR_SOURCE_CHANGES,
                 WAIT_MS);
    /* the newest revision cannot be told from a copy */
    assert_int_equal(pen_dir_remove_tree(at("upstream"), NULL), 0);
    post("{\"sourceUnwatch\":{\"pipeline\":\"p\"}}");
    run_connection("two", "app");
    expect_failure("ConfigurationError", "does not appear to be a git repository");
}

/* Without a poll: only a call of the git server makes us look, and only behind its connection. */
static void test_a_poke_looks_at_once(void **state)
{
    (void)state;
    work_make();
    git("clone", "-q", "--bare", at("work"), at("upstream/app.git"), NULL);
    start(NEVER_MS, 60000);
    connect_to(at("upstream"), NULL);
    post("{\"sourceWatch\":{\"pipeline\":\"p\",\"stage\":\"s\",\"action\":\"a\",\"provider\":"
         "\"CodeStarSourceConnection\",\"configuration\":{\"ConnectionArn\":\"arn:c\","
         "\"FullRepositoryId\":\"app\",\"BranchName\":\"main\"},\"seenRevisionId\":\"%s\","
         "\"poll\":true}}",
         head_of("work/.git", "main"));
    run_connection("one", "app"); /* the fetch that the watch began with is over */
    Pen__Input *done = next_done();
    pen_message_destroy(&done);
    work_commit("two\n");
    git("-C", at("work"), "push", "-q", at("upstream/app.git"), "main", NULL);
    post("{\"sourcePoke\":{\"connectionId\":\"nobody\"}}");
    post("{\"sourcePoke\":{\"connectionId\":\"c\"}}");
    expect_found(head_of("work/.git", "main"), PEN__TRIGGER_TYPE__TRIGGER_WEBHOOK_V2, WAIT_MS);
}

/* A lock that a killed git has left does not stop a source for ever. */
static void test_a_stale_lock_is_overcome(void **state)
{
    (void)state;
    work_make();
    start(NEVER_MS, 60000);
    connect_to(it.root, NULL);
    run_connection("one", "work");
    PEN_CLEANUP(pen_message_destroy) Pen__Input *first = next_done();
    assert_true(first->source_done->ok);
    char lock[400];
    (void)snprintf(lock, sizeof lock, "%s/refs/heads/main.lock", mirror_path());
    put(lock, "", 0644);
    work_commit("two\n");
    run_connection("two", "work");
    PEN_CLEANUP(pen_message_destroy) Pen__Input *second = next_done();
    if (!second->source_done->ok)
        fail_msg("%s", second->source_done->error_message);
    assert_string_equal(second->source_done->revision->revision_id, head_of("work/.git", "main"));
    assert_false(pen_file_exists(at(lock)));
}

static void test_refused_connections(void **state)
{
    (void)state;
    start(NEVER_MS, 60000);
    static const struct {
        const char *url;
        const char *secret;
        const char *words;
    } cases[] = {
        {"ext::sh -c touch /tmp/x", NULL, "only an absolute path"},
        {"https://user:hunter2@127.0.0.1", NULL, "no credentials in a URL"},
        {"-oProxyCommand=x", NULL, "only an absolute path"},
        {"http://host.example", "hunter2", "not sent over http"},
        {"git://127.0.0.1:1", "hunter2", "carries no credentials"},
        {"ssh://127.0.0.1:1", "hunter2", "private key"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        connect_to(cases[i].url, cases[i].secret);
        run_connection("x", "o/r");
        PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_done();
        assert_string_equal(input->source_done->error_code, "ConfigurationError");
        if (!strstr(input->source_done->error_message, cases[i].words) ||
            strstr(input->source_done->error_message, "hunter2"))
            fail_msg("%s: %s", cases[i].url, input->source_done->error_message);
    }
}

/* An ssh that only writes down how it was called. */
static const char fake_ssh[] = "#!/bin/sh\n"
                               "cd ..\n" /* from mirrors/ to the data folder */
                               "echo \"$@\" >>../ssh.log\n"
                               "stat -c %a mirrors/.keys/* >>../ssh.log\n"
                               "cat mirrors/.keys/* >>../ssh.log\n"
                               "echo 'me@host: Permission denied (publickey).' >&2\n"
                               "exit 255\n";

static void test_ssh_gets_a_key_file_and_knows_no_stranger(void **state)
{
    (void)state;
    static const char key[] = "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2";
    char path[1200];
    PEN_CLEANUP(pen_free) char *before = strdup(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
    assert_int_equal(mkdir(at("bin"), 0755), 0);
    put("bin/ssh", fake_ssh, 0755);
    (void)snprintf(path, sizeof path, "%s:%s", at("bin"), before);
    assert_int_equal(setenv("PATH", path, 1), 0);
    start(NEVER_MS, 20000);
    connect_to("ssh://host.example:2222/srv", key);
    run_connection("x", "o/r");
    expect_failure("PermissionError", "Permission denied (publickey)");
    PEN_CLEANUP(pen_buf_release) struct pen_buf log = {0};
    assert_int_equal(pen_file_read(at("ssh.log"), 65536, &log, NULL), 0);
    const char *text = pen_buf_text(&log);
    PEN_CLEANUP(pen_free) char *call = strndup(text, strcspn(text, "\n"));
    assert_non_null(strstr(call, "-o StrictHostKeyChecking=yes"));
    assert_non_null(strstr(call, "-o UserKnownHostsFile=../known_hosts"));
    assert_non_null(strstr(call, "-o BatchMode=yes"));
    assert_non_null(strstr(call, "-l me"));
    assert_non_null(strstr(call, "host.example"));
    assert_null(strstr(call, "hunter2"));
    assert_string_equal(text + strlen(call),
                        "\n600\n-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n");
    /* the key is gone with the child */
    assert_int_equal(rmdir(at("data/mirrors/.keys")), 0);
    assert_int_equal(setenv("PATH", before, 1), 0);
}

/* ---- servers */

static int listen_on_loopback(char ret_address[32])
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(ret_address, 32, "127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

static void test_a_silent_server_is_given_up(void **state)
{
    (void)state;
    char address[32];
    char url[64];
    PEN_CLEANUP(pen_fd_close) int fd = listen_on_loopback(address);
    assert_true(fd >= 0);
    (void)snprintf(url, sizeof url, "git://%s", address);
    start(NEVER_MS, 300);
    connect_to(url, NULL);
    int64_t start_ms = pen_clock_monotonic_ms();
    run_connection("x", "r");
    /* others are served meanwhile */
    run_hosted("other", "main", "");
    expect_failure("ConfigurationError", "no repository");
    expect_failure("SystemUnavailable", "was killed");
    assert_true(pen_clock_monotonic_ms() - start_ms < 5000);
}

static void test_cancel_ends_the_fetch(void **state)
{
    (void)state;
    char address[32];
    char url[64];
    PEN_CLEANUP(pen_fd_close) int fd = listen_on_loopback(address);
    (void)snprintf(url, sizeof url, "git://%s", address);
    start(NEVER_MS, 600000);
    connect_to(url, NULL);
    run_connection("x", "r");
    PEN_CLEANUP(pen_fd_close) int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(client >= 0); /* the child is there */
    post("{\"sourceCancel\":{\"actionExecutionId\":\"x\"}}");
    expect_failure("JobFailed", "cancelled");
    struct pollfd hangup = {.fd = client, .events = POLLIN};
    char bytes[512];
    while (poll(&hangup, 1, WAIT_MS) == 1 && read(client, bytes, sizeof bytes) > 0)
        continue;
    assert_true(hangup.revents != 0); /* and now it is gone */
    /* the mirror can be used again */
    run_connection("y", "r");
    PEN_CLEANUP(pen_fd_close) int second = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(second >= 0);
}

struct redirect {
    int fd;
    char target[64];
    char request[4096];
};

/* Answers the first request by sending the client elsewhere. */
static void *serve_redirect(void *argument)
{
    struct redirect *self = argument;
    PEN_CLEANUP(pen_fd_close) int client = accept4(self->fd, NULL, NULL, SOCK_CLOEXEC);
    size_t size = 0;
    while (size + 1 < sizeof self->request && !strstr(self->request, "\r\n\r\n")) {
        ssize_t got = read(client, self->request + size, sizeof self->request - 1 - size);
        if (got <= 0)
            return NULL;
        size += (size_t)got;
    }
    char answer[256];
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 302 Found\r\nLocation: http://%s/r/info/refs\r\n"
                          "Content-Length: 0\r\nConnection: close\r\n\r\n",
                          self->target);
    (void)pen_file_write_all(client, answer, (size_t)length, NULL);
    return NULL;
}

static void test_redirects_are_not_followed(void **state)
{
    (void)state;
    struct redirect server = {0};
    char address[32];
    char other[32];
    char url[64];
    server.fd = listen_on_loopback(address);
    PEN_CLEANUP(pen_fd_close) int elsewhere = listen_on_loopback(other);
    (void)snprintf(server.target, sizeof server.target, "%s", other);
    (void)snprintf(url, sizeof url, "http://%s", address);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, serve_redirect, &server), 0);
    start(NEVER_MS, 20000);
    connect_to(url, "hunter2");
    run_connection("x", "r");
    expect_failure("ConfigurationError", url);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pen_fd_close(&server.fd);
    /* the first server got the credentials (me:hunter2), by header; nobody else was even called */
    assert_non_null(strstr(server.request, "Authorization: Basic bWU6aHVudGVyMg=="));
    assert_null(strstr(server.request, "hunter2"));
    struct pollfd watch = {.fd = elsewhere, .events = POLLIN};
    assert_int_equal(poll(&watch, 1, 0), 0);
}

/* ---- mirrors that nobody needs */

static Pen__Input *swept(const char *order)
{
    post("{\"mirrorsSweep\":{\"collection\":7%s}}", order);
    Pen__Input *input = next_input(WAIT_MS);
    assert_non_null(input);
    assert_int_equal(input->what_case, PEN__INPUT__WHAT_MIRRORS_SWEPT);
    assert_int_equal(input->mirrors_swept->collection, 7);
    return input;
}

static void run_well(const char *id, const char *repository)
{
    run_connection(id, repository);
    PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_done();
    if (!input->source_done->ok)
        fail_msg("%s", input->source_done->error_message);
}

static void test_unneeded_mirrors_are_moved_aside(void **state)
{
    (void)state;
    static const char needed[] =
        ",\"needed\":[{\"connectionArn\":\"arn:c\",\"repositoryId\":\"kept\"}]";
    work_make();
    git("clone", "-q", "--bare", at("work"), at("upstream/kept.git"), NULL);
    git("clone", "-q", "--bare", at("work"), at("upstream/left.git"), NULL);
    start(60000, 60000);
    connect_to(at("upstream"), NULL);
    run_well("one", "kept");
    run_well("two", "left");

    PEN_CLEANUP(pen_buf_release) struct pen_buf preview = {0};
    pen_buf_printf(&preview, "%s,\"dryRun\":true", needed);
    PEN_CLEANUP(pen_message_destroy) Pen__Input *named = swept(pen_buf_text(&preview));
    assert_int_equal(named->mirrors_swept->n_names, 1);
    char path[256];
    (void)snprintf(path, sizeof path, "data/mirrors/%s", named->mirrors_swept->names[0]);
    assert_true(pen_file_exists(at(path)));
    PEN_CLEANUP(pen_message_destroy) Pen__Input *moved = swept(needed);
    assert_int_equal(moved->mirrors_swept->n_names, 1);
    assert_string_equal(moved->mirrors_swept->names[0], named->mirrors_swept->names[0]);
    assert_false(pen_file_exists(at(path)));
    (void)snprintf(path, sizeof path, "data/mirrors/.gone/%s", named->mirrors_swept->names[0]);
    assert_true(pen_file_exists(at(path)));
    PEN_CLEANUP(pen_message_destroy) Pen__Input *again = swept(needed);
    assert_int_equal(again->mirrors_swept->n_names, 0);

    run_well("three", "left"); /* who wants it again has it fetched again */
    post("{\"connectionDropped\":{\"id\":\"c\"}}");
    PEN_CLEANUP(pen_message_destroy) Pen__Input *none = swept(needed);
    assert_int_equal(none->mirrors_swept->n_names, 0); /* they went with the connection */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_unneeded_mirrors_are_moved_aside),
        TEST(test_local_connection_is_polled),
        TEST(test_a_poke_looks_at_once),
        TEST(test_a_stale_lock_is_overcome),
        TEST(test_refused_connections),
        TEST(test_ssh_gets_a_key_file_and_knows_no_stranger),
        TEST(test_a_silent_server_is_given_up),
        TEST(test_cancel_ends_the_fetch),
        TEST(test_redirects_are_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
