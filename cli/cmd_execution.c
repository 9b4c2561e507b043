/* penstock start, watch, stop, retry, status, history */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input.h"
#include "cli/reason.h"
#include "cli/meant.h"
#include "cli/show.h"
#include "cli/state.h"
#include "cli/text.h"
#include "cli/watch.h"
#include "common/base/cleanup.h"
#include "common/io/clock.h"
#include "common/io/random.h"

/* ---- start and watch */

/* "a=b" options into a list of {first: a, second: b, also}. */
static int pairs_take(const struct pen_cli *cli, const char *option, const char *first,
                      const char *second, const char *type, json_t *ret_list, struct pen_error *err)
{
    const char *text;
    for (size_t i = 0; (text = pen_cli_option_at(cli, option, i)) != NULL; i++) {
        const char *equals = strchr(text, '=');
        if (equals == NULL || equals == text)
            return pen_fail(err, PEN_EINVAL, "%s: '%.64s' has no '='", option, text);
        json_t *pair =
            json_pack("{s:s%, s:s}", first, text, (size_t)(equals - text), second, equals + 1);
        if (pair == NULL)
            return pen_fail(err, PEN_EINVAL, "%s: '%.64s' is not UTF-8", option, text);
        pen_input_set(pair, "revisionType", type);
        (void)json_array_append_new(ret_list, pair);
    }
    return 0;
}

/* Make the commits of --revision whole, and their actions those of STAGE/ACTION. */
static int revisions_complete(struct pen_cli *cli, json_t *revisions, struct pen_error *err)
{
    int rc = 0;
    size_t index;
    json_t *each;
    json_array_foreach(revisions, index, each)
    {
        const char *action = pen_json_text(each, "actionName");
        const char *slash = strchr(action, '/');
        const char *commit = NULL;
        action = slash == NULL ? action : pen_cli_keep(cli, slash + 1, strlen(slash + 1), err);
        rc = action == NULL ? PEN_ENOMEM
                            : pen_meant_revision(cli, action, pen_json_text(each, "revisionValue"),
                                                 &commit, err);
        if (rc < 0) {
            pen_error_prefix(err, "--revision");
            return rc;
        }
        pen_input_set(each, "actionName", action);
        pen_input_set(each, "revisionValue", commit);
    }
    return rc;
}

static int start_input(struct pen_cli *cli, json_t **ret_input, struct pen_error *err)
{
    char token[37];
    json_t *variables = json_array();
    json_t *revisions = json_array();
    int rc = pen_random_uuid(token, err);
    if (rc == 0)
        rc = pairs_take(cli, "--variable", "name", "value", NULL, variables, err);
    if (rc == 0)
        rc = pairs_take(cli, "--revision", "actionName", "revisionValue", "COMMIT_ID", revisions,
                        err);
    if (rc == 0)
        rc = revisions_complete(cli, revisions, err);
    if (rc == 0) {
        json_t *input =
            json_pack("{s:s, s:s}", "name", pen_cli_argument(cli, 0), "clientRequestToken", token);
        if (json_array_size(variables) > 0)
            (void)json_object_set(input, "variables", variables);
        if (json_array_size(revisions) > 0)
            (void)json_object_set(input, "sourceRevisions", revisions);
        *ret_input = input;
    }
    json_decref(variables);
    json_decref(revisions);
    return rc;
}

static int watch_options(const struct pen_cli *cli, struct pen_watch_options *ret_options,
                         struct pen_error *err)
{
    *ret_options = (struct pen_watch_options){
        .pipeline = pen_cli_argument(cli, 0),
        .execution = pen_cli_argument(cli, 1),
        .logs = pen_cli_option(cli, "--no-logs") == NULL,
        .raw = pen_cli_option(cli, "--raw") != NULL,
    };
    int rc = pen_input_duration(cli, "--timeout", -1, &ret_options->timeout_ms, err);
    if (rc == 0 && cli->json)
        rc = pen_fail(err, PEN_EINVAL, "following has no JSON output; 'penstock history' has");
    return rc;
}

