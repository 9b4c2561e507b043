#include "controller/sources/url.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"

enum { URL_SIZE_MAX = 1024, NAME_SIZE_MAX = 100 };

struct scheme {
    const char *prefix;
    enum pen_git_scheme scheme;
};

static const struct scheme schemes[] = {
    {"https://", PEN_GIT_HTTPS}, {"http://", PEN_GIT_HTTP},   {"ssh://", PEN_GIT_SSH},
    {"git://", PEN_GIT_GIT},     {"file:///", PEN_GIT_LOCAL},
};

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool made_of(const char *text, size_t size, const char *others)
{
    for (size_t i = 0; i < size; i++)
        if (!is_word(text[i]) && (text[i] == '\0' || !strchr(others, text[i])))
            return false;
    return size > 0;
}

bool pen_git_repository_name_valid(const char *name)
{
    size_t size = strlen(name);
    return size <= NAME_SIZE_MAX && made_of(name, size, "._-") && is_word(name[0]) &&
           !pen_str_ends_with(name, ".git");
}

bool pen_git_id_valid(const char *id)
{
    return strlen(id) == 40 && strspn(id, "0123456789abcdef") == 40;
}

/* Every part of a path: none empty, none going up, none that could be taken for an option. */
static int check_path(const char *what, const char *path, bool local, struct pen_error *err)
{
    for (const char *part = path;;) {
        size_t size = strcspn(part, "/");
        if (size == 0 || *part == '-' || (size <= 2 && strncmp(part, "..", size) == 0))
            return pen_fail(err, PEN_EINVAL,
                            "%s: no part of a path may be empty, '.', '..' or begin with '-'",
                            what);
        /* A local path may hold what a file name may; a remote one what needs no escaping. */
        if (!local && !made_of(part, size, "._~+@%-"))
            return pen_fail(err, PEN_EINVAL,
                            "%s: a path is made of letters, digits and any of . _ ~ + @ %% - /",
                            what);
        if (part[size] == '\0')
            return 0;
        part += size + 1;
    }
}

static int check_text(const char *what, const char *text, struct pen_error *err)
{
    if (!text || !*text)
        return pen_fail(err, PEN_EINVAL, "%s is missing", what);
    if (strlen(text) > URL_SIZE_MAX)
        return pen_fail(err, PEN_EINVAL, "%s is longer than %d bytes", what, URL_SIZE_MAX);
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return pen_fail(err, PEN_EINVAL, "%s holds a control character", what);
    return 0;
}

/* 127.0.0.0/8, ::1 and the name that stands for them. */
static bool is_loopback(const char *host)
{
    if (pen_str_equal(host, "localhost") || pen_str_equal(host, "[::1]"))
        return true;
    return pen_str_starts_with(host, "127.") && strspn(host, "0123456789.") == strlen(host);
}

/* Addresses that only serve this machine's own infrastructure: cloud metadata, neighbours. */
static bool is_link_local(const char *host)
{
    return pen_str_starts_with(host, "169.254.") || pen_str_starts_with(host, "[fe80:") ||
           pen_str_starts_with(host, "[::ffff:");
}

static int check_host(const char *host, struct pen_error *err)
{
    size_t size = strlen(host);
    bool literal = size > 2 && host[0] == '[' && host[size - 1] == ']';
    bool valid = literal ? strspn(host + 1, "0123456789abcdefABCDEF:.") == size - 2
                         : made_of(host, size, ".-") && is_word(host[0]);
    if (!valid)
        return pen_fail(err, PEN_EINVAL, "base URL: '%.100s' is no host name", host);
    if (is_link_local(host))
        return pen_fail(err, PEN_EINVAL, "base URL: link-local address %s is not fetched from",
                        host);
    return 0;
}

