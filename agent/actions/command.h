/* agent/actions/command.h - what a Commands action runs, and with which environment */
#ifndef PEN_AGENT_ACTIONS_COMMAND_H
#define PEN_AGENT_ACTIONS_COMMAND_H

#include "common/base/buf.h"
#include "common/base/error.h"
#include "capsule.pb-c.h"
#include "spool.pb-c.h"

/* The text for one /bin/sh: the commands in order, the first failure ends it with its status;
 * reports the command that runs, and at the end the output variables, on descriptor
 * PEN_SHIM_REPORT_FD. Errors: PEN_EINVAL (an output variable's name), PEN_ENOMEM. */
int pen_command_script(const Pen__Capsule *capsule, struct pen_buf *ret_text,
                       struct pen_error *err);

struct pen_command_folders {
    const char *source; /* working directory */
    const char *home;
    const char *tmp;
    const char *inputs; /* holds 1, 2, ...: the further inputs */
};

/* Add the environment to the order. Names of the action win over ours, but for PENSTOCK_*.
 * Errors: PEN_EINVAL (a name that is none, or is reserved), PEN_ENOMEM. */
int pen_command_environment(const Pen__Capsule *capsule, const struct pen_command_folders *folders,
                            Pen__ShimOrder *order, struct pen_error *err);

/* Append a text to an array of malloc'ed texts. Errors: PEN_ENOMEM. */
int pen_texts_add(char ***texts, size_t *count, const char *text, struct pen_error *err);

#endif
