/* tests/unit/engine/world_hosts.h - the world's agents, sources and data: part of world.h
 *
 * An agent's jobs are what its host and spool would keep: they survive a restart of either side.
 */
#ifndef PEN_TESTS_UNIT_ENGINE_WORLD_HOSTS_H
#define PEN_TESTS_UNIT_ENGINE_WORLD_HOSTS_H

/* ---- agents */

static Pen__InventoryItem *job_item(const struct job *job)
{
    Pen__InventoryItem *item = MAKE(Pen__InventoryItem, pen__inventory_item__init);
    SET(item, fence, job->fence);
    SET(item, phase, job->tomb ? PEN__ATTEMPT_PHASE__PHASE_TOMB : job->phase);
    SET(item, last_seq, job->last_seq);
    return item;
}

static void agent_hello(struct world *w, struct fake_agent *a)
{
    Pen__Hello *hello = MAKE(Pen__Hello, pen__hello__init);
    SET(hello, proto_min, 1);
    SET(hello, proto_max, 1);
    hello->spool_id = mem_text(a->spool_id);
    hello->boot_id = mem_text("boot");
    hello->run_id = mem_text(a->run_id);
    hello->machine_id = mem_text(a->name);
    SET(hello, spool_seq, a->spool_seq);
    SET(hello, max_fence, a->max_fence);
    SET(hello, slots, a->slots);
    for (size_t i = 0; i < a->jobs_count; i++)
        APPEND(hello, inventory, job_item(&a->jobs[i]));
    a->link++;
    a->session_no = 0;
    world_send(w, a, PEN__FROM_AGENT__BODY_HELLO, hello);
}

static struct job *agent_job(struct fake_agent *a, uint64_t fence)
{
    for (size_t i = 0; i < a->jobs_count; i++)
        if (a->jobs[i].fence == fence)
            return &a->jobs[i];
    return NULL;
}

static struct job *agent_new_job(struct fake_agent *a, uint64_t fence)
{
    assert_true(a->jobs_count < WORLD_JOBS);
    struct job *job = &a->jobs[a->jobs_count++];
    *job = (struct job){.fence = fence, .phase = PEN__ATTEMPT_PHASE__PHASE_STARTING};
    a->spool_seq++;
    if (fence > a->max_fence)
        a->max_fence = fence;
    return job;
}

static void agent_forget(struct fake_agent *a, uint64_t fence)
{
    struct job *job = agent_job(a, fence);
    if (job == NULL)
        return;
    for (size_t i = 0; i < 3; i++)
        mem_free_message(job->events[i]);
    mem_free_message(job->capsule);
    free(job->action);
    *job = a->jobs[--a->jobs_count];
}

static void agent_send_event(struct world *w, struct fake_agent *a, const struct job *job,
                             uint64_t seq)
{
    world_send(w, a, PEN__FROM_AGENT__BODY_EVENT, mem_copy(job->events[seq - 1]));
}

static Pen__Event *job_event(struct fake_agent *a, struct job *job, Pen__Event__WhatCase what,
                             void *body)
{
    Pen__Event *event = MAKE(Pen__Event, pen__event__init);
    SET(event, fence, job->fence);
    SET(event, seq, ++job->last_seq);
    event->what_case = what;
    event->started = body;
    job->events[job->last_seq - 1] = event;
    a->spool_seq++;
    return event;
}

static void data_deliver(struct world *w, const struct job *job, const Pen__ArtifactRef *made)
{
    Pen__ArtifactArrived *arrived = MAKE(Pen__ArtifactArrived, pen__artifact_arrived__init);
    SET(arrived, fence, job->fence);
    arrived->artifact = mem_copy(made);
    world_arrive(w, input_new(PEN__INPUT__WHAT_ARTIFACT_ARRIVED, arrived));
}

