/* controller/engine/job_index.c - queues and timers of jobs, and why a job is not done yet */
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "controller/engine/job.h"
#include "controller/model/action_types.h"

#define CREATED     PEN__JOB_STATE__JOB_CREATED
#define QUEUED      PEN__JOB_STATE__JOB_QUEUED
#define DISPATCHED  PEN__JOB_STATE__JOB_DISPATCHED
#define IN_PROGRESS PEN__JOB_STATE__JOB_IN_PROGRESS

/* ---- queues: one for each type, and value that its workers poll by */

static char *queue_text(const Pen__ActionTypeId *type, const char *query_value)
{
    return mem_format("%s/%s/%s/%s", type->category, type->provider, type->version,
                      query_value == NULL ? "" : query_value);
}

struct job_queue *job_queue_find(const struct pen_engine *engine, const Pen__ActionTypeId *type,
                                 const char *query_value)
{
    char *text = queue_text(type, query_value);
    struct job_queue *queue = pen_map_get(&engine->job_queues, pen_key_text(text));
    free(text);
    return queue;
}

static void queue_enter(struct pen_engine *engine, struct job *self)
{
    struct job_queue *queue = job_queue_find(engine, self->row->type, self->row->query_value);
    if (queue == NULL) {
        queue = mem_zero(sizeof *queue);
        queue->text = queue_text(self->row->type, self->row->query_value);
        mem_put(&engine->job_queues, pen_key_text(queue->text), queue);
    }
    mem_put(&queue->jobs, pen_key_number(self->row->order), self);
    self->queue = queue;
}

static void queue_leave(struct pen_engine *engine, struct job *self)
{
    struct job_queue *queue = self->queue;
    pen_map_remove(&queue->jobs, pen_key_number(self->row->order));
    self->queue = NULL;
    if (queue->jobs.count > 0)
        return;
    pen_map_remove(&engine->job_queues, pen_key_text(queue->text));
    free(queue->text);
    free(queue);
}

void job_leave_state(struct pen_engine *engine, struct job *self)
{
    if (self->queue != NULL)
        queue_leave(engine, self);
    timer_disarm(engine, &self->timer);
}

void job_enter_state(struct pen_engine *engine, struct job *self)
{
    if (self->row->state == QUEUED)
        queue_enter(engine, self);
    else if (self->row->state == CREATED || self->row->state == DISPATCHED)
        timer_arm(engine, &self->timer, self->row->due_ms);
}

int job_link(struct pen_engine *engine, struct job *self, struct pen_error *err)
{
    struct action *action = find_action(engine, self->row->action_execution_id);
    if (action == NULL || action->row->phase != PEN__ACTION_PHASE__ACTION_JOB ||
        action->job != NULL || job_state_ended(self->row->state))
        return pen_fail(err, PEN_ECORRUPT, "job '%s' belongs to no action that waits for one",
                        self->row->id);
    self->timer = (struct timer){.kind = TIMER_JOB, .owner = self};
    self->action = action;
    action->job = self;
    job_enter_state(engine, self);
    return 0;
}

/* ---- why it is not done yet */

static void say_type(const struct job *self, struct pen_buf *text)
{
    const Pen__ActionTypeId *type = self->row->type;
    pen_buf_printf(text, "a job worker of type %s/%s/%s", type->category, type->provider,
                   type->version);
}

static void say_duration(int64_t ms, struct pen_buf *text)
{
    if (ms < 120 * 1000)
        pen_buf_printf(text, "%lld seconds", (long long)(ms / 1000));
    else
        pen_buf_printf(text, "%lld minutes", (long long)(ms / 60000));
}

static size_t jobs_before(const struct job *self)
{
    size_t before = 0;
    for (struct pen_map_node *node = pen_map_first(&self->queue->jobs);
         node != NULL && pen_map_value(node) != self; node = pen_map_next(node))
        before++;
    return before;
}

