/* penstock doctor, version, help: what is wrong, and what to do */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input.h"
#include "cli/text.h"
#include "common/base/cleanup.h"
#include "common/base/units.h"
#include "common/io/clock.h"

/* Signatures are good for five minutes either way; seconds already deserve a word. */
enum { SKEW_WARN_MS = 5 * 1000, SKEW_MAX_MS = 5 * 60 * 1000 };

/* ---- doctor */

struct doctor {
    struct pen_cli *cli;
    json_t *findings; /* for --output json */
};

static void find(struct doctor *self, const char *level, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* One finding: level is ok, WARN or FAIL. */
static void find(struct doctor *self, const char *level, const char *what, const char *format, ...)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf raw = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf mark = {0};
    va_list args;
    va_start(args, format);
    pen_buf_vprintf(&raw, format, args);
    va_end(args);
    pen_text_clean(pen_buf_text(&raw), &text);
    (void)json_array_append_new(
        self->findings,
        json_pack("{s:s, s:s, s:s}", "check", what, "result", level, "text", pen_buf_text(&text)));
    if (self->cli->json)
        return;
    pen_text_status(level, self->cli->color, &mark);
    (void)printf("%s%s %s: %s\n", pen_buf_text(&mark), strlen(level) < 4 ? "  " : "", what,
                 pen_buf_text(&text));
}

/* Keep the first failure's exit code. */
static void fail(struct doctor *self, int exit_code)
{
    if (self->cli->exit_code == PEN_EXIT_OK)
        self->cli->exit_code = exit_code;
}

static void check_clock(struct doctor *self, int64_t date_ms)
{
    char text[PEN_DURATION_TEXT_SIZE];
    int64_t skew_ms = pen_clock_wall_ms() - date_ms;
    int64_t size_ms = skew_ms < 0 ? -skew_ms : skew_ms;
    const char *side = skew_ms < 0 ? "behind" : "ahead of";
    pen_duration_format_brief(size_ms, text);
    if (date_ms == 0) {
        find(self, "WARN", "clock", "the controller told no date; cannot compare clocks");
    } else if (size_ms >= SKEW_MAX_MS) {
        find(self, "FAIL", "clock",
             "this host is %s %s the controller; requests are refused from 5 minutes on. Set the "
             "clocks, for example with: timedatectl set-ntp true",
             text, side);
        fail(self, PEN_EXIT_DENIED);
    } else if (size_ms >= SKEW_WARN_MS) {
        find(self, "WARN", "clock", "this host is %s %s the controller; set the clocks", text,
             side);
    } else {
        find(self, "ok", "clock", "agrees with the controller's to a few seconds");
    }
}

/* True if the controller answers at all. */
static bool check_endpoint(struct doctor *self)
{
    struct pen_error err = {0};
    const struct pen_settings *settings = &self->cli->settings;
    long status = 0;
    int64_t date_ms = 0;
    int rc = pen_client_probe(self->cli->client, "/healthz", &status, &date_ms, &err);
    if (rc < 0) {
        find(self, "FAIL", "endpoint",
             "%s. Is penstock-controller running there? Its DIR/endpoints.json says where it "
             "listens; tell me by --endpoint, PENSTOCK_ENDPOINT or ~/.config/penstock/config",
             err.message);
        fail(self, PEN_EXIT_UNAVAILABLE);
        return false;
    }
    if (status != 200) {
        find(self, "FAIL", "endpoint", "%s answers /healthz with status %ld: no Penstock, or ill",
             settings->endpoint, status);
        fail(self, PEN_EXIT_UNAVAILABLE);
        return true;
    }
    find(self, "ok", "endpoint", "%s (from %s)", settings->endpoint, settings->endpoint_origin);
    check_clock(self, date_ms);
    rc = pen_client_probe(self->cli->client, "/readyz", &status, &date_ms, &err);
    if (rc < 0 || status != 200) {
        find(self, "WARN", "ready",
             "not ready for work (status %ld): starting, stopping, or as is said below",
             rc < 0 ? 0 : status);
        fail(self, PEN_EXIT_UNAVAILABLE);
    }
    return true;
}

