/* tests/sim/refs.c - branches and tags of a git server, and the looks that compare them
 *
 * One repository, which pipeline "pulls" looks at for its trigger: tags "v*" are wanted, the many
 * branches are not. A look compares with what the watch began with and has reported since, and dies
 * with the controller. What has to come of it: each time that a tag is made or moved starts at most
 * one execution, and at the end the engine knows the refs as they are.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "tests/sim/sim.h"

enum {
    REPORTED_MAX = 60, /* of one look; the rest soon after */
    MANY = 180,        /* pushed at once */
};

static char *name_of(int ref)
{
    return ref < SIM_REFS_WANTED ? mem_format("refs/tags/v%d", ref)
                                 : mem_format("refs/heads/b%03d", ref);
}

static int ref_of(const char *name)
{
    const char *digits = strpbrk(name, "0123456789");
    return digits == NULL ? 0 : (int)(strtol(digits, NULL, 10) % SIM_REFS);
}

static char *id_of(uint64_t commit)
{
    return mem_format("%040" PRIx64, commit);
}

/* ---- looks */

static void look_soon(struct sim *sim, int64_t in_ms);

static void post_first(struct sim *sim, int from, int to)
{
    Pen__RefsLooked *looked = MAKE(Pen__RefsLooked, pen__refs_looked__init);
    looked->pipeline = mem_text(sim->refs.pipeline);
    looked->stage = mem_text("Source");
    looked->action = mem_text("S");
    SET(looked, watch, sim->refs.watch);
    SET(looked, begins, from == 0);
    SET(looked, complete, to == SIM_REFS);
    for (int i = from; i < to; i++) {
        if (sim->refs.commits[i] == 0)
            continue;
        Pen__SeenRef *ref = MAKE(Pen__SeenRef, pen__seen_ref__init);
        ref->name = name_of(i);
        ref->revision_id = id_of(sim->refs.commits[i]);
        APPEND(looked, refs, ref);
    }
    core_post(sim, core_input(PEN__INPUT__WHAT_REFS_LOOKED, looked));
}

static void post_found(struct sim *sim, int ref)
{
    Pen__RevisionFound *found = MAKE(Pen__RevisionFound, pen__revision_found__init);
    found->pipeline = mem_text(sim->refs.pipeline);
    found->stage = mem_text("Source");
    found->action = mem_text("S");
    found->ref_name = name_of(ref);
    SET(found, watch, sim->refs.watch);
    SET(found, trigger_type, PEN__TRIGGER_TYPE__TRIGGER_WEBHOOK_V2);
    if (sim->refs.commits[ref] == 0)
        SET(found, deleted, 1);
    else
        found->revision_id = id_of(sim->refs.commits[ref]);
    core_post(sim, core_input(PEN__INPUT__WHAT_REVISION_FOUND, found));
}

static void look(struct sim *sim)
{
    struct sim_refs *self = &sim->refs;
    if (!self->known) {
        int half = (int)sim_below(sim, SIM_REFS);
        post_first(sim, 0, half);
        post_first(sim, half, SIM_REFS);
        memcpy(self->told, self->commits, sizeof self->told);
        self->known = true;
    }
    int reported = 0;
    for (int i = 0; i < SIM_REFS && reported <= REPORTED_MAX; i++) {
        if (self->told[i] == self->commits[i])
            continue;
        if (reported++ == REPORTED_MAX) {
            look_soon(sim, 20);
            break;
        }
        post_found(sim, i);
        self->told[i] = self->commits[i];
    }
}

static void fire_look(struct sim *sim, struct sim_event *event)
{
    if (event->stamp == sim->core.life && event->number == sim->refs.watch)
        look(sim);
}

static void look_soon(struct sim *sim, int64_t in_ms)
{
    struct sim_event *event = sim_at(sim, in_ms, fire_look);
    event->stamp = sim->core.life;
    event->number = sim->refs.watch;
}

void refs_watch(struct sim *sim, const Pen__SourceWatch *watch)
{
    struct sim_refs *self = &sim->refs;
    mem_set_text(&self->pipeline, watch->pipeline);
    self->watch = watch->watch;
    self->known = watch->refs_known;
    memset(self->told, 0, sizeof self->told);
    for (size_t i = 0; self->known && i < watch->n_refs; i++)
        self->told[ref_of(watch->refs[i]->name)] = strtoull(watch->refs[i]->revision_id, NULL, 16);
    look_soon(sim, 1 + sim_around(sim, 2000));
}

/* ---- pushes */

static void change(struct sim *sim, int ref)
{
    struct sim_refs *self = &sim->refs;
    if (self->commits[ref] != 0 && sim_chance(sim, 300)) {
        self->former[ref] = self->commits[ref];
        self->commits[ref] = 0;
        return;
    }
    bool back = self->commits[ref] == 0 && self->former[ref] != 0 && sim_chance(sim, 700);
    self->commits[ref] = back ? self->former[ref] : ++sim->stamps;
    if (ref < SIM_REFS_WANTED)
        auditor_ref_pushed(sim, ref, self->commits[ref]);
}

void refs_push(struct sim *sim, int pipeline)
{
    (void)pipeline;
    int count = sim_chance(sim, 100) ? MANY : 1 + (int)sim_below(sim, 3);
    for (int i = 0; i < count; i++) {
        bool wanted = count < MANY ? sim_chance(sim, 500) : sim_chance(sim, 30);
        change(sim, (int)(wanted ? sim_below(sim, SIM_REFS_WANTED)
                                 : SIM_REFS_WANTED + sim_below(sim, SIM_REFS - SIM_REFS_WANTED)));
    }
    sim->counts[COUNT_REFS] += (uint64_t)count;
    if (sim->core.up && sim->refs.pipeline != NULL)
        look_soon(sim, 1 + sim_around(sim, 1000));
}

/* ---- at the end */

struct count {
    int refs;
    bool known;
};

static void compare_row(struct sim *sim, void *message, void *context)
{
    const Pen__SeenRefsRow *row = message;
    struct count *count = context;
    for (size_t i = 0; i < row->n_refs; i++) {
        if (pen_str_starts_with(row->refs[i]->name, "refs/pull/"))
            continue;
        char *id = id_of(sim->refs.commits[ref_of(row->refs[i]->name)]);
        if (!pen_str_equal(id, row->refs[i]->revision_id))
            sim_fail(sim, "NO LOSS: at the end %s is known at %s, and is at %s", row->refs[i]->name,
                     row->refs[i]->revision_id, id);
        free(id);
        count->refs++;
    }
}

static void is_known(struct sim *sim, void *message, void *context)
{
    const Pen__PipelineRow *row = message;
    struct count *count = context;
    for (size_t i = 0; i < row->n_watched; i++)
        if (pen_str_equal(row->name, sim->refs.pipeline) && row->watched[i]->refs_known)
            count->known = true;
}

void refs_check(struct sim *sim)
{
    struct count count = {0};
    int there = 0;
    core_each(sim, PEN__ROW_KIND__ROW_PIPELINE, &pen__pipeline_row__descriptor, is_known, &count);
    if (!count.known)
        return;
    core_each(sim, PEN__ROW_KIND__ROW_SEEN_REFS, &pen__seen_refs_row__descriptor, compare_row,
              &count);
    for (int i = 0; i < SIM_REFS; i++)
        there += sim->refs.commits[i] != 0;
    if (count.refs != there)
        sim_fail(sim, "NO LOSS: at the end %d branches and tags are known, and %d are there",
                 count.refs, there);
}
