/* tests/sim/people.c - who pushes, starts, approves, stops, retries, edits, freezes and replaces */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "tests/sim/sim.h"

#define ADA "arn:aws:iam::000000000000:user/ada"

static const struct {
    const char *name;
    const char *mode;
    const char *stages; /* Stage:Action=kind@runOrder,...|... */
} templates[SIM_PIPELINES] = {
    {"fast", "SUPERSEDED", "Source:S=source|Build:A=made,B=run,C=run@2|Deploy:D=once"},
    {"line", "QUEUED", "Source:S=source|Build:A=made|Ok:P=approve|Deploy:D=once,E=once@2"},
    {"wide", "PARALLEL", "Source:S=source|Build:A=run,B=run|Deploy:D=once"},
    {"gate", "SUPERSEDED", "Source:S=source|Ok:P=approve|Deploy:D=once|After:Z=run"},
};

/* ---- declarations */

static Pen__ActionDeclaration *make_action(char *text)
{
    char *kind = strchr(text, '=');
    CHECK(kind != NULL);
    *kind++ = '\0';
    char *at = strchr(kind, '@');
    int32_t order = at == NULL ? 1 : at[1] - '0';
    if (at != NULL)
        *at = '\0';
    bool source = strcmp(kind, "source") == 0;
    bool approve = strcmp(kind, "approve") == 0;
    Pen__ActionDeclaration *action = MAKE(Pen__ActionDeclaration, pen__action_declaration__init);
    action->name = mem_text(text);
    SET(action, run_order, order);
    action->action_type_id = MAKE(Pen__ActionTypeId, pen__action_type_id__init);
    action->action_type_id->owner = mem_text("AWS");
    action->action_type_id->version = mem_text("1");
    action->action_type_id->category = mem_text(source    ? "Source"
                                                : approve ? "Approval"
                                                          : "Compute");
    action->action_type_id->provider = mem_text(source    ? "CodeCommit"
                                                : approve ? "Manual"
                                                          : "Commands");
    if (source || strcmp(kind, "made") == 0) {
        Pen__OutputArtifact *output = MAKE(Pen__OutputArtifact, pen__output_artifact__init);
        output->name = mem_text(text);
        APPEND(action, output_artifacts, output);
    }
    if (!source && !approve)
        APPEND(action, commands, mem_text("make"));
    if (strcmp(kind, "once") == 0) {
        Pen__ActionDeclaration__ConfigurationEntry *entry =
            MAKE(Pen__ActionDeclaration__ConfigurationEntry,
                 pen__action_declaration__configuration_entry__init);
        entry->key = mem_text("Class");
        entry->value = mem_text("once");
        APPEND(action, configuration, entry);
    }
    return action;
}

static Pen__PipelineDeclaration *declare(int pipeline)
{
    Pen__PipelineDeclaration *declaration =
        MAKE(Pen__PipelineDeclaration, pen__pipeline_declaration__init);
    declaration->name = mem_text(templates[pipeline].name);
    declaration->execution_mode = mem_text(templates[pipeline].mode);
    char *copy = mem_text(templates[pipeline].stages);
    char *rest = copy;
    char *text;
    while ((text = strsep(&rest, "|")) != NULL) {
        Pen__StageDeclaration *stage = MAKE(Pen__StageDeclaration, pen__stage_declaration__init);
        char *actions = strchr(text, ':');
        CHECK(actions != NULL);
        *actions++ = '\0';
        stage->name = mem_text(text);
        char *action;
        while ((action = strsep(&actions, ",")) != NULL)
            APPEND(stage, actions, make_action(action));
        APPEND(declaration, stages, stage);
    }
    free(copy);
    return declaration;
}

static const char *some_stage(struct sim *sim, int pipeline)
{
    static const char *const stages[SIM_PIPELINES][4] = {{"Build", "Deploy", "Deploy", "Build"},
                                                         {"Build", "Ok", "Deploy", "Deploy"},
                                                         {"Build", "Deploy", "Deploy", "Build"},
                                                         {"Ok", "Deploy", "After", "Deploy"}};
    return stages[pipeline][sim_below(sim, 4)];
}

/* ---- asking */

