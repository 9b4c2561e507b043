/* Ends what works in a test's folder when the test itself has ended, however it ends: shims outlive
 * whoever started them, and a test that takes too long gets SIGKILL.
 *
 *     int guard = guard_start(folder);      processes below have to work in the folder
 *     ...
 *     guard_end(&guard);
 */
#ifndef PEN_TESTS_AGENT_GUARD_H
#define PEN_TESTS_AGENT_GUARD_H

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GUARD_PASSES = 200, GUARD_GAP_MS = 10 };

static bool guard_works_in(const char *pid, const char *folder)
{
    char path[64];
    char where[PATH_MAX];
    (void)snprintf(path, sizeof path, "/proc/%.20s/cwd", pid);
    ssize_t size = readlink(path, where, sizeof where - 1);
    where[size < 0 ? 0 : size] = 0;
    size_t length = strlen(folder);
    return strncmp(where, folder, length) == 0 &&
           (where[length] == 0 || where[length] == '/' || where[length] == ' ');
}

/* Returns how many were there. */
static size_t guard_kill(const char *folder)
{
    DIR *proc = opendir("/proc");
    size_t found = 0;
    if (proc == NULL)
        return 0;
    for (const struct dirent *item; (item = readdir(proc)) != NULL;) {
        pid_t pid = (pid_t)strtol(item->d_name, NULL, 10);
        if (!isdigit((unsigned char)item->d_name[0]) || pid == getpid() ||
            !guard_works_in(item->d_name, folder))
            continue;
        found++;
        (void)kill(pid, SIGKILL);
    }
    (void)closedir(proc);
    return found;
}

_Noreturn static void guard_watch(int fd, const char *folder)
{
    char byte;
    for (int output = 1; output <= 2; output++)
        (void)close(output); /* or whoever reads the test's output waits for us */
    while (read(fd, &byte, 1) < 0 && errno == EINTR)
        continue;
    for (int pass = 0; pass < GUARD_PASSES && guard_kill(folder) > 0; pass++)
        (void)poll(NULL, 0, GUARD_GAP_MS);
    _exit(0);
}

/* In a session of its own, as nobody's child: who ends the test does not find it. -1: no process.
 */
static int guard_start(const char *folder)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(ends[1]);
        (void)setsid();
        if (chdir("/") < 0 || fork() != 0)
            _exit(0);
        guard_watch(ends[0], folder);
    }
    (void)close(ends[0]);
    if (pid < 0 || waitpid(pid, NULL, 0) != pid) {
        (void)close(ends[1]);
        return -1;
    }
    return ends[1];
}

static void guard_end(int *guard)
{
    if (*guard >= 0)
        (void)close(*guard);
    *guard = -1;
}

#endif
