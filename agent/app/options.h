/* agent/app/options.h - the command line of penstock-agent */
#ifndef PEN_AGENT_APP_OPTIONS_H
#define PEN_AGENT_APP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"

struct pen_agent_options {
    const char *controller; /* HOST:PORT, or NULL */
    char *token;            /* malloc'ed; "@FILE": in that file; NULL: none */
    const char *data;
    const char *name; /* NULL: the host's */
    uint32_t slots;   /* 0: not said */
    bool once;
    bool verbose;
};

enum pen_agent_options_verdict { PEN_OPTIONS_RUN, PEN_OPTIONS_SHOWN, PEN_OPTIONS_WRONG };

/* Read argv and PENSTOCK_TOKEN. SHOWN: help or version was printed; WRONG: what is wrong was. The
 * token is wiped from argv. */
enum pen_agent_options_verdict pen_agent_options_read(int argc, char **argv,
                                                      struct pen_agent_options *ret_options);
void pen_agent_options_release(struct pen_agent_options *self);

#endif
