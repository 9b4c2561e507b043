/* Words about others' work, and names that do not belong together: none of them counts. */
#include "tests/unit/engine/world.h"

#define SUCCEEDED PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED
#define RUNNING   PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS

static const Pen__AgentSend *last_sent(struct world *w, const char *agent_id,
                                       Pen__ToAgent__BodyCase what)
{
    for (size_t i = w->effects_count; i > w->effects_done; i--) {
        const Pen__Effect *effect = w->effects[i - 1];
        if (effect->what_case == PEN__EFFECT__WHAT_AGENT_SEND &&
            same(effect->agent_send->agent_id, agent_id) &&
            effect->agent_send->message->body_case == what)
            return effect->agent_send;
    }
    return NULL;
}

static void assert_refused(struct world *w, const struct fake_agent *a, Pen__RefusedCode code)
{
    const Pen__AgentSend *sent = last_sent(w, a->id, PEN__TO_AGENT__BODY_REFUSED);
    assert_non_null(sent);
    assert_int_equal(sent->message->refused->code, code);
}

static Pen__AttemptState state_of(struct world *w, uint64_t fence)
{
    char *key = mem_format("%020llu", (unsigned long long)fence);
    Pen__AttemptRow *row =
        world_row(w, PEN__ROW_KIND__ROW_ATTEMPT, key, &pen__attempt_row__descriptor);
    free(key);
    assert_non_null(row);
    Pen__AttemptState state = row->state;
    mem_free_message(row);
    return state;
}

static Pen__ActionPhase phase_of(struct world *w, const char *id, const char *action)
{
    Pen__ActionExecutionRow *row = world_action(w, id, action);
    Pen__ActionPhase phase = row->phase;
    mem_free_message(row);
    return phase;
}

/* ---- what one agent says of another's work */

static void test_revoked_of_another(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *a = world_add_agent(&w, "a", 1, NULL, NULL);
    w.holding = w.counted = "D";
    char *id = world_create(&w, declare("p", NULL, "Source:S=source|Deploy:D=once"));
    a->deaf = true;
    world_tick(&w, 301 * 1000);
    assert_int_equal(state_of(&w, 1), PEN__ATTEMPT_STATE__ATTEMPT_INDETERMINATE);
    struct fake_agent *b = world_add_agent(&w, "b", 1, NULL, NULL);
    Pen__Revoked *revoked = MAKE(Pen__Revoked, pen__revoked__init);
    SET(revoked, fence, 1);
    SET(revoked, never_began, 1);
    world_send(&w, b, PEN__FROM_AGENT__BODY_REVOKED, revoked);
    world_perform(&w);
    assert_int_equal(state_of(&w, 1), PEN__ATTEMPT_STATE__ATTEMPT_INDETERMINATE);
    assert_int_equal(phase_of(&w, id, "D"), PEN__ACTION_PHASE__ACTION_INDETERMINATE);
    assert_int_equal(w.begun, 1);
    free(id);
    world_end(&w);
}

/* A world in which an action that only a may do has been offered to it, and it has not answered. */
static char *offered(struct world *w, struct fake_agent **ret_a, struct fake_agent **ret_b)
{
    world_begin(w);
    *ret_a = world_add_agent(w, "a", 1, "pool", "prod");
    *ret_b = world_add_agent(w, "b", 1, NULL, NULL);
    w->holding = w->counted = "D";
    (*ret_a)->deaf = true;
    Pen__PipelineDeclaration *declaration = declare("p", NULL, "Source:S=source|Deploy:D=once");
    action_configure(find_declared(declaration, "D"), "RunsOn", "pool=prod");
    char *id = world_create(w, declaration);
    (*ret_a)->deaf = false;
    assert_int_equal(phase_of(w, id, "D"), PEN__ACTION_PHASE__ACTION_QUEUED);
    return id;
}

