/* tests/sim/story.c - one telling of a story: what the person does, and how it has to end */
#include "tests/sim/story.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"

enum {
    POLL_MS = 200,
    PATIENCE_MS = 1000,       /* an answer that does not come is asked for again */
    TOO_LONG_MS = 30 * 60000, /* of virtual time: it does not end */
    LINGER_MS = 15000,        /* after the end: what is still under way arrives */
};

int64_t story_down_ms(const struct sim *sim, int64_t otherwise_ms)
{
    return sim->story == NULL ? otherwise_ms : STORY_DOWN_MS;
}

int32_t story_exit_code(const struct sim *sim, const Pen__Capsule *capsule, int32_t otherwise)
{
    if (sim->story == NULL)
        return otherwise;
    return pen_str_equal(capsule->action, "F") && !sim->story->retried ? 1 : 0;
}

/* ---- what the rows say */

struct look {
    uint64_t order[STORY_EXECUTIONS_MAX + 1];
    char *id[STORY_EXECUTIONS_MAX + 1];
    int status[STORY_EXECUTIONS_MAX + 1];
    bool waits[STORY_EXECUTIONS_MAX + 1];
    uint32_t stage[STORY_EXECUTIONS_MAX + 1];
    int count;
    const char *action;
    bool runs;
    char *approval_token, *approval_stage, *approval_action, *approval_execution;
    size_t live, not_begun; /* attempts */
};

static void look_release(struct look *look)
{
    for (int i = 0; i < look->count; i++)
        free(look->id[i]);
    free(look->approval_token);
    free(look->approval_stage);
    free(look->approval_action);
    free(look->approval_execution);
}

/* In the order of their starts. */
static void look_execution(struct sim *sim, void *message, void *context)
{
    const Pen__ExecutionRow *row = message;
    struct look *look = context;
    if (look->count > STORY_EXECUTIONS_MAX)
        sim_fail(sim, "NO LOSS: there are more executions than anybody has started");
    int place = look->count++;
    for (; place > 0 && look->order[place - 1] > row->order; place--) {
        look->order[place] = look->order[place - 1];
        look->id[place] = look->id[place - 1];
        look->status[place] = look->status[place - 1];
        look->waits[place] = look->waits[place - 1];
        look->stage[place] = look->stage[place - 1];
    }
    look->order[place] = row->order;
    look->id[place] = mem_text(row->id);
    look->status[place] = (int)row->status;
    look->waits[place] = row->waiting;
    look->stage[place] = row->stage_index;
}

static void look_action(struct sim *sim, void *message, void *context)
{
    const Pen__ActionExecutionRow *row = message;
    struct look *look = context;
    if (row->phase == PEN__ACTION_PHASE__ACTION_APPROVAL && look->approval_token == NULL) {
        look->approval_token = mem_text(row->approval_token);
        look->approval_stage = mem_text(row->stage);
        look->approval_action = mem_text(row->action);
        look->approval_execution = mem_text(row->execution_id);
    }
    if (row->phase == PEN__ACTION_PHASE__ACTION_INDETERMINATE)
        sim_fail(sim, "LIVENESS: action %s is unproven, though every host came back", row->action);
    if (look->action == NULL || !pen_str_equal(row->action, look->action) ||
        row->phase != PEN__ACTION_PHASE__ACTION_ATTEMPT)
        return;
    for (int i = 0; i < STORY_HOSTS; i++) {
        const struct run *run = shim_run(sim, &sim->hosts[i], row->fence);
        look->runs |= run != NULL && run->state == RUN_BEGAN;
    }
}

static void look_attempt(struct sim *sim, void *message, void *context)
{
    const Pen__AttemptRow *row = message;
    struct look *look = context;
    bool ended = row->state == PEN__ATTEMPT_STATE__ATTEMPT_SUCCEEDED ||
                 row->state == PEN__ATTEMPT_STATE__ATTEMPT_FAILED ||
                 row->state == PEN__ATTEMPT_STATE__ATTEMPT_CANCELED ||
                 row->state == PEN__ATTEMPT_STATE__ATTEMPT_LOST;
    look->live += ended ? 0 : 1;
    bool began = false;
    for (int i = 0; i < STORY_HOSTS; i++) {
        const struct run *run = shim_run(sim, &sim->hosts[i], row->fence);
        began |= run != NULL && run->began;
    }
    look->not_begun += ended || began ? 0 : 1;
}

