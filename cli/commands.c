/* The table of commands. A row is all that parsing, checking and help know of a command. */
#include "cli/commands.h"

#include <string.h>

const struct pen_cli_option pen_cli_global_options[] = {
    {"--endpoint", 0, "URL", "The controller, such as http://build.example:7480."},
    {"--profile", 0, "NAME", "Profile of the credentials file."},
    {"--region", 0, "NAME", "Region to sign for; us-east-1 unless configured."},
    {"--output", 'o', "text|json", "Tables for people, or the API's own JSON."},
    {"--no-color", 0, NULL, "No colours; NO_COLOR in the environment does the same."},
    {"--help", 'h', NULL, "This help."},
    {0},
};

static const struct pen_cli_option version_options[] = {
    {"--version", 0, "N", "This version instead of the newest."},
    {0},
};

static const struct pen_cli_option start_options[] = {
    {"--variable", 0, "NAME=VALUE", "A pipeline variable; may be repeated."},
    {"--revision", 0, "ACTION=COMMIT",
     "Commit for a source action, whole or as 'penstock history' shows it; may be repeated."},
    {"--watch", 'w', NULL, "Follow the execution to its end, with its logs."},
    {"--no-logs", 0, NULL, "With --watch: without log lines."},
    {"--raw", 0, NULL, "With --watch: log lines with their escape codes."},
    {"--timeout", 0, "DURATION", "With --watch: stop looking after this time (exit code 5)."},
    {0},
};

static const struct pen_cli_option watch_options[] = {
    {"--no-logs", 0, NULL, "Without log lines."},
    {"--raw", 0, NULL, "Log lines with their escape codes."},
    {"--timeout", 0, "DURATION", "Stop looking after this time (exit code 5)."},
    {0},
};

static const struct pen_cli_option history_options[] = {
    {"--limit", 'n', "N", "At most this many, newest first; 20 unless given."},
    {0},
};

static const struct pen_cli_option logs_options[] = {
    {"--follow", 'f', NULL, "Go on as the log grows, until the action is over."},
    {"--execution", 0, "ID", "Of this execution instead of the latest."},
    {"--stage", 0, "STAGE", "Of the action in this stage."},
    {"--raw", 0, NULL, "Byte for byte, with escape codes."},
    {0},
};

static const struct pen_cli_option stop_options[] = {
    {"--abandon", 0, NULL, "Give up what runs instead of waiting for its end."},
    {"--kill", 0, NULL, "Give up what runs, and end all of it on its agents, also class once."},
    {"--yes", 'y', NULL, "With --kill: do not ask."},
    {"--reason", 'm', "TEXT", "Why; kept with the execution."},
    {0},
};

static const struct pen_cli_option retry_options[] = {
    {"--all-actions", 0, NULL, "From the stage's first action on, instead of what failed."},
    {"--beside-abandoned", 0, NULL,
     "Also beside work of the stage that was given up and may still run."},
    {0},
};

static const struct pen_cli_option approve_options[] = {
    {"--summary", 'm', "TEXT", "A remark that is kept with the decision."},
    {"--execution", 0, "ID", "Of this execution: several may wait in PARALLEL mode."},
    {0},
};

static const struct pen_cli_option gc_options[] = {
    {"--dry-run", 0, NULL, "Only say what would be deleted"},
    {0},
};

static const struct pen_cli_option reason_options[] = {
    {"--reason", 'm', "TEXT", "Why; kept and shown wherever this matters."},
    {0},
};

static const struct pen_cli_option resolve_options[] = {
    {"--reason", 'm', "TEXT", "Why; kept and shown wherever this matters."},
    {"--execution", 0, "ID", "Of this execution: several may be under way in PARALLEL mode."},
    {0},
};

static const struct pen_cli_option yes_options[] = {
    {"--yes", 'y', NULL, "Do not ask, although it is in use."},
    {0},
};

static const struct pen_cli_option revoke_options[] = {
    {"--reason", 'm', "TEXT", "Why; kept and shown wherever this matters."},
    {"--yes", 'y', NULL, "Do not ask, although it is in use."},
    {0},
};

static const struct pen_cli_option transition_options[] = {
    {"--reason", 'm', "TEXT", "Why; shown to everybody who waits."},
    {"--outbound", 0, NULL, "The way out of the stage instead of the way in."},
    {0},
};

static const struct pen_cli_option direction_options[] = {
    {"--outbound", 0, NULL, "The way out of the stage instead of the way in."},
    {0},
};

