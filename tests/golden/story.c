/* tests/golden/story.c - what happens in a scenario: people, pushes, agents, time, restarts */
#include "tests/golden/golden.h"

#include "common/base/units.h"

/* An agent that lives is heard so often; suspects and losses are for scenarios that ask for them.
 */
enum { HEARTBEAT_MS = 10 * 1000 };
static const int64_t never_ms = INT64_C(100) * 365 * 86400 * 1000;

static const char *pipeline_of(const struct story *self, const struct command *command)
{
    const char *given = command_value(command, "of");
    if (given != NULL)
        return given;
    if (self->current == NULL)
        story_wrong(self, "declare a pipeline first");
    return self->current->name;
}

/* The rest of the line from this word on, words with '=' left out; to be freed. */
static char *rest_of(const struct command *command, size_t from)
{
    struct pen_buf text = {0};
    for (size_t i = from; i < command->count; i++)
        if (strchr(command->words[i], '=') == NULL)
            pen_buf_printf(&text, "%s%s", text.size > 0 ? " " : "", command->words[i]);
    char *result = mem_text(pen_buf_text(&text));
    pen_buf_release(&text);
    return result;
}

static bool has_word(const struct command *command, const char *word)
{
    for (size_t i = 1; i < command->count; i++)
        if (same(command->words[i], word))
            return true;
    return false;
}

static int64_t duration(const struct story *self, const char *text)
{
    struct pen_error err;
    int64_t ms = 0;
    if (pen_duration_parse(text, &ms, &err) < 0)
        story_wrong(self, "%s", err.message);
    return ms;
}

/* ---- people */

/* start [token=T] [NAME=value for variables] [ACTION@revision] */
static void do_start(struct story *self, const struct command *command)
{
    Pen__StartExecution *request = MAKE(Pen__StartExecution, pen__start_execution__init);
    request->pipeline = mem_text(pipeline_of(self, command));
    for (size_t i = 1; i < command->count; i++) {
        char *word = command->words[i];
        char *at = strpbrk(word, "=@");
        if (at == NULL)
            story_wrong(self, "start takes token=, NAME=value and ACTION@revision");
        char *name = mem_format("%.*s", (int)(at - word), word);
        if (*at == '@') {
            Pen__SourceOverride *override = MAKE(Pen__SourceOverride, pen__source_override__init);
            override->action = mem_text(name);
            override->revision_type = mem_text("COMMIT_ID");
            override->revision_value = mem_text(at + 1);
            APPEND(request, overrides, override);
        } else if (same(name, "token")) {
            request->client_request_token = mem_text(at + 1);
        } else if (!same(name, "of")) {
            Pen__NameValue *variable = MAKE(Pen__NameValue, pen__name_value__init);
            variable->name = mem_text(name);
            variable->value = mem_text(at + 1);
            APPEND(request, variables, variable);
        }
        free(name);
    }
    /* What tells a repeat from a conflict is the request; its size is enough of a digest here. */
    size_t size = protobuf_c_message_get_packed_size(&request->base);
    request->has_body_sha256 = 1;
    request->body_sha256.len = sizeof size;
    request->body_sha256.data = mem_zero(sizeof size);
    memcpy(request->body_sha256.data, &size, sizeof size);
    world_post(&self->world, PEN__INPUT__WHAT_START_EXECUTION, request);
    tell_reply(self);
}

/* stop e1 [abandon|kill] [reason...] */
static void do_stop(struct story *self, const struct command *command)
{
    Pen__StopExecution *request = MAKE(Pen__StopExecution, pen__stop_execution__init);
    bool abandon = has_word(command, "abandon");
    bool kill = has_word(command, "kill");
    char *reason = rest_of(command, abandon || kill ? 3 : 2);
    request->pipeline = mem_text(pipeline_of(self, command));
    request->execution_id = mem_text(tell_id(self, command_word(self, command, 1)));
    SET(request, abandon, abandon);
    SET(request, kill, kill);
    request->reason = *reason == '\0' ? NULL : mem_text(reason);
    free(reason);
    world_post(&self->world, PEN__INPUT__WHAT_STOP_EXECUTION, request);
    tell_reply(self);
}