/* Who dies may have accepted it just now, and is granted it for nothing. */
static void look_queued(struct sim *sim, void *message, void *context)
{
    (void)sim;
    const Pen__ActionExecutionRow *row = message;
    struct look *look = context;
    look->not_begun += row->phase == PEN__ACTION_PHASE__ACTION_QUEUED ? 1 : 0;
    look->live += row->phase == PEN__ACTION_PHASE__ACTION_QUEUED ? 1 : 0;
}

uint64_t story_cost(struct sim *sim, enum outcome outcome)
{
    struct look look = {0};
    core_each(sim, PEN__ROW_KIND__ROW_ACTION_EXECUTION, &pen__action_execution_row__descriptor,
              look_queued, &look);
    core_each(sim, PEN__ROW_KIND__ROW_ATTEMPT, &pen__attempt_row__descriptor, look_attempt, &look);
    if (outcome == OUTCOME_SAME)
        return look.not_begun;
    if (outcome == OUTCOME_GRANTED)
        return look.not_begun + 1;
    return look.live > 0 ? look.live : 1;
}

static void look_around(struct sim *sim, const char *action, struct look *ret_look)
{
    *ret_look = (struct look){.action = action};
    core_each(sim, PEN__ROW_KIND__ROW_EXECUTION, &pen__execution_row__descriptor, look_execution,
              ret_look);
    core_each(sim, PEN__ROW_KIND__ROW_ACTION_EXECUTION, &pen__action_execution_row__descriptor,
              look_action, ret_look);
    core_each(sim, PEN__ROW_KIND__ROW_ATTEMPT, &pen__attempt_row__descriptor, look_attempt,
              ret_look);
}

/* ---- asking */

static void ask(struct sim *sim, Pen__Input__WhatCase what, void *body)
{
    struct story *story = sim->story;
    Pen__Input *input = core_input(what, body);
    input->principal = mem_text("arn:aws:iam::000000000000:user/ada");
    SET(input, correlation, ++sim->correlation);
    sim->requests[sim->correlation % SIM_REQUESTS] =
        (struct request){.correlation = sim->correlation, .what = what};
    sim->counts[COUNT_REQUESTS]++;
    story->asked = sim->correlation;
    story->asked_ms = sim->now_ms;
    story->asks++;
    core_post(sim, input);
}

void story_reply(struct sim *sim, const struct request *request, const Pen__Reply *reply)
{
    struct story *story = sim->story;
    if (story == NULL || story->asked == 0 || request->correlation != story->asked)
        return;
    if (reply->error != NULL)
        sim_trace(sim, "the person is told: %s: %s", reply->error, reply->message);
    story->asked = 0;
    /* Asked again, it may have been done meanwhile: how the story ends tells. */
    story->answered = reply->error == NULL || story->asks > 1;
    if (!story->answered)
        sim_fail(sim, "the person is refused: %s: %s", reply->error, reply->message);
}

static void ask_create(struct sim *sim)
{
    Pen__CreatePipeline *request = MAKE(Pen__CreatePipeline, pen__create_pipeline__init);
    request->declaration =
        pipeline_parse(sim->pipelines[0].name, sim->story->plan->mode, sim->story->plan->stages);
    ask(sim, PEN__INPUT__WHAT_CREATE_PIPELINE, request);
}

static void ask_start(struct sim *sim)
{
    Pen__StartExecution *request = MAKE(Pen__StartExecution, pen__start_execution__init);
    request->pipeline = mem_text(sim->pipelines[0].name);
    request->client_request_token = mem_format("token-%d", sim->story->step);
    request->has_body_sha256 = 1;
    request->body_sha256.len = 32;
    request->body_sha256.data = mem_zero(32);
    ask(sim, PEN__INPUT__WHAT_START_EXECUTION, request);
}

