/* Webhooks, pull requests of triggers, PutActionRevision, and how long a pipeline is polled. */
#include "common/base/limits.h"
#include "tests/unit/engine/world.h"

static ProtobufCBinaryData digest(uint8_t of)
{
    ProtobufCBinaryData bytes = {.len = PEN_LIMIT_DELIVERY_DIGEST_BYTES,
                                 .data = mem_zero(PEN_LIMIT_DELIVERY_DIGEST_BYTES)};
    bytes.data[0] = of;
    return bytes;
}

static void one_digest(ProtobufCBinaryData **list, size_t *count, uint8_t of)
{
    *list = mem_zero(sizeof **list);
    (*list)[0] = digest(of);
    *count = 1;
}

/* ---- webhooks */

static const char *put(struct world *w, const char *name, const char *pipeline, const char *action,
                       const char *match)
{
    Pen__PutWebhook *put = MAKE(Pen__PutWebhook, pen__put_webhook__init);
    put->webhook = MAKE(Pen__WebhookRow, pen__webhook_row__init);
    put->webhook->name = mem_text(name);
    put->webhook->pipeline = mem_text(pipeline);
    put->webhook->action = mem_text(action);
    put->webhook->authentication = mem_text("UNAUTHENTICATED");
    Pen__WebhookFilter *filter = MAKE(Pen__WebhookFilter, pen__webhook_filter__init);
    filter->json_path = mem_text("$.ref");
    filter->match_equals = mem_text(match);
    APPEND(put->webhook, filters, filter);
    world_post(w, PEN__INPUT__WHAT_PUT_WEBHOOK, put);
    return w->reply->error;
}

static Pen__WebhookRow *webhook_row(struct world *w, const char *name)
{
    return world_row(w, PEN__ROW_KIND__ROW_WEBHOOK, name, &pen__webhook_row__descriptor);
}

static char *url_secret(struct world *w, const char *name)
{
    Pen__WebhookRow *row = webhook_row(w, name);
    assert_non_null(row);
    char *secret = mem_text(row->url_secret);
    mem_free_message(row);
    return secret;
}

/* Whether the call starts something; delivery 0: without an id. */
static bool call(struct world *w, const char *name, const char *secret, uint8_t delivery)
{
    Pen__WebhookCalled *called = MAKE(Pen__WebhookCalled, pen__webhook_called__init);
    called->name = mem_text(name);
    called->url_secret = mem_text(secret);
    if (delivery > 0)
        one_digest(&called->deliveries, &called->n_deliveries, delivery);
    world_post(w, PEN__INPUT__WHAT_WEBHOOK_CALLED, called);
    assert_true(w->reply->error != NULL ||
                (w->reply->execution_id != NULL) == (w->reply->new_revision != 0));
    return w->reply->execution_id != NULL;
}

static void test_webhooks(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    Pen__PipelineDeclaration *declaration =
        declare("p", "PARALLEL", "Source:S=source|Ok:Approve=approve");
    action_configure(find_declared(declaration, "S"), "BranchName", "main");
    free(world_create(&w, declaration));
    assert_string_equal(put(&w, "h", "q", "S", NULL), "PipelineNotFoundException");
    assert_string_equal(put(&w, "h", "p", "Approve", NULL), "ValidationException");
    assert_string_equal(put(&w, "h", "p", "S", "{Branch}"), "ValidationException");
    assert_null(put(&w, "h", "p", "S", "refs/heads/{BranchName}"));
    char *secret = url_secret(&w, "h");
    assert_int_equal(strlen(secret), 64);
    assert_true(call(&w, "h", secret, 1));
    Pen__ExecutionRow *execution = world_row(
        &w, PEN__ROW_KIND__ROW_EXECUTION, w.reply->execution_id, &pen__execution_row__descriptor);
    assert_int_equal(execution->trigger_type, PEN__TRIGGER_TYPE__TRIGGER_WEBHOOK);
    assert_string_equal(execution->trigger_detail,
                        "arn:aws:codepipeline:us-east-1:000000000000:webhook:h");
    mem_free_message(execution);
    assert_false(call(&w, "h", secret, 1));    /* the same delivery */
    assert_null(put(&w, "h", "p", "S", NULL)); /* a change keeps URL, memory and time */
    char *kept = url_secret(&w, "h");
    assert_string_equal(secret, kept);
    world_restart(&w);
    world_perform(&w);
    assert_false(call(&w, "h", secret, 1));
    assert_true(call(&w, "h", secret, 2));
    assert_true(call(&w, "h", secret, 0));
    assert_true(call(&w, "h", secret, 0));
    assert_false(call(&w, "h", "guess", 3));
    assert_string_equal(w.reply->error, "NotFoundException");
    Pen__DeleteWebhook *delete = MAKE(Pen__DeleteWebhook, pen__delete_webhook__init);
    delete->name = mem_text("h");
    world_post(&w, PEN__INPUT__WHAT_DELETE_WEBHOOK, delete);
    assert_false(call(&w, "h", secret, 4));
    assert_null(put(&w, "h", "p", "S", NULL));
    char *other = url_secret(&w, "h");
    assert_string_not_equal(secret, other);
    free(other);
    free(kept);
    free(secret);
    world_end(&w);
}