static void test_accept_of_who_was_not_asked(void **state)
{
    (void)state;
    struct world w;
    struct fake_agent *a;
    struct fake_agent *b;
    char *id = offered(&w, &a, &b);
    Pen__Accept *accept = MAKE(Pen__Accept, pen__accept__init);
    SET(accept, fence, 1);
    world_send(&w, b, PEN__FROM_AGENT__BODY_ACCEPT, accept);
    assert_refused(&w, b, PEN__REFUSED_CODE__FENCED);
    assert_null(last_sent(&w, b->id, PEN__TO_AGENT__BODY_START));
    world_perform(&w);
    assert_int_equal(w.begun, 0);
    assert_int_equal(b->jobs_count, 0);
    accept = MAKE(Pen__Accept, pen__accept__init);
    SET(accept, fence, 1);
    world_send(&w, a, PEN__FROM_AGENT__BODY_ACCEPT, accept);
    world_perform(&w);
    assert_int_equal(w.begun, 1);
    assert_int_equal(a->jobs_count, 1);
    free(id);
    world_end(&w);
}

static void test_decline_of_who_was_not_asked(void **state)
{
    (void)state;
    struct world w;
    struct fake_agent *a;
    struct fake_agent *b;
    char *id = offered(&w, &a, &b);
    Pen__Decline *decline = MAKE(Pen__Decline, pen__decline__init);
    SET(decline, fence, 1);
    world_send(&w, b, PEN__FROM_AGENT__BODY_DECLINE, decline);
    world_perform(&w);
    Pen__Accept *accept = MAKE(Pen__Accept, pen__accept__init);
    SET(accept, fence, 1);
    world_send(&w, a, PEN__FROM_AGENT__BODY_ACCEPT, accept);
    assert_non_null(last_sent(&w, a->id, PEN__TO_AGENT__BODY_START));
    assert_null(last_sent(&w, a->id, PEN__TO_AGENT__BODY_REFUSED));
    world_perform(&w);
    assert_int_equal(w.begun, 1);
    free(id);
    world_end(&w);
}

static void test_session_number_on_another_link(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *a = world_add_agent(&w, "a", 1, NULL, NULL);
    w.holding = "D";
    char *id = world_create(&w, declare("p", NULL, "Source:S=source|Deploy:D=once"));
    Pen__Event *event = MAKE(Pen__Event, pen__event__init);
    SET(event, fence, 1);
    SET(event, seq, 2);
    event->what_case = PEN__EVENT__WHAT_FINISHED;
    event->finished = MAKE(Pen__Finished, pen__finished__init);
    SET(event->finished, kind, PEN__FINISH_KIND__EXITED);
    SET(event->finished, exit_code, 0);
    uint64_t link = a->link;
    for (int i = 0; i < 2; i++) {
        a->link = i == 0 ? link + 1 : link - 1; /* a later one that said no hello, an older one */
        world_send(&w, a, PEN__FROM_AGENT__BODY_EVENT, mem_copy(event));
        assert_refused(&w, a, PEN__REFUSED_CODE__NO_SESSION);
        for (size_t k = w.effects_done; k < w.effects_count; k++)
            mem_free_message(w.effects[k]);
        w.effects_count = w.effects_done = 0;
        assert_int_equal(state_of(&w, 1), PEN__ATTEMPT_STATE__ATTEMPT_RUNNING);
    }
    mem_free_message(event);
    a->link = link;
    world_finish(&w, "D", 0);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    free(id);
    world_end(&w);
}

/* Of a fence that was never granted here the controller orders nothing: another database did. */
static void test_fence_never_granted(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *a = world_add_agent(&w, "a", 2, NULL, NULL);
    struct job *job = agent_new_job(a, 99);
    job->phase = PEN__ATTEMPT_PHASE__PHASE_RUNNING;
    job->last_seq = 1;
    agent_hello(&w, a);
    assert_refused(&w, a, PEN__REFUSED_CODE__FENCED);
    assert_null(last_sent(&w, a->id, PEN__TO_AGENT__BODY_CANCEL));
    assert_null(last_sent(&w, a->id, PEN__TO_AGENT__BODY_RELEASE));
    assert_null(last_sent(&w, a->id, PEN__TO_AGENT__BODY_REVOKE));
    world_perform(&w);
    assert_int_equal(a->jobs_count, 1);
    world_end(&w);
}

