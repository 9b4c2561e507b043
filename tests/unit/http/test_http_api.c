/* The operations over HTTP: reads from rows, writes to a core of the test's own, long polls. */
#include "tests/unit/http/fixture.h"

#define EXECUTION "11111111-2222-4333-8444-000000000001"
#define IN_GATE   "\"filter\":{\"succeededInStage\":{\"stageName\":\"Gate\"}}"
#define ACTION_ID "aaaaaaaa-2222-4333-8444-000000000001"

static const char two_stages[] =
    "{\"name\":\"web\",\"roleArn\":\"arn:aws:iam::000000000000:role/p\",\"artifactStore\":{"
    "\"type\":\"S3\",\"location\":\"bucket\"},\"stages\":[{\"name\":\"Source\",\"actions\":[{"
    "\"name\":\"Pull\",\"actionTypeId\":{\"category\":\"Source\",\"owner\":\"AWS\",\"provider\":"
    "\"CodeCommit\",\"version\":\"1\"},\"configuration\":{\"RepositoryName\":\"r\",\"BranchName\":"
    "\"main\"},\"outputArtifacts\":[{\"name\":\"src\"}]}]},{\"name\":\"Gate\",\"actions\":[{"
    "\"name\":\"Ask\",\"actionTypeId\":{\"category\":\"Approval\",\"owner\":\"AWS\",\"provider\":"
    "\"Manual\",\"version\":\"1\"}}]}]}";

/* What the core of these tests answers. */
static bool answer(struct fixture *f, const Pen__Input *input, Pen__Reply *reply)
{
    (void)f;
    switch (input->what_case) {
    case PEN__INPUT__WHAT_CREATE_PIPELINE:
        reply->declaration = input->create_pipeline->declaration;
        return true;
    case PEN__INPUT__WHAT_START_EXECUTION:
        reply->execution_id = (char *)(uintptr_t)EXECUTION;
        return true;
    case PEN__INPUT__WHAT_STOP_EXECUTION:
        reply->error = (char *)(uintptr_t) "DuplicatedStopRequestException";
        reply->message = (char *)(uintptr_t) "asked \"twice\"";
        return true;
    case PEN__INPUT__WHAT_RETRY_STAGE:
        reply->error = (char *)(uintptr_t) "ConflictException";
        reply->message = (char *)(uintptr_t) "busy";
        return true;
    case PEN__INPUT__WHAT_CREATE_CONNECTION:
        reply->id =
            (char *)(uintptr_t) "arn:aws:codestar-connections:us-east-1:" ACCOUNT ":connection/c-1";
        return true;
    case PEN__INPUT__WHAT_PUT_APPROVAL:
        reply->has_at_ms = true;
        reply->at_ms = 1700000000123;
        return true;
    default:
        return true;
    }
}

static int setup(void **state)
{
    int rc = fixture_start(state);
    ((struct fixture *)*state)->answer = answer;
    return rc;
}

static void put_pipeline(struct fixture *f, const char *name)
{
    json_t *json = json_loads(two_stages, 0, NULL);
    json_object_set_new(json, "name", json_string(name));
    ProtobufCMessage *declaration = NULL;
    assert_int_equal(pen_wire_from_json(&pen__pipeline_declaration__descriptor, json, "pipeline",
                                        &declaration, NULL),
                     0);
    json_decref(json);
    Pen__PipelineVersionRow version = PEN__PIPELINE_VERSION_ROW__INIT;
    version.declaration = (Pen__PipelineDeclaration *)declaration;
    char key[128];
    snprintf(key, sizeof key, "%s/1", name);
    put_row(f, PEN__ROW_KIND__ROW_PIPELINE_VERSION, key, name, NULL, 0, &version);
    Pen__PipelineRow row = PEN__PIPELINE_ROW__INIT;
    row.name = (char *)(uintptr_t)name;
    row.has_version = row.has_created_ms = row.has_updated_ms = true;
    row.version = 1;
    row.created_ms = 1700000000123;
    row.updated_ms = 1700000001000;
    put_row(f, PEN__ROW_KIND__ROW_PIPELINE, name, name, NULL, 0, &row);
    pen_message_destroy(&declaration);
}

