/* Members, cleaning and colours; tables are in table.c. */
#include "cli/text.h"

#include <stdio.h>
#include <string.h>

#include "common/base/str.h"
#include "common/base/units.h"

const char *pen_json_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

int64_t pen_json_number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

bool pen_json_flag(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

json_t *pen_json_list(const json_t *object, const char *name)
{
    json_t *list = json_object_get(object, name);
    return json_is_array(list) ? list : NULL;
}

int64_t pen_json_time_ms(const json_t *object, const char *name)
{
    double seconds = json_number_value(json_object_get(object, name));
    if (!(seconds > -62167219200.0 && seconds < 253402300800.0)) /* years 0 to 9999 */
        return 0;
    return (int64_t)(seconds * 1000 + (seconds < 0 ? -0.5 : 0.5));
}

/* Bytes of a control character at `at`: C0, DEL, or C1 in its two bytes of UTF-8; 0 for others. */
static size_t control_size(const uint8_t *at, size_t left)
{
    if (*at < 0x20 || *at == 0x7F)
        return 1;
    return left > 1 && at[0] == 0xC2 && at[1] >= 0x80 && at[1] <= 0x9F ? 2 : 0;
}

/* Bytes of the well-formed character at `at`, 0 when there is none. */
static size_t character_size(const uint8_t *at, size_t left)
{
    for (size_t size = 1; size <= 4 && size <= left; size++) {
        if (pen_utf8_valid(at, size))
            return size;
    }
    return 0;
}

/* Append one character, '?' for a byte that is none; returns the bytes it took. */
static size_t character_put(const uint8_t *at, size_t left, struct pen_buf *ret_text)
{
    size_t size = character_size(at, left);
    if (size == 0)
        pen_buf_putc(ret_text, '?');
    else
        pen_buf_append(ret_text, at, size);
    return size == 0 ? 1 : size;
}

void pen_text_clean(const char *text, struct pen_buf *ret_text)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t left = strlen(text);
    while (left > 0) {
        size_t size = control_size(at, left);
        if (size > 0)
            pen_buf_putc(ret_text, ' ');
        else
            size = character_put(at, left, ret_text);
        at += size;
        left -= size;
    }
}

/* Bytes of an escape sequence whose ESC stands before `at`: CSI up to its final byte; OSC and the
 * other strings up to BEL or ESC \; else the intermediate bytes and one final byte. *ret_whole is
 * false when it would be longer if more bytes came. */
static size_t escape_size(const uint8_t *at, size_t left, bool *ret_whole)
{
    size_t i = 0;
    bool csi = left > 0 && at[0] == '[';
    *ret_whole = false;
    if (left == 0)
        return 0;
    if (!csi && at[0] != 0 && strchr("]PX^_", at[0]) != NULL) {
        for (i = 1; i < left && at[i] != 7 && at[i] != 0x1B; i++)
            ;
        *ret_whole = i < left && (at[i] == 7 || i + 1 < left);
        if (*ret_whole && (at[i] == 7 || at[i + 1] == '\\'))
            i += at[i] == 7 ? 1 : 2;
        return i;
    }
    uint8_t middle_end = csi ? 0x3F : 0x2F;
    uint8_t final_begin = csi ? 0x40 : 0x30;
    for (i = csi ? 1 : 0; i < left && at[i] >= 0x20 && at[i] <= middle_end; i++)
        ;
    *ret_whole = i < left;
    return i < left && at[i] >= final_begin && at[i] <= 0x7E ? i + 1 : i;
}

/* Fewer bytes than the character that begins here has, and no wrong one among them. */
static bool character_is_cut(const uint8_t *at, size_t left)
{
    static const uint8_t ends[] = {0x80, 0x90, 0xA0}; /* one of them may follow each beginning */
    if (left == 0 || left > 3)
        return false;
    for (size_t i = 0; i < sizeof ends; i++) {
        for (size_t more = 1; left + more <= 4; more++) {
            uint8_t whole[4] = {ends[i], ends[i], ends[i], ends[i]};
            memcpy(whole, at, left);
            if (character_size(whole, left + more) > left)
                return true;
        }
    }
    return false;
}

