/* controller/sources: with real repositories, real pushes and servers that mean no good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/blob/archive.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/io/proc.h"
#include "common/wire/wire.h"
#include "controller/post/post.h"
#include "controller/sources/sources.h"
#include "core.pb-c.h"

enum { WAIT_MS = 20000, NEVER_MS = 3600 * 1000 };

struct fixture {
    char *root; /* data/ is the controller's folder, work/ a clone */
    struct pen_inbox *core;
    struct pen_sealer *sealer;
    struct pen_sources *sources;
};

static struct fixture it;

/* root/FORMAT... in one of a few static buffers */
static const char *at(const char *path)
{
    static char buffers[6][1024];
    static unsigned next;
    char *buffer = buffers[next++ % 6];
    (void)snprintf(buffer, sizeof buffers[0], "%s/%s", it.root, path);
    return buffer;
}

/* ---- git, as a user would run it */

static void git(const char *first, ...)
{
    const char *argv[24] = {"git"};
    size_t count = 1;
    va_list args;
    va_start(args, first);
    for (const char *arg = first; arg && count < 23; arg = va_arg(args, const char *))
        argv[count++] = arg;
    va_end(args);
    char home[1024];
    (void)snprintf(home, sizeof home, "HOME=%s", it.root);
    const char *const environment[] = {"PATH=/usr/bin:/bin",
                                       home,
                                       "GIT_CONFIG_NOSYSTEM=1",
                                       "GIT_AUTHOR_NAME=Ann Author",
                                       "GIT_AUTHOR_EMAIL=ann@example.com",
                                       "GIT_AUTHOR_DATE=2026-11-23T01:02:03Z",
                                       "GIT_COMMITTER_NAME=Con Mitter",
                                       "GIT_COMMITTER_EMAIL=con@example.com",
                                       "GIT_COMMITTER_DATE=2026-11-23T01:02:04Z",
                                       "GIT_ALLOW_PROTOCOL=file",
                                       NULL};
    const struct pen_proc_spec spec = {
        .argv = argv, .environment = environment, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    PEN_CLEANUP(pen_buf_release) struct pen_buf words = {0};
    int status = -1;
    struct pen_error err = {0};
    if (pen_proc_run(&spec, WAIT_MS, 65536, NULL, &words, &status, &err) < 0 || status != 0)
        fail_msg("git %s: %s %s", first, err.message, pen_buf_text(&words));
}

static void put(const char *path, const char *text, mode_t mode)
{
    assert_int_equal(pen_file_replace_unsynced(at(path), text, strlen(text), mode, NULL), 0);
}

/* The commit a branch of a repository points to, as a static text. */
static const char *head_of(const char *repository, const char *branch)
{
    static char ids[4][64];
    static unsigned next;
    char *id = ids[next++ % 4];
    char path[1200];
    (void)snprintf(path, sizeof path, "%s/refs/heads/%s", at(repository), branch);
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    assert_int_equal(pen_file_read(path, 64, &bytes, NULL), 0);
    (void)snprintf(id, 64, "%.40s", pen_buf_text(&bytes));
    return id;
}

/* A clone with one commit, pushed nowhere yet. */
static void work_make(void)
{
    git("init", "-q", "-b", "main", at("work"), NULL);
    put("work/file", "one\n", 0644);
    put("work/run.sh", "#!/bin/sh\n", 0755);
    assert_int_equal(symlink("file", at("work/link")), 0);
    git("-C", at("work"), "add", "-A", NULL);
    git("-C", at("work"), "commit", "-q", "-m", "First line\n\nBody", NULL);
}

static void work_commit(const char *text)
{
    put("work/file", text, 0644);
    git("-C", at("work"), "commit", "-q", "-a", "-m", text, NULL);
}

/* ---- the thread under test */

static void destroy_effect(void *body)
{
    Pen__Effect *effect = body;
    pen_message_destroy(&effect);
}

/* Post an effect given as JSON. */
static void post(const char *format, ...)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    va_list args;
    va_start(args, format);
    pen_buf_vprintf(&text, format, args);
    va_end(args);
    json_t *json = NULL;
    ProtobufCMessage *effect = NULL;
    struct pen_error err = {0};
    if (pen_json_parse(text.data, text.size, 65536, &json, &err) < 0 ||
        pen_wire_from_json(&pen__effect__descriptor, json, "effect", &effect, &err) < 0)
        fail_msg("%s", err.message);
    json_decref(json);
    struct pen_post message = {.kind = PEN_POST_EFFECT, .body = effect, .destroy = destroy_effect};
    assert_int_equal(pen_inbox_post(pen_sources_inbox(it.sources), &message, NULL), 0);
}

