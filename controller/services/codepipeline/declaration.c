#include "controller/services/codepipeline/declaration.h"

#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/wire/wire.h"
#include "controller/model/rules.h"
#include "controller/model/validate.h"
#include "controller/model/variables.h"
#include "controller/services/codepipeline/custom.h"
#include "controller/services/output.h"
#include "controller/zones/zones.h"

/* The model has seen to it that the name is one; whether the zone exists, the database says. */
static int check_zone(void *context, const Pen__StageDeclaration *stage, const char *kind,
                      const Pen__Condition *condition, const Pen__RuleDeclaration *rule,
                      struct pen_error *err)
{
    (void)condition;
    const char *zone = pen_rule_configuration(rule, "TimeZone");
    struct pen_error why = {0};
    if (zone == NULL || pen_variables_present(zone))
        return 0;
    int rc = pen_zones_load(zone, 0, context, &why);
    return rc < 0 ? pen_fail_api(err, rc, "InvalidStageDeclarationException",
                                 "Stage '%s': rule '%s' of %s: %s", stage->name, rule->name, kind,
                                 why.message)
                  : 0;
}

static int check_zones(const Pen__PipelineDeclaration *declaration, struct pen_error *err)
{
    PEN_CLEANUP(pen_free) struct pen_zone_changes *room = malloc(sizeof *room);
    if (room == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for time zones");
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < declaration->n_stages; i++)
        rc = pen_rules_each(declaration->stages[i], check_zone, room, err);
    return rc;
}

static bool has_custom_action(const Pen__PipelineDeclaration *declaration)
{
    for (size_t s = 0; s < declaration->n_stages; s++)
        for (size_t i = 0; i < declaration->stages[s]->n_actions; i++)
            if (pen_action_is_custom(declaration->stages[s]->actions[i]->action_type_id))
                return true;
    return false;
}

/* Check it, fill what was left out, seal what is secret. */
static int settle(const struct pen_call *call, Pen__PipelineDeclaration *declaration,
                  struct pen_error *err)
{
    PEN_CLEANUP(pen_custom_read_release)
    struct pen_custom_read read = {.types = {.region = call->services->region}};
    int rc = has_custom_action(declaration) ? pen_custom_read(call, &read, err) : 0;
    if (rc < 0 ||
        (rc = pen_model_validate_with(declaration, &read.types, call->services->structure, err)) <
            0 ||
        (rc = check_zones(declaration, err)) < 0 ||
        (rc = pen_model_fill_defaults(declaration, err)) < 0)
        return rc;
    return pen_custom_seal(call, &read.types, declaration, err);
}

int pen_declaration_take(const struct pen_call *call, Pen__PipelineDeclaration **ret_declaration,
                         struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) ProtobufCMessage *message = NULL;
    int rc =
        pen_wire_from_json(&pen__pipeline_declaration__descriptor,
                           json_object_get(call->input, "pipeline"), "pipeline", &message, err);
    if (rc < 0) {
        if (rc == PEN_EINVAL && err != NULL && err->api_name == NULL)
            err->api_name = "SerializationException";
        return rc;
    }
    Pen__PipelineDeclaration *declaration = (Pen__PipelineDeclaration *)message;
    if ((rc = settle(call, declaration, err)) < 0)
        return rc;
    message = NULL;
    *ret_declaration = declaration;
    return 0;
}

static void put_default(struct pen_call *call, json_t *action, const char *name, json_t *value)
{
    if (json_object_get(action, name) == NULL)
        pen_put_json(call, action, name, value);
    else
        json_decref(value);
}

static void mask_secrets(struct pen_call *call, json_t *configuration)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(configuration, key, value)
    {
        const char *text = json_string_value(value);
        if (text != pen_configuration_shown(text) &&
            json_string_set(value, pen_configuration_shown(text)) < 0)
            call->out_of_memory = true;
    }
}

static void put_defaults(struct pen_call *call, json_t *declaration)
{
    size_t i = 0;
    json_t *stage = NULL;
    json_array_foreach(json_object_get(declaration, "stages"), i, stage)
    {
        size_t k = 0;
        json_t *action = NULL;
        json_array_foreach(json_object_get(stage, "actions"), k, action)
        {
            mask_secrets(call, json_object_get(action, "configuration"));
            put_default(call, action, "runOrder", json_integer(1));
            put_default(call, action, "configuration", json_object());
            put_default(call, action, "inputArtifacts", json_array());
            put_default(call, action, "outputArtifacts", json_array());
        }
    }
}

int pen_declaration_put(struct pen_call *call, json_t *object, const char *name,
                        const Pen__PipelineDeclaration *declaration, struct pen_error *err)
{
    json_t *json = NULL;
    int rc = pen_wire_to_json(declaration, &json, err);
    if (rc < 0)
        return rc;
    put_defaults(call, json);
    pen_put_json(call, object, name, json);
    return 0;
}
