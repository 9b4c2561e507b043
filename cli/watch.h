/* cli/watch.h - following one execution to its end
 *
 * Each action has a line when it begins, gets its agent, moves on and ends; log lines come in
 * between, with the action's name before them. On a terminal the actions that run also stand at the
 * bottom, with their time going on. One long poll for the execution and one for each log are open
 * at a time.
 */
#ifndef PEN_CLI_WATCH_H
#define PEN_CLI_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"

struct pen_watch_options {
    const char *pipeline;
    const char *execution; /* NULL: the latest */
    bool logs;
    bool raw;
    int64_t timeout_ms; /* -1: for ever */
};

/* Sets cli->exit_code by the outcome. A controller that is away is waited for, up to a minute.
 * Errors: PEN_ENOTFOUND, PEN_EDENIED, PEN_EUNAVAILABLE (also: interrupted). */
int pen_watch(struct pen_cli *cli, const struct pen_watch_options *options, struct pen_error *err);

#endif