static void ask_stop(struct sim *sim, const char *id, enum deed deed)
{
    Pen__StopExecution *request = MAKE(Pen__StopExecution, pen__stop_execution__init);
    request->pipeline = mem_text(sim->pipelines[0].name);
    request->execution_id = mem_text(id);
    SET(request, abandon, deed == DEED_ABANDON);
    SET(request, kill, deed == DEED_KILL);
    ask(sim, PEN__INPUT__WHAT_STOP_EXECUTION, request);
}

static void ask_approve(struct sim *sim, const struct look *look)
{
    Pen__PutApproval *request = MAKE(Pen__PutApproval, pen__put_approval__init);
    request->pipeline = mem_text(sim->pipelines[0].name);
    request->stage = mem_text(look->approval_stage);
    request->action = mem_text(look->approval_action);
    request->token = mem_text(look->approval_token);
    SET(request, approved, true);
    request->summary = mem_text("looked at it");
    struct seen_view view;
    auditor_view(sim, look->approval_execution, &view);
    auditor_asked(sim, request->token, true, &view);
    ask(sim, PEN__INPUT__WHAT_PUT_APPROVAL, request);
}

static void ask_retry(struct sim *sim, const char *id, const char *stage)
{
    Pen__RetryStage *request = MAKE(Pen__RetryStage, pen__retry_stage__init);
    request->pipeline = mem_text(sim->pipelines[0].name);
    request->stage = mem_text(stage);
    request->execution_id = mem_text(id);
    sim->story->retried = true;
    ask(sim, PEN__INPUT__WHAT_RETRY_STAGE, request);
}

/* What the services read from the store for a rollback. */
static void find_target(struct sim *sim, void *message, void *context)
{
    (void)sim;
    const Pen__ExecutionRow *row = message;
    Pen__Rollback *request = context;
    if (pen_str_equal(row->id, request->target_execution_id))
        request->target = mem_copy(row);
}

static void find_target_stage(struct sim *sim, void *message, void *context)
{
    (void)sim;
    const Pen__StageExecutionRow *row = message;
    Pen__Rollback *request = context;
    if (pen_str_equal(row->execution_id, request->target_execution_id) &&
        pen_str_equal(row->stage, request->stage))
        request->target_stage = mem_copy(row);
}

static void ask_rollback(struct sim *sim, const char *target_id, const char *stage)
{
    Pen__Rollback *request = MAKE(Pen__Rollback, pen__rollback__init);
    request->pipeline = mem_text(sim->pipelines[0].name);
    request->stage = mem_text(stage);
    request->target_execution_id = mem_text(target_id);
    core_each(sim, PEN__ROW_KIND__ROW_EXECUTION, &pen__execution_row__descriptor, find_target,
              request);
    core_each(sim, PEN__ROW_KIND__ROW_STAGE_EXECUTION, &pen__stage_execution_row__descriptor,
              find_target_stage, request);
    ask(sim, PEN__INPUT__WHAT_ROLLBACK, request);
}

static void ask_transition(struct sim *sim, const char *stage, bool disable)
{
    Pen__ChangeTransition *request = MAKE(Pen__ChangeTransition, pen__change_transition__init);
    request->pipeline = mem_text(sim->pipelines[0].name);
    request->stage = mem_text(stage);
    SET(request, disable, disable);
    request->reason = mem_text("freeze");
    ask(sim, PEN__INPUT__WHAT_CHANGE_TRANSITION, request);
}

static void fire_join(struct sim *sim, struct sim_event *event)
{
    sim->hosts[event->host].cut_in = sim->hosts[event->host].cut_out = false;
}

static void part(struct sim *sim)
{
    for (struct pen_map_node *node = pen_map_first(&sim->runs); node != NULL;
         node = pen_map_next(node)) {
        const struct run *run = pen_map_value(node);
        if (run->state != RUN_BEGAN)
            continue;
        sim->hosts[run->host].cut_in = sim->hosts[run->host].cut_out = true;
        sim_at(sim, STORY_PART_MS, fire_join)->host = run->host;
    }
}

