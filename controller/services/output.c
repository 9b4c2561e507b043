#include "controller/services/output.h"

#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"

/* Clients cannot show a year before 1 or after 9999, wherever they are, and then the whole answer
 * is lost to them. A day is left at both ends for their time zones. */
static const int64_t time_min_ms = INT64_C(-62135510400000); /* 0001-01-02T00:00:00Z */
static const int64_t time_max_ms = INT64_C(253402214399999); /* 9999-12-30T23:59:59.999Z */

static json_t *checked(struct pen_call *call, json_t *value)
{
    if (value == NULL)
        call->out_of_memory = true;
    return value;
}

json_t *pen_output(struct pen_call *call)
{
    if (call->output == NULL)
        call->output = checked(call, json_object());
    return call->output;
}

/* Bytes of the well-formed sequence at text, 0 when there is none. */
static size_t sequence_size(const char *text)
{
    for (size_t size = 1; size <= 4; size++) {
        if (pen_utf8_valid(text, size))
            return size;
        if (text[size - 1] == '\0')
            break;
    }
    return 0;
}

static json_t *repaired(const char *value)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    while (*value != '\0') {
        size_t size = sequence_size(value);
        if (size == 0)
            pen_buf_puts(&text, "\xEF\xBF\xBD");
        else
            pen_buf_append(&text, value, size);
        value += size == 0 ? 1 : size;
    }
    return pen_buf_ok(&text, NULL) < 0 ? NULL : json_string(pen_buf_text(&text));
}

static json_t *string_of(const char *value)
{
    return pen_utf8_valid(value, strlen(value)) ? json_string(value) : repaired(value);
}

void pen_put_json(struct pen_call *call, json_t *object, const char *name, json_t *value)
{
    if (checked(call, value) == NULL)
        return;
    if (object == NULL)
        json_decref(value);
    else if (json_object_set_new(object, name, value) < 0)
        call->out_of_memory = true;
}

void pen_put_string(struct pen_call *call, json_t *object, const char *name, const char *value)
{
    if (value != NULL)
        pen_put_json(call, object, name, string_of(value));
}

void pen_put_text(struct pen_call *call, json_t *object, const char *name, const char *value)
{
    if (value != NULL && value[0] != '\0')
        pen_put_json(call, object, name, string_of(value));
}

void pen_put_integer(struct pen_call *call, json_t *object, const char *name, int64_t value)
{
    pen_put_json(call, object, name, json_integer(value));
}

void pen_put_boolean(struct pen_call *call, json_t *object, const char *name, bool value)
{
    pen_put_json(call, object, name, json_boolean(value));
}

void pen_put_time(struct pen_call *call, json_t *object, const char *name, int64_t at_ms)
{
    int64_t inside_ms = at_ms < time_min_ms   ? time_min_ms
                        : at_ms > time_max_ms ? time_max_ms
                                              : at_ms;
    if (at_ms != 0)
        pen_put_json(call, object, name, json_real((double)inside_ms / 1000.0));
}

json_t *pen_put_object(struct pen_call *call, json_t *object, const char *name)
{
    pen_put_json(call, object, name, json_object());
    return json_object_get(object, name);
}

json_t *pen_put_list(struct pen_call *call, json_t *object, const char *name)
{
    pen_put_json(call, object, name, json_array());
    return json_object_get(object, name);
}

static void add(struct pen_call *call, json_t *list, json_t *value)
{
    if (checked(call, value) == NULL)
        return;
    if (list == NULL)
        json_decref(value);
    else if (json_array_append_new(list, value) < 0)
        call->out_of_memory = true;
}

json_t *pen_add_object(struct pen_call *call, json_t *list)
{
    add(call, list, json_object());
    size_t count = json_array_size(list);
    return count == 0 ? NULL : json_array_get(list, count - 1);
}

void pen_add_string(struct pen_call *call, json_t *list, const char *value)
{
    if (value != NULL)
        add(call, list, string_of(value));
}

void pen_drop_empty(json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    bool empty = (json_is_object(value) && json_object_size(value) == 0) ||
                 (json_is_array(value) && json_array_size(value) == 0);
    if (empty)
        (void)json_object_del(object, name);
}

const char *pen_in_string(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

int64_t pen_in_integer(const json_t *object, const char *name, int64_t fallback)
{
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) ? json_integer_value(value) : fallback;
}

bool pen_in_boolean(const json_t *object, const char *name, bool fallback)
{
    const json_t *value = json_object_get(object, name);
    return json_is_boolean(value) ? json_is_true(value) : fallback;
}