/* ---- results */

static void arrive(struct world *w, uint64_t fence, uint8_t first)
{
    Pen__ArtifactArrived *arrived = MAKE(Pen__ArtifactArrived, pen__artifact_arrived__init);
    SET(arrived, fence, fence);
    arrived->artifact = MAKE(Pen__ArtifactRef, pen__artifact_ref__init);
    arrived->artifact->name = mem_text("B");
    arrived->artifact->has_manifest_sha256 = 1;
    arrived->artifact->manifest_sha256.len = 32;
    arrived->artifact->manifest_sha256.data = mem_zero(32);
    arrived->artifact->manifest_sha256.data[0] = first;
    world_arrive(w, input_new(PEN__INPUT__WHAT_ARTIFACT_ARRIVED, arrived));
    world_perform(w);
}

/* What is stored under an output's name is not what the attempt has made: it is waited for. */
static void test_stored_digest_is_compared(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *a = world_add_agent(&w, "a", 1, NULL, NULL);
    w.holding = "B";
    char *id = world_create(&w, declare("p", NULL, "Source:S=source|Build:B=made"));
    arrive(&w, 1, 99);
    Pen__Event *event = MAKE(Pen__Event, pen__event__init);
    SET(event, fence, 1);
    SET(event, seq, 2);
    event->what_case = PEN__EVENT__WHAT_FINISHED;
    event->finished = MAKE(Pen__Finished, pen__finished__init);
    SET(event->finished, kind, PEN__FINISH_KIND__EXITED);
    SET(event->finished, exit_code, 0);
    Pen__ArtifactRef *made = MAKE(Pen__ArtifactRef, pen__artifact_ref__init);
    made->name = mem_text("B");
    made->has_manifest_sha256 = 1;
    made->manifest_sha256.len = 32;
    made->manifest_sha256.data = mem_zero(32);
    made->manifest_sha256.data[0] = 1;
    APPEND(event->finished, artifacts, made);
    world_send(&w, a, PEN__FROM_AGENT__BODY_EVENT, event);
    world_perform(&w);
    assert_int_equal(world_status(&w, id), RUNNING);
    assert_int_equal(state_of(&w, 1), PEN__ATTEMPT_STATE__ATTEMPT_DRAINING);
    arrive(&w, 1, 99);
    assert_int_equal(world_status(&w, id), RUNNING);
    arrive(&w, 1, 1);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    free(id);
    world_end(&w);
}

static void resolve(struct world *w, const char *id, const char *action,
                    Pen__AttemptResolution resolution)
{
    Pen__ActionExecutionRow *row = world_action(w, id, action);
    Pen__ResolveAttempt *request = MAKE(Pen__ResolveAttempt, pen__resolve_attempt__init);
    request->action_execution_id = mem_text(row->id);
    SET(request, resolution, resolution);
    mem_free_message(row);
    world_post(w, PEN__INPUT__WHAT_RESOLVE_ATTEMPT, request);
}

