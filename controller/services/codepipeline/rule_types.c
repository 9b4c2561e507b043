/* ListRuleTypes: what rules there are, and how they are configured */
#include "controller/model/rule_types.h"

#include "controller/services/codepipeline/codepipeline.h"
#include "controller/services/output.h"

static void put_type(struct pen_call *call, json_t *list, const struct pen_rule_type *type)
{
    json_t *item = pen_add_object(call, list);
    json_t *id = pen_put_object(call, item, "id");
    pen_put_string(call, id, "category", "Rule");
    pen_put_string(call, id, "owner", "AWS");
    pen_put_string(call, id, "provider", type->provider);
    pen_put_string(call, id, "version", "1");
    json_t *properties = pen_put_list(call, item, "ruleConfigurationProperties");
    for (size_t i = 0; i < type->keys_count; i++) {
        json_t *property = pen_add_object(call, properties);
        pen_put_string(call, property, "name", type->keys[i].name);
        pen_put_boolean(call, property, "required", type->keys[i].required);
        pen_put_boolean(call, property, "key", true);
        pen_put_boolean(call, property, "secret", false);
        pen_put_string(call, property, "description", type->keys[i].description);
        pen_put_string(call, property, "type", "String");
    }
    json_t *inputs = pen_put_object(call, item, "inputArtifactDetails");
    pen_put_integer(call, inputs, "minimumCount", 0);
    size_t max =
        type->inputs_max < PEN_ARTIFACT_DETAILS_MAX ? type->inputs_max : PEN_ARTIFACT_DETAILS_MAX;
    pen_put_integer(call, inputs, "maximumCount", (int64_t)max);
}

/* They are the same in every region, and all of owner AWS: neither filter takes one away. */
int pen_list_rule_types(struct pen_call *call, struct pen_error *err)
{
    (void)err;
    json_t *list = pen_put_list(call, pen_output(call), "ruleTypes");
    for (size_t i = 0; pen_rule_type_at(i) != NULL; i++)
        put_type(call, list, pen_rule_type_at(i));
    return 0;
}
