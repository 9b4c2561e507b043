/* cli/execution_id.h - the execution that a person means by the first digits of its id */
#ifndef PEN_CLI_EXECUTION_ID_H
#define PEN_CLI_EXECUTION_ID_H

#include "cli/cli.h"
#include "common/base/error.h"

/* Make the command's EXECUTION, or the value of its --execution, a whole id. The beginning that
 * `penstock status` shows is looked for among the pipeline's newest executions; of NAME|EXECUTION,
 * when no pipeline is called so, among those of all pipelines. Errors: PEN_EINVAL
 * (no id, or several begin so), PEN_ENOTFOUND, as pen_cli_call. */
int pen_execution_id_complete(struct pen_cli *cli, struct pen_error *err);

#endif
