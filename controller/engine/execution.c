/* controller/engine/execution.c - from stage to stage: start, stop, end */
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/id.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/explain.h"
#include "controller/engine/named.h"
#include "controller/engine/planted.h"

void execution_end(struct pen_engine *engine, struct execution *self, Pen__ExecutionStatus status,
                   const char *summary, const char *superseded_by)
{
    Pen__ExecutionEnded *body = MAKE(Pen__ExecutionEnded, pen__execution_ended__init);
    SET(body, status, status);
    body->summary = mem_text(summary);
    body->superseded_by = mem_text(superseded_by);
    emit_about(engine, self, PEN__FACT__WHAT_EXECUTION_ENDED, body);
}

/* ---- advance */

static void end_failed(struct pen_engine *engine, struct execution *self,
                       const struct stage_run *run)
{
    const struct action *failed = NULL;
    for (size_t i = 0; i < run->declaration->n_actions && failed == NULL; i++)
        if (run->current[i] != NULL &&
            run->current[i]->row->status == PEN__ACTION_STATUS__ACTION_FAILED)
            failed = run->current[i];
    const Pen__ConditionRun *missed = NULL;
    for (size_t i = 0; i < run->row->n_conditions; i++)
        if (run->row->conditions[i]->status == PEN__CONDITION_STATUS__CONDITION_FAILED &&
            run->row->conditions[i]->kind != PEN__CONDITION_KIND__CONDITION_ON_FAILURE)
            missed = run->row->conditions[i];
    char *summary = missed != NULL
                        ? mem_format("Stage '%s' failed: %s", run->row->stage, missed->summary)
                    : failed == NULL
                        ? mem_format("Stage '%s' failed", run->row->stage)
                        : mem_format("Action '%s' of stage '%s' failed: %s", failed->row->action,
                                     run->row->stage,
                                     failed->row->error_message != NULL ? failed->row->error_message
                                                                        : "no reason was given");
    execution_end(engine, self, PEN__EXECUTION_STATUS__EXECUTION_FAILED, summary, NULL);
    free(summary);
}

/* It is to end without going on: let what runs end, or break it off, then end stage and execution.
 */
static void wind_up(struct pen_engine *engine, struct execution *self, bool abandon,
                    Pen__StageStatus stage_status, Pen__ExecutionStatus status, const char *why)
{
    struct stage_run *run = current_run(self);
    bool inside = !self->row->waiting && run != NULL &&
                  (run->row->status == PEN__STAGE_STATUS__STAGE_IN_PROGRESS ||
                   run->row->status == PEN__STAGE_STATUS__STAGE_STOPPING);
    if (inside) {
        stage_abandon(engine, run, abandon, why);
        if (self->in_progress > 0)
            return;
        stage_end(engine, run, stage_status);
    }
    execution_end(engine, self, status, why, NULL);
}

static void arrive(struct pen_engine *engine, struct execution *self, uint32_t stage_index)
{
    const char *name = self->declaration->stages[stage_index]->name;
    if (gate_open(engine, self, find_stage(self->pipeline, name))) {
        stage_enter(engine, self, stage_index);
        return;
    }
    Pen__ExecutionWaiting *body = MAKE(Pen__ExecutionWaiting, pen__execution_waiting__init);
    SET(body, stage_index, stage_index);
    emit_about(engine, self, PEN__FACT__WHAT_EXECUTION_WAITING, body);
}

void execution_advance(struct pen_engine *engine, struct execution *self)
{
    if (self->entity.dead || execution_ended(self))
        return;
    if (self->row->status == PEN__EXECUTION_STATUS__EXECUTION_STOPPING) {
        wind_up(engine, self, self->row->abandon, PEN__STAGE_STATUS__STAGE_STOPPED,
                PEN__EXECUTION_STATUS__EXECUTION_STOPPED,
                self->row->stop_reason != NULL ? self->row->stop_reason
                                               : "The execution was stopped");
        return;
    }
    if (execution_outdated(self)) {
        wind_up(engine, self, false, PEN__STAGE_STATUS__STAGE_CANCELLED,
                PEN__EXECUTION_STATUS__EXECUTION_CANCELLED,
                "The pipeline was changed before the execution had finished");
        return;
    }
    if (self->row->waiting)
        return; /* the gate lets it in */
    struct stage_run *run = current_run(self);
    if (run == NULL) {
        arrive(engine, self, self->row->stage_index);
    } else if (run->row->status == PEN__STAGE_STATUS__STAGE_IN_PROGRESS) {
        stage_advance(engine, run);
    } else if (run->row->status == PEN__STAGE_STATUS__STAGE_FAILED) {
        end_failed(engine, self, run);
        rollback_by_itself(engine, self, run);
    } else {
        CHECK(run->row->status == PEN__STAGE_STATUS__STAGE_SUCCEEDED ||
              run->row->status == PEN__STAGE_STATUS__STAGE_SKIPPED);
        if (self->row->stage_index + 1 < self->declaration->n_stages && !execution_rolls_back(self))
            arrive(engine, self, self->row->stage_index + 1);
        else
            execution_end(engine, self, PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED, NULL, NULL);
    }
}

