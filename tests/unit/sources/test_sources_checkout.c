/* controller/sources: an artifact of a source holds what `git clone` would have checked out. */
#include "tests/unit/sources/fixture.h"

/* Attributes of all sorts, and files that they hold for. Octal escapes are printf's. */
static const char checkout_script[] =
    "cd %s\n"
    "mkdir -p sub/deeper plain\n"
    "cat >.gitattributes <<'END'\n"
    "[attr]windows text eol=crlf\n"
    "*.bat text eol=crlf\n"
    "*.cmd windows\n"
    "*.only eol=crlf\n"
    "*.auto text=auto eol=crlf\n"
    "*.input text=input eol=crlf\n"
    "*.old crlf eol=crlf\n"
    "*.oldinput crlf=input eol=crlf\n"
    "*.oldbin -crlf eol=crlf\n"
    "*.raw -text eol=crlf\n"
    "*.pic binary\n"
    "*.lf text eol=lf\n"
    "*.text text\n"
    "*.id ident\n"
    "*.both ident text eol=crlf\n"
    "*.u16 text working-tree-encoding=UTF-16\n"
    "*.le text working-tree-encoding=UTF-16LE-BOM eol=crlf\n"
    "*.be working-tree-encoding=UTF-16BE\n"
    "*.latin working-tree-encoding=ISO-8859-1\n"
    "*.u8 working-tree-encoding=utf-8\n"
    "*.odd working-tree-encoding=no-such-encoding\n"
    "*.secret filter=crypt\n"
    "dist/** export-ignore\n"
    "*.subst export-subst\n"
    "END\n"
    "printf '*.bat -text\\n/kept.cmd !eol !text\\n' >sub/.gitattributes\n"
    "printf '*.bat text eol=crlf\\n' >sub/deeper/.gitattributes\n"
    "for f in a.bat a.cmd a.only a.auto a.input a.old a.oldinput a.oldbin a.raw a.pic a.lf a.text "
    "a.md "
    "sub/a.bat sub/kept.cmd sub/deeper/a.bat plain/a.bat; do printf 'one\\ntwo\\n\\nend' >$f; "
    "done\n"
    "printf 'one\\r\\ntwo\\n' >mixed.auto; printf 'one\\000\\ntwo\\n' >binary.auto\n"
    "printf 'one\\rtwo\\n' >cr.auto; printf '\\001\\002\\n' >control.auto\n"
    "printf 'text\\n\\032' >mark.auto; : >empty.auto; : >empty.u16; : >empty.bat\n"
    "printf '$Id$ $Id: old $ $Id: a b c $ $Idx$ $Id:\\n$ $Id' >k.id\n"
    "printf '$Id: $ $Id:x$\\n' >l.id; printf '$Id$\\nx\\n' >m.both\n"
    "printf 'a\\303\\244\\n' | iconv -t UTF-16 >x.u16; printf 'a\\303\\244\\nb\\n' | iconv -t "
    "UTF-8 >x.u8\n"
    "{ printf '\\377\\376'; printf 'a\\303\\244\\nb\\n' | iconv -t UTF-16LE; } >x.le\n"
    "printf 'a\\303\\244\\n' | iconv -t UTF-16BE >x.be; printf 'a\\344\\n' >x.latin\n"
    "mkdir dist; echo dist >dist/file; printf '$Format:%%%%H$\\n' >v.subst; echo s >x.secret\n";

static void add_all(void)
{
    shell("cd %s && HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1 git add -A 2>/dev/null", at("work"));
    git("-C", at("work"), "commit", "-q", "-m", "attributes", NULL);
}

/* Run, unpack, and compare with a clone, byte for byte. */
static void expect_as_cloned(const char *repository, char *ret_left_out, size_t size)
{
    run_connection("x", repository);
    PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_done();
    if (!input->source_done->ok)
        fail_msg("%s", input->source_done->error_message);
    unpack_to_out(input->source_done->artifact);
    (void)snprintf(ret_left_out, size, "%s",
                   input->source_done->left_out ? input->source_done->left_out : "");
    shell("rm -rf %s", at("clone"));
    git("clone", "-q", "--no-hardlinks", at(repository), at("clone"), NULL);
    shell("cd %s && rm -rf clone/.git && diff -r --no-dereference clone out", it.root);
    shell(
        "cd %s && for d in clone out; do (cd $d && find . -mindepth 1 -printf '%%M %%P\\n' | sort "
        ">../$d.modes); done && diff clone.modes out.modes",
        it.root);
}

