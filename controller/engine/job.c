#include "controller/engine/job.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/id.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/model/action_types.h"

#define CREATED     PEN__JOB_STATE__JOB_CREATED
#define QUEUED      PEN__JOB_STATE__JOB_QUEUED
#define DISPATCHED  PEN__JOB_STATE__JOB_DISPATCHED
#define IN_PROGRESS PEN__JOB_STATE__JOB_IN_PROGRESS
#define SUCCEEDED   PEN__JOB_STATE__JOB_SUCCEEDED
#define FAILED      PEN__JOB_STATE__JOB_FAILED
#define TIMED_OUT   PEN__JOB_STATE__JOB_TIMED_OUT
#define ABANDONED   PEN__JOB_STATE__JOB_ABANDONED

enum { STATES = PEN__JOB_STATE__JOB_ABANDONED + 1 };

static const bool allowed[STATES][STATES] = {
    [CREATED] = {[QUEUED] = 1, [TIMED_OUT] = 1, [ABANDONED] = 1},
    [QUEUED] = {[DISPATCHED] = 1, [TIMED_OUT] = 1, [ABANDONED] = 1},
    [DISPATCHED] = {[QUEUED] = 1, [IN_PROGRESS] = 1, [TIMED_OUT] = 1, [ABANDONED] = 1},
    [IN_PROGRESS] = {[SUCCEEDED] = 1, [FAILED] = 1, [TIMED_OUT] = 1, [ABANDONED] = 1},
};

bool job_may_move(Pen__JobState from, Pen__JobState to)
{
    return (unsigned)from < STATES && (unsigned)to < STATES && allowed[from][to];
}

bool job_state_ended(Pen__JobState state)
{
    return state == SUCCEEDED || state == FAILED || state == TIMED_OUT || state == ABANDONED;
}

struct job *find_job(const struct pen_engine *engine, const char *id)
{
    return id == NULL ? NULL : pen_map_get(&engine->jobs, pen_key_text(id));
}

bool job_untouched(const struct job *self)
{
    return self->row->continues == NULL && self->row->state != IN_PROGRESS;
}

/* ---- moves */

/* To be filled further. */
static Pen__JobMoved *moved(const struct job *self, Pen__JobState to)
{
    Pen__JobMoved *body = MAKE(Pen__JobMoved, pen__job_moved__init);
    body->job_id = mem_text(self->row->id);
    body->action_execution_id = mem_text(self->row->action_execution_id);
    SET(body, state, to);
    return body;
}

static void emit_moved(struct pen_engine *engine, const struct job *self, Pen__JobMoved *body)
{
    emit_about(engine, self->action->run->execution, PEN__FACT__WHAT_JOB_MOVED, body);
}

void job_close(struct pen_engine *engine, struct job *self, Pen__JobState state, const char *why)
{
    Pen__JobMoved *body = moved(self, state);
    body->reason = mem_text(why);
    emit_moved(engine, self, body);
}

void job_timer(struct pen_engine *engine, struct job *self)
{
    CHECK(self->row->state == CREATED || self->row->state == DISPATCHED);
    job_close(engine, self, QUEUED,
              self->row->state == CREATED ? NULL
                                          : "The job worker has not acknowledged it in time");
}

/* "24 hours" or "90 seconds", whichever is whole. */
static char *say_duration(int64_t ms)
{
    if (ms % 3600000 == 0)
        return mem_format("%lld hours", (long long)(ms / 3600000));
    return mem_format("%lld seconds", (long long)(ms / 1000));
}

void job_expire(struct pen_engine *engine, struct action *action)
{
    CHECK(action->row->phase == PEN__ACTION_PHASE__ACTION_JOB && action->job != NULL);
    char *duration = say_duration(engine->options.job_timeout_ms);
    char *why = action->job->row->state == IN_PROGRESS
                    ? mem_format("Its job worker has sent no result within %s", duration)
                    : mem_format("No job worker has taken it to its end within %s", duration);
    job_close(engine, action->job, TIMED_OUT, why);
    action_fail(engine, action, "JobFailed", why);
    free(duration);
    free(why);
}

/* ---- making */

