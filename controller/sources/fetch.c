#include "controller/sources/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/file.h"
#include "common/io/proc.h"
#include "common/io/random.h"
#include "common/keys/digest.h"

enum {
    WORDS_SIZE_MAX = 16 * 1024,
    REASON_SIZE_MAX = 300,
    ENVIRONMENT_MAX = 64,
};

#define LOW_SPEED_LIMIT "1000" /* bytes a second, */
#define LOW_SPEED_TIME  "60"   /* for so many seconds: then git gives up by itself */

/* A growing environment whose strings it owns. */
struct environment {
    char *entries[ENVIRONMENT_MAX];
    size_t count;
    unsigned configuration; /* GIT_CONFIG_COUNT */
    bool failed;
};

static void environment_release(struct environment *self)
{
    for (size_t i = 0; i < self->count; i++) {
        explicit_bzero(self->entries[i], strlen(self->entries[i]));
        free(self->entries[i]);
    }
    self->count = 0;
}

static void set(struct environment *self, const char *name, const char *value)
{
    char *entry =
        self->count + 1 < ENVIRONMENT_MAX ? pen_strdup_printf("%s=%s", name, value) : NULL;
    self->failed = self->failed || !entry;
    if (entry)
        self->entries[self->count++] = entry;
}

/* Configuration that outranks every file. */
static void configure(struct environment *self, const char *key, const char *value)
{
    char name[32];
    (void)snprintf(name, sizeof name, "GIT_CONFIG_KEY_%u", self->configuration);
    set(self, name, key);
    (void)snprintf(name, sizeof name, "GIT_CONFIG_VALUE_%u", self->configuration);
    set(self, name, value);
    self->configuration++;
}

/* What the machine's administrator may have set for all programs. */
static void inherit(struct environment *self)
{
    static const char *const names[] = {
        "PATH",     "https_proxy",   "http_proxy",   "HTTPS_PROXY",    "HTTP_PROXY", "no_proxy",
        "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "TZ"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value)
            set(self, names[i], value);
    }
    if (!getenv("PATH"))
        set(self, "PATH", "/usr/local/bin:/usr/bin:/bin");
}

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

static void fill_common(struct environment *self, const struct pen_fetch_order *order)
{
    inherit(self);
    char *home = pen_strdup_printf("%s/.home", order->mirrors);
    set(self, "HOME", home ? home : "/nonexistent");
    free(home);
    set(self, "LC_ALL", "C");
    set(self, "GIT_CONFIG_NOSYSTEM", "1");
    set(self, "GIT_CONFIG_GLOBAL", "/dev/null");
    set(self, "GIT_TERMINAL_PROMPT", "0");
    set(self, "GIT_ALLOW_PROTOCOL", protocol_of(order->url->scheme));
    set(self, "GIT_PROTOCOL_FROM_USER", "0");
    configure(self, "protocol.version", "2");
    configure(self, "http.followRedirects", "false");
    configure(self, "http.lowSpeedLimit", LOW_SPEED_LIMIT);
    configure(self, "http.lowSpeedTime", LOW_SPEED_TIME);
    configure(self, "credential.helper", "");
    configure(self, "core.hooksPath", "/dev/null");
    configure(self, "core.fsmonitor", "false");
    configure(self, "core.askPass", "");
    configure(self, "gc.auto", "0");
    configure(self, "maintenance.auto", "false");
    configure(self, "fetch.unpackLimit", "1"); /* one pack a fetch, not thousands of files */
    configure(self, "fetch.recurseSubmodules", "false");
}

