#include "controller/model/action_types.h"

#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/nearest.h"
#include "common/base/str.h"
#include "controller/model/variables.h"

#define ACTION_ERROR "InvalidActionDeclarationException"
#define VALUE        "ValidationException"

static const char *const booleans[] = {"true", "false", NULL};

bool pen_action_is_custom(const Pen__ActionTypeId *id)
{
    return id != NULL && pen_str_equal(id->owner, "Custom");
}

bool pen_action_type_id_equal(const Pen__ActionTypeId *a, const Pen__ActionTypeId *b)
{
    return a != NULL && b != NULL && pen_str_equal(a->category, b->category) &&
           pen_str_equal(a->owner, b->owner) && pen_str_equal(a->provider, b->provider) &&
           pen_str_equal(a->version, b->version);
}

const Pen__ActionType *pen_custom_type_find(const struct pen_custom_types *types,
                                            const Pen__ActionTypeId *id)
{
    for (size_t i = 0; types != NULL && i < types->count; i++)
        if (pen_action_type_id_equal(types->types[i]->id, id))
            return types->types[i];
    return NULL;
}

const Pen__ActionConfigurationProperty *pen_action_type_property(const Pen__ActionType *type,
                                                                 const char *name)
{
    for (size_t i = 0; i < type->n_action_configuration_properties; i++)
        if (pen_str_equal(type->action_configuration_properties[i]->name, name))
            return type->action_configuration_properties[i];
    return NULL;
}

const Pen__ActionConfigurationProperty *pen_action_type_queryable(const Pen__ActionType *type)
{
    for (size_t i = 0; i < type->n_action_configuration_properties; i++)
        if (type->action_configuration_properties[i]->queryable)
            return type->action_configuration_properties[i];
    return NULL;
}

/* ---- templates of URLs */

/* The placeholder that begins at `at`, which is a '{'. ret_name is its text within {Config:...},
 * NULL for {ExternalExecutionId}. False: it is none. */
static bool take_placeholder(const char *at, const char **ret_name, size_t *ret_name_size,
                             const char **ret_end)
{
    static const char external[] = "{ExternalExecutionId}";
    static const char config[] = "{Config:";
    if (pen_str_starts_with(at, external)) {
        *ret_name = NULL;
        *ret_name_size = 0;
        *ret_end = at + sizeof external - 1;
        return true;
    }
    const char *end = strchr(at, '}');
    if (!pen_str_starts_with(at, config) || end == NULL || end == at + sizeof config - 1)
        return false;
    *ret_name = at + sizeof config - 1;
    *ret_name_size = (size_t)(end - *ret_name);
    *ret_end = end + 1;
    return true;
}

/* The name as a text of its own; false when no configuration key is that long. */
static bool copy_name(const char *name, size_t size,
                      char ret_name[PEN_CONFIGURATION_KEY_MAX * 4 + 1])
{
    if (size > (size_t)PEN_CONFIGURATION_KEY_MAX * 4)
        return false;
    memcpy(ret_name, name, size);
    ret_name[size] = '\0';
    return true;
}

static int check_template(const Pen__ActionType *type, const char *member, const char *text,
                          struct pen_error *err)
{
    for (const char *at = text; at != NULL && *at != '\0'; at++) {
        if (*at != '{')
            continue;
        const char *name;
        size_t size;
        const char *end;
        char key[PEN_CONFIGURATION_KEY_MAX * 4 + 1];
        if (!take_placeholder(at, &name, &size, &end))
            return pen_fail_api(err, PEN_EINVAL, VALUE,
                                "settings.%s: '%.60s' is not {Config:Name} or "
                                "{ExternalExecutionId}",
                                member, at);
        const Pen__ActionConfigurationProperty *property =
            name != NULL && copy_name(name, size, key) ? pen_action_type_property(type, key) : NULL;
        if (name != NULL && property == NULL)
            return pen_fail_api(
                err, PEN_EINVAL, VALUE, "settings.%s: there is no configuration property '%.*s'",
                member, size > PEN_CONFIGURATION_KEY_MAX ? PEN_CONFIGURATION_KEY_MAX : (int)size,
                name);
        if (property != NULL && (!property->required || property->secret))
            return pen_fail_api(err, PEN_EINVAL, VALUE,
                                "settings.%s: property '%s' has to be required and must not be "
                                "secret to stand in a URL",
                                member, property->name);
        at = end - 1;
    }
    return 0;
}