/* ---- start */

static const char *mode_of(const struct pipeline *pipeline)
{
    const char *mode = pipeline->current->row->declaration->execution_mode;
    return mode != NULL ? mode : "SUPERSEDED";
}

int check_room(const struct pen_engine *engine, const struct pipeline *pipeline, const char *mode,
               struct pen_error *err)
{
    if (pen_str_equal(mode, "SUPERSEDED") || pipeline->running < engine->options.executions_max)
        return 0;
    return pen_fail_api(err, PEN_ELIMIT, "ConcurrentPipelineExecutionsLimitExceededException",
                        "pipeline '%s' has %zu executions under way, the most that %s mode allows "
                        "(executions-max)",
                        pipeline->row->name, pipeline->running, mode);
}

void execution_start_unlimited(struct pen_engine *engine, struct pipeline *pipeline,
                               struct start *start, char ret_id[37])
{
    pen_uuid(&engine->prng, ret_id);
    Pen__ExecutionStarted *body = MAKE(Pen__ExecutionStarted, pen__execution_started__init);
    SET(body, order, engine->setting->row->last_order + 1);
    SET(body, pipeline_version, pipeline->row->version);
    body->mode = mem_text(mode_of(pipeline));
    SET(body, trigger_type, start->trigger_type);
    body->trigger_detail = mem_text(start->trigger_detail);
    body->variables = start->variables;
    body->n_variables = start->variables_count;
    for (size_t i = 0; i < start->overrides_count; i++)
        APPEND(body, overrides, mem_copy(start->overrides[i]));
    body->request_token = start->request_token;
    if (body->request_token != NULL)
        mem_set_text(&body->request_token->execution_id, ret_id);
    SET(body, stage_index, start->stage_index);
    if (start->rollback != NULL)
        body->rollback_target_id = mem_text(start->rollback->execution_id);
    body->rollback_target = start->rollback;
    body->origin = mem_copy(start->origin);
    bool was_stopped = pipeline->row->has_polling_disabled_ms;
    emit(engine, pipeline->row->name, ret_id, PEN__FACT__WHAT_EXECUTION_STARTED, body);
    polling_started(engine, pipeline, was_stopped);
}

int execution_start(struct pen_engine *engine, struct pipeline *pipeline, struct start *start,
                    char ret_id[37], struct pen_error *err)
{
    int rc = check_room(engine, pipeline, mode_of(pipeline), err);
    if (rc < 0)
        return rc;
    execution_start_unlimited(engine, pipeline, start, ret_id);
    return 0;
}

static const Pen__NameValue *given_value(const Pen__StartExecution *request, const char *name)
{
    for (size_t i = 0; i < request->n_variables; i++)
        if (pen_str_equal(request->variables[i]->name, name))
            return request->variables[i];
    return NULL;
}

/* A variable for which neither the request nor the declaration has a value; NULL: there is none. */
static const char *lacking(const Pen__PipelineDeclaration *declaration,
                           const Pen__StartExecution *request)
{
    for (size_t i = 0; i < declaration->n_variables; i++)
        if (declaration->variables[i]->default_value == NULL &&
            given_value(request, declaration->variables[i]->name) == NULL)
            return declaration->variables[i]->name;
    return NULL;
}

const char *variable_without_default(const struct pipeline *pipeline)
{
    const Pen__StartExecution nothing = PEN__START_EXECUTION__INIT;
    return lacking(pipeline->current->row->declaration, &nothing);
}

static int check_variables(const Pen__PipelineDeclaration *declaration,
                           const Pen__StartExecution *request, struct pen_error *err)
{
    for (size_t i = 0; i < request->n_variables; i++) {
        bool declared = false;
        if (given_value(request, request->variables[i]->name) != request->variables[i])
            return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                                "variables[%zu].name: variable '%s' is given twice", i,
                                request->variables[i]->name);
        for (size_t j = 0; j < declaration->n_variables && !declared; j++)
            declared = pen_str_equal(declaration->variables[j]->name, request->variables[i]->name);
        if (!declared)
            return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                                "pipeline '%s' declares no variable '%s'", declaration->name,
                                request->variables[i]->name);
    }
    const char *name = lacking(declaration, request);
    if (name != NULL)
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "variable '%s' of pipeline '%s' has no default: the start has to give "
                            "a value",
                            name, declaration->name);
    return 0;
}

