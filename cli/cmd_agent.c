/* penstock agent ... */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/confirm.h"
#include "cli/input.h"
#include "cli/show.h"
#include "cli/text.h"
#include "cli/work.h"
#include "common/base/cleanup.h"
#include "common/io/clock.h"

/* The one word that says most about an agent. */
static const char *condition(const json_t *agent)
{
    const char *status = pen_json_text(agent, "status");
    if (strcmp(status, "Enrolled") != 0)
        return status;
    if (!pen_json_flag(agent, "connected"))
        return "offline";
    if (pen_json_flag(agent, "suspect"))
        return "suspect";
    return pen_json_flag(agent, "draining") ? "draining" : "connected";
}

static void labels_put(const json_t *agent, struct pen_table *table)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    json_t *labels = json_object_get(agent, "labels");
    const char *key;
    json_t *value;
    json_object_foreach(labels, key, value)
    {
        const char *word = json_string_value(value);
        pen_buf_printf(&text, "%s%s=%s", text.size == 0 ? "" : ",", key, word == NULL ? "" : word);
    }
    pen_table_cell(table, pen_buf_text(&text));
}

static void agent_row(const json_t *agent, struct pen_table *table)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf slots = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf seen = {0};
    const json_t *host = json_object_get(agent, "host");
    const char *reason = pen_json_text(agent, "statusReason");
    pen_buf_printf(&slots, "%" PRId64 "/%" PRId64, pen_json_number(agent, "busySlots"),
                   pen_json_number(agent, "slots"));
    pen_text_age(pen_json_time_ms(agent, "lastSeen"), pen_clock_wall_ms(), &seen);
    pen_table_cell(table, pen_json_text(agent, "name"));
    pen_table_cell(table, condition(agent));
    pen_table_cell(table, pen_buf_text(&slots));
    labels_put(agent, table);
    pen_table_cell(table, pen_json_text(host, "version"));
    pen_table_cell(table, pen_buf_text(&seen));
    pen_table_cell(table, reason[0] != 0 ? reason : pen_json_text(host, "isolation"));
}

int pen_cmd_agent_list(struct pen_cli *cli, struct pen_error *err)
{
    static const char *const headings[] = {"AGENT",   "STATE", "BUSY", "LABELS",
                                           "VERSION", "SEEN",  "NOTE", NULL};
    static const struct pen_listing listing = {
        PEN_SERVICE_PENSTOCK, "ListAgents", "agents", headings, 1, agent_row};
    return pen_show_listing(cli, &listing, err);
}

static bool is_wanted(const struct pen_cli *cli, const json_t *agent)
{
    const char *wanted = pen_cli_argument(cli, 0);
    return wanted == NULL || strcmp(wanted, pen_json_text(agent, "name")) == 0 ||
           strcmp(wanted, pen_json_text(agent, "agentId")) == 0;
}

static void work_row(const struct pen_work *each, struct pen_table *table)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf since = {0};
    const json_t *work = each->work;
    pen_text_age(pen_json_time_ms(work, "since"), pen_clock_wall_ms(), &since);
    pen_table_cell(table, pen_json_text(each->agent, "name"));
    pen_table_cell(table, pen_json_text(work, "state"));
    pen_table_cell(table, pen_json_text(work, "pipelineName"));
    pen_table_cell(table, pen_json_text(work, "stageName"));
    pen_table_cell(table, pen_json_text(work, "actionName"));
    pen_table_cell(table, pen_json_text(work, "class"));
    pen_table_cell(table, pen_json_text(work, "pipelineExecutionId"));
    pen_table_cell(table, pen_buf_text(&since));
    pen_table_cell(table, pen_json_flag(work, "abandoned") ? "GIVEN UP" : "");
}

int pen_cmd_agent_work(struct pen_cli *cli, struct pen_error *err)
{
    static const char *const headings[] = {"AGENT", "STATE",     "PIPELINE", "STAGE", "ACTION",
                                           "CLASS", "EXECUTION", "SINCE",    "NOTE"};
    json_t *agents = NULL;
    int rc = pen_work_list(cli, &agents, err);
    if (rc < 0)
        return rc;
    bool found = pen_cli_argument(cli, 0) == NULL;
    size_t index;
    json_t *agent;
    int64_t left_out = 0;
    json_array_foreach(pen_json_list(agents, "agents"), index, agent)
    {
        found = found || is_wanted(cli, agent);
        left_out += is_wanted(cli, agent) ? pen_json_number(agent, "workLeftOut") : 0;
    }
    if (!found) {
        rc = pen_fail(err, PEN_ENOTFOUND, "there is no agent '%.100s'", pen_cli_argument(cli, 0));
    } else if (cli->json) {
        pen_show_word(cli, agents, "");
    } else {
        PEN_CLEANUP(pen_table_release) struct pen_table table = {0};
        pen_table_begin(&table, sizeof headings / sizeof headings[0], headings, 1, cli->color);
        size_t position = 0;
        struct pen_work each;
        while (pen_work_next(agents, &position, &each))
            if (is_wanted(cli, each.agent))
                work_row(&each, &table);
        pen_table_print(&table);
        if (left_out > 0)
            (void)fprintf(stderr, "%" PRId64 " more are under way, and not listed\n", left_out);
    }
    json_decref(agents);
    return rc;
}

