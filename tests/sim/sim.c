/* tests/sim/sim.c - the engine under faults, by seed
 *
 * One seed is one story: a controller, three agents and people, all in this process and in virtual
 * time. First a time of faults: messages are lost, doubled and overtaken, the controller dies after
 * a commit, agents fall silent, hosts reboot, people start, stop, approve, close transitions. Then
 * a quiet time in which everything has to come to its end.
 *
 * The auditor believes only what it sees itself: processes that begin, and facts that are
 * committed. It checks that
 *   once      an action of class once begins once, unless a person has it retried
 *   no loss   every execution that was promised is in the store
 *   fence     granted fences grow, and belong to one action each
 *   outcome   an attempt and an action end once
 *   truth     an attempt that succeeded had a process that exited with 0
 *   replay    folding the facts gives the rows
 *   liveness  in the quiet time every execution ends
 * and the engine checks its own invariants after each step. A failure says the seed.
 */
#define PEN_WORLD_SIMULATED
#include "tests/unit/engine/world.h"

#include <signal.h>

#include "common/base/prng.h"

enum { AGENTS = 3, QUIET_ROUNDS = 400 };

/* What the auditor knows of one action execution. */
struct audited_action {
    char *id;
    bool once;
    bool ended;
    uint32_t begun;
    uint32_t retries_by_person;
};

struct audited_attempt {
    uint64_t fence;
    struct audited_action *action;
    bool ended;
    bool exited_well; /* ground truth of the host */
};

struct sim {
    struct world w; /* first: the world's callbacks find the simulation by it */
    struct pen_prng prng;
    struct pen_map actions;
    struct pen_map attempts;
    char **promised;
    size_t promised_count;
    uint64_t last_fence;
    size_t audited_facts;
    unsigned loss_percent;
    unsigned double_percent;
    unsigned crash_permille;
    unsigned people_percent;
    unsigned silent[AGENTS]; /* rounds that the agent stays deaf */
};

static uint64_t below(struct sim *s, uint64_t bound)
{
    return pen_prng_below(&s->prng, bound);
}

static bool chance(struct sim *s, unsigned percent)
{
    return below(s, 100) < percent;
}

/* ---- auditor */

static struct audited_action *audited(struct sim *s, const char *id)
{
    struct audited_action *action = pen_map_get(&s->actions, pen_key_text(id));
    if (action == NULL) {
        action = mem_zero(sizeof *action);
        action->id = mem_text(id);
        mem_put(&s->actions, pen_key_text(action->id), action);
    }
    return action;
}

/* A process begins on a host. */
static void on_begin(struct world *w, struct fake_agent *a, const Pen__Capsule *capsule)
{
    struct sim *s = (struct sim *)w;
    (void)a;
    struct audited_action *action = audited(s, capsule->action_execution_id);
    action->begun++;
    if (capsule->action_class == PEN__ACTION_CLASS__ONCE &&
        action->begun > 1 + action->retries_by_person)
        fail_msg("ONCE: action %s of execution %s began %u times", capsule->action,
                 capsule->pipeline_execution_id, action->begun);
}

static struct audited_attempt *audited_attempt(struct sim *s, uint64_t fence)
{
    struct audited_attempt *attempt = pen_map_get(&s->attempts, pen_key_number(fence));
    if (attempt == NULL)
        fail_msg("FENCE: a fact about fence %llu, which was never granted",
                 (unsigned long long)fence);
    if (attempt->ended)
        fail_msg("OUTCOME: a fact about attempt %llu after its end", (unsigned long long)fence);
    return attempt;
}

static void audit_moved(struct sim *s, const Pen__AttemptMoved *moved)
{
    struct audited_attempt *attempt = audited_attempt(s, moved->fence);
    bool well = moved->state == PEN__ATTEMPT_STATE__ATTEMPT_SUCCEEDED;
    attempt->ended = well || moved->state == PEN__ATTEMPT_STATE__ATTEMPT_FAILED ||
                     moved->state == PEN__ATTEMPT_STATE__ATTEMPT_CANCELED ||
                     moved->state == PEN__ATTEMPT_STATE__ATTEMPT_LOST;
    if (well && !attempt->exited_well)
        fail_msg("TRUTH: attempt %llu succeeded, its process did not",
                 (unsigned long long)moved->fence);
}

