/* controller/sources: the copies that are kept of repositories behind connections. */
#include "tests/unit/sources/fixture.h"

#include <sys/resource.h>

#include "controller/sources/check.h"
#include "controller/sources/revision.h"

/* ---- sources that became shallow */

/* Replace the upstream by a copy of the work; depth "0": with all of its history. At one moment
 * each: a poll may come at any time, and the old one stays for a fetch that is under way. */
static void upstream_replace(const char *depth)
{
    static unsigned number;
    PEN_CLEANUP(pen_free) char *url = pen_strdup_printf("file://%s", at("work"));
    if (pen_str_equal(depth, "0"))
        git("clone", "-q", "--bare", url, at("fresh.git"), NULL);
    else
        git("clone", "-q", "--bare", "--depth", depth, url, at("fresh.git"), NULL);
    shell("cd %s && mkdir -p upstream && { ! test -e upstream/app.git || "
          "mv upstream/app.git old-%u.git; } && mv fresh.git upstream/app.git",
          it.root, number++);
}

static void watch_connection(const char *seen)
{
    post("{\"sourceWatch\":{\"pipeline\":\"p\",\"stage\":\"s\",\"action\":\"a\",\"provider\":"
         "\"CodeStarSourceConnection\",\"configuration\":{\"ConnectionArn\":\"arn:c\","
         "\"FullRepositoryId\":\"app\",\"BranchName\":\"main\"},\"seenRevisionId\":\"%s\","
         "\"poll\":true}}",
         seen);
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
    /* a head of a pull request that was not asked for stays from before */
    static const char without[] = "main\0a/b\0main";
    assert_int_equal(check_told(without, sizeof without, &err), 0);
    /* what was reported and cannot be read: libgit2 leaves such refs out in silence */
    shell(": >%s && : >%s", at("work/.git/refs/penstock/pull/1/head"),
          at("work/.git/refs/heads/a/b"));
    assert_int_equal(check_told(all, sizeof all, &err), PEN_ECORRUPT);
    assert_non_null(strstr(err.message, "'a/b' cannot be read"));
    shell("git -C %s rev-parse HEAD >%s", at("work"), at("work/.git/refs/heads/a/b"));
    assert_int_equal(check_told(all, sizeof all, &err), PEN_ECORRUPT);
    assert_non_null(strstr(err.message, "'refs/penstock/pull/1/head' cannot be read"));
    pen_git_library_stop();
}

/* ---- any number of pushes */

enum { PUSHES = 40, FDS_MAX = 44, PACKS_BOUND = 25 };

/* Files in the mirror's folder of packs whose name begins and ends so. */
static size_t packs(const char *begin, const char *end)
{
    char path[400];
    (void)snprintf(path, sizeof path, "%s/objects/pack", mirror_path());
    DIR *stream = opendir(at(path));
    assert_non_null(stream);
    size_t count = 0;
    const struct dirent *entry;
    while ((entry = readdir(stream)))
        count += pen_str_starts_with(entry->d_name, begin) && pen_str_ends_with(entry->d_name, end);
    (void)closedir(stream);
    return count;
}

static void wait_for_packs(size_t at_most)
{
    int64_t deadline_ms = pen_clock_monotonic_ms() + WAIT_MS;
    while (packs("pack-", ".pack") > at_most) {
        if (pen_clock_monotonic_ms() > deadline_ms)
            fail_msg("%zu packs", packs("pack-", ".pack"));
        (void)poll(NULL, 0, 10);
    }
}