bool pen_action_type_url(const char *url_template, pen_configuration_lookup *lookup,
                         const void *context, const char *external_execution_id,
                         struct pen_buf *ret_url)
{
    size_t size = ret_url->size;
    for (const char *at = url_template; at != NULL && *at != '\0';) {
        const char *name;
        size_t name_size;
        const char *end;
        char key[PEN_CONFIGURATION_KEY_MAX * 4 + 1];
        if (*at != '{' || !take_placeholder(at, &name, &name_size, &end)) {
            pen_buf_putc(ret_url, *at++);
            continue;
        }
        const char *value = external_execution_id;
        if (name != NULL)
            value = copy_name(name, name_size, key) ? lookup(context, key) : NULL;
        if (value == NULL) {
            if (ret_url->data != NULL) {
                ret_url->size = size;
                ret_url->data[size] = 0;
            }
            return false;
        }
        pen_buf_puts(ret_url, value);
        at = end;
    }
    return url_template != NULL;
}

/* ---- the definition */

static int check_properties(const Pen__ActionType *type, struct pen_error *err)
{
    size_t count = type->n_action_configuration_properties;
    if (count > PEN_ACTION_TYPE_PROPERTIES_MAX)
        return pen_fail_api(err, PEN_EINVAL, VALUE,
                            "configurationProperties: %zu of them, and at most %d are allowed",
                            count, PEN_ACTION_TYPE_PROPERTIES_MAX);
    size_t queryable = 0;
    for (size_t i = 0; i < count; i++) {
        const Pen__ActionConfigurationProperty *property = type->action_configuration_properties[i];
        if (pen_str_empty(property->name) || strpbrk(property->name, "{}") != NULL)
            return pen_fail_api(err, PEN_EINVAL, VALUE,
                                "configurationProperties[%zu].name must not be empty, or hold "
                                "braces",
                                i);
        if (pen_action_type_property(type, property->name) != property)
            return pen_fail_api(err, PEN_EINVAL, VALUE,
                                "configurationProperties[%zu].name: '%s' occurs more than once", i,
                                property->name);
        if (!property->queryable)
            continue;
        if (++queryable > 1)
            return pen_fail_api(err, PEN_EINVAL, VALUE,
                                "configurationProperties[%zu].queryable: only one property can be "
                                "queryable",
                                i);
        if (!property->required || property->secret)
            return pen_fail_api(err, PEN_EINVAL, VALUE,
                                "configurationProperties[%zu].queryable: property '%s' has to be "
                                "required and must not be secret",
                                i, property->name);
    }
    return 0;
}

static int check_details(const Pen__ArtifactDetails *details, const char *member,
                         struct pen_error *err)
{
    if (details == NULL || details->minimum_count < 0 ||
        details->maximum_count > PEN_ACTION_TYPE_ARTIFACTS_MAX ||
        details->minimum_count > details->maximum_count)
        return pen_fail_api(err, PEN_EINVAL, VALUE,
                            "%s: minimumCount must not be larger than maximumCount, and both are 0 "
                            "to %d",
                            member, PEN_ACTION_TYPE_ARTIFACTS_MAX);
    return 0;
}

static int check_artifacts(const Pen__ActionType *type, struct pen_error *err)
{
    int code = check_details(type->input_artifact_details, "inputArtifactDetails", err);
    if (code == 0)
        code = check_details(type->output_artifact_details, "outputArtifactDetails", err);
    if (code < 0)
        return code;
    if (pen_str_equal(type->id->category, "Source") &&
        type->input_artifact_details->maximum_count > 0)
        return pen_fail_api(err, PEN_EINVAL, VALUE,
                            "inputArtifactDetails: a Source action has no input artifacts");
    if (type->output_artifact_details->minimum_count > 0)
        return pen_fail_api(err, PEN_EUNSUPPORTED, VALUE,
                            "outputArtifactDetails.minimumCount: this release of Penstock has no "
                            "place where job workers could put output artifacts, so a type must "
                            "not require any: use 0");
    return 0;
}

