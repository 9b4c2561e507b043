#include "controller/auth/authorize.h"

#include <stdio.h>
#include <string.h>

int pen_authorize(const struct pen_principal *principal, const char *account,
                  const char *permission, struct pen_error *err)
{
    char prefix[64];
    int size = snprintf(prefix, sizeof prefix, "arn:aws:iam::%s:user/", account);
    bool own = size > 0 && (size_t)size < sizeof prefix &&
               strncmp(principal->arn, prefix, (size_t)size) == 0;
    if (own && permission != NULL)
        return 0;
    return pen_fail_api(err, PEN_EDENIED, "AccessDeniedException",
                        "User: %s is not authorized to perform: %s", principal->arn,
                        permission == NULL ? "this operation" : permission);
}