/* The next input that comes to the core; NULL when none comes in time. */
static Pen__Input *next_input(int timeout_ms)
{
    struct pollfd watch = {.fd = pen_inbox_fd(it.core), .events = POLLIN};
    int64_t deadline_ms = pen_clock_monotonic_ms() + timeout_ms;
    for (;;) {
        struct pen_post message;
        if (pen_inbox_take(it.core, &message, 1) == 1) {
            assert_int_equal(message.kind, PEN_POST_INPUT);
            return message.body;
        }
        int64_t left_ms = deadline_ms - pen_clock_monotonic_ms();
        if (left_ms <= 0)
            return NULL;
        (void)poll(&watch, 1, (int)left_ms);
    }
}

static Pen__Input *next_done(void)
{
    Pen__Input *input = next_input(WAIT_MS);
    assert_non_null(input);
    assert_int_equal(input->what_case, PEN__INPUT__WHAT_SOURCE_DONE);
    return input;
}

static Pen__Input *next_found(int timeout_ms)
{
    Pen__Input *input = next_input(timeout_ms);
    assert_non_null(input);
    assert_int_equal(input->what_case, PEN__INPUT__WHAT_REVISION_FOUND);
    return input;
}

static void expect_failure(const char *code, const char *words)
{
    PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_done();
    const Pen__SourceDone *done = input->source_done;
    assert_false(done->ok);
    if (!pen_str_equal(done->error_code, code) || !strstr(done->error_message, words))
        fail_msg("%s: %s", done->error_code, done->error_message);
}

static const char *variable(const Pen__SourceDone *done, const char *name)
{
    for (size_t i = 0; i < done->n_output_variables; i++)
        if (pen_str_equal(done->output_variables[i]->name, name))
            return done->output_variables[i]->value;
    return "(absent)";
}

static void run_hosted(const char *id, const char *branch, const char *revision)
{
    post("{\"sourceRun\":{\"actionExecutionId\":\"%s\",\"pipeline\":\"p\",\"stage\":\"s\","
         "\"action\":\"a\",\"provider\":\"CodeCommit\",\"artifact\":\"out\",\"configuration\":{"
         "\"RepositoryName\":\"app\",\"BranchName\":\"%s\"},\"revisionId\":\"%s\"}}",
         id, branch, revision);
}

static void run_connection(const char *id, const char *repository)
{
    post("{\"sourceRun\":{\"actionExecutionId\":\"%s\",\"pipeline\":\"p\",\"stage\":\"s\","
         "\"action\":\"a\",\"provider\":\"CodeStarSourceConnection\",\"artifact\":\"out\","
         "\"configuration\":{\"ConnectionArn\":\"arn:c\",\"FullRepositoryId\":\"%s\","
         "\"BranchName\":\"main\"}}}",
         id, repository);
}

static void connect_to(const char *base_url, const char *secret)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf sealed = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    if (secret) {
        assert_int_equal(
            pen_seal(it.sealer, PEN_CONNECTION_SEAL_CONTEXT, secret, strlen(secret), &sealed, NULL),
            0);
        pen_base64_encode(sealed.data, sealed.size, &text);
    }
    post("{\"connectionLoaded\":{\"connection\":{\"id\":\"c\",\"arn\":\"arn:c\",\"baseUrl\":\"%s\""
         ",\"username\":\"me\"%s%s%s}}}",
         base_url, secret ? ",\"sealedSecret\":\"" : "", pen_buf_text(&text), secret ? "\"" : "");
}

static void start(int64_t poll_interval_ms, int64_t fetch_timeout_ms)
{
    const struct pen_sources_options options = {.dir = at("data"),
                                                .poll_interval_ms = poll_interval_ms,
                                                .fetch_timeout_ms = fetch_timeout_ms,
                                                .sealer = it.sealer,
                                                .core = it.core};
    struct pen_error err = {0};
    if (pen_sources_start(&options, &it.sources, &err) < 0)
        fail_msg("%s", err.message);
}

