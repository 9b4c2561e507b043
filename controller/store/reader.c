/* Reading rows and facts as messages. */
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/wire/wire.h"
#include "controller/store/backend.h"
#include "controller/store/store.h"

enum { LIST_LIMIT_MAX = 10000 };

struct pen_reader {
    struct pen_backend *backend;
    struct pen_buf body; /* of the row that is being read; kept for its memory */
};

/* The message of a row's body; NULL for a kind that this release does not have. */
static const ProtobufCMessageDescriptor *type_of(Pen__RowKind kind)
{
    switch (kind) {
    case PEN__ROW_KIND__ROW_SETTING:
        return &pen__setting_row__descriptor;
    case PEN__ROW_KIND__ROW_PIPELINE:
        return &pen__pipeline_row__descriptor;
    case PEN__ROW_KIND__ROW_PIPELINE_VERSION:
        return &pen__pipeline_version_row__descriptor;
    case PEN__ROW_KIND__ROW_STAGE_STATE:
        return &pen__stage_state_row__descriptor;
    case PEN__ROW_KIND__ROW_EXECUTION:
        return &pen__execution_row__descriptor;
    case PEN__ROW_KIND__ROW_STAGE_EXECUTION:
        return &pen__stage_execution_row__descriptor;
    case PEN__ROW_KIND__ROW_RULE_WORK:
    case PEN__ROW_KIND__ROW_ACTION_EXECUTION:
        return &pen__action_execution_row__descriptor;
    case PEN__ROW_KIND__ROW_ATTEMPT:
        return &pen__attempt_row__descriptor;
    case PEN__ROW_KIND__ROW_AGENT:
        return &pen__agent_row__descriptor;
    case PEN__ROW_KIND__ROW_TOKEN:
        return &pen__token_row__descriptor;
    case PEN__ROW_KIND__ROW_REQUEST_TOKEN:
        return &pen__request_token_row__descriptor;
    case PEN__ROW_KIND__ROW_REPOSITORY:
        return &pen__repository_row__descriptor;
    case PEN__ROW_KIND__ROW_CONNECTION:
        return &pen__connection_row__descriptor;
    case PEN__ROW_KIND__ROW_ACCESS_KEY:
        return &pen__access_key_row__descriptor;
    case PEN__ROW_KIND__ROW_RULE_EXECUTION:
        return &pen__rule_execution_row__descriptor;
    case PEN__ROW_KIND__ROW_ACTION_TYPE:
        return &pen__action_type_row__descriptor;
    case PEN__ROW_KIND__ROW_JOB:
        return &pen__job_row__descriptor;
    case PEN__ROW_KIND__ROW_SEEN_REFS:
        return &pen__seen_refs_row__descriptor;
    case PEN__ROW_KIND__ROW_WEBHOOK:
        return &pen__webhook_row__descriptor;
    case PEN__ROW_KIND__ROW_REMOVAL:
        return &pen__removal_row__descriptor;
    case PEN__ROW_KIND__ROW_COLLECTION:
        return &pen__collection_row__descriptor;
    default:
        return NULL;
    }
}

static int unpack(Pen__RowKind kind, const char *key, const uint8_t *body, size_t size,
                  ProtobufCMessage **ret_row, struct pen_error *err)
{
    const ProtobufCMessageDescriptor *type = type_of(kind);
    if (type == NULL)
        return pen_fail(err, PEN_EUNSUPPORTED, "rows of kind %d are not known", (int)kind);
    int code = pen_wire_unpack(type, body, size, &pen_wire_stored, ret_row, err);
    if (code == PEN_ENOMEM || code == 0)
        return code;
    (void)pen_error_prefix(err, "stored row '%s' of kind %d", key, (int)kind);
    if (err != NULL)
        err->code = PEN_ECORRUPT;
    return PEN_ECORRUPT;
}

int pen_reader_open(const char *dir, struct pen_reader **ret_reader, struct pen_error *err)
{
    PEN_CLEANUP(pen_reader_close) struct pen_reader *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "store: no memory");
    int code = pen_backend_open(dir, false, &self->backend, err);
    if (code < 0)
        return code;
    *ret_reader = TAKE_PTR(self);
    return 0;
}

void pen_reader_close(struct pen_reader **self_p)
{
    struct pen_reader *self = *self_p;
    *self_p = NULL;
    if (self == NULL)
        return;
    pen_backend_close(&self->backend);
    pen_buf_release(&self->body);
    free(self);
}

int pen_reader_begin(struct pen_reader *self, struct pen_error *err)
{
    return pen_backend_begin(self->backend, err);
}

void pen_reader_end(struct pen_reader *self)
{
    pen_backend_rollback(self->backend);
}

int pen_reader_get(struct pen_reader *self, Pen__RowKind kind, const char *key,
                   ProtobufCMessage **ret_row, struct pen_error *err)
{
    pen_buf_clear(&self->body);
    int code = pen_backend_get(self->backend, (int)kind, key, &self->body, err);
    if (code < 0)
        return code;
    return unpack(kind, key, self->body.data, self->body.size, ret_row, err);
}

struct list {
    Pen__RowKind kind;
    int (*each)(void *context, const char *key, const ProtobufCMessage *row, struct pen_error *err);
    void *context;
};

static int list_one(void *context, const struct pen_backend_item *item, struct pen_error *err)
{
    const struct list *list = context;
    PEN_CLEANUP(pen_message_destroy) ProtobufCMessage *row = NULL;
    int code = unpack(list->kind, item->key, item->body, item->body_size, &row, err);
    if (code < 0)
        return code;
    return list->each(list->context, item->key, row, err);
}

int pen_reader_list(struct pen_reader *self, const struct pen_list_query *query,
                    int (*each)(void *context, const char *key, const ProtobufCMessage *row,
                                struct pen_error *err),
                    void *context, struct pen_error *err)
{
    CHECK(query->limit >= 1 && query->limit <= LIST_LIMIT_MAX);
    struct list list = {query->kind, each, context};
    return pen_backend_list(self->backend, query, list_one, &list, err);
}

struct facts {
    int (*each)(void *context, const Pen__Fact *fact, struct pen_error *err);
    void *context;
};

static int fact_one(void *context, const struct pen_backend_item *item, struct pen_error *err)
{
    const struct facts *facts = context;
    PEN_CLEANUP(pen_message_destroy) ProtobufCMessage *fact = NULL;
    int code = pen_wire_unpack(&pen__fact__descriptor, item->body, item->body_size,
                               &pen_wire_stored, &fact, err);
    if (code == PEN_ENOMEM)
        return code;
    if (code < 0) {
        (void)pen_error_prefix(err, "stored fact %llu", (unsigned long long)item->number);
        if (err != NULL)
            err->code = PEN_ECORRUPT;
        return PEN_ECORRUPT;
    }
    return facts->each(facts->context, (const Pen__Fact *)fact, err);
}

int pen_reader_facts(struct pen_reader *self, const char *pipeline, const char *execution,
                     uint64_t after_seq, size_t limit,
                     int (*each)(void *context, const Pen__Fact *fact, struct pen_error *err),
                     void *context, struct pen_error *err)
{
    struct facts facts = {each, context};
    return pen_backend_facts(self->backend, pipeline, execution, after_seq, limit, fact_one, &facts,
                             err);
}