static const char *query_value(const struct action_type *type, const Pen__ActionExecutionRow *row)
{
    const Pen__ActionConfigurationProperty *property = pen_action_type_queryable(type->row->type);
    for (size_t i = 0; property != NULL && i < row->n_resolved_configuration; i++)
        if (pen_str_equal(row->resolved_configuration[i]->key, property->name))
            return row->resolved_configuration[i]->value;
    return NULL;
}

int job_check(const struct pen_engine *engine, const Pen__ActionExecutionRow *row,
              struct pen_error *err)
{
    const struct action_type *type = usable_action_type(engine, row->type);
    if (type == NULL)
        return pen_fail(err, PEN_EINVAL, "the action type %s/%s/%s was deleted",
                        row->type->category, row->type->provider, row->type->version);
    const Pen__ActionConfigurationProperty *property = pen_action_type_queryable(type->row->type);
    if (property != NULL && !pen_queryable_value_valid(query_value(type, row)))
        return pen_fail(err, PEN_EINVAL,
                        "configuration '%s' is queryable: its value has 1 to %d characters of "
                        "[A-Za-z0-9_-]",
                        property->name, PEN_QUERYABLE_VALUE_MAX);
    return 0;
}

static Pen__JobRow *new_job(struct pen_engine *engine, const struct action *action)
{
    Pen__JobRow *row = MAKE(Pen__JobRow, pen__job_row__init);
    char id[PEN_UUID_TEXT_SIZE];
    pen_uuid(&engine->prng, id);
    row->id = mem_text(id);
    row->action_execution_id = mem_text(action->row->id);
    row->execution_id = mem_text(action->row->execution_id);
    row->pipeline = mem_text(action->row->pipeline);
    SET(row, order, engine->setting->row->last_order + 1);
    SET(row, state, QUEUED);
    row->type = mem_copy(action->row->type);
    SET(row, created_ms, engine->now_ms);
    SET(row, state_since_ms, engine->now_ms);
    SET(row, dispatches, 0);
    return row;
}

static void emit_queued(struct pen_engine *engine, const struct action *action, Pen__JobRow *row)
{
    Pen__JobQueued *body = MAKE(Pen__JobQueued, pen__job_queued__init);
    body->job = row;
    emit_about(engine, action->run->execution, PEN__FACT__WHAT_JOB_QUEUED, body);
}

void job_start(struct pen_engine *engine, struct action *action)
{
    const struct action_type *type = find_action_type(engine, action->row->type);
    CHECK(type != NULL && action->job == NULL);
    Pen__JobRow *row = new_job(engine, action);
    row->query_value = mem_text(query_value(type, action->row));
    emit_queued(engine, action, row);
}

/* The action goes on with another job, which is offered after a pause. */
static void job_continue(struct pen_engine *engine, const struct action *action,
                         const char *former_id, const char *query, const char *token)
{
    Pen__JobRow *row = new_job(engine, action);
    SET(row, state, CREATED);
    SET(row, due_ms, engine->now_ms + engine->options.job_continuation_ms);
    row->query_value = mem_text(query);
    row->continuation_token = mem_text(token);
    row->continues = mem_text(former_id);
    emit_queued(engine, action, row);
}

/* ---- poll */

static int check_query(const Pen__ActionType *type, const Pen__PollJobs *request,
                       struct pen_error *err)
{
    const Pen__ActionConfigurationProperty *property = pen_action_type_queryable(type);
    if (property == NULL && request->query_key != NULL)
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "queryParam: the action type has no queryable property");
    if (property != NULL &&
        (!pen_str_equal(request->query_key, property->name) || pen_str_empty(request->query_value)))
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "queryParam: give a value for '%s', the action type's queryable "
                            "property",
                            property->name);
    return 0;
}

