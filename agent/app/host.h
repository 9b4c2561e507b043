/* agent/app/host.h - what this host is */
#ifndef PEN_AGENT_APP_HOST_H
#define PEN_AGENT_APP_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "agent.pb-c.h"

enum { PEN_HOST_ID_SIZE = 64 };

/* The kernel's id of this boot. Errors: PEN_EIO. */
int pen_host_boot_id(char ret_id[PEN_HOST_ID_SIZE], struct pen_error *err);
/* /etc/machine-id, or the host's name where there is none. */
void pen_host_machine_id(char ret_id[PEN_HOST_ID_SIZE]);
uint32_t pen_host_cpus(void);
/* isolation may be NULL. Free with pen_message_destroy. Errors: PEN_ENOMEM. */
int pen_host_facts(const char *isolation, Pen__HostFacts **ret_facts, struct pen_error *err);
/* Less than 64 MiB, or than one hundredth, is free where path lies. */
bool pen_host_disk_full(const char *path);

#endif