static void test_a_checkout_is_as_git_makes_it(void **state)
{
    (void)state;
    char left_out[1024];
    work_make();
    shell(checkout_script, at("work"));
    add_all();
    /* committed by a git that did not know of the attribute: not in the encoding that it names */
    shell("cd %s && b=$(printf 'a\\303\\244\\342\\202\\254\\n' | git hash-object -w --stdin) && "
          "git update-index --add --cacheinfo 100644,$b,euro.latin && "
          "git update-index --add --cacheinfo 100644,$b,x.odd",
          at("work"));
    git("-C", at("work"), "commit", "-q", "-m", "euro", NULL);
    start(NEVER_MS, 60000);
    connect_to(it.root, NULL);
    expect_as_cloned("work", left_out, sizeof left_out);
    assert_string_equal(left_out,
                        "a file is as it is stored, without its filter: 'x.secret' (crypt); "
                        "2 files cannot be had in their working-tree-encoding, the first: "
                        "'euro.latin' (ISO-8859-1)");
    /* the artifact is remembered with what it lacks */
    run_connection("again", "work");
    PEN_CLEANUP(pen_message_destroy) Pen__Input *again = next_done();
    assert_string_equal(again->source_done->left_out, left_out);
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    assert_int_equal(pen_file_read(at("out/a.bat"), 100, &bytes, NULL), 0);
    assert_string_equal(pen_buf_text(&bytes), "one\r\ntwo\r\n\r\nend");
}

/* The attributes are those of the commit that is taken, not of the newest. */
static void test_attributes_are_of_the_commit(void **state)
{
    (void)state;
    work_make();
    put("work/.gitattributes", "*.bat text eol=crlf\n", 0644);
    put("work/a.bat", "one\n", 0644);
    add_all();
    char first[64];
    (void)snprintf(first, sizeof first, "%s", head_of("work/.git", "main"));
    put("work/.gitattributes", "*.bat -text\n", 0644);
    add_all();
    start(NEVER_MS, 60000);
    connect_to(it.root, NULL);
    static const char *const texts[] = {"one\r\n", "one\n"};
    for (size_t i = 0; i < 2; i++) {
        run_connection_at("x", "work", i == 0 ? first : "");
        PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_done();
        assert_true(input->source_done->ok);
        assert_null(input->source_done->left_out);
        unpack_to_out(input->source_done->artifact);
        assert_file("out/a.bat", texts[i]);
    }
}

/* Submodules and what Git LFS keeps elsewhere: as a clone has them, and said. */
static void test_what_is_left_out_is_said(void **state)
{
    (void)state;
    char left_out[1024];
    work_make();
    put("work/.gitattributes", "*.psd filter=lfs diff=lfs merge=lfs -text\n", 0644);
    put("work/big.psd", "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n", 0644);
    put("work/big2.psd", "version https://git-lfs.github.com/spec/v1\noid sha256:2\nsize 1\n",
        0644);
    shell("cd %s && git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),lib/one && "
          "git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),lib/two && "
          "mkdir -p lib/one lib/two",
          at("work"));
    git("-C", at("work"), "add", "big.psd", "big2.psd", ".gitattributes", NULL);
    git("-C", at("work"), "commit", "-q", "-m", "modules", NULL);
    start(NEVER_MS, 60000);
    connect_to(it.root, NULL);
    expect_as_cloned("work", left_out, sizeof left_out);
    assert_string_equal(
        left_out, "2 submodules are left empty, the first: 'lib/one'; 2 files are as they are "
                  "stored, without their filter, the first: 'big.psd' (lfs)");
}

/* Attributes that are too much are refused, and odd ones do no harm. */
static void test_hostile_attributes(void **state)
{
    (void)state;
    work_make();
    shell("cd %s && { yes '*.x filter=y' | head -c 1100000; } >.gitattributes", at("work"));
    add_all();
    start(NEVER_MS, 60000);
    connect_to(it.root, NULL);
    run_connection("x", "work");
    expect_failure("ConfigurationError", "'.gitattributes' has 1100000 bytes");
    shell("cd %s && printf '%%s\\n' '* eol=crlf filter' '[attr]a b' '[attr]b a' '*.c a' '!x y' "
          "'\"unended eol' '/ eol=crlf' '** working-tree-encoding=//' 'f* ident=$Id$' "
          ">.gitattributes "
          "&& echo text >f.c",
          at("work"));
    add_all();
    run_connection("y", "work");
    PEN_CLEANUP(pen_message_destroy) Pen__Input *input = next_done();
    if (!input->source_done->ok)
        fail_msg("%s", input->source_done->error_message);
    unpack_to_out(input->source_done->artifact);
    assert_file("out/f.c", "text\r\n");
    /* a link or a folder of that name is none */
    shell("cd %s && git rm -q --cached .gitattributes && rm .gitattributes && "
          "ln -s file .gitattributes && git add .gitattributes",
          at("work"));
    git("-C", at("work"), "commit", "-q", "-m", "link", NULL);
    run_connection("z", "work");
    expect_run("z", head_of("work/.git", "main"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_checkout_is_as_git_makes_it),
        TEST(test_attributes_are_of_the_commit),
        TEST(test_what_is_left_out_is_said),
        TEST(test_hostile_attributes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
