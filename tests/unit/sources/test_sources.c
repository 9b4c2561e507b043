/* controller/sources: repositories that we keep, pushed to for real. */
#include "tests/unit/sources/fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_push_is_seen_at_once), TEST(test_push_while_nobody_ran), TEST(test_exact_commit),
        TEST(test_what_cannot_be_run),   TEST(test_hostile_trees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
