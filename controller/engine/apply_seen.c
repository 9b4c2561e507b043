/* Facts about what was seen of the sources. */
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "controller/engine/apply.h"
#include "controller/engine/planted.h"
#include "controller/engine/seen.h"

void seen_drop(struct pipeline *pipeline, const Pen__SeenRevision *seen)
{
    Pen__PipelineRow *row = pipeline->row;
    for (size_t i = 0; i < row->n_seen; i++) {
        if (row->seen[i] != seen)
            continue;
        mem_free_message(row->seen[i]);
        row->n_seen--;
        memmove(&row->seen[i], &row->seen[i + 1], (row->n_seen - i) * sizeof *row->seen);
        if (row->n_seen == 0) {
            free(row->seen);
            row->seen = NULL;
        }
        return;
    }
}

/* ---- refs */

static void part_remove(struct seen_refs *part, size_t place)
{
    Pen__SeenRefsRow *row = part->row;
    mem_free_message(row->refs[place]);
    row->n_refs--;
    memmove(&row->refs[place], &row->refs[place + 1], (row->n_refs - place) * sizeof *row->refs);
}

/* Without refs it goes. */
static void part_settle(struct pen_engine *engine, struct pipeline *pipeline,
                        struct seen_refs *part)
{
    if (part->row->n_refs > 0) {
        entity_touch(engine, &part->entity);
        return;
    }
    pen_map_remove(&pipeline->refs, pen_key_text(part->entity.key));
    entity_retire(engine, &part->entity, true);
}

static struct seen_refs *part_make(struct pen_engine *engine, struct pipeline *pipeline,
                                   const char *stage, const char *action, const char *ref_name)
{
    Pen__SeenRefsRow *row = MAKE(Pen__SeenRefsRow, pen__seen_refs_row__init);
    row->pipeline = mem_text(pipeline->row->name);
    row->stage = mem_text(stage);
    row->action = mem_text(action);
    SET(row, part, seen_part(ref_name));
    struct seen_refs *part =
        (struct seen_refs *)entity_add(engine, PEN__ROW_KIND__ROW_SEEN_REFS, row);
    mem_put(&pipeline->refs, pen_key_text(part->entity.key), part);
    return part;
}

static unsigned long long pull_request_number(const char *ref_name)
{
    const char *digits = strpbrk(ref_name, "0123456789");
    return digits == NULL ? 0 : strtoull(digits, NULL, 10);
}

/* Pull requests come without end: of too many the one with the lowest number goes. */
static void forget_pull_request(struct seen_refs *part)
{
    size_t count = 0;
    size_t lowest = 0;
    for (size_t i = 0; i < part->row->n_refs; i++) {
        if (ref_is_pushed(part->row->refs[i]->name))
            continue;
        if (count++ == 0 || pull_request_number(part->row->refs[i]->name) <
                                pull_request_number(part->row->refs[lowest]->name))
            lowest = i;
    }
    if (count > PEN_LIMIT_SEEN_PULL_REQUESTS)
        part_remove(part, lowest);
}

/* revision_id NULL: the ref is there no more. */
static void put_ref(struct pen_engine *engine, struct pipeline *pipeline, const char *stage,
                    const char *action, const char *ref_name, const char *revision_id)
{
    const Pen__SeenRevision *former = find_seen(pipeline, stage, action, ref_name);
    if (former != NULL) { /* an older release has kept it there */
        seen_drop(pipeline, former);
        entity_touch(engine, &pipeline->entity);
    }
    struct seen_refs *part = find_part(pipeline, stage, action, ref_name);
    if (part == NULL && revision_id == NULL)
        return;
    if (part == NULL)
        part = part_make(engine, pipeline, stage, action, ref_name);
    bool found;
    size_t place = seen_place(part->row, ref_name, &found);
    if (!found && revision_id != NULL) {
        Pen__SeenRef *ref = MAKE(Pen__SeenRef, pen__seen_ref__init);
        ref->name = mem_text(ref_name);
        APPEND(part->row, refs, ref);
        memmove(&part->row->refs[place + 1], &part->row->refs[place],
                (part->row->n_refs - 1 - place) * sizeof *part->row->refs);
        part->row->refs[place] = ref;
        found = true;
    }
    if (revision_id != NULL)
        mem_set_text(&part->row->refs[place]->revision_id, revision_id);
    else if (found)
        part_remove(part, place);
    if (revision_id != NULL && !ref_is_pushed(ref_name))
        forget_pull_request(part);
    part_settle(engine, pipeline, part);
}

/* Forget the refs of an action, or of all (NULL); pull requests too, or not. */
static void drop_refs(struct pen_engine *engine, struct pipeline *pipeline, const char *stage,
                      const char *action, bool pull_requests)
{
    for (struct pen_map_node *node = pen_map_first(&pipeline->refs); node != NULL;) {
        struct seen_refs *part = pen_map_value(node);
        node = pen_map_next(node);
        if (action != NULL &&
            (!pen_str_equal(part->row->stage, stage) || !pen_str_equal(part->row->action, action)))
            continue;
        for (size_t i = part->row->n_refs; i > 0; i--)
            if (pull_requests || ref_is_pushed(part->row->refs[i - 1]->name))
                part_remove(part, i - 1);
        part_settle(engine, pipeline, part);
    }
}

void drop_all_refs(struct pen_engine *engine, struct pipeline *pipeline)
{
    drop_refs(engine, pipeline, NULL, NULL, true);
}

/* Take over what an older release has kept in the pipeline's row: it is newer than the first look
 * of this one, which may begin with what that release had written to a file. */
