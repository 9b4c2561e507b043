/* Agents: enrolment, loss, both classes, stale fences, doubled and missing events. */
#include "tests/unit/engine/world.h"

#define SUCCEEDED PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED
#define FAILED    PEN__EXECUTION_STATUS__EXECUTION_FAILED
#define RUNNING   PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS

static const Pen__ToAgent *last_sent(struct world *w, Pen__ToAgent__BodyCase what)
{
    for (size_t i = w->effects_count; i > w->effects_done; i--) {
        const Pen__Effect *effect = w->effects[i - 1];
        if (effect->what_case == PEN__EFFECT__WHAT_AGENT_SEND &&
            effect->agent_send->message->body_case == what)
            return effect->agent_send->message;
    }
    return NULL;
}

static Pen__AttemptRow *attempt_row(struct world *w, uint64_t fence)
{
    char *key = mem_format("%020llu", (unsigned long long)fence);
    Pen__AttemptRow *row =
        world_row(w, PEN__ROW_KIND__ROW_ATTEMPT, key, &pen__attempt_row__descriptor);
    free(key);
    return row;
}

static void check_phase(struct world *w, const char *id, const char *action, Pen__ActionPhase phase)
{
    Pen__ActionExecutionRow *row = world_action(w, id, action);
    assert_int_equal(row->phase, phase);
    mem_free_message(row);
}

static void test_repeatable_is_made_again_on_another_agent(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *a = world_add_agent(&w, "a", 1, NULL, NULL);
    w.holding = w.counted = "B";
    char *id = world_create(&w, declare("p", NULL, "Source:S=source|Build:B=run"));
    assert_int_equal(a->jobs_count, 1);
    a->deaf = true;
    world_add_agent(&w, "b", 1, NULL, NULL);
    world_tick(&w, 31 * 1000);
    assert_true(world_explains(&w, "p", "agent_silent"));
    check_phase(&w, id, "B", PEN__ACTION_PHASE__ACTION_ATTEMPT);
    /* b is heard all the time. */
    for (int i = 0; i < 30; i++) {
        Pen__Heartbeat *beat = MAKE(Pen__Heartbeat, pen__heartbeat__init);
        world_send(&w, &w.agents[1], PEN__FROM_AGENT__BODY_HEARTBEAT, beat);
        world_perform(&w);
        world_tick(&w, 10 * 1000);
    }
    Pen__AttemptRow *first = attempt_row(&w, 1);
    assert_int_equal(first->state, PEN__ATTEMPT_STATE__ATTEMPT_LOST);
    mem_free_message(first);
    assert_int_equal(w.agents[1].jobs_count, 1);
    assert_int_equal(w.begun, 2);

    /* The first one comes back: it is told to stop, and its result does not count. */
    a->deaf = false;
    agent_hello(&w, a);
    world_perform(&w);
    assert_int_equal(a->jobs_count, 0);
    assert_int_equal(world_status(&w, id), RUNNING);
    world_finish(&w, "B", 0);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    free(id);
    world_end(&w);
}

static void test_losses_are_bounded(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *a = world_add_agent(&w, "a", 1, NULL, NULL);
    w.holding = w.counted = "B";
    char *id = world_create(&w, declare("p", NULL, "Source:S=source|Build:B=run"));
    for (int i = 0; i < 3; i++) {
        a->deaf = true;
        world_tick(&w, 301 * 1000);
        a->deaf = false;
        agent_hello(&w, a);
        world_perform(&w);
    }
    assert_int_equal(world_status(&w, id), FAILED);
    assert_int_equal(w.begun, 3);
    Pen__ActionExecutionRow *row = world_action(&w, id, "B");
    assert_string_equal(row->error_code, "SystemUnavailable");
    mem_free_message(row);
    free(id);
    world_end(&w);
}

