#include "cli/reason.h"

#include "cli/text.h"
#include "common/base/units.h"

/* A member that is text: "    NAME: TEXT". */
static void put_line(const json_t *reason, const char *name, const char *member,
                     struct pen_buf *text)
{
    if (pen_json_text(reason, member)[0] == 0)
        return;
    pen_buf_printf(text, "    %s: ", name);
    pen_text_clean(pen_json_text(reason, member), text);
    pen_buf_putc(text, '\n');
}

/* A member that counts seconds, as a duration; false when there is none. */
static bool seconds_read(const json_t *reason, const char *member,
                         char ret_text[PEN_DURATION_TEXT_SIZE])
{
    const json_t *seconds = json_object_get(reason, member);
    if (!json_is_number(seconds) || json_number_value(seconds) >= 1e9 ||
        json_number_value(seconds) < 0)
        return false;
    pen_duration_format_brief((int64_t)(json_number_value(seconds) * 1000), ret_text);
    return true;
}

static void put_age(int64_t at_ms, int64_t now_ms, struct pen_buf *text)
{
    char age[PEN_DURATION_TEXT_SIZE];
    pen_duration_format_brief(now_ms > at_ms ? now_ms - at_ms : 0, age);
    pen_buf_puts(text, age);
}

/* How long it may take, by what it took before and by when it is ended. */
static void put_times(const json_t *reason, int64_t now_ms, struct pen_buf *text)
{
    char time[PEN_DURATION_TEXT_SIZE];
    char usual[PEN_DURATION_TEXT_SIZE];
    int64_t ends_ms = pen_json_time_ms(reason, "ends");
    int64_t output_ms = pen_json_time_ms(reason, "lastOutput");
    if (seconds_read(reason, "overdueSeconds", time) && seconds_read(reason, "usualSeconds", usual))
        pen_buf_printf(text, "    overdue by %s: it usually takes %s\n", time, usual);
    else if (seconds_read(reason, "estimateSeconds", time))
        pen_buf_printf(text, "    expected in %s\n", time);
    if (output_ms != 0) {
        pen_buf_puts(text, "    last output ");
        put_age(output_ms, now_ms, text);
        pen_buf_puts(text, " ago\n");
    }
    if (ends_ms != 0) {
        pen_buf_puts(text, "    ended at ");
        pen_text_time(ends_ms, text);
        pen_buf_puts(text, ", when its time is over\n");
    }
}

void pen_reason_put(const json_t *reason, int64_t now_ms, struct pen_buf *text)
{
    int64_t since_ms = pen_json_time_ms(reason, "since");
    pen_text_clean(pen_json_text(reason, "subject"), text);
    pen_buf_puts(text, ": ");
    pen_text_clean(pen_json_text(reason, "sentence"), text);
    if (since_ms != 0) {
        pen_buf_puts(text, " (for ");
        put_age(since_ms, now_ms, text);
        pen_buf_putc(text, ')');
    }
    pen_buf_putc(text, '\n');
    put_line(reason, "until", "clears", text);
    put_line(reason, "acts", "acts", text);
    size_t index;
    json_t *command;
    json_array_foreach(pen_json_list(reason, "commands"), index, command)
    {
        const char *line = json_string_value(command);
        pen_buf_puts(text, "    clears: ");
        pen_text_clean(line == NULL ? "" : line, text);
        pen_buf_putc(text, '\n');
    }
    put_line(reason, "see", "see", text);
    put_times(reason, now_ms, text);
    if (pen_json_flag(reason, "never"))
        pen_buf_puts(text, "    this does not change by waiting\n");
}

void pen_reason_put_act(const json_t *reason, struct pen_buf *text)
{
    const json_t *command;
    size_t index;
    if (pen_json_text(reason, "acts")[0] == 0)
        return;
    pen_text_clean(pen_json_text(reason, "subject"), text);
    pen_buf_puts(text, " is up to ");
    pen_text_clean(pen_json_text(reason, "acts"), text);
    pen_buf_puts(text, json_array_size(pen_json_list(reason, "commands")) > 0 ? ":\n" : "\n");
    json_array_foreach(pen_json_list(reason, "commands"), index, command)
    {
        const char *line = json_string_value(command);
        pen_buf_puts(text, "    ");
        pen_text_clean(line == NULL ? "" : line, text);
        pen_buf_putc(text, '\n');
    }
}
