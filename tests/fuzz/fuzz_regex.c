/* Regular expressions: an expression, a zero byte, a text.
 *
 * Whatever comes, reading ends with a program or an error of its contract, and matching ends. An
 * expression in a group, and as both sides of |, matches what it matches alone.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/check.h"
#include "controller/model/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 1 or 0; -1 when the expression or the text is refused. */
static int matches(const char *expression, const char *text)
{
    struct pen_regex *regex = NULL;
    struct pen_error err = {0};
    bool found = false;
    int rc = pen_regex_parse(expression, &regex, &err);
    CHECK((rc == 0) == (regex != NULL));
    CHECK(rc == 0 || rc == PEN_EINVAL || rc == PEN_EUNSUPPORTED || rc == PEN_ENOMEM);
    if (rc == 0)
        rc = pen_regex_matches(regex, text, &found, &err);
    pen_regex_destroy(&regex);
    return rc < 0 ? -1 : found ? 1 : 0;
}

static void compare(const char *format, const char *expression, const char *text, int found)
{
    struct pen_buf other = {0};
    for (; *format != 0; format++)
        if (*format == 'E')
            pen_buf_puts(&other, expression);
        else
            pen_buf_putc(&other, *format);
    CHECK(!other.failed);
    int again = matches(pen_buf_text(&other), text);
    CHECK(again == found || again < 0); /* it may have become too large */
    pen_buf_release(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pen_buf input = {0};
    pen_buf_append(&input, data, size);
    CHECK(!input.failed);
    const char *expression = pen_buf_text(&input);
    size_t length = strlen(expression);
    const char *text = length < size ? expression + length + 1 : "";
    int found = matches(expression, text);
    if (found >= 0) {
        compare("(?:E)", expression, text, found);
        compare("(E)|(E)", expression, text, found);
        compare("(E){1}", expression, text, found);
    }
    pen_buf_release(&input);
    return 0;
}