/* Before anything is started: options of --watch that are wrong, or given without it. */
static int start_options(const struct pen_cli *cli, struct pen_watch_options *ret_options,
                         struct pen_error *err)
{
    static const char *const of_watch[] = {"--no-logs", "--raw", "--timeout"};
    if (pen_cli_option(cli, "--watch") != NULL)
        return watch_options(cli, ret_options, err);
    for (size_t i = 0; i < sizeof of_watch / sizeof of_watch[0]; i++)
        if (pen_cli_option(cli, of_watch[i]) != NULL)
            return pen_fail(err, PEN_EINVAL, "%s means nothing without --watch", of_watch[i]);
    return 0;
}

int pen_cmd_start(struct pen_cli *cli, struct pen_error *err)
{
    struct pen_watch_options options = {0};
    json_t *input = NULL;
    json_t *output = NULL;
    int rc = start_options(cli, &options, err);
    if (rc == 0)
        rc = start_input(cli, &input, err);
    if (rc == 0)
        rc = pen_cli_call(cli, PEN_SERVICE_CODEPIPELINE, "StartPipelineExecution", input, &output,
                          err);
    if (rc < 0)
        return rc;
    options.execution = pen_json_text(output, "pipelineExecutionId");
    pen_show_word(cli, output, options.execution);
    if (pen_cli_option(cli, "--watch") != NULL)
        rc = pen_watch(cli, &options, err);
    json_decref(output);
    return rc;
}

int pen_cmd_watch(struct pen_cli *cli, struct pen_error *err)
{
    struct pen_watch_options options;
    int rc = watch_options(cli, &options, err);
    return rc < 0 ? rc : pen_watch(cli, &options, err);
}

/* ---- status */

/* The first block of a UUID is what people compare. */
static void put_short_id(struct pen_table *table, const char *id)
{
    char text[9];
    (void)snprintf(text, sizeof text, "%s", id);
    pen_table_cell(table, text);
}

static void status_row(const struct pen_state_action *each, int64_t now_ms, struct pen_table *table)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf age = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf status = {0};
    const json_t *execution = json_object_get(each->stage, "latestExecution");
    int64_t percent = pen_json_number(each->latest, "percentComplete");
    pen_buf_puts(&status,
                 pen_state_is_approval(each) ? "Approval" : pen_json_text(each->latest, "status"));
    if (percent > 0 && strcmp(pen_json_text(each->latest, "status"), "InProgress") == 0)
        pen_buf_printf(&status, " %" PRId64 "%%", percent);
    if (each->latest != NULL)
        pen_text_age(pen_json_time_ms(each->latest, "lastStatusChange"), now_ms, &age);
    pen_table_cell(table, each->stage_name);
    pen_table_cell(table, each->action_name);
    pen_table_cell(table, pen_buf_text(&status));
    pen_table_cell(table, pen_buf_text(&age));
    put_short_id(table, pen_json_text(execution, "pipelineExecutionId"));
    pen_table_cell(table, pen_state_note(each->latest));
}

/* "stage NAME" */
static void put_stage(const json_t *stage, struct pen_buf *text)
{
    pen_buf_puts(text, "stage ");
    pen_text_clean(pen_json_text(stage, "stageName"), text);
}

/* A condition that is not met, or not yet: no action tells of it. */
static void condition_note(const json_t *stage, const char *member, const char *kind,
                           int64_t now_ms, struct pen_buf *text)
{
    const json_t *state = json_object_get(stage, member);
    const json_t *latest = json_object_get(state, "latestExecution");
    const json_t *condition = json_array_get(pen_json_list(state, "conditionStates"), 0);
    const json_t *last = json_object_get(condition, "latestExecution");
    const char *status = pen_json_text(latest, "status");
    if (status[0] == 0 || strcmp(status, "Succeeded") == 0)
        return;
    put_stage(stage, text);
    pen_buf_printf(text, ": condition %s ", kind);
    pen_text_clean(status, text);
    pen_buf_puts(text, ", ");
    pen_text_age(pen_json_time_ms(last, "lastStatusChange"), now_ms, text);
    if (pen_json_text(latest, "summary")[0] != 0) {
        pen_buf_puts(text, ": ");
        pen_text_clean(pen_json_text(latest, "summary"), text);
    }
    pen_buf_putc(text, '\n');
    size_t index;
    json_t *rule;
    json_array_foreach(pen_json_list(condition, "ruleStates"), index, rule)
    {
        const json_t *execution = json_object_get(rule, "latestExecution");
        if (strcmp(pen_json_text(execution, "status"), "InProgress") != 0)
            continue;
        pen_buf_puts(text, "    rule ");
        pen_text_clean(pen_json_text(rule, "ruleName"), text);
        pen_buf_puts(text, ": ");
        pen_text_clean(pen_state_note(execution), text);
        pen_buf_putc(text, '\n');
    }
}

