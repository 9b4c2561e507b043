/* cli/confirm.h - a person's word before what cannot be undone */
#ifndef PEN_CLI_CONFIRM_H
#define PEN_CLI_CONFIRM_H

#include "cli/cli.h"
#include "common/base/error.h"

/* Ask whether to go on, unless --yes was given. `what` is a sentence that says what would be lost,
 * without a full stop. Without a terminal nobody can be asked: that is a refusal. Errors:
 * PEN_EINVAL (--yes is needed), PEN_ECONFLICT (the answer was not yes). */
int pen_confirm(const struct pen_cli *cli, const char *what, struct pen_error *err);

/* Ask before something is deleted that pipelines have as the value of a configuration key, such as
 * RepositoryName; in use by none, it is not asked. */
int pen_confirm_unused(struct pen_cli *cli, const char *key, const char *value, const char *what,
                       struct pen_error *err);

#endif