/* Why this source action cannot be told its revision; NULL: it can. */
static const char *why_no_override(const Pen__PipelineDeclaration *declaration,
                                   const Pen__StartExecution *request, size_t i)
{
    const Pen__SourceOverride *override = request->overrides[i];
    int index = action_index(declaration->stages[0], override->action);
    if (index < 0)
        return "the pipeline has no such source action";
    for (size_t k = 0; k < i; k++)
        if (pen_str_equal(request->overrides[k]->action, override->action))
            return "it is given twice";
    if (pen_action_is_custom(declaration->stages[0]->actions[index]->action_type_id))
        return "its job worker tells the revision";
    return NULL;
}

static int check_overrides(const Pen__PipelineDeclaration *declaration,
                           const Pen__StartExecution *request, struct pen_error *err)
{
    if (request->n_overrides > 0 && pen_str_equal(declaration->pipeline_type, "V1"))
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "sourceRevisions: pipeline '%s' is of type V1, which has none: set "
                            "pipelineType to V2 for them",
                            declaration->name);
    for (size_t i = 0; i < request->n_overrides; i++) {
        const Pen__SourceOverride *override = request->overrides[i];
        const char *why = why_no_override(declaration, request, i);
        if (why != NULL)
            return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                                "sourceRevisions[%zu].actionName '%s' of pipeline '%s': %s", i,
                                override->action, declaration->name, why);
        if (!pen_str_equal(override->revision_type, "COMMIT_ID"))
            return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                                "sourceRevisions[%zu].revisionType: source action '%s' takes a "
                                "COMMIT_ID only",
                                i, override->action);
    }
    return 0;
}

static void resolve_variables(const Pen__PipelineDeclaration *declaration,
                              const Pen__StartExecution *request, struct start *start)
{
    for (size_t i = 0; i < declaration->n_variables; i++) {
        const Pen__PipelineVariableDeclaration *variable = declaration->variables[i];
        const Pen__NameValue *given = request == NULL ? NULL : given_value(request, variable->name);
        Pen__NameValue *value = MAKE(Pen__NameValue, pen__name_value__init);
        value->name = mem_text(variable->name);
        value->value = mem_text(given != NULL ? given->value : variable->default_value);
        start->variables = mem_grow(start->variables, start->variables_count);
        start->variables[start->variables_count++] = value;
    }
}

static void drop_variables(struct start *start)
{
    for (size_t i = 0; i < start->variables_count; i++)
        mem_free_message(start->variables[i]);
    free(start->variables);
}

/* The execution that this client token has started before; NULL when there is none. */
static const Pen__RequestTokenRow *former_request(struct pen_engine *engine,
                                                  const Pen__StartExecution *request)
{
    char *key = mem_format("%s/%s", request->pipeline, request->client_request_token);
    const struct request_token *token = pen_map_get(&engine->requests, pen_key_text(key));
    free(key);
    bool valid =
        token != NULL && token->row->expires_ms > engine->now_ms && !PLANTED(TOKEN_FORGOTTEN);
    return valid ? token->row : NULL;
}

static Pen__RequestTokenRow *new_request(const struct pen_engine *engine,
                                         const Pen__StartExecution *request)
{
    Pen__RequestTokenRow *row = MAKE(Pen__RequestTokenRow, pen__request_token_row__init);
    row->pipeline = mem_text(request->pipeline);
    row->token = mem_text(request->client_request_token);
    row->has_body_sha256 = request->has_body_sha256;
    row->body_sha256 = mem_bytes(request->body_sha256);
    SET(row, expires_ms, engine->now_ms + engine->options.request_token_ttl_ms);
    return row;
}

int handle_start_execution(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                           struct pen_error *err)
{
    const Pen__StartExecution *request = input->start_execution;
    struct pipeline *pipeline = NULL;
    int rc = named_pipeline(engine, request->pipeline, &pipeline, err);
    if (rc < 0)
        return rc;
    bool with_token = !pen_str_empty(request->client_request_token);
    const Pen__RequestTokenRow *former = with_token ? former_request(engine, request) : NULL;
    if (former != NULL) {
        if (!mem_bytes_equal(former->body_sha256, request->body_sha256))
            return pen_fail_api(err, PEN_ECONFLICT, "ConflictException",
                                "clientRequestToken '%s' was used before with another request",
                                request->client_request_token);
        reply->execution_id = mem_text(former->execution_id);
        return 0;
    }
    const Pen__PipelineDeclaration *declaration = pipeline->current->row->declaration;
    rc = check_variables(declaration, request, err);
    if (rc < 0 || (rc = check_overrides(declaration, request, err)) < 0)
        return rc;
    struct start start = {.trigger_type = PEN__TRIGGER_TYPE__TRIGGER_START_PIPELINE_EXECUTION,
                          .trigger_detail = input->principal,
                          .overrides = request->overrides,
                          .overrides_count = request->n_overrides,
                          .request_token = with_token ? new_request(engine, request) : NULL};
    resolve_variables(declaration, request, &start);
    char id[PEN_UUID_TEXT_SIZE];
    rc = execution_start(engine, pipeline, &start, id, err);
    if (rc < 0) {
        drop_variables(&start);
        mem_free_message(start.request_token);
        return rc;
    }
    reply->execution_id = mem_text(id);
    return 0;
}