static void ask(struct sim *sim, Pen__Input__WhatCase what, void *body, int pipeline,
                uint64_t number)
{
    Pen__Input *input = core_input(what, body);
    input->principal = mem_text(ADA);
    SET(input, correlation, ++sim->correlation);
    sim->requests[sim->correlation % 256] =
        (struct request){sim->correlation, what, pipeline, number};
    sim->counts[COUNT_REQUESTS]++;
    core_post(sim, input);
}

/* One row of many, all equally likely. */
struct pick {
    struct sim *sim;
    const char *pipeline;
    int phase;
    int status;
    uint64_t seen;
    char *id;
    char *stage;
    char *action;
    char *token;
};

static void pick_release(struct pick *pick)
{
    free(pick->id);
    free(pick->stage);
    free(pick->action);
    free(pick->token);
}

static void pick_action(struct sim *sim, void *message, void *context)
{
    const Pen__ActionExecutionRow *row = message;
    struct pick *pick = context;
    if ((int)row->phase != pick->phase || !pen_str_equal(row->pipeline, pick->pipeline) ||
        sim_below(sim, ++pick->seen) != 0)
        return;
    mem_set_text(&pick->id, row->id);
    mem_set_text(&pick->stage, row->stage);
    mem_set_text(&pick->action, row->action);
    mem_set_text(&pick->token, row->approval_token);
}

static void pick_execution(struct sim *sim, void *message, void *context)
{
    const Pen__ExecutionRow *row = message;
    struct pick *pick = context;
    if ((int)row->status != pick->status || !pen_str_equal(row->pipeline, pick->pipeline) ||
        sim_below(sim, ++pick->seen) != 0)
        return;
    mem_set_text(&pick->id, row->id);
}

static void start(struct sim *sim, int pipeline)
{
    struct pipeline_facts *facts = &sim->pipelines[pipeline];
    Pen__StartExecution *request = MAKE(Pen__StartExecution, pen__start_execution__init);
    request->pipeline = mem_text(facts->name);
    bool repeat = facts->token != NULL && sim_chance(sim, 300);
    if (!repeat) {
        free(facts->token);
        facts->token = mem_format("token-%" PRIu64, ++sim->stamps);
        free(facts->token_execution_id);
        facts->token_execution_id = NULL;
    }
    request->client_request_token = mem_text(facts->token);
    request->has_body_sha256 = 1;
    request->body_sha256.len = 32;
    request->body_sha256.data = mem_zero(32);
    uint64_t number = strtoull(facts->token + 6, NULL, 10);
    ask(sim, PEN__INPUT__WHAT_START_EXECUTION, request, pipeline, number);
}

static void stop(struct sim *sim, int pipeline)
{
    struct pick pick = {.pipeline = sim->pipelines[pipeline].name,
                        .status = PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS};
    core_each(sim, PEN__ROW_KIND__ROW_EXECUTION, &pen__execution_row__descriptor, pick_execution,
              &pick);
    if (pick.id == NULL)
        return;
    Pen__StopExecution *request = MAKE(Pen__StopExecution, pen__stop_execution__init);
    request->pipeline = mem_text(pick.pipeline);
    request->execution_id = mem_text(pick.id);
    SET(request, abandon, sim_chance(sim, 500));
    ask(sim, PEN__INPUT__WHAT_STOP_EXECUTION, request, pipeline, 0);
    pick_release(&pick);
}

static void decide(struct sim *sim, int pipeline, bool approve, bool wrong_token)
{
    struct pick pick = {.pipeline = sim->pipelines[pipeline].name,
                        .phase = PEN__ACTION_PHASE__ACTION_APPROVAL};
    core_each(sim, PEN__ROW_KIND__ROW_ACTION_EXECUTION, &pen__action_execution_row__descriptor,
              pick_action, &pick);
    if (pick.id == NULL)
        return;
    Pen__PutApproval *request = MAKE(Pen__PutApproval, pen__put_approval__init);
    request->pipeline = mem_text(pick.pipeline);
    request->stage = mem_text(pick.stage);
    request->action = mem_text(pick.action);
    request->token = mem_text(wrong_token ? "nonsense" : pick.token);
    SET(request, approved, approve);
    request->summary = mem_text("looked at it");
    ask(sim, PEN__INPUT__WHAT_PUT_APPROVAL, request, pipeline, wrong_token ? 1 : 0);
    pick_release(&pick);
}