static void test_only_the_unknown_is_resolved(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *a = world_add_agent(&w, "a", 1, NULL, NULL);
    w.holding = w.counted = "D";
    Pen__PipelineDeclaration *declaration = declare("p", NULL, "Source:S=source|Deploy:D=made");
    action_configure(find_declared(declaration, "D"), "Class", "once");
    char *id = world_create(&w, declaration);
    static const Pen__AttemptResolution all[] = {PEN__ATTEMPT_RESOLUTION__RESOLVE_FAILED,
                                                 PEN__ATTEMPT_RESOLUTION__RESOLVE_SUCCEEDED,
                                                 PEN__ATTEMPT_RESOLUTION__RESOLVE_RETRY};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        resolve(&w, id, "D", all[i]);
        assert_non_null(w.reply->error);
        assert_string_equal(w.reply->error, "ConflictException");
        assert_int_equal(state_of(&w, 1), PEN__ATTEMPT_STATE__ATTEMPT_RUNNING);
    }
    a->deaf = true;
    world_tick(&w, 301 * 1000);
    assert_int_equal(state_of(&w, 1), PEN__ATTEMPT_STATE__ATTEMPT_INDETERMINATE);
    resolve(&w, id, "D", PEN__ATTEMPT_RESOLUTION__RESOLVE_SUCCEEDED); /* nobody has its output */
    assert_non_null(w.reply->error);
    assert_string_equal(w.reply->error, "ConflictException");
    assert_int_equal(state_of(&w, 1), PEN__ATTEMPT_STATE__ATTEMPT_INDETERMINATE);
    resolve(&w, id, "D", PEN__ATTEMPT_RESOLUTION__RESOLVE_FAILED);
    assert_null(w.reply->error);
    assert_int_equal(w.begun, 1);
    free(id);
    world_end(&w);
}

/* A once action that was granted and has not begun is asked back, so that nothing is broken off
 * when it has begun after all. */
static void test_abandoned_before_it_began(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *a = world_add_agent(&w, "a", 1, NULL, NULL);
    a->loses_starts = true;
    w.counted = "D";
    char *id = world_create(&w, declare("p", NULL, "Source:S=source|Deploy:D=once"));
    assert_int_equal(state_of(&w, 1), PEN__ATTEMPT_STATE__ATTEMPT_GRANTED);
    a->deaf = true; /* to read what is sent, before it is answered */
    Pen__StopExecution *request = MAKE(Pen__StopExecution, pen__stop_execution__init);
    request->pipeline = mem_text("p");
    request->execution_id = mem_text(id);
    SET(request, abandon, 1);
    Pen__Input *input = input_new(PEN__INPUT__WHAT_STOP_EXECUTION, request);
    world_step(&w, input);
    mem_free_message(input);
    assert_non_null(last_sent(&w, a->id, PEN__TO_AGENT__BODY_REVOKE));
    assert_null(last_sent(&w, a->id, PEN__TO_AGENT__BODY_CANCEL));
    assert_int_equal(state_of(&w, 1), PEN__ATTEMPT_STATE__ATTEMPT_REVOKING);
    a->deaf = false;
    world_perform(&w);
    assert_int_equal(state_of(&w, 1), PEN__ATTEMPT_STATE__ATTEMPT_CANCELED);
    assert_int_equal(w.begun, 0);
    free(id);
    world_end(&w);
}

/* ---- names */

static char *token_of(struct world *w, const char *id)
{
    Pen__ActionExecutionRow *row = world_action(w, id, "Ok");
    char *token = mem_text(row->approval_token);
    mem_free_message(row);
    return token;
}

static void test_token_with_other_names(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    const char *stages = "Source:S=source|Gate:Ok=approve|Next:Ok=approve";
    char *p = world_create(&w, declare("p", NULL, stages));
    char *q = world_create(&w, declare("q", NULL, stages));
    char *token = token_of(&w, p);
    static const char *const wrong[][3] = {
        {"q", "Gate", "Ok"}, /* of another pipeline, whose approval waits, too */
        {"p", "Next", "Ok"}, /* of a later stage */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        world_approve(&w, wrong[i][0], wrong[i][1], wrong[i][2], token, true);
        assert_non_null(w.reply->error);
        assert_string_equal(w.reply->error, "InvalidApprovalTokenException");
        assert_int_equal(phase_of(&w, p, "Ok"), PEN__ACTION_PHASE__ACTION_APPROVAL);
        assert_int_equal(phase_of(&w, q, "Ok"), PEN__ACTION_PHASE__ACTION_APPROVAL);
    }
    world_approve(&w, "p", "Gate", "Ok", token, true);
    assert_null(w.reply->error);
    free(token);
    free(p);
    free(q);
    world_end(&w);
}

