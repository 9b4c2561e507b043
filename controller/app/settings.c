#include "controller/app/settings.h"

#include <stdbool.h>
#include <string.h>

#include "common/base/limits.h"

enum {
    SECOND_MS = 1000,
    MINUTE_MS = 60 * SECOND_MS,
};
#define DAY_MS (24 * 60 * (int64_t)MINUTE_MS)

const struct pen_config_key pen_controller_keys[] = {
    {"data", PEN_CONFIG_TEXT, "", 0, 0, "Folder of everything that lasts. Made when missing."},
    {"http", PEN_CONFIG_ADDRESS, "127.0.0.1:7480", 0, 0,
     "Where the API is served. Port 0 picks a free one; see endpoints.json."},
    {"control", PEN_CONFIG_ADDRESS, "127.0.0.1:7420", 0, 0, "Where agents call."},
    {"bulk", PEN_CONFIG_ADDRESS, "127.0.0.1:7421", 0, 0, "Where agents bring logs and artifacts."},
    {"public-url", PEN_CONFIG_TEXT, "", 0, 300,
     "Where others reach the API, such as https://ci.example.org when a proxy stands before it; "
     "webhooks are shown below it. Without it: the host that the caller named, with http."},
    {"account", PEN_CONFIG_TEXT, "000000000000", 12, 12, "Account of every ARN: 12 digits."},
    {"region", PEN_CONFIG_TEXT, "us-east-1", 4, 30, "Region of every ARN and signature."},
    {"poll-interval", PEN_CONFIG_DURATION, "60s", SECOND_MS, DAY_MS,
     "How often a branch is looked at when nothing tells of its pushes."},
    {"fetch-timeout", PEN_CONFIG_DURATION, "10m", SECOND_MS, DAY_MS,
     "A git fetch that takes longer is killed."},
    {"heartbeat", PEN_CONFIG_DURATION, "10s", 100, 10 * MINUTE_MS, "How often agents report."},
    {"agent-suspect", PEN_CONFIG_DURATION, "30s", 200, DAY_MS,
     "A silent agent gets no new work after this."},
    {"agent-lost", PEN_CONFIG_DURATION, "5m", 500, DAY_MS,
     "A silent agent's repeatable work is given to others after this."},
    {"approval-timeout", PEN_CONFIG_DURATION, "7d", MINUTE_MS, 60 * DAY_MS,
     "An approval without an answer fails after this, unless the action says otherwise."},
    {"action-timeout", PEN_CONFIG_DURATION, "55m", SECOND_MS, 7 * DAY_MS,
     "Commands are ended after this."},
    {"job-timeout", PEN_CONFIG_DURATION, "24h", SECOND_MS, 30 * DAY_MS,
     "An action of a custom type that job workers have not ended fails after this."},
    {"job-visibility", PEN_CONFIG_DURATION, "60s", SECOND_MS, DAY_MS,
     "A job that its worker has not acknowledged is offered to others after this."},
    {"job-continuation", PEN_CONFIG_DURATION, "30s", SECOND_MS, DAY_MS,
     "The pause before a job that continues another is offered."},
    {"pipelines-max", PEN_CONFIG_INTEGER, "1000", 1, PEN_LIMIT_PIPELINES_CONFIGURED,
     "Pipelines at most."},
    {"executions-max", PEN_CONFIG_INTEGER, "50", 1, PEN_LIMIT_PIPELINE_EXECUTIONS_CONFIGURED,
     "Executions of one QUEUED or PARALLEL pipeline at most, running and waiting."},
    {"parallel-actions-max", PEN_CONFIG_INTEGER, "5", 1, PEN_LIMIT_PARALLEL_ACTIONS_CONFIGURED,
     "Actions at most that run at once in one execution of a PARALLEL pipeline."},
    {"stages-max", PEN_CONFIG_INTEGER, "50", PEN_STAGES_MIN, PEN_STAGES_CONFIGURED_MAX,
     "Stages of a pipeline at most."},
    {"stage-actions-max", PEN_CONFIG_INTEGER, "100", 1, PEN_ACTIONS_PER_STAGE_CONFIGURED_MAX,
     "Actions of a stage at most."},
    {"pipeline-actions-max", PEN_CONFIG_INTEGER, "1000", PEN_STAGES_MIN,
     PEN_ACTIONS_PER_PIPELINE_CONFIGURED_MAX, "Actions of a pipeline at most."},
    {"webhooks-max", PEN_CONFIG_INTEGER, "300", 1, PEN_LIMIT_WEBHOOKS_CONFIGURED,
     "Webhooks at most."},
    {"action-types-max", PEN_CONFIG_INTEGER, "50", 1, PEN_LIMIT_ACTION_TYPES_CONFIGURED,
     "Custom action types at most, not counting deleted ones."},
    {"polling-pipelines-max", PEN_CONFIG_INTEGER, "300", 1, PEN_LIMIT_POLLING_PIPELINES_CONFIGURED,
     "Pipelines at most that look for changes by themselves at every poll-interval."},
    {"history-age", PEN_CONFIG_DURATION, "396d", SECOND_MS, 36600 * DAY_MS,
     "An execution stays in history for this long after its end, with its logs and artifacts."},
    {"history-count", PEN_CONFIG_INTEGER, "50", 0, PEN_LIMIT_HISTORY_COUNT_CONFIGURED,
     "The newest executions of each pipeline that stay in history at any age."},
    {"collect-interval", PEN_CONFIG_DURATION, "6h", MINUTE_MS, 30 * DAY_MS,
     "How often what is not needed any more is looked for, and deleted."},
    {"disk-reserve", PEN_CONFIG_SIZE, "64MiB", 0, INT64_C(1) << 50,
     "With less free space than this under the data folder, new work is refused."},
    {0},
};

