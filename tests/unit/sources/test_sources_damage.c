/* controller/sources: files of repositories that a power cut has spoiled. */
#include "tests/unit/sources/fixture.h"

/* What a power cut may make of a file: $f. */
static const char *const damages[] = {
    ": >$f",
    "s=$(stat -c %s $f); head -c $s /dev/zero >$f",
    "s=$(stat -c %s $f); truncate -s $((s / 2)) $f",
    "rm $f",
    /* a block of it, in the middle */
    "s=$(stat -c %s $f); dd if=/dev/zero of=$f bs=1 seek=$((s / 3)) count=$((s / 3)) conv=notrunc",
};
enum { DAMAGES = sizeof damages / sizeof damages[0] };

/* A mirror with all kinds of files: packs, refs of their own and packed ones, what a shallow source
 * leaves. Returns the first commit. */
static const char *spoilable_make(void)
{
    static char first[64];
    work_make();
    (void)snprintf(first, sizeof first, "%s", head_of("work/.git", "main"));
    git("-C", at("work"), "tag", "-a", "-m", "text", "v1", NULL);
    git("-C", at("work"), "branch", "other", NULL);
    start(NEVER_MS, 60000);
    connect_to(it.root, NULL);
    run_connection("one", "work");
    expect_run("one", first);
    push_and_run(1);
    pen_sources_stop(&it.sources);
    git("-C", at(mirror_path()), "pack-refs", "--all", NULL);
    push_file(2);
    git("-C", at("work"), "branch", "third", NULL);
    start(NEVER_MS, 60000);
    connect_to(it.root, NULL);
    run_connection("two", "work");
    expect_run("two", head_of("work/.git", "main"));
    pen_sources_stop(&it.sources);
    return first;
}

/* Every file of a mirror, spoiled in every way: the next run has the right commit and its files,
 * and an old commit can be had, too. */
static void test_any_spoiled_file_heals(void **state)
{
    (void)state;
    const char *first = spoilable_make();
    shell("cd %s && cp -a %s ../pristine && cd ../pristine && find . -type f "
          "! -path './info/*' ! -path ./description ! -path './hooks/*' >../files",
          at("data"), at(mirror_path()));
    PEN_CLEANUP(pen_buf_release) struct pen_buf files = {0};
    assert_int_equal(pen_file_read(at("files"), 65536, &files, NULL), 0);
    size_t cases = 0;
    push_file(3);
    for (char *line = (char *)files.data, *next; *line; line = next) {
        char *end = strchr(line, '\n');
        *end = '\0';
        next = end + 1;
        for (size_t i = 0; i < DAMAGES; i++, cases++) {
            shell("cd %s && rm -rf * && cp -a %s/. . && f=%s && chmod u+w $f && %s",
                  at(mirror_path()), at("pristine"), line, damages[i]);
            start(NEVER_MS, 60000);
            connect_to(it.root, NULL);
            print_message("%s: %s\n", line, damages[i]);
            run_connection_at("old", "work", first);
            expect_run("old", first);
            run_connection("new", "work");
            PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_done();
            if (!input->source_done->ok)
                fail_msg("%s", input->source_done->error_message);
            assert_string_equal(input->source_done->revision->revision_id,
                                head_of("work/.git", "main"));
            unpack_to_out(input->source_done->artifact);
            assert_file("out/many-3", "work/many-3");
            pen_sources_stop(&it.sources);
        }
    }
    assert_true(cases > 40);
}

/* The same while the controller runs, and again soon after. */
static void test_a_mirror_heals_while_in_use(void **state)
{
    (void)state;
    work_make();
    start(NEVER_MS, 60000);
    connect_to(it.root, NULL);
    push_and_run(1);
    shell(": >%s/refs/heads/main", at(mirror_path()));
    push_and_run(2);
    shell("for f in %s/objects/pack/*; do chmod u+w $f; s=$(stat -c %%s $f); "
          "head -c $s /dev/zero >$f; done",
          at(mirror_path()));
    push_and_run(3);
    /* two that need it at one time */
    shell("rm %s/objects/pack/*.idx", at(mirror_path()));
    run_connection("a", "work");
    run_connection("b", "work");
    expect_run("a", head_of("work/.git", "main"));
    expect_run("b", head_of("work/.git", "main"));
}

/* A source that is damaged itself does not cost its mirror each time that somebody asks. */
static void test_a_damaged_source_is_no_damaged_mirror(void **state)
{
    (void)state;
    work_make();
    start(NEVER_MS, 60000);
    connect_to(it.root, NULL);
    push_and_run(1);
    shell(
        "cd %s && c=$(git rev-parse HEAD:file) && rm -f .git/objects/$(echo $c | cut -c1-2)/$(echo "
        "$c | cut -c3-)",
        at("work"));
    git("-C", at("work"), "commit", "-q", "--allow-empty", "-m", "more", NULL);
    pen_sources_stop(&it.sources);
    shell("rm -rf %s", at(mirror_path()));
    start(NEVER_MS, 60000);
    connect_to(it.root, NULL);
    for (int i = 0; i < 3; i++) {
        run_connection("x", "work");
        PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_done();
        assert_false(input->source_done->ok);
        print_message("%s\n", input->source_done->error_message);
        if (i == 0)
            shell(": >%s/still-the-same", at(mirror_path()));
    }
    shell("test -e %s/still-the-same", at(mirror_path()));
}

/* A hosted repository may be all that there is. It is never thrown away; what is wrong is said. */
static void test_a_hosted_repository_is_left_as_it_is(void **state)
{
    (void)state;
    static const char *const spoiled[] = {
        ": >refs/heads/main",
        ": >HEAD",
        "echo '[core' >config",
        "rm -rf objects/[0-9a-f]*",
        "for f in objects/[0-9a-f]*/*; do chmod u+w $f; : >$f; done",
    };
    start(NEVER_MS, 60000);
    host();
    work_make();
    push();
    shell("cp -a %s %s", at("data/repos/app.git"), at("saved"));
    for (size_t i = 0; i < sizeof spoiled / sizeof spoiled[0]; i++) {
        print_message("%s\n", spoiled[i]);
        shell("cd %s && %s && cd .. && rm -rf ../../spoiled && cp -a app.git ../../spoiled",
              at("data/repos/app.git"), spoiled[i]);
        if (strcmp(spoiled[i], ": >HEAD") != 0) { /* a branch can be read without it */
            run_hosted("x", "main", "");
            expect_failure("SystemUnavailable", "is damaged, and is left as it is");
        }
        shell("cd %s && diff -r spoiled data/repos/app.git && rm -rf data/repos/app.git && "
              "cp -a saved data/repos/app.git",
              it.root);
    }
    run_hosted("y", "main", "");
    expect_run("y", head_of("work/.git", "main"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_any_spoiled_file_heals),
        TEST(test_a_mirror_heals_while_in_use),
        TEST(test_a_damaged_source_is_no_damaged_mirror),
        TEST(test_a_hosted_repository_is_left_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
