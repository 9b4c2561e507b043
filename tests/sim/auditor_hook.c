/* tests/sim/auditor_hook.c - HOOK: one delivery starts one execution, by the URL that counts now;
 * a pull request is noticed once for each delivery, and judged once
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "tests/sim/auditor.h"

/* ---- the URLs */

void on_webhook_put(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__WebhookRow *row = fact->webhook_put->webhook;
    struct auditor *self = sim->auditor;
    struct seen_hook *hook = pen_map_get(&self->hooks, pen_key_text(row->name));
    if (hook != NULL && !pen_str_equal(hook->secret, row->url_secret))
        sim_fail(sim, "HOOK: the URL of %s changes under its callers", row->name);
    if (hook != NULL)
        return;
    hook = mem_zero(sizeof *hook);
    hook->name = mem_text(row->name);
    (void)pen_str_copy(hook->secret, sizeof hook->secret, row->url_secret);
    mem_put(&self->hooks, pen_key_text(hook->name), hook);
    sim_trace(sim, "webhook %s is there", row->name);
}

void on_webhook_deleted(struct sim *sim, const Pen__Fact *fact)
{
    struct seen_hook *hook =
        pen_map_remove(&sim->auditor->hooks, pen_key_text(fact->webhook_deleted->name));
    if (hook == NULL)
        sim_fail(sim, "HOOK: webhook %s is deleted, and there is none",
                 fact->webhook_deleted->name);
    sim_trace(sim, "webhook %s is deleted", hook->name);
    free(hook->name);
    free(hook);
}

/* ---- calls */

void auditor_called(struct sim *sim, const char *name, const char *secret, uint64_t delivery)
{
    struct auditor *self = sim->auditor;
    struct seen_call *call = pen_map_get(&self->calls, pen_key_number(delivery));
    if (call != NULL)
        return;
    call = mem_zero(sizeof *call);
    call->name = mem_text(name);
    (void)pen_str_copy(call->secret, sizeof call->secret, secret);
    mem_put(&self->calls, pen_key_number(delivery), call);
}

void on_webhook_triggered(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__WebhookTriggered *body = fact->webhook_triggered;
    const struct seen_hook *hook = pen_map_get(&sim->auditor->hooks, pen_key_text(body->name));
    uint64_t delivery = 0;
    if (body->n_deliveries == 1)
        memcpy(&delivery, body->deliveries[0].data, sizeof delivery);
    struct seen_call *call = pen_map_get(&sim->auditor->calls, pen_key_number(delivery));
    sim_trace(sim, "delivery %" PRIu64 " of webhook %s starts %s", delivery, body->name,
              fact->pipeline);
    if (call == NULL || hook == NULL || !pen_str_equal(call->name, body->name) ||
        !pen_str_equal(call->secret, hook->secret))
        sim_fail(sim, "HOOK: webhook %s starts %s, and nobody has called it by its URL", body->name,
                 fact->pipeline);
    if (call->started)
        sim_fail(sim, "HOOK: delivery %" PRIu64 " of webhook %s starts %s twice", delivery,
                 body->name, fact->pipeline);
    call->started = true;
}

void auditor_hook_reply(struct sim *sim, const struct request *request, const Pen__Reply *reply)
{
    const struct seen_call *call =
        pen_map_get(&sim->auditor->calls, pen_key_number(request->number));
    if (call == NULL || !call->started)
        sim_fail(sim, "ACK => DURABLE: delivery %" PRIu64 " is answered well, and nothing started",
                 request->number);
    if (reply->new_revision != (reply->execution_id != NULL))
        sim_fail(sim, "HOOK: delivery %" PRIu64 " is said to start nothing, and what",
                 request->number);
}

/* ---- pull requests: noticed once, judged once, and started for what a filter asks for */

void auditor_pulled(struct sim *sim, uint64_t delivery)
{
    struct pen_map *pulls = &sim->auditor->pulls;
    if (pen_map_get(pulls, pen_key_number(delivery)) != NULL)
        return;
    struct seen_call *call = mem_zero(sizeof *call);
    mem_put(pulls, pen_key_number(delivery), call);
}

void on_pull_noticed(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__PullRequestNoticed *body = fact->pull_request_noticed;
    uint64_t delivery = 0;
    if (body->n_deliveries == 1)
        memcpy(&delivery, body->deliveries[0].data, sizeof delivery);
    struct seen_call *call = pen_map_get(&sim->auditor->pulls, pen_key_number(delivery));
    sim_trace(sim, "%s: pull request %" PRIu64 " is noticed, event %" PRIu64, fact->pipeline,
              body->event->pull_request->number, body->event->id);
    if (call == NULL || call->started)
        sim_fail(sim, "HOOK: delivery %" PRIu64 " of a pull request is noticed %s", delivery,
                 call == NULL ? "and nobody has told it" : "twice");
    call->started = true;
    sim->auditor->unjudged++;
}

void on_revision_seen(struct sim *sim, const Pen__Fact *fact)
{
    if (!fact->revision_seen->has_event)
        return;
    sim_trace(sim, "%s: event %" PRIu64 " is judged: %s", fact->pipeline,
              fact->revision_seen->event,
              fact->revision_seen->revision_id != NULL ? fact->revision_seen->revision_id : "-");
    if (sim->auditor->unjudged-- == 0)
        sim_fail(sim, "HOOK: event %" PRIu64 " is judged twice", fact->revision_seen->event);
}

/* ---- refs: each time that one is made or moved starts at most once */

void auditor_ref_pushed(struct sim *sim, int ref, uint64_t commit)
{
    struct pen_map *pushes = &sim->auditor->pushes;
    struct seen_push *push = pen_map_get(pushes, pen_key_number(commit));
    if (push == NULL) {
        push = mem_zero(sizeof *push);
        push->name = mem_format("refs/tags/v%d", ref);
        mem_put(pushes, pen_key_number(commit), push);
    }
    push->pushed++;
}

static void check_push(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__ExecutionStarted *body = fact->execution_started;
    const char *revision = body->n_overrides == 1 ? body->overrides[0]->revision_value : "";
    struct seen_push *push =
        pen_map_get(&sim->auditor->pushes, pen_key_number(strtoull(revision, NULL, 16)));
    if (push == NULL || !pen_str_equal(push->name, body->origin->ref_name))
        sim_fail(sim, "HOOK: execution %s starts for a push to %s that no filter asks for",
                 fact->execution_id, body->origin->ref_name);
    if (++push->started > push->pushed)
        sim_fail(sim, "NO REPEAT: %s was pushed %" PRIu64 " times to %s, and starts %s once more",
                 push->name, push->pushed, revision, fact->execution_id);
}

void auditor_check_origin(struct sim *sim, const Pen__Fact *fact)
{
    const Pen__ExecutionOrigin *origin = fact->execution_started->origin;
    const Pen__PullRequest *pull = origin == NULL ? NULL : origin->pull_request;
    if (pull != NULL && (pull->change == PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_CLOSED ||
                         !pen_str_equal(pull->destination_branch, "main")))
        sim_fail(sim, "HOOK: execution %s starts for a pull request that no filter asks for",
                 fact->execution_id);
    if (origin != NULL && origin->ref_name != NULL)
        check_push(sim, fact);
}

/* What was noticed goes with its pipeline, and its deliveries may come anew. */
void auditor_forget_pulls(struct auditor *self)
{
    self->unjudged = 0;
    for (struct pen_map_node *node = pen_map_first(&self->pulls); node != NULL;
         node = pen_map_next(node)) {
        struct seen_call *call = pen_map_value(node);
        call->started = false;
    }
}
