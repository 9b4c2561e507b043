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

/* A name is no path: what it would lead to is neither read nor watched, made or removed. */
static void test_a_repository_name_leads_nowhere_else(void **state)
{
    (void)state;
    work_make();
    git("clone", "-q", "--bare", at("work"), at("evil.git"), NULL);
    start(NEVER_MS, 60000);
    host();
    static const char *const names[] = {"../../evil", "x/../../../evil", "./../../evil"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        post("{\"sourceRun\":{\"actionExecutionId\":\"x\",\"provider\":\"CodeCommit\","
             "\"configuration\":{\"RepositoryName\":\"%s\",\"BranchName\":\"main\"}}}",
             names[i]);
        expect_failure("ConfigurationError", "There is no repository");
        post("{\"sourceWatch\":{\"pipeline\":\"p\",\"stage\":\"s\",\"action\":\"a\",\"provider\":"
             "\"CodeCommit\",\"configuration\":{\"RepositoryName\":\"%s\",\"BranchName\":\"main\"},"
             "\"seenRevisionId\":\"0123456789012345678901234567890123456789\",\"poll\":true}}",
             names[i]);
        post("{\"repositoryDrop\":{\"name\":\"%s\"}}", names[i]);
        post("{\"repositoryMake\":{\"name\":\"%s2\"}}", names[i]);
        run_hosted("y", "nothing", "");
        expect_failure("RevisionUnavailable", "nothing"); /* and no revision was found before */
        assert_true(pen_file_exists(at("evil.git")));
        assert_false(pen_file_exists(at("evil2.git")));
    }
}

/* Whoever asked for a repository is told when it is there, or why it cannot be made. */
static void test_a_repository_is_reported_when_it_is_there(void **state)
{
    (void)state;
    start(NEVER_MS, 60000);
    post("{\"repositoryMake\":{\"name\":\"app\",\"correlation\":7}}");
    PEN_CLEANUP(pen_message_destroy) Pen__Input *made = next_input(WAIT_MS);
    assert_non_null(made);
    assert_int_equal(made->what_case, PEN__INPUT__WHAT_REPOSITORY_MADE);
    assert_true(pen_file_exists(at("data/repos/app.git/HEAD")));
    assert_true(pen_file_exists(at("data/repos/app.git/hooks/post-receive")));
    assert_string_equal(made->repository_made->name, "app");
    assert_int_equal(made->repository_made->correlation, 7);
    assert_null(made->repository_made->error_message);
    put("data/repos/other.git", "in the way", 0644);
    post("{\"repositoryMake\":{\"name\":\"other\",\"correlation\":8}}");
    PEN_CLEANUP(pen_message_destroy) Pen__Input *other = next_input(WAIT_MS);
    assert_int_equal(other->what_case, PEN__INPUT__WHAT_REPOSITORY_MADE);
    assert_int_equal(other->repository_made->correlation, 8);
    assert_non_null(strstr(other->repository_made->error_message, "other.git"));
    assert_file("data/repos/other.git", "in the way");
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
    PEN_CLEANUP(pen_message_destroy) Pen__Input *done = next_done();
    unpack_to_out(
        done->source_done->artifact); /* a link, as git clone makes it; nobody follows it */
    char target[64] = "";
    struct stat status;
    assert_int_equal(readlink(at("out/out"), target, sizeof target - 1), 16);
    assert_string_equal(target, "../../etc/passwd");
    assert_int_equal(lstat(at("out/file"), &status), 0);
    assert_int_equal(status.st_mtime, PEN_ARCHIVE_FIXED_TIME_S);
    /* a tree that would plant a repository; git itself would not make a commit of it */
    git("-C", at("work"), "rm", "-q", "out", NULL);
    git("-C", at("work"), "mv", "file", "Xgit", NULL);
    git("-C", at("work"), "commit", "-q", "-m", "name", NULL);
    plant_dot_git();
    push();
    run_hosted("x", "main", "");
    expect_failure("ConfigurationError", "'.gIt'");
}

/* Folders nested deeper than can be taken fail their action, and nothing else. */
static void test_folders_nested_too_deep(void **state)
{
    (void)state;
    static const struct {
        int depth;
        bool ok;
    } cases[] = {{199, true}, {200, false}, {230, false}, {3000, false}};
    work_make();
    start(NEVER_MS, 60000);
    connect_to(it.root, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        shell("cd %s && t=$(git rev-parse HEAD:) && for i in $(seq %d); do "
              "t=$(printf '040000 tree %%s\\td\\n' $t | git mktree); done && "
              "git update-ref refs/heads/deep "
              "$(git -c user.name=x -c user.email=x commit-tree -m x $t)",
              at("work"), cases[i].depth);
        run_connection_at("x", "work", head_of("work/.git", "deep"));
        if (cases[i].ok)
            expect_run("x", head_of("work/.git", "deep"));
        else
            expect_failure("ConfigurationError", "folders nested deeper than 200");
    }
    run_connection("y", "work");
    expect_run("y", head_of("work/.git", "main"));
}