/* As the services read it from the store. */
static Pen__StageExecutionRow *stored_run(struct story *self, const char *execution,
                                          const char *stage)
{
    char *key = mem_format("%s/%s", execution, stage);
    Pen__StageExecutionRow *row = world_row(&self->world, PEN__ROW_KIND__ROW_STAGE_EXECUTION, key,
                                            &pen__stage_execution_row__descriptor);
    free(key);
    return row;
}

/* retry e1 STAGE [all] [beside] */
static void do_retry(struct story *self, const struct command *command)
{
    Pen__RetryStage *request = MAKE(Pen__RetryStage, pen__retry_stage__init);
    request->pipeline = mem_text(pipeline_of(self, command));
    request->execution_id = mem_text(tell_id(self, command_word(self, command, 1)));
    request->stage = mem_text(command_word(self, command, 2));
    SET(request, all_actions, has_word(command, "all"));
    SET(request, beside, has_word(command, "beside"));
    request->execution = world_row(&self->world, PEN__ROW_KIND__ROW_EXECUTION,
                                   request->execution_id, &pen__execution_row__descriptor);
    request->stage_execution = stored_run(self, request->execution_id, request->stage);
    world_post(&self->world, PEN__INPUT__WHAT_RETRY_STAGE, request);
    tell_reply(self);
}

/* rollback STAGE to-execution */
static void do_rollback(struct story *self, const struct command *command)
{
    struct world *w = &self->world;
    const char *stage = command_word(self, command, 1);
    const char *target = tell_id(self, command_word(self, command, 2));
    Pen__Rollback *request = MAKE(Pen__Rollback, pen__rollback__init);
    request->pipeline = mem_text(pipeline_of(self, command));
    request->stage = mem_text(stage);
    request->target_execution_id = mem_text(target);
    request->target =
        world_row(w, PEN__ROW_KIND__ROW_EXECUTION, target, &pen__execution_row__descriptor);
    request->target_stage = stored_run(self, target, stage);
    for (struct pen_map_node *n = pen_map_first(&w->store); n != NULL; n = pen_map_next(n)) {
        const struct pen_row *row = ((struct stored *)pen_map_value(n))->row;
        if (row->kind == PEN__ROW_KIND__ROW_ACTION_EXECUTION && !row->deleted &&
            same(row->execution, target))
            APPEND(request, target_actions,
                   pen__action_execution_row__unpack(NULL, row->body_size, row->body));
    }
    world_post(w, PEN__INPUT__WHAT_ROLLBACK, request);
    tell_reply(self);
}

/* override e1 STAGE beforeEntry|onSuccess|onFailure */
static void do_override(struct story *self, const struct command *command)
{
    Pen__OverrideCondition *request = MAKE(Pen__OverrideCondition, pen__override_condition__init);
    const char *kind = command_word(self, command, 3);
    request->pipeline = mem_text(pipeline_of(self, command));
    request->execution_id = mem_text(tell_id(self, command_word(self, command, 1)));
    request->stage = mem_text(command_word(self, command, 2));
    request->stage_execution = stored_run(self, request->execution_id, request->stage);
    SET(request, kind,
        same(kind, "beforeEntry") ? PEN__CONDITION_KIND__CONDITION_BEFORE_ENTRY
        : same(kind, "onSuccess") ? PEN__CONDITION_KIND__CONDITION_ON_SUCCESS
                                  : PEN__CONDITION_KIND__CONDITION_ON_FAILURE);
    world_post(&self->world, PEN__INPUT__WHAT_OVERRIDE_CONDITION, request);
    tell_reply(self);
}

static Pen__ActionExecutionRow *action_of(struct story *self, const struct command *command)
{
    const char *id = tell_id(self, command_word(self, command, 1));
    const char *action = command_word(self, command, 2);
    Pen__ActionExecutionRow *row = world_action(&self->world, id, action);
    if (row == NULL)
        story_wrong(self, "%s has no action %s", command->words[1], action);
    return row;
}

