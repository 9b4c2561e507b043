#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/io/random.h"

static char folder[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/pen-test-file-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    return pen_dir_remove_tree(folder, NULL);
}

/* The path of a name in the test's folder, in one of four rotating buffers. */
static const char *in(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int entries_besides(const char *name)
{
    char command[512];
    (void)snprintf(command, sizeof command, "test \"$(ls -A '%s')\" = '%s'", folder, name);
    return system(command);
}

static void replaces_and_reads(void **state)
{
    (void)state;
    struct pen_error err;
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    assert_int_equal(pen_file_read(in("a"), 100, &bytes, &err), PEN_ENOTFOUND);
    assert_int_equal(pen_file_replace(in("a"), "one", 3, 0600, &err), 0);
    assert_int_equal(pen_file_replace_unsynced(in("a"), "second", 6, 0640, &err), 0);
    assert_int_equal(pen_file_read(in("a"), 6, &bytes, &err), 0);
    assert_string_equal(pen_buf_text(&bytes), "second");
    struct stat info;
    assert_int_equal(stat(in("a"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0640);
    assert_int_equal(entries_besides("a"), 0); /* no temporary file left */
    assert_int_equal(pen_file_read(in("a"), 5, &bytes, &err), PEN_ELIMIT);
    assert_string_equal(pen_buf_text(&bytes), "second"); /* untouched on failure */
    assert_true(pen_file_exists(in("a")));
    assert_false(pen_file_exists(in("b")));
}

static void a_failed_replace_leaves_the_old(void **state)
{
    (void)state;
    struct pen_error err;
    assert_int_equal(mkdir(in("d"), 0700), 0);
    assert_int_equal(pen_file_replace(in("d"), "x", 1, 0600, &err), PEN_EIO);
    assert_int_equal(entries_besides("d"), 0);
    assert_int_equal(pen_file_replace(in("none/x"), "x", 1, 0600, &err), PEN_ENOTFOUND);
}

static void descriptors_are_not_inherited(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_fd_close) int fd = -1;
    assert_int_equal(pen_file_open(in("a"), O_RDWR | O_CREAT, 0600, &fd, NULL), 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(pen_file_write_all(fd, "xyz", 3, NULL), 0);
    int closed = fd;
    pen_fd_close(&fd);
    assert_int_equal(fd, -1);
    assert_int_equal(fcntl(closed, F_GETFD), -1);
}

static void makes_folders(void **state)
{
    (void)state;
    struct pen_error err;
    assert_int_equal(pen_dir_make(in("x/y//z/"), 0700, &err), 0);
    assert_int_equal(pen_dir_make(in("x/y/z"), 0700, &err), 0);
    assert_int_equal(pen_dir_sync(in("x/y"), &err), 0);
    assert_int_equal(pen_file_replace(in("x/f"), "", 0, 0600, &err), 0);
    assert_int_equal(pen_dir_make(in("x/f"), 0700, &err), PEN_EINVAL);
    assert_true(pen_dir_make(in("x/f/g"), 0700, &err) < 0);
    assert_int_equal(pen_dir_make("", 0700, &err), PEN_EINVAL);
}

static void claims_no_folder_of_others(void **state)
{
    (void)state;
    struct pen_error err;
    static const char *const known[] = {"keys", NULL};
    assert_int_equal(pen_dir_claim(in("c/new"), 0700, "mark", known, &err), 0);
    assert_int_equal(pen_dir_claim(in("c/new"), 0700, "mark", known, &err), 0);
    assert_int_equal(pen_dir_make(in("c/new/keys"), 0700, &err), 0);
    assert_int_equal(pen_dir_make(in("c/new/lost+found"), 0700, &err), 0);
    assert_int_equal(pen_dir_claim(in("c/new"), 0700, "mark", known, &err), 0);
    assert_int_equal(pen_dir_make(in("c/new/.git"), 0700, &err), 0);
    assert_int_equal(pen_dir_claim(in("c/new"), 0700, "mark", known, &err), PEN_EINVAL);
    assert_non_null(strstr(err.message, "holds something else ('.git')"));
    assert_int_equal(pen_file_replace(in("c/new/mark"), "", 0, 0600, &err), 0);
    assert_int_equal(pen_dir_claim(in("c/new"), 0700, "mark", known, &err), 0);
    assert_int_equal(pen_dir_claim(in("c/new/mark"), 0700, "mark", known, &err), PEN_EINVAL);
}

static void removes_trees(void **state)
{
    (void)state;
    struct pen_error err;
    assert_int_equal(pen_dir_make(in("t/a/b/c"), 0700, &err), 0);
    assert_int_equal(pen_dir_make(in("t/a/.penstock-remove-0/q"), 0700, &err), 0);
    assert_int_equal(pen_dir_make(in("t/.penstock-remove-0/r"), 0700, &err), 0);
    assert_int_equal(pen_file_replace(in("t/a/b/f"), "x", 1, 0400, &err), 0);
    assert_int_equal(pen_file_replace(in("kept"), "x", 1, 0600, &err), 0);
    assert_int_equal(symlink("../../../kept", in("t/a/b/link")), 0);
    assert_int_equal(symlink("..", in("t/a/up")), 0);
    assert_int_equal(chmod(in("t/a/b"), 0), 0);
    assert_int_equal(pen_dir_remove_tree(in("t"), &err), 0);
    assert_false(pen_file_exists(in("t")));
    assert_true(pen_file_exists(in("kept")));
    assert_int_equal(pen_dir_remove_tree(in("t"), &err), 0); /* missing is fine */
    assert_true(pen_dir_remove_tree(in("kept"), &err) < 0);  /* a file is not a folder */
    assert_int_equal(symlink(folder, in("l")), 0);
    assert_true(pen_dir_remove_tree(in("l"), &err) < 0); /* nor is a link to one */
    assert_true(pen_file_exists(in("kept")));
}

/* Rights do not hold root back, so the removal is done by a child without any. */
static void removes_what_its_owner_has_locked(void **state)
{
    (void)state;
    struct pen_error err;
    assert_int_equal(pen_dir_make(in("l/a/b/c"), 0700, &err), 0);
    assert_int_equal(pen_file_replace(in("l/a/b/f"), "x", 1, 0400, &err), 0);
    assert_int_equal(pen_dir_make(in("l/s/f"), 0700, &err), 0);
    static const char *const names[] = {"l/a/b/f", "l/a/b/c", "l/a/b", "l/a", "l", "l/s/f", "l/s"};
    for (size_t i = 0; i < 7; i++) {
        if (geteuid() == 0)
            assert_int_equal(chown(in(names[i]), 65534, 65534), 0);
        assert_int_equal(chmod(in(names[i]), i == 4 ? 0700 : i == 3 ? 0 : 0500), 0);
    }
    if (geteuid() == 0)
        assert_int_equal(chown(folder, 65534, 65534), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
            _exit(2);
        _exit(pen_dir_remove_tree(in("l"), &err) < 0 ? 1 : 0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_false(pen_file_exists(in("l")));
}

static void removes_very_deep_trees(void **state)
{
    (void)state;
    assert_int_equal(mkdir(in("deep"), 0700), 0);
    int fd = open(in("deep"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 3000; i++) { /* more levels than a path may have bytes for */
        assert_int_equal(mkdirat(fd, "dd", 0700), 0);
        int next = openat(fd, "dd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        close(fd);
        fd = next;
    }
    close(fd);
    struct pen_error err;
    assert_int_equal(pen_dir_remove_tree(in("deep"), &err), 0);
    assert_false(pen_file_exists(in("deep")));
}

static void clocks_and_random(void **state)
{
    (void)state;
    int64_t before = pen_clock_monotonic_us();
    assert_true(pen_clock_monotonic_us() >= before);
    assert_true(pen_clock_monotonic_ms() >= before / 1000);
    assert_true(pen_clock_wall_ms() > INT64_C(1700000000000));
    uint8_t a[32] = {0};
    uint8_t b[32] = {0};
    assert_int_equal(pen_random_bytes(a, sizeof a, NULL), 0);
    assert_int_equal(pen_random_bytes(b, sizeof b, NULL), 0);
    assert_memory_not_equal(a, b, sizeof a);
    char uuid[37];
    assert_int_equal(pen_random_uuid(uuid, NULL), 0);
    assert_int_equal(strlen(uuid), 36);
    assert_int_equal(uuid[14], '4');
    assert_non_null(strchr("89ab", uuid[19]));
    for (int i = 0; i < 36; i++)
        assert_non_null(
            strchr(i == 8 || i == 13 || i == 18 || i == 23 ? "-" : "0123456789abcdef", uuid[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(replaces_and_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_replace_leaves_the_old, setup, teardown),
        cmocka_unit_test_setup_teardown(descriptors_are_not_inherited, setup, teardown),
        cmocka_unit_test_setup_teardown(makes_folders, setup, teardown),
        cmocka_unit_test_setup_teardown(claims_no_folder_of_others, setup, teardown),
        cmocka_unit_test_setup_teardown(removes_trees, setup, teardown),
        cmocka_unit_test_setup_teardown(removes_what_its_owner_has_locked, setup, teardown),
        cmocka_unit_test_setup_teardown(removes_very_deep_trees, setup, teardown),
        cmocka_unit_test(clocks_and_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