/* ---- texts and times of commits */

/* A commit with these bytes as its author, message and further headers, as the newest of main. The
 * parts may have printf's escapes. */
static void commit_bytes(const char *author, const char *headers, const char *message)
{
    shell(
        "cd %s && git() { command git -c user.name=x -c user.email=x \"$@\"; } && "
        "c=$({ printf 'tree %%s\\nparent %%s\\n' $(git rev-parse HEAD^{tree} HEAD); "
        "printf 'author %s\\ncommitter %s\\n%s\\n%s'; } | git hash-object -t commit -w --literally "
        "--stdin) && git update-ref refs/heads/main $c",
        at("work"), author, author, headers, message);
}

/* `git log` shows the texts of a commit in UTF-8, whatever encoding its header names. */
static void test_texts_are_recoded(void **state)
{
    (void)state;
    static const struct {
        const char *author;
        const char *headers;
        const char *message;
        const char *name; /* as it has to be */
        const char *text;
    } cases[] = {
        {"J\\374rgen", "encoding ISO-8859-1\\n", "Gr\\366\\337e ge\\344ndert\\n\\nK\\366rper",
         "J\u00fcrgen", "Gr\u00f6\u00dfe ge\u00e4ndert"},
        {"J\\374rgen", "encoding latin1\\n", "Gr\\366\\337e", "J\u00fcrgen", "Gr\u00f6\u00dfe"},
        {"x", "encoding ISO-8859-15\\n", "10 \\244", "x", "10 \u20ac"},
        {"x", "encoding windows-1252\\n", "10 \\200", "x", "10 \u20ac"},
        {"\\273\\263", "encoding EUC-JP\\n", "\\306\\374\\313\\334", "\u5c71", "\u65e5\u672c"},
        /* no header: UTF-8, and what is not is shown as such; the rest stays readable */
        {"J\\303\\274rgen", "", "Gr\\303\\266\\303\\237e", "J\u00fcrgen", "Gr\u00f6\u00dfe"},
        {"J\\303\\274rgen", "", "Gr\\366\\303\\237e", "J\u00fcrgen", "Gr?\u00dfe"},
        /* a header that says UTF-8, or nothing that exists, or asks the C library for tricks */
        {"x", "encoding utf-8\\n", "Gr\\303\\266", "x", "Gr\u00f6"},
        {"x", "encoding no-such\\n", "Gr\\303\\266\\377", "x", "Gr\u00f6?"},
        {"x", "encoding UTF-8//IGNORE\\n", "a\\377b", "x", "a?b"},
        /* not in the encoding that it names */
        {"x", "encoding UTF-16\\n", "odd", "x", "odd"},
    };
    start(NEVER_MS, 60000);
    connect_to(it.root, NULL);
    work_make();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        PEN_CLEANUP(pen_free)
        char *author = pen_strdup_printf("%s <a@example.com> 1 +0000", cases[i].author);
        commit_bytes(author, cases[i].headers, cases[i].message);
        run_connection("x", "work");
        PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_done();
        const Pen__SourceDone *done = input->source_done;
        if (!done->ok)
            fail_msg("%s", done->error_message);
        assert_string_equal(variable(done, "AuthorDisplayName"), cases[i].name);
        assert_string_equal(done->revision->revision_summary, cases[i].text);
        assert_memory_equal(variable(done, "CommitMessage"), cases[i].text, strlen(cases[i].text));
    }
}

/* A long message is cut between characters, after it was re-coded. */
static void test_a_long_text_is_cut_between_characters(void **state)
{
    (void)state;
    start(NEVER_MS, 60000);
    connect_to(it.root, NULL);
    work_make();
    char message[20001];
    for (size_t i = 0; i < sizeof message - 1; i += 4)
        memcpy(message + i, "\\366", 4); /* 5,000 letters of one byte, two in UTF-8 */
    message[sizeof message - 1] = '\0';
    commit_bytes("x <x> 1 +0000", "encoding ISO-8859-1\\n", message);
    run_connection("x", "work");
    PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_done();
    assert_true(input->source_done->ok);
    const char *text = variable(input->source_done, "CommitMessage");
    assert_true(strlen(text) == 4096 && pen_utf8_valid(text, 4096));
    assert_true(strlen(input->source_done->revision->revision_summary) == 1024);
}

