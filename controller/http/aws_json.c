#include "controller/http/aws_json.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"

enum { BAD_REQUEST = 400, TIME_DIGITS = 13 }; /* ten of seconds, three of milliseconds */

static const struct {
    const char *name;
    unsigned status;
} statuses[] = {
    {"ConflictException", 409},
    {"RequestEntityTooLargeException", 413},
    {"InternalFailure", 500},
    {"ServiceUnavailableException", 503},
    {"NotFoundException", 404},
    {"MethodNotAllowedException", 405},
    {"InsufficientStorageException", 507},
};

unsigned pen_aws_json_status(const char *error_name)
{
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        if (strcmp(statuses[i].name, error_name) == 0)
            return statuses[i].status;
    }
    return BAD_REQUEST;
}

bool pen_aws_json_is_internal(const char *error_name)
{
    return strcmp(error_name, "InternalFailure") == 0;
}

const char *pen_aws_json_error_name(const struct pen_error *err)
{
    if (err->api_name != NULL)
        return err->api_name;
    switch (err->code) {
    case PEN_EINVAL:
    case PEN_EUNSUPPORTED:
        return "ValidationException";
    case PEN_ENOTFOUND:
        return "ResourceNotFoundException";
    case PEN_ECONFLICT:
    case PEN_ESTALE:
        return "ConflictException";
    case PEN_ELIMIT:
        return "LimitExceededException";
    case PEN_EDENIED:
        return "AccessDeniedException";
    case PEN_ETIMEOUT:
    case PEN_EUNAVAILABLE:
        return "ServiceUnavailableException";
    default:
        return "InternalFailure";
    }
}

int pen_aws_json_output(const json_t *output, struct pen_buf *ret_text, struct pen_error *err)
{
    if (output == NULL) {
        pen_buf_puts(ret_text, "{}");
        return pen_buf_ok(ret_text, err);
    }
    char *text = json_dumps(output, JSON_COMPACT | JSON_REAL_PRECISION(TIME_DIGITS));
    if (text == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for an answer");
    pen_buf_puts(ret_text, text);
    free(text);
    return pen_buf_ok(ret_text, err);
}

static void put_quoted(struct pen_buf *out, const char *text)
{
    pen_buf_putc(out, '"');
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            pen_buf_printf(out, "\\%c", byte);
        else if (byte < ' ')
            pen_buf_printf(out, "\\u%04x", byte);
        else
            pen_buf_putc(out, (char)byte);
    }
    pen_buf_putc(out, '"');
}

void pen_aws_json_error(const char *error_name, const char *message, struct pen_buf *ret_text)
{
    /* A message that was cut may end inside a character: then the whole is kept to ASCII. */
    char plain[PEN_ERROR_MESSAGE_MAX];
    (void)pen_str_copy(plain, sizeof plain, message);
    if (!pen_utf8_valid(plain, strlen(plain))) {
        for (char *at = plain; *at != '\0'; at++)
            *at = (unsigned char)*at < 0x80 ? *at : '?';
    }
    pen_buf_puts(ret_text, "{\"__type\":");
    put_quoted(ret_text, error_name);
    pen_buf_puts(ret_text, ",\"message\":");
    put_quoted(ret_text, plain);
    pen_buf_putc(ret_text, '}');
}
