/* cli/state.h - looking through the answer of GetPipelineState */
#ifndef PEN_CLI_STATE_H
#define PEN_CLI_STATE_H

#include <jansson.h>

#include "cli/cli.h"

/* Call GetPipelineState. */
int pen_state_get(struct pen_cli *cli, const char *pipeline, json_t **ret_state,
                  struct pen_error *err);

/* One action of the state; all borrowed from it. */
struct pen_state_action {
    const json_t *stage;
    const char *stage_name;
    const json_t *action;
    const char *action_name;
    const json_t *latest; /* latestExecution of the action; NULL: it never ran */
};

/* Step through the actions: start with *position 0; false at the end. */
bool pen_state_next(const json_t *state, size_t *position, struct pen_state_action *ret_action);

/* An approval that waits: in progress, with a token. */
bool pen_state_is_approval(const struct pen_state_action *action);

/* What a person should read beside a status: the error's message, or the summary. */
const char *pen_state_note(const json_t *latest);

#endif