int execution_start_by_event(struct pen_engine *engine, struct pipeline *pipeline,
                             struct start *start, char ret_id[37], struct pen_error *err)
{
    const Pen__PipelineDeclaration *declaration = pipeline->current->row->declaration;
    const Pen__StartExecution nothing = PEN__START_EXECUTION__INIT;
    int rc = check_variables(declaration, &nothing, err);
    if (rc < 0)
        return rc;
    resolve_variables(declaration, NULL, start);
    rc = execution_start(engine, pipeline, start, ret_id, err);
    if (rc < 0)
        drop_variables(start);
    return rc;
}

/* ---- stop */

static int find_of_pipeline(struct pen_engine *engine, const char *pipeline_name, const char *id,
                            struct execution **ret_execution, const char *ended_error,
                            struct pen_error *err)
{
    struct pipeline *pipeline = NULL;
    int rc = named_pipeline(engine, pipeline_name, &pipeline, err);
    if (rc < 0)
        return rc;
    struct execution *execution = find_execution(engine, id);
    if (execution == NULL || execution->pipeline != pipeline)
        return pen_fail_api(err, PEN_ECONFLICT, ended_error,
                            "pipeline '%s' has no execution '%s' under way", pipeline_name, id);
    *ret_execution = execution;
    return 0;
}

static void emit_stopping(struct pen_engine *engine, const struct execution *execution,
                          const Pen__StopExecution *request)
{
    Pen__ExecutionStopping *body = MAKE(Pen__ExecutionStopping, pen__execution_stopping__init);
    SET(body, abandon, request->abandon || request->kill);
    if (request->kill)
        SET(body, kill, 1);
    body->reason =
        mem_text(!pen_str_empty(request->reason) ? request->reason : execution->row->stop_reason);
    emit_about(engine, execution, PEN__FACT__WHAT_EXECUTION_STOPPING, body);
}

/* The execution may be over and forgotten, or its pipeline deleted: what it has left may live. */
static int kill_execution(struct pen_engine *engine, const Pen__StopExecution *request,
                          Pen__Reply *reply, struct pen_error *err)
{
    struct execution *execution = find_execution(engine, request->execution_id);
    if (execution != NULL && !pen_str_equal(execution->row->pipeline, request->pipeline))
        execution = NULL;
    bool under_way = execution != NULL && !execution_ended(execution);
    bool ending = false;
    size_t killed = abandoned_kill_all(
        engine, request->pipeline, request->execution_id,
        pen_str_empty(request->reason) ? "A person has had it ended" : request->reason, &ending);
    if (!under_way && killed == 0)
        return ending ? pen_fail_api(err, PEN_ECONFLICT, "DuplicatedStopRequestException",
                                     "what is left of execution '%s' is being ended already",
                                     request->execution_id)
                      : pen_fail_api(err, PEN_ECONFLICT, "PipelineExecutionNotStoppableException",
                                     "nothing of an execution '%s' of pipeline '%s' is under way",
                                     request->execution_id, request->pipeline);
    if (under_way)
        emit_stopping(engine, execution, request);
    reply->execution_id = mem_text(request->execution_id);
    return 0;
}

int handle_stop_execution(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                          struct pen_error *err)
{
    const Pen__StopExecution *request = input->stop_execution;
    if (request->kill)
        return kill_execution(engine, request, reply, err);
    struct execution *execution;
    int rc = find_of_pipeline(engine, request->pipeline, request->execution_id, &execution,
                              "PipelineExecutionNotStoppableException", err);
    if (rc < 0)
        return rc;
    if (execution_ended(execution))
        return pen_fail_api(err, PEN_ECONFLICT, "PipelineExecutionNotStoppableException",
                            "execution '%s' has already ended", request->execution_id);
    if (execution->row->status == PEN__EXECUTION_STATUS__EXECUTION_STOPPING &&
        (execution->row->abandon || !request->abandon))
        return pen_fail_api(err, PEN_ECONFLICT, "DuplicatedStopRequestException",
                            "execution '%s' is being stopped already", request->execution_id);
    reply->execution_id = mem_text(request->execution_id);
    emit_stopping(engine, execution, request);
    return 0;
}