static void put_execution(struct fixture *f, const char *id, uint64_t order)
{
    Pen__ExecutionRow row = PEN__EXECUTION_ROW__INIT;
    row.id = (char *)(uintptr_t)id;
    row.pipeline = (char *)(uintptr_t) "web";
    row.has_pipeline_version = row.has_order = row.has_status = row.has_started_ms = true;
    row.pipeline_version = 1;
    row.order = order;
    row.status = PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS;
    row.started_ms = 1700000002000;
    row.mode = (char *)(uintptr_t) "SUPERSEDED";
    row.has_trigger_type = true;
    row.trigger_type = PEN__TRIGGER_TYPE__TRIGGER_START_PIPELINE_EXECUTION;
    row.trigger_detail = (char *)(uintptr_t)ARN;
    put_row(f, PEN__ROW_KIND__ROW_EXECUTION, id, "web", id, order, &row);
}

static void put_action(struct fixture *f, const char *id, uint64_t order, uint64_t fence,
                       Pen__ActionPhase phase)
{
    Pen__ActionExecutionRow row = PEN__ACTION_EXECUTION_ROW__INIT;
    row.id = (char *)(uintptr_t)id;
    row.execution_id = (char *)(uintptr_t)EXECUTION;
    row.pipeline = (char *)(uintptr_t) "web";
    row.stage = (char *)(uintptr_t) "Gate";
    row.action = (char *)(uintptr_t) "Ask";
    row.has_pipeline_version = row.has_order = row.has_status = row.has_phase = true;
    row.pipeline_version = 1;
    row.order = order;
    row.status = PEN__ACTION_STATUS__ACTION_IN_PROGRESS;
    row.phase = phase;
    row.approval_token = (char *)(uintptr_t) "token-1";
    row.has_fence = fence != 0;
    row.fence = fence;
    put_row(f, PEN__ROW_KIND__ROW_ACTION_EXECUTION, id, "web", EXECUTION, order, &row);
}

static const char *text_at(const json_t *json, const char *a, const char *b)
{
    const json_t *inner = json_object_get(json, a);
    const char *text = json_string_value(json_object_get(inner, b));
    return text == NULL ? "" : text;
}

static void test_create_and_get(void **state)
{
    struct fixture *f = *state;
    char body[2048];
    snprintf(body, sizeof body, "{\"pipeline\":%s}", two_stages);
    struct response response;
    call(f, PIPELINE_OP("CreatePipeline"), body, &response);
    assert_int_equal(response.status, 200);
    assert_string_equal(f->last_input->principal, ARN);
    const json_t *stages = json_object_get(json_object_get(response.json, "pipeline"), "stages");
    const json_t *ask = json_array_get(json_object_get(json_array_get(stages, 1), "actions"), 0);
    assert_int_equal(json_integer_value(json_object_get(ask, "runOrder")), 1);
    assert_true(json_is_object(json_object_get(ask, "configuration")));
    assert_true(json_is_array(json_object_get(ask, "inputArtifacts")));
    assert_true(json_is_array(json_object_get(ask, "outputArtifacts")));
    response_release(&response);

    put_pipeline(f, "web");
    call(f, PIPELINE_OP("GetPipeline"), "{\"name\":\"web\"}", &response);
    assert_int_equal(response.status, 200);
    assert_string_equal(text_at(response.json, "metadata", "pipelineArn"),
                        "arn:aws:codepipeline:us-east-1:" ACCOUNT ":web");
    assert_non_null(strstr(pen_buf_text(&response.body), "\"created\":1700000000.123,"));
    assert_non_null(strstr(pen_buf_text(&response.body), "\"updated\":1700000001.0}"));
    response_release(&response);
    call(f, PIPELINE_OP("GetPipeline"), "{\"name\":\"web\",\"version\":7}", &response);
    assert_string_equal(error_of(&response), "PipelineVersionNotFoundException");
    response_release(&response);
    call(f, PENSTOCK_OP("ValidatePipeline"), body, &response);
    assert_int_equal(response.status, 200);
    response_release(&response);
    call(f, PENSTOCK_OP("ValidatePipeline"), "{\"pipeline\":{\"name\":\"x\"}}", &response);
    assert_string_equal(error_of(&response), "ValidationException");
    response_release(&response);
}