static const char *explain_queued(const struct pen_engine *engine, const struct job *self,
                                  struct pen_buf *text, const char **ret_clears)
{
    const struct action_type *type = find_action_type(engine, self->row->type);
    pen_buf_puts(text, "Waiting for ");
    say_type(self, text);
    if (type == NULL || type->row->has_deleted_ms) {
        pen_buf_puts(text, ": the type was deleted, so that nobody can poll for it");
        *ret_clears =
            "create the action type again with the same definition, or stop the execution";
        return "action_type_deleted";
    }
    int64_t since_ms = self->row->state_since_ms > engine->planned_ms ? self->row->state_since_ms
                                                                      : engine->planned_ms;
    size_t before = jobs_before(self);
    if (self->queue->polled_ms >= since_ms && before > 0) {
        pen_buf_printf(text, ": %zu jobs are before it in the queue", before);
        *ret_clears = "job workers poll for more";
        return "jobs_before";
    }
    *ret_clears = "a job worker polls: PollForJobs";
    if (type->polled_ms >= since_ms && self->row->query_value != NULL) {
        const Pen__ActionConfigurationProperty *property =
            pen_action_type_queryable(type->row->type);
        pen_buf_printf(text, ": there are such that poll, but none for %s '%s' for ",
                       property->name, self->row->query_value);
        since_ms = self->queue->polled_ms > since_ms ? self->queue->polled_ms : since_ms;
        say_duration(engine->now_ms - since_ms, text);
        return "query_unpolled";
    }
    pen_buf_puts(text, ": nobody has polled for ");
    if (type->polled_ms > since_ms)
        since_ms = type->polled_ms;
    say_duration(engine->now_ms - since_ms, text);
    return "no_worker_polls";
}

bool job_may_be_polled(const struct pen_engine *engine, const struct job *self)
{
    return (self->row->state != QUEUED && self->row->state != CREATED) ||
           usable_action_type(engine, self->row->type) != NULL;
}

const char *job_explain(const struct pen_engine *engine, const struct job *self,
                        struct pen_buf *ret_sentence, const char **ret_clears)
{
    const char *worker = self->row->worker == NULL ? "somebody" : self->row->worker;
    switch ((int)self->row->state) {
    case QUEUED:
        return explain_queued(engine, self, ret_sentence, ret_clears);
    case CREATED:
        if (!job_may_be_polled(engine, self))
            return explain_queued(engine, self, ret_sentence, ret_clears);
        pen_buf_puts(ret_sentence, "Its job worker asked to continue: another job is offered in ");
        say_duration(self->row->due_ms > engine->now_ms ? self->row->due_ms - engine->now_ms : 0,
                     ret_sentence);
        *ret_clears = "a moment passes, and a job worker polls";
        return "job_continues";
    case DISPATCHED:
        pen_buf_printf(ret_sentence, "%s has polled for its job, but has not acknowledged it yet",
                       worker);
        *ret_clears = "the job worker acknowledges, or the job is offered again";
        return "job_unacknowledged";
    default:
        pen_buf_printf(ret_sentence, "%s works on its job", worker);
        *ret_clears = "the job worker puts a result, or the action's time is over";
        return "job_in_progress";
    }
}

/* ---- invariants */

void check_jobs(const struct pen_engine *engine)
{
    size_t queued = 0;
    for (const struct pen_map_node *node = pen_map_first(&engine->jobs); node != NULL;
         node = pen_map_next(node)) {
        const struct job *job = pen_map_value(node);
        Pen__JobState state = job->row->state;
        CHECK(!job_state_ended(state));
        CHECK(job->action != NULL && job->action->job == job);
        CHECK(pen_str_equal(job->action->row->job_id, job->row->id));
        CHECK((job->queue != NULL) == (state == QUEUED));
        bool timed = state == CREATED || state == DISPATCHED;
        CHECK(pen_heap_armed(&job->timer.entry) == timed);
        CHECK((job->row->nonce != NULL) == (state == DISPATCHED));
        queued += state == QUEUED ? 1 : 0;
    }
    for (const struct pen_map_node *node = pen_map_first(&engine->job_queues); node != NULL;
         node = pen_map_next(node)) {
        const struct job_queue *queue = pen_map_value(node);
        CHECK(queue->jobs.count > 0 && queue->jobs.count <= queued);
        queued -= queue->jobs.count;
    }
    CHECK(queued == 0);
}
