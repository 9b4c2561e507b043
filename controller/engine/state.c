#include "controller/engine/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"

/* What the engine has to know of each kind of row. */
struct row_kind {
    const ProtobufCMessageDescriptor *type;
    size_t entity_size;
};

static const struct row_kind kinds[] = {
    [PEN__ROW_KIND__ROW_SETTING] = {&pen__setting_row__descriptor, sizeof(struct setting)},
    [PEN__ROW_KIND__ROW_PIPELINE] = {&pen__pipeline_row__descriptor, sizeof(struct pipeline)},
    [PEN__ROW_KIND__ROW_PIPELINE_VERSION] = {&pen__pipeline_version_row__descriptor,
                                             sizeof(struct version)},
    [PEN__ROW_KIND__ROW_STAGE_STATE] = {&pen__stage_state_row__descriptor,
                                        sizeof(struct stage_state)},
    [PEN__ROW_KIND__ROW_EXECUTION] = {&pen__execution_row__descriptor, sizeof(struct execution)},
    [PEN__ROW_KIND__ROW_STAGE_EXECUTION] = {&pen__stage_execution_row__descriptor,
                                            sizeof(struct stage_run)},
    [PEN__ROW_KIND__ROW_ACTION_EXECUTION] = {&pen__action_execution_row__descriptor,
                                             sizeof(struct action)},
    [PEN__ROW_KIND__ROW_ATTEMPT] = {&pen__attempt_row__descriptor, sizeof(struct attempt)},
    [PEN__ROW_KIND__ROW_AGENT] = {&pen__agent_row__descriptor, sizeof(struct agent)},
    [PEN__ROW_KIND__ROW_TOKEN] = {&pen__token_row__descriptor, sizeof(struct token)},
    [PEN__ROW_KIND__ROW_REQUEST_TOKEN] = {&pen__request_token_row__descriptor,
                                          sizeof(struct request_token)},
    [PEN__ROW_KIND__ROW_REPOSITORY] = {&pen__repository_row__descriptor, sizeof(struct repository)},
    [PEN__ROW_KIND__ROW_CONNECTION] = {&pen__connection_row__descriptor, sizeof(struct connection)},
    [PEN__ROW_KIND__ROW_ACCESS_KEY] = {&pen__access_key_row__descriptor, sizeof(struct access_key)},
    [PEN__ROW_KIND__ROW_RULE_EXECUTION] = {&pen__rule_execution_row__descriptor,
                                           sizeof(struct rule)},
    [PEN__ROW_KIND__ROW_RULE_WORK] = {&pen__action_execution_row__descriptor,
                                      sizeof(struct action)},
    [PEN__ROW_KIND__ROW_ACTION_TYPE] = {&pen__action_type_row__descriptor,
                                        sizeof(struct action_type)},
    [PEN__ROW_KIND__ROW_JOB] = {&pen__job_row__descriptor, sizeof(struct job)},
    [PEN__ROW_KIND__ROW_WEBHOOK] = {&pen__webhook_row__descriptor, sizeof(struct webhook)},
    [PEN__ROW_KIND__ROW_REMOVAL] = {&pen__removal_row__descriptor, sizeof(struct removal)},
    [PEN__ROW_KIND__ROW_COLLECTION] = {&pen__collection_row__descriptor, sizeof(struct collection)},
    [PEN__ROW_KIND__ROW_SEEN_REFS] = {&pen__seen_refs_row__descriptor, sizeof(struct seen_refs)},
};

const ProtobufCMessageDescriptor *row_type(Pen__RowKind kind)
{
    if ((size_t)kind >= sizeof kinds / sizeof kinds[0])
        return NULL;
    return kinds[kind].type;
}

/* ---- entities */

void entity_init(struct entity *self, Pen__RowKind kind, char *key, void *message)
{
    self->kind = kind;
    self->key = key;
    self->message = message;
    self->live = true;
}

void entity_touch(struct pen_engine *engine, struct entity *self)
{
    if (self->dirty)
        return;
    self->dirty = true;
    self->next_dirty = NULL;
    if (engine->dirty_last != NULL)
        engine->dirty_last->next_dirty = self;
    else
        engine->dirty_first = self;
    engine->dirty_last = self;
}

void entity_retire(struct pen_engine *engine, struct entity *self, bool delete_row)
{
    self->live = false;
    self->dead = true;
    self->deleted = delete_row;
    entity_touch(engine, self);
}