static void condition_notes(const json_t *stage, int64_t now_ms, struct pen_buf *text)
{
    condition_note(stage, "beforeEntryConditionState", "beforeEntry", now_ms, text);
    condition_note(stage, "onSuccessConditionState", "onSuccess", now_ms, text);
    condition_note(stage, "onFailureConditionState", "onFailure", now_ms, text);
}

/* What stands in the way of a stage, below the table. */
static void stage_notes(const json_t *stage, int64_t now_ms)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    const json_t *gate = json_object_get(stage, "inboundTransitionState");
    const json_t *enabled = json_object_get(gate, "enabled");
    if (json_is_false(enabled)) {
        put_stage(stage, &text);
        pen_buf_puts(&text, " is closed by ");
        pen_text_clean(pen_json_text(gate, "lastChangedBy"), &text);
        pen_buf_puts(&text, ", ");
        pen_text_age(pen_json_time_ms(gate, "lastChangedAt"), now_ms, &text);
        pen_buf_puts(&text, ": ");
        pen_text_clean(pen_json_text(gate, "disabledReason"), &text);
        pen_buf_putc(&text, '\n');
    }
    condition_notes(stage, now_ms, &text);
    size_t index;
    json_t *inbound;
    json_array_foreach(pen_json_list(stage, "inboundExecutions"), index, inbound)
    {
        put_stage(stage, &text);
        pen_buf_puts(&text, ": execution ");
        pen_text_clean(pen_json_text(inbound, "pipelineExecutionId"), &text);
        pen_buf_puts(&text, " waits to enter\n");
    }
    (void)fputs(pen_buf_text(&text), stdout);
}

static void status_print(const struct pen_cli *cli, const json_t *state)
{
    static const char *const headings[] = {"STAGE", "ACTION",    "STATUS",
                                           "SINCE", "EXECUTION", "NOTE"};
    PEN_CLEANUP(pen_table_release) struct pen_table table = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf name = {0};
    int64_t now_ms = pen_clock_wall_ms();
    size_t position = 0;
    bool any = false;
    struct pen_state_action each;
    pen_table_begin(&table, 6, headings, 2, cli->color);
    while (pen_state_next(state, &position, &each)) {
        status_row(&each, now_ms, &table);
        any = any || each.latest != NULL;
    }
    pen_text_clean(pen_json_text(state, "pipelineName"), &name);
    (void)printf("%s, version %" PRId64 "\n", pen_buf_text(&name),
                 pen_json_number(state, "pipelineVersion"));
    pen_table_print(&table);
    size_t index;
    json_t *stage;
    json_array_foreach(pen_json_list(state, "stageStates"), index, stage)
        stage_notes(stage, now_ms);
    if (!any)
        (void)printf("no action of it has a state, as in PARALLEL mode: penstock history %s\n",
                     pen_buf_text(&name));
}

/* Below the table: sources of the pipeline (NULL: of all) whose pushes start nothing. */
static int troubles_print(struct pen_cli *cli, const char *pipeline, struct pen_error *err)
{
    json_t *health = NULL;
    int rc = pen_cli_call(cli, PEN_SERVICE_PENSTOCK, "GetHealth", json_object(), &health, err);
    if (rc < 0)
        return rc;
    size_t index;
    json_t *trouble;
    json_array_foreach(pen_json_list(health, "sourceTroubles"), index, trouble)
    {
        PEN_CLEANUP(pen_buf_release) struct pen_buf raw = {0};
        PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
        const char *name = pen_json_text(trouble, "pipelineName");
        if (pipeline != NULL && strcmp(pipeline, name) != 0)
            continue;
        pen_buf_printf(&raw, "%s/%s/%s cannot be looked at for changes: %s", name,
                       pen_json_text(trouble, "stageName"), pen_json_text(trouble, "actionName"),
                       pen_json_text(trouble, "trouble"));
        pen_text_clean(pen_buf_text(&raw), &text);
        (void)printf("%s\n", pen_buf_text(&text));
    }
    json_decref(health);
    return 0;
}

