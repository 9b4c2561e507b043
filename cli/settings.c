#include "cli/settings.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ini.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"

/* What the search looks through. */
struct search {
    const char *endpoint_flag;
    const char *profile_flag;
    const char *region_flag;
    struct pen_ini *config; /* NULL: there is none */
    struct pen_ini *credentials;
    char *credentials_path;
    const char *profile;
};

/* A variable's value; one that is empty counts as not set. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return pen_str_empty(value) ? NULL : value;
}

void pen_settings_release(struct pen_settings *self)
{
    free(self->endpoint);
    free(self->endpoint_origin);
    free(self->region);
    free(self->access_key);
    if (self->secret_key != NULL)
        explicit_bzero(self->secret_key, strlen(self->secret_key));
    free(self->secret_key);
    free(self->session_token);
    free(self->credentials_origin);
    free(self->credentials_missing);
    *self = (struct pen_settings){0};
}

static void search_release(struct search *self)
{
    pen_ini_destroy(&self->config);
    pen_ini_destroy(&self->credentials);
    free(self->credentials_path);
}

static int no_memory(struct pen_error *err)
{
    return pen_fail(err, PEN_ENOMEM, "no memory for the settings");
}

static int config_find(struct search *search, struct pen_error *err)
{
    const char *base = variable("XDG_CONFIG_HOME");
    const char *home = variable("HOME");
    if (base == NULL && home == NULL)
        return 0;
    PEN_CLEANUP(pen_free)
    char *path = base != NULL ? pen_strdup_printf("%s/penstock/config", base)
                              : pen_strdup_printf("%s/.config/penstock/config", home);
    if (path == NULL)
        return no_memory(err);
    int rc = pen_ini_load(path, &search->config, err);
    if (rc < 0)
        return rc == PEN_ENOTFOUND ? 0 : rc;
    static const char *const keys[] = {"endpoint", "profile", "region", NULL};
    const char *unknown = pen_ini_unknown(search->config, keys);
    return unknown == NULL ? 0
                           : pen_fail(err, PEN_EINVAL,
                                      "%s: there is no '%.64s'; endpoint, profile and region are "
                                      "set there",
                                      path, unknown);
}

static const char *configured(const struct search *search, const char *key)
{
    return search->config == NULL ? NULL : pen_ini_get(search->config, "", key);
}

static const char *in_profile(const struct search *search, const char *key)
{
    return search->credentials == NULL || search->profile == NULL
               ? NULL
               : pen_ini_get(search->credentials, search->profile, key);
}

/* Load the credentials file, if there is one, and choose the profile. */
static int credentials_find(struct search *search, struct pen_error *err)
{
    const char *named = variable("PENSTOCK_CREDENTIALS");
    if (named == NULL)
        named = variable("AWS_SHARED_CREDENTIALS_FILE");
    const char *home = variable("HOME");
    if (named == NULL && home == NULL)
        return 0;
    search->credentials_path =
        named != NULL ? strdup(named) : pen_strdup_printf("%s/.aws/credentials", home);
    if (search->credentials_path == NULL)
        return no_memory(err);
    int rc = pen_ini_load(search->credentials_path, &search->credentials, err);
    bool asked = search->profile_flag != NULL || variable("PENSTOCK_CREDENTIALS") != NULL;
    if (rc == PEN_ENOTFOUND && !asked)
        return 0;
    if (rc < 0)
        return rc;
    const char *profile = search->profile_flag;
    if (profile == NULL)
        profile = variable("AWS_PROFILE");
    if (profile == NULL)
        profile = configured(search, "profile");
    bool chosen = profile != NULL;
    if (!chosen)
        profile = pen_ini_has_section(search->credentials, "penstock") ? "penstock" : "default";
    if (search->profile_flag != NULL && !pen_ini_has_section(search->credentials, profile))
        return pen_fail(err, PEN_ENOTFOUND, "no profile '%.64s' in '%s'", profile,
                        search->credentials_path);
    search->profile = profile;
    return 0;
}

static int from_variables(struct pen_settings *ret, struct pen_error *err)
{
    const char *token = variable("AWS_SESSION_TOKEN");
    if (!pen_str_set(&ret->access_key, variable("AWS_ACCESS_KEY_ID")) ||
        !pen_str_set(&ret->secret_key, variable("AWS_SECRET_ACCESS_KEY")) ||
        !pen_str_set(&ret->session_token, token) ||
        !pen_str_set(&ret->credentials_origin, "AWS_ACCESS_KEY_ID"))
        return no_memory(err);
    return 0;
}

