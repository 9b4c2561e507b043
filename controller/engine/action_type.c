/* controller/engine/action_type.c - custom action types, and the pipelines that use them
 *
 *   (never was) --create--> there --delete--> deleted --create, identical--> there
 *
 * A definition never changes, so whoever has checked a pipeline against it need not look again;
 * only whether the type is still there is decided here.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "controller/engine/decide.h"
#include "controller/model/action_types.h"

struct action_type *find_action_type(const struct pen_engine *engine, const Pen__ActionTypeId *id)
{
    if (!pen_action_is_custom(id))
        return NULL;
    char *key = mem_format("%s/%s/%s", id->category, id->provider, id->version);
    struct action_type *type = pen_map_get(&engine->action_types, pen_key_text(key));
    free(key);
    return type;
}

struct action_type *usable_action_type(const struct pen_engine *engine, const Pen__ActionTypeId *id)
{
    struct action_type *type = find_action_type(engine, id);
    return type != NULL && !type->row->has_deleted_ms ? type : NULL;
}

/* ---- create and delete */

static bool identical(const void *a, const void *b)
{
    const ProtobufCMessage *left = a;
    const ProtobufCMessage *right = b;
    size_t size = protobuf_c_message_get_packed_size(left);
    if (size != protobuf_c_message_get_packed_size(right))
        return false;
    uint8_t *bytes = mem_zero(2 * size + 1);
    protobuf_c_message_pack(left, bytes);
    protobuf_c_message_pack(right, bytes + size);
    bool same = memcmp(bytes, bytes + size, size) == 0;
    free(bytes);
    return same;
}

static int check_room_for_type(const struct pen_engine *engine, const struct action_type *former,
                               struct pen_error *err)
{
    size_t there = 0;
    for (const struct pen_map_node *node = pen_map_first(&engine->action_types); node != NULL;
         node = pen_map_next(node))
        there += !((const struct action_type *)pen_map_value(node))->row->has_deleted_ms;
    if (there >= engine->options.action_types_max)
        return pen_fail_api(err, PEN_ELIMIT, "LimitExceededException",
                            "there are %zu custom action types, the most that are allowed "
                            "(action-types-max)",
                            there);
    if (former == NULL && engine->action_types.count >= PEN_LIMIT_ACTION_TYPES_KEPT)
        return pen_fail_api(err, PEN_ELIMIT, "LimitExceededException",
                            "there are %zu custom action types with those that were deleted, the "
                            "most that are kept: make one of them again",
                            (size_t)engine->action_types.count);
    return 0;
}

int handle_create_action_type(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                              struct pen_error *err)
{
    const Pen__ActionType *type = input->create_action_type->type;
    if (type == NULL || !pen_action_is_custom(type->id) || pen_str_empty(type->id->category) ||
        pen_str_empty(type->id->provider) || pen_str_empty(type->id->version) ||
        type->input_artifact_details == NULL || type->output_artifact_details == NULL)
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "an action type has category, provider, version and artifact details, "
                            "and the owner Custom");
    int rc = pen_action_type_check(type, err);
    if (rc < 0)
        return rc;
    const struct action_type *former = find_action_type(engine, type->id);
    if (former != NULL && !former->row->has_deleted_ms)
        return pen_fail_api(err, PEN_ECONFLICT, "ValidationException",
                            "action type '%s' exists: give another version", former->entity.key);
    if (former != NULL && !identical(former->row->type, type))
        return pen_fail_api(err, PEN_ECONFLICT, "ValidationException",
                            "action type '%s' was deleted, and can be made again with the same "
                            "definition only: give another version",
                            former->entity.key);
    rc = check_room_for_type(engine, former, err);
    if (rc < 0)
        return rc;
    Pen__ActionTypeCreated *body = MAKE(Pen__ActionTypeCreated, pen__action_type_created__init);
    body->action_type = MAKE(Pen__ActionTypeRow, pen__action_type_row__init);
    body->action_type->type = mem_copy(type);
    SET(body->action_type, created_ms, engine->now_ms);
    body->action_type->created_by = mem_text(input->principal);
    reply->id = mem_format("%s/%s/%s", type->id->category, type->id->provider, type->id->version);
    emit(engine, NULL, NULL, PEN__FACT__WHAT_ACTION_TYPE_CREATED, body);
    return 0;
}

