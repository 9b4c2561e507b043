/* controller/sources: the copies that are kept of repositories behind connections. */
#include "tests/unit/sources/fixture.h"

#include "controller/sources/check.h"
#include "controller/sources/revision.h"

/* ---- sources that became shallow */

/* Replace the upstream by a copy of the work; depth "0": with all of its history. */
static void upstream_replace(const char *depth)
{
    PEN_CLEANUP(pen_free) char *url = pen_strdup_printf("file://%s", at("work"));
    assert_int_equal(pen_dir_remove_tree(at("upstream"), NULL), 0);
    if (pen_str_equal(depth, "0"))
        git("clone", "-q", "--bare", url, at("upstream/app.git"), NULL);
    else
        git("clone", "-q", "--bare", "--depth", depth, url, at("upstream/app.git"), NULL);
}

static void watch_connection(const char *seen)
{
    post("{\"sourceWatch\":{\"pipeline\":\"p\",\"stage\":\"s\",\"action\":\"a\",\"provider\":"
         "\"CodeStarSourceConnection\",\"configuration\":{\"ConnectionArn\":\"arn:c\","
         "\"FullRepositoryId\":\"app\",\"BranchName\":\"main\"},\"seenRevisionId\":\"%s\","
         "\"poll\":true}}",
         seen);
}

static void expect_run(const char *id, const char *revision)
{
    PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_done();
    const Pen__SourceDone *done = input->source_done;
    assert_string_equal(done->action_execution_id, id);
    if (!done->ok)
        fail_msg("%s: %s", id, done->error_message);
    assert_string_equal(done->revision->revision_id, revision);
}

/* A server may be replaced by a copy with less history, and by one with all of it again. */
static void test_a_source_becomes_shallow(void **state)
{
    (void)state;
    work_make();
    upstream_replace("0");
    start(50, 60000);
    connect_to(at("upstream"), NULL);
    char first[64];
    (void)snprintf(first, sizeof first, "%s", head_of("work/.git", "main"));
    run_connection("one", "app");
    expect_run("one", first);
    watch_connection(first);
    char middle[64];
    for (int i = 0; i < 5; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "change %d\n", i);
        work_commit(text);
        if (i == 2)
            (void)snprintf(middle, sizeof middle, "%s", head_of("work/.git", "main"));
    }
    upstream_replace("1");
    const char *newest = head_of("work/.git", "main");
    expect_found(newest, PEN__TRIGGER_TYPE__TRIGGER_POLL_FOR_SOURCE_CHANGES, WAIT_MS);
    post("{\"sourceUnwatch\":{\"pipeline\":\"p\"}}");
    run_connection("two", "app");
    expect_run("two", newest);
    /* shallow from the first fetch, and further commits */
    work_commit("later\n");
    upstream_replace("2");
    run_connection("three", "app");
    expect_run("three", head_of("work/.git", "main"));
    run_connection_at("four", "app", middle);
    expect_failure("RevisionUnavailable", "no commit");
    /* the server has everything again */
    upstream_replace("0");
    run_connection_at("five", "app", middle);
    expect_run("five", middle);
    run_connection("six", "app");
    expect_run("six", head_of("work/.git", "main"));
}

/* A connection that was shallow from the start. */
static void test_a_shallow_source_is_taken(void **state)
{
    (void)state;
    work_make();
    work_commit("two\n");
    work_commit("three\n");
    upstream_replace("1");
    start(NEVER_MS, 60000);
    connect_to(at("upstream"), NULL);
    run_connection("one", "app");
    expect_run("one", head_of("work/.git", "main"));
}

/* A git that leaves out what ours asks for: the source became shallow, and it may not say so. */
static const char forgetful_git[] = "#!/bin/sh\n"
                                    "for a; do shift; case $a in\n"
                                    "--update-shallow|--unshallow) ;;\n"
                                    "*) set -- \"$@\" \"$a\" ;;\n"
                                    "esac; done\n"
                                    "exec /usr/bin/git \"$@\"\n";

/* A fetch that passed over a ref is no look, although git calls it a success. */
static void test_a_ref_that_was_passed_over(void **state)
{
    (void)state;
    char path[1200];
    PEN_CLEANUP(pen_free) char *before = strdup(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
    assert_int_equal(mkdir(at("bin"), 0755), 0);
    put("bin/git", forgetful_git, 0755);
    (void)snprintf(path, sizeof path, "%s:%s", at("bin"), before);
    work_make();
    upstream_replace("0");
    assert_int_equal(setenv("PATH", path, 1), 0);
    start(NEVER_MS, 60000);
    connect_to(at("upstream"), NULL);
    run_connection("one", "app");
    expect_run("one", head_of("work/.git", "main"));
    work_commit("two\n");
    upstream_replace("1");
    run_connection("two", "app");
    expect_failure("SystemUnavailable", "refs/heads/main");
    assert_int_equal(setenv("PATH", before, 1), 0);
}

static int check_told(const char *names, size_t size, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf told = {0};
    pen_buf_append(&told, names, size);
    return pen_git_check_told(at("work/.git"), &told, err);
}

/* Whatever makes git pass over a ref in silence: a ref that is there and was not reported is old.
 */
static void test_every_ref_has_to_be_reported(void **state)
{
    (void)state;
    struct pen_error err = {0};
    assert_int_equal(pen_git_library_start(NULL), 0);
    work_make();
    git("-C", at("work"), "branch", "a/b", NULL);
    git("-C", at("work"), "tag", "main", NULL);
    git("-C", at("work"), "update-ref", "refs/penstock/pull/1/head", "HEAD", NULL);
    static const char all[] = "main\0a/b\0main\0refs/penstock/pull/1/head";
    assert_int_equal(check_told(all, sizeof all, &err), 0);
    static const char once[] = "a/b\0main";
    assert_int_equal(check_told(once, sizeof once, &err), PEN_ECORRUPT);
    assert_non_null(strstr(err.message, "passed over 'main'"));
    static const char other[] = "main\0main\0a/c";
    assert_int_equal(check_told(other, sizeof other, &err), PEN_ECORRUPT);
    assert_non_null(strstr(err.message, "passed over 'a/b'"));
    assert_int_equal(check_told("", 0, &err), PEN_ECORRUPT);
    pen_git_library_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_source_becomes_shallow),
        TEST(test_a_shallow_source_is_taken),
        TEST(test_a_ref_that_was_passed_over),
        TEST(test_every_ref_has_to_be_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