/* What is pushed to these starts nothing. */
static void check_sources(struct doctor *self, const json_t *health)
{
    size_t index;
    json_t *trouble;
    const json_t *troubles = pen_json_list(health, "sourceTroubles");
    json_array_foreach(troubles, index, trouble)
    {
        char since[PEN_DURATION_TEXT_SIZE];
        int64_t since_ms = pen_clock_wall_ms() - pen_json_time_ms(trouble, "since");
        pen_duration_format_brief(since_ms > 0 ? since_ms : 0, since);
        find(self, "WARN", "source", "%s/%s/%s cannot be looked at for changes, for %s: %s",
             pen_json_text(trouble, "pipelineName"), pen_json_text(trouble, "stageName"),
             pen_json_text(trouble, "actionName"), since, pen_json_text(trouble, "trouble"));
    }
    if (json_array_size(troubles) == 0)
        find(self, "ok", "sources", "all that are watched can be looked at");
}

static void show_health(struct doctor *self, const json_t *health)
{
    char uptime[PEN_DURATION_TEXT_SIZE];
    char size[PEN_SIZE_TEXT_SIZE];
    const char *version = pen_json_text(health, "version");
    double seconds = json_number_value(json_object_get(health, "uptimeSeconds"));
    int64_t bytes = pen_json_number(health, "databaseBytes");
    pen_duration_format_brief(seconds > 0 && seconds < 1e10 ? (int64_t)(seconds * 1000) : 0,
                              uptime);
    pen_size_format_brief(bytes < 0 ? 0 : (uint64_t)bytes, size);
    if (strcmp(version, PEN_VERSION) == 0)
        find(self, "ok", "version", "%s, up for %s", version, uptime);
    else
        find(self, "WARN", "version", "the controller is %s, this program " PEN_VERSION, version);
    find(self, "ok", "database", "%s", size);
    check_sources(self, health);
}

/* What is wrong, as the controller says it. Agents that decline are told with the agents, and
 * sources with the sources. */
static void show_reasons(struct doctor *self, const json_t *health)
{
    size_t index;
    json_t *reason;
    json_array_foreach(pen_json_list(health, "reasons"), index, reason)
    {
        const char *predicate = pen_json_text(reason, "predicate");
        const json_t *first = json_array_get(pen_json_list(reason, "commands"), 0);
        const char *command = json_string_value(first);
        bool full = strcmp(predicate, "disk_full") == 0;
        bool never = pen_json_flag(reason, "never");
        if (strcmp(predicate, "agent_refuses") == 0 || strcmp(predicate, "source_troubled") == 0)
            continue;
        find(self, full || never ? "FAIL" : "WARN", predicate, "%s: %s; until: %s%s%s",
             pen_json_text(reason, "subject"), pen_json_text(reason, "sentence"),
             pen_json_text(reason, "clears"),
             command == NULL ? "" : "; clears: ", command == NULL ? "" : command);
        if (full || never)
            fail(self, full ? PEN_EXIT_UNAVAILABLE : PEN_EXIT_FAILED);
    }
}

/* True if a signed request is let in. */
static bool check_credentials(struct doctor *self)
{
    struct pen_error err = {0};
    const struct pen_settings *settings = &self->cli->settings;
    json_t *health = NULL;
    int rc =
        pen_cli_call(self->cli, PEN_SERVICE_PENSTOCK, "GetHealth", json_object(), &health, &err);
    if (rc < 0) {
        find(self, "FAIL", "credentials", "%s%s%s%s", err.message,
             settings->credentials_origin == NULL ? "" : " (from ",
             settings->credentials_origin == NULL ? "" : settings->credentials_origin,
             settings->credentials_origin == NULL ? "" : ")");
        fail(self, pen_cli_exit_code(rc));
        return false;
    }
    find(self, "ok", "credentials", "%s, region %s", settings->credentials_origin,
         settings->region);
    show_health(self, health);
    show_reasons(self, health);
    json_decref(health);
    return true;
}

