/* tests/unit/engine/world_helpers.h - short ways to say what a test does: part of world.h */
#ifndef PEN_TESTS_UNIT_ENGINE_WORLD_HELPERS_H
#define PEN_TESTS_UNIT_ENGINE_WORLD_HELPERS_H

/* ---- set-up helpers */

/* Enrol an agent by a token of its own and have it say hello. labels: "k=v" or NULL. */
static UNUSED struct fake_agent *world_add_agent(struct world *w, const char *name, uint32_t slots,
                                                 const char *label_key, const char *label_value)
{
    Pen__CreateToken *request = MAKE(Pen__CreateToken, pen__create_token__init);
    request->has_public_key = 1;
    request->public_key.len = 32;
    request->public_key.data = mem_zero(32);
    request->public_key.data[0] = (uint8_t)(100 + w->agents_count);
    SET(request, slots, slots);
    SET(request, ttl_ms, 3600000);
    if (label_key != NULL) {
        Pen__CreateToken__LabelsEntry *label =
            MAKE(Pen__CreateToken__LabelsEntry, pen__create_token__labels_entry__init);
        label->key = mem_text(label_key);
        label->value = mem_text(label_value);
        APPEND(request, labels, label);
    }
    world_post(w, PEN__INPUT__WHAT_CREATE_TOKEN, request);
    assert_null(w->reply->error);
    char *token = mem_text(w->reply->id);

    Pen__Enroll *enroll = MAKE(Pen__Enroll, pen__enroll__init);
    enroll->has_public_key = 1;
    enroll->public_key.len = 32;
    enroll->public_key.data = mem_zero(32);
    enroll->public_key.data[0] = (uint8_t)(1 + w->agents_count);
    enroll->name = mem_text(name);
    Pen__AgentMessage *m = MAKE(Pen__AgentMessage, pen__agent_message__init);
    m->agent_id = token;
    SET(m, from_token, 1);
    SET(m, link, 7);
    m->message = MAKE(Pen__FromAgent, pen__from_agent__init);
    m->message->body_case = PEN__FROM_AGENT__BODY_ENROLL;
    m->message->enroll = enroll;
    Pen__Input *input = input_new(PEN__INPUT__WHAT_AGENT_MESSAGE, m);
    world_step(w, input);
    mem_free_message(input);

    struct fake_agent *a = &w->agents[w->agents_count++];
    for (size_t i = w->effects_done; i < w->effects_count; i++)
        if (w->effects[i]->what_case == PEN__EFFECT__WHAT_AGENT_SEND &&
            w->effects[i]->agent_send->message->body_case == PEN__TO_AGENT__BODY_ENROLLED)
            a->id = mem_text(w->effects[i]->agent_send->message->enrolled->agent_id);
    assert_non_null(a->id);
    a->name = mem_text(name);
    a->spool_id = mem_format("spool-%s", name);
    a->run_id = mem_format("run-%s", name);
    a->slots = slots;
    a->up = true;
    a->link = 100 * w->agents_count;
    agent_hello(w, a);
    world_perform(w);
    assert_true(a->session_no > 0);
    return a;
}

static UNUSED struct fake_agent *world_agent_of(struct world *w, const char *action)
{
    for (size_t i = 0; i < w->agents_count; i++)
        for (size_t j = 0; j < w->agents[i].jobs_count; j++)
            if (same(w->agents[i].jobs[j].action, action))
                return &w->agents[i];
    return NULL;
}

/* End the process of an action that holds. */
static UNUSED void world_finish(struct world *w, const char *action, int32_t code)
{
    for (size_t i = 0; i < w->agents_count; i++)
        for (size_t j = 0; j < w->agents[i].jobs_count; j++)
            if (same(w->agents[i].jobs[j].action, action) &&
                w->agents[i].jobs[j].phase == PEN__ATTEMPT_PHASE__PHASE_RUNNING) {
                agent_end_job(w, &w->agents[i], w->agents[i].jobs[j].fence,
                              PEN__FINISH_KIND__EXITED, code);
                world_perform(w);
                return;
            }
    fail_msg("no agent runs %s", action);
}

