/* controller/engine/link.c - connecting entities with each other, live and after a load */
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "controller/engine/job.h"
#include "controller/engine/state.h"

static int missing(struct pen_error *err, const struct entity *self, const char *what)
{
    return pen_fail(err, PEN_ECORRUPT, "row %d '%s' names %s that is not there", (int)self->kind,
                    self->key, what);
}

static int link_version(struct pen_engine *engine, struct version *self, struct pen_error *err)
{
    struct pipeline *pipeline = find_pipeline(engine, self->row->declaration->name);
    if (pipeline == NULL)
        return missing(err, &self->entity, "a pipeline");
    int32_t number = self->row->declaration->version;
    mem_put(&pipeline->versions, pen_key_number((uint64_t)number), self);
    if (number == pipeline->row->version)
        pipeline->current = self;
    return 0;
}

static int link_stage_state(struct pen_engine *engine, struct stage_state *self,
                            struct pen_error *err)
{
    self->owner = find_pipeline(engine, self->row->pipeline);
    if (self->owner == NULL)
        return missing(err, &self->entity, "a pipeline");
    mem_put(&self->owner->stages, pen_key_text(self->row->stage), self);
    return 0;
}

static int link_seen_refs(struct pen_engine *engine, struct seen_refs *self, struct pen_error *err)
{
    struct pipeline *pipeline = find_pipeline(engine, self->row->pipeline);
    if (pipeline == NULL)
        return missing(err, &self->entity, "a pipeline");
    mem_put(&pipeline->refs, pen_key_text(self->entity.key), self);
    return 0;
}

void execution_link(struct pen_engine *engine, struct execution *self, struct pipeline *pipeline,
                    struct version *version)
{
    (void)engine;
    self->pipeline = pipeline;
    self->version = version;
    self->declaration = version->row->declaration;
    self->stages = mem_zero(self->declaration->n_stages * sizeof(struct stage_run *));
    version->executions++;
    mem_put(&pipeline->executions, pen_key_number(self->row->order), self);
    if (!execution_ended(self))
        pipeline->running++;
}

static int link_execution(struct pen_engine *engine, struct execution *self, struct pen_error *err)
{
    struct pipeline *pipeline = find_pipeline(engine, self->row->pipeline);
    if (pipeline == NULL)
        return missing(err, &self->entity, "a pipeline");
    struct version *version =
        pen_map_get(&pipeline->versions, pen_key_number((uint64_t)self->row->pipeline_version));
    if (version == NULL || self->row->stage_index >= version->row->declaration->n_stages)
        return missing(err, &self->entity, "a version or stage");
    execution_link(engine, self, pipeline, version);
    return 0;
}

static int link_run(struct pen_engine *engine, struct stage_run *self, struct pen_error *err)
{
    self->execution = find_execution(engine, self->row->execution_id);
    if (self->execution == NULL || self->execution->declaration == NULL)
        return missing(err, &self->entity, "an execution");
    const Pen__PipelineDeclaration *declaration = self->execution->declaration;
    for (size_t i = 0; i < declaration->n_stages; i++) {
        if (!pen_str_equal(declaration->stages[i]->name, self->row->stage))
            continue;
        self->declaration = declaration->stages[i];
        self->current = mem_zero(self->declaration->n_actions * sizeof(struct action *));
        self->execution->stages[i] = self;
        return 0;
    }
    return missing(err, &self->entity, "a stage");
}

void rule_arm(struct pen_engine *engine, struct rule *self)
{
    const Pen__RuleExecutionRow *row = self->row;
    if (row->status != PEN__ACTION_STATUS__ACTION_IN_PROGRESS)
        return;
    int64_t opens_ms = row->has_opens_ms ? row->opens_ms + engine->clock_behind_ms : INT64_MAX;
    timer_arm(engine, &self->timer, opens_ms < row->deadline_ms ? opens_ms : row->deadline_ms);
}

static int link_rule(struct pen_engine *engine, struct rule *self, struct pen_error *err)
{
    const struct execution *execution = find_execution(engine, self->row->execution_id);
    self->run = execution == NULL || execution->declaration == NULL
                    ? NULL
                    : find_run(execution, self->row->stage);
    if (self->run == NULL || self->run->rules_count == PEN_RULES_PER_CONDITION_MAX)
        return missing(err, &self->entity, "a stage");
    size_t place = self->run->rules_count++; /* in order, however they were loaded */
    for (; place > 0 && self->run->rules[place - 1]->row->order > self->row->order; place--)
        self->run->rules[place] = self->run->rules[place - 1];
    self->run->rules[place] = self;
    self->timer = (struct timer){.kind = TIMER_RULE, .owner = self};
    rule_arm(engine, self);
    return 0;
}