static void test_faults_stop_before_the_core(void **state)
{
    struct fixture *f = *state;
    unsigned before = f->inputs;
    struct response response;
    json_t *pipeline = json_loads(two_stages, 0, NULL);
    json_array_remove(json_object_get(pipeline, "stages"), 1);
    json_t *body = json_pack("{s:o}", "pipeline", pipeline);
    char *text = json_dumps(body, 0);
    call(f, PIPELINE_OP("CreatePipeline"), text, &response);
    assert_string_equal(error_of(&response), "InvalidStructureException");
    response_release(&response);
    free(text);
    json_decref(body);
    char tagged[2048];
    snprintf(tagged, sizeof tagged, "{\"pipeline\":%s,\"tags\":[{\"key\":\"a\",\"value\":\"b\"}]}",
             two_stages);
    call(f, PIPELINE_OP("CreatePipeline"), tagged, &response);
    assert_string_equal(error_of(&response), "ValidationException");
    response_release(&response);
    assert_int_equal(f->inputs, before);
}

static void test_writes(void **state)
{
    struct fixture *f = *state;
    struct response response;
    call(f, PIPELINE_OP("StartPipelineExecution"),
         "{\"name\":\"web\",\"clientRequestToken\":\"t-1\",\"variables\":[{\"name\":\"a\","
         "\"value\":\"b\"}],\"sourceRevisions\":[{\"actionName\":\"Pull\",\"revisionType\":"
         "\"COMMIT_ID\",\"revisionValue\":\"c0ffee0000000000000000000000000000c0ffee\"}]}",
         &response);
    assert_string_equal(pen_buf_text(&response.body),
                        "{\"pipelineExecutionId\":\"" EXECUTION "\"}");
    response_release(&response);
    const Pen__StartExecution *start = f->last_input->start_execution;
    assert_string_equal(start->pipeline, "web");
    assert_string_equal(start->client_request_token, "t-1");
    assert_string_equal(start->variables[0]->value, "b");
    assert_string_equal(start->overrides[0]->revision_value,
                        "c0ffee0000000000000000000000000000c0ffee");
    uint8_t digest[32];
    memcpy(digest, start->body_sha256.data, 32);
    call(f, PIPELINE_OP("StartPipelineExecution"),
         "{\"clientRequestToken\":\"t-2\",\"sourceRevisions\":[{\"actionName\":\"Pull\","
         "\"revisionType\":\"COMMIT_ID\",\"revisionValue\":"
         "\"c0ffee0000000000000000000000000000c0ffee\"}],\"variables\":[{\"value\":"
         "\"b\",\"name\":\"a\"}],\"name\":\"web\"}",
         &response);
    response_release(&response);
    assert_memory_equal(digest, f->last_input->start_execution->body_sha256.data, 32);

    call(f, PIPELINE_OP("StopPipelineExecution"),
         "{\"pipelineName\":\"web\",\"pipelineExecutionId\":\"" EXECUTION
         "\",\"abandon\":true,\"reason\":\"r\"}",
         &response);
    assert_int_equal(response.status, 400);
    assert_string_equal(pen_buf_text(&response.body),
                        "{\"__type\":\"DuplicatedStopRequestException\",\"message\":\"asked "
                        "\\\"twice\\\"\"}");
    response_release(&response);
    assert_true(f->last_input->stop_execution->abandon);
    call(f, PIPELINE_OP("RetryStageExecution"),
         "{\"pipelineName\":\"web\",\"stageName\":\"Gate\",\"pipelineExecutionId\":\"" EXECUTION
         "\",\"retryMode\":\"ALL_ACTIONS\"}",
         &response);
    assert_int_equal(response.status, 409);
    response_release(&response);
    call(f, PIPELINE_OP("PutApprovalResult"),
         "{\"pipelineName\":\"web\",\"stageName\":\"Gate\",\"actionName\":\"Ask\",\"token\":"
         "\"11111111-2222-4333-8444-555555555555\",\"result\":{\"status\":\"Approved\",\"summary\":"
         "\"fine\"}}",
         &response);
    assert_string_equal(pen_buf_text(&response.body), "{\"approvedAt\":1700000000.123}");
    response_release(&response);
    assert_true(f->last_input->put_approval->approved);
    call(f, PIPELINE_OP("DisableStageTransition"),
         "{\"pipelineName\":\"web\",\"stageName\":\"Gate\",\"transitionType\":\"Inbound\","
         "\"reason\":\"freeze\"}",
         &response);
    assert_string_equal(pen_buf_text(&response.body), "{}");
    response_release(&response);
    assert_string_equal(f->last_input->change_transition->reason, "freeze");
}

