/* common/base/error.h - the one error shape
 *
 * A function that can fail returns 0 or a negative enum pen_code and fills the caller's struct
 * pen_error, if one was given. The message is one sentence for a person: it names the thing and
 * the reason, and says what to do when that is not plain.
 *
 *     return pen_fail(err, PEN_ENOTFOUND, "no pipeline '%s'", name);
 *
 * Errors that an API client will see also carry the API's own error name:
 *
 *     return pen_fail_api(err, PEN_EINVAL, "InvalidStructureException", "...");
 */
#ifndef PEN_COMMON_BASE_ERROR_H
#define PEN_COMMON_BASE_ERROR_H

#include <stdarg.h>

enum pen_code {
    PEN_OK = 0,
    PEN_EINVAL = -1,        /* the input breaks a rule */
    PEN_ENOTFOUND = -2,     /* the named thing does not exist */
    PEN_ECONFLICT = -3,     /* not in this state, or a second claim on the same thing */
    PEN_ENOMEM = -4,        /* no memory */
    PEN_EIO = -5,           /* a system call failed */
    PEN_ELIMIT = -6,        /* more than a limit allows */
    PEN_EDENIED = -7,       /* not allowed */
    PEN_ESTALE = -8,        /* superseded: a newer fence, session or version exists */
    PEN_ETIMEOUT = -9,      /* took longer than allowed */
    PEN_EUNAVAILABLE = -10, /* not now; try again */
    PEN_ECORRUPT = -11,     /* stored bytes are not what was written */
    PEN_EUNSUPPORTED = -12, /* known, but not something we do */
    PEN_ENOSPACE = -13,     /* the disk is full */
};

enum { PEN_ERROR_MESSAGE_MAX = 512 };

struct pen_error {
    int code;             /* enum pen_code */
    const char *api_name; /* a string literal, or NULL */
    char message[PEN_ERROR_MESSAGE_MAX];
};

/* Fill err (may be NULL) and return code. A message that is too long is cut. */
int pen_fail(struct pen_error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As pen_fail; api_name must be a string literal. */
int pen_fail_api(struct pen_error *err, int code, const char *api_name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Fill err from errno: PEN_ENOSPACE for a full disk or quota, PEN_ENOMEM for no memory,
 * PEN_ENOTFOUND for a missing file, PEN_EDENIED for missing rights, else PEN_EIO. The text of errno
 * is added to the message. Returns the code. */
int pen_fail_errno(struct pen_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Put "context: " before the message of err, if there is room. Returns err's code. */
int pen_error_prefix(struct pen_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Short name of a code, for logs: "not-found". */
const char *pen_code_name(int code);

#endif