/* The header goes to this URL and what is below it, only. */
static int fill_http(struct environment *self, const struct pen_fetch_order *order,
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
    configure(self, pen_buf_text(&key), pen_buf_text(&header));
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

static int fill_ssh(struct environment *self, const struct pen_fetch_order *order,
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
    set(self, "GIT_SSH_COMMAND", pen_buf_text(&command));
    set(self, "GIT_SSH_VARIANT", "ssh");
    self->failed = self->failed || command.failed;
    return 0;
}

static int fill(struct environment *self, const struct pen_fetch_order *order,
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
    char count[16];
    (void)snprintf(count, sizeof count, "%u", self->configuration);
    set(self, "GIT_CONFIG_COUNT", count);
    if (rc == 0 && self->failed)
        rc = pen_fail(err, PEN_ENOMEM, "no memory for the environment of git");
    return rc;
}

static int spawn(const struct pen_fetch_order *order, const struct environment *environment,
                 struct pen_fetch *fetch, struct pen_error *err)
{
    PEN_CLEANUP(pen_free) char *git_dir = pen_strdup_printf("--git-dir=%s", order->name);
    if (!git_dir)
        return pen_fail(err, PEN_ENOMEM, "no memory to start git");
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return pen_fail_errno(err, "no pipe for git");
    fetch->words_fd = fds[0];
    PEN_CLEANUP(pen_fd_close) int write_fd = fds[1];
    if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
        return pen_fail_errno(err, "no pipe for git");
    const char *argv[PEN_FETCH_REFSPECS_MAX + 16] = {"git",
                                                     git_dir,
                                                     "fetch",
                                                     "--quiet",
                                                     "--prune",
                                                     "--force",
                                                     "--no-recurse-submodules",
                                                     "--no-auto-maintenance",
                                                     "--no-write-fetch-head",
                                                     "--no-show-forced-updates",
                                                     "--end-of-options",
                                                     order->url->text,
                                                     "+refs/heads/*:refs/heads/*",
                                                     "+refs/tags/*:refs/tags/*"};
    size_t count = 0;
    while (argv[count] != NULL)
        count++;
    CHECK(order->refspecs_count <= PEN_FETCH_REFSPECS_MAX);
    for (size_t i = 0; i < order->refspecs_count; i++)
        argv[count + i] = order->refspecs[i];
    const struct pen_proc_spec spec = {
        .argv = argv,
        .environment = (const char *const *)environment->entries,
        .directory = order->mirrors,
        .stdin_fd = -1,
        .stdout_fd = -1,
        .stderr_fd = write_fd,
    };
    return pen_proc_spawn(&spec, &fetch->pid, &fetch->pidfd, err);
}

int pen_fetch_start(const struct pen_fetch_order *order, struct pen_fetch *ret_fetch,
                    struct pen_error *err)
{
    PEN_CLEANUP(environment_release) struct environment environment = {0};
    struct pen_fetch fetch = {.pid = -1, .pidfd = -1, .words_fd = -1};
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

void pen_fetch_listen(struct pen_fetch *self)
{
    char bytes[4096];
    while (self->words_fd >= 0) {
        ssize_t got = read(self->words_fd, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            pen_fd_close(&self->words_fd);
            return;
        }
        size_t room = WORDS_SIZE_MAX - self->words.size;
        pen_buf_append(&self->words, bytes, (size_t)got < room ? (size_t)got : room);
    }
}

void pen_fetch_kill(struct pen_fetch *self, int signal_number)
{
    if (self->pidfd >= 0)
        pen_proc_kill_group(self->pid, signal_number);
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
    pen_proc_kill_group(self->pid,
                        SIGKILL); /* helpers that outlived it; not reaped yet: still ours */
    int rc = pen_proc_wait(self->pid, self->pidfd, -1, ret_status, err);
    pen_fd_close(&self->pidfd);
    pen_fd_close(&self->words_fd);
    forget_key(self);
    return rc;
}

void pen_fetch_release(struct pen_fetch *self)
{
    pen_fd_close(&self->pidfd);
    pen_fd_close(&self->words_fd);
    pen_buf_release(&self->words);
    forget_key(self);
}

/* git's own last words tell nothing when ssh or the other side has spoken before. */
static bool is_idle(const char *line)
{
    return pen_str_starts_with(line, "fatal: Could not read from remote repository");
}

/* The line that tells most: the first that begins with "fatal:", else the first. */
static void best_line(const char *words, struct pen_buf *ret_line)
{
    const char *best = "";
    size_t best_size = 0;
    for (const char *line = words; *line;) {
        size_t size = strcspn(line, "\n");
        bool fatal = pen_str_starts_with(line, "fatal:") && !is_idle(line);
        if (size > 0 && (fatal || best_size == 0)) {
            best = line;
            best_size = size;
        }
        if (fatal)
            break;
        line += size + (line[size] == '\n');
    }
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
    const char *words = pen_buf_text(&self->words);
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