static void test_state(void **state)
{
    struct fixture *f = *state;
    put_pipeline(f, "web");
    put_execution(f, EXECUTION, 1);
    put_action(f, ACTION_ID, 2, 0, PEN__ACTION_PHASE__ACTION_APPROVAL);
    Pen__LatestAction latest = PEN__LATEST_ACTION__INIT;
    latest.action = (char *)(uintptr_t) "Ask";
    latest.action_execution_id = (char *)(uintptr_t)ACTION_ID;
    Pen__LatestAction *all[] = {&latest};
    Pen__StageStateRow row = PEN__STAGE_STATE_ROW__INIT;
    row.pipeline = (char *)(uintptr_t) "web";
    row.stage = (char *)(uintptr_t) "Gate";
    row.latest_execution_id = (char *)(uintptr_t)EXECUTION;
    row.has_disabled = row.disabled = true;
    row.disabled_reason = (char *)(uintptr_t) "freeze";
    row.latest_actions = all;
    row.n_latest_actions = 1;
    char *waiting[] = {(char *)(uintptr_t)EXECUTION};
    row.waiting = waiting;
    row.n_waiting = 1;
    put_row(f, PEN__ROW_KIND__ROW_STAGE_STATE, "web/Gate", "web", NULL, 0, &row);
    struct response response;
    call(f, PIPELINE_OP("GetPipelineState"), "{\"name\":\"web\"}", &response);
    assert_int_equal(response.status, 200);
    const json_t *gate = json_array_get(json_object_get(response.json, "stageStates"), 1);
    assert_string_equal(text_at(gate, "inboundTransitionState", "disabledReason"), "freeze");
    assert_string_equal(text_at(gate, "inboundExecution", "pipelineExecutionId"), EXECUTION);
    assert_string_equal(text_at(gate, "inboundExecution", "status"), "InProgress");
    const json_t *ask = json_array_get(json_object_get(gate, "actionStates"), 0);
    assert_string_equal(text_at(ask, "latestExecution", "token"), "token-1");
    assert_string_equal(text_at(ask, "latestExecution", "status"), "InProgress");
    assert_null(json_object_get(gate, "latestExecution"));
    response_release(&response);
}

/* All pages together show each item once, in order; a token of another list is refused. */
static void test_pages(void **state)
{
    struct fixture *f = *state;
    put_pipeline(f, "web");
    for (unsigned i = 1; i <= 7; i++) {
        char id[64];
        snprintf(id, sizeof id, "11111111-2222-4333-8444-%012u", i);
        put_execution(f, id, i);
    }
    char token[512] = "";
    unsigned next = 7;
    for (int page = 0; page < 4; page++) {
        char body[1024];
        snprintf(body, sizeof body, "{\"pipelineName\":\"web\",\"maxResults\":2%s%s%s}",
                 page > 0 ? ",\"nextToken\":\"" : "", token, page > 0 ? "\"" : "");
        struct response response;
        call(f, PIPELINE_OP("ListPipelineExecutions"), body, &response);
        assert_int_equal(response.status, 200);
        const json_t *list = json_object_get(response.json, "pipelineExecutionSummaries");
        assert_int_equal(json_array_size(list), page < 3 ? 2 : 1);
        for (size_t i = 0; i < json_array_size(list); i++) {
            char id[64];
            snprintf(id, sizeof id, "11111111-2222-4333-8444-%012u", next--);
            assert_string_equal(
                json_string_value(json_object_get(json_array_get(list, i), "pipelineExecutionId")),
                id);
        }
        const char *more = json_string_value(json_object_get(response.json, "nextToken"));
        assert_int_equal(more != NULL, page < 3);
        if (more != NULL)
            snprintf(token, sizeof token, "%s", more);
        response_release(&response);
    }
    put_pipeline(f, "api");
    static const char *const wrong[] = {
        "{\"pipelineName\":\"api\",\"nextToken\":\"%s\"}",
        "{\"pipelineName\":\"web\",\"nextToken\":\"%sA\"}",
        "{\"pipelineName\":\"web\",\"nextToken\":\"A%s\"}",
        "{\"pipelineName\":\"web\",\"nextToken\":\"garbled\"}",
        "{\"pipelineName\":\"web\",\"nextToken\":\"!!\"}",
        "{\"pipelineName\":\"web\"," IN_GATE ",\"nextToken\":\"%s\"}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char body[1024];
        const char *hole = strstr(wrong[i], "%s");
        if (hole == NULL)
            snprintf(body, sizeof body, "%s", wrong[i]);
        else
            snprintf(body, sizeof body, "%.*s%s%s", (int)(hole - wrong[i]), wrong[i], token,
                     hole + 2);
        struct response response;
        call(f, PIPELINE_OP("ListPipelineExecutions"), body, &response);
        assert_string_equal(error_of(&response), "InvalidNextTokenException");
        response_release(&response);
    }
}

