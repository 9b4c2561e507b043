/* What /proc says about a process. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/shim/shim.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/check.h"
#include "common/io/file.h"

const char *pen_shim_isolation_text(enum pen_shim_isolation isolation)
{
    switch (isolation) {
    case PEN_ISOLATION_FULL:
        return "own pid, mount and ipc namespaces, no_new_privs, no cgroup limits";
    case PEN_ISOLATION_PID:
        return "own pid namespace, no_new_privs, no cgroup limits";
    case PEN_ISOLATION_NONE:
        return "process tree only (no namespaces), no_new_privs, no cgroup limits";
    }
    UNREACHABLE("an unknown isolation");
}

int pen_shim_process_facts(const char *process, pid_t *ret_pid, uint64_t *ret_start_time,
                           struct pen_error *err)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%s/stat", process);
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    int rc = pen_file_read(path, 4096, &text, err);
    if (rc < 0)
        return rc;
    /* "pid (name) state ..." where the name may hold anything: count fields from its last ')'. */
    const char *start = pen_buf_text(&text);
    const char *at = strrchr(start, ')');
    for (int field = 2; at != NULL && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (at == NULL)
        return pen_fail(err, PEN_EIO, "'%s' has too few fields", path);
    *ret_pid = (pid_t)strtol(start, NULL, 10);
    *ret_start_time = strtoull(at + 1, NULL, 10);
    return 0;
}
