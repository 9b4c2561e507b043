#include "common/base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 4, 0))) static int
fill(struct pen_error *err, int code, const char *api_name, const char *format, va_list args)
{
    if (err != NULL) {
        err->code = code;
        err->api_name = api_name;
        (void)vsnprintf(err->message, sizeof err->message, format, args);
    }
    return code;
}

int pen_fail(struct pen_error *err, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(err, code, NULL, format, args);
    va_end(args);
    return code;
}

int pen_fail_api(struct pen_error *err, int code, const char *api_name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(err, code, api_name, format, args);
    va_end(args);
    return code;
}

static int code_of_errno(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
        return PEN_ENOSPACE;
    case ENOMEM:
        return PEN_ENOMEM;
    case ENOENT:
        return PEN_ENOTFOUND;
    case EACCES:
    case EPERM:
        return PEN_EDENIED;
    default:
        return PEN_EIO;
    }
}

int pen_fail_errno(struct pen_error *err, const char *format, ...)
{
    int number = errno;
    int code = code_of_errno(number);
    va_list args;
    va_start(args, format);
    fill(err, code, NULL, format, args);
    va_end(args);
    if (err != NULL) {
        size_t length = strlen(err->message);
        (void)snprintf(err->message + length, sizeof err->message - length, ": %s",
                       strerror(number));
    }
    return code;
}

int pen_error_prefix(struct pen_error *err, const char *format, ...)
{
    if (err == NULL)
        return PEN_EIO;
    char old[PEN_ERROR_MESSAGE_MAX];
    memcpy(old, err->message, sizeof old);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    size_t length = strlen(err->message);
    (void)snprintf(err->message + length, sizeof err->message - length, ": %s", old);
    return err->code;
}

const char *pen_code_name(int code)
{
    static const char *const names[] = {
        "ok",     "invalid", "not-found", "conflict",    "no-memory", "io",          "limit",
        "denied", "stale",   "timeout",   "unavailable", "corrupt",   "unsupported", "no-space",
    };
    int index = -code;
    if (index < 0 || index >= (int)(sizeof names / sizeof names[0]))
        return "unknown";
    return names[index];
}
