/* controller/engine/plan.c - the effects that the state asks for; after a restart, all of them */
#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/collect.h"
#include "controller/engine/planted.h"

void plan_key(struct pen_engine *engine, ProtobufCBinaryData public_key, const char *id, bool token)
{
    Pen__KeyAllow *body = MAKE(Pen__KeyAllow, pen__key_allow__init);
    body->has_public_key = 1;
    body->public_key = mem_bytes(public_key);
    body->id = mem_text(id);
    SET(body, token, token);
    effect(engine, PEN__EFFECT__WHAT_KEY_ALLOW, body);
}

void plan_key_denied(struct pen_engine *engine, ProtobufCBinaryData public_key)
{
    Pen__KeyDeny *body = MAKE(Pen__KeyDeny, pen__key_deny__init);
    body->has_public_key = 1;
    body->public_key = mem_bytes(public_key);
    effect(engine, PEN__EFFECT__WHAT_KEY_DENY, body);
}

void plan_repository(struct pen_engine *engine, const char *name, uint64_t correlation)
{
    Pen__RepositoryMake *body = MAKE(Pen__RepositoryMake, pen__repository_make__init);
    body->name = mem_text(name);
    if (correlation != 0)
        SET(body, correlation, correlation);
    effect(engine, PEN__EFFECT__WHAT_REPOSITORY_MAKE, body);
}

void plan_connection(struct pen_engine *engine, const Pen__ConnectionRow *row)
{
    Pen__ConnectionLoaded *body = MAKE(Pen__ConnectionLoaded, pen__connection_loaded__init);
    body->connection = mem_copy(row);
    effect(engine, PEN__EFFECT__WHAT_CONNECTION_LOADED, body);
}

void plan_access_key(struct pen_engine *engine, const Pen__AccessKeyRow *row)
{
    Pen__KeyLoaded *body = MAKE(Pen__KeyLoaded, pen__key_loaded__init);
    body->access_key = mem_copy(row);
    effect(engine, PEN__EFFECT__WHAT_KEY_LOADED, body);
}

void plan_action(struct pen_engine *engine, const struct action *self)
{
    if (self->row->phase == PEN__ACTION_PHASE__ACTION_SOURCE)
        plan_source_run(engine, self);
}

void plan_attempt(struct pen_engine *engine, const struct attempt *self)
{
    Pen__AttemptOpen *body = MAKE(Pen__AttemptOpen, pen__attempt_open__init);
    SET(body, fence, self->row->fence);
    body->agent_id = mem_text(self->row->agent_id);
    body->action_execution_id = mem_text(self->row->action_execution_id);
    const struct action *action = self->action;
    for (size_t i = 0; action != NULL && i < action->row->n_inputs; i++)
        APPEND(body, inputs, mem_copy(action->row->inputs[i]->artifact));
    for (size_t i = 0; action != NULL && i < action->declaration->n_output_artifacts; i++)
        APPEND(body, outputs, mem_text(action->declaration->output_artifacts[i]->name));
    SET(body, log_bytes_max, PEN_LIMIT_LOG_BYTES_DEFAULT);
    if (self->row->finished != NULL)
        SET(body, wanted_log_size, self->row->finished->log_size);
    effect(engine, PEN__EFFECT__WHAT_ATTEMPT_OPEN, body);
}

/* Whose window cannot be found before its time zone is known. */
void plan_rule(struct pen_engine *engine, const struct rule *self)
{
    const Pen__RuleExecutionRow *row = self->row;
    if (row->status != PEN__ACTION_STATUS__ACTION_IN_PROGRESS || row->error_code != NULL ||
        row->has_opens_ms || !pen_str_equal(row->type->provider, PEN_RULE_DEPLOYMENT_WINDOW))
        return;
    window_ask_zone(engine, self);
}

static void plan_rules(struct pen_engine *engine, const struct execution *execution)
{
    for (size_t i = 0; i < execution->declaration->n_stages; i++) {
        const struct stage_run *run = PLANTED(ZONE_FORGOTTEN) ? NULL : execution->stages[i];
        for (size_t k = 0; run != NULL && k < run->rules_count; k++)
            plan_rule(engine, run->rules[k]);
    }
}

static void plan_keys(struct pen_engine *engine)
{
    for (struct pen_map_node *node = pen_map_first(&engine->agents); node != NULL;
         node = pen_map_next(node)) {
        const struct agent *agent = pen_map_value(node);
        if (agent->row->status != PEN__AGENT_STATUS__AGENT_REVOKED)
            plan_key(engine, agent->row->public_key, agent->row->id, false);
    }
    for (struct pen_map_node *node = pen_map_first(&engine->tokens); node != NULL;
         node = pen_map_next(node)) {
        const struct token *token = pen_map_value(node);
        if (token->row->expires_ms > engine->now_ms)
            plan_key(engine, token->row->public_key, token->row->id, true);
    }
    for (struct pen_map_node *node = pen_map_first(&engine->access_keys); node != NULL;
         node = pen_map_next(node)) {
        const struct access_key *key = pen_map_value(node);
        if (!key->row->disabled)
            plan_access_key(engine, key->row);
    }
}

void plan_all(struct pen_engine *engine)
{
    plan_keys(engine);
    for (struct pen_map_node *node = pen_map_first(&engine->repositories); node != NULL;
         node = pen_map_next(node))
        plan_repository(engine, pen_map_key(node).text, 0);
    for (struct pen_map_node *node = pen_map_first(&engine->connections); node != NULL;
         node = pen_map_next(node)) {
        const struct connection *connection = pen_map_value(node);
        plan_connection(engine, connection->row);
    }
    for (struct pen_map_node *node = pen_map_first(&engine->attempts); node != NULL;
         node = pen_map_next(node))
        plan_attempt(engine, pen_map_value(node));
    for (struct pen_map_node *node = pen_map_first(&engine->actions); node != NULL;
         node = pen_map_next(node))
        plan_action(engine, pen_map_value(node));
    for (struct pen_map_node *node = pen_map_first(&engine->executions); node != NULL;
         node = pen_map_next(node))
        plan_rules(engine, pen_map_value(node));
    for (struct pen_map_node *node = pen_map_first(&engine->pipelines); node != NULL;
         node = pen_map_next(node))
        plan_watches(engine, pen_map_value(node));
    plan_collections(engine);
}