/* Each push leaves a pack; with more packs than a process may have descriptors all goes on. */
static void test_any_number_of_pushes(void **state)
{
    (void)state;
    work_make();
    start(NEVER_MS, 60000);
    connect_to(it.root, NULL);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit few = {.rlim_cur = FDS_MAX, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    char first[64];
    (void)snprintf(first, sizeof first, "%s", head_of("work/.git", "main"));
    for (int i = 0; i < PUSHES; i++)
        push_and_run(i);
    wait_for_packs(PACKS_BOUND);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    /* what is old is still there */
    run_connection_at("first", "work", first);
    expect_run("first", first);
}

static char *path_with_bin(void)
{
    const char *path = getenv("PATH");
    char *longer = pen_strdup_printf("%s:%s", at("bin"), path ? path : "/usr/bin:/bin");
    assert_non_null(longer);
    return longer;
}

/* Packs that nothing has merged, more than there may be descriptors: they can be read. */
static void test_packs_beyond_the_descriptors(void **state)
{
    (void)state;
    static const char script[] = "#!/bin/sh\n"
                                 "case \"$*\" in *repack*) exit 1 ;; esac\n"
                                 "exec /usr/bin/git \"$@\"\n";
    PEN_CLEANUP(pen_free) char *before = strdup(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
    PEN_CLEANUP(pen_free) char *path = path_with_bin();
    assert_int_equal(mkdir(at("bin"), 0755), 0);
    put("bin/git", script, 0755);
    assert_int_equal(setenv("PATH", path, 1), 0);
    work_make();
    start(NEVER_MS, 60000);
    connect_to(it.root, NULL);
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit few = {.rlim_cur = FDS_MAX, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (int i = 0; i < PUSHES; i++)
        push_and_run(i);
    assert_true(packs("pack-", ".pack") >= PUSHES);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(setenv("PATH", before, 1), 0);
}

/* A merge that never ends holds up no fetch, and ends with the controller. */
static void test_a_merge_holds_nothing_up(void **state)
{
    (void)state;
    static const char script[] =
        "#!/bin/sh\n"
        "case \"$*\" in *repack*) : >../../merging; while :; do sleep 1; done ;; esac\n"
        "exec /usr/bin/git \"$@\"\n";
    PEN_CLEANUP(pen_free) char *before = strdup(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
    PEN_CLEANUP(pen_free) char *path = path_with_bin();
    assert_int_equal(mkdir(at("bin"), 0755), 0);
    put("bin/git", script, 0755);
    assert_int_equal(setenv("PATH", path, 1), 0);
    work_make();
    start(NEVER_MS, 60000);
    connect_to(it.root, NULL);
    int number = 0;
    while (!pen_file_exists(at("merging")) && number < PUSHES)
        push_and_run(number++);
    assert_true(pen_file_exists(at("merging")));
    push_and_run(number++);
    /* the mirror goes, and the merge with it */
    post("{\"connectionDropped\":{\"id\":\"c\"}}");
    run_connection("gone", "work");
    expect_failure("ConfigurationError", "no connection");
    connect_to(it.root, NULL);
    push_and_run(number++);
    pen_sources_stop(&it.sources);
    assert_int_equal(setenv("PATH", before, 1), 0);
}

/* A merge that dies leaves a mirror that can be used; what it left is removed in time. */
static void test_a_merge_that_dies(void **state)
{
    (void)state;
    static const char script[] =
        "#!/bin/sh\n"
        "for a; do case $a in --git-dir=*) dir=${a#--git-dir=} ;; esac; done\n"
        "case \"$*\" in *repack*) : >$dir/objects/pack/.tmp-1-pack-1.pack\n"
        ": >$dir/objects/pack/tmp_pack_1; : >$dir/objects/pack/tmp_pack_2\n"
        "touch -d '2 days ago' $dir/objects/pack/tmp_pack_1 $dir/objects/pack/.tmp*\n"
        ": >../../died; kill -9 $$ ;; esac\n"
        "exec /usr/bin/git \"$@\"\n";
    PEN_CLEANUP(pen_free) char *before = strdup(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
    PEN_CLEANUP(pen_free) char *path = path_with_bin();
    assert_int_equal(mkdir(at("bin"), 0755), 0);
    put("bin/git", script, 0755);
    assert_int_equal(setenv("PATH", path, 1), 0);
    work_make();
    start(NEVER_MS, 60000);
    connect_to(it.root, NULL);
    int number = 0;
    while (!pen_file_exists(at("died")) && number < PUSHES)
        push_and_run(number++);
    assert_true(pen_file_exists(at("died")));
    push_and_run(number++);
    assert_int_equal(packs("tmp_", ""), 1); /* of a child that may still run */
    assert_int_equal(packs(".tmp-", ""), 0);
    assert_int_equal(setenv("PATH", before, 1), 0);
    /* not again at once; after a restart it is done */
    pen_sources_stop(&it.sources);
    start(NEVER_MS, 60000);
    connect_to(it.root, NULL);
    push_and_run(number++);
    wait_for_packs(10);
}

/* What no ref leads to goes in the end, or forced pushes would fill the disk. */
static void test_what_no_ref_leads_to(void **state)
{
    (void)state;
    work_make();
    start(NEVER_MS, 60000);
    connect_to(it.root, NULL);
    push_and_run(1);
    char old[64];
    (void)snprintf(old, sizeof old, "%s", head_of("work/.git", "main"));
    PEN_CLEANUP(pen_free)
    char *touch =
        pen_strdup_printf("cd %s && touch -d '1 month ago' objects/pack/* && : >penstock-merged && "
                          "touch -d '8 days ago' penstock-merged",
                          at(mirror_path()));
    const char *const argv[] = {"sh", "-c", touch, NULL};
    const struct pen_proc_spec spec = {
        .argv = argv, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    int status = -1;
    assert_int_equal(pen_proc_run(&spec, WAIT_MS, 65536, NULL, NULL, &status, NULL), 0);
    assert_int_equal(status, 0);
    git("-C", at("work"), "commit", "-q", "--amend", "-m", "other", NULL);
    char recent[64];
    (void)snprintf(recent, sizeof recent, "%s", head_of("work/.git", "main"));
    push_and_run(2);
    git("-C", at("work"), "commit", "-q", "--amend", "-m", "another", NULL);
    for (int i = 3; i < 24; i++)
        push_and_run(i);
    wait_for_packs(5);
    run_connection_at("recent", "work", recent);
    expect_run("recent", recent);
    run_connection_at("old", "work", old);
    expect_failure("RevisionUnavailable", "no commit");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_source_becomes_shallow),   TEST(test_a_shallow_source_is_taken),
        TEST(test_a_ref_that_was_passed_over), TEST(test_every_ref_has_to_be_reported),
        TEST(test_any_number_of_pushes),       TEST(test_packs_beyond_the_descriptors),
        TEST(test_a_merge_holds_nothing_up),   TEST(test_a_merge_that_dies),
        TEST(test_what_no_ref_leads_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
