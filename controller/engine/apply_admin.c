#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "controller/engine/apply.h"

static int corrupt(struct pen_error *err, const Pen__Fact *fact, const char *why)
{
    return pen_fail(err, PEN_ECORRUPT, "fact %llu: %s", (unsigned long long)fact->seq, why);
}

static struct entity *add(struct pen_engine *engine, Pen__RowKind kind, const void *row)
{
    struct entity *entity = entity_add(engine, kind, mem_copy(row));
    CHECK(entity_link(engine, entity, NULL) == 0);
    entity_touch(engine, entity);
    return entity;
}

int apply_database_created(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    (void)err;
    const Pen__DatabaseCreated *body = fact->database_created;
    Pen__SettingRow *row = MAKE(Pen__SettingRow, pen__setting_row__init);
    row->account = mem_text(body->account);
    row->region = mem_text(body->region);
    row->db_incarnation = mem_text(body->db_incarnation);
    SET(row, last_fence, 0);
    SET(row, last_session_no, 0);
    SET(row, last_order, 0);
    entity_touch(engine, entity_add(engine, PEN__ROW_KIND__ROW_SETTING, row));
    return 0;
}

/* ---- tokens and agents */

static void drop_token(struct pen_engine *engine, struct token *token)
{
    pen_map_remove(&engine->token_ends,
                   (struct pen_key){(uint64_t)token->row->expires_ms, token->entity.key});
    pen_map_remove(&engine->tokens, pen_key_text(token->entity.key));
    entity_retire(engine, &token->entity, true);
}

static void drop_request(struct pen_engine *engine, struct request_token *request)
{
    pen_map_remove(&engine->request_ends,
                   (struct pen_key){(uint64_t)request->row->expires_ms, request->entity.key});
    pen_map_remove(&engine->requests, pen_key_text(request->entity.key));
    entity_retire(engine, &request->entity, true);
}

void drop_requests(struct pen_engine *engine, const char *pipeline)
{
    char *first = mem_format("%s/", pipeline);
    struct pen_map_node *node = pen_map_from(&engine->requests, pen_key_text(first));
    free(first);
    while (node != NULL) {
        struct request_token *request = pen_map_value(node);
        node = pen_map_next(node);
        if (!pen_str_equal(request->row->pipeline, pipeline))
            break;
        drop_request(engine, request);
    }
}

void apply_expiry(struct pen_engine *engine)
{
    struct token *token;
    while ((token = pen_map_first_value(&engine->token_ends)) != NULL &&
           token->row->expires_ms <= engine->now_ms)
        drop_token(engine, token);
    struct request_token *request;
    while ((request = pen_map_first_value(&engine->request_ends)) != NULL &&
           request->row->expires_ms <= engine->now_ms)
        drop_request(engine, request);
}

int apply_token_created(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__TokenRow *row = fact->token_created->token;
    if (row == NULL || row->id == NULL || pen_map_get(&engine->tokens, pen_key_text(row->id)))
        return corrupt(err, fact, "a token is created twice");
    add(engine, PEN__ROW_KIND__ROW_TOKEN, row);
    return 0;
}

int apply_agent_enrolled(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__AgentEnrolled *body = fact->agent_enrolled;
    if (body->agent == NULL || find_agent(engine, body->agent->id) != NULL)
        return corrupt(err, fact, "an agent is enrolled twice");
    add(engine, PEN__ROW_KIND__ROW_AGENT, body->agent);
    struct token *token =
        body->token_id == NULL ? NULL : pen_map_get(&engine->tokens, pen_key_text(body->token_id));
    if (token != NULL)
        drop_token(engine, token);
    agents_changed(engine);
    return 0;
}

int apply_agent_session(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__AgentSession *body = fact->agent_session;
    struct agent *agent = find_agent(engine, body->agent_id);
    if (agent == NULL)
        return corrupt(err, fact, "a session of an agent that is not there");
    Pen__AgentRow *row = agent->row;
    SET(engine->setting->row, last_session_no, body->session_no);
    SET(row, session_no, body->session_no);
    mem_set_text(&row->spool_id, body->spool_id);
    mem_set_text(&row->boot_id, body->boot_id);
    mem_set_text(&row->run_id, body->run_id);
    mem_set_text(&row->machine_id, body->machine_id);
    SET(row, spool_seq, body->spool_seq);
    SET(row, max_fence, body->max_fence);
    if (body->host != NULL) {
        mem_free_message(row->host);
        row->host = mem_copy(body->host);
    }
    if (body->slots > 0)
        SET(row, slots, body->slots);
    SET(row, session_ms, fact->at_ms);
    entity_touch(engine, &agent->entity);
    return 0;
}

int apply_agent_changed(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__AgentChanged *body = fact->agent_changed;
    struct agent *agent = find_agent(engine, body->agent_id);
    if (agent == NULL)
        return corrupt(err, fact, "a change of an agent that is not there");
    if (body->has_status)
        SET(agent->row, status, body->status);
    if (body->status == PEN__AGENT_STATUS__AGENT_REVOKED && !agent->row->has_revoked_ms)
        SET(agent->row, revoked_ms, fact->at_ms);
    mem_set_text(&agent->row->status_reason, body->reason);
    if (body->has_draining)
        SET(agent->row, draining, body->draining);
    entity_touch(engine, &agent->entity);
    agent_reindex(engine, agent);
    agents_changed(engine);
    return 0;
}

/* ---- repositories, connections, access keys */

static int drop(struct pen_engine *engine, struct pen_map *map, const char *key,
                const Pen__Fact *fact, struct pen_error *err)
{
    struct entity *entity = key == NULL ? NULL : pen_map_remove(map, pen_key_text(key));
    if (entity == NULL)
        return corrupt(err, fact, "what is deleted is not there");
    entity_retire(engine, entity, true);
    return 0;
}

int apply_repository_created(struct pen_engine *engine, const Pen__Fact *fact,
                             struct pen_error *err)
{
    const Pen__RepositoryRow *row = fact->repository_created->repository;
    if (row == NULL || row->name == NULL ||
        pen_map_get(&engine->repositories, pen_key_text(row->name)))
        return corrupt(err, fact, "a repository is created twice");
    add(engine, PEN__ROW_KIND__ROW_REPOSITORY, row);
    return 0;
}

int apply_repository_deleted(struct pen_engine *engine, const Pen__Fact *fact,
                             struct pen_error *err)
{
    return drop(engine, &engine->repositories, fact->repository_deleted->name, fact, err);
}

int apply_connection_created(struct pen_engine *engine, const Pen__Fact *fact,
                             struct pen_error *err)
{
    const Pen__ConnectionRow *row = fact->connection_created->connection;
    if (row == NULL || row->id == NULL || pen_map_get(&engine->connections, pen_key_text(row->id)))
        return corrupt(err, fact, "a connection is created twice");
    add(engine, PEN__ROW_KIND__ROW_CONNECTION, row);
    return 0;
}

int apply_connection_deleted(struct pen_engine *engine, const Pen__Fact *fact,
                             struct pen_error *err)
{
    return drop(engine, &engine->connections, fact->connection_deleted->id, fact, err);
}

int apply_access_key_created(struct pen_engine *engine, const Pen__Fact *fact,
                             struct pen_error *err)
{
    const Pen__AccessKeyRow *row = fact->access_key_created->access_key;
    if (row == NULL || row->id == NULL || pen_map_get(&engine->access_keys, pen_key_text(row->id)))
        return corrupt(err, fact, "an access key is created twice");
    add(engine, PEN__ROW_KIND__ROW_ACCESS_KEY, row);
    return 0;
}