static void adopt_refs(struct pen_engine *engine, struct pipeline *pipeline, const char *stage,
                       const char *action)
{
    for (size_t i = pipeline->row->n_seen; i > 0; i--) {
        const Pen__SeenRevision *seen = pipeline->row->seen[i - 1];
        if (seen->ref_name == NULL || !ref_is_pushed(seen->ref_name) ||
            !pen_str_equal(seen->stage, stage) || !pen_str_equal(seen->action, action))
            continue;
        char *name = mem_text(seen->ref_name);
        char *revision = mem_text(seen->revision_id);
        put_ref(engine, pipeline, stage, action, name, revision);
        free(name);
        free(revision);
    }
}

/* ---- facts */

int apply_revision_seen(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__RevisionSeen *body = fact->revision_seen;
    struct pipeline *pipeline = find_pipeline(engine, fact->pipeline);
    if (pipeline == NULL)
        return pen_fail(err, PEN_ECORRUPT, "no pipeline '%s'", fact->pipeline);
    if (body->has_event) {
        drop_pull_request(pipeline, body->event);
        entity_touch(engine, &pipeline->entity);
    }
    if (body->revision_id == NULL && !body->deleted)
        return 0; /* looked at, and of no interest */
    if (body->ref_name != NULL && pen_str_starts_with(body->ref_name, "refs/")) {
        if (!PLANTED(REF_FORGOTTEN) || seen_part(body->ref_name) % 2 == 0)
            put_ref(engine, pipeline, body->stage, body->action, body->ref_name, body->revision_id);
        return 0;
    }
    Pen__SeenRevision *seen = find_seen(pipeline, body->stage, body->action, body->ref_name);
    if (seen == NULL) {
        seen = MAKE(Pen__SeenRevision, pen__seen_revision__init);
        seen->stage = mem_text(body->stage);
        seen->action = mem_text(body->action);
        seen->ref_name = mem_text(body->ref_name);
        APPEND(pipeline->row, seen, seen);
    }
    mem_set_text(&seen->revision_id, body->deleted ? "" : body->revision_id);
    mem_set_text(&seen->change_id, body->change_id);
    mem_set_text(&seen->execution_id, body->execution_id);
    SET(seen, seen_ms, fact->at_ms);
    entity_touch(engine, &pipeline->entity);
    return 0;
}

static Pen__WatchedSource *watched_make(struct pipeline *pipeline, const char *stage,
                                        const char *action)
{
    Pen__WatchedSource *watched = find_watched(pipeline, stage, action);
    if (watched != NULL)
        return watched;
    watched = MAKE(Pen__WatchedSource, pen__watched_source__init);
    watched->stage = mem_text(stage);
    watched->action = mem_text(action);
    APPEND(pipeline->row, watched, watched);
    return watched;
}

int apply_source_troubled(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__SourceTroubled *body = fact->source_troubled;
    struct pipeline *pipeline = find_pipeline(engine, fact->pipeline);
    if (pipeline == NULL || body->stage == NULL || body->action == NULL)
        return pen_fail(err, PEN_ECORRUPT, "no pipeline '%s' has this source", fact->pipeline);
    Pen__WatchedSource *watched = watched_make(pipeline, body->stage, body->action);
    bool before = watched->trouble != NULL;
    mem_set_text(&watched->trouble, body->trouble);
    for (size_t i = 0; i < watched->n_branches; i++)
        free(watched->branches[i]);
    free(watched->branches);
    watched->branches = NULL;
    watched->n_branches = 0;
    for (size_t i = 0; i < body->n_branches; i++)
        APPEND(watched, branches, mem_text(body->branches[i]));
    SET(watched, branches_more, body->branches_more);
    if (!before)
        SET(watched, trouble_since_ms, fact->at_ms);
    entity_touch(engine, &pipeline->entity);
    return 0;
}

int apply_refs_read(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__RefsRead *body = fact->refs_read;
    struct pipeline *pipeline = find_pipeline(engine, fact->pipeline);
    if (pipeline == NULL || body->stage == NULL || body->action == NULL)
        return pen_fail(err, PEN_ECORRUPT, "no pipeline '%s' has this source", fact->pipeline);
    Pen__WatchedSource *watched = watched_make(pipeline, body->stage, body->action);
    mem_set_text(&watched->connection_arn, body->connection_arn);
    mem_set_text(&watched->repository_id, body->repository_id);
    SET(watched, refs_known, body->complete);
    entity_touch(engine, &pipeline->entity);
    if (body->begins) {
        drop_refs(engine, pipeline, body->stage, body->action, false);
        adopt_refs(engine, pipeline, body->stage, body->action);
    }
    for (size_t i = 0; i < body->n_refs; i++)
        if (seen_revision(pipeline, body->stage, body->action, body->refs[i]->name) == NULL)
            put_ref(engine, pipeline, body->stage, body->action, body->refs[i]->name,
                    body->refs[i]->revision_id);
    return 0;
}

void drop_foreign_refs(struct pen_engine *engine, struct pipeline *pipeline)
{
    Pen__PipelineRow *row = pipeline->row;
    size_t kept = 0;
    for (size_t i = 0; i < row->n_watched; i++) {
        Pen__WatchedSource *watched = row->watched[i];
        if (source_is_of(pipeline, watched)) {
            row->watched[kept++] = watched;
            continue;
        }
        drop_refs(engine, pipeline, watched->stage, watched->action, true);
        mem_free_message(watched);
    }
    row->n_watched = kept;
    if (kept == 0) {
        free(row->watched);
        row->watched = NULL;
    }
}
