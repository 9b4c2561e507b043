/* Custom action types: who polls for what, pipelines that use them, and their secrets. */
#include "tests/unit/engine/jobs.h"

/* ---- polls */

static void test_query(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    assert_null(create_type(&w, new_type("Build", true)));
    world_add_agent(&w, "one", 2, NULL, NULL);
    Pen__PipelineDeclaration *declaration =
        declare("p", "SUPERSEDED", "Source:S=source|Build:A=run,B=run,C=run");
    for (const char *name = "ABC"; *name != '\0'; name++) {
        char text[2] = {*name, '\0'};
        make_custom(declaration, text, "Build");
        action_configure(find_declared(declaration, text), "Project",
                         *name == 'C' ? "oats" : "rye");
    }
    char *execution = world_create(&w, declaration);
    assert_true(world_explains(&w, "p", "no_worker_polls"));
    assert_int_equal(poll_for(&w, "Build", 5, NULL, NULL), 0);
    assert_string_equal(w.reply->error, "ValidationException");
    assert_int_equal(poll_for(&w, "Build", 5, "Grain", "rye"), 0);
    assert_string_equal(w.reply->error, "ValidationException");
    assert_int_equal(poll_for(&w, "Build", 1, "Project", "rye"), 1);
    assert_true(world_explains(&w, "p", "query_unpolled")); /* C */
    assert_int_equal(poll_for(&w, "Build", 5, "Project", "rye"), 1);
    assert_int_equal(poll_for(&w, "Build", 5, "Project", "wheat"), 0);
    assert_null(w.reply->error);
    assert_int_equal(poll_for(&w, "Build", 5, "Project", "oats"), 1);
    assert_true(world_explains(&w, "p", "job_unacknowledged"));
    assert_int_equal(poll_for(&w, "Deploy", 5, NULL, NULL), 0);
    assert_string_equal(w.reply->error, "ActionTypeNotFoundException");
    stop(&w, execution, false);
    free(execution);
    world_end(&w);
}

static void test_explains(void **state)
{
    (void)state;
    struct world w;
    char *execution = begin(&w, "SUPERSEDED");
    world_tick(&w, 7 * MINUTE);
    assert_true(world_explains(&w, "p", "no_worker_polls"));
    bool found = false;
    for (size_t i = 0; i < w.reply->n_reasons; i++)
        found = found || strcmp(w.reply->reasons[i]->sentence,
                                "Waiting for a job worker of type Build/Mill/1: nobody has polled "
                                "for 7 minutes") == 0;
    assert_true(found);
    delete_type(&w, "Build");
    assert_true(world_explains(&w, "p", "action_type_deleted"));
    assert_int_equal(poll_for(&w, "Build", 1, NULL, NULL), 0);
    assert_string_equal(w.reply->error, "ActionTypeNotFoundException");
    assert_null(create_type(&w, new_type("Build", false)));
    struct given given = take(&w);
    assert_true(world_explains(&w, "p", "job_in_progress"));
    given_release(&given);
    free(execution);
    world_end(&w);
}

/* ---- types */

static void test_types(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    assert_null(create_type(&w, new_type("Build", false)));
    assert_error(create_type(&w, new_type("Build", false)), "ValidationException");
    delete_type(&w, "Build");
    delete_type(&w, "Build"); /* gone is gone */
    world_restart(&w);
    assert_error(create_type(&w, new_type("Build", true)), "ValidationException");
    assert_null(create_type(&w, new_type("Build", false)));
    delete_type(&w, "Build");
    Pen__CreatePipeline *create = MAKE(Pen__CreatePipeline, pen__create_pipeline__init);
    create->declaration = declare("p", "SUPERSEDED", "Source:S=source|Build:B=run");
    make_custom(create->declaration, "B", "Build");
    world_post(&w, PEN__INPUT__WHAT_CREATE_PIPELINE, create);
    assert_string_equal(w.reply->error, "InvalidActionDeclarationException");
    assert_string_equal(w.reply->message,
                        "ActionType (Category: 'Build', Provider: 'Mill', Owner: 'Custom', "
                        "Version: '1') in action 'B' is not available in region 'US_EAST_1'; "
                        "there are Source/AWS/CodeCommit/1, Source/AWS/CodeStarSourceConnection/1, "
                        "Compute/AWS/Commands/1, Approval/AWS/Manual/1");
    for (int i = 0; i < 50; i++) {
        Pen__ActionType *type = new_type("Test", false);
        free(type->id->version);
        type->id->version = mem_format("%d", i);
        assert_null(create_type(&w, type));
    }
    assert_error(create_type(&w, new_type("Build", false)), "LimitExceededException");
    world_end(&w);
}

/* A pipeline may outlive the types of its actions. */
static void test_deleted_type(void **state)
{
    (void)state;
    struct world w;
    char *execution = begin(&w, "SUPERSEDED");
    struct given given = take(&w);
    delete_type(&w, "Build");
    assert_null(succeed(&w, given.id)); /* who has the job may end it */
    assert_int_equal(world_status(&w, execution), SUCCEEDED);
    char *second = world_start(&w, "p");
    assert_int_equal(world_status(&w, second), FAILED);
    Pen__ActionExecutionRow *action = world_action(&w, second, "B");
    assert_string_equal(action->error_code, "ConfigurationError");
    assert_string_equal(action->error_message, "the action type Build/Mill/1 was deleted");
    mem_free_message(action);
    given_release(&given);
    free(second);
    free(execution);
    world_end(&w);
}