static void test_action_executions(void **state)
{
    struct fixture *f = *state;
    put_pipeline(f, "web");
    put_execution(f, EXECUTION, 1);
    for (unsigned i = 1; i <= 3; i++) { /* the same action, retried */
        char id[64];
        snprintf(id, sizeof id, "aaaaaaaa-2222-4333-8444-%012u", i);
        put_action(f, id, i, 0, PEN__ACTION_PHASE__ACTION_ENDED);
    }
    struct response response;
    call(f, PIPELINE_OP("ListActionExecutions"),
         "{\"pipelineName\":\"web\",\"filter\":{\"pipelineExecutionId\":\"" EXECUTION "\"}}",
         &response);
    const json_t *list = json_object_get(response.json, "actionExecutionDetails");
    assert_int_equal(json_array_size(list), 3);
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(list, 0), "actionExecutionId")),
        "aaaaaaaa-2222-4333-8444-000000000003");
    assert_string_equal(
        text_at(json_object_get(json_array_get(list, 0), "input"), "actionTypeId", "provider"),
        "Manual");
    response_release(&response);
    call(f, PIPELINE_OP("ListActionExecutions"),
         "{\"pipelineName\":\"web\",\"filter\":{\"latestInPipelineExecution\":{"
         "\"pipelineExecutionId\":\"" EXECUTION "\",\"startTimeRange\":\"Latest\"}}}",
         &response);
    assert_int_equal(json_array_size(json_object_get(response.json, "actionExecutionDetails")), 1);
    response_release(&response);
    call(f, PIPELINE_OP("ListActionExecutions"),
         "{\"pipelineName\":\"web\",\"filter\":{\"pipelineExecutionId\":"
         "\"99999999-2222-4333-8444-000000000001\"}}",
         &response);
    assert_string_equal(error_of(&response), "PipelineExecutionNotFoundException");
    response_release(&response);
}

static void put_attempt(struct fixture *f, uint64_t fence, Pen__AttemptState status)
{
    Pen__AttemptRow row = PEN__ATTEMPT_ROW__INIT;
    row.has_fence = row.has_state = true;
    row.fence = fence;
    row.state = status;
    row.action_execution_id = (char *)(uintptr_t)ACTION_ID;
    row.execution_id = (char *)(uintptr_t)EXECUTION;
    row.agent_id = (char *)(uintptr_t) "agent-1";
    char key[32];
    snprintf(key, sizeof key, "%020" PRIu64, fence);
    put_row(f, PEN__ROW_KIND__ROW_ATTEMPT, key, "web", EXECUTION, 0, &row);
}

static void write_log(struct fixture *f, uint64_t fence, const char *text)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    pen_layout_log_folder(f->dir, fence, &path);
    assert_int_equal(pen_dir_make(pen_buf_text(&path), 0700, NULL), 0);
    pen_buf_clear(&path);
    pen_layout_log(f->dir, fence, &path);
    assert_int_equal(pen_file_replace(pen_buf_text(&path), text, strlen(text), 0600, NULL), 0);
}

static void post_log_grew(struct fixture *f, uint64_t fence)
{
    const struct pen_post post = {.kind = PEN_POST_LOG_GREW, .number = fence};
    assert_int_equal(pen_inbox_post(pen_http_inbox(f->http), &post, NULL), 0);
}