static void retry(struct sim *sim, int pipeline)
{
    struct pick pick = {.pipeline = sim->pipelines[pipeline].name,
                        .status = PEN__EXECUTION_STATUS__EXECUTION_FAILED};
    core_each(sim, PEN__ROW_KIND__ROW_EXECUTION, &pen__execution_row__descriptor, pick_execution,
              &pick);
    if (pick.id == NULL)
        return;
    Pen__RetryStage *request = MAKE(Pen__RetryStage, pen__retry_stage__init);
    request->pipeline = mem_text(pick.pipeline);
    request->stage = mem_text(some_stage(sim, pipeline));
    request->execution_id = mem_text(pick.id);
    SET(request, all_actions, sim_chance(sim, 500));
    ask(sim, PEN__INPUT__WHAT_RETRY_STAGE, request, pipeline, 0);
    pick_release(&pick);
}

static void roll_back(struct sim *sim, int pipeline)
{
    struct pick pick = {.pipeline = sim->pipelines[pipeline].name,
                        .status = PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED};
    core_each(sim, PEN__ROW_KIND__ROW_EXECUTION, &pen__execution_row__descriptor, pick_execution,
              &pick);
    if (pick.id == NULL)
        return;
    Pen__Rollback *request = MAKE(Pen__Rollback, pen__rollback__init);
    request->pipeline = mem_text(pick.pipeline);
    request->stage = mem_text("Deploy");
    request->target_execution_id = mem_text(pick.id);
    ask(sim, PEN__INPUT__WHAT_ROLLBACK, request, pipeline, 0);
    pick_release(&pick);
}

static void resolve(struct sim *sim, int pipeline, int resolution)
{
    struct pick pick = {.pipeline = sim->pipelines[pipeline].name,
                        .phase = PEN__ACTION_PHASE__ACTION_INDETERMINATE};
    core_each(sim, PEN__ROW_KIND__ROW_ACTION_EXECUTION, &pen__action_execution_row__descriptor,
              pick_action, &pick);
    if (pick.id == NULL)
        return;
    Pen__ResolveAttempt *request = MAKE(Pen__ResolveAttempt, pen__resolve_attempt__init);
    request->action_execution_id = mem_text(pick.id);
    SET(request, resolution, (Pen__AttemptResolution)resolution);
    request->reason = mem_text("somebody looked");
    ask(sim, PEN__INPUT__WHAT_RESOLVE_ATTEMPT, request, pipeline, (uint64_t)resolution);
    pick_release(&pick);
}

static void transition(struct sim *sim, int pipeline, const char *stage, bool disable)
{
    Pen__ChangeTransition *request = MAKE(Pen__ChangeTransition, pen__change_transition__init);
    request->pipeline = mem_text(sim->pipelines[pipeline].name);
    request->stage = mem_text(stage);
    SET(request, disable, disable);
    request->reason = mem_text("freeze");
    ask(sim, PEN__INPUT__WHAT_CHANGE_TRANSITION, request, pipeline, 0);
}

static void explain(struct sim *sim, int pipeline)
{
    Pen__ExplainRequest *request = MAKE(Pen__ExplainRequest, pen__explain_request__init);
    request->pipeline = mem_text(sim->pipelines[pipeline].name);
    ask(sim, PEN__INPUT__WHAT_EXPLAIN, request, pipeline, 0);
}

static void create(struct sim *sim, int pipeline)
{
    Pen__CreatePipeline *request = MAKE(Pen__CreatePipeline, pen__create_pipeline__init);
    request->declaration = declare(pipeline);
    ask(sim, PEN__INPUT__WHAT_CREATE_PIPELINE, request, pipeline, 0);
}

static void edit(struct sim *sim, int pipeline)
{
    Pen__UpdatePipeline *request = MAKE(Pen__UpdatePipeline, pen__update_pipeline__init);
    request->declaration = declare(pipeline);
    if (sim_chance(sim, 200))
        mem_set_text(&request->declaration->execution_mode, templates[sim_below(sim, 3)].mode);
    ask(sim, PEN__INPUT__WHAT_UPDATE_PIPELINE, request, pipeline, 0);
}