/* Queue, offers and timers of an action or a rule's work, from its row. */
static int enter_phase(struct pen_engine *engine, struct action *self, struct pen_error *err)
{
    struct pen_labels labels;
    bool ended = self->row->phase == PEN__ACTION_PHASE__ACTION_ENDED; /* perhaps by these labels */
    if (!ended && demand_labels(self->row, &labels, err) < 0)
        return pen_fail(err, PEN_ECORRUPT, "action '%s' asks for labels that cannot be read",
                        self->row->id);
    self->timer = (struct timer){.kind = TIMER_ACTION, .owner = self};
    action_enter_phase(engine, self, self->row->phase);
    return 0;
}

static int link_rule_work(struct pen_engine *engine, struct action *self, struct pen_error *err)
{
    const struct execution *execution = find_execution(engine, self->row->execution_id);
    self->run = execution == NULL || execution->declaration == NULL
                    ? NULL
                    : find_run(execution, self->row->stage);
    for (size_t i = 0; self->run != NULL && i < self->run->rules_count; i++)
        if (pen_str_equal(self->run->rules[i]->row->id, self->row->rule_execution_id))
            self->rule = self->run->rules[i];
    const Pen__RuleDeclaration *declared = self->rule == NULL ? NULL : rule_declared(self->rule);
    if (declared == NULL || self->rule->work != NULL)
        return missing(err, &self->entity, "a rule");
    self->made = rule_work_declaration(declared);
    self->declaration = self->made;
    self->rule->work = self;
    return enter_phase(engine, self, err);
}

static int link_action(struct pen_engine *engine, struct action *self, struct pen_error *err)
{
    struct execution *execution = find_execution(engine, self->row->execution_id);
    if (execution == NULL || execution->declaration == NULL)
        return missing(err, &self->entity, "an execution");
    self->run = find_run(execution, self->row->stage);
    int index = self->run == NULL ? -1 : action_index(self->run->declaration, self->row->action);
    if (index < 0)
        return missing(err, &self->entity, "a stage or action");
    self->index = (size_t)index;
    self->declaration = self->run->declaration->actions[index];
    self->run->current[index] = self;
    if (self->row->status == PEN__ACTION_STATUS__ACTION_IN_PROGRESS)
        execution->in_progress++;
    return enter_phase(engine, self, err);
}

void attempt_link(struct pen_engine *engine, struct attempt *self, struct agent *agent,
                  struct action *action)
{
    self->timer = (struct timer){.kind = TIMER_ATTEMPT, .owner = self};
    self->agent = agent;
    self->action = action;
    if (action != NULL)
        action->attempt = self;
    mem_put(&agent->attempts, pen_key_number(self->row->fence), self);
    if (attempt_takes_slot(self->row->state))
        agent->busy++;
    agent_reindex(engine, agent);
    abandoned_update(engine, self);
}

static int link_attempt(struct pen_engine *engine, struct attempt *self, struct pen_error *err)
{
    struct agent *agent = find_agent(engine, self->row->agent_id);
    if (agent == NULL)
        return missing(err, &self->entity, "an agent");
    struct action *action = find_action(engine, self->row->action_execution_id);
    if (action != NULL && (action->row->fence != self->row->fence ||
                           action->row->phase == PEN__ACTION_PHASE__ACTION_ENDED ||
                           action->row->phase == PEN__ACTION_PHASE__ACTION_QUEUED))
        action = NULL;
    attempt_link(engine, self, agent, action);
    return 0;
}

