/* tests/sim/hooks.c - what starts pipelines from outside: webhooks, and revisions that are
 * announced
 *
 * Each pipeline may have one webhook. Who calls it knows the URL that it had when somebody wrote it
 * down; a delivery that was not answered is delivered again. Revisions are announced twice, too.
 * What has to come of it: one delivery or revision starts one execution, and an old URL none.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "tests/sim/sim.h"

enum { DIGEST_BYTES = 16 }; /* PEN_LIMIT_DELIVERY_DIGEST_BYTES */

static char *hook_name(const struct sim *sim, int pipeline)
{
    return mem_format("hook-%s", sim->pipelines[pipeline].name);
}

void hooks_put(struct sim *sim, int pipeline)
{
    Pen__PutWebhook *request = MAKE(Pen__PutWebhook, pen__put_webhook__init);
    Pen__WebhookRow *row = MAKE(Pen__WebhookRow, pen__webhook_row__init);
    request->webhook = row;
    row->name = hook_name(sim, pipeline);
    row->pipeline = mem_text(sim->pipelines[pipeline].name);
    row->action = mem_text("S");
    row->authentication = mem_text("UNAUTHENTICATED");
    Pen__WebhookFilter *filter = MAKE(Pen__WebhookFilter, pen__webhook_filter__init);
    filter->json_path = mem_text("$.ref");
    APPEND(row, filters, filter);
    people_ask(sim, PEN__INPUT__WHAT_PUT_WEBHOOK, request, pipeline, 0);
}

void hooks_delete(struct sim *sim, int pipeline)
{
    Pen__DeleteWebhook *request = MAKE(Pen__DeleteWebhook, pen__delete_webhook__init);
    request->name = hook_name(sim, pipeline);
    people_ask(sim, PEN__INPUT__WHAT_DELETE_WEBHOOK, request, pipeline, 0);
}

/* Write down the URL that it has now. */
static void learn_url(struct sim *sim, int pipeline)
{
    struct pipeline_facts *facts = &sim->pipelines[pipeline];
    char *name = hook_name(sim, pipeline);
    Pen__WebhookRow *row =
        core_row(sim, PEN__ROW_KIND__ROW_WEBHOOK, name, &pen__webhook_row__descriptor);
    free(name);
    if (row == NULL || pen_str_equal(facts->hook_secret, row->url_secret)) {
        mem_free_message(row);
        return;
    }
    mem_set_text(&facts->hook_secret, row->url_secret);
    facts->delivery = 0;
    mem_free_message(row);
}

void hooks_call(struct sim *sim, int pipeline)
{
    struct pipeline_facts *facts = &sim->pipelines[pipeline];
    if (sim_chance(sim, 800))
        learn_url(sim, pipeline);
    if (facts->hook_secret == NULL)
        return;
    if (facts->delivery == 0 || !sim_chance(sim, 400))
        facts->delivery = ++sim->stamps;
    Pen__WebhookCalled *call = MAKE(Pen__WebhookCalled, pen__webhook_called__init);
    call->name = hook_name(sim, pipeline);
    call->url_secret = mem_text(facts->hook_secret);
    call->n_deliveries = 1;
    call->deliveries = mem_zero(sizeof *call->deliveries);
    call->deliveries[0].len = DIGEST_BYTES;
    call->deliveries[0].data = mem_zero(DIGEST_BYTES);
    memcpy(call->deliveries[0].data, &facts->delivery, sizeof facts->delivery);
    sim->counts[COUNT_HOOKS]++;
    auditor_called(sim, call->name, call->url_secret, facts->delivery);
    people_ask(sim, PEN__INPUT__WHAT_WEBHOOK_CALLED, call, pipeline, facts->delivery);
}

/* PutActionRevision: of the source, by the id of a commit. */
void hooks_announce(struct sim *sim, int pipeline)
{
    struct pipeline_facts *facts = &sim->pipelines[pipeline];
    if (facts->revision == 0 || !sim_chance(sim, 400)) {
        facts->revision = ++sim->stamps;
        mem_set_text(&facts->revision_execution_id, NULL);
    }
    Pen__PutActionRevision *request = MAKE(Pen__PutActionRevision, pen__put_action_revision__init);
    request->pipeline = mem_text(facts->name);
    request->stage = mem_text("Source");
    request->action = mem_text("S");
    request->revision_id = mem_format("%040" PRIx64, facts->revision);
    request->revision_change_id = mem_text("a change");
    sim->counts[COUNT_REVISIONS]++;
    people_ask(sim, PEN__INPUT__WHAT_PUT_ACTION_REVISION, request, pipeline, facts->revision);
}

void hooks_reply(struct sim *sim, const struct request *request, const Pen__Reply *reply)
{
    struct pipeline_facts *facts = &sim->pipelines[request->pipeline];
    if (request->what != PEN__INPUT__WHAT_PUT_ACTION_REVISION ||
        facts->revision != request->number || reply->execution_id == NULL)
        return;
    if (facts->revision_execution_id != NULL &&
        !pen_str_equal(facts->revision_execution_id, reply->execution_id))
        sim_fail(sim, "NO LOSS: one announced revision has started two executions, %s and %s",
                 facts->revision_execution_id, reply->execution_id);
    mem_set_text(&facts->revision_execution_id, reply->execution_id);
}
