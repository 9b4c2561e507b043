/* tests/unit/engine/jobs.h - custom action types and job workers, as the tests of jobs use them */
#ifndef PEN_TESTS_UNIT_ENGINE_JOBS_H
#define PEN_TESTS_UNIT_ENGINE_JOBS_H

#include "tests/unit/engine/world.h"

#define SUCCEEDED PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED
#define FAILED    PEN__EXECUTION_STATUS__EXECUTION_FAILED
#define RUNNING   PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS
#define STOPPED   PEN__EXECUTION_STATUS__EXECUTION_STOPPED
#define CANCELLED PEN__EXECUTION_STATUS__EXECUTION_CANCELLED

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

/* ---- types */

static UNUSED Pen__ActionTypeId *type_id(const char *category)
{
    Pen__ActionTypeId *id = MAKE(Pen__ActionTypeId, pen__action_type_id__init);
    id->category = mem_text(category);
    id->owner = mem_text("Custom");
    id->provider = mem_text("Mill");
    id->version = mem_text("1");
    return id;
}

static UNUSED void add_property(Pen__ActionType *type, const char *name, bool queryable,
                                bool secret)
{
    Pen__ActionConfigurationProperty *property =
        MAKE(Pen__ActionConfigurationProperty, pen__action_configuration_property__init);
    property->name = mem_text(name);
    SET(property, required, !secret);
    SET(property, secret, secret);
    SET(property, queryable, queryable);
    APPEND(type, action_configuration_properties, property);
}

static UNUSED Pen__ActionType *new_type(const char *category, bool queryable)
{
    Pen__ActionType *type = MAKE(Pen__ActionType, pen__action_type__init);
    type->id = type_id(category);
    type->input_artifact_details = MAKE(Pen__ArtifactDetails, pen__artifact_details__init);
    SET(type->input_artifact_details, minimum_count, 0);
    SET(type->input_artifact_details, maximum_count, strcmp(category, "Source") == 0 ? 0 : 5);
    type->output_artifact_details = MAKE(Pen__ArtifactDetails, pen__artifact_details__init);
    SET(type->output_artifact_details, minimum_count, 0);
    SET(type->output_artifact_details, maximum_count, 0);
    type->settings = MAKE(Pen__ActionTypeSettings, pen__action_type_settings__init);
    type->settings->execution_url_template = mem_text("http://mill/{ExternalExecutionId}");
    if (queryable)
        add_property(type, "Project", true, false);
    return type;
}

/* The error's name, NULL when there is none. */
static UNUSED const char *create_type(struct world *w, Pen__ActionType *type)
{
    Pen__CreateActionType *request = MAKE(Pen__CreateActionType, pen__create_action_type__init);
    request->type = type;
    world_post(w, PEN__INPUT__WHAT_CREATE_ACTION_TYPE, request);
    return w->reply->error;
}

static UNUSED void delete_type(struct world *w, const char *category)
{
    Pen__DeleteActionType *request = MAKE(Pen__DeleteActionType, pen__delete_action_type__init);
    request->id = type_id(category);
    world_post(w, PEN__INPUT__WHAT_DELETE_ACTION_TYPE, request);
    assert_null(w->reply->error);
}

/* Make the action one of the custom type of this category. */
static UNUSED void make_custom(Pen__PipelineDeclaration *declaration, const char *name,
                               const char *category)
{
    Pen__ActionDeclaration *action = find_declared(declaration, name);
    mem_free_message(action->action_type_id);
    action->action_type_id = type_id(category);
    while (action->n_commands > 0)
        free(action->commands[--action->n_commands]);
    while (action->n_output_artifacts > 0)
        mem_free_message(action->output_artifacts[--action->n_output_artifacts]);
}

/* A pipeline whose first action after the source is a job; returns the execution (to be freed). */
static UNUSED char *begin(struct world *w, const char *mode)
{
    world_begin(w);
    w->options.suspect_ms = w->options.lost_ms = 1000 * HOUR; /* agents are not what it is about */
    world_restart(w);
    assert_null(create_type(w, new_type("Build", false)));
    Pen__PipelineDeclaration *declaration =
        declare("p", mode, "Source:S=source|Build:B=run|End:E=run");
    make_custom(declaration, "B", "Build");
    world_add_agent(w, "one", 2, NULL, NULL);
    return world_create(w, declaration);
}

/* ---- workers */

struct given {
    char *id;
    char *nonce;
    char *token;
};