static void test_webhooks_have_limits(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    free(world_create(&w, declare("p", "SUPERSEDED", "Source:S=source|Ok:Approve=approve")));
    char name[32];
    for (int i = 0; i < PEN_LIMIT_WEBHOOKS; i++) {
        (void)snprintf(name, sizeof name, "h%d", i);
        assert_null(put(&w, name, "p", "S", NULL));
    }
    assert_string_equal(put(&w, "one-more", "p", "S", NULL), "LimitExceededException");
    assert_null(put(&w, "h0", "p", "S", NULL)); /* a change is none more */
    char *secret = url_secret(&w, "h0");
    for (int i = 1; i <= PEN_LIMIT_DELIVERIES_REMEMBERED + 1; i++)
        assert_true(call(&w, "h0", secret, (uint8_t)i));
    Pen__WebhookRow *row = webhook_row(&w, "h0");
    assert_int_equal(row->n_deliveries, PEN_LIMIT_DELIVERIES_REMEMBERED);
    mem_free_message(row);
    assert_false(call(&w, "h0", secret, 2));
    assert_true(call(&w, "h0", secret, 1)); /* forgotten */
    free(secret);
    world_end(&w);
}

/* ---- pull requests */

static char *connect_to(struct world *w)
{
    Pen__CreateConnection *create = MAKE(Pen__CreateConnection, pen__create_connection__init);
    create->connection = MAKE(Pen__ConnectionRow, pen__connection_row__init);
    create->connection->name = mem_text("forge");
    create->connection->base_url = mem_text("/srv");
    world_post(w, PEN__INPUT__WHAT_CREATE_CONNECTION, create);
    assert_null(w->reply->error);
    return mem_text(w->reply->id);
}

static Pen__PipelineDeclaration *connected(const char *name, const char *arn)
{
    Pen__PipelineDeclaration *declaration =
        declare(name, "PARALLEL", "Source:S=source|Ok:Approve=approve");
    Pen__ActionDeclaration *source = find_declared(declaration, "S");
    mem_set_text(&source->action_type_id->provider, "CodeStarSourceConnection");
    action_configure(source, "ConnectionArn", arn);
    action_configure(source, "FullRepositoryId", "team/app");
    action_configure(source, "BranchName", "main");
    return declaration;
}

static void add_pull_requests(Pen__PipelineDeclaration *declaration, const char *event,
                              const char *branch, const char *files)
{
    if (declaration->n_triggers == 0) {
        Pen__PipelineTriggerDeclaration *trigger =
            MAKE(Pen__PipelineTriggerDeclaration, pen__pipeline_trigger_declaration__init);
        trigger->git_configuration = MAKE(Pen__GitConfiguration, pen__git_configuration__init);
        trigger->git_configuration->source_action_name = mem_text("S");
        APPEND(declaration, triggers, trigger);
    }
    Pen__GitPullRequestFilter *filter =
        MAKE(Pen__GitPullRequestFilter, pen__git_pull_request_filter__init);
    if (event != NULL)
        APPEND(filter, events, mem_text(event));
    filter->branches = MAKE(Pen__GitFilterCriteria, pen__git_filter_criteria__init);
    APPEND(filter->branches, includes, mem_text(branch));
    if (files != NULL) {
        filter->file_paths = MAKE(Pen__GitFilterCriteria, pen__git_filter_criteria__init);
        APPEND(filter->file_paths, includes, mem_text(files));
    }
    APPEND(declaration->triggers[0]->git_configuration, pull_request, filter);
}

