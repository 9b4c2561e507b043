/* tests/unit/agent/test_agent_workspace.c - a recycled workspace is like new, or is not recycled */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include <fcntl.h>
#include <linux/fs.h>
#include "agent/workspace/workspace.h"
#include "common/base/cleanup.h"
#include "common/io/file.h"

static char root[64];
static struct pen_workspaces *workspaces;

static void open_it(bool recycle)
{
    (void)snprintf(root, sizeof root, "workspaces-%d", (int)getpid());
    assert_int_equal(pen_workspaces_open(root, recycle, &workspaces, NULL), 0);
}

static int set_up(void **state)
{
    (void)state;
    open_it(true);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pen_workspaces_close(&workspaces);
    return pen_dir_remove_tree(root, NULL);
}

static const char *in(const char *below)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", root, below);
    return path;
}

static void put(const char *below)
{
    assert_int_equal(pen_file_replace_unsynced(in(below), "x", 1, 0600, NULL), 0);
}

static ino_t inode(const char *below)
{
    struct stat facts;
    assert_int_equal(lstat(in(below), &facts), 0);
    return facts.st_ino;
}

/* End attempt 1 and have its folder cleaned. Whether it was: the next attempt gets it then. */
static bool cleaned(void)
{
    bool recycle = false;
    pen_workspace_done(workspaces, 1);
    char *path = pen_workspaces_next_trash(workspaces, &recycle);
    assert_non_null(path);
    assert_true(recycle);
    assert_null(pen_workspaces_next_trash(workspaces, &recycle));
    bool clean = pen_workspace_clean(path, NULL);
    assert_int_equal(pen_file_exists(path), clean);
    if (!clean)
        free(TAKE_PTR(path));
    pen_workspaces_cleaned(workspaces, path);
    return clean;
}

static void check_new(const char *name)
{
    static const char *const parts[] = {"src", "home", "tmp"};
    char path[128];
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", name, parts[i]);
        assert_int_equal(rmdir(in(path)), 0); /* fails when something is in it, or it is none */
    }
    assert_int_equal(rmdir(in(name)), 0);
}

static void test_used_folders_are_emptied(void **state)
{
    (void)state;
    assert_int_equal(pen_workspace_make(workspaces, 1, NULL), 0);
    ino_t src = inode("1/src");
    put("1/src/file");
    put("1/stray");
    assert_int_equal(pen_dir_make(in("1/in/1/deep"), 0700, NULL), 0);
    put("1/in/1/deep/file");
    assert_int_equal(pen_dir_make(in("1/home/.cache/a/b"), 0700, NULL), 0);
    put("1/home/.cache/a/b/c");
    assert_int_equal(symlink("/", in("1/tmp/link")), 0);
    assert_int_equal(chmod(in("1/home/.cache"), 0500), 0);
    assert_true(cleaned());
    assert_int_equal(pen_workspace_make(workspaces, 2, NULL), 0);
    assert_int_equal(inode("2/src"), src);
    check_new("2");
}

static void test_a_link_in_place_of_a_folder(void **state)
{
    (void)state;
    assert_int_equal(pen_dir_make(in("elsewhere"), 0700, NULL), 0);
    assert_int_equal(pen_workspace_make(workspaces, 1, NULL), 0);
    assert_int_equal(rmdir(in("1/tmp")), 0);
    assert_int_equal(symlink("../elsewhere", in("1/tmp")), 0);
    assert_false(cleaned());
    assert_true(pen_file_exists(in("elsewhere")));
    assert_int_equal(pen_workspace_make(workspaces, 2, NULL), 0);
    check_new("2");
}

static void test_a_missing_folder(void **state)
{
    (void)state;
    assert_int_equal(pen_workspace_make(workspaces, 1, NULL), 0);
    assert_int_equal(rmdir(in("1/home")), 0);
    assert_false(cleaned());
}

static void test_other_rights(void **state)
{
    (void)state;
    assert_int_equal(pen_workspace_make(workspaces, 1, NULL), 0);
    assert_int_equal(chmod(in("1/src"), 0777), 0);
    assert_false(cleaned());
    assert_int_equal(pen_workspace_make(workspaces, 1, NULL), 0);
    assert_int_equal(chmod(in("1"), 02700), 0);
    assert_false(cleaned());
}

static void test_attributes(void **state)
{
    (void)state;
    assert_int_equal(pen_workspace_make(workspaces, 1, NULL), 0);
    if (setxattr(in("1/tmp"), "user.penstock", "x", 1, 0) < 0)
        skip(); /* this file system has none, so none can be left behind */
    assert_false(cleaned());
}

static void test_a_folder_that_has_grown(void **state)
{
    (void)state;
    struct stat facts;
    assert_int_equal(pen_workspace_make(workspaces, 1, NULL), 0);
    char name[160];
    for (int i = 0; i < 2000; i++) {
        (void)snprintf(name, sizeof name, "1/src/%0100d", i);
        put(name);
    }
    assert_int_equal(stat(in("1/src"), &facts), 0);
    bool large = facts.st_size > 64 * 1024;
    bool clean = cleaned();
    if (large) /* else this file system shrinks folders, or counts otherwise */
        assert_false(clean);
}

/* As chattr does. */
static bool flag(const char *name, int flags)
{
    int fd = -1;
    int known = 0;
    assert_int_equal(pen_file_open(in(name), O_RDONLY, 0, &fd, NULL), 0);
    bool done = ioctl(fd, FS_IOC_GETFLAGS, &known) == 0;
    known |= flags;
    done = done && ioctl(fd, FS_IOC_SETFLAGS, &known) == 0;
    pen_fd_close(&fd);
    return done;
}

/* What chattr forbids does not keep a workspace: files, folders with something in them, the whole.
 */
static void test_immutable(void **state)
{
    (void)state;
    static const char *const names[] = {
        "1/src/file", "1/src/deep/er/file", "1/src/deep/er", "1/src/deep", "1/in", "1/tmp", "1"};
    for (int with = 0; with < 2; with++) {
        assert_int_equal(pen_workspace_make(workspaces, 1, NULL), 0);
        assert_int_equal(pen_dir_make(in("1/src/deep/er"), 0700, NULL), 0);
        assert_int_equal(pen_dir_make(in("1/in"), 0700, NULL), 0);
        put("1/src/file");
        put("1/src/deep/er/file");
        put("1/tmp/file");
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (!flag(names[i], with == 0 ? FS_IMMUTABLE_FL : FS_APPEND_FL)) {
                assert_int_equal(i, 0);
                skip(); /* not our right, nor that of a job with our rights */
            }
        (void)cleaned();
        assert_int_equal(pen_workspace_make(workspaces, 2, NULL), 0);
        check_new("2");
        assert_false(pen_file_exists(in("1")));
    }
}

static void test_no_recycling(void **state)
{
    (void)state;
    pen_workspaces_close(&workspaces);
    open_it(false);
    bool recycle = true;
    assert_int_equal(pen_workspace_make(workspaces, 1, NULL), 0);
    pen_workspace_done(workspaces, 1);
    PEN_CLEANUP(pen_free) char *path = pen_workspaces_next_trash(workspaces, &recycle);
    assert_non_null(path);
    assert_false(recycle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_used_folders_are_emptied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_link_in_place_of_a_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_missing_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_rights, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_attributes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_folder_that_has_grown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_immutable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_recycling, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
