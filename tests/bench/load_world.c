/* tests/bench/load_world.c - agents, sources, data and people that always answer at once */
#include <stdlib.h>
#include <string.h>

#include "controller/engine/memory.h"
#include "tests/bench/load_internal.h"

/* ---- pipelines */

char *load_pipeline_name(size_t index)
{
    return mem_format("service-%05zu", index);
}

static Pen__ActionDeclaration *new_action(const char *name, const char *category,
                                          const char *provider, int32_t order)
{
    Pen__ActionDeclaration *action = MAKE(Pen__ActionDeclaration, pen__action_declaration__init);
    action->name = mem_text(name);
    SET(action, run_order, order);
    Pen__ActionTypeId *type = MAKE(Pen__ActionTypeId, pen__action_type_id__init);
    type->category = mem_text(category);
    type->owner = mem_text("AWS");
    type->provider = mem_text(provider);
    type->version = mem_text("1");
    action->action_type_id = type;
    return action;
}

static void configure(Pen__ActionDeclaration *action, const char *key, const char *value)
{
    Pen__ActionDeclaration__ConfigurationEntry *entry =
        MAKE(Pen__ActionDeclaration__ConfigurationEntry,
             pen__action_declaration__configuration_entry__init);
    entry->key = mem_text(key);
    entry->value = mem_text(value);
    APPEND(action, configuration, entry);
}

static void add_output(Pen__ActionDeclaration *action, const char *name)
{
    Pen__OutputArtifact *output = MAKE(Pen__OutputArtifact, pen__output_artifact__init);
    output->name = mem_text(name);
    APPEND(action, output_artifacts, output);
}

static void add_input(Pen__ActionDeclaration *action, const char *name)
{
    Pen__InputArtifact *input = MAKE(Pen__InputArtifact, pen__input_artifact__init);
    input->name = mem_text(name);
    APPEND(action, input_artifacts, input);
}

static Pen__ActionDeclaration *new_commands(const char *name, int32_t order, const char *input)
{
    Pen__ActionDeclaration *action = new_action(name, "Compute", "Commands", order);
    APPEND(action, commands, mem_text("make -j4 all"));
    APPEND(action, commands, mem_text("make check"));
    add_input(action, input);
    return action;
}

static Pen__StageDeclaration *add_stage(Pen__PipelineDeclaration *declaration, const char *name)
{
    Pen__StageDeclaration *stage = MAKE(Pen__StageDeclaration, pen__stage_declaration__init);
    stage->name = mem_text(name);
    APPEND(declaration, stages, stage);
    return stage;
}

static void add_source(Pen__PipelineDeclaration *declaration)
{
    Pen__StageDeclaration *stage = add_stage(declaration, "Source");
    Pen__ActionDeclaration *source = new_action("Checkout", "Source", "CodeCommit", 1);
    configure(source, "RepositoryName", declaration->name);
    configure(source, "BranchName", "main");
    add_output(source, "Tree");
    source->namespace_ = mem_text("Src");
    APPEND(stage, actions, source);
}

static void add_build(Pen__PipelineDeclaration *declaration, size_t group)
{
    Pen__StageDeclaration *stage = add_stage(declaration, "Build");
    Pen__ActionDeclaration *compile = new_commands("Compile", 1, "Tree");
    add_output(compile, "Program");
    compile->namespace_ = mem_text("Build");
    APPEND(stage, actions, compile);
    for (size_t i = 1; i < group; i++) {
        char *name = mem_format("Test%02zu", i);
        APPEND(stage, actions, new_commands(name, 1, "Tree"));
        free(name);
    }
}

static void add_deploy(Pen__PipelineDeclaration *declaration)
{
    Pen__StageDeclaration *stage = add_stage(declaration, "Deploy");
    APPEND(stage, actions, new_action("Approve", "Approval", "Manual", 1));
    Pen__ActionDeclaration *deploy = new_commands("Install", 2, "Program");
    APPEND(deploy, commands, mem_text("install --version #{Build.Version} --of #{Src.CommitId}"));
    configure(deploy, "Class", "once");
    APPEND(stage, actions, deploy);
}