/* One row for a pipeline: its latest execution. */
static int overview_row(struct pen_cli *cli, const char *name, struct pen_table *table,
                        json_t *ret_all, struct pen_error *err)
{
    json_t *output = NULL;
    int rc =
        pen_cli_call(cli, PEN_SERVICE_CODEPIPELINE, "ListPipelineExecutions",
                     json_pack("{s:s, s:i}", "pipelineName", name, "maxResults", 1), &output, err);
    if (rc == PEN_ENOTFOUND) /* deleted since it was listed */
        return 0;
    if (rc < 0)
        return rc;
    const json_t *latest = json_array_get(pen_json_list(output, "pipelineExecutionSummaries"), 0);
    PEN_CLEANUP(pen_buf_release) struct pen_buf age = {0};
    pen_text_age(pen_json_time_ms(latest, "lastUpdateTime"), pen_clock_wall_ms(), &age);
    pen_table_cell(table, name);
    pen_table_cell(table, pen_json_text(latest, "status"));
    pen_table_cell(table, pen_buf_text(&age));
    put_short_id(table, pen_json_text(latest, "pipelineExecutionId"));
    pen_table_cell(table, pen_json_text(latest, "statusSummary"));
    (void)json_object_set_new(output, "pipelineName", json_string(name));
    (void)json_array_append(ret_all, output);
    json_decref(output);
    return 0;
}

static int overview(struct pen_cli *cli, struct pen_error *err)
{
    static const char *const headings[] = {"PIPELINE", "LATEST", "CHANGED", "EXECUTION", "NOTE"};
    PEN_CLEANUP(pen_table_release) struct pen_table table = {0};
    json_t *output = NULL;
    int rc = pen_cli_call_pages(cli, PEN_SERVICE_CODEPIPELINE, "ListPipelines", json_object(),
                                "pipelines", &output, err);
    if (rc < 0)
        return rc;
    pen_table_begin(&table, 5, headings, 1, cli->color);
    json_t *all = json_array();
    size_t index;
    json_t *row;
    json_array_foreach(pen_json_list(output, "pipelines"), index, row)
    {
        if (rc == 0)
            rc = overview_row(cli, pen_json_text(row, "name"), &table, all, err);
    }
    if (rc == 0 && cli->json)
        pen_print_json(all);
    else if (rc == 0)
        pen_table_print(&table);
    if (rc == 0 && !cli->json)
        rc = troubles_print(cli, NULL, err);
    json_decref(all);
    json_decref(output);
    return rc;
}

/* Which person, group or program has to act, below all that. */
static int acts_print(struct pen_cli *cli, const char *pipeline, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    json_t *output = NULL;
    int rc = pen_cli_call(cli, PEN_SERVICE_PENSTOCK, "Explain",
                          json_pack("{s:s}", "pipelineName", pipeline), &output, err);
    if (rc < 0)
        return rc;
    size_t index;
    json_t *reason;
    json_array_foreach(pen_json_list(output, "reasons"), index, reason)
        pen_reason_put_act(reason, &text);
    (void)fputs(pen_buf_text(&text), stdout);
    json_decref(output);
    return 0;
}

int pen_cmd_status(struct pen_cli *cli, struct pen_error *err)
{
    const char *name = pen_cli_argument(cli, 0);
    json_t *state = NULL;
    if (name == NULL)
        return overview(cli, err);
    int rc = pen_state_get(cli, name, &state, err);
    if (rc < 0)
        return rc;
    if (cli->json)
        pen_print_json(state);
    else
        status_print(cli, state);
    json_decref(state);
    if (cli->json)
        return 0;
    rc = troubles_print(cli, name, err);
    return rc < 0 ? rc : acts_print(cli, name, err);
}