static void audit_granted(struct sim *s, const Pen__AttemptGranted *granted)
{
    if (granted->fence <= s->last_fence)
        fail_msg("FENCE: %llu was granted after %llu", (unsigned long long)granted->fence,
                 (unsigned long long)s->last_fence);
    s->last_fence = granted->fence;
    struct audited_attempt *attempt = mem_zero(sizeof *attempt);
    attempt->fence = granted->fence;
    attempt->action = audited(s, granted->action_execution_id);
    attempt->action->once = granted->action_class == PEN__ACTION_CLASS__ONCE;
    if (attempt->action->ended)
        fail_msg("OUTCOME: an attempt of %s after its end", granted->action_execution_id);
    mem_put(&s->attempts, pen_key_number(attempt->fence), attempt);
}

static void audit(struct sim *s)
{
    for (; s->audited_facts < s->w.facts_count; s->audited_facts++) {
        const Pen__Fact *fact = s->w.facts[s->audited_facts];
        switch ((int)fact->what_case) {
        case PEN__FACT__WHAT_ATTEMPT_GRANTED:
            audit_granted(s, fact->attempt_granted);
            break;
        case PEN__FACT__WHAT_ATTEMPT_MOVED:
            audit_moved(s, fact->attempt_moved);
            break;
        case PEN__FACT__WHAT_ATTEMPT_FINISHED: {
            struct audited_attempt *attempt = audited_attempt(s, fact->attempt_finished->fence);
            const Pen__Finished *finished = fact->attempt_finished->finished;
            attempt->exited_well =
                finished->kind == PEN__FINISH_KIND__EXITED && finished->exit_code == 0;
            break;
        }
        case PEN__FACT__WHAT_ACTION_ENDED: {
            struct audited_action *action = audited(s, fact->action_ended->action_execution_id);
            if (action->ended)
                fail_msg("OUTCOME: action %s ended twice", action->id);
            action->ended = true;
            break;
        }
        default:
            break;
        }
    }
    for (size_t i = 0; i < s->promised_count; i++) {
        char *key = mem_format("%02d %s", (int)PEN__ROW_KIND__ROW_EXECUTION, s->promised[i]);
        if (pen_map_get(&s->w.store, pen_key_text(key)) == NULL)
            fail_msg("LOSS: execution %s was promised and is not there", s->promised[i]);
        free(key);
    }
}

/* ---- the network: effects and inputs under way, in any order */

static void take_reply(struct sim *s)
{
    const Pen__Reply *reply = s->w.reply;
    if (reply == NULL || reply->execution_id == NULL || reply->error != NULL)
        return;
    s->promised = mem_grow(s->promised, s->promised_count);
    s->promised[s->promised_count++] = mem_text(reply->execution_id);
    mem_free_message(s->w.reply);
    s->w.reply = NULL;
}

static void deliver_effect(struct sim *s)
{
    struct world *w = &s->w;
    size_t at = below(s, w->effects_count);
    if (!chance(s, s->loss_percent + s->double_percent))
        at = 0; /* mostly in order */
    Pen__Effect *effect = w->effects[at];
    memmove(&w->effects[at], &w->effects[at + 1],
            (w->effects_count - at - 1) * sizeof(Pen__Effect *));
    w->effects_count--;
    bool network = effect->what_case == PEN__EFFECT__WHAT_AGENT_SEND;
    if (!network || !chance(s, s->loss_percent))
        world_perform_one(w, effect);
    if (network && chance(s, s->double_percent))
        world_perform_one(w, effect);
    mem_free_message(effect);
    take_reply(s);
}

static void deliver_input(struct sim *s)
{
    struct world *w = &s->w;
    size_t at = chance(s, s->double_percent) ? below(s, w->inbox_count) : 0;
    Pen__Input *input = w->inbox[at];
    memmove(&w->inbox[at], &w->inbox[at + 1], (w->inbox_count - at - 1) * sizeof(Pen__Input *));
    w->inbox_count--;
    bool network = input->what_case == PEN__INPUT__WHAT_AGENT_MESSAGE;
    if (!network || !chance(s, s->loss_percent))
        world_step(w, input);
    if (network && chance(s, s->double_percent))
        world_step(w, input);
    mem_free_message(input);
}