/* Pipelines may use it and jobs may run: those with a worker go on, the others wait until the type
 * is made again or their time is over. */
int handle_delete_action_type(struct pen_engine *engine, const Pen__Input *input, Pen__Reply *reply,
                              struct pen_error *err)
{
    (void)reply;
    (void)err;
    const Pen__ActionTypeId *id = input->delete_action_type->id;
    if (usable_action_type(engine, id) == NULL)
        return 0; /* gone is gone: the API has no error for it */
    Pen__ActionTypeDeleted *body = MAKE(Pen__ActionTypeDeleted, pen__action_type_deleted__init);
    body->id = mem_copy(id);
    emit(engine, NULL, NULL, PEN__FACT__WHAT_ACTION_TYPE_DELETED, body);
    return 0;
}

/* ---- pipelines that use them */

/* The action of the pipeline as it is that has this name, stage and type; NULL: there is none. */
static const Pen__ActionDeclaration *former_action(const struct pipeline *pipeline,
                                                   const Pen__StageDeclaration *stage,
                                                   const Pen__ActionDeclaration *action)
{
    const Pen__PipelineDeclaration *declaration =
        pipeline == NULL ? NULL : pipeline->current->row->declaration;
    for (size_t i = 0; declaration != NULL && i < declaration->n_stages; i++) {
        if (!pen_str_equal(declaration->stages[i]->name, stage->name))
            continue;
        int index = action_index(declaration->stages[i], action->name);
        if (index < 0)
            return NULL;
        const Pen__ActionDeclaration *found = declaration->stages[i]->actions[index];
        return pen_action_type_id_equal(found->action_type_id, action->action_type_id) ? found
                                                                                       : NULL;
    }
    return NULL;
}

/* Whether nothing but masks has changed. */
static bool unchanged(const Pen__ActionDeclaration *former, const Pen__ActionDeclaration *action)
{
    if (former->n_configuration != action->n_configuration)
        return false;
    for (size_t i = 0; i < action->n_configuration; i++) {
        const char *value = action->configuration[i]->value;
        const char *old = pen_action_configuration(former, action->configuration[i]->key);
        if (old == NULL || (!pen_secret_is_mask(value) && !pen_str_equal(old, value)))
            return false;
    }
    return true;
}

/* A mask that comes back stands for the secret that is stored. */
static int keep_secrets(const struct pipeline *pipeline, const Pen__ActionType *type,
                        const Pen__StageDeclaration *stage, Pen__ActionDeclaration *action,
                        struct pen_error *err)
{
    const Pen__ActionDeclaration *former = former_action(pipeline, stage, action);
    bool kept = former != NULL && unchanged(former, action);
    for (size_t i = 0; i < action->n_configuration; i++) {
        const char *key = action->configuration[i]->key;
        const Pen__ActionConfigurationProperty *property = pen_action_type_property(type, key);
        if (property == NULL || !property->secret ||
            !pen_secret_is_mask(action->configuration[i]->value))
            continue;
        if (!kept)
            return pen_fail_api(err, PEN_EINVAL, "InvalidActionDeclarationException",
                                "Action configuration for action '%s' is missing required "
                                "configuration '%s'",
                                action->name, key);
        mem_set_text(&action->configuration[i]->value, pen_action_configuration(former, key));
    }
    return 0;
}

int settle_custom_actions(const struct pen_engine *engine, const struct pipeline *pipeline,
                          Pen__PipelineDeclaration *declaration, struct pen_error *err)
{
    for (size_t s = 0; s < declaration->n_stages; s++) {
        const Pen__StageDeclaration *stage = declaration->stages[s];
        for (size_t i = 0; i < stage->n_actions; i++) {
            Pen__ActionDeclaration *action = stage->actions[i];
            if (!pen_action_is_custom(action->action_type_id))
                continue;
            const struct action_type *type = usable_action_type(engine, action->action_type_id);
            const struct pen_custom_types none = {.region = engine->setting->row->region};
            if (type == NULL) /* deleted since the declaration was checked */
                return pen_action_type_unavailable(action, &none, err);
            int rc = keep_secrets(pipeline, type->row->type, stage, action, err);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}