static void post_committed(struct fixture *f, const char *ids)
{
    const struct pen_post post = {.kind = PEN_POST_COMMITTED, .body = strdup(ids), .destroy = free};
    assert_int_equal(pen_inbox_post(pen_http_inbox(f->http), &post, NULL), 0);
}

static int send_call(const struct fixture *f, const char *target, const char *body)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf request = {0};
    make_request(f, target, body, strlen(body), SECRET, &request);
    int fd = open_connection(f);
    send_all(fd, request.data, request.size);
    return fd;
}

/* Whether an answer is there; waits a little for one that should not come. */
static bool is_silent(int fd)
{
    struct pollfd source = {.fd = fd, .events = POLLIN};
    return poll(&source, 1, 100) == 0;
}

static void test_logs(void **state)
{
    struct fixture *f = *state;
    put_pipeline(f, "web");
    put_execution(f, EXECUTION, 1);
    put_action(f, ACTION_ID, 1, 41, PEN__ACTION_PHASE__ACTION_ATTEMPT);
    put_attempt(f, 41, PEN__ATTEMPT_STATE__ATTEMPT_RUNNING);
    write_log(f, 41, "hello\n");
    struct response response;
    call(f, PENSTOCK_OP("GetLogs"),
         "{\"actionExecutionId\":\"" ACTION_ID "\",\"offset\":1,\"limit\":4}", &response);
    assert_int_equal(response.status, 200);
    assert_string_equal(json_string_value(json_object_get(response.json, "data")), "ZWxsbw==");
    assert_int_equal(json_integer_value(json_object_get(response.json, "nextOffset")), 5);
    assert_int_equal(json_integer_value(json_object_get(response.json, "size")), 6);
    assert_false(json_is_true(json_object_get(response.json, "complete")));
    assert_string_equal(
        json_string_value(json_object_get(
            json_array_get(json_object_get(response.json, "attempts"), 0), "state")),
        "Running");
    response_release(&response);
    call(f, PENSTOCK_OP("GetLogs"), "{\"actionExecutionId\":\"" ACTION_ID "\",\"offset\":7}",
         &response);
    assert_string_equal(error_of(&response), "ValidationException");
    response_release(&response);
    call(f, PENSTOCK_OP("GetLogs"),
         "{\"pipelineName\":\"web\",\"executionId\":\"" EXECUTION "\",\"actionName\":\"Ask\"}",
         &response);
    assert_int_equal(json_integer_value(json_object_get(response.json, "fence")), 41);
    response_release(&response);

    /* Wait for more: other news do not wake it, its own log does. */
    int fd = send_call(f, PENSTOCK_OP("GetLogs"),
                       "{\"actionExecutionId\":\"" ACTION_ID "\",\"offset\":6,\"waitSeconds\":20}");
    assert_true(is_silent(fd));
    post_log_grew(f, 42);
    post_committed(f, "another");
    assert_true(is_silent(fd));
    write_log(f, 41, "hello\nyou\n");
    post_log_grew(f, 41);
    receive(fd, &response);
    assert_string_equal(json_string_value(json_object_get(response.json, "data")), "eW91Cg==");
    response_release(&response);
    close(fd);

    /* And its end. */
    fd = send_call(f, PENSTOCK_OP("GetLogs"),
                   "{\"actionExecutionId\":\"" ACTION_ID "\",\"offset\":10,\"waitSeconds\":20}");
    assert_true(is_silent(fd));
    put_attempt(f, 41, PEN__ATTEMPT_STATE__ATTEMPT_SUCCEEDED);
    post_committed(f, "x\n" EXECUTION "\ny");
    receive(fd, &response);
    assert_true(json_is_true(json_object_get(response.json, "complete")));
    response_release(&response);
    close(fd);
}

