#include "controller/sources/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/file.h"
#include "common/io/random.h"
#include "common/keys/digest.h"

enum {
    REASON_SIZE_MAX = 300,
    LINE_SIZE_MAX = 4096,             /* of a line about a ref: names have at most 1,024 bytes */
    TOLD_SIZE_MAX = 64 * 1024 * 1024, /* a million refs; what has more is no source */
};

#define LOW_SPEED_LIMIT "1000" /* bytes a second, */
#define LOW_SPEED_TIME  "60"   /* for so many seconds: then git gives up by itself */

static const char *protocol_of(enum pen_git_scheme scheme)
{
    switch (scheme) {
    case PEN_GIT_LOCAL:
        return "file";
    case PEN_GIT_HTTPS:
        return "https";
    case PEN_GIT_HTTP:
        return "http";
    case PEN_GIT_SSH:
        return "ssh";
    case PEN_GIT_GIT:
        return "git";
    }
    return "none";
}

static void fill_common(struct pen_git_environment *self, const struct pen_fetch_order *order)
{
    pen_git_environment_fill(self, order->mirrors);
    pen_git_environment_set(self, "GIT_ALLOW_PROTOCOL", protocol_of(order->url->scheme));
    pen_git_environment_configure(self, "protocol.version", "2");
    pen_git_environment_configure(self, "http.followRedirects", "false");
    pen_git_environment_configure(self, "http.lowSpeedLimit", LOW_SPEED_LIMIT);
    pen_git_environment_configure(self, "http.lowSpeedTime", LOW_SPEED_TIME);
    pen_git_environment_configure(self, "advice.fetchShowForcedUpdates", "false");
    pen_git_environment_configure(self, "fetch.output", "full");
    /* one pack a fetch, not thousands of files: upkeep.c merges them */
    pen_git_environment_configure(self, "fetch.unpackLimit", "1");
    pen_git_environment_configure(self, "fetch.recurseSubmodules", "false");
}

/* The header goes to this URL and what is below it, only. */
static int fill_http(struct pen_git_environment *self, const struct pen_fetch_order *order,
                     struct pen_error *err)
{
    if (!order->secret)
        return 0;
    if (order->url->scheme == PEN_GIT_HTTP && !order->url->loopback)
        return pen_fail(err, PEN_EDENIED,
                        "credentials are not sent over http: make the connection's URL https");
    PEN_CLEANUP(pen_buf_release) struct pen_buf pair = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf header = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf key = {0};
    pen_buf_printf(&pair, "%s:%s", order->username ? order->username : "x-access-token",
                   order->secret);
    pen_buf_puts(&header, "Authorization: Basic ");
    pen_base64_encode(pair.data, pair.size, &header);
    pen_buf_printf(&key, "http.%s.extraHeader", order->url->text);
    pen_git_environment_configure(self, pen_buf_text(&key), pen_buf_text(&header));
    self->failed = self->failed || pair.failed || header.failed || key.failed;
    explicit_bzero(pair.data, pair.size);
    explicit_bzero(header.data, header.size);
    return 0;
}

/* Write the key into a file of its own; the fetch owns it from now on. */
static int keep_key(const struct pen_fetch_order *order, struct pen_fetch *fetch,
                    const char **ret_name, struct pen_error *err)
{
    char uuid[37];
    int rc = pen_random_uuid(uuid, err);
    if (rc < 0)
        return rc;
    PEN_CLEANUP(pen_buf_release) struct pen_buf folder = {0};
    pen_buf_printf(&folder, "%s/.keys", order->mirrors);
    fetch->key_path = pen_strdup_printf("%s/%s", pen_buf_text(&folder), uuid);
    if (!fetch->key_path || folder.failed)
        return pen_fail(err, PEN_ENOMEM, "no memory for an ssh key");
    rc = pen_dir_make(pen_buf_text(&folder), 0700, err);
    if (rc < 0)
        return rc;
    size_t size = strlen(order->secret);
    bool whole = order->secret[size - 1] == '\n';
    PEN_CLEANUP(pen_free) char *key = pen_strdup_printf("%s%s", order->secret, whole ? "" : "\n");
    if (!key)
        return pen_fail(err, PEN_ENOMEM, "no memory for an ssh key");
    rc = pen_file_replace_unsynced(fetch->key_path, key, strlen(key), 0600, err);
    explicit_bzero(key, strlen(key));
    *ret_name = strrchr(fetch->key_path, '/') + 1;
    return rc;
}