static void drop_inbox(struct world *w)
{
    for (size_t i = 0; i < w->inbox_count; i++)
        mem_free_message(w->inbox[i]);
    w->inbox_count = 0;
}

static void deliver_some(struct sim *s, size_t most)
{
    for (size_t i = 0; i < most && s->w.effects_count + s->w.inbox_count > 0; i++) {
        if (s->w.effects_count > 0 && (s->w.inbox_count == 0 || chance(s, 50)))
            deliver_effect(s);
        else
            deliver_input(s);
    }
}

/* ---- hosts */

static void beat(struct sim *s, struct fake_agent *a)
{
    struct world *w = &s->w;
    if (a->session_no == 0) {
        agent_hello(w, a);
        return;
    }
    Pen__Heartbeat *heartbeat = MAKE(Pen__Heartbeat, pen__heartbeat__init);
    for (size_t i = 0; i < a->jobs_count; i++)
        APPEND(heartbeat, inventory, job_item(&a->jobs[i]));
    world_send(w, a, PEN__FROM_AGENT__BODY_HEARTBEAT, heartbeat);
    /* Artifacts are offered until they are taken. */
    for (size_t i = 0; i < a->jobs_count; i++) {
        const struct job *job = &a->jobs[i];
        if (job->phase != PEN__ATTEMPT_PHASE__PHASE_FINISHED || a->deaf)
            continue;
        const Pen__Finished *finished = job->events[job->last_seq - 1]->finished;
        for (size_t k = 0; k < finished->n_artifacts; k++)
            data_deliver(w, job, finished->artifacts[k]);
    }
}

static void end_a_process(struct sim *s, struct fake_agent *a, bool well)
{
    for (size_t i = 0; i < a->jobs_count; i++)
        if (!a->jobs[i].tomb && a->jobs[i].phase == PEN__ATTEMPT_PHASE__PHASE_RUNNING) {
            agent_end_job(&s->w, a, a->jobs[i].fence, PEN__FINISH_KIND__EXITED, well ? 0 : 1);
            return;
        }
}

/* The host goes down and up: what ran was interrupted. */
static void reboot(struct sim *s, struct fake_agent *a)
{
    for (size_t i = 0; i < a->jobs_count; i++)
        if (!a->jobs[i].tomb && a->jobs[i].phase == PEN__ATTEMPT_PHASE__PHASE_RUNNING)
            agent_end_job(&s->w, a, a->jobs[i].fence, PEN__FINISH_KIND__INTERRUPTED, 0);
    agent_hello(&s->w, a);
}

static void hosts(struct sim *s, bool faults)
{
    for (size_t i = 0; i < s->w.agents_count; i++) {
        struct fake_agent *a = &s->w.agents[i];
        if (faults && s->silent[i] == 0 && chance(s, 3))
            s->silent[i] = 1 + (unsigned)below(s, 60);
        a->deaf = s->silent[i] > 0;
        s->silent[i] -= s->silent[i] > 0 ? 1 : 0;
        if (chance(s, 60) || !faults)
            beat(s, a);
        if (chance(s, 40) || !faults)
            end_a_process(s, a, !faults || chance(s, 85));
        if (faults && chance(s, 1))
            reboot(s, a);
    }
}

/* ---- people */

static char *any_action_in(struct sim *s, Pen__ActionPhase phase, Pen__ActionExecutionRow **ret_row)
{
    for (struct pen_map_node *n = pen_map_first(&s->w.store); n != NULL; n = pen_map_next(n)) {
        const struct pen_row *row = ((struct stored *)pen_map_value(n))->row;
        if (row->kind != PEN__ROW_KIND__ROW_ACTION_EXECUTION || !row->live)
            continue;
        *ret_row = pen__action_execution_row__unpack(NULL, row->body_size, row->body);
        if ((*ret_row)->phase == phase)
            return (*ret_row)->id;
        mem_free_message(*ret_row);
    }
    return NULL;
}

