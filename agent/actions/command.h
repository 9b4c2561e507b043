/* agent/actions/command.h - what a Commands action runs, and with which environment */
#ifndef PEN_AGENT_ACTIONS_COMMAND_H
#define PEN_AGENT_ACTIONS_COMMAND_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "capsule.pb-c.h"
#include "spool.pb-c.h"

/* What the lines around the commands need (agent/shim/shim.h says what they do with it). */
struct pen_command_shell {
    const char *folder;  /* for what they report; absolute */
    const char *program; /* penstock-shim */
};

/* Whether the shell reports anything: which of several commands runs, or output variables. */
bool pen_command_reports(const Pen__Capsule *capsule);

/* The words that start the shell, as configured (Shell, Pipefail), but its -c or script. Errors:
 * PEN_ENOMEM. */
int pen_command_shell_words(const Pen__Capsule *capsule, Pen__ShimOrder *order,
                            struct pen_error *err);

/* The text for one shell: the commands in order, the first failure ends it with its status.
 * Between them the shell says by files in its folder which one runs, and at the end what the output
 * variables are. A single command without output variables is the whole text. Errors: PEN_EINVAL
 * (an output variable's name), PEN_ENOMEM. */
int pen_command_script(const Pen__Capsule *capsule, const struct pen_command_shell *shell,
                       struct pen_buf *ret_text, struct pen_error *err);

struct pen_command_folders {
    const char *source; /* working directory */
    const char *home;
    const char *tmp;
    const char *inputs; /* holds 1, 2, ...: the further inputs */
    const char *user;   /* who the commands run as; NULL: has no name */
};

/* Add the environment to the order. Names of the action win over ours, but for PENSTOCK_*.
 * Errors: PEN_EINVAL (a name that is none, or is reserved), PEN_ENOMEM. */
int pen_command_environment(const Pen__Capsule *capsule, const struct pen_command_folders *folders,
                            Pen__ShimOrder *order, struct pen_error *err);

/* Append a text to an array of malloc'ed texts. Errors: PEN_ENOMEM. */
int pen_texts_add(char ***texts, size_t *count, const char *text, struct pen_error *err);

#endif