int handle_poll_jobs(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                     struct pen_error *err)
{
    const Pen__PollJobs *request = input->poll_jobs;
    const Pen__ActionTypeId *id = request->type;
    if (!pen_action_is_custom(id))
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "actionTypeId.owner: job workers poll for types of owner Custom");
    struct action_type *type = usable_action_type(engine, id);
    if (type == NULL)
        return pen_fail_api(err, PEN_ENOTFOUND, "ActionTypeNotFoundException",
                            "there is no action type '%s/%s/%s' of owner Custom", id->category,
                            id->provider, id->version);
    int rc = check_query(type->row->type, request, err);
    if (rc < 0)
        return rc;
    type->polled_ms = engine->now_ms;
    struct job_queue *queue = job_queue_find(engine, id, request->query_value);
    if (queue != NULL)
        queue->polled_ms = engine->now_ms;
    uint32_t max = request->max < PEN_LIMIT_JOBS_PER_POLL ? request->max : PEN_LIMIT_JOBS_PER_POLL;
    for (uint32_t i = 0; i < (max > 0 ? max : 1); i++) {
        queue = job_queue_find(engine, id, request->query_value); /* an empty one is gone */
        if (queue == NULL)
            break;
        const struct job *job = pen_map_first_value(&queue->jobs);
        char nonce[PEN_UUID_TEXT_SIZE];
        pen_uuid(&engine->prng, nonce);
        Pen__JobMoved *body = moved(job, DISPATCHED);
        body->nonce = mem_text(nonce);
        SET(body, due_ms, engine->now_ms + engine->options.job_visibility_ms);
        body->worker = mem_text(input->principal);
        emit_moved(engine, job, body);
        APPEND(reply, jobs, mem_copy(job->row));
    }
    return 0;
}

/* ---- acknowledge */

int handle_acknowledge_job(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                           struct pen_error *err)
{
    const Pen__AcknowledgeJob *request = input->acknowledge_job;
    struct job *job = find_job(engine, request->job_id);
    if (job == NULL && !request->known)
        return pen_fail_api(err, PEN_ENOTFOUND, "JobNotFoundException", "there is no job '%s'",
                            request->job_id == NULL ? "" : request->job_id);
    if (job == NULL)
        return pen_fail_api(err, PEN_ECONFLICT, "InvalidNonceException", "job '%s' has ended",
                            request->job_id);
    if (job->row->state != DISPATCHED || !pen_str_equal(job->row->nonce, request->nonce))
        return pen_fail_api(err, PEN_ECONFLICT, "InvalidNonceException",
                            "the nonce is not, or not any more, the one by which job '%s' can be "
                            "acknowledged: %s",
                            request->job_id,
                            job->row->state == IN_PROGRESS ? "a job worker has acknowledged it"
                                                           : "poll for it again");
    Pen__JobMoved *body = moved(job, IN_PROGRESS);
    body->worker = mem_text(input->principal);
    emit_moved(engine, job, body);
    SET(reply, job_state, IN_PROGRESS);
    return 0;
}

/* ---- results */

static int check_result_state(const struct pen_engine *engine, const struct job *job,
                              const Pen__PutJobResult *request, struct pen_error *err)
{
    const char *id = request->job_id == NULL ? "" : request->job_id;
    if (job == NULL && !request->known)
        return pen_fail_api(err, PEN_ENOTFOUND, "JobNotFoundException", "there is no job '%s'", id);
    if (job == NULL)
        return pen_fail_api(
            err, PEN_ECONFLICT, "InvalidJobStateException",
            "job '%s' has ended: it has a result, or its action was given up or has "
            "run out of time",
            id);
    if (job->row->state != IN_PROGRESS)
        return pen_fail_api(err, PEN_ECONFLICT, "InvalidJobStateException",
                            "job '%s' has not been acknowledged", id);
    if (job->action->row->deadline_ms <= engine->now_ms)
        return pen_fail_api(err, PEN_ECONFLICT, "InvalidJobStateException",
                            "the time of the action of job '%s' is over", id);
    return 0;
}

static int check_success(const Pen__PutJobResult *request, struct pen_error *err)
{
    if (request->continuation_token != NULL && request->n_output_variables > 0)
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "outputVariables: an action that continues has no output yet: leave "
                            "them out, or continuationToken");
    size_t size = 0;
    for (size_t i = 0; i < request->n_output_variables; i++) {
        const Pen__NameValue *variable = request->output_variables[i];
        size += (variable->name == NULL ? 0 : strlen(variable->name)) +
                (variable->value == NULL ? 0 : strlen(variable->value));
    }
    if (size > PEN_LIMIT_OUTPUT_VARIABLES_BYTES)
        return pen_fail_api(err, PEN_ELIMIT, "OutputVariablesSizeExceededException",
                            "outputVariables: names and values have %zu bytes, and at most %d are "
                            "allowed",
                            size, PEN_LIMIT_OUTPUT_VARIABLES_BYTES);
    return 0;
}