/* Whether some trigger may want it. */
static bool notify(struct world *w, const char *arn, const char *repository, uint64_t number,
                   Pen__PullRequestChange change, const char *target, uint8_t delivery)
{
    Pen__PullRequestNotified *notified =
        MAKE(Pen__PullRequestNotified, pen__pull_request_notified__init);
    notified->connection_id = mem_text(strrchr(arn, '/') + 1);
    notified->repository = mem_text(repository);
    notified->pull_request = MAKE(Pen__PullRequest, pen__pull_request__init);
    SET(notified->pull_request, number, number);
    SET(notified->pull_request, change, change);
    notified->pull_request->source_branch = mem_text("topic");
    notified->pull_request->destination_branch = mem_text(target);
    notified->pull_request->title = mem_text("Fix");
    if (delivery > 0)
        one_digest(&notified->deliveries, &notified->n_deliveries, delivery);
    world_post(w, PEN__INPUT__WHAT_PULL_REQUEST_NOTIFIED, notified);
    return w->reply->error == NULL && w->reply->new_revision;
}

/* What sources answers to the event that waits; whether that starts something. */
static bool find(struct world *w, const char *revision, const char *file)
{
    Pen__PipelineRow *row =
        world_row(w, PEN__ROW_KIND__ROW_PIPELINE, "p", &pen__pipeline_row__descriptor);
    assert_int_equal(row->n_pull_requests, 1);
    Pen__PullRequestFound *found = MAKE(Pen__PullRequestFound, pen__pull_request_found__init);
    found->pipeline = mem_text("p");
    SET(found, event, row->pull_requests[0]->id);
    found->revision_id = mem_text(revision);
    if (file != NULL)
        APPEND(found, changed_files, mem_text(file));
    Pen__PullRequestFound *again = mem_copy(found);
    mem_free_message(row);
    world_post(w, PEN__INPUT__WHAT_PULL_REQUEST_FOUND, found);
    assert_null(w->reply->error);
    char *id = mem_text(w->reply->execution_id);
    if (id != NULL) {
        Pen__ExecutionRow *execution =
            world_row(w, PEN__ROW_KIND__ROW_EXECUTION, id, &pen__execution_row__descriptor);
        assert_string_equal(execution->overrides[0]->revision_value, revision);
        assert_string_equal(execution->origin->pull_request->title, "Fix");
        mem_free_message(execution);
    }
    world_post(w, PEN__INPUT__WHAT_PULL_REQUEST_FOUND, again); /* told twice */
    assert_null(w->reply->execution_id);
    bool started = id != NULL;
    free(id);
    return started;
}

#define OPEN    PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_OPEN
#define UPDATED PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_UPDATED
#define CLOSED  PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_CLOSED

static void test_pull_requests(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    char *arn = connect_to(&w);
    Pen__PipelineDeclaration *declaration = connected("p", arn);
    add_pull_requests(declaration, "OPEN", "main", "src/**");
    add_pull_requests(declaration, "CLOSED", "main", NULL);
    free(world_create(&w, declaration));
    size_t watches = w.watches;

    assert_false(notify(&w, arn, "team/app", 7, UPDATED, "main", 0)); /* nobody asks for that */
    assert_false(notify(&w, arn, "team/app", 7, OPEN, "dev", 0));
    assert_false(notify(&w, arn, "team/other", 7, OPEN, "main", 0));
    assert_false(notify(&w, arn, "myteam/app", 7, OPEN, "main", 0));
    assert_true(notify(&w, arn, "srv/Team/App", 7, OPEN, "main", 0));
    assert_false(find(&w, "c1", "doc/a"));
    assert_true(notify(&w, arn, "team/app", 7, OPEN, "main", 1));
    world_restart(&w); /* before sources had answered: it is asked again */
    world_perform(&w);
    assert_true(find(&w, "c1", "src/a"));
    assert_false(notify(&w, arn, "team/app", 7, OPEN, "main", 1)); /* the same delivery */
    assert_true(notify(&w, arn, "team/app", 7, OPEN, "main", 2));
    assert_false(find(&w, "c1", "src/a")); /* no news */
    assert_true(notify(&w, arn, "team/app", 7, CLOSED, "main", 3));
    assert_true(find(&w, "c1", NULL));
    assert_true(notify(&w, arn, "team/app", 7, UPDATED, "main", 0)); /* it is followed now */
    assert_false(find(&w, "c1", NULL));
    assert_true(notify(&w, arn, "team/app", 7, CLOSED, "main", 4));
    assert_true(find(&w, "c1", NULL)); /* closed again */
    assert_true(notify(&w, arn, "team/app", 8, OPEN, "main", 0));
    assert_false(find(&w, NULL, NULL));   /* there is no such pull request */
    assert_int_equal(w.watches, watches); /* its trigger has no push filters: nothing is watched */
    free(arn);
    world_end(&w);
}

/* What was seen of them is as durable as what it started, for any number that people can wait for.
 */