static void release_indexes(struct entity *self)
{
    switch ((int)self->kind) {
    case PEN__ROW_KIND__ROW_PIPELINE:
        pen_map_release(&((struct pipeline *)self)->versions);
        pen_map_release(&((struct pipeline *)self)->stages);
        pen_map_release(&((struct pipeline *)self)->executions);
        pen_map_release(&((struct pipeline *)self)->refs);
        break;
    case PEN__ROW_KIND__ROW_EXECUTION:
        free(((struct execution *)self)->stages);
        break;
    case PEN__ROW_KIND__ROW_STAGE_EXECUTION:
        free(((struct stage_run *)self)->current);
        break;
    case PEN__ROW_KIND__ROW_ATTEMPT:
        free(((struct attempt *)self)->abandoned_key);
        break;
    case PEN__ROW_KIND__ROW_RULE_WORK:
        mem_free_message(((struct action *)self)->made);
        break;
    case PEN__ROW_KIND__ROW_AGENT:
        pen_map_release(&((struct agent *)self)->attempts);
        free(((struct agent *)self)->former_run_id);
        free(((struct agent *)self)->refusal);
        break;
    default:
        break;
    }
}

void entity_destroy(struct entity *self)
{
    release_indexes(self);
    mem_free_message(self->message);
    free(self->key);
    free(self);
}

/* ---- one function for each kind: key, and what the row belongs to */

static void describe_pipeline_parts(struct entity *self)
{
    switch ((int)self->kind) {
    case PEN__ROW_KIND__ROW_PIPELINE: {
        Pen__PipelineRow *row = (void *)self->message;
        self->key = mem_text(row->name);
        self->pipeline = row->name;
        break;
    }
    case PEN__ROW_KIND__ROW_PIPELINE_VERSION: {
        Pen__PipelineVersionRow *row = (void *)self->message;
        self->key = mem_format("%s/%d", row->declaration->name, row->declaration->version);
        self->pipeline = row->declaration->name;
        self->order = (uint64_t)row->declaration->version;
        break;
    }
    case PEN__ROW_KIND__ROW_STAGE_STATE: {
        Pen__StageStateRow *row = (void *)self->message;
        self->key = mem_format("%s/%s", row->pipeline, row->stage);
        self->pipeline = row->pipeline;
        break;
    }
    case PEN__ROW_KIND__ROW_SEEN_REFS: {
        Pen__SeenRefsRow *row = (void *)self->message;
        self->key = mem_format("%s/%s/%s/%02u", row->pipeline, row->stage, row->action, row->part);
        self->pipeline = row->pipeline;
        break;
    }
    case PEN__ROW_KIND__ROW_REQUEST_TOKEN: {
        Pen__RequestTokenRow *row = (void *)self->message;
        self->key = mem_format("%s/%s", row->pipeline, row->token);
        self->pipeline = row->pipeline;
        break;
    }
    default:
        UNREACHABLE("not a part of a pipeline");
    }
}

static void describe_execution_parts(struct entity *self)
{
    switch ((int)self->kind) {
    case PEN__ROW_KIND__ROW_EXECUTION: {
        Pen__ExecutionRow *row = (void *)self->message;
        self->key = mem_text(row->id);
        self->pipeline = row->pipeline;
        self->execution = row->id;
        self->order = row->order;
        break;
    }
    case PEN__ROW_KIND__ROW_STAGE_EXECUTION: {
        Pen__StageExecutionRow *row = (void *)self->message;
        self->key = mem_format("%s/%s", row->execution_id, row->stage);
        self->pipeline = row->pipeline;
        self->execution = row->execution_id;
        break;
    }
    case PEN__ROW_KIND__ROW_RULE_WORK:
    case PEN__ROW_KIND__ROW_ACTION_EXECUTION: {
        Pen__ActionExecutionRow *row = (void *)self->message;
        self->key = mem_text(row->id);
        self->pipeline = row->pipeline;
        self->execution = row->execution_id;
        self->order = row->order;
        break;
    }
    case PEN__ROW_KIND__ROW_RULE_EXECUTION: {
        Pen__RuleExecutionRow *row = (void *)self->message;
        self->key = mem_text(row->id);
        self->pipeline = row->pipeline;
        self->execution = row->execution_id;
        self->order = row->order;
        break;
    }
    case PEN__ROW_KIND__ROW_ATTEMPT: {
        Pen__AttemptRow *row = (void *)self->message;
        self->key = mem_format("%020llu", (unsigned long long)row->fence);
        self->pipeline = row->pipeline;
        self->execution = row->execution_id;
        self->order = row->fence;
        break;
    }
    case PEN__ROW_KIND__ROW_JOB: {
        Pen__JobRow *row = (void *)self->message;
        self->key = mem_text(row->id);
        self->pipeline = row->pipeline;
        self->execution = row->execution_id;
        self->order = row->order;
        break;
    }
    default:
        UNREACHABLE("not a part of an execution");
    }
}

