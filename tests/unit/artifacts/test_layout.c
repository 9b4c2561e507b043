/* controller/artifacts/layout.h: other programs and old data rely on these paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "controller/artifacts/layout.h"

static void test_paths(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    pen_layout_log("/d", 999, &path);
    assert_string_equal(pen_buf_text(&path), "/d/logs/0/999.log");
    pen_buf_clear(&path);
    pen_layout_log("/d", 18446744073709551615u, &path);
    assert_string_equal(pen_buf_text(&path), "/d/logs/18446744073709551/18446744073709551615.log");
    pen_buf_clear(&path);
    pen_layout_log_folder("/d", 1000, &path);
    assert_string_equal(pen_buf_text(&path), "/d/logs/1");
    pen_buf_clear(&path);
    pen_layout_path("/d", "blobs", &path);
    assert_string_equal(pen_buf_text(&path), "/d/blobs");
    pen_buf_puts(&path, " "); /* appends, does not replace */
    pen_layout_repository("/d", "app", &path);
    assert_string_equal(pen_buf_text(&path), "/d/blobs /d/repos/app.git");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_paths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
