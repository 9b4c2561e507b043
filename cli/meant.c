#include "cli/meant.h"

#include <string.h>

#include "cli/state.h"
#include "cli/text.h"
#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"

enum {
    STAGE_AT = 1, /* STAGE is always the word behind the pipeline's name */
    EXECUTIONS_MAX = 100,
    COMMIT_DIGITS = 40,        /* of SHA-1 */
    COMMIT_DIGITS_SHA256 = 64, /* of SHA-256 */
    REVISION_MIN = 7,          /* shorter ones soon name several; git's own default */
};

/* ---- words */

static bool takes(const struct pen_cli *cli, const char *words)
{
    return strstr(cli->command->arguments, words) != NULL;
}

static void insert(struct pen_cli *cli, size_t at, const char *word)
{
    memmove(&cli->arguments[at + 1], &cli->arguments[at],
            (cli->arguments_count - at) * sizeof cli->arguments[0]);
    cli->arguments[at] = word;
    cli->arguments_count++;
}

int pen_meant_split(struct pen_cli *cli, struct pen_error *err)
{
    const char *word = pen_cli_argument(cli, STAGE_AT);
    const char *slash = word == NULL ? NULL : strchr(word, '/');
    if (slash == NULL || slash == word || slash[1] == 0 || !takes(cli, "STAGE ACTION"))
        return 0;
    const char *stage = pen_cli_keep(cli, word, (size_t)(slash - word), err);
    if (stage == NULL)
        return PEN_ENOMEM;
    cli->arguments[STAGE_AT] = slash + 1;
    insert(cli, STAGE_AT, stage);
    return 0;
}

static int add(struct pen_cli *cli, size_t at, const char *word, struct pen_error *err)
{
    CHECK(word != NULL); /* what was not found is an error before */
    const char *kept = pen_cli_keep(cli, word, strlen(word), err);
    if (kept == NULL)
        return PEN_ENOMEM;
    insert(cli, at, kept);
    return 0;
}

/* ---- executions */

/* The newest executions, with those of a stage where they succeeded when it is given. */
static int list(struct pen_cli *cli, const char *succeeded_in, json_t **ret_output,
                struct pen_error *err)
{
    json_t *input =
        json_pack("{s:s, s:i}", "pipelineName", cli->arguments[0], "maxResults", EXECUTIONS_MAX);
    if (succeeded_in != NULL)
        (void)json_object_set_new(
            input, "filter", json_pack("{s:{s:s}}", "succeededInStage", "stageName", succeeded_in));
    return pen_cli_call(cli, PEN_SERVICE_CODEPIPELINE, "ListPipelineExecutions", input, ret_output,
                        err);
}

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

/* The first of the rows, which are the newest first, that has one of these states. */
static const char *first_with(const json_t *output, const char *const *statuses)
{
    size_t index;
    json_t *row;
    json_array_foreach(pen_json_list(output, "pipelineExecutionSummaries"), index, row)
    {
        if (is_one_of(pen_json_text(row, "status"), statuses))
            return pen_json_text(row, "pipelineExecutionId");
    }
    return NULL;
}

static int add_running(struct pen_cli *cli, struct pen_error *err)
{
    static const char *const running[] = {"InProgress", "Stopping", NULL};
    json_t *output = NULL;
    int rc = list(cli, NULL, &output, err);
    const char *id = first_with(output, running);
    bool left = id == NULL && pen_cli_option(cli, "--kill") != NULL; /* of one that is over */
    if (rc == 0 && id == NULL && !left)
        rc = pen_fail(err, PEN_ENOTFOUND, "no execution of '%.100s' is running", cli->arguments[0]);
    if (rc == 0 && !left)
        rc = add(cli, 1, id, err);
    json_decref(output);
    return rc;
}

/* ---- what failed */

static const char *const retriable[] = {"Failed", "Stopped", "Cancelled", NULL};

/* The stage of the row, or of the last row, where an execution can be retried. */
static const json_t *failed_stage(const json_t *state, const char *name)
{
    const json_t *found = NULL;
    size_t index;
    json_t *stage;
    json_array_foreach(pen_json_list(state, "stageStates"), index, stage)
    {
        const json_t *latest = json_object_get(stage, "latestExecution");
        if ((name == NULL || strcmp(name, pen_json_text(stage, "stageName")) == 0) &&
            is_one_of(pen_json_text(latest, "status"), retriable))
            found = stage;
    }
    return found;
}

/* PARALLEL executions are not in the pipeline's state: the newest that failed, and the stage that
 * it came to last. */