static void describe(struct entity *self)
{
    switch ((int)self->kind) {
    case PEN__ROW_KIND__ROW_SETTING:
        self->key = mem_text("main");
        break;
    case PEN__ROW_KIND__ROW_AGENT:
        self->key = mem_text(((Pen__AgentRow *)(void *)self->message)->id);
        break;
    case PEN__ROW_KIND__ROW_TOKEN:
        self->key = mem_text(((Pen__TokenRow *)(void *)self->message)->id);
        break;
    case PEN__ROW_KIND__ROW_REPOSITORY:
        self->key = mem_text(((Pen__RepositoryRow *)(void *)self->message)->name);
        break;
    case PEN__ROW_KIND__ROW_CONNECTION:
        self->key = mem_text(((Pen__ConnectionRow *)(void *)self->message)->id);
        break;
    case PEN__ROW_KIND__ROW_ACCESS_KEY:
        self->key = mem_text(((Pen__AccessKeyRow *)(void *)self->message)->id);
        break;
    case PEN__ROW_KIND__ROW_ACTION_TYPE: {
        const Pen__ActionTypeId *id = ((Pen__ActionTypeRow *)(void *)self->message)->type->id;
        self->key = mem_format("%s/%s/%s", id->category, id->provider, id->version);
        break;
    }
    case PEN__ROW_KIND__ROW_WEBHOOK:
        self->key = mem_text(((Pen__WebhookRow *)(void *)self->message)->name);
        break;
    case PEN__ROW_KIND__ROW_COLLECTION:
        self->key = mem_text("main");
        break;
    case PEN__ROW_KIND__ROW_REMOVAL: {
        Pen__RemovalRow *row = (void *)self->message;
        self->key = mem_format("%020llu", (unsigned long long)row->number);
        self->pipeline = row->pipeline;
        self->order = row->number;
        break;
    }
    case PEN__ROW_KIND__ROW_PIPELINE:
    case PEN__ROW_KIND__ROW_PIPELINE_VERSION:
    case PEN__ROW_KIND__ROW_STAGE_STATE:
    case PEN__ROW_KIND__ROW_REQUEST_TOKEN:
    case PEN__ROW_KIND__ROW_SEEN_REFS:
        describe_pipeline_parts(self);
        break;
    default:
        describe_execution_parts(self);
        break;
    }
}

/* The map that finds the entity by its key alone; NULL when it is found through its owner. */
static struct pen_map *map_of(struct pen_engine *engine, Pen__RowKind kind)
{
    switch ((int)kind) {
    case PEN__ROW_KIND__ROW_PIPELINE:
        return &engine->pipelines;
    case PEN__ROW_KIND__ROW_EXECUTION:
        return &engine->executions;
    case PEN__ROW_KIND__ROW_RULE_WORK:
    case PEN__ROW_KIND__ROW_ACTION_EXECUTION:
        return &engine->actions;
    case PEN__ROW_KIND__ROW_ATTEMPT:
        return &engine->attempts;
    case PEN__ROW_KIND__ROW_AGENT:
        return &engine->agents;
    case PEN__ROW_KIND__ROW_TOKEN:
        return &engine->tokens;
    case PEN__ROW_KIND__ROW_REQUEST_TOKEN:
        return &engine->requests;
    case PEN__ROW_KIND__ROW_REPOSITORY:
        return &engine->repositories;
    case PEN__ROW_KIND__ROW_CONNECTION:
        return &engine->connections;
    case PEN__ROW_KIND__ROW_ACCESS_KEY:
        return &engine->access_keys;
    case PEN__ROW_KIND__ROW_ACTION_TYPE:
        return &engine->action_types;
    case PEN__ROW_KIND__ROW_JOB:
        return &engine->jobs;
    case PEN__ROW_KIND__ROW_WEBHOOK:
        return &engine->webhooks;
    case PEN__ROW_KIND__ROW_REMOVAL:
        return &engine->removals;
    default:
        return NULL;
    }
}

