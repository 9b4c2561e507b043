#include "controller/engine/engine.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/id.h"
#include "common/base/limits.h"
#include "controller/engine/apply.h"
#include "controller/engine/decide.h"
#include "controller/engine/planted.h"
#include "controller/engine/job.h"

/* ---- life */

void pen_engine_options_default(struct pen_engine_options *ret_options)
{
    *ret_options = (struct pen_engine_options){
        .account = "000000000000",
        .region = "us-east-1",
        .heartbeat_ms = 10 * 1000,
        .suspect_ms = 30 * 1000,
        .lost_ms = 300 * 1000,
        .accept_ttl_ms = 10 * 1000,
        .start_ttl_ms = 60 * 1000,
        .approval_timeout_ms = 7 * 24 * 3600 * INT64_C(1000),
        .action_timeout_ms = 55 * 60 * 1000,
        .request_token_ttl_ms = 24 * 3600 * 1000,
        .job_timeout_ms = 24 * 3600 * 1000,
        .job_visibility_ms = 60 * 1000,
        .job_continuation_ms = 30 * 1000,
        .pipelines_max = PEN_LIMIT_PIPELINES,
        .executions_max = PEN_LIMIT_PIPELINE_EXECUTIONS,
        .parallel_actions_max = PEN_LIMIT_PARALLEL_ACTIONS,
        .webhooks_max = PEN_LIMIT_WEBHOOKS,
        .action_types_max = PEN_LIMIT_ACTION_TYPES,
        .polling_pipelines_max = PEN_LIMIT_POLLING_PIPELINES,
        .history_age_ms = PEN_LIMIT_HISTORY_AGE_MS,
        .history_count = PEN_LIMIT_HISTORY_COUNT,
        .repeatable_attempts_max = 2,
    };
}

int pen_engine_create(const struct pen_engine_options *options, struct pen_engine **ret_engine,
                      struct pen_error *err)
{
    if (options->account == NULL || options->region == NULL)
        return pen_fail(err, PEN_EINVAL, "the engine's options name no account or region");
    if (options->heartbeat_ms < 1 || options->suspect_ms < 1 ||
        options->lost_ms < options->suspect_ms || options->accept_ttl_ms < 1)
        return pen_fail(err, PEN_EINVAL,
                        "the engine's times have to be positive, and lost not before suspect");
    struct pen_engine *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the engine");
    self->options = *options;
    self->account = mem_text(options->account);
    self->region = mem_text(options->region);
    self->options.account = self->account;
    self->options.region = self->region;
    self->tell_timer = (struct timer){.kind = TIMER_TELL, .owner = self};
    pen_prng_init(&self->prng, options->seed);
    *ret_engine = self;
    return 0;
}

static void destroy_all(struct pen_map *map)
{
    for (struct pen_map_node *node = pen_map_first(map); node != NULL; node = pen_map_next(node))
        entity_destroy(pen_map_value(node));
    pen_map_release(map);
}

static void destroy_parts(struct pen_engine *self)
{
    for (struct pen_map_node *node = pen_map_first(&self->executions); node != NULL;
         node = pen_map_next(node)) {
        struct execution *execution = pen_map_value(node);
        for (size_t i = 0; execution->declaration != NULL && i < execution->declaration->n_stages;
             i++)
            if (execution->stages[i] != NULL) {
                struct stage_run *run = execution->stages[i];
                for (size_t k = 0; k < run->rules_count; k++)
                    entity_destroy(&run->rules[k]->entity);
                entity_destroy(&run->entity);
            }
    }
    for (struct pen_map_node *node = pen_map_first(&self->pipelines); node != NULL;
         node = pen_map_next(node)) {
        struct pipeline *pipeline = pen_map_value(node);
        destroy_all(&pipeline->stages);
        destroy_all(&pipeline->refs);
    }
}