int pen_action_type_check(const Pen__ActionType *type, struct pen_error *err)
{
    static const char *const categories[] = {"Source", "Build", "Deploy", "Test", "Invoke"};
    if (type->id == NULL)
        return pen_fail_api(err, PEN_EINVAL, VALUE, "an action type has an id");
    bool known = false;
    for (size_t i = 0; i < sizeof categories / sizeof categories[0]; i++)
        known = known || pen_str_equal(type->id->category, categories[i]);
    if (!known)
        return pen_fail_api(err, PEN_EINVAL, VALUE,
                            "category: a custom action type is of category Source, Build, Deploy, "
                            "Test or Invoke, not '%s'",
                            type->id->category == NULL ? "" : type->id->category);
    int code = check_properties(type, err);
    if (code == 0)
        code = check_artifacts(type, err);
    const Pen__ActionTypeSettings *settings = type->settings;
    if (code == 0 && settings != NULL)
        code = check_template(type, "entityUrlTemplate", settings->entity_url_template, err);
    if (code == 0 && settings != NULL)
        code = check_template(type, "executionUrlTemplate", settings->execution_url_template, err);
    if (code == 0 && settings != NULL)
        code = check_template(type, "revisionUrlTemplate", settings->revision_url_template, err);
    return code;
}

/* ---- actions of the type */

void pen_action_type_provider(const Pen__ActionType *type, struct pen_provider_key *ret_keys,
                              struct pen_provider *ret_provider)
{
    for (size_t i = 0; i < type->n_action_configuration_properties; i++) {
        const Pen__ActionConfigurationProperty *property = type->action_configuration_properties[i];
        ret_keys[i] = (struct pen_provider_key){
            .name = property->name,
            .required = property->required,
            .secret = property->secret,
            .description = property->description,
        };
    }
    *ret_provider = (struct pen_provider){
        .kind = PEN_PROVIDER_CUSTOM,
        .category = type->id->category,
        .owner = type->id->owner,
        .provider = type->id->provider,
        .version = type->id->version,
        .inputs_min = (size_t)type->input_artifact_details->minimum_count,
        .inputs_max = (size_t)type->input_artifact_details->maximum_count,
        .outputs_min = (size_t)type->output_artifact_details->minimum_count,
        .outputs_max = (size_t)type->output_artifact_details->maximum_count,
        .keys = ret_keys,
        .keys_count = type->n_action_configuration_properties,
    };
}

static bool is_number(const char *text)
{
    text += *text == '-' || *text == '+';
    size_t whole = strspn(text, "0123456789");
    const char *rest = text + whole;
    size_t fraction = *rest == '.' ? strspn(rest + 1, "0123456789") : 0;
    if (*rest == '.')
        rest += 1 + fraction;
    return whole + fraction > 0 && *rest == '\0';
}

bool pen_queryable_value_valid(const char *value)
{
    size_t size = value == NULL ? 0 : strlen(value);
    return size >= 1 && size <= PEN_QUERYABLE_VALUE_MAX &&
           strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") ==
               size;
}

/* A secret's value is in no message. */
static int check_value(const Pen__ActionDeclaration *action,
                       const Pen__ActionConfigurationProperty *property, const char *value,
                       struct pen_error *err)
{
    const char *wrong = NULL;
    if (property->secret)
        wrong =
            pen_variables_present(value) ? "is secret, and variables are not resolved in it" : NULL;
    else if (pen_variables_present(value))
        return 0; /* known only when the action starts */
    else if (property->queryable && !pen_queryable_value_valid(value))
        wrong = "is queryable: its value has 1 to 20 characters of [A-Za-z0-9_-]";
    else if (pen_str_equal(property->type, "Number") && !is_number(value))
        wrong = "is a Number";
    else if (pen_str_equal(property->type, "Boolean") && !pen_str_equal(value, booleans[0]) &&
             !pen_str_equal(value, booleans[1]))
        wrong = "is a Boolean: true or false";
    if (wrong == NULL)
        return 0;
    return pen_fail_api(err, PEN_EINVAL, ACTION_ERROR,
                        "Action configuration for action '%s': '%s' %s", action->name,
                        property->name, wrong);
}

int pen_custom_action_check(const Pen__ActionDeclaration *action, const Pen__ActionType *type,
                            const char *region, struct pen_error *err)
{
    if (region != NULL && action->region != NULL && strcmp(action->region, region) != 0)
        return pen_fail_api(err, PEN_EINVAL, "InvalidStructureException",
                            "Action '%s' is of a custom type, which cannot be in another region "
                            "(%s) than the pipeline (%s)",
                            action->name, action->region, region);
    for (size_t i = 0; i < action->n_configuration; i++) {
        const Pen__ActionConfigurationProperty *property =
            pen_action_type_property(type, action->configuration[i]->key);
        const char *value = action->configuration[i]->value;
        int code =
            property == NULL ? 0 : check_value(action, property, value == NULL ? "" : value, err);
        if (code < 0)
            return code;
    }
    return 0;
}

