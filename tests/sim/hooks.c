/* tests/sim/hooks.c - what starts pipelines from outside: webhooks, pull requests, announcements
 *
 * Each pipeline may have one webhook. Who calls it knows the URL that it had when somebody wrote it
 * down; a delivery that was not answered is delivered again. Revisions are announced twice, too.
 * What has to come of it: one delivery or revision starts one execution, and an old URL none. One
 * git server tells of pull requests; the controller has them looked at, and judges them once.
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

/* ---- pull requests */

static void learn_connection(struct sim *sim, void *message, void *context)
{
    const Pen__ConnectionRow *row = message;
    (void)context;
    if (sim->connection_arn == NULL) {
        sim->connection_id = mem_text(row->id);
        sim->connection_arn = mem_text(row->arn);
    }
}

static void configure(Pen__ActionDeclaration *source, const char *key, const char *value)
{
    Pen__ActionDeclaration__ConfigurationEntry *entry =
        MAKE(Pen__ActionDeclaration__ConfigurationEntry,
             pen__action_declaration__configuration_entry__init);
    entry->key = mem_text(key);
    entry->value = mem_text(value);
    APPEND(source, configuration, entry);
}

static void add_trigger(Pen__PipelineDeclaration *declaration)
{
    Pen__GitPullRequestFilter *filter =
        MAKE(Pen__GitPullRequestFilter, pen__git_pull_request_filter__init);
    APPEND(filter, events, mem_text("OPEN"));
    APPEND(filter, events, mem_text("UPDATED"));
    filter->branches = MAKE(Pen__GitFilterCriteria, pen__git_filter_criteria__init);
    APPEND(filter->branches, includes, mem_text("main"));
    Pen__PipelineTriggerDeclaration *trigger =
        MAKE(Pen__PipelineTriggerDeclaration, pen__pipeline_trigger_declaration__init);
    trigger->provider_type = mem_text("CodeStarSourceConnection");
    trigger->git_configuration = MAKE(Pen__GitConfiguration, pen__git_configuration__init);
    trigger->git_configuration->source_action_name = mem_text("S");
    APPEND(trigger->git_configuration, pull_request, filter);
    Pen__GitPushFilter *push = MAKE(Pen__GitPushFilter, pen__git_push_filter__init);
    push->tags = MAKE(Pen__GitFilterCriteria, pen__git_filter_criteria__init);
    APPEND(push->tags, includes, mem_text("v*"));
    APPEND(trigger->git_configuration, push, push);
    APPEND(declaration, triggers, trigger);
}

bool hooks_bind(struct sim *sim, Pen__PipelineDeclaration *declaration)
{
    Pen__ActionDeclaration *source = declaration->stages[0]->actions[0];
    if (!pen_str_equal(source->action_type_id->provider, "CodeStarSourceConnection"))
        return true;
    core_each(sim, PEN__ROW_KIND__ROW_CONNECTION, &pen__connection_row__descriptor,
              learn_connection, NULL);
    if (sim->connection_arn == NULL) {
        Pen__CreateConnection *request = MAKE(Pen__CreateConnection, pen__create_connection__init);
        request->connection = MAKE(Pen__ConnectionRow, pen__connection_row__init);
        request->connection->name = mem_text("git");
        request->connection->base_url = mem_text("https://git.example");
        people_ask(sim, PEN__INPUT__WHAT_CREATE_CONNECTION, request, 0, 0);
        return false;
    }
    configure(source, "ConnectionArn", sim->connection_arn);
    configure(source, "FullRepositoryId", "team/app");
    configure(source, "BranchName", "main");
    add_trigger(declaration);
    return true;
}

static void next_pull(struct sim *sim)
{
    static const Pen__PullRequestChange changes[] = {PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_OPEN,
                                                     PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_UPDATED,
                                                     PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_UPDATED,
                                                     PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_CLOSED};
    mem_free_message(sim->pull);
    sim->pull = MAKE(Pen__PullRequest, pen__pull_request__init);
    SET(sim->pull, number, 1 + sim_below(sim, SIM_PULLS));
    SET(sim->pull, change, changes[sim_below(sim, 4)]);
    sim->pull->source_branch = mem_text("topic");
    sim->pull->destination_branch = mem_text(sim_chance(sim, 800) ? "main" : "old");
    if (sim->pull->change == PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_UPDATED)
        sim->pull_heads[sim->pull->number - 1]++;
    sim->pull_delivery = ++sim->stamps;
}

void hooks_pull(struct sim *sim, int pipeline)
{
    if (sim->connection_id == NULL)
        return;
    if (sim->pull == NULL || !sim_chance(sim, 300))
        next_pull(sim);
    Pen__PullRequestNotified *told =
        MAKE(Pen__PullRequestNotified, pen__pull_request_notified__init);
    told->connection_id = mem_text(sim->connection_id);
    told->repository = mem_text("team/app");
    told->pull_request = mem_copy(sim->pull);
    told->n_deliveries = 1;
    told->deliveries = mem_zero(sizeof *told->deliveries);
    told->deliveries[0].len = DIGEST_BYTES;
    told->deliveries[0].data = mem_zero(DIGEST_BYTES);
    memcpy(told->deliveries[0].data, &sim->pull_delivery, sizeof sim->pull_delivery);
    sim->counts[COUNT_PULLS]++;
    auditor_pulled(sim, sim->pull_delivery);
    people_ask(sim, PEN__INPUT__WHAT_PULL_REQUEST_NOTIFIED, told, pipeline, 0);
}

static void fire_looked(struct sim *sim, struct sim_event *event)
{
    if (event->stamp != sim->core.life)
        return;
    Pen__PullRequestFound *found = MAKE(Pen__PullRequestFound, pen__pull_request_found__init);
    found->pipeline = mem_text(event->data);
    SET(found, event, event->number);
    if (!event->flag)
        found->revision_id = mem_format("head-%" PRIu64 "-%" PRIu64, event->link,
                                        sim->pull_heads[(event->link - 1) % SIM_PULLS]);
    core_post(sim, core_input(PEN__INPUT__WHAT_PULL_REQUEST_FOUND, found));
}

void hooks_look(struct sim *sim, const Pen__PullRequestLook *look)
{
    struct sim_event *event = sim_at(sim, 1 + sim_around(sim, 3000), fire_looked);
    event->stamp = sim->core.life;
    event->number = look->event->id;
    event->link = look->event->pull_request->number;
    event->flag = sim_chance(sim, 50); /* its branch is gone */
    event->data = mem_text(look->pipeline);
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