/* approve|reject e1 ACTION [token=WORD] [summary...]; a word that was not kept is sent as it is */
static void decide(struct story *self, const struct command *command, bool approved)
{
    Pen__ActionExecutionRow *row = action_of(self, command);
    const char *word = command_value(command, "token");
    const char *token = word != NULL ? word : row->approval_token;
    for (size_t i = 0; i < self->kept_count; i++)
        if (same(self->kept[i].name, word))
            token = self->kept[i].id;
    Pen__PutApproval *request = MAKE(Pen__PutApproval, pen__put_approval__init);
    request->pipeline = mem_text(row->pipeline);
    request->stage = mem_text(row->stage);
    request->action = mem_text(row->action);
    request->token = mem_text(token);
    SET(request, approved, approved);
    request->summary = rest_of(command, 3);
    mem_free_message(row);
    world_post(&self->world, PEN__INPUT__WHAT_PUT_APPROVAL, request);
    tell_reply(self);
}

static void do_approve(struct story *self, const struct command *command)
{
    decide(self, command, true);
}

static void do_reject(struct story *self, const struct command *command)
{
    decide(self, command, false);
}

/* keep WORD e1 ACTION: remember the approval token of this moment */
static void do_keep(struct story *self, const struct command *command)
{
    const char *id = tell_id(self, command_word(self, command, 2));
    Pen__ActionExecutionRow *row = world_action(&self->world, id, command_word(self, command, 3));
    if (row == NULL || row->approval_token == NULL)
        story_wrong(self, "there is no token to keep");
    struct alias *grown = realloc(self->kept, (self->kept_count + 1) * sizeof *grown);
    assert_non_null(grown);
    self->kept = grown;
    self->kept[self->kept_count++] =
        (struct alias){.id = mem_text(row->approval_token), .name = mem_text(command->words[1])};
    mem_free_message(row);
}

/* disable STAGE [outbound] [reason...]; enable STAGE [outbound] */
static void change_transition(struct story *self, const struct command *command, bool disable)
{
    bool outbound = has_word(command, "outbound");
    char *reason = rest_of(command, outbound ? 3 : 2);
    Pen__ChangeTransition *request = MAKE(Pen__ChangeTransition, pen__change_transition__init);
    request->pipeline = mem_text(pipeline_of(self, command));
    request->stage = mem_text(command_word(self, command, 1));
    SET(request, outbound, outbound);
    SET(request, disable, disable);
    if (disable)
        request->reason = mem_text(reason);
    free(reason);
    world_post(&self->world, PEN__INPUT__WHAT_CHANGE_TRANSITION, request);
    tell_reply(self);
}

static void do_disable(struct story *self, const struct command *command)
{
    change_transition(self, command, true);
}

static void do_enable(struct story *self, const struct command *command)
{
    change_transition(self, command, false);
}

static void do_delete(struct story *self, const struct command *command)
{
    Pen__DeletePipeline *request = MAKE(Pen__DeletePipeline, pen__delete_pipeline__init);
    request->name = mem_text(command->count > 1 ? command->words[1] : pipeline_of(self, command));
    world_post(&self->world, PEN__INPUT__WHAT_DELETE_PIPELINE, request);
    tell_reply(self);
}

/* resolve e1 ACTION failed|succeeded|retry [reason...] */
static void do_resolve(struct story *self, const struct command *command)
{
    Pen__ActionExecutionRow *row = action_of(self, command);
    const char *word = command_word(self, command, 3);
    Pen__ResolveAttempt *request = MAKE(Pen__ResolveAttempt, pen__resolve_attempt__init);
    request->action_execution_id = mem_text(row->id);
    SET(request, resolution,
        same(word, "failed")      ? PEN__ATTEMPT_RESOLUTION__RESOLVE_FAILED
        : same(word, "succeeded") ? PEN__ATTEMPT_RESOLUTION__RESOLVE_SUCCEEDED
                                  : PEN__ATTEMPT_RESOLUTION__RESOLVE_RETRY);
    request->reason = rest_of(command, 4);
    mem_free_message(row);
    world_post(&self->world, PEN__INPUT__WHAT_RESOLVE_ATTEMPT, request);
    tell_reply(self);
}

