/* controller/auth/authorize.h - may this principal do this: the one choke point, default deny
 *
 * Until there are policies, every user of the controller's own account has every permission that
 * a table row names; a row without a permission can be used by nobody.
 */
#ifndef PEN_CONTROLLER_AUTH_AUTHORIZE_H
#define PEN_CONTROLLER_AUTH_AUTHORIZE_H

#include "common/base/error.h"
#include "controller/auth/sigv4.h"

/* permission: "codepipeline:CreatePipeline". Errors: PEN_EDENIED with AccessDeniedException. */
int pen_authorize(const struct pen_principal *principal, const char *account,
                  const char *permission, struct pen_error *err);

#endif