static int fill_ssh(struct pen_git_environment *self, const struct pen_fetch_order *order,
                    struct pen_fetch *fetch, struct pen_error *err)
{
    const char *user = order->username;
    if (user &&
        (*user == '-' || !*user ||
         strspn(user, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
             strlen(user)))
        return pen_fail(err, PEN_EINVAL, "'%.100s' is no user name for ssh", user);
    if (order->secret && !pen_str_starts_with(order->secret, "-----BEGIN "))
        return pen_fail(err, PEN_EUNSUPPORTED,
                        "a password for ssh: give the connection a private key in PEM or OpenSSH "
                        "form");
    const char *key = NULL;
    int rc = order->secret ? keep_key(order, fetch, &key, err) : 0;
    if (rc < 0)
        return rc;
    /* All paths are relative to the folder of mirrors, where the child runs: nothing to quote. */
    PEN_CLEANUP(pen_buf_release) struct pen_buf command = {0};
    pen_buf_puts(&command,
                 "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes "
                 "-o UserKnownHostsFile=../known_hosts -o GlobalKnownHostsFile=/dev/null "
                 "-o IdentityAgent=none -o IdentitiesOnly=yes -o ClearAllForwardings=yes "
                 "-o ConnectTimeout=20 -o ServerAliveInterval=15 -o ServerAliveCountMax=4");
    if (key)
        pen_buf_printf(&command, " -i .keys/%s", key);
    if (user && !order->url->has_user)
        pen_buf_printf(&command, " -l %s", user);
    pen_git_environment_set(self, "GIT_SSH_COMMAND", pen_buf_text(&command));
    pen_git_environment_set(self, "GIT_SSH_VARIANT", "ssh");
    self->failed = self->failed || command.failed;
    return 0;
}

static int fill(struct pen_git_environment *self, const struct pen_fetch_order *order,
                struct pen_fetch *fetch, struct pen_error *err)
{
    fill_common(self, order);
    int rc = 0;
    switch (order->url->scheme) {
    case PEN_GIT_HTTP:
    case PEN_GIT_HTTPS:
        rc = fill_http(self, order, err);
        break;
    case PEN_GIT_SSH:
        rc = fill_ssh(self, order, fetch, err);
        break;
    case PEN_GIT_GIT:
        if (order->secret)
            rc = pen_fail(err, PEN_EDENIED, "git:// carries no credentials: use https or ssh");
        break;
    case PEN_GIT_LOCAL:
        break;
    }
    return rc;
}

static int spawn(const struct pen_fetch_order *order, struct pen_git_environment *environment,
                 struct pen_fetch *fetch, struct pen_error *err)
{
    static const char *const options[] = {
        "fetch",
        "--no-progress",
        "--verbose", /* every ref is reported, also one that has not changed */
        "--prune",
        "--force",
        "--no-recurse-submodules",
        "--no-auto-maintenance",
        "--no-write-fetch-head",
        "--no-show-forced-updates",
        "--update-shallow",
    };
    enum { OPTIONS = sizeof options / sizeof options[0], OTHERS = 8 };
    PEN_CLEANUP(pen_free) char *git_dir = pen_strdup_printf("--git-dir=%s", order->name);
    if (!git_dir)
        return pen_fail(err, PEN_ENOMEM, "no memory to start git");
    const char *argv[OPTIONS + OTHERS + PEN_FETCH_REFSPECS_MAX] = {"git", git_dir};
    size_t count = 2;
    for (size_t i = 0; i < OPTIONS; i++)
        argv[count++] = options[i];
    if (order->shallow)
        argv[count++] = "--unshallow";
    argv[count++] = "--end-of-options";
    argv[count++] = order->url->text;
    argv[count++] = "+refs/heads/*:refs/heads/*";
    argv[count++] = "+refs/tags/*:refs/tags/*";
    CHECK(order->refspecs_count <= PEN_FETCH_REFSPECS_MAX);
    for (size_t i = 0; i < order->refspecs_count; i++)
        argv[count++] = order->refspecs[i];
    return pen_git_child_spawn(argv, environment, order->mirrors, &fetch->child, err);
}

int pen_fetch_start(const struct pen_fetch_order *order, struct pen_fetch *ret_fetch,
                    struct pen_error *err)
{
    PEN_CLEANUP(pen_git_environment_release) struct pen_git_environment environment = {0};
    struct pen_fetch fetch = PEN_FETCH_NONE;
    int rc = fill(&environment, order, &fetch, err);
    if (rc == 0)
        rc = spawn(order, &environment, &fetch, err);
    if (rc < 0) {
        pen_fetch_release(&fetch);
        return rc;
    }
    *ret_fetch = fetch;
    return 0;
}

/* ---- what it says */

/* A line about a ref: " * [new tag]         v1         -> v1", with a reason in parentheses if it
 * was rejected. NULL: the line is about something else. */
static const char *ref_of_line(const char *line, size_t *ret_size)
{
    static const char flags[] = " +-t*!=";
    const char *arrow = strstr(line, " -> ");
    if (line[0] != ' ' || line[1] == '\0' || !strchr(flags, line[1]) || line[2] != ' ' || !arrow)
        return NULL;
    *ret_size = strcspn(arrow + 4, " ");
    return arrow + 4;
}

static void take_line(struct pen_fetch *self)
{
    const char *line = pen_buf_text(&self->line);
    size_t size = 0;
    const char *name = ref_of_line(line, &size);
    bool passed = name ? line[1] == '!' : pen_str_starts_with(line, "warning: rejected ");
    if (passed && self->passed.size == 0)
        pen_buf_puts(&self->passed, line);
    if (name && line[1] != '!' && line[1] != '-' && self->told.size < TOLD_SIZE_MAX) {
        pen_buf_append(&self->told, name, size);
        pen_buf_putc(&self->told, '\0');
    }
    if ((!name || passed) && !pen_str_starts_with(line, "From ")) {
        pen_git_child_keep(&self->child, line, strlen(line));
        pen_git_child_keep(&self->child, "\n", 1);
    }
    pen_buf_clear(&self->line);
}

static void take_bytes(void *context, const char *bytes, size_t size)
{
    struct pen_fetch *self = context;
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '\n')
            take_line(self);
        else if (bytes[i] != '\0' && self->line.size < LINE_SIZE_MAX)
            pen_buf_putc(&self->line, bytes[i]);
    }
}