static void test_many_pull_requests_start_once(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    w.options.executions_max = 200;
    world_restart(&w);
    world_perform(&w);
    char *arn = connect_to(&w);
    Pen__PipelineDeclaration *declaration = connected("p", arn);
    add_pull_requests(declaration, NULL, "main", NULL);
    free(world_create(&w, declaration));
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 1; i <= 150; i++) {
            assert_true(notify(&w, arn, "team/app", i, OPEN, "main", 0));
            assert_int_equal(find(&w, "c1", NULL), round == 0);
        }
        world_restart(&w);
        world_perform(&w);
    }
    assert_true(notify(&w, arn, "team/app", 150, CLOSED, "main", 0));
    assert_true(find(&w, "c1", NULL));
    free(arn);
    world_end(&w);
}

static void test_pull_requests_have_limits(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    char *arn = connect_to(&w);
    Pen__PipelineDeclaration *declaration = connected("p", arn);
    add_pull_requests(declaration, NULL, "main", NULL);
    free(world_create(&w, declaration));
    for (uint64_t i = 1; i <= PEN_LIMIT_PULL_REQUESTS_NOTICED; i++)
        assert_true(notify(&w, arn, "team/app", i, OPEN, "main", 0));
    assert_false(notify(&w, arn, "team/app", 1000, OPEN, "main", 9));
    assert_string_equal(w.reply->error, "ThrottlingException");
    Pen__DeletePipeline *delete = MAKE(Pen__DeletePipeline, pen__delete_pipeline__init);
    delete->name = mem_text("p");
    world_post(&w, PEN__INPUT__WHAT_DELETE_PIPELINE, delete);
    assert_false(notify(&w, arn, "team/app", 1000, OPEN, "main", 9));
    free(arn);
    world_end(&w);
}

/* ---- PutActionRevision */

#define COMMIT_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define COMMIT_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static bool put_revision(struct world *w, const char *stage, const char *action,
                         const char *revision)
{
    Pen__PutActionRevision *put = MAKE(Pen__PutActionRevision, pen__put_action_revision__init);
    put->pipeline = mem_text("p");
    put->stage = mem_text(stage);
    put->action = mem_text(action);
    put->revision_id = mem_text(revision);
    put->revision_change_id = mem_text("change");
    world_post(w, PEN__INPUT__WHAT_PUT_ACTION_REVISION, put);
    return w->reply->error == NULL && w->reply->new_revision;
}

static void test_put_action_revision(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    assert_false(put_revision(&w, "Source", "S", COMMIT_A));
    assert_string_equal(w.reply->error, "PipelineNotFoundException");
    free(world_create(&w, declare("p", "QUEUED", "Source:S=source|Ok:Approve=approve")));
    assert_false(put_revision(&w, "Nowhere", "S", COMMIT_A));
    assert_string_equal(w.reply->error, "StageNotFoundException");
    assert_false(put_revision(&w, "Source", "Nobody", COMMIT_A));
    assert_string_equal(w.reply->error, "ActionNotFoundException");
    assert_false(put_revision(&w, "Ok", "Approve", COMMIT_A));
    assert_string_equal(w.reply->error, "ValidationException");
    assert_false(put_revision(&w, "Source", "S", "main"));
    assert_string_equal(w.reply->error, "ValidationException");
    assert_true(put_revision(&w, "Source", "S", COMMIT_A));
    char *id = mem_text(w.reply->execution_id);
    Pen__ExecutionRow *row =
        world_row(&w, PEN__ROW_KIND__ROW_EXECUTION, id, &pen__execution_row__descriptor);
    assert_int_equal(row->trigger_type, PEN__TRIGGER_TYPE__TRIGGER_PUT_ACTION_REVISION);
    assert_string_equal(row->overrides[0]->revision_value, COMMIT_A);
    mem_free_message(row);
    assert_false(put_revision(&w, "Source", "S", COMMIT_A));
    assert_null(w.reply->error);
    assert_string_equal(w.reply->execution_id, id);
    /* That the watch sees the same commit later starts nothing either. */
    Pen__RevisionFound *found = MAKE(Pen__RevisionFound, pen__revision_found__init);
    found->pipeline = mem_text("p");
    found->stage = mem_text("Source");
    found->action = mem_text("S");
    found->revision_id = mem_text(COMMIT_A);
    world_post(&w, PEN__INPUT__WHAT_REVISION_FOUND, found);
    assert_null(w.reply->execution_id);
    for (int i = 2; i < PEN_LIMIT_PIPELINE_EXECUTIONS; i++)
        free(world_start(&w, "p"));
    assert_false(put_revision(&w, "Source", "S", COMMIT_B));
    assert_string_equal(w.reply->error, "ConcurrentPipelineExecutionsLimitExceededException");
    free(id);
    world_end(&w);
}