static void put_type(const char *category, const char *owner, const char *provider,
                     const char *version, struct pen_buf *text)
{
    pen_buf_printf(text, "%s/%s/%s/%s", category, owner, provider, version);
}

/* The type whose provider was probably meant; of another category, owner or version, too. */
static void say_nearest(const struct pen_custom_types *types, const char *wanted,
                        struct pen_buf *text)
{
    struct pen_nearest nearest = {.word = wanted};
    const struct pen_provider *provider;
    for (size_t i = 0; (provider = pen_provider_at(i)) != NULL; i++)
        pen_nearest_try(&nearest, provider->provider);
    for (size_t i = 0; types != NULL && i < types->count; i++)
        pen_nearest_try(&nearest, types->types[i]->id->provider);
    if (nearest.best == NULL)
        return;
    pen_buf_puts(text, "; the nearest is ");
    for (size_t i = 0; (provider = pen_provider_at(i)) != NULL; i++)
        if (provider->provider == nearest.best)
            put_type(provider->category, provider->owner, provider->provider, provider->version,
                     text);
    for (size_t i = 0; types != NULL && i < types->count; i++) {
        const Pen__ActionTypeId *id = types->types[i]->id;
        if (id->provider == nearest.best)
            put_type(id->category, id->owner, id->provider, id->version, text);
    }
}

/* What this controller has: its own by name, custom ones by their number. */
static void say_types(const struct pen_custom_types *types, struct pen_buf *text)
{
    const struct pen_provider *provider;
    for (size_t i = 0; (provider = pen_provider_at(i)) != NULL; i++) {
        pen_buf_puts(text, i == 0 ? "; there are " : ", ");
        put_type(provider->category, provider->owner, provider->provider, provider->version, text);
    }
    if (types != NULL && types->count > 0)
        pen_buf_printf(text, " and %zu custom type%s (ListActionTypes)", types->count,
                       types->count == 1 ? "" : "s");
}

int pen_action_type_unavailable(const Pen__ActionDeclaration *action,
                                const struct pen_custom_types *types, struct pen_error *err)
{
    const Pen__ActionTypeId none = PEN__ACTION_TYPE_ID__INIT;
    const Pen__ActionTypeId *id = action->action_type_id == NULL ? &none : action->action_type_id;
    const char *region = types == NULL ? NULL : types->region;
    char spelled[32] = ""; /* as the API spells it: US_EAST_1 */
    if (region != NULL && pen_str_copy(spelled, sizeof spelled, region))
        for (char *c = spelled; *c != '\0'; c++)
            *c = (char)(*c == '-' ? '_' : *c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    PEN_CLEANUP(pen_buf_release) struct pen_buf others = {0};
    say_nearest(types, id->provider == NULL ? "" : id->provider, &others);
    say_types(types, &others);
    return pen_fail_api(err, PEN_EINVAL, ACTION_ERROR,
                        "ActionType (Category: '%s', Provider: '%s', Owner: '%s', Version: '%s') "
                        "in action '%s' is not available%s%s%s%s",
                        id->category == NULL ? "" : id->category,
                        id->provider == NULL ? "" : id->provider,
                        id->owner == NULL ? "" : id->owner, id->version == NULL ? "" : id->version,
                        action->name, spelled[0] == '\0' ? "" : " in region '", spelled,
                        spelled[0] == '\0' ? "" : "'", pen_buf_text(&others));
}

/* ---- secrets */

bool pen_secret_is_mask(const char *value)
{
    size_t asterisks = 0;
    for (const char *at = value; at != NULL && *at != '\0'; at++) {
        if (*at != '*' && *at != ' ')
            return false;
        asterisks += *at == '*';
    }
    return asterisks >= sizeof PEN_SECRET_MASK - 1;
}

const char *pen_configuration_shown(const char *value)
{
    return value != NULL && pen_str_starts_with(value, PEN_SEALED_PREFIX) ? PEN_SECRET_MASK : value;
}
