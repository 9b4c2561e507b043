/* controller/sources: all branches and tags of a watch, for triggers. */
#include "tests/unit/sources/fixture.h"

static void up(const char *refspec)
{
    git("-C", at("work"), "push", "-q", "-f", at("upstream/app.git"), refspec, NULL);
}

static void watch_all(const char *seen)
{
    post("{\"sourceWatch\":{\"pipeline\":\"p\",\"stage\":\"s\",\"action\":\"a\",\"provider\":"
         "\"CodeStarSourceConnection\",\"configuration\":{\"ConnectionArn\":\"arn:c\","
         "\"FullRepositoryId\":\"app\",\"BranchName\":\"main\"},\"seenRevisionId\":\"%s\","
         "\"poll\":true,\"allRefs\":true}}",
         seen);
}

/* A fetch: what it has found is reported first, then the run that asked for it is done. */
static void fetch(void)
{
    run_connection("turn", "app");
}

static void fetched(void)
{
    PEN_CLEANUP(pen_message_destroy) Pen__Input *done = next_done();
    assert_true(done->source_done->ok);
}

static void begin(void)
{
    connect_to(at("upstream"), NULL);
    watch_all("0000000000000000000000000000000000000001");
    fetch();
}

/* The controller ends. */
static void stop(void)
{
    pen_sources_stop(&it.sources);
}

/* The next report is about this ref, at the commit that work's HEAD is. files: "a b ". */
static void expect_ref(const char *name, const char *id, const char *files)
{
    PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_found(WAIT_MS);
    const Pen__RevisionFound *found = input->revision_found;
    char text[256] = "";
    for (size_t i = 0; i < found->n_changed_files; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s ",
                       found->changed_files[i]);
    assert_string_equal(found->ref_name, name);
    assert_string_equal(found->revision_id, id);
    assert_string_equal(text, files);
    assert_int_equal(found->trigger_type, PEN__TRIGGER_TYPE__TRIGGER_WEBHOOK_V2);
}

static void set_up_upstream(void)
{
    work_make();
    git("clone", "-q", "--bare", at("work"), at("upstream/app.git"), NULL);
}

static void test_branches_and_tags_are_reported_with_their_changes(void **state)
{
    (void)state;
    set_up_upstream();
    start(NEVER_MS, 60000);
    begin();
    fetched(); /* what is there already is no news */
    work_commit("two\n");
    put("work/more", "x", 0644);
    git("-C", at("work"), "add", "-A", NULL);
    git("-C", at("work"), "commit", "-q", "-m", "more", NULL);
    up("main");
    up("main:refs/heads/feature/x");
    git("-C", at("work"), "tag", "-a", "-m", "first", "v1", NULL);
    up("v1");
    fetch();
    PEN_CLEANUP(pen_free) char *id = strdup(head_of("work/.git", "main"));
    expect_ref("refs/heads/feature/x", id, "");
    expect_ref("refs/heads/main", id, "file more ");
    expect_ref("refs/tags/v1", id, ""); /* the commit, not the tag */
    fetched();
    git("-C", at("work"), "reset", "-q", "--hard", "HEAD~1", NULL);
    up("main");
    fetch();
    expect_ref("refs/heads/main", head_of("work/.git", "main"), "more ");
    fetched();
}

static void test_pushes_while_nobody_looked_are_found(void **state)
{
    (void)state;
    set_up_upstream();
    start(NEVER_MS, 60000);
    begin();
    fetched();
    stop();
    work_commit("two\n");
    up("main:refs/heads/late");
    start(NEVER_MS, 60000);
    begin();
    PEN_CLEANUP(pen_free) char *id = strdup(head_of("work/.git", "main"));
    expect_ref("refs/heads/late", id, "");
    fetched();
    /* a file that makes no sense is as none */
    stop();
    char path[300];
    DIR *stream = opendir(at("data/mirrors/.refs"));
    assert_non_null(stream);
    const struct dirent *entry;
    while ((entry = readdir(stream)))
        if (entry->d_name[0] != '.') {
            (void)snprintf(path, sizeof path, "data/mirrors/.refs/%.200s", entry->d_name);
            put(path, "nonsense", 0600);
        }
    (void)closedir(stream);
    up("main:refs/heads/unseen");
    start(NEVER_MS, 60000);
    begin();
    fetched();
    up("main:refs/heads/seen");
    fetch();
    expect_ref("refs/heads/seen", id, "");
    fetched();
}

static void test_no_more_than_a_hundred_files(void **state)
{
    (void)state;
    set_up_upstream();
    start(NEVER_MS, 60000);
    begin();
    fetched();
    for (int i = 0; i < 130; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "work/f%d", i);
        put(path, "x", 0644);
    }
    git("-C", at("work"), "add", "-A", NULL);
    git("-C", at("work"), "commit", "-q", "-m", "many", NULL);
    up("main");
    fetch();
    PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_found(WAIT_MS);
    assert_int_equal(input->revision_found->n_changed_files, 100);
    fetched();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_branches_and_tags_are_reported_with_their_changes),
        TEST(test_pushes_while_nobody_looked_are_found),
        TEST(test_no_more_than_a_hundred_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