static void post(struct sim *s, Pen__Input__WhatCase what, void *body)
{
    Pen__Input *input = input_new(what, body);
    input->principal = mem_text("arn:aws:iam::000000000000:user/ada");
    SET(input, correlation, ++s->w.correlation);
    world_step(&s->w, input);
    mem_free_message(input);
}

static void approve(struct sim *s, bool approved)
{
    Pen__ActionExecutionRow *row;
    if (any_action_in(s, PEN__ACTION_PHASE__ACTION_APPROVAL, &row) == NULL)
        return;
    Pen__PutApproval *request = MAKE(Pen__PutApproval, pen__put_approval__init);
    request->pipeline = mem_text(row->pipeline);
    request->stage = mem_text(row->stage);
    request->action = mem_text(row->action);
    request->token = mem_text(row->approval_token);
    SET(request, approved, approved);
    mem_free_message(row);
    post(s, PEN__INPUT__WHAT_PUT_APPROVAL, request);
}

static void resolve(struct sim *s)
{
    Pen__ActionExecutionRow *row;
    if (any_action_in(s, PEN__ACTION_PHASE__ACTION_INDETERMINATE, &row) == NULL)
        return;
    Pen__ResolveAttempt *request = MAKE(Pen__ResolveAttempt, pen__resolve_attempt__init);
    request->action_execution_id = mem_text(row->id);
    bool again = chance(s, 50);
    SET(request, resolution,
        again ? PEN__ATTEMPT_RESOLUTION__RESOLVE_RETRY : PEN__ATTEMPT_RESOLUTION__RESOLVE_FAILED);
    if (again)
        audited(s, row->id)->retries_by_person++;
    mem_free_message(row);
    post(s, PEN__INPUT__WHAT_RESOLVE_ATTEMPT, request);
}

static const char *const pipelines[] = {"first", "queue", "wide"};

static void close_or_open(struct sim *s, const char *pipeline, bool disable)
{
    Pen__ChangeTransition *request = MAKE(Pen__ChangeTransition, pen__change_transition__init);
    request->pipeline = mem_text(pipeline);
    request->stage = mem_text("Build");
    SET(request, disable, disable);
    request->reason = mem_text("freeze");
    post(s, PEN__INPUT__WHAT_CHANGE_TRANSITION, request);
}

static void stop_one(struct sim *s)
{
    if (s->promised_count == 0)
        return;
    Pen__StopExecution *request = MAKE(Pen__StopExecution, pen__stop_execution__init);
    request->execution_id = mem_text(s->promised[below(s, s->promised_count)]);
    request->pipeline = mem_text(pipelines[below(s, 3)]);
    SET(request, abandon, chance(s, 50));
    post(s, PEN__INPUT__WHAT_STOP_EXECUTION, request);
}

static void retry_one(struct sim *s)
{
    if (s->promised_count == 0)
        return;
    Pen__RetryStage *request = MAKE(Pen__RetryStage, pen__retry_stage__init);
    request->execution_id = mem_text(s->promised[below(s, s->promised_count)]);
    request->pipeline = mem_text(pipelines[below(s, 3)]);
    request->stage = mem_text(chance(s, 50) ? "Build" : "Out");
    SET(request, all_actions, chance(s, 50));
    post(s, PEN__INPUT__WHAT_RETRY_STAGE, request);
}

static void create(struct sim *s, const char *name, const char *mode);

static void edit(struct sim *s)
{
    const char *name = pipelines[below(s, 3)];
    if (chance(s, 20)) {
        Pen__DeletePipeline *request = MAKE(Pen__DeletePipeline, pen__delete_pipeline__init);
        request->name = mem_text(name);
        post(s, PEN__INPUT__WHAT_DELETE_PIPELINE, request);
        create(s, name, "SUPERSEDED");
        return;
    }
    static const char *const modes[] = {"SUPERSEDED", "QUEUED", "PARALLEL"};
    Pen__UpdatePipeline *request = MAKE(Pen__UpdatePipeline, pen__update_pipeline__init);
    request->declaration =
        declare(name, modes[below(s, 3)], "Source:S=source|Build:A=made,B=run|Out:D=once");
    post(s, PEN__INPUT__WHAT_UPDATE_PIPELINE, request);
}

