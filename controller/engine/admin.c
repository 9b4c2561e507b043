/* controller/engine/admin.c - tokens, agents, repositories, connections, access keys */
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/id.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/engine/explain.h"
#include "controller/model/labels.h"

enum { KEY_SIZE = 32 };

/* ---- tokens and enrolment */

int handle_create_token(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                        struct pen_error *err)
{
    const Pen__CreateToken *request = input->create_token;
    int64_t ttl_max_ms = (int64_t)PEN_LIMIT_TOKEN_TTL_HOURS * 3600 * 1000;
    if (request->public_key.len != KEY_SIZE)
        return pen_fail_api(err, PEN_EINVAL, "ValidationException", "publicKey: expected 32 bytes");
    if (request->ttl_ms < 1 || request->ttl_ms > ttl_max_ms)
        return pen_fail_api(err, PEN_EINVAL, "ValidationException", "ttl: expected 1 ms to %d days",
                            PEN_LIMIT_TOKEN_TTL_HOURS / 24);
    if (request->slots > PEN_LIMIT_AGENT_SLOTS)
        return pen_fail_api(err, PEN_EINVAL, "ValidationException", "slots: at most %d",
                            PEN_LIMIT_AGENT_SLOTS);
    Pen__TokenRow *row = MAKE(Pen__TokenRow, pen__token_row__init);
    for (size_t i = 0; i < request->n_labels; i++) {
        const Pen__CreateToken__LabelsEntry *label = request->labels[i];
        if (!pen_label_word_valid(label->key) || !pen_label_word_valid(label->value)) {
            mem_free_message(row);
            return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                                "labels: '%s=%s' is not made of 1 to 63 of [A-Za-z0-9._/-]",
                                label->key, label->value);
        }
        Pen__TokenRow__LabelsEntry *entry =
            MAKE(Pen__TokenRow__LabelsEntry, pen__token_row__labels_entry__init);
        entry->key = mem_text(label->key);
        entry->value = mem_text(label->value);
        APPEND(row, labels, entry);
    }
    char id[PEN_UUID_TEXT_SIZE];
    pen_uuid(&engine->prng, id);
    row->id = mem_text(id);
    row->has_public_key = 1;
    row->public_key = mem_bytes(request->public_key);
    SET(row, slots, request->slots);
    SET(row, created_ms, engine->now_ms);
    SET(row, expires_ms, engine->now_ms + request->ttl_ms);
    row->created_by = mem_text(input->principal);
    reply->id = mem_text(id);
    SET(reply, at_ms, row->expires_ms);
    Pen__TokenCreated *body = MAKE(Pen__TokenCreated, pen__token_created__init);
    body->token = row;
    plan_key(engine, row->public_key, id, true);
    emit(engine, NULL, NULL, PEN__FACT__WHAT_TOKEN_CREATED, body);
    return 0;
}

static bool name_taken(const struct pen_engine *engine, const char *name)
{
    for (const struct pen_map_node *node = pen_map_first(&engine->agents); node != NULL;
         node = pen_map_next(node)) {
        const struct agent *agent = pen_map_value(node);
        if (agent->row->status != PEN__AGENT_STATUS__AGENT_REVOKED &&
            pen_str_equal(agent->row->name, name))
            return true;
    }
    return false;
}

/* The host's name, made printable and unique. */
static char *agent_name(const struct pen_engine *engine, const char *wanted)
{
    char base[PEN_LABEL_SIZE_MAX - 6];
    (void)pen_str_copy(base, sizeof base, pen_str_empty(wanted) ? "agent" : wanted);
    for (char *c = base; *c != '\0'; c++)
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", *c) == NULL)
            *c = '-';
    char *name = mem_text(base);
    for (unsigned number = 2; name_taken(engine, name); number++) {
        free(name);
        name = mem_format("%s-%u", base, number);
    }
    return name;
}

static void add_label(Pen__AgentRow *row, const char *key, const char *value)
{
    for (size_t i = 0; i < row->n_labels; i++)
        if (pen_str_equal(row->labels[i]->key, key))
            return; /* the token's word counts */
    if (value == NULL || !pen_label_word_valid(value))
        return;
    Pen__AgentRow__LabelsEntry *entry =
        MAKE(Pen__AgentRow__LabelsEntry, pen__agent_row__labels_entry__init);
    entry->key = mem_text(key);
    entry->value = mem_text(value);
    APPEND(row, labels, entry);
}