static void test_stop_through_another_pipeline(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 2, NULL, NULL);
    w.holding = "B";
    char *p = world_create(&w, declare("p", NULL, "Source:S=source|Build:B=run"));
    char *q = world_create(&w, declare("q", NULL, "Source:S=source|Build:B=run"));
    for (int way = 0; way < 3; way++) {
        Pen__StopExecution *request = MAKE(Pen__StopExecution, pen__stop_execution__init);
        request->pipeline = mem_text("p");
        request->execution_id = mem_text(q);
        SET(request, abandon, way > 0);
        SET(request, kill, way == 2);
        world_post(&w, PEN__INPUT__WHAT_STOP_EXECUTION, request);
        assert_non_null(w.reply->error);
        assert_string_equal(w.reply->error, "PipelineExecutionNotStoppableException");
        assert_int_equal(world_status(&w, q), RUNNING);
        assert_int_equal(world_status(&w, p), RUNNING);
    }
    free(p);
    free(q);
    world_end(&w);
}

/* The target was retried: its rollback has what the last try has made, however the rows come. */
static void test_rollback_to_a_retried_execution(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 2, NULL, NULL);
    Pen__PipelineDeclaration *declaration =
        declare("p", NULL, "Source:S=source|Build:B=run|Deploy:D=run");
    find_declared(declaration, "B")->namespace_ = mem_text("V");
    char *id = world_create(&w, declaration);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    Pen__ActionExecutionRow *last = world_action(&w, id, "B");
    for (int i = 0; i < 2; i++) {
        Pen__Rollback *request = MAKE(Pen__Rollback, pen__rollback__init);
        request->pipeline = mem_text("p");
        request->stage = mem_text("Deploy");
        request->target_execution_id = mem_text(id);
        request->target =
            world_row(&w, PEN__ROW_KIND__ROW_EXECUTION, id, &pen__execution_row__descriptor);
        char *key = mem_format("%s/Deploy", id);
        request->target_stage = world_row(&w, PEN__ROW_KIND__ROW_STAGE_EXECUTION, key,
                                          &pen__stage_execution_row__descriptor);
        free(key);
        Pen__ActionExecutionRow *former = mem_copy(last);
        SET(former, order, last->order - 1);
        mem_set_text(&former->id, "former");
        mem_set_text(&former->output_variables[0]->value, "of the former try");
        APPEND(request, target_actions, i == 0 ? former : mem_copy(last));
        APPEND(request, target_actions, i == 0 ? mem_copy(last) : former);
        world_post(&w, PEN__INPUT__WHAT_ROLLBACK, request);
        assert_null(w.reply->error);
        Pen__ExecutionRow *row = world_row(&w, PEN__ROW_KIND__ROW_EXECUTION, w.reply->execution_id,
                                           &pen__execution_row__descriptor);
        size_t found = 0;
        for (size_t k = 0; k < row->n_inherited; k++) {
            if (!same(row->inherited[k]->namespace_, "V"))
                continue;
            found++;
            assert_string_equal(row->inherited[k]->value, "B");
        }
        assert_int_equal(found, 1);
        mem_free_message(row);
    }
    mem_free_message(last);
    free(id);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_revoked_of_another),
        cmocka_unit_test(test_accept_of_who_was_not_asked),
        cmocka_unit_test(test_decline_of_who_was_not_asked),
        cmocka_unit_test(test_session_number_on_another_link),
        cmocka_unit_test(test_fence_never_granted),
        cmocka_unit_test(test_stored_digest_is_compared),
        cmocka_unit_test(test_only_the_unknown_is_resolved),
        cmocka_unit_test(test_abandoned_before_it_began),
        cmocka_unit_test(test_token_with_other_names),
        cmocka_unit_test(test_stop_through_another_pipeline),
        cmocka_unit_test(test_rollback_to_a_retried_execution),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