static void people(struct sim *s)
{
    switch (below(s, 9)) {
    case 0:
        close_or_open(s, pipelines[below(s, 3)], chance(s, 50));
        break;
    case 1:
        stop_one(s);
        break;
    case 2:
        resolve(s);
        break;
    case 3:
        approve(s, chance(s, 80));
        break;
    case 4:
        retry_one(s);
        break;
    case 5:
        if (chance(s, 10))
            edit(s);
        break;
    default: {
        Pen__StartExecution *request = MAKE(Pen__StartExecution, pen__start_execution__init);
        request->pipeline = mem_text(pipelines[below(s, 3)]);
        post(s, PEN__INPUT__WHAT_START_EXECUTION, request);
        break;
    }
    }
}

/* ---- the story */

static void crash(struct sim *s)
{
    drop_inbox(&s->w);
    world_restart(&s->w);
    for (size_t i = 0; i < s->w.agents_count; i++)
        s->w.agents[i].session_no = 0;
}

static void pass_time(struct sim *s, int64_t ms)
{
    s->w.now_ms += ms;
    Pen__Input *input = input_new(PEN__INPUT__WHAT_TICK, MAKE(Pen__Tick, pen__tick__init));
    world_step(&s->w, input);
    mem_free_message(input);
}

static void create(struct sim *s, const char *name, const char *mode)
{
    Pen__CreatePipeline *request = MAKE(Pen__CreatePipeline, pen__create_pipeline__init);
    request->declaration =
        declare(name, mode, "Source:S=source|Build:A=made,B=run,C=run@2|Ok:Y=approve|Out:D=once");
    post(s, PEN__INPUT__WHAT_CREATE_PIPELINE, request);
}

static bool all_ended(const struct sim *s)
{
    for (struct pen_map_node *n = pen_map_first(&s->w.store); n != NULL; n = pen_map_next(n)) {
        const struct pen_row *row = ((struct stored *)pen_map_value(n))->row;
        if (row->kind != PEN__ROW_KIND__ROW_EXECUTION || !row->live)
            continue;
        Pen__ExecutionRow *execution = pen__execution_row__unpack(NULL, row->body_size, row->body);
        bool running = execution->status == PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS ||
                       execution->status == PEN__EXECUTION_STATUS__EXECUTION_STOPPING;
        mem_free_message(execution);
        if (running)
            return false;
    }
    return true;
}

/* Why what is left does not end. */
static void print_waits(struct sim *s)
{
    for (size_t p = 0; p < 3; p++) {
        Pen__ExplainRequest *request = MAKE(Pen__ExplainRequest, pen__explain_request__init);
        request->pipeline = mem_text(pipelines[p]);
        post(s, PEN__INPUT__WHAT_EXPLAIN, request);
    }
    for (size_t i = 0; i < s->w.effects_count; i++) {
        const Pen__Effect *effect = s->w.effects[i];
        for (size_t k = 0;
             effect->what_case == PEN__EFFECT__WHAT_REPLY && k < effect->reply->n_reasons; k++)
            printf("\n  %s: %s", effect->reply->reasons[k]->subject,
                   effect->reply->reasons[k]->sentence);
    }
}

static void quiet_time(struct sim *s, uint64_t seed)
{
    s->loss_percent = s->double_percent = s->crash_permille = 0;
    memset(s->silent, 0, sizeof s->silent);
    for (size_t i = 0; i < 3; i++)
        close_or_open(s, pipelines[i], false);
    for (int round = 0; round < QUIET_ROUNDS && !all_ended(s); round++) {
        hosts(s, false);
        deliver_some(s, 10000);
        approve(s, true);
        resolve(s);
        deliver_some(s, 10000);
        pass_time(s, 10 * 1000);
        audit(s);
    }
    if (all_ended(s))
        return;
    print_waits(s);
    fail_msg("LIVENESS: seed %llu: some execution has not ended in the quiet time",
             (unsigned long long)seed);
}