/* ---- declarations: "Source:S=source | Build:Compile=run@1,Lint=run@1 | Ok:Approve=approve" */

static Pen__ActionDeclaration *action_new(const char *name, const char *kind, int32_t order)
{
    Pen__ActionDeclaration *action = MAKE(Pen__ActionDeclaration, pen__action_declaration__init);
    action->name = mem_text(name);
    SET(action, run_order, order);
    action->action_type_id = MAKE(Pen__ActionTypeId, pen__action_type_id__init);
    Pen__ActionTypeId *type = action->action_type_id;
    type->owner = mem_text("AWS");
    type->version = mem_text("1");
    bool source = strcmp(kind, "source") == 0;
    bool approve = strcmp(kind, "approve") == 0;
    type->category = mem_text(source ? "Source" : approve ? "Approval" : "Compute");
    type->provider = mem_text(source ? "CodeCommit" : approve ? "Manual" : "Commands");
    if (source) {
        Pen__OutputArtifact *output = MAKE(Pen__OutputArtifact, pen__output_artifact__init);
        output->name = mem_text(name);
        APPEND(action, output_artifacts, output);
        action->namespace_ = mem_text("Src");
    } else if (!approve) {
        APPEND(action, commands, mem_text("make"));
    }
    return action;
}

static UNUSED void action_configure(Pen__ActionDeclaration *action, const char *key,
                                    const char *value)
{
    Pen__ActionDeclaration__ConfigurationEntry *entry =
        MAKE(Pen__ActionDeclaration__ConfigurationEntry,
             pen__action_declaration__configuration_entry__init);
    entry->key = mem_text(key);
    entry->value = mem_text(value);
    APPEND(action, configuration, entry);
}

static UNUSED Pen__ActionDeclaration *find_declared(Pen__PipelineDeclaration *declaration,
                                                    const char *name)
{
    for (size_t s = 0; s < declaration->n_stages; s++)
        for (size_t i = 0; i < declaration->stages[s]->n_actions; i++)
            if (strcmp(declaration->stages[s]->actions[i]->name, name) == 0)
                return declaration->stages[s]->actions[i];
    fail_msg("no action %s", name);
    return NULL;
}

/* kind "once" is a Commands action of class once; "made" makes an artifact of its own name. */
static void add_action(Pen__StageDeclaration *stage, char *text)
{
    char *kind = strchr(text, '=');
    assert_non_null(kind);
    *kind++ = '\0';
    char *at = strchr(kind, '@');
    int32_t order = 1;
    if (at != NULL) {
        *at = '\0';
        order = (int32_t)strtol(at + 1, NULL, 10);
    }
    Pen__ActionDeclaration *action = action_new(text, kind, order);
    if (strcmp(kind, "once") == 0)
        action_configure(action, "Class", "once");
    if (strcmp(kind, "made") == 0) {
        Pen__OutputArtifact *output = MAKE(Pen__OutputArtifact, pen__output_artifact__init);
        output->name = mem_text(text);
        APPEND(action, output_artifacts, output);
    }
    APPEND(stage, actions, action);
}

static UNUSED Pen__PipelineDeclaration *declare(const char *name, const char *mode,
                                                const char *stages)
{
    Pen__PipelineDeclaration *declaration =
        MAKE(Pen__PipelineDeclaration, pen__pipeline_declaration__init);
    declaration->name = mem_text(name);
    declaration->execution_mode = mem_text(mode);
    char *copy = mem_text(stages);
    char *rest_stages = copy;
    char *stage_text;
    while ((stage_text = strsep(&rest_stages, "|")) != NULL) {
        Pen__StageDeclaration *stage = MAKE(Pen__StageDeclaration, pen__stage_declaration__init);
        char *actions = strchr(stage_text, ':');
        assert_non_null(actions);
        *actions++ = '\0';
        stage->name = mem_text(stage_text);
        char *action_text;
        while ((action_text = strsep(&actions, ",")) != NULL)
            add_action(stage, action_text);
        APPEND(declaration, stages, stage);
    }
    free(copy);
    return declaration;
}