/* Whether it takes work; if not, says why. */
static bool check_agent(struct doctor *self, const json_t *agent)
{
    const char *name = pen_json_text(agent, "name");
    const char *refusal = pen_json_text(agent, "refusal");
    if (strcmp(pen_json_text(agent, "status"), "Quarantined") == 0)
        find(self, "WARN", "agent",
             "%s is quarantined: %s. Look at its host, and enrol it anew: "
             "penstock agent token",
             name, pen_json_text(agent, "statusReason"));
    else if (!pen_json_flag(agent, "connected"))
        find(self, "WARN", "agent", "%s is not connected; look at penstock-agent on its host",
             name);
    else if (pen_json_flag(agent, "suspect"))
        find(self, "WARN", "agent", "%s is silent; look at its host and at the way to it", name);
    else if (pen_json_flag(agent, "draining"))
        find(self, "WARN", "agent",
             "%s is draining and gets no work; to end that: penstock agent undrain %s", name, name);
    else if (refusal[0] != 0)
        find(self, "WARN", "agent", "%s declines work: %s", name, refusal);
    else
        return true;
    return false;
}

static void check_agents(struct doctor *self)
{
    struct pen_error err = {0};
    json_t *output = NULL;
    int rc = pen_cli_call_pages(self->cli, PEN_SERVICE_PENSTOCK, "ListAgents", json_object(),
                                "agents", &output, &err);
    if (rc < 0) {
        find(self, "FAIL", "agents", "%s", err.message);
        fail(self, pen_cli_exit_code(rc));
        return;
    }
    size_t enrolled = 0;
    size_t taking = 0;
    int64_t slots = 0;
    size_t index;
    json_t *agent;
    json_array_foreach(pen_json_list(output, "agents"), index, agent)
    {
        const char *status = pen_json_text(agent, "status");
        enrolled += strcmp(status, "Enrolled") == 0 ? 1 : 0;
        if (strcmp(status, "Revoked") != 0 && check_agent(self, agent)) {
            taking++;
            slots += pen_json_number(agent, "slots");
        }
    }
    if (taking == 0) {
        find(self, "FAIL", "agents", "no agent takes work. %s",
             enrolled > 0 ? "See above, or let another one join: penstock agent token --help"
                          : "On a host that is to run some: penstock-agent --controller HOST:7420 "
                            "--token \"$(penstock agent token)\" --data DIR");
        fail(self, PEN_EXIT_FAILED);
    } else {
        find(self, "ok", "agents", "%zu of %zu take work, with %" PRId64 " slots", taking, enrolled,
             slots);
    }
    json_decref(output);
}

int pen_cmd_doctor(struct pen_cli *cli, struct pen_error *err)
{
    int rc = pen_cli_open(cli, err);
    if (rc < 0)
        return rc;
    struct doctor self = {.cli = cli, .findings = json_array()};
    if (check_endpoint(&self) && check_credentials(&self))
        check_agents(&self);
    if (cli->json)
        pen_print_json(self.findings);
    json_decref(self.findings);
    return 0;
}

/* ---- version, help */

int pen_cmd_version(struct pen_cli *cli, struct pen_error *err)
{
    (void)err;
    (void)puts(cli->json ? "{\"version\": \"" PEN_VERSION "\"}" : "penstock " PEN_VERSION);
    return 0;
}

int pen_cmd_help(struct pen_cli *cli, struct pen_error *err)
{
    const char *first = pen_cli_argument(cli, 0);
    const char *second = pen_cli_argument(cli, 1);
    size_t words = 0;
    if (first == NULL) {
        pen_cli_help_all();
        return 0;
    }
    const struct pen_cli_command *command = pen_cli_find(first, second, &words);
    if (command != NULL && words == (second == NULL ? 1 : 2))
        pen_cli_help_command(command);
    else if (second != NULL || !pen_cli_help_group(first))
        return pen_fail(err, PEN_EINVAL, "there is no command '%.32s%s%.32s'; see 'penstock help'",
                        first, second == NULL ? "" : " ", second == NULL ? "" : second);
    return 0;
}