/* The agent vanishes with a once action: nothing is started again without proof or a person. */
static void once_world(struct world *w, char **ret_id)
{
    world_begin(w);
    struct fake_agent *a = world_add_agent(w, "a", 1, NULL, NULL);
    w->holding = w->counted = "D";
    *ret_id = world_create(w, declare("p", NULL, "Source:S=source|Deploy:D=once"));
    a->deaf = true;
    world_add_agent(w, "b", 1, NULL, NULL);
    world_tick(w, 301 * 1000);
    check_phase(w, *ret_id, "D", PEN__ACTION_PHASE__ACTION_INDETERMINATE);
    agent_hello(w, &w->agents[1]);
    world_perform(w);
    assert_int_equal(w->begun, 1);
    assert_true(world_explains(w, "p", "indeterminate"));
    Pen__ActionExecutionRow *row = world_action(w, *ret_id, "D");
    assert_int_equal(row->status, PEN__ACTION_STATUS__ACTION_IN_PROGRESS);
    assert_string_equal(row->error_code, "Indeterminate");
    mem_free_message(row);
}

static void test_once_waits_for_the_agent(void **state)
{
    (void)state;
    struct world w;
    char *id;
    once_world(&w, &id);
    world_restart(&w);
    world_perform(&w);
    w.agents[0].deaf = false;
    agent_hello(&w, &w.agents[0]);
    world_perform(&w);
    check_phase(&w, id, "D", PEN__ACTION_PHASE__ACTION_ATTEMPT);
    world_finish(&w, "D", 0);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    assert_int_equal(w.begun, 1);
    free(id);
    world_end(&w);
}

static void resolve(struct world *w, const char *id, Pen__AttemptResolution resolution)
{
    Pen__ActionExecutionRow *row = world_action(w, id, "D");
    Pen__ResolveAttempt *request = MAKE(Pen__ResolveAttempt, pen__resolve_attempt__init);
    request->action_execution_id = mem_text(row->id);
    SET(request, resolution, resolution);
    request->reason = mem_text("looked at the host");
    mem_free_message(row);
    world_post(w, PEN__INPUT__WHAT_RESOLVE_ATTEMPT, request);
}

static void test_once_is_decided_by_a_person(void **state)
{
    (void)state;
    static const Pen__AttemptResolution resolutions[] = {PEN__ATTEMPT_RESOLUTION__RESOLVE_SUCCEEDED,
                                                         PEN__ATTEMPT_RESOLUTION__RESOLVE_FAILED,
                                                         PEN__ATTEMPT_RESOLUTION__RESOLVE_RETRY};
    for (size_t i = 0; i < 3; i++) {
        struct world w;
        char *id;
        once_world(&w, &id);
        resolve(&w, id, resolutions[i]);
        assert_null(w.reply->error);
        Pen__AttemptRow *row = attempt_row(&w, 1);
        assert_string_equal(row->resolved_by, "arn:aws:iam::000000000000:user/ada");
        mem_free_message(row);
        if (i == 2) {
            assert_int_equal(w.begun, 2);
            agent_end_job(&w, &w.agents[1], w.agents[1].jobs[0].fence, PEN__FINISH_KIND__EXITED, 0);
            world_perform(&w);
        }
        assert_int_equal(world_status(&w, id), i == 1 ? FAILED : SUCCEEDED);
        resolve(&w, id, PEN__ATTEMPT_RESOLUTION__RESOLVE_FAILED);
        assert_non_null(w.reply->error);
        w.agents[0].deaf = false;
        agent_hello(&w, &w.agents[0]);
        world_perform(&w);
        assert_int_equal(w.agents[0].jobs_count, 0); /* told to stop and to forget */
        free(id);
        world_end(&w);
    }
}

static void test_start_that_got_lost(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        struct world w;
        world_begin(&w);
        struct fake_agent *a = world_add_agent(&w, "a", 1, NULL, NULL);
        w.counted = "D";
        w.sources_hold = true;
        char *id = world_create(&w, declare("p", NULL, "Source:S=source|Deploy:D=once"));
        /* The agent accepts, the grant commits, and the start is lost. */
        w.sources_hold = false;
        world_restart(&w);
        w.restart_at_step = 0;
        while (last_sent(&w, PEN__TO_AGENT__BODY_START) == NULL) {
            assert_true(w.effects_done < w.effects_count);
            Pen__Effect *effect = w.effects[w.effects_done++];
            world_perform_one(&w, effect);
            mem_free_message(effect);
        }
        a->up = false;
        world_restart(&w);
        world_perform(&w);
        a->up = true;
        world_tick(&w, late ? 61 * 1000 : 1000);
        agent_hello(&w, a);
        world_perform(&w);
        assert_int_equal(world_status(&w, id), SUCCEEDED);
        assert_int_equal(w.begun, 1);
        Pen__AttemptRow *row = attempt_row(&w, 1);
        assert_int_equal(row->state, late ? PEN__ATTEMPT_STATE__ATTEMPT_CANCELED
                                          : PEN__ATTEMPT_STATE__ATTEMPT_SUCCEEDED);
        mem_free_message(row);
        free(id);
        world_end(&w);
    }
}