/* As the agent says, else as its token says, else one for each processor. */
static uint32_t slots_of(const Pen__Enroll *enroll, const Pen__TokenRow *token)
{
    uint32_t slots = enroll->slots > 0 ? enroll->slots : token->slots;
    if (slots == 0 && enroll->host != NULL)
        slots = enroll->host->cpus;
    if (slots == 0)
        return 1;
    return slots < PEN_LIMIT_AGENT_SLOTS ? slots : PEN_LIMIT_AGENT_SLOTS;
}

static Pen__AgentRow *new_agent(struct pen_engine *engine, const struct token *token,
                                const Pen__Enroll *enroll)
{
    Pen__AgentRow *row = MAKE(Pen__AgentRow, pen__agent_row__init);
    char id[PEN_UUID_TEXT_SIZE];
    pen_uuid(&engine->prng, id);
    row->id = mem_text(id);
    row->name = agent_name(engine, enroll->name);
    row->has_public_key = 1;
    row->public_key = mem_bytes(enroll->public_key);
    for (size_t i = 0; i < token->row->n_labels; i++)
        add_label(row, token->row->labels[i]->key, token->row->labels[i]->value);
    if (enroll->host != NULL) {
        add_label(row, "os", enroll->host->os);
        add_label(row, "arch", enroll->host->arch);
        row->host = mem_copy(enroll->host);
    }
    SET(row, slots, slots_of(enroll, token->row));
    SET(row, status, PEN__AGENT_STATUS__AGENT_ENROLLED);
    SET(row, enrolled_ms, engine->now_ms);
    row->token_id = mem_text(token->row->id);
    return row;
}

static bool key_known(const struct pen_engine *engine, ProtobufCBinaryData key)
{
    for (const struct pen_map_node *node = pen_map_first(&engine->agents); node != NULL;
         node = pen_map_next(node)) {
        const struct agent *agent = pen_map_value(node);
        if (mem_bytes_equal(agent->row->public_key, key))
            return true;
    }
    return false;
}

void agent_enrol(struct pen_engine *engine, const Pen__AgentMessage *message)
{
    const char *id = message->agent_id;
    struct token *token = pen_map_get(&engine->tokens, pen_key_text(id));
    const Pen__Enroll *enroll = message->message->body_case == PEN__FROM_AGENT__BODY_ENROLL
                                    ? message->message->enroll
                                    : NULL;
    const char *refusal = NULL;
    if (token == NULL || token->row->expires_ms <= engine->now_ms)
        refusal = "the token is spent or has expired";
    else if (enroll == NULL)
        refusal = "with a token an agent can only enrol";
    else if (enroll->public_key.len != KEY_SIZE || key_known(engine, enroll->public_key))
        refusal = "the public key is not 32 bytes, or is in use";
    if (refusal != NULL) {
        agent_send_refused(engine, id, message->link, 0, PEN__REFUSED_CODE__DENIED, 0, refusal);
        return;
    }
    ProtobufCBinaryData token_key = mem_bytes(token->row->public_key);
    Pen__AgentEnrolled *body = MAKE(Pen__AgentEnrolled, pen__agent_enrolled__init);
    body->agent = new_agent(engine, token, enroll);
    body->token_id = mem_text(id);
    plan_key(engine, body->agent->public_key, body->agent->id, false);
    agent_send_enrolled(engine, id, message->link, body->agent->id);
    emit(engine, NULL, NULL, PEN__FACT__WHAT_AGENT_ENROLLED, body);
    plan_key_denied(engine, token_key);
    free(token_key.data);
}

/* ---- agents */

static int find_agent_by(const struct pen_engine *engine, const char *wanted,
                         struct agent **ret_agent, struct pen_error *err)
{
    struct agent *found = find_agent(engine, wanted);
    for (struct pen_map_node *node = pen_map_first(&engine->agents); node != NULL && found == NULL;
         node = pen_map_next(node)) {
        struct agent *agent = pen_map_value(node);
        if (agent->row->status != PEN__AGENT_STATUS__AGENT_REVOKED &&
            pen_str_equal(agent->row->name, wanted))
            found = agent;
    }
    if (found == NULL)
        return pen_fail_api(err, PEN_ENOTFOUND, "ResourceNotFoundException", "no agent '%s'",
                            wanted != NULL ? wanted : "");
    *ret_agent = found;
    return 0;
}

