/* CreateCustomActionType, DeleteCustomActionType, ListActionTypes */
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/wire/wire.h"
#include "controller/model/providers.h"
#include "controller/services/codepipeline/codepipeline.h"
#include "controller/services/codepipeline/custom.h"
#include "controller/services/output.h"
#include "controller/services/page.h"

/* ---- create and delete */

static json_t *custom_id(const struct pen_call *call)
{
    return json_pack("{s:O, s:s, s:O, s:O}", "category", json_object_get(call->input, "category"),
                     "owner", "Custom", "provider", json_object_get(call->input, "provider"),
                     "version", json_object_get(call->input, "version"));
}

/* The request's members under the names that an action type has. */
static json_t *type_of_input(const struct pen_call *call)
{
    return json_pack("{s:o, s:O*, s:O*, s:O, s:O}", "id", custom_id(call), "settings",
                     json_object_get(call->input, "settings"), "actionConfigurationProperties",
                     json_object_get(call->input, "configurationProperties"),
                     "inputArtifactDetails", json_object_get(call->input, "inputArtifactDetails"),
                     "outputArtifactDetails",
                     json_object_get(call->input, "outputArtifactDetails"));
}

static int type_made(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err)
{
    (void)reply;
    (void)err;
    pen_put_json(call, pen_output(call), "actionType", type_of_input(call));
    return 0;
}

int pen_create_custom_action_type(struct pen_call *call, struct pen_error *err)
{
    if (json_array_size(json_object_get(call->input, "tags")) > 0)
        return pen_fail_api(err, PEN_EUNSUPPORTED, "ValidationException",
                            "Tags are not available in this version of Penstock: leave 'tags' "
                            "out.");
    json_t *json = type_of_input(call);
    if (json == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for an action type");
    PEN_CLEANUP(pen_message_destroy) ProtobufCMessage *type = NULL;
    int rc = pen_wire_from_json(&pen__action_type__descriptor, json, "actionType", &type, err);
    json_decref(json);
    if (rc == 0)
        rc = pen_action_type_check((const Pen__ActionType *)type, err);
    if (rc < 0)
        return rc;
    Pen__CreateActionType *create = NULL;
    Pen__Input *input = pen_input_new(PEN__INPUT__WHAT_CREATE_ACTION_TYPE,
                                      &pen__create_action_type__descriptor, &create);
    if (input != NULL)
        create->type = (Pen__ActionType *)TAKE_PTR(type);
    return pen_call_post(call, input, type_made, err);
}

int pen_delete_custom_action_type(struct pen_call *call, struct pen_error *err)
{
    json_t *json = custom_id(call);
    if (json == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for an action type");
    PEN_CLEANUP(pen_message_destroy) ProtobufCMessage *id = NULL;
    int rc = pen_wire_from_json(&pen__action_type_id__descriptor, json, "actionTypeId", &id, err);
    json_decref(json);
    if (rc < 0)
        return rc;
    Pen__DeleteActionType *delete = NULL;
    Pen__Input *input = pen_input_new(PEN__INPUT__WHAT_DELETE_ACTION_TYPE,
                                      &pen__delete_action_type__descriptor, &delete);
    if (input != NULL)
        delete->id = (Pen__ActionTypeId *)TAKE_PTR(id);
    return pen_call_post(call, input, pen_reply_nothing, err);
}

/* ---- list */

static void put_details(struct pen_call *call, json_t *type, const char *name, size_t min,
                        size_t max)
{
    max = max < PEN_ARTIFACT_DETAILS_MAX ? max : PEN_ARTIFACT_DETAILS_MAX;
    json_t *details = pen_put_object(call, type, name);
    pen_put_integer(call, details, "minimumCount", (int64_t)min);
    pen_put_integer(call, details, "maximumCount", (int64_t)max);
}

static void put_provider(struct pen_call *call, json_t *list, const struct pen_provider *provider)
{
    json_t *type = pen_add_object(call, list);
    json_t *id = pen_put_object(call, type, "id");
    pen_put_string(call, id, "category", provider->category);
    pen_put_string(call, id, "owner", provider->owner);
    pen_put_string(call, id, "provider", provider->provider);
    pen_put_string(call, id, "version", provider->version);
    (void)pen_put_object(call, type, "settings");
    json_t *properties = pen_put_list(call, type, "actionConfigurationProperties");
    for (size_t i = 0; i < provider->keys_count; i++) {
        json_t *property = pen_add_object(call, properties);
        pen_put_string(call, property, "name", provider->keys[i].name);
        pen_put_boolean(call, property, "required", provider->keys[i].required);
        pen_put_boolean(call, property, "key", false);
        pen_put_boolean(call, property, "secret", provider->keys[i].secret);
        pen_put_boolean(call, property, "queryable", false);
        pen_put_string(call, property, "description", provider->keys[i].description);
    }
    put_details(call, type, "inputArtifactDetails", provider->inputs_min, provider->inputs_max);
    put_details(call, type, "outputArtifactDetails", provider->outputs_min, provider->outputs_max);
}

static int put_custom(struct pen_call *call, json_t *list, struct pen_error *err)
{
    PEN_CLEANUP(pen_custom_read_release) struct pen_custom_read read = {0};
    int rc = pen_custom_read(call, &read, err);
    for (size_t i = 0; rc == 0 && i < read.types.count; i++) {
        json_t *type = NULL;
        rc = pen_wire_to_json(read.types.types[i], &type, err);
        if (rc == 0 && json_array_append_new(list, type) < 0)
            call->out_of_memory = true;
    }
    return rc;
}

/* All in one answer: there are few. */
int pen_list_action_types(struct pen_call *call, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf after = {0};
    int rc = pen_page_get(call, "", &after, err);
    if (rc < 0)
        return rc;
    json_t *list = pen_put_list(call, pen_output(call), "actionTypes");
    const char *owner = pen_in_string(call->input, "actionOwnerFilter");
    const char *region = pen_in_string(call->input, "regionFilter");
    if (region != NULL && !pen_str_equal(region, call->services->region))
        return 0; /* nothing is available there */
    const struct pen_provider *provider;
    for (size_t i = 0; (provider = pen_provider_at(i)) != NULL; i++)
        if (owner == NULL || pen_str_equal(owner, provider->owner))
            put_provider(call, list, provider);
    return owner == NULL || pen_str_equal(owner, "Custom") ? put_custom(call, list, err) : 0;
}
