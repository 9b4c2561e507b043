/* controller/model/action_types.h - custom action types: what job workers outside do
 *
 * A type is a definition: which configuration its actions take, how many artifacts, and templates
 * of URLs. It never changes. Whoever checks a pipeline hands in the types that there are.
 *
 *     {Config:Name}          the value of a property that is required and not secret
 *     {ExternalExecutionId}  what the job worker calls its work
 */
#ifndef PEN_CONTROLLER_MODEL_ACTION_TYPES_H
#define PEN_CONTROLLER_MODEL_ACTION_TYPES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/limits.h"
#include "controller/model/providers.h"
#include "pipeline.pb-c.h"

/* What stands for a secret value wherever it is shown. */
#define PEN_SECRET_MASK "****"

/* How a secret value begins once it is sealed. No value that comes from outside may begin so. */
#define PEN_SEALED_PREFIX "sealed:v1:"

/* The types that there are. All borrowed. */
struct pen_custom_types {
    const char *region; /* where the controller is; NULL: not told */
    const Pen__ActionType *const *types;
    size_t count;
};

bool pen_action_is_custom(const Pen__ActionTypeId *id);
bool pen_action_type_id_equal(const Pen__ActionTypeId *a, const Pen__ActionTypeId *b);

/* NULL: there is none. `types` may be NULL. */
const Pen__ActionType *pen_custom_type_find(const struct pen_custom_types *types,
                                            const Pen__ActionTypeId *id);

/* Check a definition: category, properties, artifacts, templates. Errors: PEN_EINVAL with
 * ValidationException, naming the member. */
int pen_action_type_check(const Pen__ActionType *type, struct pen_error *err);

/* NULL: it has none. */
const Pen__ActionConfigurationProperty *pen_action_type_property(const Pen__ActionType *type,
                                                                 const char *name);
const Pen__ActionConfigurationProperty *pen_action_type_queryable(const Pen__ActionType *type);

/* The type as a provider. `keys` has room for PEN_ACTION_TYPE_PROPERTIES_MAX; both are borrowed
 * from the type, which outlives them. */
void pen_action_type_provider(const Pen__ActionType *type, struct pen_provider_key *ret_keys,
                              struct pen_provider *ret_provider);

/* What is particular to actions of custom types: region, kinds of values. Errors: PEN_EINVAL. */
int pen_custom_action_check(const Pen__ActionDeclaration *action, const Pen__ActionType *type,
                            const char *region, struct pen_error *err);

/* That there is no such type, which is the nearest, and which there are. `types` may be NULL.
 * Returns PEN_EINVAL. */
int pen_action_type_unavailable(const Pen__ActionDeclaration *action,
                                const struct pen_custom_types *types, struct pen_error *err);

/* Whether the text stands for a stored secret: four asterisks or more, blanks aside. */
bool pen_secret_is_mask(const char *value);

/* The value, or the mask when it is a sealed secret. NULL gives NULL. */
const char *pen_configuration_shown(const char *value);

/* Whether workers can poll by the value. */
bool pen_queryable_value_valid(const char *value);

/* A configuration value by name, NULL when there is none. */
typedef const char *pen_configuration_lookup(const void *context, const char *name);

/* Append the URL. False, and nothing appended, when the template is NULL or a part of it has no
 * value (yet). */
bool pen_action_type_url(const char *url_template, pen_configuration_lookup *lookup,
                         const void *context, const char *external_execution_id,
                         struct pen_buf *ret_url);

#endif
