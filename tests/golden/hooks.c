/* tests/golden/hooks.c - connections, webhooks, pull requests, and revisions that somebody
 * announces, in a scenario */
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

/* ---- connections and pull requests */

/* The first row of a kind that `wanted` takes; free it with mem_free_message. */
static void *row_where(struct story *self, Pen__RowKind kind,
                       const ProtobufCMessageDescriptor *type,
                       bool (*wanted)(const void *row, const char *name), const char *name)
{
    struct pen_map *store = &self->world.store;
    for (struct pen_map_node *n = pen_map_first(store); n != NULL; n = pen_map_next(n)) {
        const struct pen_row *row = ((struct stored *)pen_map_value(n))->row;
        if (row->kind != kind || row->deleted)
            continue;
        void *message = protobuf_c_message_unpack(type, NULL, row->body_size, row->body);
        if (wanted(message, name))
            return message;
        mem_free_message(message);
    }
    return NULL;
}

static bool has_name(const void *row, const char *name)
{
    return same(((const Pen__ConnectionRow *)row)->name, name);
}

static bool looks_for_pull_request(const void *row, const char *name)
{
    (void)name;
    return ((const Pen__PipelineRow *)row)->n_pull_requests > 0;
}

static Pen__ConnectionRow *find_connection(struct story *self, const char *name)
{
    Pen__ConnectionRow *row = row_where(self, PEN__ROW_KIND__ROW_CONNECTION,
                                        &pen__connection_row__descriptor, has_name, name);
    if (row == NULL)
        story_wrong(self, "no connection '%s'", name);
    return row;
}

/* connection NAME */
static void do_connection(struct story *self, const struct command *command)
{
    Pen__CreateConnection *request = MAKE(Pen__CreateConnection, pen__create_connection__init);
    request->connection = MAKE(Pen__ConnectionRow, pen__connection_row__init);
    request->connection->name = mem_text(command_word(self, command, 1));
    request->connection->base_url = mem_text("/srv");
    world_post(&self->world, PEN__INPUT__WHAT_CREATE_CONNECTION, request);
    tell_reply(self);
}

/* connect ACTION CONNECTION REPOSITORY: the action of the declaration fetches through it */
static void do_connect(struct story *self, const struct command *command)
{
    Pen__ActionDeclaration *action = find_declared(self->current, command_word(self, command, 1));
    Pen__ConnectionRow *row = find_connection(self, command_word(self, command, 2));
    mem_set_text(&action->action_type_id->provider, "CodeStarSourceConnection");
    for (size_t i = 0; i < action->n_configuration; i++)
        if (same(action->configuration[i]->key, "RepositoryName")) {
            mem_set_text(&action->configuration[i]->key, "FullRepositoryId");
            mem_set_text(&action->configuration[i]->value, command_word(self, command, 3));
        }
    action_configure(action, "ConnectionArn", row->arn);
    mem_free_message(row);
}

static Pen__PullRequestChange change_of(const struct story *self, const char *word)
{
    if (same(word, "opened"))
        return PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_OPEN;
    if (same(word, "updated"))
        return PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_UPDATED;
    if (!same(word, "closed"))
        story_wrong(self, "a pull request is opened, updated or closed, not '%s'", word);
    return PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_CLOSED;
}

/* What git says to those who look: the head of its source branch, and what it would change. */
static void find_pull_request(struct story *self, const struct command *command)
{
    Pen__PipelineRow *row = row_where(self, PEN__ROW_KIND__ROW_PIPELINE,
                                      &pen__pipeline_row__descriptor, looks_for_pull_request, NULL);
    if (row == NULL)
        return;
    const char *revision = command_word(self, command, 4);
    mem_set_text((char **)&self->world.revision, revision);
    Pen__PullRequestFound *found = MAKE(Pen__PullRequestFound, pen__pull_request_found__init);
    found->pipeline = mem_text(row->name);
    SET(found, event, row->pull_requests[0]->id);
    found->revision_id = mem_text(revision);
    char *files = mem_text(command_value(command, "files"));
    char *rest = files;
    char *file;
    while (rest != NULL && (file = strsep(&rest, ",")) != NULL)
        APPEND(found, changed_files, mem_text(file));
    free(files);
    mem_free_message(row);
    world_post(&self->world, PEN__INPUT__WHAT_PULL_REQUEST_FOUND, found);
    tell_reply(self);
}

/* pull NUMBER opened|updated|closed CONNECTION REVISION into=BRANCH [files=a,b] [of=REPOSITORY]:
 * the server tells of a pull request; a pipeline that may want it looks at its head */
static void do_pull(struct story *self, const struct command *command)
{
    Pen__ConnectionRow *row = find_connection(self, command_word(self, command, 3));
    Pen__PullRequestNotified *request =
        MAKE(Pen__PullRequestNotified, pen__pull_request_notified__init);
    request->connection_id = mem_text(row->id);
    mem_free_message(row);
    const char *of = command_value(command, "of");
    request->repository = mem_text(of != NULL ? of : "team/app");
    Pen__PullRequest *pull = request->pull_request =
        MAKE(Pen__PullRequest, pen__pull_request__init);
    SET(pull, number, strtoull(command_word(self, command, 1), NULL, 10));
    SET(pull, change, change_of(self, command_word(self, command, 2)));
    pull->source_branch = mem_text("topic");
    pull->destination_branch = mem_text(command_value(command, "into"));
    world_post(&self->world, PEN__INPUT__WHAT_PULL_REQUEST_NOTIFIED, request);
    tell_reply(self);
    find_pull_request(self, command);
}

static const struct {
    const char *name;
    void (*perform)(struct story *self, const struct command *command);
} verbs[] = {
    {"webhook", do_webhook},       {"call", do_call},       {"announce", do_announce},
    {"connection", do_connection}, {"connect", do_connect}, {"pull", do_pull},
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
    else if (fact->what_case == PEN__FACT__WHAT_PULL_REQUEST_NOTICED)
        tell(self, fact->at_ms, "%s looks at pull request %llu", fact->pipeline,
             (unsigned long long)fact->pull_request_noticed->event->pull_request->number);
    else
        tell(self, fact->at_ms, "%s is not polled any more", fact->pipeline);
}