static UNUSED void given_release(struct given *self)
{
    free(self->id);
    free(self->nonce);
    free(self->token);
    *self = (struct given){0};
}

static UNUSED size_t poll_for(struct world *w, const char *category, uint32_t max, const char *key,
                              const char *value)
{
    Pen__PollJobs *request = MAKE(Pen__PollJobs, pen__poll_jobs__init);
    request->type = type_id(category);
    SET(request, max, max);
    request->query_key = mem_text(key);
    request->query_value = mem_text(value);
    world_post(w, PEN__INPUT__WHAT_POLL_JOBS, request);
    return w->reply->n_jobs;
}

/* Poll; the one job that was given (to be released), or none: its id is NULL. */
static UNUSED struct given poll_one(struct world *w)
{
    struct given given = {0};
    if (poll_for(w, "Build", 1, NULL, NULL) == 0)
        return given;
    assert_null(w->reply->error);
    given.id = mem_text(w->reply->jobs[0]->id);
    given.nonce = mem_text(w->reply->jobs[0]->nonce);
    given.token = mem_text(w->reply->jobs[0]->continuation_token);
    return given;
}

static UNUSED bool in_store(struct world *w, const char *id)
{
    Pen__JobRow *row = world_row(w, PEN__ROW_KIND__ROW_JOB, id, &pen__job_row__descriptor);
    mem_free_message(row);
    return row != NULL;
}

static UNUSED Pen__JobState state_of(struct world *w, const char *id)
{
    Pen__JobRow *row = world_row(w, PEN__ROW_KIND__ROW_JOB, id, &pen__job_row__descriptor);
    assert_non_null(row);
    Pen__JobState state = row->state;
    mem_free_message(row);
    return state;
}

/* The error's name, NULL when there is none. */
static UNUSED const char *acknowledge(struct world *w, const struct given *given)
{
    Pen__AcknowledgeJob *request = MAKE(Pen__AcknowledgeJob, pen__acknowledge_job__init);
    request->job_id = mem_text(given->id);
    request->nonce = mem_text(given->nonce);
    SET(request, known, in_store(w, given->id));
    world_post(w, PEN__INPUT__WHAT_ACKNOWLEDGE_JOB, request);
    if (w->reply->error == NULL)
        assert_int_equal(w->reply->job_state, PEN__JOB_STATE__JOB_IN_PROGRESS);
    return w->reply->error;
}

static UNUSED Pen__PutJobResult *result_of(struct world *w, const char *id, bool success)
{
    Pen__PutJobResult *request = MAKE(Pen__PutJobResult, pen__put_job_result__init);
    request->job_id = mem_text(id);
    SET(request, known, in_store(w, id));
    SET(request, success, success);
    return request;
}

static UNUSED const char *put_result(struct world *w, Pen__PutJobResult *request)
{
    world_post(w, PEN__INPUT__WHAT_PUT_JOB_RESULT, request);
    return w->reply->error;
}

static UNUSED const char *succeed(struct world *w, const char *id)
{
    return put_result(w, result_of(w, id, true));
}

static UNUSED const char *fail_job(struct world *w, const char *id)
{
    Pen__PutJobResult *request = result_of(w, id, false);
    request->error_code = mem_text("ConfigurationError");
    request->error_message = mem_text("no such mill");
    return put_result(w, request);
}

static UNUSED const char *go_on(struct world *w, const char *id, const char *token)
{
    Pen__PutJobResult *request = result_of(w, id, true);
    request->continuation_token = mem_text(token);
    return put_result(w, request);
}

/* Poll and acknowledge. */
static UNUSED struct given take(struct world *w)
{
    struct given given = poll_one(w);
    assert_non_null(given.id);
    assert_null(acknowledge(w, &given));
    return given;
}

static UNUSED void stop(struct world *w, const char *execution, bool abandon)
{
    Pen__StopExecution *request = MAKE(Pen__StopExecution, pen__stop_execution__init);
    request->pipeline = mem_text("p");
    request->execution_id = mem_text(execution);
    SET(request, abandon, abandon);
    world_post(w, PEN__INPUT__WHAT_STOP_EXECUTION, request);
    assert_null(w->reply->error);
}

#define assert_error(actual, expected)                                                             \
    do {                                                                                           \
        const char *actual_ = (actual);                                                            \
        if (actual_ == NULL)                                                                       \
            fail_msg("accepted, not " expected);                                                   \
        else                                                                                       \
            assert_string_equal(actual_, expected);                                                \
    } while (0)

#endif