/* [user@]host[:port] */
static int take_authority(const char *authority, size_t size, struct pen_git_url *url,
                          struct pen_error *err)
{
    PEN_CLEANUP(pen_free) char *text = strndup(authority, size);
    if (!text)
        return pen_fail(err, PEN_ENOMEM, "no memory for a URL");
    char *host = text;
    char *at = strrchr(text, '@');
    if (at) {
        *at = '\0';
        host = at + 1;
        if (url->scheme != PEN_GIT_SSH || !made_of(text, strlen(text), "._-") || *text == '-')
            return pen_fail(err, PEN_EINVAL,
                            "base URL: no credentials in a URL; only ssh takes a user name, of "
                            "letters, digits and any of . _ -");
        url->has_user = true;
    }
    char *colon = strrchr(host, ':');
    if (colon && !strchr(colon, ']')) {
        *colon = '\0';
        size_t digits = strspn(colon + 1, "0123456789");
        if (digits == 0 || digits > 5 || colon[1 + digits] != '\0')
            return pen_fail(err, PEN_EINVAL, "base URL: '%.20s' is no port", colon + 1);
    }
    for (char *c = host; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    int rc = check_host(host, err);
    if (rc < 0)
        return rc;
    url->loopback = is_loopback(host);
    return pen_str_set(&url->host, host) ? 0 : pen_fail(err, PEN_ENOMEM, "no memory for a URL");
}

static int take_remote(const char *base, const struct scheme *scheme, struct pen_git_url *url,
                       struct pen_error *err)
{
    const char *authority = base + strlen(scheme->prefix);
    size_t size = strcspn(authority, "/");
    int rc = take_authority(authority, size, url, err);
    if (rc < 0)
        return rc;
    const char *path = authority + size;
    return *path ? check_path("base URL", path + 1, false, err) : 0;
}

static const struct scheme *scheme_of(const char *base)
{
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (pen_str_starts_with(base, schemes[i].prefix))
            return &schemes[i];
    return NULL;
}

/* base has no '/' at its end, and repository_id is checked. */
static int make(const char *base, const char *repository_id, struct pen_git_url *url,
                struct pen_error *err)
{
    const struct scheme *scheme = scheme_of(base);
    int rc = 0;
    const char *local = base;
    if (scheme && scheme->scheme == PEN_GIT_LOCAL)
        local = base + strlen(scheme->prefix) - 1;
    if (*local == '/') {
        url->scheme = PEN_GIT_LOCAL;
        rc = check_path("base URL", local + 1, true, err);
    } else if (scheme) {
        url->scheme = scheme->scheme;
        local = base;
        rc = take_remote(base, scheme, url, err);
    } else {
        return pen_fail(err, PEN_EINVAL,
                        "base URL '%.100s': only an absolute path and file, https, http, ssh and "
                        "git URLs are fetched from",
                        base);
    }
    if (rc < 0)
        return rc;
    url->text = pen_strdup_printf("%s/%s", local, repository_id);
    if (!url->text || (!url->host && !(url->host = strdup(""))))
        return pen_fail(err, PEN_ENOMEM, "no memory for a URL");
    return 0;
}

int pen_git_url_make(const char *base_url, const char *repository_id, struct pen_git_url *ret_url,
                     struct pen_error *err)
{
    int rc = check_text("base URL", base_url, err);
    if (rc < 0 || (rc = check_text("FullRepositoryId", repository_id, err)) < 0 ||
        (rc = check_path("FullRepositoryId", repository_id, false, err)) < 0)
        return rc;
    PEN_CLEANUP(pen_free) char *base = strdup(base_url);
    if (!base)
        return pen_fail(err, PEN_ENOMEM, "no memory for a URL");
    for (size_t size = strlen(base); size > 1 && base[size - 1] == '/'; size--)
        base[size - 1] = '\0';
    struct pen_git_url url = {0};
    rc = make(base, repository_id, &url, err);
    if (rc < 0) {
        pen_git_url_release(&url);
        return rc;
    }
    *ret_url = url;
    return 0;
}

void pen_git_url_release(struct pen_git_url *self)
{
    free(self->text);
    free(self->host);
    *self = (struct pen_git_url){0};
}