static const struct pen_cli_option token_options[] = {
    {"--labels", 0, "K=V,...", "Labels the agent will have, besides os and arch."},
    {"--slots", 0, "N", "Actions that may run on it at once."},
    {"--ttl", 0, "DURATION", "How long the token is good; 1h unless given."},
    {0},
};

static const struct pen_cli_option connection_options[] = {
    {"--url", 0, "URL", "Base URL; FullRepositoryId is appended to it."},
    {"--username", 0, "NAME", "User name for the git server."},
    {"--secret-file", 0, "FILE",
     "Password, token or ssh private key, in a file; - reads standard input."},
    {"--hook-secret-file", 0, "FILE", "Secret that signs the server's webhooks, in a file."},
    {0},
};

static const struct pen_cli_option webhook_options[] = {
    {"--pipeline", 0, "NAME", "The pipeline that it starts."},
    {"--action", 0, "NAME", "Its source action: {Key} in a filter is of its configuration."},
    {"--filter", 0, "PATH[=VALUE]", "What the body has to hold, by JSON path; may be repeated."},
    {"--secret-file", 0, "FILE", "Secret that signs the calls, in a file; - reads standard input."},
    {"--allow", 0, "CIDR", "Instead of a secret: addresses that may call."},
    {"--unauthenticated", 0, NULL, "Instead of a secret: whoever knows the URL may call."},
    {0},
};

static const struct pen_cli_option revision_options[] = {
    {"--change", 0, "ID", "What the change is called; the revision unless given."},
    {0},
};

static const struct pen_cli_option why_options[] = {
    {"--execution", 0, "ID", "Only what holds this execution."},
    {0},
};

static const struct pen_cli_option window_options[] = {
    {"--stage", 0, "NAME", "Only the rules of this stage."},
    {"--zone", 0, "ZONE", "Time zone of the expression, as Europe/Berlin or UTC+01:00 (UTC)."},
    {0},
};

