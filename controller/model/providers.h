/* controller/model/providers.h - the action types that we run */
#ifndef PEN_CONTROLLER_MODEL_PROVIDERS_H
#define PEN_CONTROLLER_MODEL_PROVIDERS_H

#include <stdbool.h>
#include <stddef.h>

#include "capsule.pb-c.h"
#include "common/base/error.h"
#include "pipeline.pb-c.h"

enum pen_provider_kind {
    PEN_PROVIDER_CODECOMMIT = 1, /* Source: a repository that we keep */
    PEN_PROVIDER_CONNECTION,     /* Source: a repository behind a connection */
    PEN_PROVIDER_COMMANDS,       /* Compute: shell lines on an agent */
    PEN_PROVIDER_MANUAL,         /* Approval: a person */
    PEN_PROVIDER_CUSTOM,         /* a job worker outside of Penstock */
};

/* A key of an action's configuration. */
struct pen_provider_key {
    const char *name;
    bool required;
    bool secret;               /* never shown again once stored */
    bool arn;                  /* arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE */
    const char *const *values; /* NULL-terminated, the only values; NULL: any */
    const char *description;   /* one sentence, for ListActionTypes and for people */
};

struct pen_provider {
    enum pen_provider_kind kind;
    const char *category;
    const char *owner;
    const char *provider;
    const char *version;
    size_t inputs_min;
    size_t inputs_max;
    size_t outputs_min;
    size_t outputs_max;
    const struct pen_provider_key *keys;
    size_t keys_count;
};

/* The provider of this type, NULL when we have none. */
const struct pen_provider *pen_provider_find(const Pen__ActionTypeId *type);

/* All of them, index from 0; NULL past the last. */
const struct pen_provider *pen_provider_at(size_t index);

/* The key of this name, NULL when the provider does not know it. */
const struct pen_provider_key *pen_provider_key_find(const struct pen_provider *self,
                                                     const char *name);

/* The value of an action's configuration key, NULL when it is not given. */
const char *pen_action_configuration(const Pen__ActionDeclaration *action, const char *name);

/* Whether an attempt may be repeated: "Class" of the configuration ("once" or "repeatable"), else
 * by category: Deploy is once, all others repeatable. */
Pen__ActionClass pen_action_class(const Pen__ActionDeclaration *action);

struct pen_custom_types;

/* Check one action against its provider, or its custom type (`types` may be NULL): type, artifact
 * counts, configuration keys and values, members that only some providers take. Errors: PEN_EINVAL
 * with InvalidActionDeclarationException, naming action and cause. */
int pen_provider_check(const Pen__ActionDeclaration *action, const struct pen_custom_types *types,
                       struct pen_error *err);

#endif