void pen_fetch_listen(struct pen_fetch *self)
{
    pen_git_child_listen(&self->child, take_bytes, self);
}

static void forget_key(struct pen_fetch *self)
{
    if (self->key_path)
        (void)unlink(self->key_path);
    free(self->key_path);
    self->key_path = NULL;
}

int pen_fetch_finish(struct pen_fetch *self, int *ret_status, struct pen_error *err)
{
    pen_fetch_listen(self);
    if (self->line.size > 0)
        take_line(self);
    int rc = pen_git_child_finish(&self->child, ret_status, err);
    forget_key(self);
    return rc;
}

void pen_fetch_release(struct pen_fetch *self)
{
    pen_git_child_release(&self->child);
    pen_buf_release(&self->line);
    pen_buf_release(&self->told);
    pen_buf_release(&self->passed);
    forget_key(self);
}

/* git's own last words tell nothing when ssh or the other side has spoken before. */
static bool is_idle(const char *line)
{
    return pen_str_starts_with(line, "fatal: Could not read from remote repository");
}

/* How much a line tells: the first of those that tell most is shown. */
static unsigned weight(const char *line)
{
    if (*line == '\n')
        return 0;
    if (pen_str_starts_with(line, "fatal:") && !is_idle(line))
        return 4;
    if (pen_str_starts_with(line, "error:"))
        return 3;
    return pen_str_starts_with(line, "warning:") ? 1 : 2;
}

