/* tests/golden/hooks.c - webhooks and revisions that somebody announces, in a scenario */
#include "tests/golden/golden.h"

#include "common/base/limits.h"

/* webhook NAME PIPELINE ACTION, webhook NAME deleted */
static void do_webhook(struct story *self, const struct command *command)
{
    const char *name = command_word(self, command, 1);
    if (same(command_word(self, command, 2), "deleted")) {
        Pen__DeleteWebhook *request = MAKE(Pen__DeleteWebhook, pen__delete_webhook__init);
        request->name = mem_text(name);
        world_post(&self->world, PEN__INPUT__WHAT_DELETE_WEBHOOK, request);
        tell_reply(self);
        return;
    }
    Pen__PutWebhook *request = MAKE(Pen__PutWebhook, pen__put_webhook__init);
    request->webhook = MAKE(Pen__WebhookRow, pen__webhook_row__init);
    request->webhook->name = mem_text(name);
    request->webhook->pipeline = mem_text(command_word(self, command, 2));
    request->webhook->action = mem_text(command_word(self, command, 3));
    request->webhook->authentication = mem_text("UNAUTHENTICATED");
    world_post(&self->world, PEN__INPUT__WHAT_PUT_WEBHOOK, request);
    tell_reply(self);
}

/* call NAME [delivery=LETTERS] */
static void do_call(struct story *self, const struct command *command)
{
    const char *name = command_word(self, command, 1);
    const char *delivery = command_value(command, "delivery");
    Pen__WebhookRow *row =
        world_row(&self->world, PEN__ROW_KIND__ROW_WEBHOOK, name, &pen__webhook_row__descriptor);
    Pen__WebhookCalled *request = MAKE(Pen__WebhookCalled, pen__webhook_called__init);
    request->name = mem_text(name);
    request->url_secret = mem_text(row != NULL ? row->url_secret : "of one that is gone");
    if (delivery != NULL) {
        request->deliveries = mem_zero(sizeof *request->deliveries);
        request->n_deliveries = 1;
        request->deliveries[0].len = PEN_LIMIT_DELIVERY_DIGEST_BYTES;
        request->deliveries[0].data = mem_zero(PEN_LIMIT_DELIVERY_DIGEST_BYTES);
        for (size_t i = 0; delivery[i] != '\0' && i < PEN_LIMIT_DELIVERY_DIGEST_BYTES; i++)
            request->deliveries[0].data[i] = (uint8_t)delivery[i];
    }
    mem_free_message(row);
    world_post(&self->world, PEN__INPUT__WHAT_WEBHOOK_CALLED, request);
    tell_reply(self);
}

/* announce PIPELINE STAGE ACTION REVISION: PutActionRevision */
static void do_announce(struct story *self, const struct command *command)
{
    Pen__PutActionRevision *request = MAKE(Pen__PutActionRevision, pen__put_action_revision__init);
    request->pipeline = mem_text(command_word(self, command, 1));
    request->stage = mem_text(command_word(self, command, 2));
    request->action = mem_text(command_word(self, command, 3));
    request->revision_id = mem_text(command_word(self, command, 4));
    world_post(&self->world, PEN__INPUT__WHAT_PUT_ACTION_REVISION, request);
    tell_reply(self);
}

static const struct {
    const char *name;
    void (*perform)(struct story *self, const struct command *command);
} verbs[] = {
    {"webhook", do_webhook},
    {"call", do_call},
    {"announce", do_announce},
};

bool hook_perform(struct story *self, const struct command *command)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (same(verbs[i].name, command->words[0])) {
            verbs[i].perform(self, command);
            return true;
        }
    return false;
}

/* ---- facts */

void tell_hook(struct story *self, const Pen__Fact *fact)
{
    if (fact->what_case == PEN__FACT__WHAT_WEBHOOK_PUT)
        tell(self, fact->at_ms, "webhook %s starts %s", fact->webhook_put->webhook->name,
             fact->pipeline);
    else if (fact->what_case == PEN__FACT__WHAT_WEBHOOK_DELETED)
        tell(self, fact->at_ms, "webhook %s is deleted", fact->webhook_deleted->name);
    else if (fact->what_case == PEN__FACT__WHAT_WEBHOOK_TRIGGERED)
        tell(self, fact->at_ms, "webhook %s has triggered", fact->webhook_triggered->name);
    else
        tell(self, fact->at_ms, "%s is not polled any more", fact->pipeline);
}