static void test_doubled_and_missing_events(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 1, NULL, NULL);
    world_add_agent(&w, "b", 1, NULL, NULL);
    w.holding = "B";
    char *id = world_create(&w, declare("p", NULL, "Source:S=source|Build:B=run"));
    struct fake_agent *a = world_agent_of(&w, "B");
    struct fake_agent *b = a == &w.agents[0] ? &w.agents[1] : &w.agents[0];
    size_t facts = w.facts_count;
    agent_send_event(&w, a, &a->jobs[0], 1); /* again */
    const Pen__ToAgent *sent = last_sent(&w, PEN__TO_AGENT__BODY_EVENT_ACK);
    assert_non_null(sent);
    assert_int_equal(sent->event_ack->seq, 1);
    Pen__Event *event = mem_copy(a->jobs[0].events[0]);
    SET(event, seq, 5); /* 2 to 4 are missing */
    world_send(&w, a, PEN__FROM_AGENT__BODY_EVENT, event);
    sent = last_sent(&w, PEN__TO_AGENT__BODY_RESEND);
    assert_non_null(sent);
    assert_int_equal(sent->resend->from_seq, 2);
    event = mem_copy(a->jobs[0].events[0]);
    SET(event, seq, 2);
    world_send(&w, b, PEN__FROM_AGENT__BODY_EVENT, event); /* not its own */
    sent = last_sent(&w, PEN__TO_AGENT__BODY_REFUSED);
    assert_non_null(sent);
    assert_int_equal(sent->refused->code, PEN__REFUSED_CODE__FENCED);
    assert_int_equal(w.facts_count, facts);
    world_perform(&w);
    world_finish(&w, "B", 0);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    facts = w.facts_count;

    /* After the end: the event of a settled attempt is refused, and it may be forgotten. */
    event = MAKE(Pen__Event, pen__event__init);
    SET(event, fence, 1);
    SET(event, seq, 3);
    event->what_case = PEN__EVENT__WHAT_FINISHED;
    event->finished = MAKE(Pen__Finished, pen__finished__init);
    world_send(&w, a, PEN__FROM_AGENT__BODY_EVENT, event);
    assert_int_equal(last_sent(&w, PEN__TO_AGENT__BODY_REFUSED)->refused->code,
                     PEN__REFUSED_CODE__FENCED);
    assert_non_null(last_sent(&w, PEN__TO_AGENT__BODY_RELEASE));
    assert_int_equal(w.facts_count, facts);
    world_perform(&w);
    free(id);
    world_end(&w);
}

static void test_enrolment_spends_the_token(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *a = world_add_agent(&w, "host", 1, "pool", "big");
    struct fake_agent *b = world_add_agent(&w, "host", 1, NULL, NULL);
    Pen__AgentRow *row =
        world_row(&w, PEN__ROW_KIND__ROW_AGENT, b->id, &pen__agent_row__descriptor);
    assert_string_equal(row->name, "host-2");
    mem_free_message(row);
    row = world_row(&w, PEN__ROW_KIND__ROW_AGENT, a->id, &pen__agent_row__descriptor);
    assert_string_equal(row->labels[0]->value, "big");
    char *token = mem_text(row->token_id);
    mem_free_message(row);

    Pen__AgentMessage *m = MAKE(Pen__AgentMessage, pen__agent_message__init);
    m->agent_id = token;
    SET(m, from_token, 1);
    m->message = MAKE(Pen__FromAgent, pen__from_agent__init);
    m->message->body_case = PEN__FROM_AGENT__BODY_ENROLL;
    m->message->enroll = MAKE(Pen__Enroll, pen__enroll__init);
    world_post(&w, PEN__INPUT__WHAT_AGENT_MESSAGE, m);
    world_post(&w, PEN__INPUT__WHAT_LIST_AGENTS, MAKE(Pen__ListAgents, pen__list_agents__init));
    assert_int_equal(w.reply->n_agents, 2);
    assert_true(w.reply->agents[0]->connected);
    world_end(&w);
}

