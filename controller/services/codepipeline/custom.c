#include "controller/services/codepipeline/custom.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/keys/digest.h"
#include "common/wire/wire.h"
#include "controller/services/output.h"

int pen_custom_read(const struct pen_call *call, struct pen_custom_read *ret_read,
                    struct pen_error *err)
{
    struct pen_custom_read self = {.types = {.region = call->services->region}};
    const struct pen_list_query query = {.kind = PEN__ROW_KIND__ROW_ACTION_TYPE,
                                         .limit = PEN_LIMIT_ACTION_TYPES_KEPT};
    int rc = pen_read_list(call, &query, &self.rows, err);
    if (rc < 0) {
        pen_rows_release(&self.rows);
        return rc;
    }
    self.list = calloc(self.rows.count + 1, sizeof *self.list);
    if (self.list == NULL) {
        pen_rows_release(&self.rows);
        return pen_fail(err, PEN_ENOMEM, "no memory for action types");
    }
    self.types.types = self.list;
    for (size_t i = 0; i < self.rows.count; i++) {
        const Pen__ActionTypeRow *row = (const Pen__ActionTypeRow *)self.rows.rows[i];
        if (!row->has_deleted_ms)
            self.list[self.types.count++] = row->type;
    }
    *ret_read = self;
    return 0;
}

void pen_custom_read_release(struct pen_custom_read *self)
{
    pen_rows_release(&self->rows);
    free(self->list);
    *self = (struct pen_custom_read){0};
}

/* ---- secrets */

static char *seal_context(const char *pipeline, const char *stage, const char *action,
                          const char *key)
{
    return pen_strdup_printf("action configuration/%s/%s/%s/%s", pipeline, stage, action, key);
}

static int seal_value(const struct pen_call *call, const char *context, char **value,
                      struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf sealed = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    int rc = pen_seal(call->services->sealer, context, *value, strlen(*value), &sealed, err);
    if (rc < 0 || (rc = pen_buf_ok(&sealed, err)) < 0)
        return rc;
    pen_buf_puts(&text, PEN_SEALED_PREFIX);
    pen_base64url_encode(sealed.data, sealed.size, &text);
    if ((rc = pen_buf_ok(&text, err)) < 0)
        return rc;
    return pen_str_set(value, pen_buf_text(&text))
               ? 0
               : pen_fail(err, PEN_ENOMEM, "no memory for a secret");
}

static int seal_action(const struct pen_call *call, const struct pen_custom_types *types,
                       const char *pipeline, const char *stage, Pen__ActionDeclaration *action,
                       struct pen_error *err)
{
    const Pen__ActionType *type = pen_custom_type_find(types, action->action_type_id);
    for (size_t i = 0; i < action->n_configuration; i++) {
        const char *key = action->configuration[i]->key;
        char **value = &action->configuration[i]->value;
        if (*value == NULL)
            continue;
        if (pen_str_starts_with(*value, PEN_SEALED_PREFIX))
            return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                                "Action '%s': the value of configuration '%s' must not begin with "
                                "'%s'",
                                action->name, key, PEN_SEALED_PREFIX);
        const Pen__ActionConfigurationProperty *property =
            type == NULL ? NULL : pen_action_type_property(type, key);
        if (property == NULL || !property->secret || pen_secret_is_mask(*value))
            continue;
        PEN_CLEANUP(pen_free) char *context = seal_context(pipeline, stage, action->name, key);
        if (context == NULL)
            return pen_fail(err, PEN_ENOMEM, "no memory for a secret");
        int rc = seal_value(call, context, value, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int pen_custom_seal(const struct pen_call *call, const struct pen_custom_types *types,
                    Pen__PipelineDeclaration *declaration, struct pen_error *err)
{
    for (size_t s = 0; s < declaration->n_stages; s++) {
        const Pen__StageDeclaration *stage = declaration->stages[s];
        for (size_t i = 0; i < stage->n_actions; i++) {
            int rc =
                seal_action(call, types, declaration->name, stage->name, stage->actions[i], err);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

int pen_custom_open(const struct pen_call *call, const Pen__ActionExecutionRow *action,
                    const char *key, const char *value, struct pen_buf *ret_value,
                    struct pen_error *err)
{
    if (!pen_str_starts_with(value, PEN_SEALED_PREFIX)) {
        pen_buf_puts(ret_value, value);
        return pen_buf_ok(ret_value, err);
    }
    PEN_CLEANUP(pen_free)
    char *context = seal_context(action->pipeline, action->stage, action->action, key);
    if (context == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a secret");
    PEN_CLEANUP(pen_buf_release) struct pen_buf sealed = {0};
    int rc = pen_base64url_decode(value + strlen(PEN_SEALED_PREFIX), &sealed, err);
    if (rc == 0)
        rc = pen_unseal(call->services->sealer, context, sealed.data, sealed.size, ret_value, err);
    if (rc < 0)
        return pen_error_prefix(err, "the secret '%s' of action '%s'", key, action->action);
    return 0;
}

/* ---- URLs */

static const char *resolved(const void *context, const char *name)
{
    const Pen__ActionExecutionRow *row = context;
    for (size_t i = 0; i < row->n_resolved_configuration; i++)
        if (pen_str_equal(row->resolved_configuration[i]->key, name))
            return pen_configuration_shown(row->resolved_configuration[i]->value);
    return NULL;
}

static void put_url(struct pen_call *call, json_t *object, const char *member,
                    const char *url_template, const Pen__ActionExecutionRow *action)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf url = {0};
    if (!pen_action_type_url(url_template, resolved, action, action->external_execution_id, &url))
        return;
    if (url.failed)
        call->out_of_memory = true;
    pen_put_string(call, object, member, pen_buf_text(&url));
}

int pen_custom_put_urls(struct pen_call *call, json_t *state, const Pen__ActionExecutionRow *action,
                        struct pen_error *err)
{
    if (!pen_action_is_custom(action->type))
        return 0;
    PEN_CLEANUP(pen_free)
    char *key = pen_strdup_printf("%s/%s/%s", action->type->category, action->type->provider,
                                  action->type->version);
    if (key == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for an action type's key");
    PEN_CLEANUP(pen_message_destroy) Pen__ActionTypeRow *type = NULL;
    int rc = pen_read_optional(call, PEN__ROW_KIND__ROW_ACTION_TYPE, key, &type, err);
    if (rc < 0 || type == NULL || type->type == NULL || type->type->settings == NULL)
        return rc;
    put_url(call, state, "entityUrl", type->type->settings->entity_url_template, action);
    put_url(call, state, "revisionUrl", type->type->settings->revision_url_template, action);
    return 0;
}
