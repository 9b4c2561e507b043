/* cli/settings.h - where the controller is and who we are
 *
 *     endpoint     --endpoint, PENSTOCK_ENDPOINT, AWS_ENDPOINT_URL_CODEPIPELINE,
 *                  AWS_ENDPOINT_URL, `endpoint` in the config file, `endpoint_url` of the profile,
 *                  http://127.0.0.1:7480
 *     credentials  --profile or PENSTOCK_CREDENTIALS: that profile or file; else AWS_ACCESS_KEY_ID
 *                  and AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN); else the shared credentials file
 *     file         PENSTOCK_CREDENTIALS, AWS_SHARED_CREDENTIALS_FILE, ~/.aws/credentials
 *     profile      --profile, AWS_PROFILE, `profile` in the config file, else `penstock` if the
 *                  file has it, else `default`
 *     region       --region, AWS_REGION, AWS_DEFAULT_REGION, the profile's, the config file's,
 *                  us-east-1
 *     config file  $XDG_CONFIG_HOME/penstock/config or ~/.config/penstock/config: lines of
 *                  `endpoint = URL`, `profile = NAME`, `region = NAME`, and nothing else
 */
#ifndef PEN_CLI_SETTINGS_H
#define PEN_CLI_SETTINGS_H

#include "common/base/error.h"

struct pen_settings {
    char *endpoint; /* without a slash at the end */
    char *endpoint_origin;
    char *region;
    char *access_key; /* NULL: none found */
    char *secret_key;
    char *session_token; /* NULL: none */
    char *credentials_origin;
    char *credentials_missing; /* without a key: what was looked for and not found */
};

/* Flags may be NULL. Finding no credentials is no error here; a file or profile that was asked for
 * and is missing is. Errors: PEN_ENOTFOUND, PEN_EINVAL, PEN_EDENIED, PEN_ENOMEM, PEN_EIO. */
int pen_settings_find(const char *endpoint_flag, const char *profile_flag, const char *region_flag,
                      struct pen_settings *ret_settings, struct pen_error *err);
void pen_settings_release(struct pen_settings *self);

#endif
