#include "common/log/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/base/units.h"
#include "common/io/clock.h"

/* Written once, before there are threads. */
static char program_name[64] = "penstock";
static enum pen_log_level lowest_level = PEN_LOG_INFO;

void pen_log_init(const char *program, enum pen_log_level lowest)
{
    (void)pen_str_copy(program_name, sizeof program_name, program);
    lowest_level = lowest;
}

static const char *level_name(enum pen_log_level level)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    return names[level];
}

struct line {
    char text[PEN_LIMIT_LOG_LINE_BYTES];
    size_t size;
};

/* Room that stays free for the mark of a cut line and the newline. */
static const char cut_mark[] = " [cut]";
enum { LINE_RESERVE = sizeof cut_mark };

static bool line_put(struct line *line, const char *bytes, size_t size)
{
    if (size > sizeof line->text - LINE_RESERVE - line->size)
        return false;
    memcpy(line->text + line->size, bytes, size);
    line->size += size;
    return true;
}

/* Control characters would let a value forge a line or drive a terminal; also those of C1, which
 * UTF-8 writes as C2 80 to C2 9F. */
static bool line_put_escaped(struct line *line, const char *text)
{
    for (const uint8_t *at = (const uint8_t *)text; *at != 0; at++) {
        char escaped[8];
        int size = 0;
        bool c1 = at[0] == 0xC2 && at[1] >= 0x80 && at[1] <= 0x9F;
        if (c1)
            size = snprintf(escaped, sizeof escaped, "\\x%02x", *++at);
        else if (*at == '\n')
            size = snprintf(escaped, sizeof escaped, "\\n");
        else if (*at < 0x20 || *at == 0x7F)
            size = snprintf(escaped, sizeof escaped, "\\x%02x", *at);
        else
            escaped[size++] = (char)*at;
        if (!line_put(line, escaped, (size_t)size))
            return false;
    }
    return true;
}

void pen_log(enum pen_log_level level, const char *message, const char *format, ...)
{
    if (level < lowest_level)
        return;
    char values[PEN_LIMIT_LOG_LINE_BYTES] = "";
    if (format != NULL) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(values, sizeof values, format, args);
        va_end(args);
    }
    char time[PEN_TIME_TEXT_SIZE];
    pen_time_format(pen_clock_wall_ms(), time);
    struct line line = {.size = 0};
    char head[192];
    int head_size = snprintf(head, sizeof head, "%s %s %s ", time, level_name(level), program_name);
    bool whole = line_put(&line, head, (size_t)head_size) && line_put_escaped(&line, message) &&
                 (values[0] == 0 || (line_put(&line, " ", 1) && line_put_escaped(&line, values)));
    if (!whole) {
        memcpy(line.text + line.size, cut_mark, sizeof cut_mark - 1);
        line.size += sizeof cut_mark - 1;
    }
    line.text[line.size++] = '\n';
    /* One call, so that lines of several threads do not mix. There is nobody to tell of a failure.
     */
    ssize_t written = write(STDERR_FILENO, line.text, line.size);
    (void)written;
}