static const char *resolved(const void *context, const char *name)
{
    const Pen__ActionExecutionRow *row = context;
    for (size_t i = 0; i < row->n_resolved_configuration; i++)
        if (pen_str_equal(row->resolved_configuration[i]->key, name))
            return row->resolved_configuration[i]->value;
    return NULL;
}

/* The page of the work at the job worker's; NULL: the type has no template. To be freed. */
static char *execution_url(const struct pen_engine *engine, const Pen__ActionExecutionRow *row,
                           const char *external_execution_id)
{
    const struct action_type *type = find_action_type(engine, row->type);
    const Pen__ActionTypeSettings *settings = type == NULL ? NULL : type->row->type->settings;
    struct pen_buf url = {0};
    char *text = NULL;
    if (settings != NULL && pen_action_type_url(settings->execution_url_template, resolved, row,
                                                external_execution_id, &url)) {
        CHECK(!url.failed);
        text = mem_text(pen_buf_text(&url));
    }
    pen_buf_release(&url);
    return text;
}

static void emit_details(struct pen_engine *engine, const struct action *action,
                         const Pen__PutJobResult *request)
{
    if (request->summary == NULL && request->external_execution_id == NULL &&
        !request->has_percent_complete)
        return;
    Pen__ActionProgress *body = MAKE(Pen__ActionProgress, pen__action_progress__init);
    body->action_execution_id = mem_text(action->row->id);
    body->summary = mem_text(request->summary);
    body->external_execution_id = mem_text(request->external_execution_id);
    if (request->external_execution_id != NULL)
        body->external_execution_url =
            execution_url(engine, action->row, request->external_execution_id);
    if (request->has_percent_complete)
        SET(body, percent_complete, request->percent_complete);
    emit_about(engine, action->run->execution, PEN__FACT__WHAT_ACTION_PROGRESS, body);
}

/* What a source action has found, as the execution keeps it. */
static Pen__SourceRevision *source_revision(const struct pen_engine *engine,
                                            const struct action *action,
                                            const Pen__JobRevision *told)
{
    if (told == NULL || !pen_str_equal(action->row->type->category, "Source"))
        return NULL;
    Pen__SourceRevision *revision = MAKE(Pen__SourceRevision, pen__source_revision__init);
    revision->action = mem_text(action->row->action);
    revision->revision_id = mem_text(told->revision);
    revision->revision_summary = mem_text(told->summary);
    SET(revision, created_ms, told->has_created_ms ? told->created_ms : engine->now_ms);
    return revision;
}

static void succeed(struct pen_engine *engine, struct job *job, const Pen__PutJobResult *request)
{
    struct action *action = job->action;
    char *query = mem_text(job->row->query_value);
    emit_details(engine, action, request);
    Pen__JobMoved *end = moved(job, SUCCEEDED);
    end->revision = mem_copy(request->revision);
    if (end->revision != NULL && !end->revision->has_created_ms)
        SET(end->revision, created_ms, engine->now_ms);
    emit_moved(engine, job, end);
    if (request->continuation_token != NULL) {
        job_continue(engine, action, request->job_id, query, request->continuation_token);
    } else {
        Pen__ActionEnded *body =
            action_ended(action, PEN__ACTION_STATUS__ACTION_SUCCEEDED, action->row->summary);
        for (size_t i = 0; i < request->n_output_variables; i++)
            APPEND(body, output_variables, mem_copy(request->output_variables[i]));
        body->revision = source_revision(engine, action, request->revision);
        action_end(engine, action, body);
    }
    free(query);
}

int handle_put_job_result(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                          struct pen_error *err)
{
    (void)reply;
    const Pen__PutJobResult *request = input->put_job_result;
    struct job *job = find_job(engine, request->job_id);
    int rc = check_result_state(engine, job, request, err);
    if (rc < 0)
        return rc;
    if (request->success) {
        rc = check_success(request, err);
        if (rc == 0)
            succeed(engine, job, request);
        return rc;
    }
    struct action *action = job->action;
    emit_details(engine, action, request);
    job_close(engine, job, FAILED, request->error_code);
    action_fail(engine, action,
                pen_str_empty(request->error_code) ? "JobFailed" : request->error_code,
                pen_str_empty(request->error_message) ? "The job worker reports a failure"
                                                      : request->error_message);
    return 0;
}