/* Create the pipeline; returns the first execution's id (to be freed). */
static UNUSED char *world_create(struct world *w, Pen__PipelineDeclaration *declaration)
{
    Pen__CreatePipeline *request = MAKE(Pen__CreatePipeline, pen__create_pipeline__init);
    request->declaration = declaration;
    world_post(w, PEN__INPUT__WHAT_CREATE_PIPELINE, request);
    if (w->reply->error != NULL)
        fail_msg("create: %s", w->reply->message);
    return mem_text(w->reply->execution_id);
}

/* Start an execution; returns its id (to be freed), or NULL and the reply says why not. */
static UNUSED char *world_start(struct world *w, const char *pipeline)
{
    Pen__StartExecution *request = MAKE(Pen__StartExecution, pen__start_execution__init);
    request->pipeline = mem_text(pipeline);
    world_post(w, PEN__INPUT__WHAT_START_EXECUTION, request);
    return mem_text(w->reply->execution_id);
}

static UNUSED Pen__ExecutionStatus world_status(struct world *w, const char *execution_id)
{
    Pen__ExecutionRow *row =
        world_row(w, PEN__ROW_KIND__ROW_EXECUTION, execution_id, &pen__execution_row__descriptor);
    assert_non_null(row);
    Pen__ExecutionStatus status = row->status;
    mem_free_message(row);
    return status;
}

/* The newest execution of this action, of this pipeline execution; to be freed. */
static UNUSED Pen__ActionExecutionRow *world_action(struct world *w, const char *execution_id,
                                                    const char *action)
{
    Pen__ActionExecutionRow *found = NULL;
    for (struct pen_map_node *n = pen_map_first(&w->store); n != NULL; n = pen_map_next(n)) {
        const struct pen_row *row = ((struct stored *)pen_map_value(n))->row;
        if (row->kind != PEN__ROW_KIND__ROW_ACTION_EXECUTION || row->deleted ||
            !same(row->execution, execution_id))
            continue;
        Pen__ActionExecutionRow *unpacked =
            pen__action_execution_row__unpack(NULL, row->body_size, row->body);
        if (same(unpacked->action, action) && (found == NULL || unpacked->order > found->order)) {
            mem_free_message(found);
            found = unpacked;
        } else {
            mem_free_message(unpacked);
        }
    }
    return found;
}

static UNUSED void world_approve(struct world *w, const char *pipeline, const char *stage,
                                 const char *action, const char *token, bool approved)
{
    Pen__PutApproval *request = MAKE(Pen__PutApproval, pen__put_approval__init);
    request->pipeline = mem_text(pipeline);
    request->stage = mem_text(stage);
    request->action = mem_text(action);
    request->token = mem_text(token);
    SET(request, approved, approved);
    request->summary = mem_text("looked at it");
    world_post(w, PEN__INPUT__WHAT_PUT_APPROVAL, request);
}

static UNUSED void world_transition(struct world *w, const char *pipeline, const char *stage,
                                    bool disable)
{
    Pen__ChangeTransition *request = MAKE(Pen__ChangeTransition, pen__change_transition__init);
    request->pipeline = mem_text(pipeline);
    request->stage = mem_text(stage);
    SET(request, disable, disable);
    request->reason = mem_text("freeze");
    world_post(w, PEN__INPUT__WHAT_CHANGE_TRANSITION, request);
}

/* Every reason why the pipeline waits; true when one has this predicate. */
static UNUSED bool world_explains(struct world *w, const char *pipeline, const char *predicate)
{
    Pen__ExplainRequest *request = MAKE(Pen__ExplainRequest, pen__explain_request__init);
    request->pipeline = mem_text(pipeline);
    world_post(w, PEN__INPUT__WHAT_EXPLAIN, request);
    assert_null(w->reply->error);
    for (size_t i = 0; i < w->reply->n_reasons; i++)
        if (same(w->reply->reasons[i]->predicate, predicate))
            return true;
    for (size_t i = 0; i < w->reply->n_reasons; i++)
        print_message("reason: %s: %s\n", w->reply->reasons[i]->predicate,
                      w->reply->reasons[i]->sentence);
    return false;
}

#endif