static void release(struct sim *s)
{
    drop_inbox(&s->w);
    for (size_t i = s->w.effects_done; i < s->w.effects_count; i++)
        mem_free_message(s->w.effects[i]);
    s->w.effects_count = 0;
    world_end(&s->w);
    for (struct pen_map_node *n = pen_map_first(&s->actions); n != NULL; n = pen_map_next(n)) {
        free(((struct audited_action *)pen_map_value(n))->id);
        free(pen_map_value(n));
    }
    for (struct pen_map_node *n = pen_map_first(&s->attempts); n != NULL; n = pen_map_next(n))
        free(pen_map_value(n));
    pen_map_release(&s->actions);
    pen_map_release(&s->attempts);
    for (size_t i = 0; i < s->promised_count; i++)
        free(s->promised[i]);
    free(s->promised);
}

struct totals {
    uint64_t steps;
    uint64_t facts;
    uint64_t lives;
    int64_t simulated_ms;
};

static void run_seed(uint64_t seed, unsigned rounds, struct totals *totals)
{
    static struct sim sim;
    struct sim *s = &sim;
    memset(s, 0, sizeof *s);
    uint8_t bytes[PEN_PRNG_SEED_SIZE] = {0};
    memcpy(bytes, &seed, sizeof seed);
    pen_prng_init(&s->prng, bytes);
    world_begin(&s->w);
    int64_t began_ms = s->w.now_ms;
    for (int i = 0; i < AGENTS; i++) {
        static const char *const names[] = {"a", "b", "c"};
        world_add_agent(&s->w, names[i], 2, NULL, NULL);
    }
    s->w.simulated = true;
    s->w.begins = on_begin;
    /* Each seed draws its own mix. */
    s->loss_percent = chance(s, 30) ? 0 : (unsigned)below(s, 30);
    s->double_percent = chance(s, 30) ? 0 : (unsigned)below(s, 30);
    s->crash_permille = chance(s, 30) ? 0 : (unsigned)below(s, 60);
    s->people_percent = 5 + (unsigned)below(s, 40);
    create(s, pipelines[0], "SUPERSEDED");
    create(s, pipelines[1], "QUEUED");
    create(s, pipelines[2], "PARALLEL");
    for (unsigned round = 0; round < rounds; round++) {
        hosts(s, true);
        if (chance(s, s->people_percent))
            people(s);
        deliver_some(s, below(s, 40));
        if (below(s, 1000) < s->crash_permille)
            crash(s);
        pass_time(s, (int64_t)below(s, 20 * 1000));
        audit(s);
    }
    quiet_time(s, seed);
    totals->steps += s->w.steps;
    totals->facts += s->w.facts_count;
    totals->lives += s->w.lives;
    totals->simulated_ms += s->w.now_ms - began_ms;
    release(s);
}

static unsigned long number(const char *text)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != '\0') {
        fprintf(stderr, "penstock-sim-engine: '%s' is no number\n", text);
        exit(2);
    }
    return value;
}

static unsigned long current_seed;
static unsigned long rounds = 400;

/* Whoever gave up, auditor or engine: say how to see it again. */
static void on_abort(int number_of_signal)
{
    (void)number_of_signal;
    fprintf(stderr,
            "seed %lu failed; repeat: penstock-sim-engine --first %lu --seeds 1 --rounds %lu\n",
            current_seed, current_seed, rounds);
}

int main(int argc, char **argv)
{
    unsigned long seeds = 100;
    unsigned long first = 1;
    (void)signal(SIGABRT, on_abort);
    for (int i = 1; i < argc; i += 2) {
        unsigned long *option = strcmp(argv[i], "--seeds") == 0    ? &seeds
                                : strcmp(argv[i], "--first") == 0  ? &first
                                : strcmp(argv[i], "--rounds") == 0 ? &rounds
                                                                   : NULL;
        if (option == NULL || i + 1 == argc) {
            fprintf(stderr, "usage: penstock-sim-engine [--seeds N] [--first SEED] [--rounds N]\n");
            return 2;
        }
        *option = number(argv[i + 1]);
    }
    struct totals totals = {0};
    for (unsigned long seed = first; seed < first + seeds; seed++) {
        current_seed = seed;
        run_seed(seed, (unsigned)rounds, &totals);
    }
    printf("%lu seeds, %.1f simulated hours, %llu steps, %llu facts, %llu controller lives: "
           "0 failures\n",
           seeds, (double)totals.simulated_ms / 3600000, (unsigned long long)totals.steps,
           (unsigned long long)totals.facts, (unsigned long long)totals.lives);
    return 0;
}