static void act(struct sim *sim, const struct story_step *step, const struct look *look)
{
    const char *id = look->count > step->execution ? look->id[step->execution] : "";
    switch (step->deed) {
    case DEED_START:
        ask_start(sim);
        return;
    case DEED_APPROVE:
        if (look->approval_token != NULL)
            ask_approve(sim, look);
        else
            sim->story->answered = true; /* the answer was lost, the decision was not */
        return;
    case DEED_STOP:
    case DEED_ABANDON:
    case DEED_KILL:
        ask_stop(sim, id, step->deed);
        return;
    case DEED_RETRY:
        ask_retry(sim, id, step->where);
        return;
    case DEED_ROLL_BACK:
        if (look->count > 2)
            sim->story->answered = true; /* likewise: it is under way */
        else
            ask_rollback(sim, look->id[0], step->where);
        return;
    case DEED_FREEZE:
    case DEED_THAW:
        ask_transition(sim, step->where, step->deed == DEED_FREEZE);
        return;
    case DEED_PUSH:
        source_push(sim, 0);
        sim->story->answered = true;
        return;
    case DEED_CUT:
        for (int i = 0; i < STORY_HOSTS; i++)
            net_drop_link(sim, &sim->hosts[i], true, true);
        sim->story->answered = true;
        return;
    case DEED_PART:
        part(sim);
        sim->story->answered = true;
        return;
    case DEED_NONE:
        return;
    }
}

/* ---- the list of deeds */

static bool has_come(const struct story_step *step, const struct look *look)
{
    bool exists = look->count > step->execution;
    switch (step->when) {
    case WHEN_EXISTS:
        return exists;
    case WHEN_STATUS:
        return exists && look->status[step->execution] == step->status;
    case WHEN_WAITS:
        return exists && look->waits[step->execution];
    case WHEN_RUNS:
        return look->runs;
    case WHEN_APPROVAL:
        return look->approval_token != NULL;
    }
    return false;
}

/* Whether there is a request to wait for, still. */
static bool waits_for_answer(struct sim *sim)
{
    struct story *story = sim->story;
    if (story->asked == 0)
        return false;
    if (sim->now_ms - story->asked_ms < PATIENCE_MS)
        return true;
    story->asked = 0; /* lost with the controller */
    return false;
}

static const struct story_step *next_step(const struct story *story)
{
    const struct story_step *step = &story->plan->steps[story->step];
    return story->step == STORY_STEPS_MAX || step->deed == DEED_NONE ? NULL : step;
}

static void do_next(struct sim *sim, const struct look *look)
{
    struct story *story = sim->story;
    if (waits_for_answer(sim))
        return;
    if (!story->created) {
        story->created = story->answered;
        story->answered = false;
        if (!story->created) {
            ask_create(sim);
            return;
        }
        story->asks = 0;
    }
    if (story->answered) {
        story->answered = false;
        story->asks = 0;
        story->step++;
    }
    const struct story_step *step = next_step(story);
    if (step != NULL && (story->asks > 0 || has_come(step, look)))
        act(sim, step, look);
}

/* ---- faults that break an action need a person */

static char *stage_name(const struct story_plan *plan, uint32_t index)
{
    const char *at = plan->stages;
    for (uint32_t i = 0; i < index; i++)
        at = strchr(at, '|') + 1;
    return strndup(at, strcspn(at, ":"));
}

/* Whether this execution has failed though nothing was to fail. */
static bool is_spoilt(const struct story *story, const struct look *look, int index)
{
    const struct story_step *step = next_step(story);
    bool wanted = story->plan->ends[index] == look->status[index] ||
                  (step != NULL && step->when == WHEN_STATUS && step->execution == index &&
                   step->status == look->status[index]);
    return look->status[index] == PEN__EXECUTION_STATUS__EXECUTION_FAILED && !wanted;
}

/* An execution that has failed because its action was interrupted is retried; behind a newer
 * execution, outside PARALLEL mode, that cannot be, and it stays failed. */
