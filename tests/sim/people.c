/* tests/sim/people.c - who pushes, starts, approves, stops, retries, edits, freezes and replaces */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "tests/sim/sim.h"
#include "tests/sim/story.h"

#define ADA "arn:aws:iam::000000000000:user/ada"

/* ---- asking */

struct request *people_ask(struct sim *sim, Pen__Input__WhatCase what, void *body, int pipeline,
                           uint64_t number)
{
    Pen__Input *input = core_input(what, body);
    input->principal = mem_text(ADA);
    SET(input, correlation, ++sim->correlation);
    sim->requests[sim->correlation % SIM_REQUESTS] = (struct request){
        .correlation = sim->correlation, .what = what, .pipeline = pipeline, .number = number};
    sim->counts[COUNT_REQUESTS]++;
    struct request *request = &sim->requests[sim->correlation % SIM_REQUESTS];
    core_post(sim, input);
    return request;
}

static void ask(struct sim *sim, Pen__Input__WhatCase what, void *body, int pipeline,
                uint64_t number)
{
    (void)people_ask(sim, what, body, pipeline, number);
}

/* One row of many, all equally likely. */
struct pick {
    struct sim *sim;
    const char *pipeline;
    int phase;
    int status;
    uint64_t seen;
    uint64_t order; /* of the newest so far */
    uint32_t stage_index;
    char *id;
    char *stage;
    char *action;
    char *token;
    char *execution;
};

