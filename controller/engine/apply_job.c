/* controller/engine/apply_job.c - facts of custom action types and jobs applied */
#include "common/base/check.h"
#include "common/base/str.h"
#include "controller/engine/apply.h"
#include "controller/engine/job.h"

static int corrupt(struct pen_error *err, const Pen__Fact *fact, const char *why)
{
    return pen_fail(err, PEN_ECORRUPT, "fact %llu: %s", (unsigned long long)fact->seq, why);
}

/* ---- action types */

int apply_action_type_created(struct pen_engine *engine, const Pen__Fact *fact,
                              struct pen_error *err)
{
    const Pen__ActionTypeRow *row = fact->action_type_created->action_type;
    if (row == NULL || row->type == NULL || row->type->id == NULL)
        return corrupt(err, fact, "an action type without an id");
    struct action_type *former = find_action_type(engine, row->type->id);
    if (former != NULL && !former->row->has_deleted_ms)
        return corrupt(err, fact, "an action type is created twice");
    if (former == NULL) {
        struct entity *entity = entity_add(engine, PEN__ROW_KIND__ROW_ACTION_TYPE, mem_copy(row));
        entity_touch(engine, entity);
        return 0;
    }
    former->row->has_deleted_ms = 0;
    former->row->deleted_ms = 0;
    mem_set_text(&former->row->deleted_by, NULL);
    SET(former->row, created_ms, row->created_ms);
    mem_set_text(&former->row->created_by, row->created_by);
    entity_touch(engine, &former->entity);
    return 0;
}

int apply_action_type_deleted(struct pen_engine *engine, const Pen__Fact *fact,
                              struct pen_error *err)
{
    struct action_type *type = find_action_type(engine, fact->action_type_deleted->id);
    if (type == NULL || type->row->has_deleted_ms)
        return corrupt(err, fact, "an action type that is deleted is not there");
    SET(type->row, deleted_ms, fact->at_ms);
    mem_set_text(&type->row->deleted_by, fact->by);
    entity_touch(engine, &type->entity);
    return 0;
}

/* ---- jobs */

int apply_job_queued(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__JobRow *row = fact->job_queued->job;
    if (row == NULL || row->id == NULL || find_job(engine, row->id) != NULL ||
        row->order <= engine->setting->row->last_order)
        return corrupt(err, fact, "a job is made twice, or not in order");
    SET(engine->setting->row, last_order, row->order);
    struct entity *entity = entity_add(engine, PEN__ROW_KIND__ROW_JOB, mem_copy(row));
    int rc = entity_link(engine, entity, err);
    if (rc < 0)
        return rc;
    struct action *action = ((struct job *)entity)->action;
    mem_set_text(&action->row->job_id, row->id);
    SET(action->row, jobs, action->row->jobs + 1);
    SET(action->row, updated_ms, fact->at_ms);
    entity_touch(engine, &action->entity);
    entity_touch(engine, entity);
    return 0;
}

int apply_job_moved(struct pen_engine *engine, const Pen__Fact *fact, struct pen_error *err)
{
    const Pen__JobMoved *body = fact->job_moved;
    struct job *job = find_job(engine, body->job_id);
    if (job == NULL || !job_may_move(job->row->state, body->state))
        return corrupt(err, fact, "a job goes where it cannot");
    job_leave_state(engine, job);
    Pen__JobRow *row = job->row;
    SET(row, state, body->state);
    SET(row, state_since_ms, fact->at_ms);
    mem_set_text(&row->nonce, body->nonce);
    row->has_due_ms = body->has_due_ms;
    row->due_ms = body->due_ms;
    if (body->worker != NULL)
        mem_set_text(&row->worker, body->worker);
    if (body->state == PEN__JOB_STATE__JOB_DISPATCHED)
        SET(row, dispatches, row->dispatches + 1);
    if (body->revision != NULL) {
        struct action *action = job->action;
        mem_free_message(action->row->current_revision);
        action->row->current_revision = mem_copy(body->revision);
        entity_touch(engine, &action->entity);
    }
    if (!job_state_ended(body->state)) {
        job_enter_state(engine, job);
        entity_touch(engine, &job->entity);
        return 0;
    }
    job->action->job = NULL;
    job->action = NULL;
    pen_map_remove(&engine->jobs, pen_key_text(row->id));
    entity_retire(engine, &job->entity, false);
    return 0;
}