static void change_agent(struct sim *sim, struct host *host, Pen__AgentChange change)
{
    if (host->agent_id == NULL)
        return;
    Pen__ChangeAgent *request = MAKE(Pen__ChangeAgent, pen__change_agent__init);
    request->agent_id = mem_text(host->agent_id);
    SET(request, change, change);
    if (change == PEN__AGENT_CHANGE__AGENT_REVOKE)
        host->tainted = true;
    ask(sim, PEN__INPUT__WHAT_CHANGE_AGENT, request, 0, (uint64_t)host->index);
}

/* ---- enrolling anew */

static void fire_replace(struct sim *sim, struct sim_event *event)
{
    struct host *host = &sim->hosts[event->host];
    if (!host->powered)
        host_power_on(sim, host);
    host_crash_agent(sim, host, "for a person replaces it");
    sim_trace(sim, "%s is enrolled anew", host->name);
    free(host->agent_id);
    host->agent_id = NULL;
    host->process = ++sim->stamps; /* nothing of before concerns it */
    host->denied = false;
    host->tainted = true;
    if (event->flag) { /* the old folder is thrown away */
        journal_clear(&host->journal);
        free(host->spool_id);
        host->spool_id = mem_format("spool-%d-%" PRIu64, host->index, ++sim->stamps);
    }
    host_enrol(sim, host);
}

static void replace_later(struct sim *sim, struct host *host, int64_t in_ms)
{
    struct sim_event *event = sim_at(sim, in_ms, fire_replace);
    event->host = host->index;
    event->flag = sim_chance(sim, 700);
}

/* ---- answers */

static void enrol(struct sim *sim, const struct request *request, const char *token_id)
{
    struct host *host = &sim->hosts[request->pipeline];
    Pen__Enroll *enroll = MAKE(Pen__Enroll, pen__enroll__init);
    enroll->has_public_key = 1;
    enroll->public_key.len = 32;
    enroll->public_key.data = mem_zero(32);
    enroll->public_key.data[0] = (uint8_t)(1 + host->index);
    memcpy(enroll->public_key.data + 1, &request->number, sizeof request->number);
    enroll->name = mem_format("%s-%" PRIu64, host->name, request->number);
    Pen__AgentMessage *body = MAKE(Pen__AgentMessage, pen__agent_message__init);
    body->agent_id = mem_text(token_id);
    SET(body, from_token, 1);
    SET(body, link, (uint64_t)host->index);
    body->message = MAKE(Pen__FromAgent, pen__from_agent__init);
    body->message->body_case = PEN__FROM_AGENT__BODY_ENROLL;
    body->message->enroll = enroll;
    core_post(sim, core_input(PEN__INPUT__WHAT_AGENT_MESSAGE, body));
}

void people_reply(struct sim *sim, const Pen__Reply *reply)
{
    struct request *request = &sim->requests[reply->correlation % 256];
    if (request->correlation != reply->correlation)
        sim_fail(sim, "NO LOSS: an answer to nobody's request %" PRIu64, reply->correlation);
    auditor_reply(sim, request, reply);
    if (reply->error != NULL)
        return;
    if (request->what == PEN__INPUT__WHAT_CREATE_TOKEN)
        enrol(sim, request, reply->id);
    if (request->what == PEN__INPUT__WHAT_START_EXECUTION) {
        struct pipeline_facts *facts = &sim->pipelines[request->pipeline];
        bool current =
            facts->token != NULL && strtoull(facts->token + 6, NULL, 10) == request->number;
        if (current && facts->token_execution_id != NULL &&
            !pen_str_equal(facts->token_execution_id, reply->execution_id))
            sim_fail(sim, "NO LOSS: one token has started two executions, %s and %s",
                     facts->token_execution_id, reply->execution_id);
        if (current)
            mem_set_text(&facts->token_execution_id, reply->execution_id);
    }
}

/* ---- the day of people */