static bool is_over(const Pen__ExecutionRow *row)
{
    return row->status == PEN__EXECUTION_STATUS__EXECUTION_FAILED ||
           row->status == PEN__EXECUTION_STATUS__EXECUTION_STOPPED ||
           row->status == PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED;
}

/* The pipeline's latest execution that is over; NULL: there is none. */
static Pen__ExecutionRow *latest_over(struct story *self, const char *pipeline)
{
    Pen__ExecutionRow *latest = NULL;
    for (struct pen_map_node *n = pen_map_first(&self->world.store); n != NULL;
         n = pen_map_next(n)) {
        const struct pen_row *stored = ((struct stored *)pen_map_value(n))->row;
        if (stored->kind != PEN__ROW_KIND__ROW_EXECUTION || stored->deleted ||
            !same(stored->pipeline, pipeline))
            continue;
        Pen__ExecutionRow *row = pen__execution_row__unpack(NULL, stored->body_size, stored->body);
        if (is_over(row) &&
            (latest == NULL || row->updated_ms > latest->updated_ms ||
             (row->updated_ms == latest->updated_ms && row->order > latest->order))) {
            Pen__ExecutionRow *former = latest;
            latest = row;
            row = former;
        }
        mem_free_message(row);
    }
    return latest;
}

/* Of each action of the execution that failed the last row, as who asks reads them of the store. */
static void add_ended_badly(struct story *self, Pen__ExplainRequest *request)
{
    for (struct pen_map_node *n = pen_map_first(&self->world.store); n != NULL;
         n = pen_map_next(n)) {
        const struct pen_row *stored = ((struct stored *)pen_map_value(n))->row;
        if (stored->kind != PEN__ROW_KIND__ROW_ACTION_EXECUTION || stored->deleted ||
            request->execution == NULL || !same(stored->execution, request->execution->id))
            continue;
        Pen__ActionExecutionRow *row =
            pen__action_execution_row__unpack(NULL, stored->body_size, stored->body);
        Pen__ActionExecutionRow *newest =
            world_action(&self->world, row->execution_id, row->action);
        if (same(newest->id, row->id) && (row->status == PEN__ACTION_STATUS__ACTION_FAILED ||
                                          row->status == PEN__ACTION_STATUS__ACTION_ABANDONED)) {
            APPEND(request, ended_badly, row);
            for (size_t i = request->n_ended_badly - 1;
                 i > 0 && request->ended_badly[i - 1]->order < row->order; i--) {
                request->ended_badly[i] = request->ended_badly[i - 1];
                request->ended_badly[i - 1] = row;
            }
            row = NULL;
        }
        mem_free_message(newest);
        mem_free_message(row);
    }
}

static void do_why(struct story *self, const struct command *command)
{
    Pen__ExplainRequest *request = MAKE(Pen__ExplainRequest, pen__explain_request__init);
    request->pipeline = mem_text(pipeline_of(self, command));
    if (command->count > 1) {
        request->execution_id = mem_text(tell_id(self, command->words[1]));
        request->execution = world_row(&self->world, PEN__ROW_KIND__ROW_EXECUTION,
                                       request->execution_id, &pen__execution_row__descriptor);
    } else {
        request->execution = latest_over(self, request->pipeline);
    }
    add_ended_badly(self, request);
    world_post(&self->world, PEN__INPUT__WHAT_EXPLAIN, request);
    tell_reasons(self);
}

static void do_state(struct story *self, const struct command *command)
{
    tell_state(self, pipeline_of(self, command));
}

static void do_show(struct story *self, const struct command *command)
{
    tell_execution(self, tell_id(self, command_word(self, command, 1)));
}

/* ---- sources */

/* push ACTION revision|gone [ref=refs/heads/x] [files=a,b]: the branch has moved or was deleted,
 * and a watch has seen it; with a trigger: which ref it was, and what has changed */