int handle_change_agent(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                        struct pen_error *err)
{
    const Pen__ChangeAgent *request = input->change_agent;
    struct agent *agent;
    int rc = find_agent_by(engine, request->agent_id, &agent, err);
    if (rc < 0)
        return rc;
    if (agent->row->status == PEN__AGENT_STATUS__AGENT_REVOKED)
        return pen_fail_api(err, PEN_ECONFLICT, "ConflictException",
                            "agent '%s' was revoked; enrol it anew", agent->row->name);
    reply->id = mem_text(agent->row->id);
    Pen__AgentChanged *body = MAKE(Pen__AgentChanged, pen__agent_changed__init);
    body->agent_id = mem_text(agent->row->id);
    body->reason = mem_text(request->reason);
    if (request->change != PEN__AGENT_CHANGE__AGENT_REVOKE) {
        bool on = request->change == PEN__AGENT_CHANGE__AGENT_DRAIN;
        SET(body, draining, on);
        emit(engine, NULL, NULL, PEN__FACT__WHAT_AGENT_CHANGED, body);
        if (on)
            agent_drop_offers(engine, agent); /* an acceptance under way comes too late */
        agent_send_drain(engine, agent);
        return 0;
    }
    SET(body, status, PEN__AGENT_STATUS__AGENT_REVOKED);
    if (body->reason == NULL)
        body->reason = mem_text("revoked");
    emit(engine, NULL, NULL, PEN__FACT__WHAT_AGENT_CHANGED, body);
    agent_send_refused(engine, agent->row->id, agent->link, agent->row->session_no,
                       PEN__REFUSED_CODE__DENIED, 0, agent->row->status_reason);
    plan_key_denied(engine, agent->row->public_key);
    agent_disconnect(engine, agent);
    engine->by = NULL;
    agent_lose_attempts(engine, agent, "The agent was revoked");
    return 0;
}

static void say_work(const struct attempt *attempt, struct pen_buf *text)
{
    const char *clears = NULL;
    if (attempt->action == NULL && attempt_may_live(attempt->row->state))
        abandoned_say(attempt, text);
    else if (attempt->row->state == PEN__ATTEMPT_STATE__ATTEMPT_INDETERMINATE)
        pen_buf_puts(text, "It may or may not have run: the agent has not said which");
    else
        (void)attempt_say(attempt, text, &clears);
}

/* What is as it should be is left out when there is too much of it; what was given up is not. */
static bool has_room(const struct attempt *attempt, Pen__AgentView *view, size_t listed)
{
    if (attempt->action == NULL || listed + view->n_work < PEN_LIMIT_WORK_LISTED)
        return true;
    SET(view, work_left_out, view->work_left_out + 1);
    return false;
}

static void add_attempts(const struct agent *agent, Pen__AgentView *view, size_t listed)
{
    for (struct pen_map_node *node = pen_map_first(&agent->attempts); node != NULL;
         node = pen_map_next(node)) {
        const struct attempt *attempt = pen_map_value(node);
        const Pen__AttemptRow *row = attempt->row;
        const struct action *action = attempt->action;
        if (!has_room(attempt, view, listed))
            continue;
        Pen__WorkView *work = MAKE(Pen__WorkView, pen__work_view__init);
        SET(work, fence, row->fence);
        work->pipeline = mem_text(row->pipeline);
        work->execution_id = mem_text(row->execution_id);
        work->stage = mem_text(action != NULL ? action->row->stage : row->stage);
        work->action = mem_text(action != NULL ? action->row->action : row->action);
        work->action_execution_id = mem_text(row->action_execution_id);
        SET(work, state, row->state);
        SET(work, action_class, row->action_class);
        SET(work, abandoned, action == NULL);
        SET(work, takes_slot, attempt_takes_slot(row->state));
        SET(work, since_ms, row->started_ms != 0 ? row->started_ms : row->granted_ms);
        PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
        say_work(attempt, &text);
        work->sentence = mem_text(pen_buf_text(&text));
        APPEND(view, work, work);
    }
}

