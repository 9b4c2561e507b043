/* controller/sources: all branches and tags of a watch, for triggers. */
#include "common/base/limits.h"
#include "tests/unit/sources/fixture.h"

static void up(const char *refspec)
{
    git("-C", at("work"), "push", "-q", "-f", at("upstream/app.git"), refspec, NULL);
}

/* What the core has committed of the refs: a watch begins with it. */
static struct {
    char names[2000][64];
    char ids[2000][41];
    size_t count;
    bool known;
} core;

static int core_find(const char *name)
{
    for (size_t i = 0; i < core.count; i++)
        if (strcmp(core.names[i], name) == 0)
            return (int)i;
    return -1;
}

/* id NULL: it is there no more. */
static void core_put(const char *name, const char *id)
{
    int place = core_find(name);
    if (place >= 0 && !id) {
        core.count--;
        memcpy(core.names[place], core.names[core.count], sizeof core.names[0]);
        memcpy(core.ids[place], core.ids[core.count], sizeof core.ids[0]);
        return;
    }
    assert_non_null(id);
    if (place < 0)
        place = (int)core.count++;
    assert_true(core.count < 2000);
    (void)snprintf(core.names[place], sizeof core.names[0], "%s", name);
    (void)snprintf(core.ids[place], sizeof core.ids[0], "%s", id);
}

static void watch_all(const char *seen)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf refs = {0};
    for (size_t i = 0; i < core.count; i++)
        pen_buf_printf(&refs, "%s{\"name\":\"%s\",\"revisionId\":\"%s\"}", i > 0 ? "," : "",
                       core.names[i], core.ids[i]);
    post("{\"sourceWatch\":{\"pipeline\":\"p\",\"stage\":\"s\",\"action\":\"a\",\"provider\":"
         "\"CodeStarSourceConnection\",\"configuration\":{\"ConnectionArn\":\"arn:c\","
         "\"FullRepositoryId\":\"app\",\"BranchName\":\"main\"},\"seenRevisionId\":\"%s\","
         "\"poll\":true,\"allRefs\":true,\"watch\":7,\"refsKnown\":%s,\"refs\":[%s]}}",
         seen, core.known ? "true" : "false", pen_buf_text(&refs));
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

/* The first look has found these refs, and the core commits them. */
static void expect_looked(size_t refs)
{
    core.count = 0;
    core.known = false;
    while (!core.known) {
        PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_input(WAIT_MS);
        assert_non_null(input);
        assert_int_equal(input->what_case, PEN__INPUT__WHAT_REFS_LOOKED);
        const Pen__RefsLooked *looked = input->refs_looked;
        assert_string_equal(looked->pipeline, "p");
        assert_int_equal(looked->watch, 7);
        assert_int_equal(looked->begins, core.count == 0);
        assert_true(looked->n_refs <= PEN_LIMIT_REFS_TOLD);
        for (size_t i = 0; i < looked->n_refs; i++)
            core_put(looked->refs[i]->name, looked->refs[i]->revision_id);
        core.known = looked->complete;
    }
    assert_int_equal(core.count, refs);
}

/* The controller ends. */
static void stop(void)
{
    pen_sources_stop(&it.sources);
}

/* The next report is about this ref, at the commit that work's HEAD is, and the core commits it.
 * files: "a b "; id NULL: the ref is gone. */
static void expect_ref(const char *name, const char *id, const char *files)
{
    PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_found(WAIT_MS);
    const Pen__RevisionFound *found = input->revision_found;
    char text[256] = "";
    for (size_t i = 0; i < found->n_changed_files; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s ",
                       found->changed_files[i]);
    assert_string_equal(found->ref_name, name);
    assert_int_equal(found->watch, 7);
    assert_int_equal(found->deleted, !id);
    assert_string_equal(text, files);
    if (id) {
        assert_string_equal(found->revision_id, id);
        assert_int_equal(found->trigger_type, PEN__TRIGGER_TYPE__TRIGGER_WEBHOOK_V2);
    }
    core_put(name, id);
}

static int set_up_core(void **state)
{
    core.count = 0;
    core.known = false;
    return set_up(state);
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
    expect_looked(1); /* what is there already is no news */
    fetched();
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
    expect_looked(1);
    fetched();
    stop();
    work_commit("two\n");
    up("main:refs/heads/late");
    PEN_CLEANUP(pen_free) char *id = strdup(head_of("work/.git", "main"));
    start(NEVER_MS, 60000);
    begin();
    expect_ref("refs/heads/late", id, "");
    fetched();
    stop();
    core_put("refs/heads/late", NULL); /* the core ended before it had committed that */
    start(NEVER_MS, 60000);
    begin();
    expect_ref("refs/heads/late", id, "");
    fetched();
    stop();
    start(NEVER_MS, 60000); /* and now it has */
    begin();
    fetched();
}

