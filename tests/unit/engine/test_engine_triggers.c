/* Triggers with push filters: which push starts what, and what is remembered; hooks of connections.
 */
#include "tests/unit/engine/world.h"

static Pen__GitFilterCriteria *criteria(const char *include, const char *exclude)
{
    if (include == NULL && exclude == NULL)
        return NULL;
    Pen__GitFilterCriteria *made = MAKE(Pen__GitFilterCriteria, pen__git_filter_criteria__init);
    if (include != NULL)
        APPEND(made, includes, mem_text(include));
    if (exclude != NULL)
        APPEND(made, excludes, mem_text(exclude));
    return made;
}

static Pen__GitPushFilter *filter(Pen__GitFilterCriteria *tags, Pen__GitFilterCriteria *branches,
                                  Pen__GitFilterCriteria *files)
{
    Pen__GitPushFilter *made = MAKE(Pen__GitPushFilter, pen__git_push_filter__init);
    made->tags = tags;
    made->branches = branches;
    made->file_paths = files;
    return made;
}

/* A pipeline whose source S has these push filters; taken. */
static Pen__PipelineDeclaration *declare_triggered(size_t count, Pen__GitPushFilter **filters)
{
    Pen__PipelineDeclaration *declaration =
        declare("p", "PARALLEL", "Source:S=source|Ok:Approve=approve");
    Pen__PipelineTriggerDeclaration *trigger =
        MAKE(Pen__PipelineTriggerDeclaration, pen__pipeline_trigger_declaration__init);
    trigger->provider_type = mem_text("CodeStarSourceConnection");
    trigger->git_configuration = MAKE(Pen__GitConfiguration, pen__git_configuration__init);
    trigger->git_configuration->source_action_name = mem_text("S");
    for (size_t i = 0; i < count; i++)
        APPEND(trigger->git_configuration, push, filters[i]);
    APPEND(declaration, triggers, trigger);
    action_configure(find_declared(declaration, "S"), "DetectChanges", "false");
    return declaration;
}

static char *create(struct world *w, size_t count, Pen__GitPushFilter **filters)
{
    return world_create(w, declare_triggered(count, filters));
}

/* Report a push; the id of the execution that it starts (to be freed), or NULL. files: "a,b". */
static char *push(struct world *w, const char *ref, const char *id, const char *files)
{
    Pen__RevisionFound *found = MAKE(Pen__RevisionFound, pen__revision_found__init);
    found->pipeline = mem_text("p");
    found->stage = mem_text("Source");
    found->action = mem_text("S");
    found->ref_name = mem_text(ref);
    found->revision_id = mem_text(id);
    SET(found, trigger_type, PEN__TRIGGER_TYPE__TRIGGER_WEBHOOK_V2);
    found->trigger_detail = mem_text("hook");
    char *copy = mem_text(files);
    char *rest = copy;
    char *name;
    while ((name = strsep(&rest, ",")) != NULL)
        APPEND(found, changed_files, mem_text(name));
    free(copy);
    world_post(w, PEN__INPUT__WHAT_REVISION_FOUND, found);
    assert_null(w->reply->error);
    return mem_text(w->reply->execution_id);
}

static void expect(struct world *w, bool starts, const char *ref, const char *id, const char *files)
{
    char *execution = push(w, ref, id, files);
    if ((execution != NULL) != starts)
        fail_msg("%s %s: %s", ref == NULL ? "" : ref, files == NULL ? "" : files,
                 starts ? "starts nothing" : "starts");
    free(execution);
}

static void test_filters(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    Pen__GitPushFilter *filters[] = {
        filter(NULL, criteria("release/*", "release/old*"), NULL),
        filter(NULL, criteria("main", NULL), criteria("src/**", "**/*.md")),
        filter(criteria("v*", NULL), NULL, NULL),
    };
    free(create(&w, 3, filters));
    expect(&w, true, "refs/heads/release/1", "a1", NULL);     /* also a branch that is new */
    expect(&w, false, "refs/heads/release/old1", "a2", NULL); /* an exclude wins */
    expect(&w, false, "refs/heads/release/1/x", "a3", NULL);
    expect(&w, false, "refs/heads/feature", "a4", "src/a.c");
    expect(&w, true, "refs/heads/main", "b1", "README.md,src/a.c"); /* one file is enough */
    expect(&w, false, "refs/heads/main", "b2", "README.md,src/README.md");
    expect(&w, false, "refs/heads/main", "b3", NULL); /* nothing to compare with */
    expect(&w, true, "refs/tags/v1", "c1", NULL);
    expect(&w, false, "refs/tags/1", "c2", NULL);
    expect(&w, false, "refs/heads/v1", "c3", NULL); /* a branch is no tag */
    expect(&w, false, "refs/tags/main", "c4", "src/a.c");
    expect(&w, false, "refs/notes/main", "c5", "src/a.c");
    expect(&w, false, NULL, "d1", NULL); /* the action's own branch does not count any more */
    world_end(&w);
}