static void put_fact(struct fixture *f, uint64_t seq)
{
    Pen__StageStarted body = PEN__STAGE_STARTED__INIT;
    body.stage = (char *)(uintptr_t) "Gate";
    Pen__Fact fact = PEN__FACT__INIT;
    fact.has_seq = fact.has_at_ms = true;
    fact.seq = seq;
    fact.at_ms = 1700000003000;
    fact.pipeline = (char *)(uintptr_t) "web";
    fact.execution_id = (char *)(uintptr_t)EXECUTION;
    fact.what_case = PEN__FACT__WHAT_STAGE_STARTED;
    fact.stage_started = &body;
    Pen__Fact *facts[] = {&fact};
    struct pen_engine_out out = {.facts = facts, .facts_count = 1, .facts_capacity = 1};
    assert_int_equal(pen_store_commit(f->store, &out, NULL), 0);
}

static void test_watch(void **state)
{
    struct fixture *f = *state;
    put_pipeline(f, "web");
    put_execution(f, EXECUTION, 9);
    put_fact(f, 1001);
    struct response response;
    call(f, PENSTOCK_OP("WatchExecution"),
         "{\"pipelineName\":\"web\",\"executionId\":\"" EXECUTION "\",\"waitSeconds\":20}",
         &response);
    assert_int_equal(json_integer_value(json_object_get(response.json, "lastSequence")), 1001);
    const json_t *fact = json_array_get(json_object_get(response.json, "facts"), 0);
    assert_string_equal(json_string_value(json_object_get(fact, "text")), "stage entered");
    assert_string_equal(json_string_value(json_object_get(fact, "kind")), "stage_started");
    assert_string_equal(json_string_value(json_object_get(fact, "stage")), "Gate");
    response_release(&response);
    int fd = send_call(f, PENSTOCK_OP("WatchExecution"),
                       "{\"pipelineName\":\"web\",\"afterSequence\":1001,\"waitSeconds\":20}");
    assert_true(is_silent(fd));
    put_fact(f, 1002);
    post_committed(f, EXECUTION);
    receive(fd, &response);
    assert_int_equal(json_integer_value(json_object_get(response.json, "lastSequence")), 1002);
    response_release(&response);
    close(fd);
    /* The time runs out: an answer without facts. */
    call(f, PENSTOCK_OP("WatchExecution"),
         "{\"pipelineName\":\"web\",\"afterSequence\":1002,\"waitSeconds\":1}", &response);
    assert_int_equal(response.status, 200);
    assert_int_equal(json_array_size(json_object_get(response.json, "facts")), 0);
    assert_int_equal(json_integer_value(json_object_get(response.json, "lastSequence")), 1002);
    response_release(&response);
    call(f, PENSTOCK_OP("WatchExecution"), "{\"pipelineName\":\"web\",\"waitSeconds\":21}",
         &response);
    assert_string_equal(error_of(&response), "ValidationException");
    response_release(&response);
}