/* All of them, and nothing else has to happen for that. */
static void test_more_than_one_report_has_room_for(void **state)
{
    (void)state;
    enum { MANY = 700 };
    set_up_upstream();
    PEN_CLEANUP(pen_free) char *id = strdup(head_of("work/.git", "main"));
    PEN_CLEANUP(pen_buf_release) struct pen_buf packed = {0};
    for (int i = 0; i < MANY; i++)
        pen_buf_printf(&packed, "%s refs/tags/t%03d\n", id, i);
    assert_int_equal(
        pen_file_replace(at("upstream/app.git/packed-refs"), packed.data, packed.size, 0644, NULL),
        0);
    up("main:refs/heads/main");
    start(NEVER_MS, 60000);
    begin();
    expect_looked(MANY + 1);
    fetched();
    pen_buf_clear(&packed);
    for (int i = 0; i < MANY; i++) /* every second one of the former goes */
        pen_buf_printf(&packed, "%s refs/tags/t%03d\n", id, 2 * i + 1);
    assert_int_equal(
        pen_file_replace(at("upstream/app.git/packed-refs"), packed.data, packed.size, 0644, NULL),
        0);
    run_connection("turn", "app");
    int made = 0;
    int gone = 0;
    for (bool done = false; made + gone < MANY || !done;) {
        PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_input(WAIT_MS);
        assert_non_null(input);
        done = done || input->what_case == PEN__INPUT__WHAT_SOURCE_DONE;
        if (input->what_case != PEN__INPUT__WHAT_REVISION_FOUND)
            continue;
        const Pen__RevisionFound *found = input->revision_found;
        assert_int_equal(core_find(found->ref_name) >= 0, found->deleted); /* none of them twice */
        core_put(found->ref_name, found->deleted ? NULL : found->revision_id);
        made += !found->deleted;
        gone += found->deleted;
    }
    assert_int_equal(gone, MANY / 2);
    assert_int_equal(made, MANY / 2);
    fetch();
    fetched();
}

static void test_deleted_and_made_again_at_its_commit(void **state)
{
    (void)state;
    set_up_upstream();
    start(NEVER_MS, 60000);
    begin();
    expect_looked(1);
    fetched();
    PEN_CLEANUP(pen_free) char *id = strdup(head_of("work/.git", "main"));
    for (int i = 0; i < 2; i++) {
        up("main:refs/tags/v1");
        fetch();
        expect_ref("refs/tags/v1", id, "");
        fetched();
        up(":refs/tags/v1");
        fetch();
        expect_ref("refs/tags/v1", NULL, "");
        fetched();
    }
    up("main:refs/heads/other");
    git("-C", at("upstream/app.git"), "config", "receive.denyDeleteCurrent", "ignore", NULL);
    up(":refs/heads/main");
    fetch();
    expect_ref("refs/heads/main", NULL, "");
    expect_ref("refs/heads/other", id, "");
    expect_failure("RevisionUnavailable", "no branch 'main'");
    up(":refs/heads/other"); /* the last one */
    fetch();
    expect_ref("refs/heads/other", NULL, "");
    expect_failure("RevisionUnavailable", "no branch 'main'");
}

/* A release that kept what it had seen in a file. */
static void test_what_an_older_release_has_seen(void **state)
{
    (void)state;
    set_up_upstream();
    PEN_CLEANUP(pen_free) char *id = strdup(head_of("work/.git", "main"));
    const char *key = "p\0s\0a\0arn:c\0app"; /* pipeline, stage, action, connection, repository */
    uint8_t digest[PEN_SHA256_SIZE];
    char name[PEN_SHA256_HEX];
    pen_sha256(key, sizeof "p\0s\0a\0arn:c\0app", digest);
    pen_hex_encode(digest, sizeof digest, name);
    char path[300];
    (void)snprintf(path, sizeof path, "data/mirrors/.refs/%s", name);
    char line[200];
    (void)snprintf(line, sizeof line, "%s refs/heads/main\n", id);
    assert_int_equal(pen_dir_make(at("data/mirrors"), 0700, NULL), 0);
    assert_int_equal(pen_dir_make(at("data/mirrors/.refs"), 0700, NULL), 0);
    put(path, line, 0600);
    up("main:refs/heads/late");
    start(NEVER_MS, 60000);
    begin();
    expect_looked(1); /* what is in the file */
    expect_ref("refs/heads/late", id, "");
    fetched();
    stop();
    assert_true(pen_file_exists(at(path))); /* until the core has it for certain */
    start(NEVER_MS, 60000);
    begin();
    fetched();
    assert_false(pen_file_exists(at(path)));
    stop();
    put(path, "nonsense", 0600); /* is as none */
    core.known = false;
    core.count = 0;
    start(NEVER_MS, 60000);
    begin();
    expect_looked(2);
    fetched();
}

static void test_no_more_than_a_hundred_files(void **state)
{
    (void)state;
    set_up_upstream();
    start(NEVER_MS, 60000);
    begin();
    expect_looked(1);
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

#define TEST_OF(name) cmocka_unit_test_setup_teardown(name, set_up_core, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF(test_branches_and_tags_are_reported_with_their_changes),
        TEST_OF(test_pushes_while_nobody_looked_are_found),
        TEST_OF(test_more_than_one_report_has_room_for),
        TEST_OF(test_deleted_and_made_again_at_its_commit),
        TEST_OF(test_what_an_older_release_has_seen),
        TEST_OF(test_no_more_than_a_hundred_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
