/* CreateAgentToken, ListAgents, DrainAgent, UndrainAgent, RevokeAgent */
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/wire/wire.h"
#include "controller/services/output.h"
#include "controller/services/penstock/penstock.h"

enum { TOKEN_TTL_DEFAULT_S = 3600 };

static void wipe_text(void *text)
{
    explicit_bzero(text, strlen(text));
    free(text);
}

static int64_t ttl_ms(const struct pen_call *call)
{
    return pen_in_integer(call->input, "ttlSeconds", TOKEN_TTL_DEFAULT_S) * 1000;
}

static int token_made(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err)
{
    (void)err;
    json_t *output = pen_output(call);
    pen_put_string(call, output, "tokenId", reply->id);
    pen_put_string(call, output, "token", call->state);
    pen_put_time(call, output, "expiresAt",
                 reply->at_ms > call->now_ms ? reply->at_ms : call->now_ms + ttl_ms(call));
    return 0;
}

static bool put_labels(const struct pen_call *call, Pen__CreateToken *create)
{
    json_t *labels = json_object_get(call->input, "labels");
    size_t count = json_object_size(labels);
    if (count == 0)
        return true;
    create->labels = calloc(count, sizeof(Pen__CreateToken__LabelsEntry *));
    if (create->labels == NULL)
        return false;
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(labels, key, value)
    {
        Pen__CreateToken__LabelsEntry *entry = malloc(sizeof *entry);
        if (entry == NULL)
            return false;
        pen__create_token__labels_entry__init(entry);
        entry->key = NULL; /* the generated default is not ours to free */
        entry->value = NULL;
        create->labels[create->n_labels++] = entry;
        if (!pen_str_set(&entry->key, key) || !pen_str_set(&entry->value, json_string_value(value)))
            return false;
    }
    return true;
}

/* The secret half goes to the caller only; the core gets to know the public half. */
static int make_pair(struct pen_call *call, Pen__CreateToken *create, struct pen_error *err)
{
    struct pen_token token;
    int rc = pen_curve_pair_make(&token.pair, err);
    if (rc < 0)
        return rc;
    memcpy(token.server_public_key, call->services->server_keys->public_key, PEN_CURVE_KEY_SIZE);
    struct pen_buf text = {0};
    pen_token_format(&token, &text);
    call->state = pen_buf_take_text(&text);
    call->state_destroy = wipe_text;
    create->public_key.data = malloc(PEN_CURVE_KEY_SIZE);
    if (call->state == NULL || create->public_key.data == NULL) {
        rc = pen_fail(err, PEN_ENOMEM, "no memory for a token");
    } else {
        memcpy(create->public_key.data, token.pair.public_key, PEN_CURVE_KEY_SIZE);
        create->public_key.len = PEN_CURVE_KEY_SIZE;
        create->has_public_key = true;
    }
    explicit_bzero(&token, sizeof token);
    return rc;
}

int pen_create_agent_token(struct pen_call *call, struct pen_error *err)
{
    Pen__CreateToken *create = NULL;
    PEN_CLEANUP(pen_message_destroy)
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_CREATE_TOKEN, &pen__create_token__descriptor, &create);
    if (input == NULL || !put_labels(call, create))
        return pen_fail(err, PEN_ENOMEM, "no memory for a token");
    int64_t slots = pen_in_integer(call->input, "slots", 0);
    create->has_slots = slots > 0;
    create->slots = (uint32_t)slots;
    create->has_ttl_ms = true;
    create->ttl_ms = ttl_ms(call);
    int rc = make_pair(call, create, err);
    return rc < 0 ? rc : pen_call_post(call, TAKE_PTR(input), token_made, err);
}

static const char *agent_status_name(const Pen__AgentRow *row)
{
    switch (row->status) {
    case PEN__AGENT_STATUS__AGENT_REVOKED:
        return "Revoked";
    case PEN__AGENT_STATUS__AGENT_QUARANTINED:
        return "Quarantined";
    case PEN__AGENT_STATUS__AGENT_ENROLLED:
    default:
        return "Enrolled";
    }
}

static void put_host(struct pen_call *call, json_t *agent, const Pen__HostFacts *facts)
{
    if (facts == NULL)
        return;
    json_t *host = pen_put_object(call, agent, "host");
    pen_put_string(call, host, "os", facts->os);
    pen_put_string(call, host, "arch", facts->arch);
    pen_put_string(call, host, "hostname", facts->hostname);
    pen_put_string(call, host, "kernel", facts->kernel);
    if (facts->has_cpus)
        pen_put_integer(call, host, "cpus", facts->cpus);
    if (facts->has_memory_bytes)
        pen_put_integer(call, host, "memoryBytes", (int64_t)facts->memory_bytes);
    pen_put_string(call, host, "version", facts->version);
    pen_put_string(call, host, "isolation", facts->isolation);
}