const struct pen_cli_command pen_cli_commands[] = {
    {"pipeline create", "FILE", "Create a pipeline from the API's JSON",
     "FILE holds the pipeline, bare or as {\"pipeline\": ...}; - reads standard input. The new "
     "pipeline starts at once.",
     "penstock pipeline create pipeline.json", 1, 1, NULL, pen_cmd_pipeline_create},
    {"pipeline get", "NAME", "Print a pipeline as JSON that create and update take", NULL,
     "penstock pipeline get site > site.json", 1, 1, version_options, pen_cmd_pipeline_get},
    {"pipeline update", "FILE", "Change a pipeline to what FILE says", NULL,
     "penstock pipeline update site.json", 1, 1, NULL, pen_cmd_pipeline_update},
    {"pipeline delete", "NAME", "Delete a pipeline and its history",
     "Asks first when it is running; without a terminal only --yes does it.",
     "penstock pipeline delete site", 1, 1, yes_options, pen_cmd_pipeline_delete},
    {"pipeline list", "", "List the pipelines", NULL, "penstock pipeline list", 0, 0, NULL,
     pen_cmd_pipeline_list},
    {"pipeline validate", "FILE", "Check a pipeline as create would, without creating it", NULL,
     "penstock pipeline validate pipeline.json", 1, 1, NULL, pen_cmd_pipeline_validate},

    {"start", "NAME", "Start an execution of a pipeline",
     "Prints the execution's id. With --watch the exit code says how it ended.",
     "penstock start site --watch\npenstock start site --revision Source=3774639351 --variable "
     "TARGET=staging",
     1, 1, start_options, pen_cmd_start},
    {"stop", "NAME [EXECUTION]", "Stop an execution",
     "Without EXECUTION: the latest that is running. What runs may end first; a second stop with "
     "--abandon cuts the waiting short. With --abandon the execution is over at once: what runs is "
     "broken off, but work of class once runs on to its end on its agent, and the same action is "
     "not begun beside it. With --kill that is broken off, too, also when the execution has been "
     "over for long: what is half done stays half done.",
     "penstock stop site --reason 'wrong branch'\npenstock stop site 4f1cb2aa --kill", 1, 2,
     stop_options, pen_cmd_stop},
    {"retry", "NAME [STAGE [EXECUTION]]", "Run a failed or stopped stage of an execution again",
     "Without EXECUTION: the latest that failed or was stopped. Actions that succeeded are not "
     "repeated, unless --all-actions is given. Refused while work of the stage that was given up "
     "may still run, unless --beside-abandoned says that a second copy may run beside it.",
     "penstock retry site\npenstock retry site Deploy 4f1cb2aa", 1, 3, retry_options,
     pen_cmd_retry},
    {"rollback", "NAME STAGE [EXECUTION]", "Run a stage again as an earlier execution ran it",
     "Without EXECUTION: the latest that succeeded in the stage before the one that is there now. "
     "With the revisions, variables and artifacts of EXECUTION, which has to have succeeded in the "
     "stage by the pipeline's current version. Prints the id of the rollback, which ends with the "
     "stage.",
     "penstock rollback site Deploy", 2, 3, NULL, pen_cmd_rollback},
    {"override", "NAME [STAGE [EXECUTION]] [before-entry|on-success]",
     "Let an execution pass a condition of a stage",
     "While its rules are checked, or after it has failed with the result FAIL. Without EXECUTION: "
     "the latest for which this is so. Without the last word: the condition before entry, unless "
     "only the other one is being checked or has failed.",
     "penstock override site Deploy", 1, 4, NULL, pen_cmd_override},
    {"status", "[NAME]", "Show the stages and actions of a pipeline, or all pipelines", NULL,
     "penstock status site", 0, 1, NULL, pen_cmd_status},
    {"watch", "NAME [EXECUTION]", "Follow an execution, the latest unless named, to its end",
     "One line an action, log lines as they come. Ctrl-C stops the looking, never the execution. "
     "The exit code says how it ended: 0 succeeded, 1 failed or stopped, 6 superseded, 5 when "
     "--timeout was over before.",
     "penstock watch site", 1, 2, watch_options, pen_cmd_watch},
    {"history", "NAME [EXECUTION]", "List the executions of a pipeline, or the actions of one",
     NULL, "penstock history site --limit 5", 1, 2, history_options, pen_cmd_history},
    {"logs", "NAME [ACTION|RULE]", "Print the log of an action, or of a rule that runs commands",
     "Without ACTION: of the action that runs or failed last. Escape codes are left out.",
     "penstock logs site Build -f", 1, 2, logs_options, pen_cmd_logs},
    {"gc", "", "Delete what is not needed any more",
     "History that is old enough goes, with its logs and artifacts, as the controller's settings "
     "history-age and history-count say, and all that deleted pipelines have left. What runs, what "
     "can be retried, and what a stage would be rolled back to stays. The controller does the same "
     "by itself at every collect-interval.",
     "penstock gc --dry-run", 0, 0, gc_options, pen_cmd_gc},
    {"why", "NAME|EXECUTION", "Say why something does not run, and what would change that",
     "Every reason, since when, and what ends it; the commands that clear it, whole, to be pasted; "
     "how long it may take, where earlier runs tell that. Of a pipeline also how its latest "
     "execution has failed.",
     "penstock why site", 1, 1, why_options, pen_cmd_why},

    {"window", "PIPELINE|CRON", "Say when deployment windows open: the next ten times",
     "Of a pipeline's DeploymentWindow rules, or of an expression that is not yet in any: seconds, "
     "minutes, hours, day of month, month, day of week and, if wanted, year. It is open while the "
     "time matches: '* * 9-16' from nine to five, '0 0 9-16' for one second of each hour.",
     "penstock window site\n"
     "penstock window '* * 9-16 ? * MON-FRI' --zone Europe/Berlin",
     1, 1, window_options, pen_cmd_window},

    {"approve", "NAME [STAGE ACTION]", "Approve what waits for an approval",
     "Finds the waiting action by itself; with several, name one.",
     "penstock approve site --summary 'looks good on staging'", 1, 3, approve_options,
     pen_cmd_approve},
    {"reject", "NAME [STAGE ACTION]", "Reject what waits for an approval", NULL,
     "penstock reject site --summary 'broken menu'", 1, 3, approve_options, pen_cmd_reject},
    {"resolve", "NAME STAGE ACTION failed|succeeded|retry",
     "Decide an action whose outcome nobody knows",
     "For a deploy whose host was lost in the middle: look at the target first, then say what is "
     "true there.",
     "penstock resolve site Deploy Copy succeeded --reason 'files are there, checked by hand'", 4,
     4, resolve_options, pen_cmd_resolve},
    {"transition enable", "NAME STAGE", "Open a stage to executions", NULL,
     "penstock transition enable site Production", 2, 2, direction_options,
     pen_cmd_transition_enable},
    {"transition disable", "NAME STAGE", "Close a stage to executions", NULL,
     "penstock transition disable site Production --reason 'release freeze until Monday'", 2, 2,
     transition_options, pen_cmd_transition_disable},

    {"agent list", "", "List the agents with their load", NULL, "penstock agent list", 0, 0, NULL,
     pen_cmd_agent_list},
    {"agent work", "[AGENT]",
     "List what the agents have: what holds their slots, and what was given up",
     "Work that was given up is told by GIVEN UP: 'penstock stop NAME EXECUTION --kill' ends it.",
     "penstock agent work", 0, 1, NULL, pen_cmd_agent_work},
    {"agent token", "", "Make a token that lets one agent join",
     "The token is shown once and works once. Give it to penstock-agent --token on the new host.",
     "penstock agent token --labels pool=linux,gpu=yes --slots 4 --ttl 1h", 0, 0, token_options,
     pen_cmd_agent_token},
    {"agent drain", "AGENT", "Give an agent no more work; what runs goes on", NULL,
     "penstock agent drain build-3 --reason 'kernel update'", 1, 1, reason_options,
     pen_cmd_agent_drain},
    {"agent undrain", "AGENT", "Give an agent work again", NULL, "penstock agent undrain build-3",
     1, 1, NULL, pen_cmd_agent_undrain},
    {"agent revoke", "AGENT", "Shut an agent out for good",
     "Asks first when it runs work; without a terminal only --yes does it. 'agent drain' lets it "
     "finish before.",
     "penstock agent revoke build-3 --reason 'host was sold'", 1, 1, revoke_options,
     pen_cmd_agent_revoke},

    {"repo create", "NAME", "Make a bare git repository on the controller", NULL,
     "git remote add penstock \"$(penstock repo create site)\"", 1, 1, NULL, pen_cmd_repo_create},
    {"repo list", "", "List the controller's git repositories", NULL,
     "penstock repo list --output json", 0, 0, NULL, pen_cmd_repo_list},
    {"repo delete", "NAME", "Delete a git repository of the controller with all its commits",
     "Asks first when pipelines use it; without a terminal only --yes does it.",
     "penstock repo delete site", 1, 1, yes_options, pen_cmd_repo_delete},
    {"connection create", "NAME", "Connect to a git server", NULL,
     "penstock connection create github --url https://github.com/ --username bot --secret-file "
     "token.txt",
     1, 1, connection_options, pen_cmd_connection_create},
    {"connection list", "", "List the connections to git servers", NULL, "penstock connection list",
     0, 0, NULL, pen_cmd_connection_list},
    {"connection delete", "ARN|NAME", "Delete a connection",
     "Asks first when pipelines use it; without a terminal only --yes does it.",
     "penstock connection delete github", 1, 1, yes_options, pen_cmd_connection_delete},
    {"webhook put", "NAME", "Make or change a webhook: a URL that starts a pipeline",
     "Prints the URL, a part of which cannot be guessed; a change keeps it. A call starts the "
     "pipeline when all filters pass: the body holds VALUE at PATH, or anything without VALUE.",
     "penstock webhook put push --pipeline site --action Source --secret-file f --filter "
     "$.ref=main",
     1, 1, webhook_options, pen_cmd_webhook_put},
    {"webhook list", "", "List the webhooks with their URLs", NULL, "penstock webhook list", 0, 0,
     NULL, pen_cmd_webhook_list},
    {"webhook delete", "NAME", "Delete a webhook; its URL is never used again", NULL,
     "penstock webhook delete site-push", 1, 1, NULL, pen_cmd_webhook_delete},

    {"revision put", "NAME STAGE ACTION REVISION", "Announce a revision that a source action has",
     "Starts the pipeline with it, and prints the execution's id. A revision that is known already "
     "starts nothing. Of a git repository it is a commit, whole or as 'penstock history' shows it.",
     "penstock revision put site Source Code 3774639351b10d56f22c6e9a5c5a2e3c4c7c1f9e", 4, 4,
     revision_options, pen_cmd_revision_put},

    {"doctor", "", "Check endpoint, credentials, clock and agents, and say what to do", NULL,
     "penstock doctor", 0, 0, NULL, pen_cmd_doctor},
    {"version", "", "Print the version of this program", NULL, "penstock version", 0, 0, NULL,
     pen_cmd_version},
    {"help", "[COMMAND]", "Print help", NULL, "penstock help pipeline create", 0, 2, NULL,
     pen_cmd_help},
    {0},
};

const struct pen_cli_command *pen_cli_find(const char *first, const char *second, size_t *ret_words)
{
    size_t length = strlen(first);
    for (const struct pen_cli_command *row = pen_cli_commands; row->name != NULL; row++) {
        if (strncmp(row->name, first, length) != 0)
            continue;
        if (row->name[length] == 0) {
            *ret_words = 1;
            return row;
        }
        if (row->name[length] == ' ' && second != NULL &&
            strcmp(row->name + length + 1, second) == 0) {
            *ret_words = 2;
            return row;
        }
    }
    return NULL;
}