static int token_input(const struct pen_cli *cli, json_t *input, struct pen_error *err)
{
    int64_t slots = 0;
    int64_t ttl_ms = 0;
    json_t *labels = NULL;
    const char *text = pen_cli_option(cli, "--labels");
    int rc = pen_input_number(cli, "--slots", 4096, 0, &slots, err);
    if (rc == 0)
        rc = pen_input_duration(cli, "--ttl", 0, &ttl_ms, err);
    if (rc == 0 && text != NULL)
        rc = pen_input_labels(text, &labels, err);
    if (rc < 0)
        return rc;
    if (pen_cli_option(cli, "--ttl") != NULL && ttl_ms < 1000)
        rc = pen_fail(err, PEN_EINVAL, "--ttl: a token has to live a second at least");
    if (labels != NULL)
        (void)json_object_set_new(input, "labels", labels);
    if (slots > 0)
        (void)json_object_set_new(input, "slots", json_integer(slots));
    if (ttl_ms > 0)
        (void)json_object_set_new(input, "ttlSeconds", json_integer(ttl_ms / 1000));
    return rc;
}

int pen_cmd_agent_token(struct pen_cli *cli, struct pen_error *err)
{
    json_t *input = json_object();
    int rc = token_input(cli, input, err);
    if (rc < 0) {
        json_decref(input);
        return rc;
    }
    json_t *output = NULL;
    rc = pen_cli_call(cli, PEN_SERVICE_PENSTOCK, "CreateAgentToken", input, &output, err);
    if (rc < 0)
        return rc;
    pen_show_word(cli, output, pen_json_text(output, "token"));
    if (!cli->json) {
        PEN_CLEANUP(pen_buf_release) struct pen_buf until = {0};
        pen_text_time(pen_json_time_ms(output, "expiresAt"), &until);
        (void)fprintf(stderr,
                      "good for one agent until %s:\n"
                      "  penstock-agent --controller HOST:PORT --token TOKEN --data DIR\n",
                      pen_buf_text(&until));
    }
    json_decref(output);
    return 0;
}

static int change(struct pen_cli *cli, const char *operation, const char *done,
                  struct pen_error *err)
{
    const char *agent = pen_cli_argument(cli, 0);
    json_t *input = json_pack("{s:s}", "agentId", agent);
    if (cli->command->options != NULL)
        pen_input_set(input, "reason", pen_cli_option(cli, "--reason"));
    return pen_cli_call_done(cli, PEN_SERVICE_PENSTOCK, operation, input, err, "agent '%s' %s",
                             agent, done);
}

int pen_cmd_agent_drain(struct pen_cli *cli, struct pen_error *err)
{
    return change(cli, "DrainAgent", "gets no more work; what runs goes on", err);
}

int pen_cmd_agent_undrain(struct pen_cli *cli, struct pen_error *err)
{
    return change(cli, "UndrainAgent", "gets work again", err);
}

/* An agent that is revoked in the middle of its work leaves outcomes that nobody knows. */
int pen_cmd_agent_revoke(struct pen_cli *cli, struct pen_error *err)
{
    const char *name = pen_cli_argument(cli, 0);
    json_t *output = NULL;
    int64_t busy = 0;
    int rc = pen_cli_call_pages(cli, PEN_SERVICE_PENSTOCK, "ListAgents", json_object(), "agents",
                                &output, err);
    size_t index;
    json_t *agent;
    json_array_foreach(pen_json_list(output, "agents"), index, agent)
    {
        if (strcmp(pen_json_text(agent, "name"), name) == 0 ||
            strcmp(pen_json_text(agent, "agentId"), name) == 0)
            busy += pen_json_number(agent, "busySlots");
    }
    json_decref(output);
    PEN_CLEANUP(pen_buf_release) struct pen_buf what = {0};
    pen_buf_printf(&what,
                   "agent '%s' is shut out for good while it works (slots in use: %" PRId64
                   "): what it runs goes on, but its results are lost",
                   name, busy);
    if (rc == 0 && busy > 0)
        rc = pen_confirm(cli, pen_buf_text(&what), err);
    if (rc < 0)
        return rc;
    return change(cli, "RevokeAgent", "is shut out", err);
}