static void change(struct world *w, const char *agent, Pen__AgentChange what)
{
    Pen__ChangeAgent *request = MAKE(Pen__ChangeAgent, pen__change_agent__init);
    request->agent_id = mem_text(agent);
    SET(request, change, what);
    request->reason = mem_text("old");
    world_post(w, PEN__INPUT__WHAT_CHANGE_AGENT, request);
    assert_null(w->reply->error);
}

static void test_drain_and_revoke(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *a = world_add_agent(&w, "a", 2, NULL, NULL);
    change(&w, "a", PEN__AGENT_CHANGE__AGENT_DRAIN);
    w.holding = "B";
    char *id = world_create(&w, declare("p", NULL, "Source:S=source|Build:B=run"));
    assert_int_equal(a->jobs_count, 0);
    assert_true(world_explains(&w, "p", "agents_draining"));
    Pen__ActionExecutionRow *row = world_action(&w, id, "B");
    assert_non_null(strstr(row->summary, "draining"));
    mem_free_message(row);
    change(&w, "a", PEN__AGENT_CHANGE__AGENT_UNDRAIN);
    assert_int_equal(a->jobs_count, 1);
    change(&w, "a", PEN__AGENT_CHANGE__AGENT_REVOKE);
    check_phase(&w, id, "B", PEN__ACTION_PHASE__ACTION_QUEUED);
    agent_hello(&w, a);
    assert_int_equal(last_sent(&w, PEN__TO_AGENT__BODY_REFUSED)->refused->code,
                     PEN__REFUSED_CODE__DENIED);
    world_perform(&w);
    assert_true(world_explains(&w, "p", "no_agent_enrolled"));
    world_restart(&w);
    world_perform(&w);
    w.agents[0].up = false;
    w.holding = NULL;
    world_add_agent(&w, "c", 1, NULL, NULL);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    free(id);
    world_end(&w);
}

static void test_labels(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "small", 4, "pool", "small");
    Pen__PipelineDeclaration *declaration = declare("p", NULL, "Source:S=source|Build:B=run");
    action_configure(find_declared(declaration, "B"), "RunsOn", "pool=big");
    char *id = world_create(&w, declaration);
    assert_true(world_explains(&w, "p", "labels_unmatched"));
    assert_true(w.reply->reasons[0]->never);
    assert_non_null(strstr(w.reply->reasons[0]->sentence, "nearest is 'small'"));
    assert_non_null(strstr(w.reply->reasons[0]->sentence, "it has pool=small"));
    world_add_agent(&w, "big", 4, "pool", "big");
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    free(id);
    world_end(&w);
}

static void test_slots_are_filled_in_order(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *a = world_add_agent(&w, "a", 2, NULL, NULL);
    w.holding = "B";
    char *e1 = world_create(&w, declare("p", "PARALLEL", "Source:S=source|Build:B=run"));
    char *e2 = world_start(&w, "p");
    char *e3 = world_start(&w, "p");
    char *e4 = world_start(&w, "p");
    assert_int_equal(a->jobs_count, 2);
    assert_true(world_explains(&w, "p", "slots_full"));
    world_finish(&w, "B", 0);
    check_phase(&w, e3, "B", PEN__ACTION_PHASE__ACTION_ATTEMPT);
    check_phase(&w, e4, "B", PEN__ACTION_PHASE__ACTION_QUEUED);
    free(e1);
    free(e2);
    free(e3);
    free(e4);
    world_end(&w);
}