/* ---- history */

static void execution_row(const json_t *row, struct pen_table *table)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf revision = {0};
    const json_t *source = json_array_get(pen_json_list(row, "sourceRevisions"), 0);
    const json_t *trigger = json_object_get(row, "trigger");
    pen_buf_printf(&revision, "%.10s %.48s", pen_json_text(source, "revisionId"),
                   pen_json_text(source, "revisionSummary"));
    if (revision.size == 1)
        pen_buf_clear(&revision);
    pen_table_cell(table, pen_json_text(row, "pipelineExecutionId"));
    pen_table_cell(table, pen_json_text(row, "status"));
    pen_table_time(table, pen_json_time_ms(row, "startTime"));
    pen_table_time(table, pen_json_time_ms(row, "lastUpdateTime"));
    pen_table_cell(table, pen_json_text(trigger, "triggerType"));
    pen_table_cell(table, pen_buf_text(&revision));
}

static void action_row(const json_t *row, struct pen_table *table)
{
    const json_t *result = json_object_get(json_object_get(row, "output"), "executionResult");
    const char *problem = pen_json_text(json_object_get(result, "errorDetails"), "message");
    pen_table_cell(table, pen_json_text(row, "stageName"));
    pen_table_cell(table, pen_json_text(row, "actionName"));
    pen_table_cell(table, pen_json_text(row, "status"));
    pen_table_time(table, pen_json_time_ms(row, "startTime"));
    pen_table_time(table, pen_json_time_ms(row, "lastUpdateTime"));
    pen_table_cell(table,
                   problem[0] != 0 ? problem : pen_json_text(result, "externalExecutionSummary"));
}

static int history_get(struct pen_cli *cli, const char *execution, json_t **ret_output,
                       struct pen_error *err)
{
    int64_t limit = 0;
    int rc = pen_input_number(cli, "--limit", 100, 20, &limit, err);
    json_t *input = json_pack("{s:s}", "pipelineName", pen_cli_argument(cli, 0));
    if (rc == 0 && execution != NULL) {
        (void)json_object_set_new(input, "filter",
                                  json_pack("{s:s}", "pipelineExecutionId", execution));
        return pen_cli_call_pages(cli, PEN_SERVICE_CODEPIPELINE, "ListActionExecutions", input,
                                  "actionExecutionDetails", ret_output, err);
    }
    if (rc < 0) {
        json_decref(input);
        return rc;
    }
    (void)json_object_set_new(input, "maxResults", json_integer(limit));
    return pen_cli_call(cli, PEN_SERVICE_CODEPIPELINE, "ListPipelineExecutions", input, ret_output,
                        err);
}

int pen_cmd_history(struct pen_cli *cli, struct pen_error *err)
{
    static const char *const of_pipeline[] = {"EXECUTION", "STATUS",  "STARTED",
                                              "CHANGED",   "TRIGGER", "REVISION"};
    static const char *const of_execution[] = {"STAGE",   "ACTION",  "STATUS",
                                               "STARTED", "CHANGED", "NOTE"};
    const char *execution = pen_cli_argument(cli, 1);
    json_t *output = NULL;
    int rc = history_get(cli, execution, &output, err);
    if (rc < 0)
        return rc;
    if (cli->json) {
        pen_print_json(output);
        json_decref(output);
        return 0;
    }
    PEN_CLEANUP(pen_table_release) struct pen_table table = {0};
    pen_table_begin(&table, 6, execution == NULL ? of_pipeline : of_execution,
                    execution == NULL ? 1 : 2, cli->color);
    json_t *rows = pen_json_list(output, execution == NULL ? "pipelineExecutionSummaries"
                                                           : "actionExecutionDetails");
    for (size_t i = 0; i < json_array_size(rows); i++) { /* actions in the order they ran */
        size_t at = execution == NULL ? i : json_array_size(rows) - 1 - i;
        if (execution == NULL)
            execution_row(json_array_get(rows, at), &table);
        else
            action_row(json_array_get(rows, at), &table);
    }
    pen_table_print(&table);
    json_decref(output);
    return 0;
}
