/* cli/suggest.h - a mistyped word answered with the one that was probably meant
 */
#ifndef PEN_CLI_SUGGEST_H
#define PEN_CLI_SUGGEST_H

#include "cli/cli.h"
#include "common/base/error.h"

/* Of the commands, of the options of the command (and of every command), with "--", or NULL. */
const char *pen_suggest_command(const char *first, const char *second);
const char *pen_suggest_option(const struct pen_cli_command *command, const char *name,
                               size_t length);

/* After PEN_ENOTFOUND: look which of the command's names does not exist, and add the nearest one to
 * err's message. Asks the controller; what goes wrong there changes nothing. */
void pen_suggest_name(struct pen_cli *cli, struct pen_error *err);

#endif