void load_add_pipeline(struct load *self, size_t index)
{
    Pen__PipelineDeclaration *declaration =
        MAKE(Pen__PipelineDeclaration, pen__pipeline_declaration__init);
    declaration->name = load_pipeline_name(index);
    declaration->execution_mode = mem_text(self->options.mode != NULL ? self->options.mode
                                           : index % 2 == 0           ? "QUEUED"
                                                                      : "PARALLEL");
    add_source(declaration);
    add_build(declaration, self->options.short_ones  ? 1
                           : self->options.group > 0 ? self->options.group
                                                     : 2);
    if (!self->options.short_ones)
        add_deploy(declaration);
    Pen__CreatePipeline *create = MAKE(Pen__CreatePipeline, pen__create_pipeline__init);
    create->declaration = declaration;
    load_step(self, load_input(self, PEN__INPUT__WHAT_CREATE_PIPELINE, create));
}

void load_wish(struct load *self, size_t pipeline)
{
    Pen__StartExecution *start = MAKE(Pen__StartExecution, pen__start_execution__init);
    start->pipeline = load_pipeline_name(pipeline);
    Pen__Input *input = load_input(self, PEN__INPUT__WHAT_START_EXECUTION, start);
    input->principal = mem_text("arn:aws:iam::000000000000:user/somebody");
    load_queue_push(&self->wishes, input);
}

/* ---- agents */

static Pen__Input *from_agent(struct load *self, size_t agent, Pen__FromAgent__BodyCase what,
                              void *body)
{
    Pen__AgentMessage *message = MAKE(Pen__AgentMessage, pen__agent_message__init);
    message->agent_id = mem_text(self->agents[agent].id);
    SET(message, link, self->agents[agent].link);
    message->message = MAKE(Pen__FromAgent, pen__from_agent__init);
    SET(message->message, session_no, self->agents[agent].session_no);
    message->message->body_case = what;
    message->message->enroll = body; /* a union of pointers */
    return load_input(self, PEN__INPUT__WHAT_AGENT_MESSAGE, message);
}

Pen__Input *load_heartbeat(struct load *self, size_t agent)
{
    Pen__Heartbeat *beat = MAKE(Pen__Heartbeat, pen__heartbeat__init);
    SET(beat, number, ++self->agents[agent].beats);
    SET(beat, free_slots, self->options.slots);
    return from_agent(self, agent, PEN__FROM_AGENT__BODY_HEARTBEAT, beat);
}

static void say_hello(struct load *self, size_t agent)
{
    Pen__Hello *hello = MAKE(Pen__Hello, pen__hello__init);
    SET(hello, proto_min, 1);
    SET(hello, proto_max, 1);
    hello->spool_id = mem_format("spool-%zu", agent);
    hello->boot_id = mem_format("boot-%zu", agent);
    hello->run_id = mem_format("run-%zu", agent);
    hello->machine_id = mem_format("machine-%zu", agent);
    SET(hello, slots, self->options.slots);
    load_step(self, from_agent(self, agent, PEN__FROM_AGENT__BODY_HELLO, hello));
}

static ProtobufCBinaryData key_of(size_t number)
{
    ProtobufCBinaryData key = {.len = 32, .data = mem_zero(32)};
    memcpy(key.data, &number, sizeof number);
    return key;
}

void load_add_agent(struct load *self, size_t index)
{
    Pen__CreateToken *create = MAKE(Pen__CreateToken, pen__create_token__init);
    create->has_public_key = 1;
    create->public_key = key_of(2 * index + 1);
    SET(create, slots, self->options.slots);
    SET(create, ttl_ms, 3600000);
    load_step(self, load_input(self, PEN__INPUT__WHAT_CREATE_TOKEN, create));

    Pen__Enroll *enroll = MAKE(Pen__Enroll, pen__enroll__init);
    enroll->has_public_key = 1;
    enroll->public_key = key_of(2 * index + 2);
    enroll->name = mem_format("host-%04zu", index);
    Pen__AgentMessage *message = MAKE(Pen__AgentMessage, pen__agent_message__init);
    message->agent_id = self->token_id; /* of the reply; taken */
    self->token_id = NULL;
    SET(message, from_token, 1);
    SET(message, link, index + 1);
    message->message = MAKE(Pen__FromAgent, pen__from_agent__init);
    message->message->body_case = PEN__FROM_AGENT__BODY_ENROLL;
    message->message->enroll = enroll;
    self->agents[index].link = index + 1;
    load_step(self, load_input(self, PEN__INPUT__WHAT_AGENT_MESSAGE, message));
    if (self->agents[index].id == NULL)
        load_die("agent %zu was not enrolled", index);
    if (!self->options.idle_agents)
        say_hello(self, index);
}