/* Its time is over, too, when the controller was stopped and takes the answer before its timers. */
static void test_unanswered_offer_is_withdrawn(void **state)
{
    (void)state;
    for (int stopped = 0; stopped < 2; stopped++) {
        struct world w;
        world_begin(&w);
        struct fake_agent *a = world_add_agent(&w, "a", 1, NULL, NULL);
        a->deaf = true;
        char *id = world_create(&w, declare("p", NULL, "Source:S=source|Build:B=run"));
        assert_true(world_explains(&w, "p", "being_offered"));
        if (stopped)
            w.now_ms += 11 * 1000;
        else
            world_tick(&w, 11 * 1000);
        a->deaf = false;
        Pen__Accept *accept = MAKE(Pen__Accept, pen__accept__init);
        SET(accept, fence, 1);
        world_send(&w, a, PEN__FROM_AGENT__BODY_ACCEPT, accept); /* too late */
        assert_int_equal(last_sent(&w, PEN__TO_AGENT__BODY_REFUSED)->refused->code,
                         PEN__REFUSED_CODE__FENCED);
        world_perform(&w);
        world_tick(&w, 11 * 1000);
        world_tick(&w, 11 * 1000);
        assert_int_equal(world_status(&w, id), SUCCEEDED);
        free(id);
        world_end(&w);
    }
}

static void test_accepts_that_overtake_each_other(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 1, NULL, NULL);
    world_add_agent(&w, "b", 1, NULL, NULL);
    w.agents[0].deaf = w.agents[1].deaf = true;
    char *id = world_create(&w, declare("p", NULL, "Source:S=source|Build:A=run,B=run"));
    w.agents[0].deaf = w.agents[1].deaf = false;
    w.holding = "A";
    struct fake_agent *first = NULL; /* who was offered fence 1 */
    for (int i = 0; i < 2; i++) {
        Pen__Accept *accept = MAKE(Pen__Accept, pen__accept__init);
        SET(accept, fence, 2);
        world_send(&w, &w.agents[i], PEN__FROM_AGENT__BODY_ACCEPT, accept);
        if (last_sent(&w, PEN__TO_AGENT__BODY_START) != NULL && first == NULL)
            first = &w.agents[1 - i];
    }
    assert_non_null(first);
    Pen__Accept *accept = MAKE(Pen__Accept, pen__accept__init);
    SET(accept, fence, 1);
    world_send(&w, first, PEN__FROM_AGENT__BODY_ACCEPT, accept);
    const Pen__ToAgent *sent = last_sent(&w, PEN__TO_AGENT__BODY_START);
    assert_int_equal(sent->start->fence, 3); /* above 2 */
    assert_int_equal(sent->start->offer, 1);
    assert_int_equal(sent->start->capsule->fence, 3);
    sent = last_sent(&w, PEN__TO_AGENT__BODY_REVOKE);
    assert_non_null(sent); /* the slot that it keeps for 1 */
    assert_int_equal(sent->revoke->fence, 1);
    world_perform(&w);
    world_finish(&w, "A", 0);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    assert_int_equal(first->jobs_count, 0);
    free(id);
    world_end(&w);
}

/* A second copy of an Accept is no reason to end what the first one was granted. */
static void test_doubled_accept(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    world_add_agent(&w, "a", 1, NULL, NULL);
    w.holding = "D";
    char *id = world_create(&w, declare("p", NULL, "Source:S=source|Deploy:D=once"));
    Pen__AttemptRow *row = attempt_row(&w, 1);
    assert_int_equal(row->state, PEN__ATTEMPT_STATE__ATTEMPT_RUNNING);
    mem_free_message(row);
    Pen__Accept *accept = MAKE(Pen__Accept, pen__accept__init);
    SET(accept, fence, 1);
    world_send(&w, &w.agents[0], PEN__FROM_AGENT__BODY_ACCEPT, accept);
    assert_null(last_sent(&w, PEN__TO_AGENT__BODY_REFUSED));
    world_perform(&w);
    world_finish(&w, "D", 0);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    free(id);
    world_end(&w);
}