/* The process ends: kind and code as given; a code below 0 is a signal. */
static void agent_end_job(struct world *w, struct fake_agent *a, uint64_t fence,
                          Pen__FinishKind kind, int32_t code)
{
    struct job *job = agent_job(a, fence);
    if (job == NULL || job->phase == PEN__ATTEMPT_PHASE__PHASE_FINISHED)
        return;
    Pen__Finished *finished = MAKE(Pen__Finished, pen__finished__init);
    SET(finished, kind, kind);
    if (code < 0)
        SET(finished, signal, -code);
    else
        SET(finished, exit_code, code);
    SET(finished, log_size, 100);
    if (w->timing_out)
        SET(finished, timed_out, 1);
    if (kind == PEN__FINISH_KIND__EXITED && code == 0)
        for (size_t i = 0; job->capsule != NULL && i < job->capsule->n_outputs; i++) {
            Pen__ArtifactRef *made = MAKE(Pen__ArtifactRef, pen__artifact_ref__init);
            made->name = mem_text(job->capsule->outputs[i]->name);
            made->has_manifest_sha256 = 1;
            made->manifest_sha256.len = 32;
            made->manifest_sha256.data = mem_zero(32);
            memcpy(made->manifest_sha256.data, &fence, sizeof fence);
            APPEND(finished, artifacts, made);
        }
    Pen__Finished__OutputVariablesEntry *variable =
        MAKE(Pen__Finished__OutputVariablesEntry, pen__finished__output_variables_entry__init);
    variable->key = mem_text("WHO");
    variable->value = mem_text(job->action != NULL ? job->action : "nobody");
    APPEND(finished, output_variables, variable);
    job->phase = PEN__ATTEMPT_PHASE__PHASE_FINISHED;
    Pen__Event *event = job_event(a, job, PEN__EVENT__WHAT_FINISHED, finished);
    uint64_t seq = event->seq;
    Pen__Finished *copy = mem_copy(finished);
    agent_send_event(w, a, job, seq);
    for (size_t i = 0; i < copy->n_artifacts && agent_job(a, fence) != NULL; i++)
        data_deliver(w, agent_job(a, fence), copy->artifacts[i]);
    mem_free_message(copy);
}

static bool same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* Whether the name is in a list like "A,B". */
static bool listed(const char *list, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = list; at != NULL && *at != '\0';) {
        size_t end = strcspn(at, ",");
        if (end == size && strncmp(at, name, size) == 0)
            return true;
        at += end + (at[end] == ',');
    }
    return false;
}

static void agent_start(struct world *w, struct fake_agent *a, const Pen__Start *start)
{
    if (agent_job(a, start->fence) != NULL)
        return; /* has it, or has sworn not to begin it */
    bool stale = start->fence <= a->max_fence;
    if (stale && !w->simulated)
        fail_msg("agent %s is told to start fence %llu after %llu", a->name,
                 (unsigned long long)start->fence, (unsigned long long)a->max_fence);
    struct job *job = agent_new_job(a, start->fence);
    if (stale) { /* overtaken on the way */
        agent_end_job(w, a, start->fence, PEN__FINISH_KIND__REFUSED_START, 0);
        return;
    }
    job->capsule = mem_copy(start->capsule);
    job->action = mem_text(start->capsule->action);
    job->phase = PEN__ATTEMPT_PHASE__PHASE_RUNNING;
    if (same(job->action, w->counted))
        w->begun++;
    if (w->begins != NULL)
        w->begins(w, a, start->capsule);
    Pen__Started *started = MAKE(Pen__Started, pen__started__init);
    started->isolation = mem_text("namespaces");
    job_event(a, job, PEN__EVENT__WHAT_STARTED, started);
    agent_send_event(w, a, job, 1);
    job = agent_job(a, start->fence);
    if (job != NULL && !w->simulated && !listed(w->holding, job->action))
        agent_end_job(w, a, start->fence, PEN__FINISH_KIND__EXITED,
                      listed(w->failing, job->action) ? 3 : 0);
}

static void agent_revoke(struct world *w, struct fake_agent *a, uint64_t fence)
{
    struct job *job = agent_job(a, fence);
    if (job == NULL) {
        job = agent_new_job(a, fence);
        job->tomb = true;
    }
    Pen__Revoked *revoked = MAKE(Pen__Revoked, pen__revoked__init);
    SET(revoked, fence, fence);
    SET(revoked, never_began, job->tomb);
    if (!job->tomb)
        revoked->item = job_item(job);
    world_send(w, a, PEN__FROM_AGENT__BODY_REVOKED, revoked);
}

