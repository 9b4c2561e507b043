/* tests/golden/workers.c - job workers and custom action types, and what agents have, in a scenario
 */
#include "tests/golden/golden.h"

#include "controller/model/validate.h"

/* ---- types: "Build/Mill/1" */

static Pen__ActionTypeId *type_id(const struct story *self, const char *text)
{
    Pen__ActionTypeId *id = MAKE(Pen__ActionTypeId, pen__action_type_id__init);
    const char *provider = strchr(text, '/');
    const char *version = provider == NULL ? NULL : strchr(provider + 1, '/');
    if (version == NULL)
        story_wrong(self, "'%s' is not CATEGORY/PROVIDER/VERSION", text);
    id->category = mem_format("%.*s", (int)(provider - text), text);
    id->owner = mem_text("Custom");
    id->provider = mem_format("%.*s", (int)(version - provider - 1), provider + 1);
    id->version = mem_text(version + 1);
    return id;
}

Pen__ActionTypeId *worker_type(const struct story *self, const char *text)
{
    return type_id(self, text);
}

static void add_property(Pen__ActionType *type, const char *name, bool queryable, bool secret)
{
    if (name == NULL)
        return;
    Pen__ActionConfigurationProperty *property =
        MAKE(Pen__ActionConfigurationProperty, pen__action_configuration_property__init);
    property->name = mem_text(name);
    SET(property, required, 1);
    SET(property, queryable, queryable);
    SET(property, secret, secret);
    APPEND(type, action_configuration_properties, property);
}

static Pen__ArtifactDetails *details(int32_t max)
{
    Pen__ArtifactDetails *made = MAKE(Pen__ArtifactDetails, pen__artifact_details__init);
    SET(made, minimum_count, 0);
    SET(made, maximum_count, max);
    return made;
}

/* worktype CATEGORY/PROVIDER/VERSION [key=NAME] [query=NAME] [secret=NAME] [deleted] */
static void do_worktype(struct story *self, const struct command *command)
{
    const char *text = command_word(self, command, 1);
    if (same(command->words[command->count - 1], "deleted")) {
        Pen__DeleteActionType *request = MAKE(Pen__DeleteActionType, pen__delete_action_type__init);
        request->id = type_id(self, text);
        world_post(&self->world, PEN__INPUT__WHAT_DELETE_ACTION_TYPE, request);
        tell_reply(self);
        return;
    }
    Pen__CreateActionType *request = MAKE(Pen__CreateActionType, pen__create_action_type__init);
    Pen__ActionType *type = request->type = MAKE(Pen__ActionType, pen__action_type__init);
    type->id = type_id(self, text);
    type->input_artifact_details = details(same(type->id->category, "Source") ? 0 : 5);
    type->output_artifact_details = details(1);
    add_property(type, command_value(command, "key"), false, false);
    add_property(type, command_value(command, "query"), true, false);
    add_property(type, command_value(command, "secret"), false, true);
    world_post(&self->world, PEN__INPUT__WHAT_CREATE_ACTION_TYPE, request);
    tell_reply(self);
}

int worker_validate(struct story *self, const Pen__PipelineDeclaration *declaration,
                    struct pen_error *err)
{
    enum { TYPES_MAX = 16 };
    Pen__ActionTypeRow *rows[TYPES_MAX];
    const Pen__ActionType *types[TYPES_MAX];
    struct pen_custom_types custom = {.region = "us-east-1", .types = types};
    size_t count = 0;
    for (struct pen_map_node *n = pen_map_first(&self->world.store); n != NULL;
         n = pen_map_next(n)) {
        const struct pen_row *row = ((struct stored *)pen_map_value(n))->row;
        if (row->kind != PEN__ROW_KIND__ROW_ACTION_TYPE || count == TYPES_MAX)
            continue;
        rows[count] = pen__action_type_row__unpack(NULL, row->body_size, row->body);
        if (!rows[count]->has_deleted_ms)
            types[custom.count++] = rows[count]->type;
        count++;
    }
    int rc = pen_model_validate_with(declaration, &custom, NULL, err);
    for (size_t i = 0; i < count; i++)
        mem_free_message(rows[i]);
    return rc;
}

/* ---- workers: each knows the job that it was given last */

static struct worker *worker_named(struct story *self, const char *name)
{
    for (size_t i = 0; i < self->workers_count; i++)
        if (same(self->workers[i].name, name))
            return &self->workers[i];
    if (self->workers_count == STORY_WORKERS)
        story_wrong(self, "too many job workers");
    struct worker *made = &self->workers[self->workers_count++];
    made->name = mem_text(name);
    return made;
}

static bool known(struct story *self, const char *job_id)
{
    Pen__JobRow *row =
        world_row(&self->world, PEN__ROW_KIND__ROW_JOB, job_id, &pen__job_row__descriptor);
    bool found = row != NULL;
    mem_free_message(row);
    return found;
}

static struct worker *with_job(struct story *self, const struct command *command)
{
    struct worker *worker = worker_named(self, command_word(self, command, 1));
    if (worker->job_id == NULL)
        story_wrong(self, "%s has no job", worker->name);
    return worker;
}