/* A host that lost power after it had sent a result reports an interruption: the result stands. */
static void test_interruption_after_the_result(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *a = world_add_agent(&w, "a", 1, NULL, NULL);
    w.holding = "D";
    char *id = world_create(&w, declare("p", NULL, "Source:S=source|Deploy:D=made"));
    for (uint64_t seq = 2; seq <= 3; seq++) {
        Pen__Event *event = MAKE(Pen__Event, pen__event__init);
        SET(event, fence, 1);
        SET(event, seq, seq);
        event->what_case = PEN__EVENT__WHAT_FINISHED;
        event->finished = MAKE(Pen__Finished, pen__finished__init);
        SET(event->finished, kind,
            seq == 2 ? PEN__FINISH_KIND__EXITED : PEN__FINISH_KIND__INTERRUPTED);
        SET(event->finished, exit_code, 0);
        SET(event->finished, log_size, 100);
        world_send(&w, a, PEN__FROM_AGENT__BODY_EVENT, event);
        const Pen__ToAgent *sent = last_sent(&w, PEN__TO_AGENT__BODY_EVENT_ACK);
        assert_non_null(sent);
        assert_int_equal(sent->event_ack->seq, seq);
        assert_null(last_sent(&w, PEN__TO_AGENT__BODY_REFUSED));
    }
    Pen__AttemptRow *row = attempt_row(&w, 1);
    assert_int_equal(row->finished->kind, PEN__FINISH_KIND__EXITED);
    mem_free_message(row);
    free(id);
    world_end(&w);
}

/* The drain is answered: from then on nothing is granted, whatever was on offer. */
static void test_drain_takes_offers_back(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *a = world_add_agent(&w, "a", 1, NULL, NULL);
    a->deaf = true; /* the offer is on its way */
    char *id = world_create(&w, declare("p", NULL, "Source:S=source|Build:B=run"));
    change(&w, "a", PEN__AGENT_CHANGE__AGENT_DRAIN);
    a->deaf = false;
    Pen__Accept *accept = MAKE(Pen__Accept, pen__accept__init);
    SET(accept, fence, 1);
    world_send(&w, a, PEN__FROM_AGENT__BODY_ACCEPT, accept);
    assert_int_equal(last_sent(&w, PEN__TO_AGENT__BODY_REFUSED)->refused->code,
                     PEN__REFUSED_CODE__FENCED);
    world_perform(&w);
    check_phase(&w, id, "B", PEN__ACTION_PHASE__ACTION_QUEUED);
    assert_int_equal(a->jobs_count, 0);
    free(id);
    world_end(&w);
}

/* An agent that reconnects is told that it is drained; one that declines, that it is not. */
static void test_drain_is_told_again(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *a = world_add_agent(&w, "a", 1, NULL, NULL);
    for (int i = 0; i < 2; i++) {
        Pen__ChangeAgent *request = MAKE(Pen__ChangeAgent, pen__change_agent__init);
        request->agent_id = mem_text(a->id);
        SET(request, change,
            i == 0 ? PEN__AGENT_CHANGE__AGENT_DRAIN : PEN__AGENT_CHANGE__AGENT_UNDRAIN);
        world_post(&w, PEN__INPUT__WHAT_CHANGE_AGENT, request);
        agent_hello(&w, a);
        const Pen__ToAgent *sent = last_sent(&w, PEN__TO_AGENT__BODY_DRAIN);
        assert_int_equal(sent != NULL, i == 0);
        world_perform(&w);
    }
    a->deaf = true;
    char *id = world_create(&w, declare("p", NULL, "Source:S=source|Build:A=run"));
    a->deaf = false;
    Pen__Decline *decline = MAKE(Pen__Decline, pen__decline__init);
    SET(decline, fence, 1);
    world_send(&w, a, PEN__FROM_AGENT__BODY_DECLINE, decline);
    const Pen__ToAgent *sent = last_sent(&w, PEN__TO_AGENT__BODY_DRAIN);
    assert_non_null(sent);
    assert_false(sent->drain->on);
    world_perform(&w);
    free(id);
    world_end(&w);
}

/* A Hello that arrives after that of a newer connection is no sign of a copy. */
static void test_hello_of_an_older_link(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *a = world_add_agent(&w, "a", 1, NULL, NULL);
    a->link += 10;
    a->spool_seq += 10;
    agent_hello(&w, a);
    world_perform(&w);
    uint64_t session_no = a->session_no;
    a->link -= 5;
    a->spool_seq -= 5;
    agent_hello(&w, a);
    const Pen__ToAgent *sent = last_sent(&w, PEN__TO_AGENT__BODY_REFUSED);
    assert_non_null(sent);
    assert_int_equal(sent->refused->code, PEN__REFUSED_CODE__SUPERSEDED);
    world_perform(&w);
    a->link += 4; /* the newer connection serves on: a hello has counted one up */
    a->spool_seq += 5;
    a->session_no = session_no;
    char *id = world_create(&w, declare("p", NULL, "Source:S=source|Build:A=run"));
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    free(id);
    world_end(&w);
}