static void test_source(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    assert_null(create_type(&w, new_type("Source", false)));
    world_add_agent(&w, "one", 2, NULL, NULL);
    Pen__PipelineDeclaration *declaration =
        declare("p", "SUPERSEDED", "Source:S=source|Build:B=run");
    make_custom(declaration, "S", "Source");
    size_t watches = w.watches;
    char *execution = world_create(&w, declaration);
    assert_int_equal(w.watches, watches); /* nobody watches a repository for it */
    assert_int_equal(poll_for(&w, "Source", 1, NULL, NULL), 1);
    struct given given = {.id = mem_text(w.reply->jobs[0]->id),
                          .nonce = mem_text(w.reply->jobs[0]->nonce)};
    assert_null(acknowledge(&w, &given));
    Pen__PutJobResult *result = result_of(&w, given.id, true);
    result->revision = MAKE(Pen__JobRevision, pen__job_revision__init);
    result->revision->revision = mem_text("r1");
    result->revision->change_identifier = mem_text("change-1");
    result->revision->summary = mem_text("fine grain");
    result->external_execution_id = mem_text("fetch-1");
    assert_null(put_result(&w, result));
    assert_int_equal(world_status(&w, execution), SUCCEEDED);
    Pen__ExecutionRow *row =
        world_row(&w, PEN__ROW_KIND__ROW_EXECUTION, execution, &pen__execution_row__descriptor);
    assert_int_equal(row->n_revisions, 1);
    assert_string_equal(row->revisions[0]->revision_id, "r1");
    assert_string_equal(row->revisions[0]->revision_summary, "fine grain");
    mem_free_message(row);
    Pen__ActionExecutionRow *action = world_action(&w, execution, "S");
    assert_string_equal(action->external_execution_id, "fetch-1");
    mem_free_message(action);
    given_release(&given);
    free(execution);
    world_end(&w);
}

/* ---- secrets */

static Pen__PipelineDeclaration *with_secret(const char *stage, const char *place,
                                             const char *secret)
{
    char *stages = mem_format("Source:S=source|%s:B=run", stage);
    Pen__PipelineDeclaration *declaration = declare("p", "SUPERSEDED", stages);
    free(stages);
    make_custom(declaration, "B", "Build");
    action_configure(find_declared(declaration, "B"), "Place", place);
    action_configure(find_declared(declaration, "B"), "Key", secret);
    return declaration;
}

static const char *update(struct world *w, Pen__PipelineDeclaration *declaration)
{
    Pen__UpdatePipeline *request = MAKE(Pen__UpdatePipeline, pen__update_pipeline__init);
    request->declaration = declaration;
    world_post(w, PEN__INPUT__WHAT_UPDATE_PIPELINE, request);
    return w->reply->error;
}

static void assert_secret(struct world *w, int version, const char *expected)
{
    char *key = mem_format("p/%d", version);
    Pen__PipelineVersionRow *row = world_row(w, PEN__ROW_KIND__ROW_PIPELINE_VERSION, key,
                                             &pen__pipeline_version_row__descriptor);
    free(key);
    assert_non_null(row);
    Pen__ActionDeclaration *action = find_declared(row->declaration, "B");
    assert_string_equal(action->configuration[1]->value, expected);
    mem_free_message(row);
}

static void test_masks(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    Pen__ActionType *type = new_type("Build", false);
    add_property(type, "Place", false, false);
    add_property(type, "Key", false, true);
    assert_null(create_type(&w, type));
    Pen__CreatePipeline *create = MAKE(Pen__CreatePipeline, pen__create_pipeline__init);
    create->declaration = with_secret("Build", "mill", "****");
    world_post(&w, PEN__INPUT__WHAT_CREATE_PIPELINE, create);
    assert_error(w.reply->error, "InvalidActionDeclarationException"); /* it masks nothing */
    assert_string_equal(w.reply->message, "Action configuration for action 'B' is missing required "
                                          "configuration 'Key'");
    free(world_create(&w, with_secret("Build", "mill", "sealed:v1:abc")));
    assert_null(update(&w, with_secret("Build", "mill", "*****"))); /* kept */
    assert_secret(&w, 2, "sealed:v1:abc");
    assert_error(update(&w, with_secret("Build", "other", "****")), /* another value changed */
                 "InvalidActionDeclarationException");
    assert_error(update(&w, with_secret("Grind", "mill", "****")), /* another stage */
                 "InvalidActionDeclarationException");
    assert_null(update(&w, with_secret("Build", "other", "sealed:v1:def")));
    assert_secret(&w, 3, "sealed:v1:def");
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query),  cmocka_unit_test(test_explains),
        cmocka_unit_test(test_types),  cmocka_unit_test(test_deleted_type),
        cmocka_unit_test(test_source), cmocka_unit_test(test_masks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