static void help(struct sim *sim, const struct look *look)
{
    struct story *story = sim->story;
    if (story->helping > 0 && !is_spoilt(story, look, story->helping - 1)) {
        story->helps++;
        story->helping = 0;
    }
    if (story->asked != 0 || sim->now_ms - story->helped_ms < PATIENCE_MS)
        return;
    bool parallel = pen_str_equal(story->plan->mode, "PARALLEL");
    for (int i = 0; i < look->count; i++) {
        bool newer = false;
        for (int k = i + 1; k < look->count && !parallel; k++)
            newer |= look->stage[k] >= look->stage[i];
        if (!is_spoilt(story, look, i) || newer || story->helps >= story->may_break)
            continue;
        char *stage = stage_name(story->plan, look->stage[i]);
        sim_trace(sim, "a person retries %s, which was interrupted", stage);
        story->helping = i + 1;
        story->helped_ms = sim->now_ms;
        uint64_t asks = story->asks;
        ask_retry(sim, look->id[i], stage);
        story->asked = 0; /* no step waits for this answer: it is asked again if it is lost */
        story->asks = asks;
        free(stage);
        return;
    }
}

/* ---- the end */

static bool has_ended(const struct sim *sim, const struct look *look)
{
    const struct story *story = sim->story;
    if (next_step(story) != NULL || look->live > 0 || story->helping > 0)
        return false;
    uint64_t spoilt = 0;
    for (int i = 0; i < STORY_EXECUTIONS_MAX; i++) {
        if ((i < look->count) != (story->plan->ends[i] != 0))
            return false;
        if (i < look->count && look->status[i] == PEN__EXECUTION_STATUS__EXECUTION_FAILED &&
            story->plan->ends[i] != PEN__EXECUTION_STATUS__EXECUTION_FAILED)
            spoilt++;
        else if (i < look->count && look->status[i] != story->plan->ends[i])
            return false;
    }
    return spoilt == 0 || spoilt + story->helps <= story->may_break;
}

static void check_attempts(struct sim *sim)
{
    const struct story *story = sim->story;
    uint64_t grants = sim->counts[COUNT_GRANTS];
    uint64_t most = story->grants_usual + story->may_cost + story->helps;
    if (story->grants_usual > 0 && grants > most)
        sim_fail(sim,
                 "OUTCOME: %" PRIu64 " attempts were granted, %" PRIu64
                 " without the fault: it may cost %" PRIu64 " more",
                 grants, story->grants_usual, most - story->grants_usual);
}

static void tell_ends(struct sim *sim, const struct look *look)
{
    for (int i = 0; i < look->count; i++)
        sim_trace(sim, "execution %d is %s in stage %" PRIu32, i,
                  WORD(execution_status, look->status[i]), look->stage[i]);
    sim_trace(sim, "step %d, %zu attempts live", sim->story->step, look->live);
}

void story_run(struct sim *sim)
{
    struct story *story = sim->story;
    (void)pen_str_copy(sim->pipelines[0].name, sizeof sim->pipelines[0].name, "story");
    sim_run_until(sim, 3000); /* both hosts are enrolled */
    for (bool over = false; !over;) {
        sim_run_until(sim, sim->now_ms + POLL_MS);
        const struct story_step *step = next_step(story);
        struct look look;
        look_around(sim, step == NULL ? NULL : step->action, &look);
        do_next(sim, &look);
        help(sim, &look);
        over = has_ended(sim, &look);
        if (!over && sim->now_ms > TOO_LONG_MS) {
            tell_ends(sim, &look);
            sim_fail(sim,
                     "LIVENESS: story %s does not end as it has to: it is at step %d, %zu "
                     "attempts are live, the first execution is %s",
                     story->plan->name, story->step, look.live,
                     look.count > 0 ? WORD(execution_status, look.status[0]) : "not there");
        }
        look_release(&look);
    }
    sim_run_until(sim, sim->now_ms + LINGER_MS);
    auditor_check_end(sim);
    core_check_fold(sim);
    check_attempts(sim);
    sim->over = true;
}