/* A commit has any time: one that no clock shows is the nearest that can be shown. */
static void test_any_time_of_a_commit(void **state)
{
    (void)state;
    static const struct {
        const char *time;
        const char *shown;
        int64_t created_ms;
    } cases[] = {
        {"253402300800 +0000", "9999-12-31T23:59:59", INT64_C(253402300799000)},
        {"9223372036854775807 +0000", "9999-12-31T23:59:59", INT64_C(253402300799000)},
        {"9300000000000000 +0000", "9999-12-31T23:59:59", INT64_C(253402300799000)},
        {"253402300799 +0000", "9999-12-31T23:59:59", INT64_C(253402300799000)},
        {"1 +0000", "1970-01-01T00:00:01", 1000},
    };
    start(NEVER_MS, 60000);
    connect_to(it.root, NULL);
    work_make();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        PEN_CLEANUP(pen_free) char *author = pen_strdup_printf("x <x@x> %s", cases[i].time);
        commit_bytes(author, "", "m");
        run_connection("x", "work");
        PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_done();
        const Pen__SourceDone *done = input->source_done;
        if (!done->ok)
            fail_msg("%s", done->error_message);
        print_message("%s: %s\n", cases[i].time, variable(done, "AuthorDate"));
        assert_true(pen_str_starts_with(variable(done, "AuthorDate"), cases[i].shown));
        assert_true(done->revision->created_ms == cases[i].created_ms);
    }
}

static void test_a_branch_that_is_deleted_and_comes_back_is_news(void **state)
{
    (void)state;
    start(NEVER_MS, 60000);
    host();
    work_make();
    push();
    PEN_CLEANUP(pen_free) char *id = strdup(head_of("work/.git", "main"));
    watch_hosted(id, true);
    git("-C", at("data/repos/app.git"), "config", "receive.denyDeleteCurrent", "ignore", NULL);
    for (int i = 0; i < 2; i++) {
        git("-C", at("work"), "push", "-q", at("data/repos/app.git"), ":main", NULL);
        PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_found(WAIT_MS);
        assert_true(input->revision_found->deleted);
        assert_null(input->revision_found->revision_id);
        assert_null(input->revision_found->ref_name);
        push(); /* at the commit that it had */
        expect_found(id, PEN__TRIGGER_TYPE__TRIGGER_CLOUD_WATCH_EVENT, WAIT_MS);
    }
}

static void test_a_branch_that_is_not_there_is_told(void **state)
{
    (void)state;
    start(NEVER_MS, 60000);
    host();
    watch_hosted("", true);
    expect_looked_at("repository 'app' is empty", "");
    work_make();
    git("-C", at("work"), "push", "-q", at("data/repos/app.git"), "main:dev", NULL);
    expect_looked_at("repository 'app' has no branch 'main'", "dev ");
    git("-C", at("work"), "push", "-q", at("data/repos/app.git"), "main:next", NULL);
    expect_looked_at("has no branch 'main'", "dev next ");
    push();
    expect_looked_at(NULL, "");
    push(); /* no news: nothing is told */
    post("{\"repositoryDrop\":{\"name\":\"app\"}}");
    watch_hosted(head_of("work/.git", "main"), true);
    expect_looked_at("repository", "");
}

/* The core knows of a trouble that is over when this life begins. */
static void test_a_trouble_of_an_earlier_life_ends(void **state)
{
    (void)state;
    start(NEVER_MS, 60000);
    host();
    work_make();
    push();
    post("{\"sourceWatch\":{\"pipeline\":\"p\",\"stage\":\"s\",\"action\":\"a\",\"provider\":"
         "\"CodeCommit\",\"configuration\":{\"RepositoryName\":\"app\",\"BranchName\":\"main\"},"
         "\"seenRevisionId\":\"\",\"poll\":true,\"trouble\":\"the server is down\"}}");
    expect_looked_at(NULL, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_repository_name_leads_nowhere_else),
        TEST(test_a_repository_is_reported_when_it_is_there),
        TEST(test_folders_nested_too_deep),
        TEST(test_push_is_seen_at_once),
        TEST(test_push_while_nobody_ran),
        TEST(test_exact_commit),
        TEST(test_what_cannot_be_run),
        TEST(test_hostile_trees),
        TEST(test_texts_are_recoded),
        TEST(test_a_long_text_is_cut_between_characters),
        TEST(test_any_time_of_a_commit),
        TEST(test_a_branch_that_is_deleted_and_comes_back_is_news),
        TEST(test_a_branch_that_is_not_there_is_told),
        TEST(test_a_trouble_of_an_earlier_life_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