static void send_event(struct load *self, size_t agent, uint64_t fence, uint64_t seq,
                       Pen__Event__WhatCase what, void *body)
{
    Pen__Event *event = MAKE(Pen__Event, pen__event__init);
    SET(event, fence, fence);
    SET(event, seq, seq);
    event->what_case = what;
    event->started = body; /* a union of pointers */
    load_queue_push(&self->answers, from_agent(self, agent, PEN__FROM_AGENT__BODY_EVENT, event));
}

static Pen__ArtifactRef *new_artifact(const char *name, uint64_t number)
{
    Pen__ArtifactRef *artifact = MAKE(Pen__ArtifactRef, pen__artifact_ref__init);
    artifact->name = mem_text(name);
    artifact->has_manifest_sha256 = 1;
    artifact->manifest_sha256 = key_of(number);
    return artifact;
}

static Pen__Finished *new_finished(const Pen__Start *start)
{
    Pen__Finished *finished = MAKE(Pen__Finished, pen__finished__init);
    SET(finished, kind, PEN__FINISH_KIND__EXITED);
    SET(finished, exit_code, 0);
    SET(finished, log_size, 4096);
    for (size_t i = 0; i < start->capsule->n_outputs; i++)
        APPEND(finished, artifacts, new_artifact(start->capsule->outputs[i]->name, start->fence));
    Pen__Finished__OutputVariablesEntry *variable =
        MAKE(Pen__Finished__OutputVariablesEntry, pen__finished__output_variables_entry__init);
    variable->key = mem_text("Version");
    variable->value = mem_format("1.%llu", (unsigned long long)start->fence);
    APPEND(finished, output_variables, variable);
    return finished;
}

/* The attempt's whole life, as far as the agent tells of it. */
static void run_attempt(struct load *self, size_t agent, const Pen__Start *start)
{
    Pen__Started *started = MAKE(Pen__Started, pen__started__init);
    started->isolation = mem_text("pid and mount namespaces, cgroup v2");
    send_event(self, agent, start->fence, 1, PEN__EVENT__WHAT_STARTED, started);
    Pen__Step *step = MAKE(Pen__Step, pen__step__init);
    SET(step, command_index, 1);
    step->summary = mem_text("make check");
    send_event(self, agent, start->fence, 2, PEN__EVENT__WHAT_STEP, step);
    send_event(self, agent, start->fence, 3, PEN__EVENT__WHAT_FINISHED, new_finished(start));
    for (size_t i = 0; i < start->capsule->n_outputs; i++) {
        Pen__ArtifactArrived *arrived = MAKE(Pen__ArtifactArrived, pen__artifact_arrived__init);
        SET(arrived, fence, start->fence);
        arrived->artifact = new_artifact(start->capsule->outputs[i]->name, start->fence);
        load_queue_push(&self->answers,
                        load_input(self, PEN__INPUT__WHAT_ARTIFACT_ARRIVED, arrived));
    }
}

/* The link says which agent it is: they are numbered from 1 on. */
static void tell_agent(struct load *self, const Pen__AgentSend *send)
{
    size_t agent = (size_t)send->link - 1;
    const Pen__ToAgent *message = send->message;
    switch ((int)message->body_case) {
    case PEN__TO_AGENT__BODY_ENROLLED:
        self->agents[agent].id = mem_text(message->enrolled->agent_id);
        break;
    case PEN__TO_AGENT__BODY_WELCOME:
        self->agents[agent].session_no = message->welcome->session_no;
        break;
    case PEN__TO_AGENT__BODY_OFFER: {
        Pen__Accept *accept = MAKE(Pen__Accept, pen__accept__init);
        SET(accept, fence, message->offer->fence);
        load_queue_push(&self->accepts,
                        from_agent(self, agent, PEN__FROM_AGENT__BODY_ACCEPT, accept));
        break;
    }
    case PEN__TO_AGENT__BODY_START:
        run_attempt(self, agent, message->start);
        break;
    case PEN__TO_AGENT__BODY_REFUSED:
        load_die("an agent is refused: %s", message->refused->message);
    default:
        break;
    }
}

