#include "controller/sources/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/file.h"
#include "common/io/proc.h"

/* ---- the environment */

void pen_git_environment_release(struct pen_git_environment *self)
{
    for (size_t i = 0; i < self->count; i++) {
        explicit_bzero(self->entries[i], strlen(self->entries[i]));
        free(self->entries[i]);
    }
    self->count = 0;
}

void pen_git_environment_set(struct pen_git_environment *self, const char *name, const char *value)
{
    char *entry =
        self->count + 1 < PEN_GIT_ENVIRONMENT_MAX ? pen_strdup_printf("%s=%s", name, value) : NULL;
    self->failed = self->failed || !entry;
    if (entry)
        self->entries[self->count++] = entry;
}

void pen_git_environment_configure(struct pen_git_environment *self, const char *key,
                                   const char *value)
{
    char name[32];
    (void)snprintf(name, sizeof name, "GIT_CONFIG_KEY_%u", self->configuration);
    pen_git_environment_set(self, name, key);
    (void)snprintf(name, sizeof name, "GIT_CONFIG_VALUE_%u", self->configuration);
    pen_git_environment_set(self, name, value);
    self->configuration++;
}

/* What the machine's administrator may have set for all programs. */
static void inherit(struct pen_git_environment *self)
{
    static const char *const names[] = {
        "PATH",     "https_proxy",   "http_proxy",   "HTTPS_PROXY",    "HTTP_PROXY", "no_proxy",
        "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "TZ"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value)
            pen_git_environment_set(self, names[i], value);
    }
    if (!getenv("PATH"))
        pen_git_environment_set(self, "PATH", "/usr/local/bin:/usr/bin:/bin");
}

void pen_git_environment_fill(struct pen_git_environment *self, const char *mirrors)
{
    inherit(self);
    PEN_CLEANUP(pen_free) char *home = pen_strdup_printf("%s/.home", mirrors);
    pen_git_environment_set(self, "HOME", home ? home : "/nonexistent");
    pen_git_environment_set(self, "LC_ALL", "C");
    pen_git_environment_set(self, "GIT_CONFIG_NOSYSTEM", "1");
    pen_git_environment_set(self, "GIT_CONFIG_GLOBAL", "/dev/null");
    pen_git_environment_set(self, "GIT_TERMINAL_PROMPT", "0");
    pen_git_environment_set(self, "GIT_PROTOCOL_FROM_USER", "0");
    pen_git_environment_configure(self, "credential.helper", "");
    pen_git_environment_configure(self, "core.hooksPath", "/dev/null");
    pen_git_environment_configure(self, "core.fsmonitor", "false");
    pen_git_environment_configure(self, "core.askPass", "");
    /* What git would start by itself, we start: upkeep.c. */
    pen_git_environment_configure(self, "gc.auto", "0");
    pen_git_environment_configure(self, "maintenance.auto", "false");
}

/* ---- the child */

int pen_git_child_spawn(const char *const *argv, struct pen_git_environment *environment,
                        const char *directory, struct pen_git_child *ret_child,
                        struct pen_error *err)
{
    char count[16];
    (void)snprintf(count, sizeof count, "%u", environment->configuration);
    pen_git_environment_set(environment, "GIT_CONFIG_COUNT", count);
    if (environment->failed)
        return pen_fail(err, PEN_ENOMEM, "no memory for the environment of git");
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return pen_fail_errno(err, "no pipe for git");
    PEN_CLEANUP(pen_fd_close) int read_fd = fds[0];
    PEN_CLEANUP(pen_fd_close) int write_fd = fds[1];
    if (fcntl(read_fd, F_SETFL, O_NONBLOCK) < 0)
        return pen_fail_errno(err, "no pipe for git");
    const struct pen_proc_spec spec = {
        .argv = argv,
        .environment = (const char *const *)environment->entries,
        .directory = directory,
        .stdin_fd = -1,
        .stdout_fd = -1,
        .stderr_fd = write_fd,
    };
    struct pen_git_child child = PEN_GIT_CHILD_NONE;
    int rc = pen_proc_spawn(&spec, &child.pid, &child.pidfd, err);
    if (rc < 0)
        return rc;
    child.words_fd = read_fd;
    read_fd = -1;
    *ret_child = child;
    return 0;
}

void pen_git_child_listen(struct pen_git_child *self,
                          void (*take)(void *context, const char *bytes, size_t size),
                          void *context)
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
        take(context, bytes, (size_t)got);
    }
}

void pen_git_child_keep(struct pen_git_child *self, const char *bytes, size_t size)
{
    size_t room = PEN_GIT_WORDS_SIZE_MAX - self->words.size;
    pen_buf_append(&self->words, bytes, size < room ? size : room);
}

void pen_git_child_kill(struct pen_git_child *self, int signal_number)
{
    if (self->pidfd >= 0)
        pen_proc_kill_group(self->pid, signal_number);
}

int pen_git_child_finish(struct pen_git_child *self, int *ret_status, struct pen_error *err)
{
    pen_proc_kill_group(self->pid,
                        SIGKILL); /* helpers that outlived it; not reaped yet: still ours */
    int rc = pen_proc_wait(self->pid, self->pidfd, -1, ret_status, err);
    pen_fd_close(&self->pidfd);
    pen_fd_close(&self->words_fd);
    return rc;
}

void pen_git_child_release(struct pen_git_child *self)
{
    pen_fd_close(&self->pidfd);
    pen_fd_close(&self->words_fd);
    pen_buf_release(&self->words);
}
