/* cli/work.h - what the agents have: looking through the answer of ListAgents */
#ifndef PEN_CLI_WORK_H
#define PEN_CLI_WORK_H

#include <jansson.h>

#include "cli/cli.h"
#include "common/base/buf.h"

/* One attempt or offer; both borrowed from the answer. */
struct pen_work {
    const json_t *agent;
    const json_t *work;
};

/* Call ListAgents. Errors: as pen_cli_call_pages. */
int pen_work_list(struct pen_cli *cli, json_t **ret_agents, struct pen_error *err);

/* Step through the work of all agents: start with *position 0; false at the end. */
bool pen_work_next(const json_t *agents, size_t *position, struct pen_work *ret_work);

/* "Deploy/D runs on agent 'a', given to it 5m ago (class once, given up)" */
void pen_work_say(const struct pen_work *self, struct pen_buf *text);

#endif