static int check_account(const char *account, struct pen_error *err)
{
    if (strlen(account) != 12 || strspn(account, "0123456789") != 12)
        return pen_fail(err, PEN_EINVAL, "account '%s' is not 12 digits", account);
    return 0;
}

/* An address to put paths behind: host, port and perhaps a path; nothing secret, as it is shown. */
static int check_public_url(const char *url, struct pen_error *err)
{
    if (url[0] == '\0')
        return 0;
    const char *host = strncmp(url, "https://", 8) == 0  ? url + 8
                       : strncmp(url, "http://", 7) == 0 ? url + 7
                                                         : NULL;
    size_t size = host == NULL ? 0 : strlen(host);
    bool good = size > 0 && host[0] != '/' && host[size - 1] != '/';
    for (size_t i = 0; good && i < size; i++)
        good = host[i] > ' ' && host[i] < 0x7f && strchr("?#@\"\\<>", host[i]) == NULL;
    return good ? 0
                : pen_fail(err, PEN_EINVAL,
                           "public-url is no address such as https://ci.example.org: with http or "
                           "https, without a user, a query or a last slash");
}

int pen_settings_from_config(const struct pen_config *config,
                             struct pen_controller_settings *ret_settings, struct pen_error *err)
{
    struct pen_controller_settings settings = {
        .dir = pen_config_text(config, "data"),
        .http_address = pen_config_text(config, "http"),
        .control_address = pen_config_text(config, "control"),
        .bulk_address = pen_config_text(config, "bulk"),
        .public_url = pen_config_text(config, "public-url"),
        .account = pen_config_text(config, "account"),
        .region = pen_config_text(config, "region"),
        .poll_interval_ms = pen_config_number(config, "poll-interval"),
        .fetch_timeout_ms = pen_config_number(config, "fetch-timeout"),
        .heartbeat_ms = pen_config_number(config, "heartbeat"),
        .suspect_ms = pen_config_number(config, "agent-suspect"),
        .lost_ms = pen_config_number(config, "agent-lost"),
        .approval_timeout_ms = pen_config_number(config, "approval-timeout"),
        .action_timeout_ms = pen_config_number(config, "action-timeout"),
        .job_timeout_ms = pen_config_number(config, "job-timeout"),
        .job_visibility_ms = pen_config_number(config, "job-visibility"),
        .job_continuation_ms = pen_config_number(config, "job-continuation"),
        .pipelines_max = (uint32_t)pen_config_number(config, "pipelines-max"),
        .executions_max = (uint32_t)pen_config_number(config, "executions-max"),
        .parallel_actions_max = (uint32_t)pen_config_number(config, "parallel-actions-max"),
        .structure = {.stages = (uint32_t)pen_config_number(config, "stages-max"),
                      .actions_per_stage = (uint32_t)pen_config_number(config, "stage-actions-max"),
                      .actions = (uint32_t)pen_config_number(config, "pipeline-actions-max")},
        .webhooks_max = (uint32_t)pen_config_number(config, "webhooks-max"),
        .action_types_max = (uint32_t)pen_config_number(config, "action-types-max"),
        .polling_pipelines_max = (uint32_t)pen_config_number(config, "polling-pipelines-max"),
        .history_age_ms = pen_config_number(config, "history-age"),
        .history_count = (uint32_t)pen_config_number(config, "history-count"),
        .collect_interval_ms = pen_config_number(config, "collect-interval"),
        .reserve_bytes = (uint64_t)pen_config_number(config, "disk-reserve"),
    };
    if (settings.dir[0] == '\0')
        return pen_fail(err, PEN_EINVAL, "no data folder; give --data DIR");
    if (settings.heartbeat_ms >= settings.suspect_ms || settings.suspect_ms >= settings.lost_ms)
        return pen_fail(err, PEN_EINVAL,
                        "heartbeat, agent-suspect and agent-lost have to grow in this order");
    int rc = check_account(settings.account, err);
    if (rc == 0)
        rc = check_public_url(settings.public_url, err);
    if (rc == 0)
        *ret_settings = settings;
    return rc;
}