int entity_link(struct pen_engine *engine, struct entity *self, struct pen_error *err)
{
    switch ((int)self->kind) {
    case PEN__ROW_KIND__ROW_PIPELINE_VERSION:
        return link_version(engine, (struct version *)self, err);
    case PEN__ROW_KIND__ROW_STAGE_STATE:
        return link_stage_state(engine, (struct stage_state *)self, err);
    case PEN__ROW_KIND__ROW_SEEN_REFS:
        return link_seen_refs(engine, (struct seen_refs *)self, err);
    case PEN__ROW_KIND__ROW_EXECUTION:
        return link_execution(engine, (struct execution *)self, err);
    case PEN__ROW_KIND__ROW_STAGE_EXECUTION:
        return link_run(engine, (struct stage_run *)self, err);
    case PEN__ROW_KIND__ROW_RULE_EXECUTION:
        return link_rule(engine, (struct rule *)self, err);
    case PEN__ROW_KIND__ROW_ACTION_EXECUTION:
        return link_action(engine, (struct action *)self, err);
    case PEN__ROW_KIND__ROW_RULE_WORK:
        return link_rule_work(engine, (struct action *)self, err);
    case PEN__ROW_KIND__ROW_ATTEMPT:
        return link_attempt(engine, (struct attempt *)self, err);
    case PEN__ROW_KIND__ROW_JOB:
        return job_link(engine, (struct job *)self, err);
    case PEN__ROW_KIND__ROW_TOKEN: {
        Pen__TokenRow *row = ((struct token *)self)->row;
        mem_put(&engine->token_ends, (struct pen_key){(uint64_t)row->expires_ms, self->key}, self);
        return 0;
    }
    case PEN__ROW_KIND__ROW_REQUEST_TOKEN: {
        Pen__RequestTokenRow *row = ((struct request_token *)self)->row;
        mem_put(&engine->request_ends, (struct pen_key){(uint64_t)row->expires_ms, self->key},
                self);
        return 0;
    }
    default:
        return 0;
    }
}

/* ---- leaving memory */

static void forget_action(struct pen_engine *engine, struct action *self)
{
    action_leave_phase(engine, self);
    if (self->attempt != NULL) {
        self->attempt->action = NULL;
        abandoned_update(engine, self->attempt);
    }
    pen_map_remove(&engine->actions, pen_key_text(self->row->id));
    entity_retire(engine, &self->entity, false);
}

void run_drop_rules(struct pen_engine *engine, struct stage_run *self)
{
    for (size_t i = 0; i < self->rules_count; i++) {
        if (self->rules[i]->work != NULL)
            forget_action(engine, self->rules[i]->work);
        entity_retire(engine, &self->rules[i]->entity, false);
    }
    self->rules_count = 0;
}

static void forget_run(struct pen_engine *engine, struct stage_run *self)
{
    for (size_t i = 0; i < self->declaration->n_actions; i++)
        if (self->current[i] != NULL)
            forget_action(engine, self->current[i]);
    entity_retire(engine, &self->entity, false);
}

void run_drop_action(struct pen_engine *engine, struct stage_run *self, size_t index)
{
    if (self->current[index] == NULL)
        return;
    forget_action(engine, self->current[index]);
    self->current[index] = NULL;
}

/* While history is looked for: what was read of its row may be from before its end. */
static void note_left_memory(struct pen_engine *engine, const struct execution *execution)
{
    if (engine->collection == NULL || engine->collection->row->has_ended_ms ||
        pen_map_get(&engine->left_memory, pen_key_text(execution->row->id)) != NULL)
        return;
    char *id = mem_text(execution->row->id);
    mem_put(&engine->left_memory, pen_key_text(id), id);
}

void left_memory_clear(struct pen_engine *engine)
{
    char *id;
    while ((id = pen_map_first_value(&engine->left_memory)) != NULL) {
        (void)pen_map_remove(&engine->left_memory, pen_key_text(id));
        free(id);
    }
}

void execution_forget(struct pen_engine *engine, struct execution *self)
{
    CHECK(execution_ended(self));
    note_left_memory(engine, self);
    for (size_t i = 0; i < self->declaration->n_stages; i++)
        if (self->stages[i] != NULL)
            forget_run(engine, self->stages[i]);
    pen_map_remove(&engine->executions, pen_key_text(self->row->id));
    pen_map_remove(&self->pipeline->executions, pen_key_number(self->row->order));
    struct version *version = self->version;
    CHECK(version->executions > 0);
    version->executions--;
    if (version->executions == 0 && version != self->pipeline->current) {
        pen_map_remove(&self->pipeline->versions,
                       pen_key_number((uint64_t)version->row->declaration->version));
        entity_retire(engine, &version->entity, false);
    }
    entity_retire(engine, &self->entity, false);
}
