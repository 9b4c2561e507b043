/* tests/unit/sources/fixture.h - the thread of sources between real repositories and a core that is
 * this test
 *
 * Effects go in as JSON; inputs come out of the core's inbox. Everything lies below it.root, and no
 * child is left behind.
 */
#ifndef PEN_TESTS_UNIT_SOURCES_FIXTURE_H
#define PEN_TESTS_UNIT_SOURCES_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
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
static inline const char *at(const char *path)
{
    static char buffers[6][1024];
    static unsigned next;
    char *buffer = buffers[next++ % 6];
    (void)snprintf(buffer, sizeof buffers[0], "%s/%s", it.root, path);
    return buffer;
}

/* ---- git, as a user would run it */

static inline void git(const char *first, ...)
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

static inline void put(const char *path, const char *text, mode_t mode)
{
    assert_int_equal(pen_file_replace_unsynced(at(path), text, strlen(text), mode, NULL), 0);
}

/* The commit a branch of a repository points to, as a static text. */
static inline const char *head_of(const char *repository, const char *branch)
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
static inline void work_make(void)
{
    git("init", "-q", "-b", "main", at("work"), NULL);
    put("work/file", "one\n", 0644);
    put("work/run.sh", "#!/bin/sh\n", 0755);
    assert_int_equal(symlink("file", at("work/link")), 0);
    git("-C", at("work"), "add", "-A", NULL);
    git("-C", at("work"), "commit", "-q", "-m", "First line\n\nBody", NULL);
}

static inline void work_commit(const char *text)
{
    put("work/file", text, 0644);
    git("-C", at("work"), "commit", "-q", "-a", "-m", text, NULL);
}

/* ---- the thread under test */

static inline void destroy_effect(void *body)
{
    Pen__Effect *effect = body;
    pen_message_destroy(&effect);
}

/* Post an effect given as JSON. */
__attribute__((format(printf, 1, 2))) static inline void post(const char *format, ...)
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

/* The next input that comes to the core; NULL when none comes in time. Whether sources can be
 * looked at is told beside all else: only who asks for that sees it. */
static inline Pen__Input *next_of(int timeout_ms, bool looked)
{
    struct pollfd watch = {.fd = pen_inbox_fd(it.core), .events = POLLIN};
    int64_t deadline_ms = pen_clock_monotonic_ms() + timeout_ms;
    for (;;) {
        struct pen_post message;
        if (pen_inbox_take(it.core, &message, 1) == 1) {
            assert_int_equal(message.kind, PEN_POST_INPUT);
            Pen__Input *input = message.body;
            if ((input->what_case == PEN__INPUT__WHAT_SOURCE_LOOKED) == looked)
                return input;
            pen_message_destroy(&input);
            continue;
        }
        int64_t left_ms = deadline_ms - pen_clock_monotonic_ms();
        if (left_ms <= 0)
            return NULL;
        (void)poll(&watch, 1, (int)left_ms);
    }
}

static inline Pen__Input *next_input(int timeout_ms)
{
    return next_of(timeout_ms, false);
}

/* The next word on whether source "a" of pipeline "p" can be looked at. words NULL: it can.
 * branches: "a b ". */