/* Rows that were loaded and not linked (all): those that only their owners would find. */
static void destroy_loading(struct pen_engine *self)
{
    for (struct pen_map_node *node = pen_map_first(&self->pipelines); node != NULL;
         node = pen_map_next(node)) {
        struct pipeline *pipeline = pen_map_value(node);
        pen_map_release(&pipeline->versions);
        pen_map_release(&pipeline->stages);
        pen_map_release(&pipeline->refs);
    }
    for (struct entity *entity = self->loading; entity != NULL;) {
        struct entity *next = entity->next_dirty;
        if (entity->kind == PEN__ROW_KIND__ROW_PIPELINE_VERSION ||
            entity->kind == PEN__ROW_KIND__ROW_STAGE_STATE ||
            entity->kind == PEN__ROW_KIND__ROW_SEEN_REFS ||
            entity->kind == PEN__ROW_KIND__ROW_STAGE_EXECUTION ||
            entity->kind == PEN__ROW_KIND__ROW_RULE_EXECUTION)
            entity_destroy(entity);
        entity = next;
    }
}

static void destroy_demands(struct pen_engine *self)
{
    for (struct pen_map_node *node = pen_map_first(&self->demands); node != NULL;
         node = pen_map_next(node)) {
        struct demand *demand = pen_map_value(node);
        pen_map_release(&demand->queue);
        free(demand->sentence);
        free(demand->text);
        free(demand);
    }
}

static void destroy_job_queues(struct pen_engine *self)
{
    for (struct pen_map_node *node = pen_map_first(&self->job_queues); node != NULL;
         node = pen_map_next(node)) {
        struct job_queue *queue = pen_map_value(node);
        pen_map_release(&queue->jobs);
        free(queue->text);
        free(queue);
    }
    pen_map_release(&self->job_queues);
}

void pen_engine_destroy(struct pen_engine **self_p)
{
    struct pen_engine *self = *self_p;
    if (self == NULL)
        return;
    flush_rows(self, NULL);
    pen_heap_release(&self->timers);
    if (self->loading != NULL)
        destroy_loading(self);
    else
        destroy_parts(self);
    destroy_demands(self);
    destroy_job_queues(self);
    for (struct pen_map_node *node = pen_map_first(&self->pipelines); node != NULL;
         node = pen_map_next(node))
        destroy_all(&((struct pipeline *)pen_map_value(node))->versions);
    struct pen_map *owners[] = {&self->actions,     &self->attempts,     &self->executions,
                                &self->pipelines,   &self->agents,       &self->tokens,
                                &self->requests,    &self->repositories, &self->connections,
                                &self->access_keys, &self->action_types, &self->jobs,
                                &self->webhooks,    &self->removals};
    for (size_t i = 0; i < sizeof owners / sizeof owners[0]; i++)
        destroy_all(owners[i]);
    struct pen_map *indexes[] = {&self->token_ends, &self->request_ends, &self->approvals,
                                 &self->offers,     &self->demands,      &self->free_agents,
                                 &self->fresh,      &self->written_dead, &self->abandoned};
    for (size_t i = 0; i < sizeof indexes / sizeof indexes[0]; i++)
        pen_map_release(indexes[i]);
    left_memory_clear(self);
    if (self->collection != NULL)
        entity_destroy(&self->collection->entity);
    if (self->setting != NULL)
        entity_destroy(&self->setting->entity);
    packer_release(&self->packer);
    free(self->account);
    free(self->region);
    free(self);
    *self_p = NULL;
}

/* ---- load and plan */

int pen_engine_load(struct pen_engine *self, Pen__RowKind kind, const uint8_t *body, size_t size,
                    struct pen_error *err)
{
    const ProtobufCMessageDescriptor *type = row_type(kind);
    if (type == NULL || self->linked)
        return pen_fail(err, PEN_ECORRUPT, "a live row of kind %d cannot be loaded", (int)kind);
    ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, size, body);
    if (message == NULL)
        return pen_fail(err, PEN_ECORRUPT, "a live row of kind %d cannot be read", (int)kind);
    if (!row_complete(kind, message)) {
        mem_free_message(message);
        return pen_fail(err, PEN_ECORRUPT, "a live row of kind %d lacks its key", (int)kind);
    }
    struct entity *entity = entity_add(self, kind, message);
    entity->next_dirty = self->loading; /* not dirty: the field is free until it is linked */
    self->loading = entity;
    return 0;
}