struct entity *entity_add(struct pen_engine *engine, Pen__RowKind kind, void *message)
{
    struct entity *self = mem_zero(kinds[kind].entity_size);
    self->kind = kind;
    self->live = true;
    self->message = message;
    describe(self);
    /* Every entity struct is its head, then the typed row. */
    struct setting *typed = (struct setting *)self;
    typed->row = message;
    if (kind == PEN__ROW_KIND__ROW_SETTING)
        engine->setting = typed;
    if (kind == PEN__ROW_KIND__ROW_COLLECTION)
        engine->collection = (struct collection *)self;
    if (kind == PEN__ROW_KIND__ROW_AGENT) {
        struct agent *agent = (struct agent *)self;
        agent->timer = (struct timer){.kind = TIMER_AGENT, .owner = agent};
    }
    if (kind == PEN__ROW_KIND__ROW_PIPELINE) {
        struct pipeline *pipeline = (struct pipeline *)self;
        pipeline->timer = (struct timer){.kind = TIMER_POLLING, .owner = pipeline};
    }
    struct pen_map *map = map_of(engine, kind);
    if (map == NULL)
        return self;
    bool numbered = kind == PEN__ROW_KIND__ROW_ATTEMPT || kind == PEN__ROW_KIND__ROW_REMOVAL;
    mem_put(map, numbered ? pen_key_number(self->order) : pen_key_text(self->key), self);
    return self;
}

static bool type_complete(const Pen__ActionType *type)
{
    return type != NULL && type->id != NULL && type->id->category != NULL &&
           type->id->provider != NULL && type->id->version != NULL &&
           type->input_artifact_details != NULL && type->output_artifact_details != NULL;
}

static bool job_complete(const Pen__JobRow *row)
{
    return row->id != NULL && row->type != NULL && row->type->category != NULL &&
           row->type->provider != NULL && row->type->version != NULL;
}

bool row_complete(Pen__RowKind kind, const ProtobufCMessage *message)
{
    switch ((int)kind) {
    case PEN__ROW_KIND__ROW_PIPELINE:
        return ((const Pen__PipelineRow *)message)->name != NULL;
    case PEN__ROW_KIND__ROW_PIPELINE_VERSION: {
        const Pen__PipelineDeclaration *declaration =
            ((const Pen__PipelineVersionRow *)message)->declaration;
        return declaration != NULL && declaration->name != NULL && declaration->n_stages > 0;
    }
    case PEN__ROW_KIND__ROW_STAGE_STATE:
        return ((const Pen__StageStateRow *)message)->pipeline != NULL &&
               ((const Pen__StageStateRow *)message)->stage != NULL;
    case PEN__ROW_KIND__ROW_EXECUTION:
        return ((const Pen__ExecutionRow *)message)->id != NULL;
    case PEN__ROW_KIND__ROW_STAGE_EXECUTION:
        return ((const Pen__StageExecutionRow *)message)->execution_id != NULL &&
               ((const Pen__StageExecutionRow *)message)->stage != NULL;
    case PEN__ROW_KIND__ROW_RULE_WORK:
    case PEN__ROW_KIND__ROW_ACTION_EXECUTION:
        return ((const Pen__ActionExecutionRow *)message)->id != NULL &&
               ((const Pen__ActionExecutionRow *)message)->type != NULL;
    case PEN__ROW_KIND__ROW_RULE_EXECUTION: {
        const Pen__RuleExecutionRow *row = (const Pen__RuleExecutionRow *)message;
        return row->id != NULL && row->execution_id != NULL && row->type != NULL;
    }
    case PEN__ROW_KIND__ROW_AGENT:
        return ((const Pen__AgentRow *)message)->id != NULL;
    case PEN__ROW_KIND__ROW_TOKEN:
        return ((const Pen__TokenRow *)message)->id != NULL;
    case PEN__ROW_KIND__ROW_REQUEST_TOKEN:
        return ((const Pen__RequestTokenRow *)message)->pipeline != NULL &&
               ((const Pen__RequestTokenRow *)message)->token != NULL;
    case PEN__ROW_KIND__ROW_SEEN_REFS: {
        const Pen__SeenRefsRow *row = (const Pen__SeenRefsRow *)message;
        bool complete = row->pipeline != NULL && row->stage != NULL && row->action != NULL;
        for (size_t i = 0; i < row->n_refs; i++)
            complete = complete && row->refs[i]->name != NULL && row->refs[i]->revision_id != NULL;
        return complete;
    }
    case PEN__ROW_KIND__ROW_REPOSITORY:
        return ((const Pen__RepositoryRow *)message)->name != NULL;
    case PEN__ROW_KIND__ROW_CONNECTION:
        return ((const Pen__ConnectionRow *)message)->id != NULL;
    case PEN__ROW_KIND__ROW_ACCESS_KEY:
        return ((const Pen__AccessKeyRow *)message)->id != NULL;
    case PEN__ROW_KIND__ROW_ACTION_TYPE:
        return type_complete(((const Pen__ActionTypeRow *)message)->type);
    case PEN__ROW_KIND__ROW_JOB:
        return job_complete((const Pen__JobRow *)message);
    case PEN__ROW_KIND__ROW_WEBHOOK:
        return ((const Pen__WebhookRow *)message)->name != NULL;
    default:
        return true;
    }
}