static int set_up(void **state)
{
    (void)state;
    char name[] = "/tmp/pen-test-sources-XXXXXX";
    assert_non_null(mkdtemp(name));
    it.root = strdup(name);
    assert_int_equal(mkdir(at("data"), 0700), 0);
    assert_int_equal(mkdir(at("out"), 0755), 0);
    assert_int_equal(pen_inbox_create(1000, &it.core, NULL), 0);
    assert_int_equal(pen_sealer_create(at("seal.key"), &it.sealer, NULL), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pen_sources_stop(&it.sources);
    pen_inbox_destroy(&it.core);
    pen_sealer_destroy(&it.sealer);
    assert_int_equal(pen_dir_remove_tree(it.root, NULL), 0);
    free(it.root);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left behind */
    return 0;
}

/* The hosted repository "app", made; a run of a missing branch tells when. */
static void host(void)
{
    post("{\"repositoryMake\":{\"name\":\"app\"}}");
    run_hosted("made", "nothing", "");
    expect_failure("RevisionUnavailable", "app, branch nothing: no branch 'nothing'");
}

static void push(void)
{
    git("-C", at("work"), "push", "-q", at("data/repos/app.git"), "main", NULL);
}

static void watch_hosted(const char *seen, bool poll)
{
    post("{\"sourceWatch\":{\"pipeline\":\"p\",\"stage\":\"s\",\"action\":\"a\",\"provider\":"
         "\"CodeCommit\",\"configuration\":{\"RepositoryName\":\"app\",\"BranchName\":\"main\"},"
         "\"seenRevisionId\":\"%s\",\"poll\":%s}}",
         seen, poll ? "true" : "false");
}

static void expect_found(const char *id, Pen__TriggerType type, int timeout_ms)
{
    PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_found(timeout_ms);
    assert_string_equal(input->revision_found->revision_id, id);
    assert_string_equal(input->revision_found->pipeline, "p");
    assert_int_equal(input->revision_found->trigger_type, type);
}

static void unpack_to_out(const Pen__ArtifactRef *ref)
{
    PEN_CLEANUP(pen_blob_store_close) struct pen_blob_store *store = NULL;
    assert_int_equal(pen_dir_remove_tree(at("out"), NULL), 0);
    assert_int_equal(mkdir(at("out"), 0755), 0);
    assert_int_equal(pen_blob_store_open_readonly(at("data/blobs"), &store, NULL), 0);
    assert_int_equal(ref->manifest_sha256.len, PEN_SHA256_SIZE);
    assert_int_equal(
        pen_archive_unpack(store, ref->manifest_sha256.data, at("out"), &pen_unpack_default, NULL),
        0);
}

static void assert_file(const char *path, const char *text)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    assert_int_equal(pen_file_read(at(path), 65536, &bytes, NULL), 0);
    assert_string_equal(pen_buf_text(&bytes), text);
}

/* ---- hosted repositories */

static void test_push_is_seen_at_once(void **state)
{
    (void)state;
    start(NEVER_MS, 60000);
    host();
    watch_hosted("", false);
    work_make();
    push();
    expect_found(head_of("work/.git", "main"), PEN__TRIGGER_TYPE__TRIGGER_CLOUD_WATCH_EVENT, 1000);
    work_commit("two\n");
    push();
    int64_t pushed_ms = pen_clock_monotonic_ms();
    PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_found(1000);
    print_message("seen %" PRId64 " ms after the push\n", pen_clock_monotonic_ms() - pushed_ms);
    assert_string_equal(input->revision_found->trigger_detail, "penstock:push:app");
    assert_string_equal(input->revision_found->revision_id, head_of("work/.git", "main"));
    /* another branch is no news; the announcement is taken off */
    git("-C", at("work"), "push", "-q", at("data/repos/app.git"), "main:other", NULL);
    run_hosted("x", "other", "");
    PEN_CLEANUP(pen_message_destroy) Pen__Input *done = next_done();
    assert_true(done->source_done->ok);
    post("{\"sourceUnwatch\":{\"pipeline\":\"p\"}}");
    run_hosted("y", "nothing", "");
    expect_failure("RevisionUnavailable", "nothing");
    assert_false(pen_file_exists(at("data/pushes/app")));
}