static inline void expect_looked_at(const char *words, const char *branches)
{
    PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_of(WAIT_MS, true);
    assert_non_null(input);
    const Pen__SourceLooked *looked = input->source_looked;
    char text[1024] = "";
    for (size_t i = 0; i < looked->n_branches; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s ", looked->branches[i]);
    if (!words != !looked->trouble || (words && !strstr(looked->trouble, words)))
        fail_msg("%s", looked->trouble ? looked->trouble : "it can be looked at");
    assert_string_equal(looked->pipeline, "p");
    assert_string_equal(looked->action, "a");
    assert_string_equal(text, branches);
}

static inline Pen__Input *next_done(void)
{
    Pen__Input *input = next_input(WAIT_MS);
    assert_non_null(input);
    assert_int_equal(input->what_case, PEN__INPUT__WHAT_SOURCE_DONE);
    return input;
}

static inline Pen__Input *next_found(int timeout_ms)
{
    Pen__Input *input = next_input(timeout_ms);
    assert_non_null(input);
    assert_int_equal(input->what_case, PEN__INPUT__WHAT_REVISION_FOUND);
    return input;
}

static inline void expect_failure(const char *code, const char *words)
{
    PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_done();
    const Pen__SourceDone *done = input->source_done;
    assert_false(done->ok);
    if (!pen_str_equal(done->error_code, code) || !strstr(done->error_message, words))
        fail_msg("%s: %s", done->error_code, done->error_message);
}

static inline const char *variable(const Pen__SourceDone *done, const char *name)
{
    for (size_t i = 0; i < done->n_output_variables; i++)
        if (pen_str_equal(done->output_variables[i]->name, name))
            return done->output_variables[i]->value;
    return "(absent)";
}

static inline void run_hosted(const char *id, const char *branch, const char *revision)
{
    post("{\"sourceRun\":{\"actionExecutionId\":\"%s\",\"pipeline\":\"p\",\"stage\":\"s\","
         "\"action\":\"a\",\"provider\":\"CodeCommit\",\"artifact\":\"out\",\"configuration\":{"
         "\"RepositoryName\":\"app\",\"BranchName\":\"%s\"},\"revisionId\":\"%s\"}}",
         id, branch, revision);
}

/* Of one commit; "": of the newest. */
static inline void run_connection_at(const char *id, const char *repository, const char *revision)
{
    post("{\"sourceRun\":{\"actionExecutionId\":\"%s\",\"pipeline\":\"p\",\"stage\":\"s\","
         "\"action\":\"a\",\"provider\":\"CodeStarSourceConnection\",\"artifact\":\"out\","
         "\"configuration\":{\"ConnectionArn\":\"arn:c\",\"FullRepositoryId\":\"%s\","
         "\"BranchName\":\"main\"},\"revisionId\":\"%s\"}}",
         id, repository, revision);
}

static inline void run_connection(const char *id, const char *repository)
{
    run_connection_at(id, repository, "");
}

static inline void connect_to(const char *base_url, const char *secret)
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

static inline void start(int64_t poll_interval_ms, int64_t fetch_timeout_ms)
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

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
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
static inline void host(void)
{
    post("{\"repositoryMake\":{\"name\":\"app\"}}");
    run_hosted("made", "nothing", "");
    expect_failure("RevisionUnavailable", "app, branch nothing: no branch 'nothing'");
}

static inline void push(void)
{
    git("-C", at("work"), "push", "-q", at("data/repos/app.git"), "main", NULL);
}

static inline void watch_hosted(const char *seen, bool poll)
{
    post("{\"sourceWatch\":{\"pipeline\":\"p\",\"stage\":\"s\",\"action\":\"a\",\"provider\":"
         "\"CodeCommit\",\"configuration\":{\"RepositoryName\":\"app\",\"BranchName\":\"main\"},"
         "\"seenRevisionId\":\"%s\",\"poll\":%s}}",
         seen, poll ? "true" : "false");
}

static inline void expect_found(const char *id, Pen__TriggerType type, int timeout_ms)
{
    PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_found(timeout_ms);
    assert_string_equal(input->revision_found->revision_id, id);
    assert_string_equal(input->revision_found->pipeline, "p");
    assert_int_equal(input->revision_found->trigger_type, type);
}

static inline void unpack_to_out(const Pen__ArtifactRef *ref)
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

static inline void assert_file(const char *path, const char *text)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    assert_int_equal(pen_file_read(at(path), 65536, &bytes, NULL), 0);
    assert_string_equal(pen_buf_text(&bytes), text);
}

/* The path of the only mirror, below the root. */
static inline const char *mirror_path(void)
{
    static char path[300];
    DIR *stream = opendir(at("data/mirrors"));
    assert_non_null(stream);
    const struct dirent *entry;
    while ((entry = readdir(stream)))
        if (pen_str_ends_with(entry->d_name, ".git"))
            (void)snprintf(path, sizeof path, "data/mirrors/%.250s", entry->d_name);
    (void)closedir(stream);
    return path;
}

static inline void expect_run(const char *id, const char *revision)
{
    PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_done();
    const Pen__SourceDone *done = input->source_done;
    assert_string_equal(done->action_execution_id, id);
    if (!done->ok)
        fail_msg("%s: %s", id, done->error_message);
    assert_string_equal(done->revision->revision_id, revision);
}

/* One more file in the work, in a commit of its own. The work is the upstream here: a push less to
 * wait for. */
static inline void push_file(int number)
{
    char name[32];
    (void)snprintf(name, sizeof name, "work/many-%d", number);
    put(name, name, 0644);
    git("-C", at("work"), "add", "-A", NULL);
    git("-C", at("work"), "commit", "-q", "-m", name, NULL);
}

static inline void push_and_run(int number)
{
    char id[32];
    (void)snprintf(id, sizeof id, "run-%d", number);
    push_file(number);
    run_connection(id, "work");
    expect_run(id, head_of("work/.git", "main"));
}

__attribute__((format(printf, 1, 2))) static inline void shell(const char *format, ...)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf script = {0};
    va_list args;
    pen_buf_puts(&script, "exec >&2\n"); /* what it says is shown when it fails */
    va_start(args, format);
    pen_buf_vprintf(&script, format, args);
    va_end(args);
    const char *const argv[] = {"sh", "-ec", pen_buf_text(&script), NULL};
    const struct pen_proc_spec spec = {
        .argv = argv, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    int status = -1;
    PEN_CLEANUP(pen_buf_release) struct pen_buf words = {0};
    assert_int_equal(pen_proc_run(&spec, WAIT_MS, 65536, NULL, &words, &status, NULL), 0);
    if (status != 0)
        fail_msg("%s: %s", pen_buf_text(&script), pen_buf_text(&words));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