static void test_exactly_the_pushed_revision_once(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    Pen__GitPushFilter *filters[] = {filter(NULL, criteria("**", NULL), NULL)};
    char *first = create(&w, 1, filters);
    assert_int_equal(w.watches, 1); /* though DetectChanges is off */
    char *id = push(&w, "refs/heads/x", "c1", NULL);
    assert_non_null(id);
    assert_string_equal(w.last_source_revision, "c1");
    Pen__ExecutionRow *row =
        world_row(&w, PEN__ROW_KIND__ROW_EXECUTION, id, &pen__execution_row__descriptor);
    assert_int_equal(row->trigger_type, PEN__TRIGGER_TYPE__TRIGGER_WEBHOOK_V2);
    assert_string_equal(row->trigger_detail, "hook");
    mem_free_message(row);
    free(id);
    expect(&w, false, "refs/heads/x", "c1", NULL); /* reported twice */
    world_restart(&w);
    world_perform(&w);
    expect(&w, false, "refs/heads/x", "c1", NULL);
    expect(&w, true, "refs/heads/y", "c1", NULL); /* another branch is another push */
    expect(&w, true, "refs/heads/x", "c2", NULL);
    expect(&w, true, "refs/heads/x", "c1", NULL); /* pushed back */
    free(first);
    world_end(&w);
}

/* Give up what a push has started: a pipeline has room for so many only. */
static void abandon(struct world *w, char *id)
{
    Pen__StopExecution *stop = MAKE(Pen__StopExecution, pen__stop_execution__init);
    stop->pipeline = mem_text("p");
    stop->execution_id = id;
    SET(stop, abandon, 1);
    world_post(w, PEN__INPUT__WHAT_STOP_EXECUTION, stop);
    assert_null(w->reply->error);
}

static void test_any_number_of_refs_starts_once(void **state)
{
    (void)state;
    enum { TAGS = 350 };
    struct world w;
    world_begin(&w);
    Pen__GitPushFilter *filters[] = {filter(criteria("*", NULL), NULL, NULL)};
    free(create(&w, 1, filters));
    for (int i = 0; i < TAGS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "refs/tags/%d", i);
        char *id = push(&w, name, "c1", NULL);
        assert_non_null(id);
        abandon(&w, id);
    }
    for (int restarts = 0; restarts < 2; restarts++) {
        for (int i = 0; i < TAGS; i++) {
            char name[32];
            (void)snprintf(name, sizeof name, "refs/tags/%d", i);
            expect(&w, false, name, "c1", NULL); /* told again, as after a crash */
        }
        world_restart(&w);
        world_perform(&w);
    }
    expect(&w, true, "refs/tags/7", "c2", NULL);
    world_end(&w);
}

/* What no filter wants is seen, too: a trigger that is changed later does not run the past. */
static void test_what_no_filter_wants_is_seen(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    Pen__GitPushFilter *first[] = {filter(criteria("v*", NULL), NULL, NULL)};
    free(create(&w, 1, first));
    expect(&w, false, "refs/tags/x1", "c1", NULL);
    Pen__GitPushFilter *second[] = {filter(criteria("*", NULL), NULL, NULL)};
    Pen__UpdatePipeline *update = MAKE(Pen__UpdatePipeline, pen__update_pipeline__init);
    update->declaration = declare_triggered(1, second);
    world_post(&w, PEN__INPUT__WHAT_UPDATE_PIPELINE, update);
    assert_null(w.reply->error);
    expect(&w, false, "refs/tags/x1", "c1", NULL);
    expect(&w, true, "refs/tags/x1", "c2", NULL);
    world_end(&w);
}

/* trouble NULL: it can be looked at. */
static void looked(struct world *w, const char *trouble, const char *branch)
{
    Pen__SourceLooked *body = MAKE(Pen__SourceLooked, pen__source_looked__init);
    body->pipeline = mem_text("p");
    body->action = mem_text("S");
    body->trouble = mem_text(trouble);
    if (branch != NULL)
        APPEND(body, branches, mem_text(branch));
    world_post(w, PEN__INPUT__WHAT_SOURCE_LOOKED, body);
    assert_null(w->reply->error);
}

static void explain(struct world *w)
{
    Pen__ExplainRequest *request = MAKE(Pen__ExplainRequest, pen__explain_request__init);
    request->pipeline = mem_text("p");
    world_post(w, PEN__INPUT__WHAT_EXPLAIN, request);
    assert_null(w->reply->error);
}

static const Pen__Reason *trouble_of(const struct world *w)
{
    for (size_t i = 0; i < w->reply->n_reasons; i++)
        if (strcmp(w->reply->reasons[i]->predicate, "source_troubled") == 0)
            return w->reply->reasons[i];
    return NULL;
}