/* What the agent says in the session that it knows is heard, however often its Hello has come. */
static void test_repeated_hello_opens_no_other_session(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *a = world_add_agent(&w, "a", 1, NULL, NULL);
    w.holding = "A";
    char *id = world_create(&w, declare("p", NULL, "Source:S=source|Build:A=run"));
    uint64_t session_no = a->session_no;
    a->link--; /* a hello counts one up */
    agent_hello(&w, a);
    assert_int_equal(last_sent(&w, PEN__TO_AGENT__BODY_WELCOME)->welcome->session_no, session_no);
    world_perform(&w);
    world_finish(&w, "A", 0);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    a->link--;
    mem_set_text(&a->run_id, "another process");
    agent_hello(&w, a);
    assert_true(last_sent(&w, PEN__TO_AGENT__BODY_WELCOME)->welcome->session_no > session_no);
    free(id);
    world_end(&w);
}

static void test_copied_spool_is_quarantined(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *a = world_add_agent(&w, "a", 1, NULL, NULL);
    w.holding = "D";
    char *id = world_create(&w, declare("p", NULL, "Source:S=source|Deploy:D=once"));
    a->max_fence = 0; /* as if restored from a snapshot */
    agent_hello(&w, a);
    assert_int_equal(last_sent(&w, PEN__TO_AGENT__BODY_REFUSED)->refused->code,
                     PEN__REFUSED_CODE__QUARANTINED);
    world_perform(&w);
    check_phase(&w, id, "D", PEN__ACTION_PHASE__ACTION_INDETERMINATE);
    free(id);
    world_end(&w);
}

static void test_wiped_spool(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *a = world_add_agent(&w, "a", 2, NULL, NULL);
    w.holding = "X";
    char *id = world_create(&w, declare("p", NULL, "Source:S=source|Both:X=run"));
    agent_forget(a, 1);
    mem_set_text(&a->spool_id, "another");
    a->max_fence = a->spool_seq = 0;
    agent_hello(&w, a);
    world_perform(&w);
    assert_int_equal(a->jobs_count, 1); /* granted anew */
    world_finish(&w, "X", 0);
    assert_int_equal(world_status(&w, id), SUCCEEDED);
    free(id);
    world_end(&w);
}

static void test_two_processes_with_one_key(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct fake_agent *a = world_add_agent(&w, "a", 1, NULL, NULL);
    bool quarantined = false;
    for (int i = 0; i < 8 && !quarantined; i++) {
        mem_set_text(&a->run_id, i % 2 == 0 ? "one" : "two");
        agent_hello(&w, a);
        const Pen__ToAgent *refused = last_sent(&w, PEN__TO_AGENT__BODY_REFUSED);
        quarantined = refused != NULL && refused->refused->code == PEN__REFUSED_CODE__QUARANTINED;
        world_perform(&w);
    }
    assert_true(quarantined);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repeatable_is_made_again_on_another_agent),
        cmocka_unit_test(test_losses_are_bounded),
        cmocka_unit_test(test_once_waits_for_the_agent),
        cmocka_unit_test(test_once_is_decided_by_a_person),
        cmocka_unit_test(test_start_that_got_lost),
        cmocka_unit_test(test_doubled_and_missing_events),
        cmocka_unit_test(test_enrolment_spends_the_token),
        cmocka_unit_test(test_drain_and_revoke),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_slots_are_filled_in_order),
        cmocka_unit_test(test_unanswered_offer_is_withdrawn),
        cmocka_unit_test(test_accepts_that_overtake_each_other),
        cmocka_unit_test(test_doubled_accept),
        cmocka_unit_test(test_interruption_after_the_result),
        cmocka_unit_test(test_drain_takes_offers_back),
        cmocka_unit_test(test_drain_is_told_again),
        cmocka_unit_test(test_hello_of_an_older_link),
        cmocka_unit_test(test_repeated_hello_opens_no_other_session),
        cmocka_unit_test(test_copied_spool_is_quarantined),
        cmocka_unit_test(test_wiped_spool),
        cmocka_unit_test(test_two_processes_with_one_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