static void test_push_while_nobody_ran(void **state)
{
    (void)state;
    start(NEVER_MS, 60000);
    host();
    work_make();
    push();
    char first[64];
    (void)snprintf(first, sizeof first, "%s", head_of("work/.git", "main"));
    watch_hosted(first, false);
    pen_sources_stop(&it.sources);
    work_commit("two\n");
    push();
    start(NEVER_MS, 60000);
    watch_hosted(first, false);
    expect_found(head_of("work/.git", "main"), PEN__TRIGGER_TYPE__TRIGGER_CLOUD_WATCH_EVENT, 5000);
    /* the announcement is gone, but the core did not commit: found again */
    pen_sources_stop(&it.sources);
    start(NEVER_MS, 60000);
    watch_hosted(first, false);
    expect_found(head_of("work/.git", "main"), PEN__TRIGGER_TYPE__TRIGGER_CLOUD_WATCH_EVENT, 5000);
    /* nothing new for who has seen it */
    watch_hosted(head_of("work/.git", "main"), true);
    run_hosted("x", "nothing", "");
    expect_failure("RevisionUnavailable", "nothing");
}

static void test_exact_commit(void **state)
{
    (void)state;
    start(NEVER_MS, 60000);
    host();
    work_make();
    char first[64];
    (void)snprintf(first, sizeof first, "%s", head_of("work/.git", "main"));
    /* a submodule next to a name that sorts between it and its folder */
    char submodule[128];
    (void)snprintf(submodule, sizeof submodule, "160000,%s,sub", first);
    put("work/sub.txt", "text", 0644);
    git("-C", at("work"), "update-index", "--add", "--cacheinfo", submodule, NULL);
    git("-C", at("work"), "add", "sub.txt", NULL);
    git("-C", at("work"), "commit", "-q", "-m", "second", NULL);
    push();

    run_hosted("one", "main", first);
    PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_done();
    const Pen__SourceDone *done = input->source_done;
    assert_true(done->ok);
    assert_string_equal(done->action_execution_id, "one");
    assert_string_equal(done->revision->revision_id, first);
    assert_string_equal(done->revision->revision_summary, "First line");
    assert_string_equal(done->revision->action, "a");
    assert_true(done->revision->created_ms == INT64_C(1795395724000));
    assert_string_equal(done->artifact->name, "out");
    assert_string_equal(variable(done, "CommitId"), first);
    assert_string_equal(variable(done, "CommitMessage"), "First line\n\nBody\n");
    assert_string_equal(variable(done, "BranchName"), "main");
    assert_string_equal(variable(done, "RepositoryName"), "app");
    assert_non_null(strstr(variable(done, "AuthorDate"), "2026-11-23T01:02:03"));
    assert_non_null(strstr(variable(done, "CommitterDate"), "2026-11-23T01:02:04"));
    unpack_to_out(done->artifact);
    assert_file("out/file", "one\n");
    struct stat status;
    assert_int_equal(lstat(at("out/run.sh"), &status), 0);
    assert_true(status.st_mode & 0100);
    assert_int_equal(lstat(at("out/link"), &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_false(pen_file_exists(at("out/sub.txt")));

    run_hosted("two", "main", "");
    PEN_CLEANUP(pen_message_destroy) Pen__Input *newest = next_done();
    assert_true(newest->source_done->ok);
    assert_string_equal(newest->source_done->revision->revision_id,
                        head_of("data/repos/app.git", "main"));
    unpack_to_out(newest->source_done->artifact);
    assert_file("out/sub.txt", "text");
    assert_int_equal(lstat(at("out/sub"), &status), 0);
    assert_true(S_ISDIR(status.st_mode));

    /* packed once, the same artifact */
    run_hosted("three", "main", first);
    PEN_CLEANUP(pen_message_destroy) Pen__Input *again = next_done();
    assert_memory_equal(again->source_done->artifact->manifest_sha256.data,
                        done->artifact->manifest_sha256.data, PEN_SHA256_SIZE);
}

static void test_what_cannot_be_run(void **state)
{
    (void)state;
    start(NEVER_MS, 60000);
    run_hosted("x", "main", "");
    expect_failure("ConfigurationError", "no repository 'app'");
    host();
    work_make();
    push();
    run_hosted("x", "main", "0123456789abcdef0123456789abcdef01234567");
    expect_failure("RevisionUnavailable", "app, branch main: no commit 0123456789");
    run_hosted("x", "main", "main");
    expect_failure("ConfigurationError", "no full commit id");
    run_hosted("x", "../../heads/main", "");
    expect_failure("RevisionUnavailable", "no branch");
    run_connection("x", "o/r");
    expect_failure("ConfigurationError", "no connection 'arn:c'");
    post("{\"sourceRun\":{\"actionExecutionId\":\"x\",\"provider\":\"CodeCommit\","
         "\"configuration\":{\"RepositoryName\":\"app\",\"BranchName\":\"main\","
         "\"OutputArtifactFormat\":\"CODEBUILD_CLONE_REF\"}}}");
    expect_failure("ConfigurationError", "CODEBUILD_CLONE_REF");
    post("{\"sourceRun\":{\"actionExecutionId\":\"x\",\"provider\":\"CodeCommit\","
         "\"configuration\":{\"RepositoryName\":\"../app\",\"BranchName\":\"main\"}}}");
    expect_failure("ConfigurationError", "no repository '../app'");
    post("{\"sourceRun\":{\"actionExecutionId\":\"x\",\"provider\":\"S3\",\"configuration\":{"
         "\"BranchName\":\"main\"}}}");
    expect_failure("ConfigurationError", "'S3'");
    /* a repository that is gone */
    post("{\"repositoryDrop\":{\"name\":\"app\"}}");
    run_hosted("x", "main", "");
    expect_failure("ConfigurationError", "no repository 'app'");
    assert_false(pen_file_exists(at("data/repos/app.git")));
}

/* Make the newest commit's tree name ".gIt" what it names "Xgit". */
static void plant_dot_git(void)
{
    static const char script[] =
        "cd \"$1\" && blob=$(git rev-parse HEAD:Xgit) && "
        "tree=$(printf '100644 blob %s\\t.gIt\\n' $blob | git mktree) && "
        "git reset -q --soft $(git -c user.name=x -c user.email=x commit-tree -p HEAD -m x $tree)";
    const char *const argv[] = {"sh", "-c", script, "sh", at("work"), NULL};
    const struct pen_proc_spec spec = {
        .argv = argv, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    int status = -1;
    PEN_CLEANUP(pen_buf_release) struct pen_buf words = {0};
    assert_int_equal(pen_proc_run(&spec, WAIT_MS, 65536, NULL, &words, &status, NULL), 0);
    if (status != 0)
        fail_msg("%s", pen_buf_text(&words));
}

static void test_hostile_trees(void **state)
{
    (void)state;
    start(NEVER_MS, 60000);
    host();
    work_make();
    assert_int_equal(symlink("../../etc/passwd", at("work/out")), 0);
    git("-C", at("work"), "add", "-A", NULL);
    git("-C", at("work"), "commit", "-q", "-m", "link", NULL);
    push();
    run_hosted("x", "main", "");
    expect_failure("ConfigurationError", "link 'out' to '../../etc/passwd'");
    /* a tree that would plant a repository; git itself would not make a commit of it */
    git("-C", at("work"), "rm", "-q", "out", NULL);
    git("-C", at("work"), "mv", "file", "Xgit", NULL);
    git("-C", at("work"), "commit", "-q", "-m", "name", NULL);
    plant_dot_git();
    push();
    run_hosted("x", "main", "");
    expect_failure("ConfigurationError", "'.gIt'");
}

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_push_is_seen_at_once),
        TEST(test_push_while_nobody_ran),
        TEST(test_exact_commit),
        TEST(test_what_cannot_be_run),
        TEST(test_hostile_trees),
        TEST(test_local_connection_is_polled),
        TEST(test_refused_connections),
        TEST(test_ssh_gets_a_key_file_and_knows_no_stranger),
        TEST(test_a_silent_server_is_given_up),
        TEST(test_cancel_ends_the_fetch),
        TEST(test_redirects_are_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
