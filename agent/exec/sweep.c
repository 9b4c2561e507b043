/* The last resort without PID namespaces: find an attempt's processes by their environment. */
#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/exec/exec_internal.h"
#include "common/base/cleanup.h"
#include "common/io/file.h"

enum { PASSES_MAX = 4, PASS_GAP_MS = 5, ENVIRON_MAX = 4 * 1024 * 1024 };

void sweep_mark(const struct pen_exec *self, uint64_t fence, char *ret_text, size_t size)
{
    (void)snprintf(ret_text, size, "PENSTOCK_ATTEMPT=%s/%" PRIu64, self->spool_id, fence);
}

static bool carries(const char *pid, const char *mark)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%.20s/environ", pid);
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    if (pen_file_read(path, ENVIRON_MAX, &text, NULL) < 0 || text.size == 0)
        return false;
    const char *at = pen_buf_text(&text);
    const char *end = at + text.size;
    for (; at < end; at += strlen(at) + 1)
        if (strcmp(at, mark) == 0)
            return true;
    return false;
}

static size_t kill_marked(const char *mark)
{
    DIR *proc = opendir("/proc");
    size_t found = 0;
    if (proc == NULL)
        return 1; /* cannot tell: not proven */
    for (const struct dirent *item; (item = readdir(proc)) != NULL;) {
        if (isdigit((unsigned char)item->d_name[0]) && carries(item->d_name, mark)) {
            found++;
            (void)kill((pid_t)strtol(item->d_name, NULL, 10), SIGKILL);
        }
    }
    (void)closedir(proc);
    return found;
}

bool sweep(const struct pen_exec *self, uint64_t fence)
{
    char mark[128];
    sweep_mark(self, fence, mark, sizeof mark);
    for (int pass = 0; pass < PASSES_MAX; pass++) {
        if (kill_marked(mark) == 0)
            return true;
        (void)poll(NULL, 0, PASS_GAP_MS);
    }
    return false;
}