static void act(struct sim *sim)
{
    int pipeline = (int)sim_below(sim, SIM_PIPELINES);
    struct host *host = &sim->hosts[sim_below(sim, SIM_HOSTS)];
    switch (sim_below(sim, 24)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
        source_push(sim, pipeline);
        break;
    case 5:
    case 6:
    case 7:
        start(sim, pipeline);
        break;
    case 8:
        stop(sim, pipeline);
        break;
    case 9:
    case 10:
    case 11:
    case 12:
        decide(sim, pipeline, sim_chance(sim, 800), sim_chance(sim, 100));
        break;
    case 13:
    case 14:
        retry(sim, pipeline);
        break;
    case 15:
        roll_back(sim, pipeline);
        break;
    case 16:
        resolve(sim, pipeline, 1 + (int)sim_below(sim, 3));
        break;
    case 17:
        transition(sim, pipeline, some_stage(sim, pipeline), true);
        break;
    case 18:
    case 19:
        transition(sim, pipeline, some_stage(sim, pipeline), false);
        break;
    case 20:
        edit(sim, pipeline);
        break;
    case 21:
        change_agent(sim, host,
                     sim_chance(sim, 400) ? PEN__AGENT_CHANGE__AGENT_DRAIN
                                          : PEN__AGENT_CHANGE__AGENT_UNDRAIN);
        break;
    case 22:
        if (sim_chance(sim, 100) && sim->mix.wipe_s > 0) {
            change_agent(sim, host, PEN__AGENT_CHANGE__AGENT_REVOKE);
            replace_later(sim, host, sim_around(sim, 60000));
        }
        break;
    default:
        explain(sim, pipeline);
        break;
    }
}

static void fire_act(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (sim->quiet)
        return;
    act(sim);
    sim_at(sim, sim_around(sim, (int64_t)sim->mix.people_s * 1000), fire_act);
}

/* A lost answer is asked for again: creating is repeated until it is told that it exists. */
static void fire_create(struct sim *sim, struct sim_event *event)
{
    char key[16];
    (void)pen_str_copy(key, sizeof key, "02 ");
    (void)pen_str_copy(key + 3, sizeof key - 3, templates[event->number].name);
    if (pen_map_get(&sim->core.store, pen_key_text(key)) == NULL) {
        create(sim, (int)event->number);
        sim_at(sim, 10000, fire_create)->number = event->number;
    }
}

void people_begin(struct sim *sim)
{
    for (int i = 0; i < SIM_PIPELINES; i++) {
        (void)pen_str_copy(sim->pipelines[i].name, sizeof sim->pipelines[i].name,
                           templates[i].name);
        sim_at(sim, (int64_t)sim_below(sim, 5000), fire_create)->number = (uint64_t)i;
    }
    sim_at(sim, 6000, fire_act);
}

static void replace_if_out(struct sim *sim, void *message, void *context)
{
    (void)context;
    const Pen__AgentRow *row = message;
    for (int i = 0; i < SIM_HOSTS; i++)
        if (pen_str_equal(sim->hosts[i].agent_id, row->id) &&
            row->status != PEN__AGENT_STATUS__AGENT_ENROLLED)
            replace_later(sim, &sim->hosts[i], 1000);
}

void people_quiet(struct sim *sim)
{
    for (int i = SIM_HOSTS; i < SIM_HOSTS_MAX; i++) { /* copies are found and switched off */
        struct host *copy = &sim->hosts[i];
        if (copy->exists)
            host_power_off(sim, copy, "for good");
        copy->exists = false;
        copy->boot = ++sim->stamps;
    }
    core_each(sim, PEN__ROW_KIND__ROW_AGENT, &pen__agent_row__descriptor, replace_if_out, NULL);
    for (int i = 0; i < SIM_HOSTS; i++)
        change_agent(sim, &sim->hosts[i], PEN__AGENT_CHANGE__AGENT_UNDRAIN);
}

void people_decide_all(struct sim *sim, bool unproven_too)
{
    static const char *const stages[] = {"Build", "Ok", "Deploy", "After"};
    for (int i = 0; i < SIM_PIPELINES; i++) {
        decide(sim, i, true, false);
        if (unproven_too)
            resolve(sim, i, 1 + (int)sim_below(sim, 3));
        for (size_t k = 0; k < sizeof stages / sizeof stages[0]; k++)
            if (strstr(templates[i].stages, stages[k]) != NULL && sim_chance(sim, 200))
                transition(sim, i, stages[k], false);
    }
    core_each(sim, PEN__ROW_KIND__ROW_AGENT, &pen__agent_row__descriptor, replace_if_out, NULL);
}