size_t pen_text_log_settled(const char *bytes, size_t size)
{
    const uint8_t *text = (const uint8_t *)bytes;
    size_t at = 0;
    while (at < size) {
        bool whole = true;
        size_t step = 1;
        if (text[at] == 0x1B) {
            step = 1 + escape_size(text + at + 1, size - at - 1, &whole);
        } else if (text[at] >= 0x80) {
            step = character_size(text + at, size - at);
            whole = step > 0 || !character_is_cut(text + at, size - at);
            step = step == 0 ? 1 : step;
        }
        if (!whole)
            return at;
        at += step;
    }
    return size;
}

void pen_text_clean_log(const char *bytes, size_t size, struct pen_buf *ret_text)
{
    const uint8_t *at = (const uint8_t *)bytes;
    size_t begin = ret_text->size;
    while (size > 0 && at[size - 1] == '\r') /* the line's end on another system */
        size--;
    while (size > 0) {
        size_t step = 1;
        bool whole = true;
        if (*at == 0x1B)
            step = 1 + escape_size(at + 1, size - 1, &whole);
        else if (*at == '\r' && ret_text->size > begin) {
            ret_text->size = begin;
            ret_text->data[begin] = 0;
        } else if (*at == '\t')
            pen_buf_putc(ret_text, '\t');
        else if ((step = control_size(at, size)) == 0)
            step = character_put(at, size, ret_text);
        at += step;
        size -= step;
    }
}

size_t pen_text_width(const char *text)
{
    size_t width = 0;
    for (const uint8_t *at = (const uint8_t *)text; *at != 0; at++)
        width += (*at & 0xC0) != 0x80 ? 1 : 0;
    return width;
}

void pen_text_time(int64_t ms, struct pen_buf *ret_text)
{
    char text[PEN_TIME_TEXT_SIZE] = "-";
    if (ms != 0) {
        pen_time_format(ms, text);
        memcpy(strchr(text, '.'), "Z", 2);
    }
    pen_buf_puts(ret_text, text);
}

void pen_text_age(int64_t ms, int64_t now_ms, struct pen_buf *ret_text)
{
    char text[PEN_DURATION_TEXT_SIZE];
    if (ms == 0) {
        pen_buf_putc(ret_text, '-');
        return;
    }
    pen_duration_format_brief(now_ms - ms, text);
    pen_buf_printf(ret_text, "%s ago", text);
}

void pen_text_status(const char *status, bool color, struct pen_buf *ret_text)
{
    static const struct {
        const char *status, *code;
    } colors[] = {
        {"Succeeded", "32"},  {"Enrolled", "32"},    {"connected", "32"},  {"ok", "32"},
        {"Failed", "31"},     {"Abandoned", "31"},   {"Revoked", "31"},    {"Stopped", "31"},
        {"offline", "31"},    {"FAIL", "31"},        {"InProgress", "33"}, {"Stopping", "33"},
        {"draining", "33"},   {"Quarantined", "33"}, {"suspect", "33"},    {"WARN", "33"},
        {"Superseded", "36"}, {"Cancelled", "36"},   {"Skipped", "36"},    {"Approval", "35"},
    };
    const char *code = NULL;
    for (size_t i = 0; color && i < sizeof colors / sizeof colors[0]; i++) {
        if (pen_str_starts_with(status, colors[i].status))
            code = colors[i].code;
    }
    if (code != NULL)
        pen_buf_printf(ret_text, "\x1b[%sm", code);
    pen_text_clean(status, ret_text);
    if (code != NULL)
        pen_buf_puts(ret_text, "\x1b[0m");
}

void pen_print_json(const json_t *json)
{
    (void)json_dumpf(json, stdout, JSON_INDENT(4));
    (void)putchar('\n');
}
