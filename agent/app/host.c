#include "agent/app/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/file.h"
#include "common/wire/wire.h"

enum { DISK_RESERVE_BYTES = 64 * 1024 * 1024, DISK_RESERVE_PART = 100 };

static int read_id(const char *path, char ret_id[PEN_HOST_ID_SIZE], struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    int rc = pen_file_read(path, 4096, &text, err);
    if (rc < 0)
        return rc;
    (void)pen_str_copy(ret_id, PEN_HOST_ID_SIZE, pen_buf_text(&text));
    ret_id[strcspn(ret_id, "\n")] = 0;
    return *ret_id == 0 ? pen_fail(err, PEN_EIO, "'%s' is empty", path) : 0;
}

int pen_host_boot_id(char ret_id[PEN_HOST_ID_SIZE], struct pen_error *err)
{
    return read_id("/proc/sys/kernel/random/boot_id", ret_id, err);
}

void pen_host_machine_id(char ret_id[PEN_HOST_ID_SIZE])
{
    struct utsname name;
    if (read_id("/etc/machine-id", ret_id, NULL) == 0)
        return;
    (void)pen_str_copy(ret_id, PEN_HOST_ID_SIZE, uname(&name) == 0 ? name.nodename : "unknown");
}

uint32_t pen_host_cpus(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : (uint32_t)count;
}

int pen_host_facts(const char *isolation, Pen__HostFacts **ret_facts, struct pen_error *err)
{
    struct utsname name;
    PEN_CLEANUP(pen_message_destroy) Pen__HostFacts *facts = malloc(sizeof *facts);
    if (facts == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the host's facts");
    pen__host_facts__init(facts);
    if (uname(&name) < 0)
        return pen_fail_errno(err, "cannot ask for the host's name");
    bool copied =
        pen_str_set(&facts->os, "linux") && pen_str_set(&facts->arch, name.machine) &&
        pen_str_set(&facts->hostname, name.nodename) && pen_str_set(&facts->kernel, name.release) &&
        pen_str_set(&facts->version, PEN_VERSION) && pen_str_set(&facts->isolation, isolation);
    if (!copied)
        return pen_fail(err, PEN_ENOMEM, "no memory for the host's facts");
    facts->has_cpus = facts->has_memory_bytes = true;
    facts->cpus = pen_host_cpus();
    long pages = sysconf(_SC_PHYS_PAGES);
    long page_size = sysconf(_SC_PAGESIZE);
    facts->memory_bytes = pages > 0 && page_size > 0 ? (uint64_t)pages * (uint64_t)page_size : 0;
    *ret_facts = TAKE_PTR(facts);
    return 0;
}

bool pen_host_disk_full(const char *path)
{
    struct statvfs facts;
    if (statvfs(path, &facts) < 0)
        return false;
    uint64_t free_bytes = (uint64_t)facts.f_bavail * facts.f_frsize;
    uint64_t all_bytes = (uint64_t)facts.f_blocks * facts.f_frsize;
    uint64_t reserve = all_bytes / DISK_RESERVE_PART;
    return free_bytes < (reserve < DISK_RESERVE_BYTES ? reserve : DISK_RESERVE_BYTES);
}
