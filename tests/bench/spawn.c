/* Prints how many `sh -c true` this machine starts and reaps a second, with a process for each
 * core.
 *
 *     bench_spawn SECONDS PROCESSES
 *
 * The yardstick of the benchmarks: no scheduler of shell commands can be faster. */
#include <errno.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES_MAX = 256 };

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Start and reap until the deadline; returns how many. */
static uint64_t spawn_until(double deadline_s)
{
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"true"}, NULL};
    char *environment[] = {NULL};
    uint64_t count = 0;
    while (now_s() < deadline_s) {
        pid_t child;
        int status;
        if (posix_spawn(&child, "/bin/sh", NULL, NULL, argv, environment) != 0 ||
            waitpid(child, &status, 0) != child || status != 0) {
            (void)fprintf(stderr, "bench_spawn: sh -c true failed\n");
            exit(1);
        }
        count++;
    }
    return count;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 0;
    long processes = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    if (seconds <= 0 || processes < 1 || processes > PROCESSES_MAX) {
        (void)fprintf(stderr, "usage: bench_spawn SECONDS PROCESSES\n");
        return 2;
    }
    uint64_t *counts = mmap(NULL, PROCESSES_MAX * sizeof *counts, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counts == MAP_FAILED)
        return 1;
    double begin_s = now_s();
    for (long i = 0; i < processes; i++) {
        if (fork() == 0) {
            counts[i] = spawn_until(begin_s + seconds);
            _exit(0);
        }
    }
    while (wait(NULL) > 0 || errno == EINTR)
        ;
    uint64_t total = 0;
    for (long i = 0; i < processes; i++)
        total += counts[i];
    (void)printf("%.0f\n", (double)total / (now_s() - begin_s));
    return 0;
}