static void add_offers(const struct pen_engine *engine, const struct agent *agent,
                       Pen__AgentView *view)
{
    if (agent->offers == 0)
        return;
    for (struct pen_map_node *node = pen_map_first(&engine->offers); node != NULL;
         node = pen_map_next(node)) {
        const struct action *action = pen_map_value(node);
        if (action->offered_to != agent)
            continue;
        Pen__WorkView *work = MAKE(Pen__WorkView, pen__work_view__init);
        SET(work, fence, action->offered_fence);
        work->pipeline = mem_text(action->row->pipeline);
        work->execution_id = mem_text(action->row->execution_id);
        work->stage = mem_text(action->row->stage);
        work->action = mem_text(action->row->action);
        work->action_execution_id = mem_text(action->row->id);
        SET(work, action_class, action->row->action_class);
        SET(work, abandoned, 0);
        SET(work, takes_slot, 1);
        SET(work, since_ms, action->row->phase_since_ms);
        work->sentence = mem_text("It is offered, and the agent has not answered yet");
        APPEND(view, work, work);
    }
}

int handle_list_agents(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                       struct pen_error *err)
{
    (void)input;
    (void)err;
    size_t listed = 0;
    for (const struct pen_map_node *node = pen_map_first(&engine->agents); node != NULL;
         node = pen_map_next(node)) {
        const struct agent *agent = pen_map_value(node);
        Pen__AgentView *view = MAKE(Pen__AgentView, pen__agent_view__init);
        view->row = mem_copy(agent->row);
        SET(view, connected, agent->connected);
        SET(view, suspect, agent->suspect);
        SET(view, busy_slots, agent->busy);
        SET(view, last_seen_ms, agent->seen_ms);
        add_attempts(agent, view, listed);
        add_offers(engine, agent, view);
        listed += view->n_work;
        view->refusal = mem_text(agent->refusal);
        APPEND(reply, agents, view);
    }
    return 0;
}

/* ---- repositories, connections, access keys */

int handle_create_repository(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                             struct pen_error *err)
{
    const char *name = input->create_repository->name;
    if (pen_str_empty(name))
        return pen_fail_api(err, PEN_EINVAL, "InvalidRepositoryNameException",
                            "a repository has a name");
    if (pen_map_get(&engine->repositories, pen_key_text(name)) != NULL)
        return pen_fail_api(err, PEN_ECONFLICT, "RepositoryNameExistsException",
                            "repository '%s' exists", name);
    Pen__RepositoryCreated *body = MAKE(Pen__RepositoryCreated, pen__repository_created__init);
    body->repository = MAKE(Pen__RepositoryRow, pen__repository_row__init);
    body->repository->name = mem_text(name);
    SET(body->repository, created_ms, engine->now_ms);
    body->repository->created_by = mem_text(input->principal);
    (void)reply;
    emit(engine, NULL, NULL, PEN__FACT__WHAT_REPOSITORY_CREATED, body);
    plan_repository(engine, name, input->correlation);
    engine->reply_later = true; /* its path is of use once the repository is there */
    return 0;
}

/* One that cannot be made is taken off the list, so that it can be tried again. What there is of it
 * on the disk is left alone: it may be older than the request. */
int handle_repository_made(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                           struct pen_error *err)
{
    (void)reply;
    (void)err;
    const Pen__RepositoryMade *made = input->repository_made;
    Pen__Reply *answer = MAKE(Pen__Reply, pen__reply__init);
    SET(answer, correlation, made->correlation);
    answer->id = mem_text(made->name);
    if (made->error_message != NULL) {
        answer->error = mem_text("ServiceUnavailableException");
        answer->message =
            mem_format("The repository '%s' cannot be made: %s", made->name, made->error_message);
    }
    if (made->error_message != NULL &&
        pen_map_get(&engine->repositories, pen_key_text(made->name)) != NULL) {
        Pen__RepositoryDeleted *body = MAKE(Pen__RepositoryDeleted, pen__repository_deleted__init);
        body->name = mem_text(made->name);
        emit(engine, NULL, NULL, PEN__FACT__WHAT_REPOSITORY_DELETED, body);
    }
    effect(engine, PEN__EFFECT__WHAT_REPLY, answer);
    return 0;
}

