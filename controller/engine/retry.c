/* controller/engine/retry.c - a person has a stage run again
 *
 *                        the execution has ended        it still runs
 *     FAILED_ACTIONS     what did not succeed           what has failed, beside its siblings
 *     ALL_ACTIONS        the whole stage                refused
 *
 * The execution keeps its id. It can be retried until another one enters the stage; in PARALLEL
 * mode, where others do not matter, until newer ones have failed, PEN_LIMIT_PARALLEL_RETRYABLE of
 * them. A change of the pipeline ends both.
 *
 * What was given up and may still run in the stage refuses it, unless a person says that a second
 * copy may run beside it.
 */
#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/named.h"

static int not_retryable(struct pen_error *err, const Pen__RetryStage *request, const char *why)
{
    return pen_fail_api(err, PEN_ECONFLICT, "StageNotRetryableException",
                        "stage '%s' of execution '%s' cannot be retried: %s", request->stage,
                        request->execution_id, why);
}

/* Why an execution that the engine has forgotten cannot be retried in a stage that it has never
 * entered; NULL: nothing is known of it, it was there, or a later one has gone before it. */
static const char *why_never_there(const struct pen_engine *engine, const struct pipeline *pipeline,
                                   const struct stage_state *stage, const Pen__RetryStage *request)
{
    const Pen__ExecutionRow *row = request->execution;
    const struct execution *latest = find_execution(engine, stage->row->latest_execution_id);
    if (row == NULL || request->stage_execution != NULL ||
        !pen_str_equal(row->id, request->execution_id) ||
        !pen_str_equal(row->pipeline, request->pipeline) || execution_of_former(pipeline, row) ||
        (latest != NULL && latest->row->order > row->order))
        return NULL;
    switch ((int)row->status) {
    case PEN__EXECUTION_STATUS__EXECUTION_STOPPED:
        return "it was stopped before it had entered the stage";
    case PEN__EXECUTION_STATUS__EXECUTION_SUPERSEDED:
        return NULL;
    case PEN__EXECUTION_STATUS__EXECUTION_CANCELLED:
        return "it was cancelled before it had entered the stage";
    default:
        return "it has not entered the stage";
    }
}

/* The latest execution of the stage is the only one that can be retried there. */
static int check_latest(const struct pen_engine *engine, const struct pipeline *pipeline,
                        const struct stage_state *stage, const struct execution *execution,
                        const Pen__RetryStage *request, struct pen_error *err)
{
    CHECK(stage != NULL); /* only a PARALLEL execution outlives its stage */
    if (pen_str_equal(stage->row->latest_execution_id, request->execution_id))
        return 0;
    if (execution != NULL && pen_str_equal(execution->row->pipeline, request->pipeline) &&
        find_run(execution, request->stage) == NULL)
        return not_retryable(err, request, "it has not entered the stage");
    const char *why = execution == NULL ? why_never_there(engine, pipeline, stage, request) : NULL;
    if (why != NULL)
        return not_retryable(err, request, why);
    return pen_fail_api(err, PEN_ECONFLICT, "NotLatestPipelineExecutionException",
                        "execution '%s' is not the latest that has entered stage '%s'",
                        request->execution_id, request->stage);
}

static bool failed_or_stopped(Pen__StageStatus status)
{
    return status == PEN__STAGE_STATUS__STAGE_FAILED || status == PEN__STAGE_STATUS__STAGE_STOPPED;
}

/* Why a PARALLEL execution that the engine has forgotten cannot be retried; NULL: it is not one. */
static const char *why_not_parallel(const struct pipeline *pipeline, const Pen__RetryStage *request)
{
    const Pen__ExecutionRow *row = request->execution;
    if (row == NULL || !pen_str_equal(row->id, request->execution_id) ||
        !pen_str_equal(row->pipeline, request->pipeline) || execution_of_former(pipeline, row) ||
        !pen_str_equal(row->mode, "PARALLEL"))
        return NULL;
    if (request->stage_execution == NULL)
        return "it has not entered the stage";
    if (!failed_or_stopped(request->stage_execution->status))
        return "it has neither failed nor been stopped there";
    if (row->pipeline_version != pipeline->row->version)
        return "the pipeline has been changed";
    return "newer executions have failed or were stopped since, too many to keep them all: start "
           "another one, with the same source revisions if need be";
}

/* NULL: its failed actions can be made again while others run; else why not. */
static const char *why_not_beside_siblings(const struct execution *execution,
                                           const struct stage_run *run, bool all_actions)
{
    if (execution->row->status != PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS)
        return "the execution is being stopped";
    if (execution_outdated(execution))
        return "the pipeline has been changed";
    bool failed = false;
    for (size_t i = 0; i < run->declaration->n_actions; i++)
        failed = failed || (run->current[i] != NULL &&
                            run->current[i]->row->status == PEN__ACTION_STATUS__ACTION_FAILED);
    if (run->row->status != PEN__STAGE_STATUS__STAGE_IN_PROGRESS || !failed)
        return "the execution is still under way";
    if (all_actions)
        return "actions of it are still in progress: retry the failed ones, or wait for the others";
    if (execution->in_progress == 0)
        return "its onFailure condition is being checked";
    return NULL;
}

