/* tests/sim/workers.c - job workers: they poll, race for jobs, work, and answer late or never
 *
 * Two programs poll for the same type of action. A job that one was given is now and then
 * acknowledged by both with its one nonce; results come twice, late, with a continuation, or not
 * at all. A worker whose acknowledgement was not answered asks no more: the job is another's.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "tests/sim/sim.h"

enum { WORKERS = 2, POLL_MS = 15 * 1000 };

static Pen__ActionTypeId *type_id(void)
{
    Pen__ActionTypeId *id = MAKE(Pen__ActionTypeId, pen__action_type_id__init);
    id->category = mem_text("Build");
    id->owner = mem_text("Custom");
    id->provider = mem_text("Robot");
    id->version = mem_text("1");
    return id;
}

/* ---- what they ask */

static void fire_create_type(struct sim *sim, struct sim_event *event)
{
    (void)event;
    void *row = core_row(sim, PEN__ROW_KIND__ROW_ACTION_TYPE, "Build/Robot/1",
                         &pen__action_type_row__descriptor);
    mem_free_message(row);
    if (row != NULL)
        return;
    Pen__CreateActionType *request = MAKE(Pen__CreateActionType, pen__create_action_type__init);
    request->type = MAKE(Pen__ActionType, pen__action_type__init);
    request->type->id = type_id();
    request->type->input_artifact_details = MAKE(Pen__ArtifactDetails, pen__artifact_details__init);
    request->type->output_artifact_details =
        MAKE(Pen__ArtifactDetails, pen__artifact_details__init);
    SET(request->type->input_artifact_details, minimum_count, 0);
    SET(request->type->input_artifact_details, maximum_count, 1);
    SET(request->type->output_artifact_details, minimum_count, 0);
    SET(request->type->output_artifact_details, maximum_count, 1);
    people_ask(sim, PEN__INPUT__WHAT_CREATE_ACTION_TYPE, request, 0, 0);
    sim_at(sim, 3000, fire_create_type);
}

static void fire_poll(struct sim *sim, struct sim_event *event)
{
    Pen__PollJobs *request = MAKE(Pen__PollJobs, pen__poll_jobs__init);
    request->type = type_id();
    SET(request, max, 3);
    people_ask(sim, PEN__INPUT__WHAT_POLL_JOBS, request, event->host, 0);
    sim_at(sim, 1000 + sim_around(sim, POLL_MS), fire_poll)->host = event->host;
}

/* The event's data: job id, a zero, nonce. */
static void fire_acknowledge(struct sim *sim, struct sim_event *event)
{
    const char *id = event->data;
    Pen__AcknowledgeJob *request = MAKE(Pen__AcknowledgeJob, pen__acknowledge_job__init);
    request->job_id = mem_text(id);
    request->nonce = mem_text(id + strlen(id) + 1);
    SET(request, known, true);
    struct request *asked =
        people_ask(sim, PEN__INPUT__WHAT_ACKNOWLEDGE_JOB, request, event->host, 0);
    (void)pen_str_copy(asked->job_id, sizeof asked->job_id, id);
}

static void fire_result(struct sim *sim, struct sim_event *event)
{
    const char *id = event->data;
    Pen__PutJobResult *request = MAKE(Pen__PutJobResult, pen__put_job_result__init);
    request->job_id = mem_text(id);
    SET(request, known, true);
    SET(request, success, !event->flag);
    if (event->flag)
        request->error_code = mem_text("JobFailed");
    else if (event->number != 0)
        request->continuation_token = mem_text("more");
    auditor_result(sim, id, request->success, event->number != 0);
    people_ask(sim, PEN__INPUT__WHAT_PUT_JOB_RESULT, request, event->host, 0);
}

/* ---- what they do with answers */

static char *two_texts(const char *a, const char *b)
{
    size_t first = strlen(a) + 1;
    char *both = mem_zero(first + strlen(b) + 1);
    memcpy(both, a, first);
    memcpy(both + first, b, strlen(b));
    return both;
}

static void work(struct sim *sim, int worker, const char *id)
{
    if (!sim->quiet && sim_chance(sim, 50))
        return; /* it dies at work */
    int64_t in_ms = 1000 + sim_around(sim, 20000);
    bool fails = sim_chance(sim, sim->mix.action_fails_pm);
    bool more = !fails && sim_chance(sim, 200);
    for (int i = 0; i < 2; i++) {
        struct sim_event *event = sim_at(sim, in_ms, fire_result);
        event->host = worker;
        event->flag = fails;
        event->number = more ? 1 : 0;
        event->data = mem_text(id);
        if (!sim_chance(sim, 100))
            return;
        in_ms += sim_around(sim, 60000); /* it did not hear the answer, and says it again */
    }
}

/* Whoever was given a job acknowledges it, and now and then the other one, too. */
static void acknowledge(struct sim *sim, int polled_by, const Pen__JobRow *job)
{
    for (int worker = 0; worker < WORKERS; worker++) {
        if (worker != polled_by && !sim_chance(sim, 300))
            continue;
        int64_t in_ms = 100 + sim_around(sim, sim_chance(sim, 900) ? 2000 : 90000);
        struct sim_event *event = sim_at(sim, in_ms, fire_acknowledge);
        event->host = worker;
        event->data = two_texts(job->id, job->nonce);
    }
}

void workers_reply(struct sim *sim, const struct request *request, const Pen__Reply *reply)
{
    for (size_t i = 0; request->what == PEN__INPUT__WHAT_POLL_JOBS && i < reply->n_jobs; i++) {
        auditor_polled(sim, reply->jobs[i]);
        acknowledge(sim, request->pipeline, reply->jobs[i]);
    }
    if (request->what == PEN__INPUT__WHAT_ACKNOWLEDGE_JOB) {
        auditor_acknowledged(sim, request->job_id);
        work(sim, request->pipeline, request->job_id);
    }
}

void workers_begin(struct sim *sim)
{
    if (sim->pipelines_count < SIM_PIPELINES)
        return; /* the last one is theirs */
    sim_at(sim, 100, fire_create_type);
    for (int i = 0; i < WORKERS; i++)
        sim_at(sim, 2000 + (int64_t)sim_below(sim, POLL_MS), fire_poll)->host = i;
}
