/* cli/commands.h - the table of commands, and help made from it */
#ifndef PEN_CLI_COMMANDS_H
#define PEN_CLI_COMMANDS_H

#include "cli/cli.h"

/* All commands, in the order of the help; ends with a row without a name. */
extern const struct pen_cli_command pen_cli_commands[];

/* Options that every command has. */
extern const struct pen_cli_option pen_cli_global_options[];

/* The command that the words begin with, of one or two words; *ret_words says how many. NULL: none.
 */
const struct pen_cli_command *pen_cli_find(const char *first, const char *second,
                                           size_t *ret_words);

/* Help to standard output: of everything, of the commands that begin with a word, of one command.
 */
void pen_cli_help_all(void);
bool pen_cli_help_group(const char *word);
void pen_cli_help_command(const struct pen_cli_command *command);

/* What the rows run, by file. */
int pen_cmd_pipeline_create(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_pipeline_get(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_pipeline_update(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_pipeline_delete(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_pipeline_list(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_pipeline_validate(struct pen_cli *cli, struct pen_error *err);

int pen_cmd_start(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_stop(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_retry(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_rollback(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_override(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_status(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_history(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_watch(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_logs(struct pen_cli *cli, struct pen_error *err);

int pen_cmd_approve(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_reject(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_resolve(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_transition_enable(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_transition_disable(struct pen_cli *cli, struct pen_error *err);

int pen_cmd_agent_work(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_agent_list(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_agent_token(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_agent_drain(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_agent_undrain(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_agent_revoke(struct pen_cli *cli, struct pen_error *err);

int pen_cmd_repo_create(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_repo_list(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_repo_delete(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_connection_create(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_connection_list(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_connection_delete(struct pen_cli *cli, struct pen_error *err);

int pen_cmd_webhook_put(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_webhook_list(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_webhook_delete(struct pen_cli *cli, struct pen_error *err);

int pen_cmd_revision_put(struct pen_cli *cli, struct pen_error *err);

int pen_cmd_gc(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_why(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_window(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_doctor(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_version(struct pen_cli *cli, struct pen_error *err);
int pen_cmd_help(struct pen_cli *cli, struct pen_error *err);

#endif