/* ---- finding */

struct pipeline *find_pipeline(const struct pen_engine *engine, const char *name)
{
    return name == NULL ? NULL : pen_map_get(&engine->pipelines, pen_key_text(name));
}

struct stage_state *find_stage(const struct pipeline *pipeline, const char *stage)
{
    return stage == NULL ? NULL : pen_map_get(&pipeline->stages, pen_key_text(stage));
}

struct execution *find_execution(const struct pen_engine *engine, const char *id)
{
    return id == NULL ? NULL : pen_map_get(&engine->executions, pen_key_text(id));
}

struct stage_run *find_run(const struct execution *execution, const char *stage)
{
    for (size_t i = 0; i < execution->declaration->n_stages; i++)
        if (pen_str_equal(execution->declaration->stages[i]->name, stage))
            return execution->stages[i];
    return NULL;
}

struct action *find_action(const struct pen_engine *engine, const char *id)
{
    return id == NULL ? NULL : pen_map_get(&engine->actions, pen_key_text(id));
}

struct attempt *find_attempt(const struct pen_engine *engine, uint64_t fence)
{
    return pen_map_get(&engine->attempts, pen_key_number(fence));
}

struct agent *find_agent(const struct pen_engine *engine, const char *id)
{
    return id == NULL ? NULL : pen_map_get(&engine->agents, pen_key_text(id));
}

struct stage_run *current_run(const struct execution *execution)
{
    return execution->stages[execution->row->stage_index];
}

bool execution_ended(const struct execution *execution)
{
    return execution->row->status != PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS &&
           execution->row->status != PEN__EXECUTION_STATUS__EXECUTION_STOPPING;
}

bool execution_of_former(const struct pipeline *pipeline, const Pen__ExecutionRow *row)
{
    /* Pipelines that an older controller has made do not know their order. */
    return row->order <= pipeline->row->created_order ||
           row->started_ms < pipeline->row->created_ms;
}

bool execution_parallel(const struct execution *execution)
{
    return pen_str_equal(execution->row->mode, "PARALLEL");
}

bool execution_outdated(const struct execution *execution)
{
    return !execution_parallel(execution) &&
           execution->row->pipeline_version != execution->pipeline->row->version;
}

Pen__ConditionRun *condition_run(const struct stage_run *run, Pen__ConditionKind kind)
{
    for (size_t i = 0; i < run->row->n_conditions; i++)
        if (run->row->conditions[i]->kind == kind)
            return run->row->conditions[i];
    return NULL;
}

const Pen__Condition *condition_declared(const Pen__StageDeclaration *stage,
                                         Pen__ConditionKind kind)
{
    switch ((int)kind) {
    case PEN__CONDITION_KIND__CONDITION_BEFORE_ENTRY:
        return stage->before_entry != NULL && stage->before_entry->n_conditions > 0
                   ? stage->before_entry->conditions[0]
                   : NULL;
    case PEN__CONDITION_KIND__CONDITION_ON_SUCCESS:
        return stage->on_success != NULL && stage->on_success->n_conditions > 0
                   ? stage->on_success->conditions[0]
                   : NULL;
    default:
        return stage->on_failure != NULL && stage->on_failure->n_conditions > 0
                   ? stage->on_failure->conditions[0]
                   : NULL;
    }
}

int action_index(const Pen__StageDeclaration *stage, const char *name)
{
    for (size_t i = 0; i < stage->n_actions; i++)
        if (pen_str_equal(stage->actions[i]->name, name))
            return (int)i;
    return -1;
}