static void do_push(struct story *self, const struct command *command)
{
    mem_set_text((char **)&self->world.revision, command_word(self, command, 2));
    Pen__RevisionFound *found = MAKE(Pen__RevisionFound, pen__revision_found__init);
    found->pipeline = mem_text(pipeline_of(self, command));
    found->stage = mem_text(self->current->stages[0]->name);
    found->action = mem_text(command->words[1]);
    if (same(command->words[2], "gone"))
        SET(found, deleted, 1);
    else
        found->revision_id = mem_text(command->words[2]);
    SET(found, trigger_type, PEN__TRIGGER_TYPE__TRIGGER_POLL_FOR_SOURCE_CHANGES);
    found->ref_name = mem_text(command_value(command, "ref"));
    char *files = mem_text(command_value(command, "files"));
    char *rest = files;
    char *file;
    while (rest != NULL && (file = strsep(&rest, ",")) != NULL)
        APPEND(found, changed_files, mem_text(file));
    free(files);
    world_post(&self->world, PEN__INPUT__WHAT_REVISION_FOUND, found);
    tell_reply(self);
}

/* branch revision: what the branch points to from now on, unseen by the watch */
static void do_branch(struct story *self, const struct command *command)
{
    mem_set_text((char **)&self->world.revision, command_word(self, command, 1));
}

/* sources hold|answer|fail why: whether sources answer, and what */
static void do_sources(struct story *self, const struct command *command)
{
    const char *how = command_word(self, command, 1);
    char *why = rest_of(command, 2);
    self->world.sources_hold = same(how, "hold");
    mem_set_text((char **)&self->world.source_error, same(how, "fail") ? why : NULL);
    free(why);
}

/* ---- agents */

static struct fake_agent *agent_named(struct story *self, const struct command *command)
{
    const char *name = command_word(self, command, 1);
    for (size_t i = 0; i < self->world.agents_count; i++)
        if (same(self->world.agents[i].name, name))
            return &self->world.agents[i];
    story_wrong(self, "no agent %s", name);
}

/* agent NAME [slots=N] [label=key:value] */
static void do_agent(struct story *self, const struct command *command)
{
    const char *slots = command_value(command, "slots");
    const char *label = command_value(command, "label");
    char *key = label == NULL ? NULL : mem_format("%.*s", (int)strcspn(label, ":"), label);
    bool restarts = self->world.restart_always;
    self->world.restart_always = false; /* enrolling is not what scenarios are about */
    world_add_agent(&self->world, command_word(self, command, 1),
                    slots == NULL ? 4 : (uint32_t)strtoul(slots, NULL, 10), key,
                    label == NULL ? NULL : strchr(label, ':') + 1);
    self->world.restart_always = restarts;
    free(key);
    tell_facts(self);
}

/* hold A,B: these actions run until "finish"; fail A,B: these exit with 3. No names: none. */
static void do_hold(struct story *self, const struct command *command)
{
    mem_set_text((char **)&self->world.holding, command->count > 1 ? command->words[1] : NULL);
}

static void do_fail(struct story *self, const struct command *command)
{
    mem_set_text((char **)&self->world.failing, command->count > 1 ? command->words[1] : NULL);
}

/* finish ACTION [status, or a signal as -9] */
static void do_finish(struct story *self, const struct command *command)
{
    world_finish(&self->world, command_word(self, command, 1),
                 command->count > 2 ? (int32_t)strtol(command->words[2], NULL, 10) : 0);
    tell_facts(self);
}

static void end_first_job(struct story *self, const char *action, Pen__FinishKind kind)
{
    struct fake_agent *a = world_agent_of(&self->world, action);
    for (size_t i = 0; a != NULL && i < a->jobs_count; i++)
        if (same(a->jobs[i].action, action)) {
            agent_end_job(&self->world, a, a->jobs[i].fence, kind, 0);
            world_perform(&self->world);
            return;
        }
    story_wrong(self, "no agent runs %s", action);
}