/* ---- polling */

static int64_t disabled_ms(struct world *w, const char *name)
{
    Pen__PipelineRow *row =
        world_row(w, PEN__ROW_KIND__ROW_PIPELINE, name, &pen__pipeline_row__descriptor);
    int64_t at_ms = row->polling_disabled_ms;
    mem_free_message(row);
    return at_ms;
}

static void sleep_days(struct world *w, int days)
{
    w->now_ms += (int64_t)days * 24 * 3600 * 1000;
    world_post(w, PEN__INPUT__WHAT_TICK, MAKE(Pen__Tick, pen__tick__init));
}

static void test_polling_stops_after_thirty_days(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    char *arn = connect_to(&w);
    free(world_create(&w, connected("p", arn)));
    free(world_create(&w, declare("hosted", "SUPERSEDED", "Source:S=source|Ok:A=approve")));
    sleep_days(&w, 20);
    free(world_start(&w, "p"));
    sleep_days(&w, 29);
    assert_int_equal(disabled_ms(&w, "p"), 0);
    world_restart(&w);
    world_perform(&w);
    size_t watches = w.watches;
    sleep_days(&w, 2);
    assert_int_equal(disabled_ms(&w, "p"), w.now_ms);
    assert_true(w.watches > watches); /* told, without polling */
    assert_int_equal(disabled_ms(&w, "hosted"), 0);
    world_restart(&w);
    world_perform(&w);
    sleep_days(&w, 100);
    assert_true(disabled_ms(&w, "p") < w.now_ms);
    free(world_start(&w, "p"));
    assert_int_equal(disabled_ms(&w, "p"), 0);
    free(arn);
    world_end(&w);
}

static const char *try_create(struct world *w, Pen__PipelineDeclaration *declaration)
{
    Pen__CreatePipeline *request = MAKE(Pen__CreatePipeline, pen__create_pipeline__init);
    request->declaration = declaration;
    world_post(w, PEN__INPUT__WHAT_CREATE_PIPELINE, request);
    return w->reply->error;
}

static void test_polling_pipelines_have_a_limit(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    w.sources_hold = true;
    char *arn = connect_to(&w);
    char name[32];
    for (int i = 0; i < PEN_LIMIT_POLLING_PIPELINES; i++) {
        (void)snprintf(name, sizeof name, "p%d", i);
        assert_null(try_create(&w, connected(name, arn)));
    }
    assert_string_equal(try_create(&w, connected("more", arn)), "LimitExceededException");
    Pen__PipelineDeclaration *quiet = connected("quiet", arn);
    action_configure(find_declared(quiet, "S"), "DetectChanges", "false");
    assert_null(try_create(&w, quiet));
    Pen__UpdatePipeline *update = MAKE(Pen__UpdatePipeline, pen__update_pipeline__init);
    update->declaration = connected("quiet", arn);
    world_post(&w, PEN__INPUT__WHAT_UPDATE_PIPELINE, update);
    assert_string_equal(w.reply->error, "LimitExceededException");
    update = MAKE(Pen__UpdatePipeline, pen__update_pipeline__init);
    update->declaration = connected("p0", arn); /* one that polls may go on */
    world_post(&w, PEN__INPUT__WHAT_UPDATE_PIPELINE, update);
    assert_null(w.reply->error);
    free(arn);
    world_end(&w);
}

static void test_switches(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    static const char *const keys[] = {"PollForSourceChanges", "PollForSourceChanges"};
    static const char *const values[] = {"true", "false"};
    for (size_t i = 0; i < 2; i++) {
        size_t watches = w.watches;
        Pen__PipelineDeclaration *declaration =
            declare(values[i], "SUPERSEDED", "Source:S=source|Ok:A=approve");
        action_configure(find_declared(declaration, "S"), keys[i], values[i]);
        free(world_create(&w, declaration));
        assert_int_equal(w.watches > watches, i == 0);
    }
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_webhooks),
        cmocka_unit_test(test_webhooks_have_limits),
        cmocka_unit_test(test_pull_requests),
        cmocka_unit_test(test_many_pull_requests_start_once),
        cmocka_unit_test(test_pull_requests_have_limits),
        cmocka_unit_test(test_put_action_revision),
        cmocka_unit_test(test_polling_stops_after_thirty_days),
        cmocka_unit_test(test_polling_pipelines_have_a_limit),
        cmocka_unit_test(test_switches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