static int credentials_take(const struct search *search, struct pen_settings *ret,
                            struct pen_error *err)
{
    bool asked = search->profile_flag != NULL || variable("PENSTOCK_CREDENTIALS") != NULL;
    if (!asked && variable("AWS_ACCESS_KEY_ID") != NULL &&
        variable("AWS_SECRET_ACCESS_KEY") != NULL)
        return from_variables(ret, err);
    const char *access_key = in_profile(search, "aws_access_key_id");
    const char *secret_key = in_profile(search, "aws_secret_access_key");
    if (access_key == NULL || secret_key == NULL) {
        if (asked)
            return pen_fail(err, PEN_ENOTFOUND,
                            "profile '%.64s' in '%s' has no aws_access_key_id and "
                            "aws_secret_access_key",
                            search->profile, search->credentials_path);
        ret->credentials_missing =
            search->credentials == NULL
                ? pen_strdup_printf("there is no file '%s'", search->credentials_path == NULL
                                                                 ? "~/.aws/credentials"
                                                                 : search->credentials_path)
                : pen_strdup_printf("profile '%s' in '%s' has no access key", search->profile,
                                    search->credentials_path);
        return ret->credentials_missing == NULL ? no_memory(err) : 0;
    }
    if (!pen_str_set(&ret->access_key, access_key) || !pen_str_set(&ret->secret_key, secret_key) ||
        !pen_str_set(&ret->session_token, in_profile(search, "aws_session_token")))
        return no_memory(err);
    ret->credentials_origin =
        pen_strdup_printf("profile '%s' in %s", search->profile, search->credentials_path);
    return ret->credentials_origin == NULL ? no_memory(err) : 0;
}

struct candidate {
    const char *value;
    const char *origin;
};

/* The first one that has a value. The last always has one. */
static struct candidate first_of(const struct candidate *candidates)
{
    while (candidates->value == NULL)
        candidates++;
    return *candidates;
}

static int endpoint_take(const struct search *search, struct pen_settings *ret,
                         struct pen_error *err)
{
    const struct candidate endpoint = first_of((const struct candidate[]){
        {search->endpoint_flag, "--endpoint"},
        {variable("PENSTOCK_ENDPOINT"), "PENSTOCK_ENDPOINT"},
        {variable("AWS_ENDPOINT_URL_CODEPIPELINE"), "AWS_ENDPOINT_URL_CODEPIPELINE"},
        {variable("AWS_ENDPOINT_URL"), "AWS_ENDPOINT_URL"},
        {configured(search, "endpoint"), "config file"},
        {in_profile(search, "endpoint_url"), "profile"},
        {"http://127.0.0.1:7480", "default"},
    });
    const char *url = endpoint.value;
    if (!pen_str_starts_with(url, "http://") && !pen_str_starts_with(url, "https://"))
        return pen_fail(err, PEN_EINVAL,
                        "endpoint '%.128s' (from %s) does not begin with http:// or https://", url,
                        endpoint.origin);
    if (strchr(url, '@') != NULL || strpbrk(url, "?#") != NULL)
        return pen_fail(err, PEN_EINVAL, "the endpoint (from %s) may have no user, query or '#'",
                        endpoint.origin);
    if (!pen_str_set(&ret->endpoint, url) || !pen_str_set(&ret->endpoint_origin, endpoint.origin))
        return no_memory(err);
    size_t length = strlen(ret->endpoint);
    while (length > 0 && ret->endpoint[length - 1] == '/')
        ret->endpoint[--length] = 0;
    return 0;
}

static int region_take(const struct search *search, struct pen_settings *ret, struct pen_error *err)
{
    const struct candidate region = first_of((const struct candidate[]){
        {search->region_flag, "--region"},
        {variable("AWS_REGION"), "AWS_REGION"},
        {variable("AWS_DEFAULT_REGION"), "AWS_DEFAULT_REGION"},
        {in_profile(search, "region"), "profile"},
        {configured(search, "region"), "config file"},
        {"us-east-1", "default"},
    });
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    if (region.value[0] == 0 || strspn(region.value, allowed) != strlen(region.value))
        return pen_fail(err, PEN_EINVAL, "'%.64s' (from %s) is not the name of a region",
                        region.value, region.origin);
    return pen_str_set(&ret->region, region.value) ? 0 : no_memory(err);
}

int pen_settings_find(const char *endpoint_flag, const char *profile_flag, const char *region_flag,
                      struct pen_settings *ret_settings, struct pen_error *err)
{
    PEN_CLEANUP(search_release)
    struct search search = {
        .endpoint_flag = endpoint_flag, .profile_flag = profile_flag, .region_flag = region_flag};
    PEN_CLEANUP(pen_settings_release) struct pen_settings found = {0};
    int rc;
    if ((rc = config_find(&search, err)) < 0 || (rc = credentials_find(&search, err)) < 0 ||
        (rc = credentials_take(&search, &found, err)) < 0 ||
        (rc = endpoint_take(&search, &found, err)) < 0 ||
        (rc = region_take(&search, &found, err)) < 0)
        return rc;
    *ret_settings = found;
    found = (struct pen_settings){0};
    return 0;
}
