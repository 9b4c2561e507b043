/* tests/sim/source.c - the branches that pipelines watch, and the fetching of revisions */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "tests/sim/sim.h"

static int pipeline_index(const struct sim *sim, const char *name)
{
    for (int i = 0; i < SIM_PIPELINES; i++)
        if (pen_str_equal(sim->pipelines[i].name, name))
            return i;
    return -1;
}

static char *head(const struct sim *sim, int pipeline)
{
    return mem_format("rev-%d-%" PRIu64, pipeline, sim->pipelines[pipeline].pushes);
}

static void report_head(struct sim *sim, int pipeline)
{
    Pen__RevisionFound *found = MAKE(Pen__RevisionFound, pen__revision_found__init);
    found->pipeline = mem_text(sim->pipelines[pipeline].name);
    found->stage = mem_text("Source");
    found->action = mem_text("S");
    found->revision_id = head(sim, pipeline);
    SET(found, trigger_type, PEN__TRIGGER_TYPE__TRIGGER_WEBHOOK);
    core_post(sim, core_input(PEN__INPUT__WHAT_REVISION_FOUND, found));
}

static void fire_watch(struct sim *sim, struct sim_event *event)
{
    if (event->stamp == sim->core.life)
        report_head(sim, (int)event->number);
}

void source_watch(struct sim *sim, const Pen__SourceWatch *watch)
{
    int pipeline = pipeline_index(sim, watch->pipeline);
    if (watch->all_refs)
        refs_watch(sim, watch);
    if (pipeline < 0 || watch->all_refs)
        return;
    char *newest = head(sim, pipeline);
    if (!pen_str_equal(newest, watch->seen_revision_id)) {
        struct sim_event *event = sim_at(sim, 1 + sim_around(sim, 500), fire_watch);
        event->stamp = sim->core.life;
        event->number = (uint64_t)pipeline;
    }
    free(newest);
}

void source_push(struct sim *sim, int pipeline)
{
    sim->pipelines[pipeline].pushes++;
    sim_trace(sim, "push %" PRIu64 " to %s", sim->pipelines[pipeline].pushes,
              sim->pipelines[pipeline].name);
    report_head(sim, pipeline); /* a controller that is down asks when it is back */
}

static void fire_fetched(struct sim *sim, struct sim_event *event)
{
    if (event->stamp != sim->core.life)
        return; /* the fetching died with the controller */
    Pen__SourceDone *done = MAKE(Pen__SourceDone, pen__source_done__init);
    const char *id = event->data;
    const char *artifact = id + strlen(id) + 1;
    const char *wanted = artifact + strlen(artifact) + 1;
    done->action_execution_id = mem_text(id);
    SET(done, ok, !event->flag);
    if (event->flag) {
        done->error_code = mem_text("JobFailed");
        done->error_message = mem_text("the server is not there");
    } else {
        done->revision = MAKE(Pen__SourceRevision, pen__source_revision__init);
        done->revision->revision_id =
            wanted[0] != '\0' ? mem_text(wanted) : head(sim, (int)event->number);
        done->revision->revision_summary = mem_text("a commit");
        done->artifact = MAKE(Pen__ArtifactRef, pen__artifact_ref__init);
        done->artifact->name = mem_text(artifact);
        done->artifact->has_manifest_sha256 = 1;
        done->artifact->manifest_sha256.len = 32;
        done->artifact->manifest_sha256.data = mem_zero(32);
    }
    core_post(sim, core_input(PEN__INPUT__WHAT_SOURCE_DONE, done));
}

void source_run(struct sim *sim, const Pen__SourceRun *run)
{
    int pipeline = pipeline_index(sim, run->pipeline);
    struct sim_event *event = sim_at(sim, 5 + sim_around(sim, 2000), fire_fetched);
    event->stamp = sim->core.life;
    event->number = (uint64_t)(pipeline < 0 ? 0 : pipeline);
    event->flag = sim_chance(sim, sim->mix.action_fails_pm / 4);
    const char *artifact = run->artifact == NULL ? "" : run->artifact;
    const char *wanted = run->revision_id == NULL ? "" : run->revision_id;
    size_t a = strlen(run->action_execution_id) + 1;
    size_t b = strlen(artifact) + 1;
    char *text = mem_zero(a + b + strlen(wanted) + 1);
    memcpy(text, run->action_execution_id, a);
    memcpy(text + a, artifact, b);
    memcpy(text + a + b, wanted, strlen(wanted));
    event->data = text;
}