/* poll WORKER CATEGORY/PROVIDER/VERSION [NAME=VALUE] */
static void do_poll(struct story *self, const struct command *command)
{
    struct worker *worker = worker_named(self, command_word(self, command, 1));
    Pen__PollJobs *request = MAKE(Pen__PollJobs, pen__poll_jobs__init);
    request->type = type_id(self, command_word(self, command, 2));
    SET(request, max, 1);
    const char *query = command->count > 3 ? command->words[3] : NULL;
    if (query != NULL && strchr(query, '=') != NULL) {
        request->query_key = mem_format("%.*s", (int)strcspn(query, "="), query);
        request->query_value = mem_text(strchr(query, '=') + 1);
    }
    world_post(&self->world, PEN__INPUT__WHAT_POLL_JOBS, request);
    const Pen__Reply *reply = self->world.reply;
    if (reply->n_jobs > 0) {
        mem_set_text(&worker->job_id, reply->jobs[0]->id);
        mem_set_text(&worker->nonce, reply->jobs[0]->nonce);
    }
    tell_reply(self);
    if (reply->error == NULL && reply->n_jobs == 0)
        tell(self, self->world.now_ms, "%s gets nothing", worker->name);
    else if (reply->n_jobs > 0)
        tell(self, self->world.now_ms, "%s gets %s%s%s", worker->name, reply->jobs[0]->id,
             reply->jobs[0]->continuation_token != NULL ? " with token " : "",
             reply->jobs[0]->continuation_token != NULL ? reply->jobs[0]->continuation_token : "");
}

/* acknowledge WORKER */
static void do_acknowledge(struct story *self, const struct command *command)
{
    const struct worker *worker = with_job(self, command);
    Pen__AcknowledgeJob *request = MAKE(Pen__AcknowledgeJob, pen__acknowledge_job__init);
    request->job_id = mem_text(worker->job_id);
    request->nonce = mem_text(worker->nonce);
    SET(request, known, known(self, worker->job_id));
    world_post(&self->world, PEN__INPUT__WHAT_ACKNOWLEDGE_JOB, request);
    tell_reply(self);
}

/* report WORKER succeeded|failed [token=T] [code=C] [revision=R] [summary=S] [NAME=VALUE] */
static void do_report(struct story *self, const struct command *command)
{
    const struct worker *worker = with_job(self, command);
    Pen__PutJobResult *request = MAKE(Pen__PutJobResult, pen__put_job_result__init);
    request->job_id = mem_text(worker->job_id);
    SET(request, known, known(self, worker->job_id));
    SET(request, success, same(command_word(self, command, 2), "succeeded"));
    request->continuation_token = mem_text(command_value(command, "token"));
    request->error_code = mem_text(command_value(command, "code"));
    request->summary = mem_text(command_value(command, "summary"));
    if (command_value(command, "revision") != NULL) {
        request->revision = MAKE(Pen__JobRevision, pen__job_revision__init);
        request->revision->revision = mem_text(command_value(command, "revision"));
    }
    for (size_t i = 3; i < command->count; i++) {
        const char *word = command->words[i];
        if (word[0] < 'A' || word[0] > 'Z' || strchr(word, '=') == NULL)
            continue;
        Pen__NameValue *variable = MAKE(Pen__NameValue, pen__name_value__init);
        variable->name = mem_format("%.*s", (int)strcspn(word, "="), word);
        variable->value = mem_text(strchr(word, '=') + 1);
        APPEND(request, output_variables, variable);
    }
    world_post(&self->world, PEN__INPUT__WHAT_PUT_JOB_RESULT, request);
    tell_reply(self);
}

/* ---- what agents have, and what they do not end */

/* defy A,B: whoever is told to end these goes on. No names: none. */
static void do_defy(struct story *self, const struct command *command)
{
    mem_set_text((char **)&self->world.defying, command->count > 1 ? command->words[1] : NULL);
}

/* work: what the agents have, as ListAgents says it */
static void do_work(struct story *self, const struct command *command)
{
    (void)command;
    world_post(&self->world, PEN__INPUT__WHAT_LIST_AGENTS,
               MAKE(Pen__ListAgents, pen__list_agents__init));
    tell_work(self);
}

/* ---- the verbs of this file */

static const struct {
    const char *name;
    void (*perform)(struct story *self, const struct command *command);
} verbs[] = {
    {"worktype", do_worktype}, {"poll", do_poll}, {"acknowledge", do_acknowledge},
    {"report", do_report},     {"defy", do_defy}, {"work", do_work},
};

bool worker_perform(struct story *self, const struct command *command)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (same(verbs[i].name, command->words[0])) {
            verbs[i].perform(self, command);
            return true;
        }
    return false;
}

void worker_release(struct story *self)
{
    for (size_t i = 0; i < self->workers_count; i++) {
        free(self->workers[i].name);
        free(self->workers[i].job_id);
        free(self->workers[i].nonce);
    }
}

/* ---- facts */

void tell_job(struct story *self, const Pen__Fact *fact)
{
    if (fact->what_case == PEN__FACT__WHAT_JOB_QUEUED) {
        const Pen__JobRow *job = fact->job_queued->job;
        tell_alias(self, job->id, mem_format("job %zu", ++self->jobs_told));
        tell(self, fact->at_ms, "%s: %s is %s", job->action_execution_id, job->id,
             job->continues != NULL ? "made, to be offered later" : "queued");
        return;
    }
    static const char *const words[] = {NULL,        "CREATED", "offered",   "given out", "taken",
                                        "SUCCEEDED", "FAILED",  "TIMED_OUT", "ABANDONED"};
    const Pen__JobMoved *moved = fact->job_moved;
    tell(self, fact->at_ms, "%s: %s is %s%s%s", moved->action_execution_id, moved->job_id,
         words[moved->state], moved->reason != NULL ? ": " : "",
         moved->reason != NULL ? moved->reason : "");
}