static int add_failed_parallel(struct pen_cli *cli, const char *stage, struct pen_error *err)
{
    json_t *executions = NULL;
    json_t *actions = NULL;
    int rc = list(cli, NULL, &executions, err);
    const char *id = first_with(executions, retriable);
    if (rc == 0 && id == NULL)
        rc = pen_fail(err, PEN_ENOTFOUND, "no execution of '%.100s'%s%.100s failed or was stopped",
                      cli->arguments[0], stage == NULL ? "" : " in stage ",
                      stage == NULL ? "" : stage);
    if (rc == 0 && stage == NULL)
        rc = pen_cli_call(cli, PEN_SERVICE_CODEPIPELINE, "ListActionExecutions",
                          json_pack("{s:s, s:{s:s}, s:i}", "pipelineName", cli->arguments[0],
                                    "filter", "pipelineExecutionId", id, "maxResults", 1),
                          &actions, err);
    const json_t *last = json_array_get(pen_json_list(actions, "actionExecutionDetails"), 0);
    if (rc == 0 && stage == NULL)
        rc = last == NULL ? pen_fail(err, PEN_ENOTFOUND, "execution %s ended before any stage", id)
                          : add(cli, STAGE_AT, pen_json_text(last, "stageName"), err);
    if (rc == 0)
        rc = add(cli, STAGE_AT + 1, id, err);
    json_decref(actions);
    json_decref(executions);
    return rc;
}

static int add_failed(struct pen_cli *cli, struct pen_error *err)
{
    const char *given = pen_cli_argument(cli, STAGE_AT);
    json_t *state = NULL;
    int rc = pen_state_get(cli, cli->arguments[0], &state, err);
    const json_t *stage = failed_stage(state, given);
    if (rc == 0 && stage == NULL) {
        rc = add_failed_parallel(cli, given, err);
    } else if (rc == 0) {
        const json_t *latest = json_object_get(stage, "latestExecution");
        if (given == NULL)
            rc = add(cli, STAGE_AT, pen_json_text(stage, "stageName"), err);
        if (rc == 0)
            rc = add(cli, STAGE_AT + 1, pen_json_text(latest, "pipelineExecutionId"), err);
    }
    json_decref(state);
    return rc;
}

/* ---- what was there before */

static const json_t *stage_of(const json_t *state, const char *name)
{
    size_t index;
    json_t *stage;
    json_array_foreach(pen_json_list(state, "stageStates"), index, stage)
    {
        if (strcmp(name, pen_json_text(stage, "stageName")) == 0)
            return stage;
    }
    return NULL;
}

static int add_previous(struct pen_cli *cli, struct pen_error *err)
{
    const char *stage = cli->arguments[STAGE_AT];
    json_t *state = NULL;
    json_t *output = NULL;
    int rc = pen_state_get(cli, cli->arguments[0], &state, err);
    if (rc == 0)
        rc = list(cli, stage, &output, err);
    const json_t *latest = json_object_get(stage_of(state, stage), "latestExecution");
    const char *present = pen_json_text(latest, "pipelineExecutionId");
    const char *found = NULL;
    size_t index;
    json_t *row;
    json_array_foreach(pen_json_list(output, "pipelineExecutionSummaries"), index, row)
    {
        const char *id = pen_json_text(row, "pipelineExecutionId");
        if (found == NULL && strcmp(id, present) != 0 &&
            strcmp(pen_json_text(row, "executionType"), "ROLLBACK") != 0)
            found = id;
    }
    if (rc == 0 && found == NULL)
        rc =
            pen_fail(err, PEN_ENOTFOUND,
                     "no earlier execution of '%.100s' succeeded in stage %.100s by the pipeline's "
                     "current version",
                     cli->arguments[0], stage);
    if (rc == 0)
        rc = add(cli, STAGE_AT + 1, found, err);
    json_decref(output);
    json_decref(state);
    return rc;
}

/* ---- conditions */

static bool may_be_overridden(const json_t *stage, const char *member)
{
    static const char *const statuses[] = {"InProgress", "Failed", NULL};
    const json_t *latest = json_object_get(json_object_get(stage, member), "latestExecution");
    return is_one_of(pen_json_text(latest, "status"), statuses);
}

static int add_condition_of(struct pen_cli *cli, const json_t *stage, const char *which,
                            struct pen_error *err)
{
    const json_t *latest = json_object_get(stage, "latestExecution");
    const json_t *inbound = json_object_get(stage, "inboundExecution");
    bool entry = may_be_overridden(stage, "beforeEntryConditionState") &&
                 (which == NULL || strcmp(which, "before-entry") == 0);
    const char *id =
        pen_json_text(entry && inbound != NULL ? inbound : latest, "pipelineExecutionId");
    int rc = pen_cli_argument(cli, STAGE_AT) != NULL
                 ? 0
                 : add(cli, STAGE_AT, pen_json_text(stage, "stageName"), err);
    if (rc == 0)
        rc = add(cli, STAGE_AT + 1, id, err);
    return rc < 0 ? rc : add(cli, STAGE_AT + 2, entry ? "before-entry" : "on-success", err);
}

