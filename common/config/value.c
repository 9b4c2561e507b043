#include "common/config/value.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "common/base/units.h"

enum {
    TEXT_MAX = 4096,
    ADDRESS_MAX = 300, /* a host name has 255 bytes at most */
};

void pen_config_value_release(struct pen_config_value *value)
{
    free(value->text);
    free(value->origin);
    *value = (struct pen_config_value){0};
}

static int flag_parse(const char *text, int64_t *ret_number, struct pen_error *err)
{
    static const char *const words[] = {"false", "no", "off", "true", "yes", "on"};
    for (int i = 0; i < 6; i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret_number = i >= 3;
            return 0;
        }
    }
    return pen_fail(err, PEN_EINVAL, "'%.64s' is neither true nor false", text);
}

static int text_check(const struct pen_config_key *key, const char *text, int64_t *ret_number,
                      struct pen_error *err)
{
    int64_t maximum = key->maximum == 0 ? TEXT_MAX : key->maximum;
    int64_t length = (int64_t)strlen(text);
    if (!pen_utf8_valid(text, (size_t)length))
        return pen_fail(err, PEN_EINVAL, "the text is not UTF-8");
    if (length < key->minimum || length > maximum)
        return pen_fail(err, PEN_ELIMIT,
                        "the text has %" PRId64 " bytes; %" PRId64 " to %" PRId64 " are allowed",
                        length, key->minimum, maximum);
    *ret_number = length;
    return 0;
}

/* Whether the host is an address of this machine is found out when it is bound. */
static int address_check(const char *text, int64_t *ret_port, struct pen_error *err)
{
    const char *colon = strrchr(text, ':');
    struct pen_error ignored = {0};
    if (strlen(text) > ADDRESS_MAX || colon == NULL || colon == text ||
        pen_integer_parse(colon + 1, 0, UINT16_MAX, ret_port, &ignored) < 0)
        return pen_fail(
            err, PEN_EINVAL,
            "'%.64s' is no address and port such as 127.0.0.1:7480, the port 0 to 65535", text);
    return 0;
}

/* A number of the key's type as text: the way it is written in a file. */
static void number_format(enum pen_config_type type, int64_t number,
                          char ret_text[PEN_DURATION_TEXT_SIZE])
{
    if (type == PEN_CONFIG_DURATION) {
        pen_duration_format(number, ret_text);
        return;
    }
    char text[PEN_SIZE_TEXT_SIZE];
    if (type == PEN_CONFIG_SIZE) {
        pen_size_format(number < 0 ? 0 : (uint64_t)number, text);
        (void)pen_str_copy(ret_text, PEN_DURATION_TEXT_SIZE, text);
        return;
    }
    struct pen_buf digits = {0};
    pen_buf_printf(&digits, "%" PRId64, number);
    (void)pen_str_copy(ret_text, PEN_DURATION_TEXT_SIZE, pen_buf_text(&digits));
    pen_buf_release(&digits);
}

static int measure_parse(const struct pen_config_key *key, const char *text, int64_t *ret_number,
                         struct pen_error *err)
{
    int64_t number = 0;
    uint64_t bytes = 0;
    int rc;
    if (key->type == PEN_CONFIG_DURATION) {
        rc = pen_duration_parse(text, &number, err);
    } else {
        rc = pen_size_parse(text, &bytes, err);
        number = bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;
    }
    if (rc < 0)
        return rc;
    if (number < key->minimum || number > key->maximum) {
        char low[PEN_DURATION_TEXT_SIZE];
        char high[PEN_DURATION_TEXT_SIZE];
        number_format(key->type, key->minimum, low);
        number_format(key->type, key->maximum, high);
        return pen_fail(err, PEN_ELIMIT, "%.64s is not between %s and %s", text, low, high);
    }
    *ret_number = number;
    return 0;
}

static int number_parse(const struct pen_config_key *key, const char *text, int64_t *ret_number,
                        struct pen_error *err)
{
    switch (key->type) {
    case PEN_CONFIG_TEXT:
        return text_check(key, text, ret_number, err);
    case PEN_CONFIG_ADDRESS:
        return address_check(text, ret_number, err);
    case PEN_CONFIG_FLAG:
        return flag_parse(text, ret_number, err);
    case PEN_CONFIG_INTEGER:
        return pen_integer_parse(text, key->minimum, key->maximum, ret_number, err);
    case PEN_CONFIG_DURATION:
    case PEN_CONFIG_SIZE:
        return measure_parse(key, text, ret_number, err);
    }
    UNREACHABLE("a configuration key without a type");
}

int pen_config_value_set(const struct pen_config_key *key, const char *text, const char *origin,
                         struct pen_config_value *ret_value, struct pen_error *err)
{
    struct pen_config_value value = {0};
    int rc = number_parse(key, text, &value.number, err);
    if (rc < 0) {
        pen_error_prefix(err, "%s", key->name);
        return rc;
    }
    if (!pen_str_set(&value.text, text) || !pen_str_set(&value.origin, origin)) {
        pen_config_value_release(&value);
        return pen_fail(err, PEN_ENOMEM, "no memory for the configuration");
    }
    pen_config_value_release(ret_value);
    *ret_value = value;
    return 0;
}

void pen_config_key_describe(const struct pen_config_key *key, struct pen_buf *ret_text)
{
    static const char *const types[] = {
        "", "text", "address and port", "true or false", "number", "duration", "size"};
    pen_buf_puts(ret_text, types[key->type]);
    if (key->type >= PEN_CONFIG_INTEGER) {
        char low[PEN_DURATION_TEXT_SIZE];
        char high[PEN_DURATION_TEXT_SIZE];
        number_format(key->type, key->minimum, low);
        number_format(key->type, key->maximum, high);
        pen_buf_printf(ret_text, ", %s to %s", low, high);
    }
    if (key->default_text[0] == 0)
        pen_buf_puts(ret_text, ", no default");
    else
        pen_buf_printf(ret_text, ", default %s", key->default_text);
}