int handle_delete_repository(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                             struct pen_error *err)
{
    (void)reply;
    const char *name = input->delete_repository->name;
    if (pen_str_empty(name) || pen_map_get(&engine->repositories, pen_key_text(name)) == NULL)
        return pen_fail_api(err, PEN_ENOTFOUND, "RepositoryDoesNotExistException",
                            "no repository '%s'", name != NULL ? name : "");
    Pen__RepositoryDeleted *body = MAKE(Pen__RepositoryDeleted, pen__repository_deleted__init);
    body->name = mem_text(name);
    emit(engine, NULL, NULL, PEN__FACT__WHAT_REPOSITORY_DELETED, body);
    Pen__RepositoryDrop *drop = MAKE(Pen__RepositoryDrop, pen__repository_drop__init);
    drop->name = mem_text(name);
    effect(engine, PEN__EFFECT__WHAT_REPOSITORY_DROP, drop);
    return 0;
}

int handle_create_connection(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                             struct pen_error *err)
{
    const Pen__ConnectionRow *request = input->create_connection->connection;
    if (request == NULL || pen_str_empty(request->name) || pen_str_empty(request->base_url))
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "a connection has a name and a base URL");
    char id[PEN_UUID_TEXT_SIZE];
    pen_uuid(&engine->prng, id);
    Pen__ConnectionCreated *body = MAKE(Pen__ConnectionCreated, pen__connection_created__init);
    Pen__ConnectionRow *row = mem_copy(request);
    body->connection = row;
    mem_set_text(&row->id, id);
    free(row->arn);
    row->arn = mem_format("arn:aws:codestar-connections:%s:%s:connection/%s",
                          engine->setting->row->region, engine->setting->row->account, id);
    SET(row, created_ms, engine->now_ms);
    mem_set_text(&row->created_by, input->principal);
    reply->id = mem_text(row->arn);
    emit(engine, NULL, NULL, PEN__FACT__WHAT_CONNECTION_CREATED, body);
    const struct connection *made = pen_map_get(&engine->connections, pen_key_text(id));
    plan_connection(engine, made->row);
    return 0;
}

static const struct connection *find_connection(const struct pen_engine *engine, const char *wanted)
{
    const struct connection *found =
        wanted == NULL ? NULL : pen_map_get(&engine->connections, pen_key_text(wanted));
    for (const struct pen_map_node *node = pen_map_first(&engine->connections);
         node != NULL && found == NULL; node = pen_map_next(node)) {
        const struct connection *connection = pen_map_value(node);
        if (pen_str_equal(connection->row->arn, wanted))
            found = connection;
    }
    return found;
}

int handle_delete_connection(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                             struct pen_error *err)
{
    (void)reply;
    const char *wanted = input->delete_connection->id;
    const struct connection *connection = find_connection(engine, wanted);
    if (connection == NULL)
        return pen_fail_api(err, PEN_ENOTFOUND, "ResourceNotFoundException", "no connection '%s'",
                            wanted != NULL ? wanted : "");
    Pen__ConnectionDropped *drop = MAKE(Pen__ConnectionDropped, pen__connection_dropped__init);
    drop->id = mem_text(connection->row->id);
    effect(engine, PEN__EFFECT__WHAT_CONNECTION_DROPPED, drop);
    Pen__ConnectionDeleted *body = MAKE(Pen__ConnectionDeleted, pen__connection_deleted__init);
    body->id = mem_text(connection->row->id);
    emit(engine, NULL, NULL, PEN__FACT__WHAT_CONNECTION_DELETED, body);
    return 0;
}

int handle_create_access_key(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                             struct pen_error *err)
{
    const Pen__AccessKeyRow *request = input->create_access_key->access_key;
    if (request == NULL || pen_str_empty(request->id) || request->sealed_secret.len == 0)
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "an access key has an id and a sealed secret");
    if (pen_map_get(&engine->access_keys, pen_key_text(request->id)) != NULL)
        return pen_fail_api(err, PEN_ECONFLICT, "EntityAlreadyExistsException",
                            "access key '%s' exists", request->id);
    Pen__AccessKeyCreated *body = MAKE(Pen__AccessKeyCreated, pen__access_key_created__init);
    body->access_key = mem_copy(request);
    SET(body->access_key, created_ms, engine->now_ms);
    reply->id = mem_text(request->id);
    emit(engine, NULL, NULL, PEN__FACT__WHAT_ACCESS_KEY_CREATED, body);
    const struct access_key *made = pen_map_get(&engine->access_keys, pen_key_text(request->id));
    plan_access_key(engine, made->row);
    return 0;
}