/* NULL: the stage of an execution that has ended can be retried; else why not. */
static const char *why_not_ended(const struct pen_engine *engine, const struct stage_state *stage,
                                 const struct stage_run *run)
{
    if (!failed_or_stopped(run->row->status))
        return "it has neither failed nor been stopped there";
    if (execution_parallel(run->execution))
        return NULL;
    CHECK(stage != NULL); /* as above */
    if (stage->row->holder != NULL)
        return "another execution is in the stage";
    if (rollback_waits(engine, stage))
        return "a rollback waits to enter the stage";
    return NULL;
}

bool may_be_retried(const struct pen_engine *engine, const struct execution *execution)
{
    const struct stage_run *run = current_run(execution);
    const struct stage_state *stage =
        run == NULL ? NULL : find_stage(execution->pipeline, run->row->stage);
    if (run != NULL && execution_parallel(execution))
        return why_not_ended(engine, stage, run) == NULL;
    return stage != NULL && !execution_outdated(execution) &&
           pen_str_equal(stage->row->latest_execution_id, execution->row->id) &&
           why_not_ended(engine, stage, run) == NULL;
}

static bool is_parallel(const struct pipeline *pipeline, const struct execution *execution)
{
    return execution != NULL && execution->pipeline == pipeline && execution_parallel(execution);
}

/* A second copy of what may live is begun by a person's word alone. */
static int check_abandoned(const struct pen_engine *engine, const struct execution *execution,
                           const Pen__RetryStage *request, struct pen_error *err)
{
    const struct attempt *attempt =
        request->beside ? NULL : abandoned_in_stage(engine, execution, request->stage);
    if (attempt == NULL)
        return 0;
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    abandoned_say(attempt, &text);
    pen_buf_printf(&text,
                   ". Wait for its end, or have it ended (penstock stop %s %s --kill), or retry "
                   "with --beside-abandoned to run a second copy beside it",
                   attempt->row->pipeline, attempt->row->execution_id);
    return not_retryable(err, request, pen_buf_text(&text));
}

/* `stage` may be gone when the execution is a PARALLEL one, which keeps its version. */
static int check_retry(const struct pen_engine *engine, const struct pipeline *pipeline,
                       const struct stage_state *stage, const Pen__RetryStage *request,
                       struct pen_error *err)
{
    const struct execution *execution = find_execution(engine, request->execution_id);
    const char *forgotten = execution == NULL ? why_not_parallel(pipeline, request) : NULL;
    if (forgotten != NULL)
        return not_retryable(err, request, forgotten);
    int rc = is_parallel(pipeline, execution)
                 ? 0
                 : check_latest(engine, pipeline, stage, execution, request, err);
    if (rc < 0)
        return rc;
    if (execution == NULL)
        return not_retryable(err, request,
                             "it has gone on since, or the pipeline has been changed");
    const struct stage_run *run = current_run(execution);
    if (run == NULL || !pen_str_equal(run->row->stage, request->stage))
        return not_retryable(err, request, "it has neither failed nor been stopped there");
    bool ended = execution_ended(execution);
    const char *why = ended ? why_not_ended(engine, stage, run)
                            : why_not_beside_siblings(execution, run, request->all_actions);
    if (why != NULL)
        return not_retryable(err, request, why);
    rc = check_abandoned(engine, execution, request, err);
    if (rc < 0)
        return rc;
    return ended ? check_room(engine, pipeline, execution->row->mode, err) : 0;
}

int handle_retry_stage(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                       struct pen_error *err)
{
    const Pen__RetryStage *request = input->retry_stage;
    struct pipeline *pipeline = NULL;
    int rc = named_pipeline(engine, request->pipeline, &pipeline, err);
    if (rc < 0)
        return rc;
    const struct stage_state *stage = find_stage(pipeline, request->stage);
    const struct execution *execution = find_execution(engine, request->execution_id);
    bool keeps_stage = is_parallel(pipeline, execution) && find_run(execution, request->stage);
    if (stage == NULL && !keeps_stage)
        return fail_no_stage(pipeline, request->stage, err);
    rc = check_retry(engine, pipeline, stage, request, err);
    if (rc < 0)
        return rc;
    Pen__StageRetried *body = MAKE(Pen__StageRetried, pen__stage_retried__init);
    body->stage = mem_text(request->stage);
    body->mode = mem_text(request->all_actions ? "ALL_ACTIONS" : "FAILED_ACTIONS");
    if (request->beside)
        SET(body, beside, 1);
    reply->execution_id = mem_text(request->execution_id);
    emit_about(engine, find_execution(engine, request->execution_id), PEN__FACT__WHAT_STAGE_RETRIED,
               body);
    return 0;
}