static void best_line(const char *words, struct pen_buf *ret_line)
{
    const char *best = "";
    unsigned best_weight = 0;
    for (const char *line = words; *line;) {
        if (weight(line) > best_weight) {
            best = line;
            best_weight = weight(line);
        }
        size_t size = strcspn(line, "\n");
        line += size + (line[size] == '\n');
    }
    size_t best_size = strcspn(best, "\n");
    best_size = best_size < REASON_SIZE_MAX ? best_size : REASON_SIZE_MAX;
    for (size_t i = 0; i < best_size; i++) {
        unsigned char c = (unsigned char)best[i];
        if (c == '\r' && i + 1 == best_size)
            break; /* ssh ends its lines for a terminal */
        pen_buf_putc(ret_line, c < 0x20 || c >= 0x7f ? '?' : (char)c);
    }
}

const char *pen_fetch_judge(const struct pen_fetch *self, struct pen_buf *ret_reason)
{
    static const struct {
        const char *words;
        const char *type;
    } table[] = {
        {"Host key verification failed", "PermissionError"},
        {"Authentication failed", "PermissionError"},
        {"could not read Username", "PermissionError"},
        {"could not read Password", "PermissionError"},
        {"Permission denied", "PermissionError"},
        {"dubious ownership", "PermissionError"},
        {"error: 401", "PermissionError"},
        {"error: 403", "PermissionError"},
        {"unable to update url base from redirection", "ConfigurationError"},
        {"error: 3", "ConfigurationError"},
        {"does not appear to be a git repository", "ConfigurationError"},
        {"not found", "ConfigurationError"},
        {"Could not resolve host", "SystemUnavailable"},
        {"does not exist", "ConfigurationError"},
        {"access denied or repository not exported", "ConfigurationError"},
    };
    const char *words = pen_buf_text(&self->child.words);
    best_line(words, ret_reason);
    if (ret_reason->size == 0)
        pen_buf_puts(ret_reason, "git ended without a reason");
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (!strstr(words, table[i].words))
            continue;
        if (i == 0)
            pen_buf_puts(ret_reason, " Add the host's key to known_hosts in the data folder.");
        return table[i].type;
    }
    return "SystemUnavailable";
}

bool pen_fetch_blames_mirror(const struct pen_fetch *self)
{
    static const char *const table[] = {
        "bad object",       "corrupt",      "inflate",       "unable to read",
        "is empty",         "bad config",   "packed-refs",   "not a git repository",
        "shallow",          "index file",   "reverse-index", "unable to resolve reference",
        "reference broken", "invalid sha1", "missing",       "did not send all necessary objects",
        "unresolved delta", "packfile",     "bad tree",      "could not parse",
    };
    /* The other side about itself: over a network its lines begin with "remote:". */
    if (strstr(pen_buf_text(&self->child.words), "corruption on the remote side"))
        return false;
    for (const char *line = pen_buf_text(&self->child.words); *line;) {
        size_t size = strcspn(line, "\n");
        PEN_CLEANUP(pen_free) char *copy = strndup(line, size);
        line += size + (line[size] == '\n');
        for (size_t i = 0; copy && i < sizeof table / sizeof table[0]; i++)
            if (!pen_str_starts_with(copy, "remote:") && strstr(copy, table[i]))
                return true;
    }
    return false;
}