/* interrupt ACTION: its host has rebooted under it */
static void do_interrupt(struct story *self, const struct command *command)
{
    end_first_job(self, command_word(self, command, 1), PEN__FINISH_KIND__INTERRUPTED);
    tell_facts(self);
}

/* expire ACTION: its time is over, and its agent ends it */
static void do_expire(struct story *self, const struct command *command)
{
    self->world.timing_out = true;
    end_first_job(self, command_word(self, command, 1), PEN__FINISH_KIND__KILLED);
    self->world.timing_out = false;
    tell_facts(self);
}

/* silence AGENT: nothing gets through any more, either way; hear AGENT: it does again */
static void do_silence(struct story *self, const struct command *command)
{
    agent_named(self, command)->deaf = true;
}

static void do_hear(struct story *self, const struct command *command)
{
    struct fake_agent *a = agent_named(self, command);
    a->deaf = false;
    agent_hello(&self->world, a);
    world_perform(&self->world);
    tell_facts(self);
}

/* wipe AGENT: its spool is lost, with all that it knew */
static void do_wipe(struct story *self, const struct command *command)
{
    struct fake_agent *a = agent_named(self, command);
    while (a->jobs_count > 0)
        agent_forget(a, a->jobs[0].fence);
    char *spool = mem_format("%s-new", a->spool_id);
    free(a->spool_id);
    a->spool_id = spool;
    a->spool_seq = 0;
    a->max_fence = 0;
}

/* drain AGENT; undrain AGENT; revoke AGENT */
static void change_agent(struct story *self, const struct command *command, Pen__AgentChange change)
{
    Pen__ChangeAgent *request = MAKE(Pen__ChangeAgent, pen__change_agent__init);
    request->agent_id = mem_text(agent_named(self, command)->id);
    SET(request, change, change);
    world_post(&self->world, PEN__INPUT__WHAT_CHANGE_AGENT, request);
    tell_reply(self);
}

static void do_drain(struct story *self, const struct command *command)
{
    change_agent(self, command, PEN__AGENT_CHANGE__AGENT_DRAIN);
}

static void do_undrain(struct story *self, const struct command *command)
{
    change_agent(self, command, PEN__AGENT_CHANGE__AGENT_UNDRAIN);
}

static void do_revoke(struct story *self, const struct command *command)
{
    change_agent(self, command, PEN__AGENT_CHANGE__AGENT_REVOKE);
}

/* ---- time, restarts, the trace */