static void pick_release(struct pick *pick)
{
    free(pick->id);
    free(pick->stage);
    free(pick->action);
    free(pick->token);
    free(pick->execution);
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
    mem_set_text(&pick->execution, row->execution_id);
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

static void pick_newest(struct sim *sim, void *message, void *context)
{
    (void)sim;
    const Pen__ExecutionRow *row = message;
    struct pick *pick = context;
    if ((int)row->status != pick->status || !pen_str_equal(row->pipeline, pick->pipeline) ||
        row->order <= pick->order)
        return;
    pick->order = row->order;
    pick->stage_index = row->stage_index;
    mem_set_text(&pick->id, row->id);
}

static Pen__NameValue *name_value(const char *name, const char *value)
{
    Pen__NameValue *made = MAKE(Pen__NameValue, pen__name_value__init);
    made->name = mem_text(name);
    made->value = mem_text(value);
    return made;
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
    if (sim_chance(sim, 500))
        APPEND(request, variables, name_value("mood", sim_chance(sim, 500) ? "bad" : "good"));
    if (sim_chance(sim, 200)) {
        Pen__SourceOverride *override = MAKE(Pen__SourceOverride, pen__source_override__init);
        override->action = mem_text("S");
        override->revision_type = mem_text("COMMIT_ID");
        override->revision_value = mem_format("rev-%d-0", pipeline);
        APPEND(request, overrides, override);
    }
    uint64_t number = strtoull(facts->token + 6, NULL, 10);
    ask(sim, PEN__INPUT__WHAT_START_EXECUTION, request, pipeline, number);
}

static void stop(struct sim *sim, int pipeline)
{
    struct pick pick = {.pipeline = sim->pipelines[pipeline].name,
                        .status = sim_chance(sim, 800)
                                      ? PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS
                                      : PEN__EXECUTION_STATUS__EXECUTION_STOPPING};
    core_each(sim, PEN__ROW_KIND__ROW_EXECUTION, &pen__execution_row__descriptor, pick_execution,
              &pick);
    if (pick.id == NULL)
        return;
    Pen__StopExecution *request = MAKE(Pen__StopExecution, pen__stop_execution__init);
    request->pipeline = mem_text(pick.pipeline);
    request->execution_id = mem_text(pick.id);
    SET(request, abandon, sim_chance(sim, 500));
    SET(request, kill, sim_chance(sim, 100));
    ask(sim, PEN__INPUT__WHAT_STOP_EXECUTION, request, pipeline, 0);
    pick_release(&pick);
}

/* What a person has looked at. */
struct looked {
    char pipeline[8];
    char stage[16];
    char action[16];
    char token[40];
    struct seen_view view;
};

static void fire_decide(struct sim *sim, struct sim_event *event)
{
    const struct looked *looked = event->data;
    bool wrong_token = event->number != 0;
    Pen__PutApproval *request = MAKE(Pen__PutApproval, pen__put_approval__init);
    request->pipeline = mem_text(looked->pipeline);
    request->stage = mem_text(looked->stage);
    request->action = mem_text(looked->action);
    request->token = mem_text(wrong_token ? "nonsense" : looked->token);
    SET(request, approved, event->flag);
    request->summary = mem_text("looked at it");
    auditor_asked(sim, request->token, event->flag, &looked->view);
    ask(sim, PEN__INPUT__WHAT_PUT_APPROVAL, request, event->host, event->number);
}

/* Look at an approval, and decide after a while; meanwhile everything may change. */
static void decide(struct sim *sim, int pipeline, bool approve, bool wrong_token, int64_t in_ms)
{
    struct pick pick = {.pipeline = sim->pipelines[pipeline].name,
                        .phase = PEN__ACTION_PHASE__ACTION_APPROVAL};
    core_each(sim, PEN__ROW_KIND__ROW_ACTION_EXECUTION, &pen__action_execution_row__descriptor,
              pick_action, &pick);
    if (pick.id == NULL)
        return;
    struct looked *looked = mem_zero(sizeof *looked);
    (void)pen_str_copy(looked->pipeline, sizeof looked->pipeline, pick.pipeline);
    (void)pen_str_copy(looked->stage, sizeof looked->stage, pick.stage);
    (void)pen_str_copy(looked->action, sizeof looked->action, pick.action);
    (void)pen_str_copy(looked->token, sizeof looked->token, pick.token);
    auditor_view(sim, pick.execution, &looked->view);
    struct sim_event *event = sim_at(sim, in_ms, fire_decide);
    event->host = pipeline;
    event->flag = approve;
    event->number = wrong_token ? 1 : 0;
    event->data = looked;
    pick_release(&pick);
}

static void retry(struct sim *sim, int pipeline)
{
    static const int statuses[] = {
        PEN__EXECUTION_STATUS__EXECUTION_FAILED, PEN__EXECUTION_STATUS__EXECUTION_FAILED,
        PEN__EXECUTION_STATUS__EXECUTION_FAILED, PEN__EXECUTION_STATUS__EXECUTION_STOPPED,
        PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS};
    bool sensible = sim_chance(sim, 600); /* the newest that failed, where it failed */
    struct pick pick = {.pipeline = sim->pipelines[pipeline].name,
                        .status = sensible ? statuses[0] : statuses[sim_below(sim, 5)]};
    core_each(sim, PEN__ROW_KIND__ROW_EXECUTION, &pen__execution_row__descriptor,
              sensible ? pick_newest : pick_execution, &pick);
    for (int i = 1; sensible && pick.id == NULL && i < sim->pipelines_count; i++) {
        pipeline = (pipeline + 1) % sim->pipelines_count;
        pick.pipeline = sim->pipelines[pipeline].name;
        core_each(sim, PEN__ROW_KIND__ROW_EXECUTION, &pen__execution_row__descriptor, pick_newest,
                  &pick);
    }
    if (pick.id == NULL)
        return;
    Pen__RetryStage *request = MAKE(Pen__RetryStage, pen__retry_stage__init);
    request->pipeline = mem_text(pick.pipeline);
    request->stage = sensible ? pipeline_stage(pipeline, pick.stage_index)
                              : mem_text(pipeline_some_stage(sim, pipeline));
    request->execution_id = mem_text(pick.id);
    SET(request, all_actions, sim_chance(sim, 500));
    SET(request, beside, sim_chance(sim, 100));
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
    char *key = mem_format("%s/Deploy", pick.id);
    request->target =
        core_row(sim, PEN__ROW_KIND__ROW_EXECUTION, pick.id, &pen__execution_row__descriptor);
    request->target_stage = core_row(sim, PEN__ROW_KIND__ROW_STAGE_EXECUTION, key,
                                     &pen__stage_execution_row__descriptor);
    free(key);
    SET(request, as_of_seq, sim->core.facts_count);
    ask(sim, PEN__INPUT__WHAT_ROLLBACK, request, pipeline, 0);
    pick_release(&pick);
}

/* Any condition that was checked: the engine says whether it may be overridden. */
static void pick_condition(struct sim *sim, void *message, void *context)
{
    const Pen__StageExecutionRow *row = message;
    struct pick *pick = context;
    for (size_t i = 0; i < row->n_conditions; i++) {
        if ((row->conditions[i]->status != PEN__CONDITION_STATUS__CONDITION_IN_PROGRESS &&
             row->conditions[i]->status != PEN__CONDITION_STATUS__CONDITION_FAILED) ||
            !pen_str_equal(row->pipeline, pick->pipeline) || sim_below(sim, ++pick->seen) != 0)
            continue;
        mem_set_text(&pick->id, row->execution_id);
        mem_set_text(&pick->stage, row->stage);
        pick->phase = (int)row->conditions[i]->kind;
    }
}

static void override(struct sim *sim, int pipeline)
{
    struct pick pick = {.pipeline = sim->pipelines[pipeline].name};
    core_each(sim, PEN__ROW_KIND__ROW_STAGE_EXECUTION, &pen__stage_execution_row__descriptor,
              pick_condition, &pick);
    if (pick.id == NULL)
        return;
    Pen__OverrideCondition *request = MAKE(Pen__OverrideCondition, pen__override_condition__init);
    request->pipeline = mem_text(pick.pipeline);
    request->stage = mem_text(pick.stage);
    request->execution_id = mem_text(pick.id);
    SET(request, kind, (Pen__ConditionKind)pick.phase);
    ask(sim, PEN__INPUT__WHAT_OVERRIDE_CONDITION, request, pipeline, 0);
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

void people_freeze(struct sim *sim)
{
    for (int i = 0; i < sim->pipelines_count; i++)
        if (sim_chance(sim, 700))
            transition(sim, i, pipeline_some_stage(sim, i), true);
}

/* Tokens of requests do not hold for a month. */
void people_forget(struct sim *sim)
{
    for (int i = 0; i < sim->pipelines_count; i++) {
        mem_set_text(&sim->pipelines[i].token, NULL);
        mem_set_text(&sim->pipelines[i].token_execution_id, NULL);
    }
}

/* One of those that rest behind a gate. */
static void pick_rested(struct sim *sim, void *message, void *context)
{
    const Pen__StageStateRow *row = message;
    struct pick *pick = context;
    if (!row->has_rested_order || row->n_waiting == 0 ||
        !pen_str_equal(row->pipeline, pick->pipeline) || sim_below(sim, ++pick->seen) != 0)
        return;
    mem_set_text(&pick->id, row->waiting[sim_below(sim, row->n_waiting)]);
}

static void stop_rested(struct sim *sim, int pipeline)
{
    struct pick pick = {.pipeline = sim->pipelines[pipeline].name};
    core_each(sim, PEN__ROW_KIND__ROW_STAGE_STATE, &pen__stage_state_row__descriptor, pick_rested,
              &pick);
    if (pick.id == NULL)
        return;
    Pen__StopExecution *request = MAKE(Pen__StopExecution, pen__stop_execution__init);
    request->pipeline = mem_text(pick.pipeline);
    request->execution_id = mem_text(pick.id);
    ask(sim, PEN__INPUT__WHAT_STOP_EXECUTION, request, pipeline, 0);
    pick_release(&pick);
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
    request->declaration = pipeline_declare(pipeline);
    if (hooks_bind(sim, request->declaration))
        ask(sim, PEN__INPUT__WHAT_CREATE_PIPELINE, request, pipeline, 0);
    else
        mem_free_message(request);
}

static void fire_create(struct sim *sim, struct sim_event *event);

/* It is made again after a while; the same name is then another pipeline. */
static void delete (struct sim *sim, int pipeline)
{
    struct pipeline_facts *facts = &sim->pipelines[pipeline];
    Pen__DeletePipeline *request = MAKE(Pen__DeletePipeline, pen__delete_pipeline__init);
    request->name = mem_text(facts->name);
    mem_set_text(&facts->token, NULL);
    mem_set_text(&facts->token_execution_id, NULL);
    facts->revision = 0;
    ask(sim, PEN__INPUT__WHAT_DELETE_PIPELINE, request, pipeline, 0);
    sim_at(sim, 1000 + sim_around(sim, 30000), fire_create)->number = (uint64_t)pipeline;
}

static void edit(struct sim *sim, int pipeline)
{
    Pen__UpdatePipeline *request = MAKE(Pen__UpdatePipeline, pen__update_pipeline__init);
    request->declaration = pipeline_declare(pipeline);
    if (sim_chance(sim, 200))
        mem_set_text(&request->declaration->execution_mode, pipeline_some_mode(sim));
    if (hooks_bind(sim, request->declaration))
        ask(sim, PEN__INPUT__WHAT_UPDATE_PIPELINE, request, pipeline, 0);
    else
        mem_free_message(request);
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
    host->max_started = 0;
    if (event->flag) { /* the old folder is thrown away */
        disk_clear(&host->disk);
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
    struct request *request = &sim->requests[reply->correlation % SIM_REQUESTS];
    if (request->correlation != reply->correlation)
        sim_fail(sim, "NO LOSS: an answer to nobody's request %" PRIu64, reply->correlation);
    if (reply->error != NULL)
        sim_trace(sim, "refused: %s: %s", reply->error,
                  reply->message != NULL ? reply->message : "");
    auditor_reply(sim, request, reply);
    story_reply(sim, request, reply);
    if (reply->error != NULL)
        return;
    workers_reply(sim, request, reply);
    hooks_reply(sim, request, reply);
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

static void act_approve(struct sim *sim, int pipeline)
{
    decide(sim, pipeline, sim_chance(sim, 800), sim_chance(sim, 100),
           sim_chance(sim, 700) ? 0 : sim_around(sim, 30000));
}

static void act_resolve(struct sim *sim, int pipeline)
{
    resolve(sim, pipeline, 1 + (int)sim_below(sim, 3));
}

static void act_kill(struct sim *sim, int pipeline)
{
    (void)pipeline;
    abandoned_kill_some(sim, false);
}

static void act_stray(struct sim *sim, int pipeline)
{
    (void)pipeline;
    stray_word(sim);
}

static void act_close(struct sim *sim, int pipeline)
{
    transition(sim, pipeline, pipeline_some_stage(sim, pipeline), true);
}

static void act_open(struct sim *sim, int pipeline)
{
    transition(sim, pipeline, pipeline_some_stage(sim, pipeline), false);
}

static void act_drain(struct sim *sim, int pipeline)
{
    (void)pipeline;
    change_agent(sim, &sim->hosts[sim_below(sim, (uint64_t)sim->hosts_count)],
                 sim_chance(sim, 400) ? PEN__AGENT_CHANGE__AGENT_DRAIN
                                      : PEN__AGENT_CHANGE__AGENT_UNDRAIN);
}

static void act_revoke(struct sim *sim, int pipeline)
{
    (void)pipeline;
    struct host *host = &sim->hosts[sim_below(sim, (uint64_t)sim->hosts_count)];
    if (sim->mix.wipe_s == 0)
        return; /* what it does cannot be proven either */
    change_agent(sim, host, PEN__AGENT_CHANGE__AGENT_REVOKE);
    replace_later(sim, host, sim_around(sim, 60000));
}

/* What people do, and how often: parts of the sum. */
static const struct {
    uint32_t parts;
    void (*act)(struct sim *sim, int pipeline);
} deeds[] = {
    {200, source_push}, {140, start},     {40, stop},           {160, act_approve},
    {110, retry},       {50, roll_back},  {40, override},       {40, act_resolve},
    {30, act_close},    {70, act_open},   {30, edit},           {6, delete},
    {40, act_drain},    {4, act_revoke},  {60, explain},        {30, hooks_put},
    {4, hooks_delete},  {90, hooks_call}, {40, hooks_announce}, {80, hooks_pull},
    {60, refs_push},    {20, act_kill},   {15, act_stray},
};

static void act(struct sim *sim)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++)
        sum += deeds[i].parts;
    int pipeline = (int)sim_below(sim, (uint64_t)sim->pipelines_count);
    uint64_t part = sim_below(sim, sum);
    size_t i = 0;
    while (part >= deeds[i].parts)
        part -= deeds[i++].parts;
    deeds[i].act(sim, pipeline);
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
    void *row = core_row(sim, PEN__ROW_KIND__ROW_PIPELINE, pipeline_name((int)event->number),
                         &pen__pipeline_row__descriptor);
    if (row == NULL) {
        create(sim, (int)event->number);
        sim_at(sim, 10000, fire_create)->number = event->number;
    }
    mem_free_message(row);
}

void people_begin(struct sim *sim)
{
    for (int i = 0; i < sim->pipelines_count; i++) {
        (void)pen_str_copy(sim->pipelines[i].name, sizeof sim->pipelines[i].name, pipeline_name(i));
        sim_at(sim, (int64_t)sim_below(sim, 5000), fire_create)->number = (uint64_t)i;
    }
    workers_begin(sim);
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
    for (int i = 0; i < sim->pipelines_count; i++) {
        decide(sim, i, true, false, 0);
        if (sim_chance(sim, 100))
            stop_rested(sim, i); /* nobody starts anything that could wake it */
        if (unproven_too)
            resolve(sim, i, 1 + (int)sim_below(sim, 3));
        for (size_t k = 0; k < sizeof stages / sizeof stages[0]; k++)
            if (pipeline_has_stage(i, stages[k]) && sim_chance(sim, 200))
                transition(sim, i, stages[k], false);
    }
    abandoned_kill_some(sim, true);
    core_each(sim, PEN__ROW_KIND__ROW_AGENT, &pen__agent_row__descriptor, replace_if_out, NULL);
}