static int link_kind(struct pen_engine *self, Pen__RowKind kind, struct pen_error *err)
{
    for (struct entity *entity = self->loading; entity != NULL; entity = entity->next_dirty) {
        if (entity->kind != kind)
            continue;
        int rc = entity_link(self, entity, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void unload_list(struct pen_engine *self)
{
    while (self->loading != NULL) {
        struct entity *next = self->loading->next_dirty;
        self->loading->next_dirty = NULL;
        self->loading = next;
    }
}

/* Silence counts from now on: who was not heard while nobody listened is not to blame. */
static void arm_timers(struct pen_engine *self, int64_t leapt_ms)
{
    for (struct pen_map_node *node = pen_map_first(&self->agents); node != NULL;
         node = pen_map_next(node)) {
        struct agent *agent = pen_map_value(node);
        if (!PLANTED(SILENCE_COUNTED) || agent->seen_ms == 0)
            agent->seen_ms = self->now_ms;
        agent_reindex(self, agent); /* its pause may be over, and its timer not have fired */
        agent_arm_timer(self, agent);
    }
    for (struct pen_map_node *node = pen_map_first(&self->attempts); node != NULL;
         node = pen_map_next(node)) {
        struct attempt *attempt = pen_map_value(node);
        attempt->leapt_ms += leapt_ms;
        attempt_arm(self, attempt);
    }
    for (struct pen_map_node *node = pen_map_first(&self->pipelines); node != NULL;
         node = pen_map_next(node))
        polling_arm(self, pen_map_value(node));
    if (self->demands.count > 0)
        agents_changed(self);
}

static int link_all(struct pen_engine *self, struct pen_error *err)
{
    if (self->setting == NULL && self->loading != NULL)
        return pen_fail(err, PEN_ECORRUPT, "the database has rows, but not the first of them");
    for (int kind = PEN__ROW_KIND__ROW_PIPELINE; kind <= PEN__ROW_KIND__ROW_SEEN_REFS; kind++) {
        int rc = link_kind(self, (Pen__RowKind)kind, err);
        if (rc < 0)
            return rc;
    }
    for (struct pen_map_node *node = pen_map_first(&self->pipelines); node != NULL;
         node = pen_map_next(node)) {
        const struct pipeline *pipeline = pen_map_value(node);
        if (pipeline->current == NULL)
            return pen_fail(err, PEN_ECORRUPT, "pipeline '%s' has no version %d",
                            pipeline->row->name, pipeline->row->version);
    }
    unload_list(self);
    self->linked = true;
    return 0;
}

static void create_database(struct pen_engine *self)
{
    Pen__DatabaseCreated *body = MAKE(Pen__DatabaseCreated, pen__database_created__init);
    char id[PEN_UUID_TEXT_SIZE];
    pen_uuid(&self->prng, id);
    body->account = mem_text(self->account);
    body->region = mem_text(self->region);
    body->db_incarnation = mem_text(id);
    emit(self, NULL, NULL, PEN__FACT__WHAT_DATABASE_CREATED, body);
}

int pen_engine_plan(struct pen_engine *self, int64_t now_ms, struct pen_engine_out *out,
                    struct pen_error *err)
{
    bool first = !self->linked;
    int64_t leapt_ms =
        first ? 0 : now_ms - self->now_ms; /* nothing was heard since the last step */
    self->now_ms = now_ms;
    self->out = out;
    self->by = NULL;
    if (first) {
        self->planned_ms = now_ms;
        int rc = link_all(self, err);
        if (rc < 0) {
            self->out = NULL;
            return rc;
        }
        if (self->setting == NULL)
            create_database(self);
    } else {
        self->unsure_until_ms = now_ms + self->options.suspect_ms;
    }
    arm_timers(self, leapt_ms); /* silence counts from here: nobody was listened to before */
    plan_all(self);
    flush_rows(self, out);
    self->out = NULL;
    if (self->options.check_invariants)
        check_invariants(self);
    return 0;
}

/* ---- step */

static handler_f *const handlers[] = {
    [PEN__INPUT__WHAT_CREATE_PIPELINE] = handle_create_pipeline,
    [PEN__INPUT__WHAT_UPDATE_PIPELINE] = handle_update_pipeline,
    [PEN__INPUT__WHAT_DELETE_PIPELINE] = handle_delete_pipeline,
    [PEN__INPUT__WHAT_START_EXECUTION] = handle_start_execution,
    [PEN__INPUT__WHAT_STOP_EXECUTION] = handle_stop_execution,
    [PEN__INPUT__WHAT_PUT_APPROVAL] = handle_put_approval,
    [PEN__INPUT__WHAT_CHANGE_TRANSITION] = handle_change_transition,
    [PEN__INPUT__WHAT_RETRY_STAGE] = handle_retry_stage,
    [PEN__INPUT__WHAT_ROLLBACK] = handle_rollback,
    [PEN__INPUT__WHAT_RESOLVE_ATTEMPT] = handle_resolve_attempt,
    [PEN__INPUT__WHAT_EXPLAIN] = handle_explain,
    [PEN__INPUT__WHAT_GET_HEALTH] = handle_get_health,
    [PEN__INPUT__WHAT_OVERRIDE_CONDITION] = handle_override_condition,
    [PEN__INPUT__WHAT_CREATE_TOKEN] = handle_create_token,
    [PEN__INPUT__WHAT_CHANGE_AGENT] = handle_change_agent,
    [PEN__INPUT__WHAT_CREATE_REPOSITORY] = handle_create_repository,
    [PEN__INPUT__WHAT_DELETE_REPOSITORY] = handle_delete_repository,
    [PEN__INPUT__WHAT_REPOSITORY_MADE] = handle_repository_made,
    [PEN__INPUT__WHAT_CREATE_CONNECTION] = handle_create_connection,
    [PEN__INPUT__WHAT_DELETE_CONNECTION] = handle_delete_connection,
    [PEN__INPUT__WHAT_CREATE_ACCESS_KEY] = handle_create_access_key,
    [PEN__INPUT__WHAT_LIST_AGENTS] = handle_list_agents,
    [PEN__INPUT__WHAT_CREATE_ACTION_TYPE] = handle_create_action_type,
    [PEN__INPUT__WHAT_DELETE_ACTION_TYPE] = handle_delete_action_type,
    [PEN__INPUT__WHAT_POLL_JOBS] = handle_poll_jobs,
    [PEN__INPUT__WHAT_ACKNOWLEDGE_JOB] = handle_acknowledge_job,
    [PEN__INPUT__WHAT_PUT_JOB_RESULT] = handle_put_job_result,
    [PEN__INPUT__WHAT_PUT_WEBHOOK] = handle_put_webhook,
    [PEN__INPUT__WHAT_DELETE_WEBHOOK] = handle_delete_webhook,
    [PEN__INPUT__WHAT_WEBHOOK_CALLED] = handle_webhook_called,
    [PEN__INPUT__WHAT_PUT_ACTION_REVISION] = handle_put_action_revision,
    [PEN__INPUT__WHAT_AGENT_MESSAGE] = handle_agent_message,
    [PEN__INPUT__WHAT_AGENT_GONE] = handle_agent_gone,
    [PEN__INPUT__WHAT_LOG_STORED] = handle_log_stored,
    [PEN__INPUT__WHAT_ARTIFACT_ARRIVED] = handle_artifact_arrived,
    [PEN__INPUT__WHAT_REVISION_FOUND] = handle_revision_found,
    [PEN__INPUT__WHAT_REFS_LOOKED] = handle_refs_looked,
    [PEN__INPUT__WHAT_SOURCE_LOOKED] = handle_source_looked,
    [PEN__INPUT__WHAT_SOURCE_DONE] = handle_source_done,
    [PEN__INPUT__WHAT_PUSH_NOTIFIED] = handle_push_notified,
    [PEN__INPUT__WHAT_ZONE_LOADED] = handle_zone_loaded,
    [PEN__INPUT__WHAT_CLOCK_SET] = handle_clock_set,
    [PEN__INPUT__WHAT_PULL_REQUEST_NOTIFIED] = handle_pull_request_notified,
    [PEN__INPUT__WHAT_PULL_REQUEST_FOUND] = handle_pull_request_found,
    [PEN__INPUT__WHAT_START_COLLECTION] = handle_start_collection,
    [PEN__INPUT__WHAT_REMOVE_HISTORY] = handle_remove_history,
    [PEN__INPUT__WHAT_HISTORY_GONE] = handle_history_gone,
    [PEN__INPUT__WHAT_SWEEP_MIRRORS] = handle_sweep_mirrors,
    [PEN__INPUT__WHAT_MIRRORS_SWEPT] = handle_mirrors_swept,
    [PEN__INPUT__WHAT_COLLECTION_DONE] = handle_collection_done,
};

static void fire(struct pen_engine *self, struct timer *timer)
{
    switch (timer->kind) {
    case TIMER_ACTION: {
        struct action *action = timer->owner;
        if (action->offered_to != NULL)
            offer_expire(self, action);
        else if (action->row->phase == PEN__ACTION_PHASE__ACTION_JOB)
            job_expire(self, action);
        else
            approval_expire(self, action);
        break;
    }
    case TIMER_AGENT:
        agent_timer(self, timer->owner);
        break;
    case TIMER_ATTEMPT:
        attempt_timer(self, timer->owner);
        break;
    case TIMER_RULE:
        execution_work(self, ((struct rule *)timer->owner)->run->execution);
        break;
    case TIMER_JOB:
        job_timer(self, timer->owner);
        break;
    case TIMER_POLLING:
        polling_stop(self, timer->owner);
        break;
    case TIMER_TELL:
        assign_tell_all(self);
        break;
    }
}

static void fire_due(struct pen_engine *self)
{
    struct pen_heap_entry *entry;
    while ((entry = pen_heap_first(&self->timers)) != NULL && entry->at <= self->now_ms) {
        pen_heap_disarm(&self->timers, entry);
        fire(self, (struct timer *)entry); /* the entry is the timer's first member */
    }
}

/* Follow-ups until nothing changes. */
static void settle(struct pen_engine *self)
{
    self->by = NULL;
    size_t moves = 0;
    for (;;) {
        CHECK(++moves < PEN_LIMIT_FOLLOW_UPS);
        struct execution *execution = self->work;
        struct stage_state *gate = self->gate_work;
        if (execution != NULL) {
            self->work = execution->next_work;
            execution->in_work = false;
            execution_advance(self, execution);
        } else if (gate != NULL) {
            self->gate_work = gate->next_work;
            gate->in_work = false;
            gate_advance(self, gate);
        } else if (self->assign_wanted) {
            assign(self);
        } else if (self->fresh.count > 0) {
            assign_tell_fresh(self);
        } else {
            return;
        }
    }
}

static void send_reply(struct pen_engine *self, const Pen__Input *input, Pen__Reply *reply, int rc,
                       const struct pen_error *err)
{
    if (input->correlation == 0 || (rc == 0 && self->reply_later)) {
        mem_free_message(reply);
        return;
    }
    SET(reply, correlation, input->correlation);
    if (rc < 0) {
        reply->error = mem_text(err->api_name != NULL ? err->api_name : "ValidationException");
        reply->message = mem_text(err->message);
    }
    effect(self, PEN__EFFECT__WHAT_REPLY, reply);
}

static void handle(struct pen_engine *self, const Pen__Input *input)
{
    if (input->what_case == PEN__INPUT__WHAT_TICK) {
        fire_due(self);
        return;
    }
    struct pen_error err = {0};
    self->reply_later = false;
    Pen__Reply *reply = MAKE(Pen__Reply, pen__reply__init);
    size_t what = (size_t)input->what_case;
    int rc;
    if (what < sizeof handlers / sizeof handlers[0] && handlers[what] != NULL)
        rc = handlers[what](self, input, reply, &err);
    else
        rc = pen_fail_api(&err, PEN_EUNSUPPORTED, "InvalidActionException",
                          "the engine knows no input of kind %zu", what);
    send_reply(self, input, reply, rc, &err);
}

int pen_engine_take(struct pen_engine *self, const Pen__Input *input, int64_t now_ms,
                    struct pen_engine_out *out, struct pen_error *err)
{
    if (!self->linked || self->setting == NULL)
        return pen_fail(err, PEN_ECORRUPT, "the engine steps before it was planned");
    CHECK(now_ms >= self->now_ms);
    self->now_ms = now_ms;
    self->out = out;
    self->by = input->principal;
    handle(self, input);
    settle(self);
    self->out = NULL;
    self->by = NULL;
    self->ready = NULL;
    if (self->options.check_invariants)
        check_invariants(self);
    return 0;
}

void pen_engine_flush(struct pen_engine *self, struct pen_engine_out *out)
{
    flush_rows(self, out);
}

int pen_engine_step(struct pen_engine *self, const Pen__Input *input, int64_t now_ms,
                    struct pen_engine_out *out, struct pen_error *err)
{
    int rc = pen_engine_take(self, input, now_ms, out, err);
    if (rc == 0)
        flush_rows(self, out);
    return rc;
}

int64_t pen_engine_time(const struct pen_engine *self)
{
    return self->setting == NULL ? 0 : self->setting->row->last_fact_ms;
}

int64_t pen_engine_deadline(const struct pen_engine *self)
{
    const struct pen_heap_entry *first = pen_heap_first(&self->timers);
    return first != NULL ? first->at : INT64_MAX;
}

/* ---- replay */

int pen_engine_fold(struct pen_engine *self, const Pen__Fact *fact, struct pen_engine_out *out,
                    struct pen_error *err)
{
    if (self->loading != NULL)
        return pen_fail(err, PEN_ECORRUPT, "facts are folded into an engine that began empty");
    self->linked = true;
    self->folding = true;
    self->now_ms = fact->at_ms;
    int rc = apply(self, fact, err);
    self->folding = false;
    self->assign_wanted = false;
    if (rc == 0)
        flush_rows(self, out);
    return rc;
}

int pen_engine_replay(struct pen_engine *self, const Pen__Fact *fact, struct pen_error *err)
{
    return pen_engine_fold(self, fact, NULL, err);
}

/* ---- audit */

struct row_list {
    const struct entity **entities;
    size_t count;
};

static void list_add(struct row_list *list, const struct entity *entity)
{
    list->entities = mem_grow(list->entities, list->count);
    list->entities[list->count++] = entity;
}

static void list_map(struct row_list *list, const struct pen_map *map)
{
    for (struct pen_map_node *node = pen_map_first(map); node != NULL; node = pen_map_next(node))
        list_add(list, pen_map_value(node));
}

static int compare_entities(const void *a, const void *b)
{
    const struct entity *x = *(const struct entity *const *)a;
    const struct entity *y = *(const struct entity *const *)b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return strcmp(x->key, y->key);
}

int pen_engine_rows(struct pen_engine *self, int (*each)(void *context, const struct pen_row *row),
                    void *context, struct pen_error *err)
{
    (void)err;
    struct row_list list = {0};
    if (self->setting != NULL)
        list_add(&list, &self->setting->entity);
    if (self->collection != NULL)
        list_add(&list, &self->collection->entity);
    struct pen_map *maps[] = {&self->pipelines,   &self->executions,   &self->actions,
                              &self->attempts,    &self->agents,       &self->tokens,
                              &self->requests,    &self->repositories, &self->connections,
                              &self->access_keys, &self->action_types, &self->jobs,
                              &self->webhooks,    &self->removals};
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++)
        list_map(&list, maps[i]);
    for (struct pen_map_node *node = pen_map_first(&self->pipelines); node != NULL;
         node = pen_map_next(node)) {
        const struct pipeline *pipeline = pen_map_value(node);
        list_map(&list, &pipeline->versions);
        list_map(&list, &pipeline->stages);
        list_map(&list, &pipeline->refs);
    }
    for (struct pen_map_node *node = pen_map_first(&self->executions); node != NULL;
         node = pen_map_next(node)) {
        const struct execution *execution = pen_map_value(node);
        for (size_t i = 0; i < execution->declaration->n_stages; i++)
            if (execution->stages[i] != NULL) {
                const struct stage_run *run = execution->stages[i];
                list_add(&list, &run->entity);
                for (size_t k = 0; k < run->rules_count; k++)
                    list_add(&list, &run->rules[k]->entity);
            }
    }
    if (list.count > 0)
        qsort(list.entities, list.count, sizeof list.entities[0], compare_entities);
    int rc = 0;
    for (size_t i = 0; i < list.count && rc == 0; i++) {
        struct pen_row row;
        row_pack(&self->packer, list.entities[i], &row);
        rc = each(context, &row);
        row_release(&row);
    }
    free(list.entities);
    return rc;
}