static const char *work_state(const Pen__WorkView *work)
{
    if (!work->has_state)
        return "Offered";
    switch ((int)work->state) {
    case PEN__ATTEMPT_STATE__ATTEMPT_GRANTED:
        return "Starting";
    case PEN__ATTEMPT_STATE__ATTEMPT_RUNNING:
        return "Running";
    case PEN__ATTEMPT_STATE__ATTEMPT_CANCELING:
        return "Ending";
    case PEN__ATTEMPT_STATE__ATTEMPT_REVOKING:
        return "Revoking";
    case PEN__ATTEMPT_STATE__ATTEMPT_DRAINING:
        return "HandingIn";
    default:
        return "Indeterminate";
    }
}

static void put_work(struct pen_call *call, json_t *list, const Pen__WorkView *work)
{
    json_t *item = pen_add_object(call, list);
    pen_put_integer(call, item, "fence", (int64_t)work->fence);
    pen_put_string(call, item, "pipelineName", work->pipeline);
    pen_put_string(call, item, "pipelineExecutionId", work->execution_id);
    pen_put_string(call, item, "stageName", work->stage);
    pen_put_string(call, item, "actionName", work->action);
    pen_put_string(call, item, "actionExecutionId", work->action_execution_id);
    pen_put_string(call, item, "state", work_state(work));
    pen_put_string(call, item, "class",
                   work->action_class == PEN__ACTION_CLASS__ONCE ? "once" : "repeatable");
    pen_put_boolean(call, item, "abandoned", work->abandoned);
    pen_put_boolean(call, item, "takesSlot", work->takes_slot);
    pen_put_time(call, item, "since", work->since_ms);
    pen_put_string(call, item, "sentence", work->sentence);
}

static void put_agent(struct pen_call *call, json_t *list, const Pen__AgentView *view)
{
    const Pen__AgentRow *row = view->row;
    if (row == NULL)
        return;
    json_t *agent = pen_add_object(call, list);
    pen_put_string(call, agent, "agentId", row->id);
    pen_put_string(call, agent, "name", row->name);
    pen_put_string(call, agent, "status", agent_status_name(row));
    pen_put_string(call, agent, "statusReason", row->status_reason);
    pen_put_boolean(call, agent, "connected", view->connected);
    pen_put_boolean(call, agent, "suspect", view->suspect);
    pen_put_string(call, agent, "refusal", view->refusal);
    pen_put_boolean(call, agent, "draining", row->draining);
    pen_put_integer(call, agent, "slots", row->slots);
    pen_put_integer(call, agent, "busySlots", view->busy_slots);
    json_t *work = pen_put_list(call, agent, "work");
    for (size_t i = 0; i < view->n_work; i++)
        put_work(call, work, view->work[i]);
    if (view->work_left_out > 0)
        pen_put_integer(call, agent, "workLeftOut", view->work_left_out);
    json_t *labels = pen_put_object(call, agent, "labels");
    for (size_t i = 0; i < row->n_labels; i++)
        pen_put_string(call, labels, row->labels[i]->key, row->labels[i]->value);
    put_host(call, agent, row->host);
    pen_put_time(call, agent, "lastSeen", view->last_seen_ms);
    pen_put_time(call, agent, "enrolledAt", row->enrolled_ms);
}

static int agents_listed(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err)
{
    (void)err;
    json_t *list = pen_put_list(call, pen_output(call), "agents");
    for (size_t i = 0; i < reply->n_agents; i++)
        put_agent(call, list, reply->agents[i]);
    return 0;
}

int pen_list_agents(struct pen_call *call, struct pen_error *err)
{
    Pen__ListAgents *list = NULL;
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_LIST_AGENTS, &pen__list_agents__descriptor, &list);
    return pen_call_post(call, input, agents_listed, err);
}

static int change_agent(struct pen_call *call, Pen__AgentChange what, struct pen_error *err)
{
    Pen__ChangeAgent *change = NULL;
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_CHANGE_AGENT, &pen__change_agent__descriptor, &change);
    if (input != NULL) {
        change->has_change = true;
        change->change = what;
        if (!pen_str_set(&change->agent_id, pen_in_string(call->input, "agentId")) ||
            !pen_str_set(&change->reason, pen_in_string(call->input, "reason")))
            pen_message_destroy(&input);
    }
    return pen_call_post(call, input, pen_reply_nothing, err);
}

int pen_drain_agent(struct pen_call *call, struct pen_error *err)
{
    return change_agent(call, PEN__AGENT_CHANGE__AGENT_DRAIN, err);
}

int pen_undrain_agent(struct pen_call *call, struct pen_error *err)
{
    return change_agent(call, PEN__AGENT_CHANGE__AGENT_UNDRAIN, err);
}

int pen_revoke_agent(struct pen_call *call, struct pen_error *err)
{
    return change_agent(call, PEN__AGENT_CHANGE__AGENT_REVOKE, err);
}
