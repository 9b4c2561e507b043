/* cli/meant.h - the arguments that a person means: as they are printed elsewhere, or left out
 *
 *     stop NAME               the execution that is running; with --kill and none: the command
 * finds it retry NAME [STAGE]      the execution that failed or was stopped, in its stage rollback
 * NAME STAGE     the execution that succeeded there before the present one override NAME [STAGE]
 * the execution whose condition is checked, or was not met
 *
 * Of several the latest. STAGE/ACTION, as `penstock watch` prints it, is taken for STAGE ACTION.
 */
#ifndef PEN_CLI_MEANT_H
#define PEN_CLI_MEANT_H

#include "cli/cli.h"
#include "common/base/error.h"

/* Make two arguments of a STAGE/ACTION. Errors: PEN_ENOMEM. */
int pen_meant_split(struct pen_cli *cli, struct pen_error *err);

/* Add the arguments that were left out; asks the controller only when something was. Errors:
 * PEN_ENOTFOUND (nothing fits), as pen_cli_call. */
int pen_meant_complete(struct pen_cli *cli, struct pen_error *err);

/* The whole commit that the first digits of a revision of this source action stand for, kept as
 * pen_cli_keep does; whole commits are taken as they are. Errors: PEN_EINVAL (no commit, or several
 * begin so), PEN_ENOTFOUND (no execution had it), as pen_cli_call. */
int pen_meant_revision(struct pen_cli *cli, const char *action, const char *given,
                       const char **ret_commit, struct pen_error *err);

/* Whether it is a whole commit already. */
bool pen_meant_is_commit(const char *given);

#endif