static int add_condition(struct pen_cli *cli, struct pen_error *err)
{
    static const char *const kinds[] = {"before-entry", "on-success", NULL};
    const char *which = cli->arguments[cli->arguments_count - 1];
    if (is_one_of(which, kinds))
        cli->arguments_count--; /* added again behind the execution */
    else
        which = NULL;
    const char *given = pen_cli_argument(cli, STAGE_AT);
    const json_t *found = NULL;
    json_t *state = NULL;
    int rc = pen_state_get(cli, cli->arguments[0], &state, err);
    size_t index;
    json_t *stage;
    json_array_foreach(pen_json_list(state, "stageStates"), index, stage)
    {
        bool entry = which == NULL || strcmp(which, "before-entry") == 0;
        bool success = which == NULL || strcmp(which, "on-success") == 0;
        if ((given == NULL || strcmp(given, pen_json_text(stage, "stageName")) == 0) &&
            ((entry && may_be_overridden(stage, "beforeEntryConditionState")) ||
             (success && may_be_overridden(stage, "onSuccessConditionState"))))
            found = stage;
    }
    if (rc == 0 && found == NULL)
        rc = pen_fail(err, PEN_ENOTFOUND,
                      "no condition of '%.100s' is being checked or was not met; 'penstock status "
                      "%.100s' shows them; of an execution in PARALLEL mode, name it",
                      cli->arguments[0], cli->arguments[0]);
    if (rc == 0)
        rc = add_condition_of(cli, found, which, err);
    json_decref(state);
    return rc;
}

int pen_meant_complete(struct pen_cli *cli, struct pen_error *err)
{
    static const struct {
        const char *command;
        size_t execution_at;
        int (*add)(struct pen_cli *cli, struct pen_error *err);
    } rows[] = {
        {"stop", 1, add_running},
        {"retry", 2, add_failed},
        {"rollback", 2, add_previous},
        {"override", 2, add_condition},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(cli->command->name, rows[i].command) != 0)
            continue;
        const char *execution = pen_cli_argument(cli, rows[i].execution_at);
        bool given = execution != NULL && strcmp(execution, "before-entry") != 0 &&
                     strcmp(execution, "on-success") != 0;
        return given ? 0 : rows[i].add(cli, err);
    }
    return 0;
}

/* ---- revisions */

/* Of all executions that are listed, the one commit that begins so. */
static int find_commit(struct pen_cli *cli, const json_t *executions, const char *action,
                       const char *given, const char **ret_commit, struct pen_error *err)
{
    const char *found = NULL;
    size_t i;
    json_t *row;
    json_array_foreach(executions, i, row)
    {
        size_t k;
        json_t *source;
        json_array_foreach(pen_json_list(row, "sourceRevisions"), k, source)
        {
            const char *id = pen_json_text(source, "revisionId");
            if (strcmp(pen_json_text(source, "actionName"), action) != 0 ||
                strncasecmp(id, given, strlen(given)) != 0)
                continue;
            if (found != NULL && strcmp(found, id) != 0)
                return pen_fail(err, PEN_EINVAL,
                                "several revisions of %.100s begin with '%.64s'; give more of it",
                                action, given);
            found = id;
        }
    }
    if (found == NULL)
        return pen_fail(
            err, PEN_ENOTFOUND,
            "none of the newest %d executions of '%.100s' had a revision of %.100s that "
            "begins with '%.64s'; give the whole commit, of %d digits",
            EXECUTIONS_MAX, cli->arguments[0], action, given, COMMIT_DIGITS);
    *ret_commit = pen_cli_keep(cli, found, strlen(found), err);
    return *ret_commit == NULL ? PEN_ENOMEM : 0;
}

bool pen_meant_is_commit(const char *given)
{
    size_t size = strlen(given);
    return (size == COMMIT_DIGITS || size == COMMIT_DIGITS_SHA256) &&
           strspn(given, "0123456789abcdefABCDEF") == size;
}

int pen_meant_revision(struct pen_cli *cli, const char *action, const char *given,
                       const char **ret_commit, struct pen_error *err)
{
    size_t size = strlen(given);
    if (strspn(given, "0123456789abcdefABCDEF") != size || size < REVISION_MIN ||
        size > COMMIT_DIGITS_SHA256)
        return pen_fail(err, PEN_EINVAL,
                        "'%.80s' is no commit of %.100s: give its %d digits, or the first ones (at "
                        "least %d) of a commit that 'penstock history %.100s' shows",
                        given, action, COMMIT_DIGITS, REVISION_MIN, cli->arguments[0]);
    if (pen_meant_is_commit(given)) {
        *ret_commit = given;
        return 0;
    }
    json_t *output = NULL;
    int rc = list(cli, NULL, &output, err);
    if (rc == 0)
        rc = find_commit(cli, pen_json_list(output, "pipelineExecutionSummaries"), action, given,
                         ret_commit, err);
    json_decref(output);
    return rc;
}