static void agent_cancel(struct world *w, struct fake_agent *a, uint64_t fence)
{
    struct job *job = agent_job(a, fence);
    if (job == NULL || job->tomb)
        agent_revoke(w, a, fence);
    else if (!listed(w->defying, job->action))
        agent_end_job(w, a, fence, PEN__FINISH_KIND__KILLED, 0);
}

static void agent_welcome(struct world *w, struct fake_agent *a, const Pen__Welcome *welcome)
{
    if (welcome->session_no > a->session_no)
        a->session_no = welcome->session_no;
    for (size_t i = 0; i < welcome->n_known; i++) {
        struct job *job = agent_job(a, welcome->known[i]->fence);
        for (uint64_t seq = welcome->known[i]->last_seq + 1; job != NULL && seq <= job->last_seq;
             seq++) {
            agent_send_event(w, a, job, seq);
            job = agent_job(a, welcome->known[i]->fence);
        }
        /* Artifacts whose arrival was not confirmed are sent again. */
        if (job != NULL && job->phase == PEN__ATTEMPT_PHASE__PHASE_FINISHED) {
            Pen__Finished *copy = mem_copy(job->events[job->last_seq - 1]->finished);
            for (size_t k = 0; k < copy->n_artifacts; k++)
                data_deliver(w, job, copy->artifacts[k]);
            mem_free_message(copy);
        }
    }
}

static void agent_receive(struct world *w, struct fake_agent *a, const Pen__ToAgent *message)
{
    switch ((int)message->body_case) {
    case PEN__TO_AGENT__BODY_WELCOME:
        agent_welcome(w, a, message->welcome);
        break;
    case PEN__TO_AGENT__BODY_OFFER: {
        if (a->declines != NULL) {
            Pen__Decline *decline = MAKE(Pen__Decline, pen__decline__init);
            SET(decline, fence, message->offer->fence);
            decline->reason = mem_text(a->declines);
            world_send(w, a, PEN__FROM_AGENT__BODY_DECLINE, decline);
            break;
        }
        Pen__Accept *accept = MAKE(Pen__Accept, pen__accept__init);
        SET(accept, fence, message->offer->fence);
        world_send(w, a, PEN__FROM_AGENT__BODY_ACCEPT, accept);
        break;
    }
    case PEN__TO_AGENT__BODY_START:
        if (!a->loses_starts)
            agent_start(w, a, message->start);
        break;
    case PEN__TO_AGENT__BODY_CANCEL:
        agent_cancel(w, a, message->cancel->fence);
        break;
    case PEN__TO_AGENT__BODY_REVOKE:
        agent_revoke(w, a, message->revoke->fence);
        break;
    case PEN__TO_AGENT__BODY_RELEASE:
        for (size_t i = 0; i < message->release->n_fences; i++)
            agent_forget(a, message->release->fences[i]);
        break;
    case PEN__TO_AGENT__BODY_RESEND: {
        struct job *job = agent_job(a, message->resend->fence);
        for (uint64_t seq = message->resend->from_seq; job != NULL && seq <= job->last_seq; seq++)
            agent_send_event(w, a, job, seq);
        break;
    }
    case PEN__TO_AGENT__BODY_REFUSED:
        if (w->simulated && (message->refused->code == PEN__REFUSED_CODE__NO_SESSION ||
                             message->refused->code == PEN__REFUSED_CODE__SUPERSEDED))
            a->session_no = 0; /* says hello at its next heartbeat */
        else if (message->refused->code == PEN__REFUSED_CODE__NO_SESSION)
            agent_hello(w, a);
        break;
    default:
        break;
    }
}

/* ---- the rest of the world */