/* ---- sources, data, people */

static void fetch_source(struct load *self, const Pen__SourceRun *run)
{
    Pen__SourceDone *done = MAKE(Pen__SourceDone, pen__source_done__init);
    done->action_execution_id = mem_text(run->action_execution_id);
    SET(done, ok, 1);
    done->revision = MAKE(Pen__SourceRevision, pen__source_revision__init);
    done->revision->revision_id = mem_text("8f1c1ab7b4f34a0ea41a9ae3e0c4d5f6a7b8c9d0");
    done->revision->revision_summary = mem_text("Say what is new");
    done->artifact = new_artifact(run->artifact, self->correlation);
    Pen__NameValue *value = MAKE(Pen__NameValue, pen__name_value__init);
    value->name = mem_text("CommitId");
    value->value = mem_text(done->revision->revision_id);
    APPEND(done, output_variables, value);
    load_queue_push(&self->answers, load_input(self, PEN__INPUT__WHAT_SOURCE_DONE, done));
}

static void store_log(struct load *self, const Pen__AttemptOpen *open)
{
    if (open->wanted_log_size == 0)
        return;
    Pen__LogStored *stored = MAKE(Pen__LogStored, pen__log_stored__init);
    SET(stored, fence, open->fence);
    SET(stored, size, open->wanted_log_size);
    load_queue_push(&self->answers, load_input(self, PEN__INPUT__WHAT_LOG_STORED, stored));
}

static void approve(struct load *self, const Pen__ActionExecutionRow *row)
{
    Pen__PutApproval *put = MAKE(Pen__PutApproval, pen__put_approval__init);
    put->pipeline = mem_text(row->pipeline);
    put->stage = mem_text(row->stage);
    put->action = mem_text(row->action);
    put->token = mem_text(row->approval_token);
    put->summary = mem_text("looks good");
    SET(put, approved, 1);
    Pen__Input *input = load_input(self, PEN__INPUT__WHAT_PUT_APPROVAL, put);
    input->principal = mem_text("arn:aws:iam::000000000000:user/somebody");
    load_queue_push(&self->answers, input);
}

void load_see_fact(struct load *self, const Pen__Fact *fact)
{
    if (fact->what_case == PEN__FACT__WHAT_ACTION_STARTED &&
        fact->action_started->action->approval_token != NULL)
        approve(self, fact->action_started->action);
    if (fact->what_case != PEN__FACT__WHAT_EXECUTION_ENDED)
        return;
    if (fact->execution_ended->status != PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED)
        load_die("execution %s ended with status %d: %s", fact->execution_id,
                 (int)fact->execution_ended->status, fact->execution_ended->summary);
    self->ended++;
    load_wish(self, (size_t)strtoul(strrchr(fact->pipeline, '-') + 1, NULL, 10));
}

static void take_reply(struct load *self, const Pen__Reply *reply)
{
    if (reply->error != NULL)
        load_die("%s: %s", reply->error, reply->message);
    mem_set_text(&self->token_id, reply->id);
    self->reasons = reply->n_reasons;
}

void load_perform(struct load *self, const Pen__Effect *effect)
{
    switch ((int)effect->what_case) {
    case PEN__EFFECT__WHAT_REPLY:
        take_reply(self, effect->reply);
        break;
    case PEN__EFFECT__WHAT_AGENT_SEND:
        tell_agent(self, effect->agent_send);
        break;
    case PEN__EFFECT__WHAT_SOURCE_RUN:
        fetch_source(self, effect->source_run);
        break;
    case PEN__EFFECT__WHAT_ATTEMPT_OPEN:
        store_log(self, effect->attempt_open);
        break;
    default:
        break;
    }
}