/* options suspect=30s lost=5m ...: of the controller; from its next life on, which begins now */
static void do_options(struct story *self, const struct command *command)
{
    struct pen_engine_options *options = &self->world.options;
    const struct {
        const char *name;
        int64_t *value_ms;
    } known[] = {
        {"suspect", &options->suspect_ms},
        {"lost", &options->lost_ms},
        {"approval", &options->approval_timeout_ms},
        {"timeout", &options->action_timeout_ms},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (command_value(command, known[i].name) != NULL)
            *known[i].value_ms = duration(self, command_value(command, known[i].name));
    const struct {
        const char *name;
        uint32_t *value;
    } counts[] = {
        {"pipelines", &options->pipelines_max},       {"executions", &options->executions_max},
        {"parallel", &options->parallel_actions_max}, {"webhooks", &options->webhooks_max},
        {"types", &options->action_types_max},        {"polling", &options->polling_pipelines_max},
    };
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (command_value(command, counts[i].name) != NULL)
            *counts[i].value = (uint32_t)strtoul(command_value(command, counts[i].name), NULL, 10);
    world_restart(&self->world);
    world_perform(&self->world);
    tell_facts(self);
}

/* The agents that can be heard say that they live. */
static void beat(struct world *w)
{
    for (size_t i = 0; i < w->agents_count; i++)
        if (w->agents[i].up && !w->agents[i].deaf)
            world_send(w, &w->agents[i], PEN__FROM_AGENT__BODY_HEARTBEAT,
                       MAKE(Pen__Heartbeat, pen__heartbeat__init));
    world_perform(w);
}

/* wait 5m */
static void do_wait(struct story *self, const struct command *command)
{
    struct world *w = &self->world;
    int64_t left_ms = duration(self, command_word(self, command, 1));
    while (left_ms > 0) {
        int64_t part_ms = left_ms;
        if (w->options.suspect_ms < never_ms && part_ms > HEARTBEAT_MS)
            part_ms = HEARTBEAT_MS;
        world_tick(w, part_ms);
        if (w->options.suspect_ms < never_ms)
            beat(w);
        left_ms -= part_ms;
    }
    tell_facts(self);
}

static void do_restart(struct story *self, const struct command *command)
{
    (void)command;
    world_restart(&self->world);
    world_perform(&self->world);
    tell_facts(self);
}

/* repeat N command...: the same again and again; only the last time is told */
static void do_repeat(struct story *self, const struct command *command)
{
    unsigned long times = strtoul(command_word(self, command, 1), NULL, 10);
    struct command inner = {.count = command->count - 2};
    (void)command_word(self, command, 2);
    memcpy(inner.words, &command->words[2], inner.count * sizeof inner.words[0]);
    for (unsigned long i = 0; i < times; i++) {
        pen_buf_clear(&self->trace);
        story_perform(self, &inner);
    }
}

/* trace attempts|progress: tell those, too */
static void do_trace(struct story *self, const struct command *command)
{
    self->with_attempts = self->with_attempts || has_word(command, "attempts");
    self->with_progress = self->with_progress || has_word(command, "progress");
}

static const struct {
    const char *name;
    void (*perform)(struct story *self, const struct command *command);
} verbs[] = {
    {"start", do_start},       {"stop", do_stop},           {"retry", do_retry},
    {"rollback", do_rollback}, {"override", do_override},   {"approve", do_approve},
    {"reject", do_reject},     {"keep", do_keep},           {"disable", do_disable},
    {"enable", do_enable},     {"delete", do_delete},       {"resolve", do_resolve},
    {"why", do_why},           {"state", do_state},         {"show", do_show},
    {"push", do_push},         {"branch", do_branch},       {"sources", do_sources},
    {"agent", do_agent},       {"hold", do_hold},           {"fail", do_fail},
    {"finish", do_finish},     {"interrupt", do_interrupt}, {"expire", do_expire},
    {"silence", do_silence},   {"hear", do_hear},           {"wipe", do_wipe},
    {"drain", do_drain},       {"undrain", do_undrain},     {"revoke", do_revoke},
    {"options", do_options},   {"wait", do_wait},           {"restart", do_restart},
    {"trace", do_trace},       {"repeat", do_repeat},
};

void story_perform(struct story *self, const struct command *command)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (same(verbs[i].name, command->words[0])) {
            verbs[i].perform(self, command);
            return;
        }
    story_wrong(self, "no verb '%s'", command->words[0]);
}

static void observe(struct world *w, const Pen__Effect *effect)
{
    tell_effect((struct story *)w, effect);
}

void story_begin(struct story *self, const char *file, bool restart_always)
{
    struct world *w = &self->world;
    world_begin(w);
    self->file = file;
    w->revision = mem_text(w->revision);
    w->options.suspect_ms = w->options.lost_ms = never_ms;
    world_restart(w);
    world_perform(w);
    w->observes = observe;
    w->restart_always = restart_always;
    tell_alias(self, "arn:aws:iam::000000000000:user/ada", mem_text("ada"));
    tell_facts(self);
}

static void release_aliases(struct alias *aliases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(aliases[i].id);
        free(aliases[i].name);
    }
    free(aliases);
}

void story_end(struct story *self)
{
    struct world *w = &self->world;
    free((char *)w->revision);
    free((char *)w->holding);
    free((char *)w->failing);
    free((char *)w->defying);
    free((char *)w->source_error);
    world_end(w); /* compares memory, store and facts */
    author_release(self);
    worker_release(self);
    release_aliases(self->aliases, self->aliases_count);
    release_aliases(self->kept, self->kept_count);
    pen_buf_release(&self->trace);
}