static void test_own_operations(void **state)
{
    struct fixture *f = *state;
    struct response response;
    call(f, PENSTOCK_OP("CreateAgentToken"),
         "{\"labels\":{\"pool\":\"build\"},\"slots\":2,\"ttlSeconds\":600}", &response);
    assert_int_equal(response.status, 200);
    const char *text = json_string_value(json_object_get(response.json, "token"));
    struct pen_token token;
    assert_int_equal(pen_token_parse(text, &token, NULL), 0);
    assert_memory_equal(token.server_public_key, f->keys.public_key, 32);
    const Pen__CreateToken *create = f->last_input->create_token;
    assert_memory_equal(create->public_key.data, token.pair.public_key, 32);
    assert_string_equal(create->labels[0]->value, "build");
    assert_int_equal(create->ttl_ms, 600000);
    response_release(&response);

    call(f, PENSTOCK_OP("CreateConnection"),
         "{\"connectionName\":\"hub\",\"baseUrl\":\"https://git.example/\",\"username\":\"u\","
         "\"secret\":\"hush hush\"}",
         &response);
    assert_int_equal(response.status, 200);
    assert_null(strstr(pen_buf_text(&response.body), "hush"));
    const Pen__ConnectionRow *row = f->last_input->create_connection->connection;
    PEN_CLEANUP(pen_buf_release) struct pen_buf opened = {0};
    assert_int_equal(pen_unseal(f->sealer, PEN_CONNECTION_SEAL_CONTEXT, row->sealed_secret.data,
                                row->sealed_secret.len, &opened, NULL),
                     0);
    assert_string_equal(pen_buf_text(&opened), "hush hush");
    response_release(&response);
    static const char *const urls[] = {"ext::sh -c x", "-uhttps://x",    "https://",
                                       "file://x/y",   "https://u:p@h/", "ssh://-oProxyCommand=x/",
                                       "https://a b",  "gopher://x/",    "relative/path"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        char body[256];
        snprintf(body, sizeof body, "{\"connectionName\":\"hub\",\"baseUrl\":\"%s\"}", urls[i]);
        call(f, PENSTOCK_OP("CreateConnection"), body, &response);
        if (strcmp(error_of(&response), "ValidationException") != 0)
            fail_msg("taken: %s", urls[i]);
        response_release(&response);
    }
    call(f, PENSTOCK_OP("CreateRepository"), "{\"name\":\"../x\"}", &response);
    assert_string_equal(error_of(&response), "ValidationException");
    response_release(&response);
    call(f, PENSTOCK_OP("CreateRepository"), "{\"name\":\"site\"}", &response);
    char path[512];
    snprintf(path, sizeof path, "%s/repos/site.git", f->dir);
    assert_string_equal(text_at(response.json, "repository", "path"), path);
    response_release(&response);
    call(f, PENSTOCK_OP("GetHealth"), "{}", &response);
    assert_string_equal(json_string_value(json_object_get(response.json, "status")), "ok");
    assert_true(json_integer_value(json_object_get(response.json, "databaseBytes")) > 0);
    response_release(&response);
    call(f, PENSTOCK_OP("RevokeAgent"), "{\"agentId\":\"a1\",\"reason\":\"gone\"}", &response);
    assert_int_equal(response.status, 200);
    assert_int_equal(f->last_input->change_agent->change, PEN__AGENT_CHANGE__AGENT_REVOKE);
    response_release(&response);
}

/* Answers of requests that are gone come first, then the one. */
static bool late(struct fixture *f, const Pen__Input *input, Pen__Reply *reply)
{
    static const uint64_t others[] = {0, 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        Pen__Reply other = PEN__REPLY__INIT;
        other.has_correlation = true;
        other.correlation = others[i] == 1 ? input->correlation - 1 : others[i];
        other.execution_id = (char *)(uintptr_t) "99999999-0000-4000-8000-000000000000";
        Pen__Effect effect = PEN__EFFECT__INIT;
        effect.what_case = PEN__EFFECT__WHAT_REPLY;
        effect.reply = &other;
        post_effect(f, &effect);
    }
    return answer(f, input, reply);
}

static void test_late_reply_is_dropped(void **state)
{
    struct fixture *f = *state;
    f->answer = late;
    struct response response;
    call(f, PIPELINE_OP("StartPipelineExecution"), "{\"name\":\"web\"}", &response);
    assert_int_equal(response.status, 200);
    assert_string_equal(pen_buf_text(&response.body),
                        "{\"pipelineExecutionId\":\"" EXECUTION "\"}");
    response_release(&response);
    f->answer = answer;
}

static bool silent(struct fixture *f, const Pen__Input *input, Pen__Reply *reply)
{
    (void)f;
    (void)input;
    (void)reply;
    return false;
}

/* The door closes while requests wait: each gets an answer that says what it does not know. */
static void test_stop_answers_all(void **state)
{
    struct fixture *f = *state;
    f->answer = silent;
    unsigned before = f->inputs;
    int start = send_call(f, PIPELINE_OP("StartPipelineExecution"), "{\"name\":\"web\"}");
    wait_for_inputs(f, before + 1);
    assert_true(is_silent(start));
    pen_http_stop(&f->http);
    struct response response;
    receive(start, &response);
    assert_int_equal(response.status, 503);
    assert_string_equal(error_of(&response), "ServiceUnavailableException");
    assert_non_null(strstr(pen_buf_text(&response.body), "clientRequestToken"));
    response_release(&response);
    close(start);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_and_get),
        cmocka_unit_test(test_faults_stop_before_the_core),
        cmocka_unit_test(test_writes),
        cmocka_unit_test(test_state),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_action_executions),
        cmocka_unit_test(test_logs),
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_own_operations),
        cmocka_unit_test(test_late_reply_is_dropped),
        cmocka_unit_test(test_stop_answers_all),
    };
    return cmocka_run_group_tests(tests, setup, fixture_stop);
}