static void source_answer(struct world *w, const Pen__SourceRun *run)
{
    w->source_runs++;
    mem_set_text(&w->last_source_revision, run->revision_id);
    if (w->sources_hold)
        return;
    Pen__SourceDone *done = MAKE(Pen__SourceDone, pen__source_done__init);
    done->action_execution_id = mem_text(run->action_execution_id);
    SET(done, ok, w->source_error == NULL);
    if (w->source_error != NULL) {
        done->error_code = mem_text("JobFailed");
        done->error_message = mem_text(w->source_error);
    } else {
        done->revision = MAKE(Pen__SourceRevision, pen__source_revision__init);
        done->revision->revision_id =
            mem_text(run->revision_id != NULL ? run->revision_id : w->revision);
        done->revision->revision_summary = mem_text("a commit");
        done->left_out = mem_text(w->source_left_out);
        done->artifact = MAKE(Pen__ArtifactRef, pen__artifact_ref__init);
        done->artifact->name = mem_text(run->artifact);
        done->artifact->has_manifest_sha256 = 1;
        done->artifact->manifest_sha256.len = 32;
        done->artifact->manifest_sha256.data = mem_zero(32);
        Pen__NameValue *value = MAKE(Pen__NameValue, pen__name_value__init);
        value->name = mem_text("CommitId");
        value->value = mem_text(done->revision->revision_id);
        APPEND(done, output_variables, value);
    }
    world_arrive(w, input_new(PEN__INPUT__WHAT_SOURCE_DONE, done));
}

static void data_open(struct world *w, const Pen__AttemptOpen *open)
{
    if (open->wanted_log_size == 0)
        return;
    Pen__LogStored *stored = MAKE(Pen__LogStored, pen__log_stored__init);
    SET(stored, fence, open->fence);
    SET(stored, size, open->wanted_log_size);
    world_arrive(w, input_new(PEN__INPUT__WHAT_LOG_STORED, stored));
}

/* Zones are those of this host's database: virtual time begins in 1970. */
static void zone_answer(struct world *w, const Pen__ZoneWanted *wanted)
{
    struct pen_zone_changes *zone = mem_zero(sizeof *zone);
    struct pen_error err = {0};
    Pen__ZoneLoaded *loaded = MAKE(Pen__ZoneLoaded, pen__zone_loaded__init);
    loaded->execution_id = mem_text(wanted->execution_id);
    loaded->stage = mem_text(wanted->stage);
    loaded->rule_execution_id = mem_text(wanted->rule_execution_id);
    if (pen_zones_load(wanted->zone, wanted->from_ms, zone, &err) < 0) {
        zone->count = 0;
        loaded->error_message = mem_text(err.message);
    }
    for (size_t i = 0; i < zone->count; i++) {
        Pen__ZoneChange *change = MAKE(Pen__ZoneChange, pen__zone_change__init);
        SET(change, from_ms, zone->changes[i].from_ms);
        SET(change, offset_s, zone->changes[i].offset_s);
        APPEND(loaded, changes, change);
    }
    free(zone);
    world_arrive(w, input_new(PEN__INPUT__WHAT_ZONE_LOADED, loaded));
}

static void world_perform_one(struct world *w, Pen__Effect *effect)
{
    if (w->observes != NULL)
        w->observes(w, effect);
    switch ((int)effect->what_case) {
    case PEN__EFFECT__WHAT_REPLY:
        mem_free_message(w->reply);
        w->reply = mem_copy(effect->reply);
        break;
    case PEN__EFFECT__WHAT_AGENT_SEND:
        for (size_t i = 0; i < w->agents_count; i++) {
            struct fake_agent *a = &w->agents[i];
            if (a->up && !a->deaf && same(a->id, effect->agent_send->agent_id) &&
                (effect->agent_send->link == 0 || effect->agent_send->link == a->link))
                agent_receive(w, a, effect->agent_send->message);
        }
        break;
    case PEN__EFFECT__WHAT_SOURCE_RUN:
        source_answer(w, effect->source_run);
        break;
    case PEN__EFFECT__WHAT_ATTEMPT_OPEN:
        data_open(w, effect->attempt_open);
        break;
    case PEN__EFFECT__WHAT_SOURCE_WATCH:
        w->watches++;
        break;
    case PEN__EFFECT__WHAT_ZONE_WANTED:
        zone_answer(w, effect->zone_wanted);
        break;
    default:
        break;
    }
}

static void world_perform(struct world *w)
{
    while (w->effects_done < w->effects_count) {
        Pen__Effect *effect = w->effects[w->effects_done++];
        world_perform_one(w, effect);
        mem_free_message(effect);
    }
    w->effects_done = w->effects_count = 0;
}

#endif