static void expect_trouble(struct world *w, const char *sentence, int64_t since_ms)
{
    explain(w);
    const Pen__Reason *reason = trouble_of(w);
    if ((reason == NULL) != (sentence == NULL))
        fail_msg("%s", reason == NULL ? "nothing is said" : reason->sentence);
    if (sentence == NULL)
        return;
    assert_string_equal(reason->sentence, sentence);
    assert_int_equal(reason->since_ms, since_ms);
    assert_string_equal(reason->subject, "p/Source/S");
}

static void test_a_source_that_cannot_be_looked_at(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    free(world_create(&w, declare("p", "QUEUED", "Source:S=source|Ok:Approve=approve")));
    expect_trouble(&w, NULL, 0);
    looked(&w, NULL, NULL); /* as ever */
    int64_t since_ms = w.now_ms += 1000;
    looked(&w, "cannot connect after 12 ms", NULL);
    expect_trouble(&w, "It cannot be looked at for changes: cannot connect after 12 ms", since_ms);
    w.now_ms += 60000;
    looked(&w, "cannot connect after 7 ms", NULL); /* the same */
    expect_trouble(&w, "It cannot be looked at for changes: cannot connect after 12 ms", since_ms);
    looked(&w, "no branch 'trunk'", "main"); /* another one, without a moment in between */
    world_restart(&w);
    world_perform(&w);
    expect_trouble(&w,
                   "It cannot be looked at for changes: no branch 'trunk'; the branches there are: "
                   "main",
                   since_ms);
    looked(&w, "no branch 'trunk'", "dev");
    expect_trouble(&w,
                   "It cannot be looked at for changes: no branch 'trunk'; the branches there are: "
                   "dev",
                   since_ms);
    looked(&w, NULL, NULL);
    expect_trouble(&w, NULL, 0);
    looked(&w, "no branch 'trunk'", "main");
    expect_trouble(&w,
                   "It cannot be looked at for changes: no branch 'trunk'; the branches there are: "
                   "main",
                   w.now_ms);
    /* An edit may have removed the cause: it is told anew, or not any more. */
    Pen__UpdatePipeline *update = MAKE(Pen__UpdatePipeline, pen__update_pipeline__init);
    update->declaration = declare("p", "QUEUED", "Source:S=source|Ok:Approve=approve");
    world_post(&w, PEN__INPUT__WHAT_UPDATE_PIPELINE, update);
    expect_trouble(&w, NULL, 0);
    world_end(&w);
}

static int pokes(const struct world *w)
{
    int count = 0;
    for (size_t i = 0; i < w->out.effects_count; i++)
        count += w->out.effects[i]->what_case == PEN__EFFECT__WHAT_SOURCE_POKE;
    return count;
}

static void test_a_hook_makes_sources_look(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    Pen__CreateConnection *create = MAKE(Pen__CreateConnection, pen__create_connection__init);
    create->connection = MAKE(Pen__ConnectionRow, pen__connection_row__init);
    create->connection->name = mem_text("forge");
    create->connection->base_url = mem_text("/srv");
    world_post(&w, PEN__INPUT__WHAT_CREATE_CONNECTION, create);
    assert_null(w.reply->error);
    char *id = mem_text(strrchr(w.reply->id, '/') + 1);
    for (int known = 1; known >= 0; known--) {
        struct pen_error err;
        Pen__PushNotified *body = MAKE(Pen__PushNotified, pen__push_notified__init);
        body->connection_id = known ? mem_text(id) : mem_text("nobody");
        Pen__Input *input = input_new(PEN__INPUT__WHAT_PUSH_NOTIFIED, body);
        assert_int_equal(pen_engine_step(w.engine, input, w.now_ms, &w.out, &err), 0);
        assert_int_equal(w.out.facts_count, 0); /* a hint leaves no trace */
        assert_int_equal(pokes(&w), known);
        pen_engine_out_clear(&w.out);
        mem_free_message(input);
    }
    free(id);
    world_end(&w);
}

/* What an artifact does not have of its commit stands behind the commit's first line. */
static void test_what_a_source_leaves_out_is_in_its_summary(void **state)
{
    (void)state;
    static const char *const left_out[] = {NULL, "a submodule is left empty: 'lib'"};
    static const char *const summaries[] = {"a commit",
                                            "a commit [a submodule is left empty: 'lib']"};
    for (size_t i = 0; i < 2; i++) {
        struct world w;
        world_begin(&w);
        world_add_agent(&w, "a", 1, NULL, NULL);
        w.source_left_out = left_out[i];
        char *id = world_create(&w, declare("p", NULL, "Source:S=source|Build:A=run"));
        Pen__ActionExecutionRow *row = world_action(&w, id, "S");
        assert_string_equal(row->summary, summaries[i]);
        mem_free_message(row);
        free(id);
        world_end(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_source_leaves_out_is_in_its_summary),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_exactly_the_pushed_revision_once),
        cmocka_unit_test(test_any_number_of_refs_starts_once),
        cmocka_unit_test(test_what_no_filter_wants_is_seen),
        cmocka_unit_test(test_a_source_that_cannot_be_looked_at),
        cmocka_unit_test(test_a_hook_makes_sources_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
